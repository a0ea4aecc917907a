/// Python's two ways to format: `"%s" % value` and `"{}".format(value)`.
extension JinjaInterpreter {
    private struct Layout {
        var fill = " "
        var alignment: Unicode.Scalar?
        var sign: Unicode.Scalar?
        var isAlternate = false
        var grouping: Unicode.Scalar?
        var width = 0
        var precision: Int?
        var kind: Unicode.Scalar?
    }

    // MARK: Percent

    func formatPercent(_ format: String, _ operand: JinjaValue) throws(JinjaFault) -> String {
        let scalars = Array(format.unicodeScalars)
        var operands: [JinjaValue] = [operand]
        if case .tuple(let list) = operand { operands = list.items }
        var used = 0
        var usedNames = false
        func next() throws(JinjaFault) -> JinjaValue {
            guard used < operands.count else { throw .wrong("not enough values to format") }
            used += 1
            return operands[used - 1]
        }
        var writer = JinjaWriter(limit: limits.bytes)
        var i = 0
        while i < scalars.count {
            guard scalars[i] == "%" else {
                let end = scalars[i...].firstIndex(of: "%") ?? scalars.count
                try writer.write(String(scalars[i..<end]))
                i = end
                continue
            }
            i += 1
            var named: JinjaValue?
            if i < scalars.count, scalars[i] == "(" {
                guard let close = scalars[i...].firstIndex(of: ")") else {
                    throw .wrong("a format has '%(' without ')'")
                }
                guard case .dict(let dict) = operand else {
                    throw .wrong("the format needs a dict")
                }
                let name = String(scalars[(i + 1)..<close])
                guard let value = dict.value(name) else {
                    throw .wrong("the format names '\(name)', which is not given")
                }
                named = value
                usedNames = true
                i = close + 1
            }
            var layout = Layout()
            flags: while i < scalars.count {
                switch scalars[i] {
                case "-": layout.alignment = "<"
                case "0": if layout.alignment == nil { layout.fill = "0" }
                case "+", " ": if layout.sign != "+" { layout.sign = scalars[i] }
                case "#": layout.isAlternate = true
                default: break flags
                }
                i += 1
            }
            func size() throws(JinjaFault) -> Int? {
                if i < scalars.count, scalars[i] == "*" {
                    i += 1
                    guard let value = try next().index else { throw .wrong("'*' needs an integer") }
                    return value
                }
                return try number(scalars, &i)
            }
            if let width = try size() {
                if width < 0 { layout.alignment = "<" }
                layout.width = Int(clamping: width.magnitude)
            }
            if i < scalars.count, scalars[i] == "." {
                i += 1
                layout.precision = max(0, try size() ?? 0)
            }
            while i < scalars.count, "hlL".unicodeScalars.contains(scalars[i]) { i += 1 }
            guard i < scalars.count else { throw .wrong("a format ends after '%'") }
            let kind = scalars[i]
            i += 1
            if kind == "%" {
                try writer.write("%")
                continue
            }
            if layout.alignment == "<" { layout.fill = " " }
            let value: JinjaValue
            if let named { value = named } else { value = try next() }
            try writer.write(try convert(value, kind, layout))
        }
        if case .dict = operand { usedNames = true }
        if case .list = operand { usedNames = usedNames || used == 0 }
        guard usedNames || used == operands.count else {
            throw .wrong("not all values were used by the format")
        }
        return writer.text
    }

    private func number(_ scalars: [Unicode.Scalar], _ i: inout Int) throws(JinjaFault) -> Int? {
        var value: Int?
        while i < scalars.count, scalars[i].isASCII,
            let digit = Character(scalars[i]).wholeNumberValue
        {
            let next = (value ?? 0) * 10 + digit
            guard next <= limits.bytes else { throw .limit(.bytes, limits.bytes) }
            value = next
            i += 1
        }
        return value
    }

