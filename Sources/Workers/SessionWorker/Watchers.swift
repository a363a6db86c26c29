import Catalog
import Control
import Primitives

/// A `watch` under way. Ends with its client.
struct Watcher {
    let client: ControlServer.ClientID
    let id: UInt64
    /// nil: every torrent.
    let torrent: TorrentID?
    let interval: TimeSpan
    /// Only what changed; nil: everything, always. Ids that are to be sent, and whether the snapshot is complete.
    var changes: Changes?
    struct Changes {
        var due: Set<UInt32> = []
        /// Rows up to this id belong to the snapshot and were sent.
        var cursor: UInt32 = 0
        var isSnapshotSent = false
    }
    var nextTick: Instant
}

/// Lines of `watch`: at each tick one for each watched torrent, changed or not, and one at once when its state changes.
extension SessionShell {
    /// Of one client; the clients are bounded themselves.
    static let watchersPerClient = 16

    func watch(_ from: Asker, _ p: WatchParameters) throws(ControlError) {
        let interval = p.interval ?? Control.watchIntervalDefault
        guard interval.isFinite, (Control.watchIntervalMinimum...86400).contains(interval) else {
            throw ControlError(.invalidParameters, "the interval may be \(Control.watchIntervalMinimum)..86400 seconds")
        }
        guard !from.client.isAPI else { throw ControlError(.invalidParameters, "the API worker is told of changes unasked") }
        guard watchers.lazy.filter({ $0.client == from.client }).count < Self.watchersPerClient else {
            throw ControlError(.tooLarge, "at most \(Self.watchersPerClient) watches on a connection")
        }
        var torrent: TorrentID?
        if let hash = p.hash { torrent = try find(hash) }
        reply(from, Empty())
        watchers.append(
            Watcher(
                client: from.client, id: from.id, torrent: torrent, interval: .seconds(interval), changes: p.changes == true && torrent == nil ? .init() : nil,
                nextTick: loop.now))
    }

    /// Tells the followers of the table what has changed.
    func takeChanges() {
        let changed = core.takeChanged()
        guard !changed.isEmpty else { return }
        for i in watchers.indices where watchers[i].changes != nil { for id in changed { watchers[i].changes!.due.insert(id.rawValue) } }
        for id in changed { api?.touch(id) }
    }

    func tickWatchers(_ now: Instant) -> Instant {
        takeChanges()
        var next = Instant.never
        for i in watchers.indices {
            if now >= watchers[i].nextTick {
                if watchers[i].changes != nil { tickChanges(i) } else { tick(watchers[i]) }
                watchers[i].nextTick = max(watchers[i].nextTick + watchers[i].interval, now + watchers[i].interval / 2)
            }
            next = min(next, watchers[i].nextTick)
        }
        return next
    }

    private func tick(_ watcher: Watcher) {
        // Who does not keep up misses ticks, not state changes.
        guard let client = server.find(watcher.client), client.queued <= ControlServer.outputLimit else { return }
        var out: [UInt8] = []
        if let torrent = watcher.torrent {
            if let row = core.row(torrent) { Self.line(watcher.id, summary(row), &out) }
        } else {
            core.forEach { Self.line(watcher.id, summary($0), &out) }
        }
        if !out.isEmpty { server.write(client, out) }
    }

    /// The snapshot a part at a time, as much as the client takes; then what changed.
    private func tickChanges(_ i: Int) {
        guard let client = server.find(watchers[i].client), client.queued <= ControlServer.outputLimit, var changes = watchers[i].changes else { return }
        var out: [UInt8] = []
        if !changes.isSnapshotSent {
            core.forEach(after: TorrentID(rawValue: changes.cursor)) { row in
                Self.line(watchers[i].id, summary(row), &out)
                changes.cursor = row.record.id.rawValue
                changes.due.remove(row.record.id.rawValue)
                return out.count < ControlServer.outputLimit
            }
            if out.count < ControlServer.outputLimit {
                changes.isSnapshotSent = true
                out.append(contentsOf: "{\"id\":\(watchers[i].id),\"event\":\"snapshot\"}\n".utf8)
            }
        } else {
            for id in changes.due.sorted() where out.count < ControlServer.outputLimit {
                changes.due.remove(id)
                if let row = core.row(TorrentID(rawValue: id)), row.record.removal == .none { Self.line(watchers[i].id, summary(row), &out) }
            }
        }
        watchers[i].changes = changes
        if !out.isEmpty { server.write(client, out) }
    }

    /// A list of that name is worth reading again.
    func listChanged(_ name: String) {
        if name == "categories" || name == "tags" { api?.areListsDue = true }
        for watcher in watchers where watcher.changes != nil {
            guard let client = server.find(watcher.client) else { continue }
            server.write(client, Array("{\"id\":\(watcher.id),\"event\":\"\(name)\"}\n".utf8))
        }
    }

    func pushToWatchers(_ id: TorrentID) {
        guard !watchers.isEmpty, let row = core.row(id), row.record.removal == .none else { return }
        for watcher in watchers where watcher.changes == nil && (watcher.torrent == nil || watcher.torrent == id) {
            guard let client = server.find(watcher.client) else { continue }
            var out: [UInt8] = []
            Self.line(watcher.id, summary(row), &out)
            server.write(client, out)
        }
    }

    func tellWatchersRemoved(_ id: TorrentID, _ hash: InfoHash) {
        for watcher in watchers where watcher.torrent == nil || watcher.torrent == id {
            guard let client = server.find(watcher.client) else { continue }
            server.write(client, Array("{\"id\":\(watcher.id),\"removed\":\"\(hash.hex)\"}\n".utf8))
        }
    }

    private static func line(_ id: UInt64, _ summary: TorrentSummary, _ out: inout [UInt8]) {
        out.append(contentsOf: "{\"id\":\(id),\"torrent\":".utf8)
        summary.append(to: &out)
        out.append(contentsOf: "}\n".utf8)
    }
}
