/// A whole number of any size, not negative.
///
/// Schoolbook arithmetic: for the few dozen digits of an answer, not for cryptography. Callers bound
/// the digits before they come here.
struct Natural: Hashable, Sendable {
    /// Limbs of 32 bits, the lowest first, without zeros at the top; empty for 0.
    private(set) var limbs: [UInt32]

    static let zero = Natural(0)
    static let one = Natural(1)

    init(_ value: UInt64) {
        limbs = [UInt32(truncatingIfNeeded: value), UInt32(truncatingIfNeeded: value >> 32)]
        trim()
    }

    /// The value of ASCII digits, of which nothing else may be among them.
    init(digits: some Sequence<UInt8>) {
        limbs = []
        var (chunk, scale): (UInt64, UInt64) = (0, 1)
        for byte in digits {
            chunk = chunk * 10 + UInt64(byte &- 0x30)
            scale *= 10
            if scale == 1_000_000_000 {
                multiply(by: UInt32(scale), adding: UInt32(chunk))
                (chunk, scale) = (0, 1)
            }
        }
        if scale > 1 { multiply(by: UInt32(scale), adding: UInt32(chunk)) }
    }

    var isZero: Bool { limbs.isEmpty }
    var isOne: Bool { limbs == [1] }
    private var isEven: Bool { limbs.first.map { $0 & 1 == 0 } ?? true }

    /// The value if it is small enough.
    var small: Int? {
        guard limbs.count <= 1 else { return nil }
        return Int(limbs.first ?? 0)
    }

    private mutating func trim() { while limbs.last == 0 { limbs.removeLast() } }

    private mutating func multiply(by factor: UInt32, adding term: UInt32) {
        var carry = UInt64(term)
        for index in limbs.indices {
            let sum = UInt64(limbs[index]) * UInt64(factor) + carry
            limbs[index] = UInt32(truncatingIfNeeded: sum)
            carry = sum >> 32
        }
        if carry > 0 { limbs.append(UInt32(carry)) }
    }

    static func + (a: Natural, b: Natural) -> Natural {
        var result = a.limbs.count >= b.limbs.count ? a : b
        let other = a.limbs.count >= b.limbs.count ? b : a
        var carry: UInt64 = 0
        for index in result.limbs.indices {
            let term = index < other.limbs.count ? other.limbs[index] : 0
            let sum = UInt64(result.limbs[index]) + UInt64(term) + carry
            result.limbs[index] = UInt32(truncatingIfNeeded: sum)
            carry = sum >> 32
        }
        if carry > 0 { result.limbs.append(UInt32(carry)) }
        return result
    }

    /// - Precondition: `b` is not greater than `a`.
    static func - (a: Natural, b: Natural) -> Natural {
        precondition(!(a < b), "a difference below 0")
        var result = a
        var borrow: Int64 = 0
        for index in result.limbs.indices {
            let term = index < b.limbs.count ? Int64(b.limbs[index]) : 0
            let difference = Int64(result.limbs[index]) - term - borrow
            borrow = difference < 0 ? 1 : 0
            result.limbs[index] = UInt32(truncatingIfNeeded: difference)
        }
        result.trim()
        return result
    }

    static func * (a: Natural, b: Natural) -> Natural {
        var result = Natural.zero
        guard !a.isZero, !b.isZero else { return result }
        result.limbs = [UInt32](repeating: 0, count: a.limbs.count + b.limbs.count)
        for (i, x) in a.limbs.enumerated() {
            var carry: UInt64 = 0
            for (j, y) in b.limbs.enumerated() {
                let sum = UInt64(x) * UInt64(y) + UInt64(result.limbs[i + j]) + carry
                result.limbs[i + j] = UInt32(truncatingIfNeeded: sum)
                carry = sum >> 32
            }
            result.limbs[i + b.limbs.count] = UInt32(carry)
        }
        result.trim()
        return result
    }

    static func < (a: Natural, b: Natural) -> Bool {
        if a.limbs.count != b.limbs.count { return a.limbs.count < b.limbs.count }
        for index in a.limbs.indices.reversed() where a.limbs[index] != b.limbs[index] {
            return a.limbs[index] < b.limbs[index]
        }
        return false
    }

    /// Ten to a power.
    static func powerOfTen(_ exponent: Int) -> Natural {
        var result = Natural.one
        for _ in 0..<exponent { result.multiply(by: 10, adding: 0) }
        return result
    }

    /// Divides in place by a number of one limb; returns the remainder.
    mutating func divide(by divisor: UInt32) -> UInt32 {
        var remainder: UInt64 = 0
        for index in limbs.indices.reversed() {
            let part = remainder << 32 | UInt64(limbs[index])
            limbs[index] = UInt32(part / UInt64(divisor))
            remainder = part % UInt64(divisor)
        }
        trim()
        return UInt32(remainder)
    }

    private mutating func halve() {
        var carry: UInt32 = 0
        for index in limbs.indices.reversed() {
            let limb = limbs[index]
            limbs[index] = limb >> 1 | carry << 31
            carry = limb & 1
        }
        trim()
    }

    /// The quotient, bit by bit.
    ///
    /// - Precondition: `divisor` is not 0.
    func quotient(by divisor: Natural) -> Natural {
        precondition(!divisor.isZero, "division by 0")
        var (result, rest) = (Natural.zero, Natural.zero)
        for limb in limbs.reversed() {
            for bit in (0..<32).reversed() {
                rest = rest + rest
                if limb >> UInt32(bit) & 1 == 1 { rest = rest + .one }
                result = result + result
                if !(rest < divisor) {
                    rest = rest - divisor
                    result = result + .one
                }
            }
        }
        return result
    }

    /// The greatest common divisor, by halving and subtracting (Stein, 1967).
    static func greatestCommonDivisor(_ a: Natural, _ b: Natural) -> Natural {
        var (a, b) = (a, b)
        if a.isZero { return b }
        if b.isZero { return a }
        var twos = 0
        while a.isEven && b.isEven {
            a.halve()
            b.halve()
            twos += 1
        }
        while a.isEven { a.halve() }
        while !b.isZero {
            while b.isEven { b.halve() }
            if b < a { swap(&a, &b) }
            b = b - a
        }
        for _ in 0..<twos { a = a + a }
        return a
    }
}

extension Natural: CustomStringConvertible {
    /// Decimal digits.
    var description: String {
        guard !isZero else { return "0" }
        var parts: [String] = []
        var rest = self
        while !rest.isZero { parts.append("\(rest.divide(by: 1_000_000_000))") }
        return parts.indices.reversed().map { index in
            let part = parts[index]
            let zeros = index == parts.count - 1 ? 0 : 9 - part.utf8.count
            return String(repeating: "0", count: zeros) + part
        }.joined()
    }
}
