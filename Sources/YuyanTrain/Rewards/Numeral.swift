/// A number as people and models write it, read exactly.
///
/// Digits with an optional sign, thousands separators (commas before groups of three), a decimal
/// point, an exponent of ten, a percent sign; fractions as `3/4` or `\frac{3}{4}`. A hyphen right
/// behind a letter, digit or bracket is no sign. ASCII only, but for the minus sign U+2212.
/// Letters of other scripts may stand right before a number: they need no space.
struct Numeral: Hashable, Sendable {
    let value: Rational
    /// Whether it is one whole number over another and could be written with smaller ones.
    let isReducible: Bool

    /// The numbers in a text, in order; what looks like a number and is none (`1.2.3`, `x2`,
    /// more than 1000 digits) is left out, and `hasOther` says so.
    static func all(in text: some Sequence<UInt8>) -> (found: [Numeral], hasOther: Bool) {
        var reader = NumeralReader(bytes: Array(text))
        reader.readAll()
        return (reader.found, reader.hasOther)
    }

    /// The last number of a text; nil if there is none or if the last one cannot be read.
    ///
    /// - Complexity: One pass; digits beyond the limit are skipped, not computed with.
    static func last(in text: some Sequence<UInt8>) -> Numeral? {
        var reader = NumeralReader(bytes: Array(text))
        reader.keepsLastOnly = true
        reader.readAll()
        return reader.isOtherLast ? nil : reader.found.last
    }
}

/// A scanner of numbers in bytes.
private struct NumeralReader {
    let bytes: [UInt8]
    var position = 0
    var found: [Numeral] = []
    var hasOther = false
    /// Whether the last thing that looked like a number was none.
    var isOtherLast = false
    var keepsLastOnly = false

    init(bytes: [UInt8]) { self.bytes = bytes }

    private static let fraction = [UInt8]("\\frac{".utf8)
    private static let displayFraction = [UInt8]("\\dfrac{".utf8)
    private static let minus: [UInt8] = [0xE2, 0x88, 0x92]
    private static let mostExponent = 1000

    private func byte(_ index: Int) -> UInt8 { bytes.indices.contains(index) ? bytes[index] : 0 }
    private func isDigit(_ index: Int) -> Bool { byte(index) &- 0x30 < 10 }
    private func isLetter(_ index: Int) -> Bool {
        let byte = byte(index)
        return (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "_")
    }

    private func starts(_ text: [UInt8], at index: Int) -> Bool {
        index >= 0 && index + text.count <= bytes.count
            && bytes[index..<index + text.count].elementsEqual(text)
    }

    mutating func readAll() {
        while position < bytes.count {
            let start = position
            if byte(start) == UInt8(ascii: "\\"), let end = fractionStart(start) {
                if let numeral = latexFraction(from: start, inner: end) {
                    keep(numeral)
                    continue
                }
                skipGroups(from: end)
                note()
            } else if isDigit(start) || byte(start) == UInt8(ascii: ".") && isDigit(start + 1) {
                if isWord(before: start) {
                    skipRun()
                    note()
                } else {
                    number(from: start)
                }
            } else {
                position += 1
            }
        }
    }

    private mutating func keep(_ numeral: Numeral) {
        if keepsLastOnly { found.removeAll(keepingCapacity: true) }
        found.append(numeral)
        isOtherLast = false
    }

    private mutating func note() {
        hasOther = true
        isOtherLast = true
    }

    /// Whether a name goes on here, as in `x2`.
    private func isWord(before index: Int) -> Bool { isLetter(index - 1) }

    /// Passes digits, letters and points.
    private mutating func skipRun() {
        while isDigit(position) || isLetter(position)
            || byte(position) == UInt8(ascii: ".") && isDigit(position + 1)
        {
            position += 1
        }
    }

    /// Whether a minus sign stands before a number, and not between two things.
    private func isNegative(at index: Int) -> Bool {
        let sign: Int
        if byte(index - 1) == UInt8(ascii: "-") {
            sign = index - 1
        } else if starts(Self.minus, at: index - 3) {
            sign = index - 3
        } else if byte(index - 1) == UInt8(ascii: "$") {
            return isNegative(at: index - 1)
        } else {
            return false
        }
        let before = byte(sign - 1)
        return
            !(isDigit(sign - 1) || isLetter(sign - 1) || before == UInt8(ascii: ")")
            || before == UInt8(ascii: "]") || before == UInt8(ascii: "}")
            || before == UInt8(ascii: "%") || before == UInt8(ascii: "-"))
    }

