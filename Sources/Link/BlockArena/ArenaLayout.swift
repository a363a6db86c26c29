import Primitives

/// Where things stand in an arena: protocol/shared-memory.md has the same table. All offsets in bytes.
package struct ArenaLayout: Equatable, Sendable {
    /// One BEP 3 block.
    package static let slotSize = 16384
    package static let entrySize = 32
    package static let headerSize = 4096
    /// "ccbtAren" read as a little-endian number.
    package static let magic: UInt64 = 0x6e65_7241_7462_6363
    package static let version: UInt32 = 1

    package let slotCount: Int
    package init(slotCount: Int) {
        precondition(slotCount > 0 && slotCount <= 1 << 22, "an arena has 1 to 4,194,304 slots (64 GiB)")
        self.slotCount = slotCount
    }
    /// The number of slots that `mebibytes` of payload make.
    package init(mebibytes: Int) { self.init(slotCount: (mebibytes << 20) / Self.slotSize) }

    package var tableOffset: Int { Self.headerSize }
    package var bitmapOffset: Int { tableOffset + slotCount * Self.entrySize }
    private var bitmapSize: Int { (slotCount + 63) / 64 * 8 }
    /// A multiple of 2 MiB, so that huge pages can back the slots.
    package var slotsOffset: Int { (bitmapOffset + bitmapSize + (2 << 20) - 1) & ~((2 << 20) - 1) }
    package var byteCount: Int { slotsOffset + slotCount * Self.slotSize }
}
