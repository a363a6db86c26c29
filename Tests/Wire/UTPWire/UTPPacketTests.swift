import Primitives
import Testing
import UTPWire

/// Packets as BEP 29 lays them out, what is wrong with them, and every truncation.
@Suite struct UTPPacketTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let hex: String
        let wanted: Result<UTPPacket, UTPWireError>
    }

    private static func header(
        _ type: UTPPacketType, _ connection: UInt16, _ timestamp: UInt32, _ delay: UInt32, _ window: UInt32, _ sequence: UInt16, _ acknowledged: UInt16
    ) -> UTPHeader {
        UTPHeader(
            type: type, connection: connection, timestamp: timestamp, delay: delay, window: window, sequence: sequence, acknowledged: acknowledged)
    }

    static let cases: [Case] = [
        Case(
            testDescription: "SYN", hex: "4100123400000001000000000000f00000010000",
            wanted: .success(UTPPacket(header(.syn, 0x1234, 1, 0, 0xF000, 1, 0), selective: 0..<0, payload: 20..<20))),
        Case(
            testDescription: "DATA", hex: "0100123500000009000000080000f0000002000168656c6c6f",
            wanted: .success(UTPPacket(header(.data, 0x1235, 9, 8, 0xF000, 2, 1), selective: 0..<0, payload: 20..<25))),
        Case(
            testDescription: "FIN", hex: "1100123500000009000000080000f00000030001",
            wanted: .success(UTPPacket(header(.fin, 0x1235, 9, 8, 0xF000, 3, 1), selective: 0..<0, payload: 20..<20))),
        Case(
            testDescription: "STATE, window 0", hex: "2100123400000001000000010000000000010001",
            wanted: .success(UTPPacket(header(.state, 0x1234, 1, 1, 0, 1, 1), selective: 0..<0, payload: 20..<20))),
        Case(
            testDescription: "selective acknowledgement of 4 bytes", hex: "2101123400000001000000010000f00000010001" + "0004" + "05000000",
            wanted: .success(UTPPacket(header(.state, 0x1234, 1, 1, 0xF000, 1, 1), selective: 22..<26, payload: 26..<26))),
        Case(
            testDescription: "selective acknowledgement of 1 byte, as libtorrent sends", hex: "2101123400000001000000010000f00000010001" + "0001" + "05",
            wanted: .success(UTPPacket(header(.state, 0x1234, 1, 1, 0xF000, 1, 1), selective: 22..<23, payload: 23..<23))),
        Case(
            testDescription: "unknown extension before it, and a payload", hex: "0102123400000001000000010000f00000010001" + "0103aabbcc" + "0004" + "05000000" + "ff",
            wanted: .success(UTPPacket(header(.data, 0x1234, 1, 1, 0xF000, 1, 1), selective: 27..<31, payload: 31..<32))),
        Case(testDescription: "19 bytes", hex: "41000001000000000000000000000000000100", wanted: .failure(.truncated)),
        Case(testDescription: "selective acknowledgement of 0 bytes", hex: "2101123400000001000000010000f000000100010000", wanted: .failure(.badSelectiveAck)),
        Case(
            testDescription: "selective acknowledgement of 3 bytes, cut", hex: "2101123400000001000000010000f0000001000100030100",
            wanted: .failure(.truncated)),
        Case(testDescription: "extension longer than the datagram", hex: "2101123400000001000000010000f0000001000100ff01", wanted: .failure(.truncated)),
        Case(testDescription: "version 2", hex: "4200123400000001000000000000f00000010000", wanted: .failure(.notUTP)),
        Case(testDescription: "type 5", hex: "5100123400000001000000000000f00000010000", wanted: .failure(.notUTP)),
        Case(testDescription: "a DHT query", hex: "64313a6164323a696432303a6162636465666768696a", wanted: .failure(.notUTP)),
    ]

    private func bytes(_ hex: String) -> [UInt8] {
        stride(from: 0, to: hex.count, by: 2).map { at in
            let from = hex.index(hex.startIndex, offsetBy: at)
            return UInt8(hex[from..<hex.index(from, offsetBy: 2)], radix: 16)!
        }
    }
    private func decode(_ bytes: some Collection<UInt8>) -> Result<UTPPacket, UTPWireError> {
        Array(bytes).withUnsafeBytes { raw in Result { () throws(UTPWireError) in try UTPPacket(decoding: raw) } }
    }

    @Test(arguments: cases) func decodes(_ c: Case) { #expect(decode(bytes(c.hex)) == c.wanted) }

    @Test func headersComeBackAsTheyWere() throws {
        var random = SeededRandom(seed: 1)
        for _ in 0..<1000 {
            let header = Self.header(
                UTPPacketType.allCases[random.below(5)], UInt16(random.below(65536)), UInt32(random.below(1 << 32)), UInt32(random.below(1 << 32)),
                UInt32(random.below(1 << 32)), UInt16(random.below(65536)), UInt16(random.below(65536)))
            var out = [UInt8](repeating: 0, count: 20)
            out.withUnsafeMutableBytes { header.encode(to: $0.baseAddress!) }
            #expect(try decode(out).get().header == header)
        }
    }

    /// Every cut is an error, or ends inside the payload.
    @Test(arguments: cases) func everyTruncationIsTyped(_ c: Case) {
        let whole = bytes(c.hex)
        for length in 0..<whole.count {
            guard case .success(let packet) = decode(whole[..<length]) else { continue }
            guard case .success(let full) = c.wanted else { continue }
            #expect(packet.payload.lowerBound == full.payload.lowerBound && packet.payload.upperBound == length)
        }
    }

    @Test func mutationsAreHarmless() {
        var random = SeededRandom(seed: 2)
        for n in 0..<200_000 {
            var packet = bytes(Self.cases[n % Self.cases.count].hex)
            for _ in 0...random.below(4) { packet[random.below(packet.count)] = UInt8(random.below(256)) }
            if random.chance(0.2) { packet.removeLast(random.below(packet.count)) }
            packet.withUnsafeBytes { UTPPacket.fuzz($0) }
        }
    }

    @Test func sequenceNumbersWrap() {
        #expect(sequenceDistance(from: 65_535, to: 0) == 1)
        #expect(sequenceDistance(from: 0, to: 65_535) == -1)
        #expect(sequenceDistance(from: 40_000, to: 5_000) == 30_536)
    }
}

extension UTPPacket {
    init(_ header: UTPHeader, selective: Range<Int>, payload: Range<Int>) {
        var bytes = [UInt8](repeating: 0, count: UTPHeader.byteCount)
        bytes.withUnsafeMutableBytes { header.encode(to: $0.baseAddress!) }
        self = bytes.withUnsafeBytes { try! UTPPacket(decoding: $0) }
        selectiveAck = selective
        self.payload = payload
    }
}
