/// Rows in aligned columns. Cells are escaped here, so callers pass raw text.
package struct Table {
    package struct Column {
        let title: String
        let right: Bool
        /// Gives way first when the terminal is too narrow.
        let flexible: Bool
        package static func left(_ title: String) -> Column { Column(title: title, right: false, flexible: false) }
        package static func right(_ title: String) -> Column { Column(title: title, right: true, flexible: false) }
        package static func text(_ title: String) -> Column { Column(title: title, right: false, flexible: true) }
    }
    package struct Cell: ExpressibleByStringInterpolation {
        let text: String
        let style: Style?
        package init(_ text: String, _ style: Style? = nil) {
            self.text = Printable.escape(text)
            self.style = style
        }
        package init(stringLiteral value: String) { self.init(value) }
    }

    private let columns: [Column]
    private var rows: [[Cell]] = []

    package init(_ columns: [Column]) { self.columns = columns }

    package mutating func add(_ cells: [Cell]) {
        precondition(cells.count == columns.count, "\(cells.count) cells for \(columns.count) columns")
        rows.append(cells)
    }

    /// `width` nil: nothing is cut (output to a file or pipe).
    package func render(width: Int?, colour: Bool) -> [String] {
        var widths = columns.indices.map { i in
            rows.reduce(Printable.columns(columns[i].title)) { max($0, Printable.columns($1[i].text)) }
        }
        if let width {
            var excess = widths.reduce(0, +) + 2 * (columns.count - 1) - width
            for i in columns.indices where columns[i].flexible && excess > 0 {
                let cut = min(excess, max(0, widths[i] - 12))
                widths[i] -= cut
                excess -= cut
            }
        }
        func line(_ cells: [Cell]) -> String {
            var out = ""
            for (i, cell) in cells.enumerated() {
                var text = Printable.truncate(cell.text, to: widths[i])
                if i < cells.count - 1 || columns[i].right { text = Printable.pad(text, to: widths[i], right: columns[i].right) }
                out += (i == 0 ? "" : "  ") + (cell.style.map { $0(text, colour: colour) } ?? text)
            }
            return out
        }
        return [line(columns.map { Cell($0.title, .faint) })] + rows.map(line)
    }

    package func show() {
        for line in render(width: Terminal.isInteractive ? Terminal.width : nil, colour: Terminal.hasColour) { Terminal.out(line) }
    }
}
