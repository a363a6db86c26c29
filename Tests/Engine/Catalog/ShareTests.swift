import Primitives
import Testing

@testable import Catalog

/// Share limits, times and the order of the queue.
@Suite struct ShareTests {
    struct Case: Sendable {
        var own = ShareLimits()
        var rules = ShareLimits(ratio: -1, seeding: -1, inactive: -1, action: .stop)
        /// Bytes of a content of 147,556 that were downloaded in full.
        var uploaded: UInt64 = 0
        var seconds: Int = 0
        let reached: Bool
    }

    @Test(arguments: [
        Case(uploaded: .max / 4, seconds: 1_000_000, reached: false),
        Case(own: ShareLimits(ratio: 2000, seeding: -2, inactive: -2, action: .standard), uploaded: 147_556 * 2, reached: true),
        Case(own: ShareLimits(ratio: 2000, seeding: -2, inactive: -2, action: .standard), uploaded: 147_556 * 2 - 300, reached: false),
        Case(rules: ShareLimits(ratio: 1000, seeding: -1, inactive: -1, action: .stop), uploaded: 147_556, reached: true),
        Case(own: ShareLimits(ratio: -1, seeding: -2, inactive: -2, action: .standard), rules: ShareLimits(ratio: 1000, seeding: -1, inactive: -1, action: .stop), uploaded: 1 << 40, reached: false),
        Case(own: ShareLimits(ratio: -2, seeding: 60, inactive: -2, action: .standard), seconds: 61, reached: true),
        Case(own: ShareLimits(ratio: -2, seeding: 60, inactive: -2, action: .standard), seconds: 58, reached: false),
        Case(rules: ShareLimits(ratio: -1, seeding: -1, inactive: 100, action: .stop), seconds: 101, reached: true),
        Case(own: ShareLimits(ratio: 0, seeding: -1, inactive: -1, action: .standard), reached: true),
    ]) func limits(_ c: Case) {
        for action in [ShareAction.stop, .remove, .removeWithData, .superSeeding] {
            var rules = CatalogRules()
            rules.share = c.rules
            rules.share.action = action
            var f = Fixture(CatalogConfiguration(rules: rules))
            _ = f.open(.disk(0))
            _ = f.open(.peer(0))
            let id = f.add(Fixture.facts(1))
            f.command(
                .edit(
                    [id],
                    EditTests.edit {
                        ($0.ratio, $0.seeding, $0.inactive) = (c.own.ratio, c.own.seeding, c.own.inactive)
                    }))
            f.send(.disk(id, DiskReport(.ready, piecesHave: Fixture.pieceCount, bytesHave: 147_556)))
            var effects = f.send(
                .peers(shard: 0, Generation(rawValue: 1), [PeerReport(torrent: id, counters: TransferCounters(downloaded: 147_556, uploaded: c.uploaded))]))
            for _ in 0..<max(c.seconds, 2) where f.core.row(id) != nil && c.seconds < 1000 {
                f.wait(.seconds(1))
                effects += f.turn()
            }
            let row = f.core.row(id)
            switch action {
            case .stop, .standard: #expect(row!.record.isPaused == c.reached, "\(c)")
            case .superSeeding: #expect(row!.record.options.isSuperSeeding == c.reached && !row!.record.isPaused, "\(c)")
            case .remove: #expect((row == nil) == c.reached && (f.stored[id.rawValue] == nil) == c.reached, "\(c)")
            case .removeWithData:
                #expect((row!.record.removal == .deletingData) == c.reached, "\(c)")
                #expect(effects.contains(.diskRemove(0, id, deleteData: true)) == c.reached)
            }
            #expect(effects.contains { if case .note = $0 { true } else { false } } == c.reached)
        }
    }

