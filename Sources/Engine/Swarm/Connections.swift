import PeerWire
import Primitives

/// Life of a connection: dial or accept, handshake, close.
extension Swarm {
    /// A connection came in. nil: refuse it (banned address, or no room).
    package func accepted(from endpoint: Endpoint, overUTP: Bool = false, now: Instant, into effects: inout EffectBuffer) -> PeerHandle? {
        let key = AddressKey(endpoint)
        guard !reputation.isBanned(key, now: now) else { return nil }
        guard !isRefused(endpoint) else {
            filterCounts.accepts += 1
            return nil
        }
        makeRoomForHandshake(endpoint, now, &effects)
        guard let i = newPeer(now: now) else { return nil }
        peers[i].stage = .handshaking
        peers[i].endpoint = endpoint
        peers[i].isIncoming = true
        peers[i].overUTP = overUTP
        pendingAccepts.append(UInt32(i))
        return handle(i)
    }

    /// RELIABILITY N8: who opens connections and says nothing, plain or encrypted, gets no more than his share: so many without
    /// handshake from an address, from a /24 (/64) and in all, the oldest dropped first.
    private func makeRoomForHandshake(_ endpoint: Endpoint, _ now: Instant, _ effects: inout EffectBuffer) {
        let prefix = Self.prefix(endpoint), address = AddressKey(endpoint)
        var ofPrefix = 0, ofAddress = 0, oldestOfPrefix: Int?, oldestOfAddress: Int?
        for p in pendingAccepts {
            let other = peers[Int(p)].endpoint
            guard Self.prefix(other) == prefix else { continue }
            ofPrefix += 1
            if oldestOfPrefix == nil { oldestOfPrefix = Int(p) }
            guard AddressKey(other) == address else { continue }
            ofAddress += 1
            if oldestOfAddress == nil { oldestOfAddress = Int(p) }
        }
        if ofAddress >= configuration.maxPendingPerAddress, let oldestOfAddress {
            close(oldestOfAddress, .handshakeTimeout, now, &effects)
        } else if ofPrefix >= configuration.maxPendingPerPrefix, let oldestOfPrefix {
            close(oldestOfPrefix, .handshakeTimeout, now, &effects)
        } else if pendingAccepts.count >= configuration.maxPendingAccepts, let oldest = pendingAccepts.first {
            close(Int(oldest), .handshakeTimeout, now, &effects)
        }
    }

    private static func prefix(_ e: Endpoint) -> UInt64 { e.isIPv4 ? e.low >> 8 : e.high }

    /// Our dial was answered: the handshake goes out.
    package func connected(_ p: PeerHandle, overUTP: Bool = false, now: Instant, into effects: inout EffectBuffer) {
        guard let i = row(p), peers[i].stage == .dialling else { return }
        let t = Int(peers[i].torrent)
        torrents[t].dialling -= 1
        halfOpen -= 1
        peers[i].stage = .handshaking
        peers[i].overUTP = overUTP
        rendezvous.pending.removeAll { $0.endpoint == peers[i].endpoint }
        peers[i].stageSince = now
        peers[i].lastReceived = now
        send(i, .handshake(dialledHash(i, t)), now, &effects)
    }

    /// The dial is neither answered nor given up.
    package func isDialling(_ p: PeerHandle) -> Bool { row(p).map { peers[$0].stage == .dialling } ?? false }

    /// `isOurs`: the fault lies on our side of the peer (a proxy), and says nothing about it.
    package func dialFailed(_ p: PeerHandle, errno: Int32, isOurs: Bool = false, now: Instant, into effects: inout EffectBuffer) {
        let i = Int(p.index)
        guard i < peerRows, peers[i].generation == p.generation, peers[i].stage == .dialling || peers[i].stage == .closing else { return }
        if peers[i].stage == .dialling {
            let t = Int(peers[i].torrent)
            peers[i].closeReason = isOurs ? .notDialled : .connectTimeout
            detach(i, now, &effects)
            dialEnded(i, t, now, &effects)
        }
        freePeer(i)
        dialSome(now, &effects)
    }

