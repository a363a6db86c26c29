import ArgumentParser
import Glibc

/// `btbt`: drives a running daemon. Each command is one request and one answer, except `watch`.
package struct Btbt: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "btbt", abstract: "Drive a running ccbt daemon.",
        discussion: """
            --state-dir and --json may stand before or after the command. HASH is an info-hash or at least its
            first 6 digits.

            Exit status: 0 done, 1 failed, 2 usage, 3 no daemon, 4 not found, 75 try again later, 78 configuration.

            Examples:
              btbt daemon start
              btbt add debian.torrent --save /srv/downloads
              btbt list
              btbt --json watch --interval 0.5
              btbt workers
            """,
        version: ProgramVersion.text,
        subcommands: [
            DaemonGroup.self, AddCommand.self, ListCommand.self, ShowCommand.self, FilesGroup.self, PeersGroup.self,
            TrackersCommand.self, AnnounceCommand.self, ScrapeCommand.self, PauseCommand.self, ResumeCommand.self, RemoveCommand.self,
            MoveCommand.self, RecheckCommand.self, CreateCommand.self, WorkersGroup.self, DHTGroup.self, NATGroup.self, BansGroup.self,
            StreamPositionCommand.self, WatchCommand.self, LimitsGroup.self,
            FilterGroup.self, SettingsGroup.self, SetCommand.self, CategoryGroup.self, TagGroup.self, QueueCommand.self, TrackerGroup.self, RenameGroup.self,
            ExportCommand.self, RSSGroup.self, WatchFolderGroup.self, LogCommand.self, StatsCommand.self,
        ])
    package init() {}
}

package enum ProgramVersion {
    package static let text = "0.1.0"
}

/// The main of both front ends.
package enum FrontEnd {
    package static func main<Root: ParsableCommand>(_ root: Root.Type, arguments: [String] = Array(Swift.CommandLine.arguments.dropFirst())) -> Never {
        DaemonProcess.becomeDaemonIfAsked(Swift.CommandLine.arguments)
        // A reader that goes away shows as EPIPE at the write, where it is handled.
        signal(SIGPIPE, SIG_IGN)
        exit(run(root, arguments: arguments).rawValue)
    }

    package static func run<Root: ParsableCommand>(_ root: Root.Type, arguments: [String]) -> ExitStatus {
        do {
            var command = try root.parseAsRoot(GlobalOptions.hoist(arguments))
            try command.run()
            return .done
        } catch let failure as Failure {
            Terminal.error("\(root._commandName): \(failure.description)")
            return failure.status
        } catch let code as ArgumentParser.ExitCode {
            return ExitStatus(rawValue: code.rawValue) ?? .failed
        } catch {
            // Help and version come here as errors as well.
            let text = root.fullMessage(for: error)
            switch root.exitCode(for: error) {
            case .success:
                Terminal.out(text)
                return .done
            case .validationFailure:
                Terminal.error(text)
                return .usage
            default:
                Terminal.error("\(root._commandName): \(Printable.escape(text))")
                return .failed
            }
        }
    }
}
