import CLinux
import Glibc
import Primitives

/// The epoll back-end: each socket call is tried at once, and again when the descriptor is ready; file calls run on threads.
///
/// Invariants:
/// * A row is in exactly one place: the start queue, one list of its descriptor, or handed to the disk pool (then freed).
/// * A descriptor's `armed` bits are what epoll will report once; nothing waits on it ⇒ it is not in epoll.
/// * An event whose generation is not the descriptor's is of an earlier life and dropped.
final class EpollLoop {
    enum Kind: UInt8 {
        case accept, receive, receiveVector, receiveMessage, readStream  // wait for POLLIN
        case connect, send, sendVector, sendMessage, writeStream  // wait for POLLOUT
        case poll, pollMultishot
        case read, write, readVector, writeVector, sync, syncData, allocate  // threads
    }

    struct Row {
        var kind: Kind
        var fd: Int32
        var events: Int16
        var mode: Int32
        var pointer: UnsafeMutableRawPointer?
        var length: Int
        var offset: UInt64
        var token: UInt64
        var next: Int32 = -1
        var isFree = false
    }

    /// Rows waiting for one direction, oldest first.
    struct List {
        var head: Int32 = -1, tail: Int32 = -1
    }

    struct Watch {
        var lists = (read: List(), write: List(), poll: List())
        var armed: UInt32 = 0
        var generation: UInt32 = 0
        var isDirty = false
        var isRegistered = false
        var isEmpty: Bool { lists.read.head < 0 && lists.write.head < 0 && lists.poll.head < 0 }
    }

    private enum Outcome { case done(Int32), wait, goesOn }

    let mailbox: Mailbox
    var count = 0
    private let epollfd: Int32
    private let disk: WorkPool
    private var rows: [Row] = []
    private var freeRows: [Int32] = []
    private var watches: [Watch] = []  // by descriptor number
    private var queued: [Int32] = []
    private var dirty: [Int32] = []
    private var done: [Completion] = []
    private var doneNext = 0
    private var letters: [Mailbox.Letter] = []
    private let events: UnsafeMutablePointer<cl_event>

    private static let eventCapacity = 256
    private static let bellKey = UInt64.max
    /// Connections taken from a listener before the others get their turn.
    private static let acceptBurst = 64

    init(mailbox: Mailbox) throws(Errno) {
        let fd = try checked(cl_epoll_open())
        let registered = cl_epoll_arm(fd, mailbox.eventfd, CL_EPOLL_IN, EpollLoop.bellKey)
        if registered < 0 {
            Descriptor.close(fd)
            throw Errno(-registered)
        }
        epollfd = fd
        self.mailbox = mailbox
        disk = WorkPool(name: "disk", threadLimit: 8, mailbox: mailbox)
        events = .allocate(capacity: EpollLoop.eventCapacity)
    }

    deinit {
        disk.stop()
        Descriptor.close(epollfd)
        events.deallocate()
    }

    // MARK: Queueing

    func add(
        _ kind: Kind, _ fd: Int32, _ pointer: UnsafeMutableRawPointer? = nil, _ length: Int = 0, offset: UInt64 = 0, mode: Int32 = 0,
        events: Int16 = 0, token: Token
    ) {
        count += 1
        let row = Row(kind: kind, fd: fd, events: events, mode: mode, pointer: pointer, length: length, offset: offset, token: token.raw)
        if let index = freeRows.popLast() {
            rows[Int(index)] = row
            queued.append(index)
        } else {
            rows.append(row)
            queued.append(Int32(rows.count - 1))
        }
    }

    /// connect(2) is called here, so that the address need not be kept; it does not block.
    func connect(_ fd: Int32, _ address: SocketAddress, token: Token) {
        let failed = address.withSockaddr { Glibc.connect(fd, $0, $1) } < 0
        if failed, errno == EINPROGRESS || errno == EINTR {
            add(.connect, fd, token: token)
        } else {
            count += 1
            done.append(Completion(token: token, result: failed ? -errno : 0, more: false))
        }
    }

