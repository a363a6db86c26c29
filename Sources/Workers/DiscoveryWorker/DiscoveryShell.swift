import ByteCodec
import DHT
import Discovery
import Filtering
import Glibc
import IPC
import LinuxIO
import Observe
import Primitives
import Settings
import Supervision
import TrackerWire
import WorkerKit

/// The discovery worker: asks trackers, the DHT and the local network for peers. The decisions are ``AnnounceCore``'s; here are its clock, its
/// sockets and its edge to the session worker.
///
/// ```
/// session ──frames──▶ SessionEdge ──events──▶ AnnounceCore ──effects──▶ HTTPTracker, UDPTracker ──▶ trackers
/// session ◀──TrackerStatus, DiscoveryPeers──────────┘  ◀────────── outcomes ─────────┘
/// ```
package final class DiscoveryShell: WorkerShell {
    package static let role = WorkerRole.discovery

    enum Kind {
        static let http: UInt8 = 16
        static let udp: UInt8 = 17
        static let lookup: UInt8 = 18
        static let relay: UInt8 = 19
        static let dhtRelay: UInt8 = 25
        static let list: UInt8 = 60
        static let dht: UInt8 = 20
        static let dhtFile: UInt8 = 21
        static let mail: UInt8 = 61
        static let lsd: UInt8 = 22
        static let gateway: UInt8 = 23
        static let upnp: UInt8 = 24
    }
    /// Unread bytes to the session above which no announce is begun: two hundred full answers.
    private static let queueHigh = 8 << 20
    /// While a new session is told everything again, its queue is kept below this.
    private static let replayHigh = 1 << 20
    private static let replayStep = 256
    /// RELIABILITY: `stopped` gets 5 s in all.
    private static let drainLimit = TimeSpan.seconds(5)
    /// For the last frames to leave before the supervisor's own deadline.
    private static let drainReserve = TimeSpan.milliseconds(300)
    private static let localAddressLife = TimeSpan.minutes(5)

    let kit: WorkerKit
    private let log: Log
    var core: AnnounceCore
    let http: HTTPTracker
    let udp: UDPTracker
    let lists: ListFetch
    let mails: MailTransfer
    /// Nodes and peers that it refuses are neither asked nor passed on.
    var filter: AddressFilter?
    private let resolver: Resolver
    /// Why there is no DHT; empty when there is.
    let dhtRefusal: String
    /// nil when discovery.enable_dht is false, or peers may be spoken to through an HTTP proxy only.
    let dht: DHTNode?
    /// nil when the settings want no port mapped.
    let ports: PortMapper?
    /// nil when discovery.enable_lsd is false.
    let lsd: LSDSocket?
    /// Requests under way; the core bounds them.
    var dhtRequests: [DHTRequestID: DHTRequestKind] = [:]
    /// What the DHT and the local network may be told of: every torrent of the session, with its flags.
    /// A hybrid has two rows, as it has for the trackers.
    var swarms: [TorrentID: (infoHash: InfoHash, flags: TorrentFlags)] = [:]
    /// As the session knows it, and when it may hear again.
    var toldNodes: UInt32?
    var nextNodes = Instant.zero
    var scrapes: [RequestID: (ScrapeTarget, UInt64)] = [:]
    var scrapeJobs: [UInt64: ScrapeJob] = [:]
    var scrapeNumber: UInt32 = 0
    private var effects: [AnnounceCore.Effect] = []
    /// Torrents with two info-hashes, and those that have the v2 one alone.
    var hybrids: Set<UInt32> = [], version2Only: Set<UInt32> = []
    private(set) var session: Edge?
    private var isStarted = false
    private var isReplayed = false
    private var isReady = false
    /// Next row to tell a new session about; nil when it knows all.
    private var replayCursor: Int?
    private var localAddressesAt = Instant.zero
    /// The trackers were told that we stop.
    private var saidGoodbye = false
    package private(set) var progress: UInt64 = 0

    package init(kit: WorkerKit) throws {
        self.kit = kit
        log = Log(kit.name.description)
        let settings = kit.settings
        var configuration = AnnounceCore.Configuration()
        configuration.perHost = settings.int("network.tracker_connections_per_host")
        configuration.total = settings.int("network.tracker_connection_limit")
        configuration.interval = settings.seconds("discovery.tracker_announce_interval")
        configuration.httpEnabled = settings.bool("discovery.enable_http_trackers")
        configuration.udpEnabled = settings.bool("discovery.enable_udp_trackers")
        core = AnnounceCore(configuration: configuration, random: SeededRandom(seed: Entropy.seed()))

        // Who listens on one address only is found at that address only: announces come from there (BEP 7).
        let listen = Endpoint(address: settings.string("network.listen_interface"), port: 0)!
        let source = listen.isUnspecified ? nil : listen
        let timeout = settings.seconds("network.tracker_timeout")
        let proxy = ProxyRules(settings)
        dhtRefusal =
            !settings.bool("discovery.enable_dht")
            ? "discovery.enable_dht is false" : proxy.coversPeers && proxy.kind != .socks5 ? "datagrams do not go through an http proxy, and nothing goes past it (proxy.proxy_for_peers)" : ""
        if settings.bool("discovery.enable_dht"), !dhtRefusal.isEmpty { log.warning("the DHT is off: \(dhtRefusal)") }
        lists = try ListFetch(loop: kit.loop, kind: Kind.list, proxy: proxy)
        mails = try MailTransfer(loop: kit.loop, kind: Kind.mail)
        resolver = Resolver(loop: kit.loop, kind: Kind.lookup)
        ports = PortMapper(loop: kit.loop, kind: Kind.gateway, workKind: Kind.upnp, listen: listen, settings: settings, log: log)
        var random = SeededRandom(seed: Entropy.seed())
        lsd = settings.bool("discovery.enable_lsd") ? LSDSocket(loop: kit.loop, kind: Kind.lsd, listen: listen, random: &random, log: log) : nil
        dht =
            dhtRefusal.isEmpty
            ? try DHTNode(
                loop: kit.loop, kind: Kind.dht, fileKind: Kind.dhtFile, resolver: resolver, settings: settings, stateDirectory: kit.stateDirectory,
                relay: proxy.coversPeers ? DHTRelay(loop: kit.loop, kind: Kind.dhtRelay, proxy: proxy, log: log) : nil, log: log) : nil
        // Twice the time of HTTP: BEP 15 waits 15 s, then 30 s, for a packet that may have been lost.
        udp = try UDPTracker(loop: kit.loop, kind: Kind.udp, resolver: resolver, source: source, whole: timeout * 2, proxy: proxy, relayKind: Kind.relay)
        http = try HTTPTracker(
            loop: kit.loop, kind: Kind.http,
            limits: HTTPTracker.Limits(
                connections: configuration.total, connectionsPerHost: configuration.perHost, whole: timeout,
                connect: settings.seconds("network.tracker_connect_timeout"), source: source?.address, proxy: proxy))
    }

    package func edgeOpened(_ edge: Edge) {
        guard edge.role == .session else { return }
        session = edge
        toldNodes = nil
        feed(.replayBegan)
    }
    package func edgeClosed(_ edge: Edge) {
        guard edge == session else { return }
        scrapeJobs = [:]
        // Announcing goes on with what is known: trackers would drop us otherwise.
        session = nil
        replayCursor = nil
    }
    package func arenaGiven(shard: UInt16, slotCount: Int, fd: Int32, byteCount: Int) { Descriptor.close(fd) }
    package func listenerGiven(_ kind: ListenerKind, fd: Int32, endpoint: Endpoint) {
        guard kind == .discoveryUDP, let dht else { return Descriptor.close(fd) }
        dht.listen(fd, endpoint, now: kit.loop.now)
    }
    package func control(_ frame: Frame) {}

    package func start() {
        isStarted = true
        sayReady()
    }
    private func sayReady() {
        guard isStarted, isReplayed, !isReady else { return }
        isReady = true
        kit.ready()
    }

    package func received(_ frame: Frame, from edge: Edge) {
        guard edge == session else { return }
        progress &+= 1
        do throws(DecodeError) {
            try receivedFromSession(frame)
        } catch {
            kit.breakLink(edge, "\(error)")
        }
    }
    func replayEnded() {
        if isReplayed { replayCursor = 0 }
        isReplayed = true
        sayReady()
    }

    package func completed(_ completion: Completion) {
        let now = kit.loop.now
        switch completion.token.kind {
        case Kind.http: http.completed(completion)
        case Kind.udp, Kind.relay: udp.completed(completion, now: now)
        case Kind.list: lists.completed(completion)
        case Kind.mail: mails.completed(completion)
        case Kind.gateway, Kind.upnp: ports?.completed(completion, now: now)
        case Kind.lsd: lsd?.completed(completion, now: now)
        case Kind.dhtRelay: dht?.relayCompleted(completion, now: now)
        case Kind.dht, Kind.dhtFile: dht?.completed(completion, now: now)
        case Kind.lookup:
            guard let end = resolver.completed(completion, now: now) else { return }
            udp.resolved(end.host, end.answer, now: now)
            dht?.resolved(end.host, end.answer, now: now)
        default: preconditionFailure("completion of kind \(completion.token.kind)")
        }
    }

    package func turn(now: Instant) -> Instant {
        if now >= localAddressesAt {
            localAddressesAt = now + Self.localAddressLife
            feed(.localAddresses(Resolver.localAddresses()))
        }
        feed(.held(session.map { kit.queuedBytes($0) > Self.queueHigh } ?? false))
        tellAgain()
        // An outcome may begin the next announce, which may end at once.
        repeat {
            http.turn(now: now)
            udp.turn(now: now)
            for (id, outcome) in http.takeEnded() + udp.takeEnded() {
                progress &+= 1
                feed(.ended(id, outcome))
            }
            if core.nextDeadline <= now { feed(.tick) }
        } while !http.ended.isEmpty || !udp.ended.isEmpty
        tellScrapes()
        for end in lists.turn(now: now) { send(ListFetched(url: end.request.url, byteCount: end.byteCount, message: end.failure)) }
        for end in mails.turn(now: now) {
            progress &+= 1
            answer(MailSent(message: end.failure), end.correlation)
        }
        for (correlation, outcome) in http.takeFetched() {
            progress &+= 1
            sendFetched(correlation, outcome)
        }
        dht?.turn(now: now)
        tellDHT()
        ports?.turn(now: now)
        lsd?.turn(now: now)
        tellLSD()
        tellNodes(now)
        var next = min(core.nextDeadline, min(lists.nextDeadline, mails.nextDeadline), http.nextDeadline, udp.nextDeadline, localAddressesAt)
        if let dht { next = min(next, dht.nextDeadline) }
        if let lsd { next = min(next, lsd.nextDeadline) }
        if let ports { next = min(next, ports.nextDeadline) }
        if replayCursor != nil { next = min(next, now + .milliseconds(20)) }
        // The router's answer to the end of the mappings is waited for as well, within the time that is given for all.
        if saidGoodbye, !(ports?.isReleasing ?? false) { kit.drained() }
        return next
    }

    package func drain(deadline: Instant) {
        // A supervisor that was killed is started again: to the trackers the torrents never stopped.
        guard !kit.supervisorGone else { return kit.drained() }
        let now = kit.loop.now
        dht?.saveNow()
        ports?.release()
        feed(.drain(deadline: max(now, min(now + Self.drainLimit, deadline - Self.drainReserve))))
    }

    /// One event through the core, its effects performed.
    func feed(_ event: AnnounceCore.Event) {
        let now = kit.loop.now
        effects.removeAll(keepingCapacity: true)
        core.handle(event, now: now, into: &effects)
        perform(now)
    }

    private func tellLSD() {
        for (torrent, peer) in lsd?.takeFound() ?? [] {
            send(found([peer], of: torrent, .lsd))
        }
    }

    private func tellAgain() {
        guard var cursor = replayCursor, let session else { return }
        effects.removeAll(keepingCapacity: true)
        var isMore = true
        while isMore, kit.queuedBytes(session) < Self.replayHigh {
            isMore = core.report(from: &cursor, limit: Self.replayStep, into: &effects)
            perform(kit.loop.now)
            effects.removeAll(keepingCapacity: true)
        }
        replayCursor = isMore ? cursor : nil
    }

    private func perform(_ now: Instant) {
        for effect in effects {
            switch effect {
            case .announce(let id, let url, let request):
                if url.scheme == .udp { udp.begin(id, url, request, now: now) } else { http.begin(id, url, request, now: now) }
            case .peers(let torrent, let found):
                let endpoints = filter.map { filter in found.filter { !filter.blocks($0) } } ?? found
                send(self.found(endpoints, of: torrent, .tracker))
            case .report(let report) where report.torrent.rawValue & Self.version2Mark != 0:
                // Shown and kept is what trackers say of the first hash; it alone decides when they are asked after a restart.
                break
            case .report(let report): send(status(report, now))
            case .breaker(let host, let transition):
                let why = transition.reason.map { ": \($0)" } ?? ""
                log.warning("breaker tracker \(host) \(transition.from)->\(transition.to)\(why)")
            case .drained: saidGoodbye = true
            }
        }
    }

    func send<M: IPCMessage>(_ message: M) { answer(message, 0) }
    func answer<M: IPCMessage>(_ message: M, _ correlation: UInt64) {
        if let session { kit.send(message, to: session, correlation: correlation) }
    }
}
