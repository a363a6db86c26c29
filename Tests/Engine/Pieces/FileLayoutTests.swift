import Pieces
import Primitives
import Testing

/// Every payload byte of a random torrent lies in exactly one extent, and the extents name the right file bytes.
@Suite struct FileLayoutTests {
    private func randomLayout(_ random: inout SeededRandom) -> FileLayout {
        let pieceLength = UInt32([16, 64, 100, 1024].randomElement(using: &random)!)
        let files = (0..<random.below(12) + 1).map { i -> LayoutFile in
            let length: Int
            switch random.below(4) {
            case 0: length = 0
            case 1: length = random.below(20)
            case 2: length = Int(pieceLength) * random.below(3)
            default: length = random.below(2000)
            }
            return LayoutFile(path: "t/\(i)", length: UInt64(length), isPad: random.chance(0.25))
        }
        return FileLayout(files: files, pieceLength: pieceLength)!
    }

    @Test func everyByteIsInExactlyOneExtent() {
        var random = SeededRandom(seed: 11)
        for _ in 0..<500 {
            let layout = randomLayout(&random)
            var at: UInt64 = 0
            for p in 0..<layout.geometry.pieceCount {
                var inPiece: UInt32 = 0
                for e in layout.extents(of: PieceIndex(p)) {
                    #expect(e.length > 0 && e.pieceOffset == inPiece)
                    #expect(e.isPad == layout.files[e.file.int].isPad)
                    #expect(e.fileOffset + UInt64(e.length) <= layout.files[e.file.int].length)
                    #expect(layout.starts[e.file.int] + e.fileOffset == at)
                    inPiece += e.length
                    at += UInt64(e.length)
                }
                #expect(inPiece == layout.geometry.length(of: PieceIndex(p)))
            }
            #expect(at == layout.geometry.totalLength)
        }
    }

    /// BEP 52: each file begins a piece, and nothing of the gap behind it is read, written or counted.
    @Test func virtualPadsBelongToNoPiece() throws {
        let files = [
            LayoutFile(path: "a", length: 20_000), LayoutFile(path: "", length: 12_768, isPad: true), LayoutFile(path: "empty", length: 0),
            LayoutFile(path: "b", length: 100_000), LayoutFile(path: "", length: 31_072, isPad: true), LayoutFile(path: "c", length: 5),
        ]
        let layout = try #require(FileLayout(files: files, pieceLength: 32768, hasVirtualPads: true))
        #expect(layout.geometry.pieceCount == 6)
        var bytes = [UInt64](repeating: 0, count: files.count)
        for p in 0..<6 {
            for e in layout.extents(of: PieceIndex(p)) {
                #expect(!e.isPad)
                bytes[e.file.int] += UInt64(e.length)
            }
        }
        #expect(bytes == [20_000, 0, 0, 100_000, 0, 5])
        #expect(layout.geometry.byteCount(of: Bitfield(full: 6)) == layout.storedLength)
        // A file in the middle of a piece has no place there.
        #expect(FileLayout(files: [files[0], files[3]], pieceLength: 32768, hasVirtualPads: true) == nil)
    }

    @Test func partsOfPiecesAgreeWithWholeOnes() {
        var random = SeededRandom(seed: 12)
        for _ in 0..<300 {
            let layout = randomLayout(&random)
            guard layout.geometry.pieceCount > 0 else { continue }
            let piece = PieceIndex(random.below(layout.geometry.pieceCount)), whole = layout.geometry.length(of: piece)
            let offset = UInt32(random.below(Int(whole))), length = UInt32(random.below(Int(whole - offset)) + 1)
            func bytes(_ extents: [Extent]) -> [UInt64] {
                extents.flatMap { e in (0..<UInt64(e.length)).map { layout.starts[e.file.int] + e.fileOffset + $0 } }
            }
            let part = bytes(layout.extents(of: piece, offset: offset, length: length))
            #expect(part == Array(bytes(layout.extents(of: piece))[Int(offset)..<Int(offset + length)]))
        }
    }

