import PeerWire
import Primitives
import Swarm
import Testing

@Suite struct DownloadTests {
    @Test func requestsComeInBlockOrderPieceByPiece() {
        let stage = Stage()
        let p = stage.seed()
        let asked = stage.take().requests(to: p)
        #expect(asked.count == 8 && asked.prefix(4).map(\.begin) == [0, 16384, 32768, 49152])
        #expect(Set(asked.prefix(4).map(\.piece)).count == 1 && Set(asked.suffix(4).map(\.piece)).count == 1)
    }

    @Test func thePipelineDoublesEachRoundTrip() {
        let stage = Stage(pieces: 400, slots: 4096)
        let p = stage.seed()
        var depths: [Int] = [], inFlight = stage.take().requests(to: p).count
        for _ in 0..<7 {
            stage.now = stage.now + .milliseconds(10)
            for _ in 0..<inFlight { stage.answer(p) }
            inFlight = stage.take().requests(to: p).count
            depths.append(inFlight)
        }
        // 70 ms later the full depth of a fast peer is reached (reqq unknown: 250).
        #expect(depths == [16, 32, 64, 128, 250, 250, 250], "\(depths)")
    }

    @Test func expectedNamesTheSlotsInOrder() {
        let stage = Stage()
        let p = stage.seed()
        let asked = stage.take().requests(to: p)
        for (n, request) in asked.enumerated() {
            let block = stage.swarm.expected(p, n)!
            #expect(block.piece.int == request.piece && block.begin == request.begin && block.length == request.length && block.slot != nil)
        }
        #expect(stage.swarm.expected(p, asked.count) == nil)
        let slots = Set((0..<asked.count).map { stage.swarm.expected(p, $0)!.slot! })
        #expect(slots.count == asked.count)
        // Out of order: it becomes the first expected.
        let third = stage.swarm.expected(p, 2)!
        #expect(stage.swarm.destination(p, piece: third.piece.rawValue, begin: third.begin, length: third.length) == .direct(third.slot!))
        #expect(stage.swarm.expected(p, 0) == third)
    }

    @Test func whatWasNotAskedIsDiscardedAndFiftyAreTooMany() {
        let stage = Stage()
        let p = stage.seed()
        let known = stage.swarm.expected(p, 0)!
        for (piece, begin, length) in [
            (known.piece.rawValue, known.begin, known.length - 1), (known.piece.rawValue, known.begin + 1, known.length), (99, 0, 16384), (known.piece.rawValue, 1 << 30, 16384),
        ] as [(UInt32, UInt32, UInt32)] {
            #expect(stage.swarm.destination(p, piece: piece, begin: begin, length: length) == .discard)
        }
        for _ in 0..<50 { stage.swarm.blockDiscarded(p, piece: 99, begin: 0, length: 16384, now: stage.now, into: &stage.effects) }
        #expect(stage.take().closes.isEmpty)
        stage.swarm.blockDiscarded(p, piece: 99, begin: 0, length: 16384, now: stage.now, into: &stage.effects)
        #expect(stage.take().closes == [.uselessBlocks])
    }

    @Test func aWholePieceIsStoredThenAnnounced() {
        let stage = Stage()
        let p = stage.seed(), other = stage.join()
        stage.say(other, .haveNone)
        _ = stage.take()
        for _ in 0..<4 { stage.answer(p) }
        let effects = stage.take()
        #expect(effects.stored.count == 1)
        let piece = PieceIndex(effects.stored[0])
        #expect(stage.swarm.have(stage.id)!.isEmpty)
        guard case .storePiece(_, _, let first, 65536)? = effects.first(where: { if case .storePiece = $0 { true } else { false } }) else { return }
        stage.buffers.handOver(first)
        stage.buffers.verified(first)
        stage.swarm.pieceVerified(stage.id, piece, now: stage.now, into: &stage.effects)
        let verified = stage.take()
        #expect(verified.sent(to: other) == [.have(piece)] && verified.sent(to: p).isEmpty, "seeds need no HAVE")
        #expect(stage.swarm.hasPiece(stage.id, piece))
        stage.buffers.written(first)
        stage.swarm.pieceWritten(stage.id, piece, now: stage.now, into: &stage.effects)
        _ = stage.take()
    }

