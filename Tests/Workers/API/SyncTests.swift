import APIWorker
import Foundation
import IPC
import Primitives
import Testing

/// A row as the session tells it.
func row(_ id: UInt32, name: String = "a", downloaded: UInt64 = 0, downRate: UInt64 = 0, phase: UInt8 = 1, trackers: [String] = [], flags: UInt32 = 1 | 64) -> ApiTorrent {
    ApiTorrent(
        torrent: id, infoHash: SHA1Digest([UInt8](repeating: UInt8(truncatingIfNeeded: id), count: 20))!, infoHashV2: SHA256Digest(), flags: flags, phase: phase, diskState: 2,
        totalLength: 1000, pieceLength: 100, pieceCount: 10, fileCount: 1, piecesHave: 0, piecesChecked: 0, bytesHave: 0, downRate: downRate, upRate: 0, peers: 3, seeds: 1,
        downloaded: downloaded, downloadedAgain: 0, uploaded: 0, addedAt: 1_700_000_000, completedAt: 0, name: name, rootName: name, savePath: "/d", movingTo: "", error: "",
        trackers: trackers.map { ApiTracker(tier: 0, state: 2, seeds: 5, leechers: 6, downloads: 7, nextAnnounce: 0, url: $0, message: "") }, downLimit: -1, upLimit: -1, options: 0, queuePosition: 0,
        ratioLimit: -2,
        seedingTimeLimit: -2, inactiveTimeLimit: -2, maxRatio: -1, maxSeedingTime: -1, maxInactiveTime: -1, lastActivity: 0, seenComplete: 0, timeActive: 0, seedingTime: 0, availability: -1000,
        downloadedSession: 0, uploadedSession: 0, maxPeers: 200, bytesWanted: 1000, bytesWantedHave: 0)
}

private func answer(_ state: inout MirrorState, _ position: inout SyncPosition, _ rid: Int) throws -> [String: Any] {
    let bytes = MainData.answer(&state, &position, rid: rid, extra: [])
    return try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
}

@Suite struct MainDataTests {
    private func hash(_ id: Int) -> String { String(repeating: String(id, radix: 16).count == 1 ? "0\(String(id, radix: 16))" : String(id, radix: 16), count: 20) }

    @Test func firstEverythingThenWhatChanged() throws {
        var state = MirrorState(), position = SyncPosition()
        state.put(row(1, name: "one", trackers: ["http://t/a"]))
        state.put(row(2, name: "two"))
        let full = try answer(&state, &position, 0)
        #expect(full["full_update"] as? Bool == true && full["rid"] as? Int == 1)
        #expect((full["torrents"] as? [String: Any])?.count == 2)
        let trackers = full["trackers"] as? [String: [String]]
        #expect(trackers == ["http://t/a": [hash(1)]])

        let idle = try answer(&state, &position, 1)
        #expect(Set(idle.keys) == ["rid"], "nothing but the rid: \(idle.keys)")

        state.put(row(1, name: "one", downRate: 500, trackers: ["http://t/a"]))
        let delta = try answer(&state, &position, 2)
        let changed = try #require((delta["torrents"] as? [String: [String: Any]])?[hash(1)])
        #expect(Set(changed.keys) == ["dlspeed", "state", "eta"], "only what changed: \(changed.keys)")
        #expect(changed["dlspeed"] as? Int == 500 && changed["state"] as? String == "downloading" && changed["eta"] as? Int == 2)
        #expect((delta["torrents"] as? [String: Any])?.count == 1)
        #expect((delta["server_state"] as? [String: Any])?["dl_info_speed"] as? Int == 500)
    }

    @Test func aLostAnswerComesAgainWithWhatCameSince() throws {
        var state = MirrorState(), position = SyncPosition()
        state.put(row(1))
        _ = try answer(&state, &position, 0)
        state.put(row(2))
        _ = try answer(&state, &position, 1)  // rid 2, lost
        state.put(row(3))
        let again = try answer(&state, &position, 1)
        #expect(Set((again["torrents"] as? [String: Any] ?? [:]).keys) == [hash(2), hash(3)])
        #expect(again["full_update"] == nil)
        // That of long ago is not known any more.
        _ = try answer(&state, &position, 3)
        #expect(try answer(&state, &position, 1)["full_update"] as? Bool == true)
    }

