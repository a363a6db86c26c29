import Primitives

/// What goes into transactions, and what a commit sets free.
extension CatalogCore {
    /// When the next batch is wanted, ``Instant/never`` if nothing waits or one is under way.
    package var nextCommit: Instant {
        if isCommitting { return .never }
        if !staged.isEmpty { return Instant(nanoseconds: .min) }
        var at = Instant.never
        let delay = isDraining ? TimeSpan.zero : CatalogLimits.durableDelay
        if let since = durableSince { at = min(at, since + delay) }
        if let since = recordsSince { at = min(at, since + delay) }
        if let since = countersSince { at = min(at, since + (isDraining ? .zero : CatalogLimits.countersDelay)) }
        return at == .never ? at : max(at, storeRetryAt)
    }

    /// The batch to store now; nil when none is due. Must be answered by ``CatalogEvent/committed`` or
    /// ``CatalogEvent/commitFailed(_:)`` before the next is taken.
    package mutating func takeBatch(now: Instant) -> StoreBatch? {
        guard nextCommit <= now else { return nil }
        var batch = StoreBatch()
        var changed: Set<UInt32> = [], order: [TorrentID] = [], records: [UInt32: TorrentRecord] = [:]
        func touch(_ id: TorrentID) { if changed.insert(id.rawValue).inserted { order.append(id) } }
        for id in dirtyRecords { touch(id) }
        var deleted: [TorrentID] = []
        for s in staged {
            switch s.command {
            case .add(let new):
                records[s.newID.rawValue] = Self.record(of: s, new)
                storeLists(s.command, into: &batch)
                touch(s.newID)
                batch.added.append(s.token)
            case .set(let key, let value, _): batch.settings.append(.init(key: key, value: value))
            case .remove(let id, let deleteData) where !deleteData || row(id)?.record.facts.hasMetadata != true: deleted.append(id)
            case .recheck, .announce: break
            case .edit, .queue, .createCategory, .editCategory, .removeCategories, .createTags, .deleteTags:
                for (id, edit) in s.edits {
                    if records[id.rawValue] == nil { records[id.rawValue] = row(id)?.record }
                    records[id.rawValue]?.apply(edit)
                    touch(id)
                }
                storeLists(s.command, into: &batch)
            default:
                let id = s.command.torrent!
                if records[id.rawValue] == nil { records[id.rawValue] = row(id)?.record }
                if records[id.rawValue] != nil { Self.project(s.command, onto: &records[id.rawValue]!) }
                if case .metadata = s.command { batch.metadata.append(id) }
                touch(id)
            }
        }
        let gone = Set(deleted.map(\.rawValue))
        for id in order where !gone.contains(id.rawValue) {
            if let record = records[id.rawValue] ?? row(id)?.record { batch.puts.append(record) }
        }
        batch.deletes = deleted + dirtyRecords.filter { row($0) == nil && !gone.contains($0.rawValue) }
        for id in dirtyDurables where !gone.contains(id.rawValue) {
            if let row = row(id) { batch.durables.append(.init(torrent: id, bytes: row.durable.wireBytes)) }
        }
        for id in dirtyCounters where !gone.contains(id.rawValue) {
            if let row = row(id) { batch.counters.append(.init(torrent: id, counters: row.record.counters, activity: row.record.activity)) }
        }
        for id in dirtySchedules where !gone.contains(id.rawValue) {
            if let row = row(id) { batch.schedules.append(.init(torrent: id, trackers: row.trackers)) }
        }
        batch.totals = totals
        batch.nextID = nextID

        (inFlight, staged) = (staged, [])
        (committingRecords, dirtyRecords) = (dirtyRecords, [])
        (committingDurables, dirtyDurables) = (dirtyDurables, [])
        (committingCounters, dirtyCounters) = (dirtyCounters, [])
        (committingAcknowledgements, acknowledgements) = (acknowledgements, [])
        (committingCompletions, completions) = (completions, [])
        (committingMoves, moves) = (moves, [])
        (committingSchedules, dirtySchedules) = (dirtySchedules, [])
        for id in committingSchedules { if let i = index(id) { rows[i]!.isScheduleDirty = false } }
        for id in committingRecords { if let i = index(id) { rows[i]!.isRecordDirty = false } }
        for id in committingDurables { if let i = index(id) { rows[i]!.isDurableDirty = false } }
        for id in committingCounters { if let i = index(id) { rows[i]!.areCountersDirty = false } }
        (durableSince, recordsSince, countersSince) = (nil, nil, nil)
        isCommitting = true
        return batch
    }

