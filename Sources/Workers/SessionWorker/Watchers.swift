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
        watchers.append(Watcher(client: from.client, id: from.id, torrent: torrent, interval: .seconds(interval), nextTick: loop.now))
    }

    func tickWatchers(_ now: Instant) -> Instant {
        var next = Instant.never
        for i in watchers.indices {
            if now >= watchers[i].nextTick {
                tick(watchers[i])
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
            if let row = core.row(torrent) { Self.line(watcher.id, row, &out) }
        } else {
            core.forEach { Self.line(watcher.id, $0, &out) }
        }
        if !out.isEmpty { server.write(client, out) }
    }

    func pushToWatchers(_ id: TorrentID) {
        guard !watchers.isEmpty, let row = core.row(id), row.record.removal == .none else { return }
        for watcher in watchers where watcher.torrent == nil || watcher.torrent == id {
            guard let client = server.find(watcher.client) else { continue }
            var out: [UInt8] = []
            Self.line(watcher.id, row, &out)
            server.write(client, out)
        }
    }

    func tellWatchersRemoved(_ id: TorrentID, _ hash: InfoHash) {
        for watcher in watchers where watcher.torrent == nil || watcher.torrent == id {
            guard let client = server.find(watcher.client) else { continue }
            server.write(client, Array("{\"id\":\(watcher.id),\"removed\":\"\(hash.hex)\"}\n".utf8))
        }
    }

    private static func line(_ id: UInt64, _ row: CatalogRow, _ out: inout [UInt8]) {
        out.append(contentsOf: "{\"id\":\(id),\"torrent\":".utf8)
        summary(row).append(to: &out)
        out.append(contentsOf: "}\n".utf8)
    }
}
