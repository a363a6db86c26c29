import ByteCodec
import Catalog
import IPC
import Metainfo
import Observe
import Primitives
import WorkerKit

/// Metadata of a magnet as it comes in (BEP 9), in order, hash checked by the shard.
struct MetadataAssembly: Sendable {
    /// Larger sets are refused by the shards; this bounds what a broken one could make us hold.
    static let limit = 32 << 20
    var bytes: [UInt8] = []
    let total: Int
}

/// The state edge to a peer shard.
extension SessionShell {
    func receivedFromPeer(_ frame: Frame, _ edge: Edge) throws(DecodeError) {
        switch frame.type {
        case .peerStats:
            let m: PeerStats = try frame.decode()
            feed(.peers(shard: edge.index, edge.generation, m.torrents.map(Self.report)))
        case .metadataBlockWanted:
            let m: MetadataBlockWanted = try frame.decode()
            serveMetadata(m, edge, correlation: frame.correlation)
        case .metadataFound: try metadataFound(frame.decode())
        case .layersFound: try layersFound(frame.decode())
        case .peerList:
            let m: PeerList = try frame.decode()
            answerPeers(token: frame.correlation, m)
        case .pieceStates: answerPieceStates(token: frame.correlation, try frame.decode())
        case .streamReady: answerStream(token: frame.correlation, try frame.decode())
        case .morePeersWanted: feed(.morePeersWanted(TorrentID(rawValue: try frame.decode(MorePeersWanted.self).torrent)))
        case .listenPort:
            listenPorts[edge.index] = try frame.decode(ListenPort.self).port
            sendDiscovery(DiscoveryListenPort(listenPort: listenPort))
        case .peerBanned: banned(try frame.decode(), by: edge)
        case .externalAddress:
            let m: ExternalAddress = try frame.decode()
            externalAddresses[edge.index, default: []].removeAll { $0.address.isIPv4 == m.endpoint.isIPv4 }
            externalAddresses[edge.index, default: []].append((m.endpoint, Int(m.votes)))
        case .peerFilterCounts: filter.counts[edge.index] = try frame.decode()
        case .dhtNodeSeen: sendDiscovery(DhtContacts(endpoints: [try frame.decode(DhtNodeSeen.self).endpoint]))
        case .peerFault:
            let m: PeerFault = try frame.decode()
            feed(.peerFault(TorrentID(rawValue: m.torrent), Text.printable(m.message, limit: 500)))
        default: break
        }
    }

    private static func report(_ s: TorrentStats) -> PeerReport {
        PeerReport(
            torrent: TorrentID(rawValue: s.torrent),
            counters: TransferCounters(downloaded: s.downloaded, downloadedAgain: s.downloadedAgain, uploaded: s.uploaded), downRate: s.downRate,
            upRate: s.upRate, peers: s.peers, seeds: s.seeds)
    }

    /// All shards share one public port; the lowest shard's is announced.
    var listenPort: UInt16 { listenPorts.min { $0.key < $1.key }?.value ?? 0 }

    func sendPeer<M: IPCMessage>(_ shard: UInt16, _ message: M, correlation: UInt64 = 0) {
        guard let edge = kit.edge(.peer, shard) else { return }
        kit.send(message, to: edge, correlation: correlation)
    }

    func sendPeerAdd(_ e: PeerEntry) {
        sendPeer(
            e.shard,
            PeerTorrentAdd(
                torrent: e.torrent.rawValue, infoHash: e.facts.infoHash, infoHashV2: e.facts.infoHashV2, flags: e.flags.rawValue,
                totalLength: e.facts.totalLength, pieceLength: e.facts.pieceLength, pieceCount: e.facts.pieceCount,
                metadataLength: e.facts.metadataLength, device: e.device))
        if e.flags.contains(.hasMetadata), !e.flags.contains(.completed) {
            sendPeer(e.shard, PeerWebSeeds(torrent: e.torrent.rawValue, metainfoPath: files.path(e.facts.infoHash)))
        }
    }

    // MARK: BEP 9

    private func serveMetadata(_ m: MetadataBlockWanted, _ edge: Edge, correlation: UInt64) {
        var bytes: [UInt8] = []
        if let facts = core.row(TorrentID(rawValue: m.torrent))?.record.facts {
            let start = Int(m.block) * Int(PieceGeometry.blockLength)
            if start < Int(facts.metadataLength) {
                let count = min(Int(PieceGeometry.blockLength), Int(facts.metadataLength) - start)
                bytes = files.read(facts.infoHash, offset: Int(facts.metadataOffset) + start, count: count) ?? []
            }
        }
        kit.send(MetadataBlock(torrent: m.torrent, block: m.block, bytes: bytes), to: edge, correlation: correlation)
    }

    private func metadataFound(_ m: MetadataFound) {
        let id = TorrentID(rawValue: m.torrent)
        guard let row = core.row(id), !row.record.facts.hasMetadata, metadata[m.torrent] == nil else { return }
        guard m.totalLength > 0, Int(m.totalLength) <= MetadataAssembly.limit else { return }
        if m.offset == 0 { assemblies[m.torrent] = MetadataAssembly(total: Int(m.totalLength)) }
        guard var assembly = assemblies.removeValue(forKey: m.torrent), assembly.total == Int(m.totalLength), assembly.bytes.count == Int(m.offset),
            assembly.bytes.count + m.bytes.count <= assembly.total
        else { return }
        assembly.bytes.append(contentsOf: m.bytes)
        guard assembly.bytes.count == assembly.total else {
            assemblies[m.torrent] = assembly
            return
        }
        let hash = row.record.facts.infoHash
        metadataCame(id, info: assembly.bytes) { failure in
            if let failure { log.error("\(hash): metadata from a peer shard: \(failure)") }
        }
    }

    /// A magnet's info dictionary, whole. `then`: why it is not taken.
    func metadataCame(_ id: TorrentID, info: [UInt8], _ then: @escaping (String?) -> Void) {
        guard let row = core.row(id), !row.record.facts.hasMetadata, metadata[id.rawValue] == nil else { return then(nil) }
        let record = row.record
        let note = TorrentReading.Note(
            savePath: record.savePath, addedAt: record.addedAt, isPaused: record.isPaused, isSequential: record.isSequential)
        let files = self.files, layout = record.options.layout
        pool({ () -> Result<TorrentReading, TorrentReading.Refused> in
            // The magnet's `ws=` become the torrent's `url-list`.
            let webSeeds = files.magnet(record.facts.infoHash).flatMap { try? Magnet(parsing: $0) }?.webSeeds ?? []
            return Result { () throws(TorrentReading.Refused) in
                var reading = try TorrentReading(info: info, trackers: record.facts.trackers, webSeeds: webSeeds, note: note)
                reading.lay(out: layout)
                return reading
            }
        }) { [self] result in
            switch result {
            case .success(let reading) where reading.facts.isNamed(as: record.facts):
                guard let row = core.row(id), !row.record.facts.hasMetadata else { return then(nil) }
                if reading.missingLayers.isEmpty { store(id, reading) } else { wantLayers(id, row, reading, info: info) }
                then(nil)
            case .success: then("it is of another torrent")
            case .failure(let why):
                feed(.unusable(id, "the metadata cannot be used: \(why)"))
                then(nil)
            }
            act()
        }
    }
}
