import PeerWire
import Primitives

/// What peers ask of us. The shell owns the queue of blocks to send; here are its bounds and who may join it.
extension Swarm {
    /// Larger requests are refused by every client (BEP 3 speaks of 16 KiB; 128 KiB was the old maximum).
    private static var longestRequest: UInt32 { 128 * 1024 }

    func requested(
        _ i: Int, _ t: Int, _ piece: UInt32, _ begin: UInt32, _ length: UInt32, _ now: Instant, _ effects: inout EffectBuffer
    ) {
        guard let geometry = torrents[t].geometry, let index = geometry.piece(piece), length > 0, length <= Self.longestRequest,
            UInt64(begin) + UInt64(length) <= UInt64(geometry.servedLength(of: index)), begin < geometry.length(of: index), torrents[t].have.contains(index.int), peers[i].shown?[index.int] ?? true
        else {
            peers[i].invalidRequests += 1
            if peers[i].invalidRequests > configuration.maxInvalidRequests { return close(i, .invalidRequests, now, &effects) }
            return refuse(i, piece, begin, length, now, &effects)
        }
        let isAllowed = !peers[i].amChoking || peers[i].grantedFast.contains(piece)
        let room = peers[i].fast ? configuration.maxQueuedRequestsPerPeer : configuration.maxUnrejectableRequests
        guard isAllowed, torrents[t].isReady, peers[i].queued < room else {
            return refuse(i, piece, begin, length, now, &effects)
        }
        peers[i].queued += 1
        peers[i].queuedBytes += Int(length)
        effects.append(.serve(handle(i), torrent: torrents[t].id, piece: index, begin: begin, length: length))
    }

    private func refuse(_ i: Int, _ piece: UInt32, _ begin: UInt32, _ length: UInt32, _ now: Instant, _ effects: inout EffectBuffer) {
        useless(i, now, &effects)
        guard peers[i].stage == .open, peers[i].fast else { return }
        send(i, .reject(piece: piece, begin: begin, length: length), now, &effects)
    }

    /// Blocks left entirely: `bytes` of payload in all. `blocks` nil: as many as have that length on average, which is
    /// exact while all requests have one length, and always when the queue is empty.
    package func blockSent(_ p: PeerHandle, bytes: Int, blocks: Int? = nil, now: Instant, into effects: inout EffectBuffer) {
        guard let i = row(p), peers[i].torrent >= 0 else { return }
        let t = Int(peers[i].torrent)
        precondition(bytes <= peers[i].queuedBytes, "more was sent than was to be served")
        let sent = blocks ?? max(1, (bytes * peers[i].queued + peers[i].queuedBytes / 2) / max(1, peers[i].queuedBytes))
        peers[i].queuedBytes -= bytes
        peers[i].queued = peers[i].queuedBytes == 0 ? 0 : max(1, peers[i].queued - sent)
        peers[i].uploaded += UInt64(bytes)
        peers[i].upTick += UInt64(bytes)
        peers[i].upRound += UInt64(bytes)
        peers[i].uploadedSinceUnchoke += UInt64(bytes)
        peers[i].lastSent = now
        torrents[t].uploaded += UInt64(bytes)
        torrents[t].upTick += UInt64(bytes)
        noteChange(t)
    }

    /// A block will not be sent: cancelled, dropped with a choke, or unreadable. BEP 6: the peer is told.
    package func serveFailed(
        _ p: PeerHandle, piece: UInt32, begin: UInt32, length: UInt32, now: Instant, into effects: inout EffectBuffer
    ) {
        guard let i = row(p) else { return }
        precondition(Int(length) <= peers[i].queuedBytes, "a block failed that was not to be served")
        peers[i].queuedBytes -= Int(length)
        peers[i].queued = peers[i].queuedBytes == 0 ? 0 : max(1, peers[i].queued - 1)
        if peers[i].fast { send(i, .reject(piece: piece, begin: begin, length: length), now, &effects) }
    }

