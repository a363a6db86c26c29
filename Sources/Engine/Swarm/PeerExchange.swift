import PeerWire
import Primitives

/// Who came and went in a torrent, in order: what ut_pex messages are made of (BEP 11, implementation note). Each peer has a cursor
/// into it. Bounded: of more than ``limit`` entries the older half is forgotten, and a peer whose cursor stood there misses it.
final class PexLog {
    struct Entry {
        let endpoint: Endpoint
        let peer: PeerHandle
        let flags: PexMessage.Flags
        let joined: Bool
    }
    private(set) var entries: [Entry] = []
    /// Entries that were forgotten.
    private(set) var first = 0
    static let limit = 2_048
    var end: Int { first + entries.count }

    func append(_ entry: Entry) {
        if entries.count == Self.limit {
            entries.removeFirst(Self.limit / 2)
            first += Self.limit / 2
        }
        entries.append(entry)
    }

    /// What changed between `cursor` and the end, `but` left out, up to ``limitPerMessage`` contacts of each kind: who came
    /// and went in between is not named. Also the cursor up to which that goes.
    func changes(after cursor: Int, but: Endpoint?) -> (added: [Entry], dropped: [Endpoint], cursor: Int) {
        struct Net {
            let entry: Entry
            /// Known to the receiver before; there now.
            let was: Bool
            var `is`: Bool
        }
        var nets: [Net] = [], place: [Endpoint: Int] = [:], added = 0, dropped = 0
        var at = max(cursor, first)
        while at < end {
            let entry = entries[at - first]
            if entry.endpoint != but {
                let known = place[entry.endpoint]
                let before = known.map { (nets[$0].was, nets[$0].is) } ?? (!entry.joined, !entry.joined)
                func count(_ is: Bool, _ was: Bool) -> (Int, Int) { (was ? 0 : `is` ? 1 : 0, was && !`is` ? 1 : 0) }
                let old = count(before.1, before.0), new = count(entry.joined, before.0)
                guard added + new.0 - old.0 <= Swarm.exchangeLimit, dropped + new.1 - old.1 <= Swarm.exchangeLimit else { break }
                (added, dropped) = (added + new.0 - old.0, dropped + new.1 - old.1)
                if let known {
                    nets[known] = Net(entry: entry, was: nets[known].was, is: entry.joined)
                } else {
                    place[entry.endpoint] = nets.count
                    nets.append(Net(entry: entry, was: !entry.joined, is: entry.joined))
                }
            }
            at += 1
        }
        return (nets.filter { !$0.was && $0.is }.map(\.entry), nets.filter { $0.was && !$0.is }.map(\.entry.endpoint), at)
    }
}

/// Peer exchange (BEP 11): at most one message a minute to each peer, at most 50 contacts added and 50 dropped, the first with
/// whoever is there. What comes in is hearsay: bounded per sender and per torrent, and never a way into a network nearer than the sender's.
extension Swarm {
    static var exchangeLimit: Int { 50 }
    /// BEP 11 lets the first message be longer.
    private static var firstExchangeLimit: Int { 100 }
    private static var exchangeInterval: TimeSpan { .seconds(60) }
    /// After the handshake, so that the first message names more than one.
    private static var firstExchangeDelay: TimeSpan { .seconds(3) }
    /// Contacts taken from one sender over its connection's life.
    private static var contactsPerSender: Int { 300 }

    /// BEP 27: a private torrent's peers come from its tracker.
    func exchangesPeers(_ t: Int) -> Bool { configuration.enablePex && !torrents[t].traits.contains(.isPrivate) }

    // MARK: Telling

    /// The connection can be named to others, once it is known where the peer listens.
    func listForExchange(_ i: Int, _ t: Int) {
        guard peers[i].stage == .open, peers[i].pexListed == nil, exchangesPeers(t) else { return }
        guard let endpoint = peers[i].isIncoming ? peers[i].listens : peers[i].endpoint, endpoint.isDialable else { return }
        peers[i].pexListed = endpoint
        if !peers[i].isIncoming { peers[i].pexFlags.insert(.isReachable) }
        if torrents[t].pex == nil { torrents[t].pex = PexLog() }
        torrents[t].pex!.append(PexLog.Entry(endpoint: endpoint, peer: handle(i), flags: flagsOf(i), joined: true))
    }

    func unlistForExchange(_ i: Int, _ t: Int) {
        if let endpoint = peers[i].pexListed {
            torrents[t].pex?.append(PexLog.Entry(endpoint: endpoint, peer: handle(i), flags: [], joined: false))
            peers[i].pexListed = nil
        }
        // This one is still counted or gone already; with nobody left there is nobody to tell.
        if torrents[t].peers.isEmpty { torrents[t].pex = nil }
    }

