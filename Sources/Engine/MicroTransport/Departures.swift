import Primitives
import UTPWire

/// A packet to send: a header that the core wrote, and a stretch of the stream.
package struct UTPOutgoing {
    /// Place of its header in the memory given, and its length (20, more with a selective acknowledgement).
    package var header: Int
    package var headerLength: Int
    package var offset: UInt64
    package var length: Int
    /// Must go out with the don't-fragment bit; all others without.
    package var isProbe: Bool
    package var sequence: UInt16
}

/// Packets for one address.
package struct UTPDeparture {
    package var endpoint: Endpoint
    /// nil: answers that belong to no connection.
    package var connection: UTPHandle?
    package var count: Int
}

extension MicroTransport {
    /// Bytes of header memory that ``takePackets(limit:headers:packets:now:)`` may write for `limit` packets.
    package static func headerRoom(_ limit: Int) -> Int { limit * UTPHeader.byteCount + 2 + UTPSelectiveAck.byteLimit }

    /// True while ``takePackets(limit:headers:packets:now:)`` may have something.
    package var hasPackets: Bool { !answers.isEmpty || readyHead < ready.count }

    /// The next packets of one connection, in turn with the others; nil when nobody has any to send now. They count as sent;
    /// those that the socket did not take are given back with ``unsent(_:_:)``.
    package func takePackets(
        limit: Int, headers: UnsafeMutableRawPointer, packets: UnsafeMutablePointer<UTPOutgoing>, now: Instant
    ) -> UTPDeparture? {
        if let answer = answers.popLast() {
            answer.header.encode(to: headers)
            packets[0] = UTPOutgoing(header: 0, headerLength: UTPHeader.byteCount, offset: 0, length: 0, isProbe: false, sequence: 0)
            counters.packetsOut += 1
            return UTPDeparture(endpoint: answer.endpoint, connection: nil, count: 1)
        }
        while readyHead < ready.count {
            let i = Int(ready[readyHead])
            readyHead += 1
            if readyHead == ready.count {
                ready.removeAll(keepingCapacity: true)
                readyHead = 0
            } else if readyHead >= 4096 {
                ready.removeFirst(readyHead)
                readyHead = 0
            }
            rows[i].isQueued = false
            guard rows[i].stage != .free else { continue }
            let count = pack(i, limit, headers, packets, now: now)
            guard count > 0 else { continue }
            // It may have more: behind the others.
            if count == limit { enqueue(i) }
            counters.packetsOut += UInt64(count)
            return UTPDeparture(endpoint: rows[i].endpoint, connection: rows[i].stage == .closing ? nil : handle(i), count: count)
        }
        return nil
    }

    /// The socket did not take the packet (its buffer is full): it is sent again, at no cost to the window.
    package func unsent(_ h: UTPHandle, _ sequence: UInt16) {
        guard let i = row(h), sequenceDistance(from: rows[i].acked, to: sequence) > 0, sequenceDistance(from: sequence, to: rows[i].next) > 0 else { return }
        let record = rows[i].record(sequence)
        guard record.pointee.flags.isDisjoint(with: [.arrived, .lost]) else { return }
        if record.pointee.flags.contains(.probe) {
            record.pointee.flags.remove(.probe)
            rows[i].path.withdrawn()
        }
        record.pointee.transmissions -= 1
        markLost(i, sequence)
        enqueue(i)
    }

    /// The kernel refused the probe as larger than the link.
    package func probeRefused(_ h: UTPHandle, _ sequence: UInt16) {
        guard let i = row(h), sequenceDistance(from: rows[i].acked, to: sequence) > 0, sequenceDistance(from: sequence, to: rows[i].next) > 0 else { return }
        let record = rows[i].record(sequence)
        guard record.pointee.flags.contains(.probe) else { return }
        rows[i].path.refused()
        record.pointee.flags.remove(.probe)
        if record.pointee.flags.isDisjoint(with: [.arrived, .lost]) { markLost(i, sequence) }
        enqueue(i)
    }

    // MARK: Packing

    private func pack(_ i: Int, _ limit: Int, _ headers: UnsafeMutableRawPointer, _ packets: UnsafeMutablePointer<UTPOutgoing>, now: Instant) -> Int {
        let c = rows + i
        var count = 0, at = 0
        // Holes are told in a packet of their own, so that packets of data are all of one size.
        if c.pointee.ackNow, c.pointee.reorderCount > 0, c.pointee.stage != .connecting {
            at = writeState(i, headers, &packets[0], now: now)
            count = 1
        }
        while count < limit, let packet = nextPacket(i, headers + at, now: now) {
            packets[count] = packet
            packets[count].header = at
            at += packet.headerLength
            count += 1
        }
        if count == 0, c.pointee.ackNow, c.pointee.stage != .connecting {
            _ = writeState(i, headers, &packets[0], now: now)
            count = 1
        }
        if count > 0 {
            // Every packet acknowledges.
            c.pointee.ackNow = false
            c.pointee.ackAt = .never
            c.pointee.unacknowledged = 0
            c.pointee.lastSaid = now
            if c.pointee.retransmitAt == .never { armRetransmission(i, now: now) } else { rearm(i) }
        }
        return count
    }

    private func header(_ i: Int, _ type: UTPPacketType, _ sequence: UInt16, now: Instant) -> UTPHeader {
        UTPHeader(
            type: type, connection: type == .syn ? rows[i].receiveID : rows[i].sendID, timestamp: Self.microseconds(now), delay: rows[i].lastDelay,
            window: UInt32(max(0, configuration.receiveWindow - rows[i].reorderBytes)), sequence: sequence, acknowledged: rows[i].received)
    }

