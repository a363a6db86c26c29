import Catalog
import Control
import Foundation
import Metainfo
import Primitives

/// `add`: decoding, hashing and parsing run on the pool; the core decides; the commit path stores.
extension SessionShell {
    private struct Parsed: Sendable {
        var new: NewTorrent
        var content: StoredTorrents.Content
    }

    func add(_ from: Asker, _ line: UnsafeRawBufferPointer) throws(ControlError) {
        let bytes = [UInt8](line), standard = settings.string("disk.download_dir"), now = core.wallSeconds
        let token = wait(from, .pool)
        pool({ () -> Result<Parsed, ControlError> in
            Result { () throws(ControlError) in try Self.parse(bytes, defaultSave: standard, now: now) }
        }) { [self] result in
            switch result {
            case .failure(let error): finish(token, error: error)
            case .success(let parsed):
                let facts = parsed.new.facts
                additions[token] = Addition(hash: facts.infoHash, content: parsed.content)
                pending[token]?.kind = .add(name: facts.name)
                feed(.command(token: token, .add(parsed.new)))
                act()
            }
        }
    }

    private static func parse(_ line: [UInt8], defaultSave: String, now: UInt64) throws(ControlError) -> Parsed {
        let raw: Result<AddParameters, ControlError> = line.withUnsafeBytes { raw in
            Result { () throws(ControlError) in try ControlLine.parameters(raw, as: AddParameters.self) }
        }
        let p = try raw.get()
        let save = tidy(p.save ?? defaultSave)
        guard !save.isEmpty else { throw ControlError(.invalidParameters, "a save path must be given: disk.download_dir is not set") }
        var peers: [Endpoint] = []
        guard (p.peers ?? []).count <= Control.peersLimit else { throw ControlError(.tooLarge, "at most \(Control.peersLimit) peers at once") }
        for text in p.peers ?? [] {
            guard let endpoint = Endpoint(text), endpoint.isDialable else {
                throw ControlError(.invalidParameters, "\(Text.printable(text, limit: 60)) is not an address and port")
            }
            peers.append(endpoint)
        }
        func new(_ facts: TorrentFacts, _ peers: [Endpoint]) -> NewTorrent {
            NewTorrent(
                facts: facts, savePath: save, isPaused: p.paused ?? false, isSequential: p.sequential ?? false, skipCheck: p.skipCheck ?? false,
                peers: peers)
        }
        switch (p.torrent, p.magnet) {
        case (let text?, nil):
            // Four characters for three bytes: the length says it before anything is decoded.
            guard text.utf8.count / 4 * 3 <= Control.torrentLimit + 2 else {
                throw ControlError(.tooLarge, "a torrent file may have \(Control.torrentLimit) bytes")
            }
            guard let data = Data(base64Encoded: text) else { throw ControlError(.invalidParameters, "torrent is not base64") }
            let note = TorrentReading.Note(savePath: save, addedAt: now, isPaused: p.paused ?? false, isSequential: p.sequential ?? false)
            do throws(TorrentReading.Refused) {
                let reading = try TorrentReading([UInt8](data), note: note)
                if let link = reading.magnetForLayers {
                    // BEP 52 calls it invalid without its piece layers; peers have them, as they have a magnet's.
                    return Parsed(new: new(MagnetReading.facts(link), peers), content: .magnet(link.link, savePath: save))
                }
                return Parsed(new: new(reading.facts, peers), content: .torrent(reading.stored))
            } catch { throw ControlError(.invalidParameters, "not a usable torrent: \(error)") }
        case (nil, let link?):
            let magnet: Magnet
            do throws(MagnetError) { magnet = try Magnet(parsing: link) } catch { throw ControlError(.invalidParameters, error.description) }
            // x.pe with a host name would need a resolver here; trackers find such peers.
            let named = magnet.peers.compactMap(\.endpoint).filter(\.isDialable)
            return Parsed(new: new(MagnetReading.facts(magnet), peers + named), content: .magnet(magnet.link, savePath: save))
        default: throw ControlError(.invalidParameters, "exactly one of torrent and magnet must be given")
        }
    }
}
