/// Parameters and answers of the DHT's methods. Binary values are hexadecimal.

package struct DHTStatusAnswer: Codable, Equatable, Sendable {
    package struct Family: Codable, Equatable, Sendable {
        /// "ipv4" or "ipv6".
        package var family: String
        package var nodeID: String
        /// Our address as other nodes see it; absent while too few have said it.
        package var external: String?
        package var nodes: Int
        package var spares: Int
        package var buckets: Int
        package init(family: String, nodeID: String, external: String?, nodes: Int, spares: Int, buckets: Int) {
            (self.family, self.nodeID, self.external, self.nodes, self.spares, self.buckets) = (family, nodeID, external, nodes, spares, buckets)
        }
    }
    /// False: discovery.enable_dht is off, or the port could not be bound.
    package var enabled: Bool
    package var readOnly: Bool
    package var families: [Family]
    /// Torrents that we announce.
    package var torrents: Int
    package var lookups: Int
    /// What others keep with us.
    package var storedTorrents: Int
    package var storedPeers: Int
    package var storedItems: Int
    package var received: UInt64
    package var sent: UInt64
    package var queriesAnswered: UInt64
    package var dropped: UInt64
    package var ignored: UInt64
    package var timeouts: UInt64
    package var lookupsDone: UInt64
    package var peersFound: UInt64
    /// Why it is off; absent when it is on.
    package var refusal: String?
    package init(
        enabled: Bool, readOnly: Bool, families: [Family], torrents: Int, lookups: Int, storedTorrents: Int, storedPeers: Int, storedItems: Int, received: UInt64,
        sent: UInt64, queriesAnswered: UInt64, dropped: UInt64, ignored: UInt64, timeouts: UInt64, lookupsDone: UInt64, peersFound: UInt64, refusal: String? = nil
    ) {
        self.refusal = refusal
        (self.enabled, self.readOnly, self.families, self.torrents, self.lookups) = (enabled, readOnly, families, torrents, lookups)
        (self.storedTorrents, self.storedPeers, self.storedItems) = (storedTorrents, storedPeers, storedItems)
        (self.received, self.sent, self.queriesAnswered, self.dropped) = (received, sent, queriesAnswered, dropped)
        (self.ignored, self.timeouts, self.lookupsDone, self.peersFound) = (ignored, timeouts, lookupsDone, peersFound)
    }
}

package struct DHTLookupParameters: Codable, Equatable, Sendable {
    /// The whole info-hash; it need not be a torrent of ours.
    package var hash: String
    package init(hash: String) { self.hash = hash }
}
package struct DHTLookupAnswer: Codable, Equatable, Sendable {
    package var hash: String
    package var peers: [String]
    /// Estimates from the filters of the nodes asked (BEP 33).
    package var seeds: Int
    package var downloaders: Int
    /// Queries sent, nodes that answered, and answers on the way to the closest one.
    package var asked: Int
    package var answered: Int
    package var hops: Int
    package init(hash: String, peers: [String], seeds: Int, downloaders: Int, asked: Int, answered: Int, hops: Int) {
        (self.hash, self.peers, self.seeds, self.downloaders) = (hash, peers, seeds, downloaders)
        (self.asked, self.answered, self.hops) = (asked, answered, hops)
    }
}

package struct DHTGetParameters: Codable, Equatable, Sendable {
    /// The target of an immutable item (40 digits), or the public key of a mutable one (64 digits).
    package var target: String
    /// Of a mutable item.
    package var salt: String?
    package init(target: String, salt: String? = nil) { (self.target, self.salt) = (target, salt) }
}
package struct DHTGetAnswer: Codable, Equatable, Sendable {
    /// Bencoded.
    package var value: String
    package var publicKey: String?
    package var signature: String?
    package var sequence: Int64?
    package init(value: String, publicKey: String?, signature: String?, sequence: Int64?) {
        (self.value, self.publicKey, self.signature, self.sequence) = (value, publicKey, signature, sequence)
    }
}

package struct DHTPutParameters: Codable, Equatable, Sendable {
    /// Bencoded, at most 1,000 bytes.
    package var value: String
    /// These three make it mutable (BEP 44); the caller has signed it.
    package var publicKey: String?
    package var signature: String?
    package var sequence: Int64?
    package var salt: String?
    /// Only if the stored sequence number is this.
    package var cas: Int64?
    package init(value: String, publicKey: String? = nil, signature: String? = nil, sequence: Int64? = nil, salt: String? = nil, cas: Int64? = nil) {
        (self.value, self.publicKey, self.signature, self.sequence, self.salt, self.cas) = (value, publicKey, signature, sequence, salt, cas)
    }
}
package struct DHTPutAnswer: Codable, Equatable, Sendable {
    package var target: String
    /// Nodes that took it.
    package var stored: Int
    /// Why one did not.
    package var refusal: String?
    /// Of a published torrent: the magnet link that follows it. Added by the command.
    package var link: String?
    package init(target: String, stored: Int, refusal: String?) { (self.target, self.stored, self.refusal) = (target, stored, refusal) }
}

/// A torrent that came from a mutable item of the DHT (BEP 46).
package struct FollowAnswer: Codable, Equatable, Sendable {
    /// The magnet link to the item.
    package var link: String
    /// Of this version; absent: the item was not seen yet.
    package var sequence: Int64?
    /// Info-hash of the newest version; absent: this is it.
    package var replacedBy: String?
    /// Seconds since 1970: when the DHT last gave the item, and when it is asked again.
    package var looked: UInt64?
    package var nextLook: UInt64?
    /// What is wrong with the item; absent: nothing.
    package var error: String?
    /// Info-hashes of the versions before, newest first.
    package var earlier: [String]
    package init(link: String, sequence: Int64?, replacedBy: String?, looked: UInt64?, nextLook: UInt64?, error: String?, earlier: [String]) {
        (self.link, self.sequence, self.replacedBy, self.looked, self.nextLook) = (link, sequence, replacedBy, looked, nextLook)
        (self.error, self.earlier) = (error, earlier)
    }
}

/// Our ports at the router.
package struct NATStatusAnswer: Codable, Equatable, Sendable {
    package struct Mapping: Codable, Equatable, Sendable {
        /// "tcp" or "udp".
        package var transport: String
        package var internalPort: Int
        /// Absent: not mapped.
        package var externalPort: Int?
        package var secondsLeft: Int
        package init(transport: String, internalPort: Int, externalPort: Int?, secondsLeft: Int) {
            (self.transport, self.internalPort, self.externalPort, self.secondsLeft) = (transport, internalPort, externalPort, secondsLeft)
        }
    }
    /// False: the settings want nothing mapped.
    package var enabled: Bool
    /// PCP, NAT-PMP or UPnP; absent while nothing is mapped.
    package var method: String?
    package var gateway: String?
    /// Our address outside, as the router says.
    package var external: String?
    /// Why nothing is mapped.
    package var failure: String?
    package var mappings: [Mapping]
    package init(enabled: Bool, method: String?, gateway: String?, external: String?, failure: String?, mappings: [Mapping]) {
        (self.enabled, self.method, self.gateway, self.external, self.failure, self.mappings) = (enabled, method, gateway, external, failure, mappings)
    }
}
