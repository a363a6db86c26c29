import Control
import Foundation
import IPC
import Primitives

extension QBittorrentAPI {
    static let torrentRoutes: [String: Handler] = [
        // Reading.
        "torrents/info": { api, exchange, _ in
            let query = try TorrentQuery(exchange.parameters)
            return .json(
                api.mirror.read { state in
                    let found = query.run(state), now = wallSeconds()
                    var json = JSONBytes(reserving: found.count * 1700 + 16)
                    json.open("[")
                    for entry in found {
                        json.open()
                        entry.shown.append(to: &json, withHash: true, elapsed: entry.elapsed(now: now))
                        if query.includeTrackers { json.array("trackers") { json in TrackerView.append(entry, state, to: &json) } }
                        json.close()
                    }
                    json.close("]")
                    return json.bytes
                })
        },
        "torrents/count": { api, exchange, _ in
            let query = try TorrentQuery(exchange.parameters)
            return .text(String(api.mirror.read { query.run($0).count }))
        },
        "torrents/properties": { api, exchange, _ in try await api.properties(exchange) },
        "torrents/trackers": { api, exchange, _ in
            let entry = try api.entry(exchange)
            return .json(api.mirror.read { state in JSONBytes.array { TrackerView.append(entry, state, to: &$0) } })
        },
        "torrents/files": { api, exchange, _ in try await api.files(exchange) },
        "torrents/webseeds": { api, exchange, _ in
            let answer = try await api.gateway.call(ControlMethods.WebSeeds.self, HashParameters(hash: api.entry(exchange).hash))
            return .json(
                JSONBytes.array { json in
                    for url in answer.urls {
                        json.open()
                        json.field("url", url)
                        json.close()
                    }
                })
        },
        "torrents/pieceStates": { api, exchange, _ in
            let answer = try await api.gateway.call(ControlMethods.PieceStates.self, HashParameters(hash: api.entry(exchange).hash))
            return .json(JSONBytes.array { json in for digit in answer.states.utf8 { json.value(.integer(Int64(digit) - 48)) } })
        },

        // Changing.
        "torrents/add": { api, exchange, _ in try await api.add(exchange) },
        "torrents/delete": { api, exchange, _ in
            // Sonarr leaves deleteFiles out when the data is to be kept.
            let withData = exchange.flag("deleteFiles") ?? false
            try await api.each(api.hashes(exchange), ControlMethods.Remove.self) { RemoveParameters(hash: $0, withData: withData) }
            return .done
        },
        "torrents/stop": stop, "torrents/pause": stop, "torrents/start": start, "torrents/resume": start,
        "torrents/recheck": { api, exchange, _ in
            try await api.each(api.hashes(exchange), ControlMethods.Recheck.self) { HashParameters(hash: $0) }
            return .done
        },
        "torrents/reannounce": { api, exchange, _ in
            try await api.each(api.hashes(exchange), ControlMethods.Announce.self) { HashParameters(hash: $0) }
            return .done
        },
        "torrents/setDownloadLimit": { api, exchange, _ in
            let limit = try limit(exchange)
            try await api.each(api.hashes(exchange), ControlMethods.LimitTorrent.self) { TorrentLimitParameters(hash: $0, down: limit) }
            return .done
        },
        "torrents/setUploadLimit": { api, exchange, _ in
            let limit = try limit(exchange)
            try await api.each(api.hashes(exchange), ControlMethods.LimitTorrent.self) { TorrentLimitParameters(hash: $0, up: limit) }
            return .done
        },
        "torrents/downloadLimit": { api, exchange, _ in try api.limits(exchange, .dlLimit) },
        "torrents/uploadLimit": { api, exchange, _ in try api.limits(exchange, .upLimit) },
        "torrents/addPeers": { api, exchange, _ in
            let peers = try exchange.required("peers").split(separator: "|").map(String.init).filter { Endpoint($0)?.isDialable ?? false }
            guard !peers.isEmpty else { throw Refusal(.badRequest, "No valid peers were specified") }
            let hashes = try api.hashes(exchange)
            try await api.each(hashes, ControlMethods.AddPeers.self) { AddPeersParameters(hash: $0, peers: peers) }
            return .json { json in
                for hash in hashes {
                    json.object(hash) { json in
                        json.field("added", peers.count)
                        json.field("failed", 0)
                    }
                }
            }
        },
    ]

