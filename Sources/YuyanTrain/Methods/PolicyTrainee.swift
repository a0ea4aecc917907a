import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// Learns from rewards of its own answers: GRPO and its kin, and PPO with its critic.
///
/// A step writes a group of answers to each prompt, scores them, and raises what was better than its
/// group. The first update on a set of answers is on policy, so every ratio is 1: the log-probabilities
/// of engine and trainer are compared bit by bit, and a difference ends the run.
final class PolicyTrainee: ModelMethod {
    let base: ModelTrainee
    private let recipe: Recipe
    private let loss: PolicyLoss
    private let scorer: RolloutScorer
    /// Answers the model's calls; nil if it has no tools.
    private let desk: ToolDesk?
    private let device: Device
    private let stop: StopRequest
    private let isDry: Bool
    private let endOfSequence: [Int32]
    private let critic: Critic?
    private var controller: KLController
    private var guards: RolloutGuards
    /// What `controller` learns once the step is sure to be taken.
    private var measured: (divergence: Double, completions: Int)?
    /// The model as it was: nil for the base itself.
    private let reference: LowRankAdapter?
    private var writer: RolloutWriter?
    private var longestPrompt = 1
    /// Updates of the weights so far.
    private var version = 0
    /// Answers that PPO's steps so far began with.
    private var episodeCount = 0

    /// The step's micro-batches, each with its groups, and which of them comes next.
    private var pending: [[JudgedGroup]] = []
    private var next = 0
    /// Whether the present weights wrote `pending`, and no step was taken on it yet.
    private var isFresh = false
    private var totals = StepTotals(completions: 1, tokens: 0)
    private var policy = PolicyStatistics()
    private var values = ValueStatistics()
    private var isOnPolicy = true
    /// Whether it was said that a step taught nothing.
    private var saidIdle = false

    /// - Parameter makeReader: How calls are found in what the model writes.
    init(
        _ base: ModelTrainee, recipe: Recipe, tokenizer: Tokenizer, template: ChatTemplate? = nil,
        place: String, host: RewardHost, device: Device,
        makeReader: @escaping TurnReaderMaker = ServedTurnReader.init
    ) throws {
        self.base = base
        self.recipe = recipe
        self.device = device
        (stop, isDry) = (host.stop, host.isDry)
        loss = PolicyLoss(recipe)
        scorer = try RolloutScorer(
            recipe, model: base.model, tokenizer: tokenizer, place: place, host: host,
            device: device)
        let size = base.model.decoder.shape.vocabularySize
        desk =
            recipe.alignment.tools.isEmpty
            ? nil
            : try ToolDesk(
                recipe, tokenizer: tokenizer, template: template, vocabularySize: size,
                place: place, host: host, makeReader: makeReader)
        endOfSequence = tokenizer.endOfGeneration.filter { Int($0) < size }.sorted()
        let alignment = recipe.alignment
        critic =
            recipe.method.stage == .ppo
            ? try Critic(beside: base.model, recipe: recipe, device: device) : nil
        // Training goes on from an adapter, so the reference is the base with that one.
        reference =
            recipe.needsReference
            ? try recipe.model.startAdapter.map {
                try LowRankAdapter(
                    name: "reference", directory: $0, for: base.model.decoder, on: device)
            } : nil
        controller = KLController(
            coefficient: alignment.klCoefficient,
            target: alignment.klTarget.map {
                KLController.Target(divergence: $0, horizon: alignment.klHorizon)
            })
        var settings = RolloutGuards.Settings()
        settings.stops = Set(alignment.stoppingGuards)
        guards = RolloutGuards(settings)
    }

    var parameters: [Parameter] { base.parameters + (critic?.parameters ?? []) }
    var rewardModelBytes: Int { scorer.modelBytes }

    var episodes: Int? { critic == nil ? nil : episodeCount }

    func check(columns: Set<String>) throws { try scorer.check(columns: columns) }

    func predictedBytes() throws -> Int { try scorer.predictedBytes() }

    var unasked: [String] { scorer.unasked + (desk?.unasked ?? []) }

