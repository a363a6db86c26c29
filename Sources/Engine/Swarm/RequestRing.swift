import Primitives

/// One block that a peer was asked for.
struct Request {
    /// Row of the open piece.
    var open: Int32
    var block: UInt32
    var askedAt: Instant
    /// It was cancelled; a reject or the block itself is yet to come.
    var isCancelled = false
}

/// A peer's outstanding requests in the order asked, which is the order in which answers are expected.
/// Grows by doubling up to the pipeline's depth and keeps its memory until the peer's row is freed.
/// The peer's row owns it: ``free()`` must be called once.
struct RequestRing {
    private var base: UnsafeMutablePointer<Request>?
    private var mask = -1
    private var head = 0
    private(set) var count = 0

    @inline(__always) subscript(_ i: Int) -> Request { base![(head &+ i) & mask] }

    mutating func append(_ request: Request) {
        if count > mask { grow() }
        base![(head &+ count) & mask] = request
        count += 1
    }

    private mutating func grow() {
        let capacity = max(8, (mask + 1) * 2)
        let grown = UnsafeMutablePointer<Request>.allocate(capacity: capacity)
        for i in 0..<count { (grown + i).initialize(to: self[i]) }
        base?.deallocate()
        (base, mask, head) = (grown, capacity - 1, 0)
    }

    mutating func markCancelled(_ i: Int) { base![(head &+ i) & mask].isCancelled = true }

    /// Takes out the i-th; those before it move up by one, so the order of the others stays. The usual i is 0.
    mutating func remove(at i: Int) {
        precondition(i < count)
        var at = i
        while at > 0 {
            base![(head &+ at) & mask] = base![(head &+ at &- 1) & mask]
            at -= 1
        }
        head = (head &+ 1) & mask
        count -= 1
    }

    /// The i-th becomes the first: its payload is coming in now.
    mutating func moveToFront(_ i: Int) {
        guard i > 0 else { return }
        let request = self[i]
        var at = i
        while at > 0 {
            base![(head &+ at) & mask] = base![(head &+ at &- 1) & mask]
            at -= 1
        }
        base![head & mask] = request
    }

    @inline(__always) func index(open: Int32, block: UInt32) -> Int? {
        for i in 0..<count where self[i].open == open && self[i].block == block { return i }
        return nil
    }

    mutating func free() {
        base?.deallocate()
        (base, mask, head, count) = (nil, -1, 0, 0)
    }
}
