import Primitives

/// When one worker is started again after it ended. Pure; one value per worker.
///
/// ```
///   starting ──ready──▶ ready ──drain──▶ draining ──▶ stopped
///      │                  │
///      └──── crash ───────┴──▶ backoff ──time──▶ starting
///                         └──▶ open ──time or order──▶ starting (half-open) ──ready for 30 s──▶ ready, closed
/// ```
/// Invariants:
/// - a crash before `ready` counts as two, in the back-off and in the intensity;
/// - the policy never gives up: an open breaker always has a next trial, unless the configuration is at fault;
/// - two starts are at least ``Limits/minimumSpacing`` apart.
package struct RestartPolicy: Sendable {
    package struct Limits: Sendable {
        /// Back-off before start n >= 2: uniform in 0 ..< min(maximumBackoff, base x 2^(n-1)).
        package var backoffBase = TimeSpan.milliseconds(200)
        package var maximumBackoff = TimeSpan.seconds(30)
        package var minimumSpacing = TimeSpan.milliseconds(50)
        /// One crash is forgiven for each such time of being ready.
        package var forgivenessInterval = TimeSpan.seconds(60)
        /// After so long without a crash all are forgiven.
        package var quietTime = TimeSpan.minutes(5)
        /// More crashes than these within these times open the breaker.
        package var shortWindow = TimeSpan.seconds(60)
        package var shortCount = 5
        package var longWindow = TimeSpan.minutes(10)
        package var longCount = 10
        /// First wait of an open breaker; doubles with each failed trial.
        package var openBase = TimeSpan.seconds(30)
        package var openMaximum = TimeSpan.minutes(10)
        /// A trial that stays ready so long closes the breaker.
        package var trialTime = TimeSpan.seconds(30)
        package init() {}
    }

    package enum State: Equatable, Sendable {
        case stopped
        case starting(since: Instant)
        case ready(since: Instant)
        case draining
        case backoff(until: Instant)
        /// Given up for now. ``Instant/never`` when only a change of the settings helps.
        case open(until: Instant)
    }

    package enum Breaker: Equatable, Sendable { case closed, open, halfOpen }

    package let limits: Limits
    package private(set) var state = State.stopped
    package private(set) var breaker = Breaker.closed
    /// Crashes since the last forgiveness.
    package private(set) var crashes = 0
    /// Moments of the crashes within ``Limits/longWindow``, oldest first; bounded by the intensity that opens.
    private var recent: [Instant] = []
    private var lastStart: Instant?
    private var lastCrash: Instant?
    /// Crashes were forgiven up to here.
    private var forgivenUpTo: Instant?
    /// This start was ready once.
    private var reachedReady = false
    /// Trials of the open breaker that failed.
    private var failedTrials = 0

    package init(limits: Limits = Limits()) { self.limits = limits }

    package var isRunning: Bool {
        switch state {
        case .starting, .ready, .draining: true
        case .stopped, .backoff, .open: false
        }
    }

    /// When ``started(now:)`` may be called; nil while running or stopped.
    package var nextStart: Instant? {
        switch state {
        case .backoff(let until): until
        case .open(let until): until == .never ? nil : until
        case .stopped, .starting, .ready, .draining: nil
        }
    }

    /// The next moment at which ``advance(now:)`` changes something.
    package var nextAdvance: Instant {
        guard case .ready(let since) = state else { return .never }
        var next = Instant.never
        if breaker == .halfOpen { next = since + limits.trialTime }
        if crashes > 0, let forgivenUpTo { next = min(next, forgivenUpTo + limits.forgivenessInterval) }
        if !recent.isEmpty || crashes > 0, let lastCrash { next = min(next, lastCrash + limits.quietTime) }
        return next
    }

    /// The process was started.
    package mutating func started(now: Instant) {
        if breaker == .open { breaker = .halfOpen }
        state = .starting(since: now)
        lastStart = now
        reachedReady = false
    }

    package mutating func becameReady(now: Instant) {
        guard case .starting = state else { return }
        state = .ready(since: now)
        reachedReady = true
        forgivenUpTo = now
    }

    package mutating func drainOrdered() {
        if isRunning { state = .draining }
    }

    /// Forgiveness and the end of a trial. Call at ``nextAdvance``. True when the breaker closed.
    package mutating func advance(now: Instant) -> Bool {
        guard case .ready(let since) = state else { return false }
        if let lastCrash, now >= lastCrash + limits.quietTime {
            crashes = 0
            recent.removeAll(keepingCapacity: true)
            self.lastCrash = nil
        }
        while crashes > 0, let from = forgivenUpTo, now >= from + limits.forgivenessInterval {
            crashes -= 1
            forgivenUpTo = from + limits.forgivenessInterval
        }
        guard breaker == .halfOpen, now >= since + limits.trialTime else { return false }
        breaker = .closed
        failedTrials = 0
        crashes /= 2
        recent.removeFirst(recent.count - recent.count / 2)
        return true
    }

    /// The process ended by an order, or by itself with status 0 once it had been ready: started again soon, not a crash.
    package mutating func endedInOrder(now: Instant) {
        state = .backoff(until: spaced(now))
    }
    /// Ended and not wanted any more.
    package mutating func stopped() { state = .stopped }

    /// The process crashed, or never came to be. True when the breaker opened (again).
    package mutating func crashed(now: Instant, random: inout SeededRandom) -> Bool {
        _ = advance(now: now)
        let weight = reachedReady ? 1 : 2
        crashes += weight
        let oldest = now - limits.longWindow
        recent.removeAll { $0 <= oldest }
        for _ in 0..<weight { recent.append(now) }
        lastCrash = now

        if breaker == .halfOpen {
            failedTrials += 1
            open(now: now, random: &random)
            return true
        }
        let short = recent.count { $0 + limits.shortWindow > now }
        if short > limits.shortCount || recent.count > limits.longCount {
            failedTrials = 0
            open(now: now, random: &random)
            return true
        }
        state = .backoff(until: spaced(now + backoff(random: &random)))
        return false
    }

    /// Exit 78, or a program that is not of this build: no trial until the settings change or someone orders it.
    package mutating func refusedConfiguration() {
        breaker = .open
        state = .open(until: .never)
    }

    /// The settings changed, or the user asked for this worker: a waiting one is tried at once.
    package mutating func startNow(now: Instant) {
        switch state {
        case .backoff, .open, .stopped: state = breaker == .open ? .open(until: spaced(now)) : .backoff(until: spaced(now))
        case .starting, .ready, .draining: break
        }
    }

    private mutating func open(now: Instant, random: inout SeededRandom) {
        breaker = .open
        // Twenty doublings are far past the bound and inside the integer.
        let wait = min(limits.openMaximum, limits.openBase * (1 << min(failedTrials, 20)))
        let spread = 0.8 + 0.4 * random.fraction()
        state = .open(until: spaced(now + .seconds(wait.seconds * spread)))
        // Bounded: an open breaker needs no more history than what opened it.
        if recent.count > limits.longCount + 2 { recent.removeFirst(recent.count - limits.longCount - 2) }
    }

    private func backoff(random: inout SeededRandom) -> TimeSpan {
        guard crashes >= 2 else { return .zero }
        return random.jitter(min(limits.maximumBackoff, limits.backoffBase * (1 << min(crashes - 1, 20))))
    }

    private func spaced(_ t: Instant) -> Instant {
        guard let lastStart else { return t }
        return max(t, lastStart + limits.minimumSpacing)
    }
}
