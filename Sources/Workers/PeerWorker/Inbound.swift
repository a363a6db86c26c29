import BlockArena
import Glibc
import LinuxIO
import Observe
import PeerWire
import Primitives
import Swarm

/// The download path from the socket to the marked block:
///
///     post ─▶ recv into slots ─▶ receiveByPlan ─┬─▶ blockReceived ─▶ effects (request more, store the piece)
///                                └─mismatch─▶ parse (linear) ─▶ message / block
///
/// While a receive points into slots the core knows it (`armed`): it gives such a slot to nobody else and asks for
/// `disarm` when it wants it back. A block that several peers were asked for is received into the inbox and copied.
extension PeerShell {
    // MARK: Posting

    func postReceive(_ link: Link, now: Instant) {
        guard link.state != .dialing, link.state != .closing, !link.receivePosted, link.stream == nil else { return }
        // Held back by a rate limit: the tick posts it again, and until then the window closes.
        guard swarm.mayReceive(link.peer, now: now) else { return }
        link.receivePosted = true
        if link.inbox.isEmpty, link.state == .open {
            let armed = planAhead(link)
            if !link.plan.isEmpty {
                let (vectors, count, _) = link.plan.prepare()
                link.receivesByPlan = true
                swarm.armed(link.peer, armed, now: now, into: &effects)
                kit.loop.receive(link.fd, vector: vectors, count: count, token: link.token(.receive))
                return
            }
        }
        link.receivesByPlan = false
        let free = link.inbox.free()
        kit.loop.receive(link.fd, free.baseAddress!, free.count, token: link.token(.receive))
    }

    /// Fills the plan with what the peer owes us next. Returns how many of its expected blocks, from the first on,
    /// the receive may write.
    private func planAhead(_ link: Link) -> Int {
        link.plan.restart()
        var nth = 0, armed = 0, inside: ReceivePlan.Item? = nil
        if link.plan.isInside {
            let item = link.plan[0]
            inside = item
            if item.slot != nil {
                armed = expectedCount(link, upTo: item)
                if armed == 0 { link.plan.discardCurrent(into: bin) }
            }
        }
        while !link.plan.isFull, let block = swarm.expected(link.peer, nth) {
            nth += 1
            if let inside, inside.piece == block.piece.rawValue, inside.begin == block.begin { continue }
            guard let slot = block.slot else { break }
            link.plan.append(.init(piece: block.piece.rawValue, begin: block.begin, length: block.length, slot: slot, payload: arena.slot(slot)))
            armed = max(armed, nth)
        }
        return armed
    }

    /// The place of `item` among the expected blocks, from 1; 0 when its slot is not this peer's any more.
    private func expectedCount(_ link: Link, upTo item: ReceivePlan.Item) -> Int {
        var nth = 0
        while let block = swarm.expected(link.peer, nth) {
            nth += 1
            if block.piece.rawValue == item.piece, block.begin == item.begin { return block.slot == item.slot ? nth : 0 }
        }
        return 0
    }

    /// For bytes that are here already: plans the block that they belong to. False: none is expected into a slot of its own.
    func planOne(_ link: Link) -> Bool {
        if link.plan.isInside {
            if link.plan[link.plan.current].slot != nil, expectedCount(link, upTo: link.plan[link.plan.current]) == 0 { link.plan.discardCurrent(into: bin) }
            return true
        }
        guard let block = swarm.expected(link.peer, 0), let slot = block.slot else { return false }
        link.plan.removeAll()
        link.plan.append(.init(piece: block.piece.rawValue, begin: block.begin, length: block.length, slot: slot, payload: arena.slot(slot)))
        return true
    }

    // MARK: Completion

    func receiveCompleted(_ link: Link, _ result: Int32, now: Instant) {
        link.receivePosted = false
        if link.receivesByPlan { swarm.armed(link.peer, 0, now: now, into: &effects) }
        guard link.state != .closing else { return finishClosing(link, now: now) }
        switch result {
        case 1...:
            if link.receivesByPlan {
                // In place, headers and payloads in the order of the stream: nothing reads them before.
                if let decipher = link.decipher { link.plan.decrypt(Int(result), with: decipher) }
                receiveByPlan(link, Int(result), now: now)
            } else {
                link.inbox.filled(Int(result))
                if let decipher = link.decipher { decipher.apply(link.inbox.last(Int(result))) }
                parse(link, now: now)
            }
        case -ECANCELED: break
        default:
            if link.state == .proxying { proxyFailed(link, "it hung up", now: now) }
            close(link, errno: -result, now: now)
        }
        act(now: now)
        postReceive(link, now: now)
    }

