import Primitives
import Testing

@testable import Catalog

/// Aim: a wish is refused with its reason or carried out whole, whatever else waits for the store.
@Suite struct CommandTests {
    @Test func oneTorrentOnce() {
        var f = Fixture()
        f.openAll()
        let new = NewTorrent(facts: Fixture.facts(1), savePath: "/d")
        f.send(.command(token: 1, .add(new)))
        // Again while the first waits for the store, and again after it.
        #expect(f.send(.command(token: 2, .add(new))).answers == [.exists(new.facts.infoHash)])
        f.turn()
        #expect(f.send(.command(token: 3, .add(new))).answers == [.exists(new.facts.infoHash)])
    }

    @Test func aHybridAndItsTwinAreOne() {
        var f = Fixture()
        let v2 = SHA256Digest([UInt8](repeating: 9, count: 32))!
        var hybrid = Fixture.facts(1)
        hybrid.infoHashV2 = v2
        f.add(hybrid)
        var twin = Fixture.facts(2, name: "other")
        twin.infoHash = v2.truncated
        twin.infoHashV2 = v2
        #expect(f.command(.add(NewTorrent(facts: twin, savePath: "/e"))).answers == [.exists(hybrid.infoHash)])
    }

    struct PathCase: Sendable {
        let name: String, save: String, refused: Bool
    }
    @Test(arguments: [
        PathCase(name: "a", save: "/d", refused: true), PathCase(name: "a", save: "/e", refused: false),
        PathCase(name: "b", save: "/d", refused: false), PathCase(name: "a", save: "d", refused: true),
        PathCase(name: "c", save: "/d/../d", refused: true), PathCase(name: "c", save: "/d\n", refused: true),
    ]) func paths(_ c: PathCase) {
        var f = Fixture()
        f.add(Fixture.facts(1, name: "a"), save: "/d")
        let answers = f.command(.add(NewTorrent(facts: Fixture.facts(2, name: c.name), savePath: c.save))).answers
        #expect(answers.count == 1)
        #expect((answers[0] != nil) == c.refused)
    }

