import Primitives
import Testing

@testable import Pieces

// Events in, effects out: lists of what the core must say, with no file anywhere.

/// A core, a clock that the test moves, and the effects of the last event as short texts.
struct Bench {
    var core: DiskCore
    var now = Instant(nanoseconds: 1_000_000_000)
    let layout: FileLayout
    static let id = TorrentID(rawValue: 1)

    /// Ten pieces of 16 KiB in two files: 0...3 in the first only, 4 in both, 5...9 in the second only.
    init(limits: DiskCore.Limits = DiskCore.Limits()) {
        core = DiskCore(limits: limits)
        layout = FileLayout(files: [LayoutFile(path: "t/a", length: 70_000), LayoutFile(path: "t/b", length: 163_840 - 70_000)], pieceLength: 16384)!
    }

    mutating func raw(_ event: DiskEvent) -> [DiskEffect] {
        var out: [DiskEffect] = []
        core.handle(event, now: now, into: &out)
        return out
    }
    @discardableResult mutating func send(_ event: DiskEvent) -> [String] { raw(event).map(text) }
    mutating func wait(_ span: TimeSpan) -> [String] {
        now += span
        return send(.tick)
    }

    func request(_ piece: UInt32, slot: UInt32? = nil) -> StoreRequest {
        StoreRequest(torrent: Self.id, piece: piece, run: RunID(shard: 0, first: SlotIndex(rawValue: slot ?? piece)), length: 16384)
    }
    func readRequest(_ piece: UInt32) -> ReadRequest {
        ReadRequest(torrent: Self.id, piece: piece, offset: 0, length: 16384, run: RunID(shard: 0, first: SlotIndex(rawValue: 100 + piece)))
    }
    func found(_ sizes: [Int64] = [-1, -1], volume: UInt64 = 9, data: [Int]? = nil, zeros: [Int] = []) -> DiskEvent {
        func bits(_ list: [Int]) -> Bitfield {
            var b = Bitfield(count: 10)
            for i in list { b.insert(i) }
            return b
        }
        return .opened(Self.id, .success(TorrentFound(layout: layout, volume: volume, sizes: sizes, withData: data.map(bits), zeros: data.map { _ in bits(zeros) })))
    }
    static let full: [Int64] = [70_000, 93_840]
    static func wire(_ pieces: [Int]) -> [UInt8] {
        var b = Bitfield(count: 10)
        for i in pieces { b.insert(i) }
        return b.wireBytes
    }

    /// A worker whose torrent is ready and empty.
    mutating func makeReady(sizes: [Int64] = [-1, -1], _ change: (inout TorrentSpec) -> Void = { _ in }) {
        send(.shardOpened(0))
        send(.claimsEnd(0))
        send(.replayEnd)
        var spec = TorrentSpec(metainfoPath: "/m", savePath: "/s")
        change(&spec)
        send(.add(Self.id, spec))
        send(found(sizes, data: spec.durable.isEmpty ? [] : nil))
    }
    /// Through hash, write; leaves it unsynced.
    mutating func download(_ piece: UInt32) -> [String] {
        var out: [String] = []
        for effect in raw(.store(request(piece))) {
            out.append(text(effect))
            if case .hash(let job, _) = effect {
                for effect in raw(.hashed(job, matches: true)) {
                    out.append(text(effect))
                    if case .write(let job, _) = effect { out += send(.written(job, nil)) }
                }
            }
        }
        return out
    }
    /// The job of the first effect that has one.
    mutating func job(_ event: DiskEvent) -> JobID {
        for effect in raw(event) {
            switch effect {
            case .hash(let j, _), .write(let j, _), .readFile(let j, _), .check(let j, _, _, _): return j
            default: continue
            }
        }
        preconditionFailure("no job")
    }

