import ByteCodec
import Discovery
import Primitives
import Testing
import TrackerWire

/// The UDP client against scripted trackers and forged packets.
@Suite struct UDPTrackerTests {
    struct Line {
        var core = UDPTrackerCore(random: SeededRandom(seed: 9))
        var now = Instant.zero
        var sent: [(at: Double, to: Endpoint, bytes: [UInt8])] = []
        var ended: [(RequestID, AnnounceOutcome)] = []
        var scraped: [(RequestID, [ScrapeEntry])] = []

        mutating func take(_ effects: [UDPTrackerCore<SeededRandom>.Effect]) {
            for effect in effects {
                switch effect {
                case .send(let endpoint, let bytes): sent.append(((now - .zero).seconds, endpoint, bytes))
                case .ended(let id, let outcome): ended.append((id, outcome))
                case .scraped(let id, let entries): scraped.append((id, entries))
                }
            }
        }
        mutating func begin(_ n: UInt32, to endpoint: Endpoint = tracker, limit: Int = 60, urlData: String = "") {
            var effects: [UDPTrackerCore<SeededRandom>.Effect] = []
            core.begin(RequestID(slot: n, generation: 0), request, to: endpoint, urlData: urlData, deadline: now + .seconds(limit), now: now, into: &effects)
            take(effects)
        }
        mutating func receive(_ bytes: [UInt8], from endpoint: Endpoint = tracker) {
            var effects: [UDPTrackerCore<SeededRandom>.Effect] = []
            bytes.withUnsafeBytes { core.received($0, from: endpoint, now: now, into: &effects) }
            take(effects)
        }
        mutating func advance(_ span: TimeSpan) {
            let end = now + span
            while core.nextDeadline <= end {
                now = core.nextDeadline
                var effects: [UDPTrackerCore<SeededRandom>.Effect] = []
                core.tick(now: now, into: &effects)
                take(effects)
            }
            now = end
        }
        /// "connect" or "announce" and the second of each packet.
        var words: [String] { sent.map { "\(Int($0.at)) \($0.bytes.count == 16 ? "connect" : "announce")" } }
        var transaction: [UInt8] { Array(sent.last!.bytes[12..<16]) }
        mutating func connected(_ id: UInt8 = 0xC0) { receive([0, 0, 0, 0] + transaction + [UInt8](repeating: id, count: 8)) }
        mutating func announced() {
            receive([0, 0, 0, 1] + transaction + [0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2] + [1, 2, 3, 4, 5, 6])
        }
    }
    static let tracker = Endpoint("9.8.7.6:6969")!
    static let request = AnnounceRequest(
        infoHash: InfoHash([UInt8](repeating: 1, count: 20))!, peerID: PeerID([UInt8](repeating: 2, count: 20))!, port: 5, uploaded: 0,
        downloaded: 0, left: 0, key: 3)

    @Test func connectThenAnnounce() {
        var line = Line()
        line.begin(1, urlData: "/announce?k=v")
        line.connected()
        line.announced()
        #expect(line.words == ["0 connect", "0 announce"])
        #expect(Array(line.sent[1].bytes.prefix(8)) == [UInt8](repeating: 0xC0, count: 8))
        #expect(Array(line.sent[1].bytes.suffix(15)) == [2, 13] + Array("/announce?k=v".utf8))
        guard case .answered(let answer, let from) = line.ended[0].1 else { Issue.record("no answer"); return }
        #expect(answer.interval == 1_800 && answer.peers.map(\.description) == ["1.2.3.4:1286"] && from == Self.tracker)
        #expect(line.core.count == 0 && line.core.nextDeadline == .never)
    }

    @Test func connectionIDIsUsedForAMinute() {
        var line = Line()
        line.begin(1)
        line.connected()
        line.announced()
        line.advance(.seconds(59))
        line.begin(2)
        line.announced()
        line.advance(.seconds(2))
        line.begin(3)
        #expect(line.words == ["0 connect", "0 announce", "59 announce", "61 connect"])
    }

