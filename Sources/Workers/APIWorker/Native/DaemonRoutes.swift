import Control
import Foundation
import HTTPTypes
import IPC
import Primitives
import Settings

extension NativeAPI {
    static let daemonRoutes: [Route] = [
        Route(method: .get, path: "/status", summary: "Rates, totals and what is degraded", scope: .read) { api, _, _ in
            let free = api.freeSpace.bytes
            return .json(
                api.mirror.read { s in
                    JSONBytes.object { json in
                        json.field("ready", s.isLive)
                        json.field("torrents", s.count)
                        json.field("downRate", s.totals.downRate)
                        json.field("upRate", s.totals.upRate)
                        json.field("downloaded", s.totals.downloaded)
                        json.field("uploaded", s.totals.uploaded)
                        json.field("peers", s.totals.peers)
                        json.field("listenPort", s.globals.listenPort)
                        json.field("disk", s.globals.diskMode)
                        json.field("diskQueue", s.globals.diskQueue)
                        json.field("bytesWritten", s.globals.bytesWritten)
                        json.field("bytesRead", s.globals.bytesRead)
                        json.field("storeFault", s.globals.storeFault.isEmpty ? .null : .text(s.globals.storeFault))
                        json.field("freeSpace", free)
                        json.object("states") { json in
                            var counts = [Int](repeating: 0, count: phases.count)
                            for entry in s.entries { if let entry { counts[Int(min(entry.row.phase, 8))] += 1 } }
                            for (i, n) in counts.enumerated() where n > 0 { json.field(phases[i], n) }
                        }
                    }
                })
        },
        Route(method: .get, path: "/workers", summary: "The processes: state, restarts, CPU, memory", scope: .read) { api, _, _ in
            .json(api.mirror.read { s in JSONBytes.object { json in json.array("workers") { json in for w in s.workers { append(w, to: &json) } } } })
        },
        Route(method: .post, path: "/workers/{name}/restart", summary: "Restarts a worker, as peer:0", scope: .admin) { api, _, v in
            do throws(ControlError) {
                _ = try await api.gateway.call(ControlMethods.RestartWorker.self, WorkerParameters(worker: v["name"] ?? ""))
            } catch { throw error.code == .invalidParameters ? Refusal(.notFound, error.message) : QBittorrentAPI.refusal(error) }
            return Reply(.accepted, type: "application/json", Array("{}".utf8))
        },
        Route(method: .get, path: "/trackers", summary: "Tracker hosts: torrents, and how many of their announces work", scope: .read) { api, _, _ in
            .json(api.mirror.read { s in JSONBytes.object { json in json.array("trackers") { json in TrackerHosts(s).append(to: &json) } } })
        },
        Route(method: .get, path: "/settings", summary: "Every option: value, default, limits, meaning", scope: .admin) { api, _, _ in
            try await encoded(api.gateway.call(ControlMethods.ShowSettings.self, Empty()))
        },
        Route(
            method: .put, path: "/settings/{key}", summary: "Sets an option that may change while running", scope: .admin,
            body: [("value", .scalar, "as in the environment; null or absent: back to what the configuration says")]
        ) { api, exchange, v in
            guard let key = v["key"], api.mirror.read({ $0.options[key] }) != nil else { throw Refusal(.notFound, "no such option") }
            let value = try object(exchange)["value"]
            let text = value as? String ?? (value as? NSNumber).map { word($0) }
            _ = try await api.gateway.call(ControlMethods.SetSetting.self, SetSettingParameters(key: key, value: text))
            return Reply(.noContent, type: "application/json", [])
        },
        Route(
            method: .patch, path: "/settings", summary: "Sets several options, all of them or none; workers that read them at their start are restarted", scope: .admin,
            body: [("*", .scalar, "for each option, as queue.max_active_seeding, its value, or null: back to what the configuration says")]
        ) { api, exchange, _ in
            var changes: [SetSettingParameters] = []
            for (key, value) in try object(exchange).sorted(by: { $0.key < $1.key }) {
                let text = value as? String ?? (value as? NSNumber).map { word($0) }
                changes.append(SetSettingParameters(key: key, value: text))
            }
            _ = try await api.gateway.call(ControlMethods.ChangeSettings.self, ChangeSettingsParameters(changes: changes))
            return Reply(.noContent, type: "application/json", [])
        },
        Route(method: .get, path: "/limits", summary: "Rate limits in force", scope: .read) { api, _, _ in
            try await encoded(api.gateway.call(ControlMethods.ShowLimits.self, Empty()))
        },
        Route(
            method: .get, path: "/events", summary: "What changes, as server-sent events; resume with Last-Event-ID", scope: .read,
            query: [("types", .text, "torrents, workers, stats with commas between; absent: all")]
        ) { api, exchange, _ in try api.events(exchange) },
        Route(method: .get, path: "/keys", summary: "API keys, without their secrets", scope: .admin) { api, _, _ in
            .json { json in
                json.array("keys") { json in
                    for key in api.gatekeeper.keys.all {
                        json.open()
                        json.field("name", key.name)
                        json.field("scopes", .texts(key.scopes.map(\.rawValue)))
                        json.field("createdAt", key.createdAt)
                        json.close()
                    }
                }
            }
        },
        Route(
            method: .post, path: "/keys", summary: "Makes an API key; it is told once", scope: .admin,
            body: [("name", .name, "for people, and for its removal"), ("scopes", .some(.choice(["read", "write", "admin"])), "what it may do")], required: ["name", "scopes"]
        ) { api, exchange, _ in
            let object = try object(exchange)
            let scopes = (object["scopes"] as? [String] ?? []).map { APIKey.Scope(rawValue: $0) }
            guard !scopes.contains(nil) else { throw Refusal(.badRequest, "scopes are read, write and admin") }
            let text = try api.gatekeeper.keys.create(name: object["name"] as? String ?? "", scopes: scopes.compactMap { $0 })
            var reply = Reply.json { json in json.field("key", text) }
            reply.status = .created
            return reply
        },
        Route(method: .delete, path: "/keys/{name}", summary: "Ends an API key", scope: .admin) { api, _, v in
            try api.gatekeeper.keys.remove(name: v["name"] ?? "")
            return Reply(.noContent, type: "application/json", [])
        },
        Route(method: .put, path: "/password", summary: "Sets the password", scope: .admin, body: [("password", .length(6...1000), "at least 6 characters")], required: ["password"]) {
            api, exchange, _ in
            try api.gatekeeper.setPassword(object(exchange)["password"] as? String ?? "")
            return Reply(.noContent, type: "application/json", [])
        },
    ]

