import Catalog
import IPC
import Metainfo
import Observe
import Primitives

/// A magnet's info dictionary that waits for its piece layers (BEP 52).
struct PendingLayers: Sendable {
    let info: [UInt8]
    let roots: [WantedLayer]
    /// Without layers: used when a hybrid's peers give none.
    let reading: TorrentReading
    var bytes: [UInt8] = []
    var total = -1
}

/// From an info dictionary to a torrent that can be checked: the peer shard fetches the layers, here they are stored
/// with it, so that every other part only ever sees whole torrents.
extension SessionShell {
    private static let layersPerFrame = 20_000

    func store(_ id: TorrentID, _ reading: TorrentReading) {
        guard let record = core.row(id)?.record else { return }
        let reading = apart(reading, record)
        metadata[id.rawValue] = StoredMetadata(hash: reading.facts.infoHash, magnet: record.facts.infoHash, stored: reading.stored)
        feed(.command(token: 0, .metadata(id, reading.facts, reading.names, roots: reading.roots)))
    }

    func wantLayers(_ id: TorrentID, _ row: CatalogRow, _ reading: TorrentReading, info: [UInt8]) {
        let files = reading.missingLayers
        layers[id.rawValue] = PendingLayers(info: info, roots: files, reading: reading)
        for at in stride(from: 0, to: files.count, by: Self.layersPerFrame) {
            let end = min(at + Self.layersPerFrame, files.count)
            sendPeer(
                row.shard,
                LayersWanted(
                    torrent: id.rawValue, pieceLength: reading.facts.pieceLength, isOptional: reading.facts.hasV1 ? 1 : 0,
                    isLast: end == files.count ? 1 : 0, files: Array(files[at..<end])))
        }
    }

    func layersFound(_ m: LayersFound) {
        let id = TorrentID(rawValue: m.torrent)
        guard var pending = layers[m.torrent], let row = core.row(id), !row.record.facts.hasMetadata else { return }
        if m.offset == 0 { (pending.bytes, pending.total) = ([], Int(m.totalLength)) }
        guard Int(m.totalLength) == pending.total, Int(m.offset) == pending.bytes.count, pending.bytes.count + m.bytes.count <= pending.total else { return }
        pending.bytes.append(contentsOf: m.bytes)
        guard pending.bytes.count == pending.total else {
            layers[m.torrent] = pending
            return
        }
        layers[m.torrent] = nil
        guard pending.total > 0 else {
            // A hybrid torrent is whole by its v1 hashes.
            if pending.reading.facts.hasV1 { store(id, pending.reading) } else { feed(.unusable(id, "its piece layers cannot be fetched: there are too many")) }
            return
        }
        let record = row.record
        let note = TorrentReading.Note(
            savePath: record.savePath, addedAt: record.addedAt, isPaused: record.isPaused, isSequential: record.isSequential)
        let files = self.files, layout = record.options.layout
        pool({ [pending] () -> Result<TorrentReading, TorrentReading.Refused> in
            var at = 0
            let layers = pending.roots.map { wanted in
                defer { at += 32 * Int(wanted.pieces) }
                return (root: wanted.root, hashes: pending.bytes[at..<min(at + 32 * Int(wanted.pieces), pending.bytes.count)])
            }
            return Result { () throws(TorrentReading.Refused) in
                let webSeeds = files.magnet(record.facts.infoHash).flatMap { try? Magnet(parsing: $0) }?.webSeeds ?? []
                var reading = try TorrentReading(info: pending.info, trackers: record.facts.trackers, webSeeds: webSeeds, layers: layers, note: note)
                reading.lay(out: layout)
                return reading
            }
        }) { [self] result in
            switch result {
            case .success(let reading): if core.row(id)?.record.facts.hasMetadata == false { store(id, reading) }
            case .failure(let why): feed(.unusable(id, "the piece layers cannot be used: \(why)"))
            }
            act()
        }
    }
}

extension TorrentFacts {
    /// True when this is the torrent that a magnet's facts name, by either hash.
    func isNamed(as magnet: TorrentFacts) -> Bool {
        (!magnet.hasV1 || infoHash == magnet.infoHash) && (magnet.infoHashV2.isZero || infoHashV2 == magnet.infoHashV2)
    }
}
