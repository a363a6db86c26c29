/// Every method of the interface. A parameter `hash` is the 40-digit info-hash, the 64-digit v2 one, or a prefix of at
/// least 6 digits that names one torrent.
package enum ControlMethods {
    package enum Status: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = DaemonStatus
        package static let name = "status"
    }
    package enum Version: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = VersionAnswer
        package static let name = "version"
    }
    package enum Add: ControlMethod {
        package typealias Parameters = AddParameters
        package typealias Answer = AddAnswer
        package static let name = "add"
    }
    package enum List: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = ListAnswer
        package static let name = "list"
    }
    package enum Show: ControlMethod {
        package typealias Parameters = ShowParameters
        package typealias Answer = TorrentDetails
        package static let name = "show"
    }
    package enum Files: ControlMethod {
        package typealias Parameters = HashParameters
        package typealias Answer = FilesAnswer
        package static let name = "files"
    }
    package enum Peers: ControlMethod {
        package typealias Parameters = HashParameters
        package typealias Answer = PeersAnswer
        package static let name = "peers"
    }
    package enum AddPeers: ControlMethod {
        package typealias Parameters = AddPeersParameters
        package typealias Answer = Empty
        package static let name = "peers.add"
    }
    package enum Trackers: ControlMethod {
        package typealias Parameters = HashParameters
        package typealias Answer = TrackersAnswer
        package static let name = "trackers"
    }
    package enum Pause: ControlMethod {
        package typealias Parameters = HashParameters
        package typealias Answer = Empty
        package static let name = "pause"
    }
    package enum Resume: ControlMethod {
        package typealias Parameters = HashParameters
        package typealias Answer = Empty
        package static let name = "resume"
    }
    package enum Remove: ControlMethod {
        package typealias Parameters = RemoveParameters
        package typealias Answer = Empty
        package static let name = "remove"
    }
    package enum Recheck: ControlMethod {
        package typealias Parameters = HashParameters
        package typealias Answer = Empty
        package static let name = "recheck"
    }
    /// Answered when the disk worker has moved the files (minutes across volumes).
    package enum Move: ControlMethod {
        package typealias Parameters = MoveParameters
        package typealias Answer = Empty
        package static let name = "move"
    }
    package enum Announce: ControlMethod {
        package typealias Parameters = HashParameters
        package typealias Answer = Empty
        package static let name = "announce"
    }
    package enum Workers: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = WorkersAnswer
        package static let name = "workers"
    }
    package enum RestartWorker: ControlMethod {
        package typealias Parameters = WorkerParameters
        package typealias Answer = Empty
        package static let name = "worker.restart"
    }
    package enum Watch: ControlMethod {
        package typealias Parameters = WatchParameters
        package typealias Answer = Empty
        package static let name = "watch"
    }
    package enum ShowSettings: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = SettingsAnswer
        package static let name = "settings.show"
    }
    package enum ShowLimits: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = LimitsAnswer
        package static let name = "limits.show"
    }
    package enum LimitTorrent: ControlMethod {
        package typealias Parameters = TorrentLimitParameters
        package typealias Answer = Empty
        package static let name = "limits.torrent"
    }
    package enum SetSetting: ControlMethod {
        package typealias Parameters = SetSettingParameters
        package typealias Answer = Empty
        package static let name = "settings.set"
    }
    /// Answered when every tracker has answered or was given up: 20 s at most.
    package enum Scrape: ControlMethod {
        package typealias Parameters = ScrapeParameters
        package typealias Answer = ScrapeAnswer
        package static let name = "scrape"
    }
    package enum NATStatus: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = NATStatusAnswer
        package static let name = "nat.status"
    }
    /// Several at once: all of them, or none when one is wrong. What needs a restart is applied by restarting the workers that read it.
    package enum ChangeSettings: ControlMethod {
        package typealias Parameters = ChangeSettingsParameters
        package typealias Answer = ChangeSettingsAnswer
        package static let name = "settings.change"
    }
    package enum DHTStatus: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = DHTStatusAnswer
        package static let name = "dht.status"
    }
    /// Answered when the lookup ends: some seconds.
    package enum DHTLookup: ControlMethod {
        package typealias Parameters = DHTLookupParameters
        package typealias Answer = DHTLookupAnswer
        package static let name = "dht.lookup"
    }
    package enum DHTGet: ControlMethod {
        package typealias Parameters = DHTGetParameters
        package typealias Answer = DHTGetAnswer
        package static let name = "dht.get"
    }
    package enum DHTPut: ControlMethod {
        package typealias Parameters = DHTPutParameters
        package typealias Answer = DHTPutAnswer
        package static let name = "dht.put"
    }
    /// Sends a letter as the settings say; answered when the server has taken it, `conflict` when it has not.
    package enum TestMail: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = Empty
        package static let name = "mail.test"
    }
    /// Asks the supervisor to read its configuration again.
    package enum Reload: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = Empty
        package static let name = "reload"
    }
    /// Asks the supervisor to drain and end; answered before it begins.
    package enum Shutdown: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = Empty
        package static let name = "shutdown"
    }
}

package struct HashParameters: Codable, Equatable, Sendable {
    package var hash: String
    package init(hash: String) { self.hash = hash }
}

package struct ShowParameters: Codable, Equatable, Sendable {
    package var hash: String
    /// Also give ``TorrentDetails/pieces``.
    package var pieces: Bool?
    package init(hash: String, pieces: Bool? = nil) { (self.hash, self.pieces) = (hash, pieces) }
}