    func text(_ e: DiskEffect) -> String {
        func runs(_ r: [(first: Int, count: Int)]) -> String { r.map { $0.count == 1 ? "\($0.first)" : "\($0.first)+\($0.count)" }.joined(separator: " ") }
        switch e {
        case .verified(let r): return "verified \(r.piece)"
        case .stored(let r): return "stored \(r.piece)"
        case .storeFailed(let r, let why): return "failed \(r.piece) \(why)"
        case .readDone(let r, let s): return "read \(r.piece) \(s)"
        case .ready(_, let have, _): return "ready \(runs(have.runs))"
        case .unready(_, let why, _): return "unready \(why)"
        case .levels(_, let levels, _): return "levels \(levels.map(String.init).joined())"
        case .report(_, let r): return "report \(r.state) \(r.piecesHave)" + (r.fault.map { " \($0.kind)" } ?? "")
        case .durable(_, let r): return "durable \(runs(r))"
        case .undurable(_, let r): return "undurable \(runs(r))"
        case .removed(_, let m): return "removed \(m)"
        case .movedTo(_, let p, let m): return "moved \(p) \(m)"
        case .open(_, _, let scan, _): return scan ? "open scan" : "open"
        case .hash(_, let r): return "hash \(r.piece)"
        case .write(_, let r): return "write \(r.piece)"
        case .readFile(_, let r): return "readFile \(r.piece)"
        case .check(_, _, let f, let c): return "check \(f)+\(c)"
        case .sync(_, let all): return all ? "sync all" : "sync"
        case .finish: return "finish"
        case .closeFiles: return "close"
        case .forget: return "forget"
        case .probe(let v, _): return "probe \(v)"
        case .moveFiles(_, let p, _): return "moveFiles \(p)"
        case .deleteFiles: return "deleteFiles"
        case .log: return "log"
        case .drained: return "drained"
        }
    }
}

@Suite struct DiskCoreTests {
    @Test func theDownloadPathInOrder() {
        var b = Bench()
        b.makeReady()
        let job = b.job(.store(b.request(3)))
        #expect(b.send(.hashed(job, matches: true)) == ["verified 3", "write 3"])
        #expect(b.send(.written(job, nil)).filter { $0 != "report ready 1" } == ["stored 3"])
        #expect(b.wait(.seconds(4)).contains("sync") == false)
        #expect(b.wait(.seconds(1)).contains("sync"))
        #expect(b.core.durable(Bench.id)!.isEmpty, "durable only after the sync")
        #expect(b.send(.synced(Bench.id, nil)).first == "durable 3")
        #expect(b.core.durable(Bench.id)![3])
    }

    /// The last piece starts a sync by itself; a checkpoint that falls due at the same moment finds nothing left to do
    /// once that sync is over, and must not swallow the end.
    @Test func theLastPieceOfACheckpointEndsTheTorrent() {
        var limits = DiskCore.Limits()
        limits.checkpointBytes = 10 * 16384
        var b = Bench(limits: limits)
        b.makeReady()
        for piece in 0..<9 as Range<UInt32> { _ = b.download(piece) }
        #expect(b.download(9).filter { $0 == "sync" }.count == 1)
        #expect(b.send(.synced(Bench.id, nil)) == ["durable 0+10", "finish", "report ready 10"])
    }

    @Test func aWrongHashIsAnsweredAndNothingWritten() {
        var b = Bench()
        b.makeReady()
        let job = b.job(.store(b.request(3)))
        #expect(b.send(.hashed(job, matches: false)) == ["failed 3 hashMismatch"])
        #expect(b.core.have(Bench.id)!.isEmpty && b.core.jobCount == 0)
    }

    @Test func completionIsSyncedAtOnceAndSaidAfterwards() {
        var b = Bench()
        b.makeReady()
        for i in 0..<9 { _ = b.download(UInt32(i)) }
        #expect(b.download(9) == ["hash 9", "verified 9", "write 9", "stored 9", "sync"])
        #expect(!b.wait(.milliseconds(200)).contains("report ready 10"))
        #expect(b.send(.synced(Bench.id, nil)) == ["durable 0+10", "finish", "report ready 10"])
        #expect(b.send(.finished(Bench.id, nil)) == [])
    }

