import Discovery
import KRPC
import Primitives

/// A node of the DHT, without its sockets: datagrams and requests come in, datagrams and findings go out.
///
///     received ─▶ KRPCReader ─▶ Answering     queries of others: nodes, peers, tokens, items
///                          └─▶ Transactions   answers to ours ─▶ RoutingTable, Search
///     tick ─▶ Upkeep          bootstrap, refresh, questionable contacts, expiry
///          └─▶ Announcing     torrents, one after another ─▶ Search
///
/// What is believed of the network: an answer only from the address that was asked, with the transaction id that was
/// sent; an address for a table only after such an answer; a peer, an item or a filter only as far as one node's word
/// goes, which is why lookups ask many.
package struct DHTCore: Sendable {
    struct Family: Sendable {
        let family: AddressFamily
        var table: RoutingTable
        var vote = AddressVote()
        /// Nodes of the last run, to begin with.
        var remembered: [NodeInfo] = []
        var bootstrapAt = Instant.zero
        var bootstrapTries = 0
        /// The lookup of our own id that is under way.
        var bootstrap: UInt32?
        var lastReply: Instant?
        var nextRefresh = Instant.zero
        var nextCheck = Instant.zero
    }
    struct Torrent: Sendable {
        var hash: NodeID
        var isSeed: Bool
        var lastSearch: Instant?
        /// Lookups under way; one for each family.
        var searching = 0
        /// Its place in ``DHTCore/rows``.
        let row: Int
    }

    package let configuration: DHTConfiguration
    var families: [Family]
    /// From the last run.
    private let remembered: SavedNodes
    var random: SeededRandom
    var stream: SecretStream
    var mint: TokenMint
    var limits: SourceLimits
    var peerStore: PeerStore
    var itemStore: ItemStore
    private var reader = KRPCReader()

    var transactions: [UInt32: Transaction] = [:]
    /// In the order of asking: both spans are the same for all, so the first is the first to end.
    var slowQueue = Queue<(at: Instant, key: UInt32)>()
    var timeoutQueue = Queue<(at: Instant, key: UInt32)>()
    var checks = 0

    var searches: [UInt32: Search] = [:]
    var nextSerial: UInt32 = 1
    var torrentSearches = 0
    var requests: [DHTRequestID: OpenRequest] = [:]
    /// Of front ends, at once.
    static let requestLimit = 64

    var torrents: [TorrentID: Torrent] = [:]
    /// Ids may be any numbers, and the schedule takes small ones.
    var rows: [TorrentID] = []
    var freeRows: [Int] = []
    /// By the torrent's row; those that are searched for now are not in it.
    var schedule = DeadlineHeap()
    var announcePort: UInt16 = 0

    var nextTick = Instant.zero
    var nextExpiry = Instant.zero
    package var counters = DHTCounters()

    /// `saved`: what ``saved(now:)`` gave in an earlier run; anything else is as nothing.
    package init(configuration: DHTConfiguration, random: SeededRandom, saved: [UInt8] = [], now: Instant) {
        precondition(configuration.secret.count >= 16)
        self.configuration = configuration
        self.random = random
        stream = SecretStream(configuration.secret)
        mint = TokenMint(&stream, now: now)
        limits = SourceLimits(rate: configuration.answersPerSecond)
        peerStore = PeerStore(torrents: configuration.storedTorrents, peers: configuration.storedPeersPerTorrent)
        itemStore = ItemStore(limit: configuration.storedItems, life: configuration.itemLife)
        remembered = SavedNodes(saved) ?? SavedNodes(ids: [:], nodes: [])
        families = []
        nextExpiry = now + .minutes(1)
        for family in configuration.families { open(family) }
    }

    /// There is a socket of that family now.
    package mutating func open(_ family: AddressFamily) {
        guard !families.contains(where: { $0.family == family }) else { return }
        families.append(Family(family: family, table: RoutingTable(own: remembered.ids[family] ?? NodeID.random(&random))))
        families[families.count - 1].remembered = remembered.nodes.filter { AddressFamily($0.endpoint) == family && !SavedNodes.isStandIn($0.endpoint) }
        nextTick = .zero
    }

    // MARK: events

    /// A datagram of at most 64 KiB from `source`.
    package mutating func received(_ bytes: UnsafeRawBufferPointer, from source: Endpoint, now: Instant, into effects: inout [DHTEffect]) {
        counters.received += 1
        guard let f = families.firstIndex(where: { $0.family == AddressFamily(source) }), source.isDialable, let message = reader.read(bytes) else {
            counters.ignored += 1
            return
        }
        switch message {
        case .query(let transaction, let sender, let query, let isReadOnly):
            asked(f, transaction, sender, query, isReadOnly: isReadOnly, from: source, now: now, into: &effects)
        case .badQuery(let transaction, let error):
            guard !configuration.isReadOnly, limits.admits(source, now: now) else { return counters.dropped += 1 }
            send(.error(transaction: transaction, error), to: source, into: &effects)
        case .answer(let transaction, let sender, let answer, let external):
            answered(f, transaction, sender, answer, external, from: source, now: now, into: &effects)
        case .error(let transaction, let error): refused(transaction, error, from: source, now: now, into: &effects)
        }
    }

    /// Addresses of nodes whose ids are not known: bootstrap hosts, `nodes` of a torrent, PORT messages of peers.
    package mutating func contacts(_ endpoints: [Endpoint], now: Instant, into effects: inout [DHTEffect]) {
        for f in families.indices {
            let mine = endpoints.filter { $0.isDialable && AddressFamily($0) == families[f].family }.prefix(16)
            guard !mine.isEmpty else { continue }
            if families[f].table.count < DHT.k {
                bootstrap(f, with: Array(mine), now: now, into: &effects)
            } else {
                // A healthy table gains little from one more node: no reason to let peers direct our traffic.
                for endpoint in mine.prefix(2) where checks < DHT.checks / 2 { check(f, nil, endpoint, now: now, into: &effects) }
            }
        }
    }

    package mutating func tick(now: Instant, into effects: inout [DHTEffect]) {
        expireTransactions(now: now, into: &effects)
        guard now >= nextTick else { return startDue(now: now, into: &effects) }
        mint.rotate(&stream, now: now)
        for f in families.indices { upkeep(f, now: now, into: &effects) }
        if now >= nextExpiry {
            nextExpiry = now + .minutes(1)
            peerStore.expire(now: now)
            itemStore.expire(now: now)
        }
        startDue(now: now, into: &effects)
        let isYoung = families.contains { $0.table.count < DHT.k }
        nextTick = now + (isYoung ? .seconds(1) : .seconds(5))
    }

    package var nextDeadline: Instant {
        var next = min(nextTick, slowQueue.first?.at ?? .never, timeoutQueue.first?.at ?? .never)
        if torrentSearches < configuration.searches, isOnline { next = min(next, schedule.top?.due ?? .never) }
        return next
    }

    /// Someone has answered.
    var isOnline: Bool { families.contains { $0.table.count > 0 } }

    // MARK: sending

    func own(_ f: Int) -> NodeID { families[f].table.own }

    mutating func send(_ message: KRPCMessage, to endpoint: Endpoint, into effects: inout [DHTEffect]) {
        counters.sent += 1
        effects.append(.send(endpoint, message.encoded()))
    }

    // MARK: reports

    /// In the routing tables of both families.
    package var nodeCount: Int { families.reduce(0) { $0 + $1.table.count } }
    package var status: DHTStatus {
        var out = DHTStatus()
        for f in families {
            out.families.append(
                DHTStatus.Family(
                    family: f.family, id: f.table.own, external: f.vote.winner, nodes: f.table.count, spares: f.table.spareCount, buckets: f.table.buckets.count))
        }
        out.torrents = torrents.count
        out.searches = searches.count
        out.storedTorrents = peerStore.torrentCount
        out.storedPeers = peerStore.peerCount
        out.storedItems = itemStore.count
        out.counters = counters
        return out
    }

    /// For the next run: ids, and the contacts that answered last.
    package func saved() -> [UInt8] {
        SavedNodes(
            ids: Dictionary(uniqueKeysWithValues: families.map { ($0.family, $0.table.own) }),
            nodes: families.flatMap { family in
                let live = family.table.contacts.filter { $0.failures == 0 }.sorted { ($1.lastReply, $0.id) < ($0.lastReply, $1.id) }
                // A table that never filled must not make us forget what the last run knew.
                let known = live.map { NodeInfo(id: $0.id, endpoint: $0.endpoint) }
                return Array((known.count >= DHT.k ? known : known + family.remembered.filter { !known.contains($0) }).prefix(SavedNodes.limit))
            }
        ).encoded()
    }
    package func ownID(_ family: AddressFamily) -> NodeID? { families.first { $0.family == family }?.table.own }
    /// For tests and the simulation: contacts that are not failing.
    package func closest(to target: NodeID, _ family: AddressFamily = .ipv4) -> [NodeInfo] {
        families.first { $0.family == family }?.table.closest(to: target, count: DHT.k).map { NodeInfo(id: $0.id, endpoint: $0.endpoint) } ?? []
    }
}

/// First in, first out, without moving what waits.
struct Queue<Element: Sendable>: Sendable {
    private var items: [Element] = []
    private var head = 0
    var isEmpty: Bool { head == items.count }
    var count: Int { items.count - head }
    var first: Element? { isEmpty ? nil : items[head] }
    mutating func append(_ element: Element) { items.append(element) }
    mutating func popFirst() -> Element? {
        guard head < items.count else { return nil }
        defer {
            head += 1
            if head > 64, head * 2 > items.count {
                items.removeFirst(head)
                head = 0
            }
        }
        return items[head]
    }
}
