import Bencode
import CHash
import Primitives

/// BEP 52 `file tree` and `piece layers`.
extension FileListBuilder {
    /// Walks the tree without recursion: its depth was bounded by the bencode parse, its order is the order of files.
    mutating func readTree(_ tree: BencodeView, name: UnsafeRawBufferPointer) throws(MetainfoError) {
        source = tree.source
        guard tree.kind == .dictionary else { throw MetainfoError(.invalid("file tree"), at: tree.range.lowerBound) }
        if !Self.isOnlyFile(tree, name) { try openTop() }

        var open: [(entries: BencodeView.Entries, node: UInt32, raw: UInt32)] = []
        try push(tree, top, PathTree.none, &open)
        while !open.isEmpty {
            guard let (key, value) = open[open.count - 1].entries.next() else {
                open.removeLast()
                continue
            }
            let (parent, rawParent) = (open[open.count - 1].node, open[open.count - 1].raw)
            guard value.kind == .dictionary, !key.string!.isEmpty else {
                throw MetainfoError(.invalid("file tree"), at: key.range.lowerBound)
            }
            var children = value.entries
            guard let first = children.next(), first.key.string!.isEmpty else {
                rawFolders.append((rawParent, key.stringRange!))
                let node = try paths.folder(key.string!, in: parent)
                try push(value, node, UInt32(rawFolders.count - 1), &open)
                continue
            }
            guard children.next() == nil else { throw MetainfoError(.invalid("file tree"), at: value.range.lowerBound) }
            let row = try version2Row(first.value)
            try add(
                Entry(row: row, parent: parent, leaf: key.stringRange!, target: first.value["symlink path"], rawParent: rawParent),
                at: key.range.lowerBound)
        }
    }

    private mutating func push(
        _ folder: BencodeView, _ node: UInt32, _ raw: UInt32,
        _ open: inout [(entries: BencodeView.Entries, node: UInt32, raw: UInt32)]
    ) throws(MetainfoError) {
        // The order of keys is the order of the files' pieces.
        guard folder.isCanonicalDictionary else {
            throw MetainfoError(.bencode(.keyOrder), at: folder.range.lowerBound)
        }
        if open.count >= limits.pathDepth { throw MetainfoError(.pathTooDeep(limit: limits.pathDepth), at: folder.range.lowerBound) }
        open.append((folder.entries, node, raw))
    }

    /// A tree of one file that bears the torrent's name is a single-file torrent.
    private static func isOnlyFile(_ tree: BencodeView, _ name: UnsafeRawBufferPointer) -> Bool {
        var entries = tree.entries
        guard let (key, value) = entries.next(), entries.next() == nil else { return false }
        var inner = value.entries
        return compareBytes(key.string!, name) == 0 && inner.next()?.key.string?.isEmpty == true
    }

    /// v1 lists the only file in a folder of the torrent's name.
    mutating func openTopForOnlyFile() throws(MetainfoError) {
        try openTop()
        entries = entries.map {
            Entry(row: $0.row, parent: top, leaf: $0.leaf, target: $0.target, rawParent: $0.rawParent)
        }
    }

    private func version2Row(_ file: BencodeView) throws(MetainfoError) -> TorrentFiles.Row {
        guard file.kind == .dictionary else { throw MetainfoError(.invalid("file tree"), at: file.range.lowerBound) }
        let attributes = Self.attributes(file["attr"])
        // BEP 52 aligns files by itself; a stored pad file would have no place in v1 terms.
        if attributes.contains(.pad) { throw MetainfoError(.invalid("attr"), at: file.range.lowerBound) }
        if attributes.contains(.symlink) { return TorrentFiles.Row(length: 0, node: 0, attributes: attributes) }
        var row = TorrentFiles.Row(length: try length(file["length"], file), node: 0, attributes: attributes)
        if row.length > 0 {
            guard let root = file["pieces root"] else { throw MetainfoError(.missing("pieces root"), at: file.range.lowerBound) }
            guard let range = root.stringRange, range.count == 32, bytes(range).contains(where: { $0 != 0 }) else {
                throw MetainfoError(.invalid("pieces root"), at: root.range.lowerBound)
            }
            row.root = UInt32(range.lowerBound)
        }
        return row
    }

    /// Each file starts a piece: pad rows fill what is between, so that offsets and pieces work as in v1.
    mutating func layOutVersion2() throws(MetainfoError) {
        var out: [Entry] = [], offset: UInt64 = 0
        out.reserveCapacity(entries.count * 2)
        for entry in entries {
            let overhang = offset % pieceLength
            if entry.row.length > 0, overhang > 0 {
                let pad = TorrentFiles.Row(length: pieceLength - overhang, node: PathTree.none, attributes: .pad)
                out.append(Entry(row: pad, parent: top, leaf: 0..<0, target: nil))
                offset += pad.length
            }
            out.append(entry)
            let (next, overflow) = offset.addingReportingOverflow(entry.row.length)
            guard !overflow, next <= limits.totalLength else { throw MetainfoError(.tooLong(limit: limits.totalLength)) }
            offset = next
        }
        if out.count > limits.files { throw MetainfoError(.tooManyFiles(limit: limits.files)) }
        entries = out
    }

    /// BEP 52 `piece layers`: for each file of more than one piece, its root → the hashes of its pieces. Each layer is
    /// verified against its root. True when none that is needed is missing.
    mutating func findPieceLayers(_ layers: BencodeView?) throws(MetainfoError) -> Bool {
        var wanted: [SHA256Digest: [Int]] = [:]
        for (i, entry) in entries.enumerated() where entry.row.root != 0 && entry.row.length > pieceLength {
            wanted[digest(Int(entry.row.root)), default: []].append(i)
        }
        guard let layers else { return wanted.isEmpty }
        guard layers.kind == .dictionary else { throw MetainfoError(.pieceLayer("not a dictionary"), at: layers.range.lowerBound) }
        var tree = MerkleTree(pieceLength: pieceLength)
        for (key, value) in layers.entries {
            guard let hashes = value.stringRange, key.stringRange!.count == 32 else {
                throw MetainfoError(.pieceLayer("not a map from 32 bytes to hashes"), at: key.range.lowerBound)
            }
            // Once for equal files: their lengths are equal too, or the root would not be.
            guard let files = wanted.removeValue(forKey: digest(key.stringRange!.lowerBound)) else {
                throw MetainfoError(.pieceLayer("no file has this root"), at: key.range.lowerBound)
            }
            for i in files {
                let pieces = (entries[i].row.length + pieceLength - 1) / pieceLength
                guard UInt64(hashes.count) == pieces * 32 else {
                    throw MetainfoError(.pieceLayer("\(hashes.count / 32) hashes for \(pieces) pieces"), at: value.range.lowerBound)
                }
                entries[i].row.layer = UInt32(hashes.lowerBound)
            }
            guard tree.root(ofPieceLayer: bytes(hashes)) == digest(key.stringRange!.lowerBound) else {
                throw MetainfoError(.pieceLayer("the hashes do not lead to the root"), at: value.range.lowerBound)
            }
        }
        return wanted.isEmpty
    }

    private func digest(_ offset: Int) -> SHA256Digest { SHA256Digest(bytes: bytes(offset..<offset + 32)) }
}