    @Test func checkpointByBytes() {
        var limits = DiskCore.Limits()
        limits.checkpointBytes = 3 * 16384
        var b = Bench(limits: limits)
        b.makeReady()
        #expect(!b.download(0).contains("sync") && !b.download(1).contains("sync"))
        #expect(b.download(2).contains("sync"))
        // A piece written while the sync runs belongs to the next one.
        _ = b.download(5)
        #expect(b.send(.synced(Bench.id, nil)).first == "durable 0+3")
        #expect(!b.core.durable(Bench.id)![5] && b.core.have(Bench.id)![5])
        #expect(b.wait(.seconds(6)).contains("sync"))
        #expect(b.send(.synced(Bench.id, nil)).first == "durable 5")
    }

    @Test func aFailedSyncMakesTheBatchUnknownAndReadsItBack() {
        var b = Bench()
        b.makeReady()
        _ = b.download(1)
        #expect(b.wait(.seconds(6)).contains("sync"))
        _ = b.download(2)
        let said = b.send(.synced(Bench.id, DiskFault(.io, "sync t/a: EIO")))
        #expect(said.contains("unready ioError") && said.contains("report error 0 io") && !said.contains { $0.hasPrefix("durable") })
        #expect(b.core.have(Bench.id)!.isEmpty)
        #expect(b.wait(.seconds(31)) == ["open scan"])
        let checks = b.raw(b.found(Bench.full, data: [1, 2]))
        #expect(checks.map(b.text).contains("check 1+2"))
        for case .check(let job, _, _, _) in checks {
            let said = b.send(.checked(job, good: [true, false], nil))
            #expect(said.contains("ready 1") && said.contains("sync all"))
        }
    }

    @Test func fullDiskPausesDownloadsKeepsSeedingAndResumes() {
        var b = Bench()
        b.makeReady()
        _ = b.download(1)
        let job = b.job(.store(b.request(3))), other = b.job(.store(b.request(4)))
        _ = b.send(.hashed(job, matches: true))
        let said = b.send(.written(job, DiskFault(.full, "write: ENOSPC")))
        #expect(said.contains("failed 3 diskFull") && said.contains("unready diskFull") && said.contains("report error 1 full"))
        #expect(b.send(.hashed(other, matches: true)) == ["failed 4 diskFull"])
        #expect(b.send(.store(b.request(5))) == ["failed 5 diskFull"])
        #expect(b.send(.read(b.readRequest(1))) == ["readFile 1"], "seeding goes on")
        #expect(b.wait(.seconds(29)).contains("probe 9") == false)
        #expect(b.wait(.seconds(2)).contains("probe 9"))
        #expect(b.send(.probed(volume: 9, DiskFault(.full, "still"))) == [])
        #expect(b.wait(.seconds(31)).contains("probe 9"))
        let back = b.send(.probed(volume: 9, nil))
        #expect(back.contains("ready 1") && back.contains("report ready 1"))
        #expect(b.download(5).contains("stored 5"))
    }

    @Test func threeEIOOfAVolumeOpenItsBreaker() {
        var b = Bench()
        b.makeReady()
        for i in 0..<3 {
            let job = b.job(.store(b.request(UInt32(i))))
            _ = b.send(.hashed(job, matches: true))
            let said = b.send(.written(job, DiskFault(.io, "EIO")))
            #expect(said.contains("failed \(i) ioError"))
            #expect(said.contains("unready ioError") == (i == 2))
        }
    }

