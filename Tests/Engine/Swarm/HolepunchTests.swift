import Filtering
import PeerWire
import Primitives
import Swarm
import Testing

/// BEP 55 in its three parts: who asks, who brings together, who is brought.
@Suite struct HolepunchTests {
    private func stage() -> Stage { Stage(have: nil) { $0.speaksUTP = true } }

    /// A connection whose extended handshake names ut_holepunch by 9 (0: not at all).
    private func peer(_ stage: Stage, _ endpoint: Endpoint, id: UInt8 = 9, byte: UInt8) -> PeerHandle {
        let p = stage.join(endpoint, id: PeerID((0..<20).map { _ in byte }), extensions: true)
        let hello = ExtendedHandshake(holepunchID: id == 0 ? nil : id).encode()
        stage.say(p, .extended(id: 0, PayloadRange(offset: 0, count: hello.count)), hello)
        _ = stage.take()
        return p
    }
    private func say(_ stage: Stage, _ p: PeerHandle, _ message: HolepunchMessage) {
        let bytes = message.encode()
        stage.say(p, .extended(id: ExtendedHandshake.ourHolepunchID, PayloadRange(offset: 0, count: bytes.count)), bytes)
    }
    /// Holepunch messages that went out, with their receivers.
    private func sent(_ stage: Stage) -> [(PeerHandle, HolepunchMessage)] {
        let all = stage.effects.all
        let found: [(PeerHandle, HolepunchMessage)] = all.compactMap { effect in
            guard case .send(let p, .extended(9, let payload)) = effect else { return nil }
            return stage.effects.payload(payload).withUnsafeBytes { try? HolepunchMessage(decoding: $0) }.map { (p, $0) }
        }
        return found
    }
    private let a = Endpoint(ipv4: 0x0A00_0001, port: 1001), b = Endpoint(ipv4: 0x0A00_0002, port: 1002), c = Endpoint(ipv4: 0x0A00_0003, port: 1003)

    @Test func relayBringsTwoTogether() {
        let stage = stage()
        let x = peer(stage, a, byte: 1), y = peer(stage, b, byte: 2)
        say(stage, x, HolepunchMessage(.rendezvous, b))
        let out = sent(stage)
        #expect(out.count == 2)
        #expect(out.contains { $0.0 == y && $0.1 == HolepunchMessage(.connect, a) })
        #expect(out.contains { $0.0 == x && $0.1 == HolepunchMessage(.connect, b) })
        _ = stage.take()
    }

    @Test func relayNamesWhyNot() {
        let stage = stage()
        let x = peer(stage, a, byte: 1)
        _ = peer(stage, b, id: 0, byte: 2)
        let cases: [(Endpoint, HolepunchMessage.Failure)] = [(b, .noSupport), (c, .notConnected), (Endpoint(ipv4: 0, port: 1), .noSuchPeer), (a, .noSuchPeer)]
        for (endpoint, failure) in cases {
            say(stage, x, HolepunchMessage(.rendezvous, endpoint))
            let out = sent(stage)
            #expect(out.count == 1 && out[0].0 == x && out[0].1 == HolepunchMessage(.error, endpoint, failure: failure))
            _ = stage.take()
        }
    }

    @Test func whoDoesNotSpeakItIsNotAnswered() {
        let stage = stage()
        let x = peer(stage, a, id: 0, byte: 1)
        _ = peer(stage, b, byte: 2)
        say(stage, x, HolepunchMessage(.rendezvous, b))
        #expect(!stage.take().contains { if case .send = $0 { true } else { false } })
    }

    @Test func targetDialsByUTPOnceAMinute() {
        let stage = stage()
        let relay = peer(stage, a, byte: 1)
        say(stage, relay, HolepunchMessage(.connect, c))
        let dials = stage.take().compactMap { if case .dialByUTP(let p, let e) = $0 { (p, e) } else { nil } }
        #expect(dials.count == 1 && dials[0].1 == c)
        stage.swarm.dialFailed(dials[0].0, errno: 110, now: stage.now, into: &stage.effects)
        #expect(sent(stage).isEmpty, "a meeting that failed is not asked for again")
        // What another says unasked is a second dial within the minute.
        let other = peer(stage, b, byte: 2)
        say(stage, other, HolepunchMessage(.connect, c))
        #expect(!stage.take().contains { if case .dialByUTP = $0 { true } else { false } })
        // Connected already: ignored.
        say(stage, relay, HolepunchMessage(.connect, a))
        #expect(!stage.take().contains { if case .dialByUTP = $0 { true } else { false } })
    }

    @Test func failedDialAsksRelaysInTurnThenMeets() {
        let stage = stage()
        var relays = [peer(stage, a, byte: 1), peer(stage, b, byte: 2)]
        stage.swarm.peersFound(stage.id, origin: .pex, [c], now: stage.now, into: &stage.effects)
        stage.advance(.seconds(1))
        let dials = stage.effects.all.compactMap { if case .dial(let p, c) = $0 { p } else { nil } }
        #expect(dials.count == 1)
        stage.effects.removeAll()
        stage.swarm.dialFailed(dials[0], errno: 110, now: stage.now, into: &stage.effects)
        let first = sent(stage)
        #expect(first.count == 1 && first[0].1 == HolepunchMessage(.rendezvous, c))
        stage.effects.removeAll()
        say(stage, first[0].0, HolepunchMessage(.error, c, failure: .notConnected))
        let second = sent(stage)
        #expect(second.count == 1 && second[0].0 != first[0].0 && second[0].1 == HolepunchMessage(.rendezvous, c))
        stage.effects.removeAll()
        say(stage, second[0].0, HolepunchMessage(.connect, c))
        let meeting = stage.effects.all.compactMap { if case .dialByUTP(let p, c) = $0 { p } else { nil } }
        #expect(meeting.count == 1, "although it was dialled within the minute: we asked for it")
        stage.effects.removeAll()
        stage.swarm.dialFailed(meeting[0], errno: 110, now: stage.now, into: &stage.effects)
        #expect(sent(stage).isEmpty, "one rendezvous for a failed dial")
        relays.removeAll()
        stage.effects.removeAll()
    }

