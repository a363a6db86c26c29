import Primitives

/// The largest datagram that the path takes, in bytes of UDP payload. What is known to pass is used; one packet of data at a
/// time goes out larger, with DF, and tells by its acknowledgement or loss. Every other packet may be fragmented, so a probe's
/// bytes get through the second time.
///
/// Never above what 1,500 bytes of Ethernet carry: clients with receive buffers of that size would take the cut datagram for a
/// whole one.
struct PathMTU {
    /// RFC 791 asks every host to take 576 bytes, RFC 8200 every link to carry 1,280; less IP and UDP headers.
    let least: Int
    let most: Int
    private(set) var known: Int
    private var ceiling: Int
    /// Size under way; 0: none.
    private(set) var probing = 0
    /// Lost probes of the size: one loss may be the network's habit, two are the path's.
    private var strikes = 0
    private var nextSearch = Instant.zero

    /// Differences below this are not worth another probe.
    private static let resolution = 16
    /// Paths change: a search ends for so long.
    private static let interval = TimeSpan.minutes(10)

    /// `ipv4`: the peer's family. Through a carrier a datagram takes two paths: to the carrier with a header in front, and on from
    /// there without. Both hold.
    init(ipv4: Bool, carrier: UTPCarrier? = nil) {
        func bounds(_ ipv4: Bool, _ header: Int) -> (least: Int, most: Int) {
            (ipv4 ? 576 - 28 - header : 1280 - 48 - header, ipv4 ? 1500 - 28 - header : 1500 - 48 - header)
        }
        let own = bounds(ipv4, 0), carried = carrier.map { bounds($0.isIPv4, ipv4 ? $0.headerToIPv4 : $0.headerToIPv6) } ?? own
        least = min(own.least, carried.least)
        most = min(own.most, carried.most)
        known = least
        ceiling = most
    }

    /// The size to try now; nil: none, or one is under way.
    mutating func wanted(now: Instant) -> Int? {
        guard probing == 0 else { return nil }
        if ceiling - known < Self.resolution {
            guard known < most else { return nil }
            if nextSearch == .zero { nextSearch = now + Self.interval }
            guard now >= nextSearch else { return nil }
            (ceiling, strikes, nextSearch) = (most, 0, .zero)
        }
        // Most paths are Ethernet all along: its size first, then by halves.
        return ceiling == most ? most : (known + ceiling + 1) / 2
    }
    mutating func sent(_ size: Int) { probing = size }

    mutating func passed() {
        known = max(known, probing)
        (probing, strikes) = (0, 0)
    }
    mutating func lost() {
        strikes += 1
        if strikes >= 2 { refused() } else { probing = 0 }
    }
    /// It did not leave this host: nothing was learned.
    mutating func withdrawn() { probing = 0 }
    /// The kernel itself says that it is too large.
    mutating func refused() {
        ceiling = max(known, probing - 1)
        (probing, strikes) = (0, 0)
    }
    /// Nothing of this size comes through any more.
    mutating func blackHole() {
        guard known > least else { return }
        ceiling = known - 1
        known = least
        (probing, strikes, nextSearch) = (0, 0, .zero)
    }
}
