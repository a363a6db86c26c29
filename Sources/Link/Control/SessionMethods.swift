// The methods of what a session adds to a transfer: categories, tags, limits, order, names, trackers.
//
// Methods with `hashes` change all of them in one transaction, or none. Each is a hash as elsewhere (40 or 64 digits, or a
// prefix that names one torrent); at most ``Control/hashesLimit``. With `skipUnknown` a hash that names nothing is passed
// over, and the answer counts those that were found; without it such a hash is `not_found`.
//
// Byte rates are bytes per second, 0: no limit. Times of limits are minutes; -2: as the settings say, -1: none.

extension ControlMethods {
    /// Changes torrents; absent fields stay.
    package enum SetTorrents: ControlMethod {
        package typealias Parameters = SetTorrentsParameters
        package typealias Answer = CountAnswer
        package static let name = "set"
    }
    /// `conflict` while queue.auto_manage_queue is off.
    package enum MoveInQueue: ControlMethod {
        package typealias Parameters = MoveInQueueParameters
        package typealias Answer = CountAnswer
        package static let name = "queue.move"
    }
    /// Renames a file inside the torrent's folder, on disk too. Paths are those of `files`. Answered when it is done.
    package enum RenameFile: ControlMethod {
        package typealias Parameters = RenameParameters
        package typealias Answer = Empty
        package static let name = "rename.file"
    }
    /// The same for a folder and all in it.
    package enum RenameFolder: ControlMethod {
        package typealias Parameters = RenameParameters
        package typealias Answer = Empty
        package static let name = "rename.folder"
    }
    /// The .torrent file, with the trackers as they are now.
    package enum Export: ControlMethod {
        package typealias Parameters = HashParameters
        package typealias Answer = ExportAnswer
        package static let name = "export"
    }
    /// Replaces all trackers.
    package enum SetTrackers: ControlMethod {
        package typealias Parameters = SetTrackersParameters
        package typealias Answer = Empty
        package static let name = "trackers.set"
    }
    /// Those that are there already are passed over.
    package enum AddTrackers: ControlMethod {
        package typealias Parameters = AddTrackersParameters
        package typealias Answer = Empty
        package static let name = "trackers.add"
    }
    /// `not_found` when `url` is not among them, `conflict` when `newURL` is already.
    package enum EditTracker: ControlMethod {
        package typealias Parameters = EditTrackerParameters
        package typealias Answer = Empty
        package static let name = "trackers.edit"
    }
    /// `not_found` when none of them is there.
    package enum RemoveTrackers: ControlMethod {
        package typealias Parameters = RemoveTrackersParameters
        package typealias Answer = Empty
        package static let name = "trackers.remove"
    }
    package enum WebSeeds: ControlMethod {
        package typealias Parameters = HashParameters
        package typealias Answer = WebSeedsAnswer
        package static let name = "webseeds"
    }
    /// Adds and removes addresses of the .torrent's `url-list` (BEP 19). Those that are there, or not there, are passed over;
    /// with `mustExist` one that is to go and is not there is `not_found`, and nothing is changed.
    package enum ChangeWebSeeds: ControlMethod {
        package typealias Parameters = ChangeWebSeedsParameters
        package typealias Answer = Empty
        package static let name = "webseeds.change"
    }
    package enum PieceStates: ControlMethod {
        package typealias Parameters = HashParameters
        package typealias Answer = PieceStatesAnswer
        package static let name = "pieces.states"
    }
    package enum PieceHashes: ControlMethod {
        package typealias Parameters = HashParameters
        package typealias Answer = PieceHashesAnswer
        package static let name = "pieces.hashes"
    }

