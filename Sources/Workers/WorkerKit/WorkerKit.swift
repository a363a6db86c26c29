import ByteCodec
import Glibc
import IPC
import LinuxIO
import Observe
import Primitives
import Settings
import Supervision

/// The skeleton of every worker program: what stands between `main` and the worker's own shell.
///
/// ```
/// runWorker(PeerShell.self)
///   argv, descriptor 3, process attributes
///   Hello ─▶   ◀─ Configure      the shell is made
///              ◀─ OpenEdge, GiveArena, GiveListener, Start
///   loop:  wait ─▶ completions ─▶ shell.turn ─▶ heartbeat ─▶ flush of the edges
///              ◀─ Drain, or the control socket ends         shell.drain ─▶ drained ─▶ exit 0
/// ```
/// The shell runs on this one thread; nothing here is safe from another, save ``LinuxIO/Loop/wake()``.

/// A link to one generation of another worker.
package struct Edge: Hashable, Sendable, CustomStringConvertible {
    /// The other end.
    package let role: WorkerRole
    package let index: UInt16
    package let generation: Generation

    package init(role: WorkerRole, index: UInt16, generation: Generation) {
        (self.role, self.index, self.generation) = (role, index, generation)
    }
    package var name: WorkerName { WorkerName(role, index) }
    package var description: String { "\(name)#\(generation)" }
}

/// What a worker program supplies. All calls come from the loop's thread, never nested in one another.
package protocol WorkerShell: AnyObject {
    static var role: WorkerRole { get }
    /// After Configure. Throw ``SettingRefused`` when only other settings can help (exit 78); any other error ends the
    /// process as a fault of the environment (exit 75) and is tried again.
    init(kit: WorkerKit) throws
    /// A new link: the first, or one to the other end's next generation. Replay now.
    func edgeOpened(_ edge: Edge)
    func edgeClosed(_ edge: Edge)
    /// The descriptor is the receiver's to close.
    func arenaGiven(shard: UInt16, slotCount: Int, fd: Int32, byteCount: Int)
    /// The descriptor is the receiver's to close.
    func listenerGiven(_ kind: ListenerKind, fd: Int32, endpoint: Endpoint)
    /// Say ``WorkerKit/ready()`` once able to serve.
    func start()
    /// A frame of the edge's generation; its payload is valid during the call.
    func received(_ frame: Frame, from edge: Edge)
    /// WorkerTable, PeerBreaker.
    func control(_ frame: Frame)
    /// Completions of kind 16 and above; those below are the kit's.
    func completed(_ completion: Completion)
    /// After each batch of completions. Returns when it wants the next turn at the latest.
    func turn(now: Instant) -> Instant
    /// Say ``WorkerKit/drained()`` once all is safe.
    func drain(deadline: Instant)
    /// ``WorkerKit/settings`` were read anew; only options that need no restart differ.
    func settingsChanged()
    /// Grows with work done.
    var progress: UInt64 { get }
}

extension WorkerShell {
    /// For workers none of whose options may change while they run.
    package func settingsChanged() {}
}

/// Thrown by a shell whose settings cannot work: no restart helps until they change.
package struct SettingRefused: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

package final class WorkerKit {
    /// Completions of the kit itself; a shell's own kinds begin at 16.
    enum Kind {
        static let control: UInt8 = 1
        static let controlWritable: UInt8 = 2
        static let edgeReceive: UInt8 = 3
        static let edgeSend: UInt8 = 4
    }
    /// How long a worker without a supervisor may take to finish: under RELIABILITY's 5 s.
    static let orphanDrain = TimeSpan.seconds(4)
    static let heartbeatInterval = TimeSpan.seconds(1)

    package let loop: Loop
    package internal(set) var settings: Settings
    package internal(set) var stateDirectory: String
    package let name: WorkerName
    package let generation: Generation
    package let log: Log

    let controlLink: ControlLink
    var edges: EdgeTable
    /// Set by ``drained()``; the process ends once the edges are flushed.
    var isDrained = false
    var drainDeadline: Instant?
    package internal(set) var supervisorGone = false
    /// Told to the shell by whoever runs the loop.
    var closedEdges: [Edge] = []

    init(loop: Loop, control: ControlLink, name: WorkerName, generation: Generation) {
        self.loop = loop
        self.name = name
        self.generation = generation
        log = Log(name.description)
        controlLink = control
        settings = Settings()
        stateDirectory = ""
        edges = EdgeTable()
    }

    /// Appends to the edge's queue, written once per turn. Nothing happens when the edge is gone. A queue over
    /// ``EdgeLink/queueLimit`` is our bug: whoever fills it must look at ``queuedBytes(_:)`` first.
    @inlinable package func send<M: IPCMessage>(_ message: borrowing M, to edge: Edge, correlation: UInt64 = 0) {
        guard let link = link(edge) else { return }
        link.append(message, generation: generation, correlation: correlation)
    }

    @usableFromInline package func link(_ edge: Edge) -> EdgeLink? {
        guard let link = edges.find(edge.role, edge.index), link.edge.generation == edge.generation else { return nil }
        return link
    }

    /// The live link to that worker.
    package func edge(_ role: WorkerRole, _ index: UInt16 = 0) -> Edge? { edges.find(role, index)?.edge }

    /// Every live link to workers of that role, in the order of their index.
    package func edges(_ role: WorkerRole) -> [Edge] { edges.all(role) }

    /// Bytes not yet taken by the kernel; 0 for an edge that is gone.
    package func queuedBytes(_ edge: Edge) -> Int { link(edge)?.queued ?? 0 }

    /// A frame of that edge could not be read: the link is closed, and the supervisor, told of it, restarts the sender.
    package func breakLink(_ edge: Edge, _ why: String) {
        guard let link = link(edge) else { return }
        log(.error, "\(edge) sent a frame that cannot be read: \(why)")
        close(link)
        sendControl(RestartWorker(role: edge.role.rawValue, index: edge.index))
    }

    package func sendControl<M: IPCMessage>(_ message: M) {
        guard !supervisorGone else { return }
        controlLink.send(message, generation: generation)
    }

    package func ready() { sendControl(Ready()) }

    package func drained() { isDrained = true }

    /// Ends the process; the supervisor starts it again by its policy. `code` tells whose fault it was.
    package func fail(_ why: String, code: ExitCode = .environment) -> Never { leave(log, why, code) }
}

/// The last line of a worker's life.
func leave(_ log: Log, _ why: String, _ code: ExitCode) -> Never {
    log(code == .ordered ? .info : .error, why)
    // Not exit(): threads of the pool may be inside a system call, and nothing of ours waits for atexit.
    _exit(code.rawValue)
}
