import Primitives

/// What a client and a tracker say to each other, over HTTP (BEP 3, 7, 23, 24, 31, 48) and over UDP (BEP 15, 41).
/// Bytes to values and back; no state, no clock. ``TrackerURL`` is the address, ``AnnounceRequest`` and
/// ``AnnounceAnswer`` are the two sides of an announce whatever carries it; HTTPRequest.swift, HTTPAnswer.swift and
/// UDPPacket.swift are the two encodings.
package enum TrackerWire {
    /// Peers taken from one answer; the rest is ignored. A swarm's connection limit is far below it.
    package static let peerLimit = 2_000
    /// Bytes of an HTTP answer, raw and inflated: 2,000 dictionary peers of 100 bytes each are 200 KB.
    package static let bodyLimit = 1 << 20
    /// A tracker's intervals are kept within these, in seconds: a wish for 0 must not make a flood, one for a year
    /// must not lose the swarm.
    package static let intervalRange: ClosedRange<UInt32> = 60...86_400
    /// Bytes of a tracker id that is kept and sent back.
    package static let trackerIDLimit = 256
    /// Unicode scalars of a failure or warning that is kept for the user.
    package static let messageLimit = 240

    /// An interval as the tracker said it, brought into ``intervalRange``.
    package static func interval(_ seconds: Int64) -> UInt32 {
        UInt32(min(max(seconds, Int64(intervalRange.lowerBound)), Int64(intervalRange.upperBound)))
    }
}

/// The `event` of an announce (BEP 3); the raw value is the one of BEP 15.
package enum AnnounceEvent: UInt32, Sendable, Hashable {
    case none = 0
    case completed = 1
    case started = 2
    case stopped = 3

    /// The word in an HTTP query; nil for none.
    package var word: String? {
        switch self {
        case .none: nil
        case .completed: "completed"
        case .started: "started"
        case .stopped: "stopped"
        }
    }
}

package struct AnnounceRequest: Equatable, Sendable {
    package var infoHash: InfoHash
    package var peerID: PeerID
    /// Where we listen for peers.
    package var port: UInt16
    /// Payload bytes.
    package var uploaded: UInt64, downloaded: UInt64, left: UInt64
    package var event: AnnounceEvent
    /// Peers wanted; 0 when stopping.
    package var numWant: Int32
    /// Proves that we are the same client after a change of address (BEP 7, BEP 15).
    package var key: UInt32
    /// What the tracker called us (`tracker id`, BEP 3); empty for none.
    package var trackerID: [UInt8]

    package init(
        infoHash: InfoHash, peerID: PeerID, port: UInt16, uploaded: UInt64, downloaded: UInt64, left: UInt64,
        event: AnnounceEvent = .none, numWant: Int32 = 200, key: UInt32, trackerID: [UInt8] = []
    ) {
        self.infoHash = infoHash
        self.peerID = peerID
        self.port = port
        self.uploaded = uploaded
        self.downloaded = downloaded
        self.left = left
        self.event = event
        self.numWant = numWant
        self.key = key
        self.trackerID = trackerID
    }
}

package struct AnnounceAnswer: Equatable, Sendable {
    /// Seconds until the next announce, within ``TrackerWire/intervalRange``; nil when the tracker named none.
    package var interval: UInt32?
    /// Seconds before which it wants no other announce; same range.
    package var minInterval: UInt32?
    /// At most ``TrackerWire/peerLimit``. Not filtered yet: port 0 and the like may be among them.
    package var peers: [Endpoint] = []
    package var seeds: UInt32?
    package var leechers: UInt32?
    /// Downloads that ever ended (`downloaded`, a common extension).
    package var downloads: UInt32?
    /// At most ``TrackerWire/trackerIDLimit`` bytes.
    package var trackerID: [UInt8]?
    /// One line, safe to show.
    package var warning: String?
    /// Our address as the tracker sees it (BEP 24); port 0.
    package var externalAddress: Endpoint?

    package init(interval: UInt32? = nil, minInterval: UInt32? = nil, peers: [Endpoint] = []) {
        self.interval = interval
        self.minInterval = minInterval
        self.peers = peers
    }
}

/// Swarm figures of one torrent (BEP 48, BEP 15).
package struct ScrapeEntry: Equatable, Sendable {
    package var seeds: UInt32
    package var leechers: UInt32
    package var downloads: UInt32

    package init(seeds: UInt32, leechers: UInt32, downloads: UInt32) {
        self.seeds = seeds
        self.leechers = leechers
        self.downloads = downloads
    }
}

/// Why an answer is no success.
package enum TrackerFailure: Error, Equatable, Sendable {
    /// The tracker said no; one line, safe to show. `retry` is its `retry in` (BEP 31).
    case refused(reason: String, retry: RetryAdvice)
    /// Not a tracker's answer; one line.
    case malformed(String)
}

/// When a tracker that refused may be asked again (BEP 31).
package enum RetryAdvice: Equatable, Sendable {
    case unsaid
    /// Seconds, at most a day.
    case after(UInt32)
    case never
}

/// Text from a tracker as one line that is safe in a terminal, a log and a page: wrong UTF-8 replaced, control and
/// direction-changing characters written as \u{..}, cut at ``TrackerWire/messageLimit``.
package func trackerLine(_ bytes: some Collection<UInt8>) -> String {
    // Four bytes a scalar at the most: longer input cannot matter.
    let text = String(decoding: bytes.prefix(TrackerWire.messageLimit * 4), as: UTF8.self)
    var out = String.UnicodeScalarView()
    for scalar in text.unicodeScalars.prefix(TrackerWire.messageLimit) {
        switch scalar.value {
        case 9, 10, 13: out.append(" ")
        case 0..<32, 127..<160, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF, 0xFFF9...0xFFFB,
            0xE0000...0xE007F:
            out.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
        default: out.append(scalar)
        }
    }
    return String(out)
}
