import DHTSimulator
import KRPC
import Primitives
import Testing

@testable import DHT

/// A core and what it sends, addressed by hand.
final class Stage {
    var core: DHTCore
    var now = Instant(nanoseconds: 1_000_000_000)
    var effects: [DHTEffect] = []
    private var reader = KRPCReader()

    init(_ change: (inout DHTConfiguration) -> Void = { _ in }) {
        var configuration = DHTConfiguration(secret: [UInt8](0..<32))
        configuration.families = [.ipv4, .ipv6]
        change(&configuration)
        core = DHTCore(configuration: configuration, random: SeededRandom(seed: 3), now: now)
    }
    func receive(_ message: KRPCMessage, from: Endpoint) { receive(message.encoded(), from: from) }
    func receive(_ bytes: [UInt8], from: Endpoint) {
        bytes.withUnsafeBytes { core.received($0, from: from, now: now, into: &effects) }
    }
    func ask(_ query: KRPCQuery, from: Endpoint, id: NodeID = stranger, readOnly: Bool = false) -> KRPCMessage? {
        effects.removeAll()
        receive(.query(transaction: [7], sender: id, query, isReadOnly: readOnly), from: from)
        return sent.first { $0.to == from && isReply($0.message) }?.message
    }
    private func isReply(_ m: KRPCMessage) -> Bool { if case .query = m { false } else { true } }
    var sent: [(to: Endpoint, message: KRPCMessage)] {
        effects.compactMap { effect in
            guard case .send(let to, let bytes) = effect, let message = bytes.withUnsafeBytes({ reader.read($0) }) else { return nil }
            return (to, message)
        }
    }
    func later(_ span: TimeSpan) {
        let end = now + span
        while core.nextDeadline <= end {
            now = max(now, core.nextDeadline)
            core.tick(now: now, into: &effects)
        }
        now = end
    }
    /// Answers what the core asked of `node`, if it did.
    @discardableResult
    func answer(_ node: NodeInfo, _ answer: KRPCAnswer = KRPCAnswer(), as id: NodeID? = nil, from: Endpoint? = nil, external: Endpoint? = nil) -> Bool {
        for (to, message) in sent where to == node.endpoint {
            guard case .query(let t, _, _, _) = message else { continue }
            receive(.answer(transaction: t, sender: id ?? node.id, answer, external: external), from: from ?? node.endpoint)
            return true
        }
        return false
    }
    /// Makes `node` known as if it had been met.
    func meet(_ node: NodeInfo) {
        effects.removeAll()
        core.check(AddressFamily(node.endpoint) == .ipv4 ? 0 : 1, node.id, node.endpoint, now: now, into: &effects)
        answer(node)
    }
    func token(_ answer: KRPCMessage?) -> [UInt8]? {
        guard case .answer(_, _, let a, _)? = answer else { return nil }
        return a.token
    }
    func error(_ answer: KRPCMessage?) -> Int? {
        guard case .error(_, let e)? = answer else { return nil }
        return e.code
    }
    func values(_ answer: KRPCMessage?) -> KRPCAnswer? {
        guard case .answer(_, _, let a, _)? = answer else { return nil }
        return a
    }
}
let stranger = NodeID(a: 0xABCD, b: 2, c: 3)
let hash = NodeID(a: 0xFEED_0000_0000_0000, b: 5, c: 6)
func node(_ n: Int, id: NodeID? = nil) -> NodeInfo {
    var random = SeededRandom(seed: UInt64(n))
    let endpoint = Endpoint(ipv4: 0x1400_0007 + UInt32(n) << 8, port: 6881)
    return NodeInfo(id: id ?? SecureID.make(for: endpoint, &random), endpoint: endpoint)
}
let one = Endpoint("20.1.0.1:1001")!, two = Endpoint("21.2.0.2:1002")!, six = Endpoint("[2a00::5]:1006")!

@Suite struct AnsweringTests {
    @Test func everyQueryIsAnswered() {
        let s = Stage()
        for query in [.ping, .findNode(target: hash, want: []), .sampleInfohashes(target: hash, want: []), .get(target: hash, sequence: nil, want: [])] as [KRPCQuery] {
            #expect(s.values(s.ask(query, from: one)) != nil)
        }
        #expect(s.error(s.ask(.unknown, from: one)) == 204)
        s.effects.removeAll()
        s.receive(Array("d1:t1:x1:y1:qe".utf8), from: one)
        #expect(s.error(s.sent.first?.message) == 203)
        s.effects.removeAll()
        s.receive(Array("d1:t1:x1:y1:re".utf8), from: one)
        s.receive(Array("hello".utf8), from: one)
        s.receive([], from: one)
        #expect(s.effects.isEmpty && s.core.counters.ignored == 3)
    }

