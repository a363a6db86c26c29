import Primitives

/// A user's change: checked and staged here, applied after its commit.
extension CatalogCore {
    mutating func stage(_ command: CatalogCommand, token: UInt64, now: Instant, into effects: inout [CatalogEffect]) {
        var edits: [(TorrentID, TorrentEdit)] = []
        do throws(CatalogRefusal) {
            try check(command)
            edits = try self.edits(of: command)
            if case .queue(let ids, let place) = command { try order(ids, to: place) }
        } catch {
            if case .metadata(let id, _, _, _) = command, case .conflict(let why) = error, let i = index(id) {
                rows[i]!.fault = why
                settle(i, into: &effects)
            }
            effects.append(.answer(token: token, command.torrent ?? TorrentID(rawValue: 0), error))
            return
        }
        switch command {
        case .recheck(let id):
            let row = row(id)!
            effects.append(.diskRecheck(row.device, id))
            effects.append(.answer(token: token, id, nil))
            return
        case .announce(let id):
            if covers(.discovery, id) { effects.append(.announceNow(id)) }
            effects.append(.answer(token: token, id, nil))
            return
        default: break
        }
        var newID = TorrentID(rawValue: 0)
        if case .add(let new) = command {
            newID = TorrentID(rawValue: nextID)
            nextID += 1
            if new.isFirstInQueue { lowestRank -= 1 } else { highestRank += 1 }
            for hash in new.facts.hashes { pendingHashes[hash, default: 0] += 1 }
        }
        var stagedCommand = StagedCommand(token: token, command: command, newID: newID, addedAt: wallSeconds, edits: edits)
        if case .add(let new) = command { stagedCommand.rank = new.isFirstInQueue ? lowestRank : highestRank }
        stagedCommand.claims = claimedRoots(stagedCommand)
        for root in stagedCommand.claims { pendingRoots[root, default: 0] += 1 }
        if let id = command.torrent { pendingOf[id.rawValue, default: []].append(command) }
        for (id, edit) in edits { pendingOf[id.rawValue, default: []].append(.edit([id], edit)) }
        stageLists(command)
        staged.append(stagedCommand)
    }

    /// The record as it will be once everything that is pending for it has been applied; nil when it will be gone.
    package func foreseen(_ id: TorrentID) -> TorrentRecord? {
        guard let row = row(id), row.record.removal == .none else { return nil }
        var record = row.record
        for command in pendingOf[id.rawValue] ?? [] {
            if case .remove = command { return nil }
            Self.project(command, onto: &record)
        }
        return record
    }

    private func check(_ command: CatalogCommand) throws(CatalogRefusal) {
        switch command {
        case .add(let new):
            try check(path: new.savePath)
            if count + staged.count + inFlight.count >= CatalogLimits.torrents { throw .full }
            for hash in new.facts.hashes {
                if pendingHashes[hash] != nil { throw .exists(new.facts.infoHash) }
                guard let id = idOfHash[hash], let row = row(id) else { continue }
                if row.record.removal != .none { throw .conflict("its data are still being deleted") }
                // One whose removal is on its way to the store may be added again right after it, not before.
                throw .exists(row.record.facts.infoHash)
            }
            guard !new.names.isTooLarge else { throw .conflict("too many renames") }
            for path in claimed(new) { try checkRoot(path, of: nil) }
        case .move(let id, let path):
            guard let record = foreseen(id) else { throw .notFound }
            try check(path: path)
            guard record.facts.hasMetadata else { throw .noMetadata }
            if record.savePath == path, record.options.finalPath.isEmpty || record.options.finalPath == path { throw .conflict("it is there already") }
            if !record.movingTo.isEmpty { throw .conflict("it is being moved to \(record.movingTo)") }
            guard links[.disk(row(id)!.device)] != nil else { throw .unavailable("the disk worker is restarting") }
            for root in TorrentRecord.join(path, record.roots) { try checkRoot(root, of: id) }
        case .recheck(let id):
            guard let record = foreseen(id) else { throw .notFound }
            guard record.facts.hasMetadata else { throw .noMetadata }
            guard covers(.disk(row(id)!.device), id) else { throw .unavailable("the disk worker is restarting") }
        case .metadata(let id, let facts, _, let roots):
            guard let record = foreseen(id), !record.facts.hasMetadata else { throw .notFound }
            for hash in facts.hashes where idOfHash[hash] != nil && idOfHash[hash] != id {
                throw .conflict("the torrent \(hash) is there already: this magnet link names the same one")
            }
            for root in TorrentRecord.join(record.savePath, roots.isEmpty ? [facts.rootName] : roots) { try checkRoot(root, of: id) }
        case .pause(let id), .resume(let id), .remove(let id, _), .addPeers(let id, _), .select(let id, _), .announce(let id), .limit(let id, _, _):
            guard foreseen(id) != nil else { throw .notFound }
        case .set, .edit, .queue, .createCategory, .editCategory, .removeCategories, .createTags, .deleteTags: break
        }
    }

