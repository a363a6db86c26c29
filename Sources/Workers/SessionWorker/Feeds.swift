import Catalog
import Control
import Foundation
import Observe
import Primitives

/// A feed with the articles that are kept of it; stored as one JSON text.
struct Feed: Codable, Sendable {
    var path: String
    var uid: String
    var url: String
    var title = ""
    var lastBuildDate = ""
    var fetchedAt: UInt64 = 0
    var refreshInterval: Int?
    /// Newest first.
    var articles: [RSSArticleRow] = []
    /// Ids of articles that the rules have looked at: they are met again at each fetch.
    var judged: Set<String> = []

    var name: String { path.split(separator: "\\").last.map(String.init) ?? path }
    func row(withArticles: Bool, isLoading: Bool, error: String?) -> RSSFeedRow {
        RSSFeedRow(
            path: path, uid: uid, url: url, title: title, lastBuildDate: lastBuildDate, fetchedAt: fetchedAt, isLoading: isLoading, error: error,
            refreshInterval: refreshInterval, unread: articles.reduce(0) { $0 + ($1.isRead ? 0 : 1) }, articles: withArticles ? articles : nil)
    }
}

/// Feeds and rules, as the session worker holds them.
struct FeedTable {
    /// Bytes of a feed.
    static let sizeLimit = 10 << 20
    /// Feeds fetched at once.
    static let fetchesAtOnce = 8
    static let judgedLimit = 5000

    var feeds: [String: Feed] = [:]
    var folders: Set<String> = []
    var rules: [String: RSSRuleRow] = [:]
    var loading: Set<String> = []
    var errors: [String: String] = [:]
    var checkAt = Instant(nanoseconds: 0)
    /// When each feed is due.
    var due: [String: Instant] = [:]

    init(feeds: [(key: String, value: String)], rules: [(key: String, value: String)], folders: [(key: String, value: String)]) {
        for item in feeds { if let feed = try? JSONDecoder().decode(Feed.self, from: Data(item.value.utf8)) { self.feeds[feed.uid] = feed } }
        for item in rules { if let rule = try? JSONDecoder().decode(RSSRuleRow.self, from: Data(item.value.utf8)) { self.rules[rule.name] = rule } }
        self.folders = Set(folders.map(\.key))
    }

    func feed(at path: String) -> Feed? { feeds.values.first { $0.path == path } }
    func isTaken(_ path: String) -> Bool { folders.contains(path) || feed(at: path) != nil }
    static func parent(_ path: String) -> String { path.lastIndex(of: "\\").map { String(path[..<$0]) } ?? "" }
    /// In the order in which they are tried.
    var ordered: [RSSRuleRow] { rules.values.sorted { ($0.priority, $0.name) < ($1.priority, $1.name) } }

    static func text(_ value: some Encodable) -> String? { (try? JSONEncoder().encode(value)).map { String(decoding: $0, as: UTF8.self) } }
}

extension FeedRule {
    init(_ row: RSSRuleRow) {
        self.init()
        isEnabled = row.enabled
        mustContain = row.mustContain
        mustNotContain = row.mustNotContain
        usesRegex = row.useRegex
        episodeFilter = row.episodeFilter
        isSmart = row.smartFilter
        seen = row.previouslyMatched
        ignoreDays = row.ignoreDays
        lastMatch = row.lastMatch
    }
}

/// Fetching, and what becomes of articles.
extension SessionShell {
    func turnFeeds(_ now: Instant) -> Instant {
        guard !rss.feeds.isEmpty, settings.bool("rss.enable"), !isClosing, drainDeadline == nil else { return .never }
        guard now >= rss.checkAt else { return rss.checkAt }
        // Feeds are due in minutes; a thousand of them are not sorted at each turn.
        rss.checkAt = now + .seconds(1)
        var next = Instant.never
        for uid in rss.feeds.keys.sorted() where !rss.loading.contains(uid) {
            let at = rss.due[uid] ?? now
            if at > now {
                next = min(next, at)
            } else if rss.loading.count < FeedTable.fetchesAtOnce {
                refresh(uid)
            }
        }
        return max(next, rss.checkAt)
    }

    func refresh(_ uid: String) {
        guard let feed = rss.feeds[uid], rss.loading.insert(uid).inserted else { return }
        rss.due[uid] = loop.now + (feed.refreshInterval.map { .seconds($0) } ?? settings.seconds("rss.refresh_interval"))
        fetch(feed.url, limit: FeedTable.sizeLimit) { [self] result in
            switch result {
            case .failure(let error): feedFailed(uid, error.message)
            case .success(.magnet): feedFailed(uid, "the address leads to a magnet link")
            case .success(.body(let bytes)):
                pool({ () -> Result<(String, String, [RSSArticleRow]), FeedReading.Refused> in
                    Result { () throws(FeedReading.Refused) in
                        let reading = try FeedReading(bytes)
                        return (reading.title, reading.lastBuildDate, reading.rows)
                    }
                }) { [self] result in
                    switch result {
                    case .failure(let refused): feedFailed(uid, refused.why)
                    case .success((let title, let built, let rows)): feedArrived(uid, title, built, rows)
                    }
                }
            }
        }
    }

