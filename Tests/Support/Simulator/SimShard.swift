import BlockArena
import Buffers
import ByteCodec
import Catalog
import PeerWire
import Pieces
import Primitives
import Swarm

/// What outlives a shard: the arena's memory and block table. The same layout rules as the real one, without mmap.
package final class SimArena {
    struct Entry {
        var handed = false
        var torrent: TorrentID, piece: PieceIndex, slots: Int, length: UInt32
    }
    var memory: [UInt8]
    var received: [Bool]
    var entries: [Int: Entry] = [:]
    init(slots: Int) {
        memory = [UInt8](repeating: 0, count: slots * 16384)
        received = [Bool](repeating: false, count: slots)
    }
    func range(_ first: SlotIndex, _ count: Int) -> Range<Int> { first.int * 16384..<first.int * 16384 + count }
}

/// The peer shard's shell in the simulator: the real `Swarm` and `Buffers`, a network of messages instead of sockets.
package final class SimShard {
    unowned let world: SimWorld
    let node: Int
    let generation: Generation
    let swarm: Swarm
    let buffers: Buffers
    let arena: SimArena
    let peerID: PeerID
    var effects = EffectBuffer()
    var connections: [PeerHandle: (SimConnection, side: Int)] = [:]
    var handed: [Int: StoreRequest] = [:]
    var reads: [Int: ReadRequest] = [:]
    var waiting: [(PeerHandle, piece: PieceIndex, begin: UInt32, length: UInt32)] = []
    var leftOvers: [(SlotIndex, SimArena.Entry)] = []
    var isReadable = false
    var blocksSent = 0
    var now: Instant { world.clock.now }
    let torrent = TorrentID(1)

    init(world: SimWorld, node: Int, generation: Generation, arena: SimArena, slots: Int) {
        (self.world, self.node, self.generation, self.arena) = (world, node, generation, arena)
        buffers = Buffers(slotCount: slots, softSlots: slots / 2, chunkSlots: 2)
        var random = SeededRandom(seed: world.random.next())
        peerID = SwarmConfiguration.makePeerID(random: &random)
        swarm = Swarm(
            configuration: SwarmConfiguration(peerID: peerID, listenPort: 6881, sha1: SimShard.digest), buffers: buffers, seed: random.next())
        for first in arena.entries.keys.sorted() {
            let entry = arena.entries[first]!
            if buffers.adopt(first: SlotIndex(first), torrent: entry.torrent, piece: entry.piece, slots: entry.slots, handed: false) {
                leftOvers.append((SlotIndex(first), entry))
            }
        }
    }

    /// Any well-mixed function will do where nothing outside the simulator sees it.
    static let digest: @Sendable (UnsafeRawBufferPointer) -> SHA1Digest = { bytes in
        var mix = SeededRandom(seed: bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
        return SHA1Digest((0..<20).map { _ in UInt8(truncatingIfNeeded: mix.next()) })!
    }

    // MARK: session

    func add(_ entry: PeerEntry) {
        swarm.addTorrent(
            Swarm::TorrentSpec(id: entry.torrent, infoHash: entry.facts.infoHash, geometry: world.geometry, metadataLength: 100), now: now, into: &effects)
    }
    func found(_ endpoints: [Endpoint]) { swarm.peersFound(torrent, origin: .tracker, endpoints, now: now, into: &effects) }

    // MARK: disk

    func diskOpened() {
        if let have = swarm.have(torrent), !have.isEmpty { world.toDisk(node, self) { .claim(0, $0.torrent, have: have.wireBytes) } }
        world.toDisk(node, self) { _ in .claimsEnd(0) }
        for first in handed.keys.sorted() {
            let request = handed[first]!
            world.toDisk(node, self) { _ in .store(request) }
        }
        for first in reads.keys.sorted() {
            let request = reads[first]!
            world.toDisk(node, self) { _ in .read(request) }
        }
    }
    func diskClosed() {
        isReadable = false
        swarm.diskUnready(torrent, now: now, into: &effects)
    }

    func fromDisk(_ effect: DiskEffect) {
        switch effect {
        case .ready(_, let have, _):
            isReadable = true
            swarm.diskReady(torrent, have: have, now: now, into: &effects)
            adopt(have)
        case .unready:
            isReadable = false
            swarm.diskUnready(torrent, now: now, into: &effects)
        case .verified(let r):
            guard handed[r.run.first.int] == r, buffers.state(of: r.run.first) == .handed else { return }
            buffers.verified(r.run.first)
            swarm.pieceVerified(torrent, PieceIndex(rawValue: r.piece), now: now, into: &effects)
        case .stored(let r):
            guard handed[r.run.first.int] == r else { return }
            handed[r.run.first.int] = nil
            arena.entries[r.run.first.int] = nil
            let early = buffers.state(of: r.run.first) == .handed
            buffers.written(r.run.first)
            if early { swarm.pieceVerified(torrent, PieceIndex(rawValue: r.piece), now: now, into: &effects) }
            swarm.pieceWritten(torrent, PieceIndex(rawValue: r.piece), now: now, into: &effects)
        case .storeFailed(let r, let why):
            guard handed[r.run.first.int] == r else { return }
            handed[r.run.first.int] = nil
            arena.entries[r.run.first.int] = nil
            buffers.unverify(r.run.first)
            swarm.pieceFailed(torrent, PieceIndex(rawValue: r.piece), .init(rawValue: why.rawValue)!, now: now, into: &effects)
        case .readDone(let r, let status):
            guard reads[r.run.first.int] == r else { return }
            reads[r.run.first.int] = nil
            buffers.readDone(r.run.first, ok: status == .done)
            if status != .done {
                let failed = waiting.filter { $0.piece.rawValue == r.piece && $0.begin >= r.offset && $0.begin < r.offset + r.length }
                waiting.removeAll { w in failed.contains { $0.0 == w.0 && $0.piece == w.piece && $0.begin == w.begin } }
                for w in failed { swarm.serveFailed(w.0, piece: w.piece.rawValue, begin: w.begin, length: w.length, now: now, into: &effects) }
            }
        default: break
        }
    }

    private func adopt(_ have: Bitfield) {
        let left = leftOvers
        leftOvers = []
        for (first, entry) in left {
            guard !have.contains(entry.piece) else {
                arena.entries[first.int] = nil
                buffers.discard(first)
                continue
            }
            var received = Bitfield(count: entry.slots)
            for i in 0..<entry.slots where entry.handed || arena.received[first.int + i] { received.insert(i) }
            swarm.adoptPartialPiece(torrent, entry.piece, firstSlot: first, received: received, now: now, into: &effects)
        }
    }

    // MARK: network

    func accept(_ from: Endpoint) -> PeerHandle? { swarm.accepted(from: from, now: now, into: &effects) }
    func connected(_ p: PeerHandle) { swarm.connected(p, now: now, into: &effects) }
    func dialFailed(_ p: PeerHandle) { swarm.dialFailed(p, errno: 111, now: now, into: &effects) }
    func lost(_ p: PeerHandle) {
        guard connections.removeValue(forKey: p) != nil else { return }
        waiting.removeAll { $0.0 == p }
        swarm.closed(p, errno: 104, now: now, into: &effects)
    }

    func arrived(_ message: SimMessage, _ p: PeerHandle) {
        guard connections[p] != nil else { return }
        switch message {
        case .handshake(let handshake): swarm.handshakeReceived(p, handshake, now: now, into: &effects)
        case .message(let m, let payload): payload.withUnsafeBytes { swarm.message(p, m, payload: $0, now: now, into: &effects) }
        case .block(let piece, let begin, let bytes):
            let length = UInt32(bytes.count)
            switch swarm.destination(p, piece: piece, begin: begin, length: length) {
            case .direct(let slot), .copy(let slot):
                arena.memory.replaceSubrange(arena.range(slot, bytes.count), with: bytes)
                arena.received[slot.int] = true
                world.received[node] += UInt64(length)
                swarm.blockReceived(p, piece: piece, begin: begin, length: length, now: now, into: &effects)
            case .discard: swarm.blockDiscarded(p, piece: piece, begin: begin, length: length, now: now, into: &effects)
            }
        }
    }

    // MARK: effects

    func act() {
        serveWaiting()
        var i = 0
        while i < effects.count {
            perform(effects[i])
            i += 1
        }
        effects.removeAll()
    }

    private func perform(_ effect: Effect) {
        switch effect {
        case .send(let p, let message): send(p, message)
        case .serve(let p, _, let piece, let begin, let length):
            waiting.append((p, piece, begin, length))
            serveWaiting()
        case .cancelServe(let p, let piece, let begin, let length):
            guard let at = waiting.firstIndex(where: { $0.0 == p && $0.piece == piece && $0.begin == begin && $0.length == length }) else { return }
            waiting.remove(at: at)
            swarm.serveFailed(p, piece: piece.rawValue, begin: begin, length: length, now: now, into: &effects)
        case .cancelAllServes(let p):
            let mine = waiting.filter { $0.0 == p }
            waiting.removeAll { $0.0 == p }
            for w in mine { swarm.serveFailed(p, piece: w.piece.rawValue, begin: w.begin, length: w.length, now: now, into: &effects) }
        case .dial(let p, let endpoint): world.dial(from: node, p, endpoint)
        case .close(let p, _):
            waiting.removeAll { $0.0 == p }
            if let (connection, _) = connections.removeValue(forKey: p) { world.breakOff(connection) }
            swarm.closed(p, errno: 0, now: now, into: &effects)
        case .disarm(let p): swarm.armed(p, 0, now: now, into: &effects)
        case .bufferOpened(let torrent, let piece, let first, let slots, let length):
            for i in first.int..<first.int + slots { arena.received[i] = false }
            arena.entries[first.int] = .init(torrent: torrent, piece: piece, slots: slots, length: length)
        case .bufferDiscarded(let first): arena.entries[first.int] = nil
        case .storePiece(let torrent, let piece, let first, let length):
            buffers.handOver(first)
            arena.entries[first.int] = .init(
                handed: true, torrent: torrent, piece: piece, slots: world.geometry.slotCount(of: piece), length: length)
            let request = StoreRequest(torrent: torrent, piece: piece.rawValue, run: RunID(shard: 0, first: first), length: length)
            handed[first.int] = request
            world.toDisk(node, self) { _ in .store(request) }
        case .morePeersWanted: world.toSession(node, self) { .morePeersWanted($0.torrent) }
        case .metadataFound, .metadataBlockWanted: break
        }
    }

    private func send(_ p: PeerHandle, _ message: OutgoingMessage) {
        guard let (connection, side) = connections[p] else { return }
        let out: SimMessage
        switch message {
        case .handshake(let hash): out = .handshake(Handshake(infoHash: hash, peerID: peerID))
        case .keepAlive: out = .message(.keepAlive, [])
        case .choke: out = .message(.choke, [])
        case .unchoke: out = .message(.unchoke, [])
        case .interested: out = .message(.interested, [])
        case .notInterested: out = .message(.notInterested, [])
        case .have(let piece): out = .message(.have(piece: piece.rawValue), [])
        case .haveAll: out = .message(.haveAll, [])
        case .haveNone: out = .message(.haveNone, [])
        case .bitfield(let torrent):
            let bytes = swarm.have(torrent)!.wireBytes
            out = .message(.bitfield(PayloadRange(offset: 0, count: bytes.count)), bytes)
        case .request(let piece, let begin, let length): out = .message(.request(piece: piece.rawValue, begin: begin, length: length), [])
        case .cancel(let piece, let begin, let length): out = .message(.cancel(piece: piece.rawValue, begin: begin, length: length), [])
        case .reject(let piece, let begin, let length): out = .message(.reject(piece: piece, begin: begin, length: length), [])
        case .allowedFast(let piece): out = .message(.allowedFast(piece: piece.rawValue), [])
        case .extended(let id, let payload):
            let bytes = effects.payload(payload)
            out = .message(.extended(id: id, PayloadRange(offset: 0, count: bytes.count)), bytes)
        }
        world.send(out, on: connection, side: side)
    }

    /// Sends what is cached, asks the disk for the rest.
    private func serveWaiting() {
        var i = 0
        while i < waiting.count {
            let w = waiting[i]
            guard isReadable, let (connection, side) = connections[w.0] else {
                i += 1
                continue
            }
            switch buffers.find(torrent: torrent, piece: w.piece, block: w.begin / 16384) {
            case .hit(_, let slot):
                waiting.remove(at: i)
                var bytes = Array(arena.memory[arena.range(slot, Int(w.length))])
                blocksSent += 1
                if world.isCorrupter(node), blocksSent % world.scenario.corruptEvery == 0 { bytes[0] ^= 0xFF }
                world.send(.block(piece: w.piece.rawValue, begin: w.begin, bytes), on: connection, side: side)
                swarm.blockSent(w.0, bytes: Int(w.length), now: now, into: &effects)
            case .loading: i += 1
            case .miss:
                i += 1
                let range = buffers.chunkRange(block: w.begin / 16384, pieceBlocks: world.geometry.blockCount(of: w.piece))
                guard let first = buffers.openRead(torrent: torrent, piece: w.piece, firstBlock: range.firstBlock, slots: range.slots) else { continue }
                let offset = range.firstBlock * 16384
                let request = ReadRequest(
                    torrent: torrent, piece: w.piece.rawValue, offset: offset,
                    length: min(UInt32(range.slots) * 16384, world.geometry.length(of: w.piece) - offset), run: RunID(shard: 0, first: first))
                reads[first.int] = request
                world.toDisk(node, self) { _ in .read(request) }
            }
        }
    }
}
