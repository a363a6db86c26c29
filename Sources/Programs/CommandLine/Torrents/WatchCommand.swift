import ArgumentParser
import Control
import Foundation

struct WatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Follow torrents until interrupted.",
        discussion: """
            With --json one object a line: hash, name, state, progress, done, size, downRate, upRate, peers,
            downloaded, downloadedAgain, uploaded, error and more; {"removed":HASH} when a torrent goes. A restart of
            the session worker is waited out. Ends with status 3 when the daemon stops.

            Examples:
              btbt watch 9f9165d9a2
              btbt --json watch --interval 0.025
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits; default: all torrents.") var hash: String?
    @Option(name: .long, help: ArgumentHelp("Seconds between two looks, at least \(Control.watchIntervalMinimum).", valueName: "seconds"))
    var interval: Double = Control.watchIntervalDefault

    func validate() throws {
        guard interval >= Control.watchIntervalMinimum, interval <= 3600 else {
            throw ValidationError("--interval must lie in \(Control.watchIntervalMinimum) ... 3600")
        }
    }

    func run() throws {
        Interruption.catchSignals()
        var display = LiveDisplay(interactive: Terminal.isInteractive && hash != nil)
        let begin = Date()
        // While the session worker restarts, a new connection waits in the supervisor's listening socket.
        while Interruption.signal == nil {
            let daemon = try global.connect()
            do {
                try daemon.startWatch(hash: hash, interval: interval)
                while Interruption.signal == nil {
                    switch try daemon.nextWatchEvent(within: 3600) {
                    case .torrent(let torrent): show(torrent, &display, elapsed: -begin.timeIntervalSinceNow)
                    case .removed(let hash):
                        if global.json { JSONOutput.show(["removed": hash]) } else { Terminal.out("\(hash.prefix(10))  removed") }
                        if self.hash != nil { return }
                    case nil: break
                    }
                }
            } catch let failure as Failure where failure.status == .temporary { usleep(100_000) }
        }
        display.keep()
    }

    private func show(_ torrent: TorrentSummary, _ display: inout LiveDisplay, elapsed: Double) {
        if global.json { return Terminal.out(JSONOutput.line(torrent)) }
        if hash != nil { return display.show(ProgressSample(torrent), elapsedSeconds: elapsed) }
        Terminal.out(
            "\(torrent.hash.prefix(10))  \(ProgressBar.plain(ProgressSample(torrent)))  \(Printable.truncate(Printable.escape(torrent.name), to: 40))"
                + (torrent.error.map { "  " + Printable.escape($0) } ?? ""))
    }
}

extension ProgressSample {
    init(_ torrent: TorrentSummary, pieces: [UInt8] = []) {
        self.init(
            name: torrent.name, state: torrent.state.rawValue, done: torrent.done, size: torrent.size, downRate: torrent.downRate,
            upRate: torrent.upRate, peers: torrent.peers, pieces: pieces, pieceCount: pieces.isEmpty ? 0 : torrent.pieceCount)
    }
}
