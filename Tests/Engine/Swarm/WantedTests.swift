import PeerWire
import Primitives
import Testing

@testable import Swarm

/// What is wanted, in what order, and what is shown to whom.
@Suite struct WantedTests {
    private func levels(_ text: String) -> [UInt8] { text.utf8.map { $0 - 48 } }

    @Test func whatIsNotWantedIsNotAskedFor() {
        let s = Stage(pieces: 4, pieceLength: 16384)
        s.swarm.setLevels(s.id, levels("2020"), now: s.now, into: &s.effects)
        let p = s.seed()
        #expect(Set(s.take().requests(to: p).map(\.piece)) == [0, 2])
        while s.answer(p) != nil {}
        for piece in [0, 2] { s.swarm.pieceVerified(s.id, PieceIndex(piece), now: s.now, into: &s.effects) }
        #expect(s.swarm.torrents[0].isFinished)
        // Finished, not complete: a seed has nothing for us, and we would have something for others.
        #expect(s.take().closes == [.bothSeeds])
        let leech = s.join(extensions: true)
        s.say(leech, .haveNone)
        let said = s.effects.all.compactMap { effect -> ExtendedHandshake? in
            guard case .send(leech, .extended(0, let n)) = effect else { return nil }
            return try? s.effects.payload(n).withUnsafeBytes { try ExtendedHandshake(decoding: $0) }
        }
        #expect(said.last?.uploadOnly == true, "a partial seed (BEP 21)")
        // More is wanted: it downloads again.
        s.swarm.setLevels(s.id, [], now: s.now, into: &s.effects)
        #expect(!s.swarm.torrents[0].isFinished)
        let q = s.seed()
        #expect(Set(s.take().requests(to: q).map(\.piece)) == [1, 3])
    }

    @Test func levelsDecideTheOrder() {
        let s = Stage(pieces: 5, pieceLength: 16384) { $0.pipelineMinDepth = 4 }
        s.swarm.setLevels(s.id, levels("12304"), now: s.now, into: &s.effects)
        let p = s.seed()
        #expect(s.take().requests(to: p).map(\.piece) == [4, 2, 1, 0])
    }

    @Test(arguments: [PieceSelection.sequential, .roundRobin]) func orderIsKept(selection: PieceSelection) {
        let s = Stage(pieces: 8, pieceLength: 16384) { $0.selection = selection }
        let p = s.seed()
        #expect(s.take().requests(to: p).map(\.piece) == Array(0..<8))
    }

    /// Wishes that change all the time, peers that come and go: the counts hold (the stage checks them), and all that is wanted
    /// in the end is had.
    @Test(arguments: 1...6 as ClosedRange<UInt64>) func wishesMayChangeAtAnyTime(seed: UInt64) {
        let world = MiniSwarm(seed: seed, geometry: MiniSwarmTests.geometry(pieces: 40))
        for _ in 0..<3 { world.addNode(pieces: Bitfield(full: 40), rate: 300_000) }
        let node = world.addNode(pieces: Bitfield(count: 40), slots: 96)
        world.introduce(3, to: [0, 1, 2])
        var random = SeededRandom(seed: seed)
        for k in 1...20 {
            world.after(.milliseconds(k * 120)) {
                let levels = (0..<40).map { _ in UInt8(random.below(4)) }
                node.swarm.setLevels(world.torrent, k == 20 ? [] : levels, now: world.now, into: &node.effects)
                world.drain(3)
                world.introduce(3, to: [0, 1, 2])
            }
        }
        #expect(world.run(for: .seconds(120)) { world.isComplete(3) })
    }

    // MARK: streaming

    @Test func playbackGoesBeforeEverything() {
        let s = Stage(pieces: 200, pieceLength: 65536, slots: 1024)
        s.swarm.setLevels(s.id, [UInt8](repeating: 1, count: 150) + [UInt8](repeating: 3, count: 50), now: s.now, into: &s.effects)
        s.swarm.position(s.id, offset: 100 * 65536 + 5, end: 130 * 65536, now: s.now, into: &s.effects)
        let p = s.seed()
        let first = s.take().requests(to: p).map(\.piece)
        #expect(first.prefix(8).allSatisfy { $0 == 100 || $0 == 101 } && first.first == 100)
        for _ in 0..<400 { s.answer(p) }
        let asked = s.take().requests(to: p).map(\.piece)
        #expect(Set(asked).isSuperset(of: 102..<130), "to the end of the file")
        #expect(asked.first { !(100..<130).contains($0) }.map { $0 >= 150 } == true, "then by level")
        s.advance(.seconds(61))
        #expect(s.swarm.torrents[0].streams.isEmpty, "a player that is gone holds nothing")
    }

    /// A film's index at its end and its beginning: neither waits for the other.
    @Test func twoReadersOfAFile() {
        let s = Stage(pieces: 200, pieceLength: 65536, slots: 1024)
        s.swarm.position(s.id, reader: 1, offset: 100 * 65536, end: 130 * 65536, now: s.now, into: &s.effects)
        s.swarm.position(s.id, reader: 2, offset: 0, end: 30 * 65536, now: s.now, into: &s.effects)
        let p = s.seed()
        let first = s.take().requests(to: p).map(\.piece)
        #expect(Set(first.prefix(8)) == [0, 100], "\(first)")
        for _ in 0..<800 { s.answer(p) }
        let asked = first + s.take().requests(to: p).map(\.piece), wanted = Set(0..<30).union(100..<130)
        #expect(Set(asked).isSuperset(of: wanted) && Set(asked.prefix(60 * 4)) == wanted, "what both play goes before everything")
        s.swarm.positionEnded(s.id, reader: 1, now: s.now, into: &s.effects)
        #expect(s.swarm.torrents[0].streams.map(\.reader) == [2])
        for reader in 3..<9 as Range<UInt32> {
            s.advance(.milliseconds(100))
            s.swarm.position(s.id, reader: reader, offset: 0, end: 65536, now: s.now, into: &s.effects)
        }
        #expect(s.swarm.torrents[0].streams.map(\.reader) == [5, 6, 7, 8], "the four that spoke last")
        s.advance(.seconds(11))
        #expect(s.swarm.torrents[0].streams.isEmpty, "a reader that says nothing is gone")
    }