    @Test func anAnnounceIsFoundByOthers() {
        let s = Stage()
        let token = s.token(s.ask(.getPeers(infoHash: hash, want: [], noSeeds: false, scrape: false), from: one))!
        #expect(s.values(s.ask(.announcePeer(infoHash: hash, port: 999, token: token, isSeed: true), from: one)) != nil)
        let six6 = s.token(s.ask(.getPeers(infoHash: hash, want: [], noSeeds: false, scrape: false), from: six))!
        #expect(s.values(s.ask(.announcePeer(infoHash: hash, port: nil, token: six6, isSeed: false), from: six)) != nil)
        let found = s.values(s.ask(.getPeers(infoHash: hash, want: [], noSeeds: false, scrape: true), from: two))!
        #expect(found.values == [Endpoint("20.1.0.1:999")!])
        #expect(found.seeds!.estimate.rounded() == 1 && found.downloaders!.estimate.rounded() == 1)
        // Implied: the port that the datagram came from (BEP 5). IPv6 data stays in the IPv6 DHT (BEP 32).
        #expect(s.values(s.ask(.getPeers(infoHash: hash, want: [], noSeeds: false, scrape: false), from: six))!.values == [six])
        let sample = s.values(s.ask(.sampleInfohashes(target: hash, want: []), from: two))!
        #expect(sample.samples == [hash] && sample.storedCount == 1 && sample.interval == 600)
        s.later(.minutes(46))
        #expect(s.values(s.ask(.getPeers(infoHash: hash, want: [], noSeeds: false, scrape: false), from: two))!.values.isEmpty)
    }

    @Test func tokensAreOfTheirAddressTargetAndTime() {
        let s = Stage()
        func announce(_ token: [UInt8], _ from: Endpoint, _ target: NodeID = hash) -> Int? {
            s.error(s.ask(.announcePeer(infoHash: target, port: 9, token: token, isSeed: false), from: from))
        }
        let token = s.token(s.ask(.getPeers(infoHash: hash, want: [], noSeeds: false, scrape: false), from: one))!
        #expect(announce(token, two) == 203, "replayed from another address")
        #expect(announce(token, one, stranger) == 203)
        #expect(announce([], one) == 203)
        #expect(announce(token, Endpoint("20.1.0.1:5")!) == nil, "another port of that address")
        s.later(.minutes(6))
        #expect(announce(token, one) == nil)
        s.later(.minutes(6))
        #expect(announce(token, one) == 203)
    }

    @Test func sourcesHaveARate() {
        let s = Stage()
        var answered = 0
        for _ in 0..<500 where s.ask(.ping, from: one) != nil { answered += 1 }
        #expect(answered == SourceLimits.perSource)
        #expect(s.ask(.ping, from: two) != nil)
        s.later(.seconds(6))
        #expect(s.ask(.ping, from: one) != nil)
        var all = 0
        for i in 0..<4000 where s.ask(.ping, from: node(i).endpoint) != nil { all += 1 }
        #expect(all <= 2500)
    }

    @Test func readOnlyNodesAreSilentAndAreNotKept() {
        let quiet = Stage { $0.isReadOnly = true }
        #expect(quiet.ask(.ping, from: one) == nil && quiet.effects.isEmpty)
        let s = Stage()
        #expect(s.ask(.ping, from: one, readOnly: true) != nil)
        #expect(s.sent.count == 1, "no query back")
        #expect(s.ask(.ping, from: one) != nil)
        #expect(s.sent.count == 2, "a node that can be asked is asked")
        quiet.core.check(0, nil, one, now: quiet.now, into: &quiet.effects)
        guard case .query(_, _, _, isReadOnly: true)? = quiet.sent.first?.message else {
            Issue.record("a read-only node says so")
            return
        }
    }

