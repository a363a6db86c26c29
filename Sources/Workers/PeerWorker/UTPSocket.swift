import CLinux
import Glibc
import LinuxIO
import MicroTransport
import Primitives
import ProxyWire

/// One datagram socket and the uTP connections on it: our own, or one that is connected to a SOCKS5 relay, through which every
/// datagram goes and comes with a header in front (``ProxyDatagram``).
final class UTPSocket {
    /// What completions name it by.
    let id: UInt32
    let endpoint: Endpoint
    /// nil: our own socket.
    let relay: Endpoint?
    let core: MicroTransport
    let io: Datagrams
    /// By the connection's index.
    private(set) var streams: [UTPStream?] = []
    /// Datagrams may be waiting: the next turn reads.
    var mayRead = true
    /// The socket is full: nothing goes out until it says otherwise.
    var isFull = false

    /// 44 full datagrams of Ethernet are 64 KiB, what one segmented message holds.
    static let burst = 44
    /// Memory stretches of one packet, at most: 1,472 bytes of blocks of one byte, each with its header, are 211.
    private static let packetStretches = 256
    /// In front of the packets to one address.
    private static let relayHeaderRoom = 24
    /// Header memory of one batch: 32 messages.
    private static let headerRoom = 32 * MicroTransport.headerRoom(burst)
    private let headers: UnsafeMutableRawPointer
    private var headerEnd = 0
    private let packets: UnsafeMutablePointer<UTPOutgoing>
    /// What each message of the batch holds, so that what the socket refuses can be given back.
    private var sent: [(connection: UTPHandle?, first: Int, count: Int)] = []
    private var sequences: [UInt16] = []

    init?(id: UInt32, fd: Int32, endpoint: Endpoint, relay: Endpoint? = nil, configuration: UTPConfiguration, seed: UInt64) {
        // 4 MiB: 30 ms at 1 Gbit/s.
        guard let io = Datagrams(fd: fd, buffer: 4 << 20) else { return nil }
        self.id = id
        self.endpoint = endpoint
        self.relay = relay
        self.io = io
        var configuration = configuration
        if let relay {
            configuration.carrier = UTPCarrier(
                isIPv4: relay.isIPv4, headerToIPv4: ProxyDatagram.headerLength(ipv4: true), headerToIPv6: ProxyDatagram.headerLength(ipv4: false))
        }
        core = MicroTransport(configuration: configuration, seed: seed)
        headers = .allocate(byteCount: Self.headerRoom, alignment: 64)
        packets = .allocate(capacity: Self.burst)
        sent.reserveCapacity(64)
        sequences.reserveCapacity(4096)
    }
    deinit {
        headers.deallocate()
        packets.deallocate()
    }

    func token(_ kind: PeerToken) -> Token { Token(kind: kind.rawValue, index: id, generation: 0) }

    /// Which addresses a proxy reaches is for it to say.
    func reaches(_ other: Endpoint) -> Bool { relay != nil || other.isIPv4 == endpoint.isIPv4 || (!endpoint.isIPv4 && endpoint.isUnspecified && io.takesIPv4) }

    func add(_ stream: UTPStream) {
        while streams.count <= Int(stream.handle.index) { streams.append(nil) }
        streams[Int(stream.handle.index)] = stream
    }
    func remove(_ stream: UTPStream) {
        if streams[Int(stream.handle.index)] === stream { streams[Int(stream.handle.index)] = nil }
    }
    func stream(_ handle: UTPHandle) -> UTPStream? {
        guard Int(handle.index) < streams.count, let stream = streams[Int(handle.index)], stream.handle == handle else { return nil }
        return stream
    }

    // MARK: In

    /// Calls `body` for each datagram that came and whom it is from. Returns the number of messages taken: 0 when there are none now.
    func receive(_ body: (UnsafeMutableRawBufferPointer, Endpoint) -> Void) -> Int {
        guard relay != nil else { return io.receive(body) }
        return io.receive { packet, _ in
            // What comes from a name comes from nobody that we spoke to.
            guard let (source, inside) = ProxyDatagram.unwrap(UnsafeRawBufferPointer(packet)), let source else { return }
            body(UnsafeMutableRawBufferPointer(mutating: inside), source)
        }
    }

