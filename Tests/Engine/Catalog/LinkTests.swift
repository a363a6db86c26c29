import Primitives
import Testing

@testable import Catalog

/// Aim: a worker that starts empty is told the whole catalogue once and each change once, whenever it comes.
@Suite struct CatalogLinkTests {
    /// What a worker would hold after the effects: flags by torrent.
    static func held(_ effects: [CatalogEffect], by link: CatalogLink) -> [TorrentID: WorkerFlags] {
        var out: [TorrentID: WorkerFlags] = [:]
        for effect in effects {
            switch (effect, link) {
            case (.peerAdd(let e), .peer): out[e.torrent] = e.flags
            case (.peerFlags(_, let id, let flags), .peer): out[id] = flags
            case (.peerRemove(_, let id), .peer): out[id] = nil
            case (.diskAdd(let e), .disk): out[e.torrent] = e.flags
            case (.diskFlags(_, let id, let flags), .disk): out[id] = flags
            case (.diskRemove(_, let id, _), .disk): out[id] = nil
            case (.discoveryAdd(let e), .discovery): out[e.torrent] = e.flags
            case (.discoveryFlags(let id, let flags), .discovery): out[id] = flags
            case (.discoveryRemove(let id), .discovery): out[id] = nil
            default: break
            }
        }
        return out
    }

    /// A worker that followed from the start and one that starts now hold the same.
    @Test(arguments: [CatalogLink.peer(0), .disk(0), .discovery]) func replayEqualsFollowing(_ link: CatalogLink) {
        var f = Fixture()
        var all: [CatalogEffect] = []
        for l in [CatalogLink.disk(0), .peer(0), .discovery] { all += f.open(l) }
        var random = SeededRandom(seed: 4)
        var ids: [TorrentID] = []
        for n in 0..<400 {
            f.token += 1
            let victim = ids.isEmpty ? nil : ids[random.below(ids.count)]
            switch random.below(8) {
            case 0, 1: all += f.send(.command(token: f.token, .add(NewTorrent(facts: Fixture.facts(n), savePath: "/d", isPaused: random.chance(0.3)))))
            case 2: if let victim { all += f.send(.command(token: f.token, .pause(victim))) }
            case 3: if let victim { all += f.send(.command(token: f.token, .resume(victim))) }
            case 4: if let victim { all += f.disk(victim, .ready, have: UInt32(random.below(11))) }
            case 5: if let victim, random.chance(0.3) { all += f.send(.command(token: f.token, .remove(victim, deleteData: false))) }
            case 6: all += f.turn(fail: random.chance(0.2) ? "full" : nil)
            default: f.wait(.milliseconds(700))
            }
            ids = []
            f.core.forEach { ids.append($0.record.id) }
        }
        f.wait(.seconds(10))
        all += f.turn()
        let followed = Self.held(all, by: link)
        f.send(.linkClosed(link))
        let replayed = Self.held(f.open(link, 2), by: link)
        #expect(followed.count > 5)
        #expect(replayed == followed)
    }

    /// Changes during a replay reach the worker once: by the replay for those ahead, as a change for those behind.
    @Test func changesDuringAReplay() {
        var f = Fixture()
        let ids = (1...6).map { f.add(Fixture.facts($0)) }
        f.send(.linkOpened(.peer(0), Generation(rawValue: 1)))
        var effects: [CatalogEffect] = []
        #expect(!f.core.replay(.peer(0), budget: 3, into: &effects))
        #expect(effects.count == 3)
        let behind = f.command(.pause(ids[1])).filter { if case .peerFlags = $0 { true } else { false } }
        #expect(behind.count == 1)
        let ahead = f.command(.pause(ids[4])).filter { if case .peerFlags = $0 { true } else { false } }
        #expect(ahead.isEmpty)
        f.command(.remove(ids[5], deleteData: false))
        let late = f.add(Fixture.facts(7))
        effects = []
        while !f.core.replay(.peer(0), budget: 3, into: &effects) {}
        let adds = effects.compactMap { if case .peerAdd(let e) = $0 { e } else { nil } }
        #expect(adds.map(\.torrent) == [ids[3], ids[4], late])
        #expect(adds[1].flags.contains(.paused))
        #expect(effects.last == .peerReplayEnd(0))
    }

