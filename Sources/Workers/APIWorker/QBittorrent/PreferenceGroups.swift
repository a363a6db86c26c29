import Foundation
import Limits
import Primitives

/// Keys of `app/preferences` that several options, or a part of one, stand for.
extension Preferences {
    /// `write` gives what an object of `setPreferences` changes; keys that are absent stay.
    struct Group: Sendable {
        let read: @Sendable (Options) -> [(String, FieldValue)]
        let write: @Sendable (_ object: [String: Any], _ now: Options) throws(Refusal) -> [Change]
    }

    static let groups = [incomplete, encryption, transports, proxy, schedule, programs, filterFile, mail, interface, listening, ports]

    private static func text(_ options: Options, _ key: String) -> String { options[key] ?? "" }

    /// A folder, and an ending of names, until everything is there.
    private static let incomplete = Group(
        read: { o in
            [
                ("temp_path", .text(text(o, "disk.incomplete_dir"))), ("temp_path_enabled", .flag(!text(o, "disk.incomplete_dir").isEmpty)),
                ("incomplete_files_ext", .flag(!text(o, "disk.incomplete_suffix").isEmpty)),
            ]
        },
        write: { object, o throws(Refusal) in
            var out: [Change] = []
            let now = text(o, "disk.incomplete_dir"), path = object["temp_path"] as? String
            switch flag(object["temp_path_enabled"]) {
            case false?: out.append(("disk.incomplete_dir", ""))
            case true?:
                let folder = path.flatMap { $0.isEmpty ? nil : $0 } ?? now
                out.append(("disk.incomplete_dir", folder.isEmpty ? text(o, "disk.download_dir") + "/temp" : folder))
            // A path alone counts while the folder is in use.
            case nil: if let path, !now.isEmpty { out.append(("disk.incomplete_dir", path)) }
            }
            if let on = flag(object["incomplete_files_ext"]) {
                let suffix = text(o, "disk.incomplete_suffix")
                out.append(("disk.incomplete_suffix", on ? (suffix.isEmpty ? ".part" : suffix) : ""))
            }
            return out
        })

    /// 0 allowed, 1 required, 2 off.
    private static let encryption = Group(
        read: { o in
            let mode = text(o, "security.encryption_mode")
            return [("encryption", .integer(mode == "required" ? 1 : mode == "disabled" ? 2 : 0))]
        },
        write: { object, o throws(Refusal) in
            guard let n = (object["encryption"] as? NSNumber)?.intValue else { return [] }
            guard (0...2).contains(n) else { throw Refusal(.badRequest, "encryption is 0, 1 or 2") }
            let now = text(o, "security.encryption_mode")
            return [("security.encryption_mode", n == 1 ? "required" : n == 2 ? "disabled" : now == "preferred" ? now : "allowed")]
        })

    /// 0 TCP and uTP, 1 TCP, 2 uTP.
    private static let transports = Group(
        read: { o in
            let tcp = text(o, "network.enable_tcp") == "true", utp = text(o, "network.enable_utp") == "true"
            return [("bittorrent_protocol", .integer(tcp && utp ? 0 : tcp ? 1 : 2))]
        },
        write: { object, _ throws(Refusal) in
            guard let n = (object["bittorrent_protocol"] as? NSNumber)?.intValue else { return [] }
            guard (0...2).contains(n) else { throw Refusal(.badRequest, "bittorrent_protocol is 0, 1 or 2") }
            return [("network.enable_tcp", n == 2 ? "false" : "true"), ("network.enable_utp", n == 1 ? "false" : "true")]
        })

    private static let proxy = Group(
        read: { o in
            let on = text(o, "proxy.enable_proxy") == "true", type = text(o, "proxy.proxy_type")
            return [("proxy_type", .text(on ? (type == "http" ? "HTTP" : "SOCKS5") : "None")), ("proxy_auth_enabled", .flag(!text(o, "proxy.proxy_username").isEmpty))]
        },
        write: { object, _ throws(Refusal) in
            var out: [Change] = []
            // Up to 4.5 it was a number.
            let numbers = ["0": "None", "1": "HTTP", "2": "SOCKS5", "3": "HTTP", "4": "SOCKS5", "5": "SOCKS4"]
            if let type = object["proxy_type"] as? String ?? (object["proxy_type"] as? NSNumber).flatMap({ numbers[$0.stringValue] }) {
                switch type.uppercased() {
                case "NONE": out.append(("proxy.enable_proxy", "false"))
                case "SOCKS5", "HTTP": out += [("proxy.enable_proxy", "true"), ("proxy.proxy_type", type.lowercased())]
                default: throw Refusal(.badRequest, "proxy_type is None, SOCKS5 or HTTP")
                }
            }
            if flag(object["proxy_auth_enabled"]) == false { out += [("proxy.proxy_username", ""), ("proxy.proxy_password", "")] }
            return out
        })

