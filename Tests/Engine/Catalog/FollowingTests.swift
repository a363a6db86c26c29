import Testing

@testable import Catalog

@Suite struct FollowingTests {
    private func item(_ sequence: Int64, _ torrent: String) -> FollowedItem {
        FollowedItem(link: "magnet:?", publicKey: "aa", salt: "", sequence: sequence, torrent: torrent)
    }

    @Test(
        arguments: [
            (4, "a", 5, "b", .newer("b")), (4, "a", 5, "a", .current), (4, "a", 4, "a", .current),
            // One number means one value; what has it second is not taken.
            (4, "a", 4, "b", .outdated), (4, "a", 3, "b", .outdated), (4, "a", 3, nil, .outdated), (4, "a", 4, nil, .outdated), (4, "a", 5, nil, .unusable),
            // Added by a link that names a torrent as well: nothing was seen yet.
            (-1, "a", 0, "b", .newer("b")), (-1, "a", 0, "a", .current),
        ] as [(Int64, String, Int64, String?, FollowedItem.Verdict)])
    func verdicts(_ had: Int64, _ torrent: String, _ sequence: Int64, _ named: String?, _ verdict: FollowedItem.Verdict) {
        #expect(item(had, torrent).judge(sequence: sequence, torrent: named) == verdict)
    }

    @Test func earlierVersionsAreRemembered() {
        var followed = item(-1, "t0")
        for n in 1...40 { followed.adopt(sequence: Int64(n), torrent: "t\(n)", value: "v\(n)", signature: "s\(n)") }
        #expect(followed.sequence == 40 && followed.torrent == "t40" && followed.value == "v40" && followed.signature == "s40")
        #expect(followed.earlier.count == FollowedItem.earlierLimit && followed.earlier.first == .init(sequence: 39, torrent: "t39"))
        // The same torrent under a new number is no version; one that comes back is the newest only.
        followed.adopt(sequence: 41, torrent: "t40", value: "v", signature: "s")
        #expect(followed.sequence == 41 && followed.earlier.first?.torrent == "t39")
        followed.adopt(sequence: 42, torrent: "t38", value: "v", signature: "s")
        #expect(followed.earlier.map(\.torrent).prefix(2) == ["t40", "t39"] && !followed.earlier.contains { $0.torrent == "t38" })
    }
}
