import MicroTransport
import Primitives
import Testing
import UTPWire

/// Opening, ending, and what strangers may not do.
@Suite struct ConnectionTests {
    /// Two hosts with an open connection that has carried some bytes.
    private func pair(seed: UInt64 = 1, wire: Wire = Wire()) -> (Network, Host, UTPHandle, Host, UTPHandle) {
        let network = Network(seed: seed, wire: wire), a = network.hosts[0], b = network.hosts[1]
        let handle = a.connect(to: 1, network)
        a.send(handle, 5000)
        network.run(for: .seconds(2))
        return (network, a, handle, b, b.incoming[0])
    }

    @Test func connectionCarriesBothWays() {
        let (network, a, handle, b, incoming) = pair()
        b.send(incoming, 9000)
        network.run(for: .seconds(2))
        #expect(b.streams[incoming]!.received == 5000 && a.streams[handle]!.received == 9000)
    }

    @Test func nobodyThere() {
        let network = Network(seed: 1), a = network.hosts[0]
        network.wires[network.wire(0, 1)].loss = 1
        let start = network.now, handle = a.connect(to: 1, network)
        network.run(for: .seconds(60)) { a.closed[handle] != nil }
        #expect(a.closed[handle] == .timedOut && a.sent == 3)
        #expect(network.now - start < .seconds(8))
        #expect(a.core.connectionCount == 0 && a.core.released(handle) == nil)
    }

    @Test func finComesAfterTheLastByte() {
        let (network, a, handle, b, incoming) = pair(wire: Wire(delay: .milliseconds(20), loss: 0.05, reordering: 0.3))
        b.send(incoming, 60_000)
        network.run(for: .seconds(60)) { a.streams[handle]!.received == 60_000 && b.core.unreleased(incoming) == 0 }
        b.core.close(incoming, now: b.clock(network.now))
        network.run(for: .seconds(10)) { a.streams[handle]!.isEnded }
        #expect(a.streams[handle]!.isEnded && a.streams[handle]!.received == 60_000)
        a.core.close(handle, now: a.clock(network.now))
        network.run(for: .seconds(20))
        #expect(a.core.connectionCount == 0 && b.core.connectionCount == 0)
        #expect(a.closed.isEmpty && b.closed.isEmpty)
    }

    /// A close with bytes under way is answered in bounded time on both sides.
    @Test func closeInTheMiddleEndsBothSides() {
        let (network, a, handle, b, incoming) = pair(wire: Wire(rate: 100_000, queue: 50_000, delay: .milliseconds(50), loss: 0.02))
        a.send(handle, 3_000_000)
        network.run(for: .seconds(3))
        a.core.close(handle, now: a.clock(network.now))
        network.run(for: .seconds(60)) { b.closed[incoming] != nil || b.streams[incoming]!.isEnded }
        if b.streams[incoming]!.isEnded { b.core.close(incoming, now: b.clock(network.now)) }
        network.run(for: .seconds(90))
        #expect(a.core.connectionCount == 0)
        #expect(b.core.connectionCount == 0 || b.streams[incoming]!.received < 3_005_000)
    }

    @Test func bothDialAtOnce() {
        // As after a rendezvous (BEP 55): each SYN meets a host that has sent one itself.
        let network = Network(seed: 2), a = network.hosts[0], b = network.hosts[1]
        let x = a.connect(to: 1, network), y = b.connect(to: 0, network)
        a.send(x, 1000)
        b.send(y, 1000)
        network.run(for: .seconds(3))
        #expect(a.streams[x]!.isConnected && b.streams[y]!.isConnected)
        #expect(a.incoming.count == 1 && b.incoming.count == 1)
        #expect(b.streams[b.incoming[0]]!.received == 1000 && a.streams[a.incoming[0]]!.received == 1000)
    }

    @Test func idleConnectionStaysOpenInNATs() {
        let (network, a, _, b, _) = pair()
        let before = a.sent
        network.run(for: .seconds(300))
        #expect((9...22).contains(a.sent - before), "\(a.sent - before) packets in 5 minutes")
        #expect(a.core.connectionCount == 1 && b.core.connectionCount == 1)
    }

