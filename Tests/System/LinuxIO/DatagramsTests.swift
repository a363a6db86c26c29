import Glibc
import LinuxIO
import Primitives
import Testing

/// Batches of datagrams over loopback, cut and joined by the kernel where it can.
@Suite struct DatagramsTests {
    private let loopback = Endpoint(ipv4: 0x7F00_0001, port: 0)

    @Test(arguments: [false, true]) func batchesArriveWhole(_ dualStack: Bool) throws {
        let local = dualStack ? Endpoint(high: 0, low: 0, port: 0) : loopback
        let fds = try (0..<2).map { _ in try Sockets.udpSocket(bind: local, dualStack: dualStack) }
        defer { for fd in fds { close(fd) } }
        let from = try #require(Datagrams(fd: fds[0], buffer: 1 << 20)), to = try #require(Datagrams(fd: fds[1], buffer: 1 << 20))
        let port = try Sockets.localEndpoint(fds[1]).port, target = Endpoint(ipv4: 0x7F00_0001, port: port)
        var memory = [UInt8](repeating: 0, count: 64_000)
        for i in memory.indices { memory[i] = UInt8(truncatingIfNeeded: i &* 7) }
        var got: [[UInt8]] = [], froms: Set<Endpoint> = []
        memory.withUnsafeBytes { raw in
            // One message of 40 datagrams of 1,000 bytes and one of 500, gathered from odd stretches; then a single one.
            from.begin(to: target)
            for at in stride(from: 0, to: 40_500, by: 750) { from.add(raw.baseAddress! + at, min(750, 40_500 - at)) }
            if from.canSegment { from.segment(1000) }
            from.begin(to: target)
            from.add(raw.baseAddress!, 20)
            var refusals = 0
            from.flush { _, _ in refusals += 1 }
            #expect(refusals == 0 && from.count == 0)
            var tries = 0
            while got.count < 42, tries < 1000 {
                tries += 1
                let taken = to.receive { datagram, endpoint in
                    got.append(Array(datagram))
                    froms.insert(endpoint)
                }
                if taken == 0 { usleep(1000) }
            }
            #expect(got.map(\.count) == [Int](repeating: 1000, count: 40) + [500, 20])
            #expect(got.dropLast().flatMap { $0 } == Array(raw[..<40_500]))
        }
        #expect(froms.count == 1 && froms.first?.ipv4 == 0x7F00_0001)
        #expect(to.receive { _, _ in } == 0)
    }

    /// A datagram larger than the link is refused, and the others of the batch go out.
    @Test func tooLargeIsToldBySize() throws {
        let fds = try (0..<2).map { _ in try Sockets.udpSocket(bind: loopback) }
        defer { for fd in fds { close(fd) } }
        let from = try #require(Datagrams(fd: fds[0], buffer: 1 << 20)), to = try #require(Datagrams(fd: fds[1], buffer: 1 << 20))
        let target = try Sockets.localEndpoint(fds[1])
        let memory = [UInt8](repeating: 1, count: 70_000)
        var refusals: [(Int, Datagrams.Refusal)] = []
        memory.withUnsafeBytes { raw in
            for size in [100, 69_000, 200] {
                from.begin(to: target)
                from.add(raw.baseAddress!, size)
            }
            from.flush { refusals.append(($0, $1)) }
        }
        #expect(refusals.count == 1 && refusals[0].0 == 1 && refusals[0].1 == .tooLarge)
        var sizes: [Int] = [], tries = 0
        while sizes.count < 2, tries < 1000 {
            tries += 1
            if to.receive({ datagram, _ in sizes.append(datagram.count) }) == 0 { usleep(1000) }
        }
        #expect(sizes == [100, 200])
    }
}
