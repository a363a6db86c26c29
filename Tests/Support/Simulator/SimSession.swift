import Catalog
import Discovery
import Pieces
import Primitives

/// What the session worker tells the others, as its real shell does.
extension SimWorld {
    func carryOut(_ n: Int, _ effect: CatalogEffect) {
        let node = nodes[n], peer = node.process(.peer)
        tell(n, "session -> \(effect)")
        switch effect {
        case .peerAdd(let entry): toShard(n, peer) { $0.add(entry) }
        case .peerRemove(_, let id): toShard(n, peer) { $0.remove(id) }
        case .peerFlags(_, let id, let flags): toShard(n, peer) { $0.flags(id, flags) }
        case .peersFound(_, let id, _, let endpoints, let isVersion2): toShard(n, peer) { $0.found(id, endpoints, isVersion2) }
        case .peerLimits(_, let id, let limits, _): toShard(n, peer) { $0.limit(id, limits) }
        case .peerReplayEnd:
            toShard(n, peer) { shard in
                shard.replayEnded()
                shard.world.sayReady(n, WorkerName(.peer))
            }
        case .diskAdd(let e):
            let spec = Pieces::TorrentSpec(
                metainfoPath: "m", savePath: e.savePath, durable: e.durable, allocation: .sparse, paused: e.flags.contains(.paused),
                skipCheck: e.flags.contains(.skipCheck), unclean: e.flags.contains(.unclean), levels: e.levels, selection: e.selection)
            toDisk(n, nil) { _ in .add(e.torrent, spec) }
        case .diskRemove(_, let id, let deleteData): toDisk(n, nil) { _ in .remove(id, deleteData: deleteData) }
        case .diskRecheck(_, let id): toDisk(n, nil) { _ in .recheck(id) }
        case .diskFlags(_, let id, let flags): toDisk(n, nil) { _ in .pause(id, flags.contains(.paused)) }
        case .diskLevels(_, let id, let levels, let selection): toDisk(n, nil) { _ in .select(id, levels, selection: selection) }
        case .diskReplayEnd:
            toDisk(n, nil) { world in
                world.sayReady(n, WorkerName(.disk))
                return .replayEnd
            }
        case .discoveryAdd(let e):
            let record = Discovery::TorrentRecord(
                id: e.torrent, infoHash: e.facts.infoHash, paused: e.flags.contains(.paused),
                trackers: e.trackers.map {
                    TrackerRecord(tier: $0.tier, url: $0.url, next: Instant(nanoseconds: Int64($0.nextAnnounce) * 1_000_000_000), startedSent: $0.startedSent)
                },
                downloaded: e.counters.downloaded, uploaded: e.counters.uploaded, left: e.counters.left)
            toDiscovery(n) { .torrentAdded(record) }
        case .discoveryRemove(let id): toDiscovery(n) { .torrentRemoved(id) }
        case .discoveryFlags(let id, let flags): toDiscovery(n) { .torrentPaused(id, flags.contains(.paused)) }
        case .discoveryCounters(let totals):
            for t in totals { toDiscovery(n) { .counters(t.torrent, downloaded: t.downloaded, uploaded: t.uploaded, left: t.left) } }
        case .discoveryCompleted(let id): toDiscovery(n) { .completed(id) }
        case .discoveryCompletedAgain(let id, let urls): toDiscovery(n) { .completedAgain(id, urls) }
        case .announceNow(let id): toDiscovery(n) { .announceNow(id) }
        case .discoveryReplayEnd:
            toDiscovery(n) { .replayEnded(listenPort: 6881, key: 7, peerID: PeerID()) }
            let process = node.process(.discovery)
            after(Self.wire) { world in world.deliver(n, WorkerName(.discovery), process) { $0.sayReady(n, WorkerName(.discovery)) } }
        case .phaseChanged(let id, let phase): if id == node.torrent, phase == .seeding || phase == .completed { completed(n) }
        // Nobody moves files here, and the user looks at the state instead of waiting for an answer.
        case .diskMove, .durableStored, .answer, .removed, .note, .hooks, .listsChanged: break
        }
    }
}
