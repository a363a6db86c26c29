import Bencode
import Catalog
import IPC
import Metainfo
import Primitives

/// From a .torrent's bytes to what the catalogue and the state directory keep of it.
package struct TorrentReading: Sendable {
    package let facts: TorrentFacts
    /// The file as stored: the original with a note behind its other keys. The info dictionary, and so the hash, is
    /// untouched.
    package let stored: [UInt8]
    /// Files of more than one piece whose piece layer the torrent has not (BEP 52); each root once.
    let missingLayers: [WantedLayer]
    /// How to come by the layers of a torrent that cannot do without them: as a magnet link comes by all of it.
    let magnetForLayers: Magnet?
    /// The torrent's own words; empty: none.
    package private(set) var comment = ""
    /// See ``lay(out:)``.
    package private(set) var names = NamePlan()
    package private(set) var roots: [String] = []
    /// BEP 5: DHT nodes that the torrent names.
    package let nodes: [Metainfo.DHTNode]

    package struct Refused: Error, CustomStringConvertible, Sendable {
        package let description: String
    }

    /// What a rebuilt catalogue would otherwise not know.
    package struct Note: Hashable, Sendable {
        package var savePath: String
        package var addedAt: UInt64
        package var isPaused: Bool
        package var isSequential: Bool
        package init(savePath: String, addedAt: UInt64 = 0, isPaused: Bool = false, isSequential: Bool = false) {
            self.savePath = savePath
            self.addedAt = addedAt
            self.isPaused = isPaused
            self.isSequential = isSequential
        }
    }
    /// Stands behind every key that torrents are known to have, so that the info dictionary keeps its place.
    private static let noteKey: StaticString = "x-ccbt"
    /// A bitfield of these is 875,000 bytes: it and a save path fit a frame of 1 MiB.
    static let mostPieces = 7_000_000
    static let mostTrackerBytes = 256 << 10

    /// `bytes` within the bounds of ``Metainfo``.
    package init(_ bytes: [UInt8], note: Note) throws(Refused) {
        stored = try Self.annotate(bytes, note)
        let m = try Self.parse(stored)
        facts = try Self.facts(m)
        nodes = m.nodes
        missingLayers = Self.missingLayers(m, stored)
        magnetForLayers = m.infoHashV1 == nil && !missingLayers.isEmpty ? Self.magnet(m) : nil
        comment = Text.printable(m.comment ?? "", limit: 4096)
        paths = m.files.filter { !$0.isPad }.map(\.path)
    }
    private let paths: [String]

    private static func missingLayers(_ m: Metainfo, _ bytes: [UInt8]) -> [WantedLayer] {
        guard m.infoHashV2 != nil, !m.hasAllPieceLayers else { return [] }
        let pieceLength = UInt64(m.geometry.pieceLength)
        var seen: Set<SHA256Digest> = [], out: [WantedLayer] = []
        for file in m.files where file.length > pieceLength && file.pieceLayerOffset == nil {
            guard let at = file.piecesRootOffset, let root = SHA256Digest(bytes[at..<at + 32]), seen.insert(root).inserted else { continue }
            out.append(WantedLayer(root: root, pieces: UInt32((file.length + pieceLength - 1) / pieceLength)))
        }
        return out
    }
    private static func magnet(_ m: Metainfo) -> Magnet {
        var magnet = Magnet(infoHashV1: m.infoHashV1, infoHashV2: m.infoHashV2)
        magnet.name = m.name
        magnet.trackers = m.trackers.flatMap { $0 }
        magnet.webSeeds = m.webSeeds
        return magnet
    }

    /// How the files are to stand in the save folder: 0 as the torrent has it, 1 a single file gets a folder of its own,
    /// 2 a folder's content stands without it.
    package mutating func lay(out layout: UInt8) {
        let isFolder = paths.contains { $0.utf8.contains(UInt8(ascii: "/")) }
        if layout == 1, !isFolder, let file = paths.first {
            let name = file.lastIndex(of: ".").map { $0 == file.startIndex ? file : String(file[..<$0]) } ?? file
            // A folder of the same name as the file in it is made well: the rename goes from path to path.
            names = NamePlan(renames: [.init(from: file, to: name + "/" + file)])
        } else if layout == 2, isFolder {
            names = NamePlan(renames: [.init(from: facts.rootName, to: "")])
        }
        // So many names may be claimed; beyond, the first stand for all.
        roots = Array(Set(paths.map { String(names.name($0).prefix { $0 != "/" }) }).sorted().prefix(1000))
    }

    /// Gives these names in the save folder a mark: at their end, or before a single file's extension. Needs ``lay(out:)``.
    mutating func rename(_ roots: [String], by mark: String) {
        for root in roots {
            let isFile = paths.contains { names.name($0) == root }
            let dot = isFile ? root.lastIndex(of: ".").flatMap { $0 == root.startIndex ? nil : $0 } : nil
            let marked = dot.map { root[..<$0] + mark + root[$0...] } ?? root + mark
            names.renames.append(.init(from: root, to: String(marked)))
        }
        self.roots = names.roots(self.roots)
    }

    /// A magnet's metadata (hash already right) made into a .torrent.
    /// `layers`: for each of `roots` its piece layer, proven.
    package init(
        info: [UInt8], trackers: [[String]], webSeeds: [String] = [], layers: [(root: SHA256Digest, hashes: ArraySlice<UInt8>)] = [], note: Note
    ) throws(Refused) {
        var pieceLayers: [UInt8]?
        if !layers.isEmpty {
            var w = BencodeWriter()
            w.beginDictionary()
            for layer in layers.sorted(by: { $0.root.bytes.lexicographicallyPrecedes($1.root.bytes) }) {
                w.key(layer.root.bytes)
                w.string(Array(layer.hashes))
            }
            w.end()
            pieceLayers = w.array
        }
        try self.init(info.withUnsafeBytes { StoredTorrent.make(info: $0, trackers: trackers, webSeeds: webSeeds, pieceLayers: pieceLayers) }, note: note)
    }

    package static func facts(_ stored: [UInt8]) throws(Refused) -> TorrentFacts { try facts(parse(stored)) }
    private static func parse(_ stored: [UInt8]) throws(Refused) -> Metainfo {
        do { return try Metainfo(parsing: stored) } catch { throw Refused(description: "\(error)") }
    }
    private static func facts(_ m: Metainfo) throws(Refused) -> TorrentFacts {
        guard m.geometry.pieceCount <= mostPieces else { throw Refused(description: "more than \(mostPieces) pieces") }
        // The gaps between the files of a v2-only torrent are no bytes of it; the pad files of other torrents are.
        return TorrentFacts(
            infoHash: m.infoHash, infoHashV2: m.infoHashV2 ?? SHA256Digest(), hasV1: m.infoHashV1 != nil, name: m.name, rootName: rootName(m),
            totalLength: m.infoHashV1 == nil ? m.contentLength : m.geometry.totalLength, pieceLength: m.geometry.pieceLength, pieceCount: UInt32(m.geometry.pieceCount),
            fileCount: UInt32(m.files.lazy.filter { !$0.isPad }.count), isPrivate: m.isPrivate, metadataOffset: UInt32(m.infoRange.lowerBound),
            metadataLength: UInt32(m.infoRange.count), trackers: trackers(m.trackers))
    }

    /// As many as fit a frame beside everything else.
    static func trackers(_ tiers: [[String]]) -> [[String]] {
        var left = mostTrackerBytes
        return tiers.map { tier in
            tier.filter { url in
                left -= url.utf8.count
                return left >= 0
            }
        }.filter { !$0.isEmpty }
    }

    /// The one name in the save folder that holds everything.
    private static func rootName(_ m: Metainfo) -> String {
        for file in m.files where !file.isPad { if let first = file.pathComponents.first { return first } }
        return m.name
    }

    /// A stored file as it may be given away: without our note, with the trackers as they are now. The info dictionary is untouched.
    static func exported(_ stored: [UInt8], trackers: [[String]]) -> [UInt8]? {
        var parser = BencodeParser()
        return stored.withUnsafeBytes { raw -> [UInt8]? in
            guard let root = try? parser.parse(raw, limits: .torrent, tolerance: .lenient), root.kind == .dictionary else { return nil }
            var w = BencodeWriter()
            if let first = trackers.first?.first {
                w.beginDictionary()
                w.key("announce")
                w.string(first)
                w.key("announce-list")
                w.beginList()
                for tier in trackers {
                    w.beginList()
                    for url in tier { w.string(url) }
                    w.end()
                }
                w.end()
                w.end()
            }
            // Our two keys come before all others that are kept ("announce…" sorts before what torrents hold), so the order stays.
            var out = [UInt8](w.bytes.dropLast())
            if out.isEmpty { out = [UInt8(ascii: "d")] }
            for (key, value) in root.entries where key.text != noteKey.description && key.text != "announce" && key.text != "announce-list" {
                out.append(contentsOf: key.encoded)
                out.append(contentsOf: value.encoded)
            }
            out.append(UInt8(ascii: "e"))
            return out
        }
    }

    private static func annotate(_ bytes: [UInt8], _ note: Note) throws(Refused) -> [UInt8] {
        var parser = BencodeParser()
        var out: [UInt8]?
        bytes.withUnsafeBytes { raw in
            guard let root = try? parser.parse(raw, limits: .torrent, tolerance: .lenient), root.kind == .dictionary else { return }
            var kept: [UInt8] = [UInt8(ascii: "d")]
            kept.reserveCapacity(raw.count + note.savePath.utf8.count + 128)
            for (key, value) in root.entries where key.text != noteKey.description {
                kept.append(contentsOf: key.encoded)
                kept.append(contentsOf: value.encoded)
            }
            var w = BencodeWriter()
            w.beginDictionary()
            w.key("added")
            w.integer(note.addedAt)
            w.key("paused")
            w.integer(note.isPaused ? 1 : 0)
            w.key("save")
            w.string(note.savePath)
            w.key("sequential")
            w.integer(note.isSequential ? 1 : 0)
            w.end()
            kept.append(contentsOf: "\(noteKey.utf8CodeUnitCount):\(noteKey)".utf8)
            kept.append(contentsOf: w.bytes)
            kept.append(UInt8(ascii: "e"))
            out = kept
        }
        guard let out else {
            // For its words: the parse that names the byte.
            do { _ = try Metainfo(parsing: bytes) } catch { throw Refused(description: "\(error)") }
            throw Refused(description: "not a torrent")
        }
        return out
    }

    /// The note of a stored file; nil in a file that is not ours.
    package static func note(_ stored: [UInt8]) -> Note? {
        var parser = BencodeParser()
        return stored.withUnsafeBytes { raw -> Note? in
            guard let root = try? parser.parse(raw, limits: .torrent, tolerance: .lenient), let note = root[noteKey],
                let savePath = note["save"]?.text, savePath.hasPrefix("/")
            else { return nil }
            return Note(
                savePath: savePath, addedAt: UInt64(clamping: note["added"]?.integer ?? 0), isPaused: note["paused"]?.integer == 1,
                isSequential: note["sequential"]?.integer == 1)
        }
    }
}
