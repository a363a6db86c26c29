import Glibc
import LinuxIO
import Primitives
import Testing

extension SystemLayer {
    /// The same calls on both back-ends over loopback sockets must give the same completions.
    @Suite struct LoopSocketTests {
        @Test(arguments: backends) func connectionsAreAcceptedAndCarryBytesBothWays(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            #expect(loop.backend == backend)
            let listener = try Sockets.listenTCP(Endpoint(ipv4: 0x7F00_0001, port: 0))
            let endpoint = try Sockets.localEndpoint(listener)
            loop.accept(listener, token: token(1))
            let clients = try (0..<3).map { _ in try Sockets.streamSocket(for: endpoint) }
            for (i, fd) in clients.enumerated() { loop.connect(fd, SocketAddress(endpoint), token: token(10 + i)) }
            let first = loop.collect(6)
            let accepted = first.filter { $0.token == token(1) }
            #expect(accepted.count == 3 && accepted.allSatisfy { $0.result >= 0 && $0.more })
            #expect(first.filter { $0.token != token(1) }.allSatisfy { $0.result == 0 && !$0.more })
            let server = accepted[0].result
            #expect(fcntl(server, F_GETFD) & FD_CLOEXEC != 0 && fcntl(server, F_GETFL) & O_NONBLOCK != 0)
            let peer = try #require(Sockets.peerEndpoint(server))
            let client = try #require(try clients.first { try Sockets.localEndpoint($0) == peer })

            let question = Buffer(Array("hello".utf8)), heard = Buffer(64)
            loop.receive(server, heard.p, 64, token: token(2))
            loop.send(client, question.p, 5, token: token(3))
            let answers = loop.collect(2)
            #expect(Set(answers.map(\.result)) == [5] && heard.bytes(5) == Array("hello".utf8))

            let header = Buffer([1, 2, 3]), body = Buffer(Array(repeating: 9, count: 1000))
            let out = Vector([(header, 3), (body, 1000)])
            let a = Buffer(3), b = Buffer(2000)
            let into = Vector([(a, 3), (b, 2000)])
            loop.receive(client, vector: into.p, count: 2, token: token(4))
            loop.send(server, vector: out.p, count: 2, token: token(5))
            #expect(Set(loop.collect(2).map(\.result)) == [1003])
            #expect(a.bytes(3) == [1, 2, 3] && b.bytes(1000) == body.bytes(1000))

            loop.cancel(token(1))
            #expect(loop.collect(1) == [Completion(token: token(1), result: -ECANCELED, more: false)])
            #expect(loop.inFlight == 0)
            for fd in clients + accepted.map(\.result) + [listener] { close(fd) }
        }

        @Test(arguments: backends) func aRefusedConnectionSaysSo(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            let listener = try Sockets.listenTCP(Endpoint(ipv4: 0x7F00_0001, port: 0))
            let endpoint = try Sockets.localEndpoint(listener)
            close(listener)
            let fd = try Sockets.streamSocket(for: endpoint)
            loop.connect(fd, SocketAddress(endpoint), token: token(1))
            #expect(loop.result(of: token(1)) == -ECONNREFUSED)
            close(fd)
        }

        @Test(arguments: backends) func aHalfClosedStreamEndsAndStillSends(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            let (a, b) = try tcpPair()
            let heard = Buffer(16), said = Buffer([7])
            loop.receive(b, heard.p, 16, token: token(1))
            loop.wait(until: loop.now)
            try Sockets.shutdownSending(a)
            #expect(loop.result(of: token(1)) == 0)
            loop.send(b, said.p, 1, token: token(2))
            loop.receive(a, heard.p, 16, token: token(3))
            #expect(Set(loop.collect(2).map(\.result)) == [1] && heard.bytes(1) == [7])
            // Both directions gone: a reset, then EPIPE and no signal.
            close(a)
            loop.send(b, said.p, 1, token: token(4))
            _ = loop.collect(1)
            loop.receive(b, heard.p, 16, token: token(5))
            _ = loop.collect(1)
            loop.send(b, said.p, 1, token: token(6))
            #expect([-EPIPE, -ECONNRESET].contains(loop.result(of: token(6))))
            close(b)
        }

        @Test(arguments: backends) func aFullSocketHoldsTheSendUntilThereIsRoom(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            let (a, b) = try tcpPair()
            let size = 1 << 20
            let data = Buffer(size, fill: 5), sink = Buffer(size)
            var sent = 0
            var rounds = 0
            loop.send(a, data.p, size, token: token(1))
            while rounds < 200 {  // until one send stays pending
                loop.wait(until: Clock.monotonic() + .milliseconds(50))
                guard let c = loop.next() else { break }
                #expect(c.result > 0)
                sent += Int(c.result)
                rounds += 1
                loop.send(a, data.p, size, token: token(1))
            }
            #expect(loop.inFlight == 1)
            var received = 0, isSending = true
            loop.receive(b, sink.p, size, token: token(2))
            while isSending || received < sent {
                let some = loop.collect(1)
                try #require(!some.isEmpty)
                for c in some {
                    try #require(c.result > 0)
                    if c.token == token(1) {
                        (sent, isSending) = (sent + Int(c.result), false)
                    } else {
                        received += Int(c.result)
                        if isSending || received < sent { loop.receive(b, sink.p, size, token: token(2)) }
                    }
                }
            }
            if loop.inFlight > 0 {  // a receive asked for while the send was still unknown
                loop.cancel(token(2))
                #expect(loop.result(of: token(2)) == -ECANCELED)
            }
            #expect(received == sent && loop.inFlight == 0)
            close(a, b)
        }

