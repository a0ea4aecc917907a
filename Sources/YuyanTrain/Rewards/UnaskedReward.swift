/// A reward function that a dry run looks at and does not ask: a program, or a judge.
///
/// Its settings are right and its program is there, or it would not have been made; it gives 0.
struct UnaskedReward: RewardFunction {
    let base: any RewardFunction

    var name: String { base.name }

    func scores(_ completions: [ScoredCompletion]) -> [Double?] { completions.map { _ in 0 } }

    func check(columns: Set<String>) throws(RecipeError) { try base.check(columns: columns) }

    func predictedBytes() throws -> Int { try base.predictedBytes() }

    var isAsked: Bool { false }
}
