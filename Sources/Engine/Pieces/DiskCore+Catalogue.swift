import Primitives

// What the session wants: torrents come, go, move, are looked at.

extension DiskCore {
    mutating func sessionOpened() {
        isReplayed = false
        for i in rows.indices where rows[i] != nil { self[row: i].isNamed = false }
    }

    mutating func add(_ id: TorrentID, _ spec: TorrentSpec, _ now: Instant, _ effects: inout [DiskEffect]) {
        if let row = rowOf[id] { return addAgain(row, spec, now, &effects) }
        let torrent = DiskTorrent(id: id, spec: spec), row: Int
        if let free = freeRows.popLast() {
            row = free
            rows[row] = torrent
        } else {
            row = rows.count
            rows.append(torrent)
        }
        rowOf[id] = row
        openQueue.append(row)
        if !orphans.isEmpty {
            let all = orphans
            orphans = []
            for request in all { hold(request, &effects) }
        }
    }

    /// The session started again and replays its catalogue: we have the newer truth of what is on disk.
    private mutating func addAgain(_ row: Int, _ spec: TorrentSpec, _ now: Instant, _ effects: inout [DiskEffect]) {
        self[row: row].isNamed = true
        let torrent = self[row: row]
        if spec.savePath != torrent.spec.savePath || spec.names != torrent.spec.names, torrent.phase != .moving {
            effects.append(.movedTo(torrent.id, torrent.spec.savePath, message: ""))
        }
        if let stored = Bitfield(wire: spec.durable, count: torrent.have.count) ?? (spec.durable.isEmpty ? Bitfield(count: torrent.have.count) : nil) {
            let lacking = torrent.durable.subtracting(stored), doubted = stored.subtracting(torrent.durable)
            if torrent.layout != nil, torrent.phase == .ready || torrent.phase == .checking {
                if !lacking.isEmpty { effects.append(.durable(torrent.id, lacking.runs)) }
                if !doubted.isEmpty { effects.append(.undurable(torrent.id, doubted.runs)) }
            }
        }
        pause(torrent.id, spec.paused, now, &effects)
        endsFirst(torrent.id, spec.endsFirst, &effects)
        select(torrent.id, spec.levels, spec.selection, now, &effects)
        reportNow(row, &effects)
    }

    mutating func replayEnd(_ now: Instant, _ effects: inout [DiskEffect]) {
        isReplayed = true
        for request in orphans { refuse(request, &effects) }
        orphans = []
        claims = claims.filter { rowOf[$0.key] != nil }
        for row in rows.indices where rows[row].map({ !$0.isNamed }) ?? false {
            remove(self[row: row].id, false, now, &effects)
        }
    }

    mutating func remove(_ id: TorrentID, _ deleteData: Bool, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let row = rowOf[id] else {
            effects.append(.removed(id, ""))
            return
        }
        effects.append(.unready(id, .removed, shard: nil))
        settle(row, then: .remove(deleteData: deleteData), now, &effects)
    }

    mutating func move(_ id: TorrentID, _ path: String, _ names: FileNames, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let row = rowOf[id], self[row: row].phase != .deleting else {
            effects.append(.movedTo(id, path, message: "the torrent is not known"))
            return
        }
        self[row: row].spec.isMoving = false
        guard self[row: row].layout != nil else {
            self[row: row].moveWhenOpen = (path, names)
            return
        }
        effects.append(.unready(id, .checking, shard: nil))
        settle(row, then: .move(path, names), now, &effects)
    }

    /// The files were looked at, found or not: what is missing may be where an interrupted move has put it.
    private mutating func moveIfAsked(_ row: Int, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let move = self[row: row].moveWhenOpen, self[row: row].layout != nil else { return }
        self[row: row].moveWhenOpen = nil
        self.move(self[row: row].id, move.path, move.names, now, &effects)
    }

    mutating func recheck(_ id: TorrentID, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let row = rowOf[id], self[row: row].phase != .deleting else { return }
        effects.append(.unready(id, .checking, shard: nil))
        settle(row, then: .recheck, now, &effects)
    }

    mutating func pause(_ id: TorrentID, _ paused: Bool, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let row = rowOf[id], self[row: row].spec.paused != paused else { return }
        self[row: row].spec.paused = paused
        guard self[row: row].phase == .ready else { return }
        if paused {
            effects.append(.unready(id, .paused, shard: nil))
            startSync(row, now, &effects)
            settle(row, now, &effects)
        } else {
            announce(row, shard: nil, &effects)
        }
        reportNow(row, &effects)
    }

