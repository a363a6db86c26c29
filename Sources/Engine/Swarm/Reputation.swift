import Primitives

/// What a ban or a dial limit is about: the IPv4 address, or the /64 of an IPv6 address (one customer has a /64).
/// Several programs share the loopback address, so there the port counts too.
struct AddressKey: Hashable {
    let high: UInt64
    let low: UInt64

    init(_ e: Endpoint) {
        if e.isLoopback {
            (high, low) = (UInt64(e.port) << 32 | 1, e.low)
        } else if e.isIPv4 {
            (high, low) = (0, e.low)
        } else {
            (high, low) = (e.high, 0)
        }
    }

    /// An endpoint with this key: port 0 where the port does not count, the first address of a /64.
    var endpoint: Endpoint {
        // No IPv6 address that is routed begins with 16 zero bits and a port.
        if high >> 48 == 0, high & 0xFFFF_FFFF == 1 { return Endpoint(high: 0, low: low, port: UInt16(truncatingIfNeeded: high >> 32)) }
        return Endpoint(high: high, low: low, port: 0)
    }
}

/// What a peer did wrong. The raw values stand in the session's database and in frames.
package enum Violation: UInt8, Hashable, Sendable, CaseIterable {
    case corruptPiece = 0, corruptBlock, badMetadata, protocolViolation, messageFlood, exchangeFlood, uselessBlocks, invalidRequests
    case slowHandshake
    /// Not a deed: the user's own ban.
    case byUser

    package var name: String {
        switch self {
        case .corruptPiece: "corrupt piece"
        case .corruptBlock: "corrupt block"
        case .badMetadata: "bad metadata"
        case .protocolViolation: "protocol violation"
        case .messageFlood: "message flood"
        case .exchangeFlood: "peer exchange flood"
        case .uselessBlocks: "useless blocks"
        case .invalidRequests: "invalid requests"
        case .slowHandshake: "no handshake"
        case .byUser: "by user"
        }
    }

    /// Points of ``Reputation/banScore``. What is proven bans at once; the rest when it comes again and again.
    var points: Double {
        switch self {
        case .corruptPiece, .corruptBlock, .badMetadata, .messageFlood, .byUser: 100
        case .uselessBlocks, .invalidRequests: 50
        case .protocolViolation: 25
        case .exchangeFlood: 10
        case .slowHandshake: 5
        }
    }
}

/// What an address did: its violation score, bans, and parole for peers that took part in a piece with a bad hash.
///
/// A score halves every ten minutes, so four broken handshakes in a row ban and four in a day do not.
/// Bounded: ``limit`` addresses, the oldest forgotten first (10,000 × ~100 bytes).
struct Reputation {
    struct Entry {
        var bannedUntil: Instant?
        var reason = Violation.byUser
        var onParole = false
        var score = 0.0
        var scoredAt = Instant.zero
    }
    private var entries: [AddressKey: Entry] = [:]
    private var arrival: [AddressKey] = []
    private var oldest = 0
    static var limit: Int { 10_000 }
    static var banScore: Double { 100 }
    static var halfLife: TimeSpan { .minutes(10) }

    func isBanned(_ key: AddressKey, now: Instant) -> Bool { (entries[key]?.bannedUntil).map { $0 > now } ?? false }
    func isOnParole(_ key: AddressKey) -> Bool { entries[key]?.onParole ?? false }
    func score(_ key: AddressKey, now: Instant) -> Double { entries[key].map { Self.faded($0, now) } ?? 0 }

    /// True when the score now bans.
    mutating func add(_ violation: Violation, to key: AddressKey, now: Instant) -> Bool {
        admit(key)
        entries[key]!.score = Self.faded(entries[key]!, now) + violation.points
        entries[key]!.scoredAt = now
        return entries[key]!.score >= Self.banScore
    }
    mutating func ban(_ key: AddressKey, until: Instant, for reason: Violation) {
        admit(key)
        entries[key]!.bannedUntil = max(entries[key]!.bannedUntil ?? until, until)
        entries[key]!.reason = reason
    }
    mutating func unban(_ key: AddressKey) {
        entries[key]?.bannedUntil = nil
        entries[key]?.score = 0
        entries[key]?.onParole = false
    }
    mutating func setParole(_ key: AddressKey, _ value: Bool) {
        if value { admit(key) }
        entries[key]?.onParole = value
    }

    private static func faded(_ entry: Entry, _ now: Instant) -> Double {
        var score = entry.score, left = now - entry.scoredAt
        while left >= halfLife, score > 0.5 {
            score /= 2
            left = left - halfLife
        }
        return score
    }

    private mutating func admit(_ key: AddressKey) {
        guard entries[key] == nil else { return }
        entries[key] = Entry()
        if arrival.count < Self.limit {
            arrival.append(key)
        } else {
            entries[arrival[oldest]] = nil
            arrival[oldest] = key
            oldest = (oldest + 1) % Self.limit
        }
    }
    var count: Int { entries.count }
    func bannedCount(now: Instant) -> Int { entries.values.reduce(0) { $0 + (($1.bannedUntil ?? .zero) > now ? 1 : 0) } }
}

extension Swarm {
    /// Scores a violation, and bans the address when that is enough. The caller closes the connection at fault.
    func punish(_ address: AddressKey, _ violation: Violation, _ now: Instant, _ effects: inout EffectBuffer) {
        guard reputation.add(violation, to: address, now: now), !reputation.isBanned(address, now: now) else { return }
        ban(address, violation, violation == .messageFlood || violation == .slowHandshake ? configuration.floodBanDuration : configuration.banDuration, now, &effects)
    }

    private func ban(_ address: AddressKey, _ reason: Violation, _ time: TimeSpan, _ now: Instant, _ effects: inout EffectBuffer) {
        reputation.ban(address, until: now + time, for: reason)
        effects.append(.banned(address.endpoint, reason, time))
        hasNewBans = true
    }

    /// From the session: what another run or another shard decided, or the user.
    package func importBan(_ endpoint: Endpoint, _ reason: Violation, for time: TimeSpan, now: Instant, into effects: inout EffectBuffer) {
        reputation.ban(AddressKey(endpoint), until: now + time, for: reason)
        dropBanned(now, &effects)
    }
    package func liftBan(_ endpoint: Endpoint) { reputation.unban(AddressKey(endpoint)) }

    /// The violation score of a connection's address: ``Reputation/banScore`` bans.
    func score(_ i: Int, _ now: Instant) -> Double { reputation.score(AddressKey(peers[i].endpoint), now: now) }
}

extension CloseReason {
    /// What the end of the connection says of its peer; nil when it is nobody's fault or was scored where it happened.
    var violation: Violation? {
        switch self {
        case .protocolViolation, .badBitfield, .badIndex, .notFastExtension, .badExtendedMessage: .protocolViolation
        case .uselessBlocks: .uselessBlocks
        case .invalidRequests: .invalidRequests
        case .handshakeTimeout: .slowHandshake
        // Scored where it happened, or nobody's fault.
        default: nil
        }
    }
}
