import Glibc
import Primitives
import Testing

@testable import BlockArena

/// Aim: what one side writes into the table is what the other reads, and a damaged table is not believed.
@Suite struct ArenaTests {
    private func memory(_ bytes: Int) -> Int32 {
        var name = Array("/tmp/ccbt-arena-XXXXXX".utf8CString)
        let fd = mkstemp(&name)
        unlink(name)
        ftruncate(fd, bytes)
        return fd
    }

    @Test func aSecondMappingSeesEntriesBitsAndPayload() throws {
        let layout = ArenaLayout(slotCount: 100), fd = memory(layout.byteCount)
        defer { close(fd) }
        let shard = try BlockArena(fd: fd, slotCount: 100, byteCount: layout.byteCount)
        shard.openEntry(SlotIndex(64), owner: Generation(3), torrent: TorrentID(7), piece: PieceIndex(9), slotCount: 5, length: 70_000)
        shard.slot(SlotIndex(65)).storeBytes(of: 0xAB, as: UInt8.self)
        shard.setReceived(SlotIndex(65))
        let disk = try BlockArena(fd: fd, slotCount: 100, byteCount: layout.byteCount)
        #expect(disk.entries().count == 1 && disk.entries()[0].first == SlotIndex(64))
        #expect(disk.entries()[0].entry == .init(state: .filling, owner: Generation(3), torrent: TorrentID(7), piece: PieceIndex(9), slotCount: 5, length: 70_000))
        #expect(disk.isReceived(SlotIndex(65)) && !disk.isReceived(SlotIndex(64)) && !disk.isReceived(SlotIndex(66)))
        #expect(disk.slot(SlotIndex(65)).load(as: UInt8.self) == 0xAB)
        shard.setState(SlotIndex(64), .handed)
        #expect(disk.entries()[0].entry.state == .handed)
        shard.openEntry(SlotIndex(64), owner: Generation(4), torrent: TorrentID(7), piece: PieceIndex(1), slotCount: 5, length: 70_000)
        #expect(!disk.isReceived(SlotIndex(65)))
    }

    @Test func runsOutsideTheArenaAreRefused() throws {
        let layout = ArenaLayout(slotCount: 4), fd = memory(layout.byteCount)
        defer { close(fd) }
        let arena = try BlockArena(fd: fd, slotCount: 4, byteCount: layout.byteCount)
        #expect(arena.run(SlotIndex(3), byteCount: 16384) != nil && arena.run(SlotIndex(3), byteCount: 16385) == nil)
        #expect(arena.run(SlotIndex(4), byteCount: 1) == nil && arena.run(SlotIndex(rawValue: .max), byteCount: 1) == nil)
        #expect(throws: BlockArena.MapError.self) { try BlockArena(fd: fd, slotCount: 5, byteCount: layout.byteCount) }
        #expect(throws: BlockArena.MapError.self) { try BlockArena(fd: fd, slotCount: 3, byteCount: layout.byteCount) }
    }

    @Test func garbageInTheTableIsLeftOut() throws {
        let layout = ArenaLayout(slotCount: 8), fd = memory(layout.byteCount)
        defer { close(fd) }
        let arena = try BlockArena(fd: fd, slotCount: 8, byteCount: layout.byteCount)
        var random = SeededRandom(seed: 1)
        for _ in 0..<200 {
            let words = (0..<8 * 8).map { _ in UInt32(truncatingIfNeeded: random.next()) & (random.chance(0.5) ? 0xF : .max) }
            _ = words.withUnsafeBytes { pwrite(fd, $0.baseAddress!, $0.count, off_t(layout.tableOffset)) }
            for (first, e) in arena.entries() {
                #expect(first.int + e.slotCount <= 8 && Int(e.length) <= e.slotCount * ArenaLayout.slotSize)
            }
        }
    }
}
