import Catalog
import Control
import Foundation
import Glibc
import LinuxIO
import Primitives

/// Folders in which .torrent and .magnet files are added as they appear. inotify says when to look; a look each minute finds
/// what it does not see (network file systems).
struct FolderWatch {
    static let tokenKind: UInt8 = 20
    /// After an event: several files are looked at together.
    static let settle = TimeSpan.milliseconds(200)
    static let interval = TimeSpan.seconds(60)
    /// Files taken in one look; the rest in the next.
    static let filesPerLook = 200
    /// Bytes of a .magnet file, which has a link a line.
    static let linksLimit = 1 << 20

    var rows: [WatchFolderRow] = []
    var inotify: Int32 = -1
    var watches: [Int32: String] = [:]
    var isPolling = false
    var lookAt = Instant(nanoseconds: 0)
    var isLooking = false
    /// Files handed to `add` and not yet answered.
    var open = 0

    init(_ items: [(key: String, value: String)]) {
        rows = items.compactMap { try? JSONDecoder().decode(WatchFolderRow.self, from: Data($0.value.utf8)) }
    }
}

extension SessionShell {
    // MARK: the list

    func setFolder(_ from: Asker, _ p: WatchFolderRow) throws(ControlError) {
        var row = p
        row.path = Self.tidy(p.path)
        row.error = nil
        row.savePath = p.savePath.map(Self.tidy)
        guard row.path.hasPrefix("/"), row.path.utf8.count <= 4000, !row.path.utf8.contains(where: { $0 < 0x20 }) else {
            throw ControlError(.invalidParameters, "a watch folder is an absolute path")
        }
        if let save = row.savePath, !save.hasPrefix("/") { throw ControlError(.invalidParameters, "the save path must be absolute") }
        if !row.path.hasPrefix("/") || row.path == kit.stateDirectory || row.path.hasPrefix(kit.stateDirectory + "/") {
            throw ControlError(.conflict, "the state folder is no watch folder")
        }
        guard folders.rows.count < Control.watchFoldersLimit || folders.rows.contains(where: { $0.path == row.path }) else {
            throw ControlError(.tooLarge, "at most \(Control.watchFoldersLimit) watch folders")
        }
        guard let data = try? JSONEncoder().encode(row) else { throw ControlError(.invalidParameters, "that cannot be stored") }
        save(from, "folder", [(row.path, String(decoding: data, as: UTF8.self))]) { [self] in
            folders.rows.removeAll { $0.path == row.path }
            folders.rows.append(row)
            folders.rows.sort { $0.path < $1.path }
            rewatch()
            listChanged("folders")
        }
    }

    func removeFolder(_ from: Asker, _ path: String) throws(ControlError) {
        let path = Self.tidy(path)
        guard folders.rows.contains(where: { $0.path == path }) else { throw ControlError(.notFound, "\(Text.printable(path, limit: 200)) is not watched") }
        save(from, "folder", [(path, nil)]) { [self] in
            folders.rows.removeAll { $0.path == path }
            rewatch()
            listChanged("folders")
        }
    }

    /// Stores items, then changes what is in memory, then answers.
    func save(_ from: Asker, _ kind: String, _ changes: [(key: String, value: String?)], _ apply: @escaping () -> Void) {
        let token = wait(from, .pool), store = self.store
        pool({ () -> String? in
            do throws(CatalogStore.Failure) { try store.put(kind, changes) } catch { return error.description }
            return nil
        }) { [self] failure in
            if let failure { return finish(token, error: ControlError(.storage, failure)) }
            apply()
            finish(token, Empty())
        }
    }

    // MARK: looking

