import CHash
import Glibc
import LinuxIO
import Pieces
import Primitives

// The look at a torrent: its metainfo, the size of each file, and for a check where data is at all.

extension DiskEngine {
    func look(_ id: TorrentID, _ spec: TorrentSpec, _ scan: Bool, isSettled: Bool) {
        let record = records[id] ?? TorrentRecord(id: id, spec: spec)
        records[id] = record
        record.spec = spec
        let operations = operations, box = Box<Result<Looked, DiskFault>>()
        work({
            do throws(DiskFault) { box.value = .success(try lookAt(spec, scan, isSettled, operations)) } catch { box.value = .failure(error) }
            return 0
        }) { [unowned self] _ in
            switch box.value! {
            case .failure(let fault): handle(.opened(id, .failure(fault)))
            case .success(let looked):
                guard records[id] != nil else { return handle(.opened(id, .success(looked.found))) }
                let layout = looked.found.layout
                // Bytes changed their place: what is open and known of files is about others.
                if let before = record.layout, before.inParts != layout.inParts || before.partIndex != layout.partIndex {
                    table.closeAll(record, forgetting: true)
                }
                record.layout = layout
                record.original = looked.original
                record.exists = Bitfield(count: layout.files.count)
                for i in layout.files.indices where looked.found.sizes[i] >= Int64(layout.files[i].length) { record.exists.insert(i) }
                // A torrent that is whole on disk needs none until a recheck.
                let isWhole = !scan && Bitfield(wire: spec.durable, count: layout.geometry.pieceCount)?.isFull ?? false
                record.hashes = isWhole ? PieceHashes() : looked.hashes
                handle(.opened(id, .success(looked.found)))
            }
        }
    }
}

private struct Looked: Sendable {
    let found: TorrentFound
    let original: FileLayout
    let hashes: PieceHashes
}

private func lookAt(_ spec: TorrentSpec, _ scan: Bool, _ isSettled: Bool, _ operations: FileOperations) throws(DiskFault) -> Looked {
    let (original, hashes) = try loadMetainfo(spec.metainfoPath, operations)
    let layout = try PartFile.layout(original.named(spec.names), spec, isSettled: isSettled, operations)
    var sizes = [Int64](repeating: -1, count: layout.files.count)
    do throws(Errno) {
        let root: Int32
        do throws(Errno) { root = try operations.openFolder(spec.savePath) } catch {
            guard error.code == ENOENT else { throw error }
            // Not made yet: its volume is that of the nearest folder above it.
            let volume = try nearestVolume(spec.savePath, operations)
            for i in sizes.indices where layout.files[i].isPad || layout.files[i].linkTarget != nil { sizes[i] = 0 }
            return Looked(found: found(layout, volume, sizes, scan ? Scan(layout) : nil, hashes), original: original, hashes: hashes)
        }
        defer { operations.close(root) }
        let volume = try operations.status(root).device
        var map = scan ? Scan(layout) : nil
        for (i, file) in layout.files.enumerated() {
            if file.isPad || file.linkTarget != nil {
                sizes[i] = 0
                continue
            }
            do throws(Errno) {
                let status = try operations.status(under: root, file.path)
                if status.isRegular { sizes[i] = Int64(clamping: status.size) }
            } catch {
                guard error.code == ENOENT || error.code == ENOTDIR || error.code == ELOOP else { throw error }
            }
            if sizes[i] > 0, map != nil { map!.add(i, size: UInt64(sizes[i]), root, operations) }
        }
        return Looked(found: found(layout, volume, sizes, map, hashes), original: original, hashes: hashes)
    } catch {
        throw DiskFault(errno: error, "look at \(spec.savePath)")
    }
}

private func nearestVolume(_ path: String, _ operations: FileOperations) throws(Errno) -> UInt64 {
    var path = path
    while let slash = path.lastIndex(of: "/") {
        path = String(path[..<slash])
        do throws(Errno) { return try operations.status(path.isEmpty ? "/" : path).device } catch {
            guard error.code == ENOENT else { throw error }
            if path.isEmpty { throw error }
        }
    }
    return try operations.status(".").device
}

private func found(_ layout: FileLayout, _ volume: UInt64, _ sizes: [Int64], _ scan: Scan?, _ hashes: PieceHashes) -> TorrentFound {
    guard let scan else { return TorrentFound(layout: layout, volume: volume, sizes: sizes) }
    return TorrentFound(layout: layout, volume: volume, sizes: sizes, withData: scan.withData, zeros: scan.zeros(sizes, hashes))
}

/// Which pieces have data: SEEK_DATA tells it without a read. What was preallocated and never written is a hole.
private struct Scan {
    /// Data ranges of one file beyond which it counts as data throughout: a file in 100,000 fragments is read anyway.
    private static let rangeLimit = 100_000
    let layout: FileLayout
    private(set) var withData: Bitfield

