// RSS feeds and the rules that add torrents from them. Items are named by paths: folders and feeds, joined by "\\", as
// "Linux\\Debian"; the root is "".

extension ControlMethods {
    package enum RSSItems: ControlMethod {
        package typealias Parameters = RSSItemsParameters
        package typealias Answer = RSSItemsAnswer
        package static let name = "rss.items"
    }
    /// `conflict` when the path is taken or a feed has the URL already, or the folder does not exist.
    package enum RSSAddFeed: ControlMethod {
        package typealias Parameters = RSSFeedParameters
        package typealias Answer = Empty
        package static let name = "rss.feed.add"
    }
    package enum RSSSetFeedURL: ControlMethod {
        package typealias Parameters = RSSFeedParameters
        package typealias Answer = Empty
        package static let name = "rss.feed.url"
    }
    package enum RSSAddFolder: ControlMethod {
        package typealias Parameters = PathParameters
        package typealias Answer = Empty
        package static let name = "rss.folder.add"
    }
    /// A folder goes with all in it.
    package enum RSSRemove: ControlMethod {
        package typealias Parameters = PathParameters
        package typealias Answer = Empty
        package static let name = "rss.remove"
    }
    package enum RSSMove: ControlMethod {
        package typealias Parameters = RSSMoveParameters
        package typealias Answer = Empty
        package static let name = "rss.move"
    }
    /// Fetches a feed, or all in a folder, now. Answered when it was asked for.
    package enum RSSRefresh: ControlMethod {
        package typealias Parameters = PathParameters
        package typealias Answer = Empty
        package static let name = "rss.refresh"
    }
    package enum RSSMarkRead: ControlMethod {
        package typealias Parameters = RSSMarkReadParameters
        package typealias Answer = Empty
        package static let name = "rss.read"
    }
    package enum RSSRules: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = RSSRulesAnswer
        package static let name = "rss.rules"
    }
    /// Makes or replaces the rule of that name.
    package enum RSSSetRule: ControlMethod {
        package typealias Parameters = RSSRuleRow
        package typealias Answer = Empty
        package static let name = "rss.rule.set"
    }
    package enum RSSRenameRule: ControlMethod {
        package typealias Parameters = RenameRuleParameters
        package typealias Answer = Empty
        package static let name = "rss.rule.rename"
    }
    package enum RSSRemoveRule: ControlMethod {
        package typealias Parameters = NameParameters
        package typealias Answer = Empty
        package static let name = "rss.rule.remove"
    }
    /// What a rule would take of the articles that are kept.
    package enum RSSMatching: ControlMethod {
        package typealias Parameters = RSSMatchingParameters
        package typealias Answer = RSSMatchingAnswer
        package static let name = "rss.matching"
    }
}

extension Control {
    package static let feedsLimit = 1000
    package static let rulesLimit = 1000
    /// UTF-8 bytes of an item's path and of a rule's texts.
    package static let feedTextLimit = 4096
}

package struct NameParameters: Codable, Equatable, Sendable {
    package var name: String
    package init(name: String) { self.name = name }
}
package struct RenameRuleParameters: Codable, Equatable, Sendable {
    package var name: String
    package var newName: String
    package init(name: String, newName: String) { (self.name, self.newName) = (name, newName) }
}
package struct RSSFeedParameters: Codable, Equatable, Sendable {
    package var url: String
    /// "": the URL is its name, at the root.
    package var path: String
    /// Seconds between fetches; absent: rss.refresh_interval.
    package var refreshInterval: Int?
    package init(url: String, path: String = "", refreshInterval: Int? = nil) { (self.url, self.path, self.refreshInterval) = (url, path, refreshInterval) }
}
package struct RSSMoveParameters: Codable, Equatable, Sendable {
    package var path: String
    package var newPath: String
    package init(path: String, newPath: String) { (self.path, self.newPath) = (path, newPath) }
}
package struct RSSMarkReadParameters: Codable, Equatable, Sendable {
    package var path: String
    /// Absent: all articles of the feed, or of all feeds of the folder.
    package var article: String?
    package init(path: String, article: String? = nil) { (self.path, self.article) = (path, article) }
}

