import YuyanFormats

extension SchemaCompiler {
    /// Digits after the point, where a schema bounds the value or says nothing.
    static let fractionDigits = 17
    /// Remainders that an automaton tells apart for `multipleOf`.
    private static let largestDivisor = 5000

    /// Whole numbers of 64 bits, without point and exponent.
    mutating func integers(
        _ shape: SchemaShape, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        var divisor = 1
        for item in shape.divisors {
            guard let value = item.int, value > 0, value <= Self.largestDivisor else {
                throw fault(
                    shape, "multipleOf for integers that is not a whole number",
                    "whole numbers from 1 to \(Self.largestDivisor)")
            }
            divisor = divisor / greatestCommonDivisor(divisor, value) * value
            guard divisor <= Self.largestDivisor else {
                throw fault(
                    shape, "multipleOf \(divisor)", "multiples up to \(Self.largestDivisor)")
            }
        }
        let low = try shape.minimum.map { bound throws(ConstraintError) in
            try whole(bound, isMinimum: true, shape)
        }
        let high = try shape.maximum.map { bound throws(ConstraintError) in
            try whole(bound, isMinimum: false, shape)
        }
        try whole(low ?? -Int.max, high ?? Int.max, divisor, from, to)
    }

    /// The first whole number inside a bound.
    private func whole(
        _ bound: NumberBound, isMinimum: Bool, _ shape: SchemaShape
    ) throws(ConstraintError) -> Int {
        let value = bound.value
        guard let magnitude = value.wholeValue, magnitude < 1 << 62 else {
            // A bound beyond all numbers does not bind, or binds them all.
            if value.isNegative == isMinimum { return isMinimum ? -Int.max : Int.max }
            throw fault(shape, "a bound beyond 4e18", "bounds of 62 bits")
        }
        let floor: Int =
            value.isNegative
            ? -Int(magnitude) - (value.fraction.isEmpty ? 0 : 1) : Int(magnitude)
        if value.fraction.isEmpty {
            return bound.isExclusive ? floor + (isMinimum ? 1 : -1) : floor
        }
        return isMinimum ? floor + 1 : floor
    }

    private func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
        var (a, b) = (a, b)
        while b != 0 { (a, b) = (b, a % b) }
        return a
    }

    private mutating func whole(
        _ low: Int, _ high: Int, _ divisor: Int, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        guard low <= high else { return }
        if low < 0 {
            let minus = try builder.state()
            builder.edge(from, UInt8(ascii: "-")...UInt8(ascii: "-"), minus)
            let nearest = high < 0 ? high.magnitude : 1
            try magnitudes(
                UInt64(nearest)...UInt64(low.magnitude), UInt64(divisor), minus, to)
        }
        if high >= 0 {
            try magnitudes(UInt64(max(0, low))...UInt64(high), UInt64(divisor), from, to)
        }
    }

    private struct DigitPlace: Hashable {
        /// Digits still to come.
        var left: Int
        /// Whether all digits so far are those of the lower or the upper bound.
        var isLowest: Bool
        var isHighest: Bool
        var remainder: UInt64
    }

    /// Multiples of a divisor in a range, digit by digit.
    private mutating func magnitudes(
        _ range: ClosedRange<UInt64>, _ divisor: UInt64, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        let low = Array("\(range.lowerBound)".utf8).map { $0 - 0x30 }
        let high = Array("\(range.upperBound)".utf8).map { $0 - 0x30 }
        var states: [DigitPlace: Int32] = [:]
        for length in low.count...high.count {
            let start = DigitPlace(
                left: length, isLowest: length == low.count, isHighest: length == high.count,
                remainder: 0)
            // Places before the first digit are not shared: it must not be 0.
            var work: [(place: DigitPlace, state: Int32, isFirst: Bool)] = [(start, from, true)]
            while let (place, state, isFirst) = work.popLast() {
                let least = place.isLowest ? low[low.count - place.left] : 0
                let most = place.isHighest ? high[high.count - place.left] : 9
                let first = isFirst && length > 1 ? max(1, least) : least
                guard first <= most else { continue }
                for digit in first...most {
                    let next = DigitPlace(
                        left: place.left - 1, isLowest: place.isLowest && digit == least,
                        isHighest: place.isHighest && digit == most,
                        remainder: (place.remainder * 10 + UInt64(digit)) % divisor)
                    let target: Int32
                    if next.left == 0 {
                        guard next.remainder == 0 else { continue }
                        target = to
                    } else if let known = states[next] {
                        target = known
                    } else {
                        target = try builder.state()
                        states[next] = target
                        work.append((next, target, false))
                    }
                    builder.edge(state, 0x30 + digit...0x30 + digit, target)
                }
            }
        }
    }

    // MARK: Numbers with a fraction

    mutating func numbers(
        _ shape: SchemaShape, _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        var digits = Self.fractionDigits
        for divisor in shape.divisors {
            if divisor.int != nil {
                // Multiples of a whole number are whole.
                guard shape.types.contains(.integer) else { return }
                try integers(shape, from, to)
                return
            }
            guard let number = DecimalNumber(divisor), number.whole.isEmpty,
                !number.isNegative, number.fraction.last == 1,
                number.fraction.allSatisfy({ $0 <= 1 }), number.fraction.reduce(0, +) == 1
            else {
                throw fault(
                    shape, "multipleOf for numbers that is no power of ten",
                    "0.1, 0.01, ... and whole numbers")
            }
            digits = min(digits, number.fraction.count)
        }
        if shape.minimum == nil, shape.maximum == nil, shape.divisors.isEmpty {
            builder.call(from, try builder.jsonNumber(), to)
            return
        }
        let low = shape.minimum
        let high = shape.maximum
        let zero = NumberBound(value: DecimalNumber(0), isExclusive: false)
        // Below zero the bounds change places.
        if low?.value.isNegative ?? true {
            let minus = try builder.state()
            builder.edge(from, UInt8(ascii: "-")...UInt8(ascii: "-"), minus)
            var nearest = NumberBound(value: DecimalNumber(0), isExclusive: true)
            if let high, high.value.isNegative { nearest = Self.negated(high) }
            try decimals(nearest, low.map(Self.negated), digits, shape, minus, to)
        }
        if let high, high.value.isNegative { return }
        let start = low.flatMap { $0.value.isNegative ? nil : $0 } ?? zero
        try decimals(start, high, digits, shape, from, to)
    }

    private static func negated(_ bound: NumberBound) -> NumberBound {
        var bound = bound
        bound.value.isNegative.toggle()
        return bound
    }

    /// Numbers of a range above zero, without exponent.
    private mutating func decimals(
        _ low: NumberBound, _ high: NumberBound?, _ digits: Int, _ shape: SchemaShape,
        _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        let limit: UInt64 = 1_000_000_000_000_000_000
        guard let least = low.value.wholeValue, least < limit else {
            throw fault(shape, "a bound beyond 1e18", "smaller bounds")
        }
        var most = limit
        var end: NumberBound?
        if let high, let value = high.value.wholeValue, value < limit {
            most = value
            end = high
        }
        guard least <= most else { return }
        let lowest = FractionBound(digits: low.value.fraction, isExclusive: low.isExclusive)
        let highest = end.map {
            FractionBound(digits: $0.value.fraction, isExclusive: $0.isExclusive)
        }
        if least == most {
            try boundary(least, lowest, highest, digits, from, to)
            return
        }
        try boundary(least, lowest, nil, digits, from, to)
        if let highest { try boundary(most, nil, highest, digits, from, to) }
        guard least + 1 < most else { return }
        let next = try builder.state()
        try magnitudes(least + 1...most - 1, 1, from, next)
        try builder.emit(FractionBound.pattern(nil, nil, digits), from: next, to: to)
    }

    private mutating func boundary(
        _ whole: UInt64, _ low: FractionBound?, _ high: FractionBound?, _ digits: Int,
        _ from: Int32, _ to: Int32
    ) throws(ConstraintError) {
        try builder.emit(
            .sequence([.text("\(whole)"), FractionBound.pattern(low, high, digits)]), from: from,
            to: to)
    }
}

