import Primitives

/// Queries of HTTP trackers. The URL's own query is kept in front (passkeys live there).
extension TrackerURL {
    /// The URL of an announce (BEP 3; compact BEP 23; key BEP 7). Needs an HTTP or HTTPS tracker.
    package func announce(_ request: AnnounceRequest) -> String {
        precondition(scheme != .udp)
        var q = QueryWriter(self)
        q.append("info_hash", percentEncoding: request.infoHash.bytes)
        q.append("peer_id", percentEncoding: request.peerID.bytes)
        q.append("port", String(request.port))
        q.append("uploaded", String(request.uploaded))
        q.append("downloaded", String(request.downloaded))
        q.append("left", String(request.left))
        if let word = request.event.word { q.append("event", word) }
        q.append("numwant", String(request.numWant))
        let key = String(request.key, radix: 16, uppercase: true)
        q.append("key", String(repeating: "0", count: 8 - key.utf8.count) + key)
        q.append("compact", "1")
        q.append("no_peer_id", "1")
        if !request.trackerID.isEmpty { q.append("trackerid", percentEncoding: request.trackerID) }
        return q.text
    }

    /// Torrents asked after in one URL: 66 bytes each, of the 8 KiB that servers take.
    package static var scrapeLimit: Int { 64 }

    /// The URL of a scrape of these torrents (BEP 48); nil when the tracker has no scrape address.
    package func scrape(_ infoHashes: [InfoHash]) -> String? {
        guard scheme != .udp, let scrape else { return nil }
        var q = QueryWriter(scrape)
        for hash in infoHashes { q.append("info_hash", percentEncoding: hash.bytes) }
        return q.text
    }
}

private struct QueryWriter {
    private var bytes: [UInt8]
    private var separator: UInt8

    init(_ url: TrackerURL) {
        bytes = Array(url.text.utf8)
        // "http://host?x" has no path, which libcurl and servers take as "/".
        switch url.query {
        case nil: separator = UInt8(ascii: "?")
        case .some(let q) where q.isEmpty || q.hasSuffix("&"): separator = 0
        default: separator = UInt8(ascii: "&")
        }
    }

    mutating func append(_ name: String, _ value: String) {
        begin(name)
        bytes.append(contentsOf: value.utf8)
    }

    mutating func append(_ name: String, percentEncoding value: [UInt8]) {
        begin(name)
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in value {
            switch byte {
            // RFC 3986 unreserved: all else is encoded, so that no server has to guess.
            case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                bytes.append(byte)
            default:
                bytes.append(UInt8(ascii: "%"))
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 15)])
            }
        }
    }

    private mutating func begin(_ name: String) {
        if separator != 0 { bytes.append(separator) }
        separator = UInt8(ascii: "&")
        bytes.append(contentsOf: name.utf8)
        bytes.append(UInt8(ascii: "="))
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }
}
