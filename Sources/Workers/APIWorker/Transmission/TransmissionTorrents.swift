import Control
import Foundation
import IPC
import Primitives

/// What is changed on torrents: torrent-set, names, order.
extension TransmissionRPC {
    /// Rates are in kB/s of 1,000 bytes.
    func torrentSet(_ a: [String: Any]) async throws -> [String: Any] {
        let entries = selected(a["ids"])
        let change = try Self.change(a)
        if let change, !entries.isEmpty {
            var p = change
            p.hashes = entries.map(\.hash)
            p.skipUnknown = true
            _ = try await gateway.call(ControlMethods.SetTorrents.self, p)
        }
        func rate(_ name: String) -> Int64? {
            if let limited = a[name + "Limited"] as? Bool, !limited { return 0 }
            return (a[name + "Limit"] as? NSNumber).map { max(0, $0.int64Value) * 1000 }
        }
        let down = rate("download"), up = rate("upload"), peers = (a["peer-limit"] as? NSNumber)?.intValue
        let choice = try FileChoice.Transmission(a)
        let group = (a["group"] ?? a["bandwidth-group"]) as? String
        for entry in entries {
            if down != nil || up != nil || peers != nil || group != nil {
                _ = try await gateway.call(ControlMethods.LimitTorrent.self, TorrentLimitParameters(hash: entry.hash, down: down, up: up, group: group, maxPeers: peers))
            }
            if let labels = a["labels"] as? [Any] { try await set(labels, of: entry) }
            try await setTrackers(a, of: entry)
            if !choice.isEmpty { try await choice.apply(to: entry, gateway) }
            if let place = (a["queuePosition"] as? NSNumber)?.intValue { try await put(entry, at: place) }
        }
        return [:]
    }

    /// What one request says of all its torrents alike; nil: nothing.
    private static func change(_ a: [String: Any]) throws(Refusal) -> SetTorrentsParameters? {
        var p = SetTorrentsParameters(hashes: [])
        p.sequential = (a["sequential-download"] ?? a["sequentialDownload"]) as? Bool
        // Modes: 0 as the session, 1 its own, 2 none.
        func limit(_ mode: String, _ value: String) throws(Refusal) -> Double? {
            let given = (a[value] as? NSNumber)?.doubleValue
            switch (a[mode] as? NSNumber)?.intValue {
            case 0: return -2
            case 2: return -1
            case 1, nil: return given.map { max(0, $0) }
            default: throw Refusal(.badRequest, "\(mode) is 0, 1 or 2")
            }
        }
        p.ratioLimit = try limit("seedRatioMode", "seedRatioLimit")
        p.inactiveSeedingTimeLimit = try limit("seedIdleMode", "seedIdleLimit").map { Int64($0) }
        return p.sequential == nil && p.ratioLimit == nil && p.inactiveSeedingTimeLimit == nil ? nil : p
    }

    /// Labels are tags. The category is shown among them and is not taken away by a list without it.
    private func set(_ labels: [Any], of entry: MirrorState.Entry) async throws {
        var p = SetTorrentsParameters(hashes: [entry.hash])
        p.skipUnknown = true
        p.tags = try Self.labels(labels).filter { $0 != entry.row.category }
        _ = try await gateway.call(ControlMethods.SetTorrents.self, p)
    }
    static func labels(_ list: [Any]) throws(Refusal) -> [String] {
        var out: [String] = []
        for label in list {
            guard let text = (label as? String)?.trimmingCharacters(in: .whitespaces), !text.isEmpty, !text.contains(",") else {
                throw Refusal(.badRequest, "labels are texts without a comma")
            }
            out.append(text)
        }
        return out
    }