    /// Times run with what they name, and survive what is stored.
    @Test func times() {
        var f = Fixture()
        _ = f.open(.disk(0))
        let id = f.add(Fixture.facts(1))
        f.send(.disk(id, DiskReport(.ready, piecesHave: 1)))
        for _ in 0..<10 {
            f.wait(.seconds(1))
            f.turn()
        }
        f.send(.disk(id, DiskReport(.ready, piecesHave: Fixture.pieceCount)))
        f.wait(.seconds(5))
        f.command(.pause(id))
        f.wait(.seconds(100))
        f.turn()
        let row = f.core.row(id)!
        #expect(row.activeMilliseconds(f.now) / 1000 == 15 && row.seedingMilliseconds(f.now) / 1000 == 5)
        f.command(.resume(id))
        f.wait(.seconds(3))
        #expect(f.core.row(id)!.seedingMilliseconds(f.now) / 1000 == 8, "seen before it is stored")
        for _ in 0..<20 {
            f.wait(.minutes(1))
            f.turn()
        }
        #expect(f.stored[id.rawValue]!.activity.seedingMilliseconds >= 600_000, "stored while it runs")
    }

    @Test func payloadEndsIdleness() {
        var f = Fixture()
        _ = f.open(.disk(0))
        _ = f.open(.peer(0))
        let id = f.add(Fixture.facts(1))
        f.send(.disk(id, DiskReport(.ready, piecesHave: Fixture.pieceCount)))
        f.wait(.seconds(30))
        f.turn()
        #expect(f.core.row(id)!.idleMilliseconds(f.now) == 30_000)
        f.send(.peers(shard: 0, Generation(rawValue: 1), [PeerReport(torrent: id, counters: TransferCounters(uploaded: 5))]))
        f.wait(.seconds(2))
        #expect(f.core.row(id)!.idleMilliseconds(f.now) == 2000)
        #expect(f.core.row(id)!.record.activity.lastActivity == f.core.wallSeconds)
    }

    struct OrderCase: Sendable {
        let place: QueuePlace, moved: [Int], result: [Int]
    }
    @Test(arguments: [
        OrderCase(place: .top, moved: [3], result: [3, 1, 2, 4, 5]), OrderCase(place: .top, moved: [5, 3], result: [3, 5, 1, 2, 4]),
        OrderCase(place: .bottom, moved: [1, 2], result: [3, 4, 5, 1, 2]), OrderCase(place: .up, moved: [3], result: [1, 3, 2, 4, 5]),
        OrderCase(place: .up, moved: [1, 2], result: [1, 2, 3, 4, 5]), OrderCase(place: .up, moved: [2, 3], result: [2, 3, 1, 4, 5]),
        OrderCase(place: .down, moved: [3], result: [1, 2, 4, 3, 5]), OrderCase(place: .down, moved: [4, 5], result: [1, 2, 3, 4, 5]),
        OrderCase(place: .down, moved: [1, 3], result: [2, 1, 4, 3, 5]), OrderCase(place: .down, moved: [], result: [1, 2, 3, 4, 5]),
    ]) func order(_ c: OrderCase) {
        // Ranks that are all the same are those of a store from before there were any.
        for isOld in [false, true] {
            let records = (1...5).map { n -> (TorrentRecord, Bitfield?) in
                var r = TorrentRecord(id: TorrentID(rawValue: UInt32(n)), facts: Fixture.facts(n), savePath: "/d", addedAt: 0)
                r.options.rank = isOld ? 0 : Int64(n)
                return (r, nil)
            }
            var f = Fixture(records: records)
            #expect(f.command(.queue(c.moved.map { TorrentID(rawValue: UInt32($0)) }, c.place)).answers == [nil])
            func positions(_ f: Fixture) -> [Int] {
                (1...5).sorted { f.core.queuePosition(f.core.row(TorrentID(rawValue: UInt32($0)))!) < f.core.queuePosition(f.core.row(TorrentID(rawValue: UInt32($1)))!) }
            }
            #expect(positions(f) == c.result)
            f.wait(.seconds(2))
            f.turn()
            let again = Fixture(records: records.map { (f.stored[$0.0.id.rawValue] ?? $0.0, nil) })
            #expect(positions(again) == c.result, "the order is what the store says")
        }
    }

