import Buffers
import PeerWire
import Primitives
import Swarm
import Testing

/// 32 bytes for tests: two SHA-1 sums. What it is does not matter, only that every side takes the same.
@Sendable func testSHA256(_ bytes: UnsafeRawBufferPointer) -> SHA256Digest {
    let first = testSHA1(bytes).bytes, second = (first + [UInt8](bytes.prefix(7))).withUnsafeBytes { testSHA1($0).bytes }
    return SHA256Digest(first + second.prefix(12))!
}

/// A file's hash tree, whole.
struct TestTree {
    /// From the leaves up; 32 bytes a node.
    var levels: [[[UInt8]]]
    let pieceLayer: Int, pieces: Int

    init(pieces: Int, blocksPerPiece: Int, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let zero = [UInt8](repeating: 0, count: 32)
        var width = 1
        while width < pieces * blocksPerPiece { width *= 2 }
        var level = (0..<width).map { i in i < pieces * blocksPerPiece ? (0..<32).map { _ in UInt8(random.below(256)) } : zero }
        levels = [level]
        while level.count > 1 {
            level = (0..<level.count / 2).map { i in (level[2 * i] + level[2 * i + 1]).withUnsafeBytes { testSHA256($0).bytes } }
            levels.append(level)
        }
        pieceLayer = blocksPerPiece.trailingZeroBitCount
        self.pieces = pieces
    }

    var root: SHA256Digest { SHA256Digest(levels.last![0])! }
    var layer: [UInt8] { Array(levels[pieceLayer].prefix(pieces).joined()) }

    func answer(_ r: HashRequest) -> [UInt8] {
        guard r.root == root else { return [] }
        var out = Array(levels[Int(r.baseLayer)][Int(r.index)..<Int(r.index + r.length)].joined())
        for i in 0..<r.uncleCount {
            let level = Int(r.baseLayer + r.runLayers) + i
            out += levels[level][Int(r.index) >> (Int(r.runLayers) + i) ^ 1]
        }
        return out
    }
}

/// BEP 52 in the swarm: two names for one torrent, piece layers with proofs, hashes for others.
@Suite struct Version2Tests {
    static let v2 = SHA256Digest([UInt8](repeating: 0x22, count: 32))!

    private func hybrid(version2Only: Bool = false, knowsMetadata: Bool = true) -> Stage {
        let stage = Stage { $0.sha256 = testSHA256 }
        stage.swarm.removeTorrent(stage.id, now: stage.now, into: &stage.effects)
        stage.swarm.addTorrent(
            TorrentSpec(
                id: stage.id, infoHash: version2Only ? Self.v2.truncated : stage.infoHash, infoHashV2: Self.v2,
                geometry: knowsMetadata ? stage.geometry : nil),
            now: stage.now, into: &stage.effects)
        if knowsMetadata { stage.swarm.diskReady(stage.id, have: Bitfield(count: 10), now: stage.now, into: &stage.effects) }
        _ = stage.take()
        return stage
    }
    private func greet(_ stage: Stage, _ hash: InfoHash, bit: Bool, _ n: UInt8 = 1) -> (PeerHandle, [Effect]) {
        let p = stage.accept()!
        let reserved = Handshake.fastBit | (bit ? Handshake.version2Bit : 0)
        stage.swarm.handshakeReceived(
            p, Handshake(infoHash: hash, peerID: PeerID([UInt8](repeating: n, count: 20))!, reserved: reserved), now: stage.now, into: &stage.effects)
        return (p, stage.take())
    }
    private func answered(_ effects: [Effect]) -> InfoHash? {
        for case .send(_, .handshake(let hash)) in effects { return hash }
        return nil
    }

