/// What the trackers say of the swarms of some torrents (BEP 48, BEP 15).
package struct ScrapeParameters: Codable, Equatable, Sendable {
    /// 1 ... 1,000.
    package var hashes: [String]
    package init(hashes: [String]) { self.hashes = hashes }
}

package struct ScrapeAnswer: Codable, Equatable, Sendable {
    /// A torrent at a tracker. Either the figures are there or the error is.
    package struct Row: Codable, Equatable, Sendable {
        package var hash: String
        package var url: String
        package var seeds: Int?
        package var leechers: Int?
        package var downloads: Int?
        package var error: String?
        package init(hash: String, url: String, seeds: Int?, leechers: Int?, downloads: Int?, error: String?) {
            (self.hash, self.url, self.seeds, self.leechers, self.downloads, self.error) = (hash, url, seeds, leechers, downloads, error)
        }
    }
    package var rows: [Row]
    package init(rows: [Row]) { self.rows = rows }
}