    @Test func piecesOfFilesAndProgressPerFile() {
        var random = SeededRandom(seed: 13)
        for _ in 0..<200 {
            let layout = randomLayout(&random)
            var have = Bitfield(count: layout.geometry.pieceCount)
            for p in 0..<have.count where random.chance(0.5) { have.insert(p) }
            var wanted = [UInt64](repeating: 0, count: layout.files.count)
            var touched = [Set<Int>](repeating: [], count: layout.files.count)
            for p in 0..<have.count {
                for e in layout.extents(of: PieceIndex(p)) {
                    touched[e.file.int].insert(p)
                    if have[p] { wanted[e.file.int] += UInt64(e.length) }
                }
            }
            #expect(layout.bytesHave(have) == wanted)
            for f in layout.files.indices { #expect(Set(layout.pieces(of: f)) == touched[f]) }
        }
    }

    @Test func overflowIsRefused() {
        let half = LayoutFile(path: "a", length: UInt64(Int64.max))
        #expect(FileLayout(files: [half, half], pieceLength: 16384) == nil)
        #expect(FileLayout(files: [half], pieceLength: 16384) == nil)
        #expect(FileLayout(files: [], pieceLength: 0) == nil)
        #expect(FileLayout(files: [], pieceLength: 16)?.geometry.pieceCount == 0)
    }

    @Test func aLongFileListStaysQuick() {
        let files = (0..<300_000).map { LayoutFile(path: "t/\($0)", length: 3) }
        let layout = FileLayout(files: files, pieceLength: 16384)!
        var extents = 0
        for p in 0..<layout.geometry.pieceCount { extents += layout.extents(of: PieceIndex(p)).count }
        // Each piece boundary inside a file makes one more.
        #expect(extents >= 300_000 && extents <= 300_000 + layout.geometry.pieceCount)
    }
}

@Suite struct AdmissionTests {
    private func id(_ i: Int) -> JobID { JobID(index: UInt32(i), generation: 0) }

    @Test func boundsByRequestsAndBytes() {
        var a = Admission(requestLimit: 3, byteLimit: 100)
        for i in 0..<5 { a.enqueue(.write, id(i), bytes: 30) }
        #expect((0..<5).filter { _ in a.next() != nil }.count == 3)
        a.finished(bytes: 30)
        #expect(a.next() != nil && a.next() == nil)
        var b = Admission(requestLimit: 10, byteLimit: 100)
        b.enqueue(.read, id(0), bytes: 500)
        b.enqueue(.read, id(1), bytes: 1)
        #expect(b.next()?.1 == id(0), "larger than the limit, alone")
        #expect(b.next() == nil)
        b.finished(bytes: 500)
        #expect(b.next()?.1 == id(1))
    }

    @Test func sharesHoldUnderContention() {
        var a = Admission(requestLimit: 1, byteLimit: 1 << 30), served = [0, 0, 0]
        for i in 0..<900 { for c in Admission.Class.allCases { a.enqueue(c, id(i), bytes: 1 << 20) } }
        for _ in 0..<900 {
            served[a.next()!.0.rawValue] += 1
            a.finished(bytes: 1 << 20)
        }
        #expect(abs(served[0] - 400) < 10 && abs(served[1] - 400) < 10 && abs(served[2] - 100) < 10, "\(served)")
    }

    @Test func anIdleClassSavesNothingUp() {
        var a = Admission(requestLimit: 1, byteLimit: 1 << 30)
        for i in 0..<100 {
            a.enqueue(.check, id(i), bytes: 1 << 20)
            _ = a.next()
            a.finished(bytes: 1 << 20)
        }
        var served = [0, 0, 0]
        for i in 0..<200 {
            a.enqueue(.check, id(i), bytes: 1 << 20)
            a.enqueue(.read, id(i), bytes: 1 << 20)
        }
        for _ in 0..<100 {
            served[a.next()!.0.rawValue] += 1
            a.finished(bytes: 1 << 20)
        }
        #expect(served[2] >= 15 && served[2] <= 25, "\(served)")
    }
}
