import ByteCodec
import Primitives
import ProxyWire
import Relaying
import Testing

private let proxy = Endpoint("192.0.2.1:1080")!, proxy6 = Endpoint("[2001:db8::1]:1080")!
private let me = ProxyCredentials(user: "usr", password: "pw")
private let t0 = Instant(nanoseconds: 1_000_000_000_000)
private let relayed: [UInt8] = [5, 0, 0, 1, 10, 0, 0, 1, 4, 0]

/// An association and all that it said, the messages apart.
private struct Client {
    var association: RelayAssociation
    var said: [[UInt8]] = []

    init(_ endpoint: Endpoint = proxy, as credentials: ProxyCredentials? = nil) { association = RelayAssociation(proxy: endpoint, credentials: credentials) }

    mutating func connect(now: Instant = t0) {
        association.begin(now: now)
        var out = ByteWriter()
        association.connected(into: &out)
        said.append(out.array)
    }
    mutating func hear(_ bytes: [UInt8], now: Instant = t0) -> RelayAssociation.Step {
        var out = ByteWriter()
        let step = bytes.withUnsafeBytes { association.received($0, now: now, into: &out) }
        if out.count > 0 { said.append(out.array) }
        return step
    }
    mutating func hearAll(_ bytes: [UInt8], step: Int) -> RelayAssociation.Step {
        var last = RelayAssociation.Step.wait
        for at in stride(from: 0, to: bytes.count, by: step) where last == .wait { last = hear(Array(bytes[at..<min(bytes.count, at + step)])) }
        return last
    }
}

@Suite struct RelayAssociationTests {
    struct Opening: Sendable {
        let proxy: Endpoint
        let credentials: ProxyCredentials?
        let answers: [UInt8]
        let relay: Endpoint
    }
    static let openings = [
        Opening(proxy: proxy, credentials: nil, answers: [5, 0] + relayed, relay: Endpoint("10.0.0.1:1024")!),
        Opening(proxy: proxy, credentials: me, answers: [5, 2, 1, 0] + relayed, relay: Endpoint("10.0.0.1:1024")!),
        Opening(proxy: proxy, credentials: me, answers: [5, 0] + relayed, relay: Endpoint("10.0.0.1:1024")!),
        Opening(proxy: proxy, credentials: nil, answers: [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 4, 1], relay: Endpoint("192.0.2.1:1025")!),
        Opening(proxy: proxy6, credentials: nil, answers: [5, 0, 5, 0, 0, 4] + [UInt8](repeating: 0, count: 16) + [4, 2], relay: Endpoint("[2001:db8::1]:1026")!),
        Opening(
            proxy: proxy, credentials: me, answers: [5, 2, 1, 0, 5, 0, 0, 4, 0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 80],
            relay: Endpoint("[2001:db8::7]:80")!),
    ]

    /// Byte by byte, at once, and in two parts at every place; what is cut short waits.
    @Test(arguments: openings) func aRelayOpens(_ c: Opening) {
        for step in 1...c.answers.count {
            var client = Client(c.proxy, as: c.credentials)
            client.connect()
            #expect(client.hearAll(c.answers, step: step) == .open(c.relay))
            #expect(client.association.state == .open && client.association.deadline == .never)
            let asked: [UInt8] = [5, 3, 0, 1, 0, 0, 0, 0, 0, 0]
            #expect(client.said.flatMap(\.self).suffix(10) == asked[...])
            #expect(client.said[0] == (c.credentials == nil ? [5, 1, 0] : [5, 2, 0, 2]))
        }
        for cut in 0..<c.answers.count {
            var client = Client(c.proxy, as: c.credentials)
            client.connect()
            #expect(client.hearAll(Array(c.answers[..<cut]), step: 3) == .wait)
            #expect(client.association.state == .asking && client.association.deadline == t0 + RelayAssociation.patience)
            #expect(client.hear(Array(c.answers[cut...])) == .open(c.relay))
        }
    }