    package enum Categories: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = CategoriesAnswer
        package static let name = "categories"
    }
    /// `exists` when the name is taken.
    package enum CreateCategory: ControlMethod {
        package typealias Parameters = CategoryRow
        package typealias Answer = Empty
        package static let name = "category.create"
    }
    /// Torrents under automatic management move to the new path.
    package enum EditCategory: ControlMethod {
        package typealias Parameters = CategoryRow
        package typealias Answer = Empty
        package static let name = "category.edit"
    }
    /// Its torrents are left without a category. Unknown names are passed over.
    package enum RemoveCategories: ControlMethod {
        package typealias Parameters = NamesParameters
        package typealias Answer = Empty
        package static let name = "category.remove"
    }
    package enum Tags: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = NamesParameters
        package static let name = "tags"
    }
    /// Those that exist are passed over.
    package enum CreateTags: ControlMethod {
        package typealias Parameters = NamesParameters
        package typealias Answer = Empty
        package static let name = "tags.create"
    }
    /// Also takes them off every torrent.
    package enum DeleteTags: ControlMethod {
        package typealias Parameters = NamesParameters
        package typealias Answer = Empty
        package static let name = "tags.delete"
    }

    /// Lines of the main log or of the log of peers, oldest first.
    package enum ReadLog: ControlMethod {
        package typealias Parameters = LogParameters
        package typealias Answer = LogAnswer
        package static let name = "log"
    }
    package enum Statistics: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = StatisticsAnswer
        package static let name = "stats"
    }

    package enum WatchFolders: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = WatchFoldersAnswer
        package static let name = "folders"
    }
    /// Adds the folder, or replaces what was said of the same path.
    package enum SetWatchFolder: ControlMethod {
        package typealias Parameters = WatchFolderRow
        package typealias Answer = Empty
        package static let name = "folder.set"
    }
    package enum RemoveWatchFolder: ControlMethod {
        package typealias Parameters = PathParameters
        package typealias Answer = Empty
        package static let name = "folder.remove"
    }
}

extension Control {
    /// Torrents of one request.
    package static let hashesLimit = 100_000
    /// UTF-8 bytes of a category's or a tag's name, and of a torrent's.
    package static let nameLimit = 240
    /// Categories, and tags.
    package static let namesLimit = 10_000
    /// UTF-8 bytes of a comment.
    package static let commentLimit = 4096
    /// Tags of one torrent.
    package static let tagsPerTorrentLimit = 100
    package static let trackersPerTorrentLimit = 500
    package static let watchFoldersLimit = 100
}

package struct CountAnswer: Codable, Equatable, Sendable {
    /// Torrents that were found.
    package var count: Int
    package init(count: Int) { self.count = count }
}

package struct SetTorrentsParameters: Codable, Equatable, Sendable {
    package var hashes: [String]
    package var skipUnknown: Bool?
    /// Display name; the files keep theirs.
    package var name: String?
    package var comment: String?
    /// "" takes it off; a name that does not exist is `conflict`. Moves the data of torrents under automatic management.
    package var category: String?
    /// Replaces all tags; unknown ones are created. `addTags` and `removeTags` change the set.
    package var tags: [String]?
    package var addTags: [String]?
    package var removeTags: [String]?
    /// The save path follows the category.
    package var autoManaged: Bool?
    /// Absolute; automatic management ends. Answered at once: `moving` shows the rest. See `move` for an answer at the end.
    package var savePath: String?
    /// Absolute folder that holds the data while it is incomplete; "": none. What is there moves.
    package var incompletePath: String?
    package var sequential: Bool?
    /// The first and the last piece of each file before others.
    package var firstLastFirst: Bool?
    package var superSeeding: Bool?
    /// Runs whatever the queue's limits say.
    package var forceStart: Bool?
    package var downLimit: UInt64?
    package var upLimit: UInt64?
    package var ratioLimit: Double?
    package var seedingTimeLimit: Int64?
    package var inactiveSeedingTimeLimit: Int64?
    /// See ``LimitAction``; `default` as the settings say.
    package var limitAction: LimitAction?
    package var stopCondition: StopCondition?
    package init(hashes: [String]) { self.hashes = hashes }
}

/// What happens when a share limit is reached.
package enum LimitAction: String, Codable, Sendable, CaseIterable {
    case standard = "default"
    case stop, remove
    case removeWithData = "remove_with_data"
    case superSeeding = "super_seeding"
}