    @Test func oneConnectServesAllThatWait() {
        var line = Line()
        for n in 1...5 { line.begin(UInt32(n)) }
        #expect(line.words == ["0 connect"])
        line.connected()
        #expect(line.words.count == 6 && line.words.dropFirst().allSatisfy { $0 == "0 announce" })
        #expect(Set(line.sent.map { Array($0.bytes[12..<16]) }).count == 6)
    }

    @Test func whoWaitsTakesOverWhenTheOneThatConnectsGoes() {
        var line = Line()
        line.begin(1)
        line.begin(2)
        var effects: [UDPTrackerCore<SeededRandom>.Effect] = []
        line.core.cancel(RequestID(slot: 1, generation: 0), now: line.now, into: &effects)
        line.take(effects)
        line.connected()
        line.announced()
        #expect(line.words == ["0 connect", "0 connect", "0 announce"])
        #expect(line.ended.map(\.0.slot) == [2])
    }

    @Test func aScrapeAsksForSeveralAndTakesItsOwnAnswerOnly() {
        var line = Line(), effects: [UDPTrackerCore<SeededRandom>.Effect] = []
        let hashes = (1...3).map { InfoHash([UInt8](repeating: $0, count: 20))! }
        line.core.begin(RequestID(slot: .max, generation: 1), scrape: hashes, to: Self.tracker, deadline: .zero + .seconds(20), now: .zero, into: &effects)
        line.take(effects)
        line.connected()
        #expect(line.sent.last!.bytes.count == 16 + 3 * 20)
        let one: [UInt8] = [0, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0, 6]
        line.announced()
        line.receive([0, 0, 0, 2] + line.transaction + one + one)
        #expect(line.scraped.isEmpty && line.ended.isEmpty, "an announce's answer, and one for two of three")
        line.receive([0, 0, 0, 2] + line.transaction + one + one + one)
        #expect(line.scraped.map(\.1) == [[ScrapeEntry](repeating: ScrapeEntry(seeds: 5, leechers: 6, downloads: 7), count: 3)])
        line.receive([0, 0, 0, 2] + line.transaction + one + one + one)
        #expect(line.scraped.count == 1 && line.core.count == 0)
    }

    @Test func aScrapeIsGivenUpAtItsDeadline() {
        var line = Line(), effects: [UDPTrackerCore<SeededRandom>.Effect] = []
        line.core.begin(RequestID(slot: .max, generation: 1), scrape: [InfoHash()], to: Self.tracker, deadline: .zero + .seconds(20), now: .zero, into: &effects)
        line.take(effects)
        line.advance(.seconds(30))
        #expect(line.ended.count == 1 && line.scraped.isEmpty && line.sent.count == 2)
    }

    /// BEP 15's own tables: 15 × 2^n, and a connect again when the connection id has grown old.
    @Test func retransmitsByBEP15() {
        var line = Line()
        line.begin(1, limit: 100_000)
        line.advance(.seconds(10_000))
        #expect(line.words.map { Int($0.split(separator: " ")[0])! } == [0, 15, 45, 105, 225, 465, 945, 1_905, 3_825])
        #expect(line.ended.count == 1)

        var late = Line()
        late.begin(1, limit: 100_000)
        late.now += .seconds(1)
        late.connected()
        late.advance(.seconds(230))
        #expect(late.words == ["0 connect", "1 announce", "16 announce", "46 announce", "106 connect", "226 connect"])
    }

    @Test func endsAtItsDeadline() {
        var line = Line()
        line.begin(1)
        line.advance(.seconds(59))
        #expect(line.ended.isEmpty)
        line.advance(.seconds(1))
        guard case .failed(_, hostFault: true, _) = line.ended[0].1 else { Issue.record("not failed"); return }
        #expect(line.words == ["0 connect", "15 connect", "45 connect"])
    }

