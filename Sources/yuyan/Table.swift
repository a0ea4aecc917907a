/// Text in columns: the first aligned left, the others right unless they say otherwise.
struct Table {
    private var rows: [[String]] = []
    private let leftColumns: Set<Int>

    init(left: Set<Int> = [0]) { leftColumns = left }

    mutating func add(_ cells: String...) { add(cells) }

    mutating func add(_ cells: [String]) { rows.append(cells) }

    /// The rows, indented by two spaces, each ended by a newline.
    var text: String {
        var widths: [Int] = []
        for row in rows {
            for (column, cell) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], cell.count)
            }
        }
        var result = ""
        for row in rows {
            var line = " "
            for (column, cell) in row.enumerated() {
                let space = String(repeating: " ", count: widths[column] - cell.count)
                line += " " + (leftColumns.contains(column) ? cell + space : space + cell)
                if column + 1 < row.count { line += " " }
            }
            while line.hasSuffix(" ") { line.removeLast() }
            result += line + "\n"
        }
        return result
    }
}

extension Int {
    /// With a comma between thousands.
    var grouped: String {
        var digits = String(magnitude)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        groups.insert(digits, at: 0)
        return (self < 0 ? "-" : "") + groups.joined(separator: ",")
    }

    /// As a size of memory: bytes below 1 KiB, else KiB or MiB.
    var memorySize: String {
        let value = Double(self)
        return switch self {
        case ..<1024: "\(self) B"
        case ..<(1 << 20): (value / 1024).formatted(digits: 1) + " KiB"
        default: (value / Double(1 << 20)).formatted(digits: 1) + " MiB"
        }
    }
}

extension String {
    /// On one line and without control characters, so that a file cannot steer the terminal.
    var printable: String {
        var result = ""
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case _ where scalar == "\n": result += "\\n"
            case _ where scalar == "\t": result += "\\t"
            case _ where scalar == "\r": result += "\\r"
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate:
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// At most `count` characters, the cut marked.
    func abbreviated(to count: Int) -> String {
        self.count <= count ? self : prefix(count) + "… (\(utf8.count.grouped) bytes)"
    }
}
