import Catalog
import Discovery
import Pieces
import Primitives
import TrackerWire

/// What the shells do between the cores of a node: effects of one become events of another, a little later, in order,
/// and only while both ends are the processes that they were.
extension SimWorld {
    static let wire = TimeSpan.microseconds(40)

    /// To a worker's process: nothing if it is another one by now, later if it is stopped.
    func deliver(_ n: Int, _ name: WorkerName, _ process: Int?, _ action: @escaping SimClock.Action) {
        guard let process, nodes[n].process[name] == process else { return }
        if nodes[n].stopped[name] != nil {
            nodes[n].stopped[name]!.append(action)
        } else {
            action(self)
        }
    }

    func toShard(_ n: Int, _ process: Int?, _ body: @escaping (SimShard) -> Void) {
        after(Self.wire) { world in
            world.deliver(n, WorkerName(.peer), process) { world in
                guard let shard = world.nodes[n].shard else { return }
                body(shard)
                world.settle(n)
            }
        }
    }
    /// `from`: the shard that says it, nil for others; what a dead one said is not heard.
    func toDisk(_ n: Int, _ from: SimShard?, _ event: @escaping (SimWorld) -> DiskEvent) {
        diskEvent(n, after: Self.wire) { world in
            if let from, world.nodes[n].shard !== from { return nil }
            return event(world)
        }
    }
    func diskEvent(_ n: Int, after time: TimeSpan, _ event: @escaping (SimWorld) -> DiskEvent?) {
        let process = nodes[n].process(.disk)
        after(time) { world in
            world.deliver(n, WorkerName(.disk), process) { world in
                guard world.nodes[n].disk != nil, let happened = event(world) else { return }
                world.tell(n, "disk <- \(happened)")
                world.nodes[n].disk!.handle(happened, now: world.clock.now, into: &world.nodes[n].diskEffects)
                world.settle(n)
            }
        }
    }
    func toSession(_ n: Int, _ from: SimShard? = nil, _ event: @escaping (SimWorld) -> CatalogEvent) {
        let process = nodes[n].process(.session)
        after(Self.wire) { world in
            world.deliver(n, WorkerName(.session), process) { world in
                if let from, world.nodes[n].shard !== from { return }
                let happened = event(world)
                world.tell(n, "session <- \(happened)")
                world.nodes[n].session!.handle(happened, now: world.clock.now, into: &world.nodes[n].sessionEffects)
                world.settle(n)
            }
        }
    }
    func toDiscovery(_ n: Int, _ event: @escaping () -> AnnounceCore.Event) {
        let process = nodes[n].process(.discovery)
        after(Self.wire) { world in
            world.deliver(n, WorkerName(.discovery), process) { world in
                let happened = event()
                world.tell(n, "discovery <- \(happened)")
                world.nodes[n].discovery!.handle(happened, now: world.clock.now, into: &world.nodes[n].discoveryEffects)
                world.settle(n)
            }
        }
    }

    /// Carries out what the cores of a node want, until they want nothing more.
    func settle(_ n: Int) {
        let node = nodes[n]
        node.shard?.act()
        while !node.diskEffects.isEmpty {
            let effects = node.diskEffects
            node.diskEffects = []
            for effect in effects { carryOut(n, effect) }
        }
        replay(n)
        while !node.sessionEffects.isEmpty {
            let effects = node.sessionEffects
            node.sessionEffects = []
            for effect in effects { carryOut(n, effect) }
        }
        commit(n)
        while !node.discoveryEffects.isEmpty {
            let effects = node.discoveryEffects
            node.discoveryEffects = []
            for effect in effects { carryOut(n, effect) }
        }
    }

    private func replay(_ n: Int) {
        guard nodes[n].session != nil else { return }
        for link in [CatalogLink.peer(0), .disk(0), .discovery] {
            while !nodes[n].session!.replay(link, budget: 100, into: &nodes[n].sessionEffects) {}
        }
    }

    private func commit(_ n: Int) {
        let node = nodes[n]
        guard node.session != nil, !node.isCommitting, let batch = node.session!.takeBatch(now: clock.now) else { return }
        node.isCommitting = true
        let process = node.process(.session)
        after(.milliseconds(1) + random.jitter(.milliseconds(8))) { world in
            // A process that dies while it commits has committed or has not.
            guard world.nodes[n].process(.session) == process else {
                if world.random.chance(0.5) { world.nodes[n].store.apply(batch) }
                return
            }
            world.deliver(n, WorkerName(.session), process) { world in
                world.nodes[n].store.apply(batch)
                world.nodes[n].isCommitting = false
                world.nodes[n].session!.handle(.committed, now: world.clock.now, into: &world.nodes[n].sessionEffects)
                world.settle(n)
            }
        }
    }
}