/// When a torrent pauses by itself, once.
package enum StopCondition: String, Codable, Sendable, CaseIterable {
    case none
    case metadataReceived = "metadata_received"
    case filesChecked = "files_checked"
}

package enum ContentLayout: String, Codable, Sendable, CaseIterable {
    case original, subfolder
    case noSubfolder = "no_subfolder"
}

package struct MoveInQueueParameters: Codable, Equatable, Sendable {
    package enum Place: String, Codable, Sendable, CaseIterable { case top, bottom, up, down }
    package var hashes: [String]
    package var to: Place
    package var skipUnknown: Bool?
    package init(hashes: [String], to: Place, skipUnknown: Bool? = nil) { (self.hashes, self.to, self.skipUnknown) = (hashes, to, skipUnknown) }
}

package struct RenameParameters: Codable, Equatable, Sendable {
    package var hash: String
    /// Relative, as `files` gives it.
    package var path: String
    package var newPath: String
    package init(hash: String, path: String, newPath: String) { (self.hash, self.path, self.newPath) = (hash, path, newPath) }
}

package struct ExportAnswer: Codable, Equatable, Sendable {
    /// Base64.
    package var torrent: String
    package var name: String
    package init(torrent: String, name: String) { (self.torrent, self.name) = (torrent, name) }
}

package struct ChangeWebSeedsParameters: Codable, Equatable, Sendable {
    package var hash: String
    package var remove: [String]
    /// http or https, 2048 bytes each; a torrent keeps at most 100.
    package var add: [String]
    package var mustExist: Bool
    package init(hash: String, remove: [String] = [], add: [String] = [], mustExist: Bool = false) {
        (self.hash, self.remove, self.add, self.mustExist) = (hash, remove, add, mustExist)
    }
}
package struct SetTrackersParameters: Codable, Equatable, Sendable {
    package var hash: String
    /// Tiers (BEP 12).
    package var trackers: [[String]]
    package init(hash: String, trackers: [[String]]) { (self.hash, self.trackers) = (hash, trackers) }
}
package struct AddTrackersParameters: Codable, Equatable, Sendable {
    package var hash: String
    package var urls: [String]
    /// Absent: a new tier for each.
    package var tier: Int?
    package init(hash: String, urls: [String], tier: Int? = nil) { (self.hash, self.urls, self.tier) = (hash, urls, tier) }
}
package struct EditTrackerParameters: Codable, Equatable, Sendable {
    package var hash: String
    package var url: String
    /// Absent: the same.
    package var newURL: String?
    /// Absent: the same; beyond the last makes a new tier at the end.
    package var tier: Int?
    package init(hash: String, url: String, newURL: String? = nil, tier: Int? = nil) {
        (self.hash, self.url, self.newURL, self.tier) = (hash, url, newURL, tier)
    }
}
package struct RemoveTrackersParameters: Codable, Equatable, Sendable {
    package var hash: String
    package var urls: [String]
    package init(hash: String, urls: [String]) { (self.hash, self.urls) = (hash, urls) }
}

package struct WebSeedsAnswer: Codable, Equatable, Sendable {
    package var urls: [String]
    package init(urls: [String]) { self.urls = urls }
}

package struct PieceStatesAnswer: Codable, Equatable, Sendable {
    /// One digit a piece: 0 missing, 1 being downloaded, 2 verified.
    package var states: String
    /// Copies among the connected peers: whole ones, and the part of the pieces that there is one more of; -1 while unknown.
    package var availability: Double
    package init(states: String, availability: Double = -1) { (self.states, self.availability) = (states, availability) }
}
package struct PieceHashesAnswer: Codable, Equatable, Sendable {
    /// SHA-1, 40 digits each.
    package var hashes: [String]
    package init(hashes: [String]) { self.hashes = hashes }
}

