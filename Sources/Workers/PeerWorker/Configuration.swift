import CHash
import Primitives
import Settings
import Swarm

extension SwarmConfiguration {
    /// The options of [network] and [strategy], by their names.
    init(_ settings: Settings, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        self.init(
            peerID: Self.makePeerID(random: &random), listenPort: UInt16(settings.int("network.listen_port")),
            sha1: { bytes in
                var out = [UInt8](repeating: 0, count: 20)
                ccbt_sha1(bytes.baseAddress, bytes.count, &out)
                return SHA1Digest(out)!
            })
        func seconds(_ key: String) -> TimeSpan { settings.seconds(key) }
        maxGlobalPeers = settings.int("network.max_global_peers")
        maxPeersPerTorrent = settings.int("network.max_peers_per_torrent")
        pipelineMaxDepth = settings.int("network.pipeline_max_depth")
        uploadSlots = settings.int("network.max_upload_slots")
        unchokeInterval = seconds("network.unchoke_interval")
        optimisticUnchokeInterval = seconds("network.optimistic_unchoke_interval")
        connectionTimeout = seconds("network.connection_timeout")
        handshakeTimeout = seconds("network.handshake_timeout")
        keepAliveInterval = seconds("network.keep_alive_interval")
        peerTimeout = seconds("network.peer_timeout")
        endgameThreshold = settings.number("strategy.endgame_threshold")
        endgameDuplicates = settings.int("strategy.endgame_duplicates")
    }
}
