import YuyanFormats

/// Whether the completion's final answer is exactly the number of the row.
///
/// Both are read as fractions of whole numbers, so nothing is rounded: 0.1 is 1/10, 50% is 1/2. A
/// place that is marked as the answer must hold one number, words around it allowed, or end in
/// `= number`; a list of guesses is wrong. A fraction counts only in lowest terms, or else a question
/// such as 84/12 could be answered with itself.
struct ArithmeticReward: RewardFunction {
    let name: String
    /// The columns that may hold the reference; the first that the row has counts.
    var columns = Self.usualColumns
    static let usualColumns = ["answer", "solution", "target"]
    /// Where the answer is looked for.
    var place = AnswerPlace.anywhere
    /// Whether fractions count that are not in lowest terms.
    var allowsReducible = false
    var correct = 1.0
    var wrong = 0.0

    init(name: String = "arithmetic") { self.name = name }

    func scores(_ completions: [ScoredCompletion]) throws -> [Double?] {
        try eachScore(completions) { completion in
            try isCorrect(completion).map { $0 ? correct : wrong }
        }
    }

    /// Nil if the row has no reference.
    ///
    /// - Throws: `RewardFault` if the reference is no number.
    func isCorrect(_ completion: ScoredCompletion) throws -> Bool? {
        guard let column = completion.column(columns) else { return nil }
        let text = Self.text(column)
        guard let text, let reference = Self.reference(text) else {
            throw RewardFault(
                "the reference \(Self.excerpt(text)) is no number; expected one, a calculation, or "
                    + "a solution that ends in #### or \\boxed{}")
        }
        return answer(of: completion.text) == reference
    }

    /// The number that a completion gives as its answer.
    func answer(of text: String) -> Rational? {
        guard let content = place.content(of: text) else { return nil }
        let numeral: Numeral?
        switch content {
        case .free(let bytes): numeral = Numeral.last(in: bytes)
        case .stated(let bytes):
            let equals = bytes.lastIndex(of: UInt8(ascii: "="))
            let last = equals.map { bytes[bytes.index(after: $0)...] } ?? bytes
            let (found, hasOther) = Numeral.all(in: last)
            numeral = found.count == 1 && !hasOther ? found[0] : nil
        }
        guard let numeral, allowsReducible || !numeral.isReducible else { return nil }
        return numeral.value
    }

    /// The number of a reference: a calculation, or a solution's marked answer.
    static func reference(_ text: String) -> Rational? {
        if let value = ArithmeticExpression.value(text) { return value }
        guard case .stated(let bytes) = AnswerPlace.anywhere.content(of: text) else {
            let (found, hasOther) = Numeral.all(in: text.utf8)
            return found.count == 1 && !hasOther ? found[0].value : nil
        }
        let inner = String(decoding: bytes, as: UTF8.self)
        if let value = ArithmeticExpression.value(inner) { return value }
        let (found, hasOther) = Numeral.all(in: bytes)
        return found.count == 1 && !hasOther ? found[0].value : nil
    }

    /// A number keeps the digits it was written with.
    private static func text(_ column: JSONCursor) -> String? {
        guard column.kind == .number || column.kind == .string,
            case .scalar(let text, _, _) = YAMLNode(column)
        else { return nil }
        return text
    }

    private static func excerpt(_ text: String?) -> String {
        guard let text else { return "(a list or an object)" }
        return "'\(text.prefix(60))'" + (text.count > 60 ? "…" : "")
    }
}

extension ArithmeticReward: ConfiguredReward {
    static let kind = "arithmetic"

    init(_ settings: inout RewardSettings) throws(RecipeError) {
        self.init(name: settings.label)
        columns = try settings.columns(columns)
        place = try settings.value("place", place)
        allowsReducible = try settings.value("allow_reducible", allowsReducible)
        correct = try settings.value("correct", correct)
        wrong = try settings.value("wrong", wrong)
    }
}
