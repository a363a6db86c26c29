// Made by protocol/generate.py from protocol/state-disk.schema; do not edit.
// swift-format-ignore-file

import ByteCodec
import Primitives

package struct PieceRun: IPCStruct, Equatable {
    package static var fixedSize: Int { 8 }
    package var first: UInt32
    package var count: UInt32
    package init(first: UInt32, count: UInt32) {
        self.first = first
        self.count = count
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(first)
        w.u32(count)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        first = try r.u32()
        count = try r.u32()
    }
}

package struct PathRename: IPCStruct, Equatable {
    package static var fixedSize: Int { 16 }
    package var from: String  // of a file, or of a folder and all in it
    package var to: String  // empty: what is in the folder stands without it
    package init(from: String = "", to: String = "") {
        self.from = from
        self.to = to
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: from.utf8.count)
        tail.reserve(&w, count: to.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, from)
        tail.string(&w, to)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        from = try r.string()
        to = try r.string()
    }
}

package struct FileLevelRun: IPCStruct, Equatable {
    package static var fixedSize: Int { 9 }
    package var first: UInt32
    package var count: UInt32
    package var level: UInt8  // 0 skip, 1 low, 2 normal, 3 high, 4 maximum
    package init(first: UInt32, count: UInt32, level: UInt8) {
        self.first = first
        self.count = count
        self.level = level
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(first)
        w.u32(count)
        w.u8(level)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        first = try r.u32()
        count = try r.u32()
        level = try r.u8()
    }
}

package struct DiskTorrentAdd: IPCMessage, Equatable {
    package static var type: MessageType { .diskTorrentAdd }
    package static var fixedSize: Int { 69 }
    package var torrent: UInt32
    package var flags: UInt32  // TorrentFlags
    package var metainfoPath: String  // absolute path of the stored .torrent file
    package var savePath: String  // absolute path of the folder that the torrent's name stands in
    package var durable: [UInt8]  // bitfield in wire order of the pieces known to be on disk; empty: none
    package var sourceDevice: UInt64  // st_dev of the save path when it was added, 0 unknown
    package var allocation: UInt8  // 0 none, 1 sparse, 2 full (fallocate)
    package var renames: [PathRename]  // applied in order to the paths of the metainfo
    package var suffix: String  // behind the path of each file; empty: none
    package var levels: [FileLevelRun]  // of the files, rising; those not named are normal
    package var selection: UInt32  // what the session calls this choice of files
    package init(torrent: UInt32, flags: UInt32, metainfoPath: String = "", savePath: String = "", durable: [UInt8] = [], sourceDevice: UInt64, allocation: UInt8, renames: [PathRename] = [], suffix: String = "", levels: [FileLevelRun] = [], selection: UInt32) {
        self.torrent = torrent
        self.flags = flags
        self.metainfoPath = metainfoPath
        self.savePath = savePath
        self.durable = durable
        self.sourceDevice = sourceDevice
        self.allocation = allocation
        self.renames = renames
        self.suffix = suffix
        self.levels = levels
        self.selection = selection
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(flags)
        tail.reserve(&w, count: metainfoPath.utf8.count)
        tail.reserve(&w, count: savePath.utf8.count)
        tail.reserve(&w, count: durable.count)
        w.u64(sourceDevice)
        w.u8(allocation)
        tail.reserve(&w, count: renames.count)
        tail.reserve(&w, count: suffix.utf8.count)
        tail.reserve(&w, count: levels.count)
        w.u32(selection)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, metainfoPath)
        tail.string(&w, savePath)
        tail.bytes(&w, durable)
        tail.structs(&w, renames)
        tail.string(&w, suffix)
        tail.structs(&w, levels)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        flags = try r.u32()
        metainfoPath = try r.string()
        savePath = try r.string()
        durable = try r.bytes()
        sourceDevice = try r.u64()
        allocation = try r.u8()
        renames = try r.structs()
        suffix = try r.string()
        levels = try r.structs()
        selection = try r.u32()
    }
}

package struct DiskTorrentRemove: IPCMessage, Equatable {
    package static var type: MessageType { .diskTorrentRemove }
    package static var fixedSize: Int { 5 }
    package var torrent: UInt32
    package var deleteData: UInt8
    package init(torrent: UInt32, deleteData: UInt8) {
        self.torrent = torrent
        self.deleteData = deleteData
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u8(deleteData)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        deleteData = try r.u8()
    }
}

