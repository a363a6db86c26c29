import Foundation
import Primitives
import Synchronization

/// Logins that are in force. They are kept in the state directory, as hashes, so that a restart of this worker or of the
/// daemon logs nobody out.
package final class Sessions: Sendable {
    /// Beyond, the one that was used longest ago ends.
    static let limit = 1000
    /// Files of positions in `sync` are not kept: a client whose id is unknown gets everything again.
    private static let fileName = "sessions"

    private struct Session {
        var lastUsed: UInt64
        var sync = SyncPositions()
        var isDirty = true
    }
    private struct State {
        /// By the SHA-256 of the cookie's value.
        var sessions: [[UInt8]: Session] = [:]
        var savedAt: UInt64 = 0
    }
    private let state = Mutex(State())
    private let files: SecretFiles
    private let timeout: UInt64

    init(files: SecretFiles, timeout: UInt64) {
        self.files = files
        self.timeout = timeout
        let now = wallSeconds()
        var loaded: [[UInt8]: Session] = [:]
        for line in String(decoding: files.read(Self.fileName) ?? [], as: UTF8.self).split(separator: "\n").prefix(Self.limit) {
            let words = line.split(separator: " ")
            guard words.count == 2, let hash = Data(base64Encoded: String(words[0])), hash.count == 32, let used = UInt64(words[1]),
                now < used + timeout
            else { continue }
            loaded[[UInt8](hash)] = Session(lastUsed: used, isDirty: false)
        }
        let table = loaded
        state.withLock { $0.sessions = table }
    }

    /// The cookie's value.
    package func begin(now: UInt64 = wallSeconds()) -> String {
        let id = randomText(32)
        state.withLock { s in
            if s.sessions.count >= Self.limit, let oldest = s.sessions.min(by: { $0.value.lastUsed < $1.value.lastUsed })?.key { s.sessions[oldest] = nil }
            s.sessions[sha256(Array(id.utf8))] = Session(lastUsed: now)
            save(&s, now)
        }
        return id
    }

    /// True for a login in force, whose time begins anew.
    package func use(_ id: String, now: UInt64 = wallSeconds()) -> Bool {
        let key = sha256(Array(id.utf8))
        return state.withLock { s in
            guard let session = s.sessions[key] else { return false }
            guard now < session.lastUsed + timeout else {
                s.sessions[key] = nil
                return false
            }
            s.sessions[key]!.lastUsed = now
            // A minute more or less does not matter after a restart.
            if now >= s.savedAt + 60 { save(&s, now) }
            return true
        }
    }

    package func end(_ id: String) {
        state.withLock { s in
            s.sessions[sha256(Array(id.utf8))] = nil
            save(&s, wallSeconds())
        }
    }

    /// The session's own place in the deltas.
    package func position<T: Sendable>(of id: String, _ body: (inout SyncPositions) -> T) -> T {
        let key = sha256(Array(id.utf8))
        var positions = state.withLock { $0.sessions[key]?.sync ?? SyncPositions() }
        let result = body(&positions)
        let changed = positions
        state.withLock { s in
            if s.sessions[key] != nil { s.sessions[key]!.sync = changed }
        }
        return result
    }

    private func save(_ s: inout State, _ now: UInt64) {
        s.savedAt = now
        let text = s.sessions.sorted { $0.value.lastUsed < $1.value.lastUsed }
            .map { "\(Data($0.key).base64EncodedString()) \($0.value.lastUsed)\n" }.joined()
        files.write(Self.fileName, Array(text.utf8))
    }
}

/// How often a password was guessed wrong from an address.
package struct FailedLogins: Sendable {
    /// Addresses that are remembered: beyond, those whose time is over are forgotten, then the oldest.
    static let addressLimit = 10_000
    let maximum: Int
    let banTime: UInt64
    private var failures: [String: (count: Int, last: UInt64)] = [:]

    package init(maximum: Int, banTime: UInt64) { (self.maximum, self.banTime) = (maximum, banTime) }

    /// An IPv6 network of 64 bits is one subscriber.
    private static func key(_ e: Endpoint) -> String { e.isIPv4 ? e.address : "\(e.high)" }

    package func isBanned(_ e: Endpoint, now: UInt64) -> Bool {
        guard let f = failures[Self.key(e)] else { return false }
        return f.count >= maximum && now < f.last + banTime
    }
    package mutating func failed(_ e: Endpoint, now: UInt64) {
        let key = Self.key(e), old = failures[key]
        // A failure long ago is no part of today's guessing.
        let count = old.map { now < $0.last + banTime ? $0.count : 0 } ?? 0
        failures[key] = (count + 1, now)
        guard failures.count > Self.addressLimit else { return }
        failures = failures.filter { now < $0.value.last + banTime }
        while failures.count > Self.addressLimit, let oldest = failures.min(by: { $0.value.last < $1.value.last })?.key { failures[oldest] = nil }
    }
    package mutating func succeeded(_ e: Endpoint) { failures[Self.key(e)] = nil }
}
