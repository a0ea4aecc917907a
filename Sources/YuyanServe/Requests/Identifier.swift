/// Ids of answers, calls and items: a prefix and random digits.
enum Identifier {
    /// An id that nobody else has: 96 random bits behind the prefix.
    static func make(_ prefix: String) -> String {
        func digits(_ count: Int) -> String {
            let value = UInt64.random(in: 0..<1 << (4 * UInt64(count)))
            let text = String(value, radix: 16)
            return String(repeating: "0", count: count - text.count) + text
        }
        return prefix + digits(12) + digits(12)
    }
}
