import Glibc
import LinuxIO
import Primitives
import Synchronization

/// Faults on order, for tests of everything above the disk: io_uring operations do not pass libc, so nothing outside
/// the process can make them fail.
///
/// `CCBT_FAULTS="write:17:EIO,sync:3:EIO:forever,read:5:short,write:9:lost,open:2:EMFILE,write:*:slow=500"`:
/// the n-th call of a kind (`*`: every), what happens to it, once or from then on.
package final class FaultLayer: Sendable {
    package enum Operation: String, CaseIterable, Sendable { case open, read, write, sync, allocate, rename, unlink, mkdir, stat }
    package enum Outcome: Equatable, Sendable {
        case fails(Errno)
        /// About half of the bytes.
        case short
        /// Says done, does nothing.
        case lost
        case slow(milliseconds: Int)
    }
    private struct Rule: Sendable {
        let operation: Operation
        /// nil: every call.
        let call: Int?
        let outcome: Outcome
        let isForever: Bool
    }
    private struct State: Sendable {
        var rules: [Rule]
        var calls = [Int](repeating: 0, count: Operation.allCases.count)
    }
    private let state: Mutex<State>
    /// False in ordinary runs: nothing is counted then.
    package let isActive: Bool

    package struct SyntaxError: Error, CustomStringConvertible {
        package let description: String
    }

    /// An empty text: no faults, but calls are counted if `counts`.
    package init(_ text: String, counts: Bool = false) throws(SyntaxError) {
        var rules: [Rule] = []
        for part in text.split(separator: ",") {
            let fields = part.split(separator: ":").map(String.init)
            guard fields.count == 3 || fields.count == 4 && fields[3] == "forever", let operation = Operation(rawValue: fields[0]),
                fields[1] == "*" || (Int(fields[1]).map { $0 > 0 } ?? false), let outcome = Self.outcome(fields[2])
            else { throw SyntaxError(description: "CCBT_FAULTS: '\(part)' is not OPERATION:N:OUTCOME[:forever]") }
            rules.append(Rule(operation: operation, call: Int(fields[1]), outcome: outcome, isForever: fields.count == 4))
        }
        state = Mutex(State(rules: rules))
        isActive = counts || !rules.isEmpty
    }

    private static func outcome(_ text: String) -> Outcome? {
        switch text {
        case "short": return .short
        case "lost": return .lost
        case "EIO": return .fails(.inputOutput)
        case "ENOSPC": return .fails(.noSpace)
        case "EDQUOT": return .fails(.quotaExceeded)
        case "EROFS": return .fails(.readOnlyFileSystem)
        case "EMFILE": return .fails(.tooManyOpenFiles)
        case "ENFILE": return .fails(.tooManyOpenFilesInSystem)
        case "EACCES": return .fails(.accessDenied)
        case "EPERM": return .fails(.operationNotPermitted)
        case "ENOENT": return .fails(.noSuchFile)
        case "EINTR": return .fails(.interrupted)
        case "EAGAIN": return .fails(.tryAgain)
        case "ENOMEM": return .fails(.outOfMemory)
        case "EINVAL": return .fails(.invalidArgument)
        case "ENODEV": return .fails(Errno(ENODEV))
        default:
            guard text.hasPrefix("slow="), let ms = Int(text.dropFirst(5)), ms >= 0 else { return nil }
            return .slow(milliseconds: ms)
        }
    }

    /// What happens to this call; nil: what the kernel says.
    package func next(_ operation: Operation) -> Outcome? {
        guard isActive else { return nil }
        return state.withLock { s in
            let i = Operation.allCases.firstIndex(of: operation)!
            s.calls[i] += 1
            let n = s.calls[i]
            for rule in s.rules where rule.operation == operation {
                guard let call = rule.call else { return rule.outcome }
                if n == call || rule.isForever && n > call { return rule.outcome }
            }
            return nil
        }
    }

    /// Calls seen of a kind.
    package func calls(_ operation: Operation) -> Int {
        state.withLock { $0.calls[Operation.allCases.firstIndex(of: operation)!] }
    }
    /// The faults are over (the liveness half of a test).
    package func clear() { state.withLock { $0.rules = [] } }

    /// Blocking form: throws what the fault says, sleeps when slow. True: say done without doing it.
    func enter(_ operation: Operation) throws(Errno) -> Bool {
        switch next(operation) {
        case nil, .short: return false
        case .lost: return true
        case .slow(let ms):
            usleep(UInt32(ms) * 1000)
            return false
        case .fails(let code): throw code
        }
    }
}

/// Named places where a test stops the process: `CCBT_FAILPOINT="write.submitted:3=kill,data.synced:1=stop"`.
package final class FailPoints {
    package enum Name: String, CaseIterable, Sendable {
        case blockQueued = "block.queued"
        case pieceHashed = "piece.hashed"
        case writeSubmitted = "write.submitted"
        case writeDone = "write.done"
        case dataSynced = "data.synced"
        case durableSent = "durable.sent"
        case readSubmitted = "read.submitted"
        case readDone = "read.done"
        case lastPiece = "last.piece"
        case rename = "rename"
        case directorySynced = "dir.synced"
    }
    private struct Point {
        let call: Int
        let signal: Int32
    }
    private var points: [Name: Point] = [:]
    private var calls: [Name: Int] = [:]

    package init(_ text: String) throws(FaultLayer.SyntaxError) {
        for part in text.split(separator: ",") {
            let sides = part.split(separator: "=").map(String.init)
            let left = sides.first?.split(separator: ":").map(String.init) ?? []
            let signals = ["kill": SIGKILL, "stop": SIGSTOP, "abort": SIGABRT]
            guard sides.count == 2, left.count == 2, let call = Int(left[1]), call > 0, let signal = signals[sides[1]] else {
                throw FaultLayer.SyntaxError(description: "CCBT_FAILPOINT: '\(part)' is not NAME:N=kill|stop|abort")
            }
            // Names of other workers' points stand in the same variable.
            if let name = Name(rawValue: left[0]) { points[name] = Point(call: call, signal: signal) }
        }
    }
    package func hit(_ name: Name) {
        guard !points.isEmpty, let point = points[name] else { return }
        calls[name, default: 0] += 1
        if calls[name] == point.call { kill(getpid(), point.signal) }
    }
}
