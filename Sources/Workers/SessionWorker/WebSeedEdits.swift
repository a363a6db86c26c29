import Bencode
import Catalog
import Control
import IPC
import Metainfo
import Observe
import Primitives
import Synchronization

/// Web seeds stand in the stored .torrent and nowhere else: a change writes the file anew.
extension SessionShell {
    /// More than any torrent has use for; the shard takes 16 of them.
    private static let webSeedLimit = 100
    /// Two changes of one file at a time would lose one of them.
    private static let writing = Mutex(())

    func changeWebSeeds(_ from: Asker, _ p: ChangeWebSeedsParameters) throws(ControlError) {
        let id = try find(p.hash), hash = core.row(id)!.record.facts.infoHash
        guard core.row(id)!.record.facts.hasMetadata else { throw ControlError(.noMetadata, "the magnet's metadata has not arrived") }
        var add: [String] = [], remove: Set<String> = []
        for text in p.add { add.append(try Self.webSeed(text)) }
        for text in p.remove { remove.insert(try Self.webSeed(text)) }
        let token = wait(from, .pool), files = self.files, added = add, removed = remove
        pool({ () -> Result<Void, ControlError> in
            Result { () throws(ControlError) in
                try Self.writing.withLock { _ throws(ControlError) in try Self.rewrite(files, hash, add: added, remove: removed, mustExist: p.mustExist) }
            }
        }) { [self] result in
            if case .failure(let error) = result { return finish(token, error: error) }
            if let row = core.row(id), !row.isComplete { sendPeer(row.shard, PeerWebSeeds(torrent: id.rawValue, metainfoPath: files.path(hash))) }
            finish(token, Empty())
        }
    }

    private static func webSeed(_ text: String) throws(ControlError) -> String {
        guard let url = Metainfo.webSeed(text) else { throw ControlError(.invalidParameters, "\(Text.printable(text, limit: 200)) is not a valid URL") }
        return url
    }

    private static func rewrite(_ files: StoredTorrents, _ hash: InfoHash, add: [String], remove: Set<String>, mustExist: Bool) throws(ControlError) {
        guard let bytes = files.read(hash), let m = try? Metainfo(parsing: bytes) else { throw ControlError(.storage, "the stored .torrent file cannot be read") }
        if mustExist, let missing = remove.sorted().first(where: { !m.webSeeds.contains($0) }) {
            throw ControlError(.notFound, "\(Text.printable(missing, limit: 200)) is no web seed of this torrent")
        }
        var urls = m.webSeeds.filter { !remove.contains($0) }
        for url in add where !urls.contains(url) { urls.append(url) }
        guard urls != m.webSeeds else { return }
        guard urls.count <= webSeedLimit else { throw ControlError(.tooLarge, "at most \(webSeedLimit) web seeds") }
        guard let changed = TorrentReading.with(webSeeds: urls, bytes) else { throw ControlError(.conflict, "the keys of its .torrent file are out of order") }
        do throws(StoredTorrents.WriteFailure) { try files.write([(hash, .torrent(changed))]) } catch {
            throw ControlError(.storage, "nothing was changed, the .torrent file cannot be stored: \(error)")
        }
    }
}

extension TorrentReading {
    /// A stored file with another `url-list`, at its place among the keys; every other byte stays, and `info` stays where it is, since
    /// the catalogue knows its offset. nil: it is no dictionary, or one whose keys are out of order so that `info` would move.
    package static func with(webSeeds: [String], _ stored: [UInt8]) -> [UInt8]? {
        var parser = BencodeParser()
        return stored.withUnsafeBytes { raw -> [UInt8]? in
            guard let root = try? parser.parse(raw, limits: .torrent, tolerance: .lenient), root.kind == .dictionary else { return nil }
            var list: [UInt8] = []
            if !webSeeds.isEmpty {
                var w = BencodeWriter()
                w.beginDictionary()
                w.key("url-list")
                w.beginList()
                for url in webSeeds { w.string(url) }
                w.end()
                w.end()
                list = Array(w.bytes.dropFirst().dropLast())
            }
            var out = [UInt8(ascii: "d")]
            out.reserveCapacity(raw.count + list.count)
            var isBehindInfo = false
            for (key, value) in root.entries {
                if key.text == "url-list" {
                    guard isBehindInfo else { return nil }
                    continue
                }
                if isBehindInfo, let text = key.text, text > "url-list" {
                    out.append(contentsOf: list)
                    list = []
                }
                out.append(contentsOf: key.encoded)
                out.append(contentsOf: value.encoded)
                if key.text == "info" { isBehindInfo = true }
            }
            return out + list + [UInt8(ascii: "e")]
        }
    }
}
