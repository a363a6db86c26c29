import Primitives
import Testing

@testable import Catalog

/// Changes of torrents, categories and tags: what a user says and what becomes of it.
@Suite struct EditTests {
    static func edit(_ change: (inout TorrentEdit) -> Void) -> TorrentEdit {
        var e = TorrentEdit()
        change(&e)
        return e
    }

    struct Field: Sendable, CustomStringConvertible {
        let edit: TorrentEdit
        let holds: @Sendable (TorrentRecord) -> Bool
        init(_ change: (inout TorrentEdit) -> Void, _ holds: @escaping @Sendable (TorrentRecord) -> Bool) { (edit, self.holds) = (EditTests.edit(change), holds) }
        var description: String { "\(edit)" }
        static let all: [Field] = [
            Field({ $0.name = "n" }, { $0.name == "n" }),
            Field({ $0.comment = "c" }, { $0.options.comment == "c" }),
            Field({ $0.tags = ["b", "a", "b"] }, { $0.options.tags == ["a", "b"] }),
            Field({ $0.addTags = ["z"] }, { $0.options.tags == ["x", "z"] }),
            Field({ $0.removeTags = ["x", "q"] }, { $0.options.tags == [] }),
            Field({ $0.isPaused = true }, { $0.isPaused }),
            Field({ $0.isSequential = true }, { $0.isSequential }),
            Field({ $0.isFirstLastFirst = true }, { $0.options.isFirstLastFirst }),
            Field({ $0.isSuperSeeding = true }, { $0.options.isSuperSeeding }),
            Field({ $0.isForced = true }, { $0.options.isForced }),
            Field({ $0.ratio = 1500 }, { $0.options.share.ratio == 1500 }),
            Field({ $0.seeding = -1 }, { $0.options.share.seeding == -1 }),
            Field({ $0.inactive = 60 }, { $0.options.share.inactive == 60 }),
            Field({ $0.action = .remove }, { $0.options.share.action == .remove }),
            Field({ $0.trackers = [["http://n/a"]] }, { $0.facts.trackers == [["http://n/a"]] }),
            Field({ $0.savePath = "/other" }, { $0.movingTo == "/other" && !$0.options.isAutoManaged }),
        ]
    }

    /// Each field arrives in the row and in what is stored.
    @Test(arguments: Field.all) func fields(_ field: Field) {
        var f = Fixture()
        let id = f.add(Fixture.facts(1))
        f.command(.edit([id], Self.edit { $0.tags = ["x"] }))
        #expect(f.command(.edit([id], field.edit)).answers == [nil])
        #expect(field.holds(f.core.row(id)!.record))
        #expect(field.holds(f.stored[id.rawValue]!))
    }

    static func rules(_ change: (inout CatalogRules) -> Void) -> CatalogRules {
        var r = CatalogRules()
        change(&r)
        return r
    }

    @Test func oneChangeOfManyIsAllOrNothing() {
        var f = Fixture()
        let ids = (1...3).map { f.add(Fixture.facts($0)) }
        #expect(f.command(.edit(ids + [TorrentID(rawValue: 99)], Self.edit { $0.comment = "c" })).answers == [.notFound])
        #expect(ids.allSatisfy { f.core.row($0)!.record.options.comment.isEmpty })
        #expect(f.command(.edit(ids, Self.edit { $0.comment = "c" })).answers == [nil])
        #expect(ids.allSatisfy { f.core.row($0)!.record.options.comment == "c" && f.stored[$0.rawValue]!.options.comment == "c" })
    }

    @Test func aFailedCommitLeavesNoTrace() {
        var f = Fixture()
        let id = f.add(Fixture.facts(1))
        f.send(.command(token: 50, .createCategory("tv", savePath: "/tv")))
        f.send(.command(token: 51, .edit([id], Self.edit { $0.category = "tv" })))
        let effects = f.turn(fail: "full")
        #expect(effects.answers == [.storage("full"), .storage("full")])
        #expect(f.core.categories.isEmpty && f.core.row(id)!.record.options.category.isEmpty)
        #expect(f.command(.edit([id], Self.edit { $0.category = "tv" })).answers == [.unknown("no category tv")])
    }

    @Test(arguments: ["", "a//b", "/a", "a/", "a\\b", "a\nb", "..", "a/../b", String(repeating: "x", count: 241)])
    func badCategories(_ name: String) {
        var f = Fixture()
        #expect(f.command(.createCategory(name, savePath: "")).answers[0] != nil)
        #expect(f.core.categories.isEmpty)
    }

