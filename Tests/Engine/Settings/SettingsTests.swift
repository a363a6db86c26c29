import Primitives
import Testing

@testable import Settings

/// Aim: a value that is accepted is within the table's limits, and one that is not gives one clear line.
@Suite struct SettingsTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let key: String, raw: RawValue
        /// nil: accepted.
        let error: String?
        var testDescription: String { "\(key) = \(raw)" }
        init(_ key: String, _ raw: RawValue, _ error: String? = nil) { (self.key, self.raw, self.error) = (key, raw, error) }
    }

    static let cases: [Case] = [
        Case("network.max_global_peers", .integer(500)),
        Case("network.max_global_peers", .untyped("500")),
        Case("network.max_peers_per_torrent", .integer(0), "network.max_peers_per_torrent = 0: limits say 1..10000"),
        Case("network.max_peers_per_torrent", .untyped("10001"), "network.max_peers_per_torrent = 10001: limits say 1..10000"),
        Case("network.max_peers_per_torrent", .text("50"), "network.max_peers_per_torrent takes an integer, not a text"),
        Case("network.max_peers_per_torrent", .untyped("1e3"), "network.max_peers_per_torrent takes an integer, not \"1e3\""),
        Case("network.max_peers_per_torrent", .number(50), "network.max_peers_per_torrent takes an integer, not a number"),
        Case("network.max_peer_per_torrent", .integer(1), "no option network.max_peer_per_torrent; did you mean network.max_peers_per_torrent?"),
        Case("disk.listen_port", .integer(1), "no option disk.listen_port; did you mean network.listen_port?"),
        Case("nonsense.entirely_else_here", .integer(1), "no option nonsense.entirely_else_here"),
        Case("disk.checkpoint_interval", .integer(5)),
        Case("disk.checkpoint_interval", .number(0.5)),
        Case("disk.checkpoint_interval", .number(0.1), "disk.checkpoint_interval = 0.1: limits say 0.5..3600"),
        Case("disk.checkpoint_interval", .untyped("nan"), "disk.checkpoint_interval takes a number of seconds, not \"nan\""),
        Case("disk.checkpoint_interval", .number(.infinity), "disk.checkpoint_interval takes a number of seconds, not a number"),
        Case("disk.preallocate", .text("FULL")),
        Case("disk.preallocate", .text("maybe"), "disk.preallocate = maybe: may be none | sparse | full | fallocate"),
        Case("disk.direct_io", .untyped("off")),
        Case("disk.direct_io", .boolean(false)),
        Case("disk.direct_io", .integer(1), "disk.direct_io takes true or false, not an integer"),
        Case("disk.download_dir", .text("/srv/torrents")),
        Case("disk.download_dir", .text("torrents"), "disk.download_dir: \"torrents\" is not an absolute path"),
        Case("disk.download_dir", .text("/a\u{1B}[2J"), "disk.download_dir: control characters are not allowed"),
        Case("network.listen_interface", .text("::")),
        Case("network.listen_interface", .text("eth0"), "network.listen_interface: \"eth0\" is not an IP address"),
        Case("network.listen_interface", .text("[::1]"), "network.listen_interface: \"[::1]\" is not an IP address"),
        Case("discovery.dht_bootstrap_nodes", .untyped("a:1, b:2")), Case("discovery.dht_bootstrap_nodes", .untyped("")),
        Case("discovery.enable_lsd", .boolean(false)),
        Case("discovery.enable_lsd", .boolean(true)),
        Case("discovery.enable_pex", .untyped("false")),
        Case("discovery.enable_lsd", .untyped("0")),
        Case("limits.global_up_kib", .integer(0)),
        Case("limits.global_up_kib", .integer(100)),
        Case("limits.global_up_kib", .integer(-1), "limits.global_up_kib = -1: limits say 0..50000000"),
        Case("limits.groups", .list([.text("films:100:0"), .text("isos:0:5")])),
        Case("limits.groups", .untyped("films:100:0,isos:0:5")),
        Case("limits.groups", .untyped("films:100"), "limits.groups: \"films:100\" is not name:down:up with rates in KiB/s"),
        Case("limits.groups", .untyped("a:1:1,a:2:2"), "limits.groups: a group stands there twice"),
        Case("limits.alt_schedule", .list([.text("mon-fri 22:00-06:00")])),
        Case(
            "limits.alt_schedule", .untyped("mon 25:00-26:00"),
            "limits.alt_schedule: \"mon 25:00-26:00\" is not a time of the week, as mon-fri 22:00-06:00 or daily 1:00-7:30"),
        Case("security.encryption_mode", .text("disabled")),
        Case("security.encryption_mode", .text("Required")),
        Case("security.encryption_mode", .text("on"), "security.encryption_mode = on: may be disabled | allowed | preferred | required"),
    ]

    @Test(arguments: cases) func reading(_ c: Case) {
        var settings = Settings()
        do throws(SettingsError) {
            try settings.set(c.key, c.raw, place: "ccbt.toml:7")
            #expect(c.error == nil)
        } catch {
            #expect(error.description == c.error.map { "ccbt.toml:7: \($0)" })
            #expect(settings == Settings())
        }
    }

    @Test func laterLayersWin() throws {
        let file = SettingsLayer([
            .init(key: "network.listen_port", value: .integer(1000), place: "f:1"),
            .init(key: "disk.preallocate", value: .text("full"), place: "f:2"),
        ])
        let environment = SettingsLayer.environment([("CCBT_NETWORK_LISTEN_PORT", "2000"), ("CCBT_IO", "epoll"), ("HOME", "/root")])
        let settings = try Settings.resolve([file, environment])
        #expect(settings.int("network.listen_port") == 2000)
        #expect(settings.string("disk.preallocate") == "full")
        #expect(settings.differences(from: Settings()) == ["network.listen_port", "disk.preallocate"])
    }

    @Test func misspeltEnvironmentIsRefusedWithItsName() {
        let layer = SettingsLayer.environment([("CCBT_NETWORK_LISTEN_PROT", "1")])
        #expect {
            try Settings.resolve([layer])
        } throws: {
            "\($0)" == "CCBT_NETWORK_LISTEN_PROT: no option network.listen_prot; did you mean network.listen_port?"
        }
    }

    @Test func pairsRoundTrip() throws {
        var settings = Settings()
        try settings.set("disk.checkpoint_interval", .number(2.5))
        try settings.set("network.listen_interface", .text("::"))
        try settings.set("queue.max_active_seeding", .integer(9))
        let again = try Settings(pairs: settings.pairs)
        #expect(again == settings)
        #expect(settings.pairs.count == OptionTable.all.count)
        #expect(again.seconds("disk.checkpoint_interval") == .milliseconds(2500))
        var reset = again
        reset.reset("queue.max_active_seeding")
        #expect(reset.int("queue.max_active_seeding") == 0)
    }

    /// The table's own consistency: every default is allowed, has a doc line, and survives being written as text.
    @Test(arguments: OptionTable.all) func rowIsSound(_ option: Option) {
        #expect(option.read(.untyped(option.standard.text)) == .success(option.standard))
        #expect(!option.doc.isEmpty && !option.doc.contains("\n") && option.doc.utf8.allSatisfy { $0 < 0x7F })
        #expect([2, 3].contains(option.key.split(separator: ".").count) && option.key == option.key.lowercased())
        #expect(OptionTable.find(environment: option.environmentName) == option)
    }

    @Test func storedOptionsAreReadAsTheyWereWritten() {
        let pairs = [(key: "network.listen_port", value: "7000"), (key: "discovery.dht_bootstrap_nodes", value: "a:1,b:2"), (key: "proxy.proxy_password", value: "a\u{A0}b = #c")]
        let text = StoredOptions.text(pairs)
        #expect(StoredOptions.parse(text).map(\.key) == pairs.map(\.key) && StoredOptions.parse(text).map(\.value) == pairs.map(\.value))
        // Cut anywhere it is read as far as it goes.
        for cut in text.indices { #expect(StoredOptions.parse(String(text[..<cut])).count <= pairs.count) }
        var settings = Settings()
        let refused = StoredOptions.apply(pairs + [(key: "no.such", value: "1"), (key: "network.listen_port", value: "x")], to: &settings)
        #expect(settings.int("network.listen_port") == 7000 && settings.list("discovery.dht_bootstrap_nodes") == ["a:1", "b:2"])
        #expect(refused.map(\.key) == ["no.such", "network.listen_port"])
    }

    @Test func secretsAreNotShown() {
        var settings = Settings()
        #expect(OptionTable.all.filter(\.isSecret).map(\.key).contains("proxy.proxy_password") && OptionTable.find("api.password_hash")!.isSecret)
        #expect(settings.shownPairs.first { $0.0 == "proxy.proxy_password" }?.1 == "")
        #expect(throws: Never.self) { try settings.set("proxy.proxy_password", .text("hush")) }
        #expect(settings.shownPairs.first { $0.0 == "proxy.proxy_password" }?.1 == Option.hidden)
        #expect(settings.pairs.first { $0.0 == "proxy.proxy_password" }?.1 == "hush")
    }

    @Test func sectionsStandTogether() {
        #expect(Set(OptionTable.sections).count == OptionTable.sections.count)
    }

    @Test func sampleNamesEveryOptionOnce() {
        let lines = SettingsListing.sampleTOML.split(separator: "\n").map(String.init)
        var section = "", seen: [String: Int] = [:]
        for line in lines {
            if line.hasPrefix("[") { section = String(line.dropFirst().prefix { $0 != "]" }) }
            if let name = line.split(separator: " = ").first, name.hasPrefix("# "), line.contains(" = ") { seen["\(section).\(name.dropFirst(2))", default: 0] += 1 }
        }
        for option in OptionTable.all { #expect(seen[option.key] == 1, "\(option.key)") }
        #expect(lines.allSatisfy { $0.hasPrefix("#") || $0.hasPrefix("[") })
    }

    @Test(arguments: [("kitten", "sitting", 3), ("", "abc", 3), ("same", "same", 0)]) func distance(_ a: String, _ b: String, _ n: Int) {
        #expect(editDistance(a, b) == n)
        #expect(editDistance(b, a) == n)
    }
}
