import Primitives

/// Virtual time: what is to happen, by when, first come first served among equals. Nothing here or above reads a clock.
package struct SimClock {
    package typealias Action = (SimWorld) -> Void

    private struct Entry {
        let at: Instant
        let sequence: UInt64
        let action: Action
    }
    package private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private var heap: [Entry] = []
    private var sequence: UInt64 = 0

    package mutating func schedule(at: Instant, _ action: @escaping Action) {
        sequence += 1
        heap.append(Entry(at: max(at, now), sequence: sequence, action: action))
        var i = heap.count - 1
        while i > 0, before(i, (i - 1) / 2) {
            heap.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }

    /// Moves time on to the next action; nil when nothing will happen any more.
    package mutating func next() -> Action? {
        guard let first = heap.first else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var i = 0
        while true {
            var least = i
            for child in [2 * i + 1, 2 * i + 2] where child < heap.count && before(child, least) { least = child }
            if least == i { break }
            heap.swapAt(i, least)
            i = least
        }
        now = first.at
        return first.action
    }

    private func before(_ a: Int, _ b: Int) -> Bool {
        heap[a].at != heap[b].at ? heap[a].at < heap[b].at : heap[a].sequence < heap[b].sequence
    }
}
