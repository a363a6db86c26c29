import IPC
import Primitives

/// What the shell keeps of a torrent beside the swarm: its disk worker, and what that worker said of the files.
struct TorrentRow {
    var geometry: PieceGeometry?
    var device: UInt16
    /// What handshakes may name it by.
    var infoHashes: [InfoHash]
    /// The disk worker says that it can be read.
    private(set) var isReadable = false
    /// What was written may be claimed to the next disk worker: false from a fault of the files until they were looked at
    /// again, since after a failed sync the kernel may have dropped what it had taken.
    private(set) var isClaimable = true

    init(geometry: PieceGeometry?, device: UInt16, infoHashes: [InfoHash] = []) {
        self.geometry = geometry
        self.device = device
        self.infoHashes = infoHashes
    }

    /// What an unready torrent means for its transfers.
    enum Consequence: Equatable {
        /// Nothing more is asked for; what is there is served on.
        case unwritable
        /// Neither.
        case unready
    }

    /// `reason` came from the disk worker; nil is a number of a later version, which can only be a pause of some kind.
    mutating func unready(_ reason: UnreadyReason?) -> Consequence {
        switch reason ?? .checking {
        case .diskFull: return .unwritable
        case .ioError:
            isClaimable = false
            return .unwritable
        case .missingFiles, .removed:
            isClaimable = false
            isReadable = false
            return .unready
        case .checking, .paused:
            isReadable = false
            return .unready
        }
    }
    /// The files were looked at: what the disk worker says it has is all that is claimed from now on.
    mutating func ready() { (isReadable, isClaimable) = (true, true) }
    /// No disk worker is there.
    mutating func offline() { isReadable = false }
}
