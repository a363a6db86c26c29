/// A connection's linear receive buffer, for everything that is not a predicted block. Small while nothing large
/// comes; grows to the message that the parser asks for, whose length the parser has bounded.
struct Inbox: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private(set) var capacity: Int
    private var start = 0
    private var end = 0

    init(capacity: Int = 4096) {
        self.capacity = capacity
        base = .allocate(byteCount: capacity, alignment: 16)
    }
    deinit { base.deallocate() }

    var isEmpty: Bool { start == end }
    var count: Int { end - start }
    var readable: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base + start, count: end - start) }

    /// The same, to be changed in place.
    mutating func writable() -> UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base + start, count: count) }
    /// The `n` bytes that came last.
    mutating func last(_ n: Int) -> UnsafeMutableRawBufferPointer {
        precondition(n >= 0 && n <= count)
        return UnsafeMutableRawBufferPointer(start: base + end - n, count: n)
    }

    mutating func consume(_ n: Int) {
        precondition(n >= 0 && n <= count)
        start += n
        if start == end { (start, end) = (0, 0) }
    }

    /// Makes room so that `needed` bytes in all (those held included) fit.
    mutating func reserve(_ needed: Int) {
        if start > 0, start + needed > capacity || end == capacity {
            base.copyMemory(from: base + start, byteCount: end - start)
            (start, end) = (0, end - start)
        }
        guard needed > capacity else { return }
        let grown = UnsafeMutableRawPointer.allocate(byteCount: needed, alignment: 16)
        grown.copyMemory(from: base, byteCount: end)
        base.deallocate()
        base = grown
        capacity = needed
    }

    /// Where the next bytes go. At least one byte: call ``reserve(_:)`` with more than is held before.
    mutating func free() -> UnsafeMutableRawBufferPointer {
        reserve(count + 1)
        return UnsafeMutableRawBufferPointer(start: base + end, count: capacity - end)
    }
    mutating func filled(_ n: Int) {
        precondition(n >= 0 && end + n <= capacity)
        end += n
    }
}
