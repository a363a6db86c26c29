import Catalog
import Discovery
import Pieces
import Primitives
import Supervision
import TrackerWire

/// What a node's session worker has committed: it survives everything.
struct SimStore {
    var records: [TorrentID: Catalog::TorrentRecord] = [:]
    var durable: [TorrentID: Bitfield] = [:]
    var nextID: UInt32 = 1

    mutating func apply(_ batch: StoreBatch) {
        for record in batch.puts { records[record.id] = record }
        for d in batch.durables { durable[d.torrent] = Bitfield(wire: d.bytes, count: Int(records[d.torrent]!.facts.pieceCount)) }
        for c in batch.counters { records[c.torrent]?.counters = c.counters }
        for id in batch.deletes {
            records[id] = nil
            durable[id] = nil
        }
        nextID = max(nextID, batch.nextID)
    }
    var rows: [(Catalog::TorrentRecord, Bitfield?)] { records.keys.sorted().map { (records[$0]!, durable[$0]) } }
}

/// One daemon: the real cores of all its processes, and what outlives them.
final class SimNode {
    let endpoint: Endpoint
    let arenaSlots: Int
    var supervisor: SupervisorCore
    /// Counts the supervisor's own lives.
    var run = 0
    var arena: SimArena
    var volume: SimDisk
    var store = SimStore()
    var live: [WorkerName: Generation] = [:]
    /// Which process that is, over all lives of the supervisor, whose generations begin at 1 each time.
    var process: [WorkerName: Int] = [:]
    /// The newest generation of each worker in this run: they only rise.
    var newest: [WorkerName: Generation] = [:]
    var progress: UInt64 = 0
    var lastHeartbeat = Instant.zero
    /// When the supervisor last heard of each worker.
    var heard: [WorkerName: Instant] = [:]
    /// Workers that were stopped, and what waits for them until they go on.
    var stopped: [WorkerName: [SimClock.Action]] = [:]
    var lineFreeAt = Instant.zero
    /// The volume has no space until then.
    var fullUntil = Instant.zero
    /// The torrent that the user has there now.
    var torrent: TorrentID? { store.records.keys.sorted().last { store.records[$0]!.removal == .none } }

    var session: CatalogCore?
    var disk: DiskCore?
    var shard: SimShard?
    var discovery: AnnounceCore?
    var sessionEffects: [CatalogEffect] = []
    var diskEffects: [DiskEffect] = []
    var discoveryEffects: [AnnounceCore.Effect] = []
    var isCommitting = false

    init(endpoint: Endpoint, arenaSlots: Int, volume: SimDisk, seed: UInt64) {
        self.endpoint = endpoint
        self.arenaSlots = arenaSlots
        self.volume = volume
        arena = SimArena(slots: arenaSlots)
        supervisor = SupervisorCore(workers: Supervision.workers(diskWorkers: 1, peerShards: 1), seed: seed)
    }

    /// nil: it does not run.
    func process(_ role: WorkerRole) -> Int? { process[WorkerName(role)] }
    func outgoing() -> Endpoint { Endpoint(high: endpoint.high, low: endpoint.low, port: 40000) }
}

/// The supervisor of a node, and the wires between its workers.
extension SimWorld {
    func supervise(_ n: Int, _ event: SupervisorCore.Event) {
        var effects: [SupervisorCore.Effect] = []
        nodes[n].supervisor.handle(event, now: clock.now, into: &effects)
        carryOut(n, effects)
    }

    func carryOut(_ n: Int, _ effects: [SupervisorCore.Effect]) {
        let run = nodes[n].run
        for effect in effects {
            switch effect {
            case .spawn(let name, let generation):
                after(.milliseconds(5) + random.jitter(.milliseconds(25))) { world in
                    guard world.nodes[n].run == run else { return }
                    world.spawned(n, name, generation)
                }
            case .openEdge(let a, let b): openEdge(n, a, b)
            case .signal(let name, let generation, _):
                guard nodes[n].live[name] == generation else { break }
                checkAbort(n, name)
                kill(n, name)
            case .start(let name):
                // The others say ready when the session's replay has ended.
                if name.role == .session { sayReady(n, name) }
            case .exit, .configure, .giveArena, .giveListeners, .drain, .announceBreaker, .tableChanged, .settled, .stopping, .note: break
            }
        }
    }

