import Primitives
import Supervision
import TrackerWire

/// The rows that ``AnnounceCore`` is made of. A torrent with one tracker costs some 330 bytes (measured with 50,000);
/// URLs are kept once, however many torrents share them.

struct Torrent: Sendable {
    enum Phase: Equatable, Sendable {
        case idle
        case queued
        /// Index of the tracker asked.
        case underWay(Int)
    }
    var id = TorrentID(rawValue: 0)
    var infoHash = InfoHash()
    var isUsed = false
    var generation: UInt32 = 0
    var paused = false
    /// Removed; kept until its `stopped` is said or given up.
    var isDeparting = false
    /// Named by the replay under way.
    var isNamed = false
    /// Asked for by the user: goes ahead of the others at its host.
    var isForced = false
    var phase = Phase.idle
    /// In the order in which they are tried: tiers rising.
    var trackers: [Tracker] = []
    var downloaded: UInt64 = 0, uploaded: UInt64 = 0, left: UInt64 = 0
    /// A departing torrent of the same info-hash whose `stopped` has to come first; -1: none.
    var waitsFor = -1
    /// The torrent that waits for this one; -1: none.
    var successor = -1
}

struct Tracker: Sendable {
    var url: Int
    var tier: UInt16
    var state = TrackerState.notAsked
    var startedSent = false
    var completedPending = false
    /// No longer among the torrent's trackers; goes when its `stopped` is said.
    var dropped = false
    /// Since the last success.
    var failures = 0
    var failedStops = 0
    var next: Instant
    /// Before this it is not asked, whoever wants it.
    var earliest: Instant
    var stopDue = Instant.zero
    var seeds: Int32 = -1, leechers: Int32 = -1, downloads: Int32 = -1
    var trackerID: [UInt8] = []
    var message = ""

    /// May be the one in use.
    var isAvailable: Bool { failures == 0 && state != .breakerOpen }
}

struct URLRow: Sendable {
    var text = ""
    /// nil: nothing that we can ask.
    var url: TrackerURL?
    var host = -1
    var references = 0
}

struct HostRow: Sendable {
    var key = ""
    var references = 0
    var underWay = 0
    /// Pacing: no sooner than this.
    var nextStart = Instant.zero
    /// A half-open breaker's trial is out; nothing is begun until it is back.
    var waitsForTrial = false
    var urgent = WaitingLine()
    var ordinary = WaitingLine()
    var breaker: CircuitBreaker<String>
}

/// First in, first out; entries of torrents that have gone meanwhile are skipped by their generation.
struct WaitingLine: Sendable {
    private var entries: [(slot: Int32, generation: UInt32)] = []
    private var head = 0

    var isEmpty: Bool { head == entries.count }

    mutating func append(_ slot: Int, _ generation: UInt32) { entries.append((Int32(slot), generation)) }

    mutating func popFirst() -> (slot: Int, generation: UInt32)? {
        guard head < entries.count else { return nil }
        let entry = entries[head]
        head += 1
        if head == entries.count {
            entries.removeAll(keepingCapacity: head <= 64)
            head = 0
        } else if head >= 1_024, head * 2 > entries.count {
            entries.removeFirst(head)
            head = 0
        }
        return (Int(entry.slot), entry.generation)
    }
}

struct Request: Sendable {
    var isUsed = false
    var generation: UInt32 = 0
    var torrent = 0
    var event = AnnounceEvent.none
    var begun = Instant.zero
}

extension AnnounceCore {
    mutating func takeTorrentSlot() -> Int {
        if let slot = freeTorrents.popLast() { return slot }
        torrents.append(Torrent())
        return torrents.count - 1
    }

    /// Gives the row back. Needs an idle torrent.
    mutating func freeTorrent(_ slot: Int, _ now: Instant) {
        precondition(torrents[slot].phase == .idle)
        heap.remove(slot)
        for tracker in torrents[slot].trackers { releaseURL(tracker.url) }
        let torrent = torrents[slot]
        if departing[torrent.infoHash] == slot { departing[torrent.infoHash] = nil }
        if torrent.waitsFor >= 0 { torrents[torrent.waitsFor].successor = -1 }
        torrents[slot] = Torrent()
        torrents[slot].generation = torrent.generation &+ 1
        freeTorrents.append(slot)
        if torrent.successor >= 0 {
            torrents[torrent.successor].waitsFor = -1
            reschedule(torrent.successor, now)
        }
    }

    mutating func retainURL(_ text: String) -> Int {
        if let known = urlSlots[text] {
            urls[known].references += 1
            return known
        }
        let parsed = TrackerURL(text)
        var row = URLRow(text: text, url: parsed, host: -1, references: 1)
        let enabled = parsed.map { $0.scheme == .udp ? configuration.udpEnabled : configuration.httpEnabled } ?? false
        if let parsed, enabled { row.host = retainHost(parsed.hostKey) } else { row.url = nil }
        let slot = freeURLs.popLast() ?? urls.count
        if slot == urls.count { urls.append(row) } else { urls[slot] = row }
        urlSlots[text] = slot
        return slot
    }

    mutating func releaseURL(_ slot: Int) {
        urls[slot].references -= 1
        guard urls[slot].references == 0 else { return }
        let row = urls[slot]
        urlSlots[row.text] = nil
        urls[slot] = URLRow()
        freeURLs.append(slot)
        guard row.host >= 0 else { return }
        hosts[row.host].references -= 1
        guard hosts[row.host].references == 0 else { return }
        // A request under way keeps its torrent, and that its URL, so nothing is under way here.
        precondition(hosts[row.host].underWay == 0)
        hostSlots[hosts[row.host].key] = nil
        hostHeap.remove(row.host)
        freeHosts.append(row.host)
    }

    private mutating func retainHost(_ key: String) -> Int {
        if let known = hostSlots[key] {
            hosts[known].references += 1
            return known
        }
        let row = HostRow(key: key, references: 1, breaker: CircuitBreaker(limits: .tracker))
        let slot = freeHosts.popLast() ?? hosts.count
        if slot == hosts.count { hosts.append(row) } else { hosts[slot] = row }
        hostSlots[key] = slot
        return slot
    }

    mutating func takeRequest(torrent: Int, event: AnnounceEvent, now: Instant) -> RequestID {
        let slot = freeRequests.popLast() ?? requests.count
        if slot == requests.count { requests.append(Request()) }
        requests[slot].isUsed = true
        requests[slot].torrent = torrent
        requests[slot].event = event
        requests[slot].begun = now
        return RequestID(slot: UInt32(slot), generation: requests[slot].generation)
    }

    /// nil for a request that is not under way.
    mutating func endRequest(_ id: RequestID) -> Request? {
        let slot = Int(id.slot)
        guard slot < requests.count, requests[slot].isUsed, requests[slot].generation == id.generation else { return nil }
        let request = requests[slot]
        requests[slot].isUsed = false
        requests[slot].generation &+= 1
        freeRequests.append(slot)
        return request
    }
}
