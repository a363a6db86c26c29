import ByteCodec
import Glibc
import IPC
import LinuxIO
import Primitives
import WorkerKit

/// A worker that does nothing but live: stands in for all four programs in the supervisor's tests. It takes its role
/// from the name it is started under and writes what happens to it, one line each, to STATE-DIR/events.
///
/// TESTWORKER_<ROLE> in the environment makes it misbehave: "crash" (exit 1 at Start), "configuration" (refuses its
/// settings), "never-ready", "deaf" (ignores Drain), "garbage" (its first generation sends noise to the disk worker),
/// "control-garbage" (its first generation sends noise to the supervisor), "flood" (many frames to the disk worker).
@main struct TestWorker {
    static func main() {
        // A program that its parent must find in its table of children under the program's own name.
        let name = CommandLine.arguments[0]
        switch name {
        case "ccbt-session": runWorker(SessionShell.self)
        case "ccbt-peer": runWorker(PeerShell.self)
        case "ccbt-disk": runWorker(DiskShell.self)
        case "ccbt-discovery": runWorker(DiscoveryShell.self)
        default: exit(64)
        }
    }
}

class BaseShell {
    let kit: WorkerKit
    let misbehaviour: String
    private let events: Int32
    private(set) var progress: UInt64 = 0
    private var drainAt = Instant.never
    private var received = 0

    required init(kit: WorkerKit) throws {
        self.kit = kit
        events = open(kit.stateDirectory + "/events", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        misbehaviour = getenv("TESTWORKER_" + kit.name.role.name.uppercased()).map { String(cString: $0) } ?? ""
        note("start \(Clock.monotonic().nanoseconds)")
        if misbehaviour == "configuration" { throw SettingRefused("these settings are not for me") }
    }

    func note(_ text: String) {
        let line = "\(kit.name) g\(kit.generation) pid \(getpid()) \(text)\n"
        _ = line.withCString { write(events, $0, strlen($0)) }
    }

    func edgeOpened(_ edge: Edge) {
        note("edge \(edge)")
        guard kit.name.role == .session else {
            if kit.name.role == .peer, edge.role == .disk { speakToDisk(edge) }
            return
        }
        switch edge.role {
        case .peer: kit.send(PeerReplayEnd(), to: edge)
        case .disk: kit.send(DiskReplayEnd(), to: edge)
        default: kit.send(DiscoveryReplayEnd(listenPort: 0, trackerKey: 0, peerID: SHA1Digest()), to: edge)
        }
    }

    private func speakToDisk(_ edge: Edge) {
        if misbehaviour == "garbage", kit.generation.rawValue == 1 {
            // A header that promises less than a header's length. The newest descriptor is this link's.
            let fd = (5..<64 as Range<Int32>).last { fcntl($0, F_GETFD) >= 0 && isStream($0) }!
            let noise: [UInt8] = [3, 0, 0, 0] + [UInt8](repeating: 0xFF, count: 40)
            _ = noise.withUnsafeBytes { write(fd, $0.baseAddress!, $0.count) }
        } else if misbehaviour == "flood" {
            for i in 0..<200_000 as Range<UInt32> { kit.send(ClaimsEnd(), to: edge, correlation: UInt64(i) + 1) }
        }
    }

    func edgeClosed(_ edge: Edge) { note("closed \(edge)") }
    func arenaGiven(shard: UInt16, slotCount: Int, fd: Int32, byteCount: Int) {
        var status = stat()
        fstat(fd, &status)
        note("arena \(shard) slots \(slotCount) bytes \(byteCount) real \(status.st_size)")
        close(fd)
    }
    func listenerGiven(_ kind: ListenerKind, fd: Int32, endpoint: Endpoint) {
        note("listener \(kind) \(endpoint)")
        close(fd)
    }
    func start() {
        note("started, descriptors \(openDescriptors())")
        if misbehaviour == "crash" { exit(1) }
        if misbehaviour == "control-garbage", kit.generation.rawValue == 1 {
            _ = "not a frame".withCString { write(3, $0, 11) }
            return
        }
        if kit.name.role == .session { ready() }
    }
    private func openDescriptors() -> String {
        (0..<64).filter { fcntl(Int32($0), F_GETFD) >= 0 }.filter { $0 < 5 }.map(String.init).joined(separator: ",")
    }
    private func ready() {
        guard misbehaviour != "never-ready" else { return }
        note("ready")
        kit.ready()
    }
    func received(_ frame: Frame, from edge: Edge) {
        progress += 1
        switch frame.type {
        case .peerReplayEnd, .diskReplayEnd, .discoveryReplayEnd: ready()
        case .claimsEnd:
            received += 1
            if received == 200_000 { note("flood of \(received), last \(frame.correlation)") }
        default: break
        }
    }
    func control(_ frame: Frame) {
        guard frame.type == .peerBreaker, let m: PeerBreaker = try? frame.decode() else { return }
        note("breaker \(m.role) \(m.isOpen) \(m.reason)")
    }
    func completed(_ completion: Completion) {}
    func settingsChanged() { note("settings \(kit.settings.string("disk.download_dir"))") }
    func turn(now: Instant) -> Instant {
        if now >= drainAt {
            drainAt = .never
            note("drained")
            kit.drained()
        }
        return drainAt
    }
    func drain(deadline: Instant) {
        note("drain")
        if misbehaviour != "deaf" { drainAt = kit.loop.now + .milliseconds(50) }
    }
}

private func isStream(_ fd: Int32) -> Bool {
    var type: Int32 = 0, length = socklen_t(4)
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == Int32(SOCK_STREAM.rawValue)
}

final class SessionShell: BaseShell, WorkerShell { static var role: WorkerRole { .session } }
final class PeerShell: BaseShell, WorkerShell { static var role: WorkerRole { .peer } }
final class DiskShell: BaseShell, WorkerShell { static var role: WorkerRole { .disk } }
final class DiscoveryShell: BaseShell, WorkerShell { static var role: WorkerRole { .discovery } }