    @Test func categories() {
        var f = Fixture()
        #expect(f.command(.createCategory("tv/hd", savePath: "/tv")).answers == [nil])
        #expect(f.command(.createCategory("tv/hd", savePath: "/x")).answers == [.taken("tv/hd")])
        #expect(f.command(.editCategory("no", savePath: "/x")).answers == [.unknown("no category no")])
        #expect(f.core.categories == ["tv/hd": "/tv"])
        var new = NewTorrent(facts: Fixture.facts(1), savePath: "/d")
        new.options.category = "fresh"
        new.options.tags = ["t2", "t1"]
        #expect(f.command(.add(new)).answers == [nil])
        #expect(f.core.categories == ["tv/hd": "/tv", "fresh": ""] && f.core.tags == ["t1", "t2"])
        let id = TorrentID(rawValue: 1)
        #expect(f.command(.removeCategories(["fresh", "unknown"])).answers == [nil])
        #expect(f.core.categories == ["tv/hd": "/tv"] && f.core.row(id)!.record.options.category == "")
        #expect(f.command(.deleteTags(["t1"])).answers == [nil])
        #expect(f.core.tags == ["t2"] && f.core.row(id)!.record.options.tags == ["t2"])
        #expect(f.command(.createTags(["a,b"])).answers[0] != nil)
    }

    /// Automatic management: the data follows the category and its path.
    @Test func managedDataFollowsItsCategory() {
        var f = Fixture(CatalogConfiguration(rules: CatalogRules(folder: "/dl")))
        _ = f.open(.disk(0))
        f.command(.createCategory("tv", savePath: ""))
        let a = f.add(Fixture.facts(1), save: "/dl"), b = f.add(Fixture.facts(2), save: "/else")
        f.command(.edit([a], Self.edit { $0.isAutoManaged = true }))
        #expect(f.core.row(a)!.record.movingTo == "")
        var effects = f.command(.edit([a, b], Self.edit { $0.category = "tv" }))
        #expect(effects.contains(.diskMove(0, a, savePath: "/dl/tv", NamePlan())))
        #expect(f.core.row(b)!.record.movingTo == "", "b is not managed")
        f.send(.diskMoved(a, savePath: "/dl/tv", message: ""))
        effects = f.command(.editCategory("tv", savePath: "/video"))
        #expect(effects.contains(.diskMove(0, a, savePath: "/video", NamePlan())))
        // While it moves nothing else may be asked of its place.
        #expect(f.command(.edit([a], Self.edit { $0.category = "" })).answers[0] != nil)
        f.send(.diskMoved(a, savePath: "/dl/tv", message: "no room"))
        #expect(f.core.row(a)!.record.savePath == "/dl/tv" && f.core.row(a)!.record.movingTo == "")
        effects = f.command(.removeCategories(["tv"]))
        #expect(effects.contains(.diskMove(0, a, savePath: "/dl", NamePlan())))
    }

    /// Incomplete data stands in its own folder under a suffix between the first look and the last piece.
    @Test func incompleteFolder() {
        var f = Fixture(CatalogConfiguration(rules: EditTests.rules { $0.hooks = [.finished] }))
        _ = f.open(.disk(0))
        var new = NewTorrent(facts: Fixture.facts(1), savePath: "/d")
        new.options.incompletePath = "/tmp"
        new.options.incompleteSuffix = ".part"
        f.command(.add(new))
        let id = TorrentID(rawValue: 1)
        f.send(.disk(id, DiskReport(.ready, piecesHave: 0)))
        f.wait(.seconds(2))
        #expect(f.turn().contains(.diskMove(0, id, savePath: "/tmp", NamePlan(suffix: ".part"))))
        #expect(f.stored[1]!.movingTo == "/tmp" && f.stored[1]!.options.finalPath == "/d")
        f.send(.diskMoved(id, savePath: "/tmp", message: ""))
        #expect(f.core.row(id)!.record.savePath == "/tmp" && f.core.row(id)!.record.wantedPath == "/d")
        #expect(f.command(.edit([id], Self.edit { $0.savePath = "/later" })).answers == [nil])
        #expect(f.core.row(id)!.record.movingTo == "" && f.core.row(id)!.record.options.finalPath == "/later")
        // Another torrent may not take the place that this one will need.
        #expect(f.command(.add(NewTorrent(facts: Fixture.facts(2, name: "t1"), savePath: "/later"))).answers[0] != nil)
        f.send(.disk(id, DiskReport(.ready, piecesHave: Fixture.pieceCount, bytesHave: 1)))
        f.wait(.seconds(2))
        var effects = f.turn()
        #expect(effects.contains(.diskMove(0, id, savePath: "/later", NamePlan())))
        #expect(!effects.contains { if case .hooks = $0 { true } else { false } }, "programs run when the data is in its place")
        effects = f.send(.diskMoved(id, savePath: "/later", message: ""))
        #expect(effects.contains(.hooks(id, [.finished])))
        #expect(f.core.row(id)!.record.names.isEmpty && f.core.row(id)!.record.options.finalPath.isEmpty)
    }

