import Foundation
import FuzzTargets
import Testing

/// Aim: what the fuzzer once learned, and what it once found, holds in every build.
/// Method: each file of Tests/Fuzz/Corpus, and each of its beginnings, goes through its parser; a broken rule ends the process.
@Suite struct ReplayTests {
    static let corpus = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Corpus").standardizedFileURL

    @Test(arguments: FuzzTarget.allCases)
    func theCorpusRunsThrough(target: FuzzTarget) throws {
        let files = try FileManager.default.contentsOfDirectory(at: Self.corpus.appendingPathComponent(target.rawValue), includingPropertiesForKeys: nil)
        #expect(!files.isEmpty, "\(target.rawValue) has no corpus")
        for file in files {
            let bytes = [UInt8](try Data(contentsOf: file))
            // Each byte of what is short; of what is long, as many places as keep the run under a second.
            for end in stride(from: 0, through: bytes.count, by: 1 + bytes.count / 512) { bytes[..<end].withUnsafeBytes(target.run) }
            bytes.withUnsafeBytes(target.run)
        }
    }
}
