import Glibc
import MicroTransport
import Primitives
import UTPWire

/// A direction between two hosts: a queue of `rate` bytes a second that holds `queue` bytes, then the way, with its faults.
struct Wire {
    /// Bytes a second; 0: without limit.
    var rate = 0.0
    var queue = Int.max
    var delay = TimeSpan.milliseconds(10)
    var jitter = TimeSpan.zero
    var loss = 0.0
    var duplication = 0.0
    /// Part of the packets that take up to 30 ms more than the others.
    var reordering = 0.0
    /// Datagrams above it are dropped when they must not be fragmented.
    var limit = 65_535
    /// Above it nothing passes at all.
    var blackHole = 65_535

    var busyUntil = Instant.zero
    var dropped = 0
}

/// Hosts, their streams, and the wires between them, on one virtual clock.
final class Network {
    struct Datagram {
        var at: Instant
        var order: UInt64
        var from: Int
        var to: Int
        var bytes: [UInt8]
    }

    var now = Instant(nanoseconds: 5_000_000_000)
    var random: SeededRandom
    var hosts: [Host] = []
    var wires: [Wire] = []
    /// Index into `wires` by sender and receiver.
    var route: [[Int]] = []
    /// Sorted from the last to the first.
    private var heap: [Datagram] = []
    private var orders: UInt64 = 0
    /// Called for what is not uTP's (the model of another flow).
    var others: [(at: Instant, order: UInt64, run: (Network) -> Void)] = []

    init(seed: UInt64, hosts count: Int = 2, wire: Wire = Wire(), configuration: UTPConfiguration = UTPConfiguration()) {
        random = SeededRandom(seed: seed)
        for i in 0..<count {
            hosts.append(Host(index: i, core: MicroTransport(configuration: configuration, seed: seed &* 31 &+ UInt64(i))))
        }
        for from in 0..<count {
            route.append([])
            for _ in 0..<count {
                route[from].append(wires.count)
                wires.append(wire)
            }
        }
    }

    func wire(_ from: Int, _ to: Int) -> Int { route[from][to] }

    /// The moment at which a packet of `size` bytes is through the wire; nil: dropped.
    func pass(_ w: Int, size: Int, isWhole: Bool = false) -> Instant? {
        let s = wires[w]
        if (isWhole && size > s.limit) || size > s.blackHole || random.chance(s.loss) { return nil }
        var at = now
        if s.rate > 0 {
            let waiting = max(0, (s.busyUntil - now).seconds) * s.rate
            guard Int(waiting) + size <= s.queue else {
                wires[w].dropped += 1
                return nil
            }
            at = max(now, s.busyUntil) + .seconds(Double(size + 28) / s.rate)
            wires[w].busyUntil = at
        }
        at += s.delay
        if s.jitter > .zero { at += random.jitter(s.jitter) }
        if random.chance(s.reordering) { at += random.jitter(.milliseconds(30)) }
        return at
    }

    func send(from: Int, to: Int, _ bytes: [UInt8], isWhole: Bool = false) {
        let w = wire(from, to)
        guard let at = pass(w, size: bytes.count, isWhole: isWhole) else { return }
        post(Datagram(at: at, order: 0, from: from, to: to, bytes: bytes))
        if random.chance(wires[w].duplication) { post(Datagram(at: at + random.jitter(.milliseconds(5)), order: 0, from: from, to: to, bytes: bytes)) }
    }
    private func post(_ datagram: Datagram) {
        var datagram = datagram
        orders += 1
        datagram.order = orders
        heap.append(datagram)
        var child = heap.count - 1
        while child > 0, earlier(heap[child], heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }
    private func earlier(_ a: Datagram, _ b: Datagram) -> Bool { a.at != b.at ? a.at < b.at : a.order < b.order }
    private func popDatagram() -> Datagram {
        let first = heap[0], last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in (2 * parent + 1)..<(2 * parent + 3) where child < heap.count && earlier(heap[child], heap[least]) { least = child }
            guard least != parent else { return first }
            heap.swapAt(parent, least)
            parent = least
        }
    }
    func schedule(_ at: Instant, _ run: @escaping (Network) -> Void) {
        orders += 1
        let at = max(at, now)
        var place = others.count
        while place > 0, others[place - 1].at <= at { place -= 1 }
        others.insert((at, orders, run), at: place)
    }

    /// Runs until `done`, the end of all events, or `limit` more virtual time. Returns the time it took.
    @discardableResult
    func run(for limit: TimeSpan, until done: () -> Bool = { false }) -> TimeSpan {
        let start = now, end = now + limit
        for host in hosts { host.depart(self) }
        while !done() {
            var at = heap.first?.at ?? .never
            at = min(at, others.last?.at ?? .never)
            for host in hosts { at = min(at, host.wall(host.core.nextDeadline)) }
            guard at <= end else {
                now = end
                break
            }
            now = max(now, at)
            if let other = others.last, other.at <= now {
                others.removeLast()
                other.run(self)
            } else if let first = heap.first, first.at <= now {
                let datagram = popDatagram()
                hosts[datagram.to].arrive(datagram.bytes, from: datagram.from, self)
            }
            for host in hosts where host.wall(host.core.nextDeadline) <= now {
                host.core.expire(now: host.clock(now))
                host.act()
            }
            for host in hosts { host.depart(self) }
        }
        return now - start
    }
}

