import Control
import HTTPTypes
import Observe
import Primitives

/// qBittorrent's Web API v2 as version 5.1.4 speaks it: `/api/v2/<scope>/<action>`.
///
/// Reads are answered from the ``Mirror``; what changes something goes to the session worker with the methods of the control
/// socket. A handler is `(Exchange, Caller) -> Reply`; the tables below name all of them.
package struct QBittorrentAPI: Sendable {
    package static let version = "v5.1.4"
    package static let apiVersion = "2.11.4"

    package typealias Handler = @Sendable (QBittorrentAPI, Exchange, Gatekeeper.Principal) async throws -> Reply

    let mirror: Mirror
    let gateway: Gateway
    let gatekeeper: Gatekeeper
    let freeSpace: FreeSpace
    let folders: AllowedFolders
    let creator: TorrentCreator
    let log: Log

    /// Everything that needs a login.
    static let routes: [String: Handler] = [:].merging(appRoutes) { $1 }.merging(torrentRoutes) { $1 }.merging(transferRoutes) { $1 }
        .merging(syncRoutes) { $1 }.merging(sessionRoutes) { $1 }.merging(rssRoutes) { $1 }.merging(searchRoutes) { $1 }.merging(folderRoutes) { $1 }
        .merging(creatorRoutes) { $1 }.merging(webSeedRoutes) { $1 }

    /// `path` is what stands behind `/api/v2/`.
    package func respond(_ path: String, _ exchange: Exchange) async throws -> Reply {
        switch path {
        case "auth/login": return await login(exchange)
        case "auth/logout": return logout(exchange)
        default: break
        }
        // Sonarr asks for the version before it logs in: 404 would say "too old", 403 says "log in".
        guard let principal = await gatekeeper.identify(exchange) else { throw Refusal(.forbidden, "Forbidden") }
        guard let handler = Self.routes[path] else { throw Refusal(.notFound, "Not Found") }
        if case .key(let key) = principal { try authorize(key, path) }
        var reply: Reply
        do {
            reply = try await handler(self, exchange, principal)
        } catch let error as ControlError {
            throw Self.refusal(error)
        }
        // A bypass begins a session, so that deltas have a place of their own.
        if principal == .direct, exchange.headers[.authorization] == nil, !path.hasPrefix("sync/") || reply.headers[.setCookie] == nil,
            gatekeeper.isBypassed(exchange.address)
        {
            reply.headers[.setCookie] = gatekeeper.cookie(gatekeeper.sessions.begin(), isSecure: exchange.isSecure)
        }
        return reply
    }

    private func authorize(_ key: APIKey, _ path: String) throws(Refusal) {
        let needed: APIKey.Scope = Self.readPaths.contains(path) ? .read : path.hasPrefix("app/") ? .admin : .write
        guard key.allows(needed) else { throw Refusal(.forbidden, "the key has not the scope \(needed.rawValue)") }
    }
    static let readPaths: Set<String> = [
        "app/version", "app/webapiVersion", "app/buildInfo", "app/preferences", "app/defaultSavePath", "app/networkInterfaceList",
        "app/networkInterfaceAddressList", "app/cookies", "transfer/info", "transfer/speedLimitsMode", "transfer/uploadLimit", "transfer/downloadLimit",
        "torrents/info", "torrents/count", "torrents/properties", "torrents/trackers", "torrents/files", "torrents/webseeds", "torrents/pieceStates",
        "torrents/pieceHashes", "torrents/categories", "torrents/tags", "torrents/export", "sync/maindata", "sync/torrentPeers", "log/main", "log/peers",
        "rss/items", "rss/rules", "rss/exportRules", "rss/matchingArticles", "search/status", "search/results", "search/plugins", "search/categories",
        "torrentcreator/status", "torrentcreator/torrentFile", "app/getDirectoryContent", "app/getFreeSpaceAtPath", "transfer/getSpeedLimits",
    ]

    /// What clients of this API expect for the session's words.
    static func refusal(_ error: ControlError) -> Refusal {
        switch error.code {
        case .notFound: Refusal(.notFound, error.message)
        case .exists, .conflict, .noMetadata, .ambiguous: Refusal(.conflict, error.message)
        case .invalidParameters, .parseError: Refusal(.badRequest, error.message)
        case .tooLarge: Refusal(.contentTooLarge, error.message)
        case .unknownMethod: Refusal(.notImplemented, "this build cannot do that")
        case .unavailable: Refusal(.serviceUnavailable, error.message)
        case .storage: Refusal(.internalServerError, error.message)
        }
    }

    // MARK: auth

    private func login(_ exchange: Exchange) async -> Reply {
        let user = exchange["username"] ?? "", password = exchange["password"] ?? ""
        switch await gatekeeper.login(user, password, exchange.address) {
        case .success(let id):
            // The cookie is set in any case: clients take its absence for wrong credentials.
            var reply = Reply.text("Ok.")
            reply.headers[.setCookie] = gatekeeper.cookie(id, isSecure: exchange.isSecure)
            return reply
        case .wrong: return .text("Fails.")
        case .banned: return .text("Your IP address has been banned after too many failed authentication attempts.", .forbidden)
        }
    }

    private func logout(_ exchange: Exchange) -> Reply {
        for cookie in exchange.cookies where cookie.name == Gatekeeper.cookieName { gatekeeper.sessions.end(cookie.value) }
        var reply = Reply.done
        reply.headers[.setCookie] = "\(Gatekeeper.cookieName)=; HttpOnly; SameSite=Lax; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT"
        return reply
    }

    // MARK: what handlers share

    /// The torrents of a `hashes` parameter, `|` between them; unknown ones are passed over.
    func hashes(_ exchange: Exchange, _ name: String = "hashes") throws(Refusal) -> [String] {
        let text = try exchange.required(name)
        return mirror.read { state in
            if text == "all" { return state.entries.compactMap { $0?.hash } }
            return text.split(separator: "|").compactMap { state.entry(String($0))?.hash }
        }
    }

    /// The one torrent of a `hash` parameter.
    func entry(_ exchange: Exchange) throws(Refusal) -> MirrorState.Entry {
        let hash = try exchange.required("hash")
        guard let entry = mirror.read({ $0.entry(hash) }) else { throw Refusal(.notFound, "Not Found") }
        return entry
    }

    /// One request after another for each torrent; those that are gone meanwhile are passed over.
    func each<M: ControlMethod>(_ hashes: [String], _ method: M.Type, _ parameters: (String) -> M.Parameters) async throws {
        for hash in hashes {
            do throws(ControlError) { _ = try await gateway.call(method, parameters(hash)) } catch { if error.code != .notFound { throw error } }
        }
    }
}
