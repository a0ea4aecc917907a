import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// A group of answers with what they earned.
struct JudgedGroup {
    let rollout: Rollout
    /// Weighted sums of the rewards; NaN where none was given.
    var totals: [Double]
    /// For each answer what each reward gave, before weights.
    let parts: [[(name: String, value: Double)]]
    /// `[answer][token]`.
    var advantages: [[Double]] = []
    /// What a critic expected at each token, and what came: `[answer][token]`; empty without one.
    var values: [[Double]] = []
    var returns: [[Double]] = []
    /// `[answer][token]`, where a divergence is estimated.
    var reference: [[Float]]?
    /// Whether answers that were cut are left out.
    let masksTruncated: Bool

    /// Whether nothing can be learnt from comparing these answers.
    let isUniform: Bool
    /// Whether the group was given up for that, and has no part in the step.
    var isDropped = false

    /// Which tokens of an answer count; what tools said never does.
    func isLearnt(_ answer: Int) -> [Bool] {
        let written = rollout.answers[answer]
        // What earned nothing that could be compared teaches nothing.
        let counts =
            (written.hasEnded || !masksTruncated) && totals[answer].isFinite && !isDropped
        return written.isWritten.map { $0 && counts }
    }

    /// Gives every token that the model wrote its answer's advantage.
    mutating func spread(_ values: [Double]) {
        advantages = zip(values, rollout.answers).map { value, answer in
            answer.isWritten.map { $0 ? value : 0 }
        }
    }

    /// Answers that a mean over answers is taken of.
    var countedAnswers: Int { isDropped ? 0 : rollout.answers.count }

    var learntCount: Int {
        rollout.answers.indices.reduce(0) { $0 + isLearnt($1).count { $0 } }
    }

    /// An answer as policy losses see it.
    ///
    /// - Parameter policy: Its log-probabilities under the present weights.
    func tokens(_ answer: Int, policy: some Sequence<Float>) -> CompletionTokens {
        CompletionTokens(
            policy: policy.map(Double.init),
            sampled: rollout.answers[answer].logProbabilities.map(Double.init),
            reference: reference.map { $0[answer].map(Double.init) },
            advantages: advantages[answer], isLearnt: isLearnt(answer))
    }

    /// Takes the divergence from the reference out of the rewards.
    mutating func lowerRewards(by beta: Double, _ estimator: KLEstimator) {
        guard let reference else { return }
        for (index, answer) in rollout.answers.enumerated() {
            totals[index] -=
                beta
                * estimator.sum(
                    policy: answer.logProbabilities.map(Double.init),
                    reference: reference[index].map(Double.init), isLearnt: isLearnt(index))
        }
    }
}

extension JudgedGroup {
    /// Everything but what is logged once, for a run that goes on between two steps on it.
    var json: JSONOutput {
        [
            "prompt": .array(rollout.prompt.map { .integer(Int($0)) }),
            "answers": .array(rollout.answers.map(\.json)),
            "rewards": .array(totals.map { $0.isFinite ? .double($0) : .null }),
            "advantages": .array(advantages.map { .array($0.map { .double($0) }) }),
            "values": .array(values.map { .array($0.map { .double($0) }) }),
            "returns": .array(returns.map { .array($0.map { .double($0) }) }),
            "reference": reference.map { .array($0.map { .array($0.map { .float($0) }) }) }
                ?? .null,
            "dropped": .bool(isDropped),
        ]
    }

    init(_ json: JSONCursor, masksTruncated: Bool) throws {
        rollout = Rollout(
            prompt: try json.array("prompt").map { Int32($0.int ?? 0) },
            answers: try json.array("answers").map { try WrittenAnswer($0) })
        totals = try json.array("rewards").map { $0.double ?? .nan }
        func numbers(_ key: String) throws -> [[Double]] {
            try json.array(key).map { row in
                (row.array.map(Array.init) ?? []).map { $0.double ?? 0 }
            }
        }
        advantages = try numbers("advantages")
        values = try numbers("values")
        returns = try numbers("returns")
        reference = json["reference"]?.array?.map {
            ($0.array.map(Array.init) ?? []).map { Float($0.double ?? 0) }
        }
        parts = rollout.answers.map { _ in [] }
        isUniform = false
        isDropped = json["dropped"]?.bool ?? false
        self.masksTruncated = masksTruncated
    }
}

