import ByteCodec
import CLinux
import Control
import Foundation
import Glibc
import IPC
import LinuxIO
import Primitives
import Settings
import Testing
import WorkerKit

/// One end of a state edge, played by the test.
final class FakeWorker {
    let fd: Int32
    let generation: Generation
    private var reader = FrameReader()
    private var inbox: [(type: MessageType, correlation: UInt64, bytes: [UInt8])] = []

    init(fd: Int32, generation: Generation) { (self.fd, self.generation) = (fd, generation) }
    deinit { close(fd) }

    func send<M: IPCMessage>(_ message: M, correlation: UInt64 = 0) {
        var w = ByteWriter()
        message.encode(into: &w, generation: generation, correlation: correlation)
        var at = 0
        while at < w.count {
            let n = Glibc.send(fd, w.bytes.baseAddress! + at, w.count - at, Int32(MSG_NOSIGNAL))
            if n > 0 { at += n } else { usleep(1000) }
        }
    }

    /// The next message of that type; those of other types before it stay for later calls.
    func next<M: IPCMessage>(_: M.Type, within seconds: Double = 10) throws -> (message: M, correlation: UInt64) {
        let deadline = Date().addingTimeInterval(seconds)
        while true {
            if let i = inbox.firstIndex(where: { $0.type == M.type }) {
                let item = inbox.remove(at: i)
                let message: M = try item.bytes.withUnsafeBytes {
                    var r = try PayloadReader($0)
                    return try M(from: &r)
                }
                return (message, item.correlation)
            }
            try read(until: deadline)
        }
    }
    /// What came of that type by now.
    func all<M: IPCMessage>(_: M.Type) throws -> [M] {
        var out: [M] = []
        try? read(until: Date().addingTimeInterval(0.05))
        while let item = try? next(M.self, within: 0) { out.append(item.message) }
        return out
    }

    private func read(until deadline: Date) throws {
        let left = deadline.timeIntervalSinceNow
        var p = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
        guard left > 0, Glibc.poll(&p, 1, Int32(left * 1000) + 1) > 0 else { throw Waited() }
        let room = reader.free()
        let n = recv(fd, room.baseAddress!, room.count, 0)
        guard n > 0 else { throw Waited() }
        reader.filled(n)
        while let frame = try reader.next() {
            if let type = frame.type { inbox.append((type, frame.correlation, [UInt8](frame.payload))) }
        }
    }
}

/// Nothing came in time, or the other end is gone.
struct Waited: Error {}

/// The real `ccbt-session` under a supervisor that is the test.
final class SessionProcess {
    let folder: TemporaryFolder
    let child: Child
    let link: ControlLink
    let generation: Generation
    private var isReaped = false
    var disk: FakeWorker
    var peer: FakeWorker
    var discovery: FakeWorker

    static let program: String? = {
        let own = (try? Spawn.executablePath()) ?? ""
        let candidates = [own, CommandLine.arguments[0], Bundle(for: SessionProcess.self).bundlePath].map {
            URL(fileURLWithPath: $0).deletingLastPathComponent().appendingPathComponent("ccbt-session").path
        }
        return candidates.first { access($0, X_OK) == 0 }
    }()

    init(_ folder: TemporaryFolder, generation: UInt32 = 1, settings: [(String, RawValue)] = []) throws {
        self.folder = folder
        self.generation = Generation(rawValue: generation)
        let (mine, theirs) = try Sockets.socketPair(.packets)
        defer { close(theirs) }
        let program = try #require(Self.program)
        child = try Spawn.spawn(
            program, ["ccbt-session"] + WorkerStart.arguments(index: 0, generation: self.generation), environment: Spawn.environment,
            descriptors: [(theirs, 3)])
        link = ControlLink(fd: mine)
        let g = Generation(rawValue: generation)
        var resolved = Settings()
        for (key, value) in settings { try resolved.set(key, value) }
        var ends: [FakeWorker] = []
        link.send(
            Configure(
                stateDirectory: folder.path, settings: resolved.pairs.map { Setting(key: $0.0, value: $0.1) }, wallClockSeconds: UInt64(time(nil))),
            generation: g)
        for role in [WorkerRole.disk, .peer, .discovery] {
            let (a, b) = try Sockets.socketPair(.stream)
            link.send(OpenEdge(role: role.rawValue, index: 0, peerGeneration: generation), generation: g, descriptors: [b])
            close(b)
            ends.append(FakeWorker(fd: a, generation: g))
        }
        (disk, peer, discovery) = (ends[0], ends[1], ends[2])
        unlink(folder.path + "/" + Control.socketName)
        let listener = try Sockets.listenUnix(folder.path + "/" + Control.socketName)
        link.send(GiveListener(kind: ListenerKind.controlSocket.rawValue, endpoint: Endpoint(ipv4: 0, port: 0)), generation: g, descriptors: [listener])
        close(listener)
        link.send(Start(), generation: g)
        _ = try control(Ready.self)
    }
    deinit {
        if !isReaped {
            try? child.signal(SIGKILL)
            _ = try? ended()
        }
        close(child.pidfd)
        close(link.fd)
    }

