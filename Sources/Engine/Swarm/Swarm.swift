import Buffers
import Filtering
import Limits
import PeerWire
import Primitives

/// All decisions of a peer shard: whom to dial, what to ask whom for, whom to serve, whom to ban. Pure: events and
/// `now` come in, effects go out; it neither reads a clock nor owns a descriptor. Randomness comes from the seed.
///
/// The flow of a block: ``fill(_:now:into:)`` (Requesting) asks for it; ``expected(_:_:)`` and
/// ``destination(_:piece:begin:length:)`` (Receiving) tell the shell where its payload goes;
/// ``blockReceived(_:piece:begin:length:now:into:)`` marks it and asks for the next; a whole piece leaves as
/// ``Effect/storePiece(torrent:piece:firstSlot:length:)`` and comes back as verified, written or failed (PieceOutcome).
///
/// Peers, torrents and open pieces are rows addressed by number. Invariants (``checkInvariants()``):
/// - a block that is asked for stands in exactly one peer's ring, a shared one in `askers` rings, others in none;
/// - `useful` of a peer is the number of pieces that it has and we lack; we are interested exactly while it is above 0;
/// - a piece is in the picker, or open, or had: exactly one, while the torrent has a picker;
/// - a peer's `pinned` rows each count one pin for it.
package final class Swarm {
    let configuration: SwarmConfiguration
    /// What peers are told (BEP 10 `p`), and others through them; 0: nothing.
    private(set) var listenPort: UInt16
    let buffers: Buffers
    var random: SeededRandom

    /// Room for ``maxPeers`` rows, touched from the start on only as far as used.
    let peers: UnsafeMutablePointer<PeerRow>
    let maxPeers: Int
    var peerRows = 0
    var freePeers: [UInt32] = []
    var livePeers = 0
    /// Accepted connections without handshake, oldest first.
    var pendingAccepts: [UInt32] = []

    var torrents: UnsafeMutablePointer<TorrentRow>
    var torrentCapacity: Int
    var torrentRows = 0
    var freeTorrents: [Int32] = []
    var rowOfTorrent: [TorrentID: Int32] = [:]
    var rowOfInfoHash: [InfoHash: Int32] = [:]

    let open: UnsafeMutablePointer<OpenPiece>
    let maxOpen: Int
    var openRows = 0
    var freeOpen: [Int32] = []

    /// Torrents that lacked a buffer, in the order in which they did.
    var starved: [Int32] = []
    /// Bad v2 pieces whose blocks are being told apart, by row of the open piece.
    var suspects: [Int32: Suspect] = [:]
    var dialQueue = WaitingLine<Int32>()
    var activeRows: [Int32] = []
    var changedRows: [Int32] = []
    var lonely = WaitingLine<Lonely>()
    var newlyLonely: [Lonely] = []
    var lonelyTickets: UInt32 = 0
    /// Rows of torrents that timers, dials and reports looked at, ever: what idle torrents must not add to.
    package internal(set) var visitedRows: UInt64 = 0
    var dialBudget = 0.0
    /// Dials under way.
    var halfOpen = 0
    var recentDials: [AddressKey: Instant] = [:]
    /// Endpoints that finished a handshake: dialling them is no attack on a third party.
    var proven: [Endpoint: Instant] = [:]
    var reputation = Reputation()
    /// Addresses were banned since the connections were last compared with the bans.
    var hasNewBans = false
    var suspicions = Suspicions()
    /// A digest of a received block's bytes, from the shell that has them; without it nobody is banned by blocks.
    package var blockDigest: ((SlotIndex, _ length: UInt32) -> UInt64)?
    var addressVote = AddressVote()
    var rendezvous = Rendezvous()
    var parkedBytes = 0
    var limits = RateLimits()
    var filter: AddressFilter?
    /// Connections refused, addresses not taken, connections closed by the filter.
    package internal(set) var filterCounts = FilterCounts()
    var downTree = RateTree()
    var upTree = RateTree()

    var lastTick = Instant.zero
    var lastSecond = Instant.zero
    var hasTicked = false

    package init(configuration: SwarmConfiguration, buffers: Buffers, seed: UInt64) {
        self.configuration = configuration
        listenPort = configuration.listenPort
        self.buffers = buffers
        random = SeededRandom(seed: seed)
        // Connections that are closing hold their rows until the shell let go of them.
        maxPeers = configuration.maxGlobalPeers + 1024
        peers = .allocate(capacity: maxPeers)
        torrentCapacity = 16
        torrents = .allocate(capacity: torrentCapacity)
        maxOpen = buffers.slotCount
        open = .allocate(capacity: maxOpen)
    }

    deinit {
        for i in 0..<peerRows {
            peers[i].requests.free()
            peers[i].pinned?.deallocate()
        }
        peers.deinitialize(count: peerRows)
        peers.deallocate()
        torrents.deinitialize(count: torrentRows)
        torrents.deallocate()
        for i in 0..<openRows { open[i].freeMemory() }
        open.deallocate()
    }

    /// The port of the socket that peers come in by. The settings may have asked for any, and a command line for another.
    package func listening(on port: UInt16) { listenPort = port }

    // MARK: Rows

    /// The row of a connection that is not gone or going; nil for a stale handle.
    @inline(__always) func row(_ p: PeerHandle) -> Int? {
        let i = Int(p.index)
        guard i < peerRows, peers[i].generation == p.generation, peers[i].stage != .free, peers[i].stage != .closing else { return nil }
        return i
    }
    @inline(__always) func handle(_ i: Int) -> PeerHandle { PeerHandle(index: UInt32(i), generation: peers[i].generation) }

    func send(_ i: Int, _ message: OutgoingMessage, _ now: Instant, _ effects: inout EffectBuffer) {
        peers[i].lastSent = now
        effects.send(handle(i), message)
    }

    func newPeer(now: Instant) -> Int? {
        guard livePeers < configuration.maxGlobalPeers else { return nil }
        let i: Int
        if let free = freePeers.popLast() {
            i = Int(free)
        } else {
            guard peerRows < maxPeers else { return nil }
            i = peerRows
            (peers + i).initialize(to: PeerRow())
            peerRows += 1
        }
        let generation = peers[i].generation &+ 1
        peers[i] = PeerRow()
        peers[i].generation = generation
        peers[i].stageSince = now
        peers[i].lastReceived = now
        peers[i].lastSent = now
        livePeers += 1
        return i
    }

    func freePeer(_ i: Int) {
        peers[i].requests.free()
        peers[i].pinned?.deallocate()
        let generation = peers[i].generation
        peers[i] = PeerRow()
        peers[i].generation = generation
        freePeers.append(UInt32(i))
        livePeers -= 1
    }

    // MARK: Reading

    /// nil: no such torrent, or its pieces are not known yet.
    package func have(_ id: TorrentID) -> Bitfield? {
        guard let t = rowOfTorrent[id], torrents[Int(t)].geometry != nil else { return nil }
        return torrents[Int(t)].have.bitfield
    }
    /// What a disk worker has acknowledged as written: ``have(_:)`` without the pieces that are verified and still on their way.
    /// Only this may be claimed to a new disk worker, which takes it for bytes that the kernel has.
    package func written(_ id: TorrentID) -> Bitfield? {
        guard var written = have(id), let t = rowOfTorrent[id] else { return nil }
        var o = torrents[Int(t)].openHead
        while o >= 0 {
            written.remove(open[Int(o)].piece.int)
            o = open[Int(o)].next
        }
        return written
    }
    package func hasPiece(_ id: TorrentID, _ piece: PieceIndex) -> Bool {
        guard let t = rowOfTorrent[id], piece.int < torrents[Int(t)].have.total else { return false }
        return torrents[Int(t)].have.contains(piece.int)
    }
    /// Every torrent, in the order of its row.
    package var torrentIDs: [TorrentID] { (0..<torrentRows).filter { torrents[$0].isLive }.map { torrents[$0].id } }
    package func isPaused(_ id: TorrentID) -> Bool { rowOfTorrent[id].map { torrents[Int($0)].isPaused } ?? true }

    /// The handshaken connections of a torrent.
    package func peers(of id: TorrentID) -> [PeerHandle] {
        guard let t = rowOfTorrent[id] else { return [] }
        return torrents[Int(t)].peers.map { handle(Int($0)) }
    }
    /// The torrent of a handshaken connection, and its number of pieces if known: what bounds a bitfield.
    package func torrent(of p: PeerHandle) -> TorrentID? {
        guard let i = row(p), peers[i].torrent >= 0 else { return nil }
        return torrents[Int(peers[i].torrent)].id
    }
    package func pieceCount(of p: PeerHandle) -> Int? {
        guard let i = row(p), peers[i].torrent >= 0 else { return nil }
        return torrents[Int(peers[i].torrent)].geometry?.pieceCount
    }
    package var connectionCount: Int { livePeers }

    package struct TorrentReport: Hashable, Sendable {
        package var id: TorrentID
        /// Payload bytes received, duplicates counted; of these had already or bad.
        package var downloaded, downloadedAgain, uploaded: UInt64
        /// Bytes per second.
        package var downRate, upRate: UInt64
        package var peers, seeds, inFlight: Int
    }

    /// Torrents whose figures changed since the last call, in the order of their rows.
    package func takeReports(_ body: (TorrentReport) -> Void) {
        guard !changedRows.isEmpty else { return }
        let changed = changedRows.sorted()
        changedRows.removeAll(keepingCapacity: true)
        for row in changed {
            let t = Int(row)
            visitedRows += 1
            guard torrents[t].isLive, torrents[t].statsChanged else { continue }
            torrents[t].statsChanged = false
            body(report(t))
        }
    }
    package func report(_ id: TorrentID) -> TorrentReport? { rowOfTorrent[id].map { report(Int($0)) } }
    private func report(_ t: Int) -> TorrentReport {
        let row = torrents[t]
        return TorrentReport(
            id: row.id, downloaded: row.downloaded, downloadedAgain: row.downloadedAgain, uploaded: row.uploaded,
            downRate: UInt64(row.downRate), upRate: UInt64(row.upRate), peers: row.peers.count, seeds: row.seeds, inFlight: row.inFlight)
    }

    package struct PeerReport: Hashable, Sendable {
        package var endpoint: Endpoint
        package var peerID: PeerID
        /// Printable ASCII.
        package var client: String
        package var origin: PeerOrigin
        package var amInterested, amChoking, isInterested, isChoking, isSnubbed, isIncoming, isSeed, isOptimistic, uploadOnly, overUTP: Bool
        package var encryption: StreamEncryption
        /// Bytes per second.
        package var downRate, upRate: UInt64
        package var downloaded, uploaded: UInt64
        package var havePieces: Int
        /// Our requests outstanding; its requests waiting.
        package var inFlight, queued: Int
        /// Of its address, fading; 100 bans.
        package var score: Double
    }

    package func report(_ p: PeerHandle) -> PeerReport? {
        guard let i = row(p) else { return nil }
        let r = peers[i]
        return PeerReport(
            endpoint: r.endpoint, peerID: r.peerID, client: r.client.isEmpty ? ClientName.name(of: r.peerID) : r.client, origin: r.origin,
            amInterested: r.amInterested, amChoking: r.amChoking, isInterested: r.isInterested, isChoking: r.isChoking,
            isSnubbed: r.isSnubbed, isIncoming: r.isIncoming, isSeed: r.isSeed, isOptimistic: r.isOptimistic, uploadOnly: r.uploadOnly, overUTP: r.overUTP,
            encryption: r.encryption,
            downRate: UInt64(r.downRate), upRate: UInt64(r.upRate), downloaded: r.downloaded, uploaded: r.uploaded,
            havePieces: r.have.count, inFlight: r.requests.count, queued: r.queued, score: score(i, lastTick))
    }

    package func isBanned(_ endpoint: Endpoint, now: Instant) -> Bool { reputation.isBanned(AddressKey(endpoint), now: now) }
}
