import Primitives

enum BlockState: UInt8 {
    /// Nobody was asked.
    case missing
    /// One peer was asked, and may receive into the slot.
    case asked
    /// More than one peer was asked (endgame): whichever arrives whole first is copied into the slot.
    case shared
    case received
}

/// Who sent a block of a piece.
struct Contributor {
    let peer: PeerHandle
    let address: AddressKey
}

/// A piece that has a run of slots.
///
///     filling ─last block→ complete ─disk ready→ handed ─verified, written→ (freed)
///        │                                          └──bad hash──→ (freed, picked again)
///        ▲                                          bad hash, v2──→ suspect ─bad blocks known→ filling
///        └─given up→ dying ─last pin gone→ (freed)     handed ─disk's fault→ parked ─disk ready→ handed
struct OpenPiece {
    enum Stage: UInt8 { case free, filling, complete, handed, parked, suspect, dying }

    var stage = Stage.free
    /// The hash was right at least once: HAVE went out.
    var isVerified = false
    /// Only its owner may supply blocks: that peer is on parole, and this piece will prove or clear it.
    var isSolo = false
    /// Blocks came from a former shard: nobody is blamed alone.
    var isAdopted = false
    /// Of files that are skipped since: nobody is asked for it any more.
    var isUnwanted = false
    var generation: UInt32 = 0
    var torrent: Int32 = -1
    var piece = PieceIndex(rawValue: 0)
    var firstSlot = SlotIndex(rawValue: 0)
    var length: UInt32 = 0
    var blockCount: UInt32 = 0
    var received: UInt32 = 0
    /// Blocks in state `missing`.
    var unasked: UInt32 = 0
    /// No block below it is missing.
    var cursor: UInt32 = 0
    /// Receives in flight that may write into the run.
    var pins: UInt32 = 0
    var owner = PeerHandle(index: .max, generation: 0)
    var lastAskedAt = Instant.zero
    var next: Int32 = -1
    var previous: Int32 = -1

    var contributorCount = 0
    private(set) var blocks: UnsafeMutablePointer<Block>! = nil
    private var blockCapacity = 0
    private(set) var contributors: UnsafeMutablePointer<Contributor>! = nil

    struct Block {
        var state = BlockState.missing
        var askers: UInt8 = 0
        /// Place of its sender among the contributors; ``unknownSender``: none.
        var sender = OpenPiece.unknownSender
    }

    static var unknownSender: UInt8 { .max }
    /// A piece of 16 peers is shared enough; it bounds the row.
    static var maxContributors: Int { 16 }

    /// Memory is kept when the row is used again.
    mutating func open(torrent: Int32, piece: PieceIndex, firstSlot: SlotIndex, length: UInt32, blockCount: Int) {
        if blockCapacity < blockCount {
            blocks?.deallocate()
            blocks = .allocate(capacity: blockCount)
            blockCapacity = blockCount
        }
        if contributors == nil { contributors = .allocate(capacity: Self.maxContributors) }
        blocks.initialize(repeating: Block(), count: blockCount)
        generation &+= 1
        (stage, isVerified, isSolo, isAdopted, isUnwanted) = (.filling, false, false, false, false)
        (self.torrent, self.piece, self.firstSlot, self.length) = (torrent, piece, firstSlot, length)
        self.blockCount = UInt32(blockCount)
        unasked = UInt32(blockCount)
        (received, cursor, pins, contributorCount) = (0, 0, 0, 0)
        owner = PeerHandle(index: .max, generation: 0)
        (next, previous) = (-1, -1)
    }

    mutating func freeMemory() {
        blocks?.deallocate()
        contributors?.deallocate()
        (blocks, contributors, blockCapacity) = (nil, nil, 0)
    }

    @inline(__always) func blockLength(_ block: UInt32) -> UInt32 {
        min(PieceGeometry.blockLength, length - block * PieceGeometry.blockLength)
    }
    @inline(__always) func slot(_ block: UInt32) -> SlotIndex { SlotIndex(rawValue: firstSlot.rawValue + block) }

    /// The lowest block that nobody was asked for.
    mutating func firstMissing() -> UInt32? {
        guard unasked > 0 else { return nil }
        while blocks[Int(cursor)].state != .missing { cursor += 1 }
        return cursor
    }

    func hasContributor(_ peer: PeerHandle) -> Bool {
        for i in 0..<contributorCount where contributors[i].peer == peer { return true }
        return false
    }
    /// Whether the peer may supply blocks.
    func admits(_ peer: PeerHandle) -> Bool {
        if isUnwanted { return false }
        if isSolo { return owner == peer }
        return contributorCount < Self.maxContributors || hasContributor(peer)
    }
    /// `block` came from `peer`.
    mutating func addContributor(_ peer: PeerHandle, _ address: AddressKey, block: Int) {
        var at = contributorCount - 1
        while at >= 0, contributors[at].peer != peer { at -= 1 }
        if at < 0 {
            guard contributorCount < Self.maxContributors else {
                isAdopted = true
                return
            }
            (contributors + contributorCount).initialize(to: Contributor(peer: peer, address: address))
            at = contributorCount
            contributorCount += 1
        }
        blocks[block].sender = UInt8(at)
    }
    func sender(of block: UInt32) -> AddressKey? {
        let at = blocks[Int(block)].sender
        return at == Self.unknownSender ? nil : contributors[Int(at)].address
    }
}
