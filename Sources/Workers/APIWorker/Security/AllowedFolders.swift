import Foundation
import Glibc
import Primitives
import Synchronization

/// Which folders of this machine a request may name.
///
/// With `api.allowed_roots` everything that is named stands below one of them. Without it the folders that this session uses
/// already may be looked into (downloads, incomplete data, categories, torrents), and save paths may be anywhere, as in qBittorrent.
package struct AllowedFolders: Sendable {
    let mirror: Mirror
    /// Absolute; empty: none was configured.
    let roots: [String]
    let looks = FileLooks()

    package init(mirror: Mirror, roots: [String]) {
        self.mirror = mirror
        self.roots = roots.compactMap(Self.tidy)
    }

    /// "/a//b/./c/" is "/a/b/c"; nil for what is no absolute path, or has `..` or a control character in it.
    package static func tidy(_ path: String) -> String? {
        guard path.hasPrefix("/"), path.utf8.count <= 4096, !path.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return nil }
        let parts = path.split(separator: "/").filter { $0 != "." }
        return parts.contains("..") ? nil : "/" + parts.joined(separator: "/")
    }

    /// A folder or file that is looked at or read. Throws 404 for what may not be, as for what is not there.
    package func readable(_ path: String) async throws(Refusal) -> String {
        let allowed = roots.isEmpty ? known() : roots
        return try await check(path, allowed, Refusal(.notFound, "no such folder, or none that may be named (api.allowed_roots)"))
    }

    /// A folder or file that is written to.
    package func writable(_ path: String) async throws(Refusal) -> String {
        guard !roots.isEmpty else {
            guard let path = Self.tidy(path) else { throw Refusal(.badRequest, "the path is not absolute") }
            return path
        }
        return try await check(path, roots, Refusal(.conflict, "the path is outside of api.allowed_roots"))
    }
    /// Where nothing but save paths is meant and an empty text is "as the settings say".
    package func writable(optional path: String?) async throws(Refusal) {
        if let path, !path.isEmpty { _ = try await writable(path) }
    }
    /// The same for what may be read only within folders that are known: a file beside them is not written either.
    package func writableWithinKnown(_ path: String) async throws(Refusal) -> String {
        try await check(path, roots.isEmpty ? known() : roots, Refusal(.conflict, "the path is outside of the folders that may be named (api.allowed_roots)"))
    }

    private func check(_ path: String, _ allowed: [String], _ refusal: Refusal) async throws(Refusal) -> String {
        guard let path = Self.tidy(path), allowed.contains(where: { Self.isBelow(path, $0) }) else { throw refusal }
        // Links must not lead out either. Names that do not exist yet are judged by the folder that they will stand in.
        let isInside = try await looks.look { () throws(Refusal) -> Bool in
            let real = Self.resolved(path)
            return allowed.contains { Self.isBelow(real, Self.resolved($0)) }
        }
        guard isInside else { throw refusal }
        return path
    }

    static func isBelow(_ path: String, _ root: String) -> Bool { root == "/" || path == root || path.hasPrefix(root + "/") }

    private static func resolved(_ path: String) -> String {
        var existing = path, rest: [Substring] = []
        while existing != "/" {
            if let real = realpath(existing, nil) {
                defer { free(real) }
                return rest.reversed().reduce(String(cString: real)) { ($0 == "/" ? "" : $0) + "/" + $1 }
            }
            let cut = existing.lastIndex(of: "/")!
            rest.append(existing[existing.index(after: cut)...])
            existing = cut == existing.startIndex ? "/" : String(existing[..<cut])
        }
        return path
    }

    /// What the session uses.
    private func known() -> [String] {
        let (options, categories, torrents) = mirror.read { state in
            (state.options, state.categories.all.map(\.value), Set(state.entries.compactMap { $0 }.flatMap { [$0.row.savePath, $0.row.finalPath] }))
        }
        let all = [options["disk.download_dir"] ?? "", options["disk.incomplete_dir"] ?? ""] + categories + torrents.sorted()
        return all.compactMap { $0.isEmpty || $0 == "/" ? nil : Self.tidy($0) }
    }
}

/// Looks at the file system on threads of their own: a dead network share that holds one up must not hold up NIO's.
package final class FileLooks: Sendable {
    /// Beyond these a request is refused at once: that many hang already.
    static let atOnce = 8
    static let patience = 5
    private let running = Mutex(0)

    /// Throws 503 when the answer takes longer than ``patience`` seconds.
    package func look<T: Sendable>(_ work: @escaping @Sendable () throws(Refusal) -> T) async throws(Refusal) -> T {
        let isRoom = running.withLock { n in
            guard n < Self.atOnce else { return false }
            n += 1
            return true
        }
        guard isRoom else { throw Refusal(.serviceUnavailable, "the file system does not answer") }
        let result: Result<T, Refusal> = await withCheckedContinuation { continuation in
            let box = Once(continuation)
            DispatchQueue.global().async { [self] in
                let result = Result { () throws(Refusal) in try work() }
                running.withLock { $0 -= 1 }
                box.resume(result)
            }
            DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(Self.patience)) { box.resume(.failure(Refusal(.serviceUnavailable, "the file system does not answer"))) }
        }
        return try result.get()
    }

    /// Resumed by whoever is first.
    private final class Once<T: Sendable>: Sendable {
        private let once: Mutex<CheckedContinuation<T, Never>?>
        init(_ continuation: CheckedContinuation<T, Never>) { once = Mutex(continuation) }
        func resume(_ value: T) {
            let waiting = once.withLock { waiting in
                defer { waiting = nil }
                return waiting
            }
            waiting?.resume(returning: value)
        }
    }
}
