import BlockArena
import ByteCodec
import Glibc
import PeerEncryption
import Primitives

/// One vectored send: control messages first, then blocks, each a 13-byte header and its payload from the slots.
/// Built once, sent to its last byte (in several sends when the socket takes less), then released.
///
/// With a cipher, control messages are encrypted where they are, and blocks into a copy, since a cached slot is shared by all
/// who read it: `copyCapacity` bytes at a time, one send each.
struct SendBatch: ~Copyable {
    /// 32 × 16 KiB a send. Each block has a header and, where it crosses two cached runs, two parts.
    static let blockCapacity = 32
    private static let vectorCapacity = 1 + 3 * blockCapacity
    /// 4 blocks: stays in the second-level cache between the cipher and the kernel. Allocated at a connection's first encrypted
    /// block and kept: 512 MiB if 8,000 peers download from us at once.
    static let copyCapacity = 64 << 10

    private let vectors: UnsafeMutablePointer<iovec>
    private let headers: UnsafeMutableRawPointer
    private let pins: UnsafeMutablePointer<SlotIndex>
    /// Control bytes being sent; swapped with the link's outbox.
    var control = ByteWriter(capacity: 1024)
    private var vectorCount = 0
    private var nextVector = 0
    private var hasControl = false
    private var copy: UnsafeMutableRawPointer?
    /// Bytes of the copy that are not sent.
    private var copied = 0
    private(set) var blockCount = 0
    private(set) var pinCount = 0
    /// Payload bytes in the batch.
    private(set) var payloadBytes = 0

    init() {
        vectors = .allocate(capacity: Self.vectorCapacity + 1)
        headers = .allocate(byteCount: Self.blockCapacity * 13, alignment: 16)
        pins = .allocate(capacity: 2 * Self.blockCapacity)
    }
    deinit {
        vectors.deallocate()
        headers.deallocate()
        pins.deallocate()
        copy?.deallocate()
    }

    var isEmpty: Bool { nextVector == vectorCount && copied == 0 }
    var isFull: Bool { blockCount == Self.blockCapacity }

    /// Begins a batch with what `control` holds now; its first `finished` bytes are not to be encrypted.
    mutating func begin(with cipher: StreamCipher?, finished: Int) {
        precondition(isEmpty && pinCount == 0)
        hasControl = control.count > 0
        (vectorCount, nextVector, blockCount, payloadBytes) = (0, 0, 0, 0)
        if control.count > 0 {
            vectors[0] = iovec(iov_base: UnsafeMutableRawPointer(mutating: control.bytes.baseAddress!), iov_len: control.count)
            vectorCount = 1
            cipher?.apply(vectors[0].iov_base + finished, control.count - finished)
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

    /// What to send next.
    mutating func pending(with cipher: StreamCipher?) -> (vectors: UnsafeMutablePointer<iovec>, count: Int) {
        guard let cipher, blockCount > 0 else { return (vectors + nextVector, vectorCount - nextVector) }
        let whole = vectors + Self.vectorCapacity
        if copied == 0 {
            encryptMore(with: cipher)
            whole.pointee = iovec(iov_base: copy, iov_len: copied)
        }
        return (whole, 1)
    }

    private mutating func encryptMore(with cipher: StreamCipher) {
        let target = copy ?? .allocate(byteCount: Self.copyCapacity, alignment: 64)
        copy = target
        while copied < Self.copyCapacity, nextVector < vectorCount {
            let v = vectors + nextVector, n = min(v.pointee.iov_len, Self.copyCapacity - copied)
            if hasControl, nextVector == 0 {
                (target + copied).copyMemory(from: v.pointee.iov_base, byteCount: n)
            } else {
                cipher.apply(v.pointee.iov_base, to: target + copied, n)
            }
            copied += n
            advance(v, by: n)
        }
    }

    private mutating func advance(_ v: UnsafeMutablePointer<iovec>, by n: Int) {
        v.pointee.iov_base += n
        v.pointee.iov_len -= n
        if v.pointee.iov_len == 0 { nextVector += 1 }
    }

    mutating func sent(_ bytes: Int) {
        if copied > 0 {
            let whole = vectors + Self.vectorCapacity
            copied -= bytes
            whole.pointee.iov_base += bytes
            whole.pointee.iov_len -= bytes
            if isEmpty { control.removeAll() }
            return
        }
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
    /// Gives everything away, in order: memory, length, and for payload the pin that goes with it.
    mutating func moveAll(_ body: (UnsafeMutableRawPointer, Int, SlotIndex?) -> Void) {
        var pin = 0
        for i in nextVector..<vectorCount {
            let v = vectors[i], isControl = i == 0 && hasControl
            let isHeader = v.iov_base >= headers && v.iov_base < headers + Self.blockCapacity * 13
            if isControl || isHeader {
                body(v.iov_base, v.iov_len, nil)
            } else {
                body(v.iov_base, v.iov_len, pins[pin])
                pin += 1
            }
        }
        precondition(pin == pinCount)
        (nextVector, pinCount) = (vectorCount, 0)
        control.removeAll()
    }

    /// Drops what is unsent (the connection is gone).
    mutating func abandon() {
        nextVector = vectorCount
        copied = 0
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
