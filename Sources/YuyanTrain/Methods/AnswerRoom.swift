/// How long a prompt may be, so that the longest answer fits into the model's context behind it.
struct AnswerRoom {
    private let limit: Int
    private let behind: String

    init(_ recipe: Recipe, contextLength: Int) {
        limit = contextLength - recipe.alignment.answerLength
        behind =
            recipe.alignment.tools.isEmpty
            ? "max_completion_length" : "max_completion_length and the tokens of tools"
    }

    /// - Throws: `.row` if the prompt is longer.
    func check(_ sample: TrainingSample) throws(DataError) {
        guard sample.tokens.count > limit else { return }
        throw .row(
            RowProblem(
                source: sample.source, kind: .overlong,
                reason: "has \(sample.tokens.count) tokens, expected at most \(limit): the "
                    + "model's context less \(behind); lower that, or set "
                    + "cutoff_len and on_overlong: skip"))
    }
}
