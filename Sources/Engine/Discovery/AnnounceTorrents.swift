import Primitives
import TrackerWire

/// What the catalogue's owner tells: torrents come, change and go.
extension AnnounceCore {
    mutating func beginReplay() {
        replaying = true
        for slot in torrents.indices { torrents[slot].isNamed = false }
    }

    mutating func endReplay(_ port: UInt16, _ key: UInt32, _ peerID: PeerID, _ now: Instant) {
        if replaying {
            replaying = false
            for slot in torrents.indices where torrents[slot].isUsed && !torrents[slot].isDeparting && !torrents[slot].isNamed {
                remove(torrents[slot].id, now)
            }
        }
        listenPort = port
        self.key = key
        self.peerID = peerID
        announced = true
    }

    mutating func add(_ record: TorrentRecord, _ now: Instant, _ effects: inout [Effect]) {
        if let slot = slots[record.id] {
            if torrents[slot].infoHash == record.infoHash { return change(slot, record, now, &effects) }
            // The magnet's metadata turned out to be of another swarm, or the id was used twice: another torrent.
            remove(record.id, now)
        }
        let slot = takeTorrentSlot()
        slots[record.id] = slot
        torrents[slot].isUsed = true
        torrents[slot].id = record.id
        torrents[slot].infoHash = record.infoHash
        torrents[slot].isNamed = true
        torrents[slot].trackers = ordered(record.trackers, now)
        copyFigures(record, to: slot)
        torrents[slot].paused = record.paused
        if let earlier = departing[record.infoHash], torrents[earlier].successor < 0 {
            torrents[earlier].successor = slot
            torrents[slot].waitsFor = earlier
        }
        for i in torrents[slot].trackers.indices where torrents[slot].trackers[i].state != .notAsked { say(slot, i, &effects) }
        reschedule(slot, now)
    }

    /// Rows in the order of trial: tiers rising, shuffled inside, those that know us first (BEP 12: the one that
    /// answered last time stays in front).
    private mutating func ordered(_ records: [TrackerRecord], _ now: Instant) -> [Tracker] {
        var rows: [Tracker] = [], seen: Set<String> = []
        for record in records {
            if rows.count == Discovery.trackersPerTorrent { break }
            guard seen.insert(record.url).inserted else { continue }
            rows.append(newTracker(record, now))
        }
        rows.shuffle(using: &random)
        let keyed = rows.enumerated().sorted {
            ($0.element.tier, $0.element.startedSent ? 0 : 1, $0.offset) < ($1.element.tier, $1.element.startedSent ? 0 : 1, $1.offset)
        }
        return keyed.map(\.element)
    }

    private mutating func newTracker(_ record: TrackerRecord, _ now: Instant) -> Tracker {
        let next = min(max(record.next, now), now + Discovery.neverAgain)
        var row = Tracker(url: retainURL(record.url), tier: record.tier, next: next, earliest: next)
        row.startedSent = record.startedSent
        if urls[row.url].url == nil {
            row.state = .failing
            row.failures = 1
            row.next = .never
            row.startedSent = false
            row.message = "not a tracker address that can be asked (http, https and udp can, unless switched off)"
        } else if next > now, !record.startedSent {
            // It has a schedule but never saw `started`: it was failing, and the next one is in use.
            row.failures = 1
        }
        return row
    }

    private mutating func change(_ slot: Int, _ record: TorrentRecord, _ now: Instant, _ effects: inout [Effect]) {
        torrents[slot].isNamed = true
        copyFigures(record, to: slot)
        var wanted: [String: UInt16] = [:], fresh: [TrackerRecord] = []
        for tracker in record.trackers.prefix(Discovery.trackersPerTorrent) where wanted[tracker.url] == nil {
            wanted[tracker.url] = tracker.tier
            fresh.append(tracker)
        }
        for i in torrents[slot].trackers.indices {
            let text = urls[torrents[slot].trackers[i].url].text
            if let tier = wanted.removeValue(forKey: text) {
                torrents[slot].trackers[i].tier = tier
                torrents[slot].trackers[i].dropped = false
            } else if !torrents[slot].trackers[i].dropped {
                torrents[slot].trackers[i].dropped = true
                torrents[slot].trackers[i].stopDue = now
            }
        }
        // New ones behind the known ones; the order by tier is made when the torrent is idle.
        for tracker in fresh where wanted[tracker.url] != nil {
            torrents[slot].trackers.append(newTracker(tracker, now))
            if torrents[slot].trackers.last!.state != .notAsked { say(slot, torrents[slot].trackers.count - 1, &effects) }
        }
        let id = torrents[slot].id
        if torrents[slot].paused != record.paused { pause(id, record.paused, now) } else { reschedule(slot, now) }
    }

    private mutating func copyFigures(_ record: TorrentRecord, to slot: Int) {
        torrents[slot].downloaded = record.downloaded
        torrents[slot].uploaded = record.uploaded
        torrents[slot].left = record.left
    }

    mutating func remove(_ id: TorrentID, _ now: Instant) {
        guard let slot = slots.removeValue(forKey: id) else { return }
        torrents[slot].isDeparting = true
        for i in torrents[slot].trackers.indices { torrents[slot].trackers[i].stopDue = now }
        if departing[torrents[slot].infoHash] == nil { departing[torrents[slot].infoHash] = slot }
        reschedule(slot, now)
    }

    mutating func pause(_ id: TorrentID, _ paused: Bool, _ now: Instant) {
        guard let slot = slots[id], torrents[slot].paused != paused else { return }
        torrents[slot].paused = paused
        for i in torrents[slot].trackers.indices {
            if paused {
                torrents[slot].trackers[i].stopDue = now
                torrents[slot].trackers[i].failedStops = 0
            } else if !torrents[slot].trackers[i].startedSent, torrents[slot].trackers[i].isAvailable {
                // It was told `stopped`, so `started` is news to it and no early announce.
                torrents[slot].trackers[i].next = now
            }
        }
        reschedule(slot, now)
    }

    mutating func complete(_ id: TorrentID, _ now: Instant) {
        guard let slot = slots[id] else { return }
        torrents[slot].left = 0
        for i in torrents[slot].trackers.indices {
            // One that is hearing `started` just now heard a `left` above 0. One that has heard nothing will hear
            // `started` with nothing left, which is no download ended.
            let hearsStarted = torrents[slot].phase == .underWay(i)
            guard torrents[slot].trackers[i].startedSent || hearsStarted else { continue }
            torrents[slot].trackers[i].completedPending = true
            if torrents[slot].trackers[i].isAvailable { torrents[slot].trackers[i].next = now }
        }
        reschedule(slot, now)
    }

    mutating func completeAgain(_ id: TorrentID, _ trackers: [String], _ now: Instant) {
        guard let slot = slots[id] else { return }
        for i in torrents[slot].trackers.indices where trackers.contains(urls[torrents[slot].trackers[i].url].text) {
            torrents[slot].trackers[i].completedPending = true
            if torrents[slot].trackers[i].isAvailable { torrents[slot].trackers[i].next = now }
        }
        reschedule(slot, now)
    }

    mutating func announceNow(_ id: TorrentID, _ now: Instant) {
        guard let slot = slots[id] else { return }
        torrents[slot].isForced = true
        for i in torrents[slot].trackers.indices where urls[torrents[slot].trackers[i].url].url != nil {
            let soonest = max(now, torrents[slot].trackers[i].earliest)
            if torrents[slot].trackers[i].next > soonest { torrents[slot].trackers[i].next = soonest }
        }
        reschedule(slot, now)
    }
}
