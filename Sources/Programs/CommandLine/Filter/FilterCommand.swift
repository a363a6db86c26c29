import ArgumentParser
import Control

struct FilterGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "filter", abstract: "Show, test or change the IP filter.",
        discussion: """
            Lists may hold CIDR prefixes, ranges, eMule ipfilter.dat or PeerGuardian .p2p lines, or be PeerGuardian's
            P2B files; each may be gzipped. They are named by the settings security.ip_filter.filter_files and
            security.ip_filter.filter_urls.

            Examples:
              btbt filter on
              btbt settings set security.ip_filter.filter_files /etc/ccbt/level1.p2p.gz
              btbt filter add 192.0.2.0/24
              btbt filter test 192.0.2.7
              btbt filter
            """,
        subcommands: [
            FilterStatus.self, FilterOn.self, FilterOff.self, FilterReload.self, FilterTest.self, FilterAdd.self, FilterRemove.self,
        ], defaultSubcommand: FilterStatus.self)
}

struct FilterStatus: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "Show what is in force, and what could not be read.")
    @OptionGroup var global: GlobalOptions

    func run(_ daemon: ControlClient) throws {
        let answer = try daemon.call(ControlMethods.ShowFilter.self)
        if global.json { return JSONOutput.show(answer) }
        guard answer.enabled else { return Terminal.out("off; 'btbt filter on' puts it in force") }
        let what = answer.mode == "allow" ? "only these are spoken with" : "these are refused"
        Terminal.out(
            "\(answer.ranges) ranges, \(answer.addresses) IPv4 addresses: \(what)" + (answer.loading ? " (being read again)" : "")
                + "; read in \(answer.loadMilliseconds) ms, a look-up takes \(Quantity.decimals(answer.lookupNanoseconds, 0)) ns")
        Terminal.out("\(answer.refused) connections refused, \(answer.notTaken) addresses not taken, \(answer.closed) connections closed")
        guard !answer.lists.isEmpty else { return }
        var table = Table([.text("LIST"), .right("LINES"), .right("RANGES"), .right("UNREAD"), .left("OF"), .text("TROUBLE")])
        for list in answer.lists {
            let lines = list.malformed.map { "line \($0.line): \($0.text)" }.joined(separator: "; ")
            table.add([
                .init(list.source), .init("\(list.lines)"), .init("\(list.ranges)"), .init("\(list.malformedCount)", list.malformedCount > 0 ? .warn : nil),
                .init(list.modified.map(ShowCommand.date) ?? "–"), .init([list.error ?? "", lines].filter { !$0.isEmpty }.joined(separator: "; "), .bad),
            ])
        }
        table.show()
    }
}

struct FilterOn: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "on", abstract: "Put the filter in force.")
    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: ArgumentHelp("block: the listed addresses are refused; allow: all others are.", valueName: "block|allow")) var mode: String?
    func run(_ daemon: ControlClient) throws {
        if let mode { _ = try daemon.call(ControlMethods.SetSetting.self, SetSettingParameters(key: "security.ip_filter.filter_mode", value: mode)) }
        _ = try daemon.call(ControlMethods.SetSetting.self, SetSettingParameters(key: "security.ip_filter.enable_ip_filter", value: "true"))
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct FilterOff: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "off", abstract: "Refuse nobody by address.")
    @OptionGroup var global: GlobalOptions
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.SetSetting.self, SetSettingParameters(key: "security.ip_filter.enable_ip_filter", value: "false"))
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct FilterReload: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "reload", abstract: "Read every list again, and fetch those that have a URL.")
    @OptionGroup var global: GlobalOptions
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.ReloadFilter.self)
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct FilterTest: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "test", abstract: "Say whether an address is refused; exit status 1 if it is.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "An IPv4 or IPv6 address.") var address: String
    func run(_ daemon: ControlClient) throws {
        let answer = try daemon.call(ControlMethods.TestFilter.self, FilterTestParameters(address: address))
        if global.json { JSONOutput.show(answer) } else { Terminal.out("\(answer.address) is \(answer.blocked ? "refused" : "spoken with")") }
        if answer.blocked { throw ExitCode(1) }
    }
}

struct FilterAdd: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add addresses, ranges or prefixes.", discussion: "Example:\n  btbt filter add 192.0.2.0/24 198.51.100.7 2001:db8::/32")
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("192.0.2.7, 192.0.2.1-192.0.2.9 or 192.0.2.0/24, and the same of IPv6.", valueName: "range")) var ranges: [String]
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.ChangeFilterRanges.self, FilterRangesParameters(add: ranges))
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct FilterRemove: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "remove", abstract: "Take back what 'add' added, in the same words.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("As it was added.", valueName: "range")) var ranges: [String]
    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.ChangeFilterRanges.self, FilterRangesParameters(remove: ranges))
        if global.json { JSONOutput.show(Empty()) }
    }
}
