import Control
import Foundation
import Glibc
import Primitives
import Settings

extension QBittorrentAPI {
    static let appRoutes: [String: Handler] = [
        "app/version": { _, _, _ in .text(version) },
        "app/webapiVersion": { _, _, _ in .text(apiVersion) },
        "app/buildInfo": { _, _, _ in
            // Pages derive from `libtorrent` what they may show; the rest is for people.
            .json { json in
                json.field("qt", "6.8.3")
                json.field("libtorrent", "2.0.11.0")
                json.field("boost", "1.86.0")
                json.field("openssl", "3.0")
                json.field("zlib", "1.3.1")
                json.field("bitness", 64)
                json.field("platform", "linux")
            }
        },
        "app/defaultSavePath": { api, _, _ in .text(api.mirror.read { $0.options["disk.download_dir"] ?? "" }) },
        "app/preferences": { api, _, _ in
            let fields = api.mirror.read { Preferences.fields($0.options) }
            // Without a session the rest is still worth an answer.
            let folders = (try? await api.gateway.call(ControlMethods.WatchFolders.self, Empty()))?.folders ?? []
            return .json { json in
                for (name, value) in fields { json.field(name, value) }
                // 1: saved where everything else is; a text: there.
                json.object("scan_dirs") { json in for folder in folders { json.field(folder.path, folder.savePath.map { .text($0) } ?? .integer(1)) } }
            }
        },
        "app/setPreferences": { api, exchange, _ in try await api.setPreferences(exchange.required("json")) },
        // One key of all scopes for clients of this API; those of the native API have names and scopes.
        "app/rotateAPIKey": { api, _, _ in
            try? api.gatekeeper.keys.remove(name: keyName)
            let key = try api.gatekeeper.keys.create(name: keyName, scopes: APIKey.Scope.allCases)
            return .json { $0.field("apiKey", key) }
        },
        "app/deleteAPIKey": { api, _, _ in
            try? api.gatekeeper.keys.remove(name: keyName)
            return .done
        },
        "app/sendTestEmail": { api, _, _ in
            _ = try await api.gateway.call(ControlMethods.TestMail.self, Empty())
            return .done
        },
        "app/shutdown": { api, _, _ in
            _ = try await api.gateway.call(ControlMethods.Shutdown.self, Empty())
            return .done
        },
        "app/cookies": { _, _, _ in .json(Array("[]".utf8)) },
        "app/setCookies": { _, exchange, _ in
            guard let list = (try? JSONSerialization.jsonObject(with: Data(exchange.required("cookies").utf8))) as? [Any] else { throw Refusal(.badRequest, "cookies is no list") }
            // Fetches carry none: what would be kept and not sent is refused.
            guard list.isEmpty else { throw Refusal(.badRequest, "cookies for fetched torrents and feeds are not in this build") }
            return .done
        },
        "app/networkInterfaceList": { _, _, _ in
            .json(
                JSONBytes.array { json in
                    for (name, _) in Interfaces.all.reduce(into: [(String, String)](), { list, i in if !list.contains(where: { $0.0 == i.name }) { list.append((i.name, i.name)) } }) {
                        json.open()
                        json.field("name", name)
                        json.field("value", name)
                        json.close()
                    }
                })
        },
        "app/networkInterfaceAddressList": { _, exchange, _ in
            let wanted = exchange["iface"] ?? ""
            return .json(JSONBytes.array { json in for i in Interfaces.all where wanted.isEmpty || i.name == wanted { json.value(.text(i.address)) } })
        },
        "app/processInfo": { api, _, _ in
            let started = api.mirror.read { $0.sessionStartedAt }
            return .json { json in json.field("launch_time", started) }
        },
    ]

    private static let keyName = "qBittorrent API"

    /// Keys that name an option are set, all of them or none; the page's password is ours to keep; keys of what qBittorrent alone has are passed over.
    private func setPreferences(_ text: String) async throws -> Reply {
        guard let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else { throw Refusal(.badRequest, "json is not an object") }
        let changes = try Preferences.changes(object, mirror.read { $0.options }), password = object["web_ui_password"] as? String
        for change in changes where ["disk.download_dir", "disk.incomplete_dir"].contains(change.key) { try await folders.writable(optional: change.value) }
        if !changes.isEmpty {
            let list = changes.map { SetSettingParameters(key: $0.key, value: $0.value) }
            _ = try await gateway.call(ControlMethods.ChangeSettings.self, ChangeSettingsParameters(changes: list))
        }
        if let dirs = object["scan_dirs"] as? [String: Any] { try await setWatchFolders(dirs) }
        if let password, !password.isEmpty { try gatekeeper.setPassword(password) }
        return .done
    }

    /// The whole list: path to 0 (saved in the watched folder itself), 1 (where everything else is) or a path.
    private func setWatchFolders(_ dirs: [String: Any]) async throws {
        let now = try await gateway.call(ControlMethods.WatchFolders.self, Empty()).folders
        for folder in now where dirs[folder.path] == nil { _ = try await gateway.call(ControlMethods.RemoveWatchFolder.self, PathParameters(path: folder.path)) }
        for (path, place) in dirs.sorted(by: { $0.key < $1.key }) {
            var row = now.first { $0.path == path } ?? WatchFolderRow(path: path)
            let save = place as? String ?? ((place as? NSNumber)?.intValue == 0 ? path : nil)
            guard row.savePath != save || !now.contains(where: { $0.path == path }) else { continue }
            row.savePath = save
            try await folders.writable(optional: path)
            try await folders.writable(optional: save)
            _ = try await gateway.call(ControlMethods.SetWatchFolder.self, row)
        }
    }
}

/// The machine's addresses.
enum Interfaces {
    static var all: [(name: String, address: String)] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var out: [(String, String)] = []
        var next = list
        while let i = next {
            next = i.pointee.ifa_next
            guard let address = i.pointee.ifa_addr, [AF_INET, AF_INET6].contains(Int32(address.pointee.sa_family)) else { continue }
            let size = Int32(address.pointee.sa_family) == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
            var text = [CChar](repeating: 0, count: 128)
            guard getnameinfo(address, socklen_t(size), &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 else { continue }
            out.append((String(cString: i.pointee.ifa_name), String(decoding: text.prefix { $0 != 0 && $0 != 37 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)))
        }
        return out
    }
}

/// Free bytes where downloads go. A dead network share makes statvfs(2) hang: it hangs on a thread of its own.
package final class FreeSpace: @unchecked Sendable {
    private let lock = NSLock()
    private var value: (free: Int64, total: Int64) = (0, 0)
    private let path: @Sendable () -> String

    package init(path: @escaping @Sendable () -> String) {
        self.path = path
        let thread = Thread { [weak self] in
            while let self {
                self.look()
                sleep(5)
            }
        }
        thread.stackSize = 256 << 10
        thread.start()
    }
    package var bytes: Int64 { lock.withLock { value.free } }
    package var total: Int64 { lock.withLock { value.total } }
    private func look() {
        let path = self.path()
        var s = statvfs()
        guard !path.isEmpty, statvfs(path, &s) == 0 else { return }
        let now = (free: Int64(clamping: UInt64(s.f_bavail) * UInt64(s.f_frsize)), total: Int64(clamping: UInt64(s.f_blocks) * UInt64(s.f_frsize)))
        lock.withLock { value = now }
    }
}
