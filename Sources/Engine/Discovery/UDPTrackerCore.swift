import ByteCodec
import Primitives
import TrackerWire

/// The client side of the UDP tracker protocol (BEP 15): connection ids, retransmission, and which packet is an answer.
///
/// ```
/// begin ──▶ waiting ──(another's connect answered)──┐
///   │          ▲ (someone connects already)         ▼
///   ├──▶ connecting ──connect answer──────────▶ announcing ──announce answer or error──▶ ended
///   └──(connection id younger than a minute)────────▲
/// ```
///
/// Invariants: a transaction number names one exchange; a packet counts only if its transaction is under way, it came
/// from the address that was asked, and its action is the one that was waited for.
/// `Random` makes the transaction numbers: the shell gives the kernel's randomness, since they keep forged answers
/// out; the simulator gives a seed.
package struct UDPTrackerCore<Random: RandomNumberGenerator & Sendable>: Sendable {
    package enum Effect: Sendable {
        case send(Endpoint, [UInt8])
        case ended(RequestID, AnnounceOutcome)
        /// A scrape's success; its failure is an end like an announce's.
        case scraped(RequestID, [ScrapeEntry])
    }

    /// BEP 15: 15 × 2^n s, n from 0 to 8.
    private static var retransmitBase: TimeSpan { .seconds(15) }
    private static var retransmitLimit: Int { 8 }
    /// BEP 15: a client may use a connection id for a minute.
    private static var connectionLife: TimeSpan { .seconds(60) }
    private static var connectionLimit: Int { 1_024 }

    private enum Phase { case waiting, connecting, announcing }
    private enum Question {
        /// `urlData`: path and query (BEP 41).
        case announce(AnnounceRequest, urlData: String)
        case scrape([InfoHash])
    }
    private struct Exchange {
        var id: RequestID
        var endpoint: Endpoint
        var question: Question
        var phase: Phase
        var transaction: UInt32 = 0
        /// Retransmissions of what is waited for.
        var attempt = 0
        var retryAt = Instant.never
        var deadline: Instant
    }
    private struct Connection {
        var id: UInt64
        var until: Instant
    }

    private var exchanges: [Exchange?] = []
    private var free: [Int] = []
    private var timers = DeadlineHeap()
    private var byTransaction: [UInt32: Int] = [:]
    private var byRequest: [RequestID: Int] = [:]
    private var connections: [Endpoint: Connection] = [:]
    private var random: Random

    package init(random: Random) { self.random = random }

    package var nextDeadline: Instant { timers.top?.due ?? .never }
    package var count: Int { exchanges.count - free.count }

    /// Begins an announce that ends, one way or another, by `deadline`. `urlData`: path and query (BEP 41).
    package mutating func begin(
        _ id: RequestID, _ request: AnnounceRequest, to endpoint: Endpoint, urlData: String, deadline: Instant, now: Instant,
        into effects: inout [Effect]
    ) {
        begin(id, .announce(request, urlData: urlData), endpoint, deadline, now, &effects)
    }

    /// Begins a scrape of 1 ... ``UDPPacket/scrapeLimit`` torrents.
    package mutating func begin(
        _ id: RequestID, scrape infoHashes: [InfoHash], to endpoint: Endpoint, deadline: Instant, now: Instant, into effects: inout [Effect]
    ) {
        begin(id, .scrape(infoHashes), endpoint, deadline, now, &effects)
    }

    private mutating func begin(
        _ id: RequestID, _ question: Question, _ endpoint: Endpoint, _ deadline: Instant, _ now: Instant, _ effects: inout [Effect]
    ) {
        let slot = free.popLast() ?? exchanges.count
        if slot == exchanges.count { exchanges.append(nil) }
        exchanges[slot] = Exchange(id: id, endpoint: endpoint, question: question, phase: .waiting, deadline: deadline)
        byRequest[id] = slot
        if connection(endpoint, now) != nil {
            announce(slot, now, &effects)
        } else if exchanges.contains(where: { $0?.endpoint == endpoint && $0?.phase == .connecting }) {
            timers.set(slot, deadline)
        } else {
            connect(slot, now, &effects)
        }
    }

    /// Ends it without an outcome.
    package mutating func cancel(_ id: RequestID, now: Instant, into effects: inout [Effect]) {
        if let slot = byRequest[id] { close(slot, now, &effects) }
    }

    /// Whom the exchange that this packet belongs to was begun with: where a relay hides who sent it, the transaction
    /// number alone has to say so.
    package func asked(by packet: UnsafeRawBufferPointer) -> Endpoint? {
        UDPTrackerAnswer.transaction(of: packet).flatMap { byTransaction[$0] }.flatMap { exchanges[$0]?.endpoint }
    }

    package mutating func received(_ packet: UnsafeRawBufferPointer, from endpoint: Endpoint, now: Instant, into effects: inout [Effect]) {
        guard let transaction = UDPTrackerAnswer.transaction(of: packet), let slot = byTransaction[transaction],
            let exchange = exchanges[slot], exchange.endpoint == endpoint,
            let answer = try? UDPTrackerAnswer(packet: packet, overIPv6: !endpoint.isIPv4)
        else { return }
        switch (answer, exchange.phase) {
        case (.connected(let id), .connecting):
            remember(Connection(id: id, until: now + Self.connectionLife), of: endpoint, now)
            for other in exchanges.indices where exchanges[other]?.endpoint == endpoint && exchanges[other]?.phase != .announcing {
                exchanges[other]!.attempt = 0
                announce(other, now, &effects)
            }
        case (.announced(let answer), .announcing):
            guard case .announce = exchange.question else { return }
            close(slot, now, &effects)
            effects.append(.ended(exchange.id, .answered(answer, from: endpoint)))
        case (.scraped(let entries), .announcing):
            guard case .scrape(let infoHashes) = exchange.question, entries.count >= infoHashes.count else { return }
            close(slot, now, &effects)
            effects.append(.scraped(exchange.id, Array(entries.prefix(infoHashes.count))))
        case (.failed(let reason), .connecting), (.failed(let reason), .announcing):
            // Whatever it did not like, a fresh connection id is the way to find out.
            connections[endpoint] = nil
            close(slot, now, &effects)
            effects.append(.ended(exchange.id, .refused(reason.isEmpty ? "refused without a reason" : reason, .unsaid)))
        default: break
        }
    }

    /// The system would not send to this address.
    package mutating func unreachable(_ endpoint: Endpoint, _ reason: String, now: Instant, into effects: inout [Effect]) {
        for slot in exchanges.indices where exchanges[slot]?.endpoint == endpoint {
            let id = exchanges[slot]!.id
            exchanges[slot]!.phase = .waiting
            drop(slot)
            effects.append(.ended(id, .failed(reason, hostFault: true, retryAfter: nil)))
        }
    }

    package mutating func tick(now: Instant, into effects: inout [Effect]) {
        while let top = timers.top, top.due <= now {
            let slot = top.row, exchange = exchanges[slot]!
            if now >= exchange.deadline || exchange.attempt >= Self.retransmitLimit {
                close(slot, now, &effects)
                effects.append(.ended(exchange.id, .failed("no answer", hostFault: true, retryAfter: nil)))
                continue
            }
            exchanges[slot]!.attempt += 1
            switch exchange.phase {
            case .announcing where connection(exchange.endpoint, now) != nil: announce(slot, now, &effects)
            case .announcing, .connecting, .waiting: connect(slot, now, &effects)
            }
        }
    }

    private func connection(_ endpoint: Endpoint, _ now: Instant) -> UInt64? {
        connections[endpoint].flatMap { now < $0.until ? $0.id : nil }
    }

    private mutating func remember(_ connection: Connection, of endpoint: Endpoint, _ now: Instant) {
        if connections.count >= Self.connectionLimit { connections = connections.filter { now < $0.value.until } }
        // All of them young: forgetting costs a connect packet each.
        if connections.count >= Self.connectionLimit { connections.removeAll(keepingCapacity: true) }
        connections[endpoint] = connection
    }

    private mutating func connect(_ slot: Int, _ now: Instant, _ effects: inout [Effect]) {
        exchanges[slot]!.phase = .connecting
        arm(slot, now)
        effects.append(.send(exchanges[slot]!.endpoint, UDPPacket.connect(transaction: exchanges[slot]!.transaction)))
    }

    private mutating func announce(_ slot: Int, _ now: Instant, _ effects: inout [Effect]) {
        let exchange = exchanges[slot]!
        guard let connection = connection(exchange.endpoint, now) else { return connect(slot, now, &effects) }
        exchanges[slot]!.phase = .announcing
        arm(slot, now)
        let transaction = exchanges[slot]!.transaction
        let packet =
            switch exchange.question {
            case .announce(let request, let urlData): UDPPacket.announce(request, connection: connection, transaction: transaction, urlData: urlData)
            case .scrape(let infoHashes): UDPPacket.scrape(infoHashes, connection: connection, transaction: transaction)
            }
        effects.append(.send(exchange.endpoint, packet))
    }

    /// A new transaction number for each packet, and the time at which it counts as lost.
    private mutating func arm(_ slot: Int, _ now: Instant) {
        if byTransaction[exchanges[slot]!.transaction] == slot { byTransaction[exchanges[slot]!.transaction] = nil }
        var transaction: UInt32
        repeat { transaction = UInt32(truncatingIfNeeded: random.next()) } while byTransaction[transaction] != nil
        byTransaction[transaction] = slot
        exchanges[slot]!.transaction = transaction
        exchanges[slot]!.retryAt = now + Self.retransmitBase * (1 << exchanges[slot]!.attempt)
        timers.set(slot, min(exchanges[slot]!.retryAt, exchanges[slot]!.deadline))
    }

    /// Ends an exchange; when it was the one that connected, another that waits takes over.
    private mutating func close(_ slot: Int, _ now: Instant, _ effects: inout [Effect]) {
        let exchange = exchanges[slot]!
        drop(slot)
        guard exchange.phase == .connecting,
            let heir = exchanges.firstIndex(where: { $0?.endpoint == exchange.endpoint && $0?.phase == .waiting })
        else { return }
        connect(heir, now, &effects)
    }

    private mutating func drop(_ slot: Int) {
        let exchange = exchanges[slot]!
        if byTransaction[exchange.transaction] == slot { byTransaction[exchange.transaction] = nil }
        byRequest[exchange.id] = nil
        timers.remove(slot)
        exchanges[slot] = nil
        free.append(slot)
    }
}
