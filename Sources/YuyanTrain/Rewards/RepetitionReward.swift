import YuyanFormats

/// A penalty for n-grams that occur again: the share of repeated ones times the largest penalty.
///
/// As TRL's `get_repetition_penalty_reward`, which follows the idea of Appendix C.2 of Yeo et al.,
/// "Demystifying Long Chain-of-Thought Reasoning in LLMs", arXiv:2502.03373 (whose penalty falls on
/// single tokens instead). Over tokens, or over words between white space.
struct RepetitionReward: RewardFunction {
    enum Unit: String, RecipeChoice { case token, word }

    let name: String
    /// The length of an n-gram.
    var size = 3
    /// Not above 0.
    var most = -1.0
    var unit = Unit.token

    init(name: String = "repetition") { self.name = name }

    func scores(_ completions: [ScoredCompletion]) -> [Double?] {
        completions.map { completion in
            let share =
                switch unit {
                case .token: repeatedShare(of: completion.tokens, size: size)
                case .word:
                    repeatedShare(
                        of: completion.text.lowercased().split { $0.isWhitespace }, size: size)
                }
            return share > 0 ? share * most : 0
        }
    }
}

/// One minus distinct over all n-grams; 0 if there are none.
///
/// One minus distinct-n of Li et al., "A Diversity-Promoting Objective Function for Neural
/// Conversation Models", arXiv:1510.03055, which divides by the words instead of the n-grams.
func repeatedShare<Unit: Hashable>(of units: [Unit], size: Int) -> Double {
    guard size > 0, units.count >= size else { return 0 }
    let count = units.count - size + 1
    var seen: Set<ArraySlice<Unit>> = []
    for start in 0..<count { seen.insert(units[start..<start + size]) }
    return 1 - Double(seen.count) / Double(count)
}

extension RepetitionReward: ConfiguredReward {
    static let kind = "repetition"

    init(_ settings: inout RewardSettings) throws(RecipeError) {
        self.init(name: settings.label)
        size = try settings.value("ngram_size", size, atLeast: 1)
        most = try settings.value("max_penalty", most)
        guard most <= 0 else {
            throw settings.fault("max_penalty", "\(most)", expected: "0 or less")
        }
        unit = try settings.value("unit", unit)
    }
}
