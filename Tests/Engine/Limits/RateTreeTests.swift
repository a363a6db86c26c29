import Limits
import Primitives
import Testing

/// A tree driven as the peers would: everybody who may use bytes uses them, in blocks.
private final class Pipe {
    var tree = RateTree()
    var now = Instant.zero
    var used: [Int] = []
    let block: Int

    init(peers: Int, block: Int = 16_384) {
        used = [Int](repeating: 0, count: peers)
        self.block = block
    }

    /// Peer `i` wants `blocks` more as long as there is time.
    func run(_ seconds: Double, wanting blocks: [Int], step: TimeSpan = .milliseconds(1)) {
        let end = now + .seconds(seconds)
        while now < end {
            now += step
            tree.share(now: now)
            while tree.takeReady() != nil {}
            for i in blocks.indices where blocks[i] > 0 { take(i, blocks[i]) }
        }
    }
    func take(_ i: Int, _ blocks: Int) {
        let given = tree.request(i, want: blocks * block, now: now)
        let use = given == .max ? blocks * block : min(given, blocks * block) / block * block
        if use > 0 {
            if given != .max { tree.spend(i, use) }
            used[i] += use
        }
    }
    func rate(of i: Int, _ seconds: Double) -> Double { Double(used[i]) / seconds }
}

private let mib = 1_048_576.0

@Suite struct RateTreeTests {
    @Test(arguments: [100_000, 1_000_000, 50_000_000, 1_000_000_000]) func holdsWithinTwoPercentOverTenSeconds(rate: Int64) {
        let pipe = Pipe(peers: 3)
        pipe.tree.set(0, rate: rate, parent: -1, now: pipe.now)
        for i in 0..<3 { pipe.tree.attach(i, under: 0, rate: 0, now: pipe.now) }
        pipe.tree.settled()
        pipe.run(10, wanting: [64, 64, 64])
        let total = Double(pipe.used.reduce(0, +)) / 10
        // One block each may be on its way; a block of 16 KiB is 1.6 % of the smallest rate.
        #expect(abs(total / Double(rate) - 1) < 0.05, "\(total) of \(rate)")
    }

    @Test func neverMoreThanRateBurstAndQuantum() {
        var random = SeededRandom(seed: 7)
        for rate in [20_000.0, 300_000, 9_000_000] {
            let pipe = Pipe(peers: 5)
            pipe.tree.set(0, rate: Int64(rate), parent: -1, now: pipe.now)
            for i in 0..<5 { pipe.tree.attach(i, under: 0, rate: 0, now: pipe.now) }
            pipe.tree.settled()
            var marks: [(Double, Int)] = [(0, 0)]
            for _ in 0..<400 {
                pipe.run(0.05, wanting: (0..<5).map { _ in random.below(3) == 0 ? 0 : 1 + random.below(40) }, step: .milliseconds(5))
                marks.append((pipe.now.nanoseconds == 0 ? 0 : Double(pipe.now.nanoseconds) / 1e9, pipe.used.reduce(0, +)))
            }
            for a in stride(from: 0, to: marks.count, by: 7) {
                for b in stride(from: a + 1, to: marks.count, by: 13) {
                    let span = marks[b].0 - marks[a].0, bytes = Double(marks[b].1 - marks[a].1)
                    // Each of the five may have saved up less than a block.
                    #expect(bytes <= rate * (span + RateTree.burstSeconds) + Double(RateTree.quantum * 6))
                }
            }
        }
    }