    private func spawned(_ n: Int, _ name: WorkerName, _ generation: Generation) {
        let node = nodes[n]
        if let newest = node.newest[name], newest.rawValue >= generation.rawValue { failure = "node \(n): \(name) of generation \(generation.rawValue) after \(newest.rawValue)" }
        node.newest[name] = generation
        node.heard[name] = clock.now
        node.live[name] = generation
        processes += 1
        node.process[name] = processes
        tell(n, "\(name) generation \(generation.rawValue) runs")
        trace(UInt64(n), 2, UInt64(name.role.rawValue))
        switch name.role {
        case .session:
            let sameRun = generation.rawValue > 1
            node.session = CatalogCore(
                configuration: CatalogConfiguration(isUnclean: sameRun || node.run > 0), records: node.store.rows, nextID: node.store.nextID)
            node.isCommitting = false
        case .disk: node.disk = DiskCore(limits: scenario.diskLimits)
        case .peer: node.shard = SimShard(world: self, node: n, generation: generation, arena: node.arena, slots: node.arenaSlots)
        case .discovery: node.discovery = AnnounceCore(configuration: .init(), random: SeededRandom(seed: random.next()))
        case .supervisor, .api: break
        }
        supervise(n, .spawned(name, generation, pid: 1))
        supervise(n, .hello(name, generation, sameBuild: true))
        settle(n)
    }

    func sayReady(_ n: Int, _ name: WorkerName) {
        guard let generation = nodes[n].live[name], let process = nodes[n].process[name] else { return }
        after(.microseconds(50)) { world in
            world.deliver(n, name, process) { $0.supervise(n, .ready(name, generation)) }
        }
    }

    /// kill -9: the process is gone with all it held.
    func kill(_ n: Int, _ name: WorkerName) {
        let node = nodes[n]
        guard let generation = node.live.removeValue(forKey: name) else { return }
        node.stopped[name] = nil
        node.process[name] = nil
        deaths += 1
        if node.isCommitting, name.role == .session { mark(.deathInCommit) }
        tell(n, "\(name) dies")
        trace(UInt64(n), 3, UInt64(name.role.rawValue))
        switch name.role {
        case .session: node.session = nil
        case .disk: node.disk = nil
        case .discovery: node.discovery = nil
        case .peer:
            if let shard = node.shard {
                blocksInFlightAtDeath += UInt64(shard.swarm.torrentIDs.reduce(0) { $0 + (shard.swarm.report($1)?.inFlight ?? 0) })
                for handle in shard.connections.keys.sorted(by: { $0.index < $1.index }) { breakOff(shard.connections[handle]!.0) }
            }
            node.shard = nil
        case .supervisor, .api: break
        }
        let run = node.run
        after(.microseconds(200)) { world in
            guard world.nodes[n].run == run else { return }
            world.closed(n, name)
            world.supervise(n, .ended(name, generation, .signalled(9)))
            world.settle(n)
        }
    }

    /// The supervisor and all workers at once; `powerCut`: and the machine. `forGood`: it does not come back.
    func killNode(_ n: Int, powerCut: Bool, forGood: Bool = false) {
        let node = nodes[n]
        for name in node.live.keys.sorted(by: { $0.role.rawValue < $1.role.rawValue }) { kill(n, name) }
        node.run += 1
        node.newest = [:]
        node.arena = SimArena(slots: node.arenaSlots)
        if powerCut { node.volume.powerCut(&random) }
        checkClaims(n)
        node.supervisor = SupervisorCore(workers: Supervision.workers(diskWorkers: 1, peerShards: 1), seed: random.next())
        let run = node.run
        if forGood {
            gone.insert(n)
            return
        }
        after(.seconds(1)) { world in
            guard world.nodes[n].run == run else { return }
            world.supervise(n, .start)
        }
    }

    // MARK: edges

    private func openEdge(_ n: Int, _ a: WorkerName, _ b: WorkerName) {
        let node = nodes[n]
        let (first, second) = a.role.rawValue < b.role.rawValue ? (a, b) : (b, a)
        guard node.live[first] != nil, let there = node.live[second] else { return }
        switch (first.role, second.role) {
        case (.session, .peer):
            toShard(n, node.process(.peer)) { $0.sessionOpened() }
            toSession(n) { _ in .linkOpened(.peer(0), there) }
        case (.session, .disk): toSession(n) { _ in .linkOpened(.disk(0), there) }
        case (.session, .discovery):
            toDiscovery(n) { .replayBegan }
            toSession(n) { _ in .linkOpened(.discovery, there) }
        case (.peer, .disk):
            toDisk(n, nil) { _ in .shardOpened(0) }
            toShard(n, node.process(.peer)) { $0.diskOpened() }
        default: break
        }
    }

    /// The survivors see the end of the stream.
    private func closed(_ n: Int, _ name: WorkerName) {
        switch name.role {
        case .peer:
            toSession(n) { _ in .linkClosed(.peer(0)) }
            toDisk(n, nil) { _ in .shardClosed(0) }
        case .disk:
            toSession(n) { _ in .linkClosed(.disk(0)) }
            toShard(n, nodes[n].process(.peer)) { $0.diskClosed() }
        case .discovery: toSession(n) { _ in .linkClosed(.discovery) }
        case .session: toDisk(n, nil) { _ in .sessionOpened }
        case .supervisor, .api: break
        }
    }
}
