import Primitives

/// An announce of local service discovery (BEP 14): a datagram that looks like an HTTP request, sent to a multicast group.
package struct LSDMessage: Hashable, Sendable {
    package static let port: UInt16 = 6771
    /// 239.192.152.143 and ff15::efc0:988f.
    package static let groupIPv4 = Endpoint(ipv4: 0xEFC0_988F, port: port)
    package static let groupIPv6 = Endpoint(high: 0xFF15_0000_0000_0000, low: 0xEFC0_988F, port: port)
    /// BEP 14: a datagram has at most 1,400 bytes; longer ones are not looked at.
    package static let byteLimit = 1400
    /// An info-hash line has 52 bytes; 20 of them and the rest stay well below the limit.
    package static let hashLimit = 20
    static let cookieLimit = 64

    /// Where the sender listens for peers; its address is the datagram's.
    package var port: UInt16
    package var infoHashes: [InfoHash]
    /// By which the sender knows its own announces again.
    package var cookie: [UInt8]

    package init(port: UInt16, infoHashes: [InfoHash], cookie: [UInt8] = []) {
        (self.port, self.infoHashes, self.cookie) = (port, infoHashes, cookie)
    }

    /// Needs 1 ... ``hashLimit`` info-hashes and a printable cookie.
    package func encoded(ipv6: Bool) -> [UInt8] {
        precondition(!infoHashes.isEmpty && infoHashes.count <= Self.hashLimit && cookie.count <= Self.cookieLimit)
        let group = ipv6 ? Self.groupIPv6 : Self.groupIPv4
        var text = "BT-SEARCH * HTTP/1.1\r\nHost: \(group)\r\nPort: \(port)\r\n"
        for hash in infoHashes { text += "Infohash: \(hash.hex)\r\n" }
        if !cookie.isEmpty { text += "cookie: \(String(decoding: cookie, as: UTF8.self))\r\n" }
        return Array((text + "\r\n\r\n").utf8)
    }

    /// nil for what is no announce, or has no port or info-hash that can be used. Header names in any case; unknown headers
    /// are passed over (BEP 14); info-hashes beyond the limit are left out.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= Self.byteLimit else { return nil }
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).makeIterator()
        guard let request = lines.next(), request.starts(with: "BT-SEARCH ".utf8) else { return nil }
        var port: UInt16 = 0
        (infoHashes, cookie) = ([], [])
        while let line = lines.next() {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let name = String(decoding: line[..<colon].prefix(16), as: UTF8.self).lowercased()
            let value = Self.trimmed(line[(colon + 1)...])
            switch name {
            case "port":
                guard let number = UInt16(String(decoding: value.prefix(6), as: UTF8.self)) else { return nil }
                port = number
            case "infohash":
                guard value.count == 40, infoHashes.count < Self.hashLimit, let hash = InfoHash(hex: String(decoding: value, as: UTF8.self)) else { continue }
                if !infoHashes.contains(hash) { infoHashes.append(hash) }
            case "cookie": cookie = Array(value.prefix(Self.cookieLimit))
            default: break
            }
        }
        guard port != 0, !infoHashes.isEmpty else { return nil }
        self.port = port
    }

    private static func trimmed(_ bytes: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer> {
        func isSpace(_ c: UInt8) -> Bool { c == 32 || c == 9 || c == 13 }
        var slice = bytes
        while let c = slice.first, isSpace(c) { slice = slice.dropFirst() }
        while let c = slice.last, isSpace(c) { slice = slice.dropLast() }
        return slice
    }
}

extension LSDMessage {
    /// For the fuzzer and the mutation test: what was understood is within its bounds and understood again.
    @discardableResult
    package static func fuzz(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let message = LSDMessage(bytes) else { return false }
        precondition((1...hashLimit).contains(message.infoHashes.count) && message.cookie.count <= cookieLimit && message.port != 0)
        let plain = LSDMessage(port: message.port, infoHashes: message.infoHashes)
        precondition(plain.encoded(ipv6: true).withUnsafeBytes { LSDMessage($0) } == plain)
        return true
    }
}
