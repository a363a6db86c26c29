import Buffers
import PeerWire
import Primitives

/// What the disk worker knows of a v2 piece whose hash was wrong: where its block hashes stand in the file's tree, and
/// what they must lead to (BEP 52).
package struct BlockProof: Hashable, Sendable {
    /// Pieces root of the file: names the tree.
    package var root: SHA256Digest
    /// The node over the piece.
    package var hash: SHA256Digest
    /// The piece's first block in the file, and how many leaves its node covers.
    package var firstBlock: UInt32, width: UInt32
    /// Bytes of the piece that are the file's. In a hybrid torrent padding may follow (BEP 47), which no hash covers: zeros.
    package var fileBytes: UInt32
    package init(root: SHA256Digest, hash: SHA256Digest, firstBlock: UInt32, width: UInt32, fileBytes: UInt32) {
        (self.root, self.hash, self.firstBlock, self.width, self.fileBytes) = (root, hash, firstBlock, width, fileBytes)
    }
    /// Leaves with a block below them.
    var leaves: UInt32 { (fileBytes + PieceGeometry.blockLength - 1) / PieceGeometry.blockLength }
}

/// A bad piece that is kept until its bad blocks are known.
struct Suspect {
    let proof: BlockProof
    let generation: UInt32
    /// Its only source was banned at once; otherwise nobody was blamed yet.
    let isBlamed: Bool
    var peer: PeerHandle?
    var askedAt: Instant
    var tries = 0
    /// The hashes are here; the shell compares.
    var isChecking = false
}

/// Block-level verification: of a piece with a bad hash only the bad blocks are asked for again, and only their senders
/// are blamed.
///
///     pieceFailed ─▶ suspect ─hash request─▶ hashes ─lead to the piece's node─▶ checkBlocks ─▶ filling, bad blocks missing
///                       └──nobody gives them──▶ blamed and thrown away as a v1 piece is
extension Swarm {
    /// Each holds a whole piece of memory.
    private static var mostSuspects: Int { 8 }
    private static var patience: TimeSpan { .seconds(5) }

    /// True when the piece is kept. Otherwise it is the caller's to throw away.
    func keepSuspect(_ t: Int, _ o: Int, _ proof: BlockProof?, isBlamed: Bool, _ now: Instant, _ effects: inout EffectBuffer) -> Bool {
        guard let proof, configuration.sha256 != nil, proof.width >= 1, proof.width <= HashRequest.longestRun, proof.fileBytes > 0,
            proof.fileBytes <= open[o].length, proof.leaves <= proof.width, suspects.count < Self.mostSuspects
        else { return false }
        // Which blocks are good is not known yet: none is marked for a shard to come.
        reclaim(o, isWhole: false, &effects)
        open[o].stage = .suspect
        suspects[Int32(o)] = Suspect(proof: proof, generation: open[o].generation, isBlamed: isBlamed, peer: nil, askedAt: now)
        if proof.width == 1 {
            // The hash of a file of one block is the block's.
            compare(o, with: proof.hash.bytes, &effects)
        } else if let peer = whoKnows(t, o, not: nil) {
            askLeaves(o, of: peer, now, &effects)
        }
        return true
    }
    private func compare(_ o: Int, with hashes: [UInt8], _ effects: inout EffectBuffer) {
        suspects[Int32(o)]!.isChecking = true
        effects.append(
            .checkBlocks(
                torrent: torrents[Int(open[o].torrent)].id, piece: open[o].piece, firstSlot: open[o].firstSlot, length: open[o].length,
                fileBytes: suspects[Int32(o)]!.proof.fileBytes, payload: effects.keep(hashes)))
    }

    /// Somebody who has the piece; rather one who sent none of it.
    private func whoKnows(_ t: Int, _ o: Int, not last: PeerHandle?) -> Int? {
        var second: Int?
        for q in torrents[t].peers {
            let i = Int(q)
            guard peers[i].stage == .open, peers[i].isVersion2, peers[i].have.contains(open[o].piece.int), handle(i) != last else { continue }
            if !open[o].hasContributor(handle(i)) { return i }
            if second == nil { second = i }
        }
        return second
    }

    private func request(_ proof: BlockProof) -> HashRequest {
        HashRequest(root: proof.root, baseLayer: 0, index: proof.firstBlock, length: proof.width, proofLayers: 0)
    }
    private func askLeaves(_ o: Int, of i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        suspects[Int32(o)]!.peer = handle(i)
        suspects[Int32(o)]!.askedAt = now
        suspects[Int32(o)]!.tries += 1
        send(i, .encoded(payload: effects.keep(request(suspects[Int32(o)]!.proof).message(MessageID.hashRequest))), now, &effects)
    }

