import Primitives

/// A player that jumps does not wait for what was asked before: requests that nobody's playing needs soon are cancelled (BEP 3), and
/// their places in the pipelines go to the new position at once.
///
///     asked ──jump──▶ cancelled ─┬─ reject (BEP 6) ──────────────────────────────────▶ missing: the picker's again
///                                ├─ a block that was asked for later comes ──────────▶ missing
///                                ├─ ``Swarm/cancelPatience`` ────────────────────────▶ missing
///                                └─ the block, which was under way ──────────────────▶ received, like any other
///
/// Until one of these the block stays with its peer: its slot may be written by nobody else, so nothing is fetched twice because a
/// cancel crossed a block.
extension Swarm {
    /// Without any block: a peer that obeys a cancel and does not say so (BEP 3), and has nothing else to send. One that sends what was
    /// cancelled had it in its buffers already, and there may be seconds of it: thrown away it would be fetched twice.
    static var cancelPatience: TimeSpan { .seconds(5) }
    /// What is played within it cannot wait behind a full pipeline, which holds 1.5 s (``adjustDepth``).
    private static var urgent: TimeSpan { .seconds(2) }
    /// What is played within it keeps its requests: asked for anew it would hardly come sooner.
    private static var soon: TimeSpan { .seconds(5) }

    /// `stream` plays from another place. Nothing happens when what it needs first is there, or asked for already.
    func giveWay(_ t: Int, to stream: Stream, _ now: Instant, _ effects: inout EffectBuffer) {
        guard let geometry = torrents[t].geometry, torrents[t].isDownloading, let picker = torrents[t].picker else { return }
        var needed = stream.pieces(geometry).prefix { stream.deadline($0, geometry) - now <= Self.urgent }.filter(picker.isPickable)
        var o = torrents[t].unaskedBlocks > 0 ? torrents[t].openHead : -1
        while o >= 0 {
            let row = open + Int(o)
            let piece = row.pointee.piece.int
            if row.pointee.stage == .filling, row.pointee.unasked > 0, stream.pieces(geometry).contains(piece), stream.deadline(piece, geometry) - now <= Self.urgent {
                needed.append(piece)
            }
            o = row.pointee.next
        }
        guard !needed.isEmpty else { return }
        for q in torrents[t].peers {
            let i = Int(q)
            // A web seed is asked for a mebibyte at most, in one request. A peer on parole ends its piece alone.
            guard peers[i].stage == .open, !peers[i].isChoking, !peers[i].isWebSeed, !peers[i].onParole, needed.contains(where: { peers[i].have.contains($0) }) else { continue }
            cancelDistant(i, t, geometry, now, &effects)
        }
    }

    /// All but the first, which is probably coming in. Those that wait for their rejects are at most another pipeline.
    private func cancelDistant(_ i: Int, _ t: Int, _ geometry: PieceGeometry, _ now: Instant, _ effects: inout EffectBuffer) {
        for at in 0..<peers[i].requests.count where at > 0 && peers[i].cancelled < depthLimit(i) {
            let request = peers[i].requests[at]
            guard !request.isCancelled else { continue }
            if let due = playback(open[Int(request.open)].piece.int, t, geometry), due - now <= Self.soon { continue }
            peers[i].requests.markCancelled(at)
            peers[i].cancelled += 1
            peers[i].cancelledAt = now
            cancel(i, request, now, &effects)
        }
    }

    /// The peer says that it will not send it. It was asked to: no fault, and no pause.
    func cancelConfirmed(_ i: Int, at: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        giveBack(i, at: at, &effects)
        fill(i, now, &effects)
    }

    /// The peer will answer none of them. Not while a receive may write into their slots.
    func forgetCancelled(_ i: Int, _ effects: inout EffectBuffer) {
        for at in (0..<peers[i].requests.count).reversed() where peers[i].requests[at].isCancelled && !(at == 0 && peers[i].inBlock) {
            // It may come after all.
            peers[i].forgiven += 1
            giveBack(i, at: at, &effects)
        }
    }

    /// A piece of which nothing came and nothing is asked is closed: others need its buffer.
    private func giveBack(_ i: Int, at: Int, _ effects: inout EffectBuffer) {
        let o = Int(peers[i].requests[at].open)
        dropRequest(i, at: at)
        guard open[o].stage == .filling, open[o].received == 0, open[o].unasked == open[o].blockCount, !open[o].isSolo else { return }
        abandon(o, &effects)
    }
}
