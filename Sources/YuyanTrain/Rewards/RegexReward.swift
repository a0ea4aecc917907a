import YuyanFormats

/// Whether a regular expression matches, and its group is what a column says.
///
/// Runs in steps that are bounded by the text's length; see `CapturePattern` for the dialect. A row
/// whose search takes too many steps is a fault, not a wait.
struct RegexReward: RewardFunction {
    let name: String
    private let pattern: CapturePattern
    /// Compares what was captured; empty if matching alone counts.
    var columns: [String] = []
    var takesLast = false
    var ignoresCase = false
    var matched = 1.0
    var unmatched = 0.0

    /// - Throws: If the expression cannot be read.
    init(name: String = "regex", _ pattern: String, matchesWhole: Bool = false) throws {
        self.name = name
        self.pattern = try CapturePattern(pattern, matchesWhole: matchesWhole)
    }

    func scores(_ completions: [ScoredCompletion]) throws -> [Double?] {
        try eachScore(completions) { completion in
            var expected: String?
            if !columns.isEmpty {
                guard let column = completion.column(columns) else { return nil }
                guard case .scalar(let text, _, _) = YAMLNode(column) else {
                    throw RewardFault("the column is \(column.kind), expected a text or a number")
                }
                expected = plain(text)
            }
            let bytes = Array(completion.text.utf8)
            guard let match = try pattern.match(in: bytes, takesLast: takesLast) else {
                return unmatched
            }
            guard let expected else { return matched }
            let found = plain(String(decoding: bytes[match.captured], as: UTF8.self))
            return found.utf8.elementsEqual(expected.utf8) ? matched : unmatched
        }
    }

    private func plain(_ text: String) -> String {
        let text = stripped(text)
        return ignoresCase ? text.lowercased() : text
    }
}

extension RegexReward: ConfiguredReward {
    static let kind = "regex"

    private enum Select: String, RecipeChoice { case first, last }
    private enum Mode: String, RecipeChoice { case search, full }

    init(_ settings: inout RewardSettings) throws(RecipeError) {
        let text = try settings.value("pattern", "")
        guard !text.isEmpty else {
            throw settings.fault("pattern", "nothing", expected: "a regular expression")
        }
        let mode = try settings.value("mode", Mode.search)
        do {
            try self.init(name: settings.label, text, matchesWhole: mode == .full)
        } catch {
            throw settings.fault("pattern", "'\(text)'", expected: "a pattern: \(error)")
        }
        columns = try settings.value("column", columns)
        takesLast = try settings.value("select", Select.first) == .last
        ignoresCase = try settings.value("ignore_case", ignoresCase)
        matched = try settings.value("matched", matched)
        unmatched = try settings.value("unmatched", unmatched)
    }
}
