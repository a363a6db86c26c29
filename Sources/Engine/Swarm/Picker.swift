import Primitives

/// Rarest first: the pieces that may be begun, by level (what the user wants first), then by how many peers (seeds not counted)
/// have them.
///
/// Invariants: a lane's `order` holds each of its pickable pieces once; `order[place[p]] == p`; a piece with availability a stands
/// in bucket a, which is `ends[a - 1] ..< ends[a]`; within a bucket the order is random. Moving a piece to the next
/// bucket is one swap; taking it out is one move for each bucket above. A piece that is not wanted is in no lane.
final class Picker {
    private struct Lane {
        var order: [UInt32] = []
        var ends: [UInt32] = [0]
        /// No pickable piece of the lane has a lower number.
        var floor = 0

        func start(of bucket: Int) -> Int { bucket == 0 ? 0 : Int(ends[bucket - 1]) }
    }

    private(set) var availability: [UInt16]
    /// The most wanted first; one where all pieces are wanted alike.
    private var lanes: [Lane]
    /// Lane of each piece; empty: the first and only.
    private let laneOf: [UInt8]
    private var place: [UInt32]
    /// Rises when a piece becomes pickable: tells a peer that found nothing that another look may pay.
    private(set) var epoch: UInt32 = 0
    private(set) var pickable = 0
    /// Where round-robin goes on.
    private var cursor = 0

    private static var nowhere: UInt32 { .max }
    private static var unwanted: UInt8 { .max }

    /// Every piece not in `have` is pickable, but for those of level `skip`. `levels` empty: all alike.
    init(pieceCount: Int, have: PieceSet, levels: [UInt8] = [], random: inout SeededRandom) {
        availability = [UInt16](repeating: 0, count: pieceCount)
        place = [UInt32](repeating: Self.nowhere, count: pieceCount)
        if levels.isEmpty {
            laneOf = []
            lanes = [Lane()]
        } else {
            laneOf = levels.map { $0 == FileLevel.skip ? Self.unwanted : FileLevel.urgent - min($0, FileLevel.urgent) }
            lanes = [Lane](repeating: Lane(), count: Int(FileLevel.urgent))
        }
        for i in 0..<pieceCount where !have.contains(i) {
            let lane = self.lane(i)
            if lane >= 0 { lanes[lane].order.append(UInt32(i)) }
        }
        for n in lanes.indices {
            lanes[n].order.shuffle(using: &random)
            for (at, piece) in lanes[n].order.enumerated() { place[Int(piece)] = UInt32(at) }
            lanes[n].ends[0] = UInt32(lanes[n].order.count)
            pickable += lanes[n].order.count
        }
    }

    func isPickable(_ piece: Int) -> Bool { place[piece] != Self.nowhere }

    /// -1: it is not wanted.
    @inline(__always) private func lane(_ piece: Int) -> Int {
        if laneOf.isEmpty { return 0 }
        let lane = laneOf[piece]
        return lane == Self.unwanted ? -1 : Int(lane)
    }

    /// No pickable piece is wanted more.
    func isMostWanted(_ piece: Int) -> Bool { !lanes[..<max(lane(piece), 0)].contains { !$0.order.isEmpty } }

    private func put(_ piece: UInt32, _ lane: Int, at: Int) {
        lanes[lane].order[at] = piece
        place[Int(piece)] = UInt32(at)
    }

    /// Nothing for a piece that is not wanted.
    func insert(_ piece: Int) {
        precondition(!isPickable(piece))
        let lane = lane(piece)
        guard lane >= 0 else { return }
        let bucket = Int(availability[piece])
        while lanes[lane].ends.count <= bucket { lanes[lane].ends.append(UInt32(lanes[lane].order.count)) }
        var hole = lanes[lane].order.count
        lanes[lane].order.append(0)
        var b = lanes[lane].ends.count - 1
        while b > bucket {
            let first = lanes[lane].start(of: b)
            if first != hole { put(lanes[lane].order[first], lane, at: hole) }
            hole = first
            lanes[lane].ends[b] += 1
            b -= 1
        }
        put(UInt32(piece), lane, at: hole)
        lanes[lane].ends[bucket] += 1
        lanes[lane].floor = min(lanes[lane].floor, piece)
        pickable += 1
        epoch &+= 1
    }

    func remove(_ piece: Int) {
        precondition(isPickable(piece))
        let lane = lane(piece)
        var hole = Int(place[piece])
        for b in Int(availability[piece])..<lanes[lane].ends.count {
            let last = Int(lanes[lane].ends[b]) - 1
            if last != hole { put(lanes[lane].order[last], lane, at: hole) }
            hole = last
            lanes[lane].ends[b] -= 1
        }
        lanes[lane].order.removeLast()
        place[piece] = Self.nowhere
        pickable -= 1
    }

    func increment(_ piece: Int) {
        let a = Int(availability[piece])
        guard a < Int(UInt16.max) else { return }
        availability[piece] += 1
        guard isPickable(piece) else { return }
        let lane = lane(piece)
        if lanes[lane].ends.count == a + 1 { lanes[lane].ends.append(lanes[lane].ends[a]) }
        let last = Int(lanes[lane].ends[a]) - 1, at = Int(place[piece])
        if last != at {
            put(lanes[lane].order[last], lane, at: at)
            put(UInt32(piece), lane, at: last)
        }
        lanes[lane].ends[a] -= 1
    }

