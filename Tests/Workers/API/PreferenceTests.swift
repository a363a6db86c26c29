import APIWorker
import Primitives
import Settings
import Testing

/// qBittorrent's keys and our options: every option that a key stands for exists, and what is read and written back changes nothing.
@Suite struct PreferenceTests {
    static let options = Dictionary(uniqueKeysWithValues: Settings().shownPairs)

    static func object(_ fields: [(String, FieldValue)]) -> [String: Any] {
        Dictionary(
            uniqueKeysWithValues: fields.compactMap { name, value -> (String, Any)? in
                switch value {
                case .integer(let n): (name, n)
                case .number(let d): (name, d)
                case .flag(let b): (name, b)
                case .text(let s): (name, s)
                case .texts, .null, .object: nil
                }
            })
    }

    @Test func whatWasReadAndIsSetAgainChangesNothing() throws {
        let fields = Preferences.fields(Self.options)
        #expect(Set(fields.map(\.0)).count == fields.count, "a key stands twice")
        #expect(fields.count > 180)
        // The page's address is written as it is bound; port 0 is no random port that somebody asked for.
        let changes = try Preferences.changes(Self.object(fields), Self.options)
        #expect(changes.map(\.key) == [], "\(changes)")
    }

    @Test(
        arguments: [
            (["dl_limit": 1], ["limits.global_down_kib": "1"]), (["dl_limit": -1], [:]), (["max_active_uploads": 3], ["queue.max_active_seeding": "3"]),
            (["encryption": 1], ["security.encryption_mode": "required"]), (["bittorrent_protocol": 2], ["network.enable_tcp": "false"]),
            (["proxy_type": "HTTP", "proxy_port": 3128], ["proxy.enable_proxy": "true", "proxy.proxy_type": "http", "proxy.proxy_port": "3128"]),
            (["proxy_password": ""], [:]), (["proxy_password": "x"], ["proxy.proxy_password": "x"]),
            (["schedule_from_hour": 8], [:]), (["schedule_from_hour": 9], ["limits.alt_schedule": "daily 09:00-20:00"]),
            (["scheduler_enabled": true, "scheduler_days": 2], ["limits.alt_mode": "schedule", "limits.alt_schedule": "sat+sun 08:00-20:00"]),
            (["autorun_program": "/bin/true"], [:]), (["autorun_enabled": true, "autorun_program": "/bin/echo 'a b' \"c\" d\\ e"], ["hooks.on_finish": "/bin/echo,a b,c,d e"]),
            (["no_such_key": 1, "utp_tcp_mixed_mode": 1], [:]), (["web_ui_port": 9090], ["api.listen": "127.0.0.1:9090"]), (["random_port": true], ["network.listen_port": "0"]),
        ] as [([String: any Sendable], [String: String])])
    func keysChangeOptions(_ object: [String: any Sendable], _ wanted: [String: String]) throws {
        let changes = try Preferences.changes(object, Self.options)
        #expect(Dictionary(uniqueKeysWithValues: changes.map { ($0.key, $0.value) }) == wanted)
    }

    @Test(arguments: [["encryption": 3], ["proxy_type": "SOCKS4"], ["schedule_to_min": 60], ["web_ui_port": 70_000], ["autorun_enabled": true, "autorun_program": "\"x"]] as [[String: any Sendable]])
    func whatCannotBeIsRefused(_ object: [String: any Sendable]) { #expect(throws: Refusal.self) { try Preferences.changes(object, Self.options) } }
}
