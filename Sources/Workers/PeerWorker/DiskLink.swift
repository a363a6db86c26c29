import BlockArena
import IPC
import Primitives
import Swarm
import WorkerKit

/// The edges to the disk workers: hand-over of whole pieces, reads, and what is repeated after either side died.
///
/// Invariant: `handedLength[slot] > 0` exactly for the runs that a disk worker owns for storing, `reads[slot]` is set exactly for
/// the runs that it owns for reading. Both are sent again to a new disk worker, so nothing that was received is lost.
extension PeerShell {
    struct PendingRead {
        var torrent: TorrentID
        var piece: PieceIndex
        var offset: UInt32
        var length: UInt32
        var device: UInt16
    }

    private func diskEdge(of torrent: TorrentID) -> Edge? {
        guard let device = torrents[torrent]?.device else { return nil }
        return kit.edge(.disk, device)
    }

    // MARK: Storing

    func storePiece(_ torrent: TorrentID, _ piece: PieceIndex, _ first: SlotIndex, length: UInt32) {
        buffers.handOver(first)
        arena.setState(first, .handed)
        handedLength[first.int] = length
        handedDevice[first.int] = torrents[torrent]?.device ?? 0
        if let edge = diskEdge(of: torrent) { sendStore(torrent, piece, first, length, to: edge) }
    }
    private func sendStore(_ torrent: TorrentID, _ piece: PieceIndex, _ first: SlotIndex, _ length: UInt32, to edge: Edge) {
        kit.send(StorePiece(torrent: torrent.rawValue, piece: piece.rawValue, firstSlot: first.rawValue, length: length), to: edge)
    }

    /// True when the answer is about a run that was handed over for exactly this piece.
    private func isHanded(_ first: SlotIndex, _ torrent: UInt32, _ piece: UInt32) -> Bool {
        guard first.int < handedLength.count, handedLength[first.int] > 0 else { return false }
        return buffers.identity(of: first) == (TorrentID(rawValue: torrent), PieceIndex(rawValue: piece))
    }

    private func pieceVerified(_ m: PieceVerified, now: Instant) {
        let first = SlotIndex(rawValue: m.firstSlot)
        guard isHanded(first, m.torrent, m.piece), buffers.state(of: first) == .handed else { return }
        buffers.verified(first)
        swarm.pieceVerified(TorrentID(rawValue: m.torrent), PieceIndex(rawValue: m.piece), now: now, into: &effects)
    }
    private func pieceWritten(_ m: PieceWritten, now: Instant) {
        let first = SlotIndex(rawValue: m.firstSlot)
        guard isHanded(first, m.torrent, m.piece) else { return }
        handedLength[first.int] = 0
        arena.setState(first, .free)
        let wasVerified = buffers.state(of: first) == .verified
        buffers.written(first)
        let (torrent, piece) = (TorrentID(rawValue: m.torrent), PieceIndex(rawValue: m.piece))
        if torrents[torrent] == nil { buffers.forget(torrent: torrent) }
        // After a restart of the disk worker its answer to the second hand-over may skip the first step.
        if !wasVerified { swarm.pieceVerified(torrent, piece, now: now, into: &effects) }
        swarm.pieceWritten(torrent, piece, now: now, into: &effects)
        wakeReadWaiters()
    }
    private func pieceFailed(_ m: PieceFailed, now: Instant) {
        let first = SlotIndex(rawValue: m.firstSlot)
        guard isHanded(first, m.torrent, m.piece) else { return }
        handedLength[first.int] = 0
        arena.setState(first, .free)
        let (torrent, piece) = (TorrentID(rawValue: m.torrent), PieceIndex(rawValue: m.piece))
        // Verified, then not written: no longer served from.
        buffers.unverify(first)
        if torrents[torrent] == nil { buffers.discard(first) }
        hasRoomAgain = true
        let proof =
            m.blocks > 0
            ? BlockProof(root: m.fileRoot, hash: m.pieceHash, firstBlock: m.firstBlock, width: m.blocks, fileBytes: m.fileBytes) : nil
        swarm.pieceFailed(torrent, piece, StoreFailure(rawValue: m.reason) ?? .ioError, proof: proof, now: now, into: &effects)
        wakeReadWaiters()
    }

    // MARK: Reading