    @Test func itemsAreKeptByTheRulesOfBEP44() {
        let s = Stage { $0.storedItems = 2 }
        let seed = [UInt8](repeating: 1, count: 32), value = Array("5:hello".utf8), salt: [UInt8] = [1]
        func put(_ value: [UInt8], _ item: ItemSignature?, salt: [UInt8] = [], cas: Int64? = nil) -> Int? {
            let target = item.map { Item.target(key: $0.key, salt: salt) } ?? Item.target(value: value)
            let token = s.token(s.ask(.get(target: target, sequence: nil, want: []), from: one))!
            return s.error(s.ask(.put(value: value, item: item, salt: salt, cas: cas, token: token), from: one))
        }
        #expect(put(value, nil) == nil)
        #expect(s.values(s.ask(.get(target: Item.target(value: value), sequence: nil, want: []), from: two))!.value == value)
        let first = Item.sign(value, sequence: 5, salt: salt, seed: seed)!, target = Item.target(key: first.key, salt: salt)
        #expect(put(value, first) == 206, "signed with a salt")
        #expect(put(value, first, salt: salt) == nil)
        #expect(put(value, first, salt: salt) == nil, "the same again keeps it alive")
        #expect(put(value, Item.sign(value, sequence: 4, salt: salt, seed: seed)!, salt: salt) == 302)
        #expect(put(Array("1:x".utf8), Item.sign(Array("1:x".utf8), sequence: 5, salt: salt, seed: seed)!, salt: salt) == 302)
        let next = Item.sign(Array("1:x".utf8), sequence: 6, salt: salt, seed: seed)!
        #expect(put(Array("1:x".utf8), next, salt: salt, cas: 4) == 301)
        #expect(put(Array("1:x".utf8), next, salt: salt, cas: 5) == nil)
        let got = s.values(s.ask(.get(target: target, sequence: nil, want: []), from: two))!
        #expect(got.value == Array("1:x".utf8) && got.item == next)
        let known = s.values(s.ask(.get(target: target, sequence: 6, want: []), from: two))!
        #expect(known.value == nil && known.sequence == 6)
        #expect(put(Array("1:y".utf8), nil) == nil)
        #expect(s.core.status.storedItems == 2, "the oldest made room")
        s.later(.seconds(7300))
        #expect(s.core.status.storedItems == 0)
    }

    @Test func answersStayBelowTheLimitOfBEP32() {
        let s = Stage()
        for i in 0..<200 { s.meet(node(i)) }
        for i in 0..<300 {
            let from = node(1000 + i).endpoint
            let token = s.token(s.ask(.getPeers(infoHash: hash, want: [], noSeeds: false, scrape: false), from: from))!
            _ = s.ask(.announcePeer(infoHash: hash, port: 9, token: token, isSeed: i % 2 == 0), from: from)
            s.now += .milliseconds(100)
        }
        for scrape in [false, true] {
            s.effects.removeAll()
            s.receive(.query(transaction: [1], sender: stranger, .getPeers(infoHash: hash, want: [.ipv4, .ipv6], noSeeds: false, scrape: scrape), isReadOnly: false), from: two)
            guard case .send(_, let bytes)? = s.effects.first else {
                Issue.record("no answer")
                return
            }
            #expect(bytes.count <= 1024, "\(bytes.count) bytes, scrape \(scrape)")
        }
    }
}

@Suite struct BeliefTests {
    @Test func onlyAnAnswerFromWhereWeAskedCounts() {
        let s = Stage()
        let n = node(1)
        func askAndAnswer(as id: NodeID? = nil, from: Endpoint? = nil) -> Int {
            s.effects.removeAll()
            s.core.check(0, n.id, n.endpoint, now: s.now, into: &s.effects)
            s.answer(n, as: id, from: from)
            return s.core.status.families[0].nodes
        }
        #expect(askAndAnswer(from: Endpoint("20.0.1.7:6882")!) == 0, "another port")
        #expect(askAndAnswer(from: two) == 0, "another address")
        #expect(askAndAnswer(as: stranger) == 1 && s.core.families[0].table.find(n.id) == nil, "another id: it is known by that one")
        s.effects.removeAll()
        s.receive(.answer(transaction: [1, 2, 3, 4], sender: n.id, KRPCAnswer(), external: nil), from: n.endpoint)
        #expect(s.core.families[0].table.find(n.id) == nil, "a guessed transaction")
        #expect(askAndAnswer() == 1 && s.core.families[0].table.find(n.id) != nil)
        _ = s.ask(.ping, from: two, id: stranger)
        #expect(s.core.status.families[0].nodes == 1, "a query alone gets nobody in")
        #expect(s.core.counters.ignored >= 3)
    }

