import Discovery
import Primitives
import Testing
import TrackerWire

/// Tiers, events and intervals of one torrent, as lists of events and effects.
@Suite struct AnnounceTests {
    @Test func startedOnceThenRegularAnnounces() {
        var bench = Bench()
        bench.add(1, a)
        bench.succeed()
        bench.advance(.seconds(4 * 2_000), answering: { $0.succeed() })
        #expect(bench.words == ["started a", "none a", "none a", "none a", "none a"])
        let first = bench.log[0].request
        #expect(first.port == 6881 && first.key == 7 && first.peerID == Bench.peerID && first.left == 100 && first.numWant == 200)
        for (earlier, later) in zip(bench.log, bench.log.dropFirst()) {
            let gap = (later.at - earlier.at).seconds
            #expect(gap >= 1_800 && gap <= 1_800 * 17 / 16 + 1)
        }
    }

    @Test func failoverTriesTheTierThenTheNextTier() {
        var bench = Bench()
        bench.add(1, [TrackerRecord(tier: 0, url: a), TrackerRecord(tier: 0, url: b), TrackerRecord(tier: 1, url: c)])
        let first = bench.fail().url, second = bench.fail().url
        #expect(Set([first, second]) == [a, b])
        #expect(bench.open.map(\.url) == [c])
        bench.succeed()
        // The third works, so only the first two are asked again meanwhile.
        bench.advance(.seconds(600), answering: { $0.fail() })
        #expect(bench.log.dropFirst(3).allSatisfy { $0.url != c && $0.request.event == .started })
        #expect(bench.log.count > 5)
        #expect(Set(bench.log.map(\.url)) == [a, b, c])
    }

    @Test func trackersBehindTheOneInUseAreNotAsked() {
        var bench = Bench()
        bench.add(1, a, b)
        bench.succeed()
        bench.advance(.seconds(20_000), answering: { $0.succeed() })
        #expect(Set(bench.log.map(\.url)) == [a])
    }

    @Test func theOneThatAnswersMovesToTheFrontOfItsTier() {
        var bench = Bench()
        bench.add(1, [TrackerRecord(tier: 0, url: a), TrackerRecord(tier: 0, url: b), TrackerRecord(tier: 0, url: c)])
        bench.fail()
        bench.fail()
        let third = bench.succeed().url
        bench.advance(.seconds(30_000), answering: { _ = $0.open[0].url == third ? $0.succeed() : $0.fail() })
        // Failing trackers behind it are left alone from then on.
        #expect(bench.log.dropFirst(3).allSatisfy { $0.url == third })
        #expect(bench.log.count > 10)
    }

    @Test func shuffledInsideATierNotAcross() {
        var firsts: Set<String> = [], outside = 0
        for seed in 0..<40 {
            var bench = Bench(seed: UInt64(seed))
            bench.add(1, [TrackerRecord(tier: 0, url: a), TrackerRecord(tier: 0, url: b), TrackerRecord(tier: 1, url: c)])
            firsts.insert(bench.log[0].url)
            if bench.log[0].url == c { outside += 1 }
        }
        #expect(firsts == [a, b])
        #expect(outside == 0)
    }

    @Test func eventsAreSaidOnceAsTheTrackerHasSeenThem() {
        var bench = Bench()
        bench.add(1, a)
        bench.fail()
        bench.advanceToNext()
        bench.succeed()
        bench.send(.completed(id(1)))
        #expect(bench.log.last!.request.left == 0)
        bench.fail()
        bench.advanceToNext()
        bench.succeed()
        bench.advance(.seconds(2_000), answering: { $0.succeed() })
        bench.send(.torrentRemoved(id(1)))
        bench.fail()
        bench.advanceToNext()
        bench.succeed()
        bench.advance(.seconds(10_000))
        #expect(bench.words == ["started a", "started a", "completed a", "completed a", "none a", "stopped a", "stopped a"])
        #expect(bench.log.last!.request.numWant == 0)
        #expect(bench.core.torrentCount == 0)
    }

    @Test func completedWhileStartedIsUnderWay() {
        var bench = Bench()
        bench.add(1, a)
        bench.send(.completed(id(1)))
        bench.succeed()
        bench.succeed()
        bench.advance(.seconds(1_000))
        #expect(bench.words == ["started a", "completed a"])
    }

    @Test func completedBeforeTheTrackerSawUsIsOnlyStarted() {
        var bench = Bench(active: false)
        bench.add(1, a)
        bench.send(.completed(id(1)))
        bench.start()
        #expect(bench.log[0].request.left == 0)
        bench.succeed()
        bench.advance(.seconds(1_000))
        #expect(bench.words == ["started a"])
    }

