import Foundation
import Primitives

/// `app/preferences`: every key that clients read. Those with an option of ours show and set it, here or in `PreferenceGroups.swift`;
/// the others show what this daemon does, in that key's terms (`FixedPreferences.swift`).
package enum Preferences {
    /// Options as they are in force, by key.
    typealias Options = [String: String]
    typealias Change = (key: String, value: String)

    /// A key, its option, and how one is the other.
    enum Kind: Sendable {
        case flag, integer, text, kib, list(String)
        /// A number of which 0 is none with us, -1 with qBittorrent.
        case bound
        /// Seconds here, minutes there.
        case minutes
        /// A number, -1 for none, with a switch beside it: `<key>_enabled`.
        case limit
        /// One of our words: theirs by its place, or as it is written here with the capitals of theirs.
        case word([String], numbered: Bool)
        /// True for `on` (and `alsoOn`), false for `off`.
        case choice(on: String, off: String, alsoOn: String = "")
        /// Given and never shown; what is empty is not taken.
        case secret
    }
    static let mapped: [(key: String, option: String, kind: Kind)] = [
        ("save_path", "disk.download_dir", .text), ("preallocate_all", "disk.preallocate", .choice(on: "full", off: "sparse", alsoOn: "fallocate")),
        ("hashing_threads", "disk.hash_workers", .integer), ("disk_cache", "disk.cache_size_mb", .integer),
        ("listen_port", "network.listen_port", .integer), ("max_connec", "network.max_global_peers", .integer),
        ("max_connec_per_torrent", "network.max_peers_per_torrent", .integer), ("max_uploads_per_torrent", "network.max_upload_slots", .integer),
        ("request_queue_size", "network.pipeline_max_depth", .integer), ("upnp", "nat.auto_map_ports", .flag),
        ("dht", "discovery.enable_dht", .flag), ("pex", "discovery.enable_pex", .flag), ("lsd", "discovery.enable_lsd", .flag),
        ("dht_bootstrap_nodes", "discovery.dht_bootstrap_nodes", .list(", ")),
        ("alt_dl_limit", "limits.alt_down_kib", .kib), ("alt_up_limit", "limits.alt_up_kib", .kib), ("dl_limit", "limits.global_down_kib", .kib), ("up_limit", "limits.global_up_kib", .kib),
        ("limit_lan_peers", "limits.local_peers", .choice(on: "limited", off: "exempt", alsoOn: "own")),
        ("queueing_enabled", "queue.auto_manage_queue", .flag), ("max_active_torrents", "queue.max_active_torrents", .bound),
        ("max_active_downloads", "queue.max_active_downloading", .bound), ("max_active_uploads", "queue.max_active_seeding", .bound),
        ("dont_count_slow_torrents", "queue.ignore_slow_torrents", .flag), ("slow_torrent_dl_rate_threshold", "queue.slow_down_kib", .integer),
        ("slow_torrent_ul_rate_threshold", "queue.slow_up_kib", .integer), ("slow_torrent_inactive_timer", "queue.slow_after", .integer),
        ("web_ui_username", "api.username", .text), ("web_ui_session_timeout", "api.session_timeout", .integer), ("web_ui_max_auth_fail_count", "api.max_failures", .integer),
        ("web_ui_ban_duration", "api.ban_time", .integer), ("bypass_local_auth", "api.bypass_local", .flag),
        ("bypass_auth_subnet_whitelist", "api.bypass_subnets", .list("\n")), ("web_ui_domain_list", "api.allowed_hosts", .list(";")),
        ("web_ui_csrf_protection_enabled", "api.csrf_check", .flag), ("web_ui_reverse_proxies_list", "api.trusted_proxies", .list(";")),
        ("web_ui_https_cert_path", "api.tls_certificate", .text), ("web_ui_https_key_path", "api.tls_key", .text), ("alternative_webui_path", "api.alternative_ui", .text),
        ("add_stopped_enabled", "add.paused", .flag), ("add_to_top_of_queue", "add.top_of_queue", .flag), ("auto_tmm_enabled", "add.auto_managed", .flag),
        ("torrent_stop_condition", "add.stop_condition", .word(["None", "MetadataReceived", "FilesChecked"], numbered: false)),
        ("torrent_content_layout", "add.content_layout", .word(["Original", "Subfolder", "NoSubfolder"], numbered: false)),
        ("rss_processing_enabled", "rss.enable", .flag), ("rss_auto_downloading_enabled", "rss.auto_download", .flag), ("rss_max_articles_per_feed", "rss.max_articles", .integer),
        ("rss_refresh_interval", "rss.refresh_interval", .minutes),
        ("max_ratio", "seeding.max_ratio", .limit), ("max_seeding_time", "seeding.max_minutes", .limit), ("max_inactive_seeding_time", "seeding.max_inactive_minutes", .limit),
        ("max_ratio_act", "seeding.limit_action", .word(["stop", "remove", "super_seeding", "remove_with_data"], numbered: true)),
        ("ip_filter_enabled", "security.ip_filter.enable_ip_filter", .flag), ("banned_IPs", "security.ip_filter.ranges", .list("\n")),
        ("proxy_ip", "proxy.proxy_host", .text), ("proxy_port", "proxy.proxy_port", .integer), ("proxy_username", "proxy.proxy_username", .text),
        ("proxy_password", "proxy.proxy_password", .secret), ("proxy_peer_connections", "proxy.proxy_for_peers", .flag), ("proxy_bittorrent", "proxy.proxy_for_trackers", .flag),
        ("mail_notification_enabled", "mail.enable", .flag), ("mail_notification_sender", "mail.sender", .text), ("mail_notification_email", "mail.recipient", .text),
        ("mail_notification_smtp", "mail.server", .text), ("mail_notification_ssl_enabled", "mail.tls", .flag), ("mail_notification_username", "mail.username", .text),
        ("mail_notification_password", "mail.password", .secret),
    ]

    package static func fields(_ options: [String: String]) -> [(String, FieldValue)] {
        var out = fixed
        for (key, option, kind) in mapped {
            let text = options[option] ?? ""
            out.append((key, value(text, kind)))
            if case .limit = kind { out.append((key + "_enabled", .flag((Double(text) ?? -1) >= 0))) }
        }
        for group in groups { out += group.read(options) }
        return out.sorted { $0.0 < $1.0 }
    }

    /// Options that an object of `setPreferences` changes; keys that are qBittorrent's alone are passed over. Throws 400 for a value
    /// that the option cannot have.
    package static func changes(_ object: [String: Any], _ options: [String: String]) throws(Refusal) -> [(key: String, value: String)] {
        var out: [String: String] = [:]
        for (key, value) in object.sorted(by: { $0.key < $1.key }) { for change in changes(key, value) { out[change.key] = change.value } }
        for group in groups { for change in try group.write(object, options) { out[change.key] = change.value } }
        // What this build has no option for is qBittorrent's alone.
        return out.filter { options[$0.key] != nil && options[$0.key] != $0.value }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private static func value(_ text: String, _ kind: Kind) -> FieldValue {
        switch kind {
        case .flag: .flag(text == "true")
        // Where seconds may have a fraction qBittorrent has none.
        case .integer: .integer(Int64(text) ?? Int64(Double(text) ?? 0))
        case .bound: .integer(Int64(text).flatMap { $0 == 0 ? nil : $0 } ?? -1)
        case .minutes: .integer(Int64((Double(text) ?? 0) / 60))
        case .text: .text(text)
        case .kib: .integer((Int64(text) ?? 0) * 1024)
        case .limit: text.contains(".") ? .number(Double(text) ?? -1) : .integer(Int64(text) ?? -1)
        case .word(let words, let numbered):
            numbered ? .integer(Int64(words.firstIndex { snake($0) == text } ?? 0)) : .text(words.first { snake($0) == text } ?? words[0])
        case .choice(let on, _, let alsoOn): .flag(text == on || (!alsoOn.isEmpty && text == alsoOn))
        case .list(let separator): .text(text.split(separator: ",").joined(separator: separator))
        case .secret: .text("")
        }
    }

    /// "MetadataReceived" is "metadata_received".
    private static func snake(_ word: String) -> String {
        var out = ""
        for c in word {
            if c.isUppercase, !out.isEmpty { out.append("_") }
            out += c.lowercased()
        }
        return out
    }

    private static func changes(_ key: String, _ value: Any) -> [Change] {
        // A limit's switch: turned off it is none; turned on, its number says which.
        if key.hasSuffix("_enabled"), let entry = mapped.first(where: { "\($0.key)_enabled" == key }), case .limit = entry.kind {
            return flag(value) == false ? [(entry.option, "-1")] : []
        }
        guard let entry = mapped.first(where: { $0.key == key }) else { return [] }
        let number = value as? NSNumber
        func one(_ text: String?) -> [Change] { text.map { [(entry.option, $0)] } ?? [] }
        switch entry.kind {
        case .flag: return one(flag(value).map { $0 ? "true" : "false" })
        case .choice(let on, let off, _): return one(flag(value).map { $0 ? on : off })
        case .limit: return one(number.map { $0.doubleValue < 0 ? "-1" : $0.stringValue })
        case .word(let words, let numbered):
            if numbered { return one(number.flatMap { words.indices.contains($0.intValue) ? snake(words[$0.intValue]) : nil }) }
            return one((value as? String).flatMap { words.contains($0) ? snake($0) : nil })
        // -1 is qBittorrent's "no limit".
        case .integer, .bound: return one(number.map { String(max(0, $0.int64Value)) })
        case .minutes: return one(number.map { String(max(1, $0.int64Value) * 60) })
        case .kib: return one(number.map { String(max(0, ($0.int64Value + 1023) / 1024)) })
        case .text: return one(value as? String)
        case .secret: return one((value as? String).flatMap { $0.isEmpty ? nil : $0 })
        case .list: return one((value as? String).map { items($0).filter { $0 != "*" }.joined(separator: ",") })
        }
    }

    static func flag(_ value: Any?) -> Bool? { (value as? NSNumber)?.boolValue }
    static func items(_ text: String) -> [String] {
        text.split { $0 == ";" || $0 == "," || $0.isNewline }.map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
}