    /// A hundred messages of 17 bytes while packets are under way travel in few packets.
    @Test func smallMessagesArePacked() {
        let (network, a, handle, b, incoming) = pair(wire: Wire(delay: .milliseconds(50)))
        let before = a.sent
        for k in 0..<100 { network.schedule(network.now + .milliseconds(k)) { _ in a.send(handle, 17) } }
        network.run(for: .seconds(2))
        #expect(b.streams[incoming]!.received == 6700)
        #expect(a.sent - before < 12, "\(a.sent - before) packets")
    }

    // MARK: Strangers

    private func packet(_ type: UTPPacketType, _ id: UInt16, sequence: UInt16 = 0, acknowledged: UInt16 = 0, window: UInt32 = 1 << 20) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: 20)
        let header = UTPHeader(
            type: type, connection: id, timestamp: 1, delay: 1, window: window, sequence: sequence, acknowledged: acknowledged)
        out.withUnsafeMutableBytes { header.encode(to: $0.baseAddress!) }
        return out
    }
    @discardableResult
    private func feed(_ host: Host, _ bytes: [UInt8], from endpoint: Endpoint, _ now: Instant) -> UTPArrival {
        var bytes = bytes
        return bytes.withUnsafeMutableBytes { host.core.received($0, from: endpoint, now: now) }
    }

    /// 100,000 SYNs from invented addresses: 200 are kept, and who is really there gets in.
    @Test func floodOfSYNs() {
        let network = Network(seed: 3), a = network.hosts[0], b = network.hosts[1]
        for k in 0..<100_000 {
            feed(b, packet(.syn, UInt16(truncatingIfNeeded: k), sequence: 1), from: Endpoint(ipv4: 0x0B00_0000 + UInt32(k), port: 1), network.now)
        }
        #expect(b.core.halfOpenCount == 200 && b.core.connectionCount == 0 && b.core.pendingAnswers <= 256)
        b.room = 0
        b.depart(network)
        b.room = .max
        let handle = a.connect(to: 1, network)
        a.send(handle, 1000)
        network.run(for: .seconds(3))
        #expect(b.incoming.count == 1 && b.streams[b.incoming[0]]!.received == 1000)
        network.run(for: .seconds(15))
        a.send(handle, 10)
        network.run(for: .seconds(31))
        #expect(b.core.halfOpenCount == 0)
    }

    /// A SYN of a spoofed address whose owner never saw our answer opens nothing.
    @Test func secondPacketMustKnowOurNumber() {
        let network = Network(seed: 4), b = network.hosts[1], from = Endpoint(ipv4: 0x0B00_0001, port: 9)
        feed(b, packet(.syn, 100, sequence: 1), from: from, network.now)
        var opened = 0
        for guess in 0..<2000 where feed(b, packet(.data, 101, sequence: 2, acknowledged: UInt16(guess * 7)) + [1], from: from, network.now).opening == .incoming { opened += 1 }
        #expect(opened == 0 || b.core.connectionCount == 1)
        #expect(b.core.halfOpenCount + b.core.connectionCount == 1)
    }

    /// Resets that do not know the connection's numbers: none of 300,000 closes it; one that does, closes it.
    @Test func blindResets() {
        let (network, a, handle, b, incoming) = pair()
        var random = SeededRandom(seed: 5)
        let now = network.now
        for _ in 0..<300_000 {
            feed(a, packet(.reset, UInt16(random.below(65_536)), acknowledged: UInt16(random.below(65_536))), from: Host.endpoint(1), now)
        }
        #expect(a.core.events.isEmpty && a.core.connectionCount == 1)
        // The other side forgets, as after a restart.
        _ = incoming
        let forgetful = Host(index: 1, core: MicroTransport(seed: 99))
        network.hosts[1] = forgetful
        a.send(handle, 100)
        network.run(for: .seconds(5)) { a.closed[handle] != nil }
        #expect(a.closed[handle] == .reset)
        _ = b
    }

    @Test func acknowledgementOfUnsentDataIsIgnored() {
        let network = Network(seed: 6), a = network.hosts[0]
        let handle = a.connect(to: 1, network)
        a.depart(network)
        // Answer by hand.
        let syn = network.sentBy(a)
        feed(a, packet(.state, syn.connection, sequence: 500, acknowledged: syn.sequence), from: Host.endpoint(1), network.now)
        a.act()
        #expect(a.core.released(handle) == 0)
        a.streams[handle]!.total = 100
        a.core.supply(handle, bytes: 100)
        a.depart(network)
        let strays = a.core.counters.strays
        feed(a, packet(.state, syn.connection, sequence: 500, acknowledged: syn.sequence &+ 2), from: Host.endpoint(1), network.now)
        feed(a, packet(.state, syn.connection, sequence: 500, acknowledged: syn.sequence &+ 20_000), from: Host.endpoint(1), network.now)
        #expect(a.core.counters.strays == strays + 2 && a.core.released(handle) == 0)
        feed(a, packet(.state, syn.connection, sequence: 500, acknowledged: syn.sequence &+ 1), from: Host.endpoint(1), network.now)
        #expect(a.core.released(handle) == 100)
    }

    /// A peer that takes nothing is asked from time to time, and is not given up while it answers.
    @Test func shutWindowIsProbed() {
        let network = Network(seed: 7), a = network.hosts[0]
        let handle = a.connect(to: 1, network)
        a.depart(network)
        let syn = network.sentBy(a)
        feed(a, packet(.state, syn.connection, sequence: 500, acknowledged: syn.sequence, window: 0), from: Host.endpoint(1), network.now)
        a.act()
        a.streams[handle]!.total = 50_000
        a.core.supply(handle, bytes: 50_000)
        network.wires[network.wire(0, 1)].loss = 1
        let before = a.sent
        for _ in 0..<90 {
            network.run(for: .seconds(1))
            feed(a, packet(.state, syn.connection, sequence: 500, acknowledged: syn.sequence, window: 0), from: Host.endpoint(1), network.now)
            a.act()
        }
        #expect(a.closed.isEmpty)
        #expect((3...200).contains(a.sent - before), "\(a.sent - before)")
        feed(a, packet(.state, syn.connection, sequence: 500, acknowledged: syn.sequence), from: Host.endpoint(1), network.now)
        let shut = a.sent
        a.depart(network)
        #expect(a.sent > shut)
    }

    /// Out of order without end: no more than a window is kept.
    @Test func reorderBufferIsBounded() {
        let (network, a, handle, b, _) = pair()
        _ = handle
        let last = network.lastFrom(b)
        for k in 2..<3000 {
            let data = packet(.data, last.connection, sequence: last.sequence &+ UInt16(k), acknowledged: last.acknowledged) + [UInt8](repeating: 0, count: 1400)
            feed(a, data, from: Host.endpoint(1), network.now)
        }
        #expect(a.core.reorderedBytes <= 1 << 20 && a.core.reorderedBytes > 900_000)
    }

    @Test func connectionsAreBounded() {
        var configuration = UTPConfiguration()
        configuration.maxConnections = 10
        let core = MicroTransport(configuration: configuration, seed: 1)
        for k in 0..<12 { #expect((core.connect(to: Host.endpoint(k), now: .zero) != nil) == (k < 10)) }
    }

    @Test func randomPacketsAreHarmless() {
        var random = SeededRandom(seed: 8)
        for _ in 0..<3000 {
            var input = (0..<400).map { _ in UInt8(random.below(256)) }
            input.withUnsafeMutableBytes { MicroTransport.fuzz(UnsafeRawBufferPointer($0)) }
        }
    }
}

extension Network {
    /// The header of what the host sent last.
    func sentBy(_ host: Host) -> UTPHeader { lastFrom(host) }
    func lastFrom(_ host: Host) -> UTPHeader {
        try! host.lastSent.withUnsafeBytes { raw in try UTPPacket(decoding: raw) }.header
    }
}
