import HTTPTypes
import HummingbirdCore
import NIOCore
import Primitives
import Synchronization

/// How many streams are open: each costs a task and a look at the table twice a second.
final class EventStreams: Sendable {
    static let limit = 200
    /// Ids of a worker's life; those of another life mean nothing here.
    let epoch = randomText(6)
    private let open = Mutex(0)
    func enter() -> Bool {
        open.withLock { n in
            guard n < Self.limit else { return false }
            n += 1
            return true
        }
    }
    func leave() { open.withLock { $0 -= 1 } }
}

/// `/events`: a snapshot, then what changed, at most twice a second and nothing while nothing changes.
///
///     id: k3v9Qa-1042
///     event: torrents
///     data: {"torrents":[…],"removed":["<hash>"]}
///
/// A client that comes back with `Last-Event-ID` gets what it missed; after a restart of this worker, a snapshot.
extension NativeAPI {
    private static let interval = Duration.milliseconds(500)
    /// A line of comment this often, so that proxies keep the connection and a dead client is noticed.
    private static let pingEvery = 30

    func events(_ exchange: Exchange) throws(Refusal) -> Reply {
        let known: Set = ["torrents", "workers", "stats"]
        let types = exchange.query["types"].map { Set($0.split(separator: ",").map(String.init)) } ?? known
        guard types.isSubset(of: known), !types.isEmpty else { throw Refusal(.badRequest, "types are torrents, workers and stats") }
        guard streams.enter() else { throw Refusal(.serviceUnavailable, "at most \(EventStreams.limit) streams") }
        let last = exchange.headers[.init("Last-Event-ID")!] ?? exchange.query["lastEventId"]
        let parts = (last ?? "").split(separator: "-")
        let from = parts.count == 2 && parts[0] == streams.epoch ? UInt64(parts[1]) : nil
        let mirror = self.mirror, streams = self.streams
        var reply = Reply(stream: "text/event-stream") { writer in
            defer { streams.leave() }
            var feed = EventFeed(types: types, epoch: streams.epoch, base: from), quiet = 0
            while true {
                let bytes = mirror.read { feed.next(&$0) }
                if let bytes {
                    quiet = 0
                    try await writer.write(ByteBuffer(bytes: bytes))
                } else {
                    quiet += 1
                    if quiet % Self.pingEvery == 0 { try await writer.write(ByteBuffer(string: ":\n\n")) }
                }
                try await Task.sleep(for: Self.interval)
            }
        }
        reply.headers[.cacheControl] = "no-store"
        reply.headers[.init("X-Accel-Buffering")!] = "no"
        return reply
    }
}

/// What one stream has told.
package struct EventFeed: Sendable {
    let types: Set<String>
    let epoch: String
    private var base: UInt64?
    private var stats = ""
    private var workers: [String] = []

    package init(types: Set<String>, epoch: String, base: UInt64?) { (self.types, self.epoch, self.base) = (types, epoch, base) }

    /// nil when there is nothing to tell.
    package mutating func next(_ state: inout MirrorState) -> [UInt8]? {
        var out: [UInt8] = []
        let version = state.observe()
        if let known = base, known < state.oldest || known > version { base = nil }
        if types.contains("torrents"), base != version {
            let base = self.base
            var count = 0
            let data = JSONBytes.object { json in
                if base == nil { json.field("snapshot", true) }
                json.array("torrents") { json in
                    for entry in state.changed(since: base ?? 0) {
                        count += 1
                        NativeAPI.append(entry, to: &json)
                    }
                }
                let gone = base.map { from in state.removed.reversed().prefix { $0.version > from }.map(\.hash).filter { state.entry($0) == nil } } ?? []
                count += gone.count
                json.field("removed", .texts(gone))
            }
            if base == nil || count > 0 { append("torrents", data, version, &out) }
        }
        base = version
        if types.contains("stats") {
            let t = state.totals, now = "\(t.downRate) \(t.upRate) \(t.downloaded) \(t.uploaded) \(t.peers) \(state.isLive)"
            if now != stats {
                stats = now
                let live = state.isLive
                append(
                    "stats",
                    JSONBytes.object { json in
                        json.field("ready", live)
                        json.field("downRate", t.downRate)
                        json.field("upRate", t.upRate)
                        json.field("downloaded", t.downloaded)
                        json.field("uploaded", t.uploaded)
                        json.field("peers", t.peers)
                    }, version, &out)
            }
        }
        if types.contains("workers") {
            // CPU time moves each second; a change of pid, state or restarts is news.
            let now = state.workers.map { "\($0.name) \($0.pid) \($0.state) \($0.restarts)" }
            if now != workers {
                workers = now
                let list = state.workers
                append("workers", JSONBytes.object { json in json.array("workers") { json in for w in list { NativeAPI.append(w, to: &json) } } }, version, &out)
            }
        }
        return out.isEmpty ? nil : out
    }

    private func append(_ event: String, _ data: [UInt8], _ version: UInt64, _ out: inout [UInt8]) {
        out += "id: \(epoch)-\(version)\nevent: \(event)\ndata: ".utf8
        out += data
        out += "\n\n".utf8
    }
}
