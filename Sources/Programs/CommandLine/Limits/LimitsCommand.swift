import ArgumentParser
import Control
import Limits

struct LimitsGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limits", abstract: "Show or change rate limits.",
        discussion: """
            Limits count payload, hold from the moment on at which they are set, and survive a restart. Rates are
            bytes per second: 500K, 1.5M, 2G; 0 for no limit.

            Examples:
              btbt limits
              btbt limits set --down 20M --up 5M
              btbt limits 9f9165d9a2 --down 1M --up 200K
              btbt limits group archive --up 2M
              btbt limits 9f9165d9a2 --group archive
              btbt limits alt set --down 2M --up 500K
              btbt limits alt schedule 'mon-fri 08:00-18:00'
            """,
        subcommands: [LimitsShow.self, LimitsSet.self, LimitsAlternative.self, LimitsOfGroup.self], defaultSubcommand: LimitsShow.self)
}

/// What several options were set to, each by itself: every one is stored before the next is sent.
private func store(_ daemon: ControlClient, _ values: [(key: String, value: String?)]) throws {
    for (key, value) in values { _ = try daemon.call(ControlMethods.SetSetting.self, SetSettingParameters(key: "limits." + key, value: value)) }
}

struct LimitsShow: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show all limits, or set those of one torrent.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String?
    @Option(name: .long, help: ArgumentHelp("Download limit of the torrent, or 'default'.", valueName: "rate")) var down: OwnRateText?
    @Option(name: .long, help: ArgumentHelp("Upload limit of the torrent, or 'default'.", valueName: "rate")) var up: OwnRateText?
    @Option(name: .long, help: ArgumentHelp("Group that the torrent shares a limit with; 'none' takes it out.", valueName: "name")) var group: String?
    @Option(name: .long, help: ArgumentHelp("Connections of the torrent; 0 for the default.", valueName: "n")) var maxPeers: Int?

    func run(_ daemon: ControlClient) throws {
        let changes = down != nil || up != nil || group != nil || maxPeers != nil
        guard let hash else {
            if changes { throw Failure(.usage, "name a torrent, or use 'btbt limits set'") }
            return try show(daemon.call(ControlMethods.ShowLimits.self))
        }
        if changes {
            _ = try daemon.call(
                ControlMethods.LimitTorrent.self,
                TorrentLimitParameters(
                    hash: hash, down: down?.bytesPerSecond, up: up?.bytesPerSecond, group: group.map { $0 == "none" ? "" : $0 }, maxPeers: maxPeers))
        }
        // The daemon resolves the prefix.
        let full = try daemon.call(ControlMethods.Show.self, ShowParameters(hash: hash)).summary
        let answer = try daemon.call(ControlMethods.ShowLimits.self)
        let row =
            answer.torrents.first { $0.hash == full.hash }
            ?? TorrentLimitRow(hash: full.hash, name: full.name, down: nil, up: nil, group: nil, maxPeers: nil)
        if global.json { return JSONOutput.show(row) }
        Self.table([row], answer).show()
    }

    private func show(_ answer: LimitsAnswer) {
        if global.json { return JSONOutput.show(answer) }
        var table = Table([.left("LIMIT"), .right("DOWN"), .right("UP"), .text("HOLDS")])
        func row(_ name: String, _ rates: RateRow, _ holds: String, _ style: Style? = nil) {
            table.add([.init(name, style), .init(RateText.show(rates.down)), .init(RateText.show(rates.up)), .init(holds)])
        }
        row("global", answer.global, answer.alternativeHolds ? "not now" : "now", answer.alternativeHolds ? .faint : nil)
        let times = answer.alternativeSchedule.isEmpty ? "" : ": " + answer.alternativeSchedule.joined(separator: ", ")
        row(
            "alternative", answer.alternative, (answer.alternativeHolds ? "now" : "not now") + ", \(answer.alternativeMode)\(times)",
            answer.alternativeHolds ? nil : .faint)
        row("each torrent", answer.perTorrent, "without its own")
        row("each peer", answer.perPeer, "always")
        row("local peers", answer.local, answer.localPeers == "own" ? "alone, for local peers" : "local peers are \(answer.localPeers)")
        for g in answer.groups { row("group \(g.name)", g.rates, g.torrents == 1 ? "1 torrent" : "\(g.torrents) torrents") }
        table.show()
        guard !answer.torrents.isEmpty else { return }
        Terminal.out("")
        Self.table(answer.torrents, answer).show()
    }

    private static func table(_ rows: [TorrentLimitRow], _ answer: LimitsAnswer) -> Table {
        var table = Table([.left("HASH"), .text("NAME"), .right("DOWN"), .right("UP"), .left("GROUP"), .right("PEERS")])
        func rate(_ own: UInt64?) -> String { own.map { $0 == 0 ? "none" : Quantity.rate($0) } ?? "default" }
        for r in rows {
            table.add([
                .init(String(r.hash.prefix(10)), .faint), .init(r.name), .init(rate(r.down)), .init(rate(r.up)), .init(r.group ?? "–"),
                .init(r.maxPeers.map(String.init) ?? "default"),
            ])
        }
        return table
    }
}

