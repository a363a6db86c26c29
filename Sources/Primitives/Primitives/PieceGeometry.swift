/// All arithmetic of pieces and blocks in one pure place. A ``PieceIndex`` or ``BlockIndex`` made here is in range.
package struct PieceGeometry: Hashable, Sendable {
    /// Bytes of payload in the whole torrent (pad files counted: they take part in the pieces).
    package let totalLength: UInt64
    /// Bytes of every piece but the last.
    package let pieceLength: UInt32
    package let pieceCount: Int
    /// The pieces in which a file of a v2-only torrent ends; nil where files need not begin a piece (v1 and hybrid).
    @usableFromInline let tails: FileTails?

    /// BEP 3 peers ask for 16 KiB and drop larger requests.
    package static var blockLength: UInt32 { 16384 }

    /// nil when the piece length is zero or the number of pieces does not fit 32 bits.
    /// `tails`: of a torrent whose files each begin a piece; its length then counts the gaps between them.
    package init?(totalLength: UInt64, pieceLength: UInt32, tails: FileTails? = nil) {
        guard pieceLength > 0 else { return nil }
        let count = totalLength / UInt64(pieceLength) + (totalLength % UInt64(pieceLength) == 0 ? 0 : 1)
        guard count < UInt64(UInt32.max) else { return nil }
        self.totalLength = totalLength
        self.pieceLength = pieceLength
        pieceCount = Int(count)
        self.tails = tails
    }

    /// The same pieces, some of them shorter. nil when `tails` name a piece that is not there, or a length that it cannot have.
    package func with(_ tails: FileTails) -> PieceGeometry? {
        guard tails.pieces.last.map({ Int($0) < pieceCount }) ?? true, tails.lengths.allSatisfy({ $0 > 0 && $0 < pieceLength }) else { return nil }
        return PieceGeometry(totalLength: totalLength, pieceLength: pieceLength, tails: tails)
    }
    package var fileTails: FileTails? { tails }

    /// Bytes of the pieces in `have`.
    package func byteCount(of have: Bitfield) -> UInt64 {
        var bytes = UInt64(have.setCount) * UInt64(pieceLength)
        if pieceCount > 0, have[pieceCount - 1] { bytes -= UInt64(pieceLength) - UInt64(length(of: PieceIndex(pieceCount - 1))) }
        if let tails {
            for (i, piece) in tails.pieces.enumerated() where Int(piece) != pieceCount - 1 && have[Int(piece)] {
                bytes -= UInt64(pieceLength - tails.lengths[i])
            }
        }
        return bytes
    }

    /// nil when there is no such piece.
    @inlinable package func piece(_ number: UInt32) -> PieceIndex? {
        Int(number) < pieceCount ? PieceIndex(rawValue: number) : nil
    }

    @inlinable package func offset(of piece: PieceIndex) -> UInt64 { UInt64(piece.rawValue) * UInt64(pieceLength) }

    @inlinable package func length(of piece: PieceIndex) -> UInt32 {
        if let tails, let length = tails.length(of: piece.rawValue) { return length }
        return piece.int == pieceCount - 1 ? UInt32(totalLength - offset(of: piece)) : pieceLength
    }

    /// Bytes up to the next piece, gaps counted: the memory that neighbouring pieces take when they are read as one.
    package func span(of piece: PieceIndex) -> UInt32 { UInt32(min(UInt64(pieceLength), totalLength - offset(of: piece))) }

    /// As far as peers may ask. libtorrent 2.0 asks for whole blocks of v2-only torrents, and takes zeros for what lies
    /// behind the end of a file (2.1 no longer does); 0 ..< 16 KiB beyond ``length(of:)`` then.
    @inlinable package func servedLength(of piece: PieceIndex) -> UInt32 {
        let exact = length(of: piece)
        return tails == nil ? exact : (exact + Self.blockLength - 1) / Self.blockLength * Self.blockLength
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

/// Where files end inside a piece, in a torrent that begins each file at a piece of its own (BEP 52): such a piece has
/// that length on the wire, and what lies between it and the next piece does not exist.
package final class FileTails: Hashable, Sendable {
    /// Rising.
    @usableFromInline let pieces: [UInt32]
    /// Bytes, 1 ..< piece length.
    @usableFromInline let lengths: [UInt32]

    /// nil unless `pieces` rise and both have the same count.
    package init?(pieces: [UInt32], lengths: [UInt32]) {
        guard pieces.count == lengths.count else { return nil }
        for i in pieces.indices.dropFirst() where pieces[i - 1] >= pieces[i] { return nil }
        (self.pieces, self.lengths) = (pieces, lengths)
    }
    package var list: [(piece: UInt32, length: UInt32)] { pieces.indices.map { (pieces[$0], lengths[$0]) } }

    /// nil: a whole piece, or the torrent's last. O(log files).
    @usableFromInline func length(of piece: UInt32) -> UInt32? {
        var low = 0, high = pieces.count
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle] < piece { low = middle + 1 } else { high = middle }
        }
        return low < pieces.count && pieces[low] == piece ? lengths[low] : nil
    }

    package static func == (a: FileTails, b: FileTails) -> Bool { a === b || a.pieces == b.pieces && a.lengths == b.lengths }
    package func hash(into hasher: inout Hasher) {
        hasher.combine(pieces)
        hasher.combine(lengths)
    }
}
