import Buffers
import ByteCodec
import PeerWire
import Primitives
import Swarm

/// A whole swarm in one thread on a virtual clock: nodes with a `Swarm`, `Buffers`, and a disk of their own, connected by
/// links with a delay and a rate. A block's payload is one number, so that corruption shows.
final class MiniSwarm {
    struct Link {
        /// Node and handle at each end; handle nil until accepted or after closed.
        var ends: [(node: Int, handle: PeerHandle?)]
        var isUp = true
        /// When the last byte each way arrives: keeps the order.
        var busyUntil: [Instant] = [.zero, .zero]
    }
    enum Wire {
        case handshake(Handshake)
        case message(PeerMessage, [UInt8])
        case block(piece: UInt32, begin: UInt32, length: UInt32, tag: UInt64)
        case end
    }
    enum Event {
        case arrive(link: Int, end: Int, Wire)
        case dialDone(node: Int, PeerHandle, Endpoint)
        case served(node: Int, PeerHandle, piece: PieceIndex, begin: UInt32, length: UInt32)
        case closed(node: Int, PeerHandle)
        case verified(node: Int, TorrentID, PieceIndex, SlotIndex)
        case written(node: Int, TorrentID, PieceIndex, SlotIndex)
        case failed(node: Int, TorrentID, PieceIndex, SlotIndex, StoreFailure)
        case tick(node: Int)
        case act(Int)
    }

    final class Node {
        let swarm: Swarm
        let buffers: Buffers
        let endpoint: Endpoint
        let peerID: PeerID
        var effects = EffectBuffer()
        /// Payload of each slot.
        var slots: [UInt64]
        var disk: [UInt64: UInt64] = [:]
        var have: Bitfield
        /// Bytes per second of each link's direction out of here.
        var rate: Double
        /// Probability that a block it serves is bad; that it never answers.
        var lies = 0.0
        var isMute = false
        var acceptsDials = true
        var linkOf: [PeerHandle: (link: Int, end: Int)] = [:]
        /// Blocks waiting, per connection.
        var queue: [PeerHandle: [(piece: PieceIndex, begin: UInt32, length: UInt32)]] = [:]
        var armedSlots: [PeerHandle: [SlotIndex]] = [:]
        var closes: [CloseReason] = []
        var closedPeers: [(Endpoint, CloseReason)] = []
        var openRuns: [SlotIndex: Int] = [:]
        var handed: Set<UInt32> = []
        var badPieces = 0
        var metadata: [UInt8] = []
        var foundMetadata: [UInt8]?
        var foundLayers: [UInt8]?
        /// In place of the disk worker, for hash requests; empty: it has none.
        var answerHashes: (HashRequest) -> [UInt8] = { _ in [] }
        /// What the disk worker says of a bad piece.
        var proof: (PieceIndex) -> BlockProof? = { _ in nil }
        var storeFailures: [StoreFailure] = []
        var bans: [(Endpoint, Violation)] = []

        init(swarm: Swarm, buffers: Buffers, endpoint: Endpoint, peerID: PeerID, pieces: Int, rate: Double) {
            self.swarm = swarm
            self.buffers = buffers
            self.endpoint = endpoint
            self.peerID = peerID
            self.rate = rate
            slots = [UInt64](repeating: 0, count: buffers.slotCount)
            have = Bitfield(count: pieces)
        }
    }

    var random: SeededRandom
    var now = Instant(nanoseconds: 1_000_000_000)
    private var heap: [(at: Instant, order: UInt64, event: Event)] = []
    private var order: UInt64 = 0
    private(set) var nodes: [Node] = []
    private(set) var links: [Link] = []
    let geometry: PieceGeometry
    let torrent = TorrentID(rawValue: 7)
    var infoHash = InfoHash(bytes20: 0xAB)
    var infoHashV2: SHA256Digest?
    var latency = TimeSpan.milliseconds(20)
    /// Announce receives, and overwrite slots under them with garbage at any moment, as a kernel may.
    var armsReceives = true
    var checksInvariants = true
    var actions: [() -> Void] = []
    /// Blocks asked, by (node, piece, block): how often.
    var asked: [UInt64: Int] = [:]

    init(seed: UInt64, geometry: PieceGeometry) {
        random = SeededRandom(seed: seed)
        self.geometry = geometry
    }

    static func tag(_ piece: UInt32, _ begin: UInt32) -> UInt64 { 0x5EED_0000_0000_0000 | UInt64(piece) << 24 | UInt64(begin / 16384) }

