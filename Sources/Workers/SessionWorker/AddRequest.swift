import Catalog
import Control
import Foundation
import IPC
import Metainfo
import Primitives
import Settings

/// `add`: decoding, hashing and parsing run on the pool; the core decides; the commit path stores.
extension SessionShell {
    private struct Parsed: Sendable {
        var new: NewTorrent
        var content: StoredTorrents.Content
        /// BEP 5 `nodes`, for a DHT node that knows nobody yet.
        var nodes: [Metainfo.DHTNode] = []
        /// `xs` of a magnet link.
        var exactSources: [String] = []
    }

    func add(_ from: Asker, _ line: UnsafeRawBufferPointer) {
        let bytes = [UInt8](line), token = wait(from, .pool)
        pool({ () -> Result<AddParameters, ControlError> in
            bytes.withUnsafeBytes { raw in Result { () throws(ControlError) in try ControlLine.parameters(raw, as: AddParameters.self) } }
        }) { [self] result in
            switch result {
            case .failure(let error): finish(token, error: error)
            case .success(let p): add(token, p)
            }
        }
    }
    /// Of our own; `then` hears how it ended.
    func add(_ p: AddParameters, then: @escaping (ControlError?) -> Void) { add(wait(own(then), .pool), p) }

    func add(_ token: UInt64, _ p: AddParameters) {
        if let url = p.url {
            guard p.torrent == nil, p.magnet == nil else { return finish(token, error: ControlError(.invalidParameters, "exactly one of torrent, magnet and url must be given")) }
            var p = p
            p.url = nil
            if url.lowercased().hasPrefix("magnet:") {
                p.magnet = url
                return add(token, p)
            }
            return fetch(url, limit: Control.torrentLimit) { [self] outcome in
                switch outcome {
                case .failure(let error): return finish(token, error: error)
                case .success(.magnet(let link)): p.magnet = link
                case .success(.body(let bytes)): p.torrent = Data(bytes).base64EncodedString()
                }
                add(token, p)
            }
        }
        // BEP 46: the link names an item of the DHT, which names the torrent.
        if let text = p.magnet, p.torrent == nil {
            do throws(MagnetError) {
                if let link = try MutableMagnet(parsing: text) { return addFollowed(token, p, link) }
            } catch { return finish(token, error: ControlError(.invalidParameters, error.description)) }
        }
        let now = core.wallSeconds, wishes = AddWishes(settings, core)
        pool({ () -> Result<Parsed, ControlError> in
            Result { () throws(ControlError) in try Self.parse(p, wishes, now: now) }
        }) { [self] result in
            switch result {
            case .failure(let error): finish(token, error: error)
            case .success(let parsed):
                let facts = parsed.new.facts
                additions[token] = Addition(hash: facts.infoHash, content: parsed.content, exactSources: parsed.exactSources)
                pending[token]?.kind = .add(name: parsed.new.options.name.isEmpty ? facts.name : parsed.new.options.name)
                feed(.command(token: token, .add(parsed.new)))
                if !parsed.nodes.isEmpty, !facts.isPrivate {
                    sendDiscovery(DhtHosts(hosts: parsed.nodes.prefix(16).map { DhtHost(host: $0.host, port: $0.port) }))
                }
                act()
            }
        }
    }

    private static func parse(_ p: AddParameters, _ wishes: AddWishes, now: UInt64) throws(ControlError) -> Parsed {
        let save = try wishes.save(p)
        var peers: [Endpoint] = []
        guard (p.peers ?? []).count <= Control.peersLimit else { throw ControlError(.tooLarge, "at most \(Control.peersLimit) peers at once") }
        for text in p.peers ?? [] {
            guard let endpoint = Endpoint(text), endpoint.isDialable else {
                throw ControlError(.invalidParameters, "\(Text.printable(text, limit: 60)) is not an address and port")
            }
            peers.append(endpoint)
        }
        let isPaused = p.paused ?? wishes.isPaused
        let options = try wishes.options(p)
        func new(_ facts: TorrentFacts, _ peers: [Endpoint], comment: String, _ levels: FileLevels) -> NewTorrent {
            var new = NewTorrent(facts: facts, savePath: save, isPaused: isPaused, isSequential: p.sequential ?? false, skipCheck: p.skipCheck ?? false, peers: peers)
            new.options = options
            (new.downLimit, new.upLimit) = (p.downLimit.map { Int64(clamping: $0) }, p.upLimit.map { Int64(clamping: $0) })
            new.options.comment = comment
            new.levels = levels
            new.isFirstInQueue = p.topOfQueue ?? wishes.isFirstInQueue
            return new
        }
        switch (p.torrent, p.magnet) {
        case (let text?, nil):
            // Four characters for three bytes: the length says it before anything is decoded.
            guard text.utf8.count / 4 * 3 <= Control.torrentLimit + 2 else {
                throw ControlError(.tooLarge, "a torrent file may have \(Control.torrentLimit) bytes")
            }
            guard let data = Data(base64Encoded: text) else { throw ControlError(.invalidParameters, "torrent is not base64") }
            let note = TorrentReading.Note(savePath: save, addedAt: now, isPaused: isPaused, isSequential: p.sequential ?? false)
            let chooses = p.only != nil || p.priorities != nil || p.levels != nil
            let files = chooses ? (try? Metainfo(parsing: [UInt8](data)))?.files : nil
            let levels = if let names = p.levels { try Self.levels(names, of: files) } else { try Self.levels(only: p.only, priorities: p.priorities, of: files?.count) }
            do throws(TorrentReading.Refused) {
                var reading = try TorrentReading([UInt8](data), note: note)
                if let link = reading.magnetForLayers {
                    // BEP 52 calls it invalid without its piece layers; peers have them, as they have a magnet's.
                    return Parsed(new: new(MagnetReading.facts(link), peers, comment: "", levels), content: .magnet(link.link, savePath: save), nodes: reading.nodes)
                }
                reading.lay(out: options.layout)
                var torrent = new(reading.facts, peers, comment: reading.comment, levels)
                (torrent.names, torrent.givenRoots) = (reading.names, reading.roots)
                return Parsed(new: torrent, content: .torrent(reading.stored), nodes: reading.nodes)
            } catch { throw ControlError(.invalidParameters, "not a usable torrent: \(error)") }
        case (nil, let link?):
            let magnet: Magnet
            do throws(MagnetError) { magnet = try Magnet(parsing: link) } catch { throw ControlError(.invalidParameters, error.description) }
            // x.pe with a host name would need a resolver here; trackers find such peers.
            // The link's own choice, unless the user makes one.
            guard p.levels == nil else { throw ControlError(.invalidParameters, "levels by position need a .torrent file") }
            var levels = try Self.levels(only: p.only, priorities: p.priorities, of: nil)
            if p.only == nil, p.priorities == nil, let chosen = magnet.selectOnly { levels = .only(chosen.ranges) }
            let named = magnet.peers.compactMap(\.endpoint).filter(\.isDialable)
            return Parsed(new: new(MagnetReading.facts(magnet), peers + named, comment: "", levels), content: .magnet(magnet.link, savePath: save), exactSources: magnet.exactSources)
        default: throw ControlError(.invalidParameters, "exactly one of torrent, magnet and url must be given")
        }
    }
}

