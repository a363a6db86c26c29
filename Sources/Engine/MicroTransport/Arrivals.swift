import Primitives
import UTPWire

/// What a datagram brought.
package struct UTPArrival {
    package enum Opening: Hashable, Sendable {
        case none
        /// Somebody connected; to be taken into the owner's books before the payload is looked at, or closed.
        case incoming
        /// Our SYN was answered.
        case connected
    }
    package var opening = Opening.none
    package var connection: UTPHandle?
    /// The next bytes of the stream, inside the datagram; may be empty. ``MicroTransport/takeReordered(_:)`` may have more after them.
    package var payload = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    package var hasMore = false

    package init() {}
}

extension MicroTransport {
    /// Takes one datagram.
    package func received(_ datagram: UnsafeMutableRawBufferPointer, from endpoint: Endpoint, now: Instant) -> UTPArrival {
        counters.packetsIn += 1
        let bytes = UnsafeRawBufferPointer(datagram)
        guard let packet = try? UTPPacket(decoding: bytes) else {
            counters.malformed += 1
            return UTPArrival()
        }
        switch packet.header.type {
        case .syn:
            receivedSYN(packet.header, endpoint, now: now)
            return UTPArrival()
        case .reset:
            receivedReset(packet.header, endpoint)
            return UTPArrival()
        case .data, .fin, .state: break
        }
        var arrival = UTPArrival()
        if let row = rowOf[ConnectionKey(endpoint: endpoint, receiveID: packet.header.connection)] {
            take(Int(row), packet, datagram, &arrival, now: now)
        } else if let i = promote(packet.header, endpoint, now: now) {
            arrival.opening = .incoming
            arrival.connection = handle(i)
            take(i, packet, datagram, &arrival, now: now)
        } else {
            counters.strays += 1
            answerReset(packet.header, endpoint, now: now)
        }
        return arrival
    }

    /// The next bytes of the stream that came before their turn; nil when there are none. They are valid until the next call on
    /// the core. Call until nil while ``UTPArrival/hasMore``.
    package func takeReordered(_ h: UTPHandle) -> UnsafeMutableRawBufferPointer? {
        // The packet given out last time is released now.
        if let given { pool.release(given) }
        given = nil
        guard let i = row(h), rows[i].reorderCount > 0, let reorder = rows[i].reorder else { return nil }
        let place = Int(rows[i].received &+ 1) & (UTPConnection.reorderCapacity - 1)
        guard reorder[place] >= 0 else { return nil }
        let index = reorder[place]
        reorder[place] = -1
        rows[i].reorderCount -= 1
        rows[i].reorderBytes -= pool.count(index)
        rows[i].received &+= 1
        noteEnd(i)
        given = index
        return pool.bytes(index)
    }

    /// All bytes of the other side's stream are out: said after the last were taken.
    private func noteEnd(_ i: Int) {
        guard rows[i].hasEnd, !rows[i].endDelivered, rows[i].received == rows[i].endSequence else { return }
        rows[i].endDelivered = true
        rows[i].ackNow = true
        enqueue(i)
        if rows[i].stage == .open { events.append(.ended(handle(i))) }
    }

    // MARK: Opening

    private func receivedSYN(_ header: UTPHeader, _ endpoint: Endpoint, now: Instant) {
        // The initiator takes answers under the id that it names, and sends under the next.
        let receiveID = header.connection &+ 1
        let delay = Self.microseconds(now) &- header.timestamp
        if let row = rowOf[ConnectionKey(endpoint: endpoint, receiveID: receiveID)] {
            // A repeated SYN whose answer it has meanwhile.
            if rows[Int(row)].stage == .open {
                rows[Int(row)].ackNow = true
                enqueue(Int(row))
            }
            return
        }
        if let at = halfOpen.firstIndex(where: { $0.receiveID == receiveID && $0.endpoint == endpoint }) {
            guard halfOpen[at].received == header.sequence else { return }
            halfOpen[at].delay = delay
            return answerSYN(halfOpen[at], now: now)
        }
        guard connectionCount + halfOpen.count < configuration.maxConnections else {
            counters.refusedSYNs += 1
            return
        }
        if halfOpen.count >= configuration.maxHalfOpen {
            counters.refusedSYNs += 1
            halfOpen.removeFirst()
        }
        let new = HalfOpen(
            endpoint: endpoint, receiveID: receiveID, next: UInt16(truncatingIfNeeded: random.next()), received: header.sequence, delay: delay,
            window: header.window, since: now)
        halfOpen.append(new)
        answerSYN(new, now: now)
    }

