import Primitives

/// The breaker of one volume's writes (RELIABILITY section 5): open while the volume is full, read-only or failing;
/// a probe closes it again.
struct Volume {
    let device: UInt64
    /// A folder on it that we may write to.
    var folder: String
    /// Why it is open.
    var fault: DiskFault?
    var probeAt = Instant.never
    var isProbing = false
    /// When writes last failed with EIO, at most three.
    var failures: [Instant] = []

    /// "volume full: 30 s steady".
    static let probeInterval = TimeSpan.seconds(30)
    /// 3 EIO in 60 s open it; one ENOSPC or EROFS does.
    static let failureLimit = 3, failureWindow = TimeSpan.seconds(60)

    var isOpen: Bool { fault != nil }

    /// True when this failure opens it.
    mutating func failed(_ fault: DiskFault, now: Instant) -> Bool {
        guard !isOpen else { return false }
        switch fault.kind {
        case .full, .readOnly: break
        case .io:
            failures.removeAll { now - $0 > Self.failureWindow }
            failures.append(now)
            if failures.count < Self.failureLimit { return false }
        default: return false
        }
        failures = []
        self.fault = fault
        probeAt = now + Self.probeInterval
        return true
    }
}
