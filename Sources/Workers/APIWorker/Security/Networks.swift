import Primitives

/// An IP address and how many of its first bits count: "192.168.0.0/16", "::1".
package struct Network: Sendable, Equatable {
    private let bytes: [UInt8]
    private let bits: Int

    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let endpoint = Endpoint(address: String(parts[0]), port: 0) else { return nil }
        bytes = Self.bytes(endpoint)
        let width = endpoint.isIPv4 ? 32 : 128
        let wanted = parts.count == 2 ? Int(parts[1]) : width
        guard let wanted, (0...width).contains(wanted) else { return nil }
        // IPv4 stands in the last 32 bits of a mapped address.
        bits = wanted + (endpoint.isIPv4 ? 96 : 0)
    }

    package func contains(_ endpoint: Endpoint) -> Bool {
        let other = Self.bytes(endpoint)
        for i in 0..<16 {
            let left = bits - i * 8
            if left <= 0 { return true }
            let mask: UInt8 = left >= 8 ? 0xFF : ~(0xFF >> UInt8(left))
            if bytes[i] & mask != other[i] & mask { return false }
        }
        return true
    }

    private static func bytes(_ e: Endpoint) -> [UInt8] {
        [e.high, e.low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) } }
    }
}