    /// No more bytes than the SYN had: nobody is flooded by way of us.
    private func answerSYN(_ new: HalfOpen, now: Instant) {
        guard answers.count < Self.answerLimit else { return }
        answers.append(
            Answer(
                endpoint: new.endpoint,
                header: UTPHeader(
                    type: .state, connection: new.receiveID &- 1, timestamp: Self.microseconds(now), delay: new.delay,
                    window: UInt32(configuration.receiveWindow), sequence: new.next, acknowledged: new.received)))
    }

    /// The packet after the SYN: acknowledges a number that only who got our answer can know.
    private func promote(_ header: UTPHeader, _ endpoint: Endpoint, now: Instant) -> Int? {
        guard let at = halfOpen.firstIndex(where: { $0.receiveID == header.connection && $0.endpoint == endpoint }),
            header.acknowledged == halfOpen[at].next &- 1, sequenceDistance(from: halfOpen[at].received, to: header.sequence) > 0,
            let i = newRow(endpoint, receiveID: header.connection, sendID: header.connection &- 1, now: now)
        else { return nil }
        let new = halfOpen.remove(at: at)
        rows[i].stage = .open
        rows[i].next = new.next
        rows[i].acked = new.next &- 1
        rows[i].received = new.received
        rows[i].lastDelay = new.delay
        rows[i].peerWindow = new.window
        rearm(i)
        return i
    }

    // MARK: Ending

    /// Believed when it names a packet that we sent and that was not acknowledged, or the last one: 16 bits of id and a few of
    /// 65,536 numbers that somebody who does not see the path must guess.
    private func receivedReset(_ header: UTPHeader, _ endpoint: Endpoint) {
        let id = header.connection
        for receiveID in [id, id &+ 1, id &- 1] {
            guard let row = rowOf[ConnectionKey(endpoint: endpoint, receiveID: receiveID)] else { continue }
            let c = rows + Int(row)
            guard receiveID == id || c.pointee.sendID == id else { continue }
            let at = sequenceDistance(from: c.pointee.acked, to: header.acknowledged)
            guard at >= 0, at <= c.pointee.outstanding + 1 else { continue }
            return lose(Int(row), .reset)
        }
        counters.badResets += 1
    }

    private func answerReset(_ header: UTPHeader, _ endpoint: Endpoint, now: Instant) {
        // Not to a bare STATE: two sides that know nothing of each other would go on for ever.
        guard header.type != .state, answers.count < Self.answerLimit else { return }
        if now - resetSecond >= .seconds(1) { (resetSecond, resetBudget) = (now, configuration.resetsPerSecond) }
        guard resetBudget > 0 else { return }
        resetBudget -= 1
        answers.append(
            Answer(
                endpoint: endpoint,
                header: UTPHeader(
                    type: .reset, connection: header.connection, timestamp: Self.microseconds(now), delay: 0, window: 0,
                    sequence: UInt16(truncatingIfNeeded: random.next()), acknowledged: header.sequence)))
    }

    // MARK: A connection's packet

    static func microseconds(_ now: Instant) -> UInt32 { UInt32(truncatingIfNeeded: now.nanoseconds / 1000) }

    private func take(_ i: Int, _ packet: UTPPacket, _ datagram: UnsafeMutableRawBufferPointer, _ arrival: inout UTPArrival, now: Instant) {
        let header = packet.header
        let c = rows + i
        if c.pointee.stage == .connecting {
            // Only the answer to our SYN opens; its number is that of the first packet to come.
            guard header.type == .state, header.acknowledged == c.pointee.next &- 1 else {
                counters.strays += 1
                return
            }
            c.pointee.stage = .open
            c.pointee.received = header.sequence &- 1
            arrival.opening = .connected
        } else {
            // Acknowledging what was never sent, or long ago: not of this connection.
            let ahead = sequenceDistance(from: c.pointee.acked, to: header.acknowledged)
            guard ahead <= c.pointee.outstanding, ahead > -UTPConnection.sentLimit else {
                counters.strays += 1
                return
            }
        }
        // What comes for a stream that the owner has closed is acknowledged and dropped.
        arrival.connection = c.pointee.stage == .open ? handle(i) : nil
        c.pointee.lastHeard = now
        c.pointee.peerWindow = header.window
        if header.window > 0 { (c.pointee.windowProbeAt, c.pointee.windowProbeDue) = (.never, false) }
        measureTheirs(i, header, now: now)
        acknowledge(i, header, UnsafeRawBufferPointer(rebasing: datagram[packet.selectiveAck]), isBare: header.type == .state, now: now)
        guard c.pointee.stage != .free else { return }
        if header.type != .state { takePayload(i, packet, datagram, &arrival, now: now) }
        // Window and numbers moved: maybe there is something to send now.
        enqueue(i)
    }

