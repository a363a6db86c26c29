import Catalog
import Control
import Primitives

/// What a session adds to a torrent's summary.
extension SessionShell {
    func addSession(_ row: CatalogRow, to s: inout TorrentSummary) {
        let record = row.record, options = record.options, now = loop.now
        s.category = options.category
        s.tags = options.tags
        s.comment = options.comment
        s.autoManaged = options.isAutoManaged
        s.forceStart = options.isForced
        s.superSeeding = options.isSuperSeeding
        s.firstLastFirst = options.isFirstLastFirst
        s.queuePosition = core.queuePosition(row)
        s.finalPath = options.finalPath.isEmpty ? nil : options.finalPath
        s.contentPath = record.contentPath
        s.moving = row.isMoving
        s.missingFiles = row.isDiskKnown && row.disk.condition == .missing
        addLimits(row, to: &s)
        s.stopCondition = Self.stopCondition(options.stopCondition)
        let activity = record.activity
        s.lastActivity = activity.lastActivity == 0 ? nil : activity.lastActivity
        s.seenComplete = activity.seenComplete == 0 ? nil : activity.seenComplete
        s.timeActive = row.activeMilliseconds(now) / 1000
        s.seedingTime = row.seedingMilliseconds(now) / 1000
        // What is known without asking the shard: a seed is a whole copy.
        s.availability = row.peers == 0 ? -1 : Double(row.seeds)
        let total = record.counters.total
        s.downloadedSession = total.downloaded - row.countersAtStart.downloaded
        s.uploadedSession = total.uploaded - row.countersAtStart.uploaded
        addTrackers(row, to: &s)
        s.hasMetadata = record.facts.hasMetadata
        s.pieceLength = record.facts.pieceLength
    }

    private func addLimits(_ row: CatalogRow, to s: inout TorrentSummary) {
        let own = row.record.options.share, share = own.resolved(core.rules.share)
        func ratio(_ n: Int64) -> Double { n < 0 ? Double(n) : Double(n) / 1000 }
        func minutes(_ n: Int64) -> Int64 { n < 0 ? n : n / 60 }
        s.ratioLimit = ratio(own.ratio)
        s.seedingTimeLimit = minutes(own.seeding)
        s.inactiveSeedingTimeLimit = minutes(own.inactive)
        s.maxRatio = ratio(share.ratio)
        s.maxSeedingTime = minutes(share.seeding)
        s.maxInactiveSeedingTime = minutes(share.inactive)
        s.limitAction = Self.action(own.action)
        s.downLimit = UInt64(max(0, row.record.limits.down ?? 0))
        s.upLimit = UInt64(max(0, row.record.limits.up ?? 0))
    }

    private func addTrackers(_ row: CatalogRow, to s: inout TorrentSummary) {
        s.trackersCount = row.record.facts.trackers.reduce(0) { $0 + $1.count }
        for tracker in row.trackers {
            if tracker.state == 2, s.tracker.isEmpty { s.tracker = tracker.url }
            if tracker.state >= 3 { s.trackerErrors += 1 }
            s.swarmSeeds = max(s.swarmSeeds, Int(tracker.seeds))
            s.swarmLeechers = max(s.swarmLeechers, Int(tracker.leechers))
            if tracker.nextAnnounce > 0 { s.nextAnnounce = min(s.nextAnnounce ?? .max, tracker.nextAnnounce) }
        }
    }

    static func action(_ action: ShareAction) -> LimitAction {
        switch action {
        case .standard: .standard
        case .stop: .stop
        case .remove: .remove
        case .removeWithData: .removeWithData
        case .superSeeding: .superSeeding
        }
    }
    static func action(_ action: LimitAction) -> ShareAction {
        switch action {
        case .standard: .standard
        case .stop: .stop
        case .remove: .remove
        case .removeWithData: .removeWithData
        case .superSeeding: .superSeeding
        }
    }
    static func stopCondition(_ rule: StopRule) -> StopCondition {
        switch rule {
        case .none: .none
        case .metadataReceived: .metadataReceived
        case .filesChecked: .filesChecked
        }
    }
    static func stopCondition(_ condition: StopCondition) -> StopRule {
        switch condition {
        case .none: .none
        case .metadataReceived: .metadataReceived
        case .filesChecked: .filesChecked
        }
    }
    static func layout(_ layout: ContentLayout) -> UInt8 {
        switch layout {
        case .original: 0
        case .subfolder: 1
        case .noSubfolder: 2
        }
    }

    /// -2 and -1 as they are, else thousandths; nil: out of range.
    static func ratio(_ n: Double?) throws(ControlError) -> Int64? {
        guard let n else { return nil }
        if n == -1 || n == -2 { return Int64(n) }
        guard n >= 0, n <= 9999 else { throw ControlError(.invalidParameters, "a ratio limit is 0..9999, -1 (none) or -2 (as the settings say)") }
        return Int64((n * 1000).rounded())
    }
    /// Minutes to seconds.
    static func limitSeconds(_ n: Int64?) throws(ControlError) -> Int64? {
        guard let n else { return nil }
        if n == -1 || n == -2 { return n }
        // 100 years.
        guard (0...52_560_000).contains(n) else { throw ControlError(.invalidParameters, "a time limit is 0..52560000 minutes, -1 (none) or -2 (as the settings say)") }
        return n * 60
    }
}
