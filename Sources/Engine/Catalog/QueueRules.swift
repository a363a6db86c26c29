import Primitives

/// How many torrents may be active at once; 0: no limit.
package struct QueueLimits: Hashable, Sendable {
    package var isManaged: Bool
    package var active: Int
    package var downloading: Int
    package var seeding: Int
    /// A torrent whose rates were both below `slowRate` for `slowAfter` runs without taking a place.
    package var ignoresSlow = false
    /// Bytes per second.
    package var slowDown: UInt64 = 2048
    package var slowUp: UInt64 = 2048
    package var slowAfter = TimeSpan.seconds(60)
    package init(isManaged: Bool = true, active: Int = 0, downloading: Int = 0, seeding: Int = 0) {
        self.isManaged = isManaged
        self.active = active
        self.downloading = downloading
        self.seeding = seeding
    }
    var isUnlimited: Bool { !isManaged || active == 0 && downloading == 0 && seeding == 0 }
}

package enum QueuePlace: Hashable, Sendable, CaseIterable { case top, bottom, up, down }

struct QueueKey: Hashable, Sendable, Comparable {
    let rank: Int64
    let id: TorrentID
    static func < (a: Self, b: Self) -> Bool { (a.rank, a.id.rawValue) < (b.rank, b.id.rawValue) }
}

extension CatalogRow {
    var wantsQueuePlace: Bool { record.removal == .none && !isComplete }
}

