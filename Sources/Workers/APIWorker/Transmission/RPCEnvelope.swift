import Control
import Foundation

/// A request of Transmission's RPC in either of its forms, and the answer in the same.
///
/// Legacy: `{"method":"torrent-get","arguments":{…},"tag":7}` with kebab-case and camelCase names. Since 4.1 there is JSON-RPC 2.0
/// beside it: `{"jsonrpc":"2.0","method":"torrent_get","params":{…},"id":7}` with snake_case names. Inside, everything has the
/// legacy names; this is the one place that translates.
struct RPCEnvelope {
    let method: String
    let arguments: [String: Any]
    private let isJSONRPC: Bool
    /// As they are to be repeated; nil when absent.
    private let tag: [UInt8]?
    private let id: [UInt8]?

    /// JSON deeper than this is refused unread.
    static let depthLimit = 16

    init(_ body: [UInt8]) throws(Refusal) {
        guard Self.isShallow(body), let object = (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] else {
            throw Refusal(.badRequest, "no JSON object")
        }
        isJSONRPC = object["jsonrpc"] != nil
        tag = object["tag"].flatMap(Self.scalar)
        id = object["id"].flatMap(Self.scalar)
        method = (object["method"] as? String ?? "").replacingOccurrences(of: "_", with: "-")
        let given = (object[isJSONRPC ? "params" : "arguments"] as? [String: Any]) ?? [:]
        arguments = Dictionary(given.map { (Self.legacyArgument($0.key), $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    /// A JSON-RPC request without an id wants no answer.
    var isNotification: Bool { isJSONRPC && id == nil }

    func success(_ result: [String: Any]) -> [UInt8] {
        encode { json in
            if !isJSONRPC { json.field("result", "success") }
            json.key(isJSONRPC ? "result" : "arguments")
            RPCValue(snake: isJSONRPC).append(result, to: &json)
        }
    }
    /// `code` as JSON-RPC 2.0 has it; the legacy form knows only the text.
    func failure(_ text: String, code: Int) -> [UInt8] {
        encode { json in
            if isJSONRPC {
                json.object("error") { json in
                    json.field("code", code)
                    json.field("message", text)
                }
            } else {
                json.field("result", text)
                json.object("arguments") { _ in }
            }
        }
    }
    struct UnknownMethod: Error {}

    private func encode(_ body: (inout JSONBytes) -> Void) -> [UInt8] {
        JSONBytes.object { json in
            if isJSONRPC { json.field("jsonrpc", "2.0") }
            body(&json)
            if isJSONRPC {
                json.key("id")
                json.raw(id ?? Array("null".utf8))
            } else if let tag {
                json.key("tag")
                json.raw(tag)
            }
        }
    }

    /// A tag or an id: a number, a text or null; anything else is none.
    private static func scalar(_ value: Any) -> [UInt8]? {
        guard value is String || value is NSNumber || value is NSNull else { return nil }
        return (try? JSONSerialization.data(withJSONObject: value, options: [.fragmentsAllowed, .withoutEscapingSlashes])).map { [UInt8]($0) }
    }

    // MARK: names

    /// `download_dir` and `downloadDir` are `download-dir` where the legacy form has a dash, and camelCase elsewhere.
    static func legacyArgument(_ name: String) -> String {
        guard name.contains("_") else { return name }
        let dashed = name.replacingOccurrences(of: "_", with: "-")
        return dashedArguments.contains(dashed) ? dashed : camel(name)
    }
    static func camel(_ name: String) -> String {
        let words = name.split(whereSeparator: { $0 == "_" || $0 == "-" })
        return words.enumerated().map { $0.offset == 0 ? String($0.element) : $0.element.prefix(1).uppercased() + $0.element.dropFirst() }.joined()
    }
    static func snake(_ name: String) -> String {
        var out = ""
        for c in name {
            if c == "-" { out.append("_") } else if c.isUppercase { out += "_\(c.lowercased())" } else { out.append(c) }
        }
        return out
    }
    /// Arguments that the legacy form writes with a dash.
    private static let dashedArguments: Set<String> = [
        "download-dir", "delete-local-data", "peer-limit", "files-wanted", "files-unwanted", "priority-high", "priority-low", "priority-normal", "bandwidth-group",
        "sequential-download", "alt-speed-down", "alt-speed-up", "alt-speed-enabled", "alt-speed-time-enabled", "speed-limit-down", "speed-limit-up",
        "speed-limit-down-enabled", "speed-limit-up-enabled", "download-queue-enabled", "download-queue-size", "seed-queue-enabled", "seed-queue-size",
        "dht-enabled", "pex-enabled", "lpd-enabled", "utp-enabled", "peer-limit-global", "peer-limit-per-torrent", "peer-port", "start-added-torrents",
        "idle-seeding-limit", "idle-seeding-limit-enabled", "ip-protocol", "incomplete-dir", "incomplete-dir-enabled", "blocklist-enabled", "blocklist-url",
        "alt-speed-time-begin", "alt-speed-time-end", "alt-speed-time-day", "rename-partial-files", "script-torrent-done-enabled", "script-torrent-done-filename",
        "script-torrent-added-enabled", "script-torrent-added-filename", "queue-stalled-enabled", "queue-stalled-minutes", "cache-size-mb", "peer-port-random-on-start",
    ]

    static func isShallow(_ bytes: [UInt8]) -> Bool {
        var depth = 0, inString = false, escaped = false
        for byte in bytes {
            if inString {
                if escaped { escaped = false } else if byte == 0x5C { escaped = true } else if byte == 0x22 { inString = false }
                continue
            }
            switch byte {
            case 0x22: inString = true
            case 0x5B, 0x7B:
                depth += 1
                if depth > depthLimit { return false }
            case 0x5D, 0x7D: depth -= 1
            default: break
            }
        }
        return true
    }
}

/// The rows of torrent-get: objects, or a line of names and a line for each torrent.
struct RPCRows {
    let rows: [TransmissionFields]
    /// Legacy names, each once.
    let columns: [String]
    let isTable: Bool
}

/// An answer's value as JSON. Foundation's serialiser takes some twenty times as long for a table of torrents.
struct RPCValue {
    /// Names as JSON-RPC 2.0 has them.
    let snake: Bool

    func append(_ value: Any, to json: inout JSONBytes) {
        switch value {
        case let rows as RPCRows: append(rows, to: &json)
        case let text as String: json.value(.text(text))
        case let flag as Bool: json.value(.flag(flag))
        case let n as Int: json.value(.integer(Int64(n)))
        case let d as Double: json.value(.number(d))
        case let list as [Any]:
            json.open("[")
            for value in list { append(value, to: &json) }
            json.close("]")
        case let object as [String: Any]:
            json.open()
            for (key, value) in object.sorted(by: { $0.key < $1.key }) {
                json.key(snake ? RPCEnvelope.snake(key) : key)
                append(value, to: &json)
            }
            json.close()
        case let n as any BinaryInteger: json.value(.integer(Int64(clamping: n)))
        default: json.value(.null)
        }
    }

    private func append(_ table: RPCRows, to json: inout JSONBytes) {
        let names = table.columns.map { snake ? RPCEnvelope.snake($0) : $0 }
        json.open("[")
        if table.isTable {
            // A name that is none is in no row: the first one tells.
            let known = table.columns.indices.filter { i in table.rows.first.map { $0.value(table.columns[i]) != nil } ?? true }
            json.open("[")
            for i in known { json.value(.text(names[i])) }
            json.close("]")
            for row in table.rows {
                json.open("[")
                for i in known { append(row.value(table.columns[i]) ?? NSNull(), to: &json) }
                json.close("]")
            }
        } else {
            let keys = names.map { name in
                var out: [UInt8] = []
                JSONObject.append(name, to: &out)
                return out + [UInt8(ascii: ":")]
            }
            for row in table.rows {
                json.open()
                for (i, column) in table.columns.enumerated() {
                    guard let value = row.value(column) else { continue }
                    json.key(quoted: keys[i])
                    append(value, to: &json)
                }
                json.close()
            }
        }
        json.close("]")
    }
}
