import PeerWire
import Primitives
import Testing

@testable import Swarm

/// What deaths and faults leave behind in the swarm.
@Suite struct RecoveryTests {
    /// A new disk worker takes a claim for bytes that the kernel has: a piece on its way to the disk is not among them.
    @Test func onlyWrittenPiecesCanBeClaimed() {
        let s = Stage(pieces: 2, pieceLength: 16384)
        let p = s.seed()
        while s.answer(p) != nil {}
        s.swarm.pieceVerified(s.id, PieceIndex(0), now: s.now, into: &s.effects)
        s.swarm.pieceVerified(s.id, PieceIndex(1), now: s.now, into: &s.effects)
        #expect(s.swarm.have(s.id)!.isFull && s.swarm.written(s.id)!.isEmpty)
        // The shell does that when the answer comes.
        for case .storePiece(_, let piece, let first, _) in s.take() where piece == PieceIndex(1) {
            s.buffers.handOver(first)
            s.buffers.written(first)
        }
        s.swarm.pieceWritten(s.id, PieceIndex(1), now: s.now, into: &s.effects)
        #expect(s.swarm.written(s.id)!.runs.map(\.first) == [1] && s.swarm.have(s.id)!.isFull)
    }

    /// Blocks of a former shard are nobody's in particular, so a peer on parole may not add to them; when nobody else is
    /// there, the piece is begun anew.
    @Test func aPieceThatNobodyMayEndIsBegunAnew() {
        let s = Stage(pieces: 1, pieceLength: 65536)
        let first = s.buffers.openPiece(torrent: s.id, piece: PieceIndex(0), slots: 4)!
        var received = Bitfield(count: 4)
        received.insert(2)
        s.swarm.adoptPartialPiece(s.id, PieceIndex(0), firstSlot: first, received: received, now: s.now, into: &s.effects)
        let endpoint = s.newEndpoint()
        s.swarm.reputation.setParole(AddressKey(endpoint), true)
        let p = s.seed(endpoint)
        #expect(s.take().requests(to: p).isEmpty, "it may not add to what others sent")
        s.advance(.seconds(6))
        let asked = s.take().requests(to: p)
        #expect(asked.map(\.begin).sorted() == [0, 16384, 32768, 49152])
    }
}
