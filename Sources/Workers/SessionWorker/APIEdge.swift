import ByteCodec
import Catalog
import Control
import Glibc
import IPC
import Observe
import Primitives
import Settings
import WorkerKit

/// What the API worker at the other end has been told, and what it must be told next.
///
/// A row is sent when its ``signature`` differs from the one that was sent last. Which rows to look at is known from
/// the events (`touched`); what may have changed any row (`sweep`) makes the next tick look at all of them.
struct APIFeed {
    /// Between two looks at what changed: half of the second in which pages refresh.
    static let interval = TimeSpan.milliseconds(500)
    /// All rows are looked at this often even when no event asks for it: 100,000 rows take about 20 ms.
    static let sweepInterval = TimeSpan.seconds(30)
    /// Unread bytes beyond which nothing more is told until the worker has read.
    static let queueHigh = 8 << 20
    /// Bytes of unfinished requests: one .torrent of 32 MiB in base64 and another one beside it.
    static let requestCeiling = 2 * Control.requestLimit

    let edge: Edge
    /// Torrents up to this id were told once.
    var cursor: UInt32 = 0
    var isReplayed = false
    var sent: [UInt32: Int] = [:]
    var touched: Set<UInt32> = []
    var sweep = true
    var nextSweep = Instant.zero
    var nextTick = Instant.zero
    var sentGlobals = 0
    var sentOptions = 0
    var areWorkersDue = true
    var areListsDue = true
    /// ``CatalogCore/queueShifts`` at the last sweep.
    var seenShifts: UInt64 = 0
    /// An answer must not come before the settings that it is about.
    var areGlobalsDue = false
    /// Requests of which the last part has not come, by correlation.
    var partial: [UInt64: [UInt8]] = [:]
    var partialBytes = 0

    init(edge: Edge) { self.edge = edge }

    mutating func touch(_ id: TorrentID) { touched.insert(id.rawValue) }
}

/// The state edge to the API worker.
extension SessionShell {
    func apiOpened(_ edge: Edge) { api = APIFeed(edge: edge) }

    func apiClosed(_ edge: Edge) {
        guard api?.edge == edge else { return }
        api = nil
        // Nobody waits for these any more; an addition goes on, since it may be stored already.
        for (token, request) in pending where request.client == .api(edge) { if case .add = request.kind { continue } else { pending[token] = nil } }
    }

    // MARK: requests

    func receivedFromAPI(_ frame: Frame, _ edge: Edge) throws(DecodeError) {
        guard frame.type == .apiRequest, api?.edge == edge else { return }
        let part: ApiRequest = try frame.decode()
        var line = api!.partial.removeValue(forKey: frame.correlation) ?? []
        api!.partialBytes += part.bytes.count
        line.append(contentsOf: part.bytes)
        let from = Asker(client: .api(edge), id: frame.correlation)
        guard line.count <= Control.requestLimit, api!.partialBytes <= APIFeed.requestCeiling else {
            api!.partialBytes -= line.count
            return reply(from, line: ControlLine.answer(id: from.id, error: ControlError(.tooLarge, "a request may have \(Control.requestLimit) bytes")))
        }
        guard part.last != 0 else {
            api!.partial[frame.correlation] = line
            return
        }
        api!.partialBytes -= line.count
        line.withUnsafeBytes { raw in
            do throws(ControlError) {
                try dispatch(ControlLine.head(raw), raw, from)
            } catch {
                reply(from, line: ControlLine.answer(id: from.id, error: error))
            }
        }
    }

    func replyToAPI(_ to: Asker, _ line: [UInt8]) {
        guard let edge = api?.edge, to.client == .api(edge) else { return }
        // First the rows that the request changed, so that a client that has its answer also sees what it did.
        takeChanges()
        if api!.isReplayed {
            tellLists(edge)
            if api!.areGlobalsDue { tellGlobals(edge) }
            if !api!.touched.isEmpty { tellRows(edge, loop.now) }
        }
        // A frame holds 1 MiB; what is left of it is for the header and the fixed part.
        let size = 1_000_000
        var at = 0
        repeat {
            let end = min(at + size, line.count)
            kit.send(ApiAnswer(last: end == line.count ? 1 : 0, bytes: Array(line[at..<end])), to: edge, correlation: to.id)
            at = end
        } while at < line.count
    }

