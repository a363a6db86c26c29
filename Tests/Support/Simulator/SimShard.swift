import BlockArena
import Buffers
import ByteCodec
import Catalog
import Limits
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
    let configuration: SwarmConfiguration
    private var peerID: PeerID { configuration.peerID }
    /// Torrents that the session has named; of these since its link opened; of these whose files can be read.
    private var known: Set<TorrentID> = []
    private var replayed: Set<TorrentID> = []
    private var readable: Set<TorrentID> = []
    /// What the disk worker said of torrents that the session has not named yet.
    var earlyReady: [TorrentID: Bitfield] = [:]
    /// Torrents of which nothing may be claimed.
    var doubted: Set<TorrentID> = []
    var effects = EffectBuffer()
    var connections: [PeerHandle: (SimConnection, side: Int)] = [:]
    var handed: [Int: StoreRequest] = [:]
    var reads: [Int: ReadRequest] = [:]
    struct Waiting {
        let peer: PeerHandle, torrent: TorrentID, piece: PieceIndex, begin: UInt32, length: UInt32
    }
    var waiting: [Waiting] = []
    var leftOvers: [(SlotIndex, SimArena.Entry)] = []
    var blocksSent = 0
    var now: Instant { world.clock.now }

    init(world: SimWorld, node: Int, generation: Generation, arena: SimArena, slots: Int) {
        (self.world, self.node, self.generation, self.arena) = (world, node, generation, arena)
        buffers = Buffers(slotCount: slots, softSlots: slots / 2, chunkSlots: 2)
        var random = SeededRandom(seed: world.random.next())
        var configuration = SwarmConfiguration(
            peerID: SwarmConfiguration.makePeerID(random: &random), listenPort: 6881, sha1: SimShard.digest)
        configuration.sha256 = SimWorld.digest
        configuration.endgameDuplicates = world.scenario.endgameDuplicates
        self.configuration = configuration
        swarm = Swarm(configuration: configuration, buffers: buffers, seed: random.next())
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

    func sessionOpened() {
        replayed = []
        report(swarm.torrentIDs.compactMap { swarm.report($0) })
    }
    func add(_ entry: PeerEntry) {
        known.insert(entry.torrent)
        replayed.insert(entry.torrent)
        swarm.addTorrent(
            Swarm::TorrentSpec(
                id: entry.torrent, infoHash: entry.facts.infoHash, infoHashV2: entry.facts.infoHashV2.isZero ? nil : entry.facts.infoHashV2,
                traits: entry.flags.contains(.paused) ? .paused : [], geometry: world.announcedGeometry, metadataLength: 100),
            now: now, into: &effects)
        if let have = earlyReady.removeValue(forKey: entry.torrent) { ready(entry.torrent, have) }
    }
    func flags(_ id: TorrentID, _ flags: WorkerFlags) {
        swarm.setTraits(id, flags.contains(.paused) ? .paused : [], now: now, into: &effects)
    }
    func limit(_ id: TorrentID, _ limits: TorrentLimits) { swarm.setLimits(of: id, limits, now: now, into: &effects) }
    func remove(_ id: TorrentID) {
        guard known.remove(id) != nil else { return }
        readable.remove(id)
        swarm.removeTorrent(id, now: now, into: &effects)
        buffers.forget(torrent: id)
        dropLeftOvers { $0.torrent == id }
    }
    func replayEnded() {
        for id in known.subtracting(replayed).sorted() { remove(id) }
        dropLeftOvers { !self.known.contains($0.torrent) }
    }
    func found(_ id: TorrentID, _ endpoints: [Endpoint], _ isVersion2: Bool) {
        swarm.peersFound(id, origin: .tracker, endpoints, isVersion2: isVersion2, now: now, into: &effects)
    }

    private func report(_ reports: [Swarm.TorrentReport]) {
        guard !reports.isEmpty else { return }
        let list = reports.map {
            PeerReport(
                torrent: $0.id, counters: TransferCounters(downloaded: $0.downloaded, downloadedAgain: $0.downloadedAgain, uploaded: $0.uploaded),
                downRate: $0.downRate, upRate: $0.upRate, peers: UInt32($0.peers), seeds: UInt32($0.seeds))
        }
        let generation = generation
        world.toSession(node, self) { _ in .peers(shard: 0, generation, list) }
    }
    func reportChanges() {
        var changed: [Swarm.TorrentReport] = []
        swarm.takeReports { changed.append($0) }
        report(changed)
    }

    // MARK: network

    func accept(_ from: Endpoint) -> PeerHandle? { swarm.accepted(from: from, now: now, into: &effects) }
    func connected(_ p: PeerHandle) { swarm.connected(p, now: now, into: &effects) }
    func dialFailed(_ p: PeerHandle) { swarm.dialFailed(p, errno: 111, now: now, into: &effects) }
    func lost(_ p: PeerHandle) {
        guard connections.removeValue(forKey: p) != nil else { return }
        waiting.removeAll { $0.peer == p }
        swarm.closed(p, errno: 104, now: now, into: &effects)
    }

    func arrived(_ message: SimMessage, _ p: PeerHandle) {
        guard connections[p] != nil else { return }
        switch message {
        case .handshake(let handshake): swarm.handshakeReceived(p, handshake, now: now, into: &effects)
        case .message(let m, let payload): payload.withUnsafeBytes { swarm.message(p, m, payload: $0, now: now, into: &effects) }
        case .block(let piece, let begin, let bytes):
            let length = UInt32(bytes.count)
            world.received[node] += UInt64(length)
            switch swarm.destination(p, piece: piece, begin: begin, length: length) {
            case .direct(let slot), .copy(let slot):
                arena.memory.replaceSubrange(arena.range(slot, bytes.count), with: bytes)
                arena.received[slot.int] = true
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
        case .serve(let p, let torrent, let piece, let begin, let length):
            waiting.append(Waiting(peer: p, torrent: torrent, piece: piece, begin: begin, length: length))
            serveWaiting()
        case .cancelServe(let p, let piece, let begin, let length):
            guard let at = waiting.firstIndex(where: { $0.peer == p && $0.piece == piece && $0.begin == begin && $0.length == length }) else { return }
            waiting.remove(at: at)
            swarm.serveFailed(p, piece: piece.rawValue, begin: begin, length: length, now: now, into: &effects)
        case .cancelAllServes(let p): refuse { $0.peer == p }
        case .dial(let p, let endpoint), .dialByUTP(let p, let endpoint):
            world.tell(node, "dials \(endpoint)")
            world.dial(from: node, p, endpoint)
        case .close(let p, let reason):
            world.tell(node, "closes a connection: \(reason)")
            switch reason {
            case .corruptPiece, .banned: world.mark(.peerBanned)
            case .messageFlood: world.mark(.floodStopped)
            case .protocolViolation, .badBitfield, .badIndex, .notFastExtension, .badExtendedMessage, .uselessBlocks, .invalidRequests, .badHashes:
                world.mark(.violationStopped)
            default: break
            }
            waiting.removeAll { $0.peer == p }
            if let (connection, _) = connections.removeValue(forKey: p) { world.breakOff(connection) }
            swarm.closed(p, errno: 0, now: now, into: &effects)
        case .disarm(let p): swarm.armed(p, 0, now: now, into: &effects)
        case .bufferOpened(let torrent, let piece, let first, let slots, let length):
            for i in first.int..<first.int + slots { arena.received[i] = false }
            arena.entries[first.int] = .init(torrent: torrent, piece: piece, slots: slots, length: length)
        case .bufferKept(let torrent, let piece, let first, let slots, let length):
            arena.entries[first.int] = .init(torrent: torrent, piece: piece, slots: slots, length: length)
        case .bufferDiscarded(let first): arena.entries[first.int] = nil
        case .storePiece(let torrent, let piece, let first, let length):
            buffers.handOver(first)
            arena.entries[first.int] = .init(
                handed: true, torrent: torrent, piece: piece, slots: world.geometry.slotCount(of: piece), length: length)
            let request = StoreRequest(torrent: torrent, piece: piece.rawValue, run: RunID(shard: 0, first: first), length: length)
            handed[first.int] = request
            world.toDisk(node, self) { _ in .store(request) }
        // The DHT has a simulator of its own.
        case .dhtNodeSeen: break
        case .morePeersWanted(let id): world.toSession(node, self) { _ in .morePeersWanted(id) }
        case .banned:
            world.mark(.peerBanned)
        case .hashesWanted(_, let p, let payload):
            let request = effects.payload(payload).withUnsafeBytes { HashRequest(decoding: $0) }!
            swarm.hashesServed(p, request, hashes: world.hashes(request), now: now, into: &effects)
        case .checkBlocks(let torrent, let piece, let first, let length, _, let payload): checkBlocks(torrent, piece, first, length, effects.payload(payload))
        case .metadataFound, .metadataBlockWanted, .layersFound, .layersMissing, .externalAddress: break
        }
    }

    private func send(_ p: PeerHandle, _ message: OutgoingMessage) {
        guard let (connection, side) = connections[p] else { return }
        let out: SimMessage
        switch message {
        case .handshake(let hash): out = .handshake(Handshake(infoHash: hash, peerID: peerID, reserved: swarm.reservedBits(for: hash)))
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
        case .dhtPort: return
        case .extended(let id, let payload):
            let bytes = effects.payload(payload)
            out = .message(.extended(id: id, PayloadRange(offset: 0, count: bytes.count)), bytes)
        case .encoded(let payload):
            let bytes = effects.payload(payload)
            guard case .message(let message, _)? = bytes.withUnsafeBytes({ try? MessageParser().next($0, at: 0) }) else { preconditionFailure("no message") }
            out = .message(message, bytes)
        }
        world.send(out, on: connection, side: side)
    }

    func refuse(_ which: (Waiting) -> Bool) {
        let mine = waiting.filter(which)
        waiting.removeAll(where: which)
        for w in mine { swarm.serveFailed(w.peer, piece: w.piece.rawValue, begin: w.begin, length: w.length, now: now, into: &effects) }
    }

    /// Sends what is cached, asks the disk for the rest.
    private func serveWaiting() {
        var i = 0
        while i < waiting.count {
            let w = waiting[i]
            guard readable.contains(w.torrent), let (connection, side) = connections[w.peer] else {
                i += 1
                continue
            }
            switch buffers.find(torrent: w.torrent, piece: w.piece, block: w.begin / 16384) {
            case .hit(_, let slot):
                guard connection.hasRoom(side, now: now) else {
                    i += 1
                    continue
                }
                guard swarm.uploadAllowance(w.peer, want: Int(w.length), now: now) >= Int(w.length) else {
                    i += 1
                    continue
                }
                swarm.uploadSpent(w.peer, bytes: Int(w.length))
                waiting.remove(at: i)
                var bytes = Array(arena.memory[arena.range(slot, Int(w.length))])
                blocksSent += 1
                if world.isCorrupter(node), blocksSent % world.scenario.corruptEvery == 0 {
                    bytes[0] ^= 0xFF
                    world.mark(.corruptBlock)
                }
                world.sent[node] += UInt64(w.length)
                world.send(.block(piece: w.piece.rawValue, begin: w.begin, bytes), on: connection, side: side)
                swarm.blockSent(w.peer, bytes: Int(w.length), now: now, into: &effects)
            case .loading: i += 1
            case .miss:
                i += 1
                let range = buffers.chunkRange(block: w.begin / 16384, pieceBlocks: world.geometry.blockCount(of: w.piece))
                guard let first = buffers.openRead(torrent: w.torrent, piece: w.piece, firstBlock: range.firstBlock, slots: range.slots) else { continue }
                let offset = range.firstBlock * 16384
                let request = ReadRequest(
                    torrent: w.torrent, piece: w.piece.rawValue, offset: offset,
                    length: min(UInt32(range.slots) * 16384, world.geometry.length(of: w.piece) - offset), run: RunID(shard: 0, first: first))
                reads[first.int] = request
                world.toDisk(node, self) { _ in .read(request) }
            }
        }
    }

    // MARK: used by SimShard+Disk

    func isKnown(_ id: TorrentID) -> Bool { known.contains(id) }
    func setReadable(_ id: TorrentID, _ yes: Bool) { if yes { readable.insert(id) } else { readable.remove(id) } }
    var knownTorrents: [TorrentID] { known.sorted() }
}