    @Test func aFailedReadIsTriedOnceMoreThenThePieceIsLost() {
        var b = Bench()
        b.makeReady(sizes: Bench.full) { $0.durable = Bench.wire([0, 1]) }
        let fault = DiskFault(.io, "read t/a at 16384: EIO")
        let job = b.job(.read(b.readRequest(1)))
        #expect(b.send(.readEnded(job, fault)) == ["readFile 1"])
        #expect(b.send(.readEnded(job, fault)) == ["read 1 ioError", "undurable 1", "log", "ready 0", "report ready 1 io"])
        #expect(b.send(.read(b.readRequest(1))) == ["read 1 noSuchPiece"])
        #expect(b.send(.store(b.request(1))) == ["hash 1"], "fetched again")
    }

    @Test func durablePiecesAreBelievedWithoutACheck() {
        var b = Bench()
        b.send(.shardOpened(0))
        b.send(.claimsEnd(0))
        b.send(.replayEnd)
        #expect(b.send(.add(Bench.id, TorrentSpec(metainfoPath: "/m", savePath: "/s", durable: Bench.wire([0, 1, 2])))) == ["open"])
        #expect(b.send(b.found(Bench.full)) == ["ready 0+3", "report ready 3"])
    }

    @Test func afterAnUncleanStopOnlyTheSuspectsAreHashed() {
        var b = Bench()
        b.send(.replayEnd)
        #expect(b.send(.add(Bench.id, TorrentSpec(metainfoPath: "/m", savePath: "/s", durable: Bench.wire([0, 1, 2]), unclean: true))) == ["open scan"])
        let said = b.raw(b.found(Bench.full, data: [0, 1, 2, 3, 7]))
        #expect(said.map(b.text) == ["unready checking", "report queued 3", "report checking 3", "check 3+1", "check 7+1"])
        // What is not in doubt is served meanwhile; stores wait.
        #expect(b.send(.read(b.readRequest(1))) == ["readFile 1"])
        #expect(b.send(.store(b.request(8))) == [])
        let jobs = said.compactMap { if case .check(let j, _, _, _) = $0 { j } else { nil } }
        #expect(b.send(.checked(jobs[0], good: [true], nil)).filter { !$0.hasPrefix("report") } == [])
        let end = b.send(.checked(jobs[1], good: [false], nil))
        #expect(end.contains("ready 0+4") && end.contains("hash 8") && end.contains("sync all"))
    }

    @Test func claimsWaitForTheShardsAndAreNotDurable() {
        var b = Bench()
        b.send(.shardOpened(0))
        #expect(b.send(.add(Bench.id, TorrentSpec(metainfoPath: "/m", savePath: "/s", durable: Bench.wire([0])))) == [])
        #expect(b.send(.replayEnd) == [], "the shard has not claimed yet")
        b.send(.claim(0, Bench.id, have: Bench.wire([0, 5])))
        #expect(b.send(.claimsEnd(0)) == ["open"])
        #expect(b.send(b.found(Bench.full)) == ["ready 0 5", "sync all", "report ready 2"])
        #expect(b.send(.synced(Bench.id, nil)).first == "durable 5")
    }

    @Test func aSilentShardIsNotWaitedForLong() {
        var b = Bench()
        b.send(.shardOpened(0))
        b.send(.replayEnd)
        #expect(b.send(.add(Bench.id, TorrentSpec(metainfoPath: "/m", savePath: "/s", durable: Bench.wire([0])))) == [])
        #expect(b.core.deadline <= b.now + .seconds(2))
        #expect(b.wait(.seconds(2)) == ["open"])
    }

    @Test func aRunInWorkIsNeverTakenTwice() {
        var b = Bench()
        b.makeReady()
        let request = b.request(3), job = b.job(.store(request))
        #expect(b.send(.store(request)) == [], "re-attached")
        #expect(b.send(.hashed(job, matches: true)) == ["verified 3", "write 3"])
        #expect(b.send(.store(request)) == ["verified 3"])
        // Another piece in the same run waits until the run is free.
        #expect(b.send(.store(b.request(4, slot: 3))) == [])
        #expect(b.send(.written(job, nil)).contains("hash 4"))
        // A piece that is there already is acknowledged at once.
        #expect(b.send(.store(b.request(3, slot: 30))) == ["verified 3", "stored 3"])
    }

