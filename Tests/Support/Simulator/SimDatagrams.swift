import MicroTransport
import PeerWire
import Primitives

/// uTP below a connection: two real cores, and datagrams that come late, twice, out of order or never.
///
/// The cores count the bytes of a stream and never look at them, so the stream is the lengths of the messages, and a message
/// has arrived with its last byte.
final class SimDatagrams {
    /// By side: the dialler is 0.
    let cores: [MicroTransport]
    fileprivate var handles: [UTPHandle?] = [nil, nil]
    /// Messages on their way from each side, with their ends in its stream.
    private var queues: [[(end: UInt64, message: SimMessage)]] = [[], []]
    private var heads = [0, 0]
    private var supplied: [UInt64] = [0, 0]
    private var waiting = [0, 0]
    private var received: [UInt64] = [0, 0]
    fileprivate var wakes = [Instant.never, Instant.never]
    /// One way, of most datagrams.
    fileprivate let delay: TimeSpan
    private let headers = UnsafeMutableRawPointer.allocate(byteCount: MicroTransport.headerRoom(16), alignment: 16)
    private let packets = UnsafeMutablePointer<UTPOutgoing>.allocate(capacity: 16)

    init(delay: TimeSpan, seed: UInt64) {
        var configuration = UTPConfiguration()
        (configuration.maxConnections, configuration.maxHalfOpen, configuration.reorderBuffers) = (4, 4, 1024)
        cores = [0, 1].map { MicroTransport(configuration: configuration, seed: seed &+ $0) }
        self.delay = delay
    }
    deinit {
        headers.deallocate()
        packets.deallocate()
    }

    func open(now: Instant) { handles[0] = cores[0].connect(to: Self.endpoint(1), now: now) }

    /// As the daemon's streams: two windows ahead, 64 KiB at least.
    func hasRoom(_ side: Int) -> Bool {
        guard let handle = handles[side] else { return waiting[side] < 65_536 }
        return cores[side].unreleased(handle) < max(65_536, 2 * cores[side].window(handle))
    }

    func put(_ message: SimMessage, from side: Int) {
        let length = message.wireLength
        queues[side].append((supplied[side] + UInt64(waiting[side] + length), message))
        waiting[side] += length
        supply(side)
    }
    private func supply(_ side: Int) {
        guard let handle = handles[side], waiting[side] > 0 else { return }
        cores[side].supply(handle, bytes: waiting[side])
        supplied[side] += UInt64(waiting[side])
        waiting[side] = 0
    }

    /// What left, each with its bytes.
    fileprivate func depart(_ side: Int, now: Instant, _ body: ([UInt8]) -> Void) {
        while cores[side].hasPackets, let departure = cores[side].takePackets(limit: 16, headers: headers, packets: packets, now: now) {
            for n in 0..<departure.count {
                let packet = packets[n]
                body([UInt8](UnsafeRawBufferPointer(start: headers + packet.header, count: packet.headerLength)) + [UInt8](repeating: 0, count: packet.length))
            }
        }
    }

    /// For the story.
    func state(_ side: Int) -> String {
        guard let handle = handles[side] else { return "uTP, not connected" }
        let core = cores[side]
        return "uTP, \(core.unreleased(handle)) bytes unacknowledged, window \(core.window(handle)), queue \(core.queuingDelay(handle) ?? 0) µs, "
            + "received \(received[side]), \(core.counters)"
    }

    /// The messages that are whole now.
    fileprivate func arrive(_ bytes: [UInt8], at side: Int, now: Instant) -> [SimMessage] {
        var bytes = bytes
        bytes.withUnsafeMutableBytes { raw in
            let arrival = cores[side].received(raw, from: Self.endpoint(1 - side), now: now)
            guard let handle = arrival.connection else { return }
            if arrival.opening == .incoming { handles[side] = handle }
            received[side] += UInt64(arrival.payload.count)
            if arrival.hasMore {
                while let more = cores[side].takeReordered(handle) { received[side] += UInt64(more.count) }
            }
        }
        supply(side)
        let other = 1 - side
        var whole: [SimMessage] = []
        while heads[other] < queues[other].count, queues[other][heads[other]].end <= received[side] {
            whole.append(queues[other][heads[other]].message)
            heads[other] += 1
        }
        if heads[other] > 256 {
            queues[other].removeFirst(heads[other])
            heads[other] = 0
        }
        return whole
    }

    /// True: the core gave the connection up.
    fileprivate func hasEnded(_ side: Int) -> Bool {
        defer { cores[side].events.removeAll(keepingCapacity: true) }
        return cores[side].events.contains {
            switch $0 {
            case .progress: false
            case .ended, .closed: true
            }
        }
    }

    private static func endpoint(_ side: Int) -> Endpoint { Endpoint(ipv4: 0x0A09_0001 + UInt32(side), port: 6881) }
}

extension SimMessage {
    /// On the wire (BEP 3, 6, 10, 52).
    var wireLength: Int {
        switch self {
        case .handshake: 68
        case .block(_, _, let bytes): 13 + bytes.count
        case .message(let message, let payload):
            switch message {
            case .keepAlive: 4
            case .have, .suggest, .allowedFast: 9
            case .request, .cancel, .reject: 17
            default: 5 + payload.count
            }
        }
    }
}

extension SimWorld {
    /// A new connection's datagrams, when it goes by uTP.
    func datagrams() -> SimDatagrams? {
        guard random.chance(scenario.utp) else { return nil }
        mark(.utpConnection)
        let (low, high) = scenario.delay
        return SimDatagrams(delay: low + random.jitter(high - low), seed: random.next())
    }

    /// Sends what the side's core has, and wakes it when it wants to be woken.
    func pump(_ connection: SimConnection, _ side: Int) {
        guard connection.isOpen, let way = connection.datagrams else { return }
        if way.hasEnded(side) { return breakOff(connection) }
        let from = connection.ends[side].node
        way.depart(side, now: clock.now) { bytes in
            var left = clock.now
            if bytes.count > 100, from < nodes.count {
                nodes[from].lineFreeAt = max(nodes[from].lineFreeAt, left) + .seconds(Double(bytes.count) / scenario.uploadRate)
                left = nodes[from].lineFreeAt
            }
            guard !hits(scenario.loss, .datagramLoss) else { return }
            var copies = [left + way.delay + random.jitter(.milliseconds(2))]
            if hits(scenario.loss / 2, .datagramLate) { copies[0] = copies[0] + random.jitter(.milliseconds(30)) }
            if hits(scenario.loss / 4, .datagramTwice) { copies.append(copies[0] + random.jitter(.milliseconds(5))) }
            for arrival in copies { at(arrival) { $0.arrived(bytes, connection, at: 1 - side) } }
        }
        let deadline = way.cores[side].nextDeadline
        guard deadline < way.wakes[side] else { return }
        way.wakes[side] = deadline
        at(max(deadline, clock.now)) { world in
            guard connection.isOpen, way.wakes[side] == deadline else { return }
            way.wakes[side] = .never
            way.cores[side].expire(now: world.clock.now)
            world.pump(connection, side)
        }
    }

    private func arrived(_ bytes: [UInt8], _ connection: SimConnection, at side: Int) {
        guard connection.isOpen, let way = connection.datagrams else { return }
        for message in way.arrive(bytes, at: side, now: clock.now) { hand(message, connection, to: side) }
        pump(connection, side)
    }
}
