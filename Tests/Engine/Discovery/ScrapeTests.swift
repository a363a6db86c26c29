import Discovery
import Primitives
import Testing
import TrackerWire

@Suite struct ScrapeTests {
    func hash(_ n: Int) -> InfoHash { InfoHash((0..<20).map { UInt8(truncatingIfNeeded: n >> ($0 % 2 * 8)) })! }

    @Test func targetsShareRequestsAndRepliesAreShown() {
        var core = AnnounceCore(configuration: AnnounceCore.Configuration(), random: SeededRandom(seed: 1)), effects: [AnnounceCore.Effect] = []
        let http = "http://t.example/announce", udp = "udp://u.example:6969"
        for n in 1...100 {
            let trackers = [TrackerRecord(url: http), TrackerRecord(url: udp), TrackerRecord(url: "http://no-scrape.example/x"), TrackerRecord(url: "nonsense")]
            core.handle(.torrentAdded(TorrentRecord(id: TorrentID(n), infoHash: hash(n), trackers: trackers)), now: .zero, into: &effects)
        }
        let targets = core.scrapeTargets((1...101).map { TorrentID($0) })
        #expect(targets.map(\.text).sorted() == [http, http, udp, udp])
        #expect(targets.filter { $0.text == http }.map(\.torrents.count) == [TrackerURL.scrapeLimit, 100 - TrackerURL.scrapeLimit])
        #expect(targets.filter { $0.text == udp }.map(\.torrents.count) == [UDPPacket.scrapeLimit, 100 - UDPPacket.scrapeLimit])
        #expect(targets.filter { $0.text == udp }.flatMap(\.torrents).map(\.infoHash) == (1...100).map { hash($0) })
        #expect(core.scrapeTargets([]).isEmpty && core.scrapeTargets([TorrentID(500)]).isEmpty)

        effects.removeAll()
        core.handle(.scraped(TorrentID(7), url: udp, ScrapeEntry(seeds: 3, leechers: .max, downloads: 9)), now: .zero, into: &effects)
        let reports = effects.compactMap { effect -> TrackerReport? in if case .report(let report) = effect { report } else { nil } }
        #expect(reports.count == 1 && reports[0].url == udp && reports[0].torrent == TorrentID(7))
        #expect(reports[0].seeds == 3 && reports[0].leechers == .max && reports[0].downloads == 9)
        effects.removeAll()
        core.handle(.scraped(TorrentID(7), url: "udp://other.example:1", ScrapeEntry(seeds: 3, leechers: 1, downloads: 9)), now: .zero, into: &effects)
        core.handle(.scraped(TorrentID(500), url: udp, ScrapeEntry(seeds: 3, leechers: 1, downloads: 9)), now: .zero, into: &effects)
        #expect(effects.isEmpty)
    }
}
