import Glibc
import IPC
import LinuxIO
import Observe
import Primitives

/// The listening sockets. Bound here and kept open for the whole run, so that a worker's restart refuses nobody: what
/// connects meanwhile waits in the kernel's backlog.
struct Listeners {
    struct Socket {
        let kind: ListenerKind
        /// As configured; port 0 takes any.
        let wanted: Endpoint
        var fd: Int32 = -1
        /// As bound.
        var bound: Endpoint
        var retryAt = Instant.zero
        var failures = 0
        let dualStack: Bool
    }
    /// A port that is in use is tried again after 1, 2, 4, ... s, at most this: bound 30 s after it is free.
    static let maximumWait = TimeSpan.seconds(30)

    private(set) var sockets: [Socket] = []
    private let controlPath: String

    init(endpoints: [Endpoint], controlPath: String) {
        self.controlPath = controlPath
        let none = Endpoint(ipv4: 0, port: 0)
        sockets.append(Socket(kind: .controlSocket, wanted: none, bound: none, dualStack: false))
        for endpoint in endpoints {
            // [::] takes IPv4 too, unless an IPv4 socket of that port was asked for beside it.
            let alone = !endpoints.contains { $0.isIPv4 && $0.port == endpoint.port }
            sockets.append(Socket(kind: .peerTCP, wanted: endpoint, bound: endpoint, dualStack: endpoint.isUnspecified && alone))
        }
    }

    var nextRetry: Instant { sockets.filter { $0.fd < 0 }.map(\.retryAt).min() ?? .never }

    /// Binds what is due; the kinds that were bound now.
    mutating func bindDue(now: Instant) -> [ListenerKind] {
        var kinds: [ListenerKind] = []
        for i in sockets.indices where sockets[i].fd < 0 && now >= sockets[i].retryAt {
            do throws(Errno) {
                try bind(i)
                kinds.append(sockets[i].kind)
                log(.info, sockets[i].kind == .peerTCP ? "listening for peers on \(sockets[i].bound)" : "control socket \(controlPath)")
            } catch {
                sockets[i].failures += 1
                sockets[i].retryAt = now + min(Self.maximumWait, .seconds(1 << min(sockets[i].failures - 1, 5)))
                // Once: a log must not grow with the wait.
                guard sockets[i].failures == 1 else { continue }
                let what = sockets[i].kind == .peerTCP ? "\(sockets[i].wanted)" : controlPath
                log(.error, "cannot listen on \(what): \(error); trying again until it works, everything else starts")
            }
        }
        return kinds
    }

    private mutating func bind(_ i: Int) throws(Errno) {
        switch sockets[i].kind {
        case .controlSocket: sockets[i].fd = try Sockets.listenUnix(controlPath, mode: 0o600)
        case .peerTCP:
            let fd = try Sockets.listenTCP(sockets[i].wanted, dualStack: sockets[i].dualStack)
            do throws(Errno) { sockets[i].bound = try Sockets.localEndpoint(fd) } catch {
                Descriptor.close(fd)
                throw error
            }
            sockets[i].fd = fd
        }
    }

    /// Bound sockets that a role takes.
    func bound(for role: WorkerRole) -> [Socket] {
        sockets.filter { $0.fd >= 0 && Self.role(of: $0.kind) == role }
    }
    static func role(of kind: ListenerKind) -> WorkerRole { kind == .peerTCP ? .peer : .session }
}
