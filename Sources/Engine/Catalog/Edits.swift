import Primitives

/// Changes of many torrents at once, and of the lists that torrents refer to.
extension CatalogCore {
    // MARK: checking, and working out what it means for each torrent

    /// Needs a command that ``CatalogCore/stage(_:token:now:into:)`` has checked by itself.
    func edits(of command: CatalogCommand) throws(CatalogRefusal) -> [(TorrentID, TorrentEdit)] {
        switch command {
        case .edit(let ids, let edit): return try edits(ids, edit)
        case .queue: return []
        case .createCategory(let name, let path):
            try check(name: name, of: "category")
            if !path.isEmpty { try check(path: path) }
            if foreseenCategories[name] != nil { throw .taken(name) }
            if foreseenCategories.count >= CatalogLimits.names { throw .full }
            return []
        case .editCategory(let name, let path):
            guard foreseenCategories[name] != nil else { throw .unknown("no category \(name)") }
            if !path.isEmpty { try check(path: path) }
            let folder = rules.folder(category: name, path: path)
            guard !folder.isEmpty else { return [] }
            var taken: Set<String> = []
            return managed { $0.options.category == name }.compactMap { record in
                guard record.wantedPath != folder, mayGo(record, to: folder), record.roots.allSatisfy({ taken.insert($0).inserted }) else { return nil }
                var edit = TorrentEdit()
                edit.savePath = folder
                return (record.id, edit)
            }
        case .removeCategories(let names):
            let gone = Set(names)
            var taken: Set<String> = []
            return records { gone.contains($0.options.category) }.map { record in
                var edit = TorrentEdit()
                edit.category = ""
                if record.options.isAutoManaged, !rules.folder.isEmpty, record.wantedPath != rules.folder, mayGo(record, to: rules.folder),
                    record.roots.allSatisfy({ taken.insert($0).inserted })
                {
                    edit.savePath = rules.folder
                }
                return (record.id, edit)
            }
        case .createTags(let names):
            for name in names { try check(name: name, of: "tag") }
            if tags.count + names.count > CatalogLimits.names { throw .full }
            return []
        case .deleteTags(let names):
            let gone = Set(names)
            return records { $0.options.tags.contains { gone.contains($0) } }.map { record in
                var edit = TorrentEdit()
                edit.removeTags = names
                return (record.id, edit)
            }
        case .add(let new):
            if !new.options.category.isEmpty { try check(name: new.options.category, of: "category") }
            for tag in new.options.tags { try check(name: tag, of: "tag") }
            if new.options.tags.count > CatalogLimits.tagsPerTorrent { throw .conflict("more than \(CatalogLimits.tagsPerTorrent) tags") }
            return []
        default: return []
        }
    }

