import ArgumentParser
import Control
import Foundation

struct BansGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bans", abstract: "List the banned addresses, or change them.",
        discussion: """
            Peers that send corrupt data or flood are banned by themselves, for a day or for minutes. Bans outlive
            restarts.

            Examples:
              btbt bans
              btbt bans add 192.0.2.7 --hours 48
              btbt bans lift 192.0.2.7
            """,
        subcommands: [BansList.self, BansAdd.self, BansLift.self], defaultSubcommand: BansList.self)
}

struct BansList: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the banned addresses, the latest first.")
    @OptionGroup var global: GlobalOptions

    func run(_ daemon: ControlClient) throws {
        let bans = try daemon.call(ControlMethods.Bans.self).bans
        if global.json { return JSONOutput.show(bans) }
        if bans.isEmpty { return Terminal.out("no bans") }
        var table = Table([.left("ADDRESS"), .left("REASON"), .left("SINCE"), .right("LEFT")])
        let now = UInt64(Date().timeIntervalSince1970)
        for b in bans {
            let left = b.until > now ? b.until - now : 0
            table.add([
                .init(b.address), .init(b.reason.replacingOccurrences(of: "_", with: " ")), .init(ShowCommand.date(b.since), .faint), .init(Quantity.duration(left)),
            ])
        }
        table.show()
    }
}

struct BansAdd: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "add", abstract: "Ban addresses; their connections are closed.", discussion: "Example:\n  btbt bans add 192.0.2.7 --hours 48")
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("IP addresses.", valueName: "address")) var addresses: [String]
    @Option(name: .long, help: ArgumentHelp("How long.", valueName: "hours")) var hours: Double = 24

    func run(_ daemon: ControlClient) throws {
        guard hours.isFinite, hours > 0, hours <= 87_600 else { throw Failure(.usage, "--hours may be up to 87600, which are ten years") }
        for address in addresses { _ = try daemon.call(ControlMethods.AddBan.self, AddBanParameters(address: address, seconds: UInt32(max(1, hours * 3600)))) }
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct BansLift: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "lift", abstract: "Lift bans.", discussion: "Example:\n  btbt bans lift 192.0.2.7")
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("Addresses as 'btbt bans' shows them.", valueName: "address")) var addresses: [String]

    func run(_ daemon: ControlClient) throws {
        for address in addresses { _ = try daemon.call(ControlMethods.LiftBan.self, AddressParameters(address: address)) }
        if global.json { JSONOutput.show(Empty()) }
    }
}
