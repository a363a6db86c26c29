import IPC
import Primitives
import Synchronization

/// The API worker's copy of the session's table. Every change raises ``version`` and is stamped with it, down to the
/// single field, so that "what changed since" costs a comparison per row.
package struct MirrorState: Sendable {
    /// Removals that are remembered: a client that is further behind gets everything.
    static let removedLimit = 20_000

    /// One torrent. A copy is one reference, since queries pass thousands of them around; what is changed while somebody
    /// holds a copy is copied first.
    package struct Entry: Sendable {
        /// Changed only through the one entry that refers to it, under the mirror's lock.
        private final class Storage: @unchecked Sendable {
            var row: ApiTorrent
            let hash: String
            let hashV2: String
            var shown: TorrentFields
            var version: UInt64
            var changedAt: UInt64

            init(_ row: ApiTorrent, hash: String, hashV2: String, shown: TorrentFields, version: UInt64, changedAt: UInt64) {
                (self.row, self.hash, self.hashV2, self.shown, self.version, self.changedAt) = (row, hash, hashV2, shown, version, changedAt)
            }
        }
        private var storage: Storage

        fileprivate init(_ row: ApiTorrent, version: UInt64, changedAt: UInt64) {
            let hash = row.infoHash.hex, hashV2 = row.infoHashV2.isZero ? "" : row.infoHashV2.hex
            var shown = TorrentFields()
            shown.update(row, hash: hash, hashV2: hashV2, version: version)
            storage = Storage(row, hash: hash, hashV2: hashV2, shown: shown, version: version, changedAt: changedAt)
        }
        fileprivate mutating func update(_ row: ApiTorrent, version: UInt64, changedAt: UInt64) {
            if !isKnownUniquelyReferenced(&storage) {
                storage = Storage(storage.row, hash: storage.hash, hashV2: storage.hashV2, shown: storage.shown, version: version, changedAt: changedAt)
            }
            storage.row = row
            storage.shown.update(row, hash: storage.hash, hashV2: storage.hashV2, version: version)
            (storage.version, storage.changedAt) = (version, changedAt)
        }

        package var row: ApiTorrent { _read { yield storage.row } }
        /// Lower-case hexadecimal; `hash` is the v1 hash, or the truncated v2 one where there is no v1.
        package var hash: String { storage.hash }
        package var hashV2: String { storage.hashV2 }
        /// What qBittorrent's API shows.
        package var shown: TorrentFields { _read { yield storage.shown } }
        /// Of the last change.
        package var version: UInt64 { storage.version }
        /// Of the last change, seconds since 1970.
        package var changedAt: UInt64 { storage.changedAt }

        /// Seconds for which the torrent has run on since its row came: its times are those of then.
        package func elapsed(now: UInt64) -> Int64 { [1, 2].contains(row.phase) ? Int64(now - min(now, changedAt)) : 0 }
        package var flags: ApiTorrentFlags { ApiTorrentFlags(rawValue: storage.row.flags) }
    }

    package struct Totals: Sendable, Equatable {
        package var downRate: UInt64 = 0, upRate: UInt64 = 0, downloaded: UInt64 = 0, uploaded: UInt64 = 0, wasted: UInt64 = 0, peers: UInt64 = 0

        fileprivate mutating func add(_ r: ApiTorrent) {
            downRate &+= r.downRate
            upRate &+= r.upRate
            downloaded &+= r.downloaded
            uploaded &+= r.uploaded
            wasted &+= r.downloadedAgain
            peers &+= UInt64(r.peers)
        }
        fileprivate mutating func subtract(_ r: ApiTorrent) {
            downRate &-= r.downRate
            upRate &-= r.upRate
            downloaded &-= r.downloaded
            uploaded &-= r.uploaded
            wasted &-= r.downloadedAgain
            peers &-= UInt64(r.peers)
        }
    }

    /// In the order of adding; nil where one was removed.
    package private(set) var entries: [Entry?] = []
    /// Of each entry's last change, 0 for none: what deltas look through, dense.
    private var versions: [UInt64] = []
    private var dead = 0
    private var indexOf: [UInt32: Int] = [:]
    private var idOfHash: [String: UInt32] = [:]
    package private(set) var version: UInt64 = 1
    /// Somebody has read this version: the next change needs another.
    private var isRead = false
    package private(set) var removed: [(version: UInt64, hash: String, torrent: UInt32, at: UInt64)] = []
    /// Deltas from before this version are not known any more.
    package private(set) var oldest: UInt64 = 0
    package private(set) var trackers = TrackerIndex()
    /// Save path by name.
    package private(set) var categories = StampedNames<String>()
    package private(set) var tags = StampedNames<Bool>()
    package private(set) var serverState = StampedFields()
    package private(set) var totals = Totals()
    /// Of all torrents when this worker started: transfer since then is the session's.
    package private(set) var firstTotals: Totals?
    package var globals = ApiGlobals(
        listenPort: 0, peerID: SHA1Digest(), bytesWritten: 0, bytesRead: 0, diskQueue: 0, dhtNodes: 0, usesAlternative: 0, externalV4: Endpoint(ipv4: 0, port: 0),
        externalV6: Endpoint(ipv4: 0, port: 0))
    package private(set) var workers: [ApiWorker] = []
    package private(set) var options: [String: String] = [:]
    package private(set) var sessionStartedAt: UInt64 = 0
    /// The session worker is connected and has told everything.
    package var isLive = false
    /// It has told everything once.
    package private(set) var isFilled = false

    package init() {}

    package var count: Int { entries.count - dead }
    package func entry(_ hash: String) -> Entry? {
        idOfHash[hash.lowercased()].flatMap { indexOf[$0] }.flatMap { entries[$0] }
    }
    /// Those that changed after `version`, in the order of adding.
    package func changed(since version: UInt64) -> [Entry] { versions.indices.compactMap { versions[$0] > version ? entries[$0] : nil } }
    package func entry(id: UInt32) -> Entry? { indexOf[id].flatMap { entries[$0] } }
    /// Marks the present version as known to somebody.
    package mutating func observe() -> UInt64 {
        isRead = true
        return version
    }
    /// The version for a change that happens now.
    mutating func stamp() -> UInt64 {
        if isRead {
            version += 1
            isRead = false
        }
        return version
    }

    // MARK: changes

    package mutating func put(_ row: ApiTorrent, now: UInt64 = wallSeconds()) {
        let stamp = stamp()
        // The old row alone: whoever held the entry would have it copied by the change.
        if let i = indexOf[row.torrent], let old = entries[i]?.row {
            totals.subtract(old)
            totals.add(row)
            if old.trackers.map(\.url) != row.trackers.map(\.url) { place(row.torrent, old.trackers, row.trackers, stamp) }
            entries[i]!.update(row, version: stamp, changedAt: now)
            versions[i] = stamp
            return
        }
        let entry = Entry(row, version: stamp, changedAt: now)
        indexOf[row.torrent] = entries.count
        versions.append(stamp)
        for name in [entry.hash, entry.hashV2, String(entry.hashV2.prefix(40))] where !name.isEmpty { idOfHash[name] = row.torrent }
        entries.append(entry)
        totals.add(row)
        place(row.torrent, [], row.trackers, stamp)
    }

    package mutating func remove(_ torrent: UInt32) {
        guard let i = indexOf.removeValue(forKey: torrent), let old = entries[i] else { return }
        let stamp = stamp()
        for name in [old.hash, old.hashV2, String(old.hashV2.prefix(40))] where idOfHash[name] == torrent { idOfHash[name] = nil }
        totals.subtract(old.row)
        place(torrent, old.row.trackers, [], stamp)
        removed.append((stamp, old.hash, torrent, wallSeconds()))
        if removed.count > Self.removedLimit {
            oldest = removed[removed.count - Self.removedLimit / 2].version
            removed.removeFirst(removed.count - Self.removedLimit / 2)
        }
        entries[i] = nil
        versions[i] = 0
        dead += 1
        if dead > 64, dead > entries.count / 2 {
            entries.removeAll { $0 == nil }
            versions = entries.map { $0!.version }
            dead = 0
            for (i, entry) in entries.enumerated() { indexOf[entry!.row.torrent] = i }
        }
    }

    mutating func update(serverState fields: [(String, FieldValue)]) {
        guard serverState.differs(fields) else { return }
        let stamp = stamp()
        for (name, value) in fields { serverState.set(name, value, stamp) }
    }

    private mutating func place(_ torrent: UInt32, _ old: [ApiTracker], _ new: [ApiTracker], _ stamp: UInt64) {
        trackers.replace(torrent, old, new, stamp)
        if trackers.gone.count > Self.removedLimit {
            trackers.forgetGone()
            oldest = stamp
        }
    }

    package mutating func replayed(_ kept: Set<UInt32>, startedAt: UInt64) {
        for entry in entries { if let entry, !kept.contains(entry.row.torrent) { remove(entry.row.torrent) } }
        sessionStartedAt = startedAt
        isLive = true
        isFilled = true
        if firstTotals == nil { firstTotals = totals }
    }

    mutating func put(_ lists: ApiLists) {
        let stamp = stamp()
        categories.replace(Dictionary(lists.categories.map { ($0.name, $0.savePath) }, uniquingKeysWith: { $1 }), stamp)
        tags.replace(Dictionary(lists.tags.split(separator: ",").map { (String($0), true) }, uniquingKeysWith: { $1 }), stamp)
    }
    mutating func put(_ workers: [ApiWorker]) { self.workers = workers }
    mutating func put(_ options: [ApiOption]) { self.options = Dictionary(options.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }) }
}

