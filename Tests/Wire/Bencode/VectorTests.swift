import Foundation
import Testing

@testable import Bencode

/// vectors/bencode.json of the shared corpora, where they are.
@Suite struct VectorTests {
    static let file: String? = {
        let named = ProcessInfo.processInfo.environment["CCBT_CORPORA"]
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let beside = root.deletingLastPathComponent().appendingPathComponent("shared/corpora").path
        return [named, beside].compactMap { $0.map { $0 + "/vectors/bencode.json" } }.first { FileManager.default.fileExists(atPath: $0) }
    }()

    @Test(.enabled(if: file != nil)) func everyVector() throws {
        let json = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: Self.file!)))
        let cases = try #require((json as? [String: Any])?["cases"] as? [[String: Any]])
        func bytes(_ hex: String) -> [UInt8] {
            stride(from: 0, to: hex.count, by: 2).map { i in
                let start = hex.index(hex.startIndex, offsetBy: i)
                return UInt8(hex[start..<hex.index(start, offsetBy: 2)], radix: 16)!
            }
        }
        for c in cases {
            let id = c["id"] as! String, verdict = c["verdict"] as! String
            let repeated = c["repeat"] as? [String: Any]
            let unit = bytes((repeated?["hex"] ?? c["hex"]) as! String)
            let input = Array(repeatElement(unit, count: repeated?["count"] as? Int ?? 1).joined())
            func accepts(_ tolerance: BencodeTolerance) -> Bool {
                var parser = BencodeParser()
                return input.withUnsafeBytes { (try? parser.parse($0, limits: .torrent, tolerance: tolerance)) != nil }
            }
            #expect(accepts(.none) == (verdict == "accept"), "\(id), strict")
            // "strict-reject": a lenient decoder may do either.
            if verdict != "strict-reject" { #expect(accepts(.lenient) == (verdict == "accept"), "\(id), lenient") }
        }
        print("corpora: \(cases.count) bencode vectors")
    }
}
