import CLinux
import Glibc
import LinuxIO
import Primitives
import Testing

extension SystemLayer {
    /// Descriptors across sockets and across exec, shared memory, signals, /proc.
    @Suite struct ProcessTests {
        @Test(arguments: backends) func aPacketCarriesItsDescriptors(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            let (a, b) = try Sockets.socketPair(.packets)
            let files = try (0..<Packet.descriptorLimit).map { try Memory.memfd("f\($0)", size: 4096 * ($0 + 1)) }
            let out = Packet(capacity: 64), into = Packet(capacity: 64)
            for count in [0, 1, 16] {
                out.bytes.copyBytes(from: [9, 8, 7])
                out.prepareSend(count: 3, descriptors: Array(files[..<count]))
                into.prepareReceive()
                loop.receiveMessage(b, into.header, token: token(1))
                loop.sendMessage(a, out.header, token: token(2))
                #expect(loop.collect(2).map(\.result) == [3, 3])
                #expect(Array(into.bytes[..<3]) == [9, 8, 7] && !into.isTruncated)
                let received = into.takeDescriptors()
                #expect(try received.map { try Memory.size(of: $0) } == (0..<count).map { 4096 * ($0 + 1) })
                for fd in received {
                    #expect(fcntl(fd, F_GETFD) & FD_CLOEXEC != 0)
                    close(fd)
                }
            }
            // The same at once.
            #expect(try Passing.receive(b, into) == nil)
            try [1, 2].withUnsafeBytes { try Passing.send(a, $0, descriptors: [files[3]]) }
            #expect(try Passing.receive(b, into) == 16)
            let again = into.takeDescriptors()
            #expect(again.count == 1)
            let before = openDescriptors()
            try [UInt8](repeating: 0, count: 65).withUnsafeBytes { try Passing.send(a, $0, descriptors: [files[3]]) }
            #expect(throws: Errno.messageTooLong) { try Passing.receive(b, into) }
            #expect(openDescriptors() <= before + 16)
            close(a)
            #expect(try Passing.receive(b, into) == 0)
            #expect(throws: Errno.brokenPipe) { try [1].withUnsafeBytes { try Passing.send(b, $0) } }
            for fd in again + files + [b] { close(fd) }
        }

        @Test(arguments: backends) func aChildHasItsMappedDescriptorsAndNoOther(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            let (ours, theirs) = try Sockets.socketPair(.stream)
            var output: [Int32] = [-1, -1]
            try #require(pipe(&output) == 0)  // not CLOEXEC: must not leak all the same
            // Sources whose numbers are the others' targets: 3 <- theirs, 5 <- write end.
            let script = "ls /proc/self/fd | tr '\\n' ' ' >&5; echo \"$WHO $1\" >&5; cat <&3 >&5"
            let child = try Spawn.spawn(
                "/bin/sh", ["sh", "-c", script, "x", "arg"], environment: ["WHO=me", "PATH=/usr/bin:/bin"],
                descriptors: [(source: theirs, target: 3), (source: output[1], target: 5)])
            close(theirs, output[1])
            let stat = try #require(ProcessStat(pid: child.pid))
            #expect(stat.threads == 1 && stat.startTicks > 0)
            #expect(getpgid(child.pid) == child.pid)
            #expect(try child.reap() == nil)
            loop.poll(child.pidfd, events: Int16(POLLIN), multishot: false, token: token(1))
            let text = Buffer(Array("through the socket".utf8))
            loop.send(ours, text.p, 18, token: token(2))
            #expect(loop.collect(1).map(\.result) == [18])
            try Sockets.shutdownSending(ours)
            #expect(loop.result(of: token(1)) == POLLIN)
            #expect(try child.reap() == .exited(0))
            #expect(throws: Errno.self) { try child.reap() }
            let seen = String(decoding: readAll(output[0]), as: UTF8.self)
            // ls itself opens one: the lowest free number, 4.
            #expect(seen == "0 1 2 3 4 5 me arg\nthrough the socket")
            close(ours, output[0], child.pidfd)
        }