    @discardableResult
    func addNode(
        pieces: Bitfield?, slots: Int = 256, rate: Double = 4e6, knowsMetadata: Bool = true, metadata: [UInt8] = [],
        configure: (inout SwarmConfiguration) -> Void = { _ in }
    ) -> Node {
        let n = nodes.count
        let id = SwarmConfiguration.makePeerID(random: &random)
        var configuration = SwarmConfiguration(peerID: id, listenPort: 6881) { testSHA1($0) }
        configure(&configuration)
        let buffers = Buffers(slotCount: slots, softSlots: slots, chunkSlots: 4)
        let swarm = Swarm(configuration: configuration, buffers: buffers, seed: random.next())
        let node = Node(
            swarm: swarm, buffers: buffers, endpoint: Endpoint(ipv4: 0x0A00_0000 + UInt32(n + 1) * 256 + 1, port: 6881), peerID: id,
            pieces: geometry.pieceCount, rate: rate)
        node.metadata = metadata
        swarm.blockDigest = { [unowned node] slot, _ in node.slots[slot.int] }
        nodes.append(node)
        swarm.addTorrent(
            TorrentSpec(id: torrent, infoHash: infoHash, infoHashV2: infoHashV2, geometry: knowsMetadata ? geometry : nil, metadataLength: metadata.count), now: now,
            into: &node.effects)
        if let pieces {
            node.have = pieces
            swarm.diskReady(torrent, have: pieces, now: now, into: &node.effects)
        }
        drain(n)
        schedule(.milliseconds(random.below(100)), .tick(node: n))
        return node
    }

    func introduce(_ n: Int, to others: [Int]) {
        nodes[n].swarm.peersFound(torrent, origin: .tracker, others.map { nodes[$0].endpoint }, now: now, into: &nodes[n].effects)
        drain(n)
    }

    func after(_ span: TimeSpan, _ body: @escaping () -> Void) {
        actions.append(body)
        schedule(span, .act(actions.count - 1))
    }

    // MARK: Clock

