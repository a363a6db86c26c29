import Primitives
import Testing

@testable import Supervision

private let session = WorkerName(.session), disk = WorkerName(.disk), peer = WorkerName(.peer), discovery = WorkerName(.discovery)
private let all = [session, disk, discovery, peer]

@Suite struct SupervisorCoreTests {
    func started(_ w: World = World()) -> World {
        w.send(.start)
        w.run(.seconds(1))
        return w
    }

    @Test func startWiresEverythingOnce() {
        let w = started()
        for name in all { #expect(w.state(name) == .ready) }
        var edges: Set<Set<WorkerName>> = []
        for case .openEdge(let a, let b) in w.log.map(\.effect) { #expect(edges.insert([a, b]).inserted) }
        #expect(edges == [[session, disk], [session, peer], [session, discovery], [peer, disk]])
        #expect(w.times { $0 == .giveArena(shard: 0, to: peer) }.count == 1)
        #expect(w.times { $0 == .giveArena(shard: 0, to: disk) }.count == 1)
        #expect(w.times { $0 == .settled(missing: []) }.count == 1)
    }

    @Test func eachWorkerIsConfiguredBeforeAnythingElseAndStartedLast() {
        let w = started()
        for name in all {
            let mine = w.log.map(\.effect).filter {
                switch $0 {
                case .configure(name), .start(name), .giveListeners(name), .giveArena(_, name): true
                default: false
                }
            }
            #expect(mine.first == .configure(name))
            #expect(mine.last == .start(name))
        }
    }

    @Test func shardsAndDisksAreWiredAllToAll() {
        let w = started(World(disks: 3, shards: 4))
        var edges: Set<Set<WorkerName>> = []
        for case .openEdge(let a, let b) in w.log.map(\.effect) { edges.insert([a, b]) }
        #expect(edges.count == 3 + 4 + 1 + 12)
        #expect(w.times { if case .giveArena = $0 { true } else { false } }.count == 4 + 12)
    }

    @Test(arguments: all) func killedWorkerIsReplacedAtOnceAndWiredAnew(_ name: WorkerName) {
        let w = started()
        w.run(.seconds(5))
        let before = w.log.count, at = w.now
        w.kill(name)
        #expect(w.spawns(name).last == at)
        w.run(.seconds(1))
        #expect(w.state(name) == .ready && w.restarts(name) == 1)
        let others = all.filter { $0 != name }
        for other in others { #expect(w.restarts(other) == 0) }
        let reopened = w.log[before...].filter { if case .openEdge = $0.effect { true } else { false } }.count
        #expect(reopened == others.filter { Supervision.wired(name.role, $0.role) }.count)
    }

    @Test func hangIsAbortedWithinSixSecondsAndKilledTwoLater() {
        for phase in stride(from: 0, to: 1000, by: 50) {
            let w = World()
            w.behave = { _, g in
                var b = World.Behaviour()
                if g.rawValue == 1 { b.obeysAbort = false }
                return b
            }
            _ = started(w)
            w.run(.milliseconds(3000 + phase))
            let at = w.now
            w.stop(disk, for: .minutes(5))
            w.run(.seconds(10))
            let aborts = w.times { if case .signal(disk, _, .abort) = $0 { true } else { false } }
            let kills = w.times { if case .signal(disk, _, .kill) = $0 { true } else { false } }
            #expect(aborts.count == 1 && aborts[0] - at <= .seconds(6) && aborts[0] - at >= .seconds(4))
            #expect(kills.count == 1 && kills[0] - aborts[0] == .seconds(2))
            #expect(w.state(disk) == .ready && w.restarts(disk) == 1)
        }
    }

    @Test func fourSecondsOfStopAreNoHang() {
        for phase in stride(from: 0, to: 1000, by: 10) {
            let w = started()
            w.run(.milliseconds(3000 + phase))
            for name in all { w.stop(name, for: .seconds(4)) }
            w.run(.seconds(20))
            for name in all { #expect(w.restarts(name) == 0) }
        }
    }

    @Test func starvedSupervisorKillsNobody() {
        // Every wake-up 100 ms late, as in a group with 5 % of a processor, and workers that are held up for 9 s at a time.
        let w = started()
        w.lateness = .milliseconds(100)
        for _ in 0..<10 {
            w.run(.seconds(3))
            for name in all { w.stop(name, for: .seconds(9)) }
            w.run(.seconds(10))
        }
        for name in all { #expect(w.restarts(name) == 0) }
    }

    @Test func stoppedSupervisorKillsNobodyOnReturn() {
        let w = started()
        w.run(.seconds(3))
        // Nothing is read for a minute; then the clock is looked at before any heartbeat is.
        w.now = w.now + .seconds(60)
        var effects: [SupervisorCore.Effect] = []
        w.core.advance(now: w.now, into: &effects)
        #expect(!effects.contains { if case .signal = $0 { true } else { false } })
    }

    @Test func crashLoopOpensTheBreakerAndTheRestServes() {
        let w = World()
        w.behave = { name, _ in
            var b = World.Behaviour()
            if name == disk { (b.helloAfter, b.diesAfter) = (.seconds(100), .milliseconds(10)) }
            return b
        }
        _ = started(w)
        w.run(.seconds(20))
        #expect(w.state(disk) == .open)
        for name in [session, discovery, peer] { #expect(w.state(name) == .ready && w.restarts(name) == 0) }
        #expect(w.times { $0 == .settled(missing: [disk]) }.count == 1)
        let told = w.times { if case .announceBreaker(of: disk, to: _, isOpen: true, reason: _) = $0 { true } else { false } }
        #expect(told.count == 3)
        #expect(w.notes().contains { $0.hasPrefix("breaker worker:disk:0 closed->open: ") })
        // The starts of a minute: four before it opens (each counts double), then one trial in about 30 s.
        #expect(w.spawns(disk).count <= 5)

        w.behave = { _, _ in World.Behaviour() }
        w.run(.minutes(2))
        #expect(w.state(disk) == .ready)
        let closed = w.times { if case .announceBreaker(of: disk, to: _, isOpen: false, reason: _) = $0 { true } else { false } }
        #expect(closed.count == 3)
        #expect(w.notes().contains("breaker worker:disk:0 open->half-open"))
        #expect(w.notes().contains("breaker worker:disk:0 half-open->closed"))
    }

    @Test func crashLoopForAnHourStaysQuiet() {
        let w = World()
        w.behave = { name, _ in
            var b = World.Behaviour()
            if name == peer { b.diesAfter = .milliseconds(10) }
            return b
        }
        _ = started(w)
        w.run(.minutes(60))
        #expect(w.spawns(peer).count < 20)
        #expect(w.state(session) == .ready)
    }

    @Test func neverReadyIsKilledAfterTenSecondsAndCountsDouble() {
        let w = World()
        w.behave = { name, g in
            var b = World.Behaviour()
            if name == discovery, g.rawValue == 1 { b.readyAfter = nil }
            return b
        }
        w.send(.start)
        w.run(.milliseconds(9900))
        #expect(w.restarts(discovery) == 0)
        w.run(.seconds(2))
        #expect(w.restarts(discovery) == 1 && w.state(discovery) == .ready)
        #expect(w.core.rows.first { $0.name == discovery }!.policy.crashes == 2)
    }

    @Test func slowStartThatProgressesIsLeftAloneForTwoMinutes() {
        let w = World()
        w.behave = { name, g in
            var b = World.Behaviour()
            if name == disk, g.rawValue == 1 { (b.readyAfter, b.progresses) = (nil, true) }
            return b
        }
        w.send(.start)
        w.run(.seconds(115))
        #expect(w.restarts(disk) == 0)
        w.run(.seconds(20))
        #expect(w.restarts(disk) == 1)
    }

    @Test func nobodyIsKilledForASessionThatIsDown() {
        let w = World()
        w.behave = { name, _ in
            var b = World.Behaviour()
            if name == session { b.diesAfter = .milliseconds(10) } else { b.readyAfter = nil }
            return b
        }
        w.send(.start)
        w.run(.minutes(5))
        #expect(w.state(session) == .open || w.state(session) == .starting)
        for name in [disk, discovery, peer] { #expect(w.restarts(name) == 0 && w.state(name) == .starting) }
    }

    @Test func diskWorkerStepsDownOnCrashesAndUpByTheHour() {
        let w = started()
        func crash(_ name: WorkerName) {
            w.run(.seconds(40))
            w.kill(name, .signalled(11))
        }
        var steps: [FallbackLadder.Step] = []
        for _ in 0..<9 {
            crash(disk)
            steps.append(w.core.step(of: disk))
        }
        #expect(steps == [.full, .full, .threads, .threads, .threads, .buffered, .buffered, .buffered, .buffered])
        w.run(.minutes(59))
        #expect(w.core.step(of: disk) == .buffered)
        let starts = w.spawns(disk).count
        w.run(.minutes(3))
        #expect(w.core.step(of: disk) == .threads && w.spawns(disk).count == starts + 1, "the restart brings the step into force")
        w.run(.minutes(61))
        #expect(w.core.step(of: disk) == .full && w.spawns(disk).count == starts + 2)
        w.run(.minutes(200))
        #expect(w.spawns(disk).count == starts + 2)
        // Spread wide, crashes take nothing away; and other workers have no ladder.
        for _ in 0..<5 {
            w.run(.minutes(3))
            w.kill(disk)
        }
        for _ in 0..<4 { crash(peer) }
        #expect(w.core.step(of: disk) == .full && w.core.step(of: peer) == .full)
    }

    @Test func wrongConfigurationWaitsUntilItChanges() {
        let w = World()
        w.behave = { name, g in
            var b = World.Behaviour()
            if name == disk, g.rawValue == 1 { (b.diesAfter, b.ending) = (.milliseconds(5), .exited(78)) }
            return b
        }
        _ = started(w)
        w.run(.minutes(60))
        #expect(w.state(disk) == .open && w.spawns(disk).count == 1)
        w.send(.settingsChanged)
        w.run(.seconds(1))
        #expect(w.state(disk) == .ready)
    }

    @Test func otherBuildIsRefused() {
        let w = World()
        w.behave = { name, _ in
            var b = World.Behaviour()
            b.sameBuild = name != peer
            return b
        }
        _ = started(w)
        w.run(.minutes(30))
        #expect(w.state(peer) == .open && w.spawns(peer).count == 1)
        #expect(!w.log.contains { $0.effect == .start(peer) })
    }

    @Test func stopDrainsInOrderAndExits() {
        let w = started()
        w.run(.seconds(3))
        let at = w.now
        w.send(.stopRequested)
        w.run(.seconds(20))
        #expect(w.exited! - at <= .milliseconds(400))
        func drained(_ name: WorkerName) -> Instant { w.times { if case .drain(name, within: _) = $0 { true } else { false } }[0] }
        #expect(drained(peer) == at && drained(discovery) == at)
        #expect(drained(disk) - at == .milliseconds(100))
        #expect(drained(session) - at == .milliseconds(200))
        #expect(w.live.isEmpty && w.log.last!.effect == .exit(0))
    }

    @Test(arguments: all) func workerThatIgnoresTheDrainIsKilledAndTheStopEndsInTime(_ stuck: WorkerName) {
        let w = World()
        w.behave = { name, _ in
            var b = World.Behaviour()
            if name == stuck { b.drainsIn = nil }
            return b
        }
        _ = started(w)
        let at = w.now
        w.send(.stopRequested)
        w.run(.seconds(20))
        #expect(w.exited! - at < .seconds(10))
        #expect(w.live.isEmpty)
    }

    @Test func secondOrderHurries() {
        let w = World()
        w.behave = { _, _ in
            var b = World.Behaviour()
            b.drainsIn = nil
            return b
        }
        _ = started(w)
        let at = w.now
        w.send(.stopRequested)
        w.run(.seconds(1))
        w.send(.stopRequested)
        w.run(.seconds(20))
        #expect(w.exited! - at <= .seconds(4))
        #expect(w.live.isEmpty)
    }

    @Test func crashDuringTheStopStartsNothing() {
        let w = started()
        w.send(.stopRequested)
        w.kill(session)
        w.run(.seconds(20))
        #expect(w.spawns(session).count == 1 && w.exited != nil)
    }

    @Test func stopWhileAllWait() {
        let w = World()
        w.behave = { _, _ in
            var b = World.Behaviour()
            b.diesAfter = .milliseconds(1)
            return b
        }
        w.send(.start)
        w.run(.seconds(25))
        w.send(.stopRequested)
        w.run(.seconds(1))
        #expect(w.exited != nil)
    }

    @Test func restartByTheUserIsNoCrash() {
        let w = started()
        w.run(.seconds(60))
        w.send(.restartRequested(peer, by: session))
        w.run(.seconds(2))
        #expect(w.state(peer) == .ready && w.restarts(peer) == 1)
        #expect(w.core.rows.first { $0.name == peer }!.policy.crashes == 0)
    }

    @Test func restartsInALoopMeetTheBackoff() {
        let w = started()
        // As from a session worker that cannot read what the shard sends: an order at each start, none in between.
        for _ in 0..<2000 {
            if w.state(peer) == .ready { w.send(.restartRequested(peer, by: session)) }
            w.run(.milliseconds(10))
        }
        #expect(w.restarts(peer) <= 8)
    }

    @Test func senderOfABadFrameIsRestartedAndCounted() {
        let w = started()
        w.run(.seconds(30))
        w.send(.restartRequested(disk, by: peer))
        w.run(.seconds(1))
        #expect(w.state(disk) == .ready && w.restarts(disk) == 1)
        #expect(w.core.rows.first { $0.name == disk }!.policy.crashes == 1)
        #expect(w.notes().contains { $0.contains("sent peer:0 a frame that it cannot read") })
    }

    @Test func strangersOrdersAreIgnored() {
        let w = started()
        w.send(.restartRequested(disk, by: discovery))
        w.send(.restartRequested(WorkerName(.peer, 9), by: session))
        w.run(.seconds(5))
        for name in all { #expect(w.restarts(name) == 0) }
    }

    @Test func badControlFrameEndsThatWorkerOnly() {
        let w = started()
        w.send(.brokeProtocol(discovery, Generation(rawValue: 1), "frame length 3"))
        w.run(.seconds(1))
        #expect(w.restarts(discovery) == 1)
        for name in [session, disk, peer] { #expect(w.restarts(name) == 0) }
    }

    @Test func eventsOfAFormerProcessAreDropped() {
        let w = started()
        w.kill(disk)
        w.run(.seconds(1))
        let before = w.log.count
        let old = Generation(rawValue: 1)
        for event: SupervisorCore.Event in [
            .hello(disk, old, sameBuild: true), .ready(disk, old), .heartbeat(disk, old, progress: 9), .drained(disk, old),
            .ended(disk, old, .signalled(9)), .brokeProtocol(disk, old, ""), .spawned(disk, old, pid: 4),
        ] { w.send(event) }
        #expect(w.log.count == before)
    }

    /// Kills, stops and orders at random on every worker for an hour: one process of each kind at most (the world
    /// checks), and all is ready again once it ends.
    @Test(arguments: 0..<40 as Range<UInt64>) func settlesAfterAnyStorm(_ seed: UInt64) {
        let w = World(disks: 2, shards: 2, seed: seed)
        var random = SeededRandom(seed: seed &+ 1000)
        _ = started(w)
        let names = w.core.rows.map(\.name)
        for _ in 0..<300 {
            w.run(.milliseconds(random.below(4000)))
            let name = names[random.below(names.count)]
            guard w.live[name] != nil else { continue }
            switch random.below(5) {
            case 0: w.kill(name, .signalled(11))
            case 1: w.stop(name, for: .milliseconds(random.below(12_000)))
            case 2: w.send(.restartRequested(name, by: session))
            case 3: w.kill(name, .exited(0))
            default: w.send(.settingsChanged)
            }
        }
        w.run(.minutes(25))
        for name in names { #expect(w.state(name) == .ready, "\(name), seed \(seed)") }
        w.send(.stopRequested)
        w.run(.seconds(10))
        #expect(w.exited != nil && w.live.isEmpty)
    }
}
