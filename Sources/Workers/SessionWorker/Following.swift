import Catalog
import Control
import IPC
import KRPC
import Metainfo
import Primitives

/// Torrents that follow an item of the DHT (BEP 46).
///
///     add magnet:?xs=urn:btpk:… ─▶ DhtGet ─▶ the torrent that it names, added
///     each interval             ─▶ DhtGet ─▶ a newer one: added beside the old, in the same folder and category
///                                        └─▶ the item put again, so that the DHT keeps it
extension SessionShell {
    /// For a user who waits, and for a look that nobody waits for.
    private static let addPatience = TimeSpan.seconds(60), lookPatience = TimeSpan.seconds(20)

    // MARK: adding

    func addFollowed(_ token: UInt64, _ p: AddParameters, _ link: MutableMagnet) {
        let target = Self.target(link.source)
        guard follows.items.count < FollowTable.limit || follows.items[target] != nil else {
            return finish(token, error: ControlError(.tooLarge, "at most \(FollowTable.limit) items are followed"))
        }
        if let known = link.known, follows.items[target] == nil {
            // The first look tells whether it is still the newest.
            return follow(token, p, link, known, FollowedItem(link, torrent: known.infoHash))
        }
        lookUpItem(link.source, patience: Self.addPatience) { [self] result in
            switch result {
            case .failure(let error):
                if follows.items[target] != nil { return answerFollowed(token, target) }
                finish(token, error: ControlError(error.code, "the item cannot be read from the DHT: \(error.message)"))
            case .success(let m):
                if follows.items[target] != nil { return itemSeen(target, m) { [self] in answerFollowed(token, target) } }
                guard let hash = Item.torrent(of: m.value) else { return finish(token, error: ControlError(.invalidParameters, "the item names no torrent")) }
                var item = FollowedItem(link, torrent: hash)
                item.adopt(m, hash)
                follows.lookedAt[target] = core.wallSeconds
                follow(token, p, link, link.version(hash), item)
            }
        }
    }

    private func answerFollowed(_ token: UInt64, _ target: String) {
        guard let item = follows.items[target], let hash = InfoHash(hex: item.torrent), let id = core.find(hash), let row = core.row(id) else {
            return finish(token, error: ControlError(.conflict, "the torrent was removed meanwhile"))
        }
        finish(token, AddAnswer(hash: row.record.facts.infoHash.hex, name: row.record.name))
    }

    private func follow(_ token: UInt64, _ p: AddParameters, _ link: MutableMagnet, _ version: Magnet, _ item: FollowedItem) {
        let target = Self.target(link.source)
        // Before the torrent: a crash between the two leaves an item without its torrent, which the next start forgets.
        store(target, item)
        follows.due[target] = item.sequence < 0 ? loop.now : nextLook
        if let id = core.find(version.infoHash), core.row(id)?.record.removal == TorrentRecord.Removal.none { return answerFollowed(token, target) }
        var p = p
        p.magnet = version.link
        let outer = inner[token]
        inner[token] = { [self] error in
            if error != nil { store(target, nil) }
            outer?(error)
        }
        add(token, p)
    }

    // MARK: looking again

    private var nextLook: Instant { loop.now + settings.seconds("discovery.dht_follow_interval") }

    func turnFollowing(_ now: Instant) -> Instant {
        let lookups = turnItemLookups(now)
        guard !follows.items.isEmpty, !isClosing, drainDeadline == nil else { return lookups }
        guard now >= follows.checkAt else { return min(lookups, follows.checkAt) }
        // Looks are due in minutes; a thousand items are not sorted at each turn.
        follows.checkAt = now + .seconds(1)
        var next = Instant.never
        for target in follows.items.keys.sorted() where !follows.looking.contains(target) {
            // After a start each is looked at at once: it may have been a long time.
            let at = follows.due[target] ?? now
            if at > now { next = min(next, at) } else if follows.looking.count < FollowTable.atOnce { look(target) }
        }
        return min(lookups, max(next, follows.checkAt))
    }

