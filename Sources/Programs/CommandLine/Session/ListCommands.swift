import ArgumentParser
import Control
import Foundation

struct CategoryGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "category", abstract: "Categories, each with a save path.",
        discussion: """
            Torrents under automatic management ('btbt set HASH --auto on') follow their category's path.

            Examples:
              btbt category
              btbt category create linux --save /srv/linux
              btbt category edit linux --save /srv/isos
              btbt category remove linux
            """,
        subcommands: [CategoryList.self, CategoryCreate.self, CategoryEdit.self, CategoryRemove.self], defaultSubcommand: CategoryList.self)
}
struct CategoryList: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Show them.")
    @OptionGroup var global: GlobalOptions
    func run(_ daemon: ControlClient) throws {
        let rows = try daemon.call(ControlMethods.Categories.self).categories
        if global.json { return JSONOutput.show(rows) }
        if rows.isEmpty { return Terminal.out("no categories") }
        var table = Table([.left("NAME"), .text("SAVE PATH")])
        for row in rows { table.add([.init(row.name), .init(row.savePath.isEmpty ? "(of its name in disk.download_dir)" : row.savePath)]) }
        table.show()
    }
}
struct CategoryCreate: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Make one.")
    @OptionGroup var global: GlobalOptions
    @Argument var name: String
    @Option(name: .long, help: ArgumentHelp("Default: a folder of its name in disk.download_dir.", valueName: "dir")) var save: String?
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.CreateCategory.self, CategoryRow(name: name, savePath: save.map(GlobalOptions.absolute) ?? ""))
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct CategoryEdit: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "edit", abstract: "Change its path; managed torrents move.")
    @OptionGroup var global: GlobalOptions
    @Argument var name: String
    @Option(name: .long, help: ArgumentHelp("Default: a folder of its name in disk.download_dir.", valueName: "dir")) var save: String?
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.EditCategory.self, CategoryRow(name: name, savePath: save.map(GlobalOptions.absolute) ?? ""))
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct CategoryRemove: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "remove", abstract: "Remove some; their torrents stay.")
    @OptionGroup var global: GlobalOptions
    @Argument var names: [String]
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.RemoveCategories.self, NamesParameters(names: names))
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct TagGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tag", abstract: "Tags.", discussion: "On torrents they are put by 'btbt set HASH --add-tag'.\n\nExamples:\n  btbt tag\n  btbt tag create keep hd\n  btbt tag delete hd",
        subcommands: [TagList.self, TagCreate.self, TagDelete.self], defaultSubcommand: TagList.self)
}
struct TagList: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Show them.")
    @OptionGroup var global: GlobalOptions
    func run(_ daemon: ControlClient) throws {
        let names = try daemon.call(ControlMethods.Tags.self).names
        if global.json { return JSONOutput.show(names) }
        if names.isEmpty { return Terminal.out("no tags") }
        for name in names { Terminal.out(Printable.escape(name)) }
    }
}
struct TagCreate: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Make some.")
    @OptionGroup var global: GlobalOptions
    @Argument var names: [String]
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.CreateTags.self, NamesParameters(names: names))
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct TagDelete: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "delete", abstract: "Delete some, and take them off every torrent.")
    @OptionGroup var global: GlobalOptions
    @Argument var names: [String]
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.DeleteTags.self, NamesParameters(names: names))
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct TrackerGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tracker", abstract: "Change a torrent's trackers.",
        discussion: """
            'btbt trackers' shows them.

            Examples:
              btbt tracker add 9f9165d9a2 https://tracker.example/announce
              btbt tracker edit 9f9165d9a2 https://old.example/announce https://new.example/announce
              btbt tracker remove 9f9165d9a2 https://old.example/announce
              btbt tracker replace 9f9165d9a2 https://only.example/announce
            """,
        subcommands: [TrackerAdd.self, TrackerEdit.self, TrackerRemove.self, TrackerReplace.self])
}
struct TrackerAdd: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "add", abstract: "Add some, each as a tier of its own.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String
    @Argument(help: ArgumentHelp("Addresses.", valueName: "url")) var urls: [String]
    @Option(name: .long, help: "Put them into this tier instead.") var tier: Int?
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.AddTrackers.self, AddTrackersParameters(hash: hash, urls: urls, tier: tier))
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct TrackerEdit: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "edit", abstract: "Change one.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String
    @Argument(help: ArgumentHelp("The address as it is.", valueName: "url")) var url: String
    @Argument(help: ArgumentHelp("As it shall be.", valueName: "new-url")) var newURL: String?
    @Option(name: .long, help: "Its tier.") var tier: Int?
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.EditTracker.self, EditTrackerParameters(hash: hash, url: url, newURL: newURL, tier: tier))
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct TrackerRemove: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "remove", abstract: "Remove some.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String
    @Argument(help: ArgumentHelp("Addresses.", valueName: "url")) var urls: [String]
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.RemoveTrackers.self, RemoveTrackersParameters(hash: hash, urls: urls))
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct TrackerReplace: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "replace", abstract: "Replace all, each a tier of its own; none: no trackers.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String
    @Argument(help: ArgumentHelp("Addresses.", valueName: "url")) var urls: [String] = []
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.SetTrackers.self, SetTrackersParameters(hash: hash, trackers: urls.map { [$0] }))
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct ExportCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write a torrent's .torrent file.", discussion: "Example:\n  btbt export 9f9165d9a2 debian.torrent")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String
    @Argument(help: ArgumentHelp("File to write.", valueName: "file")) var file: String
    func run(_ daemon: ControlClient) throws {
        let answer = try daemon.call(ControlMethods.Export.self, HashParameters(hash: hash))
        guard let data = Data(base64Encoded: answer.torrent) else { throw Failure(.failed, "the daemon's answer cannot be read") }
        do { try data.write(to: URL(fileURLWithPath: file), options: .atomic) } catch { throw Failure(.failed, "\(file): \(error.localizedDescription)") }
        if global.json { JSONOutput.show(["name": answer.name, "file": file]) }
    }
}

