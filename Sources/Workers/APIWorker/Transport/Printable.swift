/// Text of a client for a line of the log.
enum Text {
    static func printable(_ text: String, limit: Int) -> String {
        String(text.unicodeScalars.prefix(limit).map { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) ? "." : Character($0) })
    }
}
