import BlockArena
import Buffers
import ByteCodec
import CHash
import Glibc
import HTTPKit
import IPC
import LinuxIO
import Observe
import PeerEncryption
import PeerWire
import Primitives
import Settings
import Supervision
import Swarm
import WorkerKit

/// The peer shard: sockets around the swarm core.
///
///     Inbound.swift       socket → slot → blockReceived        DiskLink.swift     whole pieces and reads ⇄ disk worker
///     Outbound.swift      serve → cache → send                 SessionLink.swift  torrents, peers, statistics ⇄ session
///     UTPLinks.swift      links over uTP: datagrams ⇄ the same two paths
///     Connections.swift   accept, dial, greet, close           Effects.swift      what the core decided → the files above
///     Encryption.swift    the encrypted handshake, in front of the plain one
///     Proxying.swift      the proxy's, in front of both
///     Relaying.swift      uTP's way through a SOCKS5 proxy
///
/// One thread, one ring. The core is entered once per completion; what it wants is in `effects`.
package final class PeerShell: WorkerShell {
    package static var role: WorkerRole { .peer }

    let kit: WorkerKit
    let configuration: SwarmConfiguration
    let swarm: Swarm
    let buffers: Buffers
    var effects = EffectBuffer()
    /// Set before Start; nothing happens without it.
    var arena: BlockArena!

    // Connections
    var links: [Link?] = []
    var linkGenerations: [UInt32] = []
    var freeLinks: [Int] = []
    var linkOfPeer: [Int32] = []
    var listeners: [(fd: Int32, endpoint: Endpoint)] = []
    var pausedListeners: [Int] = []
    var acceptPausedUntil = Instant.zero
    let encryption: EncryptionRules
    let proxy: ProxyRules
    /// When the log last said what is wrong with the proxy.
    var proxyFaultToldAt = Instant(nanoseconds: -3_600_000_000_000)
    /// The torrents that an encrypted handshake may name.
    var swarmKeys = SwarmKeys()
    var dirty: [UInt32] = []
    var readWaiters: [UInt32] = []
    var utpSockets: [UTPSocket] = []
    var nextUTPSocket: UInt32 = 0
    /// Where uTP goes through a proxy.
    var relay: RelayControl?
    /// Why the relay is gone, as the log last said.
    var relayFault = ""
    let dialsTCP: Bool
    /// TCP connects under way that uTP takes over, in the order of their time.
    var patience: [(at: Instant, link: UInt32, generation: UInt32)] = []
    /// Payload that nobody wants is received here.
    let bin: UnsafeMutableRawPointer
    /// One block of what lies between files.
    let zeros: UnsafeMutableRawPointer

    // Disk
    var torrents: [TorrentID: TorrentRow] = [:]
    var torrentOrder: [TorrentID] = []
    var handedLength: [UInt32]
    /// The disk worker that has the run, kept although the torrent may be removed meanwhile.
    var handedDevice: [UInt16]
    var reads: [PendingRead?]
    var leftOvers: [(first: SlotIndex, entry: BlockArena.Entry)] = []
    /// What disk workers said of torrents that the session has not named yet: no more than there are torrents.
    var earlyReady: [TorrentID: TorrentReady] = [:]
    /// Told before a v2-only torrent is ready, and taken then.
    var tails: [TorrentID: (pieces: [UInt32], lengths: [UInt32])] = [:]
    /// Files whose piece layers the session is naming, until the last part.
    var wantedLayers: [TorrentID: [LayerFile]] = [:]
    /// Piece levels as they come in, and those that came before their torrent.
    var levelRuns: [TorrentID: [PieceLevelRun]] = [:]
    var earlyLevels: Set<TorrentID> = []

    // Session
    var replayed: Set<TorrentID> = []
    var nextStats = Instant.zero
    /// What the vote says, one of each family: said again to a new session worker.
    var externalAddresses: [(endpoint: Endpoint, votes: Int)] = []
    var isReady = false
    var isDraining = false
    var isActing = false
    // Web seeds
    var webSeeds: [WebSeedRow?] = []
    var webSeedReadings: [UInt32: (TorrentID, WebSeedReading)] = [:]
    var nextReading: UInt32 = 0
    var webSeedCount: UInt32 = 0
    /// Requests of seeds that are gone, until libcurl lets go of them.
    var endingTransfers: [UnsafeMutableRawPointer: WebSeedTransfer] = [:]
    var nextWebSeedLook = Instant.zero
    /// Made with the first web seed.
    var curl: CurlMulti?
    var webSeedHosts: [String: CircuitBreaker<String>] = [:]
    var webSeedRandom = SeededRandom(seed: 0)
    /// By the index of its peer: where the block that is coming in goes, when directly into a slot; else memory for it.
    var landingOf: [UInt32: UnsafeMutableRawPointer] = [:]
    var webSeedBins: [UInt32: UnsafeMutableRawPointer] = [:]

    var logsFiltered = false
    var reportedFilter = FilterCounts()
    var nextFilterReport = Instant.zero
    /// A read or a pin has freed slots: torrents that lacked a buffer look again.
    var hasRoomAgain = false

    // Counters
    var copiedBytes: UInt64 = 0
    var adoptedBytes: UInt64 = 0
    var completions: UInt64 = 0

    package init(kit: WorkerKit) throws {
        self.kit = kit
        let slots = ArenaLayout(mebibytes: kit.settings.int("disk.cache_size_mb")).slotCount
        // 64 MiB of warm memory before the cache spreads; a chunk is the disk's read-ahead.
        let readAhead = max(1, kit.settings.int("disk.read_ahead_kib") / 16)
        buffers = Buffers(slotCount: slots, softSlots: (64 << 20) / ArenaLayout.slotSize, chunkSlots: 1 << (Int.bitWidth - 1 - readAhead.leadingZeroBitCount))
        var seed: UInt64 = 0
        getentropy(&seed, 8)
        configuration = SwarmConfiguration(kit.settings, seed: seed)
        encryption = EncryptionRules(kit.settings)
        proxy = ProxyRules(kit.settings)
        webSeedRandom = SeededRandom(seed: seed &+ 1)
        swarm = Swarm(configuration: configuration, buffers: buffers, seed: seed)
        dialsTCP = kit.settings.bool("network.enable_tcp")
        handedLength = [UInt32](repeating: 0, count: slots)
        handedDevice = [UInt16](repeating: 0, count: slots)
        reads = [PendingRead?](repeating: nil, count: slots)
        bin = .allocate(byteCount: WireLimit.piece, alignment: 4096)
        zeros = .allocate(byteCount: Int(PieceGeometry.blockLength), alignment: 4096)
        zeros.initializeMemory(as: UInt8.self, repeating: 0, count: Int(PieceGeometry.blockLength))
        // The start of a SHA-1 tells blocks apart whoever chose them.
        swarm.blockDigest = { [unowned self] slot, length in
            var out: (UInt64, UInt64, UInt64) = (0, 0, 0)
            withUnsafeMutableBytes(of: &out) { ccbt_sha1(arena.slot(slot), Int(length), $0.baseAddress!.assumingMemoryBound(to: UInt8.self)) }
            return out.0
        }
    }
    deinit {
        bin.deallocate()
        zeros.deallocate()
    }

    package var progress: UInt64 { completions }

    // MARK: What the supervisor gives

    package func arenaGiven(shard: UInt16, slotCount: Int, fd: Int32, byteCount: Int) {
        defer { _ = Glibc.close(fd) }
        guard shard == kit.name.index else { return }
        guard slotCount == buffers.slotCount else { kit.fail("an arena of \(slotCount) slots where the settings say \(buffers.slotCount)") }
        do { arena = try BlockArena(fd: fd, slotCount: slotCount, byteCount: byteCount) } catch { kit.fail("\(error)") }
        findLeftOvers()
    }

    package func listenerGiven(_ kind: ListenerKind, fd: Int32, endpoint: Endpoint) {
        if kind == .peerUDP { return utpSocketGiven(fd, endpoint) }
        guard kind == .peerTCP else { return Descriptor.close(fd) }
        listeners.append((fd, endpoint))
        if listeners.count == 1 { swarm.listening(on: endpoint.port) }
        if isReady { rearm(listeners.count - 1) }
    }

    package func start() {
        guard arena != nil else { kit.fail("Start without an arena") }
        for row in listeners.indices { rearm(row) }
        startRelay()
    }

    package func edgeOpened(_ edge: Edge) {
        switch edge.role {
        case .session: sessionOpened()
        case .disk: diskOpened(edge)
        default: break
        }
    }
    package func edgeClosed(_ edge: Edge) {
        if edge.role == .disk { diskClosed(edge, now: kit.loop.now) }
    }

    package func received(_ frame: Frame, from edge: Edge) {
        completions += 1
        do {
            switch edge.role {
            case .session: try receivedFromSession(frame, now: kit.loop.now)
            case .disk: try receivedFromDisk(frame, now: kit.loop.now)
            default: break
            }
        } catch {
            Log.log(.error, "a frame from \(edge.role.name) that cannot be read: \(error)")
        }
    }
    package func control(_ frame: Frame) {}

    // MARK: Loop

    package func completed(_ completion: Completion) {
        completions += 1
        let now = kit.loop.now
        guard let kind = PeerToken(rawValue: completion.token.kind) else { return }
        switch kind {
        case .accept: return accepted(completion, now: now)
        case .webSeed: return curl!.completed(completion)
        case .webSeedsRead: return webSeedsRead(completion.token, now: now)
        case .datagrams: return datagramsReady(completion)
        case .datagramRoom: return datagramRoom(completion)
        case .relay: return relayCompleted(completion, now: now)
        case .connect, .receive, .send: break
        }
        guard let link = link(of: completion.token) else { return }
        switch kind {
        case .receive: receiveCompleted(link, completion.result, now: now)
        case .send: sendCompleted(link, completion.result, now: now)
        case .connect: connectCompleted(link, completion.result, now: now)
        case .accept, .webSeed, .webSeedsRead, .datagrams, .datagramRoom, .relay: break
        }
    }

    package func turn(now: Instant) -> Instant {
        if now >= swarm.nextDeadline {
            swarm.tick(now: now, into: &effects)
            act(now: now)
            postIdleReceives(now: now)
            // Room in the arena or an ended receive may have come without a read.
            wakeReadWaiters()
        }
        resumeUploads()
        _ = webSeedsTurn(now: now)
        if hasRoomAgain {
            hasRoomAgain = false
            swarm.buffersReleased(now: now, into: &effects)
        }
        keepRelay(now: now)
        receiveDatagrams(now: now)
        losePatience(now: now)
        reportStats(now: now)
        resumeAccepting(now: now)
        act(now: now)
        flushDirty(now: now)
        if effects.count > 0 {
            act(now: now)
            flushDirty(now: now)
        }
        return min(
            swarm.nextDeadline, nextStats, webSeeds.isEmpty ? .never : nextWebSeedLook, curl?.nextDeadline ?? .never, patience.first?.at ?? .never,
            isDraining ? .never : relay?.nextKeep ?? .never, sendDatagrams(now: now))
    }

    /// Links that had nothing to expect when they were last posted read into the inbox; nothing to do for those that
    /// are posted. A link without a posted receive (its slots were another's) is posted again.
    private func postIdleReceives(now: Instant) {
        for link in links {
            if let link, !link.receivePosted { postReceive(link, now: now) }
        }
    }

    package func drain(deadline: Instant) {
        for link in links {
            if let link { close(link, errno: 0, now: kit.loop.now) }
        }
        // The other sides hear that it is over.
        _ = sendDatagrams(now: kit.loop.now)
        isDraining = true
        kit.drained()
    }
}
