import Discovery
import Foundation
import Glibc
import LinuxIO
import Primitives
import Settings
import Testing
import TrackerWire
import WorkerKit

@testable import DiscoveryWorker

/// HTTP and UDP announces on a real loop, against a tracker that behaves and misbehaves on order.
final class Line {
    let loop: Loop
    let http: HTTPTracker
    let udp: UDPTracker
    let resolver: Resolver
    private var serial: UInt32 = 0
    var outcomes: [RequestID: AnnounceOutcome] = [:]

    init(whole: TimeSpan = .seconds(10), proxy: ProxyRules = .none) throws {
        loop = try Loop()
        resolver = Resolver(loop: loop, kind: 18)
        http = try HTTPTracker(
            loop: loop, kind: 16, limits: .init(connections: 32, connectionsPerHost: 8, whole: whole, connect: .seconds(5), source: nil, proxy: proxy))
        udp = try UDPTracker(loop: loop, kind: 17, resolver: resolver, source: nil, whole: whole)
        loop.wait(until: .zero)
    }

    static let request = AnnounceRequest(
        infoHash: InfoHash([UInt8](repeating: 0xA7, count: 20))!, peerID: PeerID(Array("-CC0001-abcdefghijkl".utf8))!, port: 6881,
        uploaded: 1, downloaded: 2, left: 3, event: .started, key: 0xABCD)

    func begin(_ url: String) -> RequestID {
        serial += 1
        let id = RequestID(slot: serial, generation: 0), url = TrackerURL(url)!
        if url.scheme == .udp { udp.begin(id, url, Self.request, now: loop.now) } else { http.begin(id, url, Self.request, now: loop.now) }
        return id
    }

    func run(until done: () -> Bool, limit: TimeSpan = .seconds(40)) {
        let end = Clock.monotonic() + limit
        while true {
            http.turn(now: loop.now)
            udp.turn(now: loop.now)
            for (id, outcome) in http.takeEnded() + udp.takeEnded() { outcomes[id] = outcome }
            if done() || loop.now >= end { return }
            loop.wait(until: min(end, http.nextDeadline, udp.nextDeadline))
            while let completion = loop.next() {
                switch completion.token.kind {
                case 16: http.completed(completion)
                case 17: udp.completed(completion, now: loop.now)
                default: if let e = resolver.completed(completion, now: loop.now) { udp.resolved(e.host, e.answer, now: loop.now) }
                }
            }
        }
    }

    func announce(_ url: String) -> String {
        let id = begin(url)
        run(until: { outcomes[id] != nil })
        return outcomes[id].map(Self.words) ?? "nothing"
    }

    /// An outcome in a line, so that a table of cases is legible.
    static func words(_ outcome: AnnounceOutcome) -> String {
        switch outcome {
        case .answered(let answer, let from):
            "answered \(answer.interval ?? 0) peers \(answer.peers.count) from \(from?.address ?? "?")"
                + (answer.warning.map { " warning \($0)" } ?? "")
        case .refused(let reason, let retry): "refused \(reason), \(retry)"
        case .failed(let reason, let hostFault, let retry):
            "failed \(hostFault ? "host" : "torrent") \(reason)" + (retry.map { ", retry \($0)" } ?? "")
        }
    }
}

