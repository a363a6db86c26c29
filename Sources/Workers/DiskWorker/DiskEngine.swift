import BlockArena
import CHash
import Glibc
import LinuxIO
import Observe
import Pieces
import Primitives

/// The disk worker without its links: the pure core, and the paths that do what it decides.
///
/// ```
/// event ─▶ core ─▶ effects ─┬─ messages ─▶ `deliver` (the shell, or a test)
///   ▲                       └─ WritePath ReadPath CheckPath CheckpointPath LookPath MovePath ProbePath
///   └────────────────────────────┘ (ring, hash pool, pool threads)
/// ```
package final class DiskEngine {
    enum Kind {
        static let transfer: UInt8 = 16
        static let work: UInt8 = 17
        static let sync: UInt8 = 18
    }

    package struct Options: Sendable {
        package var directIO = true
        /// At least one.
        package var hashThreads = 1
        package var openFiles = 1024
        package var limits = DiskCore.Limits()
        package init() {}
    }

    package let loop: Loop
    package let operations: FileOperations
    let log: Log
    let failPoints: FailPoints
    let options: Options
    package internal(set) var core: DiskCore
    let pool: HashPool
    let table: FileTable
    private(set) var transfers: Transfers!
    package let arenas: ArenaTable
    /// As much as the core lets a check have in flight.
    var checkBuffers = PagePool(keptBytes: 64 << 20)
    var records: [TorrentID: TorrentRecord] = [:]
    /// False where it was switched off, or refused by the file system.
    var directIO: Bool
    private var refusalSaid = false

    /// Effects that are messages to other processes.
    private let deliver: (DiskEffect) -> Void
    private var events: [DiskEvent] = []
    private var effects: [DiskEffect] = []
    private var isProcessing = false
    private var freeWorks: [UInt32] = []
    private var workRows: [((Int32) -> Void)?] = []
    var worksInFlight = 0
    private var timers: [(at: Instant, action: () -> Void)] = []
    private var outcomes: [HashPool.Outcome] = []
    var checkJobs: [UInt32: CheckJob] = [:]
    var syncRows: [SyncRow?] = []
    var freeSyncs: [UInt32] = []
    var movesWaiting: [() -> Void] = []
    var isMoving = false
    var trees = TreeCache()
    var hashReads = 0
    private var nextPatrol = Instant.zero
    private var isPatrolling = false

    package private(set) var progress: UInt64 = 0
    package internal(set) var piecesHashed: UInt64 = 0, piecesFailed: UInt64 = 0, syncs: UInt64 = 0

    package init(loop: Loop, operations: FileOperations, failPoints: FailPoints, options: Options, log: Log, deliver: @escaping (DiskEffect) -> Void) {
        self.loop = loop
        self.operations = operations
        self.failPoints = failPoints
        self.options = options
        self.log = log
        self.deliver = deliver
        directIO = options.directIO
        core = DiskCore(limits: options.limits)
        pool = HashPool(threads: options.hashThreads) { loop.wake() }
        table = FileTable(limit: options.openFiles)
        arenas = ArenaTable(loop: loop, log: log)
        table.attach(self)
        transfers = Transfers(
            operations: operations, table: table,
            name: { [unowned self] in records[$0.torrent]?.name($0.index) ?? "a file of torrent \($0.torrent)" },
            refused: { [unowned self] file in
                file.direct >= 0 ? directRefused(records[file.torrent]?.name(file.index) ?? "") : ()
            })
    }

    /// Ends the threads and closes the files. Nothing may be in flight.
    package func stop() {
        pool.stop()
        table.closeEverything()
        checkBuffers.drop()
        transfers.dropBuffers()
    }

    package var bytesWritten: UInt64 { transfers.bytesWritten }
    package var bytesRead: UInt64 { transfers.bytesRead }
    package var directWrites: UInt64 { transfers.directWrites }
    package var bufferedWrites: UInt64 { transfers.bufferedWrites }
    package var openFileCount: Int { table.openCount }

    /// Words for people: what is in use.
    package var mode: String {
        var parts = [loop.backend == .uring ? "io_uring" : "epoll and threads"]
        if arenas.isRegistered { parts.append("registered buffers") }
        parts.append(directIO ? "O_DIRECT" : "buffered files")
        parts.append(String(cString: ccbt_hash_kernel_name()))
        parts.append(String(cString: ccbt_sha256_kernel_name()))
        return parts.joined(separator: ", ")
    }

    // MARK: Events and effects

    /// Takes one event and all that follows from it at once.
    package func handle(_ event: DiskEvent) {
        events.append(event)
        guard !isProcessing else { return }
        isProcessing = true
        var at = 0
        while at < events.count {
            let event = events[at]
            at += 1
            effects.removeAll(keepingCapacity: true)
            core.handle(event, now: loop.now, into: &effects)
            let due = effects
            for effect in due { perform(effect) }
        }
        events.removeAll(keepingCapacity: true)
        isProcessing = false
    }

    private func perform(_ effect: DiskEffect) {
        switch effect {
        case .open(let id, let spec, let scan, let isSettled): look(id, spec, scan, isSettled: isSettled)
        case .hash(let job, let request): hash(job, request)
        case .write(let job, let request): write(job, request)
        case .readFile(let job, let request): read(job, request)
        case .check(let job, let id, let first, let count): check(job, id, first, count)
        case .sync(let id, let all): sync(id, all)
        case .finish(let id): finish(id)
        case .closeFiles(let id): if let record = records[id] { table.closeAll(record, forgetting: false) }
        case .forget(let id): forget(id)
        case .probe(let volume, let folder): probe(volume, folder)
        case .moveFiles(let id, let path, let names): move(id, path, names)
        case .deleteFiles(let id): delete(id)
        case .log(let text): log.warning(text)
        case .durable:
            failPoints.hit(.durableSent)
            deliver(effect)
        case .verified, .stored, .storeFailed, .readDone, .ready, .unready, .levels, .report, .undurable, .removed, .movedTo, .drained:
            deliver(effect)
        }
    }

    private func forget(_ id: TorrentID) {
        guard let record = records[id] else { return }
        table.closeAll(record, forgetting: true)
        trees.forget(id)
        records[id] = nil
    }

    // MARK: The loop's side

    package func completed(_ completion: Completion) {
        progress &+= 1
        switch completion.token.kind {
        case Kind.transfer: transfers.completed(completion)
        case Kind.sync: syncCompleted(completion)
        case Kind.work:
            let then = workRows[Int(completion.token.index)]!
            workRows[Int(completion.token.index)] = nil
            freeWorks.append(completion.token.index)
            worksInFlight -= 1
            then(completion.result)
        default: preconditionFailure("completion of kind \(completion.token.kind)")
        }
    }

    /// After each batch of completions. Returns when it wants to run again.
    package func turn(now: Instant) -> Instant {
        for completion in operations.takeMade(now: now) { completed(completion) }
        pool.drain(into: &outcomes)
        if !outcomes.isEmpty {
            let due = outcomes
            outcomes.removeAll(keepingCapacity: true)
            for outcome in due { hashEnded(outcome) }
        }
        if !timers.isEmpty {
            let due = timers.filter { $0.at <= now }
            timers.removeAll { $0.at <= now }
            for timer in due { timer.action() }
        }
        if core.deadline <= now { handle(.tick) }
        patrol(now)
        var next = min(core.deadline, operations.deadline)
        for timer in timers { next = min(next, timer.at) }
        return min(next, nextPatrol)
    }

    package var isQuiet: Bool { worksInFlight == 0 && transfers.inFlight == 0 && syncRows.allSatisfy { $0 == nil } }

    /// Blocking work on a pool thread, then `then` on the loop.
    func work(_ body: @escaping @Sendable () -> Int32, then: @escaping (Int32) -> Void) {
        let index: UInt32
        if let last = freeWorks.popLast() {
            index = last
            workRows[Int(index)] = then
        } else {
            index = UInt32(workRows.count)
            workRows.append(then)
        }
        worksInFlight += 1
        loop.work(token: Token(kind: Kind.work, index: index, generation: 0), body)
    }
    func after(_ span: TimeSpan, _ action: @escaping () -> Void) { timers.append((loop.now + span, action)) }

    func directRefused(_ name: String) {
        guard directIO else { return }
        directIO = false
        if !refusalSaid { log.info("O_DIRECT is refused for \(name): files are read and written through the page cache") }
        refusalSaid = true
    }

    // MARK: Patrol

    /// Open files hide their own deletion: their paths are looked at this often (noticed within 60 s).
    static let patrolInterval = TimeSpan.seconds(15)
    /// Files looked at in one round, the latest used first.
    static let patrolLimit = 256

    private func patrol(_ now: Instant) {
        if nextPatrol == .zero { nextPatrol = now + Self.patrolInterval }
        guard now >= nextPatrol else { return }
        nextPatrol = now + Self.patrolInterval
        patrolNow()
    }

    package func patrolNow() {
        guard !isPatrolling else { return }
        struct Seen: Sendable {
            let torrent: TorrentID, file: Int, folder: String, path: String, length: UInt64
            let identity: FileIdentity, wasWritten: Bool
        }
        let seen = table.inUse(limit: Self.patrolLimit).compactMap { file -> Seen? in
            guard let record = records[file.torrent], let identity = file.identity else { return nil }
            return Seen(
                torrent: file.torrent, file: file.index, folder: record.spec.savePath, path: record.path(file.index),
                length: file.length, identity: identity, wasWritten: file.wasWritten)
        }
        guard !seen.isEmpty else { return }
        isPatrolling = true
        let operations = operations, box = Box<[(TorrentID, DiskFault)]>()
        work({
            var out: [(TorrentID, DiskFault)] = []
            for file in seen {
                let name = "\(file.folder)/\(file.path)"
                do throws(Errno) {
                    let folder = try operations.openFolder(file.folder)
                    defer { operations.close(folder) }
                    let now = FileIdentity(try operations.status(under: folder, file.path))
                    if now.inode != file.identity.inode || now.device != file.identity.device {
                        out.append((file.torrent, DiskFault(.changed, "\(name) was replaced by another file: hashing it again")))
                    } else if now.size < file.length, !file.wasWritten {
                        out.append(
                            (
                                file.torrent,
                                DiskFault(
                                    .missing, "\(name) has \(now.size) of its \(file.length) bytes: put it back, or recheck to fetch it again")
                            ))
                    } else if now != file.identity, !file.wasWritten {
                        out.append((file.torrent, DiskFault(.changed, "\(name) was changed by another program: hashing it again")))
                    }
                } catch {
                    if error.code == ENOENT || error.code == ENOTDIR {
                        out.append((file.torrent, DiskFault(.missing, "\(name) is gone: put it back, or recheck to fetch it again")))
                    }
                }
            }
            box.value = out
            return 0
        }) { [unowned self] _ in
            isPatrolling = false
            for (id, fault) in box.value ?? [] {
                // Its descriptors may lead to what nobody else can see any more.
                if let record = records[id] {
                    table.closeAll(record, forgetting: false)
                    record.identities = [:]
                }
                handle(.fileChanged(id, fault))
            }
        }
    }
}
