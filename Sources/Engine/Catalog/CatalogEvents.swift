import Limits
import Primitives

/// The worker at the other end of a state edge.
package enum CatalogLink: Hashable, Sendable {
    case peer(UInt16)
    case disk(UInt16)
    case discovery
}

/// What workers are told of a torrent. The bits are those of the IPC vocabulary.
package struct WorkerFlags: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let hasMetadata = WorkerFlags(rawValue: 1 << 0)
    package static let isPrivate = WorkerFlags(rawValue: 1 << 1)
    package static let paused = WorkerFlags(rawValue: 1 << 2)
    package static let sequential = WorkerFlags(rawValue: 1 << 3)
    package static let skipCheck = WorkerFlags(rawValue: 1 << 4)
    package static let unclean = WorkerFlags(rawValue: 1 << 5)
    package static let completed = WorkerFlags(rawValue: 1 << 6)
    package static let firstLastFirst = WorkerFlags(rawValue: 1 << 8)
    package static let superSeeding = WorkerFlags(rawValue: 1 << 9)
    package static let moving = WorkerFlags(rawValue: 1 << 10)
}

package struct DiskReport: Hashable, Sendable {
    package enum Condition: UInt8, Hashable, Sendable, CaseIterable {
        case queued = 0
        case checking, ready, error, missing, moving, paused
    }
    package var condition: Condition
    package var piecesHave: UInt32
    package var bytesHave: UInt64
    package var piecesChecked: UInt32
    /// For the user; empty if no error.
    package var message: String
    /// Of the files that are not skipped, and of these had.
    package var bytesWanted: UInt64
    package var bytesWantedHave: UInt64
    /// ``CatalogRow/selection`` that it is about.
    package var selection: UInt32
    package init(
        _ condition: Condition, piecesHave: UInt32 = 0, bytesHave: UInt64 = 0, piecesChecked: UInt32 = 0, message: String = "", bytesWanted: UInt64 = 0,
        bytesWantedHave: UInt64 = 0, selection: UInt32 = 0
    ) {
        self.condition = condition
        self.piecesHave = piecesHave
        self.bytesHave = bytesHave
        self.piecesChecked = piecesChecked
        self.message = message
        self.bytesWanted = bytesWanted
        self.bytesWantedHave = bytesWantedHave
        self.selection = selection
    }
}

package struct PeerReport: Hashable, Sendable {
    package var torrent: TorrentID
    /// Of the shard's present generation.
    package var counters: TransferCounters
    package var downRate: UInt64
    package var upRate: UInt64
    package var peers: UInt32
    package var seeds: UInt32
    package init(torrent: TorrentID, counters: TransferCounters, downRate: UInt64 = 0, upRate: UInt64 = 0, peers: UInt32 = 0, seeds: UInt32 = 0) {
        self.torrent = torrent
        self.counters = counters
        self.downRate = downRate
        self.upRate = upRate
        self.peers = peers
        self.seeds = seeds
    }
}

package struct TrackerReport: Hashable, Sendable {
    package var tier: UInt16
    package var url: String
    /// 0 not asked, 1 announcing, 2 working, 3 failing, 4 breaker open.
    package var state: UInt8
    package var startedSent: Bool
    /// -1 unknown.
    package var seeds: Int32
    package var leechers: Int32
    package var downloads: Int32
    /// Seconds since 1970.
    package var nextAnnounce: UInt64
    package var message: String
    /// BEP 3's completed event is still due at it.
    package var completedPending = false
    package init(
        tier: UInt16, url: String, state: UInt8 = 0, startedSent: Bool = false, seeds: Int32 = -1, leechers: Int32 = -1,
        downloads: Int32 = -1, nextAnnounce: UInt64 = 0, message: String = ""
    ) {
        self.tier = tier
        self.url = url
        self.state = state
        self.startedSent = startedSent
        self.seeds = seeds
        self.leechers = leechers
        self.downloads = downloads
        self.nextAnnounce = nextAnnounce
        self.message = message
    }
}

/// Where found peers come from; the raw values are those of the IPC vocabulary.
package enum FoundSource: UInt8, Hashable, Sendable, CaseIterable {
    case tracker = 0
    case dht, pex, lsd, manual, incoming, magnet, resume
    /// BEP 27: a private torrent takes peers from its trackers and the user only.
    var isAllowedForPrivate: Bool { self == .tracker || self == .manual }
}

