import CLinux
import Discovery
import Glibc
import LSDWire
import LinuxIO
import Observe
import Primitives

/// Local service discovery (BEP 14): one socket for each family around ``LocalDiscovery``, in the multicast group on every
/// interface that has one.
final class LSDSocket {
    /// BEP 14 lets an implementation go past the first router; a home or a lab has few.
    private static let hops: Int32 = 4
    private static let interfacesLife = TimeSpan.minutes(5)
    private static let datagramsPerTurn = 32

    private let loop: Loop
    private let kind: UInt8
    private let log: Log
    /// The only address that we listen on; nil when it is all.
    private let only: Endpoint?
    private(set) var core: LocalDiscovery
    private var four: Int32 = -1, six: Int32 = -1
    private var interfaces: [(index: UInt32, address: Endpoint)] = []
    private var interfacesAt = Instant.zero
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: LSDMessage.byteLimit + 1, alignment: 16)
    var announcePort: UInt16 = 0
    private(set) var found: [(TorrentID, Endpoint)] = []

    /// `listen`: network.listen_interface. Announcing over a family that nobody listens on would name a port where nobody answers.
    init(loop: Loop, kind: UInt8, listen: Endpoint, random: inout SeededRandom, log: Log) {
        (self.loop, self.kind, self.log) = (loop, kind, log)
        only = listen.isUnspecified ? nil : listen
        core = LocalDiscovery(random: &random)
        // [::] takes IPv4 as well.
        if listen.isIPv4 || listen.isUnspecified { four = open(Endpoint(ipv4: 0, port: LSDMessage.port)) }
        if !listen.isIPv4 { six = open(Endpoint(high: 0, low: 0, port: LSDMessage.port)) }
    }
    deinit {
        for fd in [four, six] where fd >= 0 { Descriptor.close(fd) }
        buffer.deallocate()
    }

    /// -1 when it is refused: the rest of discovery works without.
    private func open(_ endpoint: Endpoint) -> Int32 {
        do throws(Errno) {
            let fd = try Sockets.multicastSocket(bind: endpoint, hops: Self.hops)
            arm(fd)
            return fd
        } catch {
            log.warning("local service discovery on \(endpoint): \(error)")
            return -1
        }
    }

    private func arm(_ fd: Int32) {
        loop.poll(fd, events: Int16(POLLIN), multishot: false, token: Token(kind: kind, index: UInt32(bitPattern: fd), generation: 0))
    }

    func add(_ id: TorrentID, _ infoHash: InfoHash, now: Instant) { core.add(id, infoHash, now: now) }
    func remove(_ infoHash: InfoHash) { core.remove(infoHash) }

    var nextDeadline: Instant {
        guard four >= 0 || six >= 0 else { return .never }
        return min(interfacesAt, announcePort == 0 ? .never : core.nextDeadline)
    }

    func turn(now: Instant) {
        guard four >= 0 || six >= 0 else { return }
        if now >= interfacesAt {
            interfacesAt = now + Self.interfacesLife
            joinAll()
        }
        guard let message = core.announce(port: announcePort, now: now) else { return }
        // One on each interface, as BEP 14 has it.
        for interface in interfaces { send(message, on: interface) }
    }

    func completed(_ completion: Completion, now: Instant) {
        let fd = Int32(bitPattern: completion.token.index)
        for _ in 0..<Self.datagramsPerTurn {
            var from = SocketAddress()
            let n = from.withMutableSockaddr { recvfrom(fd, buffer.baseAddress!, buffer.count, Int32(MSG_DONTWAIT), $0, $1) }
            guard n >= 0 else { break }
            guard let source = from.endpoint else { continue }
            found += core.heard(UnsafeRawBufferPointer(rebasing: buffer[0..<n]), from: source, now: now)
        }
        arm(fd)
    }

    func takeFound() -> [(TorrentID, Endpoint)] {
        defer { found = [] }
        return found
    }

    /// Interfaces come and go with cables and tunnels; one that was joined already says so, which is no error.
    private func joinAll() {
        interfaces = []
        for interface in NetworkInterfaces.multicast() {
            let isIPv4 = interface.address.isIPv4
            guard (isIPv4 ? four : six) >= 0 else { continue }
            if let only { guard only.high == interface.address.high, only.low == interface.address.low else { continue } }
            // Of several addresses of one interface the first.
            guard !interfaces.contains(where: { $0.index == interface.index && $0.address.isIPv4 == isIPv4 }) else { continue }
            interfaces.append(interface)
            try? Sockets.joinGroup(isIPv4 ? four : six, isIPv4 ? LSDMessage.groupIPv4 : LSDMessage.groupIPv6, interface: interface.index)
        }
    }

    private func send(_ message: LSDMessage, on interface: (index: UInt32, address: Endpoint)) {
        let isIPv4 = interface.address.isIPv4, fd = isIPv4 ? four : six
        let bytes = message.encoded(ipv6: !isIPv4)
        do throws(Errno) {
            try Sockets.sendFrom(fd, interface: interface.index, interface.address)
        } catch {
            return log.debug("local service discovery on \(interface.address.address): \(error)")
        }
        _ = SocketAddress(isIPv4 ? LSDMessage.groupIPv4 : LSDMessage.groupIPv6).withSockaddr { address, length in
            bytes.withUnsafeBytes { sendto(fd, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL), address, length) }
        }
    }
}
