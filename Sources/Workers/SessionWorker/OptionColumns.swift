import Catalog
import Foundation
import GRDB
import Primitives

/// What a user said of a torrent, what passed over it and when its trackers are due, as rows of tables of their own: the
/// first changes by hand, the second every few seconds, the third with each announce.
enum OptionColumns {
    static let schema = """
        CREATE TABLE options (
            torrent INTEGER PRIMARY KEY REFERENCES torrents(id) ON DELETE CASCADE,
            name TEXT NOT NULL, comment TEXT NOT NULL, category TEXT NOT NULL, tags TEXT NOT NULL,
            is_auto_managed INTEGER NOT NULL, is_first_last_first INTEGER NOT NULL, is_super_seeding INTEGER NOT NULL, is_forced INTEGER NOT NULL,
            ratio INTEGER NOT NULL, seeding INTEGER NOT NULL, inactive INTEGER NOT NULL, action INTEGER NOT NULL,
            stop_condition INTEGER NOT NULL, final_path TEXT NOT NULL, incomplete_path TEXT NOT NULL, incomplete_suffix TEXT NOT NULL,
            layout INTEGER NOT NULL, rank INTEGER NOT NULL, hooks_due INTEGER NOT NULL,
            renames TEXT NOT NULL, suffix TEXT NOT NULL, moving_renames TEXT NOT NULL, moving_suffix TEXT NOT NULL,
            roots TEXT NOT NULL, moving_roots TEXT NOT NULL
        );
        CREATE TABLE activity (
            torrent INTEGER PRIMARY KEY REFERENCES torrents(id) ON DELETE CASCADE,
            active INTEGER NOT NULL, seeding INTEGER NOT NULL, idle INTEGER NOT NULL, last_activity INTEGER NOT NULL, seen_complete INTEGER NOT NULL
        );
        CREATE TABLE schedule (torrent INTEGER PRIMARY KEY REFERENCES torrents(id) ON DELETE CASCADE, trackers TEXT NOT NULL);
        CREATE TABLE categories (name TEXT PRIMARY KEY, save_path TEXT NOT NULL);
        CREATE TABLE tags (name TEXT PRIMARY KEY);
        -- One JSON text each: read and written whole, by the kind that owns it.
        CREATE TABLE items (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key));
        """

    static let putOptions = "INSERT OR REPLACE INTO options VALUES (\(Array(repeating: "?", count: 26).joined(separator: ", ")))"
    static let putActivity = "INSERT OR REPLACE INTO activity SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM torrents WHERE id = ?1)"
    static let putSchedule = "INSERT OR REPLACE INTO schedule SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM torrents WHERE id = ?1)"

    static func options(_ r: TorrentRecord) -> StatementArguments {
        let o = r.options
        return [
            Int64(r.id.rawValue), o.name, o.comment, o.category, lines(o.tags), o.isAutoManaged, o.isFirstLastFirst, o.isSuperSeeding, o.isForced,
            o.share.ratio, o.share.seeding, o.share.inactive, Int64(o.share.action.rawValue), Int64(o.stopCondition.rawValue), o.finalPath, o.incompletePath,
            o.incompleteSuffix, Int64(o.layout), o.rank, Int64(o.hooksDue.rawValue), text(r.names.renames), r.names.suffix, text(r.movingNames.renames),
            r.movingNames.suffix, lines(r.roots), lines(r.movingRoots),
        ]
    }
    static func read(_ row: Row, into r: inout TorrentRecord) {
        var o = TorrentOptions()
        o.name = row[1]
        o.comment = row[2]
        o.category = row[3]
        o.tags = unlines(row[4])
        o.isAutoManaged = row[5]
        o.isFirstLastFirst = row[6]
        o.isSuperSeeding = row[7]
        o.isForced = row[8]
        o.share = ShareLimits(ratio: row[9], seeding: row[10], inactive: row[11], action: ShareAction(rawValue: small(row[12])) ?? .standard)
        o.stopCondition = StopRule(rawValue: small(row[13])) ?? .none
        o.finalPath = row[14]
        o.incompletePath = row[15]
        o.incompleteSuffix = row[16]
        o.layout = small(row[17])
        o.rank = row[18]
        o.hooksDue = HookSet(rawValue: small(row[19]))
        r.options = o
        r.names = NamePlan(renames: renames(row[20]), suffix: row[21])
        r.movingNames = NamePlan(renames: renames(row[22]), suffix: row[23])
        r.roots = unlines(row[24])
        r.movingRoots = unlines(row[25])
    }
    private static func small(_ n: Int64) -> UInt8 { UInt8(clamping: n) }

    static func activity(_ id: TorrentID, _ a: TorrentActivity) -> StatementArguments {
        [
            Int64(id.rawValue), Int64(clamping: a.activeMilliseconds), Int64(clamping: a.seedingMilliseconds), Int64(clamping: a.idleMilliseconds),
            Int64(clamping: a.lastActivity), Int64(clamping: a.seenComplete),
        ]
    }
    static func activity(_ row: Row) -> TorrentActivity {
        var a = TorrentActivity()
        a.activeMilliseconds = UInt64(clamping: row[1] as Int64)
        a.seedingMilliseconds = UInt64(clamping: row[2] as Int64)
        a.idleMilliseconds = UInt64(clamping: row[3] as Int64)
        a.lastActivity = UInt64(clamping: row[4] as Int64)
        a.seenComplete = UInt64(clamping: row[5] as Int64)
        return a
    }

    /// One tracker a line: tier, next announce, started, completed due, URL. What it last said is not kept.
    static func schedule(_ trackers: [TrackerReport]) -> String {
        lines(trackers.map { "\($0.tier) \($0.nextAnnounce) \($0.startedSent ? 1 : 0) \($0.completedPending ? 1 : 0) \($0.url)" })
    }
    static func schedule(_ text: String) -> [TrackerReport] {
        unlines(text).compactMap { line in
            let parts = line.split(separator: " ", maxSplits: 4)
            guard parts.count == 5, let tier = UInt16(parts[0]), let next = UInt64(parts[1]) else { return nil }
            var report = TrackerReport(tier: tier, url: String(parts[4]), startedSent: parts[2] == "1", nextAnnounce: next)
            report.completedPending = parts[3] == "1"
            return report
        }
    }

    // Names hold no control characters.
    private static func lines(_ items: [String]) -> String { items.joined(separator: "\n") }
    private static func unlines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }
    private static func text(_ renames: [NamePlan.Rename]) -> String { lines(renames.map { $0.from + "\t" + $0.to }) }
    private static func renames(_ text: String) -> [NamePlan.Rename] {
        unlines(text).compactMap { line in
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
            return parts.count == 2 ? NamePlan.Rename(from: String(parts[0]), to: String(parts[1])) : nil
        }
    }
}
