import Bencode
import Primitives

/// What a .torrent says (BEP 3, 12, 17, 19, 27, 47, 52). Made by ``init(parsing:limits:)``; hashes stay in the
/// source bytes and are found by offset, so that a client with many torrents keeps them on disk.
///
/// Invariants: at least one of the info-hashes is there; the files cover `0 ..< geometry.totalLength` without gap or
/// overlap (a v2 torrent gets pad files that make this so); every path is relative and safe to create.
package struct Metainfo: Sendable {
    /// SHA-1 of the info dictionary; nil for a torrent that is v2 only.
    package let infoHashV1: SHA1Digest?
    /// SHA-256 of the info dictionary; nil for a torrent that is v1 only.
    package let infoHashV2: SHA256Digest?
    /// Cleaned as path components are. The first component of every path when ``isMultiFile``, else the file's name.
    package let name: String
    package let isMultiFile: Bool
    package let files: TorrentFiles
    /// Pieces over the byte space of all files, pad files counted.
    package let geometry: PieceGeometry
    /// Bytes of content: without pad files.
    package let contentLength: UInt64
    /// The info dictionary in the source bytes (what BEP 9 transfers).
    package let infoRange: Range<Int>
    /// Content of `pieces` in the source bytes, 20 bytes a piece; nil for v2 only.
    package let pieceHashes: Range<Int>?
    /// False while a v2 file of more than one piece has no piece layer (a torrent that came through BEP 9).
    package let hasAllPieceLayers: Bool

    /// BEP 12: announce-list, or announce where that has no usable URL. Schemes http, https, udp, ws, wss.
    package let trackers: [[String]]
    /// BEP 19 `url-list`: http and https URLs, and paths that some indexes write without a host.
    package let webSeeds: [String]
    /// BEP 17 `httpseeds`.
    package let httpSeeds: [String]
    /// BEP 5 `nodes`: host (name or literal) and port.
    package let nodes: [DHTNode]
    /// BEP 27.
    package let isPrivate: Bool
    package let comment: String?
    package let creator: String?
    /// Seconds since 1970.
    package let creationDate: Int64?
    /// `source` in the info dictionary: trackers set it to get an info-hash of their own.
    package let source: String?

    package struct DHTNode: Sendable, Hashable {
        package let host: String
        package let port: UInt16
    }

    /// The 20 bytes that name the swarm in handshakes and announces: v1 where there is one.
    package var infoHash: InfoHash { infoHashV1 ?? infoHashV2!.truncated }
    package var isHybrid: Bool { infoHashV1 != nil && infoHashV2 != nil }

    /// Where the v1 hash of a piece stands in the source bytes.
    package func pieceHashOffset(_ piece: PieceIndex) -> Int? {
        pieceHashes.map { $0.lowerBound + 20 * piece.int }
    }

    /// The file that holds byte `offset` of the byte space; with empty files there, the one that has bytes.
    package func file(at offset: UInt64) -> FileIndex? {
        guard offset < geometry.totalLength else { return nil }
        var low = 0, high = files.count
        while low < high {
            let middle = (low + high) / 2
            let row = files.rows[middle]
            if row.offset + row.length <= offset { low = middle + 1 } else { high = middle }
        }
        return FileIndex(low)
    }
}

package struct FileAttributes: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    /// BEP 47: zeros that are never stored or asked for.
    package static let pad = FileAttributes(rawValue: 1)
    package static let executable = FileAttributes(rawValue: 2)
    package static let hidden = FileAttributes(rawValue: 4)
    package static let symlink = FileAttributes(rawValue: 8)

    /// As in the torrent: letters in the order of BEP 47.
    package var letters: String {
        (contains(.symlink) ? "l" : "") + (contains(.executable) ? "x" : "") + (contains(.hidden) ? "h" : "")
            + (contains(.pad) ? "p" : "")
    }
}

/// One file of a torrent, made on demand from the packed rows.
package struct TorrentFile: Sendable {
    package let index: FileIndex
    /// Bytes; 0 for symlinks.
    package let length: UInt64
    /// First byte in the torrent's byte space.
    package let offset: UInt64
    package let attributes: FileAttributes
    /// Offset of the 32-byte BEP 52 `pieces root` in the source; nil for v1 and for empty files.
    package let piecesRootOffset: Int?
    /// Offset in the source of the file's piece layer (32 bytes a piece); nil for files of one piece.
    package let pieceLayerOffset: Int?
    let tree: PathTree
    let node: UInt32, link: UInt32

    package var isPad: Bool { attributes.contains(.pad) }
    /// Where the file goes under the save folder, the torrent's name first; empty for pad files.
    package var pathComponents: [String] { tree.components(node) }
    /// ``pathComponents`` joined by "/".
    package var path: String { tree.path(node) }
    package var name: String { pathComponents.last ?? "" }
    /// For a symlink: the path under the save folder, as ``pathComponents`` gives them, of the file or folder of this
    /// torrent that it leads to. nil when the torrent named something else: nothing may be created for it then.
    package var symlinkTarget: [String]? {
        guard attributes.contains(.symlink), link != PathTree.none else { return nil }
        return tree.components(link)
    }
}

/// All files in the order of the byte space; 40 bytes each beside the names.
package struct TorrentFiles: RandomAccessCollection, Sendable {
    struct Row: Sendable {
        var length: UInt64
        var offset: UInt64 = 0
        /// In the tree; ``PathTree/none`` for pad files.
        var node: UInt32
        var link: UInt32 = PathTree.none
        /// Offsets in the source; 0 is "none" (a torrent starts with "d").
        var root: UInt32 = 0
        var layer: UInt32 = 0
        var attributes: FileAttributes
    }
    let rows: [Row]
    let tree: PathTree

    package var startIndex: Int { 0 }
    package var endIndex: Int { rows.count }
    package subscript(_ i: Int) -> TorrentFile {
        let row = rows[i]
        return TorrentFile(
            index: FileIndex(i), length: row.length, offset: row.offset, attributes: row.attributes,
            piecesRootOffset: row.root == 0 ? nil : Int(row.root), pieceLayerOffset: row.layer == 0 ? nil : Int(row.layer),
            tree: tree, node: row.node, link: row.link)
    }
    package subscript(_ i: FileIndex) -> TorrentFile { self[i.int] }

    /// Of a v2-only torrent, whose files each begin a piece.
    func tails(pieceLength: UInt64) -> FileTails {
        var pieces: [UInt32] = [], lengths: [UInt32] = []
        for row in rows where !row.attributes.contains(.pad) && row.length % pieceLength != 0 {
            pieces.append(UInt32(truncatingIfNeeded: (row.offset + row.length) / pieceLength))
            lengths.append(UInt32(row.length % pieceLength))
        }
        return FileTails(pieces: pieces, lengths: lengths)!
    }
}
