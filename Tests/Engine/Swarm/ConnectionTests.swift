import PeerWire
import Primitives
import Swarm
import Testing

@Suite struct ConnectionTests {
    @Test func aHandshakeIsAnsweredWithWhatWeHave() {
        for (have, fast, wanted) in [
            (Bitfield(count: 10), true, OutgoingMessage.haveNone), (Bitfield(full: 10), true, .haveAll), (Bitfield(full: 10), false, .bitfield(TorrentID(rawValue: 1))),
        ] {
            let stage = Stage(have: have)
            let p = stage.join(fast: fast)
            #expect(Array(stage.take().sent(to: p).prefix(2)) == [.handshake(stage.infoHash), wanted])
        }
        let stage = Stage()
        let p = stage.join(fast: false)
        #expect(stage.take().sent(to: p) == [.handshake(stage.infoHash)], "BEP 3: an empty bitfield is not sent")
    }

    @Test func theExtendedHandshakeReadsBack() throws {
        let stage = Stage(have: Bitfield(full: 10))
        // Not the port of the settings, which another one may stand in for.
        stage.swarm.listening(on: 7001)
        let p = stage.join(extensions: true)
        for case .send(p, .extended(0, let payload)) in stage.effects.all {
            let ours = try stage.effects.payload(payload).withUnsafeBytes { try ExtendedHandshake(decoding: $0) }
            #expect(ours.port == 7001 && ours.uploadOnly && ours.metadataID == 2 && ours.pexID == 1 && ours.dontHaveID == 3 && ours.requestQueue == 2000)
            return
        }
        Issue.record("no extended handshake")
    }

    @Test func strangersAreSentAway() {
        let stage = Stage()
        let p = stage.accept()!
        stage.swarm.handshakeReceived(p, Handshake(infoHash: InfoHash(bytes20: 9), peerID: PeerID(bytes20: 1)), now: stage.now, into: &stage.effects)
        #expect(stage.take().closes == [.unknownTorrent])
        _ = stage.join(id: stage.ourID)
        #expect(stage.take().closes == [.selfConnection])
        _ = stage.join(id: PeerID(bytes20: 7))
        _ = stage.join(id: PeerID(bytes20: 7))
        #expect(stage.take().closes == [.duplicate])
    }

    @Test func crossedDialsKeepTheOneOfTheLargerID() {
        for (theirs, keepsOurs) in [(PeerID(bytes20: 0x10), true), (PeerID(bytes20: 0x90), false)] {
            let stage = Stage()
            let endpoint = Endpoint("10.9.9.9:7000")!
            stage.swarm.peersFound(stage.id, origin: .tracker, [endpoint], now: stage.now, into: &stage.effects)
            guard case .dial(let ours, endpoint)? = stage.take().first else {
                Issue.record("no dial")
                return
            }
            stage.swarm.connected(ours, now: stage.now, into: &stage.effects)
            stage.swarm.handshakeReceived(ours, Handshake(infoHash: stage.infoHash, peerID: theirs), now: stage.now, into: &stage.effects)
            let other = stage.join(Endpoint("10.9.9.9:55555")!, id: theirs)
            let closed = stage.take().compactMap { if case .close(let p, .duplicate) = $0 { p } else { nil } }
            #expect(closed == [keepsOurs ? other : ours])
        }
    }

    @Test func silenceEndsAHandshake() {
        let stage = Stage()
        _ = stage.accept()
        stage.advance(.seconds(9))
        #expect(stage.take().closes.isEmpty)
        stage.advance(.seconds(3))
        #expect(stage.take().closes == [.handshakeTimeout])
    }

    @Test func pendingHandshakesOfANetAreBoundedTheOldestDropped() {
        let stage = Stage()
        var handles: [PeerHandle] = []
        for k in 0..<60 { handles.append(stage.accept(Endpoint(ipv4: 0x0C00_0000 + UInt32(k), port: 1000))!) }
        let closed = stage.take().compactMap { if case .close(let p, .handshakeTimeout) = $0 { p } else { nil } }
        #expect(closed == Array(handles.prefix(10)))
        #expect(stage.accept(Endpoint("11.0.0.1:1")!) != nil)
    }

