import Glibc
import LinuxIO
import Primitives

/// Tells systemd (or whoever set NOTIFY_SOCKET) how we are: sd_notify(3) is one datagram.
struct ServiceManager {
    private let address: SocketAddress?
    private let fd: Int32
    /// Half of what the manager allows; nil when it does not watch us.
    let watchdogInterval: TimeSpan?

    init(environment: [(String, String)]) {
        func value(_ name: String) -> String? { environment.last { $0.0 == name }?.1 }
        var found: SocketAddress?
        if let path = value("NOTIFY_SOCKET"), path.hasPrefix("/") || path.hasPrefix("@") {
            do throws(Errno) { found = try SocketAddress(unix: path) } catch { found = nil }
        }
        address = found
        fd = found == nil ? -1 : socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        let mine = value("WATCHDOG_PID").map { $0 == String(getpid()) } ?? true
        let limit = mine ? value("WATCHDOG_USEC").flatMap { Int64($0) } : nil
        watchdogInterval = found == nil ? nil : limit.map { TimeSpan(nanoseconds: max(1, $0) * 500) }
    }

    /// Variables that are for this process alone.
    static func isPrivate(_ name: String) -> Bool { ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"].contains(name) }

    /// Lost when the manager does not read: nothing of ours depends on it.
    func tell(_ state: String) {
        guard let address, fd >= 0 else { return }
        _ = address.withSockaddr { to, length in
            state.withCString { sendto(fd, $0, strlen($0), Int32(MSG_NOSIGNAL), to, length) }
        }
    }
}
