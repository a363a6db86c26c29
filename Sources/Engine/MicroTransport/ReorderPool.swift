/// Buffers for packets that came before their turn, shared by all connections. Memory grows by slabs up to the limit and is kept.
struct ReorderPool: ~Copyable {
    /// Holds any packet of an Ethernet path.
    static let bufferSize = 1536
    private static let slab = 64

    private var slabs: [UnsafeMutableRawPointer] = []
    private var free: [Int32] = []
    private var lengths: [UInt16] = []
    let limit: Int

    /// `limit`: buffers.
    init(limit: Int) { self.limit = limit }
    deinit { for slab in slabs { slab.deallocate() } }

    var used: Int { slabs.count * Self.slab - free.count }

    /// nil: all are in use, or the payload is larger than a buffer.
    mutating func store(_ bytes: UnsafeRawBufferPointer) -> Int32? {
        guard bytes.count <= Self.bufferSize else { return nil }
        if free.isEmpty {
            guard (slabs.count + 1) * Self.slab <= limit else { return nil }
            let first = Int32(slabs.count * Self.slab)
            slabs.append(.allocate(byteCount: Self.slab * Self.bufferSize, alignment: 64))
            lengths.append(contentsOf: repeatElement(0, count: Self.slab))
            for i in (0..<Int32(Self.slab)).reversed() { free.append(first + i) }
        }
        let index = free.removeLast()
        if bytes.count > 0 { pointer(index).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count) }
        lengths[Int(index)] = UInt16(bytes.count)
        return index
    }
    private func pointer(_ index: Int32) -> UnsafeMutableRawPointer {
        slabs[Int(index) / Self.slab] + Int(index) % Self.slab * Self.bufferSize
    }
    func bytes(_ index: Int32) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: pointer(index), count: Int(lengths[Int(index)]))
    }
    func count(_ index: Int32) -> Int { Int(lengths[Int(index)]) }
    mutating func release(_ index: Int32) { free.append(index) }
}
