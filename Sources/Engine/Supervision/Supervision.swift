import Primitives

/// How workers are kept alive: ``RestartPolicy`` decides when one is started again, ``CircuitBreaker`` guards things
/// that fail, ``SupervisorCore`` is the whole supervisor as events in and effects out. No process, clock or descriptor
/// is touched here; protocol/lifecycle.md tells the same as prose.
package enum Supervision {
    /// Which pairs of workers are wired to each other: session with all, every shard with every disk worker.
    package static func wired(_ a: WorkerRole, _ b: WorkerRole) -> Bool {
        switch (a, b) {
        case (.session, .peer), (.session, .disk), (.session, .discovery), (.session, .api), (.peer, .disk): true
        case (.peer, .session), (.disk, .session), (.discovery, .session), (.api, .session), (.disk, .peer): true
        default: false
        }
    }

    /// Every worker of a run, in the order of start.
    package static func workers(diskWorkers: Int, peerShards: Int, api: Bool = false) -> [WorkerName] {
        [WorkerName(.session)] + (0..<diskWorkers).map { WorkerName(.disk, UInt16($0)) } + [WorkerName(.discovery)]
            + (0..<peerShards).map { WorkerName(.peer, UInt16($0)) } + (api ? [WorkerName(.api)] : [])
    }

    /// The stop goes through these in turn: who talks to the world first, who keeps what they say last.
    package static let drainOrder: [[WorkerRole]] = [[.discovery, .peer, .api], [.disk], [.session]]
}

/// Exit statuses of our programs (sysexits.h where a number exists).
package enum ExitCode: Int32, Sendable {
    /// By order.
    case ordered = 0
    /// EX_SOFTWARE: our bug.
    case software = 70
    /// EX_TEMPFAIL: something of the machine or the disk; worth another try.
    case environment = 75
    /// EX_CONFIG: no try helps until the settings change.
    case configuration = 78
}

/// How a process ended.
package enum Ending: Equatable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)
    /// It was never there: program missing, no memory, no process slot.
    case notSpawned(String)

    package var description: String {
        switch self {
        case .exited(0): "exited"
        case .exited(70): "exit 70: a broken invariant"
        case .exited(75): "exit 75: the environment"
        case .exited(78): "exit 78: its configuration"
        case .exited(let n): "exit \(n)"
        case .signalled(let n): Self.names[n] ?? "signal \(n)"
        case .notSpawned(let why): "not started: \(why)"
        }
    }
    private static let names: [Int32: String] = [
        3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM",
        24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
    ]
}
