import Primitives
import Supervision
import TrackerWire

/// Finding peers through trackers: decisions only. ``AnnounceCore`` says which tracker is asked when and what its
/// answer means; ``UDPTrackerCore`` is the client side of BEP 15; ``AddressCache`` and ``AddressPolicy`` say which
/// address a name stands for and which may be connected to. No clock, no socket, no randomness of their own.
package enum Discovery {
    /// Trackers of one torrent that are used; a hostile torrent can name thousands.
    package static let trackersPerTorrent = 256
    /// First wait after a failure; doubles with each further one. Full jitter: uniform between 0 and the span.
    package static let backoffBase = TimeSpan.minutes(1)
    package static let backoffMaximum = TimeSpan.minutes(30)
    /// Two askings of one tracker for one torrent are at least this far apart while it fails, whatever the jitter says.
    package static let backoffMinimum = TimeSpan.seconds(15)
    /// The user's "announce now" never comes sooner after the last announce, even if the tracker named no minimum.
    package static let announceNowMinimum = TimeSpan.seconds(60)
    /// A tracker that said `never` (BEP 31) is left alone; to a restarted worker that is a day.
    package static let neverAgain = TimeSpan.minutes(24 * 60)
    /// Attempts to say `stopped` before it is given up: the tracker forgets us by itself after an interval or two.
    package static let stopAttempts = 3
}

/// A torrent as the catalogue's owner describes it.
package struct TorrentRecord: Sendable {
    package var id: TorrentID
    /// What the swarm is called on the wire.
    package var infoHash: InfoHash
    package var paused: Bool
    package var trackers: [TrackerRecord]
    /// Payload bytes.
    package var downloaded: UInt64, uploaded: UInt64, left: UInt64

    package init(
        id: TorrentID, infoHash: InfoHash, paused: Bool = false, trackers: [TrackerRecord], downloaded: UInt64 = 0,
        uploaded: UInt64 = 0, left: UInt64 = 0
    ) {
        self.id = id
        self.infoHash = infoHash
        self.paused = paused
        self.trackers = trackers
        self.downloaded = downloaded
        self.uploaded = uploaded
        self.left = left
    }
}

package struct TrackerRecord: Sendable {
    package var tier: UInt16
    package var url: String
    /// Not asked before this moment: the schedule of an earlier generation.
    package var next: Instant
    /// The tracker has seen `started` and not `stopped`.
    package var startedSent: Bool

    package init(tier: UInt16 = 0, url: String, next: Instant = .zero, startedSent: Bool = false) {
        self.tier = tier
        self.url = url
        self.next = next
        self.startedSent = startedSent
    }
}

/// What is shown of one tracker of one torrent. The raw values stand in TrackerStatus frames.
package enum TrackerState: UInt8, Sendable {
    case notAsked = 0, announcing, working, failing, breakerOpen
}

package struct TrackerReport: Equatable, Sendable {
    package var torrent: TorrentID
    package var tier: UInt16
    package var url: String
    package var state: TrackerState
    package var startedSent: Bool
    /// -1: unknown.
    package var seeds: Int32, leechers: Int32, downloads: Int32
    package var next: Instant
    package var message: String
    /// `completed` is still due at it.
    package var completedPending = false
}

/// Names one announce under way. Of an older generation: forgotten.
package struct RequestID: Hashable, Sendable {
    package let slot: UInt32
    package let generation: UInt32
    package init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }
}

package enum AnnounceOutcome: Sendable {
    /// `from`: the address that answered, if known.
    case answered(AnnounceAnswer, from: Endpoint?)
    /// The tracker's own `failure reason`: the host works, this torrent is not welcome.
    case refused(String, RetryAdvice)
    /// No answer of a tracker. `hostFault`: the host is to blame, not this torrent (counts in its breaker).
    /// `retryAfter`: seconds, as the server said.
    case failed(String, hostFault: Bool, retryAfter: UInt32?)
}

extension AnnounceCore {
    package struct Configuration: Sendable {
        /// Announces under way at once, to one host and in all.
        package var perHost = 8
        package var total = 128
        /// Announces begun per second at one host: 50,000 torrents of one tracker take 17 minutes, which is less than
        /// the usual interval of 30, and a tracker's front end takes 50 requests per second.
        package var startsPerSecond = 50
        /// Where a tracker names no interval.
        package var interval = TimeSpan.seconds(1800)
        package var httpEnabled = true
        package var udpEnabled = true
        /// Peers asked for.
        package var numWant: Int32 = 200
        package init() {}
    }

    package enum Event: Sendable {
        case replayBegan
        /// New, or a change of a known one (its trackers' state is kept by URL).
        case torrentAdded(TorrentRecord)
        case torrentRemoved(TorrentID)
        case torrentPaused(TorrentID, Bool)
        case counters(TorrentID, downloaded: UInt64, uploaded: UInt64, left: UInt64)
        case completed(TorrentID)
        /// The same for the trackers with these URLs, which an earlier worker did not reach.
        case completedAgain(TorrentID, [String])
        case announceNow(TorrentID)
        /// Torrents that the replay did not name are gone. Announcing begins.
        case replayEnded(listenPort: UInt16, key: UInt32, peerID: PeerID)
        /// 0: not known; nothing is announced then.
        case listenPort(UInt16)
        /// Addresses of this machine, so that we are not told about ourselves.
        case localAddresses([Endpoint])
        case ended(RequestID, AnnounceOutcome)
        /// What the tracker of this URL said of a torrent's swarm.
        case scraped(TorrentID, url: String, ScrapeEntry)
        /// True while the reader of our effects is behind: nothing new is begun.
        case held(Bool)
        /// Say `stopped` where it is due until the deadline, begin nothing else.
        case drain(deadline: Instant)
        case tick
    }

    package enum Effect: Sendable {
        /// Must be answered by exactly one ``Event/ended(_:_:)``.
        case announce(RequestID, TrackerURL, AnnounceRequest)
        case peers(TorrentID, [Endpoint])
        case report(TrackerReport)
        case breaker(host: String, CircuitBreaker<String>.Transition)
        case drained
    }
}