    @Test func completeDataIsLeftWhereItWasFound() {
        var f = Fixture()
        _ = f.open(.disk(0))
        var new = NewTorrent(facts: Fixture.facts(1), savePath: "/d")
        new.options.incompletePath = "/tmp"
        f.command(.add(new))
        f.send(.disk(TorrentID(rawValue: 1), DiskReport(.ready, piecesHave: Fixture.pieceCount)))
        f.wait(.seconds(2))
        #expect(!f.turn().contains { if case .diskMove = $0 { true } else { false } })
        #expect(f.core.row(TorrentID(rawValue: 1))!.record.movingTo == "")
    }

    @Test(arguments: [StopRule.none, .metadataReceived, .filesChecked]) func stopConditions(_ rule: StopRule) {
        var f = Fixture()
        _ = f.open(.disk(0))
        var new = NewTorrent(facts: Fixture.facts(1, metadata: false), savePath: "/d")
        new.options.stopCondition = rule
        f.command(.add(new))
        let id = TorrentID(rawValue: 1)
        f.command(.metadata(id, Fixture.facts(1)))
        #expect(f.core.row(id)!.record.isPaused == (rule == .metadataReceived))
        f.send(.disk(id, DiskReport(.ready, piecesHave: 3)))
        #expect(f.core.row(id)!.record.isPaused == (rule != .none))
        f.command(.resume(id))
        f.send(.disk(id, DiskReport(.ready, piecesHave: 4)))
        #expect(!f.core.row(id)!.record.isPaused, "once only")
    }

    @Test(arguments: [
        ("t", "u", "t", "u"), ("t", "u", "t/a", "u/a"), ("t", "u", "tt/a", "tt/a"), ("t", "", "t/a/b", "a/b"), ("t/a", "t/b", "t/a/c", "t/b/c"),
        ("t/a", "t/b", "t/ab", "t/ab"), ("f.bin", "f/f.bin", "f.bin", "f/f.bin"), ("ä/b", "c", "ä/b/d", "c/d"),
    ]) func renames(_ from: String, _ to: String, _ path: String, _ result: String) {
        #expect(NamePlan(renames: [.init(from: from, to: to)]).name(path) == result)
        #expect(NamePlan(renames: [.init(from: from, to: to)], suffix: ".!").onDisk(path) == result + ".!")
    }

    @Test func aRenameIsAMoveUnderOtherNames() {
        var f = Fixture()
        _ = f.open(.disk(0))
        let id = f.add(Fixture.facts(1)), other = f.add(Fixture.facts(2, name: "taken"))
        let plan = NamePlan(renames: [.init(from: "t1", to: "new")])
        #expect(
            f.command(
                .edit(
                    [id],
                    Self.edit {
                        $0.names = plan
                        $0.roots = ["taken"]
                    })
            ).answers[0] != nil)
        let effects = f.command(
            .edit(
                [id],
                Self.edit {
                    $0.names = plan
                    $0.roots = ["new"]
                }))
        #expect(effects.contains(.diskMove(0, id, savePath: "/d", plan)))
        #expect(f.command(.add(NewTorrent(facts: Fixture.facts(3, name: "new"), savePath: "/d"))).answers[0] != nil)
        f.send(.diskMoved(id, savePath: "/d", message: ""))
        let record = f.core.row(id)!.record
        #expect(record.names == plan && record.roots == ["new"] && record.contentPath == "/d/new" && record.movingTo == "")
        #expect(f.command(.add(NewTorrent(facts: Fixture.facts(4, name: "t1"), savePath: "/d"))).answers == [nil], "the old name is free")
        #expect(f.core.row(other)!.record.contentPath == "/d/taken")
    }

    /// A tracker that heard `completed` from a discovery worker that died is not told again; one that had not is.
    @Test func completedIsOwedUntilEachTrackerHasIt() {
        var f = Fixture()
        _ = f.open(.disk(0))
        _ = f.open(.discovery)
        let id = f.add(Fixture.facts(1))
        f.send(.disk(id, DiskReport(.ready, piecesHave: 1)))
        for (tier, url) in [(UInt16(0), "http://t/a"), (1, "udp://t:1")] {
            f.send(.tracker(id, TrackerReport(tier: tier, url: url, state: 2, startedSent: true)))
        }
        f.send(.disk(id, DiskReport(.ready, piecesHave: Fixture.pieceCount)))
        f.wait(.seconds(2))
        #expect(f.turn().contains(.discoveryCompleted(id)))
        f.send(.tracker(id, TrackerReport(tier: 0, url: "http://t/a", state: 2, startedSent: true)))
        f.send(.linkClosed(.discovery))
        #expect(f.open(.discovery, 2).contains(.discoveryCompletedAgain(id, ["udp://t:1"])))
        f.send(.tracker(id, TrackerReport(tier: 1, url: "udp://t:1", state: 2, startedSent: true)))
        f.send(.linkClosed(.discovery))
        #expect(!f.open(.discovery, 3).contains { if case .discoveryCompletedAgain = $0 { true } else { false } })
    }
}
