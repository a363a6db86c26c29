import ArgumentParser
import Testing

@testable import CommandLine

@Suite struct GlobalOptionTests {
    struct Case: Sendable { let given: [String], hoisted: [String] }
    @Test(arguments: [
        Case(given: ["--state-dir", "/d", "--json", "daemon", "status"], hoisted: ["daemon", "status", "--state-dir", "/d", "--json"]),
        Case(given: ["list", "--json"], hoisted: ["list", "--json"]),
        Case(given: ["--state-dir=/d", "peers", "add", "abc", "1.2.3.4:5"], hoisted: ["peers", "add", "abc", "1.2.3.4:5", "--state-dir=/d"]),
        Case(given: ["add", "--json", "--", "--json"], hoisted: ["add", "--json", "--", "--json"]),
        Case(given: ["--state-dir"], hoisted: ["--state-dir"]),
        Case(given: ["--json"], hoisted: ["--json"]),
        Case(given: [], hoisted: []),
    ]) func mayStandAnywhere(_ c: Case) { #expect(GlobalOptions.hoist(c.given) == c.hoisted) }
}

@Suite struct CommandTests {
    /// The command lines that scripts and the benchmark use.
    @Test(arguments: [
        ["--state-dir", "/d", "--json", "daemon", "status"],
        ["--state-dir", "/d", "--json", "add", "a.torrent", "b.torrent", "--save", "/x", "--skip-check"],
        ["--state-dir", "/d", "--json", "peers", "add", "9f9165d9a281a9b8e782cd5176bbcc8256fd1871", "127.0.0.2:6881"],
        ["--state-dir", "/d", "--json", "list"],
        ["--state-dir", "/d", "--json", "recheck", "9f9165d9a281a9b8e782cd5176bbcc8256fd1871"],
        ["--state-dir", "/d", "--json", "watch", "--interval", "0.025"],
        ["peers", "9f9165"], ["remove", "9f9165", "--with-data"], ["workers"], ["workers", "restart", "disk"], ["settings"],
        ["settings", "show", "disk"], ["settings", "set", "queue.max_active_torrents", "5"], ["move", "9f9165", "/y"],
        ["add", "magnet:?xt=urn:btih:9f9165d9a281a9b8e782cd5176bbcc8256fd1871", "--save", ".", "--paused", "--peer", "127.0.0.1:1"],
    ]) func btbtTakes(_ arguments: [String]) throws { _ = try Btbt.parseAsRoot(GlobalOptions.hoist(arguments)) }

    @Test func ccbtDownloadsWithoutACommandName() throws {
        let arguments = [
            "x.torrent", "-o", "/d", "--seed", "--listen", "127.0.0.1:7000", "--peer", "127.0.0.1:1", "--peer", "127.0.0.1:2",
            "--no-dht", "--no-pex", "--no-lsd", "--sequential", "--skip-check", "--json", "--set", "disk.direct_io=false",
        ]
        let parsed = try #require(try Ccbt.parseAsRoot(GlobalOptions.hoist(arguments)) as? DownloadCommand)
        #expect(parsed.source == "x.torrent" && parsed.output == "/d" && parsed.seed && parsed.peer.count == 2 && parsed.global.json)
        let environment = try parsed.environment()
        #expect(environment.contains { $0 == ("CCBT_DISK_DIRECT_IO", "false") } && environment.contains { $0 == ("CCBT_DISCOVERY_ENABLE_DHT", "false") })
        #expect(!environment.contains { $0.0 == "CCBT_NETWORK_LISTEN_PORT" })
        #expect(try Ccbt.parseAsRoot(["info", "x.torrent"]) is InfoCommand)
        #expect(try Ccbt.parseAsRoot(["doctor"]) is DoctorCommand)
    }

    @Test(arguments: ["nonsense", "no.such=1", "disk.cache_size_mb=1"])
    func wrongSettingsAreRefusedBeforeAnythingStarts(_ pair: String) throws {
        let command = try #require(try Ccbt.parseAsRoot(["x.torrent", "--set", pair]) as? DownloadCommand)
        #expect { try command.environment() } throws: { error in
            guard let failure = error as? Failure else { return false }
            return failure.status == .usage || failure.status == .configuration
        }
    }

