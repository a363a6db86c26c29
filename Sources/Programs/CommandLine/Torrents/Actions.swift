import ArgumentParser
import Control

/// Commands that name torrents and change something; silent when they succeed, as `mv` is.
protocol HashesCommand: DaemonCommand {
    var hashes: [String] { get }
    func act(_ daemon: ControlClient, hash: String) throws
}

extension HashesCommand {
    func run(_ daemon: ControlClient) throws {
        for hash in hashes { try act(daemon, hash: hash) }
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct PauseCommand: HashesCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Stop torrents until they are resumed.", discussion: "Example:\n  btbt pause 9f9165d9a2")
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("Info-hashes, or their first digits.", valueName: "hash")) var hashes: [String]
    func act(_ daemon: ControlClient, hash: String) throws { _ = try daemon.call(ControlMethods.Pause.self, HashParameters(hash: hash)) }
}

struct ResumeCommand: HashesCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Start torrents that are paused or in error.", discussion: "Example:\n  btbt resume 9f9165d9a2")
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("Info-hashes, or their first digits.", valueName: "hash")) var hashes: [String]
    func act(_ daemon: ControlClient, hash: String) throws { _ = try daemon.call(ControlMethods.Resume.self, HashParameters(hash: hash)) }
}

struct RecheckCommand: HashesCommand {
    static let configuration = CommandConfiguration(
        commandName: "recheck", abstract: "Hash the data of torrents again.",
        discussion: "Returns at once; 'btbt watch' shows the progress.\n\nExample:\n  btbt recheck 9f9165d9a2")
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("Info-hashes, or their first digits.", valueName: "hash")) var hashes: [String]
    func act(_ daemon: ControlClient, hash: String) throws { _ = try daemon.call(ControlMethods.Recheck.self, HashParameters(hash: hash)) }
}

struct AnnounceCommand: HashesCommand {
    static let configuration = CommandConfiguration(
        commandName: "announce", abstract: "Announce to the trackers now.", discussion: "Example:\n  btbt announce 9f9165d9a2")
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("Info-hashes, or their first digits.", valueName: "hash")) var hashes: [String]
    func act(_ daemon: ControlClient, hash: String) throws { _ = try daemon.call(ControlMethods.Announce.self, HashParameters(hash: hash)) }
}

struct RemoveCommand: HashesCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Take torrents out of the catalogue.",
        discussion: "The data stays unless --with-data is given.\n\nExamples:\n  btbt remove 9f9165d9a2\n  btbt remove 9f9165d9a2 --with-data")
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("Info-hashes, or their first digits.", valueName: "hash")) var hashes: [String]
    @Flag(name: .long, help: "Delete the downloaded files as well.") var withData = false
    func act(_ daemon: ControlClient, hash: String) throws {
        // Deleting many files on a slow disk takes its time.
        _ = try daemon.call(ControlMethods.Remove.self, RemoveParameters(hash: hash, withData: withData), seconds: 600)
    }
}

struct MoveCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "move", abstract: "Move a torrent's data to another folder.",
        discussion: "Returns when the data is there, which takes minutes between volumes.\n\nExample:\n  btbt move 9f9165d9a2 /srv/archive")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String
    @Argument(help: ArgumentHelp("Folder that the torrent's files will stand in.", valueName: "dir")) var save: String
    func run(_ daemon: ControlClient) throws {
        // 100 TB at 200 MB/s are six days.
        _ = try daemon.call(ControlMethods.Move.self, MoveParameters(hash: hash, save: GlobalOptions.absolute(save)), seconds: 7 * 86400)
        if global.json { JSONOutput.show(Empty()) }
    }
}
