import Control
import Foundation
import Primitives

/// session-get, session-set and session-stats.
extension TransmissionRPC {
    /// Their name, our option, and whether ours is in another unit. Rates here are kB/s of 1,000 bytes, ours KiB/s.
    private enum Unit { case plain, flag, rate, text }
    private static let mapped: [(name: String, option: String, unit: Unit)] = [
        ("download-dir", "disk.download_dir", .text), ("peer-port", "network.listen_port", .plain), ("peer-limit-global", "network.max_global_peers", .plain),
        ("peer-limit-per-torrent", "network.max_peers_per_torrent", .plain), ("dht-enabled", "discovery.enable_dht", .flag), ("pex-enabled", "discovery.enable_pex", .flag),
        ("lpd-enabled", "discovery.enable_lsd", .flag), ("utp-enabled", "network.enable_utp", .flag), ("speed-limit-down", "limits.global_down_kib", .rate),
        ("speed-limit-up", "limits.global_up_kib", .rate), ("alt-speed-down", "limits.alt_down_kib", .rate), ("alt-speed-up", "limits.alt_up_kib", .rate),
        ("download-queue-size", "queue.max_active_downloading", .plain), ("seed-queue-size", "queue.max_active_seeding", .plain), ("cache-size-mb", "disk.cache_size_mb", .plain),
    ]

    func sessionGet(_ a: [String: Any]) -> [String: Any] {
        let options = mirror.read { $0.options }
        func number(_ option: String) -> Int { Int(Double(options[option] ?? "") ?? 0) }
        var out: [String: Any] = [
            "version": Self.version, "rpc-version": Self.rpcVersion, "rpc-version-minimum": 14, "rpc-version-semver": "5.3.0", "session-id": tokens.current(now: wallSeconds()),
            "config-dir": "", "incomplete-dir": options["disk.incomplete_dir"] ?? "", "incomplete-dir-enabled": !(options["disk.incomplete_dir"] ?? "").isEmpty,
            "blocklist-enabled": false, "blocklist-size": 0, "blocklist-url": "", "encryption": "tolerated", "port-forwarding-enabled": false,
            "peer-port-random-on-start": false, "rename-partial-files": false, "start-added-torrents": true, "trash-original-torrent-files": false,
            "script-torrent-done-enabled": false, "script-torrent-done-filename": "", "default-trackers": "", "seedRatioLimit": 0.0, "seedRatioLimited": false,
            "idle-seeding-limit": 0, "idle-seeding-limit-enabled": false, "alt-speed-time-enabled": options["limits.alt_mode"] == "schedule",
            "alt-speed-time-begin": 0, "alt-speed-time-end": 0, "alt-speed-time-day": 127, "queue-stalled-enabled": false, "queue-stalled-minutes": 30,
            "download-dir-free-space": freeSpace.bytes,
            "units": [
                "speed-units": ["kB/s", "MB/s", "GB/s", "TB/s"], "speed-bytes": 1000, "size-units": ["kB", "MB", "GB", "TB"], "size-bytes": 1000,
                "memory-units": ["KiB", "MiB", "GiB", "TiB"], "memory-bytes": 1024,
            ] as [String: Any],
        ]
        for (name, option, unit) in Self.mapped {
            switch unit {
            case .plain: out[name] = number(option)
            case .flag: out[name] = options[option] == "true"
            case .rate: out[name] = (number(option) * 1024 + 999) / 1000
            case .text: out[name] = options[option] ?? ""
            }
        }
        out["speed-limit-down-enabled"] = number("limits.global_down_kib") > 0
        out["speed-limit-up-enabled"] = number("limits.global_up_kib") > 0
        out["alt-speed-enabled"] = options["limits.alt_mode"] == "on"
        out["download-queue-enabled"] = number("queue.max_active_downloading") > 0
        out["seed-queue-enabled"] = number("queue.max_active_seeding") > 0
        guard let fields = a["fields"] as? [String], !fields.isEmpty else { return out }
        let names = Set(fields.flatMap { [$0, $0.replacingOccurrences(of: "_", with: "-"), RPCEnvelope.camel($0)] })
        return out.filter { names.contains($0.key) }
    }

    func sessionSet(_ a: [String: Any]) async throws -> [String: Any] {
        var changes: [(String, String)] = []
        for (name, option, unit) in Self.mapped {
            guard let value = a[name] else { continue }
            switch unit {
            case .plain: if let n = value as? NSNumber { changes.append((option, String(max(0, n.int64Value)))) }
            case .flag: if let n = value as? NSNumber { changes.append((option, n.boolValue ? "true" : "false")) }
            case .rate: if let n = value as? NSNumber { changes.append((option, String((max(0, n.int64Value) * 1000 + 1023) / 1024))) }
            case .text: if let s = value as? String { changes.append((option, s)) }
            }
        }
        // A switch that is turned off is a limit of none.
        for (name, option) in [
            ("speed-limit-down-enabled", "limits.global_down_kib"), ("speed-limit-up-enabled", "limits.global_up_kib"), ("download-queue-enabled", "queue.max_active_downloading"),
            ("seed-queue-enabled", "queue.max_active_seeding"),
        ] where (a[name] as? NSNumber)?.boolValue == false {
            changes.removeAll { $0.0 == option }
            changes.append((option, "0"))
        }
        if let on = (a["alt-speed-enabled"] as? NSNumber)?.boolValue { changes.append(("limits.alt_mode", on ? "on" : "off")) }
        let now = mirror.read { $0.options }
        for (option, value) in changes where now[option] != value { _ = try await gateway.call(ControlMethods.SetSetting.self, SetSettingParameters(key: option, value: value)) }
        return [:]
    }

    func sessionStats() -> [String: Any] {
        mirror.read { state in
            let paused = state.entries.count { $0?.flags.contains(.paused) ?? false }, first = state.firstTotals ?? state.totals
            let seconds = Int(wallSeconds() - min(wallSeconds(), state.sessionStartedAt))
            func stats(_ down: UInt64, _ up: UInt64) -> [String: Int] {
                ["downloadedBytes": Int(clamping: down), "uploadedBytes": Int(clamping: up), "filesAdded": state.count, "secondsActive": seconds, "sessionCount": 1]
            }
            let current = stats(state.totals.downloaded - min(first.downloaded, state.totals.downloaded), state.totals.uploaded - min(first.uploaded, state.totals.uploaded))
            let answer: [String: Any] = [
                "torrentCount": state.count, "activeTorrentCount": state.count - paused, "pausedTorrentCount": paused, "downloadSpeed": Int(clamping: state.totals.downRate),
                "uploadSpeed": Int(clamping: state.totals.upRate), "current-stats": current, "cumulative-stats": stats(state.totals.downloaded, state.totals.uploaded),
            ]
            return Unchecked(answer)
        }.value
    }
}

/// A value that was made under the lock and is used by its caller alone.
struct Unchecked<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