    @Test func anErrorIsARefusalAndDropsTheConnectionID() {
        var line = Line()
        line.begin(1)
        line.connected()
        line.receive([0, 0, 0, 3] + line.transaction + Array("nope".utf8))
        guard case .refused("nope", .unsaid) = line.ended[0].1 else { Issue.record("not refused"); return }
        line.begin(2)
        #expect(line.words == ["0 connect", "0 announce", "0 connect"])
    }

    @Test func whatIsNoAnswerIsIgnored() {
        var line = Line()
        line.begin(1)
        let transaction = line.transaction
        let forged: [([UInt8], Endpoint)] = [
            ([0, 0, 0, 0] + transaction + [UInt8](repeating: 1, count: 8), Endpoint("9.8.7.6:6970")!),
            ([0, 0, 0, 0] + transaction + [UInt8](repeating: 1, count: 8), Endpoint("9.8.7.5:6969")!),
            ([0, 0, 0, 0] + [0xDE, 0xAD, 0xBE, 0xEF] + [UInt8](repeating: 1, count: 8), Self.tracker),
            ([0, 0, 0, 0] + transaction + [1, 2, 3], Self.tracker), ([0, 0, 0, 0] + transaction.dropLast(), Self.tracker),
            // An announce answer to a connect.
            ([0, 0, 0, 1] + transaction + [UInt8](repeating: 0, count: 12), Self.tracker),
            ([0, 0, 0, 9] + transaction, Self.tracker), ([], Self.tracker),
        ]
        for (bytes, from) in forged { line.receive(bytes, from: from) }
        #expect(line.ended.isEmpty && line.sent.count == 1)
        line.connected()
        let old = transaction
        // The connect's transaction is spent.
        line.receive([0, 0, 0, 1] + old + [UInt8](repeating: 0, count: 12))
        #expect(line.ended.isEmpty)
        line.announced()
        #expect(line.ended.count == 1)
    }

    /// A million blind answers from the right address, with random transactions: none is taken.
    @Test func blindForgeriesFail() {
        var line = Line()
        for n in UInt32(1)...50 { line.begin(n, to: Endpoint(ipv4: 0x0909_0900 + n, port: 6969)) }
        var random = SeededRandom(seed: 77), effects: [UDPTrackerCore<SeededRandom>.Effect] = []
        var bytes = [UInt8](repeating: 0, count: 20)
        for _ in 0..<1_000_000 {
            let word = random.next()
            let from = Endpoint(ipv4: 0x0909_0901 + UInt32(word >> 40) % 50, port: 6969)
            bytes[3] = UInt8(word >> 32 & 3)
            bytes.withUnsafeMutableBytes { $0.storeBytes(of: UInt32(truncatingIfNeeded: word), toByteOffset: 4, as: UInt32.self) }
            bytes.withUnsafeBytes { line.core.received($0, from: from, now: line.now, into: &effects) }
        }
        #expect(effects.isEmpty)
    }

    @Test func sixteenByteAddressesOverIPv6() {
        var line = Line()
        let six = Endpoint("[2001:db8::9]:6969")!
        line.begin(1, to: six)
        line.receive([0, 0, 0, 0] + line.transaction + [UInt8](repeating: 1, count: 8), from: six)
        line.receive([0, 0, 0, 1] + line.transaction + [UInt8](repeating: 0, count: 12) + [UInt8](repeating: 0x20, count: 18), from: six)
        guard case .answered(let answer, _) = line.ended[0].1 else { Issue.record("no answer"); return }
        #expect(answer.peers.count == 1 && !answer.peers[0].isIPv4)
    }

    @Test func unreachableEndsAllThatAsked() {
        var line = Line()
        for n in 1...3 { line.begin(UInt32(n)) }
        var effects: [UDPTrackerCore<SeededRandom>.Effect] = []
        line.core.unreachable(Self.tracker, "ENETUNREACH", now: line.now, into: &effects)
        line.take(effects)
        #expect(line.ended.count == 3 && line.core.count == 0 && line.core.nextDeadline == .never)
    }
}