@Suite(.serialized, .enabled(if: TestTracker.isPossible)) struct HTTPTransportTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let path: String
        /// The whole outcome, or its beginning where it ends in "…".
        let outcome: String
        var testDescription: String { path }
    }
    static let cases: [Case] = [
        Case(path: "/announce", outcome: "answered 1800 peers 0 from 127.0.0.1"),
        Case(path: "/announce/gzip", outcome: "answered 1800 peers 0 from 127.0.0.1"),
        Case(path: "/announce/dict", outcome: "answered 1800 peers 1 from 127.0.0.1"),
        Case(path: "/announce/many", outcome: "answered 1800 peers 2000 from 127.0.0.1"),
        Case(path: "/announce/warning", outcome: "answered 1800 peers 0 from 127.0.0.1 warning your client  is \\u{1b}[31mold"),
        Case(path: "/announce/interval/-7", outcome: "answered 60 peers 0 from 127.0.0.1"),
        Case(path: "/announce/interval/1000000000000000000", outcome: "answered 86400 peers 0 from 127.0.0.1"),
        Case(path: "/announce/refuse", outcome: "refused unregistered torrent, unsaid"),
        Case(path: "/announce/refuse403", outcome: "refused wrong passkey, unsaid"),
        Case(path: "/announce/retry/5", outcome: "refused full, after(300)"),
        Case(path: "/announce/retry/never", outcome: "refused full, never"),
        Case(path: "/announce/status/500", outcome: "failed host HTTP 500"),
        Case(path: "/announce/status/404", outcome: "failed torrent HTTP 404"),
        Case(path: "/announce/status/429", outcome: "failed host HTTP 429, retry 120"),
        Case(path: "/announce/status/503", outcome: "failed host HTTP 503, retry 120"),
        Case(path: "/announce/html", outcome: "failed host not a tracker's answer: \"<!DOCTYPE html>…"),
        Case(path: "/announce/garbage", outcome: "failed host not a tracker's answer…"),
        Case(path: "/announce/truncated", outcome: "failed host bad answer…"),
        Case(path: "/announce/empty", outcome: "failed host empty answer"),
        Case(path: "/announce/hangup", outcome: "failed host …"),
        Case(path: "/announce/redirect/ok", outcome: "answered 1800 peers 0 from 127.0.0.1"),
        Case(path: "/announce/hops/5", outcome: "answered 1800 peers 0 from 127.0.0.1"),
        Case(path: "/announce/hops/6", outcome: "failed torrent more than 5 redirects"),
        Case(path: "/announce/loop", outcome: "failed torrent more than 5 redirects"),
        Case(path: "/announce/redirect/file:%2F%2F%2Fetc%2Fpasswd", outcome: "failed torrent redirect to…"),
        Case(path: "/announce/redirect/udp:%2F%2F127.0.0.1:1%2Fannounce", outcome: "failed torrent redirect to…"),
        Case(path: "/announce/redirect/http:%2F%2F169.254.169.254%2Fannounce", outcome: "failed torrent 169.254.169.254 may not be asked from here"),
        Case(path: "/announce/redirect/http:%2F%2F{self}%2Fshutdown", outcome: "failed torrent 127.0.0.1 may not be asked from here"),
        Case(path: "/announce/redirect/http:%2F%2Fu:p@{self}%2Fannounce", outcome: "failed host …"),
        Case(path: "/shutdown", outcome: "failed torrent 127.0.0.1 may not be asked from here"),
        Case(path: "/announce/announced", outcome: "failed host the answer is larger than 1 MiB"),
        Case(path: "/announce/endless", outcome: "failed host the answer is larger than 1 MiB"),
        Case(path: "/announce/bomb", outcome: "failed host the answer is larger than 1 MiB"),
    ]

    @Test func everyKindOfAnswer() throws {
        let tracker = try TestTracker(), line = try Line()
        for c in Self.cases {
            let got = line.announce(tracker.httpURL(c.path))
            if c.outcome.hasSuffix("…") {
                #expect(got.hasPrefix(c.outcome.dropLast()), "\(c.path): \(got)")
            } else {
                #expect(got == c.outcome, "\(c.path)")
            }
        }
        #expect(line.http.count == 0)
        // Neither the page off /announce nor the redirect there was asked.
        #expect(!tracker.asked.contains { $0.target!.hasPrefix("/shutdown") })
    }

    @Test func whatIsAsked() throws {
        let tracker = try TestTracker(), line = try Line()
        _ = line.announce(tracker.httpURL("/announce?passkey=a%20b"))
        let asked = try #require(tracker.asked.first)
        #expect(asked.target == String(TrackerURL(tracker.httpURL("/announce?passkey=a%20b"))!.announce(Line.request).dropFirst(tracker.httpURL("").utf8.count)))
        #expect(asked.user_agent == "ccbt/0.1.0")
        #expect(asked.encoding == "gzip")
        #expect(asked.info_hash == Line.request.infoHash.hex)
    }

    @Test func connectionsAreUsedAgain() throws {
        let tracker = try TestTracker(), line = try Line()
        for _ in 0..<5 { _ = line.announce(tracker.httpURL()) }
        #expect(tracker.asked.count == 5)
        #expect(Set(tracker.asked.map { $0.client_port! }).count == 1)
    }

    @Test func manyAtOnceWithinTheHostLimit() throws {
        let tracker = try TestTracker(), line = try Line()
        let ids = (0..<60).map { _ in line.begin(tracker.httpURL()) }
        line.run(until: { line.outcomes.count == ids.count })
        #expect(ids.allSatisfy { line.outcomes[$0].map(Line.words) == "answered 1800 peers 0 from 127.0.0.1" })
        #expect(Set(tracker.asked.map { $0.client_port! }).count <= 8)
    }

    @Test func slowAnswersEndInTime() throws {
        let tracker = try TestTracker(), line = try Line(whole: .milliseconds(1_500))
        for path in ["/announce/slow", "/announce/drip"] {
            let start = Clock.monotonic()
            let got = line.announce(tracker.httpURL(path))
            #expect(got.hasPrefix("failed host "), "\(got)")
            let took = (Clock.monotonic() - start).seconds
            #expect(took > 1.4 && took < 3)
        }
        // A slow one does not hold up the others.
        let slow = line.begin(tracker.httpURL("/announce/slow"))
        #expect(line.announce(tracker.httpURL()).hasPrefix("answered"))
        #expect(line.outcomes[slow] == nil)
    }

    /// Names are the proxy's to look up; an address in the URL is judged before the proxy is asked for it.
    @Test func throughAProxy() throws {
        let proxy = try TestTracker()
        var settings = Settings()
        try settings.set("proxy.enable_proxy", .boolean(true))
        try settings.set("proxy.proxy_type", .text("http"))
        try settings.set("proxy.proxy_port", .integer(proxy.http))
        try settings.set("proxy.proxy_bypass_list", .list([.text("direct.invalid")]))
        let line = try Line(proxy: ProxyRules(settings))
        #expect(line.announce("http://169.254.169.254/announce") == "failed torrent 169.254.169.254 may not be asked from here")
        #expect(line.announce("http://127.0.0.1:\(proxy.http)/shutdown") == "failed torrent 127.0.0.1 may not be asked from here")
        let named = line.announce("http://nowhere.invalid/announce"), direct = line.announce("http://direct.invalid/announce")
        #expect(!named.contains("resolve") && named != "nothing", "\(named)")
        #expect(direct.contains("resolve"), "\(direct)")
    }

    @Test func nobodyThere() throws {
        let tracker = try TestTracker(), line = try Line()
        let port = tracker.http
        kill(tracker.process.processIdentifier, SIGKILL)
        tracker.process.waitUntilExit()
        #expect(line.announce("http://127.0.0.1:\(port)/announce").hasPrefix("failed host "))
        #expect(line.announce("http://no-such-host.invalid/announce").hasPrefix("failed host "))
    }

    @Test func bombsAndEndlessBodiesCostLittleMemory() throws {
        let tracker = try TestTracker(), line = try Line()
        _ = line.announce(tracker.httpURL())
        let before = residentBytes()
        for _ in 0..<20 {
            _ = line.announce(tracker.httpURL("/announce/bomb"))
            _ = line.announce(tracker.httpURL("/announce/endless"))
        }
        #expect(residentBytes() - before < 8 << 20)
    }

    @Test func ipv6AndNames() throws {
        let line = try Line()
        if let six = try? TestTracker(host: "::1") {
            #expect(line.announce(six.httpURL()) == "answered 1800 peers 0 from ::1")
            #expect(line.announce(six.udpURL()) == "answered 1800 peers 0 from ::1")
        }
        let four = try TestTracker()
        #expect(line.announce("http://localhost:\(four.http)/announce").hasPrefix("answered"))
        #expect(line.announce("udp://localhost:\(four.udp)/announce").hasPrefix("answered"))
    }

    /// A certificate that no authority vouches for is no tracker's, and the announce with its passkey is not sent.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl"))) func certificatesAreVerified() throws {
        let pem = FileManager.default.temporaryDirectory.appendingPathComponent("tls-\(UUID().uuidString).pem").path
        defer { try? FileManager.default.removeItem(atPath: pem) }
        let make = Process()
        make.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        make.arguments = [
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", pem, "-out", pem,
        ]
        make.standardError = FileHandle.nullDevice
        try make.run()
        make.waitUntilExit()
        let tracker = try TestTracker(["--tls", pem]), line = try Line()
        let got = line.announce("https://127.0.0.1:\(tracker.http)/announce/secret")
        #expect(got.hasPrefix("failed host ") && got.contains("certificate"), "\(got)")
        #expect(tracker.asked.isEmpty)
    }

    /// With an address that counts as public (CCBT_PUBLIC_ADDRESS, of an interface of this machine): it cannot send us
    /// to this machine's other services.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["CCBT_PUBLIC_ADDRESS"] != nil))
    func aPublicTrackerCannotLeadInside() throws {
        let address = ProcessInfo.processInfo.environment["CCBT_PUBLIC_ADDRESS"]!
        let outside = try TestTracker(host: address), inside = try TestTracker(), line = try Line()
        #expect(line.announce(outside.httpURL()).hasPrefix("answered"))
        // A connection to the inner one is open and would be used again.
        #expect(line.announce(inside.httpURL()).hasPrefix("answered"))
        let got = line.announce(outside.httpURL("/announce/redirect/http:%2F%2F127.0.0.1:\(inside.http)%2Fannounce"))
        #expect(got == "failed torrent 127.0.0.1 may not be asked from here")
        #expect(inside.asked.count == 1)
    }

    private func residentBytes() -> Int {
        let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
        return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * 4096
    }
}

