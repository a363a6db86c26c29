import Pieces
import Primitives

/// One node's volume: what the files hold now, and what a power cut would leave.
///
/// Survivable by design, and therefore injected: an operation that fails and says so (write, sync, read), the loss of
/// pages whose sync failed, and of all that was not synced. Not injected: a disk that loses what it said was synced; nothing can survive that.
package struct SimDisk {
    package struct File {
        var now: [UInt8]
        var synced: [UInt8]
        /// Pieces that something was ever written to: the rest are holes.
        var data: Bitfield
        var syncedData: Bitfield
        var exists = false
        var syncedExists = false
    }
    package var file: File

    package init(length: Int, pieces: Int) {
        let zeros = [UInt8](repeating: 0, count: length)
        file = File(now: zeros, synced: zeros, data: Bitfield(count: pieces), syncedData: Bitfield(count: pieces))
    }
    mutating func fill(_ bytes: [UInt8]) {
        let all = Bitfield(full: file.data.count)
        file = File(now: bytes, synced: bytes, data: all, syncedData: all, exists: true, syncedExists: true)
    }
    mutating func write(_ bytes: ArraySlice<UInt8>, at offset: Int, piece: Int) {
        file.exists = true
        file.data.insert(piece)
        file.now.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
    mutating func sync() {
        file.synced = file.now
        file.syncedData = file.data
        file.syncedExists = file.exists
    }
    /// What Linux does after a failed write-back: the page counts as clean, and its bytes are gone once it is evicted. A
    /// later fdatasync succeeds all the same. True when something was lost.
    mutating func dropDirty(_ random: inout SeededRandom, pieceLength: Int) -> Bool {
        var lost = false
        for piece in 0..<file.data.count where file.data[piece] && !file.syncedData[piece] && random.chance(0.5) {
            let range = piece * pieceLength..<min((piece + 1) * pieceLength, file.now.count)
            file.now.replaceSubrange(range, with: file.synced[range])
            lost = true
        }
        return lost
    }
    mutating func powerCut(_ random: inout SeededRandom) {
        // Each unsynced piece may be there, half there or gone.
        for piece in 0..<file.data.count where file.data[piece] && random.chance(0.5) {
            file.syncedData.insert(piece)
            file.syncedExists = true
        }
        file.now = file.synced
        file.data = file.syncedData
        file.exists = file.syncedExists
    }
}
