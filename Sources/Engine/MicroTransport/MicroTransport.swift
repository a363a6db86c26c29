import Primitives
import UTPWire

/// A connection from ``MicroTransport/connect(to:now:)`` or an incoming one until its ``UTPEvent/closed(_:_:)``.
package struct UTPHandle: Hashable, Sendable {
    package let index: UInt32
    package let generation: UInt32
    package init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }
}

package enum UTPCloseReason: Hashable, Sendable {
    /// The other side says that it knows no such connection.
    case reset
    /// Packets were sent again and again, and none was acknowledged.
    case timedOut
}

package enum UTPEvent: Hashable, Sendable {
    /// Bytes were acknowledged: ``MicroTransport/released(_:)`` moved.
    case progress(UTPHandle)
    /// The other side has sent its last byte, and all were delivered.
    case ended(UTPHandle)
    /// The connection is gone, and the handle with it. Not said of connections that the owner closed.
    case closed(UTPHandle, UTPCloseReason)
}

package struct UTPConfiguration: Sendable {
    package var maxConnections = 4096
    /// SYNs that wait for their second packet. The oldest makes room: a flood of spoofed ones costs 13 KB.
    package var maxHalfOpen = 200
    /// Bytes out of order that one connection may hold, which is what it announces as its window.
    package var receiveWindow = 1 << 20
    /// Buffers for packets out of order of all connections: 21,760 × 1,536 bytes = 32 MiB.
    package var reorderBuffers = 21_760
    /// Bytes under way in one connection, at most: 4 MiB are 1 Gbit/s at 32 ms.
    package var sendWindow = 4 << 20
    /// SYNs before a dial is given up: after 1 + 2 + 4 = 7 s.
    package var synAttempts = 3
    /// Time-outs in a row before a connection is given up: 0.5 + 1 + 2 + 4 + 8 + 16 s.
    package var maxTimeouts = 6
    /// NAT bindings for UDP live 30 s at least in the field.
    package var keepAlive = TimeSpan.seconds(29)
    /// One small acknowledgement for two packets, or after this.
    package var ackDelay = TimeSpan.milliseconds(40)
    /// Of so many sockets on the port, this one: packets are steered by the upper byte of the connection id.
    package var shards = 1
    package var shard = 0
    /// Resets sent in a second: what packets for unknown connections can make us send.
    package var resetsPerSecond = 50
    /// nil: datagrams go to the peers themselves.
    package var carrier: UTPCarrier?

    package init() {}
}

/// Who passes our datagrams on (a proxy): they go there, over IPv4 or IPv6, with so many bytes in front of each.
package struct UTPCarrier: Hashable, Sendable {
    package var isIPv4: Bool
    package var headerToIPv4: Int
    package var headerToIPv6: Int
    package init(isIPv4: Bool, headerToIPv4: Int, headerToIPv6: Int) {
        (self.isIPv4, self.headerToIPv4, self.headerToIPv6) = (isIPv4, headerToIPv4, headerToIPv6)
    }
}

package struct UTPCounters: Hashable, Sendable {
    package var packetsIn: UInt64 = 0
    package var packetsOut: UInt64 = 0
    package var malformed: UInt64 = 0
    /// For no connection that we know, or outside its windows.
    package var strays: UInt64 = 0
    package var duplicates: UInt64 = 0
    package var outOfOrder: UInt64 = 0
    package var retransmitted: UInt64 = 0
    package var timeouts: UInt64 = 0
    package var refusedSYNs: UInt64 = 0
    package var badResets: UInt64 = 0
}