    private func edits(_ ids: [TorrentID], _ wish: TorrentEdit) throws(CatalogRefusal) -> [(TorrentID, TorrentEdit)] {
        if let category = wish.category, !category.isEmpty, foreseenCategories[category] == nil { throw .unknown("no category \(category)") }
        for tag in (wish.tags ?? []) + wish.addTags { try check(name: tag, of: "tag") }
        if let path = wish.savePath { try check(path: path) }
        var out: [(TorrentID, TorrentEdit)] = [], seen: Set<UInt32> = [], taken: Set<String> = []
        for id in ids where seen.insert(id.rawValue).inserted {
            guard let record = foreseen(id) else { throw .notFound }
            var edit = wish
            if let path = wish.savePath {
                edit.isAutoManaged = false
                if path == record.wantedPath {
                    edit.savePath = nil
                } else {
                    if !record.movingTo.isEmpty { throw .conflict("\(record.name) is being moved to \(record.movingTo)") }
                    for root in TorrentRecord.join(path, record.roots) { try checkRoot(root, of: id) }
                }
            } else if wish.category != nil || wish.isAutoManaged == true, wish.isAutoManaged ?? record.options.isAutoManaged {
                let category = wish.category ?? record.options.category
                let folder = rules.folder(category: category, path: foreseenCategories[category] ?? "")
                if !folder.isEmpty, folder != record.wantedPath {
                    if !record.movingTo.isEmpty { throw .conflict("\(record.name) is being moved to \(record.movingTo)") }
                    for root in TorrentRecord.join(folder, record.roots) { try checkRoot(root, of: id) }
                    edit.savePath = folder
                }
            }
            if let path = wish.incompletePath { edit.dataPath = try dataPath(record, id, incomplete: path) }
            if let path = edit.dataPath {
                guard edit.savePath == nil else { throw .conflict("the save path and the folder for incomplete data cannot change at once") }
                for root in TorrentRecord.join(path, record.roots) where !taken.insert(root).inserted { throw .conflict("two of these torrents write \(root)") }
            }
            if let path = edit.savePath {
                for root in TorrentRecord.join(path, record.roots) where !taken.insert(root).inserted { throw .conflict("two of these torrents write \(root)") }
            }
            if let names = wish.names {
                guard record.movingTo.isEmpty else { throw .conflict("\(record.name) is being moved to \(record.movingTo)") }
                guard !names.isTooLarge else { throw .conflict("it was renamed too often") }
                guard links[.disk(row(id)!.device)] != nil else { throw .unavailable("the disk worker is restarting") }
                for root in TorrentRecord.join(record.savePath, wish.roots ?? []) { try checkRoot(root, of: id) }
            }
            if let added = Optional(wish.addTags), !added.isEmpty || wish.tags != nil {
                var probe = record
                probe.apply(edit)
                if probe.options.tags.count > CatalogLimits.tagsPerTorrent { throw .conflict("more than \(CatalogLimits.tagsPerTorrent) tags") }
            }
            out.append((id, edit))
        }
        return out
    }

    /// Where data has to go when its folder for the time until completion changes; nil: nowhere.
    private func dataPath(_ record: TorrentRecord, _ id: TorrentID, incomplete path: String) throws(CatalogRefusal) -> String? {
        if !path.isEmpty { try check(path: path) }
        // Before the first look the data is where it belongs, and after completion it is there again.
        guard record.facts.hasMetadata, record.isChecked, row(id)?.isComplete != true else { return nil }
        let folder = path.isEmpty ? record.wantedPath : path
        if !record.movingTo.isEmpty { throw .conflict("\(record.name) is being moved to \(record.movingTo)") }
        guard folder != record.savePath else { return nil }
        for root in TorrentRecord.join(folder, record.roots) { try checkRoot(root, of: id) }
        return folder
    }

    /// The move may be refused for one torrent of a category; it stays where it is, which its save path shows.
    private func mayGo(_ record: TorrentRecord, to folder: String) -> Bool {
        guard record.movingTo.isEmpty else { return false }
        return TorrentRecord.join(folder, record.roots).allSatisfy { (idOfRoot[$0] ?? record.id) == record.id && pendingRoots[$0] == nil }
    }
    private func records(_ isWanted: (TorrentRecord) -> Bool) -> [TorrentRecord] {
        rows.compactMap { row in
            guard let row, row.record.removal == .none, let record = pendingOf[row.record.id.rawValue] == nil ? row.record : foreseen(row.record.id), isWanted(record)
            else { return nil }
            return record
        }
    }
    private func managed(_ isWanted: (TorrentRecord) -> Bool) -> [TorrentRecord] { records { $0.options.isAutoManaged && isWanted($0) } }

