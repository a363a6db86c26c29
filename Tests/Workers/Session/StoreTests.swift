import Catalog
import Foundation
import GRDB
import Primitives
import Testing

@testable import SessionWorker

/// Aim: what a commit returned for is there after any death of the process; what it did not return for is there whole or
/// not at all.
@Suite struct StoreTests {
    private func batch(_ records: [TorrentRecord], durables: [(UInt32, [UInt8])] = [], deletes: [UInt32] = []) -> StoreBatch {
        var batch = StoreBatch()
        batch.puts = records
        batch.durables = durables.map { .init(torrent: TorrentID(rawValue: $0.0), bytes: $0.1) }
        batch.deletes = deletes.map { TorrentID(rawValue: $0) }
        batch.nextID = (records.map(\.id.rawValue).max() ?? 0) + 1
        return batch
    }

    @Test func everyFieldComesBack() throws {
        let folder = TemporaryFolder()
        let store = try CatalogStore(directory: folder.path)
        var records = (1...7).map { Torrents.record($0) }
        records[2].facts.infoHashV2 = SHA256Digest([UInt8](repeating: 200, count: 32))!
        records[2].facts.isPrivate = true
        records[3].movingTo = "/elsewhere"
        records[4].removal = .deletingData
        records[5].facts.trackers = []
        records[5].peers = []
        records[6].facts.totalLength = .max
        records[1].levels = .only([0...0, 2...5])
        records[1].isSelectionDone = true
        records[6].counters.report(generation: 3, TransferCounters(downloaded: .max / 2, downloadedAgain: 4, uploaded: 5))
        var first = batch(records, durables: [(1, [0b1010_0000, 0]), (2, [0xFF, 0b1100_0000])])
        first.settings = [.init(key: "queue.max_active_seeding", value: "4")]
        try store.commit(first)
        let loaded = try store.load(sameRun: true)
        #expect(loaded.records.map(\.0) == records)
        #expect(loaded.records[0].1?.wireBytes == [0b1010_0000, 0])
        #expect(loaded.records[1].1?.isFull == true)
        #expect(loaded.records[2].1 == nil)
        #expect(loaded.nextID == 8)
        #expect(loaded.settings == ["queue.max_active_seeding": "4"])
    }

    @Test func anUpdateKeepsWhatRefersToTheRow() throws {
        let folder = TemporaryFolder()
        let store = try CatalogStore(directory: folder.path)
        var record = Torrents.record(1)
        try store.commit(batch([record], durables: [(1, [0x80, 0])]))
        record.isPaused.toggle()
        record.savePath = "/new"
        try store.commit(batch([record]))
        let loaded = try store.load(sameRun: false)
        #expect(loaded.records[0].0.savePath == "/new")
        #expect(loaded.records[0].1?.wireBytes == [0x80, 0])
        try store.commit(batch([], deletes: [1]))
        // Late news of what is gone are no error and leave nothing behind.
        var late = batch([], durables: [(1, [0xFF, 0])])
        late.counters = [.init(torrent: TorrentID(rawValue: 1), counters: record.counters)]
        try store.commit(late)
        #expect(try store.load(sameRun: false).records.isEmpty)
    }

    /// The files as another process would find them after a kill: copied while a transaction is open and unfinished.
    @Test func aCopyInTheMiddleOfATransactionHoldsTheLastCommit() throws {
        let folder = TemporaryFolder()
        let store = try CatalogStore(directory: folder.path)
        try store.commit(batch((1...50).map { Torrents.record($0) }, durables: [(1, [0xC0, 0])]))
        let second = try DatabaseQueue(path: folder.path + "/" + CatalogStore.fileName)
        var copies: [TemporaryFolder] = []
        try? second.write { db in
            try db.execute(sql: "UPDATE torrents SET save_path = '/half'")
            try db.execute(sql: "DELETE FROM torrents WHERE id > 25")
            copies.append(folder.copy())
            throw CancellationError()
        }
        try store.commit(batch([Torrents.record(51)]))
        copies.append(folder.copy())
        for (i, copy) in copies.enumerated() {
            let loaded = try CatalogStore(directory: copy.path).load(sameRun: false)
            #expect(loaded.records.count == 50 + i)
            #expect(loaded.records.allSatisfy { $0.0.savePath == "/data" })
            #expect(loaded.records[0].1?.wireBytes == [0xC0, 0])
        }
    }

    /// Every prefix of the log that a power cut may leave opens to one of the commits, never to something between.
    @Test func aTornLogOpensToACommit() throws {
        let folder = TemporaryFolder()
        let store = try CatalogStore(directory: folder.path)
        for n in 1...6 as ClosedRange<UInt32> { try store.commit(batch([Torrents.record(2 * n), Torrents.record(2 * n + 1)])) }
        let wal = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/session.sqlite-wal"))
        var random = SeededRandom(seed: 11), counts: Set<Int> = []
        for _ in 0..<40 {
            let copy = folder.copy()
            try? FileManager.default.removeItem(atPath: copy.path + "/session.sqlite-shm")
            try wal.prefix(random.below(wal.count)).write(to: URL(fileURLWithPath: copy.path + "/session.sqlite-wal"))
            guard let reopened = try? CatalogStore(directory: copy.path) else { continue }
            let ids = try reopened.load(sameRun: false).records.map(\.0.id.rawValue)
            #expect(ids.count % 2 == 0)
            #expect(ids == Array(2..<UInt32(2 + ids.count)))
            counts.insert(ids.count)
        }
        #expect(counts.count > 2)
    }

