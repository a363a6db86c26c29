import Control
import Foundation
import GRDB
import Glibc
import IPC
import Primitives
import Settings
import Testing

@testable import SessionWorker

/// Aim: the whole session worker as front ends and the other workers see it: the real program, its real socket and
/// store; the supervisor and the other workers are played by the test.
@Suite(.serialized, .timeLimit(.minutes(3))) struct SessionTests {
    private func code(_ body: () throws -> Void) -> ControlError.Code? {
        do {
            try body()
            return nil
        } catch { return (error as? ControlError)?.code }
    }
    private func ready(_ session: SessionProcess, _ torrent: UInt32, have: UInt32, of pieces: UInt32 = 3, state: DiskState = .ready) {
        let bytes = have == pieces ? UInt64(pieces) * 16384 - 100 : UInt64(have) * 16384
        session.disk.send(
            DiskTorrentState(torrent: torrent, state: state.rawValue, piecesHave: have, bytesHave: bytes, piecesChecked: have, errorKind: 0, bytesWanted: bytes, bytesWantedHave: bytes, selection: 0))
    }
    @discardableResult private func until<T>(_ seconds: Double = 10, _ body: () throws -> T?) throws -> T {
        let deadline = Date().addingTimeInterval(seconds)
        while Date() < deadline {
            if let value = try body() { return value }
            usleep(5000)
        }
        throw Waited()
    }

    @Test func aDownloadFromAddToCompletion() throws {
        let s = try SessionProcess(TemporaryFolder())
        let client = try s.client()
        #expect(try client.call(ControlMethods.Version.self, Empty()).control == Control.version)
        let added = try client.add(Torrents.make("a film"), peers: ["10.0.0.1:6881"])
        #expect(added.name == "a film")
        #expect(code { try client.add(Torrents.make("a film")) } == .exists)
        #expect(code { try client.add(Torrents.make("a film", pieces: 4)) } == .conflict)
        #expect(code { try client.add(Array("no torrent".utf8)) } == .invalidParameters)
        #expect(code { try client.add(Torrents.make("x"), save: "relative") } == .invalidParameters)

        // What the workers hear.
        let onDisk = try s.disk.next(DiskTorrentAdd.self).message
        #expect(onDisk.savePath == "/data" && onDisk.durable.isEmpty && TorrentFlags(rawValue: onDisk.flags) == .hasMetadata)
        #expect(FileManager.default.fileExists(atPath: onDisk.metainfoPath))
        let atPeer = try s.peer.next(PeerTorrentAdd.self).message
        #expect(atPeer.infoHash.hex == added.hash && atPeer.pieceCount == 3 && atPeer.totalLength == 3 * 16384 - 100)
        #expect(try s.peer.next(PeersFound.self).message.endpoints == [Endpoint("10.0.0.1:6881")!])
        let announced = try s.discovery.next(DiscoveryTorrentAdd.self).message
        #expect(TorrentFlags(rawValue: announced.flags).contains(.paused), "until the files were looked at")
        #expect(announced.trackers.map(\.url) == ["http://tracker.example/announce"])
        s.peer.send(ListenPort(port: 6999))
        #expect(try s.discovery.next(DiscoveryListenPort.self).message.listenPort == 6999)

        // Through the states.
        ready(s, onDisk.torrent, have: 1, state: .checking)
        try until { try client.list()[0].state == .checking ? true : nil }
        ready(s, onDisk.torrent, have: 1)
        try until { try client.list()[0].state == .downloading ? true : nil }
        #expect(try !TorrentFlags(rawValue: s.discovery.next(DiscoveryTorrentFlags.self).message.flags).contains(.paused))
        s.peer.send(
            PeerStats(torrents: [
                TorrentStats(torrent: onDisk.torrent, downloaded: 40000, downloadedAgain: 16384, uploaded: 7, downRate: 1000, upRate: 2, peers: 5, seeds: 2, inFlight: 9)
            ]))
        s.disk.send(Durable(torrent: onDisk.torrent, runs: [PieceRun(first: 0, count: 2)]), correlation: 42)
        #expect(try s.disk.next(SessionDurableStored.self).correlation == 42)
        let row = try #require(try client.list().first)
        #expect(row.downloaded == 40000 && row.downloadedAgain == 16384 && row.uploaded == 7 && row.peers == 5 && row.downRate == 1000)
        #expect(row.done == 16384 && row.size == 3 * 16384 - 100 && row.eta == (3 * 16384 - 100 - 16384) / 1000)
        ready(s, onDisk.torrent, have: 3)
        #expect(try s.discovery.next(DiscoveryCompleted.self).message.torrent == onDisk.torrent)
        let done = try #require(try client.list().first)
        #expect(done.state == .seeding && done.progress == 1 && done.completedAt != nil)
        try client.call(ControlMethods.Pause.self, HashParameters(hash: String(added.hash.prefix(8))))
        #expect(try client.list()[0].state == .completed)
        let details = try client.call(ControlMethods.Show.self, ShowParameters(hash: added.hash, pieces: true))
        #expect(details.comment == "made by a test" && details.piecesDurable == 2 && details.metaVersions == [1])
        #expect(details.pieces == Data([0b1100_0000]).base64EncodedString())
        #expect(try client.call(ControlMethods.Status.self, Empty()).states == ["completed": 1])
    }

    @Test func questionsToWorkersAreAnsweredOrTimeOut() throws {
        let s = try SessionProcess(TemporaryFolder())
        let client = try s.client()
        let hash = HashParameters(hash: try client.add(Torrents.make("q")).hash)
        let id = try s.disk.next(DiskTorrentAdd.self).message.torrent
        ready(s, id, have: 1)
        try until { try client.list()[0].state == .downloading ? true : nil }

        try client.send(ControlMethods.Files.self, hash)
        let wanted = try s.disk.next(DiskFileProgressWanted.self)
        s.disk.send(DiskFileProgress(torrent: wanted.message.torrent, bytesHave: [16384]), correlation: wanted.correlation)
        let files = try client.answer(ControlMethods.Files.self).files
        #expect(files.map(\.path) == ["q"] && files[0].done == 16384)

        try client.send(ControlMethods.Peers.self, hash)
        let list = try s.peer.next(PeerListWanted.self)
        s.peer.send(
            PeerList(
                torrent: id,
                peers: [
                    PeerDetails(
                        endpoint: Endpoint("1.2.3.4:5")!, peerID: PeerID(), client: "evil\u{1B}", source: PeerSource.tracker.rawValue, flags: 1 | 64, downRate: 1,
                        upRate: 2, downloaded: 3, uploaded: 4, havePieces: 3, inFlight: 1, queued: 0, score: 0)
                ]), correlation: list.correlation)
        let peers = try client.answer(ControlMethods.Peers.self).peers
        #expect(peers[0].endpoint == "1.2.3.4:5" && peers[0].flags == ["interested", "seed"] && peers[0].progress == 1 && peers[0].client == "evil\u{FFFD}")

        // The shard dies while it is asked: an error at once, not a hang.
        try client.send(ControlMethods.Peers.self, hash)
        _ = try s.peer.next(PeerListWanted.self)
        s.peer = try s.replace(.peer, generation: 2)
        #expect(code { _ = try client.answer(ControlMethods.Peers.self) } == .unavailable)
        #expect(try s.peer.next(PeerTorrentAdd.self).message.torrent == id)
        _ = try s.peer.next(PeerReplayEnd.self)
        #expect(try client.call(ControlMethods.Trackers.self, hash).trackers.map(\.state) == ["idle"])

        // A move is answered when the disk worker is done.
        try client.send(ControlMethods.Move.self, MoveParameters(hash: hash.hash, save: "/new//place/"))
        #expect(try s.disk.next(DiskTorrentMove.self).message.savePath == "/new/place")
        s.disk.send(DiskMoved(torrent: id, savePath: "/new/place"))
        _ = try client.answer(ControlMethods.Move.self)
        #expect(try client.list()[0].savePath == "/new/place")
        // And removal with data when they are gone.
        try client.send(ControlMethods.Remove.self, RemoveParameters(hash: hash.hash, withData: true))
        #expect(try s.disk.next(DiskTorrentRemove.self).message.deleteData == 1)
        #expect(code { try client.add(Torrents.make("q")) } == .conflict)
        s.disk.send(DiskRemoved(torrent: id))
        #expect(try client.answer(ControlMethods.Remove.self) == Empty())
        #expect(try client.list().isEmpty)
        try client.add(Torrents.make("q"))
    }

    /// Kill -9 right after each answer: what was acknowledged is there, what was not is whole or absent.
    @Test func acknowledgedIsDurable() throws {
        let folder = TemporaryFolder()
        var random = SeededRandom(seed: 21), model: [String: Bool] = [:], n = 0
        for round in 1...8 {
            let s = try SessionProcess(folder, generation: round % 3 == 0 ? 1 : UInt32(round))
            let client = try s.client()
            let found = Dictionary(uniqueKeysWithValues: try client.list().map { ($0.hash, $0.state == .paused) })
            #expect(found == model, "round \(round)")
            for _ in 0..<random.below(12) + 1 {
                let known = model.keys.sorted()
                switch random.below(4) {
                case 0 where !known.isEmpty:
                    let hash = known[random.below(known.count)]
                    try client.call(ControlMethods.Remove.self, RemoveParameters(hash: hash))
                    model[hash] = nil
                case 1 where !known.isEmpty:
                    let hash = known[random.below(known.count)]
                    if model[hash]! { try client.call(ControlMethods.Resume.self, HashParameters(hash: hash)) } else { try client.call(ControlMethods.Pause.self, HashParameters(hash: hash)) }
                    model[hash]!.toggle()
                default:
                    n += 1
                    let paused = random.chance(0.5)
                    model[try client.add(Torrents.make("t\(n)"), paused: paused).hash] = paused
                }
            }
            // One more that nobody waits for.
            n += 1
            try client.send(ControlMethods.Add.self, AddParameters(torrent: Data(Torrents.make("t\(n)")).base64EncodedString(), save: "/data"))
            usleep(UInt32(random.below(20_000)))
            try s.kill()
            // It may be there or not; look, so that the model knows.
            let t = try SessionProcess(folder, generation: UInt32(round + 100))
            let facts = try TorrentReading.facts(Torrents.make("t\(n)"))
            if try t.client().list().contains(where: { $0.hash == facts.infoHash.hex }) { model[facts.infoHash.hex] = false }
            try t.kill()
        }
        #expect(model.count > 5)
    }

    @Test func durablePiecesAndCountersSurviveAKill() throws {
        let folder = TemporaryFolder()
        var s = try SessionProcess(folder)
        var client = try s.client()
        try client.add(Torrents.make("d", pieces: 20))
        let id = try s.disk.next(DiskTorrentAdd.self).message.torrent
        ready(s, id, have: 5, of: 20)
        s.disk.send(Durable(torrent: id, runs: [PieceRun(first: 0, count: 3), PieceRun(first: 10, count: 2)]), correlation: 1)
        _ = try s.disk.next(SessionDurableStored.self)
        try s.kill()
        s = try SessionProcess(folder, generation: 2)
        let replayed = try s.disk.next(DiskTorrentAdd.self).message
        #expect(replayed.torrent == id && replayed.durable == [0b1110_0000, 0b0011_0000, 0])
        #expect(TorrentFlags(rawValue: replayed.flags).contains(.unclean))
        _ = try s.disk.next(DiskReplayEnd.self)
        client = try s.client()
        #expect(try client.list()[0].state == .waiting)
        #expect(try client.list()[0].piecesHave == 5, "what is durable, until the disk worker speaks")
    }

    /// After a drain in which everything was made durable, nothing has to be hashed again; after one in which the disk
    /// worker did not finish, it has.
    @Test(arguments: [true, false]) func aDrainSaysWhetherItWasClean(_ whole: Bool) throws {
        let folder = TemporaryFolder()
        var s = try SessionProcess(folder)
        try s.client().add(Torrents.make("d"))
        let id = try s.disk.next(DiskTorrentAdd.self).message.torrent
        ready(s, id, have: 2)
        s.disk.send(Durable(torrent: id, runs: [PieceRun(first: 0, count: whole ? 2 : 1)]), correlation: 1)
        _ = try s.disk.next(SessionDurableStored.self)
        s.send(Drain(deadlineMilliseconds: 4000))
        // The word that the disk worker ended comes behind the order.
        s.send(
            WorkerTable(workers: [
                WorkerStatus(
                    role: WorkerRole.disk.rawValue, index: 0, pid: 0, generation: 1, restarts: 0, state: 3, cpuMilliseconds: 0, residentBytes: 0,
                    uptimeMilliseconds: 0)
            ]))
        _ = try s.control(Drained.self)
        #expect(try s.ended().description.contains("0"))
        s = try SessionProcess(folder)
        let flags = TorrentFlags(rawValue: try s.disk.next(DiskTorrentAdd.self).message.flags)
        #expect(flags.contains(.unclean) != whole)
        // And only once: the next start without a drain is unclean.
        try s.kill()
        s = try SessionProcess(folder)
        #expect(TorrentFlags(rawValue: try s.disk.next(DiskTorrentAdd.self).message.flags).contains(.unclean))
    }

    @Test func aMagnetGetsItsMetadataAndServesIt() throws {
        let folder = TemporaryFolder()
        var s = try SessionProcess(folder)
        let client = try s.client()
        let info = Torrents.info("from afar", pieces: 40), whole = try TorrentReading.facts(Torrents.make("from afar", pieces: 40))
        let link = "magnet:?xt=urn:btih:\(whole.infoHash.hex)&dn=a%20name&tr=http%3A%2F%2Ftracker.example%2Fannounce&x.pe=10.1.1.1:9"
        let added = try client.call(ControlMethods.Add.self, AddParameters(magnet: link, save: "/m"))
        #expect(added.name == "a name")
        #expect(try client.list()[0].state == .metadata)
        #expect(code { _ = try client.call(ControlMethods.Files.self, HashParameters(hash: added.hash)) } == .noMetadata)
        let id = try s.peer.next(PeerTorrentAdd.self).message.torrent
        #expect(try s.peer.next(PeersFound.self).message.endpoints == [Endpoint("10.1.1.1:9")!])
        let announced = try s.discovery.next(DiscoveryTorrentAdd.self).message
        #expect(announced.left == 16384 && !TorrentFlags(rawValue: announced.flags).contains(.paused))
        // A magnet survives a kill as such.
        try s.kill()
        s = try SessionProcess(folder, generation: 2)
        #expect(try s.peer.next(PeerTorrentAdd.self).message.torrent == id)
        let cut = info.count / 2
        s.peer.send(MetadataFound(torrent: id, totalLength: UInt32(info.count), offset: 0, bytes: Array(info[..<cut])))
        s.peer.send(MetadataFound(torrent: id, totalLength: UInt32(info.count), offset: UInt32(cut), bytes: Array(info[cut...])))
        #expect(try s.disk.next(DiskTorrentAdd.self).message.torrent == id)
        let again = try s.peer.next(PeerTorrentAdd.self).message
        #expect(again.pieceCount == 40 && TorrentFlags(rawValue: again.flags).contains(.hasMetadata))
        s.peer.send(MetadataBlockWanted(torrent: id, block: 0), correlation: 77)
        let block = try s.peer.next(MetadataBlock.self)
        #expect(block.correlation == 77 && block.message.bytes == info)
        s.peer.send(MetadataBlockWanted(torrent: id, block: 1))
        #expect(try s.peer.next(MetadataBlock.self).message.bytes.isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/torrents") == ["\(added.hash).torrent"])
    }

    @Test func watchTicksAndPushes() throws {
        let s = try SessionProcess(TemporaryFolder())
        let client = try s.client()
        try client.add(Torrents.make("a"))
        try client.add(Torrents.make("b"))
        let ids = try (0..<2).map { _ in try s.disk.next(DiskTorrentAdd.self).message.torrent }
        let watcher = try s.client()
        try watcher.call(ControlMethods.Watch.self, WatchParameters(interval: 0.025))
        var names: [String] = []
        let start = Date()
        while Date().timeIntervalSince(start) < 1 {
            let line = try #require(try watcher.line())
            let read = try line.withUnsafeBytes { try ControlLine.read(ControlMethods.Watch.self, $0) }
            names.append(try #require(read.torrent).name)
        }
        // 40 ticks of two torrents each, less what a loaded machine costs.
        #expect(names.count > 20 && names.count <= 90)
        #expect(abs(names.filter { $0 == "a" }.count - names.filter { $0 == "b" }.count) <= 1)

        // A change of state does not wait for the tick.
        let slow = try s.client()
        let hash = try client.list()[0].hash
        try slow.call(ControlMethods.Watch.self, WatchParameters(hash: hash, interval: 3600))
        _ = try slow.line()
        ready(s, ids[0], have: 1)
        let line = try #require(try slow.line(within: 2))
        let pushed = try line.withUnsafeBytes { try ControlLine.read(ControlMethods.Watch.self, $0) }
        #expect(pushed.torrent?.state == .downloading && pushed.torrent?.hash == hash)
        try client.call(ControlMethods.Remove.self, RemoveParameters(hash: hash))
        let last = try #require(try slow.line(within: 2))
        #expect(try last.withUnsafeBytes { try ControlLine.read(ControlMethods.Watch.self, $0) }.removed == hash)
        #expect(code { try client.call(ControlMethods.Watch.self, WatchParameters(interval: 0.001)) } == .invalidParameters)
    }

    @Test func settingsThatMayChangeDo() throws {
        let folder = TemporaryFolder()
        var s = try SessionProcess(folder, settings: [("queue.max_active_downloading", .integer(5))])
        var client = try s.client()
        func value(_ key: String) throws -> SettingRow { try client.call(ControlMethods.ShowSettings.self, Empty()).options.first { $0.key == key }! }
        #expect(try value("queue.max_active_downloading").value == "5")
        for name in ["a", "b", "c"] {
            try client.add(Torrents.make(name))
            ready(s, try s.disk.next(DiskTorrentAdd.self).message.torrent, have: 1)
        }
        try until { try client.list().allSatisfy { $0.state == .downloading } ? true : nil }
        try client.call(ControlMethods.SetSetting.self, SetSettingParameters(key: "queue.max_active_downloading", value: "1"))
        try until { try client.list().map(\.state) == [.downloading, .queued, .queued] ? true : nil }
        for (key, text) in [("queue.max_active_downloading", "-1"), ("network.listen_port", "x"), ("no.such", "1"), ("api.listen", "nowhere")] {
            #expect(code { try client.call(ControlMethods.SetSetting.self, SetSettingParameters(key: key, value: text)) } == .invalidParameters)
        }
        try s.kill()
        s = try SessionProcess(folder, settings: [("queue.max_active_downloading", .integer(5))])
        client = try s.client()
        #expect(try value("queue.max_active_downloading").value == "1")
        #expect(try value("queue.max_active_downloading").isOverridden)
        try client.call(ControlMethods.SetSetting.self, SetSettingParameters(key: "queue.max_active_downloading"))
        #expect(try value("queue.max_active_downloading").value == "5")
        #expect(code { try client.add(Torrents.make("d"), save: "") } == .invalidParameters)
    }

    /// What needs a restart goes to the file that the supervisor reads, and the supervisor is told; several changes are one.
    @Test func settingsThatNeedARestartAreLeftForTheSupervisor() throws {
        let folder = TemporaryFolder()
        let s = try SessionProcess(folder)
        let client = try s.client()
        func stored() -> String? { FileManager.default.contents(atPath: "\(folder.path)/\(StoredOptions.fileName)").map { String(decoding: $0, as: UTF8.self) } }
        s.send(
            WorkerTable(
                workers: [WorkerRole.disk, .peer, .discovery].map {
                    WorkerStatus(
                        role: $0.rawValue, index: 0, pid: 1, generation: 1, restarts: 0, state: 1, cpuMilliseconds: 0, residentBytes: 0, uptimeMilliseconds: 0)
                }))
        try until { try client.call(ControlMethods.Workers.self, Empty()).workers.count == 3 ? true : nil }
        let changes = [("network.listen_port", "7001"), ("queue.max_active_downloading", "3"), ("disk.workers", "2")].map { SetSettingParameters(key: $0, value: $1) }
        let answer = try client.call(ControlMethods.ChangeSettings.self, ChangeSettingsParameters(changes: changes))
        #expect(answer.restarted.sorted() == ["discovery:0", "peer:0"] && answer.later == ["disk.workers"])
        #expect(stored() == "disk.workers\t2\nnetwork.listen_port\t7001\n")
        #expect(try s.control(ReloadConfiguration.self).applyAll == 1)
        let restarted = [try s.control(RestartWorker.self).role, try s.control(RestartWorker.self).role]
        #expect(restarted.sorted() == [WorkerRole.peer.rawValue, WorkerRole.discovery.rawValue].sorted())
        // One that is wrong, and none is changed.
        let wrong = [("queue.max_active_downloading", "4"), ("network.listen_port", "70000")].map { SetSettingParameters(key: $0, value: $1) }
        #expect(code { try client.call(ControlMethods.ChangeSettings.self, ChangeSettingsParameters(changes: wrong)) } == .invalidParameters)
        #expect(try client.call(ControlMethods.ShowSettings.self, Empty()).options.first { $0.key == "queue.max_active_downloading" }?.value == "3")
        // A secret is stored and not shown, and what is shown is not taken for one.
        try client.call(ControlMethods.SetSetting.self, SetSettingParameters(key: "proxy.proxy_password", value: "hush"))
        #expect(stored()?.contains("proxy.proxy_password\thush\n") == true)
        #expect(try client.call(ControlMethods.ShowSettings.self, Empty()).options.first { $0.key == "proxy.proxy_password" }?.value == Option.hidden)
        #expect(code { try client.call(ControlMethods.SetSetting.self, SetSettingParameters(key: "proxy.proxy_password", value: Option.hidden)) } == .invalidParameters)
        for key in ["network.listen_port", "disk.workers", "proxy.proxy_password"] { try client.call(ControlMethods.SetSetting.self, SetSettingParameters(key: key)) }
        #expect(stored() == "")
    }

    /// While the store refuses, nothing is acknowledged and nothing is half done; when it takes changes again, so does
    /// the daemon, by itself.
    @Test func aStoreThatRefusesIsSaidAndRecovers() throws {
        let folder = TemporaryFolder()
        let s = try SessionProcess(folder)
        let client = try s.client()
        let known = HashParameters(hash: try client.add(Torrents.make("before")).hash)
        s.send(
            WorkerTable(workers: [
                WorkerStatus(
                    role: WorkerRole.disk.rawValue, index: 0, pid: 1, generation: 1, restarts: 0, state: 1, cpuMilliseconds: 0, residentBytes: 0,
                    uptimeMilliseconds: 0)
            ]))
        func isHealthy() throws -> Bool { try client.call(ControlMethods.Status.self, Empty()).healthy }
        try until { try isHealthy() ? true : nil }

        // The folder of the .torrent files is gone.
        try FileManager.default.moveItem(atPath: folder.path + "/torrents", toPath: folder.path + "/away")
        #expect(code { try client.add(Torrents.make("refused")) } == .storage)
        #expect(try !isHealthy())
        #expect(try client.list().map(\.name) == ["before"])
        try FileManager.default.moveItem(atPath: folder.path + "/away", toPath: folder.path + "/torrents")
        #expect(try client.add(Torrents.make("refused")).name == "refused")
        #expect(try isHealthy())

        // The database is held by another process, for longer than a commit waits.
        let holder = try DatabaseQueue(path: folder.path + "/" + CatalogStore.fileName)
        try holder.writeWithoutTransaction { db in
            try db.execute(sql: "BEGIN EXCLUSIVE")
            #expect(code { try client.call(ControlMethods.Pause.self, known) } == .storage)
            #expect(try client.list().allSatisfy { $0.state != .paused })
            try db.execute(sql: "ROLLBACK")
        }
        try until(15) { try isHealthy() ? true : nil }
        try client.call(ControlMethods.Pause.self, known)
        #expect(try client.list().first { $0.hash == known.hash }?.state == .paused)
    }

    @Test func hostileClientsCostOnlyThemselves() throws {
        let s = try SessionProcess(TemporaryFolder())
        let good = try s.client()
        // No requests: each is answered with an error and the connection goes on.
        let bad = try s.client()
        for line in ["hello", "{}", "[1,2", #"{"id":5,"method":"nonsense"}"#, #"{"id":5,"method":"pause","params":{"hash":7}}"#, String(repeating: "[", count: 50_000)] {
            try bad.write(Array(line.utf8) + [10])
            let reply = try #require(try bad.line())
            #expect(try reply.withUnsafeBytes { try ControlLine.read(ControlMethods.Version.self, $0) }.error != nil)
        }
        // A line without an end: an error, and the end of the connection.
        let endless = try s.client()
        let part = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        do { for _ in 0..<60 { try endless.write(part) } } catch {}
        #expect((try? endless.line()).flatMap { $0 }.map { String(decoding: $0, as: UTF8.self).contains("too_large") } ?? true)
        #expect((try? endless.line()).flatMap { $0 } == nil)
        // More clients than there are places: those beyond are closed, and a place that is free is taken again.
        var crowd: [ControlClient] = []
        for _ in 0..<70 { crowd.append(try s.client()) }
        let served = crowd.filter { (try? $0.call(ControlMethods.Version.self, Empty())) != nil }.count
        #expect(served == ControlServer.clientLimit - 2)
        crowd.removeAll()
        try until { (try? s.client().call(ControlMethods.Version.self, Empty())) != nil ? true : nil }
        // One that asks and never reads does not stop the others.
        let deaf = try s.client()
        for i in 0..<200 { try good.add(Torrents.make("t\(i)")) }
        for _ in 0..<100 { try deaf.send(ControlMethods.List.self, Empty()) }
        #expect(try good.list().count == 200)
    }

    /// Requests of one connection may be sent without waiting; they share commits.
    @Test func aThousandAddsInARow() throws {
        let s = try SessionProcess(TemporaryFolder())
        let client = try s.client()
        let start = Date()
        let adding = Thread {
            for i in 0..<1000 {
                _ = try? client.send(ControlMethods.Add.self, AddParameters(torrent: Data(Torrents.make("many \(i)")).base64EncodedString(), save: "/data"))
            }
        }
        adding.start()
        var hashes: Set<String> = []
        for _ in 0..<1000 { hashes.insert(try client.answer(ControlMethods.Add.self).hash) }
        #expect(hashes.count == 1000)
        #expect(Set(try client.list().map(\.hash)) == hashes)
        #expect(Date().timeIntervalSince(start) < 60)
    }
}
