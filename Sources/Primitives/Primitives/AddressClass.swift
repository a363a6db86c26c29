/// From whom an address can be reached. Tracker URLs and peers' contacts come from strangers, so they must not become a
/// way into the machine or the network that we stand in.
package enum AddressClass: Int, Comparable, Sendable {
    case global = 0
    /// RFC 1918, unique-local, carrier-grade NAT.
    case local = 1
    case loopback = 2
    /// Link-local (169.254.169.254 hands out a cloud machine's keys), unspecified, multicast, broadcast, reserved.
    case forbidden = 3

    package static func < (a: AddressClass, b: AddressClass) -> Bool { a.rawValue < b.rawValue }

    package init(_ address: Endpoint) {
        let address = Self.embedded(address) ?? address
        if address.isLoopback {
            self = .loopback
        } else if address.isUnspecified || address.isMulticast || address.isLinkLocal
            || address.isIPv4 && (address.ipv4 >> 28 == 0xF || address.ipv4 >> 24 == 0)
        {
            self = .forbidden
        } else {
            self = address.isPrivate ? .local : .global
        }
    }

    /// The IPv4 address inside NAT64 (64:ff9b::/96), 6to4 (2002::/16) and IPv4-compatible (::/96) addresses: a gateway
    /// may take us there.
    private static func embedded(_ a: Endpoint) -> Endpoint? {
        if a.isIPv4 { return nil }
        if a.high == 0x0064_FF9B_0000_0000, a.low >> 32 == 0 { return Endpoint(ipv4: UInt32(truncatingIfNeeded: a.low), port: a.port) }
        if a.high >> 48 == 0x2002 { return Endpoint(ipv4: UInt32(truncatingIfNeeded: a.high >> 16), port: a.port) }
        if a.high == 0, a.low >> 32 == 0, a.low > 1 { return Endpoint(ipv4: UInt32(truncatingIfNeeded: a.low), port: a.port) }
        return nil
    }
}
