import ArgumentParser
import Control
import Foundation

struct ListCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the torrents.",
        discussion: "Examples:\n  btbt list\n  btbt --json list | jq '.[] | select(.state == \"error\")'")
    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: ArgumentHelp("Only torrents in this state.", valueName: "state")) var state: String?

    func run(_ daemon: ControlClient) throws {
        let wanted = try state.map { text in
            guard let state = TorrentState(rawValue: text) else {
                throw Failure(.usage, "no state \(text); states are \(TorrentState.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return state
        }
        let torrents = try daemon.call(ControlMethods.List.self).torrents.filter { wanted == nil || $0.state == wanted }
        if global.json { return JSONOutput.show(torrents) }
        if torrents.isEmpty { return Terminal.out(wanted == nil ? "no torrents" : "no torrent is \(wanted!.rawValue)") }
        var table = Table([
            .left("HASH"), .text("NAME"), .left("STATE"), .right("DONE"), .right("SIZE"), .right("DOWN"), .right("UP"), .right("PEERS"),
            .right("ETA"), .right("RATIO"),
        ])
        for t in torrents {
            table.add([
                .init(String(t.hash.prefix(10)), .faint), .init(t.name), .init(t.state.rawValue, t.state.style),
                .init(t.state == .checking ? Quantity.percent(UInt64(t.progress * 1000), of: 1000) : Quantity.percent(t.wantedDone, of: t.wanted)),
                .init(t.size == 0 ? "–" : Quantity.bytes(t.size)), .init(t.downRate == 0 ? "–" : Quantity.rate(t.downRate)),
                .init(t.upRate == 0 ? "–" : Quantity.rate(t.upRate)), .init("\(t.peers)"),
                .init(t.state == .downloading ? Quantity.duration(t.eta) : "–"), .init(Quantity.decimals(max(0, t.ratio), 2)),
            ])
        }
        table.show()
        for t in torrents { if let error = t.error { Terminal.out("\(t.hash.prefix(10))  \(Style.bad(Printable.escape(error), colour: Terminal.hasColour))") } }
    }
}

extension TorrentState {
    var style: Style? {
        switch self {
        case .downloading, .metadata: .accent
        case .seeding, .completed: .good
        case .checking, .waiting: .warn
        case .paused, .queued: .faint
        case .error: .bad
        }
    }
}

struct ShowCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one torrent.", discussion: "Example:\n  btbt show 9f9165d9a2")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String
    @Flag(name: .long, help: "With --json: also the durable pieces, as a base64 bitfield.") var pieces = false

    func run(_ daemon: ControlClient) throws {
        // For people the map of pieces always belongs to it.
        let details = try daemon.call(ControlMethods.Show.self, ShowParameters(hash: hash, pieces: pieces || !global.json))
        if global.json { return JSONOutput.show(details) }
        let t = details.summary
        func line(_ name: String, _ value: String?) {
            if let value, !value.isEmpty { Terminal.out(Printable.pad(name, to: 12) + Printable.escape(value)) }
        }
        line("name", t.name)
        line("hash", t.hash)
        line("hash v2", t.hashV2)
        line("state", t.state.rawValue + (t.error.map { ": " + $0 } ?? ""))
        line("saved in", t.savePath)
        line("done", "\(Quantity.percent(t.done, of: t.size)), \(Quantity.bytes(t.done)) of \(Quantity.bytes(t.size))")
        if t.wanted != t.size { line("wanted", "\(Quantity.percent(t.wantedDone, of: t.wanted)), \(Quantity.bytes(t.wantedDone)) of \(Quantity.bytes(t.wanted))") }
        line("pieces", "\(t.piecesHave) of \(t.pieceCount) of \(Quantity.bytes(UInt64(details.pieceLength))), \(details.piecesDurable) synced")
        line("files", "\(details.fileCount)")
        line("now", "↓ \(Quantity.rate(t.downRate))   ↑ \(Quantity.rate(t.upRate))   peers \(t.peers), seeds \(t.seeds)")
        line("ever", "↓ \(Quantity.bytes(t.downloaded)) (\(Quantity.bytes(t.downloadedAgain)) again)   ↑ \(Quantity.bytes(t.uploaded))   ratio \(Quantity.decimals(max(0, t.ratio), 2))")
        if t.state == .downloading { line("ETA", Quantity.duration(t.eta)) }
        line("added", Self.date(t.addedAt))
        line("completed", t.completedAt.map(Self.date))
        line("private", t.private ? "yes" : nil)
        if let f = details.follows {
            line("follows", f.link)
            line("version", (f.sequence.map { "sequence number \($0)" } ?? "not seen yet") + (f.replacedBy.map { ", replaced by \($0)" } ?? ""))
            line("looked at", f.looked.map { Self.date($0) + (f.nextLook.map { ", next " + Self.date($0) } ?? "") })
            line("earlier", f.earlier.joined(separator: "  "))
            line("", f.error)
        }
        line("comment", details.comment)
        line("created by", details.createdBy)
        for (tier, urls) in details.trackers.enumerated() { line(tier == 0 ? "trackers" : "", urls.joined(separator: "  ")) }
        line("web seeds", details.webSeeds.joined(separator: "  "))
        if let bits = details.pieces.flatMap({ Data(base64Encoded: $0) }), t.pieceCount > 0 {
            Terminal.out(Style.accent(ProgressBar.pieceMap([UInt8](bits), count: t.pieceCount, width: min(Terminal.width, t.pieceCount)), colour: Terminal.hasColour))
        }
    }

    static func date(_ seconds: UInt64) -> String {
        ISO8601DateFormatter().string(from: Date(timeIntervalSince1970: Double(min(seconds, 253_402_300_799))))
    }
}