    init(_ layout: FileLayout) {
        self.layout = layout
        withData = Bitfield(count: layout.geometry.pieceCount)
    }

    mutating func add(_ file: Int, size: UInt64, _ root: Int32, _ operations: FileOperations) {
        let length = min(size, layout.files[file].length)
        guard length > 0 else { return }
        // Where the file system or a fault says nothing, the check reads it.
        guard let fd = try? operations.open(under: root, layout.files[file].path, O_RDONLY) else { return mark(file, 0, length) }
        defer { operations.close(fd) }
        var at: UInt64 = 0, ranges = 0
        while at < length {
            ranges += 1
            guard ranges <= Self.rangeLimit else { return mark(file, at, length) }
            do throws(Errno) {
                guard let data = try operations.nextData(fd, from: at), data < length else { return }
                let hole = try operations.nextHole(fd, from: data) ?? length
                mark(file, data, min(max(hole, data + 1), length))
                at = max(hole, data + 1)
            } catch {
                return mark(file, at, length)
            }
        }
    }
    private mutating func mark(_ file: Int, _ from: UInt64, _ to: UInt64) {
        guard to > from else { return }
        let size = UInt64(layout.geometry.pieceLength), start = layout.start(of: file)
        for piece in Int((start + from) / size)...Int((start + to - 1) / size) { withData.insert(piece) }
    }

    /// Pieces without data that are zeros by their hash: a hole reads as zeros, if its files have their length.
    func zeros(_ sizes: [Int64], _ hashes: PieceHashes) -> Bitfield {
        let geometry = layout.geometry
        var out = Bitfield(count: geometry.pieceCount), whole: [UInt8] = [], last: [UInt8] = []
        guard geometry.pieceCount > withData.setCount else { return out }
        var lacking = Bitfield(count: geometry.pieceCount)
        for i in layout.files.indices where !layout.files[i].isPad && sizes[i] < Int64(layout.files[i].length) {
            for piece in layout.pieces(of: i) { lacking.insert(piece) }
        }
        var zeroRoots: [ExpectedRoot: SHA256Digest] = [:]
        for piece in 0..<geometry.pieceCount where !withData[piece] && !lacking[piece] {
            if var root = hashes.version2?.expected(piece) {
                let expected = root.root
                root.root = SHA256Digest()
                // All whole pieces have one such root; files end at as many lengths as there are files.
                if zeroRoots.count > 64 { zeroRoots.removeAll() }
                if zeroRoots[root] == nil { zeroRoots[root] = zeroRoot(root) }
                if zeroRoots[root] != expected { continue }
                if hashes.version1.isEmpty {
                    out.insert(piece)
                    continue
                }
            }
            if hashes.version1.isEmpty { continue }
            let isLast = piece == geometry.pieceCount - 1
            if isLast {
                if last.isEmpty { last = zeroDigest(Int(geometry.length(of: PieceIndex(piece)))) }
            } else if whole.isEmpty {
                whole = zeroDigest(Int(geometry.pieceLength))
            }
            if hashes.version1[piece * 20..<piece * 20 + 20].elementsEqual(isLast ? last : whole) { out.insert(piece) }
        }
        return out
    }
}

/// The BEP 52 node over a piece of zeros.
private func zeroRoot(_ piece: ExpectedRoot) -> SHA256Digest {
    let zeros = [UInt8](repeating: 0, count: Int(piece.length)), blocks = Int(PieceRoots.blocks(UInt64(piece.length)))
    var scratch = [UInt8](repeating: 0, count: 32 * (blocks + 1)), out = [UInt8](repeating: 0, count: 32)
    ccbt_merkle_root(zeros, zeros.count, Int(piece.width), &scratch, &out)
    return SHA256Digest(out)!
}

/// SHA-1 of `count` zeros.
private func zeroDigest(_ count: Int) -> [UInt8] {
    let zeros = [UInt8](repeating: 0, count: 64 << 10)
    var context = ccbt_sha1_context(), out = [UInt8](repeating: 0, count: 20)
    ccbt_sha1_start(&context)
    zeros.withUnsafeBufferPointer { buffer in
        var left = count
        while left >= buffer.count {
            withUnsafeMutablePointer(to: &context) { c in
                var contexts: UnsafeMutablePointer<ccbt_sha1_context>? = c, data: UnsafePointer<UInt8>? = buffer.baseAddress
                ccbt_sha1_advance(CCBT_SHA1_AUTO, &contexts, &data, buffer.count / 64, 1)
            }
            left -= buffer.count
        }
        ccbt_sha1_finish(&context, buffer.baseAddress, left, &out)
    }
    return out
}
