import Primitives

@testable import Supervision

/// Carries out the core's effects on imaginary processes and a virtual clock.
final class World {
    /// How a process behaves. Times count from its spawn.
    struct Behaviour {
        var helloAfter = TimeSpan.milliseconds(20)
        /// From start to ready; nil: never.
        var readyAfter: TimeSpan? = .milliseconds(50)
        var diesAfter: TimeSpan?
        var ending = Ending.signalled(11)
        /// Ends so long after Drain; nil: ignores it.
        var drainsIn: TimeSpan? = .milliseconds(100)
        var sameBuild = true
        /// Its progress counter moves before it is ready.
        var progresses = false
        var obeysAbort = true
    }
    final class Process {
        let name: WorkerName, generation: Generation, behaviour: Behaviour
        var started = false, stoppedUntil: Instant?, beats: UInt64 = 0, gone = false
        init(_ name: WorkerName, _ generation: Generation, _ behaviour: Behaviour) {
            (self.name, self.generation, self.behaviour) = (name, generation, behaviour)
        }
    }
    enum Act { case hello, ready, beat, die(Ending) }

    var core: SupervisorCore
    var now = Instant(nanoseconds: 1_000_000_000)
    var log: [(at: Instant, effect: SupervisorCore.Effect)] = []
    var live: [WorkerName: Process] = [:]
    var exited: Instant?
    /// Behaviour of the next process of a worker; the default one where none is given.
    var behave: (WorkerName, Generation) -> Behaviour = { _, _ in Behaviour() }
    /// The machine starves the supervisor: each wake-up comes so much late.
    var lateness = TimeSpan.zero
    private var queue: [(at: Instant, order: Int, process: Process, act: Act)] = []
    private var order = 0

    init(disks: Int = 1, shards: Int = 1, seed: UInt64 = 1) {
        core = SupervisorCore(workers: Supervision.workers(diskWorkers: disks, peerShards: shards), seed: seed)
    }

    func send(_ event: SupervisorCore.Event) {
        var effects: [SupervisorCore.Effect] = []
        core.handle(event, now: now, into: &effects)
        carryOut(effects)
    }

    func run(_ span: TimeSpan) {
        let end = now + span
        while exited == nil {
            let wake = core.nextDeadline(now: now)
            let wakeLate = wake == .never ? wake : wake + lateness
            let next = min(queue.first?.at ?? .never, wakeLate)
            guard next <= end else { break }
            now = max(now, next)
            if let first = queue.first, first.at <= wakeLate {
                queue.removeFirst()
                act(first.process, first.act)
            } else {
                var effects: [SupervisorCore.Effect] = []
                core.advance(now: now, into: &effects)
                carryOut(effects)
            }
        }
        now = max(now, end)
    }

    func kill(_ name: WorkerName, _ ending: Ending = .signalled(9)) { end(live[name]!, ending) }
    func stop(_ name: WorkerName, for span: TimeSpan) { live[name]!.stoppedUntil = now + span }

    func state(_ name: WorkerName) -> SupervisorCore.Status.State { core.statuses(now: now).first { $0.name == name }!.state }
    func restarts(_ name: WorkerName) -> UInt32 { core.statuses(now: now).first { $0.name == name }!.restarts }
    func times(_ match: (SupervisorCore.Effect) -> Bool) -> [Instant] { log.filter { match($0.effect) }.map(\.at) }
    func spawns(_ name: WorkerName) -> [Instant] { times { if case .spawn(name, _) = $0 { true } else { false } } }
    func notes() -> [String] { log.compactMap { if case .note(let n) = $0.effect { n.description } else { nil } } }

    private func carryOut(_ effects: [SupervisorCore.Effect]) {
        for effect in effects {
            log.append((now, effect))
            switch effect {
            case .spawn(let name, let g):
                precondition(live[name] == nil, "two processes of \(name)")
                let p = Process(name, g, behave(name, g))
                live[name] = p
                send(.spawned(name, g, pid: Int32(1000 + log.count)))
                at(now + p.behaviour.helloAfter, p, .hello)
                at(now + .seconds(1), p, .beat)
                if let dies = p.behaviour.diesAfter { at(now + dies, p, .die(p.behaviour.ending)) }
            case .start(let name):
                guard let p = live[name] else { continue }
                p.started = true
                if let ready = p.behaviour.readyAfter { at(now + ready, p, .ready) }
            case .drain(let name, _):
                guard let p = live[name], let time = p.behaviour.drainsIn else { continue }
                at(now + time, p, .die(.exited(0)))
            case .signal(let name, let g, let signal):
                guard let p = live[name], p.generation == g, signal == .kill || p.behaviour.obeysAbort else { continue }
                at(now + .milliseconds(1), p, .die(.signalled(signal == .kill ? 9 : 6)))
            case .exit: exited = now
            default: break
            }
        }
    }

    private func at(_ t: Instant, _ p: Process, _ act: Act) {
        order += 1
        let i = queue.firstIndex { $0.at > t } ?? queue.count
        queue.insert((t, order, p, act), at: i)
    }

    private func act(_ p: Process, _ act: Act) {
        guard !p.gone else { return }
        if case .die(let ending) = act { return end(p, ending) }
        if let until = p.stoppedUntil, now < until { return at(until, p, act) }
        switch act {
        case .hello: send(.hello(p.name, p.generation, sameBuild: p.behaviour.sameBuild))
        case .ready: send(.ready(p.name, p.generation))
        case .beat:
            p.beats += 1
            send(.heartbeat(p.name, p.generation, progress: p.behaviour.progresses ? p.beats : 0))
            at(now + .seconds(1), p, .beat)
        case .die: break
        }
    }

    private func end(_ p: Process, _ ending: Ending) {
        p.gone = true
        live[p.name] = nil
        send(.ended(p.name, p.generation, ending))
    }
}
