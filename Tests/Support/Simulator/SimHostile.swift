import PeerWire
import Primitives
import Swarm

/// What a stranger does to those who let him in.
package enum SimHostility: CaseIterable, Sendable {
    /// Has everything, unchokes, and never sends a block.
    case stall
    /// Has everything, and sends other blocks than were asked for, or other bytes.
    case lie
    /// Hundreds of messages that move nothing, all the time.
    case flood
    /// Any message with any numbers in it.
    case babble
}

/// A peer that is no node: only what comes out of it matters. It calls every node again and again, from a few addresses.
final class SimHostile {
    let kind: SimHostility
    var random: SeededRandom
    /// By node.
    var connections: [Int: SimConnection] = [:]
    private let address: UInt32
    private var isFast = true

    init(kind: SimHostility, number: Int, seed: UInt64) {
        self.kind = kind
        random = SeededRandom(seed: seed)
        address = 0x0AC8_0001 + UInt32(number) << 8
    }

    var endpoint: Endpoint { Endpoint(ipv4: address + UInt32(random.below(3)) << 4, port: UInt16(30_000 + random.below(10_000))) }

    // MARK: What it says

    func greeting(_ infoHash: InfoHash) -> Handshake {
        isFast = random.chance(0.8)
        let id = PeerID((0..<20).map { _ in UInt8(truncatingIfNeeded: random.next()) })!
        return Handshake(infoHash: infoHash, peerID: id, reserved: (isFast ? Handshake.fastBit : 0) | (random.chance(0.5) ? Handshake.extensionBit : 0))
    }

    func opening(_ geometry: PieceGeometry) -> [SimMessage] {
        guard kind == .stall || kind == .lie else { return [] }
        let bytes = Bitfield(full: geometry.pieceCount).wireBytes
        let has: SimMessage = isFast ? .message(.haveAll, []) : .message(.bitfield(PayloadRange(offset: 0, count: bytes.count)), bytes)
        return [has, .message(.unchoke, []), .message(.interested, [])]
    }

    /// Ten times a second.
    func turn(_ geometry: PieceGeometry) -> [SimMessage] {
        switch kind {
        case .stall: random.chance(0.001) ? [.message(.keepAlive, [])] : []
        case .lie: random.chance(0.02) ? [.message(.have(piece: UInt32(random.below(geometry.pieceCount + 1))), [])] : []
        case .flood: (0..<300).map { _ in empty(geometry) }
        case .babble: random.chance(0.3) ? [anything(geometry)] : []
        }
    }

    func answer(_ message: SimMessage, _ geometry: PieceGeometry) -> [SimMessage] {
        guard kind == .lie, case .message(.request(let piece, let begin, let length), _) = message else { return [] }
        let lie = noise(Int(length))
        switch random.below(6) {
        case 0: return [.block(piece: piece, begin: begin &+ 16384, lie)]
        case 1: return [.block(piece: UInt32(random.below(geometry.pieceCount)), begin: begin, lie)]
        case 2: return [.block(piece: piece, begin: begin, Array(lie.prefix(1 + lie.count / 2)))]
        case 3: return [.block(piece: piece, begin: begin, lie), .block(piece: piece, begin: begin, lie)]
        case 4: return [isFast ? .message(.reject(piece: piece, begin: begin, length: length), []) : .message(.choke, [])]
        default: return [.block(piece: piece, begin: begin, lie)]
        }
    }

    private func empty(_ geometry: PieceGeometry) -> SimMessage {
        let piece = UInt32(random.below(geometry.pieceCount))
        return switch random.below(8) {
        case 0: .message(.interested, [])
        case 1: .message(.notInterested, [])
        case 2: .message(.choke, [])
        case 3: .message(.unchoke, [])
        case 4: .message(.have(piece: piece), [])
        case 5: .message(.cancel(piece: piece, begin: 0, length: 16384), [])
        case 6: .message(.request(piece: piece, begin: 0, length: 1024), [])
        default: .message(.keepAlive, [])
        }
    }

    private func anything(_ geometry: PieceGeometry) -> SimMessage {
        func number() -> UInt32 { random.chance(0.7) ? UInt32(random.below(geometry.pieceCount)) : UInt32(truncatingIfNeeded: random.next()) }
        let bytes = noise(random.below(200)), all = PayloadRange(offset: 0, count: bytes.count)
        return switch random.below(12) {
        case 0: .message(.have(piece: number()), [])
        case 1: .message(.bitfield(all), bytes)
        case 2: .message(.request(piece: number(), begin: number(), length: number()), [])
        case 3: .message(.cancel(piece: number(), begin: number(), length: number()), [])
        case 4: .message(.suggest(piece: number()), [])
        case 5: .message(.allowedFast(piece: number()), [])
        case 6: .message(.reject(piece: number(), begin: number(), length: number()), [])
        case 7: .message(.extended(id: UInt8(truncatingIfNeeded: random.next()), all), bytes)
        case 8: .message(.hashRequest(all), bytes)
        case 9: .message(.hashes(all), bytes)
        case 10: .message(.hashReject(all), bytes)
        default: .message(random.chance(0.5) ? .haveAll : .haveNone, [])
        }
    }

    private func noise(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
}

extension SimWorld {
    /// Its place among the ends of connections: behind those of the nodes.
    private func end(_ h: Int) -> Int { nodes.count + h }

    func releaseHostiles() {
        for (h, kind) in scenario.hostiles.enumerated() {
            hostiles.append(SimHostile(kind: kind, number: h, seed: random.next()))
            hostileTurn(h)
        }
    }

    private func hostileTurn(_ h: Int) {
        after(.milliseconds(100)) { world in
            let stranger = world.hostiles[h]
            for n in world.nodes.indices where !world.gone.contains(n) {
                if let connection = stranger.connections[n] {
                    for message in stranger.turn(world.geometry) { world.send(message, on: connection, side: 0) }
                } else if stranger.random.chance(0.05) {
                    world.join(h, n)
                }
            }
            world.hostileTurn(h)
        }
    }

    private func join(_ h: Int, _ n: Int) {
        let there = nodes[n].process(.peer)
        after(transit()) { world in
            world.deliver(n, WorkerName(.peer), there) { world in
                let stranger = world.hostiles[h]
                guard stranger.connections[n] == nil, let shard = world.nodes[n].shard, let answer = shard.accept(stranger.endpoint) else { return }
                let connection = SimConnection(
                    .init(node: world.end(h), process: nil, peer: PeerHandle(index: UInt32(n), generation: 0)), .init(node: n, process: there, peer: answer), world.datagrams())
                connection.datagrams?.open(now: world.clock.now)
                shard.connections[answer] = (connection, 1)
                stranger.connections[n] = connection
                world.mark(.hostileJoined)
                world.settle(n)
                world.send(.handshake(stranger.greeting(world.facts(n).infoHash)), on: connection, side: 0)
                for message in stranger.opening(world.geometry) { world.send(message, on: connection, side: 0) }
            }
        }
    }

    func hostileHeard(_ message: SimMessage, _ connection: SimConnection) {
        let stranger = hostiles[connection.ends[0].node - nodes.count]
        for message in stranger.answer(message, geometry) { send(message, on: connection, side: 0) }
    }
    func hostileLost(_ connection: SimConnection) {
        hostiles[connection.ends[0].node - nodes.count].connections[connection.ends[1].node] = nil
    }
}
