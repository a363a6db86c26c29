import KRPC
import Primitives

/// A query of ours that may be answered.
struct Transaction: Sendable {
    enum Purpose: Sendable {
        /// Whether a node is there.
        case check
        case search(UInt32)
        /// The announce or put at the end of a lookup.
        case store(UInt32)
    }
    let endpoint: Endpoint
    /// nil for an address whose node's id is not known.
    let id: NodeID?
    let purpose: Purpose
    var isSlow = false
}

/// Our queries and what becomes of them.
extension DHTCore {
    /// False when too many are open.
    @discardableResult
    mutating func ask(
        _ f: Int, _ query: KRPCQuery, _ id: NodeID?, _ endpoint: Endpoint, _ purpose: Transaction.Purpose, now: Instant, into effects: inout [DHTEffect]
    ) -> Bool {
        guard transactions.count < DHT.transactions else { return false }
        var key = stream.u32()
        while transactions[key] != nil { key = stream.u32() }
        transactions[key] = Transaction(endpoint: endpoint, id: id, purpose: purpose)
        slowQueue.append((now + DHT.slow, key))
        timeoutQueue.append((now + DHT.timeout, key))
        if case .check = purpose { checks += 1 }
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: key >> UInt32(24 - 8 * $0)) }
        send(.query(transaction: bytes, sender: own(f), query, isReadOnly: configuration.isReadOnly), to: endpoint, into: &effects)
        return true
    }

    mutating func check(_ f: Int, _ id: NodeID?, _ endpoint: Endpoint, now: Instant, into effects: inout [DHTEffect]) {
        guard checks < DHT.checks else { return }
        ask(f, .ping, id, endpoint, .check, now: now, into: &effects)
    }

    /// The transaction that an answer from there is to; nil when we asked nobody there by that id.
    private mutating func take(_ transaction: [UInt8], from source: Endpoint) -> Transaction? {
        guard transaction.count == 4 else { return nil }
        let key = transaction.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard let open = transactions[key], open.endpoint == source else { return nil }
        transactions[key] = nil
        if case .check = open.purpose { checks -= 1 }
        return open
    }

    mutating func answered(
        _ f: Int, _ transaction: [UInt8], _ sender: NodeID, _ answer: KRPCAnswer, _ external: Endpoint?, from source: Endpoint, now: Instant,
        into effects: inout [DHTEffect]
    ) {
        guard let open = take(transaction, from: source) else { return counters.ignored += 1 }
        families[f].lastReply = now
        // It may have been started anew, or moved as BEP 42 has it: what it says counts, under the id that it has now.
        if let expected = open.id, expected != sender { families[f].table.renamed(expected, source) }
        // BEP 45: a node of ours, over the other family or at another address, is no neighbour.
        if !families.contains(where: { $0.table.own == sender }) { families[f].table.answered(sender, source, now: now) }
        if let external { vote(f, external, from: source, now: now, into: &effects) }
        ended(open, answer: answer, sender: sender, now: now, into: &effects)
    }

    mutating func refused(_ transaction: [UInt8], _ error: KRPCError, from source: Endpoint, now: Instant, into effects: inout [DHTEffect]) {
        guard let open = take(transaction, from: source) else { return counters.ignored += 1 }
        if case .store(let serial) = open.purpose { searches[serial]?.refusal = error }
        ended(open, answer: nil, sender: nil, now: now, into: &effects)
    }

    private mutating func ended(_ open: Transaction, answer: KRPCAnswer?, sender: NodeID?, now: Instant, into effects: inout [DHTEffect]) {
        switch open.purpose {
        case .check: break
        case .search(let serial): searchAnswered(serial, open.endpoint, answer, sender, now: now, into: &effects)
        case .store(let serial): storeAnswered(serial, answer, from: open.endpoint, now: now, into: &effects)
        }
    }

    mutating func expireTransactions(now: Instant, into effects: inout [DHTEffect]) {
        while let first = slowQueue.first, first.at <= now {
            _ = slowQueue.popFirst()
            guard let open = transactions[first.key], !open.isSlow else { continue }
            transactions[first.key]!.isSlow = true
            if case .search(let serial) = open.purpose {
                searches[serial]?.becameSlow(open.endpoint)
                advance(serial, now: now, into: &effects)
            }
        }
        while let first = timeoutQueue.first, first.at <= now {
            _ = timeoutQueue.popFirst()
            guard let open = transactions.removeValue(forKey: first.key) else { continue }
            if case .check = open.purpose { checks -= 1 }
            counters.timeouts += 1
            if let f = families.firstIndex(where: { $0.family == AddressFamily(open.endpoint) }), let id = open.id {
                // When nobody answers it is our own link that is down, and no node's fault.
                let isOnline = families[f].lastReply.map { $0 + .seconds(30) > now } ?? false
                families[f].table.failed(id, open.endpoint, isOnline: isOnline)
            }
            ended(open, answer: nil, sender: nil, now: now, into: &effects)
        }
    }

    private mutating func vote(_ f: Int, _ external: Endpoint, from voter: Endpoint, now: Instant, into effects: inout [DHTEffect]) {
        guard families[f].vote.add(external, from: voter), let winner = families[f].vote.winner else { return }
        effects.append(.externalAddress(winner))
        // A local address is nobody's business outside, and every id fits it.
        guard !SecureID.fits(own(f), winner) else { return }
        families[f].table.move(to: SecureID.make(for: winner, &random), now: now)
        // Our new neighbours do not know us yet.
        families[f].bootstrapAt = now
        nextTick = now
    }
}
