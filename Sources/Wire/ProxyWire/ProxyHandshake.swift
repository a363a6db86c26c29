import ByteCodec
import Primitives

/// What is said to a proxy until the stream is the other side's. Pure; the address is given as a number, so that nobody
/// looks up a name.
///
///     socks5  method ─▶ [credentials ─▶] reply ─▶ over          http  head ─▶ over
package struct ProxyHandshake: Sendable {
    package enum Step: Hashable, Sendable {
        /// Waits until there are so many unconsumed bytes.
        case needMore(Int)
        /// What is unconsumed, and all that follows, is the other side's.
        case done
        case failed(ProxyFailure)
    }
    /// Of an HTTP proxy's answer without its body.
    package static let longestHead = 8192

    private enum State { case method, credentials, reply, head, over }

    /// nil: a relay for datagrams is asked for.
    private let target: Endpoint?
    /// After `done` of ``init(associating:into:)``: where datagrams go. An unspecified address means the proxy's own.
    package private(set) var relay: Endpoint?
    private let credentials: ProxyCredentials?
    private var state: State

    /// Writes the first message.
    package init(_ kind: ProxyKind, to target: Endpoint, credentials: ProxyCredentials?, into out: inout ByteWriter) {
        (self.target, self.credentials) = (target, credentials)
        switch kind {
        case .socks5:
            // Version 5; ways to say who we are: 0 none, 2 user and password.
            out.bytes(credentials == nil ? [5, 1, 0] : [5, 2, 0, 2])
            state = .method
        case .http:
            var head = "CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n"
            if let credentials { head += "Proxy-Authorization: Basic \(Self.base64("\(credentials.user):\(credentials.password)"))\r\n" }
            out.bytes([UInt8]((head + "\r\n").utf8))
            state = .head
        }
    }

    /// Asks a SOCKS5 proxy for a relay of datagrams (UDP ASSOCIATE); it lasts as long as the connection. Writes the first message.
    package init(associating credentials: ProxyCredentials?, into out: inout ByteWriter) {
        (target, self.credentials, state) = (nil, credentials, .method)
        out.bytes(credentials == nil ? [5, 1, 0] : [5, 2, 0, 2])
    }

    /// Takes what it can of `bytes`, all that is unconsumed so far. What it wants to say is appended to `out`.
    package mutating func receive(_ bytes: UnsafeRawBufferPointer, into out: inout ByteWriter) -> (consumed: Int, step: Step) {
        precondition(state != .over)
        var at = 0
        while true {
            let left = UnsafeRawBufferPointer(rebasing: bytes[at...])
            let (consumed, step) =
                switch state {
                case .method: takeMethod(left, &out)
                case .credentials: takeVerdict(left, &out)
                case .reply: takeReply(left)
                case .head: takeHead(left)
                case .over: preconditionFailure()
                }
            at += consumed
            switch step {
            case nil: continue
            case .needMore?: return (at, step!)
            case .done?, .failed?:
                state = .over
                return (at, step!)
            }
        }
    }

    // MARK: SOCKS5. nil: a message was taken, go on.

    private mutating func takeMethod(_ b: UnsafeRawBufferPointer, _ out: inout ByteWriter) -> (Int, Step?) {
        guard b.count >= 1 else { return (0, .needMore(2)) }
        guard b[0] == 5 else { return (1, .failed(.notAProxy)) }
        guard b.count >= 2 else { return (0, .needMore(2)) }
        switch (b[1], credentials) {
        case (0, _): request(&out)
        case (2, let credentials?):
            let user = Array(credentials.user.utf8.prefix(255)), password = Array(credentials.password.utf8.prefix(255))
            out.bytes([1, UInt8(user.count)] + user + [UInt8(password.count)] + password)
            state = .credentials
        case (2, nil), (0xFF, _): return (2, .failed(.noCommonMethod))
        default: return (2, .failed(.notAProxy))
        }
        return (2, nil)
    }

    private mutating func takeVerdict(_ b: UnsafeRawBufferPointer, _ out: inout ByteWriter) -> (Int, Step?) {
        guard b.count >= 2 else { return (0, .needMore(2)) }
        guard b[0] == 1 else { return (2, .failed(.notAProxy)) }
        guard b[1] == 0 else { return (2, .failed(.credentialsRefused)) }
        request(&out)
        return (2, nil)
    }

    private mutating func request(_ out: inout ByteWriter) {
        state = .reply
        guard let target else {
            // Version 5, UDP ASSOCIATE, reserved; whence we will send is not known yet.
            return out.bytes([5, 3, 0, 1, 0, 0, 0, 0, 0, 0])
        }
        // Version 5, CONNECT, reserved, the kind of address.
        out.bytes([5, 1, 0, target.isIPv4 ? 1 : 4])
        if target.isIPv4 {
            out.u32BigEndian(target.ipv4)
        } else {
            out.u64BigEndian(target.high)
            out.u64BigEndian(target.low)
        }
        out.u16BigEndian(target.port)
    }

    private mutating func takeReply(_ b: UnsafeRawBufferPointer) -> (Int, Step?) {
        guard b.count >= 2 else { return (0, .needMore(2)) }
        guard b[0] == 5 else { return (1, .failed(.notAProxy)) }
        // Some proxies end a refusal here.
        guard b[1] == 0 else { return (2, .failed(.refused(Int(b[1])))) }
        guard b.count >= 5 else { return (0, .needMore(5)) }
        // The address that the proxy calls from, or that it takes datagrams at: IPv4, a name of so many bytes, IPv6.
        let lengths: [UInt8: Int] = [1: 4, 3: 1 + Int(b[4]), 4: 16]
        guard let length = lengths[b[3]] else { return (4, .failed(.notAProxy)) }
        guard b.count >= 4 + length + 2 else { return (0, .needMore(4 + length + 2)) }
        if target == nil {
            guard let (address, _) = ProxyDatagram.address(UnsafeRawBufferPointer(rebasing: b[3...])), let address else { return (4, .failed(.notAProxy)) }
            relay = address
        }
        return (4 + length + 2, .done)
    }

    // MARK: HTTP

    private func takeHead(_ b: UnsafeRawBufferPointer) -> (Int, Step?) {
        // As soon as it cannot be the answer of an HTTP proxy.
        let begin = Array("HTTP/1.".utf8)
        for i in 0..<min(b.count, begin.count) where b[i] != begin[i] { return (0, .failed(.notAProxy)) }
        var end = 0
        while end + 4 <= b.count, end < Self.longestHead, !(b[end] == 13 && b[end + 1] == 10 && b[end + 2] == 13 && b[end + 3] == 10) { end += 1 }
        guard end < Self.longestHead else { return (0, .failed(.notAProxy)) }
        guard end + 4 <= b.count else { return (0, .needMore(b.count + 1)) }
        // "HTTP/1.1 200 Connection established": the status stands at 9 ..< 12.
        guard end >= 12, b[8] == 32, b[9..<12].allSatisfy({ (48...57).contains($0) }) else { return (end + 4, .failed(.notAProxy)) }
        let status = b[9..<12].reduce(0) { $0 * 10 + Int($1 - 48) }
        switch status {
        case 200..<300: return (end + 4, .done)
        case 407: return (end + 4, .failed(credentials == nil ? .noCommonMethod : .credentialsRefused))
        default: return (end + 4, .failed(.refused(status)))
        }
    }

    /// RFC 4648.
    static func base64(_ text: String) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8), bytes = Array(text.utf8)
        var out: [UInt8] = []
        for i in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[i..<min(i + 3, bytes.count)]
            let n = group.reduce(0) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for k in 0..<4 { out.append(k <= group.count ? digits[Int(n >> UInt32(18 - 6 * k) & 63)] : UInt8(ascii: "=")) }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Cut at every place it says the same; what a fuzzer drives. Byte 0: the kind, and whether there are credentials.
    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        guard let first = bytes.first else { return }
        func play(step: Int) -> (consumed: Int, end: Step?) {
            var out = ByteWriter(), held: [UInt8] = [], consumed = 0
            var handshake = ProxyHandshake(
                first & 1 == 0 ? .socks5 : .http, to: Endpoint(ipv4: 0x0102_0304, port: 5), credentials: first & 2 == 0 ? nil : ProxyCredentials(user: "u", password: "p"),
                into: &out)
            for at in stride(from: 1, to: bytes.count, by: step) {
                held += bytes[at..<min(bytes.count, at + step)]
                let (n, result) = held.withUnsafeBytes { handshake.receive($0, into: &out) }
                precondition(n <= held.count)
                held.removeFirst(n)
                consumed += n
                if case .needMore(let needed) = result {
                    precondition(needed > held.count && needed <= longestHead + 4)
                } else {
                    return (consumed, result)
                }
            }
            return (consumed, nil)
        }
        let whole = play(step: .max >> 1), single = play(step: 1)
        precondition(whole.end == single.end && (whole.end != .done || whole.consumed == single.consumed))
    }
}