@Suite(.serialized, .enabled(if: TestTracker.isPossible)) struct UDPTransportTests {
    @Test func answersErrorsAndForgeries() throws {
        let tracker = try TestTracker(), line = try Line(whole: .seconds(4))
        #expect(line.announce(tracker.udpURL()) == "answered 1800 peers 0 from 127.0.0.1")
        #expect(line.announce(tracker.udpURL("")) == "answered 1800 peers 0 from 127.0.0.1")
        #expect(line.announce(tracker.udpURL("/announce/error")) == "refused torrent not registered, unsaid")
        #expect(line.announce(tracker.udpURL("/announce/forged")) == "answered 1800 peers 0 from 127.0.0.1")
        let asked = tracker.asked.filter { $0.kind == "udp-announce" }
        #expect(asked.map { $0.target! } == ["/announce", "", "/announce/error", "/announce/forged"])
        #expect(asked[0].key == "0000ABCD" && asked[0].event == "started" && asked[0].port == 6881 && asked[0].numwant == 200)
        // One connect for the first two, one after the error.
        #expect(tracker.asked.filter { $0.kind == "udp-connect" }.count == 2)
    }

    @Test func silenceEndsInTime() throws {
        let tracker = try TestTracker(), line = try Line(whole: .seconds(1))
        let start = Clock.monotonic()
        #expect(line.announce(tracker.udpURL("/announce/silent")) == "failed host no answer")
        let took = (Clock.monotonic() - start).seconds
        #expect(took > 0.9 && took < 2)
        #expect(line.announce("udp://no-such-host.invalid:1/announce").hasPrefix("failed host "))
        #expect(line.announce("udp://169.254.169.254:1/announce") == "failed torrent 169.254.169.254 may not be asked from here")
        #expect(line.udp.count == 0)
    }

    @Test func manyAtOnceShareAConnect() throws {
        let tracker = try TestTracker(), line = try Line()
        let ids = (0..<60).map { _ in line.begin(tracker.udpURL()) }
        line.run(until: { line.outcomes.count == ids.count })
        #expect(line.outcomes.values.allSatisfy { Line.words($0).hasPrefix("answered") })
        #expect(tracker.asked.filter { $0.kind == "udp-connect" }.count == 1)
    }
}

