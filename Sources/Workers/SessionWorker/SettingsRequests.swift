import Catalog
import Control
import Glibc
import IPC
import Observe
import Primitives
import Settings
import WorkerKit

/// What a front end changes of the settings, and how it comes to hold.
///
///     validate all ─▶ one stored change each ─▶ settings, limits, filter       options that need no restart: now
///                                            └▶ file ─▶ supervisor reads ─▶ workers that read them are restarted
extension SessionShell {
    /// Of the API worker, whose answer to the one who asked must get out first; others need less.
    private static let restartDelay = TimeSpan.milliseconds(700)
    /// Decided when the daemon starts: how many workers there are, and their shared memory.
    private static let ofTheStart: Set<String> = ["network.peer_shards", "disk.workers", "disk.cache_size_mb", "api.enable", "observability.log_level"]

    func set(_ from: Asker, _ p: SetSettingParameters) throws(ControlError) {
        let resolved = try resolve([p]), token = wait(from, .pool)
        change([p], resolved) { [self] result in
            switch result {
            case .success: finish(token, Empty())
            case .failure(let error): finish(token, error: error)
            }
        }
    }

    func change(_ from: Asker, _ p: ChangeSettingsParameters) throws(ControlError) {
        guard p.changes.count <= OptionTable.all.count else { throw ControlError(.tooLarge, "there are \(OptionTable.all.count) options") }
        let resolved = try resolve(p.changes), token = wait(from, .pool)
        change(p.changes, resolved) { [self] result in
            switch result {
            case .success(let answer): finish(token, answer)
            case .failure(let error): finish(token, error: error)
            }
        }
    }

    /// The settings as they would be. Throws `.invalidParameters` for the first change that cannot be.
    private func resolve(_ changes: [SetSettingParameters]) throws(ControlError) -> Settings {
        var changed = overrides
        for change in changes {
            guard OptionTable.find(change.key) != nil else { throw ControlError(.invalidParameters, "no option \(Text.printable(change.key, limit: 60))") }
            if change.value == Option.hidden, OptionTable.find(change.key)!.isSecret { throw ControlError(.invalidParameters, "\(change.key): a secret is shown so; give the secret itself") }
            changed[change.key] = change.value
        }
        var resolved = kit.settings
        do throws(SettingsError) {
            for (key, value) in changed.sorted(by: { $0.key < $1.key }) { try resolved.set(key, .untyped(value)) }
        } catch { throw ControlError(.invalidParameters, error.description) }
        // The daemon would not start with these.
        for text in resolved.list("api.listen") where Endpoint(text) == nil {
            throw ControlError(.invalidParameters, "api.listen: \(Text.printable(text, limit: 60)) is not IP:PORT")
        }
        return resolved
    }

    private final class Outcome {
        var left: Int
        var failure: ControlError?
        init(_ left: Int) { self.left = left }
    }

    private func change(_ changes: [SetSettingParameters], _ resolved: Settings, then: @escaping (Result<ChangeSettingsAnswer, ControlError>) -> Void) {
        guard !changes.isEmpty else { return then(.success(ChangeSettingsAnswer(restarted: [], later: []))) }
        let outcome = Outcome(changes.count), rules = Self.rules(resolved)
        // What is given back to the configuration may have any value there; what is set to what holds already changes nothing but the file.
        let fixed = changes.filter { OptionTable.find($0.key)!.needsRestart && overrides[$0.key] != $0.value }
        let restarting = fixed.filter { change in change.value.map { settings.value(change.key).text != $0 } ?? true }.map(\.key)
        for change in changes {
            let asker = own { [self] error in
                outcome.failure = outcome.failure ?? error
                outcome.left -= 1
                guard outcome.left == 0 else { return }
                if let failure = outcome.failure { return then(.failure(failure)) }
                if fixed.isEmpty { then(.success(ChangeSettingsAnswer(restarted: [], later: []))) } else { settingsStored(restarting, then) }
            }
            command(asker, .set(key: change.key, value: change.value, rules), kind: .set(key: change.key, value: change.value))
        }
    }

    /// The catalogue has them. Those that need a restart go to where the supervisor finds them.
    private func settingsStored(_ fixed: [String], _ then: @escaping (Result<ChangeSettingsAnswer, ControlError>) -> Void) {
        let pairs = overrides.filter { OptionTable.find($0.key)?.needsRestart == true }.sorted { $0.key < $1.key }.map { (key: $0.key, value: $0.value) }
        let path = "\(kit.stateDirectory)/\(StoredOptions.fileName)"
        pool({ Self.replace(path, StoredOptions.text(pairs)) }) { [self] failure in
            if let failure { return then(.failure(ControlError(.storage, failure))) }
            kit.sendControl(ReloadConfiguration(applyAll: 1))
            let now = fixed.filter { !Self.ofTheStart.contains($0) }, roles = Set(now.flatMap(Self.readers))
            let names = workers.compactMap { w in WorkerRole(rawValue: w.role).flatMap { roles.contains($0) ? WorkerName($0, w.index) : nil } }
            for name in names { restartsDue[name] = loop.now + (name.role == .api ? Self.restartDelay : Self.restartDelay / 3) }
            then(.success(ChangeSettingsAnswer(restarted: names.map(\.description), later: fixed.filter { Self.ofTheStart.contains($0) })))
        }
    }

    /// The workers that read an option at their start.
    private static func readers(_ key: String) -> [WorkerRole] {
        switch key.prefix(while: { $0 != "." }) {
        case "network": [.peer, .discovery]
        case "discovery": [.discovery, .peer]
        case "proxy": [.peer, .discovery]
        case "security": [.peer]
        case "strategy": [.peer, .session]
        case "nat": [.discovery]
        case "disk": [.disk]
        case "api": [.api]
        default: []
        }
    }

    /// Restarts that are due. Says when it wants to be called again.
    func restartTurn(_ now: Instant) -> Instant {
        guard !restartsDue.isEmpty else { return .never }
        for (name, at) in restartsDue.sorted(by: { $0.key.description < $1.key.description }) where at <= now {
            restartsDue[name] = nil
            kit.sendControl(RestartWorker(role: name.role.rawValue, index: name.index))
        }
        return restartsDue.values.min() ?? .never
    }

    /// Whole or not at all; why it could not be done.
    private static func replace(_ path: String, _ text: String) -> String? {
        func failure() -> String { "\(path): \(String(cString: strerror(errno)))" }
        let fresh = path + ".new", fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard fd >= 0 else { return failure() }
        defer { close(fd) }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let n = bytes.withUnsafeBytes { write(fd, $0.baseAddress, $0.count) }
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return failure() }
            bytes = bytes.dropFirst(n)
        }
        guard fsync(fd) == 0, rename(fresh, path) == 0 else { return failure() }
        return nil
    }
}
