import Buffers
import Primitives

/// What becomes of open pieces: handed to the disk worker, verified, written, failed, thrown away.
///
/// Whose run it is: from `storePiece` until `pieceWritten` or `pieceFailed` the disk worker's. After `pieceWritten` it is a
/// cache entry of `Buffers`; after a bad hash it was given back here; after a fault of the disk it stays here,
/// and is stored again. Of a removed torrent, runs with the disk worker stay there: the shell gives them back when the
/// answer comes.
extension Swarm {
    /// Whole pieces kept while the disk cannot take them, per torrent and in all (RELIABILITY: no more than 8 and 64 MiB).
    private static var parkedLimit: Int { 8 << 20 }
    private static var parkedLimitInAll: Int { 64 << 20 }

    /// The last block is in.
    func completed(_ o: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        let t = Int(open[o].torrent)
        open[o].stage = .complete
        torrents[t].fillingCount -= 1
        if torrents[t].have.contains(open[o].piece.int) || open[o].isUnwanted {
            abandon(o, &effects)
        } else if torrents[t].isReady {
            handOver(o, &effects)
        }
    }

    private func handOver(_ o: Int, _ effects: inout EffectBuffer) {
        precondition(open[o].pins == 0 && open[o].received == open[o].blockCount)
        unpark(o)
        open[o].stage = .handed
        effects.append(
            .storePiece(
                torrent: torrents[Int(open[o].torrent)].id, piece: open[o].piece, firstSlot: open[o].firstSlot, length: open[o].length))
    }

    private func park(_ o: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        open[o].stage = .parked
        // All of it is there: a shard that dies now must find the blocks marked.
        reclaim(o, isWhole: true, &effects)
        open[o].lastAskedAt = now
        wake(Int(open[o].torrent))
        torrents[Int(open[o].torrent)].parkedBytes += Int(open[o].length)
        parkedBytes += Int(open[o].length)
    }
    /// The run came back from the disk worker and is kept: the same run, as one that was just filled.
    func reclaim(_ o: Int, isWhole: Bool, _ effects: inout EffectBuffer) {
        let first = open[o].firstSlot, slots = Int(open[o].blockCount), id = torrents[Int(open[o].torrent)].id
        if buffers.state(of: first) == .handed {
            buffers.discard(first)
            let isOurs = buffers.adopt(first: first, torrent: id, piece: open[o].piece, slots: slots, handed: false)
            precondition(isOurs, "the run was taken meanwhile")
        }
        let piece = open[o].piece, length = open[o].length
        effects.append(
            isWhole
                ? .bufferKept(torrent: id, piece: piece, firstSlot: first, slotCount: slots, length: length)
                : .bufferOpened(torrent: id, piece: piece, firstSlot: first, slotCount: slots, length: length))
    }
    private func unpark(_ o: Int) {
        guard open[o].stage == .parked else { return }
        torrents[Int(open[o].torrent)].parkedBytes -= Int(open[o].length)
        parkedBytes -= Int(open[o].length)
    }

    /// Takes the row out of its torrent. The run is not touched.
    private func unlink(_ o: Int) {
        let t = Int(open[o].torrent), next = open[o].next, previous = open[o].previous
        if next >= 0 { open[Int(next)].previous = previous }
        if previous >= 0 { open[Int(previous)].next = next } else { torrents[t].openHead = next }
        torrents[t].openCount -= 1
        if open[o].stage == .filling {
            torrents[t].fillingCount -= 1
            torrents[t].unaskedBlocks -= Int(open[o].unasked)
        }
        unpark(o)
    }
    private func freeRow(_ o: Int) {
        open[o].stage = .free
        freeOpen.append(Int32(o))
    }

    /// Throws the piece away; it can be picked again. No peer may have a request for it any more.
    func abandon(_ o: Int, _ effects: inout EffectBuffer) {
        let t = Int(open[o].torrent), piece = open[o].piece.int
        unlink(o)
        if let picker = torrents[t].picker, !torrents[t].have.contains(piece) { picker.insert(piece) }
        if open[o].pins > 0 { open[o].stage = .dying } else { releaseRun(o, &effects) }
    }

