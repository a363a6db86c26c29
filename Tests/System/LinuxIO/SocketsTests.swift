import Glibc
import LinuxIO
import Primitives
import Testing

extension SystemLayer {
    /// Addresses, socket setup, errors and tokens: no loop.
    @Suite struct SocketsTests {
        @Test(arguments: ["1.2.3.4:5", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:6881", "[2001:db8::1:2]:443"])
        func addressesSurviveTheKernelsForm(text: String) throws {
            let endpoint = try #require(Endpoint(text))
            #expect(SocketAddress(endpoint).endpoint == endpoint)
            #expect(SocketAddress(ipv6: endpoint, scope: 3).endpoint == endpoint)
            #expect(SocketAddress(endpoint).length == (endpoint.isIPv4 ? 16 : 28))
        }

        @Test func unixPathsAreBounded() throws {
            #expect(throws: Errno.nameTooLong) { try SocketAddress(unix: String(repeating: "x", count: 108)) }
            #expect(throws: Errno.invalidArgument) { try SocketAddress(unix: "") }
            #expect(try SocketAddress(unix: String(repeating: "x", count: 107)).length == 110)
            #expect(try SocketAddress(unix: "/a").endpoint == nil)
        }

        @Test func aUnixListenerReplacesADeadSocketOnly() throws {
            try withFolder { folder in
                let path = "\(folder)/s"
                let first = try Sockets.listenUnix(path, mode: 0o600)
                #expect(try Files.status(at: AT_FDCWD, path).mode & 0o777 == 0o600)
                #expect(throws: Errno.addressInUse) { try Sockets.listenUnix(path) }
                let client = try Sockets.connectUnix(path)
                let server = accept(first, nil, nil)
                #expect(try Sockets.peerCredentials(server) == (getuid(), getpid()))
                close(first, client, server)
                let second = try Sockets.listenUnix(path)
                close(second)
                unlink(path)
                close(open(path, O_CREAT | O_WRONLY, 0o600))
                #expect(throws: Errno.exists) { try Sockets.listenUnix(path) }
            }
        }

        /// Each datagram carries its number behind the bytes that steer; who gets it is what the selector says.
        @Test(arguments: [("127.0.0.1:0", 2), ("[::1]:0", 2), ("127.0.0.1:0", 5)])
        func datagramsAreSteeredByTheirBytes(text: String, count: Int) throws {
            let any = try #require(Endpoint(text))
            let probe = try Sockets.udpSocket(bind: any)
            let endpoint = try Sockets.localEndpoint(probe)
            #expect(throws: Errno.addressInUse) { try Sockets.datagramGroup(bind: endpoint, first: 0x64, count: count) }
            close(probe)
            let group = try Sockets.datagramGroup(bind: endpoint, first: 0x64, count: count)
            defer { for fd in group { close(fd) } }
            #expect(throws: Errno.addressInUse, "a second one does not join") { try Sockets.datagramGroup(bind: endpoint, first: 0x64, count: count) }
            let sender = try Sockets.udpSocket(bind: any)
            defer { close(sender) }
            var expected = [[[UInt8]]](repeating: [], count: count)
            let datagrams: [[UInt8]] =
                [Array("d1:ad2:id".utf8), [0x01, 0, 0, 7], [0x21, 1, 0, 8], [0x64, 0xFF, 3]] + (0..<40 as Range<UInt8>).map { [0x41, 0, $0, $0] }
            for datagram in datagrams {
                expected[datagram[0] == 0x64 ? 0 : 1 + Int(datagram[2]) % (count - 1)].append(datagram)
                #expect(SocketAddress(endpoint).withSockaddr { sendto(sender, datagram, datagram.count, 0, $0, $1) } == datagram.count)
            }
            for (i, fd) in group.enumerated() {
                var got: [[UInt8]] = [], buffer = [UInt8](repeating: 0, count: 64)
                while case let n = recv(fd, &buffer, buffer.count, 0), n > 0 { got.append(Array(buffer[0..<n])) }
                #expect(got == expected[i])
            }
        }

        @Test func listenersShareAPortOnlyWhenAsked() throws {
            let any = Endpoint(ipv4: 0x7F00_0001, port: 0)
            let a = try Sockets.listenTCP(any)
            #expect(throws: Errno.addressInUse) { try Sockets.listenTCP(try Sockets.localEndpoint(a)) }
            let b = try Sockets.udpSocket(bind: any, reusePort: true)
            let c = try Sockets.udpSocket(bind: try Sockets.localEndpoint(b), reusePort: true)
            #expect(try Sockets.localEndpoint(b) == Sockets.localEndpoint(c))
            let bound = try Sockets.streamSocket(for: any, bind: any)
            Sockets.setNoDelay(bound)
            try Sockets.setBuffers(bound, send: 1 << 16, receive: 1 << 16)
            try Sockets.setLowWater(bound, receive: 4096)
            try Sockets.setUnsentLimit(bound, bytes: 1 << 17)
            try Sockets.setUserTimeout(bound, milliseconds: 30_000)
            try Sockets.setTrafficClass(bound, 0x20, ipv6: false)
            try Sockets.setResetOnClose(bound)
            var value: Int32 = 0
            var length = socklen_t(4)
            getsockopt(bound, Int32(IPPROTO_TCP), TCP_NODELAY, &value, &length)
            #expect(value == 1 && Sockets.error(bound) == nil && Sockets.peerEndpoint(bound) == nil)
            close(a, b, c, bound)
        }

        @Test func errorsNameThemselves() {
            #expect(Errno(ENOSPC).description == "ENOSPC: No space left on device")
            #expect(Errno(4095).description.hasPrefix("errno 4095"))
            #expect(Errno.tryAgain == Errno(EWOULDBLOCK))
        }

        @Test func tokensKeepTheirParts() {
            let t = Token(kind: 254, index: .max, generation: 0x1AB_CDEF)
            #expect(t.kind == 254 && t.index == .max && t.generation == 0xAB_CDEF)
            #expect(Token(raw: t.raw) == t)
        }

        @Test func anOwnedDescriptorClosesWithItsOwner() throws {
            var raw: Int32 = -1
            do {
                let d = Descriptor(owning: try Memory.memfd("x", size: 4096))
                raw = d.raw
                let copy = try d.duplicate()
                #expect(copy.raw != raw && fcntl(raw, F_GETFD) >= 0)
            }
            let kept = Descriptor(owning: try Memory.memfd("y", size: 4096)).release()
            #expect(fcntl(kept, F_GETFD) >= 0)
            close(kept)
        }
    }
}
