import KRPC
import Primitives

/// A node that has answered us.
struct Contact: Hashable, Sendable {
    let id: NodeID
    let endpoint: Endpoint
    var lastReply: Instant
    /// Queries unanswered since.
    var failures = 0
    let isSecure: Bool

    init(id: NodeID, endpoint: Endpoint, lastReply: Instant) {
        (self.id, self.endpoint, self.lastReply) = (id, endpoint, lastReply)
        isSecure = SecureID.fits(id, endpoint)
    }
}

/// The routing table of BEP 5 for one family: buckets of 8 by the length of the prefix shared with our own id, the last
/// one being split as it fills.
///
/// Only nodes that answered a query of ours come in, so a forged source address gets nobody in. Against a table that is
/// filled by few machines: one id for each public address, one of each /24 (IPv6: /64) in a bucket, and ids that fit
/// their address (BEP 42) before others.
///
/// Invariants: `live.count` and `spare.count` <= 8 in each bucket; every contact of bucket i < last shares exactly i bits
/// with `own`; `addresses` holds the key of each live contact.
package struct RoutingTable: Sendable {
    struct Bucket: Sendable {
        var live: [Contact] = []
        /// Verified as well, and waiting for a place.
        var spare: [Contact] = []
        /// A lookup in its range ended, or a contact came in.
        var changedAt = Instant.zero
    }
    package private(set) var own: NodeID
    private(set) var buckets: [Bucket] = [Bucket()]
    private var addresses: [Endpoint: NodeID] = [:]

    init(own: NodeID) { self.own = own }

    package var count: Int { buckets.reduce(0) { $0 + $1.live.count } }
    package var spareCount: Int { buckets.reduce(0) { $0 + $1.spare.count } }
    var contacts: [Contact] { buckets.flatMap(\.live) }

    private func index(_ id: NodeID) -> Int { min(own.sharedPrefix(with: id), buckets.count - 1) }

    /// Several nodes may share an address of a local network, where tests and labs run them.
    static func addressKey(_ e: Endpoint) -> Endpoint {
        SecureID.isExempt(e) ? e : Endpoint(high: e.high, low: e.low, port: 0)
    }
    /// /24 or /64; nil for local addresses.
    static func networkKey(_ e: Endpoint) -> UInt64? {
        if SecureID.isExempt(e) { return nil }
        return e.isIPv4 ? UInt64(e.ipv4 >> 8) : e.high
    }

    func find(_ id: NodeID) -> Contact? { buckets[index(id)].live.first { $0.id == id } }

    /// Whether a node that we heard of is worth a query: its place is free or held by one that fails.
    func wants(_ id: NodeID, _ endpoint: Endpoint) -> Bool {
        guard id != own, addresses[Self.addressKey(endpoint)] == nil else { return false }
        let i = index(id), bucket = buckets[i]
        if bucket.live.contains(where: { $0.id == id }) { return false }
        if let network = Self.networkKey(endpoint), bucket.live.contains(where: { Self.networkKey($0.endpoint) == network }) { return false }
        return bucket.live.count < DHT.k || i == buckets.count - 1 && i < 159 || bucket.spare.count < DHT.k
            || bucket.live.contains { $0.failures > 0 }
    }

    /// A node has answered. True when it has a place now that it had not before.
    @discardableResult
    mutating func answered(_ id: NodeID, _ endpoint: Endpoint, now: Instant) -> Bool {
        guard id != own else { return false }
        let key = Self.addressKey(endpoint)
        if let known = addresses[key], known != id {
            // One port that answers under a new id has been started anew; another port of that address has its place.
            guard let old = find(known), old.endpoint == endpoint || old.failures > 0 else { return false }
            remove(old)
        }
        var i = index(id)
        if let at = buckets[i].live.firstIndex(where: { $0.id == id }) {
            // Whoever answers under an id that another address holds is not believed.
            guard buckets[i].live[at].endpoint == endpoint else { return false }
            buckets[i].live[at].lastReply = now
            buckets[i].live[at].failures = 0
            buckets[i].changedAt = now
            return false
        }
        let contact = Contact(id: id, endpoint: endpoint, lastReply: now)
        if let network = Self.networkKey(endpoint), buckets[i].live.contains(where: { Self.networkKey($0.endpoint) == network }) { return false }
        while buckets[i].live.count >= DHT.k, i == buckets.count - 1, i < 159 {
            split()
            i = index(id)
        }
        if buckets[i].live.count < DHT.k {
            enter(contact, i, now)
            return true
        }
        if let worst = buckets[i].live.indices.filter({ buckets[i].live[$0].failures > 1 }).max(by: { buckets[i].live[$0].failures < buckets[i].live[$1].failures })
            ?? (contact.isSecure ? buckets[i].live.firstIndex { !$0.isSecure } : nil)
        {
            remove(buckets[i].live[worst])
            enter(contact, i, now)
            return true
        }
        buckets[i].spare.removeAll { $0.id == id || $0.endpoint == endpoint }
        if buckets[i].spare.count >= DHT.k { buckets[i].spare.removeFirst() }
        buckets[i].spare.append(contact)
        return false
    }

    private mutating func enter(_ contact: Contact, _ i: Int, _ now: Instant) {
        buckets[i].live.append(contact)
        buckets[i].changedAt = now
        addresses[Self.addressKey(contact.endpoint)] = contact.id
        checkInvariants()
    }

    private mutating func remove(_ contact: Contact) {
        let i = index(contact.id)
        buckets[i].live.removeAll { $0.id == contact.id }
        addresses[Self.addressKey(contact.endpoint)] = nil
    }

    private mutating func split() {
        let last = buckets.removeLast(), depth = buckets.count
        var near = Bucket(), far = Bucket()
        (near.changedAt, far.changedAt) = (last.changedAt, last.changedAt)
        for c in last.live { if own.sharedPrefix(with: c.id) > depth { near.live.append(c) } else { far.live.append(c) } }
        for c in last.spare { if own.sharedPrefix(with: c.id) > depth { near.spare.append(c) } else { far.spare.append(c) } }
        buckets.append(far)
        buckets.append(near)
        for i in [depth, depth + 1] { promote(i) }
    }

    /// A query to a node was not answered. `isOnline`: others do answer, so it is this node's fault.
    mutating func failed(_ id: NodeID, _ endpoint: Endpoint, isOnline: Bool) {
        guard isOnline else { return }
        let i = index(id)
        guard let at = buckets[i].live.firstIndex(where: { $0.id == id && $0.endpoint == endpoint }) else {
            buckets[i].spare.removeAll { $0.id == id }
            return
        }
        buckets[i].live[at].failures += 1
        // One lost datagram is nothing; with a replacement at hand two in a row are enough (BEP 5), without one a bad
        // contact is better than none for a while.
        let failures = buckets[i].live[at].failures
        if failures >= 2 && !buckets[i].spare.isEmpty || failures >= 5 {
            remove(buckets[i].live[at])
            promote(i)
        }
    }

    /// It answers under another id than it was known by.
    mutating func renamed(_ id: NodeID, _ endpoint: Endpoint) {
        guard let known = find(id), known.endpoint == endpoint else { return }
        remove(known)
        promote(index(id))
    }

    private mutating func promote(_ i: Int) {
        while buckets[i].live.count < DHT.k, let next = buckets[i].spare.popLast() {
            let key = Self.addressKey(next.endpoint)
            guard addresses[key] == nil, !buckets[i].live.contains(where: { $0.id == next.id }) else { continue }
            if let network = Self.networkKey(next.endpoint), buckets[i].live.contains(where: { Self.networkKey($0.endpoint) == network }) { continue }
            buckets[i].live.append(next)
            addresses[key] = next.id
        }
        checkInvariants()
    }

    /// The closest contacts that are not failing, closest first.
    func closest(to target: NodeID, count: Int, excluding: Endpoint? = nil) -> [Contact] {
        var best: [(distance: NodeID, contact: Contact)] = []
        best.reserveCapacity(count + 1)
        for bucket in buckets {
            for contact in bucket.live where contact.failures < 2 && contact.endpoint != excluding {
                let distance = contact.id ^ target
                if best.count == count, !(distance < best[count - 1].distance) { continue }
                let at = best.firstIndex { distance < $0.distance } ?? best.count
                best.insert((distance, contact), at: at)
                if best.count > count { best.removeLast() }
            }
        }
        return best.map(\.contact)
    }

    // MARK: upkeep

    /// A target in the range of the bucket that nothing has happened in for longest, if that is long enough.
    mutating func dueForRefresh(now: Instant, random: inout SeededRandom) -> NodeID? {
        guard let i = buckets.indices.min(by: { buckets[$0].changedAt < buckets[$1].changedAt }), buckets[i].changedAt + DHT.fresh <= now else { return nil }
        buckets[i].changedAt = now
        return i == buckets.count - 1 ? own.differing(at: min(159, i + random.below(4)), &random) : own.differing(at: i, &random)
    }
    mutating func touched(_ target: NodeID, now: Instant) { buckets[index(target)].changedAt = now }

    /// The contact that has been silent for longest, if that makes it questionable.
    func questionable(now: Instant) -> Contact? {
        var oldest: Contact?
        for bucket in buckets {
            for contact in bucket.live where contact.lastReply + DHT.fresh <= now && contact.lastReply < oldest?.lastReply ?? .never { oldest = contact }
        }
        return oldest
    }

    /// The same contacts seen from another place.
    mutating func move(to id: NodeID, now: Instant) {
        var moved = RoutingTable(own: id)
        for contact in contacts where contact.failures == 0 { moved.answered(contact.id, contact.endpoint, now: contact.lastReply) }
        for i in moved.buckets.indices { moved.buckets[i].changedAt = .zero }
        self = moved
    }

    func checkInvariants() {
        #if DEBUG
            assert(addresses.count == count)
            for (i, bucket) in buckets.enumerated() {
                assert(bucket.live.count <= DHT.k && bucket.spare.count <= DHT.k)
                for c in bucket.live {
                    let prefix = own.sharedPrefix(with: c.id)
                    assert(i == buckets.count - 1 ? prefix >= i : prefix == i)
                    assert(addresses[Self.addressKey(c.endpoint)] == c.id)
                }
            }
        #endif
    }
}
