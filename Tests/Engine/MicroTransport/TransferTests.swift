import Primitives
import Testing
import UTPWire

@testable import MicroTransport

/// Streams over a simulated network on a virtual clock: what goes in comes out, within bounds of time and of packets sent again.
@Suite struct TransferTests {
    /// One host sends `bytes` to the other, which sends `back`. Returns the time, or nil when it did not end within `limit`.
    private func transfer(_ network: Network, bytes: Int, back: Int = 0, limit: TimeSpan) -> TimeSpan? {
        let a = network.hosts[0], b = network.hosts[1]
        let handle = a.connect(to: 1, network)
        a.send(handle, bytes)
        var answering = false
        let time = network.run(for: limit) {
            if !answering, let incoming = b.incoming.first {
                answering = true
                if back > 0 { b.send(incoming, back) }
            }
            guard let incoming = b.incoming.first else { return false }
            return b.streams[incoming]!.received == UInt64(bytes) && a.streams[handle]!.received == UInt64(back)
        }
        guard let incoming = b.incoming.first else { return nil }
        return b.streams[incoming]!.received == UInt64(bytes) && a.streams[handle]!.received == UInt64(back) ? time : nil
    }

    /// Loss up to 5 %, jitter, reordering, duplication, thin links, small buffers and paths, clocks that disagree, a full socket.
    @Test(arguments: 0..<10) func everySeedDelivers(_ decade: Int) {
        for seed in UInt64(decade * 40)..<UInt64(decade * 40 + 40) {
            var random = SeededRandom(seed: seed &+ 1000)
            var wire = Wire()
            wire.delay = .milliseconds(random.below(120))
            if random.chance(0.5) { wire.jitter = .milliseconds(random.below(20)) }
            if random.chance(0.6) { wire.loss = random.fraction() * 0.05 }
            if random.chance(0.4) { wire.duplication = random.fraction() * 0.05 }
            if random.chance(0.4) { wire.reordering = random.fraction() * 0.1 }
            if random.chance(0.5) {
                wire.rate = 50_000 + random.fraction() * 2e6
                wire.queue = 10_000 + random.below(200_000)
            }
            if random.chance(0.3) { wire.limit = 600 + random.below(900) }
            let network = Network(seed: seed, wire: wire)
            network.hosts[0].offset = .seconds(Double(random.below(10_000)))
            network.hosts[1].offset = .seconds(Double(random.below(10_000)))
            network.hosts[1].drift = (random.fraction() - 0.5) * 2e-4
            let bytes = 20_000 + random.below(150_000), back = random.chance(0.5) ? random.below(60_000) : 0
            let time = transfer(network, bytes: bytes, back: back, limit: .seconds(240))
            #expect(time != nil, "seed \(seed): \(wire), \(network.hosts[0].core.counters)")
            // Nothing is sent again without cause: five times the loss, a tenth for reordering and full buffers, and a few at the end.
            let a = network.hosts[0].core.counters
            let again = Double(a.retransmitted), sent = Double(a.packetsOut)
            let dropped = Double(network.wires[network.wire(0, 1)].dropped)
            #expect(again <= sent * (wire.loss * 5 + wire.reordering * 2 + 0.1) + dropped * 3 + 20, "seed \(seed): \(again) of \(sent) again, \(wire)")
        }
    }

    @Test func sameSeedSameRun() {
        func run() -> UTPCounters {
            let network = Network(seed: 7, wire: Wire(delay: .milliseconds(30), jitter: .milliseconds(5), loss: 0.03, reordering: 0.05))
            _ = transfer(network, bytes: 200_000, back: 50_000, limit: .seconds(100))
            return network.hosts[0].core.counters
        }
        #expect(run() == run())
    }