/// opentracker, where it is installed: another implementation's idea of the same protocols.
@Suite(.serialized, .enabled(if: OpenTracker.isPossible)) struct OpenTrackerTests {
    @Test func overHTTPAndUDP() throws {
        let tracker = try OpenTracker(allowing: Line.request.infoHash), line = try Line()
        #expect(line.announce("udp://127.0.0.1:\(tracker.port)").hasPrefix("answered"))
        let got = line.announce("http://127.0.0.1:\(tracker.port)/announce")
        #expect(got.hasPrefix("answered"), "\(got)")
    }

    @Test func refusesAForeignHash() throws {
        let tracker = try OpenTracker(allowing: InfoHash()), line = try Line()
        let got = line.announce("http://127.0.0.1:\(tracker.port)/announce")
        #expect(got.hasPrefix("refused ") && got.contains("not authorized"), "\(got)")
    }
}

final class OpenTracker {
    static let isPossible = FileManager.default.isExecutableFile(atPath: "/usr/bin/opentracker")
    let process = Process()
    let port: Int
    private let folder: URL

    init(allowing hash: InfoHash) throws {
        // A port that was free a moment ago; opentracker cannot choose one itself.
        let probe = try Sockets.listenTCP(Endpoint("127.0.0.1:0")!)
        port = Int(try Sockets.localEndpoint(probe).port)
        Descriptor.close(probe)
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("opentracker-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try (hash.hex + "\n").write(to: folder.appendingPathComponent("whitelist.txt"), atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.path)
        process.executableURL = URL(fileURLWithPath: "/usr/bin/opentracker")
        process.arguments = ["-i", "127.0.0.1", "-p", "\(port)", "-P", "\(port)", "-d", folder.path, "-w", "whitelist.txt"]
        process.currentDirectoryURL = folder
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        for _ in 0..<100 {
            let fd = try Sockets.streamSocket(for: Endpoint("127.0.0.1:\(port)")!)
            defer { Descriptor.close(fd) }
            _ = fcntl(fd, F_SETFL, 0)
            if SocketAddress(Endpoint("127.0.0.1:\(port)")!).withSockaddr({ connect(fd, $0, $1) }) == 0 { break }
            usleep(20_000)
        }
    }
    deinit {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        try? FileManager.default.removeItem(at: folder)
    }
}
