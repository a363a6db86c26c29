import PeerWire
import Primitives

/// Which pieces are wanted, and which first. A torrent is finished when all that is wanted is there; it is complete, a seed, when
/// all pieces are.
extension Swarm {
    /// A level for each piece (``FileLevel``), as the disk worker makes them of the files'; empty: all normal.
    package func setLevels(_ id: TorrentID, _ levels: [UInt8], now: Instant, into effects: inout EffectBuffer) {
        guard let t = rowOfTorrent[id].map(Int.init), let geometry = torrents[t].geometry, levels.isEmpty || levels.count == geometry.pieceCount,
            levels != torrents[t].levels
        else { return }
        torrents[t].levels = levels
        torrents[t].unwanted = nil
        if levels.contains(FileLevel.skip) {
            var unwanted = Bitfield(count: levels.count)
            for (piece, level) in levels.enumerated() where level == FileLevel.skip { unwanted.insert(piece) }
            torrents[t].unwanted = unwanted
        }
        recountWanted(t)
        noteChange(t)
        // Nothing is begun by the old wishes meanwhile.
        torrents[t].picker = nil
        giveUpUnwanted(t, now, &effects)
        guard torrents[t].wasReady else { return }
        ensurePicker(t)
        for q in torrents[t].peers.reversed() {
            recountUseful(Int(q), t)
            peers[Int(q)].nothingAtEpoch = nil
            updateInterest(Int(q), now, &effects)
        }
        checkComplete(t, now, &effects)
        tellUploadOnly(t, now, &effects)
        // Seeds that left us as of no use are of use again.
        if !torrents[t].isFinished {
            torrents[t].candidates.retryNow()
            torrents[t].nextDial = .zero
        }
        wantDials(t)
        seekPeers(t)
        fillAll(t, now, &effects)
    }

    func isWanted(_ t: Int, _ piece: Int) -> Bool { torrents[t].unwanted.map { !$0[piece] } ?? true }

    func recountWanted(_ t: Int) {
        guard let unwanted = torrents[t].unwanted else {
            torrents[t].unwantedMissing = 0
            return
        }
        let have = torrents[t].have
        torrents[t].unwantedMissing = have.isEmpty ? unwanted.setCount : have.isFull ? 0 : unwanted.subtracting(have.bits!).setCount
    }

    // MARK: Open pieces that are wanted no more

    /// What was asked of them is cancelled, and nobody is asked for more of them. A block that is coming in ends first.
    private func giveUpUnwanted(_ t: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        torrents[t].hasUnwantedOpen = false
        var o = torrents[t].openHead
        while o >= 0 {
            let at = Int(o)
            o = open[at].next
            open[at].isUnwanted = !isWanted(t, open[at].piece.int)
            if open[at].isUnwanted { torrents[t].hasUnwantedOpen = true }
        }
        guard torrents[t].hasUnwantedOpen else { return }
        for q in torrents[t].peers.reversed() {
            let i = Int(q)
            guard (0..<peers[i].requests.count).contains(where: { open[Int(peers[i].requests[$0].open)].isUnwanted }) else { continue }
            if peers[i].pinnedCount > 0 { disarm(i, for: .timeout, &effects) } else { giveUpRequests(i, now, &effects) }
        }
        abandonUnwanted(t, &effects)
    }

    /// Once a second, until all of them are gone: bytes of files that are not wanted are not written.
    func abandonUnwanted(_ t: Int, _ effects: inout EffectBuffer) {
        guard torrents[t].hasUnwantedOpen else { return }
        torrents[t].hasUnwantedOpen = false
        var o = torrents[t].openHead
        while o >= 0 {
            let at = Int(o)
            o = open[at].next
            guard open[at].isUnwanted else { continue }
            switch open[at].stage {
            case .filling where open[at].received + open[at].unasked == open[at].blockCount, .complete, .parked: abandon(at, &effects)
            case .filling, .suspect: torrents[t].hasUnwantedOpen = true
            case .handed, .free, .dying: break
            }
        }
    }

    // MARK: Choice

    func choose(_ i: Int, _ t: Int, _ picker: Picker) -> Int? {
        switch torrents[t].traits.contains(.sequential) ? .sequential : configuration.selection {
        case .sequential:
            return picker.pickSequential(
                from: peers[i].have, window: configuration.sequentialWindow, threshold: configuration.sequentialFallbackThreshold,
                peers: torrents[t].peers.count, seeds: torrents[t].seeds, random: &random)
        case .roundRobin: return picker.pickNext(from: peers[i].have)
        case .rarestFirst:
            for piece in peers[i].suggested where picker.isPickable(Int(piece)) && peers[i].have.contains(Int(piece)) { return Int(piece) }
            return picker.pickRarest(from: peers[i].have, random: &random)
        }
    }
}

/// Order of pieces that are wanted alike.
package enum PieceSelection: String, Sendable, CaseIterable {
    case rarestFirst = "rarest_first"
    case sequential
    case roundRobin = "round_robin"
}
