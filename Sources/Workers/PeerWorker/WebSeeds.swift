import Discovery
import Glibc
import HTTPKit
import LinuxIO
import Metainfo
import Observe
import Primitives
import Supervision
import Swarm
import WebSeeds

/// The web seeds of the shard's torrents: when they take part, what is asked of them, and what their failures mean. The
/// HTTP of one of them is ``WebSeedTransfer``.
///
///     swarm ─request→ WebSeedCore ─run→ WebSeedTransfer ══HTTP══▶ server
///     swarm ◀─blockReceived── slot ◀──copy── libcurl's buffer ◀──┘
extension PeerShell {
    /// What the shell keeps of a torrent's web seeds.
    struct WebSeedRow {
        let torrent: TorrentID
        let number: UInt32
        var core: WebSeedCore
        /// Its peer in the swarm while it takes part.
        var peer: PeerHandle?
        var transfer: WebSeedTransfer?
        /// The server's, for the breaker that all its seeds share.
        let host: String
    }

    /// Web seeds of one torrent that are used; lists of hundreds are seen, and each costs a connection.
    private static let seedsPerTorrent = 16
    private static let seedsLimit = 1024
    /// A host's breakers are kept for so many hosts.
    private static let hostsLimit = 1024

    // MARK: which there are

    /// The stored .torrent says which seeds there are and how files lie; it is read on the pool. Said again when it names others: they
    /// take the place of those that were known.
    func addWebSeeds(_ id: TorrentID, metainfoPath: String, now: Instant) {
        guard torrents[id]?.geometry != nil else { return }
        // An older reading has lost its meaning.
        for (token, reading) in webSeedReadings where reading.0 == id { webSeedReadings[token] = nil }
        nextReading &+= 1
        let box = WebSeedReading(metainfoPath)
        webSeedReadings[nextReading] = (id, box)
        kit.loop.work(token: Token(kind: PeerToken.webSeedsRead.rawValue, index: nextReading, generation: 0)) {
            box.read()
            return 0
        }
    }

    func webSeedsRead(_ token: Token, now: Instant) {
        guard let (id, reading) = webSeedReadings.removeValue(forKey: token.index), let geometry = torrents[id]?.geometry, reading.isRead else { return }
        leaveWebSeeds(id, now: now) { row in !reading.seeds.prefix(Self.seedsPerTorrent).contains { $0 == row.core.kind && $1 == row.core.url } }
        guard let layout = reading.layout, layout.pieceLength == UInt64(geometry.pieceLength) else { return }
        for (kind, url) in reading.seeds.prefix(Self.seedsPerTorrent) where webSeeds.count < Self.seedsLimit {
            guard let host = Self.host(url), !webSeeds.contains(where: { $0?.torrent == id && $0?.core.kind == kind && $0?.core.url == url }) else { continue }
            webSeedCount &+= 1
            webSeeds.append(WebSeedRow(torrent: id, number: webSeedCount, core: WebSeedCore(kind: kind, url: url, layout: layout), host: host))
        }
        nextWebSeedLook = now
    }

    private static func host(_ url: String) -> String? {
        let host = url.drop { $0 != "/" }.dropFirst(2).prefix { $0 != "/" && $0 != "?" }
        return host.isEmpty ? nil : host.lowercased()
    }

    /// Those that are named no more: their peers end, and what was asked of them is asked of others.
    private func leaveWebSeeds(_ id: TorrentID, now: Instant, where isGone: (WebSeedRow) -> Bool) {
        let gone = webSeeds.indices.filter { webSeeds[$0].map { $0.torrent == id && isGone($0) } ?? false }
        let peers = gone.compactMap { webSeeds[$0]!.peer }
        for i in gone { forget(i) }
        trimWebSeeds()
        for peer in peers { swarm.closed(peer, errno: 0, now: now, into: &effects) }
    }

    /// With the torrent; the swarm lets go of its peers itself.
    func removeWebSeeds(_ id: TorrentID) {
        for i in webSeeds.indices where webSeeds[i]?.torrent == id { forget(i) }
        trimWebSeeds()
    }
    private func forget(_ i: Int) {
        if let transfer = webSeeds[i]!.transfer, let easy = transfer.easy {
            transfer.abort()
            // libcurl's callbacks know it until its end.
            endingTransfers[easy] = transfer
        }
        if let peer = webSeeds[i]!.peer { forgetLanding(peer) }
        webSeeds[i] = nil
    }
    private func trimWebSeeds() { while let last = webSeeds.last, last == nil { webSeeds.removeLast() } }

