import Glibc
import LinuxIO
import Metainfo
import Pieces
import Primitives

/// What the shell keeps of a torrent: where its files are, their layout and, while needed, its piece hashes.
final class TorrentRecord {
    let id: TorrentID
    var spec: TorrentSpec
    var layout: FileLayout?
    /// With the paths of the metainfo.
    var original: FileLayout?
    /// Dropped when the torrent is complete, read again from the metainfo when needed.
    var hashes = PieceHashes()
    /// Files that stand there in full length, as found or made by us: they may not be made anew.
    var exists = Bitfield(count: 0)
    /// Files written since their last sync.
    var dirty: Set<Int> = []
    /// How each file was when we last closed it.
    var identities: [Int: FileIdentity] = [:]

    init(id: TorrentID, spec: TorrentSpec) {
        self.id = id
        self.spec = spec
    }

    func path(_ file: Int) -> String { layout!.files[file].path }
    /// For messages.
    func name(_ file: Int) -> String { "\(spec.savePath)/\(path(file))" }

    func task(_ piece: Int, _ memory: UnsafeRawBufferPointer, tag: UInt64) -> HashPool.Task {
        HashPool.Task(memory: memory, version1: hashes.expected(piece), version2: hashes.version2?.expected(piece), tag: tag)
    }
}

/// A file is the one that was verified while these stay the same.
struct FileIdentity: Hashable, Sendable {
    let device: UInt64, inode: UInt64, size: UInt64
    let modifiedNanoseconds: Int64
    init(_ s: Files.Status) {
        (device, inode, size, modifiedNanoseconds) = (s.device, s.inode, s.size, s.modifiedNanoseconds)
    }
}

/// Metainfo files are read whole; the largest real one has some 30 MiB.
let metainfoLimit: UInt64 = 64 << 20

/// The stored .torrent as the disk needs it. Blocking.
func loadMetainfo(_ path: String, _ operations: FileOperations) throws(DiskFault) -> (layout: FileLayout, hashes: PieceHashes) {
    let bytes: [UInt8]
    do throws(Errno) {
        let fd = try operations.open(path, O_RDONLY)
        defer { operations.close(fd) }
        let size = try operations.status(fd).size
        guard size <= metainfoLimit else { throw Errno(EFBIG) }
        var buffer = [UInt8](repeating: 0, count: Int(size)), got = 0
        var failure: Errno?
        buffer.withUnsafeMutableBytes { raw in
            guard let p = raw.baseAddress else { return }
            do throws(Errno) { got = try operations.readAll(fd, p, raw.count, offset: 0) } catch { failure = error }
        }
        if let failure { throw failure }
        bytes = got == buffer.count ? buffer : Array(buffer[..<got])
    } catch {
        throw DiskFault(error.code == ENOENT || error.code == EFBIG ? .badMetainfo : DiskFault(errno: error, "").kind, "metainfo \(path): \(error)")
    }
    let meta: Metainfo
    do throws(MetainfoError) { meta = try Metainfo(parsing: bytes) } catch {
        throw DiskFault(.badMetainfo, "metainfo \(path): \(error)")
    }
    let isVersion2Only = meta.pieceHashes == nil
    if isVersion2Only, !meta.hasAllPieceLayers { throw DiskFault(.badMetainfo, "metainfo \(path): its piece layers are missing") }
    var files: [LayoutFile] = []
    files.reserveCapacity(meta.files.count)
    for file in meta.files {
        let link = file.attributes.contains(.symlink)
        files.append(
            LayoutFile(
                path: file.isPad ? "" : file.path, length: file.length, isPad: file.isPad,
                isExecutable: file.attributes.contains(.executable),
                linkTarget: link ? file.symlinkTarget?.joined(separator: "/") ?? "" : nil))
    }
    guard let layout = FileLayout(files: files, pieceLength: meta.geometry.pieceLength, hasVirtualPads: isVersion2Only),
        layout.geometry == meta.geometry, meta.pieceHashes.map({ $0.count == layout.geometry.pieceCount * 20 }) ?? true
    else { throw DiskFault(.badMetainfo, "metainfo \(path): its lengths do not agree") }
    return (layout, PieceHashes(version1: meta.pieceHashes.map { Array(bytes[$0]) } ?? [], version2: PieceRoots(meta, bytes)))
}
