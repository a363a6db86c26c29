import Limits
import Primitives

/// What the catalogue knows of a torrent's content. Without metadata only the hash, a name and trackers of the magnet.
package struct TorrentFacts: Hashable, Sendable {
    /// v1, or v2 truncated where there is no v1: names the swarm on the wire.
    package var infoHash: InfoHash
    /// Zero if none.
    package var infoHashV2: SHA256Digest
    package var hasV1: Bool
    /// For people; printable.
    package var name: String
    /// First path component on disk, made safe; empty while the metadata is unknown.
    package var rootName: String
    package var totalLength: UInt64
    package var pieceLength: UInt32
    package var pieceCount: UInt32
    package var fileCount: UInt32
    package var isPrivate: Bool
    /// Where the info dictionary stands in the stored .torrent file.
    package var metadataOffset: UInt32
    /// Bytes of the info dictionary; 0 while it is unknown.
    package var metadataLength: UInt32
    /// Tiers (BEP 12).
    package var trackers: [[String]]

    package var hasMetadata: Bool { metadataLength > 0 }

    package init(
        infoHash: InfoHash, infoHashV2: SHA256Digest = SHA256Digest(), hasV1: Bool = true, name: String, rootName: String = "",
        totalLength: UInt64 = 0, pieceLength: UInt32 = 0, pieceCount: UInt32 = 0, fileCount: UInt32 = 0, isPrivate: Bool = false,
        metadataOffset: UInt32 = 0, metadataLength: UInt32 = 0, trackers: [[String]] = []
    ) {
        self.infoHash = infoHash
        self.infoHashV2 = infoHashV2
        self.hasV1 = hasV1
        self.name = name
        self.rootName = rootName
        self.totalLength = totalLength
        self.pieceLength = pieceLength
        self.pieceCount = pieceCount
        self.fileCount = fileCount
        self.isPrivate = isPrivate
        self.metadataOffset = metadataOffset
        self.metadataLength = metadataLength
        self.trackers = trackers
    }
}

/// Payload bytes over some time.
package struct TransferCounters: Hashable, Sendable {
    package var downloaded: UInt64
    /// Of these: there already, or failed their hash.
    package var downloadedAgain: UInt64
    package var uploaded: UInt64
    package init(downloaded: UInt64 = 0, downloadedAgain: UInt64 = 0, uploaded: UInt64 = 0) {
        (self.downloaded, self.downloadedAgain, self.uploaded) = (downloaded, downloadedAgain, uploaded)
    }
    package static func + (a: Self, b: Self) -> Self {
        Self(
            downloaded: a.downloaded &+ b.downloaded, downloadedAgain: a.downloadedAgain &+ b.downloadedAgain,
            uploaded: a.uploaded &+ b.uploaded)
    }
}

/// Counters over a torrent's life, made of a peer shard's counters, which start at zero in each of its generations.
///
/// Invariant: ``total`` never falls.
package struct LifeCounters: Hashable, Sendable {
    /// Up to the start of the shard's present generation.
    package private(set) var base: TransferCounters
    package private(set) var generation: UInt32
    /// What that generation has counted.
    package private(set) var mark: TransferCounters

    package init() { (base, generation, mark) = (TransferCounters(), 0, TransferCounters()) }

    /// From the store. `sameRun`: the shard that counted `mark` may still live and go on from there; otherwise its
    /// generation number belongs to another run and means nothing.
    package init(total: TransferCounters, generation: UInt32, mark: TransferCounters, sameRun: Bool) {
        if sameRun, mark.downloaded <= total.downloaded, mark.downloadedAgain <= total.downloadedAgain, mark.uploaded <= total.uploaded {
            base = TransferCounters(
                downloaded: total.downloaded - mark.downloaded, downloadedAgain: total.downloadedAgain - mark.downloadedAgain,
                uploaded: total.uploaded - mark.uploaded)
            self.generation = generation
            self.mark = mark
        } else {
            (base, self.generation, self.mark) = (total, 0, TransferCounters())
        }
    }

    package var total: TransferCounters { base + mark }

    package mutating func report(generation: UInt32, _ counters: TransferCounters) {
        let fell =
            counters.downloaded < mark.downloaded || counters.downloadedAgain < mark.downloadedAgain || counters.uploaded < mark.uploaded
        if generation != self.generation || fell {
            base = base + mark
            self.generation = generation
        }
        mark = counters
    }
}

