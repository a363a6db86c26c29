import Primitives

// The download path: StorePiece → hash → verified → write → written.

extension DiskCore {
    mutating func store(_ request: StoreRequest, _ now: Instant, _ effects: inout [DiskEffect]) {
        // Re-sent by a shard after its restart or ours: answered when the job in work ends, and told how far it is.
        if let id = storeOf[request.run], let job = job(id), case .store(let current, let isVerified) = job.kind {
            if current == request {
                if isVerified { effects.append(.verified(request)) }
            } else {
                waitingForRun[request.run, default: []].append(request)
            }
            return
        }
        if isDraining { return }  // asked again of the next worker
        guard let row = rowOf[request.torrent] else {
            if isReplayed { effects.append(.storeFailed(request, .unready)) } else { hold(.store(request), &effects) }
            return
        }
        let torrent = self[row: row]
        switch torrent.phase {
        case .ready: break
        case .queued, .opening: return hold(.store(request), &effects)
        case .checkQueued, .checking:
            if torrent.isFullCheck { effects.append(.storeFailed(request, .unready)) } else { hold(.store(request), &effects) }
            return
        case .failed:
            effects.append(.storeFailed(request, torrent.fault?.kind.storeFailure ?? .ioError))
            return
        case .settling, .moving, .deleting:
            effects.append(.storeFailed(request, .unready))
            return
        }
        guard let piece = torrent.layout!.geometry.piece(request.piece), torrent.layout!.geometry.length(of: piece) == request.length else {
            effects.append(.storeFailed(request, .unready))
            return
        }
        if torrent.have[piece.int] {
            effects.append(.verified(request))
            effects.append(.stored(request))
            return
        }
        if torrent.isBlocked {
            effects.append(.storeFailed(request, torrent.fault?.kind.storeFailure ?? .diskFull))
            return
        }
        let id = addJob(.store(request, isVerified: false), row: row, bytes: Int(request.length))
        storeOf[request.run] = id
        effects.append(.hash(id, request))
    }

    mutating func hashed(_ id: JobID, _ matches: Bool, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let job = job(id), case .store(let request, _) = job.kind else { return }
        guard matches else {
            effects.append(.storeFailed(request, .hashMismatch))
            return end(id, now, &effects)
        }
        let torrent = self[row: job.row]
        guard torrent.phase == .ready || torrent.phase == .settling, !torrent.isBlocked else {
            effects.append(.storeFailed(request, torrent.isBlocked ? torrent.fault?.kind.storeFailure ?? .diskFull : .unready))
            return end(id, now, &effects)
        }
        jobs[Int(id.index)].job!.kind = .store(request, isVerified: true)
        effects.append(.verified(request))
        admission.enqueue(.write, id, bytes: job.bytes)
    }

    mutating func written(_ id: JobID, _ fault: DiskFault?, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let job = job(id), case .store(let request, _) = job.kind else { return }
        let row = job.row, phase = self[row: row].phase
        if let fault {
            effects.append(.storeFailed(request, fault.kind.storeFailure))
            writeFailed(row, fault, now, &effects)
        } else if phase == .ready || phase == .settling {
            if self[row: row].insert(Int(request.piece)) {
                dirtyBytes += UInt64(request.length)
                if !self[row: row].isDirty {
                    self[row: row].isDirty = true
                    dirtyRows.append(row)
                }
                if dirtySince == .never { dirtySince = now }
                changed(row)
            }
            effects.append(.stored(request))
            // The last piece is not left to the timer.
            if self[row: row].isComplete { startSync(row, now, &effects) }
        } else {
            // Its torrent failed meanwhile; the next look decides what is there.
            effects.append(.storeFailed(request, .unready))
        }
        end(id, now, &effects)
    }

    // MARK: Held requests

    mutating func hold(_ request: HeldRequest, _ effects: inout [DiskEffect]) {
        let id: TorrentID
        switch request {
        case .store(let r): id = r.torrent
        case .read(let r): id = r.torrent
        }
        guard heldCount + orphans.count < limits.heldRequests else { return refuse(request, &effects) }
        if let row = rowOf[id] {
            self[row: row].held.append(request)
            heldCount += 1
        } else {
            orphans.append(request)
        }
    }
    func refuse(_ request: HeldRequest, _ effects: inout [DiskEffect]) {
        switch request {
        case .store(let r): effects.append(.storeFailed(r, .unready))
        case .read(let r): effects.append(.readDone(r, .notReady))
        }
    }
    mutating func releaseHeld(_ row: Int, _ effects: inout [DiskEffect]) {
        for request in self[row: row].held { refuse(request, &effects) }
        heldCount -= self[row: row].held.count
        self[row: row].held = []
    }
}
