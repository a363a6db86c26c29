import Foundation
import Testing

/// The written protocol and the code tell the same.
@Suite struct ProtocolTests {
    static func text(_ path: String) throws -> String { try String(contentsOf: Package.root.appendingPathComponent(path), encoding: .utf8) }

    /// "case hello = 0x0101" of the generated list.
    static func messageTypes() throws -> [(name: String, number: String)] {
        try text("Sources/Link/IPC/Generated/MessageType.swift").matches(of: #/case (\w+) = (0x[0-9a-f]{4})/#).map { (String($0.1), String($0.2)) }
    }

    @Test func everyMessageHasItsTable() throws {
        let tables = try Self.text("protocol/messages.md"), types = try Self.messageTypes()
        #expect(types.count > 40)
        for type in types {
            let name = type.name.prefix(1).uppercased() + type.name.dropFirst()
            #expect(tables.contains("### `\(name)` \(type.number)"), "\(name) \(type.number) has no table in protocol/messages.md")
        }
    }

    @Test func noTableIsOfAMessageThatIsGone() throws {
        let known = Set(try Self.messageTypes().map(\.number))
        for match in try Self.text("protocol/messages.md").matches(of: #/### `\w+` (0x[0-9a-f]{4})/#) { #expect(known.contains(String(match.1))) }
    }

    static let hasPython =
        ["/usr/bin", "/usr/local/bin"].contains { FileManager.default.isExecutableFile(atPath: $0 + "/python3") }
        || (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains { FileManager.default.isExecutableFile(atPath: $0 + "/python3") }

    @Test(.enabled(if: hasPython)) func generatedCodeIsCurrent() throws {
        let process = Process(), pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", Package.root.appendingPathComponent("protocol/generate.py").path, "--check"]
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let said = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(said)")
    }

    /// Numbers that the documents name, and where the code holds them.
    @Test func documentsNameTheBoundsOfTheCode() throws {
        let ipc = try Self.text("protocol/ipc.md")
        #expect(ipc.contains("20 bytes") && ipc.contains("1 MiB") && ipc.contains("64 KiB") && ipc.contains("64 MiB"))
        #expect(try Self.text("Sources/Link/IPC/IPC.swift").contains("headerSize = 20"))
        #expect(try Self.text("Sources/Link/IPC/IPC.swift").contains("frameLimit = 1 << 20"))
        #expect(try Self.text("Sources/Workers/WorkerKit/ControlLink.swift").contains("packetLimit = 64 << 10"))
        #expect(try Self.text("Sources/Workers/WorkerKit/EdgeLink.swift").contains("queueLimit = 64 << 20"))
    }
}
