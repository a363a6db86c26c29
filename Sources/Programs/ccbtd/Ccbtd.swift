import ArgumentParser
import Supervisor

@main struct Ccbtd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ccbtd",
        abstract: "The BitTorrent seedbox daemon: supervises one worker process per subsystem.",
        discussion: """
            Without --foreground it starts itself in the background, logs to STATE-DIR/ccbtd.log and returns once every \
            worker is ready. SIGTERM stops it in order within 10 s; SIGHUP reads the configuration again.

            Exit status: 0 stopped by order, 64 wrong use, 75 the machine or another daemon is in the way, 78 the configuration.
            """,
        version: "ccbtd \(Launch.version)")

    @Flag(help: "Stay in the foreground and log to standard error.")
    var foreground = false

    @Option(name: .customLong("state-dir"), help: ArgumentHelp("Folder of the catalogue, locks and control socket; made if missing, mode 0700.", valueName: "dir"))
    var stateDirectory: String

    @Option(name: .customLong("config"), help: ArgumentHelp("TOML file with options.", valueName: "file"))
    var configurationFile: String?

    @Option(name: .customLong("listen"), help: ArgumentHelp("Address to listen on for peers; may be given several times.", valueName: "ip:port"))
    var listen: [String] = []

    @Option(name: .customLong("set"), help: ArgumentHelp("One option, over file and environment.", valueName: "section.key=value"))
    var set: [String] = []

    func run() throws {
        let status = Launch.run(
            foreground: foreground, stateDirectory: stateDirectory, configurationFile: configurationFile, listen: listen, settings: set)
        throw ExitCode(status)
    }
}