    /// The first entry of limits.alt_schedule. Days there: 0 each, 1 Monday to Friday, 2 the weekend, 3 Monday … 9 Sunday.
    private static let schedule = Group(
        read: { o in
            let entry = LimitTimes(options: o)
            return [
                ("scheduler_enabled", .flag(text(o, "limits.alt_mode") == "schedule")), ("schedule_from_hour", .integer(Int64(entry.from / 60))),
                ("schedule_from_min", .integer(Int64(entry.from % 60))), ("schedule_to_hour", .integer(Int64(entry.to / 60 % 24))), ("schedule_to_min", .integer(Int64(entry.to % 60))),
                ("scheduler_days", .integer(Int64(dayMasks.firstIndex(of: entry.days) ?? 0))),
            ]
        },
        write: { object, o throws(Refusal) in
            var out: [Change] = [], entry = LimitTimes(options: o)
            func number(_ key: String, _ range: ClosedRange<Int>) throws(Refusal) -> Int? {
                guard let n = (object[key] as? NSNumber)?.intValue else { return nil }
                guard range.contains(n) else { throw Refusal(.badRequest, "\(key) is \(range.lowerBound) to \(range.upperBound)") }
                return n
            }
            if let h = try number("schedule_from_hour", 0...23) { entry.from = h * 60 + entry.from % 60 }
            if let m = try number("schedule_from_min", 0...59) { entry.from = entry.from / 60 * 60 + m }
            if let h = try number("schedule_to_hour", 0...23) { entry.to = h * 60 + entry.to % 60 }
            if let m = try number("schedule_to_min", 0...59) { entry.to = entry.to / 60 % 24 * 60 + m }
            if let day = try number("scheduler_days", 0...9) { entry.days = dayMasks[day] }
            if entry.text != LimitTimes(options: o).text { out.append(("limits.alt_schedule", entry.text)) }
            if let on = flag(object["scheduler_enabled"]) {
                let now = text(o, "limits.alt_mode")
                if on { out.append(("limits.alt_mode", "schedule")) } else if now == "schedule" { out.append(("limits.alt_mode", "off")) }
                if on, text(o, "limits.alt_schedule").isEmpty { out.append(("limits.alt_schedule", entry.text)) }
            }
            return out
        })
    /// Bit 0 is Monday.
    private static let dayMasks: [UInt8] = [0x7F, 0x1F, 0x60] + (0..<7).map { 1 << $0 }

    /// Programs with their arguments, no shell between.
    private static let programs = Group(
        read: { o in
            let finish = text(o, "hooks.on_finish"), add = text(o, "hooks.on_add")
            return [
                ("autorun_enabled", .flag(!finish.isEmpty)), ("autorun_program", .text(CommandWords.line(finish.split(separator: ",").map(String.init)))),
                ("autorun_on_torrent_added_enabled", .flag(!add.isEmpty)),
                ("autorun_on_torrent_added_program", .text(CommandWords.line(add.split(separator: ",").map(String.init)))),
            ]
        },
        write: { object, o throws(Refusal) in
            var out: [Change] = []
            for (name, option) in [("autorun", "hooks.on_finish"), ("autorun_on_torrent_added", "hooks.on_add")] {
                let enabled = flag(object["\(name)_enabled"])
                if enabled == false { out.append((option, "")) }
                guard enabled != false, let line = object["\(name)_program"] as? String else { continue }
                // A program alone counts while one is set already.
                guard enabled == true || !text(o, option).isEmpty else { continue }
                guard let words = CommandWords.split(line), !words.contains(where: { $0.contains(",") }) else {
                    throw Refusal(.badRequest, "\(name)_program: a quote is open, or a word has a comma, which the option cannot hold")
                }
                out.append((option, words.joined(separator: ",")))
            }
            return out
        })

    private static let filterFile = Group(
        read: { o in [("ip_filter_path", .text(text(o, "security.ip_filter.filter_files").split(separator: ",").first.map(String.init) ?? ""))] },
        write: { object, o throws(Refusal) in
            guard let path = object["ip_filter_path"] as? String else { return [] }
            let rest = text(o, "security.ip_filter.filter_files").split(separator: ",").dropFirst().map(String.init)
            return [("security.ip_filter.filter_files", ((path.isEmpty ? [] : [path]) + rest).joined(separator: ","))]
        })

    private static let mail = Group(
        read: { o in [("mail_notification_auth_enabled", .flag(!text(o, "mail.username").isEmpty))] },
        write: { object, _ throws(Refusal) in
            flag(object["mail_notification_auth_enabled"]) == false ? [("mail.username", ""), ("mail.password", "")] : []
        })

    /// "" is any address.
    private static let interface = Group(
        read: { o in
            let address = text(o, "network.listen_interface")
            return [("current_interface_address", .text(["0.0.0.0", "::"].contains(address) ? "" : address))]
        },
        write: { object, _ throws(Refusal) in
            (object["current_interface_address"] as? String).map { [("network.listen_interface", $0.isEmpty ? "0.0.0.0" : $0)] } ?? []
        })

