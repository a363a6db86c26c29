import PeerWire
import Primitives

/// Meeting peers that cannot be dialled (BEP 55): a peer that both sides are connected to tells each to dial the other at one time,
/// so that each one's NAT or firewall has seen a datagram go out before one comes in.
///
///     dial failed ─▶ rendezvous to a relay ─▶ connect from it ─▶ dialByUTP
///                         (we as relay: connect to both sides)     (we as target: the same)
///
/// Bounds: three relays for an address; 32 addresses waiting; of each peer 20 messages a minute, since each may make us
/// or somebody else send SYNs to an address of its choice.
struct Rendezvous {
    struct Pending {
        var endpoint: Endpoint
        var torrent: TorrentID
        var since: Instant
        /// Peers that were asked.
        var relays: [PeerHandle]
    }
    static let pendingLimit = 32
    static let relayLimit = 3
    /// A relay that has not answered after so long is taken for unwilling.
    static let patience = TimeSpan.seconds(5)
    var pending: [Pending] = []
    /// Unasked meetings of the last minute. At most one for each token of the dial budget, so 1,800.
    var recent: [AddressKey: Instant] = [:]
}

struct HolepunchBudget {
    static let perMinute = 20
    var windowStart = Instant.zero
    var used = 0

    mutating func take(_ now: Instant) -> Bool {
        if now - windowStart >= .minutes(1) || windowStart == .zero { (windowStart, used) = (now, 0) }
        used += 1
        return used <= Self.perMinute
    }
}

extension Swarm {
    private func tell(_ i: Int, _ message: HolepunchMessage, _ now: Instant, _ effects: inout EffectBuffer) {
        send(i, .extended(id: peers[i].holepunchID, payload: effects.keep(message.encode())), now, &effects)
    }

    /// Where others reach it: over uTP the very address and port that it sends from, over TCP the port that it told us.
    private func publicEndpoint(_ i: Int) -> Endpoint { peers[i].overUTP ? peers[i].endpoint : peers[i].listens ?? peers[i].endpoint }

    private func isPeer(_ i: Int, at endpoint: Endpoint) -> Bool { peers[i].endpoint == endpoint || peers[i].listens == endpoint }

    // MARK: Initiator

    /// A dial came to nothing. One at a relay's word is the end of it, on both sides: else the two would call each other back for ever.
    func dialEnded(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        let endpoint = peers[i].endpoint
        guard peers[i].isMeeting else { return seekRendezvous(t, endpoint, now, &effects) }
        rendezvous.pending.removeAll { $0.endpoint == endpoint }
    }

    /// Somebody who may be connected to the address is asked, one after the other.
    private func seekRendezvous(_ t: Int, _ endpoint: Endpoint, _ now: Instant, _ effects: inout EffectBuffer) {
        guard configuration.speaksUTP, torrents[t].isOpenToPeers, endpoint.isDialable else { return }
        guard rendezvous.pending.count < Rendezvous.pendingLimit, !rendezvous.pending.contains(where: { $0.endpoint == endpoint }) else { return }
        rendezvous.pending.append(.init(endpoint: endpoint, torrent: torrents[t].id, since: now, relays: []))
        if !askRelay(rendezvous.pending.count - 1, now, &effects) { rendezvous.pending.removeLast() }
    }

    /// False when nobody is left to ask.
    private func askRelay(_ at: Int, _ now: Instant, _ effects: inout EffectBuffer) -> Bool {
        let wanted = rendezvous.pending[at]
        guard wanted.relays.count < Rendezvous.relayLimit, let t = rowOfTorrent[wanted.torrent] else { return false }
        let able = torrents[Int(t)].peers.filter { q in
            let j = Int(q)
            return peers[j].stage == .open && peers[j].holepunchID != 0 && !isPeer(j, at: wanted.endpoint) && !wanted.relays.contains(handle(j))
        }
        guard !able.isEmpty else { return false }
        let relay = Int(able[random.below(able.count)])
        rendezvous.pending[at].relays.append(handle(relay))
        rendezvous.pending[at].since = now
        tell(relay, HolepunchMessage(.rendezvous, wanted.endpoint), now, &effects)
        return true
    }

