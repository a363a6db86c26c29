import Glibc
import LinuxIO
@testable import Observe
import Primitives
import Testing

extension SystemLayer {
    @Suite struct ObserveTests {
        @Test(
            arguments: [
                (0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_795_375_800, "2026-11-22T19:30:00Z"),
                (4_102_444_799, "2099-12-31T23:59:59Z"), (-1, "1969-12-31T23:59:59Z"), (4_107_542_400, "2100-03-01T00:00:00Z"),
                (68_169_600, "1972-02-29T00:00:00Z"),
            ] as [(Int64, String)])
        func timesAreWrittenInUTC(seconds: Int64, text: String) { #expect(Timestamp.text(unixSeconds: seconds) == text) }

        /// Every 11 hours over 160 years, against libc.
        @Test func timesAgreeWithLibc() {
            var seconds: Int64 = -1_000_000_000
            var wrong = 0
            while seconds < 4_200_000_000 {
                var t = time_t(seconds), parts = tm()
                gmtime_r(&t, &parts)
                let text = String(unsafeUninitializedCapacity: 64) { buffer in
                    buffer.withMemoryRebound(to: CChar.self) { strftime($0.baseAddress!, 64, "%Y-%m-%dT%H:%M:%SZ", &parts) }
                }
                if Timestamp.text(unixSeconds: seconds) != text { wrong += 1 }
                seconds += 39_601
            }
            #expect(wrong == 0)
        }

        @Test(
            arguments: [
                ("plain", "plain"), ("two\nlines\r", #"two\x0alines\x0d"#), ("\u{1B}[31mred", #"\x1b[31mred"#), (#"a\b"#, #"a\\b"#),
                ("käse ✓", "käse ✓"), ("a\u{202E}b\u{85}", #"a\u{202e}b\x85"#), ("\0\u{7F}", #"\x00\x7f"#),
            ] as [(String, String)])
        func controlCharactersAreEscaped(raw: String, shown: String) {
            #expect(String(decoding: Log.line(unixSeconds: 0, .info, "peer:0", raw), as: UTF8.self) == "1970-01-01T00:00:00Z info peer:0 \(shown)\n")
        }

        @Test func aLineIsBoundedAndWhole() {
            let line = Log.line(unixSeconds: 0, .error, "x", String(repeating: "é", count: 10_000))
            #expect(line.count <= Log.lineLimit && line.last == 10)
            #expect(String(validating: line, as: UTF8.self) != nil)
        }

        @Test func aLogThatNobodyReadsNeitherBlocksNorFails() throws {
            let (a, b) = try Sockets.socketPair(.stream)
            let line = Log.line(unixSeconds: 0, .error, "x", String(repeating: "y", count: 4000))
            let begin = Clock.monotonic()
            for _ in 0..<2000 { Log.emit(line, to: a) }  // the buffer is full after some 50
            #expect(Clock.monotonic() - begin < .seconds(2))
            Log.emit(line, to: -1)
            Descriptor.close(a)
            Descriptor.close(b)
        }

        @Test func textBelowTheLevelIsNotEvenMade() {
            var made = 0
            func text() -> String {
                made += 1
                return ""
            }
            Log("t").debug(text())
            Log.log(.debug, text())
            #expect(made == 0 && Log.Level(name: "warning") == .warning && Log.Level(name: "loud") == nil)
        }

        @Test func theRateFollowsTheStreamAndFades() {
            var now = Instant(nanoseconds: 1_000_000_000)
            var meter = RateMeter(now: now)
            for _ in 0..<20_000 {  // 1 ms apart, 16 KiB each, for 20 s
                now += .milliseconds(1)
                meter.add(16_384, now: now)
            }
            let steady = 16_384_000.0
            #expect(abs(meter.bytesPerSecond(now: now) - steady) < steady * 0.01)
            #expect(meter.total == 20_000 * 16_384)
            #expect(abs(meter.bytesPerSecond(now: now + .seconds(3)) - steady * 0.3679) < steady * 0.01)
            #expect(meter.bytesPerSecond(now: now + .seconds(120)) == 0)
            #expect(meter.bytesPerSecond(now: now - .seconds(50)) >= 0)
        }

        @Test func percentilesAreRightToAFactorOfTwo() {
            var h = LatencyHistogram()
            #expect(h.percentile(0.5) == .zero)
            for i in 1...1000 { h.record(.microseconds(i)) }
            for (p, exact) in [(0.01, 10), (0.5, 500), (0.99, 990), (1.0, 1000)] as [(Double, Int)] {
                let got = h.percentile(p)
                #expect(got >= .microseconds(exact) && got <= .microseconds(exact * 2 + 1))
            }
            var other = LatencyHistogram()
            other.record(.seconds(100_000))
            other.record(TimeSpan(nanoseconds: -5))
            h.merge(other)
            #expect(h.count == 1002 && h[bucket: 31] == 1 && h[bucket: 0] == 2)
            h.reset()
            #expect(h.count == 0)
        }

        @Test func aCounterTellsItsGrowth() {
            var c = Counter()
            c.add(5)
            c.add()
            #expect(c.takeGrowth() == 6 && c.takeGrowth() == 0 && c.value == 6)
        }
    }
}
