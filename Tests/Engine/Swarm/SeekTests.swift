import PeerWire
import Primitives
import Testing

@testable import Swarm

/// Aim: a player that jumps gets what is there next, and no block is lost or fetched twice by it.
@Suite struct SeekTests {
    private static let piece: UInt64 = 65536

    /// A stage with 400 pieces, and a seed whose pipeline is full of what no player needs.
    private func busy(fast: Bool = true) -> (Stage, PeerHandle, [OutgoingMessage]) {
        let s = Stage(pieces: 400, pieceLength: 65536, slots: 2048) { $0.pipelineMinDepth = 12 }
        s.swarm.setLevels(s.id, [UInt8](repeating: 2, count: 200) + [UInt8](repeating: 1, count: 200), now: s.now, into: &s.effects)
        let p = s.join(fast: fast)
        if fast { s.say(p, .haveAll) } else { s.bitfield(p, [UInt8](repeating: 0xFF, count: 50)) }
        s.say(p, .unchoke)
        return (s, p, s.take().sent(to: p).filter { if case .request = $0 { true } else { false } })
    }
    private func cancels(_ effects: [Effect], _ p: PeerHandle) -> [OutgoingMessage] { effects.sent(to: p).filter { if case .cancel = $0 { true } else { false } } }
    private func cancel(of request: OutgoingMessage) -> OutgoingMessage {
        guard case .request(let piece, let begin, let length) = request else { return request }
        return .cancel(piece: piece, begin: begin, length: length)
    }
    private func reject(_ s: Stage, _ p: PeerHandle, _ request: OutgoingMessage) {
        guard case .request(let piece, let begin, let length) = request else { return }
        s.say(p, .reject(piece: piece.rawValue, begin: begin, length: length))
    }
    private func deliver(_ s: Stage, _ p: PeerHandle, piece: UInt32, begin: UInt32) -> Bool {
        guard s.swarm.destination(p, piece: piece, begin: begin, length: 16384) != .discard else {
            s.swarm.blockDiscarded(p, piece: piece, begin: begin, length: 16384, now: s.now, into: &s.effects)
            return false
        }
        s.swarm.blockReceived(p, piece: piece, begin: begin, length: 16384, now: s.now, into: &s.effects)
        return true
    }

    @Test func thePipelineGoesToTheNewPosition() {
        let (s, p, before) = busy()
        #expect(before.count == 24)
        s.swarm.position(s.id, reader: 1, offset: 200 * Self.piece, end: 400 * Self.piece, now: s.now, into: &s.effects)
        let after = s.take(), asked = after.requests(to: p)
        #expect(cancels(after, p) == before.dropFirst().map(cancel), "all but the one that may be coming in")
        #expect(asked.count == 23 && asked.map(\.piece) == (0..<23).map { 200 + $0 / 4 } && asked[0].begin == 0)
        // Rejects are no fault of the peer and free the blocks; another player's jump finds nothing to cancel again.
        let row = Int(p.index), counted = s.swarm.peers[row].uselessMessages
        for request in before.dropFirst() { reject(s, p, request) }
        #expect(s.swarm.peers[row].cancelled == 0 && s.swarm.peers[row].pausedUntil == .zero && s.swarm.peers[row].requests.count == 24)
        #expect(s.take().closes.isEmpty && s.swarm.peers[row].uselessMessages == counted)
        // Pieces of which nothing came are closed; the one that is coming in stays open.
        #expect(s.swarm.torrents[0].openCount == 1 + 6)
        while s.answer(p) != nil, s.swarm.torrents[0].downloaded < 200 * Self.piece {}
        #expect(s.swarm.torrents[0].downloadedAgain == 0)
    }

    /// Players that open the new place first: the old one keeps what it needs soon until it is closed.
    @Test func theOldPositionMayEndLater() {
        let (s, p, _) = busy()
        s.swarm.position(s.id, reader: 1, offset: 200 * Self.piece, end: 400 * Self.piece, now: s.now, into: &s.effects)
        let old = s.take().requests(to: p)
        s.swarm.position(s.id, reader: 2, offset: 350 * Self.piece, end: 400 * Self.piece, now: s.now, into: &s.effects)
        #expect(cancels(s.take(), p).isEmpty)
        s.swarm.positionEnded(s.id, reader: 1, now: s.now, into: &s.effects)
        let after = s.take(), asked = after.requests(to: p)
        #expect(cancels(after, p).count == old.count && asked.first?.piece == 350 && asked.count == old.count)
    }

    @Test func aBlockThatCrossesItsCancelCounts() {
        let (s, p, before) = busy()
        s.swarm.position(s.id, reader: 1, offset: 200 * Self.piece, end: 400 * Self.piece, now: s.now, into: &s.effects)
        guard case .request(let piece, let begin, _) = before[1] else { return }
        s.advance(.milliseconds(100))
        #expect(deliver(s, p, piece: piece.rawValue, begin: begin))
        #expect(s.swarm.peers[Int(p.index)].cancelled == 22 && s.swarm.torrents[0].downloadedAgain == 0)
    }

