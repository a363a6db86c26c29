import Primitives

/// What a reader says when bytes run out or are not what they must be.
package enum DecodeError: Error, Equatable {
    case truncated(needed: Int, available: Int)
    case tooLong(length: Int, limit: Int)
    case badValue(field: StaticString, value: UInt64)
    case badText(field: StaticString)

    package static func == (a: DecodeError, b: DecodeError) -> Bool {
        switch (a, b) {
        case (.truncated(let n, let v), .truncated(let m, let w)): n == m && v == w
        case (.tooLong(let n, let v), .tooLong(let m, let w)): n == m && v == w
        case (.badValue(let f, let v), .badValue(let g, let w)): f.description == g.description && v == w
        case (.badText(let f), .badText(let g)): f.description == g.description
        default: false
        }
    }
}

/// Reads numbers and byte runs from borrowed memory. The unaligned loads of the product are here.
/// Invariant: 0 <= position <= buffer.count. The caller keeps the memory alive while the reader lives.
package struct ByteReader {
    package let buffer: UnsafeRawBufferPointer
    package private(set) var position = 0

    @inlinable package init(_ buffer: UnsafeRawBufferPointer) { self.buffer = buffer }

    @inlinable package var remaining: Int { buffer.count - position }

    @inlinable package mutating func need(_ n: Int) throws(DecodeError) {
        if n < 0 || n > remaining { throw .truncated(needed: n, available: remaining) }
    }

    @inlinable package mutating func load<T: FixedWidthInteger>(_: T.Type = T.self) throws(DecodeError) -> T {
        try need(MemoryLayout<T>.size)
        let value = buffer.loadUnaligned(fromByteOffset: position, as: T.self)
        position += MemoryLayout<T>.size
        return value
    }

    @inlinable package mutating func u8() throws(DecodeError) -> UInt8 { try load() }
    @inlinable package mutating func u16() throws(DecodeError) -> UInt16 { UInt16(littleEndian: try load()) }
    @inlinable package mutating func u32() throws(DecodeError) -> UInt32 { UInt32(littleEndian: try load()) }
    @inlinable package mutating func u64() throws(DecodeError) -> UInt64 { UInt64(littleEndian: try load()) }
    @inlinable package mutating func i32() throws(DecodeError) -> Int32 { Int32(littleEndian: try load()) }
    @inlinable package mutating func i64() throws(DecodeError) -> Int64 { Int64(littleEndian: try load()) }
    @inlinable package mutating func u16BigEndian() throws(DecodeError) -> UInt16 { UInt16(bigEndian: try load()) }
    @inlinable package mutating func u32BigEndian() throws(DecodeError) -> UInt32 { UInt32(bigEndian: try load()) }
    @inlinable package mutating func u64BigEndian() throws(DecodeError) -> UInt64 { UInt64(bigEndian: try load()) }

    /// The next `n` bytes, borrowed.
    @inlinable package mutating func bytes(_ n: Int) throws(DecodeError) -> UnsafeRawBufferPointer {
        try need(n)
        defer { position += n }
        return UnsafeRawBufferPointer(rebasing: buffer[position..<position + n])
    }
    @inlinable package mutating func rest() -> UnsafeRawBufferPointer {
        defer { position = buffer.count }
        return UnsafeRawBufferPointer(rebasing: buffer[position...])
    }
    @inlinable package mutating func skip(_ n: Int) throws(DecodeError) {
        try need(n)
        position += n
    }
    package mutating func digest<D: FixedDigest>(_: D.Type = D.self) throws(DecodeError) -> D {
        D(bytes: try bytes(D.byteCount))
    }
    /// Sixteen address bytes and a big-endian port, as ``ByteWriter/endpoint(_:)`` writes them.
    package mutating func endpoint() throws(DecodeError) -> Endpoint {
        Endpoint(high: try u64BigEndian(), low: try u64BigEndian(), port: try u16BigEndian())
    }
}
