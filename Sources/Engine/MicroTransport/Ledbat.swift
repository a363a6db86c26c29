/// The congestion window (BEP 29; RFC 6817): grows while our packets wait less than 100 ms in queues, shrinks while they
/// wait longer, so that the flow yields to everything that fills queues, and halves at a loss as TCP does.
///
/// `window` counts payload bytes. Slow start doubles it each round trip until the queue is three quarters of the target,
/// a packet is lost, or it reaches what it was halved to before.
struct Ledbat {
    /// BEP 29: CCONTROL_TARGET, 100 ms.
    static let target = 100_000.0
    /// BEP 29: at most 3,000 bytes more in a round trip, whatever the delay.
    static let gain = 3000.0
    /// A queue five times the target shrinks the window four times as fast as an empty one lets it grow.
    static let steepest = -4.0

    private(set) var window: Double
    private var threshold = Double.infinity
    private(set) var isSlowStart = true
    let limit: Double

    init(packet: Int, limit: Int) {
        // RFC 3390's four segments.
        window = Double(4 * packet)
        self.limit = Double(limit)
    }

    /// `queuing`: microseconds, nil when nothing is known. `isFull`: the window, and not a lack of data, held the flow back.
    mutating func acknowledged(_ bytes: Int, queuing: UInt32?, isFull: Bool, packet: Int) {
        let floor = Double(2 * packet)
        if isSlowStart {
            if let queuing, Double(queuing) > Self.target * 0.75 {
                isSlowStart = false
                threshold = window
            } else {
                guard isFull else { return }
                window = min(window + Double(bytes), limit)
                if window >= threshold { isSlowStart = false }
                return
            }
        }
        let offTarget = max(Self.steepest, (Self.target - Double(queuing ?? 0)) / Self.target)
        guard offTarget < 0 || isFull else { return }
        // Summed over a window's worth of acknowledgements: `gain` bytes a round trip.
        window = min(max(window + Self.gain * offTarget * Double(bytes) / window, floor), limit)
    }

    /// Once a round trip with losses.
    mutating func lost(packet: Int) {
        window = max(window / 2, Double(2 * packet))
        threshold = window
        isSlowStart = false
    }

    /// Nothing came back for a whole time-out: one packet, then slow start up to half of what was under way.
    mutating func timedOut(packet: Int) {
        threshold = max(window / 2, Double(2 * packet))
        window = Double(packet)
        isSlowStart = true
    }

    /// The packets became larger.
    mutating func atLeast(packet: Int) { window = max(window, Double(packet)) }
}
