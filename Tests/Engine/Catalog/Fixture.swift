import Primitives

@testable import Catalog

/// A catalogue with a clock and a store that the test commits or fails by hand.
struct Fixture {
    var core: CatalogCore
    var now = Instant(nanoseconds: 1_000_000_000)
    var token: UInt64 = 0
    /// What the store holds.
    var stored: [UInt32: TorrentRecord] = [:]
    var durable: [UInt32: [UInt8]] = [:]
    var nextID: UInt32 = 1

    static let pieceCount: UInt32 = 10

    init(_ configuration: CatalogConfiguration = CatalogConfiguration(), records: [(TorrentRecord, Bitfield?)] = []) {
        core = CatalogCore(configuration: configuration, records: records, nextID: 1)
        core.wallSeconds = 1_700_000_000
    }

    static func facts(_ n: Int, name: String? = nil, isPrivate: Bool = false, metadata: Bool = true) -> TorrentFacts {
        var bytes = [UInt8](repeating: 0, count: 20)
        bytes[18] = UInt8(n >> 8)
        bytes[19] = UInt8(n & 255)
        let hash = InfoHash(bytes)!
        guard metadata else { return TorrentFacts(infoHash: hash, name: name ?? "t\(n)", trackers: [["http://t/a"]]) }
        return TorrentFacts(
            infoHash: hash, name: name ?? "t\(n)", rootName: name ?? "t\(n)", totalLength: UInt64(pieceCount - 1) * 16384 + 100,
            pieceLength: 16384, pieceCount: pieceCount, fileCount: 1, isPrivate: isPrivate, metadataOffset: 10, metadataLength: 300,
            trackers: [["http://t/a"], ["udp://t:1"]])
    }

    @discardableResult mutating func send(_ event: CatalogEvent) -> [CatalogEffect] {
        var effects: [CatalogEffect] = []
        core.handle(event, now: now, into: &effects)
        core.checkInvariants()
        return effects
    }
    /// Runs what is due and commits it; the effects of all of it.
    @discardableResult mutating func turn(committing: Bool = true, fail: String? = nil) -> [CatalogEffect] {
        var effects: [CatalogEffect] = []
        _ = core.turn(now: now, into: &effects)
        guard committing, let batch = core.takeBatch(now: now) else { return effects }
        if let fail {
            core.handle(.commitFailed(fail), now: now, into: &effects)
        } else {
            for record in batch.puts { stored[record.id.rawValue] = record }
            for d in batch.durables { durable[d.torrent.rawValue] = d.bytes }
            for c in batch.counters {
                stored[c.torrent.rawValue]?.counters = c.counters
                stored[c.torrent.rawValue]?.activity = c.activity
            }
            for id in batch.deletes {
                stored[id.rawValue] = nil
                durable[id.rawValue] = nil
            }
            nextID = batch.nextID
            core.handle(.committed, now: now, into: &effects)
        }
        _ = core.turn(now: now, into: &effects)
        core.checkInvariants()
        return effects
    }
    mutating func wait(_ span: TimeSpan) { now += span }

    /// Sends a command and commits it; effects without the phase changes.
    @discardableResult mutating func command(_ command: CatalogCommand) -> [CatalogEffect] {
        token += 1
        let first = send(.command(token: token, command))
        return first + turn()
    }
    @discardableResult mutating func add(_ facts: TorrentFacts, save: String = "/d", paused: Bool = false) -> TorrentID {
        let effects = command(.add(NewTorrent(facts: facts, savePath: save, isPaused: paused)))
        for case .answer(_, let id, nil) in effects { return id }
        fatalError("not added: \(effects)")
    }
    mutating func open(_ link: CatalogLink, _ generation: UInt32 = 1) -> [CatalogEffect] {
        send(.linkOpened(link, Generation(rawValue: generation)))
        var effects: [CatalogEffect] = []
        while !core.replay(link, budget: 3, into: &effects) {}
        return effects
    }
    mutating func openAll() {
        for link in [CatalogLink.disk(0), .peer(0), .discovery] { _ = open(link) }
    }
    @discardableResult mutating func disk(_ id: TorrentID, _ condition: DiskReport.Condition, have: UInt32 = 0, message: String = "") -> [CatalogEffect] {
        let bytes = have == Self.pieceCount ? UInt64(Self.pieceCount - 1) * 16384 + 100 : UInt64(have) * 16384
        return send(.disk(id, DiskReport(condition, piecesHave: have, bytesHave: bytes, piecesChecked: have, message: message)))
    }
    mutating func peers(_ id: TorrentID, generation: UInt32, _ down: UInt64, _ up: UInt64 = 0) {
        send(
            .peers(
                shard: 0, Generation(rawValue: generation),
                [PeerReport(torrent: id, counters: TransferCounters(downloaded: down, uploaded: up), downRate: 1, upRate: 1, peers: 1, seeds: 0)]))
    }
    func phase(_ id: TorrentID) -> TorrentPhase { core.row(id)!.phase }

    /// A new session over what is stored.
    func reopened(sameRun: Bool, isUnclean: Bool = true) -> Fixture {
        var records: [(TorrentRecord, Bitfield?)] = []
        for (id, var record) in stored {
            let c = record.counters
            record.counters = LifeCounters(total: c.total, generation: c.generation, mark: c.mark, sameRun: sameRun)
            records.append((record, durable[id].flatMap { Bitfield(wire: $0, count: Int(record.facts.pieceCount)) }))
        }
        var next = Fixture(CatalogConfiguration(isUnclean: isUnclean), records: records)
        next.core.nextID = max(next.core.nextID, nextID)
        next.stored = stored
        next.durable = durable
        return next
    }
}

extension [CatalogEffect] {
    var answers: [CatalogRefusal?] {
        compactMap { if case .answer(_, _, let refusal) = $0 { .some(refusal) } else { nil } }
    }
}
