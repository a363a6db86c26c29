import Primitives
import UTPWire

extension MicroTransport {
    /// What the acknowledgement part of a packet says of ours. `isBare`: it carries nothing else, so a repetition means that
    /// something arrived out of order.
    func acknowledge(_ i: Int, _ header: UTPHeader, _ selective: UnsafeRawBufferPointer, isBare: Bool, now: Instant) {
        let c = rows + i
        guard c.pointee.outstanding > 0 else { return }
        let advance = sequenceDistance(from: c.pointee.acked, to: header.acknowledged)
        guard advance >= 0 else { return }
        var bytes = 0
        /// Time at which the last sent of the packets that are acknowledged now left.
        var newest = Instant.zero
        let wasFull = c.pointee.wasFull
        if advance > 0 {
            for _ in 0..<advance {
                let sequence = c.pointee.acked &+ 1
                bytes += arrived(i, sequence, &newest, now: now)
                let record = c.pointee.record(sequence)
                if record.pointee.length > 0 { c.pointee.released = record.pointee.offset + UInt64(record.pointee.length) }
                if c.pointee.smallUnderWay, sequence == c.pointee.smallSequence { c.pointee.smallUnderWay = false }
                c.pointee.acked = sequence
            }
            c.pointee.duplicateAcks = 0
            c.pointee.roundTrip.progressed()
            if c.pointee.inRecovery, sequenceDistance(from: c.pointee.recoveryEnd, to: c.pointee.acked) >= 0 { c.pointee.inRecovery = false }
            if c.pointee.stage == .open, events.last != .progress(handle(i)) { events.append(.progress(handle(i))) }
        } else if isBare {
            c.pointee.duplicateAcks += 1
        }
        if c.pointee.stage == .closing {
            if c.pointee.outstanding == 0 {
                // All is said; the other side's FIN, if it comes yet, is answered with a reset, which ends it as well.
                return freeRow(i)
            }
            return armRetransmission(i, now: now)
        }

        if !selective.isEmpty { takeSelective(i, selective, from: header.acknowledged, &bytes, &newest, now: now) }
        findLost(i, hasSelective: !selective.isEmpty, newest: newest, now: now)

        if bytes > 0 {
            if header.delay != 0 { c.pointee.delays.add(header.delay, now: now) }
            var queuing: UInt32?
            if !c.pointee.delays.isEmpty {
                // A queue cannot hold a packet for longer than its round trip took.
                let trip = c.pointee.roundTrip.smoothed
                queuing = trip == .zero ? c.pointee.delays.queuing : min(c.pointee.delays.queuing, UInt32(clamping: trip.nanoseconds / 1000))
            }
            c.pointee.congestion.acknowledged(bytes, queuing: queuing, isFull: wasFull && !c.pointee.inRecovery, packet: c.pointee.packet)
        }
        if advance > 0 || bytes > 0 { armRetransmission(i, now: now) }
    }

    /// The packet is over there. Returns its payload when that is news.
    private func arrived(_ i: Int, _ sequence: UInt16, _ newest: inout Instant, now: Instant) -> Int {
        let c = rows + i, record = c.pointee.record(sequence)
        guard !record.pointee.flags.contains(.arrived) else { return 0 }
        let length = Int(record.pointee.length)
        if record.pointee.flags.contains(.lost) {
            c.pointee.lostCount -= 1
        } else {
            c.pointee.inFlight -= length
        }
        record.pointee.flags.insert(.arrived)
        record.pointee.flags.remove(.lost)
        // Karn: which of two transmissions is answered cannot be told.
        if record.pointee.transmissions == 1 { c.pointee.roundTrip.measured(now - record.pointee.sentAt) }
        newest = max(newest, record.pointee.sentAt)
        if record.pointee.flags.contains(.probe) {
            c.pointee.path.passed()
            c.pointee.congestion.atLeast(packet: c.pointee.packet)
        }
        return length
    }

    private func takeSelective(
        _ i: Int, _ bits: UnsafeRawBufferPointer, from base: UInt16, _ bytes: inout Int, _ newest: inout Instant, now: Instant
    ) {
        let c = rows + i
        for (n, byte) in bits.enumerated() where byte != 0 {
            for bit in 0..<8 where byte & (1 << UInt8(bit)) != 0 {
                let sequence = base &+ 2 &+ UInt16(truncatingIfNeeded: n * 8 + bit)
                // Only what was sent and is outstanding.
                guard sequenceDistance(from: c.pointee.acked, to: sequence) > 0, sequenceDistance(from: sequence, to: c.pointee.next) > 0 else { continue }
                bytes += arrived(i, sequence, &newest, now: now)
                if c.pointee.smallUnderWay, sequence == c.pointee.smallSequence { c.pointee.smallUnderWay = false }
            }
        }
    }

    /// A packet is taken for lost when one arrived that left a quarter of a round trip after it (reordering moves packets by less),
    /// or, without selective acknowledgements, at the third repetition (BEP 29). Also finds losses of what was sent again.
    private func findLost(_ i: Int, hasSelective: Bool, newest: Instant, now: Instant) {
        let c = rows + i
        var found = false
        if hasSelective, newest > .zero {
            let slack = max(c.pointee.roundTrip.smoothed / 4, .milliseconds(1))
            // Three packets must have overtaken it as well, unless fewer are left: a burst leaves at one moment.
            var arrivedAfter = 0
            var sequence = c.pointee.next &- 1
            while sequence != c.pointee.acked {
                let record = c.pointee.record(sequence)
                if record.pointee.flags.contains(.arrived) {
                    arrivedAfter += 1
                } else if !record.pointee.flags.contains(.lost), arrivedAfter > 0,
                    record.pointee.sentAt + slack < newest || (arrivedAfter >= 3 && record.pointee.transmissions == 1)
                {
                    let isProbe = record.pointee.flags.contains(.probe)
                    markLost(i, sequence)
                    // A lost probe says nothing of congestion.
                    if !isProbe { found = true }
                }
                sequence &-= 1
            }
        } else if c.pointee.duplicateAcks == 3, !hasSelective {
            let sequence = c.pointee.acked &+ 1
            if c.pointee.record(sequence).pointee.flags.isDisjoint(with: [.arrived, .lost]) {
                let isProbe = c.pointee.record(sequence).pointee.flags.contains(.probe)
                markLost(i, sequence)
                if !isProbe { found = true }
            }
        }
        guard found, !c.pointee.inRecovery else { return }
        c.pointee.inRecovery = true
        c.pointee.recoveryEnd = c.pointee.next &- 1
        c.pointee.congestion.lost(packet: c.pointee.packet)
    }
}
