import Primitives

// After a restart of this worker the shards say what the last one had acknowledged as written. Those bytes are in the
// kernel: a dead process takes nothing of them along. So they count as verified and written, not as durable.

extension DiskCore {
    mutating func shardOpened(_ shard: UInt16, _ effects: inout [DiskEffect]) {
        if let i = shards.firstIndex(where: { $0.index == shard }) {
            shards[i].isOpen = true
            shards[i].hasClaimed = false
        } else {
            shards.append(Shard(index: shard, isOpen: true, hasClaimed: false))
        }
        for row in rows.indices where rows[row] != nil { announce(row, shard: shard, &effects) }
    }
    mutating func shardClosed(_ shard: UInt16) {
        if let i = shards.firstIndex(where: { $0.index == shard }) { shards[i].isOpen = false }
    }

    mutating func claim(_ id: TorrentID, _ have: [UInt8]) {
        // Too late once the files were judged: what we know then is newer.
        if let row = rowOf[id], self[row: row].layout != nil { return }
        guard let before = claims[id] else {
            claims[id] = have
            return
        }
        guard before.count == have.count else { return }
        claims[id] = zip(before, have).map { $0 | $1 }
    }
    mutating func claimsEnd(_ shard: UInt16) {
        if let i = shards.firstIndex(where: { $0.index == shard }) { shards[i].hasClaimed = true }
    }

    /// Files are looked at once every shard has claimed, or none does so in time.
    mutating func openGate(_ now: Instant) {
        let waits = shards.contains { $0.isOpen && !$0.hasClaimed }
        if now >= gateOpensAt || isReplayed && !waits { isGateOpen = true }
    }
}
