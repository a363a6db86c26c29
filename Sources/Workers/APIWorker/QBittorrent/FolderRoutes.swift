import Foundation
import Glibc
import Primitives

/// What pages ask of the machine's folders, within ``AllowedFolders``.
extension QBittorrentAPI {
    static let folderRoutes: [String: Handler] = [
        "app/getDirectoryContent": { api, exchange, _ in
            let mode = exchange["mode"] ?? "all"
            guard ["all", "dirs", "files"].contains(mode) else { throw Refusal(.badRequest, "mode is all, dirs or files") }
            let named = try exchange.required("dirPath")
            guard named.hasPrefix("/") else { throw Refusal(.badRequest, "dirPath is not absolute") }
            let folder = try await api.folders.readable(named)
            let names = try await api.folders.looks.look { () throws(Refusal) in try FolderListing.names(folder, mode) }
            return .json(JSONBytes.array { json in for name in names { json.value(.text(folder == "/" ? "/\(name)" : "\(folder)/\(name)")) } })
        },
        "app/getFreeSpaceAtPath": { api, exchange, _ in
            let space = try await api.folders.space(exchange.required("path"))
            return .text(String(space.free))
        },
    ]
}

enum FolderListing {
    /// A folder with more entries shows the first of them.
    static let limit = 10_000

    /// Names by mode, sorted. Throws 404 where there is no such folder.
    static func names(_ folder: String, _ mode: String) throws(Refusal) -> [String] {
        guard let stream = opendir(folder) else { throw Refusal(.notFound, "no such folder, or none that may be read") }
        defer { closedir(stream) }
        var names: [String] = []
        while names.count < limit, let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(validating: $0.prefix { $0 != 0 }, as: UTF8.self) }
            // A name that is no UTF-8 cannot be named in JSON.
            guard let name, name != ".", name != ".." else { continue }
            if mode != "all" {
                var status = stat()
                guard stat("\(folder)/\(name)", &status) == 0 else { continue }
                guard (status.st_mode & S_IFMT == S_IFDIR) == (mode == "dirs") else { continue }
            }
            names.append(name)
        }
        return names.sorted()
    }
}

extension AllowedFolders {
    /// Bytes for a user without privileges, and in all. Throws 404 where there is none.
    package func space(_ path: String) async throws(Refusal) -> (free: Int64, total: Int64) {
        let folder = try await readable(path)
        return try await looks.look { () throws(Refusal) in
            var s = statvfs()
            guard statvfs(folder, &s) == 0 else { throw Refusal(.notFound, "\(folder): \(String(cString: strerror(errno)))") }
            return (Int64(clamping: UInt64(s.f_bavail) * UInt64(s.f_frsize)), Int64(clamping: UInt64(s.f_blocks) * UInt64(s.f_frsize)))
        }
    }
}
