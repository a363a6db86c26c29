import Primitives

/// `torrents/info` and `torrents/count`: filter, sort, cut.
package struct TorrentQuery: Sendable {
    package var filter = "all"
    /// nil: any; "": those without one.
    package var category: String?
    package var tag: String?
    /// Lower case; nil: all.
    package var hashes: Set<String>?
    package var isPrivate: Bool?
    package var sort: TorrentFields.Field?
    package var reverse = false
    package var limit = 0
    package var offset = 0
    package var includeTrackers = false

    static let filters: Set<String> = [
        "all", "downloading", "seeding", "completed", "stopped", "paused", "running", "resumed", "active", "inactive", "stalled",
        "stalled_uploading", "stalled_downloading", "checking", "moving", "errored",
    ]

    package init() {}

    package init(_ p: Parameters) throws(Refusal) {
        // An unknown filter shows everything, as in qBittorrent.
        if let name = p["filter"], Self.filters.contains(name) { filter = name }
        category = p["category"]
        tag = p["tag"]
        if let text = p["hashes"], !text.isEmpty, text != "all" { hashes = Set(text.lowercased().split(separator: "|").map(String.init)) }
        isPrivate = p.flag("private")
        if let name = p["sort"], !name.isEmpty {
            guard let field = TorrentFields.Field.named(name) else { throw Refusal(.badRequest, "'sort' parameter is invalid") }
            sort = field
        }
        reverse = p.flag("reverse") ?? false
        limit = p["limit"].flatMap { Int($0) } ?? 0
        offset = p["offset"].flatMap { Int($0) } ?? 0
        includeTrackers = p.flag("includeTrackers") ?? false
    }

    func admits(_ entry: MirrorState.Entry) -> Bool {
        if filter != "all", !admits(entry, in: TorrentState51(entry.row)) { return false }
        if let category, entry.shown[.category] != .text(category) { return false }
        if let tag {
            guard case .text(let all) = entry.shown[.tags] else { return false }
            let tags = all.split(separator: ",").map { $0.drop { $0 == " " } }
            if tag.isEmpty ? !tags.isEmpty : !tags.contains(Substring(tag)) { return false }
        }
        if let isPrivate, entry.flags.contains(.isPrivate) != isPrivate { return false }
        return true
    }

    private func admits(_ entry: MirrorState.Entry, in state: TorrentState51) -> Bool {
        switch filter {
        case "downloading": if state.isComplete || [.error, .missingFiles].contains(state) { return false }
        case "seeding": if !state.isComplete || state.isStopped { return false }
        case "completed": if !state.isComplete { return false }
        case "stopped", "paused": if !state.isStopped { return false }
        case "running", "resumed": if state.isStopped { return false }
        case "active": if entry.row.downRate == 0, entry.row.upRate == 0 { return false }
        case "inactive": if entry.row.downRate > 0 || entry.row.upRate > 0 { return false }
        case "stalled": if state != .stalledUP && state != .stalledDL { return false }
        case "stalled_uploading": if state != .stalledUP { return false }
        case "stalled_downloading": if state != .stalledDL { return false }
        case "checking": if ![.checkingUP, .checkingDL, .checkingResumeData].contains(state) { return false }
        case "moving": if state != .moving { return false }
        case "errored": if state != .error && state != .missingFiles { return false }
        default: break
        }
        return true
    }

    package func run(_ state: MirrorState) -> [MirrorState.Entry] {
        var found: [MirrorState.Entry] = []
        if let hashes, hashes.count < 100 {
            var seen: Set<UInt32> = []
            found = hashes.compactMap { state.entry($0) }.filter { seen.insert($0.row.torrent).inserted && admits($0) }.sorted { $0.row.torrent < $1.row.torrent }
        } else {
            for entry in state.entries {
                guard let entry, admits(entry) else { continue }
                if let hashes, !hashes.contains(entry.hash), !hashes.contains(entry.hashV2), !hashes.contains(String(entry.hashV2.prefix(40))) { continue }
                found.append(entry)
            }
        }
        if let sort {
            var rows = found.map { SortedRow(key: Self.key($0.shown[sort]), entry: $0) }
            // A page's worth of 10,000 is picked, not sorted for.
            if (0...256).contains(offset), (1...256).contains(limit), rows.count > 4 * (offset + limit) {
                return SortedRow.first(offset + limit, of: rows, reverse: reverse).dropFirst(offset).map(\.entry)
            }
            rows.sort { $0.isBefore($1) }
            found = rows.map(\.entry)
        }
        if reverse { found.reverse() }
        var from = offset
        if from < 0 { from += found.count }
        found.removeFirst(max(0, min(from, found.count)))
        if limit > 0 { found.removeLast(max(0, found.count - limit)) }
        return found
    }

    /// What is compared: texts without regard to case.
    private static func key(_ value: FieldValue) -> FieldValue {
        if case .text(let text) = value { .text(text.lowercased()) } else { value }
    }

    /// nil when equal.
    static func less(_ a: FieldValue, _ b: FieldValue) -> Bool? {
        switch (a, b) {
        case (.integer(let x), .integer(let y)): x == y ? nil : x < y
        case (.number(let x), .number(let y)): x == y ? nil : x < y
        case (.text(let x), .text(let y)):
            x == y ? nil : x < y
        case (.flag(let x), .flag(let y)): x == y ? nil : !x
        default: nil
        }
    }
}

/// A torrent with what it is sorted by, made once. Torrents with the same key stand in the order of adding.
private struct SortedRow {
    let key: FieldValue
    let entry: MirrorState.Entry

    func isBefore(_ other: SortedRow) -> Bool { TorrentQuery.less(key, other.key) ?? (entry.row.torrent < other.entry.row.torrent) }

    /// The first `count` of the sorted rows, or the last ones from the end.
    static func first(_ count: Int, of rows: [SortedRow], reverse: Bool) -> [SortedRow] {
        var best: [SortedRow] = []
        best.reserveCapacity(count + 1)
        func isBefore(_ a: SortedRow, _ b: SortedRow) -> Bool { reverse ? b.isBefore(a) : a.isBefore(b) }
        for row in rows {
            if best.count == count, !isBefore(row, best[count - 1]) { continue }
            var low = 0, high = best.count
            while low < high {
                let middle = (low + high) / 2
                if isBefore(row, best[middle]) { high = middle } else { low = middle + 1 }
            }
            best.insert(row, at: low)
            if best.count > count { best.removeLast() }
        }
        return best
    }
}