struct LimitsSet: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Change the limits of all torrents and peers.", discussion: "Example:\n  btbt limits set --down 20M --up 5M --peer-up 1M")
    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: ArgumentHelp("Received from all peers together.", valueName: "rate")) var down: RateText?
    @Option(name: .long, help: ArgumentHelp("Sent to all peers together.", valueName: "rate")) var up: RateText?
    @Option(name: .long, help: ArgumentHelp("Received by each torrent without its own limit.", valueName: "rate")) var torrentDown: RateText?
    @Option(name: .long, help: ArgumentHelp("Sent by each torrent without its own limit.", valueName: "rate")) var torrentUp: RateText?
    @Option(name: .long, help: ArgumentHelp("Received from each peer.", valueName: "rate")) var peerDown: RateText?
    @Option(name: .long, help: ArgumentHelp("Sent to each peer.", valueName: "rate")) var peerUp: RateText?
    @Option(name: .long, help: ArgumentHelp("Peers of the local network: limited, exempt or own.", valueName: "how")) var local: String?
    @Option(name: .long, help: ArgumentHelp("Received from local peers together, with --local own.", valueName: "rate")) var localDown: RateText?
    @Option(name: .long, help: ArgumentHelp("Sent to local peers together, with --local own.", valueName: "rate")) var localUp: RateText?

    func run(_ daemon: ControlClient) throws {
        let rates: [(String, RateText?)] = [
            ("global_down_kib", down), ("global_up_kib", up), ("per_torrent_down_kib", torrentDown), ("per_torrent_up_kib", torrentUp),
            ("per_peer_down_kib", peerDown), ("per_peer_up_kib", peerUp), ("local_down_kib", localDown), ("local_up_kib", localUp),
        ]
        var values = rates.compactMap { key, rate in rate.map { (key: key, value: Optional("\($0.kib)")) } }
        if let local { values.append(("local_peers", local)) }
        guard !values.isEmpty else { throw Failure(.usage, "nothing to set; see 'btbt limits set --help'") }
        try store(daemon, values)
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct LimitsAlternative: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alt", abstract: "Alternative limits, which take the place of the global ones by hand or by the clock.",
        discussion: """
            Examples:
              btbt limits alt set --down 2M --up 500K
              btbt limits alt on
              btbt limits alt schedule 'mon-fri 08:00-18:00' 'sat+sun 10:00-14:00'
              btbt limits alt off
            """,
        subcommands: [LimitsAlternativeSet.self, LimitsAlternativeOn.self, LimitsAlternativeOff.self, LimitsAlternativeSchedule.self])
}

