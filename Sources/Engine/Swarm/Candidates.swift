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
}

/// The addresses of one torrent. Bounded by its owner's limit; takes no memory while empty. Linear: used per dial and per
/// announce, not per block.
struct Candidates {
    private(set) var list: [Candidate] = []

    var isEmpty: Bool { list.isEmpty }
    var count: Int { list.count }

    func index(of endpoint: Endpoint) -> Int? { list.firstIndex { $0.endpoint == endpoint } }

    /// False when it is known already, or there is no room. A manual one makes room.
    mutating func add(_ endpoint: Endpoint, origin: PeerOrigin, limit: Int) -> Bool {
        if let i = index(of: endpoint) {
            if origin == .manual, list[i].state == .idle {
                list[i].origin = .manual
                list[i].failures = 0
                list[i].nextTry = .zero
                return true
            }
            return false
        }
        if list.count >= limit {
            guard origin == .manual || origin == .incoming, let victim = list.firstIndex(where: { $0.state == .idle && !$0.isProven })
            else { return false }
            list.remove(at: victim)
        }
        list.append(Candidate(endpoint: endpoint, origin: origin))
        return true
    }

    mutating func update(_ endpoint: Endpoint, _ body: (inout Candidate) -> Void) {
        if let i = index(of: endpoint) { body(&list[i]) }
    }
    mutating func remove(_ endpoint: Endpoint) {
        if let i = index(of: endpoint) { list.remove(at: i) }
    }

    /// The best idle address that is due: asked for by the user, then proven ones, then the rest in order of
    /// arrival. `soonest` is when another could be due.
    func best(now: Instant, skipSeeds: Bool, allowed: (Candidate) -> Bool) -> (choice: Endpoint?, soonest: Instant) {
        var best: Int?, bestScore = -1, soonest = Instant.never
        for (i, c) in list.enumerated() where c.state == .idle && !(skipSeeds && c.isSeed) {
            guard c.nextTry <= now else {
                soonest = min(soonest, c.nextTry)
                continue
            }
            let score = c.origin == .manual ? 3 : c.isProven ? 2 : c.failures == 0 ? 1 : 0
            guard score > bestScore else { continue }
            guard allowed(c) else {
                soonest = min(soonest, now + .seconds(1))
                continue
            }
            (best, bestScore) = (i, score)
        }
        return (best.map { list[$0].endpoint }, soonest)
    }
}
