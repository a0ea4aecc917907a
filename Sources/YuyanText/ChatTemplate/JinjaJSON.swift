/// Writes values as Python's `json.dumps` does.
struct JinjaJSON {
    var ensuresASCII = false
    /// One level of indentation, or nil for a single line.
    var indent: String?
    var itemSeparator = ", "
    var keySeparator = ": "
    var sortsKeys = false
    private var writer: JinjaWriter

    init(limit: Int) { writer = JinjaWriter(limit: limit) }

    mutating func dump(_ value: JinjaValue) throws(JinjaFault) -> String {
        try write(value, level: 0)
        return writer.text
    }

    private mutating func write(_ value: JinjaValue, level: Int) throws(JinjaFault) {
        switch value {
        case .none: try writer.write("null")
        case .bool(let flag): try writer.write(flag ? "true" : "false")
        case .integer(let number): try writer.write("\(number)")
        case .float(let number): try writer.write(Self.text(number))
        case .string(let text), .markup(let text): try writer.write(quoted(text))
        case .list(let list), .tuple(let list):
            guard !list.items.isEmpty else { return try writer.write("[]") }
            try writer.write("[")
            for (place, item) in list.items.enumerated() {
                try separate(place, level: level + 1)
                try write(item, level: level + 1)
            }
            try breakLine(level: level)
            try writer.write("]")
        case .dict(let dict):
            guard !dict.keys.isEmpty else { return try writer.write("{}") }
            try writer.write("{")
            for (place, entry) in try sorted(dict.entries).enumerated() {
                try separate(place, level: level + 1)
                try writer.write(quoted(try Self.name(entry.key)))
                try writer.write(keySeparator)
                try write(entry.value, level: level + 1)
            }
            try breakLine(level: level)
            try writer.write("}")
        default:
            throw .wrong("a value of type \(value.typeName) cannot be written as JSON")
        }
    }

    private func sorted(
        _ entries: [(key: JinjaValue, value: JinjaValue)]
    ) throws(JinjaFault) -> [(key: JinjaValue, value: JinjaValue)] {
        guard sortsKeys else { return entries }
        return try stableSort(entries, by: { $0.key })
    }

    private mutating func separate(_ place: Int, level: Int) throws(JinjaFault) {
        if place > 0 { try writer.write(itemSeparator) }
        try breakLine(level: level)
    }

    private mutating func breakLine(level: Int) throws(JinjaFault) {
        guard let indent else { return }
        try writer.write("\n")
        for _ in 0..<level { try writer.write(indent) }
    }

    private static func text(_ number: Double) -> String {
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
        return pythonText(number)
    }

    private static func name(_ key: JinjaValue) throws(JinjaFault) -> String {
        switch key {
        case .string(let text), .markup(let text): text
        case .none: "null"
        case .bool(let flag): flag ? "true" : "false"
        case .integer(let number): "\(number)"
        case .float(let number): text(number)
        default: throw .wrong("a \(key.typeName) cannot be a key in JSON")
        }
    }

    private func quoted(_ text: String) -> String {
        let needsEscape = text.utf8.contains {
            $0 < 0x20 || $0 == 0x22 || $0 == 0x5C || (ensuresASCII && $0 >= 0x7F)
        }
        guard needsEscape else { return "\"\(text)\"" }
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{8}": result += "\\b"
            case "\u{C}": result += "\\f"
            default:
                if scalar.value < 0x20 || (ensuresASCII && scalar.value == 0x7F) {
                    result += "\\u" + paddedHex(scalar.value, width: 4)
                } else if ensuresASCII, scalar.value > 0x7F {
                    for unit in String(scalar).utf16 {
                        result += "\\u" + paddedHex(UInt32(unit), width: 4)
                    }
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }
}

/// Sorts by keys, keeping the order of equal ones and asking only for `<`, as Python does.
func stableSort<Element>(
    _ elements: [Element], by key: (Element) throws(JinjaFault) -> JinjaValue
) throws(JinjaFault) -> [Element] {
    var keyed: [(key: JinjaValue, element: Element)] = []
    keyed.reserveCapacity(elements.count)
    for element in elements { keyed.append((try key(element), element)) }
    var width = 1
    while width < keyed.count {
        var merged: [(key: JinjaValue, element: Element)] = []
        merged.reserveCapacity(keyed.count)
        var start = 0
        while start < keyed.count {
            let middle = min(start + width, keyed.count)
            let end = min(start + 2 * width, keyed.count)
            var (left, right) = (start, middle)
            while left < middle, right < end {
                if try keyed[right].key.isLess(than: keyed[left].key) {
                    merged.append(keyed[right])
                    right += 1
                } else {
                    merged.append(keyed[left])
                    left += 1
                }
            }
            merged += keyed[left..<middle]
            merged += keyed[right..<end]
            start = end
        }
        keyed = merged
        width *= 2
    }
    return keyed.map(\.element)
}
