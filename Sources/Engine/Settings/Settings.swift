import Primitives

/// The resolved options of a run: one value for each row of ``OptionTable``, every one within its limits.
/// Pure: who reads files and the environment makes ``SettingsLayer``s of them.
package struct Settings: Hashable, Sendable {
    private var values: [String: OptionValue]

    /// The defaults.
    package init() {
        values = Dictionary(uniqueKeysWithValues: OptionTable.all.map { ($0.key, $0.standard) })
    }

    /// Later layers win. The first wrong entry, in the order of the layers, is thrown.
    package static func resolve(_ layers: [SettingsLayer]) throws(SettingsError) -> Settings {
        var settings = Settings()
        for layer in layers {
            for entry in layer.entries { try settings.set(entry.key, entry.value, place: entry.place) }
        }
        return settings
    }

    /// What ``pairs`` wrote, as it comes in a Configure frame. Keys that are missing keep their defaults.
    package init(pairs: [(String, String)]) throws(SettingsError) {
        self.init()
        for (key, value) in pairs { try set(key, .untyped(value), place: "") }
    }

    /// Every option in the table's order.
    package var pairs: [(String, String)] { OptionTable.all.map { ($0.key, values[$0.key]!.text) } }

    /// The same for eyes: of a secret only whether there is one.
    package var shownPairs: [(String, String)] { OptionTable.all.map { ($0.key, shown($0)) } }
    package func shown(_ option: Option) -> String {
        let text = values[option.key]!.text
        return option.isSecret && !text.isEmpty ? Option.hidden : text
    }

    package mutating func set(_ key: String, _ raw: RawValue, place: String = "") throws(SettingsError) {
        guard let option = OptionTable.find(key) else {
            throw SettingsError(place: place, key: key, problem: .unknownKey(nearest: OptionTable.nearest(to: key)))
        }
        switch option.read(raw) {
        case .success(let value): values[key] = value
        case .failure(let problem): throw SettingsError(place: place, key: key, problem: problem)
        }
    }
    /// Back to the default. Needs a known key.
    package mutating func reset(_ key: String) { values[key] = row(key).standard }

    // Reading a key that is not in the table, or as another type, is a bug of ours.

    package func int(_ key: String) -> Int {
        guard case .integer(let n) = value(key) else { preconditionFailure("\(key) is not an integer") }
        return n
    }
    package func number(_ key: String) -> Double {
        guard case .number(let d) = value(key) else { preconditionFailure("\(key) is not a number") }
        return d
    }
    package func seconds(_ key: String) -> TimeSpan { .seconds(number(key)) }
    package func bool(_ key: String) -> Bool {
        guard case .boolean(let b) = value(key) else { preconditionFailure("\(key) is not a truth value") }
        return b
    }
    /// A text, path, address or chosen word (in lower case).
    package func string(_ key: String) -> String {
        guard case .text(let s) = value(key) else { preconditionFailure("\(key) is not a text") }
        return s
    }
    package func list(_ key: String) -> [String] {
        guard case .list(let items) = value(key) else { preconditionFailure("\(key) is not a list") }
        return items
    }
    package func value(_ key: String) -> OptionValue {
        guard let value = values[key] else { preconditionFailure("no option \(key)") }
        return value
    }

    /// Keys whose values differ, in the table's order.
    package func differences(from other: Settings) -> [String] {
        OptionTable.all.map(\.key).filter { values[$0] != other.values[$0] }
    }

    private func row(_ key: String) -> Option {
        guard let option = OptionTable.find(key) else { preconditionFailure("no option \(key)") }
        return option
    }
}

/// One source of settings: a file, the environment, a command line.
package struct SettingsLayer: Hashable, Sendable {
    package struct Entry: Hashable, Sendable {
        package let key: String
        package let value: RawValue
        /// Where it stands, for messages: "ccbt.toml:12", "CCBT_NETWORK_LISTEN_PORT", "--listen".
        package let place: String
        package init(key: String, value: RawValue, place: String) {
            (self.key, self.value, self.place) = (key, value, place)
        }
    }
    package var entries: [Entry]
    package init(_ entries: [Entry] = []) { self.entries = entries }

    /// The variables that name options. A `CCBT_` variable that begins with a section's name but names no option
    /// of it is a slip and becomes an entry that ``Settings/resolve(_:)`` refuses; other `CCBT_` names are not options.
    package static func environment(_ variables: [(String, String)]) -> SettingsLayer {
        var layer = SettingsLayer()
        for (name, value) in variables.sorted(by: { $0.0 < $1.0 }) where name.hasPrefix("CCBT_") {
            if let option = OptionTable.find(environment: name) {
                layer.entries.append(Entry(key: option.key, value: .untyped(value), place: name))
            } else {
                let rest = name.dropFirst(5).lowercased()
                guard let section = OptionTable.sections.first(where: { rest.hasPrefix($0 + "_") }) else { continue }
                let key = section + "." + rest.dropFirst(section.count + 1)
                layer.entries.append(Entry(key: key, value: .untyped(value), place: name))
            }
        }
        return layer
    }
}

/// Why an entry is refused, with its place.
package struct SettingsError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Problem: Hashable, Sendable, Error {
        case unknownKey(nearest: String?)
        case wrongType(expected: String, found: String)
        case outOfRange(value: String, limits: String)
        case notAllowed(value: String, allowed: String)
        case badText(reason: String)
    }
    /// "ccbt.toml:12"; empty when there is none to name.
    package var place: String
    package let key: String
    package let problem: Problem

    package init(place: String, key: String, problem: Problem) {
        (self.place, self.key, self.problem) = (place, key, problem)
    }

    /// One line.
    package var description: String {
        let said: String =
            switch problem {
            case .unknownKey(let nearest): "no option \(printable(key))" + (nearest.map { "; did you mean \($0)?" } ?? "")
            case .wrongType(let expected, let found): "\(key) takes \(expected), not \(found)"
            case .outOfRange(let value, let limits): "\(key) = \(printable(value)): limits say \(limits)"
            case .notAllowed(let value, let allowed): "\(key) = \(printable(value)): may be \(allowed)"
            case .badText(let reason): "\(key): \(reason)"
            }
        return place.isEmpty ? said : "\(place): \(said)"
    }
}

/// What came from outside, fit for one line of a terminal: at most 80 characters, control characters replaced.
func printable(_ text: String) -> String {
    var out = String.UnicodeScalarView()
    for scalar in text.unicodeScalars.prefix(80) {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: out.append("?")
        default: out.append(scalar)
        }
    }
    return String(out)
}
