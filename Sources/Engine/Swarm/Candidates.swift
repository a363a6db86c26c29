import PeerWire
import Primitives

/// An address that a torrent's swarm was said to be at.
struct Candidate {
    enum State: UInt8 { case idle, dialling, connected }
    var endpoint: Endpoint
    var origin: PeerOrigin
    var state = State.idle
    var failures: UInt8 = 0
    /// Finished a handshake once.
    var isProven = false
    var isSeed = false
    /// Encrypted where the first attempt is plain, or the reverse: since that failed.
    var usesOtherWay = false
    var nextTry = Instant.zero
    /// Canonical priority (BEP 40): decides among equals.
    var priority: UInt32 = 0
    /// What ut_pex said of it.
    var flags: PexMessage.Flags = []
    /// It was named under the v2 info-hash: that is what it is greeted with.
    var isVersion2 = false
}

/// The addresses of one torrent. Bounded by its owner's limit; takes no memory while empty. Linear: used per dial and per
/// announce, not per block.
struct Candidates {
    private(set) var list: [Candidate] = []

    var isEmpty: Bool { list.isEmpty }
    var count: Int { list.count }

    func index(of endpoint: Endpoint) -> Int? { list.firstIndex { $0.endpoint == endpoint } }

    /// Of addresses that other peers named, and no tracker, at most half of the room.
    private(set) var hearsay = 0

    /// False when it is known already, or there is no room. A manual one makes room, and one of a tracker does in the
    /// place of hearsay.
    @discardableResult
    mutating func add(_ endpoint: Endpoint, origin: PeerOrigin, priority: UInt32 = 0, flags: PexMessage.Flags = [], limit: Int, isVersion2: Bool = false) -> Bool {
        if let i = index(of: endpoint) {
            if origin == .manual, list[i].state == .idle {
                if list[i].origin.isHearsay { hearsay -= 1 }
                list[i].origin = .manual
                list[i].failures = 0
                list[i].nextTry = .zero
                return true
            }
            return false
        }
        if origin.isHearsay, hearsay >= limit / 2 { return false }
        if list.count >= limit {
            let victim =
                origin.isHearsay
                ? nil
                : list.firstIndex { $0.state == .idle && !$0.isProven && $0.origin.isHearsay }
                    ?? (origin == .manual || origin == .incoming ? list.firstIndex { $0.state == .idle && !$0.isProven } : nil)
            guard let victim else { return false }
            remove(at: victim)
        }
        list.append(Candidate(endpoint: endpoint, origin: origin, isSeed: flags.contains(.isSeed), priority: priority, flags: flags, isVersion2: isVersion2))
        if origin.isHearsay { hearsay += 1 }
        return true
    }

    mutating func update(_ endpoint: Endpoint, _ body: (inout Candidate) -> Void) {
        if let i = index(of: endpoint) { body(&list[i]) }
    }
    func isVersion2(_ endpoint: Endpoint) -> Bool { index(of: endpoint).map { list[$0].isVersion2 } ?? false }
    mutating func remove(_ endpoint: Endpoint) {
        if let i = index(of: endpoint) { remove(at: i) }
    }
    private mutating func remove(at i: Int) {
        if list[i].origin.isHearsay { hearsay -= 1 }
        list.remove(at: i)
    }
    /// Idle ones that never failed need not wait for their turn.
    mutating func retryNow() {
        for i in list.indices where list[i].state == .idle && list[i].failures == 0 { list[i].nextTry = .zero }
    }
    /// Our own address changed, and with it every priority.
    mutating func rank(_ priority: (Endpoint) -> UInt32) {
        for i in list.indices { list[i].priority = priority(list[i].endpoint) }
    }

    /// The best idle address that is due: asked for by the user, then proven ones, then those that have not failed, the
    /// highest canonical priority first (BEP 40). `soonest` is when another could be due.
    func best(now: Instant, skipSeeds: Bool, allowed: (Candidate) -> Bool) -> (choice: Endpoint?, soonest: Instant) {
        var best: Int?, bestScore = -1, bestPriority: UInt32 = 0, soonest = Instant.never
        for (i, c) in list.enumerated() where c.state == .idle && !(skipSeeds && c.isSeed) {
            guard c.nextTry <= now else {
                soonest = min(soonest, c.nextTry)
                continue
            }
            let score = c.origin == .manual ? 3 : c.isProven ? 2 : c.failures == 0 ? 1 : 0
            guard score > bestScore || score == bestScore && c.priority > bestPriority else { continue }
            guard allowed(c) else {
                soonest = min(soonest, now + .seconds(1))
                continue
            }
            (best, bestScore, bestPriority) = (i, score, c.priority)
        }
        return (best.map { list[$0].endpoint }, soonest)
    }
}

extension PeerOrigin {
    /// Another peer, or anybody in the DHT, says so.
    var isHearsay: Bool { self == .pex || self == .dht || self == .lsd }
}