    /// An empty path of 1 MB/s, 40 ms there and back, with room for half a second: nearly all of it is used, nothing is lost, and
    /// the queue stays about the target of 100 ms.
    @Test func cleanLinkIsFilledWithoutLoss() {
        let network = Network(seed: 1, wire: Wire(rate: 1_000_000, queue: 500_000, delay: .milliseconds(20)))
        let a = network.hosts[0]
        var deepest = TimeSpan.zero
        for k in 20..<60 {
            network.schedule(network.now + .milliseconds(500 * k)) { n in deepest = max(deepest, n.wires[n.wire(0, 1)].busyUntil - n.now) }
        }
        let time = transfer(network, bytes: 30_000_000, limit: .seconds(60))
        #expect(time != nil && time! < .seconds(35), "\(String(describing: time))")
        #expect(a.core.counters.retransmitted == 0)
        #expect(deepest < .milliseconds(140) && deepest > .milliseconds(30), "\(deepest)")
        #expect(a.sizes[1472, default: 0] > 19_000, "full packets of Ethernet: \(a.sizes)")
    }

    @Test(arguments: [548, 700, 1000, 1400, 1472]) func pathSizeIsFound(_ limit: Int) {
        let network = Network(seed: 3, wire: Wire(rate: 2_000_000, queue: 1_000_000, delay: .milliseconds(15), limit: limit))
        let time = transfer(network, bytes: 3_000_000, limit: .seconds(30))
        #expect(time != nil)
        let size = network.hosts[0].core.datagramSize(network.hosts[0].streams.keys.first!)!
        #expect(size <= limit && size > limit - 16, "found \(size)")
        // Lost probes do not cut the window: each costs two transmissions at most.
        #expect(network.hosts[0].core.counters.retransmitted <= 24)
    }

    /// What goes through a proxy fits with its header into a packet of Ethernet, and without it into the peer's path.
    @Test func aCarriersHeaderIsLeftRoomFor() {
        for (carrierIPv4, peerIPv4, least, most) in [
            (true, true, 576 - 28 - 10, 1500 - 28 - 10), (true, false, 576 - 28 - 22, 1500 - 28 - 22), (false, true, 576 - 28, 1500 - 48 - 10),
            (false, false, 1280 - 48 - 22, 1500 - 48 - 22),
        ] {
            let path = PathMTU(ipv4: peerIPv4, carrier: UTPCarrier(isIPv4: carrierIPv4, headerToIPv4: 10, headerToIPv6: 22))
            #expect(path.least == least && path.most == most && path.known == least, "\(carrierIPv4) \(peerIPv4)")
        }
        #expect(PathMTU(ipv4: true).most == 1472 && PathMTU(ipv4: false).most == 1452)
        var configuration = UTPConfiguration()
        configuration.carrier = UTPCarrier(isIPv4: true, headerToIPv4: 10, headerToIPv6: 22)
        let network = Network(seed: 1, wire: Wire(rate: 2_000_000, queue: 1_000_000, delay: .milliseconds(15)), configuration: configuration)
        #expect(transfer(network, bytes: 3_000_000, limit: .seconds(30)) != nil)
        #expect(network.hosts[0].sizes.keys.max() == 1462 && network.hosts[0].sizes[1462, default: 0] > 1500, "\(network.hosts[0].sizes)")
    }

    /// After a while nothing above 900 bytes comes through, fragmented or not: what is on its way is lost for good, so the most that can
    /// be wanted is an end in bounded time.
    @Test func blackHoleEndsTheConnection() {
        let network = Network(seed: 4, wire: Wire(rate: 500_000, queue: 100_000))
        let a = network.hosts[0], handle = a.connect(to: 1, network)
        a.send(handle, 10_000_000)
        network.run(for: .seconds(5))
        network.wires[network.wire(0, 1)].blackHole = 900
        network.run(for: .seconds(60)) { a.closed[handle] != nil }
        #expect(a.closed[handle] == .timedOut)
    }

    /// Packets that may be fragmented get through a path that became narrow.
    @Test func narrowerPathGoesOn() {
        let network = Network(seed: 5, wire: Wire(rate: 500_000, queue: 100_000))
        network.schedule(network.now + .seconds(3)) { $0.wires[$0.wire(0, 1)].limit = 900 }
        #expect(transfer(network, bytes: 5_000_000, limit: .seconds(30)) != nil)
    }