    @Test func noBufferMeansNoRequestUntilOneIsBack() {
        let stage = Stage(slots: 8)
        let p = stage.seed()
        #expect(stage.take().requests(to: p).count == 8)
        for _ in 0..<8 { stage.answer(p) }
        let effects = stage.take()
        #expect(effects.stored.count == 2 && effects.requests(to: p).isEmpty)
        for case .storePiece(_, let piece, let first, _) in effects {
            stage.buffers.handOver(first)
            stage.buffers.verified(first)
            stage.buffers.written(first)
            stage.swarm.pieceVerified(stage.id, piece, now: stage.now, into: &stage.effects)
            stage.swarm.pieceWritten(stage.id, piece, now: stage.now, into: &stage.effects)
        }
        #expect(stage.take().requests(to: p).count == 8)
    }

    @Test func aChokeWithoutFastForgetsAndWithFastWaitsForRejects() {
        for fast in [false, true] {
            let stage = Stage()
            let p = stage.join(fast: fast)
            stage.bitfield(p, [0xFF, 0xC0])
            stage.say(p, .unchoke)
            let asked = stage.take().requests(to: p)
            stage.say(p, .choke)
            #expect((stage.swarm.expected(p, 0) == nil) == !fast)
            if fast {
                for r in asked { stage.say(p, .reject(piece: UInt32(r.piece), begin: r.begin, length: r.length)) }
                #expect(stage.swarm.expected(p, 0) == nil)
            }
            stage.say(p, .unchoke)
            #expect(stage.take().requests(to: p).count == 8)
        }
    }

    @Test func aRejectingPeerIsAskedOnceASecondAtMost() {
        let stage = Stage()
        let p = stage.seed()
        var asked = 0
        for _ in 0..<300 {
            let requests = stage.take().requests(to: p)
            asked += requests.isEmpty ? 0 : 1
            for r in requests { stage.say(p, .reject(piece: UInt32(r.piece), begin: r.begin, length: r.length)) }
            stage.advance(.milliseconds(100))
        }
        #expect(asked <= 8, "\(asked) rounds in 30 s")
    }

    @Test func allowedFastPiecesAreAskedWhileChoked() {
        let stage = Stage()
        let p = stage.join()
        stage.say(p, .haveAll)
        #expect(stage.take().requests(to: p).isEmpty)
        stage.say(p, .allowedFast(piece: 6))
        let asked = stage.take().requests(to: p)
        #expect(asked.map(\.piece) == [6, 6, 6, 6])
    }

    @Test func suggestedPiecesGoFirstAndSequentialGoesInOrder() {
        let stage = Stage()
        let p = stage.join()
        stage.say(p, .haveAll)
        stage.say(p, .suggest(piece: 7))
        stage.say(p, .unchoke)
        #expect(stage.take().requests(to: p).first?.piece == 7)
        let ordered = Stage(traits: .sequential)
        let q = ordered.seed()
        var pieces = ordered.take().requests(to: q).map(\.piece)
        for _ in 0..<40 { ordered.answer(q) }
        pieces += ordered.take().requests(to: q).map(\.piece)
        #expect(pieces == (0..<10).flatMap { [$0, $0, $0, $0] })
    }

    @Test func theRarestGoesFirst() {
        let stage = Stage()
        for _ in 0..<3 {
            let q = stage.join()
            stage.bitfield(q, [0xFB, 0xC0])  // all but piece 5
        }
        _ = stage.take()
        let p = stage.seed()
        #expect(stage.take().requests(to: p).first?.piece == 5)
    }

