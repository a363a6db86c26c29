import BlockArena
import Foundation
import LinuxIO
import Primitives
import Testing

@testable import DiskWorker
@testable import Pieces

/// v2 and hybrid torrents on real files: pieces that end with their files, both hashes, and what peers ask for.
@Suite(.serialized) struct Version2EngineTests {
    static let files = [("a", 20_000), ("b", 300_001), ("c", 0), ("d", 5), ("e", 32768), ("f", 32769), ("g", 16384), ("h", 98_304)]
    static func fixture(hybrid: Bool, zeros: Bool = false) -> Fixture { .version2(files: files, pieceLength: 32768, hybrid: hybrid, zeros: zeros) }

    @Test(arguments: LoopBackend.allCases, [false, true]) func downloadServeRecheck(_ backend: LoopBackend, hybrid: Bool) throws {
        let h = try Harness(backend), fixture = Self.fixture(hybrid: hybrid)
        h.add(fixture)
        #expect(h.run { h.isReady() })
        #expect(h.storeAll(fixture))
        #expect(h.run { h.durable().isFull })
        #expect(h.filesMatch(fixture))
        #expect(h.report()?.bytesHave == UInt64(hybrid ? fixture.content.count : Self.files.map(\.1).reduce(0, +)))
        for i in 0..<fixture.pieceCount { #expect(h.read(fixture, i) == Array(fixture.piece(i))) }
        h.got = []
        h.engine.handle(.recheck(TorrentID(rawValue: 1)))
        #expect(h.run { h.isReady() })
        #expect(h.have().isFull)
        h.stop()
    }

    @Test(arguments: [false, true]) func aDamagedPieceIsFoundByACheck(hybrid: Bool) throws {
        let h = try Harness(.uring), fixture = Self.fixture(hybrid: hybrid)
        h.add(fixture)
        #expect(h.run { h.isReady() } && h.storeAll(fixture))
        var bytes = contents("\(h.save)/t/b")!
        bytes[100_000] ^= 1
        put(bytes, "\(h.save)/t/b")
        h.got = []
        h.engine.handle(.recheck(TorrentID(rawValue: 1)))
        #expect(h.run { h.isReady() })
        // "a" has one piece; byte 100,000 of "b" lies in its fourth.
        #expect(h.have().setCount == fixture.pieceCount - 1 && !h.have()[4])
        h.stop()
    }

    @Test(arguments: [false, true]) func wrongBytesAreNotWritten(hybrid: Bool) throws {
        let h = try Harness(.uring), fixture = Self.fixture(hybrid: hybrid)
        h.add(fixture)
        #expect(h.run { h.isReady() })
        let request = h.store(fixture, 2, damage: true)
        #expect(h.run { h.got.contains { if case .storeFailed(request, .hashMismatch) = $0 { true } else { false } } })
        #expect(h.have().isEmpty)
        h.stop()
    }

    /// Its v1 half describes other bytes: no peer is to blame, and the user is told.
    @Test func halvesThatDisagreeAreAnErrorOfTheTorrent() throws {
        let h = try Harness(.uring), fixture = Self.fixture(hybrid: true)
        var metainfo = fixture.metainfo
        // The first byte of the third piece's SHA-1.
        let key = Array("6:pieces".utf8)
        let at = metainfo.indices.first { metainfo[$0...].starts(with: key) }!
        let colon = metainfo[(at + key.count)...].firstIndex(of: UInt8(ascii: ":"))!
        metainfo[colon + 1 + 40] ^= 1
        put(metainfo, "\(h.folder)/odd.torrent")
        h.engine.handle(.add(TorrentID(rawValue: 1), TorrentSpec(metainfoPath: "\(h.folder)/odd.torrent", savePath: h.save)))
        #expect(h.run { h.isReady() })
        let request = h.store(fixture, 2)
        #expect(h.run { h.got.contains { if case .storeFailed(request, let why) = $0 { why != .hashMismatch } else { false } } })
        #expect(h.report()?.fault?.kind == .badMetainfo && h.report()?.state == .error)
        h.stop()
    }

    @Test(arguments: [false, true]) func holesCountWhereTheContentIsZeros(hybrid: Bool) throws {
        let h = try Harness(.uring), fixture = Self.fixture(hybrid: hybrid, zeros: true)
        for (i, file) in fixture.files.enumerated() where !file.isPad {
            let path = "\(h.save)/\(fixture.diskPath(i))"
            try FileManager.default.createDirectory(atPath: "\(h.save)/t", withIntermediateDirectories: true)
            put([], path)
            truncate(path, file.length)
        }
        h.add(fixture)
        #expect(h.run { h.isReady() })
        #expect(h.have().isFull && h.engine.bytesRead == 0)
        h.stop()
    }

    private func ask(_ h: Harness, _ root: [UInt8], base: Int, index: Int, length: Int, proofs: Int) -> [UInt8] {
        var answer: [UInt8]?
        h.engine.hashes(
            HashesRequest(
                torrent: TorrentID(rawValue: 1), root: SHA256Digest(root)!, baseLayer: UInt32(base), index: UInt32(index), length: UInt32(length),
                proofLayers: UInt32(proofs))
        ) { answer = $0 }
        h.run { answer != nil }
        return answer ?? []
    }

    /// Whatever is asked, what comes leads to the root; what cannot be had is refused.
    @Test(arguments: [false, true]) func hashesLeadToTheirRoot(hybrid: Bool) throws {
        let h = try Harness(.uring), fixture = Self.fixture(hybrid: hybrid)
        h.add(fixture)
        #expect(h.run { h.isReady() })
        let b = fixture.files.firstIndex { $0.path == "b" }!, root = fixture.root(ofFile: b)
        // 300,001 bytes: 19 blocks in a tree of 32 leaves, 10 pieces in a layer of 16 hashes.
        #expect(ask(h, root, base: 0, index: 0, length: 2, proofs: 4).isEmpty, "blocks that are not there")
        #expect(Array(ask(h, root, base: 1, index: 0, length: 16, proofs: 3).prefix(320)) == fixture.layer(ofFile: b), "piece layers need no data")
        #expect(h.storeAll(fixture))
        for base in 0..<5 {
            for length in [2, 4, 8, 16, 32] where length << base <= 32 {
                for index in stride(from: 0, to: 32 >> base, by: length) {
                    let layers = length.trailingZeroBitCount, proofs = 5 - base - 1
                    let answer = ask(h, root, base: base, index: index, length: length, proofs: proofs)
                    let uncles = max(0, proofs - layers + 1)
                    #expect(answer.count == 32 * (length + uncles))
                    guard answer.count == 32 * (length + uncles) else { continue }
                    var nodes = (0..<length).map { Array(answer[32 * $0..<32 * $0 + 32]) }
                    while nodes.count > 1 { nodes = (0..<nodes.count / 2).map { Fixture.hash(nodes[2 * $0] + nodes[2 * $0 + 1]) } }
                    var node = nodes[0], place = index / length
                    for u in 0..<uncles {
                        let uncle = Array(answer[32 * (length + u)..<32 * (length + u) + 32])
                        node = Fixture.hash(place % 2 == 0 ? node + uncle : uncle + node)
                        place /= 2
                    }
                    #expect(node == root, "base \(base), \(length) from \(index)")
                }
            }
        }
        for (base, index, length, proofs) in [(0, 32, 2, 4), (0, 0, 64, 0), (5, 0, 2, 0), (1, 0, 2, 4), (49, 0, 512, 0), (0, 1 << 31, 2, 0)] {
            #expect(ask(h, root, base: base, index: index, length: length, proofs: proofs).isEmpty, "base \(base), \(length) from \(index)")
        }
        #expect(ask(h, [UInt8](repeating: 9, count: 32), base: 0, index: 0, length: 2, proofs: 0).isEmpty, "no such file")
        // A file within one piece has no piece layer; its blocks can be had.
        let a = fixture.files.firstIndex { $0.path == "a" }!
        #expect(Fixture.hash(ask(h, fixture.root(ofFile: a), base: 0, index: 0, length: 2, proofs: 0)) == fixture.root(ofFile: a))
        h.stop()
    }
}
