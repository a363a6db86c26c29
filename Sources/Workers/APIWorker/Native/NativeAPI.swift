import Control
import Foundation
import HTTPTypes
import HummingbirdCore
import IPC
import NIOCore
import Observe
import Primitives

/// The daemon's own API, `/api/v1`: JSON in and out, one table of routes from which the OpenAPI document is made as well.
package struct NativeAPI: Sendable {
    typealias Handler = @Sendable (NativeAPI, Exchange, [String: String]) async throws -> Reply

    /// One operation. `path` has its variables in braces.
    package struct Route: Sendable {
        package let method: HTTPRequest.Method
        package let path: String
        package let summary: String
        package let scope: APIKey.Scope
        /// Query parameters: name, what it may be and what it means.
        package var query: [(name: String, type: Shape, doc: String)] = []
        /// Members of the JSON body; one of the name `*` stands for all names.
        package var body: [(name: String, type: Shape, doc: String)] = []
        /// Members that must be there.
        package var required: [String] = []
        /// Headers that change the answer.
        package var headers: [(name: String, type: Shape, doc: String)] = []
        /// Statuses that other operations do not answer with.
        package var answers: [(code: String, doc: String)] = []
        let handler: Handler
    }

    let mirror: Mirror
    let gateway: Gateway
    let gatekeeper: Gatekeeper
    let freeSpace: FreeSpace
    let folders: AllowedFolders
    let streaming: FileStreams
    let tokens: StreamTokens
    let streams = EventStreams()

    package static let routes: [Route] = torrentRoutes + streamRoutes + daemonRoutes
    private static let plainPaths = Set(routes.map(\.path).filter { !$0.contains("{") })

    /// `path` is what stands behind `/api/v1`, with its slash.
    func respond(_ path: String, _ exchange: Exchange, principal: Gatekeeper.Principal?) async throws -> Reply {
        if path == "/openapi.json", exchange.method == .get { return .json(OpenAPI.document()) }
        let parts = path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        guard let principal = principal ?? tokenHolder(parts, exchange) else { throw Refusal(.unauthorized, "log in, or send a key") }
        var known: [String] = []
        for route in Self.routes {
            // A word that stands in a path is meant before a variable in its place.
            guard let variables = Self.match(route.path, parts), variables.isEmpty || !Self.plainPaths.contains(path) else { continue }
            known.append(route.method.rawValue)
            guard route.method == exchange.method else { continue }
            if case .key(let key) = principal, !key.allows(route.scope) { throw Refusal(.forbidden, "the key has not the scope \(route.scope.rawValue)") }
            try Self.check(exchange, against: route)
            return try await route.handler(self, exchange, variables)
        }
        guard !known.isEmpty else { throw Refusal(.notFound, "no such path") }
        var reply = Self.problem(Refusal(.methodNotAllowed, "only \(known.joined(separator: ", "))"))
        reply.headers[.allow] = known.joined(separator: ", ")
        return reply
    }

    static func match(_ template: String, _ parts: [String]) -> [String: String]? {
        let wanted = template.split(separator: "/")
        guard wanted.count == parts.count else { return nil }
        var out: [String: String] = [:]
        for (name, part) in zip(wanted, parts) {
            if name.hasPrefix("{") { out[String(name.dropFirst().dropLast())] = part } else if name != part { return nil }
        }
        return out
    }

    /// Errors of this API are `{"error":{"code":…,"message":…}}`.
    static func problem(_ refusal: Refusal) -> Reply {
        Reply(
            refusal.status, type: "application/json",
            JSONBytes.object { json in
                json.object("error") { json in
                    json.field("code", refusal.status.code)
                    json.field("message", refusal.text)
                }
            })
    }

    /// What the document says of the parameters holds.
    private static func check(_ exchange: Exchange, against route: Route) throws(Refusal) {
        for (name, type, doc) in route.query {
            guard let text = exchange.query[name], !type.admits(text: text) else { continue }
            throw Refusal(.badRequest, "\(name): \(doc)")
        }
        guard !route.body.isEmpty else { return }
        let body = try object(exchange)
        for name in route.required where body[name] == nil { throw Refusal(.badRequest, "\(name) is missing") }
        for (name, type, doc) in route.body {
            for (key, value) in body where (key == name || name == "*") && !type.admits(value) { throw Refusal(.badRequest, "\(Text.printable(key, limit: 100)): \(doc)") }
        }
    }

    // MARK: what handlers share

    static func object(_ exchange: Exchange) throws(Refusal) -> [String: Any] {
        if exchange.body.isEmpty { return [:] }
        guard RPCEnvelope.isShallow(exchange.body), let object = (try? JSONSerialization.jsonObject(with: Data(exchange.body))) as? [String: Any] else {
            throw Refusal(.badRequest, "the body is no JSON object")
        }
        return object
    }

    func entry(_ variables: [String: String]) throws(Refusal) -> MirrorState.Entry {
        let hash = variables["hash"] ?? ""
        guard let entry = mirror.read({ $0.entry(hash) }) else { throw Refusal(.notFound, "no such torrent") }
        return entry
    }

    static func encoded(_ value: some Encodable) throws -> Reply {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        return .json([UInt8](try encoder.encode(value)))
    }

    static func append(_ entry: MirrorState.Entry, to json: inout JSONBytes) {
        let r = entry.row, flags = entry.flags
        json.open()
        json.field("id", r.torrent)
        json.field("hash", entry.hash)
        if !entry.hashV2.isEmpty { json.field("hashV2", entry.hashV2) }
        json.field("name", r.name)
        json.field("state", phases[Int(min(r.phase, 8))])
        json.field("progress", entry.shown[.progress])
        json.field("done", r.bytesHave)
        json.field("size", r.totalLength)
        json.field("wanted", r.bytesWanted)
        json.field("wantedDone", r.bytesWantedHave)
        json.field("downRate", r.downRate)
        json.field("upRate", r.upRate)
        json.field("peers", r.peers)
        json.field("seeds", r.seeds)
        json.field("downloaded", r.downloaded)
        json.field("downloadedAgain", r.downloadedAgain)
        json.field("uploaded", r.uploaded)
        json.field("ratio", TorrentFields.ratio(r))
        json.field("eta", entry.shown[.eta] == .integer(TorrentFields.unknownETA) ? .null : entry.shown[.eta])
        json.field("error", r.error.isEmpty ? .null : .text(r.error))
        json.field("savePath", r.savePath)
        json.field("movingTo", r.movingTo.isEmpty ? .null : .text(r.movingTo))
        json.field("addedAt", r.addedAt)
        json.field("completedAt", r.completedAt == 0 ? .null : .integer(Int64(clamping: r.completedAt)))
        json.field("private", flags.contains(.isPrivate))
        json.field("sequential", flags.contains(.sequential))
        json.field("firstLastFirst", entry.shown[.fLPiecePrio])
        json.field("superSeeding", entry.shown[.superSeeding])
        json.field("paused", flags.contains(.paused))
        json.field("hasMetadata", flags.contains(.hasMetadata))
        json.field("pieceCount", r.pieceCount)
        json.field("pieceLength", r.pieceLength)
        json.field("piecesHave", r.piecesHave)
        json.field("category", entry.shown[.category])
        json.field("tags", entry.shown[.tags])
        json.field("downLimit", r.downLimit)
        json.field("upLimit", r.upLimit)
        json.close()
    }
    /// The catalogue's phases by number.
    static let phases = ["checking", "downloading", "seeding", "completed", "paused", "queued", "metadata", "waiting", "error"]
}
