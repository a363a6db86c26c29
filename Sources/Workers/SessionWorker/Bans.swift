import Catalog
import Control
import IPC
import Primitives
import WorkerKit

/// A ban as the store keeps it: wall-clock times, since it outlives runs.
package struct StoredBan: Hashable, Sendable {
    /// Port 0 unless it is a loopback address; an IPv6 address stands for its /64.
    package var endpoint: Endpoint
    package var reason: UInt8
    /// Seconds since 1970.
    package var madeAt: UInt64
    package var until: UInt64
    package init(endpoint: Endpoint, reason: UInt8, madeAt: UInt64, until: UInt64) {
        (self.endpoint, self.reason, self.madeAt, self.until) = (endpoint, reason, madeAt, until)
    }
}

/// The bans of all shards: what one decides holds for all, and over restarts until it expires.
extension SessionShell {
    /// As many as a shard keeps; those that end first make room.
    static let banLimit = 10_000
    static let banTimeLimit: UInt32 = 10 * 365 * 86400
    /// Changes are stored in batches this far apart.
    static let banDelay = TimeSpan.seconds(1)

    func banned(_ m: PeerBanned, by edge: Edge) {
        log.peer(m.endpoint.address, "banned", (BanReason(rawValue: m.reason)?.name ?? "unknown").replacing("_", with: " "))
        keepBan(StoredBan(endpoint: m.endpoint, reason: m.reason, madeAt: core.wallSeconds, until: core.wallSeconds + UInt64(min(m.seconds, Self.banTimeLimit))))
        for other in kit.edges(.peer) where other.index != edge.index {
            kit.send(PeerBans(bans: [Ban(endpoint: m.endpoint, reason: m.reason, seconds: m.seconds)]), to: other)
        }
    }

    private func keepBan(_ ban: StoredBan) {
        if bans[ban.endpoint] == nil, bans.count >= Self.banLimit {
            forgetEndedBans()
            if bans.count >= Self.banLimit, let victim = bans.values.min(by: { ($0.until, $0.endpoint.description) < ($1.until, $1.endpoint.description) }) {
                bans[victim.endpoint] = nil
                banChanges.insert(victim.endpoint)
            }
        }
        bans[ban.endpoint] = ban
        banChanges.insert(ban.endpoint)
    }
    private func forgetEndedBans() {
        for ban in bans.values where ban.until <= core.wallSeconds {
            bans[ban.endpoint] = nil
            banChanges.insert(ban.endpoint)
        }
    }

    /// What a shard that has just started does not know.
    func sendBans(to edge: Edge) {
        let now = core.wallSeconds
        let list = bans.values.filter { $0.until > now }.map { Ban(endpoint: $0.endpoint, reason: $0.reason, seconds: UInt32(clamping: $0.until - now)) }
        if !list.isEmpty { kit.send(PeerBans(bans: list), to: edge) }
    }

    /// Stores what changed. Says when it wants to be called again.
    func storeBans(_ now: Instant) -> Instant {
        guard !banChanges.isEmpty, !isStoringBans, !isClosing else { return .never }
        guard now >= nextBanStore || drainDeadline != nil else { return nextBanStore }
        nextBanStore = now + Self.banDelay
        isStoringBans = true
        let changed = banChanges
        banChanges = []
        let puts = changed.compactMap { bans[$0] }, deletes = changed.filter { bans[$0] == nil }.map(\.description)
        let store = self.store
        pool({ () -> Bool in (try? store.saveBans(puts, deleting: deletes)) != nil }) { [self] done in
            isStoringBans = false
            // With the next change, or when the store takes changes again.
            if !done { banChanges.formUnion(changed) }
        }
        return .never
    }

    // MARK: front ends

    func bansAnswer() -> BansAnswer {
        let now = core.wallSeconds
        let live = bans.values.filter { $0.until > now }.sorted { ($1.madeAt, $0.endpoint.description) < ($0.madeAt, $1.endpoint.description) }
        return BansAnswer(
            bans: live.map {
                BanRow(address: Self.text($0.endpoint), reason: BanReason(rawValue: $0.reason)?.name ?? "unknown", since: $0.madeAt, until: $0.until)
            })
    }

    static func text(_ e: Endpoint) -> String { e.isLoopback ? e.description : e.isIPv4 ? e.address : e.address + "/64" }

    /// The form under which an address is banned.
    private func banned(_ text: String) throws(ControlError) -> Endpoint {
        let plain = text.hasSuffix("/64") ? String(text.dropLast(3)) : text
        guard let e = Endpoint(plain) ?? Endpoint(address: plain, port: 0), !e.isUnspecified, !e.isMulticast else {
            throw ControlError(.invalidParameters, "\(Text.printable(text, limit: 60)) is not an IP address")
        }
        if e.isLoopback {
            guard e.port != 0 else { throw ControlError(.invalidParameters, "several programs share a loopback address: name it with its port") }
            return e
        }
        return Endpoint(high: e.high, low: e.isIPv4 ? e.low : 0, port: 0)
    }

    func addBan(_ p: AddBanParameters) throws(ControlError) -> Empty {
        let endpoint = try banned(p.address), seconds = p.seconds ?? 86400
        guard seconds > 0, seconds <= Self.banTimeLimit else { throw ControlError(.invalidParameters, "a ban lasts 1..\(Self.banTimeLimit) seconds") }
        keepBan(StoredBan(endpoint: endpoint, reason: BanReason.byUser.rawValue, madeAt: core.wallSeconds, until: core.wallSeconds + UInt64(seconds)))
        for edge in kit.edges(.peer) { kit.send(PeerBans(bans: [Ban(endpoint: endpoint, reason: BanReason.byUser.rawValue, seconds: seconds)]), to: edge) }
        return Empty()
    }
    func liftBan(_ p: AddressParameters) throws(ControlError) -> Empty {
        let endpoint = try banned(p.address)
        guard bans.removeValue(forKey: endpoint) != nil else { throw ControlError(.notFound, "\(Text.printable(p.address, limit: 60)) is not banned") }
        banChanges.insert(endpoint)
        for edge in kit.edges(.peer) { kit.send(PeerBanLifted(endpoint: endpoint), to: edge) }
        return Empty()
    }
}