    func prepare(_ batches: () throws -> TrainingBatch?) throws {
        let room = AnswerRoom(recipe, contextLength: base.model.decoder.shape.contextLength)
        var forms: Set<Bool> = []
        while let batch = try batches() {
            for sample in batch.samples {
                try room.check(sample)
                guard case .prompt(let row) = sample.companion, forms.insert(row.isChat).inserted
                else { continue }
                try desk?.check(isChat: row.isChat)
            }
            longestPrompt = max(longestPrompt, batch.lengths.max() ?? 1)
        }
        base.model.tokensPerPass = recipe.tokensPerPass(
            base.model.tokensPerPass, longestPrompt: longestPrompt)
    }

    func refresh() {
        base.refresh()
        critic?.refresh()
        version += 1
        writer?.weightsChanged()
    }

    // MARK: - Files

    private static let fileName = "/policy_state.json"

    /// Answers that more steps are taken on are kept with the weights.
    func save(to folder: String) throws {
        try base.save(to: folder)
        try critic?.save(to: folder)
        let held = recipe.repetitions > 1 ? pending : []
        try writeAtomically(folder + Self.fileName) {
            try $0.write(
                ([
                    "version": .integer(version),
                    "episodes": .integer(episodeCount),
                    "kl_coefficient": .double(controller.coefficient),
                    "guards": guards.json,
                    "micro_batches": .array(held.map { .array($0.map(\.json)) }),
                ] as JSONOutput).description + "\n")
        }
    }

    func restore(from folder: String) throws {
        try base.restore(from: folder)
        try critic?.restore(from: folder)
        let root = try JSONDocument(path: folder + Self.fileName).root
        controller = KLController(
            coefficient: try root.double("kl_coefficient"), target: controller.target)
        guards = try RolloutGuards(guards.settings, json: try root.object("guards"))
        // States that were saved before they were counted have none.
        episodeCount = root["episodes"]?.int ?? 0
        hold(
            try root.array("micro_batches").map { batch in
                try (batch.array.map(Array.init) ?? []).map {
                    try JudgedGroup($0, masksTruncated: recipe.alignment.masksTruncated)
                }
            }, version: try root.int("version"))
    }

    // MARK: - Answers

    /// Goes on with answers that are there: those of a run that is resumed, or that others judged.
    ///
    /// - Parameters:
    ///   - groups: Of each micro-batch of the steps to come.
    ///   - version: Updates of the weights so far.
    ///   - areFresh: Whether the present weights wrote them. Then the next step, if it is on policy,
    ///     takes them as its own; otherwise it writes new ones.
    func hold(_ groups: [[JudgedGroup]], version: Int, areFresh: Bool = false) {
        pending = groups
        self.version = version
        isFresh = areFresh
    }

    private func rolloutWriter() throws -> RolloutWriter {
        if let writer { return writer }
        let made = try RolloutWriter(
            base.model, recipe: recipe, endOfSequence: endOfSequence,
            longestPrompt: longestPrompt, desk: desk, stop: stop, device: device)
        writer = made
        return made
    }

    func begin(step: Int, _ batches: [TrainingBatch]) throws -> Double {
        try begin(step: step, batches) { _ in [] }
    }

    /// - Throws: `RunError.staleAnswers` if other weights wrote what is taken as the present ones'.
    func begin(
        step: Int, _ batches: [TrainingBatch], further: (Int) throws -> [TrainingSample]
    ) throws -> Double {
        next = 0
        policy = PolicyStatistics()
        values = ValueStatistics()
        isOnPolicy = (step - 1).isMultiple(of: recipe.repetitions)
        if isOnPolicy || pending.count != batches.count {
            isOnPolicy = true
            if !isFresh || pending.count != batches.count {
                try judge(batches, step: step, further: further)
            }
            try checkVersions()
        }
        isFresh = false
        let groups = pending.joined()
        totals = StepTotals(
            completions: max(1, groups.reduce(0) { $0 + $1.countedAnswers }),
            tokens: groups.reduce(0) { $0 + $1.learntCount }, microBatches: batches.count)
        // The loss has its own normaliser.
        return 1
    }

    /// Refuses answers on policy that the present weights did not write.
    private func checkVersions() throws {
        let versions = pending.joined().lazy.flatMap(\.rollout.answers).flatMap(\.weightVersions)
        guard let stale = versions.first(where: { $0 != version }) else { return }
        throw RunError.staleAnswers(found: stale, expected: version)
    }

