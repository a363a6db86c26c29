import Discovery
import IPC
import Primitives
import TrackerWire

/// A question of a front end for the figures of some torrents at all their trackers.
struct ScrapeJob {
    let correlation: UInt64
    var open: Int
    var rows: [ScrapeRow] = []
}

extension DiscoveryShell {
    /// BEP 15 asks again after 15 s what was not answered.
    static let scrapePatience = TimeSpan.seconds(20)
    static let scrapeTorrentLimit = 1_000
    /// Requests under way for all questions together.
    static let scrapeRequestLimit = 256

    /// Of a hybrid the first hash is asked after: it is the one whose figures are shown.
    func scrape(_ m: ScrapeWanted, _ correlation: UInt64) {
        let targets = core.scrapeTargets(m.torrents.prefix(Self.scrapeTorrentLimit).map(TorrentID.init(rawValue:)))
        guard !targets.isEmpty else { return answer(ScrapeReport(), correlation) }
        guard scrapes.count + targets.count <= Self.scrapeRequestLimit else {
            let why = "too many scrapes at once"
            return answer(ScrapeReport(rows: targets.flatMap { target in target.torrents.map { row(target, $0.id, failure: why) } }), correlation)
        }
        scrapeJobs[correlation] = ScrapeJob(correlation: correlation, open: targets.count)
        for target in targets {
            scrapeNumber &+= 1
            // No announce has this slot.
            let id = RequestID(slot: .max, generation: scrapeNumber), hashes = target.torrents.map(\.infoHash)
            scrapes[id] = (target, correlation)
            if target.url.scheme == .udp {
                udp.scrape(id, target.url, hashes, within: Self.scrapePatience, now: kit.loop.now)
            } else {
                http.scrape(id, target.url, hashes, within: Self.scrapePatience, now: kit.loop.now)
            }
        }
    }

    func tellScrapes() {
        for (id, outcome) in http.takeScraped() + udp.takeScraped() {
            guard let (target, correlation) = scrapes.removeValue(forKey: id), var job = scrapeJobs[correlation] else { continue }
            switch outcome {
            case .failed(let why): job.rows += target.torrents.map { row(target, $0.id, failure: why) }
            case .answered(let entries):
                for (torrent, entry) in zip(target.torrents, entries) {
                    job.rows.append(row(target, torrent.id, entry))
                    if let entry { feed(.scraped(torrent.id, url: target.text, entry)) }
                }
            }
            job.open -= 1
            scrapeJobs[correlation] = job.open > 0 ? job : nil
            if job.open == 0 { answer(ScrapeReport(rows: job.rows), correlation) }
        }
    }

    private func row(_ target: ScrapeTarget, _ id: TorrentID, _ entry: ScrapeEntry? = nil, failure: String = "") -> ScrapeRow {
        ScrapeRow(
            torrent: id.rawValue, url: target.text, failure: failure, isKnown: entry == nil ? 0 : 1, seeds: entry?.seeds ?? 0, leechers: entry?.leechers ?? 0,
            downloads: entry?.downloads ?? 0)
    }
}
