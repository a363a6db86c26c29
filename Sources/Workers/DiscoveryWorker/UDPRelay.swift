import CLinux
import Glibc
import LinuxIO
import Primitives
import ProxyWire
import WorkerKit

/// Few and small datagrams through a SOCKS5 proxy. The relay is asked for when there is something to send, or by who keeps it.
final class UDPRelay {
    private let loop: Loop
    private let control: RelayControl
    /// -1: there is no relay.
    private var datagrams: Int32 = -1
    private var waiting: [[UInt8]] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096 + ProxyDatagram.longestHeader, alignment: 16)

    /// Packets that wait for the relay: more are lost, as packets may be.
    private static let waitingLimit = 64
    private static let packetsPerTurn = 64

    init(loop: Loop, kind: UInt8, proxy: ProxyRules) {
        self.loop = loop
        control = RelayControl(loop: loop, kind: kind, proxy: proxy)
    }
    deinit {
        if datagrams >= 0 { Descriptor.close(datagrams) }
        buffer.deallocate()
    }

    /// While a relay is being asked for.
    var nextDeadline: Instant { control.association.deadline }
    /// For who keeps it: when to call ``keep(now:)``.
    var nextKeep: Instant { control.nextKeep }
    var isOpen: Bool { datagrams >= 0 }

    /// Sends, now or when the relay is there. The reason when there can be none.
    func send(_ packet: [UInt8], now: Instant) -> String? {
        if isOpen {
            _ = packet.withUnsafeBytes { Glibc.send(datagrams, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL)) }
            return nil
        }
        if waiting.count < Self.waitingLimit { waiting.append(packet) }
        return control.association.state == .closed ? take(control.begin(now: now)) : nil
    }

    /// Asks again for a relay that was lost, each time after a longer while. The reason when there is none.
    func keep(now: Instant) -> String? { take(control.keep(now: now)) }
    /// The reason when the proxy took too long.
    func turn(now: Instant) -> String? { take(control.expire(now: now)) }

    /// Takes a completion of this kind. `packet` is called for each datagram and whence it came (nil: from a name); the result
    /// says why the relay is gone, if it is.
    func completed(_ completion: Completion, now: Instant, packet: (UnsafeRawBufferPointer, Endpoint?) -> Void) -> String? {
        guard control.isCurrent(completion.token, datagrams) else { return take(control.completed(completion, now: now)) }
        for _ in 0..<Self.packetsPerTurn {
            let n = recv(datagrams, buffer.baseAddress!, buffer.count, Int32(MSG_DONTWAIT))
            guard n >= 0 else { break }
            if let (source, inside) = ProxyDatagram.unwrap(UnsafeRawBufferPointer(rebasing: buffer[0..<n])) { packet(inside, source) }
            // What was sent meanwhile may have ended it.
            guard isOpen else { return nil }
        }
        arm()
        return nil
    }

    private func arm() { loop.poll(datagrams, events: Int16(POLLIN), multishot: false, token: control.token(datagrams)) }

    private func take(_ outcome: RelayControl.Outcome) -> String? {
        switch outcome {
        case .none: return nil
        case .opened(let fd, relay: _):
            datagrams = fd
            arm()
            for packet in waiting { _ = send(packet, now: loop.now) }
            waiting = []
            return nil
        case .lost(let why):
            if datagrams >= 0 {
                loop.cancel(control.token(datagrams))
                Descriptor.close(datagrams)
            }
            (datagrams, waiting) = (-1, [])
            return why
        }
    }
}