    // MARK: the table

    /// Tells what changed; returns when it wants to be called again.
    func tickAPI(_ now: Instant) -> Instant {
        guard let edge = api?.edge else { return .never }
        guard kit.queuedBytes(edge) < APIFeed.queueHigh else { return now + .milliseconds(20) }
        if !api!.isReplayed { return replayToAPI(edge, now) }
        guard now >= api!.nextTick else { return isAPIDue ? api!.nextTick : api!.nextSweep }
        if now >= api!.nextSweep || api!.seenShifts != core.queueShifts { api!.sweep = true }
        api!.seenShifts = core.queueShifts
        tellRows(edge, now)
        api!.nextTick = now + APIFeed.interval
        tellGlobals(edge)
        tellLists(edge)
        if api!.areWorkersDue {
            api!.areWorkersDue = false
            kit.send(ApiWorkers(workers: apiWorkers()), to: edge)
        }
        return api!.nextSweep
    }

    /// Rows that the worker's queue has no room for stay due.
    private func tellRows(_ edge: Edge, _ now: Instant) {
        let touched = api!.touched.sorted(), isSweep = api!.sweep && now >= api!.nextTick
        api!.touched.removeAll(keepingCapacity: true)
        if isSweep { api!.sweep = false }
        var room = true
        func tell(_ row: CatalogRow) {
            // Looked at after each row: a row is at most 0.3 MiB, a thousandth of that usually.
            if room { room = kit.queuedBytes(edge) < APIFeed.queueHigh }
            if room { tellAPI(row, edge) } else { api!.touch(row.record.id) }
        }
        if isSweep {
            core.forEach(tell)
            api!.nextSweep = now + APIFeed.sweepInterval
        } else {
            for id in touched { if let row = core.row(TorrentID(rawValue: id)), row.record.removal == .none { tell(row) } }
        }
    }
    private var isAPIDue: Bool { api!.areListsDue || api!.areGlobalsDue || api!.sweep || api!.seenShifts != core.queueShifts || !api!.touched.isEmpty || api!.areWorkersDue }

    private func replayToAPI(_ edge: Edge, _ now: Instant) -> Instant {
        tellGlobals(edge)
        tellLists(edge)
        var full = false
        // In the order of ids, so that what is added meanwhile comes behind the cursor.
        core.forEach { row in
            guard !full, row.record.id.rawValue > api!.cursor else { return }
            tellAPI(row, edge)
            api!.cursor = row.record.id.rawValue
            full = kit.queuedBytes(edge) >= APIFeed.queueHigh
        }
        if full { return now + .milliseconds(5) }
        api!.isReplayed = true
        kit.send(ApiReplayEnd(startedAt: core.wallSeconds - UInt64(max(0, (now - startedAt).seconds))), to: edge)
        api!.nextTick = now
        return now
    }

    func apiRemoved(_ id: TorrentID) {
        guard let edge = api?.edge, api!.sent.removeValue(forKey: id.rawValue) != nil else { return }
        kit.send(ApiTorrentRemoved(torrent: id.rawValue), to: edge)
    }

    private func tellAPI(_ row: CatalogRow, _ edge: Edge) {
        let id = row.record.id.rawValue, told = apiRow(row), signature = Self.signature(told)
        guard api!.sent[id] != signature else { return }
        api!.sent[id] = signature
        kit.send(told, to: edge)
    }

