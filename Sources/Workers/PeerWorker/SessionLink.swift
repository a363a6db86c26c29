import Filtering
import IPC
import Limits
import Observe
import Primitives
import Swarm
import WorkerKit

/// The edge to the session worker: which torrents there are, where peers may be, and what became of both.
extension PeerShell {
    func receivedFromSession(_ frame: Frame, now: Instant) throws {
        switch frame.type {
        case .peerTorrentAdd: addTorrent(try frame.decode(), now: now)
        case .peerTorrentRemove: removeTorrent(TorrentID(rawValue: try frame.decode(PeerTorrentRemove.self).torrent), now: now)
        case .peerTorrentFlags:
            let m = try frame.decode(PeerTorrentFlags.self)
            swarm.setTraits(TorrentID(rawValue: m.torrent), TorrentTraits(TorrentFlags(rawValue: m.flags)), now: now, into: &effects)
        case .peersFound:
            let m = try frame.decode(PeersFound.self)
            swarm.peersFound(
                TorrentID(rawValue: m.torrent), origin: PeerOrigin(rawValue: m.source) ?? .manual, m.endpoints, isVersion2: m.isVersion2 != 0, now: now,
                into: &effects)
        case .layersWanted: layersWanted(try frame.decode(), now: now)
        case .peerLimits: swarm.setLimits(RateLimits(try frame.decode(PeerLimits.self)), now: now, into: &effects)
        case .peerWebSeeds:
            let m = try frame.decode(PeerWebSeeds.self)
            addWebSeeds(TorrentID(rawValue: m.torrent), metainfoPath: m.metainfoPath, now: now)
        case .peerFilter: setFilter(try frame.decode(), now: now)
        case .peerTorrentLimits:
            let m = try frame.decode(PeerTorrentLimits.self)
            swarm.setLimits(of: TorrentID(rawValue: m.torrent), TorrentLimits(m), now: now, into: &effects)
        case .metadataBlock:
            let m = try frame.decode(MetadataBlock.self)
            swarm.metadataBlock(
                PeerHandle(packed: frame.correlation), torrent: TorrentID(rawValue: m.torrent), block: m.block, bytes: m.bytes, now: now, into: &effects)
        case .peerListWanted:
            let m = try frame.decode(PeerListWanted.self)
            sendPeerList(TorrentID(rawValue: m.torrent), correlation: frame.correlation)
        case .pieceStatesWanted: sendPieceStates(TorrentID(rawValue: try frame.decode(PieceStatesWanted.self).torrent), correlation: frame.correlation)
        case .peerReplayEnd: replayEnded(now: now)
        case .peerStreamPosition:
            let m = try frame.decode(PeerStreamPosition.self)
            swarm.position(TorrentID(rawValue: m.torrent), offset: m.offset, end: m.end, now: now, into: &effects)
        case .streamWanted:
            let m = try frame.decode(StreamWanted.self), id = TorrentID(rawValue: m.torrent)
            guard m.offset < m.end else {
                swarm.positionEnded(id, reader: m.reader, now: now, into: &effects)
                break
            }
            swarm.position(id, reader: m.reader, offset: m.offset, end: m.end, now: now, into: &effects)
            if let session = kit.edge(.session) {
                kit.send(StreamReady(torrent: m.torrent, bytes: swarm.readable(id, from: m.offset, to: m.end)), to: session, correlation: frame.correlation)
            }
        case .peerBans:
            for ban in try frame.decode(PeerBans.self).bans.prefix(10_000) {
                swarm.importBan(
                    ban.endpoint, Violation(rawValue: ban.reason) ?? .byUser, for: .seconds(Int(ban.seconds)), now: now, into: &effects)
            }
        case .peerBanLifted: swarm.liftBan(try frame.decode(PeerBanLifted.self).endpoint)
        default: break
        }
        act(now: now)
    }

    // MARK: Torrents

