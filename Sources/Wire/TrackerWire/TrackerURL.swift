import Primitives

package enum TrackerScheme: String, Sendable, Hashable {
    case http, https, udp
}

/// A tracker's address, taken apart as far as an announce needs it.
/// Invariants: `text` is printable ASCII without spaces; `host` is lower-case, without brackets; `port` is not 0.
package struct TrackerURL: Hashable, Sendable {
    /// The whole URL as it was given, without its fragment.
    package let text: String
    package let scheme: TrackerScheme
    /// Name or address literal.
    package let host: String
    package let port: UInt16
    /// Begins with "/" unless it is empty.
    package let path: String
    /// Without "?"; nil when there is none.
    package let query: String?

    /// Longer URLs are refused; passkeys are some 40 bytes.
    package static let lengthLimit = 2_048

    /// nil for another scheme, no host, a UDP URL without a port, port 0, spaces, control or non-ASCII characters.
    package init?(_ given: String) {
        let bytes = Array(given.utf8)
        guard bytes.count <= Self.lengthLimit, bytes.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "\\") }) else {
            return nil
        }
        let fragment = given.prefix { $0 != "#" }
        guard let colon = fragment.firstIndex(of: ":"), let scheme = TrackerScheme(rawValue: fragment[..<colon].lowercased()),
            fragment[colon...].hasPrefix("://")
        else { return nil }
        let rest = fragment[fragment.index(colon, offsetBy: 3)...]
        let authorityEnd = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        var authority = rest[..<authorityEnd]
        // User and password (HTTP Basic) stay in `text`, which is what the HTTP client gets.
        if let at = authority.lastIndex(of: "@") { authority = authority[authority.index(after: at)...] }

        let host: Substring, portText: Substring?
        if authority.hasPrefix("[") {
            guard let close = authority.firstIndex(of: "]") else { return nil }
            host = authority[authority.index(after: authority.startIndex)..<close]
            let after = authority[authority.index(after: close)...]
            guard after.isEmpty || after.hasPrefix(":") else { return nil }
            portText = after.isEmpty ? nil : after.dropFirst()
            guard Endpoint(address: host, port: 1) != nil else { return nil }
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            portText = authority[authority.index(after: colon)...]
        } else {
            host = authority
            portText = nil
        }
        guard !host.isEmpty, host.utf8.count <= 253 else { return nil }
        switch portText {
        case .some(let digits) where !digits.isEmpty:
            guard digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let port = UInt16(digits), port != 0 else { return nil }
            self.port = port
        default:
            switch scheme {
            case .http: port = 80
            case .https: port = 443
            case .udp: return nil
            }
        }
        let target = rest[authorityEnd...]
        let question = target.firstIndex(of: "?")
        text = String(fragment)
        self.scheme = scheme
        self.host = host.lowercased()
        path = String(target[..<(question ?? target.endIndex)])
        query = question.map { String(target[target.index(after: $0)...]) }
    }

    /// What is asked, limited and guarded together: one server and port.
    package var hostKey: String { "\(scheme == .udp ? "udp" : "http")://\(host):\(port)" }

    /// The scrape address by convention (BEP 48): the last path component must begin with "announce", which becomes
    /// "scrape". nil when the tracker has none. UDP trackers are scraped at the same address.
    package var scrape: TrackerURL? {
        if scheme == .udp { return self }
        guard let slash = path.lastIndex(of: "/") else { return nil }
        let last = path[path.index(after: slash)...]
        guard last.hasPrefix("announce") else { return nil }
        let authority = text.prefix(text.utf8.count - path.utf8.count - (query.map { $0.utf8.count + 1 } ?? 0))
        return TrackerURL("\(authority)\(path[...slash])scrape\(last.dropFirst("announce".count))\(query.map { "?" + $0 } ?? "")")
    }

    /// Path and query as BEP 41 sends them to a UDP tracker.
    package var pathAndQuery: String { path + (query.map { "?" + $0 } ?? "") }
}
