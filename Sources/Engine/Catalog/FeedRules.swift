import Primitives

/// Which articles of feeds are taken. Pure: titles in, decisions out.
package struct FeedRule: Sendable {
    package var isEnabled = true
    /// Words that must stand in the title in any order, with * and ?; "|" between alternatives. Or a regular expression.
    package var mustContain = ""
    package var mustNotContain = ""
    package var usesRegex = false
    package var episodeFilter = ""
    package var isSmart = false
    /// Episodes that the smart filter has seen, as ``Episode/key``.
    package var seen: [String] = []
    package var ignoreDays = 0
    /// Seconds since 1970; 0: never.
    package var lastMatch: UInt64 = 0
    package init() {}

    /// Titles are cut here: a pattern with nested repeats costs a power of the length.
    package static let titleLimit = 300
    package static let seenLimit = 10_000

    /// What a match adds to `seen`; nil: not taken. Empty where the smart filter is off or the title names no episode.
    package func match(_ title: String, date: UInt64) -> [String]? {
        guard isEnabled else { return nil }
        let title = String(title.prefix(Self.titleLimit))
        if ignoreDays > 0, lastMatch > 0, date < lastMatch + UInt64(ignoreDays) * 86_400 { return nil }
        guard mustContain.isEmpty || contains(mustContain, title) else { return nil }
        guard mustNotContain.isEmpty || !contains(mustNotContain, title) else { return nil }
        guard episodeFilter.isEmpty || EpisodeFilter(episodeFilter)?.admits(Episode(title)) == true else { return nil }
        guard isSmart, let episode = Episode(title) else { return [] }
        let known = Set(seen), isNew = !known.contains(episode.key)
        if isNew { return [episode.key] + episode.variants }
        // A repack or proper of what was seen is taken once more each.
        let fresh = episode.variants.filter { !known.contains($0) }
        return fresh.isEmpty ? nil : fresh
    }

    private func contains(_ expression: String, _ title: String) -> Bool {
        if usesRegex {
            guard let regex = try? Regex(expression).ignoresCase() else { return false }
            return title.firstMatch(of: regex) != nil
        }
        let text = Array(title.lowercased().unicodeScalars)
        return expression.lowercased().split(separator: "|", omittingEmptySubsequences: false).contains { alternative in
            alternative.split(whereSeparator: { $0 == " " || $0 == "\t" }).allSatisfy { Wildcard(String($0)).isFound(in: text) }
        }
    }

    /// nil when it can be used; else what is wrong, for people.
    package func fault() -> String? {
        if usesRegex {
            for expression in [mustContain, mustNotContain] where !expression.isEmpty {
                if (try? Regex(expression)) == nil { return "\(expression) is no regular expression" }
            }
        }
        if !episodeFilter.isEmpty, EpisodeFilter(episodeFilter) == nil { return "\(episodeFilter) is no episode filter, as 1x2;8-15;5;30-;" }
        return nil
    }
}

/// A word with * (anything) and ? (one character), looked for anywhere in a text. Linear in text x stars.
struct Wildcard {
    private let pattern: [Unicode.Scalar]
    init(_ word: String) { pattern = Array(("*" + word + "*").unicodeScalars) }

