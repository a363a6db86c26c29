import CLinux
import Glibc
import Primitives

/// Making and setting up sockets. Every socket made here is CLOEXEC and non-blocking, and its number is the caller's to close.
package enum Sockets {
    package enum PairKind: Sendable { case stream, packets }

    /// A listening TCP socket. An IPv6 endpoint takes IPv6 only unless `dualStack`; port 0 lets the kernel choose.
    package static func listenTCP(
        _ endpoint: Endpoint, backlog: Int32 = 1024, reusePort: Bool = false, dualStack: Bool = false
    ) throws(Errno) -> Int32 {
        let fd = try make(endpoint.isIPv4 ? AF_INET : AF_INET6, SOCK_STREAM)
        return try closing(fd) { () throws(Errno) in
            try set(fd, SOL_SOCKET, SO_REUSEADDR, 1)
            if reusePort { try set(fd, SOL_SOCKET, SO_REUSEPORT, 1) }
            if !endpoint.isIPv4 { try set(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, dualStack ? 0 : 1) }
            try bind(fd, SocketAddress(endpoint))
            try checkedErrno(listen(fd, backlog))
        }
    }

    /// A TCP socket ready for ``Loop/connect(_:_:token:)``, bound to `source` when given (port 0: any).
    package static func streamSocket(for endpoint: Endpoint, bind source: Endpoint? = nil) throws(Errno) -> Int32 {
        let fd = try make(endpoint.isIPv4 ? AF_INET : AF_INET6, SOCK_STREAM)
        return try closing(fd) { () throws(Errno) in
            guard let source else { return }
            // The port is chosen at connect, by the whole 4-tuple, so that one address does not run out after 28,232 ports.
            try set(fd, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, 1)
            try bind(fd, endpoint.isIPv4 ? SocketAddress(source) : SocketAddress(ipv6: source, scope: 0))
        }
    }

    package static func udpSocket(bind endpoint: Endpoint, reusePort: Bool = false, dualStack: Bool = false) throws(Errno) -> Int32 {
        let fd = try make(endpoint.isIPv4 ? AF_INET : AF_INET6, SOCK_DGRAM)
        return try closing(fd) { () throws(Errno) in
            if reusePort { try set(fd, SOL_SOCKET, SO_REUSEPORT, 1) }
            if !endpoint.isIPv4 { try set(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, dualStack ? 0 : 1) }
            try bind(fd, SocketAddress(endpoint))
        }
    }

    /// Sockets that share one address, `count` >= 2 of them: datagrams whose first byte is `first` come to the first one, the others
    /// by their third byte modulo `count` - 1 to the rest. The kernel counts them by the order of binding and moves the last into the
    /// place of one that is closed: who wants the order to stay keeps them all open. A port that anyone has already is EADDRINUSE.
    package static func datagramGroup(
        bind endpoint: Endpoint, first: UInt8, count: Int, dualStack: Bool = false
    ) throws(Errno) -> [Int32] {
        // SO_REUSEPORT would join a group that another process of this user has there.
        Descriptor.close(try udpSocket(bind: endpoint, dualStack: dualStack))
        var group: [Int32] = []
        do throws(Errno) {
            for _ in 0..<count { group.append(try udpSocket(bind: endpoint, reusePort: true, dualStack: dualStack)) }
            try checked(cl_steer_datagrams(group[0], first, UInt32(count - 1)))
        } catch {
            for fd in group { Descriptor.close(fd) }
            throw error
        }
        return group
    }

    /// A listening Unix stream socket with exactly the permissions `mode`. A socket file that nobody answers on is replaced; one
    /// that answers gives EADDRINUSE, anything else there EEXIST.
    package static func listenUnix(_ path: String, mode: mode_t = 0o600, backlog: Int32 = 128) throws(Errno) -> Int32 {
        let address = try SocketAddress(unix: path)
        var status = stat()
        if !path.hasPrefix("@"), lstat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFSOCK else { throw .exists }
            let probe = try make(AF_UNIX, SOCK_STREAM)
            defer { Descriptor.close(probe) }
            let answered = address.withSockaddr { Glibc.connect(probe, $0, $1) } == 0 || errno == EAGAIN
            if answered { throw .addressInUse }
            guard errno == ECONNREFUSED else { throw .current }
            unlink(path)
        }
        let fd = try make(AF_UNIX, SOCK_STREAM)
        return try closing(fd) { () throws(Errno) in
            // Set on the socket before bind: the file is then created with it, without a moment of wider access.
            try checkedErrno(fchmod(fd, mode))
            try bind(fd, address)
            if !path.hasPrefix("@") { try checkedErrno(chmod(path, mode)) }
            try checkedErrno(listen(fd, backlog))
        }
    }

    /// A connected Unix stream socket. Connecting to a Unix socket does not wait for the network; EAGAIN means a full backlog.
    package static func connectUnix(_ path: String) throws(Errno) -> Int32 {
        let address = try SocketAddress(unix: path)
        let fd = try make(AF_UNIX, SOCK_STREAM)
        return try closing(fd) { () throws(Errno) in
            try checkedErrno(address.withSockaddr { Glibc.connect(fd, $0, $1) })
        }
    }

    /// Two connected Unix sockets; `.packets` keeps message boundaries (SOCK_SEQPACKET).
    package static func socketPair(_ kind: PairKind) throws(Errno) -> (Int32, Int32) {
        let type = kind == .stream ? Int32(SOCK_STREAM.rawValue) : Int32(SOCK_SEQPACKET.rawValue)
        var ends: (Int32, Int32) = (-1, -1)
        let made = withUnsafeMutableBytes(of: &ends) {
            socketpair(AF_UNIX, type | closeOnExecAndNonblocking, 0, $0.assumingMemoryBound(to: Int32.self).baseAddress!)
        }
        try checkedErrno(made)
        return ends
    }

    // MARK: Setters

    /// Small messages leave at once. No error: where it is refused (not TCP, or reset already) the stream works all the same.
    package static func setNoDelay(_ fd: Int32, _ on: Bool = true) { try? set(fd, Int32(IPPROTO_TCP), TCP_NODELAY, on ? 1 : 0) }
    /// Bytes; the kernel doubles them and caps them at net.core.{w,r}mem_max. nil leaves automatic sizing on.
    package static func setBuffers(_ fd: Int32, send: Int32? = nil, receive: Int32? = nil) throws(Errno) {
        if let send { try set(fd, SOL_SOCKET, SO_SNDBUF, send) }
        if let receive { try set(fd, SOL_SOCKET, SO_RCVBUF, receive) }
    }
    /// Readable is said, and a receive completes, from `bytes` waiting on; tcp(7), SO_RCVLOWAT.
    package static func setLowWater(_ fd: Int32, receive bytes: Int32) throws(Errno) { try set(fd, SOL_SOCKET, SO_RCVLOWAT, bytes) }
    /// Unsent bytes kept in the kernel before the socket stops being writable.
    package static func setUnsentLimit(_ fd: Int32, bytes: Int32) throws(Errno) { try set(fd, Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, bytes) }
    /// Unacknowledged data for longer than this ends the connection with ETIMEDOUT.
    package static func setUserTimeout(_ fd: Int32, milliseconds: Int32) throws(Errno) { try set(fd, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, milliseconds) }
    /// Probes after `idle` seconds of silence, then each `interval`; `count` without an answer end the connection with ETIMEDOUT. No
    /// error: where it is refused, the kernel's own times hold.
    package static func setKeepAlive(_ fd: Int32, idle: Int32, interval: Int32, count: Int32) {
        try? set(fd, Int32(IPPROTO_TCP), TCP_KEEPIDLE, idle)
        try? set(fd, Int32(IPPROTO_TCP), TCP_KEEPINTVL, interval)
        try? set(fd, Int32(IPPROTO_TCP), TCP_KEEPCNT, count)
        try? set(fd, SOL_SOCKET, SO_KEEPALIVE, 1)
    }
    /// IP_TOS or IPV6_TCLASS, by the family of the socket.
    package static func setTrafficClass(_ fd: Int32, _ value: UInt8, ipv6: Bool) throws(Errno) {
        try ipv6 ? set(fd, Int32(IPPROTO_IPV6), IPV6_TCLASS, Int32(value)) : set(fd, Int32(IPPROTO_IP), IP_TOS, Int32(value))
    }
    /// close() then sends RST: nothing lingers, no TIME_WAIT.
    package static func setResetOnClose(_ fd: Int32) throws(Errno) {
        var value = linger(l_onoff: 1, l_linger: 0)
        try checkedErrno(setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size)))
    }
    package static func bindToInterface(_ fd: Int32, _ name: String) throws(Errno) {
        try checkedErrno(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, socklen_t(name.utf8.count)))
    }
    package static func shutdownSending(_ fd: Int32) throws(Errno) { try checkedErrno(shutdown(fd, Int32(SHUT_WR))) }

    // MARK: Questions

    package static func localEndpoint(_ fd: Int32) throws(Errno) -> Endpoint { try endpoint(fd, getsockname) }
    /// nil when not connected (any more), or not an IP socket.
    package static func peerEndpoint(_ fd: Int32) -> Endpoint? { try? endpoint(fd, getpeername) }
    /// Takes and clears the socket's pending error (SO_ERROR).
    package static func error(_ fd: Int32) -> Errno? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &length) == 0 else { return .current }
        return value == 0 ? nil : Errno(value)
    }
    /// User and process at the other end of a Unix stream socket, as they were when it connected.
    package static func peerCredentials(_ fd: Int32) throws(Errno) -> (user: uid_t, process: pid_t) {
        var raw: (pid: Int32, uid: UInt32, gid: UInt32) = (0, 0, 0)  // struct ucred
        var length = socklen_t(12)
        try checkedErrno(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &raw, &length))
        return (raw.uid, raw.pid)
    }

    // MARK: Parts

    static let closeOnExecAndNonblocking = Int32(bitPattern: SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)

    static func make(_ family: Int32, _ type: __socket_type) throws(Errno) -> Int32 {
        try checkedErrno(socket(family, Int32(bitPattern: type.rawValue) | closeOnExecAndNonblocking, 0))
    }

    static func set(_ fd: Int32, _ level: Int32, _ name: Int32, _ value: Int32) throws(Errno) {
        var value = value
        try checkedErrno(setsockopt(fd, level, name, &value, socklen_t(MemoryLayout<Int32>.size)))
    }

    static func bind(_ fd: Int32, _ address: SocketAddress) throws(Errno) {
        try checkedErrno(address.withSockaddr { Glibc.bind(fd, $0, $1) })
    }

    /// Closes `fd` when `setUp` fails.
    static func closing(_ fd: Int32, _ setUp: () throws(Errno) -> Void) throws(Errno) -> Int32 {
        do { try setUp() } catch {
            Descriptor.close(fd)
            throw error
        }
        return fd
    }

    private static func endpoint(
        _ fd: Int32, _ call: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) throws(Errno) -> Endpoint {
        var address = SocketAddress()
        try checkedErrno(address.withMutableSockaddr { call(fd, $0, $1) })
        guard let endpoint = address.endpoint else { throw Errno(EAFNOSUPPORT) }
        return endpoint
    }
}