    @Test func nonsenseFromAShardIsRefused() {
        var b = Bench()
        b.makeReady()
        let run = RunID(shard: 0, first: SlotIndex(rawValue: 1))
        #expect(b.send(.store(StoreRequest(torrent: Bench.id, piece: 10, run: run, length: 16384))) == ["failed 10 unready"])
        #expect(b.send(.store(StoreRequest(torrent: Bench.id, piece: 1, run: run, length: 16383))) == ["failed 1 unready"])
        #expect(b.send(.store(StoreRequest(torrent: TorrentID(rawValue: 5), piece: 1, run: run, length: 16384))) == ["failed 1 unready"])
        #expect(b.send(.read(ReadRequest(torrent: Bench.id, piece: 0, offset: 0, length: 16384, run: run))) == ["read 0 noSuchPiece"])
        _ = b.download(0)
        for (offset, length): (UInt32, UInt32) in [(1, 100), (0, 16385), (16384, 1), (0, 0), (.max & ~16383, 16384)] {
            #expect(b.send(.read(ReadRequest(torrent: Bench.id, piece: 0, offset: offset, length: length, run: run))) == ["read 0 noSuchPiece"])
        }
        #expect(b.send(.written(JobID(index: 77, generation: 0), nil)) == [])
    }

    @Test func aMissingFileStopsTheTorrentAndItComesBackHashed() {
        var b = Bench()
        b.send(.replayEnd)
        b.send(.add(Bench.id, TorrentSpec(metainfoPath: "/m", savePath: "/s", durable: Bench.wire([0, 1, 9]))))
        let said = b.send(b.found([70_000, -1]))
        #expect(said.contains("unready missingFiles") && said.contains("report missing 0 missing"))
        #expect(b.send(.store(b.request(2))) == ["failed 2 ioError"])
        #expect(b.wait(.seconds(31)) == ["open scan"])
        #expect(b.send(b.found([70_000, 5], data: [0])).contains { $0.hasPrefix("ready") } == false, "still short")
        #expect(b.wait(.seconds(31)).contains("open scan"))
        let checks = b.raw(b.found(Bench.full, data: [0, 1, 9])).compactMap { if case .check(let j, _, let f, _) = $0 { (j, f) } else { nil } }
        #expect(checks.map(\.1) == [0, 9])
        _ = b.send(.checked(checks[0].0, good: [true, true], nil))
        let end = b.send(.checked(checks[1].0, good: [false], nil))
        #expect(end.contains("undurable 9") && end.contains("ready 0+2"))
    }

    @Test func anEmptyMountPointIsNotWrittenTo() {
        var b = Bench()
        b.send(.replayEnd)
        b.send(.add(Bench.id, TorrentSpec(metainfoPath: "/m", savePath: "/s", durable: Bench.wire([0]), sourceDevice: 9)))
        let said = b.send(b.found([-1, -1], volume: 4))
        #expect(said.contains("unready missingFiles") && said.contains("report error 0 deviceMissing"))
        #expect(b.send(.store(b.request(2))).first?.hasPrefix("failed 2") == true)
        #expect(b.wait(.seconds(31)) == ["open"])
        #expect(b.send(b.found(Bench.full, volume: 9)).contains("ready 0"))
    }

    @Test func aChangedFileIsDoubtedThroughout() {
        var b = Bench()
        b.makeReady(sizes: Bench.full) { $0.durable = Bench.wire([0, 1]) }
        let said = b.send(.fileChanged(Bench.id, DiskFault(.changed, "t/a was changed")))
        #expect(said.contains("undurable 0+2") && said.contains("unready missingFiles"))
        #expect(b.wait(.milliseconds(1)).contains("open scan") || said.contains("open scan"))
        let checks = b.raw(b.found(Bench.full, data: [0, 1])).compactMap { if case .check(let j, _, _, _) = $0 { j } else { nil } }
        #expect(b.send(.checked(checks[0], good: [true, true], nil)).contains("ready 0+2"))
    }

