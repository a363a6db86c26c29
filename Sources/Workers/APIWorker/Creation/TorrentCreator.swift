import Foundation
import Glibc
import LinuxIO
import Observe
import Primitives
import Synchronization

/// Makes .torrent files in the background, one at a time, by running `btbt create`: what it reads and hashes costs this worker no
/// memory, and a source that makes it crash costs nobody anything.
///
/// A task's files (`<id>.torrent`, `<id>.out`, `<id>.err`) stand in `api/created` of the state directory until the task is deleted or
/// this worker starts anew: tasks are not kept over that, as in qBittorrent.
final class TorrentCreator: Sendable {
    /// Tasks that are kept, ended ones too.
    static let limit = 50
    private static let poll = 0.1

    struct Parameters: Sendable {
        var source: String
        /// Where it is to stand besides; empty: nowhere.
        var target = ""
        /// v1, v2 or hybrid.
        var format = "hybrid"
        var isPrivate = false
        /// Bytes; 0: by the size of the source.
        var pieceSize = 0
        var comment = "", tag = ""
        /// By tier.
        var trackers: [[String]] = []
        var webSeeds: [String] = []
        var startsSeeding = false
    }
    enum Status: String, Sendable { case queued = "Queued", running = "Running", finished = "Finished", failed = "Failed" }
    struct Task: Sendable {
        let id: String
        let parameters: Parameters
        let addedAt: UInt64
        var status = Status.queued
        var startedAt: UInt64 = 0
        var finishedAt: UInt64 = 0
        /// Percent.
        var progress = 0
        var error = ""
        var pieceSize: Int
        var isDeleted = false
    }

    private struct State {
        var tasks: [Task] = []
        var isRunning = false
    }
    private let state = Mutex(State())
    private let folder: String
    private let log: Log
    /// The program; nil where it is not installed beside this one.
    private let program: String?
    /// A task that made its torrent and is to be seeded.
    private let seed: @Sendable (Task, [UInt8]) -> Void

    init(stateDirectory: String, log: Log, seed: @escaping @Sendable (Task, [UInt8]) -> Void) {
        folder = stateDirectory + "/api/created"
        self.log = log
        self.seed = seed
        let own = try? Spawn.executablePath()
        program = own.map { $0.prefix(upTo: $0.lastIndex(of: "/") ?? $0.startIndex) + "/btbt" }.flatMap { access($0, X_OK) == 0 ? $0 : nil }
        // What an earlier generation left belongs to tasks that nobody knows any more.
        try? FileManager.default.removeItem(atPath: folder)
        mkdir(folder, 0o700)
    }

    // MARK: handlers

    /// The new task's id; nil when there are too many.
    func add(_ parameters: Parameters) -> String? {
        let id = state.withLock { s -> String? in
            guard s.tasks.count < Self.limit else { return nil }
            let id = randomText(16)
            s.tasks.append(Task(id: id, parameters: parameters, addedAt: wallSeconds(), pieceSize: parameters.pieceSize))
            return id
        }
        if id != nil { startThread() }
        return id
    }
    func tasks() -> [Task] { state.withLock { $0.tasks.filter { !$0.isDeleted } } }
    func task(_ id: String) -> Task? { tasks().first { $0.id == id } }
    func torrent(_ id: String) -> [UInt8]? { FileManager.default.contents(atPath: "\(folder)/\(id).torrent").map { [UInt8]($0) } }

    /// False when there is none. One that runs is ended.
    func delete(_ id: String) -> Bool {
        let found = state.withLock { s -> Bool in
            guard let i = s.tasks.firstIndex(where: { $0.id == id && !$0.isDeleted }) else { return false }
            // Its thread takes it out.
            if s.tasks[i].status == .running { s.tasks[i].isDeleted = true } else { s.tasks.remove(at: i) }
            return true
        }
        if found { forget(id) }
        return found
    }

    // MARK: the thread

    private func startThread() {
        let isNeeded = state.withLock { s in
            defer { s.isRunning = true }
            return !s.isRunning
        }
        guard isNeeded else { return }
        let thread = Thread { [self] in
            while let task = take() { run(task) }
        }
        thread.name = "creator"
        thread.stackSize = 256 << 10
        thread.start()
    }

    private func take() -> Task? {
        state.withLock { s in
            guard let i = s.tasks.firstIndex(where: { $0.status == .queued }) else {
                s.isRunning = false
                return nil
            }
            s.tasks[i].status = .running
            s.tasks[i].startedAt = wallSeconds()
            return s.tasks[i]
        }
    }
    private func change(_ id: String, _ body: (inout Task) -> Void) {
        state.withLock { s in if let i = s.tasks.firstIndex(where: { $0.id == id }) { body(&s.tasks[i]) } }
    }
    private func isDeleted(_ id: String) -> Bool { state.withLock { s in s.tasks.first { $0.id == id }?.isDeleted ?? true } }
    private func forget(_ id: String) { for ending in ["torrent", "out", "err"] { unlink("\(folder)/\(id).\(ending)") } }

