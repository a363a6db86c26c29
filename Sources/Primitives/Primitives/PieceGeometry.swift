/// All arithmetic of pieces and blocks in one pure place. A ``PieceIndex`` or ``BlockIndex`` made here is in range.
package struct PieceGeometry: Hashable, Sendable {
    /// Bytes of payload in the whole torrent (pad files counted: they take part in the pieces).
    package let totalLength: UInt64
    /// Bytes of every piece but the last.
    package let pieceLength: UInt32
    package let pieceCount: Int

    /// BEP 3 peers ask for 16 KiB and drop larger requests.
    package static var blockLength: UInt32 { 16384 }

    /// nil when the piece length is zero or the number of pieces does not fit 32 bits.
    package init?(totalLength: UInt64, pieceLength: UInt32) {
        guard pieceLength > 0 else { return nil }
        let count = totalLength / UInt64(pieceLength) + (totalLength % UInt64(pieceLength) == 0 ? 0 : 1)
        guard count < UInt64(UInt32.max) else { return nil }
        self.totalLength = totalLength
        self.pieceLength = pieceLength
        pieceCount = Int(count)
    }

    /// nil when there is no such piece.
    @inlinable package func piece(_ number: UInt32) -> PieceIndex? {
        Int(number) < pieceCount ? PieceIndex(rawValue: number) : nil
    }

    @inlinable package func offset(of piece: PieceIndex) -> UInt64 { UInt64(piece.rawValue) * UInt64(pieceLength) }

    @inlinable package func length(of piece: PieceIndex) -> UInt32 {
        piece.int == pieceCount - 1 ? UInt32(totalLength - offset(of: piece)) : pieceLength
    }

    @inlinable package func blockCount(of piece: PieceIndex) -> Int {
        Int((UInt64(length(of: piece)) + UInt64(Self.blockLength) - 1) / UInt64(Self.blockLength))
    }

    @inlinable package func blockLength(_ block: BlockIndex, of piece: PieceIndex) -> UInt32 {
        min(Self.blockLength, length(of: piece) - block.rawValue * Self.blockLength)
    }

    /// The block that a peer's `begin` and `length` name exactly; nil when they name none.
    @inlinable package func block(begin: UInt32, length: UInt32, of piece: PieceIndex) -> BlockIndex? {
        guard begin % Self.blockLength == 0, begin < self.length(of: piece) else { return nil }
        let block = BlockIndex(rawValue: begin / Self.blockLength)
        return blockLength(block, of: piece) == length ? block : nil
    }

    /// 16 KiB slots that a whole piece takes in an arena.
    @inlinable package func slotCount(of piece: PieceIndex) -> Int { blockCount(of: piece) }
}