    /// Of everything that ``apiRow(_:)`` sends but times that only pass.
    private static func signature(_ row: ApiTorrent) -> Int {
        var hasher = Hasher()
        for n in [
            row.downRate, row.upRate, row.bytesHave, row.downloaded, row.downloadedAgain, row.uploaded, row.completedAt, row.lastActivity, row.seenComplete, row.bytesWanted, row.bytesWantedHave,
        ] {
            hasher.combine(n)
        }
        for n in [row.flags, UInt32(row.phase), UInt32(row.diskState), row.maxPeers, row.piecesHave, row.piecesChecked, row.peers, row.seeds, row.options, row.queuePosition, row.pieceCount] {
            hasher.combine(n)
        }
        for n in [
            row.downLimit, row.upLimit, row.ratioLimit, row.seedingTimeLimit, row.inactiveTimeLimit, row.maxRatio, row.maxSeedingTime, row.maxInactiveTime, row.availability,
        ] { hasher.combine(n) }
        for text in [row.name, row.rootName, row.savePath, row.movingTo, row.error, row.category, row.tags, row.comment, row.contentPath, row.finalPath, row.limitGroup] { hasher.combine(text) }
        for t in row.trackers {
            hasher.combine(t.url)
            hasher.combine(t.message)
            hasher.combine(t.state)
            hasher.combine(t.seeds)
            hasher.combine(t.leechers)
            hasher.combine(t.nextAnnounce)
        }
        return hasher.finalize()
    }

    private func apiRow(_ row: CatalogRow) -> ApiTorrent {
        let s = summary(row)
        let record = row.record, facts = record.facts, total = record.counters.total
        var flags: ApiTorrentFlags = []
        if facts.hasMetadata { flags.insert(.hasMetadata) }
        if facts.isPrivate { flags.insert(.isPrivate) }
        if record.isPaused { flags.insert(.paused) }
        if record.isSequential { flags.insert(.sequential) }
        if row.isComplete { flags.insert(.complete) }
        if row.isHeld { flags.insert(.held) }
        if facts.hasV1 { flags.insert(.hasV1) }
        if row.isDiskKnown { flags.insert(.diskKnown) }
        var options: ApiTorrentOptions = []
        if s.autoManaged { options.insert(.autoManaged) }
        if s.forceStart { options.insert(.forceStart) }
        if s.superSeeding { options.insert(.superSeeding) }
        if s.firstLastFirst { options.insert(.firstLastFirst) }
        // -1 and -2 stay what they are.
        func thousandths(_ d: Double) -> Int64 { d < 0 ? Int64(d) : Int64((d * 1000).rounded()) }
        var trackers: [ApiTracker] = []
        for (tier, urls) in facts.trackers.enumerated() {
            for url in urls {
                let t = row.trackers.first { Int($0.tier) == tier && $0.url == url }
                trackers.append(
                    ApiTracker(
                        tier: UInt16(clamping: tier), state: t?.state ?? 0, seeds: t?.seeds ?? -1, leechers: t?.leechers ?? -1, downloads: t?.downloads ?? -1,
                        nextAnnounce: t?.nextAnnounce ?? 0, url: url, message: t?.message ?? ""))
            }
        }
        return ApiTorrent(
            torrent: record.id.rawValue, infoHash: facts.infoHash, infoHashV2: facts.infoHashV2, flags: flags.rawValue, phase: row.phase.rawValue,
            diskState: row.isDiskKnown ? row.disk.condition.rawValue : 0, totalLength: facts.totalLength, pieceLength: facts.pieceLength,
            pieceCount: facts.pieceCount, fileCount: facts.fileCount, piecesHave: row.disk.piecesHave, piecesChecked: row.disk.piecesChecked,
            bytesHave: facts.hasMetadata ? min(row.disk.bytesHave, facts.totalLength) : 0, downRate: row.downRate, upRate: row.upRate, peers: row.peers,
            seeds: row.seeds, downloaded: total.downloaded, downloadedAgain: total.downloadedAgain, uploaded: total.uploaded, addedAt: record.addedAt,
            completedAt: record.completedAt, name: s.name, rootName: facts.rootName, savePath: record.savePath, movingTo: record.movingTo,
            error: row.error, trackers: trackers, downLimit: record.limits.down ?? -1, upLimit: record.limits.up ?? -1,
            options: options.rawValue, category: s.category, tags: s.tags.joined(separator: ", "), comment: s.comment, contentPath: s.contentPath, finalPath: s.finalPath ?? "",
            queuePosition: UInt32(clamping: s.queuePosition), ratioLimit: thousandths(s.ratioLimit), seedingTimeLimit: s.seedingTimeLimit,
            inactiveTimeLimit: s.inactiveSeedingTimeLimit, maxRatio: thousandths(s.maxRatio), maxSeedingTime: s.maxSeedingTime, maxInactiveTime: s.maxInactiveSeedingTime,
            lastActivity: s.lastActivity ?? 0, seenComplete: s.seenComplete ?? 0, timeActive: s.timeActive, seedingTime: s.seedingTime,
            availability: Int64((s.availability * 1000).rounded()), downloadedSession: s.downloadedSession, uploadedSession: s.uploadedSession,
            limitGroup: record.limitGroup, maxPeers: UInt32(clamping: record.limits.maxPeers ?? settings.int("network.max_peers_per_torrent")),
            bytesWanted: s.wanted, bytesWantedHave: s.wantedDone)
    }

