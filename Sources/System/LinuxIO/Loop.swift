import CLinux
import Glibc
import Primitives

package enum LoopBackend: String, Sendable, CaseIterable { case uring, epoll }

/// The one place where a worker meets the kernel: operations go in, completions come out, one thread.
///
///     while running {
///         loop.wait(until: nextTimer)             // one io_uring_enter: submits everything, waits
///         while let completion = loop.next() { … }   // copied out in batches of 256
///     }
///
/// * Nothing is a system call until ``wait(until:)`` or ``flush()``; a full submission queue submits itself.
/// * Memory handed over must stay valid, and unmoved, until the completion. (Not a `SocketAddress`, nor an iovec array
///   on the way to io_uring; on epoll the iovec array too must live, so let it.)
/// * Each operation gives exactly one completion with `more == false`; only ``accept(_:token:)`` and multishot polls give
///   others before it. Several operations may carry one token; ``cancel(_:)`` then means all of them.
/// * Operations on one descriptor may complete in any order: have at most one receive and one send under way on a stream.
/// * Closing: cancel, wait for the completions, close. See ``Descriptor``.
///
/// On the io_uring back-end no call here allocates, ``work(token:_:)`` apart. Where io_uring is refused the same calls run
/// on epoll and a pool of threads.
///
/// `@unchecked Sendable` for the sake of ``wake()``, the only call another thread may make.
package final class Loop: @unchecked Sendable {
    package let backend: LoopBackend
    /// Why io_uring is not in use, and what to change; empty when it is.
    package let fallbackReason: String
    /// CLOCK_MONOTONIC as read at the end of the last ``wait(until:)``.
    @exclusivity(unchecked) package private(set) var now: Instant

    let uring: UringLoop?
    let epoll: EpollLoop?
    let mailbox: Mailbox
    private let workers: WorkPool

    /// `entries`: operations queued between two waits before the queue submits itself. `backend` or the environment's
    /// CCBT_IO=uring|epoll forces one, and then fails with what the kernel said; otherwise io_uring if the kernel lets us.
    package init(entries: UInt32 = 1024, backend wanted: LoopBackend? = nil) throws(Errno) {
        let forced = if let wanted { wanted as LoopBackend? } else { try Loop.forcedByEnvironment() }
        mailbox = try Mailbox()
        workers = WorkPool(name: "work", threadLimit: 4, mailbox: mailbox)
        now = Clock.monotonic()
        if forced == .epoll {
            (backend, fallbackReason) = (.epoll, "epoll was asked for (CCBT_IO=epoll)")
            (uring, epoll) = (nil, try EpollLoop(mailbox: mailbox))
            return
        }
        do throws(Errno) {
            uring = try UringLoop(entries: entries, mailbox: mailbox)
            (epoll, backend, fallbackReason) = (nil, .uring, "")
        } catch {
            if forced == .uring { throw error }
            (backend, fallbackReason) = (.epoll, Loop.advice(for: error))
            (uring, epoll) = (nil, try EpollLoop(mailbox: mailbox))
        }
    }

    deinit { workers.stop() }

    private static func forcedByEnvironment() throws(Errno) -> LoopBackend? {
        guard let value = getenv("CCBT_IO"), value.pointee != 0 else { return nil }
        guard let backend = LoopBackend(rawValue: String(cString: value)) else { throw .invalidArgument }
        return backend
    }

    static func advice(for error: Errno) -> String {
        let change =
            switch error {
            case .operationNotPermitted, .accessDenied, .noSystemCall:
                "allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile and set sysctl kernel.io_uring_disabled=0"
            case .outOfMemory: "raise the limit on locked memory (LimitMEMLOCK)"
            case .notSupported: "Linux 5.19 or later is needed"
            default: "see io_uring_setup(2)"
            }
        return "io_uring is refused (\(error)); \(change)"
    }

    // MARK: Sockets

    /// Multishot: each completion's result is a connected socket, CLOEXEC and non-blocking; arm again when `more` is false.
    package func accept(_ listener: Int32, token: Token) {
        if let uring { uring.queue { cl_ring_accept($0, listener, token.raw) } } else { epoll!.add(.accept, listener, token: token) }
    }
    package func connect(_ fd: Int32, _ address: SocketAddress, token: Token) {
        if let uring {
            withUnsafePointer(to: address.storage) { p in uring.queue { cl_ring_connect($0, fd, p, address.length, token.raw) } }
        } else {
            epoll!.connect(fd, address, token: token)
        }
    }
    /// Result 0: the other side has finished sending.
    package func receive(_ fd: Int32, _ p: UnsafeMutableRawPointer, _ n: Int, token: Token) {
        if let uring { uring.queue { cl_ring_recv($0, fd, p, n, token.raw) } } else { epoll!.add(.receive, fd, p, n, token: token) }
    }
    package func receive(_ fd: Int32, vector: UnsafeMutablePointer<iovec>, count: Int, token: Token) {
        if let uring {
            uring.queue { cl_ring_recv_vector($0, fd, vector, UInt32(count), token.raw) }
        } else {
            epoll!.add(.receiveVector, fd, vector, count, token: token)
        }
    }
    /// May send less than `n`. A connection that is gone is EPIPE, never a signal.
    package func send(_ fd: Int32, _ p: UnsafeRawPointer, _ n: Int, token: Token) {
        if let uring { uring.queue { cl_ring_send($0, fd, p, n, token.raw) } } else { epoll!.add(.send, fd, UnsafeMutableRawPointer(mutating: p), n, token: token) }
    }
    package func send(_ fd: Int32, vector: UnsafeMutablePointer<iovec>, count: Int, token: Token) {
        if let uring {
            uring.queue { cl_ring_send_vector($0, fd, vector, UInt32(count), token.raw) }
        } else {
            epoll!.add(.sendVector, fd, vector, count, token: token)
        }
    }
    /// UDP datagrams and control packets; received descriptors are CLOEXEC. See ``Packet``.
    package func receiveMessage(_ fd: Int32, _ m: UnsafeMutablePointer<msghdr>, token: Token) {
        if let uring { uring.queue { cl_ring_recvmsg($0, fd, m, token.raw) } } else { epoll!.add(.receiveMessage, fd, m, token: token) }
    }
    package func sendMessage(_ fd: Int32, _ m: UnsafeMutablePointer<msghdr>, token: Token) {
        if let uring { uring.queue { cl_ring_sendmsg($0, fd, m, token.raw) } } else { epoll!.add(.sendMessage, fd, m, token: token) }
    }
    /// Result: the ready events (POLLIN, …). A multishot poll tells of changes: act until EAGAIN on each.
    package func poll(_ fd: Int32, events: Int16, multishot: Bool, token: Token) {
        if let uring {
            uring.queue { cl_ring_poll($0, fd, UInt32(UInt16(bitPattern: events)), multishot, token.raw) }
        } else {
            epoll!.add(multishot ? .pollMultishot : .poll, fd, events: events, token: token)
        }
    }

    // MARK: Files

    /// The offset that means "none": pipes, eventfds and the like.
    package static let streamOffset = UInt64.max

    /// At most 2 GiB - 4 KiB at a time. `buffer`: index of the registered buffer that `p` lies in, or -1.
    package func read(_ fd: Int32, _ p: UnsafeMutableRawPointer, _ n: Int, offset: UInt64, buffer: Int32 = -1, token: Token) {
        if let uring {
            uring.queue { cl_ring_read($0, fd, p, UInt32(n), offset, buffer, token.raw) }
        } else {
            epoll!.add(offset == Loop.streamOffset ? .readStream : .read, fd, p, n, offset: offset, token: token)
        }
    }
    package func write(_ fd: Int32, _ p: UnsafeRawPointer, _ n: Int, offset: UInt64, buffer: Int32 = -1, token: Token) {
        if let uring {
            uring.queue { cl_ring_write($0, fd, p, UInt32(n), offset, buffer, token.raw) }
        } else {
            epoll!.add(offset == Loop.streamOffset ? .writeStream : .write, fd, UnsafeMutableRawPointer(mutating: p), n, offset: offset, token: token)
        }
    }
    package func read(_ fd: Int32, vector: UnsafeMutablePointer<iovec>, count: Int, offset: UInt64, token: Token) {
        if let uring {
            uring.queue { cl_ring_read_vector($0, fd, vector, UInt32(count), offset, token.raw) }
        } else {
            epoll!.add(.readVector, fd, vector, count, offset: offset, token: token)
        }
    }
    package func write(_ fd: Int32, vector: UnsafeMutablePointer<iovec>, count: Int, offset: UInt64, token: Token) {
        if let uring {
            uring.queue { cl_ring_write_vector($0, fd, vector, UInt32(count), offset, token.raw) }
        } else {
            epoll!.add(.writeVector, fd, vector, count, offset: offset, token: token)
        }
    }
    /// fsync, or with `dataOnly` fdatasync. Covers only writes whose completion has been seen.
    package func sync(_ fd: Int32, dataOnly: Bool, token: Token) {
        if let uring { uring.queue { cl_ring_fsync($0, fd, dataOnly, token.raw) } } else { epoll!.add(dataOnly ? .syncData : .sync, fd, token: token) }
    }
    /// fallocate(2).
    package func allocate(_ fd: Int32, mode: Int32, offset: UInt64, length: UInt64, token: Token) {
        if let uring {
            uring.queue { cl_ring_fallocate($0, fd, mode, offset, length, token.raw) }
        } else {
            epoll!.add(.allocate, fd, nil, Int(length), offset: offset, mode: mode, token: token)
        }
    }

    /// A sparse table of registered buffers (1 ... 16384 slots): saves pinning the pages at each read and write. False when
    /// refused (RLIMIT_MEMLOCK, or the epoll back-end): use `buffer: -1`.
    package func registerBuffers(slots: Int) -> Bool {
        guard let uring, (1...16384).contains(slots) else { return false }
        return cl_ring_register_buffers(uring.ring, UInt32(slots)) >= 0
    }
    /// Fills slot `index` with `n` bytes (at most 1 GiB), which stay pinned until the slot is cleared.
    package func setBuffer(_ index: Int, _ p: UnsafeMutableRawPointer, _ n: Int) -> Errno? { updateBuffer(index, p, n) }
    package func clearBuffer(_ index: Int) -> Errno? { updateBuffer(index, nil, 0) }
    private func updateBuffer(_ index: Int, _ p: UnsafeMutableRawPointer?, _ n: Int) -> Errno? {
        guard let uring else { return .notSupported }
        let result = cl_ring_set_buffer(uring.ring, UInt32(index), p, n)
        return result < 0 ? Errno(-result) : nil
    }

    // MARK: Everything else

    /// Each operation with this token completes soon, with -ECANCELED or, when it was too late, its own result.
    package func cancel(_ token: Token) {
        if workers.isBusy { workers.cancel(token.raw) }
        if let uring { uring.cancel(token.raw) } else { epoll!.cancel(token.raw) }
    }

    /// Runs blocking work (open, rename, unlink, DNS) on one of at most four threads; what `body` returns is the result.
    package func work(token: Token, _ body: @escaping @Sendable () -> Int32) {
        if let uring { uring.count += 1 } else { epoll!.count += 1 }
        workers.submit(Job(kind: .work, token: token.raw, body: body))
    }

    /// Makes ``wait(until:)`` return. From any thread.
    package func wake() { mailbox.ring() }

    /// Operations whose last completion has not been taken by ``next()``.
    package var inFlight: Int { uring?.count ?? epoll!.count }

    /// Submits without waiting.
    package func flush() { if let uring { uring.flush() } else { epoll!.startQueued() } }

    /// Submits, then waits for at least one completion or `deadline`. May return early with nothing (a signal, a wake).
    package func wait(until deadline: Instant) {
        if let uring { uring.wait(until: deadline) } else { epoll!.wait(until: deadline) }
        now = Clock.monotonic()
    }

    /// The next completion; nil: all are taken, time to wait. Operations may be queued in between.
    package func next() -> Completion? { if let uring { uring.next() } else { epoll!.next() } }
}
