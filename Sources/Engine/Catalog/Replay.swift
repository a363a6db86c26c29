import Primitives

/// Bringing a worker that starts empty to what the catalogue holds, a part at a time.
extension CatalogCore {
    /// A change of this torrent goes out on the link now; later ones go with the replay.
    func covers(_ link: CatalogLink, _ id: TorrentID) -> Bool {
        guard let state = links[link] else { return false }
        return state.isLive || id.rawValue <= state.cursor
    }

    mutating func opened(_ link: CatalogLink, _ generation: Generation) {
        var state = LinkState(generation: generation)
        switch link {
        case .disk(let device):
            // The first disk worker that this session meets inherits how the last run ended. A later one learns from
            // the shards what its predecessor had written, unless one of them died as well.
            state.isUnclean = lostShard[device] ?? configuration.isUnclean
            lostShard[device] = false
        case .peer(let shard):
            if let known = peerGenerations[shard], known != generation { shardLost() }
            peerGenerations[shard] = generation
        case .discovery: break
        }
        links[link] = state
    }

    private mutating func shardLost() {
        for device in lostShard.keys { lostShard[device] = true }
    }

    mutating func closed(_ link: CatalogLink, into effects: inout [CatalogEffect]) {
        guard links.removeValue(forKey: link) != nil else { return }
        switch link {
        case .peer(let shard):
            shardLost()
            for i in rows.indices where rows[i]?.shard == shard {
                rows[i]!.downRate = 0
                rows[i]!.upRate = 0
                rows[i]!.peers = 0
                rows[i]!.seeds = 0
                rows[i]!.peerFault = ""
                markChanged(i)
            }
        case .disk(let device):
            acknowledgements.removeAll { $0.device == device }
            committingAcknowledgements.removeAll { $0.device == device }
            for i in rows.indices where rows[i]?.device == device {
                rows[i]!.isDiskKnown = false
                settle(i, into: &effects)
            }
        case .discovery:
            for i in rows.indices where rows[i] != nil {
                for t in rows[i]!.trackers.indices where rows[i]!.trackers[t].state == 1 { rows[i]!.trackers[t].state = 0 }
            }
        }
    }

    /// Sends up to `budget` more torrents on a link whose replay is not over. True when it is.
    package mutating func replay(_ link: CatalogLink, budget: Int, into effects: inout [CatalogEffect]) -> Bool {
        guard var state = links[link], !state.isLive else { return true }
        var i = firstIndex(after: state.cursor), sent = 0
        while i < rows.count, sent < budget {
            if let row = rows[i] {
                state.cursor = row.record.id.rawValue
                links[link] = state
                if serves(link, row) {
                    send(i, on: link, isUnclean: state.isUnclean, into: &effects)
                    sent += 1
                }
            }
            i += 1
        }
        guard i >= rows.count else { return false }
        state.isLive = true
        links[link] = state
        switch link {
        case .peer(let shard): effects.append(.peerReplayEnd(shard))
        case .disk(let device): effects.append(.diskReplayEnd(device))
        case .discovery: effects.append(.discoveryReplayEnd)
        }
        return true
    }

    /// A torrent that is new to every link.
    mutating func announceToLinks(_ i: Int, into effects: inout [CatalogEffect]) {
        let row = rows[i]!
        for link in [CatalogLink.disk(row.device), .peer(row.shard), .discovery] where covers(link, row.record.id) {
            send(i, on: link, isUnclean: false, into: &effects)
        }
    }

    private func serves(_ link: CatalogLink, _ row: CatalogRow) -> Bool {
        switch link {
        case .peer(let shard): row.shard == shard && row.record.removal == .none
        case .disk(let device): row.device == device && row.record.facts.hasMetadata
        case .discovery: row.record.removal == .none
        }
    }

    mutating func send(_ i: Int, on link: CatalogLink, isUnclean: Bool, into effects: inout [CatalogEffect]) {
        let row = rows[i]!, record = row.record
        guard serves(link, row) else { return }
        var flags = row.flags(sequentialByDefault: configuration.isSequential)
        rows[i]!.sentFlags = flags
        switch link {
        case .peer(let shard):
            effects.append(
                .peerAdd(
                    PeerEntry(
                        shard: shard, torrent: record.id, facts: record.facts, flags: flags, device: row.device)))
            if record.hasLimits { effects.append(.peerLimits(shard, record.id, record.limits, group: record.limitGroup)) }
            if !record.peers.isEmpty { effects.append(.peersFound(shard, record.id, .manual, record.peers)) }
        case .disk(let device):
            if isUnclean, record.isChecked { flags.insert(.unclean) }
            if record.removal != .none { flags.insert(.paused) }
            if !record.movingTo.isEmpty { flags.insert(.moving) }
            effects.append(
                .diskAdd(
                    DiskEntry(
                        device: device, torrent: record.id, infoHash: record.facts.infoHash, flags: flags, savePath: record.savePath,
                        names: record.names, levels: record.levels, selection: row.selection, durable: record.isChecked ? row.durable.wireBytes : [])))
            // What was under way when the worker died begins again: both are idempotent.
            if !record.movingTo.isEmpty { effects.append(.diskMove(device, record.id, savePath: record.movingTo, record.movingNames)) }
            if record.removal == .deletingData { effects.append(.diskRemove(device, record.id, deleteData: true)) }
        case .discovery:
            let said = row.discoveryFlags(sequentialByDefault: configuration.isSequential)
            rows[i]!.sentDiscoveryFlags = said
            effects.append(
                .discoveryAdd(
                    DiscoveryEntry(torrent: record.id, facts: record.facts, flags: said, trackers: trackerEntries(row), counters: totals(row))))
            let owed = row.trackers.filter(\.completedPending).map(\.url)
            if !owed.isEmpty { effects.append(.discoveryCompletedAgain(record.id, owed)) }
        }
    }

    mutating func sendToDiscovery(_ i: Int, into effects: inout [CatalogEffect]) { send(i, on: .discovery, isUnclean: false, into: &effects) }

    mutating func scheduleLoaded(_ id: TorrentID, _ reports: [TrackerReport]) {
        guard let i = index(id), rows[i]!.trackers.isEmpty else { return }
        let urls = Set(rows[i]!.record.facts.trackers.joined())
        rows[i]!.trackers = reports.filter { urls.contains($0.url) }
    }

    private func trackerEntries(_ row: CatalogRow) -> [TrackerReport] {
        var out: [TrackerReport] = []
        for (tier, urls) in row.record.facts.trackers.enumerated() {
            for url in urls {
                let known = row.trackers.first { $0.tier == UInt16(tier) && $0.url == url } ?? row.trackers.first { $0.url == url }
                out.append(
                    TrackerReport(
                        tier: UInt16(tier), url: url, startedSent: known?.startedSent ?? false, nextAnnounce: known?.nextAnnounce ?? 0))
            }
        }
        return out
    }

    /// Rows are in the order of their ids, with holes.
    func firstIndex(after id: UInt32) -> Int {
        var low = 0, high = rows.count
        while low < high {
            var mid = (low + high) / 2
            let start = mid
            while mid < high, rows[mid] == nil { mid += 1 }
            if mid < high, rows[mid]!.record.id.rawValue <= id { low = mid + 1 } else { high = start }
        }
        return low
    }
}
