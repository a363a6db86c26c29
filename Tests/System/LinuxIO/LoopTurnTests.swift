import Glibc
import LinuxIO
import Primitives
import Synchronization
import Testing

extension SystemLayer {
    /// Deadlines, wake-ups, the pool, cancelling, and that nothing is lost in a crowd.
    @Suite struct LoopTurnTests {
        @Test(arguments: backends) func aWaitWithNothingToDoReturnsAtItsDeadline(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            for milliseconds in [0, 1, 20, 60] {
                let begin = Clock.monotonic(), deadline = begin + .milliseconds(milliseconds)
                var waits = 0
                while Clock.monotonic() < deadline || waits == 0 {
                    loop.wait(until: deadline)
                    waits += 1
                }
                let late = Clock.monotonic() - deadline
                #expect(late < .milliseconds(250) && waits <= 3 && loop.next() == nil)
                #expect(loop.now >= deadline)
            }
            loop.wait(until: .zero)  // long past
            #expect(loop.next() == nil)
        }

        @Test(arguments: backends) func anotherThreadWakesAWaitWithoutDeadline(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            for _ in 0..<20 {
                var thread = pthread_t()
                pthread_create(
                    &thread, nil,
                    { raw in
                        usleep(2000)
                        Unmanaged<Loop>.fromOpaque(raw!).takeUnretainedValue().wake()
                        return nil
                    }, Unmanaged.passUnretained(loop).toOpaque())
                loop.wait(until: .never)
                #expect(loop.next() == nil)
                pthread_join(thread, nil)
            }
        }

        @Test(arguments: backends) func blockingWorkRunsElsewhereAndItsResultComesBack(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            let elsewhere = Atomic(0)
            for i in 0..<500 {
                loop.work(token: token(i)) {
                    elsewhere.add(1, ordering: .relaxed)
                    return Int32(i)
                }
            }
            let all = loop.collect(500)
            #expect(Set(all.map { Int($0.result) }) == Set(0..<500) && all.allSatisfy { Int32($0.token.index) == $0.result })
            #expect(elsewhere.load(ordering: .relaxed) == 500 && loop.inFlight == 0)
            loop.work(token: token(1)) { -ENOENT }
            #expect(loop.result(of: token(1)) == -ENOENT)
        }

        @Test(arguments: backends) func workThatHasNotBegunCanBeCancelled(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            let gate = Gate()
            for i in 0..<4 { loop.work(token: token(i)) { gate.pass() } }  // all threads taken
            let ran = Atomic(false)
            loop.work(token: token(9)) {
                ran.store(true, ordering: .relaxed)
                return 1
            }
            loop.cancel(token(9))
            #expect(loop.collect(1) == [Completion(token: token(9), result: -ECANCELED, more: false)])
            gate.open()
            #expect(loop.collect(4).map(\.result) == [0, 0, 0, 0])
            #expect(!ran.load(ordering: .relaxed) && loop.inFlight == 0)
        }

        @Test(arguments: backends) func cancellingMeansEveryOperationWithTheToken(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            let (a, b) = try Sockets.socketPair(.stream)
            let (x, y) = (Buffer(8), Buffer(8))
            loop.receive(a, x.p, 8, token: token(1))
            loop.receive(b, y.p, 8, token: token(1))
            loop.poll(b, events: Int16(POLLIN), multishot: true, token: token(2))
            loop.wait(until: loop.now)
            loop.cancel(token(1))
            loop.cancel(token(77))  // nobody's
            #expect(loop.collect(2) == Array(repeating: Completion(token: token(1), result: -ECANCELED, more: false), count: 2))
            #expect(loop.inFlight == 1)
            loop.cancel(token(2))
            #expect(loop.result(of: token(2)) == -ECANCELED && loop.inFlight == 0)
            // Queued and cancelled before any wait.
            loop.receive(a, x.p, 8, token: token(3))
            loop.cancel(token(3))
            #expect(loop.result(of: token(3)) == -ECANCELED && loop.inFlight == 0)
            close(a, b)
        }

        /// Far more operations than the queue has slots, in waves over many descriptors: each token comes back exactly once.
        @Test(arguments: backends) func tenThousandOperationsComeBackOnceEach(backend: LoopBackend) throws {
            do {
                let loop = try Loop(entries: 64, backend: backend)
                let pairs = try (0..<100).map { _ in try Sockets.socketPair(.stream) }
                let data = Buffer([1]), sinks = (0..<100).map { _ in Buffer(1) }
                var seen: [UInt64: Int] = [:]
                for wave in 0..<50 {
                    for (i, pair) in pairs.enumerated() {
                        loop.receive(pair.1, sinks[i].p, 1, token: Token(kind: 21, index: UInt32(i), generation: UInt32(wave)))
                        loop.send(pair.0, data.p, 1, token: Token(kind: 22, index: UInt32(i), generation: UInt32(wave)))
                    }
                    for c in loop.collect(200) {
                        #expect(c.result == 1 && !c.more)
                        seen[c.token.raw, default: 0] += 1
                    }
                    #expect(loop.inFlight == 0)
                }
                #expect(seen.count == 10_000 && seen.values.allSatisfy { $0 == 1 })
                for (a, b) in pairs { close(a, b) }
            }
        }

        /// 32 completion slots and 1,000 operations that are all ready before the first is taken.
        @Test(arguments: backends) func completionsBeyondTheQueuesSizeAreKept(backend: LoopBackend) throws {
            let loop = try Loop(entries: 8, backend: backend)
            let (a, b) = try Sockets.socketPair(.stream)
            for i in 0..<1000 { loop.poll(a, events: Int16(POLLOUT), multishot: false, token: token(i)) }
            loop.flush()
            let all = loop.collect(1000)
            #expect(Set(all.map(\.token.index)).count == 1000 && all.allSatisfy { $0.result == POLLOUT } && loop.inFlight == 0)
            close(a, b)
        }

        @Test(arguments: backends) func aLoopLeavesNoDescriptorBehind(backend: LoopBackend) throws {
            let before = openDescriptors()
            for i in 0..<1000 {
                let loop = try Loop(entries: 8, backend: backend)
                loop.wait(until: loop.now)
                if i % 100 == 0 {
                    loop.work(token: token(i)) { 0 }
                    #expect(loop.result(of: token(i)) == 0)
                }
            }
            // Tests that run beside this one hold some hundreds; a leak of ours would be thousands.
            #expect(openDescriptors() < before + 800)
        }

        @Test(arguments: backends) func streamsWithoutOffsetAreReadAndWritten(backend: LoopBackend) throws {
            let loop = try Loop(backend: backend)
            var ends: [Int32] = [-1, -1]
            try #require(pipe(&ends) == 0)
            let out = Buffer([4, 5, 6]), into = Buffer(8)
            loop.read(ends[0], into.p, 8, offset: Loop.streamOffset, token: token(1))
            loop.wait(until: loop.now)
            #expect(loop.next() == nil)
            loop.write(ends[1], out.p, 3, offset: Loop.streamOffset, token: token(2))
            #expect(loop.collect(2).map(\.result) == [3, 3] && into.bytes(3) == [4, 5, 6])
            close(ends[0], ends[1])
        }
    }
}

/// A door at which threads wait.
final class Gate: @unchecked Sendable {
    private var pipe: [Int32] = [-1, -1]
    init() { Glibc.pipe(&pipe) }
    func pass() -> Int32 {
        var byte: UInt8 = 0
        return read(pipe[0], &byte, 1) == 0 ? 0 : -1
    }
    func open() { Glibc.close(pipe[1]) }
    deinit { Glibc.close(pipe[0]) }
}
