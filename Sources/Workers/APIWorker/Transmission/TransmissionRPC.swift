import Control
import Foundation
import HTTPTypes
import IPC
import Observe
import Primitives
import Synchronization

/// Transmission's RPC, `/transmission/rpc`, as 4.0.6 speaks it, and JSON-RPC 2.0 of 4.1 on the same address.
///
/// The order of the checks is the daemon's own, since clients find out by it what they talk to: ban 403, login 401, session id
/// 409 (a GET without one too: that is how Sonarr begins), then the request. Numeric ids are the catalogue's; they are good for
/// one run, as the protocol has it.
struct TransmissionRPC: Sendable {
    static let path = "/transmission/rpc"
    static let version = "4.0.6 (38c164933e)"
    static let rpcVersion = 17

    let mirror: Mirror
    let gateway: Gateway
    let gatekeeper: Gatekeeper
    let freeSpace: FreeSpace
    let folders: AllowedFolders
    let log: Log
    let tokens = SessionTokens()

    func respond(_ exchange: Exchange, principal: Gatekeeper.Principal?) async throws -> Reply {
        if gatekeeper.isBanned(exchange.address) { throw Refusal(.forbidden, "too many failed logins") }
        guard let principal else {
            var reply = Reply.text("401: Unauthorized\n", .unauthorized)
            reply.headers[.wwwAuthenticate] = "Basic realm=\"Transmission\""
            return reply
        }
        let now = wallSeconds()
        guard tokens.accepts(exchange.headers[.transmissionSession] ?? "", now: now) else {
            let token = tokens.current(now: now)
            var reply = Reply(.conflict, type: "text/html; charset=UTF-8", Array("<h1>409: Conflict</h1><p>X-Transmission-Session-Id: \(token)</p>".utf8))
            reply.headers[.transmissionSession] = token
            reply.headers[.transmissionVersion] = "5.3.0"
            return reply
        }
        guard exchange.method == .post else { throw Refusal(.methodNotAllowed, "Method Not Allowed") }
        let envelope = try RPCEnvelope(exchange.body)
        if case .key(let key) = principal {
            let reads = envelope.method.hasSuffix("-get") || ["session-stats", "free-space"].contains(envelope.method)
            guard key.allows(reads ? .read : .write) else { throw Refusal(.forbidden, "the key has not that scope") }
        }
        let answer: [UInt8]
        do {
            answer = envelope.success(try await call(envelope.method, envelope.arguments))
        } catch is RPCEnvelope.UnknownMethod {
            answer = envelope.failure("method name not recognized", code: -32_601)
        } catch let error as ControlError {
            answer = envelope.failure(error.message, code: error.code == .invalidParameters ? -32_602 : -32_000)
        } catch let refusal as Refusal {
            answer = envelope.failure(refusal.text, code: refusal.status == .badRequest ? -32_602 : -32_000)
        }
        return envelope.isNotification ? Reply(.noContent, type: "application/json", []) : .json(answer)
    }

    /// The methods, one line each.
    private func call(_ method: String, _ a: [String: Any]) async throws -> [String: Any] {
        switch method {
        case "torrent-get": return try await torrentGet(a)
        case "torrent-add": return try await torrentAdd(a)
        case "torrent-set": return try await torrentSet(a)
        case "torrent-start": return try await each(a, ControlMethods.Resume.self) { HashParameters(hash: $0) }
        case "torrent-start-now":
            // Past the queue.
            let hashes = selected(a["ids"]).map(\.hash)
            if !hashes.isEmpty {
                var p = SetTorrentsParameters(hashes: hashes)
                p.forceStart = true
                p.skipUnknown = true
                _ = try await gateway.call(ControlMethods.SetTorrents.self, p)
            }
            return try await each(a, ControlMethods.Resume.self) { HashParameters(hash: $0) }
        case "torrent-stop": return try await each(a, ControlMethods.Pause.self) { HashParameters(hash: $0) }
        case "torrent-verify": return try await each(a, ControlMethods.Recheck.self) { HashParameters(hash: $0) }
        case "torrent-reannounce": return try await each(a, ControlMethods.Announce.self) { HashParameters(hash: $0) }
        case "torrent-remove":
            let withData = a["delete-local-data"] as? Bool ?? false
            return try await each(a, ControlMethods.Remove.self) { RemoveParameters(hash: $0, withData: withData) }
        case "torrent-set-location": return try await setLocation(a)
        case "torrent-rename-path": return try await rename(a)
        case "queue-move-top": return try await move(a, .top)
        case "queue-move-up": return try await move(a, .up)
        case "queue-move-down": return try await move(a, .down)
        case "queue-move-bottom": return try await move(a, .bottom)
        case "session-get": return try await sessionGet(a)
        case "session-set": return try await sessionSet(a)
        case "session-stats": return try await sessionStats()
        case "session-close":
            _ = try await gateway.call(ControlMethods.Shutdown.self, Empty())
            return [:]
        case "free-space": return try await space(a)
        case "group-get": return groupGet(a)
        case "group-set": return try await groupSet(a)
        case "blocklist-update": return try await blocklistUpdate()
        case "port-test": return try portTest()
        default: throw RPCEnvelope.UnknownMethod()
        }
    }

