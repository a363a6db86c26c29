import Primitives

/// The list of torrents: what the user wants of each, how far it is, what its life-time counters are. Pure: events in,
/// effects out; the session worker stores, sends and answers.
///
/// A user's change goes three steps, so that what was answered survives a crash and what failed left no trace:
///
///     command ──checked──▶ staged ──takeBatch──▶ in flight ──committed──▶ applied, workers told, answered
///                                                       └──commitFailed──▶ answered with the reason
///
/// What workers report (completion, durable pieces, counters) is applied at once and written with the next batch; until
/// then it is "dirty" and survives a failed commit as such.
///
/// Invariants:
/// - rows stand in rising order of their id; an id is never used twice.
/// - a worker is sent changes only of torrents that its replay has passed.
/// - no effect of a staged command is seen before its commit.
/// - life-time counters never fall.
package struct CatalogCore: Sendable {
    /// Seconds since 1970, set by the owner before events; used for records only, never for decisions.
    package var wallSeconds: UInt64 = 0

    var rows: [CatalogRow?] = []
    var dead = 0
    var indexOf: [UInt32: Int] = [:]
    var idOfHash: [InfoHash: TorrentID] = [:]
    var idOfRoot: [String: TorrentID] = [:]
    var nextID: UInt32
    var links: [CatalogLink: LinkState] = [:]
    var peerGenerations: [UInt16: Generation] = [:]
    /// For each disk worker met: a peer shard died since its link opened.
    var lostShard: [UInt16: Bool] = [:]

    var queue: QueueLimits
    var isQueueDirty = true
    package let configuration: CatalogConfiguration

    var staged: [StagedCommand] = []
    var inFlight: [StagedCommand] = []
    var pendingHashes: [InfoHash: Int] = [:]
    var pendingRoots: [String: Int] = [:]
    var pendingOf: [UInt32: [CatalogCommand]] = [:]
    var isCommitting = false

    var dirtyRecords: [TorrentID] = []
    var dirtyDurables: [TorrentID] = []
    var dirtyCounters: [TorrentID] = []
    var dirtyLeft: [TorrentID] = []
    var acknowledgements: [Acknowledgement] = []
    var completions: [TorrentID] = []
    var committingRecords: [TorrentID] = []
    var committingDurables: [TorrentID] = []
    var committingCounters: [TorrentID] = []
    var committingAcknowledgements: [Acknowledgement] = []
    var committingCompletions: [TorrentID] = []
    var durableSince: Instant?
    var recordsSince: Instant?
    var countersSince: Instant?
    var storeRetryAt = Instant(nanoseconds: .min)
    var isDraining = false

    var peerTokens = Double(CatalogLimits.peersBurst)
    var peerTokensAt: Instant?
    var nextCounters: Instant?
    /// Torrents by phase.
    package internal(set) var phaseCounts = [Int](repeating: 0, count: TorrentPhase.allCases.count)

    struct LinkState: Sendable {
        var generation: Generation
        /// Id up to which the replay went.
        var cursor: UInt32 = 0
        var isLive = false
        /// Pieces outside the durable bitfields may be on disk.
        var isUnclean = false
    }
    struct StagedCommand: Sendable {
        let token: UInt64
        let command: CatalogCommand
        /// Given to an `add` when it was staged.
        let newID: TorrentID
        let addedAt: UInt64
    }
    struct Acknowledgement: Sendable, Hashable {
        let device: UInt16
        let torrent: TorrentID
        let correlation: UInt64
    }

    package init(configuration: CatalogConfiguration, records: [(TorrentRecord, Bitfield?)], nextID: UInt32) {
        self.configuration = configuration
        queue = configuration.queue
        self.nextID = max(nextID, 1)
        for (record, durable) in records.sorted(by: { $0.0.id < $1.0.id }) {
            insert(CatalogRow(record, durable: durable))
        }
    }

    package mutating func handle(_ event: CatalogEvent, now: Instant, into effects: inout [CatalogEffect]) {
        switch event {
        case .command(let token, let command): stage(command, token: token, now: now, into: &effects)
        case .committed: committed(now: now, into: &effects)
        case .commitFailed(let why): commitFailed(why, now: now, into: &effects)
        case .linkOpened(let link, let generation): opened(link, generation)
        case .linkClosed(let link): closed(link, into: &effects)
        case .disk(let id, let report): disk(id, report, now: now, into: &effects)
        case .durable(let id, let runs, let device, let correlation):
            durable(id, runs, Acknowledgement(device: device, torrent: id, correlation: correlation), now: now)
        case .undurable(let id, let runs): undurable(id, runs, now: now)
        case .diskRemoved(let id, _): diskRemoved(id, now: now, into: &effects)
        case .diskMoved(let id, let path, let message): diskMoved(id, path, message, now: now, into: &effects)
        case .peers(let shard, let generation, let reports): peers(shard, generation, reports, now: now)
        case .peerFault(let id, let message): peerFault(id, message, into: &effects)
        case .morePeersWanted(let id): morePeersWanted(id, now: now, into: &effects)
        case .peersFound(let id, let source, let endpoints, let isVersion2):
            peersFound(id, source, endpoints, isVersion2: isVersion2, now: now, into: &effects)
        case .tracker(let id, let report): tracker(id, report)
        case .unusable(let id, let why): unusable(id, why, into: &effects)
        case .limits(let limits):
            queue = limits
            isQueueDirty = true
        case .draining: isDraining = true
        }
    }

    /// Acts on what is due; says when it next wants to be called.
    package mutating func turn(now: Instant, into effects: inout [CatalogEffect]) -> Instant {
        if isQueueDirty { applyQueue(into: &effects) }
        let due = nextCounters ?? now + CatalogLimits.countersDelay
        nextCounters = due
        if now >= due || isDraining {
            sendCounters(into: &effects)
            nextCounters = now + CatalogLimits.countersDelay
        }
        return min(nextCounters!, nextCommit)
    }

    // MARK: looking at it

    package var count: Int { rows.count - dead }
    package func row(_ id: TorrentID) -> CatalogRow? { indexOf[id.rawValue].flatMap { rows[$0] } }
    package func find(_ hash: InfoHash) -> TorrentID? { idOfHash[hash] }
    /// In the order of adding; torrents whose data are being deleted are left out.
    package func forEach(_ body: (CatalogRow) -> Void) {
        for row in rows { if let row, row.record.removal == .none { body(row) } }
    }
    package func links(_ link: CatalogLink) -> Generation? { links[link]?.generation }
    /// True once every torrent was sent on that link.
    package func isReplayed(_ link: CatalogLink) -> Bool { links[link]?.isLive ?? false }
    /// Every verified piece that the disk worker reported is stored as durable, and nothing waits for a commit.
    package var isSettled: Bool {
        guard staged.isEmpty, !isCommitting, dirtyRecords.isEmpty, dirtyDurables.isEmpty, dirtyCounters.isEmpty else { return false }
        return rows.allSatisfy { row in
            guard let row, row.record.facts.hasMetadata, row.record.removal == .none else { return true }
            return row.durable.setCount >= Int(row.disk.piecesHave)
        }
    }

    // MARK: rows

    mutating func insert(_ row: CatalogRow) {
        var row = row
        let facts = row.record.facts
        row.shard = configuration.shard(of: facts.infoHash)
        row.phase = row.derivedPhase
        indexOf[row.record.id.rawValue] = rows.count
        idOfHash[facts.infoHash] = row.record.id
        if !facts.infoHashV2.truncated.isZero { idOfHash[facts.infoHashV2.truncated] = row.record.id }
        if let root = row.record.rootPath { idOfRoot[root] = row.record.id }
        if let root = row.movingRoot { idOfRoot[root] = row.record.id }
        nextID = max(nextID, row.record.id.rawValue + 1)
        if row.record.removal == .none { phaseCounts[Int(row.phase.rawValue)] += 1 }
        rows.append(row)
        isQueueDirty = true
    }

    mutating func erase(_ i: Int) {
        guard let row = rows[i] else { return }
        let id = row.record.id, facts = row.record.facts
        if row.record.removal == .none { phaseCounts[Int(row.phase.rawValue)] -= 1 }
        indexOf[id.rawValue] = nil
        for hash in facts.hashes where idOfHash[hash] == id { idOfHash[hash] = nil }
        for root in [row.record.rootPath, row.movingRoot] { if let root, idOfRoot[root] == id { idOfRoot[root] = nil } }
        rows[i] = nil
        dead += 1
        isQueueDirty = true
        // Half the array gone: pay for the move once in a while instead of at each removal.
        if dead > 64, dead > rows.count / 2 {
            rows.removeAll { $0 == nil }
            dead = 0
            for (i, row) in rows.enumerated() { indexOf[row!.record.id.rawValue] = i }
        }
    }

    /// After anything that may change a row's phase or flags: says so to front ends and workers.
    mutating func settle(_ i: Int, into effects: inout [CatalogEffect]) {
        guard let row = rows[i], row.record.removal == .none else { return }
        let phase = row.derivedPhase
        if phase != row.phase {
            phaseCounts[Int(row.phase.rawValue)] -= 1
            phaseCounts[Int(phase.rawValue)] += 1
            // Finished, failed or checked: places in the queue moved.
            isQueueDirty = true
            rows[i]!.phase = phase
            effects.append(.phaseChanged(row.record.id, phase))
        }
        let flags = row.flags(sequentialByDefault: configuration.isSequential)
        if flags != row.sentFlags {
            rows[i]!.sentFlags = flags
            if covers(.peer(row.shard), row.record.id) { effects.append(.peerFlags(row.shard, row.record.id, flags)) }
            if row.record.facts.hasMetadata, covers(.disk(row.device), row.record.id) {
                effects.append(.diskFlags(row.device, row.record.id, flags))
            }
        }
        let said = row.discoveryFlags(sequentialByDefault: configuration.isSequential)
        if said != row.sentDiscoveryFlags {
            rows[i]!.sentDiscoveryFlags = said
            if covers(.discovery, row.record.id) {
                // The first announce after a check must know what is left.
                if row.sentDiscoveryFlags.contains(.paused), !said.contains(.paused) { effects.append(.discoveryCounters([totals(row)])) }
                effects.append(.discoveryFlags(row.record.id, said))
            }
        }
    }

    func index(_ id: TorrentID) -> Int? { indexOf[id.rawValue] }
}

/// What does not change while the session runs.
package struct CatalogConfiguration: Hashable, Sendable {
    package var shardCount: UInt16
    package var queue: QueueLimits
    /// strategy.piece_selection is sequential.
    package var isSequential: Bool
    /// The last run ended without its final checkpoint, or it cannot be known.
    package var isUnclean: Bool
    package init(
        shardCount: UInt16 = 1, queue: QueueLimits = QueueLimits(), isSequential: Bool = false, isUnclean: Bool = false
    ) {
        self.shardCount = shardCount
        self.queue = queue
        self.isSequential = isSequential
        self.isUnclean = isUnclean
    }
    /// The same over restarts: arenas are found by it.
    package func shard(of hash: InfoHash) -> UInt16 {
        var n: UInt64 = 0
        for byte in hash.bytes.prefix(8) { n = n << 8 | UInt64(byte) }
        return UInt16(n % UInt64(max(shardCount, 1)))
    }
}

extension CatalogRow {
    var movingRoot: String? { record.movingTo.isEmpty ? nil : record.rootPath(in: record.movingTo) }
}
