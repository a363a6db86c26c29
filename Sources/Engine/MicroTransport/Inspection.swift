import Primitives
import UTPWire

/// For tests and reports.
extension MicroTransport {
    package var halfOpenCount: Int { halfOpen.count }
    package var pendingAnswers: Int { answers.count }
    /// Bytes out of order that are kept, of all connections.
    package var reorderedBytes: Int { (0..<rowCount).reduce(0) { $0 + rows[$1].reorderBytes } }

    /// What the comments on ``UTPConnection`` promise.
    package func checkInvariants() {
        for i in 0..<rowCount where rows[i].stage != .free {
            var inFlight = 0, lost = 0
            var sequence = rows[i].acked &+ 1
            while sequence != rows[i].next {
                let record = rows[i].record(sequence).pointee
                if record.flags.contains(.lost) { lost += 1 } else if !record.flags.contains(.arrived) { inFlight += Int(record.length) }
                precondition(!record.flags.isSuperset(of: [.lost, .arrived]))
                sequence &+= 1
            }
            precondition(inFlight == rows[i].inFlight && lost == rows[i].lostCount)
            precondition(rows[i].released <= rows[i].packed && rows[i].packed <= rows[i].supplied)
            var kept = 0, bytes = 0
            if let reorder = rows[i].reorder {
                for place in 0..<UTPConnection.reorderCapacity where reorder[place] >= 0 {
                    kept += 1
                    bytes += pool.count(reorder[place])
                }
            }
            precondition(kept == rows[i].reorderCount && bytes == rows[i].reorderBytes && bytes <= configuration.receiveWindow)
        }
        precondition(halfOpen.count <= configuration.maxHalfOpen && answers.count <= Self.answerLimit)
        precondition(connectionCount <= configuration.maxConnections)
    }

    /// A conversation made of the input: each stretch of it is a packet, in part with numbers that fit the connections, so that more
    /// than the door is tried.
    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        var configuration = UTPConfiguration()
        configuration.maxConnections = 4
        configuration.reorderBuffers = 64
        let core = MicroTransport(configuration: configuration, seed: 1)
        let there = Endpoint(ipv4: 0x0A00_0001, port: 1)
        var now = Instant(nanoseconds: 1_000_000_000), at = 0, handles = [core.connect(to: there, now: now)!]
        let headers = UnsafeMutableRawPointer.allocate(byteCount: headerRoom(16), alignment: 16)
        let packets = UnsafeMutablePointer<UTPOutgoing>.allocate(capacity: 16)
        let datagram = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 16)
        defer {
            headers.deallocate()
            packets.deallocate()
            datagram.deallocate()
        }
        func byte() -> Int {
            defer { at += 1 }
            return at < bytes.count ? Int(bytes[at]) : 0
        }
        while at < bytes.count {
            let action = byte()
            switch action & 7 {
            case 0: now += .milliseconds(byte() * 8)
            case 1: if let handle = handles.last { core.supply(handle, bytes: byte() * 64) }
            case 2: if action & 0xF8 == 0xF8, let handle = handles.popLast() { core.close(handle, now: now) }
            default:
                // A packet for one of the rows, or for none.
                let row = byte() & 3, length = min(datagram.count - 20, byte() & 127), kind = byte()
                guard var type = UTPPacketType(rawValue: UInt8(kind & 7)) else { continue }
                if kind & 0xE0 != 0, type == .reset { type = .data }
                let known = row < core.rowCount && core.rows[row].stage != .free
                UTPHeader(
                    type: type, connection: known && kind & 8 == 0 ? core.rows[row].receiveID : UInt16(byte()),
                    timestamp: UInt32(byte() << 8), delay: UInt32(byte() << 8), window: UInt32(byte() << 8),
                    sequence: known ? core.rows[row].received &+ UInt16(byte()) &- 16 : UInt16(byte()),
                    acknowledged: known ? core.rows[row].acked &+ UInt16(byte()) &- 4 : UInt16(byte())
                ).encode(to: datagram.baseAddress!, extension: kind & 16 == 0 ? 0 : 1)
                for n in 0..<length { datagram[20 + n] = UInt8(byte()) }
                if kind & 16 != 0, length > 6 { (datagram[20], datagram[21]) = (0, 4) }
                let arrival = core.received(UnsafeMutableRawBufferPointer(rebasing: datagram[..<(20 + length)]), from: there, now: now)
                if arrival.opening == .incoming { handles.append(arrival.connection!) }
                if let handle = arrival.connection, arrival.hasMore { while core.takeReordered(handle) != nil {} }
            }
            core.expire(now: now)
            core.events.removeAll(keepingCapacity: true)
            var rounds = 0
            while rounds < 64, core.takePackets(limit: 16, headers: headers, packets: packets, now: now) != nil { rounds += 1 }
            core.checkInvariants()
        }
    }
}
