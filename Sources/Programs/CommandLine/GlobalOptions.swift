import ArgumentParser
import Control
import Foundation

/// The options that every command takes, written before or after the command's name.
package struct GlobalOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("State folder of the daemon.", discussion: "Default: $CCBT_STATE_DIR, else $XDG_STATE_HOME/ccbt, else ~/.local/state/ccbt.", valueName: "dir"))
    package var stateDir: String?

    @Flag(name: .long, help: "Print JSON: one value, or one object a line where the output goes on.")
    package var json = false

    package init() {}

    package var stateDirectory: String { Self.absolute(stateDir ?? Self.standardStateDirectory) }
    package var socketPath: String { stateDirectory + "/" + Control.socketName }

    /// A connection to the running daemon; throws `.noDaemon` when there is none.
    package func connect() throws -> ControlClient { try ControlClient(socketPath: socketPath, stateDirectory: stateDirectory) }

    private static var standardStateDirectory: String {
        func set(_ name: String) -> String? { Terminal.environment(name).flatMap { $0.isEmpty ? nil : $0 } }
        if let own = set("CCBT_STATE_DIR") { return own }
        if let xdg = set("XDG_STATE_HOME") { return xdg + "/ccbt" }
        return NSHomeDirectory() + "/.local/state/ccbt"
    }

    package static func absolute(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.path
    }

    /// Moves the global options of `arguments` behind the rest (before a lone "--"), where every command takes them.
    package static func hoist(_ arguments: [String]) -> [String] {
        var rest: [String] = [], global: [String] = []
        var i = 0
        while i < arguments.count, arguments[i] != "--" {
            let argument = arguments[i]
            if argument == "--json" || argument.hasPrefix("--state-dir=") {
                global.append(argument)
            } else if argument == "--state-dir", i + 1 < arguments.count {
                global += [argument, arguments[i + 1]]
                i += 1
            } else {
                rest.append(argument)
            }
            i += 1
        }
        // Without a command there is nothing that could take them.
        return rest.isEmpty ? arguments : rest + global + arguments[i...]
    }
}

/// The parts that all commands share: a client for the daemon, and one way to print.
package protocol DaemonCommand: ParsableCommand {
    var global: GlobalOptions { get }
    func run(_ daemon: ControlClient) throws
}

extension DaemonCommand {
    package func run() throws { try run(try global.connect()) }
}

/// JSON as the front ends print it: sorted keys, one line, and no byte that could steer a terminal.
package enum JSONOutput {
    package static func text(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { preconditionFailure("a value that JSON cannot hold") }
        return escapeControls(String(decoding: data, as: UTF8.self))
    }

    package static func line(_ torrent: TorrentSummary) -> String {
        var bytes: [UInt8] = []
        torrent.append(to: &bytes)
        return escapeControls(String(decoding: bytes, as: UTF8.self))
    }

    /// JSON writers escape C0 only. The rest can stand in strings alone, so replacing it keeps the value.
    static func escapeControls(_ json: String) -> String {
        func isSteering(_ s: Unicode.Scalar) -> Bool { (0x7F...0x9F).contains(s.value) }
        guard json.unicodeScalars.contains(where: isSteering) else { return json }
        var out = ""
        for scalar in json.unicodeScalars {
            if isSteering(scalar) {
                out += "\\u00" + String(scalar.value, radix: 16)
            } else {
                out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    package static func show(_ value: some Encodable) { Terminal.out(text(value)) }
}
