import HTTPWire
import Testing

@Suite struct ByteRangeTests {
    @Test(
        arguments: [
            (nil, 100, ByteRange.whole), ("bytes=0-0", 100, .part(0..<1)), ("bytes=0-99", 100, .part(0..<100)), ("bytes=10-", 100, .part(10..<100)), ("bytes=99-", 100, .part(99..<100)),
            ("bytes=90-1000", 100, .part(90..<100)), ("bytes=-1", 100, .part(99..<100)), ("bytes=-100", 100, .part(0..<100)), ("bytes=-1000", 100, .part(0..<100)), ("Bytes=5-6", 100, .part(5..<7)),
            ("bytes= 5-6 ", 100, .part(5..<7)), ("bytes=0005-006", 100, .part(5..<7)), ("bytes=0-18446744073709551615", 100, .part(0..<100)), ("bytes=0-99999999999999999999999", 100, .part(0..<100)),
            // Begins behind the end, or is empty.
            ("bytes=100-", 100, .none), ("bytes=100-200", 100, .none), ("bytes=-0", 100, .none), ("bytes=99999999999999999999999-", 100, .none), ("bytes=0-0", 0, .none), ("bytes=0-", 0, .none),
            ("bytes=-5", 0, .none), ("bytes=18446744073709551615-18446744073709551615", 100, .none),
            // As if it were not there.
            ("bytes=5-4", 100, .whole),
            ("bytes=0-1,5-6", 100, .whole), ("bytes=a-b", 100, .whole), ("bytes=-", 100, .whole), ("bytes=", 100, .whole), ("bytes", 100, .whole), ("", 100, .whole),
            ("lines=1-2", 100, .whole),
            ("bytes=1", 100, .whole), ("bytes=1-2-3", 100, .whole), ("bytes=+1-2", 100, .whole), ("bytes=0x1-2", 100, .whole), ("bytes 1-2", 100, .whole), ("bytes=١-٢", 100, .whole),
        ] as [(String?, UInt64, ByteRange)]) func reads(_ header: String?, _ length: UInt64, _ wanted: ByteRange)
    {
        #expect(ByteRange(header, length: length) == wanted)
    }

    @Test func aPartIsInsideAndNotEmpty() {
        var n: UInt64 = 1
        for _ in 0..<20_000 {
            var text = "bytes="
            for _ in 0..<6 {
                n = n &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                text += ["", "-", "1", "9", "-", "0", ",", " ", "99999999999"][Int(n >> 33) % 9]
            }
            if case .part(let range) = ByteRange(text, length: 50) { #expect(!range.isEmpty && range.upperBound <= 50, "\(text)") }
        }
    }
}
