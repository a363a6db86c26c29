import Primitives

/// Deadlines by token: one deadline for each token, earliest first, those of one moment in the order they were set.
///
/// A 4-ary heap (half the depth of a binary one, a node's children in one cache line) over rows that do not move, and a table
/// from token to row. set, cancel and pop are O(log n); storage is kept and reused.
package struct Timers: ~Copyable {
    private struct Row {
        var deadline: Instant
        var order: UInt64
        var token: Token
        var position: Int32
    }

    private var rows: [Row] = []
    private var freeRows: [Int32] = []
    private var heap: [Int32] = []
    private var rowOf: [Token: Int32] = [:]
    private var orders: UInt64 = 0

    package init(capacity: Int = 64) {
        rows.reserveCapacity(capacity)
        heap.reserveCapacity(capacity)
        rowOf.reserveCapacity(capacity)
    }

    package var count: Int { heap.count }
    /// The earliest deadline; `.never` when there is none.
    package var next: Instant { heap.isEmpty ? .never : rows[Int(heap[0])].deadline }

    package func deadline(of token: Token) -> Instant? { rowOf[token].map { rows[Int($0)].deadline } }

    /// Sets or moves the token's deadline. `.never` cancels it.
    package mutating func set(_ token: Token, at deadline: Instant) {
        if deadline == .never { return cancel(token) }
        orders += 1
        if let row = rowOf[token] {
            rows[Int(row)].deadline = deadline
            rows[Int(row)].order = orders
            let position = Int(rows[Int(row)].position)
            siftDown(siftUp(position))
            return
        }
        var entry = Row(deadline: deadline, order: orders, token: token, position: Int32(heap.count))
        let row: Int32
        if let free = freeRows.popLast() {
            row = free
            rows[Int(row)] = entry
        } else {
            row = Int32(rows.count)
            entry.position = Int32(heap.count)
            rows.append(entry)
        }
        rowOf[token] = row
        heap.append(row)
        siftUp(heap.count - 1)
    }

    /// Nothing happens when the token has no deadline.
    package mutating func cancel(_ token: Token) {
        guard let row = rowOf.removeValue(forKey: token) else { return }
        remove(at: Int(rows[Int(row)].position))
    }

    /// Takes the earliest token whose deadline is `now` or before.
    package mutating func popExpired(now: Instant) -> Token? {
        guard let first = heap.first, rows[Int(first)].deadline <= now else { return nil }
        let token = rows[Int(first)].token
        rowOf.removeValue(forKey: token)
        remove(at: 0)
        return token
    }

    private mutating func remove(at position: Int) {
        freeRows.append(heap[position])
        let last = heap.removeLast()
        guard position < heap.count else { return }
        heap[position] = last
        rows[Int(last)].position = Int32(position)
        siftDown(siftUp(position))
    }

    private func isEarlier(_ a: Int32, _ b: Int32) -> Bool {
        let x = rows[Int(a)], y = rows[Int(b)]
        return x.deadline != y.deadline ? x.deadline < y.deadline : x.order < y.order
    }

    private mutating func place(_ row: Int32, at position: Int) {
        heap[position] = row
        rows[Int(row)].position = Int32(position)
    }

    /// Where the row ended.
    @discardableResult
    private mutating func siftUp(_ start: Int) -> Int {
        var position = start
        let row = heap[position]
        while position > 0 {
            let parent = (position - 1) / 4
            guard isEarlier(row, heap[parent]) else { break }
            place(heap[parent], at: position)
            position = parent
        }
        place(row, at: position)
        return position
    }

    private mutating func siftDown(_ start: Int) {
        var position = start
        let row = heap[position]
        while true {
            let first = position * 4 + 1
            guard first < heap.count else { break }
            var least = first
            for child in first + 1..<min(first + 4, heap.count) where isEarlier(heap[child], heap[least]) { least = child }
            guard isEarlier(heap[least], row) else { break }
            place(heap[least], at: position)
            position = least
        }
        place(row, at: position)
    }
}