    @Test func removalsAndTheirReturn() throws {
        var state = MirrorState(), position = SyncPosition()
        state.put(row(1, trackers: ["http://t/a"]))
        state.put(row(2))
        _ = try answer(&state, &position, 0)
        state.remove(1)
        let delta = try answer(&state, &position, 1)
        #expect(delta["torrents_removed"] as? [String] == [hash(1)] && delta["trackers_removed"] as? [String] == ["http://t/a"])
        // Another session worker tells the table anew: what it does not name is gone, the rest is no change.
        state.put(row(3))
        state.replayed([3], startedAt: 1)
        let replay = try answer(&state, &position, 2)
        #expect(replay["torrents_removed"] as? [String] == [hash(2)])
        #expect(Set((replay["torrents"] as? [String: Any] ?? [:]).keys) == [hash(3)])
    }

    @Test func ridsWrapAtAMillion() {
        var position = SyncPosition()
        var rid = position.advance(rid: 0, to: 1, oldest: 0).rid
        for version in UInt64(2)...1_000_001 {
            let next = position.advance(rid: rid, to: version, oldest: 0)
            guard next.base == version - 1 else {
                Issue.record("no delta after rid \(rid)")
                return
            }
            rid = next.rid
        }
        #expect(rid == 1)
    }

    @Test func tenThousandIdleTorrentsCostLittle() throws {
        var state = MirrorState(), position = SyncPosition()
        for id in 1...10_000 as ClosedRange<UInt32> {
            var r = row(id)
            r.infoHash = SHA1Digest(withUnsafeBytes(of: id) { [UInt8]($0) } + [UInt8](repeating: 9, count: 16))!
            state.put(r)
        }
        let full = MainData.answer(&state, &position, rid: 0, extra: [])
        #expect(full.count > 10_000_000)
        let idle = MainData.answer(&state, &position, rid: 1, extra: [])
        #expect(idle.count < 64)
    }
}

@Suite struct StateTests {
    /// phase, disk state, flags (16: complete), down, up, completed → state.
    @Test(arguments: [
        (0, 1, 1, 0, 0, 0, "checkingDL"), (0, 1, 1, 0, 0, 5, "checkingUP"), (1, 2, 1, 0, 0, 0, "stalledDL"), (1, 2, 1, 9, 0, 0, "downloading"),
        (2, 2, 17, 0, 0, 5, "stalledUP"), (2, 2, 17, 0, 9, 5, "uploading"), (3, 6, 17, 0, 0, 5, "stoppedUP"), (4, 6, 1, 0, 0, 0, "stoppedDL"),
        (5, 2, 1, 0, 0, 0, "queuedDL"), (5, 2, 17, 0, 0, 5, "queuedUP"), (6, 0, 0, 0, 0, 0, "metaDL"), (7, 0, 1, 0, 0, 0, "checkingResumeData"),
        (7, 5, 1, 0, 0, 0, "moving"), (8, 3, 1, 0, 0, 0, "error"), (8, 4, 1, 0, 0, 0, "missingFiles"),
    ]) func names(_ phase: Int, _ disk: Int, _ flags: Int, _ down: Int, _ up: Int, _ completed: Int, _ name: String) {
        var r = row(1)
        (r.phase, r.diskState, r.flags, r.downRate, r.upRate, r.completedAt) = (UInt8(phase), UInt8(disk), UInt32(flags), UInt64(down), UInt64(up), UInt64(completed))
        #expect(TorrentState51(r).rawValue == name)
    }

