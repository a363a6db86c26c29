import KRPC
import Primitives

/// The two DHTs of BEP 32: nodes over IPv4 and nodes over IPv6, each with a table of its own.
package enum AddressFamily: UInt8, CaseIterable, Sendable, Hashable {
    case ipv4 = 0, ipv6 = 1
    package init(_ endpoint: Endpoint) { self = endpoint.isIPv4 ? .ipv4 : .ipv6 }
    package var number: UInt8 { self == .ipv4 ? 4 : 6 }
    var wanted: WantedFamilies { self == .ipv4 ? .ipv4 : .ipv6 }
}

/// Names a request of a front end; the shell chooses it.
package struct DHTRequestID: Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

package struct DHTConfiguration: Sendable {
    /// BEP 43: nothing is answered, and nobody puts us into a table.
    package var isReadOnly = false
    /// Families that there is a socket for from the start; others are opened.
    package var families: [AddressFamily] = []
    /// 32 bytes from the kernel: write tokens and transaction ids are made of them.
    package var secret: [UInt8]
    /// Answers per second to all sources together. A query costs some 20 µs, so this is 1 % of a core.
    package var answersPerSecond = 500
    /// Stored info-hashes, and peers of one (BEP 33 asks for fewer than 6,000).
    package var storedTorrents = 4000
    package var storedPeersPerTorrent = 1000
    /// BEP 44: items held for others; 0 holds none.
    package var storedItems = 1000
    package var itemLife = TimeSpan.seconds(7200)
    /// BEP 51: a sample is made anew after this.
    package var sampleInterval = TimeSpan.seconds(600)
    /// How often a torrent is looked up and announced. Announces are forgotten after 30 min and more (BEP 5 clients).
    package var announceInterval = TimeSpan.minutes(15)
    /// Lookups under way at once.
    package var searches = 32

    package init(secret: [UInt8]) { self.secret = secret }
}

/// Constants of BEP 5 and what follows from them.
enum DHT {
    /// Contacts of a bucket, and nodes that a value is stored at.
    static let k = 8
    /// Queries of a lookup under way at once.
    static let alpha = 4
    /// Without an answer for so long, another candidate is asked beside. Round trips in the DHT are under a second for nine in ten.
    static let slow = TimeSpan.milliseconds(1500)
    /// Without an answer for so long, the node has failed.
    static let timeout = TimeSpan.seconds(6)
    /// BEP 5: a node that answered within 15 minutes is good; a bucket that nothing happened in for that long is refreshed.
    static let fresh = TimeSpan.minutes(15)
    /// Candidates that one lookup keeps, and queries that it may cost. 10,000 nodes take 20 to 40.
    static let candidates = 64
    static let queriesPerSearch = 100
    /// Peers that one lookup gives.
    static let peersPerSearch = 2000
    /// Unanswered queries of all kinds at once.
    static let transactions = 2048
    /// Pings of nodes that we heard of and do not know.
    static let checks = 32
    /// A secret serves new tokens for 5 minutes and is accepted for 10 (BEP 5).
    static let secretLife = TimeSpan.minutes(5)
}

/// What a lookup or a put for a front end came to.
package enum DHTOutcome: Sendable {
    /// `asked`: queries sent; `answered`: nodes that answered; `hops`: answers on the way to the closest node that answered.
    case peers([Endpoint], seeds: Double, downloaders: Double, asked: Int, answered: Int, hops: Int)
    case item(value: [UInt8], ItemSignature?, asked: Int)
    case missing(asked: Int, answered: Int)
    /// Nodes that took it; why others did not.
    case stored(count: Int, target: NodeID, refusal: KRPCError?)
    case failed(String)
}

/// Numbers for `dht status`.
package struct DHTStatus: Equatable, Sendable {
    package struct Family: Equatable, Sendable {
        package var family: AddressFamily
        package var id: NodeID
        /// As other nodes see us (BEP 42); nil while too few have said it.
        package var external: Endpoint?
        package var nodes: Int
        package var spares: Int
        package var buckets: Int
    }
    package var families: [Family] = []
    package var torrents = 0
    package var searches = 0
    package var storedTorrents = 0
    package var storedPeers = 0
    package var storedItems = 0
    package var counters = DHTCounters()
}

package struct DHTCounters: Equatable, Sendable {
    package var received: UInt64 = 0
    package var sent: UInt64 = 0
    package var queriesAnswered: UInt64 = 0
    /// Queries over the rate of their source or of all.
    package var dropped: UInt64 = 0
    /// What was no message, or answers that nobody had asked for.
    package var ignored: UInt64 = 0
    package var timeouts: UInt64 = 0
    package var searchesDone: UInt64 = 0
    package var peersFound: UInt64 = 0
}

package enum DHTEffect: Sendable {
    case send(Endpoint, [UInt8])
    case peers(TorrentID, [Endpoint])
    case finished(DHTRequestID, DHTOutcome)
    /// Too few nodes are known: look up the configured hosts and give them to ``DHTCore/contacts(_:now:into:)``.
    case bootstrapWanted
    /// Other nodes agree on where we are (BEP 42); port 0.
    case externalAddress(Endpoint)
}