extension WrittenAnswer {
    var json: JSONOutput {
        [
            "tokens": .array(tokens.map { .integer(Int($0)) }),
            "logprobs": .array(logProbabilities.map { .float($0) }),
            "supports": .array(supports.map { .array($0.map { .integer(Int($0)) }) }),
            "ended": .bool(hasEnded),
            "versions": .array(weightVersions.map { .integer($0) }),
            "runs": .array(runs.map { .integer($0) }),
        ]
    }

    init(_ json: JSONCursor) throws {
        self.init()
        tokens = try json.array("tokens").map { Int32($0.int ?? 0) }
        logProbabilities = try json.array("logprobs").map { Float($0.double ?? 0) }
        supports = try json.array("supports").map {
            ($0.array.map(Array.init) ?? []).map { Int32($0.int ?? 0) }
        }
        hasEnded = try json.bool("ended")
        weightVersions = try json.array("versions").map { $0.int ?? 0 }
        guard logProbabilities.count == tokens.count, supports.count == tokens.count else {
            throw RunError.damagedState(
                file: "policy_state.json",
                what: "\(logProbabilities.count) log-probabilities of \(tokens.count) tokens")
        }
        // States that were saved before there were tools have none.
        let runs = (json["runs"]?.array.map(Array.init) ?? []).map { $0.int ?? -1 }
        guard setRuns(runs) else {
            throw RunError.damagedState(
                file: "policy_state.json", what: "runs of \(runs) tokens of \(tokens.count)")
        }
    }
}

/// Scores answers by the recipe's rewards, and keeps what is logged of a step.
final class RolloutScorer {
    private let tokenizer: Tokenizer
    private let rewards: RewardSet?
    /// The reward model, if it is an adapter over the model that answers.
    private let rewardModel: RewardModel?
    private let masksTruncated: Bool
    private let hasTools: Bool
    private let ends: Set<Int32>
    private let stop: StopRequest
    /// What `summarize` and `note` noted of the step.
    private(set) var metrics: [(name: String, value: Double)] = []
    private var fault: String?
    private var faultCount = 0

    /// Loads all models but judges.
    ///
    /// - Parameters:
    ///   - model: Writes the answers.
    ///   - place: The recipe, for messages.
    /// - Throws: `RecipeError` or `RewardError` naming the setting.
    init(
        _ recipe: Recipe, model: TrainableModel, tokenizer: Tokenizer, place: String,
        host: RewardHost, device: Device
    ) throws {
        self.tokenizer = tokenizer
        masksTruncated = recipe.alignment.masksTruncated
        hasTools = !recipe.alignment.tools.isEmpty
        ends = Set(tokenizer.endOfGeneration)
        stop = host.stop
        var host = host
        host.device = host.device ?? device
        host.base = AdapterBase(
            decoder: model.decoder, tokenizer: tokenizer, isFrozen: recipe.keepsBase)
        let alignment = recipe.alignment
        let functions =
            alignment.rewards.nodes.isEmpty
            ? nil
            : try RewardSet(
                alignment.rewards, weights: alignment.rewardWeights,
                policy: alignment.rewardFaults, place: place, host: host)
        for function in functions?.functions ?? [] { try function.load() }
        let judge = alignment.rewardModel
        guard !judge.isEmpty, !ScoringModel.isAdapter(judge) else {
            rewards = functions
            rewardModel =
                judge.isEmpty
                ? nil
                : try Self.adapter(
                    judge, recipe, over: model, padding: tokenizer.fillsWith, place: place,
                    stop: host.stop, device: device)
            return
        }
        rewardModel = nil
        let whole: WholeRewardModel
        do {
            whole = try WholeRewardModel(
                ScoringModel(judge, host: host), name: Self.modelName)
        } catch {
            throw RecipeError.badValue(
                place: place, key: "reward_model", found: "'\(judge)'",
                expected: "a reward model: \(error)")
        }
        rewards = try RewardSet(
            (functions?.functions ?? []) + [whole], weights: (functions?.weights ?? []) + [1],
            policy: alignment.rewardFaults)
    }

