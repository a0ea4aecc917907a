/// How long a prompt may be, so that the longest answer fits into the model's context behind it.
struct AnswerRoom {
    private let limit: Int

    init(_ recipe: Recipe, contextLength: Int) {
        limit = contextLength - recipe.alignment.completionLength
    }

    /// - Throws: `.row` if the prompt is longer.
    func check(_ sample: TrainingSample) throws(DataError) {
        guard sample.tokens.count > limit else { return }
        throw .row(
            RowProblem(
                source: sample.source, kind: .overlong,
                reason: "has \(sample.tokens.count) tokens, expected at most \(limit): the "
                    + "model's context less max_completion_length; lower that, or set "
                    + "cutoff_len and on_overlong: skip"))
    }
}
