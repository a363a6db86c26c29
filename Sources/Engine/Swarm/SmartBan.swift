import Primitives

/// What the blocks of a piece with a bad hash were, and who sent each. When the piece comes again with the right hash, the blocks
/// that differ name their senders: proof against one peer among several (`blame` alone has proof only against a single source).
///
/// Bounded: ``blockLimit`` blocks in all, the oldest piece forgotten first (16,384 × 24 bytes).
struct Suspicions {
    struct Block {
        /// Of its bytes.
        let digest: UInt64
        /// nil: of a former shard, or one of too many.
        let sender: AddressKey?
    }
    private struct Piece {
        let torrent: TorrentID
        let piece: PieceIndex
        let blocks: [Block]
    }
    private var pieces: [Piece] = []
    private(set) var blockCount = 0
    static var blockLimit: Int { 16_384 }

    mutating func remember(_ torrent: TorrentID, _ piece: PieceIndex, _ blocks: [Block]) {
        guard blocks.count <= Self.blockLimit else { return }
        pieces.append(Piece(torrent: torrent, piece: piece, blocks: blocks))
        blockCount += blocks.count
        while blockCount > Self.blockLimit { blockCount -= pieces.removeFirst().blocks.count }
    }

    var isEmpty: Bool { pieces.isEmpty }
    func knows(_ torrent: TorrentID, _ piece: PieceIndex) -> Bool {
        pieces.contains { $0.torrent == torrent && $0.piece == piece }
    }

    /// Takes out what was remembered of the piece; `digest` gives the right block's. Who sent a wrong block, and who
    /// sent right ones only, each once in the order of the blocks.
    mutating func settle(_ torrent: TorrentID, _ piece: PieceIndex, digest: (Int) -> UInt64) -> (guilty: [AddressKey], innocent: [AddressKey]) {
        var guilty: [AddressKey] = [], seen: [AddressKey] = []
        pieces.removeAll { old in
            guard old.torrent == torrent, old.piece == piece else { return false }
            for (n, block) in old.blocks.enumerated() {
                guard let sender = block.sender else { continue }
                if !seen.contains(sender) { seen.append(sender) }
                if block.digest != digest(n), !guilty.contains(sender) { guilty.append(sender) }
            }
            blockCount -= old.blocks.count
            return true
        }
        // Who sent another piece that is still in doubt may be a liar all the same.
        return (guilty, seen.filter { sender in !guilty.contains(sender) && !pieces.contains { $0.blocks.contains { $0.sender == sender } } })
    }

    mutating func forget(_ torrent: TorrentID) {
        pieces.removeAll { old in
            guard old.torrent == torrent else { return false }
            blockCount -= old.blocks.count
            return true
        }
    }
}

extension Swarm {
    /// The piece has a bad hash and its bytes are still there.
    func suspect(_ t: Int, _ o: Int) {
        guard let digest = blockDigest else { return }
        let blocks = (0..<open[o].blockCount).map { n in
            Suspicions.Block(digest: digest(open[o].slot(n), open[o].blockLength(n)), sender: open[o].sender(of: n))
        }
        suspicions.remember(torrents[t].id, open[o].piece, blocks)
    }

    /// The piece has the right hash: whoever sent other bytes before is banned, whoever did not is off parole.
    func settleSuspicion(_ t: Int, _ o: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard !suspicions.isEmpty, let digest = blockDigest, suspicions.knows(torrents[t].id, open[o].piece) else { return }
        let verdict = suspicions.settle(torrents[t].id, open[o].piece) { n in
            digest(open[o].slot(UInt32(n)), open[o].blockLength(UInt32(n)))
        }
        for address in verdict.guilty { punish(address, .corruptBlock, now, &effects) }
        for address in verdict.innocent {
            reputation.setParole(address, false)
            for q in torrents[t].peers where AddressKey(peers[Int(q)].endpoint) == address { peers[Int(q)].onParole = false }
        }
        if !verdict.guilty.isEmpty { dropBanned(now, &effects) }
    }
}