    // MARK: Out

    /// Sends what the core has, up to `limit` bursts. True: there is more.
    func send(now: Instant, limit: Int) -> Bool {
        guard !isFull else { return false }
        var bursts = 0
        while bursts < limit, core.hasPackets {
            if headerEnd + relayRoom + MicroTransport.headerRoom(Self.burst) > Self.headerRoom || io.room < Self.packetStretches { flush() }
            if isFull { return false }
            guard let departure = core.takePackets(limit: Self.burst, headers: headers + headerEnd + relayRoom, packets: packets, now: now) else { break }
            pack(departure)
            bursts += 1
        }
        flush()
        return core.hasPackets && !isFull
    }

    private var relayRoom: Int { relay == nil ? 0 : Self.relayHeaderRoom }

    private func pack(_ departure: UTPDeparture) {
        let stream = departure.connection.flatMap { self.stream($0) }
        // All packets of a departure go to one address, behind the same header.
        let front = (memory: UnsafeRawPointer(headers + headerEnd), count: relay == nil ? 0 : ProxyDatagram.writeHeader(to: departure.endpoint, headers + headerEnd))
        let base = headerEnd + relayRoom
        var i = 0
        while i < departure.count {
            if packets[i].isProbe {
                probe(packets[i], base, front, departure, stream)
                i += 1
                continue
            }
            // Packets of one size, and a smaller one at the end, make one message.
            let size = front.count + packets[i].headerLength + packets[i].length
            var count = 0
            begin(departure, io.room)
            let first = sequences.count
            while i < departure.count, !packets[i].isProbe, io.canSegment || count == 0 {
                let next = front.count + packets[i].headerLength + packets[i].length
                guard next <= size, count == 0 || io.room > 2 + (stream?.stretches(packets[i].offset, packets[i].length) ?? 0) else { break }
                add(packets[i], base, front, stream)
                count += 1
                i += 1
                if next < size { break }
            }
            if count > 1 { io.segment(size) }
            sent.append((departure.connection, first, count))
        }
        headerEnd = base + (0..<departure.count).reduce(0) { max($0, packets[$1].header + packets[$1].headerLength) }
    }
    private func begin(_ departure: UTPDeparture, _ room: Int) {
        // The headers written so far stay where they are: only the batch is emptied.
        if room < Self.packetStretches { flushBatch() }
        io.begin(to: relay ?? departure.endpoint)
    }
    private func add(_ packet: UTPOutgoing, _ base: Int, _ front: (memory: UnsafeRawPointer, count: Int), _ stream: UTPStream?) {
        if front.count > 0 { io.add(front.memory, front.count) }
        io.add(headers + base + packet.header, packet.headerLength)
        if packet.length > 0 { stream?.gather(packet.offset, packet.length) { io.add($0, $1) } }
        sequences.append(packet.sequence)
    }

    /// Alone and with DF. What is in the batch goes out before it, without.
    private func probe(
        _ packet: UTPOutgoing, _ base: Int, _ front: (memory: UnsafeRawPointer, count: Int), _ departure: UTPDeparture, _ stream: UTPStream?
    ) {
        flushBatch()
        io.setDontFragment(true)
        io.begin(to: relay ?? departure.endpoint)
        let first = sequences.count
        add(packet, base, front, stream)
        sent.append((departure.connection, first, 1))
        flushBatch(isProbe: true)
        io.setDontFragment(false)
    }

    private func flush() {
        flushBatch()
        headerEnd = 0
    }
    private func flushBatch(isProbe: Bool = false) {
        if io.count > 0 {
            io.flush { message, refusal in
                let (connection, first, count) = sent[message]
                if refusal == .full, io.canSegment { isFull = true }
                guard let connection else { return }
                for n in first..<first + count {
                    switch refusal {
                    case .full: core.unsent(connection, sequences[n])
                    case .tooLarge: if isProbe { core.probeRefused(connection, sequences[n]) }
                    case .lost: break
                    }
                }
            }
        }
        sent.removeAll(keepingCapacity: true)
        sequences.removeAll(keepingCapacity: true)
    }
}