    // MARK: which torrents

    /// Absent: all. A number, a hash, or a list of these; unknown ones are passed over.
    func selected(_ ids: Any?) -> [MirrorState.Entry] {
        guard let ids, !(ids is NSNull) else { return mirror.read { $0.entries.compactMap { $0 } } }
        let list = (ids as? [Any]) ?? [ids]
        let words: [(number: UInt32?, hash: String?)] = list.map { id in
            if let text = id as? String { return (nil, text) }
            return ((id as? NSNumber).flatMap { UInt32(exactly: $0.int64Value) }, nil)
        }
        return mirror.read { state in words.compactMap { $0.number.flatMap { state.entry(id: $0) } ?? $0.hash.flatMap { state.entry($0) } } }
    }

    private func each<M: ControlMethod>(_ a: [String: Any], _ method: M.Type, _ parameters: (String) -> M.Parameters) async throws -> [String: Any] {
        for entry in selected(a["ids"]) {
            do throws(ControlError) { _ = try await gateway.call(method, parameters(entry.hash)) } catch { if error.code != .notFound { throw error } }
        }
        return [:]
    }

    // MARK: torrents

    private func torrentGet(_ a: [String: Any]) async throws -> [String: Any] {
        let wanted = ((a["fields"] as? [String]) ?? []).map { $0.contains("_") && $0 != "sequential_download" ? RPCEnvelope.camel($0) : $0 }
        let names = Set(wanted)
        // In the order asked, each once.
        var seen: Set<String> = []
        let columns = wanted.filter { seen.insert($0).inserted }
        var answer: [String: Any] = [:]
        let entries: [MirrorState.Entry]
        if a["ids"] as? String == "recently-active" || a["ids"] as? String == "recently_active" {
            // Within the last minute, by this worker's clock.
            let (recent, removed) = mirror.read { state in
                let since = wallSeconds() - 60
                return (state.entries.compactMap { $0 }.filter { $0.changedAt >= since }, state.removed.filter { $0.at >= since }.map { Int($0.torrent) })
            }
            entries = recent
            answer["removed"] = removed
        } else {
            entries = selected(a["ids"])
        }
        var rows: [TransmissionFields] = []
        rows.reserveCapacity(entries.count)
        for entry in entries {
            let hasMetadata = entry.flags.contains(.hasMetadata)
            let files = hasMetadata && !names.isDisjoint(with: TransmissionFields.fileFields) ? try? await gateway.call(ControlMethods.Files.self, HashParameters(hash: entry.hash)) : nil
            let peers = !names.isDisjoint(with: TransmissionFields.peerFields) && entry.row.peers > 0 ? try? await gateway.call(ControlMethods.Peers.self, HashParameters(hash: entry.hash)) : nil
            let details =
                !names.isDisjoint(with: TransmissionFields.detailFields)
                ? try? await gateway.call(ControlMethods.Show.self, ShowParameters(hash: entry.hash, pieces: names.contains("pieces"))) : nil
            rows.append(TransmissionFields(entry: entry, details: details, files: files, peers: peers))
        }
        answer["torrents"] = RPCRows(rows: rows, columns: columns, isTable: a["format"] as? String == "table")
        return answer
    }

