import KRPC
import Primitives

/// Peers that announced themselves to us, for others to find (BEP 5, BEP 33). Bounded in info-hashes and in peers of
/// each; an announce is forgotten after 45 minutes.
struct PeerStore: Sendable {
    struct Peer: Sendable {
        var endpoint: Endpoint
        var isSeed: Bool
        var at: Instant
    }
    struct Row: Sendable {
        var peers: [Peer] = []
        var at = Instant.zero
    }
    static let life = TimeSpan.minutes(45)

    private let torrentLimit: Int, peerLimit: Int
    private var rows: [NodeID: Row] = [:]
    /// Keys of `rows` in the order of their first announce, so that nothing depends on the dictionary's order.
    private var order: [NodeID] = []
    private(set) var peerCount = 0
    private var sample: [NodeID] = []
    private var sampleUntil = Instant.zero

    init(torrents: Int, peers: Int) { (torrentLimit, peerLimit) = (torrents, peers) }

    var torrentCount: Int { rows.count }

    /// BEP 33: an info-hash that has all the peers that it may have gives no token.
    func isFull(_ hash: NodeID) -> Bool { (rows[hash]?.peers.count ?? 0) >= peerLimit }

    mutating func announced(_ hash: NodeID, _ endpoint: Endpoint, isSeed: Bool, now: Instant) {
        if rows[hash] == nil {
            // The one that nobody has announced for longest makes room.
            if rows.count >= torrentLimit, let oldest = order.min(by: { rows[$0]!.at < rows[$1]!.at }) { remove(oldest) }
            rows[hash] = Row()
            order.append(hash)
        }
        rows[hash]!.at = now
        // BEP 33: one entry for each address. In a local network several clients share one.
        let key = RoutingTable.addressKey(endpoint)
        if let i = rows[hash]!.peers.firstIndex(where: { RoutingTable.addressKey($0.endpoint) == key }) {
            rows[hash]!.peers[i] = Peer(endpoint: endpoint, isSeed: isSeed, at: now)
            return
        }
        guard rows[hash]!.peers.count < peerLimit else { return }
        rows[hash]!.peers.append(Peer(endpoint: endpoint, isSeed: isSeed, at: now))
        peerCount += 1
    }

    private mutating func remove(_ hash: NodeID) {
        peerCount -= rows.removeValue(forKey: hash)?.peers.count ?? 0
        order.removeAll { $0 == hash }
    }

    /// At most `count` of that family, another choice each time.
    func peers(_ hash: NodeID, _ family: AddressFamily, count: Int, noSeeds: Bool, random: inout SeededRandom) -> [Endpoint] {
        guard let row = rows[hash] else { return [] }
        var fitting = row.peers.filter { AddressFamily($0.endpoint) == family }
        if noSeeds {
            let wanted = fitting.filter { !$0.isSeed }
            // Best effort: seeds fill up what is left of nothing else.
            if !wanted.isEmpty { fitting = wanted }
        }
        var out: [Endpoint] = []
        for i in 0..<min(count, fitting.count) {
            fitting.swapAt(i, i + random.below(fitting.count - i))
            out.append(fitting[i].endpoint)
        }
        return out
    }

    func filters(_ hash: NodeID) -> (seeds: PeerFilter, downloaders: PeerFilter)? {
        guard let row = rows[hash] else { return nil }
        var seeds = PeerFilter(), downloaders = PeerFilter()
        for peer in row.peers { if peer.isSeed { seeds.insert(peer.endpoint) } else { downloaders.insert(peer.endpoint) } }
        return (seeds, downloaders)
    }

    /// The same info-hashes until the interval is over (BEP 51), and the seconds left of it.
    mutating func samples(interval: TimeSpan, now: Instant, random: inout SeededRandom) -> (hashes: [NodeID], seconds: Int) {
        if now >= sampleUntil {
            // 20 of 20 bytes beside 8 nodes stay below 1,024 bytes (BEP 32).
            var all = order
            sample = []
            for i in 0..<min(20, all.count) {
                all.swapAt(i, i + random.below(all.count - i))
                sample.append(all[i])
            }
            sampleUntil = now + interval
        }
        return (sample, Int((sampleUntil - now).seconds.rounded(.up)))
    }

    mutating func expire(now: Instant) {
        var gone: Set<NodeID> = []
        for hash in order {
            let before = rows[hash]!.peers.count
            rows[hash]!.peers.removeAll { $0.at + Self.life <= now }
            peerCount -= before - rows[hash]!.peers.count
            if rows[hash]!.peers.isEmpty {
                rows[hash] = nil
                gone.insert(hash)
            }
        }
        if !gone.isEmpty { order.removeAll { gone.contains($0) } }
    }
}

/// Items that others keep with us (BEP 44).
struct ItemStore: Sendable {
    struct Row: Sendable {
        var value: [UInt8]
        var item: ItemSignature?
        var at: Instant
    }
    private let limit: Int, life: TimeSpan
    private var rows: [NodeID: Row] = [:]
    private var order: [NodeID] = []

    init(limit: Int, life: TimeSpan) { (self.limit, self.life) = (limit, life) }
    var count: Int { rows.count }

    func find(_ target: NodeID) -> Row? { rows[target] }

    /// The token was checked. nil when it is stored.
    mutating func put(_ value: [UInt8], _ item: ItemSignature?, salt: [UInt8], cas: Int64?, now: Instant) -> KRPCError? {
        guard limit > 0 else { return .serverBusy }
        let target: NodeID
        if let item {
            guard Item.isSigned(value, item, salt: salt) else { return .badSignature }
            target = Item.target(key: item.key, salt: salt)
            if let old = rows[target]?.item {
                if let cas, cas != old.sequence { return .casMismatch }
                if item.sequence < old.sequence || item.sequence == old.sequence && rows[target]!.value != value { return .oldSequence }
            }
        } else {
            target = Item.target(value: value)
        }
        if rows[target] == nil {
            if rows.count >= limit, let oldest = order.min(by: { rows[$0]!.at < rows[$1]!.at }) {
                rows[oldest] = nil
                order.removeAll { $0 == oldest }
            }
            order.append(target)
        }
        rows[target] = Row(value: value, item: item, at: now)
        return nil
    }

    mutating func expire(now: Instant) {
        for target in order where rows[target]!.at + life <= now { rows[target] = nil }
        order.removeAll { rows[$0] == nil }
    }
}
