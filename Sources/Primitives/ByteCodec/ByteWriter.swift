import Primitives

/// Appends to a growing buffer that is kept and reused: no allocation once it has its size.
/// Move-only: its memory has one owner.
package struct ByteWriter: ~Copyable {
    @usableFromInline private(set) var base: UnsafeMutableRawPointer
    package private(set) var capacity: Int
    package private(set) var count = 0

    package init(capacity: Int = 4096) {
        self.capacity = max(capacity, 64)
        base = .allocate(byteCount: self.capacity, alignment: 16)
    }
    deinit { base.deallocate() }

    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
    package var array: [UInt8] { [UInt8](bytes) }

    package mutating func removeAll() { count = 0 }
    /// Drops the first `n` bytes (they were sent).
    package mutating func removeFirst(_ n: Int) {
        precondition(n >= 0 && n <= count)
        if n < count { base.copyMemory(from: base + n, byteCount: count - n) }
        count -= n
    }
    /// Cuts back to `n` bytes.
    package mutating func truncate(to n: Int) {
        precondition(n >= 0 && n <= count)
        count = n
    }

    package mutating func reserve(_ n: Int) {
        guard count + n > capacity else { return }
        let wanted = max(capacity * 2, count + n)
        let grown = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
        grown.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = grown
        capacity = wanted
    }

    package mutating func store<T: FixedWidthInteger>(_ value: T) {
        reserve(MemoryLayout<T>.size)
        base.storeBytes(of: value, toByteOffset: count, as: T.self)
        count += MemoryLayout<T>.size
    }
    /// Overwrites at `offset`, which must be written already.
    package mutating func patch<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count)
        base.storeBytes(of: value, toByteOffset: offset, as: T.self)
    }

    package mutating func u8(_ v: UInt8) { store(v) }
    package mutating func u16(_ v: UInt16) { store(v.littleEndian) }
    package mutating func u32(_ v: UInt32) { store(v.littleEndian) }
    package mutating func u64(_ v: UInt64) { store(v.littleEndian) }
    package mutating func i32(_ v: Int32) { store(v.littleEndian) }
    package mutating func i64(_ v: Int64) { store(v.littleEndian) }
    package mutating func u16BigEndian(_ v: UInt16) { store(v.bigEndian) }
    package mutating func u32BigEndian(_ v: UInt32) { store(v.bigEndian) }
    package mutating func u64BigEndian(_ v: UInt64) { store(v.bigEndian) }

    package mutating func bytes(_ b: UnsafeRawBufferPointer) {
        guard let start = b.baseAddress, b.count > 0 else { return }
        reserve(b.count)
        (base + count).copyMemory(from: start, byteCount: b.count)
        count += b.count
    }
    package mutating func bytes(_ b: [UInt8]) { b.withUnsafeBytes { bytes($0) } }
    package mutating func digest(_ d: some FixedDigest) {
        let n = type(of: d).byteCount
        reserve(n)
        d.copyBytes(to: base + count)
        count += n
    }
    package mutating func endpoint(_ e: Endpoint) {
        u64BigEndian(e.high)
        u64BigEndian(e.low)
        u16BigEndian(e.port)
    }
}
