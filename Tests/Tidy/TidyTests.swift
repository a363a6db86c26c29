import Foundation
import Testing

/// What the compiler and the formatter do not see: which layer may know which, calls that do not belong, leftovers.
/// Method: the sources are read as text from the package's own folder.
struct SourceFile: Sendable, CustomTestStringConvertible {
    /// From the package's root: "Sources/Wire/Bencode/Bencode.swift".
    let path: String
    let text: String
    let lines: [String]

    init(path: String, text: String) {
        (self.path, self.text) = (path, text)
        lines = text.components(separatedBy: "\n")
    }

    var testDescription: String { path }
    /// Whether one of these stands anywhere in it: a quick look before a pattern, which is slow in a debug build.
    func holds(any parts: [String]) -> Bool { text.withCString { whole in parts.contains { strstr(whole, $0) != nil } } }
    var parts: [String] { path.split(separator: "/").map(String.init) }
    var isSwift: Bool { path.hasSuffix(".swift") }
    var isGenerated: Bool { lines.first?.contains("do not edit") ?? false }
    var layer: String { parts.count > 2 && parts[0] == "Sources" ? parts[1] : "" }
    var target: String { parts.count > 3 && parts[0] == "Sources" ? parts[2] : "" }

    /// Lines with texts and comments blanked, numbered from 1.
    var code: [(number: Int, text: String)] { lines.enumerated().map { ($0.offset + 1, Self.blank($0.element)) } }

    static func blank(_ line: String) -> String {
        var out = "", quoted = false, escaped = false
        var previous: Character = " "
        for c in line {
            if quoted {
                if escaped { escaped = false } else if c == "\\" { escaped = true } else if c == "\"" { quoted = false }
                out.append(quoted ? " " : c)
            } else if c == "/", previous == "/" {
                out.removeLast()
                break
            } else {
                if c == "\"" { quoted = true }
                out.append(c)
            }
            previous = c
        }
        return out
    }
}

enum Package {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static let files: [SourceFile] = {
        var found: [SourceFile] = []
        for folder in ["Sources", "Tests", "protocol", "deploy"] {
            let base = root.appendingPathComponent(folder)
            guard let walk = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil) else { continue }
            for case let url as URL in walk where ["swift", "c", "h", "md", "py", "schema", "toml", "service", "json", "conf"].contains(url.pathExtension) {
                guard let text = try? String(contentsOf: url, encoding: .utf8) else { continue }
                let path = String(url.path.dropFirst(root.path.count + 1))
                found.append(SourceFile(path: path, text: text))
            }
        }
        return found.sorted { $0.path < $1.path }
    }()
    static let sources = files.filter { $0.path.hasPrefix("Sources/") && $0.isSwift }
    static let layers = ["System", "Primitives", "Wire", "Engine", "Link", "Workers", "Programs"]
    /// Target to layer.
    static let targets: [String: String] = sources.reduce(into: [:]) { $0[$1.target] = $1.layer }
        .merging(["CLinux": "System", "CHash": "System", "CCipher": "System", "CCurl": "System", "CXML": "System", "CZip": "System"]) { a, _ in a }
}

@Suite struct TidyTests {
    @Test func theSourcesAreFound() {
        #expect(Package.sources.count > 50)
        #expect(Package.targets.count > 10)
    }

    /// Layers that a layer may import, besides itself.
    static let arrows: [String: Set<String>] = [
        // Instants and endpoints are the nouns that the system layer speaks in.
        "System": ["Primitives"],
        "Primitives": [],
        "Wire": ["Primitives"],
        "Engine": ["Primitives", "Wire"],
        "Link": ["Primitives", "System"],
        "Workers": ["System", "Primitives", "Wire", "Engine", "Link"],
        "Programs": ["System", "Primitives", "Wire", "Engine", "Link", "Workers"],
    ]

    static func imports(_ file: SourceFile) -> [(number: Int, module: String)] {
        file.lines.enumerated().compactMap { offset, line in
            guard line.hasPrefix("import ") || line.hasPrefix("@") else { return nil }
            let number = offset + 1, words = SourceFile.blank(line).split(separator: " ")
            guard let at = words.firstIndex(of: "import"), at <= 1, words.count > at + 1 else { return nil }
            return (number, String(words.last!.prefix { $0 != "." }))
        }
    }

    /// Info-hashes are part of what a metainfo file says, keys of what an encrypted handshake says, targets of what a DHT item is; CHash and CCipher are
    /// arithmetic and touch nothing of the system.
    static let exceptions: Set<String> = ["Metainfo CHash", "PeerEncryption CHash", "PeerEncryption CCipher", "KRPC CHash"]

    @Test func importsFollowTheLayers() {
        for file in Package.sources {
            for (number, module) in Self.imports(file) where !Self.exceptions.contains("\(file.target) \(module)") {
                guard let layer = Package.targets[module], layer != file.layer else { continue }
                #expect(Self.arrows[file.layer]!.contains(layer), "\(file.path):\(number): \(file.layer) imports \(module) of \(layer)")
            }
        }
    }

    @Test func workersDoNotImportOneAnother() {
        for file in Package.sources where file.layer == "Workers" && file.target != "WorkerKit" {
            for (number, module) in Self.imports(file) where module != file.target && module != "WorkerKit" {
                #expect(Package.targets[module] != "Workers", "\(file.path):\(number): imports \(module)")
            }
        }
    }

