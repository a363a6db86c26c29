import Control
import Foundation
import IPC
import Primitives

/// What a session adds to transfers: categories, tags, share limits, order, names, trackers, log.
extension QBittorrentAPI {
    static let sessionRoutes: [String: Handler] = [
        "torrents/categories": { api, _, _ in
            .json(api.mirror.read { state in JSONBytes.object { json in for (name, path) in state.categories.all { Categories.append(name, path, to: &json) } } })
        },
        "torrents/createCategory": { api, exchange, _ in
            let name = try exchange.required("category")
            guard !name.isEmpty else { throw Refusal(.badRequest, "Category cannot be empty") }
            try await api.folders.writable(optional: exchange["savePath"])
            do throws(ControlError) {
                _ = try await api.gateway.call(ControlMethods.CreateCategory.self, CategoryRow(name: name, savePath: exchange["savePath"] ?? ""))
            } catch { throw error.code == .invalidParameters ? Refusal(.conflict, error.message) : QBittorrentAPI.refusal(error) }
            return .done
        },
        "torrents/editCategory": { api, exchange, _ in
            let name = try exchange.required("category")
            guard !name.isEmpty else { throw Refusal(.badRequest, "Category cannot be empty") }
            try await api.folders.writable(optional: exchange["savePath"])
            do throws(ControlError) {
                _ = try await api.gateway.call(ControlMethods.EditCategory.self, CategoryRow(name: name, savePath: exchange["savePath"] ?? ""))
            } catch { throw error.code == .notFound ? Refusal(.conflict, error.message) : QBittorrentAPI.refusal(error) }
            return .done
        },
        "torrents/removeCategories": { api, exchange, _ in
            let names = try exchange.required("categories").split(whereSeparator: \.isNewline).map(String.init)
            _ = try await api.gateway.call(ControlMethods.RemoveCategories.self, NamesParameters(names: names))
            return .done
        },
        "torrents/setCategory": { api, exchange, _ in
            let category = try exchange.required("category")
            return try await api.set(exchange) { $0.category = category }
        },
        "torrents/tags": { api, _, _ in .json(api.mirror.read { state in JSONBytes.array { json in for (name, _) in state.tags.all { json.value(.text(name)) } } }) },
        "torrents/createTags": { api, exchange, _ in
            _ = try await api.gateway.call(ControlMethods.CreateTags.self, NamesParameters(names: tags(try exchange.required("tags"))))
            return .done
        },
        "torrents/deleteTags": { api, exchange, _ in
            _ = try await api.gateway.call(ControlMethods.DeleteTags.self, NamesParameters(names: tags(try exchange.required("tags"))))
            return .done
        },
        "torrents/addTags": { api, exchange, _ in
            let names = tags(try exchange.required("tags"))
            return try await api.set(exchange) { $0.addTags = names }
        },
        "torrents/removeTags": { api, exchange, _ in
            // Without a name all of them go.
            let names = tags(exchange["tags"] ?? "")
            return try await api.set(exchange) { if names.isEmpty { $0.tags = [] } else { $0.removeTags = names } }
        },
        "torrents/setTags": { api, exchange, _ in
            let names = tags(try exchange.required("tags"))
            return try await api.set(exchange) { $0.tags = names }
        },
        "torrents/setShareLimits": { api, exchange, _ in
            // Sonarr sends the first two only; what is absent stays.
            let ratio = exchange["ratioLimit"].flatMap { Double($0) }, seeding = exchange["seedingTimeLimit"].flatMap { Int64($0) }
            let inactive = exchange["inactiveSeedingTimeLimit"].flatMap { Int64($0) }
            let action: LimitAction? = exchange["shareLimitAction"].flatMap { limitActions[$0] }
            guard ratio != nil || seeding != nil || inactive != nil || action != nil else { throw Refusal(.badRequest, "no limit was given") }
            return try await api.set(exchange) { p in
                p.ratioLimit = ratio
                p.seedingTimeLimit = seeding
                p.inactiveSeedingTimeLimit = inactive
                p.limitAction = action
            }
        },
        "torrents/topPrio": { api, exchange, _ in try await api.queue(exchange, .top) },
        "torrents/bottomPrio": { api, exchange, _ in try await api.queue(exchange, .bottom) },
        "torrents/increasePrio": { api, exchange, _ in try await api.queue(exchange, .up) },
        "torrents/decreasePrio": { api, exchange, _ in try await api.queue(exchange, .down) },
        "torrents/setForceStart": { api, exchange, _ in
            let on = exchange.flag("value") ?? false
            return try await api.set(exchange) { $0.forceStart = on }
        },
        "torrents/setSuperSeeding": { api, exchange, _ in
            let on = exchange.flag("value") ?? false
            return try await api.set(exchange) { $0.superSeeding = on }
        },
        "torrents/setAutoManagement": { api, exchange, _ in
            let on = exchange.flag("enable") ?? false
            return try await api.set(exchange) { $0.autoManaged = on }
        },
        "torrents/filePrio": { api, exchange, _ in try await FileChoice.set(exchange, api.entry(exchange), api.gateway) },
        "torrents/toggleSequentialDownload": { api, exchange, _ in try await api.toggle(exchange, .seqDl) { $0.sequential = $1 } },
        "torrents/toggleFirstLastPiecePrio": { api, exchange, _ in try await api.toggle(exchange, .fLPiecePrio) { $0.firstLastFirst = $1 } },
        "torrents/setLocation": { api, exchange, _ in
            let location = try exchange.required("location").trimmingCharacters(in: .whitespaces)
            guard location.hasPrefix("/") else { throw Refusal(.badRequest, "the location is no absolute path") }
            try await api.folders.writable(optional: location)
            return try await api.set(exchange) { $0.savePath = location }
        },
        "torrents/setSavePath": { api, exchange, _ in
            let path = try exchange.required("path")
            guard path.hasPrefix("/") else { throw Refusal(.badRequest, "the path is not absolute") }
            try await api.folders.writable(optional: path)
            return try await api.set(exchange, of: "id") { $0.savePath = path }
        },
        "torrents/setDownloadPath": { api, exchange, _ in
            let path = try exchange.required("path").trimmingCharacters(in: .whitespaces)
            guard path.isEmpty || path.hasPrefix("/") else { throw Refusal(.badRequest, "the path is not absolute") }
            try await api.folders.writable(optional: path)
            return try await api.set(exchange, of: "id") { $0.incompletePath = path }
        },
        "torrents/SSLParameters": { api, exchange, _ in
            // No torrent here has a certificate of its own (libtorrent's SSL torrents).
            _ = try api.entry(exchange)
            return .json { json in for name in ["ssl_certificate", "ssl_private_key", "ssl_dh_params"] { json.field(name, "") } }
        },
        "torrents/setSSLParameters": { api, exchange, _ in
            _ = try api.entry(exchange)
            throw Refusal(.badRequest, "SSL torrents are not in this build")
        },
        "torrents/rename": { api, exchange, _ in
            let name = try exchange.required("name").trimmingCharacters(in: .whitespacesAndNewlines)
            guard !name.isEmpty else { throw Refusal(.conflict, "Incorrect torrent name") }
            var p = SetTorrentsParameters(hashes: [try api.entry(exchange).hash])
            p.name = name
            _ = try await api.gateway.call(ControlMethods.SetTorrents.self, p)
            return .done
        },
        "torrents/setComment": { api, exchange, _ in
            let comment = try exchange.required("comment")
            return try await api.set(exchange) { $0.comment = comment }
        },
        "torrents/renameFile": { api, exchange, _ in
            let p = RenameParameters(hash: try api.entry(exchange).hash, path: try exchange.required("oldPath"), newPath: try exchange.required("newPath"))
            _ = try await api.gateway.call(ControlMethods.RenameFile.self, p)
            return .done
        },
        "torrents/renameFolder": { api, exchange, _ in
            let p = RenameParameters(hash: try api.entry(exchange).hash, path: try exchange.required("oldPath"), newPath: try exchange.required("newPath"))
            _ = try await api.gateway.call(ControlMethods.RenameFolder.self, p)
            return .done
        },
        "torrents/addTrackers": { api, exchange, _ in
            let urls = try exchange.required("urls").split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
            _ = try await api.gateway.call(ControlMethods.AddTrackers.self, AddTrackersParameters(hash: api.entry(exchange).hash, urls: urls))
            return .done
        },
        "torrents/editTracker": { api, exchange, _ in
            guard let old = exchange["origUrl"] ?? exchange["url"] else { throw Refusal(.badRequest, "missing parameter: origUrl") }
            let new = exchange["newUrl"], tier = exchange["tier"].flatMap { Int($0) }
            do throws(ControlError) {
                _ = try await api.gateway.call(ControlMethods.EditTracker.self, EditTrackerParameters(hash: try api.entryOrRefuse(exchange).hash, url: old, newURL: new, tier: tier))
            } catch { throw error.code == .notFound ? Refusal(.conflict, error.message) : QBittorrentAPI.refusal(error) }
            return .done
        },
        "torrents/removeTrackers": { api, exchange, _ in
            let urls = try exchange.required("urls").split(separator: "|").map { PercentCoding.decode($0.utf8, plus: false) }
            do throws(ControlError) {
                _ = try await api.gateway.call(ControlMethods.RemoveTrackers.self, RemoveTrackersParameters(hash: try api.entryOrRefuse(exchange).hash, urls: urls))
            } catch { throw error.code == .notFound ? Refusal(.conflict, error.message) : QBittorrentAPI.refusal(error) }
            return .done
        },
        "torrents/export": { api, exchange, _ in
            let answer = try await api.gateway.call(ControlMethods.Export.self, HashParameters(hash: api.entry(exchange).hash))
            return Reply(type: "application/x-bittorrent", [UInt8](Data(base64Encoded: answer.torrent) ?? Data()))
        },
        "torrents/pieceHashes": { api, exchange, _ in
            let answer = try await api.gateway.call(ControlMethods.PieceHashes.self, HashParameters(hash: api.entry(exchange).hash))
            return .json(JSONBytes.array { json in for hash in answer.hashes { json.value(.text(hash)) } })
        },
        "log/main": { api, exchange, _ in
            let answer = try await api.gateway.call(ControlMethods.ReadLog.self, LogParameters(after: exchange["last_known_id"].flatMap { UInt64($0) }))
            let wanted = ["info": exchange.flag("info") ?? true, "normal": exchange.flag("normal") ?? true, "warning": exchange.flag("warning") ?? true, "error": exchange.flag("critical") ?? true]
            let types = ["normal": 1, "info": 2, "warning": 4, "error": 8]
            return .json(
                JSONBytes.array { json in
                    for line in answer.lines where wanted[line.level] ?? true {
                        json.open()
                        json.field("id", line.id)
                        json.field("message", line.text)
                        json.field("timestamp", line.time)
                        json.field("type", types[line.level] ?? 1)
                        json.close()
                    }
                })
        },
        "log/peers": { api, exchange, _ in
            let answer = try await api.gateway.call(ControlMethods.ReadLog.self, LogParameters(after: exchange["last_known_id"].flatMap { UInt64($0) }, peers: true))
            return .json(
                JSONBytes.array { json in
                    for line in answer.lines {
                        json.open()
                        json.field("id", line.id)
                        json.field("ip", line.address ?? "")
                        json.field("timestamp", line.time)
                        json.field("blocked", line.level == "blocked")
                        json.field("reason", line.text)
                        json.close()
                    }
                })
        },
    ]