    @Test func theQueueFollowsTheOrder() {
        var f = Fixture(CatalogConfiguration(rules: CatalogRules(queue: QueueLimits(downloading: 1))))
        _ = f.open(.disk(0))
        let ids = (1...3).map { f.add(Fixture.facts($0)) }
        for id in ids { f.send(.disk(id, DiskReport(.ready))) }
        f.turn()
        func running() -> [Bool] { ids.map { !f.core.row($0)!.isHeld } }
        #expect(running() == [true, false, false])
        f.command(.queue([ids[2]], .top))
        #expect(running() == [false, false, true])
        f.command(.edit([ids[1]], EditTests.edit { $0.isForced = true }))
        #expect(running() == [false, true, true], "forced beside the limit")
        f.send(.disk(ids[2], DiskReport(.ready, piecesHave: Fixture.pieceCount)))
        f.turn()
        #expect(running() == [true, true, true])
        #expect(ids.map { f.core.queuePosition(f.core.row($0)!) } == [1, 2, 0])
        var rules = CatalogRules()
        rules.queue.isManaged = false
        f.send(.rules(rules))
        #expect(f.command(.queue([ids[0]], .up)).answers == [.conflict("queue.auto_manage_queue is off")])
    }

    @Test func slowTorrentsTakeNoPlace() {
        var limits = QueueLimits(downloading: 1)
        limits.ignoresSlow = true
        var f = Fixture(CatalogConfiguration(rules: CatalogRules(queue: limits)))
        _ = f.open(.disk(0))
        _ = f.open(.peer(0))
        let ids = (1...2).map { f.add(Fixture.facts($0)) }
        for id in ids { f.send(.disk(id, DiskReport(.ready))) }
        f.send(.peers(shard: 0, Generation(rawValue: 1), [PeerReport(torrent: ids[0], counters: TransferCounters(downloaded: 1), downRate: 5000)]))
        f.turn()
        #expect(f.core.row(ids[1])!.isHeld)
        f.send(.peers(shard: 0, Generation(rawValue: 1), [PeerReport(torrent: ids[0], counters: TransferCounters(downloaded: 2), downRate: 100)]))
        for second in 1...62 {
            f.wait(.seconds(1))
            f.turn()
            if second == 30 { #expect(f.core.row(ids[1])!.isHeld, "not yet") }
        }
        #expect(!f.core.row(ids[1])!.isHeld)
    }

    /// One change at 50,000 torrents costs what it costs at 500.
    @Test func costAtFiftyThousand() {
        func cost(_ count: Int) -> Double {
            let records = (1...count).map { n -> (TorrentRecord, Bitfield?) in
                var facts = Fixture.facts(1)
                var bytes = [UInt8](repeating: 0, count: 20)
                for b in 0..<4 { bytes[b] = UInt8(truncatingIfNeeded: n >> (8 * b)) }
                facts.infoHash = InfoHash(bytes)!
                facts.rootName = "t\(n)"
                var r = TorrentRecord(id: TorrentID(rawValue: UInt32(n)), facts: facts, savePath: "/d", addedAt: 0)
                r.options.rank = Int64(n)
                return (r, nil)
            }
            var core = CatalogCore(configuration: CatalogConfiguration(), records: records, nextID: 1), effects: [CatalogEffect] = []
            var now = Instant(nanoseconds: 1), best = Double.infinity
            _ = core.turn(now: now, into: &effects)
            for round in 0..<5 {
                let clock = ContinuousClock(), start = clock.now
                for n in 0..<200 {
                    now += .milliseconds(5)
                    let id = TorrentID(rawValue: UInt32(1 + (n * 7919 + round) % count))
                    core.handle(.command(token: 1, .edit([id], EditTests.edit { $0.comment = "c\(n)" })), now: now, into: &effects)
                    core.handle(.disk(id, DiskReport(.ready, piecesHave: UInt32(n % 10))), now: now, into: &effects)
                    core.handle(.peers(shard: 0, Generation(rawValue: 1), [PeerReport(torrent: id, counters: TransferCounters(uploaded: UInt64(n)))]), now: now, into: &effects)
                    _ = core.turn(now: now, into: &effects)
                    if core.takeBatch(now: now) != nil { core.handle(.committed, now: now, into: &effects) }
                    effects.removeAll()
                }
                let spent = clock.now - start
                best = min(best, Double(spent.components.attoseconds) / 1e18 + Double(spent.components.seconds))
            }
            return best
        }
        let small = cost(500), large = cost(50_000)
        #expect(large < small * 8 + 0.02, "\(small) s against \(large) s for 200 rounds")
    }
}
