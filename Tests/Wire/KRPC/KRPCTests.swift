import KRPC
import Primitives
import Testing

func read(_ bytes: [UInt8]) -> KRPCMessage? {
    var reader = KRPCReader()
    return bytes.withUnsafeBytes { reader.read($0) }
}
func read(_ text: String) -> KRPCMessage? { read(Array(text.utf8)) }
let alice = NodeID(SHA1Digest(Array("abcdefghij0123456789".utf8))!)
let bob = NodeID(SHA1Digest(Array("mnopqrstuvwxyz123456".utf8))!)
let peer4 = Endpoint("1.2.3.4:6881")!, peer6 = Endpoint("[2001:db8::7]:51413")!

func item(_ sequence: Int64 = 3) -> ItemSignature {
    ItemSignature(key: [UInt8](repeating: 7, count: 32), signature: [UInt8](repeating: 9, count: 64), sequence: sequence)
}
func filter(_ addresses: Endpoint...) -> PeerFilter {
    var f = PeerFilter()
    for a in addresses { f.insert(a) }
    return f
}
/// Every field of an answer at once.
let fullAnswer: KRPCAnswer = {
    var a = KRPCAnswer()
    a.nodes = [NodeInfo(id: alice, endpoint: peer4), NodeInfo(id: bob, endpoint: Endpoint("9.8.7.6:1")!)]
    a.nodes6 = [NodeInfo(id: alice, endpoint: peer6)]
    a.values = [peer4, peer6]
    a.token = Array("aoeusnth".utf8)
    (a.seeds, a.downloaders) = (filter(peer4), filter(peer6))
    (a.value, a.item, a.sequence) = (Array("12:Hello World!".utf8), item(), 3)
    (a.interval, a.storedCount, a.samples) = (600, 12, [alice, bob])
    return a
}()

struct MessageCase: Sendable {
    let message: KRPCMessage
    init(_ message: KRPCMessage) { self.message = message }
}
let t = Array("aa".utf8)
let messages: [MessageCase] = [
    MessageCase(.query(transaction: t, sender: alice, .ping, isReadOnly: false)),
    MessageCase(.query(transaction: t, sender: alice, .ping, isReadOnly: true)),
    MessageCase(.query(transaction: t, sender: alice, .findNode(target: bob, want: []), isReadOnly: false)),
    MessageCase(.query(transaction: t, sender: alice, .findNode(target: bob, want: [.ipv4, .ipv6]), isReadOnly: false)),
    MessageCase(.query(transaction: t, sender: alice, .getPeers(infoHash: bob, want: .ipv6, noSeeds: true, scrape: true), isReadOnly: false)),
    MessageCase(.query(transaction: t, sender: alice, .announcePeer(infoHash: bob, port: 6881, token: [1, 2], isSeed: true), isReadOnly: false)),
    MessageCase(.query(transaction: t, sender: alice, .announcePeer(infoHash: bob, port: nil, token: [], isSeed: false), isReadOnly: false)),
    MessageCase(.query(transaction: t, sender: alice, .get(target: bob, sequence: 7, want: []), isReadOnly: false)),
    MessageCase(.query(transaction: t, sender: alice, .put(value: Array("i5e".utf8), item: nil, salt: [], cas: nil, token: [1]), isReadOnly: false)),
    MessageCase(.query(transaction: t, sender: alice, .put(value: Array("le".utf8), item: item(), salt: [5], cas: 2, token: [1]), isReadOnly: false)),
    MessageCase(.query(transaction: t, sender: alice, .sampleInfohashes(target: bob, want: .ipv4), isReadOnly: false)),
    MessageCase(.query(transaction: t, sender: alice, .unknown, isReadOnly: false)),
    MessageCase(.answer(transaction: t, sender: bob, KRPCAnswer(), external: nil)),
    MessageCase(.answer(transaction: t, sender: bob, fullAnswer, external: peer4)),
    MessageCase(.answer(transaction: t, sender: bob, KRPCAnswer(), external: peer6)),
    MessageCase(.error(transaction: t, .unknownMethod)),
]

