import Foundation
import Primitives
import Synchronization

/// A key for a program: what it may do without logging in.
package struct APIKey: Sendable, Equatable, Codable {
    package enum Scope: String, Sendable, Codable, CaseIterable {
        /// Look at everything but secrets.
        case read
        /// Add, change and remove torrents.
        case write
        /// Settings, workers, keys.
        case admin
    }
    /// For people and for removal.
    package var name: String
    package var scopes: [Scope]
    package var createdAt: UInt64
    /// SHA-256 of the key, base64: 28 random characters need no salt and no slow hash.
    var hash: String

    package func allows(_ scope: Scope) -> Bool { scopes.contains(scope) }
}

package final class APIKeys: Sendable {
    static let limit = 200
    static let prefix = "qbt_"
    private static let fileName = "keys"
    private let keys: Mutex<[APIKey]>
    private let files: SecretFiles

    init(files: SecretFiles) {
        self.files = files
        keys = Mutex((files.read(Self.fileName).flatMap { try? JSONDecoder().decode([APIKey].self, from: Data($0)) }) ?? [])
    }

    package var all: [APIKey] { keys.withLock { $0 } }

    package func find(_ text: String) -> APIKey? {
        let hash = Self.hash(text)
        return keys.withLock { $0.first { same($0.hash, hash) } }
    }

    /// The key itself is told once and not kept.
    package func create(name: String, scopes: [APIKey.Scope]) throws(Refusal) -> String {
        let text = Self.prefix + randomText(28)
        let key = APIKey(name: name, scopes: scopes, createdAt: wallSeconds(), hash: Self.hash(text))
        let stored = try change { (list) throws(Refusal) in
            guard !name.isEmpty, name.utf8.count <= 64, !scopes.isEmpty else { throw Refusal(.badRequest, "a key has a name of at most 64 bytes and a scope") }
            guard list.count < Self.limit else { throw Refusal(.conflict, "at most \(Self.limit) keys") }
            guard !list.contains(where: { $0.name == name }) else { throw Refusal(.conflict, "there is a key of that name") }
            list.append(key)
        }
        guard stored else { throw Refusal(.internalServerError, "the key could not be stored") }
        return text
    }
    package func remove(name: String) throws(Refusal) {
        _ = try change { (list) throws(Refusal) in
            guard list.contains(where: { $0.name == name }) else { throw Refusal(.notFound, "no key of that name") }
            list.removeAll { $0.name == name }
        }
    }

    private func change(_ body: (inout [APIKey]) throws(Refusal) -> Void) throws(Refusal) -> Bool {
        try keys.withLock { (list) throws(Refusal) in
            try body(&list)
            let encoded = (try? JSONEncoder().encode(list)) ?? Data()
            return files.write(Self.fileName, [UInt8](encoded))
        }
    }
    private static func hash(_ text: String) -> String { Data(sha256(Array(text.utf8))).base64EncodedString() }
}
