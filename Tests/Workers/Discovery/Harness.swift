import ByteCodec
import Foundation
import Glibc
import IPC
import LinuxIO
import Primitives

/// Stands for the supervisor and the session worker of one real ccbt-discovery process: descriptor 3, frames, and a
/// state edge. Everything blocks with a limit.
final class Harness {
    static let program: String = {
        // The test bundle and the programs are built into one folder.
        let own = (try? Spawn.executablePath()) ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("ccbt-discovery").path
    }()

    let child: Child
    let generation: Generation
    private let control: Int32
    private let packet = Packet(capacity: 64 << 10)
    private var edge: Int32 = -1
    private var sessionGeneration = Generation(rawValue: 1)
    private var reader = FrameReader()
    private(set) var controlTypes: [MessageType] = []
    private(set) var statuses: [TrackerStatus] = []
    private(set) var peers: [DiscoveryPeers] = []
    private(set) var end: Child.End?

    init(generation: UInt32 = 1, settings: [(String, String)] = [], edges: Bool = true) throws {
        self.generation = Generation(rawValue: generation)
        let (mine, theirs) = try Sockets.socketPair(.packets)
        control = mine
        child = try Spawn.spawn(
            Self.program, ["ccbt-discovery", "--index", "0", "--generation", String(generation)], environment: Spawn.environment,
            descriptors: [(theirs, 3)])
        Descriptor.close(theirs)
        try sendControl(
            Configure(
                stateDirectory: "/nonexistent", settings: settings.map { Setting(key: $0.0, value: $0.1) },
                wallClockSeconds: UInt64(Clock.wallSeconds())))
        if edges { try openEdge(session: 1) }
        try sendControl(Start())
    }
    deinit {
        if end == nil { try? child.signal(SIGKILL) }
        Descriptor.close(control)
        if edge >= 0 { Descriptor.close(edge) }
    }

    func sendControl<M: IPCMessage>(_ message: M, descriptors: [Int32] = []) throws {
        var w = ByteWriter()
        message.encode(into: &w, generation: Generation(rawValue: 1))
        try Passing.send(control, w.bytes, descriptors: descriptors)
    }

    /// A fresh state edge, as after a restart of the session worker.
    func openEdge(session: UInt32) throws {
        let (mine, theirs) = try Sockets.socketPair(.stream)
        sessionGeneration = Generation(rawValue: session)
        try sendControl(
            OpenEdge(role: WorkerRole.session.rawValue, index: 0, peerGeneration: session), descriptors: [theirs])
        Descriptor.close(theirs)
        if edge >= 0 { Descriptor.close(edge) }
        edge = mine
        reader = FrameReader()
    }

    func send<M: IPCMessage>(_ message: M) throws {
        var w = ByteWriter()
        message.encode(into: &w, generation: sessionGeneration)
        var at = 0
        while at < w.count {
            let n = Glibc.send(edge, w.bytes.baseAddress! + at, w.count - at, Int32(MSG_NOSIGNAL))
            if n > 0 { at += n } else { receive(.milliseconds(20)) }
        }
    }

    /// Reads what both sockets have, waiting up to `span` for the first.
    func receive(_ span: TimeSpan) {
        var fds = [pollfd(fd: control, events: Int16(POLLIN), revents: 0), pollfd(fd: edge, events: Int16(POLLIN), revents: 0)]
        guard poll(&fds, 2, Int32(span.milliseconds)) > 0 else { return }
        while let n = try? Passing.receive(control, packet), n > 0 {
            if let frame = try? Frame(packet: UnsafeRawBufferPointer(rebasing: packet.bytes[0..<n])), let type = frame.type { controlTypes.append(type) }
        }
        while true {
            let room = reader.free()
            let n = recv(edge, room.baseAddress!, room.count, Int32(MSG_DONTWAIT))
            guard n > 0 else { break }
            reader.filled(n)
            while let frame = try? reader.next() {
                switch frame.type {
                case .trackerStatus: if let m: TrackerStatus = try? frame.decode() { statuses.append(m) }
                case .discoveryPeers: if let m: DiscoveryPeers = try? frame.decode() { peers.append(m) }
                default: break
                }
            }
        }
    }

    @discardableResult func wait(_ limit: TimeSpan = .seconds(10), until done: () -> Bool) -> Bool {
        let end = Clock.monotonic() + limit
        while !done() {
            if Clock.monotonic() >= end { return false }
            receive(.milliseconds(20))
        }
        return true
    }

    func waitForEnd(_ limit: TimeSpan = .seconds(10)) -> Child.End? {
        wait(limit) {
            if end == nil { end = try? child.reap() }
            return end != nil
        }
        // What it had written before.
        receive(.zero)
        return end
    }

    /// As if the supervisor had died.
    func shutControl() throws { shutdown(control, Int32(SHUT_RDWR)) }

    func kill() throws {
        try child.signal(SIGKILL)
        _ = waitForEnd()
    }

    func add(_ torrent: UInt32, _ trackers: [TrackerEntry], hash: InfoHash, left: UInt64 = 1000, paused: Bool = false) throws {
        try send(
            DiscoveryTorrentAdd(
                torrent: torrent, infoHash: hash, infoHashV2: SHA256Digest(), flags: paused ? TorrentFlags.paused.rawValue : 0,
                trackers: trackers, downloaded: 0, uploaded: 0, left: left))
    }
    func endReplay() throws {
        try send(DiscoveryReplayEnd(listenPort: 6881, trackerKey: 0xC0FFEE, peerID: PeerID(Array("-CC0001-abcdefghijkl".utf8))!))
    }
    /// What was said last of a tracker.
    func status(_ torrent: UInt32, _ url: String) -> TrackerStatus? { statuses.last { $0.torrent == torrent && $0.url == url } }
    func isWorking(_ torrent: UInt32, _ url: String) -> Bool { status(torrent, url)?.state == 2 }
}

func entry(_ url: String, tier: UInt16 = 0, next: UInt64 = 0, started: Bool = false) -> TrackerEntry {
    TrackerEntry(tier: tier, url: url, nextAnnounce: next, startedSent: started ? 1 : 0)
}
func hash(_ n: UInt8) -> InfoHash { InfoHash([UInt8](repeating: n, count: 20))! }
