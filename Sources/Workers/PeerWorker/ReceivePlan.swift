import Glibc
import PeerEncryption
import Primitives

/// The blocks that a connection should send next, laid out for one vectored receive: each header goes to a scratch
/// of 13 bytes, each payload straight into its slot of the arena. Answers come in the order of our requests, so this
/// is nearly always right; where it was not, ``next(_:)`` says so before a wrong byte counts, and ``gather`` puts
/// the stream together again.
///
/// Invariants: items `current ..< count` are not yet complete; `offset` bytes of the current one (header first) have
/// been received; headers before `current` matched.
struct ReceivePlan: ~Copyable {
    /// 32 × 16 KiB: half a mebibyte a receive at most; at 10 Gbit/s a receive each 400 µs.
    static let capacity = 32
    static let headerSize = 13

    struct Item: Equatable {
        var piece: UInt32
        var begin: UInt32
        var length: UInt32
        /// nil: the payload goes to the bin.
        var slot: SlotIndex?
        var payload: UnsafeMutableRawPointer

        func names(_ other: Item) -> Bool { piece == other.piece && begin == other.begin && length == other.length }
    }

    enum Step: Equatable {
        case delivered(Item)
        /// All bytes were used up.
        case needMore
        /// The bytes from the current item's header on are something else.
        case mismatch
    }

    private let items: UnsafeMutablePointer<Item>
    private let headers: UnsafeMutableRawPointer
    private let vectors: UnsafeMutablePointer<iovec>
    private(set) var current = 0
    private(set) var count = 0
    private(set) var offset = 0

    init() {
        items = .allocate(capacity: Self.capacity)
        headers = .allocate(byteCount: Self.capacity * Self.headerSize, alignment: 16)
        vectors = .allocate(capacity: 2 * Self.capacity)
    }
    deinit {
        items.deallocate()
        headers.deallocate()
        vectors.deallocate()
    }

    var isEmpty: Bool { current == count }
    /// Part of the current item has been received.
    var isInside: Bool { offset > 0 }
    var isFull: Bool { count == Self.capacity }
    subscript(i: Int) -> Item { items[i] }

    /// Moves the unfinished current item to the front and drops the ones behind it, to be planned afresh.
    mutating func restart() {
        guard offset > 0, current < count else {
            (current, count, offset) = (0, 0, 0)
            return
        }
        if current > 0 {
            items[0] = items[current]
            headers.copyMemory(from: headers + current * Self.headerSize, byteCount: Self.headerSize)
        }
        (current, count) = (0, 1)
    }
    mutating func removeAll() { (current, count, offset) = (0, 0, 0) }

    mutating func append(_ item: Item) {
        precondition(count < Self.capacity)
        items[count] = item
        count += 1
    }
    /// The header of `item` was met elsewhere, with `received` bytes of its payload, which are in place.
    mutating func beginInside(_ item: Item, received: Int) {
        (current, count, offset) = (0, 1, Self.headerSize + received)
        items[0] = item
        write(expected: item, to: headers)
    }
    /// The rest of the current payload is not wanted any more.
    mutating func discardCurrent(into bin: UnsafeMutableRawPointer) {
        items[current].slot = nil
        items[current].payload = bin
    }

    /// The vectors for what is still to come, and their bytes in all.
    mutating func prepare() -> (vectors: UnsafeMutablePointer<iovec>, count: Int, bytes: Int) {
        var n = 0, bytes = 0, skip = offset
        for i in current..<count {
            let header = headers + i * Self.headerSize, length = Int(items[i].length)
            if skip < Self.headerSize {
                vectors[n] = iovec(iov_base: header + skip, iov_len: Self.headerSize - skip)
                bytes += Self.headerSize - skip
                n += 1
                skip = 0
            } else {
                skip -= Self.headerSize
            }
            vectors[n] = iovec(iov_base: items[i].payload + skip, iov_len: length - skip)
            bytes += length - skip
            n += 1
            skip = 0
        }
        return (vectors, n, bytes)
    }

    /// The first `received` bytes behind the vectors that ``prepare()`` gave last, which must still stand.
    mutating func decrypt(_ received: Int, with cipher: StreamCipher) {
        var v = 0, left = received
        while left > 0 {
            let n = min(left, vectors[v].iov_len)
            cipher.apply(vectors[v].iov_base!, n)
            left -= n
            v += 1
        }
    }

    /// Takes `rest` received bytes into account, one item at a time.
    mutating func next(_ rest: inout Int) -> Step {
        guard rest > 0, current < count else { return .needMore }
        let item = items[current]
        if offset < Self.headerSize {
            let take = min(Self.headerSize - offset, rest)
            offset += take
            rest -= take
            // A prefix that differs is another message already: waiting for 13 bytes could wait for ever.
            guard matches(item, headers + current * Self.headerSize, offset) else { return .mismatch }
            if rest == 0 { return .needMore }
        }
        let take = min(Self.headerSize + Int(item.length) - offset, rest)
        offset += take
        rest -= take
        guard offset == Self.headerSize + Int(item.length) else { return .needMore }
        current += 1
        offset = 0
        return .delivered(item)
    }

    /// Copies bytes to where ``prepare()`` would have the kernel write them, as many as the plan has room for; ``next(_:)`` then
    /// looks at them.
    func take(_ bytes: UnsafeRawBufferPointer) -> Int {
        var at = 0, skip = offset
        for i in current..<count where at < bytes.count {
            let length = Int(items[i].length)
            if skip < Self.headerSize {
                let n = min(Self.headerSize - skip, bytes.count - at)
                (headers + i * Self.headerSize + skip).copyMemory(from: bytes.baseAddress! + at, byteCount: n)
                at += n
                skip = Self.headerSize
                guard at < bytes.count else { break }
            }
            let n = min(length - (skip - Self.headerSize), bytes.count - at)
            (items[i].payload + (skip - Self.headerSize)).copyMemory(from: bytes.baseAddress! + at, byteCount: n)
            at += n
            skip = 0
        }
        return at
    }

    /// After `.mismatch` with `rest` bytes behind the header's: copies the stream from the current header on to `out`
    /// (room for `offset + rest` bytes) and forgets the plan.
    mutating func gather(rest: Int, into out: UnsafeMutableRawPointer) {
        out.copyMemory(from: headers + current * Self.headerSize, byteCount: offset)
        var at = offset, left = rest, i = current, inHeader = false
        while left > 0 {
            let (source, length) = inHeader ? (headers + i * Self.headerSize, Self.headerSize) : (items[i].payload, Int(items[i].length))
            let n = min(length, left)
            (out + at).copyMemory(from: source, byteCount: n)
            at += n
            left -= n
            if !inHeader { i += 1 }
            inHeader.toggle()
        }
        removeAll()
    }

    private func write(expected item: Item, to p: UnsafeMutableRawPointer) {
        p.storeBytes(of: (item.length + 9).bigEndian, as: UInt32.self)
        p.storeBytes(of: 7, toByteOffset: 4, as: UInt8.self)
        p.storeBytes(of: item.piece.bigEndian, toByteOffset: 5, as: UInt32.self)
        p.storeBytes(of: item.begin.bigEndian, toByteOffset: 9, as: UInt32.self)
    }
    private func matches(_ item: Item, _ p: UnsafeMutableRawPointer, _ n: Int) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { expected in
            write(expected: item, to: expected.baseAddress!)
            return memcmp(expected.baseAddress!, p, n) == 0
        }
    }
}
