import Glibc
import IPC
import LinuxIO
import Observe
import Primitives

/// The listening sockets. Bound here and kept open for the whole run, so that a worker's restart refuses nobody: what
/// connects meanwhile waits in the kernel's backlog.
struct Listeners {
    struct Socket {
        /// The same for the whole run.
        fileprivate(set) var id = 0
        let kind: ListenerKind
        /// As configured; port 0 takes any.
        let wanted: Endpoint
        /// Ports after the wanted one that do as well when it is in use.
        var more = 0
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
    private(set) var datagrams: [DatagramPort] = []
    private let controlPath: String
    private var nextID = 0

    /// `more`: ports after those of the peers' endpoints that do as well.
    init(endpoints: [Endpoint], more: Int = 0, api: [Endpoint] = [], controlPath: String, datagrams use: DatagramUse) {
        self.controlPath = controlPath
        let none = Endpoint(ipv4: 0, port: 0)
        sockets.append(Socket(kind: .controlSocket, wanted: none, bound: none, dualStack: false))
        for endpoint in endpoints {
            // [::] takes IPv4 too, unless an IPv4 socket of that port was asked for beside it.
            let alone = !endpoints.contains { $0.isIPv4 && $0.port == endpoint.port }
            let dualStack = endpoint.isUnspecified && alone
            sockets.append(Socket(kind: .peerTCP, wanted: endpoint, more: endpoint.port == 0 ? 0 : more, bound: endpoint, dualStack: dualStack))
            let shared = use.discovery && use.discoveryPort == 0
            if shared || use.shards > 0 {
                datagrams.append(
                    DatagramPort(wanted: endpoint, follows: sockets.count - 1, dualStack: dualStack, discovery: shared, shards: use.shards))
            }
            if use.discovery, use.discoveryPort != 0 {
                var own = endpoint
                own.port = use.discoveryPort
                datagrams.append(DatagramPort(wanted: own, follows: nil, dualStack: dualStack, discovery: true, shards: 0))
            }
        }
        for endpoint in api {
            let alone = !api.contains { $0.isIPv4 && $0.port == endpoint.port }
            sockets.append(Socket(kind: .apiTCP, wanted: endpoint, bound: endpoint, dualStack: endpoint.isUnspecified && alone))
        }
        for i in sockets.indices { sockets[i].id = newID() }
        for i in datagrams.indices { datagrams[i].id = newID() }
    }
    private mutating func newID() -> Int {
        nextID += 1
        return nextID
    }

    /// Takes the place of these: what is wanted as before stays bound, the rest is closed here and bound anew when it is due. A port
    /// that a worker still holds open is free when that worker has been restarted; until then binding it fails and is tried again.
    mutating func change(to other: Listeners) {
        let old = self
        var kept: Set<Int> = []
        (sockets, datagrams) = (other.sockets, other.datagrams)
        for i in sockets.indices {
            let new = sockets[i]
            if let same = old.sockets.first(where: { $0.kind == new.kind && $0.wanted == new.wanted && $0.dualStack == new.dualStack && !kept.contains($0.id) }) {
                sockets[i] = same
                kept.insert(same.id)
            } else {
                sockets[i].id = newID()
            }
        }
        for i in datagrams.indices {
            let new = datagrams[i], port = new.follows.map { sockets[$0].id }
            let same = old.datagrams.first { was in
                was.wanted == new.wanted && was.dualStack == new.dualStack && was.members.map(\.kind) == new.members.map(\.kind) && was.follows.map { old.sockets[$0].id } == port
                    && !kept.contains(was.id)
            }
            if var same {
                same.follows = new.follows
                datagrams[i] = same
                kept.insert(same.id)
            } else {
                datagrams[i].id = newID()
            }
        }
        for socket in old.sockets where !kept.contains(socket.id) && socket.fd >= 0 { Descriptor.close(socket.fd) }
        for port in old.datagrams where !kept.contains(port.id) { port.close() }
    }

    var nextRetry: Instant {
        let streams = sockets.filter { $0.fd < 0 }.map(\.retryAt).min() ?? .never
        return datagrams.indices.filter { !datagrams[$0].isBound && target(of: $0) != nil }.map { datagrams[$0].retryAt }.reduce(streams, min)
    }

