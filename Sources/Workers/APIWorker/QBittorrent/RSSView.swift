import Control
import Foundation
import Primitives

/// Feeds, articles and rules in qBittorrent's terms.
package enum RSSView {
    static func name(_ path: String) -> String { path.split(separator: "\\").last.map(String.init) ?? path }

    // MARK: items

    private struct Folder {
        var folders: [String: Folder] = [:]
        var feeds: [String: RSSFeedRow] = [:]

        mutating func place(_ path: ArraySlice<String>, _ feed: RSSFeedRow?) {
            guard let first = path.first else { return }
            if path.count == 1, let feed { feeds[first] = feed } else { folders[first, default: Folder()].place(path.dropFirst(), feed) }
        }
    }

    /// Folders are objects of objects; what has a `url` is a feed.
    static func append(_ items: RSSItemsAnswer, withData: Bool, to json: inout JSONBytes) {
        var root = Folder()
        func parts(_ path: String) -> ArraySlice<String> { path.split(separator: "\\").map(String.init)[...] }
        for path in items.folders { root.place(parts(path), nil) }
        for feed in items.feeds { root.place(parts(feed.path), feed) }
        append(root, withData, &json)
    }
    private static func append(_ folder: Folder, _ withData: Bool, _ json: inout JSONBytes) {
        for (name, inner) in folder.folders.sorted(by: { $0.key < $1.key }) { json.object(name) { append(inner, withData, &$0) } }
        for (name, feed) in folder.feeds.sorted(by: { $0.key < $1.key }) { json.object(name) { append(feed, withData, &$0) } }
    }
    private static func append(_ feed: RSSFeedRow, _ withData: Bool, _ json: inout JSONBytes) {
        json.field("uid", feed.uid)
        json.field("url", feed.url)
        json.field("refreshInterval", feed.refreshInterval ?? 0)
        guard withData else { return }
        json.field("title", feed.title)
        json.field("lastBuildDate", feed.lastBuildDate)
        json.field("isLoading", feed.isLoading)
        json.field("hasError", feed.error != nil)
        // Not qBittorrent's: why.
        json.field("error", feed.error ?? "")
        json.array("articles") { json in
            for a in feed.articles ?? [] {
                json.open()
                json.field("id", a.id)
                json.field("title", a.title)
                json.field("date", date(a.date))
                json.field("author", a.author)
                json.field("description", a.description)
                json.field("torrentURL", a.torrentURL)
                json.field("link", a.link)
                json.field("isRead", a.isRead)
                json.close()
            }
        }
    }

    /// RFC 2822, in UTC: "23 Nov 2026 02:27:40 +0000"; "" for never.
    package static func date(_ seconds: UInt64) -> String {
        guard seconds > 0, seconds < 1 << 38 else { return "" }
        let (day, rest) = (Int64(seconds / 86400), seconds % 86400)
        // Days since 0000-03-01, so that the leap day is a year's last: 400 years have 146,097 days.
        let z = day + 719_468, era = z / 146_097, inEra = z % 146_097
        let year = (inEra - inEra / 1460 + inEra / 36524 - inEra / 146_096) / 365, inYear = inEra - (365 * year + year / 4 - year / 100)
        let m = (5 * inYear + 2) / 153, dayOfMonth = inYear - (153 * m + 2) / 5 + 1, month = m < 10 ? m + 3 : m - 9
        func two(_ n: some BinaryInteger) -> String { (n < 10 ? "0" : "") + String(n) }
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return
            "\(two(dayOfMonth)) \(names[Int(month) - 1]) \(year + era * 400 + (month <= 2 ? 1 : 0)) \(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60)) +0000"
    }

    // MARK: rules

    private static let layouts: [(String, ContentLayout)] = [("Original", .original), ("Subfolder", .subfolder), ("NoSubfolder", .noSubfolder)]

    static func append(_ rule: RSSRuleRow, to json: inout JSONBytes) {
        let layout: FieldValue = rule.contentLayout.flatMap { l in layouts.first { $0.1 == l }?.0 }.map { .text($0) } ?? .null
        let paused: FieldValue = rule.addPaused.map { .flag($0) } ?? .null
        json.object(rule.name) { json in
            json.field("enabled", rule.enabled)
            json.field("priority", rule.priority)
            json.field("mustContain", rule.mustContain)
            json.field("mustNotContain", rule.mustNotContain)
            json.field("useRegex", rule.useRegex)
            json.field("episodeFilter", rule.episodeFilter)
            json.field("smartFilter", rule.smartFilter)
            json.field("previouslyMatchedEpisodes", .texts(rule.previouslyMatched))
            json.field("affectedFeeds", .texts(rule.affectedFeeds))
            json.field("ignoreDays", rule.ignoreDays)
            json.field("lastMatch", date(rule.lastMatch))
            // The old names and, beside them, those of 4.6 and later.
            json.field("addPaused", paused)
            json.field("assignedCategory", rule.category)
            json.field("savePath", rule.savePath)
            json.field("torrentContentLayout", layout)
            json.object("torrentParams") { json in
                json.field("category", rule.category)
                json.field("tags", .texts(rule.tags))
                json.field("save_path", rule.savePath)
                json.field("stopped", paused)
                json.field("content_layout", layout)
                json.field("use_auto_tmm", rule.savePath.isEmpty ? .null : .flag(false))
            }
        }
    }

    /// What stands in `torrentParams` wins over the old names beside it; what neither says is as in a new rule.
    static func rule(_ name: String, _ o: [String: Any]) -> RSSRuleRow {
        let params = o["torrentParams"] as? [String: Any] ?? [:]
        func flag(_ value: Any?) -> Bool? { (value as? NSNumber)?.boolValue }
        func texts(_ value: Any?) -> [String]? { (value as? [Any])?.compactMap { $0 as? String } }
        var rule = RSSRuleRow(name: name)
        rule.enabled = flag(o["enabled"]) ?? true
        rule.priority = (o["priority"] as? NSNumber)?.intValue ?? 0
        rule.mustContain = o["mustContain"] as? String ?? ""
        rule.mustNotContain = o["mustNotContain"] as? String ?? ""
        rule.useRegex = flag(o["useRegex"]) ?? false
        rule.episodeFilter = o["episodeFilter"] as? String ?? ""
        rule.smartFilter = flag(o["smartFilter"]) ?? false
        rule.previouslyMatched = texts(o["previouslyMatchedEpisodes"]) ?? []
        rule.affectedFeeds = texts(o["affectedFeeds"]) ?? []
        rule.ignoreDays = max(0, (o["ignoreDays"] as? NSNumber)?.intValue ?? 0)
        rule.category = params["category"] as? String ?? o["assignedCategory"] as? String ?? ""
        rule.savePath = params["save_path"] as? String ?? o["savePath"] as? String ?? ""
        rule.tags = texts(params["tags"]) ?? []
        rule.addPaused = flag(params["stopped"]) ?? flag(o["addPaused"])
        let layout = params["content_layout"] as? String ?? o["torrentContentLayout"] as? String
        rule.contentLayout = layouts.first { $0.0 == layout }?.1
        return rule
    }
}
