import Catalog
import Foundation
import GRDB
import Observe
import Primitives

/// The catalogue on disk: SQLite in WAL mode, synchronous=FULL, so that a commit that returned survives a power cut.
/// One writer; commits come one at a time from the pool, loading happens before the first of them.
package final class CatalogStore: Sendable {
    package static let fileName = "session.sqlite"

    /// What a start finds.
    package struct Loaded {
        package var records: [(TorrentRecord, Bitfield?)] = []
        package var nextID: UInt32 = 1
        package var settings: [String: String] = [:]
        /// The last run ended with its final checkpoint. True for a store that has just been made.
        package var wasClean = true
        package var trackerKey: UInt32 = 0
        package var peerID: PeerID?
        package var categories: [String: String] = [:]
        package var tags: Set<String> = []
        package var totals = CatalogTotals()
        /// Only within a run: to trackers a later one is another peer.
        package var schedules: [(TorrentID, [TrackerReport])] = []
        package init() {}
    }

    package enum Failure: Error, CustomStringConvertible {
        /// The file is not a database any more: the next start sets it aside.
        case damaged(String)
        /// Full, read-only, I/O error: the same commit may work later.
        case refused(String)
        package var description: String {
            switch self {
            case .damaged(let why): "the state database is damaged: \(why)"
            case .refused(let why): "the state database refused the change: \(why)"
            }
        }
    }

    private let queue: DatabaseQueue

    /// Opens or makes the store. Throws when it is damaged; who opens sets it aside by ``setAside(in:)`` and tries again.
    package init(directory: String) throws(Failure) {
        do {
            var configuration = Configuration()
            configuration.journalMode = .wal
            configuration.busyMode = .timeout(5)
            configuration.label = "session"
            configuration.prepareDatabase { db in
                try db.execute(sql: "PRAGMA synchronous=FULL")
                // 8 MiB of pages: the hot part of 50,000 rows.
                try db.execute(sql: "PRAGMA cache_size=-8192")
                try db.execute(sql: "PRAGMA foreign_keys=ON")
            }
            queue = try DatabaseQueue(path: directory + "/" + Self.fileName, configuration: configuration)
            try Self.migrations.migrate(queue)
            let verdict = try queue.read { db in try String.fetchOne(db, sql: "PRAGMA quick_check(1)") }
            if verdict != "ok" { throw Failure.damaged(verdict ?? "no answer") }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Self.failure(error)
        }
    }

    package static func exists(in directory: String) -> Bool { access(directory + "/" + fileName, F_OK) == 0 }

    /// Renames the files of a damaged database to `session.sqlite.damaged-N`. Returns the new name.
    package static func setAside(in directory: String) -> String {
        let path = directory + "/" + fileName
        var n = 1
        while access("\(path).damaged-\(n)", F_OK) == 0 { n += 1 }
        for suffix in ["", "-wal", "-shm"] { rename(path + suffix, "\(path).damaged-\(n)\(suffix)") }
        return "\(fileName).damaged-\(n)"
    }

    private static let migrations: DatabaseMigrator = {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 catalogue") { db in
            try db.execute(
                sql: """
                    CREATE TABLE torrents (
                        id INTEGER PRIMARY KEY,
                        info_hash BLOB NOT NULL UNIQUE,
                        info_hash_v2 BLOB,
                        has_v1 INTEGER NOT NULL,
                        name TEXT NOT NULL,
                        root_name TEXT NOT NULL,
                        total_length INTEGER NOT NULL,
                        piece_length INTEGER NOT NULL,
                        piece_count INTEGER NOT NULL,
                        file_count INTEGER NOT NULL,
                        is_private INTEGER NOT NULL,
                        metadata_offset INTEGER NOT NULL,
                        metadata_length INTEGER NOT NULL,
                        trackers TEXT NOT NULL,
                        save_path TEXT NOT NULL,
                        moving_to TEXT NOT NULL,
                        is_paused INTEGER NOT NULL,
                        is_sequential INTEGER NOT NULL,
                        skip_check INTEGER NOT NULL,
                        was_magnet INTEGER NOT NULL,
                        is_checked INTEGER NOT NULL,
                        was_incomplete INTEGER NOT NULL,
                        removal INTEGER NOT NULL,
                        added_at INTEGER NOT NULL,
                        completed_at INTEGER NOT NULL,
                        peers TEXT NOT NULL
                    );
                    -- Apart from the torrents, since these are written every few seconds.
                    CREATE TABLE counters (
                        torrent INTEGER PRIMARY KEY REFERENCES torrents(id) ON DELETE CASCADE,
                        downloaded INTEGER NOT NULL,
                        downloaded_again INTEGER NOT NULL,
                        uploaded INTEGER NOT NULL,
                        generation INTEGER NOT NULL,
                        mark_downloaded INTEGER NOT NULL,
                        mark_downloaded_again INTEGER NOT NULL,
                        mark_uploaded INTEGER NOT NULL
                    );
                    CREATE TABLE durable (
                        torrent INTEGER PRIMARY KEY REFERENCES torrents(id) ON DELETE CASCADE,
                        bits BLOB NOT NULL
                    );
                    CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
                    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
                    """)
        }
        migrator.registerMigration("limits of torrents") { db in
            try db.execute(sql: "ALTER TABLE torrents ADD COLUMN limits TEXT NOT NULL DEFAULT ''")
        }
        migrator.registerMigration("file levels") { db in
            // As FileLevels.text: "0-3=skip,7=high". Torrents of which all files are wanted alike have no row.
            try db.execute(
                sql: "CREATE TABLE file_levels (torrent INTEGER PRIMARY KEY REFERENCES torrents(id) ON DELETE CASCADE, levels TEXT NOT NULL, is_done INTEGER NOT NULL)")
        }
        migrator.registerMigration("bans") { db in
            // `until` and `made_at` in seconds since 1970, `reason` as in the frames.
            try db.execute(
                sql: "CREATE TABLE bans (address TEXT PRIMARY KEY, reason INTEGER NOT NULL, made_at INTEGER NOT NULL, until INTEGER NOT NULL)")
        }
        migrator.registerMigration("session features") { db in try db.execute(sql: OptionColumns.schema) }
        return migrator
    }()

    // MARK: start

    /// Reads everything. `sameRun`: the other workers may be those that counted before.
    package func load(sameRun: Bool) throws(Failure) -> Loaded {
        do {
            return try queue.read { db in
                var loaded = Loaded()
                var meta: [String: String] = [:]
                for row in try Row.fetchAll(db, sql: "SELECT key, value FROM meta") { meta[row[0]] = row[1] }
                for row in try Row.fetchAll(db, sql: "SELECT key, value FROM settings") { loaded.settings[row[0]] = row[1] }
                loaded.nextID = meta["next_id"].flatMap { UInt32($0) } ?? 1
                loaded.wasClean = meta["clean"] != "0"
                loaded.trackerKey = meta["tracker_key"].flatMap { UInt32($0) } ?? 0
                loaded.peerID = meta["peer_id"].flatMap { PeerID(hex: $0) }
                for row in try Row.fetchAll(db, sql: "SELECT name, save_path FROM categories") { loaded.categories[row[0]] = row[1] }
                loaded.tags = try Set(String.fetchAll(db, sql: "SELECT name FROM tags"))
                loaded.totals = Self.totals(meta["totals"])
                var activities: [UInt32: TorrentActivity] = [:]
                let activity = try Row.fetchCursor(db, sql: "SELECT * FROM activity")
                while let row = try activity.next() { activities[row[0]] = OptionColumns.activity(row) }
                if sameRun {
                    for row in try Row.fetchAll(db, sql: "SELECT torrent, trackers FROM schedule") {
                        loaded.schedules.append((TorrentID(rawValue: row[0]), OptionColumns.schedule(row[1] as String)))
                    }
                }
                var durable: [UInt32: [UInt8]] = [:]
                let bits = try Row.fetchCursor(db, sql: "SELECT torrent, bits FROM durable")
                while let row = try bits.next() { durable[row[0]] = [UInt8](row[1] as Data) }
                var levels: [UInt32: (text: String, isDone: Bool)] = [:]
                for row in try Row.fetchAll(db, sql: "SELECT torrent, levels, is_done FROM file_levels") { levels[row[0]] = (row[1], row[2]) }
                let rows = try Row.fetchCursor(db, sql: TorrentColumns.select)
                while let row = try rows.next() {
                    guard var record = TorrentColumns.record(row, sameRun: sameRun) else {
                        throw Failure.damaged("row \(row[0] as Int64) of torrents")
                    }
                    // From before there was an order: that of adding.
                    record.options.rank = Int64(record.id.rawValue)
                    if let known = activities[record.id.rawValue] { record.activity = known }
                    if let stored = levels[record.id.rawValue] {
                        guard let read = FileLevels(stored.text) else { throw Failure.damaged("row \(record.id) of file_levels") }
                        record.levels = read
                        record.isSelectionDone = stored.isDone
                    }
                    let stored = durable[record.id.rawValue]
                    loaded.records.append((record, stored.flatMap { Bitfield(wire: $0, count: Int(record.facts.pieceCount)) }))
                }
                var places: [UInt32: Int] = [:]
                for (i, item) in loaded.records.enumerated() { places[item.0.id.rawValue] = i }
                let options = try Row.fetchCursor(db, sql: "SELECT * FROM options")
                while let row = try options.next() {
                    if let at = places[row[0]] { OptionColumns.read(row, into: &loaded.records[at].0) }
                }
                // The counting began with what the torrents had counted by then.
                if meta["totals"] == nil {
                    for (record, _) in loaded.records {
                        loaded.totals.transfer = loaded.totals.transfer + record.counters.total
                        loaded.totals.added += 1
                        if record.completedAt != 0, record.wasIncomplete { loaded.totals.completed += 1 }
                    }
                }
                return loaded
            }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Self.failure(error)
        }
    }

    package func setMeta(_ pairs: [(String, String)]) throws(Failure) {
        do {
            try queue.write { db in
                for (key, value) in pairs {
                    try db.execute(sql: "INSERT OR REPLACE INTO meta VALUES (?, ?)", arguments: [key, value])
                }
            }
        } catch { throw Self.failure(error) }
    }

    /// Those that had not ended at `now`; the others are gone afterwards.
    package func loadBans(now: UInt64) throws(Failure) -> [StoredBan] {
        do {
            return try queue.write { db in
                try db.execute(sql: "DELETE FROM bans WHERE until <= ?", arguments: [Int64(clamping: now)])
                return try Row.fetchAll(db, sql: "SELECT address, reason, made_at, until FROM bans LIMIT 10000").compactMap { row in
                    guard let endpoint = Endpoint(row[0] as String) else { return nil }
                    return StoredBan(
                        endpoint: endpoint, reason: UInt8(clamping: row[1] as Int64), madeAt: UInt64(clamping: row[2] as Int64),
                        until: UInt64(clamping: row[3] as Int64))
                }
            }
        } catch { throw Self.failure(error) }
    }

    package func saveBans(_ puts: [StoredBan], deleting: [String]) throws(Failure) {
        do {
            try queue.write { db in
                for address in deleting { try db.execute(sql: "DELETE FROM bans WHERE address = ?", arguments: [address]) }
                for ban in puts {
                    try db.execute(
                        sql: "INSERT OR REPLACE INTO bans VALUES (?, ?, ?, ?)",
                        arguments: [ban.endpoint.description, Int64(ban.reason), Int64(clamping: ban.madeAt), Int64(clamping: ban.until)])
                }
            }
        } catch { throw Self.failure(error) }
    }

    // MARK: run

    /// All of the batch or nothing; on return it is on disk.
    package func commit(_ batch: StoreBatch) throws(Failure) {
        do {
            try queue.write { db in
                let delete = try db.cachedStatement(sql: "DELETE FROM torrents WHERE id = ?")
                for id in batch.deletes { try delete.execute(arguments: [Int64(id.rawValue)]) }
                let put = try db.cachedStatement(sql: TorrentColumns.upsert)
                let counters = try db.cachedStatement(sql: TorrentColumns.upsertCounters)
                let options = try db.cachedStatement(sql: OptionColumns.putOptions)
                let levels = try db.cachedStatement(sql: "INSERT OR REPLACE INTO file_levels VALUES (?, ?, ?)")
                let noLevels = try db.cachedStatement(sql: "DELETE FROM file_levels WHERE torrent = ?")
                for record in batch.puts {
                    try put.execute(arguments: TorrentColumns.arguments(record))
                    try options.execute(arguments: OptionColumns.options(record))
                    try counters.execute(arguments: TorrentColumns.arguments(record.id, record.counters))
                    if record.levels.isDefault {
                        try noLevels.execute(arguments: [Int64(record.id.rawValue)])
                    } else {
                        try levels.execute(arguments: [Int64(record.id.rawValue), record.levels.text, record.isSelectionDone])
                    }
                }
                // What was removed meanwhile has no row to refer to.
                let durable = try db.cachedStatement(
                    sql: "INSERT OR REPLACE INTO durable SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM torrents WHERE id = ?1)")
                for item in batch.durables { try durable.execute(arguments: [Int64(item.torrent.rawValue), Data(item.bytes)]) }
                let activity = try db.cachedStatement(sql: OptionColumns.putActivity)
                for item in batch.counters {
                    try counters.execute(arguments: TorrentColumns.arguments(item.torrent, item.counters))
                    try activity.execute(arguments: OptionColumns.activity(item.torrent, item.activity))
                }
                let schedule = try db.cachedStatement(sql: OptionColumns.putSchedule)
                for item in batch.schedules { try schedule.execute(arguments: [Int64(item.torrent.rawValue), OptionColumns.schedule(item.trackers)]) }
                for item in batch.categories {
                    if let path = item.value {
                        try db.execute(sql: "INSERT OR REPLACE INTO categories VALUES (?, ?)", arguments: [item.key, path])
                    } else {
                        try db.execute(sql: "DELETE FROM categories WHERE name = ?", arguments: [item.key])
                    }
                }
                for item in batch.tags {
                    let sql = item.value == nil ? "DELETE FROM tags WHERE name = ?" : "INSERT OR IGNORE INTO tags VALUES (?)"
                    try db.execute(sql: sql, arguments: [item.key])
                }
                if let totals = batch.totals { try db.execute(sql: "INSERT OR REPLACE INTO meta VALUES ('totals', ?)", arguments: [Self.text(totals)]) }
                for setting in batch.settings {
                    if let value = setting.value {
                        try db.execute(sql: "INSERT OR REPLACE INTO settings VALUES (?, ?)", arguments: [setting.key, value])
                    } else {
                        try db.execute(sql: "DELETE FROM settings WHERE key = ?", arguments: [setting.key])
                    }
                }
                try db.execute(sql: "INSERT OR REPLACE INTO meta VALUES ('next_id', ?)", arguments: [String(batch.nextID)])
            }
        } catch { throw Self.failure(error) }
    }

    private static func text(_ t: CatalogTotals) -> String {
        [t.transfer.downloaded, t.transfer.downloadedAgain, t.transfer.uploaded, t.added, t.completed, t.since].map(String.init).joined(separator: " ")
    }
    private static func totals(_ text: String?) -> CatalogTotals {
        var t = CatalogTotals()
        let n = (text ?? "").split(separator: " ").compactMap { UInt64($0) }
        guard n.count == 6 else { return t }
        t.transfer = TransferCounters(downloaded: n[0], downloadedAgain: n[1], uploaded: n[2])
        (t.added, t.completed, t.since) = (n[3], n[4], n[5])
        return t
    }

    // MARK: items: small things that are read and written whole

    /// Key and JSON text of each item of a kind, by key.
    package func items(_ kind: String) throws(Failure) -> [(key: String, value: String)] {
        do {
            return try queue.read { db in
                try Row.fetchAll(db, sql: "SELECT key, value FROM items WHERE kind = ? ORDER BY key", arguments: [kind]).map { ($0[0], $0[1]) }
            }
        } catch { throw Self.failure(error) }
    }
    /// nil removes. All of them or none.
    package func put(_ kind: String, _ changes: [(key: String, value: String?)]) throws(Failure) {
        do {
            try queue.write { db in
                for change in changes {
                    if let value = change.value {
                        try db.execute(sql: "INSERT OR REPLACE INTO items VALUES (?, ?, ?)", arguments: [kind, change.key, value])
                    } else {
                        try db.execute(sql: "DELETE FROM items WHERE kind = ? AND key = ?", arguments: [kind, change.key])
                    }
                }
            }
        } catch { throw Self.failure(error) }
    }

    /// The end of a drain: everything is in the main file and said to be whole.
    package func close(clean: Bool) throws(Failure) {
        if clean { try setMeta([("clean", "1")]) }
        do {
            try queue.writeWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
            try queue.close()
        } catch { throw Self.failure(error) }
    }

    private static func failure(_ error: any Error) -> Failure {
        if let failure = error as? Failure { return failure }
        guard let error = error as? DatabaseError else { return .refused("\(error)") }
        let text = error.message ?? "\(error.resultCode)"
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: return .damaged(text)
        default: return .refused(text)
        }
    }
}
