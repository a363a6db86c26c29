import Limits
import PeerWire
import Primitives

/// Rate limits. Downloads are limited where blocks are asked for: what was not asked for does not come, over whatever
/// transport. What comes although it was not asked for under the limit (it was asked before the limit was lowered, or
/// comes twice) is owed, and ``mayReceive(_:now:)`` then holds the socket back, so that the kernel's window closes.
/// Uploads are limited by the shell, which asks ``uploadAllowance(_:want:now:)`` before it fills a send.
extension Swarm {
    /// Buckets of the trees: see ``RateTree``. A torrent's is `torrentBucket` + its row.
    private static var globalBucket: Int { 0 }
    private static var localBucket: Int { 1 }
    private static var groupBucket: Int { 2 }
    private static var torrentBucket: Int { groupBucket + LimitGroup.maximumCount }

    /// The configuration's limits, changed at any time.
    package func setLimits(_ limits: RateLimits, now: Instant, into effects: inout EffectBuffer) {
        guard limits != self.limits else { return }
        self.limits = limits
        downTree.setSlice(limits.slice)
        upTree.setSlice(limits.slice)
        setBucket(Self.globalBucket, limits.global, parent: -1, now)
        setBucket(Self.localBucket, limits.localPeers == .own ? limits.local : .none, parent: -1, now)
        for group in 0..<LimitGroup.maximumCount {
            setBucket(Self.groupBucket + group, group < limits.groups.count ? limits.groups[group] : .none, parent: Self.globalBucket, now)
        }
        for t in 0..<torrentRows where torrents[t].isLive { setTorrentBucket(t, now) }
        for t in 0..<torrentRows where torrents[t].isLive { for q in torrents[t].peers { attachToLimits(Int(q), t, now) } }
        limitsSettled(now, &effects)
    }

    /// A torrent's own limits. A torrent that is not there is passed over.
    package func setLimits(of id: TorrentID, _ limits: TorrentLimits, now: Instant, into effects: inout EffectBuffer) {
        guard let t = rowOfTorrent[id].map(Int.init), torrents[t].limits != limits else { return }
        torrents[t].limits = limits
        setTorrentBucket(t, now)
        limitsSettled(now, &effects)
        // The newest go first: they have the least to lose.
        while torrents[t].peers.count > peerLimit(t), let last = torrents[t].peers.last { close(Int(last), .tooManyPeers, now, &effects) }
        wantDials(t)
    }

    /// Connections that a torrent may have.
    func peerLimit(_ t: Int) -> Int { torrents[t].limits.maxPeers ?? configuration.maxPeersPerTorrent }

    private func setBucket(_ bucket: Int, _ pair: LimitPair, parent: Int, _ now: Instant) {
        downTree.set(bucket, rate: pair.down, parent: parent, now: now)
        upTree.set(bucket, rate: pair.up, parent: parent, now: now)
    }
    func setTorrentBucket(_ t: Int, _ now: Instant) {
        let own = torrents[t].limits
        let parent = own.group > 0 && own.group <= LimitGroup.maximumCount ? Self.groupBucket + own.group - 1 : Self.globalBucket
        setBucket(
            Self.torrentBucket + t, LimitPair(down: own.down ?? limits.perTorrent.down, up: own.up ?? limits.perTorrent.up), parent: parent, now)
    }

    func attachToLimits(_ i: Int, _ t: Int, _ now: Instant) {
        let e = peers[i].endpoint
        var bucket = Self.torrentBucket + t, own = limits.perPeer
        if limits.localPeers != .limited, e.isPrivate || e.isLinkLocal || e.isLoopback {
            bucket = limits.localPeers == .own ? Self.localBucket : -1
            own = .none
        }
        downTree.attach(i, under: bucket, rate: own.down, now: now)
        upTree.attach(i, under: bucket, rate: own.up, now: now)
    }
    func detachFromLimits(_ i: Int) {
        downTree.refund(i, peers[i].charged)
        peers[i].charged = 0
        downTree.detach(i)
        upTree.detach(i)
    }

    private func limitsSettled(_ now: Instant, _ effects: inout EffectBuffer) {
        downTree.settled()
        upTree.settled()
        fillReady(now, &effects)
        if !downTree.isActive { for t in 0..<torrentRows where torrents[t].isLive { fillAll(t, now, &effects) } }
    }

    // MARK: slices

