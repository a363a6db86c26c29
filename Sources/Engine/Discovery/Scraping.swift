import Primitives
import TrackerWire

/// One request for the figures of several torrents (BEP 48, BEP 15).
package struct ScrapeTarget: Sendable, Equatable {
    /// As the torrents name the tracker.
    package let text: String
    package let url: TrackerURL
    package var torrents: [(id: TorrentID, infoHash: InfoHash)]

    package static func == (a: Self, b: Self) -> Bool {
        a.text == b.text && a.torrents.elementsEqual(b.torrents) { $0.id == $1.id && $0.infoHash == $1.infoHash }
    }
}

package enum ScrapeOutcome: Sendable, Equatable {
    /// In the order of the question; nil: the tracker does not know the torrent.
    case answered([ScrapeEntry?])
    case failed(String)
}

extension AnnounceCore {
    /// The trackers of these torrents, each asked after as many of them at once as a request takes. A tracker without a scrape
    /// address is left out, one that we do not speak to as well.
    package func scrapeTargets(_ ids: [TorrentID]) -> [ScrapeTarget] {
        var out: [ScrapeTarget] = [], open: [String: Int] = [:]
        for id in ids {
            guard let slot = slots[id] else { continue }
            for tracker in torrents[slot].trackers where !tracker.dropped {
                guard let url = urls[tracker.url].url, url.scrape != nil else { continue }
                let text = urls[tracker.url].text, one = (id: id, infoHash: torrents[slot].infoHash)
                let limit = url.scheme == .udp ? UDPPacket.scrapeLimit : TrackerURL.scrapeLimit
                if let at = open[text], out[at].torrents.count < limit {
                    out[at].torrents.append(one)
                } else {
                    open[text] = out.count
                    out.append(ScrapeTarget(text: text, url: url, torrents: [one]))
                }
            }
        }
        return out
    }

    /// What a tracker said of a torrent is shown until its next answer.
    mutating func scraped(_ id: TorrentID, _ url: String, _ entry: ScrapeEntry, _ effects: inout [Effect]) {
        guard let slot = slots[id], let known = urlSlots[url], let i = torrents[slot].trackers.firstIndex(where: { $0.url == known }) else { return }
        torrents[slot].trackers[i].seeds = Int32(clamping: entry.seeds)
        torrents[slot].trackers[i].leechers = Int32(clamping: entry.leechers)
        torrents[slot].trackers[i].downloads = Int32(clamping: entry.downloads)
        say(slot, i, &effects)
    }
}
