/// Options that need a restart and were changed over the control socket or HTTP. The session worker writes them to a file of the state
/// directory; the supervisor reads it before it starts anything. They win over every source of the configuration, as the options that
/// need no restart and are stored in the catalogue do.
///
/// One line for each: the key, a tab, the value as ``OptionValue/text`` gives it. No value has a control character in it.
package enum StoredOptions {
    /// In the state directory; mode 0600, since a value may be a secret.
    package static let fileName = "settings"
    /// 200 options with a list of 4,000 bytes each.
    package static let byteLimit = 1 << 20

    package static func text(_ pairs: [(key: String, value: String)]) -> String { pairs.map { "\($0.key)\t\($0.value)\n" }.joined() }

    /// Lines that are none are passed over.
    package static func parse(_ text: String) -> [(key: String, value: String)] {
        text.split(separator: "\n").compactMap { line in
            guard let tab = line.firstIndex(of: "\t") else { return nil }
            return (key: String(line[..<tab]), value: String(line[tab...].dropFirst()))
        }
    }

    /// Sets what this build takes; keys with why they were not.
    package static func apply(_ pairs: [(key: String, value: String)], to settings: inout Settings) -> [SettingsError] {
        var refused: [SettingsError] = []
        for (key, value) in pairs {
            do throws(SettingsError) { try settings.set(key, .untyped(value)) } catch { refused.append(error) }
        }
        return refused
    }
}
