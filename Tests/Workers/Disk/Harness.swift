import BlockArena
import CHash
import Foundation
import Glibc
import LinuxIO
import Observe
import Primitives
import Testing

@testable import DiskWorker
@testable import Pieces

/// A torrent with noise for content, its metainfo file, and what each file must hold.
struct Fixture {
    struct File {
        let path: String, length: Int
        var isPad = false
        var attributes = ""
    }
    let name: String, files: [File], pieceLength: Int
    let content: [UInt8]
    enum Version { case v1, v2, hybrid }
    /// v2 and hybrid ones are made by ``Fixture/version2(files:pieceLength:hybrid:seed:zeros:)``.
    var version = Version.v1

    init(name: String = "t", files: [File], pieceLength: Int, seed: UInt64 = 7, zeros: Bool = false) {
        self.name = name
        self.files = files
        self.pieceLength = pieceLength
        var random = SeededRandom(seed: seed), all: [UInt8] = []
        all.reserveCapacity(files.map(\.length).reduce(0, +))
        for file in files {
            if file.isPad || zeros {
                all.append(contentsOf: repeatElement(0, count: file.length))
            } else {
                var left = file.length
                while left > 0 {
                    var word = random.next()
                    for _ in 0..<min(8, left) {
                        all.append(UInt8(truncatingIfNeeded: word))
                        word >>= 8
                    }
                    left -= min(8, left)
                }
            }
        }
        content = all
    }

    var pieceCount: Int { (content.count + pieceLength - 1) / pieceLength }
    func piece(_ i: Int) -> ArraySlice<UInt8> { content[i * pieceLength..<min(version == .v2 ? endOfFile(in: i) : content.count, (i + 1) * pieceLength)] }

    /// One file of the torrent's name, or a folder of that name.
    var isSingle: Bool { files.count == 1 && files[0].path == name }
    func bytes(of file: Int) -> ArraySlice<UInt8> {
        let start = files[..<file].map(\.length).reduce(0, +)
        return content[start..<start + files[file].length]
    }
    func diskPath(_ file: Int) -> String { isSingle ? name : "\(name)/\(files[file].path)" }

    var metainfo: [UInt8] {
        if version != .v1 { return metainfo2 }
        var out: [UInt8] = []
        func text(_ s: String) { out += Array("\(s.utf8.count):\(s)".utf8) }
        func raw(_ s: String) { out += Array(s.utf8) }
        raw("d")
        text("info")
        raw("d")
        if isSingle {
            text("length")
            raw("i\(content.count)e")
        } else {
            text("files")
            raw("l")
            for file in files {
                raw("d")
                let attributes = file.attributes + (file.isPad ? "p" : "")
                if !attributes.isEmpty {
                    text("attr")
                    text(attributes)
                }
                text("length")
                raw("i\(file.length)e")
                text("path")
                raw("l")
                for part in (file.isPad ? ".pad/\(file.length)" : file.path).split(separator: "/") { text(String(part)) }
                raw("ee")
            }
            raw("e")
        }
        text("name")
        text(name)
        text("piece length")
        raw("i\(pieceLength)e")
        text("pieces")
        raw("\(pieceCount * 20):")
        for i in 0..<pieceCount {
            var digest = [UInt8](repeating: 0, count: 20)
            Array(piece(i)).withUnsafeBufferPointer { ccbt_sha1($0.baseAddress, $0.count, &digest) }
            out += digest
        }
        raw("ee")
        return out
    }
}

/// A real engine on a real loop and a temporary folder; the test is the shard and the session.
final class Harness {
    static let slots = 2048  // 32 MiB
    let loop: Loop
    let folder: String
    var save: String { folder + "/save" }
    private(set) var engine: DiskEngine!
    let arenaFile: Int32
    let arena: BlockArena
    let faults: FaultLayer
    var got: [DiskEffect] = []