/// The order of unfinished torrents: a sorted array, so that a place is found by halving and a change moves memory only.
extension CatalogCore {
    /// Brings the row's entry in line with what it is now.
    mutating func keepOrder(_ i: Int) {
        let row = rows[i]!
        let wanted = row.wantsQueuePlace ? row.record.options.rank : nil
        guard row.queuedRank != wanted else { return }
        leaveOrder(i)
        if let rank = wanted {
            let key = QueueKey(rank: rank, id: row.record.id)
            let at = place(key)
            if at < queueOrder.count { queueShifts &+= 1 }
            queueOrder.insert(key, at: at)
            rows[i]!.queuedRank = rank
        }
        isQueueDirty = true
    }
    mutating func leaveOrder(_ i: Int) {
        guard let rank = rows[i]?.queuedRank else { return }
        let key = QueueKey(rank: rank, id: rows[i]!.record.id), at = place(key)
        precondition(at < queueOrder.count && queueOrder[at] == key, "the queue lost a torrent")
        if at < queueOrder.count - 1 { queueShifts &+= 1 }
        queueOrder.remove(at: at)
        rows[i]!.queuedRank = nil
        isQueueDirty = true
    }
    /// The first place whose key is not below `key`.
    private func place(_ key: QueueKey) -> Int {
        var low = 0, high = queueOrder.count
        while low < high {
            let middle = (low + high) / 2
            if queueOrder[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// From 1; 0 for what is finished, and while the queue is not managed.
    package func queuePosition(_ row: CatalogRow) -> Int {
        guard rules.queue.isManaged, let rank = row.queuedRank else { return 0 }
        return place(QueueKey(rank: rank, id: row.record.id)) + 1
    }

    /// The ranks that bring `ids` to a place; those that are in no order stay as they are.
    mutating func ranks(_ ids: [TorrentID], to place: QueuePlace) -> [(TorrentID, Int64)] {
        let wanted = Set(ids.map(\.rawValue))
        let moved = queueOrder.filter { wanted.contains($0.id.rawValue) }
        switch place {
        case .top:
            lowestRank -= Int64(moved.count)
            return moved.enumerated().map { ($1.id, lowestRank + Int64($0)) }
        case .bottom:
            defer { highestRank += Int64(moved.count) }
            return moved.enumerated().map { ($1.id, highestRank + 1 + Int64($0)) }
        case .up, .down:
            // One step past the nearest that does not move as well; a block at the end stays.
            var order = queueOrder.map(\.id)
            let indices = place == .up ? Array(order.indices) : order.indices.reversed()
            for at in indices where wanted.contains(order[at].rawValue) {
                let other = place == .up ? at - 1 : at + 1
                guard order.indices.contains(other), !wanted.contains(order[other].rawValue) else { continue }
                order.swapAt(at, other)
            }
            // The same ranks in the new order. Ties (from before there were ranks) are spread apart first.
            var rank = Int64.min, out: [(TorrentID, Int64)] = []
            for (key, id) in zip(queueOrder, order) {
                rank = max(key.rank, rank == .min ? key.rank : rank + 1)
                if let i = index(id), rows[i]!.record.options.rank != rank { out.append((id, rank)) }
            }
            highestRank = max(highestRank, rank)
            return out
        }
    }

    // MARK: who may run

    mutating func turnQueue(_ now: Instant, into effects: inout [CatalogEffect]) -> Instant {
        guard isQueueDirty else { return .never }
        if !rules.queue.isUnlimited, rows.count > CatalogLimits.queuePauseAbove, now < queueAppliedAt + CatalogLimits.queuePause {
            return queueAppliedAt + CatalogLimits.queuePause
        }
        queueAppliedAt = now
        applyQueue(now, into: &effects)
        return .never
    }

    /// Unfinished torrents by their place, then finished ones in the order of adding. What is paused, forced, in error or
    /// being looked at takes no place.
    private mutating func applyQueue(_ now: Instant, into effects: inout [CatalogEffect]) {
        isQueueDirty = false
        if rules.queue.isUnlimited {
            guard heldCount > 0 else { return }
            for i in rows.indices where rows[i]?.isHeld == true { hold(i, false, into: &effects) }
            return
        }
        var taken = (active: 0, downloading: 0, seeding: 0)
        for key in queueOrder { if let i = index(key.id) { consider(i, now, &taken, into: &effects) } }
        for i in rows.indices where rows[i]?.queuedRank == nil { if rows[i] != nil { consider(i, now, &taken, into: &effects) } }
        isQueueDirty = false
    }

    private mutating func consider(_ i: Int, _ now: Instant, _ taken: inout (active: Int, downloading: Int, seeding: Int), into effects: inout [CatalogEffect]) {
        let row = rows[i]!, queue = rules.queue
        guard row.record.removal == .none else { return }
        let takesPlace =
            !row.record.isPaused && !row.record.options.isForced && row.derivedPhase != .error && (row.record.isChecked || !row.record.facts.hasMetadata)
        var isHeld = false
        if takesPlace {
            let seeds = row.isComplete
            let isSlow = queue.ignoresSlow && !row.isHeld && row.slowSince.map { now - $0 >= queue.slowAfter } ?? false
            if !isSlow {
                isHeld =
                    queue.active > 0 && taken.active >= queue.active
                    || (seeds ? queue.seeding > 0 && taken.seeding >= queue.seeding : queue.downloading > 0 && taken.downloading >= queue.downloading)
                if !isHeld {
                    taken.active += 1
                    if seeds { taken.seeding += 1 } else { taken.downloading += 1 }
                }
            }
        }
        if isHeld != row.isHeld { hold(i, isHeld, into: &effects) }
    }

    private mutating func hold(_ i: Int, _ isHeld: Bool, into effects: inout [CatalogEffect]) {
        rows[i]!.isHeld = isHeld
        heldCount += isHeld ? 1 : -1
        // A fresh start: it is slow only after a while of running.
        rows[i]!.slowSince = isHeld ? nil : clock
        settle(i, into: &effects)
    }

    /// The rates moved: whether it counts as slow.
    mutating func noteRates(_ i: Int) {
        let row = rows[i]!
        let isSlow = row.downRate < rules.queue.slowDown && row.upRate < rules.queue.slowUp
        if isSlow == (row.slowSince != nil) { return }
        rows[i]!.slowSince = isSlow ? clock : nil
        if rules.queue.ignoresSlow, !rules.queue.isUnlimited { isQueueDirty = true }
    }
}
