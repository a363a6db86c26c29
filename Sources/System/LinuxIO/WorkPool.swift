import CLinux
import Glibc

/// Where threads leave results for the loop's thread, with an eventfd as the bell.
final class Mailbox: @unchecked Sendable {
    struct Letter {
        let token: UInt64
        let result: Int32
    }

    /// Open as long as anyone may ring: each thread of a pool holds the mailbox.
    let eventfd: Int32
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private var letters: [Letter] = []

    init() throws(Errno) {
        eventfd = try checked(cl_eventfd())
        lock = .allocate(capacity: 1)
        pthread_mutex_init(lock, nil)
    }

    deinit {
        Descriptor.close(eventfd)
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    func ring() {
        var one: UInt64 = 1
        while Glibc.write(eventfd, &one, 8) < 0 && errno == EINTR {}
    }

    func post(_ token: UInt64, _ result: Int32) {
        pthread_mutex_lock(lock)
        letters.append(Letter(token: token, result: result))
        let first = letters.count == 1
        pthread_mutex_unlock(lock)
        if first { ring() }  // the others are found with the first
    }

    /// Appends what has come to `list`.
    func empty(into list: inout [Letter]) {
        pthread_mutex_lock(lock)
        list.append(contentsOf: letters)
        letters.removeAll(keepingCapacity: true)
        pthread_mutex_unlock(lock)
    }
}

/// One piece of blocking work. Pointers stay valid until the completion, as with every operation.
struct Job: @unchecked Sendable {
    enum Kind { case read, write, readVector, writeVector, sync, syncData, allocate, work }
    var kind: Kind
    var token: UInt64
    var fd: Int32 = -1
    var mode: Int32 = 0
    var pointer: UnsafeMutableRawPointer? = nil
    var length = 0
    var offset: UInt64 = 0
    var body: (@Sendable () -> Int32)? = nil

    func run() -> Int32 {
        while true {
            let n: Int
            switch kind {
            case .read: n = pread(fd, pointer, length, off_t(truncatingIfNeeded: offset))
            case .write: n = pwrite(fd, pointer, length, off_t(truncatingIfNeeded: offset))
            case .readVector:
                return cl_preadv(fd, pointer!.assumingMemoryBound(to: iovec.self), Int32(length), offset)
            case .writeVector:
                return cl_pwritev(fd, pointer!.assumingMemoryBound(to: iovec.self), Int32(length), offset)
            case .sync: n = Int(fsync(fd))
            case .syncData: n = Int(fdatasync(fd))
            case .allocate: return cl_fallocate(fd, mode, offset, UInt64(length))
            case .work: return body!()
            }
            if n >= 0 { return Int32(n) }
            if errno != EINTR { return -errno }
        }
    }
}

/// A few threads that run jobs in the order they came and answer through a ``Mailbox``. Threads start when there is work for
/// them and stay. Not Dispatch: its threads are shared with whoever else uses it, and their number has no bound.
final class WorkPool: @unchecked Sendable {
    private let name: String
    private let threadLimit: Int
    private let mailbox: Mailbox
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    // Guarded by the lock:
    private var queue: [Job] = []
    private var head = 0
    private var threads = 0
    private var idle = 0
    private var stopped = false
    /// Touched by the loop's thread only: something was ever submitted, so a cancel must look here.
    private(set) var isBusy = false

    init(name: String, threadLimit: Int, mailbox: Mailbox) {
        (self.name, self.threadLimit, self.mailbox) = (name, threadLimit, mailbox)
        lock = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(lock, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_mutex_destroy(lock)
        pthread_cond_destroy(condition)
        lock.deallocate()
        condition.deallocate()
    }

    func submit(_ job: Job) {
        isBusy = true
        pthread_mutex_lock(lock)
        queue.append(job)
        let waiting = queue.count - head
        let start = waiting > idle && threads < threadLimit
        if start { threads += 1 }
        pthread_cond_signal(condition)
        pthread_mutex_unlock(lock)
        if start { startThread() }
    }

    /// Jobs with this token that no thread has begun end with -ECANCELED; a running one ends with its own result.
    func cancel(_ token: UInt64) {
        pthread_mutex_lock(lock)
        let before = queue.count - head
        let kept = queue[head...].filter { $0.token != token }
        if kept.count < before { (queue, head) = (Array(kept), 0) }
        pthread_mutex_unlock(lock)
        for _ in kept.count..<before { mailbox.post(token, -ECANCELED) }
    }

    /// Lets the threads end after what they are running. Does not wait: one may sit in a DNS query.
    func stop() {
        pthread_mutex_lock(lock)
        stopped = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(lock)
    }

    private func startThread() {
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 512 << 10)  // getaddrinfo and a Swift closure need far less
        let result = pthread_create(
            &thread, &attributes,
            { argument in
                Unmanaged<WorkPool>.fromOpaque(argument!).takeRetainedValue().serve()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        pthread_attr_destroy(&attributes)
        guard result != 0 else { return }
        // No thread to be had (RLIMIT_NPROC, memory): the others do the work; without any, it is done here and now.
        Unmanaged.passUnretained(self).release()
        pthread_mutex_lock(lock)
        threads -= 1
        let job = threads == 0 ? take() : nil
        pthread_mutex_unlock(lock)
        if let job { mailbox.post(job.token, job.run()) }
    }

    /// The oldest job; call with the lock held.
    private func take() -> Job? {
        guard head < queue.count else { return nil }
        let job = queue[head]
        queue[head].body = nil
        head += 1
        if head == queue.count {
            queue.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 1024, head * 2 >= queue.count {
            queue.removeFirst(head)
            head = 0
        }
        return job
    }

    private func serve() {
        Spawn.setThreadName(name)
        // Signals are the loop's: this thread takes none.
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, nil)
        pthread_mutex_lock(lock)
        while true {
            if let job = take() {
                pthread_mutex_unlock(lock)
                mailbox.post(job.token, job.run())
                pthread_mutex_lock(lock)
            } else if stopped {
                break
            } else {
                idle += 1
                pthread_cond_wait(condition, lock)
                idle -= 1
            }
        }
        threads -= 1
        pthread_mutex_unlock(lock)
    }
}