    /// For a user who asks for it.
    func lookNow(_ id: TorrentID) {
        guard let facts = core.row(id)?.record.facts, let target = follows.target(of: facts.infoHash) else { return }
        (follows.due[target], follows.checkAt) = (loop.now, loop.now)
    }

    private func look(_ target: String) {
        guard let item = follows.items[target], let source = item.source else { return }
        follows.looking.insert(target)
        follows.due[target] = nextLook
        lookUpItem(source, patience: Self.lookPatience) { [self] result in
            follows.looking.remove(target)
            switch result {
            case .success(let m): itemSeen(target, m) {}
            case .failure(let error):
                guard let item = follows.items[target] else { return }
                // The nodes that had it are gone: ours is as good as the publisher's.
                if error.code == .notFound { putAgain(target, item) }
                follows.faults[target] = error.message
            }
        }
    }

    /// `then`: the newest version is in the catalogue, or there is a fault that says why not.
    private func itemSeen(_ target: String, _ m: DhtItem, _ then: @escaping () -> Void) {
        guard var item = follows.items[target] else { return then() }
        let hash = Item.torrent(of: m.value)
        follows.lookedAt[target] = core.wallSeconds
        follows.faults[target] = nil
        switch item.judge(sequence: m.sequence, torrent: hash?.hex) {
        case .current:
            if m.sequence > item.sequence || item.value.isEmpty {
                item.adopt(m, hash!)
                store(target, item)
            }
            putAgain(target, item)
        case .outdated: putAgain(target, item)
        case .unusable: follows.faults[target] = "the item with sequence number \(m.sequence) names no torrent"
        case .newer: return addVersion(target, item, m, hash!, then)
        }
        then()
    }

    private func addVersion(_ target: String, _ item: FollowedItem, _ m: DhtItem, _ hash: InfoHash, _ then: @escaping () -> Void) {
        guard let link = (try? MutableMagnet(parsing: item.link)) ?? nil, let old = InfoHash(hex: item.torrent).flatMap({ core.find($0) }), let row = core.row(old) else { return then() }
        add(parameters(row, link.version(hash).link)) { [self] error in
            if let error, error.code != .exists {
                follows.faults[target] = "the version with sequence number \(m.sequence) is not added: \(error.message)"
                log.warning("\(Text.printable(row.record.name, limit: 200)): \(follows.faults[target]!)")
                return then()
            }
            // The user may have removed the old one while the new one was stored.
            guard var now = follows.items[target] else { return then() }
            now.adopt(m, hash)
            store(target, now)
            putAgain(target, now)
            log.info("\(Text.printable(row.record.name, limit: 200)): a new version, \(hash) with sequence number \(m.sequence)")
            retire(old)
            then()
        }
    }

    /// What the user said of the version before.
    private func parameters(_ row: CatalogRow, _ link: String) -> AddParameters {
        let record = row.record, o = record.options
        var p = AddParameters(magnet: link, save: o.isAutoManaged ? nil : record.wantedPath, paused: record.isPaused && !row.isComplete, sequential: record.isSequential)
        p.category = o.category.isEmpty ? nil : o.category
        p.tags = o.tags.isEmpty ? nil : o.tags
        p.autoManaged = o.isAutoManaged
        p.firstLastFirst = o.isFirstLastFirst
        p.superSeeding = o.isSuperSeeding
        p.forceStart = o.isForced
        p.incompletePath = o.incompletePath
        p.downLimit = record.limits.down.flatMap { UInt64(exactly: $0) }
        p.upLimit = record.limits.up.flatMap { UInt64(exactly: $0) }
        p.ratioLimit = o.share.ratio < 0 ? Double(o.share.ratio) : Double(o.share.ratio) / 1000
        p.seedingTimeLimit = o.share.seeding < 0 ? o.share.seeding : o.share.seeding / 60
        p.inactiveSeedingTimeLimit = o.share.inactive < 0 ? o.share.inactive : o.share.inactive / 60
        p.limitAction = Self.action(o.share.action)
        return p
    }

