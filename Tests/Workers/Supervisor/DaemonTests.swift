import Foundation
import Glibc
import LinuxIO
import Primitives
import Testing

/// The supervisor as a real process with real children: kills, stops, floods, bad configurations. The workers are
/// stand-ins, so that what is tested here is the life of processes and nothing else.
@Suite(.serialized) struct DaemonTests {
    @Test(arguments: ["uring", "epoll"]) func startsWiresAndStops(_ io: String) async throws {
        // Where the kernel refuses io_uring the first case is the fallback's.
        let d = try Daemon(environment: io == "epoll" ? ["CCBT_IO": io] : [:])
        try await d.allReady()
        // What the workers write of themselves may come after what they told the supervisor.
        try await d.wait("the starts and edges of all workers") {
            let events = d.events
            return events.count { $0.text.hasPrefix("edge ") } >= 8 && Daemon.workers.allSatisfy { w in events.contains { $0.worker == w && $0.text.hasPrefix("started, ") } }
        }
        let edges = Set(d.events.filter { $0.text.hasPrefix("edge ") }.map { "\($0.worker) \($0.text.dropFirst(5))" })
        #expect(
            edges == [
                "session:0 disk:0#1", "disk:0 session:0#1", "session:0 discovery:0#1", "discovery:0 session:0#1", "session:0 peer:0#1",
                "peer:0 session:0#1", "peer:0 disk:0#1", "disk:0 peer:0#1",
            ])
        let arenas = d.events.filter { $0.text.hasPrefix("arena ") }
        #expect(Set(arenas.map(\.worker)) == ["peer:0", "disk:0"])
        for arena in arenas {
            let words = arena.text.split(separator: " ")
            #expect(words[3] == "1024" && words[5] == words[7], "16 MiB are 1,024 slots, and the memfd has its whole size")
        }
        #expect(d.events.contains { $0.worker == "session:0" && $0.text.hasPrefix("listener controlSocket") })
        #expect(d.events.contains { $0.worker == "peer:0" && $0.text.hasPrefix("listener peerTCP 127.0.0.1:") && !$0.text.hasSuffix(":0") })
        for worker in Daemon.workers {
            #expect(d.events.contains { $0.worker == worker && $0.text.hasPrefix("started, descriptors 0,1,2,3,4") })
        }
        var status = stat()
        #expect(stat(d.state, &status) == 0 && status.st_mode & 0o777 == 0o700)
        #expect(stat(d.state + "/control.sock", &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(try String(contentsOfFile: d.state + "/ccbtd.pid", encoding: .utf8) == "\(d.child.pid)\n")

        let at = Clock.monotonic()
        try d.signal(SIGTERM)
        #expect(try await d.end() == .exited(0))
        #expect(Clock.monotonic() - at < .seconds(10))
        #expect(d.living().isEmpty)
        for worker in Daemon.workers { #expect(d.events.last { $0.worker == worker }?.text == "drained") }
        let drains = d.events.filter { $0.text == "drain" }.map(\.worker)
        #expect(Set(drains.prefix(2)) == ["discovery:0", "peer:0"] && drains.suffix(2) == ["disk:0", "session:0"])
        #expect(!FileManager.default.fileExists(atPath: d.state + "/ccbtd.pid") && !FileManager.default.fileExists(atPath: d.state + "/control.sock"))
    }

