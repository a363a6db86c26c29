import ByteCodec
import Glibc
import IPC
import LinuxIO
import Primitives
import Testing

@testable import WorkerKit

@Suite struct ControlLinkTests {
    /// Two ends of a control socket.
    final class Pair {
        let a: ControlLink, b: ControlLink
        init() throws {
            let (x, y) = try Sockets.socketPair(.packets)
            (a, b) = (ControlLink(fd: x), ControlLink(fd: y))
        }
        deinit {
            close(a.fd)
            close(b.fd)
        }
    }
    static let g = Generation(rawValue: 3)

    func descriptors() -> Int { (0..<1024).count { fcntl(Int32($0), F_GETFD) >= 0 } }

    @Test func descriptorsArriveWithTheirMessage() throws {
        let pair = try Pair(), null = open("/dev/null", O_RDONLY)
        defer { close(null) }
        pair.a.send(OpenEdge(role: 2, index: 1, peerGeneration: 9), generation: Self.g, descriptors: [null])
        guard case .frame(let frame, let taken) = pair.b.receive() else { return #expect(Bool(false)) }
        #expect(try frame.decode(OpenEdge.self) == OpenEdge(role: 2, index: 1, peerGeneration: 9))
        #expect(frame.header.generation == Self.g)
        let fd = try taken.takeOne()
        #expect(fcntl(fd, F_GETFD) == FD_CLOEXEC)
        close(fd)
        #expect(throws: DecodeError.self) { try taken.takeOne() }
    }

    @Test func descriptorsThatAMessageDoesNotCarryAreClosed() throws {
        let pair = try Pair(), null = open("/dev/null", O_RDONLY)
        defer { close(null) }
        let before = descriptors()
        for _ in 0..<50 {
            pair.a.send(Ready(), generation: Self.g, descriptors: [null, null, null])
            pair.a.send(OpenEdge(role: 2, index: 1, peerGeneration: 9), generation: Self.g, descriptors: [null, null])
            for expected in [0, 1] {
                guard case .frame(_, let taken) = pair.b.receive() else { return #expect(Bool(false)) }
                #expect(taken.count == expected)
            }
        }
        #expect(descriptors() <= before + 2)
    }

    @Test func fullSocketQueuesAndKeepsTheOrder() throws {
        let pair = try Pair()
        // More than the kernel takes, less than the bound.
        for i in 0..<400 as Range<UInt64> {
            pair.a.send(
                Configure(stateDirectory: String(repeating: "x", count: 4000), settings: [], wallClockSeconds: i), generation: Self.g)
        }
        #expect(pair.a.hasWaiting && pair.a.failure == nil)
        pair.a.send(Heartbeat(sequence: 1, progress: 1), generation: Self.g, droppable: true)
        var next: UInt64 = 0
        while next < 400 {
            switch pair.b.receive() {
            case .frame(let frame, _):
                #expect(try frame.decode(Configure.self).wallClockSeconds == next)
                next += 1
            case .nothing: pair.a.writable()
            default: return #expect(Bool(false))
            }
        }
        guard case .nothing = pair.b.receive() else { return #expect(Bool(false), "the heartbeat was to be left out") }
    }

    @Test func whoNeverReadsIsGivenUp() throws {
        let pair = try Pair()
        for _ in 0..<2000 { pair.a.send(Configure(stateDirectory: String(repeating: "x", count: 4000), wallClockSeconds: 0), generation: Self.g) }
        #expect(pair.a.failure == "does not read its control socket")
    }

    @Test func endIsSeen() throws {
        let (x, y) = try Sockets.socketPair(.packets)
        let link = ControlLink(fd: x)
        close(y)
        guard case .ended = link.receive() else { return #expect(Bool(false)) }
        link.send(Ready(), generation: Self.g)
        #expect(link.failure != nil)
        close(x)
    }

    /// Valid packets with flipped bits and cut ends, and noise: each is a frame or a named fault, and nothing leaks.
    @Test func noisePacketsAreFramesOrFaults() throws {
        let pair = try Pair()
        var random = SeededRandom(seed: 5), frames = 0, faults = 0
        var w = ByteWriter()
        Hello(protocolVersion: 1, buildID: 2, role: 3, index: 4, pid: 5).encode(into: &w, generation: Self.g)
        let valid = w.array
        for _ in 0..<20_000 {
            var bytes = random.chance(0.7) ? valid : (0..<1 + random.below(100)).map { _ in UInt8(random.below(256)) }
            for _ in 0..<random.below(4) { bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8)) }
            if random.chance(0.3) { bytes.removeLast(random.below(bytes.count)) }
            try bytes.withUnsafeBytes { try Passing.send(pair.a.fd, $0) }
            switch pair.b.receive() {
            case .frame(let frame, _):
                frames += 1
                _ = try? frame.decode(Hello.self)
            case .broken: faults += 1
            case .nothing, .ended: Issue.record("a packet was lost")
            }
        }
        #expect(frames > 1000 && faults > 1000)
        // An overlong one is a fault, and the next is read.
        let long = [UInt8](repeating: 7, count: ControlLink.packetLimit + 1)
        try long.withUnsafeBytes { try Passing.send(pair.a.fd, $0) }
        guard case .broken = pair.b.receive() else { return #expect(Bool(false)) }
        pair.a.send(Ready(), generation: Self.g)
        guard case .frame = pair.b.receive() else { return #expect(Bool(false)) }
    }
}

@Suite struct WorkerStartTests {
    @Test func argumentsAreReadBack() {
        let words = WorkerStart.arguments(index: 7, generation: Generation(rawValue: 12))
        let start = WorkerStart.parse(words, role: .disk)
        #expect(start?.name == WorkerName(.disk, 7) && start?.generation == Generation(rawValue: 12))
        for wrong in [[], ["--index", "7"], ["--index", "64", "--generation", "1"], ["--index", "-1", "--generation", "1"], words + ["x"]] {
            #expect(WorkerStart.parse(wrong, role: .disk) == nil)
        }
    }
}

@Suite struct EdgeTableTests {
    @Test func liveLinksAreFoundByNameAndClosedOnesByToken() {
        var table = EdgeTable()
        let first = table.add(Edge(role: .peer, index: 5, generation: Generation(rawValue: 1)), fd: -1)
        #expect(table.find(.peer, 5) === first)
        #expect(table.find(.disk, 5) == nil && table.find(.peer, 6) == nil && table.find(.peer, 600) == nil)
        table.unlist(first)
        #expect(table.find(.peer, 5) == nil)
        let second = table.add(Edge(role: .peer, index: 5, generation: Generation(rawValue: 2)), fd: -1)
        #expect(second.slot != first.slot)
        #expect(table.at(Token(kind: 3, index: first.slot, generation: first.serial)) === first)
        table.remove(first)
        #expect(table.at(Token(kind: 3, index: first.slot, generation: first.serial)) == nil)
        let third = table.add(Edge(role: .disk, index: 0, generation: Generation(rawValue: 1)), fd: -1)
        #expect(third.slot == first.slot)
        #expect(table.at(Token(kind: 3, index: first.slot, generation: first.serial)) == nil, "a token of the slot's former link")
    }
}
