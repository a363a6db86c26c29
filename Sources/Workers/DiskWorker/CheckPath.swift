import Glibc
import LinuxIO
import Pieces
import Primitives

// A recheck's chunk: neighbouring pieces read in as few operations as they have files, hashed together.

final class CheckJob {
    let job: JobID
    let memory: UnsafeMutableRawPointer, byteCount: Int
    var good: [Bool]
    var waiting = 0
    var fault: DiskFault?
    init(job: JobID, memory: UnsafeMutableRawPointer, byteCount: Int, pieces: Int) {
        (self.job, self.memory, self.byteCount) = (job, memory, byteCount)
        good = [Bool](repeating: false, count: pieces)
    }
}

extension DiskEngine {
    func check(_ job: JobID, _ id: TorrentID, _ first: Int, _ count: Int) {
        guard let record = records[id], let layout = record.layout, loadHashes(record) else {
            return handle(.checked(job, good: [], DiskFault(.busy, "check of a torrent whose piece hashes cannot be read")))
        }
        let geometry = layout.geometry, begin = geometry.offset(of: PieceIndex(first))
        let end = geometry.offset(of: PieceIndex(first + count - 1)) + UInt64(geometry.length(of: PieceIndex(first + count - 1)))
        let length = Int(end - begin)
        // Two pages of room: one to shift the chunk, one behind it for a file's last sector. Rounded so that the last,
        // shorter chunk uses the same buffers.
        let byteCount = (max(length, options.limits.checkChunkBytes) + 3 * 4096) & ~4095
        let memory: UnsafeMutableRawPointer
        do throws(Errno) { memory = try checkBuffers.take(byteCount) } catch {
            return handle(.checked(job, good: [], DiskFault(errno: error, "memory for a check")))
        }
        // Shifted so that the chunk's largest extent has the alignment of its file offset: O_DIRECT in any layout.
        var shift = 0, largest: UInt32 = 0
        layout.forEachExtent(at: begin, length: UInt32(length)) { extent in
            guard !extent.isPad, extent.length > largest else { return }
            largest = extent.length
            shift = Int((extent.fileOffset &- UInt64(extent.pieceOffset)) & 4095)
        }
        let check = CheckJob(job: job, memory: memory, byteCount: byteCount, pieces: count), base = memory + shift
        let group = TransferGroup { [unowned self] group in hashChunk(check, group, record, base, first) }
        layout.forEachExtent(at: begin, length: UInt32(length)) { extent in
            let range = Int(extent.pieceOffset)..<Int(extent.pieceOffset + extent.length)
            if extent.isPad {
                // Nothing looks at the gaps of a v2-only torrent.
                if layout.hasVirtualPads { return }
                memset(base + range.lowerBound, 0, range.count)
                return
            }
            group.outstanding += 1
            table.use(record, extent.file.int, writing: false) { [unowned self] result in
                switch result {
                case .success(let file):
                    transfers.start(
                        group, file, write: false, memory: base, start: range.lowerBound, length: range.count,
                        offset: extent.fileOffset, room: range.upperBound == length ? 4096 : 0)
                case .failure(let fault): group.failed(range, fault)
                }
                group.release()
            }
        }
        group.release()
    }

    private func hashChunk(_ check: CheckJob, _ group: TransferGroup, _ record: TorrentRecord, _ base: UnsafeMutableRawPointer, _ first: Int) {
        // A missing file is what a check is for; other faults are said.
        check.fault = group.faults.first { $0.fault.kind != .missing }?.fault
        let slot = check.job.index, geometry = record.layout!.geometry, size = Int(geometry.pieceLength)
        var tasks: [HashPool.Task] = []
        tasks.reserveCapacity(check.good.count)
        for i in check.good.indices {
            let range = i * size..<i * size + Int(geometry.length(of: PieceIndex(first + i)))
            if group.faults.contains(where: { $0.range.overlaps(range) }) { continue }
            tasks.append(
                record.task(
                    first + i, UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count), tag: HashTag.check(slot: slot, piece: i)))
        }
        check.waiting = tasks.count
        checkJobs[slot] = check
        if tasks.isEmpty { checkEnded(check) } else { pool.submit(tasks) }
    }

    func checkHashed(_ slot: UInt32, _ piece: Int, _ verdict: HashPool.Verdict) {
        guard let check = checkJobs[slot] else { preconditionFailure("hash of no check") }
        check.good[piece] = verdict == .good
        if verdict == .contradiction { check.fault = Self.contradiction }
        check.waiting -= 1
        if check.waiting == 0 { checkEnded(check) }
    }

    private func checkEnded(_ check: CheckJob) {
        checkJobs[check.job.index] = nil
        checkBuffers.give(check.memory, check.byteCount)
        handle(.checked(check.job, good: check.good, check.fault))
        if checkJobs.isEmpty, !core.isChecking { checkBuffers.drop() }
    }
}
