import Primitives

/// What a user said of a torrent beyond where it is and whether it runs.
package struct TorrentOptions: Hashable, Sendable {
    /// Display name in place of the content's; empty: that.
    package var name = ""
    /// The user's, or what the .torrent says.
    package var comment = ""
    /// Empty: none.
    package var category = ""
    /// Sorted, none twice.
    package var tags: [String] = []
    /// The save path follows the category.
    package var isAutoManaged = false
    /// First and last piece of each file before others.
    package var isFirstLastFirst = false
    package var isSuperSeeding = false
    /// Runs whatever the queue says, and takes no place in it.
    package var isForced = false
    package var share = ShareLimits()
    package var stopCondition = StopRule.none
    /// Where the data goes when all of it is there; empty: it is there.
    package var finalPath = ""
    /// Folder that holds the data between the first look and its completion; empty: none.
    package var incompletePath = ""
    /// Laid out so when the metadata of a magnet arrives; the shell works it out.
    package var layout: UInt8 = 0
    /// Ends the names of files until all of them are there; empty: none.
    package var incompleteSuffix = ""
    /// Place in the queue: lower goes first; unique but for ties by id.
    package var rank: Int64 = 0
    /// What is still to be run for it.
    package var hooksDue: HookSet = []
    package init() {}
}

package struct HookSet: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let added = HookSet(rawValue: 1)
    package static let finished = HookSet(rawValue: 2)
}

/// When a torrent pauses by itself, once.
package enum StopRule: UInt8, Hashable, Sendable, CaseIterable {
    case none = 0
    case metadataReceived, filesChecked
}

package enum ShareAction: UInt8, Hashable, Sendable, CaseIterable {
    /// Of a torrent: as the rules say.
    case standard = 0
    case stop, remove, removeWithData, superSeeding
}

/// Limits of seeding. ``inherited``: as the rules say; ``unlimited``: none.
package struct ShareLimits: Hashable, Sendable {
    package static let inherited: Int64 = -2
    package static let unlimited: Int64 = -1
    /// Uploaded / downloaded in thousandths.
    package var ratio = ShareLimits.inherited
    /// Seconds.
    package var seeding = ShareLimits.inherited
    package var inactive = ShareLimits.inherited
    package var action = ShareAction.standard
    package init() {}
    package init(ratio: Int64, seeding: Int64, inactive: Int64, action: ShareAction) {
        (self.ratio, self.seeding, self.inactive, self.action) = (ratio, seeding, inactive, action)
    }

    /// With `rules` in the places that are inherited.
    package func resolved(_ rules: ShareLimits) -> ShareLimits {
        ShareLimits(
            ratio: ratio == Self.inherited ? rules.ratio : ratio, seeding: seeding == Self.inherited ? rules.seeding : seeding,
            inactive: inactive == Self.inherited ? rules.inactive : inactive, action: action == .standard ? rules.action : action)
    }
}

/// What passed over a torrent's life. Times run while it is neither paused, queued nor in error.
package struct TorrentActivity: Hashable, Sendable {
    package var activeMilliseconds: UInt64 = 0
    package var seedingMilliseconds: UInt64 = 0
    /// Of seeding, since the last payload byte.
    package var idleMilliseconds: UInt64 = 0
    /// Seconds since 1970; 0: never.
    package var lastActivity: UInt64 = 0
    package var seenComplete: UInt64 = 0
    package init() {}
}

/// How the paths of a torrent's files come from those in its metainfo: renames applied in order, then the suffix.
package struct NamePlan: Hashable, Sendable {
    /// Of a file, or of a folder and all in it. `to` empty: what is in the folder stands without it.
    package struct Rename: Hashable, Sendable {
        package var from: String
        package var to: String
        package init(from: String, to: String) { (self.from, self.to) = (from, to) }

        package func apply(_ path: String) -> String {
            if path == from { return to.isEmpty ? path : to }
            guard path.utf8.count > from.utf8.count + 1, path.hasPrefix(from), path.utf8[path.utf8.index(path.utf8.startIndex, offsetBy: from.utf8.count)] == UInt8(ascii: "/")
            else { return path }
            let rest = String(path.utf8.dropFirst(from.utf8.count + 1))!
            return to.isEmpty ? rest : to + "/" + rest
        }
    }
    /// More are refused: a torrent that is renamed file by file wants another tool.
    package static let limit = 2000
    /// UTF-8 bytes of all of them: beside a bitfield of 875,000 bytes they go in one frame of 1 MiB.
    package static let bytesLimit = 100 << 10
    var isTooLarge: Bool { renames.count > Self.limit || renames.reduce(0) { $0 + $1.from.utf8.count + $1.to.utf8.count } > Self.bytesLimit }

    package var renames: [Rename] = []
    package var suffix = ""
    package init(renames: [Rename] = [], suffix: String = "") { (self.renames, self.suffix) = (renames, suffix) }

    package var isEmpty: Bool { renames.isEmpty && suffix.isEmpty }
    /// For people: without the suffix.
    package func name(_ path: String) -> String { renames.reduce(path) { $1.apply($0) } }
    package func onDisk(_ path: String) -> String { name(path) + suffix }
    /// Top-level names of what stood under `roots`.
    package func roots(_ roots: [String]) -> [String] { renames.isEmpty ? roots : roots.map { String(name($0).prefix { $0 != "/" }) } }
}