    private static func adapter(
        _ directory: String, _ recipe: Recipe, over model: TrainableModel, padding: Int32?,
        place: String, stop: StopRequest, device: Device
    ) throws -> RewardModel {
        guard recipe.keepsBase else {
            throw RecipeError.badValue(
                place: place, key: "reward_model",
                found: "an adapter, with finetuning_type \(recipe.method.type.rawValue)",
                expected: ScoringModel.needsFrozenBase)
        }
        return try RewardModel(
            directory: directory, for: model, padding: padding, stop: stop, device: device)
    }

    /// What models that score answers hold beside the one that writes them, judges apart.
    var modelBytes: Int {
        (rewards?.functions ?? []).reduce(rewardModel?.byteCount ?? 0) { $0 + $1.heldBytes }
    }

    /// Refuses rewards that read columns which no row has.
    func check(columns: Set<String>) throws(RecipeError) {
        for function in rewards?.functions ?? [] { try function.check(columns: columns) }
    }

    /// Bytes of the models that rewards load when they are first asked.
    ///
    /// - Throws: What is wrong with their files.
    func predictedBytes() throws -> Int {
        try (rewards?.functions ?? []).reduce(0) { try $0 + $1.predictedBytes() }
    }

    /// Names of the rewards that a dry run does not ask.
    var unasked: [String] { (rewards?.functions ?? []).filter { !$0.isAsked }.map(\.name) }

    /// What each answer earned; the score of a reward model is added with the weight 1.
    ///
    /// - Throws: `RewardError` naming function and row; `Interruption`.
    func judged(
        _ rollouts: [Rollout], _ samples: [TrainingSample]
    ) throws -> [JudgedGroup] {
        let modelScores = try rewardModel?.scores(of: rollouts.map(\.group))
        var completions: [ScoredCompletion] = []
        for (rollout, sample) in zip(rollouts, samples) {
            guard case .prompt(let row) = sample.companion else { continue }
            completions += rollout.answers.map { answer in
                ScoredCompletion(
                    prompt: row.text, text: text(answer.lastTurn), tokens: answer.writtenTokens,
                    hasEnded: answer.hasEnded, columns: row.columns, place: sample.source.text,
                    episode: answer.episode, row: row)
            }
        }
        let scored = Result { try rewards?.score(completions) }
        // What was asked to stop may have given anything.
        try stop.check()
        let batch = try scored.get()
        for one in batch?.faults ?? [] {
            note(fault: "reward '\(one.function)', \(completions[one.row].place): \(one.what)")
        }
        var start = 0
        return rollouts.enumerated().map { place, rollout in
            let rows = start..<start + rollout.answers.count
            start = rows.upperBound
            var totals: [Double] = rows.map { row in
                batch.map { $0.totals[row] ?? .nan } ?? 0
            }
            var parts: [[(name: String, value: Double)]] = rows.map { row in
                guard let batch else { return [] }
                return batch.names.indices.compactMap { index in
                    batch.parts[index][row].map { (batch.names[index], $0) }
                }
            }
            for (index, score) in (modelScores?[place] ?? []).enumerated() {
                totals[index] += score
                parts[index].append((Self.modelName, score))
            }
            let earned = totals.filter(\.isFinite)
            return JudgedGroup(
                rollout: rollout, totals: totals, parts: parts,
                masksTruncated: masksTruncated,
                isUniform: totals.count > 1 && earned.allSatisfy { $0 == earned[0] })
        }
    }

