import ArgumentParser
import Control

struct SettingsGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "Show or change the daemon's settings.",
        discussion: """
            What 'set' changes is stored by the daemon and wins over its configuration file until it is unset.

            Examples:
              btbt settings
              btbt settings show disk
              btbt settings set queue.max_active_downloading 5
              btbt settings unset queue.max_active_downloading
            """,
        subcommands: [SettingsShow.self, SettingsSet.self, SettingsUnset.self], defaultSubcommand: SettingsShow.self)
}

struct SettingsShow: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show settings and what they mean.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "A section or an option; default: all.") var key: String?

    func run(_ daemon: ControlClient) throws {
        let options = try daemon.call(ControlMethods.ShowSettings.self).options.filter { row in
            key == nil || row.key == key || row.key.hasPrefix(key! + ".")
        }
        if options.isEmpty { throw Failure(.notFound, "no setting \(key ?? "")") }
        if global.json { return JSONOutput.show(options) }
        var table = Table([.left("OPTION"), .left("VALUE"), .left("DEFAULT"), .left("ALLOWED"), .text("MEANING")])
        for o in options {
            table.add([
                .init(o.key), .init(o.value.isEmpty ? "\"\"" : o.value, o.isOverridden ? .accent : o.value == o.standard ? nil : .strong),
                .init(o.standard.isEmpty ? "\"\"" : o.standard, .faint), .init(o.limits, .faint), .init(o.doc),
            ])
        }
        table.show()
    }
}

struct SettingsSet: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Change a setting.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "section.key") var key: String
    @Argument(help: "The value, as in the configuration file without quotes.") var value: String

    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.SetSetting.self, SetSettingParameters(key: key, value: value))
        try SettingsUnset.report(daemon, key: key, json: global.json)
    }
}

struct SettingsUnset: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "unset", abstract: "Give a setting back to the configuration file.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "section.key") var key: String

    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.SetSetting.self, SetSettingParameters(key: key, value: nil))
        try Self.report(daemon, key: key, json: global.json)
    }

    static func report(_ daemon: ControlClient, key: String, json: Bool) throws {
        guard let row = try daemon.call(ControlMethods.ShowSettings.self).options.first(where: { $0.key == key }) else { return }
        if json { return JSONOutput.show(row) }
        Terminal.out("\(row.key) = \(Printable.escape(row.value))" + (row.needsRestart ? "  (the workers that read it are restarted)" : ""))
    }
}
