import Primitives

/// Stops calls to a thing that keeps failing: a volume, a tracker host, the name service, the state store.
/// Pure; one value per thing. `Reason` is what the caller shows while calls are refused.
///
/// | state | enters when | does |
/// |---|---|---|
/// | closed | at first; three trials in a row succeeded | all calls pass; counts the last 20 calls or the last 10 s, whichever holds more |
/// | open | at least half of at least 5 counted calls failed; or one failure that trips at once; or 3 grave ones in 60 s | calls are refused with the reason |
/// | half-open | the open time is over | exactly one trial at a time; one failure opens again, for longer |
/// | forced | the user | open or closed until released |
///
/// Invariants: at most one trial is out while half-open; every admitted call is answered by exactly one of
/// ``succeeded(took:now:random:)``, ``failed(_:_:now:random:)`` or ``abandoned()``.
package struct CircuitBreaker<Reason: Equatable & Sendable>: Sendable {
    package struct Limits: Sendable {
        /// A call that took longer counts as failed.
        package var slow: TimeSpan
        package var windowCalls = 20
        package var minimumCalls = 5
        package var openBase = TimeSpan.seconds(5)
        package var openMaximum = TimeSpan.minutes(10)
        /// Open time while ``Severity/steady`` is why: a full disk empties when someone empties it.
        package var steadyTime = TimeSpan.seconds(30)
        package var trialsToClose = 3
        package var graveCount = 3
        package var graveWindow = TimeSpan.seconds(60)
        package init(slow: TimeSpan) { self.slow = slow }

        package static var volume: Limits { Limits(slow: .seconds(5)) }
        package static var tracker: Limits { Limits(slow: .seconds(15)) }
        package static var nameService: Limits { Limits(slow: .seconds(5)) }
        package static var sibling: Limits { Limits(slow: .seconds(2)) }
    }

    package enum Severity: Sendable {
        case ordinary
        /// EIO of a volume: three in 60 s open.
        case grave
        /// EROFS, ENODEV: opens at once.
        case fatal
        /// ENOSPC, EDQUOT: opens at once and asks again every 30 s.
        case steady
    }

    package enum State: Equatable, Sendable { case closed, open, halfOpen, forcedOpen, forcedClosed }

    package enum Admission: Equatable, Sendable {
        case pass
        /// The one call that finds out; its outcome decides.
        case trial
        /// ``Instant/never`` when forced.
        case refused(until: Instant)
    }

    package struct Transition: Equatable, Sendable {
        package let from: State
        package let to: State
        package let reason: Reason?
    }

    package let limits: Limits
    package private(set) var state = State.closed
    /// Why it is open; nil while closed.
    package private(set) var reason: Reason?
    private var openUntil = Instant.never
    /// Openings since it was last closed.
    private var openings = 0
    private var trialOut = false
    private var trialsPassed = 0
    private var graves: [Instant] = []
    private var window: CallWindow

    package init(limits: Limits) {
        self.limits = limits
        window = CallWindow(calls: limits.windowCalls)
    }

    /// The next moment at which ``admit(now:)`` would answer otherwise.
    package var retryAt: Instant { state == .open ? openUntil : .never }

    package mutating func admit(now: Instant) -> Admission {
        switch state {
        case .closed, .forcedClosed: return .pass
        case .forcedOpen: return .refused(until: .never)
        case .open:
            guard now >= openUntil else { return .refused(until: openUntil) }
            state = .halfOpen
            trialsPassed = 0
            trialOut = true
            return .trial
        case .halfOpen:
            // The running trial tells soon; there is no time to name.
            guard !trialOut else { return .refused(until: now) }
            trialOut = true
            return .trial
        }
    }

    package mutating func succeeded(took: TimeSpan, now: Instant, random: inout SeededRandom) -> Transition? {
        if took > limits.slow { return slow(now: now, random: &random) }
        switch state {
        case .closed:
            window.add(failed: false, now: now)
            return nil
        case .halfOpen:
            trialOut = false
            trialsPassed += 1
            guard trialsPassed >= limits.trialsToClose else { return nil }
            return close()
        case .open, .forcedOpen, .forcedClosed: return nil
        }
    }

    package mutating func failed(_ why: Reason, _ severity: Severity = .ordinary, now: Instant, random: inout SeededRandom) -> Transition? {
        switch state {
        case .closed:
            window.add(failed: true, now: now)
            switch severity {
            case .fatal, .steady: return open(why, steady: severity == .steady, now: now, random: &random)
            case .grave:
                let oldest = now - limits.graveWindow
                graves.removeAll { $0 <= oldest }
                graves.append(now)
                if graves.count >= limits.graveCount { return open(why, steady: false, now: now, random: &random) }
            case .ordinary: break
            }
            return windowSaysOpen(now) ? open(why, steady: false, now: now, random: &random) : nil
        case .halfOpen:
            trialOut = false
            return open(why, steady: severity == .steady, now: now, random: &random)
        case .open, .forcedOpen, .forcedClosed: return nil
        }
    }

    /// An admitted call ended without telling anything (its caller went away).
    package mutating func abandoned() { trialOut = false }

    /// nil releases it: a breaker forced open tries at once, one forced closed is closed.
    package mutating func force(open wanted: Bool?, reason why: Reason? = nil, now: Instant) -> Transition? {
        let from = state
        switch wanted {
        case true?: (state, reason) = (.forcedOpen, why)
        case false?: (state, reason) = (.forcedClosed, nil)
        case nil:
            if state == .forcedOpen {
                (state, openUntil) = (.open, now)
            } else if state == .forcedClosed {
                _ = close()
            }
        }
        trialOut = false
        return from == state ? nil : Transition(from: from, to: state, reason: reason)
    }

    private mutating func slow(now: Instant, random: inout SeededRandom) -> Transition? {
        switch state {
        case .closed:
            window.add(failed: true, now: now)
            // A slow call brings no new reason: what was told last stands.
            return windowSaysOpen(now) ? open(reason, steady: false, now: now, random: &random) : nil
        case .halfOpen:
            trialOut = false
            return open(reason, steady: false, now: now, random: &random)
        case .open, .forcedOpen, .forcedClosed: return nil
        }
    }

    private mutating func windowSaysOpen(_ now: Instant) -> Bool {
        let (calls, failures) = window.counts(now: now)
        return calls >= limits.minimumCalls && failures * 2 >= calls
    }

    private mutating func open(_ why: Reason?, steady: Bool, now: Instant, random: inout SeededRandom) -> Transition {
        let from = state
        let wait = min(limits.openMaximum, limits.openBase * (1 << min(openings, 20)))
        openUntil = now + (steady ? limits.steadyTime : .seconds(wait.seconds * (0.8 + 0.4 * random.fraction())))
        if !steady { openings += 1 }
        (state, reason, trialOut) = (.open, why, false)
        return Transition(from: from, to: .open, reason: why)
    }

    private mutating func close() -> Transition {
        let transition = Transition(from: state, to: .closed, reason: reason)
        (state, reason, openings) = (.closed, nil, 0)
        graves.removeAll(keepingCapacity: true)
        window = CallWindow(calls: limits.windowCalls)
        return transition
    }
}

