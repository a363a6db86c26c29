import ByteCodec
import Primitives
import Testing

@Suite struct PrimitivesTests {
    @Test func bitfieldsKeepTheWireOrderAndRefuseSpareBits() {
        var b = Bitfield(count: 11)
        b.insert(0)
        b.insert(9)
        #expect(b.wireBytes == [0x80, 0x40] && b.setCount == 2)
        #expect(Bitfield(wire: [0x80, 0x40], count: 11) == b)
        #expect(Bitfield(wire: [0x80, 0x50], count: 11) == nil)
        #expect(Bitfield(wire: [0x80], count: 11) == nil)
        #expect(Bitfield(full: 64).isFull && Bitfield(full: 0).isFull)
        #expect(Bitfield(full: 70).runs.map(\.count) == [70])
        #expect(Bitfield(full: 70).subtracting(Bitfield(count: 70)).setCount == 70)
    }

    @Test(
        arguments: [
            (0, 100, 0), (10, 100, 10), (15, 100, 5), (19, 100, 1), (20, 100, 0), (29, 100, 0), (30, 100, 20), (35, 38, 3), (30, 30, 0), (40, 30, 0), (90, 95, 5), (90, 100, 10), (100, 200, 0),
            (95, 1000, 5),
        ] as [(UInt64, UInt64, UInt64)]) func readableBytes(_ offset: UInt64, _ end: UInt64, _ wanted: UInt64)
    {
        // Pieces of ten bytes: 1, 3, 4 and 9 are there.
        var have = Bitfield(count: 10)
        for i in [1, 3, 4, 9] { have.insert(i) }
        #expect(have.readable(from: offset, to: end, pieceLength: 10) == wanted)
    }

    @Test(arguments: [("1.2.3.4:80", "1.2.3.4:80"), ("[::1]:6881", "[::1]:6881"), ("[2001:db8::7]:1", "[2001:db8::7]:1"), ("[::ffff:9.8.7.6]:5", "9.8.7.6:5")])
    func endpointsReadAndPrint(text: String, printed: String) { #expect(Endpoint(text)?.description == printed) }

    @Test(arguments: ["", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "::1:80", "host:80", "1.2.3:80", "[1.2.3.4:80"])
    func otherTextIsNoEndpoint(text: String) { #expect(Endpoint(text) == nil) }

    @Test func geometryCoversEveryByteOnce() {
        for (total, piece) in [(1, 16384), (16384, 16384), (16385, 16384), (100_000, 32768), (1 << 20, 1 << 18), ((1 << 20) + 5, 40000)] as [(UInt64, UInt32)] {
            let g = PieceGeometry(totalLength: total, pieceLength: piece)!
            var sum: UInt64 = 0
            for p in 0..<g.pieceCount {
                let index = g.piece(UInt32(p))!
                for b in 0..<g.blockCount(of: index) { sum += UInt64(g.blockLength(BlockIndex(b), of: index)) }
            }
            #expect(sum == total)
            #expect(g.piece(UInt32(g.pieceCount)) == nil)
        }
        #expect(PieceGeometry(totalLength: 1, pieceLength: 0) == nil)
    }

    @Test func piecesInWhichFilesEndHaveTheirOwnLength() {
        // 20,000 bytes, 100,000 bytes and 5 bytes, each file at the start of a piece of 32 KiB.
        let tails = FileTails(pieces: [0, 4, 5], lengths: [20_000, 1_696, 5])!
        let g = PieceGeometry(totalLength: 5 * 32768 + 5, pieceLength: 32768, tails: tails)!
        #expect((0..<6).map { g.length(of: PieceIndex($0)) } == [20_000, 32768, 32768, 32768, 1_696, 5])
        #expect((0..<6).map { g.blockCount(of: PieceIndex($0)) } == [2, 2, 2, 2, 1, 1])
        #expect(g.block(begin: 16384, length: 3616, of: PieceIndex(0)) != nil && g.block(begin: 16384, length: 16384, of: PieceIndex(0)) == nil)
        #expect(g.servedLength(of: PieceIndex(0)) == 32768 && g.servedLength(of: PieceIndex(5)) == 16384, "whole blocks, for libtorrent 2.0")
        #expect(g.span(of: PieceIndex(0)) == 32768 && g.span(of: PieceIndex(5)) == 5)
        #expect(g.byteCount(of: Bitfield(full: 6)) == 120_005)
        var some = Bitfield(count: 6)
        for i in [0, 1, 5] { some.insert(i) }
        #expect(g.byteCount(of: some) == 20_000 + 32768 + 5)
        // Known later: a peer shard begins with whole pieces.
        let rough = PieceGeometry(totalLength: 6 * 32768, pieceLength: 32768)!
        #expect((0..<6).map { rough.with(tails)!.length(of: PieceIndex($0)) } == (0..<6).map { g.length(of: PieceIndex($0)) })
        #expect(rough.with(FileTails(pieces: [6], lengths: [1])!) == nil, "no such piece")
        #expect(rough.with(FileTails(pieces: [1], lengths: [32768])!) == nil && rough.with(FileTails(pieces: [1], lengths: [0])!) == nil)
        #expect(FileTails(pieces: [1, 1], lengths: [1, 1]) == nil && FileTails(pieces: [1], lengths: []) == nil)
    }

    @Test func theSameSeedGivesTheSameNumbers() {
        var a = SeededRandom(seed: 7), b = SeededRandom(seed: 7), c = SeededRandom(seed: 8)
        let x = (0..<100).map { _ in a.next() }
        #expect(x == (0..<100).map { _ in b.next() } && x != (0..<100).map { _ in c.next() })
    }
}