    @Test func aTimedOutPeerLosesItsBlocksToOthers() {
        let stage = Stage(pieces: 2) { $0.endgameDuplicates = 1 }
        let mute = stage.seed()
        #expect(stage.take().requests(to: mute).count == 8)
        stage.advance(.seconds(8))
        let good = stage.seed()
        _ = stage.take()
        stage.advance(.seconds(3))
        #expect(stage.take().requests(to: good).count == 8)
        for _ in 0..<8 { stage.answer(good) }
        #expect(stage.take().stored.count == 2)
    }

    @Test func blocksUnderAReceiveAreNotSharedBeforeItEnded() {
        let stage = Stage(pieces: 1)
        let slow = stage.seed()
        stage.swarm.armed(slow, 4, now: stage.now, into: &stage.effects)
        stage.advance(.seconds(1))
        let fast = stage.seed()
        var effects = stage.take()
        #expect(effects.requests(to: fast).isEmpty && effects.contains(.disarm(slow)))
        stage.swarm.armed(slow, 0, now: stage.now, into: &stage.effects)
        stage.advance(.milliseconds(500))
        effects = stage.take()
        #expect(effects.requests(to: fast).count == 4)
        // Both land beside the slot now.
        for p in [slow, fast] { #expect(stage.swarm.expected(p, 0)!.slot == nil) }
        let block = stage.swarm.expected(fast, 0)!
        guard case .copy = stage.swarm.destination(fast, piece: 0, begin: block.begin, length: block.length) else {
            Issue.record("not copied")
            return
        }
        stage.answer(fast)
        #expect(stage.take().sent(to: slow) == [.cancel(piece: PieceIndex(0), begin: block.begin, length: block.length)])
        #expect(stage.swarm.destination(slow, piece: 0, begin: block.begin, length: block.length) == .discard)
        stage.swarm.blockDiscarded(slow, piece: 0, begin: block.begin, length: block.length, now: stage.now, into: &stage.effects)
        #expect(stage.swarm.report(stage.id)!.downloadedAgain == 16384)
    }

    @Test func aSoloLiarIsBannedAtOnceAndSharedBlameIsNot() {
        let stage = Stage(pieces: 3)
        let address = Endpoint("77.1.2.3:9")!
        let p = stage.seed(address)
        for _ in 0..<4 { stage.answer(p) }
        let piece = PieceIndex(stage.take().stored[0])
        stage.swarm.pieceFailed(stage.id, piece, .hashMismatch, now: stage.now, into: &stage.effects)
        let effects = stage.take()
        #expect(effects.closes == [.corruptPiece] && stage.swarm.isBanned(address, now: stage.now))
        #expect(stage.accept(Endpoint("77.1.2.3:1000")!) == nil)
        #expect(stage.swarm.isBanned(address, now: stage.now + .seconds(23 * 3600)))
        #expect(!stage.swarm.isBanned(address, now: stage.now + .seconds(25 * 3600)))
    }

    @Test func anAdoptedPieceNeedsOnlyItsMissingBlocks() {
        let stage = Stage(pieces: 3)
        var received = Bitfield(count: 4)
        received.insert(0)
        received.insert(2)
        #expect(stage.buffers.adopt(first: SlotIndex(rawValue: 16), torrent: stage.id, piece: PieceIndex(1), slots: 4, handed: false))
        stage.swarm.adoptPartialPiece(stage.id, PieceIndex(1), firstSlot: SlotIndex(rawValue: 16), received: received, now: stage.now, into: &stage.effects)
        let p = stage.seed()
        let asked = stage.take().requests(to: p)
        #expect(asked.filter { $0.piece == 1 }.map(\.begin) == [16384, 49152] && asked.first?.piece == 1)
        #expect(stage.buffers.adopt(first: SlotIndex(rawValue: 32), torrent: stage.id, piece: PieceIndex(2), slots: 4, handed: false))
        stage.swarm.adoptPartialPiece(stage.id, PieceIndex(2), firstSlot: SlotIndex(rawValue: 32), received: Bitfield(count: 3), now: stage.now, into: &stage.effects)
        #expect(stage.take().contains(.bufferDiscarded(firstSlot: SlotIndex(rawValue: 32))))
    }

    @Test func wholeAdoptedPiecesAreStoredWithoutARequest() {
        let stage = Stage(pieces: 3)
        #expect(stage.buffers.adopt(first: SlotIndex(rawValue: 0), torrent: stage.id, piece: PieceIndex(1), slots: 4, handed: false))
        stage.swarm.adoptPartialPiece(stage.id, PieceIndex(1), firstSlot: SlotIndex(rawValue: 0), received: Bitfield(full: 4), now: stage.now, into: &stage.effects)
        #expect(stage.take().stored == [1])
    }
}

@Suite struct UploadTests {
    static func seeding(_ configure: (inout SwarmConfiguration) -> Void = { _ in }) -> Stage { Stage(have: Bitfield(full: 10), configure: configure) }
    static func leech(_ stage: Stage, fast: Bool = true) -> PeerHandle {
        let p = stage.join(fast: fast)
        if fast { stage.say(p, .haveNone) }
        return p
    }