    func decrement(_ piece: Int) {
        let a = Int(availability[piece])
        guard a > 0 else { return }
        availability[piece] -= 1
        guard isPickable(piece) else { return }
        let lane = lane(piece)
        let first = lanes[lane].start(of: a), at = Int(place[piece])
        if first != at {
            put(lanes[lane].order[first], lane, at: at)
            put(UInt32(piece), lane, at: first)
        }
        lanes[lane].ends[a - 1] += 1
    }

    // MARK: Rarest first

    /// A random one of the rarest pieces in `has` of the highest level; nil when it has none that is pickable.
    func pickRarest(from has: PieceSet, random: inout SeededRandom) -> Int? {
        guard pickable > 0, !has.isEmpty else { return nil }
        // A peer with few pieces: look at those, not at all that we lack.
        if !has.isFull, has.count < pickable / 16 { return pickAmongFew(has, random: &random) }
        for n in lanes.indices { if let piece = pickRarest(in: n, from: has, random: &random) { return piece } }
        return nil
    }

    private func pickRarest(in n: Int, from has: PieceSet, random: inout SeededRandom) -> Int? {
        guard !lanes[n].order.isEmpty else { return nil }
        if has.isFull {
            for b in lanes[n].ends.indices where Int(lanes[n].ends[b]) > lanes[n].start(of: b) {
                let first = lanes[n].start(of: b)
                return Int(lanes[n].order[first + random.below(Int(lanes[n].ends[b]) - first)])
            }
            return nil
        }
        for b in 1..<max(lanes[n].ends.count, 1) {
            let first = lanes[n].start(of: b), count = Int(lanes[n].ends[b]) - first
            guard count > 0 else { continue }
            var k = random.below(count)
            for _ in 0..<count {
                let piece = Int(lanes[n].order[first + k])
                if has.contains(piece) { return piece }
                k += 1
                if k == count { k = 0 }
            }
        }
        return nil
    }

    private func pickAmongFew(_ has: PieceSet, random: inout SeededRandom) -> Int? {
        var best: Int?, bestKey = (Int.max, UInt16.max), ties = 0
        has.forEach { piece in
            guard isPickable(piece) else { return }
            let key = (lane(piece), availability[piece])
            if best == nil || key < bestKey {
                (best, bestKey, ties) = (piece, key, 1)
            } else if key == bestKey {
                ties += 1
                if random.below(ties) == 0 { best = piece }
            }
        }
        return best
    }

    // MARK: In order

    /// Sequential: of the first `window` pickable pieces of the highest level the first that `has` has. A peer that has none of
    /// them takes its rarest; so does everybody when a window's pieces are with less than `threshold` of the `peers` on
    /// average, `seeds` counted: order is worth nothing when nobody can deliver in it.
    func pickSequential(from has: PieceSet, window: Int, threshold: Double, peers: Int, seeds: Int, random: inout SeededRandom) -> Int? {
        guard pickable > 0, !has.isEmpty else { return nil }
        for n in lanes.indices where !lanes[n].order.isEmpty {
            var piece = lanes[n].floor, seen = 0, owners = 0, choice: Int?
            let limit = min(window, lanes[n].order.count)
            while seen < limit {
                if isPickable(piece), lane(piece) == n {
                    if seen == 0 { lanes[n].floor = piece }
                    seen += 1
                    owners += Int(availability[piece])
                    if choice == nil, has.contains(piece) { choice = piece }
                }
                piece += 1
            }
            let isRare = seen > 0 && Double(owners) / Double(seen) + Double(seeds) < threshold * Double(peers)
            if let choice, !isRare { return choice }
            if let piece = pickRarest(in: n, from: has, random: &random) ?? choice { return piece }
        }
        return nil
    }

    /// Round-robin: the next pickable piece in `has` after the last one that was picked so, of the highest level that it has.
    func pickNext(from has: PieceSet) -> Int? {
        guard pickable > 0, !has.isEmpty, let top = lanes.firstIndex(where: { !$0.order.isEmpty }) else { return nil }
        var best: Int?
        for step in 0..<place.count {
            let piece = cursor + step < place.count ? cursor + step : cursor + step - place.count
            guard isPickable(piece), has.contains(piece), best.map({ lane(piece) < lane($0) }) ?? true else { continue }
            best = piece
            if lane(piece) == top { break }
        }
        if let best { cursor = best + 1 == place.count ? 0 : best + 1 }
        return best
    }

    /// The invariants above, counted afresh; for tests.
    func checkInvariants() {
        var count = 0
        for n in lanes.indices {
            precondition(Int(lanes[n].ends.last!) == lanes[n].order.count)
            count += lanes[n].order.count
            for b in lanes[n].ends.indices {
                precondition(lanes[n].start(of: b) <= Int(lanes[n].ends[b]))
                for at in lanes[n].start(of: b)..<Int(lanes[n].ends[b]) {
                    let piece = Int(lanes[n].order[at])
                    precondition(place[piece] == UInt32(at) && Int(availability[piece]) == b && lane(piece) == n, "piece \(piece) stands in the wrong bucket")
                    precondition(piece >= lanes[n].floor, "the floor is above piece \(piece)")
                }
            }
        }
        precondition(place.reduce(0) { $0 + ($1 == Self.nowhere ? 0 : 1) } == count && count == pickable)
    }
}
