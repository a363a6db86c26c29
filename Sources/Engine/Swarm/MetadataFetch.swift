import PeerWire
import Primitives

/// The info dictionary of a magnet link, from several peers at once (BEP 9).
///
/// Memory grows with what came, not with what was announced. After a set with a bad hash the next comes from
/// one peer alone, which proves who lies.
final class MetadataFetch {
    let size: Int
    private(set) var blocks: [[UInt8]?]
    /// Who was asked for a block, or sent it.
    private(set) var source: [PeerHandle?]
    private(set) var askedAt: [Instant]
    private(set) var received = 0
    /// The only peer that is asked, after a failure.
    let alone: PeerHandle?
    private(set) var lastProgress: Instant

    init(size: Int, alone: PeerHandle?, now: Instant) {
        self.size = size
        self.alone = alone
        let count = (size + WireLimit.metadataBlock - 1) / WireLimit.metadataBlock
        blocks = Array(repeating: nil, count: count)
        source = Array(repeating: nil, count: count)
        askedAt = Array(repeating: .zero, count: count)
        lastProgress = now
    }

    var isWhole: Bool { received == blocks.count }
    func length(of block: Int) -> Int { min(WireLimit.metadataBlock, size - block * WireLimit.metadataBlock) }

    /// A block to ask `peer` for; a block unanswered for 5 s may be asked of another.
    func next(for peer: PeerHandle, now: Instant) -> Int? {
        if let alone, alone != peer { return nil }
        for b in blocks.indices where blocks[b] == nil && (source[b] == nil || now - askedAt[b] > .seconds(5)) {
            source[b] = peer
            askedAt[b] = now
            return b
        }
        return nil
    }
    /// False when it is not what `peer` was asked for.
    func take(_ block: Int, _ bytes: UnsafeRawBufferPointer, from peer: PeerHandle, now: Instant) -> Bool {
        guard block < blocks.count, blocks[block] == nil, source[block] == peer, bytes.count == length(of: block) else { return false }
        blocks[block] = [UInt8](bytes)
        received += 1
        lastProgress = now
        return true
    }
    func refused(_ block: Int, by peer: PeerHandle) {
        if block < blocks.count, blocks[block] == nil, source[block] == peer { source[block] = nil }
    }
    /// The peer is gone: what it was asked for is free again; what it sent stays.
    func forget(_ peer: PeerHandle) {
        for b in blocks.indices where source[b] == peer && blocks[b] == nil { source[b] = nil }
    }
    var whole: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(size)
        for block in blocks { out += block! }
        return out
    }
    var sources: [PeerHandle] {
        var out: [PeerHandle] = []
        for case let peer? in source where !out.contains(peer) { out.append(peer) }
        return out
    }
}

extension Swarm {
    /// Blocks that one peer is asked for at a time.
    private static var metadataDepth: Int { 4 }

    /// Starts, continues or restarts the search for a torrent's metadata.
    func fetchMetadata(_ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard torrents[t].geometry == nil, !torrents[t].metadataDone, torrents[t].isOpenToPeers else { return }
        // No progress for 15 s: another size, or another peer.
        if let fetch = torrents[t].metadata, now - fetch.lastProgress > .seconds(15) || fetch.alone.map({ row($0) == nil }) == true {
            for q in torrents[t].peers where peers[Int(q)].metadataSize == fetch.size && fetch.received == 0 {
                peers[Int(q)].metadataRefusedUntil = now + .minutes(1)
            }
            if let alone = fetch.alone, let i = row(alone) { peers[i].metadataRefusedUntil = now + .minutes(1) }
            torrents[t].metadata = nil
        }
        if torrents[t].metadata == nil { startFetch(t, alone: false, now) }
        guard let fetch = torrents[t].metadata else { return }
        for q in torrents[t].peers where peers[Int(q)].metadataSize == fetch.size && canAsk(Int(q), now) {
            let i = Int(q)
            var asked = fetch.source.indices.reduce(0) { $0 + (fetch.blocks[$1] == nil && fetch.source[$1] == handle(i) ? 1 : 0) }
            while asked < Self.metadataDepth, let block = fetch.next(for: handle(i), now: now) {
                send(
                    i, .extended(id: peers[i].metadataID, payload: effects.keep(MetadataMessage.encodeRequest(block: UInt32(block)))), now,
                    &effects)
                asked += 1
            }
        }
    }

    private func canAsk(_ i: Int, _ now: Instant) -> Bool {
        peers[i].stage == .open && peers[i].metadataID != 0 && peers[i].metadataSize > 0 && peers[i].metadataRefusedUntil <= now
    }

