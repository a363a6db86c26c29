import CLinux
import Glibc
import Primitives

/// The io_uring back-end: a ring, a batch of completions copied out of it, and the mailbox through which threads answer.
final class UringLoop {
    let ring: OpaquePointer
    let mailbox: Mailbox
    @exclusivity(unchecked) var count = 0

    private static let batchCapacity = 256
    private let batch: UnsafeMutablePointer<cl_completion>
    @exclusivity(unchecked) private var batchNext = 0
    @exclusivity(unchecked) private var batchCount = 0
    /// Completions taken early to make room when the kernel's queue was full: normally empty.
    @exclusivity(unchecked) private var spill: [cl_completion] = []
    /// Results of pool jobs.
    @exclusivity(unchecked) private var posted: [Mailbox.Letter] = []
    @exclusivity(unchecked) private var postedNext = 0
    /// A read of the mailbox's eventfd is under way, into `bell`.
    @exclusivity(unchecked) private var isListening = false
    private let bell: UnsafeMutablePointer<UInt64>

    /// The token of the mailbox's read: the one internal token that the ring reports.
    private static let bellToken = UInt64.max

    init(entries: UInt32, mailbox: Mailbox) throws(Errno) {
        var error: Int32 = 0
        guard let ring = cl_ring_open(entries, &error) else { throw Errno(-error) }
        // A filter may allow io_uring_setup and refuse io_uring_enter: an empty wait tells.
        let tried = cl_ring_wait(ring, 0)
        if tried < 0, tried != -ETIME, tried != -EINTR {
            cl_ring_close(ring)
            throw Errno(-tried)
        }
        self.ring = ring
        self.mailbox = mailbox
        batch = .allocate(capacity: UringLoop.batchCapacity)
        bell = .allocate(capacity: 1)
        // io_uring fails reads of non-blocking descriptors with EAGAIN on some kernels instead of waiting.
        try Descriptor.setNonblocking(mailbox.eventfd, false)
    }

    deinit {
        cl_ring_close(ring)
        batch.deallocate()
        bell.deallocate()
    }

    /// Queues one operation, making room first when there is none.
    @inline(__always) func queue(_ put: (OpaquePointer) -> Bool) {
        while !put(ring) { makeRoom() }
        count &+= 1
    }

    func cancel(_ token: UInt64) { while !cl_ring_cancel(ring, token) { makeRoom() } }

    func flush() { if cl_ring_submit(ring) < 0 { makeRoom() } }

    @inline(never) private func makeRoom() {
        let result = cl_ring_submit(ring)
        if result < 0 { recover(result) }
    }

    func wait(until deadline: Instant) {
        if !isListening {
            while !cl_ring_read(ring, mailbox.eventfd, bell, 8, 0, -1, UringLoop.bellToken) { makeRoom() }
            isListening = true
        }
        let result: Int32
        if batchNext < batchCount || !spill.isEmpty || postedNext < posted.count {
            result = cl_ring_submit(ring)
        } else if deadline == .never {
            result = cl_ring_wait(ring, -1)
        } else {
            result = cl_ring_wait(ring, max(0, (deadline - Clock.monotonic()).nanoseconds))
        }
        if result < 0, result != -ETIME { recover(result) }
    }

    /// io_uring_enter failed: short of memory, or of room for completions, is the machine's trouble and passes once completions
    /// are taken; anything else is a bug of ours.
    @inline(never) private func recover(_ result: Int32) {
        switch -result {
        case EINTR: return
        case EAGAIN, EBUSY, ENOMEM:
            let room = 64
            let taken = withUnsafeTemporaryAllocation(of: cl_completion.self, capacity: room) { buffer in
                let n = Int(cl_ring_reap(ring, buffer.baseAddress, UInt32(room)))
                spill.append(contentsOf: buffer[..<n])
                return n
            }
            if taken == 0 { usleep(1000) }
        default: preconditionFailure("io_uring_enter: \(Errno(-result))")
        }
    }

    func next() -> Completion? {
        while true {
            if batchNext < batchCount {
                let c = batch[batchNext]
                batchNext &+= 1
                if c.token == UringLoop.bellToken {
                    isListening = false
                    mailbox.empty(into: &posted)
                    continue
                }
                if c.more == 0 { count &-= 1 }
                return Completion(token: Token(raw: c.token), result: c.result, more: c.more != 0)
            }
            if postedNext < posted.count {
                let letter = posted[postedNext]
                postedNext += 1
                if postedNext == posted.count {
                    posted.removeAll(keepingCapacity: true)
                    postedNext = 0
                }
                count &-= 1
                return Completion(token: Token(raw: letter.token), result: letter.result, more: false)
            }
            batchNext = 0
            if !spill.isEmpty {
                batchCount = min(spill.count, UringLoop.batchCapacity)
                for i in 0..<batchCount { batch[i] = spill[i] }
                spill.removeFirst(batchCount)
            } else {
                batchCount = Int(cl_ring_reap(ring, batch, UInt32(UringLoop.batchCapacity)))
                if batchCount == 0 { return nil }
            }
        }
    }
}
