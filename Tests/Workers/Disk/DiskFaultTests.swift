import Glibc
import LinuxIO
import Primitives
import Testing

@testable import DiskWorker
@testable import Pieces

// The n-th operation of a kind fails, n = 1, 2, 3 … until a run meets no fault: no crash, no hang, nothing claimed that
// is not on disk; and once the faults are over the torrent completes by itself.

struct FaultCase: Sendable, CustomStringConvertible {
    let operation: FaultLayer.Operation, outcome: String
    var isForever = false
    var description: String { "\(operation.rawValue) \(outcome)\(isForever ? " for ever" : "")" }

    static let all: [FaultCase] = [
        FaultCase(operation: .open, outcome: "EIO"), FaultCase(operation: .open, outcome: "EACCES"),
        FaultCase(operation: .open, outcome: "EMFILE"), FaultCase(operation: .stat, outcome: "EIO"),
        FaultCase(operation: .mkdir, outcome: "EROFS"), FaultCase(operation: .allocate, outcome: "ENOSPC"),
        FaultCase(operation: .write, outcome: "EIO"), FaultCase(operation: .write, outcome: "ENOSPC"),
        FaultCase(operation: .write, outcome: "short"), FaultCase(operation: .write, outcome: "EINTR"),
        FaultCase(operation: .write, outcome: "ENOSPC", isForever: true), FaultCase(operation: .write, outcome: "EIO", isForever: true),
        FaultCase(operation: .sync, outcome: "EIO"), FaultCase(operation: .sync, outcome: "ENOSPC", isForever: true),
        FaultCase(operation: .read, outcome: "EIO"), FaultCase(operation: .read, outcome: "short"),
        FaultCase(operation: .read, outcome: "EIO", isForever: true), FaultCase(operation: .write, outcome: "slow=20"),
    ]
}

@Suite(.serialized) struct DiskFaultTests {
    private static let fixture = Fixture(
        files: [.init(path: "a/one", length: 70_001), .init(path: "two", length: 90_000), .init(path: "three", length: 5)], pieceLength: 32768)

    /// As a shard does: hands over what is lacking, again after failures. True when all is durable.
    private func download(_ h: Harness, rounds: Int) -> Bool {
        for _ in 0..<rounds {
            h.run(5) { h.report()?.state == .ready && h.engine.core.isIdle || h.report().map { $0.state == .error || $0.state == .missing } ?? false }
            guard h.report()?.state == .ready || h.report()?.fault?.kind == .full else { return false }
            if h.durable().isFull, h.have().count > 0 { return true }
            var asked = 0
            let before = h.answered
            for i in 0..<h.have().count where !h.have()[i] {
                _ = h.store(Self.fixture, i)
                asked += 1
            }
            #expect(h.run(5) { h.answered == before + asked }, "a request was not answered")
            h.run(0.1) { h.durable().isFull }
        }
        return h.durable().isFull
    }

    private func checkClaims(_ h: Harness, _ what: String) {
        let disk = h.piecesOnDisk(Self.fixture), have = h.have()
        guard have.count > 0 else { return }
        #expect(have.subtracting(disk).isEmpty, "\(what): claimed and not on disk: \(have.subtracting(disk).runs)")
        #expect(h.durable().subtracting(have).isEmpty, "\(what): durable and not had")
    }

