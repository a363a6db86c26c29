import ByteCodec
import Control
import Foundation
import IPC
import Primitives
import Testing
import WorkerKit

@testable import SessionWorker

/// Session features in the real `ccbt-session`, with its real database, killed in between.
@Suite struct SessionFeatureTests {
    @discardableResult private func until<T>(_ seconds: Double = 10, _ body: () throws -> T?) throws -> T {
        let deadline = Date().addingTimeInterval(seconds)
        while Date() < deadline {
            if let value = try body() { return value }
            usleep(5000)
        }
        throw Waited()
    }
    private func ready(_ s: SessionProcess, _ torrent: UInt32, have: UInt32) {
        s.disk.send(
            DiskTorrentState(
                torrent: torrent, state: DiskState.ready.rawValue, piecesHave: have, bytesHave: UInt64(have) * 16384, piecesChecked: have, errorKind: 0, bytesWanted: 0, bytesWantedHave: 0,
                selection: 0))
    }
    private func code(_ body: () throws -> Void) -> ControlError.Code? {
        do { try body() } catch { return (error as? ControlError)?.code }
        return nil
    }

    @Test func whatWasSaidOutlivesAKill() throws {
        let folder = TemporaryFolder()
        var hashes: [String] = []
        do {
            let s = try SessionProcess(folder)
            let client = try s.client()
            hashes = try (1...3).map { try client.add(Torrents.make("t\($0)")).hash }
            try client.call(ControlMethods.CreateCategory.self, CategoryRow(name: "tv", savePath: "/tv"))
            #expect(code { try client.call(ControlMethods.CreateCategory.self, CategoryRow(name: "tv")) } == .exists)
            var p = SetTorrentsParameters(hashes: [hashes[0], hashes[1]])
            p.category = "tv"
            p.tags = ["b", "a"]
            p.comment = "c"
            p.ratioLimit = 1.5
            p.seedingTimeLimit = 10
            p.limitAction = .removeWithData
            p.upLimit = 1000
            #expect(try client.call(ControlMethods.SetTorrents.self, p).count == 2)
            p.hashes.append(String(repeating: "0", count: 40))
            #expect(code { try client.call(ControlMethods.SetTorrents.self, p) } == .notFound)
            p.skipUnknown = true
            #expect(try client.call(ControlMethods.SetTorrents.self, p).count == 2)
            p.ratioLimit = -3
            #expect(code { try client.call(ControlMethods.SetTorrents.self, p) } == .invalidParameters)
            try client.call(ControlMethods.MoveInQueue.self, MoveInQueueParameters(hashes: [hashes[2]], to: .top))
            try client.call(ControlMethods.SetTrackers.self, SetTrackersParameters(hash: hashes[0], trackers: [["http://a/1"], ["udp://b:2"]]))
            try client.call(ControlMethods.AddTrackers.self, AddTrackersParameters(hash: hashes[0], urls: ["http://a/1", "https://c/3"]))
            try client.call(ControlMethods.EditTracker.self, EditTrackerParameters(hash: hashes[0], url: "udp://b:2", newURL: "udp://b:3", tier: 0))
            try client.call(ControlMethods.SetWatchFolder.self, WatchFolderRow(path: folder.path + "x"))
            try client.call(ControlMethods.RSSAddFolder.self, PathParameters(path: "f"))
            try client.call(ControlMethods.RSSAddFeed.self, RSSFeedParameters(url: "https://h/feed", path: "f\\a"))
            try client.call(ControlMethods.RSSSetRule.self, RSSRuleRow(name: "r"))
            try s.kill()
        }
        let s = try SessionProcess(folder, generation: 2)
        let client = try s.client(), rows = try client.list()
        #expect(rows.map(\.category) == ["tv", "tv", ""] && rows.map(\.tags) == [["a", "b"], ["a", "b"], []] && rows[0].comment == "c")
        #expect(rows[0].ratioLimit == 1.5 && rows[0].maxRatio == 1.5 && rows[0].seedingTimeLimit == 10 && rows[0].limitAction == .removeWithData && rows[0].upLimit == 1000)
        #expect(rows.map(\.queuePosition) == [2, 3, 1])
        #expect(try client.call(ControlMethods.Categories.self, Empty()).categories == [CategoryRow(name: "tv", savePath: "/tv")])
        #expect(try client.call(ControlMethods.Tags.self, Empty()).names == ["a", "b"])
        #expect(try client.call(ControlMethods.Trackers.self, HashParameters(hash: hashes[0])).trackers.map(\.url) == ["http://a/1", "udp://b:3", "https://c/3"])
        #expect(try client.call(ControlMethods.WatchFolders.self, Empty()).folders.map(\.path) == [folder.path + "x"])
        let items = try client.call(ControlMethods.RSSItems.self, RSSItemsParameters())
        #expect(items.folders == ["f"] && items.feeds.map(\.path) == ["f\\a"])
        #expect(try client.call(ControlMethods.RSSRules.self, Empty()).rules.map(\.name) == ["r"])
        let lines = try client.call(ControlMethods.ReadLog.self, LogParameters()).lines
        #expect(lines.contains { $0.text.hasPrefix("catalogue: 3 torrents") })
    }