    /// Returns the bytes written.
    private func writeState(_ i: Int, _ p: UnsafeMutableRawPointer, _ packet: inout UTPOutgoing, now: Instant) -> Int {
        let c = rows + i
        var length = UTPHeader.byteCount
        if c.pointee.reorderCount > 0, let reorder = c.pointee.reorder {
            let span = sequenceDistance(from: c.pointee.received &+ 2, to: c.pointee.farthest) + 1
            let bytes = min(UTPSelectiveAck.byteLimit, (max(1, span) + 31) / 32 * 4)
            p.storeBytes(of: 0, toByteOffset: length, as: UInt8.self)
            p.storeBytes(of: UInt8(bytes), toByteOffset: length + 1, as: UInt8.self)
            length += 2
            for n in 0..<bytes {
                var byte: UInt8 = 0
                for bit in 0..<8 where n * 8 + bit < span {
                    let sequence = c.pointee.received &+ 2 &+ UInt16(truncatingIfNeeded: n * 8 + bit)
                    if reorder[Int(sequence) & (UTPConnection.reorderCapacity - 1)] >= 0 { byte |= 1 << UInt8(bit) }
                }
                p.storeBytes(of: byte, toByteOffset: length + n, as: UInt8.self)
            }
            length += bytes
            header(i, .state, c.pointee.next, now: now).encode(to: p, extension: UTPSelectiveAck.kind)
        } else {
            header(i, .state, c.pointee.next, now: now).encode(to: p)
        }
        packet = UTPOutgoing(header: 0, headerLength: length, offset: 0, length: 0, isProbe: false, sequence: c.pointee.next)
        return length
    }

    /// A lost packet again, else the next of the stream; nil: nothing may be sent now.
    private func nextPacket(_ i: Int, _ p: UnsafeMutableRawPointer, now: Instant) -> UTPOutgoing? {
        let c = rows + i
        if c.pointee.lostCount > 0 {
            var sequence = c.pointee.acked &+ 1
            while !c.pointee.record(sequence).pointee.flags.contains(.lost) { sequence &+= 1 }
            let record = c.pointee.record(sequence)
            guard c.pointee.stage != .open || mayFly(i, Int(record.pointee.length), now: now) else { return nil }
            record.pointee.flags.remove(.lost)
            c.pointee.lostCount -= 1
            if record.pointee.transmissions > 0 { counters.retransmitted += 1 }
            return send(i, sequence, p, now: now)
        }
        guard c.pointee.stage == .open, c.pointee.packed < c.pointee.supplied else {
            c.pointee.wasFull = false
            return nil
        }
        let left = Int(min(c.pointee.supplied - c.pointee.packed, 1 << 20))
        var length = min(left, c.pointee.packet), flags: SentPacket.Flags = []
        // Small packets wait while one is under way: more may join them (Nagle, as amended by Minshall).
        if length < c.pointee.packet, c.pointee.smallUnderWay { return nil }
        if !c.pointee.inRecovery, c.pointee.inFlight > 0, let wanted = c.pointee.path.wanted(now: now), left >= wanted - UTPHeader.byteCount,
            mayFly(i, wanted - UTPHeader.byteCount, now: now)
        {
            length = wanted - UTPHeader.byteCount
            flags = .probe
            c.pointee.path.sent(wanted)
        }
        guard mayFly(i, length, now: now), c.pointee.reserveRecord() else {
            c.pointee.wasFull = true
            return nil
        }
        let sequence = c.pointee.next
        c.pointee.record(sequence).initialize(
            to: SentPacket(offset: c.pointee.packed, sentAt: now, length: UInt16(length), transmissions: 0, flags: flags))
        c.pointee.next &+= 1
        c.pointee.packed += UInt64(length)
        if length < c.pointee.packet {
            c.pointee.smallUnderWay = true
            c.pointee.smallSequence = sequence
        }
        return send(i, sequence, p, now: now)
    }

    private func send(_ i: Int, _ sequence: UInt16, _ p: UnsafeMutableRawPointer, now: Instant) -> UTPOutgoing {
        let c = rows + i, record = c.pointee.record(sequence)
        record.pointee.sentAt = now
        record.pointee.transmissions = min(record.pointee.transmissions, 254) + 1
        c.pointee.inFlight += Int(record.pointee.length)
        let flags = record.pointee.flags
        let type: UTPPacketType = flags.contains(.syn) ? .syn : flags.contains(.fin) ? .fin : .data
        header(i, type, sequence, now: now).encode(to: p)
        return UTPOutgoing(
            header: 0, headerLength: UTPHeader.byteCount, offset: record.pointee.offset, length: Int(record.pointee.length),
            isProbe: flags.contains(.probe), sequence: sequence)
    }

    /// Whether so many more bytes may be under way. One packet always may, and when the other side takes nothing, one from time
    /// to time, to hear when it does again.
    private func mayFly(_ i: Int, _ length: Int, now: Instant) -> Bool {
        let c = rows + i
        let window = min(Int(c.pointee.congestion.window), Int(c.pointee.peerWindow))
        if c.pointee.inFlight + length <= window { return true }
        guard c.pointee.inFlight == 0 else { return false }
        if c.pointee.peerWindow >= UInt32(length) { return true }
        if c.pointee.windowProbeDue {
            c.pointee.windowProbeDue = false
            return true
        }
        if c.pointee.windowProbeAt == .never {
            c.pointee.windowProbeAt = now + c.pointee.roundTrip.timeout
            rearm(i)
        }
        return false
    }
}
