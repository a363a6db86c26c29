import CLinux
import Glibc

/// A child process, known by number and by pidfd.
package struct Child: Sendable {
    package let pid: pid_t
    /// Readable (poll it) once the child has ended. CLOEXEC; close it after reaping.
    package let pidfd: Int32

    package enum End: Hashable, Sendable, CustomStringConvertible {
        case exited(Int32)
        case killed(signal: Int32)
        package var description: String {
            switch self {
            case .exited(let code): "exit code \(code)"
            case .killed(let signal): "signal \(signal) (\(Signals.name(signal)))"
            }
        }
    }

    /// Takes the child's end away from the kernel; nil while it runs. ECHILD when it was reaped before.
    package func reap() throws(Errno) -> End? {
        var exited = false
        var code: Int32 = 0
        return try checked(cl_pidfd_reap(pidfd, &exited, &code)) == 0 ? nil : exited ? .exited(code) : .killed(signal: code)
    }

    /// ESRCH when it has been reaped. Never hits another process, even when the number is in use again.
    package func signal(_ signal: Int32) throws(Errno) { try checked(cl_pidfd_send_signal(pidfd, signal)) }
}

package enum Spawn {
    /// Starts `program` (a path) with `arguments` (the first is its name) and exactly `environment` ("NAME=value").
    ///
    /// The child has 0, 1, 2 as here unless mapped, each mapping's source at its target number (0 ... 63; at most 16 of
    /// them), and no other descriptor. Its signal mask is empty and all dispositions are default. In its own process group,
    /// unless told otherwise, a terminal's interrupt reaches only the parent. Sources stay open here. A program that cannot
    /// be executed is an error here, not a child that ends.
    package static func spawn(
        _ program: String, _ arguments: [String], environment: [String], descriptors: [(source: Int32, target: Int32)],
        ownGroup: Bool = true
    ) throws(Errno) -> Child {
        precondition(!arguments.isEmpty && descriptors.count <= Int(CL_PASS_LIMIT))
        let map = descriptors.map { cl_mapping(source: $0.source, target: $0.target) }
        let argv = arguments.map { strdup($0) } + [nil], env = environment.map { strdup($0) } + [nil]
        defer { for p in argv + env { free(p) } }
        var pid: pid_t = 0
        var pidfd: Int32 = -1
        try checked(cl_spawn(program, argv, env, map, UInt32(map.count), ownGroup, &pid, &pidfd))
        return Child(pid: pid, pidfd: pidfd)
    }

    /// This process's environment in the form that ``spawn`` takes.
    package static var environment: [String] {
        var result: [String] = []
        var p = environ
        while let entry = p.pointee {
            result.append(String(cString: entry))
            p += 1
        }
        return result
    }

    /// The path of the running program, from /proc/self/exe.
    package static func executablePath() throws(Errno) -> String {
        var length = 0
        let path = String(unsafeUninitializedCapacity: 4096) { buffer in
            length = buffer.withMemoryRebound(to: CChar.self) { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
            return max(0, length)
        }
        guard length > 0 else { throw .current }
        return path
    }

    package static func setThreadName(_ name: String) { cl_set_thread_name(name) }
}