    init(
        _ backend: LoopBackend, faults text: String = "", countsFaults: Bool = false, directIO: Bool = true, limits: DiskCore.Limits = DiskCore.Limits(), openFiles: Int = 64, folder: String? = nil,
        base: String? = nil, replayed: Bool = true
    ) throws {
        loop = try Loop(backend: backend)
        if let folder {
            self.folder = folder
        } else {
            let root = base ?? getenv("CCBT_TEST_TMP").map { String(cString: $0) } ?? "/var/tmp"
            var template = Array("\(root)/ccbt-disk-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { throw Errno(errno) }
            self.folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            mkdir(self.folder + "/save", 0o755)
        }
        let layout = ArenaLayout(slotCount: Self.slots)
        arenaFile = try Memory.memfd("test-arena", size: layout.byteCount)
        arena = try BlockArena(fd: arenaFile, slotCount: Self.slots, byteCount: layout.byteCount)
        faults = try FaultLayer(text, counts: countsFaults)
        var options = DiskEngine.Options()
        options.directIO = directIO
        options.hashThreads = 2
        options.openFiles = openFiles
        options.limits = limits
        engine = DiskEngine(
            loop: loop, operations: FileOperations(loop: loop, faults: faults), failPoints: try FailPoints(""), options: options,
            log: Log("test")
        ) { [unowned self] in got.append($0) }
        try engine.arenas.give(shard: 0, slotCount: Self.slots, fd: fcntl(arenaFile, F_DUPFD_CLOEXEC, 0), byteCount: layout.byteCount)
        engine.handle(.shardOpened(0))
        guard replayed else { return }
        engine.handle(.claimsEnd(0))
        engine.handle(.replayEnd)
    }

    /// Ends the engine; `keep` leaves the folder for the next one.
    func stop(keep: Bool = false) {
        for _ in 0..<200 where !(engine.isQuiet && engine.core.jobCount == 0) { step() }
        engine.stop()
        close(arenaFile)
        if !keep { removeTree(folder) }
    }

    func step(_ milliseconds: Int = 10) {
        let wants = engine.turn(now: loop.now)
        loop.wait(until: min(wants, loop.now + .milliseconds(milliseconds)))
        while let completion = loop.next() { if completion.token.kind >= 16 { engine.completed(completion) } }
        _ = engine.turn(now: loop.now)
    }
    /// Runs the loop until `condition`; false after `seconds`.
    @discardableResult func run(_ seconds: Double = 6, until condition: () -> Bool) -> Bool {
        let end = Clock.monotonic() + .seconds(seconds)
        while !condition() {
            if Clock.monotonic() > end { return false }
            step()
        }
        return true
    }

    func write(_ fixture: Fixture) -> String {
        let path = "\(folder)/\(fixture.name).torrent"
        put(fixture.metainfo, path)
        return path
    }
    func add(_ fixture: Fixture, id: UInt32 = 1, _ change: (inout TorrentSpec) -> Void = { _ in }) {
        var spec = TorrentSpec(metainfoPath: write(fixture), savePath: save)
        change(&spec)
        engine.handle(.add(TorrentID(rawValue: id), spec))
    }

    func report(_ id: UInt32 = 1) -> TorrentReport? { engine.core.report(TorrentID(rawValue: id)) }
    func have(_ id: UInt32 = 1) -> Bitfield { engine.core.have(TorrentID(rawValue: id)) ?? Bitfield(count: 0) }
    func durable(_ id: UInt32 = 1) -> Bitfield { engine.core.durable(TorrentID(rawValue: id)) ?? Bitfield(count: 0) }
    func isReady(_ id: UInt32 = 1) -> Bool { got.contains { if case .ready(TorrentID(rawValue: id), _, _) = $0 { true } else { false } } }

    var slotsPerPiece = 0
    /// Hands a piece over from the run that its number names (the arena is used in turn).
    func store(_ fixture: Fixture, _ piece: Int, id: UInt32 = 1, damage: Bool = false) -> StoreRequest {
        let slots = (fixture.pieceLength + 16383) / 16384, first = SlotIndex(piece % (Self.slots / slots) * slots)
        let bytes = fixture.piece(piece)
        bytes.withUnsafeBytes { arena.slot(first).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        if damage { arena.slot(first).storeBytes(of: ~bytes.first!, as: UInt8.self) }
        let request = StoreRequest(
            torrent: TorrentID(rawValue: id), piece: UInt32(piece), run: RunID(shard: 0, first: first), length: UInt32(bytes.count))
        engine.handle(.store(request))
        return request
    }
    /// Stores all pieces, as many at once as the arena holds; true when each was answered.
    func storeAll(_ fixture: Fixture, id: UInt32 = 1, seconds: Double = 30) -> Bool {
        let slots = (fixture.pieceLength + 16383) / 16384, room = Self.slots / slots
        var next = 0
        while next < fixture.pieceCount {
            let from = next
            while next < fixture.pieceCount, next - from < room {
                _ = store(fixture, next, id: id)
                next += 1
            }
            guard run(seconds, until: { self.answered >= next }) else { return false }
        }
        return true
    }
    var answered: Int {
        got.count { if case .stored = $0 { true } else if case .storeFailed = $0 { true } else { false } }
    }
    /// Reads part of a piece back through the engine; nil on any failure.
    func read(_ fixture: Fixture, _ piece: Int, offset: Int = 0, length: Int? = nil, id: UInt32 = 1) -> [UInt8]? {
        let length = length ?? fixture.piece(piece).count - offset, first = SlotIndex(Self.slots / 2)
        let request = ReadRequest(
            torrent: TorrentID(rawValue: id), piece: UInt32(piece), offset: UInt32(offset), length: UInt32(length),
            run: RunID(shard: 0, first: first))
        memset(arena.slot(first), 0xEE, length)
        var status: ReadStatus?
        let from = got.count
        engine.handle(.read(request))
        run(10) {
            for effect in self.got[from...] { if case .readDone(request, let s) = effect { status = s } }
            return status != nil
        }
        guard status == .done else { return nil }
        return Array(UnsafeRawBufferPointer(start: arena.slot(first), count: length))
    }
    func filesMatch(_ fixture: Fixture, save: String? = nil) -> Bool {
        for (i, file) in fixture.files.enumerated() where !file.isPad && !file.attributes.contains("l") {
            guard let bytes = contents("\(save ?? self.save)/\(fixture.diskPath(i))"), bytes[...] == fixture.bytes(of: i) else { return false }
        }
        return true
    }
    /// Pieces that the files hold, hashed by nobody but this.
    func piecesOnDisk(_ fixture: Fixture) -> Bitfield {
        var all: [UInt8] = []
        for (i, file) in fixture.files.enumerated() {
            var bytes = file.isPad ? [UInt8](repeating: 0, count: file.length) : contents("\(save)/\(fixture.diskPath(i))") ?? []
            bytes += [UInt8](repeating: 0xFF, count: max(0, file.length - bytes.count))
            all += bytes.prefix(file.length)
        }
        var out = Bitfield(count: fixture.pieceCount)
        for i in 0..<fixture.pieceCount where all[i * fixture.pieceLength..<min(all.count, (i + 1) * fixture.pieceLength)] == fixture.piece(i) { out.insert(i) }
        return out
    }
}

func put(_ bytes: [UInt8], _ path: String) {
    let file = fopen(path, "w")!
    _ = bytes.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
    fclose(file)
}
func contents(_ path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    fseek(file, 0, SEEK_END)
    let size = ftell(file)
    fseek(file, 0, SEEK_SET)
    var out = [UInt8](repeating: 0, count: size)
    let n = out.withUnsafeMutableBytes { fread($0.baseAddress, 1, $0.count, file) }
    return n == size ? out : nil
}
func removeTree(_ path: String) { try? FileManager.default.removeItem(atPath: path) }
