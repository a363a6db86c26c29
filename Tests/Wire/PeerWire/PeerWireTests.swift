import ByteCodec
import PeerWire
import Primitives
import Testing

/// A message, its bytes, and a parser that accepts it.
struct WireCase: Sendable, CustomTestStringConvertible {
    let name: String
    let hex: String
    let message: PeerMessage
    var testDescription: String { name }
}

/// Root of 0x11 bytes, base layer 1, index 4, length 2, 3 proof layers.
let hashRequestHex = String(repeating: "11", count: 32) + "00000001" + "00000004" + "00000002" + "00000003"

let wireCases: [WireCase] = [
    WireCase(name: "keep-alive", hex: "00000000", message: .keepAlive),
    WireCase(name: "choke", hex: "0000000100", message: .choke),
    WireCase(name: "unchoke", hex: "0000000101", message: .unchoke),
    WireCase(name: "interested", hex: "0000000102", message: .interested),
    WireCase(name: "not interested", hex: "0000000103", message: .notInterested),
    WireCase(name: "have", hex: "000000050400000007", message: .have(piece: 7)),
    WireCase(name: "bitfield", hex: "0000000305ff00", message: .bitfield(PayloadRange(offset: 5, count: 2))),
    WireCase(name: "request", hex: "0000000d06000000010000400000004000", message: .request(piece: 1, begin: 16384, length: 16384)),
    WireCase(name: "piece header", hex: "0000000b0700000001000040004142", message: .piece(piece: 1, begin: 16384, length: 2)),
    WireCase(name: "cancel", hex: "0000000d08000000010000400000004000", message: .cancel(piece: 1, begin: 16384, length: 16384)),
    WireCase(name: "port", hex: "0000000309 1ae1".replacing(" ", with: ""), message: .port(6881)),
    WireCase(name: "suggest", hex: "000000050d00000009", message: .suggest(piece: 9)),
    WireCase(name: "have all", hex: "000000010e", message: .haveAll),
    WireCase(name: "have none", hex: "000000010f", message: .haveNone),
    WireCase(name: "reject", hex: "0000000d10000000010000400000004000", message: .reject(piece: 1, begin: 16384, length: 16384)),
    WireCase(name: "allowed fast", hex: "000000051100000000", message: .allowedFast(piece: 0)),
    WireCase(name: "extended", hex: "00000004140064 65".replacing(" ", with: ""), message: .extended(id: 0, PayloadRange(offset: 6, count: 2))),
    WireCase(
        name: "hash request", hex: "0000003115" + hashRequestHex, message: .hashRequest(PayloadRange(offset: 5, count: 48))),
    WireCase(
        name: "hashes", hex: "0000007116" + hashRequestHex + String(repeating: "22", count: 64),
        message: .hashes(PayloadRange(offset: 5, count: 112))),
    WireCase(name: "hash reject", hex: "0000003117" + hashRequestHex, message: .hashReject(PayloadRange(offset: 5, count: 48))),
    WireCase(name: "another program's message", hex: "00000003630102", message: .unknown(id: 0x63)),
]

@Suite struct MessageParserTests {
    let parser = MessageParser(pieceCount: 16)

    @Test(arguments: wireCases) func messagesParse(c: WireCase) throws {
        let bytes = Hex.decode(c.hex)!
        let consumed = c.name == "piece header" ? 13 : bytes.count
        #expect(try bytes.withUnsafeBytes { try parser.next($0, at: 0) } == .message(c.message, consumed: consumed))
    }

    @Test(arguments: wireCases) func everyTruncationAsksForMore(c: WireCase) throws {
        let bytes = Hex.decode(c.hex)!
        let whole = c.name == "piece header" ? 13 : bytes.count
        for n in 0..<whole {
            let step = try Array(bytes.prefix(n)).withUnsafeBytes { try parser.next($0, at: 0) }
            guard case .needMore(let wanted) = step else {
                Issue.record("\(n) bytes gave \(step)")
                continue
            }
            #expect(wanted > n && wanted <= whole)
        }
    }

