import CHash
import Primitives
import Testing

@testable import PeerWorker

/// Aim: of a bad piece exactly the blocks that are wrong are named, also behind the end of a file.
/// Method: each length of the file around the ends of blocks; each block damaged in its first and last byte.
@Suite struct GoodBlocksTests {
    @Test(arguments: [1, 16383, 16384, 16385, 32768, 40_000, 65_535, 65_536])
    func eachDamagedBlockIsNamed(fileBytes: Int) {
        for length in [fileBytes, 65_536] where length >= fileBytes {
            var random = SeededRandom(seed: UInt64(fileBytes))
            var piece = (0..<length).map { $0 < fileBytes ? UInt8(random.below(256)) : 0 }
            let leaves = (fileBytes + 16383) / 16384, blocks = (length + 16383) / 16384
            var hashes = [UInt8](repeating: 0, count: 32 * leaves)
            #expect(piece.withUnsafeBufferPointer { ccbt_merkle_leaves($0.baseAddress!, fileBytes, &hashes) } == leaves)
            func good() -> Bitfield { piece.withUnsafeBytes { goodBlocks($0, fileBytes: fileBytes, hashes) } }
            #expect(good() == Bitfield(full: blocks))
            for block in 0..<blocks {
                for at in [block * 16384, min((block + 1) * 16384, length) - 1] {
                    piece[at] ^= 0x80
                    var wanted = Bitfield(full: blocks)
                    wanted.remove(block)
                    #expect(good() == wanted, "byte \(at) of \(length), \(fileBytes) of them the file's")
                    piece[at] ^= 0x80
                }
            }
        }
    }
}