    private func addTorrent(_ m: PeerTorrentAdd, now: Instant) {
        let id = TorrentID(rawValue: m.torrent)
        let flags = TorrentFlags(rawValue: m.flags)
        let geometry = flags.contains(.hasMetadata) ? geometry(m) : nil
        replayed.insert(id)
        if let known = torrents[id], known.geometry != nil, known.geometry?.pieceCount == geometry?.pieceCount {
            return swarm.setTraits(id, TorrentTraits(flags), now: now, into: &effects)
        }
        if torrents[id] == nil { torrentOrder.append(id) }
        // BEP 52: a v2 info-hash stands truncated in handshakes.
        let infoHashes = m.infoHashV2.isZero ? [m.infoHash] : [m.infoHash, InfoHash(m.infoHashV2.bytes.prefix(20))!]
        torrents[id]?.infoHashes.forEach { swarmKeys.remove($0) }
        infoHashes.forEach { swarmKeys.add($0) }
        torrents[id] = TorrentRow(geometry: geometry, device: m.device, infoHashes: infoHashes)
        swarm.addTorrent(
            TorrentSpec(
                id: id, infoHash: m.infoHash, infoHashV2: m.infoHashV2.isZero ? nil : m.infoHashV2, traits: TorrentTraits(flags), geometry: geometry,
                metadataLength: Int(m.metadataLength)),
            now: now, into: &effects)
        torrentNamed(id, now: now)
    }

    private func removeTorrent(_ id: TorrentID, now: Instant) {
        guard let removed = torrents.removeValue(forKey: id) else { return }
        levelRuns[id] = nil
        earlyLevels.remove(id)
        removed.infoHashes.forEach { swarmKeys.remove($0) }
        torrentOrder.removeAll { $0 == id }
        removeWebSeeds(id)
        tails[id] = nil
        wantedLayers[id] = nil
        swarm.removeTorrent(id, now: now, into: &effects)
        buffers.forget(torrent: id)
        leftOvers.removeAll { first, entry in
            guard entry.torrent == id else { return false }
            dropLeftOver(first)
            return true
        }
    }

    private func replayEnded(now: Instant) {
        // What the session does not know any more was removed while the link was down.
        for id in torrentOrder where !replayed.contains(id) { removeTorrent(id, now: now) }
        leftOvers.removeAll { first, entry in
            guard torrents[entry.torrent] == nil else { return false }
            dropLeftOver(first)
            return true
        }
        announceListenPort()
        if !isReady {
            isReady = true
            kit.ready()
        }
    }

    func sessionOpened() {
        replayed.removeAll()
        // A new session worker knows nothing of this generation's counters.
        let all = swarm.torrentIDs.compactMap { swarm.report($0) }.filter { $0.downloaded + $0.uploaded > 0 || $0.peers > 0 }
        sendStats(all.map(TorrentStats.init))
    }

    private func announceListenPort() {
        guard let session = kit.edge(.session) else { return }
        kit.send(ListenPort(port: listeners.first?.endpoint.port ?? 0), to: session)
    }

    // MARK: Reports

    /// Each 100 ms: the torrents whose numbers moved.
    func reportStats(now: Instant) {
        guard now >= nextStats else { return }
        nextStats = now + .milliseconds(100)
        var changed: [TorrentStats] = []
        swarm.takeReports { changed.append(TorrentStats($0)) }
        reportFilter(now: now)
        sendStats(changed)
    }

    private func sendStats(_ changed: [TorrentStats]) {
        guard let session = kit.edge(.session) else { return }
        // 64 bytes each: 8,000 stay well inside a frame.
        for at in stride(from: 0, to: changed.count, by: 8000) {
            kit.send(PeerStats(torrents: Array(changed[at..<min(at + 8000, changed.count)])), to: session)
        }
    }

    /// The file is replaced as a whole; when it cannot be read, the filter that holds stays.
    private func setFilter(_ m: PeerFilter, now: Instant) {
        logsFiltered = m.logBlocked != 0
        guard !m.path.isEmpty else { return swarm.setFilter(nil, now: now, into: &effects) }
        guard let filter = AddressFilter(path: m.path) else { return Log.log(.error, "the IP filter \(m.path) cannot be read") }
        swarm.setFilter(filter, now: now, into: &effects)
    }

    /// Each second, when they moved.
    private func reportFilter(now: Instant) {
        guard now >= nextFilterReport, swarm.filterCounts != reportedFilter, let session = kit.edge(.session) else { return }
        nextFilterReport = now + .seconds(1)
        reportedFilter = swarm.filterCounts
        kit.send(PeerFilterCounts(accepts: reportedFilter.accepts, addresses: reportedFilter.addresses, closed: reportedFilter.closed), to: session)
    }

