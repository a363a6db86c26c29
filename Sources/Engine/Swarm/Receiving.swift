import Primitives

/// A block that we asked a peer for and wait for.
package struct ExpectedBlock: Hashable, Sendable {
    package let torrent: TorrentID
    package let piece: PieceIndex
    package let begin: UInt32
    package let length: UInt32
    /// Where its payload may be received directly. nil: another peer was asked too; receive it into other memory.
    package let slot: SlotIndex?
}

/// Where the payload of an arriving block goes.
package enum Landing: Hashable, Sendable {
    /// This peer alone was asked: receive straight into the slot.
    case direct(SlotIndex)
    /// Receive it elsewhere; when it is whole ask again, and copy it if the answer is still `copy`.
    case copy(SlotIndex)
    /// Unrequested, duplicate or stale: read it and forget it, then call `blockDiscarded`.
    case discard
}

/// The per-block path: no allocation, no dictionary.
///
/// A slot is written by one connection only. A block asked of one peer may be received directly; before a second peer is
/// asked (endgame), the block becomes shared, and both land elsewhere and are copied. A receive that is under way and
/// points into slots is announced by ``armed(_:_:now:into:)``; blocks under it are neither shared nor given
/// to others before it ended.
extension Swarm {
    /// The longest receive that ``armed(_:_:now:into:)`` takes, in blocks.
    package static var maxArmed: Int { 64 }

    /// The `nth` outstanding request to `p`, in the order in which answers are expected; nil beyond the last.
    /// While a block is coming in it is the first.
    package func expected(_ p: PeerHandle, _ nth: Int) -> ExpectedBlock? {
        guard let i = row(p), nth < peers[i].requests.count else { return nil }
        let request = peers[i].requests[nth]
        let o = open + Int(request.open)
        let begin = request.block * PieceGeometry.blockLength
        return ExpectedBlock(
            torrent: torrents[Int(o.pointee.torrent)].id, piece: o.pointee.piece, begin: begin, length: o.pointee.blockLength(request.block),
            slot: o.pointee.blocks[Int(request.block)].state == .asked ? o.pointee.slot(request.block) : nil)
    }

    /// Called when the 13 bytes before a payload were read, and for `copy` again when the payload is whole.
    package func destination(_ p: PeerHandle, piece: UInt32, begin: UInt32, length: UInt32) -> Landing {
        guard let i = row(p), let at = find(i, piece, begin, length) else { return .discard }
        peers[i].requests.moveToFront(at)
        let request = peers[i].requests[0]
        let o = open + Int(request.open)
        if o.pointee.blocks[Int(request.block)].state == .asked {
            if !peers[i].inBlock {
                peers[i].inBlock = true
                // The clock is not here: the next tick dates it.
                peers[i].inBlockSince = .never
            }
            return .direct(o.pointee.slot(request.block))
        }
        return .copy(o.pointee.slot(request.block))
    }

    /// Place in the ring of the request that these numbers answer.
    @inline(__always) private func find(_ i: Int, _ piece: UInt32, _ begin: UInt32, _ length: UInt32) -> Int? {
        guard begin % PieceGeometry.blockLength == 0 else { return nil }
        let block = begin / PieceGeometry.blockLength
        for at in 0..<peers[i].requests.count {
            let request = peers[i].requests[at]
            guard request.block == block else { continue }
            let o = open + Int(request.open)
            if o.pointee.piece.rawValue == piece { return o.pointee.blockLength(block) == length ? at : nil }
        }
        return nil
    }

    /// The payload is whole and in its slot.
    package func blockReceived(
        _ p: PeerHandle, piece: UInt32, begin: UInt32, length: UInt32, now: Instant, into effects: inout EffectBuffer
    ) {
        guard let i = row(p) else { return }
        peers[i].lastReceived = now
        peers[i].inBlock = false
        guard let at = find(i, piece, begin, length) else {
            return blockDiscarded(p, piece: piece, begin: begin, length: length, now: now, into: &effects)
        }
        let request = peers[i].takeRequest(at: at)
        settleCharge(i, length, now)
        let t = Int(peers[i].torrent), o = Int(request.open), block = Int(request.block)
        torrents[t].inFlight -= 1
        let wasShared = open[o].blocks[block].state == .shared
        open[o].blocks[block].state = .received
        open[o].blocks[block].askers -= 1
        open[o].received += 1
        open[o].addContributor(p, AddressKey(peers[i].endpoint), block: block)
        if wasShared, open[o].blocks[block].askers > 0 { cancelOthers(t, request.open, request.block, now, &effects) }
        measure(i, askedAt: request.askedAt, bytes: length, now)
        torrents[t].downloaded += UInt64(length)
        torrents[t].downTick += UInt64(length)
        noteChange(t)
        if open[o].received == open[o].blockCount { completed(o, now, &effects) }
        // It answers in order: what it was to forget before it heard of this one, it has forgotten.
        if peers[i].cancelled > 0, !request.isCancelled, request.askedAt >= peers[i].cancelledAt { forgetCancelled(i, &effects) }
        fill(i, now, &effects)
    }

