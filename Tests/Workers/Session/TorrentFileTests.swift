import Catalog
import Foundation
import Metainfo
import Primitives
import Testing

@testable import SessionWorker

/// Aim: a stored .torrent is the torrent that was added, whole, and found again.
@Suite struct TorrentFileTests {
    @Test func theNoteLeavesTheTorrentAsItIs() throws {
        let original = Torrents.make("a name", isPrivate: true)
        let plain = try TorrentReading.facts(original)
        let note = TorrentReading.Note(savePath: "/some/where", addedAt: 77, isPaused: true, isSequential: false)
        let reading = try TorrentReading(original, note: note)
        #expect(reading.facts == plain, "the hash, and the place of the info dictionary")
        #expect(TorrentReading.note(reading.stored) == note)
        #expect(TorrentReading.note(original) == nil)
        // A second note replaces the first.
        let moved = try TorrentReading(reading.stored, note: TorrentReading.Note(savePath: "/else"))
        #expect(moved.facts == plain)
        #expect(TorrentReading.note(moved.stored)?.savePath == "/else")
        let info = Array(reading.stored[Int(plain.metadataOffset)..<Int(plain.metadataOffset + plain.metadataLength)])
        #expect(info == Torrents.info("a name", isPrivate: true))
    }

    @Test func webSeedsChangeAndNothingElseDoes() throws {
        let plain = try TorrentReading(Torrents.make("a name"), note: TorrentReading.Note(savePath: "/some/where", addedAt: 77)), facts = plain.facts
        var stored = plain.stored
        for urls in [["http://a.example/x"], ["http://a.example/x", "https://b.example/y"], ["https://b.example/y"]] {
            stored = try #require(TorrentReading.with(webSeeds: urls, stored))
            #expect(try Metainfo(parsing: stored).webSeeds == urls)
            #expect(try TorrentReading.facts(stored) == facts, "the place of the info dictionary too")
            #expect(TorrentReading.note(stored)?.savePath == "/some/where")
        }
        #expect(TorrentReading.with(webSeeds: [], stored) == plain.stored)
        // In front of `info` a list would move it.
        #expect(TorrentReading.with(webSeeds: ["http://a.example/x"], Array("d8:url-list1:x4:infod1:ai1eee".utf8)) == nil)
        #expect(TorrentReading.with(webSeeds: ["http://a.example/x"], Array("d1:zi1e4:infod1:ai1eee".utf8)) == Array("d1:zi1e4:infod1:ai1ee8:url-listl18:http://a.example/xee".utf8))
        for end in 0..<plain.stored.count { #expect(TorrentReading.with(webSeeds: ["http://a.example/x"], Array(plain.stored[..<end])) == nil, "\(end)") }
        for bad in ["", "ftp://a/x", "http://", "http://a\r\nb", "/path", "javascript:alert(1)", "http://" + String(repeating: "a", count: 2048)] { #expect(Metainfo.webSeed(bad) == nil, "\(bad)") }
        #expect(Metainfo.webSeed(" http://a.example/a b ") == "http://a.example/a%20b")
    }

    @Test func metadataOfAMagnetBecomesTheSameTorrent() throws {
        let whole = try TorrentReading.facts(Torrents.make("m"))
        let reading = try TorrentReading(
            info: Torrents.info("m"), trackers: [["http://tracker.example/announce"]], note: TorrentReading.Note(savePath: "/m"))
        #expect(reading.facts.infoHash == whole.infoHash)
        #expect(reading.facts.trackers == whole.trackers)
        #expect(TorrentReading.note(reading.stored)?.savePath == "/m")
    }

    @Test(arguments: ["", "d", "de", "i5e", "garbage", "d4:infod4:name1:aee", "4:spam"]) func whatIsNoTorrentIsRefusedInOneLine(_ text: String) {
        #expect {
            try TorrentReading(Array(text.utf8), note: TorrentReading.Note(savePath: "/"))
        } throws: {
            let line = "\($0)"
            return !line.isEmpty && !line.contains("\n")
        }
    }

    /// Bits flipped and bytes cut: refused or read, never a crash; what is read has its own hash.
    @Test func mutatedTorrents() throws {
        let original = Torrents.make("mutated", pieces: 4)
        var random = SeededRandom(seed: 3), read = 0
        for _ in 0..<5000 {
            var bytes = original
            for _ in 0...random.below(3) { bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8)) }
            if random.chance(0.3) { bytes.removeLast(random.below(bytes.count)) }
            guard let reading = try? TorrentReading(bytes, note: TorrentReading.Note(savePath: "/x")) else { continue }
            read += 1
            #expect(try TorrentReading.facts(reading.stored) == reading.facts)
            #expect(TorrentReading.note(reading.stored)?.savePath == "/x")
        }
        #expect(read > 100 && read < 4900)
    }

    @Test func filesAreWrittenFoundReadAndRemoved() throws {
        let folder = TemporaryFolder()
        let files = try StoredTorrents(stateDirectory: folder.path)
        let a = try TorrentReading(Torrents.make("a"), note: .init(savePath: "/")), b = try TorrentReading(Torrents.make("b"), note: .init(savePath: "/"))
        let m = InfoHash(hex: String(repeating: "0f", count: 20))!
        try files.write([
            (a.facts.infoHash, .torrent(a.stored)), (b.facts.infoHash, .torrent(b.stored)), (m, .magnet("magnet:?x", savePath: "/m")),
        ])
        try Data("half".utf8).write(to: URL(fileURLWithPath: files.path(m) + ".new"))
        let listed = files.list()
        #expect(Set(listed.torrents) == [a.facts.infoHash, b.facts.infoHash])
        #expect(listed.magnets == [m])
        #expect(!FileManager.default.fileExists(atPath: files.path(m) + ".new"), "left by a crash")
        #expect(files.read(a.facts.infoHash) == a.stored)
        #expect(files.read(a.facts.infoHash, limit: 10) == nil)
        #expect(files.read(b.facts.infoHash, offset: 1, count: 8) == Array(b.stored[1..<9]))
        #expect(files.read(b.facts.infoHash, offset: b.stored.count - 2, count: 8) == nil)
        #expect(files.readMagnet(m)?.uri == "magnet:?x" && files.readMagnet(m)?.savePath == "/m")
        let mode = try FileManager.default.attributesOfItem(atPath: files.path(a.facts.infoHash))[.posixPermissions] as? Int
        #expect(mode == 0o600)
        files.remove([a.facts.infoHash, m])
        #expect(files.list().torrents == [b.facts.infoHash] && files.list().magnets.isEmpty)
    }

    @Test func aWriteThatFailsSaysWhere() throws {
        let folder = TemporaryFolder()
        let files = try StoredTorrents(stateDirectory: folder.path)
        try FileManager.default.removeItem(atPath: files.folder)
        #expect { try files.write([(InfoHash(), .torrent([1]))]) } throws: { "\($0)".contains("No such file") && "\($0)".contains(files.folder) }
    }
}
