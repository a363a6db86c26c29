import Primitives

/// Who uses which run of an arena's slots: piece buffers being downloaded, runs being read from disk, and the
/// block cache made of what either left behind. Pure: it knows slot numbers, never memory.
///
/// A run is named by its first slot and is in one state:
///
///     free ─openPiece→ filling ─handOver→ handed ─verified→ verified ─written→ clean ─evicted→ free
///       └──openRead──→ reading ──────────────readDone(true)─────────────────────┘
///     filling, handed ─discard→ free        reading ─readDone(false)→ free
///
/// Invariants: each slot belongs to one run or to the allocator. Only clean runs without a pin are in the LRU list,
/// and only those are evicted. `chunks` names verified and clean runs (and runs being read), nothing else.
package final class Buffers {
    package enum State: UInt8, Sendable { case free, filling, handed, verified, clean, reading }

    struct Run {
        var torrent = TorrentID(rawValue: 0)
        var piece = PieceIndex(rawValue: 0)
        /// First block of the piece that the run holds: 0 for a whole piece.
        var firstBlock: UInt32 = 0
        var slots: UInt32 = 0
        var pins: UInt32 = 0
        var state = State.free
        var wasServed = false
        var newer: Int32 = -1
        var older: Int32 = -1
    }

    struct ChunkKey: Hashable {
        let torrent: UInt32
        let pieceAndChunk: UInt64
    }

    package enum Lookup: Equatable {
        /// The run that holds the block and the block's own slot.
        case hit(run: SlotIndex, slot: SlotIndex)
        case loading(run: SlotIndex)
        case miss
    }

    package let slotCount: Int
    /// Up to this many slots are used before cached runs that nobody asked for are evicted: memory that
    /// stays in the processor's cache is worth more than a cache entry without a reader.
    package let softSlots: Int
    /// Blocks of one read-ahead: a read covers the chunk of the piece that the block falls into.
    package let chunkSlots: Int
    var allocator: RunAllocator
    var runs: [Run]
    var chunks: [ChunkKey: Int32] = [:]
    private var newest: Int32 = -1
    private var oldest: Int32 = -1
    package private(set) var usedSlots = 0
    package private(set) var cleanSlots = 0

    /// `slotCount` of at least 1; `chunkSlots` must be a power of two.
    package init(slotCount: Int, softSlots: Int, chunkSlots: Int = 64) {
        precondition(slotCount > 0 && chunkSlots.nonzeroBitCount == 1)
        self.slotCount = slotCount
        self.softSlots = min(softSlots, slotCount)
        self.chunkSlots = chunkSlots
        allocator = RunAllocator(slotCount: slotCount)
        runs = [Run](repeating: Run(), count: slotCount)
    }

    package var freeSlots: Int { slotCount - usedSlots }
    /// Slots that a caller can have: free ones and those of unpinned cache entries.
    package var availableSlots: Int { freeSlots + cleanSlots }
    package func state(of first: SlotIndex) -> State { runs[first.int].state }
    /// One past the last slot of the run.
    package func endSlot(of first: SlotIndex) -> SlotIndex { SlotIndex(first.int + Int(runs[first.int].slots)) }
    package func identity(of first: SlotIndex) -> (torrent: TorrentID, piece: PieceIndex) {
        (runs[first.int].torrent, runs[first.int].piece)
    }

    // MARK: Taking runs

    /// A run for a whole piece that is about to be downloaded. nil: no room until something is released.
    package func openPiece(torrent: TorrentID, piece: PieceIndex, slots: Int) -> SlotIndex? {
        take(slots, for: torrent, piece, firstBlock: 0, state: .filling)
    }

    /// A run for blocks that the disk worker will read. nil: no room until something is released.
    package func openRead(torrent: TorrentID, piece: PieceIndex, firstBlock: UInt32, slots: Int) -> SlotIndex? {
        guard let first = take(slots, for: torrent, piece, firstBlock: firstBlock, state: .reading) else { return nil }
        index(first.int)
        return first
    }

    /// Takes exactly this run again: what a former shard left in the block table. False when it overlaps another.
    package func adopt(first: SlotIndex, torrent: TorrentID, piece: PieceIndex, slots: Int, handed: Bool) -> Bool {
        guard allocator.take(exactly: first.int, count: slots) else { return false }
        enter(first.int, torrent, piece, 0, slots, handed ? .handed : .filling)
        return true
    }

    private func take(_ slots: Int, for torrent: TorrentID, _ piece: PieceIndex, firstBlock: UInt32, state: State) -> SlotIndex? {
        precondition(slots > 0)
        while usedSlots + slots > softSlots, evictOldest(onlyUnserved: true) {}
        var first = allocator.take(slots)
        while first == nil, evictOldest(onlyUnserved: false) { first = allocator.take(slots) }
        guard let first else { return nil }
        enter(first, torrent, piece, firstBlock, slots, state)
        return SlotIndex(first)
    }

    private func enter(_ first: Int, _ torrent: TorrentID, _ piece: PieceIndex, _ firstBlock: UInt32, _ slots: Int, _ state: State) {
        runs[first] = Run(torrent: torrent, piece: piece, firstBlock: firstBlock, slots: UInt32(slots), state: state)
        usedSlots += slots
    }

    // MARK: Life of a run

    /// Gives back a run that is not cached: an unfinished or failed piece. One that is being sent from goes with its
    /// last pin.
    package func discard(_ first: SlotIndex) {
        precondition(runs[first.int].state == .filling || runs[first.int].state == .handed)
        if runs[first.int].pins > 0 { runs[first.int].state = .clean } else { release(first.int) }
    }

    /// Also a second time, after a write that failed.
    package func handOver(_ first: SlotIndex) {
        precondition(runs[first.int].state == .filling || runs[first.int].state == .handed)
        runs[first.int].state = .handed
    }

    /// The hash was right: blocks can be served from the run although it is not yet written.
    package func verified(_ first: SlotIndex) {
        precondition(runs[first.int].state == .handed)
        runs[first.int].state = .verified
        index(first.int)
    }

    /// The write failed: the run is a whole piece again, served to nobody.
    package func unverify(_ first: SlotIndex) {
        guard runs[first.int].state == .verified else { return }
        runs[first.int].state = .handed
        unindex(first.int)
    }

    /// Written: from now on the run is a cache entry.
    package func written(_ first: SlotIndex) {
        let i = first.int
        if runs[i].state == .handed { verified(first) }
        precondition(runs[i].state == .verified)
        runs[i].state = .clean
        if runs[i].pins == 0 { pushNewest(i) }
    }

    package func readDone(_ first: SlotIndex, ok: Bool) {
        let i = first.int
        precondition(runs[i].state == .reading)
        if ok {
            runs[i].state = .clean
            runs[i].wasServed = true
            if runs[i].pins == 0 { pushNewest(i) }
        } else {
            unindex(i)
            release(i)
        }
    }

    /// A pinned run is neither evicted nor released: its memory is being sent.
    package func pin(_ first: SlotIndex) {
        let i = first.int
        precondition(runs[i].state == .verified || runs[i].state == .clean)
        if runs[i].pins == 0, runs[i].state == .clean { unlink(i) }
        runs[i].pins += 1
        runs[i].wasServed = true
    }

    package func unpin(_ first: SlotIndex) {
        let i = first.int
        precondition(runs[i].pins > 0)
        runs[i].pins -= 1
        guard runs[i].pins == 0, runs[i].state == .clean else { return }
        pushNewest(i)
        if !isIndexed(i) { evict(i) }
    }

    // MARK: Finding blocks

    package func find(torrent: TorrentID, piece: PieceIndex, block: UInt32) -> Lookup {
        guard let found = chunks[key(torrent, piece, block)] else { return .miss }
        let run = runs[Int(found)]
        if run.state == .reading { return .loading(run: SlotIndex(Int(found))) }
        return .hit(run: SlotIndex(Int(found)), slot: SlotIndex(Int(found) + Int(block - run.firstBlock)))
    }

    /// The blocks of one read-ahead around `block`: first block and number of slots, cut at the end of the piece.
    package func chunkRange(block: UInt32, pieceBlocks: Int) -> (firstBlock: UInt32, slots: Int) {
        let first = block & ~UInt32(chunkSlots - 1)
        return (first, min(chunkSlots, pieceBlocks - Int(first)))
    }

    /// Nothing of the piece is served from the cache any more (it was found bad, or the torrent went).
    package func forget(torrent: TorrentID, piece: PieceIndex, pieceBlocks: Int) {
        var block: UInt32 = 0
        while block < UInt32(pieceBlocks) {
            if let i = chunks.removeValue(forKey: key(torrent, piece, block)).map(Int.init) {
                // A reading run stays until its answer comes; a pinned one until its last byte was sent.
                if runs[i].state == .clean, runs[i].pins == 0, !isIndexed(i) { evict(i) }
            }
            block += UInt32(chunkSlots)
        }
    }

    /// Forgets every cached run of a torrent.
    package func forget(torrent: TorrentID) {
        for i in runs.indices where runs[i].torrent == torrent && runs[i].slots > 0 {
            switch runs[i].state {
            case .clean, .reading, .verified:
                unindex(i)
                if runs[i].state == .clean, runs[i].pins == 0 { evict(i) }
            case .free, .filling, .handed: break
            }
        }
    }

    private func key(_ torrent: TorrentID, _ piece: PieceIndex, _ block: UInt32) -> ChunkKey {
        ChunkKey(torrent: torrent.rawValue, pieceAndChunk: UInt64(piece.rawValue) << 32 | UInt64(block / UInt32(chunkSlots)))
    }
    private func forEachKey(_ i: Int, _ body: (ChunkKey) -> Void) {
        let run = runs[i]
        var block = run.firstBlock
        while block < run.firstBlock + run.slots {
            body(key(run.torrent, run.piece, block))
            block += UInt32(chunkSlots)
        }
    }
    private func index(_ i: Int) { forEachKey(i) { chunks[$0] = Int32(i) } }
    private func unindex(_ i: Int) { forEachKey(i) { if chunks[$0] == Int32(i) { chunks[$0] = nil } } }
    private func isIndexed(_ i: Int) -> Bool {
        var found = false
        forEachKey(i) { if chunks[$0] == Int32(i) { found = true } }
        return found
    }

    // MARK: Eviction

    /// False when nothing can go. The unserved leave first: a download's own pieces that no peer asked for.
    private func evictOldest(onlyUnserved: Bool) -> Bool {
        guard oldest >= 0, !onlyUnserved || !runs[Int(oldest)].wasServed else { return false }
        evict(Int(oldest))
        return true
    }
    private func evict(_ i: Int) {
        unlink(i)
        unindex(i)
        release(i)
    }
    private func release(_ i: Int) {
        let slots = Int(runs[i].slots)
        allocator.give(i, count: slots)
        usedSlots -= slots
        runs[i] = Run()
    }

    private func pushNewest(_ i: Int) {
        runs[i].older = newest
        runs[i].newer = -1
        if newest >= 0 { runs[Int(newest)].newer = Int32(i) } else { oldest = Int32(i) }
        newest = Int32(i)
        cleanSlots += Int(runs[i].slots)
    }
    private func unlink(_ i: Int) {
        let (newer, older) = (runs[i].newer, runs[i].older)
        if newer >= 0 { runs[Int(newer)].older = older } else { newest = older }
        if older >= 0 { runs[Int(older)].newer = newer } else { oldest = newer }
        (runs[i].newer, runs[i].older) = (-1, -1)
        cleanSlots -= Int(runs[i].slots)
    }

    /// For tests and simulation: the invariants above, counted afresh.
    package func checkInvariants() {
        var used = 0, clean = 0
        var owner = [Bool](repeating: false, count: slotCount)
        for i in runs.indices where runs[i].state != .free {
            used += Int(runs[i].slots)
            if runs[i].state == .clean, runs[i].pins == 0 { clean += Int(runs[i].slots) }
            for s in i..<i + Int(runs[i].slots) {
                precondition(!owner[s], "slot \(s) has two owners")
                owner[s] = true
            }
        }
        precondition(used == usedSlots, "used")
        precondition(clean == cleanSlots, "clean \(clean) \(cleanSlots)")
        precondition(allocator.freeSlots == slotCount - used, "allocator")
        for (_, i) in chunks {
            let state = runs[Int(i)].state
            precondition(state == .verified || state == .clean || state == .reading)
        }
    }
}
