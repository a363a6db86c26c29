import Foundation
import PeerWire
import Primitives
import Testing

@testable import Swarm

/// Peer exchange, addresses and the small extensions.
@Suite struct ExchangeTests {
    /// What a client that speaks everything says.
    static let full = ExtendedHandshake(metadataID: 9, pexID: 7, dontHaveID: 8, uploadOnlyID: 6)

    /// A connection after both handshakes; incoming ones name their port.
    private func peer(_ s: Stage, _ endpoint: Endpoint? = nil, says handshake: ExtendedHandshake = full, listens: UInt16? = 5000) -> PeerHandle {
        let p = s.join(endpoint, extensions: true)
        var mine = handshake
        mine.port = listens
        extended(s, p, 0, mine.encode())
        return p
    }
    private func extended(_ s: Stage, _ p: PeerHandle, _ id: UInt8, _ bytes: [UInt8]) { s.say(p, .extended(id: id, PayloadRange(offset: 0, count: bytes.count)), bytes) }
    private func endpoint(_ s: Stage, _ p: PeerHandle, port: UInt16 = 5000) -> Endpoint {
        var e = s.swarm.report(p)!.endpoint
        e.port = port
        return e
    }
    /// The exchange messages sent to `p` so far.
    private func exchanges(_ s: Stage, to p: PeerHandle) -> [PexMessage] {
        let found = s.effects.all.compactMap { effect -> PexMessage? in
            guard case .send(p, .extended(7, let payload)) = effect else { return nil }
            return try? s.effects.payload(payload).withUnsafeBytes { try PexMessage(decoding: $0) }
        }
        _ = s.take()
        return found
    }

    @Test func peersHearOfEachOtherOnceAMinute() {
        let s = Stage()
        let a = peer(s)
        s.advance(.seconds(10))
        #expect(exchanges(s, to: a).isEmpty, "nobody to name yet")
        let b = peer(s)
        s.advance(.seconds(1))
        #expect(exchanges(s, to: a).map(\.added) == [[.init(endpoint(s, b))]])
        s.advance(.seconds(4))
        #expect(exchanges(s, to: b).map(\.added) == [[.init(endpoint(s, a))]])
        let c = peer(s), gone = endpoint(s, b), came = endpoint(s, c)
        s.swarm.closed(b, errno: 0, now: s.now, into: &s.effects)
        s.advance(.seconds(50))
        #expect(exchanges(s, to: a).isEmpty, "not within a minute")
        s.advance(.seconds(15))
        #expect(exchanges(s, to: a) == [PexMessage(added: [.init(came)], dropped: [gone])])
        s.advance(.seconds(200))
        #expect(exchanges(s, to: a).isEmpty, "nothing new, nothing said")
    }

    @Test func whoComesAndGoesInBetweenIsNotNamed() {
        let s = Stage()
        let a = peer(s)
        _ = peer(s)
        s.advance(.seconds(5))
        _ = s.take()
        let brief = peer(s)
        s.advance(.seconds(5))
        s.swarm.closed(brief, errno: 0, now: s.now, into: &s.effects)
        s.advance(.seconds(70))
        #expect(exchanges(s, to: a).isEmpty)
    }

    @Test func aMessageHasAtMostFiftyOfEachKind() {
        let s = Stage {
            $0.maxPeersPerTorrent = 1000
            $0.peerTimeout = .seconds(3000)
        }
        let a = peer(s)
        _ = peer(s)
        s.advance(.seconds(5))
        _ = s.take()
        let many = (0..<120).map { _ in peer(s) }
        let all = Set(many.map { endpoint(s, $0) })
        var heard: [Set<Endpoint>] = []
        for _ in 0..<4 {
            s.advance(.seconds(61))
            for message in exchanges(s, to: a) { heard.append(Set(message.added.map(\.endpoint))) }
        }
        #expect(heard.map(\.count) == [50, 50, 20] && heard.reduce(into: Set()) { $0.formUnion($1) } == all)
        for p in many { s.swarm.closed(p, errno: 0, now: s.now, into: &s.effects) }
        var dropped = 0
        for _ in 0..<4 {
            s.advance(.seconds(61))
            for message in exchanges(s, to: a) {
                #expect(message.dropped.count <= 50 && message.added.isEmpty)
                dropped += message.dropped.count
            }
        }
        #expect(dropped == 120)
    }

