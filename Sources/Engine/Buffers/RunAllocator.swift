/// A buddy allocator of contiguous runs: lowest address first, so that a small working set stays in memory that is
/// already backed and warm. A run of any length takes exactly that many slots; the rest of its power of two is
/// given back at once as smaller buddies.
///
/// Invariant: a free block of order k starts at a multiple of 2^k and has its bit in `free[k]`; no two free buddies
/// of one order stand side by side.
struct RunAllocator {
    let slotCount: Int
    private(set) var freeSlots = 0
    private let maxOrder: Int
    /// One bit per possible block of each order.
    private var free: [[UInt64]]
    private var freeBlocks: [Int]

    init(slotCount: Int) {
        self.slotCount = slotCount
        maxOrder = Int.bitWidth - 1 - slotCount.leadingZeroBitCount
        free = (0...maxOrder).map { [UInt64](repeating: 0, count: ((slotCount >> $0) + 64) / 64) }
        freeBlocks = [Int](repeating: 0, count: maxOrder + 1)
        give(0, count: slotCount)
    }

    mutating func take(_ count: Int) -> Int? {
        let wanted = count <= 1 ? 0 : Int.bitWidth - (count - 1).leadingZeroBitCount
        guard wanted <= maxOrder else { return nil }
        var best = -1, bestOrder = 0
        for order in wanted...maxOrder where freeBlocks[order] > 0 {
            let at = lowest(order) << order
            if best < 0 || at < best { (best, bestOrder) = (at, order) }
        }
        guard best >= 0 else { return nil }
        clear(bestOrder, best >> bestOrder)
        freeSlots -= 1 << bestOrder
        give(best + count, count: (1 << bestOrder) - count)
        return best
    }

    /// Takes these slots and no others; false (and no change) when any of them is not free.
    mutating func take(exactly first: Int, count: Int) -> Bool {
        guard first >= 0, count > 0, first + count <= slotCount else { return false }
        var at = first
        while at < first + count {
            guard let (start, order) = freeBlock(containing: at) else { return false }
            at = start + (1 << order)
        }
        at = first
        while at < first + count {
            let (start, order) = freeBlock(containing: at)!
            clear(order, start >> order)
            freeSlots -= 1 << order
            let end = min(start + (1 << order), first + count)
            give(start, count: at - start)
            give(end, count: start + (1 << order) - end)
            at = end
        }
        return true
    }

    mutating func give(_ first: Int, count: Int) {
        var at = first
        let end = first + count
        precondition(first >= 0 && end <= slotCount)
        while at < end {
            var order = min(at == 0 ? maxOrder : at.trailingZeroBitCount, maxOrder)
            while 1 << order > end - at { order -= 1 }
            merge(at, order)
            at += 1 << order
        }
        freeSlots += max(0, count)
    }

    private mutating func merge(_ start: Int, _ startOrder: Int) {
        var at = start, order = startOrder
        while order < maxOrder {
            let buddy = at ^ (1 << order)
            guard buddy + (1 << order) <= slotCount, isFree(order, buddy >> order) else { break }
            clear(order, buddy >> order)
            at = min(at, buddy)
            order += 1
        }
        let block = at >> order
        free[order][block >> 6] |= 1 << UInt64(block & 63)
        freeBlocks[order] += 1
    }

    private func isFree(_ order: Int, _ block: Int) -> Bool { free[order][block >> 6] >> UInt64(block & 63) & 1 != 0 }
    private mutating func clear(_ order: Int, _ block: Int) {
        free[order][block >> 6] &= ~(1 << UInt64(block & 63))
        freeBlocks[order] -= 1
    }
    private func lowest(_ order: Int) -> Int {
        for (i, word) in free[order].enumerated() where word != 0 { return (i << 6) + word.trailingZeroBitCount }
        preconditionFailure("counted a free block that is not there")
    }
    private func freeBlock(containing slot: Int) -> (start: Int, order: Int)? {
        for order in 0...maxOrder where (slot >> order) >> 6 < free[order].count && isFree(order, slot >> order) {
            return ((slot >> order) << order, order)
        }
        return nil
    }
}
