import CLinux
import Control
import Foundation
import Glibc

/// Starts `ccbtd` and waits until it answers.
package struct DaemonProcess {
    package let pid: pid_t
    private let logPath: String
    /// Bytes that stood in the log before this run.
    private let logStart: Int

    /// `ccbtd` beside this program.
    package static func program() throws -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let n = readlink("/proc/self/exe", &buffer, Int(PATH_MAX))
        guard n > 0 else { throw Failure(.failed, "cannot read /proc/self/exe: is /proc mounted?") }
        let own = String(decoding: buffer[..<n].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let path = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("ccbtd").path
        guard access(path, X_OK) == 0 else {
            throw Failure(.failed, "no program \(path); the programs of ccbt must stand in one folder")
        }
        return path
    }

    package enum Life {
        /// Goes on after us, in a session of its own.
        case independent
        /// Gets SIGTERM when we die, however that happens.
        case withUs
    }

    package static func start(
        stateDirectory: String, arguments: [String], environment: [(String, String)], life: Life
    ) throws -> DaemonProcess {
        let program = try program()
        try createPrivateFolder(stateDirectory)
        let logPath = stateDirectory + "/log"
        let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard log >= 0 else { throw Failure(.failed, "cannot write \(logPath): \(String(cString: strerror(errno)))") }
        defer { close(log) }
        let logStart = Int(lseek(log, 0, SEEK_END))

        var variables = ProcessInfo.processInfo.environment
        for (key, value) in environment { variables[key] = value }
        let daemon = [program, "--foreground", "--state-dir", stateDirectory] + arguments
        let argv = life == .independent ? daemon : ["/proc/self/exe", tetherOption, String(getpid())] + daemon

        var actions = posix_spawn_file_actions_t(), attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, log, 1)
        posix_spawn_file_actions_adddup2(&actions, log, 2)
        // A session of its own (POSIX_SPAWN_SETSID) in both cases: Ctrl-C must reach us alone, who pass it on once.
        posix_spawnattr_setflags(&attributes, 0x80)

        var pid: pid_t = 0
        let result = withCStrings(argv) { arguments in
            withCStrings(variables.map { "\($0.key)=\($0.value)" }) { posix_spawn(&pid, argv[0], &actions, &attributes, arguments, $0) }
        }
        guard result == 0 else { throw Failure(.failed, "cannot start \(program): \(String(cString: strerror(result)))") }
        return DaemonProcess(pid: pid, logPath: logPath, logStart: logStart)
    }

    /// First argument of the process between us and a tethered daemon: it asks for SIGTERM at our death, then becomes
    /// the daemon. Only the process itself can ask (prctl), and the wish survives exec.
    private static let tetherOption = "--exec-tethered-to"

    /// Never returns in that process; does nothing in any other.
    package static func becomeDaemonIfAsked(_ arguments: [String]) {
        guard arguments.count > 3, arguments[1] == tetherOption, let parent = Int32(arguments[2]) else { return }
        let PR_SET_PDEATHSIG: Int32 = 1
        _ = cl_prctl(PR_SET_PDEATHSIG, UInt(SIGTERM), 0, 0, 0)
        // The parent may have died before the wish was heard.
        guard getppid() == parent else { exit(ExitStatus.failed.rawValue) }
        withCStrings(Array(arguments[3...])) { _ = execv(arguments[3], $0) }
        Terminal.error("cannot start \(arguments[3]): \(String(cString: strerror(errno)))")
        exit(ExitStatus.failed.rawValue)
    }

    /// 0700: who can reach the control socket can do everything.
    static func createPrivateFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            let reason = access(path, F_OK) == 0 ? "it is no folder" : String(cString: strerror(errno))
            throw Failure(.failed, "cannot make the state folder \(path): \(reason)")
        }
    }

    /// A connection once the daemon answers `version`. Throws when it ended, with the last line that it logged.
    /// `interrupted` true gives up.
    package func waitUntilReady(_ global: GlobalOptions, seconds: Double = 30, interrupted: () -> Bool = { false }) throws -> ControlClient {
        let deadline = Date(timeIntervalSinceNow: seconds)
        while Date() < deadline, !interrupted() {
            if let status = exitStatus() { throw failure(status) }
            if let client = try? global.connect() {
                let left = max(0.05, min(1, deadline.timeIntervalSinceNow))
                if (try? client.call(ControlMethods.Version.self, Empty(), seconds: left)) != nil { return client }
            }
            usleep(10_000)
        }
        if interrupted() { throw Failure(.failed, "interrupted") }
        throw Failure(.temporary, "the daemon does not answer after \(Int(seconds)) s; its log is \(logPath)" + (lastLine.map { ": " + $0 } ?? ""))
    }

    /// nil while it runs; else the exit status, or 128 + the signal that ended it.
    package func exitStatus() -> Int32? {
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
        return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + (status & 0x7F)
    }

    package func failure(_ status: Int32) -> Failure {
        let why = lastLine ?? (status > 128 ? "signal \(status - 128)" : "exit status \(status)")
        return Failure(status == ExitStatus.configuration.rawValue ? .configuration : .failed, "the daemon ended: \(why)")
    }

    /// SIGTERM, up to `seconds` for the workers to drain, then SIGKILL. Returns the exit status.
    @discardableResult
    package func stop(seconds: Double = 10) -> Int32 {
        kill(pid, SIGTERM)
        let deadline = Date(timeIntervalSinceNow: seconds)
        while Date() < deadline {
            if let status = exitStatus() { return status }
            usleep(10_000)
        }
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return 128 + SIGKILL
    }

    /// The last line of this run's log that tells of a warning or worse, else the last line at all, without its time stamp.
    package var lastLine: String? {
        guard let file = FileHandle(forReadingAtPath: logPath) else { return nil }
        defer { try? file.close() }
        let end = (try? file.seekToEnd()) ?? 0
        try? file.seek(toOffset: UInt64(max(logStart, Int(end) - 64 << 10)))
        let lines = String(decoding: (try? file.readToEnd()) ?? Data(), as: UTF8.self).split(separator: "\n")
        func severe(_ line: Substring) -> Bool { [" error ", " critical "].contains { line.prefix(48).contains($0) } }
        guard let line = lines.last(where: severe) ?? lines.last else { return nil }
        let words = line.split(separator: " ", maxSplits: 1)
        return words.count == 2 && words[0].contains("T") && words[0].hasSuffix("Z") ? String(words[1]) : String(line)
    }
}

private func withCStrings<T>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> T) -> T {
    let pointers = strings.map { strdup($0) }
    defer { for p in pointers { free(p) } }
    return body(pointers + [nil])
}