    private mutating func number(from start: Int) {
        let sign = isNegative(at: start)
        guard var value = decimal() else {
            skipRun()
            note()
            return
        }
        var isReducible = false
        // A fraction of whole numbers without spaces, which is no chain such as a date.
        if byte(position) == UInt8(ascii: "/"), isDigit(position + 1), value.isPlain {
            position += 1
            guard let lower = decimal(), lower.isPlain, byte(position) != UInt8(ascii: "/"),
                byte(start - 1) != UInt8(ascii: "/"),
                let fraction = Rational(value.value.numerator, over: lower.value.numerator)
            else {
                skipChain()
                note()
                return
            }
            isReducible =
                fraction.denominator != lower.value.numerator || fraction.denominator.isOne
            value.value = fraction
        } else if byte(start - 1) == UInt8(ascii: "/"), start > 1, isDigit(start - 2) {
            note()
            return
        }
        if isPercent() {
            guard
                let share = Rational(value.value.numerator, over: value.value.denominator)
                    .flatMap({ $0 / Rational(100) })
            else {
                note()
                return
            }
            value.value = share
        }
        guard let signed = sign ? value.value.negated : value.value else {
            note()
            return
        }
        keep(Numeral(value: signed, isReducible: isReducible))
    }

    private mutating func skipChain() {
        while isDigit(position) || byte(position) == UInt8(ascii: "/")
            || byte(position) == UInt8(ascii: ".") && isDigit(position + 1)
        {
            position += 1
        }
    }

    private mutating func isPercent() -> Bool {
        if byte(position) == UInt8(ascii: "%") {
            position += 1
            return true
        }
        if byte(position) == UInt8(ascii: "\\"), byte(position + 1) == UInt8(ascii: "%") {
            position += 2
            return true
        }
        return false
    }

    /// Unsigned digits; `isPlain` if there is neither point, comma nor exponent.
    private mutating func decimal() -> (value: Rational, isPlain: Bool)? {
        let first = position
        while isDigit(position) { position += 1 }
        var whole = bytes[first..<position]
        var isPlain = true
        if (1...3).contains(whole.count), isGroup(position) {
            var digits = Array(whole)
            while isGroup(position) {
                digits += bytes[position + 1..<position + 4]
                position += 4
            }
            whole = digits[...]
            isPlain = false
        }
        var fraction = bytes[position..<position]
        if byte(position) == UInt8(ascii: "."), isDigit(position + 1) {
            let start = position + 1
            position = start
            while isDigit(position) { position += 1 }
            fraction = bytes[start..<position]
            isPlain = false
            // A version or an address.
            if byte(position) == UInt8(ascii: "."), isDigit(position + 1) { return nil }
        }
        guard whole.count + fraction.count <= Rational.mostDigits else { return nil }
        var exponent = 0
        if byte(position) | 0x20 == UInt8(ascii: "e") {
            var end = position + 1
            let isDown = byte(end) == UInt8(ascii: "-")
            if isDown || byte(end) == UInt8(ascii: "+") { end += 1 }
            if isDigit(end) {
                while isDigit(end) {
                    exponent = min(Self.mostExponent + 1, exponent * 10 + Int(byte(end) - 0x30))
                    end += 1
                }
                position = end
                isPlain = false
                guard exponent <= Self.mostExponent else { return nil }
                if isDown { exponent = -exponent }
            }
        }
        exponent -= fraction.count
        let digits = Natural(digits: whole + fraction)
        let value =
            exponent >= 0
            ? Rational(digits * Natural.powerOfTen(exponent))
            : Rational(digits, over: Natural.powerOfTen(-exponent))
        return value.map { ($0, isPlain) }
    }

    /// Whether a comma and exactly three digits follow.
    private func isGroup(_ index: Int) -> Bool {
        byte(index) == UInt8(ascii: ",") && isDigit(index + 1) && isDigit(index + 2)
            && isDigit(index + 3) && !isDigit(index + 4)
    }

    /// The place behind `\frac{` or `\dfrac{`.
    private func fractionStart(_ index: Int) -> Int? {
        for name in [Self.fraction, Self.displayFraction] where starts(name, at: index) {
            return index + name.count
        }
        return nil
    }

    /// Passes both parts of a fraction that is no number, unless they are endless.
    private mutating func skipGroups(from inner: Int) {
        position = inner
        var (depth, groups) = (1, 0)
        for end in inner..<min(bytes.count, inner + 200) {
            if byte(end) == UInt8(ascii: "{") { depth += 1 }
            guard byte(end) == UInt8(ascii: "}") else { continue }
            depth -= 1
            if depth == 0 { groups += 1 }
            if groups == 2 {
                position = end + 1
                return
            }
        }
    }

    private mutating func latexFraction(from start: Int, inner: Int) -> Numeral? {
        position = inner
        var signs = isNegative(at: start)
        guard let upper = part(&signs), byte(position) == UInt8(ascii: "{") else { return nil }
        position += 1
        guard let lower = part(&signs), let fraction = Rational(upper, over: lower) else {
            return nil
        }
        let isReducible = fraction.denominator != lower || fraction.denominator.isOne
        guard let value = signs ? fraction.negated : fraction else { return nil }
        return Numeral(value: value, isReducible: isReducible)
    }

    /// A whole number and a closing brace.
    private mutating func part(_ isNegative: inout Bool) -> Natural? {
        if byte(position) == UInt8(ascii: "-") {
            isNegative.toggle()
            position += 1
        }
        guard isDigit(position), let number = decimal(), number.isPlain,
            byte(position) == UInt8(ascii: "}")
        else { return nil }
        position += 1
        return number.value.numerator
    }
}
