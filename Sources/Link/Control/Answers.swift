package struct VersionAnswer: Codable, Equatable, Sendable {
    /// Of the product, "0.1.0".
    package var version: String
    /// ``Control/version``.
    package var control: Int
    package init(version: String, control: Int) { (self.version, self.control) = (version, control) }
}

package struct DaemonStatus: Codable, Equatable, Sendable {
    package var version: String
    package var control: Int
    /// Seconds that this session worker has run.
    package var uptime: UInt64
    package var stateDirectory: String
    /// 0 while no peer shard listens.
    package var listenPort: Int
    /// Hexadecimal.
    package var peerID: String
    package var torrents: Int
    /// Number of torrents by ``TorrentState``.
    package var states: [String: Int]
    package var downRate: UInt64
    package var upRate: UInt64
    package var downloaded: UInt64
    package var uploaded: UInt64
    package var peers: Int
    /// How the disk worker does its work, in its words; empty while it is away.
    package var disk: String
    package var bytesWritten: UInt64
    package var bytesRead: UInt64
    /// True when every worker is ready.
    package var healthy: Bool
    /// Where peers see us, by their vote; one of each family at most.
    package var externalAddresses: [String]
    package init(
        version: String, control: Int, uptime: UInt64, stateDirectory: String, listenPort: Int, peerID: String, torrents: Int,
        states: [String: Int], downRate: UInt64, upRate: UInt64, downloaded: UInt64, uploaded: UInt64, peers: Int, disk: String,
        bytesWritten: UInt64, bytesRead: UInt64, healthy: Bool, externalAddresses: [String] = []
    ) {
        self.version = version
        self.control = control
        self.uptime = uptime
        self.stateDirectory = stateDirectory
        self.listenPort = listenPort
        self.peerID = peerID
        self.torrents = torrents
        self.states = states
        self.downRate = downRate
        self.upRate = upRate
        self.downloaded = downloaded
        self.uploaded = uploaded
        self.peers = peers
        self.disk = disk
        self.bytesWritten = bytesWritten
        self.bytesRead = bytesRead
        self.healthy = healthy
        self.externalAddresses = externalAddresses
    }
}

package struct TorrentDetails: Codable, Equatable, Sendable {
    package var summary: TorrentSummary
    package var hasMetadata: Bool
    /// 1, 2 or both; empty while the metadata is unknown.
    package var metaVersions: [Int]
    package var pieceLength: UInt32
    package var piecesChecked: Int
    /// Pieces that survive a crash unhashed.
    package var piecesDurable: Int
    package var fileCount: Int
    package var comment: String?
    package var createdBy: String?
    /// Seconds since 1970.
    package var creationDate: Int64?
    /// Tiers (BEP 12).
    package var trackers: [[String]]
    package var webSeeds: [String]
    /// Absolute path of the stored .torrent file; absent while the metadata is unknown.
    package var torrentFile: String?
    /// Durable pieces as a bitfield in wire order, base64; only when asked for.
    package var pieces: String?
    /// The item of the DHT that it follows; absent: none.
    package var follows: FollowAnswer?
    package init(
        summary: TorrentSummary, hasMetadata: Bool, metaVersions: [Int], pieceLength: UInt32, piecesChecked: Int, piecesDurable: Int,
        fileCount: Int, comment: String?, createdBy: String?, creationDate: Int64?, trackers: [[String]], webSeeds: [String],
        torrentFile: String?, pieces: String?, follows: FollowAnswer? = nil
    ) {
        self.follows = follows
        self.summary = summary
        self.hasMetadata = hasMetadata
        self.metaVersions = metaVersions
        self.pieceLength = pieceLength
        self.piecesChecked = piecesChecked
        self.piecesDurable = piecesDurable
        self.fileCount = fileCount
        self.comment = comment
        self.createdBy = createdBy
        self.creationDate = creationDate
        self.trackers = trackers
        self.webSeeds = webSeeds
        self.torrentFile = torrentFile
        self.pieces = pieces
    }
}

package struct FilesAnswer: Codable, Equatable, Sendable {
    package var files: [FileRow]
    package init(files: [FileRow]) { self.files = files }
}
/// Pad files (BEP 47) are left out; `index` counts them.
package struct FileRow: Codable, Equatable, Sendable {
    package var index: Int
    /// Begins with the torrent's name.
    package var path: String
    package var length: UInt64
    /// Verified bytes.
    package var done: UInt64
    /// 0...1; 1 for an empty file.
    package var progress: Double
    /// Where it begins in the torrent's bytes.
    package var offset: UInt64?
    /// skip, low, normal, high, maximum.
    package var priority: String
    package init(index: Int, path: String, length: UInt64, done: UInt64, progress: Double, offset: UInt64? = nil, priority: String = "normal") {
        self.offset = offset
        self.index = index
        self.path = path
        self.length = length
        self.done = done
        self.progress = progress
        self.priority = priority
    }
}