package struct DiskTorrentMove: IPCMessage, Equatable {
    package static var type: MessageType { .diskTorrentMove }
    package static var fixedSize: Int { 28 }
    package var torrent: UInt32
    package var savePath: String
    package var renames: [PathRename]  // all of them, as the paths are to be
    package var suffix: String
    package init(torrent: UInt32, savePath: String = "", renames: [PathRename] = [], suffix: String = "") {
        self.torrent = torrent
        self.savePath = savePath
        self.renames = renames
        self.suffix = suffix
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: savePath.utf8.count)
        tail.reserve(&w, count: renames.count)
        tail.reserve(&w, count: suffix.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, savePath)
        tail.structs(&w, renames)
        tail.string(&w, suffix)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        savePath = try r.string()
        renames = try r.structs()
        suffix = try r.string()
    }
}

package struct DiskTorrentRecheck: IPCMessage, Equatable {
    package static var type: MessageType { .diskTorrentRecheck }
    package static var fixedSize: Int { 4 }
    package var torrent: UInt32
    package init(torrent: UInt32) {
        self.torrent = torrent
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
    }
}

/// Paused torrents close their files.
package struct DiskTorrentFlags: IPCMessage, Equatable {
    package static var type: MessageType { .diskTorrentFlags }
    package static var fixedSize: Int { 8 }
    package var torrent: UInt32
    package var flags: UInt32
    package init(torrent: UInt32, flags: UInt32) {
        self.torrent = torrent
        self.flags = flags
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(flags)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        flags = try r.u32()
    }
}

package struct DiskReplayEnd: IPCMessage, Equatable {
    package static var type: MessageType { .diskReplayEnd }
    package static var fixedSize: Int { 0 }
    package init() {
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {

    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
    }
}

/// On every change of state, and each 100 ms at the most often while counters move.
package struct DiskTorrentState: IPCMessage, Equatable {
    package static var type: MessageType { .diskTorrentState }
    package static var fixedSize: Int { 50 }
    package var torrent: UInt32
    package var state: UInt8  // DiskState
    package var piecesHave: UInt32  // verified and written
    package var bytesHave: UInt64  // payload bytes of these
    package var piecesChecked: UInt32  // while checking: how many were looked at
    package var errorKind: UInt8  // DiskErrorKind
    package var message: String  // says what, where and what to do; empty if no error
    package var bytesWanted: UInt64  // bytes of the files that are not skipped
    package var bytesWantedHave: UInt64  // of these, in pieces verified and written
    package var selection: UInt32  // the choice of files that this is about
    package init(torrent: UInt32, state: UInt8, piecesHave: UInt32, bytesHave: UInt64, piecesChecked: UInt32, errorKind: UInt8, message: String = "", bytesWanted: UInt64, bytesWantedHave: UInt64, selection: UInt32) {
        self.torrent = torrent
        self.state = state
        self.piecesHave = piecesHave
        self.bytesHave = bytesHave
        self.piecesChecked = piecesChecked
        self.errorKind = errorKind
        self.message = message
        self.bytesWanted = bytesWanted
        self.bytesWantedHave = bytesWantedHave
        self.selection = selection
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u8(state)
        w.u32(piecesHave)
        w.u64(bytesHave)
        w.u32(piecesChecked)
        w.u8(errorKind)
        tail.reserve(&w, count: message.utf8.count)
        w.u64(bytesWanted)
        w.u64(bytesWantedHave)
        w.u32(selection)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, message)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        state = try r.u8()
        piecesHave = try r.u32()
        bytesHave = try r.u64()
        piecesChecked = try r.u32()
        errorKind = try r.u8()
        message = try r.string()
        bytesWanted = try r.u64()
        bytesWantedHave = try r.u64()
        selection = try r.u32()
    }
}

/// Sent after fdatasync of the files; once the session has stored it, nothing has to be hashed again after a crash.
package struct Durable: IPCMessage, Equatable {
    package static var type: MessageType { .durable }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var runs: [PieceRun]
    package init(torrent: UInt32, runs: [PieceRun] = []) {
        self.torrent = torrent
        self.runs = runs
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: runs.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, runs)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        runs = try r.structs()
    }
}

/// A recheck or an I/O error took these back.
package struct Undurable: IPCMessage, Equatable {
    package static var type: MessageType { .undurable }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var runs: [PieceRun]
    package init(torrent: UInt32, runs: [PieceRun] = []) {
        self.torrent = torrent
        self.runs = runs
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: runs.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, runs)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        runs = try r.structs()
    }
}

