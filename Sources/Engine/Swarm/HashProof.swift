import PeerWire
import Primitives

/// What BEP 52's hashes prove: a run in one layer of a file's tree and the uncles on its way up lead to the root.
enum HashProof {
    typealias Hash = @Sendable (UnsafeRawBufferPointer) -> SHA256Digest

    /// Layers above the leaves of a tree over `blocks` blocks.
    static func height(blocks: UInt64) -> UInt32 { blocks <= 1 ? 0 : UInt32(64 - (blocks - 1).leadingZeroBitCount) }

    /// `hashes`: the run and its uncles, as many as `request` says. True when they lead to `root` in a tree of `height` layers.
    static func leads(_ hashes: UnsafeRawBufferPointer, _ request: HashRequest, height: UInt32, hash: Hash) -> Bool {
        let count = Int(request.length)
        // The proof must reach the root: its children are the last uncles.
        guard request.baseLayer + request.runLayers + UInt32(request.uncleCount) == height,
            hashes.count == 32 * (count + request.uncleCount)
        else { return false }
        return withUnsafeTemporaryAllocation(byteCount: 32 * max(count, 2), alignment: 8) { nodes in
            nodes.copyMemory(from: UnsafeRawBufferPointer(rebasing: hashes[..<(32 * count)]))
            var left = count
            while left > 1 {
                for i in 0..<left / 2 {
                    hash(UnsafeRawBufferPointer(rebasing: nodes[64 * i..<64 * i + 64])).copyBytes(to: nodes.baseAddress! + 32 * i)
                }
                left /= 2
            }
            var place = request.index >> request.runLayers
            for u in 0..<request.uncleCount {
                let uncle = UnsafeRawBufferPointer(rebasing: hashes[32 * (count + u)..<32 * (count + u) + 32])
                let node = SHA256Digest(bytes: UnsafeRawBufferPointer(rebasing: nodes[..<32]))
                node.copyBytes(to: nodes.baseAddress! + (place & 1 == 0 ? 0 : 32))
                UnsafeMutableRawBufferPointer(rebasing: nodes[(place & 1 == 0 ? 32 : 0)...]).copyMemory(from: uncle)
                hash(UnsafeRawBufferPointer(rebasing: nodes[..<64])).copyBytes(to: nodes.baseAddress!)
                place >>= 1
            }
            return SHA256Digest(bytes: UnsafeRawBufferPointer(rebasing: nodes[..<32])) == request.root
        }
    }
}
