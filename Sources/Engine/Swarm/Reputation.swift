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
}

/// What an address did: bans, and parole for peers that took part in a piece with a bad hash.
///
/// Bounded: ``limit`` addresses, the oldest forgotten first (10,000 × ~64 bytes).
struct Reputation {
    struct Entry {
        var bannedUntil: Instant?
        var onParole = false
    }
    private var entries: [AddressKey: Entry] = [:]
    private var arrival: [AddressKey] = []
    private var oldest = 0
    static var limit: Int { 10_000 }

    func isBanned(_ key: AddressKey, now: Instant) -> Bool { (entries[key]?.bannedUntil).map { $0 > now } ?? false }
    func isOnParole(_ key: AddressKey) -> Bool { entries[key]?.onParole ?? false }

    mutating func ban(_ key: AddressKey, until: Instant) {
        admit(key)
        entries[key]!.bannedUntil = max(entries[key]!.bannedUntil ?? until, until)
    }
    mutating func setParole(_ key: AddressKey, _ value: Bool) {
        if value { admit(key) }
        entries[key]?.onParole = value
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
