import Catalog
import Discovery
import Pieces
import Primitives
import Supervision
import TrackerWire

package struct SimResult: Sendable {
    package var seed: UInt64
    /// Empty: all honest nodes came to the end, and no rule was broken.
    package var failure = ""
    /// Equal for equal seeds; any difference in the order of events changes it.
    package var trace: UInt64 = 0
    package var virtualTime = TimeSpan.zero
    package var events: UInt64 = 0
    package var deaths = 0
    package var marks = SimMarks()
    /// Payload received over the swarm, and what one copy for each leecher would be.
    package var received: UInt64 = 0
    package var needed: UInt64 = 0
    /// Blocks that shards had asked for when they died.
    package var blocksInFlightAtDeath: UInt64 = 0
}

/// Some daemons, a tracker, a network and disks in one thread on one virtual clock, decided by one seed.
///
/// Two phases: chaos (deaths, faults, losses), then calm, in which everyone must come to the end by itself.
/// Checked all along (SimOracles.swift): what a disk worker calls durable is on the disk, synced, and right; queues keep
/// their bounds, counters count nothing that was not there, the supervisor ends the silent and only those; and at the
/// end every honest node's file equals the content, and no buffer is lost.
package final class SimWorld {
    package let scenario: SimScenario
    package var random: SeededRandom
    var clock = SimClock()
    var nodes: [SimNode] = []
    let geometry: PieceGeometry
    let layout: FileLayout
    let content: [UInt8]
    var announced: Set<Int> = []
    var hostiles: [SimHostile] = []
    /// By node: payload received and sent, ever.
    var received: [UInt64]
    var sent: [UInt64]
    var correlation: UInt64 = 0
    var tokens: UInt64 = 0
    /// Things that users still want.
    var wishes = 0
    /// Nodes whose user has paused the torrent and will resume it.
    var pausing: Set<Int> = []
    /// Nodes that left for good.
    var gone: Set<Int> = []
    var deaths = 0
    var marks = SimMarks()
    var blocksInFlightAtDeath: UInt64 = 0
    /// By process of a discovery worker.
    var trackerViews: [Int: TrackerView] = [:]
    var processes = 0
    var failure = ""
    /// Since when everybody is complete.
    private var endedAt: Instant?
    private var isOver = false
    private var traceHash: UInt64 = 0xCBF2_9CE4_8422_2325
    private var events: UInt64 = 0
    /// Hears what happens between the processes, a line each; costs nothing when nobody listens.
    package var story: ((String) -> Void)?

    package init(_ scenario: SimScenario) {
        self.scenario = scenario
        random = SeededRandom(seed: scenario.seed)
        layout = scenario.makeLayout()
        geometry = layout.geometry
        var source = SeededRandom(seed: scenario.seed &+ 1)
        // Gaps between files are in no piece: they stay as they were made.
        content = layout.files.flatMap { file in (0..<Int(file.length)).map { _ in file.isPad ? 0 : UInt8(truncatingIfNeeded: source.next()) | 1 } }
        received = [UInt64](repeating: 0, count: scenario.nodes)
        sent = received
        for n in 0..<scenario.nodes {
            let node = SimNode(
                endpoint: Endpoint(ipv4: 0x0A00_0001 + UInt32(n) << 8, port: 6881), arenaSlots: 64 + random.below(64),
                volume: SimDisk(length: content.count, pieces: geometry.pieceCount), seed: random.next())
            if n == 0 { node.volume.fill(content) }
            nodes.append(node)
        }
    }

    private var chaosEnd: Instant { Instant(nanoseconds: 1_000_000_000) + scenario.chaosTime }
    var isCalm: Bool { clock.now > chaosEnd }
    package func isCorrupter(_ n: Int) -> Bool { n >= scenario.nodes - scenario.corrupters }
    var honest: [Int] { nodes.indices.filter { !isCorrupter($0) && !gone.contains($0) } }

    func after(_ time: TimeSpan, _ action: @escaping SimClock.Action) { clock.schedule(at: clock.now + time, action) }
    func at(_ time: Instant, _ action: @escaping SimClock.Action) { clock.schedule(at: time, action) }
    func tell(_ n: Int, _ text: @autoclosure () -> String) {
        if let story { story("\(clock.now.nanoseconds / 1_000_000) ms node \(n): \(text())") }
    }
    func trace(_ values: UInt64...) {
        for v in values { traceHash = (traceHash ^ v) &* 0x100_0000_01B3 }
        traceHash = (traceHash ^ UInt64(bitPattern: clock.now.nanoseconds)) &* 0x100_0000_01B3
    }
    func mark(_ mark: SimMark) { marks.add(mark) }
    /// Whether a fault of this chance strikes now; never once it is calm.
    func hits(_ chance: Double, _ mark: SimMark) -> Bool {
        guard chance > 0, !isCalm, random.chance(chance) else { return false }
        marks.add(mark)
        return true
    }

    package func run() -> SimResult {
        for n in nodes.indices {
            supervise(n, .start)
            tick(n)
        }
        scheduleWishes()
        scheduleFaults()
        releaseHostiles()
        watchForTheEnd()
        while failure.isEmpty, !isOver, let action = clock.next() {
            action(self)
            events += 1
            if clock.now.nanoseconds > scenario.limit.nanoseconds {
                for n in nodes.indices { tellConnections(n) }
                broken("not complete in time: \(progress)")
            }
            if events > 60_000_000 { broken("live-lock: \(progress)") }
        }
        if failure.isEmpty {
            for n in honest {
                checkWhole(n)
                checkNoLeak(n)
            }
            for n in nodes.indices { checkClaims(n) }
        }
        return SimResult(
            seed: scenario.seed, failure: failure, trace: traceHash, virtualTime: TimeSpan(nanoseconds: clock.now.nanoseconds), events: events,
            deaths: deaths, marks: marks, received: received.reduce(0, +), needed: payloadLength * UInt64(scenario.nodes - 1),
            blocksInFlightAtDeath: blocksInFlightAtDeath)
    }

    private var progress: String {
        nodes.indices.map { n in
            let have = nodes[n].torrent.flatMap { nodes[n].disk?.have($0)?.setCount } ?? -1
            let phase = nodes[n].torrent.flatMap { id in nodes[n].session?.row(id).map { "\($0.phase)" } } ?? "no torrent"
            let peers = nodes[n].torrent.flatMap { nodes[n].shard?.swarm.peers(of: $0).count } ?? -1
            return "node \(n): \(have)/\(geometry.pieceCount) \(phase) peers \(peers)"
        }.joined(separator: "; ") + "; \(wishes) wishes"
    }

    // MARK: the end

    func isComplete(_ n: Int) -> Bool {
        guard let id = nodes[n].torrent, let row = nodes[n].session?.row(id) else { return false }
        return row.phase == .seeding || row.phase == .completed
    }
    func completed(_ n: Int) {
        trace(UInt64(n), 4)
        checkWhole(n)
    }
    /// Calm, nobody wants anything, all complete, and so for three seconds: what was under way has ended.
    private func watchForTheEnd() {
        after(.milliseconds(100)) { world in
            if world.isCalm, world.wishes == 0, world.honest.allSatisfy({ world.isComplete($0) && world.nodes[$0].live.count == 4 }) {
                if world.endedAt == nil { world.endedAt = world.clock.now }
            } else {
                world.endedAt = nil
            }
            if let since = world.endedAt, world.clock.now - since >= .seconds(3) { world.isOver = true }
            world.watchForTheEnd()
        }
    }

    // MARK: timers

    /// Timers of all cores of a node, each 50 ms.
    private func tick(_ n: Int) {
        after(.milliseconds(50)) { world in
            let node = world.nodes[n]
            if !world.gone.contains(n) { world.turn(n, node) }
            world.tick(n)
        }
    }

    private func turn(_ n: Int, _ node: SimNode) {
        let now = clock.now
        func runs(_ role: WorkerRole) -> Bool { node.stopped[WorkerName(role)] == nil }
        if now - node.lastHeartbeat >= .seconds(1) {
            node.lastHeartbeat = now
            node.progress += 1
            for name in node.live.keys.sorted(by: { $0.role.rawValue < $1.role.rawValue }) where node.stopped[name] == nil {
                node.heard[name] = now
                supervise(n, .heartbeat(name, node.live[name]!, progress: node.progress))
            }
            checkBounds(n)
        }
        if node.supervisor.nextDeadline(now: now) <= now {
            var effects: [SupervisorCore.Effect] = []
            node.supervisor.advance(now: now, into: &effects)
            carryOut(n, effects)
        }
        if runs(.disk), let disk = node.disk, disk.deadline <= now { node.disk!.handle(.tick, now: now, into: &node.diskEffects) }
        if runs(.session), node.session != nil {
            node.session!.wallSeconds = UInt64(now.nanoseconds / 1_000_000_000)
            _ = node.session!.turn(now: now, into: &node.sessionEffects)
        }
        if runs(.discovery), let discovery = node.discovery, discovery.nextDeadline <= now {
            node.discovery!.handle(.tick, now: now, into: &node.discoveryEffects)
        }
        if runs(.peer), let shard = node.shard {
            if shard.swarm.nextDeadline <= now { shard.swarm.tick(now: now, into: &shard.effects) }
            shard.reportChanges()
        }
        settle(n)
    }
}

extension SimScenario {
    var diskLimits: DiskCore.Limits {
        var limits = DiskCore.Limits()
        limits.checkpointBytes = 256 << 10
        return limits
    }
}
