import Control
import HTTPTypes
import Primitives

/// Which files are wanted, in the words of the two clients' protocols.
enum FileChoice {
    /// 0 skip, 1 normal, 6 high, 7 maximum. It has no level below normal.
    static func qBittorrentNumber(_ name: String) -> Int {
        switch name {
        case "skip": 0
        case "high": 6
        case "maximum": 7
        default: 1
        }
    }
    private static func name(_ number: Substring) -> String? { ["0": "skip", "1": "normal", "4": "normal", "6": "high", "7": "maximum"][number] }

    /// `filePriorities` of an addition: a number for each file, by comma.
    static func levels(_ text: String?) throws(Refusal) -> [String]? {
        guard let text, !text.isEmpty else { return nil }
        var out: [String] = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let name = name(word) else { throw Refusal(.badRequest, "Priority is not valid") }
            out.append(name)
        }
        return out
    }

    /// `torrents/filePrio`: `id` is one file or several, by |.
    static func set(_ exchange: Exchange, _ entry: MirrorState.Entry, _ gateway: Gateway) async throws -> Reply {
        let words = try exchange.required("id").split(separator: "|")
        guard let level = name(Substring(try exchange.required("priority"))) else { throw Refusal(.badRequest, "Priority is not valid") }
        let ids = words.compactMap { UInt32($0) }
        guard ids.count == words.count, !ids.isEmpty else { throw Refusal(.badRequest, "File IDs must be integers") }
        guard entry.flags.contains(.hasMetadata) else { throw Refusal(.conflict, "Torrent's metadata has not yet downloaded") }
        do throws(ControlError) {
            _ = try await gateway.call(ControlMethods.SetFilePriority.self, FilePriorityParameters(hash: entry.hash, files: ranges(ids), level: level))
        } catch {
            throw error.code == .invalidParameters ? Refusal(.conflict, "One or more files IDs are invalid") : QBittorrentAPI.refusal(error)
        }
        return .done
    }

    /// "0-3", "7": all files of a torrent are one range.
    static func ranges(_ ids: [UInt32]) -> [String] {
        var out: [ClosedRange<UInt32>] = []
        for id in ids.sorted() {
            if let last = out.last, id <= last.upperBound &+ 1, last.upperBound < .max { out[out.count - 1] = last.lowerBound...max(id, last.upperBound) } else { out.append(id...id) }
        }
        return out.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
    }

    /// -1 low, 0 normal, 1 high.
    static func transmissionNumber(_ name: String) -> Int {
        switch name {
        case "low": -1
        case "high", "maximum": 1
        default: 0
        }
    }

    /// What `torrent-add` and `torrent-set` say of files, by their places in the list. A file that is not wanted has no priority here:
    /// one that is given to it holds only when the same request wants it.
    struct Transmission {
        private var wanted: [Int]?, unwanted: [Int]?
        private var priorities: [(places: [Int], level: String)] = []

        /// Places above this are refused: no torrent of 32 MiB has more files.
        private static let limit = 1_000_000

        init(_ a: [String: Any]) throws(Refusal) {
            func places(_ name: String) throws(Refusal) -> [Int]? {
                guard let list = a[name] else { return nil }
                guard let places = list as? [Int], places.allSatisfy({ (0..<Self.limit).contains($0) }) else { throw Refusal(.badRequest, "\(name) is no list of files") }
                return places
            }
            wanted = try places("files-wanted")
            unwanted = try places("files-unwanted")
            for (name, level) in [("priority-low", "low"), ("priority-normal", "normal"), ("priority-high", "high")] {
                if let list = try places(name) { priorities.append((list, level)) }
            }
        }

        var isEmpty: Bool { wanted == nil && unwanted == nil && priorities.isEmpty }

        /// Of a torrent that is added now: all that is not said otherwise is wanted.
        var levels: [String]? {
            guard let last = (priorities.flatMap(\.places) + (unwanted ?? [])).max() else { return nil }
            var out = [String](repeating: "normal", count: last + 1)
            for (places, level) in priorities { for place in places { out[place] = level } }
            for place in unwanted ?? [] { out[place] = "skip" }
            return out
        }

        /// Of one that is there. An empty list means all of its files.
        func apply(to entry: MirrorState.Entry, _ gateway: Gateway) async throws {
            let files = try await gateway.call(ControlMethods.Files.self, HashParameters(hash: entry.hash)).files
            func each(_ places: [Int]?) throws(Refusal) -> [Int] {
                guard let places else { return [] }
                if let last = places.max(), last >= files.count { throw Refusal(.badRequest, "there is no file \(last)") }
                return places.isEmpty ? Array(files.indices) : places
            }
            var after = files.map(\.priority)
            for place in try each(wanted) where after[place] == "skip" { after[place] = "normal" }
            for (places, level) in priorities { for place in try each(places) where after[place] != "skip" { after[place] = level } }
            for place in try each(unwanted) { after[place] = "skip" }
            for level in FileLevel.names {
                let ids = files.indices.filter { after[$0] == level && files[$0].priority != level }.map { UInt32(files[$0].index) }
                guard !ids.isEmpty else { continue }
                _ = try await gateway.call(ControlMethods.SetFilePriority.self, FilePriorityParameters(hash: entry.hash, files: FileChoice.ranges(ids), level: level))
            }
        }
    }
}
