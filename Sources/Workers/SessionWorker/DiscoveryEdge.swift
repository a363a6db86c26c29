import ByteCodec
import Catalog
import IPC
import Observe
import Primitives
import WorkerKit

/// The state edge to the discovery worker.
extension SessionShell {
    func receivedFromDiscovery(_ frame: Frame) throws(DecodeError) {
        switch frame.type {
        case .discoveryPeers:
            let m: DiscoveryPeers = try frame.decode()
            guard let source = FoundSource(rawValue: m.source) else { throw .badValue(field: "peer source", value: UInt64(m.source)) }
            feed(.peersFound(TorrentID(rawValue: m.torrent), source, m.endpoints, isVersion2: m.isVersion2 != 0))
        case .trackerStatus:
            let m: TrackerStatus = try frame.decode()
            var report = TrackerReport(
                tier: m.tier, url: m.url, state: m.state, startedSent: m.startedSent != 0, seeds: m.seeds, leechers: m.leechers,
                downloads: m.downloads, nextAnnounce: m.nextAnnounce, message: Text.printable(m.message, limit: 500))
            report.completedPending = m.completedPending != 0
            feed(.tracker(TorrentID(rawValue: m.torrent), report))
        case .dhtNodeCount:
            dhtNodes = try frame.decode(DhtNodeCount.self).nodes
            api?.areGlobalsDue = true
        case .mailSent: mailEnded(frame.correlation, try frame.decode(MailSent.self).message)
        case .listFetched: listFetched(try frame.decode())
        case .fetched: fetched(frame.correlation, try frame.decode())
        case .scrapeReport: answerScrape(token: frame.correlation, try frame.decode())
        case .natStatusReport: answerNAT(token: frame.correlation, try frame.decode())
        case .dhtStatusReport: answerDHTStatus(token: frame.correlation, try frame.decode())
        case .dhtLookupResult: answerDHTLookup(token: frame.correlation, try frame.decode())
        case .dhtItem: answerDHTItem(token: frame.correlation, try frame.decode())
        case .dhtStored: answerDHTStored(token: frame.correlation, try frame.decode())
        default: break
        }
    }

    func sendDiscovery<M: IPCMessage>(_ message: M) {
        guard let edge = kit.edge(.discovery) else { return }
        kit.send(message, to: edge)
    }

    func sendDiscoveryAdd(_ e: DiscoveryEntry) {
        sendDiscovery(
            DiscoveryTorrentAdd(
                torrent: e.torrent.rawValue, infoHash: e.facts.infoHash, infoHashV2: e.facts.infoHashV2, flags: e.flags.rawValue,
                trackers: e.trackers.map {
                    TrackerEntry(tier: $0.tier, url: $0.url, nextAnnounce: $0.nextAnnounce, startedSent: $0.startedSent ? 1 : 0)
                }, downloaded: e.counters.downloaded, uploaded: e.counters.uploaded, left: e.counters.left))
    }

    func sendDiscoveryCounters(_ totals: [DiscoveryTotals]) {
        sendDiscovery(
            DiscoveryCounters(
                torrents: totals.map {
                    TorrentCounters(torrent: $0.torrent.rawValue, downloaded: $0.downloaded, uploaded: $0.uploaded, left: $0.left)
                }))
    }

    func sendDiscoveryReplayEnd() {
        sendDiscovery(DiscoveryReplayEnd(listenPort: listenPort, trackerKey: trackerKey, peerID: peerID))
    }
}