/// Outcomes of the last n calls, and of the last ten seconds in one-second buckets: whichever holds more calls is asked.
/// Fixed memory whatever the rate.
struct CallWindow: Sendable {
    private static let buckets = 10
    private var last: [Bool] = []
    private var next = 0
    private let capacity: Int
    private var calls = [Int](repeating: 0, count: buckets)
    private var failures = [Int](repeating: 0, count: buckets)
    private var second = Int64.min

    init(calls capacity: Int) {
        self.capacity = capacity
        last.reserveCapacity(capacity)
    }

    mutating func add(failed: Bool, now: Instant) {
        if last.count < capacity { last.append(failed) } else { last[next] = failed }
        next = (next + 1) % capacity
        advance(now)
        let i = Int(second % Int64(Self.buckets))
        calls[i] += 1
        if failed { failures[i] += 1 }
    }

    mutating func counts(now: Instant) -> (calls: Int, failures: Int) {
        advance(now)
        let recent = calls.reduce(0, +)
        return recent > last.count ? (recent, failures.reduce(0, +)) : (last.count, last.count { $0 })
    }

    private mutating func advance(_ now: Instant) {
        let s = max(0, now.nanoseconds / 1_000_000_000)
        if second == .min { second = s }
        while second < s {
            // Nothing older than the window is left to clear after ten steps.
            if s - second > Int64(Self.buckets) { second = s - Int64(Self.buckets) }
            second += 1
            let i = Int(second % Int64(Self.buckets))
            (calls[i], failures[i]) = (0, 0)
        }
    }
}
