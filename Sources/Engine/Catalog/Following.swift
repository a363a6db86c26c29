/// A mutable item of the DHT whose torrents are followed (BEP 46): each version is a torrent of its own, and the newest
/// stands for the item. Bytes are hexadecimal, since it is stored as JSON.
package struct FollowedItem: Codable, Hashable, Sendable {
    package struct Version: Codable, Hashable, Sendable {
        package var sequence: Int64
        package var torrent: String
    }
    /// Earlier versions that are remembered.
    package static let earlierLimit = 16

    /// As it was added: what else it says holds for each version.
    package var link: String
    package var publicKey: String
    package var salt: String
    /// Of the newest version; -1: the item was never seen.
    package var sequence: Int64
    /// Info-hash of that version, which is in the catalogue.
    package var torrent: String
    /// The item itself, so that it can be put again; empty: never seen.
    package var value = ""
    package var signature = ""
    /// Newest first.
    package var earlier: [Version] = []

    package init(link: String, publicKey: String, salt: String, sequence: Int64, torrent: String) {
        (self.link, self.publicKey, self.salt, self.sequence, self.torrent) = (link, publicKey, salt, sequence, torrent)
    }

    package enum Verdict: Hashable, Sendable {
        /// The version that we have; its sequence number may be new.
        case current
        case newer(String)
        /// An old item, or another value under a number that was used: the publisher must raise it (BEP 44).
        case outdated
        /// It names no torrent.
        case unusable
    }

    /// What an item with a right signature means. `torrent`: the info-hash that it names.
    package func judge(sequence: Int64, torrent: String?) -> Verdict {
        guard sequence >= self.sequence else { return .outdated }
        guard let torrent else { return sequence == self.sequence ? .outdated : .unusable }
        if torrent == self.torrent { return .current }
        return sequence > self.sequence ? .newer(torrent) : .outdated
    }

    package mutating func adopt(sequence: Int64, torrent: String, value: String, signature: String) {
        if torrent != self.torrent {
            earlier.insert(Version(sequence: self.sequence, torrent: self.torrent), at: 0)
            // A publisher may go back to an older torrent.
            earlier.removeAll { $0.torrent == torrent }
            if earlier.count > Self.earlierLimit { earlier.removeLast(earlier.count - Self.earlierLimit) }
        }
        (self.sequence, self.torrent, self.value, self.signature) = (sequence, torrent, value, signature)
    }
}