    @Test func pausingSaysStoppedAndResumingStarted() {
        var bench = Bench()
        bench.add(1, a)
        bench.succeed()
        bench.send(.torrentPaused(id(1), true))
        bench.succeed()
        bench.advance(.seconds(5_000))
        bench.send(.torrentPaused(id(1), false))
        bench.succeed()
        #expect(bench.words == ["started a", "stopped a", "started a"])
        #expect(bench.reports.last!.startedSent)
    }

    @Test func aPausedTorrentThatNeverAnnouncedSaysNothing() {
        var bench = Bench()
        bench.add(1, [TrackerRecord(url: a)], paused: true)
        bench.send(.torrentRemoved(id(1)))
        bench.advance(.seconds(5_000))
        #expect(bench.log.isEmpty && bench.core.torrentCount == 0)
    }

    @Test func removedWhileStartedIsUnderWay() {
        var bench = Bench()
        bench.add(1, a)
        bench.send(.torrentRemoved(id(1)))
        #expect(bench.core.torrentCount == 1)
        bench.succeed(AnnounceAnswer(interval: 1800, peers: [Endpoint("9.9.9.9:9")!]))
        bench.succeed()
        #expect(bench.words == ["started a", "stopped a"])
        #expect(bench.core.torrentCount == 0 && bench.peers.isEmpty)
    }

    @Test func stoppedIsGivenUpAfterThreeAttempts() {
        var bench = Bench()
        bench.add(1, a)
        bench.succeed()
        bench.send(.torrentRemoved(id(1)))
        bench.advance(.seconds(10_000), answering: { $0.fail() })
        #expect(bench.words == ["started a", "stopped a", "stopped a", "stopped a"])
        #expect(bench.core.torrentCount == 0)
    }

    @Test func addedAgainWaitsForTheStopped() {
        var bench = Bench()
        bench.add(1, [TrackerRecord(url: a)], hash: 9)
        bench.succeed()
        bench.send(.torrentRemoved(id(1)))
        bench.add(2, [TrackerRecord(url: a)], hash: 9)
        #expect(bench.words == ["started a", "stopped a"])
        bench.succeed()
        #expect(bench.words == ["started a", "stopped a", "started a"])
    }

    struct Interval: Sendable {
        let said: UInt32?
        let minimum: UInt32?
        /// Seconds to the next announce, without jitter.
        let kept: Double
    }
    @Test(arguments: [
        Interval(said: 1800, minimum: nil, kept: 1800), Interval(said: nil, minimum: nil, kept: 1800),
        Interval(said: 60, minimum: nil, kept: 60), Interval(said: 60, minimum: 900, kept: 900),
        Interval(said: 86_400, minimum: 60, kept: 86_400),
    ])
    func intervalsAreKept(_ c: Interval) {
        var bench = Bench()
        bench.add(1, a)
        var answer = AnnounceAnswer(interval: c.said)
        answer.minInterval = c.minimum
        bench.succeed(answer)
        let wait = (bench.core.nextDeadline - bench.now).seconds
        #expect(wait >= c.kept && wait <= c.kept * 17 / 16)
        #expect(bench.reports.last!.next == bench.core.nextDeadline)
    }

    @Test func announceNowKeepsTheMinimum() {
        var bench = Bench()
        bench.add(1, a)
        var answer = AnnounceAnswer(interval: 1800)
        answer.minInterval = 300
        bench.succeed(answer)
        let asked = bench.now
        for _ in 0..<20 {
            bench.advance(.seconds(5))
            bench.send(.announceNow(id(1)))
        }
        #expect(bench.log.count == 1)
        bench.advance(.seconds(250))
        #expect(bench.log.count == 2)
        #expect(bench.log[1].at == asked + .seconds(300))
    }

    @Test func backoffDoublesWithFullJitterAndACap() {
        for seed in 0..<30 {
            var bench = Bench(seed: UInt64(seed))
            bench.add(1, a)
            for n in 0..<12 {
                bench.fail()
                let wait = (bench.core.nextDeadline - bench.now).seconds
                #expect(wait >= 15 && wait <= min(1_800, 60 * Double(1 << n)))
                bench.advanceToNext()
            }
        }
        // The jitter is full: waits below half of the span happen.
        var waits: [Double] = []
        for seed in 0..<100 {
            var bench = Bench(seed: UInt64(seed))
            bench.add(1, a)
            for _ in 0..<6 {
                bench.fail()
                bench.advanceToNext()
            }
            bench.fail()
            waits.append((bench.core.nextDeadline - bench.now).seconds)
        }
        #expect(waits.contains { $0 < 600 } && waits.contains { $0 > 1_200 })
    }

