import Catalog
import Control
import Foundation
import IPC
import LinuxIO
import Metainfo
import Observe
import Primitives
import Settings
import WorkerKit

/// A request that waits for a commit, a worker or the pool.
struct PendingRequest {
    enum Kind {
        case command
        case add(name: String)
        case move
        case removeWithData
        case set(key: String, value: String?)
        case peers(pieceCount: UInt32)
        case files(TorrentID)
        case pieceStates(TorrentID)
        case streamReady(TorrentID)
        case count(Int)
        /// A question that the discovery worker answers.
        case discovery
        case pool
    }
    let client: ControlServer.ClientID
    let id: UInt64
    var kind: Kind
    /// ``Instant/never`` for what takes as long as it takes.
    var deadline: Instant
    /// Asks once more, of a worker that comes after the one that was asked.
    var again: ((Edge?) -> Void)?
}

/// From a line to an answer.
extension SessionShell {
    /// Another worker's answer.
    static let workerAnswer = TimeSpan.seconds(5)
    /// Until then `remove` with data waits for the files to be gone; they go in any case.
    static let removalAnswer = TimeSpan.seconds(30)

    func received(_ client: ControlServer.Client?) {
        guard let client else { return }
        takeLines(client)
        server.read(client)
    }

    /// Clients that had too much open may go on.
    func resumeReading() {
        for id in server.takeGone() {
            watchers.removeAll { $0.client == id }
            for (token, request) in pending where request.client == id { if case .add = request.kind { continue } else { forget(token) } }
        }
        guard !isClosing, poolThen.count < Self.poolLimit else { return }
        server.forEach { client in
            if client.framer.buffered > 0 { takeLines(client) }
            server.read(client)
        }
    }

    private func takeLines(_ client: ControlServer.Client) {
        while poolThen.count < Self.poolLimit, server.nextLine(client, { line in handle(line, client) }) {}
    }

    private func handle(_ line: UnsafeRawBufferPointer, _ client: ControlServer.Client) {
        progress += 1
        var id: UInt64 = 0
        do throws(ControlError) {
            let head = try ControlLine.head(line)
            id = head.id
            try dispatch(head, line, Asker(client: server.id(client), id: head.id))
        } catch {
            server.write(client, ControlLine.answer(id: id, error: error))
        }
    }

