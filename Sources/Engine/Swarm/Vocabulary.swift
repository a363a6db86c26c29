import PeerWire
import Primitives

/// One connection, from the dial or accept until ``Swarm/closed(_:errno:now:into:)``. `index` is a dense row, used
/// again with another generation.
package struct PeerHandle: Hashable, Sendable {
    package let index: UInt32
    package let generation: UInt32
    package init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }
}

package struct TorrentTraits: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    /// BEP 27: peers come from its trackers and the user only.
    package static let isPrivate = TorrentTraits(rawValue: 1 << 0)
    package static let paused = TorrentTraits(rawValue: 1 << 1)
    package static let sequential = TorrentTraits(rawValue: 1 << 2)
    /// BEP 16.
    package static let superSeeding = TorrentTraits(rawValue: 1 << 3)
}

package struct TorrentSpec: Sendable {
    package var id: TorrentID
    /// What stands in handshakes: the v1 info-hash, or the truncated v2 one of a torrent that is v2 only.
    package var infoHash: InfoHash
    package var infoHashV2: SHA256Digest?
    package var traits: TorrentTraits
    /// nil while the metadata is unknown (magnet link).
    package var geometry: PieceGeometry?
    /// Bytes of the info dictionary, 0 while unknown.
    package var metadataLength: Int

    package init(
        id: TorrentID, infoHash: InfoHash, infoHashV2: SHA256Digest? = nil, traits: TorrentTraits = [], geometry: PieceGeometry?,
        metadataLength: Int = 0
    ) {
        self.id = id
        self.infoHash = infoHash
        self.infoHashV2 = infoHashV2
        self.traits = traits
        self.geometry = geometry
        self.metadataLength = metadataLength
    }
}

/// Who told us of a peer. The raw values are those of the IPC vocabulary.
package enum PeerOrigin: UInt8, Hashable, Sendable {
    case tracker = 0, dht, pex, lsd, manual, incoming, magnet, resume
    case webSeed = 16
}

/// Why a handed-over piece did not get onto the disk. The raw values are those of the IPC vocabulary.
package enum StoreFailure: UInt8, Hashable, Sendable {
    /// The bytes are not the piece's: some peer's fault.
    case hashMismatch = 0
    /// The environment's: the bytes are kept and stored again when the disk is ready.
    case diskFull, ioError, unready
}

/// Why we close a connection; also its word in logs and metrics.
package enum CloseReason: UInt8, Hashable, Sendable, CaseIterable {
    // The peer's fault.
    case protocolViolation, badBitfield, badIndex, notFastExtension, badExtendedMessage
    /// More than 50 blocks that nobody asked for, or twice (BEP 3 has no limit; ours).
    case uselessBlocks
    /// 10,000 messages a minute that move nothing.
    case messageFlood
    /// 300 requests for what is not there.
    case invalidRequests
    case corruptPiece, badMetadata, banned
    /// BEP 52: hashes that do not lead to their root.
    case badHashes
    // Nobody's.
    case unknownTorrent, selfConnection, duplicate, handshakeTimeout, connectTimeout, inactive, stalled
    /// The IP filter refuses its address.
    case filtered
    case bothSeeds, tooManyPeers, torrentPaused, torrentRemoved
    /// No agreement on message stream encryption.
    case encryptionRefused
    /// The dial failed on our side of the peer.
    case notDialled
    /// We lost a piece and it cannot be told (BEP 54): a new connection shows what we have.
    case piecesLost
}

/// How a connection's stream is hidden (message stream encryption). The raw values are for the shell and the simulator only.
package enum StreamEncryption: UInt8, Hashable, Sendable {
    case none
    /// Only its beginning: plain text was agreed on.
    case handshake
    case rc4
}