    /// The next control frame of that type; others are passed over.
    func control<M: IPCMessage>(_: M.Type, within seconds: Double = 10) throws -> M {
        let deadline = Date().addingTimeInterval(seconds)
        while Date() < deadline {
            switch link.receive() {
            case .frame(let frame, _): if frame.type == M.type { return try frame.decode() }
            case .nothing: usleep(500)
            case .ended, .broken: throw Waited()
            }
        }
        throw Waited()
    }
    func send<M: IPCMessage>(_ message: M) { link.send(message, generation: generation) }

    func kill() throws {
        try child.signal(SIGKILL)
        _ = try ended()
    }
    func ended(within seconds: Double = 10) throws -> Child.End {
        let deadline = Date().addingTimeInterval(seconds)
        while Date() < deadline {
            if let end = try child.reap() {
                isReaped = true
                return end
            }
            usleep(500)
        }
        throw Waited()
    }
    func client() throws -> ControlClient { try ControlClient(folder.path + "/" + Control.socketName) }

    /// A worker in place of the one that "died".
    func replace(_ role: WorkerRole, generation: UInt32) throws -> FakeWorker {
        let (a, b) = try Sockets.socketPair(.stream)
        link.send(OpenEdge(role: role.rawValue, index: 0, peerGeneration: generation), generation: self.generation, descriptors: [b])
        close(b)
        return FakeWorker(fd: a, generation: Generation(rawValue: generation))
    }
}

/// A front end.
final class ControlClient: @unchecked Sendable {
    let fd: Int32
    private var framer = LineFramer(limit: Control.answerLimit)
    private var nextID: UInt64 = 1
    private let buffer = UnsafeMutableRawPointer.allocate(byteCount: 1 << 16, alignment: 16)

    init(_ path: String) throws { fd = try Sockets.connectUnix(path) }
    deinit {
        close(fd)
        buffer.deallocate()
    }

    func write(_ bytes: [UInt8]) throws {
        var at = 0
        while at < bytes.count {
            let n = bytes.withUnsafeBytes { Glibc.send(fd, $0.baseAddress! + at, $0.count - at, Int32(MSG_NOSIGNAL)) }
            if n > 0 {
                at += n
            } else if errno == EAGAIN {
                var p = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
                guard Glibc.poll(&p, 1, 10_000) > 0 else { throw Waited() }
            } else {
                throw Waited()
            }
        }
    }
    /// nil at the end of the stream.
    func line(within seconds: Double = 20) throws -> [UInt8]? {
        let deadline = Date().addingTimeInterval(seconds)
        while true {
            var found: [UInt8]?
            if try framer.next({ found = [UInt8]($0) }) { return found }
            let left = deadline.timeIntervalSinceNow
            var p = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
            guard left > 0, Glibc.poll(&p, 1, Int32(left * 1000) + 1) > 0 else { throw Waited() }
            let n = recv(fd, buffer, 1 << 16, 0)
            if n <= 0 { return nil }
            framer.append(UnsafeRawBufferPointer(start: buffer, count: n))
        }
    }
    @discardableResult func send<M: ControlMethod>(_: M.Type, _ parameters: M.Parameters) throws -> UInt64 {
        nextID += 1
        try write(ControlLine.request(M.self, id: nextID, parameters))
        return nextID
    }
    func answer<M: ControlMethod>(_: M.Type) throws -> M.Answer {
        guard let line = try line() else { throw Waited() }
        let answer = try line.withUnsafeBytes { try ControlLine.read(M.self, $0) }
        if let error = answer.error { throw error }
        return try #require(answer.result)
    }
    @discardableResult func call<M: ControlMethod>(_ method: M.Type, _ parameters: M.Parameters) throws -> M.Answer {
        try send(method, parameters)
        return try answer(method)
    }
    @discardableResult func add(_ torrent: [UInt8], save: String = "/data", paused: Bool? = nil, peers: [String]? = nil) throws -> AddAnswer {
        try call(ControlMethods.Add.self, AddParameters(torrent: Data(torrent).base64EncodedString(), save: save, paused: paused, peers: peers))
    }
    func list() throws -> [TorrentSummary] { try call(ControlMethods.List.self, Empty()).torrents }
}