/// One uTP socket and its streams. Each byte of a stream is a function of its place, so that a wrong one is noticed at once.
final class Host {
    struct Stream {
        var received: UInt64 = 0
        var supplied: UInt64 = 0
        /// What shall be sent in all.
        var total: UInt64 = 0
        var isEnded = false
        var isConnected = false
    }

    let index: Int
    let core: MicroTransport
    /// The host's clock against the network's.
    var offset = TimeSpan.zero
    var drift = 0.0
    var streams: [UTPHandle: Stream] = [:]
    var incoming: [UTPHandle] = []
    var closed: [UTPHandle: UTPCloseReason] = [:]
    var sent = 0
    var sentBytes = 0
    var sizes: [Int: Int] = [:]
    var lastSent: [UInt8] = []
    /// The socket takes so many packets, then is full.
    var room = Int.max
    private let headers = UnsafeMutableRawPointer.allocate(byteCount: MicroTransport.headerRoom(64), alignment: 16)
    private let packets = UnsafeMutablePointer<UTPOutgoing>.allocate(capacity: 64)

    init(index: Int, core: MicroTransport) {
        self.index = index
        self.core = core
    }
    deinit {
        headers.deallocate()
        packets.deallocate()
    }

    static func endpoint(_ index: Int) -> Endpoint { Endpoint(ipv4: 0x0A00_0001 + UInt32(index), port: 6881) }
    /// A period that no packet size divides, and a packet more, so that a stretch is always in one piece.
    private static let period = 1_000_003
    private static let pattern: [UInt8] = {
        var random = SeededRandom(seed: 99)
        let once = (0..<period).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        return once + once[..<65_536]
    }()

    func clock(_ now: Instant) -> Instant { Instant(nanoseconds: now.nanoseconds + Int64(Double(now.nanoseconds) * drift)) + offset }
    func wall(_ own: Instant) -> Instant {
        own == .never ? .never : Instant(nanoseconds: Int64((Double((own - offset).nanoseconds) / (1 + drift)).rounded(.up)) + 1)
    }

    func connect(to other: Int, _ network: Network) -> UTPHandle {
        let handle = core.connect(to: Self.endpoint(other), now: clock(network.now))!
        streams[handle] = Stream()
        return handle
    }

    func send(_ handle: UTPHandle, _ bytes: Int) {
        streams[handle]!.total += UInt64(bytes)
        supply(handle)
    }
    /// Like the daemon: not more than two windows ahead.
    private func supply(_ handle: UTPHandle) {
        guard let stream = streams[handle], stream.supplied < stream.total else { return }
        let ahead = core.unreleased(handle), wanted = max(65_536, 2 * core.window(handle))
        let n = min(Int(stream.total - stream.supplied), wanted - ahead)
        guard n > 0 else { return }
        streams[handle]!.supplied += UInt64(n)
        core.supply(handle, bytes: n)
    }

    func arrive(_ bytes: [UInt8], from: Int, _ network: Network) {
        var bytes = bytes
        bytes.withUnsafeMutableBytes { raw in
            let arrival = core.received(raw, from: Self.endpoint(from), now: clock(network.now))
            if let handle = arrival.connection {
                switch arrival.opening {
                case .incoming:
                    streams[handle] = Stream()
                    streams[handle]!.isConnected = true
                    incoming.append(handle)
                case .connected: streams[handle]!.isConnected = true
                case .none: break
                }
                deliver(handle, arrival.payload)
                if arrival.hasMore {
                    while let more = core.takeReordered(handle) { deliver(handle, more) }
                }
            }
        }
        act()
    }
    private func deliver(_ handle: UTPHandle, _ bytes: UnsafeMutableRawBufferPointer) {
        let at = streams[handle]!.received
        let isRight = Self.pattern.withUnsafeBytes {
            bytes.isEmpty || memcmp($0.baseAddress! + Int(at % UInt64(Self.period)), bytes.baseAddress!, bytes.count) == 0
        }
        precondition(isRight, "wrong bytes after \(at)")
        streams[handle]!.received = at + UInt64(bytes.count)
    }
    func act() {
        let events = core.events
        core.events.removeAll(keepingCapacity: true)
        for event in events {
            switch event {
            case .progress(let handle): if streams[handle] != nil { supply(handle) }
            case .ended(let handle): streams[handle]?.isEnded = true
            case .closed(let handle, let reason): closed[handle] = reason
            }
        }
    }

    func depart(_ network: Network) {
        while core.hasPackets, let departure = core.takePackets(limit: 44, headers: headers, packets: packets, now: clock(network.now)) {
            for n in 0..<departure.count {
                let packet = packets[n]
                guard room > 0 else {
                    if let handle = departure.connection { core.unsent(handle, packet.sequence) }
                    continue
                }
                room -= 1
                var bytes = [UInt8](UnsafeRawBufferPointer(start: headers + packet.header, count: packet.headerLength))
                let at = Int(packet.offset % UInt64(Self.period))
                bytes += Self.pattern[at..<at + packet.length]
                sent += 1
                lastSent = bytes
                sentBytes += bytes.count
                sizes[bytes.count, default: 0] += 1
                let to = Int(departure.endpoint.ipv4) - 0x0A00_0001
                if network.hosts.indices.contains(to) { network.send(from: index, to: to, bytes, isWhole: packet.isProbe) }
            }
            if room == 0 { return }
        }
    }
}