    @Test func killedWorkersComeBackAndTheOthersDoNotNotice() async throws {
        let d = try Daemon()
        try await d.allReady()
        var quickest = TimeSpan.seconds(100)
        for worker in Daemon.workers {
            let at = Clock.monotonic()
            kill(d.pid(worker), SIGKILL)
            try await d.waitReady(worker, generation: 2)
            let start = d.events.first { $0.worker == worker && $0.generation == 2 && $0.text.hasPrefix("start ") }!
            quickest = min(quickest, Instant(nanoseconds: Int64(start.text.dropFirst(6))!) - at)
        }
        // From the kill to the first line of the new process; the best of four, as other work shares the machine.
        #expect(quickest < .milliseconds(100))
        for worker in Daemon.workers { #expect(d.generations(worker) == 2) }
        // Each survivor saw its edge close and a new one open.
        #expect(d.events.contains { $0.worker == "peer:0" && $0.generation == 1 && $0.text == "closed disk:0#1" })
        #expect(d.events.contains { $0.worker == "peer:0" && $0.generation == 1 && $0.text == "edge disk:0#2" })
    }

    @Test func hungWorkerIsEndedAndOneThatIsStoppedForFourSecondsIsNot() async throws {
        let d = try Daemon()
        try await d.allReady()
        let disk = d.pid("disk:0"), peer = d.pid("peer:0")
        let at = Clock.monotonic()
        kill(disk, SIGSTOP)
        kill(peer, SIGSTOP)
        try await Task.sleep(for: .seconds(4))
        kill(peer, SIGCONT)
        try await d.waitForLog("disk:0 silent for", within: .seconds(4))
        #expect(Clock.monotonic() - at < .milliseconds(6500))
        try await d.waitReady("disk:0", generation: 2, within: .seconds(6))
        #expect(Clock.monotonic() - at < .seconds(10))
        #expect(!Daemon.lives(disk) && Daemon.lives(peer) && d.generations("peer:0") == 1)
    }

    @Test func workersOfAKilledSupervisorFinishAndTheNextStartWaitsForThem() async throws {
        let d = try Daemon()
        try await d.allReady()
        try d.signal(SIGKILL)
        _ = try await d.end()
        let at = Clock.monotonic()
        let next = try Daemon(after: d)
        try await d.wait("no orphans", within: .seconds(5)) { d.events.filter { $0.generation == 1 }.prefix(4 * 20).contains { $0.text == "drain" } }
        try await next.wait("up again", within: .seconds(10)) { next.log.components(separatedBy: "all workers ready").count == 3 }
        #expect(Clock.monotonic() - at < .seconds(10))
        try next.signal(SIGTERM)
        #expect(try await next.end() == .exited(0))
        #expect(d.living().isEmpty)
    }

    @Test func stoppedOrphansAreKilledByTheNextStart() async throws {
        let d = try Daemon(environment: ["TESTWORKER_DISK": "deaf"])
        try await d.allReady()
        let stuck = d.pid("disk:0")
        try d.signal(SIGKILL)
        _ = try await d.end()
        // Stopped after its parent's end: the kernel continues a stopped process whose group is orphaned.
        kill(stuck, SIGSTOP)
        let next = try Daemon(after: d)
        try await next.wait("up again", within: .seconds(15)) { next.log.components(separatedBy: "all workers ready").count == 3 }
        #expect(!Daemon.lives(stuck))
        try next.signal(SIGTERM)
        #expect(try await next.end() == .exited(0))
    }

    @Test func secondDaemonOnOneStateDirectoryIsRefused() async throws {
        let d = try Daemon()
        try await d.allReady()
        #expect(try await d.again(["--foreground"]) == .exited(75))
        #expect(d.log.contains("another ccbtd (pid \(d.child.pid)) uses this state directory"))
        #expect(d.living().count == 4)
    }

    @Test func crashLoopTurnsOneFunctionOffAndTheRestServes() async throws {
        let d = try Daemon(environment: ["TESTWORKER_DISK": "crash"])
        try await d.waitForLog("breaker worker:disk:0 closed->open", within: .seconds(20))
        try await d.waitForLog("running without disk:0")
        for worker in ["session:0", "discovery:0", "peer:0"] { #expect(d.generations(worker) == 1 && d.isReady(worker)) }
        try await d.wait("the others are told", within: .seconds(2)) { d.events.filter { $0.text.hasPrefix("breaker 3 1 exit 1") }.count == 3 }
        // Four starts, a line for each.
        #expect(d.generations("disk:0") <= 5)
        try d.signal(SIGTERM)
        #expect(try await d.end() == .exited(0))
    }

    @Test func refusedSettingsWaitForAChange() async throws {
        let d = try Daemon(environment: ["TESTWORKER_DISCOVERY": "configuration"])
        try await d.waitForLog("no start until the settings change")
        try await d.waitForLog("running without discovery:0")
        #expect(d.log.contains("these settings are not for me"))
        #expect(d.generations("discovery:0") == 1)
    }

    @Test func deafWorkersDoNotHoldTheStop() async throws {
        let d = try Daemon(environment: ["TESTWORKER_PEER": "deaf"])
        try await d.allReady()
        let at = Clock.monotonic()
        try d.signal(SIGTERM)
        #expect(try await d.end() == .exited(0))
        #expect(Clock.monotonic() - at < .seconds(10))
        #expect(d.living().isEmpty)
    }

    @Test func secondTermHurries() async throws {
        let d = try Daemon(environment: ["TESTWORKER_PEER": "deaf", "TESTWORKER_DISK": "deaf", "TESTWORKER_SESSION": "deaf"])
        try await d.allReady()
        let at = Clock.monotonic()
        try d.signal(SIGTERM)
        try await d.waitForLog("supervisor stopping")
        try d.signal(SIGTERM)
        #expect(try await d.end() == .exited(0))
        #expect(Clock.monotonic() - at < .seconds(5))
        #expect(d.living().isEmpty)
    }

    @Test func badFrameOnAnEdgeRestartsItsSenderOnly() async throws {
        let d = try Daemon(environment: ["TESTWORKER_PEER": "garbage"])
        try await d.waitReady("peer:0", generation: 2)
        try await d.waitForLog("sent disk:0 a frame that it cannot read")
        try await Task.sleep(for: .milliseconds(300))
        for worker in ["session:0", "disk:0", "discovery:0"] { #expect(d.generations(worker) == 1) }
        #expect(d.generations("peer:0") == 2)
    }

    @Test func badFrameOnAControlSocketRestartsItsSenderOnly() async throws {
        let d = try Daemon(environment: ["TESTWORKER_DISCOVERY": "control-garbage"])
        try await d.waitReady("discovery:0", generation: 2)
        for worker in ["session:0", "disk:0", "peer:0"] { #expect(d.generations(worker) == 1) }
    }

    @Test func floodOfFramesArrivesWholeAndInOrder() async throws {
        let d = try Daemon(environment: ["TESTWORKER_PEER": "flood"])
        try await d.allReady()
        try await d.wait("flood") { d.events.contains { $0.worker == "disk:0" && $0.text == "flood of 200000, last 200000" } }
    }

    @Test func portInUseHoldsNothingElse() async throws {
        let occupant = try Sockets.listenTCP(Endpoint("127.0.0.1:0")!)
        let endpoint = try Sockets.localEndpoint(occupant)
        let d = try Daemon(["--listen", endpoint.description])
        try await d.allReady()
        #expect(d.log.contains("cannot listen on \(endpoint): EADDRINUSE"))
        Descriptor.close(occupant)
        try await d.waitForLog("listening for peers on \(endpoint)", within: .seconds(35))
        try await d.wait("given to the shard", within: .seconds(2)) { d.events.contains { $0.worker == "peer:0" && $0.text == "listener peerTCP \(endpoint)" } }
        #expect(d.log.components(separatedBy: "cannot listen on").count == 2, "one line for all the tries")
    }

    @Test func anotherPortOfTheRangeIsTaken() async throws {
        let occupant = try Sockets.listenTCP(Endpoint("127.0.0.1:0")!)
        defer { Descriptor.close(occupant) }
        let endpoint = try Sockets.localEndpoint(occupant)
        let d = try Daemon(["--listen", endpoint.description, "--set", "network.listen_port_range=100"])
        try await d.allReady()
        #expect(!d.log.contains("cannot listen on"))
        try await d.wait("the shard's listener") { d.events.contains { $0.worker == "peer:0" && $0.text.hasPrefix("listener peerTCP ") } }
        let taken = Endpoint(d.events.first { $0.worker == "peer:0" && $0.text.hasPrefix("listener peerTCP ") }!.text.split(separator: " ")[2].description)!
        #expect(taken.port > endpoint.port && Int(taken.port) <= Int(endpoint.port) + 100)
        // The DHT and uTP are where the peers are.
        try await d.waitForLog("datagrams on \(taken)")
    }

    @Test func configurationIsReadAgainOnHangup() async throws {
        let file = NSTemporaryDirectory() + "ccbt-\(UUID().uuidString).toml"
        defer { unlink(file) }
        try "[disk]\ndownload_dir = \"/a\"\n".write(toFile: file, atomically: true, encoding: .utf8)
        let d = try Daemon(["--config", file])
        try await d.allReady()
        try "[disk]\ndownload_dir = \"relative\"\n".write(toFile: file, atomically: true, encoding: .utf8)
        try d.signal(SIGHUP)
        try await d.waitForLog("the configuration was not taken, the old one stays: \(file):2: disk.download_dir")
        try "[disk]\ndownload_dir = \"/b\"\n[network]\nmax_half_open = 1234\n".write(toFile: file, atomically: true, encoding: .utf8)
        try d.signal(SIGHUP)
        try await d.waitForLog("configuration read again: 1 option changed; a restart is needed for network.max_half_open")
        try await d.wait("workers hear it") { d.events.filter { $0.text == "settings /b" }.count == 4 }
        try d.signal(SIGHUP)
        try await d.waitForLog("nothing changed")
        for worker in Daemon.workers { #expect(d.generations(worker) == 1) }
    }

    @Test func wrongConfigurationEndsTheStartWithItsLine() async throws {
        let file = NSTemporaryDirectory() + "ccbt-\(UUID().uuidString).toml"
        defer { unlink(file) }
        try "# a comment\n[network]\nlisten_port = 70000\n".write(toFile: file, atomically: true, encoding: .utf8)
        let d = try Daemon(["--config", file])
        #expect(try await d.end() == .exited(78))
        #expect(d.log.contains("\(file):3: network.listen_port = 70000: limits say 0..65535"))
        #expect(d.events.isEmpty)
    }

    @Test func backgroundStartReturnsWhenEverythingIsReady() async throws {
        let d = try Daemon()
        try await d.allReady()
        try d.signal(SIGTERM)
        #expect(try await d.end() == .exited(0))
        #expect(try await d.again([]) == .exited(0))
        let pid = pid_t(try String(contentsOfFile: d.state + "/ccbtd.pid", encoding: .utf8).dropLast())!
        let log = try String(contentsOfFile: d.state + "/ccbtd.log", encoding: .utf8)
        #expect(log.contains("all workers ready") && pid != d.child.pid)
        #expect(getsid(pid) == pid)
        // A second one says on the caller's terminal why it does not start.
        #expect(try await d.again([]) == .exited(75))
        #expect(d.log.contains("ccbtd did not start (exit 75)"))
        kill(pid, SIGTERM)
        try await d.wait("background daemon gone") { !Daemon.lives(pid) && d.living().isEmpty }
    }

    @Test func serviceManagerIsTold() async throws {
        let path = NSTemporaryDirectory() + "n-\(UUID().uuidString.prefix(8))"
        let fd = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        defer {
            close(fd)
            unlink(path)
        }
        let address = try SocketAddress(unix: path)
        #expect(address.withSockaddr { bind(fd, $0, $1) } == 0)
        var told: [String] = []
        func read() {
            var bytes = [UInt8](repeating: 0, count: 512)
            while case let n = recv(fd, &bytes, bytes.count, 0), n > 0 { told.append(String(decoding: bytes[0..<n], as: UTF8.self)) }
        }
        let d = try Daemon(environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"])
        try await d.allReady()
        try await Task.sleep(for: .milliseconds(1500))
        read()
        #expect(told.contains("READY=1\nSTATUS=all workers ready"))
        // Each 200 ms, while nothing else happens.
        #expect(told.filter { $0 == "WATCHDOG=1" }.count >= 5)
        try d.signal(SIGTERM)
        _ = try await d.end()
        read()
        #expect(told.contains("STOPPING=1\nSTATUS=stopping"))
    }

    @Test func moreShardsAndDisksAreConfiguration() async throws {
        let d = try Daemon(["--set", "network.peer_shards=3", "--set", "disk.workers=2"])
        try await d.allReady()
        for worker in ["peer:0", "peer:1", "peer:2", "disk:0", "disk:1"] { #expect(d.isReady(worker)) }
        #expect(d.events.filter { $0.worker == "disk:1" && $0.text.hasPrefix("arena ") }.count == 3)
        #expect(d.events.filter { $0.worker == "peer:2" && $0.text.hasPrefix("edge disk:") }.count == 2)
    }

    @Test func missingProgramIsTriedAgain() async throws {
        let d = try Daemon()
        try await d.allReady()
        let program = d.folder + "/bin/ccbt-peer"
        #expect(rename(program, program + ".away") == 0)
        kill(d.pid("peer:0"), SIGKILL)
        try await d.waitForLog("ccbt-peer: ENOENT")
        #expect(rename(program + ".away", program) == 0)
        try await d.wait("peer is back", within: .seconds(40)) { d.events.contains { $0.worker == "peer:0" && $0.generation > 1 && $0.text == "ready" } }
    }
}