    @Test func aHybridAnswersToBothHashesAndUpgradesWhoKnowsV2() {
        let stage = hybrid()
        #expect(answered(greet(stage, stage.infoHash, bit: false, 1).1) == stage.infoHash, "a v1 peer hears the v1 hash")
        #expect(answered(greet(stage, stage.infoHash, bit: true, 2).1) == Self.v2.truncated, "BEP 52, upgrade path")
        #expect(answered(greet(stage, Self.v2.truncated, bit: true, 3).1) == Self.v2.truncated)
        #expect(answered(greet(stage, Self.v2.truncated, bit: false, 4).1) == Self.v2.truncated)
        #expect(answered(greet(stage, InfoHash(bytes20: 0x33), bit: true, 5).1) == nil)
        #expect(stage.swarm.reservedBits(for: stage.infoHash) & Handshake.version2Bit != 0)
        #expect(stage.swarm.reservedBits(for: InfoHash(bytes20: 0x33)) & Handshake.version2Bit == 0)
        stage.swarm.removeTorrent(stage.id, now: stage.now, into: &stage.effects)
        _ = stage.take()
        #expect(answered(greet(stage, Self.v2.truncated, bit: true, 6).1) == nil, "both names went with it")
    }

    @Test func aV2OnlyTorrentHasOneName() {
        let stage = hybrid(version2Only: true)
        #expect(answered(greet(stage, stage.infoHash, bit: true, 1).1) == nil)
        #expect(answered(greet(stage, Self.v2.truncated, bit: false, 2).1) == Self.v2.truncated)
    }

    @Test func anAddressIsGreetedByTheHashUnderWhichItWasFound() {
        for isVersion2 in [false, true] {
            let stage = hybrid(), endpoint = Endpoint("1.2.3.4:5")!
            stage.swarm.peersFound(stage.id, origin: .tracker, [endpoint], isVersion2: isVersion2, now: stage.now, into: &stage.effects)
            var said: [InfoHash] = []
            // Who hangs up on one name is tried by the other.
            for _ in 0..<2 {
                var dialled: PeerHandle?
                for _ in 0..<4000 where dialled == nil {
                    stage.now = stage.now + .milliseconds(100)
                    stage.swarm.tick(now: stage.now, into: &stage.effects)
                    for case .dial(let p, _) in stage.take() { dialled = p }
                }
                guard let p = dialled else { break }
                stage.swarm.connected(p, now: stage.now, into: &stage.effects)
                if let hash = answered(stage.take()) { said.append(hash) }
                stage.swarm.closed(p, errno: 0, now: stage.now, into: &stage.effects)
                _ = stage.take()
            }
            #expect(said == (isVersion2 ? [Self.v2.truncated, stage.infoHash] : [stage.infoHash, Self.v2.truncated]))
        }
    }

    // MARK: layers

    private func world(_ tree: TestTree, seed: UInt64 = 1) -> MiniSwarm {
        let world = MiniSwarm(seed: seed, geometry: MiniSwarmTests.geometry(pieces: 20))
        world.infoHash = Self.v2.truncated
        world.infoHashV2 = Self.v2
        return world
    }

    @Test(arguments: [2, 3, 16, 512, 513])
    func layersComeWithProofsFromSeveralPeers(pieces: Int) {
        let tree = TestTree(pieces: pieces, blocksPerPiece: 2, seed: UInt64(pieces)), world = world(tree)
        for _ in 0..<3 { world.addNode(pieces: Bitfield(full: 20)) { $0.sha256 = testSHA256 }.answerHashes = tree.answer }
        let node = world.addNode(pieces: nil, knowsMetadata: false) { $0.sha256 = testSHA256 }
        world.introduce(3, to: [0, 1, 2])
        node.swarm.layersWanted(
            world.torrent, files: [LayerFile(root: tree.root, pieces: UInt32(pieces))], pieceLength: 32768, isOptional: false, now: world.now,
            into: &node.effects)
        world.drain(3)
        #expect(world.run(for: .seconds(60)) { node.foundLayers != nil })
        #expect(node.foundLayers == tree.layer)
    }

