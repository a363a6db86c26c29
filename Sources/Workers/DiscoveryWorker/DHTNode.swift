import CLinux
import DHT
import Discovery
import Filtering
import Glibc
import KRPC
import LinuxIO
import Observe
import Primitives
import Settings
import WorkerKit

/// Our node of the DHT: the supervisor's datagram socket, the clock and the file of known nodes around ``DHTCore``.
///
///     socket ─▶ completed ─▶ core ─▶ perform ─▶ socket, peers to the session, answers to front ends
///     names of bootstrap hosts ─▶ Resolver ─▶ resolved ─▶ core
///
/// Where peers are reached through a SOCKS5 proxy, ``DHTRelay`` stands in the socket's place, and nothing else is sent through.
/// Nobody can ask us there, so we are read-only (BEP 43), and our address, which is not the proxy's, is not announced.
final class DHTNode {
    /// Below the state directory; at most 12 KiB are written.
    static let fileName = "dht.nodes"
    private static let fileLimit = 64 << 10
    private static let saveEvery = TimeSpan.minutes(5)
    /// Datagrams read at one readiness: then the loop's others have their turn.
    private static let datagramsPerTurn = 128

    private struct Socket {
        let fd: Int32
        /// It may take IPv4 as well: addresses go in in mapped form.
        let isIPv6: Bool
    }
    private struct Host {
        let name: String
        let port: UInt16
    }