    @Test func dialWithoutAnAnswerAsksARelayToo() {
        let stage = stage()
        _ = peer(stage, a, byte: 1)
        stage.swarm.peersFound(stage.id, origin: .pex, [c], now: stage.now, into: &stage.effects)
        stage.advance(.seconds(1))
        #expect(stage.effects.all.contains { if case .dial(_, c) = $0 { true } else { false } })
        #expect(sent(stage).isEmpty)
        stage.advance(.seconds(11))
        #expect(sent(stage).map(\.1) == [HolepunchMessage(.rendezvous, c)])
        _ = stage.take()
    }

    /// Both sides learn of each other at one time, and each has tried in vain before somebody brings them together.
    @Test func targetMeetsWhomItHasJustDialledInVain() {
        let stage = stage()
        let relay = peer(stage, a, id: 0, byte: 1), other = peer(stage, b, byte: 2)
        stage.swarm.peersFound(stage.id, origin: .pex, [c], now: stage.now, into: &stage.effects)
        stage.advance(.seconds(1))
        let dials = stage.effects.all.compactMap { if case .dial(let p, c) = $0 { p } else { nil } }
        stage.swarm.dialFailed(dials[0], errno: 110, now: stage.now, into: &stage.effects)
        say(stage, other, HolepunchMessage(.error, c, failure: .notConnected))
        stage.effects.removeAll()
        say(stage, other, HolepunchMessage(.connect, c))
        #expect(stage.take().contains { if case .dialByUTP(_, c) = $0 { true } else { false } })
        _ = relay
    }

    @Test func filteredAddressesAreNotMet() {
        let stage = stage()
        let relay = peer(stage, a, byte: 1)
        stage.swarm.setFilter(AddressFilter(mode: .block, ranges: AddressRanges(FilterList("10.0.0.3").ranges)), now: stage.now, into: &stage.effects)
        say(stage, relay, HolepunchMessage(.connect, c))
        #expect(!stage.take().contains { if case .dialByUTP = $0 { true } else { false } })
    }

    /// BEP 27: of a private torrent's peers only its tracker speaks.
    @Test func privateTorrentMeetsThoseOfItsTrackerOnly() {
        let stage = Stage(traits: .isPrivate) { $0.speaksUTP = true }
        let relay = peer(stage, a, byte: 1)
        say(stage, relay, HolepunchMessage(.connect, c))
        #expect(!stage.take().contains { if case .dialByUTP = $0 { true } else { false } })
        stage.swarm.peersFound(stage.id, origin: .tracker, [b], now: stage.now, into: &stage.effects)
        stage.advance(.seconds(1))
        let dials = stage.take().compactMap { if case .dial(let p, b) = $0 { p } else { nil } }
        stage.swarm.dialFailed(dials[0], errno: 110, now: stage.now, into: &stage.effects)
        say(stage, relay, HolepunchMessage(.connect, b))
        #expect(stage.take().contains { if case .dialByUTP(_, b) = $0 { true } else { false } })
    }

    @Test func floodOfMessagesMovesNothing() {
        let stage = stage()
        let x = peer(stage, a, byte: 1)
        for n in 0..<200 {
            say(stage, x, HolepunchMessage(.connect, Endpoint(ipv4: 0x0B00_0000 + UInt32(n), port: 1)))
            stage.advance(.milliseconds(100))
        }
        let dials = stage.effects.all.filter { if case .dialByUTP = $0 { true } else { false } }
        #expect(dials.count == 20)
        _ = stage.take()
    }

    // MARK: Codec

    @Test(arguments: [
        HolepunchMessage(.rendezvous, Endpoint(ipv4: 0x0102_0304, port: 6881)), HolepunchMessage(.connect, Endpoint(high: 1, low: 2, port: 3)),
        HolepunchMessage(.error, Endpoint(ipv4: 9, port: 9), failure: .noSelf),
    ])
    func messagesComeBackAndTruncationsAreErrors(_ message: HolepunchMessage) {
        let bytes = message.encode()
        #expect(bytes.withUnsafeBytes { try? HolepunchMessage(decoding: $0) } == message)
        for length in 0..<bytes.count {
            let part = Array(bytes[..<length]).withUnsafeBytes { try? HolepunchMessage(decoding: $0) }
            // Where the error code is 0 anyway it may be left out.
            #expect(part == nil || (message.kind != .error && length >= bytes.count - 4 && part == message))
        }
        var random = SeededRandom(seed: 1)
        for _ in 0..<20_000 {
            var mutated = bytes
            mutated[random.below(bytes.count)] = UInt8(random.below(256))
            mutated.withUnsafeBytes { HolepunchMessage.fuzz($0) }
        }
    }
}
