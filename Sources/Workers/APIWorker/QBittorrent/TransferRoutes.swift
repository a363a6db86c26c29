import Control
import Primitives

extension QBittorrentAPI {
    static let transferRoutes: [String: Handler] = [
        "transfer/info": { api, _, _ in
            let fields = api.mirror.read { state in
                let (v4, v6) = (state.globals.externalV4, state.globals.externalV6)
                return ServerState.transfer(state) + [("last_external_address_v4", ServerState.address(v4)), ("last_external_address_v6", ServerState.address(v6))]
            }
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
        "transfer/getSpeedLimits": { api, _, _ in
            let limits = api.mirror.read { state in speedLimits.map { ($0.name, state.kibOption($0.option)) } }
            return .json { json in for (name, limit) in limits { json.field(name, limit) } }
        },
        "transfer/setSpeedLimits": { api, exchange, _ in
            for (name, option) in speedLimits { if let limit = exchange[name] { _ = try await api.setLimit(option, limit) } }
            return .done
        },
        "transfer/banPeers": { api, exchange, _ in
            // What is no peer is passed over, as qBittorrent does; its bans have no end either.
            let peers = try exchange.required("peers").split(separator: "|").compactMap { Endpoint($0.trimmingCharacters(in: .whitespaces)) }
            for peer in peers where !peer.isUnspecified && !peer.isMulticast {
                // Several programs share a loopback address: there the port belongs to the ban.
                let address = peer.isLoopback ? peer.description : peer.address
                _ = try await api.gateway.call(ControlMethods.AddBan.self, AddBanParameters(address: address, seconds: 10 * 365 * 86400))
            }
            return .done
        },
    ]

    private static let speedLimits: [(name: String, option: String)] = [
        ("up_limit", "limits.global_up_kib"), ("dl_limit", "limits.global_down_kib"), ("alt_up_limit", "limits.alt_up_kib"), ("alt_dl_limit", "limits.alt_down_kib"),
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
