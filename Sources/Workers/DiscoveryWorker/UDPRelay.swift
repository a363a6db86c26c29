import ByteCodec
import CLinux
import Glibc
import LinuxIO
import Primitives
import ProxyWire
import WorkerKit

/// Datagrams through a SOCKS5 proxy (UDP ASSOCIATE). The relay is asked for when there is something to send, and lives as
/// long as the connection that asked for it.
///
///     closed ─send─▶ connecting ─▶ asking ─▶ open ─(the proxy hangs up)─▶ closed
final class UDPRelay {
    private enum State { case closed, connecting, asking, open }

    private let loop: Loop
    private let kind: UInt8
    private let proxy: ProxyRules
    private var state = State.closed
    private var control: Int32 = -1, datagrams: Int32 = -1
    /// Distinguishes the completions of this connection from those of the one before.
    private var serial: UInt32 = 0
    private var handshake: ProxyHandshake?
    private var held: [UInt8] = []
    private var waiting: [[UInt8]] = []
    private var deadline = Instant.never
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096 + ProxyDatagram.longestHeader, alignment: 16)

    /// Packets that wait for the relay: more are lost, as packets may be.
    private static let waitingLimit = 64
    private static let patience = TimeSpan.seconds(10)
    private static let packetsPerTurn = 64

    init(loop: Loop, kind: UInt8, proxy: ProxyRules) {
        (self.loop, self.kind, self.proxy) = (loop, kind, proxy)
    }
    deinit {
        for fd in [control, datagrams] where fd >= 0 { Descriptor.close(fd) }
        buffer.deallocate()
    }

    /// While a relay is being asked for.
    var nextDeadline: Instant { deadline }
    var isOpen: Bool { state == .open }
    var isClosed: Bool { state == .closed }

    /// Sends, now or when the relay is there. The reason when there can be none.
    func send(_ packet: [UInt8], now: Instant) -> String? {
        switch state {
        case .open:
            _ = packet.withUnsafeBytes { Glibc.send(datagrams, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL)) }
        case .connecting, .asking: if waiting.count < Self.waitingLimit { waiting.append(packet) }
        case .closed:
            waiting = [packet]
            return begin(now: now)
        }
        return nil
    }

    /// Asks for a relay. Needs `isClosed`.
    func begin(now: Instant) -> String? {
        do throws(Errno) {
            control = try Sockets.streamSocket(for: proxy.endpoint)
        } catch { return "proxy: \(error)" }
        serial = (serial + 1) & 0xFF_FFFF
        state = .connecting
        deadline = now + Self.patience
        loop.connect(control, SocketAddress(proxy.endpoint), token: token(control))
        return nil
    }

    /// Takes a completion of this kind. `packet` is called for each datagram and whence it came (nil: from a name); the result
    /// says why the relay is gone, if it is.
    func completed(_ completion: Completion, packet: (UnsafeRawBufferPointer, Endpoint?) -> Void) -> String? {
        guard completion.token.generation == serial, state != .closed else { return nil }
        let fd = Int32(bitPattern: completion.token.index)
        switch state {
        case .connecting: return completion.result < 0 ? close("\(Errno(-completion.result))") : ask()
        case .asking: return hear()
        case .open where fd == datagrams: return read(packet)
        case .open:
            // It says nothing more: this is its end.
            return close("it hung up")
        case .closed: return nil
        }
    }

    /// The reason when the proxy took too long.
    func turn(now: Instant) -> String? { deadline <= now ? close("no answer") : nil }

    private func token(_ fd: Int32) -> Token { Token(kind: kind, index: UInt32(bitPattern: fd), generation: serial) }
    private func arm(_ fd: Int32) { loop.poll(fd, events: Int16(POLLIN), multishot: false, token: token(fd)) }

    private func ask() -> String? {
        var out = ByteWriter(capacity: 64)
        handshake = ProxyHandshake(associating: proxy.credentials, into: &out)
        held = []
        state = .asking
        return say(out)
    }

    /// A few bytes on a fresh connection always fit.
    private func say(_ out: borrowing ByteWriter) -> String? {
        if out.count > 0 {
            let sent = Glibc.send(control, out.bytes.baseAddress, out.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            guard sent == out.count else { return close("it takes nothing") }
        }
        arm(control)
        return nil
    }

    private func hear() -> String? {
        let n = recv(control, buffer.baseAddress!, buffer.count, Int32(MSG_DONTWAIT))
        guard n > 0 else { return close("it hung up") }
        held += buffer[0..<n]
        var out = ByteWriter(capacity: 600)
        let (consumed, step) = held.withUnsafeBytes { handshake!.receive($0, into: &out) }
        held.removeFirst(consumed)
        switch step {
        case .needMore: return say(out)
        case .failed(let failure): return close(failure.description)
        case .done: return open(handshake!.relay!)
        }
    }

    private func open(_ said: Endpoint) -> String? {
        // RFC 1928 lets it say 0.0.0.0, for its own address.
        let target = said.isUnspecified ? Endpoint(high: proxy.endpoint.high, low: proxy.endpoint.low, port: said.port) : said
        do throws(Errno) {
            datagrams = try Sockets.udpSocket(bind: target.isIPv4 ? Endpoint(ipv4: 0, port: 0) : Endpoint(high: 0, low: 0, port: 0))
        } catch { return close("\(error)") }
        // Connected: the kernel lets in what comes from the relay, and nothing else.
        guard SocketAddress(target).withSockaddr({ connect(datagrams, $0, $1) }) == 0 else { return close("\(Errno.current)") }
        state = .open
        deadline = .never
        arm(datagrams)
        arm(control)
        for packet in waiting { _ = send(packet, now: loop.now) }
        waiting = []
        return nil
    }

    private func read(_ packet: (UnsafeRawBufferPointer, Endpoint?) -> Void) -> String? {
        for _ in 0..<Self.packetsPerTurn {
            let n = recv(datagrams, buffer.baseAddress!, buffer.count, Int32(MSG_DONTWAIT))
            guard n >= 0 else { break }
            if let (source, inside) = ProxyDatagram.unwrap(UnsafeRawBufferPointer(rebasing: buffer[0..<n])) { packet(inside, source) }
        }
        arm(datagrams)
        return nil
    }

    private func close(_ why: String) -> String {
        for fd in [control, datagrams] where fd >= 0 {
            loop.cancel(token(fd))
            Descriptor.close(fd)
        }
        (control, datagrams, state, deadline, waiting, handshake) = (-1, -1, .closed, .never, [], nil)
        return "proxy \(proxy.endpoint): \(why)"
    }
}
