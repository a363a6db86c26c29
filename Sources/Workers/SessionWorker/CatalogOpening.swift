import Catalog
import Metainfo
import Observe
import Primitives

/// How a start comes by its catalogue: from the store, or, where that is damaged or gone, from the stored .torrent files.
enum CatalogOpening {
    static func open(stateDirectory: String, files: StoredTorrents, sameRun: Bool) throws -> (store: CatalogStore, loaded: CatalogStore.Loaded) {
        let existed = CatalogStore.exists(in: stateDirectory)
        do {
            let store = try CatalogStore(directory: stateDirectory)
            let loaded = try store.load(sameRun: sameRun)
            let listed = files.list()
            guard existed || (listed.torrents.isEmpty && listed.magnets.isEmpty) else { return try rebuild(store, files) }
            return (store, loaded)
        } catch CatalogStore.Failure.damaged(let why) {
            let name = CatalogStore.setAside(in: stateDirectory)
            log.error("the state database is damaged (\(why)); it is kept as \(name), and the catalogue is rebuilt from the stored torrents")
            return try rebuild(CatalogStore(directory: stateDirectory), files)
        }
    }

    /// Every torrent is checked anew, since what was durable is not known.
    private static func rebuild(_ store: CatalogStore, _ files: StoredTorrents) throws -> (CatalogStore, CatalogStore.Loaded) {
        var loaded = CatalogStore.Loaded()
        loaded.wasClean = false
        var batch = StoreBatch()
        var seen: Set<InfoHash> = []
        func keep(_ facts: TorrentFacts, _ note: TorrentReading.Note) {
            guard seen.insert(facts.infoHash).inserted, loaded.records.count < CatalogLimits.torrents else { return }
            var record = TorrentRecord(id: TorrentID(rawValue: loaded.nextID), facts: facts, savePath: note.savePath, addedAt: note.addedAt)
            record.isPaused = note.isPaused
            record.isSequential = note.isSequential
            record.wasMagnet = !facts.hasMetadata
            loaded.nextID += 1
            loaded.records.append((record, nil))
            batch.puts.append(record)
        }
        let listed = files.list()
        for hash in listed.torrents {
            guard let bytes = files.read(hash), let note = TorrentReading.note(bytes), let facts = try? TorrentReading.facts(bytes), facts.infoHash == hash
            else {
                log.warning("\(files.path(hash)) cannot be used and is left out")
                continue
            }
            keep(facts, note)
        }
        for hash in listed.magnets {
            guard let stored = files.readMagnet(hash), let facts = MagnetReading.facts(stored.uri), facts.infoHash == hash else { continue }
            keep(facts, TorrentReading.Note(savePath: stored.savePath))
        }
        batch.nextID = loaded.nextID
        try store.commit(batch)
        try store.setMeta([("clean", "0")])
        log.info("catalogue rebuilt: \(loaded.records.count) torrents, which are checked anew")
        return (store, loaded)
    }
}

/// What a magnet says, as far as this build uses it.
enum MagnetReading {
    static func facts(_ uri: String) -> TorrentFacts? {
        (try? Magnet(parsing: uri)).map { facts($0) }
    }
    static func facts(_ magnet: Magnet) -> TorrentFacts {
        TorrentFacts(
            infoHash: magnet.infoHash, infoHashV2: magnet.infoHashV2 ?? SHA256Digest(), hasV1: magnet.infoHashV1 != nil,
            name: Text.printable(magnet.name ?? magnet.infoHash.hex, limit: 240),
            trackers: TorrentReading.trackers(magnet.trackers.map { [$0] }))
    }
}

/// Texts from outside, made fit for one line of a terminal or a log.
enum Text {
    static func printable(_ text: String, limit: Int) -> String {
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars.prefix(limit) {
            switch scalar.properties.generalCategory {
            // Format covers the characters that change the direction of what follows.
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: out.append("\u{FFFD}")
            default: out.append(scalar)
            }
        }
        return String(out)
    }
}
