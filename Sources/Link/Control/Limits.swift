/// What is absent stays as it is.
package struct TorrentLimitParameters: Codable, Equatable, Sendable {
    package var hash: String
    /// Bytes per second; 0: no limit; below 0: as limits.per_torrent_down_kib says.
    package var down: Int64?
    package var up: Int64?
    /// A name of limits.groups; empty: in no group.
    package var group: String?
    /// Connections; below 1: as network.max_peers_per_torrent says.
    package var maxPeers: Int?
    package init(hash: String, down: Int64? = nil, up: Int64? = nil, group: String? = nil, maxPeers: Int? = nil) {
        (self.hash, self.down, self.up, self.group, self.maxPeers) = (hash, down, up, group, maxPeers)
    }
}

/// Bytes per second; 0: no limit.
package struct RateRow: Codable, Equatable, Sendable {
    package var down: UInt64
    package var up: UInt64
    package init(down: UInt64, up: UInt64) { (self.down, self.up) = (down, up) }
}

package struct LimitGroupRow: Codable, Equatable, Sendable {
    package var name: String
    package var rates: RateRow
    /// How many torrents are in it.
    package var torrents: Int
    package init(name: String, rates: RateRow, torrents: Int) { (self.name, self.rates, self.torrents) = (name, rates, torrents) }
}

/// Only what is the torrent's own; absent: as the settings say.
package struct TorrentLimitRow: Codable, Equatable, Sendable {
    package var hash: String
    package var name: String
    package var down: UInt64?
    package var up: UInt64?
    package var group: String?
    package var maxPeers: Int?
    package init(hash: String, name: String, down: UInt64?, up: UInt64?, group: String?, maxPeers: Int?) {
        (self.hash, self.name, self.down, self.up, self.group, self.maxPeers) = (hash, name, down, up, group, maxPeers)
    }
}

package struct LimitsAnswer: Codable, Equatable, Sendable {
    package var global: RateRow
    /// In place of `global` while `alternativeHolds`.
    package var alternative: RateRow
    /// off, on, schedule.
    package var alternativeMode: String
    package var alternativeSchedule: [String]
    package var alternativeHolds: Bool
    package var perTorrent: RateRow
    package var perPeer: RateRow
    /// limited, exempt, own.
    package var localPeers: String
    package var local: RateRow
    package var groups: [LimitGroupRow]
    /// Torrents with limits of their own, in the order of adding.
    package var torrents: [TorrentLimitRow]
    package init(
        global: RateRow, alternative: RateRow, alternativeMode: String, alternativeSchedule: [String], alternativeHolds: Bool,
        perTorrent: RateRow, perPeer: RateRow, localPeers: String, local: RateRow, groups: [LimitGroupRow], torrents: [TorrentLimitRow]
    ) {
        self.global = global
        self.alternative = alternative
        self.alternativeMode = alternativeMode
        self.alternativeSchedule = alternativeSchedule
        self.alternativeHolds = alternativeHolds
        self.perTorrent = perTorrent
        self.perPeer = perPeer
        self.localPeers = localPeers
        self.local = local
        self.groups = groups
        self.torrents = torrents
    }
}
