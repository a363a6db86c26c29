/// Numbers as people read them: binary multiples with three significant figures.
package enum Quantity {
    /// "0 B", "1023 B", "1.00 KiB", "12.3 MiB", "456 GiB".
    package static func bytes(_ count: UInt64) -> String {
        guard count >= 1024 else { return "\(count) B" }
        var value = Double(count) / 1024, unit = 0
        // 999.5 would be shown as 1000.
        while value >= 999.5, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return decimals(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0) + " " + units[unit]
    }
    private static let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

    package static func rate(_ bytesPerSecond: UInt64) -> String { bytes(bytesPerSecond) + "/s" }

    /// "0:07", "12:34", "3:04:05", "9d 4h"; "∞" for nil.
    package static func duration(_ seconds: UInt64?) -> String {
        guard let seconds else { return "∞" }
        let (minutes, s) = (seconds / 60, seconds % 60)
        let (hours, m) = (minutes / 60, minutes % 60)
        if hours >= 48 { return "\(hours / 24)d \(hours % 24)h" }
        return hours > 0 ? "\(hours):\(two(m)):\(two(s))" : "\(m):\(two(s))"
    }

    /// "43.2 %"; 100 only when it is complete.
    package static func percent(_ part: UInt64, of whole: UInt64) -> String {
        guard whole > 0 else { return "–" }
        if part >= whole { return "100 %" }
        let tenths = min(999, Int(Double(part) / Double(whole) * 1000))
        return "\(tenths / 10).\(tenths % 10) %"
    }

    package static func decimals(_ value: Double, _ places: Int) -> String {
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        let scaled = UInt64((value * scale).rounded())
        guard places > 0 else { return String(scaled) }
        let fraction = String(scaled % UInt64(scale))
        return "\(scaled / UInt64(scale))." + String(repeating: "0", count: places - fraction.count) + fraction
    }
    private static func two(_ n: UInt64) -> String { n < 10 ? "0\(n)" : "\(n)" }
}
