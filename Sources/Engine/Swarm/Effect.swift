import PeerWire
import Primitives

/// What goes out to one peer. Plain scalars: a payload stands in ``EffectBuffer/payload(_:)``.
package enum OutgoingMessage: Hashable, Sendable {
    /// Answer of an accepted connection, or first bytes of a dialled one.
    case handshake(InfoHash)
    case keepAlive
    case choke, unchoke, interested, notInterested
    case have(PieceIndex)
    /// What ``Swarm/have(_:)`` of the torrent is at the time this effect is carried out.
    case bitfield(TorrentID)
    case haveAll, haveNone
    case request(piece: PieceIndex, begin: UInt32, length: UInt32)
    case cancel(piece: PieceIndex, begin: UInt32, length: UInt32)
    /// Numbers as the peer gave them.
    case reject(piece: UInt32, begin: UInt32, length: UInt32)
    case allowedFast(PieceIndex)
    /// BEP 5: the UDP port of our DHT node.
    case dhtPort
    /// `id` 0: the extended handshake.
    case extended(id: UInt8, payload: Int)
    /// A whole message, length prefix first.
    case encoded(payload: Int)
}

package enum Effect: Hashable, Sendable {
    case send(PeerHandle, OutgoingMessage)

    /// Put the block into the peer's send queue. Each ends in ``Swarm/blockSent(_:bytes:now:into:)`` or
    /// ``Swarm/serveFailed(_:piece:begin:length:now:into:)``, unless the connection closes.
    case serve(PeerHandle, torrent: TorrentID, piece: PieceIndex, begin: UInt32, length: UInt32)
    /// If that block still waits in the queue: drop it and call `serveFailed`. Else nothing.
    case cancelServe(PeerHandle, piece: PieceIndex, begin: UInt32, length: UInt32)
    /// Drop all that wait and call `serveFailed` for each. A block partly on the wire goes on.
    case cancelAllServes(PeerHandle)

    /// Answered by `connected` or `dialFailed`.
    case dial(PeerHandle, Endpoint)
    /// The same by uTP alone (BEP 55: the other side dials at the same time, and its NAT lets only datagrams in).
    case dialByUTP(PeerHandle, Endpoint)
    /// Once nothing of the connection is in flight any more (no receive can still write into a slot), call
    /// ``Swarm/closed(_:errno:now:into:)``; until then its slots are given to no other peer.
    case close(PeerHandle, CloseReason)
    /// End the receive that points into slots (see ``Swarm/armed(_:_:now:into:)``): cancel it, and report `armed(p, 0)` when it is over.
    case disarm(PeerHandle)

    /// A run was taken from `Buffers` for a piece: enter it into the block table.
    case bufferOpened(torrent: TorrentID, piece: PieceIndex, firstSlot: SlotIndex, slotCount: Int, length: UInt32)
    /// A run came back from the disk worker with all its blocks in it: enter it as it is, none of them is to be asked for again.
    case bufferKept(torrent: TorrentID, piece: PieceIndex, firstSlot: SlotIndex, slotCount: Int, length: UInt32)
    /// The run was given back to `Buffers` already: clear its entry of the block table.
    case bufferDiscarded(firstSlot: SlotIndex)
    /// Every block is in: hand the run to the disk worker. Comes again for the same run after a failed write, when the
    /// disk is ready: in between came `bufferKept`, and the run is `filling` in `Buffers`.
    case storePiece(torrent: TorrentID, piece: PieceIndex, firstSlot: SlotIndex, length: UInt32)

    /// The whole info dictionary, its hash checked.
    case metadataFound(torrent: TorrentID, payload: Int)
    /// Answer with ``Swarm/metadataBlock(_:torrent:block:bytes:now:into:)``.
    case metadataBlockWanted(torrent: TorrentID, block: UInt32, PeerHandle)
    /// Piece layers, each proven, one after the other in the order in which they were wanted.
    case layersFound(torrent: TorrentID, payload: Int)
    /// Nobody gives them, and they may be done without.
    case layersMissing(torrent: TorrentID)
    /// Answer with ``Swarm/hashesServed(_:_:hashes:now:into:)``; the payload is the request (``HashRequest/init(decoding:)``).
    case hashesWanted(torrent: TorrentID, PeerHandle, payload: Int)
    /// Compare the blocks of the run with their hashes (the payload, 32 bytes for each that the first `fileBytes` begin;
    /// zeros belong behind those) and answer with ``Swarm/blocksChecked(_:_:good:now:into:)``.
    case checkBlocks(torrent: TorrentID, piece: PieceIndex, firstSlot: SlotIndex, length: UInt32, fileBytes: UInt32, payload: Int)
    case morePeersWanted(torrent: TorrentID)

    /// The address was banned just now. Port 0 unless it is a loopback address; an IPv6 address stands for its /64.
    case banned(Endpoint, Violation, TimeSpan)
    /// Peers see us at this address (port 0).
    case externalAddress(Endpoint, votes: Int)
    /// A peer says that its DHT node is there.
    case dhtNodeSeen(Endpoint)
}

/// The effects of one or more events, in order. Keeps its storage: no allocation in steady state.
/// The owner drains it (``count``, ``subscript(_:)``) and calls ``removeAll()``.
package struct EffectBuffer {
    @usableFromInline var effects: [Effect] = []
    private var payloads: [[UInt8]] = []

    package init() { effects.reserveCapacity(1024) }

    @inlinable package var count: Int { effects.count }
    @inlinable package var isEmpty: Bool { effects.isEmpty }
    @inlinable package subscript(_ i: Int) -> Effect { effects[i] }
    package func payload(_ i: Int) -> [UInt8] { payloads[i] }

    package mutating func append(_ effect: Effect) { effects.append(effect) }
    package mutating func removeAll() {
        effects.removeAll(keepingCapacity: true)
        if !payloads.isEmpty { payloads.removeAll() }
    }

    mutating func send(_ peer: PeerHandle, _ message: OutgoingMessage) { effects.append(.send(peer, message)) }
    mutating func keep(_ payload: [UInt8]) -> Int {
        payloads.append(payload)
        return payloads.count - 1
    }

    /// For tests: everything so far, in order.
    package var all: [Effect] { effects }
}