    /// The size that most peers claim; alone: one peer that was not tried, at random.
    private func startFetch(_ t: Int, alone: Bool, _ now: Instant) {
        let able = torrents[t].peers.map(Int.init).filter { canAsk($0, now) }
        guard !able.isEmpty else { return }
        if alone {
            let i = able[random.below(able.count)]
            torrents[t].metadata = MetadataFetch(size: peers[i].metadataSize, alone: handle(i), now: now)
            return
        }
        var best = 0, votes = 0
        for i in able {
            let n = able.reduce(0) { $0 + (peers[$1].metadataSize == peers[i].metadataSize ? 1 : 0) }
            if n > votes { (best, votes) = (peers[i].metadataSize, n) }
        }
        torrents[t].metadata = MetadataFetch(size: best, alone: nil, now: now)
    }

    func metadataMessage(
        _ i: Int, _ t: Int, _ message: MetadataMessage, _ payload: UnsafeRawBufferPointer, _ now: Instant, _ effects: inout EffectBuffer
    ) {
        switch message {
        case .request(let block):
            let blocks = (torrents[t].metadataLength + WireLimit.metadataBlock - 1) / WireLimit.metadataBlock
            // A peer asks for a few at a time; 16 waiting are answered, more are rejected.
            guard peers[i].metadataID != 0 else { return }
            guard Int(block) < blocks, peers[i].metadataServing < 16 else {
                let reject = effects.keep(MetadataMessage.encodeReject(block: block))
                return send(i, .extended(id: peers[i].metadataID, payload: reject), now, &effects)
            }
            peers[i].metadataServing += 1
            effects.append(.metadataBlockWanted(torrent: torrents[t].id, block: block, handle(i)))
        case .reject(let block):
            torrents[t].metadata?.refused(Int(block), by: handle(i))
            peers[i].metadataRefusedUntil = now + .minutes(1)
            fetchMetadata(t, now, &effects)
        case .data(let block, let totalSize, let range):
            guard let fetch = torrents[t].metadata, totalSize == fetch.size,
                fetch.take(Int(block), range.slice(of: payload), from: handle(i), now: now)
            else { return }
            if fetch.isWhole { finishMetadata(t, fetch, now, &effects) } else { fetchMetadata(t, now, &effects) }
        }
    }

    private func finishMetadata(_ t: Int, _ fetch: MetadataFetch, _ now: Instant, _ effects: inout EffectBuffer) {
        let whole = fetch.whole
        let (v1, v2) = (torrents[t].infoHash, torrents[t].infoHashV2)
        // Every hash that the link named must be the dictionary's; a v2-only one has no SHA-1 to compare.
        let isRight = whole.withUnsafeBytes { bytes in
            (v1 == v2?.truncated || configuration.sha1(bytes) == v1)
                && v2.map { v2 in configuration.sha256.map { $0(bytes) == v2 } ?? false } ?? true
        }
        torrents[t].metadata = nil
        if isRight {
            torrents[t].metadataDone = true
            torrents[t].metadataLength = whole.count
            effects.append(.metadataFound(torrent: torrents[t].id, payload: effects.keep(whole)))
            return
        }
        // One source: it lies. Several: the next set comes from one alone.
        let sources = fetch.sources
        if sources.count == 1, let i = row(sources[0]) {
            punish(AddressKey(peers[i].endpoint), .badMetadata, now, &effects)
            close(i, .badMetadata, now, &effects)
        }
        guard torrents[t].isLive, !torrents[t].peers.isEmpty else { return }
        startFetch(t, alone: true, now)
        fetchMetadata(t, now, &effects)
    }

    /// Answers `metadataBlockWanted`; empty `bytes`: not available.
    package func metadataBlock(
        _ p: PeerHandle, torrent: TorrentID, block: UInt32, bytes: [UInt8], now: Instant, into effects: inout EffectBuffer
    ) {
        guard let i = row(p), peers[i].stage == .open, peers[i].metadataServing > 0, let t = rowOfTorrent[torrent] else { return }
        peers[i].metadataServing -= 1
        guard peers[i].metadataID != 0 else { return }
        let answer =
            bytes.isEmpty
            ? MetadataMessage.encodeReject(block: block)
            : MetadataMessage.encodeData(block: block, totalSize: torrents[Int(t)].metadataLength, bytes)
        send(i, .extended(id: peers[i].metadataID, payload: effects.keep(answer)), now, &effects)
    }
}
