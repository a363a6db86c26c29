import Limits
import Primitives

/// What an option may hold. The limits are part of the type: a value that exists is a value that is allowed.
package enum OptionKind: Hashable, Sendable {
    case integer(ClosedRange<Int>)
    /// A decimal number.
    case number(ClosedRange<Double>)
    /// Seconds, fractions allowed.
    case seconds(ClosedRange<Double>)
    case boolean
    /// One of these words; case does not matter when read.
    case choice([String])
    /// At most so many UTF-8 bytes, no control characters.
    case text(maximumBytes: Int)
    /// An IPv4 or IPv6 address literal.
    case address
    /// An absolute path, or empty.
    case path
    /// At most so many texts.
    case list(maximumCount: Int)
    /// A list of ``LimitGroup``s, no name twice.
    case groups
    /// A list of entries of a ``WeekSchedule``.
    case schedule

    /// "an integer", for messages.
    package var noun: String {
        switch self {
        case .integer: "an integer"
        case .number: "a number"
        case .seconds: "a number of seconds"
        case .boolean: "true or false"
        case .choice: "a word"
        case .text: "a text"
        case .address: "an IP address"
        case .path: "an absolute path"
        case .list: "a list of texts"
        case .groups: "a list of groups"
        case .schedule: "a list of times"
        }
    }

    /// "1..10000", "none | sparse | full"; empty when everything of the type is allowed.
    package var limits: String {
        switch self {
        case .integer(let range): "\(range.lowerBound)..\(range.upperBound)"
        case .number(let range), .seconds(let range): "\(decimal(range.lowerBound))..\(decimal(range.upperBound))"
        case .choice(let words): words.joined(separator: " | ")
        case .text(let n): "at most \(n) bytes"
        case .list(let n): "at most \(n) entries"
        case .groups: "at most \(LimitGroup.maximumCount) of name:down:up"
        case .schedule: "at most \(WeekSchedule.maximumCount) of mon-fri 22:00-06:00"
        case .boolean, .address, .path: ""
        }
    }
}

/// A resolved value.
package enum OptionValue: Hashable, Sendable {
    case integer(Int)
    case number(Double)
    case boolean(Bool)
    case text(String)
    case list([String])

    /// The form of ``Settings/pairs``: what ``Option/parse(text:)`` reads back. Lists are joined by commas.
    package var text: String {
        switch self {
        case .integer(let n): String(n)
        case .number(let d): decimal(d)
        case .boolean(let b): b ? "true" : "false"
        case .text(let s): s
        case .list(let items): items.joined(separator: ",")
        }
    }
}

/// A value as a configuration source gave it, before its type is known to fit.
package enum RawValue: Hashable, Sendable {
    case integer(Int)
    case number(Double)
    case boolean(Bool)
    /// A quoted text of a file.
    case text(String)
    case list([RawValue])
    /// From the environment, a command line or a frame: every type is written as text there.
    case untyped(String)

    var noun: String {
        switch self {
        case .integer: "an integer"
        case .number: "a number"
        case .boolean: "a truth value"
        case .text: "a text"
        case .list: "a list"
        case .untyped: "a text"
        }
    }
}

/// One row of ``OptionTable``.
package struct Option: Hashable, Sendable {
    /// "section.key", as in the file.
    package let key: String
    package let kind: OptionKind
    package let standard: OptionValue
    /// One line for the sample configuration and `settings show`.
    package let doc: String
    /// True when only a restart of the daemon applies a change; false when a running session takes it.
    package let needsRestart: Bool

    /// A password: set, and never shown, listed or logged.
    package var isSecret: Bool { ["password", "password_hash"].contains { name == $0 || name.hasSuffix("_" + $0) } }
    /// In place of a secret.
    package static let hidden = "********"

    package var section: String { String(key.prefix { $0 != "." }) }
    package var name: String { String(key.drop { $0 != "." }.dropFirst()) }
    /// "CCBT_NETWORK_LISTEN_PORT".
    package var environmentName: String {
        "CCBT_" + String(decoding: key.utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 }, as: UTF8.self).uppercased()
    }
}

/// Shortest usual form: "5", "0.95".
func decimal(_ d: Double) -> String {
    d == d.rounded() && abs(d) < 1e15 ? String(Int(d)) : "\(d)"
}
