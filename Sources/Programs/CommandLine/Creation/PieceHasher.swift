import CHash
import Dispatch
import Glibc
import Metainfo
import Primitives
import Synchronization

/// Reads and hashes all pieces on several threads. Each takes the next batch of pieces, reads it in order in runs of
/// 1 MiB, and hashes the batch's pieces side by side.
final class PieceHasher: Sendable {
    private let builder: MetainfoBuilder
    private let root: String
    private let batch: Int
    private let nextPiece = Atomic<Int>(0)
    private let bytesDone = Atomic<UInt64>(0)
    private let failure = Mutex<Failure?>(nil)

    private static let run = 1 << 20
    /// One thread's buffer: enough for 16 lanes of 2 MiB; larger pieces go by fewer.
    private static let batchBytes = 32 << 20

    init(_ builder: MetainfoBuilder, root: String) {
        self.builder = builder
        self.root = root
        batch = max(1, min(ccbt_sha1_best_batch(), Self.batchBytes / Int(builder.geometry.pieceLength)))
    }

    /// Where the threads write: each its own pieces, so never the same byte.
    private struct Digests: @unchecked Sendable {
        let sha1: UnsafeMutablePointer<UInt8>?, roots: UnsafeMutablePointer<UInt8>?
    }

    /// `progress` is called with the bytes hashed so far, about ten times a second, on the calling thread.
    func run(progress: (UInt64) -> Void) throws -> MetainfoBuilder.Hashes {
        let count = builder.geometry.pieceCount
        let digests = Digests(
            sha1: builder.version == .v2 ? nil : .allocate(capacity: count * 20),
            roots: builder.version == .v1 ? nil : .allocate(capacity: count * 32))
        defer {
            digests.sha1?.deallocate()
            digests.roots?.deallocate()
        }
        let threads = min(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))), 16, (count + batch - 1) / batch)
        let group = DispatchGroup()
        for _ in 0..<threads {
            DispatchQueue.global().async(group: group) { [self] in work(digests) }
        }
        while group.wait(timeout: .now() + .milliseconds(100)) == .timedOut { progress(bytesDone.load(ordering: .relaxed)) }
        if let failure = failure.withLock({ $0 }) { throw failure }
        return MetainfoBuilder.Hashes(
            sha1: digests.sha1.map { Array(UnsafeBufferPointer(start: $0, count: count * 20)) } ?? [],
            roots: digests.roots.map { Array(UnsafeBufferPointer(start: $0, count: count * 32)) } ?? [])
    }

    private func work(_ digests: Digests) {
        let pieceLength = Int(builder.geometry.pieceLength), count = builder.geometry.pieceCount
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: batch * pieceLength, alignment: 4096)
        var file = OpenFile()
        var tree = MerkleTree(pieceLength: UInt64(pieceLength))
        defer {
            buffer.deallocate()
            file.close()
        }
        while true {
            let first = nextPiece.add(batch, ordering: .relaxed).oldValue
            let end = min(first + batch, count)
            guard first < end, failure.withLock({ $0 == nil }) else { return }
            do {
                for piece in first..<end {
                    try read(PieceIndex(piece), into: buffer + (piece - first) * pieceLength, &file)
                }
            } catch let problem as Failure {
                failure.withLock { $0 = $0 ?? problem }
                return
            } catch {
                preconditionFailure("\(error)")
            }
            hash(first..<end, buffer, digests, &tree)
        }
    }

    private func read(_ piece: PieceIndex, into target: UnsafeMutableRawPointer, _ file: inout OpenFile) throws {
        var at = 0
        for extent in builder.extents(of: piece) {
            let length = Int(extent.length)
            guard let index = extent.file else {
                memset(target + at, 0, length)
                at += length
                continue
            }
            let path = builder.files[index].path.reduce(into: root) { $0 += "/" + String(decoding: $1, as: UTF8.self) }
            try file.open(index, path, length: builder.files[index].length)
            var done = 0
            while done < length {
                let n = pread(file.descriptor, target + at + done, min(Self.run, length - done), off_t(extent.offset) + off_t(done))
                if n < 0, errno == EINTR { continue }
                if n < 0 { throw Failure(.failed, "\(path): can't be read: \(String(cString: strerror(errno)))") }
                if n == 0 { throw OpenFile.changed(path) }
                done += n
                bytesDone.add(UInt64(n), ordering: .relaxed)
            }
            at += length
        }
    }

    private func hash(_ pieces: Range<Int>, _ buffer: UnsafeMutableRawPointer, _ digests: Digests, _ tree: inout MerkleTree) {
        let geometry = builder.geometry, pieceLength = Int(geometry.pieceLength)
        if let sha1 = digests.sha1 {
            // All but the torrent's last piece are of one length.
            let full = pieces.upperBound == geometry.pieceCount ? pieces.count - 1 : pieces.count
            if full > 0 {
                let starts = (0..<full).map { Optional(UnsafePointer((buffer + $0 * pieceLength).assumingMemoryBound(to: UInt8.self))) }
                starts.withUnsafeBufferPointer { ccbt_sha1_many($0.baseAddress!, pieceLength, full, sha1 + pieces.lowerBound * 20) }
            }
            if full < pieces.count {
                let last = pieces.upperBound - 1
                ccbt_sha1(
                    (buffer + full * pieceLength).assumingMemoryBound(to: UInt8.self), Int(geometry.length(of: PieceIndex(last))), sha1 + last * 20)
            }
        }
        guard let roots = digests.roots else { return }
        let block = Int(PieceGeometry.blockLength)
        var blocks: [UInt8] = []
        for piece in pieces {
            let index = PieceIndex(piece)
            // BEP 52: only the file's own bytes; what pads it for v1 readers is no leaf.
            let length = builder.extents(of: index).reduce(0) { $0 + ($1.file == nil ? 0 : Int($1.length)) }
            let count = (length + block - 1) / block
            blocks = [UInt8](unsafeUninitializedCapacity: count * 32) { out, initialized in
                for i in 0..<count {
                    let start = buffer + (piece - pieces.lowerBound) * pieceLength + i * block
                    ccbt_sha256(start.assumingMemoryBound(to: UInt8.self), min(block, length - i * block), out.baseAddress! + 32 * i)
                }
                initialized = count * 32
            }
            let root = blocks.withUnsafeBytes { tree.root(ofBlocks: $0, leaves: builder.leaves(of: index)) }
            root.copyBytes(to: roots + piece * 32)
        }
    }
}

/// The file that a thread reads at the moment: pieces follow one another, so one at a time is enough.
private struct OpenFile {
    private(set) var descriptor: Int32 = -1
    private var index = -1

    static func changed(_ path: String) -> Failure {
        Failure(.failed, "\(path): changed while it was read; start again when nothing writes to it")
    }

    mutating func open(_ wanted: Int, _ path: String, length: UInt64) throws {
        if index == wanted { return }
        close()
        descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(.failed, "\(path): can't be read: \(String(cString: strerror(errno)))") }
        index = wanted
        var status = stat()
        guard fstat(descriptor, &status) == 0, UInt64(status.st_size) == length else { throw Self.changed(path) }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
    }

    mutating func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
        index = -1
    }
}
