import ByteCodec
import Control
import Glibc
import IPC
import LinuxIO
import Observe
import Primitives
import Settings
import WorkerKit

/// The API worker: HTTP for people and programs. It owns no truth about torrents: it keeps a copy of the session
/// worker's table, answers reads from it, and hands writes on.
///
/// ```
/// session ──rows, deltas──▶ APIShell ─▶ Mirror (locked) ◀─read── handlers ◀─HTTP─ clients
/// session ◀─request lines── APIShell ◀─ Gateway (bounded queue, loop.wake) ◀─┘
/// ```
/// Two worlds meet here. This shell runs on the kit's loop, the process's first thread; the handlers are structured
/// concurrency on NIO's threads. They share ``Mirror`` and ``Gateway``, each behind one lock that is held for
/// microseconds (a full answer of 10,000 torrents: some 20 ms).
package final class APIShell: WorkerShell {
    package static let role = WorkerRole.api

    private let kit: WorkerKit
    private let mirror: Mirror
    private let gateway: Gateway
    private let service: Service
    private var session: Edge?
    /// Ids told since the edge was opened; what is not among them at the replay's end is gone.
    private var told: Set<UInt32>?
    package private(set) var progress: UInt64 = 0

    package init(kit: WorkerKit) throws {
        self.kit = kit
        let loop = kit.loop
        mirror = Mirror()
        gateway = Gateway(wake: { loop.wake() })
        service = try Service(settings: kit.settings, stateDirectory: kit.stateDirectory, mirror: mirror, gateway: gateway, log: kit.log)
    }

    package func edgeOpened(_ edge: Edge) {
        guard edge.role == .session else { return }
        session = edge
        told = []
        gateway.opened()
    }
    package func edgeClosed(_ edge: Edge) {
        guard edge == session else { return }
        session = nil
        told = nil
        mirror.write { $0.isLive = false }
        gateway.closed()
    }
    package func arenaGiven(shard: UInt16, slotCount: Int, fd: Int32, byteCount: Int) { Descriptor.close(fd) }
    package func listenerGiven(_ kind: ListenerKind, fd: Int32, endpoint: Endpoint) {
        guard kind == .apiTCP else { return Descriptor.close(fd) }
        service.serve(fd, endpoint)
    }
    package func start() { kit.ready() }
    package func control(_ frame: Frame) {}
    package func completed(_ completion: Completion) { preconditionFailure("completion of kind \(completion.token.kind)") }

    package func received(_ frame: Frame, from edge: Edge) {
        guard edge == session else { return }
        progress &+= 1
        do throws(DecodeError) {
            switch frame.type {
            case .apiTorrent:
                let row: ApiTorrent = try frame.decode()
                told?.insert(row.torrent)
                mirror.write { $0.put(row) }
            case .apiTorrentRemoved:
                let m: ApiTorrentRemoved = try frame.decode()
                mirror.write { $0.remove(m.torrent) }
            case .apiReplayEnd:
                let m: ApiReplayEnd = try frame.decode()
                let kept = told ?? []
                told = nil
                mirror.write { $0.replayed(kept, startedAt: m.startedAt) }
            case .apiLists:
                let m: ApiLists = try frame.decode()
                mirror.write { $0.put(m) }
            case .apiGlobals:
                let m: ApiGlobals = try frame.decode()
                mirror.write { $0.globals = m }
            case .apiWorkers:
                let m: ApiWorkers = try frame.decode()
                mirror.write { $0.put(m.workers) }
            case .apiOptions:
                let m: ApiOptions = try frame.decode()
                mirror.write { $0.put(m.options) }
            case .apiAnswer:
                let m: ApiAnswer = try frame.decode()
                gateway.answered(frame.correlation, m.bytes, isLast: m.last != 0)
            default: break
            }
        } catch {
            kit.breakLink(edge, "\(error)")
        }
    }

    package func turn(now: Instant) -> Instant {
        if let session {
            while kit.queuedBytes(session) < Gateway.queueHigh, let part = gateway.next() {
                kit.send(ApiRequest(last: part.isLast ? 1 : 0, bytes: part.bytes), to: session, correlation: part.id)
            }
        }
        return min(gateway.expire(now), gateway.hasParts ? now + .milliseconds(5) : .never)
    }

    package func drain(deadline: Instant) {
        service.stop()
        kit.drained()
    }
}
