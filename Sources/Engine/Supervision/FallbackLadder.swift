import Primitives

/// Which kernel interfaces a disk worker may use. A worker that keeps crashing may be crashed by what it uses: after three
/// crashes in five minutes it goes one step down, and after each hour without a crash one step up again.
package struct FallbackLadder: Sendable {
    package enum Step: UInt8, Comparable, Sendable {
        /// io_uring, registered buffers, O_DIRECT: whatever the machine gives.
        case full = 0
        /// No io_uring: epoll and a pool of threads.
        case threads
        /// That, and files through the page cache.
        case buffered

        package static func < (a: Step, b: Step) -> Bool { a.rawValue < b.rawValue }
        package var words: String {
            switch self {
            case .full: "io_uring and direct I/O"
            case .threads: "threads and direct I/O, without io_uring"
            case .buffered: "threads and buffered I/O"
            }
        }
    }
    static let window = TimeSpan.minutes(5)
    static let crashLimit = 3
    static let climbTime = TimeSpan.minutes(60)

    package private(set) var step = Step.full
    /// Crashes on this step within the window: fewer than the limit.
    private var crashes: [Instant] = []
    private var quietSince = Instant.zero

    package init() {}

    /// True when the next start is one step lower.
    package mutating func crashed(now: Instant) -> Bool {
        quietSince = now
        let oldest = now - Self.window
        crashes.removeAll { $0 <= oldest }
        crashes.append(now)
        guard crashes.count >= Self.crashLimit, let lower = Step(rawValue: step.rawValue + 1) else { return false }
        crashes.removeAll()
        step = lower
        return true
    }

    /// When ``climb(now:)`` may be called; never while on the highest step.
    package var climbAt: Instant { step == .full ? .never : quietSince + Self.climbTime }

    /// One step up, for the next start. Needs `now` at or after ``climbAt``.
    package mutating func climb(now: Instant) {
        precondition(now >= climbAt)
        step = Step(rawValue: step.rawValue - 1)!
        quietSince = now
    }
}
