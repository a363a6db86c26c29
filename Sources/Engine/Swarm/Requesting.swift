import Buffers
import Primitives

/// What to ask a peer for.
///
/// Order: what players are about to need; the rest of the piece that it is on; a piece that its peer left; a new piece, the
/// rarest first; a piece whose peer is slow; in endgame, blocks that another peer was asked for already.
extension Swarm {
    /// Requests until the peer's pipeline is full or nothing is left for it.
    func fill(_ i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard peers[i].stage == .open, peers[i].amInterested, peers[i].pending < peers[i].depth else { return }
        let t = Int(peers[i].torrent)
        guard torrents[t].isDownloading, peers[i].pausedUntil <= now else { return }
        if peers[i].isChoking, peers[i].allowedFast.isEmpty { return }
        while peers[i].pending < peers[i].depth, mayAskMore(i, now), let o = pieceToAsk(i, t, now, &effects) {
            var budget = peers[i].depth - peers[i].pending
            while budget > 0, mayAskMore(i, now), let block = open[o].firstMissing() {
                ask(i, t, o, block, now, &effects)
                budget -= 1
            }
        }
        if peers[i].pending < peers[i].depth {
            if !torrents[t].streams.isEmpty { rescueLate(i, t, now, &effects) }
            endgame(i, t, now, &effects)
        }
        if downTree.isActive { settleAllowance(i, now) }
    }

    func ask(_ i: Int, _ t: Int, _ o: Int, _ block: UInt32, _ now: Instant, _ effects: inout EffectBuffer) {
        if peers[i].pending == 0 { peers[i].waitingSince = now }
        if open[o].blocks[Int(block)].state == .missing {
            open[o].blocks[Int(block)].state = .asked
            open[o].unasked -= 1
            torrents[t].unaskedBlocks -= 1
        }
        open[o].blocks[Int(block)].askers += 1
        open[o].lastAskedAt = now
        torrents[t].inFlight += 1
        noteChange(t)
        peers[i].requests.append(Request(open: Int32(o), block: block, askedAt: now))
        chargeRequest(i, open[o].blockLength(block))
        send(
            i, .request(piece: open[o].piece, begin: block * PieceGeometry.blockLength, length: open[o].blockLength(block)), now, &effects)
    }

    /// An open piece with a block that nobody was asked for, for this peer.
    private func pieceToAsk(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) -> Int? {
        let me = handle(i)
        let current = Int(peers[i].current)
        let goesOn =
            current >= 0 && open[current].generation == peers[i].currentGeneration && open[current].stage == .filling && open[current].unasked > 0
            && open[current].admits(me) && mayAsk(i, open[current].piece)
        if torrents[t].streams.isEmpty {
            if goesOn { return current }
        } else {
            if goesOn, peers[i].playEpoch == torrents[t].playEpoch { return current }
            peers[i].playEpoch = torrents[t].playEpoch
            if let due = pieceToPlay(i, t, now, &effects) { return due }
            if goesOn { return current }
        }
        // Few buffers left: finish what is open before opening more.
        let isTight = buffers.availableSlots < buffers.slotCount / 4 && torrents[t].fillingCount >= 2
        var slow: Int?
        if torrents[t].unaskedBlocks > 0 {
            var o = torrents[t].openHead
            while o >= 0 {
                let at = Int(o)
                o = open[at].next
                guard open[at].stage == .filling, open[at].unasked > 0, open[at].admits(me), !peers[i].onParole || open[at].isSolo,
                    peers[i].have.contains(open[at].piece.int), mayAsk(i, open[at].piece)
                else { continue }
                switch ownership(at, now) {
                case .left:
                    adopt(at, by: i)
                    return at
                case .slow: if slow == nil { slow = at }
                case .busy: if isTight, slow == nil { slow = at }
                }
            }
        }
        if isTight, let slow { return slow }
        if let fresh = openPiece(i, t, now, &effects) { return fresh }
        if let slow { return slow }
        guard torrents[t].unaskedBlocks > 0 else { return nil }
        if let shared = anyAdmitting(i, t) { return shared }
        return giveUpStuck(i, t, now, &effects) ? openPiece(i, t, now, &effects) : nil
    }

