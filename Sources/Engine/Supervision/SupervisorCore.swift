import Primitives

/// The supervisor's decisions. Whoever owns the processes feeds it events, calls ``advance(now:into:)`` at
/// ``nextDeadline`` and carries out the effects.
///
/// Invariants:
/// - at most one process per worker; the next is spawned only after ``Event/ended(_:_:_:)`` of the one before;
/// - generations of one worker only grow;
/// - an edge is opened once per pair of generations, when both ends have said hello;
/// - once a stop is asked nothing is spawned any more.
package struct SupervisorCore: Sendable {
    /// Why the process that runs will be taken for ended in order, or for crashed whatever its status says.
    enum Fate: Equatable, Sendable {
        case own
        case restart(tooSoon: Bool)
        case stop
        case blamed(String)
        case otherBuild
    }

    struct Row: Sendable {
        let name: WorkerName
        var policy = RestartPolicy()
        var generation = Generation(rawValue: 0)
        var pid: Int32 = 0
        var saidHello = false
        var startedAt = Instant.zero
        var readyAt: Instant?
        var heardAt = Instant.zero
        /// The core's total lateness when it was heard.
        var latenessThen = TimeSpan.zero
        var progress: UInt64 = 0
        var progressAt = Instant.zero
        var abortedAt: Instant?
        var killed = false
        var fate = Fate.own
        var drainBy: Instant?
        var lastEnding = ""
        var toldOpen = false
        /// Of disk workers only.
        var ladder = FallbackLadder()

        var isReady: Bool { if case .ready = policy.state { true } else { false } }
        /// Takes part in edges and announcements.
        var isReachable: Bool { saidHello && policy.isRunning && policy.state != .draining }
    }

    struct Stop: Sendable {
        var phase = 0
        var ends: [Instant]
        var limit: Instant
        var hurried = false
    }

    var rows: [Row]
    var random: SeededRandom
    var stop: Stop?
    private var settled = false
    var finished = false
    /// Sum of how much later than asked the ticks came: time in which heartbeats could not be read either.
    var lateness = TimeSpan.zero
    var nextTick = Instant.never

    /// `workers` in the order of start.
    package init(workers: [WorkerName], seed: UInt64) {
        rows = workers.map { Row(name: $0) }
        random = SeededRandom(seed: seed)
    }

    package var isStopping: Bool { stop != nil }
    /// What a worker that is started now may use of the kernel.
    package func step(of name: WorkerName) -> FallbackLadder.Step { rows.first { $0.name == name }?.ladder.step ?? .full }
    package func generation(of name: WorkerName) -> Generation? { rows.first { $0.name == name }?.generation }

    package mutating func handle(_ event: Event, now: Instant, into effects: inout [Effect]) {
        switch event {
        case .start: startAll(now: now, into: &effects)
        case .spawned(let name, let g, let pid): if let i = row(name, g) { rows[i].pid = pid }
        case .ended(let name, let g, let ending): if let i = row(name, g) { ended(i, ending, now: now, into: &effects) }
        case .hello(let name, let g, let sameBuild): if let i = row(name, g) { hello(i, sameBuild: sameBuild, now: now, into: &effects) }
        case .ready(let name, let g): if let i = row(name, g) { ready(i, now: now, into: &effects) }
        case .heartbeat(let name, let g, let progress): if let i = row(name, g) { heartbeat(i, progress, now: now) }
        case .drained(let name, let g): if let i = row(name, g) { heard(i, now: now) }
        case .brokeProtocol(let name, let g, let why): if let i = row(name, g) { blame(i, why, into: &effects) }
        case .restartRequested(let name, let by): restart(name, by: by, now: now, into: &effects)
        case .stopRequested: stopRequested(now: now, into: &effects)
        case .settingsChanged: settingsChanged(now: now, into: &effects)
        case .listenerBound(let role):
            for row in rows where row.name.role == role && row.isReachable { effects.append(.giveListeners(row.name)) }
        }
        checkInvariants()
    }

    // MARK: start

    private mutating func startAll(now: Instant, into effects: inout [Effect]) {
        nextTick = now + SupervisionTimes.tick
        for i in rows.indices { spawn(i, now: now, into: &effects) }
    }

    mutating func spawn(_ i: Int, now: Instant, into effects: inout [Effect]) {
        let before = rows[i].policy.breaker
        rows[i].policy.started(now: now)
        rows[i].generation = Generation(rawValue: rows[i].generation.rawValue + 1)
        rows[i].saidHello = false
        rows[i].readyAt = nil
        (rows[i].startedAt, rows[i].progressAt) = (now, now)
        rows[i].progress = 0
        rows[i].abortedAt = nil
        rows[i].killed = false
        rows[i].fate = .own
        rows[i].drainBy = nil
        heard(i, now: now)
        noteBreaker(i, before: before, reason: "", into: &effects)
        effects.append(.note(.starting(rows[i].name, rows[i].generation)))
        effects.append(.spawn(rows[i].name, rows[i].generation))
        effects.append(.tableChanged)
    }

    private mutating func hello(_ i: Int, sameBuild: Bool, now: Instant, into effects: inout [Effect]) {
        heard(i, now: now)
        guard sameBuild else {
            rows[i].fate = .otherBuild
            kill(i, into: &effects)
            return
        }
        guard !rows[i].saidHello else { return blame(i, "said hello twice", into: &effects) }
        rows[i].saidHello = true
        guard rows[i].policy.state != .draining else { return }
        let name = rows[i].name
        effects.append(.configure(name))
        for other in rows where other.name.role == .peer {
            if name.role == .disk || name == other.name { effects.append(.giveArena(shard: other.name.index, to: name)) }
        }
        if name.role != .disk { effects.append(.giveListeners(name)) }
        for other in rows where other.isReachable && Supervision.wired(name.role, other.name.role) {
            effects.append(.openEdge(name, other.name))
        }
        for other in rows where other.toldOpen && other.name != name {
            effects.append(.announceBreaker(of: other.name, to: name, isOpen: true, reason: other.lastEnding))
        }
        effects.append(.start(name))
    }

    private mutating func ready(_ i: Int, now: Instant, into effects: inout [Effect]) {
        heard(i, now: now)
        guard rows[i].saidHello, case .starting(let since) = rows[i].policy.state else { return }
        rows[i].policy.becameReady(now: now)
        rows[i].readyAt = now
        effects.append(.note(.ready(rows[i].name, rows[i].generation, after: now - since)))
        tellBreaker(i, into: &effects)
        effects.append(.tableChanged)
        settle(into: &effects)
    }

    /// The daemon is up once each worker is ready or has failed: a function that is off must not hold the rest.
    mutating func settle(into effects: inout [Effect]) {
        guard !settled, stop == nil, rows.allSatisfy({ $0.isReady || !$0.lastEnding.isEmpty }) else { return }
        settled = true
        effects.append(.settled(missing: rows.filter { !$0.isReady }.map(\.name)))
    }

    // MARK: life

    private mutating func heard(_ i: Int, now: Instant) {
        rows[i].heardAt = now
        rows[i].latenessThen = lateness
    }

    private mutating func heartbeat(_ i: Int, _ progress: UInt64, now: Instant) {
        heard(i, now: now)
        if progress != rows[i].progress { rows[i].progressAt = now }
        rows[i].progress = progress
    }

    mutating func kill(_ i: Int, into effects: inout [Effect]) {
        guard rows[i].policy.isRunning, !rows[i].killed else { return }
        rows[i].killed = true
        effects.append(.signal(rows[i].name, rows[i].generation, .kill))
    }

    private mutating func blame(_ i: Int, _ why: String, into effects: inout [Effect]) {
        guard rows[i].policy.isRunning else { return }
        if stop == nil { rows[i].fate = .blamed(why) }
        kill(i, into: &effects)
    }

    private mutating func restart(_ name: WorkerName, by: WorkerName, now: Instant, into effects: inout [Effect]) {
        guard stop == nil, let i = rows.firstIndex(where: { $0.name == name }) else { return }
        guard by.role == .session || by.role == .supervisor else {
            if by != name, Supervision.wired(by.role, name.role) { blame(i, "sent \(by) a frame that it cannot read", into: &effects) }
            return
        }
        guard rows[i].policy.isRunning else {
            rows[i].policy.startNow(now: now)
            return
        }
        guard rows[i].policy.state != .draining else { return }
        let tooSoon = rows[i].readyAt.map { now - $0 < SupervisionTimes.restartSpacing } ?? true
        rows[i].fate = .restart(tooSoon: tooSoon)
        order(i, drainBy: now + SupervisionTimes.restartDrain, now: now, into: &effects)
    }

    /// Needs a running worker.
    mutating func order(_ i: Int, drainBy: Instant, now: Instant, into effects: inout [Effect]) {
        rows[i].policy.drainOrdered()
        rows[i].drainBy = drainBy
        effects.append(.drain(rows[i].name, within: drainBy - now))
        effects.append(.tableChanged)
    }

    /// The row whose process this event is from; nil when that process is a former one.
    private func row(_ name: WorkerName, _ generation: Generation) -> Int? {
        rows.firstIndex { $0.name == name && $0.generation == generation && $0.policy.isRunning }
    }

    func checkInvariants() {
        #if DEBUG
            for row in rows {
                assert(!row.saidHello || row.policy.isRunning, "\(row.name) is gone and still wired")
                assert(stop == nil || row.policy.nextStart == nil, "\(row.name) waits for a start during the stop")
                assert(row.drainBy == nil || row.policy.state == .draining, "\(row.name) has a deadline and no drain")
            }
        #endif
    }

    private mutating func settingsChanged(now: Instant, into effects: inout [Effect]) {
        guard stop == nil else { return }
        for i in rows.indices {
            if rows[i].isReachable { effects.append(.configure(rows[i].name)) }
            if case .open = rows[i].policy.state { rows[i].policy.startNow(now: now) }
        }
    }
}
