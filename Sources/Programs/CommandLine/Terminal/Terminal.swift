import Glibc

/// Standard output and error: what they are connected to, and writes that are whole or fatal.
package enum Terminal {
    package static var isInteractive: Bool { isatty(1) == 1 && environment("TERM") != "dumb" }

    /// Colour only on a terminal, and not where the user said NO_COLOR (any non-empty value).
    package static var hasColour: Bool { isInteractive && (environment("NO_COLOR") ?? "").isEmpty }

    /// Columns of the terminal, else $COLUMNS, else 80; within 20 ... 500.
    package static var width: Int {
        var size = winsize()
        if ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 { return min(500, max(20, Int(size.ws_col))) }
        return min(500, max(20, environment("COLUMNS").flatMap { Int($0) } ?? 80))
    }

    /// Writes everything. A reader that went away (`| head`) ends the program quietly, as it does for any filter.
    package static func out(_ text: String, newline: Bool = true) { write(newline ? text + "\n" : text, to: 1) }
    package static func error(_ text: String) { write(text + "\n", to: 2) }

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let n = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if n > 0 {
                    rest = UnsafeRawBufferPointer(rebasing: rest[n...])
                } else if errno == EAGAIN {
                    var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&wait, 1, -1)
                } else if errno != EINTR {
                    // Standard error that cannot be written leaves nobody to tell.
                    if descriptor == 1 { exit(errno == EPIPE ? ExitStatus.done.rawValue : ExitStatus.failed.rawValue) }
                    return
                }
            }
        }
    }

    package static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}

/// The few colours in use, by meaning.
package enum Style: String {
    case good = "32", warn = "33", bad = "31", faint = "2", strong = "1", accent = "36"

    package func callAsFunction(_ text: String, colour: Bool) -> String {
        colour ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text
    }
}
