import PeerWire
import Primitives

/// BEP 52 between peers: two info-hashes for one torrent, piece layers asked for and hashes served.
extension Swarm {
    /// Hash requests of one peer that wait for the disk worker: each may cost a read of some MiB.
    private static var mostHashesServing: UInt8 { 4 }
    /// A hybrid torrent does without v2 hashes that nobody gives.
    private static var optionalLayersPatience: TimeSpan { .seconds(10) }

    // MARK: Info-hashes

    /// A torrent answers to each of its hashes. The first to come keeps a hash that two claim.
    func enterHashes(_ t: Int) {
        if rowOfInfoHash[torrents[t].infoHash] == nil { rowOfInfoHash[torrents[t].infoHash] = Int32(t) }
        if let second = torrents[t].infoHashV2?.truncated, rowOfInfoHash[second] == nil { rowOfInfoHash[second] = Int32(t) }
    }
    func leaveHashes(_ t: Int) {
        if rowOfInfoHash[torrents[t].infoHash] == Int32(t) { rowOfInfoHash[torrents[t].infoHash] = nil }
        if let second = torrents[t].infoHashV2?.truncated, rowOfInfoHash[second] == Int32(t) { rowOfInfoHash[second] = nil }
    }

    /// What a dial says: the hash of the swarm in which the address was found.
    func dialledHash(_ i: Int, _ t: Int) -> InfoHash {
        guard let second = torrents[t].infoHashV2?.truncated, let listens = peers[i].listens, torrents[t].candidates.isVersion2(listens) else {
            return torrents[t].infoHash
        }
        return second
    }
    /// Upgrade path: whoever says the v1 hash and that it knows v2 is answered with the v2 hash.
    func answeredHash(_ i: Int, _ t: Int, _ handshake: Handshake) -> InfoHash {
        guard let second = torrents[t].infoHashV2?.truncated, handshake.supportsVersion2 else { return handshake.infoHash }
        return second
    }
    func names(_ hash: InfoHash, _ t: Int) -> Bool { hash == torrents[t].infoHash || hash == torrents[t].infoHashV2?.truncated }

    /// The reserved bytes of a handshake that says `hash`.
    package func reservedBits(for hash: InfoHash) -> UInt64 {
        let common = Handshake.fastBit | Handshake.extensionBit
        guard let t = rowOfInfoHash[hash], torrents[Int(t)].infoHashV2 != nil else { return common }
        return common | Handshake.version2Bit
    }

    func noteVersion(_ i: Int, _ t: Int, _ handshake: Handshake) {
        guard let second = torrents[t].infoHashV2?.truncated else { return }
        peers[i].isVersion2 = handshake.infoHash == second || handshake.supportsVersion2
    }

    /// More of a torrent's names is known: a magnet named by its v2 hash turned out to have a v1 one.
    func rename(_ t: Int, _ spec: TorrentSpec) {
        guard spec.infoHash != torrents[t].infoHash || spec.infoHashV2 != torrents[t].infoHashV2 else { return }
        leaveHashes(t)
        torrents[t].infoHash = spec.infoHash
        torrents[t].infoHashV2 = spec.infoHashV2
        enterHashes(t)
    }

    /// Where files end inside pieces, before the torrent is ready for the first time.
    package func setFileTails(_ id: TorrentID, _ tails: FileTails) {
        guard let t = rowOfTorrent[id].map(Int.init), let geometry = torrents[t].geometry, torrents[t].openHead < 0,
            let exact = geometry.with(tails)
        else { return }
        torrents[t].geometry = exact
    }

    // MARK: Piece layers

    /// The session has the info dictionary of a torrent without piece layers.
    package func layersWanted(
        _ id: TorrentID, files: [LayerFile], pieceLength: UInt32, isOptional: Bool, now: Instant, into effects: inout EffectBuffer
    ) {
        guard let t = rowOfTorrent[id].map(Int.init), torrents[t].geometry == nil else { return }
        guard configuration.sha256 != nil, !files.isEmpty, let fetch = LayerFetch(files: files, pieceLength: pieceLength, isOptional: isOptional, now: now)
        else {
            effects.append(.layersMissing(torrent: id))
            return
        }
        torrents[t].layers = fetch
        wake(t)
        fetchLayers(t, now, &effects)
    }