package struct RSSItemsParameters: Codable, Equatable, Sendable {
    package var articles: Bool?
    package init(articles: Bool? = nil) { self.articles = articles }
}
package struct RSSItemsAnswer: Codable, Equatable, Sendable {
    /// Folders, by path; a folder stands before what is in it.
    package var folders: [String]
    package var feeds: [RSSFeedRow]
    package init(folders: [String], feeds: [RSSFeedRow]) { (self.folders, self.feeds) = (folders, feeds) }
}
package struct RSSFeedRow: Codable, Equatable, Sendable {
    package var path: String
    /// Stays over renames.
    package var uid: String
    package var url: String
    /// As the feed gives it.
    package var title: String
    /// As the feed gives it, for people.
    package var lastBuildDate: String
    /// Seconds since 1970 of the last fetch that worked; 0 if none did.
    package var fetchedAt: UInt64
    package var isLoading: Bool
    /// Why the last fetch failed; absent when it worked.
    package var error: String?
    package var refreshInterval: Int?
    package var unread: Int
    /// Newest first; absent unless asked for.
    package var articles: [RSSArticleRow]?
    package init(
        path: String, uid: String, url: String, title: String, lastBuildDate: String, fetchedAt: UInt64, isLoading: Bool, error: String?,
        refreshInterval: Int?, unread: Int, articles: [RSSArticleRow]?
    ) {
        self.path = path
        self.uid = uid
        self.url = url
        self.title = title
        self.lastBuildDate = lastBuildDate
        self.fetchedAt = fetchedAt
        self.isLoading = isLoading
        self.error = error
        self.refreshInterval = refreshInterval
        self.unread = unread
        self.articles = articles
    }
}
package struct RSSArticleRow: Codable, Equatable, Sendable {
    /// Unique in its feed.
    package var id: String
    package var title: String
    /// Seconds since 1970.
    package var date: UInt64
    package var author: String
    package var description: String
    /// Where the torrent is: an enclosure, else the link.
    package var torrentURL: String
    package var link: String
    package var isRead: Bool
    package init(id: String, title: String, date: UInt64, author: String, description: String, torrentURL: String, link: String, isRead: Bool) {
        self.id = id
        self.title = title
        self.date = date
        self.author = author
        self.description = description
        self.torrentURL = torrentURL
        self.link = link
        self.isRead = isRead
    }
}

package struct RSSRulesAnswer: Codable, Equatable, Sendable {
    /// In the order in which they are tried: by priority, then by name.
    package var rules: [RSSRuleRow]
    package init(rules: [RSSRuleRow]) { self.rules = rules }
}
package struct RSSRuleRow: Codable, Equatable, Sendable {
    package var name: String
    package var enabled: Bool
    /// Lower is tried first; the first rule that takes an article has it.
    package var priority: Int
    /// Words that must all stand in the title, with * and ?; alternatives by "|". With `useRegex` a regular expression.
    package var mustContain: String
    package var mustNotContain: String
    package var useRegex: Bool
    /// "1x2;8-15;5;30-;" : season, x, episodes and ranges, each ended by ";".
    package var episodeFilter: String
    /// Takes an episode once; repacks and propers again.
    package var smartFilter: Bool
    /// Episodes that the smart filter has seen.
    package var previouslyMatched: [String]
    /// URLs of feeds.
    package var affectedFeeds: [String]
    /// Days after a match during which nothing else is taken; 0: none.
    package var ignoreDays: Int
    /// Seconds since 1970; 0: never. Given, never taken.
    package var lastMatch: UInt64
    package var category: String
    /// "": disk.download_dir or the category's.
    package var savePath: String
    package var tags: [String]
    /// Absent: as the settings say.
    package var addPaused: Bool?
    package var contentLayout: ContentLayout?
    package init(name: String) {
        self.name = name
        enabled = true
        priority = 0
        mustContain = ""
        mustNotContain = ""
        useRegex = false
        episodeFilter = ""
        smartFilter = false
        previouslyMatched = []
        affectedFeeds = []
        ignoreDays = 0
        lastMatch = 0
        category = ""
        savePath = ""
        tags = []
    }
}

package struct RSSMatchingParameters: Codable, Equatable, Sendable {
    package var name: String
    /// A rule that is still being written; absent: the stored one of that name.
    package var rule: RSSRuleRow?
    package init(name: String, rule: RSSRuleRow? = nil) { (self.name, self.rule) = (name, rule) }
}

package struct RSSMatchingAnswer: Codable, Equatable, Sendable {
    package struct Feed: Codable, Equatable, Sendable {
        package var path: String
        /// Titles.
        package var articles: [String]
        package init(path: String, articles: [String]) { (self.path, self.articles) = (path, articles) }
    }
    package var feeds: [Feed]
    package init(feeds: [Feed]) { self.feeds = feeds }
}
