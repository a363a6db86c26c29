import Foundation
import PeerWire
import Primitives
import Testing

/// BEP 52's three messages: both ways, bounds, and what a mutated one may do to the parser.
@Suite struct HashMessageTests {
    static let request = HashRequest(
        root: SHA256Digest([UInt8](repeating: 0x11, count: 32))!, baseLayer: 1, index: 4, length: 2, proofLayers: 3)

    @Test func aRequestGoesBothWays() throws {
        let bytes = Self.request.message(MessageID.hashRequest)
        #expect(Hex.encode(bytes) == "0000003115" + hashRequestHex)
        try bytes.withUnsafeBytes { raw in
            guard case .message(.hashRequest(let range), _) = try MessageParser().next(raw, at: 0) else {
                Issue.record("no hash request")
                return
            }
            #expect(HashRequest(decoding: range.slice(of: raw)) == Self.request)
        }
    }

    @Test func everyTruncationOfThePayloadIsRefused() {
        let payload = Array(Self.request.message(MessageID.hashReject)[5...])
        for n in 0..<48 { #expect(Array(payload.prefix(n)).withUnsafeBytes { HashRequest(decoding: $0) } == nil) }
    }

    struct Shape: Sendable {
        let base: UInt32, index: UInt32, length: UInt32, proofs: UInt32, isGood: Bool, uncles: Int
    }
    @Test(arguments: [
        Shape(base: 0, index: 0, length: 2, proofs: 0, isGood: true, uncles: 0),
        Shape(base: 1, index: 0, length: 4, proofs: 1, isGood: true, uncles: 0),
        Shape(base: 1, index: 512, length: 512, proofs: 12, isGood: true, uncles: 4),
        Shape(base: 0, index: 0, length: 1, proofs: 0, isGood: false, uncles: 1),
        Shape(base: 0, index: 0, length: 0, proofs: 0, isGood: false, uncles: 0),
        Shape(base: 0, index: 0, length: 3, proofs: 0, isGood: false, uncles: 1),
        Shape(base: 0, index: 2, length: 4, proofs: 0, isGood: false, uncles: 0),
        Shape(base: 0, index: 0, length: 1024, proofs: 0, isGood: false, uncles: 0),
        Shape(base: .max, index: 0, length: 2, proofs: 0, isGood: false, uncles: 0),
        Shape(base: 0, index: 0, length: 2, proofs: .max, isGood: false, uncles: Int(UInt32.max)),
    ]) func boundsAreThoseOfTheBEP(_ s: Shape) {
        guard s.length > 0 else { return #expect(!HashRequest(root: SHA256Digest(), baseLayer: 0, index: 0, length: 0, proofLayers: 0).isWellFormed) }
        let r = HashRequest(root: SHA256Digest(), baseLayer: s.base, index: s.index, length: s.length, proofLayers: s.proofs)
        #expect(r.isWellFormed == s.isGood)
        if s.isGood { #expect(r.uncleCount == s.uncles) }
    }

    @Test func lengthsThatNoHashMessageHasBreakTheStream() {
        for (id, length) in [(21, 48), (21, 81), (22, 48), (22, 50), (22, 17_986 + 32), (23, 50)] as [(UInt8, UInt32)] {
            let bytes = withUnsafeBytes(of: length.bigEndian) { Array($0) } + [id]
            #expect(throws: WireError.self) { try bytes.withUnsafeBytes { try MessageParser().next($0, at: 0) } }
        }
    }

    @Test func mutatedMessagesNeverTrap() {
        var random = SeededRandom(seed: 52)
        let seed = Self.request.message(MessageID.hashes, hashes: [UInt8](repeating: 7, count: 96)) + Self.request.message(MessageID.hashReject)
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0..<random.below(6) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            bytes.removeLast(random.below(bytes.count))
            bytes.withUnsafeBytes {
                MessageParser.fuzz($0)
                HashRequest.fuzz($0)
            }
        }
    }

    @Test func theSeedCorpusReplays() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../Fuzz/Corpus/hash-messages").standardized
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(files.count >= 4)
        for file in files {
            try Data(contentsOf: file).withUnsafeBytes {
                MessageParser.fuzz($0)
                HashRequest.fuzz($0)
            }
        }
    }
}