    /// A piece that others began and nobody may end: all who could are on parole, or its list of contributors is full and
    /// they are gone. Whoever may supply a piece that was left takes it at once; so after 5 s it is thrown away, and this
    /// peer can begin it anew.
    private func giveUpStuck(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) -> Bool {
        var o = torrents[t].openHead
        while o >= 0 {
            let at = Int(o)
            o = open[at].next
            guard open[at].stage == .filling, open[at].unasked > 0, open[at].received + open[at].unasked == open[at].blockCount,
                now - open[at].lastAskedAt > .seconds(5), ownership(at, now) == .left, peers[i].have.contains(open[at].piece.int),
                mayAsk(i, open[at].piece)
            else { continue }
            let kept = Int(open[at].received) * Int(PieceGeometry.blockLength)
            torrents[t].downloadedAgain += UInt64(min(kept, Int(open[at].length)))
            noteChange(t)
            abandon(at, &effects)
            return true
        }
        return false
    }

    enum Ownership { case left, slow, busy }

    /// Whether the peer that a piece was given to still works on it.
    func ownership(_ o: Int, _ now: Instant) -> Ownership {
        guard let j = row(open[o].owner), peers[j].stage == .open, !peers[j].isChoking || !peers[j].allowedFast.isEmpty,
            Int(peers[j].current) == o, peers[j].currentGeneration == open[o].generation
        else { return .left }
        if peers[j].isSnubbed || peers[j].timeouts > 0 || peers[j].pausedUntil > now { return .slow }
        let rest = Double(open[o].blockCount - open[o].received) * Double(PieceGeometry.blockLength)
        if peers[j].downRate <= 0 { return now - peers[j].waitingSince > .seconds(2) ? .slow : .busy }
        return rest / peers[j].downRate > 5 ? .slow : .busy
    }

    func adopt(_ o: Int, by i: Int) {
        open[o].owner = handle(i)
        peers[i].current = Int32(o)
        peers[i].currentGeneration = open[o].generation
    }

    /// While choked only the allowed-fast pieces (BEP 6).
    private func mayAsk(_ i: Int, _ piece: PieceIndex) -> Bool {
        !peers[i].isChoking || peers[i].allowedFast.contains(piece.rawValue)
    }

    /// Nothing new can be begun: help with whatever is open.
    private func anyAdmitting(_ i: Int, _ t: Int) -> Int? {
        let me = handle(i)
        var o = torrents[t].openHead
        while o >= 0 {
            let at = Int(o)
            if open[at].stage == .filling, open[at].unasked > 0, open[at].admits(me), !peers[i].onParole || open[at].isSolo,
                peers[i].have.contains(open[at].piece.int), mayAsk(i, open[at].piece)
            {
                return at
            }
            o = open[at].next
        }
        return nil
    }

    private func openPiece(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) -> Int? {
        guard mayOpen(t), let picker = torrents[t].picker, peers[i].nothingAtEpoch != picker.epoch else { return nil }
        guard let piece = pick(i, t, picker) else {
            if !peers[i].isChoking { peers[i].nothingAtEpoch = picker.epoch }
            return nil
        }
        return begin(piece, i, t, &effects)
    }

    func mayOpen(_ t: Int) -> Bool { !torrents[t].isStarved && torrents[t].picker.map { $0.pickable > 0 } ?? false && (freeOpen.count > 0 || openRows < maxOpen) }

    /// nil: there is no buffer for it.
    func begin(_ piece: Int, _ i: Int, _ t: Int, _ effects: inout EffectBuffer) -> Int? {
        peers[i].lastPicked = piece
        let index = PieceIndex(piece), geometry = torrents[t].geometry!
        let slots = geometry.slotCount(of: index)
        guard let first = buffers.openPiece(torrent: torrents[t].id, piece: index, slots: slots) else {
            starve(t)
            return nil
        }
        let o = enter(t, index, first)
        open[o].isSolo = peers[i].onParole
        adopt(o, by: i)
        effects.append(
            .bufferOpened(torrent: torrents[t].id, piece: index, firstSlot: first, slotCount: slots, length: open[o].length))
        return o
    }

    private func pick(_ i: Int, _ t: Int, _ picker: Picker) -> Int? {
        if peers[i].isChoking {
            for piece in peers[i].allowedFast where picker.isPickable(Int(piece)) && peers[i].have.contains(Int(piece)) { return Int(piece) }
            return nil
        }
        if let next = nextOfRun(i, picker) { return next }
        return choose(i, t, picker)
    }

