import Primitives

/// What a user sees of a torrent's state.
///
///     metadata ──▶ waiting ──▶ checking ──▶ downloading ──▶ seeding
///        paused, queued and error may hold any of these; a paused complete torrent is `completed`
package enum TorrentPhase: UInt8, Hashable, Sendable, CaseIterable {
    case checking = 0
    case downloading, seeding, completed, paused, queued, metadata, waiting, error
}

/// A torrent while the session runs.
package struct CatalogRow: Sendable {
    package var record: TorrentRecord
    /// Pieces that survive a crash unhashed.
    package var durable: Bitfield
    package var disk: DiskReport
    /// The disk worker's present generation has reported on it.
    package var isDiskKnown = false
    /// Rises when other files are chosen: what the disk worker said of an earlier choice is no news.
    var selection: UInt32 = 0
    package var downRate: UInt64 = 0
    package var upRate: UInt64 = 0
    package var peers: UInt32 = 0
    package var seeds: UInt32 = 0
    package var peerFault = ""
    /// Our own obstacle (a path that another torrent writes); empty if none.
    package var fault = ""
    package var trackers: [TrackerReport] = []
    /// Held back by the queue's rules.
    package var isHeld = false
    package var phase = TorrentPhase.waiting
    package var shard: UInt16 = 0
    package var device: UInt16 = 0
    /// Its counters when this session worker began.
    package let countersAtStart: TransferCounters
    /// Since when both rates are below what the queue counts; nil while one is not.
    var slowSince: Instant?
    /// Up to when the times in `record.activity` were counted, and what counts since.
    var countedAt: Instant?
    var wasRunning = false
    var wasSeeding = false
    var timesStoredAt = Instant(nanoseconds: .min / 2)
    /// It stands in the queue's order under this rank.
    var queuedRank: Int64?
    /// The move to where its data belongs failed: not tried again before the next start.
    var didMoveFail = false
    var isChanged = false
    var isScheduleDirty = false
    var lastAsked = Instant(nanoseconds: .min / 2)
    var sentFlags: WorkerFlags = []
    var sentDiscoveryFlags: WorkerFlags = []
    var isDurableDirty = false
    var areCountersDirty = false
    var isRecordDirty = false
    var isLeftDirty = false

    init(_ record: TorrentRecord, durable: Bitfield?) {
        self.record = record
        countersAtStart = record.counters.total
        let count = Int(record.facts.pieceCount)
        if let durable, durable.count == count { self.durable = durable } else { self.durable = Bitfield(count: count) }
        disk = DiskReport(.queued)
        estimate()
    }

    /// Until the disk worker says better: what is durable.
    mutating func estimate() {
        disk.piecesHave = UInt32(durable.setCount)
        guard record.facts.hasMetadata, durable.setCount > 0 else {
            disk.bytesHave = 0
            return
        }
        var bytes = UInt64(durable.setCount) * UInt64(record.facts.pieceLength)
        let last = durable.count - 1
        // The pieces of a v2-only torrent end with its files; the disk worker knows where.
        if record.facts.hasV1, durable[last], record.facts.pieceLength > 0 {
            bytes -= UInt64(durable.count) * UInt64(record.facts.pieceLength) - record.facts.totalLength
        }
        disk.bytesHave = min(bytes, record.facts.totalLength)
    }

    /// All that is wanted is there.
    package var isComplete: Bool {
        guard record.facts.hasMetadata, record.isChecked || isDiskKnown else { return false }
        if record.levels.skipsAny, disk.piecesHave < record.facts.pieceCount {
            // Until the disk worker says it: as it was.
            return isDiskKnown ? disk.bytesWantedHave == disk.bytesWanted : record.isSelectionDone
        }
        return disk.piecesHave == record.facts.pieceCount
    }
    /// Bytes of the files that are not skipped; all of them until the disk worker has said it.
    package var bytesWanted: UInt64 {
        guard record.levels.skipsAny else { return record.facts.totalLength }
        return isDiskKnown ? disk.bytesWanted : record.isSelectionDone ? min(disk.bytesHave, record.facts.totalLength) : record.facts.totalLength
    }
    package var bytesWantedHave: UInt64 {
        record.levels.skipsAny && isDiskKnown ? min(disk.bytesWantedHave, disk.bytesWanted) : min(disk.bytesHave, record.facts.totalLength)
    }
    package var left: UInt64 {
        // BEP 3 wants a number; with 0 a tracker would take it for a seed.
        guard record.facts.hasMetadata else { return 16384 }
        // Who skips files is no seed however much of the rest it has (BEP 21).
        return record.facts.totalLength - min(disk.bytesHave, record.facts.totalLength)
    }
    package var isActive: Bool { !record.isPaused && !isHeld && record.removal == .none }
    /// Uploaded / downloaded, in thousandths; / size where nothing was downloaded.
    package var ratio: UInt64 {
        let total = record.counters.total, basis = total.downloaded > 0 ? total.downloaded : record.facts.totalLength
        guard basis > 0 else { return 0 }
        let (high, low) = total.uploaded.multipliedFullWidth(by: 1000)
        return high < basis ? basis.dividingFullWidth((high, low)).quotient : .max
    }
    package var isMoving: Bool { !record.movingTo.isEmpty }
    /// Milliseconds that its times have moved since they were counted.
    package func uncounted(_ now: Instant) -> UInt64 { countedAt.map { UInt64(max(0, (now - $0).nanoseconds / 1_000_000)) } ?? 0 }
    package func activeMilliseconds(_ now: Instant) -> UInt64 { record.activity.activeMilliseconds + (wasRunning ? uncounted(now) : 0) }
    package func seedingMilliseconds(_ now: Instant) -> UInt64 { record.activity.seedingMilliseconds + (wasSeeding ? uncounted(now) : 0) }
    package func idleMilliseconds(_ now: Instant) -> UInt64 { record.activity.idleMilliseconds + (wasSeeding ? uncounted(now) : 0) }

    /// One line; empty when all is well.
    package var error: String {
        if !fault.isEmpty { return fault }
        if isDiskKnown, !disk.message.isEmpty { return disk.message }
        return peerFault
    }

    /// The table that defines ``TorrentPhase``, first match wins.
    var derivedPhase: TorrentPhase {
        if !fault.isEmpty { return .error }
        if isDiskKnown, disk.condition == .error || disk.condition == .missing { return .error }
        if !record.facts.hasMetadata { return record.isPaused ? .paused : isHeld ? .queued : .metadata }
        if isDiskKnown, disk.condition == .checking { return .checking }
        if record.isPaused { return isComplete ? .completed : .paused }
        if !isDiskKnown || disk.condition == .queued || disk.condition == .moving { return .waiting }
        if isHeld { return .queued }
        return isComplete ? .seeding : .downloading
    }

    /// For the peer shard and the disk worker.
    func flags(sequentialByDefault: Bool) -> WorkerFlags {
        var flags: WorkerFlags = []
        if record.facts.hasMetadata { flags.insert(.hasMetadata) }
        if record.facts.isPrivate { flags.insert(.isPrivate) }
        if !isActive || !fault.isEmpty { flags.insert(.paused) }
        if record.isSequential || sequentialByDefault { flags.insert(.sequential) }
        if record.options.isFirstLastFirst { flags.insert(.firstLastFirst) }
        if record.options.isSuperSeeding { flags.insert(.superSeeding) }
        if record.skipCheck, !record.isChecked { flags.insert(.skipCheck) }
        if isComplete { flags.insert(.completed) }
        return flags
    }
    /// For the discovery worker: silent until the files were looked at, so that the first announce has the right `left`
    /// (a magnet has announced before, and saying `stopped` in between would be wrong).
    func discoveryFlags(sequentialByDefault: Bool) -> WorkerFlags {
        var flags = flags(sequentialByDefault: sequentialByDefault)
        if record.facts.hasMetadata, !record.isChecked, !record.wasMagnet { flags.insert(.paused) }
        return flags
    }
}
