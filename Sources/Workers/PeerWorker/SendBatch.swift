import BlockArena
import ByteCodec
import Glibc
import Primitives

/// One vectored send: control messages first, then blocks, each a 13-byte header and its payload from the slots.
/// Built once, sent to its last byte (in several sends when the socket takes less), then released.
struct SendBatch: ~Copyable {
    /// 32 × 16 KiB a send. Each block has a header and, where it crosses two cached runs, two parts.
    static let blockCapacity = 32
    private static let vectorCapacity = 1 + 3 * blockCapacity

    private let vectors: UnsafeMutablePointer<iovec>
    private let headers: UnsafeMutableRawPointer
    private let pins: UnsafeMutablePointer<SlotIndex>
    /// Control bytes being sent; swapped with the link's outbox.
    var control = ByteWriter(capacity: 1024)
    private var vectorCount = 0
    private var nextVector = 0
    private(set) var blockCount = 0
    private(set) var pinCount = 0
    /// Payload bytes in the batch.
    private(set) var payloadBytes = 0

    init() {
        vectors = .allocate(capacity: Self.vectorCapacity)
        headers = .allocate(byteCount: Self.blockCapacity * 13, alignment: 16)
        pins = .allocate(capacity: 2 * Self.blockCapacity)
    }
    deinit {
        vectors.deallocate()
        headers.deallocate()
        pins.deallocate()
    }

    var isEmpty: Bool { nextVector == vectorCount }
    var isFull: Bool { blockCount == Self.blockCapacity }

    /// Begins a batch with what `control` holds now.
    mutating func begin() {
        precondition(isEmpty && pinCount == 0)
        (vectorCount, nextVector, blockCount, payloadBytes) = (0, 0, 0, 0)
        if control.count > 0 {
            vectors[0] = iovec(iov_base: UnsafeMutableRawPointer(mutating: control.bytes.baseAddress!), iov_len: control.count)
            vectorCount = 1
        }
    }

    mutating func append(_ item: ServeQueue.Item, _ parts: (BlockPart, BlockPart?)) {
        precondition(!isFull)
        let header = headers + blockCount * 13
        header.storeBytes(of: (item.length + 9).bigEndian, as: UInt32.self)
        header.storeBytes(of: 7, toByteOffset: 4, as: UInt8.self)
        header.storeBytes(of: item.piece.rawValue.bigEndian, toByteOffset: 5, as: UInt32.self)
        header.storeBytes(of: item.begin.bigEndian, toByteOffset: 9, as: UInt32.self)
        add(header, 13)
        append(parts.0)
        if let second = parts.1 { append(second) }
        blockCount += 1
        payloadBytes += Int(item.length)
    }
    private mutating func append(_ part: BlockPart) {
        add(part.memory, part.count)
        pins[pinCount] = part.run
        pinCount += 1
    }
    private mutating func add(_ p: UnsafeMutableRawPointer, _ n: Int) {
        vectors[vectorCount] = iovec(iov_base: p, iov_len: n)
        vectorCount += 1
    }

    /// What is still to send.
    var pending: (vectors: UnsafeMutablePointer<iovec>, count: Int) { (vectors + nextVector, vectorCount - nextVector) }

    mutating func sent(_ bytes: Int) {
        var left = bytes
        while left > 0 {
            let v = vectors + nextVector
            if left >= v.pointee.iov_len {
                left -= v.pointee.iov_len
                nextVector += 1
            } else {
                v.pointee.iov_base += left
                v.pointee.iov_len -= left
                left = 0
            }
        }
        if isEmpty { control.removeAll() }
    }
    /// Drops what is unsent (the connection is gone).
    mutating func abandon() {
        nextVector = vectorCount
        control.removeAll()
    }
    /// Each run that the batch pinned, once.
    mutating func takePin() -> SlotIndex? {
        guard pinCount > 0 else { return nil }
        pinCount -= 1
        return pins[pinCount]
    }
}

/// A part of a block that lies in one cached run.
struct BlockPart {
    let run: SlotIndex
    let memory: UnsafeMutableRawPointer
    let count: Int
}
