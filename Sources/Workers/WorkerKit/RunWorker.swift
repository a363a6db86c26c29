import ByteCodec
import Glibc
import IPC
import LinuxIO
import Observe
import Primitives
import Settings
import Supervision

/// The whole main of a worker program. Never returns.
package func runWorker<S: WorkerShell>(_: S.Type) -> Never {
    let start = WorkerStart.fromCommandLine(role: S.role)
    ProcessAttributes.ofWorker(start.name)
    let loop: Loop
    do { loop = try Loop() } catch { leave(Log(start.name.description), "no event loop: \(error)", .environment) }
    let kit = WorkerKit(loop: loop, control: ControlLink(fd: WorkerStart.controlDescriptor), name: start.name, generation: start.generation)
    WorkerLoop<S>(kit).run()
}

/// What the supervisor says on the command line.
package struct WorkerStart {
    package static let controlDescriptor: Int32 = 3
    let name: WorkerName
    let generation: Generation

    /// `PROGRAM --index N --generation G`.
    package static func arguments(index: UInt16, generation: Generation) -> [String] {
        ["--index", String(index), "--generation", String(generation.rawValue)]
    }

    static func fromCommandLine(role: WorkerRole) -> WorkerStart {
        let words = CommandLine.arguments.dropFirst()
        if Array(words) == ["--version"] {
            let line = "\(role.program) \(BuildIdentity.version)\n"
            _ = line.withCString { write(1, $0, strlen($0)) }
            exit(0)
        }
        guard let start = parse(Array(words), role: role), isControlSocket(controlDescriptor) else {
            leave(Log(role.program), "\(role.program) is started by ccbtd, not by hand", .configuration)
        }
        return start
    }

    static func parse(_ words: [String], role: WorkerRole) -> WorkerStart? {
        guard words.count == 4, words[0] == "--index", let index = UInt16(words[1]), words[2] == "--generation",
            let generation = UInt32(words[3]), Int(index) < EdgeTable.indexLimit
        else { return nil }
        return WorkerStart(name: WorkerName(role, index), generation: Generation(rawValue: generation))
    }

    private static func isControlSocket(_ fd: Int32) -> Bool {
        var type: Int32 = 0, length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == Int32(SOCK_SEQPACKET.rawValue)
    }
}

/// Drives one shell: completions in, one turn, one flush.
final class WorkerLoop<S: WorkerShell> {
    private let kit: WorkerKit
    private let loop: Loop
    private var shell: S?
    private var shellWants = Instant.never
    private var nextHeartbeat = Instant.zero
    private var heartbeats: UInt64 = 0
    private var startedDraining = false

    init(_ kit: WorkerKit) {
        self.kit = kit
        loop = kit.loop
    }

    func run() -> Never {
        kit.sendControl(
            Hello(
                protocolVersion: IPC.protocolVersion, buildID: BuildIdentity.id, role: kit.name.role.rawValue, index: kit.name.index,
                pid: UInt32(getpid())))
        armControl()
        while true {
            loop.wait(until: deadline)
            while let completion = loop.next() {
                if completion.token.kind >= 16 { shell?.completed(completion) } else { completed(completion) }
            }
            let now = loop.now
            if let shell { shellWants = shell.turn(now: now) }
            heartbeat(now)
            flushEdges()
            endIfDrained(now)
        }
    }

    private var deadline: Instant {
        var next = min(shellWants, nextHeartbeat)
        if let by = kit.drainDeadline { next = min(next, by) }
        return next
    }

    private func completed(_ completion: Completion) {
        switch completion.token.kind {
        case WorkerKit.Kind.control: controlReadable(completion)
        case WorkerKit.Kind.controlWritable: kit.controlLink.writable()
        case WorkerKit.Kind.edgeReceive: edgeReceived(completion)
        case WorkerKit.Kind.edgeSend: edgeSent(completion)
        default: preconditionFailure("completion of kind \(completion.token.kind)")
        }
    }

    private func heartbeat(_ now: Instant) {
        kit.controlLink.armWritable(loop, token: Token(kind: WorkerKit.Kind.controlWritable, index: 0, generation: 0))
        guard now >= nextHeartbeat else { return }
        nextHeartbeat = now + WorkerKit.heartbeatInterval
        guard !kit.supervisorGone else { return }
        heartbeats += 1
        kit.controlLink.send(
            Heartbeat(sequence: heartbeats, progress: shell?.progress ?? 0), generation: kit.generation, droppable: true)
    }

    // MARK: control

    private func armControl() {
        loop.poll(kit.controlLink.fd, events: Int16(POLLIN), multishot: true, token: Token(kind: WorkerKit.Kind.control, index: 0, generation: 0))
    }

    private func controlReadable(_ completion: Completion) {
        while !kit.supervisorGone {
            switch kit.controlLink.receive() {
            case .frame(let frame, let descriptors): control(frame, descriptors)
            case .nothing:
                if !completion.more { armControl() }
                return
            case .ended, .broken: supervisorGone()
            }
        }
    }