    @Test func interestIsAnsweredAtOnceWhileSlotsAreFree() {
        let stage = Self.seeding { $0.uploadSlots = 3 }
        var unchoked = 0
        for _ in 0..<5 {
            let p = Self.leech(stage)
            stage.say(p, .interested)
            if stage.take().sent(to: p).contains(.unchoke) { unchoked += 1 }
        }
        #expect(unchoked == 3)
        // A round later all but two of the slots may have moved, but never more than three are given.
        stage.advance(.seconds(120))
        let reports = stage.swarm.peers(of: stage.id).compactMap { stage.swarm.report($0) }
        #expect(reports.filter { !$0.amChoking }.count == 3)
    }

    @Test func requestsAreServedRejectedOrCounted() {
        let stage = Self.seeding()
        let p = Self.leech(stage)
        _ = stage.take()
        stage.say(p, .request(piece: 9, begin: 0, length: 16384))
        let granted = stage.swarm.report(p)!
        #expect(granted.amChoking)
        stage.say(p, .interested)
        _ = stage.take()
        stage.say(p, .request(piece: 1, begin: 16384, length: 16384))
        #expect(stage.take() == [.serve(p, torrent: stage.id, piece: PieceIndex(1), begin: 16384, length: 16384)])
        for (piece, begin, length) in [(10, 0, 16384), (0, 65536, 1), (0, 65535, 2), (0, 0, 0), (0, 0, 131_073), (0, .max, 16384), (.max, 0, 1)] as [(UInt32, UInt32, UInt32)] {
            stage.say(p, .request(piece: piece, begin: begin, length: length))
            #expect(stage.take() == [.send(p, .reject(piece: piece, begin: begin, length: length))])
        }
        for _ in 0..<294 { stage.say(p, .request(piece: 99, begin: 0, length: 16384)) }
        #expect(stage.take().closes == [.invalidRequests])
    }

    @Test func theQueueIsBounded() {
        let stage = Self.seeding()
        let p = Self.leech(stage)
        stage.say(p, .interested)
        _ = stage.take()
        for _ in 0..<5000 { stage.say(p, .request(piece: 0, begin: 0, length: 16384)) }
        let effects = stage.take()
        let served = effects.filter { if case .serve = $0 { true } else { false } }.count
        #expect(served == 2000 && effects.sent(to: p).count == 3000)
        stage.swarm.blockSent(p, bytes: 16384 * 10, now: stage.now, into: &stage.effects)
        #expect(stage.swarm.report(p)!.queued == 1990 && stage.swarm.report(p)!.uploaded == 163_840)
        stage.say(p, .cancel(piece: 0, begin: 0, length: 16384))
        #expect(stage.take() == [.cancelServe(p, piece: PieceIndex(0), begin: 0, length: 16384)])
        stage.swarm.serveFailed(p, piece: 0, begin: 0, length: 16384, now: stage.now, into: &stage.effects)
        #expect(stage.take() == [.send(p, .reject(piece: 0, begin: 0, length: 16384))] && stage.swarm.report(p)!.queued == 1989)
    }

