import Foundation
import Glibc
import HTTPTypes
import LinuxIO
import NIOPosix
import Primitives

/// The web page: files of one folder, below it and nowhere else.
///
/// An alternative page for qBittorrent has two folders, as there: `public` for everyone and `private` after the login.
package struct StaticFiles: Sendable {
    /// A page's largest file; more is no page.
    static let fileLimit = 32 << 20

    let folder: String?
    package let isAlternative: Bool

    init(folder: String?, isAlternative: Bool) throws {
        self.folder = folder.flatMap { realpath($0, nil) }.map { pointer in
            defer { free(pointer) }
            return String(cString: pointer)
        }
        self.isAlternative = isAlternative
        if isAlternative, self.folder == nil { throw SecretFiles.Failure(description: "api.alternative_ui: no such folder") }
    }

    /// Installed beside the programs or under share/; in a build folder, the package's own resources.
    static func builtIn() -> String? {
        guard let program = try? Spawn.executablePath() else { return nil }
        let bin = program.prefix(upTo: program.lastIndex(of: "/") ?? program.startIndex)
        return ["\(bin)/web", "\(bin)/../share/ccbt/web", "\(bin)/ccbt_APIWorker.resources/Web"].first { access("\($0)/index.html", R_OK) == 0 }
    }

    func respond(_ exchange: Exchange, loggedIn: Bool) async throws -> Reply {
        var path = exchange.path
        guard let folder else {
            guard path == "/" else { throw Refusal(.notFound, "Not Found") }
            return .text("This is ccbt's API worker. The web page is not installed; the APIs are.\n")
        }
        if path.hasSuffix("/") { path += "index.html" }
        guard !path.utf8.contains(0), !path.split(separator: "/").contains("..") else { throw Refusal(.notFound, "Not Found") }
        let roots = isAlternative ? (loggedIn ? ["\(folder)/private", "\(folder)/public"] : ["\(folder)/public"]) : [folder]
        let ifNone = exchange.headers[.ifNoneMatch], wanted = path
        return try await NIOThreadPool.singleton.runIfActive { () throws -> Reply in
            for root in roots { if let reply = try Self.read(root, wanted, ifNoneMatch: ifNone) { return reply } }
            throw Refusal(.notFound, "Not Found")
        }
    }

    private static func read(_ root: String, _ path: String, ifNoneMatch: String?) throws -> Reply? {
        // Links are followed, but not out of the folder.
        guard let real = realpath(root + path, nil) else { return nil }
        defer { free(real) }
        guard String(cString: real).hasPrefix(root + "/") else { return nil }
        let fd = open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var status = stat()
        guard fstat(fd, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= fileLimit else { return nil }
        let tag = "\"\(String(status.st_mtim.tv_sec, radix: 16))-\(String(status.st_mtim.tv_nsec, radix: 16))-\(String(status.st_size, radix: 16))\""
        var reply = Reply(type: contentType(path), [])
        reply.headers[.eTag] = tag
        // Asked about each time, sent only when it changed.
        reply.headers[.cacheControl] = "no-cache"
        if ifNoneMatch?.contains(tag) ?? false {
            reply.status = .notModified
            return reply
        }
        let size = Int(status.st_size)
        var bytes = [UInt8](repeating: 0, count: size), at = 0
        while at < size {
            let n = bytes.withUnsafeMutableBytes { Glibc.read(fd, $0.baseAddress! + at, size - at) }
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return nil }
            at += n
        }
        reply.body = .bytes(bytes)
        return reply
    }

    package static func contentType(_ path: String) -> String {
        let name = path.lowercased()
        let dot = name.lastIndex(of: ".").map { name[name.index(after: $0)...] } ?? ""
        return types[String(dot)] ?? MediaType.of(path)
    }
    /// What a page consists of, and ``MediaType`` does not have on purpose.
    private static let types: [String: String] = [
        "html": "text/html; charset=UTF-8", "htm": "text/html; charset=UTF-8", "js": "text/javascript; charset=UTF-8", "mjs": "text/javascript; charset=UTF-8",
        "css": "text/css; charset=UTF-8", "json": "application/json", "map": "application/json", "webmanifest": "application/manifest+json",
        "svg": "image/svg+xml", "ico": "image/x-icon",
        "woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "xml": "application/xml", "wasm": "application/wasm",
        "pdf": "application/pdf", "zip": "application/zip",
    ]
}