    private func judge(
        _ batches: [TrainingBatch], step: Int, further: (Int) throws -> [TrainingSample]
    ) throws {
        let writer = try rolloutWriter()
        var samples = batches.map(\.samples)
        for index in samples.indices { samples[index] = samples[index].filter(\.isPrompt) }
        let all = samples.flatMap { $0 }
        var groups = try write(all, with: writer, step: step, attempt: 0)
        // Where no reward is asked all groups earn the same.
        let attempts = isDry ? 0 : recipe.resamples
        var (drawn, dropped) = (groups.count, 0)
        for attempt in 0..<attempts {
            let dull = groups.indices.filter { groups[$0].isUniform }
            let others = dull.isEmpty ? [] : try further(dull.count).filter(\.isPrompt)
            guard !others.isEmpty else { break }
            let found = try write(others, with: writer, step: step, attempt: attempt + 1)
            for (place, group) in zip(dull, found) { groups[place] = group }
            (drawn, dropped) = (drawn + found.count, dropped + found.count)
        }
        if attempts > 0 {
            for index in groups.indices { groups[index].isDropped = groups[index].isUniform }
            dropped += groups.count { $0.isDropped }
        }
        let advantages = recipe.advantage.evaluated(groups.map(\.totals))
        // What was dropped is in no mean and no deviation that others are measured by.
        let kept =
            groups.contains(where: \.isDropped)
            ? recipe.advantage.evaluated(
                groups.map { $0.isDropped ? $0.totals.map { _ in .nan } : $0.totals }
            ) : advantages
        for (index, values) in kept.advantages.enumerated() { groups[index].spread(values) }
        guard groups.contains(where: { $0.totals.contains(where: \.isFinite) }) else {
            throw RunError.noRewards(step: step, fault: scorer.takeFault())
        }
        scorer.summarize(groups, advantages)
        if attempts > 0 {
            scorer.note("dynamic_sampling/drawn_groups", Double(drawn))
            scorer.note("dynamic_sampling/dropped_groups", Double(dropped))
        }
        if let critic { try estimate(&groups, with: critic) }
        pending = []
        var start = 0
        for part in samples {
            pending.append(Array(groups[start..<start + part.count]))
            start += part.count
        }
    }

    /// Writes and scores a group for each prompt.
    private func write(
        _ samples: [TrainingSample], with writer: RolloutWriter, step: Int, attempt: Int
    ) throws -> [JudgedGroup] {
        let rollouts = try writer.groups(
            samples, draw: UInt64(step) << 8 | UInt64(attempt), version: version,
            fault: scorer.note(fault:))
        let isExact = recipe.divergence == .exact && critic == nil
        let needsReference = recipe.needsReference && !isExact
        var reference: [[[Float]]] = []
        if needsReference {
            var options = GroupPassOptions()
            options.adapter = self.reference.map { .other($0) } ?? .none
            reference = try base.model.logProbabilities(
                of: rollouts.map(\.group), options, distribution: rollouts.distribution(recipe),
                on: device, check: stop.check)
        }
        var groups = try scorer.judged(rollouts, samples)
        for index in groups.indices where needsReference {
            groups[index].reference = reference[index]
            if recipe.lowersRewards, critic == nil {
                groups[index].lowerRewards(by: recipe.alignment.beta, loss.estimator)
            }
        }
        return groups
    }

