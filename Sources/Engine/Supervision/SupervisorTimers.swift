import Primitives

/// What time brings: starts that are due, silence, starts that do not get ready, drains that overrun.
extension SupervisorCore {
    /// Call ``advance(now:into:)`` then; events in between may make it earlier.
    package func nextDeadline(now: Instant) -> Instant {
        var next = nextTick
        for row in rows {
            if let start = row.policy.nextStart { next = min(next, start) }
            next = min(next, row.policy.nextAdvance)
            if row.isReady { next = min(next, row.ladder.climbAt) }
            if let by = row.drainBy, !row.killed { next = min(next, by + SupervisionTimes.tick) }
        }
        if let stop {
            if stop.phase < stop.ends.count { next = min(next, stop.ends[stop.phase]) }
            next = min(next, stop.limit)
        }
        for row in rows where row.policy.isRunning && !row.killed { next = min(next, max(silentAt(row), now)) }
        return next
    }

    package mutating func advance(now: Instant, into effects: inout [Effect]) {
        if nextTick <= now {
            // Once a tick: the limits that this moves are looked at more often, and must not run away from the clock.
            if now - nextTick > SupervisionTimes.ordinaryLateness { lateness = lateness + (now - nextTick) }
            nextTick = now + SupervisionTimes.tick
        }

        for i in rows.indices {
            let before = rows[i].policy.breaker
            if rows[i].policy.advance(now: now) { noteBreaker(i, before: before, reason: "", into: &effects) }
            watch(i, now: now, into: &effects)
            climb(i, now: now, into: &effects)
            if stop == nil, let due = rows[i].policy.nextStart, now >= due { spawn(i, now: now, into: &effects) }
        }
        advanceStop(now: now, into: &effects)
        checkInvariants()
    }

    /// How much longer than usual a row may take, for what the machine took from us since it was heard.
    private func stretch(_ row: Row) -> TimeSpan {
        min(SupervisionTimes.stretchLimit, (lateness - row.latenessThen) * SupervisionTimes.latenessFactor)
    }

    /// When this running row is to be ended if nothing comes from it.
    private func silentAt(_ row: Row) -> Instant {
        if let abortedAt = row.abortedAt { return abortedAt + SupervisionTimes.abortGrace + stretch(row) }
        let silence = row.saidHello ? heardLimit(row) : .never
        if case .starting = row.policy.state { return min(readyBy(row), silence) }
        return silence
    }

    private func heardLimit(_ row: Row) -> Instant { row.heardAt + SupervisionTimes.silenceLimit + stretch(row) }

    /// A worker gets its state from the session worker: while that one is not ready nobody else can be.
    private func readyBy(_ row: Row) -> Instant {
        var from = row.startedAt
        if row.saidHello, row.name.role != .session {
            for session in rows where session.name.role == .session {
                guard let readyAt = session.readyAt, session.isReady else { return .never }
                from = max(from, readyAt)
            }
        }
        let moving = max(from, min(row.progressAt, from + SupervisionTimes.progressingReadyLimit))
        return moving + SupervisionTimes.readyLimit + stretch(row)
    }

    private mutating func watch(_ i: Int, now: Instant, into effects: inout [Effect]) {
        let row = rows[i]
        guard row.policy.isRunning, !row.killed else { return }
        if let by = row.drainBy, now >= by + SupervisionTimes.tick {
            effects.append(.note(.overranDrain(row.name, row.generation)))
            kill(i, into: &effects)
        } else if row.abortedAt != nil {
            guard now >= silentAt(row) else { return }
            effects.append(.note(.stillSilent(row.name, row.generation)))
            kill(i, into: &effects)
        } else if case .starting = row.policy.state, now >= readyBy(row) {
            effects.append(.note(.neverReady(row.name, row.generation)))
            if stop == nil { rows[i].fate = .blamed("not ready \(SupervisionTimes.readyLimit.milliseconds / 1000) s after its start") }
            kill(i, into: &effects)
        } else if row.saidHello, now >= heardLimit(row) {
            effects.append(.note(.silent(row.name, row.generation, for: now - row.heardAt)))
            if stop == nil { rows[i].fate = .blamed("no heartbeat for \((now - row.heardAt).milliseconds) ms") }
            rows[i].abortedAt = now
            rows[i].latenessThen = lateness
            effects.append(.signal(row.name, row.generation, .abort))
        }
    }