    private func rewatch() {
        if folders.inotify < 0, !folders.rows.isEmpty { folders.inotify = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC)) }
        for descriptor in folders.watches.keys { inotify_rm_watch(folders.inotify, descriptor) }
        folders.watches = [:]
        for i in folders.rows.indices {
            let path = folders.rows[i].path
            let descriptor = inotify_add_watch(folders.inotify, path, UInt32(IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR))
            if descriptor >= 0 { folders.watches[descriptor] = path }
        }
        folders.lookAt = loop.now
        pollFolders()
    }
    private func pollFolders() {
        guard folders.inotify >= 0, !folders.isPolling else { return }
        folders.isPolling = true
        loop.poll(folders.inotify, events: Int16(POLLIN), multishot: false, token: Token(kind: FolderWatch.tokenKind, index: 0, generation: 0))
    }
    func foldersChanged(_ completion: Completion) {
        folders.isPolling = false
        // What it says in detail is of no use: a look at the folder says it better.
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while read(folders.inotify, &buffer, buffer.count) > 0 {}
        folders.lookAt = min(folders.lookAt, loop.now + FolderWatch.settle)
        pollFolders()
    }

    func turnFolders(_ now: Instant) -> Instant {
        guard !folders.rows.isEmpty, !isClosing, drainDeadline == nil else { return .never }
        if folders.inotify < 0 { rewatch() }
        guard !folders.isLooking, folders.open == 0 else { return .never }
        guard now >= folders.lookAt else { return folders.lookAt }
        folders.isLooking = true
        folders.lookAt = now + FolderWatch.interval
        let rows = folders.rows
        pool({ rows.map { FolderLook($0.path) } }) { [self] looks in
            folders.isLooking = false
            for look in looks {
                guard let i = folders.rows.firstIndex(where: { $0.path == look.path }) else { continue }
                if let error = look.error, folders.rows[i].error == nil { log.warning("watch folder \(look.path): \(error)") }
                if (look.error == nil) != (folders.rows[i].error == nil) {
                    folders.rows[i].error = look.error
                    listChanged("folders")
                    if look.error == nil { rewatch() }
                }
                if look.isMore { folders.lookAt = loop.now }
                for file in look.files { take(file, folders.rows[i]) }
            }
        }
        return folders.lookAt
    }

    private func take(_ file: FolderLook.File, _ row: WatchFolderRow) {
        var left = file.sources.count, refused: ControlError?
        guard left > 0 else { return settle(file.path, row, ControlError(.invalidParameters, "it holds no torrent")) }
        folders.open += 1
        for source in file.sources {
            var p = AddParameters(save: row.savePath, paused: row.paused)
            switch source {
            case .torrent(let base64): p.torrent = base64
            case .link(let link): if link.lowercased().hasPrefix("magnet:") { p.magnet = link } else { p.url = link }
            }
            p.category = row.category
            p.tags = row.tags
            add(p) { [self] error in
                if let error, error.code != .exists { refused = error }
                left -= 1
                guard left == 0 else { return }
                folders.open -= 1
                settle(file.path, row, refused)
            }
        }
    }

    /// What was added is renamed or removed; what will never be is set aside; the rest waits for the next look.
    private func settle(_ path: String, _ row: WatchFolderRow, _ error: ControlError?) {
        if let error {
            log.warning("\(path) is not added: \(error.message)")
            switch error.code {
            case .unavailable, .storage, .conflict: return
            default: break
            }
        } else {
            log.info("\(path) is added")
        }
        let isDeleted = row.deleteFile == true && error == nil, suffix = error == nil ? ".added" : ".rejected"
        pool({ () -> Int32 in isDeleted ? unlink(path) : rename(path, path + suffix) }) { result in
            if result != 0 { log.warning("\(path) cannot be renamed or removed, and will be met again") }
        }
    }
}

/// What one look at a folder found. Blocking.
struct FolderLook: Sendable {
    enum Source: Sendable {
        case torrent(String)
        /// A magnet, or an address of a .torrent.
        case link(String)
    }
    struct File: Sendable {
        let path: String
        var sources: [Source] = []
    }
    let path: String
    var files: [File] = []
    var error: String?
    var isMore = false

    init(_ folder: String) {
        path = folder
        guard let directory = opendir(folder) else {
            error = String(cString: strerror(errno))
            return
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory), names.count < 100_000 {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name.hasSuffix(".torrent") || name.hasSuffix(".magnet") { names.append(name) }
        }
        names.sort()
        isMore = names.count > FolderWatch.filesPerLook
        for name in names.prefix(FolderWatch.filesPerLook) {
            var file = File(path: folder + "/" + name), status = stat()
            // A link may lead anywhere, a device never ends.
            guard lstat(file.path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
            if name.hasSuffix(".torrent") {
                if let bytes = StoredTorrents.read(file.path, limit: Control.torrentLimit), !bytes.isEmpty { file.sources = [.torrent(Data(bytes).base64EncodedString())] }
            } else if let bytes = StoredTorrents.read(file.path, limit: FolderWatch.linksLimit) {
                let lines = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
                file.sources = lines.filter { !$0.isEmpty && !$0.hasPrefix("#") }.prefix(1000).map { .link($0) }
            }
            files.append(file)
        }
    }
}