        @Test(arguments: backends) func datagramsKeepTheirSenderAndTheirLength(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            for host in ["127.0.0.1", "::1"] {
                guard let any = Endpoint(address: host, port: 0), let a = try? Sockets.udpSocket(bind: any), let b = try? Sockets.udpSocket(bind: any)
                else { continue }  // a machine without IPv6
                let payload = Buffer(Array("ping".utf8)), heard = Buffer(2048)
                let from = UnsafeMutablePointer<sockaddr_storage>.allocate(capacity: 2)
                from.initialize(repeating: sockaddr_storage(), count: 2)
                var to = SocketAddress(try Sockets.localEndpoint(b))
                from[1] = to.storage
                let headers = UnsafeMutablePointer<msghdr>.allocate(capacity: 2)
                headers.initialize(repeating: msghdr(), count: 2)
                let parts = [Vector([(heard, 2048)]), Vector([(payload, 4)])]
                for i in 0..<2 {
                    headers[i].msg_name = UnsafeMutableRawPointer(from + i)
                    headers[i].msg_namelen = i == 0 ? socklen_t(MemoryLayout<sockaddr_storage>.size) : to.length
                    headers[i].msg_iov = parts[i].p
                    headers[i].msg_iovlen = 1
                }
                loop.receiveMessage(b, headers, token: token(1))
                loop.sendMessage(a, headers + 1, token: token(2))
                #expect(Set(loop.collect(2).map(\.result)) == [4] && heard.bytes(4) == Array("ping".utf8))
                to.storage = from[0]
                to.length = headers[0].msg_namelen
                #expect(to.endpoint == (try Sockets.localEndpoint(a)))
                from.deallocate()
                headers.deallocate()
                close(a, b)
            }
        }

        @Test(arguments: backends) func pollTellsReadinessOnceOrAgainAndAgain(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            let (a, b) = try Sockets.socketPair(.stream)
            var byte: UInt8 = 1
            loop.poll(b, events: Int16(POLLIN), multishot: false, token: token(1))
            loop.poll(a, events: Int16(POLLOUT), multishot: false, token: token(2))
            #expect(loop.result(of: token(2)) == POLLOUT)
            write(a, &byte, 1)
            #expect(loop.result(of: token(1)) == POLLIN)
            read(b, &byte, 1)
            loop.poll(b, events: Int16(POLLIN), multishot: true, token: token(3))
            for _ in 0..<3 {
                loop.flush()
                write(a, &byte, 1)
                let seen = loop.collect(1)
                #expect(seen.count == 1 && seen[0].token == token(3) && seen[0].more && seen[0].result & POLLIN != 0)
                read(b, &byte, 1)
            }
            loop.cancel(token(3))
            #expect(loop.result(of: token(3)) == -ECANCELED)
            #expect(loop.inFlight == 0)
            close(a, b)
        }

        /// A closed number comes back at once for the next socket: what was cancelled before must not speak for it.
        @Test(arguments: backends) func aNumberUsedAgainSeesNothingOfItsEarlierLife(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            let buffer = Buffer(64)
            for round in 0..<200 {
                let (a, b) = try Sockets.socketPair(.stream)
                let kept = dup(b)  // another holder keeps the open file alive, as a passed descriptor would
                loop.receive(b, buffer.p, 64, token: Token(kind: 20, index: 1, generation: UInt32(round)))
                loop.wait(until: loop.now)
                loop.cancel(Token(kind: 20, index: 1, generation: UInt32(round)))
                #expect(loop.collect(1).map(\.result) == [-ECANCELED])
                close(b)
                var byte: UInt8 = 1
                write(a, &byte, 1)
                let (c, d) = try Sockets.socketPair(.stream)
                loop.receive(c, buffer.p, 64, token: token(7))
                loop.receive(d, buffer.p, 64, token: token(8))
                loop.wait(until: Clock.monotonic() + .microseconds(200))
                #expect(loop.next() == nil)
                loop.cancel(token(7))
                loop.cancel(token(8))
                #expect(loop.collect(2).count == 2 && loop.inFlight == 0)
                close(a, kept, c, d)
            }
        }

        @Test(arguments: backends) func errorsOfTheDescriptorComeBackAsResults(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            let buffer = Buffer(8)
            loop.receive(999_999, buffer.p, 8, token: token(1))
            #expect(loop.result(of: token(1)) == -EBADF)
            loop.poll(999_999, events: Int16(POLLIN), multishot: false, token: token(2))
            #expect([-EBADF, POLLNVAL].contains(loop.result(of: token(2))))
            loop.sync(999_999, dataOnly: true, token: token(3))
            #expect(loop.result(of: token(3)) == -EBADF)
            #expect(loop.inFlight == 0)
        }
    }
}