    @Test(arguments: [[], ["help"], ["--help"], ["peers", "--help"], ["daemon", "start", "--help"], ["--version"]])
    func helpIsNoError(_ arguments: [String]) { #expect(FrontEnd.run(Btbt.self, arguments: arguments) == .done) }

    @Test(arguments: [["nonsense"], ["add"], ["watch", "--interval", "0"], ["peers", "add", "9f9165"]])
    func nonsenseIsUsage(_ arguments: [String]) { #expect(FrontEnd.run(Btbt.self, arguments: arguments) == .usage) }

    @Test func withoutADaemonTheStatusSaysSo() {
        #expect(FrontEnd.run(Btbt.self, arguments: ["--state-dir", "/nonexistent/ccbt-state", "list"]) == .noDaemon)
    }

    @Test(arguments: [("127.0.0.1:80", "127.0.0.1:80"), ("[::1]:81", "[::1]:81")])
    func peersAreResolved(_ given: String, _ resolved: String) throws { #expect(try PeerAddress.resolve(given) == resolved) }
    @Test(arguments: ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", ":", ""])
    func wrongPeersAreRefused(_ given: String) { #expect(throws: Failure.self) { try PeerAddress.resolve(given) } }
}

@Suite struct DoctorTests {
    static let table = """
        Limit                     Soft Limit           Hard Limit           Units
        Max open files            1024                 524288               files
        Max locked memory         8388608              8388608              bytes
        Max file size             unlimited            unlimited            bytes
        """
    @Test func readsLimits() {
        #expect(Doctor.softLimit("Max open files", in: Self.table) == .value(1024))
        #expect(Doctor.softLimit("Max file size", in: Self.table) == .unlimited)
        #expect(Doctor.softLimit("Max nothing", in: Self.table) == nil)
    }
    @Test func judgesKernels() {
        #expect(Doctor.judgeKernel("6.1.0-18-amd64").verdict == .ok)
        #expect(Doctor.judgeKernel("5.19.0").verdict == .ok)
        #expect(Doctor.judgeKernel("5.10.0-28-amd64").verdict == .degraded)
        #expect(Doctor.judgeKernel("strange").verdict == .degraded)
        #expect([0, 1, 3].allSatisfy { Doctor.confinement($0).verdict == .degraded })
        #expect([4, 6, 9].allSatisfy { Doctor.confinement($0).verdict == .ok })
    }
    @Test func namesTheSettingThatForbidsIOUring() {
        #expect(Doctor.uringMend(disabled: "2", seccomp: false).contains("kernel.io_uring_disabled=0"))
        #expect(Doctor.uringMend(disabled: "1", seccomp: true).contains("kernel.io_uring_group"))
        #expect(Doctor.uringMend(disabled: "0", seccomp: true).contains("seccomp"))
        #expect(Doctor.uringMend(disabled: nil, seccomp: false).contains("CONFIG_IO_URING"))
    }
    @Test func findsTheFileSystemOfADevice() {
        let mounts = """
            22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
            30 22 0:41 / /tmp rw shared:3 - tmpfs tmpfs rw,size=8m
            """
        #expect(FolderExamination.mountedFileSystem(device: 8 << 8 | 1, mounts: mounts) == "ext4")
        #expect(FolderExamination.mountedFileSystem(device: 41, mounts: mounts) == "tmpfs")
        #expect(FolderExamination.mountedFileSystem(device: 99, mounts: mounts) == nil)
    }
    @Test func everyFolderIsJudged() {
        #expect(FolderExamination.examine("/tmp").allSatisfy { $0.verdict != .broken })
        #expect(FolderExamination.examine("/nonexistent").map(\.verdict) == [.broken])
        #expect(FolderExamination.examine("/etc/passwd").map(\.verdict) == [.broken])
    }
    @Test func everyFindingThatIsNotOkSaysWhatToDo() {
        for finding in Doctor.examine(folders: ["/tmp", "/proc"]) where finding.verdict != .ok { #expect(finding.mend != nil, "\(finding)") }
    }
}