    @Test func oneMachineHasOnePlace() {
        let s = Stage()
        for i in 0..<500 {
            // A /24 that holds every address and every port.
            var random = SeededRandom(seed: UInt64(i))
            let endpoint = Endpoint(ipv4: 0x1500_0000 + UInt32(i % 256), port: UInt16(1000 + i))
            s.meet(NodeInfo(id: NodeID.random(&random), endpoint: endpoint))
        }
        let contacts = s.core.families[0].table.contacts
        #expect(Set(contacts.map { $0.endpoint.ipv4 }).count == contacts.count)
        for bucket in s.core.families[0].table.buckets { #expect(Set(bucket.live.map { $0.endpoint.ipv4 >> 8 }).count == bucket.live.count) }
        s.core.families[0].table.checkInvariants()
    }

    @Test func idsThatFitTheirAddressComeFirst() {
        var random = SeededRandom(seed: 1)
        var table = RoutingTable(own: NodeID(a: 0, b: 0, c: 0))
        // All in the far half: one bucket's worth of places.
        func far(_ n: Int, secure: Bool) -> NodeInfo {
            var k = 0
            while true {
                let endpoint = Endpoint(ipv4: 0x2800_0001 + UInt32(n) << 8 + UInt32(k), port: 5)
                let id = secure ? SecureID.make(for: endpoint, &random) : NodeID(a: .max - UInt64(n), b: 0, c: 0)
                if id.bit(0), SecureID.fits(id, endpoint) == secure { return NodeInfo(id: id, endpoint: endpoint) }
                k += 1
            }
        }
        for i in 0..<8 {
            let n = far(i, secure: false), isIn = table.answered(n.id, n.endpoint, now: .zero)
            #expect(isIn)
        }
        for i in 0..<8 {
            let near = NodeID(a: UInt64(i) + 1, b: 0, c: 0)
            table.answered(near, Endpoint(ipv4: 0x3000_0001 + UInt32(i) << 8, port: 5), now: .zero)
        }
        #expect(table.buckets[0].live.allSatisfy { !$0.isSecure })
        for i in 8..<20 {
            let n = far(i, secure: true)
            table.answered(n.id, n.endpoint, now: .zero)
        }
        #expect(table.buckets[0].live.count == 8 && table.buckets[0].live.allSatisfy(\.isSecure))
    }

    @Test func nodesThatDoNotAnswerGoWhenOthersDo() {
        let s = Stage()
        for i in 0..<60 { s.meet(node(i)) }
        let before = s.core.status.families[0].nodes
        // Nobody answers: our link is down, so nobody is dropped.
        s.effects.removeAll()
        s.later(.minutes(60))
        #expect(s.core.status.families[0].nodes == before)
    }

    @Test func manyVoicesMoveUs() {
        let s = Stage()
        let lie = Endpoint("99.1.1.1:6881")!, truth = Endpoint("80.2.2.2:6881")!
        for i in 0..<3 {
            s.effects.removeAll()
            s.core.check(0, node(i).id, node(i).endpoint, now: s.now, into: &s.effects)
            s.answer(node(i), external: lie)
        }
        #expect(s.core.status.families[0].external == nil)
        for i in 3..<20 {
            s.effects.removeAll()
            s.core.check(0, node(i).id, node(i).endpoint, now: s.now, into: &s.effects)
            s.answer(node(i), external: truth)
        }
        #expect(s.core.status.families[0].external?.address == truth.address)
        #expect(SecureID.fits(s.core.ownID(.ipv4)!, truth))
        #expect(s.core.status.families[0].nodes > 8, "the contacts came along")
    }

    @Test func nobodyOutsideSendsUsIntoOurOwnNetwork() {
        let s = Stage()
        for i in 0..<10 { s.meet(node(i)) }
        s.effects.removeAll()
        s.core.lookUp(DHTRequestID(rawValue: 1), hash, now: s.now, into: &s.effects)
        let asked = s.sent.map(\.to)
        var answer = KRPCAnswer()
        answer.nodes = ["127.0.0.1:5000", "192.168.1.1:80", "10.0.0.1:53", "20.200.0.1:6881"].map { NodeInfo(id: hash.flipping(159), endpoint: Endpoint($0)!) }
        for (i, n) in answer.nodes.enumerated() { answer.nodes[i] = NodeInfo(id: hash.flipping(150 + i), endpoint: n.endpoint) }
        s.answer((0..<10).map { node($0) }.first { asked.contains($0.endpoint) }!, answer)
        let new = Set(s.sent.map(\.to)).subtracting(asked)
        #expect(new.contains(Endpoint("20.200.0.1:6881")!))
        #expect(new.allSatisfy { !SecureID.isExempt($0) })
    }

    /// BEP 45: each socket's address is a node of its own to others.
    @Test func eachSocketHasAnIDOfItsOwn() {
        let stage = Stage()
        let ids = stage.core.status.families.map(\.id)
        #expect(ids.count == 2 && ids[0] != ids[1])
        // The id that answers is that of the socket which was asked, over IPv4 and over IPv6.
        for (f, from) in [Endpoint(ipv4: 0x1400_0107, port: 1), Endpoint(high: 0x2001_0db8_0000_0000, low: 7, port: 1)].enumerated() {
            guard case .answer(_, let sender, _, _)? = stage.ask(.ping, from: from) else {
                Issue.record("no answer to \(from)")
                continue
            }
            #expect(sender == ids[f])
        }
        // Neither of them comes into a table of ours.
        for (n, id) in ids.enumerated() {
            stage.meet(NodeInfo(id: id, endpoint: node(300 + n).endpoint))
            #expect(!stage.core.families.contains { $0.table.closest(to: id, count: 8).contains { $0.id == id } })
        }
    }

    @Test func standInsAreNotKept() {
        let standIn = NodeInfo(id: node(1).id, endpoint: Endpoint(ipv4: 0xC612_0001, port: 6881)), real = node(2)
        let saved = SavedNodes(ids: [:], nodes: [standIn, real]).encoded()
        var configuration = DHTConfiguration(secret: [UInt8](0..<32))
        configuration.families = [.ipv4]
        let core = DHTCore(configuration: configuration, random: SeededRandom(seed: 3), saved: saved, now: .zero)
        #expect(core.families[0].remembered == [real])
    }

    @Test func whatIsSavedIsFoundAgain() {
        let s = Stage()
        for i in 0..<40 { s.meet(node(i)) }
        let saved = s.core.saved()
        #expect(saved.count < 12 << 10)
        var configuration = s.core.configuration
        configuration.families = [.ipv4]
        var next = DHTCore(configuration: configuration, random: SeededRandom(seed: 9), saved: saved, now: s.now)
        #expect(next.ownID(.ipv4) == s.core.ownID(.ipv4))
        var effects: [DHTEffect] = []
        next.tick(now: s.now, into: &effects)
        #expect(effects.count >= DHT.alpha, "it asks those that it knew")
        for n in 0..<saved.count {
            _ = DHTCore(configuration: configuration, random: SeededRandom(seed: 9), saved: Array(saved[0..<n]), now: s.now)
        }
    }
}

@Suite struct AnnouncingTests {
    /// Lookups of `hash` that were begun since the last call.
    private func asked(_ s: Stage) -> Int {
        defer { s.effects.removeAll() }
        return s.sent.count {
            guard case .query(_, _, .getPeers(let wanted, _, _, _), _) = $0.message else { return false }
            return wanted == hash
        }
    }

