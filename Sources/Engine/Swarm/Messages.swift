import PeerWire
import Primitives

/// What peers say. `piece` headers do not come here: they go through Receiving.
extension Swarm {
    /// `buffer` is what the ranges of a bitfield or an extended message point into.
    package func message(
        _ p: PeerHandle, _ message: PeerMessage, payload buffer: UnsafeRawBufferPointer, now: Instant, into effects: inout EffectBuffer
    ) {
        guard let i = row(p), peers[i].stage == .open else { return }
        peers[i].lastReceived = now
        let t = Int(peers[i].torrent)
        if let kind = FloodKind(message) {
            guard admits(kind, i, now) else { return flooded(i, now, &effects) }
        }
        switch message {
        case .keepAlive: useless(i, now, &effects)
        case .choke: chokedBy(i, t, now, &effects)
        case .unchoke:
            guard peers[i].isChoking else { return useless(i, now, &effects) }
            peers[i].isChoking = false
            peers[i].nothingAtEpoch = nil
            peers[i].waitingSince = now
            useless(i, now, &effects)
            fill(i, now, &effects)
        case .interested, .notInterested: interest(i, t, message == .interested, now, &effects)
        case .have(let piece): hasPiece(i, t, piece, now, &effects)
        case .bitfield(let range): bitfield(i, t, range.slice(of: buffer), now, &effects)
        case .haveAll, .haveNone:
            guard peers[i].fast else { return close(i, .notFastExtension, now, &effects) }
            guard !peers[i].toldPieces else { return close(i, .badBitfield, now, &effects) }
            peers[i].toldPieces = true
            if torrents[t].geometry == nil {
                peers[i].rawHaveAll = message == .haveAll
            } else {
                learned(i, t, message == .haveAll ? PieceSet(all: torrents[t].have.total) : PieceSet(none: torrents[t].have.total), now, &effects)
            }
        case .request(let piece, let begin, let length): requested(i, t, piece, begin, length, now, &effects)
        case .cancel(let piece, let begin, let length):
            if peers[i].queued == 0 {
                useless(i, now, &effects)
            } else {
                useless(i, now, &effects)
                effects.append(.cancelServe(handle(i), piece: PieceIndex(rawValue: piece), begin: begin, length: length))
            }
        case .reject(let piece, let begin, let length): rejected(i, t, piece, begin, length, now, &effects)
        case .suggest(let piece), .allowedFast(let piece):
            guard peers[i].fast else { return close(i, .notFastExtension, now, &effects) }
            guard let geometry = torrents[t].geometry else { return }
            guard geometry.piece(piece) != nil else { return close(i, .badIndex, now, &effects) }
            if case .suggest = message {
                // Only the last 16 count.
                guard !peers[i].suggested.contains(piece) else { return useless(i, now, &effects) }
                if peers[i].suggested.count == 16 { peers[i].suggested.removeFirst() }
                peers[i].suggested.append(piece)
            } else {
                // A k above 64 is nobody's; more are not kept.
                guard peers[i].allowedFast.count < 64, !peers[i].allowedFast.contains(piece) else { return useless(i, now, &effects) }
                peers[i].allowedFast.append(piece)
                fill(i, now, &effects)
            }
        case .extended(let id, let range): extended(i, t, id, range.slice(of: buffer), now, &effects)
        case .hashRequest(let range): hashRequested(i, t, range.slice(of: buffer), now, &effects)
        case .hashes(let range): hashesReceived(i, t, range.slice(of: buffer), now, &effects)
        case .hashReject(let range): hashRejected(i, t, range.slice(of: buffer), now, &effects)
        case .port(let port):
            if configuration.speaksDHT, port != 0, !torrents[t].traits.contains(.isPrivate) {
                effects.append(.dhtNodeSeen(Endpoint(high: peers[i].endpoint.high, low: peers[i].endpoint.low, port: port)))
            }
            // One is sent in the life of a connection.
            useless(i, now, &effects)
        case .piece, .unknown: useless(i, now, &effects)
        }
    }

