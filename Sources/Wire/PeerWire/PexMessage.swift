import Bencode
import ByteCodec
import Primitives

/// ut_pex (BEP 11): the peers that its sender came to know and lost since its last message.
package struct PexMessage: Hashable, Sendable {
    /// What the sender knows of a contact: one byte on the wire.
    package struct Flags: OptionSet, Hashable, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let prefersEncryption = Flags(rawValue: 0x01)
        /// A seed, or it downloads nothing more (BEP 21).
        package static let isSeed = Flags(rawValue: 0x02)
        package static let speaksUTP = Flags(rawValue: 0x04)
        package static let speaksHolepunch = Flags(rawValue: 0x08)
        /// The sender dialled it.
        package static let isReachable = Flags(rawValue: 0x10)
    }
    package struct Contact: Hashable, Sendable {
        package var endpoint: Endpoint
        package var flags: Flags
        package init(_ endpoint: Endpoint, _ flags: Flags = []) { (self.endpoint, self.flags) = (endpoint, flags) }
    }

    package var added: [Contact]
    package var dropped: [Endpoint]
    package init(added: [Contact] = [], dropped: [Endpoint] = []) { (self.added, self.dropped) = (added, dropped) }

    /// Contacts read of each of the four lists. BEP 11 allows 50 of both families together, and more in the first message;
    /// what others send first stays below this.
    package static var listLimit: Int { 200 }

    /// IPv4 contacts first, each family in the order given. An empty message still names one field, as BEP 11 wants.
    package func encode() -> [UInt8] {
        let four = added.filter(\.endpoint.isIPv4), six = added.filter { !$0.endpoint.isIPv4 }
        let gone = CompactPeers.encode(dropped)
        var w = BencodeWriter()
        func put(_ key: StaticString, _ bytes: [UInt8]) {
            guard !bytes.isEmpty else { return }
            w.key(key)
            w.string(bytes)
        }
        w.beginDictionary()
        if added.isEmpty, dropped.isEmpty {
            w.key("added")
            w.string([UInt8]())
        }
        put("added", CompactPeers.encode(four.map(\.endpoint)).ipv4)
        put("added.f", four.map(\.flags.rawValue))
        put("added6", CompactPeers.encode(six.map(\.endpoint)).ipv6)
        put("added6.f", six.map(\.flags.rawValue))
        put("dropped", gone.ipv4)
        put("dropped6", gone.ipv6)
        w.end()
        return w.array
    }

    /// Flags that are missing are none; a list that is no whole number of addresses makes the message unreadable.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(WireError) {
        var parser = BencodeParser()
        guard let root = try? parser.parse(bytes, limits: .packet, tolerance: .lenient), root.kind == .dictionary else {
            throw .badDictionary
        }
        func list(_ key: StaticString, ipv6: Bool) throws(WireError) -> [Endpoint] {
            guard let raw = root[key]?.string else { return [] }
            guard let list = CompactPeers.decode(raw, ipv6: ipv6, limit: Self.listLimit) else { throw .badDictionary }
            return list
        }
        func contacts(_ key: StaticString, _ flagKey: StaticString, ipv6: Bool) throws(WireError) -> [Contact] {
            let endpoints = try list(key, ipv6: ipv6)
            guard let flags = root[flagKey]?.string else { return endpoints.map { Contact($0) } }
            return endpoints.enumerated().map { Contact($1, Flags(rawValue: $0 < flags.count ? flags[$0] : 0)) }
        }
        added = try contacts("added", "added.f", ipv6: false) + contacts("added6", "added6.f", ipv6: true)
        dropped = try list("dropped", ipv6: false) + list("dropped6", ipv6: true)
    }

    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        guard let value = try? PexMessage(decoding: bytes) else { return }
        precondition(value.added.count <= 2 * listLimit && value.dropped.count <= 2 * listLimit)
        // An IPv4 address that came in a list of IPv6 ones moves to the other list, which may then be too long.
        guard value.added.count <= listLimit, value.dropped.count <= listLimit else { return }
        let again = value.encode().withUnsafeBytes { try? PexMessage(decoding: $0) }
        precondition(again.map { Set($0.added) == Set(value.added) && Set($0.dropped) == Set(value.dropped) } == true)
    }
}

/// The two small messages of BEP 54 and of upload_only (BEP 21's state, said again while connected).
package enum ExtensionPayload {
    /// lt_donthave: a piece index.
    package static func dontHave(_ piece: UInt32) -> [UInt8] { withUnsafeBytes(of: piece.bigEndian) { Array($0) } }
    /// nil when it is not four bytes.
    package static func readDontHave(_ bytes: UnsafeRawBufferPointer) -> UInt32? {
        bytes.count == 4 ? UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)) : nil
    }
    package static func uploadOnly(_ yes: Bool) -> [UInt8] { [yes ? 1 : 0] }
    package static func readUploadOnly(_ bytes: UnsafeRawBufferPointer) -> Bool? { bytes.count == 1 ? bytes[0] != 0 : nil }
}
