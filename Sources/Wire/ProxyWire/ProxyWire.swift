/// Connections through a proxy: SOCKS5 (RFC 1928, user and password by RFC 1929) and HTTP CONNECT (RFC 9110, 9.3.6).
///
/// ``ProxyHandshake`` is the exchange before the stream, ``ProxyDatagram`` what stands in front of a datagram, ``ProxyBypass`` says what does not go through it.
package enum ProxyKind: String, Hashable, Sendable { case socks5, http }

/// For SOCKS5 each is 1 ... 255 bytes (RFC 1929); for HTTP the user has no colon (RFC 7617).
package struct ProxyCredentials: Hashable, Sendable {
    package var user: String
    package var password: String
    package init(user: String, password: String) { (self.user, self.password) = (user, password) }
}

/// Why the proxy did not connect us.
package enum ProxyFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What answers there speaks something else.
    case notAProxy
    /// It wants another way of saying who we are than the one that we have.
    case noCommonMethod
    case credentialsRefused
    /// It did not reach the other side: the SOCKS5 reply (1 ... 8), or the HTTP status.
    case refused(Int)

    /// The proxy or its settings are to blame, not who was to be reached.
    package var isOfProxy: Bool { if case .refused = self { false } else { true } }

    package var description: String {
        switch self {
        case .notAProxy: "what answers is not a proxy of this kind"
        case .noCommonMethod: "the proxy wants a user and password, or another way of giving them"
        case .credentialsRefused: "the proxy refuses the user or password"
        case .refused(let code): "the proxy could not connect (\(code))"
        }
    }
}