    @Test func pendingHandshakesOfAnAddressAreBounded() {
        let stage = Stage()
        var handles: [PeerHandle] = []
        for k in 0..<25 { handles.append(stage.accept(Endpoint(ipv4: 0x0C00_0001, port: UInt16(1000 + k)))!) }
        #expect(stage.take().closedPeers == Array(handles.prefix(5)))
        // Another address of the net still has its place, and who has finished his handshake does not count.
        #expect(stage.accept(Endpoint(ipv4: 0x0C00_0002, port: 1)) != nil && stage.take().isEmpty)
        for p in handles.suffix(20) {
            stage.swarm.handshakeReceived(
                p, Handshake(infoHash: stage.infoHash, peerID: PeerID(bytes20: UInt8(p.index))), now: stage.now, into: &stage.effects)
        }
        _ = stage.take()
        for k in 0..<20 { #expect(stage.accept(Endpoint(ipv4: 0x0C00_0001, port: UInt16(2000 + k))) != nil) }
        #expect(stage.take().closes.isEmpty)
    }

    @Test func pendingHandshakesAreBoundedInAll() {
        let stage = Stage { $0.maxPendingAccepts = 100 }
        let handles = (0..<130).map { stage.accept(Endpoint(ipv4: 0x0C00_0001 + UInt32($0) << 8, port: 1))! }
        #expect(stage.take().closedPeers == Array(handles.prefix(30)))
    }

    /// Dials one address until nothing comes for a while; each connection ends before its handshake, as `how` says.
    private func dialsOfAFailing(_ configure: (inout SwarmConfiguration) -> Void, _ how: (Stage, PeerHandle) -> Void) -> [Bool] {
        let stage = Stage(configure: configure)
        stage.swarm.peersFound(stage.id, origin: .tracker, [Endpoint("10.9.9.9:7000")!], now: stage.now, into: &stage.effects)
        var encrypted: [Bool] = []
        for _ in 0..<300 {
            for case .dial(let p, _) in stage.take() {
                encrypted.append(stage.swarm.dialsEncrypted(p))
                stage.swarm.connected(p, now: stage.now, into: &stage.effects)
                how(stage, p)
            }
            stage.advance(.milliseconds(100))
        }
        return encrypted
    }

    @Test func whoRefusesOneWayIsDialledTheOther() {
        let closes: (Stage, PeerHandle) -> Void = { stage, p in stage.swarm.closed(p, errno: 104, now: stage.now, into: &stage.effects) }
        let refuses: (Stage, PeerHandle) -> Void = { stage, p in
            stage.swarm.encryptionRefused(p, now: stage.now, into: &stage.effects)
            stage.swarm.closed(p, errno: 0, now: stage.now, into: &stage.effects)
        }
        for how in [closes, refuses] {
            #expect(dialsOfAFailing({ _ in }, how) == [false], "disabled: once, then the back-off")
            #expect(dialsOfAFailing({ $0.dialsOtherWay = true }, how) == [false, true], "allowed")
            #expect(dialsOfAFailing({ ($0.dialsOtherWay, $0.dialsEncryptedFirst) = (true, true) }, how) == [true, false], "preferred")
            #expect(dialsOfAFailing({ $0.dialsEncryptedFirst = true }, how) == [true], "required")
        }
    }

    @Test func aFaultOnOurSideIsNotThePeers() {
        for isOurs in [true, false] {
            let stage = Stage()
            stage.swarm.peersFound(stage.id, origin: .tracker, [Endpoint("10.9.9.9:7000")!], now: stage.now, into: &stage.effects)
            var dials = 0
            for _ in 0..<6000 {
                for case .dial(let p, _) in stage.take() {
                    dials += 1
                    stage.swarm.dialFailed(p, errno: 111, isOurs: isOurs, now: stage.now, into: &stage.effects)
                }
                stage.advance(.milliseconds(100))
            }
            // Ten minutes: once a minute while it is ours; three attempts and no more while it is the peer's.
            #expect(isOurs ? dials >= 8 : dials == 3, "\(dials) dials")
        }
    }

    @Test func theWayThatWorkedIsTakenAgain() {
        let stage = Stage { $0.dialsOtherWay = true }
        stage.swarm.peersFound(stage.id, origin: .manual, [Endpoint("10.9.9.9:7000")!], now: stage.now, into: &stage.effects)
        var encrypted: [Bool] = []
        for _ in 0..<900 {
            for case .dial(let p, _) in stage.take() {
                let isEncrypted = stage.swarm.dialsEncrypted(p)
                encrypted.append(isEncrypted)
                stage.swarm.connected(p, now: stage.now, into: &stage.effects)
                if isEncrypted {
                    stage.swarm.encrypted(p, .rc4)
                    stage.swarm.handshakeReceived(p, Handshake(infoHash: stage.infoHash, peerID: PeerID(bytes20: 3)), now: stage.now, into: &stage.effects)
                    #expect(stage.swarm.report(p)?.encryption == .rc4)
                }
                stage.swarm.closed(p, errno: 104, now: stage.now, into: &stage.effects)
            }
            stage.advance(.milliseconds(100))
        }
        #expect(encrypted.count > 2 && encrypted == [false] + [Bool](repeating: true, count: encrypted.count - 1))
    }

    @Test func whoIsNewIsNotKeptWaitingForWhoIsKnown() {
        let stage = Stage()
        stage.swarm.peersFound(stage.id, origin: .tracker, [Endpoint("10.9.9.9:7000")!], now: stage.now, into: &stage.effects)
        guard case .dial(let p, _)? = stage.take().first else {
            Issue.record("no dial")
            return
        }
        stage.swarm.dialFailed(p, errno: 111, now: stage.now, into: &stage.effects)
        stage.advance(.seconds(2))
        stage.swarm.peersFound(stage.id, origin: .tracker, [Endpoint("10.8.8.8:7000")!], now: stage.now, into: &stage.effects)
        #expect(stage.take().contains { if case .dial(_, Endpoint("10.8.8.8:7000")!) = $0 { true } else { false } })
    }

    @Test func limitsHold() {
        let stage = Stage { $0.maxGlobalPeers = 5 }
        let accepted = (0..<8).filter { _ in stage.accept() != nil }
        #expect(accepted.count == 5)
        let small = Stage { $0.maxPeersPerTorrent = 2 }
        for _ in 0..<3 { _ = small.join() }
        #expect(small.take().closes == [.tooManyPeers])
    }

    @Test func seedsPartAndLeechersStay() {
        let stage = Stage(have: Bitfield(full: 10))
        let p = stage.join()
        stage.say(p, .haveAll)
        #expect(stage.take().closes == [.bothSeeds])
        let q = stage.join()
        stage.bitfield(q, [0xFF, 0x80])
        #expect(stage.take().closes.isEmpty)
        stage.say(q, .have(piece: 9))
        #expect(stage.take().closes == [.bothSeeds])
    }

    @Test func quietConnectionsGetKeepAlivesAndDeadOnesEnd() {
        let stage = Stage()
        let p = stage.join()
        stage.say(p, .haveNone)
        _ = stage.take()
        stage.advance(.seconds(119))
        #expect(stage.take().sent(to: p).isEmpty)
        stage.advance(.seconds(2))
        #expect(stage.take().sent(to: p) == [.keepAlive])
        stage.advance(.seconds(185))
        #expect(stage.take().closes == [.inactive])
    }

    @Test func dialsAreSpacedAndFailuresDropped() {
        let stage = Stage()
        let endpoints = (0..<100).map { Endpoint(ipv4: 0x0D00_0001 + UInt32($0) << 8, port: 6881) }
        stage.swarm.peersFound(stage.id, origin: .dht, endpoints, now: stage.now, into: &stage.effects)
        var dials: [Endpoint: Int] = [:]
        func collect() -> Int {
            var n = 0
            for effect in stage.take() {
                guard case .dial(let p, let endpoint) = effect else { continue }
                dials[endpoint, default: 0] += 1
                n += 1
                stage.swarm.dialFailed(p, errno: 111, now: stage.now, into: &stage.effects)
            }
            return n
        }
        var total = collect()
        for _ in 0..<10 {
            stage.advance(.milliseconds(100))
            total += collect()
        }
        #expect(total <= 33 && total > 25)
        for _ in 0..<6000 {
            stage.advance(.milliseconds(100))
            total += collect()
        }
        #expect(dials.count == 100 && dials.values.allSatisfy { $0 == 3 }, "each address three times, then dropped")
    }

    @Test func oneAddressIsNotFlooded() {
        let stage = Stage()
        let victim = (1...200).map { Endpoint(ipv4: 0x0808_0808, port: UInt16($0)) }
        stage.swarm.peersFound(stage.id, origin: .pex, victim, now: stage.now, into: &stage.effects)
        var dials = 0
        for _ in 0..<600 {
            for case .dial(let p, _) in stage.take() {
                dials += 1
                stage.swarm.dialFailed(p, errno: 111, now: stage.now, into: &stage.effects)
            }
            stage.advance(.milliseconds(100))
        }
        #expect(dials <= 3 && dials >= 1)
    }

    @Test func privateTorrentsTakeNoPeersFromElsewhere() {
        let stage = Stage(traits: .isPrivate)
        for origin in [PeerOrigin.dht, .pex, .lsd] {
            stage.swarm.peersFound(stage.id, origin: origin, [Endpoint("1.2.3.4:5")!], now: stage.now, into: &stage.effects)
        }
        stage.advance(.seconds(2))
        #expect(!stage.take().contains { if case .dial = $0 { true } else { false } })
        stage.swarm.peersFound(stage.id, origin: .tracker, [Endpoint("1.2.3.4:5")!], now: stage.now, into: &stage.effects)
        #expect(stage.take().contains { if case .dial = $0 { true } else { false } })
    }

    @Test func pausingClosesAndForgetsNothing() {
        let stage = Stage()
        let p = stage.seed()
        stage.answer(p)
        _ = stage.take()
        stage.swarm.setTraits(stage.id, .paused, now: stage.now, into: &stage.effects)
        #expect(stage.take().closes == [.torrentPaused])
        stage.swarm.closed(p, errno: 0, now: stage.now, into: &stage.effects)
        let refused = stage.accept()!
        stage.swarm.handshakeReceived(refused, Handshake(infoHash: stage.infoHash, peerID: PeerID(bytes20: 3)), now: stage.now, into: &stage.effects)
        #expect(stage.take().closes == [.unknownTorrent])
        stage.swarm.setTraits(stage.id, [], now: stage.now, into: &stage.effects)
        let again = stage.seed()
        // The block that was received is not asked for again.
        var asked = Set<String>()
        while let block = stage.answer(again) { asked.insert("\(block.piece).\(block.begin)") }
        #expect(asked.count == 39)
    }

    @Test func removalGivesEveryBufferBack() {
        let stage = Stage()
        let p = stage.seed(), q = stage.seed()
        for _ in 0..<7 { stage.answer(p) }
        stage.answer(q)
        let stored = stage.take().stored.count
        stage.swarm.armed(q, 3, now: stage.now, into: &stage.effects)
        stage.swarm.removeTorrent(stage.id, now: stage.now, into: &stage.effects)
        #expect(stage.take().closes == [.torrentRemoved, .torrentRemoved])
        #expect(stage.buffers.freeSlots < 256 - stored * 4, "what a receive may still write into is kept")
        stage.swarm.closed(p, errno: 0, now: stage.now, into: &stage.effects)
        stage.swarm.closed(q, errno: 0, now: stage.now, into: &stage.effects)
        #expect(stage.buffers.freeSlots == 256 - stored * 4)
        #expect(stage.swarm.torrentIDs.isEmpty && stage.swarm.connectionCount == 0)
        _ = stage.take()
    }
}
