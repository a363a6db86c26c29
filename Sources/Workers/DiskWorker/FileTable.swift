import Glibc
import LinuxIO
import Pieces
import Primitives

/// One file that is open, by two descriptors: buffered for ragged edges and small files, O_DIRECT for the rest.
final class OpenFile {
    let torrent: TorrentID
    let index: Int
    let length: UInt64
    var buffered: Int32 = -1
    /// -1: not in use, or refused.
    var direct: Int32 = -1
    /// What O_DIRECT wants of memory addresses.
    var memoryAlignment = 4096
    var isWritable = false
    var identity: FileIdentity?
    /// Something of it was written through us since it was opened: its times moved by our hand.
    var wasWritten = false
    var users = 0
    var lastUse: UInt64 = 0
    /// No longer in the table: closed when the last user lets go.
    var isStale = false
    var isOpening = true
    var waiters: [(Result<OpenFile, DiskFault>) -> Void] = []

    init(torrent: TorrentID, index: Int, length: UInt64) {
        (self.torrent, self.index, self.length) = (torrent, index, length)
    }
}

/// Open files by torrent and number, least recently used closed first.
/// Invariants: at most `limit` files stay open beside those in use; a file in use is never closed.
final class FileTable {
    struct Key: Hashable {
        let torrent: TorrentID
        let file: Int
    }
    /// O_DIRECT is not worth a second descriptor below this.
    static let directThreshold: UInt64 = 32 << 10
    /// Too many open files: tried again this often, this many times, with the table halved each time.
    static let busyRetries = 50, busyWait = TimeSpan.milliseconds(100)

    private let engine: Unowned<DiskEngine>
    private(set) var files: [Key: OpenFile] = [:]
    private(set) var limit: Int
    private let fullLimit: Int
    private var clock: UInt64 = 0
    /// Which torrent writes an inode: no second one may.
    private var writers: [FileKey: TorrentID] = [:]
    private struct FileKey: Hashable {
        let device: UInt64, inode: UInt64
    }

    init(limit: Int) {
        engine = Unowned()
        self.limit = limit
        fullLimit = limit
    }
    func attach(_ engine: DiskEngine) { self.engine.value = engine }

    var openCount: Int { files.count }

    /// Calls `then` with the file, its user count raised; the caller gives it back by ``release(_:)``.
    func use(_ record: TorrentRecord, _ index: Int, writing: Bool, _ then: @escaping (Result<OpenFile, DiskFault>) -> Void) {
        clock += 1
        let key = Key(torrent: record.id, file: index)
        if let file = files[key] {
            file.lastUse = clock
            if file.isOpening {
                // It may come up read-only: ask again then.
                file.waiters.append { [unowned self] result in
                    switch result {
                    case .success(let f) where writing && !f.isWritable:
                        release(f)
                        use(record, index, writing: true, then)
                    default: then(result)
                    }
                }
                return
            }
            if !writing || file.isWritable {
                file.users += 1
                return then(.success(file))
            }
            drop(file, record)
        }
        let file = OpenFile(torrent: record.id, index: index, length: record.layout!.files[index].length)
        file.lastUse = clock
        files[key] = file
        file.waiters.append(then)
        open(file, record, writing: writing, tries: 0)
    }

    func release(_ file: OpenFile) {
        file.users -= 1
        if file.isStale, file.users == 0 { close(file) }
        if files.count > limit { shrink(to: limit - limit / 16) }
    }

