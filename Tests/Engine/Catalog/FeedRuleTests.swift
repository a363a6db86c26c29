import Testing

@testable import Catalog

/// What a feed's rule takes.
@Suite struct FeedRuleTests {
    struct Case: Sendable {
        var must = "", not = "", regex = false, episodes = "", smart = false, seen: [String] = [], ignore = 0, last: UInt64 = 0
        let title: String
        /// nil: not taken.
        let adds: [String]?
    }

    @Test(arguments: [
        Case(title: "anything", adds: []),
        Case(must: "show s01", title: "The.Show.S01E02.1080p", adds: []),
        Case(must: "s01 SHOW", title: "The.Show.S01E02.1080p", adds: []),
        Case(must: "show x264", title: "The.Show.S01E02.1080p", adds: nil),
        Case(must: "x264|1080p show", title: "The.Show.S01E02.1080p", adds: []),
        Case(must: "sh*1080", title: "The.Show.S01E02.1080p", adds: []),
        Case(must: "s01e0?", title: "The.Show.S01E02.1080p", adds: []),
        Case(must: "s01e0?x", title: "The.Show.S01E02.1080p", adds: nil),
        Case(must: "show", not: "720p|1080p", title: "The.Show.S01E02.1080p", adds: nil),
        Case(must: #"s\d+e\d+.*1080"#, regex: true, title: "The.Show.S01E02.1080p", adds: []),
        Case(must: "(", regex: true, title: "(", adds: nil),
        Case(must: "*", title: "", adds: []),
        Case(must: "ПОКАЗ", title: "показ s01e01", adds: []),
        Case(episodes: "1x2;", title: "Show S01E02", adds: []),
        Case(episodes: "1x2;", title: "Show S01E03", adds: nil),
        Case(episodes: "1x8-15;30-;", title: "Show 1x15", adds: []),
        Case(episodes: "1x8-15;30-;", title: "Show 1x16", adds: nil),
        Case(episodes: "1x8-15;30-;", title: "Show 1x31", adds: []),
        Case(episodes: "1x8-15;30-;", title: "Show 2x01", adds: []),
        Case(episodes: "2x1-;", title: "Show 1x31", adds: nil),
        Case(episodes: "1x1-;", title: "Film 1920x1080", adds: nil),
        Case(smart: true, title: "Show S01E02", adds: ["1x2"]),
        Case(smart: true, seen: ["1x2"], title: "Show 01x02 again", adds: nil),
        Case(smart: true, seen: ["1x2"], title: "Show S1.E2 REPACK", adds: ["1x2-repack"]),
        Case(smart: true, seen: ["1x2", "1x2-repack"], title: "Show S01E02 repack", adds: nil),
        Case(smart: true, title: "Show S01E02 PROPER", adds: ["1x2", "1x2-proper"]),
        Case(smart: true, title: "Daily 2024.05.01 news", adds: ["2024-5-1"]),
        Case(smart: true, seen: ["2024-5-1"], title: "Daily 2024-05-01", adds: nil),
        Case(smart: true, title: "no episode", adds: []),
        Case(ignore: 1, last: 1_000_000 - 86_399, title: "x", adds: nil),
        Case(ignore: 1, last: 1_000_000 - 86_400, title: "x", adds: []),
    ]) func rules(_ c: Case) {
        var rule = FeedRule()
        rule.mustContain = c.must
        rule.mustNotContain = c.not
        rule.usesRegex = c.regex
        rule.episodeFilter = c.episodes
        rule.isSmart = c.smart
        rule.seen = c.seen
        rule.ignoreDays = c.ignore
        rule.lastMatch = c.last
        #expect(rule.match(c.title, date: 1_000_000) == c.adds)
        rule.isEnabled = false
        #expect(rule.match(c.title, date: 1_000_000) == nil)
    }

    @Test(arguments: ["", "x1;", "1x", "1x;", "1xa;", "1x5-2;", "-1x2;", "1x2-b;", "99999x1;"]) func badEpisodeFilters(_ text: String) {
        #expect(EpisodeFilter(text) == nil)
        var rule = FeedRule()
        rule.episodeFilter = text
        #expect((rule.fault() == nil) == text.isEmpty)
    }

    /// Every cut of a good filter is a filter or is refused.
    @Test func cuts() {
        let whole = "12x3;8-15;30-;"
        for end in whole.indices {
            guard let filter = EpisodeFilter(String(whole[..<end])) else { continue }
            #expect(!filter.admits(nil))
        }
    }

    @Test func manyStarsCostLittle() {
        let pattern = Wildcard(String(repeating: "a*", count: 100) + "b"), text = Array(String(repeating: "a", count: 300).unicodeScalars)
        #expect(!pattern.isFound(in: text))
    }
}
