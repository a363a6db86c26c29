import CLinux
import Glibc
import LinuxIO
import Synchronization
import Testing

/// Each case confines one thread, which then ends: the process that runs the tests stays as it is.
extension SystemLayer {
    @Suite struct ConfinementTests {
        @Test(.enabled(if: Confinement.landlockVersion >= 3)) func filesOutsideAreOutOfReach() throws {
            try withFolder { folder in
                for name in ["open", "kept", "shut"] { mkdir("\(folder)/\(name)", 0o700) }
                for name in ["open/a", "kept/a", "shut/a"] { Descriptor.close(open("\(folder)/\(name)", O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)) }
                var confinement = Confinement(readable: ["\(folder)/open", "\(folder)/missing", "/dev/null"])
                confinement.writable = ["\(folder)/kept", "\(folder)/made"]
                confinement.folders = ["\(folder)/made"]
                let seen = try confined(confinement) {
                    [
                        Self.opening("\(folder)/open/a", O_RDONLY), Self.opening("\(folder)/open/a", O_WRONLY), Self.opening("\(folder)/shut/a", O_RDONLY),
                        Self.opening("\(folder)/kept/a", O_RDWR | O_TRUNC), Self.opening("\(folder)/kept/b", O_CREAT | O_WRONLY),
                        rename("\(folder)/kept/b", "\(folder)/kept/c") == 0 ? 0 : errno, Self.opening("\(folder)/made/a", O_CREAT | O_WRONLY),
                        Self.opening("\(folder)/open/b", O_CREAT | O_WRONLY), unlink("\(folder)/shut/a") == 0 ? 0 : errno,
                        Self.opening("/dev/null", O_RDONLY), Self.opening("/etc/passwd", O_RDONLY),
                    ]
                }
                #expect(seen == [0, EACCES, EACCES, 0, 0, 0, 0, EACCES, EACCES, 0, EACCES])
            }
        }

        /// What the disk worker does to files goes on: moves between folders are refused by a ruleset that does not name them.
        @Test(.enabled(if: Confinement.landlockVersion >= 4)) func withoutNetworkFilesStay() throws {
            try withFolder { folder in
                for name in ["a", "b"] { mkdir("\(folder)/\(name)", 0o700) }
                Descriptor.close(open("\(folder)/a/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0o600))
                let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                defer { Descriptor.close(listener) }
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
                var length = socklen_t(MemoryLayout<sockaddr_in>.size)
                try withUnsafeMutablePointer(to: &address) { p in
                    try p.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        try #require(bind(listener, $0, length) == 0 && listen(listener, 1) == 0 && getsockname(listener, $0, &length) == 0)
                    }
                }
                let early = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                defer { Descriptor.close(early) }
                let target = address
                var confinement = Confinement()
                confinement.usesTCP = false
                // Landlock alone first: it holds for a socket that was made before.
                confinement.refused = []
                let seen = try confined(confinement) {
                    var address = target
                    let connected = withUnsafePointer(to: &address) {
                        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(early, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
                    }
                    return [connected == 0 ? 0 : errno, rename("\(folder)/a/f", "\(folder)/b/f") == 0 ? 0 : errno]
                }
                #expect(seen == [EACCES, 0])
            }
        }

        @Test func refusedCallsSayPermission() throws {
            var confinement = Confinement()
            confinement.refused = [.system, .programs, .sockets, .rings]
            let seen = try confined(confinement) {
                var argv: [UnsafeMutablePointer<CChar>?] = [nil], error: Int32 = 0
                let ring = cl_ring_open(8, &error)
                return [
                    socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0) >= 0 ? 0 : errno, execve("/bin/true", &argv, &argv) == 0 ? 0 : errno,
                    ring == nil ? -error : 0, chroot("/") == 0 ? 0 : errno, access("/", R_OK) == 0 ? 0 : errno,
                ]
            }
            #expect(seen == [EPERM, EPERM, EPERM, EPERM, 0])
        }

        @Test(.enabled(if: Confinement.landlockVersion >= 6)) func othersAreNotSignalled() throws {
            let child = try Spawn.spawn("/bin/sleep", ["sleep", "60"], environment: [], descriptors: [])
            defer {
                try? child.signal(SIGKILL)
                waitpid(child.pid, nil, 0)
                Descriptor.close(child.pidfd)
            }
            #expect(try confined(Confinement()) { [kill(child.pid, SIGTERM) == 0 ? 0 : errno] } == [EPERM])
        }

        private static func opening(_ path: String, _ flags: Int32) -> Int32 {
            let fd = open(path, flags | O_CLOEXEC, 0o600)
            guard fd >= 0 else { return errno }
            Descriptor.close(fd)
            return 0
        }
    }
}

/// What `body` brings on a thread of its own that is confined.
private func confined(_ confinement: Confinement, _ body: @escaping @Sendable () -> [Int32]) throws -> [Int32] {
    let box = ConfinedRun(confinement, body)
    var thread = pthread_t()
    let start = pthread_create(
        &thread, nil,
        { raw in
            Unmanaged<ConfinedRun>.fromOpaque(raw!).takeUnretainedValue().run()
            return nil
        }, Unmanaged.passUnretained(box).toOpaque())
    try #require(start == 0)
    pthread_join(thread, nil)
    return try box.result.withLock { try $0.get() }
}

private final class ConfinedRun: Sendable {
    private let confinement: Confinement
    private let body: @Sendable () -> [Int32]
    let result = Mutex<Result<[Int32], Errno>>(.success([]))

    init(_ confinement: Confinement, _ body: @escaping @Sendable () -> [Int32]) { (self.confinement, self.body) = (confinement, body) }

    func run() {
        do throws(Errno) {
            _ = try confinement.apply(toAllThreads: false)
            let seen = body()
            result.withLock { $0 = .success(seen) }
        } catch {
            result.withLock { $0 = .failure(error) }
        }
    }
}
