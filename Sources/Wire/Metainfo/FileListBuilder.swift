import Bencode
import Primitives

/// From the two ways in which a torrent lists its files (BEP 3 `files` or `length`; BEP 52 `file tree`) to rows.
///
/// Stages: collect the entries and make their folders; (hybrid) compare the lists; make the files, whose names yield
/// to folders; lead symlinks to their targets; find the piece layers.
struct FileListBuilder {
    /// One file as listed, its leaf name not yet made.
    struct Entry {
        var row: TorrentFiles.Row
        let parent: UInt32
        let leaf: Range<Int>
        /// List of the symlink's target components.
        let target: BencodeView?
        /// Folders as the v2 tree spells them, to compare with v1 (`rawFolders`); none at the top.
        var rawParent = PathTree.none
    }
    struct Built {
        let files: TorrentFiles
        let isMultiFile: Bool
        let contentLength: UInt64, totalLength: UInt64
        let hasAllLayers: Bool
    }

    let limits: MetainfoLimits
    let pieceLength: UInt64
    let name: [UInt8]
    var paths: PathTreeBuilder
    /// The folder of the torrent's name; none for a single file.
    var top = PathTree.none
    var entries: [Entry] = []
    var isMultiFile = false
    var source = UnsafeRawBufferPointer(start: nil, count: 0)
    var rawFolders: [(parent: UInt32, name: Range<Int>)] = []

    init(limits: MetainfoLimits, pieceLength: Int64, name: [UInt8]) {
        self.limits = limits
        self.pieceLength = UInt64(pieceLength)
        self.name = name
        paths = PathTreeBuilder(limits: limits)
    }

    mutating func openTop() throws(MetainfoError) {
        isMultiFile = true
        let result: Result<UInt32, MetainfoError> = name.withUnsafeBytes { raw in
            Result { () throws(MetainfoError) in try paths.folder(raw, in: PathTree.none) }
        }
        top = try result.get()
    }

    mutating func add(_ entry: Entry, at offset: Int) throws(MetainfoError) {
        if entries.count >= limits.files { throw MetainfoError(.tooManyFiles(limit: limits.files), at: offset) }
        entries.append(entry)
    }

    func length(_ view: BencodeView?, _ owner: BencodeView) throws(MetainfoError) -> UInt64 {
        guard let view else { throw MetainfoError(.missing("length"), at: owner.range.lowerBound) }
        guard let value = view.integer, value >= 0 else { throw MetainfoError(.invalid("length"), at: view.range.lowerBound) }
        guard value < limits.totalLength else { throw MetainfoError(.tooLong(limit: limits.totalLength), at: view.range.lowerBound) }
        return UInt64(value)
    }

    /// BEP 47 letters; unknown ones are passed over, as it asks.
    static func attributes(_ view: BencodeView?) -> FileAttributes {
        var out: FileAttributes = []
        for letter in view?.string ?? UnsafeRawBufferPointer(start: nil, count: 0) {
            switch letter {
            case UInt8(ascii: "p"): out.insert(.pad)
            case UInt8(ascii: "x"): out.insert(.executable)
            case UInt8(ascii: "h"): out.insert(.hidden)
            case UInt8(ascii: "l"): out.insert(.symlink)
            default: break
            }
        }
        return out
    }

    func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: source[range]) }

    /// Makes the leaves, then everything that needs all of them.
    consuming func finish(pieceLayers: BencodeView?) throws(MetainfoError) -> Built {
        var offset: UInt64 = 0, content: UInt64 = 0, pathBytes = 0
        var symlinks = false
        for i in entries.indices {
            entries[i].row.offset = offset
            let (next, overflow) = offset.addingReportingOverflow(entries[i].row.length)
            guard !overflow, next <= limits.totalLength else { throw MetainfoError(.tooLong(limit: limits.totalLength)) }
            offset = next
            if entries[i].row.attributes.contains(.pad) { continue }
            content += entries[i].row.length
            let isLink = entries[i].row.attributes.contains(.symlink)
            symlinks = symlinks || isLink
            let node: UInt32
            if isMultiFile {
                node = try paths.file(bytes(entries[i].leaf), in: entries[i].parent, isLink ? .symlink : .file)
            } else {
                let result: Result<UInt32, MetainfoError> = name.withUnsafeBytes { raw in
                    Result { () throws(MetainfoError) in try paths.file(raw, in: PathTree.none, .file) }
                }
                node = try result.get()
            }
            entries[i].row.node = node
            pathBytes += Int(paths.tree.nodes[Int(node)].pathLength)
            if pathBytes > limits.allPathsLength { throw MetainfoError(.allPathsTooLong(limit: limits.allPathsLength)) }
        }
        if symlinks { leadSymlinks() }
        let hasAllLayers = try findPieceLayers(pieceLayers)
        return Built(
            files: TorrentFiles(rows: entries.map(\.row), tree: paths.tree), isMultiFile: isMultiFile, contentLength: content,
            totalLength: offset, hasAllLayers: hasAllLayers)
    }

    /// A symlink may lead to a file or folder of this torrent, through other symlinks too, but never in a circle: what
    /// does not end at something real gets no target, and nothing is created for it.
    private mutating func leadSymlinks() {
        var target: [UInt32: UInt32] = [:]
        for entry in entries where entry.row.attributes.contains(.symlink) && entry.row.node != PathTree.none {
            let components = entry.target?.elements.compactMap(\.string) ?? []
            if components.isEmpty || components.count > limits.pathDepth { continue }
            target[entry.row.node] = paths.resolve(components, from: top)
        }
        // MAXSYMLINKS of Linux: a longer chain could not be opened anyhow.
        let longestChain = 40
        for i in entries.indices where entries[i].row.attributes.contains(.symlink) {
            var at = target[entries[i].row.node], steps = 1
            while let node = at, paths.tree.nodes[Int(node)].kind == .symlink, steps < longestChain {
                at = target[node]
                steps += 1
            }
            guard let end = at, paths.tree.nodes[Int(end)].kind != .symlink, let direct = target[entries[i].row.node] else { continue }
            entries[i].row.link = direct
        }
    }
}
