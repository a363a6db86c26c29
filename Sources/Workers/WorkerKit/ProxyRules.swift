import Primitives
import ProxyWire
import Settings

/// The options of [proxy].
package struct ProxyRules: Sendable {
    package let kind: ProxyKind
    package let endpoint: Endpoint
    package let credentials: ProxyCredentials?
    private let bypass: ProxyBypass
    private let isForPeers: Bool
    private let isForTrackers: Bool
    private let isForWebSeeds: Bool

    /// What the defaults say: everything is connected to directly.
    package static var none: ProxyRules { ProxyRules(Settings()) }

    package init(_ settings: Settings) {
        let isEnabled = settings.bool("proxy.enable_proxy")
        kind = ProxyKind(rawValue: settings.string("proxy.proxy_type"))!
        endpoint = Endpoint(address: settings.string("proxy.proxy_host"), port: UInt16(settings.int("proxy.proxy_port")))!
        let user = settings.string("proxy.proxy_username")
        credentials = user.isEmpty ? nil : ProxyCredentials(user: user, password: settings.string("proxy.proxy_password"))
        bypass = ProxyBypass(settings.list("proxy.proxy_bypass_list"))
        isForPeers = isEnabled && settings.bool("proxy.proxy_for_peers")
        isForTrackers = isEnabled && settings.bool("proxy.proxy_for_trackers")
        isForWebSeeds = isEnabled && settings.bool("proxy.proxy_for_webseeds")
    }

    /// Nothing that cannot go through the proxy may speak to peers of the network at large.
    package var coversPeers: Bool { isForPeers }

    package func isFor(peer: Endpoint) -> Bool { isForPeers && !bypass.contains(peer) }
    /// `host`: a name or an address literal, in lower case, without brackets.
    package func isFor(tracker host: String) -> Bool { isForTrackers && !bypass.contains(host: host) }
    /// The same.
    package func isFor(webSeed host: String) -> Bool { isForWebSeeds && !bypass.contains(host: host) }

    /// What stands between `//` and the path, in lower case, without user, port and brackets; "" where nothing does.
    package static func host(of url: String) -> String {
        guard let slashes = url.firstRange(of: "//") else { return "" }
        let authority = url[slashes.upperBound...].prefix { !"/?#".contains($0) }
        let named = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
        if named.first == "[" { return named.dropFirst().prefix { $0 != "]" }.lowercased() }
        return named.prefix { $0 != ":" }.lowercased()
    }
}