    /// Asks whoever may know; each second, and when something changed.
    func fetchLayers(_ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard let fetch = torrents[t].layers else { return }
        if fetch.isOptional, now - fetch.lastProgress > Self.optionalLayersPatience {
            torrents[t].layers = nil
            effects.append(.layersMissing(torrent: torrents[t].id))
            return
        }
        guard torrents[t].isOpenToPeers else { return }
        for q in torrents[t].peers {
            let i = Int(q)
            guard peers[i].stage == .open, peers[i].isVersion2, peers[i].hashesRefusedUntil <= now else { continue }
            var asked = fetch.asked(of: handle(i))
            while asked < LayerFetch.depth, let request = fetch.next(for: handle(i), now: now) {
                sendEncoded(i, request.message(MessageID.hashRequest), now, &effects)
                asked += 1
            }
        }
    }

    private func sendEncoded(_ i: Int, _ bytes: [UInt8], _ now: Instant, _ effects: inout EffectBuffer) {
        send(i, .encoded(payload: effects.keep(bytes)), now, &effects)
    }

    func hashesReceived(_ i: Int, _ t: Int, _ payload: UnsafeRawBufferPointer, _ now: Instant, _ effects: inout EffectBuffer) {
        guard let request = HashRequest(decoding: payload), request.isWellFormed else { return close(i, .badHashes, now, &effects) }
        let hashes = UnsafeRawBufferPointer(rebasing: payload[HashRequest.byteCount...])
        if leavesReceived(i, t, request, hashes, now, &effects) { return }
        guard let fetch = torrents[t].layers, let hash = configuration.sha256 else { return useless(i, now, &effects) }
        switch fetch.take(request, hashes, from: handle(i), now: now, hash: hash) {
        case .unasked: useless(i, now, &effects)
        case .bad:
            // The proof is the peer's own: nobody else can have spoilt it.
            punish(AddressKey(peers[i].endpoint), .badMetadata, now, &effects)
            close(i, .badHashes, now, &effects)
            fetchLayers(t, now, &effects)
        case .good:
            guard fetch.missing == 0 else { return fetchLayers(t, now, &effects) }
            torrents[t].layers = nil
            effects.append(.layersFound(torrent: torrents[t].id, payload: effects.keep(Array(fetch.hashes.joined()))))
        }
    }

    func hashRejected(_ i: Int, _ t: Int, _ payload: UnsafeRawBufferPointer, _ now: Instant, _ effects: inout EffectBuffer) {
        useless(i, now, &effects)
        guard peers[i].stage == .open, let request = HashRequest(decoding: payload), !leavesRejected(i, request, now, &effects),
            torrents[t].layers?.refused(request, by: handle(i)) == true
        else { return }
        peers[i].hashesRefusedUntil = now + .seconds(10)
        fetchLayers(t, now, &effects)
    }

    // MARK: Serving

    func hashRequested(_ i: Int, _ t: Int, _ payload: UnsafeRawBufferPointer, _ now: Instant, _ effects: inout EffectBuffer) {
        useless(i, now, &effects)
        guard peers[i].stage == .open, let request = HashRequest(decoding: payload) else { return }
        guard request.isWellFormed, torrents[t].infoHashV2 != nil, torrents[t].isReady, peers[i].hashesServing < Self.mostHashesServing else {
            return sendEncoded(i, request.message(MessageID.hashReject), now, &effects)
        }
        peers[i].hashesServing += 1
        effects.append(.hashesWanted(torrent: torrents[t].id, handle(i), payload: effects.keep([UInt8](UnsafeRawBufferPointer(rebasing: payload[..<HashRequest.byteCount])))))
    }

    /// Answers `hashesWanted`; empty `hashes`: they cannot be had.
    package func hashesServed(
        _ p: PeerHandle, _ request: HashRequest, hashes: [UInt8], now: Instant, into effects: inout EffectBuffer
    ) {
        guard let i = row(p), peers[i].stage == .open, peers[i].hashesServing > 0 else { return }
        peers[i].hashesServing -= 1
        sendEncoded(
            i, hashes.isEmpty ? request.message(MessageID.hashReject) : request.message(MessageID.hashes, hashes: hashes), now, &effects)
    }
}
