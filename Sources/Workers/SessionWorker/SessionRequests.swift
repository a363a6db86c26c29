import Catalog
import Control
import Foundation
import IPC
import Metainfo
import Primitives
import Settings
import WorkerKit

/// The methods of `SessionMethods.swift`, one line each.
extension SessionShell {
    /// False when the method is none of these.
    func dispatchSession(_ method: String, _ from: Asker, _ line: UnsafeRawBufferPointer) throws(ControlError) -> Bool {
        func p<P: Codable & Sendable>(_: P.Type = P.self) throws(ControlError) -> P { try ControlLine.parameters(line, as: P.self) }
        switch method {
        case ControlMethods.SetTorrents.name: try setTorrents(from, p())
        case ControlMethods.MoveInQueue.name: try moveInQueue(from, p())
        case ControlMethods.RenameFile.name: try rename(from, p(), isFolder: false)
        case ControlMethods.RenameFolder.name: try rename(from, p(), isFolder: true)
        case ControlMethods.Export.name: try export(from, find(p(HashParameters.self).hash))
        case ControlMethods.SetTrackers.name: try setTrackers(from, p())
        case ControlMethods.AddTrackers.name: try addTrackers(from, p())
        case ControlMethods.EditTracker.name: try editTracker(from, p())
        case ControlMethods.RemoveTrackers.name: try removeTrackers(from, p())
        case ControlMethods.ChangeWebSeeds.name: try changeWebSeeds(from, p())
        case ControlMethods.WebSeeds.name:
            try readMetainfo(from, find(p(HashParameters.self).hash)) { m in WebSeedsAnswer(urls: m.webSeeds.map { Text.printable($0, limit: 2048) }) }
        case ControlMethods.PieceHashes.name: try pieceHashes(from, find(p(HashParameters.self).hash))
        case ControlMethods.PieceStates.name: try askPieceStates(from, find(p(HashParameters.self).hash))
        case ControlMethods.Categories.name: reply(from, categories())
        case ControlMethods.CreateCategory.name:
            let row = try p(CategoryRow.self)
            command(from, .createCategory(row.name, savePath: Self.tidy(row.savePath)))
        case ControlMethods.EditCategory.name:
            let row = try p(CategoryRow.self)
            command(from, .editCategory(row.name, savePath: Self.tidy(row.savePath)))
        case ControlMethods.RemoveCategories.name: try command(from, .removeCategories(names(p())))
        case ControlMethods.Tags.name: reply(from, NamesParameters(names: core.tags.sorted()))
        case ControlMethods.CreateTags.name: try command(from, .createTags(names(p())))
        case ControlMethods.DeleteTags.name: try command(from, .deleteTags(names(p())))
        case ControlMethods.ReadLog.name: try reply(from, LogAnswer(lines: log.lines(p())))
        case ControlMethods.Statistics.name: reply(from, statistics())
        case ControlMethods.WatchFolders.name: reply(from, WatchFoldersAnswer(folders: folders.rows))
        case ControlMethods.SetWatchFolder.name: try setFolder(from, p())
        case ControlMethods.RemoveWatchFolder.name: try removeFolder(from, p(PathParameters.self).path)
        default: return try dispatchFeeds(method, from, line)
        }
        return true
    }

    private func names(_ p: NamesParameters) throws(ControlError) -> [String] {
        guard p.names.count <= Control.namesLimit else { throw ControlError(.tooLarge, "at most \(Control.namesLimit) names at once") }
        return p.names
    }

    /// The torrents that are named; those that are not there only where that was allowed.
    func torrents(_ hashes: [String], skipUnknown: Bool?) throws(ControlError) -> [TorrentID] {
        guard hashes.count <= Control.hashesLimit else { throw ControlError(.tooLarge, "at most \(Control.hashesLimit) torrents at once") }
        var out: [TorrentID] = []
        for hash in hashes {
            do throws(ControlError) { out.append(try find(hash)) } catch { guard skipUnknown == true, error.code == .notFound else { throw error } }
        }
        return out
    }

    // MARK: torrents

