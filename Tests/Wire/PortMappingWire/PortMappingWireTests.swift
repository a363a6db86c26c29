import PortMappingWire
import Primitives
import Testing

@Suite struct PortMappingWireTests {
    func natpmp(_ bytes: [UInt8]) -> NATPMP.Answer? { bytes.withUnsafeBytes { NATPMP.answer($0) } }
    func pcp(_ bytes: [UInt8]) -> PCP.Answer? { bytes.withUnsafeBytes { PCP.answer($0) } }
    let nonce = [UInt8](1...12)
    let client = Endpoint("192.168.1.5:0")!

    @Test func requestsAreLaidOutAsTheRFCsSay() {
        #expect(Hex.encode(NATPMP.mappingRequest(.udp, internalPort: 0x1AE1, externalPort: 0x1AE2, lifetime: 3600)) == "000100001ae11ae200000e10")
        #expect(Hex.encode(NATPMP.mappingRequest(.tcp, internalPort: 0x1AE1, externalPort: 0x1AE2, lifetime: 0)) == "000200001ae1000000000000")
        let map = PCP.mapRequest(.tcp, client: client, nonce: nonce, internalPort: 0x1AE1, external: Endpoint("0.0.0.0:6882")!, lifetime: 3600)
        #expect(map.count == 60)
        #expect(
            Hex.encode(map)
                == "0201000000000e10" + "00000000000000000000ffffc0a80105" + "0102030405060708090a0b0c" + "060000001ae11ae2" + "00000000000000000000ffff00000000")
    }

    @Test func answersAreRead() {
        #expect(natpmp(Hex.decode("00800000000000090b16212c")!) == .address(Endpoint("11.22.33.44:0")!, epoch: 9))
        #expect(
            natpmp(Hex.decode("00820000000000091ae11ae200000e10")!)
                == .mapping(.tcp, internalPort: 0x1AE1, externalPort: 0x1AE2, lifetime: 3600, epoch: 9))
        #expect(natpmp(Hex.decode("0082000200000009")!) == .refused(opcode: 2, code: 2))
        let mapped = Hex.decode("0281000000000e1000000007000000000000000000000000" + "0102030405060708090a0b0c" + "110000001ae11ae3" + "00000000000000000000ffff0b16212c")!
        #expect(pcp(mapped) == .mapping(.udp, nonce: nonce, internalPort: 0x1AE1, external: Endpoint("11.22.33.44:6883")!, lifetime: 3600, epoch: 7))
        #expect(pcp(Hex.decode("028100020000001e00000007000000000000000000000000")!) == .refused(code: 2, lifetime: 30, nonce: []))
        for n in 0..<mapped.count { #expect(pcp(Array(mapped[0..<n])) == nil) }
        let whole = Hex.decode("00820000000000091ae11ae200000e10")!
        for n in 0..<whole.count { #expect(natpmp(Array(whole[0..<n])) == nil) }
    }

    @Test func randomBytesAreHarmless() {
        var random = SeededRandom(seed: 6)
        for _ in 0..<50_000 {
            var bytes = (0..<random.below(64)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            if bytes.count > 1 { (bytes[0], bytes[1]) = random.chance(0.5) ? (0, 128 + UInt8(random.below(4))) : (2, 0x81) }
            bytes.withUnsafeBytes { exercisePortMapping($0) }
        }
    }
}
