import ByteCodec
import Glibc
import IPC
import LinuxIO
import Observe
import Pieces
import Primitives
import WorkerKit

/// The disk worker's process: frames in, events to the engine; the engine's messages out as frames.
package final class DiskShell: WorkerShell {
    package static var role: WorkerRole { .disk }

    private let kit: WorkerKit
    private var engine: DiskEngine!
    private var isStarted = false
    private var isReady = false
    /// strategy.streaming_mode.
    private let endsFirst: Bool
    private var statsAt = Instant.zero
    private var lastStats = DiskStats(
        bytesWritten: 0, bytesRead: 0, piecesHashed: 0, piecesFailed: 0, queueDepth: 0, directWrites: 0, bufferedWrites: 0, syncs: 0)
    /// Runs in one Durable or Undurable frame: 8 bytes each, far under the frame's 1 MiB.
    private static let runsPerFrame = 60_000
    /// Files in one DiskFileProgress frame.
    private static let filesPerFrame = 120_000

    package init(kit: WorkerKit) throws {
        self.kit = kit
        let settings = kit.settings
        endsFirst = settings.bool("strategy.streaming_mode")
        var options = DiskEngine.Options()
        options.directIO = settings.bool("disk.direct_io")
        let threads = settings.int("disk.hash_workers"), cores = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        // One a core up to four: 4 × 6 GiB/s of SHA-1 is more than any disk takes.
        options.hashThreads = threads > 0 ? threads : max(1, min(4, cores))
        options.limits.checkpointInterval = settings.seconds("disk.checkpoint_interval")
        options.limits.checkpointBytes = UInt64(settings.int("disk.checkpoint_mib")) << 20
        options.openFiles = Self.openFileLimit()
        let faults: FaultLayer, points: FailPoints
        do throws(FaultLayer.SyntaxError) {
            faults = try FaultLayer(Self.environment("CCBT_FAULTS"))
            points = try FailPoints(Self.environment("CCBT_FAILPOINT"))
        } catch {
            throw SettingRefused(error.description)
        }
        engine = DiskEngine(
            loop: kit.loop, operations: FileOperations(loop: kit.loop, faults: faults), failPoints: points, options: options, log: Log(kit.name.description),
            deliver: { [unowned self] in deliver($0) })
    }

    private static func environment(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }

    /// Half of the descriptors; each file has up to two.
    private static func openFileLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(7), &limit) == 0 else { return 128 }  // RLIMIT_NOFILE
        return max(16, min(4096, Int(clamping: limit.rlim_cur) / 4))
    }

    // MARK: The kit's calls

    package func edgeOpened(_ edge: Edge) {
        switch edge.role {
        case .peer: engine.handle(.shardOpened(edge.index))
        case .session:
            engine.handle(.sessionOpened)
            statsAt = .zero
        default: break
        }
    }
    package func edgeClosed(_ edge: Edge) {
        if edge.role == .peer { engine.handle(.shardClosed(edge.index)) }
    }
    package func arenaGiven(shard: UInt16, slotCount: Int, fd: Int32, byteCount: Int) {
        do { try engine.arenas.give(shard: shard, slotCount: slotCount, fd: fd, byteCount: byteCount) } catch {
            kit.fail("arena of shard \(shard): \(error)")
        }
    }
    package func listenerGiven(_ kind: ListenerKind, fd: Int32, endpoint: Endpoint) { Descriptor.close(fd) }
    package func start() {
        isStarted = true
        sayReady()
    }
    package func control(_ frame: Frame) {}
    package func completed(_ completion: Completion) { engine.completed(completion) }
    package func turn(now: Instant) -> Instant {
        let next = engine.turn(now: now)
        return min(next, sendStats(now))
    }
    package func drain(deadline: Instant) { engine.handle(.drain) }
    package func settingsChanged() {}
    package var progress: UInt64 { engine.progress }

    private var isReplayed = false
    private func sayReady() {
        guard isStarted, isReplayed, !isReady else { return }
        isReady = true
        kit.ready()
    }

    // MARK: Frames in

    package func received(_ frame: Frame, from edge: Edge) {
        do throws(DecodeError) {
            switch frame.type {
            case .storePiece: store(try frame.decode(), edge)
            case .readPiece: read(try frame.decode(), edge)
            case .hashesWanted: hashes(try frame.decode(), frame.correlation, edge)
            case .claim: claim(try frame.decode(), edge)
            case .claimsEnd: engine.handle(.claimsEnd(edge.index))
            case .diskTorrentAdd: add(try frame.decode())
            case .diskTorrentRemove:
                let m: DiskTorrentRemove = try frame.decode()
                engine.handle(.remove(TorrentID(rawValue: m.torrent), deleteData: m.deleteData != 0))
            case .diskTorrentMove:
                let m: DiskTorrentMove = try frame.decode()
                engine.handle(.move(TorrentID(rawValue: m.torrent), savePath: m.savePath, Self.names(m.renames, m.suffix)))
            case .diskTorrentRecheck:
                let m: DiskTorrentRecheck = try frame.decode()
                engine.handle(.recheck(TorrentID(rawValue: m.torrent)))
            case .diskTorrentFlags:
                let m: DiskTorrentFlags = try frame.decode()
                let id = TorrentID(rawValue: m.torrent), flags = TorrentFlags(rawValue: m.flags)
                engine.handle(.endsFirst(id, endsFirst || flags.contains(.firstLastFirst)))
                engine.handle(.pause(id, flags.contains(.paused)))
            case .diskTorrentLevels:
                let m: DiskTorrentLevels = try frame.decode()
                engine.handle(.select(TorrentID(rawValue: m.torrent), Self.levels(m.levels), selection: m.selection))
            case .diskReplayEnd:
                engine.handle(.replayEnd)
                isReplayed = true
                sayReady()
            case .diskFileProgressWanted: fileProgress(try frame.decode(), frame.correlation, edge)
            // SessionDurableStored: the claim is the session's from here on. Others: of a build one version ahead.
            default: break
            }
        } catch {
            kit.breakLink(edge, "\(error)")
        }
    }

    private func store(_ m: StorePiece, _ edge: Edge) {
        engine.handle(
            .store(
                StoreRequest(
                    torrent: TorrentID(rawValue: m.torrent), piece: m.piece,
                    run: RunID(shard: edge.index, first: SlotIndex(rawValue: m.firstSlot)), length: m.length)))
    }
    private func read(_ m: ReadPiece, _ edge: Edge) {
        engine.handle(
            .read(
                ReadRequest(
                    torrent: TorrentID(rawValue: m.torrent), piece: m.piece, offset: m.offset, length: m.length,
                    run: RunID(shard: edge.index, first: SlotIndex(rawValue: m.firstSlot)))))
    }
    private func hashes(_ m: HashesWanted, _ correlation: UInt64, _ edge: Edge) {
        let shard = edge.index
        engine.hashes(
            HashesRequest(
                torrent: TorrentID(rawValue: m.torrent), root: m.root, baseLayer: m.baseLayer, index: m.index, length: m.length,
                proofLayers: m.proofLayers)
        ) { [unowned self] hashes in
            guard let edge = kit.edge(.peer, shard) else { return }
            kit.send(
                HashesFound(
                    torrent: m.torrent, root: m.root, baseLayer: m.baseLayer, index: m.index, length: m.length, proofLayers: m.proofLayers,
                    hashes: hashes), to: edge, correlation: correlation)
        }
    }
    private func claim(_ m: Claim, _ edge: Edge) {
        engine.handle(.claim(edge.index, TorrentID(rawValue: m.torrent), have: m.have))
    }
    private func add(_ m: DiskTorrentAdd) {
        let flags = TorrentFlags(rawValue: m.flags)
        var spec = TorrentSpec(
            metainfoPath: m.metainfoPath, savePath: m.savePath, durable: m.durable, sourceDevice: m.sourceDevice,
            allocation: Allocation(rawValue: m.allocation) ?? .sparse, paused: flags.contains(.paused),
            skipCheck: flags.contains(.skipCheck), unclean: flags.contains(.unclean))
        (spec.levels, spec.endsFirst) = (Self.levels(m.levels), endsFirst || flags.contains(.firstLastFirst))
        (spec.selection, spec.isMoving) = (m.selection, flags.contains(.moving))
        spec.names = Self.names(m.renames, m.suffix)
        engine.handle(.add(TorrentID(rawValue: m.torrent), spec))
    }
    private static func levels(_ runs: [FileLevelRun]) -> FileLevels {
        FileLevels(runs: runs.map { FileLevels.Run(first: $0.first, count: $0.count, level: $0.level) })
    }
    private static func names(_ renames: [PathRename], _ suffix: String) -> FileNames {
        FileNames(renames: renames.map { FileNames.Rename(from: $0.from, to: $0.to) }, suffix: suffix)
    }
    private func fileProgress(_ m: DiskFileProgressWanted, _ correlation: UInt64, _ edge: Edge) {
        let bytes = engine.core.bytesHavePerFile(TorrentID(rawValue: m.torrent)) ?? []
        kit.send(DiskFileProgress(torrent: m.torrent, bytesHave: Array(bytes.prefix(Self.filesPerFrame))), to: edge, correlation: correlation)
    }

    // MARK: Frames out

    private func deliver(_ effect: DiskEffect) {
        switch effect {
        case .verified(let r):
            toShard(r.run.shard, PieceVerified(torrent: r.torrent.rawValue, piece: r.piece, firstSlot: r.run.first.rawValue))
        case .stored(let r):
            toShard(r.run.shard, PieceWritten(torrent: r.torrent.rawValue, piece: r.piece, firstSlot: r.run.first.rawValue))
        case .storeFailed(let r, let why):
            var m = PieceFailed(torrent: r.torrent.rawValue, piece: r.piece, firstSlot: r.run.first.rawValue, reason: why.rawValue)
            if why == .hashMismatch, let (file, expected) = engine.expectedRoot(r.torrent, Int(r.piece)) {
                (m.fileRoot, m.pieceHash, m.blocks, m.fileBytes) = (file.root, expected.root, expected.width, expected.length)
                m.firstBlock = UInt32((Int(r.piece) - file.firstPiece) * Int(engine.blocksPerPiece(r.torrent)))
            }
            toShard(r.run.shard, m)
        case .readDone(let r, let status):
            toShard(
                r.run.shard,
                ReadDone(torrent: r.torrent.rawValue, piece: r.piece, offset: r.offset, firstSlot: r.run.first.rawValue, status: status.rawValue))
        case .ready(let id, let have, let shard):
            sendTails(id, shard)
            toShards(shard, TorrentReady(torrent: id.rawValue, have: have.wireBytes))
        case .levels(let id, let levels, let shard): sayLevels(id, levels, shard)
        case .unready(let id, let why, let shard): toShards(shard, TorrentUnready(torrent: id.rawValue, reason: why.rawValue))
        case .report(let id, let report): toSession(state(id, report))
        case .durable(let id, let runs): eachFrame(runs) { toSession(Durable(torrent: id.rawValue, runs: $0)) }
        case .undurable(let id, let runs): eachFrame(runs) { toSession(Undurable(torrent: id.rawValue, runs: $0)) }
        case .removed(let id, let message): toSession(DiskRemoved(torrent: id.rawValue, message: message))
        case .movedTo(let id, let path, let message): toSession(DiskMoved(torrent: id.rawValue, savePath: path, message: message))
        case .drained: kit.drained()
        default: preconditionFailure("an effect that is no message")
        }
    }

    /// Pieces of a v2-only torrent have lengths of their own.
    private func sendTails(_ id: TorrentID, _ shard: UInt16?) {
        guard let tails = engine.core.layout(id)?.geometry.fileTails?.list else { return }
        for at in stride(from: 0, to: tails.count, by: Self.runsPerFrame) {
            let part = tails[at..<min(at + Self.runsPerFrame, tails.count)]
            toShards(shard, TorrentTails(torrent: id.rawValue, isFirst: at == 0 ? 1 : 0, pieces: part.map(\.piece), lengths: part.map(\.length)))
        }
    }

    private func state(_ id: TorrentID, _ r: TorrentReport) -> DiskTorrentState {
        DiskTorrentState(
            torrent: id.rawValue, state: r.state.rawValue, piecesHave: r.piecesHave, bytesHave: r.bytesHave,
            piecesChecked: r.piecesChecked, errorKind: (r.fault.map { DiskErrorKind($0.kind) } ?? .none).rawValue,
            message: r.fault?.text ?? "", bytesWanted: r.bytesWanted, bytesWantedHave: r.bytesWantedHave, selection: r.selection)
    }
    /// In frames of at most ``runsPerFrame`` runs; the first begins anew.
    private func sayLevels(_ id: TorrentID, _ levels: [UInt8], _ shard: UInt16?) {
        var runs: [PieceLevelRun] = []
        for (piece, level) in levels.enumerated() {
            if let last = runs.last, last.level == level {
                runs[runs.count - 1].count += 1
            } else {
                runs.append(PieceLevelRun(first: UInt32(piece), count: 1, level: level))
            }
        }
        var at = 0
        repeat {
            let end = min(runs.count, at + Self.runsPerFrame)
            toShards(shard, PieceLevels(torrent: id.rawValue, continues: at == 0 ? 0 : 1, isLast: end == runs.count ? 1 : 0, runs: Array(runs[at..<end])))
            at = end
        } while at < runs.count
    }
    private func toShard<M: IPCMessage>(_ shard: UInt16, _ message: M) {
        if let edge = kit.edge(.peer, shard) { kit.send(message, to: edge) }
    }
    private func toShards<M: IPCMessage>(_ shard: UInt16?, _ message: M) {
        if let shard { return toShard(shard, message) }
        for edge in kit.edges(.peer) { kit.send(message, to: edge) }
    }
    private func toSession<M: IPCMessage>(_ message: M) {
        if let edge = kit.edge(.session) { kit.send(message, to: edge) }
    }
    private func eachFrame(_ runs: [(first: Int, count: Int)], _ send: ([PieceRun]) -> Void) {
        var at = 0
        while at < runs.count {
            let end = min(runs.count, at + Self.runsPerFrame)
            send(runs[at..<end].map { PieceRun(first: UInt32($0.first), count: UInt32($0.count)) })
            at = end
        }
    }

    /// Each second while anything moves.
    private func sendStats(_ now: Instant) -> Instant {
        guard now >= statsAt else { return statsAt }
        let stats = DiskStats(
            bytesWritten: engine.bytesWritten, bytesRead: engine.bytesRead, piecesHashed: engine.piecesHashed,
            piecesFailed: engine.piecesFailed, queueDepth: UInt32(engine.core.queueDepth), directWrites: engine.directWrites,
            bufferedWrites: engine.bufferedWrites, syncs: engine.syncs, mode: engine.mode)
        if stats != lastStats || statsAt == .zero {
            lastStats = stats
            toSession(stats)
        }
        statsAt = now + .seconds(1)
        return statsAt
    }
}

extension DiskErrorKind {
    init(_ kind: FaultKind) {
        switch kind {
        case .full: self = .diskFull
        case .readOnly: self = .readOnly
        case .io, .busy: self = .ioError
        case .permission: self = .permission
        case .missing, .changed: self = .missingFiles
        case .deviceMissing: self = .deviceMissing
        case .badMetainfo: self = .badMetainfo
        case .pathConflict: self = .pathConflict
        }
    }
}
