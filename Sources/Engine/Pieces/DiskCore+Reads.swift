import Primitives

// The upload path: ReadPiece → read into the run → done.

extension DiskCore {
    mutating func read(_ request: ReadRequest, _ now: Instant, _ effects: inout [DiskEffect]) {
        if isDraining { return }  // asked again of the next worker
        guard let row = rowOf[request.torrent] else {
            if isReplayed { effects.append(.readDone(request, .notReady)) } else { hold(.read(request), &effects) }
            return
        }
        let torrent = self[row: row]
        switch torrent.phase {
        case .queued, .opening: return hold(.read(request), &effects)
        // Pieces that are not in doubt are served during a check.
        case .ready, .checkQueued, .checking: break
        case .failed, .settling, .moving, .deleting:
            effects.append(.readDone(request, .notReady))
            return
        }
        guard let piece = torrent.layout!.geometry.piece(request.piece), request.length > 0,
            request.offset % PieceGeometry.blockLength == 0,
            UInt64(request.offset) + UInt64(request.length) <= UInt64(torrent.layout!.geometry.length(of: piece)), torrent.have[piece.int]
        else {
            effects.append(.readDone(request, .noSuchPiece))
            return
        }
        let id = addJob(.read(request, isRetry: false), row: row, bytes: Int(request.length))
        admission.enqueue(.read, id, bytes: Int(request.length))
    }

    mutating func readEnded(_ id: JobID, _ fault: DiskFault?, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let job = job(id), case .read(let request, let isRetry) = job.kind else { return }
        guard let fault else {
            effects.append(.readDone(request, .done))
            return end(id, now, &effects)
        }
        switch fault.kind {
        case .io where !isRetry:
            // Read once more before the piece is given up (RELIABILITY D3).
            jobs[Int(id.index)].job!.kind = .read(request, isRetry: true)
            effects.append(.readFile(id, request))
        case .io:
            effects.append(.readDone(request, .ioError))
            loseReadPiece(job.row, Int(request.piece), fault, &effects)
            end(id, now, &effects)
        case .missing, .changed:
            effects.append(.readDone(request, .ioError))
            fileChanged(request.torrent, fault, now, &effects)
            end(id, now, &effects)
        default:
            // Passes by itself, or shows itself again with the next write.
            effects.append(.log(fault.text))
            effects.append(.readDone(request, .ioError))
            end(id, now, &effects)
        }
    }

    /// Two reads of it failed: it is not ours any more, and is fetched again if the volume takes writes.
    private mutating func loseReadPiece(_ row: Int, _ piece: Int, _ fault: DiskFault, _ effects: inout [DiskEffect]) {
        guard self[row: row].have[piece] else { return }
        self[row: row].remove(piece)
        let id = self[row: row].id
        if self[row: row].durable.remove(piece) { effects.append(.undurable(id, [(piece, 1)])) }
        self[row: row].isFinished = false
        effects.append(.log("piece \(piece) lost: \(fault.text)"))
        if self[row: row].phase == .ready { announce(row, shard: nil, &effects) }
        var report = self[row: row].report
        report.fault = fault
        effects.append(.report(id, report))
    }
}