    private static let stop: Handler = { api, exchange, _ in
        try await api.each(api.hashes(exchange), ControlMethods.Pause.self) { HashParameters(hash: $0) }
        return .done
    }
    private static let start: Handler = { api, exchange, _ in
        try await api.each(api.hashes(exchange), ControlMethods.Resume.self) { HashParameters(hash: $0) }
        return .done
    }

    /// 0 and -1 are no limit.
    private static func limit(_ exchange: Exchange) throws(Refusal) -> Int64 {
        guard let limit = Int64(try exchange.required("limit")) else { throw Refusal(.badRequest, "limit is not a number") }
        return max(0, limit)
    }
    private func limits(_ exchange: Exchange, _ field: TorrentFields.Field) throws -> Reply {
        let hashes = try hashes(exchange)
        return .json(mirror.read { state in JSONBytes.object { json in for hash in hashes { if let entry = state.entry(hash) { json.field(hash, entry.shown[field]) } } } })
    }

    // MARK: one torrent

    private func properties(_ exchange: Exchange) async throws -> Reply {
        let entry = try entry(exchange), row = entry.row, shown = entry.shown
        // What stands in the .torrent file alone. Without a session the rest is still worth an answer.
        let details = try? await gateway.call(ControlMethods.Show.self, ShowParameters(hash: entry.hash))
        let now = wallSeconds(), elapsed = max(1, now - min(now, row.addedAt))
        func number(_ n: some BinaryInteger) -> FieldValue { .integer(Int64(clamping: n)) }
        let hasMetadata = entry.flags.contains(.hasMetadata)
        let fields: [(String, FieldValue)] = [
            ("addition_date", number(row.addedAt)), ("comment", shown[.comment] == .text("") ? .text(details?.comment ?? "") : shown[.comment]),
            ("completion_date", shown[.completionOn]), ("created_by", .text(details?.createdBy ?? "")),
            ("creation_date", .integer(details?.creationDate ?? -1)), ("dl_limit", shown[.dlLimit]), ("dl_speed", number(row.downRate)),
            ("dl_speed_avg", number(row.downloaded / elapsed)), ("download_path", shown[.downloadPath]), ("eta", shown[.eta]),
            ("has_metadata", .flag(hasMetadata)), ("hash", .text(entry.hash)), ("infohash_v1", shown[.infohashV1]), ("infohash_v2", shown[.infohashV2]),
            ("is_private", .flag(entry.flags.contains(.isPrivate))), ("last_seen", shown[.seenComplete]), ("name", .text(row.name)),
            ("nb_connections", number(row.peers)), ("nb_connections_limit", number(mirror.read { Int64($0.options["network.max_peers_per_torrent"] ?? "") ?? -1 })),
            ("peers", shown[.numLeechs]), ("peers_total", shown[.numIncomplete]), ("piece_size", hasMetadata ? number(row.pieceLength) : .integer(-1)),
            ("pieces_have", number(row.piecesHave)), ("pieces_num", hasMetadata ? number(row.pieceCount) : .integer(-1)), ("popularity", shown[.popularity]),
            ("private", .flag(entry.flags.contains(.isPrivate))), ("progress", shown[.progress]), ("reannounce", shown[.reannounce]),
            ("save_path", shown[.savePath]), ("seeding_time", shown[.seedingTime]), ("seeds", number(row.seeds)), ("seeds_total", shown[.numComplete]),
            ("share_ratio", shown[.ratio]), ("time_elapsed", shown[.timeActive]), ("total_downloaded", number(row.downloaded)),
            ("total_downloaded_session", shown[.downloadedSession]), ("total_size", shown[.totalSize]), ("total_uploaded", number(row.uploaded)),
            ("total_uploaded_session", shown[.uploadedSession]), ("total_wasted", number(row.downloadedAgain)), ("up_limit", shown[.upLimit]),
            ("up_speed", number(row.upRate)), ("up_speed_avg", number(row.uploaded / elapsed)),
        ]
        return .json { json in for (name, value) in fields { json.field(name, value) } }
    }

