import Primitives
import Supervision
import TrackerWire

/// From "due" to "under way": the choice of the tracker, the queue of its host, pacing, limits and breaker.
extension AnnounceCore {
    /// What the tracker should hear next; nil for nothing.
    func wants(_ torrent: Torrent, _ tracker: Tracker) -> AnnounceEvent? {
        if torrent.isDeparting || torrent.paused || tracker.dropped || drainDeadline != nil {
            let limit = drainDeadline == nil ? Discovery.stopAttempts : 1
            return tracker.startedSent && tracker.failedStops < limit ? .stopped : nil
        }
        if urls[tracker.url].url == nil { return nil }
        if !tracker.startedSent { return .started }
        return tracker.completedPending ? .completed : AnnounceEvent.none
    }

    /// The tracker to ask next and when; nil when none is to be asked.
    func choice(_ torrent: Torrent) -> (tracker: Int, event: AnnounceEvent, due: Instant)? {
        if torrent.waitsFor >= 0 { return nil }
        var best: (tracker: Int, event: AnnounceEvent, due: Instant)?
        var reachedInUse = false
        for (i, tracker) in torrent.trackers.enumerated() {
            guard let event = wants(torrent, tracker) else { continue }
            let due: Instant
            if event == .stopped {
                due = tracker.stopDue
            } else {
                if reachedInUse { continue }
                due = tracker.next
                // Those behind the one in use are not asked (BEP 12).
                if tracker.isAvailable { reachedInUse = true }
            }
            if best.map({ due < $0.due }) ?? true { best = (i, event, due) }
        }
        return best.flatMap { $0.due == .never ? nil : $0 }
    }

    /// Puts an idle torrent where it belongs: into the heap, or out of the table when it has gone and owes nothing.
    mutating func reschedule(_ slot: Int, _ now: Instant) {
        guard torrents[slot].isUsed, torrents[slot].phase == .idle else { return }
        tidyTrackers(slot)
        if let choice = choice(torrents[slot]) {
            heap.set(slot, choice.due)
        } else if torrents[slot].isDeparting {
            freeTorrent(slot, now)
        } else {
            heap.remove(slot)
        }
    }

    private mutating func tidyTrackers(_ slot: Int) {
        var sorted = true, last: UInt16 = 0, gone = false
        for tracker in torrents[slot].trackers {
            if tracker.tier < last { sorted = false }
            last = tracker.tier
            if tracker.dropped, wants(torrents[slot], tracker) == nil { gone = true }
        }
        if gone {
            let torrent = torrents[slot]
            torrents[slot].trackers = torrent.trackers.filter { !$0.dropped || wants(torrent, $0) != nil }
            for tracker in torrent.trackers where tracker.dropped && wants(torrent, tracker) == nil { releaseURL(tracker.url) }
        }
        if !sorted {
            let keyed = torrents[slot].trackers.enumerated().sorted { ($0.element.tier, $0.offset) < ($1.element.tier, $1.offset) }
            torrents[slot].trackers = keyed.map(\.element)
        }
    }

    /// Moves due torrents to their hosts' queues and begins what limits and pacing allow.
    mutating func pump(_ now: Instant, _ effects: inout [Effect]) {
        guard isActive, !drainedSaid else { return }
        if let deadline = drainDeadline, now >= deadline { return }
        repeat {
            while let top = heap.top, top.due <= now { queue(top.row, now, &effects) }
            while underWay < configuration.total, let top = hostHeap.top, top.due <= now { beginAt(top.row, now, &effects) }
            // A breaker that was found open sends torrents back with another tracker due at once.
        } while (heap.top?.due ?? .never) <= now
    }

    private mutating func queue(_ slot: Int, _ now: Instant, _ effects: inout [Effect]) {
        guard let choice = choice(torrents[slot]), choice.due <= now else { return reschedule(slot, now) }
        let host = urls[torrents[slot].trackers[choice.tracker].url].host
        if hosts[host].breaker.state == .open, hosts[host].breaker.retryAt > now { return skip(slot, choice.tracker, now, &effects) }
        heap.remove(slot)
        torrents[slot].phase = .queued
        queued += 1
        // Who downloads waits for the answer; a seed does not.
        if torrents[slot].left > 0 || torrents[slot].isForced || choice.event == .completed {
            hosts[host].urgent.append(slot, torrents[slot].generation)
        } else {
            hosts[host].ordinary.append(slot, torrents[slot].generation)
        }
        placeHost(host, now)
    }

    func hostDue(_ host: Int, _ now: Instant) -> Instant {
        let row = hosts[host]
        if row.urgent.isEmpty && row.ordinary.isEmpty || row.underWay >= configuration.perHost || row.waitsForTrial { return .never }
        return drainDeadline == nil ? row.nextStart : now
    }
    mutating func placeHost(_ host: Int, _ now: Instant) { hostHeap.set(host, hostDue(host, now)) }

