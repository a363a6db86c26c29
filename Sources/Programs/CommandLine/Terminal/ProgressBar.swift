/// What the progress display needs to know of one torrent at one moment.
package struct ProgressSample: Equatable {
    package var name: String
    package var state: String
    /// Bytes.
    package var done: UInt64, size: UInt64
    /// Bytes a second.
    package var downRate: UInt64, upRate: UInt64
    package var peers: Int
    /// One bit a piece, first piece in the high bit; empty while unknown.
    package var pieces: [UInt8]
    package var pieceCount: Int

    package init(
        name: String, state: String, done: UInt64, size: UInt64, downRate: UInt64, upRate: UInt64, peers: Int,
        pieces: [UInt8] = [], pieceCount: Int = 0
    ) {
        (self.name, self.state, self.done, self.size) = (name, state, done, size)
        (self.downRate, self.upRate, self.peers) = (downRate, upRate, peers)
        (self.pieces, self.pieceCount) = (pieces, pieceCount)
    }

    /// Seconds to completion at this rate; nil when nothing arrives.
    package var secondsLeft: UInt64? {
        if done >= size { return 0 }
        return downRate == 0 ? nil : (size - done + downRate - 1) / downRate
    }
}

/// Draws a sample: a bar, a line of figures, and a line of pieces. Pure text; ``LiveDisplay`` puts it on the screen.
package enum ProgressBar {
    package static func lines(_ s: ProgressSample, width: Int, colour: Bool) -> [String] {
        let name = Printable.truncate(Printable.escape(s.name), to: width)
        let percent = Printable.pad(Quantity.percent(s.done, of: s.size), to: 6, right: true)
        let amount = "\(Quantity.bytes(s.done)) of \(Quantity.bytes(s.size))"
        let room = max(4, width - Printable.columns(percent) - Printable.columns(amount) - 6)
        let bar = bar(s.size == 0 ? 0 : Double(s.done) / Double(s.size), width: room)
        let eta = s.done >= s.size ? "" : "   ETA \(Quantity.duration(s.secondsLeft))"
        let figures = "↓ \(Quantity.rate(s.downRate))   ↑ \(Quantity.rate(s.upRate))   peers \(s.peers)\(eta)   \(Printable.escape(s.state))"
        var out = [
            Style.strong(name, colour: colour),
            "▕" + Style.good(bar, colour: colour) + "▏ \(percent)  \(amount)",
            Printable.truncate(figures, to: width),
        ]
        if s.pieceCount > 0 {
            out.append(Style.accent(pieceMap(s.pieces, count: s.pieceCount, width: min(width, s.pieceCount)), colour: colour))
        }
        return out
    }

    /// Eighths of a cell, so that a bar of 60 columns has 480 steps.
    package static func bar(_ fraction: Double, width: Int) -> String {
        let steps = Int((min(1, max(0, fraction)) * Double(width * 8)).rounded(.down))
        let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][steps % 8]
        let full = String(repeating: "█", count: steps / 8)
        return full + partial + String(repeating: " ", count: width - steps / 8 - (partial.isEmpty ? 0 : 1))
    }

    /// Each column stands for an equal share of the pieces, darker the more of them are there; "█" means all.
    package static func pieceMap(_ bits: [UInt8], count: Int, width: Int) -> String {
        guard count > 0, width > 0 else { return "" }
        var out = ""
        for column in 0..<width {
            let first = column * count / width, end = max(first + 1, (column + 1) * count / width)
            var have = 0
            for piece in first..<end where piece / 8 < bits.count && bits[piece / 8] & (0x80 >> UInt8(piece % 8)) != 0 { have += 1 }
            let share = end - first
            out += have == 0 ? "·" : have == share ? "█" : have * 3 < share ? "░" : have * 3 < share * 2 ? "▒" : "▓"
        }
        return out
    }

    /// One line without any control sequence, for logs and pipes.
    package static func plain(_ s: ProgressSample) -> String {
        "\(Quantity.percent(s.done, of: s.size))  \(Quantity.bytes(s.done)) of \(Quantity.bytes(s.size))  "
            + "↓ \(Quantity.rate(s.downRate))  ↑ \(Quantity.rate(s.upRate))  peers \(s.peers)  "
            + "ETA \(Quantity.duration(s.secondsLeft))  \(Printable.escape(s.state))"
    }
}

/// Redraws a few lines in place on a terminal; elsewhere prints a plain line when the state changes, and one
/// every 5 seconds.
package struct LiveDisplay {
    package let isInteractive: Bool
    private var drawn = 0
    private var lastState = ""
    private var nextPlainSeconds = 0.0

    package init(interactive: Bool) { isInteractive = interactive }

    package mutating func show(_ sample: ProgressSample, elapsedSeconds: Double) {
        guard isInteractive else {
            if sample.state != lastState || elapsedSeconds >= nextPlainSeconds {
                Terminal.out(ProgressBar.plain(sample))
                lastState = sample.state
                nextPlainSeconds = elapsedSeconds + 5
            }
            return
        }
        let lines = ProgressBar.lines(sample, width: Terminal.width, colour: Terminal.hasColour)
        Terminal.out(erase() + lines.joined(separator: "\n"))
        drawn = lines.count
    }

    /// Takes the drawing off the screen, so that ordinary lines can follow.
    package mutating func clear() {
        guard isInteractive, drawn > 0 else { return }
        Terminal.out(erase(), newline: false)
        drawn = 0
    }

    /// Leaves the last drawing where it is.
    package mutating func keep() { drawn = 0 }

    private func erase() -> String { drawn == 0 ? "" : "\u{1B}[\(drawn)A\r\u{1B}[J" }
}
