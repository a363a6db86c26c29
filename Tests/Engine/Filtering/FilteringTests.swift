import Primitives
import Testing

@testable import Filtering

private func filter(_ text: String, _ mode: AddressFilter.Mode = .block) -> AddressFilter {
    AddressFilter(mode: mode, ranges: AddressRanges(FilterList(text).ranges))
}
private func endpoint(_ text: String) -> Endpoint { Endpoint(address: text, port: 1)! }

@Suite struct FilterListTests {
    struct Case: Sendable {
        let line: String
        let inside: [String], outside: [String]
    }
    static let cases = [
        Case(line: "192.0.2.7", inside: ["192.0.2.7"], outside: ["192.0.2.6", "192.0.2.8"]),
        Case(line: "192.0.2.0/24", inside: ["192.0.2.0", "192.0.2.255"], outside: ["192.0.1.255", "192.0.3.0"]),
        Case(line: "192.0.2.9/24", inside: ["192.0.2.0"], outside: ["192.0.3.0"]),
        Case(line: "0.0.0.0/0", inside: ["0.0.0.0", "255.255.255.255"], outside: ["2001:db8::1"]),
        Case(line: "  192.0.2.1 - 192.0.2.9\r", inside: ["192.0.2.1", "192.0.2.9"], outside: ["192.0.2.0", "192.0.2.10"]),
        Case(line: "192.0.2.1-192.0.2.9", inside: ["192.0.2.5"], outside: ["192.0.2.10"]),
        Case(line: "001.002.004.000 - 001.002.004.255 , 000 , Somebody, or other", inside: ["1.2.4.1"], outside: ["1.2.5.0"]),
        Case(line: "001.002.004.000 - 001.002.004.255 , 127 , still refused", inside: ["1.2.4.1"], outside: []),
        Case(line: "001.002.004.000 - 001.002.004.255 , 128 , trusted", inside: [], outside: ["1.2.4.1"]),
        Case(line: "Somebody:1.2.3.4-1.2.3.255", inside: ["1.2.3.4", "1.2.3.255"], outside: ["1.2.3.3"]),
        Case(line: "a: b:c, d:1.2.3.4-1.2.3.4", inside: ["1.2.3.4"], outside: ["1.2.3.5"]),
        Case(line: "Six:2001:db8::1-2001:db8::9", inside: ["2001:db8::1", "2001:db8::9"], outside: ["2001:db8::a", "1.2.3.4"]),
        Case(line: "2001:db8::/32", inside: ["2001:db8::", "2001:db8:ffff::1"], outside: ["2001:db9::", "2001:db7:ffff::"]),
        Case(line: "2001:db8::1 - 2001:db8::9", inside: ["2001:db8::5"], outside: ["2001:db8::10"]),
        Case(line: "2001:db8::7", inside: ["2001:db8::7"], outside: ["2001:db8::8"]),
        Case(line: "::ffff:192.0.2.0/120", inside: ["192.0.2.3", "::ffff:192.0.2.3"], outside: ["192.0.3.0"]),
        Case(line: "255.255.255.0-255.255.255.255", inside: ["255.255.255.255"], outside: ["255.255.254.255"]),
    ]
    @Test(arguments: cases) func forms(c: Case) {
        let list = FilterList(c.line), f = filter(c.line)
        #expect(list.malformedCount == 0)
        for address in c.inside { #expect(f.blocks(endpoint(address)), "\(address)") }
        for address in c.outside { #expect(!f.blocks(endpoint(address)), "\(address)") }
        // And the other way round when only these may come in.
        for address in c.inside { #expect(!filter(c.line, .allow).blocks(endpoint(address))) }
        for address in c.outside { #expect(filter(c.line, .allow).blocks(endpoint(address))) }
    }

    @Test(arguments: ["", "# 1.2.3.4", "; 1.2.3.4", "// 1.2.3.4", "   ", "\r"]) func nothing(line: String) {
        let list = FilterList(line)
        #expect(list.ranges.count == 0 && list.malformedCount == 0)
    }

    @Test(arguments: [
        "hello", "1.2.3", "1.2.3.256", "1.2.3.4-", "1.2.3.9-1.2.3.1", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4 5", "2001:db8::/129", "2001:db8::9-2001:db8::1",
        "Somebody:1.2.3", "1.2.3.4-1.2.3.5,x,y", "0001.2.3.4", ":::", String(repeating: "x", count: 5000),
    ]) func malformed(line: String) {
        let list = FilterList("1.1.1.1\n\(line)\n2.2.2.2")
        #expect(list.malformedCount == 1 && list.malformed.map(\.line) == [2] && list.ranges.count == 2)
    }

    @Test func theFirstFewAreKept() {
        let list = FilterList((1...20).map { "bad \u{1B}[31m \($0)" }.joined(separator: "\n"))
        #expect(list.malformedCount == 20 && list.lines == 20 && list.malformed.map(\.line) == [1, 2, 3, 4, 5])
        #expect(list.malformed[0].text == "bad ?[31m 1")
    }

    @Test(arguments: ["192.0.2.0/24", "192.0.2.1-192.0.2.2", "2001:db8::/32", "::1", "1.2.3.4"]) func byHand(text: String) { #expect(FilterList.isRange(text)) }
    @Test(arguments: ["", "x", "# 1.2.3.4", "a:1.2.3.4-1.2.3.5", "1.2.3.4\n1.2.3.5", "1.2.3.4 , 0 , x"]) func notByHand(text: String) { #expect(!FilterList.isRange(text)) }

    // MARK: binary

    static func word(_ n: UInt32) -> [UInt8] { [UInt8(n >> 24), UInt8(n >> 16 & 255), UInt8(n >> 8 & 255), UInt8(n & 255)] }
    static func binary(_ version: UInt8) -> [UInt8] {
        var out: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0x50, 0x32, 0x42, version]
        let ranges: [(UInt32, UInt32)] = [(0x0102_0300, 0x0102_03FF), (0x0A00_0001, 0x0A00_0001)]
        if version == 3 { out += word(2) + Array("first\0second\0".utf8) + word(2) }
        for (i, range) in ranges.enumerated() {
            out += (version == 3 ? word(UInt32(i)) : Array("name \(i)\0".utf8)) + word(range.0) + word(range.1)
        }
        return out
    }
    @Test(arguments: [1, 2, 3] as [UInt8]) func p2b(version: UInt8) {
        let list = Self.binary(version).withUnsafeBytes { FilterList($0) }
        #expect(list.ranges.count == 2 && list.malformedCount == 0 && list.lines == 2)
        let ranges = AddressRanges(list.ranges)
        #expect(ranges.contains(0x0102_0304) && ranges.contains(0x0A00_0001) && !ranges.contains(0x0A00_0002))
    }
    @Test(arguments: [1, 2, 3] as [UInt8]) func everyCutOfP2BIsTold(version: UInt8) {
        let whole = Self.binary(version)
        for length in 8..<whole.count {
            let list = whole[0..<length].withUnsafeBytes { FilterList($0) }
            let isAtRecord = version < 3 && (length == 8 || length == 8 + 15)
            #expect((list.malformedCount == 1) != isAtRecord, "\(length)")
            #expect(list.ranges.count <= 1)
        }
    }
    @Test func anUnknownP2BVersion() {
        let list = Self.binary(4).withUnsafeBytes { FilterList($0) }
        #expect(list.ranges.count == 0 && list.malformed.map(\.text) == ["P2B version 4"])
    }

    /// Whatever comes, it ends, and every range that it names is one.
    @Test func mutatedListsAreReadToTheirEnd() {
        var random = SeededRandom(seed: 3)
        let text = Array(Self.cases.map(\.line).joined(separator: "\n").utf8)
        for round in 0..<200 {
            var bytes = round % 4 == 0 ? Self.binary(UInt8(1 + random.below(3))) : text
            for _ in 0..<1 + random.below(8) {
                let at = random.below(bytes.count)
                switch random.below(3) {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: at)
                default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
                }
            }
            let ranges = AddressRanges(bytes.withUnsafeBytes { FilterList($0) }.ranges)
            #expect(ranges.starts.indices.allSatisfy { ranges.starts[$0] <= ranges.ends[$0] && ranges.contains(ranges.starts[$0]) && ranges.contains(ranges.ends[$0]) })
        }
    }
}

@Suite struct AddressRangesTests {
    @Test func mergedAndTheSameAsALinearSearch() {
        var random = SeededRandom(seed: 9)
        for round in 0..<20 {
            var builder = RangeBuilder(), all: [(UInt32, UInt32)] = []
            // Small worlds overlap often; large ones cross many upper halves.
            let width: UInt64 = round % 2 == 0 ? 2000 : 1 << 32
            for _ in 0..<200 {
                let first = UInt32(random.next() % width), last = UInt32(min(UInt64(UInt32.max), UInt64(first) + random.next() % (width / 100)))
                builder.add(first, last)
                all.append((first, last))
            }
            if round == 7 {
                builder.add(UInt32.max - 5, .max)
                all.append((UInt32.max - 5, .max))
            }
            let ranges = AddressRanges(builder)
            for i in ranges.starts.indices.dropFirst() { #expect(ranges.starts[i] > ranges.ends[i - 1] + 1, "not merged") }
            func linear(_ address: UInt32) -> Bool { all.contains { $0.0 <= address && address <= $0.1 } }
            var addresses = (0..<500).map { _ in UInt32(random.next() % width) }
            for (first, last) in all { addresses += [first &- 1, first, last, last &+ 1] }
            #expect(addresses.allSatisfy { ranges.contains($0) == linear($0) })
        }
    }

    @Test func wideRangesMerge() {
        let ranges = AddressRanges(FilterList("2001:db8::1-2001:db8::5\n2001:db8::6\n2001:db8::3-2001:db8::9\n2001:db8:1::/48\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").ranges)
        #expect(ranges.count == 3)
        #expect(ranges.contains(endpoint("2001:db8::9")) && !ranges.contains(endpoint("2001:db8::a")) && ranges.contains(endpoint("2001:db8:1:ffff::")))
    }

    @Test func theFileGivesBackTheFilter() throws {
        let text = "1.2.3.0/24\n9.0.0.0-9.0.0.9\n2001:db8::/32\n2001:db9::1"
        for mode in AddressFilter.Mode.allCases {
            let bytes = filter(text, mode).encoded()
            let back = try #require(AddressFilter(decoding: bytes))
            #expect(back.mode == mode && back.ranges.count == 4 && back.blocks(endpoint("1.2.3.4")) == (mode == .block))
            for length in 0..<bytes.count { #expect(AddressFilter(decoding: Array(bytes[0..<length])) == nil) }
            #expect(AddressFilter(decoding: bytes + [0]) == nil)
        }
    }
    @Test func aDamagedFileIsRefusedOrSound() {
        var random = SeededRandom(seed: 4)
        let good = filter("1.2.3.0/24\n9.0.0.0-9.0.0.9\n10.0.0.1\n2001:db8::/32\n2001:db9::1").encoded()
        for _ in 0..<300 {
            var bytes = good
            for _ in 0..<1 + random.below(3) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
            guard let back = AddressFilter(decoding: bytes) else { continue }
            #expect(back.ranges.starts.allSatisfy { back.ranges.contains($0) })
        }
    }

    @Test func nothingListedBlocksNobodyOrEverybody() {
        #expect(!filter("").blocks(endpoint("1.2.3.4")) && filter("", .allow).blocks(endpoint("1.2.3.4")))
    }
}
