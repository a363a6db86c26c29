import ArgumentParser
import Control
import Foundation
import Glibc

struct DaemonGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "daemon", abstract: "Start, stop and look at the daemon.",
        subcommands: [DaemonStart.self, DaemonStop.self, DaemonStatusCommand.self, DaemonReload.self])
}

struct DaemonStart: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Start a daemon in the background.",
        discussion: """
            The daemon is the program ccbtd beside btbt. Its log goes to the file 'log' in the state folder.
            Done when it answers; nothing is done when it runs already.

            Examples:
              btbt daemon start
              btbt --state-dir /srv/ccbt daemon start --config /etc/ccbt.toml --listen 0.0.0.0:64122
            """)
    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: ArgumentHelp("Configuration file (TOML).", valueName: "file")) var config: String?
    @Option(name: .long, help: ArgumentHelp("Address and port for peers; may be repeated.", valueName: "ip:port")) var listen: [String] = []

    func run() throws {
        if let running = try? global.connect(), let version = try? running.call(ControlMethods.Version.self) {
            return report("running already", pid: nil, version: version.version)
        }
        var arguments: [String] = []
        if let config { arguments += ["--config", GlobalOptions.absolute(config)] }
        for endpoint in listen { arguments += ["--listen", endpoint] }
        let daemon = try DaemonProcess.start(
            stateDirectory: global.stateDirectory, arguments: arguments, environment: [], life: .independent)
        let client = try daemon.waitUntilReady(global)
        report("started", pid: Int(daemon.pid), version: try client.call(ControlMethods.Version.self).version)
    }

    private func report(_ what: String, pid: Int?, version: String) {
        struct Report: Encodable {
            var result: String, pid: Int?, version: String, stateDirectory: String
        }
        if global.json {
            JSONOutput.show(Report(result: what, pid: pid, version: version, stateDirectory: global.stateDirectory))
        } else {
            Terminal.out("ccbtd \(version) \(what)\(pid.map { ", pid \($0)" } ?? ""), state in \(Printable.escape(global.stateDirectory))")
        }
    }
}

struct DaemonStop: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Stop the daemon; it syncs what it wrote and ends within 10 seconds.",
        discussion: "Example:\n  btbt daemon stop")
    @OptionGroup var global: GlobalOptions

    func run() throws {
        let daemon = try global.connect()
        _ = try daemon.call(ControlMethods.Shutdown.self)
        // 10 s are the daemon's own bound; the rest is for a slow machine.
        let deadline = Date(timeIntervalSinceNow: 15)
        while Date() < deadline {
            do { _ = try global.connect() } catch let failure as Failure where failure.status == .noDaemon {
                if global.json { JSONOutput.show(["result": "stopped"]) } else { Terminal.out("stopped") }
                return
            }
            usleep(20_000)
        }
        throw Failure(.temporary, "the daemon still runs after 15 s")
    }
}

struct DaemonReload: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Read the configuration file again (as SIGHUP does).")
    @OptionGroup var global: GlobalOptions
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.Reload.self)
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct DaemonStatusCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show what the daemon does as a whole.",
        discussion: "Exit status 3 when no daemon runs.\n\nExample:\n  btbt --json daemon status")
    @OptionGroup var global: GlobalOptions

    func run(_ daemon: ControlClient) throws {
        let s = try daemon.call(ControlMethods.Status.self)
        if global.json { return JSONOutput.show(s) }
        let colour = Terminal.hasColour
        let health = s.healthy ? Style.good("all workers ready", colour: colour) : Style.bad("a worker is down; see 'btbt workers'", colour: colour)
        let states = TorrentState.allCases.compactMap { state in s.states[state.rawValue].flatMap { $0 > 0 ? "\($0) \(state.rawValue)" : nil } }
        Terminal.out("ccbtd \(Printable.escape(s.version)), \(health), up \(Quantity.duration(s.uptime))")
        Terminal.out("state      \(Printable.escape(s.stateDirectory))")
        Terminal.out("listening  \(s.listenPort == 0 ? "not now" : "port \(s.listenPort)")")
        if !s.externalAddresses.isEmpty { Terminal.out("seen as    \(Printable.escape(s.externalAddresses.joined(separator: ", ")))") }
        Terminal.out("torrents   \(s.torrents)" + (states.isEmpty ? "" : ": " + states.joined(separator: ", ")))
        Terminal.out("peers      \(s.peers)")
        Terminal.out("now        ↓ \(Quantity.rate(s.downRate))   ↑ \(Quantity.rate(s.upRate))")
        Terminal.out("ever       ↓ \(Quantity.bytes(s.downloaded))   ↑ \(Quantity.bytes(s.uploaded))")
        Terminal.out("disk       \(s.disk.isEmpty ? "away" : Printable.escape(s.disk)); written \(Quantity.bytes(s.bytesWritten)), read \(Quantity.bytes(s.bytesRead))")
    }
}