    @Test func seedsAndDialledPeersAreMarked() {
        let s = Stage()
        let a = peer(s)
        let seed = peer(s)
        s.say(seed, .haveAll)
        s.swarm.peersFound(s.id, origin: .tracker, [Endpoint("33.1.1.1:6000")!], now: s.now, into: &s.effects)
        guard case .dial(let out, _)? = s.take().last(where: { if case .dial = $0 { true } else { false } }) else {
            Issue.record("no dial")
            return
        }
        s.swarm.connected(out, now: s.now, into: &s.effects)
        s.swarm.handshakeReceived(out, Handshake(infoHash: s.infoHash, peerID: PeerID(bytes20: 0x77), reserved: Handshake.extensionBit), now: s.now, into: &s.effects)
        extended(s, out, 0, ExtendedHandshake(holepunchID: 3, prefersEncryption: true).encode())
        s.advance(.seconds(5))
        let flags = Dictionary(exchanges(s, to: a).flatMap(\.added).map { ($0.endpoint, $0.flags) }) { x, _ in x }
        #expect(flags[endpoint(s, seed)] == [.isSeed])
        #expect(flags[Endpoint("33.1.1.1:6000")!] == [.isReachable, .prefersEncryption, .speaksHolepunch])
    }

    @Test func contactsAreDialledWithinBounds() {
        let s = Stage()
        let a = peer(s, Endpoint("44.0.0.1:999"))
        _ = s.take()
        let good = Endpoint("55.0.0.1:1000")!
        let contacts = [
            good, Endpoint("55.0.0.1:1001")!, Endpoint("127.0.0.1:22")!, Endpoint("10.1.2.3:22")!, Endpoint("169.254.169.254:80")!, Endpoint("0.0.0.0:5")!,
            Endpoint("55.0.0.3:0")!,
        ]
        extended(s, a, ExtendedHandshake.ourPexID, PexMessage(added: contacts.map { .init($0) }).encode())
        let dialled = s.take().compactMap { if case .dial(_, let e) = $0 { e } else { nil } }
        #expect(dialled == [good], "one port of an address, and no way into a nearer network")
        // A flood: 300 contacts in all, however many messages; the fourth message within minutes is not read.
        for n in 0..<8 {
            let more = (0..<200).map { PexMessage.Contact(Endpoint(ipv4: 0x4200_0000 + UInt32(n * 1000 + $0) << 8, port: 7)) }
            extended(s, a, ExtendedHandshake.ourPexID, PexMessage(added: more).encode())
        }
        #expect(s.swarm.torrents[0].candidates.count <= 301)
        #expect(s.swarm.report(a)?.score ?? 100 >= 10)
    }

    @Test func hearsayTakesHalfOfTheRoom() {
        let s = Stage { $0.maxCandidatesPerTorrent = 40 }
        for n in 0..<3 {
            let a = peer(s, Endpoint(ipv4: 0x2C00_0001 + UInt32(n) << 8, port: 999))
            extended(s, a, ExtendedHandshake.ourPexID, PexMessage(added: (0..<40).map { .init(Endpoint(ipv4: 0x4200_0000 + UInt32(n * 100 + $0) << 8, port: 7)) }).encode())
        }
        let candidates = s.swarm.torrents[0].candidates
        #expect(candidates.hearsay == 20)
        #expect(candidates.list.filter { $0.origin == .pex }.count == 20)
    }

    @Test func privateTorrentsExchangeNothing() {
        for (traits, enabled) in [(TorrentTraits.isPrivate, true), ([], false)] {
            let s = Stage(traits: traits) { $0.enablePex = enabled }
            let a = peer(s)
            for case .send(a, .extended(0, let payload)) in s.effects.all {
                let ours = try? s.effects.payload(payload).withUnsafeBytes { try ExtendedHandshake(decoding: $0) }
                #expect(ours?.pexID == nil && ours != nil)
            }
            _ = peer(s)
            s.advance(.seconds(130))
            #expect(exchanges(s, to: a).isEmpty)
            extended(s, a, ExtendedHandshake.ourPexID, PexMessage(added: [.init(Endpoint("55.0.0.1:1000")!)]).encode())
            #expect(!s.take().contains { if case .dial = $0 { true } else { false } })
        }
    }

