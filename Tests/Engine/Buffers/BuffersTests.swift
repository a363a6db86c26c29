import Primitives
import Testing

@testable import Buffers

@Suite struct RunAllocatorTests {
    /// Against a plain array of owners: random takes and gives, each run contiguous, none overlapping, all merged at the end.
    @Test(arguments: [1, 2, 7, 64, 100, 1000, 4096])
    func agreesWithAPlainModel(slotCount: Int) {
        var random = SeededRandom(seed: UInt64(slotCount)), allocator = RunAllocator(slotCount: slotCount)
        var owner = [Bool](repeating: false, count: slotCount), live: [(Int, Int)] = []
        for _ in 0..<3000 {
            if random.chance(0.55) {
                let n = 1 + random.below(max(1, slotCount / 8))
                if let at = allocator.take(n) {
                    for s in at..<at + n {
                        #expect(!owner[s])
                        owner[s] = true
                    }
                    live.append((at, n))
                }
            } else if !live.isEmpty {
                let (at, n) = live.remove(at: random.below(live.count))
                for s in at..<at + n { owner[s] = false }
                allocator.give(at, count: n)
            }
            #expect(allocator.freeSlots == owner.count { !$0 })
        }
        for (at, n) in live { allocator.give(at, count: n) }
        #expect(allocator.take(exactly: 0, count: slotCount) && allocator.freeSlots == 0)
    }

    @Test func takesExactlyWhatIsAskedOrNothing() {
        var a = RunAllocator(slotCount: 64)
        #expect(a.take(exactly: 5, count: 10) && a.freeSlots == 54)
        #expect(!a.take(exactly: 14, count: 2) && a.freeSlots == 54)
        #expect(a.take(exactly: 15, count: 49) && a.freeSlots == 5)
        #expect(!a.take(exactly: 60, count: 5) && !a.take(exactly: -1, count: 1))
        a.give(5, count: 59)
        #expect(a.freeSlots == 64 && a.take(64) == 0)
    }

    @Test func reusesTheLowestAddresses() {
        var a = RunAllocator(slotCount: 1024)
        for _ in 0..<10_000 {
            let x = a.take(256)!, y = a.take(256)!
            #expect(x < 512 && y < 512)
            a.give(x, count: 256)
            a.give(y, count: 256)
        }
    }
}

@Suite struct BuffersTests {
    let t = TorrentID(1), u = TorrentID(2)

    @Test func aPieceIsServedFromVerifiedOnAndEvictedOnlyWhenClean() {
        let b = Buffers(slotCount: 8, softSlots: 8, chunkSlots: 4)
        let run = b.openPiece(torrent: t, piece: PieceIndex(3), slots: 8)!
        #expect(b.find(torrent: t, piece: PieceIndex(3), block: 5) == .miss)
        #expect(b.openPiece(torrent: t, piece: PieceIndex(4), slots: 1) == nil)
        b.handOver(run)
        b.verified(run)
        #expect(b.find(torrent: t, piece: PieceIndex(3), block: 5) == .hit(run: run, slot: SlotIndex(5)))
        #expect(b.openPiece(torrent: t, piece: PieceIndex(4), slots: 1) == nil)
        b.written(run)
        b.pin(run)
        #expect(b.openPiece(torrent: t, piece: PieceIndex(4), slots: 1) == nil)
        b.unpin(run)
        #expect(b.openPiece(torrent: t, piece: PieceIndex(4), slots: 1) != nil)
        #expect(b.find(torrent: t, piece: PieceIndex(3), block: 5) == .miss)
        b.checkInvariants()
    }

