import Primitives

/// Bytes per second in both directions; 0: no limit.
package struct LimitPair: Hashable, Sendable {
    package var down: Int64
    package var up: Int64
    package init(down: Int64 = 0, up: Int64 = 0) { (self.down, self.up) = (down, up) }
    package static let none = LimitPair()
}

/// What limits of the configuration hold for one peer shard at the moment.
package struct RateLimits: Hashable, Sendable {
    /// Peers of private, link-local and loopback addresses: under the same limits as all, under none, or under
    /// ``local`` alone. The raw values stand in IPC frames.
    package enum LocalPeers: UInt8, Hashable, Sendable, CaseIterable {
        case limited = 0
        case exempt, own
    }

    package var global = LimitPair.none
    /// For each torrent that names none itself.
    package var perTorrent = LimitPair.none
    package var perPeer = LimitPair.none
    package var localPeers = LocalPeers.limited
    package var local = LimitPair.none
    /// Of the groups 1, 2, …; at most ``LimitGroup/maximumCount``.
    package var groups: [LimitPair] = []
    package var slice = TimeSpan.milliseconds(100)
    package init() {}
}

/// What the user set for one torrent.
package struct TorrentLimits: Hashable, Sendable {
    /// Bytes per second; nil: limits.per_torrent_*; 0: none.
    package var down: Int64?
    package var up: Int64?
    /// Place of its group in ``RateLimits/groups``, from 1; 0: in none.
    package var group: Int
    /// Connections; nil: network.max_peers_per_torrent.
    package var maxPeers: Int?
    package init(down: Int64? = nil, up: Int64? = nil, group: Int = 0, maxPeers: Int? = nil) {
        (self.down, self.up, self.group, self.maxPeers) = (down, up, group, maxPeers)
    }
}

/// An entry of limits.groups: "name:down:up" in KiB/s, 0 for no limit. The torrents of a group share both rates.
package struct LimitGroup: Hashable, Sendable {
    /// Buckets for each of them exist in every shard.
    package static let maximumCount = 64
    package let name: String
    package let kib: LimitPair

    /// nil for anything but `name:down:up` with a name of 1...64 letters, digits, '-', '_' and '.', and rates of
    /// 0...50,000,000.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, Self.isName(parts[0]), let down = Int64(parts[1]), let up = Int64(parts[2]),
            (0...50_000_000).contains(down), (0...50_000_000).contains(up)
        else { return nil }
        name = String(parts[0])
        kib = LimitPair(down: down, up: up)
    }

    package static func isName(_ text: some StringProtocol) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { ($0 | 0x20) >= 97 && ($0 | 0x20) <= 122 || $0 >= 48 && $0 <= 57 || $0 == 45 || $0 == 46 || $0 == 95 }
    }
}
