import Primitives

/// Blocks that a peer asked for and the choker admitted, in the order of the requests. A ring that grows to the
/// engine's bound on incoming requests and keeps its storage.
struct ServeQueue: ~Copyable {
    struct Item: Equatable {
        var torrent: TorrentID
        var piece: PieceIndex
        var begin: UInt32
        var length: UInt32
    }

    private var items: UnsafeMutablePointer<Item>
    private var capacity = 64
    private var head = 0
    private(set) var count = 0

    init() { items = .allocate(capacity: 64) }
    deinit { items.deallocate() }

    var isEmpty: Bool { count == 0 }
    var first: Item? { count == 0 ? nil : items[head] }
    subscript(i: Int) -> Item { items[(head + i) & (capacity - 1)] }

    /// Payload bytes of the first `limit` items.
    func bytes(upTo limit: Int) -> Int {
        var sum = 0
        for i in 0..<min(count, limit) { sum += Int(self[i].length) }
        return sum
    }

    mutating func append(_ item: Item) {
        if count == capacity {
            let grown = UnsafeMutablePointer<Item>.allocate(capacity: capacity * 2)
            for i in 0..<count { (grown + i).initialize(to: self[i]) }
            items.deallocate()
            items = grown
            capacity *= 2
            head = 0
        }
        (items + ((head + count) & (capacity - 1))).initialize(to: item)
        count += 1
    }
    mutating func removeFirst() {
        precondition(count > 0)
        head = (head + 1) & (capacity - 1)
        count -= 1
    }
    mutating func removeAll() { (head, count) = (0, 0) }

    /// True when it was there.
    mutating func remove(piece: PieceIndex, begin: UInt32, length: UInt32) -> Bool {
        var at = 0
        while at < count, !(self[at].piece == piece && self[at].begin == begin && self[at].length == length) { at += 1 }
        guard at < count else { return false }
        for i in at..<count - 1 { items[(head + i) & (capacity - 1)] = self[i + 1] }
        count -= 1
        return true
    }
}
