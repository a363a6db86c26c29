import Primitives

extension CatalogCore {
    /// What ``CatalogCore`` promises of itself; tests and simulations call it after each event. Linear.
    package func checkInvariants() {
        var last: UInt32 = 0, live = 0, counts = [Int](repeating: 0, count: TorrentPhase.allCases.count)
        for (i, row) in rows.enumerated() {
            guard let row else { continue }
            live += 1
            let id = row.record.id
            precondition(id.rawValue > last, "rows out of order")
            last = id.rawValue
            precondition(indexOf[id.rawValue] == i)
            precondition(idOfHash[row.record.facts.infoHash] == id)
            if row.fault.isEmpty { for root in row.record.claimedPaths { precondition(idOfRoot[root] != nil) } }
            precondition((row.queuedRank != nil) == row.wantsQueuePlace, "a torrent stands in the queue that should not, or the other way round")
            precondition(row.durable.count == Int(row.record.facts.pieceCount))
            if row.record.removal == .none { counts[Int(row.phase.rawValue)] += 1 }
        }
        precondition(live == count && indexOf.count == live && dead == rows.count - live)
        precondition(queueOrder.count == rows.count { $0?.queuedRank != nil } && zip(queueOrder, queueOrder.dropFirst()).allSatisfy { $0 < $1 }, "the queue is out of order")
        precondition(heldCount == rows.count { $0?.isHeld == true })
        precondition(counts == phaseCounts, "phases are counted wrong")
        precondition(last < nextID)
        precondition(isCommitting || (inFlight.isEmpty && committingRecords.isEmpty && committingDurables.isEmpty))
        let waiting = staged + inFlight
        precondition(pendingOf.values.reduce(0) { $0 + $1.count } == waiting.reduce(0) { $0 + $1.torrents.count })
        precondition(waiting.isEmpty ? pendingHashes.isEmpty && pendingRoots.isEmpty : true)
    }
}
