import Bencode
import Catalog
import Foundation
import Primitives

@testable import SessionWorker

/// A folder that goes away with the test.
final class TemporaryFolder: @unchecked Sendable {
    let path: String
    init() {
        path = NSTemporaryDirectory() + "ccbt-session-" + UUID().uuidString
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func copy() -> TemporaryFolder {
        let other = TemporaryFolder()
        for name in try! FileManager.default.contentsOfDirectory(atPath: path) {
            try! FileManager.default.copyItem(atPath: "\(path)/\(name)", toPath: "\(other.path)/\(name)")
        }
        return other
    }
}

enum Torrents {
    /// A v1 single-file torrent of `pieces` pieces of 16 KiB.
    static func make(_ name: String, pieces: Int = 3, trackers: [String] = ["http://tracker.example/announce"], isPrivate: Bool = false) -> [UInt8] {
        var w = BencodeWriter()
        w.beginDictionary()
        if let first = trackers.first {
            w.key("announce")
            w.string(first)
        }
        w.key("comment")
        w.string("made by a test")
        w.key("info")
        w.encoded(info(name, pieces: pieces, isPrivate: isPrivate))
        w.end()
        return w.array
    }
    static func info(_ name: String, pieces: Int = 3, isPrivate: Bool = false) -> [UInt8] {
        var w = BencodeWriter()
        w.beginDictionary()
        w.key("length")
        w.integer(pieces * 16384 - 100)
        w.key("name")
        w.string(name)
        w.key("piece length")
        w.integer(16384)
        w.key("pieces")
        w.string([UInt8](repeating: UInt8(name.utf8.reduce(0) { ($0 &+ UInt32($1)) & 255 }), count: 20 * pieces))
        if isPrivate {
            w.key("private")
            w.integer(1)
        }
        w.end()
        return w.array
    }

    static func record(_ n: UInt32, _ name: String? = nil, pieces: UInt32 = 10) -> TorrentRecord {
        var bytes = [UInt8](repeating: 7, count: 20)
        withUnsafeBytes(of: n.bigEndian) { bytes.replaceSubrange(0..<4, with: $0) }
        var record = TorrentRecord(
            id: TorrentID(rawValue: n),
            facts: TorrentFacts(
                infoHash: InfoHash(bytes)!, name: name ?? "torrent \(n)", rootName: name ?? "torrent \(n)", totalLength: UInt64(pieces) << 14,
                pieceLength: 16384, pieceCount: pieces, fileCount: 1, metadataOffset: 20, metadataLength: 200,
                trackers: [["http://a/", "http://b/"], ["udp://c:1"]]),
            savePath: "/data", addedAt: 1_700_000_000)
        record.peers = [Endpoint(ipv4: 0x0102_0304, port: 5), Endpoint("[::1]:6")!]
        record.isPaused = n % 2 == 0
        record.isChecked = true
        record.completedAt = n % 3 == 0 ? UInt64.max : 0
        return record
    }
}
