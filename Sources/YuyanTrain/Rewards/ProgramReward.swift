import YuyanFormats

/// The scores of a local program, by a protocol of lines.
///
/// For each completion the program reads one JSON object a line, `{"id", "prompt", "completion",
/// "tokens", "ended"}` and the row's columns (a column of one of these names is left out), and answers
/// with `{"id", "score"}` or `{"id", "error"}` a line; a score of null means that the function does not
/// apply. Where the model has tools, it reads `"transcript"`, `"tool_calls"` and `"tool_failures"` too.
/// See `LineProgram` for its life and limits.
final class ProgramReward: RewardFunction {
    typealias Limits = LineProgram.Limits

    let name: String
    private let program: LineProgram
    private static let wording = LineProgram.Wording(
        requests: "rows", form: #"{"id": …, "score": …}"#)

    /// - Parameter command: Path and arguments; a path without a slash is looked up in `PATH`.
    /// - Throws: `RewardFault` if there is no such program.
    init(
        name: String, command: [String], limits: Limits = Limits(),
        stop: StopRequest = StopRequest()
    ) throws {
        self.name = name
        program = try LineProgram(command, limits: limits, wording: Self.wording, stop: stop)
    }

    private init(name: String, _ program: LineProgram) {
        self.name = name
        self.program = program
    }

    func scores(_ completions: [ScoredCompletion]) throws -> [Double?] {
        var partial = PartialRewards(scores: [], faults: [:])
        let outcomes = program.ask(completions.map(Self.request), read: Self.score)
        for (row, outcome) in outcomes.enumerated() {
            switch outcome {
            case .answer(let score): partial.scores.append(score)
            case .refused(let what), .broken(let what):
                partial.scores.append(nil)
                partial.faults[row] = what
            }
        }
        guard partial.faults.isEmpty else { throw partial }
        return partial.scores
    }

    private static func request(
        _ completion: ScoredCompletion
    ) -> [(key: String, value: JSONOutput)] {
        var fields: [(key: String, value: JSONOutput)] = [
            ("prompt", .string(completion.prompt)), ("completion", .string(completion.text)),
            ("tokens", .integer(completion.tokens.count)), ("ended", .bool(completion.hasEnded)),
        ]
        if let episode = completion.episode {
            fields += [
                ("transcript", .array(episode.turns.map(\.output))),
                ("tool_calls", .integer(episode.callCount)),
                ("tool_failures", .integer(episode.failureCount)),
            ]
        }
        let own = Set(fields.map(\.key) + ["id"])
        return fields
            + completion.columns.filter { !own.contains($0.key) }
            .map { ($0.key, JSONOutput(copying: $0.value)) }
    }

    private static func score(_ id: Int, _ line: JSONCursor) -> LineProgram.Reading<Double?> {
        guard let score = line["score"] else {
            return .nonsense("the program answered id \(id) without a number as score")
        }
        if let text = score.string, ["-Infinity", "Infinity", "NaN"].contains(text) {
            return .refusal("the score is \(text), expected a finite number")
        }
        guard score.isNull || score.kind == .number else {
            return .nonsense("the program answered id \(id) without a number as score")
        }
        // A number beyond the largest double is infinite, which nobody accepts.
        return .answer(score.isNull ? nil : score.double ?? .infinity)
    }
}

extension ProgramReward: ConfiguredReward {
    static let kind = "program"
    static let isForeign = true

    convenience init(_ settings: inout RewardSettings) throws(RecipeError) {
        let program = try LineProgram(
            &settings, example: "./reward.py", wording: Self.wording)
        self.init(name: settings.label, program)
    }
}
