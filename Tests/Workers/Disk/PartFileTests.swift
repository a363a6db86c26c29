import Foundation
import Glibc
import LinuxIO
import Primitives
import Testing

@testable import DiskWorker
@testable import Pieces

/// Files that are not wanted: never made, and what pieces bring of them is there when they are.
@Suite(.serialized) struct PartFileTests {
    /// Pieces of 64 KiB: 0–2 in `a`, 2 spans `a` and `b`, `b` ends in 5 with `c` and the small ones.
    private let fixture = Fixture(
        files: [
            .init(path: "a", length: 150_000), .init(path: "d/b", length: 200_001), .init(path: "c", length: 100_000), .init(path: "small", length: 77),
        ], pieceLength: 65536)

    private func only(_ files: Int...) -> FileLevels { .only(files.map { UInt32($0)...UInt32($0) }) }
    private func stands(_ h: Harness, _ path: String) -> Bool { access("\(h.save)/t/\(path)", F_OK) == 0 }
    private func parts(_ h: Harness) -> String? { (try? FileManager.default.contentsOfDirectory(atPath: h.save))?.first { $0.hasSuffix(".parts") } }
    private func blocks(_ path: String) -> Int {
        var status = stat()
        return lstat(path, &status) == 0 ? Int(status.st_blocks) * 512 : -1
    }
    /// Stores the pieces that have a byte of the files.
    private func fetch(_ h: Harness, _ files: Int...) -> Set<Int> {
        let layout = FileLayout(files: fixture.files.map { LayoutFile(path: $0.path, length: UInt64($0.length)) }, pieceLength: 65536)!
        let pieces = Set(files.flatMap { Array(layout.pieces(of: $0)) }).filter { !h.have()[$0] }
        for piece in pieces.sorted() {
            let before = h.answered
            _ = h.store(fixture, piece)
            #expect(h.run { h.answered > before })
        }
        return pieces
    }

