import Primitives
import Supervision
import TrackerWire

/// The announce schedule of all torrents: which tracker is asked, when, with which event.
///
/// A torrent has one announce under way at the most and asks its trackers by BEP 12: tiers in order, shuffled
/// inside, a tracker that answers moves to the front of its tier. The tracker in use is the first that does not fail;
/// those before it are asked again when their back-off ends; those behind it are not asked.
///
/// ```
/// torrent:  idle ──due──▶ queued at the tracker's host ──turn──▶ under way ──ended──▶ idle
///             ▲             (pacing, limits, breaker)                                   │
///             └─────────────────────────────────────────────────────────────────────────┘
/// ```
///
/// Invariants:
/// - `heap` holds exactly the idle torrents that want something at a known time.
/// - `started`, `completed` and `stopped` are repeated only until the tracker has answered them.
/// - A tracker's list of a torrent changes its order or loses rows only while the torrent is idle.
package struct AnnounceCore: Sendable {
    package let configuration: Configuration
    var random: SeededRandom

    var torrents: [Torrent] = []
    var freeTorrents: [Int] = []
    var slots: [TorrentID: Int] = [:]
    /// Removed torrents that still owe a `stopped`: the same torrent added again waits for it.
    var departing: [InfoHash: Int] = [:]
    var heap = DeadlineHeap()

    var urls: [URLRow] = []
    var freeURLs: [Int] = []
    var urlSlots: [String: Int] = [:]
    var hosts: [HostRow] = []
    var freeHosts: [Int] = []
    var hostSlots: [String: Int] = [:]
    /// Hosts that have someone waiting and may begin something, by when.
    var hostHeap = DeadlineHeap()

    var requests: [Request] = []
    var freeRequests: [Int] = []
    var underWay = 0
    var queued = 0

    var replaying = false
    var announced = false
    var held = false
    var listenPort: UInt16 = 0
    var key: UInt32 = 0
    var peerID = PeerID()
    var localAddresses: Set<Endpoint> = []
    /// What trackers said our address is (BEP 24); the last few.
    var externalAddresses: [Endpoint] = []
    var drainDeadline: Instant?
    var drainedSaid = false

    package init(configuration: Configuration, random: SeededRandom) {
        self.configuration = configuration
        self.random = random
    }

    /// When ``Event/tick`` does something next.
    package var nextDeadline: Instant {
        if drainedSaid { return .never }
        var at = drainDeadline ?? .never
        if isActive {
            at = min(at, heap.top?.due ?? .never)
            if underWay < configuration.total { at = min(at, hostHeap.top?.due ?? .never) }
        }
        return at
    }
    /// Torrents known, those that only owe a `stopped` included.
    package var torrentCount: Int { torrents.count - freeTorrents.count }
    package var requestsUnderWay: Int { underWay }

    var isActive: Bool { announced && listenPort != 0 && !held }

    package mutating func handle(_ event: Event, now: Instant, into effects: inout [Effect]) {
        switch event {
        case .replayBegan: beginReplay()
        case .torrentAdded(let record): add(record, now, &effects)
        case .torrentRemoved(let id): remove(id, now)
        case .torrentPaused(let id, let paused): pause(id, paused, now)
        case .counters(let id, let downloaded, let uploaded, let left):
            guard let slot = slots[id] else { break }
            torrents[slot].downloaded = downloaded
            torrents[slot].uploaded = uploaded
            torrents[slot].left = left
        case .completed(let id): complete(id, now)
        case .completedAgain(let id, let trackers): completeAgain(id, trackers, now)
        case .announceNow(let id): announceNow(id, now)
        case .replayEnded(let port, let key, let peerID): endReplay(port, key, peerID, now)
        case .listenPort(let port): listenPort = port
        case .localAddresses(let addresses): localAddresses = Set(addresses.prefix(256).map(\.withoutPort))
        case .ended(let request, let outcome): ended(request, outcome, now, &effects)
        case .scraped(let id, let url, let entry): scraped(id, url, entry, &effects)
        case .held(let isHeld): held = isHeld
        case .drain(let deadline): drain(deadline, now)
        case .tick: break
        }
        pump(now, &effects)
        sayDrained(now, &effects)
    }

    /// Reports of up to `limit` torrents from row `cursor` on, which is moved; false when the last row was reached.
    /// For a reader that lost what it knew.
    package func report(from cursor: inout Int, limit: Int, into effects: inout [Effect]) -> Bool {
        let end = min(torrents.count, cursor + limit)
        while cursor < end {
            let torrent = torrents[cursor]
            if torrent.isUsed, !torrent.isDeparting {
                for tracker in torrent.trackers where !tracker.dropped && tracker.state != .notAsked {
                    effects.append(.report(report(torrent, tracker)))
                }
            }
            cursor += 1
        }
        return cursor < torrents.count
    }

    private mutating func drain(_ deadline: Instant, _ now: Instant) {
        guard drainDeadline == nil else { return }
        drainDeadline = deadline
        for slot in torrents.indices where torrents[slot].isUsed {
            for i in torrents[slot].trackers.indices { torrents[slot].trackers[i].stopDue = now }
            reschedule(slot, now)
        }
        // Those that wait in a queue are looked at when their turn comes: what they want is `stopped` by then. There
        // is no time for pacing.
        for host in hosts.indices where hosts[host].references > 0 { placeHost(host, now) }
    }

    private mutating func sayDrained(_ now: Instant, _ effects: inout [Effect]) {
        guard let deadline = drainDeadline, !drainedSaid else { return }
        let idle = underWay == 0 && (!isActive || (heap.isEmpty && queued == 0))
        guard idle || now >= deadline else { return }
        drainedSaid = true
        effects.append(.drained)
    }

    func report(_ torrent: Torrent, _ tracker: Tracker) -> TrackerReport {
        TrackerReport(
            torrent: torrent.id, tier: tracker.tier, url: urls[tracker.url].text, state: tracker.state,
            startedSent: tracker.startedSent, seeds: tracker.seeds, leechers: tracker.leechers, downloads: tracker.downloads,
            next: tracker.next, message: tracker.message, completedPending: tracker.completedPending)
    }

    func say(_ slot: Int, _ i: Int, _ effects: inout [Effect]) {
        guard !torrents[slot].isDeparting, !torrents[slot].trackers[i].dropped else { return }
        effects.append(.report(report(torrents[slot], torrents[slot].trackers[i])))
    }
}

extension Endpoint {
    var withoutPort: Endpoint { Endpoint(high: high, low: low, port: 0) }
}