    // MARK: taking part

    private func webSeed(of peer: PeerHandle) -> Int? { webSeeds.firstIndex { $0?.peer == peer } }

    /// False: the peer is no web seed.
    func sendToWebSeed(_ peer: PeerHandle, _ message: OutgoingMessage) -> Bool {
        guard !webSeeds.isEmpty, let i = webSeed(of: peer) else { return false }
        switch message {
        case .request(let piece, let begin, let length): webSeeds[i]!.core.asked(.init(piece: piece.rawValue, begin: begin, length: length))
        case .cancel(let piece, let begin, let length): webSeeds[i]!.core.cancelled(.init(piece: piece.rawValue, begin: begin, length: length))
        // It knows nothing of choking, interest or what we have.
        default: break
        }
        return true
    }

    /// The swarm lets go of it; the slots are its no more from now on.
    func closeWebSeed(_ peer: PeerHandle, _ reason: CloseReason, now: Instant) -> Bool {
        guard !webSeeds.isEmpty, let i = webSeed(of: peer) else { return false }
        webSeeds[i]!.peer = nil
        webSeeds[i]!.transfer?.abort()
        forgetLanding(peer)
        switch reason {
        case .corruptPiece, .banned, .uselessBlocks:
            webSeeds[i]!.core.ban("what it serves is not the torrent")
            Log.log(.warning, "web seed \(webSeeds[i]!.core.url): \(webSeeds[i]!.core.trouble)")
        case .stalled: webSeeds[i]!.core.ended(.temporary("it stalled", retryAfter: nil), now: now)
        default: webSeeds[i]!.core.forget()
        }
        swarm.closed(peer, errno: 0, now: now, into: &effects)
        return true
    }

    /// Each turn: seeds whose time has come take part, and those with work and no request begin one.
    func webSeedsTurn(now: Instant) -> Instant {
        guard !webSeeds.isEmpty || !endingTransfers.isEmpty else { return .never }
        if curl == nil {
            do { curl = try CurlMulti(loop: kit.loop, kind: PeerToken.webSeed.rawValue, connections: 64, connectionsPerHost: 8) } catch {
                Log.log(.error, "web seeds: \(error)")
                webSeeds.removeAll()
                return .never
            }
        }
        curl!.turn(now: now)
        while let (easy, result) = curl!.nextEnded() { webSeedEnded(easy, result, now: now) }
        if now >= nextWebSeedLook {
            nextWebSeedLook = now + .seconds(1)
            for i in webSeeds.indices { joinWebSeed(i, now: now) }
        }
        act(now: now)
        for i in webSeeds.indices { startWebSeed(i, now: now) }
        act(now: now)
        return min(curl!.nextDeadline, nextWebSeedLook)
    }

    private func joinWebSeed(_ i: Int, now: Instant) {
        guard let seed = webSeeds[i], seed.peer == nil, seed.transfer == nil, !seed.core.isGone, now >= seed.core.restUntil, swarm.wantsWebSeeds(seed.torrent)
        else { return }
        webSeeds[i]!.peer = swarm.webSeedJoined(seed.torrent, endpoint: Swarm.webSeedEndpoint(seed.number), name: "web seed " + seed.core.url, now: now, into: &effects)
    }

    private func startWebSeed(_ i: Int, now: Instant) {
        guard let seed = webSeeds[i], seed.peer != nil, seed.transfer == nil, seed.core.hasWork else { return }
        while let peer = webSeeds[i]?.peer, let step = webSeeds[i]!.core.next() {
            switch step {
            case .zeros:
                deliverZeros(i, peer, now: now)
                webSeeds[i]?.core.ended(nil, now: now)
            case .fetch(let url, let range, let length, let isWhole):
                if let until = refusal(of: seed.host, now: now) { return leave(i, .resting(until: max(until, now + .seconds(1))), now: now) }
                let transfer = WebSeedTransfer(
                    url: url, range: range, length: length, isWhole: isWhole, rules: proxy,
                    take: { [unowned self] bytes in take(i, bytes) })
                guard transfer.start(on: curl!) else { return leave(i, .failed(.temporary("no memory for a request", retryAfter: nil)), now: now) }
                webSeeds[i]!.transfer = transfer
                return
            }
        }
    }

