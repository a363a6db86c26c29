import Metainfo
import Primitives

/// What a piece must hash to, by both rules where a torrent has both.
struct PieceHashes: Sendable {
    /// Content of `pieces` (BEP 3), 20 bytes a piece; empty for v2 only.
    var version1: [UInt8] = []
    /// nil for v1 only.
    var version2: PieceRoots?

    var isEmpty: Bool { version1.isEmpty && version2 == nil }

    func expected(_ piece: Int) -> SHA1Digest? {
        guard !version1.isEmpty else { return nil }
        return version1.withUnsafeBytes { SHA1Digest(bytes: UnsafeRawBufferPointer(rebasing: $0[piece * 20..<piece * 20 + 20])) }
    }
}

/// The v2 side of one piece: the node over the `length` bytes of its file that it holds, in a tree of `width` leaves.
struct ExpectedRoot: Hashable, Sendable {
    var root: SHA256Digest
    var length: UInt32
    var width: UInt32
}

/// The v2 hashes of a torrent's pieces (BEP 52): of a file within one piece its pieces root, of a larger one its piece layer.
final class PieceRoots: Sendable {
    struct File: Sendable {
        let root: SHA256Digest
        let index: Int
        let firstPiece: Int
        let length: UInt64
    }
    let pieceLength: UInt64
    /// Files with content, in the order of their pieces.
    let files: [File]
    /// 32 bytes a piece; zeros where the torrent has no hash (a hybrid without piece layers, padding).
    private let hashes: [UInt8]

    /// nil for a torrent without v2 hashes. `bytes`: what was parsed.
    init?(_ meta: Metainfo, _ bytes: [UInt8]) {
        guard meta.infoHashV2 != nil else { return nil }
        pieceLength = UInt64(meta.geometry.pieceLength)
        var files: [File] = [], hashes = [UInt8](repeating: 0, count: 32 * meta.geometry.pieceCount)
        for file in meta.files {
            guard !file.isPad, file.length > 0, let at = file.piecesRootOffset else { continue }
            let first = Int(file.offset / pieceLength)
            files.append(
                File(root: SHA256Digest(bytes[at..<at + 32])!, index: file.index.int, firstPiece: first, length: file.length))
            if file.length <= pieceLength {
                hashes.replaceSubrange(32 * first..<32 * first + 32, with: bytes[at..<at + 32])
            } else if let layer = file.pieceLayerOffset {
                let count = 32 * Int((file.length + pieceLength - 1) / pieceLength)
                hashes.replaceSubrange(32 * first..<32 * first + count, with: bytes[layer..<layer + count])
            }
        }
        self.files = files
        self.hashes = hashes
    }

    var pieceCount: Int { hashes.count / 32 }
    func hash(_ piece: Int) -> SHA256Digest {
        hashes.withUnsafeBytes { SHA256Digest(bytes: UnsafeRawBufferPointer(rebasing: $0[32 * piece..<32 * piece + 32])) }
    }

    /// The file that has bytes in `piece`. O(log files).
    func file(of piece: Int) -> File? {
        var low = 0, high = files.count
        while low < high {
            let middle = (low + high) / 2
            if files[middle].firstPiece <= piece { low = middle + 1 } else { high = middle }
        }
        guard low > 0, UInt64(piece - files[low - 1].firstPiece) * pieceLength < files[low - 1].length else { return nil }
        return files[low - 1]
    }
    func file(root: SHA256Digest) -> File? { files.first { $0.root == root } }

    /// nil: there is no v2 hash to compare with.
    func expected(_ piece: Int) -> ExpectedRoot? {
        let root = hash(piece)
        guard !root.isZero, let file = file(of: piece) else { return nil }
        let begin = UInt64(piece - file.firstPiece) * pieceLength
        return ExpectedRoot(
            root: root, length: UInt32(min(pieceLength, file.length - begin)),
            width: file.length <= pieceLength ? UInt32(Self.width(blocks: Self.blocks(file.length))) : UInt32(pieceLength / 16384))
    }

    static func blocks(_ length: UInt64) -> UInt64 { (length + 16383) / 16384 }
    /// Leaves of a tree: the next power of two.
    static func width(blocks: UInt64) -> UInt64 {
        var width: UInt64 = 1
        while width < blocks { width *= 2 }
        return width
    }
}
