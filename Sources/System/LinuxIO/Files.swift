import CLinux
import Glibc

/// Opening, asking about and renaming files: each call blocks, so a loop runs it inside ``Loop/work(token:_:)``.
package enum Files {
    /// O_DIRECT, which Glibc's import does not show.
    package static var direct: Int32 { cl_O_DIRECT }
    package static var keepSize: Int32 { cl_FALLOC_KEEP_SIZE }
    package static var punchHole: Int32 { cl_FALLOC_PUNCH_HOLE }
    package static var zeroRange: Int32 { cl_FALLOC_ZERO_RANGE }

    /// How a path may be resolved (openat2(2)).
    package struct Resolve: OptionSet, Sendable {
        package let rawValue: UInt64
        package init(rawValue: UInt64) { self.rawValue = rawValue }
        /// No component may be a symbolic link.
        package static let noSymbolicLinks = Resolve(rawValue: UInt64(CL_RESOLVE_NO_SYMBOLIC_LINKS))
        /// The path may not leave the directory, not even on the way.
        package static let beneath = Resolve(rawValue: UInt64(CL_RESOLVE_BENEATH))
        package static let noMagicLinks = Resolve(rawValue: UInt64(CL_RESOLVE_NO_MAGIC_LINKS))
        package static let noCrossDevice = Resolve(rawValue: UInt64(CL_RESOLVE_NO_CROSS_DEVICE))
        package static let inRoot = Resolve(rawValue: UInt64(CL_RESOLVE_IN_ROOT))
    }

    /// openat2 with O_CLOEXEC. ELOOP or EXDEV: the path broke a rule of `resolve`.
    package static func open(
        at directory: Int32 = AT_FDCWD, _ path: String, _ flags: Int32, mode: mode_t = 0, resolve: Resolve = []
    ) throws(Errno) -> Int32 {
        try checked(cl_openat2(directory, path, UInt64(UInt32(bitPattern: flags)), UInt32(mode), resolve.rawValue))
    }

    package struct Status: Hashable, Sendable {
        package let size: UInt64
        /// Bytes that occupy the disk: less than `size` for a sparse file.
        package let allocated: UInt64
        package let inode: UInt64, device: UInt64
        package let modifiedNanoseconds: Int64
        package let mode: UInt32
        package let links: UInt32
        /// What O_DIRECT wants of memory and of offsets and lengths; 0: refused, or the kernel (before 6.1) does not say.
        package let directMemoryAlignment: UInt32, directOffsetAlignment: UInt32
        package var isRegular: Bool { mode & S_IFMT == S_IFREG }
        package var isDirectory: Bool { mode & S_IFMT == S_IFDIR }
        package var isSymbolicLink: Bool { mode & S_IFMT == S_IFLNK }
    }

    /// Of the descriptor itself.
    package static func status(_ fd: Int32) throws(Errno) -> Status { try status(at: fd, "") }
    /// Of a path; a symbolic link's own status.
    package static func status(at directory: Int32 = AT_FDCWD, _ path: String) throws(Errno) -> Status {
        var raw = cl_file_status()
        try checked(cl_status(directory, path, &raw))
        return Status(
            size: raw.size, allocated: raw.allocated, inode: raw.inode, device: raw.device,
            modifiedNanoseconds: raw.modified_seconds &* 1_000_000_000 &+ Int64(raw.modified_nanoseconds),
            mode: raw.mode, links: raw.links,
            directMemoryAlignment: raw.direct_memory_alignment, directOffsetAlignment: raw.direct_offset_alignment)
    }

    /// The next offset from `offset` on that holds data; nil: only hole up to the end.
    package static func nextData(_ fd: Int32, from offset: UInt64) throws(Errno) -> UInt64? { try seek(cl_seek_data(fd, Int64(offset))) }
    /// The next hole (the end of the file counts as one); nil: `offset` is past the end.
    package static func nextHole(_ fd: Int32, from offset: UInt64) throws(Errno) -> UInt64? { try seek(cl_seek_hole(fd, Int64(offset))) }
    private static func seek(_ result: Int64) throws(Errno) -> UInt64? {
        if result == -Int64(ENXIO) { return nil }
        if result < 0 { throw Errno(Int32(-result)) }
        return UInt64(result)
    }

    /// With `replacing` false an existing target is EEXIST (EINVAL where the file system cannot promise that).
    package static func rename(
        at fromDirectory: Int32 = AT_FDCWD, _ from: String, to toDirectory: Int32 = AT_FDCWD, _ to: String, replacing: Bool = true
    ) throws(Errno) { try checked(cl_rename(fromDirectory, from, toDirectory, to, !replacing)) }

    package static func truncate(_ fd: Int32, to size: UInt64) throws(Errno) { try checkedErrno(ftruncate(fd, off_t(size))) }
    package static func allocate(_ fd: Int32, mode: Int32, offset: UInt64, length: UInt64) throws(Errno) {
        try checked(cl_fallocate(fd, mode, offset, length))
    }
    /// Makes a rename or a creation in this directory last through a power cut.
    package static func syncDirectory(_ path: String) throws(Errno) {
        let fd = try open(path, O_RDONLY | O_DIRECTORY)
        defer { Descriptor.close(fd) }
        try checkedErrno(fsync(fd))
    }

    /// Bytes an unprivileged user may still write, and the size of the file system.
    package static func space(_ fd: Int32) throws(Errno) -> (free: UInt64, total: UInt64) {
        var free: UInt64 = 0, total: UInt64 = 0, type: UInt64 = 0
        try checked(cl_file_system(fd, &free, &total, &type))
        return (free, total)
    }
}