    /// Until when the host is not asked; nil: it may be.
    private func refusal(of host: String, now: Instant) -> Instant? {
        if webSeedHosts[host] == nil {
            if webSeedHosts.count >= Self.hostsLimit { webSeedHosts.removeAll() }
            webSeedHosts[host] = CircuitBreaker(limits: .tracker)
        }
        if case .refused(let until) = webSeedHosts[host]!.admit(now: now) { return until }
        return nil
    }

    private enum Leaving {
        case failed(WebSeedCore.Fault)
        case resting(until: Instant)
    }
    /// Out of the swarm: what was asked of it goes to others.
    private func leave(_ i: Int, _ why: Leaving, now: Instant) {
        switch why {
        case .failed(let fault): webSeeds[i]!.core.ended(fault, now: now)
        case .resting(let until): webSeeds[i]!.core.rest(until: until, "its host is at rest")
        }
        guard let peer = webSeeds[i]!.peer else { return }
        webSeeds[i]!.peer = nil
        forgetLanding(peer)
        swarm.closed(peer, errno: 0, now: now, into: &effects)
    }

    // MARK: bytes

    /// Bytes of the body, in order. False ends the transfer.
    private func take(_ i: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes[...]
        let now = kit.loop.now
        while !rest.isEmpty {
            guard let seed = webSeeds[i], let peer = seed.peer, let (block, received) = seed.core.current else { return false }
            let n = min(rest.count, Int(block.length - received))
            let target = landing(peer, block, received)
            memcpy(target, UnsafeRawBufferPointer(rebasing: rest).baseAddress!, n)
            copiedBytes += UInt64(n)
            rest = rest.dropFirst(n)
            if webSeeds[i]!.core.received(n) { settle(peer, block, now: now) }
        }
        return webSeeds[i]?.peer != nil
    }

    private func deliverZeros(_ i: Int, _ peer: PeerHandle, now: Instant) {
        while let seed = webSeeds[i], seed.peer == peer, let (block, received) = seed.core.current {
            let n = Int(block.length - received)
            // The rest of the block may stand in the next file.
            let part = Int(min(UInt64(n), seed.core.dueBytes))
            memset(landing(peer, block, received), 0, part)
            if webSeeds[i]!.core.received(part) { settle(peer, block, now: now) }
        }
    }

    /// Where byte `received` of the block goes: into its slot when this peer alone was asked, else beside it.
    private func landing(_ peer: PeerHandle, _ block: WebSeedCore.Block, _ received: UInt32) -> UnsafeMutableRawPointer {
        if received == 0 {
            if case .direct(let slot) = swarm.destination(peer, piece: block.piece, begin: block.begin, length: block.length) {
                landingOf[peer.index] = arena.slot(slot)
            } else {
                landingOf[peer.index] = nil
            }
        }
        return (landingOf[peer.index] ?? webSeedBin(peer)) + Int(received)
    }
    /// A block's worth of memory for each seed whose block is not received directly.
    private func webSeedBin(_ peer: PeerHandle) -> UnsafeMutableRawPointer {
        if let bin = webSeedBins[peer.index] { return bin }
        let bin = UnsafeMutableRawPointer.allocate(byteCount: Int(PieceGeometry.blockLength), alignment: 64)
        webSeedBins[peer.index] = bin
        return bin
    }

    private func forgetLanding(_ peer: PeerHandle) {
        landingOf[peer.index] = nil
        webSeedBins.removeValue(forKey: peer.index)?.deallocate()
    }

