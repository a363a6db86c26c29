import CLinux
import Glibc
import LinuxIO
import Observe
import Primitives

/// What a process of ours sets for itself before it does anything.
package enum ProcessAttributes {
    package static func ofWorker(_ name: WorkerName) {
        // Orders come over the control socket. A terminal's or a system's stop goes to the whole group; the supervisor
        // alone decides in which order we end.
        for number in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_IGN) }
        // Payload files are for the user's other programs to read; everything else is ours alone.
        umask(name.role == .disk ? 0o022 : 0o077)
        raiseDescriptorLimit()
        cl_set_no_new_privileges()
        Spawn.setThreadName("\(name.role.program)\(name.index == 0 ? "" : ":\(name.index)")")
    }

    /// One descriptor per peer and per open file: the soft limit of 1024 is for select(2), which we do not use.
    package static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

/// The words of observability.log_level; the log has four severities, and its neighbours' names mean the nearest.
package enum LogLevel {
    package static func named(_ word: String) -> Log.Level {
        switch word {
        case "trace", "debug": .debug
        case "warning": .warning
        case "error", "critical": .error
        default: .info
        }
    }
}
