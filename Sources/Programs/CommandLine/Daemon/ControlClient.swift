import Control
import Foundation
import Glibc

/// A blocking connection to the session worker's control socket.
///
/// The supervisor holds the listening socket, so a connection made while the session worker restarts waits in
/// the backlog and is answered once it is back.
package final class ControlClient {
    private let descriptor: Int32
    private var framer = LineFramer(limit: Control.answerLimit)
    private var nextID: UInt64 = 1
    private var chunk = [UInt8](repeating: 0, count: 256 << 10)

    /// Long enough for a worker's restart (back within 2 s) and a slow disk behind it.
    package static let answerSeconds = 30.0

    package init(socketPath: String, stateDirectory: String) throws {
        switch Self.connect(to: socketPath) {
        case .success(let connected): descriptor = connected
        case .failure(let code) where code.value == EACCES || code.value == EPERM:
            throw Failure(.failed, "the daemon of \(stateDirectory) belongs to another user (\(socketPath): permission denied)")
        case .failure(let code) where code.value == ENOENT || code.value == ECONNREFUSED || code.value == ENOTDIR:
            throw Failure(
                .noDaemon,
                "no daemon runs with the state folder \(stateDirectory); start one with 'btbt --state-dir \(stateDirectory) daemon start', or name another with --state-dir")
        case .failure(let code):
            throw Failure(.failed, "cannot connect to \(socketPath): \(String(cString: strerror(code.value)))")
        }
    }

    deinit { close(descriptor) }

    private struct Code: Error { let value: Int32 }

    private static func connect(to path: String) -> Result<Int32, Code> {
        // sun_path holds 107 bytes. A longer path is reached through a descriptor of its folder.
        var path = path, folder: Int32 = -1
        if path.utf8.count > 107, let slash = path.lastIndex(of: "/") {
            folder = open(String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard folder >= 0 else { return .failure(Code(value: errno)) }
            path = "/proc/self/fd/\(folder)" + path[slash...]
        }
        defer { if folder >= 0 { close(folder) } }
        let s = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard s >= 0 else { return .failure(Code(value: errno)) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(s, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard result == 0 else {
            let code = errno
            close(s)
            return .failure(Code(value: code))
        }
        return .success(s)
    }

    // MARK: calls

    /// One request and its answer. Throws ``Failure``.
    package func call<M: ControlMethod>(
        _ method: M.Type, _ parameters: M.Parameters, seconds: Double = ControlClient.answerSeconds
    ) throws -> M.Answer {
        let id = try send(method, parameters)
        let deadline = Date(timeIntervalSinceNow: seconds)
        while true {
            guard let answer = try line(until: deadline, { bytes in try ControlLine.read(M.self, bytes) }) else {
                throw Failure(.temporary, "the daemon did not answer '\(M.name)' within \(Int(seconds)) s; 'btbt workers' shows what is down")
            }
            guard answer.id == id else { continue }
            if let error = answer.error { throw Failure(error) }
            if let result = answer.result { return result }
        }
    }

    package func call<M: ControlMethod>(_ method: M.Type) throws -> M.Answer where M.Parameters == Empty {
        try call(method, Empty())
    }

    package enum WatchEvent {
        case torrent(TorrentSummary)
        case removed(hash: String)
    }

    /// Begins a watch; from then on only ``nextWatchEvent(within:)`` may be used on this connection.
    package func startWatch(hash: String?, interval: Double) throws {
        _ = try call(ControlMethods.Watch.self, WatchParameters(hash: hash, interval: interval))
    }

    /// nil when nothing came within the time. Throws `.temporary` when the connection ended.
    package func nextWatchEvent(within seconds: Double) throws -> WatchEvent? {
        let deadline = Date(timeIntervalSinceNow: seconds)
        while let answer = try line(until: deadline, { try ControlLine.read(ControlMethods.Watch.self, $0) }) {
            if let error = answer.error { throw Failure(error) }
            if let torrent = answer.torrent { return .torrent(torrent) }
            if let hash = answer.removed { return .removed(hash: hash) }
        }
        return nil
    }

    // MARK: lines

    private func send<M: ControlMethod>(_ method: M.Type, _ parameters: M.Parameters) throws -> UInt64 {
        let id = nextID
        nextID += 1
        let bytes = ControlLine.request(method, id: id, parameters)
        guard bytes.count <= Control.requestLimit else {
            throw Failure(.failed, "the request is \(Quantity.bytes(UInt64(bytes.count))); the daemon takes \(Quantity.bytes(UInt64(Control.requestLimit)))")
        }
        try bytes.withUnsafeBytes { all in
            var rest = all
            while !rest.isEmpty {
                let n = Glibc.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
                if n > 0 {
                    rest = UnsafeRawBufferPointer(rebasing: rest[n...])
                } else if errno != EINTR {
                    throw Self.lost
                }
            }
        }
        return id
    }

    /// The next line, decoded; nil at the deadline, or when a signal came (its handler set a flag that the caller looks at).
    private func line<T>(until deadline: Date, _ decode: (UnsafeRawBufferPointer) throws -> T) throws -> T? {
        while true {
            var decoded: Result<T, any Error>?
            do {
                _ = try framer.next { bytes in decoded = Result { try decode(bytes) } }
            } catch {
                throw Failure(.failed, "the daemon's answer is longer than \(Quantity.bytes(UInt64(Control.answerLimit)))")
            }
            if let decoded {
                do { return try decoded.get() } catch let error as ControlError { throw Failure(error) }
            }
            let left = deadline.timeIntervalSinceNow
            if left <= 0 { return nil }
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&wait, 1, Int32(min(left * 1000, 3_600_000).rounded(.up)))
            if ready < 0, errno == EINTR { return nil }
            if ready <= 0 { continue }
            let n = chunk.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { throw Self.lost }
            chunk.withUnsafeBytes { framer.append(UnsafeRawBufferPointer(rebasing: $0[..<n])) }
        }
    }

    private static let lost = Failure(.temporary, "the daemon closed the connection (it is stopping or restarting its session worker)")
}

extension Failure {
    init(_ error: ControlError) {
        let status: ExitStatus =
            switch error.code {
            case .notFound: .notFound
            case .invalidParameters, .ambiguous: .usage
            case .unavailable, .noMetadata: .temporary
            case .parseError, .unknownMethod, .exists, .conflict, .tooLarge, .storage: .failed
            }
        self.init(status, error.message)
    }
}