    @Test func aStreamParsesAtAnyOffset() throws {
        let stream = wireCases.filter { $0.name != "piece header" }.flatMap { Hex.decode($0.hex)! }
        try stream.withUnsafeBytes { bytes in
            var at = 0, seen = 0
            while at < bytes.count {
                guard case .message(let message, let consumed) = try parser.next(bytes, at: at) else { break }
                if case .bitfield(let range) = message { #expect(Array(range.slice(of: bytes)) == [0xFF, 0]) }
                if case .extended(_, let range) = message { #expect(Array(range.slice(of: bytes)) == Array("de".utf8)) }
                at += consumed
                seen += 1
            }
            #expect(seen == wireCases.count - 1 && at == bytes.count)
        }
    }

    struct Refused: Sendable, CustomTestStringConvertible {
        let name: String
        let hex: String
        let error: WireError
        var testDescription: String { name }
    }
    static let refused: [Refused] = [
        Refused(name: "1 GiB at the prefix", hex: "40000000", error: .tooLong(id: nil, length: 1 << 30, limit: (1 << 20) + 2)),
        Refused(name: "all ones", hex: "ffffffff", error: .tooLong(id: nil, length: 0xFFFF_FFFF, limit: (1 << 20) + 2)),
        Refused(name: "piece of 1 MiB", hex: "0010000007", error: .tooLong(id: 7, length: 1 << 20, limit: 128 * 1024 + 9)),
        Refused(name: "piece without payload", hex: "0000000907", error: .badLength(id: 7, length: 9)),
        Refused(name: "bitfield too long", hex: "0000000405", error: .badLength(id: 5, length: 4)),
        Refused(name: "bitfield too short", hex: "0000000205", error: .badLength(id: 5, length: 2)),
        Refused(name: "long choke", hex: "0000000200", error: .badLength(id: 0, length: 2)),
        Refused(name: "short have", hex: "0000000404", error: .badLength(id: 4, length: 4)),
        Refused(name: "long request", hex: "0000000e06", error: .badLength(id: 6, length: 14)),
        Refused(name: "empty extended", hex: "0000000114", error: .badLength(id: 20, length: 1)),
        Refused(name: "short port", hex: "0000000209", error: .badLength(id: 9, length: 2)),
        Refused(name: "long have all", hex: "000000020e", error: .badLength(id: 14, length: 2)),
        Refused(name: "unknown of 1 MiB", hex: "0010000099", error: .tooLong(id: 0x99, length: 1 << 20, limit: 128 * 1024)),
    ]
    @Test(arguments: refused) func badLengthsAreRefusedBeforeThePayload(c: Refused) {
        let bytes = Hex.decode(c.hex)!
        #expect(throws: c.error) { try bytes.withUnsafeBytes { try parser.next($0, at: 0) } }
    }

    @Test func withoutMetadataABitfieldIsBoundedOnly() throws {
        let free = MessageParser()
        let bytes = Hex.decode("0000000505aabbccdd")!
        #expect(try bytes.withUnsafeBytes { try free.next($0, at: 0) } == .message(.bitfield(PayloadRange(offset: 5, count: 4)), consumed: 9))
        #expect(throws: WireError.self) { try Hex.decode("0014000005")!.withUnsafeBytes { try free.next($0, at: 0) } }
    }

    @Test func encodersAndParserAgree() throws {
        var out = ByteWriter()
        var have = Bitfield(count: 16)
        have.insert(3)
        out.keepAlive()
        out.bare(MessageID.unchoke)
        out.piece(MessageID.have, 5)
        out.block(MessageID.reject, piece: 1, begin: 2, length: 3)
        out.port(99)
        out.bitfield(have)
        out.extended(3, [7, 8])
        out.pieceHeader(piece: 4, begin: 16384, length: 16384)
        var seen: [PeerMessage] = [], at = 0
        while at < out.count, case .message(let message, let consumed) = try parser.next(out.bytes, at: at) {
            seen.append(message)
            at += consumed
        }
        #expect(seen.count == 8 && at == out.count)
        #expect(seen[2] == .have(piece: 5) && seen[3] == .reject(piece: 1, begin: 2, length: 3) && seen[4] == .port(99))
        #expect(seen[7] == .piece(piece: 4, begin: 16384, length: 16384))
        if case .bitfield(let range) = seen[5] { #expect(Bitfield(wire: Array(range.slice(of: out.bytes)), count: 16) == have) }
        if case .extended(let id, let range) = seen[6] { #expect(id == 3 && Array(range.slice(of: out.bytes)) == [7, 8]) }
    }
}

@Suite struct HandshakeTests {
    static let hash = InfoHash((0..<20).map { UInt8($0) })!
    static let id = PeerID(Array("-CB0100-abcdefghijkl".utf8))!

    @Test func itIs68BytesAndReadsBack() throws {
        var out = ByteWriter()
        let ours = Handshake(infoHash: Self.hash, peerID: Self.id)
        ours.encode(into: &out)
        let bytes = out.array
        #expect(bytes.count == 68 && bytes[0] == 19 && bytes[25] == 0x10 && bytes[27] == 0x04)
        let read = try bytes.withUnsafeBytes { try Handshake(decoding: $0) }
        #expect(read == ours && read.supportsFast && read.supportsExtensions && !read.supportsDHT)
        for n in 0..<68 { #expect(throws: WireError.notBitTorrent) { try Array(bytes.prefix(n)).withUnsafeBytes { try Handshake(decoding: $0) } } }
        for n in 0...68 { #expect(Array(bytes.prefix(n)).withUnsafeBytes { Handshake.isPlausible(prefix: $0) }) }
    }

    @Test(arguments: ["GET / HTTP/1.1\r\n", "\u{16}\u{3}\u{1}", "\u{13}BitTorrent protocoL", "\u{14}"])
    func otherProtocolsAreSeenAtOnce(text: String) { #expect(!Array(text.utf8).withUnsafeBytes { Handshake.isPlausible(prefix: $0) }) }
}

@Suite struct ExtensionTests {
    static let full = ExtendedHandshake(
        metadataID: 3, pexID: 1, port: 6881, client: "X 1.0", requestQueue: 250, metadataSize: 10_000, uploadOnly: true,
        yourAddress: Endpoint(ipv4: 0x0102_0304, port: 0))

    @Test func theHandshakeReadsBack() throws {
        for value in [Self.full, ExtendedHandshake(), ExtendedHandshake(yourAddress: Endpoint("[2001:db8::1]:0")!)] {
            #expect(try value.encode().withUnsafeBytes { try ExtendedHandshake(decoding: $0) } == value)
        }
    }
    @Test func everyTruncationIsAnError() {
        let bytes = Self.full.encode()
        for n in 0..<bytes.count { #expect(throws: WireError.badDictionary) { try Array(bytes.prefix(n)).withUnsafeBytes { try ExtendedHandshake(decoding: $0) } } }
    }

    struct Odd: Sendable, CustomTestStringConvertible {
        let text: String
        let check: @Sendable (ExtendedHandshake) -> Bool
        var testDescription: String { text }
    }
    static let odd: [Odd] = [
        Odd(text: "d13:metadata_sizei2147483648ee") { $0.metadataSize == nil },
        Odd(text: "d13:metadata_sizei-1ee") { $0.metadataSize == nil },
        Odd(text: "d13:metadata_sizei31457280ee") { $0.metadataSize == 31_457_280 },
        Odd(text: "d13:metadata_sizei31457281ee") { $0.metadataSize == nil },
        Odd(text: "d1:md11:ut_metadatai0eee") { $0.metadataID == nil },
        Odd(text: "d1:md11:ut_metadatai256eee") { $0.metadataID == nil },
        Odd(text: "d1:mi3ee") { $0.metadataID == nil },
        Odd(text: "d1:pi0ee") { $0.port == nil },
        Odd(text: "d1:pi70000ee") { $0.port == nil },
        Odd(text: "d4:reqqi0ee") { $0.requestQueue == nil },
        Odd(text: "d1:v3:a\u{1B}be") { $0.client == "a%1Bb" },
        Odd(text: "d6:yourip3:abce") { $0.yourAddress == nil },
        Odd(text: "d11:upload_onlyi1ee") { $0.uploadOnly },
    ]
    @Test(arguments: odd) func oddValuesAreAbsent(c: Odd) throws {
        #expect(c.check(try Array(c.text.utf8).withUnsafeBytes { try ExtendedHandshake(decoding: $0) }))
    }

    @Test func aListBombIsRefused() {
        for depth in [200, 10_000, 1 << 20] {
            let bytes = [UInt8](repeating: UInt8(ascii: "l"), count: depth)
            #expect(throws: WireError.badDictionary) { try bytes.withUnsafeBytes { try ExtendedHandshake(decoding: $0) } }
        }
    }

    @Test func metadataMessagesReadBack() throws {
        #expect(try MetadataMessage.encodeRequest(block: 3).withUnsafeBytes { try MetadataMessage.decode($0) } == .request(block: 3))
        #expect(try MetadataMessage.encodeReject(block: 3).withUnsafeBytes { try MetadataMessage.decode($0) } == .reject(block: 3))
        let payload = [UInt8](repeating: 0x65, count: 1000)
        let data = MetadataMessage.encodeData(block: 1, totalSize: 17_384, payload)
        try data.withUnsafeBytes { bytes in
            guard case .data(1, 17_384, let range) = try MetadataMessage.decode(bytes) else { throw WireError.badDictionary }
            #expect(Array(range.slice(of: bytes)) == payload)
        }
        let dictionary = data.count - payload.count
        for n in 0..<dictionary { #expect(throws: WireError.self) { try Array(data.prefix(n)).withUnsafeBytes { try MetadataMessage.decode($0) } } }
    }

    @Test(arguments: ["d8:msg_typei0e5:piecei-1ee", "d8:msg_typei0e5:piecei99999ee", "d5:piecei0ee", "de", "i1e", "d8:msg_typei1e5:piecei0e10:total_sizei40000000ee"])
    func badMetadataMessagesAreRefused(text: String) {
        #expect(throws: WireError.self) { try Array(text.utf8).withUnsafeBytes { try MetadataMessage.decode($0) } }
    }
    @Test func unknownMetadataMessagesAreIgnored() throws {
        #expect(try Array("d8:msg_typei9e5:piecei0ee".utf8).withUnsafeBytes { try MetadataMessage.decode($0) } == nil)
    }
}

@Suite struct ClientNameTests {
    @Test(arguments: [
        ("-CB0100-abcdefghijkl", "ccbt 0.1"), ("-TR4060-abcdefghijkl", "Transmission 4.0.6"), ("-qB4520-abcdefghijkl", "qBittorrent 4.5.2"),
        ("-LT2110-abcdefghijkl", "libtorrent 2.1.1"), ("M7-10-0--abcdefghijk", "BitTorrent Mainline 7.10.0"), ("T03I----abcdefghijkl", "BitTornado 0.3.18"),
        ("-ZZ0000-abcdefghijkl", "-ZZ0000-"),
    ])
    func namesAreKnown(id: String, name: String) { #expect(ClientName.name(of: PeerID(Array(id.utf8))!) == name) }

    @Test func anyIDGivesPrintableText() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<20_000 {
            var bytes = (0..<20).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            if random.chance(0.3) { (bytes[0], bytes[7]) = (45, 45) }
            if random.chance(0.3) { (bytes[0], bytes[4]) = (77, 45) }
            let name = ClientName.name(of: PeerID(bytes)!)
            #expect(!name.isEmpty && name.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F } && name.utf8.count <= 64)
        }
    }
}

@Suite struct CompactPeersTests {
    @Test func bothFamiliesReadBack() {
        let peers = ["1.2.3.4:80", "[2001:db8::7]:1", "9.8.7.6:65535"].map { Endpoint($0)! }
        let (four, six) = CompactPeers.encode(peers)
        #expect(four.count == 12 && six.count == 18)
        #expect(four.withUnsafeBytes { CompactPeers.decode($0, ipv6: false) } == [peers[0], peers[2]])
        #expect(six.withUnsafeBytes { CompactPeers.decode($0, ipv6: true) } == [peers[1]])
        #expect(four.dropLast().withUnsafeBytes { CompactPeers.decode($0, ipv6: false) } == nil)
        #expect([UInt8](repeating: 1, count: 6 * 100).withUnsafeBytes { CompactPeers.decode($0, ipv6: false, limit: 10) }?.count == 10)
    }
}

@Suite struct PeerWireMutationTests {
    /// Seeded bit flips, cuts and splices of valid input: no trap, whatever comes.
    @Test func mutationsNeverTrap() {
        var random = SeededRandom(seed: 20)
        let stream = wireCases.flatMap { Hex.decode($0.hex)! }
        let inputs = [stream, ExtensionTests.full.encode(), MetadataMessage.encodeData(block: 1, totalSize: 17_384, [1, 2, 3])]
        for round in 0..<20_000 {
            var bytes = inputs[round % 3]
            for _ in 0..<1 + random.below(4) {
                switch random.below(4) {
                case 0: bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
                case 1: bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
                case 2: bytes.removeLast(min(bytes.count - 1, random.below(8)))
                default: bytes.insert(contentsOf: bytes.prefix(random.below(8)), at: random.below(bytes.count))
                }
            }
            bytes.withUnsafeBytes {
                MessageParser.fuzz($0)
                ExtendedHandshake.fuzz($0)
                MetadataMessage.fuzz($0)
                _ = Handshake.isPlausible(prefix: $0)
            }
        }
    }
}
