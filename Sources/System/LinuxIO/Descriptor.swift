import CLinux
import Glibc

/// A file descriptor with one owner, closed when the owner lets go of it.
///
/// The ``Loop`` takes raw numbers. **The rule of closing:** cancel what is pending on a descriptor, wait for every such
/// completion, then close. Closing earlier may let the number be used again while an old operation still holds it, and
/// an old completion would then be taken for one of the new connection.
package struct Descriptor: ~Copyable, Sendable {
    package let raw: Int32

    package init(owning raw: Int32) {
        precondition(raw >= 0, "not a descriptor")
        self.raw = raw
    }

    /// Gives the number up without closing it.
    package consuming func release() -> Int32 {
        let number = raw
        discard self
        return number
    }

    /// A second descriptor of the same open file, CLOEXEC.
    package func duplicate() throws(Errno) -> Descriptor { Descriptor(owning: try checkedErrno(fcntl(raw, F_DUPFD_CLOEXEC, 0))) }

    deinit { Descriptor.close(raw) }

    /// Closes a raw number. EINTR closes too on Linux, so it is never tried again; EBADF is a bug of ours.
    package static func close(_ raw: Int32) {
        if Glibc.close(raw) < 0 { precondition(errno != EBADF, "closed a descriptor that was not open") }
    }

    package static func setNonblocking(_ raw: Int32, _ on: Bool = true) throws(Errno) { try checked(cl_set_nonblocking(raw, on)) }
    package static func setCloseOnExec(_ raw: Int32, _ on: Bool = true) throws(Errno) { try checked(cl_set_close_on_exec(raw, on)) }
}