    /// A request that was dropped without a word would be waited for for ever (BEP 6 §Reject).
    @Test func whoCannotBeToldIsHeldBackInstead() {
        let stage = Self.seeding()
        let p = stage.join(fast: false)
        stage.say(p, .interested)
        _ = stage.take()
        for _ in 0..<1999 { stage.say(p, .request(piece: 0, begin: 0, length: 16384)) }
        #expect(stage.swarm.mayReceive(p, now: stage.now))
        for _ in 0..<7710 { stage.say(p, .request(piece: 0, begin: 0, length: 16384)) }
        #expect(!stage.swarm.mayReceive(p, now: stage.now))
        #expect(stage.take().filter { if case .serve = $0 { true } else { false } }.count == 9709)
        for _ in 0..<10_000 { stage.say(p, .request(piece: 0, begin: 0, length: 16384)) }
        #expect(stage.take().filter { if case .serve = $0 { true } else { false } }.count == 16_384 - 9709)
        stage.swarm.blockSent(p, bytes: 16384 * 14_384, blocks: 14_384, now: stage.now, into: &stage.effects)
        #expect(!stage.swarm.mayReceive(p, now: stage.now))
        stage.swarm.blockSent(p, bytes: 16384, blocks: 1, now: stage.now, into: &stage.effects)
        #expect(stage.swarm.mayReceive(p, now: stage.now))
    }

    @Test func unreadyDisksChokeAndReject() {
        let stage = Self.seeding()
        let p = Self.leech(stage)
        stage.say(p, .interested)
        stage.say(p, .request(piece: 0, begin: 0, length: 16384))
        _ = stage.take()
        stage.swarm.diskUnready(stage.id, now: stage.now, into: &stage.effects)
        #expect(stage.take() == [.send(p, .choke), .cancelAllServes(p)])
        stage.say(p, .request(piece: 0, begin: 0, length: 16384))
        #expect(stage.take() == [.send(p, .reject(piece: 0, begin: 0, length: 16384))])
        stage.swarm.diskReady(stage.id, have: Bitfield(full: 10), now: stage.now, into: &stage.effects)
        stage.advance(.seconds(11))
        #expect(stage.take().sent(to: p).contains(.unchoke))
    }

