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
final class DHTNode {
    /// Below the state directory; at most 12 KiB are written.
    static let fileName = "dht.nodes"
    private static let fileLimit = 64 << 10
    private static let saveEvery = TimeSpan.minutes(5)
    /// Datagrams read at one readiness: then the loop's others have their turn.
    private static let datagramsPerTurn = 128

    private struct Socket {
        let fd: Int32
        /// An IPv6 socket that takes IPv4 as well: addresses go in in mapped form.
        let isDual: Bool
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
    private var saveAt = Instant.never
    private var isSaving = false
    private(set) var found: [(TorrentID, [Endpoint])] = []
    private(set) var finished: [(DHTRequestID, DHTOutcome)] = []

    /// `kind`: of the tokens of this object's polls; `fileKind`: of its writes.
    init(loop: Loop, kind: UInt8, fileKind: UInt8, resolver: Resolver, settings: Settings, stateDirectory: String, log: Log) throws(Errno) {
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
        configuration.isReadOnly = settings.bool("discovery.dht_readonly_mode")
        configuration.storedItems = settings.bool("discovery.dht_enable_storage") ? settings.int("discovery.dht_max_storage_size") : 0
        configuration.itemLife = settings.seconds("discovery.dht_storage_ttl")
        core = DHTCore(configuration: configuration, random: SeededRandom(seed: Entropy.seed()), saved: Self.read(path), now: loop.now)
    }
    deinit {
        for fd in Set(sockets.values.map(\.fd)) { Descriptor.close(fd) }
        buffer.deallocate()
    }

    var isOn: Bool { !sockets.isEmpty }
    var isReadOnly: Bool { core.configuration.isReadOnly }
    var nextDeadline: Instant { isOn ? min(core.nextDeadline, saveAt) : .never }

    /// A socket of the supervisor's. One for each family: another one of the same would answer from another address than
    /// was asked.
    func listen(_ fd: Int32, _ endpoint: Endpoint, now: Instant) {
        var isV6Only: Int32 = 1, length = socklen_t(MemoryLayout<Int32>.size)
        let isDual = !endpoint.isIPv4 && getsockopt(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &isV6Only, &length) == 0 && isV6Only == 0
        var families: [AddressFamily] = [AddressFamily(endpoint)]
        if isDual { families.append(.ipv4) }
        families.removeAll { sockets[$0] != nil }
        guard !families.isEmpty else { return Descriptor.close(fd) }
        for family in families {
            sockets[family] = Socket(fd: fd, isDual: isDual)
            core.open(family)
        }
        if saveAt == .never { saveAt = now + Self.saveEvery }
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
            var from = SocketAddress()
            let n = from.withMutableSockaddr { recvfrom(fd, buffer.baseAddress!, buffer.count, Int32(MSG_DONTWAIT), $0, $1) }
            // An error here is of one datagram sent earlier (ICMP); the next read tells the truth.
            guard n >= 0 else { break }
            guard let source = from.endpoint, !(filter?.blocks(source) ?? false) else { continue }
            core.received(UnsafeRawBufferPointer(rebasing: buffer[0..<n]), from: source, now: now, into: &effects)
            perform(now)
        }
        arm(fd)
    }

    func turn(now: Instant) {
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
        guard let socket = sockets[AddressFamily(endpoint)], !(filter?.blocks(endpoint) ?? false) else { return }
        let address = socket.isDual ? SocketAddress(ipv6: endpoint, scope: 0) : SocketAddress(endpoint)
        _ = address.withSockaddr { raw, length in
            bytes.withUnsafeBytes { sendto(socket.fd, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL), raw, length) }
        }
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
