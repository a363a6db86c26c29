import ByteCodec
import Glibc
import IPC
import LinuxIO
import Observe
import Primitives
import Settings
import Supervision
import WorkerKit

let log = Log("supervisor")

/// `ccbtd`: starts the workers, watches them, wires them to one another, and owns what must outlive them: listening
/// sockets, arenas, the restart ledger. It parses nothing that came from the network.
///
/// One thread. poll(2) over the signalfd, and a pidfd and a control socket per worker: some ten descriptors that are
/// ready a few times a second, for which a ring would only be one more thing to trust.
package final class Supervisor {
    private let invocation: Invocation
    private let state: StateDirectory
    private let spawner: Spawner
    private let manager: ServiceManager
    private let arenas: Arenas
    private let signals: Int32
    /// What running workers have; options that need a restart keep the value of the start.
    private var running: Settings
    /// As the configuration says now; a worker that starts anew gets this.
    private var wanted: Settings
    private var listeners: Listeners
    private var core: SupervisorCore
    /// In the order of start; nil while a worker is down.
    private let names: [WorkerName]
    private var processes: [WorkerProcess?]
    private var pendingEvents: [SupervisorCore.Event] = []
    private var tableDirty = false
    private var nextTable = Instant.zero
    private var nextWatchdog = Instant.never
    private var exitCode: Int32?
    /// Told once everything is up: whoever waits for a daemon in the background.
    package var onSettled: (([WorkerName]) -> Void)?
    /// Called each minute.
    package var onMinute: (() -> Void)?
    private var nextMinute = Instant.zero

    /// Everything that can refuse a start does so here, before any process exists.
    package init(_ invocation: Invocation) throws(StartError) {
        self.invocation = invocation
        wanted = try Self.resolved(invocation)
        running = wanted
        Log.level = LogLevel.named(wanted.string("observability.log_level"))
        state = try StateDirectory(invocation.stateDirectory)
        manager = ServiceManager(environment: invocation.environment)
        do throws(Errno) {
            signals = try Signals.descriptor(for: [SIGTERM, SIGINT, SIGHUP])
            spawner = try Spawner(folder: try Spawner.ownFolder(), environment: invocation.environment, workersLock: state.workersLock)
        } catch {
            throw StartError("\(error)", code: .environment)
        }
        Signals.ignoreBrokenPipes()
        let api = wanted.bool("api.enable") && spawner.has(.api)
        if wanted.bool("api.enable"), !api { log(.warning, "\(WorkerRole.api.program) is not installed beside ccbtd: no web page and no HTTP API") }
        names = Supervision.workers(diskWorkers: wanted.int("disk.workers"), peerShards: wanted.int("network.peer_shards"), api: api)
        processes = names.map { _ in nil }
        arenas = try Arenas(shards: wanted.int("network.peer_shards"), mebibytes: wanted.int("disk.cache_size_mb"))
        core = SupervisorCore(workers: names, seed: Entropy.seed())
        listeners = Listeners(
            endpoints: invocation.endpoints(wanted), more: wanted.int("network.listen_port_range"), api: api ? try invocation.apiEndpoints(wanted) : [],
            controlPath: state.controlSocket, datagrams: DatagramUse(wanted))
    }

    /// Until the stop is done; the exit status.
    package func run() throws(StartError) -> Int32 {
        try state.awaitOrphans()
        log(.info, "ccbtd \(BuildIdentity.version), pid \(getpid()), state in \(state.path)")
        if manager.watchdogInterval != nil { nextWatchdog = Clock.monotonic() }
        _ = listeners.bindDue(now: Clock.monotonic())
        post(.start)
        while exitCode == nil {
            wait(until: deadline)
            let now = Clock.monotonic()
            handlePending(now)
            var effects: [SupervisorCore.Effect] = []
            core.advance(now: now, into: &effects)
            carryOut(effects)
            handlePending(now)
            housekeeping(now)
        }
        state.leave()
        log(.info, "stopped")
        return exitCode!
    }

    private var deadline: Instant {
        guard pendingEvents.isEmpty else { return .zero }
        let next = min(core.nextDeadline(now: Clock.monotonic()), nextTable, min(nextWatchdog, nextMinute))
        return core.isStopping ? next : min(next, listeners.nextRetry)
    }

    // MARK: waiting

    private func wait(until deadline: Instant) {
        var polled = [pollfd(fd: signals, events: Int16(POLLIN), revents: 0)]
        for process in processes {
            // A negative number is skipped by poll: the places stay in step with the table.
            let child = process?.child.pidfd ?? -1
            var control: Int32 = -1, events = Int16(POLLIN)
            if let process, !process.controlEnded {
                control = process.control.fd
                if process.control.hasWaiting { events |= Int16(POLLOUT) }
            }
            polled.append(pollfd(fd: child, events: Int16(POLLIN), revents: 0))
            polled.append(pollfd(fd: control, events: events, revents: 0))
        }
        let left = max(0, min((deadline - Clock.monotonic()).nanoseconds, 60_000_000_000))
        // Rounded up: woken a millisecond late is better than going round until it is over.
        guard poll(&polled, nfds_t(polled.count), Int32((left + 999_999) / 1_000_000)) > 0 else { return }

        if polled[0].revents != 0 { readSignals() }
        for i in processes.indices {
            if polled[2 + 2 * i].revents != 0, let process = processes[i] {
                if polled[2 + 2 * i].revents & Int16(POLLOUT) != 0 { process.control.writable() }
                readControl(process)
            }
            // After the control socket: what a worker said before its end counts.
            if polled[1 + 2 * i].revents != 0 { reap(i) }
        }
    }

    private func readSignals() {
        while true {
            do throws(Errno) {
                guard let received = try Signals.read(signals) else { return }
                if received.signal == SIGHUP { reload() } else { post(.stopRequested) }
            } catch {
                return log(.error, "signals cannot be read: \(error)")
            }
        }
    }

    private func reap(_ i: Int) {
        guard let process = processes[i] else { return }
        readControl(process)
        let ending: Ending
        do throws(Errno) {
            guard let end = try process.child.reap() else { return }
            ending =
                switch end {
                case .exited(let code): .exited(code)
                case .killed(let signal): .signalled(signal)
                }
        } catch {
            ending = .notSpawned("\(error)")
        }
        processes[i] = nil
        post(.ended(process.name, process.generation, ending))
    }

    // MARK: what workers say

    private func readControl(_ process: WorkerProcess) {
        // A turn takes a bounded number of packets from each, so that one that floods does not starve the rest.
        for _ in 0..<256 where !process.controlEnded {
            switch process.control.receive() {
            case .frame(let frame, _): received(frame, from: process)
            case .nothing: return
            case .ended: process.controlEnded = true
            case .broken(let why):
                process.controlEnded = true
                post(.brokeProtocol(process.name, process.generation, why))
            }
        }
    }

    private func received(_ frame: Frame, from process: WorkerProcess) {
        let name = process.name, generation = process.generation
        guard frame.header.generation == generation else { return }
        do throws(DecodeError) {
            switch frame.type {
            case .hello:
                let m: Hello = try frame.decode()
                let same = m.protocolVersion == IPC.protocolVersion && m.buildID == BuildIdentity.id
                guard m.role == name.role.rawValue, m.index == name.index, m.pid == UInt32(process.child.pid) else {
                    return post(.brokeProtocol(name, generation, "said hello under another name"))
                }
                post(.hello(name, generation, sameBuild: same))
            case .ready: post(.ready(name, generation))
            case .heartbeat:
                let m: Heartbeat = try frame.decode()
                post(.heartbeat(name, generation, progress: m.progress))
            case .drained: post(.drained(name, generation))
            case .restartWorker:
                let m: RestartWorker = try frame.decode()
                guard let role = WorkerRole(rawValue: m.role) else { return }
                post(.restartRequested(WorkerName(role, m.index), by: name))
            case .stopDaemon: if name.role == .session { post(.stopRequested) }
            case .reloadConfiguration:
                let m: ReloadConfiguration = try frame.decode()
                if name.role == .session { reload(applyAll: m.applyAll != 0) }
            case .none: break  // of a build one version ahead
            default: post(.brokeProtocol(name, generation, "sent a \(frame.type!) to the supervisor"))
            }
        } catch {
            post(.brokeProtocol(name, generation, "frame \(frame.header.type): \(error)"))
        }
    }

    // MARK: configuration

    /// The configuration, and over it what the user changed while the daemon ran.
    private static func resolved(_ invocation: Invocation) throws(StartError) -> Settings {
        var settings = try invocation.resolve()
        for error in StoredSettings.apply(in: invocation.stateDirectory, to: &settings) { log(.warning, "a stored setting is passed over: \(error)") }
        // Stored ones too: the sockets are where the command line says.
        invocation.override(&settings)
        return settings
    }

    /// Valid: what may change while running changes. Invalid: everything stays, one line says why.
    ///
    /// With `applyAll` what needs a restart changes too: the session worker asked for it and has the workers that read it restarted.
    private func reload(applyAll: Bool = false) {
        let fresh: Settings, api: [Endpoint]
        do throws(StartError) {
            fresh = try Self.resolved(invocation)
            api = names.contains { $0.role == .api } ? try invocation.apiEndpoints(fresh) : []
        } catch {
            return log(.error, "the configuration was not taken, the old one stays: \(error)")
        }
        let changed = fresh.differences(from: wanted)
        guard !changed.isEmpty else { return log(.info, "configuration read again: nothing changed") }
        let fixed = changed.filter { OptionTable.find($0)!.needsRestart }
        for key in changed where !fixed.contains(key) { running.copy(key, from: fresh) }
        // How many shards there are, and with them who takes datagrams, was decided at the start.
        let shards = wanted.int("network.peer_shards")
        wanted = fresh
        if applyAll {
            for key in fixed { running.copy(key, from: fresh) }
            var use = DatagramUse(fresh)
            use.shards = fresh.bool("network.enable_utp") ? shards : 0
            listeners.change(to: Listeners(endpoints: invocation.endpoints(fresh), more: fresh.int("network.listen_port_range"), api: api, controlPath: state.controlSocket, datagrams: use))
            log(.info, "options changed: \(changed.joined(separator: ", "))")
            return post(.settingsChanged)
        }
        let live = changed.count - fixed.count
        let rest = fixed.isEmpty ? "" : "; a restart is needed for \(fixed.joined(separator: ", "))"
        log(.info, "configuration read again: \(live) option\(live == 1 ? "" : "s") changed\(rest)")
        post(.settingsChanged)
    }

    // MARK: events and effects

    private func post(_ event: SupervisorCore.Event) { pendingEvents.append(event) }

    private func handlePending(_ now: Instant) {
        // Events may bring effects that bring events (a program that cannot be started).
        while !pendingEvents.isEmpty, exitCode == nil {
            let event = pendingEvents.removeFirst()
            var effects: [SupervisorCore.Effect] = []
            core.handle(event, now: now, into: &effects)
            carryOut(effects)
        }
    }

    private func carryOut(_ effects: [SupervisorCore.Effect]) {
        for effect in effects {
            switch effect {
            case .spawn(let name, let generation): spawn(name, generation)
            case .configure(let name): configure(name)
            case .openEdge(let a, let b): openEdge(a, b)
            case .giveArena(let shard, let name): with(name) { arenas.give(shard, over: $0.control, generation: $0.generation) }
            case .giveListeners(let name): with(name) { giveListeners($0) }
            case .start(let name): send(Start(), to: name)
            case .drain(let name, let within): send(Drain(deadlineMilliseconds: UInt32(max(0, within.milliseconds))), to: name)
            case .signal(let name, let generation, let signal): self.signal(name, generation, signal)
            case .announceBreaker(let of, let to, let isOpen, let reason):
                send(PeerBreaker(role: of.role.rawValue, index: of.index, isOpen: isOpen ? 1 : 0, reason: reason), to: to)
            case .tableChanged: tableDirty = true
            case .settled(let missing): settled(missing)
            case .stopping: manager.tell("STOPPING=1\nSTATUS=stopping")
            case .note(let note): say(note)
            case .exit(let code): exitCode = code
            }
        }
    }

    private func say(_ note: SupervisorCore.Note) {
        let level: Log.Level =
            switch note {
            case .starting, .ready, .stopRequested: .info
            case .fallback(_, let step): step == .full ? .info : .warning
            case .ended(_, _, _, let next): next == .none ? .info : .warning
            case .breaker(_, _, let to, _): to == .open ? .error : .info
            case .silent, .stillSilent, .neverReady, .overranDrain: .error
            }
        log(level, note.description)
    }

    private func index(_ name: WorkerName) -> Int { names.firstIndex(of: name)! }

    private func with(_ name: WorkerName, _ body: (WorkerProcess) -> Void) {
        guard let process = processes[index(name)] else { return }
        body(process)
        if let failure = process.control.failure, !process.controlEnded {
            process.controlEnded = true
            post(.brokeProtocol(name, process.generation, failure))
        }
    }

    private func send<M: IPCMessage>(_ message: M, to name: WorkerName, droppable: Bool = false) {
        with(name) { $0.control.send(message, generation: $0.generation, droppable: droppable) }
    }

    private func spawn(_ name: WorkerName, _ generation: Generation) {
        do throws(Errno) {
            let process = try spawner.start(name, generation, settings: settings(for: name))
            processes[index(name)] = process
            post(.spawned(name, generation, pid: process.child.pid))
        } catch {
            post(.ended(name, generation, .notSpawned("\(spawner.folder)/\(name.role.program): \(error)")))
        }
    }

    /// For a worker that starts now.
    private func settings(for name: WorkerName) -> Settings {
        var settings = wanted
        let step = core.step(of: name)
        if step >= .threads { settings.force("disk.enable_io_uring", false) }
        if step >= .buffered { settings.force("disk.direct_io", false) }
        return settings
    }

    private func configure(_ name: WorkerName) {
        with(name) { process in
            let settings = process.configured ? running : self.settings(for: name)
            process.configured = true
            process.control.send(
                Configure(
                    stateDirectory: state.path, settings: settings.pairs.map { Setting(key: $0.0, value: $0.1) },
                    wallClockSeconds: UInt64(max(0, Clock.wallSeconds()))),
                generation: process.generation)
        }
    }

    private func openEdge(_ a: WorkerName, _ b: WorkerName) {
        guard let first = processes[index(a)], let second = processes[index(b)] else { return }
        do throws(Errno) {
            let (x, y) = try Sockets.socketPair(.stream)
            defer {
                Descriptor.close(x)
                Descriptor.close(y)
            }
            // A turn's messages in one write; the kernel caps it at net.core.wmem_max.
            for end in [x, y] { try Sockets.setBuffers(end, send: 1 << 20) }
            first.control.send(
                OpenEdge(role: b.role.rawValue, index: b.index, peerGeneration: second.generation.rawValue),
                generation: first.generation, descriptors: [x])
            second.control.send(
                OpenEdge(role: a.role.rawValue, index: a.index, peerGeneration: first.generation.rawValue),
                generation: second.generation, descriptors: [y])
        } catch {
            // Out of descriptors: the one that just started is tried again later.
            post(.brokeProtocol(a, first.generation, "no link to \(b): \(error)"))
        }
    }

    private func giveListeners(_ process: WorkerProcess) {
        // One that was bound late is given beside those that the worker has.
        for socket in listeners.bound(for: process.name) where process.listeners.insert(socket.id).inserted {
            process.control.send(
                GiveListener(kind: socket.kind.rawValue, endpoint: socket.endpoint), generation: process.generation, descriptors: [socket.fd])
        }
    }

    private func signal(_ name: WorkerName, _ generation: Generation, _ signal: SupervisorCore.Signal) {
        guard let process = processes[index(name)], process.generation == generation else { return }
        do throws(Errno) {
            switch signal {
            case .kill: try process.child.signal(SIGKILL)
            case .abort:
                try process.child.signal(SIGABRT)
                try process.child.signal(SIGCONT)
            }
        } catch {
            // It ended meanwhile; its pidfd tells.
            log(.debug, "\(name): \(error)")
        }
    }

    private func settled(_ missing: [WorkerName]) {
        let status = missing.isEmpty ? "all workers ready" : "running without \(missing.map(\.description).joined(separator: ", "))"
        log(missing.isEmpty ? .info : .warning, status)
        manager.tell("READY=1\nSTATUS=\(status)")
        onSettled?(missing)
    }

    // MARK: each second

    private func housekeeping(_ now: Instant) {
        if now >= nextWatchdog, let interval = manager.watchdogInterval {
            manager.tell("WATCHDOG=1")
            nextWatchdog = now + interval
        }
        if now >= nextMinute {
            onMinute?()
            nextMinute = now + .minutes(1)
        }
        if !core.isStopping {
            for kind in listeners.bindDue(now: now) { post(.listenerBound(Listeners.role(of: kind))) }
        }
        guard tableDirty || now >= nextTable else { return }
        tableDirty = false
        nextTable = now + .seconds(1)
        send(WorkerTable(workers: table(now)), to: WorkerName(.session), droppable: true)
    }

    private func table(_ now: Instant) -> [WorkerStatus] {
        core.statuses(now: now).map { row in
            let stat = row.pid > 0 ? ProcessStat(pid: row.pid) : nil
            return WorkerStatus(
                role: row.name.role.rawValue, index: row.name.index, pid: UInt32(max(0, row.pid)), generation: row.generation.rawValue,
                restarts: row.restarts, state: row.state.rawValue, cpuMilliseconds: stat?.cpuMilliseconds ?? 0,
                residentBytes: stat?.residentBytes ?? 0, uptimeMilliseconds: UInt64(max(0, row.uptime.milliseconds)), reason: row.reason)
        }
    }
}

extension Settings {
    /// Needs a known key: both hold every option.
    mutating func copy(_ key: String, from other: Settings) { put(key, .untyped(other.value(key).text)) }
    mutating func force(_ key: String, _ value: Bool) { put(key, .boolean(value)) }

    private mutating func put(_ key: String, _ value: RawValue) {
        do throws(SettingsError) {
            try set(key, value)
        } catch {
            preconditionFailure("an allowed value is allowed: \(error)")
        }
    }
}
