import ByteCodec
import CLinux
import Glibc
import LinuxIO
import Primitives
import ProxyWire
import Relaying

/// The TCP connection that holds a relay for datagrams open at a SOCKS5 proxy, around the pure ``RelayAssociation``.
package final class RelayControl {
    package enum Outcome {
        case none
        /// A datagram socket, the caller's to close. It is connected to the relay: the kernel lets nothing else in, and nothing out
        /// without an address of its own.
        case opened(Int32, relay: Endpoint)
        /// There is no relay, or none any more: why. The datagram socket, if there was one, is of no use.
        case lost(String)
    }

    private let loop: Loop
    private let kind: UInt8
    private let proxy: ProxyRules
    private let source: Endpoint?
    package private(set) var association: RelayAssociation
    private var control: Int32 = -1
    /// Distinguishes the completions of this connection from those of the one before.
    private var serial: UInt32 = 0

    /// `source`: the address to call from, nil for the kernel's choice.
    package init(loop: Loop, kind: UInt8, proxy: ProxyRules, source: Endpoint? = nil) {
        (self.loop, self.kind, self.proxy) = (loop, kind, proxy)
        self.source = source.map { Endpoint(high: $0.high, low: $0.low, port: 0) }
        association = RelayAssociation(proxy: proxy.endpoint, credentials: proxy.credentials)
    }
    deinit {
        if control >= 0 { Descriptor.close(control) }
    }

    /// Of a descriptor of this association; the kind is the one given.
    package func token(_ fd: Int32) -> Token { Token(kind: kind, index: UInt32(bitPattern: fd), generation: serial) }
    package func isCurrent(_ token: Token, _ fd: Int32) -> Bool { fd >= 0 && token.generation == serial && token.index == UInt32(bitPattern: fd) }

    /// For who wants a relay always: when to call ``keep(now:)`` next.
    package var nextKeep: Instant { association.state == .closed ? association.retryAt : association.deadline }
    /// Asks for a relay when there is none and it is time, and gives up a proxy that took too long.
    package func keep(now: Instant) -> Outcome {
        if association.deadline <= now { return expire(now: now) }
        return association.state == .closed && association.retryAt <= now ? begin(now: now) : .none
    }

    /// Asks for a relay. Needs `closed`.
    package func begin(now: Instant) -> Outcome {
        association.begin(now: now)
        do throws(Errno) {
            control = try Sockets.streamSocket(for: proxy.endpoint, bind: source)
        } catch { return lose("\(error)", now) }
        // A proxy that is gone without a word is found out in 30 + 3 × 10 s.
        Sockets.setKeepAlive(control, idle: 30, interval: 10, count: 3)
        serial = (serial + 1) & 0xFF_FFFF
        loop.connect(control, SocketAddress(proxy.endpoint), token: token(control))
        return .none
    }

    /// Gives up a proxy that took too long.
    package func expire(now: Instant) -> Outcome { association.deadline <= now ? lose("no answer", now) : .none }

    /// A completion of the kind given; of another connection's, nothing happens.
    package func completed(_ completion: Completion, now: Instant) -> Outcome {
        guard isCurrent(completion.token, control) else { return .none }
        switch association.state {
        case .connecting:
            guard completion.result >= 0 else { return lose("\(Errno(-completion.result))", now) }
            var out = ByteWriter(capacity: 64)
            association.connected(into: &out)
            return say(out, now)
        case .asking, .open: return hear(now)
        case .closed: return .none
        }
    }

    /// A few bytes on a fresh connection always fit.
    private func say(_ out: borrowing ByteWriter, _ now: Instant) -> Outcome {
        if out.count > 0 {
            let sent = Glibc.send(control, out.bytes.baseAddress, out.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            guard sent == out.count else { return lose("it takes nothing", now) }
        }
        arm()
        return .none
    }

    private func hear(_ now: Instant) -> Outcome {
        var out = ByteWriter(capacity: 600)
        let step: RelayAssociation.Step? = withUnsafeTemporaryAllocation(byteCount: 512, alignment: 16) { buffer in
            let n = recv(control, buffer.baseAddress!, buffer.count, Int32(MSG_DONTWAIT))
            if n > 0 { return association.received(UnsafeRawBufferPointer(rebasing: buffer[..<n]), now: now, into: &out) }
            if n < 0, errno == EAGAIN || errno == EINTR { return nil }
            return .failed(n == 0 ? "it hung up" : "\(Errno.current)")
        }
        switch step {
        case nil:
            arm()
            return .none
        case .wait?: return say(out, now)
        case .failed(let why)?: return lose(why, now)
        case .open(let relay)?: return open(relay, now)
        }
    }

    private func open(_ relay: Endpoint, _ now: Instant) -> Outcome {
        let fd: Int32
        do throws(Errno) {
            // The proxy may take datagrams only from where it was asked.
            let any = relay.isIPv4 ? Endpoint(ipv4: 0, port: 0) : Endpoint(high: 0, low: 0, port: 0)
            fd = try Sockets.udpSocket(bind: source.flatMap { $0.isIPv4 == relay.isIPv4 ? $0 : nil } ?? any)
        } catch { return lose("\(error)", now) }
        guard SocketAddress(relay).withSockaddr({ connect(fd, $0, $1) }) == 0 else {
            let why = "\(Errno.current)"
            Descriptor.close(fd)
            return lose(why, now)
        }
        arm()
        return .opened(fd, relay: relay)
    }

    private func arm() { loop.poll(control, events: Int16(POLLIN), multishot: false, token: token(control)) }

    private func lose(_ why: String, _ now: Instant) -> Outcome {
        if control >= 0 {
            loop.cancel(token(control))
            Descriptor.close(control)
            control = -1
        }
        association.lose(now: now)
        return .lost("proxy \(proxy.endpoint): \(why)")
    }
}
