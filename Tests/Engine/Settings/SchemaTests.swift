import Foundation
import Testing

@testable import Settings

/// Aim: the JSON listing is JSON, and says what the table says.
@Suite struct SchemaTests {
    /// No option is stored and not enforced: each is read by name somewhere outside the table, unless its feature is absent.
    @Test func everyOptionIsRead() throws {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../../Sources").standardizedFileURL
        var texts: [String] = []
        for case let file as URL in FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil)!
        where file.pathExtension == "swift" && !file.path.contains("/Engine/Settings/") {
            texts.append(try String(contentsOf: file, encoding: .utf8))
        }
        #expect(texts.count > 50)
        for option in OptionTable.all where option.absent == nil {
            #expect(texts.contains { $0.contains("\"\(option.key)\"") }, "\(option.key) is never read")
        }
    }

    @Test func listingIsWellFormed() throws {
        let root = try #require(try JSONSerialization.jsonObject(with: Data(SettingsListing.jsonSchema.utf8)) as? [String: Any])
        let sections = try #require(root["properties"] as? [String: [String: Any]])
        var count = 0
        for option in OptionTable.all {
            let rows = try #require(sections[option.section]?["properties"] as? [String: [String: Any]])
            let row = try #require(rows[option.name])
            #expect(row["description"] as? String == option.doc)
            #expect(row["x-environment"] as? String == option.environmentName)
            if case .integer(let n) = option.standard { #expect(row["default"] as? Int == n) }
            if option.absent != nil { #expect(row["const"] != nil) }
            count += 1
        }
        #expect(count == sections.values.reduce(0) { $0 + (($1["properties"] as? [String: Any])?.count ?? 0) })
    }
}