    private func setTorrents(_ from: Asker, _ p: SetTorrentsParameters) throws(ControlError) {
        let ids = try torrents(p.hashes, skipUnknown: p.skipUnknown)
        var edit = TorrentEdit()
        if let name = p.name {
            guard name.utf8.count <= Control.nameLimit else { throw ControlError(.invalidParameters, "a name has at most \(Control.nameLimit) bytes") }
            edit.name = Text.printable(name, limit: Control.nameLimit)
        }
        if let comment = p.comment {
            guard comment.utf8.count <= Control.commentLimit else { throw ControlError(.invalidParameters, "a comment has at most \(Control.commentLimit) bytes") }
            edit.comment = Text.printable(comment, limit: Control.commentLimit)
        }
        edit.category = p.category
        edit.tags = p.tags
        edit.addTags = p.addTags ?? []
        edit.removeTags = p.removeTags ?? []
        edit.isAutoManaged = p.autoManaged
        edit.savePath = p.savePath.map(Self.tidy)
        edit.incompletePath = p.incompletePath.map(Self.tidy)
        edit.isSequential = p.sequential
        edit.isFirstLastFirst = p.firstLastFirst
        edit.isSuperSeeding = p.superSeeding
        edit.isForced = p.forceStart
        edit.ratio = try Self.ratio(p.ratioLimit)
        edit.seeding = try Self.limitSeconds(p.seedingTimeLimit)
        edit.inactive = try Self.limitSeconds(p.inactiveSeedingTimeLimit)
        edit.action = p.limitAction.map(Self.action)
        edit.stopCondition = p.stopCondition.map(Self.stopCondition)
        edit.downLimit = p.downLimit.map { Int64(clamping: $0) }
        edit.upLimit = p.upLimit.map { Int64(clamping: $0) }
        command(from, .edit(ids, edit), kind: .count(ids.count))
    }

    private func moveInQueue(_ from: Asker, _ p: MoveInQueueParameters) throws(ControlError) {
        let ids = try torrents(p.hashes, skipUnknown: p.skipUnknown)
        let place: QueuePlace =
            switch p.to {
            case .top: .top
            case .bottom: .bottom
            case .up: .up
            case .down: .down
            }
        command(from, .queue(ids, place), kind: .count(ids.count))
    }

    // MARK: names of files

    private func rename(_ from: Asker, _ p: RenameParameters, isFolder: Bool) throws(ControlError) {
        let id = try find(p.hash), record = core.row(id)!.record
        guard record.facts.hasMetadata else { throw ControlError(.noMetadata, "the magnet's metadata has not arrived") }
        let hash = record.facts.infoHash, names = record.names, files = self.files, token = wait(from, .pool)
        pool({ () -> Result<FileRename, ControlError> in
            Result { () throws(ControlError) in
                guard let bytes = files.read(hash), let m = try? Metainfo(parsing: bytes) else { throw ControlError(.storage, "the stored .torrent file cannot be read") }
                return try FileRename(m.files.filter { !$0.isPad }.map(\.path), names, from: p.path, to: p.newPath, isFolder: isFolder)
            }
        }) { [self] result in
            switch result {
            case .failure(let error): finish(token, error: error)
            case .success(let rename):
                pending[token]?.kind = .move
                var edit = TorrentEdit()
                edit.names = rename.plan
                edit.roots = rename.roots
                feed(.command(token: token, .edit([id], edit)))
                act()
            }
        }
    }

    // MARK: trackers

    private func setTrackers(_ from: Asker, _ p: SetTrackersParameters) throws(ControlError) { try trackers(from, find(p.hash), p.trackers) }

    private func addTrackers(_ from: Asker, _ p: AddTrackersParameters) throws(ControlError) {
        let id = try find(p.hash)
        var tiers = core.row(id)!.record.facts.trackers
        let known = Set(tiers.joined())
        for url in p.urls where !known.contains(url) {
            if let tier = p.tier, tiers.indices.contains(tier) { tiers[tier].append(url) } else { tiers.append([url]) }
        }
        try trackers(from, id, tiers)
    }

