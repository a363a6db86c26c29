import Primitives

/// All decisions of one disk worker: which torrent is looked at, checked, written, synced, and what is claimed.
/// Pure: events in, effects out; the shell does the I/O and answers each effect with one event.
///
/// The order that keeps every claim true: hash from the buffer that is written (HAVE may go out) → write (`have`) →
/// fdatasync → `durable` to the session. A piece whose sync failed goes back to unknown: after a failed fsync the
/// kernel may have dropped the dirty pages, and the next fsync succeeds.
package struct DiskCore {
    package struct Limits: Sendable {
        package var checkpointInterval = TimeSpan.seconds(5)
        package var checkpointBytes: UInt64 = 256 << 20
        /// Check chunks: long enough for the device's full rate and for one batch of 16 pieces of 256 KiB.
        package var checkChunkBytes = 4 << 20
        package var checkBytesInFlight = 64 << 20
        package var reportInterval = TimeSpan.milliseconds(100)
        /// A torrent in error is looked at again.
        package var retryInterval = TimeSpan.seconds(30)
        /// How long the first look waits for the shards to say what the last disk worker had acknowledged.
        package var claimsWait = TimeSpan.seconds(2)
        /// Looks at files that may run at once.
        package var opensInFlight = 8
        /// Requests held for torrents that cannot be used yet: an arena of 256 MiB has as many slots.
        package var heldRequests = 16384
        package init() {}
    }

    struct Job {
        enum Kind {
            case store(StoreRequest, isVerified: Bool)
            case read(ReadRequest, isRetry: Bool)
            case check(first: Int, count: Int)
        }
        var kind: Kind
        let row: Int
        let bytes: Int
        /// Passed by admission, not yet finished.
        var isAdmitted = false
    }
    struct JobSlot {
        var job: Job?
        var generation: UInt32 = 0
    }
    struct Shard {
        let index: UInt16
        var isOpen: Bool
        var hasClaimed: Bool
    }

    package let limits: Limits
    package internal(set) var admission = Admission()
    var rows: [DiskTorrent?] = []
    var freeRows: [Int] = []
    var rowOf: [TorrentID: Int] = [:]
    var jobs: [JobSlot] = []
    var freeJobs: [UInt32] = []
    package internal(set) var jobCount = 0
    /// Stores in work by run: a second StorePiece for a run re-attaches.
    var storeOf: [RunID: JobID] = [:]
    /// Requests for a run that another job still has.
    var waitingForRun: [RunID: [StoreRequest]] = [:]
    /// Requests for torrents that the session has not named yet.
    var orphans: [HeldRequest] = []
    var heldCount = 0
    var claims: [TorrentID: [UInt8]] = [:]
    var shards: [Shard] = []
    var volumes: [Volume] = []
    var openQueue: [Int] = []
    var opensInFlight = 0
    var checkQueue: [Int] = []
    var checkingRow: Int?
    var checkBytes = 0
    var dirtyRows: [Int] = []
    var dirtyBytes: UInt64 = 0
    var dirtySince = Instant.never
    var changedRows: [Int] = []
    var lastReport = Instant.zero
    var syncsInFlight = 0
    /// Complete torrents whose links and empty files are being made.
    var finishesInFlight = 0
    var gateOpensAt = Instant.never
    var isGateOpen = false
    var isReplayed = false
    var isDraining = false
    var isDrained = false

    package init(limits: Limits = Limits()) { self.limits = limits }

    package mutating func handle(_ event: DiskEvent, now: Instant, into effects: inout [DiskEffect]) {
        if !isGateOpen, gateOpensAt == .never { gateOpensAt = now + limits.claimsWait }
        switch event {
        case .add(let id, let spec): add(id, spec, now, &effects)
        case .remove(let id, let deleteData): remove(id, deleteData, now, &effects)
        case .move(let id, let path, let names): move(id, path, names, now, &effects)
        case .recheck(let id): recheck(id, now, &effects)
        case .pause(let id, let paused): pause(id, paused, now, &effects)
        case .endsFirst(let id, let yes): endsFirst(id, yes, &effects)
        case .select(let id, let levels, let selection): select(id, levels, selection, now, &effects)
        case .replayEnd: replayEnd(now, &effects)
        case .sessionOpened: sessionOpened()
        case .shardOpened(let shard): shardOpened(shard, &effects)
        case .shardClosed(let shard): shardClosed(shard)
        case .claim(_, let id, let have): claim(id, have)
        case .claimsEnd(let shard): claimsEnd(shard)
        case .store(let request): store(request, now, &effects)
        case .read(let request): read(request, now, &effects)
        case .opened(let id, let result): opened(id, result, now, &effects)
        case .hashed(let job, let matches): hashed(job, matches, now, &effects)
        case .written(let job, let fault): written(job, fault, now, &effects)
        case .readEnded(let job, let fault): readEnded(job, fault, now, &effects)
        case .checked(let job, let good, let fault): checked(job, good, fault, now, &effects)
        case .synced(let id, let fault): synced(id, fault, now, &effects)
        case .finished(let id, let fault): finished(id, fault, now, &effects)
        case .probed(let volume, let fault): probed(volume, fault, now, &effects)
        case .moved(let id, let fault): moved(id, fault, now, &effects)
        case .deleted(let id, let fault): deleted(id, fault, now, &effects)
        case .fileChanged(let id, let fault): fileChanged(id, fault, now, &effects)
        case .tick: break
        case .drain: isDraining = true
        }
        runTimers(now, &effects)
        startOpens(now, &effects)
        feedCheck(now, &effects)
        pump(now, &effects)
        if isDraining { finishDrain(now, &effects) }
    }

    /// When the core next wants a `.tick`.
    package var deadline: Instant {
        var at = Instant.never
        if !isGateOpen { at = min(at, gateOpensAt) }
        if dirtySince != .never { at = min(at, dirtySince + limits.checkpointInterval) }
        if !changedRows.isEmpty { at = min(at, lastReport + limits.reportInterval) }
        for volume in volumes where volume.isOpen && !volume.isProbing { at = min(at, volume.probeAt) }
        return min(at, nextRetry)
    }
    /// The earliest `retryAt` of a failed row; kept, since there may be 50,000 rows.
    var nextRetry = Instant.never

    /// For `DiskFileProgress`: nil for a torrent that is not known or not looked at yet.
    package func bytesHavePerFile(_ id: TorrentID) -> [UInt64]? {
        guard let row = rowOf[id].flatMap({ rows[$0] }), let layout = row.layout else { return nil }
        return layout.bytesHave(row.have)
    }
    package func layout(_ id: TorrentID) -> FileLayout? { rowOf[id].flatMap { rows[$0]?.layout } }
    package func have(_ id: TorrentID) -> Bitfield? { rowOf[id].flatMap { rows[$0]?.have } }
    package func durable(_ id: TorrentID) -> Bitfield? { rowOf[id].flatMap { rows[$0]?.durable } }
    package func report(_ id: TorrentID) -> TorrentReport? { rowOf[id].flatMap { rows[$0]?.report } }
    package var isIdle: Bool { jobCount == 0 && syncsInFlight == 0 && opensInFlight == 0 && openQueue.isEmpty && checkQueue.isEmpty }
    /// Operations waiting or in flight.
    package var queueDepth: Int { admission.depth }

    // MARK: Rows and jobs

    /// Reads and writes one row in place.
    subscript(row index: Int) -> DiskTorrent {
        _read { yield rows[index]! }
        _modify { yield &rows[index]! }
    }

    mutating func addJob(_ kind: Job.Kind, row: Int, bytes: Int) -> JobID {
        let job = Job(kind: kind, row: row, bytes: bytes)
        self[row: row].inFlight += 1
        jobCount += 1
        if let index = freeJobs.popLast() {
            jobs[Int(index)].job = job
            return JobID(index: index, generation: jobs[Int(index)].generation)
        }
        jobs.append(JobSlot(job: job))
        return JobID(index: UInt32(jobs.count - 1), generation: 0)
    }
    func job(_ id: JobID) -> Job? {
        guard Int(id.index) < jobs.count, jobs[Int(id.index)].generation == id.generation else { return nil }
        return jobs[Int(id.index)].job
    }
    /// Ends a job: frees its row, its share of the device and its run.
    mutating func end(_ id: JobID, _ now: Instant, _ effects: inout [DiskEffect]) {
        guard let job = job(id) else { return }
        if job.isAdmitted { admission.finished(bytes: job.bytes) }
        jobs[Int(id.index)].job = nil
        jobs[Int(id.index)].generation = (id.generation + 1) & 0xFF_FFFF
        freeJobs.append(id.index)
        jobCount -= 1
        self[row: job.row].inFlight -= 1
        if case .store(let request, _) = job.kind {
            storeOf[request.run] = nil
            // The same run again, for another piece: it waited so that two jobs never use one run.
            if let waiting = waitingForRun.removeValue(forKey: request.run) {
                for next in waiting { store(next, now, &effects) }
            }
        }
        settle(job.row, now, &effects)
    }

    /// Lets through what the device may take.
    mutating func pump(_ now: Instant, _ effects: inout [DiskEffect]) {
        while let (_, id) = admission.next() {
            jobs[Int(id.index)].job!.isAdmitted = true
            let job = jobs[Int(id.index)].job!
            switch job.kind {
            case .store(let request, _):
                let row = self[row: job.row]
                if row.isBlocked, let kind = volume(row.volume)?.fault?.kind {
                    effects.append(.storeFailed(request, kind.storeFailure))
                    end(id, now, &effects)
                } else {
                    effects.append(.write(id, request))
                }
            case .read(let request, _): effects.append(.readFile(id, request))
            case .check(let first, let count):
                effects.append(.check(id, self[row: job.row].id, first: first, count: count))
            }
        }
    }

    // MARK: Reports

    mutating func changed(_ row: Int) {
        guard !self[row: row].isChanged else { return }
        self[row: row].isChanged = true
        changedRows.append(row)
    }
    /// Says it now; counters alone go by ``changed(_:)``.
    mutating func reportNow(_ row: Int, _ effects: inout [DiskEffect]) {
        let torrent = self[row: row]
        // "All pieces" is said only when the last of them is synced.
        if torrent.phase == .ready, torrent.fault == nil, torrent.isComplete, !torrent.isDurablyComplete { return }
        effects.append(.report(torrent.id, torrent.report))
    }

    mutating func runTimers(_ now: Instant, _ effects: inout [DiskEffect]) {
        if !isGateOpen { openGate(now) }
        if !changedRows.isEmpty, now - lastReport >= limits.reportInterval {
            lastReport = now
            let due = changedRows
            changedRows.removeAll(keepingCapacity: true)
            for row in due where rows[row] != nil {
                self[row: row].isChanged = false
                reportNow(row, &effects)
            }
        }
        if dirtySince != .never, dirtyBytes >= limits.checkpointBytes || now - dirtySince >= limits.checkpointInterval {
            checkpoint(now, &effects)
        }
        for i in volumes.indices where volumes[i].isOpen && !volumes[i].isProbing && now >= volumes[i].probeAt {
            volumes[i].isProbing = true
            effects.append(.probe(volume: volumes[i].device, folder: volumes[i].folder))
        }
        if now >= nextRetry { retryFailed(now) }
    }

    mutating func finishDrain(_ now: Instant, _ effects: inout [DiskEffect]) {
        guard !isDrained, jobCount == 0 else { return }
        if dirtySince != .never { checkpoint(now, &effects) }
        guard syncsInFlight == 0, finishesInFlight == 0 else { return }
        for row in changedRows where rows[row] != nil { reportNow(row, &effects) }
        changedRows = []
        isDrained = true
        effects.append(.drained)
    }
}