    private func check(name: String, of what: String) throws(CatalogRefusal) {
        guard !name.isEmpty, name.utf8.count <= 240 else { throw .conflict("a \(what)'s name has 1 to 240 bytes") }
        guard !name.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "\\") }) else {
            throw .conflict("a \(what)'s name may hold no control character and no backslash")
        }
        if what == "tag" {
            guard !name.utf8.contains(UInt8(ascii: ",")) else { throw .conflict("a tag may hold no comma") }
            return
        }
        for part in name.split(separator: "/", omittingEmptySubsequences: false) where part.isEmpty || part == "." || part == ".." {
            throw .conflict("\(name) is no name for a category: its parts become folders")
        }
    }

    // MARK: lists

    /// An order is applied at once and stored with the next batch: two steps up in one batch are two steps.
    mutating func order(_ ids: [TorrentID], to place: QueuePlace) throws(CatalogRefusal) {
        guard rules.queue.isManaged else { throw .conflict("queue.auto_manage_queue is off") }
        for (id, rank) in ranks(ids, to: place) {
            guard let i = index(id) else { continue }
            rows[i]!.record.options.rank = rank
            markRecord(i, now: clock)
            keepOrder(i)
        }
    }

    /// Categories as they will be once what is staged is applied.
    var foreseenCategories: [String: String] { pendingCategories ?? categories }

    mutating func stageLists(_ command: CatalogCommand) {
        switch command {
        case .createCategory(let name, let path), .editCategory(let name, let path): pendingCategories = with(foreseenCategories) { $0[name] = path }
        case .removeCategories(let names): pendingCategories = with(foreseenCategories) { for name in names { $0[name] = nil } }
        case .add(let new):
            if !new.options.category.isEmpty, foreseenCategories[new.options.category] == nil {
                pendingCategories = with(foreseenCategories) { $0[new.options.category] = "" }
            }
        default: break
        }
    }
    private func with(_ value: [String: String], _ change: (inout [String: String]) -> Void) -> [String: String] {
        var value = value
        change(&value)
        return value
    }
    /// The commit failed: what was foreseen does not come.
    mutating func unstageLists(_ command: CatalogCommand) { pendingCategories = nil }

    func storeLists(_ command: CatalogCommand, into batch: inout StoreBatch) {
        switch command {
        case .createCategory(let name, let path), .editCategory(let name, let path): batch.categories.append(.init(key: name, value: path))
        case .removeCategories(let names): batch.categories += names.map { .init(key: $0, value: nil) }
        case .createTags(let names): batch.tags += names.map { .init(key: $0, value: "") }
        case .deleteTags(let names): batch.tags += names.map { .init(key: $0, value: nil) }
        case .edit(_, let edit): batch.tags += ((edit.tags ?? []) + edit.addTags).filter { !tags.contains($0) }.map { .init(key: $0, value: "") }
        case .add(let new):
            if !new.options.category.isEmpty, categories[new.options.category] == nil { batch.categories.append(.init(key: new.options.category, value: "")) }
            batch.tags += new.options.tags.filter { !tags.contains($0) }.map { .init(key: $0, value: "") }
        default: break
        }
    }

    mutating func applyLists(_ command: CatalogCommand, into effects: inout [CatalogEffect]) {
        let before = (categories, tags.count)
        switch command {
        case .createCategory(let name, let path), .editCategory(let name, let path): categories[name] = path
        case .removeCategories(let names): for name in names { categories[name] = nil }
        case .createTags(let names): tags.formUnion(names)
        case .deleteTags(let names): tags.subtract(names)
        case .edit(_, let edit): tags.formUnion((edit.tags ?? []) + edit.addTags)
        case .add(let new):
            if !new.options.category.isEmpty, categories[new.options.category] == nil { categories[new.options.category] = "" }
            tags.formUnion(new.options.tags)
        default: break
        }
        if staged.isEmpty { pendingCategories = nil }
        if before.0 != categories { effects.append(.listsChanged(.categories)) }
        if before.1 != tags.count { effects.append(.listsChanged(.tags)) }
    }

    // MARK: a committed change of one torrent

    mutating func apply(_ edit: TorrentEdit, to id: TorrentID, into effects: inout [CatalogEffect]) {
        guard let i = index(id), let before = rows[i]?.record else { preconditionFailure("a committed change without its torrent") }
        releasePaths(before)
        rows[i]!.record.apply(edit)
        let row = rows[i]!
        claimPaths(row.record)
        if edit.isPaused != nil || edit.isForced != nil { isQueueDirty = true }
        sendMove(i, before, into: &effects)
        if row.record.limits != before.limits, covers(.peer(row.shard), id) {
            effects.append(.peerLimits(row.shard, id, row.record.limits, group: row.record.limitGroup))
        }
        if row.record.facts.trackers != before.facts.trackers {
            let urls = Set(row.record.facts.trackers.joined())
            rows[i]!.trackers.removeAll { !urls.contains($0.url) }
            for t in rows[i]!.trackers.indices {
                // The report stands under the tier that its URL has now.
                if let tier = row.record.facts.trackers.firstIndex(where: { $0.contains(rows[i]!.trackers[t].url) }) { rows[i]!.trackers[t].tier = UInt16(tier) }
            }
            markSchedule(i, now: clock)
            if covers(.discovery, id) { sendToDiscovery(i, into: &effects) }
        }
        settle(i, into: &effects)
    }

    /// A move that the record did not know of before goes to the disk worker.
    mutating func sendMove(_ i: Int, _ before: TorrentRecord, into effects: inout [CatalogEffect]) {
        let row = rows[i]!
        guard row.isMoving, before.movingTo.isEmpty, covers(.disk(row.device), row.record.id) else { return }
        effects.append(.diskMove(row.device, row.record.id, savePath: row.record.movingTo, row.record.movingNames))
    }

    // MARK: a torrent's turning points

    /// The disk worker has looked at the files for the first time.
    mutating func firstLooked(_ i: Int) {
        if rows[i]!.record.options.stopCondition == .filesChecked {
            rows[i]!.record.options.stopCondition = .none
            rows[i]!.record.isPaused = true
        }
        let record = rows[i]!.record
        guard !rows[i]!.isComplete, record.movingTo.isEmpty, !record.options.incompletePath.isEmpty || !record.options.incompleteSuffix.isEmpty else { return }
        // What was there already was found where it belongs; the rest is fetched where incomplete data goes.
        releasePaths(record)
        let folder = record.options.incompletePath.isEmpty ? record.savePath : record.options.incompletePath
        rows[i]!.record.options.finalPath = record.savePath
        rows[i]!.record.beginMove(to: folder, NamePlan(renames: record.names.renames, suffix: record.options.incompleteSuffix))
        claimPaths(rows[i]!.record)
        moves.append(record.id)
    }

    /// All that is wanted is there; `isSeed`: and that is all there is.
    mutating func becameComplete(_ i: Int, isSeed: Bool) {
        completions.append((rows[i]!.record.id, isSeed))
        totals.completed += 1
        if rules.hooks.contains(.finished) { rows[i]!.record.options.hooksDue.insert(.finished) }
    }

    /// Complete data goes to where it belongs, under its own names. True when that begins now.
    mutating func settleIntoPlace(_ i: Int) -> Bool {
        let record = rows[i]!.record
        guard !rows[i]!.didMoveFail, record.movingTo.isEmpty, !record.options.finalPath.isEmpty || !record.names.suffix.isEmpty else { return false }
        let folder = record.options.finalPath.isEmpty ? record.savePath : record.options.finalPath
        releasePaths(record)
        rows[i]!.record.beginMove(to: folder, NamePlan(renames: record.names.renames))
        claimPaths(rows[i]!.record)
        moves.append(record.id)
        return true
    }

    /// At the start of a session worker: what an earlier one owed.
    package func hooksOwed() -> [(TorrentID, HookSet)] {
        rows.compactMap { row in row.flatMap { !$0.record.options.hooksDue.isEmpty && !$0.isMoving ? ($0.record.id, $0.record.options.hooksDue) : nil } }
    }
    /// Programs that are due and for which nothing has to move first.
    func dueHooks(_ i: Int, into effects: inout [CatalogEffect]) {
        let row = rows[i]!
        var due = row.record.options.hooksDue
        if row.isMoving || !row.didMoveFail && (!row.record.options.finalPath.isEmpty || !row.record.names.suffix.isEmpty) { due.remove(.finished) }
        if !due.isEmpty { effects.append(.hooks(row.record.id, due)) }
    }
}
