import Glibc

/// An IP address and port. IPv4 is held as an IPv4-mapped IPv6 address, so equality and hashing are one rule.
package struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// The 16 address bytes in network order, as two big-endian words.
    package let high: UInt64, low: UInt64
    package var port: UInt16

    package init(high: UInt64, low: UInt64, port: UInt16) {
        (self.high, self.low, self.port) = (high, low, port)
    }
    /// `address` in host order: 127.0.0.1 is 0x7F000001.
    package init(ipv4 address: UInt32, port: UInt16) {
        self.init(high: 0, low: 0x0000_FFFF_0000_0000 | UInt64(address), port: port)
    }

    package var isIPv4: Bool { high == 0 && low >> 32 == 0x0000_FFFF }
    /// Host order; meaningful only for IPv4.
    package var ipv4: UInt32 { UInt32(truncatingIfNeeded: low) }
    package var isUnspecified: Bool { isIPv4 ? ipv4 == 0 : high | low == 0 }
    package var isLoopback: Bool { isIPv4 ? ipv4 >> 24 == 127 : high == 0 && low == 1 }
    package var isMulticast: Bool { isIPv4 ? ipv4 >> 28 == 0xE : high >> 56 == 0xFF }
    package var isLinkLocal: Bool { isIPv4 ? ipv4 >> 16 == 0xA9FE : high >> 54 == 0x3FA }
    /// RFC 1918, unique-local, carrier-grade NAT.
    package var isPrivate: Bool {
        guard isIPv4 else { return high >> 57 == 0x7E }
        return ipv4 >> 24 == 10 || ipv4 >> 20 == 0xAC1 || ipv4 >> 16 == 0xC0A8 || ipv4 >> 22 == 0x191
    }
    /// Something a peer may be dialled at.
    package var isDialable: Bool {
        port != 0 && !isUnspecified && !isMulticast && !(isIPv4 && ipv4 == .max)
    }

    /// "1.2.3.4:80" or "[::1]:80".
    package var description: String { isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)" }

    /// The address without port or brackets.
    package var address: String {
        if isIPv4 {
            let a = ipv4
            return "\(a >> 24).\(a >> 16 & 255).\(a >> 8 & 255).\(a & 255)"
        }
        var raw = in6_addr()
        withUnsafeMutableBytes(of: &raw) {
            $0.storeBytes(of: high.bigEndian, as: UInt64.self)
            $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return String(unsafeUninitializedCapacity: Int(INET6_ADDRSTRLEN)) { buffer in
            buffer.withMemoryRebound(to: CChar.self) {
                inet_ntop(AF_INET6, &raw, $0.baseAddress!, socklen_t($0.count)) == nil ? 0 : strlen($0.baseAddress!)
            }
        }
    }

    /// An address literal, IPv4 or IPv6 (brackets allowed); nil for anything else, host names too.
    package init?(address: some StringProtocol, port: UInt16) {
        var text = String(address)
        if text.hasPrefix("["), text.hasSuffix("]") { text = String(text.dropFirst().dropLast()) }
        var four = in_addr(), six = in6_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self.init(ipv4: UInt32(bigEndian: four.s_addr), port: port)
        } else if inet_pton(AF_INET6, text, &six) == 1 {
            let (h, l) = withUnsafeBytes(of: &six) {
                (UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)), UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
            }
            self.init(high: h, low: l, port: port)
        } else {
            return nil
        }
    }

    /// "1.2.3.4:80" or "[::1]:80"; nil for anything else.
    package init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
        let host = text[..<colon]
        guard !host.contains(":") || host.hasPrefix("[") else { return nil }
        self.init(address: host, port: port)
    }
}