    func releaseRun(_ o: Int, _ effects: inout EffectBuffer) {
        let first = open[o].firstSlot
        // A verified run may hold blocks that are being sent: it becomes a cache entry, and goes when it is not needed.
        if buffers.state(of: first) == .verified { buffers.written(first) } else { buffers.discard(first) }
        effects.append(.bufferDiscarded(firstSlot: first))
        freeRow(o)
    }

    private func find(_ t: Int, _ piece: PieceIndex) -> Int? {
        var o = torrents[t].openHead
        while o >= 0 {
            if open[Int(o)].piece == piece { return Int(o) }
            o = open[Int(o)].next
        }
        return nil
    }

    // MARK: Answers of the disk worker

    /// The hash is right: HAVE goes out. The run is still being written from.
    package func pieceVerified(_ id: TorrentID, _ piece: PieceIndex, now: Instant, into effects: inout EffectBuffer) {
        guard let t = rowOfTorrent[id].map(Int.init), let o = find(t, piece), !open[o].isVerified else { return }
        open[o].isVerified = true
        for k in 0..<open[o].contributorCount {
            let who = open[o].contributors[k]
            if open[o].isSolo { reputation.setParole(who.address, false) }
            guard let i = row(who.peer) else { continue }
            peers[i].trust = min(peers[i].trust + 1, 8)
            if open[o].isSolo { peers[i].onParole = false }
        }
        settleSuspicion(t, o, now, &effects)
        gained(t, piece.int, now, &effects)
        checkComplete(t, now, &effects)
    }

    /// On disk; the run is `Buffers`' cache entry now.
    package func pieceWritten(_ id: TorrentID, _ piece: PieceIndex, now: Instant, into effects: inout EffectBuffer) {
        guard let t = rowOfTorrent[id].map(Int.init), let o = find(t, piece), open[o].stage == .handed else { return }
        if !open[o].isVerified { pieceVerified(id, piece, now: now, into: &effects) }
        unlink(o)
        freeRow(o)
        feedStarved(now, &effects)
    }

    package func pieceFailed(
        _ id: TorrentID, _ piece: PieceIndex, _ failure: StoreFailure, proof: BlockProof? = nil, now: Instant, into effects: inout EffectBuffer
    ) {
        guard let t = rowOfTorrent[id].map(Int.init), let o = find(t, piece), open[o].stage == .handed else { return }
        if open[o].isVerified {
            // Claimed, but not on the disk.
            open[o].isVerified = false
            lost(t, piece.int, now, &effects)
        }
        if failure == .hashMismatch {
            let isAlone = open[o].contributorCount == 1 && !open[o].isAdopted, length = UInt64(open[o].length)
            if isAlone { blame(t, o, bytes: 0, now, &effects) }
            if !keepSuspect(t, o, proof, isBlamed: isAlone, now, &effects) {
                suspect(t, o)
                if isAlone { torrents[t].downloadedAgain += length } else { blame(t, o, bytes: length, now, &effects) }
                abandon(o, &effects)
            }
        } else {
            // The environment's fault: the bytes are good, or may be.
            park(o, now, &effects)
            if torrents[t].parkedBytes > Self.parkedLimit || parkedBytes > Self.parkedLimitInAll {
                torrents[t].downloadedAgain += UInt64(open[o].length)
                abandon(o, &effects)
            }
        }
        fillAll(t, now, &effects)
        feedStarved(now, &effects)
    }

    /// A piece with a bad hash. Its only source is banned. Several sources: each loses two trust points and works alone from now
    /// on, so that its next piece proves or clears it; nobody is banned for what others may have done.
    func blame(_ t: Int, _ o: Int, bytes: UInt64, _ now: Instant, _ effects: inout EffectBuffer) {
        torrents[t].downloadedAgain += bytes
        noteChange(t)
        let isProof = open[o].contributorCount == 1 && !open[o].isAdopted
        for k in 0..<open[o].contributorCount {
            let who = open[o].contributors[k]
            reputation.setParole(who.address, true)
            if isProof { punish(who.address, .corruptPiece, now, &effects) }
            guard let i = row(who.peer) else { continue }
            peers[i].trust = max(peers[i].trust - 2, -7)
            if isProof {
                close(i, .corruptPiece, now, &effects)
            } else if !peers[i].onParole {
                peers[i].onParole = true
                // It begins no further block of what it shares with others.
                leaveCurrent(i, now, &effects)
            }
        }
        if isProof { dropBanned(now, &effects) }
    }