    func isFound(in text: [Unicode.Scalar]) -> Bool {
        var p = 0, t = 0, star = -1, mark = 0
        while t < text.count {
            if p < pattern.count, pattern[p] == "*" {
                (star, mark) = (p, t)
                p += 1
            } else if p < pattern.count, pattern[p] == "?" || pattern[p] == text[t] {
                p += 1
                t += 1
            } else if star >= 0 {
                mark += 1
                (p, t) = (star + 1, mark)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == "*" }
    }
}

/// The episode that a title names: S01E02, 1x02, or a date.
package struct Episode: Hashable, Sendable {
    /// "1x2", or "2024-05-01".
    package let key: String
    package let season: Int
    package let number: Int
    package let variants: [String]

    package init?(_ title: String) {
        let lower = Array(title.lowercased().utf8)
        var found: (key: String, season: Int, number: Int)?
        scan: for at in lower.indices where at == 0 || !Self.isWord(lower[at - 1]) {
            var i = at
            func digits(_ most: Int) -> Int? {
                var value = 0, count = 0
                while i < lower.count, count < most, lower[i] >= 48, lower[i] <= 57 {
                    value = value * 10 + Int(lower[i] - 48)
                    i += 1
                    count += 1
                }
                return count > 0 ? value : nil
            }
            func skip(_ characters: String) { while i < lower.count, characters.utf8.contains(lower[i]) { i += 1 } }
            if lower[at] == UInt8(ascii: "s") {
                i += 1
                guard let season = digits(4) else { continue }
                skip(" -_.")
                guard i < lower.count, lower[i] == UInt8(ascii: "e") else { continue }
                i += 1
                guard let number = digits(4) else { continue }
                found = ("\(season)x\(number)", season, number)
                break scan
            }
            guard let first = digits(4) else { continue }
            if i < lower.count, lower[i] == UInt8(ascii: "x") {
                i += 1
                // 1920x1080 is a size of pictures.
                guard first < 1000, let number = digits(4), i >= lower.count || !Self.isWord(lower[i]) else { continue }
                found = ("\(first)x\(number)", first, number)
                break scan
            }
            guard (1900...2100).contains(first), i < lower.count, "-_. ".utf8.contains(lower[i]) else { continue }
            i += 1
            guard let month = digits(2), (1...12).contains(month), i < lower.count, "-_. ".utf8.contains(lower[i]) else { continue }
            i += 1
            guard let day = digits(2), (1...31).contains(day) else { continue }
            found = ("\(first)-\(month)-\(day)", first, month * 100 + day)
            break scan
        }
        guard let found else { return nil }
        (key, season, number) = found
        let words = Set(String(decoding: lower, as: UTF8.self).split(whereSeparator: { !$0.isLetter && !$0.isNumber }).map(String.init))
        variants = ["proper", "repack"].filter { words.contains($0) }.map { found.key + "-" + $0 }
    }
    private static func isWord(_ c: UInt8) -> Bool { c >= 48 && c <= 57 || c >= 97 && c <= 122 }
}

/// "1x2;8-15;5;30-;": a season, then episodes, ranges, and ranges without an end (which take later seasons as well).
package struct EpisodeFilter: Sendable {
    private let season: Int
    private var ranges: [(first: Int, last: Int?)] = []

    package init?(_ text: String) {
        guard let x = text.firstIndex(of: "x"), let season = Int(text[..<x]), season >= 0, season < 10_000 else { return nil }
        self.season = season
        for part in text[text.index(after: x)...].split(separator: ";").map({ $0.filter { !$0.isWhitespace } }) where !part.isEmpty {
            let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
            guard let first = Int(ends[0]), first >= 0 else { return nil }
            if ends.count == 1 {
                ranges.append((first, first))
            } else if ends[1].isEmpty {
                ranges.append((first, nil))
            } else {
                guard let last = Int(ends[1]), last >= first else { return nil }
                ranges.append((first, last))
            }
        }
        if ranges.isEmpty { return nil }
    }

    package func admits(_ episode: Episode?) -> Bool {
        guard let episode else { return false }
        return ranges.contains { range in
            if let last = range.last { return episode.season == season && (range.first...last).contains(episode.number) }
            return episode.season > season || episode.season == season && episode.number >= range.first
        }
    }
}

/// Reads whatever it is given as a rule and a title, one a line: what a fuzzer drives. Regular expressions are Swift's own.
package func exerciseFeedRule(_ bytes: UnsafeRawBufferPointer) {
    let lines = String(decoding: bytes.prefix(4096), as: UTF8.self).split(separator: "\n", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
    guard lines.count == 4 else { return }
    var rule = FeedRule()
    (rule.mustContain, rule.mustNotContain, rule.episodeFilter, rule.isSmart) = (lines[0], lines[1], lines[2], true)
    guard rule.fault() == nil, let seen = rule.match(lines[3], date: 1) else { return }
    // What was taken once is not taken again, unless the title names no episode.
    rule.seen = seen
    precondition(seen.isEmpty || rule.match(lines[3], date: 1) == nil)
}
