import Primitives

/// Where somebody plays, and how fast: the pieces ahead of it have deadlines.
struct Stream {
    /// Players read a film in several places at a time: its index at the end, and where it is played.
    static let perTorrent = 4

    /// Who plays; 0: somebody without a number.
    var reader: UInt32 = 0
    /// When it last said where it is.
    var heard = Instant.zero
    /// Bytes of the torrent: the one played now, and one past the last of the file.
    var offset: UInt64
    var end: UInt64
    /// When `offset` was played.
    var at: Instant
    /// Bytes per second, from how the position moves.
    var rate: Double

    /// Until the position has moved; a film of 8 Mbit/s.
    static let usualRate = 1_000_000.0
    /// What is fetched ahead: this long, and within these bounds.
    static let secondsAhead = 20.0
    static let least: UInt64 = 4 << 20
    static let most: UInt64 = 64 << 20
    /// A player that says nothing for so long is gone.
    var lifetime: TimeSpan { .seconds(reader == 0 ? 60 : 10) }

    /// The player is at `offset` now; whether it has jumped there. A jump teaches nothing of the rate.
    @discardableResult
    mutating func moved(to offset: UInt64, end: UInt64, now: Instant) -> Bool {
        let elapsed = (now - at).seconds, isJump = end != self.end || offset < self.offset || offset - self.offset > Self.least
        if end == self.end, offset > self.offset, offset - self.offset < Self.most, elapsed >= 0.5 {
            let sample = Double(offset - self.offset) / elapsed
            rate = min(max(rate + 0.3 * (sample - rate), 50_000), 20_000_000)
        }
        if elapsed >= 0.5 || offset < self.offset || end != self.end { at = now }
        (self.offset, self.end) = (offset, end)
        return isJump
    }

    func pieces(_ geometry: PieceGeometry) -> Range<Int> {
        let ahead = min(max(UInt64(rate * Self.secondsAhead), Self.least), Self.most), size = UInt64(geometry.pieceLength)
        let stop = min(end, offset + ahead, geometry.totalLength)
        guard offset < stop else { return 0..<0 }
        return Int(offset / size)..<Int((stop - 1) / size) + 1
    }
    /// When the piece is played.
    func deadline(_ piece: Int, _ geometry: PieceGeometry) -> Instant {
        let start = UInt64(piece) * UInt64(geometry.pieceLength)
        return at + .seconds(start > offset ? Double(start - offset) / rate : 0)
    }
}

/// Streaming: pieces by the time at which they are played. The first of them go to peers that can deliver in time, slower
/// peers take later ones; a block that is late although it was asked for is asked of a faster peer too.
extension Swarm {
    /// Somebody plays: `offset` and `end` in bytes of the torrent. Said again as the position moves. A `reader` but 0 is gone when it
    /// says nothing for 10 s, and at once by ``positionEnded(_:reader:now:into:)``.
    package func position(_ id: TorrentID, reader: UInt32 = 0, offset: UInt64, end: UInt64, now: Instant, into effects: inout EffectBuffer) {
        guard let t = rowOfTorrent[id].map(Int.init), let geometry = torrents[t].geometry, offset < end, end <= geometry.totalLength else { return }
        var at = torrents[t].streams.firstIndex { $0.reader == reader } ?? torrents[t].streams.count
        if at == Stream.perTorrent {
            at = torrents[t].streams.indices.min { torrents[t].streams[$0].heard < torrents[t].streams[$1].heard }!
            torrents[t].streams.remove(at: at)
            at = torrents[t].streams.count
        }
        let isNew = at == torrents[t].streams.count
        if isNew { torrents[t].streams.append(Stream(reader: reader, offset: offset, end: end, at: now, rate: Stream.usualRate)) }
        let isJump = torrents[t].streams[at].moved(to: offset, end: end, now: now)
        torrents[t].streams[at].heard = now
        if isNew || isJump {
            torrents[t].playEpoch &+= 1
            giveWay(t, to: torrents[t].streams[at], now, &effects)
        }
        for q in torrents[t].peers { peers[Int(q)].nothingAtEpoch = nil }
        fillAll(t, now, &effects)
    }

    /// Bytes from `offset` on that stand in the files, hashed and written, up to `end`. 0 for a torrent that is not here.
    package func readable(_ id: TorrentID, from offset: UInt64, to end: UInt64) -> UInt64 {
        guard let t = rowOfTorrent[id].map(Int.init), let geometry = torrents[t].geometry, offset < end, end <= geometry.totalLength, let written = written(id) else { return 0 }
        return written.readable(from: offset, to: end, pieceLength: geometry.pieceLength)
    }

    /// Once a second.
    func endStream(_ t: Int, _ now: Instant) {
        if !torrents[t].streams.isEmpty { torrents[t].streams.removeAll { now - $0.heard > $0.lifetime } }
    }
    /// It may have jumped: many players open the new place before they close the old one. What was asked for the old one gives way.
    package func positionEnded(_ id: TorrentID, reader: UInt32, now: Instant, into effects: inout EffectBuffer) {
        guard let t = rowOfTorrent[id].map(Int.init), torrents[t].streams.contains(where: { $0.reader == reader }) else { return }
        torrents[t].streams.removeAll { $0.reader == reader }
        torrents[t].playEpoch &+= 1
        for stream in torrents[t].streams { giveWay(t, to: stream, now, &effects) }
        fillAll(t, now, &effects)
    }

