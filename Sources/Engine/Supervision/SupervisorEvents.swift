import Primitives

extension SupervisorCore {
    /// What happened. Events of a process name its generation; those of an older one are dropped.
    package enum Event: Equatable, Sendable {
        case start
        case spawned(WorkerName, Generation, pid: Int32)
        case ended(WorkerName, Generation, Ending)
        /// `sameBuild`: protocol version and build id are ours.
        case hello(WorkerName, Generation, sameBuild: Bool)
        case ready(WorkerName, Generation)
        case heartbeat(WorkerName, Generation, progress: UInt64)
        case drained(WorkerName, Generation)
        /// Its control socket brought something that no worker of ours sends.
        case brokeProtocol(WorkerName, Generation, String)
        /// From the session worker: the user's order. From another: that worker sent it a frame that cannot be read.
        case restartRequested(WorkerName, by: WorkerName)
        /// SIGTERM, SIGINT or the user's order.
        case stopRequested
        /// A new configuration was read and is valid.
        case settingsChanged
        /// A listening socket was bound after the workers started.
        case listenerBound(WorkerRole)
    }

    package enum Signal: Equatable, Sendable {
        /// SIGABRT, then SIGCONT: a stopped process takes it only when continued.
        case abort
        case kill
    }

    /// What to do, in this order.
    package enum Effect: Equatable, Sendable {
        case spawn(WorkerName, Generation)
        case configure(WorkerName)
        /// A fresh socketpair, one end to each.
        case openEdge(WorkerName, WorkerName)
        case giveArena(shard: UInt16, to: WorkerName)
        /// Every bound listener that is for its role.
        case giveListeners(WorkerName)
        case start(WorkerName)
        case drain(WorkerName, within: TimeSpan)
        case signal(WorkerName, Generation, Signal)
        case announceBreaker(of: WorkerName, to: WorkerName, isOpen: Bool, reason: String)
        case tableChanged
        /// Once: every worker is ready, or has failed and is being retried. Names those.
        case settled(missing: [WorkerName])
        case stopping
        case note(Note)
        case exit(Int32)
    }

    /// What goes to the log, one line each.
    package enum Note: Equatable, Sendable, CustomStringConvertible {
        case starting(WorkerName, Generation)
        case ready(WorkerName, Generation, after: TimeSpan)
        case ended(WorkerName, Generation, reason: String, next: Next)
        case breaker(WorkerName, from: RestartPolicy.Breaker, to: RestartPolicy.Breaker, reason: String)
        case silent(WorkerName, Generation, for: TimeSpan)
        case stillSilent(WorkerName, Generation)
        case neverReady(WorkerName, Generation)
        case overranDrain(WorkerName, Generation)
        case fallback(WorkerName, FallbackLadder.Step)
        case stopRequested(again: Bool)

        package enum Next: Equatable, Sendable {
            case none
            case startIn(TimeSpan)
            case waitForSettings
        }

        package var description: String {
            switch self {
            case .starting(let name, let g): "\(name) starting, generation \(g)"
            case .ready(let name, let g, let after): "\(name) ready, generation \(g), after \(after.milliseconds) ms"
            case .ended(let name, let g, let reason, let next):
                switch next {
                case .none: "\(name) ended, generation \(g): \(reason)"
                case .startIn(let wait): "\(name) ended, generation \(g): \(reason); next start in \(max(0, wait.milliseconds)) ms"
                case .waitForSettings: "\(name) ended, generation \(g): \(reason); no start until the settings change"
                }
            case .breaker(let name, let from, let to, let reason):
                "breaker worker:\(name) \(from.word)->\(to.word)" + (reason.isEmpty ? "" : ": \(reason)")
            case .silent(let name, let g, let time): "\(name) silent for \(time.milliseconds) ms, generation \(g): SIGABRT"
            case .stillSilent(let name, let g): "\(name) did not end on SIGABRT, generation \(g): SIGKILL"
            case .neverReady(let name, let g): "\(name) not ready in time, generation \(g): SIGKILL"
            case .overranDrain(let name, let g): "\(name) did not finish in time, generation \(g): SIGKILL"
            case .fallback(let name, let step): "\(name) uses \(step.words) from its next start on"
            case .stopRequested(let again): again ? "stopping faster: asked again" : "stopping"
            }
        }
    }
}

extension RestartPolicy.Breaker {
    package var word: String {
        switch self {
        case .closed: "closed"
        case .open: "open"
        case .halfOpen: "half-open"
        }
    }
}

/// Times of the supervision. RELIABILITY's figures; tests may shorten none of them, the clock is virtual there.
package enum SupervisionTimes {
    /// Hello and ready, from the start.
    package static let readyLimit = TimeSpan.seconds(10)
    /// A start whose progress counter moves (ten thousands of torrents replayed) may take so long in all.
    package static let progressingReadyLimit = TimeSpan.minutes(2)
    /// Heartbeats come each second; five missing are silence. The half second above that is for a process that is
    /// stopped for 4 s right before a heartbeat was due: 1 s + 4 s, and the time to be scheduled again.
    package static let silenceLimit = TimeSpan.milliseconds(5500)
    package static let abortGrace = TimeSpan.seconds(2)
    /// The supervisor's own lateness since a worker was last heard stretches that worker's limits so many times,
    /// small enough that they still end: late by 100 ms in each tick of 500 ms, a worker is given up after 17 s.
    package static let latenessFactor = 4
    /// up to this.
    package static let stretchLimit = TimeSpan.minutes(1)
    /// So often the supervisor looks at itself.
    package static let tick = TimeSpan.milliseconds(500)
    /// A wake-up is late by so much on any machine that has other work.
    package static let ordinaryLateness = TimeSpan.milliseconds(20)
    /// A worker that is restarted by order.
    package static let restartDrain = TimeSpan.seconds(4)
    /// An order to restart a worker that was ready for less counts as a crash, so that orders in a loop meet the back-off.
    package static let restartSpacing = TimeSpan.seconds(10)
    /// Ends of the phases of a stop, from its begin: discovery and peers, disk, session; then everything is killed.
    package static let drainEnds = [TimeSpan.seconds(4), .seconds(8), .milliseconds(9500)]
    package static let stopLimit = TimeSpan.milliseconds(9800)
    /// The same once asked again.
    package static let hurriedEnds = [TimeSpan.milliseconds(500), .seconds(2), .milliseconds(2500)]
    package static let hurriedLimit = TimeSpan.seconds(3)
}
