import Primitives

/// Sets of addresses as ranges: sorted, merged, without gaps between neighbours. Half a million of them cost 4 MB and a
/// look-up some tens of nanoseconds: the upper half of an IPv4 address leads to the few ranges that begin under it.
package final class AddressRanges: Sendable {
    /// First and last address of each range, host order; `starts` rises.
    package let starts: [UInt32]
    package let ends: [UInt32]
    /// For each upper half: the first range that begins at or above it. One entry more than there are halves.
    private let index: [UInt32]
    package let wideStarts: [WideAddress]
    package let wideEnds: [WideAddress]

    /// Any order, overlaps allowed; each `first <= last`.
    package convenience init(_ builder: consuming RangeBuilder) {
        builder.narrow.sort()
        var starts: [UInt32] = [], ends: [UInt32] = []
        starts.reserveCapacity(builder.narrow.count)
        ends.reserveCapacity(builder.narrow.count)
        for packed in builder.narrow {
            let first = UInt32(packed >> 32), last = UInt32(truncatingIfNeeded: packed)
            // Touching ranges are one: no carry past the last address.
            if let end = ends.last, end == .max || first <= end + 1 {
                if last > end { ends[ends.count - 1] = last }
            } else {
                starts.append(first)
                ends.append(last)
            }
        }
        builder.wide.sort { $0.first < $1.first }
        var wideStarts: [WideAddress] = [], wideEnds: [WideAddress] = []
        for range in builder.wide {
            if let end = wideEnds.last, end.isLast || range.first <= end.next {
                if end < range.last { wideEnds[wideEnds.count - 1] = range.last }
            } else {
                wideStarts.append(range.first)
                wideEnds.append(range.last)
            }
        }
        self.init(starts: starts, ends: ends, wideStarts: wideStarts, wideEnds: wideEnds)
    }

    /// Needs sorted and merged ranges.
    init(starts: [UInt32], ends: [UInt32], wideStarts: [WideAddress], wideEnds: [WideAddress]) {
        self.starts = starts
        self.ends = ends
        self.wideStarts = wideStarts
        self.wideEnds = wideEnds
        var index = [UInt32](repeating: UInt32(starts.count), count: 65_537)
        index.withUnsafeMutableBufferPointer { index in
            // Each run of upper halves up to that of a range leads to that range.
            var next = 0
            for (i, start) in starts.enumerated() where Int(start >> 16) >= next {
                // Further ranges of the same half are found from there on.
                let end = Int(start >> 16) + 1
                index[next..<end].update(repeating: UInt32(i))
                next = end
            }
        }
        self.index = index
    }

    package var count: Int { starts.count + wideStarts.count }
    package var isEmpty: Bool { count == 0 }
    /// IPv4 addresses within.
    package var addressCount: UInt64 { zip(starts, ends).reduce(0) { $0 + UInt64($1.1 - $1.0) + 1 } }

    package func contains(_ e: Endpoint) -> Bool {
        if e.isIPv4 { return contains(e.ipv4) }
        let address = WideAddress(high: e.high, low: e.low)
        var low = 0, high = wideStarts.count
        while low < high {
            let middle = (low + high) / 2
            if wideStarts[middle] <= address { low = middle + 1 } else { high = middle }
        }
        return low > 0 && address <= wideEnds[low - 1]
    }

    /// Host order.
    package func contains(_ address: UInt32) -> Bool {
        let half = Int(address >> 16)
        var low = Int(index[half]), high = Int(index[half + 1])
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= address { low = middle + 1 } else { high = middle }
        }
        return low > 0 && address <= ends[low - 1]
    }
}

/// An IPv6 address as two big-endian words.
package struct WideAddress: Hashable, Comparable, Sendable {
    package let high: UInt64
    package let low: UInt64
    package init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }
    package static func < (a: Self, b: Self) -> Bool { a.high != b.high ? a.high < b.high : a.low < b.low }
    var isLast: Bool { high == .max && low == .max }
    var next: WideAddress { WideAddress(high: low == .max ? high + 1 : high, low: low &+ 1) }
}

/// Ranges as they are read, in any order.
package struct RangeBuilder: Sendable {
    /// First address above, last below.
    var narrow: [UInt64] = []
    var wide: [(first: WideAddress, last: WideAddress)] = []
    package init() {}

    package var count: Int { narrow.count + wide.count }

    /// Needs `first <= last`, host order.
    package mutating func add(_ first: UInt32, _ last: UInt32) { narrow.append(UInt64(first) << 32 | UInt64(last)) }
    /// IPv4-mapped ranges become IPv4 ones, as endpoints are.
    package mutating func add(_ first: WideAddress, _ last: WideAddress) {
        if first.high == 0, last.high == 0, first.low >> 32 == 0xFFFF, last.low >> 32 == 0xFFFF {
            add(UInt32(truncatingIfNeeded: first.low), UInt32(truncatingIfNeeded: last.low))
        } else {
            wide.append((first, last))
        }
    }
    package mutating func add(_ other: RangeBuilder) {
        narrow.append(contentsOf: other.narrow)
        wide.append(contentsOf: other.wide)
    }
}