struct LogCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Show the last lines of the session's log.", discussion: "Examples:\n  btbt log\n  btbt --json log --after 1700000123\n  btbt log --peers")
    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: ArgumentHelp("Only lines with a higher id.", valueName: "id")) var after: UInt64?
    @Option(name: .long, help: "At most so many.") var limit: Int?
    @Flag(name: .long, help: "The log of peers that were shut out.") var peers = false
    func run(_ daemon: ControlClient) throws {
        let lines = try daemon.call(ControlMethods.ReadLog.self, LogParameters(after: after, peers: peers, limit: limit)).lines
        if global.json { return JSONOutput.show(lines) }
        for line in lines { Terminal.out("\(ShowCommand.date(line.time)) \(line.level) \(Printable.escape((line.address.map { $0 + " " } ?? "") + line.text))") }
    }
}

struct StatsCommand: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "stats", abstract: "Show what was transferred, ever and in this run.", discussion: "Example:\n  btbt --json stats")
    @OptionGroup var global: GlobalOptions
    func run(_ daemon: ControlClient) throws {
        let s = try daemon.call(ControlMethods.Statistics.self)
        if global.json { return JSONOutput.show(s) }
        Terminal.out("ever       ↓ \(Quantity.bytes(s.downloadedEver))   ↑ \(Quantity.bytes(s.uploadedEver))   ratio \(Quantity.decimals(s.ratioEver, 2))   since \(ShowCommand.date(s.since))")
        Terminal.out("this run   ↓ \(Quantity.bytes(s.downloadedSession))   ↑ \(Quantity.bytes(s.uploadedSession))")
        Terminal.out("again      \(Quantity.bytes(s.wastedEver)) were there already or failed their hash")
        Terminal.out("torrents   \(s.addedEver) added, \(s.completedEver) finished")
    }
}

struct WatchFolderGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch-folder", abstract: "Folders in which torrent files are added as they appear.",
        discussion: """
            .torrent files, and .magnet files with a link a line. What was added is renamed to '….added', what is
            no torrent to '….rejected'.

            Examples:
              btbt watch-folder
              btbt watch-folder set /srv/drop --category linux
              btbt watch-folder remove /srv/drop
            """,
        subcommands: [WatchFolderList.self, WatchFolderSet.self, WatchFolderRemove.self], defaultSubcommand: WatchFolderList.self)
}
struct WatchFolderList: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Show them.")
    @OptionGroup var global: GlobalOptions
    func run(_ daemon: ControlClient) throws {
        let rows = try daemon.call(ControlMethods.WatchFolders.self).folders
        if global.json { return JSONOutput.show(rows) }
        if rows.isEmpty { return Terminal.out("no watch folders") }
        var table = Table([.text("FOLDER"), .text("SAVE PATH"), .left("CATEGORY"), .left("STATE")])
        for r in rows { table.add([.init(r.path), .init(r.savePath ?? "–"), .init(r.category ?? "–"), .init(r.error ?? "watched", r.error == nil ? .good : .bad)]) }
        table.show()
    }
}
struct WatchFolderSet: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Watch a folder, or change how.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("The folder.", valueName: "dir")) var path: String
    @Option(name: .long, help: ArgumentHelp("Folder that the data goes to.", valueName: "dir")) var save: String?
    @Option(name: .long) var category: String?
    @Option(name: .long, help: ArgumentHelp("May be repeated.", valueName: "tag")) var tag: [String] = []
    @Flag(name: .long, help: "Add without starting.") var paused = false
    @Flag(name: .long, help: "Delete a file once it was added.") var delete = false
    func run(_ daemon: ControlClient) throws {
        var row = WatchFolderRow(path: GlobalOptions.absolute(path))
        row.savePath = save.map(GlobalOptions.absolute)
        row.category = category
        row.tags = tag.isEmpty ? nil : tag
        row.paused = paused ? true : nil
        row.deleteFile = delete ? true : nil
        _ = try daemon.call(ControlMethods.SetWatchFolder.self, row)
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct WatchFolderRemove: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "remove", abstract: "Watch it no more.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("The folder.", valueName: "dir")) var path: String
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.RemoveWatchFolder.self, PathParameters(path: GlobalOptions.absolute(path)))
        if global.json { JSONOutput.show(Empty()) }
    }
}
