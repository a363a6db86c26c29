import Primitives
import Testing

@testable import Catalog

/// Aim: what front ends and workers are told follows from what was stored and reported, and from nothing else.
@Suite struct CatalogTests {
    // MARK: the life of one torrent

    @Test func nothingIsSaidOrSentBeforeTheCommit() {
        var f = Fixture()
        f.openAll()
        let before = f.send(.command(token: 7, .add(NewTorrent(facts: Fixture.facts(1), savePath: "/d"))))
        #expect(before.isEmpty)
        #expect(f.core.count == 0)
        let after = f.turn()
        #expect(after.first.map { if case .diskAdd = $0 { true } else { false } } == true)
        #expect(after.answers == [nil])
        #expect(f.core.count == 1)
        #expect(f.stored.count == 1)
    }

    @Test func aFailedCommitLeavesNoTrace() {
        var f = Fixture()
        f.openAll()
        let id = f.add(Fixture.facts(1))
        f.send(.command(token: 8, .add(NewTorrent(facts: Fixture.facts(2), savePath: "/d"))))
        f.send(.command(token: 9, .pause(id)))
        let effects = f.turn(fail: "disk full")
        #expect(
            effects == [
                .answer(token: 8, TorrentID(rawValue: 0), .storage("disk full")), .answer(token: 9, id, .storage("disk full")),
            ])
        #expect(f.core.count == 1 && f.core.row(id)!.record.isPaused == false)
        // The way is free again after the pause.
        f.wait(CatalogLimits.storeRetry)
        #expect(f.command(.add(NewTorrent(facts: Fixture.facts(2), savePath: "/d"))).answers == [nil])
    }

    @Test func downloadRunsToItsEndAndSaysCompletedOnce() {
        var f = Fixture()
        f.openAll()
        let id = f.add(Fixture.facts(1))
        #expect(f.phase(id) == .waiting)
        f.disk(id, .checking)
        #expect(f.phase(id) == .checking)
        // The first announce waits for the check and knows what is left.
        let ready = f.disk(id, .ready, have: 3)
        #expect(f.phase(id) == .downloading)
        let left = UInt64(Fixture.pieceCount - 1) * 16384 + 100 - 3 * 16384
        #expect(ready.contains(.discoveryCounters([DiscoveryTotals(torrent: id, downloaded: 0, uploaded: 0, left: left)])))
        f.wait(.seconds(1))
        f.turn()
        let done = f.disk(id, .ready, have: 10)
        #expect(f.phase(id) == .seeding)
        #expect(!done.contains(.discoveryCompleted(id)), "only after its time is stored")
        f.wait(.seconds(1))
        #expect(f.turn().filter { $0 == .discoveryCompleted(id) }.count == 1)
        #expect(f.stored[id.rawValue]!.completedAt == 1_700_000_000)
        // A recheck finds a hole and mends it: no second event, the same time.
        f.core.wallSeconds += 100
        f.disk(id, .ready, have: 9)
        #expect(f.phase(id) == .downloading)
        f.disk(id, .ready, have: 10)
        f.wait(.seconds(1))
        #expect(!f.turn().contains(.discoveryCompleted(id)))
        #expect(f.core.row(id)!.record.completedAt == 1_700_000_000)
    }

    @Test func aTorrentAddedWholeIsNoCompletedDownload() {
        var f = Fixture()
        f.openAll()
        let id = f.add(Fixture.facts(1))
        f.disk(id, .ready, have: 10)
        f.wait(.seconds(2))
        #expect(!f.turn().contains(.discoveryCompleted(id)))
        #expect(f.phase(id) == .seeding)
        #expect(f.stored[id.rawValue]!.completedAt != 0)
    }

    @Test func completionReachesADiscoveryWorkerThatWasAway() {
        var f = Fixture()
        f.openAll()
        let id = f.add(Fixture.facts(1))
        f.disk(id, .ready, have: 3)
        f.send(.tracker(id, TrackerReport(tier: 0, url: "http://t/a", state: 2, startedSent: true)))
        f.send(.linkClosed(.discovery))
        f.disk(id, .ready, have: 10)
        f.wait(.seconds(1))
        #expect(!f.turn().contains(.discoveryCompleted(id)))
        // Only the tracker that knows of the download hears of its end.
        #expect(f.open(.discovery, 2).contains(.discoveryCompletedAgain(id, ["http://t/a"])))
    }

    // MARK: phases

    struct PhaseCase: Sendable, CustomTestStringConvertible {
        var condition: DiskReport.Condition?
        var have: UInt32 = 0
        var paused = false, held = false, metadata = true, fault = false
        var expected: TorrentPhase
        var testDescription: String { "\(condition.map { "\($0)" } ?? "away") have \(have) paused \(paused) held \(held) metadata \(metadata)" }
    }
    static let phases: [PhaseCase] = [
        PhaseCase(condition: nil, expected: .waiting),
        PhaseCase(condition: .queued, expected: .waiting),
        PhaseCase(condition: .moving, have: 10, expected: .waiting),
        PhaseCase(condition: .checking, expected: .checking),
        PhaseCase(condition: .checking, paused: true, expected: .checking),
        PhaseCase(condition: .ready, have: 4, expected: .downloading),
        PhaseCase(condition: .ready, have: 10, expected: .seeding),
        PhaseCase(condition: .ready, have: 4, paused: true, expected: .paused),
        PhaseCase(condition: .ready, have: 10, paused: true, expected: .completed),
        PhaseCase(condition: .paused, have: 10, paused: true, expected: .completed),
        PhaseCase(condition: .ready, have: 4, held: true, expected: .queued),
        PhaseCase(condition: .ready, have: 10, held: true, expected: .queued),
        PhaseCase(condition: .error, have: 4, expected: .error),
        PhaseCase(condition: .error, have: 4, paused: true, expected: .error),
        PhaseCase(condition: .missing, have: 10, expected: .error),
        PhaseCase(condition: nil, metadata: false, expected: .metadata),
        PhaseCase(condition: nil, paused: true, metadata: false, expected: .paused),
        PhaseCase(condition: nil, held: true, metadata: false, expected: .queued),
        PhaseCase(condition: nil, paused: true, expected: .paused),
        PhaseCase(condition: .ready, have: 10, fault: true, expected: .error),
    ]
    @Test(arguments: phases) func phase(_ c: PhaseCase) {
        var record = TorrentRecord(id: TorrentID(rawValue: 1), facts: Fixture.facts(1, metadata: c.metadata), savePath: "/d", addedAt: 0)
        record.isPaused = c.paused
        var row = CatalogRow(record, durable: nil)
        row.isHeld = c.held
        if c.fault { row.fault = "x" }
        if let condition = c.condition {
            row.disk = DiskReport(condition, piecesHave: c.have)
            row.isDiskKnown = true
        }
        #expect(row.derivedPhase == c.expected)
    }

    @Test func countsByPhaseFollowEveryChange() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1)), b = f.add(Fixture.facts(2)), c = f.add(Fixture.facts(3, metadata: false))
        f.disk(a, .ready, have: 10)
        f.disk(b, .error, message: "no space")
        f.command(.pause(a))
        var counted = [Int](repeating: 0, count: TorrentPhase.allCases.count)
        f.core.forEach { counted[Int($0.phase.rawValue)] += 1 }
        #expect(f.core.phaseCounts == counted)
        for id in [a, b, c] { f.command(.remove(id, deleteData: false)) }
        #expect(f.core.phaseCounts.allSatisfy { $0 == 0 })
        #expect(f.core.count == 0)
    }

    // MARK: counters

    @Test func countersAreMonotonicOverShardGenerations() {
        var f = Fixture()
        f.openAll()
        let id = f.add(Fixture.facts(1))
        var last: UInt64 = 0
        func total() -> UInt64 { f.core.row(id)!.record.counters.total.downloaded }
        for (generation, value, expected) in [(1, 100, 100), (1, 250, 250), (2, 0, 250), (2, 40, 290), (3, 7, 297), (3, 7, 297), (4, 1000, 1297)] as [(UInt32, UInt64, UInt64)] {
            f.peers(id, generation: generation, value)
            #expect(total() == expected)
            #expect(total() >= last)
            last = total()
        }
    }

    @Test(arguments: [true, false]) func countersSurviveASessionRestart(_ sameRun: Bool) {
        var f = Fixture()
        f.openAll()
        let id = f.add(Fixture.facts(1))
        f.peers(id, generation: 2, 500, 50)
        f.wait(CatalogLimits.countersDelay)
        f.turn()
        // The shard counts on while the session is away; only in the same run is it the same shard.
        var g = f.reopened(sameRun: sameRun)
        #expect(g.core.row(id)!.record.counters.total == TransferCounters(downloaded: 500, uploaded: 50))
        g.peers(id, generation: 2, sameRun ? 700 : 200, sameRun ? 60 : 10)
        #expect(g.core.row(id)!.record.counters.total == TransferCounters(downloaded: 700, uploaded: 60))
    }

    @Test func countersAreWrittenEveryTenSeconds() {
        var f = Fixture()
        f.openAll()
        let id = f.add(Fixture.facts(1))
        f.peers(id, generation: 1, 5)
        f.wait(.seconds(9))
        f.turn()
        #expect(f.stored[id.rawValue]!.counters.total.downloaded == 0)
        f.wait(.seconds(1))
        f.turn()
        #expect(f.stored[id.rawValue]!.counters.total.downloaded == 5)
    }

    // MARK: durable pieces

    @Test func durableIsAcknowledgedAfterItsCommitOnly() {
        var f = Fixture()
        f.openAll()
        let id = f.add(Fixture.facts(1))
        f.disk(id, .ready, have: 2)
        f.wait(.seconds(2))
        f.turn()
        #expect(f.send(.durable(id, runs: [(0, 2)], device: 0, correlation: 11)).isEmpty)
        #expect(f.turn().isEmpty, "batched for a second")
        f.wait(.seconds(1))
        #expect(f.turn(fail: "full").isEmpty)
        f.wait(CatalogLimits.storeRetry)
        #expect(f.turn() == [.durableStored(0, id, correlation: 11)])
        #expect(f.durable[id.rawValue] == [0b1100_0000, 0])
        f.send(.undurable(id, runs: [(1, 1)]))
        f.wait(.seconds(1))
        f.turn()
        #expect(f.durable[id.rawValue] == [0b1000_0000, 0])
    }

    @Test func acknowledgementsOfADeadDiskWorkerAreDropped() {
        var f = Fixture()
        f.openAll()
        let id = f.add(Fixture.facts(1))
        f.send(.durable(id, runs: [(0, 1)], device: 0, correlation: 5))
        f.send(.linkClosed(.disk(0)))
        _ = f.open(.disk(0), 2)
        f.wait(.seconds(1))
        #expect(!f.turn().contains(.durableStored(0, id, correlation: 5)))
        #expect(f.durable[id.rawValue]?.first == 0b1000_0000)
    }

    @Test func settledMeansThatNothingWouldBeLost() {
        var f = Fixture()
        f.openAll()
        let id = f.add(Fixture.facts(1))
        f.disk(id, .ready, have: 2)
        f.wait(.seconds(1))
        f.turn()
        #expect(!f.core.isSettled)
        f.send(.durable(id, runs: [(4, 2)], device: 0, correlation: 1))
        #expect(!f.core.isSettled)
        f.send(.draining)
        f.turn()
        #expect(f.core.isSettled)
    }
}
