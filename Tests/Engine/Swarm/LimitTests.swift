import Limits
import PeerWire
import Primitives
import Swarm
import Testing

/// Download limits and connection limits in whole swarms: rates hold, are shared fairly, change at once, and everybody
/// still completes.
@Suite struct LimitTests {
    private let kib = 1024.0

    /// A downloader with `seeds` seeds of 1 MB/s each.
    private func world(seed: UInt64, seeds: Int, pieces: Int = 600, limits: (inout RateLimits) -> Void) -> (MiniSwarm, MiniSwarm.Node) {
        let world = MiniSwarm(seed: seed, geometry: MiniSwarmTests.geometry(pieces: pieces))
        world.checksInvariants = false
        for _ in 0..<seeds { world.addNode(pieces: Bitfield(full: pieces), rate: 1e6) }
        let node = world.addNode(pieces: Bitfield(count: pieces))
        set(world, node, limits)
        world.introduce(seeds, to: Array(0..<seeds))
        return (world, node)
    }
    private func set(_ world: MiniSwarm, _ node: MiniSwarm.Node, _ change: (inout RateLimits) -> Void) {
        var limits = RateLimits()
        change(&limits)
        node.swarm.setLimits(limits, now: world.now, into: &node.effects)
        world.drain(world.nodes.firstIndex { $0 === node }!)
    }
    private func downloaded(_ world: MiniSwarm, _ node: MiniSwarm.Node) -> Double { Double(node.swarm.report(world.torrent)!.downloaded) }
    private func perPeer(_ world: MiniSwarm, _ node: MiniSwarm.Node) -> [Double] {
        node.swarm.peers(of: world.torrent).map { Double(node.swarm.report($0)!.downloaded) }
    }

    /// KiB/s over ten seconds, after two for the connections.
    private func rate(_ world: MiniSwarm, _ node: MiniSwarm.Node) -> Double {
        world.run(for: .seconds(2))
        let before = downloaded(world, node)
        world.run(for: .seconds(10))
        return (downloaded(world, node) - before) / 10 / kib
    }

    @Test(arguments: [100, 500, 2000] as [Int64]) func aGlobalLimitHoldsWithinFivePercent(limit: Int64) {
        let (world, node) = world(seed: UInt64(limit), seeds: 4) { $0.global.down = limit << 10 }
        let rate = rate(world, node)
        #expect(abs(rate / Double(limit) - 1) < 0.05, "\(rate) KiB/s")
    }

    @Test func aTorrentsOwnLimitAndOneOfEachPeer() {
        let (world, node) = world(seed: 3, seeds: 4) { $0.perPeer.down = 200 << 10 }
        #expect(abs(rate(world, node) / 800 - 1) < 0.05)
        node.swarm.setLimits(of: world.torrent, TorrentLimits(down: 300 << 10), now: world.now, into: &node.effects)
        #expect(abs(rate(world, node) / 300 - 1) < 0.05)
        // 0: no limit of its own, in a group of 500.
        set(world, node) { $0.groups = [LimitPair(), LimitPair(down: 500 << 10)] }
        node.swarm.setLimits(of: world.torrent, TorrentLimits(down: 0, group: 2), now: world.now, into: &node.effects)
        #expect(abs(rate(world, node) / 500 - 1) < 0.05)
    }

    @Test func fourPeersAreServedAlike() {
        let (world, node) = world(seed: 5, seeds: 4) { $0.global.down = 800 << 10 }
        world.run(for: .seconds(3))
        let before = perPeer(world, node)
        world.run(for: .seconds(20))
        let shares = zip(perPeer(world, node), before).map { ($0 - $1) / 20 / kib }
        #expect(shares.count == 4)
        for share in shares { #expect(abs(share / 200 - 1) < 0.1, "\(shares)") }
    }

    @Test func loweringHoldsAtOnceAndLiftingToo() {
        let (world, node) = world(seed: 6, seeds: 2) { _ in }
        world.run(for: .seconds(2))
        set(world, node) { $0.global.down = 200 << 10 }
        #expect(abs(rate(world, node) / 200 - 1) < 0.05)
        set(world, node) { _ in }
        #expect(rate(world, node) > 1500)
    }

    /// Every address of this world is private.
    @Test func localPeersAreExemptOrHaveTheirOwn() {
        let (world, node) = world(seed: 7, seeds: 2) {
            $0.global.down = 100 << 10
            $0.localPeers = .exempt
        }
        #expect(rate(world, node) > 1500)
        set(world, node) {
            $0.global.down = 100 << 10
            $0.localPeers = .own
            $0.local.down = 400 << 10
        }
        #expect(abs(rate(world, node) / 400 - 1) < 0.05)
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>) func everybodyCompletesUnderLimits(seed: UInt64) {
        let world = MiniSwarm(seed: seed, geometry: MiniSwarmTests.geometry(pieces: 30))
        world.addNode(pieces: Bitfield(full: 30), rate: 1e6)
        let liar = world.addNode(pieces: Bitfield(full: 30), rate: 1e6)
        liar.lies = 0.3
        for _ in 0..<4 { world.addNode(pieces: Bitfield(count: 30), slots: 48, rate: 1e6) }
        for n in 2..<6 {
            set(world, world.nodes[n]) {
                $0.global.down = 150 << 10
                $0.perPeer.down = n == 3 ? 60 << 10 : 0
            }
        }
        for n in 2..<6 { world.introduce(n, to: Array(0..<6).filter { $0 != n }) }
        var rng = SeededRandom(seed: seed &* 17)
        for k in 1...30 {
            world.after(.milliseconds(k * 400)) { [self] in
                let n = 2 + rng.below(4)
                let peers = world.nodes[n].swarm.peers(of: world.torrent)
                if !peers.isEmpty, rng.chance(0.5) { world.cut(n, peers[rng.below(peers.count)]) }
                set(world, world.nodes[n]) { $0.global.down = [0, 80, 150, 400][rng.below(4)] << 10 }
            }
        }
        #expect(world.run(for: .seconds(600)) { (2..<6).allSatisfy(world.isComplete) })
    }

    @Test func connectionsOfATorrent() {
        let (world, node) = world(seed: 9, seeds: 6) { $0.global.down = 100 << 10 }
        world.run(for: .seconds(3))
        #expect(node.swarm.peers(of: world.torrent).count == 6)
        node.swarm.setLimits(of: world.torrent, TorrentLimits(maxPeers: 2), now: world.now, into: &node.effects)
        world.run(for: .seconds(5))
        #expect(node.swarm.peers(of: world.torrent).count == 2)
        world.run(for: .seconds(60))
        #expect(node.swarm.peers(of: world.torrent).count == 2)
    }

    @Test func dialsUnderWay() {
        let world = MiniSwarm(seed: 4, geometry: MiniSwarmTests.geometry(pieces: 4))
        world.latency = .seconds(3)
        let node = world.addNode(pieces: Bitfield(count: 4)) { $0.maxHalfOpen = 3 }
        for _ in 0..<10 { world.addNode(pieces: Bitfield(full: 4)) }
        world.introduce(0, to: Array(1...10))
        world.run(for: .seconds(2))
        #expect(node.swarm.connectionCount == 3)
        #expect(world.run(for: .seconds(60)) { world.isComplete(0) })
    }
}
