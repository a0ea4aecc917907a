import YuyanText

/// What became of rows, counted.
package struct DataTally: Sendable, Hashable {
    /// Rows read.
    package var rows = 0
    package var samples = 0
    package var tokens = 0
    /// Tokens that a loss is taken over.
    package var supervised = 0
    /// The longest sample.
    package var longest = 0
    /// Samples that were cut, and tokens that they lost.
    package var truncatedRows = 0
    package var truncatedTokens = 0
    /// Tokens with text of both kinds.
    package var straddling = 0
    /// Answers without a token that ends them.
    package var unstopped = 0
    /// Answers by how they were found.
    package var methods: [Int] = [Int](repeating: 0, count: AnswerSpan.Method.allCases.count)
    /// Answers that somebody called good, and bad.
    package var desirable = 0
    package var undesirable = 0
    /// What rows have beside their prompts, where the model is to answer these.
    package var columns: Set<String> = []
    /// Rows left out, by reason.
    package var skipped: [RowProblem.Kind: Int] = [:]
    /// The first of them.
    package var problems: [RowProblem] = []

    static let problemLimit = 20

    package init() {}

    /// Rows left out.
    package var skippedCount: Int { skipped.values.reduce(0, +) }

    /// Share of the tokens that a loss is taken over.
    package var supervisedShare: Double {
        tokens == 0 ? 0 : Double(supervised) / Double(tokens)
    }

    mutating func add(_ outcome: RowStream.Outcome) {
        rows += 1
        switch outcome {
        case .skipped(let problem):
            skipped[problem.kind, default: 0] += 1
            if problems.count < Self.problemLimit { problems.append(problem) }
        case .rendered(let row):
            samples += row.samples.count
            for sample in row.samples {
                tokens += sample.tokenCount
                supervised += sample.supervisedCount
                longest = max(longest, sample.tokenCount)
                add(sample.companion)
            }
            truncatedRows += row.truncated > 0 ? 1 : 0
            truncatedTokens += row.truncated
            straddling += row.straddling
            unstopped += row.unstopped
            for method in row.methods { methods[method.rawValue] += 1 }
        }
    }

    private mutating func add(_ companion: SampleCompanion?) {
        switch companion {
        case .verdict(let isDesirable):
            if isDesirable { desirable += 1 } else { undesirable += 1 }
        case .prompt(let row): for (key, _) in row.columns { columns.insert(key) }
        case .rejected, .steps, nil: break
        }
    }

    /// Adds what was counted of later rows.
    package mutating func add(_ other: DataTally) {
        rows += other.rows
        samples += other.samples
        tokens += other.tokens
        supervised += other.supervised
        longest = max(longest, other.longest)
        truncatedRows += other.truncatedRows
        truncatedTokens += other.truncatedTokens
        straddling += other.straddling
        unstopped += other.unstopped
        desirable += other.desirable
        undesirable += other.undesirable
        columns.formUnion(other.columns)
        for index in methods.indices { methods[index] += other.methods[index] }
        skipped.merge(other.skipped, uniquingKeysWith: +)
        problems += other.problems.prefix(Self.problemLimit - problems.count)
    }

    /// What a user should know about the counts, a line each; empty if all is as it should be.
    package var notes: [String] {
        var notes: [String] = []
        for kind in RowProblem.Kind.allCases {
            guard let count = skipped[kind] else { continue }
            notes.append("\(count) of \(rows) rows left out: \(kind.rawValue)")
        }
        notes += problems.prefix(3).map { "for example \($0)" }
        if truncatedRows > 0 {
            notes.append(
                "\(truncatedRows) samples cut to cutoff_len; \(truncatedTokens) tokens were lost")
        }
        if unstopped > 0 {
            notes.append(
                "\(unstopped) answers end without a stop token, so the model will not learn to stop"
            )
        }
        if straddling > 0 {
            notes.append(
                "\(straddling) answers begin inside of a token; the whole token is learnt, which the "
                    + "model never writes when it is served")
        }
        for method in AnswerSpan.Method.allCases where methods[method.rawValue] > 0 {
            guard let explanation = method.explanation else { continue }
            notes.append("\(methods[method.rawValue]) answers: \(explanation)")
        }
        return notes
    }
}
