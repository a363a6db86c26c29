import CHash
import Glibc
import LinuxIO
import Pieces
import Primitives

/// A run of hashes that a peer asks for (BEP 52).
package struct HashesRequest: Equatable, Sendable {
    package var torrent: TorrentID
    package var root: SHA256Digest
    package var baseLayer: UInt32, index: UInt32, length: UInt32, proofLayers: UInt32
    package init(torrent: TorrentID, root: SHA256Digest, baseLayer: UInt32, index: UInt32, length: UInt32, proofLayers: UInt32) {
        (self.torrent, self.root) = (torrent, root)
        (self.baseLayer, self.index, self.length, self.proofLayers) = (baseLayer, index, length, proofLayers)
    }
}

/// The trees that peers asked about lately, the latest last; at most ``limit`` bytes.
struct TreeCache {
    private static let limit = 32 << 20
    private var trees: [(torrent: TorrentID, root: SHA256Digest, tree: FileTree, roots: PieceRoots, file: PieceRoots.File)] = []
    private var bytes = 0

    mutating func find(_ torrent: TorrentID, _ root: SHA256Digest) -> (tree: FileTree, roots: PieceRoots, file: PieceRoots.File)? {
        guard let i = trees.firstIndex(where: { $0.torrent == torrent && $0.root == root }) else { return nil }
        let found = trees.remove(at: i)
        trees.append(found)
        return (found.tree, found.roots, found.file)
    }
    mutating func keep(_ torrent: TorrentID, _ tree: FileTree, _ roots: PieceRoots, _ file: PieceRoots.File) {
        guard !trees.contains(where: { $0.torrent == torrent && $0.root == file.root }) else { return }
        trees.append((torrent, file.root, tree, roots, file))
        // The table of a torrent's hashes hangs on each of its trees.
        bytes += tree.byteCount + 32 * roots.pieceCount
        while bytes > Self.limit, trees.count > 1 { drop(0) }
    }
    mutating func forget(_ torrent: TorrentID) {
        for i in trees.indices.reversed() where trees[i].torrent == torrent { drop(i) }
    }
    private mutating func drop(_ i: Int) {
        let gone = trees.remove(at: i)
        bytes -= gone.tree.byteCount + 32 * gone.roots.pieceCount
    }
}

// Hash requests of peers: piece layers from the metainfo, block hashes from the file's own bytes.
extension DiskEngine {
    /// Reads for block hashes that run at a time: each up to 8 MiB, or one piece.
    static let hashReadsAtOnce = 4

    /// The file and the v2 hash of a piece, where there is one and it is loaded.
    func expectedRoot(_ id: TorrentID, _ piece: Int) -> (file: PieceRoots.File, expected: ExpectedRoot)? {
        guard let roots = records[id]?.hashes.version2, let file = roots.file(of: piece), let expected = roots.expected(piece) else { return nil }
        return (file, expected)
    }
    func blocksPerPiece(_ id: TorrentID) -> UInt32 { (records[id]?.layout?.geometry.pieceLength ?? 0) / PieceGeometry.blockLength }

    /// `reply` gets the run and its uncles, or nothing when they cannot be had.
    package func hashes(_ request: HashesRequest, reply: @escaping ([UInt8]) -> Void) {
        guard let record = records[request.torrent], let layout = record.layout, let have = core.have(request.torrent),
            have.count == layout.geometry.pieceCount, hashReads < Self.hashReadsAtOnce
        else { return reply([]) }
        let known = trees.find(request.torrent, request.root)
        let path = record.spec.metainfoPath, folder = record.spec.savePath, loaded = record.hashes.version2, operations = operations
        let box = Box<HashAnswer>()
        hashReads += 1
        work({
            var found = known
            if found == nil {
                guard let roots = loaded ?? (try? loadMetainfo(path, operations))?.hashes.version2, let file = roots.file(root: request.root),
                    let tree = FileTree(file, roots)
                else { return 0 }
                found = (tree, roots, file)
            }
            let (tree, roots, file) = found!
            let source = BlockSource(operations: operations, folder: folder, path: layout.files[file.index].path)
            box.value = HashAnswer(
                bytes: run(request, tree, file, pieceLength: Int(roots.pieceLength), have: have, source), tree: tree, roots: roots, file: file)
            return 0
        }) { [unowned self] _ in
            hashReads -= 1
            guard let answer = box.value else { return reply([]) }
            if known == nil, records[request.torrent] != nil { trees.keep(request.torrent, answer.tree, answer.roots, answer.file) }
            reply(answer.bytes)
        }
    }
}