    func receiveByPlan(_ link: Link, _ received: Int, now: Instant) {
        var rest = received
        while true {
            switch link.plan.next(&rest) {
            case .delivered(let item): settle(link, item.piece, item.begin, item.length, in: item.slot, now: now)
            case .needMore: return
            case .mismatch:
                let size = link.plan.offset + rest
                link.inbox.reserve(size)
                link.plan.gather(rest: rest, into: link.inbox.free().baseAddress!)
                link.inbox.filled(size)
                return parse(link, now: now)
            }
        }
    }

    /// A whole payload is in `slot` (nil: in the bin).
    @inline(__always)
    private func settle(_ link: Link, _ piece: UInt32, _ begin: UInt32, _ length: UInt32, in slot: SlotIndex?, now: Instant) {
        if let slot, swarm.destination(link.peer, piece: piece, begin: begin, length: length) == .direct(slot) {
            arena.setReceived(slot)
            swarm.blockReceived(link.peer, piece: piece, begin: begin, length: length, now: now, into: &effects)
        } else {
            swarm.blockDiscarded(link.peer, piece: piece, begin: begin, length: length, now: now, into: &effects)
        }
    }

    // MARK: Linear

    /// Takes whole messages from the inbox. A block whose payload is not all here goes on by the plan.
    func parse(_ link: Link, now: Instant) {
        while link.state != .closing {
            if link.state == .proxying {
                guard hearProxy(link, now: now) else { return }
                continue
            }
            if link.state == .securing {
                guard secure(link, now: now) else { return }
                continue
            }
            if link.state == .greeting {
                guard greet(link, now: now) else { return }
                continue
            }
            let bytes = link.inbox.readable
            do throws(WireError) {
                switch try link.parser.next(bytes, at: 0) {
                case .needMore(let needed): return link.inbox.reserve(needed)
                case .message(.piece(let piece, let begin, let length), let consumed):
                    guard takeBlock(link, bytes, header: consumed, piece, begin, length, now: now) else { return }
                case .message(let message, let consumed):
                    swarm.message(link.peer, message, payload: bytes, now: now, into: &effects)
                    link.inbox.consume(consumed)
                }
            } catch {
                Log.log(.debug, "stream broken: \(error)")
                swarm.streamFailed(link.peer, now: now, into: &effects)
                link.inbox.consume(link.inbox.count)
                return
            }
        }
    }

    /// False: stop parsing, the rest of the payload is to come.
    private func takeBlock(
        _ link: Link, _ bytes: UnsafeRawBufferPointer, header: Int, _ piece: UInt32, _ begin: UInt32, _ length: UInt32, now: Instant
    ) -> Bool {
        let here = min(bytes.count - header, Int(length)), source = bytes.baseAddress! + header
        switch swarm.destination(link.peer, piece: piece, begin: begin, length: length) {
        case .direct(let slot):
            return take(link, source, here, header, .init(piece: piece, begin: begin, length: length, slot: slot, payload: arena.slot(slot)), now: now)
        case .copy(let slot):
            guard here == Int(length) else {
                link.inbox.reserve(header + Int(length))
                return false
            }
            arena.slot(slot).copyMemory(from: source, byteCount: here)
            copiedBytes += UInt64(here)
            arena.setReceived(slot)
            link.inbox.consume(header + here)
            swarm.blockReceived(link.peer, piece: piece, begin: begin, length: length, now: now, into: &effects)
            return true
        case .discard:
            return take(link, source, here, header, .init(piece: piece, begin: begin, length: length, slot: nil, payload: bin), now: now)
        }
    }

    private func take(_ link: Link, _ source: UnsafeRawPointer, _ here: Int, _ header: Int, _ item: ReceivePlan.Item, now: Instant) -> Bool {
        item.payload.copyMemory(from: source, byteCount: here)
        copiedBytes += UInt64(here)
        link.inbox.consume(header + here)
        guard here < Int(item.length) else {
            settle(link, item.piece, item.begin, item.length, in: item.slot, now: now)
            return true
        }
        link.plan.beginInside(item, received: here)
        return false
    }

    /// The core wants the slots back that the posted receive points into.
    func disarm(_ peer: PeerHandle, now: Instant) {
        guard let link = link(of: peer) else { return }
        if link.receivePosted, link.receivesByPlan {
            kit.loop.cancel(link.token(.receive))
        } else {
            swarm.armed(peer, 0, now: now, into: &effects)
        }
    }
}