    @Test func oneCheckAtATime() {
        var b = Bench()
        b.send(.replayEnd)
        for i: UInt32 in 1...2 { b.send(.add(TorrentID(rawValue: i), TorrentSpec(metainfoPath: "/m\(i)", savePath: "/s"))) }
        func found(_ i: UInt32) -> DiskEvent {
            .opened(TorrentID(rawValue: i), .success(TorrentFound(layout: b.layout, volume: 9, sizes: Bench.full, withData: Bitfield(full: 10), zeros: Bitfield(count: 10))))
        }
        let first = b.raw(found(1)).compactMap { if case .check(let j, let t, _, let c) = $0 { (j, t, c) } else { nil } }
        #expect(first.count == 1 && first[0].2 == 10)
        #expect(!b.send(found(2)).contains { $0.hasPrefix("check") })
        let next = b.send(.checked(first[0].0, good: [Bool](repeating: true, count: 10), nil))
        #expect(next.contains("ready 0+10") && next.contains("check 0+10"))
    }

    @Test func theQueueIsBounded() {
        let layout = FileLayout(files: [LayoutFile(path: "t", length: 4096 << 20)], pieceLength: 4 << 20)!
        var core = DiskCore(), effects: [DiskEffect] = [], inWrite = 0
        let id = TorrentID(rawValue: 1), now = Instant(nanoseconds: 1)
        core.handle(.replayEnd, now: now, into: &effects)
        core.handle(.add(id, TorrentSpec(metainfoPath: "", savePath: "")), now: now, into: &effects)
        core.handle(
            .opened(id, .success(TorrentFound(layout: layout, volume: 1, sizes: [-1], withData: Bitfield(count: 1024), zeros: Bitfield(count: 1024)))), now: now,
            into: &effects)
        for p in 0..<1000 {
            effects = []
            core.handle(.store(StoreRequest(torrent: id, piece: UInt32(p), run: RunID(shard: 0, first: SlotIndex(p * 256)), length: 4 << 20)), now: now, into: &effects)
            for case .hash(let job, _) in effects {
                var more: [DiskEffect] = []
                core.handle(.hashed(job, matches: true), now: now, into: &more)
                inWrite += more.count { if case .write = $0 { true } else { false } }
            }
        }
        #expect(inWrite == 16, "64 MiB of 4 MiB pieces")
        #expect(core.admission.bytesInFlight <= 64 << 20)
    }

    @Test func removalWaitsForWhatIsInFlight() {
        var b = Bench()
        b.makeReady()
        let job = b.job(.store(b.request(3)))
        #expect(b.send(.remove(Bench.id, deleteData: true)) == ["unready removed"])
        #expect(b.send(.store(b.request(4))) == ["failed 4 unready"])
        #expect(b.send(.hashed(job, matches: false)) == ["failed 3 hashMismatch", "deleteFiles"])
        #expect(b.send(.deleted(Bench.id, nil)) == ["forget", "removed "])
        #expect(b.core.report(Bench.id) == nil && b.core.isIdle)
    }

    @Test func moveKeepsWhatIsKnown() {
        var b = Bench()
        b.makeReady()
        _ = b.download(1)
        #expect(b.send(.move(Bench.id, savePath: "/n")).prefix(2) == ["unready checking", "moveFiles /n"])
        b.core.setPlace(Bench.id, "/n", FileNames())
        let said = b.send(.moved(Bench.id, nil))
        #expect(said.contains("moved /n ") && said.contains("open scan"))
        #expect(b.send(b.found(Bench.full, data: [1])).contains("ready 1"))
    }