    // MARK: the rest

    private func tellLists(_ edge: Edge) {
        guard api!.areListsDue else { return }
        api!.areListsDue = false
        kit.send(
            ApiLists(
                categories: core.categories.sorted { $0.key < $1.key }.map { ApiCategory(name: $0.key, savePath: $0.value) }, tags: core.tags.sorted().joined(separator: ",")),
            to: edge)
    }

    private func tellGlobals(_ edge: Edge) {
        api!.areGlobalsDue = false
        let disks = diskStats.sorted { $0.key < $1.key }.map(\.value)
        let globals = ApiGlobals(
            listenPort: listenPort, peerID: peerID, bytesWritten: disks.reduce(0) { $0 + $1.bytesWritten }, bytesRead: disks.reduce(0) { $0 + $1.bytesRead },
            diskQueue: disks.reduce(0) { $0 + $1.queueDepth }, diskMode: disks.first?.mode ?? "", storeFault: storeFault,
            dhtNodes: dhtNodes, usesAlternative: usesAlternativeLimits ? 1 : 0, externalV4: externalAddress(ipv4: true), externalV6: externalAddress(ipv4: false))
        var hasher = Hasher()
        hasher.combine(globals.listenPort)
        hasher.combine(globals.bytesWritten)
        hasher.combine(globals.bytesRead)
        hasher.combine(globals.diskQueue)
        hasher.combine(globals.diskMode)
        hasher.combine(globals.storeFault)
        hasher.combine(globals.dhtNodes)
        hasher.combine(globals.usesAlternative)
        hasher.combine(globals.externalV4)
        hasher.combine(globals.externalV6)
        let signature = hasher.finalize()
        if signature != api!.sentGlobals {
            api!.sentGlobals = signature
            kit.send(globals, to: edge)
        }
        var options = Hasher()
        let pairs = settings.shownPairs
        for (key, value) in pairs {
            options.combine(key)
            options.combine(value)
        }
        let inForce = options.finalize()
        if inForce != api!.sentOptions {
            api!.sentOptions = inForce
            kit.send(ApiOptions(options: pairs.map { ApiOption(key: $0.0, value: $0.1) }), to: edge)
        }
    }

    /// As most peers see it.
    private func externalAddress(ipv4: Bool) -> Endpoint {
        let all = externalAddresses.sorted { $0.key < $1.key }.flatMap(\.value).filter { $0.address.isIPv4 == ipv4 }
        return all.max { $0.votes < $1.votes }?.address ?? Endpoint(ipv4: 0, port: 0)
    }

    private func apiWorkers() -> [ApiWorker] {
        workers.compactMap { w in
            guard let role = WorkerRole(rawValue: w.role) else { return nil }
            return ApiWorker(
                name: WorkerName(role, w.index).description, role: role.name, index: w.index, pid: w.pid, generation: w.generation, restarts: w.restarts,
                state: w.state, cpuMilliseconds: w.cpuMilliseconds, residentBytes: w.residentBytes, uptimeMilliseconds: w.uptimeMilliseconds,
                reason: Text.printable(w.reason, limit: 500))
        }
    }
}
