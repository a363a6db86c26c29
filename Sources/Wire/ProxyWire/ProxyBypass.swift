import Primitives

/// Who is connected to directly although there is a proxy. Each entry is an address ("192.0.2.7"), a net
/// ("10.0.0.0/8", "fd00::/8") or a host name, which stands for its subdomains too.
package struct ProxyBypass: Hashable, Sendable {
    private struct Net: Hashable, Sendable {
        let high: UInt64, low: UInt64
        let highMask: UInt64, lowMask: UInt64

        func contains(_ e: Endpoint) -> Bool { e.high & highMask == high && e.low & lowMask == low }
    }
    private var nets: [Net] = []
    private var names: [String] = []

    package init(_ entries: [String] = []) {
        for entry in entries {
            let parts = entry.split(separator: "/", omittingEmptySubsequences: false)
            if let address = Endpoint(address: parts[0], port: 0) {
                let width = address.isIPv4 ? 32 : 128
                guard let length = parts.count == 1 ? width : Int(parts[1]), (0...width).contains(length), parts.count <= 2 else { continue }
                let bits = length + 128 - width
                let highMask = bits >= 64 ? UInt64.max : bits == 0 ? 0 : UInt64.max << UInt64(64 - bits)
                let lowMask = bits <= 64 ? 0 : bits == 128 ? UInt64.max : UInt64.max << UInt64(128 - bits)
                nets.append(Net(high: address.high & highMask, low: address.low & lowMask, highMask: highMask, lowMask: lowMask))
            } else if !entry.isEmpty {
                names.append((entry.hasPrefix(".") ? String(entry.dropFirst()) : entry).lowercased())
            }
        }
    }

    package func contains(_ endpoint: Endpoint) -> Bool { nets.contains { $0.contains(endpoint) } }

    /// A name or an address literal, in lower case, without brackets.
    package func contains(host: String) -> Bool {
        if let address = Endpoint(address: host, port: 0) { return contains(address) }
        return names.contains { host == $0 || host.hasSuffix("." + $0) }
    }
}
