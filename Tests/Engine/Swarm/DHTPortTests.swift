import PeerWire
import Primitives
import Swarm
import Testing

/// BEP 5: who sets the reserved bit is told our node's port, and what it says of its own goes on; not in a private swarm.
@Suite struct DHTPortTests {
    private func join(_ stage: Stage, _ endpoint: Endpoint, bit: Bool) -> PeerHandle {
        let p = stage.accept(endpoint)!
        let reserved = Handshake.fastBit | (bit ? Handshake.dhtBit : 0)
        let id = PeerID((0..<20).map { UInt8($0) &+ UInt8(truncatingIfNeeded: endpoint.ipv4 >> 8) })!
        stage.swarm.handshakeReceived(p, Handshake(infoHash: stage.infoHash, peerID: id, reserved: reserved), now: stage.now, into: &stage.effects)
        return p
    }

    struct Case: Sendable {
        let speaks: Bool, bit: Bool, isPrivate: Bool
        var isTold: Bool { speaks && bit && !isPrivate }
        var isHeard: Bool { speaks && !isPrivate }
    }
    @Test(arguments: [
        Case(speaks: true, bit: true, isPrivate: false), Case(speaks: true, bit: false, isPrivate: false), Case(speaks: false, bit: true, isPrivate: false),
        Case(speaks: true, bit: true, isPrivate: true),
    ])
    func portsAreExchanged(_ c: Case) {
        let stage = Stage(traits: c.isPrivate ? .isPrivate : []) { $0.speaksDHT = c.speaks }
        let endpoint = stage.newEndpoint(), p = join(stage, endpoint, bit: c.bit)
        #expect(stage.take().contains(.send(p, .dhtPort)) == c.isTold)
        stage.say(p, .port(7001))
        var theirs = endpoint
        theirs.port = 7001
        #expect(stage.take().contains(.dhtNodeSeen(theirs)) == c.isHeard)
        stage.say(p, .port(0))
        #expect(stage.take().isEmpty)
    }
}
