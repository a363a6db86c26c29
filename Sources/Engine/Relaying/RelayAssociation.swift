import ByteCodec
import Primitives
import ProxyWire

/// A relay for datagrams at a SOCKS5 proxy (UDP ASSOCIATE; RFC 1928, 6 and 7) as its client sees it. It lives as long as the TCP
/// connection that asked for it. Pure: the owner holds the connection and says what became of it.
///
///     closed ─begin─▶ connecting ─connected─▶ asking ─received─▶ open
///        ▲                 │                     │                │
///        └─────────────────┴─────── lose ────────┴────────────────┘
///
/// Who wants a relay always begins again at `retryAt`; who wants one now and then may begin at any time.
package struct RelayAssociation: Sendable {
    package enum State: Hashable, Sendable { case closed, connecting, asking, open }
    package enum Step: Hashable, Sendable {
        /// The proxy has more to say.
        case wait
        /// Datagrams go to this address, with the header of ``ProxyDatagram``.
        case open(Endpoint)
        /// To be followed by ``lose(now:)``: why.
        case failed(String)
    }

    /// From the attempt to connect until the relay is there.
    package static let patience = TimeSpan.seconds(10)
    /// 2, 4, 8, ... 64 s between attempts, from the beginning again after a relay that held so long.
    package static let heldWell = TimeSpan.minutes(1)
    private static let mostDoublings = 6

    private let proxy: Endpoint
    private let credentials: ProxyCredentials?
    package private(set) var state = State.closed
    /// While closed: not before.
    package private(set) var retryAt = Instant.zero
    /// While connecting or asking: then it took too long.
    package private(set) var deadline = Instant.never
    private var failures = 0
    private var openedAt = Instant.never
    private var handshake: ProxyHandshake?
    /// Of the proxy's answers, what is not a whole message: less than 262 bytes, the longest.
    private var held: [UInt8] = []

    /// `proxy`: where it listens for connections.
    package init(proxy: Endpoint, credentials: ProxyCredentials?) { (self.proxy, self.credentials) = (proxy, credentials) }

    /// A connection is under way. Needs `closed`.
    package mutating func begin(now: Instant) {
        precondition(state == .closed)
        state = .connecting
        deadline = now + Self.patience
    }

    /// The connection stands. Appends what is to be said first.
    package mutating func connected(into out: inout ByteWriter) {
        precondition(state == .connecting)
        handshake = ProxyHandshake(associating: credentials, into: &out)
        state = .asking
    }

    /// What the proxy said on the connection. Appends what is to be answered.
    package mutating func received(_ bytes: UnsafeRawBufferPointer, now: Instant, into out: inout ByteWriter) -> Step {
        // RFC 1928 lets it say nothing there once the relay is open.
        guard state == .asking else { return .failed("it speaks where it has nothing to say") }
        held += bytes
        let (consumed, step) = held.withUnsafeBytes { handshake!.receive($0, into: &out) }
        held.removeFirst(consumed)
        switch step {
        case .needMore: return .wait
        case .failed(let failure): return .failed(failure.description)
        case .done:
            let said = handshake!.relay!
            guard said.port != 0 else { return .failed("it names no port for datagrams") }
            (state, deadline, openedAt, handshake, held) = (.open, .never, now, nil, [])
            // It may say 0.0.0.0, for the address at which it was asked.
            return .open(said.isUnspecified ? Endpoint(high: proxy.high, low: proxy.low, port: said.port) : said)
        }
    }

    /// The connection is gone or given up, and the relay with it.
    package mutating func lose(now: Instant) {
        precondition(state != .closed)
        if state == .open, openedAt + Self.heldWell <= now { failures = 0 }
        failures = min(failures + 1, Self.mostDoublings)
        retryAt = now + .seconds(1 << failures)
        (state, deadline, openedAt, handshake, held) = (.closed, .never, .never, nil, [])
    }
}