    /// Asks for the read-ahead chunk around `block`. False: no room now.
    func startRead(_ torrent: TorrentID, _ piece: PieceIndex, block: UInt32) -> Bool {
        guard let table = torrents[torrent], table.isReadable, let geometry = table.geometry else { return false }
        let range = buffers.chunkRange(block: block, pieceBlocks: geometry.blockCount(of: piece))
        guard let first = buffers.openRead(torrent: torrent, piece: piece, firstBlock: range.firstBlock, slots: range.slots) else { return false }
        let offset = range.firstBlock * PieceGeometry.blockLength
        let length = min(UInt32(range.slots) * PieceGeometry.blockLength, geometry.length(of: piece) - offset)
        let read = PendingRead(torrent: torrent, piece: piece, offset: offset, length: length, device: table.device)
        reads[first.int] = read
        if let edge = diskEdge(of: torrent) { sendRead(read, first, to: edge) }
        return true
    }
    private func sendRead(_ read: PendingRead, _ first: SlotIndex, to edge: Edge) {
        kit.send(
            ReadPiece(torrent: read.torrent.rawValue, piece: read.piece.rawValue, offset: read.offset, length: read.length, firstSlot: first.rawValue),
            to: edge)
    }
    private func readDone(_ m: ReadDone, now: Instant) {
        let first = SlotIndex(rawValue: m.firstSlot)
        guard first.int < reads.count, let read = reads[first.int], read.torrent.rawValue == m.torrent, read.piece.rawValue == m.piece,
            read.offset == m.offset
        else { return }
        reads[first.int] = nil
        buffers.readDone(first, ok: m.status == 0)
        hasRoomAgain = true
        if torrents[read.torrent] == nil { buffers.forget(torrent: read.torrent) }
        if m.status != 0 { refuse(read, now: now) }
        wakeReadWaiters()
    }
    /// The range cannot be read: requests for it are rejected rather than asked of the disk again and again.
    private func refuse(_ read: PendingRead, now: Instant) {
        for link in links {
            guard let link, link.state == .open else { continue }
            while let item = link.serves.first, item.torrent == read.torrent, item.piece == read.piece, item.begin >= read.offset,
                item.begin < read.offset + read.length
            {
                link.serves.removeFirst()
                swarm.serveFailed(link.peer, piece: item.piece.rawValue, begin: item.begin, length: item.length, now: now, into: &effects)
            }
        }
    }

    // MARK: Edge

    func diskOpened(_ edge: Edge) {
        for torrent in torrentOrder where torrents[torrent]?.device == edge.index {
            guard torrents[torrent]!.isClaimable, let written = swarm.written(torrent), !written.isEmpty else { continue }
            kit.send(Claim(torrent: torrent.rawValue, have: written.wireBytes), to: edge)
        }
        kit.send(ClaimsEnd(), to: edge)
        for i in handedLength.indices where handedLength[i] > 0 {
            let first = SlotIndex(i), (torrent, piece) = buffers.identity(of: first)
            if handedDevice[i] == edge.index { sendStore(torrent, piece, first, handedLength[i], to: edge) }
        }
        for i in reads.indices {
            if let read = reads[i], read.device == edge.index { sendRead(read, SlotIndex(i), to: edge) }
        }
    }

    func diskClosed(_ edge: Edge, now: Instant) {
        for torrent in torrentOrder where torrents[torrent]?.device == edge.index {
            torrents[torrent]?.offline()
            swarm.diskUnready(torrent, now: now, into: &effects)
        }
        act(now: now)
    }

    func receivedFromDisk(_ frame: Frame, now: Instant) throws {
        switch frame.type {
        case .pieceLevels: pieceLevels(try frame.decode(), now: now)
        case .torrentReady: torrentReady(try frame.decode(), now: now)
        case .torrentUnready: torrentUnready(try frame.decode(), now: now)
        case .pieceVerified: pieceVerified(try frame.decode(), now: now)
        case .pieceWritten: pieceWritten(try frame.decode(), now: now)
        case .pieceFailed: pieceFailed(try frame.decode(), now: now)
        case .readDone: readDone(try frame.decode(), now: now)
        case .torrentTails: tailsTold(try frame.decode())
        case .hashesFound: hashesFound(try frame.decode(), correlation: frame.correlation, now: now)
        default: break
        }
        act(now: now)
    }