    // MARK: BEP 40

    @Test func canonicalPriorityAgreesWithTheSpecification() {
        let us = Endpoint("123.213.32.10:1")!
        #expect(PeerPriority.of(us, Endpoint("98.76.54.32:2")!) == 0xec2d_7224)
        #expect(PeerPriority.of(Endpoint("123.213.32.234:9")!, us) == 0x9956_8189)
        #expect(PeerPriority.of(Endpoint("1.1.1.1:5")!, Endpoint("1.1.1.1:9")!) == PeerPriority.of(Endpoint("1.1.1.1:9")!, Endpoint("1.1.1.1:5")!))
        let six = (Endpoint("[2001:db8::1]:1")!, Endpoint("[2001:db8:0:1::1]:1")!)
        #expect(PeerPriority.of(six.0, six.1) == PeerPriority.of(six.1, six.0))
    }

    @Test func whenFullThePriorityDecidesAmongTheIdle() {
        let s = Stage { $0.maxPeersPerTorrent = 3 }
        let endpoints = (0..<4).map { Endpoint(ipv4: 0x3300_0000 + UInt32($0) << 16 | 77, port: 4000) }.sorted { s.swarm.priority(of: $0) < s.swarm.priority(of: $1) }
        let three = (1...3).map { s.join(endpoints[$0], id: PeerID(bytes20: UInt8($0))) }
        _ = s.take()
        _ = s.join(endpoints[0], id: PeerID(bytes20: 9))
        #expect(s.take().closes == [.tooManyPeers], "the newcomer has the lowest")
        s.swarm.closed(three[0], errno: 0, now: s.now, into: &s.effects)
        let low = s.join(endpoints[0], id: PeerID(bytes20: 10))
        s.advance(.seconds(31))
        _ = s.take()
        _ = s.join(endpoints[1], id: PeerID(bytes20: 11))
        #expect(s.take().contains(.close(low, .tooManyPeers)))
    }

    @Test func ourAddressIsVotedOn() {
        var vote = AddressVote()
        let truth = Endpoint("80.1.1.1:0")!, lie = Endpoint("81.0.0.9:0")!
        struct Case {
            let said: String, by: String, winner: Endpoint?
        }
        let cases = [
            Case(said: "80.1.1.1:99", by: "20.0.0.1:1", winner: truth),
            Case(said: "81.0.0.9:1", by: "21.0.0.1:1", winner: nil),
            // A /24 has one vote.
            Case(said: "81.0.0.9:1", by: "21.0.0.2:1", winner: nil),
            Case(said: "81.0.0.9:1", by: "21.0.0.3:1", winner: nil),
            // A stranger cannot see a private address.
            Case(said: "10.0.0.2:1", by: "22.0.0.1:1", winner: nil),
            Case(said: "81.0.0.9:1", by: "23.0.0.1:1", winner: lie),
            Case(said: "80.1.1.1:1", by: "24.0.0.1:1", winner: nil),
            Case(said: "80.1.1.1:1", by: "25.0.0.1:1", winner: truth),
        ]
        for c in cases {
            let changed = vote.vote(Endpoint(c.said)!, by: Endpoint(c.by)!)
            #expect(changed == c.winner, "\(c)")
        }
        #expect(vote.votes(for: truth) == 3)
    }

    // MARK: BEP 54, BEP 21

    @Test func aPieceThatAPeerLostIsNotAskedOfIt() {
        for fast in [true, false] {
            let s = Stage(pieces: 4)
            let p = s.join(fast: fast, extensions: true)
            if fast { s.say(p, .haveAll) } else { s.bitfield(p, [0xF0]) }
            extended(s, p, ExtendedHandshake.ourDontHaveID, [0, 0, 0, 2])
            #expect(s.swarm.report(p)!.havePieces == 3 && !s.swarm.report(p)!.isSeed)
            s.say(p, .unchoke)
            var asked: Set<Int> = []
            for _ in 0..<40 {
                for r in s.take().requests(to: p) { asked.insert(r.piece) }
                s.answer(p)
            }
            #expect(asked == [0, 1, 3])
            extended(s, p, ExtendedHandshake.ourDontHaveID, [0, 0, 1, 0])
            #expect(s.take().closes == [.badIndex])
        }
    }

