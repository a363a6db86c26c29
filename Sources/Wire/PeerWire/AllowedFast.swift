import Primitives

/// BEP 6, Allowed Fast Set Generation: the pieces that a peer may ask for while choked; the same for every
/// client that computes them, so that a peer gains nothing by asking many.
package enum AllowedFast {
    /// `k` different pieces for the peer at `address` (fewer when the torrent has fewer). IPv4 only, as the BEP defines it:
    /// empty for IPv6.
    package static func set(
        address: Endpoint, infoHash: InfoHash, pieceCount: Int, k: Int, sha1: (UnsafeRawBufferPointer) -> SHA1Digest
    ) -> [UInt32] {
        guard address.isIPv4, pieceCount > 0 else { return [] }
        let wanted = min(k, pieceCount)
        var chosen: [UInt32] = []
        chosen.reserveCapacity(wanted)
        var x = [UInt8](repeating: 0, count: 24)
        x.withUnsafeMutableBytes {
            $0.storeBytes(of: (address.ipv4 & 0xFFFF_FF00).bigEndian, as: UInt32.self)
            infoHash.copyBytes(to: $0.baseAddress! + 4)
        }
        while chosen.count < wanted {
            x = x.withUnsafeBytes { sha1($0).bytes }
            for i in 0..<5 where chosen.count < wanted {
                let y = x[i * 4..<i * 4 + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                let piece = y % UInt32(pieceCount)
                if !chosen.contains(piece) { chosen.append(piece) }
            }
        }
        return chosen
    }
}