    /// Relays that do not answer are passed over.
    func tickRendezvous(_ now: Instant, _ effects: inout EffectBuffer) {
        for at in rendezvous.pending.indices.reversed() where now - rendezvous.pending[at].since >= Rendezvous.patience {
            if !askRelay(at, now, &effects) { rendezvous.pending.remove(at: at) }
        }
    }

    // MARK: Messages

    func holepunch(_ i: Int, _ t: Int, _ message: HolepunchMessage, _ now: Instant, _ effects: inout EffectBuffer) {
        // Who does not say that it speaks the extension is not answered.
        guard configuration.speaksUTP, peers[i].holepunchID != 0, peers[i].holepunches.take(now) else { return }
        switch message.kind {
        case .rendezvous: relay(i, t, message.endpoint, now, &effects)
        case .connect: meet(i, t, message.endpoint, now, &effects)
        case .error:
            guard let at = rendezvous.pending.firstIndex(where: { $0.endpoint == message.endpoint && $0.relays.last == handle(i) }) else { return }
            if !askRelay(at, now, &effects) { rendezvous.pending.remove(at: at) }
        }
    }

    /// We are asked to bring `i` and the peer at `endpoint` together.
    private func relay(_ i: Int, _ t: Int, _ endpoint: Endpoint, _ now: Instant, _ effects: inout EffectBuffer) {
        guard endpoint.isDialable else { return tell(i, HolepunchMessage(.error, endpoint, failure: .noSuchPeer), now, &effects) }
        guard !isPeer(i, at: endpoint) else { return tell(i, HolepunchMessage(.error, endpoint, failure: .noSuchPeer), now, &effects) }
        guard let q = torrents[t].peers.first(where: { isPeer(Int($0), at: endpoint) && peers[Int($0)].stage == .open }) else {
            return tell(i, HolepunchMessage(.error, endpoint, failure: .notConnected), now, &effects)
        }
        let target = Int(q)
        guard peers[target].holepunchID != 0 else { return tell(i, HolepunchMessage(.error, endpoint, failure: .noSupport), now, &effects) }
        tell(target, HolepunchMessage(.connect, publicEndpoint(i)), now, &effects)
        // The initiator knows the target by this address.
        tell(i, HolepunchMessage(.connect, endpoint), now, &effects)
    }

    /// We are told to dial: since we asked, or since somebody else did.
    private func meet(_ i: Int, _ t: Int, _ endpoint: Endpoint, _ now: Instant, _ effects: inout EffectBuffer) {
        let key = AddressKey(endpoint)
        let asked = rendezvous.pending.contains { $0.endpoint == endpoint && $0.relays.contains(handle(i)) }
        guard endpoint.isDialable, !reputation.isBanned(key, now: now), !isRefused(endpoint), torrents[t].isOpenToPeers,
            torrents[t].peers.count + torrents[t].dialling < configuration.maxPeersPerTorrent,
            !torrents[t].peers.contains(where: { isPeer(Int($0), at: endpoint) })
        else { return }
        if !asked {
            // Peers of a private torrent come from its tracker (BEP 27).
            guard !torrents[t].traits.contains(.isPrivate) || torrents[t].candidates.index(of: endpoint) != nil else { return }
            // Anybody may name any address: each is met once a minute (RELIABILITY N11), and within the budget of all dials. A dial of
            // our own that failed meanwhile does not count, since that is how both come to need each other.
            guard dialBudget >= 1, halfOpen < configuration.maxHalfOpen, rendezvous.recent[key].map({ now - $0 >= .minutes(1) }) ?? true else { return }
        }
        _ = torrents[t].candidates.add(endpoint, origin: .pex, limit: configuration.maxCandidatesPerTorrent)
        guard let at = torrents[t].candidates.index(of: endpoint), torrents[t].candidates.list[at].state == .idle else { return }
        // Until that dial has ended no other relay is asked.
        if let waiting = rendezvous.pending.firstIndex(where: { $0.endpoint == endpoint }) { rendezvous.pending[waiting].since = now + .seconds(20) }
        if !asked { rendezvous.recent[key] = now }
        dialNow(t, endpoint, byUTP: true, now, &effects)
    }
}
