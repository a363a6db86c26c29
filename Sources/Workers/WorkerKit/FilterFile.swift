import Filtering
import Glibc

extension AddressFilter {
    /// Reads a file that the session worker stored; nil when it is none. Blocks for some milliseconds.
    package init?(path: String) {
        let fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var status = stat()
        guard fstat(fd, &status) == 0, status.st_size <= Self.byteLimit else { return nil }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size)), count = 0
        while count < bytes.count {
            let n = bytes.withUnsafeMutableBytes { read(fd, $0.baseAddress! + count, $0.count - count) }
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return nil }
            count += n
        }
        self.init(decoding: bytes)
    }
}