    static let limitActions: [String: LimitAction] = [
        "Default": .standard, "Stop": .stop, "Remove": .remove, "RemoveWithContent": .removeWithData, "EnableSuperSeeding": .superSeeding, "-1": .standard, "0": .stop, "1": .remove,
        "2": .superSeeding, "3": .removeWithData,
    ]
    static func tags(_ text: String) -> [String] { text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty } }

    private func entryOrRefuse(_ exchange: Exchange) throws(ControlError) -> MirrorState.Entry {
        do throws(Refusal) { return try entry(exchange) } catch { throw ControlError(.notFound, error.text) }
    }

    private func set(_ exchange: Exchange, of name: String = "hashes", _ change: (inout SetTorrentsParameters) -> Void) async throws -> Reply {
        var p = SetTorrentsParameters(hashes: try hashes(exchange, name))
        guard !p.hashes.isEmpty else { return .done }
        p.skipUnknown = true
        change(&p)
        _ = try await gateway.call(ControlMethods.SetTorrents.self, p)
        return .done
    }

    private func queue(_ exchange: Exchange, _ place: MoveInQueueParameters.Place) async throws -> Reply {
        let hashes = try hashes(exchange)
        guard !hashes.isEmpty else { return .done }
        _ = try await gateway.call(ControlMethods.MoveInQueue.self, MoveInQueueParameters(hashes: hashes, to: place, skipUnknown: true))
        return .done
    }

    /// Each torrent's own value, turned.
    private func toggle(_ exchange: Exchange, _ field: TorrentFields.Field, _ change: (inout SetTorrentsParameters, Bool) -> Void) async throws -> Reply {
        let all = try hashes(exchange)
        let on = mirror.read { state in all.filter { state.entry($0)?.shown[field] == .flag(true) } }
        for (hashes, value) in [(on, false), (all.filter { !on.contains($0) }, true)] where !hashes.isEmpty {
            var p = SetTorrentsParameters(hashes: hashes)
            p.skipUnknown = true
            change(&p, value)
            _ = try await gateway.call(ControlMethods.SetTorrents.self, p)
        }
        return .done
    }
}
