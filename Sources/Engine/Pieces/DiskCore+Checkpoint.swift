import Primitives

// fdatasync, then the durable claim: every 5 s or 256 MiB, at completion, on pause and on drain.

extension DiskCore {
    mutating func checkpoint(_ now: Instant, _ effects: inout [DiskEffect]) {
        dirtyBytes = 0
        dirtySince = .never
        let due = dirtyRows
        dirtyRows.removeAll(keepingCapacity: true)
        for row in due where rows[row] != nil {
            self[row: row].isDirty = false
            startSync(row, now, &effects)
        }
    }

    mutating func startSync(_ row: Int, _ now: Instant, _ effects: inout [DiskEffect]) {
        let torrent = self[row: row]
        // While its files move or are looked at there is nothing to sync by; that ends in becomeReady, which does.
        guard torrent.phase == .ready || torrent.phase == .settling, torrent.have.setCount > torrent.durable.setCount else { return }
        if torrent.syncing != nil {
            self[row: row].syncAgain = true
            return
        }
        // What is written now; a piece written while the sync runs belongs to the next.
        self[row: row].syncing = torrent.have.subtracting(torrent.durable)
        self[row: row].syncAgain = false
        self[row: row].inFlight += 1
        syncsInFlight += 1
        effects.append(.sync(torrent.id, all: torrent.syncAll))
    }

    mutating func synced(_ id: TorrentID, _ fault: DiskFault?, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let row = rowOf[id], let pieces = self[row: row].syncing else { return }
        self[row: row].syncing = nil
        self[row: row].inFlight -= 1
        syncsInFlight -= 1
        if let fault {
            syncFailed(row, pieces, fault, now, &effects)
        } else {
            self[row: row].syncAll = false
            // A piece lost meanwhile (read error) is not claimed.
            let gone = pieces.subtracting(self[row: row].have), safe = pieces.subtracting(gone)
            self[row: row].durable.formUnion(safe)
            if self[row: row].have.setCount == self[row: row].durable.setCount { self[row: row].isDirty = false }
            if !safe.isEmpty { effects.append(.durable(id, safe.runs)) }
            let torrent = self[row: row]
            if torrent.have.setCount > torrent.durable.setCount, torrent.syncAgain || torrent.isComplete {
                startSync(row, now, &effects)
            } else {
                finishIfComplete(row, &effects)
                if torrent.phase == .ready { reportNow(row, &effects) }
            }
        }
        settle(row, now, &effects)
    }

    mutating func finishIfComplete(_ row: Int, _ effects: inout [DiskEffect]) {
        let torrent = self[row: row]
        guard torrent.phase == .ready, torrent.isDurablyComplete, !torrent.isFinished else { return }
        self[row: row].isFinished = true
        self[row: row].inFlight += 1
        finishesInFlight += 1
        effects.append(.finish(torrent.id))
    }
    mutating func finished(_ id: TorrentID, _ fault: DiskFault?, _ now: Instant, _ effects: inout [DiskEffect]) {
        finishesInFlight -= 1
        guard let row = rowOf[id] else { return }
        self[row: row].inFlight -= 1
        if let fault { effects.append(.log(fault.text)) }
        settle(row, now, &effects)
    }
}
