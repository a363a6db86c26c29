import Discovery
import Primitives
import TrackerWire

/// An ``AnnounceCore`` on a clock that only the test moves. Announces wait in `open` until the test answers them.
struct Bench {
    struct Asked {
        let id: RequestID
        let url: String
        let request: AnnounceRequest
        let at: Instant
    }
    var core: AnnounceCore
    var now = Instant.zero + .seconds(1_000)
    var open: [Asked] = []
    /// Every announce begun, oldest first.
    var log: [Asked] = []
    var reports: [TrackerReport] = []
    var peers: [(TorrentID, [Endpoint])] = []
    var breakers: [String] = []
    var drained = false

    init(seed: UInt64 = 1, active: Bool = true, _ change: (inout AnnounceCore.Configuration) -> Void = { _ in }) {
        var configuration = AnnounceCore.Configuration()
        change(&configuration)
        core = AnnounceCore(configuration: configuration, random: SeededRandom(seed: seed))
        if active { start() }
    }

    static let peerID = PeerID(Array("-CC0001-abcdefghijkl".utf8))!

    mutating func start() { send(.replayEnded(listenPort: 6881, key: 7, peerID: Self.peerID)) }

    mutating func send(_ event: AnnounceCore.Event) {
        var effects: [AnnounceCore.Effect] = []
        core.handle(event, now: now, into: &effects)
        for effect in effects {
            switch effect {
            case .announce(let id, let url, let request):
                open.append(Asked(id: id, url: url.text, request: request, at: now))
                log.append(open.last!)
            case .report(let report): reports.append(report)
            case .peers(let id, let endpoints): peers.append((id, endpoints))
            case .breaker(let host, let transition): breakers.append("\(host) \(transition.from)->\(transition.to)")
            case .drained: drained = true
            }
        }
    }

    /// Answers the oldest open announce and returns it.
    @discardableResult mutating func answer(_ outcome: AnnounceOutcome) -> Asked {
        let asked = open.removeFirst()
        send(.ended(asked.id, outcome))
        return asked
    }
    @discardableResult mutating func succeed(_ answer: AnnounceAnswer = AnnounceAnswer(interval: 1800)) -> Asked {
        self.answer(.answered(answer, from: nil))
    }
    @discardableResult mutating func fail(_ reason: String = "no answer", hostFault: Bool = false) -> Asked {
        answer(.failed(reason, hostFault: hostFault, retryAfter: nil))
    }

    /// Moves the clock on, stopping at each moment at which the core wants to act.
    mutating func advance(_ span: TimeSpan, answering: ((inout Bench) -> Void)? = nil) {
        let end = now + span
        while true {
            if let answering { while !open.isEmpty { answering(&self) } }
            let next = core.nextDeadline
            guard next <= end else { break }
            now = max(now, next)
            send(.tick)
        }
        now = end
    }
    /// To the next moment at which the core acts.
    mutating func advanceToNext() {
        guard core.nextDeadline != .never else { return }
        now = max(now, core.nextDeadline)
        send(.tick)
    }

    mutating func failUntilABreakerOpens() {
        while breakers.isEmpty {
            if open.isEmpty { advanceToNext() } else { fail("HTTP 500", hostFault: true) }
        }
    }

    mutating func add(
        _ id: UInt32, _ trackers: [TrackerRecord], left: UInt64 = 100, paused: Bool = false, hash: UInt8? = nil
    ) {
        var bytes = [UInt8](repeating: hash ?? UInt8(truncatingIfNeeded: id), count: 20)
        if hash == nil { (bytes[0], bytes[1], bytes[2]) = (UInt8(id >> 16 & 255), UInt8(id >> 8 & 255), UInt8(id & 255)) }
        send(
            .torrentAdded(
                TorrentRecord(
                    id: TorrentID(rawValue: id), infoHash: InfoHash(bytes)!, paused: paused, trackers: trackers, left: left)))
    }
    mutating func add(_ id: UInt32, _ urls: String..., left: UInt64 = 100) {
        add(id, urls.enumerated().map { TrackerRecord(tier: UInt16($0.offset), url: $0.element) }, left: left)
    }
    var words: [String] { log.map { "\($0.request.event) \($0.url.split(separator: "/")[1])" } }
}

let a = "http://a/announce", b = "http://b/announce", c = "http://c/announce", d = "http://d/announce"
func id(_ n: UInt32) -> TorrentID { TorrentID(rawValue: n) }
