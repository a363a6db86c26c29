import Primitives

/// How many queries are answered: for each source address, and in all. A source that asks more is not answered, so that
/// a forged address cannot make us flood its owner.
struct SourceLimits: Sendable {
    /// Within a window. A node that looks up something asks us once or twice; a busy one behind a shared address tens.
    static let window = TimeSpan.seconds(5)
    static let perSource = 100
    /// Sources counted in a window; beyond, new ones wait for the next.
    static let sources = 8192

    private let total: Int
    private var counts: [Endpoint: Int] = [:]
    private var answered = 0
    private var until = Instant.zero

    /// `rate`: answers per second in all.
    init(rate: Int) { total = rate * Int(Self.window.seconds) }

    mutating func admits(_ source: Endpoint, now: Instant) -> Bool {
        if now >= until {
            until = now + Self.window
            counts.removeAll(keepingCapacity: true)
            answered = 0
        }
        guard answered < total else { return false }
        let key = Endpoint(high: source.high, low: source.low, port: 0)
        let count = counts[key, default: 0]
        // Everyone on this machine shares one address, and can do worse than ask.
        guard count < Self.perSource || source.isLoopback, count > 0 || counts.count < Self.sources else { return false }
        counts[key] = count + 1
        answered += 1
        return true
    }
}

/// Where other nodes say that we are (BEP 42, BEP 32): believed once most of ten voices from ten networks agree, since
/// any one may lie.
struct AddressVote: Sendable {
    private static let voices = 10
    private var votes: [(network: UInt64, address: Endpoint)] = []
    private(set) var winner: Endpoint?

    /// True when the winner changed.
    mutating func add(_ address: Endpoint, from voter: Endpoint) -> Bool {
        let plain = Endpoint(high: address.high, low: address.low, port: 0)
        guard !plain.isUnspecified, !plain.isMulticast, plain.isIPv4 == voter.isIPv4 else { return false }
        // Local nodes have no network key: each address is a voice.
        let network = RoutingTable.networkKey(voter) ?? voter.high ^ voter.low &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(voter.port)
        votes.removeAll { $0.network == network }
        votes.append((network, plain))
        guard votes.count >= Self.voices else { return false }
        let first = votes.map(\.address).max { a, b in
            votes.count { $0.address == a } < votes.count { $0.address == b }
        }!
        let agreeing = votes.count { $0.address == first }
        votes.removeFirst()
        guard agreeing > Self.voices / 2, first != winner else { return false }
        winner = first
        return true
    }
}