private struct HashAnswer: Sendable {
    let bytes: [UInt8], tree: FileTree, roots: PieceRoots, file: PieceRoots.File
}

/// The bytes of one file.
private struct BlockSource: Sendable {
    let operations: FileOperations, folder: String, path: String
    func read(at offset: UInt64, count: Int) -> [UInt8]? {
        guard let root = try? operations.openFolder(folder) else { return nil }
        defer { operations.close(root) }
        guard let fd = try? operations.open(under: root, path, O_RDONLY) else { return nil }
        defer { operations.close(fd) }
        var got = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, n in
            got = (try? operations.readAll(fd, buffer.baseAddress!, count, offset: offset)) ?? 0
            n = got
        }
        return got == count ? bytes : nil
    }
}

/// The answer to `r`; empty when the numbers name nothing, or what they name is not on disk.
private func run(
    _ r: HashesRequest, _ tree: FileTree, _ file: PieceRoots.File, pieceLength: Int, have: Bitfield, _ source: BlockSource
) -> [UInt8] {
    let base = Int(r.baseLayer), length = Int(r.length), first = Int(r.index), layers = length.trailingZeroBitCount
    // The run lies in the tree, and the proof ends below the root.
    guard base + layers <= tree.height, first + length <= 1 << (tree.height - base), base + Int(r.proofLayers) < tree.height else { return [] }
    // Block hashes cost a read: 512 blocks or one piece of it at most.
    guard base >= tree.base || length << base <= max(512, 1 << tree.base) else { return [] }
    var out: [UInt8] = []
    out.reserveCapacity(32 * (length + 32))
    if base >= tree.base {
        for place in first..<first + length { out += tree.node(layer: base, place) }
        for layer in base + layers..<max(base + layers, base + Int(r.proofLayers) + 1) { out += tree.node(layer: layer, first >> (layer - base) ^ 1) }
        return out
    }
    // Below the pieces: hashes of the blocks of every piece that the run touches, each piece with its own small tree.
    let perPiece = 1 << (tree.base - base), firstPiece = first / perPiece, lastPiece = (first + length - 1) / perPiece
    var levels: [[UInt8]] = []
    for piece in firstPiece...lastPiece {
        let begin = UInt64(piece) * UInt64(pieceLength)
        var leaves = [UInt8](repeating: 0, count: 32 << tree.base)
        if begin < file.length {
            guard have[file.firstPiece + piece],
                let bytes = source.read(at: begin, count: Int(min(UInt64(pieceLength), file.length - begin)))
            else { return [] }
            _ = leaves.withUnsafeMutableBytes { raw in
                ccbt_merkle_leaves(bytes, bytes.count, raw.bindMemory(to: UInt8.self).baseAddress!)
            }
        }
        var level = leaves, layer = 0
        while layer <= tree.base {
            if levels.count <= layer { levels.append([]) }
            levels[layer] += level
            if layer < tree.base { level = FileTree.parents(level) }
            layer += 1
        }
    }
    func node(_ layer: Int, _ place: Int) -> ArraySlice<UInt8> {
        if layer >= tree.base { return tree.node(layer: layer, place) }
        let at = place - (firstPiece << (tree.base - layer))
        return levels[layer][32 * at..<32 * at + 32]
    }
    for place in first..<first + length { out += node(base, place) }
    for layer in base + layers..<max(base + layers, base + Int(r.proofLayers) + 1) { out += node(layer, first >> (layer - base) ^ 1) }
    return out
}