    private func files(_ exchange: Exchange) async throws -> Reply {
        let entry = try entry(exchange)
        // A magnet without metadata has no files yet.
        guard entry.flags.contains(.hasMetadata) else { return .json(Array("[]".utf8)) }
        let answer = try await gateway.call(ControlMethods.Files.self, HashParameters(hash: entry.hash))
        let wanted = exchange["indexes"].map { Set($0.split(separator: "|").compactMap { Int($0) }) }
        let isSeed = entry.flags.contains(.complete) && entry.row.piecesHave == entry.row.pieceCount, piece = UInt64(max(1, entry.row.pieceLength))
        return .json(
            JSONBytes.array { json in
                for (i, file) in answer.files.enumerated() where wanted?.contains(file.index) ?? true {
                    json.open()
                    if i == 0 { json.field("is_seed", isSeed) }
                    json.field("index", file.index)
                    json.field("name", file.path)
                    json.field("size", file.length)
                    json.field("progress", (file.progress * 10_000).rounded(.down) / 10_000)
                    json.field("priority", FileChoice.qBittorrentNumber(file.priority))
                    json.field("availability", isSeed ? 1.0 : file.progress)
                    if let offset = file.offset {
                        json.array("piece_range") { json in
                            json.value(.integer(Int64(offset / piece)))
                            json.value(.integer(Int64((offset + max(1, file.length) - 1) / piece)))
                        }
                    }
                    json.close()
                }
            })
    }

    // MARK: add

    /// All that one request names is added one after another. The answer is Fails. only when nothing was added.
    private func add(_ exchange: Exchange) async throws -> Reply {
        var template = AddParameters()
        if let save = exchange["savepath"], !save.isEmpty { template.save = save }
        // Old and new clients, and some send both names.
        template.paused = exchange.flag("stopped") ?? exchange.flag("paused")
        template.skipCheck = exchange.flag("skip_checking") ?? exchange.flag("seedMode")
        template.sequential = exchange.flag("sequentialDownload")
        try Self.options(exchange, &template)
        try await folders.writable(optional: template.save)
        try await folders.writable(optional: template.incompletePath)
        let links = (exchange["urls"] ?? "").split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        guard !links.isEmpty || !exchange.files.isEmpty else { throw Refusal(.badRequest, "neither urls nor files were given") }
        var added = 0, failures: [ControlError] = []
        for file in exchange.files {
            var one = template
            one.torrent = Data(file.bytes).base64EncodedString()
            do throws(ControlError) {
                _ = try await gateway.call(ControlMethods.Add.self, one)
                added += 1
            } catch {
                // A file that is no torrent is told apart from one that is there already.
                if error.code == .invalidParameters, exchange.files.count == 1, links.isEmpty, error.message.hasPrefix("not a usable torrent") {
                    throw Refusal(.unsupportedMediaType, "Error: '\(file.name)' is not a valid torrent file.")
                }
                failures.append(error)
            }
        }
        for link in links {
            var one = template
            one.magnet = Self.magnet(link)
            if one.magnet == nil, ["http://", "https://"].contains(where: link.lowercased().hasPrefix) { one.url = link }
            guard one.magnet != nil || one.url != nil else {
                failures.append(ControlError(.invalidParameters, "not a link, a magnet or a hash"))
                continue
            }
            do throws(ControlError) {
                _ = try await gateway.call(ControlMethods.Add.self, one)
                added += 1
            } catch { failures.append(error) }
        }
        if added == 0, let transient = failures.first(where: { $0.code == .unavailable }) { throw transient }
        for failure in failures { log(.info, "add over the API: \(failure.message)") }
        return .text(added > 0 ? "Ok." : "Fails.")
    }