    /// A hybrid's second swarm has a number beyond two thousand million.
    @Test func numbersOfTorrentsMayBeAny() {
        let s = Stage()
        for n in 1...4 { s.meet(node(n)) }
        s.effects.removeAll()
        for id in [TorrentID(rawValue: 1 << 31 | 5), TorrentID(rawValue: .max), TorrentID(rawValue: 0)] {
            s.core.torrentAdded(id, hash.digest, isSeed: false, now: s.now)
            s.later(.seconds(1))
            #expect(asked(s) > 0)
            s.core.torrentRemoved(id)
        }
        #expect(s.core.rows.count == 1)
    }

    /// Paused and resumed in the middle of a search.
    @Test func whoComesBackWhileSearchedForIsSearchedForAgain() {
        let s = Stage(), id = TorrentID(rawValue: 7)
        for n in 1...4 { s.meet(node(n)) }
        s.core.torrentAdded(id, hash.digest, isSeed: false, now: s.now)
        s.later(.seconds(1))
        #expect(asked(s) > 0)
        s.core.torrentRemoved(id)
        s.core.torrentAdded(id, hash.digest, isSeed: false, now: s.now)
        s.later(.minutes(5))
        #expect(asked(s) > 0)
        #expect(s.core.torrents[id]!.searching == 0 && s.core.schedule.contains(s.core.torrents[id]!.row))
    }
}

@Suite struct WorldTests {
    /// A slice of `make dht-sim`: 60 nodes, churn, lost datagrams.
    @Test func lookupsFindWhatWasAnnounced() {
        let r = DHTExperiment.run(nodes: 60, lookups: 20, churn: 0.01, seed: 7)
        #expect(r.successes >= 19, "\(r.successes) of \(r.lookups)")
        #expect(r.itemsFound >= 4, "\(r.itemsFound) of \(r.puts)")
        #expect(r.queries.allSatisfy { $0 <= DHT.queriesPerSearch })
        #expect(r.tableMean > 20)
    }

    @Test func theSameSeedIsTheSameRun() {
        let a = DHTExperiment.run(nodes: 16, lookups: 4, churn: 0.02, seed: 3), b = DHTExperiment.run(nodes: 16, lookups: 4, churn: 0.02, seed: 3)
        #expect(a.datagrams == b.datagrams && a.hops == b.hops && a.queries == b.queries && a.milliseconds == b.milliseconds)
    }
}