    /// PPO's advantages: token by token, from the critic's word and what was earned.
    private func estimate(_ groups: inout [JudgedGroup], with critic: Critic) throws {
        let alignment = recipe.alignment
        let found = try critic.values(of: groups.map(\.rollout.group), check: stop.check)
        let shaping = RewardShaping(missingEndPenalty: alignment.missingEndPenalty)
        var rewards: [[Double]] = []
        var masks: [[Bool]] = []
        var (divergence, penalty, surprise) = (0.0, 0.0, 0.0)
        for group in groups {
            for (index, answer) in group.rollout.answers.enumerated() {
                let policy = answer.logProbabilities.map(Double.init)
                let reference = group.reference.map { $0[index].map(Double.init) } ?? policy
                let isLearnt = group.isLearnt(index)
                rewards.append(
                    shaping.rewards(
                        score: group.totals[index].isFinite ? group.totals[index] : 0,
                        hasEnded: answer.hasEnded, policy: policy,
                        reference: reference, isLearnt: isLearnt,
                        klCoefficient: controller.coefficient))
                masks.append(isLearnt)
                let sum = KLEstimator.k1.sum(
                    policy: policy, reference: reference, isLearnt: isLearnt)
                for (value, counts) in zip(policy, isLearnt) where counts { surprise -= value }
                divergence += sum
                penalty -= controller.coefficient * sum
            }
        }
        if alignment.whitensRewards {
            rewards = whitened(rewards, isLearnt: masks, shiftsMean: false)
        }
        let estimator = GeneralizedAdvantage(gamma: alignment.gamma, lambda: alignment.lambda)
        var (advantages, row) = ([[Double]](), 0)
        for index in groups.indices {
            groups[index].values = found[index]
            for values in found[index] {
                let one = estimator.evaluated(
                    rewards: rewards[row], values: values, isLearnt: masks[row])
                groups[index].returns.append(one.returns)
                advantages.append(one.advantages)
                row += 1
            }
        }
        advantages = whitened(advantages, isLearnt: masks)
        row = 0
        for index in groups.indices {
            let answers = groups[index].rollout.answers.count
            groups[index].advantages = Array(advantages[row..<row + answers])
            row += answers
        }
        let count = Double(max(1, rewards.count))
        let scores = Moments(groups.flatMap(\.totals).filter(\.isFinite)).mean
        scorer.note("objective/kl", divergence / count)
        scorer.note("objective/entropy", surprise / count)
        scorer.note("objective/scores", scores)
        scorer.note("objective/non_score_reward", penalty / count)
        scorer.note("objective/rlhf_reward", scores + penalty / count)
        scorer.note("objective/kl_coef", controller.coefficient)
        scorer.note(
            "val/num_eos_tokens",
            Double(groups.flatMap(\.rollout.answers).count { $0.hasEnded }))
        measured = (divergence / count, rewards.count)
    }

    // MARK: - Gradients

    func accumulate(
        _ batch: TrainingBatch, normalizer: Double, tokensBefore: UInt64,
        statistics: inout LossStatistics
    ) throws {
        let groups = pending[next]
        next += 1
        var totals = totals
        if case .bnpo = loss.normalization {
            totals = StepTotals(
                completions: totals.completions, tokens: totals.tokens,
                microBatches: totals.microBatches,
                microBatchTokens: groups.reduce(0) { $0 + $1.learntCount })
        }
        var options = GroupPassOptions()
        (options.splitsGroups, options.firstToken) = (true, tokensBefore)
        let rollouts = groups.map(\.rollout)
        let distribution = rollouts.distribution(recipe)
        // The entropy is a mean over the step's tokens, whatever the loss is divided by.
        let bend = recipe.alignment.entropyCoefficient / Double(max(1, totals.tokens))
        var (differing, entropy) = (0, 0.0)
        let before = policy.loss
        base.model.addGradients(of: rollouts.map(\.group), options, on: device) { pass in
            let (x, head) = pass.targetRows()
            let drawnFrom = distribution.tokens(of: pass)
            var seeds: [(output: Tensor, gradient: Tensor)] = []
            let learnt = pass.answers.flatMap { groups[$0.group].isLearnt($0.index) }
            let sampled = pass.answers.flatMap {
                rollouts[$0.group].answers[$0.index].logProbabilities
            }
            // A ratio may be of a whole answer, so all of its tokens come before the first slope.
            let present =
                isOnPolicy
                ? sampled
                : tokenScores(
                    x, targets: pass.targets, distribution: drawnFrom, head: head,
                    on: pass.device.inferring
                ) { _, _ in TokenSlope(logProbability: 0) }.scores.map(\.logProbability)
            let slopes = pass.answers.flatMap { answer in
                loss.gradients(
                    groups[answer.group].tokens(answer.index, policy: present[answer.tokens]),
                    step: totals, statistics: &policy)
            }
            let (scores, gradient) = tokenScores(
                x, targets: pass.targets, distribution: drawnFrom, head: head, on: pass.device
            ) { row, _ in
                TokenSlope(
                    logProbability: slopes[row] / normalizer,
                    entropy: learnt[row] ? -bend / normalizer : 0)
            }
            if let gradient { seeds.append((x, gradient)) }
            if isOnPolicy {
                let isWritten = pass.answers.flatMap {
                    rollouts[$0.group].answers[$0.index].isWritten
                }
                for (row, score) in scores.enumerated()
                where isWritten[row] && score.logProbability != sampled[row] {
                    differing += 1
                }
            }
            for (score, counts) in zip(scores, learnt) where counts {
                statistics.tokenCount += 1
                statistics.correctCount += score.isCorrect ? 1 : 0
                statistics.entropySum += score.entropy
                entropy += score.entropy
            }
            if recipe.divergence == .exact, recipe.alignment.beta != 0, critic == nil {
                let weights = pass.answers.flatMap { answer in
                    let isLearnt = groups[answer.group].isLearnt(answer.index)
                    let weight = loss.normalization.weight(
                        learntCount: isLearnt.count { $0 }, step: totals)
                    return isLearnt.map { $0 ? weight : 0 }
                }
                seeds.append(
                    exactDivergence(
                        pass, x, head, weights: weights, normalizer: normalizer, &statistics))
            }
            return seeds
        }
        statistics.lossSum += policy.loss - before
        statistics.lossSum -= bend * entropy
        if let critic {
            let before = values.loss
            critic.addGradients(
                of: groups, tokenCount: max(1, totals.tokens), normalizer: normalizer,
                statistics: &values)
            statistics.lossSum += recipe.alignment.valueCoefficient * (values.loss - before)
        }
        guard differing == 0 else { throw RunError.offPolicy(tokens: differing) }
    }

