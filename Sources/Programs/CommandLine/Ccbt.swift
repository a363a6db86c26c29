import ArgumentParser

/// `ccbt`: what needs no daemon.
package struct Ccbt: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "ccbt", abstract: "Download a torrent, look into one, or examine this machine.",
        discussion: """
            Without a command's name the arguments are those of 'download'. To drive a daemon, use btbt.

            Exit status: 0 done, 1 failed, 2 usage, 4 not found, 75 try again later, 78 configuration,
            130 or 143 interrupted.

            Examples:
              ccbt debian.torrent
              ccbt 'magnet:?xt=urn:btih:…' -o /srv/downloads --seed
              ccbt info debian.torrent
              ccbt doctor /srv/downloads
            """,
        version: ProgramVersion.text,
        subcommands: [DownloadCommand.self, InfoCommand.self, DoctorCommand.self], defaultSubcommand: DownloadCommand.self)
    package init() {}
}
