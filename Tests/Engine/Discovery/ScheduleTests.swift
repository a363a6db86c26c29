import Discovery
import Glibc
import Primitives
import Testing
import TrackerWire

/// Many torrents, few hosts: limits, pacing, breakers, restarts, drain.
@Suite struct ScheduleTests {
    @Test func nothingIsAnnouncedBeforeThePortIsKnown() {
        var bench = Bench(active: false)
        bench.add(1, a)
        bench.advance(.seconds(100))
        bench.send(.replayEnded(listenPort: 0, key: 7, peerID: Bench.peerID))
        bench.advance(.seconds(100))
        #expect(bench.log.isEmpty)
        bench.send(.listenPort(99))
        #expect(bench.log.map(\.request.port) == [99])
    }

    /// 50,000 torrents on one host: never more than 8 at once nor 50 begun in any second, and all of them in 17 minutes.
    @Test func fiftyThousandTorrentsAreNoStorm() {
        var bench = Bench(active: false)
        for n in 1...50_000 { bench.add(UInt32(n), [TrackerRecord(url: a)], left: 0) }
        bench.start()
        #expect(bench.log.count == 8)
        var most = 0
        // Each answer takes 40 ms.
        while bench.log.count < 50_000 {
            most = max(most, bench.open.count)
            if let first = bench.open.first, first.at + .milliseconds(40) <= bench.core.nextDeadline {
                bench.now = max(bench.now, first.at + .milliseconds(40))
                bench.succeed()
            } else {
                bench.advanceToNext()
            }
        }
        #expect(most == 8)
        let took = (bench.now - bench.log[0].at).seconds
        #expect(took > 990 && took < 1_010)
        var window = 0, worst = 0
        for (i, asked) in bench.log.enumerated() {
            while bench.log[window].at + .seconds(1) <= asked.at { window += 1 }
            worst = max(worst, i - window + 1)
        }
        #expect(worst <= 58)
        #expect(Set(bench.log.map(\.request.infoHash)).count == 50_000)
    }

