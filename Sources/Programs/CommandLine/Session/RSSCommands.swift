import ArgumentParser
import Control

struct RSSGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rss", abstract: "Feeds, and rules that add torrents from them.",
        discussion: """
            Feeds and folders are named by paths with '\\' between folders.

            Examples:
              btbt rss
              btbt rss add https://example.org/feed.xml --path 'Linux\\Debian'
              btbt rss rule iso --feed https://example.org/feed.xml --contain 'debian netinst' --category linux
              btbt rss matching iso
              btbt rss articles 'Linux\\Debian'
            """,
        subcommands: [
            RSSList.self, RSSAdd.self, RSSFolder.self, RSSRemove.self, RSSMove.self, RSSRefresh.self, RSSArticles.self, RSSRules.self, RSSRule.self, RSSRuleRemove.self,
            RSSMatching.self,
        ], defaultSubcommand: RSSList.self)
}
struct RSSList: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Show feeds and folders.")
    @OptionGroup var global: GlobalOptions
    func run(_ daemon: ControlClient) throws {
        let items = try daemon.call(ControlMethods.RSSItems.self, RSSItemsParameters())
        if global.json { return JSONOutput.show(items) }
        if items.feeds.isEmpty, items.folders.isEmpty { return Terminal.out("no feeds") }
        for folder in items.folders { Terminal.out(Printable.escape(folder) + "\\") }
        var table = Table([.left("FEED"), .text("ADDRESS"), .right("UNREAD"), .left("STATE")])
        for f in items.feeds { table.add([.init(f.path), .init(f.url), .init("\(f.unread)"), .init(f.error ?? (f.isLoading ? "loading" : "ok"), f.error == nil ? .good : .bad)]) }
        table.show()
    }
}
struct RSSAdd: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "add", abstract: "Add a feed.")
    @OptionGroup var global: GlobalOptions
    @Argument var url: String
    @Option(name: .long, help: "Default: the address.") var path: String?
    @Option(name: .long, help: ArgumentHelp("Between fetches; default: rss.refresh_interval.", valueName: "seconds")) var interval: Int?
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.RSSAddFeed.self, RSSFeedParameters(url: url, path: path ?? "", refreshInterval: interval))
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct RSSFolder: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "folder", abstract: "Make a folder.")
    @OptionGroup var global: GlobalOptions
    @Argument var path: String
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.RSSAddFolder.self, PathParameters(path: path))
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct RSSRemove: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "remove", abstract: "Remove a feed, or a folder with all in it.")
    @OptionGroup var global: GlobalOptions
    @Argument var path: String
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.RSSRemove.self, PathParameters(path: path))
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct RSSMove: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "move", abstract: "Rename or move a feed or a folder.")
    @OptionGroup var global: GlobalOptions
    @Argument var path: String
    @Argument var newPath: String
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.RSSMove.self, RSSMoveParameters(path: path, newPath: newPath))
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct RSSRefresh: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "refresh", abstract: "Fetch a feed, or all in a folder, now.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Default: all.") var path = ""
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.RSSRefresh.self, PathParameters(path: path))
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct RSSArticles: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "articles", abstract: "Show a feed's articles.")
    @OptionGroup var global: GlobalOptions
    @Argument var path: String
    @Flag(name: .long, help: "Mark them as read.") var read = false
    func run(_ daemon: ControlClient) throws {
        guard let feed = try daemon.call(ControlMethods.RSSItems.self, RSSItemsParameters(articles: true)).feeds.first(where: { $0.path == path }) else {
            throw Failure(.notFound, "no feed \(path)")
        }
        if read { _ = try daemon.call(ControlMethods.RSSMarkRead.self, RSSMarkReadParameters(path: path)) }
        let articles = feed.articles ?? []
        if global.json { return JSONOutput.show(articles) }
        for a in articles { Terminal.out("\(a.isRead ? " " : "*") \(ShowCommand.date(a.date))  \(Printable.escape(a.title))") }
    }
}
struct RSSRules: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "rules", abstract: "Show the rules, in the order in which they are tried.")
    @OptionGroup var global: GlobalOptions
    func run(_ daemon: ControlClient) throws {
        let rules = try daemon.call(ControlMethods.RSSRules.self).rules
        if global.json { return JSONOutput.show(rules) }
        if rules.isEmpty { return Terminal.out("no rules") }
        var table = Table([.left("RULE"), .left("STATE"), .text("CONTAINS"), .text("NOT"), .left("EPISODES"), .left("CATEGORY")])
        for r in rules {
            table.add([.init(r.name), .init(r.enabled ? "on" : "off", r.enabled ? .good : .faint), .init(r.mustContain), .init(r.mustNotContain), .init(r.episodeFilter), .init(r.category)])
        }
        table.show()
    }
}
struct RSSRule: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "rule", abstract: "Make or replace a rule.")
    @OptionGroup var global: GlobalOptions
    @Argument var name: String
    @Option(name: .long, help: ArgumentHelp("Address of a feed; may be repeated.", valueName: "url")) var feed: [String] = []
    @Option(name: .long, help: "Words of the title, with * and ?; '|' between alternatives.") var contain = ""
    @Option(name: .long, help: "Words that may not stand in it.") var notContain = ""
    @Flag(name: .long, help: "Both are regular expressions.") var regex = false
    @Option(name: .long, help: "As 1x2;8-15;30-;") var episodes = ""
    @Flag(name: .long, help: "Each episode once; repacks and propers again.") var smart = false
    @Option(name: .long) var priority = 0
    @Option(name: .long, help: "Days after a match in which nothing is taken.") var ignoreDays = 0
    @Option(name: .long) var category = ""
    @Option(name: .long, help: ArgumentHelp("Folder that the data goes to.", valueName: "dir")) var save: String?
    @Option(name: .long, help: ArgumentHelp("May be repeated.", valueName: "tag")) var tag: [String] = []
    @Flag(name: .long, help: "Add without starting.") var paused = false
    @Flag(name: .long, help: "Keep the rule, but switched off.") var off = false
    func run(_ daemon: ControlClient) throws {
        var rule = RSSRuleRow(name: name)
        rule.enabled = !off
        rule.priority = priority
        rule.mustContain = contain
        rule.mustNotContain = notContain
        rule.useRegex = regex
        rule.episodeFilter = episodes
        rule.smartFilter = smart
        rule.affectedFeeds = feed
        rule.ignoreDays = ignoreDays
        rule.category = category
        rule.savePath = save.map(GlobalOptions.absolute) ?? ""
        rule.tags = tag
        rule.addPaused = paused ? true : nil
        _ = try daemon.call(ControlMethods.RSSSetRule.self, rule)
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct RSSRuleRemove: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "rule-remove", abstract: "Remove a rule.")
    @OptionGroup var global: GlobalOptions
    @Argument var name: String
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.RSSRemoveRule.self, NameParameters(name: name))
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct RSSMatching: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "matching", abstract: "What a rule would take of the articles that are kept.")
    @OptionGroup var global: GlobalOptions
    @Argument var name: String
    func run(_ daemon: ControlClient) throws {
        let answer = try daemon.call(ControlMethods.RSSMatching.self, RSSMatchingParameters(name: name))
        if global.json { return JSONOutput.show(answer.feeds) }
        for feed in answer.feeds { for title in feed.articles { Terminal.out("\(Printable.escape(feed.path))  \(Printable.escape(title))") } }
    }
}
