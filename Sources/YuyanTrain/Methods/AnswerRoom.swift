/// How long a prompt may be, so that the longest answer fits into the model's context behind it.
struct AnswerRoom {
    private let contextLength: Int
    private let answerLength: Int
    /// The settings that `answerLength` is made of.
    private let behind: String

    init(_ recipe: Recipe, contextLength: Int) {
        self.contextLength = contextLength
        let alignment = recipe.alignment
        answerLength = alignment.answerLength
        behind =
            "max_completion_length: \(alignment.completionLength)"
            + (alignment.tools.isEmpty
                ? ""
                : " and max_tool_calling_iterations: \(alignment.toolRounds) times "
                    + "max_tool_tokens: \(alignment.toolTokens)")
    }

    /// - Throws: `.row` if the prompt is longer.
    func check(_ sample: TrainingSample) throws(DataError) {
        let (count, room) = (sample.tokens.count, contextLength - answerLength)
        guard count > room else { return }
        let advice =
            room > 0
            ? "lower that, or set cutoff_len: \(room) and on_overlong: skip"
            : "no prompt fits, whatever cutoff_len is: lower that"
        throw .row(
            RowProblem(
                source: sample.source, kind: .overlong,
                reason: "has \(count) tokens, which with \(behind) behind them makes "
                    + "\(count + answerLength), above the model's context of \(contextLength); "
                    + advice))
    }
}
