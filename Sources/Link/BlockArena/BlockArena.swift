import Glibc
import Primitives
import Synchronization

/// One peer shard's shared memory, mapped by the shard and by the disk workers.
///
/// Payload crosses between the processes only here, and by hand-over: a StorePiece or ReadPiece frame gives a run of
/// slots to the disk worker, its answer gives the run back. The head is the journal of that: an entry for each piece
/// buffer, and a bit for each block that is wholly in its slot. Either side may die at any instruction; what the table
/// says is true then, since a bit is set (release) after the payload and an entry's state after its fields.
package final class BlockArena: @unchecked Sendable {
    package enum MapError: Error, CustomStringConvertible {
        case tooSmall(bytes: Int, needed: Int)
        case mapFailed(errno: Int32)
        case notAnArena
        package var description: String {
            switch self {
            case .tooSmall(let bytes, let needed): "arena of \(bytes) bytes, \(needed) needed"
            case .mapFailed(let code): "mmap of the arena: \(String(cString: strerror(code)))"
            case .notAnArena: "the arena's header is not of this version"
            }
        }
    }

    /// An entry of the block table. States beyond these two are not journalled: cached blocks can be read again.
    package enum EntryState: UInt32, Sendable {
        case free = 0
        /// The shard is receiving into the run.
        case filling = 1
        /// Handed to the disk worker; whole.
        case handed = 2
    }
    package struct Entry: Equatable, Sendable {
        package let state: EntryState
        package let owner: Generation
        package let torrent: TorrentID
        package let piece: PieceIndex
        package let slotCount: Int
        package let length: UInt32
    }

    package let layout: ArenaLayout
    private let base: UnsafeMutableRawPointer
    private let slots: UnsafeMutableRawPointer

    /// Maps `fd` (which stays the caller's). The first to map a fresh arena writes its header.
    package init(fd: Int32, slotCount: Int, byteCount: Int) throws(MapError) {
        layout = ArenaLayout(slotCount: slotCount)
        guard byteCount >= layout.byteCount else { throw .tooSmall(bytes: byteCount, needed: layout.byteCount) }
        guard let p = mmap(nil, layout.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), p != MAP_FAILED else {
            throw .mapFailed(errno: errno)
        }
        base = p
        slots = p + layout.slotsOffset
        // Fewer, larger pages where the kernel gives them to shared memory; refused elsewhere without harm.
        madvise(slots, slotCount * ArenaLayout.slotSize, 14)
        let magic = base.load(as: UInt64.self)
        if magic == 0 {
            base.storeBytes(of: UInt32(slotCount), toByteOffset: 12, as: UInt32.self)
            base.storeBytes(of: ArenaLayout.version, toByteOffset: 8, as: UInt32.self)
            base.storeBytes(of: ArenaLayout.magic, as: UInt64.self)
        } else if magic != ArenaLayout.magic || base.load(fromByteOffset: 8, as: UInt32.self) != ArenaLayout.version
            || base.load(fromByteOffset: 12, as: UInt32.self) != UInt32(slotCount)
        {
            munmap(p, layout.byteCount)
            throw .notAnArena
        }
    }

    deinit { munmap(base, layout.byteCount) }

    // MARK: Payload

    package func slot(_ i: SlotIndex) -> UnsafeMutableRawPointer {
        precondition(i.int < layout.slotCount)
        return slots + i.int * ArenaLayout.slotSize
    }
    /// The memory of a run; checked to lie inside the arena, since the numbers may come from another process.
    package func run(_ first: SlotIndex, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        guard byteCount >= 0, first.int < layout.slotCount, byteCount <= (layout.slotCount - first.int) * ArenaLayout.slotSize else { return nil }
        return UnsafeMutableRawBufferPointer(start: slots + first.int * ArenaLayout.slotSize, count: byteCount)
    }
    /// All slots, for registration with a ring.
    package var payload: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: slots, count: layout.slotCount * ArenaLayout.slotSize)
    }

    // MARK: Block table

    private func field(_ first: SlotIndex, _ offset: Int) -> UnsafeMutableRawPointer {
        precondition(first.int < layout.slotCount)
        return base + layout.tableOffset + first.int * ArenaLayout.entrySize + offset
    }
    private func stateWord(_ first: SlotIndex) -> UnsafeMutablePointer<Atomic<UInt32>> {
        field(first, 0).assumingMemoryBound(to: Atomic<UInt32>.self)
    }
    private func bitWord(_ i: SlotIndex) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (base + layout.bitmapOffset + i.int / 64 * 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Writes the entry of a run that is about to be filled; its blocks count as not received.
    package func openEntry(_ first: SlotIndex, owner: Generation, torrent: TorrentID, piece: PieceIndex, slotCount: Int, length: UInt32) {
        precondition(first.int + slotCount <= layout.slotCount)
        stateWord(first).pointee.store(EntryState.free.rawValue, ordering: .releasing)
        for i in 0..<slotCount { setReceived(SlotIndex(first.int + i), false) }
        field(first, 4).storeBytes(of: owner.rawValue, as: UInt32.self)
        field(first, 8).storeBytes(of: torrent.rawValue, as: UInt32.self)
        field(first, 12).storeBytes(of: piece.rawValue, as: UInt32.self)
        field(first, 16).storeBytes(of: UInt32(slotCount), as: UInt32.self)
        field(first, 20).storeBytes(of: length, as: UInt32.self)
        stateWord(first).pointee.store(EntryState.filling.rawValue, ordering: .releasing)
    }
    /// Writes the entry of a run whose blocks are all there.
    package func keepEntry(_ first: SlotIndex, owner: Generation, torrent: TorrentID, piece: PieceIndex, slotCount: Int, length: UInt32) {
        openEntry(first, owner: owner, torrent: torrent, piece: piece, slotCount: slotCount, length: length)
        for i in 0..<slotCount { setReceived(SlotIndex(first.int + i)) }
    }
    package func setState(_ first: SlotIndex, _ state: EntryState) {
        stateWord(first).pointee.store(state.rawValue, ordering: .releasing)
    }

    /// Marks one block as wholly in its slot (or not). The payload must be there before.
    package func setReceived(_ i: SlotIndex, _ received: Bool = true) {
        let bit: UInt64 = 1 << UInt64(i.int % 64)
        if received {
            bitWord(i).pointee.bitwiseOr(bit, ordering: .releasing)
        } else {
            bitWord(i).pointee.bitwiseAnd(~bit, ordering: .releasing)
        }
    }
    package func isReceived(_ i: SlotIndex) -> Bool {
        bitWord(i).pointee.load(ordering: .acquiring) >> UInt64(i.int % 64) & 1 != 0
    }

    /// The entries that are not free, by rising slot; damaged ones (out of range) are left out.
    package func entries() -> [(first: SlotIndex, entry: Entry)] {
        var out: [(first: SlotIndex, entry: Entry)] = []
        for i in 0..<layout.slotCount {
            let first = SlotIndex(i)
            guard let state = EntryState(rawValue: stateWord(first).pointee.load(ordering: .acquiring)), state != .free else { continue }
            let slotCount = Int(field(first, 16).load(as: UInt32.self)), length = field(first, 20).load(as: UInt32.self)
            guard slotCount > 0, i + slotCount <= layout.slotCount, length > 0, Int(length) <= slotCount * ArenaLayout.slotSize else { continue }
            out.append(
                (
                    first,
                    Entry(
                        state: state, owner: Generation(rawValue: field(first, 4).load(as: UInt32.self)),
                        torrent: TorrentID(rawValue: field(first, 8).load(as: UInt32.self)),
                        piece: PieceIndex(rawValue: field(first, 12).load(as: UInt32.self)), slotCount: slotCount, length: length)
                ))
        }
        return out
    }
}
