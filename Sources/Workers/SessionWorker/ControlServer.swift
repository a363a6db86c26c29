import ByteCodec
import Control
import Glibc
import LinuxIO
import Observe
import Primitives
import WorkerKit

/// The control socket: accepts front ends, cuts their bytes into lines, writes answers. Knows no method.
///
/// Invariants:
/// - at most ``clientLimit`` clients; more are closed at once.
/// - a client that is not read from has either too many requests open or too much unread output.
/// - a descriptor is closed only when no operation of it is under way.
final class ControlServer {
    enum Kind {
        static let accept: UInt8 = 16
        static let receive: UInt8 = 17
        static let send: UInt8 = 18
    }
    static let clientLimit = 64
    /// Requests of one client that were read and not answered: beyond, its socket is not read.
    static let openLimit = 256
    /// Unread output beyond which a client is not read from, and is left out of ticks of `watch`.
    static let outputLimit = 1 << 20
    /// Output beyond which the client is dropped: two of the longest answers.
    static let outputCeiling = 2 * Control.answerLimit
    /// How long a client may leave output unread before it is dropped.
    static let slowReader = TimeSpan.seconds(30)
    /// Bytes of unfinished lines of all clients together.
    static let inputCeiling = 256 << 20
    static let receiveSize = 256 << 10

    final class Client {
        let fd: Int32
        let slot: Int
        let serial: UInt32
        var framer = LineFramer(limit: Control.requestLimit)
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: ControlServer.receiveSize, alignment: 16)
        var out = ByteWriter(capacity: 4096)
        var sending = ByteWriter(capacity: 4096)
        var sent = 0
        var isReading = false
        var isWriting = false
        var isOpen = true
        /// Requests read and not answered.
        var open = 0
        /// Since when the socket has taken nothing of what waits.
        var stuckSince: Instant?

