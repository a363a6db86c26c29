import Catalog
import Control
import Foundation
import IPC
import Primitives
import Testing

@testable import SessionWorker

/// Parts of the session worker's features that need no process.
@Suite struct FeatureTests {
    @Test(arguments: [
        ("%N", "a b"), ("x%Nx%N", "xa bxa b"), ("100%%", "100%"), ("%", "%"), ("%X", "%X"), ("%%N", "%N"), ("%L", ""), ("%Z", "12"), ("", ""),
    ]) func hookTexts(_ template: String, _ result: String) {
        #expect(HookText.fill(template, ["N": "a b", "L": "", "Z": "12"]) == result)
        // What is put in is not looked at again.
        #expect(HookText.fill("%N", ["N": "%Z\0", "Z": "no"]) == "%Z")
    }

    struct Rename: Sendable {
        let from: String, to: String
        var folder = false
        let result: [String]?
    }
    @Test(arguments: [
        Rename(from: "t/a", to: "t/c", result: ["t/c", "t/b", "t/d/e"]), Rename(from: "t/a", to: "u/v/w", result: ["u/v/w", "t/b", "t/d/e"]),
        Rename(from: "t", to: "u", folder: true, result: ["u/a", "u/b", "u/d/e"]), Rename(from: "t/d", to: "x/y", folder: true, result: ["t/a", "t/b", "x/y/e"]),
        Rename(from: "t/a", to: "t/b", result: nil), Rename(from: "t/a", to: "t/d", result: nil), Rename(from: "t/a", to: "t/b/c", result: nil),
        Rename(from: "t", to: "u", result: nil), Rename(from: "t/a", to: "u", folder: true, result: nil), Rename(from: "no", to: "u", result: nil),
        Rename(from: "t/a", to: "", result: nil), Rename(from: "t/a", to: "/x", result: nil), Rename(from: "t/a", to: "t/../x", result: nil),
        Rename(from: "t/a", to: "t/a\nb", result: nil), Rename(from: "t/a", to: "t/a", result: nil), Rename(from: "t/a", to: String(repeating: "x", count: 256), result: nil),
    ]) func renames(_ c: Rename) {
        let paths = ["t/a", "t/b", "t/d/e"]
        let rename = try? FileRename(paths, NamePlan(), from: c.from, to: c.to, isFolder: c.folder)
        #expect(rename.map { r in paths.map { r.plan.name($0) } } == c.result)
    }

    /// Two files change their names by way of a third.
    @Test func aSwap() throws {
        let paths = ["t/a", "t/b"]
        var plan = NamePlan()
        for (from, to) in [("t/a", "t/x"), ("t/b", "t/a"), ("t/x", "t/b")] { plan = try FileRename(paths, plan, from: from, to: to, isFolder: false).plan }
        #expect(paths.map { plan.name($0) } == ["t/b", "t/a"])
    }

    static let feed = """
        <?xml version="1.0"?><rss version="2.0" xmlns:dc="d"><channel><title>F</title><lastBuildDate>now</lastBuildDate>
        <item><title>One &amp; two</title><guid>g1</guid><link>http://h/page</link><enclosure url="http://h/1.torrent" type="application/x-bittorrent"/>
        <pubDate>Tue, 14 Nov 2023 22:13:20 +0000</pubDate><description><![CDATA[<b>x</b>]]></description><dc:creator>me</dc:creator></item>
        <item><title>Three</title><link>http://h/3.torrent</link></item></channel></rss>
        """
    static let atom = """
        <feed xmlns="http://www.w3.org/2005/Atom"><title>A</title><entry><id>i</id><title>T</title><updated>2023-11-14T22:13:20Z</updated>
        <link href="http://h/page"/><link rel="enclosure" href="http://h/a.torrent"/><author><name>you</name></author></entry></feed>
        """

