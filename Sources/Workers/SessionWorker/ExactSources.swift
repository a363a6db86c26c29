import Catalog
import Metainfo
import Observe
import Primitives

/// Where the .torrent of a magnet link is to be had besides its peers: `xs=` with an HTTP address.
///
///     added, or found at the start ─▶ due ─▶ fetched, one address after the other ─▶ its info dictionary, as if a peer had sent it
///                                      └── none was of use: again later, twice as late each time
struct ExactSources {
    struct Entry {
        let addresses: [String]
        var next = 0
        var failures = 0
        var due: Instant
        var isUnderWay = false
    }
    /// Fetches at once, of the 64 that front ends and feeds share.
    static let atOnce = 4
    /// Links that are read again at a start; their peers have the others.
    static let readAtStart = 1000
    /// At torrents that are paused.
    static let lookAgain = TimeSpan.seconds(10)
    static let firstPause = TimeSpan.minutes(5), longestPause = TimeSpan.minutes(360)

    var entries: [UInt32: Entry] = [:]
    var checkAt = Instant.zero
    var isStartRead = false
    /// Also of torrents that were removed meanwhile.
    var underWay = 0
}

extension SessionShell {
    func haveExactSources(_ id: TorrentID, _ addresses: [String]) {
        guard !addresses.isEmpty, let row = core.row(id), !row.record.facts.hasMetadata else { return }
        exactSources.entries[id.rawValue] = ExactSources.Entry(addresses: addresses, due: loop.now)
        exactSources.checkAt = .zero
    }

    func turnExactSources(_ now: Instant) -> Instant {
        if !exactSources.isStartRead { readLinks() }
        guard !exactSources.entries.isEmpty, !isClosing, drainDeadline == nil else { return .never }
        guard now >= exactSources.checkAt else { return exactSources.checkAt }
        var due: [UInt32] = [], next = Instant.never
        for (id, entry) in exactSources.entries where !entry.isUnderWay {
            if entry.due <= now { due.append(id) } else { next = min(next, entry.due) }
        }
        for id in due.sorted() where exactSources.underWay < ExactSources.atOnce {
            guard let row = core.row(TorrentID(rawValue: id)), !row.record.facts.hasMetadata, let entry = exactSources.entries[id] else {
                exactSources.entries[id] = nil
                continue
            }
            guard !row.record.isPaused, kit.edge(.discovery) != nil else {
                next = min(next, now + ExactSources.lookAgain)
                continue
            }
            fetchExact(id, row.record.facts.infoHash, entry.addresses[entry.next])
        }
        // Who is due and found no place comes when a fetch ends.
        exactSources.checkAt = next
        return next
    }

    private func readLinks() {
        exactSources.isStartRead = true
        var waiting: [(TorrentID, InfoHash)] = []
        core.forEach { if !$0.record.facts.hasMetadata, waiting.count < ExactSources.readAtStart { waiting.append(($0.record.id, $0.record.facts.infoHash)) } }
        guard !waiting.isEmpty else { return }
        let files = self.files, links = waiting
        pool({ links.compactMap { id, hash in files.magnet(hash).flatMap { try? Magnet(parsing: $0) }.map { (id, $0.exactSources) } } }) { [self] found in
            for (id, addresses) in found { haveExactSources(id, addresses) }
        }
    }

    private func fetchExact(_ id: UInt32, _ hash: InfoHash, _ address: String) {
        exactSources.entries[id]!.isUnderWay = true
        exactSources.underWay += 1
        fetch(address, limit: MetadataAssembly.limit) { [self] outcome in
            let bytes: [UInt8]
            switch outcome {
            case .success(.body(let body)): bytes = body
            case .success(.magnet): return exactEnded(id, address, "it leads to another magnet link")
            case .failure(let error): return exactEnded(id, address, error.message)
            }
            // Trackers and web seeds of the file are not covered by the hash: those of the link count.
            pool({ () -> [UInt8]? in
                guard let m = try? Metainfo(parsing: bytes), m.infoHashV1 == hash || m.infoHashV2?.truncated == hash else { return nil }
                return Array(bytes[m.infoRange])
            }) { [self] info in
                guard let info else { return exactEnded(id, address, "it is not this torrent's file") }
                metadataCame(TorrentID(rawValue: id), info: info) { [self] failure in exactEnded(id, address, failure) }
            }
        }
    }

    /// `failure`: nil when nothing is left to ask for.
    private func exactEnded(_ id: UInt32, _ address: String, _ failure: String?) {
        exactSources.underWay -= 1
        exactSources.checkAt = .zero
        guard var entry = exactSources.entries[id] else { return }
        guard let why = failure else {
            exactSources.entries[id] = nil
            return
        }
        log.info("\(Text.printable(address, limit: 200)): \(why)")
        entry.isUnderWay = false
        entry.next += 1
        if entry.next == entry.addresses.count {
            entry.next = 0
            entry.due = loop.now + min(ExactSources.firstPause * (1 << min(entry.failures, 10)), ExactSources.longestPause)
            entry.failures += 1
        }
        exactSources.entries[id] = entry
    }
}