    /// `trackerAdd` and the like are the old form; `trackerList` is all of them, a blank line between tiers.
    private func setTrackers(_ a: [String: Any], of entry: MirrorState.Entry) async throws {
        if let list = a["trackerList"] as? String {
            let tiers = list.split(separator: "\n", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
                .split(separator: "").map { Array($0) }
            _ = try await gateway.call(ControlMethods.SetTrackers.self, SetTrackersParameters(hash: entry.hash, trackers: tiers))
        }
        if let urls = a["trackerAdd"] as? [String] { _ = try await gateway.call(ControlMethods.AddTrackers.self, AddTrackersParameters(hash: entry.hash, urls: urls)) }
        func url(_ id: Any?) throws(Refusal) -> String {
            guard let n = (id as? NSNumber)?.intValue, entry.row.trackers.indices.contains(n) else { throw Refusal(.badRequest, "no tracker of that id") }
            return entry.row.trackers[n].url
        }
        if let pairs = a["trackerReplace"] as? [Any] {
            for at in stride(from: 0, to: pairs.count - 1, by: 2) {
                guard let new = pairs[at + 1] as? String else { throw Refusal(.badRequest, "trackerReplace is a list of ids and addresses") }
                _ = try await gateway.call(ControlMethods.EditTracker.self, EditTrackerParameters(hash: entry.hash, url: try url(pairs[at]), newURL: new))
            }
        }
        if let ids = a["trackerRemove"] as? [Any] {
            var urls: [String] = []
            for id in ids { urls.append(try url(id)) }
            _ = try await gateway.call(ControlMethods.RemoveTrackers.self, RemoveTrackersParameters(hash: entry.hash, urls: urls))
        }
    }

    // MARK: order

    func move(_ a: [String: Any], _ place: MoveInQueueParameters.Place) async throws -> [String: Any] {
        let hashes = selected(a["ids"]).map(\.hash)
        guard !hashes.isEmpty else { return [:] }
        _ = try await gateway.call(ControlMethods.MoveInQueue.self, MoveInQueueParameters(hashes: hashes, to: place, skipUnknown: true))
        return [:]
    }

    /// A place counted from 0: to the top, then those that stood before it, above it again.
    private func put(_ entry: MirrorState.Entry, at place: Int) async throws {
        let ahead = mirror.read { state in
            state.entries.compactMap { $0 }.filter { $0.row.queuePosition > 0 && $0.hash != entry.hash }.sorted { $0.row.queuePosition < $1.row.queuePosition }
                .prefix(max(0, min(place, 10_000))).map(\.hash)
        }
        _ = try await gateway.call(ControlMethods.MoveInQueue.self, MoveInQueueParameters(hashes: [entry.hash], to: .top, skipUnknown: true))
        guard !ahead.isEmpty else { return }
        _ = try await gateway.call(ControlMethods.MoveInQueue.self, MoveInQueueParameters(hashes: ahead, to: .top, skipUnknown: true))
    }

    // MARK: names

    /// `path` is of a file or folder inside the torrent, or its own name; `name` takes the place of its last part.
    func rename(_ a: [String: Any]) async throws -> [String: Any] {
        let entries = selected(a["ids"])
        guard entries.count == 1, a["ids"] != nil else { throw Refusal(.badRequest, "torrent-rename-path requires 1 torrent") }
        guard let path = a["path"] as? String, let name = a["name"] as? String, !path.isEmpty, !name.isEmpty, !name.contains("/") else {
            throw Refusal(.badRequest, "Invalid argument")
        }
        let entry = entries[0], files = try await gateway.call(ControlMethods.Files.self, HashParameters(hash: entry.hash)).files
        let cut = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        let p = RenameParameters(hash: entry.hash, path: path, newPath: path[..<cut] + name)
        if files.contains(where: { $0.path == path }) {
            _ = try await gateway.call(ControlMethods.RenameFile.self, p)
        } else {
            _ = try await gateway.call(ControlMethods.RenameFolder.self, p)
        }
        // The root's name is the torrent's.
        if cut == path.startIndex, files.allSatisfy({ $0.path == path || $0.path.hasPrefix(path + "/") }) {
            var change = SetTorrentsParameters(hashes: [entry.hash])
            change.name = name
            _ = try await gateway.call(ControlMethods.SetTorrents.self, change)
        }
        return ["path": path, "name": name, "id": Int(entry.row.torrent)]
    }
}
