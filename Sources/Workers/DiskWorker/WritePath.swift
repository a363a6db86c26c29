import LinuxIO
import Pieces
import Primitives

// How a piece reaches the disk: hashed in the shard's run, then written from the same run.

extension DiskEngine {
    func hash(_ job: JobID, _ request: StoreRequest) {
        failPoints.hit(.blockQueued)
        guard let record = records[request.torrent], let memory = arenas.memory(request.run, byteCount: Int(request.length)), loadHashes(record) else {
            return handle(.written(job, DiskFault(.busy, "piece \(request.piece) of torrent \(request.torrent) cannot be hashed")))
        }
        pool.submit(record.task(Int(request.piece), UnsafeRawBufferPointer(memory), tag: HashTag.store(job)))
    }

    func hashEnded(_ outcome: HashPool.Outcome) {
        piecesHashed += 1
        if outcome.verdict != .good { piecesFailed += 1 }
        switch HashTag(outcome.tag) {
        case .store(let job):
            failPoints.hit(.pieceHashed)
            // No peer's fault: bytes that are right by one hash are what the torrent's maker hashed.
            if outcome.verdict == .contradiction { return handle(.written(job, Self.contradiction)) }
            handle(.hashed(job, matches: outcome.verdict == .good))
        case .check(let slot, let piece): checkHashed(slot, piece, outcome.verdict)
        }
    }

    static let contradiction = DiskFault(
        .badMetainfo, "a piece is right by one of its hashes and wrong by the other: the torrent's v1 and v2 halves describe different data")

    func write(_ job: JobID, _ request: StoreRequest) {
        guard let record = records[request.torrent], let layout = record.layout,
            let memory = arenas.memory(request.run, byteCount: Int(request.length))
        else { return handle(.written(job, DiskFault(.busy, "piece \(request.piece) of a torrent that is gone"))) }
        let buffer = arenas.buffer(request.run, byteCount: Int(request.length))
        let group = TransferGroup { [unowned self] group in
            failPoints.hit(.writeDone)
            if group.fault == nil, core.have(request.torrent).map({ $0.setCount + 1 == $0.count }) ?? false { failPoints.hit(.lastPiece) }
            handle(.written(job, group.fault))
        }
        layout.forEachExtent(at: layout.geometry.offset(of: PieceIndex(rawValue: request.piece)), length: request.length) { extent in
            if extent.isPad { return }
            group.outstanding += 1
            let range = Int(extent.pieceOffset)..<Int(extent.pieceOffset + extent.length)
            table.use(record, extent.file.int, writing: true) { [unowned self] result in
                switch result {
                case .success(let file):
                    record.dirty.insert(extent.file.int)
                    transfers.start(
                        group, file, write: true, memory: memory.baseAddress!, start: range.lowerBound, length: range.count,
                        offset: extent.fileOffset, buffer: buffer)
                case .failure(let fault): group.failed(range, fault)
                }
                group.release()
            }
        }
        failPoints.hit(.writeSubmitted)
        group.release()
    }

    /// Piece hashes are kept while a torrent needs them, and read again from its metainfo when they are not there.
    func loadHashes(_ record: TorrentRecord) -> Bool {
        guard record.hashes.isEmpty, let layout = record.layout, layout.geometry.pieceCount > 0 else { return true }
        guard let (fresh, hashes) = try? loadMetainfo(record.spec.metainfoPath, operations), fresh.geometry == layout.geometry else { return false }
        record.hashes = hashes
        return true
    }
}

/// Who asked for a hash: in the tag of the pool's tasks.
enum HashTag {
    case store(JobID)
    case check(slot: UInt32, piece: Int)

    static func store(_ job: JobID) -> UInt64 { UInt64(job.generation) << 32 | UInt64(job.index) }
    /// `piece`: number within the chunk, under 2^31.
    static func check(slot: UInt32, piece: Int) -> UInt64 { 1 << 63 | UInt64(piece) << 32 | UInt64(slot) }
    init(_ tag: UInt64) {
        if tag >> 63 == 1 {
            self = .check(slot: UInt32(truncatingIfNeeded: tag), piece: Int(tag >> 32 & 0x7FFF_FFFF))
        } else {
            self = .store(JobID(index: UInt32(truncatingIfNeeded: tag), generation: UInt32(tag >> 32)))
        }
    }
}