    // MARK: What is wanted

    /// Other files are wanted: nothing may be in flight while bytes change their place between files and part-file, which
    /// the look sees to.
    mutating func select(_ id: TorrentID, _ levels: FileLevels, _ selection: UInt32, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let row = rowOf[id] else { return }
        self[row: row].spec.selection = selection
        guard self[row: row].spec.levels != levels else { return }
        let skippedSame = self[row: row].spec.levels.skipped == levels.skipped
        self[row: row].spec.levels = levels
        if skippedSame { return relevel(row, &effects) }
        self[row: row].isFinished = false
        switch self[row: row].phase {
        // The look that comes goes by the new wishes: of what a torrent settles for, all but a removal ends in one.
        case .queued, .moving, .settling, .deleting: break
        case .failed, .ready, .opening, .checkQueued, .checking:
            if self[row: row].phase == .ready { self[row: row].carry = self[row: row].have }
            effects.append(.unready(id, .checking, shard: nil))
            settle(row, then: .look, now, &effects)
        }
    }

    mutating func endsFirst(_ id: TorrentID, _ yes: Bool, _ effects: inout [DiskEffect]) {
        guard let row = rowOf[id], self[row: row].spec.endsFirst != yes else { return }
        self[row: row].spec.endsFirst = yes
        relevel(row, &effects)
    }

    private mutating func relevel(_ row: Int, _ effects: inout [DiskEffect]) {
        self[row: row].setLevels()
        guard self[row: row].phase == .ready, !self[row: row].spec.paused else { return }
        sayLevels(row, shard: nil, &effects)
    }

    private mutating func sayLevels(_ row: Int, shard: UInt16?, _ effects: inout [DiskEffect]) {
        let torrent = self[row: row]
        guard torrent.saidLevels || !torrent.levels.isEmpty else { return }
        self[row: row].saidLevels = true
        effects.append(.levels(torrent.id, torrent.levels, shard: shard))
    }

    // MARK: Settling

    /// Nothing new is taken; `after` is done when nothing is in flight.
    private mutating func settle(_ row: Int, then after: After, _ now: Instant, _ effects: inout [DiskEffect]) {
        // A later wish replaces an earlier one, but nothing replaces a removal.
        if case .remove = self[row: row].after { return }
        if self[row: row].phase == .deleting { return }
        if self[row: row].phase == .moving {
            self[row: row].after = after
            return
        }
        releaseHeld(row, &effects)
        stopCheck(row)
        self[row: row].after = after
        // A look in flight counts as in flight: its answer comes first.
        self[row: row].phase = .settling
        settle(row, now, &effects)
    }

    /// Called whenever something of the row ended.
    mutating func settle(_ row: Int, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard rows[row] != nil, self[row: row].inFlight == 0 else { return }
        let torrent = self[row: row]
        if torrent.phase == .ready, torrent.spec.paused, !torrent.isDirty { effects.append(.closeFiles(torrent.id)) }
        guard torrent.phase == .settling, let after = torrent.after else { return }
        self[row: row].after = nil
        switch after {
        case .recheck:
            self[row: row].recheckAll = true
            self[row: row].fault = nil
            reopen(row)
        case .look: reopen(row)
        case .move(let path, let names):
            self[row: row].phase = .moving
            self[row: row].inFlight += 1
            effects.append(.moveFiles(torrent.id, to: path, names))
            reportNow(row, &effects)
        case .remove(let deleteData):
            if deleteData, torrent.layout != nil {
                self[row: row].phase = .deleting
                self[row: row].inFlight += 1
                effects.append(.deleteFiles(torrent.id))
            } else {
                effects.append(.closeFiles(torrent.id))
                drop(row, message: "", &effects)
            }
        }
    }

    private mutating func drop(_ row: Int, message: String, _ effects: inout [DiskEffect]) {
        let id = self[row: row].id
        precondition(self[row: row].inFlight == 0, "a torrent went away with work in flight")
        rowOf[id] = nil
        claims[id] = nil
        rows[row] = nil
        freeRows.append(row)
        dirtyRows.removeAll { $0 == row }
        changedRows.removeAll { $0 == row }
        openQueue.removeAll { $0 == row }
        checkQueue.removeAll { $0 == row }
        effects.append(.forget(id))
        effects.append(.removed(id, message))
    }