package struct NewTorrent: Hashable, Sendable {
    package var facts: TorrentFacts
    package var savePath: String
    package var isPaused: Bool
    package var isSequential: Bool
    package var skipCheck: Bool
    package var peers: [Endpoint]
    /// Its rank is given when it is staged.
    package var options = TorrentOptions()
    package var names = NamePlan()
    package var isFirstInQueue = false
    /// Bytes per second, 0: none; nil: as the settings say.
    package var downLimit: Int64?
    package var upLimit: Int64?
    package var levels: FileLevels
    package init(
        facts: TorrentFacts, savePath: String, isPaused: Bool = false, isSequential: Bool = false, skipCheck: Bool = false, peers: [Endpoint] = [],
        levels: FileLevels = FileLevels()
    ) {
        self.facts = facts
        self.savePath = savePath
        self.isPaused = isPaused
        self.isSequential = isSequential
        self.skipCheck = skipCheck
        self.peers = peers
        self.levels = levels
    }
    /// Top-level names; a plan that takes the first folder away may make several: then they are given.
    package var givenRoots: [String] = []
    package var roots: [String] { givenRoots.isEmpty ? names.roots(facts.rootName.isEmpty ? [] : [facts.rootName]) : givenRoots }
}

/// A user's wish. Those that change what is stored are answered after the commit.
package enum CatalogCommand: Hashable, Sendable {
    case add(NewTorrent)
    case pause(TorrentID)
    case resume(TorrentID)
    case remove(TorrentID, deleteData: Bool)
    case move(TorrentID, savePath: String)
    case addPeers(TorrentID, [Endpoint])
    /// Which files are wanted, all of them said anew.
    case select(TorrentID, FileLevels)
    /// nil: back to the configuration's value. The rules are those that follow from it.
    case set(key: String, value: String?, CatalogRules)
    /// The same for each.
    case edit([TorrentID], TorrentEdit)
    case queue([TorrentID], QueuePlace)
    case createCategory(String, savePath: String)
    case editCategory(String, savePath: String)
    case removeCategories([String])
    case createTags([String])
    case deleteTags([String])
    /// The shell got a magnet's metadata, stored the .torrent file and read it. Has no front end: token 0.
    case metadata(TorrentID, TorrentFacts, NamePlan = NamePlan(), roots: [String] = [])
    case recheck(TorrentID)
    case announce(TorrentID)
    case limit(TorrentID, TorrentLimits, group: String)

    var torrent: TorrentID? {
        switch self {
        case .pause(let id), .resume(let id), .remove(let id, _), .move(let id, _), .addPeers(let id, _), .select(let id, _), .metadata(let id, _, _, _),
            .recheck(let id), .announce(let id), .limit(let id, _, _):
            id
        case .add, .set, .edit, .queue, .createCategory, .editCategory, .removeCategories, .createTags, .deleteTags: nil
        }
    }
}

package enum CatalogRefusal: Error, Hashable, Sendable {
    case notFound
    case exists(InfoHash)
    /// A category of that name is there.
    case taken(String)
    /// No category, or no tracker, of that name.
    case unknown(String)
    /// Another torrent writes that path, or the torrent's state forbids the wish.
    case conflict(String)
    case full
    case badPath(String)
    case noMetadata
    case unavailable(String)
    case storage(String)
}

package enum CatalogEvent: Sendable {
    case command(token: UInt64, CatalogCommand)
    /// The batch of ``CatalogCore/takeBatch(now:)`` is on disk.
    case committed
    /// Nothing of it is on disk.
    case commitFailed(String)
    case linkOpened(CatalogLink, Generation)
    case linkClosed(CatalogLink)
    case disk(TorrentID, DiskReport)
    case durable(TorrentID, runs: [(first: UInt32, count: UInt32)], device: UInt16, correlation: UInt64)
    case undurable(TorrentID, runs: [(first: UInt32, count: UInt32)])
    case diskRemoved(TorrentID, message: String)
    case diskMoved(TorrentID, savePath: String, message: String)
    case peers(shard: UInt16, Generation, [PeerReport])
    case peerFault(TorrentID, String)
    case morePeersWanted(TorrentID)
    /// `isVersion2`: found under the v2 info-hash (BEP 52).
    case peersFound(TorrentID, FoundSource, [Endpoint], isVersion2: Bool = false)
    case tracker(TorrentID, TrackerReport)
    /// Metadata that arrived is of no use, in words for the user.
    case unusable(TorrentID, String)
    /// The configuration was read anew.
    case rules(CatalogRules)
    /// What the store kept of a torrent's trackers, at the start of a session worker within a run.
    case schedule(TorrentID, [TrackerReport])
    case draining
}