    private func settle(_ peer: PeerHandle, _ block: WebSeedCore.Block, now: Instant) {
        let direct = landingOf.removeValue(forKey: peer.index)
        switch swarm.destination(peer, piece: block.piece, begin: block.begin, length: block.length) {
        case .direct(let slot) where direct == arena.slot(slot):
            arena.setReceived(slot)
            swarm.blockReceived(peer, piece: block.piece, begin: block.begin, length: block.length, now: now, into: &effects)
        case .direct(let slot) where direct == nil, .copy(let slot) where direct == nil:
            memcpy(arena.slot(slot), webSeedBin(peer), Int(block.length))
            arena.setReceived(slot)
            swarm.blockReceived(peer, piece: block.piece, begin: block.begin, length: block.length, now: now, into: &effects)
        default: swarm.blockDiscarded(peer, piece: block.piece, begin: block.begin, length: block.length, now: now, into: &effects)
        }
        act(now: now)
    }

    // MARK: ends

    func webSeedEnded(_ easy: UnsafeMutableRawPointer, _ result: WebSeedTransfer.Code, now: Instant) {
        guard let i = webSeeds.firstIndex(where: { $0?.transfer?.easy == easy }), let transfer = webSeeds[i]!.transfer else {
            // Its torrent is gone.
            _ = endingTransfers.removeValue(forKey: easy)?.finish(result, on: curl!)
            return
        }
        let outcome = transfer.finish(result, on: curl!)
        let host = webSeeds[i]!.host
        if case .redirected = outcome, webSeeds[i]!.peer != nil {
            if transfer.start(on: curl!) { return }
        }
        webSeeds[i]!.transfer = nil
        if case .failed(.temporary(let why, _)) = outcome, webSeeds[i]!.peer != nil {
            _ = webSeedHosts[host]?.failed(why, now: now, random: &webSeedRandom)
        } else {
            // A wrong answer is an answer: the host is there.
            _ = webSeedHosts[host]?.succeeded(took: .zero, now: now, random: &webSeedRandom)
        }
        // The swarm let go of it while the request was under way.
        guard webSeeds[i]!.peer != nil else { return }
        switch outcome {
        case .complete:
            webSeeds[i]!.core.ended(nil, now: now)
            if webSeeds[i]!.core.isGone { fail(i, .permanent(webSeeds[i]!.core.trouble), now: now) }
        case .redirected: fail(i, .temporary("no memory for a request", retryAfter: nil), now: now)
        case .failed(let fault): fail(i, fault, now: now)
        }
    }

    private func fail(_ i: Int, _ fault: WebSeedCore.Fault, now: Instant) {
        leave(i, .failed(fault), now: now)
        let core = webSeeds[i]!.core
        Log.log(.info, "web seed \(core.url): \(core.trouble)\(core.isGone ? "; it is not asked again" : "")")
    }
}

/// Read on the pool, looked at on the loop after its completion.
final class WebSeedReading: @unchecked Sendable {
    private let path: String
    private(set) var layout: WebSeedLayout?
    private(set) var seeds: [(WebSeedCore.Kind, String)] = []
    private(set) var isRead = false

    init(_ path: String) { self.path = path }

    func read() {
        // As large as the session stores them.
        guard let bytes = Self.bytes(path, limit: 40 << 20), let m = try? Metainfo(parsing: bytes) else { return }
        isRead = true
        let http = { (url: String) in url.lowercased().hasPrefix("http://") || url.lowercased().hasPrefix("https://") }
        seeds = m.webSeeds.filter(http).map { (.getRight, $0) } + m.httpSeeds.filter(http).map { (.hoffman, $0) }
        guard !seeds.isEmpty else { return }
        layout = WebSeedLayout(
            name: m.name, isMultiFile: m.isMultiFile, infoHash: m.infoHash, pieceLength: m.geometry.pieceLength,
            files: m.files.map { file in
                .init(
                    path: m.isMultiFile && !file.isPad ? file.path.split(separator: "/").dropFirst().map(String.init) : [], offset: file.offset, length: file.length,
                    isPad: file.isPad)
            })
    }

    private static func bytes(_ path: String, limit: Int) -> [UInt8]? {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var status = stat()
        guard fstat(fd, &status) == 0, status.st_size <= limit else { return nil }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size)), count = 0
        while count < bytes.count {
            let n = bytes.withUnsafeMutableBytes { Glibc.read(fd, $0.baseAddress! + count, $0.count - count) }
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return nil }
            count += n
        }
        return bytes
    }
}