    private func feedFailed(_ uid: String, _ why: String) {
        rss.loading.remove(uid)
        guard let feed = rss.feeds[uid] else { return }
        if rss.errors[uid] != why { log.warning("feed \(feed.name): \(why)") }
        rss.errors[uid] = why
        listChanged("rss")
    }

    private func feedArrived(_ uid: String, _ title: String, _ built: String, _ rows: [RSSArticleRow]) {
        rss.loading.remove(uid)
        rss.errors[uid] = nil
        guard var feed = rss.feeds[uid] else { return }
        let known = Set(feed.articles.map(\.id))
        var fresh: [RSSArticleRow] = [], seen = known
        for var row in rows where seen.insert(row.id).inserted {
            if row.date == 0 { row.date = core.wallSeconds }
            fresh.append(row)
        }
        feed.title = title
        feed.lastBuildDate = built
        feed.fetchedAt = core.wallSeconds
        feed.articles = Array((fresh + feed.articles).sorted { $0.date > $1.date }.prefix(settings.int("rss.max_articles")))
        rss.feeds[uid] = feed
        judge(uid)
    }

    /// Articles that no rule has looked at yet, oldest first, on the pool: patterns are the user's and may be slow.
    func judge(_ uid: String) {
        guard let feed = rss.feeds[uid] else { return }
        let rules = settings.bool("rss.auto_download") ? rss.ordered.filter { $0.enabled && $0.affectedFeeds.contains(feed.url) } : []
        let articles = feed.articles.filter { !feed.judged.contains($0.id) }.sorted { $0.date < $1.date }
        pool({ () -> (taken: [(RSSArticleRow, RSSRuleRow)], rules: [RSSRuleRow]) in
            var changed = rules, taken: [(RSSArticleRow, RSSRuleRow)] = []
            for article in articles where !article.torrentURL.isEmpty {
                for i in changed.indices {
                    guard let seen = FeedRule(changed[i]).match(article.title, date: article.date) else { continue }
                    changed[i].previouslyMatched = Array((changed[i].previouslyMatched + seen).suffix(FeedRule.seenLimit))
                    changed[i].lastMatch = max(changed[i].lastMatch, article.date)
                    taken.append((article, changed[i]))
                    break
                }
            }
            return (taken, changed)
        }) { [self] result in
            guard var feed = rss.feeds[uid] else { return }
            for article in articles { feed.judged.insert(article.id) }
            if feed.judged.count > FeedTable.judgedLimit { feed.judged = Set(feed.articles.map(\.id)) }
            for (article, _) in result.taken { if let i = feed.articles.firstIndex(where: { $0.id == article.id }) { feed.articles[i].isRead = true } }
            rss.feeds[uid] = feed
            var stored: [(key: String, value: String?)] = []
            for rule in result.rules where !result.taken.isEmpty {
                // The user may have changed or removed it meanwhile.
                guard var now = rss.rules[rule.name] else { continue }
                (now.previouslyMatched, now.lastMatch) = (rule.previouslyMatched, rule.lastMatch)
                rss.rules[rule.name] = now
                stored.append((rule.name, FeedTable.text(now)))
            }
            let text = FeedTable.text(feed), store = self.store
            pool({ [stored] () -> String? in
                do throws(CatalogStore.Failure) {
                    try store.put("feed", [(uid, text)])
                    if !stored.isEmpty { try store.put("rule", stored) }
                } catch { return error.description }
                return nil
            }) { failure in if let failure { log.error("feed \(feed.name): \(failure)") } }
            for (article, rule) in result.taken { take(article, rule) }
            listChanged("rss")
        }
    }

    private func take(_ article: RSSArticleRow, _ rule: RSSRuleRow) {
        log.info("rule \(rule.name) takes \(article.title)")
        var p = AddParameters(url: article.torrentURL, save: rule.savePath.isEmpty ? nil : rule.savePath, paused: rule.addPaused)
        p.category = rule.category.isEmpty ? nil : rule.category
        p.tags = rule.tags.isEmpty ? nil : rule.tags
        p.contentLayout = rule.contentLayout
        add(p) { error in if let error, error.code != .exists { log.warning("\(article.title) is not added: \(error.message)") } }
    }
}
