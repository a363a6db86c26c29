import Catalog
import Control
import Metainfo
import Observe
import Primitives
import WorkerKit

/// An `add` on its way to the store.
struct Addition {
    let hash: InfoHash
    let content: StoredTorrents.Content
    /// `xs` of a magnet link.
    let exactSources: [String]
}
/// A magnet's metadata on its way there.
struct StoredMetadata: Sendable {
    let hash: InfoHash
    /// What the magnet link was kept under: another hash, when it named the v2 one of a hybrid torrent.
    let magnet: InfoHash
    let stored: [UInt8]
}

/// From the core's batch to disk and back: .torrent files first, then the transaction that names them.
extension SessionShell {
    func commitIfDue(_ now: Instant) {
        guard !isCommitting, !isClosing else { return }
        guard let batch = core.takeBatch(now: now) else { return tidyFiles() }
        isCommitting = true
        var writes: [(InfoHash, StoredTorrents.Content)] = []
        for token in batch.added {
            guard let addition = additions[token] else { preconditionFailure("an add without its content") }
            writes.append((addition.hash, addition.content))
        }
        for id in batch.metadata { if let m = metadata[id.rawValue] { writes.append((m.hash, .torrent(m.stored))) } }
        let magnetsDone = batch.metadata.compactMap { metadata[$0.rawValue]?.magnet }
        let unwanted = takeGarbage(), rewrites = takeNotes()
        let store = self.store, files = self.files
        pool({ [writes] () -> CommitOutcome in
            files.remove(unwanted)
            for rewrite in rewrites { rewrite.write(files) }
            do throws(StoredTorrents.WriteFailure) { try files.write(writes) } catch { return .failed(error.description, damaged: false) }
            do throws(CatalogStore.Failure) { try store.commit(batch) } catch {
                switch error {
                case .damaged(let why): return .failed(why, damaged: true)
                case .refused(let why): return .failed(why, damaged: false)
                }
            }
            // Only now: until the commit the row said that it was a magnet.
            for hash in magnetsDone { files.removeMagnet(hash) }
            return .done
        }) { [self] outcome in
            isCommitting = false
            for id in batch.metadata { metadata[id.rawValue] = nil }
            switch outcome {
            case .done:
                if !storeFault.isEmpty { log.info("the state database takes changes again") }
                storeFault = ""
                feed(.committed)
            case .failed(let why, let damaged):
                // A restart sets the database aside; going on would answer from a store that lost its memory.
                if damaged { kit.fail("the state database is damaged: \(why)") }
                if storeFault != why { log.error("state cannot be stored: \(why)") }
                storeFault = why
                nextProbe = loop.now + Self.probeInterval
                feed(.commitFailed(why))
            }
            act()
        }
    }

    /// After a refused commit: whether the store takes changes again is found out by itself, not by the next user.
    static let probeInterval = TimeSpan.seconds(5)

    func probeStore(_ now: Instant) -> Instant {
        guard !storeFault.isEmpty, !isCommitting, !isClosing else { return .never }
        guard now >= nextProbe else { return nextProbe }
        nextProbe = now + Self.probeInterval
        isCommitting = true
        let store = self.store
        // The value that it has while a run goes on.
        pool({ () -> Bool in (try? store.setMeta([("clean", "0")])) != nil }) { [self] works in
            isCommitting = false
            guard works else { return }
            storeFault = ""
            log.info("the state database takes changes again")
        }
        return nextProbe
    }

    enum CommitOutcome: Sendable {
        case done
        case failed(String, damaged: Bool)
    }

    /// Files of torrents that are gone, unless the same hash came back.
    private func takeGarbage() -> [InfoHash] {
        let pendingHashes = Set(additions.values.map(\.hash))
        let unwanted = garbage.filter { core.find($0) == nil && !pendingHashes.contains($0) }
        garbage = []
        return unwanted
    }
    private func tidyFiles() {
        guard !garbage.isEmpty || !notes.isEmpty else { return }
        let unwanted = takeGarbage(), rewrites = takeNotes(), files = self.files
        guard !unwanted.isEmpty || !rewrites.isEmpty else { return }
        isCommitting = true
        pool({
            files.remove(unwanted)
            for rewrite in rewrites { rewrite.write(files) }
        }) { [self] in isCommitting = false }
    }

    func removed(_ id: TorrentID, _ hash: InfoHash) {
        assemblies[id.rawValue] = nil
        layers[id.rawValue] = nil
        tellWatchersRemoved(id, hash)
        apiRemoved(id)
        followedRemoved(hash)
        exactSources.entries[id.rawValue] = nil
        for token in moveWaiters.removeValue(forKey: id.rawValue) ?? [] {
            finish(token, error: ControlError(.notFound, "the torrent was removed meanwhile"))
        }
        // With its data still to be deleted the disk worker needs the file.
        if core.row(id) == nil { garbage.append(hash) }
    }

    /// The note in the stored file follows a move, for the day on which the store is lost. Done by whoever writes files
    /// next: there is one writer at a time.
    func rewriteNote(_ id: TorrentID) {
        guard let record = core.row(id)?.record, record.facts.hasMetadata else { return }
        notes.append(
            NoteRewrite(
                hash: record.facts.infoHash,
                note: TorrentReading.Note(
                    savePath: record.savePath, addedAt: record.addedAt, isPaused: record.isPaused, isSequential: record.isSequential)))
    }

    private func takeNotes() -> [NoteRewrite] {
        defer { notes = [] }
        return notes.filter { core.find($0.hash) != nil }
    }
}

struct NoteRewrite: Sendable {
    let hash: InfoHash
    let note: TorrentReading.Note

    /// Failure costs the note only: the store has the path.
    func write(_ files: StoredTorrents) {
        guard let bytes = files.read(hash), let reading = try? TorrentReading(bytes, note: note) else { return }
        try? files.write([(hash, .torrent(reading.stored))])
    }
}
