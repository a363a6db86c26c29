import Foundation
import Testing

@testable import Settings

/// Aim: the JSON listing is JSON, and says what the table says.
@Suite struct SchemaTests {
    /// No option is stored and not enforced: each is read by name somewhere outside the table.
    @Test func everyOptionIsRead() throws {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../../Sources").standardizedFileURL
        var texts: [String] = []
        for case let file as URL in FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil)!
        where file.pathExtension == "swift" && !file.path.contains("/Engine/Settings/") {
            texts.append(try String(contentsOf: file, encoding: .utf8))
        }
        #expect(texts.count > 50)
        for option in OptionTable.all {
            #expect(texts.contains { $0.contains("\"\(option.key)\"") }, "\(option.key) is never read")
        }
    }

    @Test func listingIsWellFormed() throws {
        let root = try #require(try JSONSerialization.jsonObject(with: Data(SettingsListing.jsonSchema.utf8)) as? [String: Any])
        let sections = try #require(root["properties"] as? [String: [String: Any]])
        var count = 0
        for option in OptionTable.all {
            let rows = try #require(sections[option.section]?["properties"] as? [String: [String: Any]])
            let parts = option.name.split(separator: ".").map(String.init)
            let inner = parts.count == 2 ? rows[parts[0]]?["properties"] as? [String: [String: Any]] : rows
            let row = try #require(inner?[parts[parts.count - 1]])
            #expect(row["description"] as? String == option.doc)
            #expect(row["x-environment"] as? String == option.environmentName)
            if case .integer(let n) = option.standard { #expect(row["default"] as? Int == n) }
            count += 1
        }
        func leaves(_ node: [String: Any]) -> Int {
            guard let properties = node["properties"] as? [String: [String: Any]] else { return 1 }
            return properties.values.reduce(0) { $0 + leaves($1) }
        }
        #expect(count == leaves(root))
    }
}