    private func editTracker(_ from: Asker, _ p: EditTrackerParameters) throws(ControlError) {
        let id = try find(p.hash)
        var tiers = core.row(id)!.record.facts.trackers
        guard let tier = tiers.firstIndex(where: { $0.contains(p.url) }) else { throw ControlError(.notFound, "no tracker \(Text.printable(p.url, limit: 200))") }
        let url = p.newURL ?? p.url
        if url != p.url, tiers.joined().contains(url) { throw ControlError(.conflict, "that tracker is there already") }
        if let to = p.tier, to != tier {
            tiers[tier].removeAll { $0 == p.url }
            if tiers.indices.contains(to) { tiers[to].append(url) } else { tiers.append([url]) }
        } else {
            tiers[tier] = tiers[tier].map { $0 == p.url ? url : $0 }
        }
        try trackers(from, id, tiers)
    }

    private func removeTrackers(_ from: Asker, _ p: RemoveTrackersParameters) throws(ControlError) {
        let id = try find(p.hash), gone = Set(p.urls), tiers = core.row(id)!.record.facts.trackers
        guard tiers.joined().contains(where: { gone.contains($0) }) else { throw ControlError(.notFound, "none of these trackers is there") }
        try trackers(from, id, tiers.map { $0.filter { !gone.contains($0) } })
    }

    private func trackers(_ from: Asker, _ id: TorrentID, _ tiers: [[String]]) throws(ControlError) {
        var seen: Set<String> = [], kept: [[String]] = []
        for tier in tiers {
            var urls: [String] = []
            for url in tier where seen.insert(url).inserted {
                let scheme = url.prefix { $0 != ":" }.lowercased()
                guard ["http", "https", "udp", "ws", "wss"].contains(scheme), url.utf8.count <= 2048, url.contains("://"),
                    !url.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F })
                else { throw ControlError(.invalidParameters, "\(Text.printable(url, limit: 200)) is no tracker address") }
                urls.append(url)
            }
            if !urls.isEmpty { kept.append(urls) }
        }
        guard seen.count <= Control.trackersPerTorrentLimit else { throw ControlError(.tooLarge, "at most \(Control.trackersPerTorrentLimit) trackers") }
        var edit = TorrentEdit()
        edit.trackers = kept
        command(from, .edit([id], edit))
    }

    // MARK: what the stored file says

    private func readMetainfo<A: Codable & Sendable>(_ from: Asker, _ id: TorrentID, _ answer: @escaping @Sendable (Metainfo) -> A) throws(ControlError) {
        let facts = core.row(id)!.record.facts
        guard facts.hasMetadata else { throw ControlError(.noMetadata, "the magnet's metadata has not arrived") }
        let token = wait(from, .pool), files = self.files
        pool({ () -> A? in files.read(facts.infoHash).flatMap { try? Metainfo(parsing: $0) }.map(answer) }) { [self] answer in
            if let answer { finish(token, answer) } else { finish(token, error: ControlError(.storage, "the stored .torrent file cannot be read")) }
        }
    }

    private func pieceHashes(_ from: Asker, _ id: TorrentID) throws(ControlError) {
        let hash = core.row(id)!.record.facts.infoHash, files = self.files
        try readMetainfo(from, id) { m in
            guard let range = m.pieceHashes, let bytes = files.read(hash) else { return PieceHashesAnswer(hashes: []) }
            return PieceHashesAnswer(hashes: stride(from: range.lowerBound, to: range.upperBound, by: 20).map { at in SHA1Digest(Array(bytes[at..<at + 20]))?.hex ?? "" })
        }
    }

    private func export(_ from: Asker, _ id: TorrentID) throws(ControlError) {
        let record = core.row(id)!.record, files = self.files
        guard record.facts.hasMetadata else { throw ControlError(.noMetadata, "the magnet's metadata has not arrived") }
        let token = wait(from, .pool)
        pool({ () -> ExportAnswer? in
            guard let bytes = files.read(record.facts.infoHash), let clean = TorrentReading.exported(bytes, trackers: record.facts.trackers) else { return nil }
            return ExportAnswer(torrent: Data(clean).base64EncodedString(), name: record.name)
        }) { [self] answer in
            if let answer { finish(token, answer) } else { finish(token, error: ControlError(.storage, "the stored .torrent file cannot be read")) }
        }
    }

    // MARK: pieces

    private func askPieceStates(_ from: Asker, _ id: TorrentID) throws(ControlError) {
        let row = core.row(id)!
        guard row.record.facts.hasMetadata else { throw ControlError(.noMetadata, "the magnet's metadata has not arrived") }
        guard !row.isComplete, row.isActive, let edge = kit.edge(.peer, row.shard) else { return reply(from, states(row.durable, open: [])) }
        let token = wait(from, .pieceStates(id), for: Self.workerAnswer)
        kit.send(PieceStatesWanted(torrent: id.rawValue), to: edge, correlation: token)
    }

    func answerPieceStates(token: UInt64, _ m: PieceStates) {
        guard case .pieceStates(let id)? = pending[token]?.kind else { return }
        guard let row = core.row(id) else { return finish(token, error: ControlError(.notFound, "no such torrent")) }
        let have = Bitfield(wire: m.have, count: row.durable.count) ?? row.durable
        finish(token, states(have, open: m.open, availability: Double(m.availability) / 1000))
    }

    private func states(_ have: Bitfield, open: [UInt32], availability: Double = -1) -> PieceStatesAnswer {
        var digits = [UInt8](repeating: UInt8(ascii: "0"), count: have.count)
        for (first, count) in have.runs { for piece in first..<first + count { digits[piece] = UInt8(ascii: "2") } }
        for piece in open where Int(piece) < digits.count && digits[Int(piece)] == UInt8(ascii: "0") { digits[Int(piece)] = UInt8(ascii: "1") }
        return PieceStatesAnswer(states: String(decoding: digits, as: UTF8.self), availability: availability)
    }

    // MARK: lists

    private func categories() -> CategoriesAnswer {
        CategoriesAnswer(categories: core.categories.sorted { $0.key < $1.key }.map { CategoryRow(name: $0.key, savePath: $0.value) })
    }

    private func statistics() -> StatisticsAnswer {
        let t = core.totals, start = totalsAtStart
        return StatisticsAnswer(
            downloadedEver: t.transfer.downloaded, uploadedEver: t.transfer.uploaded,
            ratioEver: t.transfer.downloaded == 0 ? 0 : Double(t.transfer.uploaded) / Double(t.transfer.downloaded),
            downloadedSession: t.transfer.downloaded - start.downloaded, uploadedSession: t.transfer.uploaded - start.uploaded,
            wastedEver: t.transfer.downloadedAgain, addedEver: t.added, completedEver: t.completed, since: t.since)
    }
}

