import TestSupport
import Testing

@testable import YuyanTrain

@Suite("Exact numbers")
struct RationalTests {
    private static func digits(_ count: Int, _ random: inout SeededGenerator) -> String {
        let text = (0..<count).map { _ in "\(Int.random(in: 0...9, using: &random))" }.joined()
        return "\(Int.random(in: 1...9, using: &random))" + text
    }

    @Test("any fraction that is printed is read back, alone and in a calculation")
    func roundTrips() throws {
        var random = SeededGenerator(seed: 1)
        for length in [0, 1, 2, 5, 8, 9, 10, 17, 18, 19, 40, 200] {
            for _ in 0..<20 {
                let numerator = Natural(digits: Self.digits(length, &random).utf8)
                let denominator = Natural(digits: Self.digits(length / 2, &random).utf8)
                let value = try #require(
                    Rational(isNegative: .random(using: &random), numerator, over: denominator))
                let text = "\(value)"
                #expect(Numeral.last(in: "so it is \(text).".utf8)?.value == value)
                #expect(ArithmeticExpression.value(text) == value)
                #expect(Numeral.last(in: text.utf8)?.isReducible == false)
                // Unreduced, it is the same number, and known to be unreduced.
                let twice = "\(numerator + numerator)/\(denominator + denominator)"
                let read = try #require(Numeral.last(in: twice.utf8))
                #expect(
                    read.isReducible
                        && "\(read.value)".hasSuffix(
                            "\(value.numerator)\(value.isWhole ? "" : "/\(value.denominator)")")
                )
            }
        }
    }

    @Test("small numbers are computed with as 64 bits do")
    func agreesWithIntegers() {
        var random = SeededGenerator(seed: 2)
        for _ in 0..<2000 {
            let a = Int.random(in: -40_000...40_000, using: &random)
            let b = Int.random(in: -40_000...40_000, using: &random)
            let c = Int.random(in: 1...500, using: &random)
            #expect(Rational(a) + Rational(b) == Rational(a + b))
            #expect(Rational(a) - Rational(b) == Rational(a - b))
            #expect(Rational(a) * Rational(b) == Rational(a * b))
            #expect(Rational(a * c) / Rational(c) == Rational(a))
            #expect("\(Rational(a * b))" == "\(a * b)")
            // Different numbers are never equal, however close.
            #expect(Rational(a) / Rational(c) != Rational(a + 1) / Rational(c))
        }
    }

    @Test("large numbers obey the laws of arithmetic")
    func laws() {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<50 {
            func number() -> Natural {
                Natural(digits: Self.digits(Int.random(in: 1...120, using: &random), &random).utf8)
            }
            let (a, b, c) = (number(), number(), number())
            #expect((a + b) * c == a * c + b * c)
            #expect((a + b) - b == a)
            #expect((a * b).quotient(by: b) == a)
            #expect((a * b + (b - .one)).quotient(by: b) == a)
            let divisor = Natural.greatestCommonDivisor(a * c, b * c)
            #expect(divisor == c * Natural.greatestCommonDivisor(a, b))
            #expect(Natural(digits: "\(a)".utf8) == a)
        }
        #expect("\(Natural.powerOfTen(27))" == "1" + String(repeating: "0", count: 27))
        #expect(Rational(1) / Rational(0) == nil)
        #expect(Rational(2).power(100).map { "\($0)" } == "1267650600228229401496703205376")
        #expect(Rational(2).power(-2).map { "\($0)" } == "1/4")
        #expect(Rational(0).power(-1) == nil && Rational(10).power(4096) == nil)
    }

    @Test(
        "numbers are read as people write them",
        arguments: [
            ("the total is 1,234,567.", "1234567"), ("-5", "-5"), ("x = -5", "-5"), ("3-5", "5"),
            ("(-0.50)", "-1/2"), ("0.1", "1/10"), (".5", "1/2"), ("50%", "1/2"),
            ("-$3.20", "-16/5"),
            ("$-3", "-3"), ("1e3", "1000"), ("2.5E-1", "1/4"), ("\u{2212}7", "-7"), ("3/4", "3/4"),
            ("-3/4", "-3/4"), ("\\frac{3}{4}", "3/4"), ("-\\dfrac{1}{2}", "-1/2"),
            ("15 apples", "15"),
            ("1,2", "2"), ("1,2345", "2345"), ("10%", "1/10"), ("12.5\\%", "1/8"), ("**42**", "42"),
            ("答案是15", "15"), ("007", "7"), ("3.", "3"), ("4th", "4"), ("0", "0"), ("-0", "0"),
        ])
    func reads(text: String, value: String) {
        #expect(Numeral.last(in: text.utf8).map { "\($0.value)" } == value)
    }

    @Test(
        "what only looks like a number is none",
        arguments: [
            "", "no", "x2", "0x1F", "1.2.3", "12/5/2024", "1/0", "1e999999", "1e-999999", "1.5/2",
            "7 and v2", "\\frac{1}{0}", "\\frac{x}{2}", "\\frac{\\sqrt{2}}{3}", "NaN", "inf", "½",
            "٣",
        ])
    func refuses(text: String) {
        #expect(Numeral.last(in: text.utf8) == nil)
    }

    @Test("megabytes of digits, signs or fractions are passed over in bounded time")
    func survives() {
        let count = 10_000_000
        let started = ContinuousClock.now
        for unit in ["9", "-", "1,", "1/", "\\frac{1", "1e", ".1", "%", "-1", "\\frac{"] {
            let text = String(repeating: unit, count: 1_000_000 / unit.utf8.count)
            _ = Numeral.last(in: text.utf8)
        }
        #expect(Numeral.last(in: String(repeating: "9", count: count).utf8) == nil)
        #expect(Numeral.last(in: (String(repeating: "9", count: count) + " 5").utf8) != nil)
        #expect(ContinuousClock.now - started < .seconds(60))
    }

    @Test(
        "calculations have their usual precedence",
        arguments: [
            ("12*(3+4)", "84"), ("1+2*3", "7"), ("2^3^2", "512"), ("-2^2", "-4"), ("(-2)^2", "4"),
            ("1/3+1/6", "1/2"), ("10 - 3 - 2", "5"), ("84/12", "7"), ("3 × 4 ÷ 6", "2"),
            ("1,000 + 1", "1001"), ("50% * 4", "2"), ("2**10", "1024"), ("- - 3", "3"),
            ("1e2 + 1e-2", "10001/100"), ("2^-1", "1/2"), ("0^0", "1"),
        ])
    func calculates(text: String, value: String) {
        #expect(ArithmeticExpression.value(text).map { "\($0)" } == value)
    }

    @Test(
        "what is no calculation, or has no value, is refused",
        arguments: [
            "", "1 +", "(1", "1)", "1 2", "1/0", "1/(2-2)", "0^-1", "2^0.5", "9^9^9", "10^5000",
            "abs(1)",
            "1.2.3", "x", "__import__('os')", "1e999999", "--", "()",
        ])
    func refusesCalculation(text: String) {
        #expect(ArithmeticExpression.value(text) == nil)
    }

    @Test("deep brackets and endless calculations end")
    func deepCalculation() {
        #expect(ArithmeticExpression.value(String(repeating: "(", count: 5000)) == nil)
        #expect(ArithmeticExpression.value(String(repeating: "-", count: 9000) + "1") == nil)
        #expect(ArithmeticExpression.value(String(repeating: "2^", count: 4000) + "2") == nil)
        #expect(ArithmeticExpression.value(String(repeating: "1", count: 20_000)) == nil)
        let started = ContinuousClock.now
        let long = Array(repeating: "1/" + String(repeating: "7", count: 300), count: 30)
        _ = ArithmeticExpression.value(long.joined(separator: "+"))
        #expect(ContinuousClock.now - started < .seconds(20))
    }
}
