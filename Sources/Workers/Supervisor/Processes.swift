import BlockArena
import ByteCodec
import Glibc
import IPC
import LinuxIO
import Observe
import Primitives
import Settings
import Supervision
import WorkerKit

/// One running worker as the supervisor holds it.
final class WorkerProcess {
    let name: WorkerName
    let generation: Generation
    let child: Child
    let control: ControlLink
    /// The other end closed its control socket; the process ends soon, or is silent and gets ended.
    var controlEnded = false
    var configured = false
    /// What it was given, by ``Listeners/Given/id``.
    var listeners: Set<Int> = []

    init(name: WorkerName, generation: Generation, child: Child, control: ControlLink) {
        (self.name, self.generation, self.child, self.control) = (name, generation, child, control)
    }
    deinit {
        Descriptor.close(child.pidfd)
        Descriptor.close(control.fd)
    }
}

/// Starts worker programs.
struct Spawner {
    /// The folder of our own executable; the workers' programs stand beside it.
    let folder: String
    let environment: [(String, String)]
    let workersLock: Int32
    private let null: Int32

    init(folder: String, environment: [(String, String)], workersLock: Int32) throws(Errno) {
        self.folder = folder
        self.environment = environment
        self.workersLock = workersLock
        null = open("/dev/null", O_RDWR | O_CLOEXEC)
        if null < 0 { throw .current }
    }

    /// A package may leave a worker's program out.
    func has(_ role: WorkerRole) -> Bool { access("\(folder)/\(role.program)", X_OK) == 0 }

    static func ownFolder() throws(Errno) -> String {
        let path = try Spawn.executablePath()
        return String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }

    func start(_ name: WorkerName, _ generation: Generation, settings: Settings) throws(Errno) -> WorkerProcess {
        let program = folder + "/" + name.role.program
        let (ours, theirs) = try Sockets.socketPair(.packets)
        defer { Descriptor.close(theirs) }
        let child: Child
        do throws(Errno) {
            child = try Spawn.spawn(
                program, [name.role.program] + WorkerStart.arguments(index: name.index, generation: generation),
                environment: environment(for: name.role, settings),
                descriptors: [(null, 0), (theirs, WorkerStart.controlDescriptor), (workersLock, StateDirectory.workersLockTarget)])
        } catch {
            Descriptor.close(ours)
            throw error
        }
        return WorkerProcess(name: name, generation: generation, child: child, control: ControlLink(fd: ours))
    }

    private func environment(for role: WorkerRole, _ settings: Settings) -> [String] {
        var out = environment.filter { !ServiceManager.isPrivate($0.0) && !$0.0.hasPrefix("CCBTD_") }.map { "\($0.0)=\($0.1)" }
        // The loop is made before the settings arrive, so this one travels in the environment.
        if role == .disk, !settings.bool("disk.enable_io_uring"), !environment.contains(where: { $0.0 == "CCBT_IO" }) {
            out.append("CCBT_IO=epoll")
        }
        // Swift's own report of a crash takes seconds and hundreds of lines while the process still counts as running.
        // Whoever hunts a crash sets the variable.
        if !environment.contains(where: { $0.0 == "SWIFT_BACKTRACE" }) { out.append("SWIFT_BACKTRACE=enable=no") }
        return out
    }
}

/// The shared memory of each peer shard: made once, kept for the whole run, so that what a shard had received outlives it.
struct Arenas {
    private let arenas: [(fd: Int32, layout: ArenaLayout)]

    init(shards: Int, mebibytes: Int) throws(StartError) {
        var made: [(Int32, ArenaLayout)] = []
        for shard in 0..<shards {
            let layout = ArenaLayout(mebibytes: mebibytes)
            do throws(Errno) {
                made.append((try Memory.memfd("ccbt-arena-\(shard)", size: layout.byteCount), layout))
            } catch {
                throw StartError("disk.cache_size_mb: no shared memory of \(mebibytes) MiB for shard \(shard): \(error)", code: .environment)
            }
        }
        arenas = made
    }

    func give(_ shard: UInt16, over link: ControlLink, generation: Generation) {
        let arena = arenas[Int(shard)]
        link.send(
            GiveArena(shard: shard, slotCount: UInt32(arena.layout.slotCount), byteCount: UInt64(arena.layout.byteCount)),
            generation: generation, descriptors: [arena.fd])
    }
}