    private func flagsOf(_ i: Int) -> PexMessage.Flags {
        peers[i].isSeed || peers[i].uploadOnly ? peers[i].pexFlags.union(.isSeed) : peers[i].pexFlags
    }

    /// Once a second for each active torrent.
    func exchangePeers(_ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard let log = torrents[t].pex, exchangesPeers(t) else { return }
        for q in torrents[t].peers {
            let i = Int(q)
            guard peers[i].pexID != 0, peers[i].pexNext <= now, peers[i].pexCursor != log.end else { continue }
            let message = peers[i].pexCursor.map { news(i, log, since: $0) } ?? whoIsHere(i, t, log)
            guard !message.added.isEmpty || !message.dropped.isEmpty else { continue }
            peers[i].pexNext = now + Self.exchangeInterval
            send(i, .extended(id: peers[i].pexID, payload: effects.keep(message.encode())), now, &effects)
        }
    }

    private func news(_ i: Int, _ log: PexLog, since cursor: Int) -> PexMessage {
        let changes = log.changes(after: cursor, but: peers[i].pexListed)
        peers[i].pexCursor = changes.cursor
        return PexMessage(
            added: changes.added.map { entry in PexMessage.Contact(entry.endpoint, row(entry.peer).map(flagsOf) ?? entry.flags) }, dropped: changes.dropped)
    }

    /// From a random one on, so that a large swarm is not named from one end.
    private func whoIsHere(_ i: Int, _ t: Int, _ log: PexLog) -> PexMessage {
        let count = torrents[t].peers.count, start = random.below(count)
        var message = PexMessage(), seen: Set<Endpoint> = []
        for n in 0..<count where message.added.count < Self.firstExchangeLimit {
            let j = Int(torrents[t].peers[(start + n) % count])
            guard j != i, let endpoint = peers[j].pexListed, seen.insert(endpoint).inserted else { continue }
            message.added.append(PexMessage.Contact(endpoint, flagsOf(j)))
        }
        // Nobody else yet: the first message is still to come.
        if !message.added.isEmpty { peers[i].pexCursor = log.end }
        return message
    }

    // MARK: Hearing

    func exchangeReceived(_ i: Int, _ t: Int, _ payload: UnsafeRawBufferPointer, _ now: Instant, _ effects: inout EffectBuffer) {
        // We did not offer it: ids of a former handshake, or of somebody who guesses.
        guard exchangesPeers(t) else { return }
        // One a minute; two more may come early, since clocks and first messages differ.
        let allowance = max(peers[i].pexHeard, now)
        guard allowance - now <= Self.exchangeInterval * 2 else { return punish(AddressKey(peers[i].endpoint), .exchangeFlood, now, &effects) }
        peers[i].pexHeard = allowance + Self.exchangeInterval
        guard let message = try? PexMessage(decoding: payload) else { return close(i, .badExtendedMessage, now, &effects) }

        let sender = AddressClass(peers[i].endpoint)
        let limit = torrents[t].isFinished ? configuration.maxCandidatesPerTorrent / 4 : configuration.maxCandidatesPerTorrent
        // BEP 11: several ports of one address are one peer that attacks it.
        var addresses: Set<AddressKey> = [], isNew = false
        for contact in message.added.prefix(peers[i].pexGiven == 0 ? Self.firstExchangeLimit : Self.exchangeLimit) {
            guard peers[i].pexGiven < Self.contactsPerSender else { break }
            peers[i].pexGiven += 1
            let kind = AddressClass(contact.endpoint)
            guard contact.endpoint.isDialable, kind != .forbidden, kind <= sender, addresses.insert(AddressKey(contact.endpoint)).inserted,
                !isOurs(contact.endpoint), !reputation.isBanned(AddressKey(contact.endpoint), now: now)
            else { continue }
            if addCandidate(t, contact.endpoint, .pex, flags: contact.flags, limit: limit) { isNew = true }
        }
        for endpoint in message.dropped { torrents[t].candidates.drop(endpoint) }
        guard isNew else { return }
        torrents[t].nextDial = .zero
        wantDials(t)
        dialSome(now, &effects)
    }

    private func isOurs(_ endpoint: Endpoint) -> Bool {
        guard endpoint.port == listenPort, let ours = addressVote.winner(for: endpoint) else { return false }
        return (ours.high, ours.low) == (endpoint.high, endpoint.low)
    }
}

extension Candidates {
    /// Another peer lost it: hearsay that nothing but hearsay supports goes.
    mutating func drop(_ endpoint: Endpoint) {
        guard let at = index(of: endpoint), list[at].origin == .pex, list[at].state == .idle, !list[at].isProven else { return }
        remove(endpoint)
    }
}
