import PeerWire
import Primitives

/// What the extended handshake negotiates beside metadata (BEP 9) and peer exchange (BEP 11), and the limits of each kind of message.
extension Swarm {
    /// From its extended handshake; a later one replaces an earlier one's ids (BEP 10).
    func takeExtensions(_ i: Int, _ t: Int, _ theirs: ExtendedHandshake, _ now: Instant, _ effects: inout EffectBuffer) {
        if peers[i].pexID == 0, theirs.pexID != nil { peers[i].pexNext = max(peers[i].pexNext, now + .seconds(3)) }
        peers[i].pexID = theirs.pexID ?? 0
        peers[i].dontHaveID = theirs.dontHaveID ?? 0
        peers[i].uploadOnlyID = theirs.uploadOnlyID ?? 0
        if theirs.prefersEncryption { peers[i].pexFlags.insert(.prefersEncryption) }
        if theirs.holepunchID != nil { peers[i].pexFlags.insert(.speaksHolepunch) }
        if let seen = theirs.yourAddress, let changed = addressVote.vote(seen, by: peers[i].endpoint) {
            effects.append(.externalAddress(changed, votes: addressVote.votes(for: changed)))
            for t in 0..<torrentRows where torrents[t].isLive && !torrents[t].candidates.isEmpty {
                torrents[t].candidates.rank(priority(of:))
            }
        }
    }

    // MARK: BEP 54

    /// It had the piece and has it no more. Requests for it are answered by rejects (BEP 6), or are lost as with a choke.
    func lacksPiece(_ i: Int, _ t: Int, _ piece: UInt32, _ now: Instant, _ effects: inout EffectBuffer) {
        guard let geometry = torrents[t].geometry else { return }
        guard let index = geometry.piece(piece) else { return close(i, .badIndex, now, &effects) }
        guard peers[i].have.contains(index.int) else { return }
        let wasSeed = peers[i].isSeed
        _ = peers[i].have.remove(index.int)
        if wasSeed {
            torrents[t].seeds -= 1
            if let picker = torrents[t].picker { peers[i].have.forEach { picker.increment($0) } }
        } else {
            torrents[t].picker?.decrement(index.int)
        }
        noteChange(t)
        guard torrents[t].wasReady else { return }
        // It was not told when we got it, having it itself.
        if torrents[t].have.contains(index.int) { send(i, .have(index), now, &effects) }
        recountUseful(i, t)
        if !peers[i].fast {
            for at in (0..<peers[i].requests.count).reversed() where open[Int(peers[i].requests[at].open)].piece == index {
                peers[i].forgiven += 1
                dropRequest(i, at: at)
            }
            leaveCurrent(i, now, &effects)
        }
        updateInterest(i, now, &effects)
        fillAll(t, now, &effects)
    }

    /// Tells those who believe that we have it. Who cannot be told (no BEP 54) would ask for it, and would not name it when he
    /// gets it himself: only a new connection brings both views together.
    func tellLost(_ t: Int, _ piece: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        for q in torrents[t].peers.reversed() where peers[Int(q)].dontHaveID == 0 && !peers[Int(q)].isWebSeed { close(Int(q), .piecesLost, now, &effects) }
        for q in torrents[t].peers where peers[Int(q)].dontHaveID != 0 {
            let i = Int(q)
            send(i, .extended(id: peers[i].dontHaveID, payload: effects.keep(ExtensionPayload.dontHave(UInt32(piece)))), now, &effects)
        }
    }

    // MARK: BEP 21

    /// A super-seed looks like one that has nothing (BEP 16).
    func saysUploadOnly(_ t: Int) -> Bool { torrents[t].isFinished && !isSuperSeeding(t) }

    /// We became, or ceased to be, one that downloads nothing more.
    func tellUploadOnly(_ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        let yes = saysUploadOnly(t)
        guard yes != torrents[t].saidUploadOnly else { return }
        torrents[t].saidUploadOnly = yes
        for q in torrents[t].peers where peers[Int(q)].extensions {
            let i = Int(q)
            if peers[i].uploadOnlyID != 0 {
                send(i, .extended(id: peers[i].uploadOnlyID, payload: effects.keep(ExtensionPayload.uploadOnly(yes))), now, &effects)
            } else {
                sendExtendedHandshake(i, t, now, &effects)
            }
        }
    }

    // MARK: Room

    /// BEP 40: with all connections taken, a peer of higher canonical priority than the lowest idle one takes that one's place.
    /// Who moves data, was named by the user or came within the last half minute stays.
    func makeRoom(_ t: Int, for i: Int, _ now: Instant, _ effects: inout EffectBuffer) -> Bool {
        var victim: Int?, lowest = priority(of: peers[i].endpoint)
        for q in torrents[t].peers {
            let j = Int(q)
            guard peers[j].downRate == 0, peers[j].upRate == 0, peers[j].origin != .manual, now - peers[j].stageSince > .seconds(30) else { continue }
            let other = priority(of: peers[j].endpoint)
            if other < lowest { (victim, lowest) = (j, other) }
        }
        guard let victim else { return false }
        close(victim, .tooManyPeers, now, &effects)
        return true
    }
}

/// Messages that a peer can send at little cost to itself, each with its own limit a minute: far above what any client sends,
/// far below what would hurt.
enum FloodKind: Int {
    case choking = 0, interest, bitfield, suggestion, extended, request, cancel, hashes

    init?(_ message: PeerMessage) {
        switch message {
        case .choke, .unchoke: self = .choking
        case .interested, .notInterested: self = .interest
        case .bitfield, .haveAll, .haveNone: self = .bitfield
        case .suggest, .allowedFast: self = .suggestion
        case .extended: self = .extended
        case .request: self = .request
        case .cancel: self = .cancel
        case .hashRequest, .hashes, .hashReject: self = .hashes
        case .keepAlive, .have, .reject, .piece, .port, .unknown: return nil
        }
    }

    var limitPerMinute: UInt16 {
        switch self {
        case .choking, .interest: 600
        // aria2 sends bitfields instead of many HAVEs, at most one in some seconds.
        case .bitfield: 120
        case .suggestion: 2_000
        // 30 MiB of metadata are 1,920 blocks.
        case .extended: 5_000
        // Piece layers of a million pieces are 2,048 answers.
        case .hashes: 5_000
        // While choked: allowed-fast pieces, and what crossed the choke.
        case .request, .cancel: 20_000
        }
    }
}

extension Swarm {
    /// Counts one message. Who is unchoked may ask as much as it likes: its queue has a bound of its own.
    func admits(_ kind: FloodKind, _ i: Int, _ now: Instant) -> Bool {
        if now - peers[i].uselessWindow >= .minutes(1) {
            peers[i].uselessWindow = now
            peers[i].uselessMessages = 0
            peers[i].floodCounts = SIMD8()
        }
        if kind == .request || kind == .cancel, !peers[i].amChoking { return true }
        peers[i].floodCounts[kind.rawValue] &+= 1
        return peers[i].floodCounts[kind.rawValue] <= kind.limitPerMinute
    }
}
