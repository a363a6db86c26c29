import CLinux
import Glibc
import LinuxIO
import Observe
import Primitives
import Supervision

/// The folder of one daemon: its locks, pid file and control socket. At most one supervisor uses it, and none starts
/// workers while a worker of an earlier run still writes.
package final class StateDirectory {
    /// Where workers hold ``workersLock``: an flock lives until the last descriptor of its open file is closed, so it
    /// tells when the last of them is gone, however it ended.
    static let workersLockTarget: Int32 = 4
    /// Orphans finish within 5 s of their supervisor's end (protocol/lifecycle.md).
    static let orphanLimit = TimeSpan.milliseconds(5500)

    package let path: String
    private let lock: Int32
    let workersLock: Int32

    /// Makes the folder if it is missing (mode 0700) and takes its lock.
    package init(_ path: String) throws(StartError) {
        self.path = path
        try Self.make(path)
        lock = try Self.open(path + "/lock")
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let holder = Self.recordedPid(path).map { " (pid \($0))" } ?? ""
            throw StartError("\(path): another ccbtd\(holder) uses this state directory", code: .environment)
        }
        workersLock = try Self.open(path + "/workers.lock")
        Self.writeFile(path + "/ccbtd.pid", "\(getpid())\n")
    }

    /// Waits for workers of an earlier run to finish, and ends those that do not.
    package func awaitOrphans() throws(StartError) {
        let limit = Clock.monotonic() + Self.orphanLimit
        var told = false
        while flock(workersLock, LOCK_EX | LOCK_NB) != 0 {
            if !told { log(.info, "waiting for workers of an earlier run to finish") }
            told = true
            if Clock.monotonic() >= limit {
                for pid in orphans() {
                    log(.warning, "worker \(pid) of an earlier run does not finish: SIGKILL")
                    kill(pid, SIGKILL)
                }
                // A process in an uninterruptible wait keeps the lock; the service manager tries again later.
                if Clock.monotonic() >= limit + .seconds(2) { throw StartError("\(path): a worker of an earlier run does not end", code: .environment) }
            }
            usleep(50_000)
        }
    }

    /// Processes whose descriptor 4 is our lock file.
    private func orphans() -> [pid_t] {
        var mine = stat()
        guard fstat(workersLock, &mine) == 0, let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var found: [pid_t] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            var other = stat()
            guard let pid = pid_t(name), pid != getpid(), stat("/proc/\(pid)/fd/\(Self.workersLockTarget)", &other) == 0,
                other.st_dev == mine.st_dev, other.st_ino == mine.st_ino
            else { continue }
            found.append(pid)
        }
        return found
    }

    package var controlSocket: String { path + "/control.sock" }

    /// The end of the run: what only a running daemon has.
    package func leave() {
        unlink(controlSocket)
        unlink(path + "/ccbtd.pid")
    }

    static func make(_ path: String) throws(StartError) {
        // Parents as a service manager would make them; the last one is ours alone.
        var prefix = ""
        for part in path.split(separator: "/") {
            prefix += "/" + part
            if mkdir(prefix, 0o755) != 0, errno != EEXIST, errno != EROFS, errno != EACCES { throw StartError("\(prefix): \(Errno.current)", code: .environment) }
        }
        var status = stat()
        guard stat(path, &status) == 0 else { throw StartError("\(path): \(Errno.current)", code: .environment) }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw StartError("\(path): not a folder") }
        guard status.st_uid == geteuid() else { throw StartError("\(path): belongs to another user") }
        guard chmod(path, 0o700) == 0 else { throw StartError("\(path): \(Errno.current)", code: .environment) }
    }

    private static func open(_ path: String) throws(StartError) -> Int32 {
        let fd = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard fd >= 0 else { throw StartError("\(path): \(Errno.current)", code: .environment) }
        return fd
    }

    static func recordedPid(_ path: String) -> pid_t? {
        let fd = Glibc.open(path + "/ccbtd.pid", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: 32)
        let n = bytes.withUnsafeMutableBytes { read(fd, $0.baseAddress!, $0.count) }
        return pid_t(String(decoding: bytes.prefix(max(0, n)).prefix { $0 != 10 }, as: UTF8.self))
    }

    /// Whole or not at all: a reader never sees half a number.
    private static func writeFile(_ path: String, _ text: String) {
        let fresh = path + ".new"
        let fd = Glibc.open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard fd >= 0 else { return log(.warning, "\(path): \(Errno.current)") }
        let written = text.withCString { write(fd, $0, strlen($0)) }
        close(fd)
        guard written == text.utf8.count, rename(fresh, path) == 0 else { return log(.warning, "\(path): \(Errno.current)") }
    }
}