    private func torrentAdd(_ a: [String: Any]) async throws -> [String: Any] {
        var p = AddParameters()
        if let text = a["metainfo"] as? String {
            p.torrent = text.filter { !$0.isNewline }
        } else if let name = a["filename"] as? String {
            p.magnet = QBittorrentAPI.magnet(name)
            if p.magnet == nil, ["http://", "https://"].contains(where: name.lowercased().hasPrefix) { p.url = name }
            // A path of the daemon's own files is not to be named from outside.
            guard p.magnet != nil || p.url != nil else { throw Refusal(.badRequest, "filename is neither an address, a magnet nor a hash") }
        } else {
            throw Refusal(.badRequest, "no filename or metainfo specified")
        }
        if let folder = a["download-dir"] as? String, !folder.isEmpty { p.save = folder }
        try await folders.writable(optional: p.save)
        p.paused = a["paused"] as? Bool
        p.sequential = (a["sequential-download"] ?? a["sequential_download"]) as? Bool
        if let labels = a["labels"] as? [Any] { p.tags = try Self.labels(labels) }
        let choice = try FileChoice.Transmission(a)
        p.levels = choice.levels
        do throws(ControlError) {
            let added = try await gateway.call(ControlMethods.Add.self, p)
            if let peers = (a["peer-limit"] as? NSNumber)?.intValue {
                _ = try await gateway.call(ControlMethods.LimitTorrent.self, TorrentLimitParameters(hash: added.hash, maxPeers: peers))
            }
            return ["torrent-added": described(added.hash, added.name)]
        } catch {
            guard error.code == .exists else { throw error }
            // The session's words name the hash of the one that is there.
            let hash = error.message.split(separator: " ").first { $0.utf8.count == 40 && $0.allSatisfy(\.isHexDigit) }.map(String.init) ?? ""
            return ["torrent-duplicate": described(hash, "")]
        }
    }
    private func described(_ hash: String, _ name: String) -> [String: Any] {
        let entry = mirror.read { $0.entry(hash) }
        return ["id": Int(entry?.row.torrent ?? 0), "hashString": hash, "name": entry?.row.name ?? name]
    }

    private func setLocation(_ a: [String: Any]) async throws -> [String: Any] {
        guard let location = a["location"] as? String, location.hasPrefix("/") else { throw Refusal(.badRequest, "new location path is not absolute") }
        guard a["move"] as? Bool ?? false else { throw Refusal(.notImplemented, "only with move: data and folder stay together here") }
        try await folders.writable(optional: location)
        let gateway = self.gateway, log = self.log
        for entry in selected(a["ids"]) {
            // Answered when the data have moved, which may take minutes: nobody waits here, and the torrent shows the rest.
            Task {
                do throws(ControlError) { _ = try await gateway.call(ControlMethods.Move.self, MoveParameters(hash: entry.hash, save: location)) } catch {
                    log(.warning, "moving \(entry.hash): \(error.message)")
                }
            }
        }
        return [:]
    }

    private func space(_ a: [String: Any]) async throws -> [String: Any] {
        guard let path = a["path"] as? String, path.hasPrefix("/") else { throw Refusal(.badRequest, "directory path is not absolute") }
        let space = try await folders.space(path)
        return ["path": path, "size-bytes": space.free, "total_size": space.total]
    }
}

/// Session ids against requests that a page of another site causes: such a page cannot read the 409's header.
final class SessionTokens: Sendable {
    /// A new one each hour; the one before is accepted as long again.
    static let life: UInt64 = 3600
    private struct State {
        var token = randomText(48), previous = "", since: UInt64 = 0
    }
    private let state = Mutex(State())

    func current(now: UInt64) -> String {
        state.withLock { s in
            if s.since == 0 { s.since = now }
            if now >= s.since + Self.life {
                s.previous = now >= s.since + 2 * Self.life ? "" : s.token
                s.token = randomText(48)
                s.since = now
            }
            return s.token
        }
    }
    func accepts(_ text: String, now: UInt64) -> Bool {
        let token = current(now: now)
        guard !text.isEmpty else { return false }
        let previous = state.withLock { $0.previous }
        return same(text, token) || (!previous.isEmpty && same(text, previous))
    }
}
