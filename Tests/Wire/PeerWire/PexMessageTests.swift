import PeerWire
import Primitives
import Testing

@Suite struct PexMessageTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let message: PexMessage
        let wire: String
    }
    static let cases: [Case] = [
        Case(testDescription: "nothing", message: PexMessage(), wire: "d5:added0:e"),
        Case(
            testDescription: "one reachable seed",
            message: PexMessage(added: [.init(Endpoint("1.2.3.4:258")!, [.isSeed, .isReachable])]), wire: "d5:added6:\u{1}\u{2}\u{3}\u{4}\u{1}\u{2}7:added.f1:\u{12}e"),
        Case(testDescription: "one that left", message: PexMessage(dropped: [Endpoint("1.2.3.4:258")!]), wire: "d7:dropped6:\u{1}\u{2}\u{3}\u{4}\u{1}\u{2}e"),
        Case(
            testDescription: "IPv6", message: PexMessage(added: [.init(Endpoint("[102::1]:1")!, [])], dropped: [Endpoint("[102::2]:1")!]),
            wire: "d6:added618:\u{1}\u{2}" + String(repeating: "\0", count: 13) + "\u{1}\0\u{1}8:added6.f1:\08:dropped618:\u{1}\u{2}" + String(repeating: "\0", count: 13)
                + "\u{2}\0\u{1}e"),
    ]

    private func read(_ bytes: [UInt8]) throws -> PexMessage { try bytes.withUnsafeBytes { try PexMessage(decoding: $0) } }

    @Test(arguments: cases) func readsAndWrites(c: Case) throws {
        let wire = Array(c.wire.utf8)
        #expect(c.message.encode() == wire)
        #expect(try read(wire) == c.message)
    }

    @Test(arguments: cases) func everyTruncationIsRefused(c: Case) {
        let wire = Array(c.wire.utf8)
        for n in 0..<wire.count { #expect(throws: WireError.badDictionary) { try read(Array(wire[..<n])) } }
    }

    @Test func whatIsShortOrOddIsBounded() throws {
        #expect(throws: WireError.badDictionary) { try read(Array("d5:added5:abcdee".utf8)) }
        let without = try read(Array("d5:added6:\u{1}\u{2}\u{3}\u{4}\u{1}\u{2}e".utf8))
        #expect(without.added == [.init(Endpoint("1.2.3.4:258")!)], "missing flags are none")
        let many = PexMessage(added: (0..<900).map { .init(Endpoint(ipv4: 0x0B00_0000 + $0, port: 7)) }, dropped: (0..<900).map { Endpoint(ipv4: 0x0C00_0000 + $0, port: 7) })
        let most = try read(many.encode())
        #expect(most.added.count == PexMessage.listLimit && most.dropped.count == PexMessage.listLimit)
    }

    @Test func damagedMessagesAreReadOrRefused() {
        var random = SeededRandom(seed: 11)
        let seeds = Self.cases.map { Array($0.wire.utf8) }
        for _ in 0..<20_000 {
            var bytes = seeds[random.below(seeds.count)]
            for _ in 0...random.below(4) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
            bytes.withUnsafeBytes { PexMessage.fuzz($0) }
        }
    }

    @Test func smallExtensionsHaveOneLength() {
        #expect(ExtensionPayload.dontHave(258) == [0, 0, 1, 2])
        for n in 0..<6 {
            let bytes = [UInt8](repeating: 1, count: n)
            bytes.withUnsafeBytes {
                #expect((ExtensionPayload.readDontHave($0) != nil) == (n == 4))
                #expect((ExtensionPayload.readUploadOnly($0) != nil) == (n == 1))
            }
        }
    }
}
