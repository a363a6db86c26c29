import Primitives
import Supervision
import TrackerWire

/// What an announce's end means for its tracker, its host and its torrent.
extension AnnounceCore {
    mutating func ended(_ id: RequestID, _ outcome: AnnounceOutcome, _ now: Instant, _ effects: inout [Effect]) {
        guard let request = endRequest(id) else { return }
        let slot = request.torrent
        guard case .underWay(let i) = torrents[slot].phase else { preconditionFailure("a request without its torrent") }
        let host = urls[torrents[slot].trackers[i].url].host
        torrents[slot].phase = .idle
        underWay -= 1
        hosts[host].underWay -= 1
        hosts[host].waitsForTrial = false
        judgeHost(host, outcome, request, now, &effects)

        switch outcome {
        case .answered(let answer, let from):
            succeeded(slot, i, request.event, answer, now)
            say(slot, i, &effects)
            takePeers(slot, answer, from, &effects)
            promote(slot, i)
        case .refused(let reason, let retry):
            failed(slot, i, request.event, reason, retry, now)
            say(slot, i, &effects)
        case .failed(let reason, _, let retryAfter):
            failed(slot, i, request.event, reason, retryAfter.map { .after($0) } ?? .unsaid, now)
            say(slot, i, &effects)
        }
        // Before the torrent may go, and its host with it.
        placeHost(host, now)
        reschedule(slot, now)
    }

    private mutating func judgeHost(
        _ host: Int, _ outcome: AnnounceOutcome, _ request: Request, _ now: Instant, _ effects: inout [Effect]
    ) {
        let transition: CircuitBreaker<String>.Transition?
        if case .failed(let reason, hostFault: true, _) = outcome {
            transition = hosts[host].breaker.failed(reason, now: now, random: &random)
        } else {
            transition = hosts[host].breaker.succeeded(took: now - request.begun, now: now, random: &random)
        }
        guard let transition else { return }
        effects.append(.breaker(host: hosts[host].key, transition))
        if transition.to == .open { skipAll(host, now, &effects) }
    }

    private mutating func succeeded(_ slot: Int, _ i: Int, _ event: AnnounceEvent, _ answer: AnnounceAnswer, _ now: Instant) {
        var tracker = torrents[slot].trackers[i]
        tracker.failures = 0
        tracker.failedStops = 0
        tracker.state = event == .stopped ? .notAsked : .working
        tracker.message = answer.warning ?? ""
        switch event {
        case .started: tracker.startedSent = true
        case .completed: tracker.completedPending = false
        case .stopped: (tracker.startedSent, tracker.completedPending) = (false, false)
        case .none: break
        }
        if let id = answer.trackerID { tracker.trackerID = id }
        if let n = answer.seeds { tracker.seeds = Int32(clamping: n) }
        if let n = answer.leechers { tracker.leechers = Int32(clamping: n) }
        if let n = answer.downloads { tracker.downloads = Int32(clamping: n) }
        let minimum = max(Discovery.announceNowMinimum, answer.minInterval.map { .seconds(Int($0)) } ?? .zero)
        let interval = max(minimum, answer.interval.map { .seconds(Int($0)) } ?? configuration.interval)
        tracker.earliest = now + minimum
        // Late by up to a sixteenth, never early: torrents that began together drift apart.
        tracker.next = now + interval + random.jitter(interval / 16)
        // Ended while `started` was under way: the tracker hears of it at once.
        if tracker.completedPending { tracker.next = now }
        if let external = answer.externalAddress { learnExternal(external) }
        torrents[slot].trackers[i] = tracker
    }

    private mutating func failed(
        _ slot: Int, _ i: Int, _ event: AnnounceEvent, _ reason: String, _ retry: RetryAdvice, _ now: Instant
    ) {
        var tracker = torrents[slot].trackers[i]
        let span = min(Discovery.backoffMaximum, Discovery.backoffBase * (1 << min(tracker.failures, 10)))
        let backoff = max(Discovery.backoffMinimum, random.jitter(span))
        tracker.failures += 1
        tracker.state = .failing
        tracker.message = reason
        switch retry {
        case .unsaid:
            tracker.next = now + backoff
            tracker.earliest = now + min(backoff, Discovery.announceNowMinimum)
        case .after(let seconds):
            let wait = max(Discovery.backoffMinimum, min(Discovery.neverAgain, .seconds(Int(seconds))))
            tracker.next = now + wait + random.jitter(wait / 16)
            tracker.earliest = now + wait
        case .never:
            tracker.next = .never
            tracker.earliest = now + Discovery.announceNowMinimum
        }
        if event == .stopped {
            tracker.failedStops = retry == .never ? Discovery.stopAttempts : tracker.failedStops + 1
            tracker.stopDue = max(now + backoff, retry == .unsaid ? now : tracker.earliest)
            // Given up: it forgets us by itself.
            if tracker.failedStops >= Discovery.stopAttempts { tracker.startedSent = false }
        }
        torrents[slot].trackers[i] = tracker
    }

    /// BEP 12: the tracker that answered is tried first in its tier.
    private mutating func promote(_ slot: Int, _ i: Int) {
        let tier = torrents[slot].trackers[i].tier
        guard let front = torrents[slot].trackers.firstIndex(where: { $0.tier == tier }), front < i else { return }
        let tracker = torrents[slot].trackers.remove(at: i)
        torrents[slot].trackers.insert(tracker, at: front)
    }

    private mutating func takePeers(_ slot: Int, _ answer: AnnounceAnswer, _ from: Endpoint?, _ effects: inout [Effect]) {
        guard !torrents[slot].isDeparting, !torrents[slot].paused, !answer.peers.isEmpty else { return }
        // A tracker of the public network has no business to name this machine's own services.
        let fromPublic = from.map { !$0.isLoopback && !$0.isPrivate && !$0.isLinkLocal } ?? true
        let peers = answer.peers.prefix(TrackerWire.peerLimit).filter { peer in
            peer.isDialable && !isOurs(peer) && !(fromPublic && (peer.isLoopback || peer.isLinkLocal))
        }
        if !peers.isEmpty { effects.append(.peers(torrents[slot].id, Array(peers))) }
    }

    private func isOurs(_ peer: Endpoint) -> Bool {
        guard peer.port == listenPort else { return false }
        let address = peer.withoutPort
        return peer.isLoopback || localAddresses.contains(address) || externalAddresses.contains(address)
    }

    private mutating func learnExternal(_ address: Endpoint) {
        let plain = address.withoutPort
        guard !plain.isUnspecified, !plain.isMulticast, !externalAddresses.contains(plain) else { return }
        if externalAddresses.count == 8 { externalAddresses.removeFirst() }
        externalAddresses.append(plain)
    }
}
