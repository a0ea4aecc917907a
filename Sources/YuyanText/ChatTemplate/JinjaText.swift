#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Builds a text of bounded length.
struct JinjaWriter {
    private(set) var text = ""
    let limit: Int

    mutating func write(_ piece: String) throws(JinjaFault) {
        guard text.utf8.count + piece.utf8.count <= limit else { throw .limit(.bytes, limit) }
        text += piece
    }
}

extension JinjaValue {
    /// Python's `str()`.
    func string(limit: Int) throws(JinjaFault) -> String {
        switch self {
        case .undefined: return ""
        case .string(let text), .markup(let text): return text
        case .integer(let value): return "\(value)"
        default:
            var writer = JinjaWriter(limit: limit)
            try writeRepresentation(to: &writer, depth: 0)
            return writer.text
        }
    }

    /// Python's `repr()`.
    func representation(limit: Int) throws(JinjaFault) -> String {
        var writer = JinjaWriter(limit: limit)
        try writeRepresentation(to: &writer, depth: 0)
        return writer.text
    }

    private func writeRepresentation(
        to writer: inout JinjaWriter, depth: Int
    ) throws(JinjaFault) {
        guard depth <= TemplateLimits.valueDepth else {
            throw .limit(.depth, TemplateLimits.valueDepth)
        }
        switch self {
        case .undefined: try writer.write("Undefined")
        case .none: try writer.write("None")
        case .bool(let value): try writer.write(value ? "True" : "False")
        case .integer(let value): try writer.write("\(value)")
        case .float(let value): try writer.write(pythonText(value))
        case .string(let text): try writer.write(pythonLiteral(text))
        case .markup(let text): try writer.write("Markup(\(pythonLiteral(text)))")
        case .list(let list):
            try Self.write(list.items, "[", "]", to: &writer, depth: depth)
        case .tuple(let list):
            let end = list.items.count == 1 ? ",)" : ")"
            try Self.write(list.items, "(", end, to: &writer, depth: depth)
        case .dict(let dict): try Self.write(dict.entries, to: &writer, depth: depth)
        case .range(let range):
            let stop = range.start + range.count * range.step
            let step = range.step == 1 ? "" : ", \(range.step)"
            try writer.write("range(\(range.start), \(stop)\(step))")
        case .view(let view):
            try writer.write(view.kind.rawValue)
            try Self.write(try view.items(), "([", "])", to: &writer, depth: depth)
        case .namespace(let namespace):
            try writer.write("<Namespace ")
            let entries = namespace.entries.map {
                (key: JinjaValue.string($0.name), value: $0.value)
            }
            try Self.write(entries, to: &writer, depth: depth)
            try writer.write(">")
        case .loop(let loop):
            try writer.write("<LoopContext \(loop.position + 1)/\(loop.items.count)>")
        default: try writer.write("<\(typeName) object>")
        }
    }

    private static func write(
        _ items: [JinjaValue], _ start: String, _ end: String, to writer: inout JinjaWriter,
        depth: Int
    ) throws(JinjaFault) {
        try writer.write(start)
        var isFirst = true
        for item in items {
            if !isFirst { try writer.write(", ") }
            isFirst = false
            try item.writeRepresentation(to: &writer, depth: depth + 1)
        }
        try writer.write(end)
    }

    private static func write(
        _ entries: [(key: JinjaValue, value: JinjaValue)], to writer: inout JinjaWriter, depth: Int
    ) throws(JinjaFault) {
        try writer.write("{")
        var isFirst = true
        for (key, value) in entries {
            if !isFirst { try writer.write(", ") }
            isFirst = false
            try key.writeRepresentation(to: &writer, depth: depth + 1)
            try writer.write(": ")
            try value.writeRepresentation(to: &writer, depth: depth + 1)
        }
        try writer.write("}")
    }
}

/// Python's `repr()` of a text: single quotes unless only those occur, escapes where unprintable.
func pythonLiteral(_ text: String) -> String {
    let hasSingle = text.utf8.contains(UInt8(ascii: "'"))
    let hasDouble = text.utf8.contains(UInt8(ascii: "\""))
    let quote: Unicode.Scalar = hasSingle && !hasDouble ? "\"" : "'"
    var result = String.UnicodeScalarView()
    result.append(quote)
    for scalar in text.unicodeScalars {
        switch scalar {
        case quote, "\\":
            result.append("\\")
            result.append(scalar)
        case "\n": result.append(contentsOf: "\\n".unicodeScalars)
        case "\r": result.append(contentsOf: "\\r".unicodeScalars)
        case "\t": result.append(contentsOf: "\\t".unicodeScalars)
        default:
            if isPrintable(scalar) {
                result.append(scalar)
            } else {
                result.append(contentsOf: escapeCode(scalar.value).unicodeScalars)
            }
        }
    }
    result.append(quote)
    return String(result)
}

private func escapeCode(_ value: UInt32) -> String {
    let (mark, width) = value < 0x100 ? ("x", 2) : value < 0x10000 ? ("u", 4) : ("U", 8)
    return "\\\(mark)\(paddedHex(value, width: width))"
}

func paddedHex(_ value: UInt32, width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
}

func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value < 0x7F { return scalar.value >= 0x20 }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
        .paragraphSeparator, .spaceSeparator:
        return false
    default: return true
    }
}

/// Python's `repr()` of a float: the shortest digits that read back as the same number.
func pythonText(_ value: Double) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    // The description has the shortest digits already; only the notation differs.
    let sign = value.sign == .minus ? "-" : ""
    var digits: [UInt8] = []
    var point: Int?
    var exponent = 0
    let description = "\(value.magnitude)"
    let parts = description.utf8.split(separator: UInt8(ascii: "e"))
    for byte in parts[0] {
        if byte == UInt8(ascii: ".") { point = digits.count } else { digits.append(byte) }
    }
    if parts.count > 1 { exponent = Int(Substring(parts[1])) ?? 0 }
    var decimal = (point ?? digits.count) + exponent
    let zeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
    digits.removeFirst(zeros)
    decimal -= zeros
    while digits.last == UInt8(ascii: "0") { digits.removeLast() }
    if digits.isEmpty { return sign + "0.0" }
    let body = String(decoding: digits, as: UTF8.self)
    if decimal > 16 || decimal < -3 {
        let power = decimal - 1
        let size = power.magnitude < 10 ? "0\(power.magnitude)" : "\(power.magnitude)"
        let tail = digits.count > 1 ? "." + body.dropFirst() : ""
        return "\(sign)\(body.prefix(1))\(tail)e\(power < 0 ? "-" : "+")\(size)"
    }
    if decimal <= 0 { return sign + "0." + String(repeating: "0", count: -decimal) + body }
    if decimal >= digits.count {
        return sign + body + String(repeating: "0", count: decimal - digits.count) + ".0"
    }
    return sign + body.prefix(decimal) + "." + body.dropFirst(decimal)
}

/// A float with a fixed number of decimals (`f`) or of digits (`e`, `g`), rounded half to even.
func fixedText(_ value: Double, _ kind: Character, precision: Int, alternate: Bool = false)
    -> String
{
    let format = "%\(alternate ? "#" : "").\(min(precision, 400))\(kind)"
    var buffer = [CChar](repeating: 0, count: 800)
    let count = withVaList([value]) { vsnprintf(&buffer, buffer.count, format, $0) }
    let bytes = buffer.prefix(max(0, min(Int(count), buffer.count - 1)))
    return String(decoding: bytes.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