    private func open(_ file: OpenFile, _ record: TorrentRecord, writing: Bool, tries: Int) {
        let engine = engine.value!
        let plan = OpenPlan(
            folder: record.spec.savePath, path: record.path(file.index), length: file.length, writing: writing,
            mayBeShort: !record.exists[file.index],
            // The part-file is as long as the torrent and nearly all hole.
            allocation: record.layout!.partIndex == file.index ? .sparse : record.spec.allocation,
            wantsDirect: engine.directIO && file.length >= Self.directThreshold)
        let operations = engine.operations, box = Box<Result<OpenedFile, DiskFault>>()
        engine.work({
            box.value = plan.run(operations)
            return 0
        }) { [unowned self, unowned engine] _ in
            guard let result = box.value else { preconditionFailure("work ended without a result") }
            switch result {
            case .failure(let fault) where fault.kind == .busy && tries < Self.busyRetries:
                limit = max(8, limit / 2)
                shrink(to: limit)
                engine.after(Self.busyWait) { [unowned self] in open(file, record, writing: writing, tries: tries + 1) }
            case .failure(let fault): finish(file, record, .failure(fault))
            case .success(let opened): finish(file, record, accept(file, record, opened, writing))
            }
        }
    }

    private func accept(_ file: OpenFile, _ record: TorrentRecord, _ opened: OpenedFile, _ writing: Bool) -> Result<OpenFile, DiskFault> {
        file.buffered = opened.buffered
        file.direct = opened.direct
        file.memoryAlignment = opened.memoryAlignment
        file.isWritable = writing
        file.wasWritten = opened.wasMade
        file.identity = opened.identity
        if opened.wasMade { record.exists.insert(file.index) }
        if opened.directRefused { engine.value?.directRefused(record.name(file.index)) }
        if let before = record.identities[file.index], before != opened.identityFound {
            return .failure(DiskFault(.changed, "\(record.name(file.index)) was changed by another program: hashing it again"))
        }
        if writing {
            let key = FileKey(device: opened.identity.device, inode: opened.identity.inode)
            if let other = writers[key], other != record.id {
                return .failure(DiskFault(.pathConflict, "\(record.name(file.index)) is written by torrent \(other) too"))
            }
            writers[key] = record.id
        }
        return .success(file)
    }

    private func finish(_ file: OpenFile, _ record: TorrentRecord, _ result: Result<OpenFile, DiskFault>) {
        let waiters = file.waiters
        file.waiters = []
        file.isOpening = false
        if case .failure = result {
            if !file.isStale { files[Key(torrent: file.torrent, file: file.index)] = nil }
            file.isStale = true
            if file.buffered >= 0 { close(file) }
        } else {
            if limit < fullLimit { limit = min(fullLimit, limit + 1) }
            file.users += waiters.count
        }
        for waiter in waiters { waiter(result) }
    }

    /// Out of the table now, closed when unused.
    private func drop(_ file: OpenFile, _ record: TorrentRecord?) {
        files[Key(torrent: file.torrent, file: file.index)] = nil
        file.isStale = true
        guard file.users == 0, !file.isOpening else { return }
        if let record, let status = try? engine.value!.operations.status(file.buffered) {
            record.identities[file.index] = FileIdentity(status)
        }
        close(file)
    }
    private func close(_ file: OpenFile) {
        if file.buffered >= 0 { Descriptor.close(file.buffered) }
        if file.direct >= 0 { Descriptor.close(file.direct) }
        (file.buffered, file.direct) = (-1, -1)
    }

    private func shrink(to count: Int) {
        let excess = files.count - count
        guard excess > 0 else { return }
        let idle = files.values.filter { $0.users == 0 && !$0.isOpening }.sorted { $0.lastUse < $1.lastUse }
        for file in idle.prefix(excess) { drop(file, engine.value?.records[file.torrent]) }
    }

    /// Closes a torrent's files. `forgetting` also what is known of them: they are another's business now.
    func closeAll(_ record: TorrentRecord, forgetting: Bool) {
        for file in files.values.filter({ $0.torrent == record.id }).sorted(by: { $0.index < $1.index }) { drop(file, record) }
        if forgetting {
            record.identities = [:]
            writers = writers.filter { $0.value != record.id }
        }
    }
    func closeEverything() {
        for file in files.values where file.users == 0 && !file.isOpening { close(file) }
        files = [:]
    }