    struct Refusal: Sendable {
        let credentials: ProxyCredentials?
        let answers: [UInt8]
        let why: String
    }
    @Test(arguments: [
        Refusal(credentials: nil, answers: [5, 0xFF], why: ProxyFailure.noCommonMethod.description),
        Refusal(credentials: nil, answers: [5, 2], why: ProxyFailure.noCommonMethod.description),
        Refusal(credentials: me, answers: [5, 2, 1, 1], why: ProxyFailure.credentialsRefused.description),
        Refusal(credentials: nil, answers: [5, 0, 5, 7], why: ProxyFailure.refused(7).description),
        Refusal(credentials: nil, answers: [5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0], why: ProxyFailure.refused(2).description),
        Refusal(credentials: nil, answers: [UInt8]("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), why: ProxyFailure.notAProxy.description),
        Refusal(credentials: nil, answers: [5, 0, 5, 0, 0, 3, 1, 0x61, 0, 80], why: ProxyFailure.notAProxy.description),
        Refusal(credentials: nil, answers: [5, 0, 5, 0, 0, 9, 0, 0], why: ProxyFailure.notAProxy.description),
        Refusal(credentials: nil, answers: [5, 0, 5, 0, 0, 1, 10, 0, 0, 1, 0, 0], why: "it names no port for datagrams"),
    ])
    func refusals(_ c: Refusal) {
        for step in 1...c.answers.count {
            var client = Client(as: c.credentials)
            client.connect()
            #expect(client.hearAll(c.answers, step: step) == .failed(c.why))
            client.association.lose(now: t0)
            #expect(client.association.state == .closed && client.association.retryAt == t0 + .seconds(2))
        }
    }

    @Test func anOpenRelayHearsNothingOnItsConnection() {
        var client = Client()
        client.connect()
        #expect(client.hear([5, 0] + relayed) == .open(Endpoint("10.0.0.1:1024")!))
        #expect(client.hear([0]) == .failed("it speaks where it has nothing to say"))
    }

    /// What is kept is never more than one message, whatever the proxy sends.
    @Test func whatWaitsIsBounded() {
        var client = Client()
        client.connect()
        #expect(client.hear([5, 0]) == .wait)
        // The longest answer: a name of 255 bytes, which is no address for datagrams.
        let longest: [UInt8] = [5, 0, 0, 3, 255] + [UInt8](repeating: 0x61, count: 255) + [4, 0]
        #expect(client.hear(Array(longest.dropLast())) == .wait)
        #expect(client.hear([0]) == .failed(ProxyFailure.notAProxy.description))
    }

    @Test func timeIsLimitedUntilItIsOpen() {
        var association = RelayAssociation(proxy: proxy, credentials: nil)
        #expect(association.deadline == .never && association.retryAt <= t0)
        association.begin(now: t0)
        #expect(association.deadline == t0 + RelayAssociation.patience)
        var out = ByteWriter()
        association.connected(into: &out)
        // Connecting and asking share it.
        #expect(association.deadline == t0 + RelayAssociation.patience)
        association.lose(now: t0 + RelayAssociation.patience)
        #expect(association.deadline == .never)
    }

    @Test func attemptsGrowRarer() {
        var client = Client(), now = t0
        for seconds in [2, 4, 8, 16, 32, 64, 64, 64] {
            client.connect(now: now)
            client.association.lose(now: now)
            #expect(client.association.retryAt == now + .seconds(seconds))
            now = client.association.retryAt
        }
        // One that opens and falls at once is no better than none.
        client.connect(now: now)
        #expect(client.hear([5, 0] + relayed, now: now) != .wait)
        client.association.lose(now: now + RelayAssociation.heldWell - .seconds(1))
        #expect(client.association.retryAt == now + RelayAssociation.heldWell - .seconds(1) + .seconds(64))
        now = client.association.retryAt
        // One that held well begins from the beginning.
        client.connect(now: now)
        #expect(client.hear([5, 0] + relayed, now: now) != .wait)
        now = now + RelayAssociation.heldWell
        client.association.lose(now: now)
        #expect(client.association.retryAt == now + .seconds(2))
    }

    @Test(arguments: [1, 2, 3]) func aNewConnectionKnowsNothingOfTheOldOne(cut: Int) {
        let answers: [UInt8] = [5, 0] + relayed
        var client = Client()
        client.connect()
        #expect(client.hear(Array(answers[..<cut])) == .wait)
        client.association.lose(now: t0)
        client.connect(now: t0 + .seconds(2))
        #expect(client.hear(answers, now: t0 + .seconds(2)) == .open(Endpoint("10.0.0.1:1024")!))
    }
}