    /// Both processes died while files were moved: they are found where they are gone to.
    @Test(arguments: [[-1, -1], [70_000, 93_840], [-1, 93_840]] as [[Int64]]) func aMoveThatWasInterruptedGoesOn(_ sizes: [Int64]) {
        var b = Bench()
        b.send(.shardOpened(0))
        b.send(.claimsEnd(0))
        b.send(.replayEnd)
        b.send(.add(Bench.id, TorrentSpec(metainfoPath: "/m", savePath: "/s", durable: Bench.wire([0, 1, 9]))))
        #expect(b.send(.move(Bench.id, savePath: "/n", FileNames(suffix: ".x"))) == [])
        #expect(b.send(b.found(sizes)).contains("moveFiles /n"))
        b.core.setPlace(Bench.id, "/n", FileNames(suffix: ".x"))
        #expect(b.send(.moved(Bench.id, nil)).contains("moved /n "))
        // What was missing in between is hashed again rather than believed.
        #expect(b.send(b.found(Bench.full)).contains(sizes.contains(-1) ? "check 0+10" : "ready 0+2 9"))
    }

    @Test(arguments: [("t/a", "u/a.x"), ("t/b", "u/c/b.x"), ("tt", "tt.x"), ("t", "t.x"), ("ü/é", "é.x")]) func namesOnDisk(_ path: String, _ result: String) {
        let names = FileNames(renames: [.init(from: "t", to: "u"), .init(from: "u/b", to: "u/c/b"), .init(from: "ü", to: ""), .init(from: "u", to: "t")].dropLast(), suffix: ".x")
        #expect(names.path(path) == (path == "t" ? "u.x" : result))
    }

    @Test func aSessionsReplayIsAnsweredWithTheNewerTruth() {
        var b = Bench()
        b.makeReady()
        _ = b.download(1)
        _ = b.wait(.seconds(6))
        _ = b.send(.synced(Bench.id, nil))
        b.send(.sessionOpened)
        #expect(b.send(.add(Bench.id, TorrentSpec(metainfoPath: "/m", savePath: "/s"))).first == "durable 1")
        #expect(b.send(.replayEnd) == [])
        // A torrent that the session names no more is forgotten, its files stay.
        b.send(.sessionOpened)
        #expect(b.send(.replayEnd) == ["unready removed", "close", "forget", "removed "])
    }

    @Test func pauseSyncsAndCloses() {
        var b = Bench()
        b.makeReady()
        _ = b.download(1)
        #expect(b.send(.pause(Bench.id, true)).prefix(2) == ["unready paused", "sync"])
        #expect(b.wait(.seconds(6)).contains("sync") == false)
        let said = b.send(.synced(Bench.id, nil))
        #expect(said.contains("durable 1") && said.contains("close"))
        #expect(b.send(.pause(Bench.id, false)).contains("ready 1"))
    }

    @Test func drainEndsWorkThenSyncs() {
        var b = Bench()
        b.makeReady()
        _ = b.download(1)
        let job = b.job(.store(b.request(2)))
        #expect(b.send(.drain) == [])
        #expect(b.send(.store(b.request(3))) == [], "asked again of the next worker")
        #expect(b.send(.hashed(job, matches: true)) == ["verified 2", "write 2"])
        #expect(b.send(.written(job, nil)).contains("sync"))
        let end = b.send(.synced(Bench.id, nil))
        #expect(end.contains("durable 1+2") && end.last == "drained")
        #expect(b.core.durable(Bench.id)!.setCount == 2)
    }