    /// The methods, one line each.
    func dispatch(_ head: ControlRequestHead, _ line: UnsafeRawBufferPointer, _ from: Asker) throws(ControlError) {
        switch head.method {
        case ControlMethods.Version.name: reply(from, VersionAnswer(version: BuildIdentity.version, control: Control.version))
        case ControlMethods.Status.name: reply(from, status())
        case ControlMethods.List.name: replyList(from)
        case ControlMethods.Workers.name: reply(from, workersAnswer())
        case ControlMethods.ShowSettings.name: reply(from, settingsAnswer())
        case ControlMethods.Add.name: add(from, line)
        case ControlMethods.Show.name: try show(from, ControlLine.parameters(line, as: ShowParameters.self))
        case ControlMethods.Files.name: try askFiles(from, find(ControlLine.parameters(line, as: HashParameters.self).hash))
        case ControlMethods.Peers.name: try askPeers(from, find(ControlLine.parameters(line, as: HashParameters.self).hash))
        case ControlMethods.Trackers.name: try reply(from, trackers(find(ControlLine.parameters(line, as: HashParameters.self).hash)))
        case ControlMethods.Pause.name: try command(from, .pause(find(ControlLine.parameters(line, as: HashParameters.self).hash)))
        case ControlMethods.Resume.name: try command(from, .resume(find(ControlLine.parameters(line, as: HashParameters.self).hash)))
        case ControlMethods.Recheck.name: try command(from, .recheck(find(ControlLine.parameters(line, as: HashParameters.self).hash)))
        case ControlMethods.Announce.name:
            let id = try find(ControlLine.parameters(line, as: HashParameters.self).hash)
            lookNow(id)
            command(from, .announce(id))
        case ControlMethods.ShowLimits.name: reply(from, limitsAnswer())
        case ControlMethods.ShowFilter.name: reply(from, filterAnswer())
        case ControlMethods.ReloadFilter.name:
            try filterReloadAsked()
            reply(from, Empty())
        case ControlMethods.TestFilter.name: try reply(from, filterTest(ControlLine.parameters(line, as: FilterTestParameters.self)))
        case ControlMethods.ChangeFilterRanges.name:
            let ranges = try filterRanges(ControlLine.parameters(line, as: FilterRangesParameters.self))
            try set(from, SetSettingParameters(key: "security.ip_filter.ranges", value: ranges))
        case ControlMethods.LimitTorrent.name:
            let p = try ControlLine.parameters(line, as: TorrentLimitParameters.self)
            let id = try find(p.hash)
            try command(from, limitCommand(id, p))
        case ControlMethods.AddPeers.name:
            let p = try ControlLine.parameters(line, as: AddPeersParameters.self)
            try command(from, .addPeers(find(p.hash), endpoints(p.peers)))
        case ControlMethods.Remove.name:
            let p = try ControlLine.parameters(line, as: RemoveParameters.self)
            let withData = p.withData ?? false
            try command(from, .remove(find(p.hash), deleteData: withData), kind: withData ? .removeWithData : .command)
        case ControlMethods.Move.name:
            let p = try ControlLine.parameters(line, as: MoveParameters.self)
            try command(from, .move(find(p.hash), savePath: Self.tidy(p.save)), kind: .move)
        case ControlMethods.SetFilePriority.name: try setFilePriority(from, ControlLine.parameters(line, as: FilePriorityParameters.self))
        case ControlMethods.StreamPosition.name: try streamPosition(from, ControlLine.parameters(line, as: StreamPositionParameters.self))
        case ControlMethods.StreamFile.name: try streamFile(from, ControlLine.parameters(line, as: StreamFileParameters.self))
        case ControlMethods.StreamReady.name: try streamReady(from, ControlLine.parameters(line, as: StreamReadyParameters.self))
        case ControlMethods.Bans.name: reply(from, bansAnswer())
        case ControlMethods.AddBan.name: try reply(from, addBan(ControlLine.parameters(line, as: AddBanParameters.self)))
        case ControlMethods.LiftBan.name: try reply(from, liftBan(ControlLine.parameters(line, as: AddressParameters.self)))
        case ControlMethods.Watch.name: try watch(from, ControlLine.parameters(line, as: WatchParameters.self))
        case ControlMethods.SetSetting.name: try set(from, ControlLine.parameters(line, as: SetSettingParameters.self))
        case ControlMethods.ChangeSettings.name: try change(from, ControlLine.parameters(line, as: ChangeSettingsParameters.self))
        case ControlMethods.RestartWorker.name: try restart(from, ControlLine.parameters(line, as: WorkerParameters.self).worker)
        case ControlMethods.Scrape.name: try scrape(from, ControlLine.parameters(line, as: ScrapeParameters.self))
        case ControlMethods.NATStatus.name: try askDiscovery(from, NatStatusWanted(), for: Self.workerAnswer)
        case ControlMethods.DHTStatus.name: try askDiscovery(from, DhtStatusWanted(), for: Self.workerAnswer)
        case ControlMethods.DHTLookup.name: try lookUp(from, ControlLine.parameters(line, as: DHTLookupParameters.self))
        case ControlMethods.DHTGet.name: try getItem(from, ControlLine.parameters(line, as: DHTGetParameters.self))
        case ControlMethods.DHTPut.name: try putItem(from, ControlLine.parameters(line, as: DHTPutParameters.self))
        case ControlMethods.TestMail.name: try testMail(from)
        case ControlMethods.Reload.name:
            kit.sendControl(ReloadConfiguration(applyAll: 0))
            reply(from, Empty())
        case ControlMethods.Shutdown.name:
            reply(from, Empty())
            kit.sendControl(StopDaemon())
        default:
            if try dispatchSession(head.method, from, line) { return }
            throw ControlError(.unknownMethod, "no method \(Text.printable(head.method, limit: 40))")
        }
    }

    struct Asker {
        let client: ControlServer.ClientID
        let id: UInt64
    }

