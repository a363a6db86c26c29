import Limits
import PeerWire
import Primitives

/// One connection. About 700 bytes; its request ring and bitfield come on top when they are needed.
struct PeerRow {
    /// free → dialling → handshaking → open → closing → free; accepted ones begin at handshaking.
    enum Stage: UInt8 { case free, dialling, handshaking, open, closing }

    var stage = Stage.free
    var generation: UInt32 = 0
    /// Row of its torrent; -1 until the handshake of an accepted connection named it.
    var torrent: Int32 = -1
    /// Place in the torrent's `peers`.
    var place = 0
    var endpoint = Endpoint(high: 0, low: 0, port: 0)
    /// Where it listens, as far as known: the candidate that this connection occupies.
    var listens: Endpoint?
    var origin = PeerOrigin.incoming
    var isIncoming = false
    var overUTP = false
    var peerID = PeerID()
    var client = ""
    var closeReason: CloseReason?
    var stageSince = Instant.zero
    var lastReceived = Instant.zero
    var lastSent = Instant.zero

    /// To be dialled encrypted.
    var dialsEncrypted = false

    // What was negotiated.
    var encryption = StreamEncryption.none
    var fast = false
    var extensions = false
    var metadataID: UInt8 = 0
    var metadataSize = 0
    /// BEP 55: the id by which it wants ut_holepunch; 0: it does not speak it.
    var holepunchID: UInt8 = 0
    var holepunches = HolepunchBudget()
    /// Dialled at a relay's word.
    var isMeeting = false
    var uploadOnly = false
    var pexID: UInt8 = 0
    var dontHaveID: UInt8 = 0
    var uploadOnlyID: UInt8 = 0
    /// What ut_pex says of it to others, without what changes (``PexMessage/Flags/isSeed``).
    var pexFlags: PexMessage.Flags = []
    /// By this address others were told of it.
    var pexListed: Endpoint?
    /// Entry of the torrent's log up to which it was told; nil: nothing yet.
    var pexCursor: Int?
    var pexNext = Instant.zero
    /// When its allowance of messages is used up (a virtual schedule of one a minute), and contacts that it gave.
    var pexHeard = Instant.zero
    var pexGiven = 0
    /// Requests that it queues (`reqq`); 250 is what clients assume.
    var requestQueue = 250

    // BEP 3 state: both sides begin choked and not interested.
    var amChoking = true
    var amInterested = false
    var isChoking = true
    var isInterested = false

    /// It said what it has: a second bitfield is an error.
    var toldPieces = false
    var have = PieceSet(none: 0)
    /// What it has, in wire order, while the number of pieces is not known.
    var rawHave: [UInt8] = []
    var rawHaveAll = false
    /// Pieces that it has and we lack.
    var useful = 0
    /// Pieces that we may ask for while choked; pieces that it may ask for while choked; pieces it would like us to take.
    var allowedFast: [UInt32] = []
    var grantedFast: [UInt32] = []
    var suggested: [UInt32] = []

    // Download.
    var requests = RequestRing()
    /// How many of them were cancelled, and when the last was.
    var cancelled = 0
    var cancelledAt = Instant.zero
    /// Blocks that it is to send.
    var pending: Int { requests.count - cancelled }
    /// The piece that it is being asked for, and that row's generation.
    var current: Int32 = -1
    var currentGeneration: UInt32 = 0
    var depth = 0
    var slowStart = true
    var slowStartRate = 0.0
    var slowStartTicks = 0
    var rejectsInARow = 0
    var pausedUntil = Instant.zero
    var shortestDelay = TimeSpan.zero
    var shortestDelayBefore = TimeSpan.zero
    var delayWindowStart = Instant.zero
    var averageDelay = TimeSpan.zero
    var lastBlockAt = Instant.zero
    var waitingSince = Instant.zero
    var timeouts = 0
    var isSnubbed = false
    var onParole = false
    /// The payload of the first request is coming in.
    var inBlock = false
    var inBlockSince = Instant.zero
    var nothingAtEpoch: UInt32?
    var pinned: UnsafeMutablePointer<Int32>?
    var pinnedCount = 0
    /// The shell fetches its blocks over HTTP.
    var isWebSeed = false
    /// Of a web seed: the piece that it began last.
    var lastPicked = -1
    /// Payload bytes of its requests that were charged to the limits.
    var charged = 0
    var wantsDisarm = false
    var disarmFor = DisarmFor.nothing
    /// The later ones are of more weight.
    enum DisarmFor: UInt8 { case nothing, endgame, cancelled, timeout }
    /// The torrent's ``TorrentRow/playEpoch`` when it was given a piece last.
    var playEpoch: UInt32 = 0

    // Upload.
    var queued = 0
    var queuedBytes = 0
    var unchokedAt = Instant.never
    var uploadedSinceUnchoke: UInt64 = 0
    var lastOptimistic = Instant.zero
    var isOptimistic = false
    var metadataServing = 0
    /// Super-seeding: the pieces that it was shown; nil: it knows of all. Of these, those that nobody else has yet.
    var shown: Bitfield?
    var waitsForOthers: [ShownPiece] = []