    @Test func startersGetTheirAllowedFastSet() {
        let stage = Stage(pieces: 100, have: Bitfield(full: 100))
        let p = Self.leech(stage)
        let granted = stage.take().sent(to: p).compactMap { if case .allowedFast(let piece) = $0 { piece } else { nil } }
        #expect(granted.count == 10)
        stage.say(p, .request(piece: granted[0].rawValue, begin: 0, length: 16384))
        #expect(stage.take() == [.serve(p, torrent: stage.id, piece: granted[0], begin: 0, length: 16384)])
        let refused = (0..<100 as Range<UInt32>).first { !granted.contains(PieceIndex(rawValue: $0)) }!
        stage.say(p, .request(piece: refused, begin: 0, length: 16384))
        #expect(stage.take() == [.send(p, .reject(piece: refused, begin: 0, length: 16384))])
    }
}

@Suite struct HostileTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let messages: [PeerMessage]
        var payload: [UInt8] = []
        let reason: CloseReason?
        var fast = true
        var testDescription: String { name }
    }
    static let bits2 = PayloadRange(offset: 0, count: 2)
    static let cases: [Case] = [
        Case(name: "have beyond the end", messages: [.have(piece: 10)], reason: .badIndex),
        Case(name: "have of 2^32 - 1", messages: [.have(piece: .max)], reason: .badIndex),
        Case(name: "spare bits", messages: [.bitfield(bits2)], payload: [0xFF, 0xFF], reason: .badBitfield),
        Case(name: "spare bits in a later bitfield", messages: [.have(piece: 0), .bitfield(bits2)], payload: [0xFF, 0xFF], reason: .badBitfield),
        Case(name: "a later bitfield, as aria2 sends it", messages: [.have(piece: 0), .bitfield(bits2), .bitfield(bits2)], payload: [0x60, 0], reason: nil),
        Case(name: "bitfield flood", messages: Array(repeating: .bitfield(bits2), count: 10_001), payload: [0x60, 0], reason: .messageFlood),
        Case(name: "haveAll after a bitfield", messages: [.bitfield(bits2), .haveAll], payload: [0, 0], reason: .badBitfield),
        Case(name: "haveAll without BEP 6", messages: [.haveAll], reason: .notFastExtension, fast: false),
        Case(name: "reject without BEP 6", messages: [.reject(piece: 0, begin: 0, length: 1)], reason: .notFastExtension, fast: false),
        Case(name: "suggest without BEP 6", messages: [.suggest(piece: 0)], reason: .notFastExtension, fast: false),
        Case(name: "allowed fast beyond the end", messages: [.allowedFast(piece: 10)], reason: .badIndex),
        Case(name: "suggest beyond the end", messages: [.suggest(piece: 10)], reason: .badIndex),
        Case(name: "reject of nothing", messages: [.haveNone, .reject(piece: 0, begin: 0, length: 16384)], reason: nil),
        Case(name: "cancel of nothing", messages: [.cancel(piece: .max, begin: .max, length: .max)], reason: nil),
        Case(name: "unknown", messages: [.unknown(id: 99), .port(1)], reason: nil),
        Case(name: "10,000 keep-alives a minute", messages: Array(repeating: .keepAlive, count: 10_000), reason: .messageFlood),
        Case(name: "9,999 keep-alives a minute", messages: Array(repeating: .keepAlive, count: 9_999), reason: nil),
        Case(name: "have flood", messages: Array(repeating: .have(piece: 1), count: 10_001), reason: .messageFlood),
        Case(name: "interest flapping", messages: (0..<10_000).map { $0 % 2 == 0 ? .interested : .notInterested }, reason: .messageFlood),
        Case(name: "choke flapping", messages: (0..<10_000).map { $0 % 2 == 0 ? .unchoke : .choke }, reason: .messageFlood),
        Case(name: "cancel flood", messages: Array(repeating: .cancel(piece: 0, begin: 0, length: 16384), count: 10_000), reason: .messageFlood),
    ]
    @Test(arguments: cases) func misbehaviourEndsAConnectionOrNot(c: Case) {
        let stage = Stage()
        let p = stage.join(fast: c.fast)
        for message in c.messages { stage.say(p, message, c.payload) }
        #expect(stage.take().closes == (c.reason.map { [$0] } ?? []))
        if c.reason == .messageFlood { #expect(stage.accept(Endpoint("11.0.1.1:1")!) == nil, "banned for ten minutes") }
    }

    @Test func badExtendedHandshakesEndAConnection() {
        let stage = Stage()
        let p = stage.join(extensions: true)
        let bomb = [UInt8](repeating: UInt8(ascii: "l"), count: 10_000)
        stage.say(p, .extended(id: 0, PayloadRange(offset: 0, count: bomb.count)), bomb)
        #expect(stage.take().closes == [.badExtendedMessage])
    }

    @Test func aTrickledBlockIsGivenUp() {
        let stage = Stage()
        let p = stage.seed()
        let block = stage.swarm.expected(p, 0)!
        _ = stage.swarm.destination(p, piece: block.piece.rawValue, begin: block.begin, length: block.length)
        stage.advance(.seconds(70))
        #expect(stage.take().closes == [.stalled])
    }

    /// Random messages of every kind from several peers, with ticks and disk answers between: no trap, invariants hold.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func noSequenceOfMessagesBreaksIt(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let stage = Stage(pieces: 12, slots: 32)
        var peers: [PeerHandle] = []
        for _ in 0..<3000 {
            if peers.count < 6, random.chance(0.1) { peers.append(stage.join(fast: random.chance(0.7), extensions: random.chance(0.5))) }
            guard !peers.isEmpty else { continue }
            let p = peers[random.below(peers.count)]
            func number() -> UInt32 { random.chance(0.9) ? UInt32(random.below(13)) : UInt32(truncatingIfNeeded: random.next()) }
            let (piece, begin) = (number(), random.chance(0.9) ? UInt32(random.below(5)) * 16384 : number())
            let length: UInt32 = random.chance(0.9) ? 16384 : number()
            switch random.below(22) {
            case 0: stage.say(p, .choke)
            case 1, 2: stage.say(p, .unchoke)
            case 3: stage.say(p, .interested)
            case 4: stage.say(p, .notInterested)
            case 5, 6: stage.say(p, .have(piece: UInt32(random.below(12))))
            case 7: stage.bitfield(p, [UInt8(truncatingIfNeeded: random.next()), UInt8(truncatingIfNeeded: random.next()) & 0xF0])
            case 8: stage.say(p, random.chance(0.5) ? .haveAll : .haveNone)
            case 9: stage.say(p, .request(piece: piece, begin: begin, length: length))
            case 10: stage.say(p, .cancel(piece: piece, begin: begin, length: length))
            case 11: stage.say(p, .reject(piece: piece, begin: begin, length: length))
            case 12: stage.say(p, .allowedFast(piece: UInt32(random.below(12))))
            case 13: stage.say(p, .suggest(piece: UInt32(random.below(12))))
            case 14, 15, 16, 17:
                stage.swarm.armed(p, 0, now: stage.now, into: &stage.effects)
                stage.answer(p)
            case 18: stage.swarm.armed(p, random.below(9), now: stage.now, into: &stage.effects)
            case 19: stage.advance(.milliseconds(random.below(3000)))
            case 20 where random.chance(0.3): stage.swarm.closed(p, errno: 104, now: stage.now, into: &stage.effects)
            default:
                if random.chance(0.5) {
                    stage.swarm.diskUnready(stage.id, now: stage.now, into: &stage.effects)
                } else {
                    stage.swarm.diskReady(stage.id, have: stage.swarm.have(stage.id)!, now: stage.now, into: &stage.effects)
                }
            }
            for effect in stage.take() {
                switch effect {
                case .close(let q, _):
                    stage.swarm.closed(q, errno: 0, now: stage.now, into: &stage.effects)
                    peers.removeAll { $0 == q }
                case .disarm(let q): stage.swarm.armed(q, 0, now: stage.now, into: &stage.effects)
                case .serve(let q, _, let piece, let begin, let length):
                    if random.chance(0.5) {
                        stage.swarm.blockSent(q, bytes: Int(length), blocks: 1, now: stage.now, into: &stage.effects)
                    } else {
                        stage.swarm.serveFailed(q, piece: piece.rawValue, begin: begin, length: length, now: stage.now, into: &stage.effects)
                    }
                case .storePiece(_, let piece, let first, _):
                    stage.buffers.handOver(first)
                    switch random.below(4) {
                    case 0: stage.swarm.pieceFailed(stage.id, piece, .hashMismatch, now: stage.now, into: &stage.effects)
                    case 1: stage.swarm.pieceFailed(stage.id, piece, .diskFull, now: stage.now, into: &stage.effects)
                    default:
                        stage.buffers.verified(first)
                        stage.swarm.pieceVerified(stage.id, piece, now: stage.now, into: &stage.effects)
                        stage.buffers.written(first)
                        stage.swarm.pieceWritten(stage.id, piece, now: stage.now, into: &stage.effects)
                    }
                default: break
                }
            }
            peers = peers.filter { stage.swarm.report($0) != nil }
            stage.buffers.checkInvariants()
            if stage.swarm.have(stage.id)!.isFull {
                stage.swarm.diskReady(stage.id, have: Bitfield(count: 12), now: stage.now, into: &stage.effects)
            }
        }
    }
}
