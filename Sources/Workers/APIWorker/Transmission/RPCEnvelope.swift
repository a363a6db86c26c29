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
    private let tag: Any?
    private let id: Any?

    /// JSON deeper than this is refused unread.
    static let depthLimit = 16

    init(_ body: [UInt8]) throws(Refusal) {
        guard Self.isShallow(body), let object = (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] else {
            throw Refusal(.badRequest, "no JSON object")
        }
        isJSONRPC = object["jsonrpc"] != nil
        tag = object["tag"]
        id = object["id"]
        method = (object["method"] as? String ?? "").replacingOccurrences(of: "_", with: "-")
        let given = (object[isJSONRPC ? "params" : "arguments"] as? [String: Any]) ?? [:]
        arguments = Dictionary(given.map { (Self.legacyArgument($0.key), $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    /// A JSON-RPC request without an id wants no answer.
    var isNotification: Bool { isJSONRPC && id == nil }

    func success(_ result: [String: Any]) -> [UInt8] {
        guard isJSONRPC else { return encode(["result": "success", "arguments": result]) }
        return encode(["jsonrpc": "2.0", "result": Self.snakeCase(result), "id": id ?? NSNull()])
    }
    func failure(_ text: String) -> [UInt8] {
        guard isJSONRPC else { return encode(["result": text, "arguments": [String: Any]()]) }
        return encode(["jsonrpc": "2.0", "error": ["code": -32_000, "message": text] as [String: Any], "id": id ?? NSNull()])
    }
    private func encode(_ object: [String: Any]) -> [UInt8] {
        var object = object
        if !isJSONRPC, let tag { object["tag"] = tag }
        guard let data = try? JSONSerialization.data(withJSONObject: object, options: [.withoutEscapingSlashes]) else { return Array("{\"result\":\"no answer\"}".utf8) }
        return [UInt8](data)
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
    private static func snakeCase(_ value: Any) -> Any {
        if let object = value as? [String: Any] { return Dictionary(object.map { (snake($0.key), snakeCase($0.value)) }, uniquingKeysWith: { first, _ in first }) }
        if let list = value as? [Any] { return list.map { snakeCase($0) } }
        return value
    }
    /// Arguments that the legacy form writes with a dash.
    private static let dashedArguments: Set<String> = [
        "download-dir", "delete-local-data", "peer-limit", "files-wanted", "files-unwanted", "priority-high", "priority-low", "priority-normal", "bandwidth-group",
        "sequential-download", "alt-speed-down", "alt-speed-up", "alt-speed-enabled", "alt-speed-time-enabled", "speed-limit-down", "speed-limit-up",
        "speed-limit-down-enabled", "speed-limit-up-enabled", "download-queue-enabled", "download-queue-size", "seed-queue-enabled", "seed-queue-size",
        "dht-enabled", "pex-enabled", "lpd-enabled", "utp-enabled", "peer-limit-global", "peer-limit-per-torrent", "peer-port", "start-added-torrents",
        "idle-seeding-limit", "idle-seeding-limit-enabled", "ip-protocol",
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
