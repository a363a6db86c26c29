import Primitives

/// Times of the week in local time: entries as "mon-fri 22:00-06:00", "sat+sun 00:00-24:00" or "daily 1:00-7:30". An
/// entry whose end is not after its begin goes on into the next day. Pure: who knows the local time passes it in.
package struct WeekSchedule: Hashable, Sendable {
    package static let maximumCount = 16
    private static let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

    package struct Entry: Hashable, Sendable {
        /// Bit 0 is Monday.
        package var days: UInt8
        /// Minutes from midnight, the end exclusive, 0...1440.
        package var from: Int
        package var to: Int
    }
    package let entries: [Entry]

    /// nil when an entry cannot be read.
    package init?(_ texts: [String]) {
        guard texts.count <= Self.maximumCount else { return nil }
        var entries: [Entry] = []
        for text in texts {
            guard let entry = Self.entry(text.lowercased()) else { return nil }
            entries.append(entry)
        }
        self.entries = entries
    }

    /// `weekday` 0 is Monday; `minute` 0..<1440 of that day.
    package func isActive(weekday: Int, minute: Int) -> Bool {
        let yesterday = (weekday + 6) % 7
        return entries.contains { e in
            let today = e.days >> UInt8(weekday) & 1 == 1
            if e.from < e.to { return today && e.from <= minute && minute < e.to }
            return today && e.from <= minute || e.days >> UInt8(yesterday) & 1 == 1 && minute < e.to
        }
    }

    /// An entry as it is read: "mon+tue 22:00-06:00". Needs a day.
    package static func text(days mask: UInt8, from: Int, to: Int) -> String {
        func two(_ n: Int) -> String { (n < 10 ? "0" : "") + String(n) }
        let names = days.indices.filter { mask >> UInt8($0) & 1 == 1 }.map { days[$0] }
        return "\(names.count == 7 ? "daily" : names.joined(separator: "+")) \(two(from / 60)):\(two(from % 60))-\(two(to / 60)):\(two(to % 60))"
    }

    private static func entry(_ text: String) -> Entry? {
        let parts = text.split(separator: " ")
        guard parts.count == 2, let days = days(of: parts[0]) else { return nil }
        let times = parts[1].split(separator: "-", omittingEmptySubsequences: false)
        guard times.count == 2, let from = minute(times[0]), let to = minute(times[1]), from < 1440 else { return nil }
        return Entry(days: days, from: from, to: to)
    }

    private static func days(of text: Substring) -> UInt8? {
        if text == "daily" { return 0x7F }
        var out: UInt8 = 0
        for part in text.split(separator: "+", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count <= 2, let first = days.firstIndex(of: String(ends[0])), let last = days.firstIndex(of: String(ends[ends.count - 1])) else {
                return nil
            }
            var day = first
            while true {
                out |= 1 << UInt8(day)
                if day == last { break }
                day = (day + 1) % 7
            }
        }
        return out == 0 ? nil : out
    }

    private static func minute(_ text: Substring) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.count <= 2, parts[1].utf8.count == 2, let hour = UInt8(parts[0]), let minute = UInt8(parts[1]),
            hour < 24 && minute < 60 || hour == 24 && minute == 0
        else { return nil }
        return Int(hour) * 60 + Int(minute)
    }
}