    func cancel(_ token: UInt64) {
        for index in rows.indices where rows[index].token == token && !rows[index].isFree {
            let row = rows[index], id = Int32(index)
            if let position = queued.firstIndex(of: id) {
                queued.remove(at: position)
            } else {
                unlink(id, row)
                let fd = Int(row.fd)
                if watches[fd].isEmpty { forget(row.fd) } else { markDirty(row.fd) }
            }
            finish(id, -ECANCELED)
        }
        if disk.isBusy { disk.cancel(token) }
    }

    // MARK: The turn

    /// Tries everything queued since the last turn, then tells epoll what is left waiting.
    func startQueued() {
        var i = 0
        while i < queued.count {
            start(queued[i])
            i += 1
        }
        queued.removeAll(keepingCapacity: true)
        i = 0
        while i < dirty.count {
            let fd = dirty[i]
            i += 1
            watches[Int(fd)].isDirty = false
            arm(fd)
        }
        dirty.removeAll(keepingCapacity: true)
    }

    func wait(until deadline: Instant) {
        var woken = false
        repeat {
            startQueued()
            let ready = doneNext < done.count
            let timeout: Int64 = ready ? 0 : deadline == .never ? -1 : max(0, (deadline - Clock.monotonic()).nanoseconds)
            let n = cl_epoll_wait(epollfd, events, UInt32(EpollLoop.eventCapacity), timeout)
            if n == -EINTR { return }
            precondition(n >= 0, "epoll_wait: \(Errno(-n))")
            for i in 0..<Int(n) {
                let event = events[i]
                if event.key == EpollLoop.bellKey {
                    woken = true
                    openMail()
                } else {
                    readied(Int32(truncatingIfNeeded: event.key & 0xFFFF_FFFF), UInt32(event.key >> 32), event.events)
                }
            }
            if n == 0 || woken { return }
        } while doneNext == done.count
    }

    func next() -> Completion? {
        guard doneNext < done.count else {
            done.removeAll(keepingCapacity: true)
            doneNext = 0
            return nil
        }
        let completion = done[doneNext]
        doneNext += 1
        if !completion.more { count -= 1 }
        return completion
    }

    private func openMail() {
        var value: UInt64 = 0
        _ = Glibc.read(mailbox.eventfd, &value, 8)
        let armed = cl_epoll_arm(epollfd, mailbox.eventfd, CL_EPOLL_IN, EpollLoop.bellKey)
        precondition(armed == 0, "epoll_ctl on our own eventfd: \(Errno(-armed))")
        mailbox.empty(into: &letters)
        for letter in letters { done.append(Completion(token: Token(raw: letter.token), result: letter.result, more: false)) }
        letters.removeAll(keepingCapacity: true)
    }

    private func start(_ id: Int32) {
        let row = rows[Int(id)]
        switch row.kind {
        case .read, .write, .readVector, .writeVector, .sync, .syncData, .allocate:
            freeRow(id)
            disk.submit(job(row))
        case .poll, .pollMultishot:
            guard row.fd >= 0 else { return finish(id, -EBADF) }
            link(id, row)
        default:
            guard row.fd >= 0 else { return finish(id, -EBADF) }
            // Behind one that waits already: its turn comes after it.
            let known = row.fd < watches.count ? watches[Int(row.fd)] : Watch()
            let others = (isReading(row.kind) ? known.lists.read.head : known.lists.write.head) >= 0
            if others { return link(id, row) }
            switch attempt(row, isFirst: true) {
            case .done(let result): finish(id, result)
            case .wait, .goesOn: link(id, row)
            }
        }
    }

    private func job(_ row: Row) -> Job {
        let kind: Job.Kind =
            switch row.kind {
            case .read: .read
            case .write: .write
            case .readVector: .readVector
            case .writeVector: .writeVector
            case .sync: .sync
            case .syncData: .syncData
            default: .allocate
            }
        return Job(kind: kind, token: row.token, fd: row.fd, mode: row.mode, pointer: row.pointer, length: row.length, offset: row.offset)
    }

