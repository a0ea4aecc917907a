import YuyanFormats

@testable import YuyanTrain

extension ScoredCompletion {
    /// A completion of a row with some columns, given as JSON.
    static func sample(
        _ text: String, _ columns: String = "{}", tokens: Int = 0
    ) throws -> ScoredCompletion {
        let root = try JSONDocument(bytes: Array(columns.utf8), name: "columns").root
        return ScoredCompletion(
            prompt: "p", text: text, tokens: [Int32](repeating: 7, count: tokens),
            columns: root.entries ?? [])
    }
}

extension RewardFunction {
    func score(_ text: String, _ columns: String = "{}", tokens: Int = 0) throws -> Double? {
        try scores([.sample(text, columns, tokens: tokens)])[0]
    }
}

/// The functions that a recipe's text asks for.
func rewards(_ yaml: String) throws -> [any RewardFunction] {
    let node = try YAMLDocument.value(yaml, name: "test")
    guard let list = RecipeRewards(node) else {
        throw RecipeError.wrongType(
            place: "r.yaml", key: "reward_funcs", found: node.summary,
            expected: RecipeRewards.expectation)
    }
    return try list.functions(place: "r.yaml:3")
}