    func reply(_ to: Asker, _ result: some Codable & Sendable) { reply(to, line: ControlLine.answer(id: to.id, result)) }
    func reply(_ to: Asker, line: [UInt8]) {
        if to.client.isAPI { return replyToAPI(to, line) }
        guard let client = server.find(to.client) else { return }
        server.write(client, line)
    }

    // MARK: waiting

    @discardableResult func wait(_ from: Asker, _ kind: PendingRequest.Kind, for span: TimeSpan? = nil) -> UInt64 {
        let token = nextToken
        nextToken += 1
        pending[token] = PendingRequest(client: from.client, id: from.id, kind: kind, deadline: span.map { loop.now + $0 } ?? .never)
        server.find(from.client)?.open += 1
        return token
    }
    func finish(_ token: UInt64, _ result: some Codable & Sendable) {
        inner.removeValue(forKey: token)?(nil)
        guard let request = pending[token] else { return }
        finish(token, line: ControlLine.answer(id: request.id, result))
    }
    func finish(_ token: UInt64, error: ControlError) {
        inner.removeValue(forKey: token)?(error)
        guard let request = pending[token] else { return }
        finish(token, line: ControlLine.answer(id: request.id, error: error))
    }
    private func finish(_ token: UInt64, line: [UInt8]) {
        guard let request = pending.removeValue(forKey: token) else { return }
        if request.client.isAPI { return replyToAPI(Asker(client: request.client, id: request.id), line) }
        guard let client = server.find(request.client) else { return }
        client.open -= 1
        server.write(client, line)
    }
    private func forget(_ token: UInt64) { pending[token] = nil }

    /// A request of our own: a watch folder, a feed. `then` hears how it ended, once.
    func own(_ then: @escaping (ControlError?) -> Void) -> Asker {
        inner[nextToken] = then
        return Asker(client: ControlServer.ClientID(slot: 0, serial: .max), id: 0)
    }

    func failPending(_ why: String, _ which: (PendingRequest.Kind) -> Bool) {
        for (token, request) in pending where which(request.kind) { finish(token, error: ControlError(.unavailable, why)) }
    }

    func expirePending(_ now: Instant) -> Instant {
        var next = Instant.never
        var late: [UInt64] = []
        for (token, request) in pending {
            if request.deadline <= now { late.append(token) } else { next = min(next, request.deadline) }
        }
        for token in late.sorted() {
            switch pending[token]!.kind {
            case .removeWithData: finish(token, Empty())
            default: finish(token, error: ControlError(.unavailable, "the worker that must answer is slow; try again"))
            }
        }
        return next
    }

    // MARK: commands

    func command(_ from: Asker, _ command: CatalogCommand, kind: PendingRequest.Kind = .command) {
        let token = wait(from, kind)
        feed(.command(token: token, command))
    }

    /// The core's word on a command: refused, or stored and carried out.
    func answered(_ token: UInt64, _ id: TorrentID, _ refusal: CatalogRefusal?) {
        let addition = additions.removeValue(forKey: token)
        if refusal == nil, let addition { haveExactSources(id, addition.exactSources) }
        guard token != 0 else { return }
        if let refusal { return finish(token, error: Self.error(refusal)) }
        guard let request = pending[token] else { return }
        switch request.kind {
        case .add(let name): finish(token, AddAnswer(hash: addition!.hash.hex, name: name))
        case .count(let n): finish(token, CountAnswer(count: n))
        case .move where core.row(id)?.isMoving != true: finish(token, Empty())
        case .move: moveWaiters[id.rawValue, default: []].append(token)
        case .removeWithData where core.row(id) != nil && kit.edge(.disk) != nil:
            pending[token]!.deadline = loop.now + Self.removalAnswer
            removeWaiters[id.rawValue, default: []].append(token)
        case .set(let key, let value):
            overrides[key] = value
            settings = Self.effective(kit.settings, &overrides)
            limitsChanged()
            filterChanged()
            listChanged("settings")
            api?.areGlobalsDue = true
            finish(token, Empty())
        default: finish(token, Empty())
        }
    }