    private func convert(
        _ value: JinjaValue, _ kind: Unicode.Scalar, _ layout: Layout
    ) throws(JinjaFault) -> String {
        var layout = layout
        switch kind {
        case "s", "r", "a":
            let text =
                kind == "s" ? try string(value) : try value.representation(limit: limits.bytes)
            let kept = layout.precision.map { String(text.unicodeScalars.prefix($0)) } ?? text
            layout.fill = " "
            return try aligned(kept, layout, standard: ">")
        case "c":
            if let code = value.index {
                guard let code = UInt32(exactly: code), let scalar = Unicode.Scalar(code) else {
                    throw .wrong("'%c' needs the code of a character")
                }
                return try aligned(String(scalar), layout, standard: ">")
            }
            guard let text = value.text, text.unicodeScalars.count == 1 else {
                throw .wrong("'%c' needs one character")
            }
            return try aligned(text, layout, standard: ">")
        case "d", "i", "u", "x", "X", "o":
            var whole = value.index
            if whole == nil, case .float(let number) = value, "diu".unicodeScalars.contains(kind) {
                guard let exact = Int(exactly: number.rounded(.towardZero)) else {
                    throw .wrong("'%\(kind)' needs a finite number of 64 bits")
                }
                whole = exact
            }
            guard let whole else {
                throw .wrong("'%\(kind)' needs an integer, not \(value.typeName)")
            }
            let isDecimal = "diu".unicodeScalars.contains(kind)
            return try integerText(whole, isDecimal ? "d" : kind, layout)
        case "f", "F", "e", "E", "g", "G":
            guard let number = value.number else {
                throw .wrong("'%\(kind)' needs a number, not \(value.typeName)")
            }
            return try floatText(number, kind, layout)
        default: throw .wrong("a format has no '%\(kind)'")
        }
    }

    // MARK: Braces

    func formatBraces(_ format: String, _ arguments: JinjaArguments) throws(JinjaFault) -> String {
        var automatic = 0
        return try formatBraces(format, arguments, &automatic, depth: 2)
    }

    private func formatBraces(
        _ format: String, _ arguments: JinjaArguments, _ automatic: inout Int, depth: Int
    ) throws(JinjaFault) -> String {
        guard depth > 0 else { throw .wrong("a format is nested too deeply") }
        let scalars = Array(format.unicodeScalars)
        var writer = JinjaWriter(limit: limits.bytes)
        var i = 0
        while i < scalars.count {
            let scalar = scalars[i]
            guard scalar == "{" || scalar == "}" else {
                let end = scalars[i...].firstIndex { $0 == "{" || $0 == "}" } ?? scalars.count
                try writer.write(String(scalars[i..<end]))
                i = end
                continue
            }
            if i + 1 < scalars.count, scalars[i + 1] == scalar {
                try writer.write(String(scalar))
                i += 2
                continue
            }
            guard scalar == "{" else { throw .wrong("a format has a single '}'") }
            var level = 1
            var end = i + 1
            while end < scalars.count {
                if scalars[end] == "{" { level += 1 }
                if scalars[end] == "}" { level -= 1 }
                if level == 0 { break }
                end += 1
            }
            guard level == 0 else { throw .wrong("a format has a single '{'") }
            let field = Array(scalars[(i + 1)..<end])
            i = end + 1
            try writer.write(try formatField(field, arguments, &automatic, depth: depth))
        }
        return writer.text
    }

    private func formatField(
        _ field: [Unicode.Scalar], _ arguments: JinjaArguments, _ automatic: inout Int, depth: Int
    ) throws(JinjaFault) -> String {
        var nameEnd = 0
        var isIndex = false
        while nameEnd < field.count {
            if field[nameEnd] == "[" { isIndex = true }
            if field[nameEnd] == "]" { isIndex = false }
            if !isIndex, field[nameEnd] == ":" || field[nameEnd] == "!" { break }
            nameEnd += 1
        }
        var value = try resolve(Array(field[..<nameEnd]), arguments, &automatic)
        var rest = field[nameEnd...]
        if rest.first == "!" {
            let conversion = rest.dropFirst().first
            rest = rest.dropFirst(2)
            guard rest.isEmpty || rest.first == ":" else { throw .wrong("a format lacks ':'") }
            switch conversion {
            case "s": value = .string(try string(value))
            case "r": value = .string(try value.representation(limit: limits.bytes))
            default: throw .wrong("a format has no such conversion")
            }
        }
        rest = rest.dropFirst()
        guard !rest.isEmpty else { return try string(value) }
        let specification = try formatBraces(
            String(rest), arguments, &automatic, depth: depth - 1)
        return try formatted(value, specification)
    }

