import Foundation
import Testing

@testable import Settings

/// Aim: the JSON listing is JSON, and says what the table says.
@Suite struct SchemaTests {
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
