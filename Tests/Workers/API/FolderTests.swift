import APIWorker
import Foundation
import Testing

/// What a request may name of the machine's folders, on real folders with real links.
@Suite struct FolderTests {
    @Test(
        arguments: [
            ("/a//b/./c/", "/a/b/c"), ("/", "/"), ("/a/../b", nil), ("a/b", nil), ("", nil), ("/a\nb", nil), ("/a/..b", "/a/..b"), ("/" + String(repeating: "x", count: 5000), nil),
        ] as [(String, String?)])
    func paths(_ path: String, _ tidy: String?) { #expect(AllowedFolders.tidy(path) == tidy) }

    @Test func rootsHoldAgainstLinksAndDots() async throws {
        let base = FileManager.default.temporaryDirectory.appendingPathComponent("ccbt-folders-\(UUID().uuidString)").path
        for folder in ["in/deep", "out", "inside"] { try FileManager.default.createDirectory(atPath: "\(base)/\(folder)", withIntermediateDirectories: true) }
        defer { try? FileManager.default.removeItem(atPath: base) }
        try FileManager.default.createSymbolicLink(atPath: "\(base)/in/link", withDestinationPath: "\(base)/out")
        try FileManager.default.createSymbolicLink(atPath: "\(base)/in/back", withDestinationPath: "\(base)/in/deep")
        let folders = AllowedFolders(mirror: Mirror(), roots: ["\(base)/in"])
        for good in ["in", "in/deep", "in/back", "in/new/newer", "in/deep/.."] {
            let path = good.contains("..") ? nil : "\(base)/\(good)"
            #expect((try? await folders.readable("\(base)/\(good)")) == path)
            #expect((try? await folders.writable("\(base)/\(good)")) == path)
        }
        // "inside" begins as "in" does.
        for bad in ["out", "inside", "in/link", "in/link/x", "", "in/../out"] {
            await #expect(throws: Refusal.self) { try await folders.readable("\(base)/\(bad)") }
            await #expect(throws: Refusal.self) { try await folders.writable("\(base)/\(bad)") }
        }
        try await folders.writable(optional: "")
        try await folders.writable(optional: nil)
        // Without roots: save paths anywhere, looking nowhere while the session uses no folder.
        let free = AllowedFolders(mirror: Mirror(), roots: [])
        #expect(try await free.writable("\(base)/out/") == "\(base)/out")
        await #expect(throws: Refusal.self) { try await free.readable("\(base)/out") }
        await #expect(throws: Refusal.self) { try await free.writable("out") }
    }

    @Test(
        arguments: [
            (0, ""), (1, "01 Jan 1970 00:00:01 +0000"), (951_782_400, "29 Feb 2000 00:00:00 +0000"), (1_772_323_199, "28 Feb 2026 23:59:59 +0000"), (4_107_542_399, "28 Feb 2100 23:59:59 +0000"),
        ] as [(UInt64, String)])
    func dates(_ seconds: UInt64, _ text: String) { #expect(RSSView.date(seconds) == text) }
}
