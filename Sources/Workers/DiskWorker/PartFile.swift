import Glibc
import LinuxIO
import Pieces
import Primitives

/// Where the bytes of files go that are not wanted: a piece that spans a wanted and an unwanted file is fetched whole, and the
/// unwanted part stands in `.INFOHASH.parts` beside the torrent's files. So the piece can be checked and seeded, and when the
/// file is wanted later its first bytes are there.
///
/// The rule is read off the disk, so it holds after any crash: a file that stands there is used, wanted or not (it was wanted
/// once); one that is not wanted and does not stand is never made, and its bytes are in the part-file. A wanted file that does not
/// stand takes its bytes out of the part-file first, under another name until all of them are synced. What the part-file still
/// has of a file that stands is dead, and is given back.
struct PartFile {
    private let whole: FileLayout
    private let spec: TorrentSpec
    private let operations: FileOperations
    private let path: String
    /// Of the files there are.
    private let levels: FileLevels

    /// Of the torrent's save folder. The stored .torrent is named by the info-hash.
    static func path(_ metainfoPath: String) -> String {
        let name = metainfoPath.split(separator: "/").last.map(String.init) ?? metainfoPath
        return "." + (name.hasSuffix(".torrent") ? String(name.dropLast(8)) : name) + ".parts"
    }

    /// The layout to use; blocking. When `isSettled`, what the part-file holds of files that are wanted now is in them afterwards;
    /// after an interrupted move, which has put some of the files elsewhere, nothing is made or given back.
    static func layout(_ whole: FileLayout, _ spec: TorrentSpec, isSettled: Bool, _ operations: FileOperations) throws(DiskFault) -> FileLayout {
        let parts = PartFile(whole: whole, spec: spec, operations: operations, path: path(spec.metainfoPath), levels: spec.levels.clipped(to: whole.payloadCount))
        do throws(Errno) { return try parts.layout(isSettled) } catch { throw DiskFault(errno: error, "part-file of \(spec.savePath)") }
    }

    private func layout(_ isSettled: Bool) throws(Errno) -> FileLayout {
        var away = Bitfield(count: whole.payloadCount)
        let root: Int32
        do throws(Errno) { root = try operations.openFolder(spec.savePath) } catch {
            guard error.code == ENOENT else { throw error }
            // Nothing stands there yet.
            guard levels.skipsAny else { return whole }
            for i in 0..<whole.payloadCount where isSkipped(i) { away.insert(i) }
            return whole.routed(away, partFile: path)
        }
        defer { operations.close(root) }
        let source = try existing(root)
        defer { if let source { operations.close(source) } }
        guard source != nil || levels.skipsAny else { return whole }
        for i in 0..<whole.payloadCount where hasPlace(i) {
            let stands = try stands(root, whole.files[i].path)
            if isSkipped(i), !stands { away.insert(i) }
            guard isSettled, let source, try holds(source, i) else { continue }
            if stands { giveBack(i, root) } else if !isSkipped(i) { try takeOut(i, source, root) } else { try removeTemporary(i, root) }
        }
        // It has to move with the rest.
        if levels.skipsAny || !isSettled { return whole.routed(away, partFile: path) }
        try remove(root)
        return whole
    }

    private func hasPlace(_ file: Int) -> Bool { !whole.files[file].isPad && whole.files[file].linkTarget == nil && whole.files[file].length > 0 }
    private func isSkipped(_ file: Int) -> Bool { hasPlace(file) && levels.level(of: file) == FileLevel.skip }

    private func existing(_ root: Int32) throws(Errno) -> Int32? {
        do throws(Errno) { return try operations.open(under: root, path, O_RDONLY) } catch {
            guard error.code == ENOENT else { throw error }
            return nil
        }
    }
    private func stands(_ root: Int32, _ path: String) throws(Errno) -> Bool {
        do throws(Errno) { return try operations.status(under: root, path).isRegular } catch {
            guard error.code == ENOENT || error.code == ENOTDIR || error.code == ELOOP else { throw error }
            return false
        }
    }
    /// The part-file has data in the file's range; a block that it shares with a neighbour counts too.
    private func holds(_ source: Int32, _ file: Int) throws(Errno) -> Bool {
        guard let first = try operations.nextData(source, from: whole.starts[file]) else { return false }
        return first < whole.starts[file + 1]
    }

