import Primitives
import Testing

@testable import Catalog

/// What the choice of files makes of a torrent's ends.
@Suite struct SelectionTests {
    private let all = UInt64(Fixture.pieceCount - 1) * 16384 + 100

    /// The disk worker's report on a choice: the selected files have 32,768 bytes, or it is all of them.
    private func report(_ f: inout Fixture, _ id: TorrentID, have: UInt32, done: UInt64, of wanted: UInt64 = 32_768, selection: UInt32) -> [CatalogEffect] {
        let bytes = have == Fixture.pieceCount ? all : UInt64(have) * 16384
        let said = f.send(.disk(id, DiskReport(.ready, piecesHave: have, bytesHave: bytes, bytesWanted: wanted, bytesWantedHave: done, selection: selection)))
        f.wait(.seconds(2))
        return said + f.turn()
    }
    private func started(_ only: ClosedRange<UInt32>?) -> (Fixture, TorrentID) {
        var rules = CatalogRules()
        rules.hooks = [.finished]
        var f = Fixture(CatalogConfiguration(rules: rules))
        f.openAll()
        var new = NewTorrent(facts: Fixture.facts(1), savePath: "/d")
        if let only { new.levels = .only([only]) }
        f.command(.add(new))
        return (f, TorrentID(rawValue: 1))
    }

    @Test func theEndOfTheChosenFilesIsNoneToATracker() {
        var (f, id) = started(1...1)
        _ = report(&f, id, have: 0, done: 0, selection: 0)
        #expect(f.phase(id) == .downloading && f.core.row(id)!.left == all)
        let effects = report(&f, id, have: 3, done: 32_768, selection: 0)
        #expect(f.phase(id) == .seeding && f.core.row(id)!.record.completedAt > 0)
        #expect(effects.contains { if case .hooks(id, let due) = $0 { due.contains(.finished) } else { false } })
        #expect(!effects.contains { if case .discoveryCompleted = $0 { true } else { false } }, "others would take it for a seed")
        #expect(f.core.row(id)!.left == all - 3 * 16384)
        #expect(f.stored[1]!.isSelectionDone)

        // More is wanted: it is no longer complete, and its end is one again, to trackers too.
        f.command(.select(id, FileLevels()))
        #expect(f.core.row(id)!.record.completedAt == 0 && f.phase(id) == .waiting)
        // Said before the disk worker had heard of it.
        _ = report(&f, id, have: 3, done: 32_768, selection: 0)
        #expect(f.phase(id) == .waiting && f.core.row(id)!.record.completedAt == 0, "what was said of another choice counts for nothing")
        _ = report(&f, id, have: 3, done: 3 * 16384, of: all, selection: 1)
        #expect(f.phase(id) == .downloading)
        let end = report(&f, id, have: Fixture.pieceCount, done: all, of: all, selection: 1)
        #expect(f.phase(id) == .seeding && f.core.row(id)!.left == 0)
        #expect(end.contains(.discoveryCompleted(id)) && end.contains { if case .hooks(id, _) = $0 { true } else { false } })
    }

    /// Files that are skipped while all that is left was theirs: that is an end. Wanted again while they are there: none.
    @Test func wishesAtTheEnd() {
        var (f, id) = started(nil)
        _ = report(&f, id, have: 3, done: 3 * 16384, of: all, selection: 0)
        let fewer = FileLevels.only([0...0])
        let effects = f.command(.select(id, fewer))
        #expect(effects.contains(.diskLevels(0, id, fewer, selection: 1)))
        _ = report(&f, id, have: 3, done: 32_768, selection: 1)
        #expect(f.phase(id) == .seeding)

        var (g, all) = started(nil)
        _ = report(&g, all, have: Fixture.pieceCount, done: self.all, of: self.all, selection: 0)
        let completed = g.core.row(all)!.record.completedAt
        #expect(completed > 0)
        g.command(.select(all, fewer))
        #expect(g.core.row(all)!.record.completedAt == completed)
        _ = report(&g, all, have: Fixture.pieceCount, done: 32_768, selection: 1)
        g.command(.select(all, FileLevels()))
        let again = report(&g, all, have: Fixture.pieceCount, done: self.all, of: self.all, selection: 2)
        #expect(g.phase(all) == .seeding && !again.contains { if case .hooks = $0 { true } else { false } }, "nothing was fetched")
    }

    /// A session worker that starts anew knows that the choice was complete, before the disk worker has looked.
    @Test func itOutlivesARestart() {
        var (f, id) = started(1...1)
        _ = report(&f, id, have: 1, done: 0, selection: 0)
        _ = report(&f, id, have: 3, done: 32_768, selection: 0)
        f.turn()
        var next = f.reopened(sameRun: true)
        #expect(next.core.row(id)!.isComplete && next.core.row(id)!.record.levels == .only([1...1]))
        next.openAll()
        _ = report(&next, id, have: 3, done: 32_768, selection: 0)
        #expect(next.phase(id) == .seeding)
        // Only priorities: the disk worker's word holds.
        var levels = FileLevels.only([1...1])
        levels.set(1, 1, to: FileLevel.high)
        let effects = next.command(.select(id, levels))
        #expect(next.phase(id) == .seeding && effects.contains(.diskLevels(0, id, levels, selection: 0)))
    }

    @Test(arguments: [
        ("", "0=skip", false), ("0=skip", "", true), ("0-3=skip", "1-2=skip", true), ("1-2=skip", "0-3=skip", false), ("0-3=skip", "0-3=skip,5=high", false), ("0-1=skip,4-5=skip", "0-5=skip", false),
        ("0-5=skip", "0-1=skip,4-5=skip", true),
    ])
    func wantingMore(before: String, after: String, isMore: Bool) {
        #expect(FileLevels(after)!.wantsMore(than: FileLevels(before)!) == isMore)
    }
}