/// One torrent as the store keeps it. The durable bitfield is kept beside it, since it changes far more often.
package struct TorrentRecord: Hashable, Sendable {
    package enum Removal: UInt8, Hashable, Sendable {
        case none = 0
        /// The disk worker has not yet said that the files are gone.
        case deletingData = 1
    }

    package let id: TorrentID
    package var facts: TorrentFacts
    /// Absolute path of the folder that ``TorrentFacts/rootName`` stands in.
    package var savePath: String
    /// Where a move under way goes; empty if none.
    package var movingTo = ""
    package var isPaused = false
    package var isSequential = false
    package var skipCheck = false
    /// Came as a magnet: its trackers were asked before the content was known.
    package var wasMagnet = false
    /// The disk worker has looked at the files once.
    package var isChecked = false
    /// Pieces were missing at some time: reaching the end is then a download's end (BEP 3: event completed).
    package var wasIncomplete = false
    package var removal = Removal.none
    /// Seconds since 1970.
    package var addedAt: UInt64
    /// 0 while it never was complete.
    package var completedAt: UInt64 = 0
    /// Peers that the user named, the latest ``CatalogLimits/explicitPeers``.
    package var peers: [Endpoint] = []
    /// Its group is named here, since places in limits.groups change: ``TorrentLimits/group`` is 0.
    package var limits = TorrentLimits()
    /// Empty: in no group.
    package var limitGroup = ""
    /// Which files are wanted; of a magnet without metadata already by number (BEP 53).
    package var levels = FileLevels()
    /// All files that are wanted were there when the disk worker last said.
    package var isSelectionDone = false
    package var counters = LifeCounters()
    package var options = TorrentOptions()
    package var activity = TorrentActivity()
    /// How the files are called now, and once the move under way is done.
    package var names = NamePlan()
    package var movingNames = NamePlan()
    /// Top-level names in the save folder that hold everything; empty while they are unknown.
    package var roots: [String]
    package var movingRoots: [String] = []

    package init(id: TorrentID, facts: TorrentFacts, savePath: String, addedAt: UInt64) {
        self.id = id
        self.facts = facts
        self.savePath = savePath
        self.addedAt = addedAt
        roots = facts.rootName.isEmpty ? [] : [facts.rootName]
    }

    package var hasLimits: Bool { limits != TorrentLimits() || !limitGroup.isEmpty }

    package var name: String { options.name.isEmpty ? facts.name : options.name }

    /// Paths that no other torrent may write, now and after what is under way; empty while the names are unknown.
    package var claimedPaths: [String] {
        var out = Self.join(savePath, roots)
        if !movingTo.isEmpty { out += Self.join(movingTo, movingRoots) }
        if !options.finalPath.isEmpty { out += Self.join(options.finalPath, roots) }
        return out
    }
    package static func join(_ folder: String, _ names: [String]) -> [String] { names.map { folder == "/" ? "/" + $0 : folder + "/" + $0 } }
    /// What a file manager is pointed at; empty while it is unknown.
    package var contentPath: String {
        switch roots.count {
        case 0: ""
        case 1: Self.join(savePath, roots)[0]
        default: savePath
        }
    }
}

/// Bounds of the catalogue.
package enum CatalogLimits {
    package static let torrents = 100_000
    package static let explicitPeers = 200
    /// Endpoints of one answer of a tracker.
    package static let peersPerAnswer = 2000
    /// Endpoints forwarded in a second over all torrents, and the burst on top: 2,000 x 25 answers.
    package static let peersPerSecond = 20_000
    package static let peersBurst = 50_000
    /// A shard's wish for peers reaches the trackers at most this often for one torrent.
    package static let askAgain = TimeSpan.seconds(60)
    package static let durableDelay = TimeSpan.seconds(1)
    package static let countersDelay = TimeSpan.seconds(10)
    /// After the store refused a commit.
    package static let storeRetry = TimeSpan.seconds(2)
    package static let savePathBytes = 4000
    /// Categories, and tags.
    package static let names = 10_000
    package static let tagsPerTorrent = 100
    /// Rows looked at in a second for what time alone brings about: share limits, times to be stored.
    package static let sweepRows = 2000
    /// How old the stored times of a running torrent may be.
    package static let timesStored = TimeSpan.minutes(10)
    /// The queue is worked out at most this often where that costs milliseconds.
    package static let queuePause = TimeSpan.milliseconds(250)
    package static let queuePauseAbove = 5000
}
