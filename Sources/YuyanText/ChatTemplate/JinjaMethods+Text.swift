extension JinjaInterpreter {
    enum Side { case left, right, center }

    /// Calls a method of Python's `str`.
    func callText(
        _ name: String, _ text: String, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> JinjaValue {
        if name == "format" { return .string(try formatBraces(text, arguments)) }
        switch name {
        case "split", "rsplit":
            return try split(
                text, try arguments.bound(to: ["sep", "maxsplit"], function: name),
                fromRight: name == "rsplit")
        case "splitlines":
            let bound = try arguments.bound(to: ["keepends"], function: name)
            return try strings(splitLines(text, keepsEnds: bound[0]?.isTrue ?? false))
        case "expandtabs":
            let bound = try arguments.bound(to: ["tabsize"], function: name)
            return .string(try withoutTabs(text, bound[0]?.index ?? 8))
        default: break
        }
        guard arguments.keyword.isEmpty else {
            throw .wrong("\(name)() takes no keyword arguments")
        }
        let given = arguments.positional
        func check(_ counts: ClosedRange<Int>) throws(JinjaFault) {
            guard counts.contains(given.count) else {
                throw .wrong("\(name)() takes \(counts) arguments, found \(given.count)")
            }
        }
        switch name {
        case "strip", "lstrip", "rstrip":
            try check(0...1)
            return .string(try strip(text, given.first, name))
        case "startswith", "endswith":
            try check(1...3)
            return .bool(try hasAffix(text, given, atStart: name == "startswith"))
        case "replace":
            try check(2...3)
            let (old, new) = (try need(given[0], name), try need(given[1], name))
            let limit = given.count > 2 ? try optionalCount(given[2]) : nil
            return .string(try replaced(text, old, new, limit: limit))
        case "find", "rfind", "index", "rindex", "count":
            try check(1...3)
            return try search(name, text, given)
        case "join":
            try check(1...1)
            return .string(try joined(try items(of: given[0]), by: text))
        case "center", "ljust", "rjust":
            try check(1...2)
            guard let width = given[0].index else { throw .wrong("\(name)() needs an integer") }
            let filler = given.count > 1 ? try need(given[1], name) : " "
            guard filler.unicodeScalars.count == 1 else {
                throw .wrong("the filler of \(name)() is one character")
            }
            let side: Side = name == "center" ? .center : name == "ljust" ? .right : .left
            return .string(try padded(text, width, side, with: filler))
        case "zfill":
            try check(1...1)
            guard let width = given[0].index else { throw .wrong("zfill() needs an integer") }
            let isSigned = text.hasPrefix("-") || text.hasPrefix("+")
            let sign = isSigned ? String(text.unicodeScalars.prefix(1)) : ""
            let digits = String(text.unicodeScalars.dropFirst(isSigned ? 1 : 0))
            return .string(
                sign + (try padded(digits, width &- (isSigned ? 1 : 0), .left, with: "0")))
        case "partition", "rpartition":
            try check(1...1)
            return try partitioned(text, try need(given[0], name), fromRight: name == "rpartition")
        case "removeprefix", "removesuffix":
            try check(1...1)
            return .string(
                removed(text, try need(given[0], name), isPrefix: name == "removeprefix"))
        default:
            try check(0...0)
            return inspect(name, text)
        }
    }

    private func inspect(_ name: String, _ text: String) -> JinjaValue {
        let scalars = text.unicodeScalars
        func all(_ holds: (Unicode.Scalar) -> Bool) -> JinjaValue {
            .bool(!scalars.isEmpty && scalars.allSatisfy(holds))
        }
        switch name {
        case "upper": return .string(text.uppercased())
        case "lower": return .string(text.lowercased())
        case "casefold": return .string(text.lowercased().replacingSharpS())
        case "capitalize": return .string(capitalized(text))
        case "title": return .string(pythonTitle(text))
        case "swapcase":
            return .string(
                scalars.map {
                    $0.properties.isUppercase
                        ? $0.properties.lowercaseMapping
                        : $0.properties.isLowercase ? $0.properties.uppercaseMapping : String($0)
                }.joined())
        case "isalpha": return all(isLetter)
        case "isdigit":
            return all { [.decimal, .digit].contains($0.properties.numericType) }
        case "isdecimal": return all { $0.properties.numericType == .decimal }
        case "isnumeric": return all { $0.properties.numericType != nil }
        case "isalnum": return all { isLetter($0) || $0.properties.numericType != nil }
        case "isspace": return all(isPythonSpace)
        case "isascii": return .bool(scalars.allSatisfy(\.isASCII))
        case "isprintable": return .bool(scalars.allSatisfy(isPrintable))
        case "isupper": return .bool(hasCase(text, isUpper: true))
        case "islower": return .bool(hasCase(text, isUpper: false))
        default:
            let hasLetters = scalars.contains { $0.properties.isCased }
            return .bool(hasLetters && sameText(pythonTitle(text), text))
        }
    }

    func need(_ value: JinjaValue, _ function: String) throws(JinjaFault) -> String {
        guard let text = value.text else {
            throw .wrong("\(function)() needs a string, found \(value.typeName)")
        }
        return text
    }

    private func strings(_ texts: [String]) throws(JinjaFault) -> JinjaValue {
        .list(try JinjaList(texts.map { .string($0) }))
    }

    // MARK: Ends

    private func strip(
        _ text: String, _ characters: JinjaValue?, _ name: String
    ) throws(JinjaFault) -> String {
        var isStripped: (Unicode.Scalar) -> Bool = isPythonSpace
        switch characters {
        case nil, .some(.none): break
        case .some(let characters):
            let set = Set(try need(characters, name).unicodeScalars)
            isStripped = { set.contains($0) }
        }
        let scalars = text.unicodeScalars
        var start = scalars.startIndex
        var end = scalars.endIndex
        if name != "rstrip" {
            while start < end, isStripped(scalars[start]) { start = scalars.index(after: start) }
        }
        if name != "lstrip" {
            while start < end, isStripped(scalars[scalars.index(before: end)]) {
                end = scalars.index(before: end)
            }
        }
        if start == scalars.startIndex, end == scalars.endIndex { return text }
        return String(scalars[start..<end])
    }

    private func hasAffix(
        _ text: String, _ given: [JinjaValue], atStart: Bool
    ) throws(JinjaFault) -> Bool {
        let bytes = try bytes(of: text, given, from: 1)
        guard let bytes else { return false }
        let affixes: [JinjaValue] =
            if case .tuple(let list) = given[0] { list.items } else { [given[0]] }
        for affix in affixes {
            let part = Array(try need(affix, "startswith").utf8)
            guard part.count <= bytes.count else { continue }
            let end = atStart ? bytes.prefix(part.count) : bytes.suffix(part.count)
            if end.elementsEqual(part) { return true }
        }
        return false
    }

    /// The UTF-8 of `text[start:end]`, with both bounds in code points; nil beyond the end.
    private func bytes(
        of text: String, _ given: [JinjaValue], from place: Int
    ) throws(JinjaFault) -> [UInt8]? {
        guard given.count > place else { return Array(text.utf8) }
        let bounds = try bounds(text.unicodeScalars.count, given, from: place)
        guard let bounds else { return nil }
        let scalars = Array(text.unicodeScalars)
        return Array(String(scalars[bounds]).utf8)
    }

    private func bounds(
        _ count: Int, _ given: [JinjaValue], from place: Int
    ) throws(JinjaFault) -> Range<Int>? {
        var bounds = [0, count]
        for (index, value) in given.dropFirst(place).enumerated() {
            if case .none = value { continue }
            guard let bound = value.index else { throw .wrong("a bound is an integer or none") }
            bounds[index] = bound < 0 ? max(0, bound + count) : bound
        }
        let end = min(bounds[1], count)
        return bounds[0] <= end ? bounds[0]..<end : nil
    }

    private func removed(_ text: String, _ affix: String, isPrefix: Bool) -> String {
        let (bytes, part) = (Array(text.utf8), Array(affix.utf8))
        guard part.count <= bytes.count else { return text }
        let end = isPrefix ? bytes.prefix(part.count) : bytes.suffix(part.count)
        guard end.elementsEqual(part) else { return text }
        let kept = isPrefix ? bytes.dropFirst(part.count) : bytes.dropLast(part.count)
        return String(decoding: kept, as: UTF8.self)
    }

    // MARK: Search

    private func search(
        _ name: String, _ text: String, _ given: [JinjaValue]
    ) throws(JinjaFault) -> JinjaValue {
        let part = Array(try need(given[0], name).utf8)
        guard let bytes = try bytes(of: text, given, from: 1) else {
            if name == "count" { return .integer(0) }
            guard name.hasSuffix("find") else { throw .wrong("\(name)() did not find the text") }
            return .integer(-1)
        }
        if name == "count" {
            guard !part.isEmpty else {
                return .integer(String(decoding: bytes, as: UTF8.self).unicodeScalars.count + 1)
            }
            return .integer(occurrences(of: part, in: bytes, limit: nil).count)
        }
        let place: Int?
        if name.hasPrefix("r") {
            place = lastPlace(of: part, in: bytes)
        } else {
            place = firstRange(of: part, in: bytes, from: 0)?.lowerBound
        }
        guard let place else {
            guard name.hasSuffix("find") else { throw .wrong("\(name)() did not find the text") }
            return .integer(-1)
        }
        let start =
            given.count > 1
            ? try bounds(text.unicodeScalars.count, given, from: 1)?.lowerBound ?? 0 : 0
        return .integer(start + bytes[..<place].count { $0 & 0xC0 != 0x80 })
    }

    private func lastPlace(of part: [UInt8], in bytes: [UInt8]) -> Int? {
        var place = bytes.count - part.count
        while place >= 0 {
            if bytes[place..<place + part.count].elementsEqual(part) { return place }
            place -= 1
        }
        return nil
    }

    /// Places without overlap, at most `limit`.
    private func occurrences(of part: [UInt8], in bytes: [UInt8], limit: Int?) -> [Int] {
        var places: [Int] = []
        var from = 0
        while places.count < limit ?? .max,
            let found = firstRange(of: part, in: bytes, from: from)
        {
            places.append(found.lowerBound)
            from = found.upperBound
        }
        return places
    }

    func replaced(
        _ text: String, _ old: String, _ new: String, limit: Int?
    ) throws(JinjaFault) -> String {
        let (bytes, part, other) = (Array(text.utf8), Array(old.utf8), Array(new.utf8))
        var places: [Int]
        if part.isEmpty {
            // Between all characters and at both ends.
            places = bytes.indices.filter { bytes[$0] & 0xC0 != 0x80 } + [bytes.count]
            if let limit { places = Array(places.prefix(limit)) }
        } else {
            places = occurrences(of: part, in: bytes, limit: limit)
        }
        guard !places.isEmpty else { return text }
        let (growth, overflows) = places.count.multipliedReportingOverflow(by: other.count)
        try charge(bytes: overflows ? .max : growth)
        try charge(bytes: growth + bytes.count)
        var result: [UInt8] = []
        result.reserveCapacity(growth + bytes.count)
        var from = 0
        for place in places {
            result += bytes[from..<place]
            result += other
            from = place + part.count
        }
        result += bytes[from...]
        return String(decoding: result, as: UTF8.self)
    }

    // MARK: Parts

    private func split(
        _ text: String, _ bound: [JinjaValue?], fromRight: Bool
    ) throws(JinjaFault) -> JinjaValue {
        let limit = try optionalCount(bound[1])
        switch bound[0] {
        case nil, .some(.none):
            return try strings(splitOnSpace(text, limit: limit, fromRight: fromRight))
        case .some(let separator):
            let part = Array(try need(separator, "split").utf8)
            guard !part.isEmpty else { throw .wrong("the separator of split() is empty") }
            let bytes = Array(text.utf8)
            var places = occurrences(of: part, in: bytes, limit: fromRight ? nil : limit)
            if fromRight {
                places = []
                var end = bytes.count
                while places.count < limit ?? .max,
                    let place = lastPlace(of: part, in: Array(bytes[..<end]))
                {
                    places.insert(place, at: 0)
                    end = place
                    charge(walking: text)
                }
            }
            try charge(items: places.count + 1)
            var pieces: [String] = []
            var from = 0
            for place in places {
                pieces.append(String(decoding: bytes[from..<place], as: UTF8.self))
                from = place + part.count
            }
            pieces.append(String(decoding: bytes[from...], as: UTF8.self))
            return try strings(pieces)
        }
    }

    private func partitioned(
        _ text: String, _ separator: String, fromRight: Bool
    ) throws(JinjaFault) -> JinjaValue {
        let (bytes, part) = (Array(text.utf8), Array(separator.utf8))
        guard !part.isEmpty else { throw .wrong("the separator of partition() is empty") }
        let place =
            fromRight
            ? lastPlace(of: part, in: bytes)
            : firstRange(of: part, in: bytes, from: 0)?.lowerBound
        var pieces = fromRight ? ["", "", text] : [text, "", ""]
        if let place {
            pieces = [
                String(decoding: bytes[..<place], as: UTF8.self), separator,
                String(decoding: bytes[(place + part.count)...], as: UTF8.self),
            ]
        }
        return .tuple(try JinjaList(pieces.map { .string($0) }))
    }

    private func joined(_ items: [JinjaValue], by separator: String) throws(JinjaFault) -> String {
        var result = ""
        for (place, item) in items.enumerated() {
            let text = try need(item, "join")
            try charge(bytes: separator.utf8.count + text.utf8.count)
            if place > 0 { result += separator }
            result += text
            guard result.utf8.count <= limits.bytes else { throw .limit(.bytes, limits.bytes) }
        }
        return result
    }

    func padded(
        _ text: String, _ width: Int, _ side: Side, with filler: String
    ) throws(JinjaFault) -> String {
        let count = text.unicodeScalars.count
        let missing = width > count ? width - count : 0
        guard missing > 0 else { return text }
        switch side {
        case .left: return try repeated(filler, missing) + text
        case .right: return text + (try repeated(filler, missing))
        case .center:
            let left = missing / 2 + (missing & width & 1)
            return try repeated(filler, left) + text + (try repeated(filler, missing - left))
        }
    }

    private func withoutTabs(_ text: String, _ size: Int) throws(JinjaFault) -> String {
        let tabs = text.utf8.count { $0 == 9 }
        let (growth, overflows) = tabs.multipliedReportingOverflow(by: max(0, size))
        try charge(bytes: overflows ? .max : growth)
        var result = String.UnicodeScalarView()
        var column = 0
        for scalar in text.unicodeScalars {
            if scalar == "\t" {
                guard size > 0 else { continue }
                let missing = size - column % size
                result.append(contentsOf: repeatElement(" ", count: missing))
                column += missing
            } else {
                result.append(scalar)
                column = scalar == "\n" || scalar == "\r" ? 0 : column + 1
            }
        }
        return String(result)
    }
}

// MARK: - Pieces of text

/// Splits at runs of white space; beyond `limit` pieces the rest stays whole.
func splitOnSpace(_ text: String, limit: Int?, fromRight: Bool = false) -> [String] {
    var scalars = Array(text.unicodeScalars)
    if fromRight { scalars.reverse() }
    var pieces: [[Unicode.Scalar]] = []
    var rest = scalars.drop(while: isPythonSpace)
    while !rest.isEmpty, pieces.count < limit ?? .max {
        pieces.append(Array(rest.prefix { !isPythonSpace($0) }))
        rest = rest.dropFirst(pieces[pieces.count - 1].count).drop(while: isPythonSpace)
    }
    if !rest.isEmpty { pieces.append(Array(rest)) }
    guard fromRight else { return pieces.map { String($0) } }
    return pieces.reversed().map { String($0.reversed()) }
}

/// Splits at the line ends that Python knows.
func splitLines(_ text: String, keepsEnds: Bool) -> [String] {
    let scalars = Array(text.unicodeScalars)
    var lines: [String] = []
    var start = 0
    var i = 0
    while i < scalars.count {
        switch scalars[i].value {
        case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029:
            var end = i + 1
            if scalars[i] == "\r", end < scalars.count, scalars[end] == "\n" { end += 1 }
            lines.append(String(scalars[start..<(keepsEnds ? end : i)]))
            start = end
            i = end
        default: i += 1
        }
    }
    if start < scalars.count { lines.append(String(scalars[start...])) }
    return lines
}

/// What remains without the scalars at both ends that satisfy a condition.
func stripped(
    _ scalars: ArraySlice<Unicode.Scalar>, _ isStripped: (Unicode.Scalar) -> Bool
) -> ArraySlice<Unicode.Scalar> {
    var rest = scalars.drop(while: isStripped)
    while let last = rest.last, isStripped(last) { rest.removeLast() }
    return rest
}

func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
}

/// Python's `str.title`: a word begins after anything without case.
private func pythonTitle(_ text: String) -> String {
    var result = ""
    var isInside = false
    for scalar in text.unicodeScalars {
        result += isInside ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
        isInside = scalar.properties.isCased
    }
    return result
}

extension String {
    fileprivate func replacingSharpS() -> String {
        unicodeScalars.map { $0 == "ß" ? "ss" : String($0) }.joined()
    }
}
