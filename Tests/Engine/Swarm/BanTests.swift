import PeerWire
import Primitives
import Testing

@testable import Swarm

/// Who is found out, by what, and for how long.
@Suite struct BanTests {
    /// Payload of each block by its slot, so that digests mean something.
    private final class Bytes {
        var slots: [UInt32: UInt64] = [:]
    }
    private func stage(_ bytes: Bytes) -> Stage {
        let s = Stage(pieces: 2, pieceLength: 65536) { $0.endgameDuplicates = 1 }
        s.swarm.blockDigest = { slot, _ in bytes.slots[slot.rawValue] ?? 0 }
        return s
    }
    /// `p` answers one request, with a lie or not.
    private func answer(_ s: Stage, _ p: PeerHandle, _ bytes: Bytes, lies: Bool = false) {
        guard let block = s.swarm.expected(p, 0), let slot = block.slot else { return }
        bytes.slots[slot.rawValue] = UInt64(block.piece.rawValue) << 32 | UInt64(block.begin) | (lies ? 1 << 63 : 0)
        s.answer(p)
    }
    private func bans(_ effects: [Effect]) -> [(Endpoint, Violation)] { effects.compactMap { if case .banned(let e, let v, _) = $0 { (e, v) } else { nil } } }

    /// Two peers share a piece, one block of it is bad: nobody can be blamed until the piece comes again, and then the
    /// block names its sender, and the other is cleared.
    @Test func theBlockNamesTheLiar() throws {
        let bytes = Bytes(), s = stage(bytes)
        let liar = s.join(), honest = s.join()
        for p in [liar, honest] {
            s.bitfield(p, [0x80])
        }
        s.say(liar, .unchoke)
        answer(s, liar, bytes, lies: true)
        // It leaves the rest to the other.
        s.say(liar, .choke)
        for r in s.take().requests(to: liar) { s.say(liar, .reject(piece: UInt32(r.piece), begin: r.begin, length: r.length)) }
        s.say(honest, .unchoke)
        for _ in 0..<3 { answer(s, honest, bytes) }
        #expect(s.take().stored == [0])
        s.swarm.pieceFailed(s.id, PieceIndex(0), .hashMismatch, now: s.now, into: &s.effects)
        let liarAddress = s.swarm.report(liar)!.endpoint, honestAddress = s.swarm.report(honest)!.endpoint
        #expect(bans(s.take()).isEmpty && s.swarm.suspicions.blockCount == 4)
        // The honest one, on parole, sends the whole piece.
        for _ in 0..<8 { answer(s, honest, bytes) }
        let first = try #require(s.take().compactMap { if case .storePiece(_, _, let first, _) = $0 { first } else { nil } }.last)
        s.buffers.handOver(first)
        s.buffers.verified(first)
        s.swarm.pieceVerified(s.id, PieceIndex(0), now: s.now, into: &s.effects)
        let found = bans(s.take())
        #expect(found.count == 1 && found[0].0 == Endpoint(high: 0, low: liarAddress.low, port: 0) && found[0].1 == .corruptBlock)
        #expect(s.swarm.isBanned(liarAddress, now: s.now) && !s.swarm.isBanned(honestAddress, now: s.now))
        #expect(s.swarm.suspicions.isEmpty && s.swarm.suspicions.blockCount == 0)
    }

    @Test func suspicionsAreBounded() {
        var suspicions = Suspicions()
        for n in 0..<100 {
            suspicions.remember(TorrentID(rawValue: 1), PieceIndex(n), (0..<1000).map { _ in Suspicions.Block(digest: 0, sender: nil) })
            #expect(suspicions.blockCount <= Suspicions.blockLimit)
        }
        suspicions.forget(TorrentID(rawValue: 1))
        #expect(suspicions.isEmpty && suspicions.blockCount == 0)
    }