    private func control(_ frame: Frame, _ descriptors: ReceivedDescriptors) {
        do throws(DecodeError) {
            switch frame.type {
            case .configure: configure(try frame.decode())
            case .openEdge: openEdge(try frame.decode(), try descriptors.takeOne())
            case .giveArena:
                let m: GiveArena = try frame.decode()
                let fd = try descriptors.takeOne()
                running.arenaGiven(shard: m.shard, slotCount: Int(m.slotCount), fd: fd, byteCount: Int(m.byteCount))
            case .giveListener:
                let m: GiveListener = try frame.decode()
                let fd = try descriptors.takeOne()
                guard let kind = ListenerKind(rawValue: m.kind) else {
                    close(fd)
                    return
                }
                running.listenerGiven(kind, fd: fd, endpoint: m.endpoint)
            case .start: running.start()
            case .drain:
                let m: Drain = try frame.decode()
                drain(within: .milliseconds(Int(m.deadlineMilliseconds)))
            case .workerTable, .peerBreaker: shell?.control(frame)
            // Of a supervisor one version ahead.
            default: break
            }
        } catch {
            leave(kit.log, "control frame \(frame.header.type) cannot be read: \(error)", .software)
        }
    }

    private var running: S {
        guard let shell else { leave(kit.log, "the supervisor did not configure this worker first", .software) }
        return shell
    }

    private func configure(_ message: Configure) {
        do throws(SettingsError) {
            kit.settings = try Settings(pairs: message.settings.map { ($0.key, $0.value) })
        } catch {
            leave(kit.log, "settings: \(error)", .configuration)
        }
        kit.stateDirectory = message.stateDirectory
        Log.level = LogLevel.named(kit.settings.string("observability.log_level"))
        if let shell { return shell.settingsChanged() }
        kit.confine()
        do {
            shell = try S(kit: kit)
        } catch let error as SettingRefused {
            leave(kit.log, error.description, .configuration)
        } catch {
            leave(kit.log, "\(error)", .environment)
        }
        if !loop.fallbackReason.isEmpty { kit.log(.info, "io_uring is not in use: \(loop.fallbackReason)") }
    }

    private func supervisorGone() {
        kit.supervisorGone = true
        kit.log(.warning, "the supervisor is gone: finishing")
        drain(within: WorkerKit.orphanDrain)
    }

    private func drain(within time: TimeSpan) {
        let deadline = loop.now + time
        // A second order may only shorten.
        kit.drainDeadline = min(kit.drainDeadline ?? .never, deadline)
        guard let shell else { return kit.drained() }
        guard !startedDraining else { return }
        startedDraining = true
        shell.drain(deadline: deadline)
    }

    private func endIfDrained(_ now: Instant) {
        guard let deadline = kit.drainDeadline else { return }
        if kit.isDrained, kit.edgesAreFlushed {
            kit.sendControl(Drained())
            leave(kit.log, "drained", .ordered)
        }
        if now >= deadline {
            let late = kit.isDrained ? "a sibling did not read its last frames" : "not all work was finished in time"
            kit.log(.warning, late)
            // What is not safe yet is found again at the next start; ending by order is no crash.
            leave(kit.log, "drain time is over", .ordered)
        }
    }

    // MARK: edges

    private func openEdge(_ message: OpenEdge, _ fd: Int32) {
        guard let role = WorkerRole(rawValue: message.role), Int(message.index) < EdgeTable.indexLimit else {
            close(fd)
            leave(kit.log, "edge to an unknown worker", .software)
        }
        let edge = Edge(role: role, index: message.index, generation: Generation(rawValue: message.peerGeneration))
        if let old = kit.edges.find(role, message.index) { closeEdge(old) }
        let link = kit.edges.add(edge, fd: fd)
        running.edgeOpened(edge)
        link.armReceive(loop)
    }

    private func edgeReceived(_ completion: Completion) {
        guard let link = kit.edges.at(completion.token) else { return }
        link.isReading = false
        guard link.isOpen else { return kit.reap(link) }
        if completion.result == -EINTR || completion.result == -EAGAIN { return link.armReceive(loop) }
        guard completion.result > 0 else { return closeEdge(link) }
        link.reader.filled(Int(completion.result))
        do throws(DecodeError) {
            while link.isOpen, let frame = try link.reader.next() {
                // A frame of another generation is a leftover of a worker that is gone.
                if frame.header.generation == link.edge.generation { running.received(frame, from: link.edge) }
            }
        } catch {
            kit.breakLink(link.edge, "\(error)")
        }
        tellClosed()
        link.armReceive(loop)
        if !link.isOpen { kit.reap(link) }
    }

    private func edgeSent(_ completion: Completion) {
        guard let link = kit.edges.at(completion.token) else { return }
        if !link.wrote(completion.result, loop) { closeEdge(link) }
        if !link.isOpen { kit.reap(link) }
    }

    private func closeEdge(_ link: EdgeLink) {
        kit.close(link)
        tellClosed()
    }

    private func tellClosed() {
        while !kit.closedEdges.isEmpty {
            let edge = kit.closedEdges.removeFirst()
            shell?.edgeClosed(edge)
        }
    }

    private func flushEdges() {
        tellClosed()
        for slot in 0..<kit.edges.count { kit.edges.at(slot: slot)?.flush(loop) }
    }
}

extension WorkerKit {
    /// The link is gone for senders at once; the shell hears of it before the next frame.
    func close(_ link: EdgeLink) {
        guard link.isOpen else { return }
        link.shut(loop)
        edges.unlist(link)
        closedEdges.append(link.edge)
        reap(link)
    }

    func reap(_ link: EdgeLink) {
        guard !link.isOpen, link.isIdle, edges.holds(link) else { return }
        Glibc.close(link.fd)
        edges.remove(link)
    }

    var edgesAreFlushed: Bool {
        for slot in 0..<edges.count { if let link = edges.at(slot: slot), !link.isFlushed { return false } }
        return true
    }
}
