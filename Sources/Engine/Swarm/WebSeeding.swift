import PeerWire
import Primitives

/// Web seeds (BEP 19, 17) are peers that have everything, never choke and want nothing. They are asked, limited, measured,
/// blamed and left like any other; only the shell knows that their answers come over HTTP. Their addresses stand for them
/// in the reputation and are never dialled.
extension Swarm {
    /// Requests outstanding at a web seed at the least: one long range is far cheaper than many short ones. 1 MiB.
    package static var webSeedRequests: Int { 64 }

    /// 0100::/8 is reserved and never routed; every seed has a /64 of its own, which is what a ban is for.
    package static func webSeedEndpoint(_ number: UInt32) -> Endpoint { Endpoint(high: 0x0100_0000_0000_0000 | UInt64(number) + 1, low: 1, port: 80) }

    /// The torrent has use for a web seed.
    package func wantsWebSeeds(_ id: TorrentID) -> Bool { rowOfTorrent[id].map { torrents[Int($0)].isDownloading && torrents[Int($0)].geometry != nil } ?? false }

    /// nil: it is banned, or there is no room, or nothing to do for it.
    package func webSeedJoined(_ id: TorrentID, endpoint: Endpoint, name: String, now: Instant, into effects: inout EffectBuffer) -> PeerHandle? {
        guard wantsWebSeeds(id), let t = rowOfTorrent[id].map(Int.init), !reputation.isBanned(AddressKey(endpoint), now: now),
            torrents[t].peers.count < peerLimit(t), let i = newPeer(now: now)
        else { return nil }
        peers[i].isWebSeed = true
        peers[i].stage = .open
        peers[i].torrent = Int32(t)
        peers[i].endpoint = endpoint
        peers[i].origin = .webSeed
        peers[i].client = name
        peers[i].uselessWindow = now
        peers[i].waitingSince = now
        peers[i].isChoking = false
        peers[i].uploadOnly = true
        peers[i].toldPieces = true
        peers[i].requestQueue = configuration.pipelineMaxDepth
        peers[i].depth = min(Self.webSeedRequests, depthLimit(i))
        peers[i].have = PieceSet(none: torrents[t].have.total)
        peers[i].onParole = reputation.isOnParole(AddressKey(endpoint))
        peers[i].place = torrents[t].peers.count
        torrents[t].peers.append(UInt32(i))
        attachToLimits(i, t, now)
        wake(t)
        noteChange(t)
        ensurePicker(t)
        learned(i, t, PieceSet(all: torrents[t].have.total), now, &effects)
        let p = handle(i)
        fill(i, now, &effects)
        return p
    }

    /// The piece after the last one, so that one request of the shell covers both.
    func nextOfRun(_ i: Int, _ picker: Picker) -> Int? {
        let next = peers[i].lastPicked + 1
        return peers[i].isWebSeed && next > 0 && next < peers[i].have.total && picker.isPickable(next) && picker.isMostWanted(next) ? next : nil
    }
}
