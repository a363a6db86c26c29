import CLinux
import Discovery
import Glibc
import LinuxIO
import Primitives
import ProxyWire
import TrackerWire
import WorkerKit

/// Announces over UDP (BEP 15): two sockets, one per family, around ``UDPTrackerCore``; names through ``Resolver``.
final class UDPTracker {
    private typealias Core = UDPTrackerCore<SystemRandomNumberGenerator>
    private enum Question {
        case announce(AnnounceRequest)
        case scrape([InfoHash])
    }
    private struct Asked {
        let id: RequestID
        let url: TrackerURL
        let question: Question
        let deadline: Instant
        /// Who is asked; nil while the name is looked up.
        var address: Endpoint?
    }

    private let loop: Loop
    private let kind: UInt8
    private let resolver: Resolver
    private let whole: TimeSpan
    private var core = Core(random: SystemRandomNumberGenerator())
    private let proxy: ProxyRules
    private let relay: UDPRelay
    private let relayKind: UInt8
    /// Trackers that are asked through the relay, by the address that stands for them here: nobody looks up their names. At
    /// most `relayedLimit`.
    private var relayed: [Endpoint: (host: String, port: UInt16)] = [:]
    private var nextStandIn: UInt32 = 0
    /// -1: no socket of that family.
    private var four: Int32 = -1, six: Int32 = -1
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: UDPPacket.packetLimit, alignment: 16)
    /// In the order of asking; at most the limit of announces under way.
    private var asked: [Asked] = []
    private(set) var ended: [(RequestID, AnnounceOutcome)] = []
    private var scraped: [(RequestID, ScrapeOutcome)] = []

    /// Packets read at one readiness: then the loop's others have their turn.
    private static let packetsPerTurn = 64

    private static let relayedLimit = 4096

    /// `source`: the address to announce from; nil for the system's choice. `whole`: of one announce.
    /// `relayKind`: of the tokens of the proxy's relay.
    init(
        loop: Loop, kind: UInt8, resolver: Resolver, source: Endpoint?, whole: TimeSpan, proxy: ProxyRules = .none, relayKind: UInt8 = 0
    ) throws(Errno) {
        self.proxy = proxy
        self.relayKind = relayKind
        relay = UDPRelay(loop: loop, kind: relayKind, proxy: proxy)
        self.loop = loop
        self.kind = kind
        self.resolver = resolver
        self.whole = whole
        if source.map(\.isIPv4) ?? true { four = try Sockets.udpSocket(bind: source ?? Endpoint(ipv4: 0, port: 0)) }
        if source.map({ !$0.isIPv4 }) ?? true {
            do throws(Errno) {
                six = try Sockets.udpSocket(bind: source ?? Endpoint(high: 0, low: 0, port: 0))
            } catch {
                // A machine without IPv6 still has IPv4 trackers.
                if source != nil { throw error }
            }
        }
        for fd in [four, six] where fd >= 0 { arm(fd) }
    }
    deinit {
        for fd in [four, six] where fd >= 0 { Descriptor.close(fd) }
        buffer.deallocate()
    }

    var nextDeadline: Instant {
        asked.reduce(min(core.nextDeadline, relay.nextDeadline)) { $1.address == nil ? min($0, $1.deadline) : $0 }
    }
    var count: Int { asked.count }

    func takeEnded() -> [(RequestID, AnnounceOutcome)] {
        defer { ended = [] }
        return ended
    }

    func begin(_ id: RequestID, _ url: TrackerURL, _ request: AnnounceRequest, now: Instant) {
        begin(Asked(id: id, url: url, question: .announce(request), deadline: now + whole, address: nil), now)
    }
    /// A scrape of at most ``UDPPacket/scrapeLimit`` torrents; its end is in ``takeScraped()``.
    func scrape(_ id: RequestID, _ url: TrackerURL, _ infoHashes: [InfoHash], within time: TimeSpan, now: Instant) {
        begin(Asked(id: id, url: url, question: .scrape(infoHashes), deadline: now + time, address: nil), now)
    }
    func takeScraped() -> [(RequestID, ScrapeOutcome)] {
        defer { scraped = [] }
        return scraped
    }

    private func begin(_ one: Asked, _ now: Instant) {
        let (id, url) = (one.id, one.url)
        asked.append(one)
        if proxy.isFor(tracker: url.host) { return beginRelayed(asked.count - 1, now) }
        switch resolver.find(url.host, now: now) {
        case .known(let addresses): ask(asked.count - 1, addresses, now)
        case .lookUp, .wait: break
        case .failed(let reason): end(id, .failed(reason, hostFault: true, retryAfter: nil))
        }
    }

    private func beginRelayed(_ i: Int, _ now: Instant) {
        let one = asked[i]
        guard proxy.kind == .socks5 else {
            return end(one.id, .failed("UDP does not go through an http proxy, and nothing goes past it", hostFault: false, retryAfter: nil))
        }
        if let literal = Endpoint(address: one.url.host, port: one.url.port), AddressClass(literal) == .forbidden {
            return end(one.id, .failed("\(literal.address) may not be asked from here", hostFault: false, retryAfter: nil))
        }
        guard let target = standIn(for: one.url) else {
            return end(one.id, .failed("too many trackers through the proxy", hostFault: false, retryAfter: nil))
        }
        asked[i].address = target
        var effects: [Core.Effect] = []
        begin(one, target, now, &effects)
        perform(effects, now)
    }

    private func begin(_ one: Asked, _ target: Endpoint, _ now: Instant, _ effects: inout [Core.Effect]) {
        switch one.question {
        case .announce(let request): core.begin(one.id, request, to: target, urlData: one.url.pathAndQuery, deadline: one.deadline, now: now, into: &effects)
        case .scrape(let infoHashes): core.begin(one.id, scrape: infoHashes, to: target, deadline: one.deadline, now: now, into: &effects)
        }
    }

    /// 198.18.0.0/15, which no tracker can have (RFC 2544): an IPv4 address, since the answer's peers are taken as such.
    private func standIn(for url: TrackerURL) -> Endpoint? {
        if let known = relayed.first(where: { $0.value == (url.host, url.port) })?.key { return known }
        guard relayed.count < Self.relayedLimit else { return nil }
        nextStandIn += 1
        let made = Endpoint(ipv4: 0xC612_0000 + nextStandIn, port: url.port)
        relayed[made] = (url.host, url.port)
        return made
    }

    private func relayGone(_ why: String, _ now: Instant) {
        var effects: [Core.Effect] = []
        for one in asked { if let address = one.address, relayed[address] != nil { core.unreachable(address, why, now: now, into: &effects) } }
        perform(effects, now)
    }

    /// A lookup's end, from ``Resolver/completed(_:now:)``.
    func resolved(_ host: String, _ answer: AddressCache.Answer, now: Instant) {
        for id in asked.filter({ $0.address == nil && $0.url.host == host }).map(\.id) {
            guard let i = asked.firstIndex(where: { $0.id == id }) else { continue }
            switch answer {
            case .known(let addresses): ask(i, addresses, now)
            case .failed(let reason): end(id, .failed(reason, hostFault: true, retryAfter: nil))
            case .lookUp, .wait: break
            }
        }
    }

    private func ask(_ i: Int, _ addresses: [Endpoint], _ now: Instant) {
        let one = asked[i]
        let usable = addresses.filter { socket(for: $0) >= 0 }
        guard var target = usable.first(where: { AddressClass($0) != .forbidden }) else {
            let why = usable.first.map { "\($0.address) may not be asked from here" } ?? "no address of a family that we have"
            return end(one.id, .failed(why, hostFault: false, retryAfter: nil))
        }
        target.port = one.url.port
        asked[i].address = target
        var effects: [Core.Effect] = []
        begin(one, target, now, &effects)
        perform(effects, now)
    }

    // MARK: events

    func completed(_ completion: Completion, now: Instant) {
        if completion.token.kind == relayKind { return relayCompleted(completion, now) }
        let fd = Int32(bitPattern: completion.token.index)
        for _ in 0..<Self.packetsPerTurn {
            var from = SocketAddress()
            let n = from.withMutableSockaddr { recvfrom(fd, buffer.baseAddress!, buffer.count, Int32(MSG_DONTWAIT), $0, $1) }
            // An error here is of one packet sent earlier (ICMP); the next read tells the truth.
            guard n >= 0 else { break }
            guard let endpoint = from.endpoint else { continue }
            var effects: [Core.Effect] = []
            core.received(UnsafeRawBufferPointer(rebasing: buffer[0..<n]), from: endpoint, now: now, into: &effects)
            perform(effects, now)
        }
        arm(fd)
    }

    private func relayCompleted(_ completion: Completion, _ now: Instant) {
        let gone = relay.completed(completion, now: now) { packet, _ in
            guard let endpoint = core.asked(by: packet), relayed[endpoint] != nil else { return }
            var effects: [Core.Effect] = []
            core.received(packet, from: endpoint, now: now, into: &effects)
            perform(effects, now)
        }
        if let gone { relayGone(gone, now) }
    }

    func turn(now: Instant) {
        if let gone = relay.turn(now: now) { relayGone(gone, now) }
        if core.nextDeadline <= now {
            var effects: [Core.Effect] = []
            core.tick(now: now, into: &effects)
            perform(effects, now)
        }
        for one in asked where one.address == nil && one.deadline <= now {
            end(one.id, .failed("the name lookup takes too long", hostFault: true, retryAfter: nil))
        }
    }

    private func arm(_ fd: Int32) {
        loop.poll(fd, events: Int16(POLLIN), multishot: false, token: Token(kind: kind, index: UInt32(bitPattern: fd), generation: 0))
    }

    private func socket(for address: Endpoint) -> Int32 { address.isIPv4 ? four : six }

    private func perform(_ first: [Core.Effect], _ now: Instant) {
        var effects = first
        var at = 0
        while at < effects.count {
            switch effects[at] {
            case .send(let endpoint, let bytes):
                // A refusal ends every announce to that address, whose ends come behind in this list.
                if let why = send(bytes, to: endpoint, now) { core.unreachable(endpoint, why, now: now, into: &effects) }
            case .ended(let id, let outcome):
                if case .failed(_, hostFault: true, _) = outcome, let one = asked.first(where: { $0.id == id }), let address = one.address, relayed[address] == nil {
                    resolver.demote(one.url.host, address)
                }
                end(id, outcome)
            case .scraped(let id, let entries):
                asked.removeAll { $0.id == id }
                scraped.append((id, .answered(entries)))
            }
            at += 1
        }
    }

    /// nil when it was sent, or lost as any packet may be.
    private func send(_ bytes: [UInt8], to endpoint: Endpoint, _ now: Instant) -> String? {
        if let (host, port) = relayed[endpoint] {
            guard let packet = ProxyDatagram.wrap(bytes, to: host, port: port) else { return "no name of a tracker" }
            return relay.send(packet, now: now)
        }
        let fd = socket(for: endpoint)
        let n = SocketAddress(endpoint).withSockaddr { address, length in
            bytes.withUnsafeBytes { sendto(fd, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL), address, length) }
        }
        guard n < 0 else { return nil }
        switch errno {
        case EAGAIN, EINTR, ENOBUFS, ENOMEM, ECONNREFUSED: return nil
        default: return "\(Errno.current)"
        }
    }

    private func end(_ id: RequestID, _ outcome: AnnounceOutcome) {
        let question = asked.first { $0.id == id }?.question
        asked.removeAll { $0.id == id }
        guard case .scrape? = question else { return ended.append((id, outcome)) }
        switch outcome {
        case .refused(let reason, _), .failed(let reason, _, _): scraped.append((id, .failed(reason)))
        case .answered: preconditionFailure("an announce's answer to a scrape")
        }
    }
}
