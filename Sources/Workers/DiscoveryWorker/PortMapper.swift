import CLinux
import CUPnP
import Discovery
import Glibc
import IPC
import LinuxIO
import Observe
import PortMappingWire
import Primitives
import Settings

/// Our ports at the gateway: a socket connected to it, UPnP on a thread of the pool, around ``PortMapping``.
final class PortMapper {
    /// A UPnP search takes this long; the pool's thread waits.
    private static let searchMilliseconds: Int32 = 2000
    private static let gatewayLife = TimeSpan.minutes(1)

    private let loop: Loop
    private let kind: UInt8, workKind: UInt8
    private let log: Log
    private(set) var core: PortMapping
    private let lease: UInt32
    private let mapsTCP: Bool, mapsUDP: Bool, hasDatagrams: Bool
    /// Mappings lead to this address: the one we listen on, or the kernel's choice towards the router.
    private let source: Endpoint
    private var listenPort: UInt16 = 0, dhtPort: UInt16 = 0
    private(set) var gateway: Endpoint?
    private var socket: Int32 = -1, serial: UInt32 = 0
    private var lookAt = Instant.zero
    private var work: UPnPWork?
    private var waiting: [PortMapping.Wish]?
    private var upnp: UPnPWork?
    private static let releasing: UInt32 = 1
    private(set) var isReleasing = false
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1104, alignment: 16)

    /// nil when the settings want nothing mapped. `listen`: network.listen_interface; no router forwards to loopback or, by
    /// these methods, to IPv6.
    init?(loop: Loop, kind: UInt8, workKind: UInt8, listen: Endpoint, settings: Settings, log: Log) {
        guard settings.bool("nat.auto_map_ports"), !listen.isLoopback, listen.isIPv4 || listen.isUnspecified else { return nil }
        source = listen.isUnspecified ? Endpoint(ipv4: 0, port: 0) : listen
        var allowed: [PortMapping.Method] = []
        // RFC 6887: PCP is the successor; a gateway of NAT-PMP says so in its answer.
        if settings.bool("nat.enable_nat_pmp") { allowed += [.pcp, .natpmp] }
        if settings.bool("nat.enable_upnp") { allowed.append(.upnp) }
        (mapsTCP, mapsUDP) = (settings.bool("nat.map_tcp_port"), settings.bool("nat.map_udp_port"))
        guard !allowed.isEmpty, mapsTCP || mapsUDP else { return nil }
        (self.loop, self.kind, self.workKind, self.log) = (loop, kind, workKind, log)
        lease = UInt32(settings.int("nat.port_mapping_lease_time"))
        let own = UInt16(settings.int("discovery.dht_port"))
        hasDatagrams = settings.bool("discovery.enable_dht") || settings.bool("network.enable_utp")
        dhtPort = settings.bool("discovery.enable_dht") && settings.bool("nat.map_dht_port") ? own : 0
        core = PortMapping(allowed: allowed, lease: lease, retry: settings.seconds("nat.nat_discovery_interval"), random: SeededRandom(seed: Entropy.seed()))
    }
    deinit {
        if socket >= 0 { Descriptor.close(socket) }
        buffer.deallocate()
    }

    func announcePort(_ port: UInt16, now: Instant) {
        guard port != listenPort else { return }
        listenPort = port
        lookAt = now
    }

    var nextDeadline: Instant { listenPort == 0 ? .never : min(lookAt, core.nextDeadline) }

    func turn(now: Instant) {
        guard listenPort != 0 else { return }
        var effects: [PortMapping.Effect] = []
        if now >= lookAt {
            lookAt = now + Self.gatewayLife
            let found = Gateway.ipv4()
            // Where nothing is mapped, our own address may be another one by now: a connected socket keeps the old.
            if found != gateway || found != nil && (socket < 0 || core.method == nil) {
                gateway = found
                reconnect()
            }
            var ports: [(TransportProtocol, UInt16)] = []
            if mapsTCP { ports.append((.tcp, listenPort)) }
            if mapsUDP, hasDatagrams { ports.append((.udp, listenPort)) }
            if dhtPort != 0, dhtPort != listenPort { ports.append((.udp, dhtPort)) }
            core.want(ports, client: client, now: now, into: &effects)
        }
        if core.nextDeadline <= now { core.tick(now: now, into: &effects) }
        perform(effects)
    }

    /// Our address towards the gateway.
    private var client: Endpoint? {
        guard socket >= 0 else { return nil }
        do throws(Errno) {
            var own = try Sockets.localEndpoint(socket)
            own.port = 0
            return own
        } catch { return nil }
    }

    /// Connected, so that nobody else's datagrams are answers.
    private func reconnect() {
        if socket >= 0 {
            loop.cancel(Token(kind: kind, index: serial, generation: 0))
            Descriptor.close(socket)
            socket = -1
        }
        guard var target = gateway else { return }
        target.port = NATPMP.port
        do throws(Errno) {
            let fd = try Sockets.udpSocket(bind: source)
            guard SocketAddress(target).withSockaddr({ connect(fd, $0, $1) }) == 0 else {
                let error = Errno.current
                Descriptor.close(fd)
                throw error
            }
            socket = fd
            serial &+= 1
            arm()
        } catch {
            log.debug("gateway \(target.address): \(error)")
        }
    }

    private func arm() { loop.poll(socket, events: Int16(POLLIN), multishot: false, token: Token(kind: kind, index: serial, generation: 0)) }

    func completed(_ completion: Completion, now: Instant) {
        var effects: [PortMapping.Effect] = []
        if completion.token.kind == workKind {
            if completion.token.index == Self.releasing { return isReleasing = false }
            guard let done = work else { return }
            work = nil
            if done.ports.contains(where: { $0 != 0 }) { upnp = done }
            // Other ports were wished for while the gateway was asked.
            if let wishes = waiting {
                waiting = nil
                return begin(wishes)
            }
            core.upnpEnded(done.ports, external: done.external, error: done.error, now: now, into: &effects)
            return perform(effects)
        }
        guard completion.token.index == serial, socket >= 0, completion.result >= 0 else { return }
        for _ in 0..<16 {
            let n = recv(socket, buffer.baseAddress!, buffer.count, Int32(MSG_DONTWAIT))
            guard n >= 0 else { break }
            core.received(UnsafeRawBufferPointer(rebasing: buffer[0..<n]), now: now, into: &effects)
            perform(effects)
            effects = []
        }
        arm()
    }

    private func perform(_ effects: [PortMapping.Effect]) {
        for effect in effects {
            switch effect {
            case .send(let bytes): if socket >= 0 { _ = bytes.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL)) } }
            case .upnp(let wishes):
                if work == nil { begin(wishes) } else { waiting = wishes }
            case .note(let text): log.info(text)
            }
        }
    }

    private func begin(_ wishes: [PortMapping.Wish]) {
        let job = UPnPWork(wishes, local: client?.address, milliseconds: Self.searchMilliseconds, lease: lease)
        work = job
        loop.work(token: Token(kind: workKind, index: 0, generation: 0)) { job.run() }
    }

    /// At the end of the run. UPnP takes a connection, on a thread; ``isReleasing`` until it has ended.
    func release() {
        var effects: [PortMapping.Effect] = []
        core.release(into: &effects)
        perform(effects)
        guard let ended = upnp else { return }
        upnp = nil
        isReleasing = true
        loop.work(token: Token(kind: workKind, index: Self.releasing, generation: 0)) { ended.end() }
    }

    func report() -> NatStatusReport {
        NatStatusReport(
            isOn: 1, method: core.isMapped ? core.method?.name ?? "" : "", gateway: gateway ?? Endpoint(ipv4: 0, port: 0), external: core.external ?? Endpoint(ipv4: 0, port: 0),
            failure: core.isMapped ? "" : core.failure,
            mappings: core.rows.map {
                NatMapping(
                    isUDP: $0.transport == .udp ? 1 : 0, internalPort: $0.internalPort, externalPort: $0.externalPort,
                    secondsLeft: $0.externalPort == 0 ? 0 : UInt32(max(0, ($0.expires - loop.now).seconds)))
            })
    }
}

