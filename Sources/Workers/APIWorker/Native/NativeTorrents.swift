import Control
import Foundation
import HTTPTypes
import IPC
import Primitives

extension NativeAPI {
    /// What one answer lists at the most.
    static let pageLimit = 10_000

    static let torrentRoutes: [Route] = [
        Route(
            method: .get, path: "/torrents", summary: "Torrents, filtered, sorted and cut on the server", scope: .read,
            query: [
                ("filter", .choice(TorrentQuery.filters.sorted()), "by state"), ("category", .text, "only this one; empty: none"), ("tag", .text, "only with this one; empty: without any"),
                ("tracker", .text, "only with a tracker of this host"), ("search", .text, "words that must all stand in the name"),
                ("sort", .choice(TorrentFields.Field.allCases.map(\.name)), "a field of qBittorrent's torrents/info"), ("reverse", .flag, "true: the other way round"),
                ("offset", .from(0), "torrents to pass over"), ("limit", .from(1), "torrents to list, at most \(pageLimit)"),
            ]
        ) { api, exchange, _ in
            var query = try TorrentQuery(exchange.query)
            let limit = query.limit > 0 ? min(query.limit, pageLimit) : pageLimit, offset = max(0, query.offset)
            (query.limit, query.offset) = (0, 0)
            let all = query, words = (exchange.query["search"] ?? "").lowercased().split(separator: " "), host = exchange.query["tracker"]?.lowercased()
            return .json(
                api.mirror.read { state in
                    var found = all.run(state)
                    if !words.isEmpty { found.removeAll { entry in !words.allSatisfy { entry.row.name.lowercased().contains($0) } } }
                    if let host { found.removeAll { entry in !entry.row.trackers.contains { TrackerHosts.host($0.url) == host } } }
                    return JSONBytes.object { json in
                        json.field("total", found.count)
                        json.field("offset", offset)
                        json.array("torrents") { json in for entry in found.dropFirst(offset).prefix(limit) { append(entry, to: &json) } }
                    }
                })
        },
        Route(
            method: .post, path: "/torrents", summary: "Adds a torrent", scope: .write,
            body: [
                ("torrent", "string", "a .torrent file in base64"), ("magnet", "string", "a magnet link or a hash, instead"), ("save", .path, "absolute path of the folder"),
                ("paused", "boolean", "do not start it"), ("sequential", "boolean", "pieces in order"), ("skipCheck", "boolean", "believe that every piece is there"),
                ("only", "array", "files to fetch, as 3 or 4-7; absent: all"), ("priorities", "array", "as 3=high or 4-7=skip, on top of only"),
                ("firstLastFirst", "boolean", "the ends of files before the rest"),
            ]
        ) { api, exchange, _ in
            let object = try object(exchange)
            var p = AddParameters()
            p.torrent = object["torrent"] as? String
            if let link = object["magnet"] as? String {
                p.magnet = QBittorrentAPI.magnet(link)
                guard p.magnet != nil else { throw Refusal(.badRequest, "neither a magnet nor a hash") }
            }
            p.save = object["save"] as? String
            try await api.folders.writable(optional: p.save)
            p.paused = object["paused"] as? Bool
            p.sequential = object["sequential"] as? Bool
            p.skipCheck = object["skipCheck"] as? Bool
            p.only = object["only"] as? [String]
            p.priorities = object["priorities"] as? [String]
            p.firstLastFirst = object["firstLastFirst"] as? Bool
            let added = try await api.gateway.call(ControlMethods.Add.self, p)
            var reply = Reply.json { json in
                json.field("hash", added.hash)
                json.field("name", added.name)
            }
            reply.status = .created
            reply.headers[.location] = "/api/v1/torrents/\(added.hash)"
            return reply
        },
        Route(
            method: .post, path: "/torrents/bulk", summary: "The same for many torrents; each has its own outcome", scope: .write,
            body: [
                ("hashes", .list(.text), "hashes, or the one word all"), ("action", .choice(["pause", "resume", "recheck", "announce", "remove", "move"]), "what is done"),
                ("withData", "boolean", "for remove: the files too"),
                ("save", .path, "for move: absolute path of the folder"),
            ], required: ["hashes", "action"]
        ) { api, exchange, _ in try await api.bulk(object(exchange)) },
        Route(method: .get, path: "/torrents/{hash}", summary: "One torrent with what its file says", scope: .read) { api, _, v in
            let entry = try api.entry(v), details = try? await api.gateway.call(ControlMethods.Show.self, ShowParameters(hash: entry.hash))
            return .json { json in
                json.key("torrent")
                append(entry, to: &json)
                json.field("comment", details?.comment ?? "")
                json.field("createdBy", details?.createdBy ?? "")
                json.field("creationDate", details?.creationDate.map { .integer($0) } ?? .null)
                json.field("webSeeds", .texts(details?.webSeeds ?? []))
            }
        },
        Route(method: .delete, path: "/torrents/{hash}", summary: "Removes it", scope: .write, query: [("withData", .flag, "true: its files too")]) { api, exchange, v in
            let entry = try api.entry(v)
            _ = try await api.gateway.call(ControlMethods.Remove.self, RemoveParameters(hash: entry.hash, withData: exchange.query.flag("withData") ?? false))
            return Reply(.noContent, type: "application/json", [])
        },
        Route(method: .get, path: "/torrents/{hash}/files", summary: "Its files, each with the media type as which it is sent and whether a playlist may name it", scope: .read) { api, _, v in
            let files = try await api.gateway.call(ControlMethods.Files.self, HashParameters(hash: api.entry(v).hash)).files
            return try encoded(["files": files.map(ListedFile.init)])
        },
        Route(
            method: .patch, path: "/torrents/{hash}/files", summary: "How much files are wanted", scope: .write,
            body: [("files", .some(.files), "numbers of files, as 3 or 4-7"), ("priority", .choice(FileLevel.names), "how much")], required: ["files", "priority"]
        ) { api, exchange, v in
            let entry = try api.entry(v), object = try object(exchange)
            _ = try await api.gateway.call(
                ControlMethods.SetFilePriority.self,
                FilePriorityParameters(hash: entry.hash, files: object["files"] as? [String] ?? [], level: object["priority"] as? String ?? ""))
            return Reply(.noContent, type: "application/json", [])
        },
        Route(method: .get, path: "/torrents/{hash}/peers", summary: "Its connections", scope: .read) { api, _, v in
            try await encoded(api.gateway.call(ControlMethods.Peers.self, HashParameters(hash: api.entry(v).hash)))
        },
        Route(method: .get, path: "/torrents/{hash}/trackers", summary: "Its trackers and what they said", scope: .read) { api, _, v in
            try await encoded(api.gateway.call(ControlMethods.Trackers.self, HashParameters(hash: api.entry(v).hash)))
        },
        Route(
            method: .patch, path: "/torrents/{hash}", summary: "Changes its limits and the order of its pieces", scope: .write,
            body: [
                ("down", "integer", "bytes per second; 0: none; below 0: as the settings say"), ("up", "integer", "likewise"), ("group", "string", "a name of limits.groups; empty: none"),
                ("maxPeers", "integer", "connections; below 1: as the settings say"), ("sequential", "boolean", "pieces in order"),
                ("firstLastFirst", "boolean", "the ends of files before the rest"), ("superSeeding", "boolean", "show each peer a few pieces at a time (BEP 16)"),
            ]
        ) { api, exchange, v in
            let entry = try api.entry(v), object = try object(exchange)
            func number(_ name: String) -> Int64? { (object[name] as? NSNumber)?.int64Value }
            var set = SetTorrentsParameters(hashes: [entry.hash])
            set.sequential = object["sequential"] as? Bool
            set.firstLastFirst = object["firstLastFirst"] as? Bool
            set.superSeeding = object["superSeeding"] as? Bool
            if set != SetTorrentsParameters(hashes: [entry.hash]) { _ = try await api.gateway.call(ControlMethods.SetTorrents.self, set) }
            let isLimit = ["down", "up", "group", "maxPeers"].contains { object[$0] != nil }
            guard isLimit || object.isEmpty else { return Reply(.noContent, type: "application/json", []) }
            _ = try await api.gateway.call(
                ControlMethods.LimitTorrent.self,
                TorrentLimitParameters(hash: entry.hash, down: number("down"), up: number("up"), group: object["group"] as? String, maxPeers: number("maxPeers").map { Int(clamping: $0) }))
            return Reply(.noContent, type: "application/json", [])
        },
        Route(
            method: .post, path: "/torrents/{hash}/peers", summary: "Names peers to try", scope: .write, body: [("peers", .list(.text), "1.2.3.4:6881 or [::1]:6881")], required: ["peers"]
        ) { api, exchange, v in
            let entry = try api.entry(v)
            _ = try await api.gateway.call(ControlMethods.AddPeers.self, AddPeersParameters(hash: entry.hash, peers: object(exchange)["peers"] as? [String] ?? []))
            return Reply(.noContent, type: "application/json", [])
        },
        Route(
            method: .post, path: "/torrents/{hash}/move", summary: "Moves its data; answered when they have moved", scope: .write,
            body: [("save", .path, "absolute path of the folder")], required: ["save"]
        ) { api, exchange, v in
            let entry = try api.entry(v)
            let save = try object(exchange)["save"] as? String ?? ""
            try await api.folders.writable(optional: save)
            _ = try await api.gateway.call(ControlMethods.Move.self, MoveParameters(hash: entry.hash, save: save))
            return Reply(.noContent, type: "application/json", [])
        },
        action("pause", "Pauses it", ControlMethods.Pause.self), action("resume", "Starts it", ControlMethods.Resume.self),
        action("recheck", "Hashes its data again", ControlMethods.Recheck.self), action("announce", "Asks its trackers now", ControlMethods.Announce.self),
    ]

