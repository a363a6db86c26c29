import Control
import Primitives
import WorkerKit

/// Requests that need the discovery worker wait for it, as writes do for a session worker that restarts: a worker is away for a
/// moment at the start and after each of its ends, and nobody who asks should have to try again.
struct AwaitedDiscovery {
    static let patience = TimeSpan.seconds(5)
    /// Of all clients; beyond it the answer is at once.
    static let limit = 1000
    struct Request {
        let until: Instant
        let then: (Edge?) -> Void
    }
    var requests: [Request] = []
}

extension SessionShell {
    /// `then` is called at once, or when the worker is there, or after ``AwaitedDiscovery/patience`` with nil.
    func whenDiscovery(_ then: @escaping (Edge?) -> Void) {
        if let edge = kit.edge(.discovery) { return then(edge) }
        guard awaitedDiscovery.requests.count < AwaitedDiscovery.limit, !isClosing else { return then(nil) }
        awaitedDiscovery.requests.append(AwaitedDiscovery.Request(until: loop.now + AwaitedDiscovery.patience, then: then))
    }

    func turnAwaitedDiscovery(_ now: Instant) -> Instant {
        guard !awaitedDiscovery.requests.isEmpty else { return .never }
        let edge = kit.edge(.discovery), all = awaitedDiscovery.requests
        awaitedDiscovery.requests = edge == nil && !isClosing ? all.filter { $0.until > now } : []
        for request in all where edge != nil || isClosing || request.until <= now { request.then(edge) }
        return awaitedDiscovery.requests.first?.until ?? .never
    }
}