    /// When trackers are due, and what they have heard, is known to the next worker of the run, and to a discovery worker after it.
    @Test func schedulesOutliveAKill() throws {
        let folder = TemporaryFolder()
        do {
            let s = try SessionProcess(folder)
            try s.client().add(Torrents.make("a"))
            let added = try s.discovery.next(DiscoveryTorrentAdd.self).message
            s.discovery.send(
                TrackerStatus(
                    torrent: added.torrent, tier: 0, url: "http://tracker.example/announce", state: 2, startedSent: 1, seeds: 1, leechers: 2, downloads: 3,
                    nextAnnounce: 4_000_000_000, completedPending: 1))
            // Counters and schedules are stored together, at most 10 s later.
            let store = folder.path + "/" + CatalogStore.fileName
            try until(20) { try CatalogStore(directory: URL(fileURLWithPath: store).deletingLastPathComponent().path).load(sameRun: true).schedules.isEmpty ? nil : true }
            try s.kill()
        }
        let s = try SessionProcess(folder, generation: 2)
        let again = try s.discovery.next(DiscoveryTorrentAdd.self).message
        #expect(again.trackers == [TrackerEntry(tier: 0, url: "http://tracker.example/announce", nextAnnounce: 4_000_000_000, startedSent: 1)])
        #expect(try s.discovery.next(DiscoveryCompletedAgain.self).message.trackers.map(\.url) == ["http://tracker.example/announce"])
    }

    @Test func addsByAddress() throws {
        let s = try SessionProcess(TemporaryFolder())
        let client = try s.client(), torrent = Torrents.make("by address")
        try client.send(ControlMethods.Add.self, AddParameters(url: "http://h/a.torrent", save: "/d"))
        let (wish, token) = try s.discovery.next(FetchUrl.self)
        #expect(wish.url == "http://h/a.torrent" && wish.allowLocal == 0 && wish.sizeLimit == UInt32(Control.torrentLimit))
        s.discovery.send(Fetched(offset: 0, bytes: Array(torrent[..<10]), isLast: 0), correlation: token)
        s.discovery.send(Fetched(offset: 10, bytes: Array(torrent[10...]), isLast: 1), correlation: token)
        #expect(try client.answer(ControlMethods.Add.self).name == "by address")
        // Refused, of no use, out of order: each is one answer.
        let ends: [(Fetched, ControlError.Code)] = [
            (Fetched(offset: 0, isLast: 1, message: "HTTP 500"), .unavailable), (Fetched(offset: 0, bytes: [1, 2, 3], isLast: 1), .invalidParameters),
            (Fetched(offset: 5, bytes: [1], isLast: 0), .tooLarge),
        ]
        for (end, expected) in ends {
            try client.send(ControlMethods.Add.self, AddParameters(url: "http://h/b.torrent", save: "/d"))
            let token = try s.discovery.next(FetchUrl.self).correlation
            s.discovery.send(end, correlation: token)
            #expect(code { _ = try client.answer(ControlMethods.Add.self) } == expected)
        }
        // A worker that dies over it is followed by another; a second death is an answer.
        try client.send(ControlMethods.Add.self, AddParameters(url: "http://h/c.torrent", save: "/d"))
        for generation in 2...3 as ClosedRange<UInt32> {
            #expect(try s.discovery.next(FetchUrl.self).message.url == "http://h/c.torrent")
            s.discovery = try s.replace(.discovery, generation: generation)
        }
        #expect(code { _ = try client.answer(ControlMethods.Add.self) } == .unavailable)
        #expect(code { try client.call(ControlMethods.Add.self, AddParameters(magnet: "magnet:?x", url: "http://h", save: "/d")) } == .invalidParameters)
    }

