import ByteCodec
import Primitives

/// A datagram on its way through a SOCKS5 relay (RFC 1928, 7):
///
///     offset size  meaning
///     0      2     0
///     2      1     0: whole; anything else is a fragment, which nobody sends
///     3      1     1 IPv4, 3 a name with its length in front, 4 IPv6
///     4      …     the address, then a big-endian port
///     …      …     the datagram
package enum ProxyDatagram {
    /// Longest that is put in front: a name of 255 bytes.
    package static let longestHeader = 3 + 1 + 1 + 255 + 2

    /// Longest in front of what goes to an address; ``headerLength(ipv4:)`` tells which.
    package static let longestAddressHeader = 22
    /// In front of what goes to an address of the family.
    package static func headerLength(ipv4: Bool) -> Int { 3 + 1 + (ipv4 ? 4 : 16) + 2 }

    /// Writes what stands in front of a datagram to an address: ``headerLength(ipv4:)`` bytes, which are returned.
    @discardableResult
    package static func writeHeader(to target: Endpoint, _ p: UnsafeMutableRawPointer) -> Int {
        let length = headerLength(ipv4: target.isIPv4)
        p.storeBytes(of: UInt32(target.isIPv4 ? 1 : 4).bigEndian, as: UInt32.self)
        if target.isIPv4 {
            p.storeBytes(of: target.ipv4.bigEndian, toByteOffset: 4, as: UInt32.self)
        } else {
            p.storeBytes(of: target.high.bigEndian, toByteOffset: 4, as: UInt64.self)
            p.storeBytes(of: target.low.bigEndian, toByteOffset: 12, as: UInt64.self)
        }
        p.storeBytes(of: target.port.bigEndian, toByteOffset: length - 2, as: UInt16.self)
        return length
    }

    /// `host`: a name, which the proxy looks up, or an address literal. nil for a name of no or over 255 bytes.
    package static func wrap(_ payload: [UInt8], to host: String, port: UInt16) -> [UInt8]? {
        var out = ByteWriter(capacity: payload.count + longestHeader)
        if let address = Endpoint(address: host, port: port) {
            withUnsafeTemporaryAllocation(byteCount: longestAddressHeader, alignment: 8) {
                let length = writeHeader(to: address, $0.baseAddress!)
                out.bytes(UnsafeRawBufferPointer(rebasing: $0[..<length]))
            }
        } else {
            let name = Array(host.utf8)
            guard (1...255).contains(name.count) else { return nil }
            out.bytes([0, 0, 0, 3, UInt8(name.count)] + name)
            out.u16BigEndian(port)
        }
        out.bytes(payload)
        return out.array
    }

    /// What came through the relay: whence (nil: the proxy gives a name) and the datagram; nil: not a whole one.
    package static func unwrap(_ packet: UnsafeRawBufferPointer) -> (source: Endpoint?, inside: UnsafeRawBufferPointer)? {
        guard packet.count > 4, packet[2] == 0, let (source, length) = address(UnsafeRawBufferPointer(rebasing: packet[3...])) else { return nil }
        return (source, UnsafeRawBufferPointer(rebasing: packet[(3 + length)...]))
    }

    /// An address with its kind in front and its port behind, and how many bytes that is; the endpoint is nil for a name.
    static func address(_ bytes: UnsafeRawBufferPointer) -> (Endpoint?, Int)? {
        var r = ByteReader(bytes)
        do throws(DecodeError) {
            switch try r.u8() {
            case 1:
                let address = try r.u32BigEndian()
                return (Endpoint(ipv4: address, port: try r.u16BigEndian()), r.position)
            case 4:
                let (high, low) = (try r.u64BigEndian(), try r.u64BigEndian())
                return (Endpoint(high: high, low: low, port: try r.u16BigEndian()), r.position)
            case 3:
                try r.skip(Int(try r.u8()))
                try r.skip(2)
                return (nil, r.position)
            default: return nil
            }
        } catch { return nil }
    }
}