    @Test func pathsOfPendingAddsAndMovesAreTaken() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1, name: "a"), save: "/d")
        f.send(.command(token: 50, .move(a, savePath: "/e")))
        #expect(f.send(.command(token: 51, .add(NewTorrent(facts: Fixture.facts(2, name: "a"), savePath: "/e")))).answers[0] != nil)
        let sent = f.turn()
        #expect(sent.contains(.diskMove(0, a, savePath: "/e", NamePlan())))
        // Both ends stay taken until the disk worker is done.
        for save in ["/d", "/e"] {
            #expect(f.command(.add(NewTorrent(facts: Fixture.facts(2, name: "a"), savePath: save))).answers[0] != nil)
        }
        f.send(.diskMoved(a, savePath: "/e", message: ""))
        #expect(f.command(.add(NewTorrent(facts: Fixture.facts(2, name: "a"), savePath: "/d"))).answers == [nil])
        f.wait(.seconds(1))
        f.turn()
        #expect(f.stored[a.rawValue]!.savePath == "/e" && f.stored[a.rawValue]!.movingTo == "")
    }

    @Test func aMoveThatFailedLeavesThePath() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1, name: "a"), save: "/d")
        f.command(.move(a, savePath: "/e"))
        f.send(.diskMoved(a, savePath: "/d", message: "no space"))
        #expect(f.core.row(a)!.record.savePath == "/d" && f.core.row(a)!.record.movingTo == "")
        #expect(f.command(.add(NewTorrent(facts: Fixture.facts(2, name: "a"), savePath: "/e"))).answers == [nil])
        #expect(f.command(.add(NewTorrent(facts: Fixture.facts(3, name: "a"), savePath: "/d"))).answers[0] != nil)
    }

    @Test func aMoveUnderWayBeginsAgainWithANewDiskWorker() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1, name: "a"), save: "/d")
        f.command(.move(a, savePath: "/e"))
        f.send(.linkClosed(.disk(0)))
        #expect(f.open(.disk(0), 2).contains(.diskMove(0, a, savePath: "/e", NamePlan())))
        var g = f.reopened(sameRun: true)
        #expect(g.open(.disk(0), 2).contains(.diskMove(0, a, savePath: "/e", NamePlan())))
    }

    @Test func unknownTorrentsAreNotFound() {
        var f = Fixture()
        f.openAll()
        let id = TorrentID(rawValue: 99)
        for command: CatalogCommand in [
            .pause(id), .resume(id), .remove(id, deleteData: true), .move(id, savePath: "/x"), .recheck(id), .announce(id), .addPeers(id, []),
        ] {
            #expect(f.command(command).answers == [.notFound])
        }
    }

    @Test func whatFollowsARemovalInTheSameBatchIsNotFound() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1))
        f.send(.command(token: 60, .remove(a, deleteData: false)))
        #expect(f.send(.command(token: 61, .pause(a))).answers == [.notFound])
        let effects = f.turn()
        #expect(effects.answers == [nil])
        #expect(effects.contains(.diskRemove(0, a, deleteData: false)) && effects.contains(.peerRemove(0, a)) && effects.contains(.discoveryRemove(a)))
        #expect(f.stored.isEmpty && f.core.count == 0)
    }

    @Test func pauseAndResumeInOneBatchEndAsTheLast() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1))
        f.send(.command(token: 1, .pause(a)))
        f.send(.command(token: 2, .resume(a)))
        f.send(.command(token: 3, .pause(a)))
        #expect(f.turn().answers == [nil, nil, nil])
        #expect(f.stored[a.rawValue]!.isPaused && f.core.row(a)!.record.isPaused)
    }

    /// A worker's report between the staging and the commit is in neither copy lost.
    @Test func reportsDuringACommitAreKept() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1))
        f.send(.command(token: 1, .pause(a)))
        let batch = f.core.takeBatch(now: f.now)!
        #expect(batch.puts[0].isPaused && !batch.puts[0].isChecked)
        f.disk(a, .ready, have: 10)
        f.send(.committed)
        #expect(f.core.row(a)!.record.isPaused && f.core.row(a)!.record.isChecked)
        f.wait(.seconds(1))
        f.turn()
        #expect(f.stored[a.rawValue]!.isPaused && f.stored[a.rawValue]!.isChecked && f.stored[a.rawValue]!.completedAt != 0)
    }

    @Test func dataAreDeletedEvenIfEverythingDiesInBetween() {
        var f = Fixture()
        f.openAll()
        let a = f.add(Fixture.facts(1))
        let effects = f.command(.remove(a, deleteData: true))
        #expect(effects.contains(.diskRemove(0, a, deleteData: true)))
        #expect(f.stored[a.rawValue]!.removal == .deletingData)
        var g = f.reopened(sameRun: false)
        var listed = 0
        g.core.forEach { _ in listed += 1 }
        #expect(listed == 0)
        #expect(g.open(.disk(0), 1).suffix(2) == [.diskRemove(0, a, deleteData: true), .diskReplayEnd(0)])
        #expect(g.open(.peer(0), 1) == [.peerReplayEnd(0)])
        #expect(g.command(.add(NewTorrent(facts: Fixture.facts(1), savePath: "/d"))).answers[0] != nil)
        #expect(g.send(.diskRemoved(a, message: "")) == [.removed(a, Fixture.facts(1).infoHash)])
        g.wait(.seconds(1))
        g.turn()
        #expect(g.stored.isEmpty)
        #expect(g.command(.add(NewTorrent(facts: Fixture.facts(1), savePath: "/d"))).answers == [nil])
    }

    @Test func idsAreNeverUsedTwice() {
        var f = Fixture()
        let a = f.add(Fixture.facts(1))
        f.command(.remove(a, deleteData: false))
        let b = f.add(Fixture.facts(2))
        #expect(b > a)
        f.command(.remove(b, deleteData: false))
        var g = f.reopened(sameRun: false)
        #expect(g.add(Fixture.facts(3)) > b)
    }

    @Test func manyRemovalsKeepOrderAndLookup() {
        var f = Fixture()
        f.openAll()
        let ids = (0..<300).map { f.add(Fixture.facts($0)) }
        for (i, id) in ids.enumerated() where i % 3 != 0 { f.command(.remove(id, deleteData: false)) }
        var seen: [TorrentID] = []
        f.core.forEach { seen.append($0.record.id) }
        #expect(seen == ids.enumerated().filter { $0.offset % 3 == 0 }.map(\.element))
        for id in seen { #expect(f.core.row(id)?.record.id == id) }
        f.send(.linkClosed(.peer(0)))
        let adds = f.open(.peer(0), 2).compactMap { if case .peerAdd(let entry) = $0 { entry.torrent } else { nil } }
        #expect(adds == seen)
    }
}