    /// The first address of api.listen.
    private static let listening = Group(
        read: { o in
            let (address, port) = parts(o)
            return [
                ("web_ui_address", .text(address)), ("web_ui_port", .integer(port)), ("bypass_auth_subnet_whitelist_enabled", .flag(!text(o, "api.bypass_subnets").isEmpty)),
                ("web_ui_host_header_validation_enabled", .flag(!text(o, "api.allowed_hosts").isEmpty)),
                ("web_ui_reverse_proxy_enabled", .flag(!text(o, "api.trusted_proxies").isEmpty)), ("alternative_webui_enabled", .flag(!text(o, "api.alternative_ui").isEmpty)),
                ("use_https", .flag(!text(o, "api.tls_certificate").isEmpty)),
            ]
        },
        write: { object, o throws(Refusal) in
            var out: [Change] = []
            // Switches that are turned off take away what they switched.
            for (key, option) in [
                ("bypass_auth_subnet_whitelist_enabled", "api.bypass_subnets"), ("web_ui_host_header_validation_enabled", "api.allowed_hosts"),
                ("web_ui_reverse_proxy_enabled", "api.trusted_proxies"), ("alternative_webui_enabled", "api.alternative_ui"),
            ] where flag(object[key]) == false { out.append((option, "")) }
            if flag(object["use_https"]) == false { out += [("api.tls_certificate", ""), ("api.tls_key", "")] }
            let (address, port) = parts(o)
            let newAddress = (object["web_ui_address"] as? String).map { ["*", ""].contains($0) ? "0.0.0.0" : $0 } ?? address
            let newPort = (object["web_ui_port"] as? NSNumber)?.int64Value ?? port
            if newAddress != address || newPort != port {
                guard let endpoint = Endpoint(address: newAddress.trimmingCharacters(in: ["[", "]"]), port: UInt16(clamping: newPort)), newPort == Int64(endpoint.port) else {
                    throw Refusal(.badRequest, "web_ui_address and web_ui_port are an IP address and a port")
                }
                let rest = text(o, "api.listen").split(separator: ",").dropFirst().map(String.init)
                out.append(("api.listen", ([endpoint.description] + rest).joined(separator: ",")))
            }
            return out
        })
    private static func parts(_ o: Options) -> (address: String, port: Int64) {
        let listen = text(o, "api.listen").split(separator: ",").first.map(String.init) ?? "", cut = listen.lastIndex(of: ":")
        return (cut.map { String(listen[..<$0]) } ?? "", cut.flatMap { Int64(listen[listen.index(after: $0)...]) } ?? 8080)
    }

    /// Any free port is port 0 with us.
    private static let ports = Group(
        read: { o in [("random_port", .flag(text(o, "network.listen_port") == "0"))] },
        write: { object, _ throws(Refusal) in flag(object["random_port"]) == true ? [("network.listen_port", "0")] : [] })
}

/// The entry of limits.alt_schedule that the compatible APIs know: they have one.
struct LimitTimes {
    /// Bit 0 is Monday.
    var days: UInt8
    /// Minutes from midnight.
    var from: Int
    var to: Int

    /// The first entry; where there is none, what qBittorrent begins with: each day from 8:00 to 20:00.
    init(options: [String: String]) {
        let first = (options["limits.alt_schedule"] ?? "").split(separator: ",").first.map(String.init)
        let entry = first.flatMap { WeekSchedule([$0])?.entries.first }
        (days, from, to) = entry.map { ($0.days, $0.from, $0.to) } ?? (0x7F, 8 * 60, 20 * 60)
    }
    var text: String { WeekSchedule.text(days: days, from: from, to: to) }
}

/// A command line in words and back: quotes and backslashes as a shell has them, and nothing else of a shell.
enum CommandWords {
    /// nil where a quote is not closed.
    static func split(_ line: String) -> [String]? {
        var out: [String] = [], word = "", hasWord = false, quote: Character?, rest = Substring(line)
        while let c = rest.popFirst() {
            if let q = quote {
                if c == q { quote = nil } else if c == "\\", q == "\"", let next = rest.first, "\"\\".contains(next) { word.append(rest.removeFirst()) } else { word.append(c) }
            } else if c == "\"" || c == "'" {
                (quote, hasWord) = (c, true)
            } else if c == "\\", let next = rest.popFirst() {
                word.append(next)
                hasWord = true
            } else if c.isWhitespace {
                if hasWord { out.append(word) }
                (word, hasWord) = ("", false)
            } else {
                word.append(c)
                hasWord = true
            }
        }
        if hasWord { out.append(word) }
        return quote == nil ? out : nil
    }
    static func line(_ words: [String]) -> String {
        words.map { word in
            guard word.isEmpty || word.contains(where: { $0.isWhitespace || "\"'\\".contains($0) }) else { return word }
            return "\"" + word.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"") + "\""
        }.joined(separator: " ")
    }
}
