import PeerWire
import Primitives
import Swarm
import Testing

/// Whole swarms: whatever happens to connections and bytes, everybody completes, and only liars are banned.
@Suite struct MiniSwarmTests {
    static func geometry(pieces: Int, piece: UInt32 = 65536) -> PieceGeometry {
        PieceGeometry(totalLength: UInt64(pieces) * UInt64(piece) - 20_000, pieceLength: piece)!
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func aSeedAndLeechersComplete(seed: UInt64) {
        let world = MiniSwarm(seed: seed, geometry: Self.geometry(pieces: 40))
        world.addNode(pieces: Bitfield(full: 40))
        for _ in 0..<5 { world.addNode(pieces: Bitfield(count: 40), slots: 64) }
        for n in 1...5 { world.introduce(n, to: Array(0...5).filter { $0 != n }) }
        #expect(world.run(for: .seconds(120)) { (1...5).allSatisfy(world.isComplete) })
        for n in 1...5 {
            let report = world.nodes[n].swarm.report(world.torrent)!
            #expect(report.downloaded - report.downloadedAgain == world.geometry.totalLength)
        }
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func randomClosesCostNothingButTime(seed: UInt64) {
        let world = MiniSwarm(seed: seed, geometry: Self.geometry(pieces: 30))
        for _ in 0..<2 { world.addNode(pieces: Bitfield(full: 30), rate: 1e6) }
        for _ in 0..<4 { world.addNode(pieces: Bitfield(count: 30), slots: 48, rate: 1e6) }
        for n in 0..<6 { world.introduce(n, to: Array(0..<6).filter { $0 != n }) }
        var rng = SeededRandom(seed: seed &* 31)
        for k in 1...40 {
            world.after(.milliseconds(k * 150)) {
                let n = rng.below(6)
                let peers = world.nodes[n].swarm.peers(of: world.torrent)
                if !peers.isEmpty { world.cut(n, peers[rng.below(peers.count)]) }
            }
        }
        #expect(world.run(for: .seconds(400)) { (2..<6).allSatisfy(world.isComplete) })
        #expect((0..<6).allSatisfy { world.nodes[$0].badPieces == 0 })
    }

    @Test(arguments: 1...15 as ClosedRange<UInt64>)
    func liarsAreBannedAndHonestPeersNever(seed: UInt64) {
        let world = MiniSwarm(seed: seed, geometry: Self.geometry(pieces: 40))
        for _ in 0..<4 { world.addNode(pieces: Bitfield(full: 40), rate: 400_000) }
        for _ in 0..<2 {
            let liar = world.addNode(pieces: Bitfield(full: 40), rate: 500_000)
            liar.lies = 0.5
        }
        for _ in 0..<3 { world.addNode(pieces: Bitfield(count: 40), slots: 96, rate: 300_000) }
        for n in 6..<9 { world.introduce(n, to: Array(0..<9).filter { $0 != n }) }
        #expect(world.run(for: .seconds(600)) { (6..<9).allSatisfy(world.isComplete) })
        for n in 6..<9 {
            let node = world.nodes[n]
            for (endpoint, reason) in node.closedPeers where reason == .corruptPiece || reason == .banned {
                let other = world.nodes.firstIndex { Endpoint(high: 0, low: $0.endpoint.low, port: 0) == Endpoint(high: 0, low: endpoint.low, port: 0) }!
                #expect(other == 4 || other == 5, "an honest peer was banned")
            }
            for honest in (0..<9) where honest != 4 && honest != 5 {
                #expect(!node.swarm.isBanned(world.nodes[honest].endpoint, now: world.now))
            }
            // Two liars: what each had begun when the proof against it came, shared pieces counted for both.
            #expect(node.badPieces <= 10, "\(node.badPieces) bad pieces")
        }
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func mutePeersDoNotHoldPiecesForEver(seed: UInt64) {
        func time(mutes: Int) -> Double {
            let world = MiniSwarm(seed: seed, geometry: Self.geometry(pieces: 60))
            world.addNode(pieces: Bitfield(full: 60), rate: 500_000)
            for _ in 0..<mutes { world.addNode(pieces: Bitfield(full: 60)).isMute = true }
            world.addNode(pieces: Bitfield(count: 60), slots: 240)
            world.introduce(mutes + 1, to: Array(0...mutes))
            let start = world.now
            #expect(world.run(for: .seconds(300)) { world.isComplete(mutes + 1) })
            return (world.now - start).seconds
        }
        let alone = time(mutes: 0), among = time(mutes: 19)
        #expect(among <= 3 * alone, "\(among) s among mutes, \(alone) s alone")
    }

    @Test func everyBlockIsAskedOnceOutsideEndgame() {
        let world = MiniSwarm(seed: 3, geometry: Self.geometry(pieces: 50))
        for _ in 0..<3 { world.addNode(pieces: Bitfield(full: 50), rate: 2e6) }
        world.addNode(pieces: Bitfield(count: 50)) { $0.endgameDuplicates = 1 }
        world.introduce(3, to: [0, 1, 2])
        #expect(world.run(for: .seconds(60)) { world.isComplete(3) })
        let blocks = (0..<50).reduce(0) { $0 + world.geometry.blockCount(of: PieceIndex($1)) }
        #expect(world.asked.count == blocks && world.asked.values.allSatisfy { $0 == 1 })
    }

    /// A slow seed and a fast one: what the slow one has on its way is not fetched from the fast one too.
    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func theEndgameWastesLittle(seed: UInt64) {
        func run(duplicates: Int) -> (seconds: Double, again: UInt64) {
            let world = MiniSwarm(seed: seed, geometry: Self.geometry(pieces: 200))
            world.addNode(pieces: Bitfield(full: 200), rate: 1e6)
            world.addNode(pieces: Bitfield(full: 200), rate: 16e6)
            world.addNode(pieces: Bitfield(count: 200), slots: 1024) { $0.endgameDuplicates = duplicates }
            (world.armsReceives, world.checksInvariants) = (false, false)
            let start = world.now
            world.introduce(2, to: [0, 1])
            #expect(world.run(for: .seconds(60)) { world.isComplete(2) })
            return ((world.now - start).seconds, world.nodes[2].swarm.report(world.torrent)!.downloadedAgain)
        }
        let (with, without) = (run(duplicates: 2), run(duplicates: 1))
        #expect(with.seconds < without.seconds + 0.1, "\(with.seconds) s, \(without.seconds) s without endgame")
        #expect(with.again <= 16384, "\(with.again) bytes fetched again")
    }

    @Test func aLoneLeecherIsUnchokedAtOnceAndFast() {
        let world = MiniSwarm(seed: 1, geometry: Self.geometry(pieces: 200))
        world.addNode(pieces: Bitfield(full: 200), rate: 100e6)
        world.addNode(pieces: Bitfield(count: 200), slots: 1024)
        world.armsReceives = false
        world.checksInvariants = false
        world.introduce(1, to: [0])
        let start = world.now
        #expect(world.run(for: .seconds(30)) { world.isComplete(1) })
        // 13 MB at 100 MB/s, 40 ms round trip: slow start is over long before.
        #expect((world.now - start).seconds < 1.5, "\((world.now - start).seconds) s")
    }

    @Test func failedWritesAreStoredAgainNotFetchedAgain() {
        let world = MiniSwarm(seed: 5, geometry: Self.geometry(pieces: 20))
        world.addNode(pieces: Bitfield(full: 20))
        let node = world.addNode(pieces: Bitfield(count: 20))
        node.storeFailures = [.ioError, .diskFull, .ioError]
        world.introduce(1, to: [0])
        #expect(world.run(for: .seconds(60)) { world.isComplete(1) })
        #expect(node.swarm.report(world.torrent)!.downloadedAgain == 0)
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func theDiskComesAndGoes(seed: UInt64) {
        let world = MiniSwarm(seed: seed, geometry: Self.geometry(pieces: 40))
        world.addNode(pieces: Bitfield(full: 40), rate: 1e6)
        world.addNode(pieces: Bitfield(full: 40), rate: 1e6)
        let node = world.addNode(pieces: Bitfield(count: 40), slots: 64) { $0.endgameDuplicates = 1 }
        world.introduce(2, to: [0, 1])
        for k in 1...4 {
            world.after(.milliseconds(k * 400)) {
                node.swarm.diskUnready(world.torrent, now: world.now, into: &node.effects)
                world.drain(2)
            }
            world.after(.milliseconds(k * 400 + 200)) {
                node.swarm.diskReady(world.torrent, have: node.have, now: world.now, into: &node.effects)
                world.drain(2)
            }
        }
        #expect(world.run(for: .seconds(60)) { world.isComplete(2) })
        #expect(node.swarm.peers(of: world.torrent).count == 0, "seeds leave each other")
        #expect(node.swarm.report(world.torrent)!.downloadedAgain == 0)
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func magnetsFindTheirMetadataAmongLiars(seed: UInt64) {
        let world = MiniSwarm(seed: seed, geometry: Self.geometry(pieces: 20))
        var rng = SeededRandom(seed: seed)
        let metadata = (0..<70_000).map { _ in UInt8(truncatingIfNeeded: rng.next()) }
        var lie = metadata
        lie[40_000] ^= 1
        world.infoHash = metadata.withUnsafeBytes { testSHA1($0) }
        for _ in 0..<3 { world.addNode(pieces: Bitfield(full: 20), metadata: metadata) }
        world.addNode(pieces: Bitfield(full: 20), metadata: lie)
        world.addNode(pieces: Bitfield(full: 20), metadata: Array(metadata.prefix(50_000)))
        let node = world.addNode(pieces: nil, knowsMetadata: false)
        world.introduce(5, to: [0, 1, 2, 3, 4])
        #expect(world.run(for: .seconds(120)) { node.foundMetadata != nil })
        #expect(node.foundMetadata == metadata)
        for honest in 0..<3 { #expect(!node.swarm.isBanned(world.nodes[honest].endpoint, now: world.now)) }
        node.swarm.addTorrent(
            TorrentSpec(id: world.torrent, infoHash: world.infoHash, geometry: world.geometry, metadataLength: metadata.count), now: world.now,
            into: &node.effects)
        node.swarm.diskReady(world.torrent, have: node.have, now: world.now, into: &node.effects)
        world.drain(5)
        #expect(world.run(for: .seconds(60)) { world.isComplete(5) })
    }
}
