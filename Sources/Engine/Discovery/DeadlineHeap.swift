import Primitives

/// Rows by when they are due: a binary heap that knows each row's place, so that a change of mind moves a row
/// instead of leaving a stale entry behind. One heap serves all torrents; there is no timer per torrent.
///
/// Invariants: `place[heap[i].row] == i`; no entry is due before its parent. Ties are broken by row, so that the order
/// does not depend on history.
package struct DeadlineHeap: Sendable {
    private struct Entry {
        var due: Instant
        var row: Int32
        func isBefore(_ other: Entry) -> Bool { due != other.due ? due < other.due : row < other.row }
    }
    private var heap: [Entry] = []
    /// -1: not in the heap.
    private var place: [Int32] = []

    package init() {}

    package var isEmpty: Bool { heap.isEmpty }
    package var count: Int { heap.count }
    package var top: (row: Int, due: Instant)? { heap.first.map { (Int($0.row), $0.due) } }
    package func contains(_ row: Int) -> Bool { row < place.count && place[row] >= 0 }

    /// Puts the row in, or moves it. ``Instant/never`` takes it out.
    package mutating func set(_ row: Int, _ due: Instant) {
        guard due != .never else { return remove(row) }
        while place.count <= row { place.append(-1) }
        let at = Int(place[row])
        if at < 0 {
            heap.append(Entry(due: due, row: Int32(row)))
            place[row] = Int32(heap.count - 1)
            rise(heap.count - 1)
        } else {
            let sooner = due < heap[at].due
            heap[at].due = due
            if sooner { rise(at) } else { sink(at) }
        }
    }

    package mutating func remove(_ row: Int) {
        guard contains(row) else { return }
        let at = Int(place[row])
        place[row] = -1
        let last = heap.removeLast()
        guard at < heap.count else { return }
        heap[at] = last
        place[Int(last.row)] = Int32(at)
        rise(at)
        sink(Int(place[Int(last.row)]))
    }

    private mutating func rise(_ start: Int) {
        var at = start
        while at > 0, heap[at].isBefore(heap[(at - 1) / 2]) {
            exchange(at, (at - 1) / 2)
            at = (at - 1) / 2
        }
    }
    private mutating func sink(_ start: Int) {
        var at = start
        while true {
            var least = at
            for child in [2 * at + 1, 2 * at + 2] where child < heap.count && heap[child].isBefore(heap[least]) { least = child }
            if least == at { return }
            exchange(at, least)
            at = least
        }
    }
    private mutating func exchange(_ a: Int, _ b: Int) {
        heap.swapAt(a, b)
        place[Int(heap[a].row)] = Int32(a)
        place[Int(heap[b].row)] = Int32(b)
    }
}
