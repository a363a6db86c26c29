import Glibc
import Primitives

/// Bytes per second, exponentially weighted: what came t seconds ago weighs e^(-t/3), so a change shows to 63 % after 3 s.
/// Also keeps the total.
package struct RateMeter: Sendable {
    package private(set) var total: UInt64 = 0
    private var rate: Double = 0  // at `folded`
    private var pending: UInt64 = 0  // since `folded`
    private var folded: Instant

    /// The time constant.
    static let window = TimeSpan.seconds(3)
    /// Bytes are folded in at most this often: exp() once for each, not once for each block.
    static let fold = TimeSpan.milliseconds(100)

    package init(now: Instant) { folded = now }

    package mutating func add(_ bytes: Int, now: Instant) {
        total &+= UInt64(bytes)
        pending &+= UInt64(bytes)
        if now - folded >= RateMeter.fold { self = foldedIn(now) }
    }

    /// As of `now`, which may be long after the last bytes. A clock that steps back changes nothing.
    package func bytesPerSecond(now: Instant) -> Double {
        now - folded >= RateMeter.fold ? foldedIn(now).rate : rate
    }

    private func foldedIn(_ now: Instant) -> RateMeter {
        var next = self
        let seconds = (now - folded).seconds
        let keep = exp(-seconds / RateMeter.window.seconds)
        // The pending bytes are taken as having come evenly over the span.
        next.rate = rate * keep + Double(pending) / seconds * (1 - keep)
        if next.rate < 1 { next.rate = 0 }
        next.pending = 0
        next.folded = now
        return next
    }
}

/// A count of events and its value at the last reading.
package struct Counter: Sendable {
    package private(set) var value: UInt64 = 0
    private var reported: UInt64 = 0
    package init() {}
    @inlinable package mutating func add(_ n: UInt64 = 1) { advance(n) }
    @usableFromInline mutating func advance(_ n: UInt64) { value &+= n }
    /// How much it grew since the last call.
    package mutating func takeGrowth() -> UInt64 {
        defer { reported = value }
        return value &- reported
    }
}

/// Latencies in power-of-two buckets: bucket k holds [2^k, 2^(k+1)) microseconds, 0 holds all below 2 µs, 31 all from 36 min
/// on. 264 bytes, no allocation; a percentile is exact to a factor of two.
package struct LatencyHistogram: Sendable {
    package static let bucketCount = 32
    private var buckets = InlineArray<32, UInt64>(repeating: 0)
    package private(set) var count: UInt64 = 0

    package init() {}

    package mutating func record(_ span: TimeSpan) {
        let microseconds = UInt64(max(1, span.nanoseconds / 1000))
        buckets[min(LatencyHistogram.bucketCount - 1, 63 - microseconds.leadingZeroBitCount)] &+= 1
        count &+= 1
    }

    package subscript(bucket bucket: Int) -> UInt64 { buckets[bucket] }

    /// The upper bound of the bucket in which the fraction `p` (0 ... 1) of all records is reached; zero when there are none.
    package func percentile(_ p: Double) -> TimeSpan {
        guard count > 0 else { return .zero }
        let rank = max(1, UInt64((Double(count) * p).rounded(.up)))
        var seen: UInt64 = 0
        for k in 0..<LatencyHistogram.bucketCount {
            seen &+= buckets[k]
            if seen >= rank { return .microseconds(1 << (k + 1)) }
        }
        return .microseconds(1 << LatencyHistogram.bucketCount)
    }

    package mutating func merge(_ other: LatencyHistogram) {
        for k in 0..<LatencyHistogram.bucketCount { buckets[k] &+= other.buckets[k] }
        count &+= other.count
    }

    package mutating func reset() { self = LatencyHistogram() }
}
