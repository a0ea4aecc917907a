import YuyanFormats

/// A number in decimal digits, exact.
struct DecimalNumber: Hashable {
    var isNegative: Bool
    /// Without leading zeros; empty for 0.
    var whole: [UInt8]
    /// Without trailing zeros.
    var fraction: [UInt8]

    var isZero: Bool { whole.isEmpty && fraction.isEmpty }

    /// The number of a schema, or `nil` if it has more than 40 digits before or after the point.
    init?(_ cursor: JSONCursor) {
        if let int = cursor.isInteger ? cursor.int : nil {
            self.init(int)
        } else if let double = cursor.double {
            self.init(text: "\(double)")
        } else {
            return nil
        }
    }

    init(_ value: Int) {
        isNegative = value < 0
        whole = value == 0 ? [] : Array("\(value.magnitude)".utf8).map { $0 - 0x30 }
        fraction = []
    }

    private init?(text: String) {
        var digits: [UInt8] = []
        var point: Int?
        var exponent = 0
        var rest = text.utf8[...]
        isNegative = rest.first == UInt8(ascii: "-")
        if isNegative { rest = rest.dropFirst() }
        while let byte = rest.first {
            rest = rest.dropFirst()
            switch byte {
            case 0x30...0x39: digits.append(byte - 0x30)
            case UInt8(ascii: "."): point = digits.count
            case UInt8(ascii: "e"):
                guard let value = Int(String(Substring(rest))) else { return nil }
                exponent = value
                rest = rest[rest.endIndex...]
            default: return nil
            }
        }
        let place = (point ?? digits.count) + exponent
        guard abs(place) <= 40 else { return nil }
        if place < 0 { digits = Array(repeating: 0, count: -place) + digits }
        let cut = max(0, place)
        if cut > digits.count { digits += Array(repeating: 0, count: cut - digits.count) }
        whole = Array(digits[..<cut].drop { $0 == 0 })
        fraction = Array(digits[cut...])
        while fraction.last == 0 { fraction.removeLast() }
    }

    /// The whole part, or `nil` beyond 64 bits.
    var wholeValue: UInt64? {
        var value: UInt64 = 0
        for digit in whole {
            let (product, over) = value.multipliedReportingOverflow(by: 10)
            let (sum, over2) = product.addingReportingOverflow(UInt64(digit))
            if over || over2 { return nil }
            value = sum
        }
        return value
    }

    static func isLess(_ a: DecimalNumber, _ b: DecimalNumber) -> Bool {
        if a.isZero && b.isZero { return false }
        if a.isNegative != b.isNegative { return a.isNegative && !(a.isZero && b.isZero) }
        let isSmaller = magnitudeIsLess(a, b)
        return a.isNegative ? magnitudeIsLess(b, a) : isSmaller
    }

    private static func magnitudeIsLess(_ a: DecimalNumber, _ b: DecimalNumber) -> Bool {
        if a.whole.count != b.whole.count { return a.whole.count < b.whole.count }
        if a.whole != b.whole { return a.whole.lexicographicallyPrecedes(b.whole) }
        return a.fraction.lexicographicallyPrecedes(b.fraction)
    }
}
