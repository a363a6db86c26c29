import Control
import Foundation
import Primitives

/// torrentcreator/*: tasks of ``TorrentCreator``.
extension QBittorrentAPI {
    static let creatorRoutes: [String: Handler] = [
        "torrentcreator/addTask": { api, exchange, _ in
            var p = TorrentCreator.Parameters(source: try await api.folders.readable(exchange.required("sourcePath")))
            if let target = exchange["torrentFilePath"], !target.isEmpty { p.target = try await api.folders.writableWithinKnown(target) }
            switch exchange["format"]?.lowercased() {
            case "v1": p.format = "v1"
            case "v2": p.format = "v2"
            default: break
            }
            p.isPrivate = exchange.flag("private") ?? false
            if let text = exchange["pieceSize"], !text.isEmpty {
                guard let size = Int(text), size >= 0 else { throw Refusal(.badRequest, "pieceSize is a number of bytes, 0 for automatic") }
                p.pieceSize = size
            }
            p.comment = String((exchange["comment"] ?? "").prefix(4096))
            p.tag = String((exchange["source"] ?? "").prefix(256))
            // An empty one ends a tier.
            p.trackers = (exchange["trackers"] ?? "").split(separator: "|", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
                .split(separator: "").map { Array($0) }
            p.webSeeds = (exchange["urlSeeds"] ?? "").split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
            p.startsSeeding = exchange.flag("startSeeding") ?? p.target.isEmpty
            guard let id = api.creator.add(p) else { throw Refusal(.conflict, "Too many active tasks") }
            return .json { $0.field("taskID", id) }
        },
        "torrentcreator/status": { api, exchange, _ in
            let id = exchange["taskID"] ?? "", tasks = id.isEmpty ? api.creator.tasks() : api.creator.task(id).map { [$0] } ?? []
            guard id.isEmpty || !tasks.isEmpty else { throw Refusal(.notFound, "Not Found") }
            return .json(JSONBytes.array { json in for task in tasks { append(task, to: &json) } })
        },
        "torrentcreator/torrentFile": { api, exchange, _ in
            guard let task = api.creator.task(try exchange.required("taskID")) else { throw Refusal(.notFound, "Not Found") }
            guard task.status == .finished, let bytes = api.creator.torrent(task.id) else {
                throw Refusal(.conflict, task.status == .failed ? "Torrent creation failed." : "Torrent creation is still unfinished.")
            }
            var reply = Reply(type: "application/x-bittorrent", bytes)
            reply.headers[.contentDisposition] = "attachment; filename=\"\(task.id).torrent\""
            return reply
        },
        "torrentcreator/deleteTask": { api, exchange, _ in
            guard api.creator.delete(try exchange.required("taskID")) else { throw Refusal(.notFound, "Not Found") }
            return .done
        },
    ]

    private static func append(_ task: TorrentCreator.Task, to json: inout JSONBytes) {
        let p = task.parameters
        json.open()
        json.field("taskID", task.id)
        json.field("sourcePath", p.source)
        json.field("pieceSize", task.pieceSize)
        json.field("private", p.isPrivate)
        json.field("timeAdded", RSSView.date(task.addedAt))
        json.field("format", p.format)
        json.field("status", task.status.rawValue)
        if !p.comment.isEmpty { json.field("comment", p.comment) }
        if !p.target.isEmpty { json.field("torrentFilePath", p.target) }
        if !p.tag.isEmpty { json.field("source", p.tag) }
        if !p.trackers.isEmpty { json.field("trackers", .texts(Array(p.trackers.joined()))) }
        if !p.webSeeds.isEmpty { json.field("urlSeeds", .texts(p.webSeeds)) }
        if task.startedAt > 0 { json.field("timeStarted", RSSView.date(task.startedAt)) }
        if task.finishedAt > 0 { json.field("timeFinished", RSSView.date(task.finishedAt)) }
        switch task.status {
        case .failed: json.field("errorMessage", task.error)
        case .running: json.field("progress", task.progress)
        case .queued, .finished: break
        }
        json.close()
    }

    /// What was made is seeded from where it was made of; nothing is checked again.
    static func seed(_ task: TorrentCreator.Task, _ bytes: [UInt8], gateway: Gateway) async throws(ControlError) {
        let cut = task.parameters.source.lastIndex(of: "/")!, parent = String(task.parameters.source[..<cut])
        var p = AddParameters(torrent: Data(bytes).base64EncodedString(), save: parent.isEmpty ? "/" : parent, skipCheck: true)
        p.paused = false
        _ = try await gateway.call(ControlMethods.Add.self, p)
    }
}
