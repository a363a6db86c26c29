import Foundation
import Glibc
import Primitives

/// The stored .torrent files: `torrents/<info-hash>.torrent` in the state directory, written whole or not at all. A magnet
/// without metadata has a `.magnet` file of two lines instead: the URI and the save path.
package struct StoredTorrents: Sendable {
    package let folder: String

    package struct WriteFailure: Error, CustomStringConvertible {
        let path: String, code: Int32
        package var description: String { "\(path): \(String(cString: strerror(code)))" }
    }

    package enum Content: Sendable, Hashable {
        case torrent([UInt8])
        case magnet(String, savePath: String)
        var bytes: [UInt8] {
            switch self {
            case .torrent(let bytes): bytes
            case .magnet(let uri, let savePath): Array("\(uri)\n\(savePath)\n".utf8)
            }
        }
        var suffix: String {
            switch self {
            case .torrent: ".torrent"
            case .magnet: ".magnet"
            }
        }
    }

    package init(stateDirectory: String) throws(WriteFailure) {
        folder = stateDirectory + "/torrents"
        if mkdir(folder, 0o700) != 0, errno != EEXIST { throw WriteFailure(path: folder, code: errno) }
    }

    package func path(_ hash: InfoHash) -> String { "\(folder)/\(hash.hex).torrent" }
    private func magnetPath(_ hash: InfoHash) -> String { "\(folder)/\(hash.hex).magnet" }

    /// Writes all of them; on return they survive a power cut. On a throw none of the names was changed but those that
    /// had been renamed already, and a later write of the same name replaces those.
    package func write(_ files: [(InfoHash, Content)]) throws(WriteFailure) {
        guard !files.isEmpty else { return }
        var open: [(fd: Int32, from: String, to: String)] = []
        defer {
            for file in open {
                close(file.fd)
                unlink(file.from)
            }
        }
        for (hash, content) in files {
            let to = "\(folder)/\(hash.hex)\(content.suffix)", from = to + ".new"
            let fd = Glibc.open(from, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
            guard fd >= 0 else { throw WriteFailure(path: from, code: errno) }
            open.append((fd, from, to))
            try writeAll(fd, content.bytes, from)
            // Starts the write-back without waiting, so that the syncs below find one journal transaction for all of
            // the files instead of making one each.
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)
        }
        for file in open where fdatasync(file.fd) != 0 { throw WriteFailure(path: file.from, code: errno) }
        while let file = open.first {
            if rename(file.from, file.to) != 0 { throw WriteFailure(path: file.to, code: errno) }
            close(file.fd)
            open.removeFirst()
        }
        try syncFolder()
    }

    private func writeAll(_ fd: Int32, _ bytes: [UInt8], _ path: String) throws(WriteFailure) {
        var at = 0
        while at < bytes.count {
            let n = bytes.withUnsafeBytes { Glibc.write(fd, $0.baseAddress! + at, $0.count - at) }
            if n < 0 {
                if errno == EINTR { continue }
                throw WriteFailure(path: path, code: errno)
            }
            at += n
        }
    }

    private func syncFolder() throws(WriteFailure) {
        let fd = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard fd >= 0 else { throw WriteFailure(path: folder, code: errno) }
        defer { close(fd) }
        if fsync(fd) != 0 { throw WriteFailure(path: folder, code: errno) }
    }

    /// What is not there needs no removal; any other failure leaves a file that a later start removes.
    package func remove(_ hashes: [InfoHash]) {
        for hash in hashes {
            unlink(path(hash))
            unlink(magnetPath(hash))
        }
    }
    /// The link of a magnet without metadata.
    package func magnet(_ hash: InfoHash) -> String? {
        // A link is at most 64 KiB, a path 4 KiB.
        Self.read(magnetPath(hash), limit: 128 << 10).flatMap { String(decoding: $0, as: UTF8.self).split(separator: "\n").first.map(String.init) }
    }

    /// A magnet that became a torrent.
    package func removeMagnet(_ hash: InfoHash) { unlink(magnetPath(hash)) }

    /// The whole file, at most `limit` bytes; nil when it is not there, cannot be read or is longer.
    package func read(_ hash: InfoHash, limit: Int = 40 << 20) -> [UInt8]? { Self.read(path(hash), limit: limit) }

    /// Part of the file; nil unless all of it could be read.
    package func read(_ hash: InfoHash, offset: Int, count: Int) -> [UInt8]? {
        let fd = Glibc.open(path(hash), O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, n in n = max(0, pread(fd, buffer.baseAddress!, count, off_t(offset))) }
        return bytes.count == count ? bytes : nil
    }

    static func read(_ path: String, limit: Int) -> [UInt8]? {
        let fd = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var status = stat()
        guard fstat(fd, &status) == 0, Int(status.st_size) <= limit else { return nil }
        let size = Int(status.st_size)
        let bytes = [UInt8](unsafeUninitializedCapacity: max(size, 1)) { buffer, n in
            while n < size {
                let got = Glibc.read(fd, buffer.baseAddress! + n, size - n)
                if got < 0, errno == EINTR { continue }
                if got <= 0 { break }
                n += got
            }
        }
        return bytes.count == size ? bytes : nil
    }

    /// Info-hashes with a stored file, and magnets, in the order of their names.
    package func list() -> (torrents: [InfoHash], magnets: [InfoHash]) {
        var torrents: [InfoHash] = [], magnets: [InfoHash] = []
        for name in ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted() {
            if name.hasSuffix(".new") { unlink("\(folder)/\(name)") }
            if name.hasSuffix(".torrent"), let hash = InfoHash(hex: name.dropLast(8)) { torrents.append(hash) }
            if name.hasSuffix(".magnet"), let hash = InfoHash(hex: name.dropLast(7)) { magnets.append(hash) }
        }
        return (torrents, magnets)
    }

    package func readMagnet(_ hash: InfoHash) -> (uri: String, savePath: String)? {
        guard let bytes = Self.read(magnetPath(hash), limit: 64 << 10) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        return lines.count == 2 ? (String(lines[0]), String(lines[1])) : nil
    }
}
