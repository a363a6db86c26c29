import CZip
import Control
import Filtering
import Glibc
import LinuxIO
import Primitives

/// Reads every list, merges them, and stores the result for the workers. Blocks: runs on the pool.
struct FilterLoad: Sendable {
    struct Source: Sendable {
        /// What the user calls it: a path or a URL.
        let name: String
        let path: String
        let isFetched: Bool
    }
    struct Outcome: Sendable {
        var filter: AddressFilter
        var lists: [FilterListRow]
        var milliseconds: UInt64
        var lookupNanoseconds: Double
        /// Why the result could not be stored; empty: it is.
        var failure: String
    }

    let sources: [Source]
    let ranges: [String]
    let mode: AddressFilter.Mode
    /// Where the result goes.
    let compiled: String

    func run() -> Outcome {
        let begin = Self.nanoseconds()
        var builder = RangeBuilder(), lists: [FilterListRow] = []
        if !ranges.isEmpty {
            let list = FilterList(ranges.joined(separator: "\n"))
            builder.add(list.ranges)
            lists.append(Self.row("ranges", list))
        }
        for source in sources {
            switch Self.read(source.path) {
            case .failure(let why):
                // A list that was never fetched is not missing, but due.
                lists.append(FilterListRow(source: source.name, error: source.isFetched && why.isAbsent ? "not fetched yet" : why.text))
            case .success(let (bytes, modified)):
                let list = bytes.withUnsafeBytes { FilterList($0) }
                builder.add(list.ranges)
                var row = Self.row(source.name, list)
                row.modified = modified
                if list.ranges.count == 0 { row.error = "no address could be read" }
                lists.append(row)
            }
        }
        let filter = AddressFilter(mode: mode, ranges: AddressRanges(builder))
        let failure = Self.store(filter.encoded(), compiled)
        return Outcome(
            filter: filter, lists: lists, milliseconds: (Self.nanoseconds() - begin) / 1_000_000, lookupNanoseconds: Self.lookupTime(filter.ranges),
            failure: failure)
    }

    private static func row(_ name: String, _ list: FilterList) -> FilterListRow {
        FilterListRow(
            source: name, lines: list.lines, ranges: list.ranges.count, malformedCount: list.malformedCount,
            malformed: list.malformed.map { .init(line: $0.line, text: $0.text) })
    }

    struct Unreadable: Error {
        let text: String
        var isAbsent = false
    }

    /// The bytes of a list, inflated, and when it was changed.
    private static func read(_ path: String) -> Result<([UInt8], UInt64), Unreadable> {
        let fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard fd >= 0 else { return .failure(Unreadable(text: "\(Errno.current)", isAbsent: errno == ENOENT)) }
        defer { close(fd) }
        guard let status = try? Files.status(fd), status.isRegular else { return .failure(Unreadable(text: "not a regular file")) }
        guard status.size <= UInt64(FilterList.byteLimit) else { return .failure(Unreadable(text: "larger than \(FilterList.byteLimit >> 20) MiB")) }
        let size = Int(status.size)
        var bytes = [UInt8](repeating: 0, count: size), count = 0
        while count < size {
            let n = bytes.withUnsafeMutableBytes { Glibc.read(fd, $0.baseAddress! + count, size - count) }
            if n < 0, errno == EINTR { continue }
            guard n >= 0 else { return .failure(Unreadable(text: "\(Errno.current)")) }
            if n == 0 { break }
            count += n
        }
        bytes.removeLast(size - count)
        let modified = UInt64(max(0, status.modifiedNanoseconds / 1_000_000_000))
        guard bytes.starts(with: [0x1F, 0x8B]) else { return .success((bytes, modified)) }
        var out: UnsafeMutablePointer<UInt8>?, inflated = 0
        switch Int(czip_gunzip(bytes, bytes.count, FilterList.byteLimit, &out, &inflated)) {
        case Int(CZIP_DONE):
            defer { free(out) }
            return .success((Array(UnsafeBufferPointer(start: out, count: inflated)), modified))
        case Int(CZIP_TOO_LARGE): return .failure(Unreadable(text: "larger than \(FilterList.byteLimit >> 20) MiB when inflated"))
        case Int(CZIP_NO_MEMORY): return .failure(Unreadable(text: "no memory to inflate it"))
        default: return .failure(Unreadable(text: "the gzip data is damaged"))
        }
    }

    /// Empty when it is stored. Readers see the old file or the new one, whole.
    private static func store(_ bytes: [UInt8], _ path: String) -> String {
        let folder = path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)
        if mkdir(String(folder), 0o700) != 0, errno != EEXIST { return "\(folder): \(Errno.current)" }
        let part = path + ".new"
        let fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard fd >= 0 else { return "\(part): \(Errno.current)" }
        var at = 0
        while at < bytes.count {
            let n = bytes.withUnsafeBytes { write(fd, $0.baseAddress! + at, bytes.count - at) }
            if n < 0, errno == EINTR { continue }
            guard n > 0 else {
                let why = "\(part): \(Errno.current)"
                close(fd)
                unlink(part)
                return why
            }
            at += n
        }
        close(fd)
        return rename(part, path) == 0 ? "" : "\(path): \(Errno.current)"
    }

    /// The mean over 65,536 addresses from all over the space: some milliseconds.
    private static func lookupTime(_ ranges: AddressRanges) -> Double {
        var random = SeededRandom(seed: 1), found = 0
        let count = 65_536, addresses = (0..<count).map { _ in UInt32(truncatingIfNeeded: random.next()) }
        let begin = nanoseconds()
        for address in addresses where ranges.contains(address) { found += 1 }
        let end = nanoseconds()
        // The count is used, so the loop stays.
        return found > count ? 0 : Double(end - begin) / Double(count)
    }

    private static func nanoseconds() -> UInt64 {
        var t = timespec()
        clock_gettime(CLOCK_MONOTONIC, &t)
        return UInt64(t.tv_sec) * 1_000_000_000 + UInt64(t.tv_nsec)
    }
}