    @Test func durablePiecesGoToANewDiskWorker() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1)), b = f.add(Fixture.facts(2))
        f.disk(a, .ready, have: 2)
        f.send(.durable(a, runs: [(0, 2)], device: 0, correlation: 1))
        f.send(.linkClosed(.disk(0)))
        #expect(f.phase(a) == .waiting)
        let entries = f.open(.disk(0), 2).compactMap { if case .diskAdd(let e) = $0 { e } else { nil } }
        #expect(entries.map(\.durable) == [[0b1100_0000, 0], []], "empty: never looked at")
        #expect(entries.map { $0.flags.contains(.unclean) } == [false, false], "the shards say what its predecessor had written")
        #expect(f.core.row(b)!.record.isChecked == false)
    }

    struct UncleanCase: Sendable {
        let configured: Bool, shardDied: Bool, first: Bool, second: Bool
    }
    @Test(arguments: [
        UncleanCase(configured: false, shardDied: false, first: false, second: false),
        UncleanCase(configured: true, shardDied: false, first: true, second: false),
        UncleanCase(configured: false, shardDied: true, first: false, second: true),
    ]) func whoMustHashAgain(_ c: UncleanCase) {
        var record = TorrentRecord(id: TorrentID(rawValue: 1), facts: Fixture.facts(1), savePath: "/d", addedAt: 0)
        record.isChecked = true
        var f = Fixture(CatalogConfiguration(isUnclean: c.configured), records: [(record, nil)])
        _ = f.open(.peer(0), 1)
        func unclean(_ effects: [CatalogEffect]) -> Bool? {
            for case .diskAdd(let e) in effects { return e.flags.contains(.unclean) }
            return nil
        }
        #expect(unclean(f.open(.disk(0), 1)) == c.first)
        f.send(.linkClosed(.disk(0)))
        if c.shardDied {
            f.send(.linkClosed(.peer(0)))
            _ = f.open(.peer(0), 2)
        }
        #expect(unclean(f.open(.disk(0), 2)) == c.second)
    }

    @Test func aDeadShardHasNoPeersOrRates() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1))
        f.peers(a, generation: 1, 10)
        #expect(f.core.row(a)!.peers == 1)
        f.send(.linkClosed(.peer(0)))
        let row = f.core.row(a)!
        #expect(row.peers == 0 && row.downRate == 0 && row.record.counters.total.downloaded == 10)
    }

    @Test func magnetBecomesATorrent() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1, metadata: false))
        #expect(f.phase(a) == .metadata)
        let full = Fixture.facts(1, isPrivate: true)
        f.send(.command(token: 0, .metadata(a, full)))
        let effects = f.turn()
        #expect(f.stored[a.rawValue]!.facts.pieceCount == Fixture.pieceCount)
        let disks = effects.compactMap { if case .diskAdd(let e) = $0 { e } else { nil } }
        #expect(disks.count == 1)
        let peers = effects.compactMap { if case .peerAdd(let e) = $0 { e } else { nil } }
        #expect(peers.first?.flags.contains([.hasMetadata, .isPrivate]) == true)
        // It announced as a magnet: saying "paused" until the check would send `stopped`.
        let said = effects.compactMap { if case .discoveryAdd(let e) = $0 { e.flags } else { nil } }
        #expect(said.last?.contains(.paused) == false)
        f.disk(a, .ready, have: 0)
        #expect(f.phase(a) == .downloading)
        #expect(f.send(.command(token: 0, .metadata(a, full))).answers == [.notFound])
    }

    @Test func aMagnetWhosePathIsTakenIsRefused() {
        var f = Fixture()
        f.openAll()
        f.add(Fixture.facts(2, name: "same"))
        let a = f.add(Fixture.facts(1, metadata: false))
        let answers = f.send(.command(token: 0, .metadata(a, Fixture.facts(1, name: "same")))).answers
        #expect(answers.count == 1 && answers[0] != nil)
        #expect(f.phase(a) == .error)
        #expect(f.core.row(a)!.error.contains("same"))
    }

    @Test func peersAreForwardedWithinTheirBounds() {
        var f = Fixture()
        f.openAll()
        let open = f.add(Fixture.facts(1)), closed = f.add(Fixture.facts(2, isPrivate: true)), paused = f.add(Fixture.facts(3), paused: true)
        let some = (1...2500).map { Endpoint(ipv4: 0x0100_0000 + UInt32($0), port: 1) }
        func count(_ effects: [CatalogEffect]) -> Int {
            effects.reduce(0) { if case .peersFound(_, _, _, let e, _) = $1 { $0 + e.count } else { $0 } }
        }
        #expect(count(f.send(.peersFound(open, .tracker, some))) == 2000)
        #expect(count(f.send(.peersFound(closed, .pex, some))) == 0)
        #expect(count(f.send(.peersFound(closed, .dht, some))) == 0)
        #expect(count(f.send(.peersFound(closed, .tracker, some))) == 2000)
        #expect(count(f.send(.peersFound(paused, .tracker, some))) == 0)
        var sent = 4000
        for _ in 0..<100 { sent += count(f.send(.peersFound(open, .tracker, some))) }
        #expect(sent == CatalogLimits.peersBurst)
        f.wait(.seconds(1))
        sent = 0
        for _ in 0..<100 { sent += count(f.send(.peersFound(open, .tracker, some))) }
        #expect(sent == CatalogLimits.peersPerSecond)
    }

    @Test func aShardsWishForPeersIsPassedOnOnceAMinute() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1))
        #expect(f.send(.morePeersWanted(a)) == [.announceNow(a)])
        f.wait(.seconds(59))
        #expect(f.send(.morePeersWanted(a)).isEmpty)
        f.wait(.seconds(1))
        #expect(f.send(.morePeersWanted(a)) == [.announceNow(a)])
    }

    @Test func trackersKeepTheirTimesOverADiscoveryRestart() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1))
        f.send(.tracker(a, TrackerReport(tier: 1, url: "udp://t:1", state: 2, startedSent: true, seeds: 3, nextAnnounce: 1234)))
        f.send(.tracker(a, TrackerReport(tier: 0, url: "http://elsewhere/", state: 2)))
        f.send(.linkClosed(.discovery))
        let entries = f.open(.discovery, 2).compactMap { if case .discoveryAdd(let e) = $0 { e } else { nil } }
        #expect(entries[0].trackers.map(\.url) == ["http://t/a", "udp://t:1"])
        #expect(entries[0].trackers.map(\.nextAnnounce) == [0, 1234])
        #expect(entries[0].trackers.map(\.startedSent) == [false, true])
        #expect(f.core.row(a)!.trackers.count == 1)
    }

    // MARK: queue

    struct QueueCase: Sendable {
        let limits: QueueLimits
        /// By torrent: 4 unfinished, then 3 finished.
        let held: [Bool]
    }
    @Test(arguments: [
        QueueCase(limits: QueueLimits(), held: [false, false, false, false, false, false, false]),
        QueueCase(limits: QueueLimits(downloading: 2), held: [false, false, true, true, false, false, false]),
        QueueCase(limits: QueueLimits(seeding: 1), held: [false, false, false, false, false, true, true]),
        QueueCase(limits: QueueLimits(active: 5), held: [false, false, false, false, false, true, true]),
        QueueCase(limits: QueueLimits(active: 3, downloading: 2, seeding: 2), held: [false, false, true, true, false, true, true]),
        QueueCase(limits: QueueLimits(isManaged: false, active: 1), held: [false, false, false, false, false, false, false]),
    ]) func queue(_ c: QueueCase) {
        var f = Fixture(CatalogConfiguration(rules: CatalogRules(queue: c.limits)))
        f.openAll()
        let ids = (1...7).map { f.add(Fixture.facts($0)) }
        for (i, id) in ids.enumerated() { f.disk(id, .ready, have: i < 4 ? 1 : 10) }
        f.turn()
        #expect(ids.map { f.core.row($0)!.isHeld } == c.held)
        #expect(ids.map { f.phase($0) == .queued } == c.held)
    }

    @Test func aPlaceThatIsFreeIsTaken() {
        var f = Fixture(CatalogConfiguration(rules: CatalogRules(queue: QueueLimits(downloading: 1))))
        f.openAll()
        let a = f.add(Fixture.facts(1)), b = f.add(Fixture.facts(2)), c = f.add(Fixture.facts(3))
        for id in [a, b, c] { f.disk(id, .ready, have: 1) }
        f.turn()
        #expect([a, b, c].map { f.phase($0) } == [.downloading, .queued, .queued])
        let paused = f.command(.pause(a))
        #expect(paused.contains { if case .peerFlags(0, b, let flags) = $0 { !flags.contains(.paused) } else { false } })
        #expect([a, b, c].map { f.phase($0) } == [.paused, .downloading, .queued])
        f.disk(b, .ready, have: 10)
        f.turn()
        #expect(f.phase(c) == .downloading)
        f.disk(c, .error, message: "no space")
        f.command(.resume(a))
        #expect(f.phase(a) == .downloading)
        f.command(.set(key: "queue.max_active_downloading", value: "3", CatalogRules(queue: QueueLimits(downloading: 3))))
        #expect(f.core.rules.queue.downloading == 3)
    }
}
