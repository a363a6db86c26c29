import CHash
import Primitives

/// A magnet link (BEP 9; BEP 53 `so`).
package struct Magnet: Sendable, Equatable {
    package var infoHashV1: SHA1Digest?
    package var infoHashV2: SHA256Digest?
    /// `dn`, as it was sent: only for showing, never for a path.
    package var name: String?
    /// `tr`, `tr.1` …: each is a tier of its own.
    package var trackers: [String] = []
    /// `ws` (BEP 19).
    package var webSeeds: [String] = []
    /// `xs`: where the .torrent itself may be had.
    package var exactSources: [String] = []
    /// `x.pe`: peers to dial.
    package var peers: [PeerAddress] = []
    /// `so` (BEP 53): files to download; nil for all.
    package var selectOnly: FileSelection?

    /// An address literal or a host name, not looked up.
    package struct PeerAddress: Sendable, Hashable, CustomStringConvertible {
        package let host: String
        package let port: UInt16
        package init(host: String, port: UInt16) { (self.host, self.port) = (host, port) }
        /// nil for a host name.
        package var endpoint: Endpoint? { Endpoint(address: host, port: port) }
        package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

        /// "1.2.3.4:80", "[::1]:80" or "host.example:80".
        package init?(_ text: some StringProtocol) {
            guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else { return nil }
            var host = text[..<colon]
            if host.hasPrefix("["), host.hasSuffix("]") {
                host = host.dropFirst().dropLast()
                guard Endpoint(address: host, port: port) != nil else { return nil }
            } else {
                // RFC 1123 letters, the underscore that people use beside them, and the dots.
                guard !host.isEmpty, host.utf8.count <= 253,
                    host.utf8.allSatisfy({
                        ($0 >= 48 && $0 <= 57) || ($0 | 32 >= 97 && $0 | 32 <= 122) || $0 == 45 || $0 == 46 || $0 == 95
                    })
                else { return nil }
            }
            self.init(host: String(host), port: port)
        }
    }

    /// The 20 bytes that name the swarm: v1 where there is one.
    package var infoHash: InfoHash { infoHashV1 ?? infoHashV2!.truncated }

    /// True when these are the info dictionary's bytes that the link names: what BEP 9 metadata must pass.
    package func matches(info: UnsafeRawBufferPointer) -> Bool {
        (infoHashV1.map { $0 == sha1(info) } ?? true) && (infoHashV2.map { $0 == sha256(info) } ?? true)
    }

    package init(infoHashV1: SHA1Digest?, infoHashV2: SHA256Digest? = nil) {
        precondition(infoHashV1 != nil || infoHashV2 != nil)
        (self.infoHashV1, self.infoHashV2) = (infoHashV1, infoHashV2)
    }
}

package struct MagnetError: Error, Equatable, CustomStringConvertible, Sendable {
    package enum Reason: Equatable, Sendable {
        case notMagnet, tooLong(limit: Int), badEscape, badInfoHash, noInfoHash, badKey
    }
    package let reason: Reason
    /// Byte of the link.
    package let offset: Int

    package var description: String {
        let what =
            switch reason {
            case .notMagnet: "a magnet link starts with 'magnet:?'"
            case .tooLong(let limit): "a magnet link may have \(limit) bytes"
            case .badEscape: "'%' without two hexadecimal digits"
            case .badInfoHash: "'xt' has no valid info-hash (40 hexadecimal or 32 base-32 digits, or 1220 and 64 hexadecimal digits)"
            case .badKey: "'xs=urn:btpk:' has no public key of 64 hexadecimal digits, or 's' no salt of at most 64 bytes in hexadecimal"
            case .noInfoHash: "no info-hash ('xt=urn:btih:…' or 'xt=urn:btmh:…')"
            }
        return "\(what) at byte \(offset)"
    }
}

extension Magnet {
    /// Browsers and shells pass no longer ones; a hundred trackers fit.
    package static let longest = 64 << 10
    /// Of each kind of address.
    static let mostAddresses = 200

    package init(parsing link: String) throws(MagnetError) {
        let found = try Self.scan(link)
        guard found.v1 != nil || found.v2 != nil else { throw MagnetError(reason: .noInfoHash, offset: link.utf8.count) }
        self = found.rest
        (infoHashV1, infoHashV2) = (found.v1, found.v2)
    }

    /// What a link says; `rest` stands for no torrent yet.
    struct Scan {
        var v1: SHA1Digest?
        var v2: SHA256Digest?
        var rest = Magnet(infoHashV1: SHA1Digest())
        /// BEP 46.
        var item: MutableMagnet.Source?
    }