    private func schedule(_ span: TimeSpan, _ event: Event) { schedule(at: now + span, event) }
    private func schedule(at: Instant, _ event: Event) {
        order += 1
        heap.append((at, order, event))
        var i = heap.count - 1
        while i > 0, (heap[i].at, heap[i].order) < (heap[(i - 1) / 2].at, heap[(i - 1) / 2].order) {
            heap.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }
    private func pop() -> (at: Instant, event: Event)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            var i = 0
            while true {
                var least = i
                for c in [2 * i + 1, 2 * i + 2] where c < heap.count && (heap[c].at, heap[c].order) < (heap[least].at, heap[least].order) { least = c }
                guard least != i else { break }
                heap.swapAt(i, least)
                i = least
            }
        }
        return (first.at, first.event)
    }

    /// Runs until `done` or the time is over; true when done.
    @discardableResult
    func run(for span: TimeSpan, until done: () -> Bool = { false }) -> Bool {
        let end = now + span
        while let next = heap.first, next.at <= end {
            if done() { return true }
            let (at, event) = pop()!
            now = at
            handle(event)
        }
        now = end
        return done()
    }

    // MARK: Events

    private func handle(_ event: Event) {
        switch event {
        case .tick(let n):
            nodes[n].swarm.tick(now: now, into: &nodes[n].effects)
            drain(n)
            if random.chance(0.3) { armSome(n) }
            schedule(.milliseconds(100), .tick(node: n))
        case .act(let i): actions[i]()
        case .arrive(let link, let end, let wire): arrive(link, end, wire)
        case .dialDone(let n, let p, let endpoint): dialDone(n, p, endpoint)
        case .served(let n, let p, let piece, let begin, let length): served(n, p, piece, begin, length)
        case .closed(let n, let p):
            disarm(n, p)
            nodes[n].linkOf[p] = nil
            nodes[n].queue[p] = nil
            nodes[n].swarm.closed(p, errno: 0, now: now, into: &nodes[n].effects)
            drain(n)
        case .verified(let n, let t, let piece, let first):
            let node = nodes[n]
            node.buffers.verified(first)
            node.swarm.pieceVerified(t, piece, now: now, into: &node.effects)
            drain(n)
            schedule(.milliseconds(5), .written(node: n, t, piece, first))
        case .written(let n, let t, let piece, let first):
            let node = nodes[n]
            for b in 0..<geometry.blockCount(of: piece) {
                precondition(node.slots[first.int + b] == Self.tag(piece.rawValue, UInt32(b) * 16384), "bytes changed under the disk's hands")
            }
            node.handed.remove(piece.rawValue)
            node.openRuns[first] = nil
            node.have.insert(piece)
            node.buffers.written(first)
            node.swarm.pieceWritten(t, piece, now: now, into: &node.effects)
            drain(n)
        case .failed(let n, let t, let piece, let first, let failure):
            let node = nodes[n]
            node.handed.remove(piece.rawValue)
            if failure == .hashMismatch { node.badPieces += 1 }
            precondition(node.openRuns[first] != nil)
            if failure != .hashMismatch { node.openRuns[first] = nil }
            node.swarm.pieceFailed(t, piece, failure, proof: failure == .hashMismatch ? node.proof(piece) : nil, now: now, into: &node.effects)
            drain(n)
        }
    }

    private func dialDone(_ n: Int, _ p: PeerHandle, _ endpoint: Endpoint) {
        let node = nodes[n]
        guard let m = nodes.firstIndex(where: { $0.endpoint == endpoint }), nodes[m].acceptsDials else {
            node.swarm.dialFailed(p, errno: 111, now: now, into: &node.effects)
            return drain(n)
        }
        let from = Endpoint(high: 0, low: node.endpoint.low, port: UInt16(20_000 + links.count % 40_000))
        guard let other = nodes[m].swarm.accepted(from: from, now: now, into: &nodes[m].effects) else {
            drain(m)
            node.swarm.dialFailed(p, errno: 104, now: now, into: &node.effects)
            return drain(n)
        }
        links.append(Link(ends: [(n, p), (m, other)]))
        node.linkOf[p] = (links.count - 1, 0)
        nodes[m].linkOf[other] = (links.count - 1, 1)
        drain(m)
        node.swarm.connected(p, now: now, into: &node.effects)
        drain(n)
    }

    private func arrive(_ link: Int, _ end: Int, _ wire: Wire) {
        let n = links[link].ends[end].node, node = nodes[n]
        guard let p = links[link].ends[end].handle else { return }
        // Held back by a rate limit: it stays in the kernel's buffer.
        if case .block = wire, !node.swarm.mayReceive(p, now: now) { return schedule(.milliseconds(50), .arrive(link: link, end: end, wire)) }
        disarm(n, p)
        switch wire {
        case .handshake(let handshake): node.swarm.handshakeReceived(p, handshake, now: now, into: &node.effects)
        case .message(let message, let payload):
            payload.withUnsafeBytes { node.swarm.message(p, message, payload: $0, now: now, into: &node.effects) }
        case .block(let piece, let begin, let length, let tag):
            switch node.swarm.destination(p, piece: piece, begin: begin, length: length) {
            case .discard: node.swarm.blockDiscarded(p, piece: piece, begin: begin, length: length, now: now, into: &node.effects)
            case .direct(let slot), .copy(let slot):
                node.slots[slot.int] = tag
                node.swarm.blockReceived(p, piece: piece, begin: begin, length: length, now: now, into: &node.effects)
            }
        case .end:
            links[link].ends[end].handle = nil
            node.linkOf[p] = nil
            node.queue[p] = nil
            node.swarm.closed(p, errno: 0, now: now, into: &node.effects)
        }
        drain(n)
        if node.linkOf[p] != nil, random.chance(0.5) { arm(n, p) }
    }

    private func served(_ n: Int, _ p: PeerHandle, _ piece: PieceIndex, _ begin: UInt32, _ length: UInt32) {
        let node = nodes[n]
        guard let (link, end) = node.linkOf[p], node.queue[p]?.isEmpty == false else { return }
        let head = node.queue[p]!.removeFirst()
        precondition(head.piece == piece && head.begin == begin && node.have.contains(piece))
        var tag = Self.tag(piece.rawValue, begin)
        if random.chance(node.lies) { tag ^= 1 + random.next() >> 8 }
        deliver(link, 1 - end, .block(piece: piece.rawValue, begin: begin, length: length, tag: tag), bytes: 0)
        node.swarm.blockSent(p, bytes: Int(length), now: now, into: &node.effects)
        drain(n)
        serveNext(n, p)
    }

    private func serveNext(_ n: Int, _ p: PeerHandle) {
        guard let head = nodes[n].queue[p]?.first, !nodes[n].isMute else { return }
        schedule(.seconds(Double(head.length) / nodes[n].rate), .served(node: n, p, piece: head.piece, begin: head.begin, length: head.length))
    }

    // MARK: Receives in flight

    private func arm(_ n: Int, _ p: PeerHandle) {
        guard armsReceives, nodes[n].armedSlots[p] == nil else { return }
        var slots: [SlotIndex] = [], count = 0
        while count < 8, let block = nodes[n].swarm.expected(p, count) {
            if let slot = block.slot { slots.append(slot) }
            count += 1
        }
        guard count > 0 else { return }
        for (_, others) in nodes[n].armedSlots { precondition(!others.contains(where: slots.contains), "two receives into one slot") }
        nodes[n].armedSlots[p] = slots
        nodes[n].swarm.armed(p, count, now: now, into: &nodes[n].effects)
        drain(n)
    }
    private func armSome(_ n: Int) {
        for p in nodes[n].swarm.peers(of: torrent) { arm(n, p) }
    }
    /// The kernel may have put anything there meanwhile.
    private func disarm(_ n: Int, _ p: PeerHandle, isEffect: Bool = false) {
        guard let slots = nodes[n].armedSlots.removeValue(forKey: p) else { return }
        for slot in slots { nodes[n].slots[slot.int] = random.next() }
        nodes[n].swarm.armed(p, 0, now: now, into: &nodes[n].effects)
        // What follows from an effect comes after the rest of its batch.
        if !isEffect { drain(n) }
    }

    /// Cuts a connection of `n` from outside.
    func cut(_ n: Int, _ p: PeerHandle) {
        guard let (link, _) = nodes[n].linkOf[p] else { return }
        for end in 0...1 { deliver(link, end, .end, bytes: 0) }
    }

    private func deliver(_ link: Int, _ end: Int, _ wire: Wire, bytes: Int) {
        guard links[link].ends[end].handle != nil else { return }
        let from = nodes[links[link].ends[1 - end].node]
        let at = max(links[link].busyUntil[end], now + latency) + .seconds(Double(bytes) / from.rate)
        links[link].busyUntil[end] = at
        schedule(at: at, .arrive(link: link, end: end, wire))
    }

    // MARK: Effects

    func drain(_ n: Int) {
        let node = nodes[n]
        while !node.effects.isEmpty {
            let batch = node.effects
            node.effects = EffectBuffer()
            for k in 0..<batch.count { carryOut(n, batch[k], batch) }
        }
        if checksInvariants {
            node.swarm.checkInvariants()
            node.buffers.checkInvariants()
        }
    }

    private func carryOut(_ n: Int, _ effect: Effect, _ batch: EffectBuffer) {
        let node = nodes[n]
        switch effect {
        case .send(let p, let message): transmit(n, p, message, batch)
        case .serve(let p, _, let piece, let begin, let length):
            node.queue[p, default: []].append((piece, begin, length))
            if node.queue[p]!.count == 1 { serveNext(n, p) }
        case .cancelServe(let p, let piece, let begin, let length):
            // The first is on the wire already.
            guard let at = node.queue[p]?.dropFirst().firstIndex(where: { $0.piece == piece && $0.begin == begin && $0.length == length })
            else { return }
            node.queue[p]!.remove(at: at)
            node.swarm.serveFailed(p, piece: piece.rawValue, begin: begin, length: length, now: now, into: &node.effects)
        case .cancelAllServes(let p):
            while node.queue[p, default: []].count > 1 {
                let (piece, begin, length) = node.queue[p]!.removeLast()
                node.swarm.serveFailed(p, piece: piece.rawValue, begin: begin, length: length, now: now, into: &node.effects)
            }
        case .dial(let p, let endpoint), .dialByUTP(let p, let endpoint): schedule(latency, .dialDone(node: n, p, endpoint))
        case .close(let p, let reason):
            node.closes.append(reason)
            if let (link, end) = node.linkOf[p] {
                node.closedPeers.append((nodes[links[link].ends[1 - end].node].endpoint, reason))
                deliver(link, 1 - end, .end, bytes: 0)
                links[link].ends[end].handle = nil
            }
            schedule(.milliseconds(3), .closed(node: n, p))
        case .disarm(let p): disarm(n, p, isEffect: true)
        case .bufferOpened(_, let piece, let first, let count, _):
            // A bad piece that is kept for its good blocks is entered again.
            precondition(node.openRuns[first] == nil || node.openRuns[first] == count)
            node.openRuns[first] = count
            precondition(count == geometry.slotCount(of: piece))
        case .bufferKept(_, let piece, let first, let count, _):
            precondition(node.openRuns[first] == nil && count == geometry.slotCount(of: piece))
            node.openRuns[first] = count
        case .bufferDiscarded(let first): precondition(node.openRuns.removeValue(forKey: first) != nil, "run \(first) was given back twice, or never open")
        case .storePiece(let t, let piece, let first, let length):
            precondition(length == geometry.length(of: piece))
            let slots = first.int..<first.int + geometry.slotCount(of: piece)
            for (_, armed) in node.armedSlots { precondition(!armed.contains { slots.contains($0.int) }, "handed over under a receive") }
            if node.buffers.state(of: first) == .filling { node.buffers.handOver(first) }
            guard node.handed.insert(piece.rawValue).inserted else { return }
            let isGood = slots.enumerated().allSatisfy { node.slots[$0.element] == Self.tag(piece.rawValue, UInt32($0.offset) * 16384) }
            if let failure = node.storeFailures.popLast() {
                schedule(.milliseconds(4), .failed(node: n, t, piece, first, failure))
            } else if isGood {
                schedule(.milliseconds(4), .verified(node: n, t, piece, first))
            } else {
                schedule(.milliseconds(4), .failed(node: n, t, piece, first, .hashMismatch))
            }
        case .metadataFound(_, let payload): node.foundMetadata = batch.payload(payload)
        case .metadataBlockWanted(let t, let block, let p):
            let at = Int(block) * 16384
            node.swarm.metadataBlock(
                p, torrent: t, block: block, bytes: Array(node.metadata[at..<min(at + 16384, node.metadata.count)]), now: now, into: &node.effects)
        case .banned(let endpoint, let why, _): node.bans.append((endpoint, why))
        case .layersFound(_, let payload): node.foundLayers = batch.payload(payload)
        case .hashesWanted(_, let p, let payload):
            let request = batch.payload(payload).withUnsafeBytes { HashRequest(decoding: $0) }!
            node.swarm.hashesServed(p, request, hashes: node.answerHashes(request), now: now, into: &node.effects)
        case .checkBlocks(let t, let piece, let first, _, _, _):
            var good = Bitfield(count: geometry.slotCount(of: piece))
            for block in 0..<good.count where node.slots[first.int + block] == Self.tag(piece.rawValue, UInt32(block) * 16384) { good.insert(block) }
            node.swarm.blocksChecked(t, piece, good: good, now: now, into: &node.effects)
        case .morePeersWanted, .dhtNodeSeen, .externalAddress, .layersMissing: break
        }
    }

    private func transmit(_ n: Int, _ p: PeerHandle, _ message: OutgoingMessage, _ batch: EffectBuffer) {
        let node = nodes[n]
        guard let (link, end) = node.linkOf[p] else { return }
        var out: PeerMessage, payload: [UInt8] = []
        switch message {
        case .handshake(let hash): return deliver(link, 1 - end, .handshake(Handshake(infoHash: hash, peerID: node.peerID, reserved: node.swarm.reservedBits(for: hash))), bytes: 68)
        case .keepAlive: out = .keepAlive
        case .choke: out = .choke
        case .unchoke: out = .unchoke
        case .interested: out = .interested
        case .notInterested: out = .notInterested
        case .have(let piece): out = .have(piece: piece.rawValue)
        case .bitfield(let t):
            payload = node.swarm.have(t)!.wireBytes
            out = .bitfield(PayloadRange(offset: 0, count: payload.count))
        case .haveAll: out = .haveAll
        case .haveNone: out = .haveNone
        case .request(let piece, let begin, let length):
            asked[UInt64(n) << 48 | UInt64(piece.rawValue) << 24 | UInt64(begin / 16384), default: 0] += 1
            out = .request(piece: piece.rawValue, begin: begin, length: length)
        case .cancel(let piece, let begin, let length): out = .cancel(piece: piece.rawValue, begin: begin, length: length)
        case .reject(let piece, let begin, let length): out = .reject(piece: piece, begin: begin, length: length)
        case .allowedFast(let piece): out = .allowedFast(piece: piece.rawValue)
        case .dhtPort: out = .port(6881)
        case .extended(let id, let index):
            payload = batch.payload(index)
            out = .extended(id: id, PayloadRange(offset: 0, count: payload.count))
        case .encoded(let index):
            payload = batch.payload(index)
            guard case .message(let message, _)? = payload.withUnsafeBytes({ try? MessageParser().next($0, at: 0) }) else { preconditionFailure("no message") }
            out = message
        }
        deliver(link, 1 - end, .message(out, payload), bytes: 17)
    }

    func isComplete(_ n: Int) -> Bool { nodes[n].have.isFull }
}

extension SHA1Digest {
    init(bytes20 byte: UInt8) { self.init([UInt8](repeating: byte, count: 20))! }
}
