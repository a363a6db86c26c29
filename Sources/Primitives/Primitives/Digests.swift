/// Fixed-size digests held in registers: no array, no reference counting.

package protocol FixedDigest: Hashable, Sendable, CustomStringConvertible {
    static var byteCount: Int { get }
    /// Needs exactly ``byteCount`` bytes.
    init(bytes: UnsafeRawBufferPointer)
    func copyBytes(to target: UnsafeMutableRawPointer)
}

extension FixedDigest {
    /// nil when `bytes` has another length.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self = Array(bytes).withUnsafeBytes { Self(bytes: $0) }
    }

    package var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, count in
            copyBytes(to: UnsafeMutableRawPointer(buffer.baseAddress!))
            count = Self.byteCount
        }
    }

    /// Lower-case hexadecimal.
    package var hex: String { Hex.encode(bytes) }
    package var description: String { hex }

    /// nil unless `hex` is exactly twice ``byteCount`` hexadecimal digits.
    package init?(hex: some StringProtocol) {
        guard let bytes = Hex.decode(hex) else { return nil }
        self.init(bytes)
    }
}

package enum Hex {
    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count * 2)
        for b in bytes {
            out.append(digits[Int(b >> 4)])
            out.append(digits[Int(b & 15)])
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// nil on an odd count or another character.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let utf8 = Array(text.utf8)
        guard utf8.count.isMultiple(of: 2) else { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(utf8.count / 2)
        func nibble(_ c: UInt8) -> UInt8? {
            switch c {
            case 48...57: c - 48
            case 65...70: c - 55
            case 97...102: c - 87
            default: nil
            }
        }
        for i in stride(from: 0, to: utf8.count, by: 2) {
            guard let high = nibble(utf8[i]), let low = nibble(utf8[i + 1]) else { return nil }
            out.append(high << 4 | low)
        }
        return out
    }
}

/// SHA-1: v1 info-hash, v1 piece hash (BEP 3), also node ids and the truncated v2 hash on the wire (BEP 52).
package struct SHA1Digest: FixedDigest {
    package static var byteCount: Int { 20 }
    @usableFromInline let a: UInt64, b: UInt64, c: UInt32
    package init(bytes p: UnsafeRawBufferPointer) {
        precondition(p.count == Self.byteCount)
        a = p.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
        b = p.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        c = p.loadUnaligned(fromByteOffset: 16, as: UInt32.self)
    }
    package init() { (a, b, c) = (0, 0, 0) }
    package var isZero: Bool { a | b | UInt64(c) == 0 }
    package func copyBytes(to p: UnsafeMutableRawPointer) {
        p.storeBytes(of: a, as: UInt64.self)
        p.storeBytes(of: b, toByteOffset: 8, as: UInt64.self)
        p.storeBytes(of: c, toByteOffset: 16, as: UInt32.self)
    }
}

/// SHA-256: v2 info-hash, piece-layer and pieces-root hashes (BEP 52).
package struct SHA256Digest: FixedDigest {
    package static var byteCount: Int { 32 }
    @usableFromInline let a: UInt64, b: UInt64, c: UInt64, d: UInt64
    package init(bytes p: UnsafeRawBufferPointer) {
        precondition(p.count == Self.byteCount)
        a = p.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
        b = p.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        c = p.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
        d = p.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
    }
    package init() { (a, b, c, d) = (0, 0, 0, 0) }
    package var isZero: Bool { a | b | c | d == 0 }
    /// The first 20 bytes: what stands for a v2 torrent in handshakes and announces (BEP 52).
    package var truncated: SHA1Digest { SHA1Digest(bytes.prefix(20))! }
    package func copyBytes(to p: UnsafeMutableRawPointer) {
        p.storeBytes(of: a, as: UInt64.self)
        p.storeBytes(of: b, toByteOffset: 8, as: UInt64.self)
        p.storeBytes(of: c, toByteOffset: 16, as: UInt64.self)
        p.storeBytes(of: d, toByteOffset: 24, as: UInt64.self)
    }
}

/// The 20-byte info-hash that names a swarm on the wire (v1, or v2 truncated).
package typealias InfoHash = SHA1Digest
/// A peer's 20-byte id (BEP 3, BEP 20).
package typealias PeerID = SHA1Digest
