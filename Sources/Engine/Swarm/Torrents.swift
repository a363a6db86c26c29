import PeerWire
import Primitives

/// The catalogue's side: torrents come, change and go.
extension Swarm {
    /// Adds a torrent, or tells more of one that is known: the metadata of a magnet link arrived, its flags changed.
    package func addTorrent(_ spec: TorrentSpec, now: Instant, into effects: inout EffectBuffer) {
        if let known = rowOfTorrent[spec.id] {
            let t = Int(known)
            rename(t, spec)
            if torrents[t].geometry == nil, spec.geometry != nil { metadataArrived(t, spec, now, &effects) }
            if torrents[t].geometry == nil {
                // A new session: what was found and not stored is lost.
                torrents[t].metadataDone = false
                torrents[t].layers = nil
            }
            setTraits(spec.id, spec.traits, now: now, into: &effects)
            return
        }
        let t: Int
        if let free = freeTorrents.popLast() {
            t = Int(free)
        } else {
            if torrentRows == torrentCapacity { growTorrents() }
            t = torrentRows
            (torrents + t).initialize(to: TorrentRow())
            torrentRows += 1
        }
        torrents[t] = TorrentRow()
        torrents[t].isLive = true
        torrents[t].id = spec.id
        torrents[t].infoHash = spec.infoHash
        torrents[t].infoHashV2 = spec.infoHashV2
        torrents[t].traits = spec.traits
        torrents[t].geometry = spec.geometry
        torrents[t].metadataLength = spec.metadataLength
        torrents[t].have = PieceSet(none: spec.geometry?.pieceCount ?? 0)
        setTorrentBucket(t, now)
        noteChange(t)
        rowOfTorrent[spec.id] = Int32(t)
        enterHashes(t)
        seekPeers(t)
    }

    private func growTorrents() {
        let grown = UnsafeMutablePointer<TorrentRow>.allocate(capacity: torrentCapacity * 2)
        grown.moveInitialize(from: torrents, count: torrentRows)
        torrents.deallocate()
        torrents = grown
        torrentCapacity *= 2
    }

    package func removeTorrent(_ id: TorrentID, now: Instant, into effects: inout EffectBuffer) {
        guard let known = rowOfTorrent.removeValue(forKey: id) else { return }
        let t = Int(known)
        torrents[t].isLive = false
        leaveHashes(t)
        dropPeers(t, .torrentRemoved, now, &effects)
        releaseAllPieces(t, &effects)
        starved.removeAll { $0 == known }
        dialQueue.removeAll { $0 == known }
        if torrents[t].isActive { activeRows.removeAll { $0 == known } }
        suspicions.forget(id)
        torrents[t] = TorrentRow()
        freeTorrents.append(known)
        feedStarved(now, &effects)
    }

    package func setTraits(_ id: TorrentID, _ traits: TorrentTraits, now: Instant, into effects: inout EffectBuffer) {
        guard let t = rowOfTorrent[id].map(Int.init), torrents[t].traits != traits else { return }
        let wasPaused = torrents[t].isPaused
        torrents[t].traits = traits
        endSuperSeeding(t, now, &effects)
        tellUploadOnly(t, now, &effects)
        if torrents[t].isPaused, !wasPaused { dropPeers(t, .torrentPaused, now, &effects) }
        if wasPaused, !torrents[t].isPaused {
            wantDials(t)
            seekPeers(t)
        }
    }

    /// Closes every connection of a torrent, dials included, and forgets what they were asked for.
    private func dropPeers(_ t: Int, _ reason: CloseReason, _ now: Instant, _ effects: inout EffectBuffer) {
        for i in 0..<peerRows where peers[i].stage != .free {
            if peers[i].torrent == Int32(t), peers[i].stage != .closing {
                dropAllRequests(i)
                peers[i].inBlock = false
                leaveCurrent(i, now, &effects)
                close(i, reason, now, &effects)
            } else if peers[i].stage == .closing, peers[i].requests.count > 0, Int(open[Int(peers[i].requests[0].open)].torrent) == t {
                dropAllRequests(i)
                leaveCurrent(i, now, &effects)
            }
        }
    }

    package func peersFound(
        _ id: TorrentID, origin: PeerOrigin, _ endpoints: [Endpoint], isVersion2: Bool = false, now: Instant, into effects: inout EffectBuffer
    ) {
        guard let t = rowOfTorrent[id].map(Int.init) else { return }
        // BEP 27: a private torrent's peers come from its trackers.
        if torrents[t].traits.contains(.isPrivate), origin == .dht || origin == .pex || origin == .lsd { return }
        let limit = torrents[t].isFinished ? configuration.maxCandidatesPerTorrent / 4 : configuration.maxCandidatesPerTorrent
        for endpoint in endpoints.prefix(2_000) where endpoint.isDialable && !reputation.isBanned(AddressKey(endpoint), now: now) {
            // Who is new is not kept waiting until somebody known is due.
            if addCandidate(t, endpoint, origin, limit: limit, isVersion2: isVersion2) { torrents[t].nextDial = .zero }
        }
        wantDials(t)
        dialSome(now, &effects)
    }
}