    /// Connections from an address that was just banned.
    func dropBanned(_ now: Instant, _ effects: inout EffectBuffer) {
        hasNewBans = false
        for i in 0..<peerRows where peers[i].stage == .open || peers[i].stage == .handshaking || peers[i].stage == .dialling {
            if reputation.isBanned(AddressKey(peers[i].endpoint), now: now) { close(i, .banned, now, &effects) }
        }
    }

    // MARK: What the torrent has

    private func gained(_ t: Int, _ piece: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard torrents[t].have.insert(piece) else { return }
        let wasWanted = isWanted(t, piece)
        if !wasWanted { torrents[t].unwantedMissing -= 1 }
        noteChange(t)
        if let picker = torrents[t].picker, picker.isPickable(piece) { picker.remove(piece) }
        for q in torrents[t].peers {
            let i = Int(q)
            let had = peers[i].have.contains(piece)
            if had, wasWanted { peers[i].useful -= 1 }
            // Whoever has all of it need not know, until it says that it lost it: ``lacksPiece(_:_:_:_:_:)``. One that has this piece
            // and not all may be a super-seed (BEP 16), which shows the next when it hears who has got this one.
            if !peers[i].isSeed { send(i, .have(PieceIndex(piece)), now, &effects) }
        }
        for q in torrents[t].peers.reversed() { updateInterest(Int(q), now, &effects) }
    }

    private func lost(_ t: Int, _ piece: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard torrents[t].have.remove(piece) else { return }
        let isWanted = isWanted(t, piece)
        if !isWanted { torrents[t].unwantedMissing += 1 }
        endSuperSeeding(t, now, &effects)
        noteChange(t)
        tellLost(t, piece, now, &effects)
        tellUploadOnly(t, now, &effects)
        if isWanted { for q in torrents[t].peers where peers[Int(q)].have.contains(piece) { peers[Int(q)].useful += 1 } }
        ensurePicker(t)
        if let picker = torrents[t].picker, !picker.isPickable(piece), find(t, PieceIndex(piece)) == nil { picker.insert(piece) }
        for q in torrents[t].peers.reversed() { updateInterest(Int(q), now, &effects) }
    }

    /// Every piece that is wanted is there: nothing to pick any more, and seeds are of no use to each other.
    func checkComplete(_ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard torrents[t].isFinished else { return }
        torrents[t].picker = nil
        tellUploadOnly(t, now, &effects)
        for q in torrents[t].peers.reversed() { closeIfBothSeeds(Int(q), now, &effects) }
    }

    /// The picker exists while there are peers, and pieces that are wanted are missing.
    func ensurePicker(_ t: Int) {
        guard torrents[t].geometry != nil, torrents[t].wasReady, !torrents[t].peers.isEmpty, !torrents[t].isFinished else {
            torrents[t].picker = nil
            return
        }
        guard torrents[t].picker == nil else { return }
        let picker = Picker(pieceCount: torrents[t].have.total, have: torrents[t].have, levels: torrents[t].levels, random: &random)
        var o = torrents[t].openHead
        while o >= 0 {
            if picker.isPickable(open[Int(o)].piece.int) { picker.remove(open[Int(o)].piece.int) }
            o = open[Int(o)].next
        }
        for q in torrents[t].peers where !peers[Int(q)].have.isFull { peers[Int(q)].have.forEach { picker.increment($0) } }
        torrents[t].picker = picker
    }

    // MARK: Readiness

