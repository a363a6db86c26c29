import Catalog
import Glibc
import LinuxIO
import Primitives
import Settings

/// Programs of the user's that run when a torrent was added or has finished: argument vectors, never a shell, so that no
/// name from the network is ever read as a command.
///
/// Bounds: ``waiting`` of them wait, `hooks.max_running` run at once, each for `hooks.timeout` at most.
struct HookQueue {
    static let waiting = 10_000
    static let argumentBytes = 128 << 10

    struct Job {
        let torrent: TorrentID
        let arguments: [String]
    }
    struct Running {
        let child: Child
        let deadline: Instant
        let name: String
    }
    var jobs: [Job] = []
    var running: [Running] = []
}

extension SessionShell {
    /// Starts what is due and says so to the catalogue: a program runs once, or not at all if the worker dies first.
    func runHooks(_ id: TorrentID, _ due: HookSet) {
        guard let row = core.row(id) else { return }
        for (hook, key) in [(HookSet.added, "hooks.on_add"), (.finished, "hooks.on_finish")] where due.contains(hook) {
            let template = settings.list(key)
            guard !template.isEmpty else { continue }
            guard hooks.jobs.count < HookQueue.waiting else {
                log.warning("\(key): \(HookQueue.waiting) programs wait already, none is run for \(row.record.name)")
                continue
            }
            hooks.jobs.append(.init(torrent: id, arguments: template.map { HookText.fill($0, hookValues(row)) }))
        }
        if due.contains(.finished), settings.bool("mail.enable") { mailFinished(row) }
        var done = TorrentEdit()
        done.hooksDone = due
        feed(.command(token: 0, .edit([id], done)))
    }

    private func hookValues(_ row: CatalogRow) -> [Character: String] {
        let r = row.record, facts = r.facts
        return [
            "N": r.name, "L": r.options.category, "G": r.options.tags.joined(separator: ","), "F": r.contentPath,
            "R": r.roots.count == 1 && facts.fileCount > 1 ? r.contentPath : "", "D": r.savePath, "C": String(facts.fileCount), "Z": String(facts.totalLength),
            "T": row.trackers.first { $0.state == 2 }?.url ?? facts.trackers.first?.first ?? "", "I": facts.infoHash.hex,
            "J": facts.infoHashV2 == SHA256Digest() ? "-" : facts.infoHashV2.hex, "K": facts.infoHash.hex,
        ]
    }

    /// Reaps, ends what is late, starts the next.
    func turnHooks(_ now: Instant) -> Instant {
        guard !hooks.jobs.isEmpty || !hooks.running.isEmpty else { return .never }
        hooks.running.removeAll { r in
            if let end = (try? r.child.reap()) ?? nil {
                close(r.child.pidfd)
                if end != .exited(0) { log.warning("the program \(r.name) ended with \(end)") }
                return true
            }
            if now >= r.deadline {
                log.warning("the program \(r.name) ran for longer than hooks.timeout and is ended")
                // Its group: it may have started others.
                kill(-r.child.pid, SIGKILL)
            }
            return false
        }
        while hooks.running.count < settings.int("hooks.max_running"), !hooks.jobs.isEmpty {
            let job = hooks.jobs.removeFirst()
            do throws(Errno) {
                guard job.arguments.reduce(0, { $0 + $1.utf8.count }) <= HookQueue.argumentBytes else { throw Errno(E2BIG) }
                let child = try Spawn.spawn(job.arguments[0], job.arguments, environment: Spawn.environment, descriptors: [])
                hooks.running.append(.init(child: child, deadline: now + settings.seconds("hooks.timeout"), name: job.arguments[0]))
                log.info("runs \(job.arguments[0])")
            } catch {
                log.error("\(job.arguments[0]) cannot be run: \(error)")
            }
        }
        // Ends are looked for: a program that runs is rare, and seconds do not matter to it.
        return now + .milliseconds(200)
    }
}

enum HookText {
    /// "%N" and the like by their values; an unknown one stays, "%%" is a percent sign. What is put in is not looked at again.
    static func fill(_ template: String, _ values: [Character: String]) -> String {
        var out = "", rest = Substring(template)
        while let c = rest.popFirst() {
            guard c == "%", let next = rest.first else {
                out.append(c)
                continue
            }
            if next == "%" {
                out.append("%")
            } else if let value = values[next] {
                // The end of an argument for the kernel.
                out += value.filter { $0 != "\0" }
            } else {
                out += "%\(next)"
            }
            rest.removeFirst()
        }
        return out
    }
}
