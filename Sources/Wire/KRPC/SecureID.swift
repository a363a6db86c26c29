import Primitives

/// Node ids bound to the address (BEP 42): the first 21 bits are a checksum of it, so that one address cannot choose its
/// place in the DHT.
package enum SecureID {
    /// An id for a node that others see at `address`.
    package static func make(for address: Endpoint, _ random: inout SeededRandom) -> NodeID {
        let salt = UInt8(truncatingIfNeeded: random.next())
        let noise = NodeID.random(&random).bytes
        let sum = checksum(address, salt: salt)
        var bytes = noise
        bytes[0] = UInt8(truncatingIfNeeded: sum >> 24)
        bytes[1] = UInt8(truncatingIfNeeded: sum >> 16)
        bytes[2] = UInt8(truncatingIfNeeded: sum >> 8) & 0xF8 | noise[2] & 7
        bytes[19] = salt
        return bytes.withUnsafeBytes { NodeID(bytes: $0) }
    }

    /// Whether `id` fits `address`. Every id fits an address of a local network, which nobody outside sees.
    package static func fits(_ id: NodeID, _ address: Endpoint) -> Bool {
        if isExempt(address) { return true }
        return UInt32(truncatingIfNeeded: id.a >> 32) ^ checksum(address, salt: UInt8(truncatingIfNeeded: id.c)) < 1 << 11
    }
    package static func isExempt(_ address: Endpoint) -> Bool { address.isLoopback || address.isPrivate || address.isLinkLocal }

    static func checksum(_ address: Endpoint, salt: UInt8) -> UInt32 {
        let r = UInt64(salt & 7)
        if address.isIPv4 { return crc32c(UInt64(address.ipv4 & 0x030F_3FFF) | r << 29, bytes: 4) }
        return crc32c(address.high & 0x0103_070F_1F3F_7FFF | r << 61, bytes: 8)
    }

    /// CRC-32C (polynomial 0x1EDC6F41, reflected) over the low `bytes` bytes of `value`, most significant first.
    private static func crc32c(_ value: UInt64, bytes: Int) -> UInt32 {
        var crc: UInt32 = ~0
        for i in stride(from: (bytes - 1) * 8, through: 0, by: -8) {
            crc ^= UInt32(truncatingIfNeeded: value >> UInt64(i)) & 0xFF
            for _ in 0..<8 { crc = crc & 1 != 0 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
        }
        return ~crc
    }
}
