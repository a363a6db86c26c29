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
        let state = TorrentState51(entry.row), shown = entry.shown
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
        if let category, shown[.category] != .text(category) { return false }
        if let tag {
            guard case .text(let all) = shown[.tags] else { return false }
            let tags = all.split(separator: ",").map { $0.drop { $0 == " " } }
            if tag.isEmpty ? !tags.isEmpty : !tags.contains(Substring(tag)) { return false }
        }
        if let isPrivate, entry.flags.contains(.isPrivate) != isPrivate { return false }
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
        if let sort { found.sort { Self.less($0.shown[sort], $1.shown[sort]) ?? ($0.row.torrent < $1.row.torrent) } }
        if reverse { found.reverse() }
        var from = offset
        if from < 0 { from += found.count }
        found.removeFirst(max(0, min(from, found.count)))
        if limit > 0 { found.removeLast(max(0, found.count - limit)) }
        return found
    }

    /// nil when equal.
    static func less(_ a: FieldValue, _ b: FieldValue) -> Bool? {
        switch (a, b) {
        case (.integer(let x), .integer(let y)): x == y ? nil : x < y
        case (.number(let x), .number(let y)): x == y ? nil : x < y
        case (.text(let x), .text(let y)):
            { (x: String, y: String) in x == y ? nil : x < y }(x.lowercased(), y.lowercased())
        case (.flag(let x), .flag(let y)): x == y ? nil : !x
        default: nil
        }
    }
}