        @Test func aProgramThatCannotRunIsAnErrorHere() throws {
            let before = openDescriptors()
            for path in ["/nonexistent/program", "/etc/passwd"] {
                #expect(throws: path.hasPrefix("/etc") ? Errno.accessDenied : Errno.noSuchFile) {
                    try Spawn.spawn(path, ["x"], environment: [], descriptors: [(source: 1, target: 3)])
                }
            }
            #expect(openDescriptors() < before + 50)
        }

        @Test func aKilledChildTellsItsSignal() throws {
            let child = try Spawn.spawn("/bin/sleep", ["sleep", "100"], environment: [], descriptors: [])
            try child.signal(SIGKILL)
            var ask = pollfd(fd: child.pidfd, events: Int16(POLLIN), revents: 0)
            #expect(poll(&ask, 1, 5000) == 1)
            let end = try child.reap()
            #expect(end == .killed(signal: SIGKILL) && end?.description == "signal 9 (SIGKILL)")
            #expect(throws: Errno(ESRCH)) { try child.signal(SIGTERM) }
            close(child.pidfd)
        }

        @Test func oneMemoryFileIsSeenThroughTwoMappingsAndKeepsItsSize() throws {
            let fd = try Memory.memfd("shared", size: 3 << 20)
            let a = try Memory.mapShared(fd, length: 3 << 20), b = try Memory.mapShared(fd, offset: 1 << 20, length: 1 << 20)
            a.storeBytes(of: 0xABCD, toByteOffset: (1 << 20) + 8, as: UInt32.self)
            #expect(b.load(fromByteOffset: 8, as: UInt32.self) == 0xABCD)
            #expect(ftruncate(fd, 1 << 20) == -1 && errno == EPERM)
            #expect(ftruncate(fd, 4 << 20) == -1 && errno == EPERM)
            #expect(try Memory.size(of: fd) == 3 << 20)
            Memory.unmap(a, 3 << 20)
            Memory.unmap(b, 1 << 20)
            close(fd)
            for alignment in [4096, 2 << 20] {
                let pages = try Memory.allocatePages(10_000, alignment: alignment)
                #expect(UInt(bitPattern: pages) % UInt(alignment) == 0 && pages.load(fromByteOffset: 9992, as: UInt64.self) == 0)
                Memory.unmap(pages, 10_000)
            }
        }

        @Test(arguments: backends) func signalsAreReadFromADescriptor(backend: LoopBackend) throws {
            // Directed at this thread, which alone has it blocked.
            let loop = try Loop(backend: backend)
            let fd = try Signals.descriptor(for: [SIGUSR2])
            #expect(try Signals.read(fd) == nil)
            loop.poll(fd, events: Int16(POLLIN), multishot: true, token: token(1))
            loop.wait(until: loop.now)
            #expect(loop.next() == nil)
            pthread_kill(pthread_self(), SIGUSR2)
            let seen = loop.collect(1)
            #expect(seen.first?.result == POLLIN && seen.first?.more == true)
            #expect(try Signals.read(fd) == Signals.Received(signal: SIGUSR2, pid: getpid()))
            #expect(try Signals.read(fd) == nil)
            loop.cancel(token(1))
            #expect(loop.result(of: token(1)) == -ECANCELED)
            close(fd)
            try Signals.unblock([SIGUSR2])
        }

        @Test func procTellsOfThisProcess() throws {
            let me = try #require(ProcessStat(pid: getpid()))
            #expect(me.residentBytes > 1 << 20 && me.threads >= 1)
            #expect(ProcessStat(pid: 0x3FFF_FFFF) == nil)
            #expect(try Spawn.executablePath().hasPrefix("/"))
            #expect(Spawn.environment.contains { $0.hasPrefix("PATH=") })
        }

        private func readAll(_ fd: Int32) -> [UInt8] {
            var all: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 4096)
            while case let n = read(fd, &buffer, 4096), n > 0 { all += buffer[..<n] }
            return all
        }
    }
}