    /// The descriptor is closed and nothing of it is in flight, whoever closed it. `errno` 0: in good order.
    package func closed(_ p: PeerHandle, errno: Int32, now: Instant, into effects: inout EffectBuffer) {
        let i = Int(p.index)
        guard i < peerRows, peers[i].generation == p.generation, peers[i].stage != .free else { return }
        unpin(i, &effects)
        var t = peers[i].torrent
        if t < 0, peers[i].requests.count > 0 { t = open[Int(peers[i].requests[0].open)].torrent }
        if peers[i].stage != .closing { detach(i, now, &effects) }
        dropAllRequests(i)
        peers[i].inBlock = false
        leaveCurrent(i, now, &effects)
        freePeer(i)
        if t >= 0, torrents[Int(t)].isLive { fillAll(Int(t), now, &effects) }
    }

    /// The shell found the stream broken (an unparsable message): close for the peer's fault.
    package func streamFailed(_ p: PeerHandle, now: Instant, into effects: inout EffectBuffer) {
        if let i = row(p) { close(i, .protocolViolation, now, &effects) }
    }

    /// Whether this dial begins with message stream encryption.
    package func dialsEncrypted(_ p: PeerHandle) -> Bool { row(p).map { peers[$0].dialsEncrypted } ?? false }

    /// The stream is hidden so from here on; before its BitTorrent handshake.
    package func encrypted(_ p: PeerHandle, _ encryption: StreamEncryption) {
        if let i = row(p) { peers[i].encryption = encryption }
    }

    /// The two sides found no way to encrypt, or not to.
    package func encryptionRefused(_ p: PeerHandle, now: Instant, into effects: inout EffectBuffer) {
        if let i = row(p) { close(i, .encryptionRefused, now, &effects) }
    }

    /// Asks the shell to close. What it was asked for goes to others at once, unless a receive may still write into
    /// its slots: then when that is over.
    func close(_ i: Int, _ reason: CloseReason, _ now: Instant, _ effects: inout EffectBuffer) {
        guard peers[i].stage != .closing, peers[i].stage != .free else { return }
        let t = peers[i].torrent
        peers[i].closeReason = reason
        // Before the handshake it may be another protocol, or an encryption that we do not take; and who was dialled is not to
        // blame for a silence.
        if let violation = reason.violation, violation == .slowHandshake ? peers[i].isIncoming : peers[i].stage == .open {
            punish(AddressKey(peers[i].endpoint), violation, now, &effects)
        }
        detach(i, now, &effects)
        peers[i].stage = .closing
        effects.append(.close(handle(i), reason))
        guard peers[i].requests.count > 0 || peers[i].current >= 0 else { return }
        if peers[i].pinnedCount == 0 {
            dropAllRequests(i)
            peers[i].inBlock = false
            leaveCurrent(i, now, &effects)
            if t >= 0, torrents[Int(t)].isLive { fillAll(Int(t), now, &effects) }
        } else {
            for at in (0..<peers[i].requests.count).reversed() {
                let request = peers[i].requests[at]
                if open[Int(request.open)].blocks[Int(request.block)].state == .shared { dropRequest(i, at: at) }
            }
        }
    }

    /// Out of its torrent, and the candidate is told how it went.
    private func detach(_ i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        if let at = pendingAccepts.firstIndex(of: UInt32(i)) { pendingAccepts.remove(at: at) }
        guard peers[i].torrent >= 0 else { return }
        let t = Int(peers[i].torrent)
        switch peers[i].stage {
        case .dialling:
            torrents[t].dialling -= 1
            halfOpen -= 1
        case .open:
            detachFromLimits(i)
            let last = Int(torrents[t].peers.removeLast())
            if last != i {
                torrents[t].peers[peers[i].place] = UInt32(last)
                peers[last].place = peers[i].place
            }
            noteChange(t)
            if peers[i].isSeed {
                torrents[t].seeds -= 1
            } else if let picker = torrents[t].picker {
                peers[i].have.forEach { picker.decrement($0) }
            }
            ensurePicker(t)
            torrents[t].metadata?.forget(handle(i))
            unlistForExchange(i, t)
            torrents[t].layers?.forget(handle(i))
        default: break
        }
        settleCandidate(i, t, now)
        peers[i].torrent = -1
    }

