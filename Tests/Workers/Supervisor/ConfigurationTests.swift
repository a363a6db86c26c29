import Foundation
import Primitives
import Settings
import Supervision
import Testing

@testable import Supervisor

@Suite struct ConfigurationTests {
    func resolve(_ toml: String, environment: [(String, String)] = [], set: [String] = []) throws(StartError) -> Settings {
        let file = NSTemporaryDirectory() + "c-\(UUID().uuidString).toml"
        _ = FileManager.default.createFile(atPath: file, contents: Data(toml.utf8))
        defer { try? FileManager.default.removeItem(atPath: file) }
        do throws(StartError) {
            return try Invocation(stateDirectory: "/s", configurationFile: file, settings: set, environment: environment).resolve()
        } catch {
            throw StartError(error.description.replacingOccurrences(of: file, with: "FILE"))
        }
    }

    @Test func laterLayersWin() throws {
        let file = "[network]\nlisten_port = 1\nmax_upload_slots = 11\nmax_global_peers = 21\n"
        let settings = try resolve(
            file, environment: [("CCBT_NETWORK_LISTEN_PORT", "2"), ("CCBT_NETWORK_MAX_UPLOAD_SLOTS", "12")], set: ["network.listen_port=3"])
        #expect(settings.int("network.listen_port") == 3)
        #expect(settings.int("network.max_upload_slots") == 12)
        #expect(settings.int("network.max_global_peers") == 21)
        #expect(settings.int("network.pipeline_max_depth") == Settings().int("network.pipeline_max_depth"))
    }

    struct Case: CustomTestStringConvertible {
        let toml: String
        let told: String
        var testDescription: String { told }
    }
    static let wrong: [Case] = [
        Case(toml: "[network]\nlisten_prt = 1\n", told: "FILE:2: no option network.listen_prt; did you mean network.listen_port?"),
        Case(toml: "\n\n[network]\n\nlisten_port = \"x\"\n", told: "FILE:5: network.listen_port takes an integer, not a text"),
        Case(toml: "[disk]\ndirect_io = 1\n", told: "FILE:2: disk.direct_io takes true or false, not an integer"),
        Case(toml: "[disk]\npreallocate = \"some\"\n", told: "FILE:2: disk.preallocate = some: may be none | sparse | full | fallocate"),
        Case(toml: "[nework]\nlisten_port = 1\n", told: "FILE:2: no option nework.listen_port; did you mean network.listen_port?"),
        Case(toml: "listen_port = 1\n", told: "FILE:1: no option listen_port; did you mean network.listen_port?"),
        Case(toml: "[network]\nlisten_port = 1979-05-27\n", told: "FILE:2: network.listen_port takes an integer, not a list"),
        Case(toml: "[network]\nlisten_port = { a = 1 }\n", told: "FILE:2: network.listen_port takes an integer, not a list"),
        Case(toml: "[network]\n# listen_port = 5\nlisten_interface = \"eth0\"\n", told: "FILE:3: network.listen_interface: \"eth0\" is not an IP address"),
        Case(toml: "network = { listen_port = -1 }\n", told: "FILE:1: network.listen_port = -1: limits say 0..65535"),
        Case(toml: "network.listen_port = -1\n", told: "FILE:1: network.listen_port = -1: limits say 0..65535"),
        // The first wrong line is told, whatever the order of the table.
        Case(toml: "[strategy]\nendgame_duplicates = 99\n[disk]\nworkers = 0\n", told: "FILE:2: strategy.endgame_duplicates = 99: limits say 1..10"),
        // Text that looks like keys stands before the real one.
        Case(toml: "[disk]\ndownload_dir = \"\"\"\nworkers = 0\n\"\"\"\nworkers = 0\n", told: "FILE:2: disk.download_dir: "),
    ]
    @Test(arguments: wrong) func wrongEntriesAreToldWithTheirLine(_ c: Case) {
        let error = #expect(throws: StartError.self) { try resolve(c.toml) }
        #expect(error!.description.hasPrefix(c.told), "\(error!)")
        #expect(error!.code == .configuration)
        #expect(!error!.description.contains("\n"))
    }

    @Test func brokenFilesAreToldWithTheirLine() {
        let error = #expect(throws: StartError.self) { try resolve("[network]\nlisten_port = = 3\n") }
        #expect(error!.description.hasPrefix("FILE:2: "))
        #expect(throws: StartError.self) { try Invocation(stateDirectory: "/s", configurationFile: "/nowhere/ccbt.toml").resolve() }
    }

    @Test func wrongVariablesAndWordsAreTold() {
        let e1 = #expect(throws: StartError.self) { try resolve("", environment: [("CCBT_NETWORK_LISTEN_PRT", "1")]) }
        #expect(e1!.description.hasPrefix("CCBT_NETWORK_LISTEN_PRT: no option"))
        let e2 = #expect(throws: StartError.self) { try resolve("", set: ["network.listen_port=x"]) }
        #expect(e2!.description == "--set: network.listen_port takes an integer, not \"x\"")
        #expect(throws: StartError.self) { try Invocation(stateDirectory: "/s", settings: ["network.listen_port"]) }
        #expect(throws: StartError.self) { try Invocation(stateDirectory: "/s", listen: ["eth0:1"]) }
        #expect(throws: StartError.self) { try Invocation(stateDirectory: "") }
        #expect(throws: StartError.self) { try Invocation(stateDirectory: "/" + String(repeating: "x", count: 100)) }
    }

    @Test func listenOverridesTheSettings() throws {
        let some = try Invocation(stateDirectory: "/s", listen: ["127.0.0.1:1", "[::1]:2"])
        #expect(some.endpoints(Settings()).map(\.description) == ["127.0.0.1:1", "[::1]:2"])
        for (listen, address, port) in [
            (["127.0.0.1:1"], "127.0.0.1", 1), (["127.0.0.1:1", "127.0.0.1:2"], "127.0.0.1", 1), (["10.0.0.1:5", "10.0.0.2:6"], "0.0.0.0", 5),
            (["127.0.0.1:1", "[::1]:2"], "::", 1), (["[::]:0"], "::", 0), ([], "10.9.9.9", 7),
        ] {
            let invocation = try Invocation(stateDirectory: "/s", listen: listen, settings: ["network.listen_interface=10.9.9.9", "network.listen_port=7"])
            var settings = try invocation.resolve()
            invocation.override(&settings)
            #expect(settings.string("network.listen_interface") == address && settings.int("network.listen_port") == port)
        }
        let none = try Invocation(stateDirectory: "/s", settings: ["network.listen_interface=::", "network.listen_port=7"])
        #expect(none.endpoints(try none.resolve()).map(\.description) == ["[::]:7"])
    }

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test func sampleConfigurationIsCurrentAndValid() throws {
        let file = Self.root.appendingPathComponent("deploy/ccbt.toml")
        if ProcessInfo.processInfo.environment["CCBT_RECORD"] != nil { try SettingsListing.sampleTOML.write(to: file, atomically: true, encoding: .utf8) }
        let text = try String(contentsOf: file, encoding: .utf8)
        #expect(text == SettingsListing.sampleTOML, "CCBT_RECORD=1 swift test --filter sampleConfiguration writes it anew")
        #expect(try resolve(text) == Settings())
        // With every line in force it says the same.
        let live = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.contains(" = ") && line.hasPrefix("# ") && !line.hasSuffix(".") ? String(line.dropFirst(2)) : String(line)
        }
        #expect(try resolve(live.joined(separator: "\n")) == Settings())
        #expect(live.count { $0.contains(" = ") && !$0.hasPrefix("#") } == OptionTable.all.count)
    }
}
