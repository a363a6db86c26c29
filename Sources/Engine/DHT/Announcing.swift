import Discovery
import KRPC
import Primitives

/// Torrents of ours: each is looked up and announced every quarter of an hour, a bounded number at once.
extension DHTCore {
    /// A search on demand comes at the earliest so long after the last.
    private static let spacing = TimeSpan.seconds(60)

    /// Needs a torrent that is not private (BEP 27). `isSeed`: for BEP 33.
    package mutating func torrentAdded(_ id: TorrentID, _ infoHash: InfoHash, isSeed: Bool, now: Instant) {
        if torrents[id] != nil {
            torrents[id]!.hash = NodeID(infoHash)
            torrents[id]!.isSeed = isSeed
            return
        }
        let row = freeRows.popLast() ?? rows.count
        if row == rows.count { rows.append(id) } else { rows[row] = id }
        var torrent = Torrent(hash: NodeID(infoHash), isSeed: isSeed, row: row)
        // It may have been removed and come back while it was searched for.
        torrent.searching = searches.values.count {
            guard case .torrent(id) = $0.purpose else { return false }
            return true
        }
        torrents[id] = torrent
        schedule.set(row, now)
    }
    package mutating func torrentRemoved(_ id: TorrentID) {
        guard let torrent = torrents.removeValue(forKey: id) else { return }
        schedule.remove(torrent.row)
        freeRows.append(torrent.row)
    }
    /// A download has ended: the next announce says so.
    package mutating func torrentCompleted(_ id: TorrentID) { torrents[id]?.isSeed = true }
    package mutating func peersWanted(_ id: TorrentID, now: Instant) {
        guard let torrent = torrents[id], torrent.searching == 0 else { return }
        if let last = torrent.lastSearch, last + Self.spacing > now { return }
        schedule.set(torrent.row, now)
    }
    /// What is announced; 0 announces nothing.
    package mutating func setAnnouncePort(_ port: UInt16) { announcePort = port }
    package func knows(_ id: TorrentID) -> Bool { torrents[id] != nil }

    mutating func startDue(now: Instant, into effects: inout [DHTEffect]) {
        guard isOnline else { return }
        while torrentSearches < configuration.searches, let top = schedule.top, top.due <= now {
            schedule.remove(top.row)
            let id = rows[top.row]
            guard let torrent = torrents[id] else { continue }
            torrents[id]!.lastSearch = now
            for f in families.indices where families[f].table.count > 0 { start(f, torrent.hash, .torrent(id), now: now, into: &effects) }
            // Nobody could be asked.
            if torrents[id]!.searching == 0, !schedule.contains(top.row) { schedule.set(top.row, now + .minutes(1)) }
        }
    }

    mutating func torrentEnded(_ serial: UInt32, _ id: TorrentID, now: Instant) {
        remove(serial)
        torrentSearches -= 1
        guard let torrent = torrents[id] else { return }
        torrents[id]!.searching -= 1
        guard torrent.searching == 1 else { return }
        // Spread, so that torrents which were added together do not stay together.
        schedule.set(torrent.row, now + configuration.announceInterval - random.jitter(configuration.announceInterval / 10))
    }
}