    @Test func retryAdviceIsKept() {
        var bench = Bench()
        bench.add(1, a)
        bench.answer(.failed("HTTP 503", hostFault: true, retryAfter: 3_000))
        bench.send(.announceNow(id(1)))
        bench.advance(.seconds(2_999))
        #expect(bench.log.count == 1)
        bench.advance(.seconds(200))
        #expect(bench.log.count == 2)
        bench.answer(.refused("not here", .never))
        bench.advance(.seconds(200_000))
        #expect(bench.log.count == 2)
        bench.send(.announceNow(id(1)))
        #expect(bench.log.count == 3)
        #expect(bench.reports.contains { $0.message == "not here" && $0.state == .failing && $0.next == .never })
    }

    @Test func aRefusalMovesOnToTheNextTracker() {
        var bench = Bench()
        bench.add(1, a, b)
        bench.answer(.refused("unregistered torrent", .unsaid))
        bench.succeed()
        #expect(bench.words == ["started a", "started b"])
    }

    @Test func trackerIDIsSentBack() {
        var bench = Bench()
        bench.add(1, a)
        var answer = AnnounceAnswer(interval: 60)
        answer.trackerID = [1, 2]
        bench.succeed(answer)
        bench.advanceToNext()
        #expect(bench.log[1].request.trackerID == [1, 2])
    }

    @Test func countersAreWhatIsSaid() {
        var bench = Bench()
        bench.add(1, a)
        bench.succeed()
        bench.send(.counters(id(1), downloaded: 5, uploaded: 6, left: 7))
        bench.advanceToNext()
        let request = bench.log[1].request
        #expect(request.downloaded == 5 && request.uploaded == 6 && request.left == 7)
    }

    @Test func uselessPeersAreDropped() {
        var bench = Bench()
        bench.send(.localAddresses([Endpoint("10.0.0.5:0")!]))
        bench.add(1, a)
        var answer = AnnounceAnswer(interval: 60)
        answer.externalAddress = Endpoint("5.5.5.5:0")!
        bench.succeed(answer)
        bench.advanceToNext()
        let good = ["1.2.3.4:6881", "10.0.0.5:6882", "5.5.5.5:1", "[2001:db8::1]:6881", "192.168.1.1:5"].map { Endpoint($0)! }
        let bad = [
            "1.2.3.4:0", "224.0.0.1:5", "255.255.255.255:5", "0.0.0.0:5", "10.0.0.5:6881", "5.5.5.5:6881", "127.0.0.1:22", "[::1]:22",
            "[ff02::1]:5", "169.254.169.254:80",
        ].map { Endpoint($0)! }
        answer.peers = bad + good + bad
        bench.succeed(answer)
        #expect(bench.peers.count == 1 && bench.peers[0].1 == good)
        // A tracker on this machine may name its other programs, but not ourselves.
        bench.advanceToNext()
        answer.peers = ["127.0.0.1:22", "127.0.0.1:6881"].map { Endpoint($0)! }
        bench.answer(.answered(answer, from: Endpoint("127.0.0.1:80")!))
        #expect(bench.peers.last!.1.map(\.description) == ["127.0.0.1:22"])
    }

    @Test func addressesThatCannotBeAskedAreSaidSo() {
        var bench = Bench { $0.udpEnabled = false }
        bench.add(1, "wss://x/announce", "udp://x:1/announce", a)
        bench.succeed()
        #expect(bench.words == ["started a"])
        #expect(Set(bench.reports.filter { $0.state == .failing }.map(\.url)) == ["wss://x/announce", "udp://x:1/announce"])
    }

    @Test func trackersOfATorrentAreBounded() {
        var bench = Bench()
        bench.add(1, (0..<5_000).map { TrackerRecord(url: "http://h\($0)/announce") })
        bench.advance(.seconds(1), answering: { $0.fail() })
        #expect(Set(bench.log.map(\.url)).count == Discovery.trackersPerTorrent)
    }

    @Test func changedTrackersKeepTheirState() {
        var bench = Bench()
        bench.add(1, a, b)
        bench.succeed()
        bench.add(1, [TrackerRecord(tier: 0, url: c), TrackerRecord(tier: 1, url: a)])
        // The new first tier is asked at once; the known one knows us already.
        bench.fail()
        #expect(bench.words == ["started a", "started c"])
        bench.add(1, [TrackerRecord(url: d)])
        bench.succeed()
        bench.succeed()
        #expect(Set(bench.words.dropFirst(2)) == ["stopped a", "started d"])
        bench.advance(.seconds(20_000), answering: { $0.succeed() })
        #expect(Set(bench.log.dropFirst(4).map(\.url)) == [d])
    }
}
