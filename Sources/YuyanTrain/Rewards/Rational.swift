/// A fraction of whole numbers, in lowest terms: equal fractions are equal values.
struct Rational: Hashable, Sendable {
    let isNegative: Bool
    let numerator: Natural
    /// Not 0.
    let denominator: Natural

    /// What a number or a step of a calculation may have at most; beyond it there is no answer.
    static let mostDigits = 1000
    /// Room for the product of two such numbers before it is reduced.
    private static let mostLimbs = 256

    /// A fraction, reduced; nil if the denominator is 0 or a part is too large.
    init?(isNegative: Bool = false, _ numerator: Natural, over denominator: Natural = .one) {
        guard !denominator.isZero, numerator.limbs.count <= Self.mostLimbs,
            denominator.limbs.count <= Self.mostLimbs
        else { return nil }
        let divisor =
            denominator.isOne
            ? .one : Natural.greatestCommonDivisor(numerator, denominator)
        self.numerator = divisor.isOne ? numerator : numerator.quotient(by: divisor)
        self.denominator = divisor.isOne ? denominator : denominator.quotient(by: divisor)
        self.isNegative = isNegative && !numerator.isZero
    }

    init(_ value: Int) {
        isNegative = value < 0
        numerator = Natural(UInt64(value.magnitude))
        denominator = .one
    }

    var isWhole: Bool { denominator.isOne }

    var negated: Rational? { Rational(isNegative: !isNegative, numerator, over: denominator) }

    static func + (a: Rational, b: Rational) -> Rational? {
        let left = a.numerator * b.denominator
        let right = b.numerator * a.denominator
        let denominator = a.denominator * b.denominator
        if a.isNegative == b.isNegative {
            return Rational(isNegative: a.isNegative, left + right, over: denominator)
        }
        if left < right {
            return Rational(isNegative: b.isNegative, right - left, over: denominator)
        }
        return Rational(isNegative: a.isNegative, left - right, over: denominator)
    }

    static func - (a: Rational, b: Rational) -> Rational? { b.negated.flatMap { a + $0 } }

    static func * (a: Rational, b: Rational) -> Rational? {
        Rational(
            isNegative: a.isNegative != b.isNegative, a.numerator * b.numerator,
            over: a.denominator * b.denominator)
    }

    /// Nil for division by 0.
    static func / (a: Rational, b: Rational) -> Rational? {
        Rational(
            isNegative: a.isNegative != b.isNegative, a.numerator * b.denominator,
            over: a.denominator * b.numerator)
    }

    /// A whole power, nil if it would be too large or 0 to a negative one.
    func power(_ exponent: Int) -> Rational? {
        guard abs(exponent) <= 4096 else { return nil }
        var result: Rational? = Rational(1)
        var base: Rational? = self
        var left = abs(exponent)
        while left > 0 {
            guard let square = base, let product = result else { return nil }
            if left & 1 == 1 { result = product * square }
            left >>= 1
            if left > 0 { base = square * square }
        }
        guard exponent < 0, let result else { return result }
        return Rational(1) / result
    }
}

extension Rational: CustomStringConvertible {
    /// `-7` or `3/4`.
    var description: String {
        (isNegative ? "-" : "") + "\(numerator)" + (isWhole ? "" : "/\(denominator)")
    }
}