/// What the settings and the categories say of an `add` that does not say it.
struct AddWishes: Sendable {
    private let rules: CatalogRules
    private let categories: [String: String]
    let isPaused: Bool
    let isFirstInQueue: Bool
    private let isAutoManaged: Bool
    private let stopCondition: StopCondition
    private let layout: ContentLayout
    private let incompletePath: String
    private let incompleteSuffix: String

    init(_ settings: Settings, _ core: CatalogCore) {
        rules = core.rules
        categories = core.categories
        isPaused = settings.bool("add.paused")
        isFirstInQueue = settings.bool("add.top_of_queue")
        isAutoManaged = settings.bool("add.auto_managed")
        stopCondition = StopCondition(rawValue: settings.string("add.stop_condition")) ?? .none
        layout = ContentLayout(rawValue: settings.string("add.content_layout")) ?? .original
        incompletePath = SessionShell.tidy(settings.string("disk.incomplete_dir"))
        // A slash would make a folder of every file.
        incompleteSuffix = settings.string("disk.incomplete_suffix").replacingOccurrences(of: "/", with: "_")
    }

    func save(_ p: AddParameters) throws(ControlError) -> String {
        if let save = p.save, !save.isEmpty { return SessionShell.tidy(save) }
        let category = p.category ?? ""
        let folder = rules.folder(category: category, path: SessionShell.tidy(categories[category] ?? ""))
        guard !folder.isEmpty else { throw ControlError(.invalidParameters, "a save path must be given: disk.download_dir is not set") }
        return folder
    }

    func options(_ p: AddParameters) throws(ControlError) -> TorrentOptions {
        var o = TorrentOptions()
        if let name = p.name {
            guard name.utf8.count <= Control.nameLimit else { throw ControlError(.invalidParameters, "a name has at most \(Control.nameLimit) bytes") }
            o.name = Text.printable(name, limit: Control.nameLimit)
        }
        o.category = p.category ?? ""
        o.tags = p.tags ?? []
        // A folder that was named is where it stays.
        o.isAutoManaged = (p.save ?? "").isEmpty && (p.autoManaged ?? isAutoManaged)
        o.isFirstLastFirst = p.firstLastFirst ?? false
        o.isSuperSeeding = p.superSeeding ?? false
        o.isForced = p.forceStart ?? false
        o.share = ShareLimits(
            ratio: try SessionShell.ratio(p.ratioLimit) ?? ShareLimits.inherited, seeding: try SessionShell.limitSeconds(p.seedingTimeLimit) ?? ShareLimits.inherited,
            inactive: try SessionShell.limitSeconds(p.inactiveSeedingTimeLimit) ?? ShareLimits.inherited, action: p.limitAction.map(SessionShell.action) ?? .standard)
        o.stopCondition = SessionShell.stopCondition(p.stopCondition ?? stopCondition)
        o.layout = SessionShell.layout(p.contentLayout ?? layout)
        o.incompletePath = p.incompletePath.map(SessionShell.tidy) ?? incompletePath
        guard o.incompletePath.isEmpty || o.incompletePath.hasPrefix("/") && !o.incompletePath.split(separator: "/").contains("..") else {
            throw ControlError(.invalidParameters, "the incomplete folder must be an absolute path")
        }
        o.incompleteSuffix = incompleteSuffix
        if rules.hooks.contains(.added) { o.hooksDue.insert(.added) }
        return o
    }
}
