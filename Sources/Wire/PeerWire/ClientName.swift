import Primitives

/// A program's name from its peer id (BEP 20); always printable ASCII, whatever the peer chose.
package enum ClientName {
    private static let azureus: [String: String] = [
        "AG": "Ares", "AZ": "Vuze", "BB": "BitBuddy", "BC": "BitComet", "BG": "BTGetit", "BI": "BiglyBT", "BT": "BitTorrent",
        "CB": "ccbt", "CT": "CTorrent", "DE": "Deluge", "DP": "Propagate", "FD": "Free Download Manager", "FL": "Folx",
        "FW": "FrostWire", "GT": "GoTorrent", "HL": "Halite", "KG": "KGet", "KT": "KTorrent", "LT": "libtorrent", "lt": "rTorrent",
        "MO": "MonoTorrent", "PI": "PicoTorrent", "QD": "QQDownload", "qB": "qBittorrent", "RN": "rain", "rQ": "rqbit", "SD": "Xunlei",
        "SP": "BitSpirit", "TL": "Tribler", "TR": "Transmission", "TX": "Tixati", "UE": "uTorrent Embedded", "UM": "uTorrent Mac",
        "UT": "uTorrent", "UW": "uTorrent Web", "WW": "WebTorrent", "WD": "WebTorrent Desktop", "XL": "Xunlei", "A2": "aria2",
    ]
    private static let shadow: [Character: String] = [
        "A": "ABC", "M": "BitTorrent Mainline", "O": "Osprey", "Q": "BTQueue", "R": "Tribler", "S": "Shadow", "T": "BitTornado",
        "U": "UPnP NAT",
    ]

    package static func name(of id: PeerID) -> String {
        let b = id.bytes
        let text = b.map { Character(UnicodeScalar($0)) }
        if text[0] == "-", text[7] == "-" {
            let code = String(text[1...2])
            if let name = azureus[code] {
                var digits = b[3...6].map { versionDigit($0) }
                while digits.count > 2, digits.last == 0 { digits.removeLast() }
                return digits.contains(-1) ? name : name + " " + digits.map(String.init).joined(separator: ".")
            }
        }
        if let name = shadow[text[0]], text[4] == "-" || text[5] == "-" || text[8] == "-" {
            // Mainline: "M7-10-0--"; Shadow style: "T03I----".
            let version = text[1..<8].prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" && text[0] == "M") }
            var words = String(version).split(separator: "-").map(String.init)
            if text[0] != "M" { words = version.map { String(max(0, versionDigit($0.asciiValue ?? 0))) } }
            return words.isEmpty ? name : name + " " + words.joined(separator: ".")
        }
        return b.withUnsafeBytes { printable(UnsafeRawBufferPointer(rebasing: $0[0..<8]), limit: 32) }
    }

    private static func versionDigit(_ c: UInt8) -> Int {
        switch c {
        case 48...57: Int(c) - 48
        case 65...90: Int(c) - 55
        case 97...122: Int(c) - 87
        default: -1
        }
    }

    /// Other than printable ASCII becomes "%XX"; at most `limit` characters come out.
    package static func printable(_ bytes: UnsafeRawBufferPointer, limit: Int) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        for b in bytes {
            if b >= 0x20, b < 0x7F {
                guard out.count + 1 <= limit else { break }
                out.append(b)
            } else {
                guard out.count + 3 <= limit else { break }
                out.append(contentsOf: [UInt8(ascii: "%"), digits[Int(b >> 4)], digits[Int(b & 15)]])
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