    @Test func readsFeeds() throws {
        let rss = try FeedReading(Array(Self.feed.utf8))
        #expect(rss.title == "F" && rss.lastBuildDate == "now" && rss.rows.count == 2)
        #expect(
            rss.rows[0]
                == RSSArticleRow(
                    id: "g1", title: "One & two", date: 1_700_000_000, author: "me", description: "<b>x</b>", torrentURL: "http://h/1.torrent", link: "http://h/page",
                    isRead: false))
        #expect(rss.rows[1].id == "http://h/3.torrent" && rss.rows[1].torrentURL == "http://h/3.torrent" && rss.rows[1].date == 0)
        let atom = try FeedReading(Array(Self.atom.utf8))
        #expect(atom.title == "A" && atom.rows.count == 1 && atom.rows[0].torrentURL == "http://h/a.torrent" && atom.rows[0].author == "you" && atom.rows[0].date == 1_700_000_000)
    }

    /// Cuts and flipped bits are refused or read, never a crash.
    @Test func mutatedFeeds() {
        let whole = Array(Self.feed.utf8)
        var random = SeededRandom(seed: 4), read = 0
        for i in 0..<2000 {
            var bytes = whole
            if i < whole.count { bytes.removeLast(whole.count - i) } else { bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8)) }
            if (try? FeedReading(bytes)) != nil { read += 1 }
        }
        #expect(read > 100)
    }

    @Test(arguments: ["", "<html/>", "no xml", "<rss", "\0\0"]) func notAFeed(_ text: String) {
        #expect(throws: FeedReading.Refused.self) { try FeedReading(Array(text.utf8)) }
    }

    /// A thousand-fold entity must not become a thousand-fold text.
    @Test func entitiesDoNotExplode() {
        let bomb =
            "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY a \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\">"
            + (1...9).map { n in "<!ENTITY a\(n) \"" + String(repeating: n == 1 ? "&a;" : "&a\(n - 1);", count: 10) + "\">" }.joined()
            + "]><rss><channel><item><title>&a9;</title></item></channel></rss>"
        let reading = try? FeedReading(Array(bomb.utf8))
        #expect((reading?.rows.first?.title.utf8.count ?? 0) <= 4096)
    }

    @Test func logKeepsTheNewest() {
        let log = SessionLog("test")
        for i in 0..<SessionLog.limit + 10 { log.peer("1.2.3.4", "banned", "\(i)") }
        let lines = log.lines(LogParameters(peers: true))
        #expect(lines.count == SessionLog.limit && lines.first?.text == "10" && lines.last?.text == "\(SessionLog.limit + 9)")
        #expect(zip(lines, lines.dropFirst()).allSatisfy { $0.id + 1 == $1.id })
        #expect(log.lines(LogParameters(after: lines[lines.count - 2].id, peers: true)).map(\.text) == [lines.last!.text])
        #expect(log.lines(LogParameters(limit: 3)).isEmpty)
    }

    /// All that a user said and all that was counted comes back from the real database, after a writer that did not close it.
    @Test func storedAndReadBack() throws {
        let folder = TemporaryFolder()
        let store = try CatalogStore(directory: folder.path)
        var record = TorrentRecord(id: TorrentID(rawValue: 3), facts: TorrentFacts(infoHash: InfoHash([UInt8](repeating: 7, count: 20))!, name: "n", rootName: "r"), savePath: "/s", addedAt: 5)
        record.options.name = "shown"
        record.options.comment = "c\u{1F30D}"
        record.options.category = "a/b"
        record.options.tags = ["x", "y z"]
        record.options.isAutoManaged = true
        record.options.isFirstLastFirst = true
        record.options.isSuperSeeding = true
        record.options.isForced = true
        record.options.share = ShareLimits(ratio: 1500, seeding: 60, inactive: -1, action: .removeWithData)
        record.options.stopCondition = .filesChecked
        record.options.finalPath = "/f"
        record.options.incompletePath = "/i"
        record.options.incompleteSuffix = ".part"
        record.options.layout = 2
        record.options.rank = -9
        record.options.hooksDue = [.finished]
        record.names = NamePlan(renames: [.init(from: "r", to: ""), .init(from: "a b", to: "c/d")], suffix: ".part")
        record.movingTo = "/m"
        record.movingNames = NamePlan(renames: [.init(from: "r", to: "q")])
        record.roots = ["a", "c"]
        record.movingRoots = ["q"]
        var activity = TorrentActivity()
        (activity.activeMilliseconds, activity.seedingMilliseconds, activity.idleMilliseconds, activity.lastActivity, activity.seenComplete) = (1, 2, 3, 4, 5)
        var report = TrackerReport(tier: 1, url: "http://t/a?x=1", startedSent: true, nextAnnounce: 99)
        report.completedPending = true
        var batch = StoreBatch()
        batch.puts = [record]
        batch.counters = [.init(torrent: record.id, counters: record.counters, activity: activity)]
        batch.schedules = [.init(torrent: record.id, trackers: [report])]
        batch.categories = [.init(key: "a/b", value: "/p"), .init(key: "gone", value: nil)]
        batch.tags = [.init(key: "x", value: ""), .init(key: "y z", value: "")]
        var totals = CatalogTotals()
        totals.transfer = TransferCounters(downloaded: .max, downloadedAgain: 2, uploaded: 3)
        (totals.added, totals.completed, totals.since) = (4, 5, 6)
        batch.totals = totals
        try store.commit(batch)
        try store.put("feed", [("k", "v"), ("l", nil)])

        let again = try CatalogStore(directory: folder.path)
        record.activity = activity
        for sameRun in [true, false] {
            let loaded = try again.load(sameRun: sameRun)
            #expect(loaded.records.map(\.0) == [record])
            #expect(loaded.categories == ["a/b": "/p"] && loaded.tags == ["x", "y z"] && loaded.totals == totals)
            #expect(loaded.schedules.map(\.1) == (sameRun ? [[report]] : []), "to trackers a later run is another peer")
        }
        #expect(try again.items("feed").map { $0.key + $0.value } == ["kv"])
        batch = StoreBatch()
        batch.deletes = [record.id]
        try again.commit(batch)
        #expect(try again.load(sameRun: true).schedules.isEmpty, "what belongs to a torrent goes with it")
    }

    @Test func addressesOfTrackersSurviveTheirText() {
        let urls = ["http://h/a b", "udp://h:1", "https://h/?a=1&b=2"]
        let reports = urls.enumerated().map { TrackerReport(tier: UInt16($0), url: $1, startedSent: $0 == 1, nextAnnounce: UInt64($0) << 33) }
        #expect(OptionColumns.schedule(OptionColumns.schedule(reports)) == reports)
    }
}
