import ArgumentParser
import Control
import Foundation
import Glibc

struct DownloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "download", abstract: "Download a torrent in the foreground.",
        discussion: """
            Brings up the daemon's worker processes for this one torrent, with their state in DIR/.ccbt, and ends
            when every piece is verified. Run again after an interruption, it goes on where it was.

            Examples:
              ccbt debian.torrent -o /srv/downloads
              ccbt debian.torrent --peer 192.0.2.7:6881 --seed
              ccbt debian.torrent --json | jq .progress
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("A torrent file or a magnet link.", valueName: "file|magnet")) var source: String
    @Option(name: [.customShort("o"), .customLong("output")], help: ArgumentHelp("Folder that the data goes to.", valueName: "dir"))
    var output = "."
    @Flag(name: .long, help: "Go on seeding after the download, until interrupted.") var seed = false
    @Option(name: .long, help: ArgumentHelp("Address and port for peers (default: any free port).", valueName: "ip:port")) var listen: String?
    @Option(name: .long, help: ArgumentHelp("A peer to connect to; may be repeated.", valueName: "host:port")) var peer: [String] = []
    @Flag(name: .long, help: "Do not use the DHT.") var noDht = false
    @Flag(name: .long, help: "Do not exchange peers with peers.") var noPex = false
    @Flag(name: .long, help: "Do not look for peers on the local network.") var noLsd = false
    @Option(name: .long, help: ArgumentHelp("Download limit, as 500K or 1.5M bytes a second.", valueName: "rate")) var downLimit: RateText?
    @Option(name: .long, help: ArgumentHelp("Upload limit.", valueName: "rate")) var upLimit: RateText?
    @Flag(name: .long, help: "Download the pieces in order.") var sequential = false
    @Option(name: .long, help: ArgumentHelp("Files to fetch: numbers and ranges, as 0,3-5 ('ccbt info' shows them).", valueName: "list")) var files: String?
    @Option(name: .long, help: ArgumentHelp("Priority of a file or range: skip, low, normal, high, maximum; may be repeated.", valueName: "index=level")) var filePriority: [String] = []
    @Flag(name: .long, help: "Believe that all data is there, without hashing it.") var skipCheck = false
    @Option(name: .long, help: ArgumentHelp("A setting, as in the configuration file; may be repeated.", valueName: "key=value"))
    var set: [String] = []

    func run() throws {
        let folder = GlobalOptions.absolute(output)
        let target = try DownloadTarget(source)
        var run = try ForegroundDownload(
            target: target, folder: folder,
            stateDirectory: global.stateDir.map(GlobalOptions.absolute) ?? "\(folder)/.ccbt/\(target.hash)",
            ownsState: global.stateDir == nil && !seed, options: self)
        run.parameters.save = folder
        run.parameters.sequential = sequential
        run.parameters.only = files?.split(separator: ",").map(String.init)
        run.parameters.priorities = filePriority.isEmpty ? nil : filePriority
        run.parameters.skipCheck = skipCheck
        run.parameters.peers = peer.isEmpty ? nil : try peer.map { try PeerAddress.resolve($0) }
        try run.perform()
    }

    /// The settings as the daemon's environment takes them.
    func environment() throws -> [(String, String)] {
        var out: [(String, String)] = []
        // A download in a terminal is watched there.
        if !set.contains(where: { $0.hasPrefix("api.enable=") }) { out.append(("CCBT_API_ENABLE", "false")) }
        if listen == nil { out.append(("CCBT_NETWORK_LISTEN_PORT", "0")) }
        if let downLimit { out.append(("CCBT_LIMITS_GLOBAL_DOWN_KIB", "\(downLimit.kib)")) }
        if let upLimit { out.append(("CCBT_LIMITS_GLOBAL_UP_KIB", "\(upLimit.kib)")) }
        if noDht { out.append(("CCBT_DISCOVERY_ENABLE_DHT", "false")) }
        if noPex { out.append(("CCBT_DISCOVERY_ENABLE_PEX", "false")) }
        if noLsd { out.append(("CCBT_DISCOVERY_ENABLE_LSD", "false")) }
        for pair in set {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw Failure(.usage, "--set \(pair): settings are KEY=VALUE") }
            out.append((try SettingCheck.variable(key: String(parts[0]), value: String(parts[1])), String(parts[1])))
        }
        return out
    }
}

/// The torrent named on the command line, read once and identified before anything is started.
struct DownloadTarget {
    /// Hexadecimal; names the private state folder.
    let hash: String
    let parameters: AddParameters

    init(_ source: String) throws {
        (hash, parameters) = try TorrentSource.identify(source)
    }
}