    @Test func foundationStaysOutOfTheDaemon() {
        let allowed: Set = ["SessionWorker", "APIWorker", "Control", "CommandLine", "ccbt", "btbt"]
        for file in Package.sources where !allowed.contains(file.target) {
            for (number, module) in Self.imports(file) {
                #expect(!["Foundation", "FoundationEssentials", "Dispatch"].contains(module), "\(file.path):\(number): imports \(module)")
            }
        }
    }

    /// The supervisor outlives everything: what it links can end everything.
    @Test func supervisorLinksNoParserOfTheNetwork() {
        let banned: Set = ["GRDB", "CCurl", "CHash", "Bencode", "Metainfo", "PeerWire", "TrackerWire", "Swarm", "Discovery", "Catalog", "Pieces", "Control"]
        for file in Package.sources where ["Supervisor", "WorkerKit", "ccbtd"].contains(file.target) {
            for (number, module) in Self.imports(file) { #expect(!banned.contains(module), "\(file.path):\(number): imports \(module)") }
        }
    }

    struct Ban: Sendable {
        /// Part of any text that matches: patterns are slow in a debug build.
        let hint: [String]
        let pattern: String
        let layers: Set<String>
        let instead: String
    }
    static let bans: [Ban] = [
        Ban(hint: ["print("], pattern: #"(^|[^\w.])print\("#, layers: ["System", "Primitives", "Wire", "Engine", "Link", "Workers"], instead: "Log, or an effect"),
        Ban(hint: ["Date()"], pattern: #"\bDate\(\)"#, layers: ["System", "Primitives", "Wire", "Engine", "Link", "Workers"], instead: "now, which comes with the event"),
        Ban(hint: ["Task.sleep"], pattern: #"\bTask\.sleep"#, layers: Set(Package.layers), instead: "a deadline of the loop"),
        Ban(hint: ["try!"], pattern: #"\btry!"#, layers: Set(Package.layers), instead: "do and catch"),
        Ban(
            hint: ["SystemRandom", ".random(", ".shuffled(", ".randomElement("], pattern: #"\bSystemRandomNumberGenerator\b|\.random\(in:|\.shuffled\(\)|\.randomElement\(\)"#,
            layers: ["Primitives", "Wire", "Engine"],
            instead: "the SeededRandom that is passed in"),
        Ban(
            hint: ["clock_gettime", "gettimeofday", "Clock"], pattern: #"\b(clock_gettime|gettimeofday|ContinuousClock|SuspendingClock|Clock\.monotonic)\b"#, layers: ["Primitives", "Wire", "Engine"],
            instead: "now, which comes with the event"),
        Ban(hint: ["public "], pattern: #"^\s*public "#, layers: Set(Package.layers).subtracting(["Programs"]), instead: "package"),
    ]

    @Test func bannedCallsAreNotMade() throws {
        for ban in Self.bans {
            let pattern = try Regex(ban.pattern)
            for file in Package.sources where ban.layers.contains(file.layer) && file.holds(any: ban.hint) {
                // The command line draws on a terminal.
                if file.target == "CommandLine" { continue }
                // HTTP lives on NIO's tasks, not on a loop of ours.
                if file.target == "APIWorker", ban.hint == ["Task.sleep"] { continue }
                for (number, text) in file.code where text.contains(pattern) {
                    Issue.record("\(file.path):\(number): \(text.trimmingCharacters(in: .whitespaces)); use \(ban.instead)")
                }
            }
        }
    }

    @Test func filesStayReadable() {
        for file in Package.files where file.path.hasPrefix("Sources/") && !file.isGenerated && (file.isSwift || file.path.hasSuffix(".c")) {
            #expect(file.lines.count <= 800, "\(file.path) has \(file.lines.count) lines: split it by stage of the flow")
        }
    }

    @Test func nothingIsLeftOver() throws {
        // Written apart, so that this file does not hold them.
        let words = ["FIX" + "ME", "TO" + "DO", "XX" + "X"]
        let pattern = try Regex(#"\b("# + words.joined(separator: "|") + #")\b"#)
        let folders = ["work", "tmp/cc", "opt", "root", "home"].map { "/" + $0 + "/" }
        let machine = try Regex(#"(^|[\s"'`(=:])("# + folders.joined(separator: "|") + ")")
        for file in Package.files where file.holds(any: words + folders) {
            for (number, line) in file.lines.enumerated() {
                if line.contains(pattern) { Issue.record("\(file.path):\(number + 1): leftover") }
                if line.contains(machine) { Issue.record("\(file.path):\(number + 1): a path of one machine") }
            }
        }
    }

    /// The scanner itself: what it must and must not see.
    @Test func blankingKeepsCodeOnly() {
        #expect(SourceFile.blank(#"let a = "print(1)" // print(2)"#) == #"let a = "        " "#)
        #expect(SourceFile.blank(#"let a = "\"//" + b"#) == #"let a = "    " + b"#)
        #expect(Self.imports(SourceFile(path: "", text: "@testable import A\n// import B\nimport struct C.D\nimport E")).map(\.module) == ["A", "C", "E"])
    }
}
