import CLinux
import Glibc

/// Memory outside Swift's heap: shared memfds and aligned private pages.
package enum Memory {
    /// A memfd of exactly `size` bytes that can neither grow nor shrink. CLOEXEC; the caller closes it.
    package static func memfd(_ name: String, size: Int) throws(Errno) -> Int32 {
        precondition(size > 0)
        return try checked(cl_memfd(name, UInt64(size)))
    }

    /// Maps `length` bytes of `fd` from `offset` (a multiple of 4096), shared with every other mapping of the same file.
    package static func mapShared(_ fd: Int32, offset: Int = 0, length: Int) throws(Errno) -> UnsafeMutableRawPointer {
        precondition(length > 0 && offset >= 0 && offset % 4096 == 0)
        var error: Int32 = 0
        guard let p = cl_map_shared(fd, UInt64(offset), length, &error) else { throw Errno(-error) }
        return p
    }

    /// Zeroed private pages at a multiple of `alignment` (a power of two, at least 4096); unmap with the same length.
    package static func allocatePages(_ length: Int, alignment: Int = 4096) throws(Errno) -> UnsafeMutableRawPointer {
        precondition(length > 0 && alignment >= 4096 && alignment & (alignment - 1) == 0)
        var error: Int32 = 0
        guard let p = cl_map_private(length, alignment, &error) else { throw Errno(-error) }
        return p
    }

    package static func unmap(_ p: UnsafeMutableRawPointer, _ length: Int) {
        let result = cl_unmap(p, length)
        precondition(result == 0, "unmapped what was not mapped")
    }

    /// The size of an open file: what a receiver of a memfd checks before it maps.
    package static func size(of fd: Int32) throws(Errno) -> Int {
        var status = stat()
        try checkedErrno(fstat(fd, &status))
        return Int(status.st_size)
    }
}
