import ByteCodec
import Primitives

/// Compact contact information: 26 bytes a node over IPv4 (BEP 5), 38 over IPv6 (BEP 32); 6 and 18 a peer.
package enum CompactNodes {
    /// Needs `bytes.count` to be whole nodes; a rest is left out, as are addresses that nothing can be sent to.
    package static func read(_ bytes: UnsafeRawBufferPointer, ipv6: Bool, limit: Int) -> [NodeInfo] {
        let size = ipv6 ? 38 : 26
        var out: [NodeInfo] = [], at = 0
        while at + size <= bytes.count, out.count < limit {
            let row = UnsafeRawBufferPointer(rebasing: bytes[at..<at + size])
            at += size
            guard let endpoint = endpoint(UnsafeRawBufferPointer(rebasing: row[20...])) else { continue }
            out.append(NodeInfo(id: NodeID(bytes: UnsafeRawBufferPointer(rebasing: row[..<20])), endpoint: endpoint))
        }
        return out
    }

    package static func write(_ nodes: [NodeInfo]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(nodes.count * 38)
        for node in nodes {
            out += node.id.bytes
            out += address(node.endpoint)
        }
        return out
    }

    /// 6 or 18 bytes; nil for another length or an address that nothing can be sent to.
    package static func endpoint(_ bytes: UnsafeRawBufferPointer) -> Endpoint? {
        var reader = ByteReader(bytes)
        do throws(DecodeError) {
            let found: Endpoint
            switch bytes.count {
            case 6: found = Endpoint(ipv4: try reader.u32BigEndian(), port: try reader.u16BigEndian())
            case 18:
                found = Endpoint(high: try reader.u64BigEndian(), low: try reader.u64BigEndian(), port: try reader.u16BigEndian())
                // A mapped address belongs into the IPv4 form.
                if found.isIPv4 { return nil }
            default: return nil
            }
            return found.isDialable ? found : nil
        } catch { return nil }
    }

    package static func address(_ e: Endpoint) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(18)
        func append<T: FixedWidthInteger>(_ value: T) {
            for shift in stride(from: T.bitWidth - 8, through: 0, by: -8) { out.append(UInt8(truncatingIfNeeded: value >> T(shift))) }
        }
        if e.isIPv4 {
            append(e.ipv4)
        } else {
            append(e.high)
            append(e.low)
        }
        append(e.port)
        return out
    }
}
