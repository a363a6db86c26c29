import CLinux
import Glibc

/// What a system call answered. The environment's failure: retry, or tell the user; never the program's own bug.
package struct Errno: Error, Hashable, Sendable, CustomStringConvertible {
    /// Positive, as in <errno.h>.
    package let code: Int32
    @inlinable package init(_ code: Int32) { self.code = code }
    /// The thread's errno, right after a call that failed.
    package static var current: Errno { Errno(errno) }

    package static let operationNotPermitted = Errno(EPERM)
    package static let noSuchFile = Errno(ENOENT)
    package static let interrupted = Errno(EINTR)
    package static let inputOutput = Errno(EIO)
    package static let badDescriptor = Errno(EBADF)
    package static let tryAgain = Errno(EAGAIN)
    package static let outOfMemory = Errno(ENOMEM)
    package static let accessDenied = Errno(EACCES)
    package static let busy = Errno(EBUSY)
    package static let exists = Errno(EEXIST)
    package static let notADirectory = Errno(ENOTDIR)
    package static let isADirectory = Errno(EISDIR)
    package static let invalidArgument = Errno(EINVAL)
    package static let tooManyOpenFiles = Errno(EMFILE)
    package static let tooManyOpenFilesInSystem = Errno(ENFILE)
    package static let noSpace = Errno(ENOSPC)
    package static let readOnlyFileSystem = Errno(EROFS)
    package static let brokenPipe = Errno(EPIPE)
    package static let nameTooLong = Errno(ENAMETOOLONG)
    package static let symbolicLinkLoop = Errno(ELOOP)
    package static let notSupported = Errno(EOPNOTSUPP)
    package static let noSystemCall = Errno(ENOSYS)
    package static let addressInUse = Errno(EADDRINUSE)
    package static let addressNotAvailable = Errno(EADDRNOTAVAIL)
    package static let networkUnreachable = Errno(ENETUNREACH)
    package static let hostUnreachable = Errno(EHOSTUNREACH)
    package static let connectionRefused = Errno(ECONNREFUSED)
    package static let connectionReset = Errno(ECONNRESET)
    package static let timedOut = Errno(ETIMEDOUT)
    package static let canceled = Errno(ECANCELED)
    package static let quotaExceeded = Errno(EDQUOT)
    package static let crossDevice = Errno(EXDEV)
    package static let messageTooLong = Errno(EMSGSIZE)

    /// "ENOSPC: No space left on device".
    package var description: String {
        let text = String(unsafeUninitializedCapacity: 128) { buffer in
            buffer.withMemoryRebound(to: CChar.self) { characters in
                cl_error_text(code, characters.baseAddress!, characters.count)
            }
        }
        return text.isEmpty ? name : "\(name): \(text)"
    }

    /// "ENOSPC"; "errno 250" for a number without a name here.
    package var name: String {
        switch code {
        case EPERM: "EPERM"
        case ENOENT: "ENOENT"
        case ESRCH: "ESRCH"
        case EINTR: "EINTR"
        case EIO: "EIO"
        case ENXIO: "ENXIO"
        case E2BIG: "E2BIG"
        case ENOEXEC: "ENOEXEC"
        case EBADF: "EBADF"
        case ECHILD: "ECHILD"
        case EAGAIN: "EAGAIN"
        case ENOMEM: "ENOMEM"
        case EACCES: "EACCES"
        case EFAULT: "EFAULT"
        case EBUSY: "EBUSY"
        case EEXIST: "EEXIST"
        case EXDEV: "EXDEV"
        case ENODEV: "ENODEV"
        case ENOTDIR: "ENOTDIR"
        case EISDIR: "EISDIR"
        case EINVAL: "EINVAL"
        case ENFILE: "ENFILE"
        case EMFILE: "EMFILE"
        case ENOTTY: "ENOTTY"
        case ETXTBSY: "ETXTBSY"
        case EFBIG: "EFBIG"
        case ENOSPC: "ENOSPC"
        case ESPIPE: "ESPIPE"
        case EROFS: "EROFS"
        case EMLINK: "EMLINK"
        case EPIPE: "EPIPE"
        case EDOM: "EDOM"
        case ERANGE: "ERANGE"
        case EDEADLK: "EDEADLK"
        case ENAMETOOLONG: "ENAMETOOLONG"
        case ENOLCK: "ENOLCK"
        case ENOSYS: "ENOSYS"
        case ENOTEMPTY: "ENOTEMPTY"
        case ELOOP: "ELOOP"
        case ETIME: "ETIME"
        case EPROTO: "EPROTO"
        case EBADMSG: "EBADMSG"
        case EOVERFLOW: "EOVERFLOW"
        case EILSEQ: "EILSEQ"
        case ENOTSOCK: "ENOTSOCK"
        case EDESTADDRREQ: "EDESTADDRREQ"
        case EMSGSIZE: "EMSGSIZE"
        case EPROTOTYPE: "EPROTOTYPE"
        case ENOPROTOOPT: "ENOPROTOOPT"
        case EPROTONOSUPPORT: "EPROTONOSUPPORT"
        case EOPNOTSUPP: "EOPNOTSUPP"
        case EAFNOSUPPORT: "EAFNOSUPPORT"
        case EADDRINUSE: "EADDRINUSE"
        case EADDRNOTAVAIL: "EADDRNOTAVAIL"
        case ENETDOWN: "ENETDOWN"
        case ENETUNREACH: "ENETUNREACH"
        case ECONNABORTED: "ECONNABORTED"
        case ECONNRESET: "ECONNRESET"
        case ENOBUFS: "ENOBUFS"
        case EISCONN: "EISCONN"
        case ENOTCONN: "ENOTCONN"
        case ETIMEDOUT: "ETIMEDOUT"
        case ECONNREFUSED: "ECONNREFUSED"
        case EHOSTDOWN: "EHOSTDOWN"
        case EHOSTUNREACH: "EHOSTUNREACH"
        case EALREADY: "EALREADY"
        case EINPROGRESS: "EINPROGRESS"
        case ESTALE: "ESTALE"
        case EDQUOT: "EDQUOT"
        case ECANCELED: "ECANCELED"
        default: "errno \(code)"
        }
    }
}

/// A result of a shim (>= 0, or -errno), as a value or a thrown ``Errno``.
@discardableResult
package func checked(_ result: Int32) throws(Errno) -> Int32 {
    if result < 0 { throw Errno(-result) }
    return result
}

/// A result of a libc call (>= 0, or -1 with errno set).
@discardableResult
func checkedErrno(_ result: Int32) throws(Errno) -> Int32 {
    if result < 0 { throw Errno(errno) }
    return result
}
