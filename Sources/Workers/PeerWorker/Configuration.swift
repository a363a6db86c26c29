import CHash
import PeerEncryption
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
        sha256 = { bytes in
            withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { out in
                ccbt_sha256(bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, out.bindMemory(to: UInt8.self).baseAddress!)
                return SHA256Digest(bytes: UnsafeRawBufferPointer(out))
            }
        }
        func seconds(_ key: String) -> TimeSpan { settings.seconds(key) }
        speaksDHT = settings.bool("discovery.enable_dht") && !settings.bool("discovery.dht_readonly_mode")
        speaksUTP = settings.bool("network.enable_utp")
        maxGlobalPeers = settings.int("network.max_global_peers")
        maxPeersPerTorrent = settings.int("network.max_peers_per_torrent")
        maxHalfOpen = settings.int("network.max_half_open")
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
        enablePex = settings.bool("discovery.enable_pex")
        selection = PieceSelection(rawValue: settings.string("strategy.piece_selection")) ?? .rarestFirst
        if settings.bool("strategy.streaming_mode") { selection = .sequential }
        sequentialWindow = settings.int("strategy.sequential_window")
        sequentialFallbackThreshold = settings.number("strategy.sequential_fallback_threshold")
        maxPendingPerAddress = settings.int("security.max_handshakes_per_address")
        let encryption = EncryptionRules(settings)
        dialsEncryptedFirst = encryption.dialsEncryptedFirst
        dialsOtherWay = encryption.dialsOtherWay
    }
}

/// The options of [security] about message stream encryption.
///
/// | mode | plain in | encrypted in | dials | when the handshake fails |
/// |---|---|---|---|---|
/// | disabled | yes | no | plain | |
/// | allowed | yes | yes | plain | encrypted |
/// | preferred | yes | yes | encrypted | plain |
/// | required | no | yes | encrypted | |
struct EncryptionRules: Equatable {
    let takesPlain: Bool
    let takesEncrypted: Bool
    let dialsEncryptedFirst: Bool
    let dialsOtherWay: Bool
    let methods: EncryptionMethods
    let prefersRC4: Bool

    init(_ settings: Settings) {
        let mode = settings.string("security.encryption_mode")
        takesPlain = mode != "required"
        takesEncrypted = mode != "disabled"
        dialsEncryptedFirst = mode == "preferred" || mode == "required"
        dialsOtherWay = mode == "allowed" || mode == "preferred"
        methods =
            switch settings.string("security.encryption_allowed_ciphers") {
            case "rc4": .rc4
            case "plaintext": .plaintext
            default: [.rc4, .plaintext]
            }
        prefersRC4 = settings.bool("security.encryption_prefer_rc4")
    }
}
