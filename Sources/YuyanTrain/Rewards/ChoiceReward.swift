import YuyanFormats

/// Whether the completion chose the right one of several options.
///
/// The choice is the content of `\boxed{}`, `<answer>` or behind `####`, else the letter behind the
/// last "answer is", "answer:", "option" or "choice", else the last letter in brackets or alone in its
/// line. A choice is a letter, or the text of an option. A bare letter inside a sentence is none: "A" is
/// an English word.
struct ChoiceReward: RewardFunction {
    let name: String
    /// The reference: a letter, an option's text, or its number.
    var columns = ["answer", "answerKey", "solution", "label", "target", "gold"]
    /// The column with the options' texts, if there is one.
    var choicesColumns = ["choices", "options", "endings"]
    /// Letters of the options, in order.
    var letters = Array("ABCDEFGHIJ".unicodeScalars)
    /// The number of the first option in references that are numbers.
    var firstNumber = 0
    var place = AnswerPlace.anywhere
    var correct = 1.0
    var wrong = 0.0

    init(name: String = "choice") { self.name = name }

    func scores(_ completions: [ScoredCompletion]) throws -> [Double?] {
        try eachScore(completions) { completion in
            guard let column = completion.column(columns) else { return nil }
            let options = completion.column(choicesColumns)?.array?.compactMap(\.string) ?? []
            guard options.count <= letters.count else {
                throw RewardFault("\(options.count) options, expected at most \(letters.count)")
            }
            let count = options.isEmpty ? letters.count : options.count
            guard let right = reference(column, options, count) else {
                throw RewardFault(
                    "the reference is \(column.string.map { "'\($0.prefix(60))'" } ?? "\(column.kind)"), "
                        + "expected a letter, an option's text, or its number from \(firstNumber)")
            }
            return choice(of: completion.text, options, count) == right ? correct : wrong
        }
    }

    private func reference(_ column: JSONCursor, _ options: [String], _ count: Int) -> Int? {
        if let number = column.int ?? column.string.flatMap({ Int(stripped($0)) }) {
            // An option's own text goes before its number.
            if let text = column.string, let index = index(ofText: text, options) { return index }
            return (0..<count).contains(number - firstNumber) ? number - firstNumber : nil
        }
        return column.string.flatMap { index(of: $0, options, count) }
    }

    /// The index of the option that a completion chose.
    func choice(of text: String, _ options: [String], _ count: Int) -> Int? {
        switch place.content(of: text) {
        case nil: return nil
        case .stated(let bytes):
            return index(of: String(decoding: bytes, as: UTF8.self), options, count)
        case .free:
            return spoken(Array(text.unicodeScalars), count)
                ?? index(of: text, options, count)
        }
    }

    /// The option that a short text names: `B`, `(B)`, `**B.**`, `B) text`, or the option's text.
    private func index(of text: String, _ options: [String], _ count: Int) -> Int? {
        let text = stripped(text)
        if let index = index(ofText: text, options) { return index }
        let marks: Set<Unicode.Scalar> = ["(", ")", "[", "]", "*", "_", "$", "\"", "'", "`", " "]
        var scalars = Substring(text).unicodeScalars
        while let first = scalars.first, marks.contains(first) { scalars.removeFirst() }
        guard let first = scalars.popFirst(), let index = letters.firstIndex(of: first),
            index < count
        else { return nil }
        var rest = scalars
        while let last = rest.last, marks.contains(last) || last == "." || last == ":" {
            rest.removeLast()
        }
        if rest.isEmpty { return index }
        // Behind the letter and a mark only this option's own text may stand.
        guard let mark = scalars.first, ").:]".unicodeScalars.contains(mark),
            options.indices.contains(index)
        else { return nil }
        let tail = stripped(String(scalars.dropFirst()))
        return folded(tail) == folded(options[index]) ? index : nil
    }

    private func index(ofText text: String, _ options: [String]) -> Int? {
        let wanted = folded(text)
        let places = options.indices.filter { folded(options[$0]) == wanted }
        return places.count == 1 ? places[0] : nil
    }

    private func folded(_ text: String) -> String {
        var text = stripped(text).lowercased()
        while text.last == "." { text.removeLast() }
        return text
    }

    /// The letter that a sentence gives as the answer.
    private func spoken(_ scalars: [Unicode.Scalar], _ count: Int) -> Int? {
        let allowed = letters.prefix(count)
        func isWord(_ index: Int) -> Bool {
            guard scalars.indices.contains(index) else { return false }
            let properties = scalars[index].properties
            return properties.isAlphabetic || properties.numericType != nil
        }
        let lower = scalars.map(lowercase)
        let markers = ["answer is", "answer", "option", "choice"].map { Array($0.unicodeScalars) }
        var (marked, alone): (Int?, Int?) = (nil, nil)
        for (place, scalar) in scalars.enumerated() {
            guard let letter = allowed.firstIndex(of: scalar), !isWord(place - 1),
                !isWord(place + 1)
            else { continue }
            // Back over what may stand between the words and the letter.
            var end = place
            while end > 0, " *_:([$\"'`\u{2019}".unicodeScalars.contains(scalars[end - 1]) {
                end -= 1
            }
            let isMarked = markers.contains { marker in
                let start = end - marker.count
                return start >= 0 && !isWord(start - 1)
                    && lower[start..<end].elementsEqual(marker)
            }
            let previous = place > 0 ? scalars[place - 1] : "\n"
            let next = place + 1 < scalars.count ? scalars[place + 1] : "\n"
            if isMarked {
                marked = letter
            } else if previous == "(" && next == ")" || previous == "*" && next == "*"
                || isAlone(place, scalars)
            {
                alone = letter
            }
        }
        return marked ?? alone
    }

    private func lowercase(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        ("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) | 0x20) : scalar
    }

    /// Whether a line holds the letter and marks only.
    private func isAlone(_ place: Int, _ scalars: [Unicode.Scalar]) -> Bool {
        let marks = " ().*:[]".unicodeScalars
        var (start, end) = (place, place + 1)
        while start > 0, marks.contains(scalars[start - 1]) { start -= 1 }
        while end < scalars.count, marks.contains(scalars[end]) { end += 1 }
        return (start == 0 || scalars[start - 1] == "\n")
            && (end == scalars.count || scalars[end] == "\n")
    }
}

extension ChoiceReward: ConfiguredReward {
    static let kind = "choice"

    init(_ settings: inout RewardSettings) throws(RecipeError) {
        self.init(name: settings.label)
        columns = try settings.columns(columns)
        let choices = try settings.value("choices_column", [String]())
        if !choices.isEmpty { choicesColumns = choices }
        letters = Array(
            try settings.value("letters", String(String.UnicodeScalarView(letters))).unicodeScalars)
        guard Set(letters).count == letters.count, letters.count >= 2 else {
            throw settings.fault(
                "letters", "'\(String(String.UnicodeScalarView(letters)))'",
                expected: "two letters or more, all different, such as ABCD")
        }
        firstNumber = try settings.value("first_number", firstNumber)
        place = try settings.value("place", place)
        correct = try settings.value("correct", correct)
        wrong = try settings.value("wrong", wrong)
    }
}