    private let loop: Loop
    private let kind: UInt8, fileKind: UInt8
    private let resolver: Resolver
    private let path: String
    private let log: Log
    private let hosts: [Host]
    private(set) var core: DHTCore
    private var sockets: [AddressFamily: Socket] = [:]
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: KRPC.datagramLimit + 1, alignment: 16)
    /// Nodes of addresses that the user refuses are neither heard nor asked.
    var filter: AddressFilter?
    private var effects: [DHTEffect] = []
    /// Whose datagram is worked on, and at which address of ours it came: what goes back to him comes from there (BEP 45).
    private var asker: (source: Endpoint, local: Endpoint)?
    private var saveAt = Instant.never
    private var isSaving = false
    private(set) var found: [(TorrentID, [Endpoint])] = []
    private(set) var finished: [(DHTRequestID, DHTOutcome)] = []

    /// `kind`: of the tokens of this object's polls; `fileKind`: of its writes.
    init(loop: Loop, kind: UInt8, fileKind: UInt8, resolver: Resolver, settings: Settings, stateDirectory: String, relay: DHTRelay?, log: Log) throws(Errno) {
        self.relay = relay
        self.loop = loop
        (self.kind, self.fileKind) = (kind, fileKind)
        self.resolver = resolver
        self.log = log
        let folder = DiscoveryFolder.path(stateDirectory)
        mkdir(folder, 0o700)
        path = folder + "/" + Self.fileName
        hosts = settings.list("discovery.dht_bootstrap_nodes").compactMap { text in
            guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port != 0 else { return nil }
            let name = text[..<colon].drop { $0 == "[" }
            return Host(name: String(name.last == "]" ? name.dropLast() : name), port: port)
        }
        var secret = [UInt8](repeating: 0, count: 32)
        guard getentropy(&secret, 32) == 0 else { throw .current }
        var configuration = DHTConfiguration(secret: secret)
        configuration.isReadOnly = settings.bool("discovery.dht_readonly_mode") || relay != nil
        configuration.storedItems = settings.bool("discovery.dht_enable_storage") ? settings.int("discovery.dht_max_storage_size") : 0
        configuration.itemLife = settings.seconds("discovery.dht_storage_ttl")
        core = DHTCore(configuration: configuration, random: SeededRandom(seed: Entropy.seed()), saved: Self.read(path), now: loop.now)
    }
    deinit {
        for fd in Set(sockets.values.map(\.fd)) { Descriptor.close(fd) }
        buffer.deallocate()
    }

    private let relay: DHTRelay?
    var isOn: Bool { relay?.isOpen ?? !sockets.isEmpty }
    /// Why it is off for now; empty: it is on, or has no port.
    var refusal: String { relay.map { $0.isOpen ? "" : $0.fault } ?? "" }
    var isReadOnly: Bool { core.configuration.isReadOnly }
    var nextDeadline: Instant { min(relay?.nextDeadline ?? .never, isOn ? min(core.nextDeadline, saveAt) : .never) }

    /// A socket of the supervisor's. One for each family: another one of the same would answer from another address than
    /// was asked.
    func listen(_ fd: Int32, _ endpoint: Endpoint, now: Instant) {
        // The port stays the supervisor's: what comes there is not answered.
        guard relay == nil else { return Descriptor.close(fd) }
        var isV6Only: Int32 = 1, length = socklen_t(MemoryLayout<Int32>.size)
        let isDual = !endpoint.isIPv4 && getsockopt(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &isV6Only, &length) == 0 && isV6Only == 0
        var families: [AddressFamily] = [AddressFamily(endpoint)]
        if isDual { families.append(.ipv4) }
        families.removeAll { sockets[$0] != nil }
        guard !families.isEmpty else { return Descriptor.close(fd) }
        for family in families {
            sockets[family] = Socket(fd: fd, isIPv6: !endpoint.isIPv4)
            core.open(family)
        }
        if saveAt == .never { saveAt = now + Self.saveEvery }
        AddressedDatagrams.prepare(fd, isIPv6: !endpoint.isIPv4)
        arm(fd)
    }

    private func arm(_ fd: Int32) {
        loop.poll(fd, events: Int16(POLLIN), multishot: false, token: Token(kind: kind, index: UInt32(bitPattern: fd), generation: 0))
    }

    // MARK: events

    func completed(_ completion: Completion, now: Instant) {
        if completion.token.kind == fileKind {
            isSaving = false
            if completion.result < 0 { log.warning("\(path): \(Errno(-completion.result)); known DHT nodes are not kept") }
            return
        }
        let fd = Int32(bitPattern: completion.token.index)
        for _ in 0..<Self.datagramsPerTurn {
            // An error here is of one datagram sent earlier (ICMP); the next readiness tells the truth.
            guard let (n, source, local) = AddressedDatagrams.receive(fd, into: buffer) else { break }
            guard !(filter?.blocks(source) ?? false) else { continue }
            asker = local.map { (source, $0) }
            core.received(UnsafeRawBufferPointer(rebasing: buffer[0..<n]), from: source, now: now, into: &effects)
            perform(now)
        }
        asker = nil
        arm(fd)
    }

    func relayCompleted(_ completion: Completion, now: Instant) {
        relay?.completed(completion, now: now) { [self] packet, source in
            guard !(filter?.blocks(source) ?? false) else { return }
            core.received(packet, from: source, now: now, into: &effects)
            perform(now)
        }
    }

    func turn(now: Instant) {
        if let relay {
            relay.turn(now: now)
            if relay.isOpen, saveAt == .never {
                saveAt = now + Self.saveEvery
                for family in relay.families { core.open(family) }
            }
        }
        guard isOn else { return }
        if core.nextDeadline <= now {
            core.tick(now: now, into: &effects)
            perform(now)
        }
        if saveAt <= now {
            saveAt = now + Self.saveEvery
            save()
        }
    }

    /// A lookup's end, from ``Resolver/completed(_:now:)``.
    func resolved(_ name: String, _ answer: AddressCache.Answer, now: Instant) {
        guard case .known(let addresses) = answer else { return }
        let wanted = hosts.filter { $0.name == name } + asked.filter { $0.name == name }
        asked.removeAll { $0.name == name }
        contacts(wanted.flatMap { host in addresses.map { Endpoint(high: $0.high, low: $0.low, port: host.port) } }, now: now)
    }
    /// Of torrents; their names are being looked up.
    private var asked: [Host] = []

    func contacts(_ endpoints: [Endpoint], now: Instant) {
        guard isOn, !endpoints.isEmpty else { return }
        core.contacts(endpoints, now: now, into: &effects)
        perform(now)
    }

    /// `nodes` of a torrent (BEP 5).
    func hosts(_ hosts: [(name: String, port: UInt16)], now: Instant) {
        guard isOn else { return }
        // A table that stands needs no more names looked up; a torrent names a handful.
        guard core.status.families.contains(where: { $0.nodes < 8 }) else { return }
        for host in hosts.prefix(16) where host.port != 0 && asked.count < 64 { find(Host(name: host.name, port: host.port), now: now) }
    }

    private func find(_ host: Host, now: Instant) {
        // The proxy looks names up.
        if let relay { return contacts(relay.contact(host.name, host.port).map { [$0] } ?? [], now: now) }
        switch resolver.find(host.name, now: now) {
        case .known(let addresses): contacts(addresses.map { Endpoint(high: $0.high, low: $0.low, port: host.port) }, now: now)
        case .lookUp, .wait: if !hosts.contains(where: { $0.name == host.name && $0.port == host.port }) { asked.append(host) }
        case .failed: break
        }
    }

    // MARK: torrents and requests

    func torrent(_ id: TorrentID, _ infoHash: InfoHash, isSeed: Bool, now: Instant) { core.torrentAdded(id, infoHash, isSeed: isSeed, now: now) }
    func remove(_ id: TorrentID) { core.torrentRemoved(id) }
    func completed(_ id: TorrentID) { core.torrentCompleted(id) }
    func peersWanted(_ id: TorrentID, now: Instant) { core.peersWanted(id, now: now) }
    func announcePort(_ port: UInt16) { core.setAnnouncePort(port) }

    func lookUp(_ id: DHTRequestID, _ infoHash: InfoHash, now: Instant) {
        core.lookUp(id, NodeID(infoHash), now: now, into: &effects)
        perform(now)
    }
    func get(_ id: DHTRequestID, _ target: SHA1Digest, salt: [UInt8], now: Instant) {
        core.get(id, NodeID(target), salt: salt, now: now, into: &effects)
        perform(now)
    }
    func put(_ id: DHTRequestID, value: [UInt8], _ item: ItemSignature?, salt: [UInt8], cas: Int64?, now: Instant) {
        core.put(id, value: value, item, salt: salt, cas: cas, now: now, into: &effects)
        perform(now)
    }

    func takeFound() -> [(TorrentID, [Endpoint])] {
        defer { found = [] }
        return found
    }
    func takeFinished() -> [(DHTRequestID, DHTOutcome)] {
        defer { finished = [] }
        return finished
    }

    private func perform(_ now: Instant) {
        while !effects.isEmpty {
            let list = effects
            effects.removeAll(keepingCapacity: true)
            for effect in list {
                switch effect {
                case .send(let endpoint, let bytes): send(bytes, to: endpoint)
                case .peers(let torrent, let endpoints): found.append((torrent, endpoints))
                case .finished(let id, let outcome): finished.append((id, outcome))
                case .bootstrapWanted: for host in hosts { find(host, now: now) }
                case .externalAddress(let endpoint): log.info("other DHT nodes see us at \(endpoint.address)")
                }
            }
        }
    }

    /// What is not sent is lost as any datagram may be; the core asks again.
    private func send(_ bytes: [UInt8], to endpoint: Endpoint) {
        guard !(filter?.blocks(endpoint) ?? false) else { return }
        if let relay { return relay.send(bytes, to: endpoint) }
        guard let socket = sockets[AddressFamily(endpoint)] else { return }
        AddressedDatagrams.send(socket.fd, isIPv6: socket.isIPv6, bytes, to: endpoint, from: asker.flatMap { $0.source == endpoint ? $0.local : nil })
    }

    // MARK: known nodes

    /// In one step, so that a crash leaves the old file or the new one.
    private func save() {
        guard !isSaving else { return }
        isSaving = true
        let bytes = core.saved(), path = self.path
        loop.work(token: Token(kind: fileKind, index: 0, generation: 0)) { Self.write(bytes, path) }
    }
    /// At the end of the process, when no loop runs any more: 12 KiB without a sync, since losing them costs a minute.
    func saveNow() {
        guard isOn, !isSaving else { return }
        _ = Self.write(core.saved(), path)
    }

    private static func write(_ bytes: [UInt8], _ path: String) -> Int32 {
        let fresh = path + ".new"
        let fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard fd >= 0 else { return -errno }
        let n = bytes.withUnsafeBytes { Glibc.write(fd, $0.baseAddress!, $0.count) }
        let failure = n == bytes.count ? 0 : n < 0 ? -errno : -EIO
        close(fd)
        guard failure == 0 else { return failure }
        return rename(fresh, path) == 0 ? 0 : -errno
    }
    private static func read(_ path: String) -> [UInt8] {
        let fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard fd >= 0 else { return [] }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: fileLimit)
        let n = bytes.withUnsafeMutableBytes { Glibc.read(fd, $0.baseAddress!, $0.count) }
        return Array(bytes.prefix(max(0, n)))
    }
}
