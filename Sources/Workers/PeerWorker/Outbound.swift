import BlockArena
import ByteCodec
import Glibc
import LinuxIO
import PeerWire
import Primitives
import Swarm

/// The upload path from the admitted request to the socket:
///
///     serve ─▶ ServeQueue ─▶ block cache: hit ─▶ SendBatch (slots, pinned) ─▶ send ─▶ unpin
///                                        └ miss ─▶ ReadPiece ══▶ disk ══▶ ReadDone ─▶ flush again
extension PeerShell {
    func enqueue(_ link: Link, _ item: ServeQueue.Item, now: Instant) {
        link.serves.append(item)
        if buffers.find(torrent: item.torrent, piece: item.piece, block: item.begin / PieceGeometry.blockLength) == .miss {
            _ = startRead(item.torrent, item.piece, block: item.begin / PieceGeometry.blockLength)
        }
        markDirty(link)
    }

    func markDirty(_ link: Link) {
        guard !link.isDirty, link.state != .closing else { return }
        link.isDirty = true
        dirty.append(link.index)
    }

    /// Sends what has gathered; once a turn, so that many small messages leave in one system call.
    func flushDirty(now: Instant) {
        var i = 0
        while i < dirty.count {
            if let link = links[Int(dirty[i])] {
                link.isDirty = false
                flush(link, now: now)
            }
            i += 1
        }
        dirty.removeAll(keepingCapacity: true)
    }

    func cancelServe(_ peer: PeerHandle, _ piece: PieceIndex, _ begin: UInt32, _ length: UInt32, now: Instant) {
        guard let link = link(of: peer), link.serves.remove(piece: piece, begin: begin, length: length) else { return }
        swarm.serveFailed(peer, piece: piece.rawValue, begin: begin, length: length, now: now, into: &effects)
    }
    func cancelAllServes(_ peer: PeerHandle, now: Instant) {
        guard let link = link(of: peer) else { return }
        while let item = link.serves.first {
            link.serves.removeFirst()
            swarm.serveFailed(peer, piece: item.piece.rawValue, begin: item.begin, length: item.length, now: now, into: &effects)
        }
    }

    private func flush(_ link: Link, now: Instant) {
        guard link.state != .dialing, link.state != .closing, !link.sendPosted else { return }
        if let stream = link.stream, !stream.hasRoom {
            stream.waitsForRoom = true
            return
        }
        swap(&link.outbox, &link.batch.control)
        link.batch.begin(with: link.encipher, finished: link.finishedOutput)
        link.finishedOutput = 0
        var allowance: Int?
        while !link.batch.isFull, let item = link.serves.first {
            switch locate(item) {
            case .ready(let first, let second):
                let allowed = allowance ?? swarm.uploadAllowance(link.peer, want: link.serves.bytes(upTo: SendBatch.blockCapacity), now: now)
                // Comes back through ``resumeUploads(now:)`` when it was given more.
                guard allowed >= Int(item.length) else { break }
                if allowed < .max {
                    swarm.uploadSpent(link.peer, bytes: Int(item.length))
                    allowance = allowed - Int(item.length)
                } else {
                    allowance = allowed
                }
                buffers.pin(first.run)
                if let second { buffers.pin(second.run) }
                link.batch.append(item, (first, second))
                link.serves.removeFirst()
                continue
            case .loading: waitForRead(link)
            case .gone:
                link.serves.removeFirst()
                swarm.serveFailed(link.peer, piece: item.piece.rawValue, begin: item.begin, length: item.length, now: now, into: &effects)
                continue
            }
            break
        }
        if link.serves.count == 0 { swarm.uploadIdle(link.peer) }
        guard !link.batch.isEmpty else { return }
        if let stream = link.stream {
            hand(link, to: stream, now: now)
            // More may wait, in this turn or when this was acknowledged.
            if !link.serves.isEmpty, !link.waitsForRead { markDirty(link) }
            return
        }
        post(link)
    }

