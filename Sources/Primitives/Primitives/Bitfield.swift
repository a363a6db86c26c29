/// A set of piece numbers in `0 ..< count`. Words hold bits least significant first; the wire order
/// (BEP 3: most significant bit first) exists only in ``wireBytes`` and ``init(wire:count:)``.
package struct Bitfield: Hashable, Sendable {
    package let count: Int
    /// How many are set; kept, not counted.
    package private(set) var setCount: Int
    @usableFromInline package private(set) var words: [UInt64]

    package init(count: Int) {
        self.count = count
        setCount = 0
        words = [UInt64](repeating: 0, count: (count + 63) / 64)
    }

    package init(full count: Int) {
        self.count = count
        setCount = count
        words = [UInt64](repeating: .max, count: (count + 63) / 64)
        if count % 64 != 0 { words[words.count - 1] = (1 << UInt64(count % 64)) - 1 }
    }

    /// nil when the length is not exactly right or a spare bit is set (BEP 3: such a peer is dropped).
    package init?(wire bytes: some Collection<UInt8>, count: Int) {
        guard bytes.count == (count + 7) / 8 else { return nil }
        self.init(count: count)
        var i = 0
        for byte in bytes {
            let reversed = byte.bitReversed
            words[i / 8] |= UInt64(reversed) << UInt64(i % 8 * 8)
            setCount += byte.nonzeroBitCount
            i += 1
        }
        if count % 64 != 0, let last = words.last, last >> UInt64(count % 64) != 0 { return nil }
    }

    package var wireBytes: [UInt8] {
        (0..<(count + 7) / 8).map { UInt8(truncatingIfNeeded: words[$0 / 8] >> UInt64($0 % 8 * 8)).bitReversed }
    }

    package var isFull: Bool { setCount == count }
    package var isEmpty: Bool { setCount == 0 }

    @inlinable package subscript(_ i: Int) -> Bool {
        precondition(i >= 0 && i < count)
        return words[i >> 6] >> UInt64(i & 63) & 1 != 0
    }
    @inlinable package func contains(_ piece: PieceIndex) -> Bool { self[piece.int] }

    /// True when it was not set before.
    @discardableResult package mutating func insert(_ i: Int) -> Bool {
        precondition(i >= 0 && i < count)
        let bit: UInt64 = 1 << UInt64(i & 63)
        guard words[i >> 6] & bit == 0 else { return false }
        words[i >> 6] |= bit
        setCount += 1
        return true
    }
    /// True when it was set before.
    @discardableResult package mutating func remove(_ i: Int) -> Bool {
        precondition(i >= 0 && i < count)
        let bit: UInt64 = 1 << UInt64(i & 63)
        guard words[i >> 6] & bit != 0 else { return false }
        words[i >> 6] &= ~bit
        setCount -= 1
        return true
    }
    @discardableResult package mutating func insert(_ piece: PieceIndex) -> Bool { insert(piece.int) }
    @discardableResult package mutating func remove(_ piece: PieceIndex) -> Bool { remove(piece.int) }

    /// Both need the same count.
    package mutating func formUnion(_ other: Bitfield) {
        precondition(count == other.count)
        setCount = 0
        for i in words.indices {
            words[i] |= other.words[i]
            setCount += words[i].nonzeroBitCount
        }
    }
    package func subtracting(_ other: Bitfield) -> Bitfield {
        precondition(count == other.count)
        var out = self
        out.setCount = 0
        for i in words.indices {
            out.words[i] = words[i] & ~other.words[i]
            out.setCount += out.words[i].nonzeroBitCount
        }
        return out
    }
    /// True when `other` has a piece that this lacks (we are interested in its owner).
    package func lacksAny(of other: Bitfield) -> Bool {
        for i in words.indices where other.words[i] & ~words[i] != 0 { return true }
        return false
    }
    /// The set numbers in rising order.
    package func forEach(_ body: (Int) -> Void) {
        for (w, word) in words.enumerated() {
            var rest = word
            while rest != 0 {
                body((w << 6) + rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
    }
    /// Bytes from `offset` on, up to `end`, that lie in pieces of this set without a gap. Both are bytes of a torrent.
    package func readable(from offset: UInt64, to end: UInt64, pieceLength: UInt32) -> UInt64 {
        guard offset < end, pieceLength > 0 else { return 0 }
        let size = UInt64(pieceLength)
        var piece = offset / size
        while piece < UInt64(count), piece * size < end, self[Int(piece)] { piece += 1 }
        return max(min(piece * size, end), offset) - offset
    }

    /// Runs of set numbers as (first, count).
    package var runs: [(first: Int, count: Int)] {
        var out: [(first: Int, count: Int)] = []
        forEach { i in
            if let last = out.last, last.first + last.count == i { out[out.count - 1].count += 1 } else { out.append((i, 1)) }
        }
        return out
    }
}

extension UInt8 {
    @inlinable package var bitReversed: UInt8 {
        var b = self
        b = (b & 0xF0) >> 4 | (b & 0x0F) << 4
        b = (b & 0xCC) >> 2 | (b & 0x33) << 2
        return (b & 0xAA) >> 1 | (b & 0x55) << 1
    }
}
