import YuyanEngine
import YuyanFormats
import YuyanNN
import YuyanText

/// What came of a task.
public struct EvaluationResult: Sendable {
    /// What was asked.
    public let kind: EvaluationTask.Kind
    /// The figures, under lm-eval's names.
    public let metrics: [EvaluationMetric]
    /// One object for each row: its line, what the model said, and what counted.
    public let samples: [JSONOutput]
    /// Rows that had to lose tokens at their front to fit the model.
    public let truncatedRows: Int
    /// Tokens scored or generated.
    public let tokens: Int
}

/// Asks a model the questions of a task.
public struct EvaluationRunner: Sendable {
    private let model: EvaluatedModel
    private let tokenizer: Tokenizer

    /// - Parameters:
    ///   - model: With its adapter, if it has one.
    ///   - tokenizer: The model's own.
    public init(model: EvaluatedModel, tokenizer: Tokenizer) {
        self.model = model
        self.tokenizer = tokenizer
    }

    /// Runs a task.
    ///
    /// - Parameter onRow: Called with how many rows are done.
    /// - Throws: `EvaluationTaskError`, `EvaluationError`, `EngineError` or `TemplateError`.
    public func run(
        _ task: EvaluationTask, on rows: EvaluationRows,
        onRow: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws -> EvaluationResult {
        let prompter = try Prompter(task, tokenizer: tokenizer)
        switch rows.kind {
        case .choice:
            return try choices(rows.rows, prompter, onRow)
        case .continuation:
            return try continuations(rows.rows, prompter, onRow)
        case .text:
            return try texts(rows.rows, onRow)
        case .generate:
            return try await AnswerWriter(model: model, tokenizer: tokenizer, task: task)
                .answers(rows.rows, prompter, onRow)
        }
    }

    private func choices(
        _ rows: [EvaluationRow], _ prompter: Prompter, _ onRow: (Int) -> Void
    ) throws -> EvaluationResult {
        let groups = try rows.map { row in
            let prompt = try prompter.prompt(row.prompt)
            return row.choices.map { prompter.sequence(prompt, $0) }
        }
        let scores = try ContinuationScorer(model).scores(groups, onGroup: onRow)
        var (plain, byCharacters, byBytes): ([Bool], [Bool], [Bool]) = ([], [], [])
        var samples: [JSONOutput] = []
        for (row, scores) in zip(rows, scores) {
            func best(_ weight: (String) -> Int) -> Int {
                let values = zip(scores, row.choices).map {
                    $0.logProbability / Double(weight($1))
                }
                // Of equal ones the first, as numpy's argmax.
                return values.indices.max {
                    values[$0] < values[$1] || (values[$0] == values[$1] && $0 > $1)
                } ?? 0
            }
            let chosen = best { _ in 1 }
            let chosenByCharacters = best(\.unicodeScalars.count)
            let chosenByBytes = best(\.utf8.count)
            plain.append(row.right.contains(chosen))
            byCharacters.append(row.right.contains(chosenByCharacters))
            byBytes.append(row.right.contains(chosenByBytes))
            samples.append([
                "line": .integer(row.line),
                "right": .array(row.right.map { .integer($0) }),
                "log_likelihoods": .array(scores.map { .double($0.logProbability) }),
                "chosen": .integer(chosen),
                "acc": .integer(plain[plain.count - 1] ? 1 : 0),
                "acc_norm": .integer(byCharacters[byCharacters.count - 1] ? 1 : 0),
                "acc_bytes": .integer(byBytes[byBytes.count - 1] ? 1 : 0),
            ])
        }
        return result(
            .choice, scores, samples,
            [
                EvaluationMetric(name: "acc", right: plain),
                EvaluationMetric(name: "acc_norm", right: byCharacters),
                EvaluationMetric(name: "acc_bytes", right: byBytes),
            ])
    }

    private func continuations(
        _ rows: [EvaluationRow], _ prompter: Prompter, _ onRow: (Int) -> Void
    ) throws -> EvaluationResult {
        let groups = try rows.map { row in
            [prompter.sequence(try prompter.prompt(row.prompt), row.choices[0])]
        }
        let scores = try ContinuationScorer(model).scores(groups, onGroup: onRow)
        let samples = zip(rows, scores).map { row, scores -> JSONOutput in
            [
                "line": .integer(row.line),
                "log_likelihood": .double(scores[0].logProbability),
                "acc": .integer(scores[0].isGreedy ? 1 : 0),
            ]
        }
        let single = scores.map { $0[0] }
        return result(
            .continuation, scores, samples,
            [
                EvaluationMetric(name: "acc", right: single.map(\.isGreedy)),
                .perplexity(
                    "perplexity", single.map(\.logProbability), single.map { _ in 1 }),
            ])
    }

    private func texts(
        _ rows: [EvaluationRow], _ onRow: (Int) -> Void
    ) throws -> EvaluationResult {
        let limit = model.model.shape.contextLength
        guard let prefix = tokenizer.beginningOfSequence ?? tokenizer.endOfSequence else {
            throw EvaluationTaskError.row(
                file: "the tokenizer", line: 0, what: "no token to begin a text with")
        }
        let windows = rows.map { row in
            RollingWindows(
                tokenizer.encode(row.prompt, parseSpecial: true, addSpecial: false),
                prefix: prefix, limit: limit
            ).sequences
        }
        // Each window is a group of its own: windows of a text have nothing in common.
        let flat = windows.flatMap { $0.map { [$0] } }
        let scores = try ContinuationScorer(model).scores(flat) { _ in }
        var first = 0
        var samples: [JSONOutput] = []
        var logLikelihoods: [Double] = []
        var tokens: [Double] = []
        for (row, windows) in zip(rows, windows) {
            let own = scores[first..<first + windows.count].map { $0[0] }
            first += windows.count
            logLikelihoods.append(own.reduce(0) { $0 + $1.logProbability })
            tokens.append(Double(own.reduce(0) { $0 + $1.tokens }))
            samples.append([
                "line": .integer(row.line),
                "log_likelihood": .double(logLikelihoods[logLikelihoods.count - 1]),
                "tokens": .double(tokens[tokens.count - 1]),
            ])
            onRow(samples.count)
        }
        let words = rows.map { Double(wordCount($0.prompt)) }
        let bytes = rows.map { Double($0.prompt.utf8.count) }
        return result(
            .text, scores, samples,
            [
                .perplexity("word_perplexity", logLikelihoods, words),
                .perplexity("byte_perplexity", logLikelihoods, bytes),
                .bitsPerByte(logLikelihoods, bytes),
                .perplexity("token_perplexity", logLikelihoods, tokens),
            ])
    }

    private func result(
        _ kind: EvaluationTask.Kind, _ scores: [[ContinuationScore]], _ samples: [JSONOutput],
        _ metrics: [EvaluationMetric]
    ) -> EvaluationResult {
        EvaluationResult(
            kind: kind, metrics: metrics, samples: samples,
            truncatedRows: scores.count { $0.contains(where: \.isTruncated) },
            tokens: scores.joined().reduce(0) { $0 + $1.tokens })
    }
}

/// Pieces that `re.split(r"\s+", text)` gives: one more than there are runs of white space.
func wordCount(_ text: String) -> Int {
    var count = 1
    var wasSpace = false
    for scalar in text.unicodeScalars {
        let isSpace = scalar.properties.isWhitespace
        if isSpace, !wasSpace { count += 1 }
        wasSpace = isSpace
    }
    return count
}

extension EvaluationMetric {
    fileprivate static func perplexity(
        _ name: String, _ logLikelihoods: [Double], _ weights: [Double]
    ) -> EvaluationMetric {
        EvaluationMetric(name: name, totals: logLikelihoods, weights: weights) { mean in
            (exponential(-mean), -exponential(-mean))
        }
    }

    fileprivate static func bitsPerByte(
        _ logLikelihoods: [Double], _ bytes: [Double]
    ) -> EvaluationMetric {
        let bits = 0.693_147_180_559_945_3
        return EvaluationMetric(name: "bits_per_byte", totals: logLikelihoods, weights: bytes) {
            (-$0 / bits, -1 / bits)
        }
    }
}

/// A text cut so that every token is predicted once, with as much before it as fits.
///
/// The first window begins with a prefix token; the others take the tokens before them as context,
/// as lm-eval's `loglikelihood_rolling` does.
struct RollingWindows {
    let sequences: [ScoredSequence]

    init(_ tokens: [Int32], prefix: Int32, limit: Int) {
        var sequences: [ScoredSequence] = []
        let first = min(limit, tokens.count)
        if first > 0 {
            sequences.append(ScoredSequence(tokens: [prefix] + tokens[..<first], firstScored: 1))
        }
        var predicted = first
        while predicted < tokens.count {
            let count = min(tokens.count - predicted, limit)
            let end = predicted + count
            sequences.append(
                ScoredSequence(
                    tokens: Array(tokens[(end - limit - 1)..<end]), firstScored: limit + 1 - count))
            predicted = end
        }
        self.sequences = sequences
    }
}