    mutating func deleted(_ id: TorrentID, _ fault: DiskFault?, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let row = rowOf[id], self[row: row].phase == .deleting else { return }
        self[row: row].inFlight -= 1
        drop(row, message: fault?.text ?? "", &effects)
    }

    mutating func moved(_ id: TorrentID, _ fault: DiskFault?, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let row = rowOf[id], self[row: row].phase == .moving else { return }
        self[row: row].inFlight -= 1
        if let fault {
            effects.append(.movedTo(id, self[row: row].spec.savePath, message: fault.text))
        } else {
            effects.append(.movedTo(id, self[row: row].spec.savePath, message: ""))
            self[row: row].spec.sourceDevice = 0
        }
        // Also after a failure: what was moved was moved back, a look shows what is there.
        self[row: row].carry = self[row: row].have
        if let after = self[row: row].after {
            self[row: row].after = nil
            self[row: row].phase = .ready
            settle(row, then: after, now, &effects)
        } else {
            reopen(row)
        }
    }

    /// The shell has moved the files: its next effects use the new folder.
    package mutating func setPlace(_ id: TorrentID, _ path: String, _ names: FileNames) {
        guard let row = rowOf[id] else { return }
        self[row: row].spec.savePath = path
        self[row: row].spec.names = names
    }

    // MARK: The look at the files

    mutating func reopen(_ row: Int) {
        self[row: row].phase = .queued
        self[row: row].retryAt = .never
        openQueue.append(row)
    }

    mutating func startOpens(_ now: Instant, _ effects: inout [DiskEffect]) {
        guard isGateOpen, !isDraining else { return }
        var head = 0
        while head < openQueue.count, opensInFlight < limits.opensInFlight {
            let row = openQueue[head]
            head += 1
            guard rows[row] != nil, self[row: row].phase == .queued else { continue }
            let torrent = self[row: row]
            self[row: row].phase = .opening
            self[row: row].inFlight += 1
            opensInFlight += 1
            // Nothing is known of a torrent without durable pieces: it may be there in full.
            let scan = torrent.recheckAll || torrent.recheckWhenBack || torrent.spec.unclean || torrent.isFresh
            effects.append(
                .open(
                    torrent.id, torrent.spec, scan: scan && !(torrent.spec.skipCheck && !torrent.recheckAll),
                    isSettled: torrent.moveWhenOpen == nil && !torrent.spec.isMoving))
        }
        openQueue.removeFirst(head)
    }

    mutating func opened(_ id: TorrentID, _ result: Result<TorrentFound, DiskFault>, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let row = rowOf[id] else { return }
        opensInFlight -= 1
        self[row: row].inFlight -= 1
        guard self[row: row].phase == .opening else { return settle(row, now, &effects) }
        switch result {
        case .failure(let fault): fail(row, fault, now, &effects)
        case .success(let found): judge(row, found, now, &effects)
        }
        moveIfAsked(row, now, &effects)
    }

