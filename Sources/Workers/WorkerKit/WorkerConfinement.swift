import LinuxIO
import Observe
import Primitives
import Settings
import Supervision

/// What each worker can reach once it has its settings: the table of protocol/lifecycle.md, "Confinement". nil: everything that its
/// user can. The disk worker keeps all files, as torrents may be stored anywhere and the places are not known at its start.
extension WorkerRole {
    package func confinement(settings: Settings, stateDirectory: String) -> Confinement? {
        let stored = stateDirectory + "/torrents"
        let own = settings.string("security.ip_filter.filter_cache_dir")
        let filters = own.isEmpty ? stateDirectory + "/ip-filter" : own
        switch self {
        case .supervisor, .session: return nil
        case .peer:
            var c = Confinement(readable: Self.system + [stored, filters])
            c.folders = [stored, filters]
            c.refused = [.system, .programs, .rings]
            return c
        case .discovery:
            var c = Confinement(readable: Self.system + [stored])
            c.writable = [filters, DiscoveryFolder.path(stateDirectory)]
            c.folders = [stored] + c.writable
            c.refused = [.system, .programs, .rings]
            return c
        case .disk:
            var c = Confinement()
            c.usesTCP = false
            c.refused = [.system, .programs, .sockets, .rings]
            return c
        case .api:
            return Confinement()
        }
    }

    /// Names are looked up and certificates checked with these; folders whole, as their files are replaced and not changed.
    private static let system = [
        "/etc", "/usr", "/lib", "/lib64", "/proc", "/sys/devices/system/cpu", "/dev/null", "/dev/urandom", "/run/systemd/resolve", "/run/resolvconf",
        "/run/NetworkManager", "/run/connman", "/run/nscd",
    ]
}

/// The discovery worker's own folder in the state directory: where it may write.
package enum DiscoveryFolder {
    package static func path(_ stateDirectory: String) -> String { stateDirectory + "/discovery" }
}

extension WorkerKit {
    /// Once, before the shell is made: no thread but this one runs yet.
    func confine() {
        guard settings.bool("security.confine_workers"), let confinement = name.role.confinement(settings: settings, stateDirectory: stateDirectory) else { return }
        do throws(Errno) {
            let outcome = try confinement.apply()
            guard outcome.landlock == 0 || !outcome.seccomp else { return }
            let missing = outcome.landlock == 0 ? outcome.seccomp ? "Landlock" : "Landlock and seccomp" : "seccomp"
            log(.info, "this kernel has no \(missing): the worker is confined by less")
        } catch {
            leave(log, "cannot confine itself: \(error); security.confine_workers = false runs it unconfined", .environment)
        }
    }
}
