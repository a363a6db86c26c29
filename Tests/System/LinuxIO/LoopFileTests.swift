import CLinux
import Glibc
import LinuxIO
import Primitives
import Testing

extension SystemLayer {
    /// Reads, writes, syncs and allocations of files on both back-ends.
    @Suite struct LoopFileTests {
        @Test(arguments: backends) func filesAreWrittenSyncedAndReadBack(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            try withFolder { folder in
                let fd = try Files.open("\(folder)/a", O_RDWR | O_CREAT, mode: 0o600)
                let out = Buffer((0..<10_000).map { UInt8(truncatingIfNeeded: $0) }), back = Buffer(20_000)
                loop.write(fd, out.p, 10_000, offset: 5, token: token(1))
                #expect(loop.result(of: token(1)) == 10_000)
                loop.sync(fd, dataOnly: true, token: token(2))
                loop.sync(fd, dataOnly: false, token: token(3))
                #expect(loop.collect(2).map(\.result) == [0, 0])
                loop.read(fd, back.p, 20_000, offset: 0, token: token(4))
                #expect(loop.result(of: token(4)) == 10_005)
                #expect(Array(back.bytes(10_005)[5...]) == out.bytes(10_000))
                loop.read(fd, back.p, 10, offset: 20_000, token: token(5))
                #expect(loop.result(of: token(5)) == 0)
                let pieces = [Buffer([1, 2, 3]), Buffer([4, 5])]
                let vector = Vector([(pieces[0], 3), (pieces[1], 2)])
                loop.write(fd, vector: vector.p, count: 2, offset: 100, token: token(6))
                #expect(loop.result(of: token(6)) == 5)
                let halves = [Buffer(2), Buffer(3)]
                let into = Vector([(halves[0], 2), (halves[1], 3)])
                loop.read(fd, vector: into.p, count: 2, offset: 100, token: token(7))
                #expect(loop.result(of: token(7)) == 5 && halves[0].bytes(2) == [1, 2] && halves[1].bytes(3) == [3, 4, 5])
                loop.allocate(fd, mode: 0, offset: 0, length: 1 << 20, token: token(8))
                #expect(loop.result(of: token(8)) == 0)
                let status = try Files.status(fd)
                #expect(status.size == 1 << 20 && status.allocated >= 1 << 20 && status.isRegular)
                close(fd)
                let readOnly = try Files.open("\(folder)/a", O_RDONLY)
                loop.write(readOnly, out.p, 1, offset: 0, token: token(9))
                #expect(loop.result(of: token(9)) == -EBADF)
                close(readOnly)
            }
        }

        @Test(arguments: backends) func directReadsAndWritesUseRegisteredBuffersWhereAllowed(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            try withFolder { folder in
                guard let fd = try? Files.open("\(folder)/direct", O_RDWR | O_CREAT | Files.direct, mode: 0o600) else { return }  // refused by this file system
                let size = 1 << 16, memfd = try Memory.memfd("buffers", size: 2 * size)
                let pages = try Memory.mapShared(memfd, length: 2 * size)
                let registered = loop.registerBuffers(slots: 4)
                #expect(registered || backend == .epoll)
                let refusal = registered ? loop.setBuffer(2, pages, 2 * size) : .notSupported
                let index: Int32 = refusal == nil ? 2 : -1
                memset(pages, 0x5A, size)
                loop.write(fd, pages, size, offset: 4096, buffer: index, token: token(1))
                #expect(loop.result(of: token(1)) == Int32(size))
                loop.read(fd, pages + size, size, offset: 4096, buffer: index, token: token(2))
                #expect(loop.result(of: token(2)) == Int32(size) && memcmp(pages, pages + size, size) == 0)
                // An unaligned direct write is the caller's error where the device cares; never a wrong length.
                loop.write(fd, pages + 1, 100, offset: 3, token: token(3))
                #expect([-EINVAL, 100].contains(loop.result(of: token(3))))
                if index >= 0 {
                    #expect(loop.clearBuffer(2) == nil)
                    loop.read(fd, pages, 4096, offset: 0, buffer: 2, token: token(4))
                    #expect(loop.result(of: token(4)) == -EFAULT)
                }
                close(fd, memfd)
                Memory.unmap(pages, 2 * size)
            }
        }

        @Test func pathsStayBeneathTheirFolder() throws {
            try withFolder { folder in
                let root = try Files.open(folder, O_RDONLY | O_DIRECTORY)
                let fd = try Files.open(at: root, "in", O_RDWR | O_CREAT, mode: 0o600, resolve: [.beneath, .noSymbolicLinks])
                #expect(fcntl(fd, F_GETFD) & FD_CLOEXEC != 0)
                symlink("/etc", "\(folder)/link")
                #expect(throws: Errno.crossDevice) { try Files.open(at: root, "../x", O_RDONLY, resolve: .beneath) }
                #expect(throws: Errno.symbolicLinkLoop) { try Files.open(at: root, "link/passwd", O_RDONLY, resolve: .noSymbolicLinks) }
                #expect(throws: Errno.crossDevice) { try Files.open(at: root, "link/passwd", O_RDONLY, resolve: .beneath) }
                try Files.truncate(fd, to: 1 << 20)
                var byte: UInt8 = 1
                pwrite(fd, &byte, 1, 600_000)
                let data = try #require(try Files.nextData(fd, from: 0)), hole = try #require(try Files.nextHole(fd, from: 600_000))
                #expect(data <= 600_000 && hole > 600_000 && hole <= 1 << 20)
                #expect(try Files.nextData(fd, from: 1 << 20) == nil)
                try Files.rename(at: root, "in", to: root, "out", replacing: false)
                let other = try Files.open(at: root, "in", O_RDWR | O_CREAT, mode: 0o600)
                #expect(throws: Errno.exists) { try Files.rename(at: root, "in", to: root, "out", replacing: false) }
                #expect(try Files.status(at: root, "link").isSymbolicLink)
                let space = try Files.space(root)
                #expect(space.total >= space.free && space.total > 0)
                close(fd, other, root)
            }
        }
    }
}
