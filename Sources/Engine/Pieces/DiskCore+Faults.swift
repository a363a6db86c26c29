import Primitives

// The environment's faults: what stops, what goes on, what comes back by itself (RELIABILITY D1-D4, D9-D12, D17).

extension DiskCore {
    func volume(_ device: UInt64) -> Volume? { volumes.first { $0.device == device } }

    mutating func noteVolume(_ device: UInt64, folder: String) {
        if !volumes.contains(where: { $0.device == device }) { volumes.append(Volume(device: device, folder: folder)) }
    }

    /// The torrent cannot be used; it is looked at again by itself.
    mutating func fail(_ row: Int, _ fault: DiskFault, _ now: Instant, _ effects: inout [DiskEffect]) {
        let before = self[row: row].fault
        stopCheck(row)
        self[row: row].phase = .failed
        self[row: row].fault = fault
        self[row: row].isBlocked = false
        if fault.kind == .missing, self[row: row].layout != nil { self[row: row].recheckWhenBack = true }
        // A broken metainfo file is mended only by the session.
        let wait = fault.kind == .badMetainfo ? limits.retryInterval * 10 : limits.retryInterval
        self[row: row].retryAt = now + wait
        nextRetry = min(nextRetry, self[row: row].retryAt)
        releaseHeld(row, &effects)
        guard before != fault else { return }
        effects.append(.log("torrent \(self[row: row].id): \(fault.text)"))
        effects.append(.unready(self[row: row].id, fault.kind.unready, shard: nil))
        reportNow(row, &effects)
    }

    mutating func retryFailed(_ now: Instant) {
        nextRetry = .never
        for row in rows.indices {
            guard let torrent = rows[row], torrent.phase == .failed else { continue }
            if torrent.retryAt <= now, torrent.inFlight == 0 {
                reopen(row)
            } else {
                if torrent.retryAt <= now { self[row: row].retryAt = now + .seconds(1) }
                nextRetry = min(nextRetry, self[row: row].retryAt)
            }
        }
    }

    mutating func writeFailed(_ row: Int, _ fault: DiskFault, _ now: Instant, _ effects: inout [DiskEffect]) {
        let device = self[row: row].volume
        switch fault.kind {
        case .full, .readOnly, .io:
            guard let i = volumes.firstIndex(where: { $0.device == device }), volumes[i].failed(fault, now: now) else {
                effects.append(.log(fault.text))
                return
            }
            volumes[i].folder = self[row: row].spec.savePath
            effects.append(.log("volume of \(volumes[i].folder) takes no writes: \(fault.text)"))
            for other in rows.indices {
                guard let torrent = rows[other], torrent.volume == device, torrent.phase == .ready, !torrent.isComplete else { continue }
                self[row: other].isBlocked = true
                self[row: other].fault = fault
                if !torrent.spec.paused { effects.append(.unready(torrent.id, fault.kind.unready, shard: nil)) }
                reportNow(other, &effects)
            }
        case .permission, .missing, .changed, .pathConflict, .deviceMissing, .badMetainfo:
            if self[row: row].phase == .ready { doubt(row, fault, now, &effects) }
        case .busy: effects.append(.log(fault.text))
        }
    }

    /// A torrent-level fault: what is durable stays known, the rest is hashed at the next look.
    private mutating func doubt(_ row: Int, _ fault: DiskFault, _ now: Instant, _ effects: inout [DiskEffect]) {
        self[row: row].spec.unclean = true
        let durable = self[row: row].durable
        self[row: row].setHave(durable)
        fail(row, fault, now, &effects)
    }

    mutating func syncFailed(_ row: Int, _ pieces: Bitfield, _ fault: DiskFault, _ now: Instant, _ effects: inout [DiskEffect]) {
        // The dirty pages may be gone although a later fsync succeeds: the batch is unknown, and read back.
        effects.append(.log("sync failed, \(pieces.setCount) pieces are hashed again: \(fault.text)"))
        let device = self[row: row].volume
        if let i = volumes.firstIndex(where: { $0.device == device }), fault.kind != .busy {
            _ = volumes[i].failed(fault, now: now)
        }
        self[row: row].isFinished = false
        if self[row: row].phase == .settling {
            self[row: row].spec.unclean = true
            let durable = self[row: row].durable
            self[row: row].setHave(durable)
        } else if self[row: row].phase == .ready {
            doubt(row, fault, now, &effects)
        }
    }

    mutating func probed(_ device: UInt64, _ fault: DiskFault?, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let i = volumes.firstIndex(where: { $0.device == device }) else { return }
        volumes[i].isProbing = false
        volumes[i].probeAt = now + Volume.probeInterval
        guard fault == nil, volumes[i].isOpen else { return }
        volumes[i].fault = nil
        effects.append(.log("volume of \(volumes[i].folder) takes writes again"))
        for row in rows.indices {
            guard let torrent = rows[row], torrent.volume == device, torrent.isBlocked else { continue }
            self[row: row].isBlocked = false
            self[row: row].fault = nil
            announce(row, shard: nil, &effects)
            reportNow(row, &effects)
        }
    }

    mutating func fileChanged(_ id: TorrentID, _ fault: DiskFault, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let row = rowOf[id], self[row: row].phase == .ready else { return }
        if fault.kind == .changed {
            // Somebody wrote to it: nothing of the torrent is claimed until it was hashed again, also after a restart.
            let durable = self[row: row].durable
            if !durable.isEmpty { effects.append(.undurable(id, durable.runs)) }
            self[row: row].durable = Bitfield(count: durable.count)
            self[row: row].recheckAll = true
            self[row: row].isFinished = false
            self[row: row].setHave(Bitfield(count: durable.count))
            fail(row, fault, now, &effects)
            self[row: row].retryAt = now
            nextRetry = now
        } else {
            // The files may come back (a mount, a person): the durable claim stays, and is hashed then.
            doubt(row, fault, now, &effects)
        }
    }
}

extension DiskCore {
    /// The user asks for another look at all torrents in error, now.
    package mutating func retrySoon(now: Instant) {
        for row in rows.indices where rows[row]?.phase == .failed { self[row: row].retryAt = now }
        nextRetry = now
        for i in volumes.indices where volumes[i].isOpen { volumes[i].probeAt = now }
    }
}
