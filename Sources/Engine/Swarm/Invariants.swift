import Primitives

extension Swarm {
    /// The invariants of ``Swarm``, counted afresh. For tests and simulation, after every event; nothing in release.
    package func checkInvariants() {
        #if DEBUG
            var askers = [UInt64: Int]()
            var inFlight = [Int32: Int]()
            var pins = [Int32: Int]()
            var live = 0
            for i in 0..<peerRows where peers[i].stage != .free {
                live += 1
                let p = peers[i]
                for at in 0..<p.requests.count {
                    let request = p.requests[at]
                    let o = open[Int(request.open)]
                    precondition(o.stage == .filling, "request for a piece in stage \(o.stage)")
                    let state = o.blocks[Int(request.block)].state
                    precondition(state == .asked || state == .shared, "request for a block in state \(state)")
                    askers[UInt64(request.open) << 32 | UInt64(request.block), default: 0] += 1
                    inFlight[o.torrent, default: 0] += 1
                }
                precondition((0..<p.requests.count).reduce(0) { $0 + (p.requests[$1].isCancelled ? 1 : 0) } == p.cancelled, "cancelled requests")
                for k in 0..<p.pinnedCount { pins[p.pinned![k], default: 0] += 1 }
                guard p.stage == .open else {
                    precondition(p.stage == .dialling || p.stage == .handshaking || p.torrent == -1)
                    continue
                }
                let t = torrents[Int(p.torrent)]
                precondition(t.isLive && t.peers[p.place] == UInt32(i), "peer and torrent disagree")
                if t.wasReady, t.geometry != nil {
                    var lack = p.have.bitfield.subtracting(t.have.bitfield)
                    if let unwanted = t.unwanted { lack = lack.subtracting(unwanted) }
                    let lacking = lack.setCount
                    precondition(p.useful == lacking, "useful \(p.useful) is \(lacking)")
                    precondition(p.amInterested == (lacking > 0), "interest")
                }
            }
            precondition(live == livePeers, "live peers")
            precondition(halfOpen == (0..<peerRows).reduce(0) { $0 + (peers[$1].stage == .dialling ? 1 : 0) }, "half-open connections")
            let changed = Set(changedRows), active = Set(activeRows)
            for t in 0..<torrentRows where torrents[t].isLive {
                precondition(!torrents[t].statsChanged || changed.contains(Int32(t)), "a change that nobody is told of")
                precondition(torrents[t].peers.isEmpty || active.contains(Int32(t)), "a torrent with peers that no tick visits")
            }
            for t in 0..<torrentRows where torrents[t].isLive { checkInvariants(torrent: t, askers, inFlight[Int32(t)] ?? 0) }
            for o in 0..<openRows where open[o].stage != .free { precondition(Int(open[o].pins) == pins[Int32(o)] ?? 0, "pins") }
        #endif
    }

    #if DEBUG
        private func checkInvariants(torrent t: Int, _ askers: [UInt64: Int], _ inFlight: Int) {
            let row = torrents[t]
            precondition(row.inFlight == inFlight, "in flight \(row.inFlight) is \(inFlight)")
            var count = 0, filling = 0, unasked = 0, parked = 0
            var isOpen = Set<Int>()
            var o = row.openHead
            while o >= 0 {
                let piece = open[Int(o)]
                precondition(piece.stage != .free && piece.stage != .dying && Int(piece.torrent) == t)
                precondition(isOpen.insert(piece.piece.int).inserted, "a piece is open twice")
                count += 1
                var missing: UInt32 = 0, received: UInt32 = 0
                for block in 0..<Int(piece.blockCount) {
                    let asked = askers[UInt64(o) << 32 | UInt64(block)] ?? 0
                    precondition(Int(piece.blocks[block].askers) == asked, "askers")
                    switch piece.blocks[block].state {
                    case .missing:
                        missing += 1
                        precondition(asked == 0 && block >= Int(piece.cursor))
                    case .asked: precondition(asked == 1)
                    case .shared: precondition(asked >= 1)
                    case .received:
                        received += 1
                        precondition(asked == 0)
                    }
                }
                precondition(missing == piece.unasked && received == piece.received, "block counts")
                precondition((received == piece.blockCount) == (piece.stage != .filling), "stage")
                if piece.stage == .filling {
                    filling += 1
                    unasked += Int(missing)
                }
                if piece.stage == .parked { parked += Int(piece.length) }
                o = piece.next
            }
            precondition(count == row.openCount && filling == row.fillingCount && unasked == row.unaskedBlocks && parked == row.parkedBytes)
            guard let picker = row.picker else {
                precondition(row.geometry == nil || !row.wasReady || row.peers.isEmpty || row.isFinished, "no picker")
                return
            }
            picker.checkInvariants()
            for piece in 0..<row.have.total {
                let has = row.have.contains(piece)
                precondition(picker.isPickable(piece) == (!has && !isOpen.contains(piece) && isWanted(t, piece)), "piece \(piece) is nowhere or twice")
                let owners = row.peers.reduce(0) { $0 + (!peers[Int($1)].isSeed && peers[Int($1)].have.contains(piece) ? 1 : 0) }
                precondition(Int(picker.availability[piece]) == owners, "availability")
            }
            precondition(row.seeds == row.peers.reduce(0) { $0 + (peers[Int($1)].isSeed ? 1 : 0) }, "seeds")
        }
    #endif
}
