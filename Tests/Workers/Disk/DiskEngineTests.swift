import BlockArena
import Foundation
import Glibc
import LinuxIO
import Primitives
import Testing

@testable import DiskWorker
@testable import Pieces

// The engine on real files, through both loop back-ends: what goes in comes out, and claims are true.

struct Shape: Sendable, CustomStringConvertible {
    let description: String
    let files: [(String, Int)], pieceLength: Int
    var pads: Set<Int> = []

    var fixture: Fixture {
        Fixture(
            files: files.enumerated().map { i, f in Fixture.File(path: f.0, length: f.1, isPad: pads.contains(i)) },
            pieceLength: pieceLength)
    }
    static let all = [
        Shape(description: "one file, odd end", files: [("t", 5_000_001)], pieceLength: 262_144),
        Shape(description: "one small file", files: [("t", 77)], pieceLength: 16384),
        Shape(description: "ragged files", files: [("a/b/one", 700_001), ("two", 3), ("empty", 0), ("a/three", 1_300_777)], pieceLength: 131_072),
        Shape(description: "many tiny files", files: (0..<120).map { ("d\($0 % 7)/f\($0)", 100 + $0 * 37) }, pieceLength: 16384),
        Shape(
            description: "pad files", files: [("a", 100_000), ("pad", 31_072), ("b", 262_144), ("c", 5)], pieceLength: 131_072, pads: [1]),
    ]
}

struct Case: Sendable, CustomStringConvertible {
    let shape: Shape, backend: LoopBackend, direct: Bool, allocation: Allocation
    var description: String { "\(shape), \(backend), \(direct ? "direct" : "buffered"), \(allocation)" }
    static let all: [Case] = LoopBackend.allCases.flatMap { backend in
        Shape.all.flatMap { shape in
            [
                Case(shape: shape, backend: backend, direct: true, allocation: .full),
                Case(shape: shape, backend: backend, direct: true, allocation: .sparse),
                Case(shape: shape, backend: backend, direct: false, allocation: .none),
            ]
        }
    }
}

