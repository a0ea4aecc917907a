extension JinjaInterpreter {
    func applyToText(
        _ filter: JinjaFilter, _ value: JinjaValue, _ arguments: JinjaArguments
    ) throws(JinjaFault) -> JinjaValue {
        func bound(_ names: String..., required: Int = 0) throws(JinjaFault) -> [JinjaValue?] {
            try arguments.bound(to: names, required: required, function: filter.rawValue)
        }
        switch filter {
        case .urlencode:
            _ = try bound()
            return .string(try urlEncoded(value))
        case .xmlattr:
            return .string(
                try attributes(value, hasSpace: try bound("autospace")[0]?.isTrue ?? true))
        case .indent:
            let bound = try bound("width", "first", "blank")
            return .string(
                try indented(
                    value, bound[0] ?? .integer(4), first: bound[1]?.isTrue ?? false,
                    blank: bound[2]?.isTrue ?? false))
        case .truncate:
            let bound = try bound("length", "killwords", "end", "leeway")
            return try truncated(value, bound)
        default: break
        }
        let text = try string(value)
        switch filter {
        case .upper:
            _ = try bound()
            return .string(text.uppercased())
        case .lower:
            _ = try bound()
            return .string(text.lowercased())
        case .capitalize:
            _ = try bound()
            return .string(capitalized(text))
        case .title:
            _ = try bound()
            return .string(titled(text))
        case .trim:
            let characters = try bound("chars")[0] ?? .none
            return try callMethod(
                "strip", of: .string(text), JinjaArguments(positional: [characters]))
        case .replace:
            let bound = try bound("old", "new", "count", required: 2)
            let old = try string(bound[0] ?? .none)
            let new = try string(bound[1] ?? .none)
            return .string(try replaced(text, old, new, limit: try optionalCount(bound[2])))
        case .center:
            guard let width = (try bound("width")[0] ?? .integer(80)).index else {
                throw .wrong("center() needs an integer")
            }
            return .string(try padded(text, width, .center, with: " "))
        case .wordcount:
            _ = try bound()
            return .integer(wordCount(text))
        case .e, .escape:
            _ = try bound()
            if case .markup = value { return value }
            return .markup(escapeHTML(text))
        case .forceescape:
            _ = try bound()
            return .markup(escapeHTML(text))
        default:
            _ = try bound()
            return .string(withoutTags(text))
        }
    }

    func optionalCount(_ value: JinjaValue?) throws(JinjaFault) -> Int? {
        switch value {
        case nil, .some(.none): return nil
        case .some(let value):
            guard let count = value.index else { throw .wrong("a count is an integer") }
            return count < 0 ? nil : count
        }
    }

    private func wordCount(_ text: String) -> Int {
        var (count, isInside) = (0, false)
        for scalar in text.unicodeScalars {
            let isWord = isLetter(scalar) || scalar == "_" || scalar.properties.numericType != nil
            if isWord, !isInside { count += 1 }
            isInside = isWord
        }
        return count
    }

    private func indented(
        _ value: JinjaValue, _ width: JinjaValue, first: Bool, blank: Bool
    ) throws(JinjaFault) -> String {
        guard let text = value.text else {
            if case .undefined(let name) = value { throw .undefined(name) }
            throw .wrong("indent needs a string, not \(value.typeName)")
        }
        let indent: String
        if let given = width.text {
            indent = given
        } else if let count = width.index {
            indent = try repeated(" ", count)
        } else {
            throw .wrong("indent() needs a number or string")
        }
        let lines = splitLines(text + "\n", keepsEnds: false)
        let (growth, overflows) = lines.count.multipliedReportingOverflow(by: indent.utf8.count)
        try charge(bytes: overflows ? .max : growth)
        var result = first ? indent : ""
        for (place, line) in lines.enumerated() {
            if place > 0 {
                result += "\n"
                if blank || !line.isEmpty { result += indent }
            }
            result += line
        }
        try charge(bytes: result.utf8.count)
        return result
    }

    private func truncated(
        _ value: JinjaValue, _ bound: [JinjaValue?]
    ) throws(JinjaFault) -> JinjaValue {
        guard let length = (bound[0] ?? .integer(255)).index,
            let leeway = (try optionalCount(bound[3]) ?? 5) as Int?,
            let end = (bound[2] ?? .string("...")).text
        else { throw .wrong("truncate() needs integers and a string") }
        let count = try self.length(of: value)
        let endCount = end.unicodeScalars.count
        guard length >= endCount else { throw .wrong("truncate() needs a length of \(endCount)") }
        let (most, overflows) = length.addingReportingOverflow(leeway)
        if overflows || count <= most { return value }
        guard let text = value.text else { throw .wrong("truncate needs a string") }
        var kept = Array(text.unicodeScalars.prefix(length - endCount))
        if !(bound[1]?.isTrue ?? false), let space = kept.lastIndex(of: " ") {
            kept.removeSubrange(space...)
        }
        return .string(String(kept[...]) + end)
    }

    private func withoutTags(_ text: String) -> String {
        var bytes: [UInt8] = []
        let source = Array(text.utf8)
        var i = 0
        // Comments go first, then tags, as markupsafe does.
        for (start, end) in [("<!--", "-->"), ("<", ">")] {
            let current = bytes.isEmpty && i == 0 ? source : bytes
            bytes = []
            i = 0
            while let open = firstRange(of: Array(start.utf8), in: current, from: i) {
                guard
                    let close = firstRange(of: Array(end.utf8), in: current, from: open.upperBound)
                else { break }
                bytes += current[i..<open.lowerBound]
                i = close.upperBound
            }
            bytes += current[i...]
        }
        let words = splitOnSpace(String(decoding: bytes, as: UTF8.self), limit: nil)
        return unescapeHTML(words.joined(separator: " "))
    }

    private func unescapeHTML(_ text: String) -> String {
        let names = [
            "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "nbsp": "\u{A0}",
            "#39": "'", "#34": "\"",
        ]
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let start = rest.firstIndex(of: UInt8(ascii: "&")) {
            result += rest[..<start]
            rest = rest[start...]
            if let end = rest.prefix(10).firstIndex(of: UInt8(ascii: ";")),
                let plain = names[String(decoding: rest[(start + 1)..<end], as: UTF8.self)]
            {
                result += plain.utf8
                rest = rest[(end + 1)...]
            } else {
                result.append(UInt8(ascii: "&"))
                rest = rest.dropFirst()
            }
        }
        return String(decoding: result + rest, as: UTF8.self)
    }

    private func urlEncoded(_ value: JinjaValue) throws(JinjaFault) -> String {
        func quote(_ value: JinjaValue, inQuery: Bool) throws(JinjaFault) -> String {
            var result = ""
            for byte in try string(value).utf8 {
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."),
                    UInt8(ascii: "-"), UInt8(ascii: "~"):
                    result.unicodeScalars.append(Unicode.Scalar(byte))
                case UInt8(ascii: "/") where !inQuery: result += "/"
                case UInt8(ascii: " ") where inQuery: result += "+"
                default: result += "%" + paddedHex(UInt32(byte), width: 2).uppercased()
                }
            }
            return result
        }
        let pairs: [JinjaValue]
        switch value {
        case .dict(let dict): pairs = try JinjaView(dict: dict, kind: .items).items()
        case .list, .tuple, .view, .generator, .range, .undefined: pairs = try items(of: value)
        default: return try quote(value, inQuery: false)
        }
        var parts: [String] = []
        for pair in pairs {
            let both = try items(of: pair)
            guard both.count == 2 else { throw .wrong("urlencode needs pairs") }
            parts.append(
                try quote(both[0], inQuery: true) + "=" + (try quote(both[1], inQuery: true)))
        }
        return parts.joined(separator: "&")
    }

    private func attributes(_ value: JinjaValue, hasSpace: Bool) throws(JinjaFault) -> String {
        guard case .dict(let dict) = value else { throw .wrong("xmlattr needs a dict") }
        var parts: [String] = []
        for (key, value) in dict.entries {
            if case .none = value { continue }
            if value.isUndefined { continue }
            guard let name = key.text,
                !name.utf8.contains(where: { (9...13).contains($0) || " />=".utf8.contains($0) })
            else { throw .wrong("an attribute of xmlattr has an invalid name") }
            var text = try string(value)
            if case .markup = value {} else { text = escapeHTML(text) }
            parts.append("\(escapeHTML(name))=\"\(text)\"")
        }
        let text = parts.joined(separator: " ")
        return hasSpace && !text.isEmpty ? " " + text : text
    }
}

// MARK: - Case

/// Python's `str.capitalize`: the first character in title case, the others in lower case.
func capitalized(_ text: String) -> String {
    guard let first = text.unicodeScalars.first else { return "" }
    return first.properties.titlecaseMapping
        + String(String.UnicodeScalarView(text.unicodeScalars.dropFirst())).lowercased()
}

/// The `title` filter: words begin after space, hyphen or an opening bracket.
func titled(_ text: String) -> String {
    var result = ""
    var word = String.UnicodeScalarView()
    func finish() {
        guard let first = word.first else { return }
        result += first.properties.uppercaseMapping
        result += String(String.UnicodeScalarView(word.dropFirst())).lowercased()
        word = String.UnicodeScalarView()
    }
    for scalar in text.unicodeScalars {
        if isPythonSpace(scalar) || "-({[<".unicodeScalars.contains(scalar) {
            finish()
            result.unicodeScalars.append(scalar)
        } else {
            word.append(scalar)
        }
    }
    finish()
    return result
}

extension String {
    /// Text of some Unicode scalars.
    init<S: Sequence>(_ scalars: S) where S.Element == Unicode.Scalar {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        self.init(view)
    }
}