/// uTP (BEP 29): streams over datagrams that step aside for other traffic. Pure: datagrams and `now` come in, packets are asked
/// for, randomness comes from the seed.
///
/// The owner of the socket does, at each wake-up:
///
///     for each datagram:  arrival = received(…); deliver arrival.payload; while let more = takeReordered(…) { deliver }
///                         then act on `events`
///     expire(now)         time-outs
///     while takePackets(…) { send them }
///
/// Bytes to send stay with the owner: it says how many there are (``supply(_:bytes:)``), packets name them by their place in the
/// stream, and what lies before ``released(_:)`` may be forgotten.
///
/// Bounds: connections, half-open ones, bytes and buffers out of order, packets under way, resets a second; see ``UTPConfiguration``.
package final class MicroTransport {
    package let configuration: UTPConfiguration
    var random: SeededRandom

    let rows: UnsafeMutablePointer<UTPConnection>
    var rowCount = 0
    var freeRows: [UInt32] = []
    package internal(set) var connectionCount = 0
    var rowOf: [ConnectionKey: UInt32] = [:]
    /// Oldest first.
    var halfOpen: [HalfOpen] = []
    var pool: ReorderPool

    /// Rows that have something to send, in turn.
    var ready: [UInt32] = []
    var readyHead = 0
    /// Answers that belong to no row: STATEs of half-open connections, RESETs.
    var answers: [Answer] = []
    var resetBudget = 0
    var resetSecond = Instant.zero
    var heap = DeadlineHeap()

    /// The reordered packet that the owner looks at.
    var given: Int32?

    /// What happened, in order. The owner takes and empties it after each call.
    package var events: [UTPEvent] = []
    package internal(set) var counters = UTPCounters()

    struct ConnectionKey: Hashable {
        var endpoint: Endpoint
        var receiveID: UInt16
    }
    struct Answer {
        var endpoint: Endpoint
        var header: UTPHeader
    }
    /// Answers that wait to be sent; more are dropped, as the network would.
    static let answerLimit = 256

    package init(configuration: UTPConfiguration = UTPConfiguration(), seed: UInt64) {
        self.configuration = configuration
        random = SeededRandom(seed: seed)
        rows = .allocate(capacity: configuration.maxConnections)
        pool = ReorderPool(limit: configuration.reorderBuffers)
        events.reserveCapacity(256)
    }
    deinit {
        for i in 0..<rowCount { rows[i].freeMemory() }
        rows.deinitialize(count: rowCount)
        rows.deallocate()
    }

    // MARK: Owner

    /// Sends a SYN. nil: there are too many connections.
    package func connect(to endpoint: Endpoint, now: Instant) -> UTPHandle? {
        // Our packets name the id after the one that theirs name; both must be free for this address, since a reset names either.
        var receiveID: UInt16, tries = 0
        repeat {
            guard tries < 64 * configuration.shards else { return nil }
            tries += 1
            receiveID = UInt16(truncatingIfNeeded: random.next())
        } while Int(receiveID >> 8) % configuration.shards != configuration.shard
            || rowOf[ConnectionKey(endpoint: endpoint, receiveID: receiveID)] != nil
            || rowOf[ConnectionKey(endpoint: endpoint, receiveID: receiveID &+ 1)] != nil
            || rowOf[ConnectionKey(endpoint: endpoint, receiveID: receiveID &- 1)] != nil
        guard let i = newRow(endpoint, receiveID: receiveID, sendID: receiveID &+ 1, now: now) else { return nil }
        rows[i].stage = .connecting
        // BEP 29 begins at 1; a random start leaves a spoofer less to know.
        rows[i].acked = UInt16(truncatingIfNeeded: random.next())
        rows[i].next = rows[i].acked &+ 1
        _ = rows[i].reserveRecord()
        let sequence = rows[i].next
        rows[i].record(sequence).initialize(to: SentPacket(offset: 0, sentAt: now, length: 0, transmissions: 0, flags: [.syn, .lost]))
        rows[i].next = sequence &+ 1
        rows[i].lostCount = 1
        enqueue(i)
        return handle(i)
    }

    /// `bytes` more were put at the end of the stream.
    package func supply(_ h: UTPHandle, bytes: Int) {
        guard let i = row(h), rows[i].stage != .closing else { return }
        rows[i].supplied += UInt64(bytes)
        enqueue(i)
    }

    /// Place in the stream before which all bytes are acknowledged. nil: the connection is gone.
    package func released(_ h: UTPHandle) -> UInt64? { row(h).map { rows[$0].released } }
    /// Bytes that were supplied and are not acknowledged.
    package func unreleased(_ h: UTPHandle) -> Int { row(h).map { Int(rows[$0].supplied - rows[$0].released) } ?? 0 }
    /// Bytes that may be under way now: what is worth supplying beyond those that are.
    package func window(_ h: UTPHandle) -> Int {
        row(h).map { min(Int(rows[$0].congestion.window), Int(rows[$0].peerWindow)) } ?? 0
    }
    package func roundTrip(_ h: UTPHandle) -> TimeSpan? { row(h).map { rows[$0].roundTrip.smoothed } }
    /// Datagram size in use.
    package func datagramSize(_ h: UTPHandle) -> Int? { row(h).map { rows[$0].path.known } }
    /// Microseconds that our packets spend in queues.
    package func queuingDelay(_ h: UTPHandle) -> UInt32? { row(h).map { rows[$0].delays.queuing } }

    /// The handle is dead at once and no byte of the stream is asked for again: what was not acknowledged may be lost. The other
    /// side is told by FIN, for some seconds if it does not answer.
    package func close(_ h: UTPHandle, now: Instant) {
        guard let i = row(h) else { return }
        if rows[i].stage == .connecting { return freeRow(i) }
        dropReordered(i)
        rows[i].generation &+= 1
        rows[i].stage = .closing
        // What is under way cannot be sent again.
        var sequence = rows[i].acked &+ 1
        while sequence != rows[i].next {
            rows[i].record(sequence).pointee.flags = .arrived
            sequence &+= 1
        }
        rows[i].inFlight = 0
        rows[i].lostCount = 0
        guard rows[i].reserveRecord() else { return freeRow(i) }
        rows[i].finSequence = rows[i].next
        rows[i].finSent = true
        rows[i].record(rows[i].next).initialize(to: SentPacket(offset: 0, sentAt: now, length: 0, transmissions: 0, flags: [.fin, .lost]))
        rows[i].next &+= 1
        rows[i].lostCount = 1
        rows[i].closeAt = now + .seconds(8)
        enqueue(i)
        rearm(i)
    }

    // MARK: Rows

    /// The row of a connection that the owner has not closed; nil for a stale handle.
    @inline(__always) func row(_ h: UTPHandle) -> Int? {
        let i = Int(h.index)
        guard i < rowCount, rows[i].generation == h.generation, rows[i].stage == .open || rows[i].stage == .connecting else { return nil }
        return i
    }
    @inline(__always) func handle(_ i: Int) -> UTPHandle { UTPHandle(index: UInt32(i), generation: rows[i].generation) }

    func newRow(_ endpoint: Endpoint, receiveID: UInt16, sendID: UInt16, now: Instant) -> Int? {
        let i: Int
        if let free = freeRows.popLast() {
            i = Int(free)
        } else {
            guard rowCount < configuration.maxConnections else { return nil }
            i = rowCount
            (rows + i).initialize(to: UTPConnection())
            rowCount += 1
        }
        let (generation, isQueued) = (rows[i].generation &+ 1, rows[i].isQueued)
        rows[i] = UTPConnection()
        rows[i].generation = generation
        rows[i].isQueued = isQueued
        rows[i].endpoint = endpoint
        rows[i].receiveID = receiveID
        rows[i].sendID = sendID
        rows[i].path = PathMTU(ipv4: endpoint.isIPv4, carrier: configuration.carrier)
        rows[i].congestion = Ledbat(packet: rows[i].packet, limit: configuration.sendWindow)
        rows[i].peerWindow = UInt32(rows[i].packet)
        rows[i].lastHeard = now
        rows[i].lastSaid = now
        rowOf[ConnectionKey(endpoint: endpoint, receiveID: receiveID)] = UInt32(i)
        connectionCount += 1
        return i
    }

    func freeRow(_ i: Int) {
        rowOf[ConnectionKey(endpoint: rows[i].endpoint, receiveID: rows[i].receiveID)] = nil
        dropReordered(i)
        rows[i].freeMemory()
        rows[i].generation &+= 1
        rows[i].stage = .free
        freeRows.append(UInt32(i))
        connectionCount -= 1
    }

    /// The connection ends by the other side's doing or silence.
    func lose(_ i: Int, _ reason: UTPCloseReason) {
        if rows[i].stage != .closing { events.append(.closed(handle(i), reason)) }
        freeRow(i)
    }

    func enqueue(_ i: Int) {
        guard !rows[i].isQueued else { return }
        rows[i].isQueued = true
        ready.append(UInt32(i))
    }
}