    @Test func aPieceThatWeLoseIsTakenBack() {
        let s = Stage(pieces: 4, have: Bitfield(full: 4))
        let p = peer(s)
        _ = s.take()
        var less = Bitfield(full: 4)
        less.remove(3)
        s.swarm.diskReady(s.id, have: less, now: s.now, into: &s.effects)
        let told = s.effects.all.compactMap { if case .send(p, .extended(let id, let n)) = $0 { [id] + s.effects.payload(n) } else { nil } }
        #expect(told == [[8, 0, 0, 0, 3], [6, 0]], "lt_donthave, and that we download again")
    }

    /// Who has no BEP 54 would go on believing that we have it, and would not say when he gets it.
    @Test func whoCannotBeToldOfALostPieceIsMetAgain() {
        let s = Stage(pieces: 4, have: Bitfield(full: 4))
        let p = s.join(fast: true)
        _ = s.take()
        var less = Bitfield(full: 4)
        less.remove(3)
        s.swarm.diskReady(s.id, have: less, now: s.now, into: &s.effects)
        #expect(s.take().contains(.close(p, .piecesLost)))
    }

    /// Our have was not sent while the peer had the piece itself.
    @Test func whoLosesAPieceLearnsThatWeHaveIt() {
        let s = Stage(pieces: 2, have: Bitfield(full: 2))
        let p = peer(s)
        s.bitfield(p, [0x80])
        _ = s.take()
        extended(s, p, ExtendedHandshake.ourDontHaveID, [0, 0, 0, 0])
        #expect(s.take().sent(to: p).contains(.have(PieceIndex(0))))
        extended(s, p, ExtendedHandshake.ourDontHaveID, [0, 0, 0, 0])
        #expect(!s.take().sent(to: p).contains(.have(PieceIndex(0))), "once")
    }

    // MARK: what an idle torrent costs

    /// Counts rows, not time: 50,000 torrents where nothing goes on add nothing to a tick.
    @Test(arguments: [true, false]) func idleTorrentsAreNotVisited(complete: Bool) {
        let s = Stage()
        let geometry = PieceGeometry(totalLength: 4 << 20, pieceLength: 1 << 20)!
        let count = 50_000
        for n in 0..<count {
            var hash = [UInt8](repeating: 3, count: 20)
            (hash[0], hash[1], hash[2]) = (UInt8(n & 255), UInt8(n >> 8 & 255), UInt8(n >> 16))
            let id = TorrentID(rawValue: UInt32(n + 10))
            s.swarm.addTorrent(TorrentSpec(id: id, infoHash: InfoHash(hash)!, geometry: geometry), now: s.now, into: &s.effects)
            s.swarm.diskReady(id, have: complete ? Bitfield(full: 4) : Bitfield(count: 4), now: s.now, into: &s.effects)
        }
        s.now = s.now + .seconds(2)
        s.swarm.tick(now: s.now, into: &s.effects)
        s.swarm.takeReports { _ in }
        s.effects.removeAll()
        let before = s.swarm.visitedRows
        var ticks = 0
        for _ in 0..<550 {
            s.now = s.now + .milliseconds(100)
            s.swarm.tick(now: s.now, into: &s.effects)
            s.swarm.takeReports { _ in }
            ticks += 1
        }
        // Walking the table took 2 × 50,000 rows each tick. The one torrent of the stage asks for peers once.
        print("idle: \(s.swarm.visitedRows - before) rows visited in \(ticks) ticks beside \(count) torrents")
        #expect(s.swarm.visitedRows - before <= 2)
        s.now = s.now + .seconds(60)
        s.swarm.tick(now: s.now, into: &s.effects)
        let asked = s.effects.all.count { if case .morePeersWanted = $0 { true } else { false } }
        #expect(asked == (complete ? 1 : count + 1), "those that lack pieces ask once a minute")
    }
}
