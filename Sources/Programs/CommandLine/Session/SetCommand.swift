import ArgumentParser
import Control

extension LimitAction: ExpressibleByArgument {}
extension StopCondition: ExpressibleByArgument {}
extension ContentLayout: ExpressibleByArgument {}
extension MoveInQueueParameters.Place: ExpressibleByArgument {}

struct SetCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Change torrents: all that are named, or none.",
        discussion: """
            Limits: -2 as the settings say, -1 none; times in minutes.

            Examples:
              btbt set 9f9165d9a2 --category linux --auto on
              btbt set 9f9165d9a2 8a19577fb5 --add-tag keep --ratio 2
              btbt set 9f9165d9a2 --sequential on --force on
              btbt set 9f9165d9a2 --save /srv/archive
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("Info-hashes, or their first digits.", valueName: "hash")) var hashes: [String]
    @Option(name: .long, help: "Name to show.") var name: String?
    @Option(name: .long, help: "A note.") var comment: String?
    @Option(name: .long, help: "Category; '' takes it off.") var category: String?
    @Option(name: .long, help: ArgumentHelp("Save path; the data moves there.", valueName: "dir")) var save: String?
    @Option(name: .long, help: ArgumentHelp("All tags, by commas; '' takes all off.", valueName: "tags")) var tags: String?
    @Option(name: .long, help: ArgumentHelp("May be repeated.", valueName: "tag")) var addTag: [String] = []
    @Option(name: .long, help: ArgumentHelp("May be repeated.", valueName: "tag")) var removeTag: [String] = []
    @Option(name: .long, help: "The save path follows the category.") var auto: Switch?
    @Option(name: .long, help: "Pieces in order.") var sequential: Switch?
    @Option(name: .long, help: "First and last piece of each file first.") var firstLast: Switch?
    @Option(name: .long, help: "Super-seeding.") var superSeed: Switch?
    @Option(name: .long, help: "Run whatever the queue says.") var force: Switch?
    @Option(name: .long, parsing: .unconditional, help: "Uploaded / downloaded.") var ratio: Double?
    @Option(name: .long, parsing: .unconditional, help: ArgumentHelp("Seeding time.", valueName: "minutes")) var seedingTime: Int64?
    @Option(name: .long, parsing: .unconditional, help: ArgumentHelp("Seeding time without a byte asked for.", valueName: "minutes")) var inactiveTime: Int64?
    @Option(name: .long, help: "What happens at a limit.") var limitAction: LimitAction?
    @Option(name: .long, help: "When it pauses by itself.") var stopCondition: StopCondition?

    enum Switch: String, ExpressibleByArgument, CaseIterable {
        case on, off
        var isOn: Bool { self == .on }
    }

    func run(_ daemon: ControlClient) throws {
        var p = SetTorrentsParameters(hashes: hashes)
        p.name = name
        p.comment = comment
        p.category = category
        p.savePath = save.map(GlobalOptions.absolute)
        p.tags = tags.map { $0.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) } }
        p.addTags = addTag.isEmpty ? nil : addTag
        p.removeTags = removeTag.isEmpty ? nil : removeTag
        p.autoManaged = auto?.isOn
        p.sequential = sequential?.isOn
        p.firstLastFirst = firstLast?.isOn
        p.superSeeding = superSeed?.isOn
        p.forceStart = force?.isOn
        p.ratioLimit = ratio
        p.seedingTimeLimit = seedingTime
        p.inactiveSeedingTimeLimit = inactiveTime
        p.limitAction = limitAction
        p.stopCondition = stopCondition
        let answer = try daemon.call(ControlMethods.SetTorrents.self, p)
        if global.json { JSONOutput.show(answer) }
    }
}

struct QueueCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue", abstract: "Show the queue, or move torrents in it.",
        discussion: "Examples:\n  btbt queue\n  btbt queue top 9f9165d9a2\n  btbt queue down 9f9165d9a2 8a19577fb5")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "top, bottom, up or down; without it the queue is shown.") var to: MoveInQueueParameters.Place?
    @Argument(help: ArgumentHelp("Info-hashes, or their first digits.", valueName: "hash")) var hashes: [String] = []

    func run(_ daemon: ControlClient) throws {
        if let to {
            guard !hashes.isEmpty else { throw Failure(.usage, "no torrent is named") }
            let answer = try daemon.call(ControlMethods.MoveInQueue.self, MoveInQueueParameters(hashes: hashes, to: to))
            if global.json { JSONOutput.show(answer) }
            return
        }
        let torrents = try daemon.call(ControlMethods.List.self).torrents.filter { $0.queuePosition > 0 }.sorted { $0.queuePosition < $1.queuePosition }
        if global.json { return JSONOutput.show(torrents) }
        if torrents.isEmpty { return Terminal.out("the queue is empty") }
        var table = Table([.right("PLACE"), .left("HASH"), .text("NAME"), .left("STATE"), .right("DONE")])
        for t in torrents {
            table.add([
                .init("\(t.queuePosition)"), .init(String(t.hash.prefix(10)), .faint), .init(t.name), .init(t.state.rawValue + (t.forceStart ? " (forced)" : ""), t.state.style),
                .init(Quantity.percent(t.done, of: t.size)),
            ])
        }
        table.show()
    }
}

struct RenameGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename", abstract: "Rename files and folders inside a torrent, on disk too.",
        discussion: """
            Paths are those of 'btbt files'. For the name that is shown there is 'btbt set HASH --name'.

            Examples:
              btbt rename file 9f9165d9a2 disk/a.iso disk/b.iso
              btbt rename folder 9f9165d9a2 disk 'my disk'
            """,
        subcommands: [RenameFileCommand.self, RenameFolderCommand.self])
}
struct RenameFileCommand: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "file", abstract: "Rename a file.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String
    @Argument(help: "Its path now.") var path: String
    @Argument(help: "Its path then.") var newPath: String
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.RenameFile.self, RenameParameters(hash: hash, path: path, newPath: newPath), seconds: 600)
        if global.json { JSONOutput.show(Empty()) }
    }
}
struct RenameFolderCommand: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "folder", abstract: "Rename a folder.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String
    @Argument(help: "Its path now.") var path: String
    @Argument(help: "Its path then.") var newPath: String
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.RenameFolder.self, RenameParameters(hash: hash, path: path, newPath: newPath), seconds: 600)
        if global.json { JSONOutput.show(Empty()) }
    }
}
