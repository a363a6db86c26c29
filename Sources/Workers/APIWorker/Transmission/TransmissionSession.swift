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
        ("lpd-enabled", "discovery.enable_lsd", .flag), ("utp-enabled", "network.enable_utp", .flag),
        ("tcp-enabled", "network.enable_tcp", .flag), ("speed-limit-down", "limits.global_down_kib", .rate),
        ("speed-limit-up", "limits.global_up_kib", .rate), ("alt-speed-down", "limits.alt_down_kib", .rate), ("alt-speed-up", "limits.alt_up_kib", .rate),
        ("download-queue-size", "queue.max_active_downloading", .plain), ("seed-queue-size", "queue.max_active_seeding", .plain), ("cache-size-mb", "disk.cache_size_mb", .plain),
    ]

    func sessionGet(_ a: [String: Any]) async throws -> [String: Any] {
        let options = mirror.read { $0.options }
        // Without a session the rest is still worth an answer.
        let filter = try? await gateway.call(ControlMethods.ShowFilter.self, Empty())
        var out = Self.session(options)
        out["session-id"] = tokens.current(now: wallSeconds())
        out["download-dir-free-space"] = freeSpace.bytes
        out["blocklist-size"] = filter?.ranges ?? 0
        guard let fields = a["fields"] as? [String], !fields.isEmpty else { return out }
        let names = Set(fields.flatMap { [$0, $0.replacingOccurrences(of: "_", with: "-"), RPCEnvelope.camel($0)] })
        return out.filter { names.contains($0.key) }
    }

    private static func session(_ options: [String: String]) -> [String: Any] {
        func text(_ option: String) -> String { options[option] ?? "" }
        func number(_ option: String) -> Double { Double(text(option)) ?? 0 }
        let times = LimitTimes(options: options), finish = words(text("hooks.on_finish")), add = words(text("hooks.on_add"))
        var out: [String: Any] = [
            "version": version, "rpc-version": rpcVersion, "rpc-version-minimum": 14, "rpc-version-semver": "5.3.0", "config-dir": "",
            "incomplete-dir": text("disk.incomplete_dir"), "incomplete-dir-enabled": !text("disk.incomplete_dir").isEmpty,
            "rename-partial-files": !text("disk.incomplete_suffix").isEmpty, "blocklist-enabled": text("security.ip_filter.enable_ip_filter") == "true",
            "blocklist-url": text("security.ip_filter.filter_urls").split(separator: ",").first.map(String.init) ?? "",
            "encryption": ["required": "required", "preferred": "preferred"][text("security.encryption_mode")] ?? "tolerated",
            "port-forwarding-enabled": text("nat.auto_map_ports") == "true", "peer-port-random-on-start": text("network.listen_port") == "0",
            "start-added-torrents": text("add.paused") != "true", "trash-original-torrent-files": false,
            "script-torrent-done-enabled": !finish.isEmpty, "script-torrent-done-filename": finish, "script-torrent-added-enabled": !add.isEmpty,
            "script-torrent-added-filename": add, "default-trackers": "", "queue-stalled-enabled": text("queue.ignore_slow_torrents") == "true",
            "queue-stalled-minutes": Int(number("queue.slow_after") / 60), "seedRatioLimit": max(0, number("seeding.max_ratio")),
            "seedRatioLimited": number("seeding.max_ratio") >= 0, "idle-seeding-limit": Int(max(0, number("seeding.max_inactive_minutes"))),
            "idle-seeding-limit-enabled": number("seeding.max_inactive_minutes") >= 0, "alt-speed-enabled": text("limits.alt_mode") == "on",
            "alt-speed-time-enabled": text("limits.alt_mode") == "schedule", "alt-speed-time-begin": times.from, "alt-speed-time-end": times.to % 1440,
            "alt-speed-time-day": rotated(times.days, by: 1),
            "units": [
                "speed-units": ["kB/s", "MB/s", "GB/s", "TB/s"], "speed-bytes": 1000, "size-units": ["kB", "MB", "GB", "TB"], "size-bytes": 1000,
                "memory-units": ["KiB", "MiB", "GiB", "TiB"], "memory-bytes": 1024,
            ] as [String: Any],
        ]
        for (name, option, unit) in mapped {
            switch unit {
            case .plain: out[name] = Int(number(option))
            case .flag: out[name] = text(option) == "true"
            case .rate: out[name] = kilobytes(Int64(number(option)))
            case .text: out[name] = text(option)
            }
        }
        for (name, option) in switches { out[name] = number(option) > 0 }
        return out
    }
    /// A switch beside a number of which 0 is none.
    private static let switches = [
        ("speed-limit-down-enabled", "limits.global_down_kib"), ("speed-limit-up-enabled", "limits.global_up_kib"), ("download-queue-enabled", "queue.max_active_downloading"),
        ("seed-queue-enabled", "queue.max_active_seeding"),
    ]
    /// Days: bit 0 is Sunday there and Monday here.
    private static func rotated(_ days: UInt8, by n: UInt8) -> Int { Int((days << n | days >> (7 - n)) & 0x7F) }
    /// A program with its arguments; no shell reads it.
    private static func words(_ option: String) -> String { CommandWords.line(option.split(separator: ",").map(String.init)) }

    func sessionSet(_ a: [String: Any]) async throws -> [String: Any] {
        let options = mirror.read { $0.options }
        var changes = try Self.changes(a, options)
        changes = changes.filter { options[$0.key] != nil && options[$0.key] != $0.value }
        for key in ["disk.download_dir", "disk.incomplete_dir"] { try await folders.writable(optional: changes[key]) }
        guard !changes.isEmpty else { return [:] }
        let list = changes.sorted { $0.key < $1.key }.map { SetSettingParameters(key: $0.key, value: $0.value) }
        _ = try await gateway.call(ControlMethods.ChangeSettings.self, ChangeSettingsParameters(changes: list))
        return [:]
    }

    private static func changes(_ a: [String: Any], _ options: [String: String]) throws(Refusal) -> [String: String] {
        var out: [String: String] = [:]
        for (name, option, unit) in mapped {
            guard let value = a[name] else { continue }
            switch unit {
            case .plain: if let n = value as? NSNumber { out[option] = String(max(0, n.int64Value)) }
            case .flag: if let n = value as? NSNumber { out[option] = n.boolValue ? "true" : "false" }
            case .rate: if let n = value as? NSNumber { out[option] = String(kibibytes(n.int64Value)) }
            case .text: if let s = value as? String { out[option] = s }
            }
        }
        func flag(_ name: String) -> Bool? { (a[name] as? NSNumber)?.boolValue }
        // A switch that is turned off is a limit of none; a number without a switch that is on stays none.
        for (name, option) in switches where flag(name) == false || (flag(name) == nil && options[option] == "0") { out[option] = out[option] == nil && flag(name) == nil ? nil : "0" }
        func limit(_ enabled: String, _ value: String, _ option: String) {
            let number = (a[value] as? NSNumber)?.stringValue, isOn = !(options[option] ?? "-1").hasPrefix("-")
            switch flag(enabled) {
            case false?: out[option] = "-1"
            case true?: out[option] = number ?? (isOn ? nil : "0")
            case nil: if isOn, let number { out[option] = number }
            }
        }
        limit("seedRatioLimited", "seedRatioLimit", "seeding.max_ratio")
        limit("idle-seeding-limit-enabled", "idle-seeding-limit", "seeding.max_inactive_minutes")
        if let folder = a["incomplete-dir"] as? String, flag("incomplete-dir-enabled") ?? !(options["disk.incomplete_dir"] ?? "").isEmpty { out["disk.incomplete_dir"] = folder }
        if flag("incomplete-dir-enabled") == false { out["disk.incomplete_dir"] = "" }
        if let on = flag("rename-partial-files") { out["disk.incomplete_suffix"] = on ? ".part" : "" }
        if let on = flag("blocklist-enabled") { out["security.ip_filter.enable_ip_filter"] = on ? "true" : "false" }
        if let url = a["blocklist-url"] as? String {
            let rest = (options["security.ip_filter.filter_urls"] ?? "").split(separator: ",").dropFirst().map(String.init)
            out["security.ip_filter.filter_urls"] = ((url.isEmpty ? [] : [url]) + rest).joined(separator: ",")
        }
        if let word = a["encryption"] as? String {
            guard let mode = ["required": "required", "preferred": "preferred", "tolerated": "allowed"][word] else { throw Refusal(.badRequest, "encryption is required, preferred or tolerated") }
            out["security.encryption_mode"] = mode
        }
        if flag("peer-port-random-on-start") == true { out["network.listen_port"] = "0" }
        if let on = flag("port-forwarding-enabled") { out["nat.auto_map_ports"] = on ? "true" : "false" }
        if let on = flag("start-added-torrents") { out["add.paused"] = on ? "false" : "true" }
        for (name, option) in [("script-torrent-done", "hooks.on_finish"), ("script-torrent-added", "hooks.on_add")] {
            if flag("\(name)-enabled") == false { out[option] = "" }
            guard let line = a["\(name)-filename"] as? String, flag("\(name)-enabled") ?? !(options[option] ?? "").isEmpty else { continue }
            guard let words = CommandWords.split(line), !words.contains(where: { $0.contains(",") }) else { throw Refusal(.badRequest, "\(name)-filename: a quote is open, or it has a comma") }
            out[option] = words.joined(separator: ",")
        }
        if let on = flag("queue-stalled-enabled") { out["queue.ignore_slow_torrents"] = on ? "true" : "false" }
        if let n = (a["queue-stalled-minutes"] as? NSNumber)?.int64Value { out["queue.slow_after"] = String(max(1, n) * 60) }
        schedule(a, options, &out)
        return out
    }

    private static func schedule(_ a: [String: Any], _ options: [String: String], _ out: inout [String: String]) {
        var times = LimitTimes(options: options)
        func number(_ name: String, _ range: ClosedRange<Int>) -> Int? { (a[name] as? NSNumber).map { min(max($0.intValue, range.lowerBound), range.upperBound) } }
        let begin = number("alt-speed-time-begin", 0...1439), end = number("alt-speed-time-end", 0...1439), days = number("alt-speed-time-day", 1...127)
        if let begin { times.from = begin }
        if let end { times.to = end }
        if let days { times.days = UInt8(rotated(UInt8(days), by: 6)) }
        if begin != nil || end != nil || days != nil { out["limits.alt_schedule"] = times.text }
        let mode = options["limits.alt_mode"] ?? "off"
        switch (a["alt-speed-time-enabled"] as? NSNumber)?.boolValue {
        case true?:
            out["limits.alt_mode"] = "schedule"
            if (options["limits.alt_schedule"] ?? "").isEmpty { out["limits.alt_schedule"] = times.text }
        case false? where mode == "schedule": out["limits.alt_mode"] = "off"
        default: break
        }
        switch (a["alt-speed-enabled"] as? NSNumber)?.boolValue {
        case true?: out["limits.alt_mode"] = "on"
        case false? where mode == "on" && out["limits.alt_mode"] == nil: out["limits.alt_mode"] = "off"
        default: break
        }
    }

    func sessionStats() async throws -> [String: Any] {
        // Of all that ever was here, removed torrents too.
        let ever = try? await gateway.call(ControlMethods.Statistics.self, Empty())
        return mirror.read { state in
            let paused = state.entries.count { $0?.flags.contains(.paused) ?? false }, first = state.firstTotals ?? state.totals, now = wallSeconds()
            func seconds(_ since: UInt64) -> Int { Int(now - min(now, since)) }
            func stats(_ down: UInt64, _ up: UInt64, _ files: Int, _ seconds: Int) -> [String: Int] {
                ["downloadedBytes": Int(clamping: down), "uploadedBytes": Int(clamping: up), "filesAdded": files, "secondsActive": seconds, "sessionCount": 1]
            }
            let session = seconds(state.sessionStartedAt)
            let current = stats(
                ever?.downloadedSession ?? state.totals.downloaded - min(first.downloaded, state.totals.downloaded),
                ever?.uploadedSession ?? state.totals.uploaded - min(first.uploaded, state.totals.uploaded), state.count, session)
            let answer: [String: Any] = [
                "torrentCount": state.count, "activeTorrentCount": state.count - paused, "pausedTorrentCount": paused, "downloadSpeed": Int(clamping: state.totals.downRate),
                "uploadSpeed": Int(clamping: state.totals.upRate), "current-stats": current,
                "cumulative-stats": stats(
                    ever?.downloadedEver ?? state.totals.downloaded, ever?.uploadedEver ?? state.totals.uploaded, Int(clamping: ever?.addedEver ?? UInt64(state.count)),
                    ever.map { seconds($0.since) } ?? session),
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