    /// With several liars the blocks find all of them, and no honest peer; without digests it is the old rule alone.
    @Test(arguments: 1...8 as ClosedRange<UInt64>) func liarsAreFoundByTheirBlocks(seed: UInt64) {
        let world = MiniSwarm(seed: seed, geometry: MiniSwarmTests.geometry(pieces: 60))
        for _ in 0..<5 { world.addNode(pieces: Bitfield(full: 60), rate: 400_000) }
        for _ in 0..<3 { world.addNode(pieces: Bitfield(full: 60), rate: 400_000).lies = 0.2 }
        let node = world.addNode(pieces: Bitfield(count: 60), slots: 96, rate: 300_000)
        world.introduce(8, to: Array(0..<8))
        #expect(world.run(for: .seconds(600)) { world.isComplete(8) })
        for (endpoint, _) in node.bans { #expect((5..<8).contains(world.nodes.firstIndex { $0.endpoint.low == endpoint.low }!), "an honest peer was banned") }
        #expect(node.bans.count >= 1)
    }

    @Test func pointsFadeAndAddUp() {
        var reputation = Reputation()
        let key = AddressKey(Endpoint("1.2.3.4:5")!), start = Instant(nanoseconds: 1_000_000_000)
        let inARow = (0..<4).map { reputation.add(.protocolViolation, to: key, now: start + .seconds($0)) }
        #expect(inARow == [false, false, false, true])
        let other = AddressKey(Endpoint("1.2.3.5:5")!)
        let inADay = (0..<40).map { reputation.add(.protocolViolation, to: other, now: start + .minutes($0 * 10)) }
        #expect(!inADay.contains(true), "six an hour are bad luck")
        for kind in Violation.allCases { #expect(kind.points > 0 && !kind.name.isEmpty) }
    }

    @Test func brokenStreamsBanInTheEnd() {
        let s = Stage()
        let address = Endpoint("70.0.0.1:1")!
        // Before the handshake it may be anything: an encryption that we do not take, a browser.
        for n in 0..<9 {
            let p = s.accept(Endpoint("70.0.0.1:\(900 + n)")!)!
            s.swarm.streamFailed(p, now: s.now, into: &s.effects)
            s.swarm.closed(p, errno: 0, now: s.now, into: &s.effects)
        }
        #expect(bans(s.take()).isEmpty)
        for n in 0..<4 {
            let p = s.join(Endpoint("70.0.0.1:\(1000 + n)")!)
            s.swarm.streamFailed(p, now: s.now, into: &s.effects)
            s.swarm.closed(p, errno: 0, now: s.now, into: &s.effects)
        }
        #expect(bans(s.take()).map(\.1) == [.protocolViolation])
        #expect(s.accept(address) == nil)
        s.swarm.liftBan(address)
        #expect(s.accept(address) != nil)
    }

    @Test func eachKindOfMessageHasItsLimit() {
        let cases: [(PeerMessage, [UInt8], Int)] = [
            (.haveNone, [], 2), (.interested, [], 601), (.choke, [], 601), (.bitfield(PayloadRange(offset: 0, count: 2)), [0, 0], 121),
            (.suggest(piece: 1), [], 2001), (.extended(id: 99, PayloadRange(offset: 0, count: 0)), [], 5001),
            (.cancel(piece: 0, begin: 0, length: 16384), [], 20_001),
        ]
        for (message, payload, limit) in cases {
            let s = Stage { $0.maxUselessMessagesPerMinute = 1_000_000 }
            let p = s.join(extensions: true)
            var n = 0
            while s.swarm.report(p) != nil, n < 30_000 {
                s.say(p, message, payload)
                s.effects.removeAll()
                n += 1
            }
            #expect(n == limit, "\(message): closed after \(n)")
        }
    }

    @Test func bansComeFromElsewhereToo() {
        let s = Stage()
        let p = s.join(Endpoint("70.0.0.9:1")!)
        _ = s.take()
        s.swarm.importBan(Endpoint("70.0.0.9:0")!, .byUser, for: .seconds(60), now: s.now, into: &s.effects)
        #expect(s.take() == [.close(p, .banned)])
        #expect(s.accept(Endpoint("70.0.0.9:2")!) == nil)
        s.now = s.now + .seconds(61)
        #expect(s.accept(Endpoint("70.0.0.9:2")!) != nil)
        for e in ["1.2.3.4:0", "127.0.0.1:77", "[2001:db8:1:2::]:0", "[::1]:9"].map({ Endpoint($0)! }) { #expect(AddressKey(e).endpoint == e) }
    }
}