/// A bound of the digits after the point.
struct FractionBound {
    var digits: [UInt8]
    var isExclusive: Bool

    /// The point and digits between two bounds, or nothing if 0 is between them.
    ///
    /// - Parameter count: The most digits.
    static func pattern(
        _ low: FractionBound?, _ high: FractionBound?, _ count: Int
    ) -> Pattern {
        let some = Pattern.sequence([.text("."), tail(low, high, count, isEmptyAllowed: false)])
        return allowsEnd(low, high) ? .optional(some) : some
    }

    /// Whether zeros only would be between the bounds.
    private static func allowsEnd(_ low: FractionBound?, _ high: FractionBound?) -> Bool {
        if let low, !low.digits.isEmpty || low.isExclusive { return false }
        if let high, high.digits.isEmpty && high.isExclusive { return false }
        return true
    }

    private static func tail(
        _ low: FractionBound?, _ high: FractionBound?, _ count: Int, isEmptyAllowed: Bool
    ) -> Pattern {
        let digit = Pattern.characters(.digits)
        if low == nil, high == nil {
            return .repeated(digit, minimum: isEmptyAllowed ? 0 : 1, maximum: count)
        }
        var options: [Pattern] = []
        if isEmptyAllowed, allowsEnd(low, high) { options.append(.empty) }
        if count > 0 {
            let least = low?.digits.first ?? 0
            let most = high?.digits.first ?? (high == nil ? 9 : 0)
            guard least <= most else { return options.isEmpty ? .nothing : .choice(options) }
            // Digits strictly between the bounds leave the rest free.
            var free: [ClosedRange<UInt32>] = []
            for digit in least...most {
                let nextLow = digit == least ? low?.dropFirst() : nil
                let nextHigh = digit == most ? high?.dropFirst() : nil
                if nextLow == nil, nextHigh == nil {
                    free.append(0x30 + UInt32(digit)...0x30 + UInt32(digit))
                    continue
                }
                options.append(
                    .sequence([
                        .text("\(digit)"),
                        tail(nextLow, nextHigh, count - 1, isEmptyAllowed: true),
                    ]))
            }
            if !free.isEmpty {
                let rest = tail(nil, nil, count - 1, isEmptyAllowed: true)
                options.append(.sequence([.characters(CodePointSet(free)), rest]))
            }
        }
        return options.isEmpty ? .nothing : .choice(options)
    }

    private func dropFirst() -> FractionBound {
        FractionBound(digits: Array(digits.dropFirst()), isExclusive: isExclusive)
    }
}