    @Test func whoSendsHashesThatDoNotLeadToTheRootIsBanned() {
        let tree = TestTree(pieces: 520, blocksPerPiece: 2, seed: 9), world = world(tree)
        let liar = world.addNode(pieces: Bitfield(full: 20)) { $0.sha256 = testSHA256 }
        liar.answerHashes = { r in
            var bytes = tree.answer(r)
            bytes[bytes.count - 1] ^= 1
            return bytes
        }
        // Refuses everything, as a peer without the layer may.
        world.addNode(pieces: Bitfield(full: 20)) { $0.sha256 = testSHA256 }
        world.addNode(pieces: Bitfield(full: 20)) { $0.sha256 = testSHA256 }.answerHashes = tree.answer
        let node = world.addNode(pieces: nil, knowsMetadata: false) { $0.sha256 = testSHA256 }
        world.introduce(3, to: [0, 1])
        node.swarm.layersWanted(
            world.torrent, files: [LayerFile(root: tree.root, pieces: 520)], pieceLength: 32768, isOptional: false, now: world.now, into: &node.effects)
        world.drain(3)
        #expect(world.run(for: .seconds(60)) { node.closes.contains(.badHashes) })
        #expect(node.swarm.isBanned(liar.endpoint, now: world.now) && !node.swarm.isBanned(world.nodes[1].endpoint, now: world.now))
        #expect(node.foundLayers == nil)
        world.introduce(3, to: [2])
        #expect(world.run(for: .seconds(60)) { node.foundLayers != nil })
        #expect(node.foundLayers == tree.layer)
    }

    @Test func aHybridDoesWithoutWhatNobodyGives() {
        let stage = hybrid(knowsMetadata: false)
        _ = greet(stage, Self.v2.truncated, bit: true)
        stage.swarm.layersWanted(
            stage.id, files: [LayerFile(root: Self.v2, pieces: 2)], pieceLength: 16384, isOptional: true, now: stage.now, into: &stage.effects)
        var gaveUpAfter: Int?
        for second in 1...20 where gaveUpAfter == nil {
            stage.now = stage.now + .seconds(1)
            stage.swarm.tick(now: stage.now, into: &stage.effects)
            if stage.take().contains(.layersMissing(torrent: stage.id)) { gaveUpAfter = second }
        }
        #expect(gaveUpAfter == 11)
    }

    @Test func noMoreLayersAreFetchedThanATorrentMayHave() {
        let stage = hybrid(version2Only: true, knowsMetadata: false)
        for files in [[LayerFile(root: Self.v2, pieces: (1 << 20) + 1)], [LayerFile(root: Self.v2, pieces: 1)]] {
            stage.swarm.layersWanted(stage.id, files: files, pieceLength: 16384, isOptional: false, now: stage.now, into: &stage.effects)
            #expect(stage.take() == [.layersMissing(torrent: stage.id)])
        }
    }

    // MARK: blocks

