import ByteCodec
import Primitives

/// Encoders: each appends one message, length prefix first.
extension ByteWriter {
    package mutating func keepAlive() { u32BigEndian(0) }

    /// choke, unchoke, interested, notInterested, haveAll, haveNone.
    package mutating func bare(_ id: UInt8) {
        u32BigEndian(1)
        u8(id)
    }
    /// have, suggest, allowedFast.
    package mutating func piece(_ id: UInt8, _ piece: UInt32) {
        u32BigEndian(5)
        u8(id)
        u32BigEndian(piece)
    }
    /// request, cancel, reject.
    package mutating func block(_ id: UInt8, piece: UInt32, begin: UInt32, length: UInt32) {
        u32BigEndian(13)
        u8(id)
        u32BigEndian(piece)
        u32BigEndian(begin)
        u32BigEndian(length)
    }
    /// The 13 bytes before a block's payload.
    package mutating func pieceHeader(piece: UInt32, begin: UInt32, length: UInt32) {
        u32BigEndian(9 + length)
        u8(MessageID.piece)
        u32BigEndian(piece)
        u32BigEndian(begin)
    }
    package mutating func port(_ port: UInt16) {
        u32BigEndian(3)
        u8(MessageID.port)
        u16BigEndian(port)
    }
    package mutating func bitfield(_ have: Bitfield) {
        u32BigEndian(UInt32(1 + (have.count + 7) / 8))
        u8(MessageID.bitfield)
        bytes(have.wireBytes)
    }
    /// `id` is 0 for the extended handshake, else what the receiver's handshake gave the extension.
    package mutating func extended(_ id: UInt8, _ payload: [UInt8]) {
        u32BigEndian(UInt32(2 + payload.count))
        u8(MessageID.extended)
        u8(id)
        bytes(payload)
    }
}
