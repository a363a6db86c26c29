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
            if let root = row.record.rootPath, row.fault.isEmpty { precondition(idOfRoot[root] != nil) }
            precondition(row.durable.count == Int(row.record.facts.pieceCount))
            if row.record.removal == .none { counts[Int(row.phase.rawValue)] += 1 }
        }
        precondition(live == count && indexOf.count == live && dead == rows.count - live)
        precondition(counts == phaseCounts, "phases are counted wrong")
        precondition(last < nextID)
        precondition(isCommitting || (inFlight.isEmpty && committingRecords.isEmpty && committingDurables.isEmpty))
        let waiting = staged + inFlight
        precondition(pendingOf.values.reduce(0) { $0 + $1.count } == waiting.filter { $0.command.torrent != nil }.count)
        precondition(waiting.isEmpty ? pendingHashes.isEmpty && pendingRoots.isEmpty : true)
    }
}