    private func resolve(
        _ name: [Unicode.Scalar], _ arguments: JinjaArguments, _ automatic: inout Int
    ) throws(JinjaFault) -> JinjaValue {
        let firstEnd = name.firstIndex { $0 == "." || $0 == "[" } ?? name.count
        let first = String(name[..<firstEnd])
        var value: JinjaValue
        if first.isEmpty || Int(first) != nil {
            guard let index = first.isEmpty ? automatic : Int(first),
                arguments.positional.indices.contains(index), first.isEmpty || automatic <= 0
            else { throw .wrong("a format asks for more values than are given") }
            automatic = first.isEmpty ? automatic + 1 : -1
            guard index >= 0 else { throw .wrong("a format mixes numbered and unnumbered fields") }
            value = arguments.positional[index]
        } else {
            guard let found = arguments.keyword.first(where: { $0.name == first }) else {
                throw .wrong("a format names '\(first)', which is not given")
            }
            value = found.value
        }
        var rest = name[firstEnd...]
        while let mark = rest.first {
            rest = rest.dropFirst()
            if mark == "." {
                let part = rest.prefix { $0 != "." && $0 != "[" }
                value = try attribute(String(part), of: value)
                rest = rest.dropFirst(part.count)
            } else {
                let part = rest.prefix { $0 != "]" }
                guard part.count < rest.count else { throw .wrong("a format lacks ']'") }
                let key = String(part)
                value = try item(Int(key).map { .integer($0) } ?? .string(key), of: value)
                rest = rest.dropFirst(part.count + 1)
            }
        }
        return value
    }

    private func formatted(
        _ value: JinjaValue, _ specification: String
    ) throws(JinjaFault) -> String {
        if specification.isEmpty { return try string(value) }
        let scalars = Array(specification.unicodeScalars)
        var layout = Layout()
        var i = 0
        let alignments = "<>=^".unicodeScalars
        if scalars.count > 1, alignments.contains(scalars[1]) {
            layout.fill = String(scalars[0])
            layout.alignment = scalars[1]
            i = 2
        } else if alignments.contains(scalars[0]) {
            layout.alignment = scalars[0]
            i = 1
        }
        func take(_ options: String) -> Unicode.Scalar? {
            guard i < scalars.count, options.unicodeScalars.contains(scalars[i]) else { return nil }
            i += 1
            return scalars[i - 1]
        }
        layout.sign = take("+- ")
        layout.isAlternate = take("#") != nil
        if take("0") != nil, layout.alignment == nil {
            layout.fill = "0"
            layout.alignment = "="
        }
        layout.width = try number(scalars, &i) ?? 0
        layout.grouping = take(",_")
        if take(".") != nil {
            guard let precision = try number(scalars, &i) else {
                throw .wrong("a format lacks its precision")
            }
            layout.precision = precision
        }
        layout.kind = take("bcdeEfFgGnosxX%")
        guard i == scalars.count else { throw .wrong("'\(specification)' is no format") }
        switch (value, layout.kind) {
        case (.string(let text), nil), (.string(let text), "s"), (.markup(let text), nil):
            guard layout.alignment != "=" || layout.fill == "0", layout.sign == nil else {
                throw .wrong("a string has no sign to align")
            }
            if layout.alignment == "=" { layout.alignment = "<" }
            let kept = layout.precision.map { String(text.unicodeScalars.prefix($0)) } ?? text
            return try aligned(kept, layout, standard: "<")
        case (.integer, nil), (.bool, nil), (.integer, "d"), (.bool, "d"), (.integer, "n"),
            (.integer, "b"), (.integer, "o"), (.integer, "x"), (.integer, "X"), (.integer, "c"):
            guard layout.precision == nil else { throw .wrong("an integer has no precision") }
            let kind = layout.kind == "n" ? "d" : layout.kind ?? "d"
            if kind == "c" { return try convert(value, "c", layout) }
            return try integerText(value.index ?? 0, kind, layout)
        case (.integer, .some), (.bool, .some), (.float, _):
            guard let number = value.number, layout.kind != "s" else { break }
            return try floatText(number, layout.kind, layout)
        default: break
        }
        throw .wrong("'\(specification)' does not format a \(value.typeName)")
    }

