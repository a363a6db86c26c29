import KRPC
import Primitives

/// One iterative lookup (BEP 5): asks the closest candidates, takes in what they name, and ends when the eight closest
/// that answer have answered. Bounded in candidates, queries and peers.
///
/// Invariants: `candidates` are in the order of their distance to `target`, at most ``DHT/candidates``, one for each
/// public network; `pending` counts those in state `asked`, `slow` those of them that let us wait.
struct Search: Sendable {
    enum Purpose: Sendable {
        /// Nodes near `target`: bootstrap and refresh.
        case nodes
        case torrent(TorrentID)
        case peers(DHTRequestID)
        case item(DHTRequestID, salt: [UInt8])
        case store(DHTRequestID, value: [UInt8], ItemSignature?, salt: [UInt8], cas: Int64?)
    }
    enum State: Sendable { case fresh, asked, slow, answered, failed }
    struct Candidate: Sendable {
        /// What the node says; a guess while `isNamed` is false.
        var id: NodeID
        var isNamed: Bool
        let endpoint: Endpoint
        var state = State.fresh
        var token: [UInt8]?
        /// Answers on the way to it.
        var depth: Int
    }

    let serial: UInt32
    let target: NodeID
    let family: AddressFamily
    let purpose: Purpose
    private(set) var candidates: [Candidate] = []
    /// Queries without an answer, those that let us wait left out.
    var pending = 0
    var slow = 0
    var asked = 0
    var answered = 0
    /// Puts, announces and scrapes at the end that are not answered.
    var storing = 0
    var stored = 0
    var isStoring = false
    var refusal: KRPCError?
    var found: [Endpoint] = []
    var seen: Set<Endpoint> = []
    var seeds = PeerFilter()
    var downloaders = PeerFilter()
    var value: (bytes: [UInt8], item: ItemSignature?)?

    init(serial: UInt32, target: NodeID, family: AddressFamily, purpose: Purpose) {
        (self.serial, self.target, self.family, self.purpose) = (serial, target, family, purpose)
    }

    /// False when it is known, too far or from a network that has its candidate.
    @discardableResult
    mutating func add(_ id: NodeID?, _ endpoint: Endpoint, depth: Int) -> Bool {
        guard AddressFamily(endpoint) == family else { return false }
        let network = RoutingTable.networkKey(endpoint)
        // Whom we do not know the name of goes last.
        let name = id ?? NodeID(a: ~target.a, b: ~target.b, c: ~target.c)
        let distance = name ^ target
        for c in candidates {
            if c.endpoint == endpoint || id != nil && c.isNamed && c.id == name { return false }
            // One candidate a network: who owns a /24 must not be all that a lookup hears.
            if let network, RoutingTable.networkKey(c.endpoint) == network { return false }
        }
        let at = candidates.firstIndex { distance < $0.id ^ target } ?? candidates.count
        if candidates.count >= DHT.candidates {
            guard at < candidates.count, let last = candidates.lastIndex(where: { $0.state == .fresh || $0.state == .failed }), last >= at else { return false }
            candidates.remove(at: last)
        }
        candidates.insert(Candidate(id: name, isNamed: id != nil, endpoint: endpoint, depth: depth), at: at)
        return true
    }

    /// The next to ask; nil while enough are asked or nobody is left to ask.
    func next() -> Int? {
        guard pending < DHT.alpha, asked < DHT.queriesPerSearch else { return nil }
        var closer = 0
        for (i, c) in candidates.enumerated() {
            switch c.state {
            case .fresh: return i
            case .answered, .asked: closer += 1
            case .slow, .failed: break
            }
            if closer >= DHT.k { return nil }
        }
        return nil
    }
    /// Needs `next()` to be nil. Who lets us wait is waited for only while few have answered: it is most likely gone.
    var isOver: Bool { pending == 0 && (slow == 0 || answered >= DHT.k) }

    func index(of endpoint: Endpoint) -> Int? { candidates.firstIndex { $0.endpoint == endpoint } }

    mutating func sent(_ i: Int) {
        candidates[i].state = .asked
        pending += 1
        asked += 1
    }
    mutating func becameSlow(_ endpoint: Endpoint) {
        guard let i = index(of: endpoint), candidates[i].state == .asked else { return }
        candidates[i].state = .slow
        pending -= 1
        slow += 1
    }
    mutating func ended(_ endpoint: Endpoint, answered isAnswer: Bool, name: NodeID?, token: [UInt8]?) {
        guard let i = index(of: endpoint) else { return }
        switch candidates[i].state {
        case .asked: pending -= 1
        case .slow: slow -= 1
        default: return
        }
        candidates[i].state = isAnswer ? .answered : .failed
        candidates[i].token = token
        guard isAnswer else { return }
        answered += 1
        // Where it belongs by the id that it has, whatever others said.
        if let name, !candidates[i].isNamed || candidates[i].id != name {
            var c = candidates.remove(at: i)
            (c.id, c.isNamed) = (name, true)
            let distance = name ^ target
            candidates.insert(c, at: candidates.firstIndex { distance < $0.id ^ target } ?? candidates.count)
        }
    }

    /// New ones of `peers`, in their order.
    mutating func take(_ peers: [Endpoint]) -> [Endpoint] {
        var fresh: [Endpoint] = []
        for peer in peers where found.count + fresh.count < DHT.peersPerSearch && seen.insert(peer).inserted { fresh.append(peer) }
        found += fresh
        return fresh
    }

    /// Where a value goes: the closest that answered and gave a token.
    var holders: [Candidate] { Array(candidates.lazy.filter { $0.state == .answered && $0.token != nil }.prefix(DHT.k)) }
    var hops: Int { candidates.first { $0.state == .answered }?.depth ?? 0 }
}
