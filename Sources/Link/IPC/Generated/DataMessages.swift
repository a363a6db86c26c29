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
    package static var fixedSize: Int { 13 }
    package var torrent: UInt32
    package var piece: UInt32
    package var firstSlot: UInt32
    package var reason: UInt8  // PieceFailure
    package init(torrent: UInt32, piece: UInt32, firstSlot: UInt32, reason: UInt8) {
        self.torrent = torrent
        self.piece = piece
        self.firstSlot = firstSlot
        self.reason = reason
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(torrent)
        w.u32(piece)
        w.u32(firstSlot)
        w.u8(reason)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        torrent = try r.u32()
        piece = try r.u32()
        firstSlot = try r.u32()
        reason = try r.u8()
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