    mutating func committed(now: Instant, into effects: inout [CatalogEffect]) {
        precondition(isCommitting)
        isCommitting = false
        for a in committingAcknowledgements where links[.disk(a.device)] != nil {
            effects.append(.durableStored(a.device, a.torrent, correlation: a.correlation))
        }
        let commands = inFlight
        inFlight = []
        for s in commands { apply(s, now: now, into: &effects) }
        for (id, isSeed) in committingCompletions {
            // A tracker hears of the end of a download only when nothing is left (BEP 3).
            if isSeed { announceCompletion(id, into: &effects) }
            if let i = index(id) { dueHooks(i, into: &effects) }
        }
        for id in committingMoves {
            guard let i = index(id), let row = rows[i], row.isMoving, covers(.disk(row.device), id) else { continue }
            effects.append(.diskMove(row.device, id, savePath: row.record.movingTo, row.record.movingNames))
        }
        clearCommitting()
    }

    mutating func commitFailed(_ why: String, now: Instant, into effects: inout [CatalogEffect]) {
        precondition(isCommitting)
        isCommitting = false
        storeRetryAt = now + CatalogLimits.storeRetry
        // What was staged meanwhile was checked against changes that did not come about.
        let refused = inFlight + staged
        (inFlight, staged) = ([], [])
        for s in refused {
            unpend(s)
            unstageLists(s.command)
            effects.append(.answer(token: s.token, s.command.torrent ?? TorrentID(rawValue: 0), .storage(why)))
        }
        for id in committingRecords { if let i = index(id) { markRecord(i, now: now) } else { dirtyRecords.append(id); recordsSince = recordsSince ?? now } }
        for id in committingDurables { if let i = index(id) { markDurable(i, now: now) } }
        for id in committingCounters { if let i = index(id) { markCounters(i, now: now) } }
        acknowledgements = committingAcknowledgements + acknowledgements
        completions = committingCompletions + completions
        moves = committingMoves + moves
        for id in committingSchedules { if let i = index(id) { markSchedule(i, now: now) } }
        clearCommitting()
    }

    private mutating func clearCommitting() {
        committingRecords = []
        committingDurables = []
        committingCounters = []
        committingAcknowledgements = []
        committingCompletions = []
        committingMoves = []
        committingSchedules = []
    }

    mutating func markRecord(_ i: Int, now: Instant) {
        if recordsSince == nil { recordsSince = now }
        guard !rows[i]!.isRecordDirty else { return }
        rows[i]!.isRecordDirty = true
        markChanged(i)
        dirtyRecords.append(rows[i]!.record.id)
    }
    mutating func markDurable(_ i: Int, now: Instant) {
        if durableSince == nil { durableSince = now }
        guard !rows[i]!.isDurableDirty else { return }
        rows[i]!.isDurableDirty = true
        dirtyDurables.append(rows[i]!.record.id)
    }
    mutating func markCounters(_ i: Int, now: Instant) {
        if countersSince == nil { countersSince = now }
        markLeft(i)
        guard !rows[i]!.areCountersDirty else { return }
        rows[i]!.areCountersDirty = true
        dirtyCounters.append(rows[i]!.record.id)
    }
    mutating func markSchedule(_ i: Int, now: Instant) {
        if countersSince == nil { countersSince = now }
        guard !rows[i]!.isScheduleDirty else { return }
        rows[i]!.isScheduleDirty = true
        dirtySchedules.append(rows[i]!.record.id)
    }
    mutating func markLeft(_ i: Int) {
        guard !rows[i]!.isLeftDirty else { return }
        rows[i]!.isLeftDirty = true
        dirtyLeft.append(rows[i]!.record.id)
    }
}