@Suite struct KRPCTests {
    @Test(arguments: messages) func messagesSurviveTheWire(_ c: MessageCase) { #expect(read(c.message.encoded()) == c.message) }

    @Test(arguments: messages) func everyTruncationIsNoMessage(_ c: MessageCase) {
        let bytes = c.message.encoded()
        for n in 0..<bytes.count { #expect(read(Array(bytes[0..<n])) == nil) }
    }

    /// The examples of BEP 5 as they stand there.
    @Test func examplesOfTheSpecification() {
        #expect(read("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe") == .query(transaction: t, sender: alice, .ping, isReadOnly: false))
        #expect(read("d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re") == .answer(transaction: t, sender: bob, KRPCAnswer(), external: nil))
        #expect(read("d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee") == .error(transaction: t, KRPCError(201, "A Generic Error Ocurred")))
        #expect(
            read("d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe")
                == .query(transaction: t, sender: alice, .getPeers(infoHash: bob, want: [], noSeeds: false, scrape: false), isReadOnly: false))
        #expect(
            read(
                "d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe")
                == .query(transaction: t, sender: alice, .announcePeer(infoHash: bob, port: nil, token: Array("aoeusnth".utf8), isSeed: false), isReadOnly: false))
        guard case .answer(_, _, let answer, _)? = read("d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re") else {
            Issue.record("no answer")
            return
        }
        #expect(answer.values.map(\.description) == ["97.120.106.101:11893", "105.100.104.116:28269"])
    }

    /// BEP 44: compare-and-swap is of mutable items; without a key it means nothing and is not kept.
    @Test func anImmutablePutHasNoCAS() {
        let bytes = "d1:ad3:casi3e2:id20:abcdefghij01234567895:token1:t1:v1:xe1:q3:put1:t2:aa1:y1:qe"
        guard case .query(_, _, .put(_, let item, let salt, let cas, _), _)? = read(bytes) else {
            Issue.record("not read")
            return
        }
        #expect(item == nil && salt.isEmpty && cas == nil)
    }

    struct Bad: Sendable {
        let text: String
        let code: Int?
    }
    /// A query that names its transaction gets an error; anything else gets nothing.
    @Test(arguments: [
        Bad(text: "", code: nil), Bad(text: "le", code: nil), Bad(text: "de", code: nil), Bad(text: "d1:y1:qe", code: nil),
        Bad(text: "d1:t0:1:y1:qe", code: nil), Bad(text: "d1:t33:\(String(repeating: "x", count: 33))1:y1:qe", code: nil),
        Bad(text: "d1:t1:a1:y1:xe", code: nil), Bad(text: "d1:t1:a1:y1:re", code: nil), Bad(text: "d1:rd2:id3:abce1:t1:a1:y1:re", code: nil),
        Bad(text: "d1:t1:a1:y1:qe", code: 203), Bad(text: "d1:q4:ping1:t1:a1:y1:qe", code: 203), Bad(text: "d1:ad2:id3:abce1:q4:ping1:t1:a1:y1:qe", code: 203),
        Bad(text: "d1:ad2:id20:abcdefghij0123456789e1:q9:find_node1:t1:a1:y1:qe", code: 203),
        Bad(text: "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti0e5:token1:ae1:q13:announce_peer1:t1:a1:y1:qe", code: 203),
        Bad(text: "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti70000e5:token1:ae1:q13:announce_peer1:t1:a1:y1:qe", code: 203),
        Bad(text: "d1:ad2:id20:abcdefghij01234567895:token1:a1:v\(1001 - 5):\(String(repeating: "x", count: 996))xe1:q3:put1:t1:a1:y1:qe", code: nil),
        Bad(text: "d1:ad2:id20:abcdefghij01234567895:token1:a1:v997:\(String(repeating: "x", count: 997))e1:q3:put1:t1:a1:y1:qe", code: 205),
        Bad(
            text: "d1:ad2:id20:abcdefghij01234567894:salt65:\(String(repeating: "s", count: 65))5:token1:a1:v1:xe1:q3:put1:t1:a1:y1:qe", code: 207),
        Bad(text: "d1:ad2:id20:abcdefghij01234567891:k3:abc5:token1:a1:v1:xe1:q3:put1:t1:a1:y1:qe", code: 203),
    ])
    func malformed(_ c: Bad) {
        switch read(c.text) {
        case nil: #expect(c.code == nil)
        case .badQuery(_, let error)?: #expect(error.code == c.code)
        case let other?: Issue.record("\(other)")
        }
    }

    @Test func whatCannotBeSentToIsLeftOut() {
        var rows: [UInt8] = []
        for address in ["0.0.0.0:5", "1.2.3.4:0", "224.0.0.1:5", "255.255.255.255:5", "1.2.3.4:5"] { rows += alice.bytes + CompactNodes.address(Endpoint(address)!) }
        #expect(rows.withUnsafeBytes { CompactNodes.read($0, ipv6: false, limit: 16) } == [NodeInfo(id: alice, endpoint: Endpoint("1.2.3.4:5")!)])
        rows += [1, 2, 3]
        #expect(rows.withUnsafeBytes { CompactNodes.read($0, ipv6: false, limit: 16) }.count == 1, "a rest that is no node")
        let many = (0..<100).flatMap { bob.bytes + CompactNodes.address(Endpoint(ipv4: 0x0102_0300 + UInt32($0), port: 9)) }
        #expect(many.withUnsafeBytes { CompactNodes.read($0, ipv6: false, limit: KRPC.nodeLimit) }.count == KRPC.nodeLimit)
        let mapped = alice.bytes + [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 1, 2, 3, 4, 0, 5]
        #expect(mapped.withUnsafeBytes { CompactNodes.read($0, ipv6: true, limit: 16) }.isEmpty)
    }