    static func scan(_ link: String) throws(MagnetError) -> Scan {
        let utf8 = Array(link.utf8)
        if utf8.count > Self.longest { throw MagnetError(reason: .tooLong(limit: Self.longest), offset: Self.longest) }
        let scheme = Array("magnet:?".utf8)
        guard utf8.count >= scheme.count, zip(utf8, scheme).allSatisfy({ ($0 | 0x20) == ($1 | 0x20) }) else {
            throw MagnetError(reason: .notMagnet, offset: 0)
        }
        var out = Scan()
        var key: (digits: [UInt8], offset: Int)?, salt: (digits: [UInt8], offset: Int)?
        var start = scheme.count
        while start < utf8.count {
            let end = utf8[start...].firstIndex(of: UInt8(ascii: "&")) ?? utf8.count
            defer { start = end + 1 }
            guard let equals = utf8[start..<end].firstIndex(of: UInt8(ascii: "=")) else { continue }
            let name = Self.baseKey(String(decoding: utf8[start..<equals], as: UTF8.self))
            let raw = utf8[equals + 1..<end]
            if name == "xt" {
                guard let value = Self.unescape(raw) else { throw MagnetError(reason: .badEscape, offset: equals + 1) }
                guard try Self.topic(value, &out.v1, &out.v2, at: equals + 1) else { continue }
            } else if let value = Self.unescape(raw, plusIsSpace: name == "dn") {
                if name == "xs", key == nil, let digits = MutableMagnet.digits(value) { key = (digits, equals + 1) }
                if name == "s", salt == nil { salt = (value, equals + 1) }
                out.rest.take(name, value)
            }
        }
        if let key {
            guard let bytes = Hex.decode(String(decoding: key.digits, as: UTF8.self)), bytes.count == 32 else { throw MagnetError(reason: .badKey, offset: key.offset) }
            let saltBytes = salt.map { Hex.decode(String(decoding: $0.digits, as: UTF8.self)) } ?? []
            guard let saltBytes, saltBytes.count <= MutableMagnet.saltLimit else { throw MagnetError(reason: .badKey, offset: salt!.offset) }
            out.item = MutableMagnet.Source(key: bytes, salt: saltBytes)
        }
        return out
    }

    /// "tr.1" means "tr"; "tr.a" means nothing.
    private static func baseKey(_ key: String) -> String {
        guard let dot = key.firstIndex(of: "."), key != "x.pe" else { return key.lowercased() }
        let number = key[key.index(after: dot)...]
        return !number.isEmpty && number.utf8.allSatisfy { $0 >= 48 && $0 <= 57 } ? key[..<dot].lowercased() : ""
    }

    /// False for a topic of another system, which is passed over.
    private static func topic(
        _ value: [UInt8], _ v1: inout SHA1Digest?, _ v2: inout SHA256Digest?, at offset: Int
    ) throws(MagnetError) -> Bool {
        let text = String(decoding: value, as: UTF8.self)
        let lower = text.lowercased()
        if lower.hasPrefix("urn:btih:") {
            let digits = text.dropFirst(9)
            guard let hash = SHA1Digest(hex: digits) ?? Base32.decode(digits).flatMap({ SHA1Digest($0) }) else {
                throw MagnetError(reason: .badInfoHash, offset: offset)
            }
            v1 = v1 ?? hash
            return true
        }
        if lower.hasPrefix("urn:btmh:") {
            // Multihash: 12 = SHA-256, 20 = 32 bytes.
            let digits = lower.dropFirst(9)
            guard digits.hasPrefix("1220"), let hash = SHA256Digest(hex: digits.dropFirst(4)) else {
                throw MagnetError(reason: .badInfoHash, offset: offset)
            }
            v2 = v2 ?? hash
            return true
        }
        return false
    }

    private mutating func take(_ key: String, _ value: [UInt8]) {
        func url(_ schemes: [String]) -> String? {
            value.count > MetainfoLimits.standard.urlLength ? nil : value.withUnsafeBytes { AddressReader.usable($0, schemes) }
        }
        switch key {
        case "dn": name = name ?? String(decoding: value, as: UTF8.self)
        case "tr":
            if trackers.count < Self.mostAddresses, let url = url(AddressReader.trackerSchemes), !trackers.contains(url) {
                trackers.append(url)
            }
        case "ws":
            if webSeeds.count < Self.mostAddresses, let url = url(AddressReader.webSeedSchemes), !webSeeds.contains(url) {
                webSeeds.append(url)
            }
        case "xs":
            if exactSources.count < Self.mostAddresses, let url = url(AddressReader.webSeedSchemes) { exactSources.append(url) }
        case "x.pe":
            if peers.count < Self.mostAddresses, let peer = PeerAddress(String(decoding: value, as: UTF8.self)), !peers.contains(peer) {
                peers.append(peer)
            }
        case "so":
            if let more = FileSelection(parsing: value) { selectOnly = selectOnly ?? more }
        default: break
        }
    }

