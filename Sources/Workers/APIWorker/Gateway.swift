import Control
import LinuxIO
import Primitives
import Synchronization

/// Requests from HTTP handlers to the session worker, and its answers back. Handlers call from any thread; the shell
/// takes parts and brings answers on its own.
///
/// While the session worker is away, requests wait up to ``patience`` for it; an answer that does not come in time is
/// an ``ControlError/Code/unavailable``. A request whose answer was lost with a session is asked again of the next one,
/// where asking twice is as good as once; it may have been carried out.
package final class Gateway: Sendable {
    /// How long a request may wait for the session worker to be back.
    package static let patience = TimeSpan.seconds(5)
    /// How long the session may take for an answer. `move` is answered when the data have moved; its callers do not wait.
    package static let answerTime = TimeSpan.seconds(60)
    /// Requests that may wait or be under way: more are refused at once.
    static let openLimit = 1024
    /// Bytes of request lines that wait: four of the longest.
    static let waitingBytes = 4 * Control.requestLimit
    /// Unsent bytes at the edge beyond which nothing more is handed over.
    static let queueHigh = 4 << 20
    /// A frame holds 1 MiB.
    static let partSize = 1_000_000

    package struct Part {
        let id: UInt64
        let bytes: [UInt8]
        let isLast: Bool
    }

    /// Asked twice they would do something twice.
    static let unrepeatable: Set<String> = [ControlMethods.RestartWorker.name, ControlMethods.Shutdown.name, "queue.move"]

    private struct Call {
        let continuation: CheckedContinuation<(answer: [UInt8], wasRepeated: Bool), any Error>
        /// Kept for a repetition; empty where there must be none.
        let line: [UInt8]
        var isSent = false
        var wasRepeated = false
        var deadline: Instant
        var answer: [UInt8] = []
    }
    private struct State {
        var isOpen = false
        var nextID: UInt64 = 1
        var calls: [UInt64: Call] = [:]
        var waiting: [(id: UInt64, line: [UInt8])] = []
        var bytes = 0
        /// Of the first in ``waiting``.
        var offset = 0
    }
    private let state = Mutex(State())
    private let wake: @Sendable () -> Void

    package init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

    // MARK: handlers

    /// The session's answer. Throws its ``ControlError``, or `.unavailable`.
    package func call<M: ControlMethod>(_ method: M.Type, _ parameters: M.Parameters) async throws(ControlError) -> M.Answer {
        let (line, wasRepeated) = try await send(mayRepeat: !Self.unrepeatable.contains(M.name)) { ControlLine.request(method, id: $0, parameters) }
        let read: Result<ControlAnswer<M.Answer>, ControlError> = line.withUnsafeBytes { raw in Result { () throws(ControlError) in try ControlLine.read(method, raw) } }
        let answer = try read.get()
        if let error = answer.error {
            // The first asking added it, and its answer was lost.
            if wasRepeated, error.code == .exists, let added = AddAnswer(hash: "", name: "") as? M.Answer { return added }
            throw error
        }
        guard let result = answer.result else { throw ControlError(.parseError, "the session worker gave no answer") }
        return result
    }

    private func send(mayRepeat: Bool, _ line: (UInt64) -> [UInt8]) async throws(ControlError) -> (answer: [UInt8], wasRepeated: Bool) {
        do {
            return try await withCheckedThrowingContinuation { continuation in
                let refused = state.withLock { s -> ControlError? in
                    let id = s.nextID
                    let bytes = line(id)
                    guard s.calls.count < Self.openLimit, s.bytes + bytes.count <= Self.waitingBytes else {
                        return ControlError(.unavailable, "too many requests at once")
                    }
                    s.nextID += 1
                    s.calls[id] = Call(continuation: continuation, line: mayRepeat ? bytes : [], deadline: Clock.monotonic() + (s.isOpen ? Self.answerTime : Self.patience))
                    s.waiting.append((id, bytes))
                    s.bytes += bytes.count
                    return nil
                }
                if let refused { continuation.resume(throwing: refused) } else { wake() }
            }
        } catch let error as ControlError {
            throw error
        } catch {
            throw ControlError(.unavailable, "\(error)")
        }
    }

    // MARK: the shell

    func opened() {
        state.withLock { s in
            s.isOpen = true
            let until = Clock.monotonic() + Self.answerTime
            for id in s.calls.keys { s.calls[id]!.deadline = until }
        }
    }

    /// What was handed over has lost its answer; the rest waits for the next session.
    func closed() {
        let lost = state.withLock { s -> [Call] in
            s.isOpen = false
            s.offset = 0
            let until = Clock.monotonic() + Self.patience
            var lost: [Call] = [], again: [(id: UInt64, line: [UInt8])] = []
            for (id, call) in s.calls.sorted(by: { $0.key < $1.key }) {
                s.calls[id]!.deadline = until
                guard call.isSent else { continue }
                if call.line.isEmpty {
                    lost.append(call)
                    s.calls[id] = nil
                } else {
                    s.calls[id]!.isSent = false
                    s.calls[id]!.wasRepeated = true
                    s.calls[id]!.answer = []
                    again.append((id, call.line))
                }
            }
            let repeated = Set(again.map(\.id)), calls = s.calls
            // In the order in which they were asked.
            s.waiting = again + s.waiting.filter { calls[$0.id] != nil && !repeated.contains($0.id) }
            s.bytes = s.waiting.reduce(0) { $0 + $1.line.count }
            return lost
        }
        for call in lost { call.continuation.resume(throwing: ControlError(.unavailable, "the session worker restarted; it may have carried the request out")) }
    }

    var hasParts: Bool { state.withLock { $0.isOpen && !$0.waiting.isEmpty } }

    func next() -> Part? {
        state.withLock { s in
            // Those whose time was over left their line behind.
            while let first = s.waiting.first, s.offset == 0, s.calls[first.id] == nil {
                s.bytes -= first.line.count
                s.waiting.removeFirst()
            }
            guard s.isOpen, let (id, line) = s.waiting.first else { return nil }
            let end = min(s.offset + Self.partSize, line.count), isLast = end == line.count
            let part = Part(id: id, bytes: Array(line[s.offset..<end]), isLast: isLast)
            s.offset = isLast ? 0 : end
            s.calls[id]?.isSent = true
            if isLast {
                s.bytes -= line.count
                s.waiting.removeFirst()
            }
            return part
        }
    }

    func answered(_ id: UInt64, _ bytes: [UInt8], isLast: Bool) {
        let done = state.withLock { s -> Call? in
            guard var call = s.calls.removeValue(forKey: id) else { return nil }
            call.answer.append(contentsOf: bytes)
            if isLast || call.answer.count > Control.answerLimit { return call }
            s.calls[id] = call
            return nil
        }
        done?.continuation.resume(returning: (done!.answer, done!.wasRepeated))
    }

    /// Ends the calls whose time is over; the next one's time.
    func expire(_ now: Instant) -> Instant {
        var next = Instant.never
        let late = state.withLock { s -> [Call] in
            var late: [Call] = []
            for (id, call) in s.calls {
                if call.deadline <= now {
                    late.append(call)
                    s.calls[id] = nil
                } else {
                    next = min(next, call.deadline)
                }
            }
            return late
        }
        for call in late { call.continuation.resume(throwing: ControlError(.unavailable, "the session worker did not answer in time")) }
        return next
    }
}
