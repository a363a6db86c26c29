import LSDWire
import Primitives

/// When which torrents are announced on the local network (BEP 14), and what an announce heard means.
///
/// BEP 14 asks for an announce of each torrent every 5 minutes and for at most one datagram a minute. Twenty torrents fit
/// one, so a hundred keep to the 5 minutes; more take turns.
package struct LocalDiscovery: Sendable {
    package static let interval = TimeSpan.minutes(5)
    package static let spacing = TimeSpan.seconds(60)
    /// Announces heard in a second that are looked at: a storm on the network is not ours to work off.
    private static let heardPerSecond = 50

    package let cookie: [UInt8]
    private var rows: [InfoHash: Int] = [:]
    private var torrents: [(id: TorrentID, infoHash: InfoHash)] = []
    private var free: [Int] = []
    /// Rows of `torrents`, by when they are announced next.
    private var queue = DeadlineHeap()
    private var lastSent: Instant?
    private var heardUntil = Instant.zero
    private var heard = 0

    package init(random: inout SeededRandom) { cookie = Array(Hex.encode((0..<8).map { _ in UInt8(truncatingIfNeeded: random.next()) }).utf8) }

    /// Needs a torrent that is not private (BEP 27).
    package mutating func add(_ id: TorrentID, _ infoHash: InfoHash, now: Instant) {
        guard rows[infoHash] == nil else { return }
        let row = free.popLast() ?? torrents.count
        if row == torrents.count { torrents.append((id, infoHash)) } else { torrents[row] = (id, infoHash) }
        rows[infoHash] = row
        queue.set(row, now)
    }
    package mutating func remove(_ infoHash: InfoHash) {
        guard let row = rows.removeValue(forKey: infoHash) else { return }
        queue.remove(row)
        free.append(row)
    }

    package var nextDeadline: Instant {
        guard let first = queue.top else { return .never }
        return max(first.due, lastSent.map { $0 + Self.spacing } ?? .zero)
    }

    /// What is to be sent now; nil when nothing is.
    package mutating func announce(port: UInt16, now: Instant) -> LSDMessage? {
        guard port != 0, nextDeadline <= now else { return nil }
        lastSent = now
        var due: [InfoHash] = []
        while due.count < LSDMessage.hashLimit, let next = queue.top, next.due <= now {
            due.append(torrents[next.row].infoHash)
            queue.set(next.row, now + Self.interval)
        }
        return LSDMessage(port: port, infoHashes: due, cookie: cookie)
    }

    /// Torrents of ours that a neighbour has, and where it listens.
    package mutating func heard(_ bytes: UnsafeRawBufferPointer, from source: Endpoint, now: Instant) -> [(TorrentID, Endpoint)] {
        if now >= heardUntil { (heardUntil, heard) = (now + .seconds(1), 0) }
        heard += 1
        guard heard <= Self.heardPerSecond, let message = LSDMessage(bytes), message.cookie != cookie else { return [] }
        let peer = Endpoint(high: source.high, low: source.low, port: message.port)
        // A link-local address says nothing without its interface, which an endpoint does not name.
        guard peer.isDialable, peer.isIPv4 || !peer.isLinkLocal else { return [] }
        return message.infoHashes.compactMap { hash in rows[hash].map { (torrents[$0].id, peer) } }
    }
}
