import Glibc
import LinuxIO
import Pieces
import Primitives

// fdatasync of what was written; then, once a torrent is whole, its links, empty files and executable bits.

extension DiskEngine {
    /// Syncs in flight for one torrent: enough to keep a device busy, few enough that reads get in between.
    private static let syncsAtOnce = 32

    func sync(_ id: TorrentID, _ all: Bool) {
        guard let record = records[id], let layout = record.layout else { return handle(.synced(id, nil)) }
        var files = all ? layout.files.indices.filter { !layout.files[$0].isPad && layout.files[$0].length > 0 && record.exists[$0] } : record.dirty.filter { $0 < layout.files.count }.sorted()
        record.dirty = []
        let group = TransferGroup { [unowned self] group in
            failPoints.hit(.dataSynced)
            handle(.synced(id, group.fault))
        }
        files.reverse()
        // Each that ends takes the next.
        let queue = SyncQueue(files)
        for _ in 0..<min(Self.syncsAtOnce, files.count) { syncNext(record, queue, group) }
        group.release()
    }

    private func syncNext(_ record: TorrentRecord, _ queue: SyncQueue, _ group: TransferGroup) {
        guard let index = queue.files.popLast() else { return }
        group.outstanding += 1
        table.use(record, index, writing: false) { [unowned self] result in
            switch result {
            case .success(let file):
                let next = TransferGroup { [unowned self] _ in
                    syncNext(record, queue, group)
                    group.release()
                }
                submitSync(file, next, fails: group, name: record.name(index))
            case .failure(let fault):
                group.failed(0..<0, fault)
                syncNext(record, queue, group)
                group.release()
            }
        }
    }

    private func submitSync(_ file: OpenFile, _ next: TransferGroup, fails group: TransferGroup, name: String) {
        let index: UInt32
        let row = SyncRow(file: file, next: next, group: group, name: name)
        if let last = freeSyncs.popLast() {
            index = last
            syncRows[Int(index)] = row
        } else {
            index = UInt32(syncRows.count)
            syncRows.append(row)
        }
        syncs += 1
        operations.sync(file.buffered, token: Token(kind: Kind.sync, index: index, generation: 0))
    }

    func syncCompleted(_ completion: Completion) {
        let index = Int(completion.token.index), row = syncRows[index]!
        // Not tried again otherwise: the next would succeed though pages are lost.
        if completion.result == -EINTR || completion.result == -EAGAIN {
            return operations.sync(row.file.buffered, token: completion.token)
        }
        syncRows[index] = nil
        freeSyncs.append(completion.token.index)
        if completion.result < 0 { row.group.failed(0..<0, DiskFault(errno: Errno(-completion.result), "sync \(row.name)")) }
        table.release(row.file)
        row.next.release()
    }

    /// Links last, and only inside the torrent (BEP 47); a link that stands there already stays.
    func finish(_ id: TorrentID) {
        guard let record = records[id], let layout = record.layout else { return handle(.finished(id, nil)) }
        // Complete: nothing is hashed until a recheck.
        record.hashes = PieceHashes()
        struct Item: Sendable {
            let path: String, isExecutable: Bool, isEmpty: Bool, target: String?
        }
        let items = layout.files.enumerated().compactMap { i, file -> Item? in
            guard !file.isPad, file.isExecutable || file.length == 0, record.spec.levels.level(of: i) != FileLevel.skip, i < layout.payloadCount else { return nil }
            return Item(path: file.path, isExecutable: file.isExecutable, isEmpty: file.length == 0, target: file.linkTarget)
        }
        if items.isEmpty { return handle(.finished(id, nil)) }
        let operations = operations, folder = record.spec.savePath, box = Box<DiskFault>()
        work({
            do throws(Errno) {
                let root = try operations.openFolder(folder)
                defer { operations.close(root) }
                // Links lead to what was made before.
                for item in items.filter({ $0.target == nil }) + items.filter({ $0.target != nil }) {
                    if let target = item.target, target.isEmpty { continue }
                    let (parent, name) = try operations.openParent(under: root, item.path, creating: true)
                    defer { operations.close(parent) }
                    do throws(Errno) {
                        if let target = item.target {
                            try operations.symlink(relativeTarget(from: item.path, to: target), parent, name)
                            continue
                        }
                        let fd = try operations.open(under: parent, name, item.isEmpty ? O_RDONLY | O_CREAT : O_RDONLY)
                        defer { operations.close(fd) }
                        if item.isExecutable { try operations.makeExecutable(fd) }
                    } catch {
                        // EPERM: another user's file, or a file system without links: the payload is whole all the same.
                        if error.code != EEXIST, error.code != EPERM, error.code != EROFS { throw error }
                    }
                }
            } catch {
                box.value = DiskFault(errno: error, "links and empty files of \(folder)")
            }
            return 0
        }) { [unowned self] _ in handle(.finished(id, box.value)) }
    }
}

/// Both under the save folder: "t/a/link" to "t/b/file" is "../b/file".
func relativeTarget(from link: String, to target: String) -> String {
    let a = link.split(separator: "/").dropLast(), b = target.split(separator: "/")
    var same = 0
    while same < a.count, same < b.count, a[a.startIndex + same] == b[same] { same += 1 }
    let up = Array(repeating: "..", count: a.count - same), down = b[same...].map(String.init)
    return (up + down).isEmpty ? "." : (up + down).joined(separator: "/")
}

final class SyncQueue {
    /// The next is at the end.
    var files: [Int]
    init(_ files: [Int]) { self.files = files }
}
struct SyncRow {
    let file: OpenFile
    let next: TransferGroup
    let group: TransferGroup
    let name: String
}