    @Test func oversizedDatagramsAreNotRead() {
        var answer = KRPCAnswer()
        answer.values = (0..<300).map { Endpoint(ipv4: 0x0102_0304 + UInt32($0), port: 9) }
        #expect(read(KRPCMessage.answer(transaction: t, sender: bob, answer, external: nil).encoded()) == nil)
        answer.values = Array(answer.values.prefix(220))
        guard case .answer(_, _, let few, _)? = read(KRPCMessage.answer(transaction: t, sender: bob, answer, external: nil).encoded()) else {
            Issue.record("no answer")
            return
        }
        #expect(few.values.count == KRPC.valueLimit)
    }

    /// 60,000 datagrams made of real ones by a few changed, cut or repeated bytes: no trap, no message out of bounds.
    @Test func mutatedDatagramsAreHarmless() {
        var random = SeededRandom(seed: 11)
        let seeds = messages.map { $0.message.encoded() }
        var understood = 0
        for _ in 0..<60_000 {
            var bytes = seeds[random.below(seeds.count)]
            for _ in 0...random.below(4) where !bytes.isEmpty {
                switch random.below(4) {
                case 0: bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.removeSubrange(random.below(bytes.count)...)
                case 2: bytes.insert(contentsOf: bytes.prefix(random.below(bytes.count)), at: random.below(bytes.count))
                default: bytes.remove(at: random.below(bytes.count))
                }
            }
            if bytes.withUnsafeBytes({ exerciseKRPC($0) }) { understood += 1 }
        }
        #expect(understood > 1000)
    }
}

@Suite struct FormulaTests {
    /// The table of BEP 42: address, last byte of the id, first three bytes (of which 21 bits count).
    @Test(
        arguments: [
            ("124.31.75.21", 1, 0x5FBF_BF), ("21.75.31.124", 86, 0x5A3C_E9), ("65.23.51.170", 22, 0xA5D4_32), ("84.124.73.14", 65, 0x1B03_21),
            ("43.213.53.83", 90, 0xE56F_6C),
        ] as [(String, UInt8, UInt32)])
    func idsAreBoundToAddresses(_ address: String, _ salt: UInt8, _ prefix: UInt32) {
        let endpoint = Endpoint(address: address, port: 0)!
        let id = NodeID(a: UInt64(prefix) << 40, b: 0, c: UInt32(salt))
        #expect(SecureID.fits(id, endpoint))
        #expect(!SecureID.fits(NodeID(a: id.a ^ 1 << 44, b: 0, c: id.c), endpoint))
        #expect(!SecureID.fits(NodeID(a: id.a, b: 0, c: id.c ^ 1), endpoint))
    }
    @Test func madeIDsFit() {
        var random = SeededRandom(seed: 5)
        for i in 0..<500 {
            let endpoint =
                i % 2 == 0 ? Endpoint(ipv4: UInt32(truncatingIfNeeded: random.next()) | 0x4000_0000, port: 0) : Endpoint(high: 0x2001_0DB8_0000_0000 | random.next() >> 33, low: random.next(), port: 0)
            #expect(SecureID.fits(SecureID.make(for: endpoint, &random), endpoint))
        }
        #expect(SecureID.fits(alice, Endpoint("192.168.3.4:5")!) && SecureID.fits(alice, Endpoint("127.0.0.1:5")!))
        #expect(!SecureID.fits(alice, Endpoint("8.8.8.8:5")!))
    }

