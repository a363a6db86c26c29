import Primitives
import Testing

@testable import Supervision

@Suite struct RestartPolicyTests {
    /// A worker on a virtual clock: what happens to it, and what must be seen then.
    final class Bench {
        var policy: RestartPolicy
        var random: SeededRandom
        var now = Instant.zero

        init(policy: RestartPolicy = RestartPolicy(), random: SeededRandom = SeededRandom(seed: 1)) {
            (self.policy, self.random) = (policy, random)
        }

        func start() { policy.started(now: now) }
        func ready() { policy.becameReady(now: now) }
        func run(_ s: Double) {
            let end = now + .seconds(s)
            while policy.nextAdvance <= end {
                now = max(now, policy.nextAdvance)
                _ = policy.advance(now: now)
            }
            now = end
        }
        @discardableResult func crash() -> Bool { policy.crashed(now: now, random: &random) }
        func awaitStart() { now = max(now, policy.nextStart!) }
        var wait: TimeSpan { policy.nextStart! - now }
    }

    @Test func firstCrashRestartsAtOnce() {
        let b = Bench()
        b.start()
        b.now = b.now + .seconds(1)
        b.ready()
        b.run(1)
        #expect(!b.crash())
        #expect(b.wait == .zero)
        #expect(b.policy.crashes == 1)
    }

    @Test func neverTwoStartsWithinFiftyMilliseconds() {
        let b = Bench()
        b.start()
        b.ready()
        b.now = b.now + .milliseconds(3)
        b.crash()
        #expect(b.policy.nextStart == Instant.zero + .milliseconds(50))
    }

    /// n, and the bound of the wait before start n: min(30 s, 0.2 s x 2^(n-1)).
    struct Case: CustomTestStringConvertible {
        let n: Int
        let bound: TimeSpan
        var testDescription: String { "crash \(n)" }
    }
    static let backoffs: [Case] = [
        Case(n: 2, bound: .milliseconds(400)), Case(n: 3, bound: .milliseconds(800)), Case(n: 4, bound: .milliseconds(1600)),
        Case(n: 5, bound: .milliseconds(3200)), Case(n: 6, bound: .milliseconds(6400)), Case(n: 7, bound: .milliseconds(12800)),
        Case(n: 8, bound: .milliseconds(25600)), Case(n: 9, bound: .seconds(30)), Case(n: 12, bound: .seconds(30)),
    ]
    @Test(arguments: backoffs) func backoffIsFullJitterUnderItsBound(_ c: Case) {
        var least = TimeSpan.seconds(1000), most = TimeSpan.zero
        for seed in 0..<400 as Range<UInt64> {
            // Far apart, so that the intensity never opens; ready without forgiveness needs < 60 s each.
            var limits = RestartPolicy.Limits()
            (limits.shortCount, limits.longCount) = (1000, 1000)
            let b = Bench(policy: RestartPolicy(limits: limits), random: SeededRandom(seed: seed))
            for _ in 0..<c.n {
                b.start()
                b.ready()
                b.run(1)
                #expect(!b.crash())
                if b.policy.crashes < c.n { b.awaitStart() }
            }
            #expect(b.policy.crashes == c.n)
            #expect(b.wait < c.bound)
            least = min(least, b.wait)
            most = max(most, b.wait)
        }
        // Uniform over all of it: 400 draws leave neither end empty.
        #expect(least.seconds < c.bound.seconds * 0.05)
        #expect(most.seconds > c.bound.seconds * 0.95)
    }

    @Test func crashBeforeReadyCountsDouble() {
        let b = Bench()
        b.start()
        b.run(1)
        b.crash()
        #expect(b.policy.crashes == 2)
        b.awaitStart()
        b.start()
        b.run(1)
        b.crash()
        #expect(b.policy.crashes == 4)
    }

    @Test func oneCrashIsForgivenForEachMinuteOfReady() {
        let b = Bench()
        for _ in 0..<3 {
            b.start()
            b.ready()
            b.run(2)
            b.crash()
            b.awaitStart()
        }
        b.start()
        b.ready()
        #expect(b.policy.crashes == 3)
        b.run(59)
        #expect(b.policy.crashes == 3)
        b.run(2)
        #expect(b.policy.crashes == 2)
        b.run(60)
        #expect(b.policy.crashes == 1)
        b.run(60)
        #expect(b.policy.crashes == 0)
    }