    @Test func readsLoadThenHitAndFailuresLeaveNothing() {
        let b = Buffers(slotCount: 16, softSlots: 16, chunkSlots: 4)
        #expect(b.chunkRange(block: 6, pieceBlocks: 7).firstBlock == 4 && b.chunkRange(block: 6, pieceBlocks: 7).slots == 3)
        let run = b.openRead(torrent: t, piece: PieceIndex(0), firstBlock: 4, slots: 3)!
        #expect(b.find(torrent: t, piece: PieceIndex(0), block: 6) == .loading(run: run))
        #expect(b.find(torrent: t, piece: PieceIndex(0), block: 3) == .miss)
        b.readDone(run, ok: true)
        #expect(b.find(torrent: t, piece: PieceIndex(0), block: 6) == .hit(run: run, slot: SlotIndex(run.int + 2)))
        let bad = b.openRead(torrent: t, piece: PieceIndex(0), firstBlock: 0, slots: 4)!
        b.readDone(bad, ok: false)
        #expect(b.find(torrent: t, piece: PieceIndex(0), block: 0) == .miss && b.usedSlots == 3)
        b.checkInvariants()
    }

    @Test func aForgottenPinnedRunGoesWithItsLastByte() {
        let b = Buffers(slotCount: 16, softSlots: 16, chunkSlots: 4)
        let run = b.openRead(torrent: t, piece: PieceIndex(0), firstBlock: 0, slots: 4)!
        b.readDone(run, ok: true)
        b.pin(run)
        b.forget(torrent: t)
        #expect(b.find(torrent: t, piece: PieceIndex(0), block: 0) == .miss && b.usedSlots == 4)
        b.unpin(run)
        #expect(b.usedSlots == 0)
        b.checkInvariants()
    }

    @Test func unreadDownloadsLeaveBeforeTheWorkingSetGrows() {
        let b = Buffers(slotCount: 1024, softSlots: 64, chunkSlots: 16)
        for p in 0..<500 {
            let run = b.openPiece(torrent: t, piece: PieceIndex(p), slots: 16)!
            #expect(run.int < 64)
            b.handOver(run)
            b.written(run)
            b.checkInvariants()
        }
        #expect(b.usedSlots <= 64)
    }

    @Test func randomLivesKeepTheInvariants() {
        var random = SeededRandom(seed: 5)
        let b = Buffers(slotCount: 256, softSlots: 128, chunkSlots: 8)
        var filling: [SlotIndex] = [], handed: [SlotIndex] = [], reading: [SlotIndex] = [], pinned: [SlotIndex] = []
        for step in 0..<20_000 {
            let torrent = random.chance(0.5) ? t : u, piece = PieceIndex(random.below(30))
            switch random.below(9) {
            case 0: if let r = b.openPiece(torrent: torrent, piece: piece, slots: 1 + random.below(40)) { filling.append(r) }
            case 1: if !filling.isEmpty { let r = filling.remove(at: random.below(filling.count)); b.handOver(r); handed.append(r) }
            case 2: if !handed.isEmpty { b.written(handed.remove(at: random.below(handed.count))) }
            case 3: if !filling.isEmpty { b.discard(filling.remove(at: random.below(filling.count))) }
            case 4:
                let range = b.chunkRange(block: UInt32(random.below(40)), pieceBlocks: 40)
                if b.find(torrent: torrent, piece: piece, block: range.firstBlock) == .miss,
                    let r = b.openRead(torrent: torrent, piece: piece, firstBlock: range.firstBlock, slots: range.slots)
                {
                    reading.append(r)
                }
            case 5: if !reading.isEmpty { b.readDone(reading.remove(at: random.below(reading.count)), ok: random.chance(0.9)) }
            case 6: if case .hit(let run, _) = b.find(torrent: torrent, piece: piece, block: UInt32(random.below(40))) { b.pin(run); pinned.append(run) }
            case 7: if !pinned.isEmpty { b.unpin(pinned.remove(at: random.below(pinned.count))) }
            default: if step % 50 == 0 { b.forget(torrent: torrent) } else { b.forget(torrent: torrent, piece: piece, pieceBlocks: 40) }
            }
            b.checkInvariants()
        }
    }
}
