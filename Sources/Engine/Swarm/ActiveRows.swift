import Primitives

/// A line whose head is taken at no cost, however long it is.
struct WaitingLine<Element> {
    private var elements: [Element] = []
    private var head = 0
    var isEmpty: Bool { head == elements.count }
    var count: Int { elements.count - head }
    var first: Element? { isEmpty ? nil : elements[head] }
    mutating func append(_ element: Element) { elements.append(element) }
    mutating func removeFirst() -> Element {
        defer {
            head += 1
            // Half is behind: the takes before have paid for the move.
            if head > 64, head * 2 > elements.count {
                elements.removeFirst(head)
                head = 0
            }
        }
        return elements[head]
    }
    mutating func removeAll(where gone: (Element) -> Bool) {
        elements.removeFirst(head)
        head = 0
        elements.removeAll(where: gone)
    }
}

/// A tick visits the torrents where something goes on and no others: of 50,000, most have no peer most of the time.
///
/// - `activeRows`: torrents with connections, rates that fade, or pieces that wait for the disk.
/// - `changedRows`: torrents whose figures changed since the last report.
/// - `lonely`: torrents without connections that want peers, each asked for once a minute.
extension Swarm {
    /// The figures of the torrent changed.
    @inline(__always) func noteChange(_ t: Int) {
        guard !torrents[t].statsChanged else { return }
        torrents[t].statsChanged = true
        changedRows.append(Int32(t))
    }

    /// The torrent is visited with each tick from now on, while something goes on.
    func wake(_ t: Int) {
        guard !torrents[t].isActive else { return }
        torrents[t].isActive = true
        activeRows.append(Int32(t))
    }

    private func isBusy(_ t: Int) -> Bool {
        !torrents[t].peers.isEmpty || torrents[t].downRate > 0 || torrents[t].upRate > 0 || torrents[t].downTick > 0 || torrents[t].upTick > 0
            || torrents[t].parkedBytes > 0 || torrents[t].layers != nil
    }

    /// Calls `body` for each active torrent; those where nothing goes on any more leave.
    func forEachActive(_ body: (Int) -> Void) {
        var kept = 0
        // The list may grow meanwhile.
        var n = 0
        while n < activeRows.count {
            let row = activeRows[n], t = Int(row)
            n += 1
            visitedRows += 1
            guard torrents[t].isLive, torrents[t].isActive else { continue }
            body(t)
            if isBusy(t) {
                activeRows[kept] = row
                kept += 1
            } else {
                torrents[t].isActive = false
                seekPeers(t)
            }
        }
        activeRows.removeSubrange(kept..<n)
    }

    /// The torrent may want peers: looked at within a second, then once a minute while it has no connection.
    func seekPeers(_ t: Int) {
        guard torrents[t].lonelyTicket == 0, torrents[t].isOpenToPeers, !torrents[t].isFinished else { return }
        torrents[t].lonelyTicket = nextLonelyTicket()
        newlyLonely.append(Lonely(row: Int32(t), ticket: torrents[t].lonelyTicket, due: .zero))
    }
    private func nextLonelyTicket() -> UInt32 {
        lonelyTickets = max(1, lonelyTickets &+ 1)
        return lonelyTickets
    }

    /// Asks for peers on behalf of the torrents without any that are due.
    func askForLonely(_ now: Instant, _ effects: inout EffectBuffer) {
        while let next = lonely.first, next.due <= now { lookAtLonely(lonely.removeFirst(), now, &effects) }
        let fresh = newlyLonely
        newlyLonely.removeAll(keepingCapacity: true)
        for entry in fresh { lookAtLonely(entry, now, &effects) }
    }

    private func lookAtLonely(_ entry: Lonely, _ now: Instant, _ effects: inout EffectBuffer) {
        let t = Int(entry.row)
        visitedRows += 1
        // The row may be another torrent's by now.
        guard torrents[t].lonelyTicket == entry.ticket else { return }
        torrents[t].lonelyTicket = 0
        // An active one is looked at each second, and comes back here when it is not.
        guard torrents[t].isLive, !torrents[t].isActive, torrents[t].isOpenToPeers, !torrents[t].isFinished else { return }
        askForPeers(t, now, &effects)
        torrents[t].lonelyTicket = entry.ticket
        lonely.append(Lonely(row: entry.row, ticket: entry.ticket, due: now + .minutes(1)))
    }
}

/// A torrent in the line of those that want peers and have none.
struct Lonely {
    let row: Int32
    let ticket: UInt32
    let due: Instant
}