    /// Peers that a rate limit lets go on.
    func resumeUploads() {
        while let peer = swarm.takeUploadReady() {
            if let link = link(of: peer) { markDirty(link) }
        }
    }

    private func post(_ link: Link) {
        link.sendPosted = true
        let (vectors, count) = link.batch.pending(with: link.encipher)
        kit.loop.send(link.fd, vector: vectors, count: count, token: link.token(.send))
    }

    func sendCompleted(_ link: Link, _ result: Int32, now: Instant) {
        link.sendPosted = false
        if result > 0 { link.batch.sent(Int(result)) }
        guard link.state != .closing else { return finishClosing(link, now: now) }
        if result <= 0, result != -ECANCELED { return close(link, errno: -result, now: now) }
        guard link.batch.isEmpty else { return post(link) }
        if link.batch.payloadBytes > 0 { swarm.blockSent(link.peer, bytes: link.batch.payloadBytes, blocks: link.batch.blockCount, now: now, into: &effects) }
        releasePins(link)
        act(now: now)
        markDirty(link)
        // It may have been held back while the queue was full.
        if !link.receivePosted { postReceive(link, now: now) }
    }

    func releasePins(_ link: Link) {
        while let run = link.batch.takePin() { buffers.unpin(run) }
    }

    // MARK: Cache

    private enum Located {
        case ready(BlockPart, BlockPart?)
        case loading
        /// Cannot be had: the torrent is not served now.
        case gone
    }

    /// Finds the cached run or runs of a request. One that is aligned as BEP 3 clients ask lies in one; any other may
    /// cross into a second.
    private func locate(_ item: ServeQueue.Item) -> Located {
        guard let table = torrents[item.torrent], table.isReadable, let geometry = table.geometry else { return .gone }
        guard item.length <= UInt32(buffers.chunkSlots) * PieceGeometry.blockLength,
            UInt64(item.begin) + UInt64(item.length) <= UInt64(geometry.servedLength(of: item.piece)), item.begin < geometry.length(of: item.piece)
        else { return .gone }
        let real = min(item.length, geometry.length(of: item.piece) - item.begin)
        if real < item.length {
            // Zeros behind the end of a file, for who asks for them.
            guard case .found(let data) = part(item, from: item.begin, count: real) else { return .loading }
            guard data.count == Int(real) else { return .gone }
            return .ready(data, BlockPart(run: data.run, memory: zeros, count: Int(item.length - real)))
        }
        guard case .found(let first) = part(item, from: item.begin, count: item.length) else { return .loading }
        if first.count == Int(item.length) { return .ready(first, nil) }
        let from = item.begin + UInt32(first.count), rest = item.length - UInt32(first.count)
        guard case .found(let second) = part(item, from: from, count: rest), second.count == Int(rest) else { return .loading }
        return .ready(first, second)
    }

    private enum Part {
        case found(BlockPart)
        case awaited
    }
    private func part(_ item: ServeQueue.Item, from: UInt32, count: UInt32) -> Part {
        let block = from / PieceGeometry.blockLength
        switch buffers.find(torrent: item.torrent, piece: item.piece, block: block) {
        case .hit(let run, let slot):
            let offset = Int(from % PieceGeometry.blockLength)
            let left = (buffers.endSlot(of: run).int - slot.int) * ArenaLayout.slotSize - offset
            return .found(BlockPart(run: run, memory: arena.slot(slot) + offset, count: min(Int(count), left)))
        case .loading: return .awaited
        case .miss:
            _ = startRead(item.torrent, item.piece, block: block)
            return .awaited
        }
    }

    private func waitForRead(_ link: Link) {
        guard !link.waitsForRead else { return }
        link.waitsForRead = true
        readWaiters.append(link.index)
    }
    /// A read came back, or room did: those who wait look again.
    func wakeReadWaiters() {
        for index in readWaiters {
            if let link = links[Int(index)], link.waitsForRead {
                link.waitsForRead = false
                markDirty(link)
            }
        }
        readWaiters.removeAll(keepingCapacity: true)
    }
}
