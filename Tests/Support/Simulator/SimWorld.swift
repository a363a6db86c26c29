import Catalog
import Discovery
import Pieces
import Primitives
import Supervision

package struct SimResult: Sendable {
    package var seed: UInt64
    /// Empty: all honest nodes came to the end, and no rule was broken.
    package var failure = ""
    /// Equal for equal seeds; any difference in the order of events changes it.
    package var trace: UInt64 = 0
    package var virtualTime = TimeSpan.zero
    package var events: UInt64 = 0
    package var deaths = 0
    /// Payload received over the swarm, and what one copy for each leecher would be.
    package var received: UInt64 = 0
    package var needed: UInt64 = 0
}

/// Some daemons, a tracker, a network and disks in one thread on one virtual clock, decided by one seed.
///
/// Two phases: chaos (deaths, faults, losses), then calm, in which everyone must come to the end by itself.
/// Checked all along: what a disk worker calls durable is on the disk, synced, and right; and at the end every honest
/// node's file equals the content.
package final class SimWorld {
    package let scenario: SimScenario
    package var random: SeededRandom
    var clock = SimClock()
    var nodes: [SimNode] = []
    let geometry: PieceGeometry
    let layout: FileLayout
    let content: [UInt8]
    var announced: Set<Int> = []
    var received: [UInt64]
    var checkedPieces: [UInt64]
    var correlation: UInt64 = 0
    var deaths = 0
    var done: Set<Int> = []
    var failure = ""
    private var traceHash: UInt64 = 0xCBF2_9CE4_8422_2325
    private var events: UInt64 = 0
    /// Stands in for "no shard" where an event needs none.
    var placeholder: SimShard?
    let torrent = TorrentID(1)
    /// Hears what happens between the processes, a line each; costs nothing when nobody listens.
    package var story: ((String) -> Void)?

    package init(_ scenario: SimScenario) {
        self.scenario = scenario
        random = SeededRandom(seed: scenario.seed)
        geometry = PieceGeometry(totalLength: scenario.totalLength, pieceLength: scenario.pieceLength)!
        layout = FileLayout(files: [LayoutFile(path: "file", length: scenario.totalLength)], pieceLength: scenario.pieceLength)!
        var source = SeededRandom(seed: scenario.seed &+ 1)
        content = (0..<Int(scenario.totalLength)).map { _ in UInt8(truncatingIfNeeded: source.next()) | 1 }
        received = [UInt64](repeating: 0, count: scenario.nodes)
        checkedPieces = received
        for n in 0..<scenario.nodes {
            let node = SimNode(
                endpoint: Endpoint(ipv4: 0x0A00_0001 + UInt32(n) << 8, port: 6881), arenaSlots: 64 + random.below(64),
                volume: SimDisk(length: content.count, pieces: geometry.pieceCount), seed: random.next())
            if n == 0 { node.volume.fill(content) }
            nodes.append(node)
        }
        placeholder = SimShard(world: self, node: 0, generation: Generation(0), arena: SimArena(slots: 4), slots: 4)
    }

    var isCalm: Bool { clock.now.nanoseconds > scenario.chaosTime.nanoseconds + 1_000_000_000 }
    package func isCorrupter(_ n: Int) -> Bool { n >= scenario.nodes - scenario.corrupters }

    func after(_ time: TimeSpan, _ action: @escaping SimClock.Action) { clock.schedule(at: clock.now + time, action) }
    func at(_ time: Instant, _ action: @escaping SimClock.Action) { clock.schedule(at: time, action) }
    func tell(_ n: Int, _ text: @autoclosure () -> String) {
        if let story { story("\(clock.now.nanoseconds / 1_000_000) ms node \(n): \(text())") }
    }
    func trace(_ values: UInt64...) {
        for v in values { traceHash = (traceHash ^ v) &* 0x100_0000_01B3 }
        traceHash = (traceHash ^ UInt64(bitPattern: clock.now.nanoseconds)) &* 0x100_0000_01B3
    }

    package func run() -> SimResult {
        for n in nodes.indices {
            supervise(n, .start)
            tick(n)
            after(.milliseconds(200 * (n + 1))) { $0.addTorrent(n) }
        }
        scheduleDeaths()
        while failure.isEmpty, done.count < honest.count, let action = clock.next() {
            action(self)
            events += 1
            if clock.now.nanoseconds > scenario.limit.nanoseconds { failure = "not complete in time: \(progress)" }
            if events > 60_000_000 { failure = "live-lock: \(progress)" }
        }
        if failure.isEmpty {
            for n in honest where nodes[n].volume.file.now != content { failure = "node \(n) says complete and its file differs" }
            for n in nodes.indices { checkClaims(n) }
        }
        return SimResult(
            seed: scenario.seed, failure: failure, trace: traceHash, virtualTime: TimeSpan(nanoseconds: clock.now.nanoseconds), events: events,
            deaths: deaths, received: received.reduce(0, +), needed: scenario.totalLength * UInt64(scenario.nodes - 1))
    }

    private var honest: [Int] { nodes.indices.filter { !isCorrupter($0) } }
    private var progress: String {
        nodes.indices.map { n in
            let have = nodes[n].disk?.have(torrent)?.setCount ?? -1
            let phase = nodes[n].session?.row(torrent).map { "\($0.phase)" } ?? "no session"
            return "node \(n): \(have)/\(geometry.pieceCount) \(phase) peers \(nodes[n].shard?.swarm.peers(of: torrent).count ?? -1)"
        }.joined(separator: "; ")
    }

    private func addTorrent(_ n: Int) {
        guard nodes[n].session != nil, nodes[n].store.records.isEmpty else {
            // Its session is down just now: the user tries again.
            if nodes[n].store.records.isEmpty { after(.milliseconds(300)) { $0.addTorrent(n) } }
            return
        }
        let facts = TorrentFacts(
            infoHash: InfoHash([UInt8](repeating: 9, count: 20))!, name: "file", rootName: "file", totalLength: scenario.totalLength,
            pieceLength: scenario.pieceLength, pieceCount: UInt32(geometry.pieceCount), fileCount: 1, metadataLength: 100,
            trackers: [["http://10.9.9.9/announce"]])
        toSession(n) { _ in .command(token: 1, .add(NewTorrent(facts: facts, savePath: "/data"))) }
        after(.milliseconds(300)) { $0.addTorrent(n) }
    }

    /// Timers of all cores of a node, each 50 ms.
    private func tick(_ n: Int) {
        after(.milliseconds(50)) { world in
            let node = world.nodes[n], now = world.clock.now
            if now - node.lastHeartbeat >= .seconds(1) {
                node.lastHeartbeat = now
                node.progress += 1
                for name in node.live.keys.sorted(by: { $0.role.rawValue < $1.role.rawValue }) {
                    if let g = node.live[name] { world.supervise(n, .heartbeat(name, g, progress: node.progress)) }
                }
            }
            if node.supervisor.nextDeadline(now: now) <= now {
                var effects: [SupervisorCore.Effect] = []
                node.supervisor.advance(now: now, into: &effects)
                world.carryOut(n, effects)
            }
            if let disk = node.disk, disk.deadline <= now { node.disk!.handle(.tick, now: now, into: &node.diskEffects) }
            node.session?.wallSeconds = UInt64(now.nanoseconds / 1_000_000_000)
            if node.session != nil { _ = node.session!.turn(now: now, into: &node.sessionEffects) }
            if let discovery = node.discovery, discovery.nextDeadline <= now {
                node.discovery!.handle(.tick, now: now, into: &node.discoveryEffects)
            }
            if let shard = node.shard, shard.swarm.nextDeadline <= now { shard.swarm.tick(now: now, into: &shard.effects) }
            world.settle(n)
            world.tick(n)
        }
    }

    private func scheduleDeaths() {
        let roles: [WorkerRole] = [.session, .peer, .disk, .discovery]
        for _ in 0..<scenario.deaths {
            let n = random.below(scenario.nodes), role = roles[random.below(4)]
            at(Instant(nanoseconds: 1_000_000_000) + random.jitter(scenario.chaosTime)) { $0.kill(n, WorkerName(role)) }
        }
        for i in 0..<scenario.wholeNodeDeaths + scenario.powerCuts {
            let n = random.below(scenario.nodes), cut = i >= scenario.wholeNodeDeaths
            at(Instant(nanoseconds: 1_000_000_000) + random.jitter(scenario.chaosTime)) { $0.killNode(n, powerCut: cut) }
        }
    }

    // MARK: oracle

    func bytes(of piece: UInt32) -> ArraySlice<UInt8> {
        let at = Int(piece) * Int(geometry.pieceLength)
        return content[at..<min(at + Int(geometry.pieceLength), content.count)]
    }
    func holds(_ n: Int, _ piece: Int) -> Bool {
        let range = bytes(of: UInt32(piece))
        return nodes[n].volume.file.now[range.startIndex..<range.endIndex].elementsEqual(range)
    }
    func checkSynced(_ n: Int, _ runs: [(first: Int, count: Int)]) {
        for run in runs {
            for piece in run.first..<run.first + run.count {
                let range = bytes(of: UInt32(piece))
                if !nodes[n].volume.file.synced[range.startIndex..<range.endIndex].elementsEqual(range) {
                    failure = "node \(n) calls piece \(piece) durable, and it is not on the disk"
                }
            }
        }
    }
    /// What the store calls durable is right on the disk.
    func checkClaims(_ n: Int) {
        for (_, durable) in nodes[n].store.durable { checkSynced(n, durable.runs) }
    }
    func completed(_ n: Int) {
        guard !isCorrupter(n) else { return }
        trace(UInt64(n), 4)
        if nodes[n].volume.file.now != content { failure = "node \(n) says complete and its file differs" }
        done.insert(n)
    }
}

extension SimScenario {
    var diskLimits: DiskCore.Limits {
        var limits = DiskCore.Limits()
        limits.checkpointBytes = 256 << 10
        return limits
    }
}
