import ByteCodec
import Primitives

/// Length-prefixed binary frames between our processes. protocol/ipc.md has the layout, protocol/*.schema the
/// messages; the files in Generated/ are made from those. Pure: no descriptor is touched here.
package enum IPC {
    /// Two builds one version apart can talk: readers skip what they do not know.
    package static let protocolVersion: UInt16 = 1
    /// Bytes of the frame header.
    package static let headerSize = 20
    /// Largest frame, header included. Bounds what a broken sibling can make us hold.
    package static let frameLimit = 1 << 20
}

/// `length u32 · type u16 · flags u16 · generation u32 · correlation u64`, little-endian.
package struct FrameHeader: Equatable, Sendable {
    /// Bytes of the whole frame, this header included.
    package var length: UInt32
    package var type: UInt16
    /// Zero in this version.
    package var flags: UInt16 = 0
    /// The sender's.
    package var generation: Generation
    /// Chosen by who asks, repeated by who answers; 0 for none.
    package var correlation: UInt64

    package init(from r: inout ByteReader) throws(DecodeError) {
        length = try r.u32()
        type = try r.u16()
        flags = try r.u16()
        generation = Generation(rawValue: try r.u32())
        correlation = try r.u64()
        if length < UInt32(IPC.headerSize) { throw .badValue(field: "frame length", value: UInt64(length)) }
        if length > UInt32(IPC.frameLimit) { throw .tooLong(length: Int(length), limit: IPC.frameLimit) }
    }
}

/// A whole frame whose payload is borrowed from the reader's buffer until the next read.
package struct Frame {
    package let header: FrameHeader
    package let payload: UnsafeRawBufferPointer

    package init(header: FrameHeader, payload: UnsafeRawBufferPointer) {
        self.header = header
        self.payload = payload
    }
    /// nil for a type that this build does not know; such frames are skipped.
    package var type: MessageType? { MessageType(rawValue: header.type) }
    package var correlation: UInt64 { header.correlation }

    package func decode<M: IPCMessage>(_: M.Type = M.self) throws(DecodeError) -> M {
        var r = try PayloadReader(payload)
        return try M(from: &r)
    }

    /// A frame that stands alone in `packet` (SOCK_SEQPACKET).
    package init(packet: UnsafeRawBufferPointer) throws(DecodeError) {
        var r = ByteReader(packet)
        header = try FrameHeader(from: &r)
        if Int(header.length) != packet.count { throw .badValue(field: "frame length", value: UInt64(header.length)) }
        payload = r.rest()
    }
}

package protocol IPCStruct: Sendable {
    static var fixedSize: Int { get }
    func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail)
    func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail)
    init(from r: inout PayloadReader) throws(DecodeError)
}
package protocol IPCMessage: IPCStruct {
    static var type: MessageType { get }
}

extension IPCStruct {
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {}
}

extension IPCMessage {
    /// Appends one whole frame. Needs a payload within ``IPC/frameLimit``: senders split longer lists.
    package func encode(into w: inout ByteWriter, generation: Generation, correlation: UInt64 = 0) {
        let start = w.count
        w.u32(0)
        w.u16(Self.type.rawValue)
        w.u16(0)
        w.u32(generation.rawValue)
        w.u64(correlation)
        encodePayload(into: &w)
        precondition(w.count - start <= IPC.frameLimit, "frame over its bound")
        w.patch(UInt32(w.count - start).littleEndian, at: start)
    }

    package func encodePayload(into w: inout ByteWriter) {
        let start = w.count
        w.u16(UInt16(Self.fixedSize))
        var tail = PayloadTail(start: start)
        encodeFixed(into: &w, tail: &tail)
        encodeTail(into: &w, tail: &tail)
    }
}
