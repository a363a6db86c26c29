import Discovery
import IPC
import Primitives

/// A hybrid torrent has two swarms (BEP 52): it is announced under both info-hashes, each on a schedule of its own. To the
/// core they are two torrents; the second has the first one's number with a mark.
extension DiscoveryShell {
    /// Numbers of torrents count up from 1 and are never used twice: this bit is free for as long as a run lasts.
    static let version2Mark: UInt32 = 1 << 31

    func added(_ m: DiscoveryTorrentAdd) {
        let first = record(m), second = m.infoHashV2.truncated
        feed(.torrentAdded(first))
        if !m.infoHashV2.isZero, first.infoHash == second { version2Only.insert(m.torrent) } else { version2Only.remove(m.torrent) }
        let marked = TorrentID(rawValue: m.torrent | Self.version2Mark)
        guard !m.infoHashV2.isZero, first.infoHash != second else {
            if hybrids.remove(m.torrent) != nil { feed(.torrentRemoved(marked)) }
            return
        }
        hybrids.insert(m.torrent)
        var other = first
        other.id = marked
        other.infoHash = second
        // Which tracker saw `started` for this hash is not kept over restarts; a second `started` is an announce like any other.
        for i in other.trackers.indices { other.trackers[i].startedSent = false }
        feed(.torrentAdded(other))
    }

    func eachHash(_ torrent: UInt32, _ body: (TorrentID) -> Void) {
        body(TorrentID(rawValue: torrent))
        if hybrids.contains(torrent) { body(TorrentID(rawValue: torrent | Self.version2Mark)) }
    }

    /// A peer is greeted by the hash under which it was found.
    func found(_ endpoints: [Endpoint], of id: TorrentID, _ source: PeerSource) -> DiscoveryPeers {
        DiscoveryPeers(torrent: id.rawValue & ~Self.version2Mark, source: source.rawValue, endpoints: endpoints, isVersion2: isVersion2(id) ? 1 : 0)
    }

    // MARK: the DHT and the local network

    /// BEP 27: a private torrent's peers come from its trackers only. A magnet is taken as public until its metadata says
    /// otherwise.
    func swarmsChanged(_ m: DiscoveryTorrentAdd) {
        let flags = TorrentFlags(rawValue: m.flags), marked = TorrentID(rawValue: m.torrent | Self.version2Mark)
        swarmChanged(TorrentID(rawValue: m.torrent), m.infoHash.isZero ? m.infoHashV2.truncated : m.infoHash, flags)
        if hybrids.contains(m.torrent) { swarmChanged(marked, m.infoHashV2.truncated, flags) } else { swarmGone(marked) }
    }

    func swarmChanged(_ id: TorrentID, _ infoHash: InfoHash, _ flags: TorrentFlags) {
        if let known = swarms[id], known.infoHash != infoHash { swarmGone(id) }
        swarms[id] = (infoHash, flags)
        if flags.isDisjoint(with: [.isPrivate, .paused]) {
            dht?.torrent(id, infoHash, isSeed: flags.contains(.completed), now: kit.loop.now)
            lsd?.add(id, infoHash, now: kit.loop.now)
        } else {
            dht?.remove(id)
            lsd?.remove(infoHash)
        }
    }

    func swarmGone(_ id: TorrentID) {
        guard let known = swarms.removeValue(forKey: id) else { return }
        dht?.remove(id)
        lsd?.remove(known.infoHash)
    }

    func isVersion2(_ id: TorrentID) -> Bool { id.rawValue & Self.version2Mark != 0 || version2Only.contains(id.rawValue) }
}
