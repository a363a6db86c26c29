import PeerWire
import Primitives

/// Whom to dial, and how fast: at most 30 a second in all, one a minute to an address that never proved to be a peer (a
/// swarm must not be made to flood a third party; RELIABILITY N11), three failures and the address is dropped.
extension Swarm {
    /// The torrent may have somebody to dial.
    func wantDials(_ t: Int) {
        guard !torrents[t].inDialQueue, torrents[t].isOpenToPeers, !torrents[t].candidates.isEmpty else { return }
        torrents[t].inDialQueue = true
        dialQueue.append(Int32(t))
    }

    /// Dials as far as the budget allows, one torrent after the other.
    func dialSome(_ now: Instant, _ effects: inout EffectBuffer) {
        var looks = min(dialQueue.count, 64)
        while dialBudget >= 1, looks > 0, livePeers < configuration.maxGlobalPeers, halfOpen < configuration.maxHalfOpen {
            looks -= 1
            let t = Int(dialQueue.removeFirst())
            visitedRows += 1
            torrents[t].inDialQueue = false
            guard torrents[t].isOpenToPeers, !torrents[t].candidates.isEmpty else { continue }
            // Stays in the queue while anybody could become due.
            guard torrents[t].nextDial <= now, torrents[t].peers.count + torrents[t].dialling < peerLimit(t) else {
                wantDials(t)
                continue
            }
            let (choice, soonest) = torrents[t].candidates.best(now: now, skipSeeds: torrents[t].isFinished) { mayDial($0, now) }
            if let endpoint = choice {
                dialNow(t, endpoint, now, &effects)
                wantDials(t)
            } else if soonest != .never {
                torrents[t].nextDial = soonest
                wantDials(t)
            }
        }
    }

    /// True when it is one to try that was not known.
    @discardableResult
    func addCandidate(_ t: Int, _ endpoint: Endpoint, _ origin: PeerOrigin, flags: PexMessage.Flags = [], limit: Int, isVersion2: Bool = false) -> Bool {
        guard !isRefused(endpoint) else {
            filterCounts.addresses += 1
            return false
        }
        return torrents[t].candidates.add(
            endpoint, origin: origin, priority: priority(of: endpoint), flags: flags, limit: limit, isVersion2: isVersion2)
    }
    /// BEP 40. Our own address is what peers say it is, the port where we listen.
    func priority(of peer: Endpoint) -> UInt32 {
        var ours = addressVote.winner(for: peer) ?? Endpoint(ipv4: 0, port: 0)
        ours.port = listenPort
        return PeerPriority.of(ours, peer)
    }

    private func mayDial(_ c: Candidate, _ now: Instant) -> Bool {
        let key = AddressKey(c.endpoint)
        if reputation.isBanned(key, now: now) || isRefused(c.endpoint) { return false }
        if c.origin == .manual || proven[c.endpoint] != nil { return true }
        return recentDials[key].map { now - $0 >= .minutes(1) } ?? true
    }

    func dialNow(_ t: Int, _ endpoint: Endpoint, byUTP: Bool = false, _ now: Instant, _ effects: inout EffectBuffer) {
        guard let i = newPeer(now: now) else { return }
        dialBudget -= 1
        recentDials[AddressKey(endpoint)] = now
        peers[i].stage = .dialling
        peers[i].torrent = Int32(t)
        peers[i].endpoint = endpoint
        peers[i].listens = endpoint
        peers[i].isMeeting = byUTP
        torrents[t].dialling += 1
        halfOpen += 1
        var origin = PeerOrigin.tracker, usesOtherWay = false
        torrents[t].candidates.update(endpoint) {
            $0.state = .dialling
            origin = $0.origin
            usesOtherWay = $0.usesOtherWay
        }
        peers[i].origin = origin
        peers[i].dialsEncrypted = configuration.dialsEncryptedFirst != usesOtherWay
        effects.append(byUTP ? .dialByUTP(handle(i), endpoint) : .dial(handle(i), endpoint))
    }

    /// Once a minute: forget what no longer limits anything.
    func forgetOldDials(_ now: Instant) {
        recentDials = recentDials.filter { now - $0.value < .minutes(1) }
        rendezvous.recent = rendezvous.recent.filter { now - $0.value < .minutes(1) }
        proven = proven.filter { now - $0.value < .minutes(60) }
    }

    /// Few peers and nobody to dial: ask for more, once a minute at most.
    func askForPeers(_ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard torrents[t].isOpenToPeers, !torrents[t].isFinished, torrents[t].peers.count + torrents[t].dialling < 20,
            now - torrents[t].lastMoreWanted >= .minutes(1), !torrents[t].candidates.list.contains(where: { $0.state == .idle && $0.nextTry <= now })
        else { return }
        torrents[t].lastMoreWanted = now
        effects.append(.morePeersWanted(torrent: torrents[t].id))
    }
}