    /// Hands out what the limits let through since the last time: peers ask for blocks again; who may upload again
    /// comes out of ``takeUploadReady()``. Due at ``nextSlice``; ``tick(now:into:)`` does it as well.
    package func shareRates(now: Instant, into effects: inout EffectBuffer) {
        downTree.share(now: now)
        upTree.share(now: now)
        fillReady(now, &effects)
    }
    package var nextSlice: Instant { min(downTree.nextSlice, upTree.nextSlice) }

    private func fillReady(_ now: Instant, _ effects: inout EffectBuffer) {
        while let i = downTree.takeReady() { if peers[i].stage == .open { fill(i, now, &effects) } }
    }

    // MARK: download

    /// One more block may be asked for. When not, the peer waits for its turn.
    @inline(__always) func mayAskMore(_ i: Int, _ now: Instant) -> Bool {
        guard downTree.isActive else { return true }
        let want = max(1, peers[i].depth - peers[i].pending) * RateTree.quantum
        return downTree.request(i, want: want, now: now) >= Int(PieceGeometry.blockLength)
    }
    /// Asking is over: with nothing to ask for, the peer takes nothing from the others.
    func settleAllowance(_ i: Int, _ now: Instant) {
        guard downTree.isLimited(i), peers[i].stage == .open else { return }
        if downTree.request(i, want: 0, now: now) >= Int(PieceGeometry.blockLength) { downTree.release(i) }
    }
    @inline(__always) func chargeRequest(_ i: Int, _ length: UInt32) {
        guard downTree.isActive, downTree.isLimited(i) else { return }
        downTree.spend(i, Int(length))
        peers[i].charged += Int(length)
    }
    /// A request that will not be answered gives back what it cost.
    @inline(__always) func refundRequest(_ i: Int, _ length: UInt32) {
        guard peers[i].charged > 0 else { return }
        let back = min(peers[i].charged, Int(length))
        peers[i].charged -= back
        downTree.refund(i, back)
    }
    /// The answer of a request came. What was not charged when it was asked for is charged now.
    @inline(__always) func settleCharge(_ i: Int, _ length: UInt32, _ now: Instant) {
        let paid = min(peers[i].charged, Int(length))
        peers[i].charged -= paid
        if paid < Int(length), downTree.isActive { downTree.charge(i, Int(length) - paid, now: now) }
    }

    /// False: its next bytes would exceed a limit that was set after they were asked for, or would be requests beyond those
    /// that wait already; the shell posts no receive and asks again when blocks left, and with the next tick. The time of
    /// waiting does not count against the peer.
    package func mayReceive(_ p: PeerHandle, now: Instant) -> Bool {
        if holdsRequestsBack(p, now: now) { return false }
        guard downTree.isActive, let i = row(p), peers[i].stage == .open, peers[i].requests.count > 1 else { return true }
        // The last block of a torrent is shorter than the rest: one block's leeway.
        let unpaid = (peers[i].requests.count - 1) * Int(PieceGeometry.blockLength) - peers[i].charged
        guard unpaid > 0, downTree.isExhausted(i, now: now) else { return true }
        peers[i].waitingSince = now
        if peers[i].inBlock { peers[i].inBlockSince = now }
        return false
    }

    /// rTorrent asks for as many blocks as it got in three seconds, whatever our `reqq`, and cannot be told of a request
    /// that was dropped. Its socket is left unread instead until the queue is shorter; not while it owes us blocks.
    private func holdsRequestsBack(_ p: PeerHandle, now: Instant) -> Bool {
        guard let i = row(p), !peers[i].fast, peers[i].stage == .open, peers[i].queued >= configuration.maxQueuedRequestsPerPeer,
            peers[i].requests.count == 0
        else { return false }
        peers[i].lastReceived = now
        return true
    }

    // MARK: upload

    /// Payload bytes that may be sent to the peer now; .max without a limit. With less than it wants it comes out of
    /// ``takeUploadReady()`` later.
    package func uploadAllowance(_ p: PeerHandle, want: Int, now: Instant) -> Int {
        guard upTree.isActive, row(p) != nil else { return .max }
        return upTree.request(Int(p.index), want: want, now: now)
    }
    package func uploadSpent(_ p: PeerHandle, bytes: Int) {
        guard upTree.isActive, row(p) != nil, upTree.isLimited(Int(p.index)) else { return }
        upTree.spend(Int(p.index), bytes)
    }
    /// Nothing waits to be sent: what is left of its allowance is for others.
    package func uploadIdle(_ p: PeerHandle) {
        if upTree.isActive, row(p) != nil { upTree.release(Int(p.index)) }
    }
    package func takeUploadReady() -> PeerHandle? {
        while let i = upTree.takeReady() { if peers[i].stage == .open { return handle(i) } }
        return nil
    }
}