    /// Counts a message that costs its sender nothing and may move nothing: ten thousand a minute are an attack.
    func useless(_ i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        if now - peers[i].uselessWindow >= .minutes(1) {
            peers[i].uselessWindow = now
            peers[i].uselessMessages = 0
            peers[i].floodCounts = SIMD8()
        }
        peers[i].uselessMessages += 1
        guard peers[i].uselessMessages >= configuration.maxUselessMessagesPerMinute else { return }
        flooded(i, now, &effects)
    }
    private func flooded(_ i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        punish(AddressKey(peers[i].endpoint), .messageFlood, now, &effects)
        close(i, .messageFlood, now, &effects)
    }

    // MARK: What it has

    private func hasPiece(_ i: Int, _ t: Int, _ piece: UInt32, _ now: Instant, _ effects: inout EffectBuffer) {
        guard let geometry = torrents[t].geometry else { return rememberHave(i, piece, now, &effects) }
        guard geometry.piece(piece) != nil else { return close(i, .badIndex, now, &effects) }
        peers[i].toldPieces = true
        guard peers[i].have.insert(Int(piece)) else { return useless(i, now, &effects) }
        torrents[t].picker?.increment(Int(piece))
        if peers[i].isSeed { becameSeed(i, t) }
        superSeedHeard(i, t, piece, now, &effects)
        if torrents[t].wasReady, !torrents[t].have.contains(Int(piece)), isWanted(t, Int(piece)) {
            peers[i].useful += 1
            peers[i].nothingAtEpoch = nil
            updateInterest(i, now, &effects)
            fill(i, now, &effects)
        }
        closeIfBothSeeds(i, now, &effects)
    }

    /// Seeds are counted, not spread over all buckets.
    private func becameSeed(_ i: Int, _ t: Int) {
        torrents[t].seeds += 1
        if let picker = torrents[t].picker { peers[i].have.forEach { picker.decrement($0) } }
    }

    private func bitfield(_ i: Int, _ t: Int, _ payload: UnsafeRawBufferPointer, _ now: Instant, _ effects: inout EffectBuffer) {
        let isFirst = !peers[i].toldPieces
        peers[i].toldPieces = true
        guard let geometry = torrents[t].geometry else {
            // Its length is checked once the number of pieces is known.
            let before = peers[i].rawHave
            peers[i].rawHave = [UInt8](payload)
            guard !isFirst else { return }
            if peers[i].rawHave.count < before.count { peers[i].rawHave += before[payload.count...].map { _ in 0 } }
            for (n, byte) in before.enumerated() { peers[i].rawHave[n] |= byte }
            return useless(i, now, &effects)
        }
        guard let bits = Bitfield(wire: payload, count: geometry.pieceCount) else { return close(i, .badBitfield, now, &effects) }
        if isFirst { learned(i, t, PieceSet(bits), now, &effects) } else { laterBitfield(i, t, PieceSet(bits), now, &effects) }
    }

    /// BEP 3 has a bitfield as the first message only, but aria2 sends one whenever it is shorter than the HAVEs it
    /// stands for. Read as those; what it leaves out is not taken back. Bounded as useless messages are.
    private func laterBitfield(_ i: Int, _ t: Int, _ bits: PieceSet, _ now: Instant, _ effects: inout EffectBuffer) {
        useless(i, now, &effects)
        var news: [UInt32] = []
        bits.forEach { if !peers[i].have.contains($0) { news.append(UInt32($0)) } }
        for piece in news where peers[i].stage == .open { hasPiece(i, t, piece, now, &effects) }
    }

    /// The whole of what it has is known.
    func learned(_ i: Int, _ t: Int, _ have: PieceSet, _ now: Instant, _ effects: inout EffectBuffer) {
        if let picker = torrents[t].picker, !peers[i].have.isFull { peers[i].have.forEach { picker.decrement($0) } }
        peers[i].have = have
        recountUseful(i, t)
        if peers[i].isSeed { torrents[t].seeds += 1 } else if let picker = torrents[t].picker { have.forEach { picker.increment($0) } }
        grantFast(i, t, now, &effects)
        updateInterest(i, now, &effects)
        closeIfBothSeeds(i, now, &effects)
    }