    /// The divergence over the whole vocabulary at every learnt token, with its gradient.
    ///
    /// - Parameter weights: Of each token in the step's loss; 0 for those that are not learnt.
    private func exactDivergence(
        _ pass: GroupPass, _ x: Tensor, _ head: OutputHead, weights: [Double], normalizer: Double,
        _ statistics: inout LossStatistics
    ) -> (output: Tensor, gradient: Tensor) {
        let (other, otherHead) = pass.reference(reference).targetRows()
        let device = device
        let values = divergence(
            x, from: { otherHead.logits(other.rows($0), $0, device) }, direction: .underModel,
            head: head, on: pass.device)
        let beta = recipe.alignment.beta
        for (value, weight) in zip(values.values, weights) where weight > 0 {
            statistics.add("kl", Double(value))
            statistics.lossSum += weight * beta * Double(value)
        }
        return (
            values,
            Tensor(weights.map { Float($0 * beta / normalizer) }, shape: [weights.count])
        )
    }

    func end(step: Int, statistics: inout LossStatistics) throws -> StepNotes {
        statistics.weightSum += 1
        if let measured {
            controller.update(
                divergence: measured.divergence, completionCount: measured.completions)
            episodeCount += measured.completions
        }
        measured = nil
        if critic != nil {
            statistics.add("loss/policy_avg", policy.loss)
            statistics.add("loss/value_avg", values.loss)
            statistics.add("policy/approxkl_avg", policy.policyChange)
            statistics.add("policy/clipfrac_avg", policy.clippedShare)
            if statistics.tokenCount > 0 {
                statistics.add("policy/entropy_avg", statistics.meanEntropy)
            }
            statistics.add("val/clipfrac_avg", values.clippedShare)
            statistics.add("val/ratio", policy.meanRatio)
            statistics.add("val/ratio_var", policy.ratioVariance)
        }
        if isOnPolicy { scorer.report(&statistics) }
        if recipe.alignment.beta != 0, recipe.divergence != .exact, critic == nil {
            statistics.add("kl", policy.meanDivergence)
        }
        if case .cispo = loss.surrogate {
            statistics.add("cispo_clip_ratio", policy.highShare)
        } else {
            statistics.add("clip_ratio/low_mean", policy.lowShare)
            statistics.add("clip_ratio/low_min", policy.smallestLowShare)
            statistics.add("clip_ratio/high_mean", policy.highShare)
            statistics.add("clip_ratio/high_max", policy.largestHighShare)
            statistics.add("clip_ratio/region_mean", policy.clippedShare)
        }
        return try alarms(step, statistics)
    }

