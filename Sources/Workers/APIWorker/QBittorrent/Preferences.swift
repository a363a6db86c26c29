import Foundation

/// `app/preferences`: every key that clients read. Those with an option of ours show and set it; the others show what this
/// daemon does, in that key's terms.
package enum Preferences {
    /// A key, its option, and how one is the other.
    enum Kind: Sendable {
        case flag, integer, text, kib, list(String)
        /// A number, -1 for none, with a switch beside it: `<key>_enabled`.
        case limit
        /// One of our words: theirs by its place, or as it is written here with the capitals of theirs.
        case word([String], numbered: Bool)
    }
    static let mapped: [(key: String, option: String, kind: Kind)] = [
        ("save_path", "disk.download_dir", .text), ("listen_port", "network.listen_port", .integer), ("max_connec", "network.max_global_peers", .integer),
        ("max_connec_per_torrent", "network.max_peers_per_torrent", .integer), ("max_uploads_per_torrent", "network.max_upload_slots", .integer),
        ("dht", "discovery.enable_dht", .flag), ("pex", "discovery.enable_pex", .flag), ("lsd", "discovery.enable_lsd", .flag),
        ("alt_dl_limit", "limits.alt_down_kib", .kib), ("alt_up_limit", "limits.alt_up_kib", .kib), ("dl_limit", "limits.global_down_kib", .kib), ("up_limit", "limits.global_up_kib", .kib),
        ("queueing_enabled", "queue.auto_manage_queue", .flag),
        ("max_active_torrents", "queue.max_active_torrents", .integer), ("max_active_downloads", "queue.max_active_downloading", .integer),
        ("max_active_uploads", "queue.max_active_seeding", .integer), ("web_ui_username", "api.username", .text),
        ("web_ui_session_timeout", "api.session_timeout", .integer), ("web_ui_max_auth_fail_count", "api.max_failures", .integer),
        ("web_ui_ban_duration", "api.ban_time", .integer), ("bypass_local_auth", "api.bypass_local", .flag),
        ("bypass_auth_subnet_whitelist", "api.bypass_subnets", .list("\n")), ("web_ui_domain_list", "api.allowed_hosts", .list(";")),
        ("web_ui_csrf_protection_enabled", "api.csrf_check", .flag), ("web_ui_reverse_proxies_list", "api.trusted_proxies", .list(";")),
        ("web_ui_https_cert_path", "api.tls_certificate", .text), ("web_ui_https_key_path", "api.tls_key", .text),
        ("alternative_webui_path", "api.alternative_ui", .text), ("hashing_threads", "disk.hash_workers", .integer),
        ("disk_cache", "disk.cache_size_mb", .integer), ("add_stopped_enabled", "add.paused", .flag), ("add_to_top_of_queue", "add.top_of_queue", .flag),
        ("auto_tmm_enabled", "add.auto_managed", .flag), ("rss_processing_enabled", "rss.enable", .flag), ("rss_auto_downloading_enabled", "rss.auto_download", .flag),
        ("rss_max_articles_per_feed", "rss.max_articles", .integer), ("max_ratio", "seeding.max_ratio", .limit), ("max_seeding_time", "seeding.max_minutes", .limit),
        ("max_inactive_seeding_time", "seeding.max_inactive_minutes", .limit), ("max_ratio_act", "seeding.limit_action", .word(["stop", "remove", "super_seed", "remove_with_data"], numbered: true)),
        ("torrent_stop_condition", "add.stop_condition", .word(["None", "MetadataReceived", "FilesChecked"], numbered: false)),
        ("torrent_content_layout", "add.content_layout", .word(["Original", "Subfolder", "NoSubfolder"], numbered: false)),
    ]

    /// What does not hang on an option.
    private static let fixed: [(String, FieldValue)] = [
        ("add_trackers", .text("")), ("add_trackers_enabled", .flag(false)),
        ("add_trackers_from_url_enabled", .flag(false)), ("add_trackers_url", .text("")), ("add_trackers_url_list", .text("")),
        ("announce_ip", .text("")), ("announce_port", .integer(0)), ("announce_to_all_tiers", .flag(true)),
        ("announce_to_all_trackers", .flag(false)), ("anonymous_mode", .flag(false)), ("app_instance_name", .text("")), ("async_io_threads", .integer(1)),
        ("auto_delete_mode", .integer(0)), ("autorun_enabled", .flag(false)),
        ("autorun_on_torrent_added_enabled", .flag(false)), ("autorun_on_torrent_added_program", .text("")), ("autorun_program", .text("")),
        ("bdecode_depth_limit", .integer(100)), ("bdecode_token_limit", .integer(10_000_000)), ("bittorrent_protocol", .integer(1)),
        ("block_peers_on_privileged_ports", .flag(false)), ("category_changed_tmm_enabled", .flag(false)), ("checking_memory_use", .integer(32)),
        ("confirm_torrent_deletion", .flag(true)), ("confirm_torrent_recheck", .flag(true)), ("connection_speed", .integer(30)),
        ("current_interface_address", .text("")), ("current_interface_name", .text("")), ("current_network_interface", .text("")),
        ("delete_torrent_content_files", .flag(false)), ("dht_bootstrap_nodes", .text("")), ("disk_cache_ttl", .integer(60)), ("disk_io_read_mode", .integer(1)),
        ("disk_io_type", .integer(0)), ("disk_io_write_mode", .integer(1)), ("disk_queue_size", .integer(1_048_576)), ("dont_count_slow_torrents", .flag(false)),
        ("dyndns_domain", .text("")), ("dyndns_enabled", .flag(false)), ("dyndns_password", .text("")), ("dyndns_service", .integer(0)), ("dyndns_username", .text("")),
        ("embedded_tracker_port", .integer(9000)), ("embedded_tracker_port_forwarding", .flag(false)), ("enable_coalesce_read_write", .flag(true)),
        ("enable_embedded_tracker", .flag(false)), ("enable_multi_connections_from_same_ip", .flag(false)), ("enable_piece_extent_affinity", .flag(false)),
        ("enable_upload_suggestions", .flag(false)), ("encryption", .integer(2)), ("excluded_file_names", .text("")), ("excluded_file_names_enabled", .flag(false)),
        ("export_dir", .text("")), ("export_dir_fin", .text("")), ("file_log_age", .integer(1)), ("file_log_age_type", .integer(1)), ("file_log_backup_enabled", .flag(false)),
        ("file_log_delete_old", .flag(false)), ("file_log_enabled", .flag(false)), ("file_log_max_size", .integer(65)), ("file_log_path", .text("")),
        ("file_pool_size", .integer(100)), ("i2p_address", .text("")), ("i2p_enabled", .flag(false)), ("i2p_inbound_length", .integer(3)),
        ("i2p_inbound_quantity", .integer(3)), ("i2p_mixed_mode", .flag(false)), ("i2p_outbound_length", .integer(3)), ("i2p_outbound_quantity", .integer(3)),
        ("i2p_port", .integer(7656)), ("idn_support_enabled", .flag(false)), ("ignore_ssl_errors", .flag(false)), ("incomplete_files_ext", .flag(false)),
        ("ip_filter_enabled", .flag(false)), ("ip_filter_path", .text("")), ("ip_filter_trackers", .flag(false)), ("limit_lan_peers", .flag(true)),
        ("limit_tcp_overhead", .flag(false)), ("limit_utp_rate", .flag(true)), ("locale", .text("en")), ("mail_notification_auth_enabled", .flag(false)),
        ("mail_notification_email", .text("")), ("mail_notification_enabled", .flag(false)), ("mail_notification_password", .text("")),
        ("mail_notification_sender", .text("")), ("mail_notification_smtp", .text("")), ("mail_notification_ssl_enabled", .flag(false)),
        ("mail_notification_username", .text("")), ("mark_of_the_web", .flag(false)), ("max_active_checking_torrents", .integer(1)),
        ("max_concurrent_http_announces", .integer(128)),

        ("max_uploads", .integer(-1)), ("memory_working_set_limit", .integer(512)), ("merge_trackers", .flag(false)),
        ("outgoing_ports_max", .integer(0)), ("outgoing_ports_min", .integer(0)), ("peer_tos", .integer(4)), ("peer_turnover", .integer(4)),
        ("peer_turnover_cutoff", .integer(90)), ("peer_turnover_interval", .integer(300)), ("performance_warning", .flag(false)), ("preallocate_all", .flag(false)),
        ("proxy_auth_enabled", .flag(false)), ("proxy_bittorrent", .flag(false)), ("proxy_hostname_lookup", .flag(false)), ("proxy_ip", .text("")),
        ("proxy_misc", .flag(false)), ("proxy_password", .text("")), ("proxy_peer_connections", .flag(false)), ("proxy_port", .integer(8080)),
        ("proxy_rss", .flag(false)), ("proxy_type", .text("None")), ("proxy_username", .text("")), ("python_executable_path", .text("")), ("random_port", .flag(false)),
        ("reannounce_when_address_changed", .flag(false)), ("recheck_completed_torrents", .flag(false)), ("refresh_interval", .integer(1500)),
        ("request_queue_size", .integer(500)), ("resolve_peer_countries", .flag(false)), ("resume_data_storage_type", .text("SQLite")),
        ("rss_download_repack_proper_episodes", .flag(true)), ("rss_fetch_delay", .integer(2)),

        ("rss_smart_episode_filters", .text("")), ("save_path_changed_tmm_enabled", .flag(false)), ("save_resume_data_interval", .integer(1)),
        ("save_statistics_interval", .integer(15)), ("schedule_from_hour", .integer(8)), ("schedule_from_min", .integer(0)), ("schedule_to_hour", .integer(20)),
        ("schedule_to_min", .integer(0)), ("scheduler_days", .integer(0)), ("scheduler_enabled", .flag(false)), ("send_buffer_low_watermark", .integer(10)),
        ("send_buffer_watermark", .integer(500)), ("send_buffer_watermark_factor", .integer(50)), ("slow_torrent_dl_rate_threshold", .integer(2)),
        ("slow_torrent_inactive_timer", .integer(60)), ("slow_torrent_ul_rate_threshold", .integer(2)), ("socket_backlog_size", .integer(128)),
        ("socket_receive_buffer_size", .integer(0)), ("socket_send_buffer_size", .integer(0)), ("ssl_enabled", .flag(false)), ("ssl_listen_port", .integer(0)),
        ("ssrf_mitigation", .flag(true)), ("status_bar_external_ip", .flag(false)), ("stop_tracker_timeout", .integer(5)), ("temp_path", .text("")),
        ("temp_path_enabled", .flag(false)), ("torrent_changed_tmm_enabled", .flag(true)),
        ("torrent_content_remove_option", .text("Delete")), ("torrent_file_size_limit", .integer(33_554_432)),
        ("upload_choking_algorithm", .integer(1)), ("upload_slots_behavior", .integer(0)), ("upnp", .flag(false)), ("upnp_lease_duration", .integer(0)),
        ("use_category_paths_in_manual_mode", .flag(false)), ("use_subcategories", .flag(true)), ("use_unwanted_folder", .flag(false)),
        ("utp_tcp_mixed_mode", .integer(0)), ("validate_https_tracker_certificate", .flag(true)), ("web_ui_clickjacking_protection_enabled", .flag(true)),
        ("web_ui_custom_http_headers", .text("")), ("web_ui_secure_cookie_enabled", .flag(true)), ("web_ui_upnp", .flag(false)),
        ("web_ui_use_custom_http_headers_enabled", .flag(false)),
    ]

    package static func fields(_ options: [String: String]) -> [(String, FieldValue)] {
        var out = fixed
        for (key, option, kind) in mapped {
            let text = options[option] ?? ""
            out.append((key, value(text, kind)))
            if case .limit = kind { out.append((key + "_enabled", .flag((Double(text) ?? -1) >= 0))) }
        }
        out.append(("rss_refresh_interval", .integer(Int64((Double(options["rss.refresh_interval"] ?? "") ?? 1800) / 60))))
        // Derived ones.
        let listen = (options["api.listen"] ?? "").split(separator: ",").first.map(String.init) ?? "", cut = listen.lastIndex(of: ":")
        out.append(("web_ui_address", .text(cut.map { String(listen[..<$0]) } ?? "")))
        out.append(("web_ui_port", .integer(cut.flatMap { Int64(listen[listen.index(after: $0)...]) } ?? 8080)))
        out.append(("bypass_auth_subnet_whitelist_enabled", .flag(!(options["api.bypass_subnets"] ?? "").isEmpty)))
        out.append(("web_ui_host_header_validation_enabled", .flag(!(options["api.allowed_hosts"] ?? "").isEmpty)))
        out.append(("web_ui_reverse_proxy_enabled", .flag(!(options["api.trusted_proxies"] ?? "").isEmpty)))
        out.append(("alternative_webui_enabled", .flag(!(options["api.alternative_ui"] ?? "").isEmpty)))
        out.append(("use_https", .flag(!(options["api.tls_certificate"] ?? "").isEmpty)))
        out.append(("scan_dirs", .object))
        return out.sorted { $0.0 < $1.0 }
    }

    private static func value(_ text: String, _ kind: Kind) -> FieldValue {
        switch kind {
        case .flag: .flag(text == "true")
        // Where seconds may have a fraction qBittorrent has none. 0 is no limit with us, -1 with it, and clients take both.
        case .integer: .integer(Int64(text) ?? Int64(Double(text) ?? 0))
        case .text: .text(text)
        case .kib: .integer((Int64(text) ?? 0) * 1024)
        case .limit: text.contains(".") ? .number(Double(text) ?? -1) : .integer(Int64(text) ?? -1)
        case .word(let words, let numbered):
            numbered ? .integer(Int64(words.firstIndex { snake($0) == text } ?? 0)) : .text(words.first { snake($0) == text } ?? words[0])
        case .list(let separator): .text(text.split(separator: ",").joined(separator: separator))
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

    /// Options that a key of `setPreferences` changes; none for keys that are qBittorrent's alone.
    static func changes(_ key: String, _ value: Any) -> [(key: String, value: String)] {
        // A limit's switch: turned off it is none; turned on, its number says which.
        if key.hasSuffix("_enabled"), let entry = mapped.first(where: { "\($0.key)_enabled" == key }), case .limit = entry.kind {
            return (value as? NSNumber)?.boolValue == false ? [(entry.option, "-1")] : []
        }
        guard let entry = mapped.first(where: { $0.key == key }) else { return [] }
        let number = value as? NSNumber
        switch entry.kind {
        case .flag: return number.map { [(entry.option, $0.boolValue ? "true" : "false")] } ?? []
        case .limit: return number.map { [(entry.option, $0.doubleValue < 0 ? "-1" : $0.stringValue)] } ?? []
        case .word(let words, let numbered):
            if numbered { return number.flatMap { words.indices.contains($0.intValue) ? [(entry.option, snake(words[$0.intValue]))] : nil } ?? [] }
            return (value as? String).flatMap { words.contains($0) ? [(entry.option, snake($0))] : nil } ?? []
        // -1 is qBittorrent's "no limit".
        case .integer: return number.map { [(entry.option, String(max(0, $0.int64Value)))] } ?? []
        case .kib: return number.map { [(entry.option, String(max(0, ($0.int64Value + 1023) / 1024)))] } ?? []
        case .text: return (value as? String).map { [(entry.option, $0)] } ?? []
        case .list:
            guard let text = value as? String else { return [] }
            let items = text.split { $0 == ";" || $0 == "," || $0.isNewline }.map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty && $0 != "*" }
            return [(entry.option, items.joined(separator: ","))]
        }
    }
}
