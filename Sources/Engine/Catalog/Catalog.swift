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

    package internal(set) var rules: CatalogRules
    var isQueueDirty = true
    var queueAppliedAt = Instant(nanoseconds: .min / 2)
    var heldCount = 0
    /// Unfinished torrents by rank, then id.
    var queueOrder: [QueueKey] = []
    /// Changes that gave other torrents another place than before: who shows places looks at all of them.
    package var queueShifts: UInt64 = 0
    var highestRank: Int64 = 0
    var lowestRank: Int64 = 0

    /// Save path by name; "": see ``CatalogRules/folder(category:path:)``.
    package internal(set) var categories: [String: String]
    package internal(set) var tags: Set<String>
    var pendingCategories: [String: String]?
    /// Over the life of the store, torrents that are gone included.
    package internal(set) var totals: CatalogTotals
    /// The moment of the event being handled.
    var clock = Instant(nanoseconds: 0)
    var sweepAt = 0
    var areLastTimesCounted = false
    var nextSweep: Instant?
    var changed: [TorrentID] = []
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
    var completions: [(id: TorrentID, isSeed: Bool)] = []
    /// Moves that go to the disk worker once the record says so.
    var moves: [TorrentID] = []
    var dirtySchedules: [TorrentID] = []
    var committingRecords: [TorrentID] = []
    var committingDurables: [TorrentID] = []
    var committingCounters: [TorrentID] = []
    var committingAcknowledgements: [Acknowledgement] = []
    var committingCompletions: [(id: TorrentID, isSeed: Bool)] = []
    var committingMoves: [TorrentID] = []
    var committingSchedules: [TorrentID] = []
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
        /// What it does to torrents, worked out when it was staged.
        let edits: [(TorrentID, TorrentEdit)]
        /// Of an `add`.
        var rank: Int64 = 0
        /// Paths that it takes for its torrents.
        var claims: [String] = []
        var torrents: [TorrentID] { command.torrent.map { [$0] } ?? edits.map(\.0) }
    }
    struct Acknowledgement: Sendable, Hashable {
        let device: UInt16
        let torrent: TorrentID
        let correlation: UInt64
    }

    package init(
        configuration: CatalogConfiguration, records: [(TorrentRecord, Bitfield?)], nextID: UInt32, categories: [String: String] = [:], tags: Set<String> = [],
        totals: CatalogTotals = CatalogTotals()
    ) {
        self.configuration = configuration
        rules = configuration.rules
        (self.categories, self.tags, self.totals) = (categories, tags, totals)
        self.nextID = max(nextID, 1)
        for (record, durable) in records.sorted(by: { $0.0.id < $1.0.id }) {
            insert(CatalogRow(record, durable: durable), isLoading: true)
        }
        queueOrder.sort()
    }

    package mutating func handle(_ event: CatalogEvent, now: Instant, into effects: inout [CatalogEffect]) {
        clock = now
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
        case .peers(let shard, let generation, let reports): peers(shard, generation, reports, now: now, into: &effects)
        case .peerFault(let id, let message): peerFault(id, message, into: &effects)
        case .morePeersWanted(let id): morePeersWanted(id, now: now, into: &effects)
        case .peersFound(let id, let source, let endpoints, let isVersion2):
            peersFound(id, source, endpoints, isVersion2: isVersion2, now: now, into: &effects)
        case .tracker(let id, let report): tracker(id, report, now: now)
        case .unusable(let id, let why): unusable(id, why, into: &effects)
        case .rules(let rules):
            self.rules = rules
            isQueueDirty = true
        case .schedule(let id, let reports): scheduleLoaded(id, reports)
        case .draining: isDraining = true
        }
    }

    /// Acts on what is due; says when it next wants to be called.
    package mutating func turn(now: Instant, into effects: inout [CatalogEffect]) -> Instant {
        clock = now
        var next = turnQueue(now, into: &effects)
        next = min(next, sweep(now, into: &effects))
        let due = nextCounters ?? now + CatalogLimits.countersDelay
        nextCounters = due
        if now >= due || isDraining {
            sendCounters(into: &effects)
            nextCounters = now + CatalogLimits.countersDelay
        }
        return min(next, nextCounters!, nextCommit)
    }

    // MARK: looking at it

    package var count: Int { rows.count - dead }
    package func row(_ id: TorrentID) -> CatalogRow? { indexOf[id.rawValue].flatMap { rows[$0] } }
    package func find(_ hash: InfoHash) -> TorrentID? { idOfHash[hash] }
    /// In the order of adding; torrents whose data are being deleted are left out.
    package func forEach(_ body: (CatalogRow) -> Void) {
        for row in rows { if let row, row.record.removal == .none { body(row) } }
    }
    /// The same from after an id on, until `body` says false.
    package func forEach(after id: TorrentID, _ body: (CatalogRow) -> Bool) {
        for i in firstIndex(after: id.rawValue)..<rows.count { if let row = rows[i], row.record.id > id, row.record.removal == .none, !body(row) { return } }
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

    mutating func insert(_ row: CatalogRow, isLoading: Bool = false) {
        var row = row
        let facts = row.record.facts
        row.shard = configuration.shard(of: facts.infoHash)
        row.phase = row.derivedPhase
        indexOf[row.record.id.rawValue] = rows.count
        idOfHash[facts.infoHash] = row.record.id
        if !facts.infoHashV2.truncated.isZero { idOfHash[facts.infoHashV2.truncated] = row.record.id }
        claimPaths(row.record)
        highestRank = max(highestRank, row.record.options.rank)
        lowestRank = min(lowestRank, row.record.options.rank)
        nextID = max(nextID, row.record.id.rawValue + 1)
        if row.record.removal == .none { phaseCounts[Int(row.phase.rawValue)] += 1 }
        rows.append(row)
        isQueueDirty = true
        if isLoading {
            if row.wantsQueuePlace {
                rows[rows.count - 1]!.queuedRank = row.record.options.rank
                queueOrder.append(QueueKey(rank: row.record.options.rank, id: row.record.id))
            }
        } else {
            keepOrder(rows.count - 1)
            markChanged(rows.count - 1)
        }
    }

    /// Whose data stands at an absolute path.
    package func writer(of path: String) -> TorrentID? { idOfRoot[path] }
    mutating func claimPaths(_ record: TorrentRecord) { for path in record.claimedPaths { idOfRoot[path] = record.id } }
    mutating func releasePaths(_ record: TorrentRecord) { for path in record.claimedPaths where idOfRoot[path] == record.id { idOfRoot[path] = nil } }

    mutating func erase(_ i: Int) {
        guard let row = rows[i] else { return }
        let id = row.record.id, facts = row.record.facts
        if row.record.removal == .none { phaseCounts[Int(row.phase.rawValue)] -= 1 }
        indexOf[id.rawValue] = nil
        for hash in facts.hashes where idOfHash[hash] == id { idOfHash[hash] = nil }
        releasePaths(row.record)
        leaveOrder(i)
        if row.isHeld { heldCount -= 1 }
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

    mutating func markChanged(_ i: Int) {
        guard !rows[i]!.isChanged else { return }
        rows[i]!.isChanged = true
        changed.append(rows[i]!.record.id)
    }
    /// Torrents that changed in any way since the last call; removed ones may be among them.
    package mutating func takeChanged() -> [TorrentID] {
        defer { changed = [] }
        for id in changed { if let i = index(id) { rows[i]!.isChanged = false } }
        return changed
    }

    /// After anything that may change a row's phase or flags: says so to front ends and workers.
    mutating func settle(_ i: Int, into effects: inout [CatalogEffect]) {
        guard rows[i]?.record.removal == TorrentRecord.Removal.none else { return }
        keepOrder(i)
        countTimes(i)
        markChanged(i)
        let row = rows[i]!
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
    package var rules: CatalogRules
    /// strategy.piece_selection is sequential.
    package var isSequential: Bool
    /// The last run ended without its final checkpoint, or it cannot be known.
    package var isUnclean: Bool
    package init(
        shardCount: UInt16 = 1, rules: CatalogRules = CatalogRules(), isSequential: Bool = false, isUnclean: Bool = false
    ) {
        self.shardCount = shardCount
        self.rules = rules
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

/// Payload and torrents over the life of the store. Never falls.
package struct CatalogTotals: Hashable, Sendable {
    package var transfer = TransferCounters()
    package var added: UInt64 = 0
    package var completed: UInt64 = 0
    /// Seconds since 1970 at which the counting began.
    package var since: UInt64 = 0
    package init() {}
}
