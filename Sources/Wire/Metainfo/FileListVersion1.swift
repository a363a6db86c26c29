import Bencode
import Primitives

/// BEP 3 `length` or `files`, with the attributes of BEP 47.
extension FileListBuilder {
    mutating func readVersion1(_ info: BencodeView) throws(MetainfoError) {
        source = info.source
        guard let list = info["files"] else {
            let length = try length(info["length"], info)
            var attributes = Self.attributes(info["attr"])
            attributes.remove(.symlink)  // a torrent of nothing but a link has nothing to lead to
            attributes.remove(.pad)
            try add(Entry(row: .init(length: length, node: 0, attributes: attributes), parent: top, leaf: 0..<0, target: nil), at: 0)
            return
        }
        guard list.kind == .list else { throw MetainfoError(.invalid("files"), at: list.range.lowerBound) }
        try openTop()
        for file in list.elements {
            guard file.kind == .dictionary else { throw MetainfoError(.invalid("files"), at: file.range.lowerBound) }
            var row = try version1Row(file)
            let path = try Self.version1Path(file, isPad: row.attributes.contains(.pad), limits)
            if let last = path.last?.string, Self.isOldPadName(last) { row.attributes.insert(.pad) }
            if row.attributes.contains(.pad) {
                row.node = PathTree.none
                try add(Entry(row: row, parent: top, leaf: 0..<0, target: nil), at: file.range.lowerBound)
                continue
            }
            var parent = top
            for component in path.dropLast() { parent = try paths.folder(component.string!, in: parent) }
            try add(
                Entry(row: row, parent: parent, leaf: path.last!.stringRange!, target: file["symlink path"]),
                at: file.range.lowerBound)
        }
    }

    /// The v1 description beside a v2 tree must name the same files in the same order, each at the start of a piece
    /// (BEP 52, upgrade path); else the two swarms would share different data.
    mutating func matchVersion1(_ info: BencodeView, name: UnsafeRawBufferPointer) throws(MetainfoError) {
        guard let list = info["files"] else {
            guard entries.count == 1, !isMultiFile else { throw MetainfoError(.versionsDisagree, at: info.range.lowerBound) }
            let view = info["length"]
            guard try length(view, info) == entries[0].row.length else {
                throw MetainfoError(.versionsDisagree, at: (view ?? info).range.lowerBound)
            }
            return
        }
        guard list.kind == .list else { throw MetainfoError(.invalid("files"), at: list.range.lowerBound) }
        // One file in a list still is a folder in v1: v2 can't say so, and then v1 decides.
        if !isMultiFile { try openTopForOnlyFile() }
        var merged: [Entry] = [], offset: UInt64 = 0, at = 0
        for file in list.elements {
            guard file.kind == .dictionary else { throw MetainfoError(.invalid("files"), at: file.range.lowerBound) }
            if merged.count >= limits.files { throw MetainfoError(.tooManyFiles(limit: limits.files), at: file.range.lowerBound) }
            var row = try version1Row(file)
            if row.attributes.contains(.pad) {
                row.node = PathTree.none
                merged.append(Entry(row: row, parent: top, leaf: 0..<0, target: nil))
            } else {
                let path = try Self.version1Path(file, isPad: false, limits)
                guard at < entries.count, row.length == entries[at].row.length, isSamePath(path, entries[at]),
                    row.length == 0 || offset % pieceLength == 0
                else { throw MetainfoError(.versionsDisagree, at: file.range.lowerBound) }
                merged.append(entries[at])
                at += 1
            }
            let (next, overflow) = offset.addingReportingOverflow(row.length)
            guard !overflow, next <= limits.totalLength else {
                throw MetainfoError(.tooLong(limit: limits.totalLength), at: file.range.lowerBound)
            }
            offset = next
        }
        guard at == entries.count else { throw MetainfoError(.versionsDisagree, at: list.range.lowerBound) }
        entries = merged
    }

    private func version1Row(_ file: BencodeView) throws(MetainfoError) -> TorrentFiles.Row {
        let attributes = Self.attributes(file["attr"])
        // BEP 47: a symlink's length is 0; some writers give the target's or none.
        let length = attributes.contains(.symlink) ? 0 : try length(file["length"], file)
        return TorrentFiles.Row(length: length, node: 0, attributes: attributes)
    }

    private static func version1Path(
        _ file: BencodeView, isPad: Bool, _ limits: MetainfoLimits
    ) throws(MetainfoError) -> [BencodeView] {
        guard let path = file["path.utf-8"].flatMap({ $0.kind == .list ? $0 : nil }) ?? file["path"] else {
            if isPad { return [] }
            throw MetainfoError(.missing("path"), at: file.range.lowerBound)
        }
        var out: [BencodeView] = []
        for component in path.elements {
            guard component.kind == .string else { throw MetainfoError(.invalid("path"), at: component.range.lowerBound) }
            if out.count >= limits.pathDepth { throw MetainfoError(.pathTooDeep(limit: limits.pathDepth), at: path.range.lowerBound) }
            out.append(component)
        }
        if out.isEmpty, !isPad { throw MetainfoError(.invalid("path"), at: path.range.lowerBound) }
        return out
    }

    /// BitComet's pad files, from before BEP 47.
    private static func isOldPadName(_ name: UnsafeRawBufferPointer) -> Bool {
        name.starts(with: "_____padding_file_".utf8)
    }

    private func isSamePath(_ path: [BencodeView], _ entry: Entry) -> Bool {
        guard var rest = Optional(path[...]), let last = rest.popLast(), compareBytes(last.string!, bytes(entry.leaf)) == 0 else {
            return false
        }
        var folder = entry.rawParent
        while let component = rest.popLast() {
            guard folder != PathTree.none, compareBytes(component.string!, bytes(rawFolders[Int(folder)].name)) == 0 else {
                return false
            }
            folder = rawFolders[Int(folder)].parent
        }
        return folder == PathTree.none
    }
}