    @Test func integersStayIntegers() throws {
        var state = MirrorState()
        state.put(row(1))
        let entry = try #require(state.entry(String(repeating: "01", count: 20)))
        var json = JSONBytes()
        json.open()
        entry.shown.append(to: &json, withHash: true)
        json.close()
        let text = String(decoding: json.bytes, as: UTF8.self)
        for field in ["\"size\":1000,", "\"completion_on\":-1,", "\"eta\":8640000,", "\"max_ratio\":-1,", "\"priority\":0,", "\"private\":false,"] {
            #expect(text.contains(field), "\(field) in \(text)")
        }
        let names = try #require(JSONSerialization.jsonObject(with: Data(json.bytes)) as? [String: Any]).keys
        #expect(Set(names).isSuperset(of: ["f_l_piece_prio", "infohash_v1", "num_incomplete", "up_limit", "seq_dl", "auto_tmm", "hash", "magnet_uri"]))
        #expect(names.count == TorrentFields.Field.allCases.count)
    }
}

@Suite struct QueryTests {
    private func names(_ query: String) throws -> [String] {
        var state = MirrorState()
        state.put(row(1, name: "b", phase: 2, flags: 1 | 16 | 64))
        state.put(row(2, name: "A", downRate: 7))
        state.put(row(3, name: "c", phase: 4, flags: 1 | 2 | 4 | 64))
        return try TorrentQuery(Parameters(encoded: query.utf8)).run(state).map(\.row.name)
    }

    @Test(arguments: [
        ("", ["b", "A", "c"]), ("filter=completed", ["b"]), ("filter=seeding", ["b"]), ("filter=downloading", ["A", "c"]), ("filter=stopped", ["c"]),
        ("filter=paused", ["c"]), ("filter=running", ["b", "A"]), ("filter=active", ["A"]), ("filter=inactive", ["b", "c"]), ("filter=nonsense", ["b", "A", "c"]),
        ("sort=name", ["A", "b", "c"]), ("sort=name&reverse=True", ["c", "b", "A"]), ("limit=1&offset=1", ["A"]), ("offset=-1", ["c"]), ("limit=-1", ["b", "A", "c"]),
        ("private=true", ["c"]), ("category=", ["b", "A", "c"]), ("category=x", []), ("tag=", ["b", "A", "c"]),
        ("hashes=0101010101010101010101010101010101010101%7Cffffffffffffffffffffffffffffffffffffffff", ["b"]), ("offset=99", []),
    ]) func filtersSortsAndCuts(_ query: String, _ wanted: [String]) throws { #expect(try names(query) == wanted) }

    /// A page of many is picked without sorting the rest: it must be the page that sorting gives.
    @Test(arguments: ["name", "added_on", "state", "downloaded"], ["", "&reverse=true"])
    func aPageIsAPartOfTheSortedList(_ key: String, _ order: String) throws {
        var state = MirrorState()
        for id in 1...500 as ClosedRange<UInt32> { state.put(row(id, name: "Name \(id &* 7919 % 97)", downloaded: UInt64(id % 5))) }
        func ids(_ cut: String) throws -> [UInt32] { try TorrentQuery(Parameters(encoded: "sort=\(key)\(order)\(cut)".utf8)).run(state).map(\.row.torrent) }
        let all = try ids("")
        #expect(all.count == 500)
        for (offset, limit) in [(0, 1), (0, 20), (30, 20), (90, 10)] {
            #expect(try ids("&offset=\(offset)&limit=\(limit)") == Array(all[offset..<offset + limit]))
        }
    }

    @Test func aCopyOfAnEntryKeepsWhatItWas() {
        var state = MirrorState()
        state.put(row(1, name: "before"))
        let copy = state.entry(id: 1)
        state.put(row(1, name: "after"))
        #expect(copy?.row.name == "before")
        #expect(copy?.shown[.name] == .text("before"))
        #expect(state.entry(id: 1)?.row.name == "after")
    }

    @Test func aWrongSortKeyIsRefused() { #expect(throws: Refusal.self) { try names("sort=nonsense") } }
}