package struct PeerEntry: Hashable, Sendable {
    package var shard: UInt16
    package var torrent: TorrentID
    package var facts: TorrentFacts
    package var flags: WorkerFlags
    package var device: UInt16
}
package struct DiskEntry: Hashable, Sendable {
    package var device: UInt16
    package var torrent: TorrentID
    package var infoHash: InfoHash
    package var flags: WorkerFlags
    package var savePath: String
    package var names: NamePlan
    package var levels: FileLevels
    package var selection: UInt32
    /// Wire order. Empty: the files were never looked at; otherwise the pieces known to be on disk, maybe none.
    package var durable: [UInt8]
}
package struct DiscoveryEntry: Hashable, Sendable {
    package var torrent: TorrentID
    package var facts: TorrentFacts
    package var flags: WorkerFlags
    package var trackers: [TrackerReport]
    package var counters: DiscoveryTotals
}
package struct DiscoveryTotals: Hashable, Sendable {
    package var torrent: TorrentID
    package var downloaded: UInt64
    package var uploaded: UInt64
    package var left: UInt64
}

package enum CatalogEffect: Hashable, Sendable {
    /// nil: done. The id is the torrent's, 0 for a command without one.
    case answer(token: UInt64, TorrentID, CatalogRefusal?)
    case peerAdd(PeerEntry)
    case peerRemove(UInt16, TorrentID)
    case peerFlags(UInt16, TorrentID, WorkerFlags)
    case peersFound(UInt16, TorrentID, FoundSource, [Endpoint], isVersion2: Bool = false)
    /// Only for torrents with limits of their own, after their `peerAdd`, and on a change.
    case peerLimits(UInt16, TorrentID, TorrentLimits, group: String)
    case peerReplayEnd(UInt16)
    case diskAdd(DiskEntry)
    case diskRemove(UInt16, TorrentID, deleteData: Bool)
    case diskMove(UInt16, TorrentID, savePath: String, NamePlan)
    case diskRecheck(UInt16, TorrentID)
    case diskFlags(UInt16, TorrentID, WorkerFlags)
    case diskLevels(UInt16, TorrentID, FileLevels, selection: UInt32)
    case diskReplayEnd(UInt16)
    case durableStored(UInt16, TorrentID, correlation: UInt64)
    case discoveryAdd(DiscoveryEntry)
    case discoveryRemove(TorrentID)
    case discoveryFlags(TorrentID, WorkerFlags)
    case discoveryCounters([DiscoveryTotals])
    case discoveryCompleted(TorrentID)
    /// Those of its trackers that had not heard it from an earlier worker.
    case discoveryCompletedAgain(TorrentID, [String])
    case announceNow(TorrentID)
    case discoveryReplayEnd
    case phaseChanged(TorrentID, TorrentPhase)
    /// It left the catalogue; its stored files are no longer needed unless the hash was added again.
    case removed(TorrentID, InfoHash)
    /// For the log, in words.
    case note(TorrentID, String)
    /// Its programs are due; the answer is an edit with `hooksDone`.
    case hooks(TorrentID, HookSet)
    case listsChanged(CatalogList)
}

package enum CatalogList: Hashable, Sendable { case categories, tags }

/// What one transaction writes. `added` and `metadata` need their .torrent files on disk before the commit.
package struct StoreBatch: Hashable, Sendable {
    package var puts: [TorrentRecord] = []
    package var deletes: [TorrentID] = []
    package var durables: [Durable] = []
    package var counters: [Counters] = []
    package var settings: [Setting] = []
    /// nil: removed.
    package var categories: [Setting] = []
    package var tags: [Setting] = []
    package var schedules: [Schedule] = []
    package var totals: CatalogTotals?
    /// Tokens of the `add` commands within.
    package var added: [UInt64] = []
    /// Torrents whose metadata arrived.
    package var metadata: [TorrentID] = []
    package var nextID: UInt32 = 0
    package init() {}

    package struct Durable: Hashable, Sendable {
        package var torrent: TorrentID
        package var bytes: [UInt8]
        package init(torrent: TorrentID, bytes: [UInt8]) { (self.torrent, self.bytes) = (torrent, bytes) }
    }
    package struct Counters: Hashable, Sendable {
        package var torrent: TorrentID
        package var counters: LifeCounters
        package var activity: TorrentActivity
        package init(torrent: TorrentID, counters: LifeCounters, activity: TorrentActivity = TorrentActivity()) {
            (self.torrent, self.counters, self.activity) = (torrent, counters, activity)
        }
    }
    package struct Schedule: Hashable, Sendable {
        package var torrent: TorrentID
        package var trackers: [TrackerReport]
        package init(torrent: TorrentID, trackers: [TrackerReport]) { (self.torrent, self.trackers) = (torrent, trackers) }
    }
    package struct Setting: Hashable, Sendable {
        package var key: String
        package var value: String?
        package init(key: String, value: String?) { (self.key, self.value) = (key, value) }
    }
    package var isEmpty: Bool {
        puts.isEmpty && deletes.isEmpty && durables.isEmpty && counters.isEmpty && settings.isEmpty && categories.isEmpty && tags.isEmpty && schedules.isEmpty
    }
}
