// Made by protocol/generate.py from protocol/data.schema; do not edit.
// swift-format-ignore-file

import ByteCodec
import Primitives

/// Sent for each torrent after a new edge: what the last disk worker had acknowledged as written.
package struct Claim: IPCMessage, Equatable {
    package static var type: MessageType { .claim }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var have: [UInt8]  // bitfield in wire order
    package init(torrent: UInt32, have: [UInt8] = []) {
        self.torrent = torrent
        self.have = have
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: have.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.bytes(&w, have)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        have = try r.bytes()
    }
}

package struct ClaimsEnd: IPCMessage, Equatable {
    package static var type: MessageType { .claimsEnd }
    package static var fixedSize: Int { 0 }
    package init() {
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {

    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
    }
}

/// The torrent can be read and written. Also after a recheck.
package struct TorrentReady: IPCMessage, Equatable {
    package static var type: MessageType { .torrentReady }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var have: [UInt8]  // bitfield in wire order: verified and on disk
    package init(torrent: UInt32, have: [UInt8] = []) {
        self.torrent = torrent
        self.have = have
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        tail.reserve(&w, count: have.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.bytes(&w, have)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        have = try r.bytes()
    }
}

package struct TorrentUnready: IPCMessage, Equatable {
    package static var type: MessageType { .torrentUnready }
    package static var fixedSize: Int { 5 }
    package var torrent: UInt32
    package var reason: UInt8  // UnreadyReason
    package init(torrent: UInt32, reason: UInt8) {
        self.torrent = torrent
        self.reason = reason
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u8(reason)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        reason = try r.u8()
    }
}

/// Hands over a whole piece: the disk worker owns the run until PieceWritten or PieceFailed.
package struct StorePiece: IPCMessage, Equatable {
    package static var type: MessageType { .storePiece }
    package static var fixedSize: Int { 16 }
    package var torrent: UInt32
    package var piece: UInt32
    package var firstSlot: UInt32
    package var length: UInt32  // bytes
    package init(torrent: UInt32, piece: UInt32, firstSlot: UInt32, length: UInt32) {
        self.torrent = torrent
        self.piece = piece
        self.firstSlot = firstSlot
        self.length = length
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(piece)
        w.u32(firstSlot)
        w.u32(length)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        piece = try r.u32()
        firstSlot = try r.u32()
        length = try r.u32()
    }
}

/// The hash is right; HAVE may go out. The run is still being written from.
package struct PieceVerified: IPCMessage, Equatable {
    package static var type: MessageType { .pieceVerified }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var piece: UInt32
    package var firstSlot: UInt32
    package init(torrent: UInt32, piece: UInt32, firstSlot: UInt32) {
        self.torrent = torrent
        self.piece = piece
        self.firstSlot = firstSlot
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(piece)
        w.u32(firstSlot)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        piece = try r.u32()
        firstSlot = try r.u32()
    }
}

/// On disk (not yet synced); the run is the shard's again, and still holds the piece.
package struct PieceWritten: IPCMessage, Equatable {
    package static var type: MessageType { .pieceWritten }
    package static var fixedSize: Int { 12 }
    package var torrent: UInt32
    package var piece: UInt32
    package var firstSlot: UInt32
    package init(torrent: UInt32, piece: UInt32, firstSlot: UInt32) {
        self.torrent = torrent
        self.piece = piece
        self.firstSlot = firstSlot
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(piece)
        w.u32(firstSlot)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        piece = try r.u32()
        firstSlot = try r.u32()
    }
}

/// The run is the shard's again.
package struct PieceFailed: IPCMessage, Equatable {
    package static var type: MessageType { .pieceFailed }
    package static var fixedSize: Int { 89 }
    package var torrent: UInt32
    package var piece: UInt32
    package var firstSlot: UInt32
    package var reason: UInt8  // PieceFailure
    package var fileRoot: SHA256Digest  // BEP 52, after a hash mismatch: pieces root of the file
    package var pieceHash: SHA256Digest  // what the hashes of the piece's blocks lead to
    package var firstBlock: UInt32  // the piece's first block in the file
    package var blocks: UInt32  // leaves under pieceHash; 0: no v2 hash is known
    package var fileBytes: UInt32  // bytes of the piece that are the file's; what follows them is padding
    package init(torrent: UInt32, piece: UInt32, firstSlot: UInt32, reason: UInt8, fileRoot: SHA256Digest = SHA256Digest(), pieceHash: SHA256Digest = SHA256Digest(), firstBlock: UInt32 = 0, blocks: UInt32 = 0, fileBytes: UInt32 = 0) {
        self.torrent = torrent
        self.piece = piece
        self.firstSlot = firstSlot
        self.reason = reason
        self.fileRoot = fileRoot
        self.pieceHash = pieceHash
        self.firstBlock = firstBlock
        self.blocks = blocks
        self.fileBytes = fileBytes
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(piece)
        w.u32(firstSlot)
        w.u8(reason)
        w.digest(fileRoot)
        w.digest(pieceHash)
        w.u32(firstBlock)
        w.u32(blocks)
        w.u32(fileBytes)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        piece = try r.u32()
        firstSlot = try r.u32()
        reason = try r.u8()
        fileRoot = try r.hash32()
        pieceHash = try r.hash32()
        firstBlock = try r.u32()
        blocks = try r.u32()
        fileBytes = try r.u32()
    }
}

/// Fill the run from `firstSlot` with `length` bytes at `offset` of the piece. `offset` is a multiple of 16 KiB.
package struct ReadPiece: IPCMessage, Equatable {
    package static var type: MessageType { .readPiece }
    package static var fixedSize: Int { 20 }
    package var torrent: UInt32
    package var piece: UInt32
    package var offset: UInt32
    package var length: UInt32
    package var firstSlot: UInt32
    package init(torrent: UInt32, piece: UInt32, offset: UInt32, length: UInt32, firstSlot: UInt32) {
        self.torrent = torrent
        self.piece = piece
        self.offset = offset
        self.length = length
        self.firstSlot = firstSlot
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(piece)
        w.u32(offset)
        w.u32(length)
        w.u32(firstSlot)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        piece = try r.u32()
        offset = try r.u32()
        length = try r.u32()
        firstSlot = try r.u32()
    }
}

package struct ReadDone: IPCMessage, Equatable {
    package static var type: MessageType { .readDone }
    package static var fixedSize: Int { 17 }
    package var torrent: UInt32
    package var piece: UInt32
    package var offset: UInt32
    package var firstSlot: UInt32
    package var status: UInt8  // 0 done, 1 no such piece, 2 I/O error, 3 torrent not ready
    package init(torrent: UInt32, piece: UInt32, offset: UInt32, firstSlot: UInt32, status: UInt8) {
        self.torrent = torrent
        self.piece = piece
        self.offset = offset
        self.firstSlot = firstSlot
        self.status = status
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(piece)
        w.u32(offset)
        w.u32(firstSlot)
        w.u8(status)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        piece = try r.u32()
        offset = try r.u32()
        firstSlot = try r.u32()
        status = try r.u8()
    }
}

/// BEP 52 hash request; answered by HashesFound with the same correlation.
package struct HashesWanted: IPCMessage, Equatable {
    package static var type: MessageType { .hashesWanted }
    package static var fixedSize: Int { 52 }
    package var torrent: UInt32
    package var root: SHA256Digest
    package var baseLayer: UInt32
    package var index: UInt32
    package var length: UInt32
    package var proofLayers: UInt32
    package init(torrent: UInt32, root: SHA256Digest, baseLayer: UInt32, index: UInt32, length: UInt32, proofLayers: UInt32) {
        self.torrent = torrent
        self.root = root
        self.baseLayer = baseLayer
        self.index = index
        self.length = length
        self.proofLayers = proofLayers
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.digest(root)
        w.u32(baseLayer)
        w.u32(index)
        w.u32(length)
        w.u32(proofLayers)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        root = try r.hash32()
        baseLayer = try r.u32()
        index = try r.u32()
        length = try r.u32()
        proofLayers = try r.u32()
    }
}

package struct HashesFound: IPCMessage, Equatable {
    package static var type: MessageType { .hashesFound }
    package static var fixedSize: Int { 60 }
    package var torrent: UInt32
    package var root: SHA256Digest
    package var baseLayer: UInt32
    package var index: UInt32
    package var length: UInt32
    package var proofLayers: UInt32
    package var hashes: [UInt8]  // empty: not to be had
    package init(torrent: UInt32, root: SHA256Digest, baseLayer: UInt32, index: UInt32, length: UInt32, proofLayers: UInt32, hashes: [UInt8] = []) {
        self.torrent = torrent
        self.root = root
        self.baseLayer = baseLayer
        self.index = index
        self.length = length
        self.proofLayers = proofLayers
        self.hashes = hashes
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.digest(root)
        w.u32(baseLayer)
        w.u32(index)
        w.u32(length)
        w.u32(proofLayers)
        tail.reserve(&w, count: hashes.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.bytes(&w, hashes)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        root = try r.hash32()
        baseLayer = try r.u32()
        index = try r.u32()
        length = try r.u32()
        proofLayers = try r.u32()
        hashes = try r.bytes()
    }
}

/// Before TorrentReady of a v2-only torrent: the pieces in which its files end, and their lengths; parts of at most 60,000.
package struct TorrentTails: IPCMessage, Equatable {
    package static var type: MessageType { .torrentTails }
    package static var fixedSize: Int { 21 }
    package var torrent: UInt32
    package var isFirst: UInt8
    package var pieces: [UInt32]
    package var lengths: [UInt32]
    package init(torrent: UInt32, isFirst: UInt8, pieces: [UInt32] = [], lengths: [UInt32] = []) {
        self.torrent = torrent
        self.isFirst = isFirst
        self.pieces = pieces
        self.lengths = lengths
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u8(isFirst)
        tail.reserve(&w, count: pieces.count)
        tail.reserve(&w, count: lengths.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.list(&w, pieces) { $0.u32($1) }
        tail.list(&w, lengths) { $0.u32($1) }
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        isFirst = try r.u8()
        pieces = try r.list(elementSize: 4) { (r) throws(DecodeError) in try r.u32() }
        lengths = try r.list(elementSize: 4) { (r) throws(DecodeError) in try r.u32() }
    }
}

package struct PieceLevelRun: IPCStruct, Equatable {
    package static var fixedSize: Int { 9 }
    package var first: UInt32
    package var count: UInt32
    package var level: UInt8  // 0 skip, 1 low, 2 normal, 3 high, 4 maximum, 5 urgent
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

/// Before TorrentReady, and when wishes change: how much each piece is wanted.
package struct PieceLevels: IPCMessage, Equatable {
    package static var type: MessageType { .pieceLevels }
    package static var fixedSize: Int { 14 }
    package var torrent: UInt32
    package var continues: UInt8  // 0: begins anew, all normal; 1: goes on with what the last frame said
    package var isLast: UInt8  // 1: take effect now
    package var runs: [PieceLevelRun]
    package init(torrent: UInt32, continues: UInt8, isLast: UInt8, runs: [PieceLevelRun] = []) {
        self.torrent = torrent
        self.continues = continues
        self.isLast = isLast
        self.runs = runs
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u8(continues)
        w.u8(isLast)
        tail.reserve(&w, count: runs.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, runs)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        continues = try r.u8()
        isLast = try r.u8()
        runs = try r.structs()
    }
}
