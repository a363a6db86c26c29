import Primitives

/// BEP 23 and BEP 7: peers as 6 (IPv4) or 18 (IPv6) bytes each, address and port in network order.
package enum CompactPeers {
    /// nil when the length is not a multiple of the unit; at most `limit` peers are read.
    package static func decode(_ bytes: UnsafeRawBufferPointer, ipv6: Bool, limit: Int = 2_000) -> [Endpoint]? {
        let unit = ipv6 ? 18 : 6
        guard bytes.count % unit == 0 else { return nil }
        var out: [Endpoint] = []
        out.reserveCapacity(min(limit, bytes.count / unit))
        for at in stride(from: 0, to: bytes.count, by: unit) where out.count < limit {
            func word<T: FixedWidthInteger>(_ offset: Int, _: T.Type) -> T {
                T(bigEndian: bytes.loadUnaligned(fromByteOffset: at + offset, as: T.self))
            }
            out.append(
                ipv6
                    ? Endpoint(high: word(0, UInt64.self), low: word(8, UInt64.self), port: word(16, UInt16.self))
                    : Endpoint(ipv4: word(0, UInt32.self), port: word(4, UInt16.self)))
        }
        return out
    }

    /// The IPv4 peers in the first list, the others in the second.
    package static func encode(_ peers: [Endpoint]) -> (ipv4: [UInt8], ipv6: [UInt8]) {
        var four: [UInt8] = [], six: [UInt8] = []
        func put<T: FixedWidthInteger>(_ value: T, _ out: inout [UInt8]) {
            withUnsafeBytes(of: value.bigEndian) { out.append(contentsOf: $0) }
        }
        for peer in peers {
            if peer.isIPv4 {
                put(peer.ipv4, &four)
                put(peer.port, &four)
            } else {
                put(peer.high, &six)
                put(peer.low, &six)
                put(peer.port, &six)
            }
        }
        return (four, six)
    }
}
