import Primitives

/// From whom an address can be reached. A tracker URL comes from a stranger's torrent, so it must not become a way
/// into the machine or the network that we stand in.
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

/// Which addresses one announce may connect to, over all its redirects: never forbidden ones; the machine itself only
/// for a path that begins with /announce; and a redirect leads no further in than where it came from, so a public
/// tracker cannot send us to a private address.
package struct AddressPolicy: Sendable {
    /// Redirects followed.
    package static let redirectLimit = 5

    private var ceiling = AddressClass.loopback
    package init() {}

    package func admits(_ address: Endpoint, path: String) -> Bool {
        let kind = AddressClass(address)
        guard kind <= ceiling, kind != .forbidden else { return false }
        return kind != .loopback || path == "/announce" || path.hasPrefix("/announce/") || path.hasPrefix("/announce.")
    }

    /// An answer came from there; what follows may lead no further in.
    package mutating func visited(_ address: Endpoint) { ceiling = min(ceiling, AddressClass(address)) }
}
