import ByteCodec
import Primitives

/// Where the variable parts of a payload go: the fixed part holds (offset, count), patched once the data is behind it.
/// The references are patched in the order in which they were reserved.
package struct PayloadTail {
    /// Offset of the payload in the writer.
    let start: Int
    private var first = -1
    private var patched = 0

    package init(start: Int) { self.start = start }

    package mutating func reserve(_ w: inout ByteWriter, count: Int) {
        // References of one level stand at fixed places, found again from their own offset: keep the place in
        // the offset field until it is patched.
        pending.append(w.count)
        w.u32(0)
        w.u32(UInt32(count))
    }
    private var pending: [Int] = []

    private mutating func place(_ w: inout ByteWriter) {
        w.patch(UInt32(w.count - start).littleEndian, at: pending[patched])
        patched += 1
    }
    package mutating func string(_ w: inout ByteWriter, _ s: String) {
        place(&w)
        w.bytes(Array(s.utf8))
    }
    package mutating func bytes(_ w: inout ByteWriter, _ b: [UInt8]) {
        place(&w)
        w.bytes(b)
    }
    package mutating func list<T>(_ w: inout ByteWriter, _ items: [T], _ each: (inout ByteWriter, T) -> Void) {
        place(&w)
        for item in items { each(&w, item) }
    }
    package mutating func structs<T: IPCStruct>(_ w: inout ByteWriter, _ items: [T]) {
        place(&w)
        var inner = PayloadTail(start: start)
        for item in items { item.encodeFixed(into: &w, tail: &inner) }
        for item in items { item.encodeTail(into: &w, tail: &inner) }
    }
}

/// Reads a payload. A fixed part shorter than this build expects (an older sender) reads as zeros at its end; a
/// longer one is skipped.
package struct PayloadReader {
    private let payload: UnsafeRawBufferPointer
    private var fixed: ByteReader
    /// Fields past the sender's fixed part: zero or empty.
    private var exhausted: Bool { fixed.remaining == 0 }

    package init(_ payload: UnsafeRawBufferPointer) throws(DecodeError) {
        var r = ByteReader(payload)
        let size = Int(try r.u16())
        fixed = ByteReader(try r.bytes(size))
        self.payload = payload
    }
    private init(payload: UnsafeRawBufferPointer, fixed: ByteReader) {
        self.payload = payload
        self.fixed = fixed
    }

    package mutating func u8() throws(DecodeError) -> UInt8 { exhausted ? 0 : try fixed.u8() }
    package mutating func u16() throws(DecodeError) -> UInt16 { exhausted ? 0 : try fixed.u16() }
    package mutating func u32() throws(DecodeError) -> UInt32 { exhausted ? 0 : try fixed.u32() }
    package mutating func u64() throws(DecodeError) -> UInt64 { exhausted ? 0 : try fixed.u64() }
    package mutating func i32() throws(DecodeError) -> Int32 { exhausted ? 0 : try fixed.i32() }
    package mutating func i64() throws(DecodeError) -> Int64 { exhausted ? 0 : try fixed.i64() }
    package mutating func hash20() throws(DecodeError) -> SHA1Digest { exhausted ? SHA1Digest() : try fixed.digest() }
    package mutating func hash32() throws(DecodeError) -> SHA256Digest { exhausted ? SHA256Digest() : try fixed.digest() }
    package mutating func endpoint() throws(DecodeError) -> Endpoint {
        exhausted ? Endpoint(ipv4: 0, port: 0) : try fixed.endpoint()
    }

    /// The bytes that an (offset, count) reference names; every byte is inside the payload.
    private mutating func reference(elementSize: Int) throws(DecodeError) -> (UnsafeRawBufferPointer, count: Int) {
        if exhausted { return (UnsafeRawBufferPointer(start: nil, count: 0), 0) }
        let offset = Int(try fixed.u32()), count = Int(try fixed.u32())
        let length = count * elementSize
        if offset > payload.count || length > payload.count - offset { throw .truncated(needed: length, available: max(0, payload.count - offset)) }
        return (UnsafeRawBufferPointer(rebasing: payload[offset..<offset + length]), count)
    }

    package mutating func bytes() throws(DecodeError) -> [UInt8] { Array(try reference(elementSize: 1).0) }
    package mutating func string() throws(DecodeError) -> String {
        guard let s = String(validating: try reference(elementSize: 1).0, as: UTF8.self) else { throw .badText(field: "string") }
        return s
    }
    package mutating func list<T>(elementSize: Int, _ each: (inout ByteReader) throws(DecodeError) -> T) throws(DecodeError) -> [T] {
        let (raw, count) = try reference(elementSize: elementSize)
        var r = ByteReader(raw), out: [T] = []
        out.reserveCapacity(count)
        for _ in 0..<count { out.append(try each(&r)) }
        return out
    }
    package mutating func structs<T: IPCStruct>() throws(DecodeError) -> [T] {
        let (raw, count) = try reference(elementSize: T.fixedSize)
        var r = ByteReader(raw), out: [T] = []
        out.reserveCapacity(count)
        for _ in 0..<count {
            var inner = PayloadReader(payload: payload, fixed: ByteReader(try r.bytes(T.fixedSize)))
            out.append(try T(from: &inner))
        }
        return out
    }
}
