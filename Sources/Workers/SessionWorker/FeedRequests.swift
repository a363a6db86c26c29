import Catalog
import Control
import Foundation
import Primitives

/// The methods of `RSSMethods.swift`.
extension SessionShell {
    func dispatchFeeds(_ method: String, _ from: Asker, _ line: UnsafeRawBufferPointer) throws(ControlError) -> Bool {
        func p<P: Codable & Sendable>(_: P.Type = P.self) throws(ControlError) -> P { try ControlLine.parameters(line, as: P.self) }
        switch method {
        case ControlMethods.RSSItems.name: try items(from, p())
        case ControlMethods.RSSAddFeed.name: try addFeed(from, p())
        case ControlMethods.RSSSetFeedURL.name: try setFeedURL(from, p())
        case ControlMethods.RSSAddFolder.name: try addFeedFolder(from, p(PathParameters.self).path)
        case ControlMethods.RSSRemove.name: try removeFeeds(from, p(PathParameters.self).path)
        case ControlMethods.RSSMove.name: try moveFeeds(from, p())
        case ControlMethods.RSSRefresh.name:
            for feed in try feeds(at: p(PathParameters.self).path) { refresh(feed.uid) }
            reply(from, Empty())
        case ControlMethods.RSSMarkRead.name: try markRead(from, p())
        case ControlMethods.RSSRules.name: reply(from, RSSRulesAnswer(rules: rss.ordered))
        case ControlMethods.RSSSetRule.name: try setRule(from, p())
        case ControlMethods.RSSRenameRule.name: try renameRule(from, p())
        case ControlMethods.RSSRemoveRule.name:
            let name = try p(NameParameters.self).name
            guard rss.rules[name] != nil else { throw ControlError(.notFound, "no rule \(Text.printable(name, limit: 200))") }
            save(from, "rule", [(name, nil)]) { [self] in
                rss.rules[name] = nil
                listChanged("rules")
            }
        case ControlMethods.RSSMatching.name: try matching(from, p())
        default: return false
        }
        return true
    }

    private func items(_ from: Asker, _ p: RSSItemsParameters) throws(ControlError) {
        let feeds = rss.feeds.values.sorted { $0.path < $1.path }
        reply(
            from,
            RSSItemsAnswer(
                folders: rss.folders.sorted(),
                feeds: feeds.map { $0.row(withArticles: p.articles == true, isLoading: rss.loading.contains($0.uid), error: rss.errors[$0.uid]) }))
    }

    /// The feed at a path, or all in the folder of that path.
    private func feeds(at path: String) throws(ControlError) -> [Feed] {
        if let feed = rss.feed(at: path) { return [feed] }
        guard path.isEmpty || rss.folders.contains(path) else { throw ControlError(.notFound, "no feed or folder \(Text.printable(path, limit: 200))") }
        return rss.feeds.values.filter { path.isEmpty || $0.path.hasPrefix(path + "\\") }.sorted { $0.path < $1.path }
    }