    /// Random events in any order: nothing traps, nothing is answered twice, durable ⊆ have.
    @Test func randomOrderKeepsTheInvariants() {
        var random = SeededRandom(seed: 99)
        for _ in 0..<300 {
            var b = Bench()
            var open: [DiskEffect] = [], owed = 0
            func note(_ effects: [DiskEffect]) {
                for e in effects {
                    switch e {
                    case .stored, .storeFailed, .readDone: owed -= 1
                    case .open, .hash, .write, .readFile, .check, .sync, .finish, .probe, .moveFiles, .deleteFiles: open.append(e)
                    default: break
                    }
                }
            }
            func fault() -> DiskFault? {
                random.chance(0.15) ? DiskFault([.io, .full, .missing, .changed, .permission, .busy].randomElement(using: &random)!, "f") : nil
            }
            note(b.raw(.shardOpened(0)))
            var used = Set<UInt32>()
            for _ in 0..<120 {
                b.now += .milliseconds(random.below(2000))
                switch random.below(14) {
                case 0: note(b.raw(.add(Bench.id, TorrentSpec(metainfoPath: "/m", savePath: "/s", unclean: random.chance(0.5)))))
                case 1: note(b.raw(random.chance(0.5) ? .replayEnd : .claimsEnd(0)))
                case 2 where random.chance(0.2): note(b.raw(.recheck(Bench.id)))
                case 3 where random.chance(0.1): note(b.raw(.remove(Bench.id, deleteData: random.chance(0.5))))
                case 4 where random.chance(0.2): note(b.raw(.move(Bench.id, savePath: "/n")))
                case 5 where random.chance(0.2): note(b.raw(.pause(Bench.id, random.chance(0.5))))
                case 6, 7:
                    let slot = UInt32(random.below(40))
                    guard used.insert(slot).inserted else { continue }
                    owed += 1
                    note(b.raw(.store(b.request(UInt32(random.below(10)), slot: slot))))
                case 8:
                    owed += 1
                    note(b.raw(.read(b.readRequest(UInt32(random.below(10))))))
                case 9 where random.chance(0.1): note(b.raw(.fileChanged(Bench.id, DiskFault(random.chance(0.5) ? .changed : .missing, "f"))))
                case 10: note(b.raw(.tick))
                default:
                    guard !open.isEmpty else { continue }
                    note(answer(b.text, open.remove(at: random.below(open.count)), &b, fault(), &random))
                }
                if let have = b.core.have(Bench.id), let durable = b.core.durable(Bench.id), have.count == durable.count,
                    b.core.rowOf[Bench.id].map({ b.core[row: $0].phase == .ready }) ?? false
                {
                    #expect(durable.subtracting(have).isEmpty)
                }
                #expect(owed >= 0)
            }
            // All that is open is answered without faults: everything owed is paid.
            note(b.raw(.replayEnd))
            note(b.raw(.claimsEnd(0)))
            for _ in 0..<2000 {
                if let next = open.popLast() {
                    note(answer(b.text, next, &b, nil, &random))
                } else if owed > 0 {
                    b.now += .seconds(31)
                    note(b.raw(.tick))
                } else {
                    break
                }
            }
            #expect(owed == 0 && b.core.jobCount == 0)
        }
    }

    private func answer(_ text: (DiskEffect) -> String, _ e: DiskEffect, _ b: inout Bench, _ fault: DiskFault?, _ random: inout SeededRandom) -> [DiskEffect] {
        switch e {
        case .open(let id, _, _, _):
            if let fault { return b.raw(.opened(id, .failure(fault))) }
            return b.raw(b.found(random.chance(0.8) ? Bench.full : [70_000, -1], data: [1, 2, 3]))
        case .hash(let j, _): return b.raw(.hashed(j, matches: fault == nil))
        case .write(let j, _): return b.raw(.written(j, fault))
        case .readFile(let j, _): return b.raw(.readEnded(j, fault))
        case .check(let j, _, _, let n): return b.raw(.checked(j, good: (0..<n).map { _ in random.chance(0.7) }, fault))
        case .sync(let id, _): return b.raw(.synced(id, fault))
        case .finish(let id): return b.raw(.finished(id, fault))
        case .probe(let v, _): return b.raw(.probed(volume: v, fault))
        case .moveFiles(let id, _, _): return b.raw(.moved(id, fault))
        case .deleteFiles(let id): return b.raw(.deleted(id, fault))
        default: return []
        }
    }
}