    /// What we measure of their packets goes back in ours. Its least value falls only when the clocks drift (or the path got
    /// shorter): ours against theirs falls as theirs against ours rises, so our own base moves the other way. Never by more than
    /// 10 ms at once, which no drift between two samples is.
    private func measureTheirs(_ i: Int, _ header: UTPHeader, now: Instant) {
        let delay = Self.microseconds(now) &- header.timestamp
        let before = rows[i].theirDelays.base, wasEmpty = rows[i].theirDelays.isEmpty
        // 0 means that nothing was measured.
        rows[i].lastDelay = delay == 0 ? 1 : delay
        rows[i].theirDelays.add(delay, now: now)
        let fell = Int32(bitPattern: before &- rows[i].theirDelays.base)
        if !wasEmpty, fell > 0, fell <= 10_000 { rows[i].delays.shift(by: UInt32(fell)) }
    }

    private func takePayload(
        _ i: Int, _ packet: UTPPacket, _ datagram: UnsafeMutableRawBufferPointer, _ arrival: inout UTPArrival, now: Instant
    ) {
        let c = rows + i, sequence = packet.header.sequence
        let ahead = sequenceDistance(from: c.pointee.received, to: sequence)
        guard ahead > 0 else {
            counters.duplicates += 1
            c.pointee.ackNow = true
            return
        }
        guard ahead <= UTPConnection.reorderCapacity else {
            counters.strays += 1
            return
        }
        if packet.header.type == .fin, !c.pointee.hasEnd {
            c.pointee.hasEnd = true
            c.pointee.endSequence = sequence
        }
        if c.pointee.hasEnd, sequenceDistance(from: c.pointee.endSequence, to: sequence) > 0 {
            counters.strays += 1
            return
        }
        if ahead == 1 {
            c.pointee.received = sequence
            c.pointee.unacknowledged += 1
            arrival.payload = UnsafeMutableRawBufferPointer(rebasing: datagram[packet.payload])
            arrival.hasMore = c.pointee.reorderCount > 0
            // After a gap was filled the sender should know at once; otherwise one answer for two packets, or a little later.
            if c.pointee.reorderCount > 0 || c.pointee.unacknowledged >= 2 {
                c.pointee.ackNow = true
            } else if c.pointee.ackAt == .never {
                c.pointee.ackAt = now + configuration.ackDelay
                rearm(i)
            }
            noteEnd(i)
        } else {
            keep(i, sequence, UnsafeRawBufferPointer(rebasing: datagram[packet.payload]))
        }
    }

    private func keep(_ i: Int, _ sequence: UInt16, _ payload: UnsafeRawBufferPointer) {
        let c = rows + i
        counters.outOfOrder += 1
        c.pointee.ackNow = true
        // A closing connection delivers nothing any more.
        guard c.pointee.stage == .open, c.pointee.reorderBytes + payload.count <= configuration.receiveWindow else { return }
        if c.pointee.reorder == nil {
            c.pointee.reorder = .allocate(capacity: UTPConnection.reorderCapacity)
            c.pointee.reorder!.initialize(repeating: -1, count: UTPConnection.reorderCapacity)
        }
        let place = Int(sequence) & (UTPConnection.reorderCapacity - 1)
        guard c.pointee.reorder![place] < 0 else {
            counters.duplicates += 1
            return
        }
        guard let index = pool.store(payload) else { return }
        c.pointee.reorder![place] = index
        if c.pointee.reorderCount == 0 || sequenceDistance(from: c.pointee.farthest, to: sequence) > 0 { c.pointee.farthest = sequence }
        c.pointee.reorderCount += 1
        c.pointee.reorderBytes += payload.count
    }

    func dropReordered(_ i: Int) {
        guard rows[i].reorderCount > 0, let reorder = rows[i].reorder else { return }
        for place in 0..<UTPConnection.reorderCapacity where reorder[place] >= 0 {
            pool.release(reorder[place])
            reorder[place] = -1
        }
        rows[i].reorderCount = 0
        rows[i].reorderBytes = 0
    }
}