    static func append(_ w: ApiWorker, to json: inout JSONBytes) {
        json.open()
        json.field("name", w.name)
        json.field("role", w.role)
        json.field("index", w.index)
        json.field("pid", w.pid)
        json.field("generation", w.generation)
        json.field("restarts", w.restarts)
        json.field("state", workerStates[Int(min(w.state, 6))])
        json.field("cpuMilliseconds", w.cpuMilliseconds)
        json.field("residentBytes", w.residentBytes)
        json.field("uptimeMilliseconds", w.uptimeMilliseconds)
        json.field("reason", w.reason.isEmpty ? .null : .text(w.reason))
        json.close()
    }
    static let workerStates = ["starting", "ready", "draining", "stopped", "backoff", "open", "unknown"]
}

/// JSON's true and 1 are both numbers to Foundation; an option wants the word that was written.
private func word(_ n: NSNumber) -> String { String(cString: n.objCType) == "c" || String(cString: n.objCType) == "B" ? (n.boolValue ? "true" : "false") : n.stringValue }

/// Trackers by host, with what their announces do.
package struct TrackerHosts {
    struct Health {
        var torrents = 0, working = 0, failing = 0, updating = 0, idle = 0
    }
    private(set) var hosts: [(name: String, health: Health)] = []

    init(_ s: MirrorState) {
        var table: [String: Health] = [:], names: [String: String] = [:]
        for entry in s.entries {
            guard let entry else { continue }
            var seen: Set<String> = []
            for t in entry.row.trackers {
                let host: String
                if let known = names[t.url] {
                    host = known
                } else {
                    host = Self.host(t.url)
                    names[t.url] = host
                }
                if seen.insert(host).inserted { table[host, default: Health()].torrents += 1 }
                switch t.state {
                case 0: table[host, default: Health()].idle += 1
                case 1: table[host, default: Health()].updating += 1
                case 2: table[host, default: Health()].working += 1
                default: table[host, default: Health()].failing += 1
                }
            }
        }
        hosts = table.sorted { ($1.value.torrents, $0.key) < ($0.value.torrents, $1.key) }.map { ($0.key, $0.value) }
    }

    func append(to json: inout JSONBytes) {
        for (name, h) in hosts {
            json.open()
            json.field("host", name)
            json.field("torrents", h.torrents)
            json.field("working", h.working)
            json.field("failing", h.failing)
            json.field("updating", h.updating)
            json.field("idle", h.idle)
            json.close()
        }
    }

    /// "tracker.example:6969"; the path, which may hold a passkey, is left out.
    package static func host(_ url: String) -> String {
        guard let start = url.range(of: "://")?.upperBound else { return "" }
        let authority = url[start...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        return authority.split(separator: "@").last.map { $0.lowercased() } ?? ""
    }
}
