import Bencode
import CHash
import Primitives

@testable import Metainfo

/// Torrents made in code: what the tests that need no corpora are about.
enum Sample {
    typealias Fields = (inout BencodeWriter) -> Void

    static func bencode(_ body: Fields) -> [UInt8] {
        var w = BencodeWriter()
        body(&w)
        return w.array
    }

    /// A v1 torrent of one piece of 16 KiB; `files` as (path, length, attr, symlink path).
    static func v1(
        name: String = "top", files: [(path: [[UInt8]], length: Int64, attr: String?, link: [[UInt8]]?)]? = nil, length: Int64 = 100,
        pieceLength: Int64 = 16384, pieces: Int = 1, infoEnd: Fields = { _ in }, end: Fields = { _ in }, start: Fields = { _ in }
    ) -> [UInt8] {
        bencode { w in
            w.beginDictionary()
            start(&w)
            w.key("info")
            w.beginDictionary()
            if let files {
                w.key("files")
                w.beginList()
                for file in files {
                    w.beginDictionary()
                    if let attr = file.attr {
                        w.key("attr")
                        w.string(attr)
                    }
                    w.key("length")
                    w.integer(file.length)
                    w.key("path")
                    list(file.path, &w)
                    if let link = file.link {
                        w.key("symlink path")
                        list(link, &w)
                    }
                    w.end()
                }
                w.end()
            } else {
                w.key("length")
                w.integer(length)
            }
            w.key("name")
            w.string(name)
            w.key("piece length")
            w.integer(pieceLength)
            w.key("pieces")
            w.string([UInt8](repeating: 7, count: pieces * 20))
            infoEnd(&w)
            w.end()
            end(&w)
            w.end()
        }
    }

    static func files(_ paths: [String]) -> [UInt8] {
        v1(files: paths.map { ($0.split(separator: "|", omittingEmptySubsequences: false).map { Array($0.utf8) }, 1, nil, nil) })
    }

    static func list(_ items: [[UInt8]], _ w: inout BencodeWriter) {
        w.beginList()
        for item in items { w.string(item) }
        w.end()
    }

    /// Deterministic content.
    static func content(_ length: Int, seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        return (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    /// Hashes `contents` (parallel to the builder's given files, by path) as a caller would.
    static func hashes(_ builder: MetainfoBuilder, _ contents: [[[UInt8]]: [UInt8]]) -> MetainfoBuilder.Hashes {
        var sha1s: [UInt8] = [], roots: [UInt8] = []
        var tree = MerkleTree(pieceLength: UInt64(builder.geometry.pieceLength))
        for number in 0..<builder.geometry.pieceCount {
            let piece = PieceIndex(number)
            var whole: [UInt8] = [], own: [UInt8] = []
            for extent in builder.extents(of: piece) {
                guard let file = extent.file else {
                    whole += [UInt8](repeating: 0, count: Int(extent.length))
                    continue
                }
                let slice = contents[builder.files[file].path]![Int(extent.offset)..<Int(extent.offset + extent.length)]
                whole += slice
                own += slice
            }
            precondition(whole.count == Int(builder.geometry.length(of: piece)))
            if builder.version != .v2 { sha1s += whole.withUnsafeBytes { sha1($0).bytes } }
            if builder.version != .v1 {
                var blocks: [UInt8] = []
                for start in stride(from: 0, to: own.count, by: 16384) {
                    blocks += own[start..<min(start + 16384, own.count)].withUnsafeBytes { sha256($0).bytes }
                }
                roots += blocks.withUnsafeBytes { tree.root(ofBlocks: $0, leaves: builder.leaves(of: piece)).bytes }
            }
        }
        return MetainfoBuilder.Hashes(sha1: sha1s, roots: roots)
    }

    /// A small tree in each version, whole and valid.
    static func built(_ version: MetainfoBuilder.Version) -> [UInt8] {
        let contents: [[[UInt8]]: [UInt8]] = Dictionary(
            uniqueKeysWithValues: [("a", 40_000), ("d|b", 16_384), ("d|empty", 0), ("d|e|c", 1), ("d.x", 100_000), ("z", 32_769)].enumerated().map {
                ($1.0.split(separator: "|").map { Array($0.utf8) }, content($1.1, seed: UInt64($0)))
            })
        var files = contents.map { MetainfoBuilder.SourceFile(path: $0.key, length: UInt64($0.value.count), isExecutable: $0.key == [Array("a".utf8)]) }
        files.append(.init(path: [Array("d".utf8), Array("link".utf8)], length: 0, symlinkTarget: [Array("a".utf8)]))
        let builder = try! MetainfoBuilder(name: Array("top".utf8), files: files, version: version, pieceLength: 16384)
        var options = MetainfoBuilder.Options()
        options.trackers = [["http://a.example/announce", "udp://b.example:1/announce"], ["https://c.example/announce"]]
        options.webSeeds = ["http://w.example/files/"]
        options.comment = "a comment"
        options.creator = "tests"
        options.creationDate = 1_700_000_000
        options.isPrivate = true
        options.source = "TAG"
        return builder.make(hashes: hashes(builder, contents), options: options)
    }
}