    private func find(_ r: HashRequest, _ i: Int) -> Int? {
        // Equal files have equal roots: the first of two that wait for the same hashes.
        suspects.filter { o, s in s.peer == handle(i) && !s.isChecking && request(s.proof) == r && isCurrent(Int(o), s) }.keys.min().map(Int.init)
    }
    private func isCurrent(_ o: Int, _ s: Suspect) -> Bool { open[o].stage == .suspect && open[o].generation == s.generation }

    /// False: nobody waits for these.
    func leavesReceived(_ i: Int, _ t: Int, _ r: HashRequest, _ hashes: UnsafeRawBufferPointer, _ now: Instant, _ effects: inout EffectBuffer) -> Bool {
        guard let o = find(r, i), let hash = configuration.sha256 else { return false }
        let proof = suspects[Int32(o)]!.proof
        var whole = r
        whole.root = proof.hash
        whole.index = 0
        guard HashProof.leads(hashes, whole, height: r.runLayers, hash: hash) else {
            punish(AddressKey(peers[i].endpoint), .badMetadata, now, &effects)
            close(i, .badHashes, now, &effects)
            nextTry(o, now, &effects)
            return true
        }
        compare(o, with: [UInt8](UnsafeRawBufferPointer(rebasing: hashes[..<(32 * Int(proof.leaves))])), &effects)
        return true
    }
    func leavesRejected(_ i: Int, _ r: HashRequest, _ now: Instant, _ effects: inout EffectBuffer) -> Bool {
        guard let o = find(r, i) else { return false }
        nextTry(o, now, &effects)
        return true
    }

    private func nextTry(_ o: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        let s = suspects[Int32(o)]!, t = Int(open[o].torrent)
        if s.tries < 3, let i = whoKnows(t, o, not: s.peer) { return askLeaves(o, of: i, now, &effects) }
        suspects[Int32(o)] = nil
        suspect(t, o)
        if s.isBlamed { torrents[t].downloadedAgain += UInt64(open[o].length) } else { blame(t, o, bytes: UInt64(open[o].length), now, &effects) }
        noteChange(t)
        abandon(o, &effects)
        fillAll(t, now, &effects)
    }

    /// Each second: who does not answer is not waited for.
    func checkSuspects(_ now: Instant, _ effects: inout EffectBuffer) {
        guard !suspects.isEmpty else { return }
        for key in suspects.keys.sorted() {
            guard let s = suspects[key] else { continue }
            guard isCurrent(Int(key), s) else {
                suspects[key] = nil
                continue
            }
            guard !s.isChecking else { continue }
            let isOverdue = now - s.askedAt > Self.patience
            if let peer = s.peer, row(peer) != nil, !isOverdue { continue }
            // A peer that knows may be about to say what it has.
            if s.peer == nil, !isOverdue, whoKnows(Int(open[Int(key)].torrent), Int(key), not: nil) == nil { continue }
            nextTry(Int(key), now, &effects)
        }
    }

    /// Answers `checkBlocks`: which blocks of the run have the right hash.
    package func blocksChecked(_ id: TorrentID, _ piece: PieceIndex, good: Bitfield, now: Instant, into effects: inout EffectBuffer) {
        guard let t = rowOfTorrent[id].map(Int.init),
            let (key, s) = suspects.first(where: { Int(open[Int($0.key)].torrent) == t && open[Int($0.key)].piece == piece && isCurrent(Int($0.key), $0.value) }),
            s.isChecking, good.count == Int(open[Int(key)].blockCount)
        else { return }
        let o = Int(key)
        suspects[key] = nil
        guard !good.isFull, !torrents[t].have.contains(piece.int) else { return abandon(o, &effects) }
        open[o].stage = .filling
        open[o].owner = PeerHandle(index: .max, generation: 0)
        open[o].lastAskedAt = now
        torrents[t].fillingCount += 1
        noteChange(t)
        var liars: [AddressKey] = []
        for block in 0..<open[o].blockCount where !good[Int(block)] {
            if let sender = open[o].sender(of: block), !liars.contains(sender) { liars.append(sender) }
            torrents[t].downloadedAgain += UInt64(open[o].blockLength(block))
            open[o].blocks[Int(block)].state = .missing
            open[o].received -= 1
            open[o].unasked += 1
            open[o].cursor = min(open[o].cursor, block)
            torrents[t].unaskedBlocks += 1
        }
        // Each sent bytes that are not the block's: that is proof, however many had a part in the piece.
        for address in liars { punish(address, .corruptBlock, now, &effects) }
        for i in 0..<peerRows where peers[i].stage == .open && liars.contains(AddressKey(peers[i].endpoint)) { close(i, .corruptPiece, now, &effects) }
        if !liars.isEmpty { dropBanned(now, &effects) }
        fillAll(t, now, &effects)
    }
}
