import Control
import Foundation
import HTTPTypes
import Primitives

/// Feeds, and the rules that download from them. Paths of items are the session's own: names joined by a backslash.
extension QBittorrentAPI {
    static let rssRoutes: [String: Handler] = [
        "rss/items": { api, exchange, _ in
            let withData = exchange.flag("withData") ?? false
            let items = try await api.gateway.call(ControlMethods.RSSItems.self, RSSItemsParameters(articles: withData))
            return .json { RSSView.append(items, withData: withData, to: &$0) }
        },
        "rss/addFeed": { api, exchange, _ in
            let url = try exchange.required("url").trimmingCharacters(in: .whitespaces), path = (exchange["path"] ?? "").trimmingCharacters(in: .whitespaces)
            return try await api.rss(ControlMethods.RSSAddFeed.self, RSSFeedParameters(url: url, path: path, refreshInterval: interval(exchange)))
        },
        "rss/setFeedURL": { api, exchange, _ in
            let url = try exchange.required("url").trimmingCharacters(in: .whitespaces)
            return try await api.rss(ControlMethods.RSSSetFeedURL.self, RSSFeedParameters(url: url, path: exchange.required("path")))
        },
        "rss/setFeedRefreshInterval": { api, exchange, _ in
            let path = try exchange.required("path"), seconds = try interval(exchange, required: true)
            let feeds = try await api.gateway.call(ControlMethods.RSSItems.self, RSSItemsParameters()).feeds
            guard let feed = feeds.first(where: { $0.path == path }) else { throw Refusal(.conflict, "there is no such feed") }
            return try await api.rss(ControlMethods.RSSSetFeedURL.self, RSSFeedParameters(url: feed.url, path: path, refreshInterval: seconds))
        },
        "rss/addFolder": { api, exchange, _ in try await api.rss(ControlMethods.RSSAddFolder.self, PathParameters(path: exchange.required("path"))) },
        "rss/removeItem": { api, exchange, _ in try await api.rss(ControlMethods.RSSRemove.self, PathParameters(path: exchange.required("path"))) },
        "rss/moveItem": { api, exchange, _ in
            try await api.rss(ControlMethods.RSSMove.self, RSSMoveParameters(path: exchange.required("itemPath"), newPath: exchange.required("destPath")))
        },
        "rss/refreshItem": { api, exchange, _ in try await api.rss(ControlMethods.RSSRefresh.self, PathParameters(path: exchange.required("itemPath"))) },
        "rss/markAsRead": { api, exchange, _ in
            let article = exchange["articleId"].flatMap { $0.isEmpty ? nil : $0 }
            return try await api.rss(ControlMethods.RSSMarkRead.self, RSSMarkReadParameters(path: exchange.required("itemPath"), article: article), missing: .notFound)
        },
        "rss/rules": { api, _, _ in try await api.rules() }, "rss/exportRules": { api, _, _ in try await api.rules() },
        "rss/setRule": { api, exchange, _ in
            let name = try exchange.required("ruleName").trimmingCharacters(in: .whitespaces)
            try await api.setRule(name, Data(try exchange.required("ruleDef").utf8))
            return .done
        },
        "rss/importRules": { api, exchange, _ in
            guard let file = exchange.files.first, let rules = (try? JSONSerialization.jsonObject(with: Data(file.bytes))) as? [String: Any],
                rules.values.allSatisfy({ $0 is [String: Any] })
            else { throw Refusal(.badRequest, "rules is no file with an object of rules") }
            for (name, rule) in rules.sorted(by: { $0.key < $1.key }) { try await api.setRule(name, JSONSerialization.data(withJSONObject: rule)) }
            return .done
        },
        "rss/renameRule": { api, exchange, _ in
            let p = RenameRuleParameters(name: try exchange.required("ruleName"), newName: try exchange.required("newRuleName"))
            return try await api.rss(ControlMethods.RSSRenameRule.self, p)
        },
        "rss/cloneRule": { api, exchange, _ in
            let name = try exchange.required("sourceName"), clone = try exchange.required("cloneName")
            let rules = try await api.gateway.call(ControlMethods.RSSRules.self, Empty()).rules
            guard var rule = rules.first(where: { $0.name == name }), !rules.contains(where: { $0.name == clone }) else {
                throw Refusal(.conflict, "there is no such rule, or one of the new name")
            }
            rule.name = clone
            return try await api.rss(ControlMethods.RSSSetRule.self, rule)
        },
        "rss/removeRule": { api, exchange, _ in try await api.rss(ControlMethods.RSSRemoveRule.self, NameParameters(name: exchange.required("ruleName"))) },
        "rss/matchingArticles": { api, exchange, _ in
            var p = RSSMatchingParameters(name: try exchange.required("ruleName"))
            // Not qBittorrent's: a rule that is still being written.
            if let text = exchange["ruleDef"] { p.rule = RSSView.rule(p.name, try object(Data(text.utf8))) }
            do throws(ControlError) {
                let found = try await api.gateway.call(ControlMethods.RSSMatching.self, p).feeds
                // By the feed's name, which is the last part of its path.
                return .json { json in for feed in found where !feed.articles.isEmpty { json.field(RSSView.name(feed.path), .texts(feed.articles)) } }
            } catch {
                // A rule that is not there matches nothing.
                guard error.code == .notFound else { throw error }
                return .json { _ in }
            }
        },
    ]

    /// Seconds between fetches; nil and 0: as the settings say.
    private static func interval(_ exchange: Exchange, required: Bool = false) throws(Refusal) -> Int? {
        guard let text = required ? try exchange.required("refreshInterval") : exchange["refreshInterval"], !text.isEmpty else { return nil }
        guard let seconds = Int(text), seconds >= 0 else { throw Refusal(.badRequest, "refreshInterval is a number of seconds") }
        return seconds == 0 ? nil : seconds
    }

    /// Whatever does not fit is a conflict here.
    private func rss<M: ControlMethod>(_ method: M.Type, _ p: M.Parameters, missing: HTTPResponse.Status = .conflict) async throws -> Reply {
        do throws(ControlError) {
            _ = try await gateway.call(method, p)
        } catch {
            switch error.code {
            case .notFound: throw Refusal(missing, error.message)
            case .invalidParameters, .tooLarge: throw Refusal(.conflict, error.message)
            default: throw error
            }
        }
        return .done
    }

    private func rules() async throws -> Reply {
        let rules = try await gateway.call(ControlMethods.RSSRules.self, Empty()).rules
        return .json { json in for rule in rules { RSSView.append(rule, to: &json) } }
    }

    private func setRule(_ name: String, _ definition: Data) async throws {
        _ = try await gateway.call(ControlMethods.RSSSetRule.self, RSSView.rule(name, Self.object(definition)))
    }
    private static func object(_ definition: Data) throws(Refusal) -> [String: Any] {
        guard let object = (try? JSONSerialization.jsonObject(with: definition)) as? [String: Any] else { throw Refusal(.badRequest, "the rule is no JSON object") }
        return object
    }
}
