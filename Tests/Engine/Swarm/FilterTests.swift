import Filtering
import PeerWire
import Primitives
import Swarm
import Testing

/// The IP filter at every way in: accept, learned addresses, dials, and connections that are there already.
@Suite struct FilterTests {
    private let bad = Endpoint(address: "11.0.0.7", port: 6881)!, good = Endpoint(address: "12.0.0.7", port: 6881)!
    private func filter(_ text: String, _ mode: AddressFilter.Mode = .block) -> AddressFilter {
        AddressFilter(mode: mode, ranges: AddressRanges(FilterList(text).ranges))
    }
    private func dials(_ effects: [Effect]) -> [Endpoint] { effects.compactMap { if case .dial(_, let endpoint) = $0 { endpoint } else { nil } } }

    @Test func nobodyComesInOrIsCalled() {
        let s = Stage()
        s.swarm.setFilter(filter("11.0.0.0/24"), now: s.now, into: &s.effects)
        #expect(s.accept(bad) == nil && s.accept(good) != nil)
        for origin in [PeerOrigin.tracker, .pex, .dht, .manual] { s.swarm.peersFound(s.id, origin: origin, [bad, good], now: s.now, into: &s.effects) }
        s.advance(.seconds(3))
        #expect(dials(s.take()) == [good])
        #expect(
            s.swarm.filterCounts
                == {
                    var c = FilterCounts(); (c.accepts, c.addresses) = (1, 4); return c
                }())
    }

    @Test func whoIsThereIsClosedAndWhoIsKnownIsNotCalled() {
        let s = Stage()
        let p = s.join(bad), q = s.join(good, id: PeerID(bytes20: 0x77))
        let waiting = Endpoint(address: "11.0.0.9", port: 6881)!
        s.swarm.setFilter(filter("11.0.0.0/24"), now: s.now, into: &s.effects)
        let effects = s.take()
        #expect(effects.closes == [.filtered])
        #expect(s.swarm.report(p) == nil && s.swarm.report(q) != nil)
        s.swarm.peersFound(s.id, origin: .tracker, [waiting], now: s.now, into: &s.effects)
        s.swarm.setFilter(nil, now: s.now, into: &s.effects)
        s.swarm.peersFound(s.id, origin: .tracker, [waiting], now: s.now, into: &s.effects)
        s.swarm.setFilter(filter("12.0.0.0/8", .allow), now: s.now, into: &s.effects)
        s.advance(.seconds(3))
        #expect(s.swarm.report(q) != nil && s.swarm.filterCounts.accepts == 0)
    }

    /// A web seed's address stands for it only: no filter is about it.
    @Test func webSeedsStay() throws {
        let s = Stage()
        let seed = try #require(s.swarm.webSeedJoined(s.id, endpoint: Swarm.webSeedEndpoint(1), name: "web seed", now: s.now, into: &s.effects))
        s.swarm.setFilter(filter("12.0.0.0/8", .allow), now: s.now, into: &s.effects)
        #expect(s.swarm.report(seed)?.origin == .webSeed)
    }

    /// With nobody else there, a web seed alone makes the torrent's figures move.
    @Test func whatAWebSeedBringsIsReported() throws {
        let s = Stage(pieces: 4)
        s.swarm.takeReports { _ in }
        let seed = try #require(s.swarm.webSeedJoined(s.id, endpoint: Swarm.webSeedEndpoint(1), name: "web seed", now: s.now, into: &s.effects))
        for _ in 0..<8 { s.answer(seed) }
        s.advance(.seconds(1))
        var report: Swarm.TorrentReport?
        s.swarm.takeReports { report = $0 }
        #expect(report?.downloaded == 8 * 16384 && (report?.downRate ?? 0) > 0)
    }

    @Test func aWebSeedIsAskedForPiecesThatFollow() throws {
        let s = Stage(pieces: 60)
        _ = s.take()
        let seed = try #require(s.swarm.webSeedJoined(s.id, endpoint: Swarm.webSeedEndpoint(1), name: "web seed", now: s.now, into: &s.effects))
        let pieces = s.take().requests(to: seed).map(\.piece)
        #expect(pieces.count == Swarm.webSeedRequests)
        var runs = 1
        for (a, b) in zip(pieces, pieces.dropFirst()) where b != a && b != a + 1 { runs += 1 }
        // The random first piece may be near the end: then a second run begins.
        #expect(runs <= 2)
    }
}
