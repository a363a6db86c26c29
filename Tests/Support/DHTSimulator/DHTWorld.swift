import DHT
import KRPC
import Primitives

/// Many DHT nodes on a virtual clock: every datagram takes 20 to 180 ms and one in fifty is lost; nodes come, and go
/// without a word. Each node has an address in a /24 of its own. The same seed gives the same run.
package final class DHTWorld {
    private struct Event {
        let at: Instant
        let serial: UInt64
        let node: Int32
        /// nil: the node's clock.
        let datagram: (bytes: [UInt8], from: Endpoint)?
        func isBefore(_ other: Event) -> Bool { at != other.at ? at < other.at : serial < other.serial }
    }
    private struct Node {
        var core: DHTCore
        let endpoint: Endpoint
        var isAlive = true
        /// The time of the wake-up that is in the heap.
        var wakesAt = Instant.never
        var sentBefore: UInt64 = 0
    }

    package private(set) var now = Instant.zero
    private var nodes: [Node] = []
    private var indexOf: [Endpoint: Int] = [:]
    private var heap: [Event] = []
    private var serial: UInt64 = 0
    private var random: SeededRandom
    private var live: [Int] = []
    private var effects: [DHTEffect] = []
    package private(set) var outcomes: [DHTRequestID: (outcome: DHTOutcome, at: Instant)] = [:]
    package private(set) var datagrams: UInt64 = 0
    package private(set) var bytes: UInt64 = 0
    private let loss: Double

    package init(seed: UInt64, loss: Double = 0.02) {
        random = SeededRandom(seed: seed)
        self.loss = loss
    }

    package var liveCount: Int { live.count }
    package var anyLive: Int { live[random.below(live.count)] }
    package func isAlive(_ node: Int) -> Bool { nodes[node].isAlive }
    package func status(_ node: Int) -> DHTStatus { nodes[node].core.status }
    package func endpoint(_ node: Int) -> Endpoint { nodes[node].endpoint }

    // MARK: people come and go

    @discardableResult
    package func join() -> Int {
        let i = nodes.count
        // 20.0.0.7, 20.0.1.7, ...: a /24 each, outside every local range.
        let endpoint = Endpoint(ipv4: 0x1400_0007 + UInt32(i) << 8, port: 6881)
        var secret = [UInt8](repeating: 0, count: 32)
        for k in secret.indices { secret[k] = UInt8(truncatingIfNeeded: random.next()) }
        var configuration = DHTConfiguration(secret: secret)
        configuration.families = [.ipv4]
        nodes.append(Node(core: DHTCore(configuration: configuration, random: SeededRandom(seed: random.next()), now: now), endpoint: endpoint))
        indexOf[endpoint] = i
        var known: [Endpoint] = []
        for _ in 0..<min(3, live.count) { known.append(nodes[anyLive].endpoint) }
        live.append(i)
        act(i) { core, now, effects in
            core.setAnnouncePort(6881)
            core.contacts(known, now: now, into: &effects)
        }
        return i
    }

    package func leave(_ node: Int) {
        nodes[node].isAlive = false
        live.removeAll { $0 == node }
    }

    // MARK: what people do

    package func announce(_ node: Int, _ torrent: TorrentID, _ hash: NodeID) {
        act(node) { core, now, _ in core.torrentAdded(torrent, hash.digest, isSeed: true, now: now) }
    }
    package func lookUp(_ node: Int, _ request: DHTRequestID, _ hash: NodeID) {
        act(node) { core, now, effects in core.lookUp(request, hash, now: now, into: &effects) }
    }
    package func put(_ node: Int, _ request: DHTRequestID, _ value: [UInt8]) {
        act(node) { core, now, effects in core.put(request, value: value, nil, salt: [], cas: nil, now: now, into: &effects) }
    }
    package func get(_ node: Int, _ request: DHTRequestID, _ target: NodeID) {
        act(node) { core, now, effects in core.get(request, target, salt: [], now: now, into: &effects) }
    }
    /// Datagrams that live nodes have sent since the last call, by node.
    package func takeTraffic() -> [UInt64] {
        live.map { i in
            let sent = nodes[i].core.counters.sent
            defer { nodes[i].sentBefore = sent }
            return sent - nodes[i].sentBefore
        }
    }
    /// Of the nodes that are closest to `hash` in the whole world, how many the node would ask first.
    package func closestOfAll(to hash: NodeID, count: Int) -> [NodeID] {
        live.map { nodes[$0].core.ownID(.ipv4)! }.sorted { $0 ^ hash < $1 ^ hash }.prefix(count).map { $0 }
    }

    // MARK: time

    package func run(for span: TimeSpan) {
        let end = now + span
        while let first = heap.first, first.at <= end {
            pop()
            now = first.at
            let i = Int(first.node)
            guard nodes[i].isAlive else { continue }
            if let datagram = first.datagram {
                act(i) { core, now, effects in
                    datagram.bytes.withUnsafeBytes { core.received($0, from: datagram.from, now: now, into: &effects) }
                }
            } else if nodes[i].wakesAt == first.at {
                nodes[i].wakesAt = .never
                act(i) { core, now, effects in core.tick(now: now, into: &effects) }
            }
        }
        now = end
    }

    private func act(_ i: Int, _ body: (inout DHTCore, Instant, inout [DHTEffect]) -> Void) {
        effects.removeAll(keepingCapacity: true)
        body(&nodes[i].core, now, &effects)
        for effect in effects {
            switch effect {
            case .send(let endpoint, let bytes): send(bytes, from: i, to: endpoint)
            case .finished(let request, let outcome): outcomes[request] = (outcome, now)
            case .peers, .bootstrapWanted, .externalAddress: break
            }
        }
        let wants = max(nodes[i].core.nextDeadline, now)
        if wants < nodes[i].wakesAt {
            nodes[i].wakesAt = wants
            push(Event(at: wants, serial: next(), node: Int32(i), datagram: nil))
        }
    }

    private func send(_ bytes: [UInt8], from i: Int, to endpoint: Endpoint) {
        datagrams += 1
        self.bytes += UInt64(bytes.count)
        guard let target = indexOf[endpoint], nodes[target].isAlive, !random.chance(loss) else { return }
        push(Event(at: now + .milliseconds(20) + random.jitter(.milliseconds(160)), serial: next(), node: Int32(target), datagram: (bytes, nodes[i].endpoint)))
    }
    private func next() -> UInt64 {
        serial += 1
        return serial
    }

    private func push(_ event: Event) {
        heap.append(event)
        var at = heap.count - 1
        while at > 0, heap[at].isBefore(heap[(at - 1) / 2]) {
            heap.swapAt(at, (at - 1) / 2)
            at = (at - 1) / 2
        }
    }
    private func pop() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var at = 0
        while true {
            var least = at
            for child in [2 * at + 1, 2 * at + 2] where child < heap.count && heap[child].isBefore(heap[least]) { least = child }
            if least == at { return }
            heap.swapAt(at, least)
            at = least
        }
    }
}
