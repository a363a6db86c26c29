import Primitives

/// Which addresses a tracker's name stands for, and how long that is believed.
///
/// Invariants: at most one lookup of a name is out; at most ``limit`` names are held.
package struct AddressCache: Sendable {
    /// A lookup is believed this long.
    package static let life = TimeSpan.seconds(300)
    /// While the name service fails, the last good answer is used this long.
    package static let lastResort = TimeSpan.minutes(60)
    /// A failed lookup is not repeated for this long.
    package static let failureLife = TimeSpan.seconds(30)
    /// Addresses kept of one name.
    package static let addressesPerName = 16

    package enum Answer: Equatable, Sendable {
        /// Port 0; the one to try first in front.
        case known([Endpoint])
        /// Look it up and tell; `wait` for that.
        case lookUp
        /// A lookup is out already.
        case wait
        case failed(String)
    }

    private struct Name {
        var addresses: [Endpoint] = []
        var resolvedAt = Instant.zero
        var failure: String?
        var failedAt = Instant.zero
        var isOut = false
        var askedAt = Instant.zero
    }
    private var names: [String: Name] = [:]
    private let limit: Int

    package init(limit: Int = 4_096) { self.limit = limit }
    package var count: Int { names.count }

    package mutating func find(_ host: String, now: Instant) -> Answer {
        if let literal = Endpoint(address: host, port: 0) { return .known([literal]) }
        if names[host] == nil { makeRoom() }
        var name = names[host] ?? Name()
        defer { names[host] = name }
        name.askedAt = now
        if !name.addresses.isEmpty, now - name.resolvedAt < Self.life { return .known(name.addresses) }
        if name.isOut { return .wait }
        if let failure = name.failure, now - name.failedAt < Self.failureLife { return lastResort(name, now) ?? .failed(failure) }
        name.isOut = true
        return .lookUp
    }

    /// The lookup's end. What those that wait get.
    package mutating func resolved(_ host: String, _ addresses: [Endpoint], now: Instant) -> Answer {
        guard !addresses.isEmpty else { return failed(host, "the name has no address", now: now) }
        var name = names[host] ?? Name()
        name.isOut = false
        name.failure = nil
        name.resolvedAt = now
        var seen: Set<Endpoint> = []
        name.addresses = Array(addresses.map(\.withoutPort).filter { seen.insert($0).inserted }.prefix(Self.addressesPerName))
        names[host] = name
        return .known(name.addresses)
    }

    package mutating func failed(_ host: String, _ reason: String, now: Instant) -> Answer {
        var name = names[host] ?? Name()
        name.isOut = false
        name.failure = reason
        name.failedAt = now
        names[host] = name
        return lastResort(name, now) ?? .failed(reason)
    }

    /// This address did not answer: the next one's turn.
    package mutating func demote(_ host: String, _ address: Endpoint) {
        guard var name = names[host], name.addresses.first == address.withoutPort else { return }
        name.addresses.append(name.addresses.removeFirst())
        names[host] = name
    }

    private func lastResort(_ name: Name, _ now: Instant) -> Answer? {
        !name.addresses.isEmpty && now - name.resolvedAt < Self.lastResort ? .known(name.addresses) : nil
    }

    private mutating func makeRoom() {
        guard names.count >= limit else { return }
        // The name not asked for the longest; by name where that is equal, so that no order of hashing decides.
        let oldest = names.filter { !$0.value.isOut }.min { ($0.value.askedAt, $0.key) < ($1.value.askedAt, $1.key) }
        if let oldest { names[oldest.key] = nil }
    }
}
