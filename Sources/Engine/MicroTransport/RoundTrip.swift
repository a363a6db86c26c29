import Primitives

/// Round-trip time and the retransmission time-out from it (RFC 6298), BEP 29's bounds: 500 ms at least, 1 s before the first
/// measurement.
struct RoundTrip {
    private(set) var smoothed = TimeSpan.zero
    private(set) var variance = TimeSpan.zero
    private(set) var least = TimeSpan(nanoseconds: .max)
    /// Time-outs in a row: each doubles the next.
    private(set) var timeouts = 0

    static let shortest = TimeSpan.milliseconds(500)
    static let longest = TimeSpan.seconds(30)

    mutating func measured(_ sample: TimeSpan) {
        let sample = max(sample, .microseconds(1))
        least = min(least, sample)
        if smoothed == .zero {
            smoothed = sample
            variance = sample / 2
        } else {
            let off = sample > smoothed ? sample - smoothed : smoothed - sample
            variance = (variance * 3 + off) / 4
            smoothed = (smoothed * 7 + sample) / 8
        }
    }
    mutating func progressed() { timeouts = 0 }
    mutating func timedOut() { timeouts += 1 }

    var timeout: TimeSpan {
        let base = smoothed == .zero ? TimeSpan.seconds(1) : max(smoothed + variance * 4, Self.shortest)
        return min(Self.longest, base * (1 << min(timeouts, 6)))
    }
}