    /// Two flows of one host pair through one bottleneck: within a factor of four of each other over a minute (RFC 6817 gives
    /// the later one an advantage).
    @Test func twoFlowsShare() {
        let network = Network(seed: 6, hosts: 4, wire: Wire(rate: 1_000_000, queue: 400_000, delay: .milliseconds(25)))
        // Both directions 0→2 and 1→3 share one wire.
        network.route[1][3] = network.route[0][2]
        let a = network.hosts[0].connect(to: 2, network), b = network.hosts[1].connect(to: 3, network)
        network.hosts[0].send(a, 200_000_000)
        network.hosts[1].send(b, 200_000_000)
        network.run(for: .seconds(60))
        let first = network.hosts[2].streams.values.first!.received, second = network.hosts[3].streams.values.first!.received
        #expect(first + second > 48_000_000, "\(first) \(second)")
        #expect(min(first, second) * 4 > max(first, second), "\(first) \(second)")
    }

    /// A loss-based flow (Reno: one packet more a round trip, half at a loss) fills a queue of 400 ms; uTP steps aside, and takes
    /// the link again when it is gone.
    @Test func yieldsToLossBasedFlow() {
        let network = Network(seed: 8, wire: Wire(rate: 1_000_000, queue: 400_000, delay: .milliseconds(20)))
        let a = network.hosts[0], handle = a.connect(to: 1, network)
        a.send(handle, 1_000_000_000)
        network.run(for: .seconds(10))
        func received() -> UInt64 { network.hosts[1].streams.values.first!.received }
        let alone = received()
        #expect(alone > 7_500_000)
        let reno = Reno(network.wire(0, 1))
        reno.start(network)
        network.run(for: .seconds(30))
        let beside = received() - alone
        reno.isStopped = true
        #expect(Double(beside) < 0.15 * Double(beside + reno.delivered), "uTP \(beside), the other \(reno.delivered)")
        let before = received()
        network.run(for: .seconds(10))
        #expect(received() - before > 6_500_000, "\(received() - before)")
    }

    /// Clocks that run apart by 0.1 ms a second would look like a growing queue: after ten minutes the flow still has the link.
    @Test(arguments: [1e-4, -1e-4]) func clockDriftIsNoQueue(_ drift: Double) {
        let network = Network(seed: 9, wire: Wire(rate: 100_000, queue: 100_000, delay: .milliseconds(20)))
        network.hosts[1].drift = drift
        let a = network.hosts[0], handle = a.connect(to: 1, network)
        a.send(handle, 1_000_000_000)
        network.run(for: .seconds(540))
        let before = network.hosts[1].streams.values.first!.received
        network.run(for: .seconds(60))
        let rate = network.hosts[1].streams.values.first!.received - before
        #expect(rate > 4_200_000, "\(rate) bytes in a minute")
    }

    /// A socket that takes 10 packets a millisecond: what it refused goes out later, and nothing is taken for lost.
    @Test func fullSocketCostsNothing() {
        let network = Network(seed: 10, wire: Wire(delay: .milliseconds(5)))
        let a = network.hosts[0]
        func refill(_ n: Network) {
            a.room = 10
            n.schedule(n.now + .milliseconds(1), refill)
        }
        refill(network)
        #expect(transfer(network, bytes: 5_000_000, limit: .seconds(20)) != nil)
        #expect(a.core.counters.retransmitted == 0 && a.core.counters.timeouts == 0, "\(a.core.counters)")
    }
}

/// The model of a TCP flow: packets of 1,500 bytes through one wire, acknowledged 20 ms after they are through.
final class Reno {
    private let wire: Int
    private var window = 10.0
    private var threshold = Double.infinity
    private var underWay = 0
    private var lastCut = Instant.zero
    var delivered: UInt64 = 0
    var isStopped = false

    init(_ wire: Int) { self.wire = wire }

    func start(_ network: Network) { fill(network) }
    private func fill(_ network: Network) {
        while !isStopped, underWay < Int(window) {
            underWay += 1
            if let at = network.pass(wire, size: 1472) {
                network.schedule(at + .milliseconds(20)) { [self] n in
                    underWay -= 1
                    delivered += 1472
                    window += window < threshold ? 1 : 1 / window
                    fill(n)
                }
            } else {
                // Noticed a round trip later.
                network.schedule(max(network.wires[wire].busyUntil, network.now) + .milliseconds(40)) { [self] n in
                    underWay -= 1
                    if n.now - lastCut > .milliseconds(400) {
                        lastCut = n.now
                        window = max(2, window / 2)
                        threshold = window
                    }
                    fill(n)
                }
                return
            }
        }
    }
}