    // MARK: A wanted file

    /// The file as it will be, hidden beside it; 255 bytes are what a name may have.
    private func temporary(_ name: String) -> String { ".\(String(decoding: name.utf8.prefix(200), as: UTF8.self)).ccbt-new" }

    /// Nothing is made of a file of which the part-file has no byte: it is made when its first piece comes.
    private func takeOut(_ file: Int, _ source: Int32, _ root: Int32) throws(Errno) {
        let (parent, name) = try operations.openParent(under: root, whole.files[file].path, creating: true)
        defer { operations.close(parent) }
        let temporary = temporary(name)
        let output = try operations.open(under: parent, temporary, O_WRONLY | O_CREAT | O_TRUNC)
        defer { operations.close(output) }
        do throws(Errno) {
            try copy(source, output, whole.starts[file]..<whole.starts[file + 1])
            try operations.syncNow(output)
            try operations.rename(parent, temporary, parent, name)
        } catch {
            try? operations.unlink(parent, temporary)
            throw error
        }
        // The name must last before the bytes go that it stands for.
        let folder = try operations.open(under: parent, ".", O_RDONLY | O_DIRECTORY)
        defer { operations.close(folder) }
        try operations.syncNow(folder)
        giveBack(file, root)
    }

    /// What an interrupted ``takeOut(_:_:_:)`` left of a file that is not wanted any more.
    private func removeTemporary(_ file: Int, _ root: Int32) throws(Errno) {
        do throws(Errno) {
            let (parent, name) = try operations.openParent(under: root, whole.files[file].path, creating: false)
            defer { operations.close(parent) }
            try operations.unlink(parent, temporary(name))
        } catch {
            guard error.code == ENOENT || error.code == ENOTDIR || error.code == EROFS else { throw error }
        }
    }

    private func copy(_ source: Int32, _ output: Int32, _ range: Range<UInt64>) throws(Errno) {
        let chunk = 1 << 20, buffer = try Memory.allocatePages(chunk)
        defer { Memory.unmap(buffer, chunk) }
        try operations.truncate(output, to: range.upperBound - range.lowerBound)
        var at = range.lowerBound
        while at < range.upperBound, let data = try operations.nextData(source, from: at), data < range.upperBound {
            let stop = min(range.upperBound, try operations.nextHole(source, from: data) ?? range.upperBound)
            at = data
            while at < stop {
                let n = try operations.readAll(source, buffer, Int(min(UInt64(chunk), stop - at)), offset: at)
                guard n > 0 else { throw Errno.inputOutput }
                try operations.writeAll(output, buffer, n, offset: at - range.lowerBound)
                at += UInt64(n)
            }
        }
    }

    // MARK: What is dead

    /// Bytes of a file that stands. Where a file system cannot, they stay, and are never read.
    private func giveBack(_ file: Int, _ root: Int32) {
        guard let fd = try? operations.open(under: root, path, O_RDWR) else { return }
        try? operations.punch(fd, whole.starts[file]..<whole.starts[file + 1])
        operations.close(fd)
    }

    /// Every file is wanted, and has its bytes.
    private func remove(_ root: Int32) throws(Errno) {
        let (parent, name) = try operations.openParent(under: root, path, creating: false)
        defer { operations.close(parent) }
        do throws(Errno) { try operations.unlink(parent, name) } catch {
            // A folder that takes no writes is no reason not to seed from it.
            guard error.code == ENOENT || error.code == EROFS || error.code == EACCES || error.code == EPERM else { throw error }
        }
    }
}
