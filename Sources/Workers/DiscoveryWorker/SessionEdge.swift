import ByteCodec
import Discovery
import Filtering
import IPC
import LinuxIO
import Primitives
import WorkerKit

/// Frames of the session worker as events of the core, and back. Wall-clock seconds, which outlive a process, become
/// moments of our clock here and nowhere else.
extension DiscoveryShell {
    func receivedFromSession(_ frame: Frame) throws(DecodeError) {
        switch frame.type {
        case .discoveryTorrentAdd:
            let m: DiscoveryTorrentAdd = try frame.decode()
            added(m)
            swarmsChanged(m)
        case .discoveryTorrentRemove:
            let m: DiscoveryTorrentRemove = try frame.decode()
            eachHash(m.torrent) { id in
                feed(.torrentRemoved(id))
                swarmGone(id)
            }
            hybrids.remove(m.torrent)
            version2Only.remove(m.torrent)
        case .discoveryTorrentFlags:
            let m: DiscoveryTorrentFlags = try frame.decode()
            let flags = TorrentFlags(rawValue: m.flags)
            eachHash(m.torrent) { id in
                feed(.torrentPaused(id, flags.contains(.paused)))
                if let known = swarms[id] { swarmChanged(id, known.infoHash, flags) }
            }
        case .discoveryCounters:
            let m: DiscoveryCounters = try frame.decode()
            for t in m.torrents {
                eachHash(t.torrent) { feed(.counters($0, downloaded: t.downloaded, uploaded: t.uploaded, left: t.left)) }
            }
        case .discoveryCompleted:
            let m: DiscoveryCompleted = try frame.decode()
            eachHash(m.torrent) { id in
                feed(.completed(id))
                dht?.completed(id)
            }
        case .discoveryCompletedAgain:
            let m: DiscoveryCompletedAgain = try frame.decode()
            eachHash(m.torrent) { feed(.completedAgain($0, m.trackers.map(\.url))) }
        case .fetchUrl: fetch(try frame.decode(), frame.correlation)
        case .announceNow:
            let m: AnnounceNow = try frame.decode()
            eachHash(m.torrent) { id in
                feed(.announceNow(id))
                dht?.peersWanted(id, now: kit.loop.now)
            }
        case .discoveryReplayEnd:
            let m: DiscoveryReplayEnd = try frame.decode()
            feed(.replayEnded(listenPort: m.listenPort, key: m.trackerKey, peerID: m.peerID))
            dht?.announcePort(m.listenPort)
            lsd?.announcePort = m.listenPort
            ports?.announcePort(m.listenPort, now: kit.loop.now)
            replayEnded()
        case .discoveryListenPort:
            let m: DiscoveryListenPort = try frame.decode()
            feed(.listenPort(m.listenPort))
            dht?.announcePort(m.listenPort)
            lsd?.announcePort = m.listenPort
            ports?.announcePort(m.listenPort, now: kit.loop.now)
        case .scrapeWanted: scrape(try frame.decode(), frame.correlation)
        case .natStatusWanted:
            let off = NatStatusReport(isOn: 0, gateway: Endpoint(ipv4: 0, port: 0), external: Endpoint(ipv4: 0, port: 0))
            answer(ports?.report() ?? off, frame.correlation)
        case .discoveryFilter:
            let path = try frame.decode(DiscoveryFilter.self).path
            filter = path.isEmpty ? nil : AddressFilter(path: path) ?? filter
            dht?.filter = filter
        case .fetchList:
            let m: FetchList = try frame.decode()
            lists.begin(ListFetch.Request(url: m.url, path: m.path, limit: Int(m.limit), correlation: frame.correlation))
        case .sendMail:
            let m: SendMail = try frame.decode()
            mails.begin(
                MailTransfer.Letter(
                    server: m.server, tls: m.tls != 0, username: m.username, password: m.password, sender: m.sender,
                    recipients: m.recipients.split(separator: ",").map(String.init), text: m.text, correlation: frame.correlation))
        case .dhtContacts, .dhtHosts, .dhtStatusWanted, .dhtLookup, .dhtGet, .dhtPut: try receivedForDHT(frame)
        // Of a session one version ahead.
        default: break
        }
    }

    /// Fetches under way at once; more are refused, and their owner tries again later.
    private static let fetchLimit = 32
    /// Bytes in one frame, which may hold 1 MiB.
    private static let fetchPart = 512 << 10

    private func fetch(_ m: FetchUrl, _ correlation: UInt64) {
        let scheme = m.url.prefix { $0 != ":" }.lowercased()
        guard scheme == "http" || scheme == "https", m.url.utf8.count <= 8192, !m.url.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) else {
            return sendFetched(correlation, .failed("not an http or https address"))
        }
        guard http.fetchesUnderWay < Self.fetchLimit else { return sendFetched(correlation, .failed("too many fetches at once")) }
        http.fetch(
            m.url, FetchWish(sizeLimit: Int(m.sizeLimit), allowsLocal: m.allowLocal != 0, correlation: correlation),
            within: .milliseconds(Int(m.timeoutMilliseconds)), now: kit.loop.now)
    }

    func sendFetched(_ correlation: UInt64, _ outcome: FetchOutcome) {
        guard let session = kit.edge(.session) else { return }
        func send(_ offset: Int = 0, _ bytes: [UInt8] = [], isLast: Bool = true, magnet: String = "", message: String = "") {
            kit.send(
                Fetched(offset: UInt32(offset), bytes: bytes, isLast: isLast ? 1 : 0, magnet: magnet, message: message), to: session,
                correlation: correlation)
        }
        switch outcome {
        case .failed(let why): send(message: why)
        case .magnet(let link): send(magnet: link)
        case .body(let bytes):
            var at = 0
            repeat {
                let end = min(bytes.count, at + Self.fetchPart)
                send(at, Array(bytes[at..<end]), isLast: end == bytes.count)
                at = end
            } while at < bytes.count
        }
    }

    func record(_ m: DiscoveryTorrentAdd) -> TorrentRecord {
        let now = kit.loop.now, wall = UInt64(max(0, Clock.wallSeconds()))
        let trackers = m.trackers.map { entry in
            // A clock that was set back by years must not overflow; the core bounds the wait itself.
            let wait = entry.nextAnnounce > wall ? min(entry.nextAnnounce - wall, 1 << 31) : 0
            return TrackerRecord(
                tier: entry.tier, url: entry.url, next: wait == 0 ? .zero : now + .seconds(Int(wait)), startedSent: entry.startedSent != 0)
        }
        return TorrentRecord(
            id: TorrentID(rawValue: m.torrent),
            // BEP 52: a torrent of version 2 alone is announced by the first 20 bytes of its hash.
            infoHash: m.infoHash.isZero ? m.infoHashV2.truncated : m.infoHash,
            paused: TorrentFlags(rawValue: m.flags).contains(.paused), trackers: trackers, downloaded: m.downloaded,
            uploaded: m.uploaded, left: m.left)
    }

    func status(_ report: TrackerReport, _ now: Instant) -> TrackerStatus {
        let next = min(report.next, now + Discovery.neverAgain)
        let wait = Int64((next - now).seconds.rounded(.up))
        return TrackerStatus(
            torrent: report.torrent.rawValue, tier: report.tier, url: report.url, state: report.state.rawValue,
            startedSent: report.startedSent ? 1 : 0, seeds: report.seeds, leechers: report.leechers, downloads: report.downloads,
            nextAnnounce: UInt64(max(0, Clock.wallSeconds() + wait)), message: report.message,
            completedPending: report.completedPending ? 1 : 0)
    }
}
