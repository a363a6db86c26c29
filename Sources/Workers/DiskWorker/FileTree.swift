import CHash
import Primitives

/// The hash tree of one file from the piece layer up (for a file within one piece: its root alone). Immutable.
final class FileTree: Sendable {
    /// Layers above the leaves at which ``levels`` begin.
    let base: Int
    /// Layers of the whole tree above its leaves.
    let height: Int
    /// 32-byte nodes, whole levels with their padding; the last is the root.
    let levels: [[UInt8]]

    /// nil when the torrent has no piece layer of the file.
    init?(_ file: PieceRoots.File, _ roots: PieceRoots) {
        let blocks = PieceRoots.blocks(file.length), perPiece = roots.pieceLength / 16384
        height = PieceRoots.width(blocks: blocks).trailingZeroBitCount
        guard file.length > roots.pieceLength else {
            base = height
            levels = [file.root.bytes]
            return
        }
        base = perPiece.trailingZeroBitCount
        let pieces = Int((file.length + roots.pieceLength - 1) / roots.pieceLength)
        guard !roots.hash(file.firstPiece).isZero else { return nil }
        var pad = [UInt8](repeating: 0, count: 32)
        for _ in 0..<base { pad = Self.parent(pad, pad) }
        var level: [UInt8] = []
        level.reserveCapacity(32 << (height - base))
        for piece in 0..<pieces { level += roots.hash(file.firstPiece + piece).bytes }
        while level.count < 32 << (height - base) { level += pad }
        var levels = [level]
        while levels.last!.count > 32 { levels.append(Self.parents(levels.last!)) }
        self.levels = levels
    }

    var byteCount: Int { levels.reduce(0) { $0 + $1.count } }

    func node(layer: Int, _ place: Int) -> ArraySlice<UInt8> { levels[layer - base][32 * place..<32 * place + 32] }

    /// One level up of a whole level.
    static func parents(_ level: [UInt8]) -> [UInt8] {
        var nodes = level + [UInt8](repeating: 0, count: 32), pad = [UInt8](repeating: 0, count: 32)
        let count = ccbt_merkle_parents(&nodes, level.count / 32, &pad)
        return Array(nodes[..<(32 * count)])
    }
    private static func parent(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] { parents(left + right) }
}