    private static func action<M: ControlMethod & SendableMetatype>(_ name: String, _ summary: String, _ method: M.Type) -> Route where M.Parameters == HashParameters {
        Route(method: .post, path: "/torrents/{hash}/\(name)", summary: summary, scope: .write) { api, _, v in
            _ = try await api.gateway.call(method, HashParameters(hash: api.entry(v).hash))
            return Reply(.noContent, type: "application/json", [])
        }
    }

    /// A file of a torrent, and what it is by its name.
    private struct ListedFile: Encodable {
        let row: FileRow
        private enum Key: CodingKey { case mediaType, isPlayable }

        init(_ row: FileRow) { self.row = row }
        func encode(to encoder: any Encoder) throws {
            try row.encode(to: encoder)
            var more = encoder.container(keyedBy: Key.self)
            try more.encode(MediaType.of(row.path), forKey: .mediaType)
            try more.encode(MediaType.isPlayable(row.path), forKey: .isPlayable)
        }
    }

    private func bulk(_ object: [String: Any]) async throws -> Reply {
        let all = (object["hashes"] as? [String]) == ["all"]
        let given = object["hashes"] as? [String] ?? []
        let hashes = mirror.read { state in all ? state.entries.compactMap { $0?.hash } : given.map { state.entry($0)?.hash ?? $0 } }
        let withData = object["withData"] as? Bool, save = object["save"] as? String, gateway = self.gateway
        let perform: @Sendable (String) async throws -> Void
        switch object["action"] as? String {
        case "pause": perform = { _ = try await gateway.call(ControlMethods.Pause.self, HashParameters(hash: $0)) }
        case "resume": perform = { _ = try await gateway.call(ControlMethods.Resume.self, HashParameters(hash: $0)) }
        case "recheck": perform = { _ = try await gateway.call(ControlMethods.Recheck.self, HashParameters(hash: $0)) }
        case "announce": perform = { _ = try await gateway.call(ControlMethods.Announce.self, HashParameters(hash: $0)) }
        case "remove": perform = { _ = try await gateway.call(ControlMethods.Remove.self, RemoveParameters(hash: $0, withData: withData)) }
        case "move":
            guard let save else { throw Refusal(.badRequest, "save is missing") }
            try await folders.writable(optional: save)
            perform = { _ = try await gateway.call(ControlMethods.Move.self, MoveParameters(hash: $0, save: save)) }
        default: throw Refusal(.badRequest, "action is none of pause, resume, recheck, announce, remove, move")
        }
        var outcomes: [(String, String?)] = []
        for hash in hashes {
            do { try await perform(hash) } catch let error as ControlError {
                outcomes.append((hash, error.message))
                continue
            }
            outcomes.append((hash, nil))
        }
        return .json { json in
            json.field("done", outcomes.count { $0.1 == nil })
            json.object("failed") { json in for (hash, why) in outcomes { if let why { json.field(hash, why) } } }
        }
    }
}