    private func alarms(_ step: Int, _ statistics: LossStatistics) throws -> StepNotes {
        guard isOnPolicy else { return StepNotes() }
        var seen = scorer.observed(step, Array(pending.joined()))
        if statistics.tokenCount > 0 { seen.entropy = statistics.meanEntropy }
        func mean(_ name: String) -> Double? { statistics.named.first { $0.name == name }?.mean }
        // PPO measures it an answer, the guard a token.
        let ofAnswer = mean("objective/kl").flatMap { kl in
            mean("completions/mean_length").map { kl / max($0, 1) }
        }
        seen.divergence = mean("kl") ?? ofAnswer
        let alarms = guards.add(seen)
        let fault = scorer.takeFault().map { "step \(step): \($0)" }
        let idle = idleness.map { "step \(step): \($0)" }
        return StepNotes(
            lines: [fault, idle].compactMap { $0 } + alarms.map(\.description),
            alarm: alarms.first(where: \.isStop)?.description)
    }

    /// Why the step taught nothing, the first time that one did.
    private var idleness: String? {
        guard !saidIdle else { return nil }
        let others =
            critic != nil || loss.beta > 0 || recipe.alignment.entropyCoefficient > 0
            || (recipe.divergence == .exact && recipe.alignment.beta > 0)
        let reason = IdleStep(Array(pending.joined()), hasOtherTerms: others)?.description
        saidIdle = reason != nil
        return reason
    }

    /// Tokens of the prompts and answers that were learnt from last.
    func tokenCount(of batch: TrainingBatch) -> Int {
        guard pending.indices.contains(next - 1) else { return batch.tokenCount }
        return pending[next - 1].reduce(0) { $0 + $1.rollout.group.tokenCount }
    }

    // MARK: - Evaluation

    var evaluationNames: [String] {
        ["reward"] + scorer.partNames.map { "rewards/\($0)/mean" }
            + ["completions/mean_length", "completions/clipped_ratio"]
            + (desk == nil ? [] : ["tools/call_frequency"])
    }

    /// The mean reward of the likeliest answers; the loss is its negative.
    func evaluate(_ batch: TrainingBatch, statistics: inout LossStatistics) throws {
        let samples = batch.samples.filter(\.isPrompt)
        let rollouts = try rolloutWriter().likeliest(samples, fault: scorer.note(fault:))
        for group in try scorer.judged(rollouts, samples) {
            if group.totals[0].isFinite {
                statistics.lossSum -= group.totals[0]
                statistics.weightSum += 1
                statistics.add("reward", group.totals[0])
            }
            for (name, value) in group.parts[0] { statistics.add("rewards/\(name)/mean", value) }
            let answer = group.rollout.answers[0]
            statistics.add("completions/mean_length", Double(answer.writtenCount))
            statistics.add("completions/clipped_ratio", answer.hasEnded ? 0 : 1)
            if let episode = answer.episode {
                statistics.add("tools/call_frequency", Double(episode.callCount))
            }
        }
    }

    /// With tools the likeliest answer is a whole episode, which nobody else can play.
    func answers(to samples: [TrainingSample]) throws -> [String]? {
        guard desk != nil else { return nil }
        return try rolloutWriter().likeliest(samples, fault: scorer.note(fault:)).map {
            scorer.text($0.answers[0].tokens)
        }
    }
}

extension TrainingSample {
    /// Whether the model is to answer it.
    var isPrompt: Bool { if case .prompt = companion { true } else { false } }
}

extension [Rollout] {
    /// What the answers' tokens were drawn from.
    func distribution(_ recipe: Recipe) -> AnswerDistribution {
        let isCut = contains { $0.answers.contains { $0.supports.contains { !$0.isEmpty } } }
        return AnswerDistribution(
            temperature: Float(recipe.alignment.temperature),
            supports: isCut ? map { $0.answers.map(\.supports) } : [])
    }
}
