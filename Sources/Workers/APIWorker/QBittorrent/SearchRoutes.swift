import HTTPTypes
import Primitives

/// An installation without search plugins: nothing is found, and none can be installed, since plugins are programs in Python that
/// the daemon would run.
extension QBittorrentAPI {
    static let searchRoutes: [String: Handler] = [
        "search/plugins": emptyList,
        "search/status": { _, exchange, _ in
            // Without an id: all jobs, which are none.
            guard (exchange["id"] ?? "0") == "0" else { throw Refusal(.notFound, "Not Found") }
            return .json(Array("[]".utf8))
        },
        "search/categories": emptyList,
        "search/start": { _, exchange, _ in
            for name in ["pattern", "category", "plugins"] { _ = try exchange.required(name) }
            throw Refusal(.conflict, "no search plugin is installed")
        },
        "search/stop": noJob, "search/results": noJob, "search/delete": noJob,
        "search/installPlugin": { _, _, _ in throw Refusal(.conflict, "search plugins cannot be installed here") },
        // Of those that are named none is there.
        "search/uninstallPlugin": nothing, "search/enablePlugin": nothing, "search/updatePlugins": nothing,
        "search/downloadTorrent": { api, exchange, principal in
            // What a result's button does: the address is added as any other.
            var adding = exchange
            adding.form = Parameters()
            adding.form.pairs = [("urls", try exchange.required("torrentUrl"))]
            guard let add = torrentRoutes["torrents/add"] else { throw Refusal(.notFound) }
            return try await add(api, adding, principal)
        },
    ]
    private static let emptyList: Handler = { _, _, _ in .json(Array("[]".utf8)) }
    private static let nothing: Handler = { _, _, _ in .done }
    private static let noJob: Handler = { _, exchange, _ in
        _ = try exchange.required("id")
        throw Refusal(.notFound, "Not Found")
    }
}
