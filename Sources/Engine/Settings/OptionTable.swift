import Primitives

/// Every option of this build, in the order of the sample configuration. An option stands here only when a worker
/// enforces it.
package enum OptionTable {
    package static let all: [Option] = network + disk + strategy + discovery + nat + limits + queue + security + proxy + api + seeding + adding + hooks + mail + rss + observability

    package static func find(_ key: String) -> Option? { byKey[key] }
    /// The option that an environment variable names; nil when it names none.
    package static func find(environment name: String) -> Option? { byEnvironment[name] }
    package static let sections: [String] = all.reduce(into: []) { if $0.last != $1.section { $0.append($1.section) } }

    /// The known key with the fewest edits, when few enough to be a slip of the hand.
    package static func nearest(to key: String) -> String? {
        // A wrong section before a right name is the commonest slip and many edits away.
        let name = key.split(separator: ".").last.map(String.init) ?? key
        let same = all.filter { $0.name == name }
        if same.count == 1 { return same[0].key }
        let ranked = all.map { (key: $0.key, distance: editDistance($0.key, key)) }.min { $0.distance < $1.distance }
        guard let ranked, ranked.distance <= max(2, key.utf8.count / 3) else { return nil }
        return ranked.key
    }

    private static let byKey = Dictionary(uniqueKeysWithValues: all.map { ($0.key, $0) })
    private static let byEnvironment = Dictionary(uniqueKeysWithValues: all.map { ($0.environmentName, $0) })

    // MARK: rows

    private static let network: [Option] = [
        integer("network.listen_port", 64122, 0...65535, "TCP port for incoming peers; 0 takes any free port"),
        integer("network.listen_port_range", 0, 0...1000, "ports after listen_port (or --listen) of which the first free one is taken when it is in use"),
        option("network.listen_interface", .address, .text("0.0.0.0"), "address to listen on; :: takes IPv6, and IPv4 as well"),
        // One thread each; tables of the workers have 64 places.
        integer("network.peer_shards", 1, 1...64, "peer worker processes; torrents are spread over them by info-hash"),
        // One connection costs about 1 KiB in the shard and a descriptor; the unit file allows 65,536 of these.
        integer("network.max_global_peers", 8000, 1...60000, "peer connections of all torrents together"),
        integer("network.max_peers_per_torrent", 200, 1...10000, "peer connections of one torrent"),
        integer("network.max_half_open", 500, 1...10000, "connects to peers under way at once"),
        // 40 Gbit/s x 50 ms = 250 MB in flight over a few hundred peers: 2,048 x 16 KiB = 32 MiB each is past any one peer.
        integer("network.pipeline_max_depth", 512, 4...2048, "block requests outstanding at one peer; the depth follows rate x delay up to this"),
        seconds("network.connection_timeout", 15, 1...300, "how long a TCP connect to a peer may take"),
        seconds("network.handshake_timeout", 10, 1...60, "how long a peer may take for its handshake"),
        // BEP 3: peers generally close after two minutes of silence.
        seconds("network.keep_alive_interval", 100, 30...600, "silence after which a keep-alive is sent"),
        seconds("network.peer_timeout", 150, 5...600, "silence after which a peer is dropped"),
        integer("network.max_upload_slots", 32, 1...10000, "peers unchoked at once in one torrent, the optimistic one included"),
        seconds("network.unchoke_interval", 10, 1...600, "how often the choker runs"),
        seconds("network.optimistic_unchoke_interval", 30, 1...600, "how often the optimistic unchoke moves on"),
        seconds("network.tracker_timeout", 30, 5...120, "how long an announce may take"),
        seconds("network.tracker_connect_timeout", 10, 1...60, "how long a connection to a tracker may take"),
        integer("network.tracker_connection_limit", 128, 1...4096, "announces under way at once"),
        integer("network.tracker_connections_per_host", 8, 1...256, "of these, to one tracker host"),
        option("network.enable_tcp", .boolean, .boolean(true), "peers over TCP; false: none is accepted so, and dialled only through a proxy that relays no datagrams"),
        option("network.enable_utp", .boolean, .boolean(true), "peers over uTP (BEP 29), on the UDP port of the same number: dialled where TCP had no answer, accepted from all"),
    ]

    private static let disk: [Option] = [
        option(
            "disk.download_dir", .path, .text(""), "where torrents go that are added without a save path; empty: a save path must be given",
            needsRestart: false),
        integer("disk.cache_size_mb", 256, 16...65536, "MiB of the piece buffers and block cache of each peer shard"),
        option("disk.incomplete_dir", .path, .text(""), "where data stands until all of it is there; empty: in its save path", needsRestart: false),
        option(
            "disk.incomplete_suffix", .text(maximumBytes: 32), .text(""), "behind the names of a torrent's files until all of them are there, as .part; empty: none",
            needsRestart: false),
        option(
            "disk.preallocate", .choice(["none", "sparse", "full", "fallocate"]), .text("sparse"),
            "none: files grow; sparse: full length without blocks; full or fallocate: blocks reserved"),
        integer("disk.workers", 1, 1...64, "disk worker processes; devices are spread over them"),
        integer("disk.hash_workers", 0, 0...64, "threads that hash pieces; 0: one a core, at most 4"),
        option("disk.direct_io", .boolean, .boolean(true), "O_DIRECT for whole aligned pieces where the file system takes it"),
        option("disk.enable_io_uring", .boolean, .boolean(true), "io_uring where the kernel allows it; false: epoll and threads"),
        seconds("disk.checkpoint_interval", 5, 0.5...3600, "longest time that a written piece stays unsynced"),
        integer("disk.checkpoint_mib", 256, 1...65536, "MiB written that start a sync before the interval is over"),
        integer("disk.read_ahead_kib", 1024, 0...16384, "KiB read at once when peers ask for blocks of a piece; 0: only what is asked"),
    ]

    private static let strategy: [Option] = [
        option(
            "strategy.piece_selection", .choice(["rarest_first", "sequential", "round_robin"]), .text("rarest_first"),
            "order of pieces for torrents that were not added as sequential"),
        integer("strategy.sequential_window", 10, 1...100, "missing pieces that a sequential download takes its next from"),
        option(
            "strategy.sequential_fallback_threshold", .number(0...1), .number(0.1),
            "sequential: the rarest piece is taken while less than this part of the peers have the next ones"),
        option("strategy.streaming_mode", .boolean, .boolean(false), "download as if every file were played from its start: in order, its ends first"),
        option("strategy.endgame_threshold", .number(0.1...1), .number(0.95), "part of the pieces that must be there before the endgame may begin"),
        integer("strategy.endgame_duplicates", 2, 1...10, "peers that one block is asked from in the endgame"),
    ]

    private static let discovery: [Option] = [
        option("discovery.enable_http_trackers", .boolean, .boolean(true), "announce to http and https trackers"),
        option("discovery.enable_udp_trackers", .boolean, .boolean(true), "announce to udp trackers (BEP 15)"),
        seconds("discovery.tracker_announce_interval", 1800, 60...86400, "interval where a tracker names none"),
        option("discovery.enable_dht", .boolean, .boolean(true), "take part in the DHT (BEP 5); private torrents never do"),
        // One number to forward in a router, and the one that uTP and the PORT message of BEP 5 name.
        integer("discovery.dht_port", 0, 0...65535, "UDP port of the DHT; 0: the number of network.listen_port"),
        option("discovery.enable_pex", .boolean, .boolean(true), "peers tell each other of peers (BEP 11); private torrents never do"),
        option(
            "discovery.dht_bootstrap_nodes", .list(maximumCount: 32),
            .list(["router.bittorrent.com:6881", "dht.transmissionbt.com:6881", "dht.libtorrent.org:25401", "router.utorrent.com:6881", "dht.aelitis.com:6881"]),
            "HOST:PORT of nodes that are asked while fewer than 8 others are known"),
        option("discovery.dht_readonly_mode", .boolean, .boolean(false), "ask the DHT and answer nothing (BEP 43): for a machine that nobody can reach"),
        option("discovery.dht_enable_storage", .boolean, .boolean(true), "keep items of others (BEP 44)"),
        integer("discovery.dht_max_storage_size", 1000, 1...10000, "items kept for others; one has at most 1,000 bytes"),
        // BEP 44: items may expire two hours after they were put last.
        seconds("discovery.dht_storage_ttl", 7200, 60...86400, "how long an item is kept that nobody puts again"),
        // BEP 44 has an item put again each hour; a look does it.
        option(
            "discovery.dht_follow_interval", .seconds(5...604_800), .number(3600), "how often the item of a torrent that follows one is looked at (BEP 46)",
            needsRestart: false),
        option(
            "discovery.dht_follow_old", .choice(["keep", "pause", "remove"]), .text("keep"),
            "what happens to the version before when a new one is added; remove leaves its data", needsRestart: false),
        option("discovery.enable_lsd", .boolean, .boolean(true), "find peers on the local network (BEP 14); private torrents never do"),
    ]

    private static let nat: [Option] = [
        option("nat.auto_map_ports", .boolean, .boolean(true), "have the router forward our ports, where it can be asked to"),
        option("nat.enable_nat_pmp", .boolean, .boolean(true), "ask it by PCP and NAT-PMP"),
        option("nat.enable_upnp", .boolean, .boolean(true), "ask it by UPnP, when the others have no answer"),
        option("nat.map_tcp_port", .boolean, .boolean(true), "forward TCP of network.listen_port"),
        option("nat.map_udp_port", .boolean, .boolean(true), "forward UDP of network.listen_port, for uTP and the DHT"),
        option("nat.map_dht_port", .boolean, .boolean(true), "forward discovery.dht_port where it is another one"),
        // RFC 6886 recommends two hours, RFC 6887 leaves it open; half of it is the longest that a lost mapping stays lost.
        integer("nat.port_mapping_lease_time", 3600, 120...86400, "seconds for which a mapping is asked; renewed at half of it"),
        seconds("nat.nat_discovery_interval", 300, 10...3600, "how long to wait before a router that gave nothing is asked again"),
    ]

    private static let limits: [Option] = [
        rate("limits.global_down_kib", "received from all peers together"),
        rate("limits.global_up_kib", "sent to all peers together"),
        rate("limits.per_torrent_down_kib", "received by each torrent without a limit of its own"),
        rate("limits.per_torrent_up_kib", "sent by each torrent without a limit of its own"),
        rate("limits.per_peer_down_kib", "received from each peer"),
        rate("limits.per_peer_up_kib", "sent to each peer"),
        option(
            "limits.local_peers", .choice(["limited", "exempt", "own"]), .text("limited"),
            "peers of private, link-local and loopback addresses: limited as all, exempt from every limit, or under the next two alone",
            needsRestart: false),
        rate("limits.local_down_kib", "received from local peers together, when local_peers is own"),
        rate("limits.local_up_kib", "sent to local peers together, when local_peers is own"),
        option(
            "limits.groups", .groups, .list([]), "groups of torrents that share a limit: name:down:up in KiB/s, 0 for none",
            needsRestart: false),
        option(
            "limits.alt_mode", .choice(["off", "on", "schedule"]), .text("off"),
            "when the alternative limits take the place of the global ones", needsRestart: false),
        rate("limits.alt_down_kib", "received from all peers together while the alternative limits hold"),
        rate("limits.alt_up_kib", "sent to all peers together while the alternative limits hold"),
        option(
            "limits.alt_schedule", .schedule, .list([]), "when the alternative limits hold in mode schedule, in local time: mon-fri 22:00-06:00",
            needsRestart: false),
        integer("limits.scheduler_slice_ms", 100, 1...1000, "how often waiting peers are given their share, in milliseconds", needsRestart: false),
    ]

    // A seedbox seeds everything that it holds: nothing is queued unless the user says so.
    private static let queue: [Option] = [
        option("queue.auto_manage_queue", .boolean, .boolean(true), "start and queue torrents by the limits below", needsRestart: false),
        integer("queue.max_active_torrents", 0, 0...100_000, "torrents active at once; 0: no limit", needsRestart: false),
        integer("queue.max_active_downloading", 0, 0...100_000, "of these, unfinished ones; 0: no limit", needsRestart: false),
        integer("queue.max_active_seeding", 0, 0...100_000, "of these, finished ones; 0: no limit", needsRestart: false),
        option("queue.ignore_slow_torrents", .boolean, .boolean(false), "torrents that hardly transfer take no place", needsRestart: false),
        integer("queue.slow_down_kib", 2, 0...1_000_000, "KiB/s received below which, and", needsRestart: false),
        integer("queue.slow_up_kib", 2, 0...1_000_000, "KiB/s sent below which a torrent counts as slow", needsRestart: false),
        option("queue.slow_after", .seconds(1...86400), .number(60), "for how long it must have been", needsRestart: false),
    ]

    private static let seeding: [Option] = [
        option("seeding.max_ratio", .number(-1...9999), .number(-1), "uploaded / downloaded at which a torrent has done its share; -1: no limit", needsRestart: false),
        integer("seeding.max_minutes", -1, -1...52_560_000, "minutes of seeding after which it has; -1: no limit", needsRestart: false),
        integer("seeding.max_inactive_minutes", -1, -1...52_560_000, "minutes of seeding without a byte asked for after which it has; -1: no limit", needsRestart: false),
        option(
            "seeding.limit_action", .choice(["stop", "remove", "remove_with_data", "super_seeding"]), .text("stop"), "what becomes of a torrent that has done its share",
            needsRestart: false),
    ]

    private static let adding: [Option] = [
        option("add.paused", .boolean, .boolean(false), "add torrents without starting them", needsRestart: false),
        option("add.top_of_queue", .boolean, .boolean(false), "put new torrents at the top of the queue", needsRestart: false),
        option("add.auto_managed", .boolean, .boolean(false), "the save path of new torrents follows their category", needsRestart: false),
        option(
            "add.stop_condition", .choice(["none", "metadata_received", "files_checked"]), .text("none"), "when a new torrent pauses by itself", needsRestart: false),
        option(
            "add.content_layout", .choice(["original", "subfolder", "no_subfolder"]), .text("original"),
            "subfolder: a single file gets a folder of its own; no_subfolder: the content of a folder stands in the save path", needsRestart: false),
    ]

    // Lists are argument vectors; no shell reads them.
    private static let hooks: [Option] = [
        option(
            "hooks.on_add", .list(maximumCount: 64), .list([]),
            "program and arguments to run when a torrent was added; %N name, %L category, %G tags, %F content path, %R root path, %D save path, %C files, %Z bytes, %T tracker, %I v1 hash, %J v2 hash, %K id",
            needsRestart: false),
        option("hooks.on_finish", .list(maximumCount: 64), .list([]), "the same for a download that has ended and stands in its place", needsRestart: false),
        option("hooks.timeout", .seconds(1...86400), .number(300), "how long such a program may run", needsRestart: false),
        integer("hooks.max_running", 4, 1...64, "how many of them at once", needsRestart: false),
    ]

    private static let mail: [Option] = [
        option("mail.enable", .boolean, .boolean(false), "send mail when a download has ended and stands in its place", needsRestart: false),
        option("mail.server", .text(maximumBytes: 255), .text(""), "HOST or HOST:PORT of the SMTP server; the port is 25, with mail.tls 465", needsRestart: false),
        option(
            "mail.tls", .boolean, .boolean(false), "TLS from the first byte; false: STARTTLS where the server has it, and no password without it", needsRestart: false),
        option("mail.username", .text(maximumBytes: 255), .text(""), "name to log in with; empty: no login", needsRestart: false),
        option("mail.password", .text(maximumBytes: 255), .text(""), "its password; keep this file readable by the daemon only", needsRestart: false),
        option("mail.sender", .text(maximumBytes: 254), .text("ccbt@localhost"), "address that the mail is from", needsRestart: false),
        option("mail.recipient", .text(maximumBytes: 2048), .text(""), "address that it goes to; several with commas between them", needsRestart: false),
    ]

    private static let rss: [Option] = [
        option("rss.enable", .boolean, .boolean(true), "fetch the feeds that there are", needsRestart: false),
        option("rss.auto_download", .boolean, .boolean(true), "add what the rules take", needsRestart: false),
        option("rss.refresh_interval", .seconds(60...31_536_000), .number(1800), "between two fetches of a feed", needsRestart: false),
        integer("rss.max_articles", 100, 1...5000, "articles kept of each feed", needsRestart: false),
        // A feed or a .torrent address comes from outside: it must not make us ask our own network.
        option("rss.allow_local", .boolean, .boolean(false), "feeds and torrents may be fetched from private addresses and this machine", needsRestart: false),
    ]

    private static let security: [Option] = [
        option(
            "security.encryption_mode", .choice(["disabled", "allowed", "preferred", "required"]), .text("allowed"),
            "message stream encryption of peer connections; allowed: take both, dial plain first; preferred: dial encrypted first; required: no plain one"),
        option(
            "security.encryption_allowed_ciphers", .choice(["both", "rc4", "plaintext"]), .text("both"),
            "what may follow the encrypted handshake; rc4: the whole stream encrypted; plaintext: the handshake only"),
        // RC4 costs more than all the rest of a transfer does: see Tests/Benchmarks/RESULTS.md.
        option("security.encryption_prefer_rc4", .boolean, .boolean(false), "of two allowed ciphers take rc4 where the choice is ours"),
        // A burst of 20 callers behind one address passes; each holds a descriptor and at most 16 KiB until its handshake is over.
        integer("security.max_handshakes_per_address", 20, 1...10_000, "accepted connections of one address without a finished handshake; the oldest goes first"),
        option(
            "security.confine_workers", .boolean, .boolean(true),
            "peer, disk, discovery and API workers give up the files, sockets and system calls that they do not need (Landlock, seccomp)"),
        option("security.ip_filter.enable_ip_filter", .boolean, .boolean(false), "refuse peers by their address", needsRestart: false),
        option(
            "security.ip_filter.filter_mode", .choice(["block", "allow"]), .text("block"), "block: the listed addresses are refused; allow: all others are",
            needsRestart: false),
        option(
            "security.ip_filter.filter_files", .list(maximumCount: 100), .list([]),
            "lists to read: CIDR, ranges, eMule ipfilter.dat, PeerGuardian .p2p text or P2B, each also gzipped; absolute paths", needsRestart: false),
        option("security.ip_filter.filter_urls", .list(maximumCount: 100), .list([]), "lists to fetch over HTTP or HTTPS", needsRestart: false),
        option("security.ip_filter.ranges", .list(maximumCount: 10_000), .list([]), "addresses, ranges and CIDR prefixes besides the lists", needsRestart: false),
        seconds("security.ip_filter.filter_update_interval", 86400, 60...604_800, "how often lists are fetched anew and files read anew", needsRestart: false),
        option(
            "security.ip_filter.filter_cache_dir", .path, .text(""), "where fetched lists are kept; empty: ip-filter in the state directory"),
        option("security.ip_filter.filter_log_blocked", .boolean, .boolean(false), "log each refused connection", needsRestart: false),
    ]

    // The proxy is named by address: looking a name up would be a packet past it.
    private static let proxy: [Option] = [
        option("proxy.enable_proxy", .boolean, .boolean(false), "connect through the proxy below, for what the options below say"),
        option("proxy.proxy_type", .choice(["socks5", "http"]), .text("socks5"), "http: CONNECT, and plain requests to http trackers"),
        option("proxy.proxy_host", .address, .text("127.0.0.1"), "address of the proxy"),
        integer("proxy.proxy_port", 1080, 1...65535, "its port"),
        option("proxy.proxy_username", .text(maximumBytes: 255), .text(""), "empty: none is given"),
        option("proxy.proxy_password", .text(maximumBytes: 255), .text(""), "given with the user name; keep this file readable by the daemon only"),
        option(
            "proxy.proxy_for_trackers", .boolean, .boolean(true),
            "announce through it, and fetch filter lists, feeds and torrents by address; udp trackers are asked through socks5, and not at all with http"),
        option(
            "proxy.proxy_for_peers", .boolean, .boolean(false),
            "dial peers through it, and never directly; uTP and the DHT go through socks5, and are off with http; who calls us is still answered directly"),
        option("proxy.proxy_for_webseeds", .boolean, .boolean(true), "fetch from web seeds through it"),
        option(
            "proxy.proxy_bypass_list", .list(maximumCount: 1000), .list([]),
            "addresses, nets like 10.0.0.0/8 and host names (with their subdomains) that are connected to directly"),
    ]

    private static let observability: [Option] = [
        option(
            "observability.log_level", .choice(["debug", "info", "warning", "error"]), .text("info"),
            "least severity that is logged")
    ]

    private static let api: [Option] = [
        option("api.enable", .boolean, .boolean(true), "serve the web page and the HTTP APIs"),
        option(
            "api.listen", .list(maximumCount: 8), .list(["127.0.0.1:8080"]), "IP:PORT to serve them on; other machines reach only what is listed here"),
        option("api.username", .text(maximumBytes: 64), .text("admin"), "name to log in with"),
        option(
            "api.password_hash", .text(maximumBytes: 512), .text(""),
            "scrypt:N:r:p:SALT:HASH, the last two in base64; empty: the password kept in the state directory, made and logged once at the first start"),
        seconds("api.session_timeout", 3600, 60...31_536_000, "how long a login lasts without a request"),
        integer("api.max_failures", 5, 1...1000, "failed logins from one address before it is refused"),
        seconds("api.ban_time", 3600, 1...31_536_000, "how long it is refused then"),
        option("api.bypass_local", .boolean, .boolean(false), "no login for requests from this machine"),
        option("api.bypass_subnets", .list(maximumCount: 64), .list([]), "no login from these networks, as 192.168.0.0/16"),
        option(
            "api.allowed_hosts", .list(maximumCount: 64), .list([]),
            "names accepted in a Host header, * allowed in them; empty: any. IP addresses and localhost are always accepted"),
        option("api.csrf_check", .boolean, .boolean(true), "refuse requests that a page of another origin caused"),
        option("api.trusted_proxies", .list(maximumCount: 64), .list([]), "addresses or networks whose X-Forwarded headers are believed"),
        option("api.tls_certificate", .path, .text(""), "PEM file of the certificate chain; with api.tls_key: HTTPS instead of HTTP"),
        option("api.tls_key", .path, .text(""), "PEM file of its private key"),
        option(
            "api.allowed_roots", .list(maximumCount: 64), .list([]),
            "folders below which HTTP clients may name paths; empty: save paths anywhere, and looking into the folders that torrents use"),
        seconds("api.stream_timeout", 60, 1...3600, "how long the stream of a file waits for its next bytes, or for a player that takes none, before the connection ends"),
        option("api.alternative_ui", .path, .text(""), "folder of another web page, served instead of the built-in one"),
    ]

    private static func option(_ key: String, _ kind: OptionKind, _ standard: OptionValue, _ doc: String, needsRestart: Bool = true) -> Option {
        Option(key: key, kind: kind, standard: standard, doc: doc, needsRestart: needsRestart)
    }
    private static func integer(
        _ key: String, _ standard: Int, _ range: ClosedRange<Int>, _ doc: String, needsRestart: Bool = true
    ) -> Option {
        option(key, .integer(range), .integer(standard), doc, needsRestart: needsRestart)
    }
    private static func seconds(_ key: String, _ standard: Double, _ range: ClosedRange<Double>, _ doc: String, needsRestart: Bool = true) -> Option {
        option(key, .seconds(range), .number(standard), doc, needsRestart: needsRestart)
    }
    /// A limit in KiB/s of payload. 50,000,000 KiB/s are 400 Gbit/s.
    private static func rate(_ key: String, _ what: String) -> Option {
        integer(key, 0, 0...50_000_000, "KiB/s \(what); 0: no limit", needsRestart: false)
    }
}

/// Levenshtein's distance in bytes. Needs short texts: its cost is their product.
func editDistance(_ a: String, _ b: String) -> Int {
    let a = Array(a.utf8.prefix(128)), b = Array(b.utf8.prefix(128))
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, y) in b.enumerated() {
            let above = row[j + 1]
            row[j + 1] = x == y ? diagonal : 1 + min(diagonal, above, row[j])
            diagonal = above
        }
    }
    return row[b.count]
}