    /// A row for a piece whose run is taken; out of the picker, into the torrent's list.
    func enter(_ t: Int, _ piece: PieceIndex, _ first: SlotIndex) -> Int {
        let o: Int
        if let free = freeOpen.popLast() {
            o = Int(free)
        } else {
            precondition(openRows < maxOpen)
            o = openRows
            (open + o).initialize(to: OpenPiece())
            openRows += 1
        }
        let geometry = torrents[t].geometry!
        open[o].open(
            torrent: Int32(t), piece: piece, firstSlot: first, length: geometry.length(of: piece), blockCount: geometry.blockCount(of: piece))
        if let picker = torrents[t].picker, picker.isPickable(piece.int) { picker.remove(piece.int) }
        open[o].next = torrents[t].openHead
        if torrents[t].openHead >= 0 { open[Int(torrents[t].openHead)].previous = Int32(o) }
        torrents[t].openHead = Int32(o)
        torrents[t].openCount += 1
        torrents[t].fillingCount += 1
        torrents[t].unaskedBlocks += Int(open[o].blockCount)
        return o
    }

    /// Waits for a buffer; the first that lacked one is helped first.
    func starve(_ t: Int) {
        guard !torrents[t].isStarved else { return }
        torrents[t].isStarved = true
        starved.append(Int32(t))
    }

    /// Room came back in `Buffers` other than by this object's own doing (a read ended, a served block was let go).
    package func buffersReleased(now: Instant, into effects: inout EffectBuffer) { feedStarved(now, &effects) }

    func feedStarved(_ now: Instant, _ effects: inout EffectBuffer) {
        guard !starved.isEmpty else { return }
        let waiting = starved
        starved.removeAll(keepingCapacity: true)
        for t in waiting where torrents[Int(t)].isStarved {
            torrents[Int(t)].isStarved = false
            fillAll(Int(t), now, &effects)
        }
    }

    /// Every peer of the torrent gets its chance, from a random one on.
    func fillAll(_ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard torrents[t].isDownloading, !torrents[t].peers.isEmpty else { return }
        let count = torrents[t].peers.count
        var k = random.below(count)
        for _ in 0..<count {
            fill(Int(torrents[t].peers[k]), now, &effects)
            k = k + 1 == count ? 0 : k + 1
        }
    }

    // MARK: Endgame

    /// Half of what a peer sends in a second lies in its socket's buffer as a rule, where a cancel does not reach it
    /// (libtorrent's send_buffer_watermark_factor is 50 %): a second copy of that is wasted and comes no sooner.
    private static let onItsWay = 0.5

    /// Every block left is asked for: ask a second peer for those that will not come soon.
    /// Not for a piece asked about in the last 300 ms, which is probably on its way; a peer on parole works alone.
    private func endgame(_ i: Int, _ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard torrents[t].unaskedBlocks == 0, !peers[i].isChoking, !peers[i].onParole, peers[i].timeouts == 0, torrents[t].fillingCount > 0,
            configuration.endgameDuplicates > 1, torrents[t].picker?.pickable == 0
        else { return }
        let me = handle(i), limit = min(peers[i].depth, 16)
        let total = torrents[t].have.total
        let isNear = torrents[t].fillingCount <= 4 || Double(total - torrents[t].fillingCount) >= configuration.endgameThreshold * Double(total)
        for q in torrents[t].peers {
            let j = Int(q)
            guard j != i else { continue }
            let silence = now - peers[j].lastBlockAt
            if !isNear, silence < .seconds(2) { continue }
            let soon = silence < .milliseconds(500) ? Int(peers[j].downRate * Self.onItsWay / Double(PieceGeometry.blockLength)) : 0
            var at = 0
            // Asking for one block of a piece is no reason against its next.
            var asking: Int32 = -1
            while at < peers[j].requests.count {
                guard peers[i].pending < limit else { return }
                let request = peers[j].requests[at], o = Int(request.open)
                at += 1
                guard at > soon || request.isCancelled, open[o].stage == .filling, !open[o].isSolo, open[o].admits(me), peers[i].have.contains(open[o].piece.int),
                    request.open == asking || now - open[o].lastAskedAt > .milliseconds(300)
                else { continue }
                asking = request.open
                let b = open[o].blocks[Int(request.block)]
                guard b.state == .asked || b.state == .shared,
                    isNear && Int(b.askers) < configuration.endgameDuplicates || isHopeless(i, t, o, request.block, now),
                    peers[i].requests.index(open: request.open, block: request.block) == nil, mayAskMore(i, now),
                    share(t, o, request.block, &effects)
                else { continue }
                ask(i, t, o, request.block, now, &effects)
            }
        }
    }