    /// A disk worker that was quiet for an hour gets back what was taken from it, by a restart in order.
    private mutating func climb(_ i: Int, now: Instant, into effects: inout [Effect]) {
        guard stop == nil, rows[i].isReady, now >= rows[i].ladder.climbAt else { return }
        rows[i].ladder.climb(now: now)
        effects.append(.note(.fallback(rows[i].name, rows[i].ladder.step)))
        rows[i].fate = .restart(tooSoon: false)
        order(i, drainBy: now + SupervisionTimes.restartDrain, now: now, into: &effects)
    }

    private mutating func crashed(_ i: Int, now: Instant, into effects: inout [Effect]) {
        _ = rows[i].policy.crashed(now: now, random: &random)
        if rows[i].name.role == .disk, rows[i].ladder.crashed(now: now) {
            effects.append(.note(.fallback(rows[i].name, rows[i].ladder.step)))
        }
    }

    // MARK: the end of a process

    mutating func ended(_ i: Int, _ ending: Ending, now: Instant, into effects: inout [Effect]) {
        let before = rows[i].policy.breaker, wasReady = rows[i].readyAt != nil
        _ = rows[i].policy.advance(now: now)
        var reason = ending.description
        if stop != nil {
            rows[i].policy.stopped()
        } else {
            switch (rows[i].fate, ending) {
            case (.restart(tooSoon: false), _), (.stop, _):
                reason = "by order"
                rows[i].policy.endedInOrder(now: now)
            case (.restart(tooSoon: true), _):
                reason = "by order"
                _ = rows[i].policy.crashed(now: now, random: &random)
            case (.otherBuild, _):
                reason = "\(rows[i].name.role.program) is of another build; restart the daemon"
                rows[i].policy.refusedConfiguration()
            case (.blamed(let why), _):
                reason = "\(why) (\(ending))"
                crashed(i, now: now, into: &effects)
            case (.own, .exited(ExitCode.configuration.rawValue)):
                rows[i].policy.refusedConfiguration()
            case (.own, .exited(0)) where wasReady:
                rows[i].policy.endedInOrder(now: now)
            case (.own, _):
                crashed(i, now: now, into: &effects)
            }
        }
        rows[i].pid = 0
        rows[i].saidHello = false
        rows[i].drainBy = nil
        rows[i].abortedAt = nil
        rows[i].readyAt = nil
        // It stands in frames of bounded size; a path in it may be long.
        reason = String(reason.prefix(200))
        rows[i].lastEnding = reason

        let next: Note.Next =
            switch rows[i].policy.state {
            case .backoff(let until): .startIn(until - now)
            case .open(let until): until == .never ? .waitForSettings : .startIn(until - now)
            case .stopped, .starting, .ready, .draining: .none
            }
        effects.append(.note(.ended(rows[i].name, rows[i].generation, reason: reason, next: next)))
        noteBreaker(i, before: before, reason: reason, into: &effects)
        effects.append(.tableChanged)
        settle(into: &effects)
        // The first restart is at once: a crash is repaired in the same turn that noticed it.
        if stop == nil, let due = rows[i].policy.nextStart, now >= due { spawn(i, now: now, into: &effects) }
        advanceStop(now: now, into: &effects)
    }

    mutating func noteBreaker(_ i: Int, before: RestartPolicy.Breaker, reason: String, into effects: inout [Effect]) {
        let after = rows[i].policy.breaker
        if before != after { effects.append(.note(.breaker(rows[i].name, from: before, to: after, reason: reason))) }
        tellBreaker(i, into: &effects)
    }

    /// The others hear "open" when a worker is given up for now, and "closed" as soon as a trial serves again.
    mutating func tellBreaker(_ i: Int, into effects: inout [Effect]) {
        let isOpen = rows[i].policy.breaker != .closed && !rows[i].isReady
        guard isOpen != rows[i].toldOpen else { return }
        rows[i].toldOpen = isOpen
        let reason = isOpen ? rows[i].lastEnding : ""
        for other in rows where other.isReachable && other.name != rows[i].name {
            effects.append(.announceBreaker(of: rows[i].name, to: other.name, isOpen: isOpen, reason: reason))
        }
    }