    @Test func cleanIsSaidByTheCloseOnly() throws {
        let folder = TemporaryFolder()
        #expect(try CatalogStore(directory: folder.path).load(sameRun: false).wasClean, "a store that is new")
        let store = try CatalogStore(directory: folder.path)
        try store.setMeta([("clean", "0")])
        #expect(try !CatalogStore(directory: folder.path).load(sameRun: false).wasClean)
        try store.close(clean: true)
        let loaded = try CatalogStore(directory: folder.path).load(sameRun: false)
        #expect(loaded.wasClean)
        #expect(((try? FileManager.default.attributesOfItem(atPath: folder.path + "/session.sqlite-wal")[.size] as? Int) ?? 0) == 0)
    }

    @Test func countersOfAnotherRunAreFolded() throws {
        let folder = TemporaryFolder()
        let store = try CatalogStore(directory: folder.path)
        var record = Torrents.record(1)
        record.counters.report(generation: 1, TransferCounters(downloaded: 100))
        try store.commit(batch([record]))
        for (sameRun, expected) in [(true, 150), (false, 250)] as [(Bool, UInt64)] {
            var counters = try store.load(sameRun: sameRun).records[0].0.counters
            #expect(counters.total.downloaded == 100)
            counters.report(generation: 1, TransferCounters(downloaded: 150))
            #expect(counters.total.downloaded == expected)
        }
    }

    // MARK: damage

    enum Damage: String, CaseIterable, Sendable {
        case garbage, truncated, middle, missing
    }

    /// A damaged database is kept aside, and everything that was added is there again, to be checked.
    @Test(arguments: Damage.allCases) func damageIsRepairedFromTheStoredTorrents(_ damage: Damage) throws {
        let folder = TemporaryFolder()
        let files = try StoredTorrents(stateDirectory: folder.path)
        do {
            let (store, _) = try CatalogOpening.open(stateDirectory: folder.path, files: files, sameRun: false)
            var records: [TorrentRecord] = []
            for i in 1...40 as ClosedRange<UInt32> {
                let note = TorrentReading.Note(savePath: "/data/\(i)", addedAt: UInt64(i), isPaused: i == 2, isSequential: i == 3)
                let reading = try TorrentReading(Torrents.make("file \(i)"), note: note)
                try files.write([(reading.facts.infoHash, .torrent(reading.stored))])
                var record = TorrentRecord(id: TorrentID(rawValue: i), facts: reading.facts, savePath: note.savePath, addedAt: note.addedAt)
                record.isChecked = true
                records.append(record)
            }
            let link = "magnet:?xt=urn:btih:" + String(repeating: "ab", count: 20) + "&dn=later"
            try files.write([(InfoHash(hex: String(repeating: "ab", count: 20))!, .magnet(link, savePath: "/m"))])
            try store.commit(batch(records))
            try store.close(clean: true)
        }
        let path = folder.path + "/" + CatalogStore.fileName
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        switch damage {
        case .garbage: bytes = Data(repeating: 0x55, count: 5000)
        case .truncated: bytes = bytes.prefix(bytes.count / 2)
        case .middle: for i in stride(from: 4096, to: bytes.count, by: 3) { bytes[i] = 0xEE }
        case .missing: break
        }
        if damage == .missing { try FileManager.default.removeItem(atPath: path) } else { try bytes.write(to: URL(fileURLWithPath: path)) }

        let (store, loaded) = try CatalogOpening.open(stateDirectory: folder.path, files: files, sameRun: false)
        #expect(loaded.records.count == 41)
        #expect(Set(loaded.records.map(\.0.savePath)) == Set((1...40).map { "/data/\($0)" } + ["/m"]))
        #expect(loaded.records.filter { $0.0.isPaused }.map(\.0.savePath) == ["/data/2"])
        #expect(loaded.records.filter { $0.0.isSequential }.map(\.0.savePath) == ["/data/3"])
        #expect(loaded.records.allSatisfy { !$0.0.isChecked && $0.1 == nil })
        #expect(loaded.records.filter { $0.0.wasMagnet }.map(\.0.facts.name) == ["later"])
        #expect(!loaded.wasClean)
        #expect(try store.load(sameRun: false).records.count == 41)
        #expect(FileManager.default.fileExists(atPath: path + ".damaged-1") == (damage != .missing))
        try store.close(clean: false)
        // What is whole is left alone.
        let again = try CatalogOpening.open(stateDirectory: folder.path, files: files, sameRun: false)
        #expect(again.loaded.records.count == 41)
        #expect(!FileManager.default.fileExists(atPath: path + ".damaged-2"))
    }
}