    /// `i` delivers, and none of those who were asked for the block did so in the last two seconds: one more copy is no waste.
    private func isHopeless(_ i: Int, _ t: Int, _ o: Int, _ block: UInt32, _ now: Instant) -> Bool {
        guard now - peers[i].lastBlockAt < .seconds(2), open[o].blocks[Int(block)].askers < .max else { return false }
        for q in torrents[t].peers where peers[Int(q)].requests.index(open: Int32(o), block: block) != nil {
            if now - peers[Int(q)].lastBlockAt < .seconds(2) { return false }
        }
        return true
    }

    /// Makes an asked block shared. False when its peer is receiving it, or may be: then that receive is ended first.
    func share(_ t: Int, _ o: Int, _ block: UInt32, _ effects: inout EffectBuffer) -> Bool {
        if open[o].blocks[Int(block)].state == .shared { return true }
        for q in torrents[t].peers {
            let j = Int(q)
            guard let at = peers[j].requests.index(open: Int32(o), block: block) else { continue }
            if peers[j].inBlock, at == 0 { return false }
            if isPinning(j, o) {
                disarm(j, for: .endgame, &effects)
                return false
            }
            open[o].blocks[Int(block)].state = .shared
            return true
        }
        return false
    }

    /// The receive of `i` ended: all that it was asked for alone may now be asked of others.
    func shareRequests(_ i: Int) {
        for at in 0..<peers[i].requests.count where !(at == 0 && peers[i].inBlock) {
            let request = peers[i].requests[at]
            open[Int(request.open)].blocks[Int(request.block)].state = .shared
        }
    }

    func isPinning(_ i: Int, _ o: Int) -> Bool {
        for k in 0..<peers[i].pinnedCount where Int(peers[i].pinned![k]) == o { return true }
        return false
    }

    // MARK: Giving requests up

    /// The `at`-th request of `i` will not be answered. The block can be asked of others.
    func dropRequest(_ i: Int, at: Int) {
        let request = peers[i].takeRequest(at: at)
        if at == 0 { peers[i].inBlock = false }
        let o = Int(request.open), t = Int(open[o].torrent), block = Int(request.block)
        torrents[t].inFlight -= 1
        noteChange(t)
        open[o].blocks[block].askers -= 1
        refundRequest(i, open[o].blockLength(request.block))
        guard open[o].blocks[block].askers == 0, open[o].stage == .filling else { return }
        open[o].blocks[block].state = .missing
        open[o].unasked += 1
        open[o].cursor = min(open[o].cursor, request.block)
        torrents[t].unaskedBlocks += 1
    }

    func dropAllRequests(_ i: Int) {
        while peers[i].requests.count > 0 { dropRequest(i, at: peers[i].requests.count - 1) }
    }

    /// Timed out: everything but the block that is coming in is cancelled.
    func giveUpRequests(_ i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        let keep = peers[i].inBlock ? 1 : 0
        while peers[i].requests.count > keep {
            let at = peers[i].requests.count - 1, request = peers[i].requests[at]
            if !request.isCancelled { cancel(i, request, now, &effects) }
            peers[i].forgiven += 1
            dropRequest(i, at: at)
        }
        leaveCurrent(i, now, &effects)
        fillAll(Int(peers[i].torrent), now, &effects)
    }

    func cancel(_ i: Int, _ request: Request, _ now: Instant, _ effects: inout EffectBuffer) {
        let o = Int(request.open)
        send(i, .cancel(piece: open[o].piece, begin: request.block * PieceGeometry.blockLength, length: open[o].blockLength(request.block)), now, &effects)
    }

    /// The peer works on no piece any more. A solo piece has proved nothing then: its bytes are thrown away,
    /// for nobody else may complete it.
    func leaveCurrent(_ i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        let o = Int(peers[i].current)
        peers[i].current = -1
        guard o >= 0, open[o].generation == peers[i].currentGeneration, open[o].stage == .filling, open[o].owner == handle(i) else { return }
        if open[o].isSolo {
            for at in (0..<peers[i].requests.count).reversed() where Int(peers[i].requests[at].open) == o {
                guard !(at == 0 && peers[i].inBlock) else {
                    // Its last block is still coming in: stay on the piece.
                    peers[i].current = Int32(o)
                    return
                }
                dropRequest(i, at: at)
            }
            abandon(o, &effects)
        } else {
            open[o].owner = PeerHandle(index: .max, generation: 0)
        }
    }
}
