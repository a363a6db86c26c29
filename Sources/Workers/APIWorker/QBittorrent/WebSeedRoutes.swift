import Control
import HTTPTypes

extension QBittorrentAPI {
    /// Addresses come encoded once more inside their parameter, with | between them.
    static let webSeedRoutes: [String: Handler] = [
        "torrents/addWebSeeds": { api, exchange, _ in
            try await api.change(exchange, add: urls(exchange.required("urls")))
        },
        "torrents/removeWebSeeds": { api, exchange, _ in
            try await api.change(exchange, remove: urls(exchange.required("urls")))
        },
        "torrents/editWebSeed": { api, exchange, _ in
            let old = try urls(exchange.required("origUrl")), new = try urls(exchange.required("newUrl"))
            guard old != new else { return .done }
            return try await api.change(exchange, remove: old, add: new, mustExist: true)
        },
    ]

    private static func urls(_ text: String) -> [String] { text.split(separator: "|").map { PercentCoding.decode($0.utf8, plus: false) } }

    private func change(_ exchange: Exchange, remove: [String] = [], add: [String] = [], mustExist: Bool = false) async throws -> Reply {
        let hash = try entry(exchange).hash
        do throws(ControlError) {
            _ = try await gateway.call(ControlMethods.ChangeWebSeeds.self, ChangeWebSeedsParameters(hash: hash, remove: remove, add: add, mustExist: mustExist))
        } catch {
            throw error.code == .notFound && mustExist ? Refusal(.conflict, error.message) : Self.refusal(error)
        }
        return .done
    }
}