@Suite(.serialized) struct DiskEngineTests {
    @Test(arguments: Case.all) func downloadServeRestart(_ c: Case) throws {
        let h = try Harness(c.backend, directIO: c.direct)
        let fixture = c.shape.fixture
        h.add(fixture) { $0.allocation = c.allocation }
        #expect(h.run { h.isReady() })
        #expect(h.have().isEmpty)
        #expect(h.storeAll(fixture))
        #expect(h.have().isFull)
        #expect(h.run { h.durable().isFull }, "the last piece is synced at once")
        #expect(h.filesMatch(fixture))
        for (i, file) in fixture.files.enumerated() where !file.isPad {
            #expect(FileManager.default.fileExists(atPath: "\(h.save)/\(fixture.diskPath(i))"), "\(file.path)")
        }
        // "All pieces" was not said before the sync.
        var sawDurable = 0
        for effect in h.got {
            if case .durable(_, let runs) = effect { sawDurable += runs.map(\.count).reduce(0, +) }
            if case .report(_, let r) = effect, r.state == .ready, r.piecesHave == UInt32(fixture.pieceCount) { #expect(sawDurable == fixture.pieceCount) }
        }
        // Served as it was.
        for i in Set([0, fixture.pieceCount / 2, fixture.pieceCount - 1]) {
            #expect(h.read(fixture, i) == Array(fixture.piece(i)))
            let block = fixture.piece(i).count / 16384 * 16384
            if block > 0, block < fixture.piece(i).count { #expect(h.read(fixture, i, offset: block) == Array(fixture.piece(i).dropFirst(block))) }
        }
        h.stop(keep: true)
        // The next process believes what is durable without reading it.
        let again = try Harness(c.backend, directIO: c.direct, folder: h.folder)
        again.add(fixture) { $0.durable = Bitfield(full: fixture.pieceCount).wireBytes }
        #expect(again.run { again.isReady() })
        #expect(again.have().isFull && again.engine.bytesRead == 0)
        #expect(again.read(fixture, 0) == Array(fixture.piece(0)))
        // A recheck finds all of it by hash.
        again.got = []
        again.engine.handle(.recheck(TorrentID(rawValue: 1)))
        #expect(again.run { again.isReady() })
        #expect(again.have().isFull)
        #expect(again.report()?.state == .ready)
        again.stop()
    }

    @Test(arguments: LoopBackend.allCases) func wrongBytesAreNotWritten(_ backend: LoopBackend) throws {
        let h = try Harness(backend), fixture = Shape.all[0].fixture
        h.add(fixture)
        #expect(h.run { h.isReady() })
        let bad = h.store(fixture, 3, damage: true)
        #expect(h.run { h.answered == 1 })
        #expect(h.got.contains { if case .storeFailed(bad, .hashMismatch) = $0 { true } else { false } })
        #expect(h.have().isEmpty && h.engine.bytesWritten == 0)
        _ = h.store(fixture, 3)
        #expect(h.run { h.have().setCount == 1 && h.have()[3] })
        h.stop()
    }

    @Test(arguments: LoopBackend.allCases) func aFreshTorrentOverExistingFilesIsChecked(_ backend: LoopBackend) throws {
        let h = try Harness(backend), fixture = Shape.all[2].fixture
        for (i, file) in fixture.files.enumerated() where file.length > 0 {
            let path = "\(h.save)/\(fixture.diskPath(i))"
            try FileManager.default.createDirectory(atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            var bytes = Array(fixture.bytes(of: i))
            // The last file lacks its tail and has one wrong byte in its piece 6.
            if i == 3 {
                bytes[6 * 131_072 - 700_004 + 10] ^= 1
                bytes.removeLast(200_000)
            }
            put(bytes, path)
        }
        h.add(fixture)
        #expect(h.run { h.isReady() })
        let onDisk = h.piecesOnDisk(fixture)
        #expect(onDisk.setCount < fixture.pieceCount && onDisk.setCount > 5)
        #expect(h.have() == onDisk)
        #expect(h.run { h.durable() == onDisk })
        // What is missing is fetched, into the same files.
        for i in 0..<fixture.pieceCount where !onDisk[i] { _ = h.store(fixture, i) }
        #expect(h.run { h.durable().isFull })
        #expect(h.filesMatch(fixture))
        h.stop()
    }

    @Test(arguments: LoopBackend.allCases) func holesNeedNoRead(_ backend: LoopBackend) throws {
        let h = try Harness(backend)
        let fixture = Fixture(files: [.init(path: "t", length: 8 << 20)], pieceLength: 262_144)
        h.add(fixture) { $0.allocation = .sparse }
        #expect(h.run { h.isReady() })
        for i in [3, 17] { _ = h.store(fixture, i) }
        #expect(h.run { h.have().setCount == 2 })
        let before = h.engine.bytesRead
        h.got = []
        h.engine.handle(.recheck(TorrentID(rawValue: 1)))
        #expect(h.run { h.isReady() })
        #expect(h.have()[3] && h.have()[17] && h.have().setCount == 2)
        #expect(h.engine.bytesRead - before <= 4 * 262_144, "holes were read: \(h.engine.bytesRead - before)")
        h.stop()
        // A torrent of zeros in a sparse file is whole without a read.
        let z = try Harness(backend), zeros = Fixture(files: [.init(path: "t", length: 3_000_001)], pieceLength: 262_144, zeros: true)
        put([], z.save + "/t")
        Glibc.truncate(z.save + "/t", 3_000_001)
        z.add(zeros)
        #expect(z.run { z.isReady() })
        #expect(z.have().isFull && z.engine.bytesRead == 0)
        z.stop()
    }

    @Test(arguments: LoopBackend.allCases) func claimsOfTheLastWorkerCountAndAreSynced(_ backend: LoopBackend) throws {
        let first = try Harness(backend), fixture = Shape.all[2].fixture
        first.add(fixture)
        #expect(first.run { first.isReady() })
        for i in 0..<5 { _ = first.store(fixture, i) }
        #expect(first.run { first.have().setCount == 5 })
        var claim = Bitfield(count: fixture.pieceCount)
        for i in 0..<5 { claim.insert(i) }
        first.stop(keep: true)

        let h = try Harness(backend, folder: first.folder, replayed: false)
        h.engine.handle(.claim(0, TorrentID(rawValue: 1), have: claim.wireBytes))
        // Re-sent before the torrent is known: held, then done.
        let early = h.store(fixture, 7)
        h.engine.handle(.claimsEnd(0))
        h.add(fixture) { $0.unclean = true }
        h.engine.handle(.replayEnd)
        #expect(h.run { h.have().setCount == 6 && h.have()[7] })
        #expect(h.got.contains { if case .stored(early) = $0 { true } else { false } })
        #expect(h.run { h.durable().setCount >= 5 })
        h.stop()
    }

    @Test(arguments: LoopBackend.allCases) func aRunInWorkIsReattached(_ backend: LoopBackend) throws {
        let h = try Harness(backend, faults: "write:*:slow=60"), fixture = Shape.all[0].fixture
        h.add(fixture)
        #expect(h.run { h.isReady() })
        let request = h.store(fixture, 2)
        #expect(h.run { h.got.contains { if case .verified = $0 { true } else { false } } })
        h.engine.handle(.store(request))
        #expect(h.run { h.answered == 1 })
        #expect(h.got.count { if case .verified = $0 { true } else { false } } == 2, "told again how far it is")
        #expect(h.engine.core.jobCount == 0 && h.answered == 1)
        h.stop()
    }

    @Test(arguments: LoopBackend.allCases) func moveAndDelete(_ backend: LoopBackend) throws {
        let h = try Harness(backend), fixture = Shape.all[2].fixture, id = TorrentID(rawValue: 1)
        h.add(fixture)
        #expect(h.run { h.isReady() })
        #expect(h.storeAll(fixture))
        put([1, 2, 3], "\(h.save)/t/a/users-own")
        let to = h.folder + "/else/where"
        h.engine.handle(.move(id, savePath: to))
        #expect(h.run { h.got.contains { if case .movedTo(id, to, message: "") = $0 { true } else { false } } })
        #expect(h.run { h.report()?.state == .ready })
        #expect(h.filesMatch(fixture, save: to))
        #expect(contents("\(h.save)/t/a/users-own") == [1, 2, 3], "what is not the torrent's stays")
        #expect(!FileManager.default.fileExists(atPath: "\(h.save)/t/two"))
        #expect(h.have().isFull)
        #expect(h.read(fixture, 1) == Array(fixture.piece(1)))
        // Something in the way: nothing is lost, it stays where it was.
        try FileManager.default.createDirectory(atPath: h.folder + "/third/t", withIntermediateDirectories: true)
        put([9], h.folder + "/third/t/two")
        h.got = []
        h.engine.handle(.move(id, savePath: h.folder + "/third"))
        #expect(h.run { h.got.contains { if case .movedTo(id, to, message: let m) = $0 { !m.isEmpty } else { false } } })
        #expect(h.run { h.report()?.state == .ready })
        #expect(h.filesMatch(fixture, save: to) && contents(h.folder + "/third/t/two") == [9])
        put([4], to + "/t/users-own")
        h.engine.handle(.remove(id, deleteData: true))
        #expect(h.run { h.got.contains { if case .removed(id, "") = $0 { true } else { false } } })
        #expect(try FileManager.default.contentsOfDirectory(atPath: to + "/t") == ["users-own"])
        #expect(h.report() == nil && h.engine.records.isEmpty && h.engine.openFileCount == 0)
        h.stop()
    }

    @Test(arguments: LoopBackend.allCases) func linksExecutablesAndEmptyFilesComeLast(_ backend: LoopBackend) throws {
        let fixture = Fixture(
            files: [.init(path: "bin/tool", length: 40_000, attributes: "x"), .init(path: "empty", length: 0)], pieceLength: 16384)
        let h = try Harness(backend)
        h.add(fixture)
        #expect(h.run { h.isReady() })
        #expect(!FileManager.default.fileExists(atPath: h.save + "/t/empty"))
        #expect(h.storeAll(fixture))
        #expect(h.run { h.engine.isQuiet && h.durable().isFull })
        #expect(FileManager.default.isExecutableFile(atPath: h.save + "/t/bin/tool"))
        #expect(contents(h.save + "/t/empty") == [])
        h.stop()
        #expect(relativeTarget(from: "t/a/link", to: "t/b/file") == "../b/file")
        #expect(relativeTarget(from: "t/link", to: "t/file") == "file")
        #expect(relativeTarget(from: "t/a/b/link", to: "t/a") == "..")
    }

    @Test(arguments: LoopBackend.allCases) func nothingOutsideTheSaveFolderIsTouched(_ backend: LoopBackend) throws {
        let h = try Harness(backend), fixture = Shape.all[2].fixture
        let outside = h.folder + "/outside"
        mkdir(outside, 0o755)
        mkdir(h.save + "/t", 0o755)
        // A link planted where the torrent has a folder, and one where it has a file.
        symlink(outside, h.save + "/t/a")
        symlink(outside + "/victim", h.save + "/t/two")
        h.add(fixture)
        #expect(h.run { h.isReady() })
        for i in 0..<3 { _ = h.store(fixture, i) }
        #expect(h.run { h.report()?.state == .error })
        #expect(try FileManager.default.contentsOfDirectory(atPath: outside) == [])
        #expect(h.report()?.fault?.kind == .permission)
        h.stop()
    }

    @Test(arguments: LoopBackend.allCases) func aGoneOrShortFileStopsTheTorrentNotTheWorker(_ backend: LoopBackend) throws {
        for truncating in [false, true] {
            let h = try Harness(backend), fixture = Shape.all[2].fixture, path = h.save + "/t/a/three"
            h.add(fixture)
            #expect(h.run { h.isReady() })
            #expect(h.storeAll(fixture))
            #expect(h.run { h.durable().isFull && h.engine.isQuiet })
            let other = Fixture(name: "other", files: [.init(path: "other", length: 300_000)], pieceLength: 65536)
            h.add(other, id: 2)
            #expect(h.run { h.isReady(2) })
            let bytes = contents(path)!
            // Reopened for reading: files written in this run are watched by their next opener.
            h.engine.handle(.pause(TorrentID(rawValue: 1), true))
            h.engine.handle(.pause(TorrentID(rawValue: 1), false))
            #expect(h.run { h.engine.openFileCount == 0 })
            #expect(h.read(fixture, fixture.pieceCount - 1) != nil)
            if truncating { Glibc.truncate(path, 1000) } else { unlink(path) }
            h.got = []
            h.engine.patrolNow()
            #expect(h.run { h.report()?.state == .missing })
            #expect(h.report()?.fault?.text.contains("t/a/three") == true, "the message names the file")
            #expect(h.got.contains { if case .unready(TorrentID(rawValue: 1), .missingFiles, _) = $0 { true } else { false } })
            #expect(h.read(fixture, fixture.pieceCount - 1) == nil, "never served from a deleted inode")
            // The other torrent goes on.
            #expect(h.storeAll(other, id: 2))
            // Put back: comes back by itself, after hashing.
            put(bytes, path)
            h.got = []
            h.engine.core.retrySoon(now: h.loop.now)
            #expect(h.run { h.isReady() })
            #expect(h.have().isFull && h.report()?.fault == nil)
            h.stop()
        }
    }

    @Test(arguments: LoopBackend.allCases) func aChangedFileIsHashedBeforeItIsServedAgain(_ backend: LoopBackend) throws {
        let h = try Harness(backend), fixture = Shape.all[0].fixture, path = h.save + "/t"
        h.add(fixture)
        #expect(h.run { h.isReady() })
        #expect(h.storeAll(fixture))
        #expect(h.run { h.durable().isFull && h.engine.isQuiet })
        h.engine.handle(.pause(TorrentID(rawValue: 1), true))
        h.engine.handle(.pause(TorrentID(rawValue: 1), false))
        #expect(h.run { h.engine.openFileCount == 0 })
        usleep(20_000)
        let file = fopen(path, "r+")!
        fseek(file, 262_144 * 4 + 5, SEEK_SET)
        fputc(Int32(~fixture.content[262_144 * 4 + 5]), file)
        fclose(file)
        h.got = []
        #expect(h.read(fixture, 4) == nil, "I2: no corrupt byte is served")
        #expect(h.run { h.isReady() && h.report()?.state == .ready })
        #expect(h.have().setCount == fixture.pieceCount - 1 && !h.have()[4])
        h.stop()
    }

    @Test(arguments: LoopBackend.allCases) func filesAreBoundedAndComeBack(_ backend: LoopBackend) throws {
        let h = try Harness(backend, faults: "open:30:EMFILE,open:31:EMFILE,open:40:ENFILE", openFiles: 8), fixture = Shape.all[3].fixture
        h.add(fixture)
        #expect(h.run { h.isReady() })
        #expect(h.storeAll(fixture))
        #expect(h.have().isFull)
        #expect(h.run { h.durable().isFull && h.engine.isQuiet })
        #expect(h.engine.openFileCount <= 8)
        #expect(h.filesMatch(fixture))
        h.stop()
    }

    @Test(arguments: LoopBackend.allCases) func oneWriterPerFile(_ backend: LoopBackend) throws {
        let h = try Harness(backend), fixture = Shape.all[0].fixture
        h.add(fixture)
        h.add(fixture, id: 2)
        #expect(h.run { h.isReady(1) && h.isReady(2) })
        _ = h.store(fixture, 0, id: 1)
        #expect(h.run { h.answered == 1 })
        _ = h.store(fixture, 1, id: 2)
        #expect(h.run { h.report(2)?.fault?.kind == .pathConflict })
        #expect(h.have(1)[0] && h.report(1)?.state == .ready)
        h.stop()
    }

    @Test(arguments: LoopBackend.allCases) func drainSyncsWhatIsWritten(_ backend: LoopBackend) throws {
        let h = try Harness(backend), fixture = Shape.all[0].fixture
        h.add(fixture)
        #expect(h.run { h.isReady() })
        for i in 0..<6 { _ = h.store(fixture, i) }
        h.engine.handle(.drain)
        #expect(h.run { h.got.contains { if case .drained = $0 { true } else { false } } })
        #expect(h.durable().setCount == 6)
        h.stop()
    }
}