    /// Files open without being opened again since `tick`: what the patrol looks at.
    func inUse(limit: Int) -> [OpenFile] {
        Array(files.values.filter { !$0.isOpening && $0.identity != nil }.sorted { $0.lastUse > $1.lastUse }.prefix(limit))
    }
}

/// A reference that is set once and does not keep its target.
final class Unowned<T: AnyObject> {
    weak var value: T?
}
/// Carries one result from a pool thread to the loop.
final class Box<T>: @unchecked Sendable {
    var value: T?
}

struct OpenedFile: Sendable {
    var buffered: Int32, direct: Int32 = -1
    var memoryAlignment = 4096
    var identity: FileIdentity
    /// Before we gave it its length.
    var identityFound: FileIdentity
    var wasMade = false
    var directRefused = false
}

/// How one file is opened, made and given its length. Runs on a pool thread.
struct OpenPlan: Sendable {
    let folder: String, path: String
    let length: UInt64
    let writing: Bool
    /// It was not there in full before: it may be short, and is made by a write.
    let mayBeShort: Bool
    var mayCreate: Bool { writing && mayBeShort }
    let allocation: Allocation
    let wantsDirect: Bool

    func run(_ operations: FileOperations) -> Result<OpenedFile, DiskFault> {
        let what = "\(writing ? "open for writing" : "open") \(folder)/\(path)"
        do throws(Errno) {
            let root = try openRoot(operations)
            defer { operations.close(root) }
            let flags = writing ? O_RDWR : O_RDONLY
            var made = false
            var fd: Int32
            do throws(Errno) {
                fd = try operations.open(under: root, path, flags)
            } catch {
                guard error.code == ENOENT, mayCreate else { throw error }
                let (parent, name) = try operations.openParent(under: root, path, creating: true)
                defer { operations.close(parent) }
                fd = try operations.open(under: parent, name, flags | O_CREAT)
                made = true
            }
            do throws(Errno) {
                var status = try operations.status(fd)
                guard status.isRegular else { throw Errno(EISDIR) }
                let identityFound = FileIdentity(status)
                if status.size < length {
                    guard mayBeShort else {
                        operations.close(fd)
                        return .failure(
                            DiskFault(
                                .missing, "\(folder)/\(path) has \(status.size) of its \(length) bytes: put it back, or recheck to fetch it again"))
                    }
                    if writing {
                        made = true
                        try give(length, fd, operations)
                        status = try operations.status(fd)
                    }
                }
                var opened = OpenedFile(buffered: fd, identity: FileIdentity(status), identityFound: identityFound, wasMade: made)
                if wantsDirect {
                    do throws(Errno) {
                        opened.direct = try operations.open(under: root, path, flags | Files.direct)
                        if status.directMemoryAlignment > 0 { opened.memoryAlignment = Int(status.directMemoryAlignment) }
                    } catch {
                        // The buffered descriptor does as well; EMFILE and the like show themselves elsewhere.
                        opened.directRefused = error.code == EINVAL
                    }
                }
                return .success(opened)
            } catch {
                operations.close(fd)
                throw error
            }
        } catch {
            return .failure(DiskFault(errno: error, what))
        }
    }

    private func openRoot(_ operations: FileOperations) throws(Errno) -> Int32 {
        do throws(Errno) { return try operations.openFolder(folder) } catch {
            guard error.code == ENOENT, mayCreate else { throw error }
            try operations.makeFolders(folder)
            return try operations.openFolder(folder)
        }
    }

    /// The exact logical length, with blocks behind it when `allocation` says so.
    private func give(_ length: UInt64, _ fd: Int32, _ operations: FileOperations) throws(Errno) {
        if allocation == .full {
            do throws(Errno) { return try operations.allocate(fd, length: length) } catch {
                guard error.code == EOPNOTSUPP || error.code == ENOSYS else { throw error }
            }
        }
        try operations.truncate(fd, to: length)
    }
}
