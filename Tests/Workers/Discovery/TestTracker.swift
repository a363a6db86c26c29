import Foundation
import Glibc
import Primitives

/// Tests/Interop/tracker.py as a child process, with what it was asked.
final class TestTracker {
    struct Asked: Decodable {
        let kind: String
        let target: String?
        let client_port: Int?
        let info_hash: String?
        let port: Int?
        let left: UInt64?
        let event: String?
        let key: String?
        let numwant: Int?
        let trackerid: String?
        let user_agent: String?
        let encoding: String?
        let at: Double
    }
    private struct Ports: Decodable {
        let http: Int
        let udp: Int
    }

    let process = Process()
    let host: String
    let http: Int, udp: Int
    private let logPath: String
    private let input = Pipe()

    static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../Interop/tracker.py").standardizedFileURL.path
    /// Python with the standard library is all it needs.
    static let isPossible = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
        FileManager.default.isExecutableFile(atPath: "\($0)/python3")
    }

    init(host: String = "127.0.0.1", _ arguments: [String] = []) throws {
        self.host = host
        logPath = FileManager.default.temporaryDirectory.appendingPathComponent("tracker-\(UUID().uuidString).log").path
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-B", Self.script, "--host", host, "--log", logPath] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardInput = input
        process.standardError = FileHandle.nullDevice
        try process.run()
        let line = output.fileHandleForReading.availableData
        let ports = try JSONDecoder().decode(Ports.self, from: line)
        (http, udp) = (ports.http, ports.udp)
    }
    deinit {
        try? input.fileHandleForWriting.close()
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: logPath)
    }

    private var authority: String { host.contains(":") ? "[\(host)]" : host }
    func httpURL(_ path: String = "/announce") -> String { "http://\(authority):\(http)\(path)" }
    func udpURL(_ path: String = "/announce") -> String { "udp://\(authority):\(udp)\(path)" }

    var asked: [Asked] {
        guard let data = FileManager.default.contents(atPath: logPath) else { return [] }
        return data.split(separator: 10).compactMap { try? JSONDecoder().decode(Asked.self, from: Data($0)) }
    }
    func announces(of hash: InfoHash) -> [String] {
        asked.filter { $0.kind.hasSuffix("announce") && $0.info_hash == hash.hex }.map { $0.event! }
    }
}