    /// The next in the host's queue that still wants this host.
    private mutating func nextWaiting(_ host: Int, _ now: Instant) -> (slot: Int, tracker: Int, event: AnnounceEvent)? {
        while let entry = hosts[host].urgent.popFirst() ?? hosts[host].ordinary.popFirst() {
            guard torrents[entry.slot].generation == entry.generation, torrents[entry.slot].phase == .queued else { continue }
            torrents[entry.slot].phase = .idle
            queued -= 1
            // It may have changed its mind while it waited.
            if let choice = choice(torrents[entry.slot]), choice.due <= now,
                urls[torrents[entry.slot].trackers[choice.tracker].url].host == host
            {
                return (entry.slot, choice.tracker, choice.event)
            }
            reschedule(entry.slot, now)
        }
        return nil
    }

    private mutating func beginAt(_ host: Int, _ now: Instant, _ effects: inout [Effect]) {
        defer { if hosts[host].references > 0 { placeHost(host, now) } }
        guard let next = nextWaiting(host, now) else { return }
        switch hosts[host].breaker.admit(now: now) {
        case .refused(let until) where hosts[host].breaker.state == .halfOpen && until <= now:
            // Someone's trial is out: all wait for what it finds.
            hosts[host].waitsForTrial = true
            torrents[next.slot].phase = .queued
            queued += 1
            hosts[host].urgent.append(next.slot, torrents[next.slot].generation)
        case .refused:
            skip(next.slot, next.tracker, now, &effects)
            skipAll(host, now, &effects)
        case .pass, .trial:
            begin(next.slot, next.tracker, next.event, host, now, &effects)
        }
    }

    private mutating func begin(
        _ slot: Int, _ i: Int, _ event: AnnounceEvent, _ host: Int, _ now: Instant, _ effects: inout [Effect]
    ) {
        heap.remove(slot)
        torrents[slot].phase = .underWay(i)
        torrents[slot].isForced = false
        hosts[host].underWay += 1
        underWay += 1
        // A bucket of `perHost` tokens: an idle host begins a handful at once, then keeps the pace.
        let gap = TimeSpan(nanoseconds: 1_000_000_000 / Int64(configuration.startsPerSecond))
        hosts[host].nextStart = max(hosts[host].nextStart, now - gap * (configuration.perHost - 1)) + gap
        // `started` with nothing left stands for the whole.
        if event == .started { torrents[slot].trackers[i].completedPending = false }
        torrents[slot].trackers[i].state = .announcing
        let torrent = torrents[slot]
        let request = AnnounceRequest(
            infoHash: torrent.infoHash, peerID: peerID, port: listenPort, uploaded: torrent.uploaded, downloaded: torrent.downloaded,
            left: torrent.left, event: event, numWant: event == .stopped ? 0 : configuration.numWant, key: key,
            trackerID: torrent.trackers[i].trackerID)
        say(slot, i, &effects)
        effects.append(.announce(takeRequest(torrent: slot, event: event, now: now), urls[torrent.trackers[i].url].url!, request))
    }

    /// The host's breaker is open: the next tracker's turn, and this one again when the breaker may have closed. The
    /// host's torrents are spread over as long as it takes to ask for all of them.
    mutating func skip(_ slot: Int, _ i: Int, _ now: Instant, _ effects: inout [Effect]) {
        let host = urls[torrents[slot].trackers[i].url].host
        let spread = TimeSpan.seconds(5 + hosts[host].references / configuration.startsPerSecond)
        let again = max(hosts[host].breaker.retryAt == .never ? now : hosts[host].breaker.retryAt, now) + random.jitter(spread)
        if wants(torrents[slot], torrents[slot].trackers[i]) == .stopped {
            if torrents[slot].isDeparting || torrents[slot].trackers[i].dropped || drainDeadline != nil {
                torrents[slot].trackers[i].startedSent = false
            } else {
                torrents[slot].trackers[i].stopDue = again
            }
            return reschedule(slot, now)
        }
        let isNew = torrents[slot].trackers[i].state != .breakerOpen
        torrents[slot].trackers[i].state = .breakerOpen
        torrents[slot].trackers[i].next = again
        if isNew {
            torrents[slot].trackers[i].message = hosts[host].breaker.reason ?? torrents[slot].trackers[i].message
            say(slot, i, &effects)
        }
        reschedule(slot, now)
    }

    mutating func skipAll(_ host: Int, _ now: Instant, _ effects: inout [Effect]) {
        while hosts[host].references > 0, let next = nextWaiting(host, now) { skip(next.slot, next.tracker, now, &effects) }
    }
}
