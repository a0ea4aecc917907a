/// What all notations become first: an expression over characters that may call rules.
indirect enum Pattern: Sendable {
    /// The empty text.
    case empty
    /// No text.
    case nothing
    /// A text in UTF-8.
    case literal([UInt8])
    /// One character.
    case characters(CodePointSet)
    case sequence([Pattern])
    case choice([Pattern])
    /// At least `minimum` and at most `maximum` times; without end if that is `nil`.
    case repeated(Pattern, minimum: Int, maximum: Int?)
    /// What a rule of the same automaton describes.
    case rule(Int32)

    static func text(_ text: String) -> Pattern { .literal(Array(text.utf8)) }
    static func optional(_ body: Pattern) -> Pattern { .repeated(body, minimum: 0, maximum: 1) }
    static func many(_ body: Pattern) -> Pattern { .repeated(body, minimum: 0, maximum: nil) }

    /// An equal pattern in which a repeated body is not needlessly empty.
    ///
    /// `(a?){0,9}` becomes `a{0,9}`: chains of bodies that may be empty would need edges from each
    /// place to all later ones.
    static func repetition(_ body: Pattern, _ minimum: Int, _ maximum: Int?) -> Pattern {
        switch body {
        case .empty: return .empty
        case .repeated(let inner, 0, nil) where maximum != 0:
            return .many(inner)
        case .repeated(let inner, 1, nil) where maximum == nil:
            return .repeated(inner, minimum: minimum, maximum: nil)
        case .repeated(let inner, 0, 1):
            return .repeated(inner, minimum: 0, maximum: maximum)
        case .choice(let options):
            let full = options.filter { if case .empty = $0 { false } else { true } }
            guard full.count < options.count else { break }
            return .repeated(
                full.count == 1 ? full[0] : .choice(full), minimum: 0, maximum: maximum)
        case .repeated(let inner, let low, let high?) where low < high:
            guard let maximum, let both = product(low...high, minimum, maximum) else { break }
            return .repeated(inner, minimum: both.lowerBound, maximum: both.upperBound)
        default: break
        }
        return .repeated(body, minimum: minimum, maximum: maximum)
    }

    /// The numbers of copies in `minimum` to `maximum` groups of `copies`, if they have no gap.
    ///
    /// `(a{0,9}){0,9}` becomes `a{0,81}`: otherwise each text could be read in as many ways as it
    /// can be cut into groups.
    private static func product(
        _ copies: ClosedRange<Int>, _ minimum: Int, _ maximum: Int
    ) -> ClosedRange<Int>? {
        let (most, overflow) = copies.upperBound.multipliedReportingOverflow(by: maximum)
        // A chain too long would not fit.
        guard minimum <= maximum, !overflow, most <= longestChain,
            minimum * copies.upperBound + 1 >= (minimum + 1) * copies.lowerBound
        else { return nil }
        return minimum * copies.lowerBound...most
    }

    private static let longestChain = 4000

    /// Whether the pattern may describe the empty text: `nil` if only the rules that it calls know.
    var isNullable: Bool? {
        switch self {
        case .empty: return true
        case .nothing, .characters: return false
        case .literal(let bytes): return bytes.isEmpty
        case .rule: return nil
        case .repeated(let body, let minimum, _): return minimum == 0 ? true : body.isNullable
        case .sequence(let parts):
            let all = parts.map(\.isNullable)
            if all.contains(false) { return false }
            return all.contains(nil) ? nil : true
        case .choice(let options):
            let all = options.map(\.isNullable)
            if all.contains(true) { return true }
            return all.contains(nil) ? nil : false
        }
    }

    /// About how many states a copy takes, at most `cap`.
    func size(cap: Int) -> Int {
        switch self {
        case .empty, .nothing: return 1
        case .literal(let bytes): return min(cap, bytes.count)
        case .characters: return 2
        case .rule: return 1
        case .sequence(let parts), .choice(let parts):
            var sum = 0
            for part in parts where sum < cap { sum += part.size(cap: cap) }
            return min(cap, sum)
        case .repeated(let body, let minimum, let maximum):
            let copies = max(1, maximum ?? minimum)
            let (product, overflow) = body.size(cap: cap).multipliedReportingOverflow(by: copies)
            return overflow ? cap : min(cap, product)
        }
    }
}