    func dataMoved(_ m: DiskMoved) {
        for token in moveWaiters.removeValue(forKey: m.torrent) ?? [] {
            if m.message.isEmpty { finish(token, Empty()) } else { finish(token, error: ControlError(.storage, Text.printable(m.message, limit: 500))) }
        }
    }
    func dataRemoved(_ m: DiskRemoved) {
        for token in removeWaiters.removeValue(forKey: m.torrent) ?? [] {
            if m.message.isEmpty {
                finish(token, Empty())
            } else {
                finish(token, error: ControlError(.storage, "removed, but its data remain: \(Text.printable(m.message, limit: 500))"))
            }
        }
    }

    static func error(_ refusal: CatalogRefusal) -> ControlError {
        switch refusal {
        case .notFound: ControlError(.notFound, "no such torrent")
        case .exists(let hash): ControlError(.exists, "the torrent \(hash) is there already")
        case .conflict(let why): ControlError(.conflict, why)
        case .taken(let name): ControlError(.exists, "the category \(name) is there already")
        case .unknown(let why): ControlError(.conflict, why)
        case .full: ControlError(.tooLarge, "the catalogue holds \(CatalogLimits.torrents) torrents at most")
        case .badPath(let why): ControlError(.invalidParameters, why)
        case .noMetadata: ControlError(.noMetadata, "the magnet's metadata has not arrived")
        case .unavailable(let why): ControlError(.unavailable, why)
        case .storage(let why): ControlError(.storage, "nothing was changed, the state cannot be stored: \(why)")
        }
    }

    // MARK: parameters

    /// A whole info-hash (v1, v2) or a prefix that names one torrent.
    func find(_ text: String) throws(ControlError) -> TorrentID {
        let hash = text.lowercased()
        var found: TorrentID?
        if hash.utf8.count == 40, let digest = InfoHash(hex: hash) {
            found = core.find(digest)
        } else if hash.utf8.count == 64, let digest = SHA256Digest(hex: hash) {
            found = core.find(digest.truncated)
        } else {
            guard (6..<64).contains(hash.utf8.count), hash.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 || $0 >= 97 && $0 <= 102 }) else {
                throw ControlError(.invalidParameters, "a hash is 40 or 64 hexadecimal digits, or at least the first 6")
            }
            var several = false
            core.forEach { row in
                let facts = row.record.facts
                guard facts.infoHash.hex.hasPrefix(hash) || !facts.infoHashV2.isZero && facts.infoHashV2.hex.hasPrefix(hash) else { return }
                if found != nil { several = true }
                found = row.record.id
            }
            if several { throw ControlError(.ambiguous, "several torrents begin with \(hash)") }
        }
        guard let found, core.row(found)?.record.removal == TorrentRecord.Removal.none else {
            throw ControlError(.notFound, "no torrent \(Text.printable(text, limit: 64))")
        }
        return found
    }

    func endpoints(_ texts: [String]) throws(ControlError) -> [Endpoint] {
        guard texts.count <= Control.peersLimit else { throw ControlError(.tooLarge, "at most \(Control.peersLimit) peers at once") }
        var out: [Endpoint] = []
        for text in texts {
            guard let endpoint = Endpoint(text), endpoint.isDialable else {
                throw ControlError(.invalidParameters, "\(Text.printable(text, limit: 60)) is not an address and port")
            }
            out.append(endpoint)
        }
        return out
    }

    /// "/a//b/./c/" is "/a/b/c".
    static func tidy(_ path: String) -> String {
        guard path.hasPrefix("/") else { return path }
        return "/" + path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }

    // MARK: the daemon's own

    private func restart(_ from: Asker, _ name: String) throws(ControlError) {
        let parts = name.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, let role = WorkerRole.allCases.first(where: { $0.name == parts[0] }), role != .supervisor,
            let index = parts.count == 2 ? UInt16(parts[1]) : 0
        else { throw ControlError(.invalidParameters, "\(Text.printable(name, limit: 40)) is no worker; they are session:0, peer:0, disk:0, discovery:0, api:0") }
        guard workers.isEmpty || workers.contains(where: { $0.role == role.rawValue && $0.index == index }) else {
            throw ControlError(.notFound, "there is no worker \(WorkerName(role, index))")
        }
        reply(from, Empty())
        kit.sendControl(RestartWorker(role: role.rawValue, index: index))
    }
}
