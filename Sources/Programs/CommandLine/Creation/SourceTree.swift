import Glibc
import Metainfo

/// The files under the source, found without following links out of it.
struct SourceTree {
    /// Absolute; files are opened below it.
    let root: String
    let name: [UInt8]
    private(set) var files: [MetainfoBuilder.SourceFile] = []
    /// Names that readers of the torrent will clean into something else.
    private(set) var awkward: [String] = []

    static func scan(_ source: String) throws -> SourceTree {
        func failure(_ path: String, _ what: String) -> Failure { Failure(.failed, "\(path): \(what)") }
        guard let real = realpath(source, nil) else {
            throw Failure(errno == ENOENT ? .notFound : .failed, "\(source): \(String(cString: strerror(errno)))")
        }
        defer { free(real) }
        let root = String(cString: real)
        // The name as it was given: a link's own, not its target's.
        let given = source.split(separator: "/").last.map(String.init) ?? ""
        let name = given.isEmpty || given == "." || given == ".." ? root.split(separator: "/").last.map(String.init) ?? "" : given
        guard !name.isEmpty else { throw failure(source, "has no name; give the folder to share, not the root") }
        var tree = SourceTree(root: root, name: Array(name.utf8))
        var status = stat()
        guard stat(root, &status) == 0 else { throw failure(source, String(cString: strerror(errno))) }
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            tree.files = [.init(path: [], length: UInt64(status.st_size), isExecutable: status.st_mode & S_IXUSR != 0)]
        case S_IFDIR: try tree.walk()
        default: throw failure(source, "is neither a file nor a folder")
        }
        return tree
    }

    private init(root: String, name: [UInt8]) { (self.root, self.name) = (root, name) }

    private mutating func walk() throws {
        var pending: [[[UInt8]]] = [[]]
        let limits = MetainfoLimits.standard
        while let folder = pending.popLast() {
            let path = absolute(folder)
            guard let stream = opendir(path) else { throw Failure(.failed, "\(path): can't be read: \(String(cString: strerror(errno)))") }
            defer { closedir(stream) }
            while let entry = readdir(stream) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
                if name == [46] || name == [46, 46] { continue }
                let relative = folder + [name]
                let here = absolute(relative)
                guard String(validating: name, as: UTF8.self) != nil else {
                    throw Failure(.failed, "\(here): the name is not UTF-8; rename it (BEP 3 allows no other text)")
                }
                if PathSanitiser.clean(name) != name { awkward.append(here) }
                if relative.count >= limits.pathDepth { throw Failure(.failed, "\(here): deeper than \(limits.pathDepth) folders") }
                var status = stat()
                guard lstat(here, &status) == 0 else { throw Failure(.failed, "\(here): \(String(cString: strerror(errno)))") }
                if status.st_mode & S_IFMT == S_IFLNK {
                    if let target = linkTarget(here, in: folder) {
                        files.append(.init(path: relative, length: 0, symlinkTarget: target))
                        continue
                    }
                    guard stat(here, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                        throw Failure(.failed, "\(here): the link leads to nothing, or to a folder outside; remove it")
                    }
                }
                switch status.st_mode & S_IFMT {
                case S_IFDIR: pending.append(relative)
                case S_IFREG:
                    files.append(.init(path: relative, length: UInt64(status.st_size), isExecutable: status.st_mode & S_IXUSR != 0))
                    if files.count > limits.files { throw Failure(.failed, "\(root): \(MetainfoBuilder.Refusal.tooManyFiles)") }
                default: Terminal.error("btbt create: note: \(Printable.escape(here)) is left out: it is neither a file nor a folder")
                }
            }
        }
    }

    /// Components under the root when the link is relative and stays inside; nil else.
    private func linkTarget(_ path: String, in folder: [[UInt8]]) -> [[UInt8]]? {
        let raw = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in count = max(0, readlink(path, buffer.baseAddress!, 4096)) }
        guard let first = raw.first, first != UInt8(ascii: "/"), access(path, F_OK) == 0 else { return nil }
        var out = folder
        for part in raw.split(separator: UInt8(ascii: "/")) where !part.elementsEqual([46]) {
            if part.elementsEqual([46, 46]) {
                if out.isEmpty { return nil }
                out.removeLast()
            } else {
                out.append(Array(part))
            }
        }
        return out.isEmpty ? nil : out
    }

    func absolute(_ relative: [[UInt8]]) -> String {
        relative.reduce(into: root) { $0 += "/" + String(decoding: $1, as: UTF8.self) }
    }
}
