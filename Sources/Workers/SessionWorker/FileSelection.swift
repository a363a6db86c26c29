import Catalog
import Control
import IPC
import Metainfo
import Primitives

/// Which files are wanted, and where somebody plays.
extension SessionShell {
    /// What an `add` says: `only` first, then the priorities.
    static func levels(only: [String]?, priorities: [String]?, of count: Int?) throws(ControlError) -> FileLevels {
        var levels = FileLevels()
        guard (only ?? []).count <= 10_000, (priorities ?? []).count <= 10_000 else { throw ControlError(.tooLarge, "at most 10,000 files or ranges") }
        if let only {
            var ranges: [ClosedRange<UInt32>] = []
            for text in only { ranges.append(try range(text, of: count)) }
            guard !ranges.isEmpty else { throw ControlError(.invalidParameters, "only names no file") }
            levels = .only(ranges)
        }
        for text in priorities ?? [] {
            let sides = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, let level = FileLevel.named(String(sides[1])) else {
                throw ControlError(.invalidParameters, "\(Text.printable(text, limit: 60)): a priority is INDEX=\(FileLevel.names.joined(separator: "|"))")
            }
            let range = try range(String(sides[0]), of: count)
            guard levels.set(range.lowerBound, range.upperBound, to: level) else { throw tooMany }
        }
        return count.map { levels.clipped(to: $0) } ?? levels
    }
    /// By position among the files that are no padding.
    static func levels(_ names: [String], of files: TorrentFiles?) throws(ControlError) -> FileLevels {
        // A file that does not read is refused elsewhere, for what it is.
        guard let files else { return FileLevels() }
        var all: [UInt8] = [], at = 0
        for file in files {
            // Padding goes with the file before it.
            guard !file.isPad, at < names.count else {
                all.append(at < names.count ? all.last ?? FileLevel.normal : FileLevel.normal)
                continue
            }
            guard let level = FileLevel.named(names[at]) else { throw ControlError(.invalidParameters, "a priority is one of \(FileLevel.names.joined(separator: ", "))") }
            all.append(level)
            at += 1
        }
        if at < names.count { throw ControlError(.invalidParameters, "there are \(at) files, and \(names.count) priorities") }
        guard let levels = FileLevels(all) else { throw tooMany }
        return levels
    }
    private static var tooMany: ControlError { ControlError(.tooLarge, "more than \(FileLevels.limit) runs of files with a priority of their own") }

    /// "3" or "3-7". `count` nil: not known yet.
    private static func range(_ text: String, of count: Int?) throws(ControlError) -> ClosedRange<UInt32> {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt32($0) }
        guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1], first <= last, last < UInt32.max else {
            throw ControlError(.invalidParameters, "\(Text.printable(text, limit: 60)) is no file number and no range of them")
        }
        if let count, Int(last) >= count { throw ControlError(.invalidParameters, "there is no file \(last): the last is \(count - 1)") }
        return first...last
    }

    func setFilePriority(_ from: Asker, _ p: FilePriorityParameters) throws(ControlError) {
        let id = try find(p.hash), facts = core.row(id)!.record.facts, files = self.files
        guard let level = FileLevel.named(p.level) else { throw ControlError(.invalidParameters, "a priority is \(FileLevel.names.joined(separator: ", "))") }
        guard !p.files.isEmpty, p.files.count <= 10_000 else { throw ControlError(.invalidParameters, "1..10000 files or ranges") }
        let token = wait(from, .pool)
        // How many files there are stands in the stored .torrent; of a magnet nobody knows yet.
        pool({ () -> Int? in facts.hasMetadata ? files.read(facts.infoHash).flatMap { (try? Metainfo(parsing: $0))?.files.count } : nil }) { [self] count in
            // With what is pending: two wishes at a time must not undo each other.
            guard let record = core.foreseen(id) else { return finish(token, error: ControlError(.notFound, "no such torrent")) }
            do throws(ControlError) {
                var levels = record.levels
                var ranges: [ClosedRange<UInt32>] = []
                for text in p.files { ranges.append(try Self.range(text, of: count)) }
                guard levels.set(ranges, to: level) else { throw Self.tooMany }
                if let count { levels = levels.clipped(to: count) }
                feed(.command(token: token, .select(id, levels)))
                act()
            } catch {
                finish(token, error: error)
            }
        }
    }
}
