import Primitives

// One torrent is checked at a time (the device is the limit), many pieces at once.

extension DiskCore {
    mutating func feedCheck(_ now: Instant, _ effects: inout [DiskEffect]) {
        while !isDraining {
            if checkingRow == nil {
                guard !checkQueue.isEmpty else { return }
                let row = checkQueue.removeFirst()
                guard rows[row] != nil, self[row: row].phase == .checkQueued else { continue }
                checkingRow = row
                self[row: row].phase = .checking
                self[row: row].cursor = 0
                self[row: row].checked = 0
                reportNow(row, &effects)
            }
            let row = checkingRow!
            guard let (first, count, bytes) = nextChunk(row) else {
                if self[row: row].checksInFlight == 0 {
                    checkingRow = nil
                    endCheck(row, now, &effects)
                    continue
                }
                return
            }
            guard checkBytes == 0 || checkBytes + bytes <= limits.checkBytesInFlight else { return }
            self[row: row].cursor = first + count
            addCheck(row, first: first, count: count)
        }
    }

    private mutating func addCheck(_ row: Int, first: Int, count: Int) {
        let geometry = self[row: row].layout!.geometry
        let bytes = (first..<first + count).reduce(0) { $0 + Int(geometry.span(of: PieceIndex($1))) }
        self[row: row].checksInFlight += 1
        checkBytes += bytes
        admission.enqueue(.check, addJob(.check(first: first, count: count), row: row, bytes: bytes), bytes: bytes)
    }

    /// Neighbouring pieces up to a chunk's bytes, at least one.
    private func nextChunk(_ row: Int) -> (first: Int, count: Int, bytes: Int)? {
        let torrent = self[row: row], pieces = torrent.wanted.count
        var first = torrent.cursor
        while first < pieces, !torrent.wanted[first] { first += 1 }
        guard first < pieces else { return nil }
        let geometry = torrent.layout!.geometry
        var count = 1, bytes = Int(geometry.span(of: PieceIndex(first)))
        while first + count < pieces, torrent.wanted[first + count] {
            let more = Int(geometry.span(of: PieceIndex(first + count)))
            if bytes + more > limits.checkChunkBytes { break }
            bytes += more
            count += 1
        }
        return (first, count, bytes)
    }

    mutating func checked(_ id: JobID, _ good: [Bool], _ fault: DiskFault?, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let job = job(id), case .check(let first, let count) = job.kind else { return }
        let row = job.row
        checkBytes -= job.bytes
        self[row: row].checksInFlight -= 1
        if self[row: row].phase == .checking {
            for i in 0..<count where i < good.count && good[i] {
                if self[row: row].insert(first + i) { self[row: row].syncAll = true }
            }
            if fault?.kind == .io, count > 1 {
                // One bad sector fails the whole chunk's read: piece by piece, then only its own is lost.
                for i in 0..<count where i >= good.count || !good[i] { addCheck(row, first: first + i, count: 1) }
            }
            self[row: row].checked = min(self[row: row].wanted.setCount, self[row: row].checked + count)
            if let fault { effects.append(.log("check: \(fault.text)")) }
            changed(row)
        }
        end(id, now, &effects)
    }

    /// The row's check is over or given up.
    mutating func stopCheck(_ row: Int) {
        if checkingRow == row { checkingRow = nil }
        self[row: row].wanted = Bitfield(count: 0)
        self[row: row].cursor = 0
    }

    mutating func endCheck(_ row: Int, _ now: Instant, _ effects: inout [DiskEffect]) {
        let torrent = self[row: row], lost = torrent.durable.subtracting(torrent.have)
        if !lost.isEmpty {
            effects.append(.undurable(torrent.id, lost.runs))
            self[row: row].durable = torrent.durable.subtracting(lost)
        }
        stopCheck(row)
        self[row: row].recheckAll = false
        self[row: row].isFinished = false
        becomeReady(row, now, &effects)
    }
}

extension DiskCore {
    package var isChecking: Bool { checkingRow != nil }
}