/// Handed to the thread pool and back: one thread at a time has it.
private final class UPnPWork: @unchecked Sendable {
    private let wishes: [PortMapping.Wish]
    private let local: String?
    private let milliseconds: Int32
    private let lease: UInt32
    private var gateway = cu_gateway()
    private(set) var ports: [UInt16]
    private(set) var external: Endpoint?
    private(set) var error = ""

    init(_ wishes: [PortMapping.Wish], local: String?, milliseconds: Int32, lease: UInt32) {
        (self.wishes, self.local, self.milliseconds, self.lease) = (wishes, local, milliseconds, lease)
        ports = wishes.map { _ in 0 }
    }

    func run() -> Int32 {
        var mappings = wishes.map { cu_mapping(is_udp: $0.transport == .udp ? 1 : 0, internal_port: $0.internalPort, external_port: $0.externalPort) }
        let done = cu_map(&gateway, local, milliseconds, &mappings, Int32(mappings.count), lease)
        ports = done == 1 ? mappings.map(\.external_port) : wishes.map { _ in 0 }
        func text<T>(_ tuple: T) -> String { withUnsafeBytes(of: tuple) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) } }
        external = Endpoint(address: text(gateway.external_address), port: 0)
        error = done == 1 ? "" : text(gateway.error)
        return 0
    }

    func end() -> Int32 {
        for (wish, port) in zip(wishes, ports) where port != 0 {
            cu_unmap(&gateway, cu_mapping(is_udp: wish.transport == .udp ? 1 : 0, internal_port: wish.internalPort, external_port: port))
        }
        return 0
    }
}

enum Gateway {
    /// The next hop of the IPv4 default route with the lowest metric; nil when there is none.
    static func ipv4() -> Endpoint? {
        let fd = open("/proc/net/route", O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        // A route has 128 bytes; the default one is among the first five hundred. The kernel gives a page at a time.
        var bytes = [UInt8](repeating: 0, count: 64 << 10), count = 0
        bytes.withUnsafeMutableBytes { room in
            while count < room.count {
                let n = read(fd, room.baseAddress! + count, room.count - count)
                guard n > 0 else { break }
                count += n
            }
        }
        return parse(String(decoding: bytes.prefix(count), as: UTF8.self))
    }

    /// Columns: interface, destination, gateway, flags, refcount, use, metric, ...; addresses are hexadecimal in memory order.
    static func parse(_ table: String) -> Endpoint? {
        var best: (metric: Int, address: UInt32)?
        for line in table.split(separator: "\n").dropFirst() {
            let columns = line.split(whereSeparator: { $0 == "\t" || $0 == " " })
            guard columns.count > 7, columns[1] == "00000000", columns[7] == "00000000", let address = UInt32(columns[2], radix: 16), address != 0, let metric = Int(columns[6]) else { continue }
            if metric < best?.metric ?? .max { best = (metric, address.byteSwapped) }
        }
        return best.map { Endpoint(ipv4: $0.address, port: 0) }
    }
}