/// Which torrents stand at which tracker.
package struct TrackerIndex: Sendable {
    package struct Place: Sendable {
        package var torrents: Set<UInt32>
        package var version: UInt64
    }
    package private(set) var places: [String: Place] = [:]
    /// Of the last change of any of them.
    package private(set) var version: UInt64 = 0
    /// URLs without a torrent, with the version of their last one's leaving; bounded with the deltas' own memory.
    package private(set) var gone: [String: UInt64] = [:]

    mutating func replace(_ torrent: UInt32, _ old: [ApiTracker], _ new: [ApiTracker], _ version: UInt64) {
        let before = Set(old.map(\.url)), after = Set(new.map(\.url))
        guard before != after else { return }
        self.version = version
        for url in before.subtracting(after) {
            places[url]?.torrents.remove(torrent)
            places[url]?.version = version
            if places[url]?.torrents.isEmpty ?? false {
                places[url] = nil
                gone[url] = version
            }
        }
        for url in after.subtracting(before) {
            places[url, default: Place(torrents: [], version: version)].torrents.insert(torrent)
            places[url]!.version = version
            gone[url] = nil
        }
    }
    mutating func forgetGone() { gone = [:] }
}

/// ``MirrorState`` behind its lock.
package final class Mirror: Sendable {
    private let state = Mutex(MirrorState())

    package init() {}

    package func read<T: Sendable>(_ body: (inout MirrorState) -> T) -> T { state.withLock { body(&$0) } }
    package func write(_ body: (inout MirrorState) -> Void) { state.withLock { body(&$0) } }
}

/// Names with a value, the versions of their changes, and the names that went.
package struct StampedNames<Value: Equatable & Sendable>: Sendable {
    private var values: [String: (value: Value, version: UInt64)] = [:]
    private var gone: [String: UInt64] = [:]
    package init() {}

    package var all: [(name: String, value: Value)] { values.sorted { $0.key < $1.key }.map { ($0.key, $0.value.value) } }
    package subscript(_ name: String) -> Value? { values[name]?.value }
    package func changed(since version: UInt64) -> [(name: String, value: Value)] {
        values.filter { $0.value.version > version }.sorted { $0.key < $1.key }.map { ($0.key, $0.value.value) }
    }
    package func removed(since version: UInt64) -> [String] { gone.filter { $0.value > version }.keys.sorted() }

    /// Takes the whole table. Names that went are few over a session's life: the table itself is bounded.
    mutating func replace(_ new: [String: Value], _ version: UInt64) {
        for (name, value) in new where values[name]?.value != value {
            values[name] = (value, version)
            gone[name] = nil
        }
        for name in values.keys where new[name] == nil {
            values[name] = nil
            gone[name] = version
        }
    }
}
