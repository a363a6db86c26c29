import Control
import Foundation
import Primitives

/// Bandwidth groups, the blocklist, and the port.
extension TransmissionRPC {
    /// One entry of `limits.groups`: "name:down:up" in KiB/s, 0 for none.
    private struct Group {
        var name: String, down: Int64, up: Int64

        init(name: String) { (self.name, down, up) = (name, 0, 0) }
        init?(_ text: Substring) {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 3, let down = Int64(parts[1]), let up = Int64(parts[2]) else { return nil }
            (name, self.down, self.up) = (String(parts[0]), down, up)
        }
        var text: String { "\(name):\(down):\(up)" }
    }
    private var groups: [Group] { (mirror.read { $0.options["limits.groups"] } ?? "").split(separator: ",").compactMap { Group($0) } }

    func groupGet(_ a: [String: Any]) -> [String: Any] {
        let wanted = (a["group"] as? [Any])?.compactMap { $0 as? String } ?? (a["group"] as? String).map { [$0] } ?? []
        let rows = groups.filter { wanted.isEmpty || wanted.contains($0.name) }.map { group -> [String: Any] in
            [
                "name": group.name, "honorsSessionLimits": true, "speed-limit-down": Self.kilobytes(group.down), "speed-limit-down-enabled": group.down > 0,
                "speed-limit-up": Self.kilobytes(group.up), "speed-limit-up-enabled": group.up > 0,
            ]
        }
        return ["group": rows]
    }

    /// Makes a group or changes it. A torrent in a group is always under the session's limits too.
    func groupSet(_ a: [String: Any]) async throws -> [String: Any] {
        guard let name = a["name"] as? String, !name.isEmpty, !name.contains(where: { ":,".contains($0) }) else {
            throw Refusal(.badRequest, "No group name given, or one with a colon or comma")
        }
        guard a["honorsSessionLimits"] as? Bool ?? true else { throw Refusal(.badRequest, "groups are always under the session's limits") }
        var all = groups
        var group = all.first { $0.name == name } ?? Group(name: name)
        func limit(_ key: String, _ now: Int64) -> Int64 {
            if a["\(key)-enabled"] as? Bool == false { return 0 }
            return (a[key] as? NSNumber).map { Self.kibibytes($0.int64Value) } ?? now
        }
        group.down = limit("speed-limit-down", group.down)
        group.up = limit("speed-limit-up", group.up)
        all.removeAll { $0.name == name }
        let text = (all + [group]).map(\.text).joined(separator: ",")
        _ = try await gateway.call(ControlMethods.SetSetting.self, SetSettingParameters(key: "limits.groups", value: text))
        return [:]
    }

    /// KiB/s in kB/s of 1,000 bytes and back, rounded up: what was set is read again, and a limit never becomes none.
    static func kilobytes(_ kib: Int64) -> Int { Int(clamping: kib * 1024 / 1000 + (kib * 1024 % 1000 > 0 ? 1 : 0)) }
    static func kibibytes(_ kb: Int64) -> Int64 {
        let kb = max(0, min(kb, 50_000_000)), kib = kb * 1000 / 1024
        // The largest that is shown as no more than was asked for.
        return kb == 0 ? 0 : max(1, kib)
    }

    // MARK: blocklist

    /// Reads and fetches the lists of the IP filter anew, and waits for them a while: the answer has their size.
    func blocklistUpdate() async throws -> [String: Any] {
        let (enabled, urls) = mirror.read { ($0.options["security.ip_filter.enable_ip_filter"] == "true", $0.options["security.ip_filter.filter_urls"] ?? "") }
        guard enabled, !urls.isEmpty else { throw Refusal(.conflict, "no blocklist is enabled: blocklist-enabled and blocklist-url say which") }
        _ = try await gateway.call(ControlMethods.ReloadFilter.self, Empty())
        var filter = try await gateway.call(ControlMethods.ShowFilter.self, Empty())
        for _ in 0..<50 where filter.loading {
            try await Task.sleep(for: .milliseconds(100))
            filter = try await gateway.call(ControlMethods.ShowFilter.self, Empty())
        }
        if let failed = filter.lists.first(where: { $0.error != nil }) { throw Refusal(.conflict, "\(failed.source): \(failed.error!)") }
        return ["blocklist-size": filter.ranges]
    }

    /// Whether the port can be reached from outside is known to somebody outside only, and this daemon asks nobody.
    func portTest() throws(Refusal) -> [String: Any] {
        let port = mirror.read { $0.globals.listenPort }
        guard port != 0 else { return ["port-is-open": false, "ip_protocol": "ipv4"] }
        throw Refusal(.conflict, "the daemon listens on port \(port); it asks no outside service whether that can be reached")
    }
}