    // MARK: Numbers

    private func integerText(
        _ number: Int, _ kind: Unicode.Scalar, _ layout: Layout
    ) throws(JinjaFault) -> String {
        let radix = kind == "x" || kind == "X" ? 16 : kind == "o" ? 8 : kind == "b" ? 2 : 10
        var digits = String(number.magnitude, radix: radix, uppercase: kind == "X")
        if let precision = layout.precision {
            digits = try padded(digits, precision, .left, with: "0")
        }
        let prefix = layout.isAlternate && radix != 10 ? "0\(kind)" : ""
        return try signed(
            digits, isNegative: number < 0, prefix: prefix, layout, group: radix == 10 ? 3 : 4)
    }

    private func floatText(
        _ number: Double, _ kind: Unicode.Scalar?, _ layout: Layout
    ) throws(JinjaFault) -> String {
        let magnitude = number.magnitude
        let precision = layout.precision
        var digits: String
        if number.isNaN || number.isInfinite {
            digits = number.isNaN ? "nan" : "inf"
            if kind == "%" { digits += "%" }
        } else {
            switch kind {
            case nil where precision == nil: digits = pythonText(magnitude)
            case nil:
                digits = fixedText(magnitude, "g", precision: precision ?? 6)
                if !digits.contains("."), !digits.contains("e") { digits += ".0" }
            case "%":
                digits = fixedText(magnitude * 100, "f", precision: precision ?? 6) + "%"
            default:
                let letter: Character =
                    kind == "n" ? "g" : Character((kind ?? "g").properties.lowercaseMapping)
                digits = fixedText(
                    magnitude, letter, precision: precision ?? 6, alternate: layout.isAlternate)
            }
        }
        if let kind, "EFG".unicodeScalars.contains(kind) { digits = digits.uppercased() }
        return try signed(
            digits, isNegative: number.sign == .minus && !number.isNaN, prefix: "", layout, group: 3
        )
    }

    private func signed(
        _ digits: String, isNegative: Bool, prefix: String, _ layout: Layout, group: Int
    ) throws(JinjaFault) -> String {
        var sign = isNegative ? "-" : ""
        if !isNegative, let plus = layout.sign, plus != "-" { sign = String(plus) }
        var digits = digits
        if let mark = layout.grouping {
            let whole = digits.prefix { $0.isHexDigit }
            let tail = digits.dropFirst(whole.count)
            var grouped = ""
            for (place, digit) in whole.enumerated() {
                if place > 0, (whole.count - place) % group == 0 {
                    grouped.unicodeScalars.append(mark)
                }
                grouped.append(digit)
            }
            digits = grouped + tail
        }
        let isInner = layout.alignment == "=" || (layout.fill == "0" && layout.alignment == nil)
        guard isInner else { return try aligned(sign + prefix + digits, layout, standard: ">") }
        let missing = layout.width - sign.utf8.count - prefix.utf8.count - digits.utf8.count
        return sign + prefix + (try repeated(layout.fill, missing)) + digits
    }

    private func aligned(
        _ text: String, _ layout: Layout, standard: Unicode.Scalar
    ) throws(JinjaFault) -> String {
        switch layout.alignment ?? standard {
        case "<": return try padded(text, layout.width, .right, with: layout.fill)
        case "^":
            let missing = max(0, layout.width - text.unicodeScalars.count)
            let left = try repeated(layout.fill, missing / 2)
            return left + text + (try repeated(layout.fill, missing - missing / 2))
        default: return try padded(text, layout.width, .left, with: layout.fill)
        }
    }
}
