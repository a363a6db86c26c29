import Bencode
import Primitives

/// Plans a new torrent and writes it once its pieces are hashed. Reads no file: the caller asks ``extents(of:)`` for each
/// piece, hashes, and hands the digests to ``make(hashes:options:)``.
///
/// Equal input gives equal bytes: files are sorted by their components' bytes (the order that BEP 52 makes the only one),
/// and nothing of the machine or the clock goes in.
package struct MetainfoBuilder: Sendable {
    package enum Version: Sendable { case v1, v2, hybrid }

    package struct SourceFile: Sendable {
        /// Under the torrent's name; empty for the one file of a single-file torrent.
        package var path: [[UInt8]]
        package var length: UInt64
        package var isExecutable: Bool
        /// BEP 47: components under the torrent's name. `length` must be 0.
        package var symlinkTarget: [[UInt8]]?

        package init(path: [[UInt8]], length: UInt64, isExecutable: Bool = false, symlinkTarget: [[UInt8]]? = nil) {
            (self.path, self.length, self.isExecutable, self.symlinkTarget) = (path, length, isExecutable, symlinkTarget)
        }
    }

    package enum Refusal: Error, Equatable, CustomStringConvertible {
        case noContent, tooManyFiles, tooManyPieces, tooLong, badPieceLength, badName, badPath, duplicatePath

        package var description: String {
            switch self {
            case .noContent: "there is nothing to share: no file has any bytes"
            case .tooManyFiles: "more than \(MetainfoLimits.standard.files) files"
            case .tooManyPieces: "too many pieces for one torrent; choose a larger piece length"
            case .tooLong: "more than 256 TiB"
            case .badPieceLength: "a piece length is a power of two from 16 KiB to 256 MiB"
            case .badName: "the name can't be used as a file name"
            case .badPath: "a path has an empty component"
            case .duplicatePath: "a path stands twice"
            }
        }
    }

    /// A run of bytes of a piece: of a file, or zeros.
    package struct Extent: Sendable, Equatable {
        /// In ``files``; nil for padding.
        package let file: Int?
        package let offset: UInt64
        package let length: UInt64
    }

    /// One stretch of the byte space.
    private struct Stretch: Sendable {
        let file: Int?
        let start: UInt64, length: UInt64
    }

    package let name: [UInt8]
    package let version: Version
    package let geometry: PieceGeometry
    /// Sorted; what ``Extent/file`` counts.
    package let files: [SourceFile]
    private let isMultiFile: Bool
    private let stretches: [Stretch]
    /// First piece of each file; only where files are aligned (v2 and hybrid).
    private let firstPieces: [Int]

    package static let pieceLengths: ClosedRange<UInt32> = 16 << 10...256 << 20

    /// Near 2,000 pieces: 20 bytes each then make a .torrent of 40 KB, and a piece is a fair unit of progress. From 16 KiB
    /// (a block) to 16 MiB (a peer must keep whole pieces in memory).
    package static func suggestedPieceLength(totalLength: UInt64) -> UInt32 {
        var length: UInt32 = 16 << 10
        while length < 16 << 20, totalLength / UInt64(length) > 2048 { length *= 2 }
        return length
    }

    /// `pieceLength` nil: the suggested one.
    package init(
        name: [UInt8], files given: [SourceFile], version: Version, pieceLength: UInt32? = nil
    ) throws(Refusal) {
        let limits = MetainfoLimits.standard
        guard !PathSanitiser.clean(name).isEmpty, !name.contains(0), !name.contains(UInt8(ascii: "/")) else { throw .badName }
        if given.count > limits.files { throw .tooManyFiles }
        var total: UInt64 = 0
        for file in given {
            precondition(file.symlinkTarget == nil || file.length == 0)
            guard file.length < limits.totalLength, total < limits.totalLength else { throw .tooLong }
            total += file.length
            if file.path.contains(where: \.isEmpty) { throw .badPath }
        }
        if total == 0 { throw .noContent }
        isMultiFile = !(given.count == 1 && given[0].path.isEmpty)
        if isMultiFile, given.contains(where: \.path.isEmpty) { throw .badPath }

        let length = pieceLength ?? Self.suggestedPieceLength(totalLength: total)
        guard Self.pieceLengths.contains(length), length.nonzeroBitCount == 1 else { throw .badPieceLength }
        let sorted = given.sorted { $0.path.lexicographicallyPrecedes($1.path, by: { $0.lexicographicallyPrecedes($1) }) }
        for i in sorted.indices.dropFirst() where sorted[i].path.starts(with: sorted[i - 1].path) && isMultiFile {
            throw .duplicatePath  // equal, or a file where a folder must be
        }

        var stretches: [Stretch] = [], firstPieces: [Int] = [], offset: UInt64 = 0
        func pad() {
            let overhang = offset % UInt64(length)
            if overhang == 0 { return }
            stretches.append(Stretch(file: nil, start: offset, length: UInt64(length) - overhang))
            offset += UInt64(length) - overhang
        }
        for (i, file) in sorted.enumerated() {
            // v2 pieces never span files. Hybrids say so to v1 readers by pad files, the last file's too (as libtorrent
            // does by default), so that both give the same info-hashes.
            if version == .v2, file.length > 0 { pad() }
            firstPieces.append(Int(offset / UInt64(length)))
            stretches.append(Stretch(file: i, start: offset, length: file.length))
            offset += file.length
            if version == .hybrid, isMultiFile { pad() }
        }
        guard offset <= limits.totalLength, let geometry = PieceGeometry(totalLength: offset, pieceLength: length),
            // The hash list must leave room in a file of the size that readers accept.
            geometry.pieceCount <= limits.bencode.bytes / 2 / (version == .v1 ? 20 : 52)
        else { throw .tooManyPieces }
        (self.name, self.version, self.geometry, self.files) = (name, version, geometry, sorted)
        (self.stretches, self.firstPieces) = (stretches, firstPieces)
    }

    /// What a piece consists of, in order, together as long as the piece. In v2 the end of a file's last piece is no
    /// part of its hash: only the extents of a file count there.
    package func extents(of piece: PieceIndex) -> [Extent] {
        let start = geometry.offset(of: piece), end = start + UInt64(geometry.length(of: piece))
        var low = 0, high = stretches.count
        while low < high {
            let middle = (low + high) / 2
            if stretches[middle].start + stretches[middle].length <= start { low = middle + 1 } else { high = middle }
        }
        var out: [Extent] = []
        while low < stretches.count, stretches[low].start < end {
            let stretch = stretches[low]
            let from = max(start, stretch.start), to = min(end, stretch.start + stretch.length)
            if to > from { out.append(Extent(file: stretch.file, offset: from - stretch.start, length: to - from)) }
            low += 1
        }
        return out
    }

    /// How many leaves the hash tree of a piece has (BEP 52): a full piece's number of blocks, except in a file of one
    /// piece, whose tree is only as wide as it must be.
    package func leaves(of piece: PieceIndex) -> Int {
        guard let first = extents(of: piece).first, let file = first.file, files[file].length <= UInt64(geometry.pieceLength) else {
            return Int(geometry.pieceLength / PieceGeometry.blockLength)
        }
        let blocks = Int((files[file].length + 16383) / 16384)
        return blocks <= 1 ? 1 : 1 << (Int.bitWidth - (blocks - 1).leadingZeroBitCount)
    }

    /// What goes around the files.
    package struct Options: Sendable {
        package var trackers: [[String]] = []
        package var webSeeds: [String] = []
        package var isPrivate = false
        package var comment: String?
        package var creator: String?
        package var creationDate: Int64?
        package var source: String?
        package init() {}
    }

    /// Digests of the pieces in order, one run each of 20 and 32 bytes; empty where the version has no use for them.
    package struct Hashes: Sendable {
        package var sha1: [UInt8]
        /// Roots over each piece's blocks, by ``leaves(of:)``.
        package var roots: [UInt8]
        package init(sha1: [UInt8], roots: [UInt8]) { (self.sha1, self.roots) = (sha1, roots) }
    }

    /// The .torrent.
    package func make(hashes: Hashes, options: Options) -> [UInt8] {
        precondition(hashes.sha1.count == (version == .v2 ? 0 : geometry.pieceCount * 20))
        precondition(hashes.roots.count == (version == .v1 ? 0 : geometry.pieceCount * 32))
        var info = BencodeWriter()
        let layers = write(hashes, options, into: &info)
        return StoredTorrent.make(
            info: info.bytes, trackers: options.trackers, webSeeds: options.webSeeds, comment: options.comment,
            creator: options.creator, creationDate: options.creationDate, pieceLayers: version == .v1 ? nil : layers)
    }

    /// Returns the encoded piece layers.
    private func write(_ hashes: Hashes, _ options: Options, into w: inout BencodeWriter) -> [UInt8] {
        var tree = MerkleTree(pieceLength: UInt64(geometry.pieceLength))
        var layers: [(root: [UInt8], hashes: ArraySlice<UInt8>)] = []
        w.beginDictionary()
        if !isMultiFile, version != .v2, files[0].isExecutable {
            w.key("attr")
            w.string("x")
        }
        if version != .v1 {
            w.key("file tree")
            writeTree(hashes, &tree, &layers, into: &w)
        }
        if version != .v2 {
            if isMultiFile {
                w.key("files")
                writeList(into: &w)
            } else {
                w.key("length")
                w.integer(files[0].length)
            }
        }
        if version != .v1 {
            w.key("meta version")
            w.integer(2)
        }
        w.key("name")
        w.string(name)
        w.key("piece length")
        w.integer(geometry.pieceLength)
        if version != .v2 {
            w.key("pieces")
            w.string(hashes.sha1)
        }
        if options.isPrivate {
            w.key("private")
            w.integer(1)
        }
        if let source = options.source {
            w.key("source")
            w.string(source)
        }
        w.end()

        var out = BencodeWriter()
        out.beginDictionary()
        layers.sort { $0.root.lexicographicallyPrecedes($1.root) }
        for (i, layer) in layers.enumerated() where i == 0 || layers[i - 1].root != layer.root {
            out.key(layer.root)
            out.string(Array(layer.hashes))
        }
        out.end()
        return out.array
    }

    private func attributes(_ file: SourceFile) -> String {
        file.symlinkTarget != nil ? "l" : file.isExecutable ? "x" : ""
    }

    private func writeList(into w: inout BencodeWriter) {
        w.beginList()
        for stretch in stretches {
            w.beginDictionary()
            let file = stretch.file.map { files[$0] }
            let attr = file.map(attributes) ?? "p"
            if !attr.isEmpty {
                w.key("attr")
                w.string(attr)
            }
            w.key("length")
            w.integer(stretch.length)
            w.key("path")
            writePath(file?.path ?? [Array(".pad".utf8), Array(String(stretch.length).utf8)], into: &w)
            if let target = file?.symlinkTarget {
                w.key("symlink path")
                writePath(target, into: &w)
            }
            w.end()
        }
        w.end()
    }

    private func writePath(_ path: [[UInt8]], into w: inout BencodeWriter) {
        w.beginList()
        for component in path { w.string(component) }
        w.end()
    }

    private func writeTree(
        _ hashes: Hashes, _ tree: inout MerkleTree, _ layers: inout [(root: [UInt8], hashes: ArraySlice<UInt8>)],
        into w: inout BencodeWriter
    ) {
        var open: [[UInt8]] = []
        w.beginDictionary()
        for (i, file) in files.enumerated() {
            let path = isMultiFile ? file.path : [name]
            let folders = path.dropLast()
            var shared = 0
            while shared < open.count, shared < folders.count, open[shared] == folders[shared] { shared += 1 }
            for _ in shared..<open.count { w.end() }
            open.removeSubrange(shared...)
            for folder in folders.dropFirst(shared) {
                w.key(folder)
                w.beginDictionary()
                open.append(folder)
            }
            w.key(path.last!)
            w.beginDictionary()
            w.key("")
            w.beginDictionary()
            let attr = attributes(file)
            if !attr.isEmpty {
                w.key("attr")
                w.string(attr)
            }
            if file.symlinkTarget == nil {
                w.key("length")
                w.integer(file.length)
            }
            if file.length > 0 {
                let first = firstPieces[i], length = UInt64(geometry.pieceLength)
                let count = Int((file.length + length - 1) / length)
                let own = hashes.roots[first * 32..<(first + count) * 32]
                let root = count == 1 ? Array(own) : own.withUnsafeBytes { tree.root(ofPieceLayer: $0).bytes }
                if count > 1 { layers.append((root, own)) }
                w.key("pieces root")
                w.string(root)
            }
            if let target = file.symlinkTarget {
                w.key("symlink path")
                writePath(target, into: &w)
            }
            w.end()
            w.end()
        }
        for _ in open { w.end() }
        w.end()
    }
}
