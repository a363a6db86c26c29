import CHash
import Glibc
import Primitives

/// The Bloom filter of BEP 33: 2,048 bits, two of them for each address. Its union over nodes tells about how many peers
/// there are.
package struct PeerFilter: Hashable, Sendable {
    package static let byteCount = 256
    package private(set) var bytes: [UInt8]

    package init() { bytes = [UInt8](repeating: 0, count: Self.byteCount) }
    /// nil for another length.
    package init?(_ raw: UnsafeRawBufferPointer) {
        guard raw.count == Self.byteCount else { return nil }
        bytes = Array(raw)
    }

    package mutating func insert(_ address: Endpoint) {
        let raw = CompactNodes.address(address).dropLast(2)
        let hash = Digest.sha1(Array(raw)).bytes
        for i in [0, 2] {
            let index = (Int(hash[i]) | Int(hash[i + 1]) << 8) % (Self.byteCount * 8)
            bytes[index / 8] |= 1 << UInt8(index % 8)
        }
    }

    package mutating func formUnion(_ other: PeerFilter) {
        for i in bytes.indices { bytes[i] |= other.bytes[i] }
    }

    /// About how many addresses were inserted; meaningless from about 6,000 on.
    package var estimate: Double {
        let m = Double(Self.byteCount * 8)
        let zeros = Double(bytes.reduce(0) { $0 + (~$1).nonzeroBitCount })
        return log(max(1, min(m - 1, zeros)) / m) / (2 * log(1 - 1 / m))
    }
}

/// SHA-1 as a value.
package enum Digest {
    package static func sha1(_ bytes: [UInt8]) -> SHA1Digest {
        var out = [UInt8](repeating: 0, count: 20)
        bytes.withUnsafeBufferPointer { ccbt_sha1($0.baseAddress, $0.count, &out) }
        return SHA1Digest(out)!
    }
}