    func check(path: String) throws(CatalogRefusal) {
        guard path.hasPrefix("/") else { throw .badPath("a save path must be absolute") }
        guard path.utf8.count <= CatalogLimits.savePathBytes else { throw .badPath("the save path is longer than \(CatalogLimits.savePathBytes) bytes") }
        guard !path.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { throw .badPath("the save path has a control character") }
        guard !path.split(separator: "/").contains("..") else { throw .badPath("the save path has a .. in it") }
    }

    func checkRoot(_ root: String, of id: TorrentID?) throws(CatalogRefusal) {
        if let other = idOfRoot[root], other != id, let row = row(other) {
            throw .conflict("\(row.record.name) (\(row.record.facts.infoHash)) writes \(root) too; use another save path")
        }
        if pendingRoots[root] != nil { throw .conflict("another torrent that is being added writes \(root) too") }
    }

    func claimed(_ new: NewTorrent) -> [String] {
        guard !new.facts.rootName.isEmpty else { return [] }
        return TorrentRecord.join(new.savePath, new.roots)
    }

    /// The paths that a command takes for its torrents.
    private func claimedRoots(_ s: StagedCommand) -> [String] {
        switch s.command {
        case .add(let new): return claimed(new)
        case .move(let id, let path): return row(id).map { TorrentRecord.join(path, $0.record.roots) } ?? []
        case .metadata(let id, let facts, _, let roots): return row(id).map { TorrentRecord.join($0.record.savePath, roots.isEmpty ? [facts.rootName] : roots) } ?? []
        default:
            return s.edits.flatMap { id, edit -> [String] in
                guard let record = row(id)?.record else { return [] }
                if let path = edit.savePath ?? edit.dataPath { return TorrentRecord.join(path, record.roots) }
                if let roots = edit.roots { return TorrentRecord.join(record.savePath, roots) }
                return []
            }
        }
    }

    /// What a command makes of a record: the same for the store's copy and, after the commit, for the row.
    static func project(_ command: CatalogCommand, onto record: inout TorrentRecord) {
        switch command {
        case .pause: record.isPaused = true
        case .resume: record.isPaused = false
        case .remove(_, let deleteData): if deleteData { record.removal = .deletingData }
        case .move(_, let path):
            // Said of the data itself: where it is to be while incomplete follows no more.
            record.options.isAutoManaged = false
            if !record.options.finalPath.isEmpty, record.savePath == path { record.options.finalPath = "" } else { record.aim(at: path) }
        case .edit(_, let edit): record.apply(edit)
        case .select(_, let levels):
            if levels.wantsMore(than: record.levels) {
                // The download begins anew, and its end will be one.
                (record.isSelectionDone, record.completedAt, record.wasIncomplete) = (false, 0, false)
            }
            record.levels = levels
        case .addPeers(_, let peers):
            var all = record.peers.filter { !peers.contains($0) }
            all.append(contentsOf: peers)
            record.peers = Array(all.suffix(CatalogLimits.explicitPeers))
        case .limit(_, let limits, let group): (record.limits, record.limitGroup) = (limits, group)
        case .metadata(_, let facts, let names, let roots):
            let trackers = record.facts.trackers
            record.facts = facts
            // The info dictionary carries no trackers: those of the magnet stay.
            if record.facts.trackers.isEmpty { record.facts.trackers = trackers }
            record.names = names
            record.roots = roots.isEmpty ? [facts.rootName] : roots
            if record.options.stopCondition == .metadataReceived {
                record.options.stopCondition = .none
                record.isPaused = true
            }
        case .add, .set, .recheck, .announce, .queue, .createCategory, .editCategory, .removeCategories, .createTags, .deleteTags: break
        }
    }

    static func record(of staged: StagedCommand, _ new: NewTorrent) -> TorrentRecord {
        var record = TorrentRecord(id: staged.newID, facts: new.facts, savePath: new.savePath, addedAt: staged.addedAt)
        record.isPaused = new.isPaused
        record.isSequential = new.isSequential
        record.skipCheck = new.skipCheck
        record.wasMagnet = !new.facts.hasMetadata
        record.peers = Array(new.peers.suffix(CatalogLimits.explicitPeers))
        record.options = new.options
        (record.limits.down, record.limits.up) = (new.downLimit, new.upLimit)
        record.options.tags = new.options.tags.sortedOnce
        record.options.rank = staged.rank
        record.names = new.names
        record.roots = new.roots
        if new.facts.hasMetadata, new.options.stopCondition == .metadataReceived { record.options.stopCondition = .none }
        record.levels = new.levels
        return record
    }

    mutating func unpend(_ s: StagedCommand) {
        func release<K: Hashable>(_ table: inout [K: Int], _ key: K) {
            guard let n = table[key] else { return }
            table[key] = n > 1 ? n - 1 : nil
        }
        if case .add(let new) = s.command { for hash in new.facts.hashes { release(&pendingHashes, hash) } }
        for root in s.claims { release(&pendingRoots, root) }
        for id in s.torrents {
            pendingOf[id.rawValue]?.removeFirst()
            if pendingOf[id.rawValue]?.isEmpty == true { pendingOf[id.rawValue] = nil }
        }
    }

