/// Values of the u8 and u32 fields in the schema files.

/// Bits of the `flags` field of the TorrentAdd messages.
package struct TorrentFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let hasMetadata = TorrentFlags(rawValue: 1 << 0)
    /// BEP 27: peers from its trackers and the user only.
    package static let isPrivate = TorrentFlags(rawValue: 1 << 1)
    package static let paused = TorrentFlags(rawValue: 1 << 2)
    package static let sequential = TorrentFlags(rawValue: 1 << 3)
    /// Believe without hashing that every piece is there (the files must exist with their full length).
    package static let skipCheck = TorrentFlags(rawValue: 1 << 4)
    /// The last run ended without its final checkpoint: pieces outside the durable bitfield may be on disk.
    package static let unclean = TorrentFlags(rawValue: 1 << 5)
    package static let completed = TorrentFlags(rawValue: 1 << 6)
    /// The first and the last piece of each file before others.
    package static let firstLastFirst = TorrentFlags(rawValue: 1 << 8)
    /// BEP 16.
    package static let superSeeding = TorrentFlags(rawValue: 1 << 9)
    /// Of DiskTorrentAdd: a move was under way, and is asked for again next.
    package static let moving = TorrentFlags(rawValue: 1 << 10)
}

package enum PeerSource: UInt8, Sendable, Hashable, CaseIterable {
    case tracker = 0, dht, pex, lsd, manual, incoming, magnet, resume
    case webSeed = 16
    package var name: String {
        switch self {
        case .tracker: "tracker"
        case .dht: "dht"
        case .pex: "pex"
        case .lsd: "lsd"
        case .manual: "manual"
        case .incoming: "incoming"
        case .magnet: "magnet"
        case .resume: "resume"
        case .webSeed: "web_seed"
        }
    }
}

/// Why an address is banned. The raw values are the swarm's, and stand in the session's database.
package enum BanReason: UInt8, Sendable, Hashable, CaseIterable {
    case corruptPiece = 0, corruptBlock, badMetadata, protocolViolation, messageFlood, exchangeFlood, uselessBlocks, invalidRequests
    case slowHandshake, byUser
    package var name: String {
        switch self {
        case .corruptPiece: "corrupt_piece"
        case .corruptBlock: "corrupt_block"
        case .badMetadata: "bad_metadata"
        case .protocolViolation: "protocol_violation"
        case .messageFlood: "message_flood"
        case .exchangeFlood: "exchange_flood"
        case .uselessBlocks: "useless_blocks"
        case .invalidRequests: "invalid_requests"
        case .slowHandshake: "slow_handshake"
        case .byUser: "by_user"
        }
    }
}

package enum DiskState: UInt8, Sendable, Hashable {
    /// Waiting for its turn to be looked at.
    case queued = 0
    case checking, ready, error
    /// Files gone or shorter than they were.
    case missing
    case moving
    case paused
}

package enum DiskErrorKind: UInt8, Sendable, Hashable {
    case none = 0, diskFull, ioError, permission, missingFiles, badMetainfo, readOnly, deviceMissing, pathConflict
}

package enum UnreadyReason: UInt8, Sendable, Hashable {
    case checking = 0, diskFull, ioError, missingFiles, removed, paused
}

package enum PieceFailure: UInt8, Sendable, Hashable {
    /// The bytes are not the piece's: some peer's fault.
    case hashMismatch = 0
    /// Not written: the disk is full. The bytes were right.
    case diskFull
    case ioError
    /// The torrent is not (or no longer) known or ready.
    case unready
}

/// Bits of ``ApiTorrent/flags``.
package struct ApiTorrentFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let hasMetadata = ApiTorrentFlags(rawValue: 1 << 0)
    package static let isPrivate = ApiTorrentFlags(rawValue: 1 << 1)
    package static let paused = ApiTorrentFlags(rawValue: 1 << 2)
    package static let sequential = ApiTorrentFlags(rawValue: 1 << 3)
    package static let complete = ApiTorrentFlags(rawValue: 1 << 4)
    /// Held back by the queue's rules.
    package static let held = ApiTorrentFlags(rawValue: 1 << 5)
    package static let hasV1 = ApiTorrentFlags(rawValue: 1 << 6)
    /// The disk worker's present generation has reported on it.
    package static let diskKnown = ApiTorrentFlags(rawValue: 1 << 7)
}

/// Bits of ``ApiTorrent/options``.
package struct ApiTorrentOptions: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let autoManaged = ApiTorrentOptions(rawValue: 1 << 0)
    package static let forceStart = ApiTorrentOptions(rawValue: 1 << 1)
    package static let superSeeding = ApiTorrentOptions(rawValue: 1 << 2)
    package static let firstLastFirst = ApiTorrentOptions(rawValue: 1 << 3)
}

package enum ListenerKind: UInt8, Sendable, Hashable {
    case peerTCP = 1, controlSocket = 2
    /// A datagram socket of the public port, one for each shard: everything that is not bencode (uTP, BEP 29).
    case peerUDP = 3
    /// The datagram socket that takes what begins with `d`: DHT messages are bencoded dictionaries (BEP 5).
    case discoveryUDP = 4
    /// HTTP, for the API worker.
    case apiTCP = 8
}