package struct PeersAnswer: Codable, Equatable, Sendable {
    package var peers: [PeerRow]
    package init(peers: [PeerRow]) { self.peers = peers }
}
package struct PeerRow: Codable, Equatable, Sendable {
    /// "1.2.3.4:6881".
    package var endpoint: String
    /// Printable ASCII.
    package var client: String
    /// Hexadecimal.
    package var peerID: String
    /// tracker, dht, pex, lsd, manual, incoming, magnet, resume.
    package var source: String
    /// interested, choking, peer_interested, peer_choking, snubbed, incoming, seed, optimistic, upload_only.
    package var flags: [String]
    package var downRate: UInt64
    package var upRate: UInt64
    package var downloaded: UInt64
    package var uploaded: UInt64
    /// 0...1.
    package var progress: Double
    /// Our requests outstanding at it.
    package var inFlight: Int
    /// Its requests waiting here.
    package var queued: Int
    /// Violation points of its address, fading; 100 bans.
    package var score: Int
    package init(
        endpoint: String, client: String, peerID: String, source: String, flags: [String], downRate: UInt64, upRate: UInt64,
        downloaded: UInt64, uploaded: UInt64, progress: Double, inFlight: Int, queued: Int, score: Int = 0
    ) {
        self.endpoint = endpoint
        self.client = client
        self.peerID = peerID
        self.source = source
        self.flags = flags
        self.downRate = downRate
        self.upRate = upRate
        self.downloaded = downloaded
        self.uploaded = uploaded
        self.progress = progress
        self.inFlight = inFlight
        self.queued = queued
        self.score = score
    }
}

package struct TrackersAnswer: Codable, Equatable, Sendable {
    package var trackers: [TrackerRow]
    package init(trackers: [TrackerRow]) { self.trackers = trackers }
}
package struct TrackerRow: Codable, Equatable, Sendable {
    package var tier: Int
    package var url: String
    /// idle, announcing, working, failing, breaker_open.
    package var state: String
    /// Absent while unknown.
    package var seeds: Int?
    package var leechers: Int?
    package var downloads: Int?
    /// Seconds since 1970; absent while unknown.
    package var nextAnnounce: UInt64?
    /// The tracker's failure or warning.
    package var message: String?
    package init(
        tier: Int, url: String, state: String, seeds: Int?, leechers: Int?, downloads: Int?, nextAnnounce: UInt64?, message: String?
    ) {
        self.tier = tier
        self.url = url
        self.state = state
        self.seeds = seeds
        self.leechers = leechers
        self.downloads = downloads
        self.nextAnnounce = nextAnnounce
        self.message = message
    }
}

package struct WorkersAnswer: Codable, Equatable, Sendable {
    package var workers: [WorkerRow]
    package init(workers: [WorkerRow]) { self.workers = workers }
}
package struct WorkerRow: Codable, Equatable, Sendable {
    /// "peer:0".
    package var name: String
    package var role: String
    package var index: Int
    /// 0 while it is not running.
    package var pid: Int
    package var generation: Int
    /// Starts after the first.
    package var restarts: Int
    /// starting, ready, draining, stopped, backoff, open.
    package var state: String
    /// User and system time of this generation.
    package var cpuMilliseconds: UInt64
    package var residentBytes: UInt64
    package var uptimeMilliseconds: UInt64
    /// Why the last generation ended; absent if none did.
    package var reason: String?
    package init(
        name: String, role: String, index: Int, pid: Int, generation: Int, restarts: Int, state: String, cpuMilliseconds: UInt64,
        residentBytes: UInt64, uptimeMilliseconds: UInt64, reason: String?
    ) {
        self.name = name
        self.role = role
        self.index = index
        self.pid = pid
        self.generation = generation
        self.restarts = restarts
        self.state = state
        self.cpuMilliseconds = cpuMilliseconds
        self.residentBytes = residentBytes
        self.uptimeMilliseconds = uptimeMilliseconds
        self.reason = reason
    }
}

package struct SettingsAnswer: Codable, Equatable, Sendable {
    package var options: [SettingRow]
    package init(options: [SettingRow]) { self.options = options }
}
package struct SettingRow: Codable, Equatable, Sendable {
    package var key: String
    package var value: String
    package var standard: String
    /// "1..10000"; empty when everything of the type is allowed.
    package var limits: String
    package var doc: String
    package var needsRestart: Bool
    /// True when `settings.set` gave the value.
    package var isOverridden: Bool
    package init(key: String, value: String, standard: String, limits: String, doc: String, needsRestart: Bool, isOverridden: Bool) {
        self.key = key
        self.value = value
        self.standard = standard
        self.limits = limits
        self.doc = doc
        self.needsRestart = needsRestart
        self.isOverridden = isOverridden
    }
}
