import Primitives

/// Which pieces somebody has. Takes no bitfield while it is none or all of them, which is most torrents most of the time.
struct PieceSet {
    let total: Int
    private(set) var bits: Bitfield?
    private(set) var count: Int

    init(none total: Int) { (self.total, bits, count) = (total, nil, 0) }
    init(all total: Int) { (self.total, bits, count) = (total, nil, total) }
    init(_ bitfield: Bitfield) {
        total = bitfield.count
        count = bitfield.setCount
        bits = bitfield.isFull || bitfield.isEmpty ? nil : bitfield
    }

    var isFull: Bool { count == total }
    var isEmpty: Bool { count == 0 }

    @inline(__always) func contains(_ i: Int) -> Bool {
        if bits == nil { return count == total && i < total }
        return bits![i]
    }

    /// True when it was not there before.
    mutating func insert(_ i: Int) -> Bool {
        guard count < total else { return false }
        if bits == nil { bits = Bitfield(count: total) }
        guard bits!.insert(i) else { return false }
        count += 1
        if count == total { bits = nil }
        return true
    }
    /// True when it was there before.
    mutating func remove(_ i: Int) -> Bool {
        guard count > 0 else { return false }
        if bits == nil { bits = Bitfield(full: total) }
        guard bits!.remove(i) else { return false }
        count -= 1
        if count == 0 { bits = nil }
        return true
    }

    var bitfield: Bitfield { bits ?? (count == total ? Bitfield(full: total) : Bitfield(count: total)) }

    func forEach(_ body: (Int) -> Void) {
        if let bits { bits.forEach(body) } else if count > 0 { for i in 0..<total { body(i) } }
    }
}