struct TrackersCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "trackers", abstract: "List a torrent's trackers.", discussion: "Example:\n  btbt trackers 9f9165d9a2")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String

    func run(_ daemon: ControlClient) throws {
        let trackers = try daemon.call(ControlMethods.Trackers.self, HashParameters(hash: hash)).trackers
        if global.json { return JSONOutput.show(trackers) }
        if trackers.isEmpty { return Terminal.out("no trackers") }
        var table = Table([.right("TIER"), .left("URL"), .left("STATE"), .right("SEEDS"), .right("LEECHERS"), .right("NEXT"), .text("MESSAGE")])
        let now = UInt64(Date().timeIntervalSince1970)
        for t in trackers {
            let style: Style? = t.state == "working" ? .good : t.state == "failing" || t.state == "breaker_open" ? .bad : nil
            table.add([
                .init("\(t.tier)"), .init(t.url), .init(t.state, style), .init(t.seeds.map(String.init) ?? "–"), .init(t.leechers.map(String.init) ?? "–"),
                .init(t.nextAnnounce.map { Quantity.duration($0 > now ? $0 - now : 0) } ?? "–"), .init(t.message ?? ""),
            ])
        }
        table.show()
    }
}

struct PeersGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peers", abstract: "List a torrent's peers, or add some.",
        discussion: "Examples:\n  btbt peers 9f9165d9a2\n  btbt peers add 9f9165d9a2 192.0.2.7:6881",
        subcommands: [PeersList.self, PeersAdd.self], defaultSubcommand: PeersList.self)
}

struct PeersList: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List a torrent's peers.",
        discussion: """
            Flags: D we want its data, d and it chokes us; U it wants ours, u and we choke it; O optimistic unchoke;
            S snubbed; I incoming; s seed; E encrypted, e only its handshake.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String

    func run(_ daemon: ControlClient) throws {
        let peers = try daemon.call(ControlMethods.Peers.self, HashParameters(hash: hash)).peers
        if global.json { return JSONOutput.show(peers) }
        if peers.isEmpty { return Terminal.out("no peers") }
        var table = Table([
            .left("ADDRESS"), .text("CLIENT"), .left("SOURCE"), .left("FLAGS"), .right("HAS"), .right("DOWN"), .right("UP"),
            .right("RECEIVED"), .right("SENT"), .right("ASKED"),
        ])
        for p in peers.sorted(by: { ($0.downRate + $0.upRate, $0.endpoint) > ($1.downRate + $1.upRate, $1.endpoint) }) {
            table.add([
                .init(p.endpoint), .init(p.client), .init(p.source, .faint), .init(Self.letters(p.flags)), .init("\(Int(p.progress * 100)) %"),
                .init(p.downRate == 0 ? "–" : Quantity.rate(p.downRate)), .init(p.upRate == 0 ? "–" : Quantity.rate(p.upRate)),
                .init(Quantity.bytes(p.downloaded)), .init(Quantity.bytes(p.uploaded)), .init("\(p.inFlight)"),
            ])
        }
        table.show()
    }

    static func letters(_ flags: [String]) -> String {
        let flags = Set(flags)
        var out = ""
        if flags.contains("interested") { out += flags.contains("peer_choking") ? "d" : "D" }
        if flags.contains("peer_interested") { out += flags.contains("choking") ? "u" : "U" }
        let letters = [("optimistic", "O"), ("snubbed", "S"), ("incoming", "I"), ("seed", "s"), ("rc4", "E"), ("encrypted_handshake", "e"), ("utp", "P")]
        for (flag, letter) in letters where flags.contains(flag) { out += letter }
        return out
    }
}

struct PeersAdd: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Connect a torrent to peers.", discussion: "Example:\n  btbt peers add 9f9165d9a2 192.0.2.7:6881 '[2001:db8::7]:6881'")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hash, or its first digits.") var hash: String
    @Argument(help: ArgumentHelp("Peers.", valueName: "ip:port")) var peers: [String]

    func run(_ daemon: ControlClient) throws {
        _ = try daemon.call(ControlMethods.AddPeers.self, AddPeersParameters(hash: hash, peers: try peers.map { try PeerAddress.resolve($0) }))
        if global.json { JSONOutput.show(Empty()) }
    }
}
