import Limits
import Primitives

/// Texts made from ``OptionTable``, so that they cannot drift from it.
package enum SettingsListing {
    /// A configuration file in TOML with every option commented out at its default.
    package static var sampleTOML: String {
        var out = """
            # Configuration of ccbtd. Every option stands here, commented out, with its default.
            # Each can also be set in the environment: network.listen_port is CCBT_NETWORK_LISTEN_PORT.
            # Order of precedence: defaults, this file, environment, command line.

            """
        for section in OptionTable.sections {
            out += "\n[\(section)]\n"
            for option in OptionTable.all where option.section == section {
                out += "\n# \(capitalised(option.doc)).\n"
                let limits = option.kind.limits
                out += "# \(capitalised(option.kind.noun))\(limits.isEmpty ? "" : ": \(limits)"). "
                out += option.needsRestart ? "A change needs a restart.\n" : "A change applies at once.\n"
                out += "# \(option.name) = \(toml(option.standard))\n"
            }
        }
        return out
    }

    /// The options as a JSON Schema (draft 2020-12): an object of section objects.
    package static var jsonSchema: String {
        var sections: [String] = []
        for section in OptionTable.sections {
            var rows: [String] = [], groups: [(name: String, rows: [String])] = []
            for option in OptionTable.all where option.section == section {
                // "ip_filter.filter_mode" is a table within the section.
                let parts = option.name.split(separator: ".", maxSplits: 1).map(String.init)
                guard parts.count == 2 else {
                    rows.append("\(json(option.name)):\(schema(option))")
                    continue
                }
                if groups.last?.name != parts[0] { groups.append((parts[0], [])) }
                groups[groups.count - 1].rows.append("\(json(parts[1])):\(schema(option))")
            }
            for group in groups { rows.append("\(json(group.name)):\(object(group.rows))") }
            sections.append("\(json(section)):\(object(rows))")
        }
        return "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\","
            + "\"additionalProperties\":false,\"properties\":{\(sections.joined(separator: ","))}}"
    }

    private static func object(_ properties: [String]) -> String {
        "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\(properties.joined(separator: ","))}}"
    }

    private static func schema(_ option: Option) -> String {
        var parts: [String] = []
        switch option.kind {
        case .integer(let range):
            parts.append("\"type\":\"integer\",\"minimum\":\(range.lowerBound),\"maximum\":\(range.upperBound)")
        case .number(let range), .seconds(let range):
            parts.append("\"type\":\"number\",\"minimum\":\(decimal(range.lowerBound)),\"maximum\":\(decimal(range.upperBound))")
        case .boolean: parts.append("\"type\":\"boolean\"")
        case .choice(let words): parts.append("\"enum\":[\(words.map { json($0) }.joined(separator: ","))]")
        case .text(let n): parts.append("\"type\":\"string\",\"maxLength\":\(n)")
        case .address, .path: parts.append("\"type\":\"string\"")
        case .groups: parts.append("\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":\(LimitGroup.maximumCount)")
        case .schedule: parts.append("\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":\(WeekSchedule.maximumCount)")
        case .list(let n): parts.append("\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":\(n)")
        }
        parts.append("\"default\":\(json(option.standard))")
        parts.append("\"description\":\(json(option.doc))")
        parts.append("\"x-environment\":\(json(option.environmentName))")
        parts.append("\"x-needs-restart\":\(option.needsRestart)")
        return "{\(parts.joined(separator: ","))}"
    }

    private static func toml(_ value: OptionValue) -> String { json(value) }

    private static func json(_ value: OptionValue) -> String {
        switch value {
        case .integer, .number, .boolean: value.text
        case .text(let s): json(s)
        case .list(let items): "[\(items.map { json($0) }.joined(separator: ", "))]"
        }
    }
    /// Table texts are printable ASCII; only these two need an escape (the same in JSON and TOML).
    private static func json(_ s: String) -> String {
        var out = "\""
        for character in s {
            if character == "\"" || character == "\\" { out.append("\\") }
            out.append(character)
        }
        return out + "\""
    }
    private static func capitalised(_ s: String) -> String { s.prefix(1).uppercased() + s.dropFirst() }
}
