import ArgumentParser
import Control

struct NATGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nat", abstract: "Show what the router forwards to us.", discussion: "Example:\n  btbt nat status", subcommands: [NATStatusCommand.self],
        defaultSubcommand: NATStatusCommand.self)
}

struct NATStatusCommand: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "Show port mappings by PCP, NAT-PMP or UPnP.")
    @OptionGroup var global: GlobalOptions

    func run(_ daemon: ControlClient) throws {
        let s = try daemon.call(ControlMethods.NATStatus.self)
        if global.json { return JSONOutput.show(s) }
        guard s.enabled else { return Terminal.out("No port is mapped: the options of [nat] want none.") }
        Terminal.out("router \(s.gateway ?? "unknown"), outside address \(s.external ?? "unknown"), " + (s.method.map { "by \($0)" } ?? "not mapped: \(s.failure ?? "asking")"))
        guard !s.mappings.isEmpty else { return }
        var table = Table([.left("PROTOCOL"), .right("INSIDE"), .right("OUTSIDE"), .right("LEASE LEFT")])
        for m in s.mappings {
            table.add([
                .init(m.transport), .init("\(m.internalPort)"), .init(m.externalPort.map(String.init) ?? "–", m.externalPort == nil ? .warn : .good),
                .init(m.externalPort == nil ? "–" : Quantity.duration(UInt64(m.secondsLeft))),
            ])
        }
        table.show()
    }
}