package struct DiskRemoved: IPCMessage, Equatable {
    package static var type: MessageType { .diskRemoved }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var message: String  // empty: done
    package init(torrent: UInt32, message: String = "") {
        self.torrent = torrent
        self.message = message
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: message.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, message)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        message = try r.string()
    }
}

package struct DiskMoved: IPCMessage, Equatable {
    package static var type: MessageType { .diskMoved }
    package static var fixedSize: Int { 20 }
    package var torrent: UInt32
    package var savePath: String
    package var message: String  // empty: done
    package init(torrent: UInt32, savePath: String = "", message: String = "") {
        self.torrent = torrent
        self.savePath = savePath
        self.message = message
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: savePath.utf8.count)
        tail.reserve(&w, count: message.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, savePath)
        tail.string(&w, message)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        savePath = try r.string()
        message = try r.string()
    }
}

/// Each second while anything moves.
package struct DiskStats: IPCMessage, Equatable {
    package static var type: MessageType { .diskStats }
    package static var fixedSize: Int { 68 }
    package var bytesWritten: UInt64
    package var bytesRead: UInt64
    package var piecesHashed: UInt64
    package var piecesFailed: UInt64
    package var queueDepth: UInt32
    package var directWrites: UInt64
    package var bufferedWrites: UInt64
    package var syncs: UInt64
    package var mode: String  // what is in use, as "io_uring, registered buffers, O_DIRECT, SHA-1 by 16 lanes"
    package init(bytesWritten: UInt64, bytesRead: UInt64, piecesHashed: UInt64, piecesFailed: UInt64, queueDepth: UInt32, directWrites: UInt64, bufferedWrites: UInt64, syncs: UInt64, mode: String = "") {
        self.bytesWritten = bytesWritten
        self.bytesRead = bytesRead
        self.piecesHashed = piecesHashed
        self.piecesFailed = piecesFailed
        self.queueDepth = queueDepth
        self.directWrites = directWrites
        self.bufferedWrites = bufferedWrites
        self.syncs = syncs
        self.mode = mode
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u64(bytesWritten)
        w.u64(bytesRead)
        w.u64(piecesHashed)
        w.u64(piecesFailed)
        w.u32(queueDepth)
        w.u64(directWrites)
        w.u64(bufferedWrites)
        w.u64(syncs)
        tail.reserve(&w, count: mode.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, mode)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        bytesWritten = try r.u64()
        bytesRead = try r.u64()
        piecesHashed = try r.u64()
        piecesFailed = try r.u64()
        queueDepth = try r.u32()
        directWrites = try r.u64()
        bufferedWrites = try r.u64()
        syncs = try r.u64()
        mode = try r.string()
    }
}

package struct DiskFileProgressWanted: IPCMessage, Equatable {
    package static var type: MessageType { .diskFileProgressWanted }
    package static var fixedSize: Int { 4 }
    package var torrent: UInt32
    package init(torrent: UInt32) {
        self.torrent = torrent
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
    }
}

package struct DiskFileProgress: IPCMessage, Equatable {
    package static var type: MessageType { .diskFileProgress }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var bytesHave: [UInt64]  // per file, pad files counted
    package init(torrent: UInt32, bytesHave: [UInt64] = []) {
        self.torrent = torrent
        self.bytesHave = bytesHave
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: bytesHave.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.list(&w, bytesHave) { $0.u64($1) }
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        bytesHave = try r.list(elementSize: 8) { (r) throws(DecodeError) in try r.u64() }
    }
}

/// SQLite has committed the Durable frame with this correlation.
package struct SessionDurableStored: IPCMessage, Equatable {
    package static var type: MessageType { .sessionDurableStored }
    package static var fixedSize: Int { 4 }
    package var torrent: UInt32
    package init(torrent: UInt32) {
        self.torrent = torrent
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
    }
}

/// Replaces what DiskTorrentAdd said.
package struct DiskTorrentLevels: IPCMessage, Equatable {
    package static var type: MessageType { .diskTorrentLevels }
    package static var fixedSize: Int { 16 }
    package var torrent: UInt32
    package var levels: [FileLevelRun]
    package var selection: UInt32  // in the states that follow it
    package init(torrent: UInt32, levels: [FileLevelRun] = [], selection: UInt32) {
        self.torrent = torrent
        self.levels = levels
        self.selection = selection
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: levels.count)
        w.u32(selection)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, levels)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        levels = try r.structs()
        selection = try r.u32()
    }
}
