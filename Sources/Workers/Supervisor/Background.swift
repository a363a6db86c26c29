import Glibc
import LinuxIO
import Observe
import Primitives
import Supervision

/// Running without a terminal: the process that was called starts itself anew in a session of its own and waits until
/// that one is up. Nothing is forked: a copy of a process with threads is no place to run code in.
package enum Background {
    /// In the environment of the second process: the descriptor over which it tells the first.
    static let variable = "CCBTD_TELL"
    private static let tellDescriptor: Int32 = 3
    /// A start takes about a second; a minute is the ready limit of a worker and some restarts.
    private static let patience = TimeSpan.seconds(60)

    /// In the second process: leaves the caller's session, and gives what tells it how the start went.
    package static func enter(environment: [(String, String)]) -> (([WorkerName]) -> Void)? {
        guard let text = environment.last(where: { $0.0 == variable })?.1, let fd = Int32(text), fd == tellDescriptor else { return nil }
        unsetenv(variable)
        setsid()
        _ = fcntl(fd, F_SETFD, FD_CLOEXEC)
        return { missing in
            let line = missing.isEmpty ? "ready" : "running without \(missing.map(\.description).joined(separator: ", "))"
            _ = line.withCString { write(fd, $0, strlen($0)) }
            close(fd)
        }
    }

    /// In the first process: starts the second with the same words and reports how that went. The exit status.
    package static func start(arguments: [String], stateDirectory: String) throws(StartError) -> Int32 {
        try StateDirectory.make(stateDirectory)
        let log = stateDirectory + "/ccbtd.log"
        let out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard out >= 0 else { throw StartError("\(log): \(Errno.current)") }
        let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer {
            close(out)
            close(null)
        }
        let child: Child, answer: Int32
        do throws(Errno) {
            let (ours, theirs) = try Sockets.socketPair(.stream)
            defer { Descriptor.close(theirs) }
            answer = ours
            child = try Spawn.spawn(
                try Spawn.executablePath(), arguments + ["--foreground"], environment: Spawn.environment + ["\(variable)=\(tellDescriptor)"],
                descriptors: [(null, 0), (out, 1), (out, 2), (theirs, tellDescriptor)],
                // setsid() is refused to the leader of a group.
                ownGroup: false)
        } catch {
            throw StartError("cannot start in the background: \(error)", code: .environment)
        }
        defer { close(answer) }
        return report(child, answer, log: log)
    }

    private static func report(_ child: Child, _ answer: Int32, log: String) -> Int32 {
        let limit = Clock.monotonic() + patience
        while true {
            var polled = [pollfd(fd: answer, events: Int16(POLLIN), revents: 0)]
            let left = limit - Clock.monotonic()
            guard left > .zero else {
                tell("ccbtd is still starting (pid \(child.pid)); its log is \(log)")
                return ExitCode.environment.rawValue
            }
            guard poll(&polled, 1, Int32(left.milliseconds + 1)) > 0 else { continue }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let n = bytes.withUnsafeMutableBytes { read(answer, $0.baseAddress!, $0.count) }
            guard n <= 0 else {
                let line = String(decoding: bytes[0..<n], as: UTF8.self)
                if line != "ready" { tell("ccbtd: \(line); its log is \(log)") }
                return ExitCode.ordered.rawValue
            }
            return ended(child, log: log)
        }
    }

    /// It closed its end without a word: it is gone, or goes.
    private static func ended(_ child: Child, log: String) -> Int32 {
        var polled = [pollfd(fd: child.pidfd, events: Int16(POLLIN), revents: 0)]
        _ = poll(&polled, 1, 5000)
        do throws(Errno) {
            switch try child.reap() {
            case .exited(let code)?:
                tell("ccbtd did not start (exit \(code)): \(lastLine(of: log))")
                return code
            case let end?: tell("ccbtd did not start (\(end)); its log is \(log)")
            case nil: tell("ccbtd says nothing (pid \(child.pid)); its log is \(log)")
            }
        } catch {
            tell("ccbtd: \(error)")
        }
        return ExitCode.environment.rawValue
    }

    private static func lastLine(of path: String) -> String {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return path }
        defer { close(fd) }
        let end = lseek(fd, 0, Int32(SEEK_END)), from = max(0, end - 2048)
        var bytes = [UInt8](repeating: 0, count: 2048)
        let n = bytes.withUnsafeMutableBytes { pread(fd, $0.baseAddress!, $0.count, from) }
        return String(decoding: bytes[0..<max(0, n)], as: UTF8.self).split(separator: "\n").last.map(String.init) ?? path
    }

    static func tell(_ line: String) {
        let text = line + "\n"
        _ = text.withCString { write(2, $0, strlen($0)) }
    }
}

/// Bounds the log of a daemon that writes to a file of its own: one old part is kept beside it.
package enum LogFile {
    /// A line is about 100 bytes: some 300,000 of them, months of a healthy daemon.
    static let limit = 32 << 20

    /// Copies the file behind descriptor 2 to `path`.1 and empties it when it has grown over ``limit``. All processes of
    /// the run append to one open file, so it is emptied, not renamed; lines written between copy and cut are lost.
    package static func trim(path: String, limit: Int = limit) {
        var status = stat(), named = stat()
        guard fstat(2, &status) == 0, status.st_mode & S_IFMT == S_IFREG, Int(status.st_size) > limit,
            stat(path, &named) == 0, named.st_ino == status.st_ino, named.st_dev == status.st_dev
        else { return }
        let from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        let to = open(path + ".1", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        defer {
            if from >= 0 { close(from) }
            if to >= 0 { close(to) }
        }
        if from >= 0, to >= 0 {
            var offset: off_t = 0
            while offset < status.st_size, sendfile(to, from, &offset, 1 << 20) > 0 {}
        }
        ftruncate(2, 0)
    }
}
