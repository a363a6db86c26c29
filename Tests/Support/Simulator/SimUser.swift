import Catalog
import Limits
import Primitives

/// What a node's user wants, asked again each 300 ms until it is so: a session worker that is down is no reason to give up.
extension SimWorld {
    private func newTorrent(_ n: Int) -> NewTorrent { NewTorrent(facts: facts(n), savePath: "/data") }

    /// `wish` nil: there is nothing (more) to do.
    private func insist(_ n: Int, _ wish: @escaping (SimWorld) -> CatalogCommand?, then: @escaping SimClock.Action = { _ in }) {
        guard !gone.contains(n) else {
            wishes -= 1
            return
        }
        if nodes[n].session != nil {
            guard let command = wish(self) else {
                wishes -= 1
                return then(self)
            }
            tokens += 1
            let token = tokens
            toSession(n) { _ in .command(token: token, command) }
        }
        after(.milliseconds(300)) { $0.insist(n, wish, then: then) }
    }
    private func want(_ n: Int, _ wish: @escaping (SimWorld) -> CatalogCommand?, then: @escaping SimClock.Action = { _ in }) {
        wishes += 1
        insist(n, wish, then: then)
    }

    func add(_ n: Int) { want(n, { $0.nodes[n].torrent == nil ? .add($0.newTorrent(n)) : nil }) }

    func scheduleWishes() {
        for n in nodes.indices { after(.milliseconds(200 * (n + 1))) { $0.add(n) } }
        wishes += 1
        after(.milliseconds(200 * nodes.count + 1)) { $0.wishes -= 1 }
        for _ in 0..<scenario.pauses {
            let n = random.below(scenario.nodes), time = TimeSpan.milliseconds(100) + random.jitter(.seconds(8))
            at(someTime()) { $0.pause(n, for: time) }
        }
        for _ in 0..<scenario.rechecks {
            let n = random.below(scenario.nodes)
            at(someTime()) { world in
                guard let id = world.nodes[n].torrent else { return }
                world.mark(.rechecked)
                world.toSession(n) { _ in .command(token: 0, .recheck(id)) }
            }
        }
        for _ in 0..<scenario.limits {
            let n = random.below(scenario.nodes)
            let limits = TorrentLimits(down: Int64(30_000 + random.below(500_000)), up: random.chance(0.5) ? Int64(30_000 + random.below(500_000)) : nil)
            at(someTime()) { world in
                guard let id = world.nodes[n].torrent else { return }
                world.mark(.limited)
                world.toSession(n) { _ in .command(token: 0, .limit(id, limits, group: "")) }
            }
        }
        var seeks = SeededRandom(seed: scenario.seed ^ 0x5EE)
        for _ in 0..<scenario.seeks {
            let n = seeks.below(scenario.nodes), reader = UInt32(seeks.below(3)), total = announcedGeometry.totalLength
            // What is played reaches some way only: what lies behind it gives way too.
            let offset = UInt64(Double(total) * seeks.fraction()), end = min(total, offset + 1 + UInt64(seeks.below(300_000)))
            at(Instant(nanoseconds: 1_100_000_000) + seeks.jitter(scenario.chaosTime)) { $0.seek(n, reader, offset..<end) }
        }
        for i in 0..<scenario.removals + scenario.removalsWithData {
            // With its data never from node 0, which may have the only copy.
            let withData = i >= scenario.removals, n = withData ? 1 + random.below(scenario.nodes - 1) : random.below(scenario.nodes)
            at(someTime()) { $0.remove(n, withData: withData) }
        }
    }

    private func seek(_ n: Int, _ reader: UInt32, _ range: Range<UInt64>) {
        guard let id = nodes[n].torrent, !gone.contains(n), range.lowerBound < range.upperBound else { return }
        mark(.sought)
        toShard(n, nil) { $0.swarm.position(id, reader: reader, offset: range.lowerBound, end: range.upperBound, now: $0.now, into: &$0.effects) }
    }

    private func pause(_ n: Int, for time: TimeSpan) {
        // One pause at a time: two users who want opposite things never come to rest.
        guard let id = nodes[n].torrent, !gone.contains(n), pausing.insert(n).inserted else { return }
        mark(.paused)
        func record(_ world: SimWorld) -> Catalog::TorrentRecord? { world.nodes[n].torrent == id ? world.nodes[n].store.records[id] : nil }
        want(n, { world in record(world).flatMap { $0.isPaused ? nil : .pause(id) } }) { world in
            world.wishes += 1
            world.after(time) { world in
                world.wishes -= 1
                world.want(n, { world in record(world).flatMap { $0.isPaused ? .resume(id) : nil } }) { $0.pausing.remove(n) }
            }
        }
    }

    private func remove(_ n: Int, withData: Bool) {
        guard let id = nodes[n].torrent, !gone.contains(n) else { return }
        mark(withData ? .removedWithData : .removed)
        want(n, { $0.nodes[n].torrent == id ? .remove(id, deleteData: withData) : nil }) { world in
            world.wishes += 1
            world.after(world.random.jitter(.seconds(3))) { world in
                world.wishes -= 1
                world.add(n)
            }
        }
    }
}
