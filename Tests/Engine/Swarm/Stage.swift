import Buffers
import PeerWire
import Primitives
import Swarm

/// One `Swarm` and the test in place of everybody else.
final class Stage {
    let swarm: Swarm
    let buffers: Buffers
    let id = TorrentID(rawValue: 1)
    let infoHash = InfoHash(bytes20: 0x11)
    let geometry: PieceGeometry
    let ourID = PeerID(bytes20: 0x42)
    var now = Instant(nanoseconds: 10_000_000_000)
    var effects = EffectBuffer()
    private var nextPeer: UInt32 = 0

    init(
        pieces: Int = 10, pieceLength: UInt32 = 65536, have: Bitfield? = nil, slots: Int = 256, traits: TorrentTraits = [],
        configure: (inout SwarmConfiguration) -> Void = { _ in }
    ) {
        geometry = PieceGeometry(totalLength: UInt64(pieces) * UInt64(pieceLength), pieceLength: pieceLength)!
        buffers = Buffers(slotCount: slots, softSlots: slots, chunkSlots: 4)
        var configuration = SwarmConfiguration(peerID: ourID, listenPort: 6881) { testSHA1($0) }
        configure(&configuration)
        swarm = Swarm(configuration: configuration, buffers: buffers, seed: 5)
        swarm.addTorrent(TorrentSpec(id: id, infoHash: infoHash, traits: traits, geometry: geometry), now: now, into: &effects)
        swarm.diskReady(id, have: have ?? Bitfield(count: pieces), now: now, into: &effects)
        swarm.tick(now: now, into: &effects)
        _ = take()
    }

    /// The effects so far, cleared.
    func take() -> [Effect] {
        swarm.checkInvariants()
        defer { effects.removeAll() }
        return effects.all
    }

    func newEndpoint() -> Endpoint {
        nextPeer += 1
        return Endpoint(ipv4: 0x0B00_0001 + nextPeer << 8, port: 40_000)
    }

    func accept(_ endpoint: Endpoint? = nil) -> PeerHandle? { swarm.accepted(from: endpoint ?? newEndpoint(), now: now, into: &effects) }

    /// An incoming connection after its handshake.
    func join(_ endpoint: Endpoint? = nil, id peerID: PeerID? = nil, fast: Bool = true, extensions: Bool = false) -> PeerHandle {
        let p = accept(endpoint)!
        let reserved = (fast ? Handshake.fastBit : 0) | (extensions ? Handshake.extensionBit : 0)
        let other = peerID ?? PeerID((0..<20).map { $0 < 16 ? 0x50 : UInt8(truncatingIfNeeded: nextPeer >> UInt32(($0 - 16) * 8)) })!
        swarm.handshakeReceived(p, Handshake(infoHash: infoHash, peerID: other, reserved: reserved), now: now, into: &effects)
        return p
    }

    func say(_ p: PeerHandle, _ message: PeerMessage, _ payload: [UInt8] = []) {
        payload.withUnsafeBytes { swarm.message(p, message, payload: $0, now: now, into: &effects) }
    }
    func bitfield(_ p: PeerHandle, _ bits: [UInt8]) { say(p, .bitfield(PayloadRange(offset: 0, count: bits.count)), bits) }

    /// An unchoking seed.
    func seed(_ endpoint: Endpoint? = nil) -> PeerHandle {
        let p = join(endpoint)
        say(p, .haveAll)
        say(p, .unchoke)
        return p
    }

    /// The peer answers its oldest request.
    @discardableResult
    func answer(_ p: PeerHandle) -> ExpectedBlock? {
        guard let block = swarm.expected(p, 0) else { return nil }
        guard swarm.destination(p, piece: block.piece.rawValue, begin: block.begin, length: block.length) != .discard else { return nil }
        swarm.blockReceived(p, piece: block.piece.rawValue, begin: block.begin, length: block.length, now: now, into: &effects)
        return block
    }

    func advance(_ span: TimeSpan) {
        let end = now + span
        while now < end {
            now = min(end, now + .milliseconds(100))
            swarm.tick(now: now, into: &effects)
            swarm.checkInvariants()
        }
    }
}

extension [Effect] {
    var closes: [CloseReason] { compactMap { if case .close(_, let reason) = $0 { reason } else { nil } } }
    var closedPeers: [PeerHandle] { compactMap { if case .close(let p, _) = $0 { p } else { nil } } }
    func sent(to p: PeerHandle) -> [OutgoingMessage] { compactMap { if case .send(p, let message) = $0 { message } else { nil } } }
    func requests(to p: PeerHandle) -> [(piece: Int, begin: UInt32, length: UInt32)] {
        sent(to: p).compactMap { if case .request(let piece, let begin, let length) = $0 { (piece.int, begin, length) } else { nil } }
    }
    var stored: [Int] { compactMap { if case .storePiece(_, let piece, _, _) = $0 { piece.int } else { nil } } }
}
