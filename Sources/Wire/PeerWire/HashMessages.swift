import ByteCodec
import Primitives

/// The numbers that `hash request`, `hashes` and `hash reject` share (BEP 52): a run of hashes in one layer of a file's
/// hash tree, and how many layers above it are to be proven.
///
///     offset size  meaning
///     0      32    pieces root of the file
///     32     4     base layer: layers above the leaves
///     36     4     index of the first hash in that layer, a multiple of length
///     40     4     length: hashes asked for, a power of two, at least 2
///     44     4     proof layers
///     48     32×n  `hashes` only: the run, then one uncle for each proof layer that the run does not cover itself
package struct HashRequest: Hashable, Sendable {
    package static var byteCount: Int { 48 }
    /// "Length SHOULD NOT be greater than 512": more are rejected.
    package static var longestRun: UInt32 { 512 }
    /// A file of 2^63 bytes has 49 layers above its blocks.
    package static var mostProofLayers: UInt32 { 50 }

    package var root: SHA256Digest
    package var baseLayer: UInt32
    package var index: UInt32
    package var length: UInt32
    package var proofLayers: UInt32

    package init(root: SHA256Digest, baseLayer: UInt32, index: UInt32, length: UInt32, proofLayers: UInt32) {
        (self.root, self.baseLayer, self.index, self.length, self.proofLayers) = (root, baseLayer, index, length, proofLayers)
    }

    /// Reads the first 48 bytes; nil when there are fewer.
    package init?(decoding bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.byteCount else { return nil }
        func u32(_ offset: Int) -> UInt32 { UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
        root = SHA256Digest(bytes: UnsafeRawBufferPointer(rebasing: bytes[0..<32]))
        (baseLayer, index, length, proofLayers) = (u32(32), u32(36), u32(40), u32(44))
    }

    /// Within the bounds of BEP 52 and ours.
    package var isWellFormed: Bool {
        length >= 2 && length <= Self.longestRun && length.nonzeroBitCount == 1 && index % length == 0 && baseLayer < Self.mostProofLayers
            && proofLayers <= Self.mostProofLayers
    }
    /// Layers of the tree over the run itself.
    package var runLayers: UInt32 { UInt32(length.trailingZeroBitCount) }
    /// Hashes behind the run in the answer: the first log2(length) - 1 proof layers are omitted.
    package var uncleCount: Int { max(0, Int(proofLayers) - Int(runLayers) + 1) }

    package func encode(into out: inout ByteWriter) {
        out.digest(root)
        out.u32BigEndian(baseLayer)
        out.u32BigEndian(index)
        out.u32BigEndian(length)
        out.u32BigEndian(proofLayers)
    }

    /// A whole message: `id` hashRequest or hashReject without `hashes`, or hashes with them.
    package func message(_ id: UInt8, hashes: [UInt8] = []) -> [UInt8] {
        var out = ByteWriter(capacity: 64 + hashes.count)
        out.u32BigEndian(UInt32(1 + Self.byteCount + hashes.count))
        out.u8(id)
        encode(into: &out)
        out.bytes(hashes)
        return out.array
    }

    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        guard let request = HashRequest(decoding: bytes) else { return precondition(bytes.count < byteCount) }
        let again = request.message(MessageID.hashRequest)
        precondition(again.count == 5 + byteCount && Array(again[5...]) == Array(bytes.prefix(byteCount)))
        if request.isWellFormed { precondition(request.uncleCount <= Int(mostProofLayers)) }
    }
}
