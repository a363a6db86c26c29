import Limits
import Primitives

extension Option {
    /// Raw value to allowed value.
    package func read(_ raw: RawValue) -> Result<OptionValue, SettingsError.Problem> {
        switch typed(raw) {
        case .failure(let problem): return .failure(problem)
        case .success(let value): return within(value)
        }
    }

    private func typed(_ raw: RawValue) -> Result<OptionValue, SettingsError.Problem> {
        let wrong = Result<OptionValue, SettingsError.Problem>.failure(.wrongType(expected: kind.noun, found: found(raw)))
        switch (kind, raw) {
        case (.integer, .integer(let n)): return .success(.integer(n))
        case (.integer, .untyped(let s)): return Int(s).map { .success(.integer($0)) } ?? wrong
        case (.number, .integer(let n)), (.seconds, .integer(let n)): return .success(.number(Double(n)))
        case (.number, .number(let d)), (.seconds, .number(let d)): return d.isFinite ? .success(.number(d)) : wrong
        case (.number, .untyped(let s)), (.seconds, .untyped(let s)):
            guard let d = Double(s), d.isFinite else { return wrong }
            return .success(.number(d))
        case (.boolean, .boolean(let b)): return .success(.boolean(b))
        case (.boolean, .untyped(let s)):
            switch s.lowercased() {
            case "true", "1", "yes", "on": return .success(.boolean(true))
            case "false", "0", "no", "off": return .success(.boolean(false))
            default: return wrong
            }
        case (.choice, .text(let s)), (.choice, .untyped(let s)): return .success(.text(s.lowercased()))
        case (.text, .text(let s)), (.text, .untyped(let s)): return .success(.text(s))
        case (.address, .text(let s)), (.address, .untyped(let s)): return .success(.text(s))
        case (.path, .text(let s)), (.path, .untyped(let s)): return .success(.text(s))
        case (.list, .untyped(let s)), (.groups, .untyped(let s)), (.schedule, .untyped(let s)):
            return .success(.list(s.split(separator: ",").map { String($0).trimmingSpaces }))
        case (.list, .list(let items)), (.groups, .list(let items)), (.schedule, .list(let items)):
            var out: [String] = []
            for item in items {
                guard case .text(let s) = item else { return wrong }
                out.append(s)
            }
            return .success(.list(out))
        default: return wrong
        }
    }

    private func found(_ raw: RawValue) -> String {
        if case .untyped(let s) = raw { return "\"\(printable(s))\"" }
        return raw.noun
    }

    private func within(_ value: OptionValue) -> Result<OptionValue, SettingsError.Problem> {
        switch (kind, value) {
        case (.integer(let range), .integer(let n)) where !range.contains(n):
            return .failure(.outOfRange(value: value.text, limits: kind.limits))
        case (.number(let range), .number(let d)) where !range.contains(d), (.seconds(let range), .number(let d)) where !range.contains(d):
            return .failure(.outOfRange(value: value.text, limits: kind.limits))
        case (.choice(let words), .text(let s)) where !words.contains(s):
            return .failure(.notAllowed(value: s, allowed: kind.limits))
        case (.text(let limit), .text(let s)):
            if s.utf8.count > limit { return .failure(.outOfRange(value: "\(s.utf8.count) bytes", limits: kind.limits)) }
            if s.hasControlCharacter { return .failure(.badText(reason: "control characters are not allowed")) }
        case (.address, .text(let s)) where Endpoint(address: s, port: 0) == nil || s.hasPrefix("["):
            return .failure(.badText(reason: "\"\(printable(s))\" is not an IP address"))
        case (.path, .text(let s)):
            if !s.isEmpty, !s.hasPrefix("/") { return .failure(.badText(reason: "\"\(printable(s))\" is not an absolute path")) }
            // PATH_MAX of Linux, its closing NUL counted.
            if s.utf8.count > 4095 { return .failure(.outOfRange(value: "\(s.utf8.count) bytes", limits: "at most 4095 bytes")) }
            if s.hasControlCharacter { return .failure(.badText(reason: "control characters are not allowed")) }
        case (.list(let limit), .list(let items)):
            if items.count > limit { return .failure(.outOfRange(value: "\(items.count) entries", limits: kind.limits)) }
            // The comma parts entries in the environment and in frames.
            if items.contains(where: { $0.hasControlCharacter || $0.utf8.contains(UInt8(ascii: ",")) }) {
                return .failure(.badText(reason: "commas and control characters are not allowed in an entry"))
            }
        case (.groups, .list(let items)):
            if items.count > LimitGroup.maximumCount { return .failure(.outOfRange(value: "\(items.count) entries", limits: kind.limits)) }
            if let wrong = items.first(where: { LimitGroup($0) == nil }) {
                return .failure(.badText(reason: "\"\(printable(wrong))\" is not name:down:up with rates in KiB/s"))
            }
            if Set(items.map { LimitGroup($0)!.name }).count < items.count { return .failure(.badText(reason: "a group stands there twice")) }
        case (.schedule, .list(let items)):
            if items.count > WeekSchedule.maximumCount { return .failure(.outOfRange(value: "\(items.count) entries", limits: kind.limits)) }
            if let wrong = items.first(where: { WeekSchedule([$0]) == nil }) {
                return .failure(.badText(reason: "\"\(printable(wrong))\" is not a time of the week, as mon-fri 22:00-06:00 or daily 1:00-7:30"))
            }
        default: break
        }
        return .success(value)
    }
}

extension String {
    fileprivate var hasControlCharacter: Bool { utf8.contains { $0 < 0x20 || $0 == 0x7F } }
    fileprivate var trimmingSpaces: String {
        var view = Substring(self)
        while view.first == " " { view.removeFirst() }
        while view.last == " " { view.removeLast() }
        return String(view)
    }
}