    private func rememberHave(_ i: Int, _ piece: UInt32, _ now: Instant, _ effects: inout EffectBuffer) {
        guard piece < UInt32(WireLimit.pieceCount) else { return close(i, .badIndex, now, &effects) }
        useless(i, now, &effects)
        peers[i].toldPieces = true
        let byte = Int(piece / 8)
        if peers[i].rawHave.count <= byte {
            peers[i].rawHave.append(contentsOf: [UInt8](repeating: 0, count: byte + 1 - peers[i].rawHave.count))
        }
        peers[i].rawHave[byte] |= 0x80 >> UInt8(piece % 8)
    }

    /// The number of pieces became known: what peers said before is read now.
    func metadataArrived(_ t: Int, _ spec: TorrentSpec, _ now: Instant, _ effects: inout EffectBuffer) {
        let geometry = spec.geometry!
        torrents[t].geometry = geometry
        torrents[t].metadataLength = spec.metadataLength
        torrents[t].metadata = nil
        torrents[t].layers = nil
        torrents[t].have = PieceSet(none: geometry.pieceCount)
        recountWanted(t)
        for q in torrents[t].peers.reversed() {
            let i = Int(q)
            peers[i].have = PieceSet(none: geometry.pieceCount)
            if peers[i].rawHaveAll {
                learned(i, t, PieceSet(all: geometry.pieceCount), now, &effects)
            } else if !peers[i].rawHave.isEmpty {
                var raw = peers[i].rawHave
                let length = (geometry.pieceCount + 7) / 8
                if raw.count < length { raw.append(contentsOf: [UInt8](repeating: 0, count: length - raw.count)) }
                if let bits = Bitfield(wire: raw, count: geometry.pieceCount) {
                    learned(i, t, PieceSet(bits), now, &effects)
                } else {
                    close(i, .badBitfield, now, &effects)
                }
            }
            peers[i].rawHave = []
        }
    }

    /// Counts what it has and we lack.
    func recountUseful(_ i: Int, _ t: Int) {
        guard torrents[t].wasReady, torrents[t].geometry != nil else { return }
        let have = torrents[t].have
        if let unwanted = torrents[t].unwanted {
            peers[i].useful = peers[i].have.isEmpty ? 0 : peers[i].have.bitfield.subtracting(have.bitfield).subtracting(unwanted).setCount
        } else if peers[i].have.isFull {
            peers[i].useful = have.total - have.count
        } else if peers[i].have.isEmpty || have.isFull {
            peers[i].useful = 0
        } else if have.isEmpty {
            peers[i].useful = peers[i].have.count
        } else {
            peers[i].useful = peers[i].have.bits!.subtracting(have.bits!).setCount
        }
    }

    func updateInterest(_ i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard peers[i].stage == .open else { return }
        let wants = peers[i].useful > 0
        guard wants != peers[i].amInterested else { return }
        peers[i].amInterested = wants
        send(i, wants ? .interested : .notInterested, now, &effects)
        if wants { fill(i, now, &effects) }
    }

    // MARK: Choke and reject

    private func chokedBy(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        useless(i, now, &effects)
        guard peers[i].stage == .open, !peers[i].isChoking else { return }
        peers[i].isChoking = true
        // BEP 6: with the fast extension each request is rejected by name; BEP 3: all are forgotten.
        if !peers[i].fast {
            // Some blocks may have been under way when it choked.
            peers[i].forgiven += peers[i].requests.count
            dropAllRequests(i)
        }
        leaveCurrent(i, now, &effects)
        fillAll(t, now, &effects)
    }

