import Primitives
import Testing

@testable import Swarm

@Suite struct PickerTests {
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func theRarestIsPickedWhateverHappened(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let count = 1 + random.below(200)
        var have = PieceSet(none: count)
        for i in 0..<count where random.chance(0.2) { _ = have.insert(i) }
        let picker = Picker(pieceCount: count, have: have, random: &random)
        var availability = [Int](repeating: 0, count: count)
        var pickable = Set((0..<count).filter { !have.contains($0) })
        for _ in 0..<2000 {
            let piece = random.below(count)
            switch random.below(4) {
            case 0, 1:
                picker.increment(piece)
                availability[piece] += 1
            case 2 where availability[piece] > 0:
                picker.decrement(piece)
                availability[piece] -= 1
            default:
                if pickable.contains(piece) {
                    picker.remove(piece)
                    pickable.remove(piece)
                } else {
                    picker.insert(piece)
                    pickable.insert(piece)
                }
            }
        }
        picker.checkInvariants()
        for _ in 0..<50 {
            var theirs = PieceSet(none: count)
            let p = random.fraction() * random.fraction()
            for i in 0..<count where availability[i] > 0 && random.chance(p) { _ = theirs.insert(i) }
            let able = pickable.filter { theirs.contains($0) }
            let picked = picker.pickRarest(from: theirs, random: &random)
            #expect((picked == nil) == able.isEmpty)
            if let picked { #expect(able.contains(picked) && availability[picked] == able.map { availability[$0] }.min()) }
            let inOrder = picker.pickSequential(from: theirs, window: count, threshold: 0, peers: 1, seeds: 0, random: &random)
            #expect(inOrder == able.min())
        }
        if let fromSeed = picker.pickRarest(from: PieceSet(all: count), random: &random) {
            #expect(availability[fromSeed] == pickable.map { availability[$0] }.min())
        }
    }

    /// Levels go before rarity, in every order; what is skipped is never picked, whatever happens to it.
    @Test(arguments: 1...10 as ClosedRange<UInt64>) func levelsGoFirst(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let count = 60, levels = (0..<count).map { _ in UInt8(random.below(6)) }
        let picker = Picker(pieceCount: count, have: PieceSet(none: count), levels: levels, random: &random)
        for _ in 0..<500 {
            let piece = random.below(count)
            if random.chance(0.6) { picker.increment(piece) } else { picker.decrement(piece) }
            if random.chance(0.1), picker.isPickable(piece) {
                picker.remove(piece)
                picker.insert(piece)
            }
        }
        picker.checkInvariants()
        #expect(picker.pickable == levels.count { $0 > 0 })
        for way in 0..<3 {
            let copy = Picker(pieceCount: count, have: PieceSet(none: count), levels: levels, random: &random)
            var last: UInt8 = 6, picked = 0
            while let piece = way == 0
                ? copy.pickRarest(from: PieceSet(all: count), random: &random)
                : way == 1 ? copy.pickSequential(from: PieceSet(all: count), window: 4, threshold: 0, peers: 1, seeds: 1, random: &random) : copy.pickNext(from: PieceSet(all: count))
            {
                #expect(levels[piece] > 0 && levels[piece] <= last)
                last = levels[piece]
                copy.remove(piece)
                copy.checkInvariants()
                picked += 1
            }
            #expect(picked == picker.pickable)
        }
    }

    @Test func sequentialKeepsToItsWindow() {
        var random = SeededRandom(seed: 2)
        let picker = Picker(pieceCount: 100, have: PieceSet(none: 100), random: &random)
        func pick(_ pieces: [Int], window: Int = 10, threshold: Double = 0, peers: Int = 10, seeds: Int = 0) -> Int? {
            var has = PieceSet(none: 100)
            for piece in pieces { _ = has.insert(piece) }
            return picker.pickSequential(from: has, window: window, threshold: threshold, peers: peers, seeds: seeds, random: &random)
        }
        for piece in [5, 30, 40] { picker.increment(piece) }
        picker.increment(40)
        #expect(pick([5, 30, 40]) == 5)
        picker.remove(5)
        #expect(pick([30, 40]) == 30, "beyond the window the rarest")
        for piece in 0..<3 { picker.remove(piece) }
        picker.increment(3)
        #expect(pick([3, 30]) == 3)
        #expect(pick([3, 30, 40], threshold: 0.5) != nil && pick([3], threshold: 0.5) == 3)
        #expect(pick([3, 40], threshold: 0.5, seeds: 9) == 3, "seeds have the window")
        // Round-robin goes on behind what it gave last.
        let all = PieceSet(all: 100)
        #expect((0..<3).map { _ in picker.pickNext(from: all) } == [3, 4, 6])
    }

    @Test func equalsArePickedAtRandom() {
        var random = SeededRandom(seed: 1)
        let picker = Picker(pieceCount: 100, have: PieceSet(none: 100), random: &random)
        let picks = Set((0..<200).compactMap { _ in picker.pickRarest(from: PieceSet(all: 100), random: &random) })
        #expect(picks.count > 70)
    }
}

@Suite struct PieceSetTests {
    @Test func itFollowsABitfieldAndTakesNothingAtTheEnds() {
        var random = SeededRandom(seed: 9)
        for total in [1, 7, 64, 65, 300] {
            var set = PieceSet(none: total), bits = Bitfield(count: total)
            for _ in 0..<3000 {
                let i = random.below(total)
                if random.chance(0.6) { #expect(set.insert(i) == bits.insert(i)) } else { #expect(set.remove(i) == bits.remove(i)) }
                #expect(set.count == bits.setCount && set.contains(i) == bits[i])
                #expect((set.bits == nil) == (bits.isFull || bits.isEmpty))
            }
            #expect(set.bitfield == bits)
        }
    }
}

@Suite struct RequestRingTests {
    @Test func itFollowsAnArray() {
        var random = SeededRandom(seed: 4)
        var ring = RequestRing(), model: [UInt32] = []
        for n in 0..<20_000 as Range<UInt32> {
            switch random.below(5) {
            case 0, 1:
                ring.append(Request(open: 0, block: n, askedAt: .zero))
                model.append(n)
            case 2 where !model.isEmpty:
                let i = random.below(model.count)
                ring.moveToFront(i)
                model.insert(model.remove(at: i), at: 0)
            default:
                guard !model.isEmpty else { continue }
                let i = random.chance(0.7) ? 0 : random.below(model.count)
                ring.remove(at: i)
                model.remove(at: i)
            }
            #expect(ring.count == model.count)
            if let last = model.indices.last { #expect(ring[last].block == model[last] && ring[0].block == model[0]) }
        }
        #expect((0..<ring.count).map { ring[$0].block } == model)
        ring.free()
    }
}

@Suite struct ChokerTests {
    static func contender(
        _ peer: UInt32, received: UInt64 = 0, sent: UInt64 = 0, unchoked: Bool = false, share: Bool = false, snubs: Bool = false, waits: Int = 0,
        turn: Int = 0, optimistic: Bool = false
    ) -> Choker.Contender {
        Choker.Contender(
            peer: peer, received: received, sent: sent, isUnchoked: unchoked, hadItsShare: share, isSnubbing: snubs,
            waitsSince: Instant(nanoseconds: Int64(waits)), lastOptimistic: Instant(nanoseconds: Int64(turn)), isOptimistic: optimistic)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let slots: Int
        var seeding = false
        var rotates = false
        let contenders: [Choker.Contender]
        let regular: Set<UInt32>
        let optimistic: Set<UInt32>
        var testDescription: String { name }
    }
    static let cases: [Case] = [
        Case(name: "all fit", slots: 4, contenders: (0..<4).map { contender($0) }, regular: [0, 1, 2, 3], optimistic: []),
        Case(
            name: "tit for tat: the best three and one by turn", slots: 4, rotates: true,
            contenders: [
                contender(0, received: 1), contender(1, received: 50), contender(2, received: 40), contender(3, received: 60), contender(4, turn: 9),
                contender(5, turn: 3),
            ], regular: [1, 2, 3], optimistic: [0]),
        Case(
            name: "who waited longest has the turn", slots: 2, rotates: true,
            contenders: [contender(0, received: 9), contender(1, turn: 5), contender(2, turn: 4), contender(3, turn: 6)], regular: [0], optimistic: [2]),
        Case(
            name: "the chosen one stays between turns", slots: 2,
            contenders: [contender(0, received: 9), contender(1, turn: 5, optimistic: true), contender(2, turn: 4)], regular: [0], optimistic: [1]),
        Case(
            name: "the chosen one earned its slot: another turn", slots: 2,
            contenders: [contender(0, received: 9), contender(1, received: 10, turn: 5, optimistic: true), contender(2, turn: 4)], regular: [1],
            optimistic: [0]),
        Case(
            name: "a snubber goes behind an idle peer", slots: 1,
            contenders: [contender(0, received: 99, snubs: true), contender(1)], regular: [1], optimistic: []),
        Case(
            name: "seeding: who had its share goes behind those who wait", slots: 1, seeding: true,
            contenders: [contender(0, sent: 99, unchoked: true, share: true), contender(1, waits: 5)], regular: [1], optimistic: []),
        Case(
            name: "seeding: who is served keeps its slot until then", slots: 1, seeding: true,
            contenders: [contender(0, sent: 1, unchoked: true), contender(1, waits: 5)], regular: [0], optimistic: []),
        Case(
            name: "seeding: the longest wait goes first", slots: 1, seeding: true, contenders: [contender(0, waits: 7), contender(1, waits: 5)],
            regular: [1], optimistic: []),
    ]
    @Test(arguments: cases) func theTable(c: Case) {
        var contenders = c.contenders
        Choker.decide(&contenders, slots: c.slots, isSeeding: c.seeding, rotatesOptimistic: c.rotates)
        #expect(Set(contenders.filter { $0.decision == .regular }.map(\.peer)) == c.regular)
        #expect(Set(contenders.filter { $0.decision == .optimistic }.map(\.peer)) == c.optimistic)
    }

    @Test func neverMoreThanTheSlots() {
        var random = SeededRandom(seed: 2)
        for _ in 0..<500 {
            let slots = 1 + random.below(20)
            var contenders = (0..<UInt32(random.below(40))).map {
                Self.contender(
                    $0, received: UInt64(random.below(5)), sent: UInt64(random.below(5)), unchoked: random.chance(0.5), share: random.chance(0.2),
                    snubs: random.chance(0.1), waits: random.below(9), turn: random.below(9), optimistic: random.chance(0.2))
            }
            let count = contenders.count
            Choker.decide(&contenders, slots: slots, isSeeding: random.chance(0.5), rotatesOptimistic: random.chance(0.5))
            let unchoked = contenders.filter { $0.decision != .choke }.count
            #expect(unchoked == min(count, slots))
        }
    }
}
