import Glibc
import LinuxIO
import Primitives
import Settings

/// Reads ``StoredOptions``.
enum StoredSettings {
    /// What was not taken. A file that cannot be read is as none: the daemon starts with its configuration.
    static func apply(in stateDirectory: String, to settings: inout Settings) -> [String] {
        let path = "\(stateDirectory)/\(StoredOptions.fileName)"
        let fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard fd >= 0 else { return errno == ENOENT ? [] : ["\(path): \(Errno.current)"] }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: StoredOptions.byteLimit), count = 0
        while count < bytes.count {
            let n = bytes.withUnsafeMutableBytes { read(fd, $0.baseAddress! + count, $0.count - count) }
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { break }
            count += n
        }
        guard let text = String(validating: bytes[0..<count], as: UTF8.self) else { return ["\(path): not UTF-8 text"] }
        let pairs = StoredOptions.parse(text).filter { pair in
            // With an address that is none nothing would start.
            pair.key != "api.listen" || pair.value.split(separator: ",").allSatisfy { Endpoint($0) != nil }
        }
        return StoredOptions.apply(pairs, to: &settings).map(\.description)
    }
}
