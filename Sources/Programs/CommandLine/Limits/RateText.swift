import ArgumentParser

/// A rate as people write it: "500K", "1M", "1.5M", "200KiB/s", "0" or "none" for no limit. Multiples are binary.
struct RateText: ExpressibleByArgument, Equatable {
    let bytesPerSecond: Int64

    init?(argument: String) {
        var text = argument.lowercased()
        if text == "none" || text == "unlimited" { text = "0" }
        for ending in ["/s", "ib", "b"] where text.hasSuffix(ending) { text.removeLast(ending.count) }
        var scale = 1.0
        if let letter = text.last, let power = ["k": 1024.0, "m": 1_048_576, "g": 1_073_741_824][letter] {
            scale = power
            text.removeLast()
        }
        guard text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 || $0 == 46 }), let number = Double(text), number.isFinite else { return nil }
        let bytes = number * scale
        // 400 Gbit/s, the bound of the options.
        guard bytes <= 50_000_000 * 1024 else { return nil }
        bytesPerSecond = Int64(bytes.rounded())
    }
    var defaultValueDescription: String { Quantity.rate(UInt64(bytesPerSecond)) }

    /// For options, which hold KiB/s: a limit never becomes none.
    var kib: Int64 { bytesPerSecond == 0 ? 0 : max(1, (bytesPerSecond + 512) / 1024) }

    static let help = "K, M and G are binary multiples; 0 for no limit"
    /// "1.00 MiB/s", or "–" for no limit.
    static func show(_ rate: UInt64) -> String { rate == 0 ? "–" : Quantity.rate(rate) }
}

/// A rate of one torrent: as ``RateText``, or "default".
struct OwnRateText: ExpressibleByArgument {
    /// -1: as the settings say.
    let bytesPerSecond: Int64

    init?(argument: String) {
        if argument.lowercased() == "default" {
            bytesPerSecond = -1
        } else {
            guard let rate = RateText(argument: argument) else { return nil }
            bytesPerSecond = rate.bytesPerSecond
        }
    }
}