    @Test(arguments: LoopBackend.allCases) func unwantedFilesAreNotMade(backend: LoopBackend) throws {
        let h = try Harness(backend)
        h.add(fixture) {
            $0.levels = only(1)
            $0.allocation = .full
        }
        #expect(h.run { h.isReady() })
        let levels = h.got.compactMap { if case .levels(_, let l, _) = $0 { l } else { nil } }
        #expect(levels == [[0, 0, 2, 2, 2, 2, 0]])
        #expect(h.report()!.bytesWanted == 200_001 && h.report()!.bytesWantedHave == 0)
        let pieces = fetch(h, 1)
        #expect(pieces == [2, 3, 4, 5])
        #expect(h.run { h.durable().setCount == 4 }, "the last wanted piece is synced at once")
        #expect(h.report()!.bytesWantedHave == 200_001)
        #expect(contents("\(h.save)/t/d/b")! == Array(fixture.bytes(of: 1)))
        #expect(!stands(h, "a") && !stands(h, "c") && !stands(h, "small"))
        let part = try #require(parts(h))
        #expect(blocks("\(h.save)/\(part)") <= 200_000, "holes take no room")
        // What spans is served whole.
        for piece in pieces { #expect(h.read(fixture, piece) == Array(fixture.piece(piece))) }
        h.stop(keep: true)

        // After a restart, unclean, with nothing durable known: the check finds all of it.
        let again = try Harness(backend, folder: h.folder)
        again.add(fixture) { $0.levels = only(1) }
        #expect(again.run { again.isReady() })
        #expect(again.have().runs.map(\.first) == [2] && again.have().setCount == 4)
        for piece in pieces { #expect(again.read(fixture, piece) == Array(fixture.piece(piece))) }

        // Now all of it: the bytes come out of the part-file, and only what lacks is fetched.
        again.got.removeAll()
        again.engine.handle(.select(TorrentID(rawValue: 1), FileLevels()))
        #expect(again.run { again.isReady() })
        #expect(again.have().setCount == 4, "nothing is lost")
        for piece in pieces { #expect(again.read(fixture, piece) == Array(fixture.piece(piece))) }
        #expect(fetch(again, 0, 2, 3) == [0, 1, 6])
        #expect(again.run { again.durable().isFull })
        #expect(again.filesMatch(fixture))
        #expect(parts(again) == nil, "it has done its work")
        again.stop()
    }

    /// A file that was wanted stays where it is; one whose part-file is lost is named.
    @Test func wishesChangeBothWays() throws {
        let h = try Harness(.uring)
        h.add(fixture)
        #expect(h.run { h.isReady() })
        _ = fetch(h, 0)
        h.got.removeAll()
        h.engine.handle(.select(TorrentID(rawValue: 1), only(2, 3)))
        #expect(h.run { h.isReady() })
        #expect(h.have().setCount == 3 && stands(h, "a"))
        for piece in 0..<3 { #expect(h.read(fixture, piece) == Array(fixture.piece(piece))) }
        _ = fetch(h, 2, 3)
        #expect(h.run { h.durable().setCount == 5 })
        // Piece 2 and 5 hold the two ends of b, which was begun before it was unwanted: it stands.
        #expect(stands(h, "d/b"))
        #expect(h.report()!.bytesWanted == 100_077 && h.report()!.bytesWantedHave == 100_077)
        h.stop(keep: true)

        let lost = try Harness(.uring, folder: h.folder)
        try FileManager.default.removeItem(atPath: "\(h.save)/t/d/b")
        var durable = Bitfield(count: fixture.pieceCount)
        for piece in [0, 1, 2, 5, 6] { durable.insert(piece) }
        lost.add(fixture) {
            $0.levels = only(2, 3)
            $0.durable = durable.wireBytes
        }
        #expect(lost.run { lost.report()?.fault?.kind == .missing })
        #expect(lost.report()!.fault!.text.contains(".parts"), "\(lost.report()!.fault!.text)")
        lost.stop()
    }

    /// A crash while bytes are taken out leaves a file of another name: the next look begins again.
    @Test func anInterruptedRescueBeginsAgain() throws {
        let h = try Harness(.uring)
        h.add(fixture) { $0.levels = only(1) }
        #expect(h.run { h.isReady() })
        _ = fetch(h, 1)
        h.stop(keep: true)
        put([1, 2, 3], "\(h.save)/t/.a.ccbt-new")
        let again = try Harness(.uring, folder: h.folder)
        again.add(fixture)
        #expect(again.run { again.isReady() })
        #expect(again.have().setCount == 4)
        #expect(!stands(again, ".a.ccbt-new"))
        #expect(Array(contents("\(h.save)/t/a")!.suffix(150_000 - 131_072)) == Array(fixture.bytes(of: 0).suffix(150_000 - 131_072)))
        again.stop()
    }

    /// What it holds of a file that stands is dead, and takes no room.
    @Test func bytesOfAFileThatStandsAreGivenBack() throws {
        let h = try Harness(.uring)
        h.add(fixture) { $0.levels = only(1) }
        #expect(h.run { h.isReady() })
        _ = fetch(h, 1)
        let part = "\(h.save)/" + (try #require(parts(h)))
        let before = blocks(part)
        h.got.removeAll()
        h.engine.handle(.select(TorrentID(rawValue: 1), only(0, 1), selection: 1))
        #expect(h.run { h.isReady() })
        #expect(h.report()!.selection == 1 && h.report()!.bytesWanted == 350_001)
        #expect(h.have().setCount == 4 && stands(h, "a") && !stands(h, "c"))
        let after = blocks(part)
        #expect(after < before, "\(after) of \(before) bytes")
        for piece in 2...5 { #expect(h.read(fixture, piece) == Array(fixture.piece(piece))) }
        // Unwanted again: it stands, and is used.
        h.got.removeAll()
        h.engine.handle(.select(TorrentID(rawValue: 1), only(1)))
        #expect(h.run { h.isReady() })
        for piece in 2...5 { #expect(h.read(fixture, piece) == Array(fixture.piece(piece))) }
        #expect(fetch(h, 0) == [0, 1])
        #expect(contents("\(h.save)/t/a")! == Array(fixture.bytes(of: 0)))
        h.stop()
    }

    /// A move that was interrupted has put files elsewhere: nothing is made in their place, and the move goes on.
    @Test func nothingIsMadeBesideAnInterruptedMove() throws {
        let h = try Harness(.uring)
        h.add(fixture) { $0.levels = only(1) }
        #expect(h.run { h.isReady() })
        let pieces = fetch(h, 1)
        h.stop(keep: true)
        let other = h.folder + "/other"
        try FileManager.default.createDirectory(atPath: other + "/t/d", withIntermediateDirectories: true)
        try FileManager.default.moveItem(atPath: "\(h.save)/t/d/b", toPath: other + "/t/d/b")

        let again = try Harness(.uring, folder: h.folder)
        var durable = Bitfield(count: fixture.pieceCount)
        for piece in pieces { durable.insert(piece) }
        again.add(fixture) {
            $0.durable = durable.wireBytes
            $0.isMoving = true
        }
        // Also where the look comes before the word of where to.
        _ = again.run { again.report()?.fault != nil }
        #expect(!stands(again, "a") && parts(again) != nil)
        again.got.removeAll()
        again.engine.handle(.move(TorrentID(rawValue: 1), savePath: other))
        #expect(again.run { again.isReady() })
        #expect(again.have().setCount == 4)
        for piece in pieces { #expect(again.read(fixture, piece) == Array(fixture.piece(piece))) }
        #expect(contents(other + "/t/d/b")! == Array(fixture.bytes(of: 1)))
        #expect(access(other + "/t/a", F_OK) == 0 && parts(again) == nil)
        again.stop()
    }

    @Test func movedAndDeletedWithTheRest() throws {
        let h = try Harness(.uring)
        h.add(fixture) { $0.levels = only(1) }
        #expect(h.run { h.isReady() })
        let pieces = fetch(h, 1)
        h.got.removeAll()
        let names = FileNames(renames: [.init(from: "t/d/b", to: "t/film")], suffix: ".part")
        h.engine.handle(.move(TorrentID(rawValue: 1), savePath: h.folder + "/other", names))
        #expect(h.run { h.isReady() })
        #expect(parts(h) == nil)
        #expect(access(h.folder + "/other/t/film.part", F_OK) == 0)
        for piece in pieces { #expect(h.read(fixture, piece) == Array(fixture.piece(piece))) }
        h.engine.handle(.remove(TorrentID(rawValue: 1), deleteData: true))
        #expect(h.run { h.got.contains { if case .removed = $0 { true } else { false } } })
        let left = (try? FileManager.default.subpathsOfDirectory(atPath: h.folder + "/other")) ?? []
        #expect(left.isEmpty, "\(left)")
        h.stop()
    }

    @Test func levelsOfPieces() {
        let layout = FileLayout(
            files: [LayoutFile(path: "a", length: 25), LayoutFile(path: "p", length: 5, isPad: true), LayoutFile(path: "b", length: 50), LayoutFile(path: "e", length: 0)],
            pieceLength: 10)!
        #expect(layout.pieceLevels([0, 2, 3, 2], ends: false) == [0, 0, 0, 3, 3, 3, 3, 3])
        #expect(layout.pieceLevels([1, 2, 0, 2], ends: true) == [5, 1, 5, 0, 0, 0, 0, 0])
        let routed = layout.routed(
            {
                var b = Bitfield(count: 4); b.insert(0); return b
            }(), partFile: ".x")
        #expect(routed.extents(of: PieceIndex(2)).map(\.file.int) == [4, 1] && routed.extents(of: PieceIndex(2))[0].fileOffset == 20)
        #expect(routed.bytesHave(Bitfield(full: 8)) == [25, 5, 50, 0])
    }
}
