/// Numbers in JSON texts, whose syntax was checked when the text was parsed.
enum JSONNumber {
    /// The exact value of a text of digits with an optional sign, or `nil` if it does not fit.
    static func integer(_ bytes: borrowing RawSpan, _ range: Range<Int>) -> Int? {
        var position = range.lowerBound
        let isNegative = bytes.byte(position) == UInt8(ascii: "-")
        if isNegative { position += 1 }
        var value = 0
        // Accumulating downwards reaches Int.min, whose magnitude has no positive counterpart.
        while position < range.upperBound {
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 10)
            let (next, carry) = shifted.subtractingReportingOverflow(
                Int(bytes.byte(position) - 0x30))
            if overflow || carry { return nil }
            value = next
            position += 1
        }
        if isNegative { return value }
        return value == .min ? nil : -value
    }

    /// The nearest double of a number, or `nil` if that is infinite.
    static func double(_ bytes: borrowing RawSpan, _ range: Range<Int>) -> Double? {
        if let exact = fastDouble(bytes, range) { return exact }
        guard let value = bytes.text(in: range).flatMap(Double.init), value.isFinite else {
            return nil
        }
        return value
    }

    /// Powers of ten that a double holds exactly.
    private static let powersOfTen: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ]

    /// The value if one correctly rounded operation on exact operands gives it.
    ///
    /// Clinger, "How to read floating point numbers accurately", PLDI 1990, section 3.
    private static func fastDouble(_ bytes: borrowing RawSpan, _ range: Range<Int>) -> Double? {
        // Nineteen digits fit into 64 bits; longer texts take the slow path.
        guard range.count <= 24 else { return nil }
        var mantissa: UInt64 = 0
        var digits = 0
        var exponent = 0
        var isFraction = false
        var position = range.lowerBound
        let isNegative = bytes.byte(position) == UInt8(ascii: "-")
        if isNegative { position += 1 }
        while position < range.upperBound {
            let byte = bytes.byte(position)
            if byte == UInt8(ascii: ".") {
                isFraction = true
            } else if byte &- 0x30 < 10 {
                if mantissa > 0 || byte != 0x30 { digits += 1 }
                guard digits <= 19 else { return nil }
                mantissa = mantissa * 10 + UInt64(byte - 0x30)
                if isFraction { exponent -= 1 }
            } else {
                break
            }
            position += 1
        }
        if position < range.upperBound {
            // What is left is an exponent of at most 22 characters; six digits are plenty.
            guard range.upperBound - position <= 8 else { return nil }
            position += 1
            let isDown = bytes.byte(position) == UInt8(ascii: "-")
            if isDown || bytes.byte(position) == UInt8(ascii: "+") { position += 1 }
            var written = 0
            while position < range.upperBound {
                written = written * 10 + Int(bytes.byte(position) - 0x30)
                position += 1
            }
            exponent += isDown ? -written : written
        }
        guard mantissa <= 1 << 53, abs(exponent) < powersOfTen.count else { return nil }
        let magnitude =
            exponent < 0
            ? Double(mantissa) / powersOfTen[-exponent]
            : Double(mantissa) * powersOfTen[exponent]
        return isNegative ? -magnitude : magnitude
    }
}
