import BlockArena
import Glibc
import LinuxIO
import Observe
import Pieces
import Primitives

/// The shards' arenas, and which of their parts are registered with the ring.
///
/// Registered by segments of 16 MiB when first used: pinning a whole arena takes time and counts against
/// RLIMIT_MEMLOCK though a small daemon never touches most of it.
package final class ArenaTable {
    private static let segment = 16 << 20
    /// 16 GiB of arenas; what lies beyond is used unregistered.
    private static let slots = 1024

    private struct Entry {
        var arena: BlockArena
        var device: UInt64, inode: UInt64
        var firstSlot: Int
        /// Per segment: 0 not tried, 1 registered, 2 refused.
        var segments: [UInt8]
    }
    private var entries: [UInt16: Entry] = [:]
    /// Replaced arenas: operations may still be in flight on them.
    private var retired: [BlockArena] = []
    private let loop: Loop
    private let log: Log
    private var usedSlots = 0
    private var mayRegister = false
    package private(set) var isRegistered = false

    init(loop: Loop, log: Log) {
        self.log = log
        self.loop = loop
        mayRegister = loop.registerBuffers(slots: Self.slots)
    }

    /// Takes `fd` over. The same memory given again changes nothing.
    package func give(shard: UInt16, slotCount: Int, fd: Int32, byteCount: Int) throws(BlockArena.MapError) {
        defer { Descriptor.close(fd) }
        let status = try? Files.status(fd)
        if let status, let old = entries[shard], old.device == status.device, old.inode == status.inode { return }
        let arena = try BlockArena(fd: fd, slotCount: slotCount, byteCount: byteCount)
        if let old = entries[shard] { retired.append(old.arena) }
        let count = (arena.payload.count + Self.segment - 1) / Self.segment
        var first = -1
        if usedSlots + count <= Self.slots {
            first = usedSlots
            usedSlots += count
        }
        entries[shard] = Entry(
            arena: arena, device: status?.device ?? 0, inode: status?.inode ?? 0, firstSlot: first,
            segments: [UInt8](repeating: 0, count: count))
    }

    /// nil: no such shard, or a run that is not inside its arena.
    func memory(_ run: RunID, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        entries[run.shard]?.arena.run(run.first, byteCount: byteCount)
    }

    /// Index of the registered buffer that holds the run, or -1.
    func buffer(_ run: RunID, byteCount: Int) -> Int32 {
        guard mayRegister, let entry = entries[run.shard], entry.firstSlot >= 0 else { return -1 }
        let offset = run.first.int * ArenaLayout.slotSize, index = offset / Self.segment
        guard (offset + byteCount - 1) / Self.segment == index else { return -1 }
        switch entry.segments[index] {
        case 1: return Int32(entry.firstSlot + index)
        case 2: return -1
        default: break
        }
        let payload = entry.arena.payload, start = index * Self.segment
        if let error = loop.setBuffer(entry.firstSlot + index, payload.baseAddress! + start, min(Self.segment, payload.count - start)) {
            entries[run.shard]!.segments[index] = 2
            mayRegister = false
            log.info("the arenas are not registered with io_uring (\(error)): raise LimitMEMLOCK")
            return -1
        }
        entries[run.shard]!.segments[index] = 1
        isRegistered = true
        return Int32(entry.firstSlot + index)
    }
}
