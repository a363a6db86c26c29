import Primitives

/// A magnet link to what a mutable item of the DHT names (BEP 46): `magnet:?xs=urn:btpk:KEY&s=SALT`.
package struct MutableMagnet: Sendable, Equatable {
    /// Whose item it is.
    package struct Source: Sendable, Hashable {
        /// 32 bytes.
        package let key: [UInt8]
        /// At most ``MutableMagnet/saltLimit`` bytes.
        package let salt: [UInt8]
        package init(key: [UInt8], salt: [UInt8]) {
            precondition(key.count == 32 && salt.count <= MutableMagnet.saltLimit)
            (self.key, self.salt) = (key, salt)
        }
        package var link: String { "magnet:?xs=urn:btpk:\(Hex.encode(key))" + (salt.isEmpty ? "" : "&s=\(Hex.encode(salt))") }
    }
    /// BEP 44.
    package static let saltLimit = 64

    package let source: Source
    /// A link may name a torrent as well (`xt`): the version of the day on which it was made.
    package let known: Magnet?
    /// Trackers, peers and web seeds, which serve every version.
    private let rest: Magnet

    /// nil: a link without `urn:btpk`. Throws for one that is wrong.
    package init?(parsing link: String) throws(MagnetError) {
        let found = try Magnet.scan(link)
        guard let item = found.item else { return nil }
        source = item
        rest = found.rest
        var named = found.rest
        (named.infoHashV1, named.infoHashV2) = (found.v1, found.v2)
        known = found.v1 == nil && found.v2 == nil ? nil : named
    }

    /// The link to one version.
    package func version(_ infoHash: InfoHash) -> Magnet {
        var magnet = rest
        magnet.infoHashV1 = infoHash
        return magnet
    }

    /// The link again, in one canonical order.
    package var link: String {
        // The rest begins with its placeholder of a hash.
        let more = (known ?? rest).link.dropFirst("magnet:?".count)
        let parts = more.split(separator: "&").filter { known != nil || !$0.hasPrefix("xt=") }
        return ([Substring(source.link)] + parts).joined(separator: "&")
    }

    /// What follows `urn:btpk:`; nil for another source.
    static func digits(_ value: [UInt8]) -> [UInt8]? {
        let scheme = Array("urn:btpk:".utf8)
        guard value.count >= scheme.count, zip(value, scheme).allSatisfy({ $0 == $1 || $0 | 0x20 == $1 }) else { return nil }
        return Array(value.dropFirst(scheme.count))
    }
}
