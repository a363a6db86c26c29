import LinuxIO

/// Page-aligned private memory, kept for the next user of the same size: recheck chunks, and the copies that give
/// O_DIRECT its alignment. Bounded by its users (the core's bytes in flight); keeps at most `keptBytes` idle.
struct PagePool {
    private let keptBytes: Int
    private var idleBytes = 0
    private var idle: [(memory: UnsafeMutableRawPointer, byteCount: Int)] = []

    init(keptBytes: Int) { self.keptBytes = keptBytes }

    mutating func take(_ byteCount: Int) throws(Errno) -> UnsafeMutableRawPointer {
        if let i = idle.lastIndex(where: { $0.byteCount == byteCount }) {
            idleBytes -= byteCount
            return idle.remove(at: i).memory
        }
        return try Memory.allocatePages(byteCount)
    }
    mutating func give(_ memory: UnsafeMutableRawPointer, _ byteCount: Int) {
        if byteCount <= keptBytes {
            // The longest idle go first: sizes that nobody asks for any more.
            while idleBytes + byteCount > keptBytes {
                let old = idle.removeFirst()
                idleBytes -= old.byteCount
                Memory.unmap(old.memory, old.byteCount)
            }
            idle.append((memory, byteCount))
            idleBytes += byteCount
        } else {
            Memory.unmap(memory, byteCount)
        }
    }
    mutating func drop() {
        for one in idle { Memory.unmap(one.memory, one.byteCount) }
        idle = []
        idleBytes = 0
    }
}