    /// nil when a "%" is not followed by two hexadecimal digits.
    static func unescape(_ raw: ArraySlice<UInt8>, plusIsSpace: Bool = false) -> [UInt8]? {
        func nibble(_ c: UInt8) -> UInt8? {
            switch c {
            case 48...57: c - 48
            case 65...70: c - 55
            case 97...102: c - 87
            default: nil
            }
        }
        var out: [UInt8] = []
        out.reserveCapacity(raw.count)
        var i = raw.startIndex
        while i < raw.endIndex {
            if raw[i] == UInt8(ascii: "%") {
                guard i + 2 < raw.endIndex, let high = nibble(raw[i + 1]), let low = nibble(raw[i + 2]) else { return nil }
                out.append(high << 4 | low)
                i += 3
            } else {
                out.append(plusIsSpace && raw[i] == UInt8(ascii: "+") ? UInt8(ascii: " ") : raw[i])
                i += 1
            }
        }
        return out
    }

    /// The link again, in one canonical order.
    package var link: String {
        func escape(_ text: String) -> String {
            var out: [UInt8] = []
            for byte in text.utf8 {
                switch byte {
                case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                    out.append(byte)
                default:
                    out.append(UInt8(ascii: "%"))
                    out.append(contentsOf: Hex.encode([byte]).uppercased().utf8)
                }
            }
            return String(decoding: out, as: UTF8.self)
        }
        var parts: [String] = []
        if let hash = infoHashV1 { parts.append("xt=urn:btih:\(hash.hex)") }
        if let hash = infoHashV2 { parts.append("xt=urn:btmh:1220\(hash.hex)") }
        if let name { parts.append("dn=\(escape(name))") }
        parts += trackers.map { "tr=\(escape($0))" } + webSeeds.map { "ws=\(escape($0))" }
        parts += exactSources.map { "xs=\(escape($0))" } + peers.map { "x.pe=\($0)" }
        if let selectOnly { parts.append("so=\(selectOnly)") }
        return "magnet:?" + parts.joined(separator: "&")
    }
}

extension Metainfo {
    /// The link that finds this torrent.
    package var magnet: Magnet {
        var out = Magnet(infoHashV1: infoHashV1, infoHashV2: infoHashV2)
        out.name = name
        out.trackers = trackers.flatMap { $0 }
        out.webSeeds = webSeeds.filter { !$0.hasPrefix("/") }
        return out
    }
}

/// BEP 53: numbers and ranges of files.
package struct FileSelection: Sendable, Equatable, CustomStringConvertible {
    /// Rising, not touching.
    package let ranges: [ClosedRange<UInt32>]

    static let mostRanges = 10_000

    package func contains(_ file: FileIndex) -> Bool { ranges.contains { $0.contains(file.rawValue) } }
    package var description: String {
        ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
    }

    /// "0,2,6-8"; what is not a number or a rising range within the most files a torrent may have is passed over; nil
    /// when nothing is left.
    package init?(parsing text: [UInt8]) {
        let most = UInt32(MetainfoLimits.standard.files)
        var found: [ClosedRange<UInt32>] = []
        for part in text.split(separator: UInt8(ascii: ",")).prefix(Self.mostRanges) {
            let ends = part.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false).map(Self.number)
            guard ends.count <= 2, let low = ends[0], let high = ends[ends.count - 1], low <= high, high < most else { continue }
            found.append(low...high)
        }
        found.sort { $0.lowerBound < $1.lowerBound }
        var merged: [ClosedRange<UInt32>] = []
        for range in found {
            if let last = merged.last, range.lowerBound <= last.upperBound + 1 {
                merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        if merged.isEmpty { return nil }
        ranges = merged
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt32? {
        guard !digits.isEmpty, digits.count <= 10, digits.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
        return UInt32(String(decoding: digits, as: UTF8.self))
    }
}

/// RFC 4648 base 32, either case, without padding: older magnet links.
enum Base32 {
    static func decode(_ text: some StringProtocol) -> [UInt8]? {
        guard text.utf8.count % 8 == 0 else { return nil }
        var out: [UInt8] = [], bits: UInt32 = 0, count: UInt32 = 0
        for c in text.utf8 {
            let value: UInt8
            switch c {
            case 65...90: value = c - 65
            case 97...122: value = c - 97
            case 50...55: value = c - 24
            default: return nil
            }
            bits = bits << 5 | UInt32(value)
            count += 5
            if count >= 8 {
                count -= 8
                out.append(UInt8(truncatingIfNeeded: bits >> count))
            }
        }
        return out
    }
}

/// Parses whatever it is given and writes it again: what a fuzzer drives.
package func exerciseMagnet(_ bytes: UnsafeRawBufferPointer) {
    let text = String(decoding: bytes, as: UTF8.self)
    if let link = try? MutableMagnet(parsing: text) {
        let again = try? MutableMagnet(parsing: link.link)
        precondition(again?.source == link.source && again?.known == link.known)
    }
    guard let magnet = try? Magnet(parsing: text) else { return }
    let again = try? Magnet(parsing: magnet.link)
    precondition(again?.infoHash == magnet.infoHash)
}