        init(fd: Int32, slot: Int, serial: UInt32) { (self.fd, self.slot, self.serial) = (fd, slot, serial) }
        deinit { buffer.deallocate() }
        var queued: Int { out.count + sending.count - sent }
        func token(_ kind: UInt8) -> Token { Token(kind: kind, index: UInt32(slot), generation: serial) }
    }

    /// Names a client over its life: a slot is used again, a serial is not.
    struct ClientID: Hashable {
        let slot: Int
        let serial: UInt32

        /// The API worker of that generation asks over its edge, not over a socket.
        static func api(_ edge: Edge) -> Self { Self(slot: -1, serial: edge.generation.rawValue) }
        var isAPI: Bool { slot < 0 }
    }

    private let loop: Loop
    private var listener: Int32 = -1
    private var clients = [Client?](repeating: nil, count: clientLimit)
    private var serial: UInt32 = 0
    private var acceptRetryAt: Instant?
    private var isAccepting = false
    /// Who left since the owner last asked.
    private(set) var gone: [ClientID] = []

    init(loop: Loop) { self.loop = loop }

    func listen(_ fd: Int32) {
        if listener >= 0 { close(listener) }
        listener = fd
        arm()
    }
    func stopAccepting() {
        guard listener >= 0 else { return }
        loop.cancel(Token(kind: Kind.accept, index: 0, generation: 0))
        close(listener)
        listener = -1
    }

    private func arm() {
        guard listener >= 0, !isAccepting else { return }
        isAccepting = true
        acceptRetryAt = nil
        loop.accept(listener, token: Token(kind: Kind.accept, index: 0, generation: 0))
    }

    func accepted(_ completion: Completion) {
        if !completion.more { isAccepting = false }
        if completion.result >= 0 {
            if let slot = clients.firstIndex(where: { $0 == nil }), listener >= 0 {
                serial = (serial + 1) & 0xFF_FFFF
                let client = Client(fd: completion.result, slot: slot, serial: serial)
                clients[slot] = client
                read(client)
            } else {
                close(completion.result)
            }
        } else if completion.result != -ECANCELED, listener >= 0 {
            // Out of descriptors or memory: the connection waits in the listener's queue.
            log.warning("accept on the control socket: \(String(cString: strerror(-completion.result)))")
            acceptRetryAt = loop.now + .milliseconds(200)
            return
        }
        if acceptRetryAt == nil { arm() }
    }

    /// A client with a whole line or more to be taken by ``nextLine(_:_:)``; nil when there is nothing.
    func received(_ completion: Completion) -> Client? {
        guard let client = find(completion.token) else { return nil }
        client.isReading = false
        guard client.isOpen else {
            reap(client)
            return nil
        }
        if completion.result == -EAGAIN || completion.result == -EINTR {
            read(client)
            return nil
        }
        guard completion.result > 0 else {
            drop(client)
            return nil
        }
        client.framer.append(UnsafeRawBufferPointer(start: client.buffer, count: Int(completion.result)))
        return client
    }

    /// Calls `body` with the client's next line if it may have one now; false when it has none or may not.
    func nextLine(_ client: Client, _ body: (UnsafeRawBufferPointer) -> Void) -> Bool {
        guard client.isOpen, client.open < Self.openLimit, client.queued <= Self.outputLimit else { return false }
        do throws(LineFramer.Failure) {
            return try client.framer.next(body)
        } catch {
            refuse(client, ControlError(.tooLarge, "a request line may have \(Control.requestLimit) bytes"))
            return false
        }
    }

    /// Reads on where that is allowed and not under way.
    func read(_ client: Client) {
        guard client.isOpen, !client.isReading, client.open < Self.openLimit, client.queued <= Self.outputLimit else { return }
        if client.framer.buffered > Self.receiveSize, inputTotal > Self.inputCeiling {
            return refuse(client, ControlError(.tooLarge, "too many large requests at once; send them one after another"))
        }
        client.isReading = true
        loop.receive(client.fd, client.buffer, Self.receiveSize, token: client.token(Kind.receive))
    }
    private var inputTotal: Int { clients.reduce(0) { $0 + ($1?.framer.buffered ?? 0) } }

    private func refuse(_ client: Client, _ error: ControlError) {
        write(client, ControlLine.answer(id: 0, error: error))
        flush(client)
        // What the socket takes at once is all that such a client gets.
        drop(client)
    }

    func find(_ id: ClientID) -> Client? {
        guard !id.isAPI, let client = clients[id.slot], client.serial == id.serial, client.isOpen else { return nil }
        return client
    }
    private func find(_ token: Token) -> Client? {
        guard Int(token.index) < clients.count, let client = clients[Int(token.index)], client.serial == token.generation else { return nil }
        return client
    }
    func id(_ client: Client) -> ClientID { ClientID(slot: client.slot, serial: client.serial) }
    func forEach(_ body: (Client) -> Void) { for client in clients { if let client { body(client) } } }
    func takeGone() -> [ClientID] {
        defer { gone = [] }
        return gone
    }

    func write(_ client: Client, _ line: [UInt8]) {
        guard client.isOpen else { return }
        client.out.bytes(line)
        if client.queued > Self.outputCeiling { drop(client) }
    }

    /// Hands over what was written this turn.
    func flush() { forEach { flush($0) } }

    private func flush(_ client: Client) {
        guard client.isOpen, !client.isWriting, client.out.count > 0 else { return }
        swap(&client.out, &client.sending)
        client.sent = 0
        send(client)
    }
    private func send(_ client: Client) {
        client.isWriting = true
        if client.stuckSince == nil { client.stuckSince = loop.now }
        let rest = client.sending.bytes
        // 1 MiB at a time, so that a slow reader shows as one that takes nothing, not as one that takes long.
        loop.send(client.fd, rest.baseAddress! + client.sent, min(rest.count - client.sent, 1 << 20), token: client.token(Kind.send))
    }

    func sent(_ completion: Completion) {
        guard let client = find(completion.token) else { return }
        client.isWriting = false
        guard client.isOpen else { return reap(client) }
        guard completion.result >= 0 || completion.result == -EAGAIN || completion.result == -EINTR else { return drop(client) }
        if completion.result > 0 { client.stuckSince = nil }
        client.sent += max(0, Int(completion.result))
        if client.sent < client.sending.count { return send(client) }
        client.sent = 0
        // The list of 50,000 torrents once must not be held for the rest of the connection.
        if client.sending.capacity > 1 << 20 { client.sending = ByteWriter(capacity: 4096) } else { client.sending.removeAll() }
        flush(client)
    }

    func drop(_ client: Client) {
        guard client.isOpen else { return }
        client.isOpen = false
        gone.append(id(client))
        shutdown(client.fd, Int32(SHUT_RDWR))
        if client.isReading { loop.cancel(client.token(Kind.receive)) }
        if client.isWriting { loop.cancel(client.token(Kind.send)) }
        reap(client)
    }
    private func reap(_ client: Client) {
        guard !client.isReading, !client.isWriting, clients[client.slot] === client else { return }
        close(client.fd)
        clients[client.slot] = nil
    }

    /// Drops slow readers; accepts again after a shortage.
    func turn(_ now: Instant) -> Instant {
        var next = Instant.never
        if let at = acceptRetryAt {
            if now >= at { arm() } else { next = at }
        }
        forEach { client in
            guard client.isOpen, client.isWriting, let since = client.stuckSince else { return }
            if now >= since + Self.slowReader {
                log.info("a control client that reads nothing is dropped")
                drop(client)
            } else {
                next = min(next, since + Self.slowReader)
            }
        }
        return next
    }
}
