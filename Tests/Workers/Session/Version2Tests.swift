import Bencode
import Catalog
import Metainfo
import Primitives
import Testing

@testable import SessionWorker

/// What the catalogue keeps of v2 torrents, and which of them need more than their file.
@Suite struct Version2Tests {
    /// `lengths`: files "a", "b", … in pieces of 16 KiB; roots are made up, no data stands behind them.
    private func torrent(_ lengths: [Int], layers: Bool = false) -> [UInt8] {
        var w = BencodeWriter()
        w.beginDictionary()
        w.key("announce")
        w.string("http://tracker.example/announce")
        w.key("info")
        w.beginDictionary()
        w.key("file tree")
        w.beginDictionary()
        for (i, length) in lengths.enumerated() {
            w.key([UInt8(ascii: "a") + UInt8(i)])
            w.beginDictionary()
            w.key("")
            w.beginDictionary()
            w.key("length")
            w.integer(length)
            w.key("pieces root")
            w.string([UInt8](repeating: UInt8(i + 1), count: 32))
            w.end()
            w.end()
        }
        w.end()
        w.key("meta version")
        w.integer(2)
        w.key("name")
        w.string("top")
        w.key("piece length")
        w.integer(16384)
        w.end()
        w.end()
        return w.array
    }

    @Test func aTorrentOfSmallFilesNeedsNoLayers() throws {
        let reading = try TorrentReading(torrent([100, 16384, 5]), note: .init(savePath: "/data"))
        #expect(!reading.facts.hasV1 && !reading.facts.infoHashV2.isZero && reading.facts.infoHash == reading.facts.infoHashV2.truncated)
        // Three pieces; the gaps behind the first file are no bytes of it.
        #expect(reading.facts.pieceCount == 3 && reading.facts.totalLength == 16_489)
        #expect(reading.missingLayers.isEmpty && reading.magnetForLayers == nil)
        // The note leaves the info dictionary, and so the hash, as it was.
        #expect(try TorrentReading.facts(reading.stored).infoHashV2 == reading.facts.infoHashV2)
    }

    @Test func aTorrentWithoutItsLayersIsAddedAsItsMagnetLink() throws {
        let reading = try TorrentReading(torrent([100, 40_000, 16_385]), note: .init(savePath: "/data"))
        #expect(reading.missingLayers.map(\.pieces) == [3, 2])
        let link = try #require(reading.magnetForLayers)
        let again = try Magnet(parsing: link.link)
        #expect(again.infoHashV2 == reading.facts.infoHashV2 && again.infoHashV1 == nil && again.trackers == ["http://tracker.example/announce"])
        let facts = MagnetReading.facts(again)
        #expect(facts.infoHash == reading.facts.infoHash && !facts.hasV1 && !facts.hasMetadata)
    }

    @Test func layersThatDoNotLeadToTheirRootAreRefused() throws {
        let whole = torrent([40_000])
        let m = try Metainfo(parsing: whole), info = Array(whole[m.infoRange])
        let layers = [(root: SHA256Digest([UInt8](repeating: 1, count: 32))!, hashes: [UInt8](repeating: 9, count: 96)[...])]
        #expect(throws: TorrentReading.Refused.self) { try TorrentReading(info: info, trackers: [], layers: layers, note: .init(savePath: "/data")) }
    }

    @Test func metadataMustBeWhatTheLinkNamed() {
        let v1 = InfoHash([UInt8](repeating: 1, count: 20))!, v2 = SHA256Digest([UInt8](repeating: 2, count: 32))!
        let hybrid = TorrentFacts(infoHash: v1, infoHashV2: v2, name: "x")
        #expect(hybrid.isNamed(as: TorrentFacts(infoHash: v1, name: "x")))
        #expect(hybrid.isNamed(as: TorrentFacts(infoHash: v2.truncated, infoHashV2: v2, hasV1: false, name: "x")), "by the v2 hash alone")
        #expect(hybrid.isNamed(as: TorrentFacts(infoHash: v1, infoHashV2: v2, name: "x")))
        #expect(!hybrid.isNamed(as: TorrentFacts(infoHash: v2.truncated, name: "x")))
        #expect(!TorrentFacts(infoHash: v1, name: "x").isNamed(as: TorrentFacts(infoHash: v1, infoHashV2: v2, name: "x")), "both names, one true")
    }
}
