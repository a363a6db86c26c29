import MicroTransport
import Primitives

/// The bytes of a uTP link that are not acknowledged, in the order of the stream: payload stays in the arena, pinned; messages
/// and headers are copied into a ring. Packets and their repetitions are gathered from here.
///
/// Invariant: the chunks cover `released ..< end` without gaps.
final class UTPStream {
    private struct Chunk {
        /// Place in the stream.
        var start: UInt64
        var count: Int
        /// nil: in the ring, at `position`.
        var memory: UnsafeMutableRawPointer?
        var position: UInt64
        var pin: SlotIndex?
    }

    let core: MicroTransport
    let handle: UTPHandle
    let endpoint: Endpoint
    let link: UInt32
    /// Waits for acknowledgements before it takes more.
    var waitsForRoom = false

    private var chunks: UnsafeMutablePointer<Chunk>
    private var capacity = 32
    private var head = 0
    private var count = 0
    private(set) var end: UInt64 = 0

    private var ring: UnsafeMutableRawPointer
    private var ringCapacity = 4096
    /// First byte in use, and the one after the last; positions only grow.
    private var ringHead: UInt64 = 0
    private var ringEnd: UInt64 = 0

    init(core: MicroTransport, handle: UTPHandle, endpoint: Endpoint, link: UInt32) {
        self.core = core
        self.handle = handle
        self.endpoint = endpoint
        self.link = link
        chunks = .allocate(capacity: capacity)
        ring = .allocate(byteCount: ringCapacity, alignment: 16)
    }
    deinit {
        chunks.deallocate()
        ring.deallocate()
    }

    /// Two windows ahead, so that acknowledgements always find something to send; 64 KiB at least.
    var hasRoom: Bool {
        core.unreleased(handle) < max(65_536, 2 * core.window(handle))
    }

    private subscript(i: Int) -> Chunk {
        get { chunks[(head + i) & (capacity - 1)] }
        set { chunks[(head + i) & (capacity - 1)] = newValue }
    }

    // MARK: Filling

    /// Memory that stays as it is while `pin` is held; ``release(upTo:_:)`` gives the pin back.
    func append(pinned memory: UnsafeMutableRawPointer, _ n: Int, _ pin: SlotIndex) {
        add(Chunk(start: end, count: n, memory: memory, position: 0, pin: pin))
    }
    func append(copying memory: UnsafeRawPointer, _ n: Int) {
        var done = 0
        while Int(ringEnd - ringHead) + n > ringCapacity { growRing() }
        while done < n {
            let at = Int(ringEnd & UInt64(ringCapacity - 1)), take = min(n - done, ringCapacity - at)
            (ring + at).copyMemory(from: memory + done, byteCount: take)
            if count > 0, at > 0, self[count - 1].memory == nil, self[count - 1].position + UInt64(self[count - 1].count) == ringEnd {
                self[count - 1].count += take
                end += UInt64(take)
            } else {
                add(Chunk(start: end, count: take, memory: nil, position: ringEnd, pin: nil))
            }
            ringEnd += UInt64(take)
            done += take
        }
    }
    private func add(_ chunk: Chunk) {
        if count == capacity {
            let grown = UnsafeMutablePointer<Chunk>.allocate(capacity: capacity * 2)
            for i in 0..<count { (grown + i).initialize(to: self[i]) }
            chunks.deallocate()
            (chunks, capacity, head) = (grown, capacity * 2, 0)
        }
        count += 1
        self[count - 1] = chunk
        end += UInt64(chunk.count)
    }
    /// Chunks name positions, not addresses, and lie within one turn of the larger ring as they did in the smaller.
    private func growRing() {
        let larger = ringCapacity * 2
        let grown = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        var at = ringHead
        while at < ringEnd {
            let from = Int(at & UInt64(ringCapacity - 1)), to = Int(at & UInt64(larger - 1))
            let n = min(Int(ringEnd - at), ringCapacity - from, larger - to)
            (grown + to).copyMemory(from: ring + from, byteCount: n)
            at += UInt64(n)
        }
        ring.deallocate()
        (ring, ringCapacity) = (grown, larger)
    }

    // MARK: Sending

    /// Calls `body` with the memory of a stretch of the stream, in order.
    @inline(__always)
    func gather(_ offset: UInt64, _ length: Int, _ body: (UnsafeRawPointer, Int) -> Void) {
        var (low, high) = (0, count)
        // The last chunk that begins at or before the offset.
        while high - low > 1 {
            let middle = (low + high) / 2
            if self[middle].start <= offset { low = middle } else { high = middle }
        }
        var left = length, skip = Int(offset - self[low].start)
        while left > 0 {
            let chunk = self[low]
            let memory = chunk.memory ?? ring + Int(chunk.position & UInt64(ringCapacity - 1))
            let n = min(left, chunk.count - skip)
            body(memory + skip, n)
            left -= n
            skip = 0
            low += 1
        }
    }

    /// Stretches that a packet may need at most: what ``gather(_:_:_:)`` calls for `length` bytes from `offset`.
    func stretches(_ offset: UInt64, _ length: Int) -> Int {
        var n = 0
        gather(offset, length) { _, _ in n += 1 }
        return n
    }

    /// Forgets what lies before `offset`; `unpin` gets each pin that was held for it.
    func release(upTo offset: UInt64, _ unpin: (SlotIndex) -> Void) {
        while count > 0 {
            let first = self[0]
            guard first.start + UInt64(first.count) <= offset else { return }
            if let pin = first.pin { unpin(pin) } else { ringHead = first.position + UInt64(first.count) }
            head = (head + 1) & (capacity - 1)
            count -= 1
        }
    }
    func releaseAll(_ unpin: (SlotIndex) -> Void) { release(upTo: .max, unpin) }
}