    /// What an addition says beyond where and whether.
    private static func options(_ exchange: Exchange, _ p: inout AddParameters) throws(Refusal) {
        if let category = exchange["category"], !category.isEmpty { p.category = category }
        if let names = exchange["tags"].map(tags), !names.isEmpty { p.tags = names }
        if let name = exchange["rename"], !name.isEmpty { p.name = name }
        // A path that is given is meant.
        p.autoManaged = p.save == nil ? exchange.flag("autoTMM") : nil
        p.firstLastFirst = exchange.flag("firstLastPiecePrio")
        p.levels = try FileChoice.levels(exchange["filePriorities"])
        p.forceStart = exchange.flag("forced")
        p.topOfQueue = exchange.flag("addToTopOfQueue")
        switch exchange["stopCondition"] {
        case "MetadataReceived": p.stopCondition = .metadataReceived
        case "FilesChecked": p.stopCondition = .filesChecked
        case "None": p.stopCondition = StopCondition.none
        default: break
        }
        switch exchange["contentLayout"] {
        case "Original": p.contentLayout = .original
        case "Subfolder": p.contentLayout = .subfolder
        case "NoSubfolder": p.contentLayout = .noSubfolder
        default: if let root = exchange.flag("root_folder") { p.contentLayout = root ? .original : .noSubfolder }
        }
        // cross-seed names the save path here as well: that is none.
        if let path = exchange["downloadPath"], path.hasPrefix("/"), path != p.save, exchange.flag("useDownloadPath") ?? true { p.incompletePath = path }
        if exchange.flag("useDownloadPath") == false { p.incompletePath = "" }
        func rate(_ name: String) -> UInt64? { exchange[name].flatMap { Int64($0) }.flatMap { $0 > 0 ? UInt64($0) : nil } }
        p.downLimit = rate("dlLimit")
        p.upLimit = rate("upLimit")
        p.ratioLimit = exchange["ratioLimit"].flatMap { Double($0) }
        p.seedingTimeLimit = exchange["seedingTimeLimit"].flatMap { Int64($0) }
        p.inactiveSeedingTimeLimit = exchange["inactiveSeedingTimeLimit"].flatMap { Int64($0) }
        p.limitAction = exchange["shareLimitAction"].flatMap { limitActions[$0] }
    }

    /// A magnet, or a bare v1 hash in 40 hexadecimal or 32 base32 characters; nil for anything else.
    static func magnet(_ link: String) -> String? {
        if link.lowercased().hasPrefix("magnet:") { return link }
        let isHex = link.utf8.count == 40 && link.allSatisfy(\.isHexDigit)
        let isBase32 = link.utf8.count == 32 && link.uppercased().allSatisfy { "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".contains($0) }
        return isHex || isBase32 ? "magnet:?xt=urn:btih:\(link)" : nil
    }
}

package enum TrackerView {
    /// Rows of `torrents/trackers`: first the three that are no trackers.
    package static func append(_ entry: MirrorState.Entry, _ state: MirrorState, to json: inout JSONBytes) {
        let isPrivate = entry.flags.contains(.isPrivate)
        for (name, option) in [("** [DHT] **", "discovery.enable_dht"), ("** [PeX] **", "discovery.enable_pex"), ("** [LSD] **", "discovery.enable_lsd")] {
            let works = !isPrivate && state.options[option] == "true"
            append(url: name, tier: -1, status: works ? 2 : 0, isPrivate ? "This torrent is private" : "", (0, 0, 0, 0), to: &json)
        }
        for t in entry.row.trackers {
            // 1 not contacted, 2 working, 3 updating, 4 not working.
            let status: Int
            switch t.state {
            case 0: status = 1
            case 1: status = 3
            case 2: status = 2
            default: status = 4
            }
            append(url: t.url, tier: Int(t.tier), status: status, t.message, (-1, Int(t.seeds), Int(t.leechers), Int(t.downloads)), to: &json)
        }
    }
    private static func append(
        url: String, tier: Int, status: Int, _ message: String, _ n: (peers: Int, seeds: Int, leechers: Int, downloaded: Int), to json: inout JSONBytes
    ) {
        json.open()
        json.field("url", url)
        json.field("tier", tier)
        json.field("status", status)
        json.field("msg", message)
        json.field("num_peers", n.peers)
        json.field("num_seeds", n.seeds)
        json.field("num_leeches", n.leechers)
        json.field("num_downloaded", n.downloaded)
        json.close()
    }
}
