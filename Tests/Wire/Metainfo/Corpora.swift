import Foundation
import Testing

/// The shared corpora, where they are: a folder named by CCBT_CORPORA, or beside the package. Without them the suites
/// that need them are skipped.
enum Corpora {
    static let folder: String? = {
        let named = ProcessInfo.processInfo.environment["CCBT_CORPORA"]
        let beside = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/corpora")
            .path
        return [named, beside].compactMap(\.self).first { FileManager.default.fileExists(atPath: $0 + "/manifest.json") }
    }()
    static var isThere: Bool { folder != nil }

    static func json(_ name: String) throws -> [String: Any] {
        let data = try Data(contentsOf: URL(fileURLWithPath: folder! + "/" + name))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder! + "/" + name)))
    }

    static func hex(_ text: String) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(text.utf8.count / 2)
        var high: UInt8?
        for c in text.utf8 {
            let nibble = c <= 57 ? c - 48 : (c | 32) - 87
            if let h = high {
                out.append(h << 4 | nibble)
                high = nil
            } else {
                high = nibble
            }
        }
        return out
    }
}
