import Catalog
import Discovery
import Pieces
import Primitives
import TrackerWire

/// What the shells do between the cores of a node: effects of one become events of another, a little later, in order,
/// and only while both ends are the processes that they were.
extension SimWorld {
    static let wire = TimeSpan.microseconds(40)

    func toShard(_ n: Int, _ generation: Generation, _ body: @escaping (SimShard) -> Void) {
        after(Self.wire) { world in
            guard generation.rawValue > 0, world.nodes[n].generation(.peer) == generation, let shard = world.nodes[n].shard else { return }
            body(shard)
            world.settle(n)
        }
    }
    /// `from` nil: from the supervisor.
    func toDisk(_ n: Int, _ from: SimShard?, _ event: @escaping (SimShard) -> DiskEvent) {
        let generation = nodes[n].generation(.disk), shard = from
        after(Self.wire) { world in
            guard generation.rawValue > 0, world.nodes[n].generation(.disk) == generation else { return }
            if let shard, world.nodes[n].shard !== shard { return }
            guard let argument = shard ?? world.nodes[n].shard ?? world.placeholder else { return }
            let happened = event(argument)
            world.tell(n, "disk <- \(happened)")
            world.nodes[n].disk!.handle(happened, now: world.clock.now, into: &world.nodes[n].diskEffects)
            world.settle(n)
        }
    }
    func diskEvent(_ n: Int, after time: TimeSpan, _ event: @escaping (SimWorld) -> DiskEvent) {
        let generation = nodes[n].generation(.disk)
        after(time) { world in
            guard world.nodes[n].generation(.disk) == generation, world.nodes[n].disk != nil else { return }
            let happened = event(world)
            world.tell(n, "disk <- \(happened)")
            world.nodes[n].disk!.handle(happened, now: world.clock.now, into: &world.nodes[n].diskEffects)
            world.settle(n)
        }
    }
    func toSession(_ n: Int, _ from: SimShard? = nil, _ event: @escaping (SimWorld) -> CatalogEvent) {
        let generation = nodes[n].generation(.session)
        after(Self.wire) { world in
            guard generation.rawValue > 0, world.nodes[n].generation(.session) == generation else { return }
            if let from, world.nodes[n].shard !== from { return }
            let happened = event(world)
            world.tell(n, "session <- \(happened)")
            world.nodes[n].session!.handle(happened, now: world.clock.now, into: &world.nodes[n].sessionEffects)
            world.settle(n)
        }
    }
    func toDiscovery(_ n: Int, _ event: @escaping () -> AnnounceCore.Event) {
        let generation = nodes[n].generation(.discovery)
        after(Self.wire) { world in
            guard generation.rawValue > 0, world.nodes[n].generation(.discovery) == generation else { return }
            world.nodes[n].discovery!.handle(event(), now: world.clock.now, into: &world.nodes[n].discoveryEffects)
            world.settle(n)
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
        let generation = node.generation(.session)
        after(.milliseconds(1) + random.jitter(.milliseconds(8))) { world in
            let alive = world.nodes[n].generation(.session) == generation
            // A process that dies while it commits has committed or has not.
            guard alive || world.random.chance(0.5) else { return }
            world.nodes[n].store.apply(batch)
            guard alive else { return }
            world.nodes[n].isCommitting = false
            world.nodes[n].session!.handle(.committed, now: world.clock.now, into: &world.nodes[n].sessionEffects)
            world.settle(n)
        }
    }

    // MARK: session

    private func carryOut(_ n: Int, _ effect: CatalogEffect) {
        tell(n, "session -> \(effect)")
        let node = nodes[n]
        switch effect {
        case .peerAdd(let entry): toShard(n, node.generation(.peer)) { $0.add(entry) }
        case .peersFound(_, _, _, let endpoints): toShard(n, node.generation(.peer)) { $0.found(endpoints) }
        case .peerReplayEnd: sayReady(n, WorkerName(.peer))
        case .diskAdd(let e):
            let spec = Pieces::TorrentSpec(
                metainfoPath: "m", savePath: e.savePath, durable: e.durable, allocation: .sparse, paused: e.flags.contains(.paused),
                skipCheck: e.flags.contains(.skipCheck), unclean: e.flags.contains(.unclean))
            toDisk(n, nil) { _ in .add(e.torrent, spec) }
        case .diskReplayEnd:
            toDisk(n, nil) { _ in .replayEnd }
            sayReady(n, WorkerName(.disk))
        case .discoveryAdd(let e):
            let record = Discovery::TorrentRecord(
                id: e.torrent, infoHash: e.facts.infoHash,
                trackers: e.trackers.map {
                    TrackerRecord(tier: $0.tier, url: $0.url, next: Instant(nanoseconds: Int64($0.nextAnnounce) * 1_000_000_000), startedSent: $0.startedSent)
                },
                downloaded: e.counters.downloaded, uploaded: e.counters.uploaded, left: e.counters.left)
            toDiscovery(n) { .torrentAdded(record) }
        case .discoveryCounters(let totals):
            for t in totals { toDiscovery(n) { .counters(t.torrent, downloaded: t.downloaded, uploaded: t.uploaded, left: t.left) } }
        case .discoveryCompleted(let id): toDiscovery(n) { .completed(id) }
        case .announceNow(let id): toDiscovery(n) { .announceNow(id) }
        case .discoveryReplayEnd:
            toDiscovery(n) { .replayEnded(listenPort: 6881, key: 7, peerID: PeerID()) }
            sayReady(n, WorkerName(.discovery))
        case .phaseChanged(_, let phase): if phase == .seeding || phase == .completed { completed(n) }
        case .durableStored, .answer, .peerRemove, .peerFlags, .diskRemove, .diskMove, .diskRecheck, .diskFlags, .discoveryRemove, .discoveryFlags,
            .removed:
            break
        }
    }

    // MARK: disk

    private func carryOut(_ n: Int, _ effect: DiskEffect) {
        tell(n, "disk -> \(effect)")
        let node = nodes[n], (low, high) = scenario.diskDelay
        func later() -> TimeSpan { low + random.jitter(high - low) }
        switch effect {
        case .verified, .stored, .storeFailed, .readDone, .ready, .unready: toShard(n, node.generation(.peer)) { $0.fromDisk(effect) }
        case .report(let id, let r):
            let report = DiskReport(
                .init(rawValue: r.state.rawValue)!, piecesHave: r.piecesHave, bytesHave: r.bytesHave, piecesChecked: r.piecesChecked,
                message: r.fault?.text ?? "")
            toSession(n) { _ in .disk(id, report) }
        case .durable(let id, let runs):
            checkSynced(n, runs)
            correlation += 1
            let c = correlation
            toSession(n) { _ in .durable(id, runs: runs.map { (UInt32($0.first), UInt32($0.count)) }, device: 0, correlation: c) }
        case .undurable(let id, let runs): toSession(n) { _ in .undurable(id, runs: runs.map { (UInt32($0.first), UInt32($0.count)) }) }
        case .open(let id, _, let scan):
            diskEvent(n, after: later()) { world in
                let file = world.nodes[n].volume.file
                return .opened(
                    id,
                    .success(
                        TorrentFound(
                            layout: world.layout, volume: 1, sizes: [file.exists ? Int64(world.content.count) : -1],
                            withData: scan ? file.data : nil, zeros: scan ? Bitfield(count: file.data.count) : nil)))
            }
        case .hash(let job, let r):
            diskEvent(n, after: .microseconds(30)) { world in
                let range = world.nodes[n].arena.range(r.run.first, Int(r.length))
                return .hashed(job, matches: world.nodes[n].arena.memory[range].elementsEqual(world.bytes(of: r.piece)))
            }
        case .write(let job, let r):
            diskEvent(n, after: later()) { world in
                if !world.isCalm, world.random.chance(world.scenario.writeFault) { return .written(job, DiskFault(.io, "write")) }
                let bytes = world.nodes[n].arena.memory[world.nodes[n].arena.range(r.run.first, Int(r.length))]
                world.nodes[n].volume.write(bytes, at: Int(r.piece) * Int(world.geometry.pieceLength), piece: Int(r.piece))
                return .written(job, nil)
            }
        case .readFile(let job, let r):
            diskEvent(n, after: later()) { world in
                if !world.isCalm, world.random.chance(world.scenario.readFault) { return .readEnded(job, DiskFault(.io, "read")) }
                let at = Int(r.piece) * Int(world.geometry.pieceLength) + Int(r.offset)
                world.nodes[n].arena.memory.replaceSubrange(
                    world.nodes[n].arena.range(r.run.first, Int(r.length)), with: world.nodes[n].volume.file.now[at..<at + Int(r.length)])
                return .readEnded(job, nil)
            }
        case .check(let job, _, let first, let count):
            diskEvent(n, after: later()) { world in
                world.checkedPieces[n] += UInt64(count)
                return .checked(job, good: (first..<first + count).map { world.holds(n, $0) }, nil)
            }
        case .sync(let id, _):
            diskEvent(n, after: later()) { world in
                if !world.isCalm, world.random.chance(world.scenario.syncFault) { return .synced(id, DiskFault(.io, "fdatasync")) }
                world.nodes[n].volume.sync()
                return .synced(id, nil)
            }
        case .finish(let id): diskEvent(n, after: later()) { _ in .finished(id, nil) }
        case .probe(let volume, _): diskEvent(n, after: later()) { _ in .probed(volume: volume, nil) }
        case .removed, .movedTo, .closeFiles, .forget, .moveFiles, .deleteFiles, .log, .drained: break
        }
    }

    // MARK: discovery

    private func carryOut(_ n: Int, _ effect: AnnounceCore.Effect) {
        switch effect {
        case .announce(let id, _, let request):
            let generation = nodes[n].generation(.discovery), lost = !isCalm && random.chance(scenario.trackerLoss)
            after(lost ? .seconds(30) : transit() + transit()) { world in
                guard world.nodes[n].generation(.discovery) == generation else { return }
                var outcome = AnnounceOutcome.failed("timed out", hostFault: true, retryAfter: nil)
                if !lost {
                    if request.event == .stopped { world.announced.remove(n) } else { world.announced.insert(n) }
                    let others = world.announced.sorted().filter { $0 != n }.map { world.nodes[$0].endpoint }
                    outcome = .answered(AnnounceAnswer(interval: 60, minInterval: 60, peers: others), from: nil)
                }
                world.toDiscovery(n) { .ended(id, outcome) }
            }
        case .peers(let id, let endpoints): toSession(n) { _ in .peersFound(id, .tracker, endpoints) }
        case .report(let r):
            let report = Catalog::TrackerReport(
                tier: r.tier, url: r.url, state: r.state.rawValue, startedSent: r.startedSent, seeds: r.seeds, leechers: r.leechers,
                downloads: r.downloads, nextAnnounce: UInt64(max(0, r.next.nanoseconds / 1_000_000_000)), message: r.message)
            toSession(n) { _ in .tracker(r.torrent, report) }
        case .breaker, .drained: break
        }
    }
}
