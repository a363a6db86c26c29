import Control
import Glibc
import LinuxIO
import NIOCore
import NIOPosix
import Primitives
import Synchronization

/// A file of a torrent that is open for reading. It is opened below the torrent's folder, and no part of the way may be a link: a name
/// out of a torrent leads nowhere else.
final class TorrentFile: Sendable {
    /// Why bytes that the session promised cannot be read.
    enum Fault: Error {
        case gone, system(Int32)
        /// It ends before what was promised; the bytes that it has.
        case short(UInt64)
    }

    private let fd: Int32

    /// Blocking. `.gone` for what is not there.
    init(_ place: StreamFileAnswer) throws(Fault) {
        do throws(Errno) {
            let folder = try Files.open(place.folder, O_RDONLY | O_DIRECTORY)
            defer { Glibc.close(folder) }
            // A pipe in the file's place would hold the thread up.
            let fd = try Files.open(at: folder, place.path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, resolve: [.beneath, .noSymbolicLinks, .noMagicLinks])
            guard let status = try? Files.status(fd), status.isRegular else {
                Glibc.close(fd)
                throw Errno(EINVAL)
            }
            self.fd = fd
        } catch {
            throw error.code == ENOENT || error.code == ENOTDIR ? .gone : .system(error.code)
        }
        // What lies ahead may not have been written yet.
        posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM)
    }
    deinit { Glibc.close(fd) }

    /// Bytes of the file. `.gone` when it was moved to another disk or removed meanwhile: it is to be opened anew.
    private func length() throws(Fault) -> UInt64 {
        var status = stat()
        guard fstat(fd, &status) == 0, status.st_nlink > 0 else { throw .gone }
        return UInt64(status.st_size)
    }

    /// Blocking. `range`, not empty, is in the file, and its first 16 KiB can be read.
    func probe(_ range: Range<UInt64>) throws(Fault) {
        let length = try length()
        guard range.upperBound <= length else { throw .short(length) }
        _ = try read(range.lowerBound, min(16 << 10, range.count))
    }

    /// Blocking. `.gone` as above.
    func read(_ offset: UInt64, _ count: Int) throws(Fault) -> ByteBuffer {
        let length = try length()
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        var failure: Fault?
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { raw in
            var at = 0
            while at < count {
                let n = pread(fd, raw.baseAddress! + at, count - at, off_t(offset) + off_t(at))
                if n < 0, errno == EINTR { continue }
                if n <= 0 {
                    failure = n < 0 ? .system(errno) : .short(length)
                    break
                }
                at += n
            }
            return at
        }
        if let failure { throw failure }
        return buffer
    }
}

/// Reads of files on threads of their own: a disk that hangs holds up these, and those who read from it.
final class FileReads: Sendable {
    private let pool: NIOThreadPool

    init() {
        pool = NIOThreadPool(numberOfThreads: 4)
        pool.start()
    }
    func run<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T { try await pool.runIfActive { try work() } }
}
