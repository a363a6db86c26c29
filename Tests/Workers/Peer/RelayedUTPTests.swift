import Glibc
import LinuxIO
import MicroTransport
import Primitives
import ProxyWire
import Testing

@testable import PeerWorker

/// uTP through a relay, over real sockets on the loopback; the peer is a core behind the relay's.
@Suite struct RelayedUTPTests {
    private static let peer = Endpoint("203.0.113.5:6881")!

    /// A socket on the loopback, and its address.
    private static func socket() throws -> (fd: Int32, at: Endpoint) {
        let fd = try Sockets.udpSocket(bind: Endpoint("127.0.0.1:0")!)
        return (fd, try Sockets.localEndpoint(fd))
    }
    private static func send(_ bytes: [UInt8], from fd: Int32, to endpoint: Endpoint) {
        SocketAddress(endpoint).withSockaddr { address, length in _ = bytes.withUnsafeBytes { sendto(fd, $0.baseAddress!, $0.count, 0, address, length) } }
    }

    /// A megabyte goes out in segmented messages: each datagram has the header of its peer in front and fits into an Ethernet packet with
    /// it. What does not come from the relay, is a fragment, or names no address, is nobody's.
    @Test func everyDatagramGoesByTheRelay() throws {
        let relay = try Self.socket(), ours = try Self.socket(), stranger = try Self.socket()
        defer { for fd in [relay.fd, ours.fd, stranger.fd] { Descriptor.close(fd) } }
        #expect(SocketAddress(relay.at).withSockaddr { connect(ours.fd, $0, $1) } == 0)
        let near = try #require(UTPSocket(id: 1, fd: ours.fd, endpoint: ours.at, relay: relay.at, configuration: UTPConfiguration(), seed: 1))
        let far = MicroTransport(seed: 2)
        let handle = try #require(near.core.connect(to: Self.peer, now: Clock.monotonic()))
        let stream = UTPStream(core: near.core, handle: handle, endpoint: Self.peer, link: 0)
        near.add(stream)
        var content = [UInt8](repeating: 0, count: 1 << 20), random = SeededRandom(seed: 3)
        for i in content.indices { content[i] = UInt8(truncatingIfNeeded: random.next()) }
        content.withUnsafeBytes { stream.append(copying: $0.baseAddress!, $0.count) }
        near.core.supply(handle, bytes: content.count)

        var got: [UInt8] = [], largest = 0, sources: Set<Endpoint> = [], isOpen = false
        var packet = [UInt8](repeating: 0, count: 65_536)
        let headers = UnsafeMutableRawPointer.allocate(byteCount: MicroTransport.headerRoom(32), alignment: 16)
        let packets = UnsafeMutablePointer<UTPOutgoing>.allocate(capacity: 32)
        defer {
            headers.deallocate()
            packets.deallocate()
        }
        // What must not come in: as if from the peer, but not by the relay; then by the relay, but not whole, and from a name.
        Self.send(ProxyDatagram.wrap([1, 2, 3], to: Self.peer.address, port: 1)!, from: stranger.fd, to: ours.at)
        Self.send([0, 0, 1, 1, 203, 0, 113, 5, 0, 1, 9], from: relay.fd, to: ours.at)
        Self.send(ProxyDatagram.wrap([4, 5, 6], to: "peer.example", port: 1)!, from: relay.fd, to: ours.at)

        let end = Clock.monotonic() + .seconds(60)
        while got.count < content.count, Clock.monotonic() < end {
            let now = Clock.monotonic()
            if near.core.nextDeadline <= now { near.core.expire(now: now) }
            near.isFull = false
            // A burst at a time fits into any receive buffer.
            _ = near.send(now: now, limit: 1)
            while case let n = recv(relay.fd, &packet, packet.count, Int32(MSG_DONTWAIT)), n > 0 {
                largest = max(largest, n)
                let whole = Array(packet[..<n])
                #expect(whole.starts(with: [0, 0, 0, 1, 203, 0, 113, 5, 0x1A, 0xE1]))
                var inside = Array(whole.dropFirst(ProxyDatagram.headerLength(ipv4: true)))
                inside.withUnsafeMutableBytes { bytes in
                    let arrival = far.received(bytes, from: ours.at, now: Clock.monotonic())
                    got += arrival.payload
                    if let connection = arrival.connection, arrival.hasMore { while let more = far.takeReordered(connection) { got += more } }
                }
            }
            if far.nextDeadline <= now { far.expire(now: now) }
            while let departure = far.takePackets(limit: 32, headers: headers, packets: packets, now: Clock.monotonic()) {
                for i in 0..<departure.count {
                    let bytes = Array(UnsafeRawBufferPointer(start: headers + packets[i].header, count: packets[i].headerLength))
                    Self.send(ProxyDatagram.wrap(bytes, to: Self.peer.address, port: Self.peer.port)!, from: relay.fd, to: ours.at)
                }
            }
            _ = near.receive { datagram, source in
                sources.insert(source)
                if near.core.received(datagram, from: source, now: Clock.monotonic()).opening == .connected { isOpen = true }
            }
            if let released = near.core.released(handle) { stream.release(upTo: released) { _ in } }
            near.core.events.removeAll()
            far.events.removeAll()
        }
        #expect(isOpen && got == content)
        #expect(sources == [Self.peer])
        #expect(largest == 1472, "the largest with its header: a full packet of Ethernet")
        #expect(near.core.counters.malformed == 0)
    }
}
