import Primitives

/// A place in the DHT's 160-bit space (BEP 5): a node's id, an info-hash or an item's target. Held as big-endian numbers,
/// so that order and distance are a few register operations.
package struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let a: UInt64, b: UInt64, c: UInt32

    package init(a: UInt64, b: UInt64, c: UInt32) { (self.a, self.b, self.c) = (a, b, c) }
    package init(_ digest: SHA1Digest) { self = digest.bytes.withUnsafeBytes { NodeID(bytes: $0) } }
    /// Needs 20 bytes.
    package init(bytes p: UnsafeRawBufferPointer) {
        precondition(p.count == 20)
        a = UInt64(bigEndian: p.loadUnaligned(as: UInt64.self))
        b = UInt64(bigEndian: p.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        c = UInt32(bigEndian: p.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
    }
    /// nil unless `hex` is 40 hexadecimal digits.
    package init?(hex: some StringProtocol) {
        guard let digest = SHA1Digest(hex: hex) else { return nil }
        self.init(digest)
    }
    package static func random(_ random: inout SeededRandom) -> NodeID {
        NodeID(a: random.next(), b: random.next(), c: UInt32(truncatingIfNeeded: random.next()))
    }

    package static func < (x: NodeID, y: NodeID) -> Bool { x.a != y.a ? x.a < y.a : x.b != y.b ? x.b < y.b : x.c < y.c }
    /// The distance of BEP 5: smaller is closer.
    package static func ^ (x: NodeID, y: NodeID) -> NodeID { NodeID(a: x.a ^ y.a, b: x.b ^ y.b, c: x.c ^ y.c) }
    package var isZero: Bool { a | b | UInt64(c) == 0 }
    /// Leading bits that both share; 160 when they are the same.
    package func sharedPrefix(with other: NodeID) -> Int {
        let d = self ^ other
        if d.a != 0 { return d.a.leadingZeroBitCount }
        if d.b != 0 { return 64 + d.b.leadingZeroBitCount }
        return 128 + d.c.leadingZeroBitCount
    }
    /// Bit `i` from the top, 0 ..< 160.
    package func bit(_ i: Int) -> Bool {
        i < 64 ? a >> UInt64(63 - i) & 1 != 0 : i < 128 ? b >> UInt64(127 - i) & 1 != 0 : c >> UInt32(159 - i) & 1 != 0
    }
    /// The first `prefix` bits of this one, the bit behind them turned over, the rest from `random`.
    package func differing(at prefix: Int, _ random: inout SeededRandom) -> NodeID {
        let noise = NodeID.random(&random)
        func mask(_ from: Int, _ width: Int) -> UInt64 {
            // Bits of this word that are kept from self.
            let keep = min(max(prefix - from, 0), width)
            return keep == 0 ? 0 : keep >= width ? ~0 : ~(~0 >> UInt64(keep))
        }
        let ma = mask(0, 64), mb = mask(64, 64), mc = UInt32(truncatingIfNeeded: mask(128, 32) >> 32)
        var out = NodeID(a: a & ma | noise.a & ~ma, b: b & mb | noise.b & ~mb, c: prefix >= 160 ? c : c & mc | noise.c & ~mc)
        if prefix < 160, out.bit(prefix) == bit(prefix) { out = out.flipping(prefix) }
        return out
    }
    package func flipping(_ i: Int) -> NodeID {
        NodeID(
            a: i < 64 ? a ^ 1 << UInt64(63 - i) : a, b: i >= 64 && i < 128 ? b ^ 1 << UInt64(127 - i) : b,
            c: i >= 128 ? c ^ 1 << UInt32(159 - i) : c)
    }

    package var bytes: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(20)
        for shift in stride(from: 56, through: 0, by: -8) { out.append(UInt8(truncatingIfNeeded: a >> UInt64(shift))) }
        for shift in stride(from: 56, through: 0, by: -8) { out.append(UInt8(truncatingIfNeeded: b >> UInt64(shift))) }
        for shift in stride(from: 24, through: 0, by: -8) { out.append(UInt8(truncatingIfNeeded: c >> UInt32(shift))) }
        return out
    }
    package var digest: SHA1Digest { SHA1Digest(bytes)! }
    package var hex: String { Hex.encode(bytes) }
    package var description: String { hex }

    /// The id hashes by its first 8 bytes: an attacker chooses ids, but the hasher is seeded in each process.
    package func hash(into hasher: inout Hasher) { hasher.combine(a) }
}

/// Where a node is (BEP 5 "contact information for nodes").
package struct NodeInfo: Hashable, Sendable {
    package let id: NodeID
    package let endpoint: Endpoint
    package init(id: NodeID, endpoint: Endpoint) { (self.id, self.endpoint) = (id, endpoint) }
}
