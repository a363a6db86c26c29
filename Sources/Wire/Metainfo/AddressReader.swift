import Bencode
import Primitives

/// URLs and DHT nodes of a torrent: what can't be used, or would be dangerous to hand on, is left out without refusing
/// the torrent (a control character in a URL would split an HTTP request line).
struct AddressReader {
    let limits: MetainfoLimits

    static let trackerSchemes = ["http", "https", "udp", "ws", "wss"]
    static let webSeedSchemes = ["http", "https"]

    /// BEP 12: announce counts only where announce-list has nothing usable.
    func trackers(_ root: BencodeView) -> [[String]] {
        var tiers: [[String]] = [], left = limits.urls
        let list = root["announce-list"].map { Array($0.elements.prefix(limits.urls)) } ?? []
        for tier in list {
            if left == 0 { break }
            var urls: [String] = []
            for url in tier.elements {
                if left == 0 { break }
                guard let url = Self.url(url, Self.trackerSchemes, limits.urlLength) else { continue }
                urls.append(url)
                left -= 1
            }
            if !urls.isEmpty { tiers.append(urls) }
        }
        if tiers.isEmpty, let announce = root["announce"], let url = Self.url(announce, Self.trackerSchemes, limits.urlLength) {
            tiers = [[url]]
        }
        return tiers
    }

    /// BEP 19: one string or a list. A path without a host is kept as it is.
    func webSeeds(_ view: BencodeView?) -> [String] {
        guard let view else { return [] }
        var out: [String] = []
        for url in view.kind == .string ? [view] : Array(view.elements.prefix(limits.urls * 4)) {
            guard out.count < limits.urls else { break }
            guard let text = Self.url(url, Self.webSeedSchemes, limits.urlLength, pathsToo: true) else { continue }
            out.append(text)
        }
        return out
    }

    /// BEP 5: `[[host, port], …]`.
    func nodes(_ view: BencodeView?) -> [Metainfo.DHTNode] {
        guard let view else { return [] }
        // Eight make a bucket; nobody needs more to bootstrap than a handful of buckets.
        let most = 64
        var out: [Metainfo.DHTNode] = []
        for pair in view.elements.prefix(most * 4) {
            var elements = pair.elements
            guard out.count < most, let host = elements.next()?.text, let port = elements.next()?.integer.flatMap(UInt16.init(exactly:)),
                port > 0, !host.isEmpty, host.utf8.count <= 255, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
            else { continue }
            out.append(Metainfo.DHTNode(host: host, port: port))
        }
        return out
    }

    private static func url(_ view: BencodeView, _ schemes: [String], _ longest: Int, pathsToo: Bool = false) -> String? {
        guard let bytes = view.string, bytes.count <= longest else { return nil }
        return usable(bytes, schemes, pathsToo: pathsToo)
    }

    /// Trimmed, spaces inside encoded; nil when the scheme is another or a control character is inside.
    static func usable(_ bytes: UnsafeRawBufferPointer, _ schemes: [String], pathsToo: Bool = false) -> String? {
        let trimmed = bytes[...].drop { $0 <= 0x20 }
        guard let last = trimmed.lastIndex(where: { $0 > 0x20 }) else { return nil }
        let body = trimmed[...last]
        guard !body.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(body.count)
        for byte in body {
            if byte == 0x20 { out.append(contentsOf: Array("%20".utf8)) } else { out.append(byte) }
        }
        guard let text = String(validating: out, as: UTF8.self) else { return nil }
        if pathsToo, out.first == UInt8(ascii: "/"), !out.starts(with: "//".utf8) { return text }
        guard let mark = text.range(of: "://"), schemes.contains(text[..<mark.lowerBound].lowercased()), mark.upperBound < text.endIndex
        else { return nil }
        return text
    }
}

extension Metainfo {
    /// A web seed that a person names, as it would be read from a torrent; nil for what is no such URL.
    package static func webSeed(_ text: String) -> String? {
        var text = text
        guard text.utf8.count <= 2048 else { return nil }
        return text.withUTF8 { AddressReader.usable(UnsafeRawBufferPointer($0), AddressReader.webSeedSchemes) }
    }
}

extension String {
    /// The standard library's own search needs Foundation.
    fileprivate func range(of needle: String) -> Range<String.Index>? {
        let n = Array(needle.utf8), h = utf8
        var i = h.startIndex
        while i < h.endIndex {
            if h[i...].starts(with: n) { return i..<h.index(i, offsetBy: n.count) }
            i = h.index(after: i)
        }
        return nil
    }
}
