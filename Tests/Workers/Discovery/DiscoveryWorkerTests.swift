import Foundation
import Glibc
import IPC
import LinuxIO
import Primitives
import Testing

/// The real program over its real descriptors, against a tracker: what the session is told and what the tracker hears.
@Suite(.serialized, .enabled(if: TestTracker.isPossible)) struct DiscoveryWorkerTests {
    @Test func aTorrentsLife() throws {
        let tracker = try TestTracker(), harness = try Harness()
        let web = tracker.httpURL("/announce/useless"), datagram = tracker.udpURL()
        #expect(harness.wait { harness.controlTypes.contains(.hello) })
        try harness.add(1, [entry(web)], hash: hash(1))
        try harness.add(2, [entry(datagram)], hash: hash(2))
        harness.receive(.milliseconds(300))
        // Nothing is announced, and it is not ready, before the replay has ended.
        #expect(tracker.asked.isEmpty && !harness.controlTypes.contains(.ready))
        try harness.endReplay()
        #expect(harness.wait { harness.controlTypes.contains(.ready) })
        #expect(harness.wait { harness.isWorking(1, web) && harness.isWorking(2, datagram) })
        #expect(harness.peers.map(\.torrent) == [1])
        #expect(harness.peers[0].endpoints.map(\.description) == ["192.0.2.7:6881"])
        let status = try #require(harness.status(1, web))
        #expect(status.startedSent == 1 && status.leechers == 1 && status.seeds == 0)
        let wait = Int(status.nextAnnounce) - Int(Clock.wallSeconds())
        #expect(wait >= 1_798 && wait <= 1_915)

        try harness.send(DiscoveryCounters(torrents: [TorrentCounters(torrent: 1, downloaded: 900, uploaded: 5, left: 0)]))
        try harness.send(DiscoveryCompleted(torrent: 1))
        // Within the minimum interval: has to wait.
        try harness.send(AnnounceNow(torrent: 2))
        #expect(harness.wait { tracker.announces(of: hash(1)).contains("completed") })
        #expect(harness.wait { harness.status(1, web)?.seeds == 1 })
        try harness.send(DiscoveryTorrentFlags(torrent: 2, flags: TorrentFlags.paused.rawValue))
        #expect(harness.wait { harness.status(2, datagram)?.startedSent == 0 })
        try harness.send(DiscoveryTorrentRemove(torrent: 1))
        #expect(harness.wait { tracker.announces(of: hash(1)).contains("stopped") })
        #expect(tracker.announces(of: hash(1)) == ["started", "completed", "stopped"])
        #expect(tracker.announces(of: hash(2)) == ["started", "stopped"])
        #expect(Set(tracker.asked.compactMap(\.key)) == ["00C0FFEE"])
    }

    @Test func drainSaysStoppedAndExits() throws {
        let tracker = try TestTracker(), harness = try Harness()
        for n in UInt8(1)...30 { try harness.add(UInt32(n), [entry(n % 2 == 0 ? tracker.httpURL() : tracker.udpURL())], hash: hash(n)) }
        try harness.endReplay()
        #expect(harness.wait { harness.statuses.filter { $0.state == 2 }.count == 30 })
        try harness.sendControl(Drain(deadlineMilliseconds: 8_000))
        #expect(harness.waitForEnd() == .exited(0))
        #expect(harness.controlTypes.contains(.drained))
        for n in UInt8(1)...30 {
            #expect(tracker.announces(of: hash(n)) == ["started", "stopped"])
            #expect(harness.statuses.last { $0.torrent == UInt32(n) }?.startedSent == 0)
        }
    }

    @Test func drainIsBoundedWhenTheTrackerIsSilent() throws {
        let tracker = try TestTracker(), harness = try Harness()
        for n in UInt8(1)...5 { try harness.add(UInt32(n), [entry(tracker.httpURL())], hash: hash(n)) }
        try harness.endReplay()
        #expect(harness.wait { harness.statuses.filter { $0.state == 2 }.count == 5 })
        kill(tracker.process.processIdentifier, SIGSTOP)
        // Each of its threads stops when it next enters the kernel.
        usleep(200_000)
        defer { kill(tracker.process.processIdentifier, SIGCONT) }
        let start = Clock.monotonic()
        try harness.sendControl(Drain(deadlineMilliseconds: 20_000))
        #expect(harness.waitForEnd() == .exited(0))
        let took = (Clock.monotonic() - start).seconds
        #expect(took > 4 && took < 6, "\(took) \(harness.statuses.suffix(5))")
        #expect(harness.controlTypes.contains(.drained))
    }

    /// kill -9: the next generation gets back what the session was told, and asks nobody before the time.
    @Test func aKilledWorkerKeepsItsSchedule() throws {
        let tracker = try TestTracker(["--interval", "1800"])
        var harness = try Harness()
        let url = tracker.httpURL(), bad = tracker.httpURL("/announce/status/500")
        try harness.add(1, [entry(bad), entry(url, tier: 1)], hash: hash(1))
        try harness.endReplay()
        #expect(harness.wait { harness.isWorking(1, url) })
        let known = [bad, url].map { harness.status(1, $0)! }
        try harness.kill()
        let before = tracker.asked.count

        harness = try Harness(generation: 2)
        try harness.add(1, known.map { entry($0.url, tier: $0.tier, next: $0.nextAnnounce, started: $0.startedSent != 0) }, hash: hash(1))
        try harness.endReplay()
        #expect(harness.wait { harness.controlTypes.contains(.ready) })
        harness.wait(.seconds(1)) { false }
        #expect(tracker.asked.count == before)
        #expect(known[0].startedSent == 0 && known[1].startedSent == 1)
        try harness.send(DiscoveryTorrentRemove(torrent: 1))
        #expect(harness.wait { tracker.announces(of: hash(1)).last == "stopped" })
        #expect(tracker.announces(of: hash(1)).filter { $0 == "started" }.count == 2)
    }

    @Test func aNewSessionIsToldEverythingAgain() throws {
        let tracker = try TestTracker(), harness = try Harness()
        for n in UInt8(1)...3 { try harness.add(UInt32(n), [entry(tracker.httpURL())], hash: hash(n)) }
        try harness.endReplay()
        #expect(harness.wait { (1...3).allSatisfy { harness.isWorking($0, tracker.httpURL()) } })
        let told = harness.statuses.count, asked = tracker.asked.count
        try harness.openEdge(session: 2)
        // The third was removed while the session was away.
        for n in UInt8(1)...2 { try harness.add(UInt32(n), [entry(tracker.httpURL())], hash: hash(n)) }
        try harness.endReplay()
        #expect(harness.wait { harness.statuses.count >= told + 2 })
        #expect(harness.wait { tracker.announces(of: hash(3)) == ["started", "stopped"] })
        #expect(Set(harness.statuses[told...].map(\.torrent)) == [1, 2])
        #expect(harness.statuses[told...].allSatisfy { $0.state == 2 && $0.startedSent == 1 })
        #expect(tracker.asked.count == asked + 1)
    }

    @Test func framesOfAnOlderSessionAreDropped() throws {
        let tracker = try TestTracker(), harness = try Harness(settings: [("network.tracker_timeout", "5")])
        try harness.endReplay()
        #expect(harness.wait { harness.controlTypes.contains(.ready) })
        try harness.add(1, [entry(tracker.httpURL("/announce/slow"))], hash: hash(1))
        #expect(harness.wait { !tracker.asked.isEmpty })
        // The edge goes and comes back while an announce is under way; its end is told to the new session.
        try harness.openEdge(session: 2)
        try harness.add(1, [entry(tracker.httpURL("/announce/slow"))], hash: hash(1))
        try harness.endReplay()
        #expect(harness.wait { harness.status(1, tracker.httpURL("/announce/slow"))?.state == 3 })
        #expect(tracker.asked.count == 1)
    }

    @Test func theSupervisorsEndIsTheWorkersEnd() throws {
        var harness: Harness? = try Harness()
        let child = harness!.child
        #expect(harness!.wait { harness!.controlTypes.contains(.hello) })
        try harness!.endReplay()
        try harness!.shutControl()
        #expect(harness!.waitForEnd(.seconds(6)) == .exited(0))
        _ = child
        harness = nil
    }

    /// 300 torrents at one tracker through the real process: paced, all served.
    @Test func threeHundredTorrentsAreEachAnnouncedOnce() throws {
        let tracker = try TestTracker(), harness = try Harness()
        let url = tracker.udpURL()
        for n in 0..<300 {
            var bytes = [UInt8](repeating: 0xEE, count: 20)
            (bytes[0], bytes[1]) = (UInt8(n >> 8), UInt8(n & 255))
            try harness.add(UInt32(n + 1), [entry(url)], hash: InfoHash(bytes)!, left: 0)
        }
        try harness.endReplay()
        let start = Clock.monotonic()
        #expect(harness.wait(.seconds(60)) { harness.statuses.filter { $0.state == 2 }.count == 300 })
        let took = (Clock.monotonic() - start).seconds
        // 50 a second.
        #expect(took > 5.5 && took < 9, "\(took)")
        #expect(Set(tracker.asked.compactMap(\.info_hash)).count == 300)
        #expect(tracker.asked.filter { $0.kind == "udp-announce" }.count == 300)
    }
}