/// A rename of one file or folder, checked against all others.
struct FileRename: Sendable {
    let plan: NamePlan
    let roots: [String]

    /// `paths` are those of the metainfo; `from` and `to` as `files` shows them. Throws `.notFound`, `.invalidParameters`, `.conflict`.
    init(_ paths: [String], _ names: NamePlan, from: String, to: String, isFolder: Bool) throws(ControlError) {
        let now = paths.map { names.name($0) }, inside = from + "/"
        guard isFolder ? now.contains(where: { $0.hasPrefix(inside) }) : now.contains(from) else {
            throw ControlError(.notFound, "no \(isFolder ? "folder" : "file") \(Text.printable(from, limit: 200)) in this torrent")
        }
        guard to.utf8.count <= 4000 else { throw ControlError(.invalidParameters, "the new path is too long") }
        for part in to.split(separator: "/", omittingEmptySubsequences: false) {
            guard !part.isEmpty, part != ".", part != "..", part.utf8.count <= 255, !part.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
                throw ControlError(.invalidParameters, "\(Text.printable(to, limit: 200)) is no path for a file of a torrent")
            }
        }
        guard from != to else { throw ControlError(.conflict, "it is called so already") }
        var plan = names
        plan.renames.append(.init(from: from, to: to))
        let then = paths.map { plan.name($0) }
        var seen: Set<String> = [], folders: Set<String> = []
        for path in then {
            guard seen.insert(path).inserted else { throw ControlError(.conflict, "two files would be called \(Text.printable(path, limit: 200))") }
            var folder = Substring(path)
            while let slash = folder.lastIndex(of: "/") {
                folder = folder[..<slash]
                if !folders.insert(String(folder)).inserted { break }
            }
        }
        if let clash = seen.intersection(folders).min() { throw ControlError(.conflict, "\(Text.printable(clash, limit: 200)) would be a file and a folder") }
        self.plan = plan
        roots = Array(Set(then.map { String($0.prefix { $0 != "/" }) }).sorted().prefix(1000))
    }
}
