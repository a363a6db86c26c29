import CHash
import CLinux
import Glibc
import LinuxIO
import Primitives

/// Threads that hash pieces, many at once. Tasks come in by a queue that the arenas' and check buffers' sizes bound
/// (each holds memory of one); results come out by another and a wake of the loop.
///
/// A thread takes up to 16 waiting pieces of equal length, as many as the widest kernel interleaves. While pieces come
/// quickly it waits a moment for a fourth, or for all 16 where those come within the same moment: 16 lanes take 0.17
/// CPU-seconds a GiB, four interleaved streams 0.24, one 0.58; and a verified piece that is 25 ms later harms nobody.
package final class HashPool: @unchecked Sendable {
    package struct Task: @unchecked Sendable {
        /// Read only until the outcome came.
        package let memory: UnsafeRawBufferPointer
        /// At least one of the two.
        let version1: SHA1Digest?
        let version2: ExpectedRoot?
        /// The caller's.
        package let tag: UInt64
        init(memory: UnsafeRawBufferPointer, version1: SHA1Digest?, version2: ExpectedRoot?, tag: UInt64) {
            precondition((version1 != nil || version2 != nil) && Int(version2?.length ?? 0) <= memory.count)
            self.memory = memory
            self.version1 = version1
            self.version2 = version2
            self.tag = tag
        }
    }
    package enum Verdict: Equatable, Sendable {
        case good, bad
        /// Good by one rule and bad by the other.
        case contradiction
    }
    package struct Outcome: Equatable, Sendable {
        package let tag: UInt64
        package let verdict: Verdict
    }

    private static let batch = 16
    /// Pieces worth waiting for, for how long at most, and how close arrivals must be for it.
    private static let few = 4
    private static let patience = TimeSpan.milliseconds(25)
    private static let closeness = TimeSpan.milliseconds(12)
    /// A whole batch is waited for when it is likely to be there by then.
    private static let wholeBatch = TimeSpan.milliseconds(15)
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var threads: [pthread_t] = []
    private let wake: @Sendable () -> Void
    // Under the mutex:
    private var tasks: [Task] = []
    private var head = 0
    private var outcomes: [Outcome] = []
    private var isStopping = false
    private var lastArrival = Instant.zero
    /// Between arrivals, averaged over about the last four.
    private var gap = TimeSpan.milliseconds(200)
    private var worthwhile = few
    /// A thread waits for more; the others leave it alone.
    private var isGathering = false

    /// `wake` runs on a pool thread after results came.
    package init(threads count: Int, wake: @escaping @Sendable () -> Void) {
        precondition(count > 0)
        self.wake = wake
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
        tasks.reserveCapacity(1024)
        outcomes.reserveCapacity(1024)
        for _ in 0..<count {
            var thread = pthread_t()
            let me = Unmanaged.passUnretained(self).toOpaque()
            let result = pthread_create(
                &thread, nil,
                { raw in
                    Unmanaged<HashPool>.fromOpaque(raw!).takeUnretainedValue().run()
                    return nil
                }, me)
            precondition(result == 0, "no thread for hashing")
            threads.append(thread)
        }
    }

    /// Waits for the batch in work. Call before the memory of waiting tasks goes away.
    package func stop() {
        pthread_mutex_lock(mutex)
        isStopping = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
        for thread in threads { pthread_join(thread, nil) }
        threads = []
    }
    deinit {
        precondition(threads.isEmpty, "the pool was not stopped")
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    package func submit(_ task: Task) {
        submit(CollectionOfOne(task))
    }
    package func submit(_ more: some Collection<Task>) {
        pthread_mutex_lock(mutex)
        tasks.append(contentsOf: more)
        let now = Clock.monotonic()
        // Idle time says nothing about how quickly pieces come once they do.
        let each = min(now - lastArrival, .milliseconds(200)) / max(1, more.count)
        gap = gap + (each - gap) / 4
        lastArrival = now
        worthwhile = gap * Self.batch <= Self.wholeBatch ? Self.batch : Self.few
        // One thread gathers; a second is worth waking only when there is a full batch for it.
        if !isGathering || tasks.count - head >= worthwhile { pthread_cond_broadcast(condition) }
        pthread_mutex_unlock(mutex)
    }

    /// Waits, with the mutex held, until there is something worth hashing. False: the pool stops.
    private func gather() -> Bool {
        while !isStopping, head == tasks.count || isGathering { pthread_cond_wait(condition, mutex) }
        // A piece of v2 only fills the lanes with its own blocks.
        guard !isStopping, gap < Self.closeness, tasks[head].version1 != nil else { return !isStopping }
        isGathering = true
        defer { isGathering = false }
        let until = Clock.monotonic() + Self.patience
        var limit = timespec(tv_sec: Int(until.nanoseconds / 1_000_000_000), tv_nsec: Int(until.nanoseconds % 1_000_000_000))
        while !isStopping, tasks.count - head < worthwhile {
            if pthread_cond_timedwait(condition, mutex, &limit) == ETIMEDOUT { break }
        }
        // Others may have been waiting for the gathering to end.
        pthread_cond_broadcast(condition)
        return !isStopping
    }

    /// Moves the results since the last call to the end of `out`.
    package func drain(into out: inout [Outcome]) {
        pthread_mutex_lock(mutex)
        out.append(contentsOf: outcomes)
        outcomes.removeAll(keepingCapacity: true)
        pthread_mutex_unlock(mutex)
    }

    private func run() {
        cl_set_thread_name("hash")
        var mine: [Task] = []
        mine.reserveCapacity(Self.batch)
        let digests = UnsafeMutablePointer<UInt8>.allocate(capacity: 20 * Self.batch)
        var verdicts: [Verdict] = [], scratch: [UInt8] = []
        verdicts.reserveCapacity(Self.batch)
        let pointers = UnsafeMutablePointer<UnsafePointer<UInt8>?>.allocate(capacity: Self.batch)
        defer {
            digests.deallocate()
            pointers.deallocate()
        }
        while true {
            pthread_mutex_lock(mutex)
            guard gather() else {
                pthread_mutex_unlock(mutex)
                return
            }
            mine.removeAll(keepingCapacity: true)
            // The oldest decides the length; its equals are taken from behind, others keep their place.
            let length = tasks[head].memory.count, hasVersion1 = tasks[head].version1 != nil
            var kept = head
            var at = head
            while at < tasks.count, mine.count < Self.batch, at - head < 4 * Self.batch {
                if tasks[at].memory.count == length, (tasks[at].version1 != nil) == hasVersion1 {
                    mine.append(tasks[at])
                    // Close the gap: what stands before it moves up by one.
                    var hole = at
                    while hole > kept {
                        tasks[hole] = tasks[hole - 1]
                        hole -= 1
                    }
                    kept += 1
                }
                at += 1
            }
            head = kept
            if head == tasks.count {
                tasks.removeAll(keepingCapacity: true)
                head = 0
            } else if head > 512 {
                tasks.removeFirst(head)
                head = 0
            }
            pthread_mutex_unlock(mutex)

            for (i, task) in mine.enumerated() { pointers[i] = task.memory.baseAddress.map { $0.assumingMemoryBound(to: UInt8.self) } }
            if hasVersion1 { ccbt_sha1_many(pointers, length, mine.count, digests) }
            verdicts.removeAll(keepingCapacity: true)
            for (i, task) in mine.enumerated() {
                let first = task.version1.map { SHA1Digest(bytes: UnsafeRawBufferPointer(start: digests + 20 * i, count: 20)) == $0 }
                let second = task.version2.map { Self.root(task.memory, $0, &scratch) == $0.root }
                // Pad bytes stand in the v1 hash alone: who sends them wrong makes only that one wrong.
                let padsAreWrong = first == false && second == true && Int(task.version2!.length) < task.memory.count
                verdicts.append(first == nil || second == nil || first == second ? (first ?? second)! ? .good : .bad : padsAreWrong ? .bad : .contradiction)
            }

            pthread_mutex_lock(mutex)
            for (i, task) in mine.enumerated() { outcomes.append(Outcome(tag: task.tag, verdict: verdicts[i])) }
            pthread_mutex_unlock(mutex)
            wake()
        }
    }

    private static func root(_ memory: UnsafeRawBufferPointer, _ expected: ExpectedRoot, _ scratch: inout [UInt8]) -> SHA256Digest {
        let room = 32 * (Int(PieceRoots.blocks(UInt64(expected.length))) + 1)
        if scratch.count < room { scratch = [UInt8](repeating: 0, count: room) }
        return withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { out in
            ccbt_merkle_root(
                memory.baseAddress!.assumingMemoryBound(to: UInt8.self), Int(expected.length), Int(expected.width), &scratch,
                out.baseAddress!.assumingMemoryBound(to: UInt8.self))
            return SHA256Digest(bytes: UnsafeRawBufferPointer(out))
        }
    }
}