/// Limits and intervals. Names follow the settings.
package struct SwarmConfiguration: Sendable {
    package var peerID: PeerID
    /// Until ``Swarm/listening(on:)`` says which it is.
    package var listenPort: UInt16
    /// What the extended handshake calls us (BEP 10 `v`).
    package var clientName = "ccbt/0.1.0"
    package var sha1: @Sendable (UnsafeRawBufferPointer) -> SHA1Digest
    /// For v2 and hybrid torrents; nil refuses the metadata of magnets that name a v2 hash, and piece layers.
    package var sha256: (@Sendable (UnsafeRawBufferPointer) -> SHA256Digest)?

    /// Our DHT node is told to peers, and theirs are taken (BEP 5: the reserved bit and PORT).
    package var speaksDHT = false
    /// uTP is on: peers may be told so, and holes punched (BEP 55).
    package var speaksUTP = false
    package var maxGlobalPeers = 10_000
    package var maxPeersPerTorrent = 500
    /// Dials under way at once, over all torrents.
    package var maxHalfOpen = 500
    /// Requests outstanding to one peer, at most. 512 × 16 KiB = 8 MiB: 1 Gbit/s at 64 ms.
    package var pipelineMaxDepth = 512
    package var pipelineMinDepth = 4
    /// Peers of one torrent that we upload to at a time.
    package var uploadSlots = 100
    package var unchokeInterval = TimeSpan.seconds(10)
    package var optimisticUnchokeInterval = TimeSpan.seconds(30)
    package var connectionTimeout = TimeSpan.seconds(10)
    package var handshakeTimeout = TimeSpan.seconds(10)
    package var keepAliveInterval = TimeSpan.seconds(120)
    /// A connection that brings no byte for so long is closed. BEP 3 expects a keep-alive each 2 minutes.
    package var peerTimeout = TimeSpan.seconds(300)
    package var requestTimeoutMinimum = TimeSpan.seconds(2)
    package var requestTimeoutMaximum = TimeSpan.seconds(60)
    /// No block for so long although asked and unchoked: snubbed.
    package var snubTimeout = TimeSpan.seconds(60)
    /// Copies of one block asked for at a time, in endgame.
    package var endgameDuplicates = 2
    /// Part of the pieces that must be there before the endgame begins, unless no more than four are missing.
    package var endgameThreshold = 0.95
    package var maxDialsPerSecond = 30
    package var selection = PieceSelection.rarestFirst
    /// Sequential: pieces from which the next is taken; part of the peers that must have them on average.
    package var sequentialWindow = 10
    package var sequentialFallbackThreshold = 0.1
    /// Said as `reqq`. More are rejected, or the socket of a peer without BEP 6 is held back.
    package var maxQueuedRequestsPerPeer = 2_000
    /// Of a peer without BEP 6, to which nothing can be rejected: it would wait for ever for a request that was dropped.
    /// Not reached while its socket is held back from 2,000 on: what one receive of 128 KiB holds is 7,710 requests.
    package var maxUnrejectableRequests = 16_384
    package var maxPendingPerPrefix = 50
    package var maxPendingPerAddress = 20
    /// Of all addresses. A pending connection costs a descriptor and at most 16 KiB: 16 MiB in all.
    package var maxPendingAccepts = 1_000
    package var dialsEncryptedFirst = false
    /// Whom a handshake failed with is dialled once more, plain instead of encrypted or the reverse.
    package var dialsOtherWay = false
    package var maxUselessBlocks = 50
    package var maxInvalidRequests = 300
    package var maxUselessMessagesPerMinute = 10_000
    /// Peers tell each other of peers (BEP 11); never in private torrents.
    package var enablePex = true
    package var banDuration = TimeSpan.seconds(24 * 3600)
    package var floodBanDuration = TimeSpan.minutes(10)
    package var maxCandidatesPerTorrent = 1_000
    /// Pieces of the allowed-fast set (BEP 6's k).
    package var allowedFastCount = 10

    package init(peerID: PeerID, listenPort: UInt16, sha1: @escaping @Sendable (UnsafeRawBufferPointer) -> SHA1Digest) {
        self.peerID = peerID
        self.listenPort = listenPort
        self.sha1 = sha1
    }

    /// "-CB0100-" and twelve random characters (BEP 20, Azureus style).
    package static func makePeerID(random: inout SeededRandom) -> PeerID {
        let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
        var id = Array("-CB0100-".utf8)
        while id.count < 20 { id.append(alphabet[random.below(alphabet.count)]) }
        return PeerID(id)!
    }
}