    private func check(newPath path: String) throws(ControlError) {
        guard !path.isEmpty, path.utf8.count <= Control.feedTextLimit, !path.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }),
            !path.split(separator: "\\", omittingEmptySubsequences: false).contains(where: { $0.isEmpty })
        else { throw ControlError(.invalidParameters, "\(Text.printable(path, limit: 200)) is no path for a feed or a folder") }
        if rss.isTaken(path) { throw ControlError(.conflict, "\(Text.printable(path, limit: 200)) is there already") }
        let parent = FeedTable.parent(path)
        guard parent.isEmpty || rss.folders.contains(parent) else { throw ControlError(.conflict, "there is no folder \(Text.printable(parent, limit: 200))") }
        guard rss.feeds.count + rss.folders.count < Control.feedsLimit else { throw ControlError(.tooLarge, "at most \(Control.feedsLimit) feeds and folders") }
    }
    private func check(url: String) throws(ControlError) {
        guard ["http://", "https://"].contains(where: { url.lowercased().hasPrefix($0) }), url.utf8.count <= 2048, !url.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) else {
            throw ControlError(.invalidParameters, "\(Text.printable(url, limit: 200)) is no http or https address")
        }
        if rss.feeds.values.contains(where: { $0.url == url }) { throw ControlError(.conflict, "a feed has that address already") }
    }

    private func addFeed(_ from: Asker, _ p: RSSFeedParameters) throws(ControlError) {
        try check(url: p.url)
        let path = p.path.isEmpty ? p.url.replacingOccurrences(of: "\\", with: "/") : p.path
        try check(newPath: path)
        if let interval = p.refreshInterval, !(60...31_536_000).contains(interval) { throw ControlError(.invalidParameters, "a refresh interval is 60..31536000 seconds") }
        var feed = Feed(path: path, uid: UUID().uuidString.lowercased(), url: p.url)
        feed.refreshInterval = p.refreshInterval
        put(from, [feed]) { [self] in refresh(feed.uid) }
    }

    private func setFeedURL(_ from: Asker, _ p: RSSFeedParameters) throws(ControlError) {
        guard var feed = rss.feed(at: p.path) else { throw ControlError(.notFound, "no feed \(Text.printable(p.path, limit: 200))") }
        if feed.url != p.url { try check(url: p.url) }
        feed.url = p.url
        if let interval = p.refreshInterval { feed.refreshInterval = max(60, interval) }
        put(from, [feed]) { [self] in refresh(feed.uid) }
    }

    /// Stores feeds, then holds them.
    private func put(_ from: Asker, _ feeds: [Feed], then: @escaping () -> Void = {}) {
        save(from, "feed", feeds.map { ($0.uid, FeedTable.text($0)) }) { [self] in
            for feed in feeds { rss.feeds[feed.uid] = feed }
            listChanged("rss")
            then()
        }
    }

    private func addFeedFolder(_ from: Asker, _ path: String) throws(ControlError) {
        try check(newPath: path)
        save(from, "feed folder", [(path, "")]) { [self] in
            rss.folders.insert(path)
            listChanged("rss")
        }
    }

    private func removeFeeds(_ from: Asker, _ path: String) throws(ControlError) {
        guard !path.isEmpty else { throw ControlError(.invalidParameters, "the root cannot be removed") }
        let gone = try feeds(at: path).map(\.uid), folders = rss.folders.filter { $0 == path || $0.hasPrefix(path + "\\") }
        store(from, [("feed", gone.map { ($0, nil) }), ("feed folder", folders.map { ($0, nil) })]) { [self] in
            for uid in gone {
                rss.feeds[uid] = nil
                rss.errors[uid] = nil
            }
            rss.folders.subtract(folders)
            listChanged("rss")
        }
    }

    private func moveFeeds(_ from: Asker, _ p: RSSMoveParameters) throws(ControlError) {
        guard !p.path.isEmpty else { throw ControlError(.invalidParameters, "the root cannot be moved") }
        var moved = try feeds(at: p.path)
        try check(newPath: p.newPath)
        guard !p.newPath.hasPrefix(p.path + "\\") else { throw ControlError(.conflict, "a folder cannot go into itself") }
        let old = rss.folders.filter { $0 == p.path || $0.hasPrefix(p.path + "\\") }
        let new = old.map { p.newPath + $0.dropFirst(p.path.count) }
        for i in moved.indices { moved[i].path = p.newPath + moved[i].path.dropFirst(p.path.count) }
        store(from, [("feed", moved.map { ($0.uid, FeedTable.text($0)) }), ("feed folder", old.map { ($0, nil) } + new.map { ($0, "") })]) { [self, moved] in
            for feed in moved { rss.feeds[feed.uid] = feed }
            rss.folders.subtract(old)
            rss.folders.formUnion(new)
            listChanged("rss")
        }
    }

    private func store(_ from: Asker, _ parts: [(kind: String, changes: [(key: String, value: String?)])], _ apply: @escaping () -> Void) {
        let token = wait(from, .pool), store = self.store
        pool({ () -> String? in
            do throws(CatalogStore.Failure) { for part in parts { try store.put(part.kind, part.changes) } } catch { return error.description }
            return nil
        }) { [self] failure in
            if let failure { return finish(token, error: ControlError(.storage, failure)) }
            apply()
            finish(token, Empty())
        }
    }

    private func markRead(_ from: Asker, _ p: RSSMarkReadParameters) throws(ControlError) {
        var changed = try feeds(at: p.path)
        for i in changed.indices {
            for a in changed[i].articles.indices where p.article == nil || changed[i].articles[a].id == p.article { changed[i].articles[a].isRead = true }
        }
        put(from, changed)
    }

    // MARK: rules

    private static func check(_ p: RSSRuleRow) throws(ControlError) {
        let texts = [p.name, p.mustContain, p.mustNotContain, p.episodeFilter, p.category, p.savePath]
        guard !p.name.isEmpty, texts.allSatisfy({ $0.utf8.count <= Control.feedTextLimit }), p.affectedFeeds.count <= Control.feedsLimit, p.tags.count <= Control.tagsPerTorrentLimit else {
            throw ControlError(.invalidParameters, "a rule has a name, and texts of at most \(Control.feedTextLimit) bytes")
        }
        if let fault = FeedRule(p).fault() { throw ControlError(.invalidParameters, Text.printable(fault, limit: 300)) }
        guard p.savePath.isEmpty || p.savePath.hasPrefix("/") else { throw ControlError(.invalidParameters, "the save path must be absolute") }
    }

    private func setRule(_ from: Asker, _ p: RSSRuleRow) throws(ControlError) {
        var rule = p
        try Self.check(p)
        guard rss.rules.count < Control.rulesLimit || rss.rules[p.name] != nil else { throw ControlError(.tooLarge, "at most \(Control.rulesLimit) rules") }
        rule.lastMatch = rss.rules[p.name]?.lastMatch ?? 0
        rule.previouslyMatched = Array(p.previouslyMatched.suffix(FeedRule.seenLimit))
        save(from, "rule", [(p.name, FeedTable.text(rule))]) { [self, rule] in
            rss.rules[rule.name] = rule
            listChanged("rules")
            // What is kept may be what the rule was made for.
            for (uid, feed) in rss.feeds where rule.enabled && rule.affectedFeeds.contains(feed.url) {
                rss.feeds[uid]!.judged = []
                judge(uid)
            }
        }
    }

    private func renameRule(_ from: Asker, _ p: RenameRuleParameters) throws(ControlError) {
        guard var rule = rss.rules[p.name] else { throw ControlError(.notFound, "no rule \(Text.printable(p.name, limit: 200))") }
        guard !p.newName.isEmpty, p.newName.utf8.count <= Control.feedTextLimit else { throw ControlError(.invalidParameters, "a rule has a name") }
        guard rss.rules[p.newName] == nil else { throw ControlError(.conflict, "there is a rule of that name") }
        rule.name = p.newName
        save(from, "rule", [(p.name, nil), (p.newName, FeedTable.text(rule))]) { [self, rule] in
            rss.rules[p.name] = nil
            rss.rules[p.newName] = rule
            listChanged("rules")
        }
    }

    private func matching(_ from: Asker, _ p: RSSMatchingParameters) throws(ControlError) {
        guard let row = p.rule ?? rss.rules[p.name] else { throw ControlError(.notFound, "no rule \(Text.printable(p.name, limit: 200))") }
        try Self.check(row)
        let feeds = rss.feeds.values.filter { row.affectedFeeds.contains($0.url) }.sorted { $0.path < $1.path }
        let token = wait(from, .pool)
        pool({ () -> RSSMatchingAnswer in
            // As if it had met nothing yet, and were on.
            var rule = FeedRule(row)
            (rule.isEnabled, rule.seen, rule.lastMatch) = (true, [], 0)
            return RSSMatchingAnswer(
                feeds: feeds.map { feed in
                    .init(path: feed.path, articles: feed.articles.filter { rule.match($0.title, date: $0.date) != nil }.map(\.title))
                })
        }) { [self] answer in finish(token, answer) }
    }
}
