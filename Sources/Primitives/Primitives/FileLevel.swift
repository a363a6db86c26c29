/// How much a file, or a piece, is wanted. The raw numbers stand in frames and in the session's database.
package enum FileLevel {
    package static let skip: UInt8 = 0
    package static let low: UInt8 = 1
    package static let normal: UInt8 = 2
    package static let high: UInt8 = 3
    package static let maximum: UInt8 = 4
    /// Of pieces only: the ends of files that are wanted first.
    package static let urgent: UInt8 = 5

    package static let names = ["skip", "low", "normal", "high", "maximum"]
    package static func named(_ name: String) -> UInt8? { names.firstIndex(of: name).map { UInt8($0) } }
    package static func name(_ level: UInt8) -> String { Int(level) < names.count ? names[Int(level)] : "urgent" }
}

/// Levels of the files of one torrent, as runs: what is not named is normal.
package struct FileLevels: Hashable, Sendable {
    package struct Run: Hashable, Sendable {
        package let first: UInt32
        package let count: UInt32
        package let level: UInt8
        package init(first: UInt32, count: UInt32, level: UInt8) { (self.first, self.count, self.level) = (first, count, level) }
        package var end: UInt64 { UInt64(first) + UInt64(count) }
    }
    /// Rising, not touching where levels are equal, none of level normal, at most ``limit``.
    package private(set) var runs: [Run] = []
    /// 1,000,000 files that alternate are not worth what they cost; 13 bytes a run.
    package static let limit = 50_000
    /// One past the highest file number there may be.
    package static let end: UInt64 = 1 << 32

    package init() {}
    package var isDefault: Bool { runs.isEmpty }
    /// The runs that are skipped: what decides where bytes go.
    package var skipped: [Run] { runs.filter { $0.level == FileLevel.skip } }
    package var skipsAny: Bool { runs.contains { $0.level == FileLevel.skip } }

    /// What it says of the first `count` files: "nothing but these" (``only(_:)``) was said of all numbers there are.
    package func clipped(to count: Int) -> FileLevels {
        guard let last = runs.last, last.end > UInt64(count) else { return self }
        var out = FileLevels()
        out.runs = runs.compactMap { run in
            Int(run.first) >= count ? nil : Run(first: run.first, count: UInt32(min(run.end, UInt64(count)) - UInt64(run.first)), level: run.level)
        }
        return out
    }

    package func level(of file: Int) -> UInt8 {
        var low = 0, high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].end <= UInt64(file) { low = middle + 1 } else { high = middle }
        }
        return low < runs.count && UInt64(runs[low].first) <= UInt64(file) ? runs[low].level : FileLevel.normal
    }
    package func levels(count: Int) -> [UInt8] {
        var out = [UInt8](repeating: FileLevel.normal, count: count)
        for run in runs where Int(run.first) < count { for i in Int(run.first)..<min(count, Int(run.end)) { out[i] = run.level } }
        return out
    }

    /// The files below `count` that are not skipped, as ranges.
    package func complement(count: Int) -> [Range<Int>] {
        var out: [Range<Int>] = [], at = 0
        for run in runs where run.level == FileLevel.skip && Int(run.first) < count {
            if Int(run.first) > at { out.append(at..<Int(run.first)) }
            at = min(count, Int(run.end))
        }
        if at < count { out.append(at..<count) }
        return out
    }

    /// A file that `other` skips is not skipped here.
    package func wantsMore(than other: FileLevels) -> Bool {
        let mine = skipped
        var at = 0
        for run in other.skipped {
            // Runs of one level do not touch: who covers a run is one run.
            while at < mine.count, mine[at].end < run.end { at += 1 }
            if at == mine.count || mine[at].first > run.first { return true }
        }
        return false
    }

    /// Gives files `first ... last` a level. False, and nothing changed, when there would be too many runs.
    @discardableResult package mutating func set(_ first: UInt32, _ last: UInt32, to level: UInt8) -> Bool { set([first...last], to: level) }

    /// The same for several ranges, in any order; O(n log n) in ranges and runs.
    @discardableResult package mutating func set(_ ranges: [ClosedRange<UInt32>], to level: UInt8) -> Bool {
        precondition(level <= FileLevel.maximum)
        typealias Part = (first: UInt64, end: UInt64, level: UInt8)
        var said: [Part] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            let first = UInt64(range.lowerBound), end = UInt64(range.upperBound) + 1
            if let last = said.last, first <= last.end { said[said.count - 1].end = max(last.end, end) } else { said.append((first, end, level)) }
        }
        var parts = said, k = 0
        // What the ranges leave of the runs that were there.
        for run in runs {
            while k < said.count, said[k].end <= UInt64(run.first) { k += 1 }
            var at = UInt64(run.first), j = k
            while j < said.count, said[j].first < run.end {
                if at < said[j].first { parts.append((at, said[j].first, run.level)) }
                at = max(at, said[j].end)
                j += 1
            }
            if at < run.end { parts.append((at, run.end, run.level)) }
        }
        return put(parts.sorted { $0.first < $1.first })
    }

    /// `parts` rise and do not overlap.
    private mutating func put(_ parts: [(first: UInt64, end: UInt64, level: UInt8)]) -> Bool {
        var out: [Run] = []
        for part in parts where part.level != FileLevel.normal {
            if let last = out.last, last.end == part.first, last.level == part.level {
                out[out.count - 1] = Run(first: last.first, count: UInt32(clamping: part.end - UInt64(last.first)), level: part.level)
            } else {
                out.append(Run(first: UInt32(part.first), count: UInt32(clamping: part.end - part.first), level: part.level))
            }
        }
        guard out.count <= Self.limit else { return false }
        runs = out
        return true
    }

    /// A level for each file from the first on; nil when there would be too many runs.
    package init?(_ levels: [UInt8]) {
        var parts: [(first: UInt64, end: UInt64, level: UInt8)] = []
        for (i, level) in levels.enumerated() {
            if let last = parts.last, last.level == level { parts[parts.count - 1].end += 1 } else { parts.append((UInt64(i), UInt64(i) + 1, level)) }
        }
        guard put(parts) else { return nil }
    }

    /// Nothing but these (BEP 53).
    package static func only(_ ranges: [ClosedRange<UInt32>]) -> FileLevels {
        var levels = FileLevels()
        levels.set(0, UInt32.max - 1, to: FileLevel.skip)
        levels.set(ranges.prefix(limit - 1).map { min($0.lowerBound, UInt32.max - 1)...min($0.upperBound, UInt32.max - 1) }, to: FileLevel.normal)
        return levels
    }

    /// "0-3=skip,7=high"; empty: all normal.
    package var text: String {
        runs.map { "\($0.count == 1 ? "\($0.first)" : "\($0.first)-\($0.end - 1)")=\(FileLevel.name($0.level))" }.joined(separator: ",")
    }
    /// nil when it is not what ``text`` writes.
    package init?(_ text: String) {
        var ranges = [[ClosedRange<UInt32>]](repeating: [], count: FileLevel.names.count)
        for part in text.split(separator: ",") {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2, let level = FileLevel.named(String(sides[1])) else { return nil }
            let ends = sides[0].split(separator: "-", omittingEmptySubsequences: false).map { UInt32($0) }
            guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1], first <= last else { return nil }
            ranges[Int(level)].append(first...last)
        }
        for level in 0...FileLevel.maximum where !ranges[Int(level)].isEmpty { guard set(ranges[Int(level)], to: level) else { return nil } }
    }
    /// From a frame.
    package init(runs: [Run]) {
        for level in 0...FileLevel.maximum where level != FileLevel.normal {
            let ranges = runs.prefix(Self.limit).filter { $0.count > 0 && $0.level == level && $0.end <= Self.end }
            if !ranges.isEmpty { set(ranges.map { $0.first...UInt32($0.end - 1) }, to: level) }
        }
    }
}