    /// What the peer goes on with or begins for the players: of the pieces that are ahead of one of them, the one that is due first.
    /// nil: there is none for it.
    func pieceToPlay(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) -> Int? {
        guard !peers[i].isChoking, !peers[i].onParole, let geometry = torrents[t].geometry else { return nil }
        let me = handle(i)
        var begun: (row: Int, due: Instant)?
        var o = torrents[t].unaskedBlocks > 0 ? torrents[t].openHead : -1
        while o >= 0 {
            let at = Int(o)
            o = open[at].next
            guard open[at].stage == .filling, open[at].unasked > 0, !open[at].isSolo, open[at].admits(me), peers[i].have.contains(open[at].piece.int),
                let due = playback(open[at].piece.int, t, geometry), begun.map({ due < $0.due }) ?? true,
                open[at].owner == me || ownership(at, now) != .busy
            else { continue }
            begun = (at, due)
        }
        if mayOpen(t), let picker = torrents[t].picker, let fresh = pickForPlayback(i, t, picker, now), begun.map({ fresh.deadline < $0.due }) ?? true,
            let row = begin(fresh.piece, i, t, &effects)
        {
            return row
        }
        if let begun { adopt(begun.row, by: i) }
        return begun?.row
    }

    /// Of all players, the piece that is due first among those that nobody has begun. One that this peer would deliver too late is left
    /// to a peer that is twice as fast, if there is one.
    private func pickForPlayback(_ i: Int, _ t: Int, _ picker: Picker, _ now: Instant) -> (piece: Int, deadline: Instant)? {
        let geometry = torrents[t].geometry!
        // What is asked already comes before it.
        let rate = peers[i].downRate
        let queued = Double(peers[i].pending) * Double(PieceGeometry.blockLength)
        var fastest = i
        for q in torrents[t].peers where !peers[Int(q)].isChoking && peers[Int(q)].downRate > peers[fastest].downRate { fastest = Int(q) }
        let isFastEnough = peers[fastest].downRate <= 2 * rate
        var first: (piece: Int, deadline: Instant)?, last: (piece: Int, deadline: Instant)?
        for s in torrents[t].streams.indices {
            let stream = torrents[t].streams[s]
            for piece in stream.pieces(geometry) where picker.isPickable(piece) && peers[i].have.contains(piece) {
                let ready = rate > 0 ? now + .seconds((queued + Double(geometry.length(of: PieceIndex(piece)))) / rate) : now, deadline = stream.deadline(piece, geometry)
                if ready <= max(deadline, now + .seconds(1)) || isFastEnough || !peers[fastest].have.contains(piece) {
                    if first == nil || deadline < first!.deadline { first = (piece, deadline) }
                    break
                }
                if last == nil || deadline > last!.deadline { last = (piece, deadline) }
            }
        }
        // Too slow for all of them: the one with the most time left.
        return first ?? last
    }

    /// When the first player comes to the piece; nil: it is ahead of none.
    func playback(_ piece: Int, _ t: Int, _ geometry: PieceGeometry) -> Instant? {
        var due: Instant?
        for s in torrents[t].streams.indices where torrents[t].streams[s].pieces(geometry).contains(piece) {
            due = min(due ?? .never, torrents[t].streams[s].deadline(piece, geometry))
        }
        return due
    }

    /// Blocks of a piece that is due within two seconds, asked of a peer that is at most half as fast as this one.
    func rescueLate(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard !torrents[t].streams.isEmpty, !peers[i].isChoking, !peers[i].onParole, peers[i].timeouts == 0, peers[i].downRate > 0,
            let geometry = torrents[t].geometry, configuration.endgameDuplicates > 1
        else { return }
        let me = handle(i), limit = min(peers[i].depth, 16)
        var o = torrents[t].openHead
        while o >= 0, peers[i].pending < limit {
            let at = Int(o)
            o = open[at].next
            guard open[at].stage == .filling, open[at].unasked == 0, !open[at].isSolo, open[at].admits(me),
                peers[i].have.contains(open[at].piece.int), let due = playback(open[at].piece.int, t, geometry), due - now < .seconds(2),
                now - open[at].lastAskedAt > .milliseconds(300), let j = row(open[at].owner), j != i, peers[j].downRate * 2 < peers[i].downRate
            else { continue }
            for block in 0..<open[at].blockCount where peers[i].pending < limit {
                let b = open[at].blocks[Int(block)]
                guard b.state == .asked || b.state == .shared, Int(b.askers) < configuration.endgameDuplicates,
                    peers[i].requests.index(open: Int32(at), block: block) == nil, share(t, at, block, &effects)
                else { continue }
                ask(i, t, at, block, now, &effects)
            }
        }
    }
}