    // MARK: stop

    mutating func stopRequested(now: Instant, into effects: inout [Effect]) {
        guard var stop else { return beginStop(now: now, into: &effects) }
        guard !stop.hurried else { return }
        effects.append(.note(.stopRequested(again: true)))
        stop.hurried = true
        for phase in stop.ends.indices { stop.ends[phase] = min(stop.ends[phase], now + SupervisionTimes.hurriedEnds[phase]) }
        stop.limit = min(stop.limit, now + SupervisionTimes.hurriedLimit)
        self.stop = stop
        for i in rows.indices where rows[i].drainBy != nil {
            order(i, drainBy: min(rows[i].drainBy!, stop.ends[stop.phase]), now: now, into: &effects)
        }
    }

    private mutating func beginStop(now: Instant, into effects: inout [Effect]) {
        stop = Stop(ends: SupervisionTimes.drainEnds.map { now + $0 }, limit: now + SupervisionTimes.stopLimit)
        effects.append(.note(.stopRequested(again: false)))
        effects.append(.stopping)
        for i in rows.indices {
            if rows[i].policy.isRunning { rows[i].fate = .stop } else { rows[i].policy.stopped() }
            rows[i].drainBy = nil
        }
        drainPhase(now: now, into: &effects)
        advanceStop(now: now, into: &effects)
    }

    private mutating func drainPhase(now: Instant, into effects: inout [Effect]) {
        guard let stop, stop.phase < Supervision.drainOrder.count else { return }
        for i in rows.indices where rows[i].policy.isRunning && Supervision.drainOrder[stop.phase].contains(rows[i].name.role) {
            order(i, drainBy: max(now, stop.ends[stop.phase]), now: now, into: &effects)
        }
    }

    private func phaseIsOver(_ stop: Stop, now: Instant) -> Bool {
        let roles = Supervision.drainOrder[stop.phase]
        return now >= stop.ends[stop.phase] || !rows.contains { $0.policy.isRunning && roles.contains($0.name.role) }
    }

    /// Goes to the next phase when this one is empty or over its time, and exits after the last.
    mutating func advanceStop(now: Instant, into effects: inout [Effect]) {
        guard !finished else { return }
        while let current = stop, current.phase < current.ends.count, phaseIsOver(current, now: now) {
            for i in rows.indices where rows[i].policy.isRunning && Supervision.drainOrder[current.phase].contains(rows[i].name.role) {
                effects.append(.note(.overranDrain(rows[i].name, rows[i].generation)))
                kill(i, into: &effects)
            }
            stop!.phase += 1
            drainPhase(now: now, into: &effects)
        }
        guard let stop, stop.phase >= stop.ends.count else { return }
        // A process in an uninterruptible wait of the kernel does not end on SIGKILL; we do not wait for it.
        if !rows.contains(where: { $0.policy.isRunning }) || now >= stop.limit {
            finished = true
            effects.append(.exit(ExitCode.ordered.rawValue))
        }
    }
}

// MARK: the table

extension SupervisorCore {
    package struct Status: Equatable, Sendable {
        package enum State: UInt8, Sendable { case starting = 0, ready, draining, stopped, backoff, open }
        package let name: WorkerName
        /// 0 while it is not running.
        package let pid: Int32
        package let generation: Generation
        package let restarts: UInt32
        package let state: State
        package let uptime: TimeSpan
        package let reason: String
    }

    package func statuses(now: Instant) -> [Status] {
        rows.map { row in
            let state: Status.State =
                switch row.policy.state {
                case .stopped: .stopped
                case .starting: .starting
                case .ready: .ready
                case .draining: .draining
                case .backoff: .backoff
                case .open: .open
                }
            return Status(
                name: row.name, pid: row.pid, generation: row.generation, restarts: row.generation.rawValue - min(1, row.generation.rawValue),
                state: state, uptime: row.policy.isRunning ? now - row.startedAt : .zero, reason: row.lastEnding)
        }
    }
}
