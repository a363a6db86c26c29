/// Indices and identities. Each is its own type, so that a piece index is never taken for a block index.
/// Only ``PieceGeometry`` makes a ``PieceIndex`` from a number that came from outside.

package protocol DenseIndex: Hashable, Comparable, Sendable, CustomStringConvertible {
    var rawValue: UInt32 { get }
    init(rawValue: UInt32)
}

extension DenseIndex {
    @inlinable package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    @inlinable package var int: Int { Int(rawValue) }
    @inlinable package init(_ int: Int) { self.init(rawValue: UInt32(int)) }
    package var description: String { String(rawValue) }
}

/// A torrent's row in the catalogue: given by the session worker, never used twice. 0 is "none".
package struct TorrentID: DenseIndex {
    package let rawValue: UInt32
    @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// Zero-based piece number within one torrent (BEP 3).
package struct PieceIndex: DenseIndex {
    package let rawValue: UInt32
    @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// Zero-based 16 KiB block number within one piece.
package struct BlockIndex: DenseIndex {
    package let rawValue: UInt32
    @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// Zero-based file number within one torrent, pad files counted.
package struct FileIndex: DenseIndex {
    package let rawValue: UInt32
    @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// A 16 KiB slot of a shard's arena.
package struct SlotIndex: DenseIndex {
    package let rawValue: UInt32
    @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// Counts the starts of one worker, from 1. What an older generation sent is dropped.
package struct Generation: DenseIndex {
    package let rawValue: UInt32
    @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// The kinds of worker process; the raw value stands in IPC frames.
package enum WorkerRole: UInt8, CaseIterable, Sendable, Hashable {
    case supervisor = 0
    case session = 1
    case peer = 2
    case disk = 3
    case discovery = 4
    case api = 5

    /// The word users see in tables and logs.
    package var name: String {
        switch self {
        case .supervisor: "supervisor"
        case .session: "session"
        case .peer: "peer"
        case .disk: "disk"
        case .discovery: "discovery"
        case .api: "api"
        }
    }
    /// The file name of its program.
    package var program: String { self == .supervisor ? "ccbtd" : "ccbt-\(name)" }
}

/// One worker among those of its role: peer shard 0, disk device 0.
package struct WorkerName: Hashable, Sendable, CustomStringConvertible {
    package let role: WorkerRole
    package let index: UInt16
    package init(_ role: WorkerRole, _ index: UInt16 = 0) {
        self.role = role
        self.index = index
    }
    package var description: String { "\(role.name):\(index)" }
}
