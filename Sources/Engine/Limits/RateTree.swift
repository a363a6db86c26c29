import Primitives

/// Rate limits of one direction: token buckets in a tree, and peers that share them fairly. Pure.
///
///     global ◀─ group ◀─ torrent ◀─ peer          (a bucket without a rate is passed over)
///     local  ◀───────────────────── peer of the local network, where it has a limit of its own
///
/// A peer asks (``request(_:want:now:)``), uses what it was given (``spend(_:_:)``) and may give back
/// (``refund(_:_:)``, ``release(_:)``). What cannot be given at once is given in slices (``share(now:)``): the peers
/// that wait stand in one ring and get a quantum each by turn, as long as every bucket above them has tokens (deficit
/// round robin: what a peer has got adds up until it covers its next block). There is one deadline for all of them,
/// no timer a peer, and no cost at all while ``isActive`` is false.
///
/// Bound: over any time T a bucket gives at most rate × T + burst + one quantum; the quantum is the debt that a bucket
/// may run into, paid back before it gives again, so that the long-run rate is exact however large a block is.
package struct RateTree: Sendable {
    /// One block: what a peer gets by turn.
    package static let quantum = 16_384
    /// Seconds that an unused bucket saves up: 2.5 % of ten seconds' worth.
    package static let burstSeconds = 0.25

    /// Bytes per second; 0: no limit. `tokens` below zero is a debt.
    private struct Bucket {
        var rate = 0.0
        var tokens = 0.0
        var filledAt = Instant.zero
        /// -1: none.
        var parent: Int32 = -1
        /// Waiting peers below it.
        var waiting: Int32 = 0
    }
    private struct Peer {
        var own = Bucket()
        /// Given and not yet used, in bytes.
        var allowance = 0
        /// What it waits for besides.
        var want = 0
        var isAttached = false
        var isWaiting = false
        var isReady = false
        var next: Int32 = -1
        var previous: Int32 = -1
    }

    private var buckets: [Bucket] = []
    private var peers: [Peer] = []
    private var head: Int32 = -1
    private var tail: Int32 = -1
    private var ready: [UInt32] = []
    private var nextReady = 0
    /// Time between two slices; follows limits.scheduler_slice_ms.
    package private(set) var slice = TimeSpan.milliseconds(100)
    /// Some bucket has a rate.
    package private(set) var isActive = false
    /// When ``share(now:)`` is due; never while nobody waits.
    package private(set) var nextSlice = Instant.never

    package init() {}

    // MARK: shape

    /// Sets a bucket's rate in bytes per second (0: none) and the bucket above it. Peers below ask again.
    package mutating func set(_ bucket: Int, rate: Int64, parent: Int, now: Instant) {
        while buckets.count <= bucket { buckets.append(Bucket()) }
        Self.change(&buckets[bucket], rate, now)
        if rate > 0 { isActive = true }
        buckets[bucket].parent = Int32(parent)
    }
    package mutating func setSlice(_ span: TimeSpan) { slice = span }

    private static func change(_ bucket: inout Bucket, _ rate: Int64, _ now: Instant) {
        guard bucket.rate != Double(rate) else { return }
        // A new limit counts from now on: nothing is saved up.
        if bucket.rate == 0 { (bucket.tokens, bucket.filledAt) = (0, now) }
        bucket.rate = Double(rate)
    }

    /// Puts a peer under a bucket (-1: none), with a rate of its own (0: none).
    package mutating func attach(_ peer: Int, under bucket: Int, rate: Int64, now: Instant) {
        while peers.count <= peer { peers.append(Peer()) }
        if !peers[peer].isAttached { peers[peer] = Peer() }
        // Under another bucket now: it asks again.
        if peers[peer].isWaiting {
            leave(peer)
            wake(peer)
        }
        peers[peer].isAttached = true
        peers[peer].own.parent = Int32(bucket)
        Self.change(&peers[peer].own, rate, now)
        if rate > 0 { isActive = true }
    }

    /// The peer is gone; what it had left goes back.
    package mutating func detach(_ peer: Int) {
        guard peer < peers.count, peers[peer].isAttached else { return }
        release(peer)
        peers[peer].isAttached = false
        peers[peer].own = Bucket()
    }

    /// To be called after ``set(_:rate:parent:now:)`` and ``attach(_:under:rate:now:)``: counts what there is, and lets
    /// everybody who waited ask anew under the new limits.
    package mutating func settled() {
        isActive = buckets.contains { $0.rate > 0 } || peers.contains { $0.isAttached && $0.own.rate > 0 }
        while head >= 0 {
            let peer = Int(head)
            leave(peer)
            wake(peer)
        }
        if !isActive { for peer in peers.indices { peers[peer].allowance = 0 } }
    }

    /// A limit stands above the peer, or is its own.
    package func isLimited(_ peer: Int) -> Bool {
        guard isActive, peer < peers.count, peers[peer].isAttached else { return false }
        if peers[peer].own.rate > 0 { return true }
        var at = peers[peer].own.parent
        while at >= 0 {
            if buckets[Int(at)].rate > 0 { return true }
            at = buckets[Int(at)].parent
        }
        return false
    }

    // MARK: asking

    /// The bytes that the peer may use now, as far as it wants `want`. When they are fewer it waits, and comes out of
    /// ``takeReady()`` once it was given more. Without a limit: more than anybody wants.
    package mutating func request(_ peer: Int, want: Int, now: Instant) -> Int {
        guard isLimited(peer) else { return .max }
        let missing = want - peers[peer].allowance
        guard missing > 0 else { return peers[peer].allowance }
        if peers[peer].isWaiting {
            peers[peer].want = missing
            return peers[peer].allowance
        }
        var given = 0
        if !othersWait(peer) {
            let room = self.room(peer, now)
            if room > 0 {
                // At least a quantum: its debt is the bucket's to pay back.
                given = min(missing, max(Self.quantum, Int(room)))
                debit(peer, given, now)
                peers[peer].allowance += given
            }
        }
        if given < missing { enqueue(peer, want: missing - given, now: now) }
        return peers[peer].allowance
    }

    package mutating func spend(_ peer: Int, _ bytes: Int) {
        precondition(bytes <= peers[peer].allowance, "more was used than was given")
        peers[peer].allowance -= bytes
    }

    /// Bytes that came without having been given: they are owed.
    package mutating func charge(_ peer: Int, _ bytes: Int, now: Instant) {
        guard isLimited(peer) else { return }
        debit(peer, bytes, now)
    }

    /// Bytes that were given and will not be used.
    package mutating func refund(_ peer: Int, _ bytes: Int) {
        guard bytes > 0, peer < peers.count, peers[peer].isAttached else { return }
        peers[peer].own.tokens += Double(bytes)
        var at = peers[peer].own.parent
        while at >= 0 {
            buckets[Int(at)].tokens += Double(bytes)
            at = buckets[Int(at)].parent
        }
    }

    /// The peer wants nothing now: it leaves the ring and gives back what it has.
    package mutating func release(_ peer: Int) {
        guard peer < peers.count, peers[peer].isAttached else { return }
        leave(peer)
        refund(peer, peers[peer].allowance)
        peers[peer].allowance = 0
    }

    /// A bucket above the peer has nothing to give.
    package mutating func isExhausted(_ peer: Int, now: Instant) -> Bool { isLimited(peer) && room(peer, now) <= 0 }

    // MARK: slices

    /// Hands out what has come in since the last slice.
    package mutating func share(now: Instant) {
        guard now >= nextSlice else { return }
        // Peers that found an empty bucket keep their order, before all who were served.
        var blockedHead: Int32 = -1, blockedTail: Int32 = -1
        while head >= 0 {
            let peer = Int(head)
            unlink(peer)
            guard room(peer, now) > 0 else {
                peers[peer].previous = blockedTail
                if blockedTail >= 0 { peers[Int(blockedTail)].next = Int32(peer) } else { blockedHead = Int32(peer) }
                blockedTail = Int32(peer)
                continue
            }
            let given = min(Self.quantum, peers[peer].want)
            debit(peer, given, now)
            peers[peer].allowance += given
            peers[peer].want -= given
            wake(peer)
            if peers[peer].want > 0 {
                link(peer)
            } else {
                peers[peer].isWaiting = false
                count(peer, -1)
            }
        }
        (head, tail) = (blockedHead, blockedTail)
        nextSlice = head < 0 ? .never : now + slice
    }

    /// Each peer that was given something since it was last taken here.
    package mutating func takeReady() -> Int? {
        while nextReady < ready.count {
            let peer = Int(ready[nextReady])
            nextReady += 1
            guard peers[peer].isReady else { continue }
            peers[peer].isReady = false
            if peers[peer].isAttached { return peer }
        }
        ready.removeAll(keepingCapacity: true)
        nextReady = 0
        return nil
    }

    // MARK: buckets

    private func refill(_ bucket: inout Bucket, _ now: Instant) {
        let burst = bucket.rate * max(Self.burstSeconds, slice.seconds * 1.5)
        bucket.tokens = min(burst, bucket.tokens + bucket.rate * (now - bucket.filledAt).seconds)
        bucket.filledAt = now
    }

    /// The least that any limit of the peer has to give.
    private mutating func room(_ peer: Int, _ now: Instant) -> Double {
        var least = Double(Int32.max)
        if peers[peer].own.rate > 0 {
            refill(&peers[peer].own, now)
            least = min(least, peers[peer].own.tokens)
        }
        var at = peers[peer].own.parent
        while at >= 0 {
            let i = Int(at)
            if buckets[i].rate > 0 {
                refill(&buckets[i], now)
                least = min(least, buckets[i].tokens)
            }
            at = buckets[i].parent
        }
        return least
    }

    private mutating func debit(_ peer: Int, _ bytes: Int, _ now: Instant) {
        if peers[peer].own.rate > 0 { peers[peer].own.tokens -= Double(bytes) }
        var at = peers[peer].own.parent
        while at >= 0 {
            if buckets[Int(at)].rate > 0 { buckets[Int(at)].tokens -= Double(bytes) }
            at = buckets[Int(at)].parent
        }
    }

    private func othersWait(_ peer: Int) -> Bool {
        var at = peers[peer].own.parent
        while at >= 0 {
            if buckets[Int(at)].rate > 0, buckets[Int(at)].waiting > 0 { return true }
            at = buckets[Int(at)].parent
        }
        return false
    }

    private mutating func count(_ peer: Int, _ step: Int32) {
        var at = peers[peer].own.parent
        while at >= 0 {
            buckets[Int(at)].waiting += step
            at = buckets[Int(at)].parent
        }
    }

    // MARK: ring

    private mutating func enqueue(_ peer: Int, want: Int, now: Instant) {
        peers[peer].want = want
        peers[peer].isWaiting = true
        count(peer, 1)
        link(peer)
        if nextSlice == .never { nextSlice = now + slice }
    }
    private mutating func leave(_ peer: Int) {
        guard peers[peer].isWaiting else { return }
        peers[peer].isWaiting = false
        peers[peer].want = 0
        unlink(peer)
        count(peer, -1)
        if head < 0 { nextSlice = .never }
    }
    private mutating func link(_ peer: Int) {
        (peers[peer].previous, peers[peer].next) = (tail, -1)
        if tail >= 0 { peers[Int(tail)].next = Int32(peer) } else { head = Int32(peer) }
        tail = Int32(peer)
    }
    private mutating func unlink(_ peer: Int) {
        let (previous, next) = (peers[peer].previous, peers[peer].next)
        if previous >= 0 { peers[Int(previous)].next = next } else { head = next }
        if next >= 0 { peers[Int(next)].previous = previous } else { tail = previous }
        (peers[peer].previous, peers[peer].next) = (-1, -1)
    }
    private mutating func wake(_ peer: Int) {
        guard !peers[peer].isReady else { return }
        peers[peer].isReady = true
        ready.append(UInt32(peer))
    }
}
