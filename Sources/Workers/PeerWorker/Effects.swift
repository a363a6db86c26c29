import BlockArena
import IPC
import LinuxIO
import Observe
import PeerWire
import Primitives
import Swarm

extension PeerShell {
    /// Carries out what the core decided, in its order. Effects may cause events that add further ones; they are
    /// taken in the same pass.
    func act(now: Instant) {
        guard !isActing else { return }
        isActing = true
        defer { isActing = false }
        var i = 0
        while i < effects.count {
            perform(effects[i], now: now)
            i += 1
        }
        effects.removeAll()
    }

    private func perform(_ effect: Effect, now: Instant) {
        switch effect {
        case .send(let peer, let message):
            if sendToWebSeed(peer, message) { return }
            guard let link = link(of: peer) else { return }
            encode(message, to: link)
            markDirty(link)
        case .serve(let peer, let torrent, let piece, let begin, let length):
            guard let link = link(of: peer), link.state == .open else { return }
            enqueue(link, .init(torrent: torrent, piece: piece, begin: begin, length: length), now: now)
        case .cancelServe(let peer, let piece, let begin, let length): cancelServe(peer, piece, begin, length, now: now)
        case .cancelAllServes(let peer): cancelAllServes(peer, now: now)
        case .dial(let peer, let endpoint): dial(peer, endpoint, now: now)
        case .dialByUTP(let peer, let endpoint): dialByUTP(peer, endpoint, now: now)
        case .close(let peer, let reason):
            if closeWebSeed(peer, reason, now: now) { return }
            guard let link = link(of: peer) else { return }
            Log.log(.debug, "\((link.stream?.endpoint ?? Sockets.peerEndpoint(link.fd))?.description ?? "a peer"): closed, \(reason)")
            close(link, errno: 0, now: now)
        case .disarm(let peer): disarm(peer, now: now)
        case .bufferOpened(let torrent, let piece, let first, let slotCount, let length):
            arena.openEntry(first, owner: kit.generation, torrent: torrent, piece: piece, slotCount: slotCount, length: length)
        case .bufferKept(let torrent, let piece, let first, let slotCount, let length):
            arena.keepEntry(first, owner: kit.generation, torrent: torrent, piece: piece, slotCount: slotCount, length: length)
        case .bufferDiscarded(let first): arena.setState(first, .free)
        case .storePiece(let torrent, let piece, let first, let length): storePiece(torrent, piece, first, length: length)
        case .metadataFound(let torrent, let bytes): sendMetadata(torrent, effects.payload(bytes))
        case .metadataBlockWanted(let torrent, let block, let peer):
            if let session = kit.edge(.session) {
                kit.send(MetadataBlockWanted(torrent: torrent.rawValue, block: block), to: session, correlation: peer.packed)
            }
        case .layersFound(let torrent, let payload): sendLayers(torrent, effects.payload(payload))
        case .layersMissing(let torrent): sendLayers(torrent, [])
        case .hashesWanted(let torrent, let peer, let payload): askHashes(torrent, peer, effects.payload(payload), now: now)
        case .checkBlocks(let torrent, let piece, let first, let length, let fileBytes, let payload):
            checkBlocks(torrent, piece, first, length: length, fileBytes: fileBytes, effects.payload(payload), now: now)
        case .morePeersWanted(let torrent):
            if let session = kit.edge(.session) { kit.send(MorePeersWanted(torrent: torrent.rawValue), to: session) }
        case .banned(let endpoint, let why, let time):
            Log.log(.info, "\(endpoint): banned, \(why.name)")
            if let session = kit.edge(.session) {
                kit.send(PeerBanned(endpoint: endpoint, reason: why.rawValue, seconds: UInt32(clamping: Int(time.seconds))), to: session)
            }
        case .externalAddress(let endpoint, let votes):
            externalAddresses.removeAll { $0.endpoint.isIPv4 == endpoint.isIPv4 }
            externalAddresses.append((endpoint, votes))
            if let session = kit.edge(.session) { kit.send(ExternalAddress(endpoint: endpoint, votes: UInt32(votes)), to: session) }
        case .dhtNodeSeen(let endpoint):
            if let session = kit.edge(.session) { kit.send(DhtNodeSeen(endpoint: endpoint), to: session) }
        }
    }

    /// Of our DHT node: its own, or that of the listening socket, which the supervisor binds for datagrams as well.
    private var dhtPort: UInt16 {
        let own = UInt16(kit.settings.int("discovery.dht_port"))
        return own != 0 ? own : listeners.first?.endpoint.port ?? 0
    }

    private func encode(_ message: OutgoingMessage, to link: Link) {
        switch message {
        case .handshake(let infoHash):
            var handshake = Handshake(infoHash: infoHash, peerID: configuration.peerID, reserved: swarm.reservedBits(for: infoHash))
            if configuration.speaksDHT { handshake.reserved |= Handshake.dhtBit }
            handshake.encode(into: &link.outbox)
        case .keepAlive: link.outbox.keepAlive()
        case .choke: link.outbox.bare(MessageID.choke)
        case .unchoke: link.outbox.bare(MessageID.unchoke)
        case .interested: link.outbox.bare(MessageID.interested)
        case .notInterested: link.outbox.bare(MessageID.notInterested)
        case .have(let piece): link.outbox.piece(MessageID.have, piece.rawValue)
        case .haveAll: link.outbox.bare(MessageID.haveAll)
        case .haveNone: link.outbox.bare(MessageID.haveNone)
        case .bitfield(let torrent): if let have = swarm.have(torrent) { link.outbox.bitfield(have) }
        case .request(let piece, let begin, let length): link.outbox.block(MessageID.request, piece: piece.rawValue, begin: begin, length: length)
        case .cancel(let piece, let begin, let length): link.outbox.block(MessageID.cancel, piece: piece.rawValue, begin: begin, length: length)
        case .reject(let piece, let begin, let length): link.outbox.block(MessageID.reject, piece: piece, begin: begin, length: length)
        case .allowedFast(let piece): link.outbox.piece(MessageID.allowedFast, piece.rawValue)
        case .encoded(let payload): link.outbox.bytes(effects.payload(payload))
        case .dhtPort: if dhtPort != 0 { link.outbox.port(dhtPort) }
        case .extended(let id, let payload): link.outbox.extended(id, effects.payload(payload))
        }
    }
}