    private func rejected(
        _ i: Int, _ t: Int, _ piece: UInt32, _ begin: UInt32, _ length: UInt32, _ now: Instant, _ effects: inout EffectBuffer
    ) {
        guard peers[i].fast else { return close(i, .notFastExtension, now, &effects) }
        var found: Int?
        for at in 0..<peers[i].requests.count {
            let request = peers[i].requests[at], o = Int(request.open)
            if open[o].piece.rawValue == piece, request.block * PieceGeometry.blockLength == begin, open[o].blockLength(request.block) == length {
                found = at
                break
            }
        }
        if let found, peers[i].requests[found].isCancelled { return cancelConfirmed(i, at: found, now, &effects) }
        useless(i, now, &effects)
        guard peers[i].stage == .open else { return }
        guard let found else {
            // The answer to a cancel, or to what was given up. Otherwise BEP 6 says to close; but a block may cross its own cancel, and
            // the flood limit counts them anyway.
            peers[i].forgiven = max(0, peers[i].forgiven - 1)
            return
        }
        dropRequest(i, at: found)
        if !peers[i].isChoking {
            // It rejects although we are unchoked: 1 s at first, then twice as long each time, up to 32 s.
            if peers[i].pausedUntil <= now {
                peers[i].pausedUntil = now + .seconds(1 << min(peers[i].rejectsInARow, 5))
                peers[i].rejectsInARow += 1
            }
            peers[i].slowStart = false
        }
        if let at = peers[i].allowedFast.firstIndex(of: piece), peers[i].isChoking { peers[i].allowedFast.remove(at: at) }
        if peers[i].requests.count == 0 {
            leaveCurrent(i, now, &effects)
            fillAll(t, now, &effects)
        }
    }

    // MARK: BEP 10

    private func extended(
        _ i: Int, _ t: Int, _ id: UInt8, _ payload: UnsafeRawBufferPointer, _ now: Instant, _ effects: inout EffectBuffer
    ) {
        useless(i, now, &effects)
        guard peers[i].stage == .open, peers[i].extensions else { return }
        switch id {
        case 0:
            guard let theirs = try? ExtendedHandshake(decoding: payload) else { return close(i, .badExtendedMessage, now, &effects) }
            peers[i].metadataID = theirs.metadataID ?? 0
            peers[i].holepunchID = theirs.holepunchID ?? 0
            peers[i].metadataSize = theirs.metadataSize ?? 0
            if let queue = theirs.requestQueue { peers[i].requestQueue = queue }
            peers[i].depth = min(peers[i].depth, depthLimit(i))
            if let client = theirs.client, !client.isEmpty { peers[i].client = client }
            peers[i].uploadOnly = theirs.uploadOnly
            takeExtensions(i, t, theirs, now, &effects)
            if peers[i].isIncoming, let port = theirs.port { occupyCandidate(i, t, port) }
            guard peers[i].stage == .open else { return }
            listForExchange(i, t)
            closeIfBothSeeds(i, now, &effects)
            fetchMetadata(t, now, &effects)
        case ExtendedHandshake.ourMetadataID:
            guard let message = try? MetadataMessage.decode(payload) else { return }
            metadataMessage(i, t, message, payload, now, &effects)
        case ExtendedHandshake.ourPexID: exchangeReceived(i, t, payload, now, &effects)
        case ExtendedHandshake.ourDontHaveID:
            guard let piece = ExtensionPayload.readDontHave(payload) else { return close(i, .badExtendedMessage, now, &effects) }
            lacksPiece(i, t, piece, now, &effects)
        case ExtendedHandshake.ourUploadOnlyID:
            guard let yes = ExtensionPayload.readUploadOnly(payload) else { return close(i, .badExtendedMessage, now, &effects) }
            peers[i].uploadOnly = yes
            closeIfBothSeeds(i, now, &effects)
        case ExtendedHandshake.ourHolepunchID:
            guard let message = try? HolepunchMessage(decoding: payload) else { return }
            holepunch(i, t, message, now, &effects)
        default: break
        }
    }

    /// An incoming peer named its listening port: the candidate of that address is not dialled meanwhile, and can be later.
    private func occupyCandidate(_ i: Int, _ t: Int, _ port: UInt16) {
        guard peers[i].listens == nil else { return }
        var listens = peers[i].endpoint
        listens.port = port
        addCandidate(t, listens, .incoming, limit: configuration.maxCandidatesPerTorrent)
        guard let at = torrents[t].candidates.index(of: listens), torrents[t].candidates.list[at].state == .idle else { return }
        peers[i].listens = listens
        torrents[t].candidates.update(listens) { $0.state = .connected }
    }
}