    @Test func feedsAreReadAndRulesTake() throws {
        let s = try SessionProcess(TemporaryFolder(), settings: [("disk.download_dir", .text("/dl"))])
        let client = try s.client()
        var rule = RSSRuleRow(name: "r")
        rule.mustContain = "one"
        rule.affectedFeeds = ["https://h/feed"]
        rule.category = "new"
        try client.call(ControlMethods.RSSSetRule.self, rule)
        try client.call(ControlMethods.RSSAddFeed.self, RSSFeedParameters(url: "https://h/feed"))
        let (_, token) = try s.discovery.next(FetchUrl.self)
        s.discovery.send(Fetched(offset: 0, bytes: Array(FeatureTests.feed.utf8), isLast: 1), correlation: token)
        let (wish, second) = try s.discovery.next(FetchUrl.self)
        #expect(wish.url == "http://h/1.torrent")
        s.discovery.send(Fetched(offset: 0, bytes: Torrents.make("from a feed"), isLast: 1), correlation: second)
        let row = try until { try client.list().first }
        #expect(row.category == "new" && row.savePath == "/dl/new")
        let feed = try client.call(ControlMethods.RSSItems.self, RSSItemsParameters(articles: true)).feeds[0]
        #expect(feed.title == "F" && feed.unread == 1 && feed.articles?.count == 2)
        #expect(try client.call(ControlMethods.RSSMatching.self, RSSMatchingParameters(name: "r")).feeds.first?.articles == ["One & two"])
        #expect(code { try client.call(ControlMethods.RSSAddFeed.self, RSSFeedParameters(url: "https://h/feed")) } == .conflict)
        #expect(code { try client.call(ControlMethods.RSSMove.self, RSSMoveParameters(path: "https://h/feed", newPath: "no\\x")) } == .conflict)
    }

    /// A rename is asked of the disk worker and answered by it; what failed leaves no trace.
    @Test func renamesOnDisk() throws {
        let s = try SessionProcess(TemporaryFolder())
        let client = try s.client(), hash = try client.add(Torrents.make("old.bin")).hash
        let added = try s.disk.next(DiskTorrentAdd.self).message
        ready(s, added.torrent, have: 1)
        for (message, from, to) in [("no room", "old.bin", "new.bin"), ("", "old.bin", "new.bin")] {
            try client.send(ControlMethods.RenameFile.self, RenameParameters(hash: hash, path: from, newPath: to))
            let move = try s.disk.next(DiskTorrentMove.self).message
            #expect(move.savePath == "/data" && move.renames == [PathRename(from: "old.bin", to: to)])
            s.disk.send(DiskMoved(torrent: added.torrent, savePath: "/data", message: message))
            #expect(code { _ = try client.answer(ControlMethods.RenameFile.self) } == (message.isEmpty ? nil : .storage))
        }
        #expect(code { try client.call(ControlMethods.RenameFile.self, RenameParameters(hash: hash, path: "old.bin", newPath: "x")) } == .notFound)
        #expect(try client.list()[0].contentPath == "/data/new.bin")
        // A new disk worker hears of the names.
        s.disk = try s.replace(.disk, generation: 2)
        #expect(try s.disk.next(DiskTorrentAdd.self).message.renames == [PathRename(from: "old.bin", to: "new.bin")])
    }

    @Test func changesAfterASnapshot() throws {
        let s = try SessionProcess(TemporaryFolder())
        let client = try s.client(), watcher = try s.client()
        let hash = try client.add(Torrents.make("a")).hash
        try client.add(Torrents.make("b"))
        try watcher.send(ControlMethods.Watch.self, WatchParameters(interval: 0.05, changes: true))
        func next() throws -> ControlAnswer<Empty> {
            guard let line = try watcher.line() else { throw Waited() }
            return try line.withUnsafeBytes { try ControlLine.read(ControlMethods.Watch.self, $0) }
        }
        #expect(try next().result != nil)
        #expect(try [next().torrent?.name, next().torrent?.name] == ["a", "b"])
        #expect(try next().event == "snapshot")
        try client.call(ControlMethods.CreateTags.self, NamesParameters(names: ["x"]))
        #expect(try next().event == "tags")
        var p = SetTorrentsParameters(hashes: [hash])
        p.comment = "new"
        try client.call(ControlMethods.SetTorrents.self, p)
        #expect(try next().torrent?.comment == "new")
        #expect(throws: Waited.self) { _ = try watcher.line(within: 0.3) }
        try client.call(ControlMethods.Remove.self, RemoveParameters(hash: hash))
        #expect(try next().removed == hash)
    }
}