struct LimitsAlternativeSet: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Change the alternative limits.")
    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: ArgumentHelp("Received from all peers together.", valueName: "rate")) var down: RateText?
    @Option(name: .long, help: ArgumentHelp("Sent to all peers together.", valueName: "rate")) var up: RateText?

    func run(_ daemon: ControlClient) throws {
        guard down != nil || up != nil else { throw Failure(.usage, "nothing to set: give --down or --up") }
        try store(daemon, [("alt_down_kib", down), ("alt_up_kib", up)].compactMap { key, rate in rate.map { (key: key, value: Optional("\($0.kib)")) } })
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct LimitsAlternativeOn: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "on", abstract: "Hold the alternative limits from now on.")
    @OptionGroup var global: GlobalOptions
    func run(_ daemon: ControlClient) throws {
        try store(daemon, [("alt_mode", "on")])
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct LimitsAlternativeOff: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "off", abstract: "Hold the ordinary limits from now on, whatever the schedule says.")
    @OptionGroup var global: GlobalOptions
    func run(_ daemon: ControlClient) throws {
        try store(daemon, [("alt_mode", "off")])
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct LimitsAlternativeSchedule: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedule", abstract: "Hold the alternative limits at these times, in the daemon's local time.",
        discussion: "Without times, the stored schedule is put in force again. Days are mon, tue, …, mon-fri, sat+sun or daily.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("Days and times, as 'mon-fri 22:00-06:00'.", valueName: "times")) var times: [String] = []
    func run(_ daemon: ControlClient) throws {
        if let wrong = times.first(where: { WeekSchedule([$0]) == nil }) {
            throw Failure(.usage, "\"\(wrong)\": times are as 'mon-fri 22:00-06:00', 'sat+sun 00:00-24:00' or 'daily 1:00-7:30'")
        }
        if !times.isEmpty { try store(daemon, [("alt_schedule", times.joined(separator: ","))]) }
        try store(daemon, [("alt_mode", "schedule")])
        if global.json { JSONOutput.show(Empty()) }
    }
}

struct LimitsOfGroup: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "group", abstract: "Make, change or remove a group of torrents that share a limit.",
        discussion: "Put torrents into it by 'btbt limits HASH --group NAME'.\n\nExamples:\n  btbt limits group archive --up 2M\n  btbt limits group archive --remove")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Letters, digits, '-', '_' and '.'.") var name: String
    @Option(name: .long, help: ArgumentHelp("Received by its torrents together.", valueName: "rate")) var down: RateText?
    @Option(name: .long, help: ArgumentHelp("Sent by its torrents together.", valueName: "rate")) var up: RateText?
    @Flag(name: .long, help: "Remove the group; its torrents are then in none.") var remove = false

    func run(_ daemon: ControlClient) throws {
        guard LimitGroup.isName(name) else { throw Failure(.usage, "\(name): a group's name has letters, digits, '-', '_' and '.'") }
        let answer = try daemon.call(ControlMethods.ShowLimits.self)
        let known = answer.groups.first { $0.name == name }
        var groups = answer.groups.filter { $0.name != name }.map { "\($0.name):\($0.rates.down / 1024):\($0.rates.up / 1024)" }
        if remove {
            guard known != nil else { throw Failure(.notFound, "no group \(name)") }
        } else {
            let entry = "\(name):\(down?.kib ?? Int64((known?.rates.down ?? 0) / 1024)):\(up?.kib ?? Int64((known?.rates.up ?? 0) / 1024))"
            // A group keeps its place.
            let place = answer.groups.firstIndex { $0.name == name } ?? groups.count
            groups.insert(entry, at: place)
        }
        try store(daemon, [("groups", groups.joined(separator: ","))])
        for torrent in answer.torrents where remove && torrent.group == name {
            _ = try daemon.call(ControlMethods.LimitTorrent.self, TorrentLimitParameters(hash: torrent.hash, group: ""))
        }
        if global.json { JSONOutput.show(Empty()) }
    }
}