    private func runs(_ c: FaultCase, _ backend: LoopBackend, step: Int) throws {
        var n = 1
        while true {
            let h = try Harness(backend, faults: "\(c.operation.rawValue):\(n):\(c.outcome)\(c.isForever ? ":forever" : "")", openFiles: 8)
            h.add(Self.fixture)
            let done = download(h, rounds: 3)
            if done { for i in 0..<Self.fixture.pieceCount { _ = h.read(Self.fixture, i) } }
            checkClaims(h, "\(c) n=\(n)")
            let wasHit = h.faults.calls(c.operation) >= n
            // The faults end: liveness.
            h.faults.clear()
            for _ in 0..<4 where !(h.durable().isFull && h.report()?.state == .ready) {
                h.engine.core.retrySoon(now: h.loop.now)
                h.run(2) { h.report()?.state == .ready && h.engine.core.isIdle }
                _ = download(h, rounds: 3)
            }
            #expect(h.durable().isFull && h.durable().count > 0 && h.report()?.state == .ready, "\(c) n=\(n): did not come back: \(String(describing: h.report()))")
            if h.durable().isFull { #expect(h.filesMatch(Self.fixture)) }
            h.stop()
            if !wasHit { break }
            n += step
            guard n < 400 else {
                Issue.record("no clean run of \(c)")
                return
            }
        }
    }

    @Test(arguments: FaultCase.all) func nthOperationFailsOnTheRing(_ c: FaultCase) throws { try runs(c, .uring, step: 1) }
    /// The same on epoll; the fault layer is above it, so every seventh n is enough.
    @Test(arguments: FaultCase.all) func nthOperationFailsOnEpoll(_ c: FaultCase) throws { try runs(c, .epoll, step: 7) }

    @Test func faultTextsAreParsedOrRefused() throws {
        let f = try FaultLayer("write:2:EIO,read:1:short,sync:3:ENOSPC:forever,open:*:slow=5")
        #expect(f.next(.write) == nil && f.next(.write) == .fails(.inputOutput) && f.next(.write) == nil)
        #expect(f.next(.read) == .short && f.next(.read) == nil)
        #expect(f.next(.sync) == nil && f.next(.sync) == nil && f.next(.sync) == .fails(.noSpace) && f.next(.sync) == .fails(.noSpace))
        #expect(f.next(.open) == .slow(milliseconds: 5) && f.next(.open) == .slow(milliseconds: 5))
        for text in ["write", "write:0:EIO", "write:x:EIO", "write:1:EWHAT", "blow:1:EIO", "write:1:EIO:sometimes", "open:1:slow=x"] {
            #expect(throws: FaultLayer.SyntaxError.self) { try FaultLayer(text) }
        }
        #expect(throws: FaultLayer.SyntaxError.self) { try FailPoints("write.done=kill") }
        _ = try FailPoints("write.done:3=kill,block.received:1=stop")
    }

    /// Written nowhere though it was said so: the claim is found false by the hash at the next unclean start.
    @Test func aLostWriteIsFoundByHash() throws {
        let h = try Harness(.uring, faults: "write:3:lost", directIO: true)
        let fixture = Fixture(files: [.init(path: "t", length: 1 << 20)], pieceLength: 65536)
        h.add(fixture)
        #expect(h.run { h.isReady() })
        #expect(h.storeAll(fixture))
        let disk = h.piecesOnDisk(fixture)
        #expect(disk.setCount == fixture.pieceCount - 1)
        h.got = []
        h.engine.handle(.recheck(TorrentID(rawValue: 1)))
        #expect(h.run { h.isReady() })
        #expect(h.have() == disk)
        h.stop()
    }

    /// A real full volume, where a small tmpfs can be mounted.
    @Test(.enabled(if: geteuid() == 0)) func aFullVolumePausesDownloadsKeepsSeedingAndComesBack() throws {
        let base = "/var/tmp/ccbt-full-\(getpid())"
        mkdir(base, 0o755)
        defer { rmdir(base) }
        guard mount("tmpfs", base, "tmpfs", 0, "size=4m") == 0 else { return }
        defer { umount2(base, 2) }
        let h = try Harness(.uring, base: base)
        let fixture = Fixture(files: [.init(path: "t", length: 6 << 20)], pieceLength: 262_144)
        put([UInt8](repeating: 1, count: 1 << 20), base + "/ballast")
        h.add(fixture) { $0.allocation = .sparse }
        #expect(h.run { h.isReady() })
        for i in 0..<fixture.pieceCount { _ = h.store(fixture, i) }
        #expect(h.run { h.answered == fixture.pieceCount })
        #expect(h.got.contains { if case .storeFailed(_, .diskFull) = $0 { true } else { false } })
        #expect(h.report()?.state == .error && h.report()?.fault?.kind == .full)
        let some = try #require((0..<fixture.pieceCount).first { h.have()[$0] })
        #expect(h.read(fixture, some) == Array(fixture.piece(some)), "seeding goes on")
        let disk = h.piecesOnDisk(fixture)
        #expect(h.have().subtracting(disk).isEmpty)
        // Still no room: the probe fails and it stays as it is.
        h.engine.core.retrySoon(now: h.loop.now)
        h.run(0.5) { false }
        #expect(h.report()?.state == .error)
        unlink(base + "/ballast")
        #expect(mount("tmpfs", base, "tmpfs", UInt(MS_REMOUNT), "size=32m") == 0)
        h.engine.core.retrySoon(now: h.loop.now)
        #expect(h.run { h.report()?.state == .ready })
        for i in 0..<fixture.pieceCount where !h.have()[i] { _ = h.store(fixture, i) }
        #expect(h.run { h.durable().isFull })
        #expect(h.filesMatch(fixture))
        h.stop()
    }
}
