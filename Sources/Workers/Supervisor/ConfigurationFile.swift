import Glibc
import LinuxIO
import Primitives
import Settings
import Supervision
import TOMLKit

/// Why the daemon does not start; one line for a person.
package struct StartError: Error, Equatable, CustomStringConvertible {
    package let description: String
    /// Whether other words can help, or only another state of the machine.
    package let code: ExitCode
    package init(_ description: String, code: ExitCode = .configuration) { (self.description, self.code) = (description, code) }
}

/// The TOML file, as a layer of settings with the line of each entry.
package enum ConfigurationFile {
    /// Every option with comments is under 20 KiB; a file of a megabyte is not a configuration.
    static let byteLimit = 1 << 20

    package static func read(_ path: String) throws(StartError) -> SettingsLayer {
        let fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard fd >= 0 else { throw StartError("\(path): \(Errno.current)") }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: byteLimit + 1), count = 0
        while count < bytes.count {
            let n = bytes.withUnsafeMutableBytes { Glibc.read(fd, $0.baseAddress! + count, $0.count - count) }
            if n < 0, errno == EINTR { continue }
            guard n >= 0 else { throw StartError("\(path): \(Errno.current)") }
            if n == 0 { break }
            count += n
        }
        guard count <= byteLimit else { throw StartError("\(path): over \(byteLimit) bytes") }
        guard let text = String(validating: bytes[0..<count], as: UTF8.self), !text.utf8.contains(0) else {
            throw StartError("\(path): not UTF-8 text")
        }
        return try parse(text, path: path)
    }

    package static func parse(_ text: String, path: String) throws(StartError) -> SettingsLayer {
        let root: TOMLTable
        do {
            root = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw StartError("\(path):\(error.source.begin.line): \(error.description)")
        } catch {
            throw StartError("\(path): \(error)")
        }
        let lines = KeyLines(text)
        var layer = SettingsLayer()
        for (section, value) in root {
            guard let table = value.table else {
                layer.entries.append(.init(key: section, value: raw(value), place: "\(path):\(lines.line(of: section))"))
                continue
            }
            for (name, value) in table {
                let key = "\(section).\(name)"
                // [security.ip_filter], or ip_filter.filter_mode = … in its section.
                if let inner = value.table, OptionTable.all.contains(where: { $0.key.hasPrefix(key + ".") }) {
                    for (name, value) in inner {
                        let key = "\(key).\(name)"
                        layer.entries.append(.init(key: key, value: raw(value), place: "\(path):\(lines.line(of: key))"))
                    }
                    continue
                }
                layer.entries.append(.init(key: key, value: raw(value), place: "\(path):\(lines.line(of: key))"))
            }
            if table.count == 0, !OptionTable.sections.contains(section) {
                layer.entries.append(.init(key: section, value: .text(""), place: "\(path):\(lines.line(of: section))"))
            }
        }
        // In the order of the file, so that the first wrong line is the one that is told.
        layer.entries.sort { (line($0.place), $0.key) < (line($1.place), $1.key) }
        return layer
    }

    private static func line(_ place: String) -> Int { Int(place.split(separator: ":").last ?? "") ?? 0 }

    /// A table or a date where an option wants a value becomes an empty list, which no option but a list takes.
    private static func raw(_ value: any TOMLValueConvertible) -> RawValue {
        switch value.type {
        case .bool: .boolean(value.bool ?? false)
        case .int: .integer(value.int ?? 0)
        case .double: .number(value.double ?? .nan)
        case .string: .text(value.string ?? "")
        case .array: .list((value.array.map { Array($0) } ?? []).map { raw($0) })
        case .table, .date, .time, .dateTime: .list([.list([])])
        }
    }
}

/// On which line a key stands. The parser keeps no positions, so the text is scanned: section headers, bare and quoted
/// keys, dotted keys at the top; lines inside a multi-line text or list are passed over.
struct KeyLines {
    private var lines: [String: Int] = [:]

    init(_ text: String) {
        var section = "", number = 0, openBrackets = 0
        var closing: String?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            number += 1
            if let quote = closing {
                if line.contains(quote) { closing = nil }
                continue
            }
            let words = line.drop { $0 == " " || $0 == "\t" }
            if openBrackets > 0 {
                openBrackets += Self.bracketBalance(words)
                continue
            }
            guard let first = words.first, first != "#" else { continue }
            if first == "[" {
                section = Self.key(words.drop { $0 == "[" }.prefix { $0 != "]" })
                note(section, number)
                continue
            }
            guard let equals = words.firstIndex(of: "=") else { continue }
            let name = Self.key(words[..<equals]), value = words[words.index(after: equals)...]
            note(section.isEmpty ? name : "\(section).\(name)", number)
            for quote in ["\"\"\"", "'''"] where value.ranges(of: quote).count == 1 { closing = quote }
            if closing == nil { openBrackets = max(0, Self.bracketBalance(value)) }
        }
    }

    /// The last line where it is not found: the end of the file is nearer to the truth than its begin.
    func line(of key: String) -> Int {
        if let line = lines[key] { return line }
        // An inline table, `network = { listen_port = 1 }`: the line of its section.
        return lines[String(key.prefix { $0 != "." })] ?? 1
    }

    private mutating func note(_ key: String, _ line: Int) { if lines[key] == nil { lines[key] = line } }

    /// `network . "listen_port"` is network.listen_port.
    private static func key(_ text: some StringProtocol) -> String {
        String(text.filter { !" \t\"'\r".contains($0) })
    }

    /// Brackets opened and not closed, outside quotes and before a comment.
    private static func bracketBalance(_ text: some StringProtocol) -> Int {
        var balance = 0
        var quote: Character?
        for c in text {
            if let q = quote {
                if c == q { quote = nil }
            } else if c == "\"" || c == "'" {
                quote = c
            } else if c == "#" {
                break
            } else if c == "[" {
                balance += 1
            } else if c == "]" {
                balance -= 1
            }
        }
        return balance
    }
}
