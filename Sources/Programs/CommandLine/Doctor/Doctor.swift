import CHash
import CLinux
import Glibc
import Settings

/// The examination: each part looks at one thing that the workers depend on.
enum Doctor {
    static func examine(folders: [String]) -> [Finding] {
        [kernel(), uring()] + limits(text("/proc/self/limits") ?? "", settings: Settings()) + [hashing(), congestion(), confinement(cl_landlock_version())]
            + folders.flatMap(FolderExamination.examine)
    }

    // MARK: kernel

    static func kernel() -> Finding {
        let release = line("/proc/sys/kernel/osrelease") ?? "unknown"
        return judgeKernel(release)
    }

    /// 5.19: io_uring with multishot accept, cooperative task running and sparse buffer tables.
    static func judgeKernel(_ release: String) -> Finding {
        let numbers = release.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        guard numbers.count == 2 else { return .degraded("kernel", release, mend: "run Linux 5.19 or later") }
        return (numbers[0], numbers[1]) >= (5, 19)
            ? .ok("kernel", "Linux \(release)")
            : .degraded("kernel", "Linux \(release): io_uring lacks what the workers use; they run on epoll and threads", mend: "run Linux 5.19 or later")
    }

    /// Tries what a worker does at its start.
    static func uring() -> Finding {
        var code: Int32 = 0
        if let ring = cl_ring_open(8, &code) {
            cl_ring_close(ring)
            return .ok("io_uring", "available")
        }
        let refusal = String(cString: strerror(-code))
        return .degraded(
            "io_uring", "refused (\(refusal)); the workers run on epoll and threads",
            mend: uringMend(disabled: line("/proc/sys/kernel/io_uring_disabled"), seccomp: isUnderSeccomp))
    }

    static func uringMend(disabled: String?, seccomp: Bool) -> String {
        switch disabled {
        case "1": "sysctl kernel.io_uring_disabled=0, or put the daemon's group into kernel.io_uring_group"
        case "2": "sysctl kernel.io_uring_disabled=0"
        default:
            seccomp
                ? "the seccomp profile of this container forbids it: run with the profile that stands in deploy/ (docker run --security-opt seccomp=FILE)"
                : "enable CONFIG_IO_URING in the kernel"
        }
    }

    private static var isUnderSeccomp: Bool {
        (text("/proc/self/status") ?? "").split(separator: "\n").contains { $0.hasPrefix("Seccomp:") && !$0.hasSuffix("0") }
    }

    // MARK: limits

    static func limits(_ table: String, settings: Settings) -> [Finding] {
        [memoryLock(softLimit("Max locked memory", in: table), settings: settings), openFiles(softLimit("Max open files", in: table), settings: settings)]
    }

    enum Limit: Equatable {
        case unlimited
        case value(UInt64)
    }

    /// "Max open files            1024                 524288               files".
    static func softLimit(_ name: String, in table: String) -> Limit? {
        guard let row = table.split(separator: "\n").first(where: { $0.hasPrefix(name) }),
            let word = row.dropFirst(name.count).split(separator: " ").first
        else { return nil }
        return word == "unlimited" ? .unlimited : UInt64(word).map(Limit.value)
    }

    static func memoryLock(_ limit: Limit?, settings: Settings) -> Finding {
        let arena = UInt64(settings.int("disk.cache_size_mb")) << 20
        // Rings and their entries count as well: 1 MiB a worker is ample.
        let needed = arena + 4 << 20
        switch limit {
        case .unlimited: return .ok("locked memory", "no limit")
        case .value(let n) where n >= needed: return .ok("locked memory", "\(Quantity.bytes(n)) for an arena of \(Quantity.bytes(arena))")
        case .value where geteuid() == 0: return .ok("locked memory", "the limit does not bind root")
        case .value(let n):
            return .degraded(
                "locked memory", "\(Quantity.bytes(n)), too little to register the arena of \(Quantity.bytes(arena)); disk I/O costs a little more CPU",
                mend: "LimitMEMLOCK=\((needed >> 20) + 1)M in the systemd unit, or 'ulimit -l \((needed >> 10) + 1)'")
        case nil: return .degraded("locked memory", "unknown: /proc/self/limits cannot be read", mend: "mount /proc")
        }
    }

    static func openFiles(_ limit: Limit?, settings: Settings) -> Finding {
        // Peers in one process; the disk worker keeps files open besides, in another.
        let needed = UInt64(settings.int("network.max_global_peers")) + 256
        switch limit {
        case .unlimited: return .ok("open files", "no limit")
        case .value(let n) where n >= needed: return .ok("open files", "\(n) for \(settings.int("network.max_global_peers")) peers")
        case .value(let n):
            return .degraded(
                "open files", "\(n), too few for network.max_global_peers = \(settings.int("network.max_global_peers"))",
                mend: "LimitNOFILE=65536 in the systemd unit, or 'ulimit -n 65536'")
        case nil: return .degraded("open files", "unknown: /proc/self/limits cannot be read", mend: "mount /proc")
        }
    }

    // MARK: processor and network

    static func hashing() -> Finding {
        let name = String(cString: ccbt_hash_kernel_name())
        return ccbt_sha1_has(CCBT_SHA1_SHANI) == 1 || ccbt_sha1_has(CCBT_SHA1_AVX512) == 1 || ccbt_sha1_has(CCBT_SHA1_AVX2) == 1
            ? .ok("hashing", name)
            : .degraded("hashing", name, mend: "this CPU has neither SHA instructions nor AVX2; hashing takes about four times the CPU")
    }

    static func congestion() -> Finding {
        guard let used = line("/proc/sys/net/ipv4/tcp_congestion_control") else {
            return .degraded("TCP congestion", "unknown", mend: "mount /proc")
        }
        let known = line("/proc/sys/net/ipv4/tcp_available_congestion_control") ?? used
        return .ok("TCP congestion", used == "bbr" ? used : "\(used) (the kernel offers \(known); bbr often uploads faster over long, lossy paths)")
    }

    /// What workers can take away from themselves: files from Landlock's first version on, TCP from 4, signals from 6.
    static func confinement(_ landlock: Int32) -> Finding {
        switch landlock {
        case 6...: .ok("confinement", "Landlock \(landlock): workers give up files, TCP, signals and system calls that they do not need")
        case 4...: .ok("confinement", "Landlock \(landlock): workers give up files, TCP and system calls that they do not need; signals need Linux 6.12")
        case 1...: .degraded("confinement", "Landlock \(landlock): workers give up files and system calls, but the disk worker keeps TCP", mend: "run Linux 6.7 or later")
        default:
            .degraded("confinement", "no Landlock: workers give up system calls only", mend: "run a kernel with CONFIG_SECURITY_LANDLOCK and landlock among the names of lsm=")
        }
    }

    // MARK: files of /proc

    static func text(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 4096)
        while case let n = read(descriptor, &chunk, chunk.count), n > 0, bytes.count < 1 << 20 { bytes += chunk[..<n] }
        return String(decoding: bytes, as: UTF8.self)
    }
    static func line(_ path: String) -> String? { text(path)?.split(separator: "\n").first.map(String.init) }
}