    /// The commit is done: the row changes, the workers hear of it, the user has his answer.
    mutating func apply(_ s: StagedCommand, now: Instant, into effects: inout [CatalogEffect]) {
        unpend(s)
        switch s.command {
        case .add(let new):
            let row = CatalogRow(Self.record(of: s, new), durable: nil)
            insert(row)
            totals.added += 1
            announceToLinks(rows.count - 1, into: &effects)
            effects.append(.phaseChanged(s.newID, rows[rows.count - 1]!.phase))
            applyLists(s.command, into: &effects)
            dueHooks(rows.count - 1, into: &effects)
            effects.append(.answer(token: s.token, s.newID, nil))
            return
        case .set(_, _, let rules):
            self.rules = rules
            isQueueDirty = true
            effects.append(.answer(token: s.token, TorrentID(rawValue: 0), nil))
            return
        case .edit, .queue, .createCategory, .editCategory, .removeCategories, .createTags, .deleteTags:
            applyLists(s.command, into: &effects)
            for (id, edit) in s.edits { apply(edit, to: id, into: &effects) }
            effects.append(.answer(token: s.token, s.edits.count == 1 ? s.edits[0].0 : TorrentID(rawValue: 0), nil))
            return
        default: break
        }
        guard let id = s.command.torrent, let i = index(id), var row = rows[i] else {
            preconditionFailure("a committed command without its torrent")
        }
        let before = row.record
        if case .metadata = s.command {
            Self.project(s.command, onto: &row.record)
            becomeFull(i, row, into: &effects)
            return
        }
        if case .remove(_, let deleteData) = s.command {
            remove(i, deleteData: deleteData, into: &effects)
            effects.append(.answer(token: s.token, id, nil))
            return
        }
        releasePaths(before)
        Self.project(s.command, onto: &row.record)
        rows[i] = row
        claimPaths(row.record)
        switch s.command {
        case .pause, .resume: isQueueDirty = true
        case .move: sendMove(i, before, into: &effects)
        case .limit(_, let limits, let group):
            if covers(.peer(row.shard), id) { effects.append(.peerLimits(row.shard, id, limits, group: group)) }
        case .addPeers(_, let peers):
            if covers(.peer(row.shard), id) { effects.append(.peersFound(row.shard, id, .manual, peers)) }
        case .select(_, let levels):
            // What the disk worker said was about other files.
            if before.levels.skipped != levels.skipped {
                rows[i]!.isDiskKnown = false
                rows[i]!.selection += 1
            }
            if row.record.facts.hasMetadata, covers(.disk(row.device), id) {
                effects.append(.diskLevels(row.device, id, levels, selection: rows[i]!.selection))
            }
        default: break
        }
        settle(i, into: &effects)
        if case .resume = s.command, row.isDiskKnown, covers(.disk(row.device), id) {
            // A user who resumes a torrent in error has mended something: look again. Missing files need a new check.
            if row.disk.condition == .missing {
                effects.append(.diskRecheck(row.device, id))
            } else if row.disk.condition == .error, before.isPaused == row.record.isPaused {
                effects.append(.diskFlags(row.device, id, rows[i]!.sentFlags))
            }
        }
        effects.append(.answer(token: s.token, id, nil))
    }

    private mutating func remove(_ i: Int, deleteData: Bool, into effects: inout [CatalogEffect]) {
        let row = rows[i]!, id = row.record.id, hash = row.record.facts.infoHash
        if covers(.peer(row.shard), id) { effects.append(.peerRemove(row.shard, id)) }
        if covers(.discovery, id) { effects.append(.discoveryRemove(id)) }
        let onDisk = row.record.facts.hasMetadata
        if onDisk, covers(.disk(row.device), id) { effects.append(.diskRemove(row.device, id, deleteData: deleteData)) }
        if deleteData, onDisk {
            phaseCounts[Int(row.phase.rawValue)] -= 1
            leaveOrder(i)
            rows[i]!.record.removal = .deletingData
            rows[i]!.downRate = 0
            rows[i]!.upRate = 0
            isQueueDirty = true
        } else {
            erase(i)
        }
        effects.append(.removed(id, hash))
    }

    /// A magnet's metadata is stored: the torrent is as if added from a file, but for its history.
    private mutating func becomeFull(_ i: Int, _ changed: CatalogRow, into effects: inout [CatalogEffect]) {
        let old = rows[i]!
        var row = changed
        let facts = row.record.facts
        row.durable = Bitfield(count: Int(facts.pieceCount))
        row.estimate()
        row.fault = ""
        rows[i] = row
        // A magnet by one hash may turn out to be a hybrid's.
        for hash in facts.hashes where idOfHash[hash] == nil { idOfHash[hash] = row.record.id }
        claimPaths(row.record)
        announceToLinks(i, into: &effects)
        settle(i, into: &effects)
        precondition(old.record.id == row.record.id)
    }
}

extension TorrentFacts {
    /// Every hash that may name it: a hybrid meets its v2-only twin by the truncated v2 hash.
    var hashes: [InfoHash] {
        let second = infoHashV2.truncated
        return infoHashV2 == SHA256Digest() || second == infoHash ? [infoHash] : [infoHash, second]
    }
}
