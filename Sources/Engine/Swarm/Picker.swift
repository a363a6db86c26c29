import Primitives

/// Rarest first: the pieces that may be begun, sorted by how many peers (seeds not counted) have them.
///
/// Invariants: `order` holds each pickable piece once; `order[place[p]] == p`; a piece with availability a stands
/// in bucket a, which is `ends[a - 1] ..< ends[a]`; within a bucket the order is random. Moving a piece to the next
/// bucket is one swap; taking it out is one move for each bucket above.
final class Picker {
    private(set) var availability: [UInt16]
    private var order: [UInt32] = []
    private var place: [UInt32]
    private var ends: [UInt32] = [0]
    /// Rises when a piece becomes pickable: tells a peer that found nothing that another look may pay.
    private(set) var epoch: UInt32 = 0

    private static var nowhere: UInt32 { .max }

    /// Every piece not in `have` is pickable.
    init(pieceCount: Int, have: PieceSet, random: inout SeededRandom) {
        availability = [UInt16](repeating: 0, count: pieceCount)
        place = [UInt32](repeating: Self.nowhere, count: pieceCount)
        order.reserveCapacity(pieceCount - have.count)
        for i in 0..<pieceCount where !have.contains(i) { order.append(UInt32(i)) }
        order.shuffle(using: &random)
        for (at, piece) in order.enumerated() { place[Int(piece)] = UInt32(at) }
        ends[0] = UInt32(order.count)
    }

    var pickable: Int { order.count }
    func isPickable(_ piece: Int) -> Bool { place[piece] != Self.nowhere }

    private func start(of bucket: Int) -> Int { bucket == 0 ? 0 : Int(ends[bucket - 1]) }

    private func put(_ piece: UInt32, at: Int) {
        order[at] = piece
        place[Int(piece)] = UInt32(at)
    }

    func insert(_ piece: Int) {
        precondition(!isPickable(piece))
        let bucket = Int(availability[piece])
        while ends.count <= bucket { ends.append(UInt32(order.count)) }
        var hole = order.count
        order.append(0)
        var b = ends.count - 1
        while b > bucket {
            let first = start(of: b)
            if first != hole { put(order[first], at: hole) }
            hole = first
            ends[b] += 1
            b -= 1
        }
        put(UInt32(piece), at: hole)
        ends[bucket] += 1
        epoch &+= 1
    }

    func remove(_ piece: Int) {
        precondition(isPickable(piece))
        var hole = Int(place[piece])
        for b in Int(availability[piece])..<ends.count {
            let last = Int(ends[b]) - 1
            if last != hole { put(order[last], at: hole) }
            hole = last
            ends[b] -= 1
        }
        order.removeLast()
        place[piece] = Self.nowhere
    }

    func increment(_ piece: Int) {
        let a = Int(availability[piece])
        guard a < Int(UInt16.max) else { return }
        availability[piece] += 1
        guard isPickable(piece) else { return }
        if ends.count == a + 1 { ends.append(ends[a]) }
        let last = Int(ends[a]) - 1, at = Int(place[piece])
        if last != at {
            put(order[last], at: at)
            put(UInt32(piece), at: last)
        }
        ends[a] -= 1
    }

    func decrement(_ piece: Int) {
        let a = Int(availability[piece])
        guard a > 0 else { return }
        availability[piece] -= 1
        guard isPickable(piece) else { return }
        let first = start(of: a), at = Int(place[piece])
        if first != at {
            put(order[first], at: at)
            put(UInt32(piece), at: first)
        }
        ends[a - 1] += 1
    }

    /// A random one of the rarest pieces in `has`; nil when it has none that is pickable.
    func pickRarest(from has: PieceSet, random: inout SeededRandom) -> Int? {
        guard !order.isEmpty, !has.isEmpty else { return nil }
        if has.isFull {
            for b in ends.indices where Int(ends[b]) > start(of: b) {
                let first = start(of: b)
                return Int(order[first + random.below(Int(ends[b]) - first)])
            }
            return nil
        }
        // A peer with few pieces: look at those, not at all that we lack.
        if has.count < order.count / 16 { return pickAmongFew(has, random: &random) }
        for b in 1..<max(ends.count, 1) {
            let first = start(of: b), count = Int(ends[b]) - first
            guard count > 0 else { continue }
            var k = random.below(count)
            for _ in 0..<count {
                let piece = Int(order[first + k])
                if has.contains(piece) { return piece }
                k += 1
                if k == count { k = 0 }
            }
        }
        return nil
    }

    private func pickAmongFew(_ has: PieceSet, random: inout SeededRandom) -> Int? {
        var best: Int?, ties = 0
        has.forEach { piece in
            guard isPickable(piece) else { return }
            if best == nil || availability[piece] < availability[best!] {
                best = piece
                ties = 1
            } else if availability[piece] == availability[best!] {
                ties += 1
                if random.below(ties) == 0 { best = piece }
            }
        }
        return best
    }

    /// The lowest-numbered piece in `has` that is pickable.
    func pickFirst(from has: PieceSet) -> Int? {
        for piece in place.indices where place[piece] != Self.nowhere && has.contains(piece) { return piece }
        return nil
    }

    /// The invariants above, counted afresh; for tests.
    func checkInvariants() {
        precondition(Int(ends.last!) == order.count)
        for b in ends.indices {
            precondition(start(of: b) <= Int(ends[b]))
            for at in start(of: b)..<Int(ends[b]) {
                let piece = Int(order[at])
                precondition(place[piece] == UInt32(at) && Int(availability[piece]) == b, "piece \(piece) stands in the wrong bucket")
            }
        }
        precondition(place.reduce(0) { $0 + ($1 == Self.nowhere ? 0 : 1) } == order.count)
    }
}