/// Exactly one of `torrent`, `magnet` and `url`. What is absent is as the settings say.
package struct AddParameters: Codable, Equatable, Sendable {
    /// A .torrent file in base64.
    package var torrent: String?
    package var magnet: String?
    /// http or https address of a .torrent file, or of a magnet that it redirects to; fetched before the answer.
    package var url: String?
    /// Absolute path of the folder that the torrent's name will stand in; absent: the category's, or disk.download_dir.
    package var save: String?
    /// Believe that every piece is there; files of the wrong length put the torrent in error.
    package var skipCheck: Bool?
    package var paused: Bool?
    package var sequential: Bool?
    /// "1.2.3.4:6881" or "[::1]:6881"; at most 2,000.
    package var peers: [String]?
    /// Files to fetch, "3" or "3-7"; absent: all, or those that a magnet names (BEP 53).
    package var only: [String]?
    /// "3=high", "4-6=skip": on top of `only`.
    package var priorities: [String]?
    /// Instead of both: a level for each file that is no padding, in order; what lacks is normal. Of a .torrent file only.
    package var levels: [String]?
    /// Display name instead of the torrent's own.
    package var name: String?
    /// One that does not exist is created.
    package var category: String?
    package var tags: [String]?
    /// The save path follows the category; only without `save`.
    package var autoManaged: Bool?
    package var firstLastFirst: Bool?
    package var superSeeding: Bool?
    package var forceStart: Bool?
    package var topOfQueue: Bool?
    package var stopCondition: StopCondition?
    package var contentLayout: ContentLayout?
    /// Absolute folder that holds the data until all of it is there; "": none. Absent: disk.incomplete_dir.
    package var incompletePath: String?
    /// Bytes per second, 0: no limit.
    package var downLimit: UInt64?
    package var upLimit: UInt64?
    /// -2: as the settings say, -1: none; times in minutes.
    package var ratioLimit: Double?
    package var seedingTimeLimit: Int64?
    package var inactiveSeedingTimeLimit: Int64?
    package var limitAction: LimitAction?
    package init(
        torrent: String? = nil, magnet: String? = nil, url: String? = nil, save: String? = nil, skipCheck: Bool? = nil, paused: Bool? = nil,
        sequential: Bool? = nil, peers: [String]? = nil
    ) {
        self.torrent = torrent
        self.magnet = magnet
        self.url = url
        self.save = save
        self.skipCheck = skipCheck
        self.paused = paused
        self.sequential = sequential
        self.peers = peers
    }
}
package struct AddAnswer: Codable, Equatable, Sendable {
    package var hash: String
    package var name: String
    package init(hash: String, name: String) { (self.hash, self.name) = (hash, name) }
}

package struct ListAnswer: Codable, Equatable, Sendable {
    /// In the order of adding.
    package var torrents: [TorrentSummary]
    package init(torrents: [TorrentSummary]) { self.torrents = torrents }
}

package struct AddPeersParameters: Codable, Equatable, Sendable {
    package var hash: String
    package var peers: [String]
    package init(hash: String, peers: [String]) { (self.hash, self.peers) = (hash, peers) }
}

package struct RemoveParameters: Codable, Equatable, Sendable {
    package var hash: String
    package var withData: Bool?
    package init(hash: String, withData: Bool? = nil) { (self.hash, self.withData) = (hash, withData) }
}

package struct MoveParameters: Codable, Equatable, Sendable {
    package var hash: String
    /// Absolute.
    package var save: String
    package init(hash: String, save: String) { (self.hash, self.save) = (hash, save) }
}

package struct WorkerParameters: Codable, Equatable, Sendable {
    /// "peer:0", as ``WorkerRow/name``; "disk" is "disk:0".
    package var worker: String
    package init(worker: String) { self.worker = worker }
}

package struct WatchParameters: Codable, Equatable, Sendable {
    /// Absent: every torrent.
    package var hash: String?
    /// Seconds between ticks, at least 0.02. A change of state is sent at once besides.
    package var interval: Double?
    /// Only torrents that changed: every torrent once, then a line `{"id":…,"event":"snapshot"}`, then at each tick those
    /// whose summary changed. Lines `{"id":…,"event":"categories"}` (or tags, rss, rules, folders, settings) say that the
    /// list of that name is worth reading again. Times that only pass (timeActive, seedingTime, eta) are no change.
    package var changes: Bool?
    package init(hash: String? = nil, interval: Double? = nil, changes: Bool? = nil) {
        (self.hash, self.interval, self.changes) = (hash, interval, changes)
    }
}

package struct ChangeSettingsParameters: Codable, Equatable, Sendable {
    package var changes: [SetSettingParameters]
    package init(changes: [SetSettingParameters]) { self.changes = changes }
}
package struct ChangeSettingsAnswer: Codable, Equatable, Sendable {
    /// Workers that are restarted for it, within a second.
    package var restarted: [String]
    /// Options that hold from the daemon's next start.
    package var later: [String]
    package init(restarted: [String], later: [String]) { (self.restarted, self.later) = (restarted, later) }
}

package struct SetSettingParameters: Codable, Equatable, Sendable {
    package var key: String
    /// As in the environment; absent: back to what the configuration says.
    package var value: String?
    package init(key: String, value: String? = nil) { (self.key, self.value) = (key, value) }
}
