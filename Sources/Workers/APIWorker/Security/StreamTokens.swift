import CHash

/// Players have neither cookie nor password. What a playlist names carries a token instead: it opens the files of one torrent for
/// reading until it ends, and nothing else.
///
///     1764000000-5f3c…    seconds since 1970 at which it ends, HMAC-SHA-256 of that and of the info-hash
package struct StreamTokens: Sendable {
    /// A long evening.
    static let lifetime: UInt64 = 12 * 3600
    private static let fileName = "stream-key"
    private let key: [UInt8]

    /// The key is kept, so that a restart does not end what is playing.
    init(files: SecretFiles) {
        if let stored = files.read(Self.fileName), stored.count == 32 {
            key = stored
            return
        }
        var random = SystemRandomNumberGenerator()
        key = (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) }
        files.write(Self.fileName, key)
    }
    package init(key: [UInt8]) { self.key = key }

    package func make(_ hash: String, now: UInt64 = wallSeconds()) -> String {
        let end = now + Self.lifetime
        return "\(end)-\(code(hash, end))"
    }
    package func admits(_ token: String, _ hash: String, now: UInt64 = wallSeconds()) -> Bool {
        let parts = token.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let end = UInt64(parts[0]), now < end else { return false }
        return same(String(parts[1]), code(hash, end))
    }

    private func code(_ hash: String, _ end: UInt64) -> String {
        let text = Array("\(end) \(hash)".utf8), digits = Array("0123456789abcdef")
        var code = [UInt8](repeating: 0, count: 32)
        ccbt_hmac_sha256(key, key.count, text, text.count, &code)
        return String(code.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}