    /// A payload came and was thrown away: `destination` said `discard`, or the shell could not keep it.
    package func blockDiscarded(
        _ p: PeerHandle, piece: UInt32, begin: UInt32, length: UInt32, now: Instant, into effects: inout EffectBuffer
    ) {
        guard let i = row(p) else { return }
        peers[i].lastReceived = now
        peers[i].inBlock = false
        if peers[i].torrent >= 0 {
            let t = Int(peers[i].torrent)
            downTree.charge(i, Int(length), now: now)
            torrents[t].downloaded += UInt64(length)
            torrents[t].downloadedAgain += UInt64(length)
            noteChange(t)
        }
        if let at = find(i, piece, begin, length) {
            // An answer, but its landing was lost (the request was shared while it came in): to be asked for again.
            dropRequest(i, at: at)
            fill(i, now, &effects)
        } else if peers[i].forgiven > 0 {
            peers[i].forgiven -= 1
        } else {
            peers[i].uselessBlocks += 1
            if peers[i].uselessBlocks > configuration.maxUselessBlocks { close(i, .uselessBlocks, now, &effects) }
        }
    }

    /// The shell started a receive that may write into the slots of the first `count` expected blocks (at most
    /// ``maxArmed``); 0: it is over, whatever it brought, and the shell is about to look at the bytes.
    /// A shell whose receives are over before it handles another event needs not call this.
    package func armed(_ p: PeerHandle, _ count: Int, now: Instant, into effects: inout EffectBuffer) {
        let i = Int(p.index)
        // A closing connection's receive ends too.
        guard i < peerRows, peers[i].generation == p.generation, peers[i].stage != .free else { return }
        unpin(i, &effects)
        if count > 0 {
            precondition(count <= Self.maxArmed)
            if peers[i].pinned == nil { peers[i].pinned = .allocate(capacity: Self.maxArmed) }
            var last: Int32 = -1
            for at in 0..<min(count, peers[i].requests.count) {
                let request = peers[i].requests[at]
                // What lands elsewhere does not touch the run.
                guard request.open != last, open[Int(request.open)].blocks[Int(request.block)].state == .asked else { continue }
                last = request.open
                open[Int(last)].pins += 1
                peers[i].pinned![peers[i].pinnedCount] = last
                peers[i].pinnedCount += 1
            }
        } else if peers[i].wantsDisarm {
            peers[i].wantsDisarm = false
            let why = peers[i].disarmFor
            peers[i].disarmFor = .nothing
            guard peers[i].stage == .open else { return }
            switch why {
            case .nothing: break
            case .timeout: giveUpRequests(i, now, &effects)
            case .endgame: shareRequests(i)
            case .cancelled:
                forgetCancelled(i, &effects)
                fill(i, now, &effects)
            }
        }
    }

    func unpin(_ i: Int, _ effects: inout EffectBuffer) {
        for k in 0..<peers[i].pinnedCount {
            let o = Int(peers[i].pinned![k])
            open[o].pins -= 1
            if open[o].pins == 0, open[o].stage == .dying { releaseRun(o, &effects) }
        }
        peers[i].pinnedCount = 0
    }

    /// Asks the shell to end the receive of `i`; the rest happens in ``armed(_:_:now:into:)``.
    func disarm(_ i: Int, for reason: PeerRow.DisarmFor, _ effects: inout EffectBuffer) {
        if reason.rawValue > peers[i].disarmFor.rawValue { peers[i].disarmFor = reason }
        guard !peers[i].wantsDisarm else { return }
        peers[i].wantsDisarm = true
        effects.append(.disarm(handle(i)))
    }

    private func cancelOthers(_ t: Int, _ o: Int32, _ block: UInt32, _ now: Instant, _ effects: inout EffectBuffer) {
        for q in torrents[t].peers {
            let j = Int(q)
            guard let at = peers[j].requests.index(open: o, block: block) else { continue }
            let request = peers[j].takeRequest(at: at)
            peers[j].forgiven += 1
            refundRequest(j, open[Int(o)].blockLength(block))
            torrents[t].inFlight -= 1
            open[Int(o)].blocks[Int(block)].askers -= 1
            if !request.isCancelled { cancel(j, request, now, &effects) }
        }
    }

    /// Rates, delay and pipeline depth after a block.
    private func measure(_ i: Int, askedAt: Instant, bytes: UInt32, _ now: Instant) {
        let delay = now - askedAt
        if now - peers[i].delayWindowStart > .seconds(10) {
            peers[i].shortestDelayBefore = peers[i].shortestDelay
            peers[i].shortestDelay = delay
            peers[i].delayWindowStart = now
        } else if delay < peers[i].shortestDelay || peers[i].shortestDelay == .zero {
            peers[i].shortestDelay = delay
        }
        peers[i].averageDelay =
            peers[i].averageDelay == .zero
            ? delay : TimeSpan(nanoseconds: (peers[i].averageDelay.nanoseconds * 7 + delay.nanoseconds) / 8)
        peers[i].lastBlockAt = now
        peers[i].waitingSince = now
        if peers[i].timeouts > 0 {
            peers[i].timeouts = 0
            peers[i].pausedUntil = .zero
        }
        peers[i].rejectsInARow = 0
        peers[i].isSnubbed = false
        peers[i].downloaded += UInt64(bytes)
        peers[i].downTick += UInt64(bytes)
        peers[i].downRound += UInt64(bytes)
        // One more for each block: doubles in each round trip, as TCP's slow start does.
        if peers[i].slowStart { peers[i].depth = min(peers[i].depth + 1, depthLimit(i)) }
    }

    @inline(__always) func depthLimit(_ i: Int) -> Int { min(peers[i].requestQueue, configuration.pipelineMaxDepth) }
}
