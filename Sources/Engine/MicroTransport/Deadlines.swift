import Primitives

/// Times at which rows want to be looked at. A row has one valid entry, the earliest; one that was overtaken by an earlier is
/// recognised by its time and dropped when it surfaces.
struct DeadlineHeap {
    private var items: [(at: Instant, row: UInt32)] = []

    var next: Instant { items.first?.at ?? .never }

    mutating func push(_ at: Instant, _ row: UInt32) {
        items.append((at, row))
        var child = items.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard isEarlier(child, parent) else { break }
            items.swapAt(child, parent)
            child = parent
        }
    }
    mutating func pop(now: Instant) -> (at: Instant, row: UInt32)? {
        guard let first = items.first, first.at <= now else { return nil }
        let last = items.removeLast()
        if !items.isEmpty {
            items[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in (2 * parent + 1)..<(2 * parent + 3) where child < items.count && isEarlier(child, least) { least = child }
                guard least != parent else { break }
                items.swapAt(parent, least)
                parent = least
            }
        }
        return first
    }
    /// Equal times go by row, so that a run repeats.
    private func isEarlier(_ a: Int, _ b: Int) -> Bool { items[a].at != items[b].at ? items[a].at < items[b].at : items[a].row < items[b].row }
}

extension MicroTransport {
    /// When ``expire(now:)`` has something to do next.
    package var nextDeadline: Instant { heap.next }

    /// The row's earliest deadline into the heap.
    func rearm(_ i: Int) {
        let c = rows + i
        var at = min(c.pointee.retransmitAt, c.pointee.ackAt, c.pointee.closeAt, c.pointee.windowProbeAt)
        if c.pointee.stage == .open { at = min(at, c.pointee.lastSaid + configuration.keepAlive) }
        guard at < c.pointee.armedAt else { return }
        c.pointee.armedAt = at
        heap.push(at, UInt32(i))
    }

    /// Time-outs, delayed acknowledgements and keep-alives that are due.
    package func expire(now: Instant) {
        while let (at, row) = heap.pop(now: now) {
            let i = Int(row)
            guard rows[i].stage != .free, rows[i].armedAt == at else { continue }
            rows[i].armedAt = .never
            expire(i, now: now)
            if rows[i].stage != .free { rearm(i) }
        }
        // Half-open ones live as long as their sender repeats its SYN.
        while let first = halfOpen.first, now - first.since > .seconds(10) { halfOpen.removeFirst() }
    }

    private func expire(_ i: Int, now: Instant) {
        if rows[i].closeAt <= now { return freeRow(i) }
        if rows[i].ackAt <= now {
            rows[i].ackAt = .never
            rows[i].ackNow = true
            enqueue(i)
        }
        if rows[i].retransmitAt <= now { timedOut(i, now: now) }
        guard rows[i].stage != .free else { return }
        if rows[i].windowProbeAt <= now {
            // One packet goes out although the window is shut.
            (rows[i].windowProbeAt, rows[i].windowProbeDue) = (.never, true)
            enqueue(i)
        }
        if rows[i].stage == .open, now - rows[i].lastSaid >= configuration.keepAlive {
            rows[i].lastSaid = now
            rows[i].ackNow = true
            enqueue(i)
        }
    }

    private func timedOut(_ i: Int, now: Instant) {
        rows[i].retransmitAt = .never
        guard rows[i].outstanding > 0 else { return }
        let oldest = rows[i].record(rows[i].acked &+ 1)
        // A lost probe says nothing of congestion.
        if oldest.pointee.flags.contains(.probe), rows[i].outstanding == 1 {
            oldest.pointee.flags.remove(.probe)
            rows[i].path.lost()
            markLost(i, rows[i].acked &+ 1)
            enqueue(i)
            return armRetransmission(i, now: now)
        }
        // Whoever answers that it takes nothing now is not gone.
        if rows[i].peerWindow >= UInt32(rows[i].packet) || now - rows[i].lastHeard > .minutes(1) || rows[i].stage != .open {
            rows[i].roundTrip.timedOut()
        }
        counters.timeouts += 1
        let limit = rows[i].stage == .connecting ? configuration.synAttempts : rows[i].stage == .closing ? 3 : configuration.maxTimeouts
        guard rows[i].roundTrip.timeouts < limit else { return lose(i, .timedOut) }
        if rows[i].roundTrip.timeouts == 2 { rows[i].path.blackHole() }
        var sequence = rows[i].acked &+ 1
        while sequence != rows[i].next {
            let flags = rows[i].record(sequence).pointee.flags
            if flags.isDisjoint(with: [.arrived, .lost]) { markLost(i, sequence) }
            sequence &+= 1
        }
        if rows[i].stage == .open { rows[i].congestion.timedOut(packet: rows[i].packet) }
        rows[i].inRecovery = false
        rows[i].duplicateAcks = 0
        rows[i].smallUnderWay = false
        enqueue(i)
        armRetransmission(i, now: now)
    }

    /// The time-out runs from now while anything is unacknowledged.
    func armRetransmission(_ i: Int, now: Instant) {
        rows[i].retransmitAt = rows[i].outstanding > 0 ? now + rows[i].roundTrip.timeout : .never
        rearm(i)
    }

    /// It is to be sent again, and no longer under way.
    func markLost(_ i: Int, _ sequence: UInt16) {
        let record = rows[i].record(sequence)
        if record.pointee.flags.contains(.probe) {
            record.pointee.flags.remove(.probe)
            rows[i].path.lost()
        }
        record.pointee.flags.insert(.lost)
        rows[i].inFlight -= Int(record.pointee.length)
        rows[i].lostCount += 1
    }
}