    /// The product's target is under 2 KiB for an idle torrent in all workers together.
    @Test func anIdleTorrentCostsLittleMemory() throws {
        func resident() throws -> Int {
            let file = try #require(fopen("/proc/self/statm", "r"))
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 128)
            fgets(&line, 128, file)
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return Int(text.split(separator: " ")[1])! * 4096
        }
        var bench = Bench(active: false)
        let before = try resident()
        for n in 1...50_000 { bench.add(UInt32(n), [TrackerRecord(url: "http://tracker.example/0123456789abcdef0123456789abcdef/announce")]) }
        let each = (try resident() - before) / 50_000
        #expect(each < 1_024, "\(each) bytes")
        #expect(bench.core.torrentCount == 50_000)
    }

    @Test func limitsPerHostAndInAll() {
        var bench = Bench(active: false) {
            $0.perHost = 3
            $0.total = 7
        }
        for n in 1...30 { bench.add(UInt32(n), ["http://h\(n % 3)/announce"].map { TrackerRecord(url: $0) }) }
        bench.start()
        var most = 0
        for _ in 0..<2_000 where bench.log.count < 30 {
            most = max(most, bench.open.count)
            for n in 0..<3 { #expect(bench.open.filter { $0.url.hasPrefix("http://h\(n)/") }.count <= 3) }
            if bench.open.count == 7 || bench.core.nextDeadline == .never { bench.succeed() } else { bench.advanceToNext() }
        }
        #expect(bench.log.count == 30)
        #expect(most == 7)
    }

    @Test func downloadsGoAheadOfSeeds() {
        var bench = Bench(active: false) { $0.perHost = 1 }
        for n in 1...20 { bench.add(UInt32(n), [TrackerRecord(url: a)], left: n > 15 ? 1 : 0) }
        bench.start()
        bench.advance(.seconds(100), answering: { $0.succeed() })
        #expect(bench.log.prefix(5).allSatisfy { $0.request.left == 1 })
        #expect(bench.log.count == 20)
    }

    @Test func aRestartKeepsTheSchedule() {
        var before = Bench()
        before.add(1, [TrackerRecord(tier: 0, url: a), TrackerRecord(tier: 1, url: b)])
        before.fail()
        before.succeed()
        // What the session was told, given to a new worker 100 s later.
        var state: [String: TrackerReport] = [:]
        for report in before.reports { state[report.url] = report }
        var after = Bench(seed: 5)
        after.now = before.now + .seconds(5)
        let records = [a, b].enumerated().map {
            TrackerRecord(tier: UInt16($0.offset), url: $0.element, next: state[$0.element]!.next, startedSent: state[$0.element]!.startedSent)
        }
        after.add(1, records)
        #expect(after.log.isEmpty)
        after.advance(.seconds(4_000), answering: { _ = $0.open[0].url == a ? $0.fail() : $0.succeed() })
        #expect(after.log.allSatisfy { $0.url == a ? $0.request.event == .started : $0.request.event == .none })
        #expect(after.log.first { $0.url == b }!.at == state[b]!.next)
        #expect(after.log.first { $0.url == a }!.at == state[a]!.next)
        #expect(state[a]!.startedSent == false && state[b]!.startedSent)
    }

    @Test func aScheduleFromAWrongClockIsBounded() {
        var bench = Bench()
        bench.add(1, [TrackerRecord(url: a, next: bench.now + .seconds(10_000_000), startedSent: true)])
        #expect(bench.core.nextDeadline <= bench.now + .seconds(86_400))
    }

    @Test func aReplayAdoptsAndForgets() {
        var bench = Bench()
        bench.add(1, a)
        bench.add(2, b)
        bench.succeed()
        bench.succeed()
        bench.send(.replayBegan)
        bench.add(1, [TrackerRecord(url: a, next: bench.now, startedSent: false)])
        #expect(bench.log.count == 2)
        bench.start()
        // The second is gone: it says stopped. The first is as it was.
        #expect(bench.words == ["started a", "started b", "stopped b"])
        var cursor = 0, effects: [AnnounceCore.Effect] = []
        #expect(!bench.core.report(from: &cursor, limit: 100, into: &effects))
        #expect(effects.count == 1)
    }

    @Test func heldBeginsNothing() {
        var bench = Bench()
        bench.send(.held(true))
        bench.add(1, a)
        bench.advance(.seconds(10))
        #expect(bench.log.isEmpty)
        bench.send(.held(false))
        #expect(bench.log.count == 1)
    }

    /// A dead host: opens after five failures, is tried by one announce at a time, closes after three successes; nobody
    /// is lost.
    @Test func breakerOfAHost() {
        var bench = Bench { $0.perHost = 1 }
        for n in 1...40 { bench.add(UInt32(n), [TrackerRecord(url: a)]) }
        bench.failUntilABreakerOpens()
        #expect(bench.breakers == ["http://a:80 closed->open"])
        #expect(bench.log.count == 5)
        #expect(bench.reports.contains { $0.state == .breakerOpen && $0.message == "HTTP 500" })
        var asked = bench.log.count
        bench.advance(.seconds(600), answering: { $0.fail("HTTP 500", hostFault: true) })
        // 5 s × 2^k: some seven trials in ten minutes.
        #expect(bench.log.count - asked >= 4 && bench.log.count - asked <= 9)
        asked = bench.log.count
        bench.advance(.seconds(3_000), answering: { $0.succeed() })
        #expect(bench.breakers.last == "http://a:80 halfOpen->closed")
        #expect(Set(bench.log[asked...].map(\.request.infoHash)).count == 40)
    }

    @Test func onlyOneTrialWhileHalfOpen() {
        var bench = Bench { $0.perHost = 5 }
        for n in 1...40 { bench.add(UInt32(n), [TrackerRecord(url: a)]) }
        bench.failUntilABreakerOpens()
        while !bench.open.isEmpty { bench.fail("HTTP 500", hostFault: true) }
        for _ in 0..<200 where bench.open.isEmpty { bench.advanceToNext() }
        for _ in 0..<200 { bench.advance(.milliseconds(100)) }
        #expect(bench.open.count == 1)
    }

    @Test func anOpenBreakerMovesOnToTheNextTracker() {
        var bench = Bench()
        for n in 1...10 { bench.add(UInt32(n), a, b) }
        bench.advance(.seconds(30), answering: { _ = $0.open[0].url == a ? $0.fail("refused", hostFault: true) : $0.succeed() })
        #expect(Set(bench.log.filter { $0.url == b }.map(\.request.infoHash)).count == 10)
    }

    @Test func oneTorrentsFaultIsNotTheHosts() {
        var bench = Bench()
        for n in 1...40 { bench.add(UInt32(n), [TrackerRecord(url: a)]) }
        bench.advance(.seconds(20), answering: { $0.answer(.refused("unregistered", .never)) })
        #expect(bench.breakers.isEmpty)
        #expect(bench.log.count == 40)
    }

    @Test func drainSaysStoppedAndEnds() {
        var bench = Bench { $0.perHost = 2 }
        for n in 1...20 { bench.add(UInt32(n), [TrackerRecord(url: a)]) }
        bench.advance(.seconds(60), answering: { $0.succeed() })
        #expect(bench.log.count == 20)
        bench.send(.drain(deadline: bench.now + .seconds(5)))
        bench.advance(.seconds(1), answering: { $0.succeed() })
        #expect(bench.drained)
        #expect(bench.log.dropFirst(20).map(\.request.event) == [AnnounceEvent](repeating: .stopped, count: 20))
        #expect(bench.reports.suffix(1).allSatisfy { !$0.startedSent })
    }

    @Test func drainGivesUpAtItsDeadline() {
        var bench = Bench { $0.perHost = 2 }
        for n in 1...20 { bench.add(UInt32(n), [TrackerRecord(url: a)]) }
        bench.advance(.seconds(60), answering: { $0.succeed() })
        bench.send(.drain(deadline: bench.now + .seconds(5)))
        bench.advance(.milliseconds(4_999))
        #expect(!bench.drained)
        bench.advance(.milliseconds(1))
        #expect(bench.drained)
        #expect(bench.log.count == 22)
        #expect(bench.core.nextDeadline == .never)
    }

    @Test func drainWithNothingToSayEndsAtOnce() {
        var bench = Bench(active: false)
        bench.add(1, a)
        bench.send(.drain(deadline: bench.now + .seconds(5)))
        #expect(bench.drained && bench.log.isEmpty)
    }

    /// Random orders over a few torrents and hosts: what a tracker hears is always a sensible life.
    @Test(arguments: 0..<40) func randomLives(_ seed: Int) {
        var bench = Bench(seed: UInt64(seed)) { $0.perHost = 2 }
        var random = SeededRandom(seed: UInt64(seed) &+ 99)
        let hosts = ["http://a/announce", "http://b/announce", "udp://c:1", "udp://d:2/x"]
        /// What each tracker believes of each info-hash, by what it answered.
        var known: [String: Bool] = [:]
        for step in 0..<1_500 {
            let torrent = UInt32(1 + random.below(8))
            switch random.below(12) {
            case 0, 1:
                bench.add(
                    torrent,
                    hosts.filter { _ in random.chance(0.6) }.enumerated().map {
                        TrackerRecord(tier: UInt16($0.offset / 2), url: $0.element)
                    })
            case 2: bench.send(.torrentRemoved(id(torrent)))
            case 3: bench.send(.torrentPaused(id(torrent), random.chance(0.5)))
            case 4: bench.send(.completed(id(torrent)))
            case 5: bench.send(.announceNow(id(torrent)))
            case 6: bench.advance(.seconds(random.below(400)))
            case 7: bench.send(.held(random.chance(0.2)))
            default:
                guard !bench.open.isEmpty else { bench.advanceToNext(); continue }
                let asked = bench.open.remove(at: random.below(bench.open.count))
                let name = "\(asked.url) \(asked.request.infoHash)"
                if random.chance(0.6) {
                    if asked.request.event == .none || asked.request.event == .completed {
                        #expect(known[name] == true, "step \(step): \(asked.request.event) to a tracker that knows nothing")
                    }
                    if asked.request.event == .stopped { #expect(known[name] == true) }
                    known[name] = asked.request.event != .stopped
                    bench.send(.ended(asked.id, .answered(AnnounceAnswer(interval: 60), from: nil)))
                } else {
                    // The core may have given a `stopped` up after three of these.
                    bench.send(.ended(asked.id, .failed("x", hostFault: random.chance(0.3), retryAfter: nil)))
                }
            }
            #expect(bench.core.requestsUnderWay == bench.open.count)
        }
        bench.send(.held(false))
        for n in 1...8 { bench.send(.torrentRemoved(id(UInt32(n)))) }
        bench.advance(.seconds(40_000), answering: { $0.succeed() })
        #expect(bench.core.torrentCount == 0)
        #expect(bench.core.nextDeadline == .never)
    }

    @Test func theSameSeedGivesTheSameRun() {
        func run() -> [String] {
            var bench = Bench(seed: 3)
            for n in 1...50 { bench.add(UInt32(n), a, b, c) }
            var flip = false
            bench.advance(
                .seconds(9_000),
                answering: { bench in
                    flip.toggle()
                    if flip { bench.succeed() } else { bench.fail("x", hostFault: true) }
                })
            return bench.log.map { "\($0.at.nanoseconds) \($0.url) \($0.request.event)" }
        }
        #expect(run() == run())
    }
}

@Suite struct DeadlineHeapTests {
    @Test func agreesWithASortedList() {
        var heap = DeadlineHeap(), truth: [Int: Instant] = [:], random = SeededRandom(seed: 4)
        for _ in 0..<5_000 {
            let row = random.below(60)
            switch random.below(5) {
            case 0:
                heap.remove(row)
                truth[row] = nil
            case 1:
                heap.set(row, .never)
                truth[row] = nil
            default:
                let due = Instant(nanoseconds: Int64(random.below(40)))
                heap.set(row, due)
                truth[row] = due
            }
            let least = truth.min { ($0.value, $0.key) < ($1.value, $1.key) }
            #expect(heap.top?.row == least?.key && heap.top?.due == least?.value && heap.count == truth.count)
        }
    }
}
