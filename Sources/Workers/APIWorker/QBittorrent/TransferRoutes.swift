import Control
import Primitives

extension QBittorrentAPI {
    static let transferRoutes: [String: Handler] = [
        "transfer/info": { api, _, _ in
            let fields = api.mirror.read { ServerState.transfer($0) + [("last_external_address_v4", .text("")), ("last_external_address_v6", .text(""))] }
            return .json { json in for (name, value) in fields { json.field(name, value) } }
        },
        "transfer/speedLimitsMode": { api, _, _ in .text(api.mirror.read { $0.usesAlternativeLimits ? "1" : "0" }) },
        "transfer/toggleSpeedLimitsMode": { api, _, _ in try await api.setAlternative(!api.mirror.read { $0.usesAlternativeLimits }) },
        "transfer/setSpeedLimitsMode": { api, exchange, _ in
            guard let mode = Int(try exchange.required("mode")), (0...1).contains(mode) else { throw Refusal(.badRequest, "mode is 0 or 1") }
            return try await api.setAlternative(mode == 1)
        },
        "transfer/downloadLimit": { api, _, _ in .text(String(api.mirror.read { $0.kibOption("limits.global_down_kib") })) },
        "transfer/uploadLimit": { api, _, _ in .text(String(api.mirror.read { $0.kibOption("limits.global_up_kib") })) },
        "transfer/setDownloadLimit": { api, exchange, _ in try await api.setLimit("limits.global_down_kib", exchange.required("limit")) },
        "transfer/setUploadLimit": { api, exchange, _ in try await api.setLimit("limits.global_up_kib", exchange.required("limit")) },
    ]

    private func setAlternative(_ on: Bool) async throws -> Reply {
        _ = try await gateway.call(ControlMethods.SetSetting.self, SetSettingParameters(key: "limits.alt_mode", value: on ? "on" : "off"))
        return .done
    }

    private func setLimit(_ key: String, _ text: String) async throws -> Reply {
        guard let bytes = Int64(text) else { throw Refusal(.badRequest, "limit is not a number") }
        // Up to the next KiB: a limit of one byte is a limit, not none.
        _ = try await gateway.call(ControlMethods.SetSetting.self, SetSettingParameters(key: key, value: String(max(0, (bytes + 1023) / 1024))))
        return .done
    }
}