    /// What the end of a connection teaches about its address.
    private func settleCandidate(_ i: Int, _ t: Int, _ now: Instant) {
        guard let listens = peers[i].listens, torrents[t].isLive else { return }
        let reason = peers[i].closeReason, wasOpen = peers[i].stage == .open, isSeed = peers[i].isSeed || peers[i].uploadOnly
        switch reason {
        case .selfConnection, .filtered, .banned, .corruptPiece, .badMetadata, .messageFlood, .uselessBlocks, .invalidRequests, .protocolViolation,
            .badBitfield, .badIndex, .badExtendedMessage, .badHashes, .notFastExtension:
            torrents[t].candidates.remove(listens)
            return
        default: break
        }
        // It took the connection and let the handshake fail: perhaps it wants it encrypted, or wants it plain.
        let mayTryOtherWay =
            configuration.dialsOtherWay && !peers[i].isIncoming && peers[i].stage == .handshaking
            && (reason == nil || reason == .handshakeTimeout || reason == .encryptionRefused)
        var gone = false, nextTry = Instant.never
        let isHybrid = torrents[t].infoHashV2.map { $0.truncated != torrents[t].infoHash } ?? false, wasGreeting = peers[i].stage == .handshaking
        torrents[t].candidates.update(listens) { c in
            c.state = .idle
            if reason == .notDialled {
                c.nextTry = now + .seconds(10)
            } else if mayTryOtherWay, !c.usesOtherWay {
                c.usesOtherWay = true
                c.nextTry = now
                // One more to the same address within the minute; then the usual back-off.
                recentDials[AddressKey(listens)] = nil
            } else if wasOpen {
                c.failures = 0
                c.isProven = true
                c.isSeed = isSeed
                // A peer that we closed as of no use is not sought soon; a lost one is.
                c.nextTry = now + (reason == .piecesLost ? .zero : reason == nil || reason == .stalled ? .seconds(30) : .minutes(15))
            } else {
                c.usesOtherWay = false
                c.failures = min(c.failures, 200) + 1
                // It may know the torrent by its other hash only.
                if isHybrid, wasGreeting { c.isVersion2.toggle() }
                // Who was named by the user is tried again soon and never given up: many clients hang up on the first
                // connection while they still look at their files.
                let isManual = c.origin == .manual
                c.nextTry = now + (isManual ? .seconds(min(60, 1 << Int(min(c.failures, 6)))) : .seconds(60 << Int(min(c.failures, 6))))
                gone = c.failures >= 3 && !isManual
            }
            nextTry = c.nextTry
        }
        if gone {
            torrents[t].candidates.remove(listens)
        } else {
            torrents[t].nextDial = min(torrents[t].nextDial, nextTry)
            wantDials(t)
        }
    }

    // MARK: Handshake

    package func handshakeReceived(_ p: PeerHandle, _ handshake: Handshake, now: Instant, into effects: inout EffectBuffer) {
        guard let i = row(p), peers[i].stage == .handshaking else { return }
        peers[i].lastReceived = now
        peers[i].peerID = handshake.peerID
        peers[i].client = ClientName.name(of: handshake.peerID)
        if handshake.peerID == configuration.peerID { return close(i, .selfConnection, now, &effects) }
        if let at = pendingAccepts.firstIndex(of: UInt32(i)) { pendingAccepts.remove(at: at) }

        let t: Int
        if peers[i].isIncoming {
            guard let known = rowOfInfoHash[handshake.infoHash], torrents[Int(known)].isOpenToPeers else {
                return close(i, .unknownTorrent, now, &effects)
            }
            t = Int(known)
            peers[i].torrent = known
        } else {
            t = Int(peers[i].torrent)
            guard names(handshake.infoHash, t) else { return close(i, .unknownTorrent, now, &effects) }
            proven[peers[i].endpoint] = now
        }
        if torrents[t].peers.count >= peerLimit(t), !makeRoom(t, for: i, now, &effects) {
            return close(i, .tooManyPeers, now, &effects)
        }
        guard resolveDuplicate(i, t, now, &effects) else { return close(i, .duplicate, now, &effects) }

        peers[i].fast = handshake.supportsFast
        peers[i].extensions = handshake.supportsExtensions
        peers[i].stage = .open
        peers[i].stageSince = now
        peers[i].uselessWindow = now
        peers[i].have = PieceSet(none: torrents[t].geometry?.pieceCount ?? 0)
        peers[i].depth = min(2 * configuration.pipelineMinDepth, depthLimit(i))
        peers[i].onParole = reputation.isOnParole(AddressKey(peers[i].endpoint))
        peers[i].place = torrents[t].peers.count
        torrents[t].peers.append(UInt32(i))
        attachToLimits(i, t, now)
        wake(t)
        noteChange(t)
        ensurePicker(t)
        if let listens = peers[i].listens {
            torrents[t].candidates.update(listens) {
                $0.isProven = true
                $0.failures = 0
            }
        }

        noteVersion(i, t, handshake)
        if peers[i].isIncoming { send(i, .handshake(answeredHash(i, t, handshake)), now, &effects) }
        sendPieces(i, t, now, &effects)
        if peers[i].extensions { sendExtendedHandshake(i, t, now, &effects) } else { listForExchange(i, t) }
        fetchLayers(t, now, &effects)
        // BEP 27: a private swarm has nothing to do with the DHT.
        if configuration.speaksDHT, handshake.supportsDHT, !torrents[t].traits.contains(.isPrivate) { send(i, .dhtPort, now, &effects) }
    }

