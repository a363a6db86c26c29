import Glibc
import LinuxIO
import Pieces
import Primitives

/// The one way to the file system. Operations on the ring end as completions of their token; those marked blocking
/// run inside `Loop.work`. Every one passes the fault layer.
package final class FileOperations: @unchecked Sendable {
    package let loop: Loop
    package let faults: FaultLayer
    /// Completions that a fault made up, and operations that a fault holds back, by time. Loop thread only.
    private var made: [Completion] = []
    private var delayed: [(at: Instant, submit: () -> Void)] = []

    package init(loop: Loop, faults: FaultLayer) {
        self.loop = loop
        self.faults = faults
    }

    // MARK: On the ring

    func read(_ fd: Int32, _ p: UnsafeMutableRawPointer, _ n: Int, offset: UInt64, buffer: Int32, token: Token) {
        guard faults.isActive else { return loop.read(fd, p, n, offset: offset, buffer: buffer, token: token) }
        pass(.read, n, token) { [loop] n in loop.read(fd, p, n, offset: offset, buffer: buffer, token: token) }
    }
    func write(_ fd: Int32, _ p: UnsafeRawPointer, _ n: Int, offset: UInt64, buffer: Int32, token: Token) {
        guard faults.isActive else { return loop.write(fd, p, n, offset: offset, buffer: buffer, token: token) }
        pass(.write, n, token) { [loop] n in loop.write(fd, p, n, offset: offset, buffer: buffer, token: token) }
    }
    func sync(_ fd: Int32, token: Token) {
        guard faults.isActive else { return loop.sync(fd, dataOnly: true, token: token) }
        pass(.sync, 0, token) { [loop] _ in loop.sync(fd, dataOnly: true, token: token) }
    }

    private func pass(_ operation: FaultLayer.Operation, _ n: Int, _ token: Token, _ submit: @escaping (Int) -> Void) {
        switch faults.next(operation) {
        case nil: submit(n)
        case .short:
            // Half, in whole sectors, as a device would.
            let half = n / 2 & ~511
            if n <= 1 { submit(n) } else { submit(half > 0 ? half : n / 2) }
        case .lost: made.append(Completion(token: token, result: Int32(n), more: false))
        case .fails(let code): made.append(Completion(token: token, result: -code.code, more: false))
        case .slow(let ms): delayed.append((loop.now + .milliseconds(ms), { submit(n) }))
        }
    }

    /// Completions that never saw the kernel; submits what was held back long enough.
    func takeMade(now: Instant) -> [Completion] {
        if !delayed.isEmpty {
            let due = delayed.filter { $0.at <= now }
            delayed.removeAll { $0.at <= now }
            for one in due { one.submit() }
        }
        if made.isEmpty { return [] }
        defer { made.removeAll() }
        return made
    }
    /// When ``takeMade(now:)`` has something to do.
    var deadline: Instant { made.isEmpty ? delayed.map(\.at).min() ?? .never : .zero }

    // MARK: Blocking

    /// A folder to resolve under. The caller closes it.
    func openFolder(_ path: String) throws(Errno) -> Int32 {
        _ = try faults.enter(.open)
        return try Files.open(path, O_PATH_ | O_DIRECTORY)
    }
    /// A file under `folder`; no component of the path may be a link, nor lead out.
    func open(under folder: Int32, _ path: String, _ flags: Int32, mode: mode_t = 0o644) throws(Errno) -> Int32 {
        _ = try faults.enter(.open)
        return try Files.open(at: folder, path, flags, mode: flags & O_CREAT != 0 ? mode : 0, resolve: [.beneath, .noSymbolicLinks, .noMagicLinks])
    }
    func open(_ path: String, _ flags: Int32, mode: mode_t = 0) throws(Errno) -> Int32 {
        _ = try faults.enter(.open)
        return try Files.open(path, flags, mode: mode)
    }
    func close(_ fd: Int32) { Descriptor.close(fd) }

    func status(_ fd: Int32) throws(Errno) -> Files.Status {
        _ = try faults.enter(.stat)
        return try Files.status(fd)
    }
    func status(under folder: Int32, _ path: String) throws(Errno) -> Files.Status {
        _ = try faults.enter(.stat)
        return try Files.status(at: folder, path)
    }
    func status(_ path: String) throws(Errno) -> Files.Status {
        _ = try faults.enter(.stat)
        return try Files.status(path)
    }
    func nextData(_ fd: Int32, from offset: UInt64) throws(Errno) -> UInt64? { try Files.nextData(fd, from: offset) }
    func nextHole(_ fd: Int32, from offset: UInt64) throws(Errno) -> UInt64? { try Files.nextHole(fd, from: offset) }
    func space(_ fd: Int32) throws(Errno) -> (free: UInt64, total: UInt64) {
        _ = try faults.enter(.stat)
        return try Files.space(fd)
    }

    func truncate(_ fd: Int32, to size: UInt64) throws(Errno) {
        if try faults.enter(.allocate) { return }
        try Files.truncate(fd, to: size)
    }
    func allocate(_ fd: Int32, length: UInt64) throws(Errno) {
        if try faults.enter(.allocate) { return }
        try Files.allocate(fd, mode: 0, offset: 0, length: length)
    }
    /// Gives the blocks of `range` back; it reads as zeros then.
    func punch(_ fd: Int32, _ range: Range<UInt64>) throws(Errno) {
        if try faults.enter(.allocate) { return }
        // FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
        try Files.allocate(fd, mode: 0x03, offset: range.lowerBound, length: range.upperBound - range.lowerBound)
    }
    func readAll(_ fd: Int32, _ p: UnsafeMutableRawPointer, _ n: Int, offset: UInt64) throws(Errno) -> Int {
        _ = try faults.enter(.read)
        var done = 0
        while done < n {
            let r = pread(fd, p + done, n - done, off_t(offset) + off_t(done))
            if r < 0 {
                if errno == EINTR { continue }
                throw Errno.current
            }
            if r == 0 { break }
            done += r
        }
        return done
    }
    func writeAll(_ fd: Int32, _ p: UnsafeRawPointer, _ n: Int, offset: UInt64) throws(Errno) {
        if try faults.enter(.write) { return }
        var done = 0
        while done < n {
            let r = pwrite(fd, p + done, n - done, off_t(offset) + off_t(done))
            if r < 0 {
                if errno == EINTR { continue }
                throw Errno.current
            }
            if r == 0 { throw Errno.inputOutput }
            done += r
        }
    }
    func syncNow(_ fd: Int32) throws(Errno) {
        if try faults.enter(.sync) { return }
        if fsync(fd) < 0 { throw Errno.current }
    }

    /// Opens the folder that `path` (under `folder`) stands in, and makes it when `creating`. The caller closes it.
    func openParent(under folder: Int32, _ path: String, creating: Bool) throws(Errno) -> (fd: Int32, name: String) {
        let components = path.split(separator: "/").map(String.init)
        var at = try Files.open(at: folder, ".", O_PATH_ | O_DIRECTORY)
        for component in components.dropLast() {
            do throws(Errno) {
                if creating {
                    _ = try faults.enter(.mkdir)
                    if mkdirat(at, component, 0o755) < 0, errno != EEXIST { throw Errno.current }
                }
                let next = try Files.open(at: at, component, O_PATH_ | O_DIRECTORY, resolve: [.beneath, .noSymbolicLinks, .noMagicLinks])
                Descriptor.close(at)
                at = next
            } catch {
                Descriptor.close(at)
                throw error
            }
        }
        return (at, components.last ?? "")
    }
    /// Makes a folder and those above it.
    func makeFolders(_ path: String) throws(Errno) {
        _ = try faults.enter(.mkdir)
        var so = path.hasPrefix("/") ? "" : "."
        for component in path.split(separator: "/") {
            so += "/" + component
            if mkdir(so, 0o755) < 0, errno != EEXIST, errno != EISDIR { throw Errno.current }
        }
    }
    func unlink(_ folder: Int32, _ name: String, isFolder: Bool = false) throws(Errno) {
        if try faults.enter(.unlink) { return }
        if unlinkat(folder, name, isFolder ? AT_REMOVEDIR : 0) < 0 { throw Errno.current }
    }
    /// Does not replace.
    func rename(_ from: Int32, _ old: String, _ to: Int32, _ new: String) throws(Errno) {
        if try faults.enter(.rename) { return }
        try Files.rename(at: from, old, to: to, new, replacing: false)
    }
    func symlink(_ target: String, _ folder: Int32, _ name: String) throws(Errno) {
        _ = try faults.enter(.open)
        if symlinkat(target, folder, name) < 0 { throw Errno.current }
    }
    func makeExecutable(_ fd: Int32) throws(Errno) {
        _ = try faults.enter(.open)
        if fchmod(fd, 0o755) < 0 { throw Errno.current }
    }
}

/// O_PATH needs _GNU_SOURCE, which Glibc's import does not have.
let O_PATH_: Int32 = 0o10000000

extension DiskFault {
    /// `what`: "write disk/file at 4096".
    package init(errno code: Errno, _ what: String) {
        let kind: FaultKind
        switch code.code {
        case ENOSPC, EDQUOT: kind = .full
        case EROFS: kind = .readOnly
        case EACCES, EPERM, ELOOP, EXDEV, ENAMETOOLONG, EISDIR, ENOTDIR, EILSEQ, EFBIG, ETXTBSY, EINVAL: kind = .permission
        case ENOENT, ESTALE: kind = .missing
        case EMFILE, ENFILE, ENOMEM, EAGAIN, EINTR, ECANCELED: kind = .busy
        case EEXIST: kind = .pathConflict
        default: kind = .io
        }
        self.init(kind, "\(what): \(code)")
    }
}
