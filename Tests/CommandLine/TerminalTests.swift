import Foundation
import Testing

@testable import CommandLine

@Suite struct PrintableTests {
    struct Case: Sendable { let text: String, shown: String }
    @Test(arguments: [
        Case(text: "plain ünïcode ファイル", shown: "plain ünïcode ファイル"),
        Case(text: "\u{1B}[2J\u{1B}]0;owned\u{07}", shown: "\\x1b[2J\\x1b]0;owned\\x07"),
        Case(text: "line\r\nbreak", shown: "line\\x0d\\x0abreak"),
        Case(text: "\u{9B}31m", shown: "\\x9b31m"),
        Case(text: "gpj.\u{202E}exe", shown: "gpj.\\u{202e}exe"),
        Case(text: "\u{2066}a\u{2069}\u{2028}\u{FEFF}", shown: "\\u{2066}a\\u{2069}\\u{2028}\\u{feff}"),
        Case(text: "", shown: ""),
    ]) func escapesWhatSteersATerminal(_ c: Case) { #expect(Printable.escape(c.text) == c.shown) }

    @Test func columnsCountWideAndCombining() {
        #expect(Printable.columns("abc") == 3)
        #expect(Printable.columns("ファイル") == 8)
        #expect(Printable.columns("e\u{301}") == 1)
    }
    @Test func truncationNeverExceedsItsWidth() {
        for width in 0...12 {
            for text in ["ファイル名前", "short", "a longer text than that", "e\u{301}e\u{301}e\u{301}"] {
                #expect(Printable.columns(Printable.truncate(text, to: width)) <= width)
            }
        }
        #expect(Printable.truncate("abcdef", to: 4) == "abc…")
        #expect(Printable.truncate("abcd", to: 4) == "abcd")
    }
}

@Suite struct QuantityTests {
    struct Bytes: Sendable { let n: UInt64, text: String }
    @Test(arguments: [
        Bytes(n: 0, text: "0 B"), Bytes(n: 1023, text: "1023 B"), Bytes(n: 1024, text: "1.00 KiB"), Bytes(n: 10 << 20, text: "10.0 MiB"),
        Bytes(n: 1_048_575, text: "1.00 MiB"), Bytes(n: 300 << 20, text: "300 MiB"), Bytes(n: .max, text: "16.0 EiB"),
        Bytes(n: (1 << 40) - 1, text: "1.00 TiB"),
    ]) func bytes(_ c: Bytes) { #expect(Quantity.bytes(c.n) == c.text) }

    @Test func hundredPercentMeansAll() {
        #expect(Quantity.percent(999_999, of: 1_000_000) == "99.9 %")
        #expect(Quantity.percent(1_000_000, of: 1_000_000) == "100 %")
        #expect(Quantity.percent(0, of: 0) == "–")
        #expect(Quantity.percent(123, of: 1000) == "12.3 %")
    }
    @Test func durations() {
        #expect(Quantity.duration(nil) == "∞")
        #expect(Quantity.duration(7) == "0:07")
        #expect(Quantity.duration(3 * 3600 + 4 * 60 + 5) == "3:04:05")
        #expect(Quantity.duration(9 * 86400 + 4 * 3600) == "9d 4h")
    }
}

@Suite struct TableTests {
    @Test func alignsEscapesAndCuts() {
        var table = Table([.left("A"), .text("NAME"), .right("N")])
        table.add([.init("x"), .init("a name that is much too long for it"), .init("1")])
        table.add([.init("yy"), .init("esc\u{1B}"), .init("22")])
        let wide = table.render(width: nil, colour: false)
        #expect(wide[1] == "x   a name that is much too long for it   1")
        #expect(wide[2].contains("esc\\x1b"))
        for line in table.render(width: 24, colour: false) { #expect(Printable.columns(line) <= 24, "\(line)") }
    }
    @Test func colourAddsNothingToTheWidth() {
        var table = Table([.left("A"), .left("B")])
        table.add([.init("red", .bad), .init("z")])
        #expect(table.render(width: nil, colour: true)[1] == "\u{1B}[31mred\u{1B}[0m  z")
        #expect(table.render(width: nil, colour: false)[1] == "red  z")
    }
}

@Suite struct ProgressTests {
    @Test(arguments: [0.0, 0.001, 0.25, 0.5, 0.999, 1, 1.5, -1]) func barKeepsItsWidth(_ fraction: Double) {
        for width in [1, 7, 60] { #expect(Printable.columns(ProgressBar.bar(fraction, width: width)) == width) }
    }
    @Test func barFillsFromTheLeft() {
        #expect(ProgressBar.bar(0.5, width: 4) == "██  ")
        #expect(ProgressBar.bar(0.5 + 1.0 / 64, width: 8) == "████▏   ")
    }
    @Test func pieceMapShowsSharesAndOnlyAllIsFull() {
        #expect(ProgressBar.pieceMap([0b1010_0000], count: 4, width: 4) == "█·█·")
        #expect(ProgressBar.pieceMap([0b1110_0000], count: 4, width: 1) == "▓")
        #expect(ProgressBar.pieceMap([0b1111_0000], count: 4, width: 1) == "█")
        #expect(ProgressBar.pieceMap([0b1000_0000], count: 8, width: 1) == "░")
        #expect(ProgressBar.pieceMap([], count: 1000, width: 10) == "··········")
        // Every piece belongs to a column, whatever the proportion.
        for count in [1, 7, 100, 1001] {
            for width in [1, 3, 80] {
                let bits = [UInt8](repeating: 0xFF, count: (count + 7) / 8)
                #expect(ProgressBar.pieceMap(bits, count: count, width: width) == String(repeating: "█", count: width))
            }
        }
    }
    @Test func drawingFitsTheTerminal() {
        let sample = ProgressSample(
            name: "ファイル \u{1B}[31m with a very long name that does not fit into forty columns", state: "downloading", done: 5 << 30, size: 9 << 30,
            downRate: 120 << 20, upRate: 3 << 20, peers: 17, pieces: [0xF0], pieceCount: 8)
        for width in [40, 80, 200] {
            let lines = ProgressBar.lines(sample, width: width, colour: false)
            #expect(lines.count == 4)
            for line in lines {
                #expect(Printable.columns(line) <= width, "\(line)")
                #expect(!line.unicodeScalars.contains("\u{1B}"))
            }
        }
        #expect(sample.secondsLeft == 35)
        var still = sample
        still.downRate = 0
        #expect(still.secondsLeft == nil)
    }
}

@Suite struct JSONOutputTests {
    @Test func noByteSteersATerminalAndTheValueIsKept() throws {
        let text = "\u{1B}[31m \u{7F} \u{85} \u{9B} \" \\ ü"
        let json = JSONOutput.text([text])
        #expect(!json.unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) })
        #expect(try JSONDecoder().decode([String].self, from: Data(json.utf8)) == [text])
    }
}
