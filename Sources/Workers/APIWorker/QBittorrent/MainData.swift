import Primitives

/// `sync/maindata`: everything once, then what changed. The cost is one comparison per torrent and the bytes of what changed.
package enum MainData {
    /// `extra` are values of server_state that do not come from the session.
    package static func answer(_ state: inout MirrorState, _ position: inout SyncPosition, rid: Int, extra: [(String, FieldValue)]) -> [UInt8] {
        state.update(serverState: ServerState.fields(state) + extra)
        let version = state.observe()
        let (newRid, base) = position.advance(rid: rid, to: version, oldest: state.oldest)
        var json = JSONBytes(reserving: base == nil ? state.count * 1600 + 4096 : 1024)
        json.open()
        json.field("rid", newRid)
        if base == nil { json.field("full_update", true) }
        if let base { delta(state, base, &json) } else { full(state, &json) }
        let server = state.serverState.changed(since: base)
        if !server.isEmpty { json.object("server_state") { json in for (name, value) in server { json.field(name, value) } } }
        json.close()
        return json.bytes
    }

    private static func full(_ state: MirrorState, _ json: inout JSONBytes) {
        json.object("torrents") { json in
            for entry in state.entries {
                guard let entry else { continue }
                json.key(entry.hash)
                json.open()
                entry.shown.append(to: &json, withHash: false)
                json.close()
            }
        }
        json.object("categories") { json in for (name, category) in state.categories.all { Categories.append(name, category, to: &json) } }
        json.field("tags", .texts(state.tags.all.map(\.name)))
        json.object("trackers") { json in
            for (url, place) in state.trackers.places.sorted(by: { $0.key < $1.key }) { json.field(url, .texts(hashes(state, place))) }
        }
    }

    private static func delta(_ state: MirrorState, _ base: UInt64, _ json: inout JSONBytes) {
        var isOpen = false
        for entry in state.changed(since: base) {
            if !isOpen {
                json.key("torrents")
                json.open()
                isOpen = true
            }
            _ = entry.shown.append(to: &json, since: base, hash: entry.hash)
        }
        if isOpen { json.close() }
        // Newest last: only the end of the list is looked at.
        let removed = state.removed.reversed().prefix { $0.version > base }.map(\.hash).filter { state.entry($0) == nil }
        if !removed.isEmpty { json.field("torrents_removed", .texts(removed.reversed())) }

        let categories = state.categories.changed(since: base)
        if !categories.isEmpty { json.object("categories") { json in for (name, category) in categories { Categories.append(name, category, to: &json) } } }
        let categoriesGone = state.categories.removed(since: base)
        if !categoriesGone.isEmpty { json.field("categories_removed", .texts(categoriesGone)) }
        let tags = state.tags.changed(since: base).map(\.name)
        if !tags.isEmpty { json.field("tags", .texts(tags)) }
        let tagsGone = state.tags.removed(since: base)
        if !tagsGone.isEmpty { json.field("tags_removed", .texts(tagsGone)) }

        guard state.trackers.version > base else { return }
        let places = state.trackers.places.filter { $0.value.version > base }.sorted { $0.key < $1.key }
        if !places.isEmpty { json.object("trackers") { json in for (url, place) in places { json.field(url, .texts(hashes(state, place))) } } }
        let gone = state.trackers.gone.filter { $0.value > base }.keys.sorted()
        if !gone.isEmpty { json.field("trackers_removed", .texts(gone)) }
    }

    private static func hashes(_ state: MirrorState, _ place: TrackerIndex.Place) -> [String] {
        place.torrents.sorted().compactMap { state.entry(id: $0)?.hash }
    }
}

/// Values of `server_state` and `transfer/info`. Some numbers are texts there; clients expect them so.
package enum ServerState {
    package static func transfer(_ s: MirrorState) -> [(String, FieldValue)] {
        let first = s.firstTotals ?? s.totals
        func since(_ now: UInt64, _ then: UInt64) -> FieldValue { .integer(Int64(clamping: now - min(now, then))) }
        return [
            ("connection_status", .text(s.globals.listenPort != 0 && s.isLive ? "connected" : "disconnected")),
            ("dht_nodes", .integer(Int64(s.globals.dhtNodes))),
            ("dl_info_data", since(s.totals.downloaded, first.downloaded)),
            ("dl_info_speed", .integer(Int64(clamping: s.totals.downRate))),
            ("dl_rate_limit", .integer(s.kibOption(s.usesAlternativeLimits ? "limits.alt_down_kib" : "limits.global_down_kib"))),
            ("up_info_data", since(s.totals.uploaded, first.uploaded)),
            ("up_info_speed", .integer(Int64(clamping: s.totals.upRate))),
            ("up_rate_limit", .integer(s.kibOption(s.usesAlternativeLimits ? "limits.alt_up_kib" : "limits.global_up_kib"))),
        ]
    }

    package static func fields(_ s: MirrorState) -> [(String, FieldValue)] {
        let ratio = s.totals.downloaded == 0 ? 0 : Double(s.totals.uploaded) / Double(s.totals.downloaded)
        return transfer(s) + [
            ("alltime_dl", .integer(Int64(clamping: s.totals.downloaded))),
            ("alltime_ul", .integer(Int64(clamping: s.totals.uploaded))),
            ("total_wasted_session", .integer(Int64(clamping: s.totals.wasted - min(s.totals.wasted, (s.firstTotals ?? s.totals).wasted)))),
            ("global_ratio", .text(twoDigits(ratio))),
            ("total_peer_connections", .integer(Int64(clamping: s.totals.peers))),
            ("read_cache_hits", .text("0")), ("read_cache_overload", .text("0")), ("write_cache_overload", .text("0")),
            ("total_buffers_size", .integer(0)),
            ("queued_io_jobs", .integer(Int64(s.globals.diskQueue))),
            ("average_time_queue", .integer(0)), ("total_queued_size", .integer(0)),
            ("queueing", .flag(s.options["queue.auto_manage_queue"] == "true")),
            ("use_alt_speed_limits", .flag(s.usesAlternativeLimits)),
            ("refresh_interval", .integer(1500)),
            ("use_subcategories", .flag(true)),
            ("last_external_address_v4", address(s.globals.externalV4)), ("last_external_address_v6", address(s.globals.externalV6)),
        ]
    }

    static func address(_ e: Endpoint) -> FieldValue { .text(e.isUnspecified ? "" : e.address) }

    static func twoDigits(_ d: Double) -> String {
        let hundredths = Int64((min(d, 1e12) * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}

extension MirrorState {
    /// By the user's switch or by the schedule.
    var usesAlternativeLimits: Bool { globals.usesAlternative != 0 }
    /// An option in KiB/s as bytes per second.
    package func kibOption(_ key: String) -> Int64 { (options[key].flatMap { Int64($0) } ?? 0) * 1024 }
}

package enum Categories {
    static func append(_ name: String, _ savePath: String, to json: inout JSONBytes) {
        json.object(name) { json in
            json.field("name", name)
            json.field("savePath", savePath)
            json.field("download_path", .null)
        }
    }
}