    private func run(_ task: Task) {
        let failure = make(task)
        let bytes = failure == nil ? torrent(task.id) : nil
        let isGone = state.withLock { s -> Bool in
            guard let i = s.tasks.firstIndex(where: { $0.id == task.id }) else { return true }
            guard !s.tasks[i].isDeleted else {
                s.tasks.remove(at: i)
                return true
            }
            s.tasks[i].status = failure == nil ? .finished : .failed
            s.tasks[i].error = failure ?? ""
            s.tasks[i].progress = 100
            s.tasks[i].finishedAt = wallSeconds()
            return false
        }
        if isGone { return forget(task.id) }
        if let failure { log(.warning, "the torrent of \(Text.printable(task.parameters.source, limit: 200)) is not made: \(failure)") }
        if task.parameters.startsSeeding, let bytes { seed(task, bytes) }
    }

    /// Runs the program to its end; why there is no torrent.
    private func make(_ task: Task) -> String? {
        guard let program else { return "btbt is not installed beside ccbt-api" }
        let made = "\(folder)/\(task.id).torrent", out = "\(folder)/\(task.id).out", err = "\(folder)/\(task.id).err"
        let child: Child
        do throws(Errno) {
            let fds = [open("/dev/null", O_RDONLY | O_CLOEXEC), open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600), open(err, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0o600)]
            defer { for fd in fds where fd >= 0 { close(fd) } }
            guard fds.allSatisfy({ $0 >= 0 }) else { throw .current }
            child = try Spawn.spawn(program, Self.arguments(task.parameters, made), environment: Spawn.environment, descriptors: fds.enumerated().map { ($1, Int32($0)) })
        } catch { return "btbt cannot be run: \(error)" }
        // Everything else goes first.
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), id_t(child.pid), 10)
        defer { close(child.pidfd) }
        while true {
            if let end = (try? child.reap()) ?? nil {
                guard end == .exited(0) else { return Self.lastLine(err) ?? "btbt ended with \(end)" }
                break
            }
            if isDeleted(task.id) {
                try? child.signal(SIGKILL)
                continue
            }
            if let line = Self.lastLine(err), line.hasPrefix("progress ") {
                let numbers = line.split(separator: " ").dropFirst().compactMap { UInt64($0) }
                if numbers.count == 2, numbers[1] > 0 { change(task.id) { $0.progress = Int(min(100, numbers[0] * 100 / numbers[1])) } }
            }
            Thread.sleep(forTimeInterval: Self.poll)
        }
        if let data = FileManager.default.contents(atPath: out), let object = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any],
            let size = (object["pieceLength"] as? NSNumber)?.intValue
        {
            change(task.id) { $0.pieceSize = size }
        }
        return task.parameters.target.isEmpty ? nil : Self.copy(made, to: task.parameters.target)
    }

    private static func arguments(_ p: Parameters, _ made: String) -> [String] {
        var words = ["btbt", "create", "--json", "--progress", "--output=\(made)", "--\(p.format)"]
        if p.isPrivate { words.append("--private") }
        if p.pieceSize > 0 { words.append("--piece-length=\(p.pieceSize)") }
        if !p.comment.isEmpty { words.append("--comment=\(p.comment)") }
        if !p.tag.isEmpty { words.append("--source=\(p.tag)") }
        for tier in p.trackers { words.append("--tracker=\(tier.joined(separator: ","))") }
        for url in p.webSeeds { words.append("--web-seed=\(url)") }
        // Absolute, so never an option.
        return words + ["--date=\(wallSeconds())", p.source]
    }

    /// Of at most the last 4 KiB.
    private static func lastLine(_ path: String) -> String? {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        let size = lseek(fd, 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: 4096)
        let n = pread(fd, &bytes, bytes.count, max(0, size - 4096))
        guard n > 0, let line = bytes[..<n].split(separator: UInt8(ascii: "\n")).last else { return nil }
        return Text.printable(String(decoding: line, as: UTF8.self), limit: 500)
    }

    /// Nothing that is there is replaced. Why it could not be done.
    private static func copy(_ path: String, to target: String) -> String? {
        func failure() -> String { "\(Text.printable(target, limit: 300)): \(String(cString: strerror(errno)))" }
        guard let bytes = FileManager.default.contents(atPath: path) else { return "the torrent that was made is gone" }
        let fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard fd >= 0 else { return failure() }
        defer { close(fd) }
        var rest = [UInt8](bytes)[...]
        while !rest.isEmpty {
            let n = rest.withUnsafeBytes { write(fd, $0.baseAddress, $0.count) }
            if n < 0, errno == EINTR { continue }
            guard n > 0 else {
                defer { unlink(target) }
                return failure()
            }
            rest = rest.dropFirst(n)
        }
        return nil
    }
}