    @Test func fourPeersShareEqually() {
        let pipe = Pipe(peers: 4)
        pipe.tree.set(0, rate: Int64(4 * mib), parent: -1, now: pipe.now)
        for i in 0..<4 { pipe.tree.attach(i, under: 0, rate: 0, now: pipe.now) }
        pipe.tree.settled()
        // One is far greedier than the rest.
        pipe.run(10, wanting: [500, 32, 64, 40])
        for i in 0..<4 { #expect(abs(pipe.rate(of: i, 10) / mib - 1) < 0.03, "\(pipe.used)") }
    }

    @Test func whoWantsLessLeavesTheRestToOthers() {
        let pipe = Pipe(peers: 2)
        pipe.tree.set(0, rate: Int64(4 * mib), parent: -1, now: pipe.now)
        for i in 0..<2 { pipe.tree.attach(i, under: 0, rate: 0, now: pipe.now) }
        pipe.tree.attach(1, under: 0, rate: Int64(mib / 2), now: pipe.now)
        pipe.tree.settled()
        pipe.run(10, wanting: [64, 64])
        #expect(abs(pipe.rate(of: 1, 10) / (mib / 2) - 1) < 0.05)
        #expect(abs(pipe.rate(of: 0, 10) / (mib * 3.5) - 1) < 0.05)
    }

    /// global 10 ◀ group 6 ◀ torrents a (no limit), b 1; torrent c in no group.
    @Test func everyLevelHolds() {
        let pipe = Pipe(peers: 3)
        pipe.tree.set(0, rate: Int64(10 * mib), parent: -1, now: pipe.now)
        pipe.tree.set(1, rate: Int64(6 * mib), parent: 0, now: pipe.now)
        pipe.tree.set(2, rate: 0, parent: 1, now: pipe.now)
        pipe.tree.set(3, rate: Int64(mib), parent: 1, now: pipe.now)
        pipe.tree.set(4, rate: 0, parent: 0, now: pipe.now)
        for i in 0..<3 { pipe.tree.attach(i, under: 2 + i, rate: 0, now: pipe.now) }
        pipe.tree.settled()
        pipe.run(10, wanting: [128, 128, 128])
        #expect(abs(pipe.rate(of: 1, 10) / mib - 1) < 0.05)
        #expect(abs((pipe.rate(of: 0, 10) + pipe.rate(of: 1, 10)) / mib - 6) < 0.3 || pipe.rate(of: 0, 10) / mib < 5.1)
        #expect(abs(pipe.used.reduce(0) { $0 + Double($1) } / 10 / mib - 10) < 0.3)
    }

    @Test func blocksLargerThanAQuantumAddUp() {
        let pipe = Pipe(peers: 2, block: 131_072)
        pipe.tree.set(0, rate: 500_000, parent: -1, now: pipe.now)
        for i in 0..<2 { pipe.tree.attach(i, under: 0, rate: 0, now: pipe.now) }
        pipe.tree.settled()
        pipe.run(20, wanting: [2, 2])
        #expect(abs(Double(pipe.used.reduce(0, +)) / 20 / 500_000 - 1) < 0.05)
        #expect(abs(Double(pipe.used[0]) / Double(pipe.used[1]) - 1) < 0.1)
    }

    @Test func aChangeHoldsAtOnce() {
        let pipe = Pipe(peers: 1)
        pipe.tree.set(0, rate: Int64(8 * mib), parent: -1, now: pipe.now)
        pipe.tree.attach(0, under: 0, rate: 0, now: pipe.now)
        pipe.tree.settled()
        pipe.run(5, wanting: [64])
        let before = pipe.used[0]
        pipe.tree.set(0, rate: Int64(mib), parent: -1, now: pipe.now)
        pipe.tree.settled()
        pipe.run(10, wanting: [64])
        #expect(abs(Double(pipe.used[0] - before) / 10 / mib - 1) < 0.05)
        pipe.tree.set(0, rate: 0, parent: -1, now: pipe.now)
        pipe.tree.settled()
        #expect(!pipe.tree.isActive && pipe.tree.nextSlice == .never)
        let given = pipe.tree.request(0, want: 1 << 30, now: pipe.now)
        #expect(given == .max)
    }

    @Test func whoWaitsIsWokenByAnyChange() {
        var tree = RateTree()
        let now = Instant.zero
        tree.set(0, rate: 1000, parent: -1, now: now)
        for i in 0..<2 {
            tree.attach(i, under: 0, rate: 0, now: now)
            _ = tree.request(i, want: 100_000, now: now)
        }
        #expect(tree.nextSlice != .never)
        tree.set(0, rate: 2000, parent: -1, now: now)
        tree.attach(1, under: 0, rate: 0, now: now)
        tree.settled()
        var woken: [Int] = []
        while let peer = tree.takeReady() { woken.append(peer) }
        #expect(woken.sorted() == [0, 1])
    }

    @Test func whatIsGivenBackIsUsedByOthers() {
        let pipe = Pipe(peers: 2)
        pipe.tree.set(0, rate: Int64(mib), parent: -1, now: pipe.now)
        for i in 0..<2 { pipe.tree.attach(i, under: 0, rate: 0, now: pipe.now) }
        pipe.tree.settled()
        let end = pipe.now + .seconds(10)
        while pipe.now < end {
            pipe.now += .milliseconds(10)
            pipe.tree.share(now: pipe.now)
            // The first asks and never uses it.
            _ = pipe.tree.request(0, want: 4 * 16_384, now: pipe.now)
            pipe.tree.release(0)
            pipe.take(1, 64)
        }
        #expect(abs(pipe.rate(of: 1, 10) / mib - 1) < 0.05)
    }

    @Test func whatComesUnaskedIsPaidBack() {
        let pipe = Pipe(peers: 1)
        pipe.tree.set(0, rate: Int64(mib), parent: -1, now: pipe.now)
        pipe.tree.attach(0, under: 0, rate: 0, now: pipe.now)
        pipe.tree.settled()
        pipe.tree.charge(0, Int(5 * mib), now: pipe.now)
        let isExhausted = pipe.tree.isExhausted(0, now: pipe.now)
        #expect(isExhausted)
        pipe.run(10, wanting: [64])
        #expect(abs(pipe.rate(of: 0, 10) / (mib / 2) - 1) < 0.05)
    }

    @Test func leavingInAnyOrderKeepsTheRingWhole() {
        var random = SeededRandom(seed: 11)
        var tree = RateTree(), now = Instant.zero
        tree.set(0, rate: 200_000, parent: -1, now: now)
        var attached = Set<Int>()
        for _ in 0..<20_000 {
            now += .milliseconds(random.below(30))
            let i = random.below(40)
            switch random.below(6) {
            case 0:
                tree.attach(i, under: 0, rate: random.below(3) == 0 ? 50_000 : 0, now: now)
                attached.insert(i)
            case 1:
                tree.detach(i)
                attached.remove(i)
            case 2, 3:
                let given = tree.request(i, want: 1 + random.below(200_000), now: now)
                if attached.contains(i) { tree.spend(i, min(given, random.below(given + 1))) } else { #expect(given == .max) }
            case 4: tree.release(i)
            default:
                tree.share(now: now)
                while let ready = tree.takeReady() { #expect(attached.contains(ready)) }
            }
        }
        for i in attached.sorted() { tree.detach(i) }
        tree.share(now: now + .seconds(1))
        #expect(tree.nextSlice == .never)
    }
}

@Suite struct WeekScheduleTests {
    struct Case: Sendable {
        let entries: [String]
        let weekday: Int, minute: Int
        let isActive: Bool
    }
    static let cases = [
        Case(entries: [], weekday: 0, minute: 0, isActive: false),
        Case(entries: ["mon-fri 08:00-18:00"], weekday: 0, minute: 480, isActive: true),
        Case(entries: ["mon-fri 08:00-18:00"], weekday: 0, minute: 479, isActive: false),
        Case(entries: ["mon-fri 08:00-18:00"], weekday: 4, minute: 1079, isActive: true),
        Case(entries: ["mon-fri 08:00-18:00"], weekday: 4, minute: 1080, isActive: false),
        Case(entries: ["mon-fri 08:00-18:00"], weekday: 5, minute: 600, isActive: false),
        // Over midnight: Friday's entry reaches into Saturday, Sunday's does not exist.
        Case(entries: ["mon-fri 22:00-06:00"], weekday: 5, minute: 359, isActive: true),
        Case(entries: ["mon-fri 22:00-06:00"], weekday: 5, minute: 360, isActive: false),
        Case(entries: ["mon-fri 22:00-06:00"], weekday: 0, minute: 10, isActive: false),
        Case(entries: ["sun 22:00-06:00"], weekday: 0, minute: 10, isActive: true),
        Case(entries: ["daily 1:00-7:30"], weekday: 3, minute: 449, isActive: true),
        Case(entries: ["sat+sun 00:00-24:00"], weekday: 6, minute: 1439, isActive: true),
        Case(entries: ["sat+sun 00:00-24:00"], weekday: 0, minute: 0, isActive: false),
        Case(entries: ["fri-mon 00:00-24:00"], weekday: 0, minute: 5, isActive: true),
        Case(entries: ["fri-mon 00:00-24:00"], weekday: 1, minute: 5, isActive: false),
        Case(entries: ["tue 08:00-09:00", "WED 10:00-11:00"], weekday: 2, minute: 600, isActive: true),
        Case(entries: ["tue 10:00-10:00"], weekday: 2, minute: 599, isActive: true),
    ]
    @Test(arguments: cases) func times(c: Case) throws {
        #expect(try #require(WeekSchedule(c.entries)).isActive(weekday: c.weekday, minute: c.minute) == c.isActive)
    }
    @Test(arguments: ["", "mon", "mon 8-9", "mon 08:00", "mon 24:00-08:00", "mon 08:60-09:00", "mon 08:00-25:00", "moon 08:00-09:00", "mon+ 08:00-09:00", "mon 08:00-09:00 x", "mon--tue 08:00-09:00"])
    func unreadable(text: String) { #expect(WeekSchedule([text]) == nil) }

    @Test(arguments: ["a:0:0", "racing-1:100:200", "x.y_z:50000000:0"]) func groups(text: String) { #expect(LimitGroup(text) != nil) }
    @Test(arguments: ["", "a", "a:1", ":1:1", "a b:1:1", "a:-1:0", "a:1:50000001", "a:1:1:1", "a:x:1"]) func wrongGroups(text: String) {
        #expect(LimitGroup(text) == nil)
    }
}
