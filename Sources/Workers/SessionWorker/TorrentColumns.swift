import Catalog
import Foundation
import GRDB
import Limits
import Primitives

/// A ``TorrentRecord`` as a row. Unsigned 64-bit numbers are stored by their bits: SQLite's integers are signed.
enum TorrentColumns {
    private static let names = [
        "id", "info_hash", "info_hash_v2", "has_v1", "name", "root_name", "total_length", "piece_length", "piece_count", "file_count",
        "is_private", "metadata_offset", "metadata_length", "trackers", "save_path", "moving_to", "is_paused", "is_sequential",
        "skip_check", "was_magnet", "is_checked", "was_incomplete", "removal", "added_at", "completed_at", "peers", "limits",
    ]
    private static let counterNames = [
        "downloaded", "downloaded_again", "uploaded", "generation", "mark_downloaded", "mark_downloaded_again", "mark_uploaded",
    ]

    static let select =
        "SELECT \(names.map { "t.\($0)" }.joined(separator: ", ")), \(counterNames.map { "c.\($0)" }.joined(separator: ", ")) "
        + "FROM torrents t LEFT JOIN counters c ON c.torrent = t.id ORDER BY t.id"
    /// Not "OR REPLACE": that would delete the row first, and with it what refers to it.
    static let upsert =
        "INSERT INTO torrents (\(names.joined(separator: ", "))) VALUES (\(names.map { _ in "?" }.joined(separator: ", "))) "
        + "ON CONFLICT(id) DO UPDATE SET \(names.dropFirst().map { "\($0) = excluded.\($0)" }.joined(separator: ", "))"
    static let upsertCounters =
        "INSERT OR REPLACE INTO counters (torrent, \(counterNames.joined(separator: ", "))) "
        + "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE EXISTS (SELECT 1 FROM torrents WHERE id = ?1)"

    static func arguments(_ r: TorrentRecord) -> StatementArguments {
        let f = r.facts
        let v2: Data? = f.infoHashV2 == SHA256Digest() ? nil : Data(f.infoHashV2.bytes)
        return [
            Int64(r.id.rawValue), Data(f.infoHash.bytes), v2, f.hasV1, f.name, f.rootName, Int64(bitPattern: f.totalLength),
            Int64(f.pieceLength), Int64(f.pieceCount), Int64(f.fileCount), f.isPrivate, Int64(f.metadataOffset), Int64(f.metadataLength),
            text(f.trackers), r.savePath, r.movingTo, r.isPaused, r.isSequential, r.skipCheck, r.wasMagnet, r.isChecked, r.wasIncomplete,
            Int64(r.removal.rawValue), Int64(bitPattern: r.addedAt), Int64(bitPattern: r.completedAt),
            r.peers.map(\.description).joined(separator: "\n"), text(r.limits, r.limitGroup),
        ]
    }
    static func arguments(_ id: TorrentID, _ c: LifeCounters) -> StatementArguments {
        let total = c.total
        return [
            Int64(id.rawValue), bits(total.downloaded), bits(total.downloadedAgain), bits(total.uploaded), Int64(c.generation),
            bits(c.mark.downloaded), bits(c.mark.downloadedAgain), bits(c.mark.uploaded),
        ]
    }

    /// nil when the row holds what no commit of ours wrote.
    static func record(_ row: Row, sameRun: Bool) -> TorrentRecord? {
        guard let hash = InfoHash([UInt8](row[1] as Data)), let id = UInt32(exactly: row[0] as Int64), id > 0 else { return nil }
        var v2 = SHA256Digest()
        if let data = row[2] as Data? {
            guard let digest = SHA256Digest([UInt8](data)) else { return nil }
            v2 = digest
        }
        guard let pieceLength = UInt32(exactly: row[7] as Int64), let pieceCount = UInt32(exactly: row[8] as Int64),
            let fileCount = UInt32(exactly: row[9] as Int64), let offset = UInt32(exactly: row[11] as Int64),
            let length = UInt32(exactly: row[12] as Int64), let removal = TorrentRecord.Removal(rawValue: UInt8(clamping: row[22] as Int64))
        else { return nil }
        let facts = TorrentFacts(
            infoHash: hash, infoHashV2: v2, hasV1: row[3], name: row[4], rootName: row[5], totalLength: UInt64(bitPattern: row[6]),
            pieceLength: pieceLength, pieceCount: pieceCount, fileCount: fileCount, isPrivate: row[10], metadataOffset: offset,
            metadataLength: length, trackers: tiers(row[13]))
        var record = TorrentRecord(id: TorrentID(rawValue: id), facts: facts, savePath: row[14], addedAt: UInt64(bitPattern: row[23]))
        record.movingTo = row[15]
        record.isPaused = row[16]
        record.isSequential = row[17]
        record.skipCheck = row[18]
        record.wasMagnet = row[19]
        record.isChecked = row[20]
        record.wasIncomplete = row[21]
        record.removal = removal
        record.completedAt = UInt64(bitPattern: row[24])
        record.peers = (row[25] as String).split(separator: "\n").compactMap { Endpoint($0) }
        (record.limits, record.limitGroup) = limits(row["limits"])
        if let downloaded = row["downloaded"] as Int64? {
            record.counters = LifeCounters(
                total: TransferCounters(
                    downloaded: UInt64(bitPattern: downloaded), downloadedAgain: UInt64(bitPattern: row["downloaded_again"]),
                    uploaded: UInt64(bitPattern: row["uploaded"])),
                generation: UInt32(truncatingIfNeeded: row["generation"] as Int64),
                mark: TransferCounters(
                    downloaded: UInt64(bitPattern: row["mark_downloaded"]), downloadedAgain: UInt64(bitPattern: row["mark_downloaded_again"]),
                    uploaded: UInt64(bitPattern: row["mark_uploaded"])),
                sameRun: sameRun)
        }
        return record
    }

    /// "down up maxPeers group", "-" for what is not set; empty for a torrent without limits of its own.
    static func text(_ limits: TorrentLimits, _ group: String) -> String {
        guard limits != TorrentLimits() || !group.isEmpty else { return "" }
        func word(_ n: (some BinaryInteger)?) -> String { n.map { "\($0)" } ?? "-" }
        return "\(word(limits.down)) \(word(limits.up)) \(word(limits.maxPeers)) \(group.isEmpty ? "-" : group)"
    }
    /// No limits for anything that ``text(_:_:)`` does not write.
    static func limits(_ text: String) -> (TorrentLimits, group: String) {
        let words = text.split(separator: " ")
        guard words.count == 4 else { return (TorrentLimits(), "") }
        return (
            TorrentLimits(
                down: Int64(words[0]).map { max($0, 0) }, up: Int64(words[1]).map { max($0, 0) }, maxPeers: Int(words[2]).map { max($0, 1) }),
            words[3] == "-" ? "" : String(words[3])
        )
    }

    private static func bits(_ n: UInt64) -> Int64 { Int64(bitPattern: n) }

    /// One URL a line, an empty line between tiers. URLs hold no control characters.
    static func text(_ tiers: [[String]]) -> String { tiers.map { $0.joined(separator: "\n") }.joined(separator: "\n\n") }
    static func tiers(_ text: String) -> [[String]] {
        var out: [[String]] = [[]]
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty { out.append([]) } else { out[out.count - 1].append(String(line)) }
        }
        return out.filter { !$0.isEmpty }
    }
}
