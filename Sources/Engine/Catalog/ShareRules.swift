import Primitives

/// What time alone brings about: share limits that are reached, times that must be stored, torrents that turn slow. A
/// part of the rows each second, so that 50,000 torrents cost no more than 2,000.
extension CatalogCore {
    mutating func sweep(_ now: Instant, into effects: inout [CatalogEffect]) -> Instant {
        guard !isDraining else {
            // The last batch has the last times.
            guard !areLastTimesCounted else { return .never }
            areLastTimesCounted = true
            for i in rows.indices where rows[i]?.wasRunning == true {
                countTimes(i)
                markCounters(i, now: now)
            }
            return .never
        }
        let due = nextSweep ?? now
        guard now >= due else { return due }
        nextSweep = now + .seconds(1)
        if rules.queue.ignoresSlow, !rules.queue.isUnlimited { isQueueDirty = true }
        var left = min(rows.count, CatalogLimits.sweepRows)
        while left > 0 {
            left -= 1
            if sweepAt >= rows.count { sweepAt = 0 }
            let i = sweepAt
            sweepAt += 1
            guard let row = rows[i], row.wasRunning else { continue }
            if now - row.timesStoredAt >= CatalogLimits.timesStored {
                countTimes(i)
                markCounters(i, now: now)
            }
            checkShare(i, now, into: &effects)
        }
        return nextSweep!
    }

    /// Adds what passed since the last call to the times that were running, and notes which run from now on.
    mutating func countTimes(_ i: Int) {
        let passed = rows[i]!.uncounted(clock)
        if passed > 0 {
            if rows[i]!.wasRunning { rows[i]!.record.activity.activeMilliseconds += passed }
            if rows[i]!.wasSeeding {
                rows[i]!.record.activity.seedingMilliseconds += passed
                rows[i]!.record.activity.idleMilliseconds += passed
            }
        }
        // Less than a millisecond stays uncounted until it is one.
        if passed > 0 || rows[i]!.countedAt == nil || !rows[i]!.wasRunning { rows[i]!.countedAt = clock }
        let row = rows[i]!
        let runs = row.isActive && row.derivedPhase != .error
        let seeds = runs && row.derivedPhase == .seeding
        if runs != row.wasRunning || seeds != row.wasSeeding {
            // It starts with rates of nothing.
            if runs, !row.wasRunning { rows[i]!.slowSince = clock }
            rows[i]!.wasRunning = runs
            rows[i]!.wasSeeding = seeds
            if row.countedAt != nil, row.record.removal == .none { markCounters(i, now: clock) }
        }
    }

    /// Acts when a seeding torrent has reached one of its limits.
    mutating func checkShare(_ i: Int, _ now: Instant, into effects: inout [CatalogEffect]) {
        guard let row = rows[i], row.wasSeeding, pendingOf[row.record.id.rawValue] == nil else { return }
        let share = row.record.options.share.resolved(rules.share)
        guard share.ratio >= 0 || share.seeding >= 0 || share.inactive >= 0 else { return }
        let reason: String
        if share.ratio >= 0, row.ratio >= UInt64(share.ratio) {
            reason = "its share ratio reached \(Double(share.ratio) / 1000)"
        } else if share.seeding >= 0, row.seedingMilliseconds(now) >= UInt64(share.seeding) * 1000 {
            reason = "it was seeded for \(share.seeding) s"
        } else if share.inactive >= 0, row.idleMilliseconds(now) >= UInt64(share.inactive) * 1000 {
            reason = "it was seeded for \(share.inactive) s without a byte asked for"
        } else {
            return
        }
        let id = row.record.id
        var edit = TorrentEdit()
        switch share.action {
        case .remove, .removeWithData:
            effects.append(.note(id, "\(row.record.name) is removed\(share.action == .remove ? "" : " with its data"): \(reason)"))
            return stage(.remove(id, deleteData: share.action == .removeWithData), token: 0, now: now, into: &effects)
        case .superSeeding:
            guard !row.record.options.isSuperSeeding else { return }
            edit.isSuperSeeding = true
        case .stop, .standard: edit.isPaused = true
        }
        effects.append(.note(id, "\(row.record.name) \(share.action == .superSeeding ? "is super-seeded" : "stops"): \(reason)"))
        stage(.edit([id], edit), token: 0, now: now, into: &effects)
    }
}
