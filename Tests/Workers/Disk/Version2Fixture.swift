import Bencode
import CHash

/// v2 and hybrid torrents, their hashes made by a plain recursion over BEP 52's words.
extension Fixture {
    /// Files lie flat in the torrent's folder, in the order of their names; pad files fill the gaps between them.
    static func version2(files: [(String, Int)], pieceLength: Int, hybrid: Bool, seed: UInt64 = 7, zeros: Bool = false) -> Fixture {
        var rows: [File] = [], at = 0
        for (path, length) in files.sorted(by: { $0.0 < $1.0 }) {
            if length > 0, at % pieceLength != 0 {
                rows.append(File(path: "", length: pieceLength - at % pieceLength, isPad: true))
                at += rows.last!.length
            }
            rows.append(File(path: path, length: length))
            at += length
        }
        var fixture = Fixture(files: rows, pieceLength: pieceLength, seed: seed, zeros: zeros)
        fixture.version = hybrid ? .hybrid : .v2
        return fixture
    }

    /// Where the file that has bytes in the piece ends.
    func endOfFile(in piece: Int) -> Int {
        var start = 0
        for file in files {
            if !file.isPad, start <= piece * pieceLength, piece * pieceLength < start + file.length { return start + file.length }
            start += file.length
        }
        return 0
    }

    static func hash(_ bytes: some Collection<UInt8>) -> [UInt8] {
        let bytes = Array(bytes)
        var out = [UInt8](repeating: 0, count: 32)
        ccbt_sha256(bytes, bytes.count, &out)
        return out
    }
    static func root(_ data: ArraySlice<UInt8>, leaves: Int) -> [UInt8] {
        if leaves == 1 { return data.isEmpty ? [UInt8](repeating: 0, count: 32) : hash(data) }
        let half = leaves / 2 * 16384
        return hash(root(data.prefix(half), leaves: leaves / 2) + root(data.dropFirst(half), leaves: leaves / 2))
    }
    static func leaves(_ length: Int) -> Int {
        var width = 1
        while width * 16384 < length { width *= 2 }
        return width
    }
    func root(ofFile i: Int) -> [UInt8] { Self.root(bytes(of: i), leaves: Self.leaves(files[i].length)) }
    func layer(ofFile i: Int) -> [UInt8] {
        let bytes = bytes(of: i)
        return stride(from: 0, to: bytes.count, by: pieceLength).flatMap {
            Self.root(bytes.dropFirst($0).prefix(pieceLength), leaves: pieceLength / 16384)
        }
    }

    var metainfo2: [UInt8] {
        let real = files.indices.filter { !files[$0].isPad }
        var w = BencodeWriter()
        w.beginDictionary()
        w.key("info")
        w.beginDictionary()
        w.key("file tree")
        w.beginDictionary()
        for i in real {
            w.key(Array(files[i].path.utf8))
            w.beginDictionary()
            w.key("")
            w.beginDictionary()
            if !files[i].attributes.isEmpty {
                w.key("attr")
                w.string(files[i].attributes)
            }
            w.key("length")
            w.integer(files[i].length)
            if files[i].length > 0 {
                w.key("pieces root")
                w.string(root(ofFile: i))
            }
            w.end()
            w.end()
        }
        w.end()
        if version == .hybrid {
            w.key("files")
            w.beginList()
            for file in files {
                w.beginDictionary()
                if file.isPad {
                    w.key("attr")
                    w.string("p")
                }
                w.key("length")
                w.integer(file.length)
                w.key("path")
                w.beginList()
                w.string(file.isPad ? ".pad" : file.path)
                w.end()
                w.end()
            }
            w.end()
        }
        w.key("meta version")
        w.integer(2)
        w.key("name")
        w.string(name)
        w.key("piece length")
        w.integer(pieceLength)
        if version == .hybrid {
            w.key("pieces")
            w.string(
                (0..<pieceCount).flatMap { i in
                    var digest = [UInt8](repeating: 0, count: 20)
                    let bytes = Array(piece(i))
                    ccbt_sha1(bytes, bytes.count, &digest)
                    return digest
                })
        }
        w.end()
        w.key("piece layers")
        w.beginDictionary()
        let layers = real.filter { files[$0].length > pieceLength }.map { (root(ofFile: $0), layer(ofFile: $0)) }
        for (root, layer) in layers.sorted(by: { $0.0.lexicographicallyPrecedes($1.0) }) {
            w.key(root)
            w.string(layer)
        }
        w.end()
        w.end()
        return w.array
    }
}
