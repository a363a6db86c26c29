import ArgumentParser
import Control

struct ScrapeCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "scrape", abstract: "Ask the trackers how many seeds and leechers torrents have.", discussion: "Example:\n  btbt scrape 9f9165d9a2 0beec7b5ea")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Info-hashes, or their first digits.") var hashes: [String]

    func run(_ daemon: ControlClient) throws {
        let rows = try daemon.call(ControlMethods.Scrape.self, ScrapeParameters(hashes: hashes), seconds: 40).rows
        if global.json { return JSONOutput.show(rows) }
        if rows.isEmpty { return Terminal.out("no tracker can be asked") }
        var table = Table([.left("TORRENT"), .left("URL"), .right("SEEDS"), .right("LEECHERS"), .right("DOWNLOADS"), .text("MESSAGE")])
        for r in rows {
            table.add([
                .init(String(r.hash.prefix(10))), .init(r.url), .init(r.seeds.map(String.init) ?? "–"), .init(r.leechers.map(String.init) ?? "–"),
                .init(r.downloads.map(String.init) ?? "–"), .init(r.error ?? "", r.error == nil ? nil : .bad),
            ])
        }
        table.show()
    }
}