package struct CategoriesAnswer: Codable, Equatable, Sendable {
    /// By name.
    package var categories: [CategoryRow]
    package init(categories: [CategoryRow]) { self.categories = categories }
}
package struct CategoryRow: Codable, Equatable, Sendable {
    /// No empty parts between "/", no "\\", no control characters.
    package var name: String
    /// Absolute; "": a folder of its name in disk.download_dir.
    package var savePath: String
    package init(name: String, savePath: String = "") { (self.name, self.savePath) = (name, savePath) }
}
package struct NamesParameters: Codable, Equatable, Sendable {
    package var names: [String]
    package init(names: [String]) { self.names = names }
}
package struct PathParameters: Codable, Equatable, Sendable {
    package var path: String
    package init(path: String) { self.path = path }
}

package struct LogParameters: Codable, Equatable, Sendable {
    /// Only lines with a higher id. Absent: all that are kept.
    package var after: UInt64?
    /// The log of peers (bans and blocks) instead of the main one.
    package var peers: Bool?
    /// At most so many, the newest; absent: all that are kept.
    package var limit: Int?
    package init(after: UInt64? = nil, peers: Bool? = nil, limit: Int? = nil) { (self.after, self.peers, self.limit) = (after, peers, limit) }
}
package struct LogAnswer: Codable, Equatable, Sendable {
    package var lines: [LogRow]
    package init(lines: [LogRow]) { self.lines = lines }
}
package struct LogRow: Codable, Equatable, Sendable {
    /// Rises by one with each line over the life of the state directory's session worker.
    package var id: UInt64
    /// Seconds since 1970.
    package var time: UInt64
    /// info, warning, error; in the log of peers: banned, blocked.
    package var level: String
    /// For the log of peers: the reason.
    package var text: String
    /// "1.2.3.4"; the log of peers only.
    package var address: String?
    package init(id: UInt64, time: UInt64, level: String, text: String, address: String? = nil) {
        self.id = id
        self.time = time
        self.level = level
        self.text = text
        self.address = address
    }
}

package struct StatisticsAnswer: Codable, Equatable, Sendable {
    /// Payload bytes over the life of the state directory, torrents that were removed included.
    package var downloadedEver: UInt64
    package var uploadedEver: UInt64
    /// uploadedEver / downloadedEver; 0 while nothing was downloaded.
    package var ratioEver: Double
    /// Since this session worker started.
    package var downloadedSession: UInt64
    package var uploadedSession: UInt64
    /// There already, or failed their hash.
    package var wastedEver: UInt64
    /// Torrents that were ever added, and that finished.
    package var addedEver: UInt64
    package var completedEver: UInt64
    /// Seconds since 1970 at which the counting began.
    package var since: UInt64
    package init(
        downloadedEver: UInt64, uploadedEver: UInt64, ratioEver: Double, downloadedSession: UInt64, uploadedSession: UInt64, wastedEver: UInt64,
        addedEver: UInt64, completedEver: UInt64, since: UInt64
    ) {
        self.downloadedEver = downloadedEver
        self.uploadedEver = uploadedEver
        self.ratioEver = ratioEver
        self.downloadedSession = downloadedSession
        self.uploadedSession = uploadedSession
        self.wastedEver = wastedEver
        self.addedEver = addedEver
        self.completedEver = completedEver
        self.since = since
    }
}

package struct WatchFoldersAnswer: Codable, Equatable, Sendable {
    package var folders: [WatchFolderRow]
    package init(folders: [WatchFolderRow]) { self.folders = folders }
}
/// A folder in which .torrent and .magnet files are added as they appear.
package struct WatchFolderRow: Codable, Equatable, Sendable {
    /// Absolute.
    package var path: String
    /// Absent: disk.download_dir, or the category's.
    package var savePath: String?
    package var category: String?
    package var tags: [String]?
    package var paused: Bool?
    /// Delete the file once it was added, instead of renaming it to "….added".
    package var deleteFile: Bool?
    /// Why it is not watched now; absent when all is well. Given, never taken.
    package var error: String?
    package init(path: String) { self.path = path }
}
