import ArgumentParser
import Control
import Primitives

struct FilesGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "files", abstract: "List a torrent's files, or say which are wanted.",
        discussion: "Examples:\n  btbt files 9f9165d9a2\n  btbt files priority 9f9165d9a2 0 3-7 skip",
        subcommands: [FilesList.self, FilesPriority.self], defaultSubcommand: FilesList.self)
}

struct FilesList: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List a torrent's files.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String

    func run(_ daemon: ControlClient) throws {
        let files = try daemon.call(ControlMethods.Files.self, HashParameters(hash: hash)).files
        if global.json { return JSONOutput.show(files) }
        var table = Table([.right("#"), .text("PATH"), .right("SIZE"), .right("DONE"), .left("PRIORITY")])
        for f in files {
            table.add([
                .init("\(f.index)", .faint), .init(f.path), .init(Quantity.bytes(f.length)), .init(f.length == 0 ? "100 %" : Quantity.percent(f.done, of: f.length)),
                .init(f.priority, f.priority == "skip" ? .faint : ["high", "maximum"].contains(f.priority) ? .accent : nil),
            ])
        }
        table.show()
    }
}

struct FilesPriority: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "priority", abstract: "Say how much files are wanted.",
        discussion: """
            Levels: skip, low, normal, high, maximum. A skipped file is not made; what a piece beside it brings of it is kept in
            a hidden part-file, and is there when it is wanted later.

            Examples:
              btbt files priority 9f9165d9a2 3 high
              btbt files priority 9f9165d9a2 0 4-7 skip
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String
    @Argument(help: ArgumentHelp("File numbers or ranges as 'btbt files' shows them, then the level.", valueName: "index… level")) var words: [String]

    func run(_ daemon: ControlClient) throws {
        guard let level = words.last, FileLevel.named(level) != nil, words.count > 1 else {
            throw Failure(.usage, "file numbers first, then one of \(FileLevel.names.joined(separator: ", "))")
        }
        _ = try daemon.call(ControlMethods.SetFilePriority.self, FilePriorityParameters(hash: hash, files: Array(words.dropLast()), level: level))
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct StreamPositionCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream-position", abstract: "Say where a file is being played.",
        discussion: """
            The pieces ahead are fetched by the time at which they are played. To be said again as the position moves;
            a minute after the last time the order is as before.

            Example:
              btbt stream-position 9f9165d9a2 0 1048576
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String
    @Argument(help: ArgumentHelp("File number as 'btbt files' shows it.", valueName: "index")) var file: Int
    @Argument(help: ArgumentHelp("Byte of the file.", valueName: "offset")) var offset: UInt64

    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.StreamPosition.self, StreamPositionParameters(hash: hash, file: file, offset: offset))
        if global.json { JSONOutput.show(Empty()) }
    }
}