    /// The session has named the torrent.
    func torrentNamed(_ torrent: TorrentID, now: Instant) {
        if earlyLevels.contains(torrent), let geometry = torrents[torrent]?.geometry { applyLevels(torrent, geometry, now: now) }
        if let m = earlyReady.removeValue(forKey: torrent) { torrentReady(m, now: now) }
    }

    private func torrentUnready(_ m: TorrentUnready, now: Instant) {
        let torrent = TorrentID(rawValue: m.torrent)
        // A torrent that the session has not named yet has nothing that could be claimed or served.
        let reason = UnreadyReason(rawValue: m.reason)
        var row = torrents[torrent] ?? TorrentRow(geometry: nil, device: 0)
        let consequence = row.unready(reason)
        if torrents[torrent] != nil { torrents[torrent] = row }
        switch consequence {
        case .unwritable: swarm.diskUnwritable(torrent)
        case .unready:
            earlyReady[torrent] = nil
            swarm.diskUnready(torrent, now: now, into: &effects)
        }
    }

    /// In one frame or several; the last makes it so.
    private func pieceLevels(_ m: PieceLevels, now: Instant) {
        let id = TorrentID(rawValue: m.torrent)
        if m.continues == 0 { levelRuns[id] = [] }
        levelRuns[id, default: []] += m.runs
        guard m.isLast != 0 else { return }
        guard let geometry = torrents[id]?.geometry else {
            // Kept until the session has named the torrent.
            earlyLevels.insert(id)
            return
        }
        applyLevels(id, geometry, now: now)
    }
    private func applyLevels(_ id: TorrentID, _ geometry: PieceGeometry, now: Instant) {
        let runs = levelRuns.removeValue(forKey: id) ?? []
        earlyLevels.remove(id)
        var levels: [UInt8] = []
        if !runs.isEmpty {
            levels = [UInt8](repeating: FileLevel.normal, count: geometry.pieceCount)
            for run in runs where UInt64(run.first) + UInt64(run.count) <= UInt64(geometry.pieceCount) {
                for piece in Int(run.first)..<Int(run.first + run.count) { levels[piece] = min(run.level, FileLevel.urgent) }
            }
        }
        swarm.setLevels(id, levels, now: now, into: &effects)
    }

    private func torrentReady(_ m: TorrentReady, now: Instant) {
        let torrent = TorrentID(rawValue: m.torrent)
        guard let geometry = torrents[torrent]?.geometry else {
            // It is said once, maybe before the session has named the torrent.
            earlyReady[torrent] = m
            return
        }
        guard let have = Bitfield(wire: m.have, count: geometry.pieceCount) else { return }
        applyTails(torrent)
        torrents[torrent]?.ready()
        swarm.diskReady(torrent, have: have, now: now, into: &effects)
        adoptLeftOvers(torrent, have: have, now: now)
        wakeReadWaiters()
    }

    // MARK: After a restart of the shard

    /// Keeps the runs that the block table names until their torrents are ready.
    func findLeftOvers() {
        for (first, entry) in arena.entries() {
            let whole = ArenaLayout.slotSize * entry.slotCount >= Int(entry.length)
            guard whole, buffers.adopt(first: first, torrent: entry.torrent, piece: entry.piece, slots: entry.slotCount, handed: false) else {
                arena.setState(first, .free)
                continue
            }
            leftOvers.append((first, entry))
        }
    }

    private func adoptLeftOvers(_ torrent: TorrentID, have: Bitfield, now: Instant) {
        let geometry = torrents[torrent]!.geometry!
        leftOvers.removeAll { first, entry in
            guard entry.torrent == torrent else { return false }
            guard let piece = geometry.piece(entry.piece.rawValue), geometry.length(of: piece) == entry.length,
                geometry.slotCount(of: piece) == entry.slotCount, !have.contains(piece)
            else {
                dropLeftOver(first)
                return true
            }
            var received = Bitfield(count: entry.slotCount)
            for i in 0..<entry.slotCount where entry.state == .handed || arena.isReceived(SlotIndex(first.int + i)) { received.insert(i) }
            arena.setState(first, .filling)
            adoptedBytes += UInt64(received.setCount * ArenaLayout.slotSize)
            swarm.adoptPartialPiece(torrent, piece, firstSlot: first, received: received, now: now, into: &effects)
            return true
        }
    }
    func dropLeftOver(_ first: SlotIndex) {
        arena.setState(first, .free)
        buffers.discard(first)
    }
}
