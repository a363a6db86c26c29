import Primitives

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