    /// What is known, what is lost, what has to be hashed.
    private mutating func judge(_ row: Int, _ found: TorrentFound, _ now: Instant, _ effects: inout [DiskEffect]) {
        let spec = self[row: row].spec, count = found.layout.geometry.pieceCount
        let isFirst = self[row: row].layout == nil
        self[row: row].layout = found.layout
        self[row: row].setLevels()
        self[row: row].volume = found.volume
        noteVolume(found.volume, folder: spec.savePath)
        if isFirst {
            self[row: row].have = Bitfield(count: count)
            self[row: row].durable = Bitfield(wire: spec.durable, count: count) ?? Bitfield(count: count)
            // From now on the bitfields are the truth.
            self[row: row].spec.durable = []
        }
        if spec.sourceDevice != 0, spec.sourceDevice != found.volume {
            // Never into an empty mount point (RELIABILITY D10).
            return fail(row, DiskFault(.deviceMissing, "\(spec.savePath) is on another volume than before: mount the torrent's disk"), now, &effects)
        }
        var known = self[row: row].durable
        if let carry = self[row: row].carry { known.formUnion(carry) }
        if let claim = claims.removeValue(forKey: self[row: row].id), let bits = Bitfield(wire: claim, count: count) {
            if !bits.subtracting(known).isEmpty { self[row: row].syncAll = true }
            known.formUnion(bits)
        }
        let isShort = found.layout.files.indices.map { i in
            let file = found.layout.files[i]
            let isAway = i < found.layout.payloadCount && found.layout.inParts[i]
            return !file.isPad && !isAway && file.length > 0 && found.sizes[i] < Int64(file.length)
        }
        var wanted = Bitfield(count: count)
        if self[row: row].recheckAll {
            known = found.zeros ?? Bitfield(count: count)
            wanted = (found.withData ?? Bitfield(full: count)).subtracting(known)
        } else if spec.skipCheck, !isShort.enumerated().contains(where: { $0.element && $0.offset < found.layout.payloadCount }) {
            known = Bitfield(full: count)
            // Nobody says that of files that are not there.
            found.layout.inParts.forEach { file in for piece in found.layout.pieces(of: file) { known.remove(piece) } }
            self[row: row].syncAll = true
        } else {
            for i in isShort.indices where isShort[i] && found.layout.holdsAny(of: known, file: i) {
                let file = found.layout.files[i]
                let what = found.sizes[i] < 0 ? "is gone" : "has \(found.sizes[i]) of its \(file.length) bytes"
                return fail(
                    row, DiskFault(.missing, "\(spec.savePath)/\(file.path) \(what): put it back, or recheck to fetch it again"), now, &effects)
            }
            if self[row: row].recheckWhenBack {
                known = found.zeros ?? Bitfield(count: count)
                wanted = (found.withData ?? Bitfield(full: count)).subtracting(known)
            } else if spec.unclean || self[row: row].isFresh || spec.skipCheck {
                let zeros = (found.zeros ?? Bitfield(count: count)).subtracting(known)
                if !zeros.isEmpty { self[row: row].syncAll = true }
                known.formUnion(zeros)
                wanted = (found.withData ?? Bitfield(full: count)).subtracting(known)
            }
        }
        self[row: row].isFullCheck = self[row: row].recheckAll || self[row: row].recheckWhenBack || known.isEmpty
        self[row: row].recheckWhenBack = false
        self[row: row].carry = nil
        self[row: row].setHave(known)
        self[row: row].fault = nil
        if wanted.isEmpty { return endCheck(row, now, &effects) }
        self[row: row].wanted = wanted
        self[row: row].phase = .checkQueued
        checkQueue.append(row)
        effects.append(.unready(self[row: row].id, .checking, shard: nil))
        reportNow(row, &effects)
    }

    /// The torrent can be used.
    mutating func becomeReady(_ row: Int, _ now: Instant, _ effects: inout [DiskEffect]) {
        self[row: row].phase = .ready
        self[row: row].spec.unclean = false
        self[row: row].spec.skipCheck = false
        let torrent = self[row: row]
        if let volume = volume(torrent.volume), let fault = volume.fault, !torrent.isComplete {
            self[row: row].isBlocked = true
            self[row: row].fault = fault
        }
        announce(row, shard: nil, &effects)
        if torrent.have.setCount > torrent.durable.setCount { startSync(row, now, &effects) } else { finishIfComplete(row, &effects) }
        reportNow(row, &effects)
        let held = torrent.held
        self[row: row].held = []
        heldCount -= held.count
        for request in held {
            switch request {
            case .store(let r): store(r, now, &effects)
            case .read(let r): read(r, now, &effects)
            }
        }
        settle(row, now, &effects)
    }

    /// Tells one shard or all how a torrent stands.
    mutating func announce(_ row: Int, shard: UInt16?, _ effects: inout [DiskEffect]) {
        let torrent = self[row: row]
        switch torrent.phase {
        case .ready:
            if torrent.spec.paused {
                effects.append(.unready(torrent.id, .paused, shard: shard))
            } else {
                sayLevels(row, shard: shard, &effects)
                effects.append(.ready(torrent.id, have: torrent.have, shard: shard))
                // It can be served, not downloaded.
                if torrent.isBlocked { effects.append(.unready(torrent.id, torrent.fault?.kind.unready ?? .diskFull, shard: shard)) }
            }
        case .failed: effects.append(.unready(torrent.id, torrent.fault?.kind.unready ?? .ioError, shard: shard))
        case .checkQueued, .checking, .moving: effects.append(.unready(torrent.id, .checking, shard: shard))
        case .queued, .opening, .settling, .deleting: break
        }
    }
}
