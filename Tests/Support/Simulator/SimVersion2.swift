import Catalog
import PeerWire
import Pieces
import Primitives
import Swarm

/// What a seed makes of BEP 52: files that begin pieces, swarms whose nodes know a torrent by one hash or by both, and block
/// hashes for pieces that were corrupt.
package enum SimTorrentKind: Sendable, CaseIterable { case v1, v2, hybrid }

/// Which of a hybrid's names a node was given.
enum SimNames { case both, first, second }

extension SimScenario {
    /// Of one file; or of some, each at the start of a piece, with gaps (v2) or pad files (hybrid) between them.
    func makeLayout() -> FileLayout {
        guard kind != .v1 else { return FileLayout(files: [LayoutFile(path: "file", length: totalLength)], pieceLength: pieceLength)! }
        var random = SeededRandom(seed: seed ^ 0xF11E), files: [LayoutFile] = [], left = totalLength
        while left > 0 {
            let length = files.count >= 8 ? left : min(left, UInt64(1 + random.below(Int(totalLength / 2))))
            files.append(LayoutFile(path: "f\(files.count)", length: length))
            left -= length
            let gap = UInt64(pieceLength) - length % UInt64(pieceLength)
            if left > 0, gap < UInt64(pieceLength) { files.append(LayoutFile(path: "", length: gap, isPad: true)) }
        }
        return FileLayout(files: files, pieceLength: pieceLength, hasVirtualPads: kind == .v2)!
    }
}

extension SimWorld {
    static let firstHash = InfoHash([UInt8](repeating: 9, count: 20))!
    static let secondHash = SHA256Digest([UInt8](repeating: 0x52, count: 32))!

    /// Two nodes have both names whatever happens to the others: the halves meet in them.
    func names(_ n: Int) -> SimNames { scenario.kind != .hybrid || n < 2 ? .both : [.first, .second, .both][n % 3] }

    func facts(_ n: Int) -> TorrentFacts {
        let isSecond = scenario.kind == .v2 || names(n) == .second
        return TorrentFacts(
            infoHash: isSecond ? Self.secondHash.truncated : Self.firstHash,
            infoHashV2: scenario.kind == .v1 || names(n) == .first ? SHA256Digest() : Self.secondHash, hasV1: !isSecond, name: "file", rootName: "file",
            totalLength: payloadLength, pieceLength: scenario.pieceLength, pieceCount: UInt32(geometry.pieceCount), fileCount: 1, metadataLength: 100,
            trackers: [["http://10.9.9.9/announce"]])
    }
    /// What a shard is told before its disk worker has seen the files: whole pieces.
    var announcedGeometry: PieceGeometry {
        guard scenario.kind == .v2 else { return geometry }
        return PieceGeometry(totalLength: UInt64(geometry.pieceCount) * UInt64(geometry.pieceLength), pieceLength: geometry.pieceLength)!
    }
    /// What one copy costs on the wire.
    var payloadLength: UInt64 { geometry.byteCount(of: Bitfield(full: geometry.pieceCount)) }
    /// Under which hash the tracker named the others: of two that a node asks for, either.
    func foundUnderVersion2(_ n: Int) -> Bool {
        switch scenario.kind {
        case .v1: false
        case .v2: true
        case .hybrid: names(n) == .both ? random.chance(0.5) : names(n) == .second
        }
    }

    // MARK: block hashes

    static let digest: @Sendable (UnsafeRawBufferPointer) -> SHA256Digest = { bytes in
        var mix = SeededRandom(seed: bytes.reduce(0x52) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
        return SHA256Digest((0..<32).map { _ in UInt8(truncatingIfNeeded: mix.next()) })!
    }
    private func leaves(_ piece: UInt32) -> [[UInt8]] {
        let bytes = Array(bytes(of: piece))
        var out = stride(from: 0, to: bytes.count, by: 16384).map { at in
            bytes[at..<min(at + 16384, bytes.count)].withUnsafeBytes { Self.digest($0).bytes }
        }
        while out.count & (out.count - 1) != 0 { out.append([UInt8](repeating: 0, count: 32)) }
        return out
    }
    /// Each piece stands for a file of its own here: one tree a piece.
    func proof(_ piece: UInt32) -> BlockProof? {
        guard scenario.kind != .v1 else { return nil }
        var nodes = leaves(piece)
        let width = nodes.count
        while nodes.count > 1 { nodes = (0..<nodes.count / 2).map { i in (nodes[2 * i] + nodes[2 * i + 1]).withUnsafeBytes { Self.digest($0).bytes } } }
        let root = SHA256Digest(nodes[0])!
        return BlockProof(root: root, hash: root, firstBlock: 0, width: UInt32(width), fileBytes: geometry.length(of: PieceIndex(rawValue: piece)))
    }
    func hashes(_ r: HashRequest) -> [UInt8] {
        for piece in 0..<UInt32(geometry.pieceCount) {
            if let p = proof(piece), p.root == r.root, r.index == 0, r.length == p.width { return Array(leaves(piece).joined()) }
        }
        return []
    }
}

extension SimShard {
    func checkBlocks(_ torrent: TorrentID, _ piece: PieceIndex, _ first: SlotIndex, _ length: UInt32, _ hashes: [UInt8]) {
        world.mark(.badBlocksNamed)
        var good = Bitfield(count: hashes.count / 32)
        for block in 0..<good.count {
            let range = arena.range(SlotIndex(first.int + block), min(16384, Int(length) - block * 16384))
            if arena.memory[range].withUnsafeBytes({ SimWorld.digest($0).bytes }) == Array(hashes[32 * block..<32 * block + 32]) { good.insert(block) }
        }
        swarm.blocksChecked(torrent, piece, good: good, now: now, into: &effects)
    }
}
