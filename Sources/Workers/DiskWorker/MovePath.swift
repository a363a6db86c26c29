import Glibc
import LinuxIO
import Pieces
import Primitives

// Moving a torrent's files, deleting them, and the probe of a volume: rare, blocking, on a pool thread.

extension DiskEngine {
    /// One move at a time: it may run for hours, and the pool has few threads.
    func move(_ id: TorrentID, _ path: String, _ names: FileNames) {
        guard let record = records[id], let layout = record.layout, let original = record.original else {
            return handle(.moved(id, DiskFault(.busy, "the torrent's files are not known")))
        }
        table.closeAll(record, forgetting: true)
        let from = record.spec.savePath, operations = operations
        let renamed = original.named(names)
        // The part-file keeps its name.
        let target = layout.partIndex.map { renamed.routed(layout.inParts, partFile: layout.files[$0].path) } ?? renamed
        let run = { [unowned self] in
            isMoving = true
            let box = Box<DiskFault>()
            work({
                do throws(DiskFault) { try moveFiles(layout, target, from: from, to: path, operations) } catch { box.value = error }
                return 0
            }) { [unowned self] _ in
                isMoving = false
                if box.value == nil {
                    failPoints.hit(.rename)
                    record.spec.savePath = path
                    record.spec.names = names
                    core.setPlace(id, path, names)
                }
                handle(.moved(id, box.value))
                if !movesWaiting.isEmpty { movesWaiting.removeFirst()() }
            }
        }
        if isMoving { movesWaiting.append(run) } else { run() }
    }

    func delete(_ id: TorrentID) {
        guard let record = records[id], let layout = record.layout else { return handle(.deleted(id, nil)) }
        table.closeAll(record, forgetting: true)
        let folder = record.spec.savePath, operations = operations, box = Box<DiskFault>()
        work({
            box.value = deleteFiles(layout, under: folder, operations)
            return 0
        }) { [unowned self] _ in handle(.deleted(id, box.value)) }
    }

    func probe(_ volume: UInt64, _ folder: String) {
        let operations = operations, box = Box<DiskFault>(), pid = getpid()
        work({
            do throws(DiskFault) { try probeVolume(folder, pid, operations) } catch { box.value = error }
            return 0
        }) { [unowned self] _ in handle(.probed(volume: volume, box.value)) }
    }
}

/// The torrent's own files and no others; folders that become empty go too. The first error is reported, the rest still tried.
private func deleteFiles(_ layout: FileLayout, under folder: String, _ operations: FileOperations) -> DiskFault? {
    var fault: DiskFault?
    do throws(Errno) {
        let root = try operations.openFolder(folder)
        defer { operations.close(root) }
        for file in layout.files where !file.isPad {
            do throws(Errno) {
                let (parent, name) = try operations.openParent(under: root, file.path, creating: false)
                defer { operations.close(parent) }
                try operations.unlink(parent, name)
            } catch {
                if error.code != ENOENT, error.code != ENOTDIR, fault == nil { fault = DiskFault(errno: error, "delete \(folder)/\(file.path)") }
            }
        }
        removeEmptyFolders(layout, root, operations)
    } catch {
        if error.code != ENOENT { fault = DiskFault(errno: error, "delete files of \(folder)") }
    }
    return fault
}

/// Deepest first; those that hold something else stay.
private func removeEmptyFolders(_ layout: FileLayout, _ root: Int32, _ operations: FileOperations) {
    var folders: Set<String> = []
    for file in layout.files where !file.isPad {
        var path = Substring(file.path)
        while let slash = path.lastIndex(of: "/") {
            path = path[..<slash]
            if !folders.insert(String(path)).inserted { break }
        }
    }
    for folder in folders.sorted(by: { ($0.utf8.count, $0) > ($1.utf8.count, $1) }) {
        guard let (parent, name) = try? operations.openParent(under: root, folder, creating: false) else { continue }
        // ENOTEMPTY is what a folder with the user's own files answers.
        try? operations.unlink(parent, name, isFolder: true)
        operations.close(parent)
    }
}

