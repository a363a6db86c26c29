/// What a user sees of a torrent's state.
///
///     metadata → waiting/checking → downloading → seeding
///     paused, queued, error and waiting (a worker or the volume is away) may hold any of these
package enum TorrentState: String, Codable, Sendable, CaseIterable, Hashable {
    case checking, downloading, seeding
    /// All pieces are there and it is paused: nothing is uploaded.
    case completed
    case paused, queued
    /// A magnet whose metadata has not arrived.
    case metadata
    /// The disk worker is down or has not said anything yet, or files are being moved.
    case waiting
    case error
}

/// One torrent as `list`, `show` and `watch` give it. Byte counts are payload bytes; rates are bytes per second;
/// life-time counters never fall.
package struct TorrentSummary: Codable, Equatable, Sendable {
    /// The swarm's info-hash: v1, or v2 truncated to 20 bytes where there is no v1. Lower-case hexadecimal.
    package var hash: String
    /// The full v2 info-hash, 64 digits; absent for v1 torrents.
    package var hashV2: String?
    package var name: String
    package var state: TorrentState
    /// Verified part, 0...1; of the pieces looked at while checking.
    package var progress: Double
    /// Verified bytes.
    package var done: UInt64
    /// 0 while the metadata is unknown.
    package var size: UInt64
    package var downRate: UInt64
    package var upRate: UInt64
    package var peers: Int
    package var seeds: Int
    /// Received over its life, duplicates and failed pieces counted.
    package var downloaded: UInt64
    /// Of these: bytes that were there already or failed their hash.
    package var downloadedAgain: UInt64
    package var uploaded: UInt64
    /// uploaded / downloaded; / size where nothing was downloaded.
    package var ratio: Double
    /// Seconds to the end at the present rate; absent when complete or standing still.
    package var eta: UInt64?
    /// One line; absent when all is well.
    package var error: String?
    package var savePath: String
    /// Seconds since 1970.
    package var addedAt: UInt64
    package var completedAt: UInt64?
    package var `private`: Bool
    package var sequential: Bool
    package var pieceCount: Int
    package var piecesHave: Int
    /// Bytes of the files that are not skipped, and of these had. `progress` and `eta` are about these.
    package var wanted: UInt64
    package var wantedDone: UInt64

    // What the session adds to the transfer. Each stands at the value at which nothing was said.
    /// "": none.
    package var category = ""
    /// By name.
    package var tags: [String] = []
    /// The user's, or the torrent's own; "": none.
    package var comment = ""
    /// The save path follows the category.
    package var autoManaged = false
    package var forceStart = false
    package var superSeeding = false
    /// The first and the last piece of each file before others.
    package var firstLastFirst = false
    /// From 1; 0: finished, or queue.auto_manage_queue is off.
    package var queuePosition = 0
    /// Where the data goes when it is complete; absent when it is there.
    package var finalPath: String?
    /// Absolute path of the torrent's one file or folder; of the save folder where there are several; "" while unknown.
    package var contentPath = ""
    /// Files are on their way to another folder.
    package var moving = false
    /// State `error` because files are gone.
    package var missingFiles = false
    /// Own limits in bytes per second, 0: none.
    package var downLimit: UInt64 = 0
    package var upLimit: UInt64 = 0
    /// Own share limits; -2: as the settings say, -1: none. Times in minutes.
    package var ratioLimit = -2.0
    package var seedingTimeLimit: Int64 = -2
    package var inactiveSeedingTimeLimit: Int64 = -2
    /// Those in force; -1: none.
    package var maxRatio = -1.0
    package var maxSeedingTime: Int64 = -1
    package var maxInactiveSeedingTime: Int64 = -1
    package var limitAction = LimitAction.standard
    package var stopCondition = StopCondition.none
    /// Seconds since 1970 of the last payload byte either way; absent if there was none.
    package var lastActivity: UInt64?
    /// Seconds since 1970 at which a whole copy was last seen; absent if never.
    package var seenComplete: UInt64?
    /// Seconds, over its life.
    package var timeActive: UInt64 = 0
    package var seedingTime: UInt64 = 0
    /// Whole copies among the connected peers; -1 while there are no peers. ``PieceStatesAnswer/availability`` counts parts too.
    package var availability = -1.0
    /// Payload bytes since the session worker started.
    package var downloadedSession: UInt64 = 0
    package var uploadedSession: UInt64 = 0
    /// A tracker that works; "": none.
    package var tracker = ""
    package var trackersCount = 0
    package var trackerErrors = 0
    /// The swarm as its trackers count it; -1 while unknown.
    package var swarmSeeds = -1
    package var swarmLeechers = -1
    /// Seconds since 1970; absent while unknown.
    package var nextAnnounce: UInt64?
    package var hasMetadata = false
    package var pieceLength: UInt32 = 0

    package init(
        hash: String, hashV2: String? = nil, name: String, state: TorrentState, progress: Double, done: UInt64, size: UInt64,
        downRate: UInt64, upRate: UInt64, peers: Int, seeds: Int, downloaded: UInt64, downloadedAgain: UInt64, uploaded: UInt64,
        ratio: Double, eta: UInt64? = nil, error: String? = nil, savePath: String, addedAt: UInt64, completedAt: UInt64? = nil,
        isPrivate: Bool, sequential: Bool, pieceCount: Int, piecesHave: Int, wanted: UInt64? = nil, wantedDone: UInt64? = nil
    ) {
        self.hash = hash
        self.hashV2 = hashV2
        self.name = name
        self.state = state
        self.progress = progress
        self.done = done
        self.size = size
        self.downRate = downRate
        self.upRate = upRate
        self.peers = peers
        self.seeds = seeds
        self.downloaded = downloaded
        self.downloadedAgain = downloadedAgain
        self.uploaded = uploaded
        self.ratio = ratio
        self.eta = eta
        self.error = error
        self.savePath = savePath
        self.addedAt = addedAt
        self.completedAt = completedAt
        self.private = isPrivate
        self.sequential = sequential
        self.pieceCount = pieceCount
        self.piecesHave = piecesHave
        self.wanted = wanted ?? size
        self.wantedDone = wantedDone ?? done
    }

    /// Appends the object as JSON. By hand: `list` of 50,000 torrents and `watch` at 40 ticks a second pass here, and
    /// the encoder of Foundation is some thirty times slower. Every field of the Codable form, the same names.
    package func append(to out: inout [UInt8]) {
        var json = JSONObject()
        json.field(&out, "hash", hash)
        if let hashV2 { json.field(&out, "hashV2", hashV2) }
        json.field(&out, "name", name)
        json.field(&out, "state", state.rawValue)
        json.field(&out, "progress", progress)
        json.field(&out, "done", done)
        json.field(&out, "size", size)
        json.field(&out, "downRate", downRate)
        json.field(&out, "upRate", upRate)
        json.field(&out, "peers", UInt64(peers))
        json.field(&out, "seeds", UInt64(seeds))
        json.field(&out, "downloaded", downloaded)
        json.field(&out, "downloadedAgain", downloadedAgain)
        json.field(&out, "uploaded", uploaded)
        json.field(&out, "ratio", ratio)
        if let eta { json.field(&out, "eta", eta) }
        if let error { json.field(&out, "error", error) }
        json.field(&out, "savePath", savePath)
        json.field(&out, "addedAt", addedAt)
        if let completedAt { json.field(&out, "completedAt", completedAt) }
        json.field(&out, "private", self.private)
        json.field(&out, "sequential", sequential)
        json.field(&out, "pieceCount", UInt64(pieceCount))
        json.field(&out, "piecesHave", UInt64(piecesHave))
        json.field(&out, "wanted", wanted)
        json.field(&out, "wantedDone", wantedDone)
        appendSession(&json, &out)
        json.close(&out)
    }

    private func appendSession(_ json: inout JSONObject, _ out: inout [UInt8]) {
        json.field(&out, "category", category)
        json.field(&out, "tags", tags)
        json.field(&out, "comment", comment)
        json.field(&out, "autoManaged", autoManaged)
        json.field(&out, "forceStart", forceStart)
        json.field(&out, "superSeeding", superSeeding)
        json.field(&out, "firstLastFirst", firstLastFirst)
        json.field(&out, "queuePosition", UInt64(queuePosition))
        if let finalPath { json.field(&out, "finalPath", finalPath) }
        json.field(&out, "contentPath", contentPath)
        json.field(&out, "moving", moving)
        json.field(&out, "missingFiles", missingFiles)
        json.field(&out, "downLimit", downLimit)
        json.field(&out, "upLimit", upLimit)
        json.field(&out, "ratioLimit", ratioLimit)
        json.field(&out, "seedingTimeLimit", seedingTimeLimit)
        json.field(&out, "inactiveSeedingTimeLimit", inactiveSeedingTimeLimit)
        json.field(&out, "maxRatio", maxRatio)
        json.field(&out, "maxSeedingTime", maxSeedingTime)
        json.field(&out, "maxInactiveSeedingTime", maxInactiveSeedingTime)
        json.field(&out, "limitAction", limitAction.rawValue)
        json.field(&out, "stopCondition", stopCondition.rawValue)
        if let lastActivity { json.field(&out, "lastActivity", lastActivity) }
        if let seenComplete { json.field(&out, "seenComplete", seenComplete) }
        json.field(&out, "timeActive", timeActive)
        json.field(&out, "seedingTime", seedingTime)
        json.field(&out, "availability", availability)
        json.field(&out, "downloadedSession", downloadedSession)
        json.field(&out, "uploadedSession", uploadedSession)
        json.field(&out, "tracker", tracker)
        json.field(&out, "trackersCount", UInt64(trackersCount))
        json.field(&out, "trackerErrors", UInt64(trackerErrors))
        json.field(&out, "swarmSeeds", Int64(swarmSeeds))
        json.field(&out, "swarmLeechers", Int64(swarmLeechers))
        if let nextAnnounce { json.field(&out, "nextAnnounce", nextAnnounce) }
        json.field(&out, "hasMetadata", hasMetadata)
        json.field(&out, "pieceLength", UInt64(pieceLength))
    }
}