    /// BEP 6: a peer with fewer than k pieces may have k of ours while choked.
    func grantFast(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        let k = configuration.allowedFastCount
        guard peers[i].fast, peers[i].grantedFast.isEmpty, k > 0, !peers[i].uploadOnly, peers[i].have.count < k, torrents[t].have.count > 0, peers[i].shown == nil
        else { return }
        peers[i].grantedFast = AllowedFast.set(
            address: peers[i].endpoint, infoHash: torrents[t].infoHash, pieceCount: torrents[t].have.total, k: k, sha1: configuration.sha1)
        for piece in peers[i].grantedFast { send(i, .allowedFast(PieceIndex(rawValue: piece)), now, &effects) }
    }

    // MARK: Choking

    func interest(_ i: Int, _ t: Int, _ isInterested: Bool, _ now: Instant, _ effects: inout EffectBuffer) {
        useless(i, now, &effects)
        guard peers[i].stage == .open, peers[i].isInterested != isInterested else { return }
        peers[i].isInterested = isInterested
        guard isInterested else { return }
        // A slot is free: nobody waits ten seconds for a round.
        let taken = unchokedCount(t)
        if peers[i].amChoking {
            if taken < configuration.uploadSlots { unchoke(i, now, &effects) }
        } else if taken > configuration.uploadSlots {
            choke(i, now, &effects)
        }
    }

    /// Peers that hold an upload slot: unchoked and interested.
    private func unchokedCount(_ t: Int) -> Int {
        var n = 0
        for q in torrents[t].peers where !peers[Int(q)].amChoking && peers[Int(q)].isInterested { n += 1 }
        return n
    }

    func unchoke(_ i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard peers[i].amChoking, peers[i].stage == .open, !peers[i].uploadOnly else { return }
        let t = Int(peers[i].torrent)
        guard torrents[t].isReady, !torrents[t].isPaused else { return }
        peers[i].amChoking = false
        peers[i].unchokedAt = now
        peers[i].uploadedSinceUnchoke = 0
        send(i, .unchoke, now, &effects)
    }

    func choke(_ i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard !peers[i].amChoking, peers[i].stage == .open else { return }
        peers[i].amChoking = true
        peers[i].isOptimistic = false
        send(i, .choke, now, &effects)
        if peers[i].queued > 0 { effects.append(.cancelAllServes(handle(i))) }
    }

    /// One round: who is unchoked until the next.
    func chokerRound(_ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        let rotates = now >= torrents[t].nextOptimistic
        if rotates { torrents[t].nextOptimistic = now + configuration.optimisticUnchokeInterval }
        let isSeeding = torrents[t].isFinished
        let quota = 20 * UInt64(torrents[t].geometry?.pieceLength ?? 0)
        var contenders: [Choker.Contender] = []
        contenders.reserveCapacity(torrents[t].peers.count)
        for q in torrents[t].peers {
            let i = Int(q)
            defer { (peers[i].downRound, peers[i].upRound) = (0, 0) }
            guard peers[i].isInterested, !peers[i].uploadOnly, torrents[t].isReady else { continue }
            let isUnchoked = !peers[i].amChoking
            contenders.append(
                Choker.Contender(
                    peer: q, received: peers[i].downRound, sent: peers[i].upRound, isUnchoked: isUnchoked,
                    hadItsShare: isUnchoked && peers[i].uploadedSinceUnchoke >= quota && now - peers[i].unchokedAt >= .minutes(1),
                    isSnubbing: peers[i].isSnubbed && !isSeeding, waitsSince: peers[i].unchokedAt == .never ? .zero : peers[i].unchokedAt,
                    lastOptimistic: peers[i].lastOptimistic, isOptimistic: peers[i].isOptimistic))
        }
        Choker.decide(&contenders, slots: configuration.uploadSlots, isSeeding: isSeeding, rotatesOptimistic: rotates)
        // Chokes first: slots are freed before they are given.
        var kept = Set<UInt32>()
        for c in contenders where c.decision != .choke { kept.insert(c.peer) }
        for q in torrents[t].peers where !kept.contains(q) { choke(Int(q), now, &effects) }
        for c in contenders where c.decision != .choke {
            let i = Int(c.peer)
            peers[i].isOptimistic = c.decision == .optimistic
            if peers[i].isOptimistic, !c.isOptimistic { peers[i].lastOptimistic = now }
            unchoke(i, now, &effects)
        }
    }
}