    // Counters.
    var downloaded: UInt64 = 0
    var uploaded: UInt64 = 0
    var downTick: UInt64 = 0
    var upTick: UInt64 = 0
    var downRate = 0.0
    var upRate = 0.0
    var downRound: UInt64 = 0
    var upRound: UInt64 = 0

    // Misbehaviour.
    /// Blocks that may still come although they were cancelled or given up.
    var forgiven = 0
    var uselessBlocks = 0
    var invalidRequests = 0
    var uselessMessages = 0
    var uselessWindow = Instant.zero
    /// Messages of each ``FloodKind`` in the window.
    var floodCounts = SIMD8<UInt16>()
    /// Libtorrent's trust points: -2 for a part in a bad piece, +1 for a good one, within -7 ... 8. Shown and
    /// used for ordering; only a piece supplied alone bans.
    var trust: Int8 = 0

    // BEP 52.
    /// It is in the v2 swarm, or knows of it.
    var isVersion2 = false
    var hashesServing: UInt8 = 0
    var hashesRefusedUntil = Instant.zero

    // Metadata.
    var metadataAsked = 0
    var metadataRefusedUntil = Instant.zero

    var isSeed: Bool { have.total > 0 && have.isFull }

    @discardableResult
    mutating func takeRequest(at: Int) -> Request {
        let request = requests[at]
        requests.remove(at: at)
        if request.isCancelled { cancelled -= 1 }
        return request
    }
}

struct TorrentRow {
    var isLive = false
    var id = TorrentID(rawValue: 0)
    var infoHash = InfoHash()
    var infoHashV2: SHA256Digest?
    var traits: TorrentTraits = []
    var limits = TorrentLimits()
    var geometry: PieceGeometry?
    var metadataLength = 0
    /// The disk worker serves it now.
    var isReady = false
    /// The disk takes no new pieces (it is full, or fails writes); what is there is served on.
    var isUnwritable = false
    /// It did at least once: `have` means something.
    var wasReady = false
    var have = PieceSet(none: 0)
    var peers: [UInt32] = []
    var dialling = 0
    /// Only while there are peers, and pieces that are wanted are missing.
    var picker: Picker?
    /// First of the list of open pieces.
    var openHead: Int32 = -1
    var openCount = 0
    /// Blocks of filling pieces that nobody was asked for.
    var unaskedBlocks = 0
    /// Open pieces that still miss blocks.
    var fillingCount = 0
    var isStarved = false
    var candidates = Candidates()
    var inDialQueue = false
    var nextDial = Instant.zero
    var lastMoreWanted = Instant(nanoseconds: -3_600_000_000_000)
    var metadata: MetadataFetch?
    var metadataDone = false
    /// Piece layers that a magnet's torrent lacks.
    var layers: LayerFetch?
    var nextUnchoke = Instant.zero
    var nextOptimistic = Instant.zero
    var seeds = 0
    var inFlight = 0
    var downloaded: UInt64 = 0
    var downloadedAgain: UInt64 = 0
    var uploaded: UInt64 = 0
    var downTick: UInt64 = 0
    var upTick: UInt64 = 0
    var downRate = 0.0
    var upRate = 0.0
    var parkedBytes = 0
    var statsChanged = false
    var isActive = false
    /// Not 0: waits in the line of those without peers.
    var lonelyTicket: UInt32 = 0
    /// Peers that ut_pex can name; only while somebody listens to it.
    var pex: PexLog?
    /// A level for each piece (``FileLevel``); empty: all normal.
    var levels: [UInt8] = []
    /// Pieces of level `skip`; nil: none. Of these, how many are missing.
    var unwanted: Bitfield?
    var unwantedMissing = 0
    /// Open pieces that were wanted when they were begun.
    var hasUnwantedOpen = false
    /// Who plays it.
    var streams: [Stream] = []
    /// Rises when somebody plays from another place: peers look anew for what is due, whatever they are on.
    var playEpoch: UInt32 = 0
    /// Only while peers are connected to whom we are super-seeding.
    var superSeed: SuperSeed?
    /// What connected peers were told (BEP 21).
    var saidUploadOnly = false

    /// Every piece that is wanted is there.
    var isFinished: Bool { geometry != nil && wasReady && have.count + unwantedMissing == have.total }
    var isComplete: Bool { geometry != nil && wasReady && have.isFull }
    var isPaused: Bool { traits.contains(.paused) }
    /// Peers are welcome: it has metadata and a disk, or lacks metadata and looks for it.
    var isOpenToPeers: Bool { isLive && !isPaused && (geometry == nil || wasReady) }
    /// Blocks may be asked for.
    var isDownloading: Bool { isLive && !isPaused && isReady && !isUnwritable && !isFinished }
}
