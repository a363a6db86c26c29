import Primitives

/// ```
/// queued ─▶ opening ─▶ checkQueued ─▶ checking ─▶ ready
///              └────────────(nothing to check)──────▲
/// any ─▶ failed ──(retry, by itself)──▶ queued
/// ready, failed, … ─▶ settling ──(nothing in flight)──▶ queued | moving | deleting | gone
/// ```
enum Phase: Equatable {
    /// Waits for its turn to be looked at.
    case queued
    /// The shell reads its metainfo and looks at its files.
    case opening
    case checkQueued, checking
    case ready
    /// `fault` says why; looked at again at `retryAt`.
    case failed
    /// Takes nothing new; does `after` once nothing is in flight.
    case settling
    case moving, deleting
}

enum After: Equatable {
    case recheck
    case look
    case move(String, FileNames)
    case remove(deleteData: Bool)
}

/// A request that came before its torrent could be used.
enum HeldRequest {
    case store(StoreRequest)
    case read(ReadRequest)
}

/// Invariants: durable ⊆ have once ready; have ⊆ verified and written; bytesHave counts have; a row goes away only when inFlight is 0.
struct DiskTorrent {
    let id: TorrentID
    var spec: TorrentSpec
    var phase = Phase.queued
    var after: After?
    var layout: FileLayout?
    /// st_dev that its files are on.
    var volume: UInt64 = 0
    /// Verified and written.
    var have = Bitfield(count: 0)
    /// Of these: synced, and told to the session.
    var durable = Bitfield(count: 0)
    var bytesHave: UInt64 = 0
    /// What a sync in flight will make durable.
    var syncing: Bitfield?
    var syncAgain = false
    /// Some of `have` was written by an earlier process: the next sync takes every file.
    var syncAll = false
    var isDirty = false
    /// Jobs, syncs and other answers that the shell owes.
    var inFlight = 0
    var held: [HeldRequest] = []
    /// A move that was asked for before the files were looked at: one that an earlier worker may have begun.
    var moveWhenOpen: (path: String, names: FileNames)?
    /// What a check has yet to look at, where it is, how many it has looked at.
    var wanted = Bitfield(count: 0)
    var cursor = 0
    var checked = 0
    var checksInFlight = 0
    /// The running check doubts everything: no request is held back for it.
    var isFullCheck = false
    var recheckAll = false
    /// Files were gone: when they are back, every piece is hashed.
    var recheckWhenBack = false
    /// The session knew of no durable piece when it named the torrent: the files may still be there.
    let isFresh: Bool
    /// Known good from before a move.
    var carry: Bitfield?
    var fault: DiskFault?
    var retryAt = Instant.never
    /// Its volume refuses writes.
    var isBlocked = false
    var isFinished = false
    var isChanged = false
    /// The session named it since its edge opened.
    var isNamed = true

    init(id: TorrentID, spec: TorrentSpec) {
        self.id = id
        self.spec = spec
        isFresh = spec.durable.isEmpty
    }

    /// A level for each piece where they are not all normal.
    var levels: [UInt8] = []
    /// Pieces that are not wanted; nil: all are.
    var unwanted: Bitfield?
    /// Shards were told of levels: they must be told when these are gone.
    var saidLevels = false

    /// Every piece that is wanted is there.
    var isComplete: Bool { layout != nil && isAll(of: have) }
    var isDurablyComplete: Bool { layout != nil && isAll(of: durable) }
    func isAll(of some: Bitfield) -> Bool {
        guard !some.isFull, let unwanted else { return some.isFull }
        return some.setCount + unwanted.setCount >= some.count && Bitfield(full: some.count).subtracting(some).subtracting(unwanted).isEmpty
    }

    /// The wishes of the spec, for the layout that was found.
    mutating func setLevels() {
        let chosen = layout.map { spec.levels.clipped(to: $0.payloadCount) } ?? FileLevels()
        guard let layout, !chosen.isDefault || spec.endsFirst else {
            (levels, unwanted) = ([], nil)
            return
        }
        levels = layout.pieceLevels(chosen.levels(count: layout.payloadCount), ends: spec.endsFirst)
        guard chosen.skipsAny else {
            unwanted = nil
            return
        }
        var none = Bitfield(count: levels.count)
        for (piece, level) in levels.enumerated() where level == FileLevel.skip { none.insert(piece) }
        unwanted = none
    }

    /// Bytes of wanted files, and of these those in pieces that are had.
    var wantedBytes: (all: UInt64, have: UInt64) {
        guard let layout else { return (0, 0) }
        guard spec.levels.skipsAny else { return (layout.geometry.totalLength, bytesHave) }
        let had = layout.bytesHave(have)
        var all: UInt64 = 0, done: UInt64 = 0
        for run in spec.levels.complement(count: layout.payloadCount) {
            for i in run where !layout.files[i].isPad {
                all += layout.files[i].length
                done += had[i]
            }
        }
        return (all, done)
    }

    /// A verified piece that is on disk; true when it was not known before.
    mutating func insert(_ piece: Int) -> Bool {
        guard have.insert(piece), let layout else { return false }
        bytesHave += UInt64(layout.geometry.length(of: PieceIndex(piece)))
        return true
    }
    mutating func remove(_ piece: Int) {
        guard have.remove(piece), let layout else { return }
        bytesHave -= UInt64(layout.geometry.length(of: PieceIndex(piece)))
    }
    mutating func setHave(_ new: Bitfield) {
        have = new
        guard let layout else { return }
        bytesHave = layout.geometry.byteCount(of: new)
    }

    var report: TorrentReport {
        let state: TorrentReport.State
        switch phase {
        case .queued, .opening:
            state = fault.map { $0.kind == .missing || $0.kind == .changed ? .missing : .error } ?? .queued
        case .checkQueued: state = .queued
        case .checking: state = .checking
        case .ready, .settling: state = isBlocked ? .error : spec.paused ? .paused : .ready
        case .failed: state = fault?.kind == .missing || fault?.kind == .changed ? .missing : .error
        case .moving: state = .moving
        case .deleting: state = .queued
        }
        let wanted = wantedBytes
        return TorrentReport(
            state: state, piecesHave: UInt32(have.setCount), bytesHave: bytesHave, piecesChecked: UInt32(checked),
            fault: fault, bytesWanted: wanted.all, bytesWantedHave: wanted.have, selection: spec.selection)
    }
}

extension FaultKind {
    var unready: Unready {
        switch self {
        case .full, .readOnly: .diskFull
        case .missing, .changed, .deviceMissing: .missingFiles
        case .io, .permission, .badMetainfo, .pathConflict, .busy: .ioError
        }
    }
    var storeFailure: StoreFailure {
        switch self {
        case .full, .readOnly: .diskFull
        default: .ioError
        }
    }
}