/// Renames within a file system, copies across: the copy is synced before the first original goes. What was renamed is
/// renamed back when a later file fails.
/// `layout` has the paths as they are, `after` as they are to be.
private func moveFiles(_ layout: FileLayout, _ after: FileLayout, from: String, to: String, _ operations: FileOperations) throws(DiskFault) {
    if from == to, layout.files == after.files { return }
    var done: [Int] = [], copied: [Int] = []
    var failure: DiskFault?
    do throws(Errno) {
        let source = try operations.openFolder(from)
        defer { operations.close(source) }
        try operations.makeFolders(to)
        let target = try operations.openFolder(to)
        defer { operations.close(target) }
        for (i, file) in layout.files.enumerated() where !file.isPad && (from != to || file.path != after.files[i].path) {
            do throws(Errno) {
                if try moveOne(file.path, after.files[i].path, source, target, operations) { copied.append(i) } else { done.append(i) }
            } catch {
                if error.code == ENOENT { continue }  // never made
                failure = DiskFault(errno: error, "move \(from)/\(file.path) to \(to)")
                break
            }
        }
        if failure != nil {
            for i in copied { removeFile(after.files[i].path, target, operations) }
            for i in done.reversed() { _ = try? moveOne(after.files[i].path, layout.files[i].path, target, source, operations) }
            removeEmptyFolders(after, target, operations)
        } else {
            for i in copied { removeFile(layout.files[i].path, source, operations) }
            removeEmptyFolders(layout, source, operations)
        }
    } catch {
        failure = DiskFault(errno: error, "move from \(from) to \(to)")
    }
    if let failure { throw failure }
}

private func removeFile(_ path: String, _ root: Int32, _ operations: FileOperations) {
    guard let (parent, name) = try? operations.openParent(under: root, path, creating: false) else { return }
    try? operations.unlink(parent, name)
    operations.close(parent)
}

/// True when it was copied: the original is still there.
private func moveOne(_ path: String, _ newPath: String, _ source: Int32, _ target: Int32, _ operations: FileOperations) throws(Errno) -> Bool {
    let (from, name) = try operations.openParent(under: source, path, creating: false)
    defer { operations.close(from) }
    let status = try operations.status(under: from, name)
    let (to, newName) = try operations.openParent(under: target, newPath, creating: true)
    defer { operations.close(to) }
    do throws(Errno) {
        try operations.rename(from, name, to, newName)
        return false
    } catch {
        // EINVAL: a file system that cannot promise not to replace; the copy can (O_EXCL).
        guard error.code == EXDEV || error.code == EINVAL else { throw error }
    }
    guard status.isRegular else { return true }  // links are made anew at the end
    let input = try operations.open(under: from, name, O_RDONLY)
    defer { operations.close(input) }
    let output = try operations.open(under: to, newName, O_WRONLY | O_CREAT | O_EXCL, mode: mode_t(status.mode & 0o777))
    defer { operations.close(output) }
    do throws(Errno) {
        try copy(input, output, status.size, operations)
        try operations.syncNow(output)
    } catch {
        try? operations.unlink(to, newName)
        throw error
    }
    return true
}

/// Holes stay holes.
private func copy(_ input: Int32, _ output: Int32, _ size: UInt64, _ operations: FileOperations) throws(Errno) {
    let chunk = 4 << 20, buffer = try Memory.allocatePages(4 << 20)
    defer { Memory.unmap(buffer, chunk) }
    try operations.truncate(output, to: size)
    var at: UInt64 = 0
    while at < size, let data = try operations.nextData(input, from: at) {
        let end = min(size, try operations.nextHole(input, from: data) ?? size)
        at = data
        while at < end {
            let n = try operations.readAll(input, buffer, Int(min(UInt64(chunk), end - at)), offset: at)
            guard n > 0 else { throw Errno.inputOutput }
            try operations.writeAll(output, buffer, n, offset: at)
            at += UInt64(n)
        }
    }
}

/// Write, fsync, read back and delete 4 KiB; and room: 1 GiB or 5 % (RELIABILITY D1).
private func probeVolume(_ folder: String, _ pid: Int32, _ operations: FileOperations) throws(DiskFault) {
    let size = 4096
    do throws(Errno) {
        let root = try operations.openFolder(folder)
        defer { operations.close(root) }
        let parent = try operations.openParent(under: root, "x", creating: false).fd
        defer { operations.close(parent) }
        let name = ".ccbt-probe-\(pid)"
        let fd = try operations.open(under: parent, name, O_RDWR | O_CREAT | O_TRUNC)
        defer { operations.close(fd) }
        do throws(Errno) {
            let page = try Memory.allocatePages(2 * size)
            defer { Memory.unmap(page, 2 * size) }
            memset(page, 0xA5, size)
            try operations.writeAll(fd, page, size, offset: 0)
            try operations.syncNow(fd)
            guard try operations.readAll(fd, page + size, size, offset: 0) == size, memcmp(page, page + size, size) == 0 else {
                throw Errno.inputOutput
            }
            let (free, total) = try operations.space(fd)
            if free < min(1 << 30, total / 20) { throw Errno.noSpace }
            try operations.unlink(parent, name)
        } catch {
            try? operations.unlink(parent, name)
            throw error
        }
    } catch {
        throw DiskFault(errno: error, "probe of \(folder)")
    }
}
