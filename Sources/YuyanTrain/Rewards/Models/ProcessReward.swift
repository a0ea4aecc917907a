import Synchronization
import YuyanFormats
import YuyanTensor
import YuyanText

/// What a process reward model thinks of an answer's steps: what `stage: prm` trains.
///
/// An answer is cut into its steps, lines as a rule. Prompt and steps are laid out as in training, and
/// the head reads each step's last token; its sigmoid is the chance that the step is right.
final class ProcessReward: RewardFunction {
    let name: String
    private let path: String
    private let aggregate: StepAggregate
    private let separator: String
    private let model = Mutex<ScoringModel?>(nil)
    /// For messages, and what the run lends.
    private let settings: RewardSettings

    func scores(_ completions: [ScoredCompletion]) throws -> [Double?] {
        let model = try loaded()
        let renderer = SampleRenderer(
            tokenizer: model.tokenizer, chat: nil, options: DataOptions())
        var partial = PartialRewards(scores: completions.map { _ in nil }, faults: [:])
        var texts: [(tokens: [Int32], places: [Int])] = []
        var asked: [Int] = []
        for (row, completion) in completions.enumerated() {
            let steps = steps(of: completion.text)
            guard !steps.isEmpty else {
                partial.scores[row] = aggregate.value(of: [])
                continue
            }
            let (tokens, ends) = renderer.lines(steps, behind: renderer.begun(completion.prompt))
            do {
                try model.check(tokens)
                texts.append((tokens, ends))
                asked.append(row)
            } catch {
                partial.faults[row] = "\(error)"
            }
        }
        for (row, scores) in zip(asked, model.scores(of: texts)) {
            partial.scores[row] = aggregate.value(of: scores.map(sigmoid))
        }
        guard partial.faults.isEmpty else { throw partial }
        return partial.scores
    }

    /// The parts of a text between separators; those of white space alone are no steps.
    func steps(of text: String) -> [String] {
        // By scalars: to Swift a carriage return and the line feed behind it are one character.
        text.unicodeScalars.split(separator: separator.unicodeScalars)
            .filter { !$0.allSatisfy(\.properties.isWhitespace) }
            .map { String(Substring($0)) }
    }

    func load() throws(RecipeError) {
        do {
            _ = try loaded()
        } catch {
            throw settings.fault(
                "model", "'\(path)'", expected: "a process reward model: \(error)")
        }
    }

    var heldBytes: Int { model.withLock { $0?.byteCount ?? 0 } }

    private func loaded() throws -> ScoringModel {
        try model.withLock { model in
            if let model { return model }
            let made = try ScoringModel(path, host: settings.host)
            model = made
            return made
        }
    }

    // MARK: - Settings

    init(_ settings: inout RewardSettings) throws(RecipeError) {
        name = settings.label
        path = try settings.value("model", "")
        guard !path.isEmpty else {
            throw settings.fault(
                "model", "nothing",
                expected: "the folder of an adapter or of a whole model of stage prm")
        }
        aggregate = try settings.value("aggregate", StepAggregate.min)
        separator = try settings.value("separator", "\n")
        guard !separator.isEmpty else {
            throw settings.fault("separator", "empty", expected: "what stands between two steps")
        }
        self.settings = settings
    }
}

extension ProcessReward: ConfiguredReward {
    static let kind = "prm"
}
