import CLinux
import Glibc

/// What a process takes away from itself before it reads a byte of a stranger's: files, networks, system calls.
///
/// Files and TCP are Landlock's, which also holds for what io_uring does; system calls are seccomp's, which does not see into
/// a ring: a confined process therefore makes its ring before and can make no other. Nothing of it can be given back.
package struct Confinement: Sendable {
    /// Folders and files that may be read, and those that may be written as well; nil: files stay as they are.
    package var readable: [String]?
    package var writable: [String] = []
    /// Those of them to make first, where missing: a rule holds for what is there.
    package var folders: [String] = []
    /// TCP connections and listeners (UDP is not Landlock's).
    package var usesTCP = true
    package var refused: Calls = .system

    package struct Calls: OptionSet, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }
        /// Other processes' memory, mounts, namespaces, kernel modules, keys, clocks.
        package static let system = Calls(rawValue: UInt32(CL_CALLS_SYSTEM))
        /// Starting a program.
        package static let programs = Calls(rawValue: UInt32(CL_CALLS_PROGRAMS))
        /// Making, connecting, binding and accepting sockets. Those that are there go on.
        package static let sockets = Calls(rawValue: UInt32(CL_CALLS_SOCKETS))
        /// Another io_uring.
        package static let rings = Calls(rawValue: UInt32(CL_CALLS_RINGS))
    }

    package init(readable: [String]? = nil) { self.readable = readable }

    /// What holds after ``apply(toAllThreads:)``.
    package struct Outcome: Hashable, Sendable {
        /// 0: the kernel has none.
        package var landlock: Int
        package var seccomp: Bool
    }

    /// Files and TCP hold for this thread and those that it starts from now on: call it before any other thread runs.
    /// A kernel without the one or the other is no error.
    package func apply(toAllThreads: Bool = true) throws(Errno) -> Outcome {
        try checked(cl_set_no_new_privileges())
        for path in folders { mkdir(path, 0o700) }
        let rights = (readable ?? []).map { ($0, false) } + (readable == nil ? [] : writable.map { ($0, true) })
        let names = rights.map { strdup($0.0)! }
        defer { for name in names { free(name) } }
        let paths = zip(names, rights).map { cl_path_right(path: UnsafePointer($0), writes: $1.1) }
        let landlock = try checked(cl_confine_files(paths, UInt32(paths.count), usesTCP))
        let seccomp = cl_refuse_calls(refused.rawValue, toAllThreads)
        guard [0, -EINVAL, -ENOSYS, -EOPNOTSUPP].contains(seccomp) else { throw Errno(-seccomp) }
        return Outcome(landlock: Int(landlock), seccomp: seccomp == 0)
    }

    /// What the kernel has of Landlock; 0: nothing.
    package static var landlockVersion: Int { Int(cl_landlock_version()) }
}
