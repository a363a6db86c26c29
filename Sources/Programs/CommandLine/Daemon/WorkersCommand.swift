import ArgumentParser
import Control

struct WorkersGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workers", abstract: "Show the worker processes, or restart one.",
        discussion: "Examples:\n  btbt workers\n  btbt workers restart disk:0",
        subcommands: [WorkersList.self, WorkersRestart.self], defaultSubcommand: WorkersList.self)
}

struct WorkersList: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Show the worker processes.")
    @OptionGroup var global: GlobalOptions

    func run(_ daemon: ControlClient) throws {
        let workers = try daemon.call(ControlMethods.Workers.self).workers
        if global.json { return JSONOutput.show(workers) }
        Self.table(workers).show()
    }

    static func table(_ workers: [WorkerRow]) -> Table {
        var table = Table([
            .left("WORKER"), .right("PID"), .left("STATE"), .right("GENERATION"), .right("RESTARTS"), .right("UP"), .right("CPU"), .right("MEMORY"),
            .text("LAST END"),
        ])
        for w in workers {
            let style: Style = w.state == "ready" ? .good : w.state == "open" || w.state == "backoff" ? .bad : .warn
            table.add([
                .init(w.name), .init(w.pid == 0 ? "–" : "\(w.pid)"), .init(w.state, style), .init("\(w.generation)"),
                .init("\(w.restarts)", w.restarts > 0 ? .warn : nil), .init(Quantity.duration(w.uptimeMilliseconds / 1000)),
                .init(Quantity.decimals(Double(w.cpuMilliseconds) / 1000, 2) + " s"), .init(Quantity.bytes(w.residentBytes)), .init(w.reason ?? ""),
            ])
        }
        return table
    }
}

struct WorkersRestart: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart", abstract: "Restart one worker; transfers go on.", discussion: "Examples:\n  btbt workers restart peer:0\n  btbt workers restart disk")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "session, peer:0, disk:0 or discovery.") var name: String

    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.RestartWorker.self, WorkerParameters(worker: name))
        if global.json { JSONOutput.show(Empty()) }
    }
}
