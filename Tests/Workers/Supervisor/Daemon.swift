import Foundation
import Glibc
import LinuxIO
import Primitives
import Testing

/// A real `ccbtd` with stand-in workers, in a folder of its own.
final class Daemon {
    let folder: String
    let state: String
    private(set) var child: Child
    private let environment: [String]
    private let arguments: [String]

    /// `links`: also a new start in the folder of an earlier daemon.
    init(_ more: [String] = [], environment: [String: String] = [:], after earlier: Daemon? = nil) throws {
        if let earlier {
            (folder, state) = (earlier.folder, earlier.state)
        } else {
            folder = NSTemporaryDirectory() + "ccbtd-test-\(UUID().uuidString.prefix(8))"
            state = folder + "/state"
            try FileManager.default.createDirectory(atPath: folder + "/bin", withIntermediateDirectories: true)
            try Self.place("ccbtd", as: "ccbtd", in: folder)
            for role in ["session", "peer", "disk", "discovery"] { try Self.place("ccbt-testworker", as: "ccbt-\(role)", in: folder) }
        }
        // Nothing of the caller's environment configures the daemon under test.
        let inherited = Spawn.environment.filter { !$0.hasPrefix("CCBT_") && !$0.hasPrefix("NOTIFY_SOCKET") }
        // The stand-ins write what they see into the state directory, which confined workers could not.
        self.environment = inherited + ["CCBT_SECURITY_CONFINE_WORKERS=false"] + environment.map { "\($0.key)=\($0.value)" }
        arguments = ["--state-dir", state, "--set", "disk.cache_size_mb=16"] + (more.contains("--listen") ? [] : ["--listen", "127.0.0.1:0"]) + more
        child = try Self.spawn(folder, arguments + ["--foreground"], self.environment)
    }

    deinit {
        do throws(Errno) { try child.signal(SIGKILL) } catch {}
        for pid in workerPids() { kill(pid, SIGKILL) }
        try? FileManager.default.removeItem(atPath: folder)
        close(child.pidfd)
    }

    static let products: String = {
        let path = (try? Spawn.executablePath()) ?? ""
        return String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }()

    private static func place(_ product: String, as name: String, in folder: String) throws {
        let from = products + "/" + product, to = folder + "/bin/" + name
        try #require(FileManager.default.isExecutableFile(atPath: from), "\(from) is not built")
        // A hard link has its own path in /proc/self/exe, and costs nothing; across file systems it is a copy.
        if link(from, to) != 0 { try FileManager.default.copyItem(atPath: from, toPath: to) }
    }

    private static func spawn(_ folder: String, _ arguments: [String], _ environment: [String]) throws -> Child {
        let out = open(folder + "/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600), null = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer {
            close(out)
            close(null)
        }
        return try Spawn.spawn(
            folder + "/bin/ccbtd", ["ccbtd"] + arguments, environment: environment,
            descriptors: [(source: null, target: 0), (source: out, target: 1), (source: out, target: 2)])
    }

    /// Another start with the same words, to its end; its exit status.
    func again(_ more: [String], within span: TimeSpan = .seconds(20)) async throws -> Child.End {
        let second = try Self.spawn(folder, arguments + more, environment)
        defer { close(second.pidfd) }
        return try await Self.end(of: second, within: span)
    }

    static func end(of child: Child, within span: TimeSpan) async throws -> Child.End {
        let limit = Clock.monotonic() + span
        while Clock.monotonic() < limit {
            if let end = try child.reap() { return end }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw Timeout(what: "the end of \(child.pid)")
    }
    func end(within span: TimeSpan = .seconds(15)) async throws -> Child.End { try await Self.end(of: child, within: span) }

    struct Timeout: Error { let what: String }

    var log: String { (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? "" }
    var events: [Event] {
        ((try? String(contentsOfFile: state + "/events", encoding: .utf8)) ?? "").split(separator: "\n").compactMap { Event(String($0)) }
    }

    /// "disk:0 g2 pid 4711 edge session:0#1".
    struct Event {
        let worker: String, generation: Int, pid: pid_t, text: String
        init?(_ line: String) {
            let words = line.split(separator: " ", maxSplits: 4).map(String.init)
            guard words.count == 5, let g = Int(words[1].dropFirst()), let pid = pid_t(words[3]) else { return nil }
            (worker, generation, self.pid, text) = (words[0], g, pid, words[4])
        }
    }

    func wait(_ what: String, within span: TimeSpan = .seconds(15), _ condition: () -> Bool) async throws {
        let limit = Clock.monotonic() + span
        while !condition() {
            if Clock.monotonic() >= limit {
                Issue.record("waited in vain for: \(what)\n--- log\n\(log)\n--- events\n\(events.map { "\($0.worker) g\($0.generation) \($0.text)" }.joined(separator: "\n"))")
                throw Timeout(what: what)
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
    func waitForLog(_ text: String, within span: TimeSpan = .seconds(15)) async throws { try await wait("log: \(text)", within: span) { log.contains(text) } }
    func isReady(_ worker: String, generation: Int = 1) -> Bool { events.contains { $0.worker == worker && $0.generation == generation && $0.text == "ready" } }
    func waitReady(_ worker: String, generation: Int, within span: TimeSpan = .seconds(15)) async throws {
        try await wait("\(worker) g\(generation) ready", within: span) { isReady(worker, generation: generation) }
    }
    func allReady() async throws { try await waitForLog("all workers ready") }

    static let workers = ["session:0", "disk:0", "discovery:0", "peer:0"]
    func pid(_ worker: String) -> pid_t { events.last { $0.worker == worker }!.pid }
    func workerPids() -> Set<pid_t> { Set(events.map(\.pid)) }
    /// Processes of the workers that still run (a zombie that nobody reaps counts as gone).
    func living() -> [pid_t] { workerPids().filter { Self.lives($0) }.sorted() }
    static func lives(_ pid: pid_t) -> Bool {
        guard let line = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8), let bracket = line.lastIndex(of: ")") else { return false }
        return !line[bracket...].dropFirst(2).hasPrefix("Z")
    }
    func generations(_ worker: String) -> Int { events.filter { $0.worker == worker }.map(\.generation).max() ?? 0 }
    func signal(_ number: Int32) throws { try child.signal(number) }
}
