import Primitives

/// What the disk worker says.
extension CatalogCore {
    mutating func disk(_ id: TorrentID, _ report: DiskReport, now: Instant, into effects: inout [CatalogEffect]) {
        guard let i = index(id), rows[i]!.record.facts.hasMetadata, report.selection == rows[i]!.selection else { return }
        let count = rows[i]!.record.facts.pieceCount
        precondition(report.piecesHave <= count && report.piecesChecked <= count, "the disk worker counts pieces that the torrent has not")
        rows[i]!.disk = report
        rows[i]!.isDiskKnown = true
        markLeft(i)
        markChanged(i)
        if report.condition == .ready || report.condition == .paused {
            var changed = false
            if !rows[i]!.record.isChecked {
                rows[i]!.record.isChecked = true
                isQueueDirty = true
                changed = true
                firstLooked(i)
            }
            let isComplete = rows[i]!.isComplete
            if rows[i]!.record.levels.skipsAny, rows[i]!.record.isSelectionDone != isComplete {
                rows[i]!.record.isSelectionDone = isComplete
                isQueueDirty = true
                changed = true
            }
            if !isComplete, !rows[i]!.record.wasIncomplete {
                rows[i]!.record.wasIncomplete = true
                changed = true
            } else if isComplete, rows[i]!.record.completedAt == 0 {
                rows[i]!.record.completedAt = max(wallSeconds, 1)
                if rows[i]!.record.wasIncomplete { becameComplete(i, isSeed: report.piecesHave == count) }
                isQueueDirty = true
                changed = true
            }
            if isComplete, settleIntoPlace(i) { changed = true }
            if changed { markRecord(i, now: now) }
        }
        settle(i, into: &effects)
    }

    mutating func durable(_ id: TorrentID, _ runs: [(first: UInt32, count: UInt32)], _ a: Acknowledgement, now: Instant) {
        guard let i = index(id), rows[i]!.record.facts.hasMetadata else { return }
        let count = UInt64(rows[i]!.durable.count)
        for run in runs {
            precondition(UInt64(run.first) + UInt64(run.count) <= count, "the disk worker made pieces durable that the torrent has not")
            for piece in run.first..<run.first + run.count { rows[i]!.durable.insert(Int(piece)) }
        }
        markDurable(i, now: now)
        acknowledgements.append(a)
    }

    mutating func undurable(_ id: TorrentID, _ runs: [(first: UInt32, count: UInt32)], now: Instant) {
        guard let i = index(id), rows[i]!.record.facts.hasMetadata else { return }
        let count = UInt64(rows[i]!.durable.count)
        for run in runs {
            precondition(UInt64(run.first) + UInt64(run.count) <= count)
            for piece in run.first..<run.first + run.count { rows[i]!.durable.remove(Int(piece)) }
        }
        markDurable(i, now: now)
    }

    mutating func diskRemoved(_ id: TorrentID, now: Instant, into effects: inout [CatalogEffect]) {
        guard let i = index(id), rows[i]!.record.removal != .none else { return }
        let hash = rows[i]!.record.facts.infoHash
        erase(i)
        dirtyRecords.append(id)
        if recordsSince == nil { recordsSince = now }
        effects.append(.removed(id, hash))
    }

    mutating func diskMoved(_ id: TorrentID, _ path: String, _ message: String, now: Instant, into effects: inout [CatalogEffect]) {
        guard let i = index(id), var row = rows[i], !row.record.movingTo.isEmpty else { return }
        releasePaths(row.record)
        if message.isEmpty {
            row.record.savePath = path
            row.record.names = row.record.movingNames
            row.record.roots = row.record.movingRoots
            if row.record.options.finalPath == path { row.record.options.finalPath = "" }
        } else {
            // On its way to the incomplete folder it is at its final place already.
            if row.record.options.finalPath == row.record.savePath { row.record.options.finalPath = "" }
            row.didMoveFail = true
            effects.append(.note(id, "\(row.record.name) could not be moved: \(message)"))
        }
        row.record.movingTo = ""
        (row.record.movingNames, row.record.movingRoots) = (NamePlan(), [])
        rows[i] = row
        claimPaths(row.record)
        dueHooks(i, into: &effects)
        markRecord(i, now: now)
        settle(i, into: &effects)
    }
}

