import APIWorker
import Foundation
import Testing

@Suite struct OpenAPITests {
    /// The document names what is served, all of it, once, with every variable of each path.
    @Test func documentAndRoutesAreOne() throws {
        let root = try #require(JSONSerialization.jsonObject(with: Data(OpenAPI.document())) as? [String: Any])
        #expect(root["openapi"] as? String == "3.0.3")
        let paths = try #require(root["paths"] as? [String: [String: [String: Any]]])
        let described = Set(paths.flatMap { path, operations in operations.keys.map { "\($0.uppercased()) \(path)" } })
        #expect(described == Set(NativeAPI.routes.map { "\($0.method.rawValue) \($0.path)" }))
        #expect(NativeAPI.routes.count == described.count, "a route stands twice")
        for (path, operations) in paths {
            let variables = Set(path.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) })
            for (method, operation) in operations {
                let parameters = operation["parameters"] as? [[String: Any]] ?? []
                #expect(Set(parameters.filter { $0["in"] as? String == "path" }.compactMap { $0["name"] as? String }) == variables, "\(method) \(path)")
                #expect(operation["responses"] != nil)
            }
        }
        let ids = paths.values.flatMap { $0.values.compactMap { $0["operationId"] as? String } }
        #expect(Set(ids).count == ids.count)
    }
}

@Suite struct ShapeTests {
    struct Case: Sendable {
        let shape: Shape
        let good: String
        let bad: String
    }

    /// Values of a body, in JSON.
    @Test(arguments: [
        Case(shape: .text, good: #"["", "a"]"#, bad: #"[1, true, null, []]"#), Case(shape: .flag, good: "[true, false]", bad: #"[0, 1, "true", null]"#),
        Case(shape: .integer, good: "[0, -5, 1.0, 9007199254740991]", bad: #"[1.5, true, "1", 9007199254740992, 1e300]"#), Case(shape: .from(1), good: "[1, 2]", bad: "[0, -1]"),
        Case(shape: .length(2...3), good: #"["ab", "äöü"]"#, bad: #"["a", "abcd", 12]"#), Case(shape: .choice(["a", "b"]), good: #"["a"]"#, bad: #"["A", "", null]"#),
        Case(shape: .list(.integer), good: "[[], [1, 2]]", bad: #"[["1"], 1]"#), Case(shape: .some(.text), good: #"[["a"]]"#, bad: "[[], [1]]"),
        Case(shape: .path, good: #"["/", "/a b"]"#, bad: #"["", "a", 1]"#), Case(shape: .name, good: #"["a", "Z 9_.-"]"#, bad: #"["", "-a", "a/b", "ä", 1]"#),
        Case(shape: .scalar, good: #"["", 1, true, null]"#, bad: "[[], {}]"),
    ])
    func bodies(_ c: Case) throws {
        for value in try #require(JSONSerialization.jsonObject(with: Data(c.good.utf8)) as? [Any]) { #expect(c.shape.admits(value), "\(c.shape): \(value)") }
        for value in try #require(JSONSerialization.jsonObject(with: Data(c.bad.utf8)) as? [Any]) { #expect(!c.shape.admits(value), "\(c.shape): \(value)") }
    }

    @Test func queries() {
        #expect(Shape.flag.admits(text: "true") && !Shape.flag.admits(text: "1") && !Shape.flag.admits(text: ""))
        #expect(Shape.from(0).admits(text: "0") && !Shape.from(0).admits(text: "-1") && !Shape.from(0).admits(text: "9223372036854775807") && !Shape.integer.admits(text: "x"))
    }
}

@Suite struct EventFeedTests {
    private func text(_ bytes: [UInt8]?) -> String { bytes.map { String(decoding: $0, as: UTF8.self) } ?? "" }

    @Test func snapshotThenChangesThenNothing() {
        var state = MirrorState(), feed = EventFeed(types: ["torrents"], epoch: "e", base: nil)
        state.put(row(1, name: "one"))
        let first = text(feed.next(&state))
        #expect(first.hasPrefix("id: e-") && first.contains("event: torrents\n") && first.contains("\"snapshot\":true") && first.contains("\"one\"") && first.hasSuffix("\n\n"))
        #expect(feed.next(&state) == nil)
        state.put(row(2, name: "two"))
        let second = text(feed.next(&state))
        #expect(second.contains("\"two\"") && !second.contains("\"one\"") && !second.contains("snapshot"))
        state.remove(1)
        #expect(text(feed.next(&state)).contains("\"removed\":[\"\(String(repeating: "01", count: 20))\"]"))
        #expect(feed.next(&state) == nil)
    }

    @Test func resumesAtAnId() throws {
        var state = MirrorState(), feed = EventFeed(types: ["torrents"], epoch: "e", base: nil)
        state.put(row(1, name: "one"))
        let id = try #require(UInt64(text(feed.next(&state)).split(separator: "\n")[0].split(separator: "-")[1]))
        state.put(row(2, name: "two"))
        var again = EventFeed(types: ["torrents"], epoch: "e", base: id)
        let missed = text(again.next(&state))
        #expect(missed.contains("\"two\"") && !missed.contains("\"one\""))
        // An id of the future is one of another life.
        var wrong = EventFeed(types: ["torrents"], epoch: "e", base: 1_000_000)
        #expect(text(wrong.next(&state)).contains("snapshot"))
    }
}

@Suite struct MetricsTests {
    @Test func linesAreWellFormedAndBounded() {
        var state = MirrorState()
        for id in 1...200 as ClosedRange<UInt32> { state.put(row(id, name: "a \"b\"\\\n", trackers: ["http://user:secret@host\(id).example:80/announce?passkey=secret"])) }
        let text = Metrics.text(state, torrents: [], freeSpace: 5)
        let hosts = text.split(separator: "\n").filter { $0.hasPrefix("ccbt_tracker_torrents{") }
        #expect(hosts.count == 51 && hosts.contains("ccbt_tracker_torrents{host=\"other\"} 150"))
        #expect(!text.contains("secret"), "a tracker's credentials stay out")
        #expect(!text.contains("ccbt_torrent_"))
        let one = Metrics.text(state, torrents: [String(repeating: "01", count: 20)], freeSpace: 5)
        #expect(one.contains("ccbt_torrent_peers{hash=\"\(String(repeating: "01", count: 20))\",name=\"a \\\"b\\\"\\\\\\n\"} 3"))
        for line in one.split(separator: "\n") where !line.hasPrefix("#") {
            #expect(line.wholeMatch(of: /ccbt_[a-z_]+(\{[a-z]+="([^"\\]|\\.)*"(,[a-z]+="([^"\\]|\\.)*")*\})? -?[0-9.e+-]+/) != nil, "\(line)")
        }
    }
}
