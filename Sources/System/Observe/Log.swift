import Glibc

/// The log: one line per record on descriptor 2, one write(2) each, so that lines of several processes never mix.
///
///     2026-11-22T19:30:00Z info peer:0 listening on 0.0.0.0:64122
///
/// A log never blocks or fails its caller for long: a full pipe, a full disk or a closed stderr costs the line, nothing else.
package struct Log: Sendable {
    package enum Level: UInt8, Comparable, Sendable, CaseIterable, CustomStringConvertible {
        case debug, info, notice, warning, error, critical

        package static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
        package var description: String {
            switch self {
            case .debug: "debug"
            case .info: "info"
            case .notice: "notice"
            case .warning: "warning"
            case .error: "error"
            case .critical: "critical"
            }
        }
        package init?(name: String) {
            guard let level = Level.allCases.first(where: { $0.description == name }) else { return nil }
            self = level
        }
    }

    /// Records below it are not even formatted. Set once, before a second thread starts.
    package nonisolated(unsafe) static var level = Level.info

    /// Who speaks in ``log(_:_:)``: the process's own name, "peer:0". Set once, like the level.
    package nonisolated(unsafe) static var label = "ccbt"

    @inline(__always) package static func log(_ level: Level, _ text: @autoclosure () -> String) {
        if level >= Log.level { write(level, label, text()) }
    }

    /// Who speaks through this value.
    package let name: String
    package init(_ name: String) { self.name = name }

    /// A line longer than this (bytes) is cut; PIPE_BUF, up to which a write to a pipe is one piece.
    package static let lineLimit = 4096

    @inline(__always) package func callAsFunction(_ level: Level, _ text: @autoclosure () -> String) {
        if level >= Log.level { Log.write(level, name, text()) }
    }
    @inline(__always) package func debug(_ text: @autoclosure () -> String) { self(.debug, text()) }
    @inline(__always) package func info(_ text: @autoclosure () -> String) { self(.info, text()) }
    @inline(__always) package func notice(_ text: @autoclosure () -> String) { self(.notice, text()) }
    @inline(__always) package func warning(_ text: @autoclosure () -> String) { self(.warning, text()) }
    @inline(__always) package func error(_ text: @autoclosure () -> String) { self(.error, text()) }
    @inline(__always) package func critical(_ text: @autoclosure () -> String) { self(.critical, text()) }

    static func write(_ level: Level, _ name: String, _ text: String) {
        var t = timespec()
        clock_gettime(CLOCK_REALTIME, &t)
        emit(line(unixSeconds: Int64(t.tv_sec), level, name, text), to: 2)
    }

    /// One write. Whatever it answers (EAGAIN, EPIPE, ENOSPC …) is ignored: there is nowhere to report it.
    static func emit(_ line: [UInt8], to descriptor: Int32) {
        line.withUnsafeBytes { bytes in while Glibc.write(descriptor, bytes.baseAddress, bytes.count) < 0 && errno == EINTR {} }
    }

    static func line(unixSeconds: Int64, _ level: Level, _ name: String, _ text: String) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(64 + text.utf8.count)
        Timestamp.append(unixSeconds: unixSeconds, to: &out)
        out.append(UInt8(ascii: " "))
        out.append(contentsOf: level.description.utf8)
        out.append(UInt8(ascii: " "))
        appendEscaped(name, to: &out, limit: lineLimit - 1)
        out.append(UInt8(ascii: " "))
        appendEscaped(text, to: &out, limit: lineLimit - 1)
        out.append(UInt8(ascii: "\n"))
        return out
    }

    /// Names from the network stand in logs: a control character, or one that turns the direction of text, would let them
    /// forge lines or repaint the reader's terminal, so these are written as \xNN or \u{NNNN}.
    static func appendEscaped(_ text: String, to out: inout [UInt8], limit: Int) {
        for scalar in text.unicodeScalars {
            var piece: [UInt8]
            switch scalar.value {
            case 0x20...0x7E where scalar != "\\": piece = [UInt8(scalar.value)]
            case 0x5C: piece = Array(#"\\"#.utf8)
            case 0x00...0x1F, 0x7F...0x9F:
                let digits = String(scalar.value, radix: 16)
                piece = Array((digits.utf8.count == 1 ? "\\x0" : "\\x").utf8) + Array(digits.utf8)
            case 0x061C, 0x200B...0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF:
                piece = Array("\\u{\(String(scalar.value, radix: 16))}".utf8)
            default: piece = Array(String(scalar).utf8)
            }
            if out.count + piece.count > limit { return }
            out.append(contentsOf: piece)
        }
    }
}

/// RFC 3339 in UTC, without Foundation.
package enum Timestamp {
    /// "2026-11-22T19:30:00Z".
    package static func text(unixSeconds: Int64) -> String {
        var out: [UInt8] = []
        append(unixSeconds: unixSeconds, to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    static func append(unixSeconds: Int64, to out: inout [UInt8]) {
        let (days, second) = (floorDivide(unixSeconds, 86_400), Int(unixSeconds - floorDivide(unixSeconds, 86_400) * 86_400))
        let (year, month, day) = civil(days: days)
        digits(year, 4, &out)
        out.append(UInt8(ascii: "-"))
        digits(month, 2, &out)
        out.append(UInt8(ascii: "-"))
        digits(day, 2, &out)
        out.append(UInt8(ascii: "T"))
        digits(second / 3600, 2, &out)
        out.append(UInt8(ascii: ":"))
        digits(second / 60 % 60, 2, &out)
        out.append(UInt8(ascii: ":"))
        digits(second % 60, 2, &out)
        out.append(UInt8(ascii: "Z"))
    }

    /// The proleptic Gregorian date of a day counted from 1970-01-01: years are taken to start in March, so that the leap day
    /// is a year's last, and to repeat every 400 years (146,097 days).
    private static func civil(days: Int64) -> (Int, Int, Int) {
        let shifted = days + 719_468  // days from 0000-03-01 to 1970-01-01
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = Int(shifted - era * 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + Int(era) * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }

    private static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 { a >= 0 ? a / b : -((-a + b - 1) / b) }

    private static func digits(_ value: Int, _ width: Int, _ out: inout [UInt8]) {
        let text = String(value)
        for _ in 0..<max(0, width - text.utf8.count) { out.append(UInt8(ascii: "0")) }
        out.append(contentsOf: text.utf8)
    }
}