    /// A liar among four honest seeds: its blocks are found out one by one, and nothing else is fetched twice.
    @Test(arguments: 1...5 as ClosedRange<UInt64>) func onlyBadBlocksAreFetchedAgainAndOnlyTheirSenderIsBanned(seed: UInt64) {
        let geometry = MiniSwarmTests.geometry(pieces: 30)
        // One file: 30 pieces of four blocks, the last piece short.
        let tree = TestTree(pieces: 30, blocksPerPiece: 4, seed: seed)
        let world = MiniSwarm(seed: seed, geometry: geometry)
        world.infoHash = Self.v2.truncated
        world.infoHashV2 = Self.v2
        for _ in 0..<4 { world.addNode(pieces: Bitfield(full: 30), rate: 300_000) { $0.sha256 = testSHA256 }.answerHashes = tree.answer }
        let liar = world.addNode(pieces: Bitfield(full: 30), rate: 400_000) { $0.sha256 = testSHA256 }
        liar.lies = 0.3
        liar.answerHashes = tree.answer
        let node = world.addNode(pieces: Bitfield(count: 30), slots: 128) { $0.sha256 = testSHA256 }
        node.proof = { piece in
            BlockProof(root: tree.root, hash: SHA256Digest(tree.levels[2][piece.int])!, firstBlock: UInt32(4 * piece.int), width: 4, fileBytes: geometry.length(of: piece))
        }
        world.introduce(5, to: [0, 1, 2, 3, 4])
        #expect(world.run(for: .seconds(200)) { world.isComplete(5) })
        for (endpoint, reason) in node.closedPeers where reason == .corruptPiece || reason == .banned { #expect(endpoint == liar.endpoint) }
        let report = node.swarm.report(world.torrent)!
        #expect(report.downloaded - report.downloadedAgain == geometry.totalLength)
        if node.badPieces > 0 { #expect(node.swarm.isBanned(liar.endpoint, now: world.now)) }
    }

    /// A file ends in the middle of a hybrid's piece: fewer hashes than blocks, the rest is padding.
    @Test(arguments: [1 as UInt32, 16384, 16385, 40_000, 65_535, 65_536]) func onlyTheFilesBlocksOfAPieceHaveHashes(fileBytes: UInt32) throws {
        let stage = hybrid(), leaves = Int((fileBytes + 16383) / 16384), width = leaves == 3 ? 4 : leaves
        let hashes = (0..<width).map { i in [UInt8](repeating: i < leaves ? UInt8(i + 1) : 0, count: 32) }
        var nodes = hashes
        while nodes.count > 1 { nodes = (0..<nodes.count / 2).map { (nodes[2 * $0] + nodes[2 * $0 + 1]).withUnsafeBytes { testSHA256($0).bytes } } }
        let root = SHA256Digest(nodes[0])!
        func seed(_ n: UInt8) -> PeerHandle {
            let (p, _) = greet(stage, Self.v2.truncated, bit: true, n)
            stage.say(p, .haveAll)
            stage.say(p, .unchoke)
            return p
        }
        let liar = seed(1)
        for _ in 0..<4 { stage.answer(liar) }
        let piece = try #require(stage.take().stored.first), index = PieceIndex(piece)
        let other = seed(2)
        _ = stage.take()
        let proof = BlockProof(root: root, hash: root, firstBlock: 0, width: UInt32(width), fileBytes: fileBytes)
        stage.swarm.pieceFailed(stage.id, index, .hashMismatch, proof: proof, now: stage.now, into: &stage.effects)
        var effects = stage.take()
        if width > 1 {
            let request = HashRequest(root: root, baseLayer: 0, index: 0, length: UInt32(width), proofLayers: 0)
            let bytes = Array(request.message(MessageID.hashes, hashes: Array(hashes.joined()))[5...])
            stage.say(other, .hashes(PayloadRange(offset: 0, count: bytes.count)), bytes)
            effects = stage.take()
        }
        let payload: (UInt32, Int)? = effects.compactMap { if case .checkBlocks(_, _, _, _, let f, let p) = $0 { (f, p) } else { nil } }.first
        #expect(payload?.0 == fileBytes)
        // The last block is bad, be it the file's or padding.
        var good = Bitfield(full: 4)
        good.remove(3)
        stage.swarm.blocksChecked(stage.id, index, good: good, now: stage.now, into: &stage.effects)
        #expect(stage.swarm.report(stage.id)!.downloadedAgain == 16384)
        var asked = stage.take().requests(to: other)
        for _ in 0..<60 {
            stage.answer(other)
            stage.advance(.milliseconds(100))
            asked += stage.take().requests(to: other)
        }
        #expect(asked.filter { $0.piece == piece }.map(\.begin) == [3 * 16384])
    }

    /// Nobody gives the block hashes: the piece is treated as one of v1 is.
    @Test func withoutBlockHashesTheWholePieceGoes() {
        let tree = TestTree(pieces: 30, blocksPerPiece: 4, seed: 3), world = MiniSwarm(seed: 3, geometry: MiniSwarmTests.geometry(pieces: 30))
        world.infoHash = Self.v2.truncated
        world.infoHashV2 = Self.v2
        world.addNode(pieces: Bitfield(full: 30), rate: 200_000) { $0.sha256 = testSHA256 }
        let liar = world.addNode(pieces: Bitfield(full: 30), rate: 800_000) { $0.sha256 = testSHA256 }
        liar.lies = 0.5
        let node = world.addNode(pieces: Bitfield(count: 30), slots: 128) { $0.sha256 = testSHA256 }
        node.proof = { BlockProof(root: tree.root, hash: SHA256Digest(tree.levels[2][$0.int])!, firstBlock: UInt32(4 * $0.int), width: 4, fileBytes: world.geometry.length(of: $0)) }
        world.introduce(2, to: [0, 1])
        #expect(world.run(for: .seconds(400)) { world.isComplete(2) })
        #expect(node.badPieces > 0 && !node.swarm.isBanned(world.nodes[0].endpoint, now: world.now))
    }

    // MARK: serving

    @Test func requestsForHashesAreBounded() {
        let stage = hybrid(), (p, _) = greet(stage, Self.v2.truncated, bit: true)
        let good = HashRequest(root: Self.v2, baseLayer: 0, index: 0, length: 2, proofLayers: 0)
        func ask(_ r: HashRequest) -> [Effect] {
            let bytes = Array(r.message(MessageID.hashRequest)[5...])
            stage.say(p, .hashRequest(PayloadRange(offset: 0, count: bytes.count)), bytes)
            return stage.take()
        }
        func isWanted(_ effects: [Effect]) -> Bool { effects.contains { if case .hashesWanted = $0 { true } else { false } } }
        func isAnswered(_ effects: [Effect]) -> Bool { effects.contains { if case .send(_, .encoded) = $0 { true } else { false } } }
        for _ in 0..<4 { #expect(isWanted(ask(good))) }
        let fifth = ask(good)
        #expect(!isWanted(fifth) && isAnswered(fifth), "four wait for the disk; the fifth is rejected")
        stage.swarm.hashesServed(p, good, hashes: [UInt8](repeating: 1, count: 64), now: stage.now, into: &stage.effects)
        #expect(isAnswered(stage.take()))
        #expect(isWanted(ask(good)))
        var odd = good
        odd.length = 3
        let refused = ask(odd)
        #expect(!isWanted(refused) && isAnswered(refused))
    }

    /// libtorrent 2.0 asks for whole blocks where a file ends inside one.
    @Test func requestsMayReachToTheEndOfABlockAndNoFurther() {
        let stage = hybrid(version2Only: true)
        stage.swarm.diskUnready(stage.id, now: stage.now, into: &stage.effects)
        stage.swarm.setFileTails(stage.id, FileTails(pieces: [3], lengths: [20_000])!)
        stage.swarm.diskReady(stage.id, have: Bitfield(full: 10), now: stage.now, into: &stage.effects)
        let (p, _) = greet(stage, Self.v2.truncated, bit: true)
        stage.say(p, .interested)
        _ = stage.take()
        for (begin, length, isServed) in [(16384, 3616, true), (16384, 16384, true), (16384, 16385, false), (20_000, 1, false), (32768, 16384, false)] as [(UInt32, UInt32, Bool)] {
            stage.say(p, .request(piece: 3, begin: begin, length: length))
            #expect(stage.take().contains { if case .serve = $0 { true } else { false } } == isServed, "\(length) bytes at \(begin)")
        }
    }

    @Test func hashesThatNobodyAskedForMoveNothing() {
        let stage = hybrid(), (p, _) = greet(stage, Self.v2.truncated, bit: true)
        let bytes = Array(HashRequest(root: Self.v2, baseLayer: 0, index: 0, length: 2, proofLayers: 0).message(MessageID.hashes, hashes: [UInt8](repeating: 0, count: 64))[5...])
        stage.say(p, .hashes(PayloadRange(offset: 0, count: bytes.count)), bytes)
        #expect(stage.take().isEmpty)
    }
}
