import Buffers
import Pieces
import Primitives
import Swarm

/// The shard's edge to the disk worker: hand-overs, reads, and what is repeated after either died. The rules of the
/// real shell (PeerWorker/DiskLink.swift).
extension SimShard {
    func diskOpened() {
        for id in knownTorrents {
            guard !doubted.contains(id), let written = swarm.written(id), !written.isEmpty else { continue }
            world.mark(.claimSent)
            world.toDisk(node, self) { _ in .claim(0, id, have: written.wireBytes) }
        }
        world.toDisk(node, self) { _ in .claimsEnd(0) }
        for first in handed.keys.sorted() {
            let request = handed[first]!
            world.mark(.storeSentAgain)
            world.toDisk(node, self) { _ in .store(request) }
        }
        for first in reads.keys.sorted() {
            let request = reads[first]!
            world.mark(.readSentAgain)
            world.toDisk(node, self) { _ in .read(request) }
        }
    }
    func diskClosed() {
        for id in knownTorrents {
            setReadable(id, false)
            swarm.diskUnready(id, now: now, into: &effects)
        }
    }

    func fromDisk(_ effect: DiskEffect) {
        switch effect {
        case .ready(let id, let have, _):
            if isKnown(id) { ready(id, have) } else { earlyReady[id] = have }
        case .levels(let id, let levels, _): if isKnown(id) { swarm.setLevels(id, levels, now: now, into: &effects) }
        case .unready(let id, let why, _):
            earlyReady[id] = nil
            // After a failed sync the kernel may have dropped what it had taken: nothing is claimed until the next look.
            if why == .ioError || why == .missingFiles || why == .removed { doubted.insert(id) }
            setReadable(id, false)
            swarm.diskUnready(id, now: now, into: &effects)
        case .verified(let r):
            guard handed[r.run.first.int] == r, buffers.state(of: r.run.first) == .handed else { return }
            buffers.verified(r.run.first)
            swarm.pieceVerified(r.torrent, PieceIndex(rawValue: r.piece), now: now, into: &effects)
        case .stored(let r):
            guard handed[r.run.first.int] == r else { return }
            end(r)
            let early = buffers.state(of: r.run.first) == .handed
            buffers.written(r.run.first)
            if !isKnown(r.torrent) { buffers.forget(torrent: r.torrent) }
            if early { swarm.pieceVerified(r.torrent, PieceIndex(rawValue: r.piece), now: now, into: &effects) }
            swarm.pieceWritten(r.torrent, PieceIndex(rawValue: r.piece), now: now, into: &effects)
        case .storeFailed(let r, let why):
            guard handed[r.run.first.int] == r else { return }
            end(r)
            if why == .hashMismatch { world.mark(.hashMismatch) }
            buffers.unverify(r.run.first)
            if !isKnown(r.torrent) { buffers.discard(r.run.first) }
            let proof = why == .hashMismatch ? world.proof(r.piece) : nil
            swarm.pieceFailed(r.torrent, PieceIndex(rawValue: r.piece), .init(rawValue: why.rawValue)!, proof: proof, now: now, into: &effects)
        case .readDone(let r, let status):
            guard reads[r.run.first.int] == r else { return }
            reads[r.run.first.int] = nil
            buffers.readDone(r.run.first, ok: status == .done)
            if !isKnown(r.torrent) { buffers.forget(torrent: r.torrent) }
            if status != .done { refuse { $0.torrent == r.torrent && $0.piece.rawValue == r.piece && $0.begin >= r.offset && $0.begin < r.offset + r.length } }
        default: break
        }
    }
    func ready(_ id: TorrentID, _ have: Bitfield) {
        setReadable(id, true)
        doubted.remove(id)
        if let tails = world.geometry.fileTails { swarm.setFileTails(id, tails) }
        swarm.diskReady(id, have: have, now: now, into: &effects)
        adoptLeftOvers(id, have)
    }
    private func end(_ r: StoreRequest) {
        handed[r.run.first.int] = nil
        arena.entries[r.run.first.int] = nil
    }

    // MARK: after a death of the shard

    private func adoptLeftOvers(_ id: TorrentID, _ have: Bitfield) {
        let mine = leftOvers.filter { $0.1.torrent == id }
        leftOvers.removeAll { $0.1.torrent == id }
        for (first, entry) in mine {
            guard !have.contains(entry.piece) else {
                drop(first)
                continue
            }
            var received = Bitfield(count: entry.slots)
            for i in 0..<entry.slots where entry.handed || arena.received[first.int + i] { received.insert(i) }
            world.mark(entry.handed ? .wholePieceAdopted : .partialPieceAdopted)
            arena.entries[first.int]!.handed = false
            swarm.adoptPartialPiece(id, entry.piece, firstSlot: first, received: received, now: now, into: &effects)
        }
    }
    func dropLeftOvers(where which: (SimArena.Entry) -> Bool) {
        for (first, entry) in leftOvers where which(entry) { drop(first) }
        leftOvers.removeAll { which($0.1) }
    }
    private func drop(_ first: SlotIndex) {
        world.mark(.leftOverDropped)
        arena.entries[first.int] = nil
        buffers.discard(first)
    }
}