    /// BEP 3: no reject. The first block that was asked for after the cancel tells that it was heard; one that comes later is thrown
    /// away without a grudge.
    @Test func aPeerThatRejectsNothing() {
        let (s, p, before) = busy(fast: false)
        s.advance(.milliseconds(100))
        s.swarm.position(s.id, reader: 1, offset: 200 * Self.piece, end: 400 * Self.piece, now: s.now, into: &s.effects)
        #expect(cancels(s.take(), p).count == 23 && s.swarm.peers[Int(p.index)].cancelled == 23)
        #expect(deliver(s, p, piece: 200, begin: 0))
        #expect(s.swarm.peers[Int(p.index)].cancelled == 0 && s.swarm.peers[Int(p.index)].forgiven == 23)
        guard case .request(let piece, let begin, _) = before[9] else { return }
        #expect(!deliver(s, p, piece: piece.rawValue, begin: begin))
        #expect(s.swarm.peers[Int(p.index)].uselessBlocks == 0 && s.take().closes.isEmpty)
    }

    @Test func oneThatNeverAnswersIsNotWaitedFor() {
        let (s, p, _) = busy()
        s.swarm.position(s.id, reader: 1, offset: 399 * Self.piece, end: 400 * Self.piece, now: s.now, into: &s.effects)
        #expect(s.swarm.peers[Int(p.index)].cancelled == 23)
        s.advance(.seconds(6))
        #expect(s.swarm.peers[Int(p.index)].cancelled == 0 && s.swarm.peers[Int(p.index)].timeouts == 0)
    }

    /// Nothing is taken back from anybody when the player needs nothing that it would not get anyway.
    @Test(arguments: [true, false]) func notWithoutNeed(isThere: Bool) {
        var have = Bitfield(count: 400)
        for piece in 100..<160 where isThere { have.insert(piece) }
        let s = Stage(pieces: 400, pieceLength: 65536, have: have, slots: 2048) { $0.pipelineMinDepth = 12 }
        let p = s.seed()
        s.swarm.position(s.id, reader: 1, offset: 100 * Self.piece, end: 400 * Self.piece, now: s.now, into: &s.effects)
        let first = s.take()
        #expect(cancels(first, p).isEmpty == isThere, "it is there already")
        // Played on, and by another who reads the same.
        for k in 1..<20 as Range<UInt64> {
            s.advance(.seconds(1))
            s.answer(p)
            s.swarm.position(s.id, reader: 1, offset: (100 + k * 2) * Self.piece, end: 400 * Self.piece, now: s.now, into: &s.effects)
            #expect(cancels(s.take(), p).isEmpty)
        }
    }

    /// A lone seed that is slower than the film: what is played first comes first, though it is late.
    @Test(arguments: 1...4 as ClosedRange<UInt64>) func aSlowSeedBeginsAtThePosition(seed: UInt64) {
        let world = MiniSwarm(seed: seed, geometry: MiniSwarmTests.geometry(pieces: 400))
        world.addNode(pieces: Bitfield(full: 400), rate: 200_000)
        let node = world.addNode(pieces: Bitfield(count: 400), slots: 2048)
        world.introduce(1, to: [0])
        world.run(for: .seconds(5))
        for start in [300, 20, 150, 380] {
            node.swarm.position(world.torrent, reader: UInt32(start), offset: UInt64(start) * Self.piece, end: world.geometry.totalLength, now: world.now, into: &node.effects)
            world.drain(1)
            // 128 KiB at 200 kB/s are 0.66 s.
            #expect(world.run(for: .seconds(2)) { node.have[start] && node.have[start + 1] }, "from \(start)")
            node.swarm.positionEnded(world.torrent, reader: UInt32(start), now: world.now, into: &node.effects)
            world.drain(1)
        }
        #expect(node.swarm.report(world.torrent)!.downloadedAgain == 0)
    }

    /// Players that jump all the time among peers of different rates: all is had in the end, each block fetched once but in the
    /// endgame, whatever the receives in flight.
    @Test(arguments: 1...12 as ClosedRange<UInt64>) func jumpsLoseNothing(seed: UInt64) {
        let world = MiniSwarm(seed: seed, geometry: MiniSwarmTests.geometry(pieces: 160))
        for rate in [600_000, 150_000, 1_500_000] as [Double] { world.addNode(pieces: Bitfield(full: 160), rate: rate) }
        let node = world.addNode(pieces: Bitfield(count: 160), slots: 192) { $0.endgameDuplicates = 1 }
        world.introduce(3, to: [0, 1, 2])
        var random = SeededRandom(seed: seed)
        for k in 1...60 {
            world.after(.milliseconds(k * 90)) {
                let at = UInt64(random.below(160)) * Self.piece + UInt64(random.below(65536))
                node.swarm.position(world.torrent, reader: UInt32(1 + random.below(3)), offset: at, end: world.geometry.totalLength, now: world.now, into: &node.effects)
                world.drain(3)
            }
        }
        #expect(world.run(for: .seconds(120)) { world.isComplete(3) })
        let report = node.swarm.report(world.torrent)!
        #expect(report.downloaded == world.geometry.totalLength && report.downloadedAgain == 0, "\(report.downloaded) and \(report.downloadedAgain) again")
        #expect(world.asked.values.reduce(0, +) > 160 * 4, "nothing was cancelled")
        #expect(node.closes.allSatisfy { $0 == .bothSeeds }, "\(node.closes)")
    }
}
