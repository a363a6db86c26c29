import Primitives

/// One-way delays of our packets as the other side measured them, in microseconds. Its clock is not ours, so only
/// differences mean anything: the least delay of the last ten minutes is taken for the empty path (RFC 6817, base delay
/// history of ten one-minute minima), and what a packet took beyond it is time spent in queues.
struct DelayHistory {
    static let minutes = 10
    private var minima: [10 of UInt32] = .init(repeating: 0)
    private var used = 0
    private var newest = 0
    private var minuteStart = Instant.zero
    /// The least of all minima.
    private(set) var base: UInt32 = 0
    /// RFC 6817, current filter: the least of the last four, so that a burst of our own is not taken for a queue.
    private var recent: [4 of UInt32] = .init(repeating: 0)
    private var recentCount = 0

    var isEmpty: Bool { used == 0 }

    /// Clocks wrap after 71 minutes: `a` is less when it is behind by less than half a circle.
    @inline(__always) private static func less(_ a: UInt32, _ b: UInt32) -> Bool { Int32(bitPattern: a &- b) < 0 }

    mutating func add(_ sample: UInt32, now: Instant) {
        if used == 0 {
            (used, newest, minuteStart, base) = (1, 0, now, sample)
            minima[0] = sample
        } else if now - minuteStart >= .minutes(1) {
            newest = (newest + 1) % Self.minutes
            used = min(used + 1, Self.minutes)
            minuteStart = now
            minima[newest] = sample
            findBase()
        } else if Self.less(sample, minima[newest]) {
            minima[newest] = sample
            if Self.less(sample, base) { base = sample }
        }
        for i in stride(from: 3, to: 0, by: -1) { recent[i] = recent[i - 1] }
        recent[0] = sample
        recentCount = min(recentCount + 1, 4)
    }

    private mutating func findBase() {
        base = minima[0]
        for i in 1..<max(1, used) where Self.less(minima[i], base) { base = minima[i] }
    }

    /// The time in queues, by the least of the last samples.
    var queuing: UInt32 {
        guard recentCount > 0 else { return 0 }
        var least = recent[0]
        for i in 1..<max(1, recentCount) where Self.less(recent[i], least) { least = recent[i] }
        return Self.less(least, base) ? 0 : least &- base
    }

    /// The clocks drift apart: moves all minima.
    mutating func shift(by microseconds: UInt32) {
        for i in 0..<used { minima[i] &+= microseconds }
        base &+= microseconds
    }
}
