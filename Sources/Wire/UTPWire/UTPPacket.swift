import Primitives

/// Packets of uTP (BEP 29), big-endian:
///
/// | offset | bytes | name | meaning |
/// |---|---|---|---|
/// | 0 | 1 | type, version | high four bits the type, low four the version, 1 |
/// | 1 | 1 | extension | kind of the first extension; 0: none |
/// | 2 | 2 | connection | in a SYN what its sender wants to be answered by; else the receiver's id |
/// | 4 | 4 | timestamp | the sender's clock in microseconds, wrapping |
/// | 8 | 4 | delay | the receiver's clock less `timestamp` of the last packet the other way; 0: none came |
/// | 12 | 4 | window | bytes that the sender will take |
/// | 16 | 2 | sequence | counts DATA, FIN and SYN; a STATE carries the next one unused |
/// | 18 | 2 | acknowledged | last sequence that arrived with all before it |
/// | 20 | | extensions | each: kind of the next, length, bytes |
/// | | | payload | of DATA and FIN |
package struct UTPHeader: Hashable, Sendable {
    package static var byteCount: Int { 20 }

    package var type: UTPPacketType
    package var connection: UInt16
    package var timestamp: UInt32
    package var delay: UInt32
    package var window: UInt32
    package var sequence: UInt16
    package var acknowledged: UInt16

    package init(
        type: UTPPacketType, connection: UInt16, timestamp: UInt32, delay: UInt32, window: UInt32, sequence: UInt16, acknowledged: UInt16
    ) {
        self.type = type
        self.connection = connection
        self.timestamp = timestamp
        self.delay = delay
        self.window = window
        self.sequence = sequence
        self.acknowledged = acknowledged
    }

    /// Writes ``byteCount`` bytes.
    @inlinable package func encode(to p: UnsafeMutableRawPointer, extension kind: UInt8 = 0) {
        p.storeBytes(of: type.rawValue << 4 | 1, as: UInt8.self)
        p.storeBytes(of: kind, toByteOffset: 1, as: UInt8.self)
        p.storeBytes(of: connection.bigEndian, toByteOffset: 2, as: UInt16.self)
        p.storeBytes(of: timestamp.bigEndian, toByteOffset: 4, as: UInt32.self)
        p.storeBytes(of: delay.bigEndian, toByteOffset: 8, as: UInt32.self)
        p.storeBytes(of: window.bigEndian, toByteOffset: 12, as: UInt32.self)
        p.storeBytes(of: sequence.bigEndian, toByteOffset: 16, as: UInt16.self)
        p.storeBytes(of: acknowledged.bigEndian, toByteOffset: 18, as: UInt16.self)
    }
}

package enum UTPPacketType: UInt8, Sendable, CaseIterable {
    case data = 0
    /// The last of its stream; counted like DATA.
    case fin = 1
    /// Only acknowledges.
    case state = 2
    /// The receiver knows no such connection.
    case reset = 3
    case syn = 4
}

package enum UTPWireError: Error, Hashable, Sendable {
    case truncated
    /// Version other than 1, or a type above 4: not uTP.
    case notUTP
    /// Selective acknowledgement without a byte.
    case badSelectiveAck
}

/// A parsed datagram: the header, and where in the datagram the rest stands.
package struct UTPPacket: Hashable, Sendable {
    package var header: UTPHeader
    /// Bits of the selective acknowledgement, empty when there is none. Bit 0 of the first byte is `acknowledged + 2`.
    package var selectiveAck: Range<Int>
    package var payload: Range<Int>

    @inlinable package init(decoding bytes: UnsafeRawBufferPointer) throws(UTPWireError) {
        guard bytes.count >= UTPHeader.byteCount else { throw .truncated }
        func load<T: FixedWidthInteger>(_ at: Int, _: T.Type) -> T { T(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: T.self)) }
        guard bytes[0] & 15 == 1, let type = UTPPacketType(rawValue: bytes[0] >> 4) else { throw .notUTP }
        header = UTPHeader(
            type: type, connection: load(2, UInt16.self), timestamp: load(4, UInt32.self), delay: load(8, UInt32.self),
            window: load(12, UInt32.self), sequence: load(16, UInt16.self), acknowledged: load(18, UInt16.self))
        selectiveAck = 0..<0
        // Each round moves on by two bytes at least.
        var at = UTPHeader.byteCount, kind = bytes[1]
        while kind != 0 {
            guard bytes.count - at >= 2 else { throw .truncated }
            let next = bytes[at], length = Int(bytes[at + 1])
            at += 2
            guard bytes.count - at >= length else { throw .truncated }
            if kind == UTPSelectiveAck.kind {
                // BEP 29 wants a multiple of four; libtorrent 2.1 sends any number from one on, with data too.
                guard length > 0 else { throw .badSelectiveAck }
                selectiveAck = at..<at + length
            }
            at += length
            kind = next
        }
        payload = at..<bytes.count
    }

    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        guard let packet = try? UTPPacket(decoding: bytes) else { return }
        precondition(packet.payload.upperBound == bytes.count && packet.payload.lowerBound >= UTPHeader.byteCount)
        precondition(packet.selectiveAck.isEmpty || packet.selectiveAck.upperBound <= packet.payload.lowerBound)
        withUnsafeTemporaryAllocation(byteCount: UTPHeader.byteCount, alignment: 4) { out in
            packet.header.encode(to: out.baseAddress!, extension: bytes[1])
            precondition(out.elementsEqual(bytes[..<UTPHeader.byteCount]))
        }
    }
}

package enum UTPSelectiveAck {
    package static var kind: UInt8 { 1 }
    /// A length is a byte. 128 bytes are 1,024 packets, more than a window of 1 MiB holds.
    package static var byteLimit: Int { 128 }
}

/// Sequence numbers wrap at 65,536: `b` is after `a` when it is less than half the circle ahead.
@inlinable package func sequenceDistance(from a: UInt16, to b: UInt16) -> Int { Int(Int16(bitPattern: b &- a)) }
