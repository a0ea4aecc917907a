/// The exact value of a calculation such as `12*(3+4)`, as data sets write it.
///
/// `+ - * / ^`, brackets, signs, `×`, `÷` and `·`; spaces anywhere but inside numbers. Powers are whole.
enum ArithmeticExpression {
    private static let mostBytes = 10_000
    private static let deepest = 100

    /// Nil if the text is none, divides by 0, or becomes too large.
    static func value(_ text: String) -> Rational? {
        guard text.utf8.count <= mostBytes else { return nil }
        let symbols: [Character: Character] = [
            "×": "*", "÷": "/", "·": "*", "\u{2212}": "-",
        ]
        let plain = String(text.map { symbols[$0] ?? $0 }).replacing("**", with: "^")
        var parser = Parser(bytes: Array(plain.utf8))
        guard let value = parser.sum(depth: 0), parser.isAtEnd else { return nil }
        return value
    }

    private struct Parser {
        let bytes: [UInt8]
        var position = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        private mutating func peek() -> UInt8? {
            while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) {
                position += 1
            }
            return position < bytes.count ? bytes[position] : nil
        }

        var isAtEnd: Bool {
            mutating get { peek() == nil }
        }

        private mutating func take(_ characters: String) -> UInt8? {
            guard let next = peek(), characters.utf8.contains(next) else { return nil }
            position += 1
            return next
        }

        mutating func sum(depth: Int) -> Rational? {
            guard depth <= ArithmeticExpression.deepest, var value = product(depth: depth) else {
                return nil
            }
            while let sign = take("+-") {
                guard let next = product(depth: depth),
                    let result = sign == UInt8(ascii: "+") ? value + next : value - next
                else { return nil }
                value = result
            }
            return value
        }

        private mutating func product(depth: Int) -> Rational? {
            guard var value = factor(depth: depth) else { return nil }
            while let sign = take("*/") {
                guard let next = factor(depth: depth),
                    let result = sign == UInt8(ascii: "*") ? value * next : value / next
                else { return nil }
                value = result
            }
            return value
        }

        /// A sign binds less than a power: `-2^2` is -4.
        private mutating func factor(depth: Int) -> Rational? {
            guard depth <= ArithmeticExpression.deepest else { return nil }
            if take("+") != nil { return factor(depth: depth + 1) }
            if take("-") != nil { return factor(depth: depth + 1)?.negated }
            guard let base = operand(depth: depth) else { return nil }
            guard take("^") != nil else { return base }
            guard let power = factor(depth: depth + 1), power.isWhole,
                let exponent = power.numerator.small
            else { return nil }
            return base.power(power.isNegative ? -exponent : exponent)
        }

        private mutating func operand(depth: Int) -> Rational? {
            if take("(") != nil {
                guard let value = sum(depth: depth + 1), take(")") != nil else { return nil }
                return value
            }
            guard let first = peek(), first &- 0x30 < 10 || first == UInt8(ascii: ".") else {
                return nil
            }
            let start = position
            while position < bytes.count, isNumeral(position, from: start) { position += 1 }
            // The sign and the fraction are this parser's, so that only digits are left.
            let (found, hasOther) = Numeral.all(in: bytes[start..<position])
            return found.count == 1 && !hasOther ? found[0].value : nil
        }

        private func isNumeral(_ index: Int, from start: Int) -> Bool {
            let byte = bytes[index]
            if byte &- 0x30 < 10 || ".,%eE".utf8.contains(byte) { return true }
            return index > start && (byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-"))
                && bytes[index - 1] | 0x20 == UInt8(ascii: "e")
        }
    }
}