    private func retire(_ old: TorrentID) {
        switch settings.string("discovery.dht_follow_old") {
        case "pause": feed(.command(token: 0, .pause(old)))
        case "remove": feed(.command(token: 0, .remove(old, deleteData: false)))
        default: break
        }
    }

    /// Consumers keep an item alive as its publisher does (BEP 46).
    private func putAgain(_ target: String, _ item: FollowedItem) {
        guard !item.value.isEmpty, follows.putAt[target].map({ $0 + FollowTable.putEvery <= loop.now }) ?? true, let edge = kit.edge(.discovery),
            let value = Hex.decode(item.value), let signature = Hex.decode(item.signature), let source = item.source
        else { return }
        follows.putAt[target] = loop.now
        let token = nextToken
        nextToken += 1
        kit.send(DhtPut(value: value, key: source.key, signature: signature, salt: source.salt, sequence: item.sequence, cas: -1), to: edge, correlation: token)
    }

    // MARK: the end, and front ends

    func followedRemoved(_ hash: InfoHash) {
        guard let target = follows.target(of: hash) else { return }
        store(target, nil)
        (follows.due[target], follows.putAt[target], follows.lookedAt[target], follows.faults[target]) = (nil, nil, nil, nil)
    }

    /// A version stands beside the one before: where that writes the same name, the new one's has the sequence number in it.
    func apart(_ reading: TorrentReading, _ record: TorrentRecord) -> TorrentReading {
        guard let target = follows.target(of: record.facts.infoHash), let item = follows.items[target], item.sequence >= 0 else { return reading }
        let taken = reading.roots.filter { core.writer(of: TorrentRecord.join(record.savePath, [$0])[0]).map { $0 != record.id } ?? false }
        guard !taken.isEmpty else { return reading }
        var reading = reading
        reading.rename(taken, by: ".\(item.sequence)")
        return reading
    }

    func followAnswer(_ facts: TorrentFacts) -> FollowAnswer? {
        let hash = facts.infoHash.hex
        if let target = follows.target(of: facts.infoHash), let item = follows.items[target] {
            let wait = max(0, ((follows.due[target] ?? loop.now) - loop.now).seconds)
            return FollowAnswer(
                link: Text.printable(item.source?.link ?? "", limit: 300), sequence: item.sequence < 0 ? nil : item.sequence, replacedBy: nil, looked: follows.lookedAt[target],
                nextLook: core.wallSeconds + UInt64(wait), error: follows.faults[target], earlier: item.earlier.map(\.torrent))
        }
        for (_, item) in follows.items.sorted(by: { $0.key < $1.key }) {
            guard let version = item.earlier.first(where: { $0.torrent == hash }) else { continue }
            return FollowAnswer(
                link: Text.printable(item.source?.link ?? "", limit: 300), sequence: version.sequence < 0 ? nil : version.sequence, replacedBy: item.torrent, looked: nil, nextLook: nil,
                error: nil, earlier: [])
        }
        return nil
    }

    static func target(_ source: MutableMagnet.Source) -> String { Item.target(key: source.key, salt: source.salt).digest.hex }
}

extension FollowedItem {
    fileprivate init(_ link: MutableMagnet, torrent: InfoHash) {
        self.init(link: link.link, publicKey: Hex.encode(link.source.key), salt: Hex.encode(link.source.salt), sequence: -1, torrent: torrent.hex)
    }
    fileprivate mutating func adopt(_ m: DhtItem, _ hash: InfoHash) {
        adopt(sequence: m.sequence, torrent: hash.hex, value: Hex.encode(m.value), signature: Hex.encode(m.signature))
    }
    /// nil for a row that somebody changed by hand.
    var source: MutableMagnet.Source? {
        guard let key = Hex.decode(publicKey), key.count == 32, let salt = Hex.decode(salt), salt.count <= MutableMagnet.saltLimit else { return nil }
        return MutableMagnet.Source(key: key, salt: salt)
    }
}
