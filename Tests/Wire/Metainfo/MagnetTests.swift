import Primitives
import Testing

@testable import Metainfo

@Suite struct MagnetTests {
    static let hash = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
    private func parse(_ rest: String) -> Magnet? { try? Magnet(parsing: "magnet:?xt=urn:btih:\(Self.hash)\(rest)") }
    private func fault(_ link: String) -> MagnetError.Reason? {
        do { _ = try Magnet(parsing: link) } catch { return error.reason }
        return nil
    }

    @Test func everyParameter() throws {
        let m = try #require(
            parse(
                "&xt=urn:btmh:1220\(String(repeating: "ab", count: 32))&dn=A+b%26c&tr=udp%3A%2F%2Ft%3A1&tr.2=http://u/a+b&tr=udp://t:1"
                    + "&ws=http://w/&xs=http://s/x.torrent&x.pe=1.2.3.4:5&x.pe=[::1]:6&x.pe=host.example:7&so=0,4-6,5-8&x.y=1&junk"))
        #expect(m.infoHashV1?.hex == Self.hash && m.infoHashV2?.hex == String(repeating: "ab", count: 32))
        #expect(m.name == "A b&c" && m.trackers == ["udp://t:1", "http://u/a+b"] && m.webSeeds == ["http://w/"])
        #expect(m.exactSources == ["http://s/x.torrent"])
        #expect(m.peers.map(\.description) == ["1.2.3.4:5", "[::1]:6", "host.example:7"])
        #expect(m.peers.map { $0.endpoint != nil } == [true, true, false])
        #expect(m.selectOnly?.ranges == [0...0, 4...8])
        #expect(m.selectOnly!.contains(FileIndex(7)) && !m.selectOnly!.contains(FileIndex(9)))
        #expect(try Magnet(parsing: m.link) == m)
    }

    @Test func hashForms() throws {
        #expect(try Magnet(parsing: "MAGNET:?XT=URN:BTIH:64DZYZWMUAVLIWJUXGDIK4QGAAIN7SL6").infoHash.hex == "f7079c66cca02ab45934b9868572060010dfc97e")
        #expect(try Magnet(parsing: "magnet:?xt.1=urn:btih:\(Self.hash)").infoHash.hex == Self.hash)
        let v2 = try Magnet(parsing: "magnet:?xt=urn:btmh:1220\(String(repeating: "AB", count: 32))")
        #expect(v2.infoHash.hex == String(repeating: "ab", count: 20))
    }

    @Test func refusals() {
        #expect(fault("") == .notMagnet)
        #expect(fault("http://x") == .notMagnet)
        #expect(fault("magnet:?") == .noInfoHash)
        #expect(fault("magnet:?xt=urn:sha1:YNCKHTQCWBTRNJIV4WNAE52SJUQCZO5C") == .noInfoHash)
        #expect(fault("magnet:?xt=urn%%3A") == .badEscape)
        #expect(fault("magnet:?xt=urn:btih:abab") == .badInfoHash)
        #expect(fault("magnet:?xt=urn:btih:\(Self.hash)00") == .badInfoHash)
        #expect(fault("magnet:?xt=urn:btmh:1220abcd") == .badInfoHash)
        #expect(fault("magnet:?dn=" + String(repeating: "a", count: 70_000)) == .tooLong(limit: 65536))
    }

    @Test func linksToItemsOfTheDHT() throws {
        let key = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e"
        func parse(_ rest: String) throws(MagnetError) -> MutableMagnet? { try MutableMagnet(parsing: "magnet:?" + rest) }
        // BEP 46, test vectors.
        let plain = try #require(try parse("xs=urn:btpk:\(key)")), salted = try #require(try parse("s=6e&dn=x&XS=URN:BTPK:\(key.uppercased())&tr=udp://t:1"))
        #expect(plain.source.key == Hex.decode(key) && plain.source.salt.isEmpty && plain.known == nil)
        #expect(salted.source.salt == [0x6e] && salted.source.link == "magnet:?xs=urn:btpk:\(key)&s=6e")
        let hash = try #require(InfoHash(hex: Self.hash))
        let version = salted.version(hash)
        let again = try MutableMagnet(parsing: version.link)
        #expect(version.infoHash == hash && version.trackers == ["udp://t:1"] && version.name == "x" && again == nil)
        let known = try #require(try parse("xt=urn:btih:\(Self.hash)&xs=http://s/x&xs.1=urn:btpk:\(key)"))
        #expect(known.known?.infoHash == hash && known.known?.exactSources == ["http://s/x"])
        for link in [plain, salted, known] { #expect(try MutableMagnet(parsing: link.link) == link) }
        #expect(fault(plain.link) == .noInfoHash)
        #expect(try Magnet(parsing: known.link).infoHash == hash)
        #expect(try parse("xt=urn:btih:\(Self.hash)&xs=http://s/x") == nil)
        // Every beginning of a key is none; a salt has 64 bytes.
        for count in 0..<64 { #expect(throws: MagnetError.self) { try parse("xs=urn:btpk:\(key.prefix(count))") } }
        #expect(throws: MagnetError.self) { try parse("xs=urn:btpk:\(key)00") }
        #expect(try parse("xs=urn:btpk:\(key)&s=\(String(repeating: "ab", count: 64))")?.source.salt.count == 64)
        for salt in ["6", "zz", String(repeating: "ab", count: 65)] { #expect(throws: MagnetError.self) { try parse("xs=urn:btpk:\(key)&s=\(salt)") } }
    }

    @Test func badPartsAreLeftOut() {
        let m = parse("&tr=file:///x&tr=udp://a%0D%0Ab&ws=ftp://x&x.pe=1.2.3.4&x.pe=a b:1&x.pe=:1&x.pe=[::g]:1&x.pe=h:0&so=9-3,x,4294967296&dn=%zz")
        #expect(m != nil)
        #expect(m?.trackers == [] && m?.webSeeds == [] && m?.peers == [] && m?.selectOnly == nil && m?.name == nil)
    }

    @Test func numbersAreBounded() {
        let many = (0..<3000).map { "&tr=udp://t:\($0)&x.pe=h\($0):1" }.joined()
        let m = parse(String(many.prefix(60_000)))
        #expect(m?.trackers.count == Magnet.mostAddresses)
        #expect(m?.peers.count == Magnet.mostAddresses)
        #expect(parse("&so=0-999999")?.selectOnly?.ranges == [0...999_999])
        #expect(parse("&so=0-1000000")?.selectOnly == nil)
    }

    @Test func truncationsAndMutationsNeverTrap() {
        let seed = Array("magnet:?xt=urn:btih:\(Self.hash)&xt=urn:btmh:1220\(String(repeating: "ab", count: 32))&dn=A+b%26c&tr=udp%3A%2F%2Ft%3A1&x.pe=[::1]:6&so=0,4-6".utf8)
        for n in 0..<seed.count { Array(seed[..<n]).withUnsafeBytes(exerciseMagnet) }
        var random = SeededRandom(seed: 9)
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0...random.below(4) {
                let at = random.below(bytes.count)
                if random.below(2) == 0 { bytes[at] = UInt8(truncatingIfNeeded: random.next()) } else { bytes[at] = Array("%&=:.-,[]?".utf8)[random.below(10)] }
            }
            bytes.withUnsafeBytes(exerciseMagnet)
        }
    }
}