    /// The vector of BEP 33.
    @Test func bloomFilter() {
        var filter = PeerFilter()
        for i in 0..<256 as Range<UInt32> { filter.insert(Endpoint(ipv4: 0xC000_0200 + i, port: 7)) }
        for i in 0...0x3E7 as ClosedRange<UInt64> { filter.insert(Endpoint(high: 0x2001_0DB8_0000_0000, low: i, port: 7)) }
        let expected = """
            F6C3F5EA A07FFD91 BDE89F77 7F26FB2B FF37BDB8 FB2BBAA2 FD3DDDE7 BACFFF75 EE7CCBAE
            FE5EEDB1 FBFAFF67 F6ABFF5E 43DDBCA3 FD9B9FFD F4FFD3E9 DFF12D1B DF59DB53 DBE9FA5B
            7FF3B8FD FCDE1AFB 8BEDD7BE 2F3EE71E BBBFE93B CDEEFE14 8246C2BC 5DBFF7E7 EFDCF24F
            D8DC7ADF FD8FFFDF DDFFF7A4 BBEEDF5C B95CE81F C7FCFF1F F4FFFFDF E5F7FDCB B7FD79B3
            FA1FC77B FE07FFF9 05B7B7FF C7FEFEFF E0B8370B B0CD3F5B 7F2BD93F EB4386CF DD6F7FD5
            BFAF2E9E BFFFFEEC D67ADBF7 C67F17EF D5D75EBA 6FFEBA7F FF47A91E B1BFBB53 E8ABFB57
            62ABE8FF 237279BF EFBFEEF5 FFC5FEBF DFE5ADFF ADFEE1FB 737FFFFB FD9F6AEF FEEE76B6
            FD8F72EF
            """
        #expect(Hex.encode(filter.bytes).uppercased() == expected.filter { $0 != " " && $0 != "\n" })
        #expect(abs(filter.estimate - 1224.9308) < 0.001)
        #expect(PeerFilter().estimate < 1)
    }

    struct ItemCase: Sendable {
        let salt: String, target: String, signature: String
    }
    /// The vectors of BEP 44.
    @Test(arguments: [
        ItemCase(
            salt: "", target: "4a533d47ec9c7d95b1ad75f576cffc641853b750",
            signature: "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01"),
        ItemCase(
            salt: "foobar", target: "411eba73b6f087ca51a3795d9c8c938d365e32c1",
            signature: "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17ddf9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08"),
    ])
    func items(_ c: ItemCase) {
        let value = Array("12:Hello World!".utf8), salt = Array(c.salt.utf8)
        let key = Hex.decode("77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548")!
        let signature = ItemSignature(key: key, signature: Hex.decode(c.signature)!, sequence: 1)
        #expect(Item.target(key: key, salt: salt).hex == c.target)
        #expect(Item.isSigned(value, signature, salt: salt))
        #expect(!Item.isSigned(value, ItemSignature(key: key, signature: signature.signature, sequence: 2), salt: salt))
        #expect(!Item.isSigned(Array("12:Hello world!".utf8), signature, salt: salt))
        #expect(!Item.isSigned(value, signature, salt: salt + [0]))
    }
    @Test func immutableTargetAndOwnSignatures() throws {
        #expect(Item.target(value: Array("12:Hello World!".utf8)).hex == "e5f96f6f38320f0f33959cb4d3d656452117aadb")
        let seed = [UInt8](0..<32)
        let signed = try #require(Item.sign(Array("i1e".utf8), sequence: 4, salt: [1], seed: seed))
        #expect(Item.publicKey(seed: seed) == signed.key)
        #expect(Item.isSigned(Array("i1e".utf8), signed, salt: [1]) && !Item.isSigned(Array("i1e".utf8), signed, salt: []))
        #expect(Item.sign([], sequence: 0, salt: [], seed: [1, 2]) == nil)
    }

    @Test func torrentsInItems() throws {
        let key = try #require(Hex.decode("8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e"))
        // BEP 46, test vectors.
        #expect(Item.target(key: key, salt: []).hex == "cc3f9d90b572172053626f9980ce261a850d050b")
        #expect(Item.target(key: key, salt: [0x6e]).hex == "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f")
        let hash = try #require(InfoHash((0..<20).map { UInt8($0) })), value = Item.value(of: hash)
        #expect(Item.isWellFormed(value) && Item.torrent(of: value) == hash)
        for cut in value.indices { #expect(Item.torrent(of: Array(value[..<cut])) == nil) }
        #expect(Item.torrent(of: Array("d1:a1:b2:ih20:".utf8) + hash.bytes + Array("1:zi1ee".utf8)) == hash)
        for bad in ["de", "d2:ih19:aaaaaaaaaaaaaaaaaaae", "d2:ihi5ee", "20:aaaaaaaaaaaaaaaaaaaa", "le"] { #expect(Item.torrent(of: Array(bad.utf8)) == nil) }
        #expect(Item.torrent(of: Array("d1:a990:".utf8) + [UInt8](repeating: 0, count: 990) + value.dropFirst()) == nil)
    }

    @Test func distanceAndRanges() {
        var random = SeededRandom(seed: 2)
        let own = NodeID.random(&random)
        #expect(own.sharedPrefix(with: own) == 160 && (own ^ own).isZero)
        for prefix in 0..<160 {
            let other = own.differing(at: prefix, &random)
            #expect(own.sharedPrefix(with: other) == prefix)
            #expect(NodeID(hex: other.hex) == other && NodeID(other.digest) == other)
        }
        #expect(NodeID(hex: "00") == nil)
    }
}
