import Glibc

/// What a download folder's file system can do, by trial on a file without a name.
enum FolderExamination {
    #if arch(arm64)
        private static let oDirect: Int32 = 0o200000
    #else
        private static let oDirect: Int32 = 0o40000
    #endif

    static func examine(_ folder: String) -> [Finding] {
        var status = stat()
        guard stat(folder, &status) == 0 else {
            return [.broken(folder, String(cString: strerror(errno)), mend: "create the folder, or name another")]
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { return [.broken(folder, "is no folder", mend: "name a folder")] }
        let fileSystem = mountedFileSystem(device: status.st_dev, mounts: Doctor.text("/proc/self/mountinfo") ?? "") ?? "unknown file system"
        var findings = [space(folder)]
        switch trial(folder) {
        case .failure(let code):
            findings.append(
                .broken(folder, "\(fileSystem), cannot be written: \(String(cString: strerror(code.value)))", mend: "give the daemon's user write permission (or remount it read-write)"))
        case .success(let direct?):
            findings.append(.ok(folder, "\(fileSystem), O_DIRECT aligned to \(direct) bytes"))
        case .success(nil):
            findings.append(
                .degraded(folder, "\(fileSystem) refuses O_DIRECT; reads and writes go through the page cache", mend: "ext4, xfs and btrfs take O_DIRECT; nothing is lost without it but CPU and cache")
            )
        }
        return findings
    }

    private static func space(_ folder: String) -> Finding {
        var figures = statvfs()
        guard statvfs(folder, &figures) == 0 else { return .degraded(folder, "free space unknown", mend: "look at 'df'") }
        let free = UInt64(figures.f_bavail) * UInt64(figures.f_frsize), all = UInt64(figures.f_blocks) * UInt64(figures.f_frsize)
        let text = "\(Quantity.bytes(free)) free of \(Quantity.bytes(all))"
        return free >= 1 << 30 ? .ok(folder, text) : .degraded(folder, text, mend: "downloads stop when a volume is full and go on when there is space")
    }

    struct Code: Error { let value: Int32 }

    /// The smallest alignment in bytes at which a direct write succeeds; nil when none does.
    private static func trial(_ folder: String) -> Result<Int?, Code> {
        var template = Array((folder + "/.ccbt-doctor-XXXXXX").utf8CString)
        let named = mkstemp(&template)
        guard named >= 0 else { return .failure(Code(value: errno)) }
        defer {
            unlink(template)
            close(named)
        }
        let direct = open(template, O_RDWR | O_CLOEXEC | oDirect)
        guard direct >= 0 else { return .success(nil) }
        defer { close(direct) }
        var memory: UnsafeMutableRawPointer?
        guard posix_memalign(&memory, 4096, 8192) == 0, let memory else { return .success(nil) }
        defer { free(memory) }
        memset(memory, 0x5A, 8192)
        for alignment in [512, 4096] where pwrite(direct, memory + alignment % 4096, alignment, off_t(alignment)) == alignment {
            return .success(alignment)
        }
        return .success(nil)
    }

    /// Column 3 of mountinfo is the device, the word after " - " the file system.
    static func mountedFileSystem(device: dev_t, mounts: String) -> String? {
        let wanted = "\(device >> 8 & 0xFFF | device >> 32 & ~0xFFF):\(device & 0xFF | device >> 12 & ~0xFF)"
        for line in mounts.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count > 4, words[2] == wanted, let dash = words.firstIndex(of: "-"), dash + 1 < words.count else { continue }
            return String(words[dash + 1])
        }
        return nil
    }
}
