import ByteCodec
import Catalog
import Control
import Glibc
import IPC
import LinuxIO
import Observe
import Primitives
import Settings
import WorkerKit

/// There is one session worker, so its name in the log is fixed.
let log = SessionLog("session:0")

/// Written by the pool before its completion, read by the loop after it.
private final class PoolBox<T: Sendable>: @unchecked Sendable {
    var value: T?
}

/// The session worker: owns the catalogue (``CatalogCore``), its store, and the control socket.
///
///     front ends ──lines──▶ ControlServer ─▶ Requests ─▶ core ─▶ CommitPath ─▶ SQLite + .torrent files
///                                                         │            └─▶ effects ─▶ Peer/Disk/DiscoveryEdge
///     workers ────frames──▶ Peer/Disk/DiscoveryEdge ─▶ core              └─▶ answers, Watchers
///
/// One thread; files, SQLite and long parses run on the loop's pool (``pool(_:then:)``), one commit at a time.
package final class SessionShell: WorkerShell {
    package static var role: WorkerRole { .session }

    let kit: WorkerKit
    var loop: Loop { kit.loop }
    let store: CatalogStore
    let files: StoredTorrents
    var core: CatalogCore
    let peerID: PeerID
    let trackerKey: UInt32
    let startedAt: Instant

    /// Options that a front end set; they win over the configuration.
    var overrides: [String: String]
    var settings: Settings

    // What goes on. Each table has its bound where it is filled.
    var server: ControlServer
    var pending: [UInt64: PendingRequest] = [:]
    var nextToken: UInt64 = 1
    var additions: [UInt64: Addition] = [:]
    var metadata: [UInt32: StoredMetadata] = [:]
    var assemblies: [UInt32: MetadataAssembly] = [:]
    var layers: [UInt32: PendingLayers] = [:]
    var moveWaiters: [UInt32: [UInt64]] = [:]
    var removeWaiters: [UInt32: [UInt64]] = [:]
    var garbage: [InfoHash] = []
    var notes: [NoteRewrite] = []
    var poolThen: [UInt32: () -> Void] = [:]
    var nextPool: UInt32 = 0
    var watchers: [Watcher] = []
    var hooks = HookQueue()
    var mails = MailQueue()
    var inner: [UInt64: (ControlError?) -> Void] = [:]
    var fetches: [UInt64: FetchUnderWay] = [:]
    var folders: FolderWatch
    var rss: FeedTable
    var follows: FollowTable
    var exactSources = ExactSources()
    var awaitedDiscovery = AwaitedDiscovery()
    var effects: [CatalogEffect] = []
    var replaying: [CatalogLink] = []

    var bans: [Endpoint: StoredBan] = [:]
    var banChanges: Set<Endpoint> = []
    var isStoringBans = false
    var nextBanStore = Instant.zero
    /// By vote of the peers of each shard: address without port, and votes.
    var externalAddresses: [UInt16: [(address: Endpoint, votes: Int)]] = [:]
    private var schedules: [(TorrentID, [TrackerReport])] = []
    let totalsAtStart: TransferCounters
    var workers: [WorkerStatus] = []
    var api: APIFeed?
    var listenPorts: [UInt16: UInt16] = [:]
    var diskStats: [UInt16: DiskStats] = [:]
    /// Why the last commit failed; empty while the store takes what it is given.
    var storeFault = ""
    /// The alternative limits hold.
    var usesAlternativeLimits = false
    /// In the DHT's routing tables.
    var dhtNodes: UInt32 = 0
    /// Workers that read a changed option at their start.
    var restartsDue: [WorkerName: Instant] = [:]
    var filter = FilterState()
    var nextSchedule = Instant.zero
    var nextProbe = Instant.never
    var isCommitting = false
    var drainDeadline: Instant?
    private var lastWords = Instant.never
    var isClosing = false
    package var progress: UInt64 = 0

    package init(kit: WorkerKit) throws {
        self.kit = kit
        let sameRun = kit.generation.rawValue > 1
        files = try StoredTorrents(stateDirectory: kit.stateDirectory)
        let opened = try CatalogOpening.open(stateDirectory: kit.stateDirectory, files: files, sameRun: sameRun)
        store = opened.store
        let loaded = opened.loaded
        overrides = loaded.settings
        settings = Self.effective(kit.settings, &overrides)

        var meta: [(String, String)] = []
        trackerKey = loaded.trackerKey != 0 ? loaded.trackerKey : UInt32.random(in: 1 ... .max)
        if trackerKey != loaded.trackerKey { meta.append(("tracker_key", String(trackerKey))) }
        // The same over a run, so that a restart of this worker is not a new peer to trackers.
        if sameRun, let id = loaded.peerID { peerID = id } else { peerID = Self.newPeerID() }
        if peerID != loaded.peerID { meta.append(("peer_id", peerID.hex)) }
        if loaded.wasClean { meta.append(("clean", "0")) }
        if !meta.isEmpty { try store.setMeta(meta) }

        core = CatalogCore(
            configuration: CatalogConfiguration(
                rules: Self.rules(settings), isSequential: settings.string("strategy.piece_selection") == "sequential", isUnclean: sameRun || !loaded.wasClean),
            records: loaded.records, nextID: loaded.nextID, categories: loaded.categories, tags: loaded.tags, totals: Self.begun(loaded.totals))
        core.wallSeconds = UInt64(max(time(nil), 0))
        bans = Dictionary(try store.loadBans(now: core.wallSeconds).map { ($0.endpoint, $0) }) { a, _ in a }
        totalsAtStart = core.totals.transfer
        schedules = loaded.schedules
        startedAt = kit.loop.now
        server = ControlServer(loop: kit.loop)
        folders = FolderWatch(try store.items("folder"))
        rss = FeedTable(feeds: try store.items("feed"), rules: try store.items("rule"), folders: try store.items("feed folder"))
        follows = FollowTable(try store.items("followed item")) { [core] in core.find($0) != nil }
        let names = Set(loaded.records.map(\.0.facts.infoHash))
        let listed = files.list()
        garbage = (listed.torrents + listed.magnets).filter { !names.contains($0) }
        log.info("catalogue: \(loaded.records.count) torrents\(loaded.wasClean || sameRun ? "" : ", the last run ended without its final checkpoint")")
    }

    private static func begun(_ totals: CatalogTotals) -> CatalogTotals {
        var totals = totals
        if totals.since == 0 { totals.since = UInt64(max(time(nil), 0)) }
        return totals
    }

    // MARK: links

    package func edgeOpened(_ edge: Edge) {
        if edge.role == .api { return apiOpened(edge) }
        guard let link = Self.link(edge) else { return }
        switch link {
        case .peer(let shard):
            sendLimits(to: shard)
            sendFilter(to: shard)
        case .discovery:
            sendFilterToDiscovery()
            for url in filter.fetches.keys { filter.fetches[url]!.next = min(filter.fetches[url]!.next, filter.fetches[url]!.isUnderWay ? loop.now : .never) }
        case .disk: break
        }
        feed(.linkOpened(link, edge.generation))
        replaying.removeAll { $0 == link }
        replaying.append(link)
        if case .peer = link { sendBans(to: edge) }
    }
    package func edgeClosed(_ edge: Edge) {
        if edge.role == .api { return apiClosed(edge) }
        guard let link = Self.link(edge) else { return }
        replaying.removeAll { $0 == link }
        feed(.linkClosed(link))
        switch link {
        case .peer(let shard):
            listenPorts[shard] = nil
            externalAddresses[shard] = nil
            filter.counts[shard] = nil
            for id in assemblies.keys where core.configuration.shard(of: core.row(TorrentID(rawValue: id))?.record.facts.infoHash ?? InfoHash()) == shard {
                assemblies[id] = nil
            }
            failPending("the peer worker is restarting") { kind in
                switch kind {
                case .peers, .pieceStates, .streamReady: true
                default: false
                }
            }
        case .disk(let device):
            diskStats[device] = nil
            failPending("the disk worker is restarting") { if case .files = $0 { true } else { false } }
        case .discovery:
            dhtNodes = 0
            fetchAgain()
            itemLookupsLost()
            mailLost()
            askDiscoveryAgain()
        }
    }
    package func arenaGiven(shard: UInt16, slotCount: Int, fd: Int32, byteCount: Int) { close(fd) }
    package func listenerGiven(_ kind: ListenerKind, fd: Int32, endpoint: Endpoint) {
        guard kind == .controlSocket else {
            close(fd)
            return
        }
        server.listen(fd)
    }
    package func start() {
        for (id, trackers) in schedules { feed(.schedule(id, trackers)) }
        schedules = []
        filterChanged()
        kit.ready()
        for (id, hooks) in core.hooksOwed() { runHooks(id, hooks) }
    }

    package func received(_ frame: Frame, from edge: Edge) {
        progress += 1
        do throws(DecodeError) {
            switch edge.role {
            case .peer: try receivedFromPeer(frame, edge)
            case .disk: try receivedFromDisk(frame, edge)
            case .discovery: try receivedFromDiscovery(frame)
            case .api: try receivedFromAPI(frame, edge)
            case .supervisor, .session: break
            }
        } catch {
            kit.breakLink(edge, "\(error)")
        }
    }

    package func control(_ frame: Frame) {
        if frame.type == .workerTable, let table = try? frame.decode(WorkerTable.self) {
            workers = table.workers
            api?.areWorkersDue = true
        }
    }

    // MARK: loop

    package func completed(_ completion: Completion) {
        progress += 1
        switch completion.token.kind {
        case ControlServer.Kind.accept: server.accepted(completion)
        case ControlServer.Kind.receive: received(server.received(completion))
        case ControlServer.Kind.send: server.sent(completion)
        case FolderWatch.tokenKind: foldersChanged(completion)
        case Self.poolKind: poolThen.removeValue(forKey: completion.token.index)?()
        default: preconditionFailure("completion of kind \(completion.token.kind)")
        }
    }

    package func turn(now: Instant) -> Instant {
        core.wallSeconds = UInt64(max(time(nil), 0))
        var next = core.turn(now: now, into: &effects)
        replay()
        act()
        commitIfDue(now)
        act()
        resumeReading()
        next = min(next, tickWatchers(now), tickAPI(now), turnHooks(now), turnFolders(now), turnFeeds(now), turnFollowing(now), expirePending(now), probeStore(now))
        next = min(next, storeBans(now), server.turn(now), drainTurn(now), scheduleTurn(now), filterTurn(now))
        next = min(next, restartTurn(now), turnMail(now), turnExactSources(now), turnAwaitedDiscovery(now))
        server.flush()
        return min(next, core.nextCommit)
    }

    package func settingsChanged() {
        settings = Self.effective(kit.settings, &overrides)
        feed(.rules(Self.rules(settings)))
        limitsChanged()
        filterChanged()
        api?.areGlobalsDue = true
    }

    // MARK: end

    /// The supervisor drains this worker last: what the others had to say has been said.
    package func drain(deadline: Instant) {
        drainDeadline = deadline
        lastWords = min(loop.now + Self.lastWordsWait, deadline)
        server.stopAccepting()
        feed(.draining)
    }

    /// The word that the disk worker ended follows the order to drain; without a supervisor it never comes, but the
    /// disk worker's last durable pieces do.
    static let lastWordsWait = TimeSpan.seconds(1)

    private func drainTurn(_ now: Instant) -> Instant {
        guard let deadline = drainDeadline, !isClosing else { return .never }
        let mayClose = !isCommitting && core.nextCommit == .never && !isStoringBans && (banChanges.isEmpty || !storeFault.isEmpty)
        let disks = workers.filter { $0.role == WorkerRole.disk.rawValue }
        let disksEnded = !disks.isEmpty && disks.allSatisfy { $0.state == 3 }
        guard mayClose && (disksEnded || now >= lastWords) || now >= deadline - .milliseconds(500) else {
            return now < lastWords ? lastWords : deadline - .milliseconds(500)
        }
        isClosing = true
        // Clean: the disk worker ended by order, with everything that it had verified stored as durable.
        let clean = mayClose && disksEnded && core.isSettled
        let store = self.store
        pool({ () -> String in
            do throws(CatalogStore.Failure) { try store.close(clean: clean) } catch { return error.description }
            return ""
        }) { [self] failure in
            if !failure.isEmpty { log.error(failure) }
            log.info(clean ? "state stored, clean" : "state stored; pieces outside the durable ones will be hashed again")
            kit.drained()
        }
        return deadline
    }

    // MARK: parts used by all

    static let poolKind: UInt8 = 19
    /// Pieces of blocking work handed to the pool and not yet back; requests beyond wait in their sockets.
    static let poolLimit = 512

    /// Runs `work` on the loop's pool and `then` on the loop's thread.
    func pool<T: Sendable>(_ work: @escaping @Sendable () -> T, then: @escaping (T) -> Void) {
        let box = PoolBox<T>()
        nextPool &+= 1
        while poolThen[nextPool] != nil { nextPool &+= 1 }
        poolThen[nextPool] = { then(box.value!) }
        loop.work(token: Token(kind: Self.poolKind, index: nextPool, generation: 0)) {
            box.value = work()
            return 0
        }
    }

    func feed(_ event: CatalogEvent) {
        core.handle(event, now: loop.now, into: &effects)
    }

    /// A part of each replay that is under way, as much as its socket takes.
    private func replay() {
        replaying.removeAll { link in
            guard let edge = edge(link) else { return true }
            // 8 MiB of the queue's 64; a torrent is at most 1.3 MB (a bitfield of 10 million pieces and its texts).
            while kit.queuedBytes(edge) < 8 << 20 {
                if core.replay(link, budget: 8, into: &effects) {
                    act()
                    return true
                }
                act()
            }
            return false
        }
    }

    func edge(_ link: CatalogLink) -> Edge? {
        switch link {
        case .peer(let shard): kit.edge(.peer, shard)
        case .disk(let device): kit.edge(.disk, device)
        case .discovery: kit.edge(.discovery)
        }
    }
    static func link(_ edge: Edge) -> CatalogLink? {
        switch edge.role {
        case .peer: .peer(edge.index)
        case .disk: .disk(edge.index)
        case .discovery: .discovery
        case .api, .supervisor, .session: nil
        }
    }

    /// Carries out what the core decided. One line for each effect.
    func act() {
        while !effects.isEmpty {
            let list = effects
            effects = []
            for effect in list {
                switch effect {
                case .answer(let token, let id, let refusal):
                    api?.touch(id)
                    answered(token, id, refusal)
                case .peerAdd(let entry): sendPeerAdd(entry)
                case .peerRemove(let shard, let id): sendPeer(shard, PeerTorrentRemove(torrent: id.rawValue))
                case .peerFlags(let shard, let id, let flags): sendPeer(shard, PeerTorrentFlags(torrent: id.rawValue, flags: flags.rawValue))
                case .peersFound(let shard, let id, let source, let peers, let isVersion2):
                    sendPeer(shard, PeersFound(torrent: id.rawValue, source: source.rawValue, endpoints: peers, isVersion2: isVersion2 ? 1 : 0))
                case .peerLimits(let shard, let id, let limits, let group): sendTorrentLimits(shard, id, limits, group: group)
                case .peerReplayEnd(let shard): sendPeer(shard, PeerReplayEnd())
                case .diskAdd(let entry): sendDiskAdd(entry)
                case .diskRemove(let device, let id, let deleteData):
                    sendDisk(device, DiskTorrentRemove(torrent: id.rawValue, deleteData: deleteData ? 1 : 0))
                case .diskMove(let device, let id, let path, let names): sendDiskMove(device, id, path, names)
                case .diskRecheck(let device, let id): sendDisk(device, DiskTorrentRecheck(torrent: id.rawValue))
                case .diskFlags(let device, let id, let flags): sendDisk(device, DiskTorrentFlags(torrent: id.rawValue, flags: flags.rawValue))
                case .diskLevels(let device, let id, let levels, let selection):
                    sendDisk(device, DiskTorrentLevels(torrent: id.rawValue, levels: Self.runs(levels), selection: selection))
                case .diskReplayEnd(let device): sendDisk(device, DiskReplayEnd())
                case .durableStored(let device, let id, let correlation):
                    sendDisk(device, SessionDurableStored(torrent: id.rawValue), correlation: correlation)
                case .discoveryAdd(let entry): sendDiscoveryAdd(entry)
                case .discoveryRemove(let id): sendDiscovery(DiscoveryTorrentRemove(torrent: id.rawValue))
                case .discoveryFlags(let id, let flags): sendDiscovery(DiscoveryTorrentFlags(torrent: id.rawValue, flags: flags.rawValue))
                case .discoveryCounters(let totals): sendDiscoveryCounters(totals)
                case .discoveryCompleted(let id): sendDiscovery(DiscoveryCompleted(torrent: id.rawValue))
                case .discoveryCompletedAgain(let id, let urls):
                    sendDiscovery(DiscoveryCompletedAgain(torrent: id.rawValue, trackers: urls.map { UrlText(url: $0) }))
                case .announceNow(let id): sendDiscovery(AnnounceNow(torrent: id.rawValue))
                case .discoveryReplayEnd: sendDiscoveryReplayEnd()
                case .phaseChanged(let id, _):
                    api?.touch(id)
                    pushToWatchers(id)
                case .removed(let id, let hash): removed(id, hash)
                case .note(_, let text): log.info(Text.printable(text, limit: 1000))
                case .hooks(let id, let hooks): runHooks(id, hooks)
                case .listsChanged(let list): listChanged(list == .categories ? "categories" : "tags")
                }
            }
        }
    }

    private static func newPeerID() -> PeerID {
        // BEP 20: two letters of the client, four digits of the version, twelve random characters.
        let letters = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
        return PeerID(Array("-CB0100-".utf8) + (0..<12).map { _ in letters.randomElement()! })!
    }

    static func rules(_ settings: Settings) -> CatalogRules {
        var queue = QueueLimits(
            isManaged: settings.bool("queue.auto_manage_queue"), active: settings.int("queue.max_active_torrents"),
            downloading: settings.int("queue.max_active_downloading"), seeding: settings.int("queue.max_active_seeding"))
        queue.ignoresSlow = settings.bool("queue.ignore_slow_torrents")
        queue.slowDown = UInt64(settings.int("queue.slow_down_kib")) << 10
        queue.slowUp = UInt64(settings.int("queue.slow_up_kib")) << 10
        queue.slowAfter = settings.seconds("queue.slow_after")
        let ratio = settings.number("seeding.max_ratio")
        let share = ShareLimits(
            ratio: ratio < 0 ? ShareLimits.unlimited : Int64(ratio * 1000), seeding: seconds(settings.int("seeding.max_minutes")),
            inactive: seconds(settings.int("seeding.max_inactive_minutes")), action: actions[settings.string("seeding.limit_action")] ?? .stop)
        var rules = CatalogRules(queue: queue, share: share, folder: tidy(settings.string("disk.download_dir")))
        if !settings.list("hooks.on_add").isEmpty { rules.hooks.insert(.added) }
        if !settings.list("hooks.on_finish").isEmpty || settings.bool("mail.enable") { rules.hooks.insert(.finished) }
        return rules
    }
    private static func seconds(_ minutes: Int) -> Int64 { minutes < 0 ? ShareLimits.unlimited : Int64(minutes) * 60 }
    static let actions: [String: ShareAction] = ["stop": .stop, "remove": .remove, "remove_with_data": .removeWithData, "super_seeding": .superSeeding]

    /// Overrides that this build does not take any more are dropped with a word in the log.
    static func effective(_ configured: Settings, _ overrides: inout [String: String]) -> Settings {
        var settings = configured
        for (key, value) in overrides.sorted(by: { $0.key < $1.key }) {
            do throws(SettingsError) {
                try settings.set(key, .untyped(value))
            } catch {
                log.warning("a stored setting is dropped: \(error)")
                overrides[key] = nil
            }
        }
        return settings
    }
}
