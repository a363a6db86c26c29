import LSDWire
import Primitives
import Testing

@Suite struct LSDMessageTests {
    static let hash = InfoHash((0..<20).map { UInt8($0) * 11 })!
    func read(_ text: String) -> LSDMessage? { Array(text.utf8).withUnsafeBytes { LSDMessage($0) } }
    let example = "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\nInfohash: \(hash.hex)\r\ncookie: abc\r\n\r\n\r\n"

    @Test func messagesSurviveTheWire() {
        let message = LSDMessage(port: 6881, infoHashes: [Self.hash], cookie: Array("abc".utf8))
        #expect(String(decoding: message.encoded(ipv6: false), as: UTF8.self) == example)
        #expect(read(example) == message)
        #expect(String(decoding: message.encoded(ipv6: true), as: UTF8.self).contains("Host: [ff15::efc0:988f]:6771\r\n"))
        let most = LSDMessage(port: 1, infoHashes: (0..<20).map { n in InfoHash([UInt8](repeating: n, count: 20))! }, cookie: [UInt8](repeating: 65, count: 64))
        #expect(most.encoded(ipv6: true).count <= LSDMessage.byteLimit)
        #expect(most.encoded(ipv6: true).withUnsafeBytes { LSDMessage($0) } == most)
    }

    @Test func everyTruncationIsNoneOrAsGood() {
        for n in 0..<example.utf8.count {
            // Whole lines may have come already: BEP 14 has no length. Nothing else than the whole message's words is read.
            guard let part = read(String(example.prefix(n))) else { continue }
            #expect(part.infoHashes == [Self.hash] && part.port == 6881 && "abc".utf8.starts(with: part.cookie))
        }
    }

    struct Case: Sendable {
        let text: String
        let isRead: Bool
    }
    @Test(arguments: [
        Case(text: "BT-SEARCH * HTTP/1.1\nPORT:1\nINFOHASH:\(hash.hex)\n\n", isRead: true),
        Case(text: "BT-SEARCH * HTTP/1.0\r\nX-Other: y\r\nport: 6881\r\ninfohash: \(hash.hex.uppercased())\r\n\r\n", isRead: true),
        Case(text: "M-SEARCH * HTTP/1.1\r\nPort: 1\r\nInfohash: \(hash.hex)\r\n\r\n", isRead: false),
        Case(text: "BT-SEARCH * HTTP/1.1\r\nInfohash: \(hash.hex)\r\n\r\n", isRead: false),
        Case(text: "BT-SEARCH * HTTP/1.1\r\nPort: 0\r\nInfohash: \(hash.hex)\r\n\r\n", isRead: false),
        Case(text: "BT-SEARCH * HTTP/1.1\r\nPort: 70000\r\nInfohash: \(hash.hex)\r\n\r\n", isRead: false),
        Case(text: "BT-SEARCH * HTTP/1.1\r\nPort: 1\r\nInfohash: 12\r\n\r\n", isRead: false),
        Case(text: "", isRead: false),
        Case(text: "BT-SEARCH * HTTP/1.1\r\nPort: 1\r\nInfohash: \(hash.hex)\r\nx: \(String(repeating: "y", count: 1400))\r\n", isRead: false),
    ])
    func forms(_ c: Case) { #expect((read(c.text) != nil) == c.isRead) }

    @Test func hashesAreBounded() {
        let text = "BT-SEARCH * HTTP/1.1\r\nPort: 9\r\n" + (0..<24 as Range<UInt8>).map { "Infohash: \(InfoHash([UInt8](repeating: $0, count: 20))!.hex)\r\n" }.joined()
        #expect(read(text)!.infoHashes.count == LSDMessage.hashLimit)
    }

    @Test func mutatedDatagramsAreHarmless() {
        var random = SeededRandom(seed: 4), understood = 0
        for _ in 0..<20_000 {
            var bytes = Array(example.utf8)
            for _ in 0...random.below(4) {
                if random.chance(0.5) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) } else { bytes.remove(at: random.below(bytes.count)) }
            }
            if bytes.withUnsafeBytes({ LSDMessage.fuzz($0) }) { understood += 1 }
        }
        #expect(understood > 500)
    }
}