    @Test func fiveQuietMinutesForgiveAll() {
        let b = Bench()
        var limits = RestartPolicy.Limits()
        (limits.shortCount, limits.longCount) = (1000, 1000)
        b.policy = RestartPolicy(limits: limits)
        var last = b.now
        for _ in 0..<9 {
            b.start()
            b.ready()
            b.run(0.1)
            b.crash()
            last = b.now
            b.awaitStart()
        }
        b.start()
        b.ready()
        // Four are forgiven by then, one for each minute of ready; the end of the fifth since the crash clears the rest.
        b.run((last + .seconds(299) - b.now).seconds)
        #expect(b.policy.crashes == 5)
        b.run(2)
        #expect(b.policy.crashes == 0)
    }

    @Test func moreThanFiveCrashesInAMinuteOpen() {
        let b = Bench()
        for i in 1...6 {
            b.start()
            b.ready()
            b.run(0.2)
            let opened = b.crash()
            #expect(opened == (i == 6), "crash \(i)")
            if i < 6 { b.now = max(b.policy.nextStart!, b.now + .seconds(5)) }
        }
        #expect(b.policy.breaker == .open)
        #expect(b.wait >= .seconds(24) && b.wait <= .seconds(36))
    }

    @Test func moreThanTenCrashesInTenMinutesOpen() {
        let b = Bench()
        for i in 1...11 {
            b.start()
            b.ready()
            b.run(20)
            let opened = b.crash()
            #expect(opened == (i == 11), "crash \(i)")
            if i < 11 { b.now = max(b.policy.nextStart!, b.now + .seconds(30)) }
        }
    }

    @Test func slowCrashesNeverOpen() {
        let b = Bench()
        for _ in 0..<200 {
            b.start()
            b.ready()
            b.run(70)
            #expect(!b.crash())
            b.awaitStart()
        }
        #expect(b.policy.breaker == .closed)
    }

    /// Opens a policy by a crash loop at start.
    func opened(seed: UInt64 = 1) -> Bench {
        let b = Bench(random: SeededRandom(seed: seed))
        while b.policy.breaker != .open {
            b.start()
            b.run(0.1)
            b.crash()
            if b.policy.breaker != .open { b.awaitStart() }
        }
        return b
    }

    @Test func failedTrialsDoubleTheWaitUpToTenMinutes() {
        for seed in 1...50 as ClosedRange<UInt64> {
            let b = opened(seed: seed)
            for wait in [30.0, 60, 120, 240, 480, 600, 600, 600] {
                #expect(b.wait.seconds >= wait * 0.8 - 0.001 && b.wait.seconds <= wait * 1.2 + 0.001)
                b.awaitStart()
                b.start()
                #expect(b.policy.breaker == .halfOpen)
                b.run(0.1)
                #expect(b.crash())
                #expect(b.policy.breaker == .open)
            }
        }
    }

    @Test func trialClosesAfterThirtySecondsReady() {
        let b = opened()
        let crashes = b.policy.crashes
        b.awaitStart()
        b.start()
        b.run(1)
        b.ready()
        b.run(29)
        #expect(b.policy.breaker == .halfOpen)
        b.run(2)
        #expect(b.policy.breaker == .closed)
        #expect(b.policy.crashes == crashes / 2)
    }

    @Test func trialThatCrashesAfterReadyOpensAgain() {
        let b = opened()
        b.awaitStart()
        b.start()
        b.ready()
        b.run(29)
        #expect(b.crash())
        #expect(b.wait.seconds >= 48)
    }

    @Test func exitInOrderIsNoCrash() {
        let b = Bench()
        for _ in 0..<100 {
            b.start()
            b.ready()
            b.run(1)
            b.policy.endedInOrder(now: b.now)
            #expect(b.wait == .zero)
            #expect(b.policy.crashes == 0)
        }
    }

    @Test func refusedConfigurationWaitsForTheSettings() {
        let b = Bench()
        b.start()
        b.policy.refusedConfiguration()
        #expect(b.policy.breaker == .open)
        #expect(b.policy.nextStart == nil)
        b.now = b.now + .minutes(60)
        #expect(b.policy.nextStart == nil)
        b.policy.startNow(now: b.now)
        #expect(b.policy.nextStart == b.now)
        b.start()
        #expect(b.policy.breaker == .halfOpen)
    }
}