    /// What metrics call the score of a reward model.
    private static let modelName = "reward_model"

    /// What went wrong since this was last asked without ending the run: the first, and how many.
    func takeFault() -> String? {
        defer { (fault, faultCount) = (nil, 0) }
        return fault.map { $0 + (faultCount > 1 ? " (and \(faultCount - 1) more)" : "") }
    }

    /// Counts something that went wrong without ending the run; the first is said.
    func note(fault what: String) {
        faultCount += 1
        fault = fault ?? what
    }

    /// Adds a figure to those of the step.
    func note(_ name: String, _ value: Double) { metrics.append((name, value)) }

    /// Tokens as people read them, without those that end turns of the model.
    func text(_ tokens: some Sequence<Int32>) -> String {
        tokenizer.decode(tokens.filter { !ends.contains($0) })
    }

    /// Of all that may score an answer, in the order of the recipe.
    var partNames: [String] {
        (rewards?.functions.map(\.name) ?? []) + (rewardModel == nil ? [] : [Self.modelName])
    }

    /// Notes a step's figures, under TRL's names.
    ///
    /// - Parameter advantages: Nil if nothing scores answers.
    func summarize(_ groups: [JudgedGroup], _ advantages: GroupedAdvantages?) {
        metrics =
            advantages.map {
                [
                    ("reward", $0.rewards.mean), ("reward_std", $0.rewards.deviation),
                    ("frac_reward_zero_std", $0.uniformFraction),
                ]
            } ?? []
        for name in partNames {
            let values = Moments(
                groups.flatMap(\.parts).compactMap { $0.first { $0.name == name }?.value })
            guard values.count > 0 else { continue }
            metrics.append(("rewards/\(name)/mean", values.mean))
            metrics.append(("rewards/\(name)/std", values.deviation))
        }
        let answers = groups.flatMap(\.rollout.answers)
        func lengths(_ name: String, _ counts: [Int]) {
            guard let least = counts.min(), let most = counts.max() else { return }
            let mean = Double(counts.reduce(0, +)) / Double(counts.count)
            metrics.append(("completions/mean_\(name)", mean))
            metrics.append(("completions/min_\(name)", Double(least)))
            metrics.append(("completions/max_\(name)", Double(most)))
        }
        lengths("length", answers.map(\.writtenCount))
        lengths("terminated_length", answers.filter(\.hasEnded).map(\.writtenCount))
        metrics.append(
            (
                "completions/clipped_ratio",
                Double(answers.count { !$0.hasEnded }) / Double(max(1, answers.count))
            ))
        guard hasTools else { return }
        let episodes = answers.compactMap(\.episode)
        func total(_ count: (EpisodeRecord) -> Int) -> Double {
            Double(episodes.reduce(0) { $0 + count($1) })
        }
        let (calls, answered) = (total(\.callCount), Double(max(1, episodes.count)))
        metrics.append(("tools/call_frequency", calls / answered))
        metrics.append(("tools/failure_frequency", total(\.failureCount) / max(1, calls)))
        metrics.append(("tools/mean_turns", total(\.answerCount) / answered))
    }

    /// What guards look at.
    func observed(_ step: Int, _ groups: [JudgedGroup]) -> RolloutStep {
        var seen = RolloutStep(
            step: step,
            completions: groups.flatMap(\.rollout.answers).map {
                ScoredCompletion(
                    prompt: "", text: "", tokens: $0.writtenTokens, hasEnded: $0.hasEnded)
            })
        let formats = groups.flatMap(\.parts).compactMap {
            $0.first { $0.name == FormatReward.kind }?.value
        }
        if !formats.isEmpty { seen.formatShare = Moments(formats).mean }
        seen.flatGroupShare = metrics.first { $0.name == "frac_reward_zero_std" }?.value
        return seen
    }

    /// Adds what `summarize` noted to the log.
    func report(_ statistics: inout LossStatistics) {
        for (name, value) in metrics { statistics.add(name, value) }
    }
}
