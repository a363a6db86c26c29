/// A moment on the monotonic clock, in nanoseconds since an origin that only the clock's owner knows.
/// Cores never read a clock: `now` comes in with each event. Wall-clock time is a separate, rarer thing
/// (seconds since 1970, always named so).
package struct Instant: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64
    @inlinable package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
    @inlinable package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable package static func + (a: Instant, b: TimeSpan) -> Instant { Instant(nanoseconds: a.nanoseconds &+ b.nanoseconds) }
    @inlinable package static func - (a: Instant, b: Instant) -> TimeSpan { TimeSpan(nanoseconds: a.nanoseconds &- b.nanoseconds) }
    @inlinable package static func - (a: Instant, b: TimeSpan) -> Instant { Instant(nanoseconds: a.nanoseconds &- b.nanoseconds) }
    @inlinable package static func += (a: inout Instant, b: TimeSpan) { a = a + b }
    /// Later than every real moment: "no deadline".
    @inlinable package static var never: Instant { Instant(nanoseconds: .max) }
    @inlinable package static var zero: Instant { Instant(nanoseconds: 0) }
}

/// A length of time in nanoseconds. The standard `Duration` is 128 bits wide and slower to compare.
package struct TimeSpan: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64
    @inlinable package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
    @inlinable package static func seconds(_ n: Int) -> TimeSpan { TimeSpan(nanoseconds: Int64(n) * 1_000_000_000) }
    @inlinable package static func seconds(_ n: Double) -> TimeSpan { TimeSpan(nanoseconds: Int64(n * 1e9)) }
    @inlinable package static func milliseconds(_ n: Int) -> TimeSpan { TimeSpan(nanoseconds: Int64(n) * 1_000_000) }
    @inlinable package static func microseconds(_ n: Int) -> TimeSpan { TimeSpan(nanoseconds: Int64(n) * 1_000) }
    @inlinable package static func minutes(_ n: Int) -> TimeSpan { .seconds(n * 60) }
    @inlinable package static var zero: TimeSpan { TimeSpan(nanoseconds: 0) }
    @inlinable package static func < (a: TimeSpan, b: TimeSpan) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable package static func + (a: TimeSpan, b: TimeSpan) -> TimeSpan { TimeSpan(nanoseconds: a.nanoseconds &+ b.nanoseconds) }
    @inlinable package static func - (a: TimeSpan, b: TimeSpan) -> TimeSpan { TimeSpan(nanoseconds: a.nanoseconds &- b.nanoseconds) }
    @inlinable package static func * (a: TimeSpan, b: Int) -> TimeSpan { TimeSpan(nanoseconds: a.nanoseconds &* Int64(b)) }
    @inlinable package static func / (a: TimeSpan, b: Int) -> TimeSpan { TimeSpan(nanoseconds: a.nanoseconds / Int64(b)) }
    @inlinable package var seconds: Double { Double(nanoseconds) / 1e9 }
    @inlinable package var milliseconds: Int64 { nanoseconds / 1_000_000 }
}