/// A change of one torrent with all that it depends on worked out; nil stays as it is.
package struct TorrentEdit: Hashable, Sendable {
    package var name: String?
    package var comment: String?
    package var category: String?
    /// All of them.
    package var tags: [String]?
    package var addTags: [String] = []
    package var removeTags: [String] = []
    package var isAutoManaged: Bool?
    package var isPaused: Bool?
    package var isSequential: Bool?
    package var isFirstLastFirst: Bool?
    package var isSuperSeeding: Bool?
    package var isForced: Bool?
    package var ratio: Int64?
    package var seeding: Int64?
    package var inactive: Int64?
    package var action: ShareAction?
    package var stopCondition: StopRule?
    /// Bytes per second, 0: none.
    package var downLimit: Int64?
    package var upLimit: Int64?
    package var trackers: [[String]]?
    package var rank: Int64?
    /// Folder for the data, or for when all of it is there.
    package var savePath: String?
    /// Folder that holds the data while it is incomplete; empty: none.
    package var incompletePath: String?
    /// Where the data of an unfinished torrent goes for that now; worked out, not wished.
    package var dataPath: String?
    /// The whole plan, and the top-level names that it makes.
    package var names: NamePlan?
    package var roots: [String]?
    /// Takes these away.
    package var hooksDone: HookSet = []
    package init() {}
}

/// What the configuration says to the catalogue; may change while it runs.
package struct CatalogRules: Hashable, Sendable {
    package var queue: QueueLimits
    package var share: ShareLimits
    /// Programs that are to be run.
    package var hooks: HookSet = []
    /// disk.download_dir; empty: none.
    package var folder: String
    package init(
        queue: QueueLimits = QueueLimits(), share: ShareLimits = ShareLimits(ratio: -1, seeding: -1, inactive: -1, action: .stop), folder: String = ""
    ) {
        (self.queue, self.share, self.folder) = (queue, share, folder)
    }

    /// Where torrents of a category go; empty: nowhere is said.
    package func folder(category: String, path: String) -> String {
        if !path.isEmpty { return path }
        if category.isEmpty || folder.isEmpty { return folder }
        return folder == "/" ? "/" + category : folder + "/" + category
    }
}

extension TorrentRecord {
    package mutating func apply(_ e: TorrentEdit) {
        if let v = e.name { options.name = v }
        if let v = e.comment { options.comment = v }
        if let v = e.category { options.category = v }
        if let v = e.tags { options.tags = v.sortedOnce }
        if !e.addTags.isEmpty { options.tags = (options.tags + e.addTags).sortedOnce }
        if !e.removeTags.isEmpty { options.tags.removeAll { e.removeTags.contains($0) } }
        if let v = e.isAutoManaged { options.isAutoManaged = v }
        if let v = e.isPaused { isPaused = v }
        if let v = e.isSequential { isSequential = v }
        if let v = e.isFirstLastFirst { options.isFirstLastFirst = v }
        if let v = e.isSuperSeeding { options.isSuperSeeding = v }
        if let v = e.isForced { options.isForced = v }
        if let v = e.ratio { options.share.ratio = v }
        if let v = e.seeding { options.share.seeding = v }
        if let v = e.inactive { options.share.inactive = v }
        if let v = e.action { options.share.action = v }
        if let v = e.stopCondition { options.stopCondition = v }
        if let v = e.downLimit { limits.down = v }
        if let v = e.upLimit { limits.up = v }
        if let v = e.trackers { facts.trackers = v }
        if let v = e.rank { options.rank = v }
        options.hooksDue.subtract(e.hooksDone)
        if let v = e.savePath { aim(at: v) }
        if let v = e.incompletePath { options.incompletePath = v }
        if let v = e.dataPath {
            if options.finalPath.isEmpty { options.finalPath = savePath }
            beginMove(to: v, names)
        }
        if let v = e.names {
            if facts.hasMetadata {
                if movingTo.isEmpty { (movingTo, movingNames, movingRoots) = (savePath, names, roots) }
                movingNames = v
                movingRoots = e.roots ?? roots
            } else {
                names = v
            }
        }
    }

    /// The data is to stand in `folder`: now, or, while it is elsewhere until complete, then.
    mutating func aim(at folder: String) {
        if !facts.hasMetadata {
            savePath = folder
        } else if !options.finalPath.isEmpty {
            options.finalPath = folder
        } else if folder != savePath {
            beginMove(to: folder, names)
        }
    }
    mutating func beginMove(to folder: String, _ plan: NamePlan) {
        (movingTo, movingNames, movingRoots) = (folder, plan, roots)
    }
    /// Where the user wants it.
    package var wantedPath: String { options.finalPath.isEmpty ? (movingTo.isEmpty ? savePath : movingTo) : options.finalPath }
}

extension [String] {
    package var sortedOnce: [String] { Array(Set(self)).sorted() }
}
