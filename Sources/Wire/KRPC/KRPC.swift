import Primitives

/// Messages of the DHT: bencoded dictionaries in datagrams (BEP 5, with 32, 33, 42, 43, 44 and 51).
package enum KRPC {
    /// Longer datagrams are not looked at. BEP 32 has senders stay below 1,024; an item of 1,000 bytes with its key,
    /// signature, token and 16 nodes is under 2,000.
    package static let datagramLimit = 2048
    /// Of transaction ids that are repeated in an answer. Clients in the field use 2 to 8.
    package static let transactionLimit = 32
    /// Of write tokens that are repeated in an announce.
    package static let tokenLimit = 128
    /// Nodes taken from one answer and family: twice what BEP 5 has an answer carry.
    package static let nodeLimit = 16
    /// Peers taken from one answer.
    package static let valueLimit = 200
    /// Info-hashes taken from one sample (BEP 51).
    package static let sampleLimit = 64
    /// BEP 44: an item's encoded value, and its salt.
    package static let itemLimit = 1000
    package static let saltLimit = 64
}

/// Node families that an answer should carry (BEP 32).
package struct WantedFamilies: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let ipv4 = WantedFamilies(rawValue: 1)
    package static let ipv6 = WantedFamilies(rawValue: 2)
}

/// What makes an item mutable (BEP 44).
package struct ItemSignature: Hashable, Sendable {
    package var key: [UInt8]
    package var signature: [UInt8]
    package var sequence: Int64
    package init(key: [UInt8], signature: [UInt8], sequence: Int64) {
        (self.key, self.signature, self.sequence) = (key, signature, sequence)
    }
}

package enum KRPCQuery: Hashable, Sendable {
    case ping
    case findNode(target: NodeID, want: WantedFamilies)
    case getPeers(infoHash: NodeID, want: WantedFamilies, noSeeds: Bool, scrape: Bool)
    /// `port` nil: the datagram's own source port (`implied_port`).
    case announcePeer(infoHash: NodeID, port: UInt16?, token: [UInt8], isSeed: Bool)
    /// `sequence`: send the value only if it is newer.
    case get(target: NodeID, sequence: Int64?, want: WantedFamilies)
    /// `value` is the encoded value.
    case put(value: [UInt8], item: ItemSignature?, salt: [UInt8], cas: Int64?, token: [UInt8])
    case sampleInfohashes(target: NodeID, want: WantedFamilies)
    /// Of an extension that we do not speak.
    case unknown
}

package struct KRPCAnswer: Hashable, Sendable {
    package var nodes: [NodeInfo] = []
    package var nodes6: [NodeInfo] = []
    package var values: [Endpoint] = []
    package var token: [UInt8]?
    package var seeds: PeerFilter?
    package var downloaders: PeerFilter?
    /// BEP 44, encoded.
    package var value: [UInt8]?
    package var item: ItemSignature?
    /// Given without the rest when the asker has the newest.
    package var sequence: Int64?
    /// BEP 51; seconds.
    package var interval: Int?
    package var storedCount: Int?
    package var samples: [NodeID]?
    package init() {}
}

/// Error codes of BEP 5 and BEP 44.
package struct KRPCError: Hashable, Sendable {
    package var code: Int
    package var text: String
    package init(_ code: Int, _ text: String) { (self.code, self.text) = (code, text) }
    package static let serverBusy = KRPCError(202, "Server Error")
    package static let badToken = KRPCError(203, "Bad token")
    package static let unknownMethod = KRPCError(204, "Method Unknown")
    package static let tooBig = KRPCError(205, "Value too big")
    package static let badSignature = KRPCError(206, "Invalid signature")
    package static let saltTooBig = KRPCError(207, "Salt too big")
    package static let casMismatch = KRPCError(301, "CAS mismatch")
    package static let oldSequence = KRPCError(302, "Sequence number less than current")
    package static func malformed(_ what: StaticString) -> KRPCError { KRPCError(203, "Protocol Error: \(what)") }
}

/// One datagram, read.
package enum KRPCMessage: Hashable, Sendable {
    case query(transaction: [UInt8], sender: NodeID, KRPCQuery, isReadOnly: Bool)
    /// A query that can be answered with an error only.
    case badQuery(transaction: [UInt8], KRPCError)
    /// `external`: our address as the sender saw it (BEP 42).
    case answer(transaction: [UInt8], sender: NodeID, KRPCAnswer, external: Endpoint?)
    case error(transaction: [UInt8], KRPCError)
}
