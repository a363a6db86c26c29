import Discovery
import KRPC
import Primitives

/// Torrents of ours: each is looked up and announced every quarter of an hour, a bounded number at once.
extension DHTCore {
    /// A search on demand comes at the earliest so long after the last.
    private static let spacing = TimeSpan.seconds(60)

    /// Needs a torrent that is not private (BEP 27). `isSeed`: for BEP 33.
    package mutating func torrentAdded(_ id: TorrentID, _ infoHash: InfoHash, isSeed: Bool, now: Instant) {
        let known = torrents[id]
        torrents[id, default: Torrent(hash: NodeID(infoHash), isSeed: isSeed)].hash = NodeID(infoHash)
        torrents[id]!.isSeed = isSeed
        if known == nil { schedule.set(id.int, now) }
    }
    package mutating func torrentRemoved(_ id: TorrentID) {
        guard torrents.removeValue(forKey: id) != nil else { return }
        schedule.remove(id.int)
    }
    /// A download has ended: the next announce says so.
    package mutating func torrentCompleted(_ id: TorrentID) { torrents[id]?.isSeed = true }
    package mutating func peersWanted(_ id: TorrentID, now: Instant) {
        guard let torrent = torrents[id], torrent.searching == 0 else { return }
        if let last = torrent.lastSearch, last + Self.spacing > now { return }
        schedule.set(id.int, now)
    }
    /// What is announced; 0 announces nothing.
    package mutating func setAnnouncePort(_ port: UInt16) { announcePort = port }
    package func knows(_ id: TorrentID) -> Bool { torrents[id] != nil }

    mutating func startDue(now: Instant, into effects: inout [DHTEffect]) {
        guard isOnline else { return }
        while torrentSearches < configuration.searches, let top = schedule.top, top.due <= now {
            schedule.remove(top.row)
            let id = TorrentID(top.row)
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
        guard torrents[id] != nil else { return }
        torrents[id]!.searching -= 1
        guard torrents[id]!.searching == 0 else { return }
        // Spread, so that torrents which were added together do not stay together.
        schedule.set(id.int, now + configuration.announceInterval - random.jitter(configuration.announceInterval / 10))
    }
}
