import Foundation
import HTTPTypes
import NIOPosix
import Observe
import Primitives
import Settings
import Synchronization

/// Who may ask: Host and Origin checks, passwords, bans, sessions.
package final class Gatekeeper: Sendable {
    /// Who is asking.
    package enum Principal: Sendable, Equatable {
        /// The session's cookie.
        case session(String)
        /// Basic credentials or a bypass, without a session of its own.
        case direct
        case key(APIKey)
    }
    package enum LoginResult: Sendable, Equatable { case success(String), wrong, banned }

    package static let cookieName = "SID"

    package let sessions: Sessions
    package let keys: APIKeys
    private let username: String
    private let password: Mutex<PasswordHash>
    private let files: SecretFiles
    private let isPasswordConfigured: Bool
    private let failures: Mutex<FailedLogins>
    /// Of the last Basic credentials that were right, under a key of this process: scrypt for each request would cost 50 ms.
    private let knownBasic = Mutex<[UInt8]>([])
    private let processKey = randomText(32)
    private let allowedHosts: [String]
    private let checksOrigin: Bool
    private let trusted: [Network]
    private let bypass: [Network]
    private let bypassLocal: Bool
    private let log: Log

    init(settings: Settings, files: SecretFiles, log: Log) throws {
        self.files = files
        self.log = log
        username = settings.string("api.username")
        isPasswordConfigured = !settings.string("api.password_hash").isEmpty
        password = Mutex(try files.password(configured: settings.string("api.password_hash"), log: log))
        sessions = Sessions(files: files, timeout: UInt64(settings.seconds("api.session_timeout").seconds))
        keys = APIKeys(files: files)
        failures = Mutex(FailedLogins(maximum: settings.int("api.max_failures"), banTime: UInt64(settings.seconds("api.ban_time").seconds)))
        allowedHosts = settings.list("api.allowed_hosts").map { $0.lowercased() }
        checksOrigin = settings.bool("api.csrf_check")
        bypassLocal = settings.bool("api.bypass_local")
        func networks(_ key: String) throws -> [Network] {
            try settings.list(key).map { text in
                guard let network = Network(text) else { throw SecretFiles.Failure(description: "\(key): \(text) is no address or network") }
                return network
            }
        }
        trusted = try networks("api.trusted_proxies")
        bypass = try networks("api.bypass_subnets")
    }

    // MARK: the transport

    /// The client's own address and whether it came over TLS, behind proxies that are trusted.
    func resolve(_ remote: Endpoint, isSecure: Bool, _ headers: HTTPFields) -> (Endpoint, isSecure: Bool) {
        guard isTrusted(remote) else { return (remote, isSecure) }
        let secure = headers[.forwardedProto].map { $0.lowercased() == "https" } ?? isSecure
        // From the right: the last hop that is no proxy of ours cannot have been made up by the client.
        let hops = (headers[.forwardedFor] ?? "").split(separator: ",").map { $0.filter { $0 != " " } }
        for hop in hops.reversed() {
            guard let endpoint = Endpoint(address: hop, port: 0) else { break }
            if !isTrusted(endpoint) { return (endpoint, secure) }
        }
        return (remote, secure)
    }
    private func isTrusted(_ e: Endpoint) -> Bool { trusted.contains { $0.contains(e) } }

    /// Against DNS rebinding: a page of another name that resolves to this address has its own name in Host.
    package func hostIsAllowed(_ exchange: Exchange, authority: String?) -> Bool {
        guard !allowedHosts.isEmpty else { return true }
        guard let host = (authority ?? exchange.headers[.hostName]).map(Self.hostOnly), !host.isEmpty else { return false }
        if Endpoint(address: host, port: 0) != nil || host == "localhost" { return true }
        return allowedHosts.contains { Self.matches(host, $0) }
    }

    /// A browser tells from which page a request comes; programs send neither header and pass.
    package func originIsAllowed(_ exchange: Exchange, authority: String?, remote: Endpoint) -> Bool {
        guard checksOrigin else { return true }
        var target = authority ?? exchange.headers[.hostName] ?? ""
        if isTrusted(remote), let forwarded = exchange.headers[.forwardedHost] { target = forwarded }
        let source = exchange.headers[.origin] ?? exchange.headers[.referer]
        guard let source else { return exchange.headers[.fetchSite].map { ["same-origin", "none"].contains($0) } ?? true }
        guard let rest = source.range(of: "://").map({ source[$0.upperBound...] }) else { return false }
        return Self.tidyAuthority(String(rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" })) == Self.tidyAuthority(target)
    }

    /// What an address of ours begins with for this client; "localhost" for what is no name.
    func authority(_ exchange: Exchange, _ authority: String?, remote: Endpoint) -> String {
        let forwarded = isTrusted(remote) ? exchange.headers[.forwardedHost] : nil, text = forwarded ?? authority ?? exchange.headers[.hostName] ?? ""
        func plain(_ c: UInt8) -> Bool { (c | 0x20 >= 0x61 && c | 0x20 <= 0x7A) || (0x30...0x39).contains(c) || ".:[]-_".utf8.contains(c) }
        return !text.isEmpty && text.utf8.count <= 260 && text.utf8.allSatisfy(plain) ? text : "localhost"
    }

    static func hostOnly(_ authority: String) -> String {
        let text = authority.lowercased()
        if text.hasPrefix("[") { return String(text.dropFirst().prefix { $0 != "]" }) }
        return String(text.prefix { $0 != ":" })
    }
    private static func tidyAuthority(_ text: String) -> String {
        var text = text.lowercased()
        for port in [":80", ":443"] where text.hasSuffix(port) { text = String(text.dropLast(port.count)) }
        return text
    }
    static func matches(_ text: String, _ pattern: String) -> Bool { fnmatch(pattern, text, 0) == 0 }

    // MARK: credentials

    /// nil: not logged in. Never an error: a wrong cookie is like none.
    func identify(_ exchange: Exchange) async -> Principal? {
        for cookie in exchange.cookies where cookie.name == Self.cookieName || cookie.name.hasPrefix("QBT_SID_") {
            if sessions.use(cookie.value) { return .session(cookie.value) }
        }
        if let header = exchange.headers[.authorization] {
            let words = header.split(separator: " ", maxSplits: 1)
            if words.count == 2, words[0].lowercased() == "bearer", let key = keys.find(String(words[1])) { return .key(key) }
            // Radarr sends an empty name and password when it has none: as if it had sent nothing.
            if words.count == 2, words[0].lowercased() == "basic", let (user, password) = Self.basic(String(words[1])), !user.isEmpty || !password.isEmpty {
                if await basicIsRight(user, password, exchange.address) { return .direct }
            }
        }
        if let text = exchange.headers[.apiKey], let key = keys.find(text) { return .key(key) }
        return isBypassed(exchange.address) ? .direct : nil
    }

    package func isBypassed(_ address: Endpoint) -> Bool { (bypassLocal && address.isLoopback) || bypass.contains { $0.contains(address) } }

    static func basic(_ text: String) -> (String, String)? {
        guard let data = Data(base64Encoded: text), let words = String(data: data, encoding: .utf8), let colon = words.firstIndex(of: ":") else { return nil }
        return (String(words[..<colon]), String(words[words.index(after: colon)...]))
    }

    private func basicIsRight(_ user: String, _ password: String, _ address: Endpoint) async -> Bool {
        let token = sha256(Array("\(processKey)\u{0}\(user)\u{0}\(password)".utf8))
        if knownBasic.withLock({ same($0, token) }) { return true }
        guard await check(user, password, address) == true else { return false }
        knownBasic.withLock { $0 = token }
        return true
    }

    /// nil: banned.
    private func check(_ user: String, _ password: String, _ address: Endpoint) async -> Bool? {
        let now = wallSeconds()
        if failures.withLock({ $0.isBanned(address, now: now) }) { return nil }
        let hash = self.password.withLock { $0 }
        // 50 ms of computing: not on a thread that serves others.
        let right = (try? await NIOThreadPool.singleton.runIfActive { hash.matches(password) }) ?? false
        // The name's comparison runs in any case, so that time does not tell which of the two was wrong.
        let named = same(user, username)
        guard right, named else {
            let banned = failures.withLock { f -> Bool in
                f.failed(address, now: now)
                return f.isBanned(address, now: now)
            }
            log(.warning, "a login from \(address.address) failed\(banned ? "; the address is refused for a while" : "")")
            return false
        }
        failures.withLock { $0.succeeded(address) }
        return true
    }

    package func login(_ user: String, _ password: String, _ address: Endpoint) async -> LoginResult {
        if isBypassed(address) { return .success(sessions.begin()) }
        switch await check(user, password, address) {
        case true?: return .success(sessions.begin())
        case false?: return .wrong
        case nil: return .banned
        }
    }
    package func isBanned(_ address: Endpoint) -> Bool { failures.withLock { $0.isBanned(address, now: wallSeconds()) } }

    /// From now on; running sessions stay. Throws where the configuration has the password.
    package func setPassword(_ text: String) throws(Refusal) {
        guard !isPasswordConfigured else { throw Refusal(.conflict, "the password stands in the configuration: api.password_hash") }
        guard text.utf8.count >= 6 else { throw Refusal(.badRequest, "a password has at least 6 bytes") }
        let hash = PasswordHash(password: text)
        guard files.write("password", Array("\(hash)\n".utf8)) else { throw Refusal(.internalServerError, "the password could not be stored") }
        password.withLock { $0 = hash }
        knownBasic.withLock { $0 = [] }
    }

    /// A login cookie for the answer.
    package func cookie(_ id: String, isSecure: Bool) -> String {
        "\(Self.cookieName)=\(id); HttpOnly; SameSite=Lax; path=/\(isSecure ? "; Secure" : "")"
    }
}