/// What the peer shards say.
extension CatalogCore {
    mutating func peers(_ shard: UInt16, _ generation: Generation, _ reports: [PeerReport], now: Instant, into effects: inout [CatalogEffect]) {
        for report in reports {
            guard let i = index(report.torrent) else { continue }
            rows[i]!.downRate = report.downRate
            rows[i]!.upRate = report.upRate
            rows[i]!.peers = report.peers
            rows[i]!.seeds = report.seeds
            markChanged(i)
            noteRates(i)
            if report.seeds > 0 { rows[i]!.record.activity.seenComplete = wallSeconds }
            let before = rows[i]!.record.counters.total
            rows[i]!.record.counters.report(generation: generation.rawValue, report.counters)
            let after = rows[i]!.record.counters.total
            guard after != before else { continue }
            totals.transfer.downloaded += after.downloaded - before.downloaded
            totals.transfer.downloadedAgain += after.downloadedAgain - before.downloadedAgain
            totals.transfer.uploaded += after.uploaded - before.uploaded
            countTimes(i)
            rows[i]!.record.activity.idleMilliseconds = 0
            rows[i]!.record.activity.lastActivity = wallSeconds
            markCounters(i, now: now)
            checkShare(i, now, into: &effects)
        }
    }

    mutating func peerFault(_ id: TorrentID, _ message: String, into effects: inout [CatalogEffect]) {
        guard let i = index(id) else { return }
        rows[i]!.peerFault = message
        markChanged(i)
        effects.append(.phaseChanged(id, rows[i]!.phase))
    }

    mutating func unusable(_ id: TorrentID, _ why: String, into effects: inout [CatalogEffect]) {
        guard let i = index(id) else { return }
        rows[i]!.fault = why
        settle(i, into: &effects)
    }

    mutating func morePeersWanted(_ id: TorrentID, now: Instant, into effects: inout [CatalogEffect]) {
        guard let i = index(id), rows[i]!.isActive, covers(.discovery, id) else { return }
        guard now - rows[i]!.lastAsked >= CatalogLimits.askAgain else { return }
        rows[i]!.lastAsked = now
        effects.append(.announceNow(id))
    }
}

/// What the discovery worker says.
extension CatalogCore {
    mutating func peersFound(
        _ id: TorrentID, _ source: FoundSource, _ endpoints: [Endpoint], isVersion2: Bool, now: Instant, into effects: inout [CatalogEffect]
    ) {
        guard let i = index(id), let row = rows[i], row.isActive, covers(.peer(row.shard), id) else { return }
        if row.record.facts.isPrivate, !source.isAllowedForPrivate { return }
        if let at = peerTokensAt {
            let gained = (now - at).seconds * Double(CatalogLimits.peersPerSecond)
            peerTokens = min(Double(CatalogLimits.peersBurst), peerTokens + gained)
        }
        peerTokensAt = now
        let wanted = min(endpoints.count, CatalogLimits.peersPerAnswer, Int(peerTokens))
        guard wanted > 0 else { return }
        peerTokens -= Double(wanted)
        effects.append(.peersFound(row.shard, id, source, Array(endpoints.prefix(wanted)), isVersion2: isVersion2))
    }

    mutating func tracker(_ id: TorrentID, _ report: TrackerReport, now: Instant) {
        guard let i = index(id) else { return }
        markChanged(i)
        // An announce that begins changes nothing that is stored.
        if report.state != 1 { markSchedule(i, now: now) }
        if let at = rows[i]!.trackers.firstIndex(where: { $0.url == report.url }) {
            rows[i]!.trackers[at] = report
        } else if rows[i]!.record.facts.trackers.contains(where: { $0.contains(report.url) }) {
            rows[i]!.trackers.append(report)
        }
    }

    func totals(_ row: CatalogRow) -> DiscoveryTotals {
        let total = row.record.counters.total
        return DiscoveryTotals(torrent: row.record.id, downloaded: total.downloaded, uploaded: total.uploaded, left: row.left)
    }

    /// Counters of the torrents that moved, so that announces have fresh numbers.
    mutating func sendCounters(into effects: inout [CatalogEffect]) {
        let moved = dirtyLeft
        dirtyLeft = []
        var list: [DiscoveryTotals] = []
        for id in moved {
            guard let i = index(id) else { continue }
            rows[i]!.isLeftDirty = false
            if covers(.discovery, id) { list.append(totals(rows[i]!)) }
            // 28 bytes each: a frame of 1 MiB holds 37,000.
            if list.count == 10_000 {
                effects.append(.discoveryCounters(list))
                list = []
            }
        }
        if !list.isEmpty { effects.append(.discoveryCounters(list)) }
    }

    mutating func announceCompletion(_ id: TorrentID, into effects: inout [CatalogEffect]) {
        guard let i = index(id), rows[i]!.record.removal == .none else { return }
        // Until each says that it heard: a discovery worker that dies meanwhile leaves the rest to the next.
        for t in rows[i]!.trackers.indices where rows[i]!.trackers[t].startedSent { rows[i]!.trackers[t].completedPending = true }
        markSchedule(i, now: clock)
        guard covers(.discovery, id) else { return }
        effects.append(.discoveryCounters([totals(rows[i]!)]))
        effects.append(.discoveryCompleted(id))
    }
}
