import Primitives

/// Where a torrent's bytes stand on a web server: which part of which file, and by which URL.
package struct WebSeedLayout: Sendable {
    package struct File: Hashable, Sendable {
        /// Components below the torrent's name.
        package let path: [String]
        package let offset: UInt64
        package let length: UInt64
        /// BEP 47: zeros that no server has.
        package let isPad: Bool
        package init(path: [String], offset: UInt64, length: UInt64, isPad: Bool) {
            (self.path, self.offset, self.length, self.isPad) = (path, offset, length, isPad)
        }
    }
    /// A part of one file.
    package struct Span: Hashable, Sendable {
        package let file: Int
        package let offset: UInt64
        package let length: UInt64
    }

    package let name: String
    package let isMultiFile: Bool
    package let infoHash: InfoHash
    package let pieceLength: UInt64
    /// In the order of their offsets, without gaps; empty ones too.
    package let files: [File]

    package init(name: String, isMultiFile: Bool, infoHash: InfoHash, pieceLength: UInt32, files: [File]) {
        self.name = name
        self.isMultiFile = isMultiFile
        self.infoHash = infoHash
        self.pieceLength = UInt64(pieceLength)
        self.files = files
    }

    /// The part of `offset ..< offset + length` that lies in one file. Needs bytes that the torrent has.
    package func span(at offset: UInt64, length: UInt64) -> Span {
        var low = 0, high = files.count
        while low < high {
            let middle = (low + high) / 2
            if files[middle].offset + files[middle].length <= offset { low = middle + 1 } else { high = middle }
        }
        let within = offset - files[low].offset
        return Span(file: low, offset: within, length: min(length, files[low].length - within))
    }

    /// BEP 19: a URL that ends in "/" is the folder that the name stands in; a torrent of several files always stands below
    /// its URL; a single file's URL that does not end so is the file itself.
    package func url(_ base: String, file: Int) -> String {
        if !isMultiFile { return base.hasSuffix("/") ? base + Self.escaped(name) : base }
        let folder = base.hasSuffix("/") ? base : base + "/"
        return folder + ([name] + files[file].path).map(Self.escaped).joined(separator: "/")
    }

    /// BEP 17: bytes `first ... last` of a piece.
    package func url(_ base: String, piece: UInt32, first: UInt32, last: UInt32) -> String {
        let hash = infoHash.bytes.map { "%" + Self.hex($0 >> 4) + Self.hex($0 & 15) }.joined()
        return base + (base.contains("?") ? "&" : "?") + "info_hash=\(hash)&piece=\(piece)&ranges=\(first)-\(last)"
    }

    /// RFC 3986: what is not unreserved is written as %XX of its UTF-8.
    static func escaped(_ component: String) -> String {
        var out = ""
        for byte in component.utf8 {
            let isUnreserved = byte >= 48 && byte <= 57 || (byte | 0x20) >= 97 && (byte | 0x20) <= 122 || byte == 45 || byte == 46 || byte == 95 || byte == 126
            out += isUnreserved ? String(UnicodeScalar(byte)) : "%" + hex(byte >> 4) + hex(byte & 15)
        }
        return out
    }
    private static func hex(_ nibble: UInt8) -> String { String(nibble, radix: 16, uppercase: true) }
}
