import Primitives

extension Swarm {
    /// For people, on request: verified pieces, pieces with requests or blocks, and how often the torrent is among the connected
    /// peers in thousandths: whole copies, and the part of the pieces that there is one more of. nil: no such torrent, or its
    /// pieces are not known yet. O(pieces).
    package func pieceStates(_ id: TorrentID) -> (have: Bitfield, open: [UInt32], availability: UInt32)? {
        guard let have = have(id), let t = rowOfTorrent[id] else { return nil }
        var pieces: [UInt32] = [], o = torrents[Int(t)].openHead
        while o >= 0 {
            pieces.append(UInt32(open[Int(o)].piece.int))
            o = open[Int(o)].next
        }
        let counts = torrents[Int(t)].picker?.availability ?? []
        guard let least = counts.min() else { return (have, pieces.sorted(), 0) }
        let more = counts.reduce(0) { $0 + ($1 > least ? 1 : 0) }
        return (have, pieces.sorted(), UInt32(least) * 1000 + UInt32(more * 1000 / counts.count))
    }
}
