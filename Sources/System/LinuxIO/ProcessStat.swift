import Glibc

/// What /proc says of a process.
package struct ProcessStat: Hashable, Sendable {
    /// User and system time since its start, all threads.
    package let cpuMilliseconds: UInt64
    package let residentBytes: UInt64
    package let threads: UInt32
    /// Clock ticks (sysconf(_SC_CLK_TCK), 100 a second) after boot: with the pid, a process's lasting identity.
    package let startTicks: UInt64

    /// nil when there is no such process.
    package init?(pid: pid_t) {
        guard let line = ProcessStat.readSmallFile("/proc/\(pid)/stat"),
            let fields = ProcessStat.fields(line), fields.count >= 22,
            let user = UInt64(fields[11]), let system = UInt64(fields[12]), let threads = UInt32(fields[17]),
            let start = UInt64(fields[19]), let pages = UInt64(fields[21])
        else { return nil }
        cpuMilliseconds = (user &+ system) &* 1000 / UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        residentBytes = pages &* UInt64(sysconf(Int32(_SC_PAGESIZE)))
        self.threads = threads
        startTicks = start
    }

    /// The fields from the third on (proc(5)): the second, the name in brackets, may itself hold spaces and brackets.
    static func fields(_ line: String) -> [Substring]? {
        guard let bracket = line.lastIndex(of: ")") else { return nil }
        return line[line.index(after: bracket)...].split(separator: " ")
    }

    static func readSmallFile(_ path: String) -> String? {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        // stat is one line of 52 numbers: below 1.2 KiB.
        let text = String(unsafeUninitializedCapacity: 4096) { max(0, Glibc.read(fd, $0.baseAddress!, $0.count)) }
        return text.isEmpty ? nil : text
    }
}
