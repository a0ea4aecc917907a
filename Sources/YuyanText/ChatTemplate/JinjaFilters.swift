/// The filters that can follow `|`.
enum JinjaFilter: String, CaseIterable {
    case abs, attr, batch, capitalize, center, count, d, `default`, dictsort, e, escape
    case filesizeformat, first, float, forceescape, format, groupby, indent, int, items, join
    case last, length, list, lower, map, max, min, reject, rejectattr, replace, reverse, round
    case safe, select, selectattr, slice, sort, string, striptags, sum, title, tojson, trim
    case truncate, unique, upper, urlencode, wordcount, xmlattr
}

extension JinjaInterpreter {
    func apply(
        _ filter: TemplateFilter, to value: JinjaValue, in scope: JinjaScope
    ) throws(JinjaFault) -> JinjaValue {
        guard let known = filter.filter else {
            line = filter.line
            throw .unknownFilter(filter.name)
        }
        let arguments = try evaluate(filter.arguments, in: scope)
        line = filter.line
        return try apply(known, to: value, arguments)
    }

    func apply(
        _ filter: JinjaFilter, to value: JinjaValue, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> JinjaValue {
        try step()
        charge(walking: value)
        switch filter {
        case .abs, .attr, .count, .length, .d, .default, .float, .int, .round, .tojson, .format,
            .list, .first, .last, .string, .safe, .filesizeformat:
            return try applyGeneral(filter, value, arguments)
        case .batch, .slice, .dictsort, .groupby, .items, .join, .map, .max, .min, .reject,
            .rejectattr, .reverse, .select, .selectattr, .sort, .sum, .unique:
            return try applyToSequence(filter, value, arguments)
        default: return try applyToText(filter, value, arguments)
        }
    }

    private func applyGeneral(
        _ filter: JinjaFilter, _ value: JinjaValue, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> JinjaValue {
        func bound(_ names: String..., required: Int = 0) throws(JinjaFault) -> [JinjaValue?] {
            try arguments.bound(to: names, required: required, function: filter.rawValue)
        }
        switch filter {
        case .default, .d:
            let bound = try bound("default_value", "boolean")
            let isReplaced = value.isUndefined || (bound[1]?.isTrue ?? false) && !value.isTrue
            return isReplaced ? bound[0] ?? .string("") : value
        case .count, .length:
            _ = try bound()
            return .integer(try length(of: value))
        case .string:
            _ = try bound()
            if case .markup = value { return value }
            return .string(try string(value))
        case .safe:
            _ = try bound()
            return .markup(try string(value))
        case .list:
            _ = try bound()
            return .list(try JinjaList(try items(of: value)))
        case .first:
            _ = try bound()
            if case .generator(let generator) = value {
                return try generator.next() ?? .undefined("the first item")
            }
            return try items(of: value).first ?? .undefined("the first item")
        case .last:
            _ = try bound()
            if case .generator = value { throw .wrong("a generator has no last item") }
            return try items(of: value).last ?? .undefined("the last item")
        case .attr:
            guard let name = try bound("name", required: 1)[0]?.text else {
                throw .wrong("attr() needs a name")
            }
            return staticAttribute(name, of: value)
        case .abs: return try absolute(value)
        case .int:
            let bound = try bound("default", "base")
            return try integer(
                value, standard: bound[0] ?? .integer(0), base: bound[1] ?? .integer(10))
        case .float: return try float(value, standard: try bound("default")[0] ?? .float(0))
        case .round:
            let bound = try bound("precision", "method")
            return try rounded(value, bound[0] ?? .integer(0), bound[1]?.text ?? "common")
        case .filesizeformat:
            return try fileSize(value, isBinary: try bound("binary")[0]?.isTrue ?? false)
        case .format:
            guard arguments.positional.isEmpty || arguments.keyword.isEmpty else {
                throw .wrong("format() takes positional or keyword arguments, not both")
            }
            let entries = arguments.keyword.map {
                (key: JinjaValue.string($0.name), value: $0.value)
            }
            let operand =
                entries.isEmpty
                ? JinjaValue.tuple(try JinjaList(arguments.positional))
                : .dict(try JinjaDict(entries: entries))
            return .string(try formatPercent(try string(value), operand))
        default: return try json(value, arguments)
        }
    }

    private func json(
        _ value: JinjaValue, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> JinjaValue {
        let bound = try arguments.bound(
            to: ["ensure_ascii", "indent", "separators", "sort_keys"], function: "tojson")
        var json = JinjaJSON(limit: limits.bytes)
        json.ensuresASCII = bound[0]?.isTrue ?? false
        json.sortsKeys = bound[3]?.isTrue ?? false
        switch bound[1] {
        case nil, .some(.none): break
        case .some(let indent):
            if let text = indent.text {
                json.indent = text
            } else if let width = indent.index {
                json.indent = try repeated(" ", width)
            } else {
                throw .wrong("the indent of tojson() is a number or string")
            }
            json.itemSeparator = ","
        }
        switch bound[2] {
        case nil, .some(.none): break
        case .some(let separators):
            let parts = try items(of: separators)
            guard parts.count == 2, let item = parts[0].text, let key = parts[1].text else {
                throw .wrong("the separators of tojson() are two strings")
            }
            json.itemSeparator = item
            json.keySeparator = key
        }
        return .string(try json.dump(value))
    }

    // MARK: Numbers

    private func absolute(_ value: JinjaValue) throws(JinjaFault) -> JinjaValue {
        if let number = value.index {
            guard number != .min else { throw .limit(.integers, .max) }
            return .integer(Swift.abs(number))
        }
        if case .float(let number) = value { return .float(Swift.abs(number)) }
        if case .undefined(let name) = value { throw .undefined(name) }
        throw .wrong("a \(value.typeName) has no absolute value")
    }

    private func integer(
        _ value: JinjaValue, standard: JinjaValue, base: JinjaValue
    ) throws(JinjaFault) -> JinjaValue {
        if let number = value.index { return .integer(number) }
        if case .float(let number) = value { return try truncated(number) ?? standard }
        if case .undefined(let name) = value { throw .undefined(name) }
        guard let text = value.text else { return standard }
        guard let radix = base.index else { throw .wrong("the base of int() is an integer") }
        if let number = try parseInteger(text, radix: radix) { return .integer(number) }
        return try parseFloat(text).flatMap { number throws(JinjaFault) in try truncated(number) }
            ?? standard
    }

    private func truncated(_ number: Double) throws(JinjaFault) -> JinjaValue? {
        guard number.isFinite else { return nil }
        guard let whole = Int(exactly: number.rounded(.towardZero)) else {
            throw .limit(.integers, .max)
        }
        return .integer(whole)
    }

    private func float(
        _ value: JinjaValue, standard: JinjaValue
    ) throws(JinjaFault) -> JinjaValue {
        if let number = value.number { return .float(number) }
        if case .undefined(let name) = value { throw .undefined(name) }
        return value.text.flatMap(parseFloat).map { .float($0) } ?? standard
    }

    private func rounded(
        _ value: JinjaValue, _ precision: JinjaValue, _ method: String
    ) throws(JinjaFault) -> JinjaValue {
        guard let digits = precision.index else { throw .wrong("round() needs an integer") }
        guard let number = value.number else {
            if case .undefined(let name) = value { throw .undefined(name) }
            throw .wrong("a \(value.typeName) cannot be rounded")
        }
        guard ["common", "ceil", "floor"].contains(method) else {
            throw .wrong("the method of round() is common, ceil or floor, not '\(method)'")
        }
        guard method == "common" else {
            // Powers of ten are integers up to 10^18, and floats below 1, as in Python.
            let scale = try apply(.power, .integer(10), .integer(digits))
            guard let product = try apply(.multiply, value, scale).number, product.isFinite else {
                throw .wrong("\(number) has no \(method)")
            }
            let whole = product.rounded(method == "ceil" ? .up : .down)
            guard let exact = Int(exactly: whole) else { throw .limit(.integers, .max) }
            return try apply(.divide, .integer(exact), scale)
        }
        if let whole = value.index {
            guard digits < 0 else { return .integer(whole) }
            guard digits > -19 else { return .integer(0) }
            let unit = (0..<(-digits)).reduce(1) { result, _ in result * 10 }
            let remainder = whole % unit
            let base = whole - remainder
            let twice = remainder.magnitude.multipliedReportingOverflow(by: 2)
            let isUp =
                twice.overflow || twice.partialValue > unit.magnitude
                || twice.partialValue == unit.magnitude && (base / unit) % 2 != 0
            guard isUp else { return .integer(base) }
            let (result, overflows) = base.addingReportingOverflow(whole < 0 ? -unit : unit)
            guard !overflows else { throw .limit(.integers, .max) }
            return .integer(result)
        }
        guard number.isFinite, digits <= 323 else { return value }
        if digits >= 0 {
            return .float(Double(fixedText(number, "f", precision: digits)) ?? number)
        }
        guard digits > -309 else { return .float(number < 0 ? -0.0 : 0) }
        let unit = Double("1e\(-digits)") ?? 1
        return .float((number / unit).rounded(.toNearestOrEven) * unit)
    }

    private func fileSize(_ value: JinjaValue, isBinary: Bool) throws(JinjaFault) -> JinjaValue {
        guard case .float(let size) = try float(value, standard: .none) else {
            throw .wrong("filesizeformat() needs a number")
        }
        let base: Double = isBinary ? 1024 : 1000
        if size == 1 { return .string("1 Byte") }
        if size < base { return .string("\(try truncated(size)?.index ?? 0) Bytes") }
        var unit = base
        var text = ""
        for prefix in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
            unit *= base
            let name = isBinary ? "\(prefix == "k" ? "K" : prefix)iB" : "\(prefix)B"
            text = "\(fixedText(base * size / unit, "f", precision: 1)) \(name)"
            if size < unit { break }
        }
        return .string(text)
    }
}

/// Python's `float(text)`.
func parseFloat(_ text: String) -> Double? {
    let body = trimmed(text).lowercased()
    let digits = removeUnderscores(body) ?? ""
    switch digits.drop(while: { $0 == "+" || $0 == "-" }) {
    case "inf", "infinity": return digits.hasPrefix("-") ? -.infinity : .infinity
    case "nan": return .nan
    default: break
    }
    guard digits.utf8.allSatisfy({ "+-.e0123456789".utf8.contains($0) }) else { return nil }
    var padded = digits
    if padded.hasPrefix(".") || padded.hasPrefix("-.") || padded.hasPrefix("+.") {
        padded = padded.replacingFirst(".", with: "0.")
    }
    return Double(padded)
}

/// Python's `int(text, base)`; nil when the text is no integer.
func parseInteger(_ text: String, radix: Int) throws(JinjaFault) -> Int? {
    var body = trimmed(text)
    guard let first = body.first else { return nil }
    let isNegative = first == "-"
    if first == "-" || first == "+" { body.removeFirst() }
    guard body.first?.isHexDigit ?? false || radix > 16 else { return nil }
    var radix = radix
    let prefix = body.prefix(2).lowercased()
    let known = ["0x": 16, "0o": 8, "0b": 2][prefix]
    if let known, radix == known || radix == 0 {
        radix = known
        body.removeFirst(2)
        if body.first == "_" { body.removeFirst() }
    } else if radix == 0 {
        radix = 10
    }
    guard (2...36).contains(radix) else { throw .wrong("the base of int() is 2 to 36, or 0") }
    guard let digits = removeUnderscores(body),
        digits.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isASCIIDigit(below: radix) })
    else { return nil }
    guard let value = Int((isNegative ? "-" : "") + digits, radix: radix) else {
        throw .limit(.integers, .max)
    }
    return value
}

/// A number without the underscores between its digits, or nil if they are misplaced.
private func removeUnderscores(_ text: String) -> String? {
    guard text.utf8.contains(UInt8(ascii: "_")) else { return text.isEmpty ? nil : text }
    guard !text.hasPrefix("_"), !text.hasSuffix("_") else { return nil }
    let parts = text.utf8.split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
    guard parts.allSatisfy({ !$0.isEmpty }) else { return nil }
    return parts.map { String(Substring($0)) }.joined()
}

private func trimmed(_ text: String) -> String {
    String(stripped(Array(text.unicodeScalars)[...], isPythonSpace))
}

extension Character {
    fileprivate func isASCIIDigit(below radix: Int) -> Bool {
        guard let value = asciiValue else { return false }
        switch value {
        case 48...57: return Int(value) - 48 < radix
        case 65...90: return Int(value) - 55 < radix
        case 97...122: return Int(value) - 87 < radix
        default: return false
        }
    }
}

extension String {
    fileprivate func replacingFirst(_ part: Character, with other: String) -> String {
        guard let place = firstIndex(of: part) else { return self }
        return self[..<place] + other + self[index(after: place)...]
    }
}