    /// The disk worker serves the torrent, and this is what is there. Comes again after each of its restarts and rechecks.
    /// Runs handed over and not answered are the shell's to hand over again to a new disk worker.
    package func diskReady(_ id: TorrentID, have: Bitfield, now: Instant, into effects: inout EffectBuffer) {
        guard let t = rowOfTorrent[id].map(Int.init), let geometry = torrents[t].geometry else { return }
        precondition(have.count == geometry.pieceCount)
        let isFirst = !torrents[t].wasReady
        torrents[t].isReady = true
        torrents[t].isUnwritable = false
        torrents[t].wasReady = true
        noteChange(t)
        var truth = have
        var o = torrents[t].openHead
        while o >= 0 {
            if open[Int(o)].isVerified { truth.insert(open[Int(o)].piece) }
            o = open[Int(o)].next
        }
        if isFirst, torrents[t].peers.isEmpty {
            torrents[t].have = PieceSet(truth)
            recountWanted(t)
        } else {
            let before = torrents[t].have.bitfield
            before.subtracting(truth).forEach { lost(t, $0, now, &effects) }
            truth.subtracting(before).forEach { gained(t, $0, now, &effects) }
        }
        ensurePicker(t)
        seekPeers(t)
        o = torrents[t].openHead
        while o >= 0 {
            let at = Int(o)
            o = open[at].next
            switch open[at].stage {
            case .complete where torrents[t].have.contains(open[at].piece.int): abandon(at, &effects)
            case .complete, .parked: handOver(at, &effects)
            case .filling, .handed, .suspect, .free, .dying: break
            }
        }
        for q in torrents[t].peers.reversed() {
            if isFirst { recountUseful(Int(q), t) }
            updateInterest(Int(q), now, &effects)
        }
        checkComplete(t, now, &effects)
        wantDials(t)
        fillAll(t, now, &effects)
    }

    /// Right after ``diskReady(_:have:now:into:)``: read on, ask for nothing. The next ready ends it.
    package func diskUnwritable(_ id: TorrentID) {
        if let t = rowOfTorrent[id] { torrents[Int(t)].isUnwritable = true }
    }

    /// The disk cannot serve the torrent now: nothing is asked for, everybody is choked, connections stay.
    package func diskUnready(_ id: TorrentID, now: Instant, into effects: inout EffectBuffer) {
        guard let t = rowOfTorrent[id].map(Int.init), torrents[t].isReady else { return }
        torrents[t].isReady = false
        for q in torrents[t].peers { choke(Int(q), now, &effects) }
    }

    /// A run that a former shard left in the arena: only its missing blocks are asked for. `received` counts blocks.
    /// The run must be taken in `Buffers` already; it is given back when it is of no use.
    package func adoptPartialPiece(
        _ id: TorrentID, _ piece: PieceIndex, firstSlot: SlotIndex, received: Bitfield, now: Instant, into effects: inout EffectBuffer
    ) {
        guard let t = rowOfTorrent[id].map(Int.init), let geometry = torrents[t].geometry, piece.int < geometry.pieceCount,
            received.count == geometry.blockCount(of: piece), find(t, piece) == nil, isWanted(t, piece.int), !torrents[t].have.contains(piece.int),
            freeOpen.count > 0 || openRows < maxOpen
        else {
            buffers.discard(firstSlot)
            effects.append(.bufferDiscarded(firstSlot: firstSlot))
            return
        }
        let o = enter(t, piece, firstSlot)
        open[o].isAdopted = true
        // Peers have yet to come: it is not given up as stuck before they could.
        open[o].lastAskedAt = now
        received.forEach { block in
            open[o].blocks[block].state = .received
            open[o].received += 1
            open[o].unasked -= 1
            torrents[t].unaskedBlocks -= 1
        }
        if open[o].received == open[o].blockCount { completed(o, now, &effects) } else { fillAll(t, now, &effects) }
    }

    /// A write that failed without the torrent becoming unready is tried again after 5 s.
    func retryParked(_ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard torrents[t].parkedBytes > 0, torrents[t].isReady else { return }
        var o = torrents[t].openHead
        while o >= 0 {
            if open[Int(o)].stage == .parked, now - open[Int(o)].lastAskedAt >= .seconds(5) { handOver(Int(o), &effects) }
            o = open[Int(o)].next
        }
    }

    /// Removal: every run that is ours is given back; those with the disk worker are left to the shell.
    func releaseAllPieces(_ t: Int, _ effects: inout EffectBuffer) {
        while torrents[t].openHead >= 0 {
            let o = Int(torrents[t].openHead)
            let isWithDisk = open[o].stage == .handed
            unlink(o)
            if isWithDisk {
                freeRow(o)
            } else if open[o].pins > 0 {
                open[o].stage = .dying
            } else {
                releaseRun(o, &effects)
            }
        }
    }
}