    /// Where datagrams of that row are received; nil while the TCP port that they share is not known.
    private func target(of row: Int) -> Endpoint? {
        guard let i = datagrams[row].follows, datagrams[row].wanted.port == 0 || sockets[i].more > 0 else { return datagrams[row].wanted }
        return sockets[i].fd < 0 ? nil : sockets[i].bound
    }

    /// Binds what is due; the kinds that were bound now.
    mutating func bindDue(now: Instant) -> [ListenerKind] {
        var kinds: [ListenerKind] = []
        for i in sockets.indices where sockets[i].fd < 0 && now >= sockets[i].retryAt {
            do throws(Errno) {
                try bind(i)
                kinds.append(sockets[i].kind)
                log(.info, listening(sockets[i]))
            } catch {
                sockets[i].failures += 1
                sockets[i].retryAt = now + min(Self.maximumWait, .seconds(1 << min(sockets[i].failures - 1, 5)))
                // Once: a log must not grow with the wait.
                guard sockets[i].failures == 1 else { continue }
                let what = sockets[i].kind == .controlSocket ? controlPath : "\(sockets[i].wanted)"
                log(.error, "cannot listen on \(what): \(error); trying again until it works, everything else starts")
            }
        }
        for i in datagrams.indices where !datagrams[i].isBound && now >= datagrams[i].retryAt {
            guard let target = target(of: i) else { continue }
            do throws(Errno) {
                try datagrams[i].bind(target)
                for member in datagrams[i].members where !kinds.contains(member.kind) { kinds.append(member.kind) }
                log(.info, "datagrams on \(datagrams[i].bound)")
            } catch {
                datagrams[i].failures += 1
                datagrams[i].retryAt = now + min(Self.maximumWait, .seconds(1 << min(datagrams[i].failures - 1, 5)))
                guard datagrams[i].failures == 1 else { continue }
                log(.error, "cannot receive datagrams on \(target): \(error); trying again until it works, everything else starts")
            }
        }
        return kinds
    }

    private mutating func bind(_ i: Int) throws(Errno) {
        switch sockets[i].kind {
        case .controlSocket: sockets[i].fd = try Sockets.listenUnix(controlPath, mode: 0o600)
        case .peerTCP, .apiTCP:
            let fd = try listen(sockets[i])
            do throws(Errno) { sockets[i].bound = try Sockets.localEndpoint(fd) } catch {
                Descriptor.close(fd)
                throw error
            }
            sockets[i].fd = fd
        case .peerUDP, .discoveryUDP: preconditionFailure("not a stream socket")
        }
    }

    /// On the first free port of its range.
    private func listen(_ socket: Socket) throws(Errno) -> Int32 {
        var endpoint = socket.wanted
        let last = min(Int(endpoint.port) + socket.more, 65535)
        while true {
            do throws(Errno) { return try Sockets.listenTCP(endpoint, dualStack: socket.dualStack) } catch {
                guard error.code == EADDRINUSE, endpoint.port < last else { throw error }
                endpoint.port += 1
            }
        }
    }

    struct Given {
        let id: Int
        let kind: ListenerKind
        let fd: Int32
        let endpoint: Endpoint
    }
    /// Bound sockets that a worker takes.
    func bound(for name: WorkerName) -> [Given] {
        var out: [Given] = []
        for socket in sockets where socket.fd >= 0 && Self.role(of: socket.kind) == name.role {
            out.append(Given(id: socket.id, kind: socket.kind, fd: socket.fd, endpoint: socket.bound))
        }
        for port in datagrams {
            for member in port.members where member.fd >= 0 && Self.role(of: member.kind) == name.role && member.index == name.index {
                out.append(Given(id: port.id, kind: member.kind, fd: member.fd, endpoint: port.bound))
            }
        }
        return out
    }
    static func role(of kind: ListenerKind) -> WorkerRole {
        switch kind {
        case .peerTCP, .peerUDP: .peer
        case .controlSocket: .session
        case .discoveryUDP: .discovery
        case .apiTCP: .api
        }
    }

    private func listening(_ socket: Socket) -> String {
        switch socket.kind {
        case .controlSocket: "control socket \(controlPath)"
        case .apiTCP: "web page and APIs on \(socket.bound)"
        case .peerTCP, .peerUDP, .discoveryUDP: "listening for peers on \(socket.bound)"
        }
    }
}
