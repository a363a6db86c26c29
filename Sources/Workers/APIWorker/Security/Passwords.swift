import CHash
import Foundation
import LinuxIO
import Observe
import Primitives

/// `scrypt:N:r:p:SALT:HASH`, salt and hash in base64 (RFC 7914).
package struct PasswordHash: Sendable, Equatable, CustomStringConvertible {
    // 128 x 8 x 16384 bytes = 16 MiB and some 50 ms for each guess.
    static let standard: (n: UInt64, r: UInt64, p: UInt64) = (16384, 8, 1)
    let n: UInt64, r: UInt64, p: UInt64
    let salt: [UInt8], hash: [UInt8]

    /// Makes a new one with a random salt.
    package init(password: String) {
        var random = SystemRandomNumberGenerator()
        (n, r, p) = Self.standard
        salt = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
        hash = Self.derive(password, salt, n, r, p)!
    }

    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] == "scrypt", let n = UInt64(parts[1]), let r = UInt64(parts[2]), let p = UInt64(parts[3]),
            let salt = Data(base64Encoded: String(parts[4])), let hash = Data(base64Encoded: String(parts[5])), hash.count == 32,
            // What OpenSSL would need: bounded, so that a wrong line does not become a stalled login.
            (2...1 << 20).contains(n), n & (n - 1) == 0, (1...32).contains(r), (1...16).contains(p), 128 * r * n <= 200 << 20
        else { return nil }
        (self.n, self.r, self.p, self.salt, self.hash) = (n, r, p, [UInt8](salt), [UInt8](hash))
    }

    package var description: String { "scrypt:\(n):\(r):\(p):\(Data(salt).base64EncodedString()):\(Data(hash).base64EncodedString())" }

    /// Takes its time on purpose.
    package func matches(_ password: String) -> Bool {
        guard let derived = Self.derive(password, salt, n, r, p) else { return false }
        return same(derived, hash)
    }

    private static func derive(_ password: String, _ salt: [UInt8], _ n: UInt64, _ r: UInt64, _ p: UInt64) -> [UInt8]? {
        var out = [UInt8](repeating: 0, count: 32)
        let bytes = Array(password.utf8)
        return ccbt_scrypt(bytes, bytes.count, salt, salt.count, n, r, p, &out) == 1 ? out : nil
    }
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
package func same(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.count == b.count && ccbt_equal(a, b, a.count) == 1 }
package func same(_ a: String, _ b: String) -> Bool {
    // Over the hashes, so that the length does not tell either.
    same(sha256(Array(a.utf8)), sha256(Array(b.utf8)))
}
package func sha256(_ bytes: [UInt8]) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: 32)
    ccbt_sha256(bytes, bytes.count, &out)
    return out
}

/// `characters` of 62: 6 bits each, from the kernel's generator.
package func randomText(_ characters: Int) -> String {
    var random = SystemRandomNumberGenerator()
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
    return String((0..<characters).map { _ in letters.randomElement(using: &random)! })
}

/// The API worker's files in the state directory: `api/`, mode 0700, each file 0600 and replaced whole.
package struct SecretFiles: Sendable {
    let folder: String

    init(stateDirectory: String) throws {
        folder = stateDirectory + "/api"
        if mkdir(folder, 0o700) != 0, errno != EEXIST { throw Failure(description: "\(folder): \(String(cString: strerror(errno)))") }
    }
    struct Failure: Error, CustomStringConvertible { let description: String }

    func read(_ name: String) -> [UInt8]? {
        guard let data = FileManager.default.contents(atPath: "\(folder)/\(name)"), data.count <= 16 << 20 else { return nil }
        return [UInt8](data)
    }
    /// False when the file could not be written; the old one stands then.
    @discardableResult func write(_ name: String, _ bytes: [UInt8]) -> Bool {
        let path = "\(folder)/\(name)", fresh = path + ".new"
        let fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard fd >= 0 else { return false }
        var at = 0
        while at < bytes.count {
            let n = bytes.withUnsafeBytes { Glibc.write(fd, $0.baseAddress! + at, $0.count - at) }
            if n < 0, errno == EINTR { continue }
            guard n > 0 else {
                close(fd)
                return false
            }
            at += n
        }
        close(fd)
        return rename(fresh, path) == 0
    }

    /// The hash that logins are checked against: the configuration's, else the stored one; made at the very first start.
    func password(configured: String, log: Log) throws -> PasswordHash {
        if !configured.isEmpty {
            guard let hash = PasswordHash(configured) else { throw Failure(description: "api.password_hash is not scrypt:N:r:p:SALT:HASH") }
            return hash
        }
        if let stored = read("password"), let hash = PasswordHash(String(decoding: stored, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)) {
            return hash
        }
        // 16 of 62 characters: 95 bits.
        let password = randomText(16), hash = PasswordHash(password: password)
        guard write("password", Array("\(hash)\n".utf8)) else { throw Failure(description: "\(folder)/password cannot be written") }
        log(.warning, "the password of the web page and the APIs is \(password) - it is stored as a hash and not shown again")
        return hash
    }
}