    /// BEP 6: exactly one of haveAll, haveNone, bitfield, right after the handshake.
    private func sendPieces(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        let isKnown = torrents[t].geometry != nil
        if isSuperSeeding(t) {
            beginSuperSeeding(i, t)
            if peers[i].fast { send(i, .haveNone, now, &effects) }
        } else if peers[i].fast, isKnown, torrents[t].have.isFull {
            send(i, .haveAll, now, &effects)
        } else if peers[i].fast, !isKnown || torrents[t].have.isEmpty {
            send(i, .haveNone, now, &effects)
        } else if isKnown, !torrents[t].have.isEmpty {
            send(i, .bitfield(torrents[t].id), now, &effects)
        }
    }

    func sendExtendedHandshake(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        let ours = ExtendedHandshake(
            metadataID: ExtendedHandshake.ourMetadataID, pexID: exchangesPeers(t) ? ExtendedHandshake.ourPexID : nil,
            dontHaveID: ExtendedHandshake.ourDontHaveID, uploadOnlyID: ExtendedHandshake.ourUploadOnlyID,
            holepunchID: configuration.speaksUTP ? ExtendedHandshake.ourHolepunchID : nil, prefersEncryption: configuration.dialsEncryptedFirst,
            port: listenPort == 0 ? nil : listenPort,
            client: configuration.clientName, requestQueue: configuration.maxQueuedRequestsPerPeer,
            metadataSize: torrents[t].metadataLength > 0 ? torrents[t].metadataLength : nil, uploadOnly: saysUploadOnly(t),
            yourAddress: peers[i].endpoint)
        send(i, .extended(id: 0, payload: effects.keep(ours.encode())), now, &effects)
    }

    /// False when `i` is the connection to give up. Two that crossed: both ends keep the one that the peer with
    /// the larger id dialled. Another address with the same id cannot push out the first.
    private func resolveDuplicate(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) -> Bool {
        for q in torrents[t].peers where peers[Int(q)].peerID == peers[i].peerID {
            let j = Int(q)
            guard peers[j].isIncoming != peers[i].isIncoming, AddressKey(peers[j].endpoint, port: 0) == AddressKey(peers[i].endpoint, port: 0)
            else { return false }
            let weAreLarger = configuration.peerID.bytes.lexicographicallyPrecedes(peers[i].peerID.bytes) == false
            guard weAreLarger == !peers[i].isIncoming else { return false }
            close(j, .duplicate, now, &effects)
            return true
        }
        return true
    }

    /// Ours and theirs are complete, or theirs wants nothing: no byte will ever flow.
    func closeIfBothSeeds(_ i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard peers[i].stage == .open, torrents[Int(peers[i].torrent)].isFinished, peers[i].isSeed || peers[i].uploadOnly else { return }
        close(i, .bothSeeds, now, &effects)
    }
}

extension AddressKey {
    /// As another port of the same address.
    init(_ e: Endpoint, port: UInt16) {
        var other = e
        other.port = port
        self.init(other)
    }
}
