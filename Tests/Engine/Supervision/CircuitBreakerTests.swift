import Primitives
import Testing

@testable import Supervision

@Suite struct CircuitBreakerTests {
    enum Reason: Equatable, Sendable { case ioError, diskFull, readOnly, refused }

    final class Bench {
        var breaker = CircuitBreaker<Reason>(limits: .volume)
        var random = SeededRandom(seed: 7)
        var now = Instant.zero

        func after(_ s: Double) { now = now + .seconds(s) }
        /// One call if it is let through; nil when it is refused.
        @discardableResult func call(_ failure: Reason? = nil, _ severity: CircuitBreaker<Reason>.Severity = .ordinary, took: Double = 0.01)
            -> CircuitBreaker<Reason>.Transition?
        {
            if case .refused = breaker.admit(now: now) { return nil }
            if let failure { return breaker.failed(failure, severity, now: now, random: &random) }
            return breaker.succeeded(took: .seconds(took), now: now, random: &random)
        }
        func untilTrial() { now = max(now, breaker.retryAt) }
    }

    /// Calls in order (true fails), and whether the breaker is open after the last.
    struct Case: CustomTestStringConvertible {
        let calls: [Bool]
        let opens: Bool
        let note: String
        var testDescription: String { note }
    }
    static let windows: [Case] = [
        Case(calls: [true, true, true, true], opens: false, note: "four of four: too few calls"),
        Case(calls: [true, true, true, true, true], opens: true, note: "five of five"),
        Case(calls: [false, true, false, true, true], opens: true, note: "three of five"),
        Case(calls: [false, true, false, true, false, true], opens: true, note: "half of six"),
        Case(calls: [false, false, false, true, true], opens: false, note: "two of five"),
        Case(calls: [Bool](repeating: false, count: 30) + [true, true, true, true, true], opens: false, note: "five of thirty-five within 10 s"),
    ]
    @Test(arguments: windows) func halfOfFiveOpens(_ c: Case) {
        let b = Bench()
        for failed in c.calls { b.call(failed ? .refused : nil) }
        #expect((b.breaker.state == .open) == c.opens)
    }

    @Test func windowIsTheLastTwentyCallsWhenCallsAreRare() {
        let b = Bench()
        // One call in 20 s: the ten-second window holds one of them.
        for _ in 0..<40 {
            b.after(20)
            b.call()
        }
        for i in 1...10 {
            b.after(20)
            let t = b.call(.refused)
            #expect((t != nil) == (i == 10), "failure \(i) of the last twenty")
        }
    }

    @Test func slowCallsCountAsFailures() {
        let b = Bench()
        for _ in 0..<4 { b.call(took: 5.5) }
        #expect(b.breaker.state == .closed)
        b.call(took: 5.5)
        #expect(b.breaker.state == .open)
    }

    @Test func fullDiskOpensAtOnceAndIsAskedEachHalfMinute() {
        let b = Bench()
        let t = b.call(.diskFull, .steady)
        #expect(t == .init(from: .closed, to: .open, reason: .diskFull))
        for _ in 0..<5 {
            #expect(b.breaker.admit(now: b.now) == .refused(until: b.now + .seconds(30)))
            b.untilTrial()
            b.call(.diskFull, .steady)
        }
    }

    @Test func readOnlyOpensAtOnce() {
        let b = Bench()
        b.call()
        b.call(.readOnly, .fatal)
        #expect(b.breaker.state == .open && b.breaker.reason == .readOnly)
    }

    @Test func threeInputErrorsInAMinuteOpen() {
        let b = Bench()
        for _ in 0..<100 { b.call() }
        for gap in [0.0, 40, 30] {
            b.after(gap)
            for _ in 0..<100 { b.call() }
            b.call(.ioError, .grave)
            #expect(b.breaker.state == .closed, "two within a minute, three within seventy seconds")
        }
        b.after(10)
        for _ in 0..<100 { b.call() }
        b.call(.ioError, .grave)
        #expect(b.breaker.state == .open)
    }

    @Test func openTimeDoublesWithJitterUpToTenMinutes() {
        for seed in 0..<40 as Range<UInt64> {
            let b = Bench()
            b.random = SeededRandom(seed: seed)
            b.call(.readOnly, .fatal)
            for k in 0..<10 {
                let wait = (b.breaker.retryAt - b.now).seconds, middle = min(600, 5 * Double(1 << k))
                #expect(wait >= middle * 0.8 - 0.001 && wait <= middle * 1.2 + 0.001)
                b.untilTrial()
                b.call(.readOnly, .fatal)
            }
        }
    }

    @Test func oneTrialAtATimeAndThreeClose() {
        let b = Bench()
        b.call(.readOnly, .fatal)
        b.untilTrial()
        #expect(b.breaker.admit(now: b.now) == .trial)
        #expect(b.breaker.admit(now: b.now) == .refused(until: b.now))
        #expect(b.breaker.succeeded(took: .zero, now: b.now, random: &b.random) == nil)
        #expect(b.call() == nil)
        #expect(b.call() == .init(from: .halfOpen, to: .closed, reason: .readOnly))
        // k is 0 again: the next open time is the first one.
        b.call(.readOnly, .fatal)
        #expect((b.breaker.retryAt - b.now).seconds <= 6.001)
    }

    @Test func abandonedTrialFreesThePlace() {
        let b = Bench()
        b.call(.readOnly, .fatal)
        b.untilTrial()
        #expect(b.breaker.admit(now: b.now) == .trial)
        b.breaker.abandoned()
        #expect(b.breaker.admit(now: b.now) == .trial)
    }

    @Test func lateAnswersOfCallsFromBeforeChangeNothing() {
        let b = Bench()
        b.call(.readOnly, .fatal)
        let until = b.breaker.retryAt
        #expect(b.breaker.failed(.ioError, now: b.now, random: &b.random) == nil)
        #expect(b.breaker.succeeded(took: .zero, now: b.now, random: &b.random) == nil)
        #expect(b.breaker.retryAt == until && b.breaker.state == .open)
    }

    @Test func forcedStaysUntilReleased() {
        let b = Bench()
        _ = b.breaker.force(open: true, reason: .refused, now: b.now)
        b.after(100_000)
        #expect(b.breaker.admit(now: b.now) == .refused(until: .never))
        _ = b.breaker.force(open: nil, now: b.now)
        #expect(b.breaker.admit(now: b.now) == .trial)
        _ = b.breaker.force(open: false, now: b.now)
        for _ in 0..<50 { b.call(.readOnly, .fatal) }
        #expect(b.breaker.state == .forcedClosed)
        _ = b.breaker.force(open: nil, now: b.now)
        #expect(b.breaker.state == .closed)
    }
}
