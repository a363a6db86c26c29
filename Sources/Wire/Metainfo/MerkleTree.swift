import CHash
import Primitives

/// BEP 52 hash trees. Leaves are the SHA-256 of a file's 16 KiB blocks; the tree is filled up to a power of two with
/// zero hashes; a piece's hash is the node over its blocks.
package struct MerkleTree {
    /// Root of a full piece of zero leaves: what stands for pieces behind the end of the file.
    private let padPiece: SHA256Digest
    private var scratch: [UInt8] = []

    /// `pieceLength`: a power of two of at least 16 KiB.
    package init(pieceLength: UInt64) {
        precondition(pieceLength >= 16384 && pieceLength.nonzeroBitCount == 1)
        var pad = SHA256Digest()
        var width: UInt64 = 16384
        while width < pieceLength {
            pad = Self.parent(pad, pad)
            width *= 2
        }
        padPiece = pad
    }

    /// The root over a file's piece hashes (32 bytes each, more than one piece).
    package mutating func root(ofPieceLayer layer: UnsafeRawBufferPointer) -> SHA256Digest {
        reduce(layer, pad: padPiece)
    }

    /// The root over block hashes, of a whole file that has at most one piece, or of one full piece of a larger file.
    /// `leaves` counts the tree's leaves: a power of two not below the number of hashes given; missing ones are zero.
    package mutating func root(ofBlocks blocks: UnsafeRawBufferPointer, leaves: Int) -> SHA256Digest {
        precondition(leaves.nonzeroBitCount == 1 && blocks.count / 32 <= leaves && !blocks.isEmpty)
        var root = reduce(blocks, pad: SHA256Digest())
        var width = 1
        while width < blocks.count / 32 { width *= 2 }
        var pad = SHA256Digest()
        var w = 1
        while w < width {
            pad = Self.parent(pad, pad)
            w *= 2
        }
        while width < leaves {
            root = Self.parent(root, pad)
            pad = Self.parent(pad, pad)
            width *= 2
        }
        return root
    }

    /// Level by level in one buffer; an odd end is completed by `pad`, which climbs along.
    private mutating func reduce(_ layer: UnsafeRawBufferPointer, pad first: SHA256Digest) -> SHA256Digest {
        precondition(layer.count % 32 == 0 && !layer.isEmpty)
        var pad = first
        scratch.removeAll(keepingCapacity: true)
        scratch.append(contentsOf: layer)
        scratch.append(contentsOf: repeatElement(0, count: 32))
        var count = layer.count / 32
        return scratch.withUnsafeMutableBytes { buffer in
            while count > 1 {
                if count % 2 == 1 {
                    pad.copyBytes(to: buffer.baseAddress! + 32 * count)
                    count += 1
                }
                let base = buffer.bindMemory(to: UInt8.self).baseAddress!
                for i in 0..<count / 2 { ccbt_sha256(base + 64 * i, 64, base + 32 * i) }
                count /= 2
                pad = Self.parent(pad, pad)
            }
            return SHA256Digest(bytes: UnsafeRawBufferPointer(rebasing: buffer[0..<32]))
        }
    }

    private static func parent(_ left: SHA256Digest, _ right: SHA256Digest) -> SHA256Digest {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { both in
            left.copyBytes(to: both.baseAddress!)
            right.copyBytes(to: both.baseAddress! + 32)
            return sha256(UnsafeRawBufferPointer(both))
        }
    }
}
