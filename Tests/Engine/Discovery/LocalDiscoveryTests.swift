import Discovery
import LSDWire
import Primitives
import Testing

@Suite struct LocalDiscoveryTests {
    func core() -> LocalDiscovery {
        var random = SeededRandom(seed: 1)
        return LocalDiscovery(random: &random)
    }
    func hash(_ n: Int) -> InfoHash { InfoHash((0..<20).map { UInt8(truncatingIfNeeded: n >> ($0 % 2 * 8)) })! }
    let neighbour = Endpoint("192.168.1.9:6771")!

    @Test func atMostOneDatagramAMinuteAndEachTorrentInTurn() {
        var lsd = core(), now = Instant.zero, sent: [Instant] = [], times: [InfoHash: [Instant]] = [:]
        for i in 0..<130 { lsd.add(TorrentID(i + 1), hash(i), now: now) }
        while now < .zero + .minutes(60) {
            if let message = lsd.announce(port: 6881, now: now) {
                sent.append(now)
                for h in message.infoHashes { times[h, default: []].append(now) }
            }
            now += .seconds(1)
        }
        for (a, b) in zip(sent, sent.dropFirst()) { #expect(b - a >= .seconds(60)) }
        #expect(times.count == 130)
        // 130 torrents are seven datagrams: one each 7 minutes.
        for list in times.values { #expect(list.count >= 8) }
    }

    @Test func aNewTorrentIsSaidAtOnceWhenThatIsAllowed() {
        var lsd = core()
        #expect(lsd.nextDeadline == .never && lsd.announce(port: 1, now: .zero) == nil)
        lsd.add(TorrentID(1), hash(1), now: .zero)
        #expect(lsd.announce(port: 0, now: .zero) == nil, "nobody listens yet")
        #expect(lsd.announce(port: 1, now: .zero)?.infoHashes == [hash(1)])
        lsd.add(TorrentID(2), hash(2), now: .zero + .seconds(5))
        #expect(lsd.announce(port: 1, now: .zero + .seconds(5)) == nil)
        #expect(lsd.announce(port: 1, now: .zero + .seconds(60))?.infoHashes == [hash(2)])
        lsd.remove(hash(1))
        #expect(lsd.announce(port: 1, now: .zero + .minutes(10))?.infoHashes == [hash(2)])
    }

    @Test func neighboursAreHeardAndOurselvesNot() {
        var lsd = core()
        lsd.add(TorrentID(7), hash(7), now: .zero)
        func hear(_ m: LSDMessage, _ now: Instant = .zero) -> [TorrentID] {
            m.encoded(ipv6: false).withUnsafeBytes { lsd.heard($0, from: neighbour, now: now).map(\.0) }
        }
        #expect(hear(LSDMessage(port: 9, infoHashes: [hash(7), hash(8)], cookie: [65])) == [TorrentID(7)])
        #expect(hear(LSDMessage(port: 9, infoHashes: [hash(7)], cookie: lsd.cookie)).isEmpty)
        var count = 0
        for _ in 0..<500 { count += hear(LSDMessage(port: 9, infoHashes: [hash(7)])).count }
        #expect(count <= 50, "a storm is not worked off")
        #expect(hear(LSDMessage(port: 9, infoHashes: [hash(7)]), .zero + .seconds(2)).count == 1)
    }
}