    /// Makes the call once. `isFirst`: no readiness has been seen yet.
    private func attempt(_ row: Row, isFirst: Bool) -> Outcome {
        let fd = row.fd
        while true {
            var n: Int
            switch row.kind {
            case .accept: return acceptBurst(row)
            case .connect:
                if isFirst { return .wait }
                return .done(-(Sockets.error(fd)?.code ?? 0))
            case .receive: n = recv(fd, row.pointer, row.length, Int32(MSG_DONTWAIT))
            case .send: n = Glibc.send(fd, row.pointer, row.length, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            case .receiveVector, .sendVector:
                var header = msghdr()
                header.msg_iov = row.pointer?.assumingMemoryBound(to: iovec.self)
                header.msg_iovlen = row.length
                n =
                    row.kind == .receiveVector
                    ? recvmsg(fd, &header, Int32(MSG_DONTWAIT)) : sendmsg(fd, &header, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            case .receiveMessage:
                n = recvmsg(fd, row.pointer?.assumingMemoryBound(to: msghdr.self), Int32(MSG_DONTWAIT | MSG_CMSG_CLOEXEC))
            case .sendMessage:
                n = sendmsg(fd, row.pointer?.assumingMemoryBound(to: msghdr.self), Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            case .readStream, .writeStream:
                // The descriptor may be a blocking one: ask first.
                var ask = pollfd(fd: fd, events: Int16(row.kind == .readStream ? POLLIN : POLLOUT), revents: 0)
                if Glibc.poll(&ask, 1, 0) == 0 { return .wait }
                n = row.kind == .readStream ? Glibc.read(fd, row.pointer, row.length) : Glibc.write(fd, row.pointer, row.length)
            default: preconditionFailure("not a call on a stream")
            }
            if n >= 0 { return .done(Int32(n)) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wait
            default: return .done(-errno)
            }
        }
    }

    private func acceptBurst(_ row: Row) -> Outcome {
        for _ in 0..<EpollLoop.acceptBurst {
            let fd = cl_accept(row.fd)
            if fd >= 0 {
                done.append(Completion(token: Token(raw: row.token), result: fd, more: true))
            } else if fd == -EAGAIN {
                return .wait
            } else if fd != -EINTR {
                return .done(fd)
            }
        }
        return .goesOn
    }

    private func readied(_ fd: Int32, _ generation: UInt32, _ events: UInt32) {
        guard Int(fd) < watches.count, watches[Int(fd)].generation == generation else { return }
        watches[Int(fd)].armed = 0
        let failed = events & (CL_EPOLL_ERR | CL_EPOLL_HUP) != 0
        if failed || events & (CL_EPOLL_IN | CL_EPOLL_RDHUP | CL_EPOLL_PRI) != 0 { retry(fd, reading: true) }
        if failed || events & CL_EPOLL_OUT != 0 { retry(fd, reading: false) }
        var id = watches[Int(fd)].lists.poll.head
        while id >= 0 {
            let row = rows[Int(id)]
            let seen = events & (UInt32(UInt16(bitPattern: row.events)) | (CL_EPOLL_ERR | CL_EPOLL_HUP))
            if seen != 0 {
                if row.kind == .pollMultishot {
                    done.append(Completion(token: Token(raw: row.token), result: Int32(seen), more: true))
                } else {
                    unlink(id, row)
                    finish(id, Int32(seen))
                }
            }
            id = row.next
        }
        markDirty(fd)
    }

    private func retry(_ fd: Int32, reading: Bool) {
        while true {
            let id = reading ? watches[Int(fd)].lists.read.head : watches[Int(fd)].lists.write.head
            guard id >= 0 else { return }
            let row = rows[Int(id)]
            guard case .done(let result) = attempt(row, isFirst: false) else { return }
            unlink(id, row)
            finish(id, result)
        }
    }

    // MARK: Rows, lists, interest

    private func isReading(_ kind: Kind) -> Bool { kind.rawValue <= Kind.readStream.rawValue }

    private func path(_ kind: Kind) -> WritableKeyPath<Watch, List> {
        kind == .poll || kind == .pollMultishot ? \.lists.poll : isReading(kind) ? \.lists.read : \.lists.write
    }

    private func link(_ id: Int32, _ row: Row) {
        let fd = Int(row.fd), list = path(row.kind)
        while watches.count <= fd { watches.append(Watch()) }
        let tail = watches[fd][keyPath: list].tail
        if tail >= 0 { rows[Int(tail)].next = id } else { watches[fd][keyPath: list].head = id }
        watches[fd][keyPath: list].tail = id
        markDirty(row.fd)
    }

    private func unlink(_ id: Int32, _ row: Row) {
        let fd = Int(row.fd), list = path(row.kind)
        var before: Int32 = -1, at = watches[fd][keyPath: list].head
        while at != id {
            precondition(at >= 0, "row is not in its descriptor's list")
            before = at
            at = rows[Int(at)].next
        }
        if before >= 0 { rows[Int(before)].next = row.next } else { watches[fd][keyPath: list].head = row.next }
        if watches[fd][keyPath: list].tail == id { watches[fd][keyPath: list].tail = before }
    }

    private func finish(_ id: Int32, _ result: Int32) {
        done.append(Completion(token: Token(raw: rows[Int(id)].token), result: result, more: false))
        freeRow(id)
    }

    private func freeRow(_ id: Int32) {
        rows[Int(id)].isFree = true
        freeRows.append(id)
    }

    private func markDirty(_ fd: Int32) {
        guard !watches[Int(fd)].isDirty else { return }
        watches[Int(fd)].isDirty = true
        dirty.append(fd)
    }

    /// Nothing waits on it any more: out of epoll, so that a close leaves nothing behind even if another process holds the same
    /// open file, and late events are of an earlier generation.
    private func forget(_ fd: Int32) {
        let i = Int(fd)
        if watches[i].isRegistered { cl_epoll_remove(epollfd, fd) }
        watches[i].isRegistered = false
        watches[i].armed = 0
        watches[i].generation &+= 1
    }

    private func arm(_ fd: Int32) {
        let i = Int(fd)
        var wanted: UInt32 = 0
        if watches[i].lists.read.head >= 0 { wanted |= (CL_EPOLL_IN | CL_EPOLL_RDHUP) }
        if watches[i].lists.write.head >= 0 { wanted |= CL_EPOLL_OUT }
        var id = watches[i].lists.poll.head
        while id >= 0 {
            wanted |= UInt32(UInt16(bitPattern: rows[Int(id)].events))
            if rows[Int(id)].events == 0 { wanted |= CL_EPOLL_ERR }
            id = rows[Int(id)].next
        }
        if watches[i].isEmpty {
            if watches[i].armed != 0 { forget(fd) }
            return
        }
        guard wanted != watches[i].armed else { return }
        let result = cl_epoll_arm(epollfd, fd, wanted, UInt64(watches[i].generation) << 32 | UInt64(UInt32(bitPattern: fd)))
        if result == 0 {
            watches[i].armed = wanted
            watches[i].isRegistered = true
        } else {
            failAll(fd, result)
        }
    }

    /// epoll refused the descriptor. EPERM: a regular file, which is always ready; else it is not open.
    private func failAll(_ fd: Int32, _ result: Int32) {
        for list in [\Watch.lists.read, \.lists.write, \.lists.poll] {
            while case let id = watches[Int(fd)][keyPath: list].head, id >= 0 {
                let row = rows[Int(id)]
                unlink(id, row)
                let ready = Int32(row.events) & Int32(POLLIN | POLLOUT)
                finish(id, result == -EPERM && list == \.lists.poll && ready != 0 ? ready : result)
            }
        }
        forget(fd)
    }
}