    @Test func slowPeersTakeWhatIsDueLater() {
        let geometry = PieceGeometry(totalLength: 100 << 20, pieceLength: 1 << 20)!
        var stream = Stream(offset: 0, end: 100 << 20, at: .zero, rate: Stream.usualRate)
        #expect(stream.pieces(geometry) == 0..<20)
        #expect(abs(stream.deadline(10, geometry).nanoseconds - 10_485_760_000) < 1_000_000)
        stream.moved(to: 4 << 20, end: 100 << 20, now: Instant(nanoseconds: 1_000_000_000))
        #expect(stream.rate > 1_500_000 && stream.pieces(geometry).lowerBound == 4)
        let before = stream.rate
        stream.moved(to: 90 << 20, end: 100 << 20, now: Instant(nanoseconds: 2_000_000_000))
        #expect(stream.rate == before && stream.pieces(geometry) == 90..<100, "a jump teaches nothing of the rate")
    }

    /// Of two seeds one is a tenth as fast: played from the start, every piece is there when it is due.
    @Test(arguments: 1...3 as ClosedRange<UInt64>) func deadlinesAreMetBesideASlowPeer(seed: UInt64) {
        let world = MiniSwarm(seed: seed, geometry: MiniSwarmTests.geometry(pieces: 200))
        world.addNode(pieces: Bitfield(full: 200), rate: 3e6)
        world.addNode(pieces: Bitfield(full: 200), rate: 100_000)
        let node = world.addNode(pieces: Bitfield(count: 200), slots: 1024)
        world.introduce(2, to: [0, 1])
        let size = world.geometry.totalLength, start = world.now + .seconds(2)
        var late = 0
        for k in 0..<60 {
            // 1 MB/s from two seconds on.
            world.after(.milliseconds(k * 200 + 1)) {
                let played = UInt64(max(0, (world.now - start).seconds) * 1_000_000)
                guard played < size else { return }
                node.swarm.position(world.torrent, offset: played, end: size, now: world.now, into: &node.effects)
                world.drain(2)
                if world.now > start, !node.have[Int(played / 65536)] { late += 1 }
            }
        }
        world.run(for: .seconds(15))
        #expect(late <= 2, "\(late) of 60 looks found the piece missing")
    }

    // MARK: super-seeding

    @Test func aSuperSeedShowsOnePieceAfterAnother() {
        let s = Stage(pieces: 10, have: Bitfield(full: 10), traits: .superSeeding)
        let a = s.join(), b = s.join()
        #expect(s.take().sent(to: a).contains(.haveNone))
        for p in [a, b] { s.say(p, .haveNone) }
        s.advance(.seconds(1))
        func shown(_ effects: [Effect], _ p: PeerHandle) -> [Int] { effects.sent(to: p).compactMap { if case .have(let piece) = $0 { piece.int } else { nil } } }
        let first = s.take()
        let toA = shown(first, a), toB = shown(first, b)
        #expect(toA.count == 2 && toB.count == 2 && Set(toA).isDisjoint(with: toB), "each its own")
        // It has what it was shown, and nobody else has: no more for it.
        s.say(a, .have(piece: UInt32(toA[0])))
        #expect(shown(s.take(), a).isEmpty)
        // Another has got it: it passes on, and may have the next.
        s.say(b, .have(piece: UInt32(toA[0])))
        #expect(shown(s.take(), a).count == 1)
        // What was not shown is not served.
        let hidden = (0..<10).first { !toA.contains($0) && !toB.contains($0) }!
        s.say(b, .interested)
        s.say(b, .request(piece: UInt32(hidden), begin: 0, length: 16384))
        s.say(b, .request(piece: UInt32(toB[0]), begin: 0, length: 16384))
        let served = s.take().compactMap { if case .serve(b, _, let piece, _, _) = $0 { piece.int } else { nil } }
        #expect(served == [toB[0]])
        // Off: everybody hears of the rest.
        s.swarm.setTraits(s.id, [], now: s.now, into: &s.effects)
        let rest = s.take()
        #expect(Set(shown(rest, b)).union(toB) == Set(0..<10))
    }

    /// A whole swarm from one super-seed: all complete, and the seed sends little more than one copy.
    @Test(arguments: 1...5 as ClosedRange<UInt64>) func aSwarmCompletesFromASuperSeed(seed: UInt64) {
        let world = MiniSwarm(seed: seed, geometry: MiniSwarmTests.geometry(pieces: 60))
        let node = world.addNode(pieces: Bitfield(full: 60), rate: 500_000)
        node.swarm.setTraits(world.torrent, .superSeeding, now: world.now, into: &node.effects)
        for _ in 0..<5 { world.addNode(pieces: Bitfield(count: 60), slots: 96, rate: 2e6) }
        for n in 1...5 { world.introduce(n, to: Array(0...5).filter { $0 != n }) }
        #expect(world.run(for: .seconds(200)) { (1...5).allSatisfy(world.isComplete) })
        let sent = Double(node.swarm.report(world.torrent)!.uploaded) / Double(world.geometry.totalLength)
        #expect(sent < 2.2, "the seed sent \(sent) copies")
        print("super-seeding: \(sent) copies for five peers")
    }
}