    private func sendPeerList(_ torrent: TorrentID, correlation: UInt64) {
        guard let session = kit.edge(.session) else { return }
        let peers = swarm.peers(of: torrent).prefix(4000).compactMap { swarm.report($0) }.map(PeerDetails.init)
        kit.send(PeerList(torrent: torrent.rawValue, peers: peers), to: session, correlation: correlation)
    }

    private func sendPieceStates(_ torrent: TorrentID, correlation: UInt64) {
        guard let session = kit.edge(.session) else { return }
        let states = swarm.pieceStates(torrent)
        kit.send(
            PieceStates(torrent: torrent.rawValue, have: states?.have.wireBytes ?? [], open: states?.open ?? [], availability: states?.availability ?? 0),
            to: session, correlation: correlation)
    }

    /// BEP 9 metadata that the swarm has checked, in parts that fit frames.
    func sendMetadata(_ torrent: TorrentID, _ bytes: [UInt8]) {
        guard let session = kit.edge(.session) else { return }
        let part = 512 << 10
        for at in stride(from: 0, to: bytes.count, by: part) {
            kit.send(
                MetadataFound(
                    torrent: torrent.rawValue, totalLength: UInt32(bytes.count), offset: UInt32(at), bytes: Array(bytes[at..<min(at + part, bytes.count)])),
                to: session)
        }
    }
}

extension TorrentTraits {
    init(_ flags: TorrentFlags) {
        self = []
        if flags.contains(.isPrivate) { insert(.isPrivate) }
        if flags.contains(.paused) { insert(.paused) }
        if flags.contains(.sequential) { insert(.sequential) }
        if flags.contains(.superSeeding) { insert(.superSeeding) }
    }
}

extension RateLimits {
    init(_ m: PeerLimits) {
        self.init()
        func pair(_ down: UInt64, _ up: UInt64) -> LimitPair { LimitPair(down: Int64(clamping: down), up: Int64(clamping: up)) }
        global = pair(m.globalDown, m.globalUp)
        perTorrent = pair(m.torrentDown, m.torrentUp)
        perPeer = pair(m.peerDown, m.peerUp)
        localPeers = LocalPeers(rawValue: m.localPeers) ?? .limited
        local = pair(m.localDown, m.localUp)
        groups = m.groups.prefix(LimitGroup.maximumCount).map { pair($0.down, $0.up) }
        slice = .milliseconds(Int(min(max(m.sliceMilliseconds, 1), 1000)))
    }
}

extension TorrentLimits {
    init(_ m: PeerTorrentLimits) {
        self.init(
            down: m.down < 0 ? nil : m.down, up: m.up < 0 ? nil : m.up, group: Int(m.group), maxPeers: m.maxPeers == 0 ? nil : Int(m.maxPeers))
    }
}

extension PeerHandle {
    /// As a correlation: generation above, index below.
    var packed: UInt64 { UInt64(generation) << 32 | UInt64(index) }
    init(packed: UInt64) { self.init(index: UInt32(truncatingIfNeeded: packed), generation: UInt32(packed >> 32)) }
}

extension TorrentStats {
    init(_ r: Swarm.TorrentReport) {
        self.init(
            torrent: r.id.rawValue, downloaded: r.downloaded, downloadedAgain: r.downloadedAgain, uploaded: r.uploaded, downRate: r.downRate,
            upRate: r.upRate, peers: UInt32(r.peers), seeds: UInt32(r.seeds), inFlight: UInt32(r.inFlight))
    }
}

extension PeerDetails {
    init(_ r: Swarm.PeerReport) {
        let bits = [r.amInterested, r.amChoking, r.isInterested, r.isChoking, r.isSnubbed, r.isIncoming, r.isSeed, r.isOptimistic, r.uploadOnly]
        var flags = bits.enumerated().reduce(UInt32(0)) { $0 | ($1.element ? 1 << UInt32($1.offset) : 0) }
        switch r.encryption {
        case .none: break
        case .rc4: flags |= 1 << 9
        case .handshake: flags |= 1 << 10
        }
        if r.overUTP { flags |= 1 << 11 }
        self.init(
            endpoint: r.endpoint, peerID: r.peerID, client: r.client, source: r.origin.rawValue, flags: flags, downRate: r.downRate,
            upRate: r.upRate, downloaded: r.downloaded, uploaded: r.uploaded, havePieces: UInt32(r.havePieces), inFlight: UInt32(r.inFlight),
            queued: UInt32(r.queued), score: UInt32(r.score))
    }
}
