import PeerWire
import Primitives
import Swarm

/// A connection between two nodes' shards: messages in order each way, late, sometimes broken off.
package final class SimConnection {
    struct End {
        let node: Int
        /// The shard's process: a new shard knows nothing of an old one's connections.
        let process: Int?
        let peer: PeerHandle
    }
    let ends: [End]
    /// nil: by TCP.
    let datagrams: SimDatagrams?
    var isOpen = true
    /// Per sender: when its last message arrives; the next is never earlier.
    var arrival = [Instant.zero, Instant.zero]
    /// Per sender: when its last block has left.
    var leaves = [Instant.zero, Instant.zero]
    init(_ a: End, _ b: End, _ datagrams: SimDatagrams? = nil) { (ends, self.datagrams) = ([a, b], datagrams) }

    /// A socket takes so much and no more: the line is shared among those who ask for it.
    func hasRoom(_ side: Int, now: Instant) -> Bool { datagrams?.hasRoom(side) ?? (leaves[side] <= now + .milliseconds(100)) }
}

/// What travels. Payload by value: it is copied out of the sender's arena when it is sent.
package enum SimMessage {
    case handshake(Handshake)
    case message(PeerMessage, [UInt8])
    case block(piece: UInt32, begin: UInt32, [UInt8])
}

extension SimWorld {
    func transit() -> TimeSpan {
        let (low, high) = scenario.delay
        var time = low + random.jitter(high - low)
        // A lost segment comes again after a retransmission time-out.
        while hits(scenario.loss, .segmentLoss) { time = time + .milliseconds(200) + random.jitter(.milliseconds(400)) }
        return time
    }

    func dial(from node: Int, _ peer: PeerHandle, _ endpoint: Endpoint) {
        let process = nodes[node].process(.peer)
        let refused: SimClock.Action = { world in world.after(world.transit()) { $0.toShard(node, process) { $0.dialFailed(peer) } } }
        after(transit()) { world in
            guard let target = world.nodes.firstIndex(where: { $0.endpoint == endpoint }), target != node, world.nodes[target].shard != nil else {
                return refused(world)
            }
            let there = world.nodes[target].process(.peer)
            world.deliver(target, WorkerName(.peer), there) { world in
                guard let shard = world.nodes[target].shard, let answer = shard.accept(world.nodes[node].outgoing()) else { return refused(world) }
                let connection = SimConnection(
                    .init(node: node, process: process, peer: peer), .init(node: target, process: there, peer: answer), world.datagrams())
                connection.datagrams?.open(now: world.clock.now)
                shard.connections[answer] = (connection, 1)
                world.settle(target)
                world.after(world.transit()) { world in
                    guard process != nil, world.nodes[node].process(.peer) == process, connection.isOpen else { return world.breakOff(connection) }
                    world.toShard(node, process) { shard in
                        guard connection.isOpen else { return shard.dialFailed(peer) }
                        shard.connections[peer] = (connection, 0)
                        shard.connected(peer)
                    }
                }
            }
        }
    }

    func send(_ message: SimMessage, on connection: SimConnection, side: Int) {
        guard connection.isOpen else { return }
        if hits(scenario.reset, .connectionReset) { return breakOff(connection) }
        if let datagrams = connection.datagrams {
            datagrams.put(message, from: side)
            return pump(connection, side)
        }
        var left = clock.now
        if case .block(_, _, let bytes) = message, connection.ends[side].node < nodes.count {
            // All connections of a node share its line.
            let node = nodes[connection.ends[side].node]
            node.lineFreeAt = max(node.lineFreeAt, left) + .seconds(Double(bytes.count) / scenario.uploadRate)
            left = node.lineFreeAt
            connection.leaves[side] = left
        }
        connection.arrival[side] = max(connection.arrival[side], left + transit())
        at(connection.arrival[side]) { world in
            guard connection.isOpen else { return }
            world.hand(message, connection, to: 1 - side)
        }
    }

    func hand(_ message: SimMessage, _ connection: SimConnection, to side: Int) {
        let to = connection.ends[side]
        trace(UInt64(to.node), 1, UInt64(to.peer.index))
        guard to.node < nodes.count else { return hostileHeard(message, connection) }
        toShard(to.node, to.process) { $0.arrived(message, to.peer) }
    }

    /// Both ends learn of it, each in its own time.
    func breakOff(_ connection: SimConnection) {
        guard connection.isOpen else { return }
        connection.isOpen = false
        for end in connection.ends {
            guard end.node < nodes.count else {
                after(transit()) { $0.hostileLost(connection) }
                continue
            }
            after(transit()) { $0.toShard(end.node, end.process) { $0.lost(end.peer) } }
        }
    }
}
